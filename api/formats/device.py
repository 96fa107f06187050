"""What devices on trucks and containers tell: positions, electronic seals, temperatures, weights; JSON or NDJSON.

A body is one object, an array, or an object on each line. `device` says who tells it; `id` or `sequence` is its own
reference, never used twice; `at` an ISO 8601 time (without offset local to `place`, else UTC); `celsius` degrees, `kg`
kilograms, `lat` and `lon` degrees (WGS 84). A statement is made of the truck and of the container, whichever are named.
A value that no such device can measure is a fault; a kind or state that is not known is kept as sent.
Source: this file, edition 1; an unknown field is a fault, for it would be lost in silence.

>>> body = b'''{"device": "GPS-7", "sequence": 3, "container": "CSQU3054383", "at": "2026-03-01T12:00:00+08:00",
...  "kind": "position", "lat": 34.7466, "lon": 119.443}'''
>>> [reading] = read(body)
>>> reading.reports[0].code, reading.reports[0].text, reading.key
('TRUCK_POS', '34.7466,119.443 device=GPS-7', 'GPS-7|3')
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Annotated

import msgspec

from api.formats.jsonslices import Slice, load, records
from domain import identifiers, places
from domain.errors import Malformed
from domain.report import Fault, Moment, Movement, Reading

SLUG = "device"
Name = Annotated[str, msgspec.Meta(max_length=100)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=r"\S")]


class Event(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    device: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"\S")]
    kind: Word  # position, seal, temperature, scale, or another
    at: Name
    id: Name = ""
    sequence: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    container: Name = ""
    truck: Name = ""
    place: Name = ""  # UN/LOCODE
    state: Name = ""  # of a seal: on, off, alarm
    seal: Name = ""  # the seal's own number
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None
    celsius: Annotated[float, msgspec.Meta(ge=-200, le=1000)] | None = None
    kg: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    text: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class _Bad(Exception):
    """A field that is missing or makes no sense."""

    def __init__(self, reason: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(f"{SLUG}.{reason}", detail, 0, f"$.{field}")


def read(body: bytes) -> list[Reading]:
    """One Reading for each event; blank lines and an empty array hold none."""
    return [_reading(body, where) for where in records(body)]


def _reading(body: bytes, where: Slice) -> Reading:
    reading = Reading(key=sha256(body[where[0] : where[1]]).hexdigest(), start=where[0], end=where[1])
    event = load(body, where, _decode, SLUG)
    if isinstance(event, Fault):
        reading.fault = event
        return reading
    if event.id or event.sequence is not None:
        reading.key = f"{event.device}|{event.id or event.sequence}"
    try:
        reading.reports = [*_movements(event)]
    except _Bad as bad:
        reading.fault = msgspec.structs.replace(bad.fault, offset=where[0])
    return reading


def _movements(event: Event) -> list[Movement]:
    plate = identifiers.normalise(event.truck).replace(" ", "")
    number, doubt = identifiers.container(event.container) if event.container else ("", "")
    subjects = [*((f"truck:{plate}",) if plate else ()), *((f"container:{number}",) if number else ())]
    if not subjects:
        raise _Bad("subject", "container", "既无箱号也无车牌号 / neither a container nor a truck is named")
    code, raw_code, measured = _said(event)
    warnings = [] if code or event.kind.lower() in MEASURES else [_unknown(raw_code)]
    place = places.canonical(event.place, "TRUCK") if event.place else ""
    where = f"{event.lat:.12g},{event.lon:.12g}" if event.lat is not None and event.lon is not None else ""
    return [
        Movement(
            subject=subject,
            code=code,
            raw_code=raw_code,
            when=_moment(event.at, place),
            place=place,
            mode="TRUCK" if plate else "",
            transport=plate,
            weight_kg=event.kg,
            seal=event.seal,
            refs=tuple(other for other in subjects if other != subject),
            text=" ".join(filter(None, (where, measured, f"device={event.device}", event.text))),
            warnings=(*warnings, *((doubt,) if doubt and subject.startswith("container:") else ())),
        )
        for subject in subjects
    ]


def _said(event: Event) -> tuple[str, str, str]:
    """Milestone, raw code, and the measurement in words.

    The raw code of a measurement holds its value, for that is its meaning: two values within a minute are two facts.
    """
    kind = event.kind.lower()
    if kind in MEASURES:
        field, show = MEASURES[kind]
        value = getattr(event, field)
        if value is None:
            raise _Bad("value", field, f"{kind}：没有测量值 / {kind} without {field}")
        return "", f"{event.kind}/{value:.12g}", show(value)
    if kind == "position":
        for field in ("lat", "lon"):
            if getattr(event, field) is None:
                raise _Bad("value", field, f"位置没有经纬度 / a position without {field}")
        return "TRUCK_POS", event.kind, ""
    if kind == "seal":
        if not event.state:
            raise _Bad("value", "state", "关锁没有状态 / a seal without its state")
        return SEAL.get(event.state.lower(), ""), f"{event.kind}/{event.state}", ""
    return "", "/".join(filter(None, (event.kind, event.state))), ""


def _unknown(raw_code: str) -> str:
    return f"设备事件未知，按原样保存 / unknown device event, kept as sent: {raw_code}"


def _moment(said: str, place: str) -> Moment:
    try:
        return places.moment(said, place)
    except Malformed as error:
        raise _Bad("time", "at", f"时间无法理解 / the time cannot be understood: {said[:60]!r}") from error


_decode = msgspec.json.Decoder(Event).decode

MEASURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "temperature": ("celsius", lambda value: f"{value:.12g} °C"),
    "scale": ("kg", lambda value: f"{value:.12g} kg"),
}
"""Kinds that measure: the field of the value, and the value in words."""

SEAL = {"on": "ESEAL_ON", "off": "ESEAL_OFF", "alarm": "ESEAL_ALARM"}
"""States of an electronic seal."""
