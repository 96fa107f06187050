"""What the bank desk shows: receipts with what they pay, rows that could not be read, refunds to pay, payment notices.

Read from the tables that the journal fills in the transaction of the fact (domain/migrations/0020_bank.sql), so what
was just decided is there. Money is integer minor units (fen); times are UTC.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Literal

import msgspec
import psycopg
from psycopg.rows import dict_row

from billing import drafting
from domain import bank_receipt, fact, statement
from domain import seller as selling
from domain.errors import Unknown
from domain.statement import Holder, Seller

Connection = psycopg.Connection[Any]
State = Literal["waiting", "matched", "settled", "all"]
RECEIPT = """
SELECT
    receipt, account, serial, direction, amount_minor, currency, booked_at, payer, payer_account, text, matched_minor,
    settled_minor, waiting_minor, imported_at, file_sha256, row, position,
    coalesce((
        SELECT json_agg(json_build_object(
            'payment', payment, 'statement', statement, 'amount_minor', m.amount_minor, 'rule', rule, 'reason', reason,
            'by', by, 'at', at, 'undone_at', undone_at, 'undone_why', undone_why
        ) ORDER BY payment)
        FROM bank_matches AS m WHERE m.receipt = r.receipt
    ), '[]') AS matches
FROM bank_receipts AS r
"""
IN_STATE = """
CASE %(state)s::text
    WHEN 'waiting' THEN waiting_minor > 0 WHEN 'matched' THEN matched_minor > 0 WHEN 'settled' THEN settled_minor > 0
    ELSE true
END
"""
RECEIPTS = f"""
{RECEIPT}
WHERE position > %(after)s AND (%(receipt)s::text IS NULL OR receipt = %(receipt)s) AND {IN_STATE}
ORDER BY position
LIMIT %(limit)s
"""
NEWEST = f"""
{RECEIPT}
WHERE position < %(before)s AND {IN_STATE}
ORDER BY position DESC
LIMIT %(limit)s
"""
OUTGOING = f"""
{RECEIPT}
WHERE waiting_minor > 0 AND direction = 'out' AND waiting_minor || ' ' || currency = ANY(%s)
ORDER BY position
"""
UNREAD = """
SELECT file_sha256, row, raw, zh, en, by, at FROM bank_unread
ORDER BY at DESC, file_sha256, row
LIMIT %s OFFSET %s
"""
COUNTS = """
SELECT
    (SELECT count(*) FROM bank_receipts WHERE waiting_minor > 0), (SELECT count(*) FROM bank_unread),
    (SELECT count(*) FROM bank_refunds WHERE receipt IS NULL)
"""
REFUNDS = """
SELECT
    f.refund, f.payment, f.amount_minor, n.currency, f.credit_note, f.made_at, f.paid_at, f.receipt, n.statement,
    r.payer AS payee, r.payer_account AS payee_account
FROM bank_refunds AS f
JOIN bank_notices AS n USING (notice)
JOIN bank_matches AS m USING (payment)
JOIN bank_receipts AS r ON r.receipt = m.receipt
WHERE f.receipt IS NULL OR NOT %s
ORDER BY f.made_at, f.refund
"""
NOTICE = """
SELECT notice, statement, n.currency, n.total_minor, due_on, sent_at
FROM bank_notices AS n JOIN issued_statements USING (statement)
WHERE statement = %(statement)s AND sent_at IS NOT NULL AND status = 'open'
  AND (%(holder)s::text IS NULL OR (holder = %(holder)s AND is_party = %(is_party)s))
"""
PAID = """
SELECT
    coalesce((
        SELECT sum(amount_minor) FROM bank_matches WHERE statement = %(statement)s AND undone_at IS NULL
    ), 0)::bigint
    - coalesce((SELECT sum(amount_minor) FROM bank_refunds WHERE notice = %(notice)s), 0)::bigint,
    coalesce((SELECT sum(amount_minor) FROM bank_credit_notes WHERE notice = %(notice)s), 0)::bigint
"""
OWED = """
WITH asked AS (
    SELECT
        n.statement, holder, holder_zh, holder_en, n.currency, n.total_minor, due_on, sent_at,
        coalesce((
            SELECT sum(amount_minor) FROM bank_matches AS m WHERE m.statement = n.statement AND undone_at IS NULL
        ), 0)::bigint
        - coalesce((SELECT sum(amount_minor) FROM bank_refunds AS f WHERE f.notice = n.notice), 0)::bigint
            AS paid_minor,
        coalesce((SELECT sum(amount_minor) FROM bank_credit_notes AS c WHERE c.notice = n.notice), 0)::bigint
            AS credited_minor
    FROM bank_notices AS n JOIN issued_statements USING (statement)
    WHERE statement = ANY(%s) AND sent_at IS NOT NULL AND status = 'open'
)
SELECT asked.*, total_minor - paid_minor - credited_minor AS outstanding_minor
FROM asked
WHERE total_minor > paid_minor + credited_minor
ORDER BY due_on, statement
"""
SETTLEMENTS = """
WITH told AS (
    SELECT notification_id, topic, convert_from(state, 'UTF8')::json AS fact FROM commerce_events
    WHERE originator_id = %s AND topic IN ('bank_receipt.returned', 'bank_receipt.set_aside', 'bank_receipt.paid_out')
)
SELECT
    split_part(topic, '.', 2) AS way, (fact->>'amount_minor')::bigint AS amount_minor,
    coalesce(fact->>'reason', '') AS reason, coalesce(fact->>'reference', '') AS reference,
    coalesce(fact->>'refund', '') AS refund, coalesce(statement, '') AS statement, fact->>'by' AS by,
    (fact->>'happened_at')::timestamptz AS at
FROM told
LEFT JOIN bank_refunds ON refund = fact->>'refund'
LEFT JOIN bank_notices USING (notice)
ORDER BY notification_id
"""
SELLER = "SELECT state FROM commerce_events WHERE originator_id = %s ORDER BY originator_version"
ASKED = "SELECT line, item, description, amount_minor FROM bank_notice_lines WHERE notice = %s ORDER BY line"


class MatchShown(msgspec.Struct, frozen=True, kw_only=True):
    payment: str
    statement: str
    amount_minor: int
    rule: str
    reason: str
    by: str
    at: datetime
    undone_at: datetime | None
    undone_why: str


class ReceiptShown(msgspec.Struct, frozen=True, kw_only=True):
    """A movement of our account. amount = matched + settled + waiting."""

    receipt: str
    account: str
    serial: str
    direction: str
    amount_minor: int
    currency: str
    booked_at: datetime
    payer: str
    payer_account: str
    text: str
    matched_minor: int
    settled_minor: int
    waiting_minor: int
    imported_at: datetime
    file_sha256: str
    row: int
    position: int
    matches: list[MatchShown]


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """How a part of a movement was settled otherwise than by paying a statement; it cannot be taken back."""

    way: Literal["returned", "set_aside", "paid_out"]
    amount_minor: int
    reason: str  # "" of what was paid out
    reference: str  # of what was returned: the bank's serial number of what went out, if it was told
    refund: str  # of what was paid out
    statement: str  # of that refund
    by: str
    at: datetime


class UnreadShown(msgspec.Struct, frozen=True, kw_only=True):
    file_sha256: str
    row: int
    raw: str
    zh: str
    en: str
    by: str
    at: datetime


class RefundShown(msgspec.Struct, frozen=True, kw_only=True):
    """An order to pay back, to who had paid."""

    refund: str  # to be written with the transfer: then it is found by itself
    payment: str
    amount_minor: int
    currency: str
    credit_note: str
    made_at: datetime
    paid_at: datetime | None
    receipt: str | None
    statement: str
    payee: str
    payee_account: str


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """A payment notice that is out, and of which something is open."""

    statement: str
    holder: str
    holder_zh: str
    holder_en: str
    currency: str
    total_minor: int
    paid_minor: int
    credited_minor: int
    outstanding_minor: int
    due_on: date
    sent_at: datetime


class Counts(msgspec.Struct, frozen=True):
    """What there is to do."""

    waiting: int = 0  # receipts of which something waits
    unread: int = 0  # rows of files
    refunds: int = 0  # to be paid out


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    line: int
    item: str
    description: str
    amount_minor: int


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """付款通知书: what is to be paid, by when, on which account, and what to write with the transfer."""

    notice: str
    statement: str
    reference: str  # to be written with the transfer
    seller: Seller
    holder: Holder
    currency: str
    total_minor: int
    paid_minor: int
    credited_minor: int
    outstanding_minor: int
    due_on: date
    sent_at: datetime
    lines: list[Asked]


def receipts(
    connection: Connection, *, state: State = "all", after: int = 0, limit: int = 200, receipt: str | None = None
) -> list[ReceiptShown]:
    """Movements behind a position, in the order in which they were imported."""
    asked = {"state": state, "after": after, "limit": limit, "receipt": receipt}
    with connection.cursor(row_factory=dict_row) as cursor:
        return [msgspec.convert(row, ReceiptShown) for row in cursor.execute(RECEIPTS, asked)]


def newest(connection: Connection, *, state: State = "all", before: int, limit: int) -> list[ReceiptShown]:
    """Movements before a position, the last imported first."""
    asked = {"state": state, "before": before, "limit": limit}
    with connection.cursor(row_factory=dict_row) as cursor:
        return [msgspec.convert(row, ReceiptShown) for row in cursor.execute(NEWEST, asked)]


def settlements(connection: Connection, receipt: str) -> list[Settled]:
    """What was returned, set aside or paid out of a movement, in that order of time."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [Settled(**row) for row in cursor.execute(SETTLEMENTS, (bank_receipt.stream(receipt),))]


def outgoing(connection: Connection, wanted: Sequence[RefundShown]) -> list[ReceiptShown]:
    """Money that went out whole in the amount and the currency of one of these, and that nobody has explained."""
    amounts = [f"{each.amount_minor} {each.currency}" for each in wanted]
    with connection.cursor(row_factory=dict_row) as cursor:
        return [msgspec.convert(row, ReceiptShown) for row in cursor.execute(OUTGOING, (amounts,))]


def unread(connection: Connection, limit: int = 500, past: int = 0) -> list[UnreadShown]:
    """Rows of the bank's files that could not be read, the newest first, without the first `past`."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [UnreadShown(**row) for row in cursor.execute(UNREAD, (limit, past))]


def counts(connection: Connection) -> Counts:
    """How much there is to do at the desk."""
    return Counts(*(connection.execute(COUNTS).fetchone() or ()))


def owed(connection: Connection, statements: Sequence[str]) -> list[Owed]:
    """Of these statements, those whose notice is out and not paid in full, the longest due first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [Owed(**row) for row in cursor.execute(OWED, (list(statements),))]


def refunds(connection: Connection, *, to_pay: bool = True) -> list[RefundShown]:
    """Refunds that are to be paid out, or all."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [RefundShown(**row) for row in cursor.execute(REFUNDS, (to_pay,))]


def notice(connection: Connection, number: str, *, holder: str | None = None, is_party: bool = False) -> Notice:
    """The payment notice of a statement, of anybody's or of one holder's. Raises Unknown."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(NOTICE, {"statement": number, "holder": holder, "is_party": is_party}).fetchone()
        if row is None:
            raise Unknown(
                f"没有付款通知 {number[:40]} / there is no payment notice {number[:40]}", statement=number[:40]
            )
        lines = [Asked(**each) for each in cursor.execute(ASKED, (row["notice"],))]
    paid, credited = connection.execute(PAID, row).fetchone() or (0, 0)
    document = statement.read(drafting.stored(connection, number))
    return Notice(
        notice=row["notice"],
        statement=number,
        reference=number,
        seller=_payee(connection, document.seller),
        holder=document.holder,
        currency=row["currency"],
        total_minor=row["total_minor"],
        paid_minor=paid,
        credited_minor=credited,
        outstanding_minor=row["total_minor"] - paid - credited,
        due_on=row["due_on"],
        sent_at=row["sent_at"],
        lines=lines,
    )


def _payee(connection: Connection, pinned: Seller) -> Seller:
    """Who is paid: as the statement names it, or as it is now where the statement was issued without an account."""
    if pinned.bank_account:
        return pinned
    now = selling.folded(fact.decode(state) for (state,) in connection.execute(SELLER, (selling.STREAM,))).seller
    return now if now.bank_account else pinned
