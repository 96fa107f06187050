"""How far it is, and along which way: sea legs along the shipping lanes, others as great circles where that is fair.

Distances are nautical miles (1,852 m), positions degrees (WGS 84), geometries GeoJSON (RFC 7946: longitude first, cut
at the antimeridian). The lanes are those of searoute 1.6 (marnet of Eurostat's searoute): a shortest way by sea with
the usual canals, no ship's own track. Railways are not drawn: no network is at hand, a straight line would be made up.
"""

import threading
import warnings
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import asin, atan2, cos, degrees, radians, sin, sqrt
from typing import Any, Literal

import msgspec

from domain import places

EARTH_NM = 6_371_008.8 / 1_852  # mean radius
OFF_LANES_NM_MAX = 60.0
"""A port farther from the lanes than this is not on them: the way there is by a river that they do not show."""

OFF_LANES_AT_SEA_NM_MAX = 300.0
"""The same for a position: the lanes' points lie far apart on the ocean."""

Point = tuple[float, float]  # longitude, latitude
Method = Literal["sea", "great_circle"]

_one_at_a_time = threading.Lock()  # the library keeps its restrictions in the graph that all share


class Route(msgspec.Struct, frozen=True):
    distance_nm: float
    geometry: dict[str, Any]  # GeoJSON LineString; MultiLineString across the antimeridian
    method: Method


def sea_route(origin: str, destination: str) -> Route | None:
    """By sea between two places; None if one is not known, or not near the lanes.

    >>> round(sea_route("CNLYG", "KRPUS").distance_nm, -1), sea_route("CNXIA", "KRPUS")
    (510.0, None)
    """
    return between(origin, destination, "VESSEL")


@lru_cache(maxsize=1 << 12)
def between(origin: str, destination: str, mode: str) -> Route | None:
    """By the ways of a mode: lanes for ships and barges, a great circle by air and road, nothing by rail."""
    begin, end = point(origin), point(destination)
    return None if begin is None or end is None else _way(begin, end, mode, OFF_LANES_NM_MAX)


@lru_cache(maxsize=1 << 12)
def way(begin: Point, end: Point, mode: str) -> Route | None:
    """The same between two positions, of which one may be at sea."""
    return _way(begin, end, mode, OFF_LANES_AT_SEA_NM_MAX)


def _way(begin: Point, end: Point, mode: str, off_nm_max: float) -> Route | None:
    if great_circle_nm(begin, end) == 0.0:
        return None
    if mode in {"VESSEL", "BARGE"}:
        return _by_sea(begin, end, off_nm_max)
    if mode in {"AIR", "TRUCK"}:
        return Route(great_circle_nm(begin, end), geometry(_arc(begin, end)), "great_circle")
    return None


def point(place: str) -> Point | None:
    """Where a place is; None if that is not known."""
    found = places.find(place) if place else None
    if found is None or found.lat is None or found.lon is None:
        return None
    return found.lon, found.lat


def great_circle_nm(begin: Point, end: Point) -> float:
    """The shortest distance over the ground.

    >>> round(great_circle_nm((0.0, 0.0), (0.0, 1.0)), 2)
    60.04
    """
    (lon, lat), (to_lon, to_lat) = begin, end
    north, east = radians(to_lat - lat) / 2, radians(to_lon - lon) / 2
    root = sin(north) ** 2 + cos(radians(lat)) * cos(radians(to_lat)) * sin(east) ** 2
    return 2 * EARTH_NM * asin(min(1.0, sqrt(root)))


def length_nm(points: Sequence[Point]) -> float:
    """Of a line through these points."""
    return sum(great_circle_nm(one, other) for one, other in pairwise(points))


def _by_sea(begin: Point, end: Point, off_nm_max: float) -> Route | None:
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where there is no way; the answer says so too
        from searoute import searoute  # noqa: PLC0415  loads 3 MB of lanes: only for those who ask

        feature = searoute(list(begin), list(end), units="naut", append_orig_dest=True)
    line: list[Point] = [(float(lon), float(lat)) for lon, lat in feature.geometry.coordinates]
    if len(line) < 3:  # noqa: PLR2004  the two ends alone: there is no way between them
        return None
    if max(great_circle_nm(*line[:2]), great_circle_nm(*line[-2:])) > off_nm_max:
        return None
    return Route(length_nm(line), geometry(line), "sea")


def _arc(begin: Point, end: Point, parts: int = 32) -> list[Point]:
    """Points along the great circle; longitudes go on beyond 180 where it crosses the antimeridian."""
    angle = great_circle_nm(begin, end) / EARTH_NM
    if angle == 0:
        return [begin, end]
    ends = [_vector(begin), _vector(end)]
    line = [begin]
    for part in range(1, parts):
        near, far = (sin((1 - part / parts) * angle) / sin(angle), sin(part / parts * angle) / sin(angle))
        line.append(_position([near * one + far * other for one, other in zip(*ends, strict=True)]))
    unrolled = [begin]
    for lon, lat in (*line[1:], end):
        turn = round((unrolled[-1][0] - lon) / 360) * 360
        unrolled.append((lon + turn, lat))
    return unrolled


def _vector(at: Point) -> tuple[float, float, float]:
    lon, lat = radians(at[0]), radians(at[1])
    return cos(lat) * cos(lon), cos(lat) * sin(lon), sin(lat)


def _position(vector: Sequence[float]) -> Point:
    x, y, z = vector
    return degrees(atan2(y, x)), degrees(atan2(z, sqrt(x * x + y * y)))


# --- GeoJSON ---


def geometry(line: Sequence[Point]) -> dict[str, Any]:
    """A line whose longitudes may go on beyond 180, as RFC 7946 has it.

    >>> geometry([(170.0, 10.0), (190.0, 20.0)])["coordinates"]
    [[[170.0, 10.0], [180.0, 15.0]], [[-180.0, 15.0], [-170.0, 20.0]]]
    """
    parts: list[list[Point]] = [[line[0]]]
    for begin, end in pairwise(line):
        for edge in _edges(begin[0], end[0]):
            lat = begin[1] + (end[1] - begin[1]) * (edge - begin[0]) / (end[0] - begin[0])
            parts[-1].append((edge, lat))
            parts.append([(edge, lat)])
        if parts[-1][-1] != end:
            parts[-1].append(end)
    shown = [_shifted(part) for part in parts if len(part) > 1]
    if len(shown) == 1:
        return {"type": "LineString", "coordinates": shown[0]}
    return {"type": "MultiLineString", "coordinates": shown}


def _edges(begin: float, end: float) -> list[float]:
    """Where the way from one longitude to another meets the antimeridian, in the order of the way."""
    return sorted(
        (edge for edge in (-180.0, 180.0) if begin != edge and min(begin, end) <= edge <= max(begin, end)),
        reverse=end < begin,
    )


def _shifted(part: Sequence[Point]) -> list[list[float]]:
    """A part that lies between two of these meridians, brought to −180 to 180."""
    middle = (min(lon for lon, _ in part) + max(lon for lon, _ in part)) / 2
    turn = -360 if middle > 180 else 360 if middle < -180 else 0  # noqa: PLR2004
    return [[round(lon + turn, 6), round(lat, 6)] for lon, lat in part]
