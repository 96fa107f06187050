"""A month of the books: which month a use belongs to, when nothing more is posted to it, and who closed it.

    open -> cut off -> reviewing -> closed        (reopened: reviewing again, by two people, with a reason)

A period is a calendar month in Asia/Shanghai, half-open, written `2026-10`; periods so written sort by time. Once it is
cut off, what turns up late for it goes to the next open period and names the one it corrects. Stream: `period:2026-10`.
Reopening changes nothing that was issued, and posts nothing to the period: it lets reconciliation and signature be
repeated. Times are UTC.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from domain import fact, register
from domain.errors import Malformed, Refused
from domain.fact import Fact

ZONE = ZoneInfo("Asia/Shanghai")
FORM = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")
Stage = Literal["open", "cut_off", "reviewing", "closed"]
STAGES: dict[Stage, tuple[str, str]] = {
    "open": ("未结", "open"),
    "cut_off": ("已截止", "cut off"),
    "reviewing": ("审核中", "reviewing"),
    "closed": ("已关账", "closed"),
}


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


class PeriodReviewed(Fact, frozen=True, kw_only=True, tag="period.statements_issued"):
    """Each of its statements is issued; they are reviewed."""

    period: str
    statements: int
    total_minor: int  # of them all, fen
    last_sha256: str  # of the last one; with the others it hangs on their chain
    by: str


class PeriodClosed(Fact, frozen=True, kw_only=True, tag="period.closed"):
    period: str
    accepted: tuple[str, ...]  # breaks that it was closed with
    signed_by: str  # who signed the reconciliation
    by: str


class ReopeningAsked(Fact, frozen=True, kw_only=True, tag="period.reopening_asked"):
    period: str
    reason: str
    by: str


class PeriodReopened(Fact, frozen=True, kw_only=True, tag="period.reopened"):
    """By a second person; what was issued stays."""

    period: str
    reason: str
    asked_by: str
    by: str


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


def begun(at: datetime) -> datetime:
    """The beginning of a month that is this moment, or comes next.

    >>> begun(datetime(2026, 9, 30, 16, tzinfo=UTC)) == begun(datetime(2026, 9, 2, tzinfo=UTC))
    True
    """
    start, end = bounds(month_of(at))
    return start if at == start else end


def stream(period: str) -> str:
    return f"period:{period}"


# --- state ---


class Period(msgspec.Struct, frozen=True):
    period: str
    stage: Stage = "open"
    cut_off_at: datetime | None = None
    closed_at: datetime | None = None
    reopened_at: datetime | None = None
    asked: ReopeningAsked | None = None  # to be reopened, and nobody agreed yet


def evolve(period: Period, happened: Fact) -> Period:
    """The period after one more fact. Never fails."""
    replace = msgspec.structs.replace
    match happened:
        case PeriodCutOff(happened_at=at):
            return replace(period, stage="cut_off", cut_off_at=period.cut_off_at or at)
        case PeriodReviewed():
            return replace(period, stage="reviewing")
        case PeriodClosed(happened_at=at):
            return replace(period, stage="closed", closed_at=at, asked=None)
        case ReopeningAsked():
            return replace(period, asked=happened)
        case PeriodReopened(happened_at=at):
            return replace(period, stage="reviewing", asked=None, reopened_at=at)
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


def reviewing(
    period: Period, *, statements: int, total_minor: int, last_sha256: str, by: str, at: datetime
) -> tuple[Fact, ...]:
    """All its statements are issued. Raises Refused before the cut-off."""
    if period.stage == "open":
        raise Refused(f"{period.period} 尚未截止 / {period.period} is not cut off yet", period=period.period)
    if period.stage != "cut_off":
        return ()
    return (
        PeriodReviewed(
            happened_at=at,
            recorded_at=at,
            period=period.period,
            statements=statements,
            total_minor=total_minor,
            last_sha256=last_sha256,
            by=by,
        ),
    )


def close(
    period: Period, *, open_breaks: int, accepted: tuple[str, ...], signed_by: str, by: str, at: datetime
) -> tuple[Fact, ...]:
    """Close it. Raises Refused unless it is reviewed, reconciled, signed, and no break is open."""
    if period.stage == "closed":
        return ()
    if period.stage != "reviewing":
        raise Refused(
            f"{period.period} 尚未出账单 / the statements of {period.period} are not issued yet", period=period.period
        )
    if open_breaks:
        raise Refused(
            f"尚有 {open_breaks} 项差异未处理 / {open_breaks} breaks are open", period=period.period, breaks=open_breaks
        )
    if not signed_by:
        raise Refused(
            f"{period.period} 的对账尚未签字 / the reconciliation of {period.period} is not signed",
            period=period.period,
        )
    return (
        PeriodClosed(
            happened_at=at, recorded_at=at, period=period.period, accepted=accepted, signed_by=signed_by, by=by
        ),
    )


def ask_reopening(period: Period, *, reason: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """Ask for a closed period to be reopened. Raises Refused for one that is not closed."""
    if period.stage != "closed":
        raise Refused(f"{period.period} 未关账 / {period.period} is not closed", period=period.period)
    if period.asked is not None:
        return ()
    told = register.said("理由", "reason", reason)
    return (ReopeningAsked(happened_at=at, recorded_at=at, period=period.period, reason=told, by=by),)


def reopen(period: Period, *, by: str, at: datetime) -> tuple[Fact, ...]:
    """Agree to it, as a second person. Raises Refused."""
    asked = period.asked
    if asked is None:
        raise Refused(
            f"没有人申请重开 {period.period} / nobody asked for {period.period} to be reopened", period=period.period
        )
    if asked.by == by:
        raise Refused("重开须由另一人同意 / reopening takes a second person", by=by)
    return (
        PeriodReopened(
            happened_at=at, recorded_at=at, period=period.period, reason=asked.reason, asked_by=asked.by, by=by
        ),
    )


fact.register(PeriodCutOff, PeriodReviewed, PeriodClosed, ReopeningAsked, PeriodReopened)
