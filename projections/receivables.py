"""What statements have come to: sent, paid, credited, given back, outstanding, and each movement of money.

The fold of domain/invoice.py over the stream of each invoice, kept as it stands; a rebuild gives the same rows. Whose
statement it is stands beside the journal for ever (`issued_statements`, domain/migrations/0018_books.sql). Money is
integer minor units (fen); times are UTC, due days those of Asia/Shanghai.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal

import msgspec
import psycopg
from psycopg.rows import class_row

from domain.invoice import (
    CreditNoteIssued,
    Invoice,
    InvoiceFact,
    InvoiceSent,
    PaymentFailed,
    PaymentReceived,
    PaymentReversed,
    RefundMade,
    evolve,
)
from domain.journal import Entry

NAME = "receivables"
JOURNAL = "commerce"
TABLES = ("receivable_movements", "receivables")
TABLE = """
CREATE TABLE IF NOT EXISTS receivables (
    statement         text COLLATE "C" PRIMARY KEY,
    period            text COLLATE "C" NOT NULL,  -- of the statement; '' of one that was never issued
    holder            text COLLATE "C" NOT NULL,
    is_party          boolean NOT NULL,
    provider          text NOT NULL,              -- of domain/invoice.PROVIDERS
    invoice           text COLLATE "C" NOT NULL,  -- the provider's id
    number            text NOT NULL,              -- as the provider shows it
    url               text NOT NULL,              -- where it can be paid
    currency          text NOT NULL,
    total_minor       bigint NOT NULL,
    paid_minor        bigint NOT NULL,
    credited_minor    bigint NOT NULL,
    refunded_minor    bigint NOT NULL,
    outstanding_minor bigint NOT NULL,            -- below zero: too much was paid
    sent_at           timestamptz,                -- none: it was not sent
    due_on            date,
    voided            boolean NOT NULL,
    stopped           text NOT NULL,              -- why a person must look; '' if none need
    state             bytea NOT NULL,             -- the fold, as JSON
    position          bigint NOT NULL             -- of the newest fact that is in it
);
CREATE INDEX IF NOT EXISTS receivables_period ON receivables (period, statement);
CREATE INDEX IF NOT EXISTS receivables_open ON receivables (due_on) WHERE outstanding_minor > 0;
CREATE TABLE IF NOT EXISTS receivable_movements (
    position     bigint PRIMARY KEY,
    statement    text COLLATE "C" NOT NULL REFERENCES receivables DEFERRABLE INITIALLY DEFERRED,
    kind         text NOT NULL CHECK (kind IN ('payment', 'reversal', 'refund', 'credit_note', 'failure')),
    ref          text COLLATE "C" NOT NULL,       -- the provider's id
    amount_minor bigint NOT NULL,                 -- above zero; of a failure 0
    fee_minor    bigint NOT NULL,                 -- of a payment, what the provider kept of it
    currency     text NOT NULL,
    provider     text NOT NULL,
    of           text COLLATE "C" NOT NULL,       -- of a refund or a reversal, the payment
    credit_note  text COLLATE "C" NOT NULL,       -- of a refund, the one on which it rests
    reason       text NOT NULL,
    by           text NOT NULL,                   -- account that did it by hand
    at           timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS receivable_movements_statement ON receivable_movements (statement, position);
"""
KEPT = """
SELECT statement, state, number, url, currency, position FROM receivables WHERE statement = ANY(%s)
"""
WHOSE = """
SELECT statement, period, holder, is_party FROM issued_statements WHERE statement = ANY(%s)
"""
KEEP = """
INSERT INTO receivables (
    statement, period, holder, is_party, provider, invoice, number, url, currency, total_minor, paid_minor,
    credited_minor, refunded_minor, outstanding_minor, sent_at, due_on, voided, stopped, state, position
)
VALUES (
    %(statement)s, %(period)s, %(holder)s, %(is_party)s, %(provider)s, %(invoice)s, %(number)s, %(url)s, %(currency)s,
    %(total_minor)s, %(paid_minor)s, %(credited_minor)s, %(refunded_minor)s, %(outstanding_minor)s, %(sent_at)s,
    %(due_on)s, %(voided)s, %(stopped)s, %(state)s, %(position)s
)
ON CONFLICT (statement) DO UPDATE SET
    provider = excluded.provider, invoice = excluded.invoice, number = excluded.number, url = excluded.url,
    currency = excluded.currency, total_minor = excluded.total_minor, paid_minor = excluded.paid_minor,
    credited_minor = excluded.credited_minor, refunded_minor = excluded.refunded_minor,
    outstanding_minor = excluded.outstanding_minor, sent_at = excluded.sent_at, due_on = excluded.due_on,
    voided = excluded.voided, stopped = excluded.stopped, state = excluded.state, position = excluded.position
"""
MOVE = """
INSERT INTO receivable_movements (
    position, statement, kind, ref, amount_minor, fee_minor, currency, provider, of, credit_note, reason, by, at
)
VALUES (
    %(position)s, %(statement)s, %(kind)s, %(ref)s, %(amount_minor)s, %(fee_minor)s, %(currency)s, %(provider)s,
    %(of)s, %(credit_note)s, %(reason)s, %(by)s, %(at)s
)
"""
Kind = Literal["payment", "reversal", "refund", "credit_note", "failure"]


class Receivable(msgspec.Struct, frozen=True, kw_only=True):
    """The invoice of a statement as it stands: total = paid - refunded + credited + outstanding."""

    statement: str
    period: str
    holder: str
    is_party: bool
    provider: str
    invoice: str
    number: str
    url: str
    currency: str
    total_minor: int
    paid_minor: int
    credited_minor: int
    refunded_minor: int
    outstanding_minor: int
    sent_at: datetime | None
    due_on: date | None
    voided: bool
    stopped: str


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """Money that moved, or failed to, or a credit note."""

    statement: str
    kind: Kind
    ref: str
    amount_minor: int
    fee_minor: int
    currency: str
    provider: str
    of: str
    credit_note: str
    reason: str
    by: str
    at: datetime
    position: int


# --- project ---


class _Standing:
    """One invoice while a batch goes over it."""

    def __init__(self, statement: str) -> None:
        self.invoice = Invoice(statement)
        self.number = self.url = ""
        self.currency = "CNY"
        self.position = 0

    def take(self, entry: Entry, told: InvoiceFact) -> None:
        self.invoice = evolve(self.invoice, told)
        self.position = entry.position
        if isinstance(told, InvoiceSent):
            self.number, self.url, self.currency = told.number, told.url, told.currency

    def row(self, whose: tuple[str, str, bool]) -> dict[str, Any]:
        invoice = self.invoice
        names = ("total_minor", "paid_minor", "credited_minor", "refunded_minor", "outstanding_minor")
        said = ("statement", "provider", "invoice", "sent_at", "due_on", "voided", "stopped")
        return {
            **{name: getattr(invoice, name) for name in (*said, *names)},
            **dict(zip(("period", "holder", "is_party"), whose, strict=True)),
            "number": self.number,
            "url": self.url,
            "currency": self.currency,
            "position": self.position,
            "state": msgspec.json.encode(invoice),
        }


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Fold the facts about invoices of a batch onto what was there."""
    told = [(entry, entry.fact) for entry in entries if isinstance(entry.fact, InvoiceFact)]
    if not told:
        return
    standing = _kept(cursor, {fact.statement for _, fact in told})
    moves = []
    for entry, fact in told:
        of = standing[fact.statement]
        of.take(entry, fact)
        moves += _movement(entry, fact, of.currency)
    whose = _whose(cursor, list(standing))
    cursor.executemany(KEEP, [each.row(whose.get(name, ("", "", False))) for name, each in standing.items()])
    cursor.executemany(MOVE, moves)


def _kept(cursor: psycopg.Cursor[Any], statements: Iterable[str]) -> dict[str, _Standing]:
    found = {statement: _Standing(statement) for statement in sorted(statements)}
    for statement, state, *rest in cursor.execute(KEPT, (list(found),)).fetchall():
        each = found[statement]
        each.invoice = msgspec.json.decode(state, type=Invoice)
        each.number, each.url, each.currency, each.position = rest
    return found


def _whose(cursor: psycopg.Cursor[Any], statements: Sequence[str]) -> Mapping[str, tuple[str, str, bool]]:
    rows = cursor.execute(WHOSE, (statements,)).fetchall()
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def _movement(entry: Entry, told: InvoiceFact, currency: str) -> list[dict[str, Any]]:
    """None for what moves no money."""
    move: dict[str, Any]
    match told:
        case PaymentReceived(payment=ref):
            move = {"kind": "payment", "ref": ref, "fee_minor": told.fee_minor, "by": told.by}
            currency = told.currency
        case PaymentReversed(payment=ref):
            move = {"kind": "reversal", "ref": ref, "of": ref}
        case CreditNoteIssued(credit_note=ref):
            move = {"kind": "credit_note", "ref": ref, "by": told.by}
        case RefundMade(refund=ref):
            move = {"kind": "refund", "ref": ref, "of": told.payment, "credit_note": told.credit_note}
        case PaymentFailed(payment=ref):
            move = {"kind": "failure", "ref": ref}
        case _:
            return []
    blank = {"fee_minor": 0, "of": "", "credit_note": "", "by": "", "currency": currency, "provider": told.provider}
    about = {"amount_minor": getattr(told, "amount_minor", 0), "reason": getattr(told, "reason", "")}
    where = {"position": entry.position, "statement": told.statement, "at": told.happened_at}
    return [blank | about | where | move]


# --- queries ---

RECEIVABLES = """
SELECT
    statement, period, holder, is_party, provider, invoice, number, url, currency, total_minor, paid_minor,
    credited_minor, refunded_minor, outstanding_minor, sent_at, due_on, voided, stopped
FROM receivables
WHERE (%(statements)s::text[] IS NULL OR statement = ANY(%(statements)s))
  AND (%(period)s::text IS NULL OR period = %(period)s)
  AND (%(at)s::timestamptz IS NULL OR (outstanding_minor > 0 AND NOT voided AND sent_at <= %(at)s))
ORDER BY CASE WHEN %(at)s::timestamptz IS NOT NULL THEN due_on END NULLS LAST, statement
"""
MOVEMENTS = """
SELECT
    statement, kind, ref, amount_minor, fee_minor, currency, provider, of, credit_note, reason, by, at, position
FROM receivable_movements
WHERE (%(statement)s::text IS NULL OR statement = %(statement)s)
  AND (%(period)s::text IS NULL OR statement IN (SELECT statement FROM receivables WHERE period = %(period)s))
ORDER BY statement, position
"""


def of(connection: psycopg.Connection[Any], statement: str) -> Receivable | None:
    """The invoice of a statement; None if nothing was told of it."""
    return next(iter(_found(connection, statements=[statement])), None)


def of_each(connection: psycopg.Connection[Any], statements: Iterable[str]) -> dict[str, Receivable]:
    """The invoices of these statements, of which anything was told."""
    return {each.statement: each for each in _found(connection, statements=list(statements))}


def open(connection: psycopg.Connection[Any], at: datetime) -> list[Receivable]:  # noqa: A001  receivables.open
    """What was sent by then and is still owed, the longest due first."""
    return _found(connection, at=at)


def of_period(connection: psycopg.Connection[Any], period: str) -> list[Receivable]:
    """The invoices of a month's statements, in the order of their numbers."""
    return _found(connection, period=period)


def _found(
    connection: psycopg.Connection[Any],
    *,
    statements: list[str] | None = None,
    period: str | None = None,
    at: datetime | None = None,
) -> list[Receivable]:
    with connection.cursor(row_factory=class_row(Receivable)) as cursor:
        return cursor.execute(RECEIVABLES, {"statements": statements, "period": period, "at": at}).fetchall()


def movements(
    connection: psycopg.Connection[Any], *, statement: str | None = None, period: str | None = None
) -> list[Movement]:
    """What moved on one statement's invoice, or on all of a month, in the order of the journal."""
    with connection.cursor(row_factory=class_row(Movement)) as cursor:
        return cursor.execute(MOVEMENTS, {"statement": statement, "period": period}).fetchall()
