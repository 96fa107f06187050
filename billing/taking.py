"""Taking the three snapshots of a month that billing/reconcile.py compares (billing/snapshots.py).

Ours is read in one transaction that sees one state of the database; invoices are folded from the journal's own facts,
not from a read model. The provider is asked through the port: it lists what it holds, and what concerns other months
is passed over as it comes, so that only this month's takes memory. Times are UTC.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg

from billing import drafting
from billing.gateway import Gateway, ProviderInvoice, ProviderPayment
from billing.recount import recount
from billing.snapshots import (
    Billed,
    Count,
    Earlier,
    Fapiao,
    Invoiced,
    Key,
    Late,
    Movement,
    Ours,
    Paper,
    Provider,
    Published,
    Statements,
)
from billing.statement import Pinned
from domain import fact, invoice, period
from domain.fact import Fact
from domain.invoice import CreditNoteIssued, Invoice, InvoiceSent, PaymentReceived, PaymentReversed, RefundMade
from domain.statement import StatementIssued, digest
from projections import usage

SKEW = timedelta(days=1)  # between our clock and the provider's
LATE = """
SELECT
    holder, party <> '', item, coalesce(tariff, ''), waived, corrects_period, billing_period,
    count(*), sum(quantity)::bigint, min(stream || '/' || version)
FROM usage_entries
WHERE corrects_period = %(month)s
  AND billing_period NOT IN (SELECT period FROM issued_statements)
GROUP BY 1, 2, 3, 4, 5, 6, 7
ORDER BY 1, 2, 3, 4, 5, 6, 7
"""
EARLIER = """
WITH corrected AS (
    SELECT DISTINCT holder, party <> '' AS is_party, item, tariff, waived, corrects_period AS used
    FROM usage_entries
    WHERE billing_period = %(month)s AND corrects_period IS NOT NULL AND tariff IS NOT NULL
)
SELECT
    holder, is_party, item, tariff, waived, used,
    count(*) FILTER (WHERE quantity >= 0),
    coalesce(sum(quantity) FILTER (WHERE quantity >= 0), 0)::bigint,
    coalesce(-sum(quantity) FILTER (WHERE quantity < 0), 0)::bigint
FROM corrected
JOIN usage_entries AS entry USING (holder, item, tariff, waived)
WHERE (entry.party <> '') = is_party AND billing_period < %(month)s
  AND coalesce(corrects_period, billing_period) = used
  AND occurred_at >= %(first)s AND occurred_at < %(last)s
GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY 1, 2, 3, 4, 5, 6
"""
PAPERS = """
SELECT
    s.statement, s.holder, s.is_party, s.currency, s.sha256, s.total_minor,
    coalesce(before.carried_forward_minor, 0), s.brought_forward_minor, s.payable_minor, s.carried_forward_minor,
    told.state
FROM issued_statements AS s
JOIN commerce_events AS told ON told.notification_id = s.position
LEFT JOIN LATERAL (
    SELECT carried_forward_minor FROM issued_statements
    WHERE holder = s.holder AND is_party = s.is_party AND period < s.period
    ORDER BY period DESC LIMIT 1
) AS before ON true
WHERE s.period = %s
ORDER BY s.statement
"""
LINES = """
SELECT
    statement, line, kind, item, item_class, coalesce(tariff, ''), waived, coalesce(corrects_period, ''), used_by,
    used_by_party, deliveries, quantity, reversed_quantity, issued_lines.list_minor, whole_minor, amount_minor
FROM issued_lines JOIN issued_statements USING (statement)
WHERE period = %s
ORDER BY statement, line
"""
BILLED = Billed.__struct_fields__
INVOICES = """
SELECT state FROM commerce_events
WHERE originator_id = ANY(%s)
ORDER BY notification_id
"""
FAPIAO = """
SELECT statement, number, fapiao_issued.total_minor
FROM fapiao_issued JOIN issued_statements USING (statement)
WHERE period = %s
ORDER BY statement, number
"""
KNOWN = "SELECT statement, period FROM issued_statements WHERE statement = ANY(%s)"


@contextmanager
def one_view(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Whatever is read inside is of one moment."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


# --- ours ---


def ours(connection: psycopg.Connection[Any], month: str) -> Ours:
    """What was counted for a month. Raises NotCutOff until the usage rows have its cut-off."""
    pinned = drafting.pin(connection, month)
    counted = recount(connection, month)
    late = [_late(*row) for row in connection.execute(LATE, {"month": month})]
    used = {(each.key.item, each.key.tariff) for each in counted.tallies}
    return Ours(
        period=month,
        cut_off=pinned.cut_off,
        tallies=counted.tallies,
        unreadable=counted.unreadable,
        late=tuple(late),
        earlier=tuple(_earlier(connection, month)),
        published=tuple(_published(pinned, used | {(each.key.item, each.key.tariff) for each in late})),
        government=tuple(sorted(item for item, told in pinned.items.items() if told.item_class == "government")),
    )


def _late(*row: Any) -> Late:
    *key, posted, entries, quantity, example = row
    return Late(key=Key(*key), billing_period=posted, entries=entries, quantity=quantity, example=example)


def _earlier(connection: psycopg.Connection[Any], month: str) -> Iterator[Earlier]:
    first = usage.earliest_corrected(connection, month)
    if first is None:
        return
    window = {"month": month, "first": period.bounds(first)[0], "last": period.bounds(month)[0]}
    for *key, deliveries, quantity, taken_back in connection.execute(EARLIER, window):
        yield Earlier(Key(*key), Count(deliveries, quantity, taken_back))


def _published(pinned: Pinned, used: set[tuple[str, str]]) -> Iterator[Published]:
    for (item, version), price in sorted(pinned.prices.items(), key=lambda each: each[0]):
        if (item, version) in used:
            yield Published(item, version, price.currency, price.effective_from, price.rule)


# --- what was issued ---


def statements(connection: psycopg.Connection[Any], month: str) -> Statements:
    """What was issued for a month, and what the journal says of the invoices."""
    rows = connection.execute(PAPERS, (month,)).fetchall()
    numbers = [row[0] for row in rows]
    lines, sent = _lines(connection, month), _invoices(connection, numbers)
    told: dict[str, list[Fapiao]] = defaultdict(list)
    for number, *fapiao in connection.execute(FAPIAO, (month,)):
        told[number].append(Fapiao(number=fapiao[0], amount_minor=fapiao[1]))
    papers = [_paper(row, lines.get(row[0], []), sent.get(row[0])) for row in rows]
    papers = [msgspec.structs.replace(each, fapiao=tuple(told.get(each.number, ()))) for each in papers]
    return Statements(period=month, papers=tuple(papers))


def _lines(connection: psycopg.Connection[Any], month: str) -> dict[str, list[Billed]]:
    found: dict[str, list[Billed]] = defaultdict(list)
    for number, *told in connection.execute(LINES, (month,)):
        found[number].append(Billed(**dict(zip(BILLED, told, strict=True))))
    return found


def _paper(row: Sequence[Any], lines: Sequence[Billed], sent: Invoiced | None) -> Paper:
    number, holder, is_party, currency, sha256, total, before, brought, payable, carried, state = row
    told = fact.decode(state)
    assert isinstance(told, StatementIssued)
    return Paper(
        number=number,
        holder=holder,
        is_party=is_party,
        currency=currency,
        sha256=sha256,
        kept_sha256=digest(bytes(told.document)),
        total_minor=total,
        left_before_minor=before,
        brought_forward_minor=brought,
        payable_minor=payable,
        carried_forward_minor=carried,
        lines=tuple(lines),
        invoice=sent,
    )


def _invoices(connection: psycopg.Connection[Any], numbers: Sequence[str]) -> dict[str, Invoiced]:
    found: dict[str, list[Fact]] = defaultdict(list)
    for (state,) in connection.execute(INVOICES, ([invoice.stream(number) for number in numbers],)):
        told = fact.decode(state)
        assert isinstance(told, invoice.InvoiceFact)
        found[told.statement].append(told)
    return {number: invoiced(number, facts) for number, facts in found.items()}


def invoiced(number: str, facts: Iterable[Fact]) -> Invoiced:
    """The invoice of a statement from its facts, in their order."""
    folded, currency, moved = Invoice(number), "", []
    for told in facts:
        folded = invoice.evolve(folded, told)
        if isinstance(told, InvoiceSent):
            currency = told.currency
        moved += _moved(told)
    return Invoiced(
        provider=folded.provider,
        invoice=folded.invoice,
        total_minor=folded.total_minor,
        currency=currency,
        paid_minor=folded.paid_minor,
        credited_minor=folded.credited_minor,
        refunded_minor=folded.refunded_minor,
        outstanding_minor=folded.outstanding_minor,
        voided=folded.voided,
        stopped=folded.stopped,
        movements=tuple(moved),
    )


def _moved(told: Fact) -> list[Movement]:
    match told:
        case PaymentReceived(payment=ref, amount_minor=minor):
            moved = Movement(
                ref=ref, kind="payment", amount_minor=minor, fee_minor=told.fee_minor, currency=told.currency
            )
        case PaymentReversed(payment=ref, amount_minor=minor):
            moved = Movement(ref=ref, kind="reversal", amount_minor=minor, of=ref)
        case CreditNoteIssued(credit_note=ref, amount_minor=minor):
            moved = Movement(ref=ref, kind="credit_note", amount_minor=minor)
        case RefundMade(refund=ref, amount_minor=minor):
            moved = Movement(ref=ref, kind="refund", amount_minor=minor, of=told.payment, credit_note=told.credit_note)
        case _:
            return []
    return [moved]


# --- the provider's ---


def provider(connection: psycopg.Connection[Any], gateways: Sequence[Gateway], month: str, at: datetime) -> Provider:
    """What the payment providers hold for a month's statements, and what came that belongs to nothing.

    `at`: now; they are asked for what they date a little later too, for clocks differ. May raise UnknownOutcome,
    Declined or Later.
    """
    end = period.bounds(month)[1]
    window = (end, period.bounds(period.following(month))[1])
    since, until = end - SKEW, at + SKEW
    sift = _Sift(connection, month, window)
    invoices: list[ProviderInvoice] = []
    movements: list[ProviderPayment] = []
    for one in gateways:
        held = list(sift.invoices(one.invoices(since, until)))
        refs = {each.ref for each in held}
        moved = list(sift.movements(one.movements(since, until), refs))
        invoices += held
        movements += [*moved, *_unlisted(one, held, moved)]
    return Provider(
        period=month,
        provider="+".join(one.provider for one in gateways),
        invoices=tuple(sorted(invoices, key=lambda each: each.ref)),
        movements=tuple(sorted(movements, key=lambda each: (each.at, each.kind, each.ref))),
    )


def _unlisted(
    gateway: Gateway, held: Sequence[ProviderInvoice], moved: Sequence[ProviderPayment]
) -> Iterator[ProviderPayment]:
    """What a provider counts as paid and does not list: money that came in outside of it. The invoice itself tells."""
    listed: dict[str, int] = defaultdict(int)
    for each in moved:
        sign = {"payment": 1, "credit_note": 0}.get(each.kind, -1)
        listed[each.invoice] += sign * each.amount_minor
    known = {(each.kind, each.ref) for each in moved}
    for invoice_ in held:
        if invoice_.status != "void" and invoice_.paid_minor != listed[invoice_.ref]:
            yield from (each for each in gateway.payments(invoice_.ref) if (each.kind, each.ref) not in known)


class _Sift:
    """What of a provider's list concerns a month."""

    def __init__(self, connection: psycopg.Connection[Any], month: str, window: tuple[datetime, datetime]) -> None:
        self.connection, self.month, self.window = connection, month, window
        self.periods: dict[str, str] = {}  # statement -> its period; '': there is no such statement

    def _period(self, number: str) -> str:
        if number not in self.periods:
            row = self.connection.execute(KNOWN, ([number],)).fetchone() if number else None
            self.periods[number] = row[1] if row else ""
        return self.periods[number]

    def ours(self, number: str) -> bool:
        return self._period(number) == self.month

    def lost(self, number: str, at: datetime | None) -> bool:
        """It names no statement of any month, and came in the window of this one."""
        return not self._period(number) and (at is None or self.window[0] <= at < self.window[1])

    def movements(self, listed: Iterable[ProviderPayment], refs: Container[str]) -> Iterator[ProviderPayment]:
        """What went back of money that belongs to nothing is told with that, in whatever month it went.

        `refs`: of the invoices that concern the month.
        """
        lost: set[str] = set()
        back: list[ProviderPayment] = []
        for each in listed:
            if each.invoice in refs or self.ours(each.statement):
                yield each
            elif each.of and not self._period(each.statement):
                back.append(each)
            elif self.lost(each.statement, each.at):
                lost.add(each.ref)
                yield each
        yield from (each for each in back if each.of in lost)

    def invoices(self, listed: Iterable[ProviderInvoice]) -> Iterator[ProviderInvoice]:
        for each in listed:
            if self.ours(each.statement) or self.lost(each.statement, each.made_at):
                yield msgspec.structs.replace(each, url="")  # a link that may change is no part of the digest
