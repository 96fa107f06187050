"""Journey 3, an air consignment of 12 pieces from Xi'an to Amsterdam that leaves in two parts.

Seven pieces are offloaded before the first flight and leave on the next day. The carrier and both cargo terminals send
FSU texts; the arrival of the first part comes as a ONE Record event, the arrival report (MT3201) as an answer of
customs.
"""

from datetime import datetime

from examples.build import Answer, Entry, answers_xml, fsu, json, one_record
from examples.numbers import awb, entry, seq
from examples.post import AMSTERDAM, Sent, again, at, sent

AWB = awb("112", 4260316)
ROUTE, TOTAL, FIRST, SECOND = "XIYAMS", "T12K340.0", "P5K141.7", "P7K198.3"
ENTRY = Entry(
    number=entry("9002", 731, imported=False), seq=seq(9002031673, imported=False), customs="9002", border="9002"
)

STATUSES = (  # source, time of sending by the clock of Xi'an or Amsterdam, status line, note
    ("air-xiy", "03-17 09:32", f"FOH/17MAR0930/XIY/{TOTAL}", "货物到站 / freight on hand"),
    ("air-xiy", "03-17 10:47", f"RCS/17MAR1045/XIY/{TOTAL}/QINCHUAN SAMPLE EXPORT", "收运 / received from shipper"),
    ("air-carrier", "03-17 20:12", f"MAN/CK205/17MAR2010/{ROUTE}/{TOTAL}", "配载 / manifested"),
    ("air-xiy", "03-17 23:22", f"DIS/CK205/17MAR2320/XIY/OFLD/{SECOND}", "拉货7件 / 7 pieces offloaded"),
    ("air-carrier", "03-17 23:58", f"DEP/CK205/17MAR/{ROUTE}/{FIRST}/A2352", "首批5件离港 / 5 pieces departed"),
    ("air-carrier", "03-18 20:35", f"MAN/CK205/18MAR2030/{ROUTE}/{SECOND}", "余7件配载 / 7 pieces manifested"),
    ("air-carrier", "03-18 23:47", f"DEP/CK205/18MAR/{ROUTE}/{SECOND}/A2341", "余7件离港 / 7 pieces departed"),
)
ABROAD = (
    ("air-ams", "03-18 05:12", f"RCF/CK205/18MAR0510/AMS/{FIRST}", "首批5件入库 / 5 pieces received"),
    ("air-carrier", "03-19 03:15", f"ARR/CK205/19MAR/AMS/{SECOND}/A0312", "余7件到达 / 7 pieces arrived"),
    ("air-ams", "03-19 05:02", f"RCF/CK205/19MAR0500/AMS/{SECOND}", "余7件入库 / 7 pieces received"),
    ("air-ams", "03-19 07:31", f"NFD/19MAR0730/AMS/{TOTAL}/POLDER SAMPLE IMPORT", "通知提货 / consignee notified"),
    ("air-ams", "03-19 09:16", f"AWD/19MAR0915/AMS/{TOTAL}", "单证交付 / documents delivered"),
    ("air-ams", "03-19 11:03", f"CCD/19MAR1102/AMS/{TOTAL}", "海关放行 / cleared by customs"),
    ("air-ams", "03-19 14:22", f"DLV/19MAR1420/AMS/{TOTAL}/POLDER SAMPLE IMPORT", "交付 / delivered"),
)
RECEIPTS = (
    ("7", "03-17 13:32", "已申报 / declared"),
    ("L", "03-17 13:36", "海关入库 / accepted by customs"),
    ("J", "03-17 13:44", "审结 / review completed"),
    ("P", "03-17 15:08", "放行 / released"),
    ("R", "03-20 09:40", "结关 / closed"),
)


def posts() -> list[Sent]:
    return [_booking(), *_statuses(), *_one_record(), *_customs()]


def _booking() -> Sent:
    """In Kouan's own format: an FSU has no year, and of a planned flight it could be this one or the next."""
    booked = {
        "id": f"BKD-{AWB}",
        "subject": f"awb:{AWB}",
        "code": "AIR_BKD",
        "raw_code": "BKD",
        "classifier": "PLN",
        "happened_at": "2026-03-17T23:35",
        "sent_at": "2026-03-16T15:20",
        "place": "XIY",
        "mode": "AIR",
        "transport": "CK205",
        "pieces": 12,
        "pieces_total": 12,
        "weight_kg": 340.0,
    }
    return sent(at("03-16 15:20"), "air-carrier", "native", json(booked), "订舱 / booked")


def _statuses() -> list[Sent]:
    told = [_fsu(at(when), source, line, note) for source, when, line, note in STATUSES]
    told += [_fsu(at(when, AMSTERDAM), source, line, note) for source, when, line, note in ABROAD]
    return [*told, again(told[1], at("03-17 10:55"))]


def _fsu(when: datetime, source: str, line: str, note: str) -> Sent:
    return sent(when, source, "fsu", fsu(AWB, ROUTE, TOTAL, line), note)


def _one_record() -> list[Sent]:
    landed = at("03-18 03:20", AMSTERDAM)
    event = one_record(AWB, "ARR", landed, "AMS", flight="CK205", pieces=5, kilograms=141.7)
    return [
        sent(at("03-18 03:26", AMSTERDAM), "air-carrier", "one-record", json(event), "首批5件到达 / 5 pieces arrived")
    ]


def _customs() -> list[Sent]:
    """Arrival report, declaration, and the terminal's word of the release, which joins waybill and declaration."""
    arrival = Answer(
        kind="MT3201",
        message="XIY20260317044",
        when=at("03-17 13:05"),
        bill=AWB,
        name="CK205",
        place="CNSIA",
        customs="9002",
    )
    receipts = [
        sent(at(when), "customs-9000", "customs-receipt", json(ENTRY.receipt(code, at(when))), note)
        for code, when, note in RECEIPTS
    ]
    told = [("AIR_SEC", "2026-03-17T12:20", []), ("EXP_RELEASED", "2026-03-17T15:10", [f"declaration:{ENTRY.number}"])]
    native = [
        {
            "subject": f"awb:{AWB}",
            "code": code,
            "happened_at": when,
            "place": "XIY",
            "facility": "XIY-T3",
            "mode": "AIR",
            "pieces": 12,
            "pieces_total": 12,
            "weight_kg": 340.0,
            "refs": refs,
        }
        for code, when, refs in told
    ]
    return [
        *receipts,
        sent(arrival.when, "customs-9000", "manifest", answers_xml([arrival]), "空运运抵报告 / air arrival report"),
        sent(at("03-17 12:25"), "air-xiy", "native", json(native[0]), "安检通过 / security cleared"),
        sent(at("03-17 15:12"), "air-xiy", "native", json(native[1]), "出口放行 / released for export"),
    ]
