"""What the pages of the months are made of: how far a month is, what is next, what stands in the way, who did what.

Whether a step may be taken is asked of the same decisions that take it (domain/period.py, api/closing.py), so the page
says beforehand what the act would say. Times are UTC, months those of Asia/Shanghai, money fen.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec
import psycopg

from api import adjusting, closing, reconciling
from api.closing import Month
from api.govern.acts import Desk
from api.portal import holders
from api.portal.holders import Whose
from api.words import Pair, shanghai
from api.workbook import REPORTS
from billing import invoicing
from billing.invoicing import Going, Sums
from billing.sending import REQUESTS
from domain import period
from domain.errors import KouanError
from domain.invoice import PROVIDERS
from domain.period import STAGES, NotOver, Period
from domain.reconciliation import Reconciliation
from projections import catalogue
from projections.catalogue import Listed

MONTHS_SHOWN = 24
INVOICES_SHOWN = 50
TROUBLED_MAX = 100
OWED = "SELECT statement, outstanding_minor FROM receivables WHERE statement = ANY(%s)"
TAKEN = """
SELECT coalesce(sum(paid_minor - refunded_minor), 0)::bigint,
    coalesce(sum(outstanding_minor) FILTER (WHERE outstanding_minor > 0), 0)::bigint
FROM receivables WHERE period = %s
"""
State = Literal["done", "next", "under_way", "trouble", "later"]
Name = Literal["cut_off", "statements", "invoices", "reconcile", "close"]
STEPS: dict[Name, Pair] = {
    "cut_off": ("截止", "Cut off"),
    "statements": ("出具账单", "Issue the statements"),
    "invoices": ("发送付款通知", "Send the invoices"),
    "reconcile": ("对账并签字", "Reconcile and sign"),
    "close": ("关账", "Close"),
}
STATES: dict[State, Pair] = {
    "done": ("已办理", "Done"),
    "next": ("待办理", "To do"),
    "under_way": ("办理中", "Under way"),
    "trouble": ("须处理", "Needs a look"),
    "later": ("尚不能办理", "Not yet"),
}
INVOICES: dict[str, Pair] = {
    "waiting": ("待发送", "waiting"),
    "sent": ("已发送", "sent"),
    "stopped": ("已中止", "stopped"),
    "voided": ("已作废", "void"),
}
OUTBOX: dict[str, Pair] = {
    "": ("–", "–"),
    "customer": ("客户资料", "the customer"),
    "draft": ("草稿", "the draft"),
    "item": ("行项目", "a line"),
    "compare": ("逐行核对", "comparing"),
    "finalize": ("定稿", "making it final"),
    "check": ("复核", "checking"),
    "send": ("发送", "sending"),
    "record": ("登记", "recording"),
    "void": ("作废", "voiding"),
    "credit": ("贷项", "a credit note"),
    "refund": ("退款", "a refund"),
}
NOTHING: Pair = ("", "")


class Step(NamedTuple):
    """One line of the checklist. `said`: how far it is, or what stands in the way."""

    name: Name
    state: State
    said: Pair = NOTHING
    at: datetime | None = None
    by: str = ""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of a month. `months`: all of them, for months go one after another."""

    month: str
    months: dict[str, Month]
    begun: str | None  # the month of the first use, while none is cut off
    checked: Reconciliation
    sums: Sums

    @property
    def stands(self) -> Month:
        return self.months.get(self.month, Month(Period(self.month)))


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of a month needs beside that."""

    known: Known
    invoices: list[Going]
    troubled: list[Going]
    owed: dict[str, int]  # of those that were sent, by statement
    paid_minor: int
    outstanding_minor: int
    adjustments: list[adjusting.Shown]
    names: dict[Whose, Pair]  # of the holders
    items: list[Listed]  # that an adjustment may name


class Row(NamedTuple):
    """A month in the list."""

    name: str
    month: Month
    sums: Sums
    open: int  # breaks
    signed: str  # who signed
    todo: Step | None


class Overview(NamedTuple):
    """A page of the list. `following`: where the next one begins; "": nowhere."""

    rows: list[Row]
    following: str
    pending: dict[str, int]  # adjustments that wait for a second person, by the month on whose page they are


# --- reading ---


def overview(desk: Desk, before: str, now: datetime) -> Overview:
    """The newest months first, those before `before` ("": all)."""
    with desk.pool.connection() as connection:
        months = closing.months(connection)
        begun = None if months else closing.first(connection)
        names = [name for name in _names(months, begun, now) if not before or name < before]
        shown, more = names[:MONTHS_SHOWN], names[MONTHS_SHOWN:]
        sums = invoicing.sums(connection, shown)
        waiting = [each for each in adjusting.find(connection) if each.state == "proposed"]
    rows = []
    for name in shown:
        stands = months.get(name, Month(Period(name)))
        checked = Reconciliation(name)
        if stands.period.stage == "reviewing":
            checked = reconciling.read(desk.pool, desk.journal, name)
        rows.append(row(Known(month=name, months=months, begun=begun, checked=checked, sums=sums[name]), now))
    pending = Counter(each.corrects_period or _turn(months, begun, now) for each in waiting)
    return Overview(rows, shown[-1] if more else "", dict(sorted(pending.items())))


def row(known: Known, now: datetime) -> Row:
    """A month as the list has it."""
    checklist = steps(known, now)
    todo = next((each for each in checklist if each.state in {"next", "trouble"}), None)
    signed = next((each.by for each in checklist if each.name == "reconcile"), "")
    return Row(known.month, known.stands, known.sums, len(known.checked.open()), signed, todo)


def _names(months: dict[str, Month], begun: str | None, now: datetime) -> list[str]:
    """From the first that is known to the one that runs."""
    names, last = [], period.month_of(now)
    name = min(months, default=begun or last)
    while name <= last:
        names.append(name)
        name = period.following(name)
    return names[::-1]


def read(desk: Desk, month: str, state: str, after: str, now: datetime) -> Found:
    """One month. `state`, `after`: of its invoices those in this state ("": all), behind this number."""
    checked = reconciling.read(desk.pool, desk.journal, month)
    with desk.pool.connection() as connection:
        months = closing.months(connection)
        begun = None if months else closing.first(connection)
        sums = invoicing.sums(connection, [month])[month]
        page = invoicing.listed(connection, month=month, state=state or None, after=after, limit=INVOICES_SHOWN + 1)
        troubled = invoicing.listed(connection, month=month, troubled=True, limit=TROUBLED_MAX)
        owed = dict(connection.execute(OWED, ([each.statement for each in (*page, *troubled)],)).fetchall())
        [paid, outstanding] = connection.execute(TAKEN, (month,)).fetchone() or (0, 0)
        known = Known(month=month, months=months, begun=begun, checked=checked, sums=sums)
        adjustments = [each for each in adjusting.find(connection) if _belongs(each, known, now)]
        billed = {each.holder for each in (*page, *troubled)} | {each.holder for each in adjustments}
        names = holders.names(connection, billed)
        items = _priced(connection)
    return Found(
        known=known,
        invoices=page,
        troubled=troubled,
        owed=owed,
        paid_minor=paid,
        outstanding_minor=outstanding,
        adjustments=adjustments,
        names=names,
        items=items,
    )


def _priced(connection: psycopg.Connection[Any]) -> list[Listed]:
    return [each for each in catalogue.items(connection) if each.item_class == "commercial"]


def _belongs(each: adjusting.Shown, known: Known, now: datetime) -> bool:
    """On the page of the month that it is about, that bears it, or that it waits for."""
    month, cut = known.month, known.stands.cut
    if each.corrects_period == month or each.billed_on.startswith(f"KS-{month.replace('-', '')}-"):
        return True
    if each.state == "declined" or each.billed_on:
        return each.decided_at is not None and not each.billed_on and period.month_of(each.decided_at) == month
    if cut is not None and each.state == "approved" and each.decided_at is not None:
        return known.stands.period.stage == "cut_off" and each.decided_at <= cut.happened_at
    return month == turn(known, now)


def turn(known: Known, now: datetime) -> str:
    """The month that is cut off next: what is approved now stands on its statements."""
    return _turn(known.months, known.begun, now)


def _turn(months: dict[str, Month], begun: str | None, now: datetime) -> str:
    last = closing.latest(months)
    return period.following(last) if last else begun or period.month_of(now)


# --- the checklist ---


def steps(known: Known, now: datetime) -> list[Step]:
    """From the top to the bottom."""
    return [_cut_off(known, now), _statements(known), _invoices(known), _reconciled(known), _close(known, now)]


def _cut_off(known: Known, now: datetime) -> Step:
    stands = known.stands
    if stands.cut is not None:
        return Step("cut_off", "done", NOTHING, stands.cut.happened_at, stands.cut.by)

    def check() -> None:
        last = closing.latest(known.months)
        period.cut_off(stands.period, latest=last, by="", at=now)
        if last is None:
            closing.check_first(known.begun, known.month)

    return _may("cut_off", check)


def _statements(known: Known) -> Step:
    stands = known.stands
    if stands.reviewed is not None:
        count = stands.reviewed.statements
        said = (f"{count:,} 张", f"{count:,} issued")
        return Step("statements", "done", said, stands.reviewed.happened_at, stands.reviewed.by)
    if stands.cut is None:
        return Step("statements", "later", ("须先截止", "After the cut-off"))
    return _may("statements", lambda: closing.check_turn(known.months, known.month))


def _invoices(known: Known) -> Step:
    sums = known.sums
    if known.stands.reviewed is None:
        return Step("invoices", "later", ("须先出具账单", "After the statements"))
    if not sums.payable:
        return Step("invoices", "done", ("没有须付款的账单", "No statement has anything to pay"))
    told = (f"{sums.payable:,} 张须付款，已发送 {sums.sent:,}", f"{sums.sent:,} of {sums.payable:,} sent")
    if sums.asked < sums.payable:
        return Step("invoices", "next", told)
    if sums.troubled:
        return Step("invoices", "trouble", told, sums.asked_at, sums.asked_by)
    if sums.waiting:
        return Step("invoices", "under_way", told, sums.asked_at, sums.asked_by)
    return Step("invoices", "done", told, sums.sent_at, sums.asked_by)


def _reconciled(known: Known) -> Step:
    stands, checked = known.stands, known.checked
    if stands.reviewed is None:
        return Step("reconcile", "later", ("须先出具账单", "After the statements"))
    if stands.period.stage == "closed" and stands.closed is not None:
        signed_at = checked.signed.happened_at if checked.signed else None
        return Step("reconcile", "done", NOTHING, signed_at, stands.closed.signed_by)
    if signed := closing.signature(stands.period, checked):
        return Step("reconcile", "done", NOTHING, signed.happened_at, signed.by)
    return Step("reconcile", "next", _unsigned(checked))


def _unsigned(checked: Reconciliation) -> Pair:
    """What is missing."""
    if checked.run is None:
        return "尚未对账", "Not reconciled yet"
    if left := len(checked.open()):
        return f"{left:,} 项差异未处理", f"{left:,} breaks are open"
    if checked.signed:
        return "重开之后须再次对账并签字", "To be reconciled and signed anew: it was reopened"
    return "待对账人之外的财务签字", "To be signed by somebody else than who ran it"


def _close(known: Known, now: datetime) -> Step:
    stands = known.stands
    if stands.period.stage == "closed" and stands.closed is not None:
        left = len(stands.closed.accepted)
        said = (f"附 {left:,} 项已接受的差异", f"with {left:,} accepted breaks") if left else NOTHING
        return Step("close", "done", said, stands.closed.happened_at, stands.closed.by)
    if stands.reviewed is None:
        return Step("close", "later", ("须先出具账单", "After the statements"))

    def check() -> None:
        closing.check_before(known.months, known.month)
        closing.closed(stands.period, known.checked, "", now)

    return _may("close", check)


def _may(name: Name, check: Callable[[], None]) -> Step:
    """To be done, unless the decision says no: then with its words."""
    try:
        check()
    except NotOver as error:
        ends = shanghai(datetime.fromisoformat(str(error.facts["ends_at"])))
        return Step(name, "later", (f"本月未完，北京时间 {ends} 起可截止", f"not over: from {ends} China time on"))
    except KouanError as error:
        zh, _, en = error.detail.partition(" / ")
        return Step(name, "later", (zh, en))
    return Step(name, "next")


# --- what the templates get ---


def listed(found: Overview, *, acts: bool) -> dict[str, Any]:
    """What the list is made of."""
    return {**found._asdict(), "acts": acts, "stages": STAGES, "steps": STEPS}


def view(found: Found, now: datetime, *, me: str, acts: bool, state: str = "", key: str = "") -> dict[str, Any]:
    """What the page of a month is made of. `acts`: whether the reader may do something. `key`: of the next proposal."""
    known, checklist = found.known, steps(found.known, now)
    page = found.invoices[:INVOICES_SHOWN]
    return {
        "month": known.month,
        "stands": known.stands,
        "stage_said": STAGES[known.stands.period.stage],
        "before": period.preceding(known.month),
        "after": period.following(known.month) if known.month < period.month_of(now) else "",
        "checklist": checklist,
        "main": next((each.name for each in checklist if each.state == "next"), ""),
        "titles": STEPS,
        "states": STATES,
        "found": found,
        "sums": known.sums,
        "invoices": page,
        "following": page[-1].statement if len(found.invoices) > len(page) else "",
        "asked": state,
        "invoice_states": INVOICES,
        "outbox": OUTBOX,
        "names": found.names,
        "item_names": {each.item: (each.zh, each.en) for each in found.items},
        "reports": {name: (report.sheet.zh, report.sheet.en) for name, report in REPORTS.items()},
        "requests": REQUESTS,
        "providers": PROVIDERS,
        "turn": turn(known, now),
        "signed": known.checked.signed is not None,
        "open_breaks": len(known.checked.open()),
        "me": me,
        "acts": acts,
        "key": key,
    }
