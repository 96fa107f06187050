"""Where the sheets of a reconciliation workbook come from: what was issued, what became of it, and what was found.

Each sheet is read as it is written, through a cursor of the server, all in one snapshot, so that the sheets agree with
one another. Money is fen, times are UTC.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import reduce
from typing import Any, TypeVar

import psycopg
from psycopg.rows import class_row

from api import fees
from api.settings import Fees
from billing import drafting
from billing.statement import Pinned
from billing.workbook import About, Book, Part
from billing.workbook_rows import (
    ADJUSTMENTS,
    BREAKS,
    FEES,
    INVOICES,
    LINES,
    PAYMENTS,
    SERVICES,
    Adjustment,
    BreakRow,
    FeeRow,
    Movement,
    ProviderInvoice,
    Service,
    StatementLine,
)
from domain import fact, period, reconciliation
from domain.adjustment import AdjustmentApproved
from domain.fact import Fact
from domain.journal import KEEPALIVE
from domain.period import PeriodCutOff
from domain.reconciliation import Reconciliation
from projections import catalogue, receivables

T = TypeVar("T")
FETCHED = 2_000  # rows at a time
LARGEST = 20  # lines on the first sheet
MONEY_OUT = ("reversal", "refund")


@contextmanager
def reading(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of its own: it may take its time, sees one moment, and changes nothing."""
    with psycopg.connect(conninfo, **KEEPALIVE) as connection:  # type: ignore[arg-type]
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            yield connection


def streamed(connection: psycopg.Connection[Any], row: type[T], query: str, values: dict[str, Any]) -> Iterator[T]:
    """Rows as records, some at a time."""
    with connection.cursor(row.__name__.lower(), row_factory=class_row(row)) as cursor:
        cursor.itersize = FETCHED
        cursor.execute(query.encode(), values)
        yield from cursor


# --- statements ---

TOTALS = """
SELECT
    count(*) AS statements,
    count(*) FILTER (WHERE payable_minor > 0) AS payable,
    coalesce(sum(total_minor), 0)::bigint AS total_minor,
    coalesce(sum(brought_forward_minor), 0)::bigint AS brought_forward_minor,
    coalesce(sum(payable_minor), 0)::bigint AS payable_minor,
    coalesce(sum(carried_forward_minor), 0)::bigint AS carried_forward_minor,
    coalesce(encode(sha256(string_agg(sha256, '' ORDER BY statement)::bytea), 'hex'), '') AS statements_digest,
    coalesce((array_agg(sha256 ORDER BY statement DESC))[1], '') AS last_sha256
FROM issued_statements WHERE period = %s
"""
SERVICE_ROWS = """
SELECT
    l.item, i.zh, i.en, l.item_class, i.unit_zh, i.unit_en,
    count(DISTINCT (l.used_by, l.used_by_party)) FILTER (WHERE l.kind = 'usage') AS holders,
    coalesce(sum(l.deliveries) FILTER (WHERE l.kind = 'usage'), 0)::bigint AS deliveries,
    coalesce(sum(l.quantity) FILTER (WHERE l.kind = 'usage'), 0)::bigint AS quantity,
    coalesce(sum(free) FILTER (WHERE l.kind = 'usage'), 0)::bigint AS free_quantity,
    coalesce(sum(l.quantity - free) FILTER (WHERE l.kind = 'usage'), 0)::bigint AS paid_quantity,
    coalesce(sum(l.reversed_quantity) FILTER (WHERE l.kind = 'usage'), 0)::bigint AS reversed_quantity,
    coalesce(sum(l.list_minor) FILTER (WHERE l.kind = 'usage'), 0)::bigint AS list_minor,
    coalesce(sum(l.waived_minor) FILTER (WHERE l.kind = 'usage'), 0)::bigint AS waived_minor,
    coalesce(sum(l.amount_minor) FILTER (WHERE l.kind <> 'adjustment'), 0)::bigint AS charged_minor,
    coalesce(sum(l.amount_minor) FILTER (WHERE l.kind = 'adjustment'), 0)::bigint AS adjusted_minor,
    sum(l.amount_minor)::bigint AS amount_minor,
    sum(l.net_minor)::bigint AS net_minor,
    sum(l.tax_minor)::bigint AS tax_minor
FROM issued_lines AS l
JOIN issued_statements AS s USING (statement)
JOIN service_items AS i USING (item)
CROSS JOIN LATERAL (
    SELECT CASE WHEN l.tariff IS NULL OR l.waived <> '' THEN l.quantity ELSE l.free_quantity END AS free
) AS counted
WHERE s.period = %(period)s
GROUP BY l.item, i.zh, i.en, l.item_class, i.unit_zh, i.unit_en
ORDER BY l.item_class DESC, l.item
"""
LINE_ROWS = """
SELECT
    l.statement, l.line, s.holder, s.holder_zh, s.holder_en, l.kind, l.item, i.zh, i.en, l.item_class, l.tariff,
    l.waived, l.corrects_period, l.used_by, l.deliveries, l.quantity, l.free_quantity, l.reversed_quantity,
    l.list_minor, l.waived_minor, l.whole_minor, l.amount_minor, l.tax_rate_bp, l.net_minor, l.tax_minor,
    CASE
        WHEN l.item_class = 'government' THEN 'government'
        WHEN l.kind = 'adjustment' THEN ''
        WHEN l.tariff IS NULL THEN 'not_charged'
        WHEN l.waived <> '' THEN l.waived
        WHEN l.free_quantity > 0 THEN 'included'
        ELSE ''
    END AS reason,
    l.reference, '/statements/' || l.statement AS page,
    '/statements/' || l.statement || '/lines/' || l.line AS drill
FROM issued_lines AS l
JOIN issued_statements AS s USING (statement)
JOIN service_items AS i USING (item)
WHERE s.period = %(period)s
"""
IN_ORDER = "ORDER BY l.statement, l.line"
BY_MONEY = "ORDER BY abs(l.amount_minor) DESC, l.statement, l.line LIMIT %(largest)s"
INVOICE_ROWS = """
SELECT
    s.statement, s.holder, s.holder_zh, s.holder_en, s.payable_minor,
    CASE
        WHEN r.sent_at IS NULL AND coalesce(r.stopped, '') = '' THEN 'not_sent'
        WHEN r.voided THEN 'void'
        WHEN r.stopped <> '' THEN 'stopped'
        WHEN r.outstanding_minor < 0 THEN 'overpaid'
        WHEN r.outstanding_minor = 0 THEN 'paid'
        WHEN r.outstanding_minor < r.total_minor THEN 'part'
        ELSE 'open'
    END AS state,
    r.provider, r.invoice, r.total_minor, r.paid_minor, r.refunded_minor, r.credited_minor,
    CASE WHEN r.sent_at IS NULL THEN s.payable_minor ELSE r.outstanding_minor END AS outstanding_minor,
    CASE WHEN r.sent_at IS NULL THEN 0 ELSE r.total_minor - s.payable_minor END AS difference_minor,
    r.sent_at, r.due_on, r.stopped, '/statements/' || s.statement AS page
FROM issued_statements AS s
LEFT JOIN receivables AS r USING (statement)
WHERE s.period = %(period)s AND (s.payable_minor > 0 OR r.statement IS NOT NULL)
ORDER BY s.statement
"""
ADJUSTED_ROWS = """
SELECT
    l.statement, l.line, s.holder, l.kind, l.item, l.corrects_period, l.quantity, l.amount_minor, l.net_minor,
    l.tax_minor, l.reference, '/statements/' || l.statement || '/lines/' || l.line, approved.state
FROM issued_lines AS l
JOIN issued_statements AS s USING (statement)
LEFT JOIN commerce_events AS approved
    ON approved.originator_id = 'adjustment:' || nullif(l.reference, '') AND approved.topic = 'adjustment.approved'
WHERE s.period = %(period)s AND (l.kind = 'adjustment' OR l.corrects_period IS NOT NULL)
ORDER BY l.statement, l.line
"""


def _movements(connection: psycopg.Connection[Any], month: str) -> Iterator[Movement]:
    for moved in receivables.movements(connection, period=month):
        told = {name: getattr(moved, name) for name in Movement.__struct_fields__ if not name.endswith("_minor")}
        sign = 0 if moved.kind in {"credit_note", "failure"} else -1 if moved.kind in MONEY_OUT else 1
        money = sign * moved.amount_minor
        yield Movement(
            **told,
            amount_minor=moved.amount_minor,
            money_minor=money,
            fee_minor=moved.fee_minor,
            net_minor=money - moved.fee_minor,
        )


def _adjustments(connection: psycopg.Connection[Any], month: str) -> Iterator[Adjustment]:
    names = Adjustment.__struct_fields__[:11]
    with connection.cursor("adjusted") as cursor:
        cursor.itersize = FETCHED
        cursor.execute(ADJUSTED_ROWS, {"period": month})
        for *columns, drill, state in cursor:
            told = fact.decode(state) if state else None
            proposed = told.proposed if isinstance(told, AdjustmentApproved) else None
            yield Adjustment(
                **dict(zip(names, columns, strict=True)),
                about=proposed.statement if proposed else "",
                reason=proposed.reason if proposed else "迟到用量 / usage that came late",
                proposed_by=proposed.by if proposed else "",
                approved_by=told.by if isinstance(told, AdjustmentApproved) else "",
                drill=drill,
            )


# --- what was found, and what may be charged ---

STREAM = "SELECT state FROM commerce_events WHERE originator_id = %s ORDER BY originator_version"


def _stream(connection: psycopg.Connection[Any], name: str) -> list[Fact]:
    return [fact.decode(state) for (state,) in connection.execute(STREAM, (name,))]


def reconciled(connection: psycopg.Connection[Any], month: str) -> Reconciliation:
    """How the month's reconciliation stands."""
    return reduce(
        reconciliation.evolve, _stream(connection, reconciliation.stream(month)), Reconciliation(period=month)
    )


def break_rows(state: Reconciliation) -> Iterator[BreakRow]:
    """Those that stand before those that are resolved."""
    ordered = sorted(state.breaks.values(), key=lambda each: (each.state == "resolved", each.found.break_id))
    for each in ordered:
        found = each.found
        told = {name: getattr(found, name) for name in BreakRow.__struct_fields__ if hasattr(found, name)}
        stands = ("first_seen", "last_seen", "owner", "accepted", "accepted_by", "resolved_at", "state")
        yield BreakRow(**told, **{name: getattr(each, name) for name in stands})


def _fees(connection: psycopg.Connection[Any], month: str, asked: Fees) -> Iterator[FeeRow]:
    """The list at the last moment of the month."""
    at = period.bounds(month)[1] - timedelta(microseconds=1)
    listed = fees.schedule(catalogue.items(connection), catalogue.prices(connection), at, asked)
    names = [name for name in FeeRow.__struct_fields__ if name in fees.Fee.__struct_fields__]
    for each in listed.fees:
        free, price = each.item_class == "government", each.in_force
        yield FeeRow(
            **{name: getattr(each, name) for name in names},
            state="free" if free else "in_force" if price else "not_offered",
            tariff=price.version if price else "",
            published_at=price.published_at if price else None,
            effective_from=price.effective_from if price else None,
            review_by=price.review_by if price else None,
        )


# --- together ---


def book(connection: psycopg.Connection[Any], month: str, asked: Fees) -> Book:
    """The workbook of a month that was cut off; its rows are read as they are written. Raises NotCutOff."""
    pinned = drafting.pin(connection, month)
    found, values = reconciled(connection, month), {"period": month, "largest": LARGEST}
    parts: Sequence[Part] = (
        Part(SERVICES, streamed(connection, Service, SERVICE_ROWS, values)),
        Part(LINES, streamed(connection, StatementLine, LINE_ROWS + IN_ORDER, values)),
        Part(INVOICES, streamed(connection, ProviderInvoice, INVOICE_ROWS, values)),
        Part(PAYMENTS, _movements(connection, month)),
        Part(ADJUSTMENTS, _adjustments(connection, month)),
        Part(BREAKS, break_rows(found)),
        Part(FEES, _fees(connection, month, asked)),
    )
    largest = list(streamed(connection, StatementLine, LINE_ROWS + BY_MONEY, values))
    return Book(_about(connection, pinned, found), largest, parts)


def _about(connection: psycopg.Connection[Any], pinned: Pinned, found: Reconciliation) -> About:
    month, seller = pinned.period, pinned.selling.seller
    told = _stream(connection, period.stream(month))
    [cut] = [each for each in told if isinstance(each, PeriodCutOff)][:1]
    stands = reduce(period.evolve, told, period.Period(month))
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        [totals] = cursor.execute(TOTALS, (month,)).fetchall()
    run, signed = found.run, found.signed
    starts_at, ends_at = period.bounds(month)
    return About(
        period=month,
        stage=stands.stage,
        starts_at=starts_at,
        ends_at=ends_at,
        seller=" ".join(filter(None, (seller.zh, seller.en))),
        cut_off=pinned.cut_off,
        cut_off_at=cut.happened_at,
        cut_off_by=cut.by,
        closed_at=stands.closed_at,
        **totals,
        prepared_by=run.by if run else "",
        prepared_at=run.happened_at if run else None,
        journal_sha256=run.journal_sha256 if run else "",
        ledger_sha256=run.statements_sha256 if run else "",
        provider_sha256=run.provider_sha256 if run else "",
        reviewed_by=signed.by if signed else "",
        reviewed_at=signed.happened_at if signed else None,
        breaks_open=len(found.open()),
        breaks_accepted=sum(each.state == "accepted" for each in found.breaks.values()),
    )
