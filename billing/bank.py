"""Bank transfer as a payment provider: the port on tables of our own (domain/migrations/0020_bank.sql).

A payment notice (付款通知书) asks for a statement's amount on the seller's account, with the statement's number as the
reference of the transfer. Ids are derived from the key of the step, so a repeated step is the same thing. Money comes
in by bank receipts (billing/bank_matching.py) and goes out by hand: a refund is an order to pay until the bank's file
shows it. A bank sends no notices of its own. Money is integer minor units (fen); times are UTC.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolTimeout

from billing.gateway import (
    Customer,
    Declined,
    Event,
    Item,
    Later,
    Order,
    ProviderInvoice,
    ProviderLine,
    ProviderPayment,
    UnknownOutcome,
)
from domain.errors import Malformed

Row = dict[str, Any]
FETCHED = 500
LOCK = "SELECT pg_advisory_xact_lock(19280, 1)"
"""One at a time takes money of a receipt, undoes that, or gives it back."""

MADE = """
INSERT INTO bank_notices (notice, key, statement, sha256, customer, buyer, currency, total_minor, due_on)
VALUES (%(notice)s, %(key)s, %(statement)s, %(sha256)s, %(customer)s, %(buyer)s, %(currency)s, %(total)s, %(due_on)s)
ON CONFLICT (key) DO NOTHING
"""
SAME_NOTICE = """
SELECT notice FROM bank_notices WHERE key = %s AND statement = %s AND sha256 = %s AND currency = %s AND total_minor = %s
"""
ITEM = """
INSERT INTO bank_notice_lines (notice, line, key, statement, item, description, amount_minor)
SELECT notice, %(line)s, %(key)s, statement, %(item)s, %(description)s, %(amount)s
FROM bank_notices WHERE notice = %(notice)s AND status = 'draft'
ON CONFLICT (key) DO NOTHING
"""
SAME_ITEM = "SELECT line FROM bank_notice_lines WHERE key = %s AND notice = %s AND line = %s AND amount_minor = %s"
SUM = "SELECT coalesce(sum(amount_minor), 0)::bigint FROM bank_notice_lines WHERE notice = %s"
FINAL = "UPDATE bank_notices SET status = 'open', finalized_at = now() WHERE notice = %s AND status = 'draft'"
SENT = "UPDATE bank_notices SET sent_at = coalesce(sent_at, now()) WHERE notice = %s AND status = 'open'"
VOID = "UPDATE bank_notices SET status = 'void', voided_at = now() WHERE notice = %s AND status <> 'void'"
NOTICES = """
SELECT
    n.notice, n.statement, n.status, n.currency, n.total_minor, n.customer, n.made_at,
    coalesce((
        SELECT sum(m.amount_minor) FROM bank_matches AS m
        WHERE m.statement = n.statement AND m.undone_at IS NULL AND n.status = 'open'
    ), 0)::bigint AS received_minor,
    coalesce((SELECT sum(r.amount_minor) FROM bank_refunds AS r WHERE r.notice = n.notice), 0)::bigint
        AS refunded_minor,
    coalesce((SELECT sum(c.amount_minor) FROM bank_credit_notes AS c WHERE c.notice = n.notice), 0)::bigint
        AS credited_minor,
    coalesce((
        SELECT json_agg(json_build_array(l.line, l.amount_minor) ORDER BY l.line)
        FROM bank_notice_lines AS l WHERE l.notice = n.notice
    ), '[]') AS lines
FROM bank_notices AS n
WHERE (%(notice)s::text IS NULL OR n.notice = %(notice)s)
  AND (%(statement)s::text IS NULL OR n.statement = %(statement)s)
  AND (%(since)s::timestamptz IS NULL OR (n.made_at >= %(since)s AND n.made_at < %(until)s))
ORDER BY n.made_at, n.notice
"""
CREDIT = """
INSERT INTO bank_credit_notes (credit_note, key, notice, amount_minor, reason) VALUES (%s, %s, %s, %s, %s)
"""
SAME_CREDIT = "SELECT credit_note, notice, amount_minor FROM bank_credit_notes WHERE key = %s"
PAID_BY = """
SELECT m.amount_minor, n.notice FROM bank_matches AS m
JOIN bank_notices AS n ON n.statement = m.statement AND n.status = 'open'
WHERE m.payment = %s AND m.undone_at IS NULL
FOR UPDATE OF m
"""
GIVEN = "SELECT coalesce(sum(amount_minor), 0)::bigint FROM bank_refunds WHERE payment = %s"
REFUND = """
INSERT INTO bank_refunds (refund, key, payment, notice, amount_minor, credit_note) VALUES (%s, %s, %s, %s, %s, %s)
"""
SAME_REFUND = "SELECT refund, payment, amount_minor FROM bank_refunds WHERE key = %s"
MOVEMENTS = """
WITH open AS (SELECT notice, statement, currency FROM bank_notices WHERE status <> 'void'),
moved AS (
    SELECT
        m.payment AS ref, 'payment' AS kind, m.statement, m.amount_minor, r.currency, r.booked_at AS at,
        m.at AS matched_at, '' AS of, '' AS credit_note, '' AS key
    FROM bank_matches AS m JOIN bank_receipts AS r USING (receipt)
    UNION ALL
    SELECT m.payment || '-undone', 'reversal', m.statement, m.amount_minor, r.currency, m.undone_at, NULL, m.payment,
        '', ''
    FROM bank_matches AS m JOIN bank_receipts AS r USING (receipt)
    WHERE m.undone_at IS NOT NULL
    UNION ALL
    SELECT f.refund, 'refund', n.statement, f.amount_minor, n.currency, f.made_at, NULL, f.payment, f.credit_note, f.key
    FROM bank_refunds AS f JOIN bank_notices AS n USING (notice)
    UNION ALL
    SELECT c.credit_note, 'credit_note', n.statement, c.amount_minor, n.currency, c.made_at, NULL, '', '', c.key
    FROM bank_credit_notes AS c JOIN bank_notices AS n USING (notice)
    UNION ALL
    SELECT receipt, 'payment', '', waiting_minor, currency, booked_at, NULL, '', '', ''
    FROM bank_receipts
    WHERE direction = 'in' AND waiting_minor > 0 AND %(statement)s::text IS NULL
)
SELECT
    ref, kind, coalesce(open.notice, '') AS invoice, statement, amount_minor, moved.currency, at, of, credit_note, key
FROM moved LEFT JOIN open USING (statement)
WHERE (%(statement)s::text IS NULL OR statement = %(statement)s)
  AND (
    %(since)s::timestamptz IS NULL OR (at >= %(since)s AND at < %(until)s)
    OR (matched_at >= %(since)s AND matched_at < %(until)s)
  )
ORDER BY at, ref
"""
"""A payment moves when it is booked, and again when it is matched, which may be months later."""


def ref_of(prefix: str, statement: str, key: str) -> str:
    """An id that is derived from the key of its step.

    >>> ref_of("PN", "KS-202610-000001", "kouan:KS-202610-000001:draft:0")
    'PN-KS-202610-000001-1b1d601e'
    """
    return f"{prefix}-{statement}-{sha256(key.encode()).hexdigest()[:8]}"


def undone(payment: str) -> str:
    """The id of the reversal of a payment whose match was undone; there is one at most."""
    return f"{payment}-undone"


class BankGateway:
    """Adapter of equal rank with billing/stripe.py. The pool's connections must be in autocommit."""

    provider = "bank"

    def __init__(self, pool: ConnectionPool[psycopg.Connection[Any]]) -> None:
        self.pool = pool

    # --- customers: whoever is in the books is one ---

    def find_customer(self, customer: Customer) -> str | None:
        return _customer(customer)

    def make_customer(self, customer: Customer, *, key: str) -> str:  # noqa: ARG002  it is the same under any key
        return _customer(customer)

    # --- notices ---

    def find_invoices(self, statement: str) -> list[ProviderInvoice]:
        with self._asking() as connection:
            return _invoices(connection, statement=statement)

    def make_draft(self, order: Order, customer: str, *, key: str) -> str:
        notice = ref_of("PN", order.statement, key)
        row: Row = {"notice": notice, "key": key, "statement": order.statement, "sha256": order.sha256}
        row |= {"currency": order.currency, "total": order.total_minor, "due_on": order.due_on, "customer": customer}
        row |= {"buyer": Jsonb(msgspec.to_builtins(order.customer))}
        with self._asking() as connection, connection.transaction():
            connection.execute(MADE, row)
            same = (key, order.statement, order.sha256, order.currency, order.total_minor)
            return _same(connection.execute(SAME_NOTICE, same).fetchone(), key)

    def add_item(self, invoice: str, customer: str, order: Order, item: Item, *, key: str) -> str:  # noqa: ARG002
        row = {"notice": invoice, "line": item.line, "key": key, "item": item.item, "description": item.description}
        with self._asking() as connection, connection.transaction():
            connection.execute(ITEM, row | {"amount": item.amount_minor})
            same = (key, invoice, item.line, item.amount_minor)
            return f"{invoice}/{_same(connection.execute(SAME_ITEM, same).fetchone(), key)}"

    def retrieve(self, invoice: str) -> ProviderInvoice:
        with self._asking() as connection:
            return _invoice(connection, invoice)

    def finalize(self, invoice: str, *, key: str) -> ProviderInvoice:  # noqa: ARG002
        with self._asking() as connection, connection.transaction():
            found = _locked(connection, invoice)
            [total] = connection.execute(SUM, (invoice,)).fetchone() or (0,)
            if found.status == "draft" and total != found.total_minor:
                raise Declined(
                    f"付款通知 {invoice} 各行合计 {total} 与总额 {found.total_minor} 不符"
                    f" / the lines of notice {invoice} come to {total}, not {found.total_minor}",
                    notice=invoice,
                )
            _live(found)
            connection.execute(FINAL, (invoice,))
            return _invoice(connection, invoice)

    def send(self, invoice: str, *, key: str) -> ProviderInvoice:  # noqa: ARG002
        """From now on its holder finds it under /v1/bank/notices."""
        with self._asking() as connection, connection.transaction():
            if connection.execute(SENT, (invoice,)).rowcount != 1:
                raise Declined(f"付款通知 {invoice} 未定稿 / payment notice {invoice} is not final yet", notice=invoice)
            return _invoice(connection, invoice)

    def void(self, invoice: str, *, key: str) -> ProviderInvoice:  # noqa: ARG002
        with self._asking() as connection, connection.transaction():
            connection.execute(LOCK)  # no receipt is matched meanwhile
            if _locked(connection, invoice).paid_minor:
                raise Declined(
                    f"付款通知 {invoice} 已有收款，不能作废 / payment notice {invoice} was paid in part and stays",
                    notice=invoice,
                )
            connection.execute(VOID, (invoice,))
            return _invoice(connection, invoice)

    # --- what is not owed, and what goes back ---

    def credit(self, invoice: str, amount_minor: int, reason: str, *, key: str) -> str:
        with self._asking() as connection, connection.transaction():
            found = _locked(connection, invoice)
            if had := connection.execute(SAME_CREDIT, (key,)).fetchone():
                return _same(had if had[1:] == (invoice, amount_minor) else None, key)
            _live(found)
            _within(amount_minor, found.total_minor - found.credited_minor, invoice)
            made = ref_of("CN", found.statement, key)
            connection.execute(CREDIT, (made, key, invoice, amount_minor, reason))
            return made

    def refund(self, payment: str, amount_minor: int, *, credit_note: str, key: str) -> str:
        """An order to pay back; it is paid once a bank receipt shows it (domain/bank_receipt.pay_out)."""
        with self._asking() as connection, connection.transaction():
            connection.execute(LOCK)
            if had := connection.execute(SAME_REFUND, (key,)).fetchone():
                return _same(had if had[1:] == (payment, amount_minor) else None, key)
            paid = connection.execute(PAID_BY, (payment,)).fetchone()
            if paid is None:
                raise Declined(f"没有收款 {payment[:60]} / there is no payment {payment[:60]}", payment=payment[:60])
            [given] = connection.execute(GIVEN, (payment,)).fetchone() or (0,)
            _within(amount_minor, paid[0] - given, payment)
            made = ref_of("RF", payment, key)
            connection.execute(REFUND, (made, key, payment, paid[1], amount_minor, credit_note))
            return made

    # --- what moved ---

    def payments(self, invoice: str) -> list[ProviderPayment]:
        with self._asking() as connection:
            found = _invoice(connection, invoice)
            if found.status == "void":  # what was matched since belongs to the one that replaced it
                return []
            with connection.cursor(row_factory=dict_row) as cursor:
                asked = {"statement": found.statement, "since": None, "until": None}
                return [ProviderPayment(**row) for row in cursor.execute(MOVEMENTS, asked)]

    def invoices(self, since: datetime, until: datetime) -> Iterator[ProviderInvoice]:
        asked = {"notice": None, "statement": None, "since": since, "until": until}
        with self._asking() as connection:
            yield from (_read(row) for row in _streamed(connection, NOTICES, asked))

    def movements(self, since: datetime, until: datetime) -> Iterator[ProviderPayment]:
        asked = {"statement": None, "since": since, "until": until}
        with self._asking() as connection:
            yield from (ProviderPayment(**row) for row in _streamed(connection, MOVEMENTS, asked))

    def events(self, since: datetime) -> Iterator[Event]:  # noqa: ARG002
        """None: what comes in is told to the invoice when it is matched."""
        return iter(())

    def read_event(self, body: bytes, signature: str) -> Event:  # noqa: ARG002
        raise Malformed("银行不发送通知 / a bank sends no notices")

    @contextmanager
    def _asking(self) -> Iterator[psycopg.Connection[Any]]:
        """Raises what the port raises: what the database refuses is Declined, silence is UnknownOutcome."""
        try:
            with self.pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            raise Later("数据库暂不可用 / the database cannot be reached") from error
        except psycopg.IntegrityError as error:
            detail = str(error).partition("\n")[0]
            raise Declined(f"数据库拒绝：{detail} / the database refuses: {detail}") from error
        except psycopg.OperationalError as error:
            raise UnknownOutcome("数据库没有答复 / the database did not answer") from error


def _customer(customer: Customer) -> str:
    return f"{'party' if customer.is_party else 'account'}:{customer.holder}"


def _same(row: tuple[Any, ...] | None, key: str) -> str:
    """What stands under the key already, if it is the same."""
    if row is None:
        raise Declined(f"{key} 曾用于别的内容，或已定稿 / {key} stands for something else, or it is final", key=key)
    return str(row[0])


def _live(found: ProviderInvoice) -> None:
    if found.status == "void":
        raise Declined(f"付款通知 {found.ref} 已作废 / payment notice {found.ref} is void", notice=found.ref)


def _within(amount_minor: int, left_minor: int, about: str) -> None:
    if not 0 < amount_minor <= left_minor:
        raise Declined(
            f"{about} 最多 {left_minor} 分，不能 {amount_minor} 分"
            f" / {about}: {left_minor} fen at most, not {amount_minor}",
            left_minor=left_minor,
        )


def _locked(connection: psycopg.Connection[Any], notice: str) -> ProviderInvoice:
    connection.execute("SELECT 1 FROM bank_notices WHERE notice = %s FOR UPDATE", (notice,))
    return _invoice(connection, notice)


def _invoice(connection: psycopg.Connection[Any], notice: str) -> ProviderInvoice:
    for found in _invoices(connection, notice=notice):
        return found
    raise Declined(f"没有付款通知 {notice[:60]} / there is no payment notice {notice[:60]}", notice=notice[:60])


def _invoices(
    connection: psycopg.Connection[Any], *, notice: str | None = None, statement: str | None = None
) -> list[ProviderInvoice]:
    asked = {"notice": notice, "statement": statement, "since": None, "until": None}
    with connection.cursor(row_factory=dict_row) as cursor:
        return [_read(row) for row in cursor.execute(NOTICES, asked)]


def _streamed(connection: psycopg.Connection[Any], query: str, asked: Row) -> Iterator[Row]:
    with connection.transaction(), connection.cursor("bank", row_factory=dict_row) as rows:
        rows.itersize = FETCHED
        rows.execute(query.encode(), asked)
        yield from rows


def _read(row: Row) -> ProviderInvoice:
    """Paid is what came in less what was given back, so that total = paid + credited + outstanding."""
    paid = row["received_minor"] - row["refunded_minor"]
    left = 0 if row["status"] == "void" else row["total_minor"] - row["credited_minor"] - paid
    lines = [
        ProviderLine(ref=f"{row['notice']}/{line}", line=line, amount_minor=amount, currency=row["currency"])
        for line, amount in row["lines"]
    ]
    return ProviderInvoice(
        ref=row["notice"],
        statement=row["statement"],
        number=row["statement"],
        status="paid" if row["status"] == "open" and left <= 0 else row["status"],
        currency=row["currency"],
        total_minor=row["total_minor"],
        paid_minor=paid,
        credited_minor=row["credited_minor"],
        outstanding_minor=left,
        lines=tuple(lines),
        customer=row["customer"],
        made_at=row["made_at"],
    )
