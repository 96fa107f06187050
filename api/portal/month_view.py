"""What the pages of the months are made of: how far a month is, what is next, what stands in the way, who did what.

The steps themselves are in api/portal/checklist.py. Times are UTC, months those of Asia/Shanghai, money fen.
"""

from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import psycopg

from api import adjusting, closing, reconciling, seller_desk
from api.closing import Month
from api.govern.acts import Desk
from api.portal import holders
from api.portal.checklist import STATES, STEPS, Known, Money, Step, Waiting, steps
from api.portal.holders import Whose
from api.words import Pair
from api.workbook import REPORTS
from billing import bank_books, fapiao_books, invoicing
from billing.invoicing import Going, Sums
from billing.sending import REQUESTS
from domain import period, seller
from domain.invoice import PROVIDERS
from domain.period import STAGES, Period
from domain.reconciliation import Reconciliation
from domain.statement import Seller
from projections import catalogue
from projections.catalogue import Listed

MONTHS_SHOWN = 24
INVOICES_SHOWN = 50
TROUBLED_MAX = 100
OWED = "SELECT statement, outstanding_minor FROM receivables WHERE statement = ANY(%s)"
TAKEN = """
SELECT coalesce(sum(paid_minor - refunded_minor), 0)::bigint, coalesce(sum(credited_minor), 0)::bigint,
    coalesce(sum(total_minor - paid_minor + refunded_minor - credited_minor) FILTER (WHERE voided), 0)::bigint,
    coalesce(sum(total_minor), 0)::bigint
FROM receivables WHERE period = %s
"""
SETTLED = """
SELECT statement FROM receivables
WHERE period = %s AND NOT voided AND outstanding_minor <= 0 AND paid_minor > refunded_minor
"""
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


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of a month needs beside that."""

    known: Known
    invoices: list[Going]
    troubled: list[Going]
    owed: dict[str, int]  # of those that were sent, by statement
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
    seller: Seller = Seller()


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
        bills = selling(desk, connection)
    rows = []
    for name in shown:
        stands = months.get(name, Month(Period(name)))
        checked = Reconciliation(name)
        if stands.period.stage == "reviewing":
            checked = reconciling.read(desk.pool, desk.journal, name)
        rows.append(row(Known(month=name, months=months, begun=begun, checked=checked, sums=sums[name]), now))
    pending = Counter(each.corrects_period or _turn(months, begun, now) for each in waiting)
    return Overview(rows, shown[-1] if more else "", dict(sorted(pending.items())), bills)


def row(known: Known, now: datetime) -> Row:
    """A month as the list has it."""
    checklist = steps(known, now)
    todo = next((each for each in checklist if each.name != "seller" and each.state in {"next", "trouble"}), None)
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
        known = Known(
            month=month,
            months=months,
            begun=begun,
            checked=checked,
            sums=sums,
            seller=selling(desk, connection),
            money=_money(connection, sums),
            waiting=_waiting(connection, month),
        )
        adjustments = [each for each in adjusting.find(connection) if _belongs(each, known, now)]
        billed = {each.holder for each in (*page, *troubled)} | {each.holder for each in adjustments}
        names = holders.names(connection, billed)
        items = _priced(connection)
    return Found(
        known=known,
        invoices=page,
        troubled=troubled,
        owed=owed,
        adjustments=adjustments,
        names=names,
        items=items,
    )


def selling(desk: Desk, connection: psycopg.Connection[Any]) -> Seller:
    """Who bills, as it is now."""
    return seller.folded(seller_desk.told(desk.journal, connection)).seller


def _money(connection: psycopg.Connection[Any], sums: Sums) -> Money:
    [received, credited, void, sent] = connection.execute(TAKEN, (sums.period,)).fetchone() or (0, 0, 0, 0)
    return Money(sums.payable_minor, received, credited, void, sums.payable_minor - sent)


def _waiting(connection: psycopg.Connection[Any], month: str) -> Waiting:
    settled = [number for (number,) in connection.execute(SETTLED, (month,))]
    told = fapiao_books.states(connection, settled) if settled else {}
    return Waiting(bank_books.counts(connection).waiting, sum(not each.blue for each in told.values()))


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
        "money": known.money,
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
