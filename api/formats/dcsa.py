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
from functools import lru_cache
from hashlib import sha256

import msgspec

from api.formats.jsonslices import Slice, load, slices
from domain import identifiers, milestones, places
from domain.errors import Malformed
from domain.report import Classifier, Fault, Mode, Movement, Reading

SLUG = "dcsa"
NAME_CHARS_MAX = 100

Text = str | None


class _Reference(msgspec.Struct, frozen=True, rename="camel"):
    reference_type: Text = None
    reference_value: Text = None


class _DocumentReference(msgspec.Struct, frozen=True, rename="camel"):
    document_reference_type: Text = None
    document_reference_value: Text = None


class _Location(msgspec.Struct, frozen=True, rename="camel"):
    un_location_code: Text = msgspec.field(default=None, name="UNLocationCode")
    facility_code: Text = None


class _Vessel(msgspec.Struct, frozen=True, rename="camel"):
    vessel_name: Text = None
    vessel_imo_number: Text = msgspec.field(default=None, name="vesselIMONumber")


class _Call(msgspec.Struct, frozen=True, rename="camel"):
    mode_of_transport: Text = None
    un_location_code: Text = msgspec.field(default=None, name="UNLocationCode")
    facility_code: Text = None
    facility_type_code: Text = None
    other_facility: Text = None
    export_voyage_number: Text = None
    import_voyage_number: Text = None
    location: _Location | None = None
    vessel: _Vessel | None = None


class _Seal(msgspec.Struct, frozen=True, rename="camel"):
    seal_number: Text = None


class _Event(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
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
    return [_reading(body, where, f"{prefix}[{index}]") for index, where in enumerate(found)]


def _reading(body: bytes, where: Slice, path: str) -> Reading:
    event = load(body, where, _decode, SLUG)
    if isinstance(event, Fault):
        fault = msgspec.structs.replace(event, path=path + event.path.removeprefix("$"))
        return Reading(key=_digest(body[where[0] : where[1]]), start=where[0], end=where[1], fault=fault)
    key = event.event_id or ""
    if not 0 < len(key) <= NAME_CHARS_MAX:
        key = _digest(body[where[0] : where[1]])
    sent_at, warning = _sent(event.event_created_date_time or "")
    reading = Reading(key=key, start=where[0], end=where[1], sent_at=sent_at, warnings=(warning,) if warning else ())
    try:
        reading.reports = list(_movements(event))
    except _Bad as bad:
        reading.fault = Fault(f"{SLUG}.{bad.reason}", bad.detail, where[0], f"{path}.{bad.member}")
    return reading


def _digest(raw: bytes) -> str:
    """SHA-256 of the event as canonical JSON, or of its bytes where it is no JSON."""
    try:
        meaning = json.loads(raw)
        raw = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        pass  # not JSON, or a lone surrogate: the bytes themselves
    return "sha256:" + sha256(raw).hexdigest()


@lru_cache(maxsize=4096)
def _sent(text: str) -> tuple[datetime | None, str]:
    try:
        return places.moment(text, "").at, ""
    except (Malformed, ValueError, OverflowError):
        return None, _say("eventCreatedDateTime 缺失或有误", "is missing or wrong", text)


# --- one event ---


def _movements(event: _Event) -> list[Movement]:
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
    common = Movement(
        subject="", code=code, raw_code=raw_code, when=when, classifier=classifier, place=place, facility=facility,
        mode=mode, transport=_transport(event, call), laden=_laden(event, warnings), text=_text(event),
        warnings=tuple(warnings),
        seal=" ".join(seal.seal_number for seal in event.seals or () if seal.seal_number),
    )  # fmt: skip
    return _each(event, member, common)


def _each(event: _Event, member: str, common: Movement) -> list[Movement]:
    """The statement told of each of its subjects."""
    containers, documents = _names(event)
    if event.event_type == "EQUIPMENT" and event.equipment_reference:
        subjects = list(containers)[:1]
    elif event.event_type == "SHIPMENT" and event.document_type_code in {*_BOOKINGS, *_BILLS}:
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
    told = []
    for subject in subjects:
        odd = containers.get(subject, "")
        refs = tuple([ref for ref in (*documents, *containers) if ref != subject])
        told.append(_about(common, subject, refs, odd))
    return told


def _about(common: Movement, subject: str, refs: tuple[str, ...], odd: str) -> Movement:
    warnings = (odd, *common.warnings) if odd else common.warnings
    return msgspec.structs.replace(common, subject=subject, refs=refs, warnings=warnings)


def _names(event: _Event) -> tuple[dict[str, str], list[str]]:
    """Containers with the warning about their number, the event's own first; bills before bookings, its own first."""
    numbers = [
        event.equipment_reference,
        *(r.reference_value for r in event.references or () if r.reference_type == "EQ"),
    ]
    containers: dict[str, str] = {}
    for number in numbers:
        if number and len(number) <= NAME_CHARS_MAX:
            named, odd = identifiers.container(number)
            if named:
                containers.setdefault(f"container:{named}", odd)
    found = [
        (ref.document_reference_type or "", ref.document_reference_value) for ref in event.document_references or ()
    ]
    found.sort(key=lambda pair: pair[0] not in _BILLS)
    own = (event.document_type_code or "", event.document_id)
    documents: dict[str, None] = {}
    for kind, number in (own, *found):
        prefix = "booking" if kind in _BOOKINGS else "bl" if kind in _BILLS else ""
        named = identifiers.normalise(number) if prefix and number and len(number) <= NAME_CHARS_MAX else ""
        if named:
            documents[f"{prefix}:{named}"] = None
    return containers, list(documents)


def _raw_code(event: _Event) -> tuple[str, str]:
    """The code of what happened, and the member that holds it; a shipment's goes with its document type."""
    member = _MEMBERS.get(event.event_type)
    if member is None:
        raise _Bad("type", "eventType", _say("事件类型未知", "is no known type of event", event.event_type))
    code = {
        "TRANSPORT": event.transport_event_type_code,
        "EQUIPMENT": event.equipment_event_type_code,
        "SHIPMENT": event.shipment_event_type_code,
    }[event.event_type]
    if not code:
        raise _Bad("code", member, _say("缺少事件代码", "is missing", member))
    return (f"{code}/{event.document_type_code or ''}" if event.event_type == "SHIPMENT" else code), member


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
    voyages = (call.import_voyage_number, call.export_voyage_number)
    voyage = next(filter(None, voyages if inward else voyages[::-1]), "")
    return f"{vessel.vessel_name or vessel.vessel_imo_number or ''} {voyage}".strip()


def _text(event: _Event) -> str:
    return "; ".join(filter(None, (event.delay_reason_code, event.change_remark, event.reason)))


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
