"""ONE Record logistics events (JSON-LD), as airlines and handlers give them to their subscribers.

A body is one event, an array of events, or an object that holds them under `events` or `@graph`. Names may be plain,
prefixed (`cargo:eventCode`) or full IRIs; values plain or objects with `@value` or `@id`. Times are ISO 8601; one
without offset is local to the place. Weights leave in kilograms. ONE Record has no cancellation: a changed event is a
new statement, and events of different content under one `@id` are kept apart.
Source: IATA ONE Record data model, cargo ontology 3, class LogisticsEvent; core code lists, StatusCode.

>>> body = b'''{"@type": "LogisticsEvent", "@id": "https://1r.example.com/logistics-objects/ab/logistics-events/x",
...  "eventCode": {"@id": "https://onerecord.iata.org/ns/coreCodeLists#StatusCode_DEP"}, "eventTimeType": "ACTUAL",
...  "eventDate": "2023-04-01T10:38:01Z", "recordedAtLocation": {"@id": "https://1r.example.com/logistics-objects/FRA"}}'''
>>> [reading] = read(body)
>>> [event] = reading.reports
>>> event.subject, event.code, event.when.at.isoformat()
('object:https://1r.example.com/logistics-objects/ab', 'AIR_DEP', '2023-04-01T10:38:01+00:00')
"""

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec

from api.formats.jsonslices import Slice, load, slices
from domain import identifiers, milestones, places
from domain.errors import Malformed
from domain.report import Classifier, Fault, Moment, Movement, Reading

SLUG = "one_record"
EVENT = "LogisticsEvent"
NAME_CHARS_MAX = 500
Node = dict[str, Any]


class _Bad(Exception):
    """A property that is missing or makes no sense."""

    def __init__(self, reason: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(f"{SLUG}.{reason}", detail, 0, f"$.{field}")


def read(body: bytes) -> list[Reading]:
    """One Reading for each event."""
    return [_reading(body, where) for where in slices(body, "events", "@graph")]


def _reading(body: bytes, where: Slice) -> Reading:
    # The digest is of the bytes, so that one key never has two contents.
    digest = sha256(body[where[0] : where[1]]).hexdigest()
    event = load(body, where, _decode, SLUG)
    if isinstance(event, Fault):
        return Reading(key=digest, start=where[0], end=where[1], fault=event)
    reading = Reading(key=digest, start=where[0], end=where[1])
    try:
        node = _plain(event)
        uri = _text(node.get("@id"))
        reading.key = f"{uri[:NAME_CHARS_MAX]}#{digest[:32]}" if uri else digest
        movement = _movement(node, uri)
        if created := _text(node.get("creationDate")):
            reading.sent_at = _moment(created, movement.place, "creationDate").at
        reading.reports = [movement]
    except _Bad as bad:
        reading.fault = msgspec.structs.replace(bad.fault, offset=where[0])
    except RecursionError:
        detail = "嵌套过深 / nested too deeply"
        reading.fault = Fault(f"{SLUG}.json", detail, where[0])
    return reading


# --- JSON-LD made plain ---


def _plain(value: Any) -> Any:
    """Property names without prefix or vocabulary; the rest as it is."""
    if isinstance(value, dict):
        return {_local(name): _plain(inner) for name, inner in value.items() if name != "@context"}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _local(name: str) -> str:
    return name if name.startswith("@") else re.split(r"[#/:]", name)[-1]


def _text(value: Any) -> str:
    """A value as text, whichever way it is written; a list speaks by its first."""
    if isinstance(value, list):
        return _text(value[0]) if value else ""
    if isinstance(value, dict):
        return next((_text(value[name]) for name in ("@value", "code", "@id") if name in value), "")
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value).strip()


def _tail(value: Any) -> str:
    """The last part of an IRI, in full or prefixed."""
    return re.split(r"[#/:]", _text(value).rstrip("/"))[-1]


def _nodes(value: Any) -> Iterator[Node]:
    if isinstance(value, dict):
        yield value
    elif isinstance(value, list):
        yield from (inner for inner in value if isinstance(inner, dict))


# --- one event ---


def _movement(node: Node, uri: str) -> Movement:
    warnings: list[str] = []
    kinds = node.get("@type")
    if kinds and EVENT not in {
        _tail(kind).rpartition(":")[2] for kind in (kinds if isinstance(kinds, list) else [kinds])
    }:
        raise _Bad("type", "@type", f"不是物流事件 / not a {EVENT}: {_text(kinds)[:60]!r}")
    subject, refs = _subject(node, uri, warnings)
    place, facility = _place(node, warnings)
    raw_code = _tail(node.get("eventCode")).removeprefix("StatusCode_")
    if not raw_code:
        raise _Bad("code", "eventCode", "没有状态代码 / the event has no code")
    code = milestones.from_fsu(raw_code)
    if not code:
        warnings.append(f"状态代码未知，按原样保存 / unknown code, kept as sent: {raw_code}")
    date = _text(node.get("eventDate"))
    if not date:
        raise _Bad("time", "eventDate", "没有时间 / the event has no date")
    return Movement(
        subject=subject,
        code=code,
        raw_code=raw_code,
        when=_moment(date, place, "eventDate"),
        classifier=_classifier(node, warnings),
        place=place,
        facility=facility,
        mode="AIR",
        transport=_text(node.get("transportIdentifier")),
        pieces=_pieces(node, warnings),
        partial=_text(node.get("partialEventIndicator")).lower() in {"true", "1"},
        weight_kg=_weight(node, warnings),
        refs=refs,
        text=_text(node.get("eventName")),
        warnings=tuple(warnings),
    )


def _subject(node: Node, uri: str, warnings: list[str]) -> tuple[str, tuple[str, ...]]:
    """The air waybill if the event holds it; else, or beside it, the logistics object that the event hangs on."""
    owner = uri.partition("/logistics-events/")[0] if "/logistics-events/" in uri else ""
    for name in _OWNERS:
        owner = owner or next((_text(inner.get("@id")) for inner in _nodes(node.get(name))), "")
    if len(owner) > NAME_CHARS_MAX:
        raise _Bad("subject", "@id", f"标识过长 / the identifier is too long: {owner[:60]!r}…")
    waybill = _waybill(node)
    if waybill:
        number, warning = identifiers.awb(waybill)
        if warning:
            warnings.append(warning)
        return f"awb:{number}", (f"object:{owner}",) if owner else ()
    if not owner:
        raise _Bad("subject", "@id", "既无运单号也无物流对象 / neither an air waybill nor a logistics object is named")
    return f"object:{owner}", ()


def _waybill(node: Node, depth: int = 4) -> str:
    prefix, number = _text(node.get("waybillPrefix")), _text(node.get("waybillNumber"))
    if prefix and number and _AWB.fullmatch(prefix + number):
        return prefix + number
    inner = (found for name in _OWNERS for found in _nodes(node.get(name)))
    return next(filter(None, (_waybill(found, depth - 1) for found in inner)), "") if depth else ""


def _place(node: Node, warnings: list[str]) -> tuple[str, str]:
    """Canonical code, and what the source calls the location."""
    location = node.get("recordedAtLocation") or node.get("eventLocation")
    if not location:
        return "", ""
    inner = next(_nodes(location), {})
    listed = inner.get("locationCodes")
    codes = [_text(code) for code in listed] if isinstance(listed, list) else []
    codes += [_text(inner.get("locationCode")), _tail(location)]
    named = _text(inner.get("locationName"))
    for code in codes:
        if _CODE.fullmatch(code):
            return places.canonical(code, "AIR"), named
    warnings.append(f"地点没有代码 / the location has no code: {_text(location)[:100]}")
    return "", named or _tail(location)


def _classifier(node: Node, warnings: list[str]) -> Classifier:
    said = _tail(node.get("eventTimeType")).upper()
    if not said:
        warnings.append("未说明时间类型，按实际 / eventTimeType is missing, taken as ACTUAL")
        return "ACT"
    if said not in TIME_TYPES:
        warnings.append(f"时间类型未知，按预计 / unknown eventTimeType, taken as ESTIMATED: {said[:60]}")
    return TIME_TYPES.get(said, "EST")


def _pieces(node: Node, warnings: list[str]) -> int | None:
    said = _text(node.get("recordedPieceCount"))
    if not said:
        return None
    if not _COUNT.fullmatch(said):
        warnings.append(f"件数无法理解 / the piece count cannot be understood: {said[:60]!r}")
        return None
    return int(said.partition(".")[0])


def _weight(node: Node, warnings: list[str]) -> float | None:
    recorded = node.get("recordedWeight")
    if not recorded:
        return None
    inner = next(_nodes(recorded), {})
    said = _text(inner.get("value", inner.get("numericalValue", recorded)))
    unit = _tail(inner.get("unit")).removeprefix("MeasurementUnitCode_").upper() or "KGM"
    if not _NUMBER.fullmatch(said) or unit not in KILOGRAMS:
        warnings.append(f"重量无法理解 / the weight cannot be understood: {said[:60]!r} {unit[:20]}")
        return None
    return round(float(said) * KILOGRAMS[unit], 5)


def _moment(text: str, place: str, field: str) -> Moment:
    try:
        return places.moment(text, place)
    except Malformed as error:
        raise _Bad("time", field, f"时间无法理解 / the time cannot be understood: {text[:60]!r}") from error


_decode = msgspec.json.Decoder(Node).decode
_OWNERS = ("linkedObject", "eventFor", "waybill", "masterWaybill", "shipment", "ofShipment", "forShipment")
_AWB = re.compile(r"[0-9]{3}-?[0-9 ]{8,9}")
_CODE = re.compile(r"[A-Z]{3}|[A-Z]{2}[A-Z0-9]{3}")
_COUNT = re.compile(r"[0-9]{1,9}(?:\.0*)?")
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{0,12})?")

TIME_TYPES: dict[str, Classifier] = {
    "ACTUAL": "ACT",
    "ESTIMATED": "EST",
    "EXPECTED": "EST",
    "PLANNED": "PLN",
    "SCHEDULED": "PLN",
    "REQUESTED": "PLN",
}
KILOGRAMS = {"KGM": 1.0, "KG": 1.0, "K": 1.0, "LBR": 0.45359237, "LB": 0.45359237, "L": 0.45359237, "TNE": 1000.0}
"""Measurement units of the core code list. The status codes are those of Cargo-IMP: domain/milestones.py."""
