"""The leg that cargo is on: what departed and has not arrived, where it goes, and where it was seen since.

Pure, over lines of projections/timeline.py that stand. Positions are degrees (WGS 84), longitude first; times UTC.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from domain import places, routes
from domain.report import utc
from domain.routes import Point
from projections.timeline import Line

DEPARTURES = {
    "VSL_DEP": "VESSEL",
    "BARGE_DEP": "BARGE",
    "TRAIN_DEP": "RAIL",
    "TRUCK_DEP": "TRUCK",
    "AIR_DEP": "AIR",
}
ARRIVALS = {
    **dict.fromkeys(("VSL_ARR", "VSL_BERTH", "DISCHARGED", "TS_DISC"), "VESSEL"),
    **dict.fromkeys(("BARGE_ARR", "BARGE_DISC"), "BARGE"),
    **dict.fromkeys(("TRAIN_ARR", "WAGON_UNLOADED"), "RAIL"),
    **dict.fromkeys(("TRUCK_ARR", "TRUCK_UNLOADED", "POD"), "TRUCK"),
    **dict.fromkeys(("AIR_ARR", "AIR_RCF", "AIR_DLV"), "AIR"),
}
"""A leg is over with any of these of its mode; an expected one says where it leads."""

OVER = frozenset({"GATE_OUT", "STATION_OUT", "STRIPPED", "EMPTY_IN", "AIR_NFD"})
"""Whatever brought the cargo, it has arrived."""

PASSED = frozenset({"TRUCK_POS", "TRAIN_PASS", "LOCK_PASSED", "CHECKPOINT_PASS", "BORDER_ARR", "BORDER_CROSSED"})


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """The way that the cargo is on. `destination_from` says how that is known."""

    mode: str
    transport: str
    origin: str
    destination: str
    departed_at: datetime
    destination_from: Literal["expected", "ports"]


class Spot(NamedTuple):
    at: datetime
    where: Point
    line: Line


# --- the leg ---


def moment(line: Line) -> datetime:
    return utc(datetime.fromisoformat(line.happened_at))


def departure(actual: Sequence[Line]) -> Line | None:
    """The last departure, if nothing has ended its way since."""
    gone = max((line for line in actual if line.code in DEPARTURES), key=order, default=None)
    if gone is None:
        return None
    mode, since = DEPARTURES[gone.code], moment(gone)
    for line in actual:
        if moment(line) >= since and (ARRIVALS.get(line.code) == mode or line.code in OVER):
            return None
    return gone


def order(line: Line) -> tuple[datetime, str]:
    return moment(line), line.fact_id.hex


def lead(departed: Line, standing: Sequence[Line]) -> tuple[Leg | None, list[Line]]:
    """Where it goes: the next place where an arrival is planned or expected, else the ports that the papers name."""
    mode, since = DEPARTURES[departed.code], moment(departed)
    ahead = [
        line
        for line in standing
        if line.classifier != "ACT" and ARRIVALS.get(line.code) == mode and moment(line) > since
        if line.place and line.place != departed.place
    ]
    known: Literal["expected", "ports"] = "expected"
    named = min(ahead, key=order, default=None)
    destination = named.place if named else ""
    if named is None:
        known = "ports"
        said = [line for line in standing if _port(line, departed)]
        named = max(said, key=order, default=None)
        destination = _port(named, departed) if named else ""
    if named is None:
        return None, []
    transport = departed.transport or named.transport
    leg = Leg(
        mode=mode,
        transport=transport,
        origin=departed.place,
        destination=destination,
        departed_at=since,
        destination_from=known,
    )
    return leg, [named]


_PORTS = re.compile(r"\bPOD ([A-Z]{2}[A-Z2-9]{3})\b")
_LEGS = re.compile(r"(?:^|; )11 ([A-Z]{2}[A-Z2-9]{3})\b")  # 3227: the place of discharge of a leg
_FLIGHT = re.compile(r"^([A-Z]{3})([A-Z]{3})\b")


def _port(line: Line, departed: Line) -> str:
    """The port of discharge, or the airport of arrival, that a line's text names beside its own statement."""
    mode = DEPARTURES[departed.code]
    if mode in {"VESSEL", "BARGE"}:
        found = _PORTS.search(line.text) or _LEGS.search(line.text)
        code = places.canonical(found[1], mode) if found and line.mode == mode else ""
    elif mode == "AIR":
        flight = _FLIGHT.match(line.text) if line.transport and line.transport == departed.transport else None
        code = places.canonical(flight[2], mode) if flight else ""
    else:
        code = ""
    return code if code != departed.place else ""


# --- where it is ---

_COORDINATES = re.compile(r"^(-?[0-9]{1,2}(?:\.[0-9]{1,12})?),(-?[0-9]{1,3}(?:\.[0-9]{1,12})?)(?: |$)")


def spots(leg: Leg, standing: Sequence[Line], at: datetime) -> list[Spot]:
    """The departure and the positions since, in order of time, each once."""
    found: dict[tuple[datetime, Point], Spot] = {}
    for line in standing:
        when = moment(line)
        if line.classifier == "ACT" and leg.departed_at <= when <= at and line.code in {*PASSED, *DEPARTURES}:
            where = _where(line)
            if where is not None:
                found.setdefault((when, where), Spot(when, where, line))
    return sorted(found.values(), key=lambda spot: (spot.at, spot.where))


def _where(line: Line) -> Point | None:
    """The coordinates in its text, where devices put them; else those of its place."""
    told = _COORDINATES.match(line.text)
    if told is None:
        return routes.point(line.place)
    lat, lon = float(told[1]), float(told[2])
    return (lon, lat) if abs(lat) <= 90 and abs(lon) <= 180 else None  # noqa: PLR2004  degrees
