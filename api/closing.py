"""The life of a month of the books, as acts: the same by API (api/periods.py) and in a terminal.

    cut off  ->  statements issued  ->  closed        (asked to be reopened, and reopened by a second person)

What stands in the journal is read from the journal: no read model decides about a month. Cutting off first tells the
standing charges of the month; issuing waits until usage is counted up to the cut-off, and takes a connection of its own
for as long as it needs. Times are UTC, months those of Asia/Shanghai.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from api.books import Books
from api.govern.acts import Act
from billing import drafting, standing
from domain import fact, period, reconciliation
from domain.deciding import folded
from domain.fact import Fact
from domain.period import OutOfTurn, Period, PeriodClosed, PeriodCutOff, PeriodReopened, PeriodReviewed
from domain.reconciliation import Reconciliation, ReconciliationSigned
from domain.writer import Busy
from projections import runner

WAIT_SECONDS_MAX = 3.0  # for usage to be counted up to a cut-off; then one asks again
TOLD = """
SELECT notification_id, state FROM commerce_events
WHERE originator_id >= 'period:' AND originator_id < 'period;'
ORDER BY notification_id
"""


class Month(NamedTuple):
    """A period as its facts have it."""

    period: Period
    position: int = 0  # of its cut-off
    reviewed: PeriodReviewed | None = None
    closed: PeriodClosed | None = None  # as it was closed last
    cut: PeriodCutOff | None = None
    reopened: PeriodReopened | None = None  # as it was reopened last


# --- what there is ---


def months(connection: psycopg.Connection[Any]) -> dict[str, Month]:
    """Every period that something was told of, oldest first."""
    found: dict[str, Month] = {}
    for position, state in connection.execute(TOLD):
        told: Any = fact.decode(state)
        had = found.get(told.period, Month(Period(told.period)))
        now = had._replace(period=period.evolve(had.period, told))
        match told:
            case PeriodCutOff():
                now = now._replace(position=had.position or position, cut=had.cut or told)
            case PeriodReviewed():
                now = now._replace(reviewed=told)
            case PeriodClosed():
                now = now._replace(closed=told)
            case PeriodReopened():
                now = now._replace(reopened=told)
            case _:
                pass
        found[told.period] = now
    return dict(sorted(found.items()))


def latest(found: dict[str, Month]) -> str | None:
    """The last period that was cut off."""
    return max(found, default=None)


FIRST = """
SELECT state FROM commerce_events
WHERE topic IN ('delivery.made', 'delivery.accepted', 'subscription.made')
ORDER BY notification_id LIMIT 1
"""


def first(connection: psycopg.Connection[Any]) -> str | None:
    """The month in which anything was used or ordered for the first time: none behind it may be left out."""
    row = connection.execute(FIRST).fetchone()
    return period.month_of(fact.decode(row[0]).happened_at) if row else None


def check_first(begun: str | None, name: str) -> None:
    """Raises OutOfTurn for a cut-off that would leave out the month in which everything began."""
    if begun is not None and name > begun:
        raise OutOfTurn(
            f"{begun} 已有用量，须先截止 / there is usage in {begun}: cut that one off first", period=name, next=begun
        )


def _act(action: str, name: str, decision: Callable[[Period], Sequence[Fact]], detail: str = "") -> Act:
    return Act(f"period.{action}", period.stream(name), folded(Period(name), period.evolve), decision, detail)


# --- acts; each raises what its decision raises ---


def cut_off(books: Books, name: str, by: str, at: datetime) -> Act:
    """Post nothing more to a month that is over. What falls due in it without use is told before: here."""
    with books.connect() as connection:
        found = months(connection)
        last = latest(found)
        if last is None:
            check_first(first(connection), name)

        def decide(state: Period) -> Sequence[Fact]:
            return period.cut_off(state, latest=last, by=by, at=at)

        if decide(found.get(name, Month(Period(name))).period):  # nothing falls due in a month that cannot be cut off
            standing.fall_due(connection, books.writer, name, at=at)
    return _act("cut_off", name, decide)


def issue(books: Books, name: str, by: str, at: datetime) -> Act:
    """Issue the statements of a month that was cut off. Raises NotCutOff, OutOfTurn; Busy until usage is counted."""
    with books.connect() as connection:
        found = months(connection)
        check_turn(found, name)
        if found[name].period.stage != "cut_off":
            return _act("statements_issued", name, lambda _: ())
        if not runner.wait_for(connection, "usage", found[name].position, WAIT_SECONDS_MAX):
            raise Busy(
                f"{name} 的用量尚未计完，请稍后再试 / usage is not counted up to the cut-off of {name} yet; try again"
            )
        issued = drafting.issue(connection, books.writer, name, by=by, at=at)
    sums: dict[str, Any] = {"statements": issued.statements, "total_minor": issued.total_minor}

    def decide(state: Period) -> Sequence[Fact]:
        return period.reviewing(state, **sums, last_sha256=issued.last_sha256, by=by, at=at)

    return _act("statements_issued", name, decide, f"{issued.statements} {issued.total_minor}")


def check_turn(found: dict[str, Month], name: str) -> None:
    """Credit goes from one statement to the next: months are billed in their order. Raises NotCutOff, OutOfTurn."""
    if name not in found:
        raise drafting.NotCutOff(f"{name} 尚未截止 / {name} is not cut off yet", period=name)
    waiting = [each for each, month in found.items() if each < name and month.period.stage == "cut_off"]
    if waiting:
        raise OutOfTurn(
            f"账单须逐月出具，现在轮到 {waiting[0]} / statements are issued one month after another: it is the turn of"
            f" {waiting[0]}",
            period=name,
            next=waiting[0],
        )


def close(books: Books, name: str, by: str, at: datetime) -> Act:
    """Close a month that is reconciled and signed; once reopened, reconciled and signed anew. Raises OutOfTurn."""
    with books.connect() as connection:
        check_before(months(connection), name)
    return _act("closed", name, lambda state: closed(state, _reconciled(books, name), by, at))


def check_before(found: dict[str, Month], name: str) -> None:
    """Months are closed in their order. Raises OutOfTurn."""
    before = [each for each, month in found.items() if each < name and month.period.stage != "closed"]
    if before and name in found and found[name].period.stage == "reviewing":
        raise OutOfTurn(
            f"请先结账 {before[0]} / {before[0]} is not closed yet: close that one first", period=name, next=before[0]
        )


def closed(state: Period, checked: Reconciliation, by: str, at: datetime) -> Sequence[Fact]:
    """Close it with what was reconciled. Raises Refused."""
    signed = signature(state, checked)
    return period.close(
        state,
        open_breaks=len(checked.open()),
        accepted=tuple(sorted(key for key, each in checked.breaks.items() if each.state == "accepted")),
        signed_by=signed.by if signed else "",
        by=by,
        at=at,
    )


def signature(state: Period, checked: Reconciliation) -> ReconciliationSigned | None:
    """What the month can be closed on: of one that was reopened, a signature of after that."""
    signed = checked.signed
    if signed is not None and state.reopened_at is not None and signed.happened_at <= state.reopened_at:
        return None
    return signed


def _reconciled(books: Books, name: str) -> Reconciliation:
    with books.pool.connection() as connection:
        entries = books.writer.journal.stream(connection, reconciliation.stream(name))
    return folded(Reconciliation(name), reconciliation.evolve)(entries)


def ask_reopening(name: str, reason: str, by: str, at: datetime) -> Act:
    """Ask for a closed month to be reopened."""
    return _act("reopening_asked", name, lambda state: period.ask_reopening(state, reason=reason, by=by, at=at), reason)


def reopen(name: str, by: str, at: datetime) -> Act:
    """Agree to it, as a second person."""
    return _act("reopened", name, lambda state: period.reopen(state, by=by, at=at))
