"""The inbox: notices of the payment provider, kept as they came, and what the journal is told of the money that moved.

A notice is a hint, never the news: its order, number and content mean nothing. What it names is fetched, compared with
what the journal knows, and what is missing there is written in the transaction that marks the notice as done. A notice
that was lost is made up for by the nightly sweep, which goes the same way. A notice about an invoice that is none of
ours changes nothing and says so; one that does not fit is stopped: a person looks. Times are UTC; `at` is told.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import psycopg

from billing.gateway import Declined, Event, Gateway, GatewayError, ProviderInvoice, ProviderPayment
from billing.outbox import movement_id, pause, told_line, write
from billing.sending import made_under
from domain import invoice
from domain.fact import Fact
from domain.intent import NewFact
from domain.invoice import (
    CreditNoteIssued,
    Invoice,
    InvoiceVoided,
    PaymentFailed,
    PaymentReceived,
    PaymentReversed,
    RefundMade,
)
from domain.journal import Journal

OVERLAP = timedelta(days=4)  # a sweep begins so long before the last one's end: providers repeat themselves for three
EVENTS_KEPT = timedelta(days=29)  # a provider keeps its notices for thirty days
STRAY_ATTEMPTS = 5  # about a minute, in which the notice that names the invoice of a payment comes as well
FAILED = "payment_failed"  # how kinds of notices of a failed attempt end
Taken = Literal["done", "put off", "stopped", "nothing"]

TAKE = """
INSERT INTO gateway_inbox (
    provider, event_id, kind, invoice, payment, made_at, body, signature, received_at, next_at
)
VALUES (
    %(provider)s, %(event_id)s, %(kind)s, %(invoice)s, %(payment)s, %(made_at)s, %(body)s, %(signature)s, %(at)s, %(at)s
)
ON CONFLICT (provider, event_id) DO NOTHING
"""
NEXT = """
SELECT event_id, kind, invoice, payment, made_at, attempts FROM gateway_inbox
WHERE provider = %s AND state = 'waiting' AND next_at <= %s
ORDER BY next_at, event_id
LIMIT 1
"""
START = """
UPDATE gateway_inbox SET attempts = attempts + 1, next_at = %s WHERE provider = %s AND event_id = %s
"""
PUT_OFF = "UPDATE gateway_inbox SET error = %s WHERE provider = %s AND event_id = %s"
END = """
UPDATE gateway_inbox SET state = %s, done_at = %s, error = %s
WHERE provider = %s AND event_id = ANY(%s) AND state = 'waiting'
"""
SAME = """
SELECT event_id FROM gateway_inbox
WHERE provider = %s AND invoice = %s AND invoice <> '' AND state = 'waiting' AND right(kind, length(%s)) <> %s
"""
PAID_ON = """
SELECT going.invoice
FROM commerce_events AS told
JOIN gateway_invoices AS going ON going.statement = split_part(told.originator_id, ':', 2)
WHERE told.fact_id = %s
"""
AGAIN = """
UPDATE gateway_inbox SET state = 'waiting', next_at = %s WHERE provider = %s AND state = 'stopped'
"""
OURS = "SELECT provider, invoice, state FROM gateway_invoices WHERE statement = %s"
BY_US = """
SELECT step, key FROM gateway_steps
WHERE statement = %s AND step IN ('credit', 'refund', 'void') AND state = 'started'
"""
VOIDED = "UPDATE gateway_invoices SET state = 'voided' WHERE statement = %s AND state <> 'voided'"
KNOWN = "SELECT 1 FROM commerce_events WHERE fact_id = %s"
SWEPT = "SELECT until FROM gateway_sweeps WHERE provider = %s"
SWEEP = """
INSERT INTO gateway_sweeps (provider, until) VALUES (%s, %s)
ON CONFLICT (provider) DO UPDATE SET until = greatest(gateway_sweeps.until, excluded.until)
"""


class Odd(Exception):
    """A notice that does not fit what is known here: a person must look."""


class Soon(Exception):
    """What it is about is on its way here: after that."""


class Swept(msgspec.Struct, frozen=True):
    """What a sweep found that nobody had told."""

    since: datetime
    until: datetime
    events: int
    movements: int


class Hint(msgspec.Struct, frozen=True):
    event_id: str
    kind: str
    invoice: str
    payment: str
    made_at: datetime
    attempts: int


def take(
    connection: psycopg.Connection[Any], provider: str, event: Event, body: bytes, signature: str, *, at: datetime
) -> bool:
    """Keep a notice; whether it is new. It is durable when this returns (autocommit)."""
    about = {
        "provider": provider,
        "event_id": event.event_id,
        "kind": event.kind,
        "invoice": event.invoice,
        "payment": event.payment,
        "made_at": event.made_at,
        "body": body,
        "signature": signature,
        "at": at,
    }
    return bool(connection.execute(TAKE, about).rowcount)


def retry(connection: psycopg.Connection[Any], provider: str, *, at: datetime) -> int:
    """A person has looked: notices that were stopped are tried again. How many."""
    return connection.execute(AGAIN, (at, provider)).rowcount


class Inbox:
    """Works on the notices of one provider, on a connection of its own of the journal, in autocommit."""

    def __init__(self, connection: psycopg.Connection[Any], journal: Journal, gateway: Gateway) -> None:
        self.connection = connection
        self.journal = journal
        self.gateway = gateway

    def run(self, at: datetime, most: int = 1_000) -> int:
        """Take what is due, until nothing is or the provider has trouble. How many notices were taken."""
        for taken in range(most):
            if self.step(at) in {"nothing", "put off"}:
                return taken
        return most

    def step(self, at: datetime) -> Taken:
        """Take the notice that is due first."""
        row = self.connection.execute(NEXT, (self.gateway.provider, at)).fetchone()
        if row is None:
            return "nothing"
        hint = Hint(*row)
        with self.connection.transaction():
            self.connection.execute(START, (at + pause(hint.attempts + 1), self.gateway.provider, hint.event_id))
        try:
            self._settle(hint, at)
        except (Odd, Declined) as error:
            self._end(hint, "stopped", at, told_line(error))
            return "stopped"
        except (GatewayError, Soon) as error:
            with self.connection.transaction():
                self.connection.execute(PUT_OFF, (told_line(error), self.gateway.provider, hint.event_id))
            return "done" if isinstance(error, Soon) else "put off"
        return "done"

    def _settle(self, hint: Hint, at: datetime) -> None:
        """Fetch what it names, and tell the journal what it does not know yet."""
        ref = hint.invoice or self._invoice_of(hint)
        if not ref:
            self._end(hint, "done", at, "与已知账单无关 / it is about no invoice that is known")
            return
        along = [each for (each,) in self.connection.execute(SAME, (self.gateway.provider, ref, FAILED, FAILED))]
        found = self.gateway.retrieve(ref)
        if not found.statement:
            self._end(hint, "done", at, "不是本平台的账单 / the invoice names no statement of ours")
            return
        moved = self.gateway.payments(ref)
        failed = _failed(self.gateway.provider, found.statement, hint, at)
        with self.connection.transaction():
            with self.connection.cursor() as cursor:
                self.journal.recorder.lock(cursor)  # what is read of the stream now stands until the commit
            facts = [*self._news(found, moved, at), *failed]
            if facts:
                write(self.connection, self.journal, facts)
            if any(isinstance(each.fact, InvoiceVoided) for each in facts):
                self.connection.execute(VOIDED, (found.statement,))
            self.connection.execute(END, ("done", at, "", self.gateway.provider, [hint.event_id, *along]))

    def _invoice_of(self, hint: Hint) -> str:
        """Of a notice about a payment alone: the invoice on which it is known. Else another notice names it."""
        if not hint.payment:
            return ""
        about = movement_id(self.gateway.provider, "payment", hint.payment)
        row = self.connection.execute(PAID_ON, (about,)).fetchone()
        if row is None and hint.attempts < STRAY_ATTEMPTS:
            raise Soon("等待该款项所属账单的通知 / until the notice comes that names the invoice of the payment")
        return str(row[0]) if row else ""

    def _news(self, found: ProviderInvoice, moved: Sequence[ProviderPayment], at: datetime) -> list[NewFact]:
        """Raises Odd, Soon."""
        number, provider = found.statement, self.gateway.provider
        row = self.connection.execute(OURS, (number,)).fetchone()
        if row is None:
            raise Odd(f"账单 {number[:40]} 未在此开单 / no invoice of {number[:40]} was asked for here")
        if not row[1]:
            raise Soon("正在开单 / it is being made")
        if row[:2] != (provider, found.ref) and found.status == "void":
            return []  # made again since
        if row[:2] != (provider, found.ref):
            raise Odd(f"账单 {number} 在支付方另有 {found.ref} / {number} has another invoice there: {found.ref}")
        begun = [(str(step), str(key)) for step, key in self.connection.execute(BY_US, (number,))]
        state = Invoice(number)
        for entry in self.journal.stream(self.connection, invoice.stream(number)):
            state = invoice.evolve(state, entry.fact)
        return list(news(state, found, moved, provider=provider, begun=begun, at=at))

    def _end(self, hint: Hint, state: str, at: datetime, said: str) -> None:
        with self.connection.transaction():
            self.connection.execute(END, (state, at, said, self.gateway.provider, [hint.event_id]))

    # --- what nobody told ---

    def swept_until(self) -> datetime | None:
        """Up to when the last sweep looked."""
        row = self.connection.execute(SWEPT, (self.gateway.provider,)).fetchone()
        return row[0] if row else None

    def sweep(self, at: datetime, since: datetime | None = None) -> Swept:
        """Keep every notice and every movement since the last sweep that is not known here, as hints; then `run`."""
        start = since or (self.swept_until() or at) - OVERLAP
        events = movements = 0
        for event in self.gateway.events(max(start, at - EVENTS_KEPT)):
            if event.invoice or event.payment:
                events += self._keep(event, at)
        for hint in self._unknown(start, at + timedelta(minutes=5)):
            movements += self._keep(hint, at)
        self.connection.execute(SWEEP, (self.gateway.provider, at))
        return Swept(start, at, events, movements)

    def _keep(self, event: Event, at: datetime) -> bool:
        body = msgspec.json.encode(event)
        return take(self.connection, self.gateway.provider, event, body, "", at=at)

    def _unknown(self, since: datetime, until: datetime) -> Iterator[Event]:
        """Movements and ends of invoices that the journal does not know, as hints."""
        for moved in self.gateway.movements(since, until):
            if moved.invoice and not self._told(moved.kind, moved.ref):
                yield Event(
                    event_id=f"swept:{moved.kind}:{moved.ref}",
                    kind=f"swept.{moved.kind}",
                    invoice=moved.invoice,
                    made_at=moved.at,
                )
        for found in self.gateway.invoices(since, until):
            over = found.status in {"void", "uncollectible"}
            if over and found.statement and not self._told("voided", found.ref):
                yield Event(
                    event_id=f"swept:{found.status}:{found.ref}",
                    kind=f"swept.{found.status}",
                    invoice=found.ref,
                    made_at=found.made_at or since,
                )

    def _told(self, kind: str, ref: str) -> bool:
        fact_id = movement_id(self.gateway.provider, kind, ref)
        return self.connection.execute(KNOWN, (fact_id,)).fetchone() is not None


def _failed(provider: str, number: str, hint: Hint, at: datetime) -> list[NewFact]:
    """An attempt that brought nothing is told by its notice alone; nothing is reckoned with it."""
    if not hint.kind.endswith(FAILED):
        return []
    told = PaymentFailed(
        happened_at=hint.made_at,
        recorded_at=at,
        statement=number,
        provider=provider,
        payment=hint.payment or hint.invoice,
        reason=hint.kind,
    )
    return [NewFact(invoice.stream(number), movement_id(provider, "failed", hint.event_id), told)]


# --- what the journal does not know yet: pure ---

ORDER = ("payment", "reversal", "credit_note", "refund")
"""Money comes before it goes back."""


def news(
    state: Invoice,
    found: ProviderInvoice,
    moved: Iterable[ProviderPayment],
    *,
    provider: str,
    begun: Sequence[tuple[str, str]] = (),
    at: datetime,
) -> Iterator[NewFact]:
    """Facts about what the provider shows and the journal does not have, in an order in which they make sense.

    `begun`: what we asked for ourselves and do not know the end of (step, key); the outbox will tell of it, with who
    and why.
    """
    each_in_turn = sorted(moved, key=lambda each: (ORDER.index(each.kind), each.at, each.ref))
    paid = {each.ref: each.amount_minor for each in each_in_turn if each.kind == "payment"}
    reversed_: dict[str, int] = {}
    for each in each_in_turn:
        own = any(made_under(each.key, key) for _, key in begun)
        if own or _known(state, each, paid, reversed_):
            continue
        fact_id = movement_id(provider, each.kind, each.ref)
        yield NewFact(invoice.stream(state.statement), fact_id, _fact(state.statement, provider, each, at))
    over = found.status in {"void", "uncollectible"}
    voiding = any(step == "void" for step, _ in begun)
    if over and state.sent_at is not None and not state.voided and not voiding:
        told = InvoiceVoided(
            happened_at=at,
            recorded_at=at,
            statement=state.statement,
            provider=provider,
            invoice=found.ref,
            status=found.status,
        )
        yield NewFact(invoice.stream(state.statement), movement_id(provider, "voided", found.ref), told)


def _known(state: Invoice, moved: ProviderPayment, paid: dict[str, int], reversed_: dict[str, int]) -> bool:
    """Whether the journal has it. A reversal has no name there: it is known if so much of its payment is gone."""
    match moved.kind:
        case "payment":
            return moved.ref in state.payments
        case "credit_note":
            return moved.ref in state.credit_notes
        case "refund":
            return moved.ref in state.refunds
        case _:
            reversed_[moved.of] = reversed_.get(moved.of, 0) + moved.amount_minor
            there = state.payments.get(moved.of)
            return there is not None and paid.get(moved.of, 0) - there >= reversed_[moved.of]


def _fact(number: str, provider: str, moved: ProviderPayment, at: datetime) -> Fact:
    about: dict[str, Any] = {"happened_at": moved.at, "recorded_at": at, "statement": number, "provider": provider}
    match moved.kind:
        case "payment":
            money: dict[str, Any] = {"currency": moved.currency.upper(), "fee_minor": moved.fee_minor, "of": moved.of}
            return PaymentReceived(**about, **money, payment=moved.ref, amount_minor=moved.amount_minor)
        case "reversal":
            return PaymentReversed(**about, payment=moved.of, amount_minor=moved.amount_minor, reason=moved.ref)
        case "credit_note":
            reason = "在支付方开具 / made at the provider"
            return CreditNoteIssued(**about, credit_note=moved.ref, amount_minor=moved.amount_minor, reason=reason)
        case _:
            return RefundMade(
                **about,
                refund=moved.ref,
                payment=moved.of,
                amount_minor=moved.amount_minor,
                credit_note=moved.credit_note,
            )
