"""Gate passes of customs zones (核放单) and road transport reports, as XML or JSON in the national field style.

A `GatePass` has a number and a status; a `TransportReport` has the canonical name of a milestone, or its Chinese one.
A statement is made of the truck by its plate, and of each container on it. 51 and 53 are a passage, 52 a refusal; every
other status is kept as sent, and 95, 96, 99 and 100 take back all that was told of the pass. Times without offset are
local to the place, and Beijing time where no place is known; weights are kilograms.
Source: statuses and their words as zone gate systems in China publish them; the envelope is this product's own,
edition 1, with field names of the national messages (names are compared without case and underscores).

>>> body = '''<GatePass><PassportNo>H2301260000017</PassportNo><Status>51</Status><VehicleNo>苏A12345</VehicleNo>
... <ContainerNo>CSQU3054383</ContainerNo><StatusTime>20260301120000</StatusTime></GatePass>'''.encode()
>>> [reading] = read(body)
>>> [(report.subject, report.code, report.raw_code) for report in reading.reports]
[('truck:苏A12345', 'CHECKPOINT_PASS', 'GATEPASS/51'), ('container:CSQU3054383', 'CHECKPOINT_PASS', 'GATEPASS/51')]
"""

import re
from hashlib import sha256

import msgspec

from api.formats.trees import Message, Tree, messages, text, texts
from domain import identifiers, places
from domain.errors import Malformed
from domain.milestones import MILESTONES
from domain.report import Classifier, Fault, Moment, Movement, Reading

SLUG = "road"
ELEMENTS = ("GatePass", "Passport", "TransportReport", "RoadReport")
ZONE = "Asia/Shanghai"


class Said(msgspec.Struct, frozen=True):
    """What a message says, whomever it is about."""

    code: str
    raw_code: str
    at: str
    at_field: str
    text: str
    odd: tuple[str, ...]


class _Bad(Exception):
    """A field that is missing or makes no sense."""

    def __init__(self, reason: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(f"{SLUG}.{reason}", detail, 0, field)


def read(body: bytes) -> list[Reading]:
    """One Reading for each gate pass or transport report."""
    return [_reading(body, message) for message in messages(body, SLUG, ELEMENTS)]


def _reading(body: bytes, message: Message) -> Reading:
    digest = sha256(body[message.start : message.end]).hexdigest()
    reading = Reading(key=digest, start=message.start, end=message.end, fault=message.fault)
    if message.fault is not None:
        return reading
    try:
        if number := _short(message.tree, "PassportNo", "GatePassNo"):
            _gate_pass(reading, message.tree, number)
        else:
            _transport_report(reading, message.tree)
        sent = _short(message.tree, "SendTime")
        reading.sent_at = _moment(sent, "", "SendTime").at if sent else None
        reading.key = _short(message.tree, "MessageId") or reading.key
    except _Bad as bad:
        reading.reports = []
        reading.fault = msgspec.structs.replace(bad.fault, offset=message.start)
    return reading


# --- gate pass ---


def _gate_pass(reading: Reading, tree: Tree, number: str) -> None:
    status = _short(tree, "Status", "StatusCode")
    if not status:
        raise _Bad("status", "Status", "核放单状态缺失 / the status of the gate pass is missing")
    status = status.lstrip("0") or status
    known = STATUSES.get(status)
    odd = () if known else (f"核放单状态未知，按原样保存 / unknown status, kept as sent: {status}",)
    at = _text(tree, "StatusTime", "PassTime", "EventTime")
    note = _text(tree, "Note", "Remark")
    said = " ".join(filter(None, (f"核放单 {number}", known[1] if known else "", note)))
    reading.key = f"{number}|{status}|{at}"[:KEY_CHARS_MAX]
    reading.document = number
    if status in VOID:
        reading.function = "cancel"
        if not at:
            return
    code = known[0] if known else ""
    reading.reports = [*_statements(tree, Said(code, f"GATEPASS/{status}", at, "StatusTime", said, odd))]


# --- transport report ---


def _transport_report(reading: Reading, tree: Tree) -> None:
    kind = _short(tree, "MessageType", "EventType")
    if not kind:
        detail = "既无核放单编号也无报文类型 / neither a gate pass number nor a message type"
        raise _Bad("type", "MessageType", detail)
    code = WORDS.get(kind) or (kind.upper() if kind.upper() in MILESTONES else "")
    odd = () if code else (f"报文类型未知，按原样保存 / unknown type, kept as sent: {kind}",)
    function = _short(tree, "Function").lower() or "original"
    if function not in {"original", "cancel", "replace"}:
        raise _Bad("function", "Function", f"功能无法理解 / the function cannot be understood: {function!r}")
    reading.document = _short(tree, "ReportNo", "DocumentNo")
    if function != "original" and not reading.document:
        raise _Bad("document", "ReportNo", f"{function}：未说明单证号 / {function} of no document")
    reading.function = "cancel" if function == "cancel" else "replace" if function == "replace" else "original"
    at = _text(tree, "EventTime", "StatusTime")
    if function == "cancel" and not at:
        return
    said = " ".join(filter(None, (_position(tree), _text(tree, "Note", "Remark"))))
    reading.reports = [*_statements(tree, Said(code, kind, at, "EventTime", said, odd))]


def _position(tree: Tree) -> str:
    """Latitude and longitude as one text, "" if they are not told."""
    lat, lon = _text(tree, "Latitude", "Lat"), _text(tree, "Longitude", "Lon", "Lng")
    if not (lat or lon):
        return ""
    for value, field, limit in ((lat, "Latitude", 90), (lon, "Longitude", 180)):
        if not _DECIMAL.fullmatch(value) or abs(float(value)) > limit:
            raise _Bad("position", field, f"经纬度无法理解 / not a coordinate: {value[:40]!r}")
    return f"{lat},{lon}"


# --- the statements of either ---


def _statements(tree: Tree, said: Said) -> list[Movement]:
    """One for the truck, one for each container; truck and containers refer to each other."""
    boxes, warnings = _containers(tree)
    plate = identifiers.normalise(_short(tree, "VehicleNo", "PlateNo", "TruckNo")).replace(" ", "")
    truck = [f"truck:{plate}"] if plate else []
    if not (truck or boxes):
        raise _Bad("subject", "VehicleNo", "既无车牌号也无箱号 / neither a plate nor a container is named")
    said_place = _short(tree, "Place", "PlaceCode")
    place = places.canonical(said_place, "TRUCK") if said_place else ""
    papers = _papers(tree)
    shared = Movement(
        subject="",
        code=said.code,
        raw_code=said.raw_code,
        when=_moment(said.at, place, said.at_field),
        classifier=_classifier(tree),
        place=place,
        facility=_text(tree, "GateName", "CheckpointName", "GateNo", "CheckpointNo"),
        mode="TRUCK",
        transport="/".join(filter(None, (plate, identifiers.normalise(_short(tree, "TrailerNo"))))),
        seal=_short(tree, "SealNo"),
        text=said.text,
    )
    return [
        msgspec.structs.replace(
            shared,
            subject=subject,
            refs=(*(boxes if subject in truck else truck), *papers),
            weight_kg=_weight(tree) if subject in truck or not truck else None,
            warnings=(*said.odd, *warnings.get(subject, ())),
        )
        for subject in (*truck, *boxes)
    ]


def _containers(tree: Tree) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """The containers as subjects, and what is odd about any of them."""
    found = [pair for said in _numbers(tree, "ContainerNo", "ContainerNos") if (pair := identifiers.container(said))[0]]
    warnings: dict[str, tuple[str, ...]] = {f"container:{number}": (warning,) for number, warning in found if warning}
    return list(dict.fromkeys(f"container:{number}" for number, _ in found)), warnings


def _papers(tree: Tree) -> list[str]:
    papers = [f"declaration:{number.replace(' ', '')}" for number in _numbers(tree, "EntryId", "EntryIds")]
    papers += [f"bl:{number}" for number in _numbers(tree, "BillNo", "BillNos")]
    papers += [f"manifest:{number}" for number in _numbers(tree, "BatchNo")]
    return papers


def _classifier(tree: Tree) -> Classifier:
    said = _short(tree, "EventClass").upper() or "ACT"
    if said not in CLASSIFIERS:
        raise _Bad("class", "EventClass", f"状态类别无法理解 / the class cannot be understood: {said!r}")
    return CLASSIFIERS[said]


def _weight(tree: Tree) -> float | None:
    said = _text(tree, "GrossWt", "TotalWt", "Weight")
    if not said:
        return None
    if not _DECIMAL.fullmatch(said) or not 0 <= float(said) <= WEIGHT_KG_MAX:
        raise _Bad("weight", "GrossWt", f"重量无法理解 / not a weight in kilograms: {said[:40]!r}")
    return float(said)


def _text(tree: Tree, *names: str) -> str:
    return text(tree, *(name.lower() for name in names))


def _short(tree: Tree, *names: str) -> str:
    """A number or code, never a long text."""
    said = _text(tree, *names)
    if len(said) > NUMBER_CHARS_MAX:
        raise _Bad("field", names[0], f"字段过长 / the field is too long: {said[:60]!r}…")
    return said


def _numbers(tree: Tree, *names: str) -> list[str]:
    """Several numbers, repeated or in one text."""
    said = texts(tree, *(name.lower() for name in names))
    found = list(
        dict.fromkeys(filter(None, (identifiers.normalise(part) for one in said for part in _COMMA.split(one))))
    )
    if len(found) > NUMBERS_MAX or any(len(number) > NUMBER_CHARS_MAX for number in found):
        raise _Bad("field", names[0], f"号码过多或过长 / too many numbers, or too long: {len(found)}")
    return found


def _moment(said: str, place: str, field: str) -> Moment:
    try:
        return places.moment(said, place, ZONE)
    except Malformed as error:
        raise _Bad("time", field, f"时间无法理解 / the time cannot be understood: {said[:60]!r}") from error


NUMBER_CHARS_MAX = 60
NUMBERS_MAX = 50
KEY_CHARS_MAX = 200
WEIGHT_KG_MAX = 1_000_000
_COMMA = re.compile(r"[,;，；、\s]+")
_DECIMAL = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?")
CLASSIFIERS: dict[str, Classifier] = {"PLN": "PLN", "EST": "EST", "ACT": "ACT"}

STATUSES = {
    "1": ("", "暂存"),
    "3": ("", "海关入库"),
    "4": ("", "入库失败"),
    "5": ("", "审核通过"),
    "6": ("", "审核拒绝"),
    "17": ("", "待审核"),
    "18": ("", "已确认"),
    "50": ("", "未过卡"),
    "51": ("CHECKPOINT_PASS", "已过卡"),
    "52": ("CHECKPOINT_REFUSED", "拒绝过卡"),
    "53": ("CHECKPOINT_PASS", "卡口放行"),
    "95": ("", "作废"),
    "96": ("", "作废"),
    "99": ("", "删除"),
    "100": ("", "删除"),
}
"""Statuses of a gate pass: milestone, if it is one, and the systems' own word."""

VOID = frozenset({"95", "96", "99", "100"})

WORDS = {
    "派车": "TRUCK_DISPATCHED",
    "到达提货点": "PICKUP_ARR",
    "装车": "TRUCK_LOADED",
    "施封": "ESEAL_ON",
    "解封": "ESEAL_OFF",
    "报警": "ESEAL_ALARM",
    "发车": "TRUCK_DEP",
    "在途": "TRUCK_POS",
    "在途位置": "TRUCK_POS",
    "过卡": "CHECKPOINT_PASS",
    "拒绝过卡": "CHECKPOINT_REFUSED",
    "偏离路线": "ROUTE_DEVIATION",
    "超时停留": "OVERSTAY",
    "到达": "TRUCK_ARR",
    "卸车": "TRUCK_UNLOADED",
    "签收": "POD",
}
"""What a road carrier's system calls the milestones."""
