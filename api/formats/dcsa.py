"""DCSA Track & Trace events: what carriers say about transport, shipments and equipment.

A body is an array of events (the answer of GET /v2/events, and a callback), one event, or {"events": [...]}. Only what
is needed of an event is asked for; one that lacks it becomes a fault and the others go on. Times carry their offset.
Source: DCSA Track & Trace 2.2.0 (OpenAPI TNT_v2.2.0), with isTransshipmentMove as later editions have it.

>>> [reading] = read(
...     b'[{"eventID": "e1", "eventType": "EQUIPMENT", "eventClassifierCode": "ACT", "eventCreatedDateTime":'
...     b' "2024-05-01T13:20:00Z", "eventDateTime": "2024-05-01T21:12:00+08:00", "equipmentEventTypeCode": "LOAD",'
...     b' "equipmentReference": "CSQU3054383", "emptyIndicatorCode": "LADEN", "transportCall": {"modeOfTransport":'
...     b' "VESSEL", "UNLocationCode": "CNSHG", "exportVoyageNumber": "032E", "vessel": {"vesselName": "Ning An"}}}]'
... )
>>> move = reading.reports[0]
>>> reading.key, move.subject, move.code, move.transport, move.when.at.isoformat()
('e1', 'container:CSQU3054383', 'LOADED', 'Ning An 032E', '2024-05-01T13:12:00+00:00')
"""

import json
from datetime import datetime
from hashlib import sha256

import msgspec

from api.formats.jsonslices import Slice, load, slices
from domain import identifiers, milestones, places
from domain.errors import Malformed
from domain.report import Classifier, Fault, Mode, Movement, Reading, Receipt

SLUG = "dcsa"
NAME_CHARS_MAX = 100

Text = str | None


class _Reference(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    reference_type: Text = None
    reference_value: Text = None


class _DocumentReference(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    document_reference_type: Text = None
    document_reference_value: Text = None


class _Location(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    un_location_code: Text = msgspec.field(default=None, name="UNLocationCode")
    facility_code: Text = None


class _Vessel(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    vessel_name: Text = None
    vessel_imo_number: Text = msgspec.field(default=None, name="vesselIMONumber")


class _Call(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    mode_of_transport: Text = None
    un_location_code: Text = msgspec.field(default=None, name="UNLocationCode")
    facility_code: Text = None
    facility_type_code: Text = None
    other_facility: Text = None
    export_voyage_number: Text = None
    import_voyage_number: Text = None
    location: _Location | None = None
    vessel: _Vessel | None = None


class _Seal(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    seal_number: Text = None


class _Event(msgspec.Struct, frozen=True, gc=False, rename="camel", kw_only=True):
    event_id: Text = msgspec.field(default=None, name="eventID")
    event_type: str
    event_classifier_code: str
    event_date_time: str
    event_created_date_time: Text = None
    transport_event_type_code: Text = None
    equipment_event_type_code: Text = None
    shipment_event_type_code: Text = None
    document_id: Text = msgspec.field(default=None, name="documentID")
    document_type_code: Text = None
    equipment_reference: Text = None
    empty_indicator_code: Text = None
    is_transshipment_move: bool | None = None
    event_location: _Location | None = None
    transport_call: _Call | None = None
    document_references: list[_DocumentReference] | None = None
    references: list[_Reference] | None = None
    seals: list[_Seal] | None = None
    reason: Text = None
    change_remark: Text = None
    delay_reason_code: Text = None


_decode = msgspec.json.Decoder(_Event).decode
_NO_CALL, _NO_LOCATION, _NO_VESSEL = _Call(), _Location(), _Vessel()


class _Bad(Exception):
    """An event that reads well as JSON and yet says nothing that can be recorded."""

    def __init__(self, reason: str, member: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.member, self.detail = reason, member, detail


def read(body: bytes) -> list[Reading]:
    """One reading for each event; never raises."""
    start = len(body) - len(body.removeprefix(b"\xef\xbb\xbf").lstrip())
    found = slices(body, "events")
    if len(found) == 1 and found[0][0] == start:
        return [_reading(body, found[0], "$")]
    prefix = "$" if body.startswith(b"[", start) else "$.events"
    return [_reading(body, where, prefix, index) for index, where in enumerate(found)]


def _reading(body: bytes, where: Slice, array: str, index: int | None = None) -> Reading:
    event = load(body, where, _decode, SLUG)
    if isinstance(event, Fault):
        fault = msgspec.structs.replace(event, path=_path(array, index) + event.path.removeprefix("$"))
        return Reading(key=_digest(body[where[0] : where[1]]), start=where[0], end=where[1], fault=fault)
    key = event.event_id or ""
    if not 0 < len(key) <= NAME_CHARS_MAX:
        key = _digest(body[where[0] : where[1]])
    sent_at, warning = _sent(event.event_created_date_time or "")
    reading = Reading(key=key, start=where[0], end=where[1], sent_at=sent_at, warnings=(warning,) if warning else ())
    try:
        reading.reports = _movements(event)
    except _Bad as bad:
        reading.fault = Fault(f"{SLUG}.{bad.reason}", bad.detail, where[0], f"{_path(array, index)}.{bad.member}")
    return reading


def _path(array: str, index: int | None) -> str:
    return array if index is None else f"{array}[{index}]"


def _digest(raw: bytes) -> str:
    """SHA-256 of the event as canonical JSON, or of its bytes where it is no JSON."""
    try:
        meaning = json.loads(raw)
        raw = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        pass  # not JSON, or a lone surrogate: the bytes themselves
    return "sha256:" + sha256(raw).hexdigest()


def _sent(text: str) -> tuple[datetime | None, str]:
    try:
        return places.moment(text, "").at, ""
    except (Malformed, ValueError, OverflowError):
        return None, _say("eventCreatedDateTime 缺失或有误", "is missing or wrong", text)


# --- one event ---


def _movements(event: _Event) -> list[Movement | Receipt]:
    """One for each container that it is about, else one for its document."""
    raw_code, member = _raw_code(event)
    call = event.transport_call or _NO_CALL
    warnings: list[str] = []
    classifier = _CLASSIFIERS.get(event.event_classifier_code)
    if classifier is None:
        raise _Bad(
            "classifier",
            "eventClassifierCode",
            _say("时间性质未知", "is no known classifier", event.event_classifier_code),
        )
    mode = _MODES.get(call.mode_of_transport or "", "")
    if call.mode_of_transport and not mode:
        warnings.append(_say("运输方式未知", "is no known mode of transport", call.mode_of_transport))
    code = _code(event, raw_code, mode, call)
    if not code:
        warnings.append(_say(f"{member} 未知，按原样保留", "is not known; it is kept as sent", raw_code))
    place, facility = _spot(event, call, mode, warnings)
    try:
        when = places.moment(event.event_date_time, place)
    except (Malformed, ValueError, OverflowError) as fault:
        raise _Bad("time", "eventDateTime", _say("时间无法识别", "is no time", event.event_date_time)) from fault
    laden, transport, text = _laden(event, warnings), _transport(event, call), _text(event)
    seal = " ".join([seal.seal_number for seal in event.seals if seal.seal_number]) if event.seals else ""
    return [
        Movement(
            subject=subject, code=code, raw_code=raw_code, when=when, classifier=classifier, place=place,
            facility=facility, mode=mode, transport=transport, laden=laden, seal=seal, refs=refs, text=text,
            warnings=(odd, *warnings) if odd else tuple(warnings),
        )
        for subject, refs, odd in _subjects(event, member)
    ]  # fmt: skip


def _subjects(event: _Event, member: str) -> list[tuple[str, tuple[str, ...], str]]:
    """Each that the statement is made of, with the others that the event names and a warning about its number."""
    containers, documents = _names(event)
    if event.event_type == "EQUIPMENT" and event.equipment_reference:
        subjects = list(containers)[:1]
    elif event.event_type == "SHIPMENT" and event.document_type_code in _PREFIXES:
        subjects = documents[:1]
    elif event.event_type == "SHIPMENT":
        subjects = documents[:1] or list(containers)
    else:
        subjects = list(containers) or documents[:1]
    if not subjects:
        raise _Bad(
            "subject",
            member,
            _say("没有集装箱、提单或订舱号", "names no container, bill of lading or booking", event.event_type),
        )
    named = (*documents, *containers)
    return [
        (subject, tuple([ref for ref in named if ref != subject]), containers.get(subject, "")) for subject in subjects
    ]


def _names(event: _Event) -> tuple[dict[str, str], list[str]]:
    """Containers with the warning about their number, the event's own first; bills before bookings, its own first."""
    numbers = [event.equipment_reference]
    if event.references:
        numbers += [ref.reference_value for ref in event.references if ref.reference_type == "EQ"]
    containers: dict[str, str] = {}
    for number in numbers:
        if number and len(number) <= NAME_CHARS_MAX:
            named, odd = identifiers.container(number)
            if named:
                containers.setdefault(f"container:{named}", odd)
    said = [(event.document_type_code, event.document_id)]
    if refs := event.document_references:
        found = [(ref.document_reference_type, ref.document_reference_value) for ref in refs]
        said += found if len(found) == 1 else sorted(found, key=lambda pair: pair[0] not in _BILLS)
    documents: dict[str, None] = {}
    for kind, number in said:
        prefix = _PREFIXES.get(kind or "")
        if prefix and number and len(number) <= NAME_CHARS_MAX and (named := identifiers.normalise(number)):
            documents[f"{prefix}:{named}"] = None
    return containers, list(documents)


def _raw_code(event: _Event) -> tuple[str, str]:
    """The code of what happened, and the member that holds it; a shipment's goes with its document type."""
    member = _MEMBERS.get(event.event_type)
    if member is None:
        raise _Bad("type", "eventType", _say("事件类型未知", "is no known type of event", event.event_type))
    if event.event_type == "SHIPMENT":
        code = event.shipment_event_type_code and f"{event.shipment_event_type_code}/{event.document_type_code or ''}"
    else:
        equipment = event.event_type == "EQUIPMENT"
        code = event.equipment_event_type_code if equipment else event.transport_event_type_code
    if not code:
        raise _Bad("code", member, _say("缺少事件代码", "is missing", member))
    return code, member


def _code(event: _Event, raw_code: str, mode: Mode, call: _Call) -> str:
    facility = call.facility_type_code or ""
    if event.event_type == "TRANSPORT":
        return milestones.from_dcsa_transport(raw_code, mode=mode, border=facility == "BOCR")
    if event.event_type == "SHIPMENT":
        return milestones.from_dcsa_shipment(*raw_code.split("/", 1))
    return milestones.from_dcsa_equipment(
        raw_code, mode=mode, empty=_EMPTY.get(event.empty_indicator_code or ""), facility_type=facility,
        transhipment=bool(event.is_transshipment_move),
    )  # fmt: skip


def _spot(event: _Event, call: _Call, mode: Mode, warnings: list[str]) -> tuple[str, str]:
    """Where it happened: the event's own location, else the call's."""
    own, called = event.event_location or _NO_LOCATION, call.location or _NO_LOCATION
    reported = own.un_location_code or call.un_location_code or called.un_location_code or ""
    facility = own.facility_code or call.facility_code or called.facility_code or call.other_facility or ""
    place = places.canonical(reported, mode) if reported else ""
    if place and places.find(place) is None:
        warnings.append(_say("地点不在名录中", "is not in the directory of places", reported))
    return place, facility


def _laden(event: _Event, warnings: list[str]) -> bool | None:
    told = event.empty_indicator_code
    if told and told not in _EMPTY:
        warnings.append(_say("空重箱标志未知", "is no known empty indicator", told))
    empty = _EMPTY.get(told or "")
    return None if empty is None else not empty


def _transport(event: _Event, call: _Call) -> str:
    """Vessel and voyage; a ship that arrives or is discharged is on its import voyage."""
    vessel = call.vessel or _NO_VESSEL
    inward = "ARRI" in (event.transport_event_type_code or "") or event.equipment_event_type_code == "DISC"
    first, second = call.import_voyage_number, call.export_voyage_number
    voyage = (first or second if inward else second or first) or ""
    return f"{vessel.vessel_name or vessel.vessel_imo_number or ''} {voyage}".strip()


def _text(event: _Event) -> str:
    said = (event.delay_reason_code, event.change_remark, event.reason)
    return "; ".join(filter(None, said)) if any(said) else ""


def _say(zh: str, en: str, value: str) -> str:
    """A sentence for a person, Chinese and English, with the value met."""
    return f"{zh}：{value!r} / {value!r} {en}"


# --- code tables: DCSA Track & Trace 2.2.0 ---

_MEMBERS = {
    "TRANSPORT": "transportEventTypeCode", "SHIPMENT": "shipmentEventTypeCode", "EQUIPMENT": "equipmentEventTypeCode",
}  # eventType -> the member that says what happened  # fmt: skip
_CLASSIFIERS: dict[str, Classifier] = {"ACT": "ACT", "EST": "EST", "PLN": "PLN"}
_MODES: dict[str, Mode] = {"VESSEL": "VESSEL", "RAIL": "RAIL", "TRUCK": "TRUCK", "BARGE": "BARGE"}
_EMPTY = {"EMPTY": True, "LADEN": False}
_BOOKINGS = frozenset({"BKG", "CBR"})  # documentTypeCode and documentReferenceType whose number is a booking's
_BILLS = frozenset({"TRD", "SHI", "SRM", "ARN"})  # … is that of the transport document
_PREFIXES = dict.fromkeys(_BOOKINGS, "booking") | dict.fromkeys(_BILLS, "bl")
