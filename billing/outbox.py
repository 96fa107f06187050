"""The outbox: takes invoices to the payment provider step by step, and facts about them to the journal.

    customer -> draft -> item … -> compare -> finalize -> check -> send -> record        (then void, credit, refund)

Each step is marked as started, taken, and marked as done: three commits, and a process may die between any two of them.
Whoever goes on looks first what is there (billing/sending.py). The last mark of an invoice and its fact are one
transaction. Keys are derived from statement and step. Differences and refusals stop an invoice with a fact: a person
looks, and lets it go on. An unknown outcome is tried again with growing pauses, for ever. One process works at a time
(`lead`). Times are UTC; `at` is told, so that tests can let days pass. Money is integer minor units (fen).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import psycopg
from psycopg.rows import class_row

from billing import drafting
from billing.gateway import Declined, Gateway, GatewayError, Order
from billing.ordering import customer_of, order_of
from billing.sending import REQUESTS, Differs, Due, Outcome, outcome
from domain import fact, invoice, statement
from domain.errors import KouanError
from domain.fact import Fact
from domain.intake import Batch
from domain.intent import Intent, NewFact
from domain.invoice import CreditNoteIssued, InvoiceSent, InvoiceStopped, InvoiceVoided, RefundMade
from domain.journal import Journal

PAUSE_SECONDS_MAX = 3600
ERROR_CHARS_MAX = 500
LEAD = "SELECT pg_try_advisory_lock(19279, 19)"
Taken = Literal["done", "put off", "stopped", "nothing"]

DUE = """
SELECT step.statement, step.no, step.step, step.line, step.amount_minor, step.key, step.payment, step.reason,
    step.asked_by, step.state, step.attempts, going.invoice, going.number, going.url, going.adopted, going.round,
    going.due_on,
    coalesce(nullif(going.customer, ''), known.customer, '') AS customer,
    coalesce(rest.ref, step.credit_ref) AS credit_note,
    ARRAY(
        SELECT ref FROM gateway_steps AS other
        WHERE other.statement = step.statement AND other.step = step.step AND other.ref <> ''
    ) AS told
FROM gateway_steps AS step
JOIN gateway_invoices AS going USING (statement)
JOIN issued_statements AS issued USING (statement)
LEFT JOIN gateway_customers AS known USING (provider, holder, is_party)
LEFT JOIN gateway_steps AS rest
    ON rest.statement = step.statement AND rest.step = 'credit' AND rest.line = step.credit_note
WHERE step.state IN ('waiting', 'started') AND step.next_at <= %(at)s
    AND (step.credit_note IS NULL OR (rest.state = 'done' AND rest.ref <> ''))
    AND going.provider = %(provider)s AND going.state <> 'stopped'
    AND NOT EXISTS (
        SELECT FROM gateway_steps AS earlier
        WHERE earlier.statement = step.statement AND earlier.no < step.no AND earlier.state IN ('waiting', 'started')
    )
ORDER BY step.next_at, step.statement, step.no
LIMIT 1
"""
UNPLANNED = """
SELECT statement, due_on FROM gateway_invoices
WHERE NOT planned AND state = 'waiting' AND provider = %s AND next_at <= %s
ORDER BY next_at, statement
LIMIT 1
"""
PLAN = """
INSERT INTO gateway_steps (statement, no, step, line, item_class, amount_minor, key, next_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
PLANNED = "UPDATE gateway_invoices SET planned = true WHERE statement = %s"
START = """
UPDATE gateway_steps
SET state = 'started', attempts = attempts + 1, started_at = coalesce(started_at, %(at)s), next_at = %(next_at)s
WHERE statement = %(statement)s AND no = %(no)s
"""
PUT_OFF = "UPDATE gateway_steps SET error = %s WHERE statement = %s AND no = %s"
ANOTHER_KEY = "UPDATE gateway_steps SET key = key || ':' || attempts WHERE statement = %s AND no = %s"
HOLD = "SELECT FROM gateway_invoices WHERE statement = %s FOR UPDATE"
DONE = """
UPDATE gateway_steps SET state = 'done', ref = %s, done_at = %s, error = '' WHERE statement = %s AND no = %s
"""
STOP_STEP = """
UPDATE gateway_steps SET state = 'stopped', error = %s WHERE statement = %s AND no = %s AND state <> 'done'
"""
STOP_RESTING = """
UPDATE gateway_steps SET state = 'stopped', error = '所依贷项已停 / the credit note on which it rests has stopped'
WHERE statement = %s AND step = 'refund' AND credit_note = %s AND state IN ('waiting', 'started')
"""
STOP = "UPDATE gateway_invoices SET state = 'stopped', error = %s WHERE statement = %s"
CUSTOMER = """
INSERT INTO gateway_customers (provider, holder, is_party, customer)
SELECT provider, holder, is_party, %(ref)s
FROM gateway_invoices JOIN issued_statements USING (statement)
WHERE statement = %(statement)s
ON CONFLICT (provider, holder, is_party) DO UPDATE SET customer = excluded.customer
"""
EMAIL = """
SELECT email
FROM gateway_customers JOIN issued_statements USING (holder, is_party)
WHERE statement = %s AND provider = %s
"""
LEARNT: dict[str, str] = {
    "customer": "UPDATE gateway_invoices SET customer = %(ref)s WHERE statement = %(statement)s",
    "draft": "UPDATE gateway_invoices SET invoice = %(ref)s, adopted = %(adopted)s WHERE statement = %(statement)s",
    "check": "UPDATE gateway_invoices SET number = %(number)s, url = %(url)s WHERE statement = %(statement)s",
    "record": "UPDATE gateway_invoices SET state = 'sent', sent_at = %(at)s WHERE statement = %(statement)s",
    "void": "UPDATE gateway_invoices SET state = 'voided' WHERE statement = %(statement)s",
}
"""What an invoice knows more after a step."""


def lead(connection: psycopg.Connection[Any]) -> bool:
    """Whether this connection's process is the one that works, until the connection ends."""
    row = connection.execute(LEAD).fetchone()
    return bool(row and row[0])


def key_of(number: str, step: str, line: int, turn: int = 0) -> str:
    """Of a step, the same for ever. `turn`: how many invoices of the statement are void.

    >>> key_of("KS-202610-000007", "item", 3), key_of("KS-202610-000007", "draft", 0, 1)
    ('kouan:KS-202610-000007:item:3', 'kouan:KS-202610-000007:draft:1')
    """
    if step == "draft":
        return f"kouan:{number}:{step}:{turn}"
    return f"kouan:{number}:{step}:{line}" + (f":{turn}" if turn else "")


def pause(attempts: int) -> timedelta:
    """Before the next attempt, after so many.

    >>> pause(1), pause(40)
    (datetime.timedelta(seconds=2), datetime.timedelta(seconds=3600))
    """
    return timedelta(seconds=min(2 ** min(attempts, 20), PAUSE_SECONDS_MAX))


def movement_id(provider: str, kind: str, ref: str) -> Any:
    """The id of the fact about something at a provider: whoever tells of it, webhook, sweep or outbox, it is one."""
    return fact.digest_id("gateway", provider, kind, ref)


class Outbox:
    """The machine of one process, on a connection of its own of the journal, in autocommit."""

    def __init__(self, connection: psycopg.Connection[Any], journal: Journal, gateway: Gateway) -> None:
        self.connection = connection
        self.journal = journal
        self.gateway = gateway
        self._order: Order | None = None  # of the statement that was looked at last

    def run(self, at: datetime, most: int = 1_000) -> int:
        """Take what is due, until nothing is or the provider has trouble. How many steps were taken."""
        for taken in range(most):
            if self.step(at) in {"nothing", "put off"}:
                return taken
        return most

    def step(self, at: datetime) -> Taken:
        """Take the step that is due first."""
        due = self._due(at)
        if due is None:
            return self._plan(at)
        self._start(due, at)
        if due.step in {"customer", "draft"}:  # an address may have been entered since, or the due day have moved
            self._order = None
        try:
            came = outcome(self.gateway, due, lambda: self._ordered(due))
        except (Differs, Declined) as error:
            self._stop(due.statement, error, at, due)
            return "stopped"
        except GatewayError as error:
            with self.connection.transaction():
                self.connection.execute(PUT_OFF, (told_line(error), due.statement, due.no))
                if error.facts.get("replayed"):  # the same key brings the same fault for a day; looked for again first
                    self.connection.execute(ANOTHER_KEY, (due.statement, due.no))
            return "put off"
        self._finish(due, came, at)
        return "done"

    def _due(self, at: datetime) -> Due | None:
        with self.connection.cursor(row_factory=class_row(Due)) as cursor:
            return cursor.execute(DUE, {"at": at, "provider": self.gateway.provider}).fetchone()

    # --- planning ---

    def _plan(self, at: datetime) -> Taken:
        """Write down the steps of the next invoice; a statement that may not be sent stops here."""
        row = self.connection.execute(UNPLANNED, (self.gateway.provider, at)).fetchone()
        if row is None:
            return "nothing"
        number, due_on = row
        try:
            order = self._order_of(number, due_on)
            with self.connection.transaction():
                self.connection.cursor().executemany(PLAN, _planned(order, at))
                self.connection.execute(PLANNED, (number,))
        except (KouanError, psycopg.IntegrityError) as error:
            self._stop(number, error, at)
            return "stopped"
        return "done"

    def _ordered(self, due: Due) -> Order:
        if self._order is None or self._order.statement != due.statement:
            self._order = self._order_of(due.statement, due.due_on)
        return self._order

    def _order_of(self, number: str, due_on: Any) -> Order:
        stored = drafting.stored(self.connection, number)
        document = statement.read(stored)
        row = self.connection.execute(EMAIL, (number, self.gateway.provider)).fetchone()
        customer = msgspec.structs.replace(customer_of(document), email=row[0] if row else "")
        return order_of(document, statement.digest(stored), due_on, customer)

    # --- marks ---

    def _start(self, due: Due, at: datetime) -> None:
        again = at + pause(due.attempts + 1)
        with self.connection.transaction():
            self.connection.execute(START, {"at": at, "next_at": again, "statement": due.statement, "no": due.no})

    def _finish(self, due: Due, came: Outcome, at: datetime) -> None:
        """The mark, what the invoice knows more, and the fact: one transaction."""
        shown = came.invoice
        learnt = {
            "statement": due.statement,
            "ref": came.ref,
            "adopted": came.adopted,
            "number": shown.number if shown else "",
            "url": shown.url if shown else "",
            "at": at,
        }
        with self.connection.transaction():
            self.connection.execute(HOLD, (due.statement,))  # who reckons what is left sees mark and fact, or neither
            self.connection.execute(DONE, (came.ref, at, due.statement, due.no))
            if due.step == "customer":
                self.connection.execute(CUSTOMER, learnt)
            if due.step in LEARNT:
                self.connection.execute(LEARNT[due.step].encode(), learnt)
            if facts := self._facts(due, came, at):
                write(self.connection, self.journal, facts)

    def _stop(self, number: str, error: Exception, at: datetime, due: Due | None = None) -> None:
        """A request of finance stops alone, for the invoice stands; anything before stops the invoice."""
        told = told_line(error)
        with self.connection.transaction():
            if due is not None:
                self.connection.execute(STOP_STEP, (told, number, due.no))
                if due.step == "credit":
                    self.connection.execute(STOP_RESTING, (number, due.line))
            if due is None or due.step not in REQUESTS:
                self.connection.execute(STOP, (told, number))
                write(self.connection, self.journal, [_stopped(self.gateway.provider, number, due, error, at)])

    def _facts(self, due: Due, came: Outcome, at: datetime) -> list[NewFact]:
        """What the journal is told of a step."""
        provider, stream = self.gateway.provider, invoice.stream(due.statement)
        about: dict[str, Any] = {
            "happened_at": at,
            "recorded_at": at,
            "statement": due.statement,
            "provider": provider,
        }
        amount = due.amount_minor or 0
        told: Fact
        match due.step:
            case "record":
                order = self._ordered(due)
                total: dict[str, Any] = {
                    "total_minor": order.total_minor,
                    "currency": order.currency,
                    "due_on": due.due_on,
                }
                told = InvoiceSent(**about, **total, invoice=due.invoice, number=due.number, url=due.url)
                kind, ref = "sent", f"{due.invoice}:{due.round}" if due.round else due.invoice
            case "void":
                told, kind, ref = InvoiceVoided(**about, invoice=due.invoice), "voided", due.invoice
            case "credit":
                told = CreditNoteIssued(
                    **about, credit_note=came.ref, amount_minor=amount, reason=due.reason, by=due.asked_by
                )
                kind, ref = "credit_note", came.ref
            case "refund":
                rests: dict[str, Any] = {"payment": due.payment, "credit_note": due.credit_note, "reason": due.reason}
                told = RefundMade(**about, **rests, refund=came.ref, amount_minor=amount)
                kind, ref = "refund", came.ref
            case _:
                return []
        return [NewFact(stream, movement_id(provider, kind, ref), told)]


def write(connection: psycopg.Connection[Any], journal: Journal, facts: Sequence[NewFact]) -> None:
    """Facts, in the transaction that is open; those that are in the journal already are not written again."""
    Batch(journal.recorder, connection, [Intent(facts=[each]) for each in facts]).write()


def _planned(order: Order, at: datetime) -> list[tuple[Any, ...]]:
    """The steps of an order, as rows; an item names its line as a commercial one, or is refused by the database."""
    items = [("item", each.line, "commercial" if each.line else None, each.amount_minor) for each in order.items]
    first: list[tuple[str, int, str | None, int | None]] = [("customer", 0, None, None), ("draft", 0, None, None)]
    last = [(step, 0, None, None) for step in ("compare", "finalize", "check", "send", "record")]
    return [
        (order.statement, no, step, line, item_class, minor, key_of(order.statement, step, line), at)
        for no, (step, line, item_class, minor) in enumerate([*first, *items, *last], start=1)
    ]


def _stopped(provider: str, number: str, due: Due | None, error: Exception, at: datetime) -> NewFact:
    step, line = (due.step, due.line) if due else ("plan", 0)
    facts = error.facts if isinstance(error, KouanError) else {}
    told = InvoiceStopped(
        happened_at=at,
        recorded_at=at,
        statement=number,
        provider=provider,
        step=step,
        reason=told_line(error),
        ours_minor=_amount(facts.get("ours_minor")),
        theirs_minor=_amount(facts.get("theirs_minor")),
    )
    fact_id = fact.digest_id("invoice.stopped", number, step, str(line), at.isoformat())
    return NewFact(invoice.stream(number), fact_id, told)


def _amount(told: object) -> int | None:
    return told if isinstance(told, int) else None


def told_line(error: Exception) -> str:
    """One line of it, never more than fits."""
    text = error.detail if isinstance(error, KouanError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:ERROR_CHARS_MAX]
