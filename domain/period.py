"""A month of the books: which month a use belongs to, and when nothing more is posted to it.

A period is a calendar month in Asia/Shanghai, half-open, written `2026-10`; periods so written sort by time. Once it is
cut off, what turns up late for it goes to the next open period and names the one it corrects. Stream: `period:2026-10`.
Times are UTC.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from domain import fact
from domain.errors import Malformed, Refused
from domain.fact import Fact

ZONE = ZoneInfo("Asia/Shanghai")
FORM = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")
Stage = Literal["open", "cut_off"]


class NotOver(Refused):
    """`facts.ends_at`: when the month is over."""

    slug = "period-not-over"
    title = "The month is not over yet"


class OutOfTurn(Refused):
    """`facts.next`: the period whose turn it is."""

    slug = "period-out-of-turn"
    title = "Periods are cut off one after another"


# --- facts ---


class PeriodCutOff(Fact, frozen=True, kw_only=True, tag="period.cut_off"):
    """From this place in the journal on nothing is posted to the period."""

    period: str
    by: str  # account, or who sits at the node's terminal


# --- which month ---


def parse(text: str) -> str:
    """A period as it was asked for. Raises Malformed.

    >>> parse("2026-10")
    '2026-10'
    """
    if not FORM.fullmatch(text):
        raise Malformed(f"账期应写作 2026-10 / a period is written 2026-10, not {text[:20]!r}", field="period")
    return text


def month_of(at: datetime) -> str:
    """The period that a moment lies in: October begins at the end of September in Shanghai, which is 16:00 UTC.

    >>> month_of(datetime(2026, 9, 30, 16, tzinfo=UTC)), month_of(datetime(2026, 9, 30, 15, 59, tzinfo=UTC))
    ('2026-10', '2026-09')
    """
    there = at.astimezone(ZONE)
    return f"{there.year:04}-{there.month:02}"


def months() -> Callable[[datetime], str]:
    """`month_of` for many moments that lie close together: the zone is asked only at the ends of a month."""
    period, start, end = "", datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)

    def month(at: datetime) -> str:
        nonlocal period, start, end
        if not start <= at < end:
            period = month_of(at)
            start, end = bounds(period)
        return period

    return month


@lru_cache(maxsize=256)
def bounds(period: str) -> tuple[datetime, datetime]:
    """Its first moment, and the first that is no longer in it, in UTC."""
    return _start(period), _start(following(period))


def _start(period: str) -> datetime:
    return datetime(int(period[:4]), int(period[5:]), 1, tzinfo=ZONE).astimezone(UTC)


def following(period: str) -> str:
    """The next period.

    >>> following("2026-12")
    '2027-01'
    """
    year, month = int(period[:4]), int(period[5:])
    return f"{year + month // 12:04}-{month % 12 + 1:02}"


def preceding(period: str) -> str:
    """The period before.

    >>> preceding("2027-01")
    '2026-12'
    """
    year, month = int(period[:4]), int(period[5:])
    return f"{year - (month == 1):04}-{(month - 2) % 12 + 1:02}"


def stream(period: str) -> str:
    return f"period:{period}"


# --- state ---


class Period(msgspec.Struct, frozen=True):
    period: str
    stage: Stage = "open"
    cut_off_at: datetime | None = None


def evolve(period: Period, happened: Fact) -> Period:
    """The period after one more fact. Never fails."""
    match happened:
        case PeriodCutOff(happened_at=at):
            return msgspec.structs.replace(period, stage="cut_off", cut_off_at=period.cut_off_at or at)
        case _:
            raise AssertionError(happened)


# --- decisions: no facts back = nothing new ---


def cut_off(period: Period, *, latest: str | None, by: str, at: datetime) -> tuple[Fact, ...]:
    """Post nothing more to it. `latest`: the last period that was cut off before; None: it would be the first.

    Raises NotOver for a month that is not past, OutOfTurn for one that would leave out the month before it.
    """
    if period.stage != "open":
        return ()
    name, (_, end) = period.period, bounds(period.period)
    if at < end:
        raise NotOver(
            f"{name} 尚未结束，{end.isoformat()} 之后方可截止 / {name} is not over before {end.isoformat()}",
            period=name,
            ends_at=end.isoformat(),
        )
    if latest is not None and name != following(latest):
        turn = following(latest)
        raise OutOfTurn(
            f"账期须逐月截止，现在轮到 {turn} / periods are cut off one after another: it is the turn of {turn}",
            period=name,
            next=turn,
        )
    return (PeriodCutOff(happened_at=at, recorded_at=at, period=name, by=by),)


fact.register(PeriodCutOff)
