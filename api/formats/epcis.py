"""EPCIS 2.0 capture documents in JSON or JSON-LD: object, aggregation, transaction, transformation, association events.

A body is an EPCISDocument, one bare event, or an array of them; a query document is refused, for it answers a question
and states nothing. Event times carry their offset; the wall time is that of `eventTimeZoneOffset`. A container is known
by its EPC (`urn:epc:id:bic:`); other EPCs are `object:` subjects, SSCC and SGTIN under their GS1 Digital Link, so that
both spellings meet. An event about containers is stated of each of them, else of the parent, else of each object.

A business step says little about the means of transport: it becomes a milestone only where the event itself says more
(a ship named by its IMO number, a container packed or unpacked), and is kept as sent everywhere else.

An event with an error declaration takes back the one of the same `eventID`; without an id, the one whose content is the
same: SHA-256 of the event's canonical JSON (keys sorted, without `errorDeclaration` and `recordTime`). That is not the
event hash id of the Core Business Vocabulary, which would need every vocabulary of the document's context.
Source: GS1 EPCIS 2.0 and CBV 2.0 (2022), EPC Tag Data Standard 2.0 for the URIs, GS1 Digital Link 1.2.

>>> body = b'''{"type": "ObjectEvent", "eventTime": "2026-03-01T12:00:00+08:00", "eventTimeZoneOffset": "+08:00",
...  "epcList": ["urn:epc:id:bic:CSQU3054383"], "action": "OBSERVE", "bizStep": "holding"}'''
>>> [reading] = read(body)
>>> reading.reports[0].subject, reading.reports[0].raw_code, reading.reports[0].when.wall
('container:CSQU3054383', 'holding', '2026-03-01T12:00:00')
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec

from api.formats import epc
from api.formats.jsonslices import Slice, load, slices
from domain import places
from domain.errors import Malformed
from domain.report import Fault, Mode, Moment, Movement, Reading

SLUG = "epcis"
Uri = Annotated[str, msgspec.Meta(max_length=500)]
EventType = Literal["ObjectEvent", "AggregationEvent", "TransactionEvent", "TransformationEvent", "AssociationEvent"]


class Identified(msgspec.Struct, frozen=True):
    id: Uri = ""


class BizTransaction(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    type: Uri = ""
    biz_transaction: Uri = ""


class Quantity(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    epc_class: Uri = ""


class SensorReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    type: Uri = ""
    exception: Uri = ""
    uom: Uri = ""
    value: float | None = None
    min_value: float | None = None
    max_value: float | None = None
    mean_value: float | None = None
    string_value: str = ""
    boolean_value: bool | None = None


class SensorElement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    sensor_report: list[SensorReport] = []


class ErrorDeclaration(msgspec.Struct, frozen=True, kw_only=True):
    declaration_time: Annotated[str, msgspec.Meta(max_length=60)] = msgspec.field(name="declarationTime", default="")
    reason: Uri = ""
    corrective: list[Uri] = msgspec.field(name="correctiveEventIDs", default_factory=list)


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is read of an event; a document's own extensions stay in its bytes."""

    type: EventType
    event_id: Uri = msgspec.field(name="eventID", default="")
    event_time: Uri = ""
    event_time_zone_offset: Uri = ""
    record_time: Uri = ""
    error_declaration: ErrorDeclaration | None = None
    action: Literal["", "ADD", "OBSERVE", "DELETE"] = ""
    biz_step: Uri = ""
    disposition: Uri = ""
    read_point: Identified = Identified()
    biz_location: Identified = Identified()
    parent_id: Uri = msgspec.field(name="parentID", default="")
    epc_list: list[Uri] = []
    child_epcs: list[Uri] = msgspec.field(name="childEPCs", default_factory=list)
    input_epcs: list[Uri] = msgspec.field(name="inputEPCList", default_factory=list)
    output_epcs: list[Uri] = msgspec.field(name="outputEPCList", default_factory=list)
    quantity_list: list[Quantity] = []
    child_quantity_list: list[Quantity] = []
    input_quantity_list: list[Quantity] = []
    output_quantity_list: list[Quantity] = []
    biz_transaction_list: list[BizTransaction] = []
    sensor_element_list: list[SensorElement] = []


class _Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    type: str = ""
    creation_date: Uri = ""


class _Bad(Exception):
    """A field that reads well as JSON and yet makes no sense."""

    def __init__(self, reason: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(f"{SLUG}.{reason}", detail, 0, f"$.{field}")


# --- the document ---


def read(body: bytes) -> list[Reading]:
    """One Reading for each event."""
    envelope = _envelope(body)
    if envelope is not None and envelope.type == "EPCISQueryDocument":
        detail = "查询结果文档不能作为上报 / a query document cannot be captured"
        return [_whole(body, Fault(f"{SLUG}.query_document", detail, 0, "$.type"))]
    found = slices(body, "epcisBody.eventList")
    if envelope is not None and envelope.type == "EPCISDocument" and all(where == _all(body) for where in found):
        return [_whole(body, Fault(f"{SLUG}.events", "文档中没有事件 / the document has no events", 0, "$.epcisBody"))]
    sent_at = _sent_at(envelope.creation_date) if envelope is not None else None
    return [_reading(body, where, sent_at) for where in found]


def _envelope(body: bytes) -> _Envelope | None:
    """None if the whole is not one sound object; its events may yet be."""
    try:
        return _decode_envelope(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _all(body: bytes) -> Slice:
    start = len(body) - len(body.removeprefix(b"\xef\xbb\xbf").lstrip())
    return start, len(body.rstrip())


def _whole(body: bytes, fault: Fault) -> Reading:
    return Reading(key=sha256(body).hexdigest(), start=0, end=len(body), fault=fault)


def _sent_at(text: str) -> datetime | None:
    """The header's time; one that cannot be read harms no event."""
    try:
        when = places.moment(text, "")
    except Malformed:
        return None
    return when.at if when.zone_from == "stated" else None


# --- one event ---


def _reading(body: bytes, where: Slice, sent_at: datetime | None) -> Reading:
    raw = body[where[0] : where[1]]
    reading = Reading(key=sha256(raw).hexdigest(), start=where[0], end=where[1])
    event = load(body, where, _decode_event, SLUG)
    if isinstance(event, Fault):
        reading.fault = event
        return reading
    error = event.error_declaration
    if event.event_id:
        reading.key = event.event_id
        if error is not None:  # the original's id again, yet another message
            reading.key = f"{event.event_id} error {error.declaration_time}".rstrip()
    try:
        reading.document = event.event_id or _content(raw)
        reading.function = "original" if error is None else "cancel"
        reading.sent_at = _sent_at(event.record_time) or sent_at
        reading.reports = [*_movements(event)]
    except RecursionError:
        reading.fault = Fault(f"{SLUG}.depth", "嵌套过深 / nested too deeply", where[0])
    except _Bad as bad:
        reading.reports = []
        reading.fault = msgspec.structs.replace(bad.fault, offset=where[0])
    return reading


def _content(raw: bytes) -> str:
    """The event's content under a name of its own, whatever the spacing and the order of its members.

    A member that nobody reads may be no text and no number that can be read; then the bytes are the content.
    """
    try:
        members = _decode_any(raw)
        said = {name: value for name, value in members.items() if name not in {"errorDeclaration", "recordTime"}}
        raw = msgspec.json.encode(said, order="deterministic")
    except (msgspec.MsgspecError, ValueError, OverflowError):
        pass
    return f"sha-256;{sha256(raw).hexdigest()}"


def _movements(event: Event) -> Iterable[Movement]:
    named = _named(event)
    subjects, refs = _subjects(event, named)
    if not subjects:
        raise _Bad("subject", "epcList", "事件未说明任何对象 / the event names no object")
    if len(subjects) * (1 + len(refs)) > STATEMENTS_MAX:
        detail = f"事件过大，请拆分：{len(subjects)} × {len(refs)} / the event is too large, split it"
        raise _Bad("size", "epcList", detail)
    place, facility, elsewhere = _where(event)
    ships = [one for one in named if one.kind == "ship"]
    code = _code(event, named, ship=bool(ships))
    warnings = [one.warning for one in named if one.warning]
    if not code:
        step = event.biz_step or "(none)"
        warnings.append(f"业务步骤没有对应的里程碑，按原样保存 / no milestone for this step, kept as sent: {step}")
    mode: Mode = "VESSEL" if ships and code else ""
    for subject in subjects:
        yield Movement(
            subject=subject,
            code=code,
            raw_code=event.biz_step or "/".join(filter(None, (event.type, event.action))),
            when=_moment(event),
            place=place,
            facility=facility,
            mode=mode,
            transport=" ".join(f"IMO{ship.number}" for ship in ships),
            refs=tuple(ref for ref in refs if ref != subject),
            text=_words(event, elsewhere),
            warnings=tuple(dict.fromkeys(warnings)),
        )


# --- whom it is about ---


def _named(event: Event) -> list[epc.Named]:
    """Everything the event names, in its order, each once."""
    classes = (
        *event.quantity_list,
        *event.child_quantity_list,
        *event.input_quantity_list,
        *event.output_quantity_list,
    )
    uris = [
        *((("parentID", event.parent_id),) if event.parent_id else ()),
        *((f"epcList[{at}]", uri) for at, uri in enumerate(event.epc_list)),
        *((f"childEPCs[{at}]", uri) for at, uri in enumerate(event.child_epcs)),
        *((f"inputEPCList[{at}]", uri) for at, uri in enumerate(event.input_epcs)),
        *((f"outputEPCList[{at}]", uri) for at, uri in enumerate(event.output_epcs)),
        *(("quantityList", each.epc_class) for each in classes),
    ]
    for field, uri in uris:
        if not uri.strip():
            raise _Bad("subject", field, "对象标识为空 / an identifier is empty")
    papers = [epc.paper(each.biz_transaction, each.type) for each in event.biz_transaction_list]
    return list(dict.fromkeys([*(epc.thing(uri) for _, uri in uris), *filter(None, papers)]))


def _subjects(event: Event, named: list[epc.Named]) -> tuple[list[str], list[str]]:
    """Who the statements are about, and what they refer to besides. A ship is neither: it is the transport."""
    boxes = [one.subject for one in named if one.kind == "container"]
    things = [one.subject for one in named if one.kind == "object"]
    papers = [one.subject for one in named if one.kind == "paper"]
    if boxes:
        return boxes, [*things, *papers]
    if event.type == "TransformationEvent":
        return things, [*things, *papers]
    parent = epc.thing(event.parent_id) if event.parent_id.strip() else None
    if parent is not None and parent.kind == "object":
        return [parent.subject], [*things, *papers]
    return (things, papers) if things else (papers, [])


# --- what it says ---


def _code(event: Event, named: list[epc.Named], *, ship: bool) -> str:
    step = epc.step(event.biz_step)
    if ship:
        return BY_SHIP.get(step, "")
    packs = event.type == "AggregationEvent" and any(
        one.kind == "container" and one.uri == event.parent_id.strip() for one in named
    )
    return PACKED.get((step, event.action), "") if packs else ""


def _moment(event: Event) -> Moment:
    """The instant is that of `eventTime`; the wall time that of the offset stated beside it."""
    text, offset = event.event_time.strip(), event.event_time_zone_offset.strip()
    if offset and not _OFFSET.fullmatch(offset):
        raise _Bad("time", "eventTimeZoneOffset", f"不是时区偏移 / not an offset of time: {offset[:20]!r}")
    try:
        when = places.moment(text, "")
        if when.zone_from != "stated" and offset:
            when = places.moment(f"{text}{offset}", "")
        if offset not in {"", when.zone}:
            ahead = datetime.strptime(offset, "%z").utcoffset()
            assert ahead is not None
            return Moment(when.at, _wall(when, ahead), offset, "stated")
    except (Malformed, OverflowError) as error:
        raise _Bad("time", "eventTime", f"时间无法理解 / the time cannot be understood: {text[:60]!r}") from error
    if when.zone_from != "stated":
        raise _Bad("time", "eventTimeZoneOffset", f"时间没有时区 / the time has no offset: {text[:60]!r}")
    return when


def _wall(when: Moment, ahead: timedelta) -> str:
    """As precise as the event's own time was given."""
    whole, dot, fraction = when.wall.partition(".")
    precision = "seconds" if dot or whole.count(":") > 1 else "minutes"
    shown = (when.at + ahead).replace(tzinfo=None, microsecond=0).isoformat(timespec=precision)
    return f"{shown}{dot}{fraction}"


def _where(event: Event) -> tuple[str, str, str]:
    """Place, facility, and what is left to say: the read point counts before the business location."""
    read_at, located = event.read_point.id.strip(), event.biz_location.id.strip()
    place = epc.locode(read_at) or epc.locode(located)
    said = [uri for uri in (read_at, located) if uri and not epc.locode(uri)]
    return places.canonical(place, ""), said[0] if said else "", said[1] if len(said) > 1 else ""


def _words(event: Event, elsewhere: str) -> str:
    """What has no field of its own, under the standard's names."""
    said = [f"disposition={event.disposition}"] if event.disposition else []
    said += [f"bizLocation={elsewhere}"] if elsewhere else []
    reports = [report for element in event.sensor_element_list for report in element.sensor_report]
    said += [_sensor(report) for report in reports[:SENSOR_REPORTS_MAX]]
    if len(reports) > SENSOR_REPORTS_MAX:
        said.append(f"… {len(reports)} sensorReport")
    if event.error_declaration is not None:
        said.append(f"errorDeclaration={event.error_declaration.reason}")
        said += [f"correctiveEventID={each}" for each in event.error_declaration.corrective]
    return " ".join(filter(None, said))


def _sensor(report: SensorReport) -> str:
    values = {
        "": report.value,
        "min": report.min_value,
        "mean": report.mean_value,
        "max": report.max_value,
    }
    said = [f"{name}={value:.12g}" if name else f"{value:.12g}" for name, value in values.items() if value is not None]
    said += [report.string_value[:SENSOR_CHARS_MAX]] if report.string_value else []
    said += [str(report.boolean_value).lower()] if report.boolean_value is not None else []
    alarm = f"!{report.exception}" if report.exception else ""
    return " ".join(filter(None, (report.type, *said, report.uom if said else "", alarm)))


STATEMENTS_MAX = 50_000  # facts and references that one event may make
_OFFSET = re.compile(r"[+-](?:0[0-9]|1[0-4]):[0-5][0-9]")
SENSOR_REPORTS_MAX = 20
SENSOR_CHARS_MAX = 100
_decode_event = msgspec.json.Decoder(Event).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_any = msgspec.json.Decoder(dict[str, Any]).decode

BY_SHIP = {"arriving": "VSL_ARR", "departing": "VSL_DEP", "loading": "LOADED", "unloading": "DISCHARGED"}
"""Business steps of what is on a ship that the event names."""

PACKED = {("packing", "ADD"): "STUFFED", ("unpacking", "DELETE"): "STRIPPED"}
"""Business steps and actions of a container as the parent of an aggregation."""
