"""Dunning: who is reminded of what is overdue, whose paid subscriptions are suspended for it, and when they go on.

Stream: `dunning:party:CODE` or `dunning:account:NAME` in the commerce journal. It knows commercial debts only: a
statement asks for money for nothing else, and what is suspended are subscriptions, which name commercial items alone.
Nobody is suspended who was not reminded a good while before. Money is integer minor units (fen); due days are days in
Asia/Shanghai; times are UTC.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from domain import fact
from domain.errors import Malformed
from domain.fact import Fact
from domain.period import ZONE

DAYS_MAX, STEPS_MAX = 3_650, 9


class Ladder(NamedTuple):
    """Days after the due day: when to remind, the last time to suspend."""

    reminders: tuple[int, ...] = (7, 21)
    suspension: int = 45

    @classmethod
    def of(cls, text: str) -> "Ladder":
        """Of `7,21,45`. Raises Malformed.

        >>> Ladder.of("7,21,45") == Ladder(), str(Ladder.of("10, 30"))
        (True, '10,30')
        """
        parts = [part.strip() for part in text.split(",")]
        days = [int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) <= len(str(DAYS_MAX))]
        rising = all(earlier < later for earlier, later in pairwise([0, *days]))
        if len(days) != len(parts) or not 2 <= len(days) <= STEPS_MAX or not rising or max(days) > DAYS_MAX:  # noqa: PLR2004  one to remind, one to suspend
            raise Malformed(
                f"催收天数应递增，至少两个，如 7,21,45，现为 {text[:40]!r} / days of dunning rise, two at least, such"
                f" as 7,21,45, not {text[:40]!r}",
                field="dunning",
            )
        return cls(tuple(days[:-1]), days[-1])

    def __str__(self) -> str:
        return ",".join(str(days) for days in (*self.reminders, self.suspension))

    @property
    def notice(self) -> int:
        """Days that lie between the last reminder and a suspension at least."""
        return self.suspension - self.reminders[-1]

    def level(self, days: int) -> int:
        """Which reminder is due so many days after the due day; 0: none."""
        return sum(days >= each for each in self.reminders)


# --- facts ---


class DunningFact(Fact, frozen=True, kw_only=True):
    """What every fact of dunning says."""

    holder: str
    is_party: bool
    by: str


class DunningReminded(DunningFact, frozen=True, kw_only=True, tag="dunning.reminded"):
    """`level`: 1 for the first reminder of this statement."""

    statement: str
    level: int
    due_on: date
    outstanding_minor: int


class DunningSuspended(DunningFact, frozen=True, kw_only=True, tag="dunning.suspended"):
    """For these statements these subscriptions stop."""

    statements: tuple[str, ...]
    outstanding_minor: int
    subscriptions: tuple[str, ...]


class DunningLifted(DunningFact, frozen=True, kw_only=True, tag="dunning.lifted"):
    """Nothing is overdue any more: these go on."""

    subscriptions: tuple[str, ...]


# --- state ---


class Overdue(msgspec.Struct, frozen=True):
    """A statement that is not paid in whole, its due day past."""

    statement: str
    due_on: date
    outstanding_minor: int

    def days(self, at: datetime) -> int:
        """After the due day."""
        return (at.astimezone(ZONE).date() - self.due_on).days


class Dunned(msgspec.Struct, frozen=True):
    """A holder, as dunning knows it."""

    holder: str
    is_party: bool
    reminders: dict[str, DunningReminded] = {}  # the last one of each statement
    suspended: DunningSuspended | None = None  # and not lifted


def stream(holder: str, *, is_party: bool) -> str:
    return f"dunning:{'party' if is_party else 'account'}:{holder}"


def evolve(dunned: Dunned, happened: Fact) -> Dunned:
    """The holder after one more fact. Never fails."""
    replace = msgspec.structs.replace
    match happened:
        case DunningReminded(statement=statement):
            return replace(dunned, reminders={**dunned.reminders, statement: happened})
        case DunningSuspended():
            return replace(dunned, suspended=happened)
        case DunningLifted():
            return replace(dunned, suspended=None)
        case _:
            raise AssertionError(happened)


# --- decisions: no facts back = nothing new ---


def dun(
    dunned: Dunned, overdue: Sequence[Overdue], running: Sequence[str], *, ladder: Ladder, by: str, at: datetime
) -> tuple[Fact, ...]:
    """What is to be done about a holder now. `running`: its subscriptions that are not suspended.

    However late one asks, a statement gets one reminder at a time, and a suspension waits for its notice.
    """
    about: dict[str, Any] = {"happened_at": at, "recorded_at": at, "by": by}
    about |= {"holder": dunned.holder, "is_party": dunned.is_party}
    told: list[Fact] = list(_reminders(dunned, overdue, ladder, about))
    if dunned.suspended is not None:
        if not overdue:
            told.append(DunningLifted(**about, subscriptions=dunned.suspended.subscriptions))
        return tuple(told)
    ripe = [each for each in overdue if _ripe(dunned, each, ladder, at)]
    if ripe and running:
        told.append(
            DunningSuspended(
                **about,
                statements=tuple(each.statement for each in ripe),
                outstanding_minor=sum(each.outstanding_minor for each in ripe),
                subscriptions=tuple(running),
            )
        )
    return tuple(told)


def _reminders(
    dunned: Dunned, overdue: Sequence[Overdue], ladder: Ladder, about: dict[str, Any]
) -> Iterator[DunningReminded]:
    for each in sorted(overdue, key=lambda each: (each.due_on, each.statement)):
        before, level = dunned.reminders.get(each.statement), ladder.level(each.days(about["happened_at"]))
        if level > (before.level if before else 0):
            yield DunningReminded(
                **about,
                statement=each.statement,
                level=level,
                due_on=each.due_on,
                outstanding_minor=each.outstanding_minor,
            )


def _ripe(dunned: Dunned, due: Overdue, ladder: Ladder, at: datetime) -> bool:
    """It is long overdue, and the last reminder was told with due notice."""
    last = dunned.reminders.get(due.statement)
    if due.days(at) < ladder.suspension or last is None or last.level < len(ladder.reminders):
        return False
    return (at.astimezone(ZONE).date() - last.happened_at.astimezone(ZONE).date()).days >= ladder.notice


fact.register(DunningReminded, DunningSuspended, DunningLifted)
