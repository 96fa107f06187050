"""Rail statements in JSON: customs rail messages (WLJK_…, 铁路舱单及监管作业报文) and what stations report themselves.

A body is one envelope or an array of them. `messageType` is a WLJK_ type or the canonical name of a milestone; types
that end in D void an earlier statement. A statement is made for each container, and for the consignment where no
container is named or the matter is the consignment's own. Times are ISO 8601 or digits; without offset they are local
to the place, and Beijing time where no place is known. Weights are kilograms, gauges millimetres.
Source: customs rail message types WLJK_… by their names; the envelope is this product's own, edition 1.

>>> body = b'''{"messageType": "WLJK_TREL", "messageId": "R1", "consignmentNo": "31234567", "place": "CNXIA",
...  "eventTime": "20241121103000", "containers": [{"number": "CSQU3054383", "wagon": "5412345"}]}'''
>>> [reading] = read(body)
>>> [report] = reading.reports
>>> report.subject, report.code, report.refs, report.when.at.isoformat()
('container:CSQU3054383', 'RAIL_RELEASE', ('rail:31234567',), '2024-11-21T02:30:00+00:00')
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Any

import msgspec

from api.formats.jsonslices import Slice, field_fault, load, slices
from domain import identifiers, places
from domain.errors import Malformed
from domain.milestones import MILESTONES
from domain.report import Classifier, Fault, Function, Moment, Movement, Reading

SLUG = "rail"
ZONE = "Asia/Shanghai"
Name = Annotated[str, msgspec.Meta(max_length=100)]
Gauge = Annotated[int, msgspec.Meta(ge=0, le=9999)]


class Box(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    number: Name
    seal: Name = ""
    wagon: Name = ""
    laden: bool | None = None
    weight_kg: Annotated[float, msgspec.Meta(ge=0)] | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    message_type: Name
    message_id: Name = ""
    send_time: Name = ""
    function: Function = "original"
    consignment_no: Name = ""
    train_no: Name = ""
    containers: tuple[Box, ...] = ()
    station: Name = ""  # code or name, as the railway has it
    place: Name = ""  # UN/LOCODE
    event_time: Name = ""
    event_class: Classifier = "ACT"
    border: Name = ""  # UN/LOCODE or name of the border station
    gauge_from: Gauge | None = None  # mm
    gauge_to: Gauge | None = None
    declarations: tuple[Name, ...] = ()


class _Bad(Exception):
    """A field that is missing or makes no sense."""

    def __init__(self, reason: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(f"{SLUG}.{reason}", detail, 0, f"$.{field}")


def read(body: bytes) -> list[Reading]:
    """One Reading for each envelope."""
    return [_reading(body, where) for where in slices(body)]


def _reading(body: bytes, where: Slice) -> Reading:
    digest = sha256(body[where[0] : where[1]]).hexdigest()
    reading = Reading(key=digest, start=where[0], end=where[1])
    loaded = load(body, where, _decode, SLUG)
    if isinstance(loaded, Fault):
        reading.fault = loaded
        return reading
    try:
        envelope = msgspec.convert(loaded, Envelope)
        void = envelope.message_type.upper() in VOIDS or envelope.function == "cancel"
        reading.reports = [] if void and not envelope.event_time else [*_movements(envelope)]
        if envelope.send_time:
            reading.sent_at = _moment(envelope.send_time, "", "sendTime").at
        reading.key = envelope.message_id or digest
        reading.document = _document(envelope)
        reading.function = "cancel" if void else envelope.function
        reading.warnings = tuple(_unread(loaded))
    except msgspec.ValidationError as error:
        reading.fault = field_fault(SLUG, error, where[0])
    except _Bad as bad:
        reading.reports = []
        reading.fault = msgspec.structs.replace(bad.fault, offset=where[0])
    return reading


def _unread(loaded: dict[str, Any]) -> Iterable[str]:
    """Fields that nobody reads are named, so that what a railway adds is noticed."""
    boxes = loaded.get("containers") or ()
    odd = [name for name in loaded if name not in _FIELDS]
    odd += [f"containers[].{name}" for name in dict.fromkeys(key for box in boxes for key in box) if name not in _BOX]
    for name in odd:
        yield f"字段未读取 / a field was not read: {name[:60]}"


def _code(envelope: Envelope) -> str:
    kind = envelope.message_type.upper()
    return TYPES.get(kind) or (kind if kind in MILESTONES else "")


def _document(envelope: Envelope) -> str:
    """What is told, of which consignment (or train, or boxes), and where: a void or replacement names the same."""
    boxes = ",".join(sorted(identifiers.container(box.number)[0] for box in envelope.containers))
    what = identifiers.normalise(envelope.consignment_no) or identifiers.normalise(envelope.train_no) or boxes
    named = ":".join((_code(envelope) or envelope.message_type, what, envelope.place or envelope.station))
    return named if len(named) <= DOCUMENT_CHARS_MAX else sha256(named.encode()).hexdigest()


def _movements(envelope: Envelope) -> Iterable[Movement]:
    warnings: list[str] = []
    code = _code(envelope)
    if not envelope.message_type:
        raise _Bad("type", "messageType", "报文类型缺失 / the message type is missing")
    if not code:
        warnings.append(f"报文类型未知，按原样保存 / unknown type, kept as sent: {envelope.message_type}")
    place = _place(envelope, code)
    consignment = identifiers.normalise(envelope.consignment_no)
    whole = (f"rail:{consignment}",) if consignment else ()
    entries = filter(None, map(identifiers.normalise, envelope.declarations))
    declarations = tuple(f"declaration:{number}" for number in entries)
    shared = Movement(
        subject=whole[0] if whole else "",
        code=code,
        raw_code=envelope.message_type,
        when=_moment(envelope.event_time, place, "eventTime"),
        classifier=envelope.event_class,
        place=place,
        facility=envelope.station,
        mode="RAIL",
        transport=envelope.train_no,
        refs=declarations,
        text=_words(envelope),
        warnings=tuple(warnings),
    )
    if not envelope.containers and not whole:
        raise _Bad("subject", "consignmentNo", "既无运单号也无箱号 / neither a consignment nor a container is named")
    if whole and (not envelope.containers or code in CONSIGNMENTS_OWN):
        named = (identifiers.container(box.number)[0] for box in envelope.containers)
        boxes = tuple(f"container:{number}" for number in named if number)
        yield msgspec.structs.replace(shared, refs=(*boxes, *declarations))
    for at, box in enumerate(envelope.containers):
        yield _of_box(shared, box, at, (*whole, *declarations))


def _of_box(shared: Movement, box: Box, at: int, refs: tuple[str, ...]) -> Movement:
    number, warning = identifiers.container(box.number)
    if not number:
        raise _Bad("subject", f"containers[{at}].number", "箱号缺失 / the container number is missing")
    wagon = f"wagon={box.wagon}" if box.wagon else ""
    return msgspec.structs.replace(
        shared,
        subject=f"container:{number}",
        transport="/".join(filter(None, (shared.transport, box.wagon))),
        laden=box.laden,
        weight_kg=box.weight_kg,
        seal=box.seal,
        refs=refs,
        text=" ".join(filter(None, (wagon, shared.text))),
        warnings=(*shared.warnings, *([warning] if warning else ())),
    )


def _place(envelope: Envelope, code: str) -> str:
    """What happens at the border has the border station as its place, if no other is given."""
    said = envelope.place or (envelope.border if code in AT_BORDER else "")
    return places.canonical(said, "RAIL") if said else ""


def _words(envelope: Envelope) -> str:
    """What has no field of its own, under the source's names."""
    said = {"gaugeFrom": envelope.gauge_from, "gaugeTo": envelope.gauge_to, "border": envelope.border}
    return " ".join(f"{name}={value}" for name, value in said.items() if value)


def _moment(text: str, place: str, field: str) -> Moment:
    try:
        return places.moment(text, place, ZONE)
    except Malformed as error:
        raise _Bad("time", field, f"时间无法理解 / the time cannot be understood: {text!r}") from error


DOCUMENT_CHARS_MAX = 200
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_FIELDS = frozenset(Envelope.__struct_encode_fields__)
_BOX = frozenset(Box.__struct_encode_fields__)

TYPES = {
    "WLJK_ERRA": "RAIL_ARRIVAL_RPT",
    "WLJK_ERRD": "RAIL_ARRIVAL_RPT",
    "WLJK_ERRR": "RAIL_ARRIVAL_RPT",
    "WLJK_TREL": "RAIL_RELEASE",
    "WLJK_TLN": "LOAD_NOTICE",
    "WLJK_TLA": "WAGON_LOADED",
    "WLJK_TLD": "WAGON_LOADED",
    "WLJK_TLR": "WAGON_LOADED",
    "WLJK_IRTA": "RAIL_TALLY",
    "WLJK_IRTD": "RAIL_TALLY",
    "WLJK_IRTR": "RAIL_TALLY",
    "WLJK_ERTA": "RAIL_TALLY",
    "WLJK_ERTD": "RAIL_TALLY",
    "WLJK_ERTR": "RAIL_TALLY",
}
"""Arrival (ERR), release (TREL), loading notice (TLN), loading (TL), import and export tally (IRT, ERT); a last A is
the report, D its voiding, R the receipt. Any other type is a milestone's own name."""

VOIDS = frozenset({"WLJK_ERRD", "WLJK_TLD", "WLJK_IRTD", "WLJK_ERTD"})
CONSIGNMENTS_OWN = frozenset({"RAIL_REQ", "RWB_ISSUED"})
AT_BORDER = frozenset({"BORDER_ARR", "GAUGE_CHANGE", "BORDER_CROSSED"})
