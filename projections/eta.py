"""When cargo that is under way may arrive: Kouan's own estimate, explained, and never put among what sources say.

Pure: a fold over the lines of a consignment (projections/timeline.py), as far as they had been sent (else recorded) and
had happened at a moment. The leg is the last departure that no arrival has followed. Three ways to an estimate, the
first that there is gives the middle, all of them the range:

* observed: the speed between reported positions of this leg, over the rest of the way;
* schedule: the actual departure, and as long as the plans said that this leg takes;
* typical: the whole way at a speed that is usual for the mode. An assumption, and named as one.

What a source says of the arrival (its own ETA) is no input, only its plan of the leg is. Distances are nautical miles,
speeds knots, times UTC.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from domain import places, routes
from domain.report import utc
from domain.routes import Route
from projections import legs
from projections.legs import ARRIVALS, Leg, Spot, moment
from projections.timeline import Line

SOURCE = "kouan"


class Typical(NamedTuple):
    """Knots: slow, usual, fast; hours that the ends of the way take beside it."""

    slow: float
    usual: float
    fast: float
    hours: float = 0.0


TYPICAL = {
    "VESSEL": Typical(11.0, 14.5, 18.0),
    "BARGE": Typical(4.0, 6.0, 8.0),
    "AIR": Typical(400.0, 450.0, 490.0, 0.5),
    "TRUCK": Typical(16.0, 27.0, 38.0),
}
"""Assumptions of Kouan, not measured. None by rail: there is no way to measure along."""

APART_HOURS_MIN = 0.5
APART_NM_MIN = 1.0
OBSERVED_SPREAD = 0.10  # of the hours left
SCHEDULE_SPREAD = 0.05  # of the hours planned
SPREAD_HOURS_MIN = 1.0
HOURS_MAX = 180 * 24.0


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Kouan's own. `facts` are those it rests on; `assumed`: the speed is an assumption."""

    source: str = SOURCE
    method: Literal["observed", "schedule", "typical"]
    leg: Leg
    low_at: datetime
    eta_at: datetime
    high_at: datetime
    eta_local: str  # on the destination's clock
    zone: str
    overdue: bool  # it has passed, and no arrival is reported
    distance_nm: float | None
    remaining_nm: float | None
    speed_kn: float | None
    assumed: bool
    basis_zh: list[str]
    basis_en: list[str]
    facts: list[UUID]


class Silence(msgspec.Struct, frozen=True):
    """Why there is no estimate."""

    zh: str
    en: str


class _Found(NamedTuple):
    """One way to an estimate."""

    method: Literal["observed", "schedule", "typical"]
    low: datetime
    middle: datetime
    high: datetime
    speed_kn: float | None
    zh: str
    en: str
    facts: tuple[UUID, ...]


def estimate(lines: Iterable[Line], at: datetime) -> Estimate | Silence:
    """When the leg that the cargo is on at this moment may end."""
    said = (line for line in lines if line.stands and (line.sent_at or line.recorded_at) <= at)
    standing = sorted(said, key=legs.order)
    departed = legs.departure([line for line in standing if line.classifier == "ACT" and moment(line) <= at])
    if departed is None:
        return Silence(
            "当前没有在途运输：没有未到达的离港、发车或起飞", "Nothing is under way: no departure without arrival"
        )
    leg, ends = legs.lead(departed, standing)
    if leg is None:
        zh = f"{departed.zh}（{places.name(departed.place, 'zh') or '地点未报'}）之后的目的地未知"
        en = f"{departed.en} ({places.name(departed.place, 'en') or 'place not told'}): where it goes is not known"
        return Silence(zh, en)
    way = routes.between(leg.origin, leg.destination, leg.mode)
    spots = legs.spots(leg, standing, at)
    found = [
        each
        for each in (_observed(leg, spots), _schedule(leg, departed, standing), _typical(leg, way))
        if each is not None
    ]
    if not found:
        zh = f"{leg.origin or '起点未报'} 至 {leg.destination}：没有可用的航线、班期或位置"
        return Silence(zh, f"{leg.origin or 'origin not told'} to {leg.destination}: no route, schedule or position")
    return _together(leg, found, way, rests_on=(departed, *ends), left=_left(leg, spots, way, found[0], at), at=at)


# --- three ways to an estimate ---


def _observed(leg: Leg, spots: Sequence[Spot]) -> _Found | None:
    """The speed from the first to the last reported position of this leg, over the rest of the way."""
    end = routes.point(leg.destination)
    if len(spots) < 2 or end is None:  # noqa: PLR2004  the departure alone is no observation
        return None
    first, last = spots[0], spots[-1]
    hours = (last.at - first.at) / timedelta(hours=1)
    rest = routes.way(last.where, end, leg.mode)
    gone = routes.way(first.where, last.where, leg.mode)
    if rest is None or gone is None or hours < APART_HOURS_MIN or gone.distance_nm < APART_NM_MIN:
        return None
    speed = gone.distance_nm / hours
    left = rest.distance_nm / speed
    if left > HOURS_MAX:
        return None  # it lies still: no speed to go by
    spread = max(SPREAD_HOURS_MIN, OBSERVED_SPREAD * left)
    middle = last.at + timedelta(hours=left)
    low, high = middle - timedelta(hours=min(spread, left)), middle + timedelta(hours=spread)
    zh = (
        f"观测：{_clock(first.at)} 至 {_clock(last.at)} 行驶 {gone.distance_nm:.0f} 海里、{hours:.1f} 小时，"
        f"航速 {speed:.1f} 节；剩余 {rest.distance_nm:.0f} 海里，需 {left:.1f} 小时"
    )
    en = (
        f"Observed: {gone.distance_nm:.0f} nm in {hours:.1f} h from {_clock(first.at)} to {_clock(last.at)}, "
        f"{speed:.1f} kn; {rest.distance_nm:.0f} nm remain, {left:.1f} h"
    )
    return _Found("observed", low, middle, high, speed, zh, en, (first.line.fact_id, last.line.fact_id))


def _schedule(leg: Leg, departed: Line, standing: Sequence[Line]) -> _Found | None:
    """As long as was planned for this leg, from the actual departure."""
    planned = [line for line in standing if line.classifier == "PLN"]
    leaves = [line for line in planned if line.code == departed.code and line.place == leg.origin]
    comes = [line for line in planned if ARRIVALS.get(line.code) == leg.mode and line.place == leg.destination]
    pairs = [(one, other) for one in leaves for other in comes if moment(one) < moment(other)]
    if not pairs:
        return None
    # the plan that was stated last; among those, the shortest
    leave, come = max(
        pairs, key=lambda pair: (min(each.recorded_at for each in pair), moment(pair[0]) - moment(pair[1]))
    )
    hours = (moment(come) - moment(leave)) / timedelta(hours=1)
    spread = timedelta(hours=max(SPREAD_HOURS_MIN, SCHEDULE_SPREAD * hours))
    middle = leg.departed_at + timedelta(hours=hours)
    left, due, gone = (_clock(each) for each in (moment(leave), moment(come), leg.departed_at))
    zh = f"班期：计划 {left} 至 {due}，共 {hours:.1f} 小时；实际离开 {gone}"
    en = f"Schedule: planned {left} to {due}, {hours:.1f} h; departed {gone}"
    return _Found("schedule", middle - spread, middle, middle + spread, None, zh, en, (leave.fact_id, come.fact_id))


def _typical(leg: Leg, way: Route | None) -> _Found | None:
    """The whole way at a usual speed."""
    speeds = TYPICAL.get(leg.mode)
    if way is None or speeds is None:
        return None
    slow, usual, fast = (way.distance_nm / speed + speeds.hours for speed in speeds[:3])
    low, middle, high = (leg.departed_at + timedelta(hours=hours) for hours in (fast, usual, slow))
    zh = (
        f"假定：全程 {way.distance_nm:.0f} 海里，按通常航速 {speeds.usual:g} 节"
        f"（{speeds.slow:g} 至 {speeds.fast:g} 节，本平台的假定，非实测）"
    )
    en = (
        f"Assumed: {way.distance_nm:.0f} nm in all at a usual {speeds.usual:g} kn ({speeds.slow:g} to {speeds.fast:g} "
        f"kn, an assumption of Kouan's, not measured)"
    )
    if speeds.hours:
        zh, en = f"{zh}，另加 {speeds.hours:g} 小时", f"{en}, and {speeds.hours:g} h"
    return _Found("typical", low, middle, high, speeds.usual, zh, en, ())


def _clock(at: datetime) -> str:
    return f"{utc(at):%Y-%m-%d %H:%M} UTC"


# --- together ---


def _left(leg: Leg, spots: Sequence[Spot], way: Route | None, found: _Found, at: datetime) -> float | None:
    """What remains of the way: from the last position if there is one, else reckoned by the time gone."""
    end = routes.point(leg.destination)
    if found.method == "observed" and end is not None:
        rest = routes.way(spots[-1].where, end, leg.mode)
        start, distance = spots[-1].at, rest.distance_nm if rest else 0.0
    elif way is not None:
        start, distance = leg.departed_at, way.distance_nm
    else:
        return None
    share = (at - start) / (found.middle - start) if found.middle > start else 1.0
    return round(distance * max(0.0, 1.0 - share), 1)


def _together(
    leg: Leg, found: Sequence[_Found], way: Route | None, *, rests_on: Sequence[Line], left: float | None, at: datetime
) -> Estimate:
    best = found[0]
    used = found if best.method == "typical" else [each for each in found if each.method != "typical"]
    low, high = min(each.low for each in used), max(each.high for each in used)
    zone, _ = places.zone_of(leg.destination)
    shown = [_about(leg, way), *((each.zh, each.en) for each in used)]
    if high < at:
        shown.append(("该时间已过，尚无到达报告", "That time has passed, and no arrival is reported"))
    facts = dict.fromkeys([*(line.fact_id for line in rests_on), *(fact for each in used for fact in each.facts)])
    return Estimate(
        method=best.method,
        leg=leg,
        low_at=_whole(low),
        eta_at=_whole(best.middle),
        high_at=_whole(high),
        eta_local=_local(best.middle, zone),
        zone=zone,
        overdue=best.middle < at,
        distance_nm=round(way.distance_nm, 1) if way else None,
        remaining_nm=left,
        speed_kn=round(best.speed_kn, 1) if best.speed_kn else None,
        assumed=best.method == "typical",
        basis_zh=[zh for zh, _ in shown],
        basis_en=[en for _, en in shown],
        facts=list(facts),
    )


def _about(leg: Leg, way: Route | None) -> tuple[str, str]:
    """The leg in words, with where its end is known from, and how its length was measured."""
    zh_from, en_from = FROM[leg.destination_from]
    names = [
        (places.name(place, "zh") or "地点未报", places.name(place, "en") or "not told")
        for place in (leg.origin, leg.destination)
    ]
    zh = f"航段：{names[0][0]} 至 {names[1][0]}（{zh_from}），离开 {_clock(leg.departed_at)}"
    en = f"Leg: {names[0][1]} to {names[1][1]} ({en_from}), departed {_clock(leg.departed_at)}"
    if way is None:
        return f"{zh}；航线长度未知", f"{en}; length of the way not known"
    zh_by, en_by = MEASURED[way.method]
    return f"{zh}；全程 {way.distance_nm:.0f} 海里（{zh_by}）", f"{en}; {way.distance_nm:.0f} nm ({en_by})"


FROM = {
    "expected": ("目的地见计划或预计到达", "the destination is that of a planned or expected arrival"),
    "ports": ("目的地见报文所列港口", "the destination is named in a message"),
}
MEASURED = {
    "sea": ("海上航线网，非本船航迹", "along the sea lanes, not this ship's track"),
    "great_circle": ("大圆距离，非实际路线", "great circle, not the way really taken"),
}


def _whole(at: datetime) -> datetime:
    """To the minute: more would feign precision."""
    return utc(at).replace(second=0, microsecond=0)


def _local(at: datetime, zone: str) -> str:
    return _whole(at).astimezone(ZoneInfo(zone)).isoformat(timespec="minutes")
