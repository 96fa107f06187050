"""JSON, XML and telex messages as customs, carriers, railways and cargo terminals write them.

Times of customs are Beijing time; DCSA times carry their offset; rail and FSU times are local to the place.
Sources: DCSA Track & Trace 2.2; receipts of the Single Window (报关单回执); GACC manifest messages MT1101 to MT5402;
customs rail messages WLJK_…; IATA Cargo-IMP FSU/14.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

Json = dict[str, Any]


def json(value: Json | list[Json]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1)


def ndjson(lines: Iterable[Json]) -> bytes:
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


# --- DCSA Track & Trace 2.2 ---


class Call(msgspec.Struct, frozen=True):
    """A transport call: where, what kind of facility, and by what."""

    place: str
    facility: str
    kind: str = "POTE"
    mode: str = "VESSEL"
    ship: str = ""
    imo: str = ""
    voyage: str = ""

    @property
    def json(self) -> Json:
        told: Json = {
            "transportCallID": str(_uuid(*msgspec.structs.astuple(self))),
            "modeOfTransport": self.mode,
            "UNLocationCode": self.place,
            "facilityCode": self.facility,
            "facilityCodeListProvider": "SMDG",
            "facilityTypeCode": self.kind,
        }
        if self.ship:
            told |= {"exportVoyageNumber": self.voyage, "importVoyageNumber": self.voyage}
            told["vessel"] = {"vesselIMONumber": self.imo, "vesselName": self.ship}
        return told


class Cargo(msgspec.Struct, frozen=True):
    """The documents and boxes that a carrier's event is about."""

    booking: str
    bill: str = ""
    boxes: tuple[str, ...] = ()

    @property
    def documents(self) -> list[Json]:
        told = (("BKG", self.booking), ("TRD", self.bill))
        return [{"documentReferenceType": kind, "documentReferenceValue": number} for kind, number in told if number]

    @property
    def references(self) -> list[Json]:
        return [{"referenceType": "EQ", "referenceValue": number} for number in self.boxes]


def equipment(code: str, box: str, call: Call, cargo: Cargo, when: datetime, *, laden: bool = True) -> Json:
    """Something done to one box."""
    told = {
        "equipmentEventTypeCode": code,
        "equipmentReference": box,
        "ISOEquipmentCode": "45G1",
        "emptyIndicatorCode": "LADEN" if laden else "EMPTY",
        "transportCall": call.json,
        "documentReferences": cargo.documents,
    }
    return _event("EQUIPMENT", when, when, told)


def transport(
    code: str,
    call: Call,
    cargo: Cargo,
    when: datetime,
    *,
    told_at: datetime | None = None,
    reason: tuple[str, str] = ("", ""),
) -> Json:
    """An arrival or departure; with `told_at` an estimate of that time, with the SMDG delay code and a remark."""
    told: Json = {
        "transportEventTypeCode": code,
        "transportCall": call.json,
        "documentReferences": cargo.documents,
        "references": cargo.references,
    }
    if reason[0]:
        told |= {"delayReasonCode": reason[0], "changeRemark": reason[1]}
    return _event("TRANSPORT", when, told_at or when, told, "EST" if told_at else "ACT")


def shipment(code: str, document_type: str, document: str, cargo: Cargo, when: datetime) -> Json:
    """The status of a document."""
    told = {
        "shipmentEventTypeCode": code,
        "documentTypeCode": document_type,
        "documentID": document,
        "documentReferences": cargo.documents,
        "references": cargo.references,
    }
    return _event("SHIPMENT", when, when, told)


def _event(kind: str, when: datetime, created: datetime, told: Json, classifier: str = "ACT") -> Json:
    head = {
        "eventID": str(_uuid(kind, when, created, *told.values())),
        "eventType": kind,
        "eventClassifierCode": classifier,
        "eventDateTime": when.isoformat(),
        "eventCreatedDateTime": f"{created.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return head | told


def _uuid(*parts: object) -> object:
    return uuid5(NAMESPACE_URL, "|".join(map(str, parts)))


# --- customs receipts ---

RECEIPT_TEXTS = {
    "7": "申报成功",
    "L": "海关入库成功",
    "E": "退单：商品规格型号申报不规范",
    "J": "通关无纸化审结",
    "G": "报关单已审结",
    "T": "税费通知：税款已生成，请及时缴纳",
    "C": "查验通知：请联系口岸海关办理查验手续",
    "P": "海关已放行",
    "R": "结关",
    "SpL": "概要申报海关入库成功",
    "SpJ": "概要申报审结",
    "SpK": "概要申报提货放行",
    "Sp1": "请于运输工具申报进境之日起14日内完成完整申报",
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A declaration and what its receipts say of it each time."""

    number: str  # EntryId, 18 digits
    seq: str
    customs: str  # declaring customs
    border: str  # customs of entry or exit
    bill: str = ""
    boxes: tuple[str, ...] = ()

    def receipt(self, code: str, when: datetime) -> Json:
        """Before customs has accepted it (code 7) there is no entry id yet."""
        told = {
            "SeqNo": self.seq,
            "EntryId": "" if code == "7" else self.number,
            "ReceiptCode": code,
            "ResultInfo": RECEIPT_TEXTS[code],
            "NoticeDate": f"{when:%Y%m%d%H%M%S}",
            "IEFlag": "I" if self.number[8] == "1" else "E",
            "CustomMaster": self.customs,
            "IEPort": self.border,
            "BillNo": self.bill,
            "ContainerNos": ",".join(self.boxes),
        }
        return {name: value for name, value in told.items() if value}


def receipts_xml(receipts: Iterable[Mapping[str, str]]) -> bytes:
    body = "".join(_element("DecResult", receipt) for receipt in receipts)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<DecResults>\n{body}</DecResults>\n'.encode()


def _element(name: str, fields: Mapping[str, str]) -> str:
    inner = "".join(f"  <{field}>{value}</{field}>\n" for field, value in fields.items())
    return f"<{name}>\n{inner}</{name}>\n"


# --- answers on manifests, arrival reports and tally reports ---


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What customs says about one bill, or about a voyage where no bill is named."""

    kind: str  # MT1101 original manifest by sea, MT3101 arrival report, MT5101 tally of imports, MT3201 arrival by air
    message: str  # the sender's reference
    when: datetime
    bill: str = ""
    boxes: tuple[str, ...] = ()
    voyage: str = ""
    name: str = ""  # ship, or flight
    place: str = ""
    customs: str = ""
    code: str = "01"

    @property
    def json(self) -> Json:
        head = {
            "MessageID": self.message,
            "FunctionCode": "9",
            "MessageType": self.kind,
            "SendTime": f"{self.when:%Y%m%d%H%M%S}000",
            "Version": "1.0",
        }
        told = {
            "ResponseCode": self.code,
            "Text": "海关接受申报" if self.code == "01" else "待人工审核",
            "NoticeTime": f"{self.when:%Y%m%d%H%M%S}",
            "BillNo": self.bill,
            "VoyageNo": self.voyage,
            "TransportName": self.name,
            "PlaceCode": self.place,
            "CustomsCode": self.customs,
            "ContainerNos": ",".join(self.boxes),
        }
        return {"Head": head, "Response": {name: value for name, value in told.items() if value}}


def answers_xml(answers: Iterable[Answer]) -> bytes:
    told = (answer.json for answer in answers)
    body = "".join(
        f"<Manifest>\n{_element('Head', one['Head'])}{_element('Response', one['Response'])}</Manifest>\n"
        for one in told
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Manifests>\n{body}</Manifests>\n'.encode()


# --- rail ---


def rail(kind: str, reference: str, when: datetime, place: str, boxes: Iterable[Json], **more: object) -> Json:
    """A rail statement; `more` in the message's own names: consignmentNo, trainNo, station, gaugeFrom and so on."""
    head = {"messageType": kind, "messageId": reference, "place": place, "eventTime": f"{when:%Y-%m-%dT%H:%M:%S}"}
    return head | more | {"containers": list(boxes)}


# --- air ---


def fsu(waybill: str, route: str, total: str, *statuses: str) -> bytes:
    """A status message on one air waybill; `total` such as T12K340.0.

    >>> fsu("11200000011", "XIYAMS", "T12K340.0", "RCS/17MAR1045/XIY/T12K340.0").decode().split()
    ['FSU/14', '112-00000011XIYAMS/T12K340.0', 'RCS/17MAR1045/XIY/T12K340.0']
    """
    lines = ["FSU/14", f"{waybill[:3]}-{waybill[3:]}{route}/{total}", *statuses]
    return "".join(f"{line}\r\n" for line in lines).encode()


def one_record(
    waybill: str, code: str, when: datetime, airport: str, *, flight: str, pieces: int, kilograms: float
) -> Json:
    """A logistics event on a part of a shipment, with its waybill embedded."""
    base = "https://1r.example.com/logistics-objects"
    owner = f"{base}/shipment-{waybill}"
    lists = "https://onerecord.iata.org/ns/coreCodeLists"
    return {
        "@context": {"@vocab": "https://onerecord.iata.org/ns/cargo#"},
        "@type": "LogisticsEvent",
        "@id": f"{owner}/logistics-events/{_uuid(waybill, code, when)}",
        "eventCode": {"@id": f"{lists}#StatusCode_{code}"},
        "eventTimeType": {"@id": "https://onerecord.iata.org/ns/cargo#ACTUAL"},
        "eventDate": {"@type": "http://www.w3.org/2001/XMLSchema#dateTime", "@value": when.isoformat()},
        "partialEventIndicator": True,
        "recordedPieceCount": pieces,
        "recordedWeight": {"numericalValue": kilograms, "unit": {"@id": f"{lists}#MeasurementUnitCode_KGM"}},
        "transportIdentifier": flight,
        "recordedAtLocation": {"@type": "Location", "locationCodes": [{"@type": "CodeListElement", "code": airport}]},
        "linkedObject": {
            "@type": "Shipment",
            "@id": owner,
            "waybill": {"@type": "Waybill", "waybillPrefix": waybill[:3], "waybillNumber": waybill[3:]},
        },
    }
