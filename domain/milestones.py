"""The milestones of a journey, by sea, rail, air and road and through customs, in Chinese and English.

A milestone says what happened; whether it is planned, expected or actual is the classifier of the statement, so ETA and
ETD have no code of their own. Beside each code stand the nearest codes of other vocabularies:

* `dcsa`: DCSA Track & Trace, `TYPE CODE` and after a slash the document type or the laden state. Version 2.2 lacks
  AVPU, AVDO, CUSS, CUSI, CUSR and CROS, which come with version 3, and knows no air.
* `fsu`: the Cargo-IMP status code, as also used in XFSU and ONE Record.
* `rec24`: trade and transport status codes of UN/ECE Recommendation 24.

The canonical codes and the pairing are Kouan's own; the lists are those of the named standards. A code that is not
known here is kept as reported and shown as such.
"""

from functools import lru_cache

import msgspec


class Milestone(msgspec.Struct, frozen=True):
    code: str
    zh: str
    en: str
    mode: str = ""  # the transport it belongs to; "" where it happens with any, or with none
    dcsa: str = ""
    fsu: str = ""  # on a row that is not of the air: what comes nearest there
    rec24: str = ""  # several are separated by a comma


_SEA = (
    Milestone("BKG_REQUESTED", "订舱申请", "Booking requested", "", "SHIPMENT RECE/CBR"),
    Milestone("BKG_CONF", "订舱确认", "Booking confirmed", "", "SHIPMENT CONF/BKG", "BKD", "6"),
    Milestone("BKG_REJECTED", "订舱被拒", "Booking rejected", "", "SHIPMENT REJE/BKG"),
    Milestone("BKG_CANC", "订舱取消（退关）", "Booking cancelled", "", "SHIPMENT CANC/BKG", "", "7"),
    Milestone("SI_SUBMITTED", "提交补料", "Shipping instructions submitted", "VESSEL", "SHIPMENT SUBM/SHI"),
    Milestone("EIR_ISSUED", "设备交接单签发", "Equipment interchange receipt issued", "", "SHIPMENT ISSU/CRO"),
    Milestone("EMPTY_OUT", "提空箱", "Empty container picked up", "", "EQUIPMENT GTOT/EMPTY", "", "13"),
    Milestone("STUFFED", "装箱", "Stuffed", "", "EQUIPMENT STUF"),
    Milestone("SEALED", "施封", "Sealed"),
    Milestone("VGM_SUB", "提交VGM", "VGM submitted", "VESSEL", "SHIPMENT SUBM/VGM"),
    Milestone("MAN_SUBMITTED", "舱单已申报", "Manifest submitted"),
    Milestone("MAN_ADV_OK", "预配舱单入库", "Pre-load manifest accepted"),
    Milestone("DROP_AVAILABLE", "可进港", "Available for drop-off", "", "EQUIPMENT AVDO"),
    Milestone("YARD_IN", "重箱进场", "Laden gate-in at a yard", "", "EQUIPMENT GTIN/LADEN"),
    Milestone("YARD_OUT", "重箱出场", "Laden gate-out of a yard", "", "EQUIPMENT GTOT/LADEN"),
    Milestone("GATE_IN", "重箱进港（进闸）", "Laden gate-in", "VESSEL", "EQUIPMENT GTIN/LADEN"),
    Milestone("ARRIVAL_RPT", "运抵报告已接受", "Arrival report accepted"),
    Milestone("EXP_RELEASED", "出口放行", "Export customs released", "", "EQUIPMENT CUSR", "CCD", "9,12"),
    Milestone("TERM_RELEASED", "码头放行（港方放行）", "Terminal released", "VESSEL", "", "", "11"),
    Milestone("STOWED", "配载", "Stowed / planned", "VESSEL"),
    Milestone("LOADED", "装船", "Loaded on vessel", "VESSEL", "EQUIPMENT LOAD"),
    Milestone("ROLLED", "甩柜", "Rolled", "VESSEL", "", "", "20"),
    Milestone("BL_ISSUED", "签发提单", "Bill of lading issued", "VESSEL", "SHIPMENT ISSU/TRD"),
    Milestone("BL_SURRENDERED", "提单电放（交回）", "Bill of lading surrendered", "VESSEL", "SHIPMENT SURR/TRD", "AWD"),
    Milestone("VSL_DEP", "离港（开船）", "Vessel departed", "VESSEL", "TRANSPORT DEPA", "DEP", "24"),
    Milestone("TS_DISC", "中转卸船", "Transhipment discharged", "VESSEL", "EQUIPMENT DISC", "RCT"),
    Milestone("TS_LOAD", "中转装船", "Transhipment loaded", "VESSEL", "EQUIPMENT LOAD", "TFD"),
    Milestone("BARGE_LOAD", "驳船（支线）装船", "Barge loaded", "BARGE", "EQUIPMENT LOAD"),
    Milestone("BARGE_DEP", "驳船（支线）开航", "Barge departed", "BARGE", "TRANSPORT DEPA", "", "24"),
    Milestone("BARGE_ARR", "驳船（支线）抵港", "Barge arrived", "BARGE", "TRANSPORT ARRI", "", "1"),
    Milestone("BARGE_DISC", "驳船（支线）卸船", "Barge discharged", "BARGE", "EQUIPMENT DISC", "", "29"),
    Milestone("LOCK_PASSED", "过闸（船闸）", "Lock passed", "BARGE", "", "", "31"),
    Milestone("VSL_ARR", "抵港（锚地/引水）", "Vessel arrived", "VESSEL", "TRANSPORT ARRI", "ARR", "40"),
    Milestone("VSL_BERTH", "靠泊", "Berthed", "VESSEL"),
    Milestone("MAN_ORIG_OK", "原始舱单入库", "Original manifest accepted"),
    Milestone("DISCHARGED", "卸船", "Discharged", "VESSEL", "EQUIPMENT DISC", "", "29"),
    Milestone("TALLY_RPT", "理货报告", "Tally reported", "VESSEL"),
    Milestone("ARN_SENT", "到货通知", "Arrival notice sent", "", "SHIPMENT ISSU/ARN", "NFD", "45"),
    Milestone("DO_ISSUED", "换单（提货单签发）", "Delivery order issued", "", "SHIPMENT ISSU/DEO", "AWD"),
    Milestone("IMP_RELEASED", "进口放行", "Import customs released", "", "EQUIPMENT CUSR", "CCD", "8,12"),
    Milestone("AVAILABLE", "可提箱", "Available for pick-up", "", "EQUIPMENT AVPU", "NFD"),
    Milestone("APPOINTED", "提箱/进港预约成功", "Appointment confirmed"),
    Milestone("GATE_OUT", "重箱出港（提箱）", "Laden gate-out", "VESSEL", "EQUIPMENT GTOT/LADEN", "DLV", "13"),
    Milestone("STRIPPED", "拆箱", "Stripped", "", "EQUIPMENT STRP", "", "28"),
    Milestone("EMPTY_IN", "还空箱", "Empty returned", "", "EQUIPMENT GTIN/EMPTY"),
    Milestone("DAMAGED", "残损", "Damaged", "", "", "DIS", "18"),
    # Of the seal, not of customs: DCSA's INSP, RMVD and RSEA say what was done to a seal, whoever did it.
    Milestone("SEAL_INSPECTED", "铅封检查", "Seal inspected", "", "EQUIPMENT INSP"),
    Milestone("SEAL_REMOVED", "铅封拆除", "Seal removed", "", "EQUIPMENT RMVD"),
    Milestone("RESEALED", "重新施封", "Resealed", "", "EQUIPMENT RSEA"),
)

_RAIL = (
    Milestone("RAIL_REQ", "需求提报（请车）", "Wagon request", "RAIL"),
    Milestone("RWB_ISSUED", "运单制单（国际货协）", "Consignment note issued", "RAIL", "SHIPMENT ISSU/TRD"),
    Milestone("STATION_IN", "进站（入场）", "Station gate-in", "RAIL", "EQUIPMENT GTIN"),
    Milestone("CONSOLIDATED", "集结", "Consolidated", "RAIL", "", "", "15"),
    Milestone("RAIL_ARRIVAL_RPT", "铁路运抵", "Rail arrival report", "RAIL"),
    Milestone("RAIL_RELEASE", "铁路放行指令", "Rail release instruction", "RAIL", "EQUIPMENT CUSR", "", "12"),
    Milestone("LOAD_NOTICE", "装车通知", "Loading notice", "RAIL", "", "", "2"),
    Milestone("WAGON_LOADED", "铁路装车", "Loaded on wagon", "RAIL", "EQUIPMENT LOAD"),
    Milestone("TRAIN_DEP", "发车", "Train departed", "RAIL", "TRANSPORT DEPA", "", "24"),
    Milestone("TRAIN_PASS", "途经站通过", "Reported passing", "RAIL", "", "", "31"),
    Milestone("BORDER_ARR", "到达口岸站", "Arrived at border station", "RAIL", "TRANSPORT ARRI", "", "1"),
    Milestone("GAUGE_CHANGE", "换装（换轨）", "Transloaded (gauge change)", "RAIL", "EQUIPMENT LOAD"),
    Milestone("BORDER_CROSSED", "出境/入境", "Border crossed", "", "EQUIPMENT CROS", "", "16"),
    Milestone("TRAIN_ARR", "到站", "Train arrived", "RAIL", "TRANSPORT ARRI", "", "1"),
    Milestone("WAGON_UNLOADED", "铁路卸车", "Unloaded from wagon", "RAIL", "EQUIPMENT DISC", "", "26"),
    Milestone("RAIL_TALLY", "铁路理货", "Rail tally", "RAIL"),
    Milestone("STATION_OUT", "出站（提箱）", "Station gate-out", "RAIL", "EQUIPMENT GTOT", "", "13"),
    Milestone("INTERCHANGE", "路局交接", "Interchange between railways", "RAIL"),
)

_AIR = (
    Milestone("AIR_BKD", "空运订舱", "Booked on flight", "AIR", "", "BKD", "6"),
    Milestone("AIR_DPU", "上门提货", "Picked up from shipper's door", "AIR", "", "DPU"),
    Milestone("AIR_DOC", "收到随机单证", "Documents received by handling party", "AIR", "", "DOC"),
    Milestone("AIR_FOH", "货物到站待收运", "Freight on hand", "AIR", "", "FOH"),
    Milestone("AIR_RCS", "收运", "Received from shipper", "AIR", "", "RCS"),
    Milestone("AIR_FIW", "货物入库", "Freight into warehouse control", "AIR", "", "FIW"),
    Milestone("AIR_SEC", "安检通过", "Security cleared", "AIR"),
    Milestone("AIR_ARRIVAL_RPT", "空运运抵", "Air arrival report", "AIR"),
    Milestone("AIR_PRE", "预配", "Prepared for loading", "AIR", "", "PRE"),
    Milestone("AIR_MAN", "配载（正式舱单）", "Manifested", "AIR", "", "MAN"),
    Milestone("AIR_FOW", "货物出库", "Freight out of warehouse control", "AIR", "", "FOW"),
    Milestone("AIR_OFLD", "拉货", "Offloaded", "AIR", "", "DIS OFLD", "20"),
    Milestone("AIR_DEP", "航班离港", "Flight departed", "AIR", "", "DEP", "24"),
    Milestone("AIR_TRM", "待转", "Transfer manifested", "AIR", "", "TRM"),
    Milestone("AIR_TFD", "转出", "Transferred to another carrier", "AIR", "", "TFD"),
    Milestone("AIR_RCT", "转入", "Received from another carrier", "AIR", "", "RCT"),
    Milestone("AIR_ARR", "航班到达", "Flight arrived", "AIR", "", "ARR", "1"),
    Milestone("AIR_RCF", "货物到港入库", "Received from flight", "AIR", "", "RCF"),
    Milestone("AIR_AWR", "到货单证已收", "Arrival documents received", "AIR", "", "AWR"),
    Milestone("AIR_TALLY", "空运理货", "Air cargo tallied", "AIR"),
    Milestone("AIR_NFD", "已通知提货", "Consignee notified", "AIR", "", "NFD", "45"),
    Milestone("AIR_AWD", "单证交付", "Documents delivered", "AIR", "", "AWD"),
    Milestone("AIR_CRC", "已报海关", "Reported to customs", "AIR", "", "CRC"),
    Milestone("AIR_TGC", "移交海关监管", "Transferred to customs control", "AIR", "", "TGC"),
    Milestone("AIR_CCD", "空运海关放行", "Air cargo cleared by customs", "AIR", "", "CCD", "12"),
    Milestone("AIR_DLV", "货物交付", "Delivered to consignee", "AIR", "", "DLV", "21"),
    Milestone("AIR_DDL", "送达收货人", "Delivered to consignee's door", "AIR", "", "DDL", "21"),
    Milestone("AIR_DIS", "异常", "Discrepancy", "AIR", "", "DIS", "18,23"),
    Milestone("AIR_OCI", "海关、安检及监管信息", "Customs, security and regulatory information", "AIR", "", "OCI"),
    Milestone("AIR_OSI", "其他服务信息", "Other service information", "AIR", "", "OSI"),
)

_ROAD = (
    Milestone("TRUCK_DISPATCHED", "派车", "Truck dispatched", "TRUCK", "", "", "27"),
    Milestone("PICKUP_ARR", "到达提货点", "Arrived at pick-up", "TRUCK", "TRANSPORT ARRI", "", "1"),
    Milestone("TRUCK_LOADED", "汽车装车", "Loaded on truck", "TRUCK", "EQUIPMENT LOAD"),
    Milestone("ESEAL_ON", "电子关锁施封", "E-seal on", "TRUCK"),
    Milestone("ESEAL_OFF", "电子关锁解封", "E-seal off", "TRUCK"),
    Milestone("ESEAL_ALARM", "电子关锁报警", "E-seal alarm", "TRUCK"),
    Milestone("TRUCK_DEP", "汽车发车", "Truck departed", "TRUCK", "TRANSPORT DEPA", "", "24"),
    Milestone("TRUCK_POS", "在途位置", "Position", "TRUCK", "", "", "31"),
    Milestone("CHECKPOINT_PASS", "过卡（卡口放行）", "Checkpoint passed", "TRUCK", "", "", "16"),
    Milestone("CHECKPOINT_REFUSED", "拒绝过卡", "Checkpoint refused", "TRUCK"),
    Milestone("ROUTE_DEVIATION", "偏离路线", "Route deviation", "TRUCK", "", "", "20"),
    Milestone("OVERSTAY", "超时停留", "Overstay", "TRUCK", "", "", "20"),
    Milestone("TRUCK_ARR", "汽车到达", "Truck arrived", "TRUCK", "TRANSPORT ARRI", "", "1"),
    Milestone("TRUCK_UNLOADED", "汽车卸车", "Unloaded from truck", "TRUCK", "EQUIPMENT DISC", "", "29"),
    Milestone("POD", "签收", "Proof of delivery", "TRUCK", "", "", "21,22"),
)

_CUSTOMS = (
    Milestone("DEC_DRAFT", "暂存", "Draft saved", "", "SHIPMENT DRFT/CUC"),
    # Decided in Kouan itself; what customs says of it comes by receipt.
    Milestone("DEC_LODGED", "提交申报", "Declaration lodged", "", "SHIPMENT SUBM/CUC"),
    Milestone("DEC_COMPLETION_LODGED", "提交完整申报", "Complete declaration lodged", "", "SHIPMENT SUBM/CUC"),
    Milestone("DEC_DELETION_REQUESTED", "申请删单", "Deletion requested"),
    Milestone("DEC_WITHDRAWN", "撤回申报", "Declaration withdrawn", "", "SHIPMENT VOID/CUC"),
    Milestone("HOLD_PLACED", "布控（扣留）", "Hold placed", "", "SHIPMENT HOLD/CUC"),
    Milestone("HOLD_RELEASED", "撤控（解除扣留）", "Hold released"),
    Milestone("INSTR_GIVEN", "下达指令", "Instruction given"),
    Milestone("INSTR_CONFIRMED", "确认指令", "Instruction confirmed"),
    Milestone("INSTR_REFUSED", "拒绝指令", "Instruction refused"),
    Milestone("INSTR_CANCELLED", "取消指令", "Instruction cancelled"),
    Milestone("DEC_SUBMITTED", "已申报", "Declared", "", "SHIPMENT SUBM/CUC"),
    Milestone("DEC_FAILED", "申报失败", "Declaring failed"),
    Milestone("DEC_ACCEPTED", "海关入库", "Accepted by customs", "", "SHIPMENT RECE/CUC"),
    Milestone("DEC_REJECTED", "退单", "Rejected", "", "SHIPMENT REJE/CUC"),
    Milestone("DEC_RETURNED", "退回修改", "Returned for amendment", "", "SHIPMENT PENU/CUC"),
    Milestone("DEC_SUSPENDED", "挂起", "Suspended", "", "SHIPMENT HOLD/CUC"),
    Milestone("DEC_REVIEWED", "审结", "Review completed", "", "SHIPMENT APPR/CUC"),
    Milestone("DEC_REREVIEWED", "重审", "Reviewed again"),
    Milestone("DOCS_REQUESTED", "要求补传单证", "Documents requested"),
    Milestone("VALUATION_REFERRED", "转现场验估", "Referred for valuation"),
    Milestone("VALUATION_RETURNED", "验估反馈", "Valuation returned"),
    Milestone("DUTY_ASSESSED", "税费通知", "Duty assessed"),
    Milestone("DUTY_PAID", "税费已缴", "Duty paid"),
    Milestone("SCAN_ORDERED", "机检通知", "Selected by customs for scanning", "", "EQUIPMENT CUSS"),
    Milestone("INSP_ORDERED", "查验通知", "Inspection ordered", "", "EQUIPMENT CUSI"),
    Milestone("INSP_SITE_IN", "调入查验场", "Moved to inspection site"),
    Milestone("INSP_DONE", "查验完毕", "Inspection completed"),
    Milestone("INSP_SITE_OUT", "调离查验场", "Moved from inspection site"),
    Milestone("DEC_GUAR_REL", "担保放行", "Released under guarantee", "", "SHIPMENT RELS/CUC"),
    Milestone("DEC_PICKUP_REL", "提货放行", "Pick-up release (two-step)", "", "SHIPMENT RELS/CUC"),
    Milestone("DEC_COMPLETION_DUE", "要求补充申报", "Complete declaration requested"),
    Milestone("ENTRY_PERMITTED", "准予进港（卡）", "Entry permitted"),
    Milestone("DEC_RELEASED", "放行", "Released", "", "SHIPMENT RELS/CUC"),
    Milestone("DEC_CLOSED", "结关", "Closed", "", "SHIPMENT CMPL/CUC"),
    Milestone("DEC_AMENDED", "改单", "Amended"),
    Milestone("DEC_DELETED", "删单", "Deleted", "", "SHIPMENT VOID/CUC"),
    Milestone("DEC_TRANSIT_DECLARED", "转关申报", "Transit declared"),
    Milestone("DEC_TRANSIT_PERMITTED", "转关核放", "Transit permitted"),
    Milestone("DEC_TRANSIT_ARRIVED", "转关运抵", "Transit arrived"),
    Milestone("DEC_TRANSIT_WRITTEN_OFF", "转关核销", "Transit written off"),
)

MILESTONES: dict[str, Milestone] = {row.code: row for row in (*_SEA, *_RAIL, *_AIR, *_ROAD, *_CUSTOMS)}

_REVERSED = "_REVERSED"  # any milestone may be taken back: LOADED_REVERSED


def name(code: str, lang: str) -> str:
    """The milestone in Chinese if `lang` begins with zh, else in English; the code itself where it is not known.

    >>> name("LOADED", "zh"), name("LOADED", "en"), name("LOADED_REVERSED", "zh"), name("X9", "en")
    ('装船', 'Loaded on vessel', '装船（撤销）', 'X9')
    """
    row = MILESTONES.get(code.removesuffix(_REVERSED))
    if row is None:
        return code
    chinese = lang.startswith("zh")
    shown = row.zh if chinese else row.en
    if not code.endswith(_REVERSED):
        return shown
    return f"{shown}（撤销）" if chinese else f"{shown} (reversed)"


# --- the usual order of a journey, for lines that carry the same time ---

_ORDER = """
BKG_REQUESTED AIR_BKD BKG_CONF BKG_REJECTED BKG_CANC RAIL_REQ EIR_ISSUED TRUCK_DISPATCHED EMPTY_OUT PICKUP_ARR STUFFED
SEALED ESEAL_ON TRUCK_LOADED AIR_DPU SI_SUBMITTED VGM_SUB MAN_SUBMITTED MAN_ADV_OK RWB_ISSUED TRUCK_DEP TRUCK_POS
ROUTE_DEVIATION OVERSTAY ESEAL_ALARM CHECKPOINT_PASS CHECKPOINT_REFUSED TRUCK_ARR TRUCK_UNLOADED DROP_AVAILABLE YARD_IN
YARD_OUT GATE_IN STATION_IN AIR_DOC AIR_FOH AIR_FIW AIR_RCS AIR_SEC CONSOLIDATED ARRIVAL_RPT RAIL_ARRIVAL_RPT
AIR_ARRIVAL_RPT DEC_TRANSIT_DECLARED DEC_TRANSIT_PERMITTED DEC_DRAFT DEC_LODGED DEC_SUBMITTED DEC_FAILED DEC_ACCEPTED
DEC_REJECTED DEC_RETURNED DEC_SUSPENDED DEC_AMENDED DEC_DELETION_REQUESTED DEC_WITHDRAWN DOCS_REQUESTED DEC_REVIEWED
DEC_REREVIEWED VALUATION_REFERRED VALUATION_RETURNED DUTY_ASSESSED DUTY_PAID HOLD_PLACED SCAN_ORDERED INSP_ORDERED
INSP_SITE_IN SEAL_REMOVED SEAL_INSPECTED INSP_DONE RESEALED INSP_SITE_OUT HOLD_RELEASED DEC_PICKUP_REL
DEC_COMPLETION_DUE DEC_COMPLETION_LODGED DEC_GUAR_REL DEC_RELEASED ENTRY_PERMITTED DEC_DELETED EXP_RELEASED
RAIL_RELEASE INSTR_GIVEN INSTR_CONFIRMED INSTR_REFUSED INSTR_CANCELLED TERM_RELEASED LOAD_NOTICE AIR_PRE AIR_MAN
AIR_FOW STOWED ROLLED AIR_OFLD BARGE_LOAD BARGE_DEP LOCK_PASSED BARGE_ARR BARGE_DISC WAGON_LOADED LOADED BL_ISSUED
BL_SURRENDERED TRAIN_DEP VSL_DEP AIR_DEP TRAIN_PASS BORDER_ARR GAUGE_CHANGE INTERCHANGE BORDER_CROSSED TS_DISC TS_LOAD
AIR_TRM AIR_TFD AIR_RCT MAN_ORIG_OK VSL_ARR VSL_BERTH TRAIN_ARR AIR_ARR DISCHARGED WAGON_UNLOADED AIR_RCF AIR_AWR
TALLY_RPT RAIL_TALLY AIR_TALLY DAMAGED AIR_DIS AIR_OCI AIR_OSI ARN_SENT AIR_NFD AIR_AWD DO_ISSUED AIR_CRC AIR_TGC
AIR_CCD IMP_RELEASED DEC_TRANSIT_ARRIVED DEC_TRANSIT_WRITTEN_OFF DEC_CLOSED AVAILABLE APPOINTED GATE_OUT STATION_OUT
AIR_DLV AIR_DDL ESEAL_OFF POD STRIPPED EMPTY_IN
"""

_RANK = {code: place for place, code in enumerate(_ORDER.split())}


@lru_cache(maxsize=1 << 12)
def rank(code: str) -> int:
    """Where the milestone usually comes; a reversal directly after the milestone, an unknown code after all.

    >>> rank("LOADED") < rank("LOADED_REVERSED") < rank("VSL_DEP") < rank("X9")
    True
    """
    place = _RANK.get(code.removesuffix(_REVERSED), len(_RANK))
    return 2 * place + code.endswith(_REVERSED)


# --- from other vocabularies ---

_HANDLED = {
    ("LOAD", "VESSEL"): "LOADED",
    ("LOAD", "BARGE"): "BARGE_LOAD",
    ("LOAD", "RAIL"): "WAGON_LOADED",
    ("LOAD", "TRUCK"): "TRUCK_LOADED",
    ("DISC", "VESSEL"): "DISCHARGED",
    ("DISC", "BARGE"): "BARGE_DISC",
    ("DISC", "RAIL"): "WAGON_UNLOADED",
    ("DISC", "TRUCK"): "TRUCK_UNLOADED",
}
_TRANSHIPPED = {"LOADED": "TS_LOAD", "DISCHARGED": "TS_DISC"}
_EQUIPMENT = {
    "STUF": "STUFFED",
    "STRP": "STRIPPED",
    "PICK": "EMPTY_OUT",
    "DROP": "EMPTY_IN",
    "INSP": "SEAL_INSPECTED",
    "RMVD": "SEAL_REMOVED",
    "RSEA": "RESEALED",
    "AVPU": "AVAILABLE",
    "AVDO": "DROP_AVAILABLE",
    "CUSS": "SCAN_ORDERED",
    "CUSI": "INSP_ORDERED",
    "CUSR": "DEC_RELEASED",
    "CROS": "BORDER_CROSSED",
}
_YARDS = frozenset({"DEPO", "CLOC", "COFS", "OFFD"})
# A carrier that leaves the mode out speaks of its vessel, unless the facility knows better.
_MODE_AT = {"RAMP": "RAIL", "POTE": "VESSEL", "": "VESSEL"} | dict.fromkeys(_YARDS, "TRUCK")


def from_dcsa_equipment(
    code: str, *, mode: str, empty: bool | None, facility_type: str = "", transhipment: bool = False
) -> str:
    """The milestone of an equipment event, "" if there is none; `empty` is None where the source did not say.

    >>> from_dcsa_equipment("LOAD", mode="RAIL", empty=False)
    'WAGON_LOADED'
    >>> from_dcsa_equipment("GTOT", mode="TRUCK", empty=True, facility_type="DEPO")
    'EMPTY_OUT'
    """
    if code in {"GTIN", "GTOT"}:
        way = "IN" if code == "GTIN" else "OUT"
        return f"{_gate(mode, empty=empty, facility_type=facility_type)}_{way}"
    if code in {"LOAD", "DISC"}:
        if (code, mode, facility_type) == ("LOAD", "RAIL", "BOCR"):
            return "GAUGE_CHANGE"  # at the border a box leaves one wagon for another; it is done when loaded again
        found = _HANDLED.get((code, mode or _MODE_AT.get(facility_type, "")), "")
        return _TRANSHIPPED.get(found, found) if transhipment else found
    if code in {"PICK", "DROP"} and empty is False:
        return "YARD_OUT" if code == "PICK" else "YARD_IN"  # at the customer's; usually an empty one is meant
    if code == "CUSR" and mode == "RAIL":
        return "RAIL_RELEASE"
    return _EQUIPMENT.get(code, "")


def _gate(mode: str, *, empty: bool | None, facility_type: str) -> str:
    """Whose gate it was. A depot stores empties: there a silent source means an empty one, elsewhere a laden one."""
    if facility_type == "RAMP" or (mode == "RAIL" and facility_type in {"", "INTE"}):
        return "STATION"
    if empty or (empty is None and facility_type == "DEPO"):
        return "EMPTY"
    return "YARD" if facility_type in _YARDS else "GATE"


_TRANSPORT = {
    ("DEPA", "VESSEL"): "VSL_DEP",
    ("DEPA", "BARGE"): "BARGE_DEP",
    ("DEPA", "RAIL"): "TRAIN_DEP",
    ("DEPA", "TRUCK"): "TRUCK_DEP",
    ("DEPA", "AIR"): "AIR_DEP",  # DCSA has no air; Kouan's own statements do
    ("ARRI", "VESSEL"): "VSL_ARR",
    ("ARRI", "BARGE"): "BARGE_ARR",
    ("ARRI", "RAIL"): "TRAIN_ARR",
    ("ARRI", "TRUCK"): "TRUCK_ARR",
    ("ARRI", "AIR"): "AIR_ARR",
}


def from_dcsa_transport(code: str, *, mode: str, border: bool = False) -> str:
    """The milestone of an arrival or departure, "" if there is none; `border`: the call is at a border crossing.

    >>> from_dcsa_transport("ARRI", mode="RAIL", border=True), from_dcsa_transport("DEPA", mode="")
    ('BORDER_ARR', 'VSL_DEP')
    """
    found = _TRANSPORT.get((code, mode or "VESSEL"), "")
    return "BORDER_ARR" if border and found == "TRAIN_ARR" else found


_DOCUMENTS = {
    "CBR BKG": "RECE BKG_REQUESTED REQS BKG_REQUESTED SUBM BKG_REQUESTED CONF BKG_CONF REJE BKG_REJECTED CANC BKG_CANC "
    "VOID BKG_CANC",
    "SHI": "SUBM SI_SUBMITTED RECE SI_SUBMITTED",
    "VGM": "SUBM VGM_SUB RECE VGM_SUB",
    "CRO": "ISSU EIR_ISSUED",
    "TRD": "ISSU BL_ISSUED SURR BL_SURRENDERED",
    "ARN": "ISSU ARN_SENT",
    "DEO": "ISSU DO_ISSUED",
    "CUC": "DRFT DEC_DRAFT SUBM DEC_SUBMITTED RECE DEC_ACCEPTED REJE DEC_REJECTED PENU DEC_RETURNED HOLD DEC_SUSPENDED "
    "APPR DEC_REVIEWED RELS DEC_RELEASED CMPL DEC_CLOSED VOID DEC_DELETED",
    # CUS is version 2's customs inspection; a carrier uses its release for that of customs.
    "CUS": "REQS INSP_ORDERED HOLD INSP_ORDERED CMPL INSP_DONE RELS DEC_RELEASED",
}
_SHIPMENT = {
    (code, document): milestone
    for documents, pairs in _DOCUMENTS.items()
    for document in documents.split()
    for code, milestone in zip(pairs.split()[::2], pairs.split()[1::2], strict=True)
}


def from_dcsa_shipment(code: str, document_type: str) -> str:
    """The milestone of a document's status, "" if there is none.

    >>> from_dcsa_shipment("CONF", "BKG"), from_dcsa_shipment("RELS", "CUC"), from_dcsa_shipment("PENA", "OOG")
    ('BKG_CONF', 'DEC_RELEASED', '')
    """
    return _SHIPMENT.get((code, document_type), "")


_FSU = {row.fsu: row.code for row in _AIR if row.fsu}


def from_fsu(code: str) -> str:
    """The milestone of a Cargo-IMP status, "" if there is none; a discrepancy may bring its own code along.

    >>> from_fsu("RCF"), from_fsu("DIS OFLD"), from_fsu("DIS_MSCA"), from_fsu("XXX")
    ('AIR_RCF', 'AIR_OFLD', 'AIR_DIS', '')
    """
    status = code.upper().replace("_", " ").replace("/", " ")
    return _FSU.get(status) or _FSU.get(status[:3] if status.startswith("DIS ") else "", "")
