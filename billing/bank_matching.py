"""Bank receipts on their way to what they pay: imported once, matched by reference and amount, the rest by hand.

What names exactly one statement, and comes to exactly what that statement is owed, is matched; so is money that went
out under the name of a refund; what somebody took apart again is left to people. A match and the payment on the invoice
are one transaction of the journal, so there is never one without the other. Decisions on receipts stand in one line for
the whole node. Money is fen; times are UTC.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from billing.bank import GIVEN, LOCK, undone
from billing.bank_csv import File, Read, Unread
from billing.outbox import movement_id
from domain import bank_receipt, fact, invoice
from domain.bank_receipt import BankReceiptImported, NotMatchable, Receipt, Told
from domain.deciding import folded
from domain.errors import Stale, Unknown
from domain.fact import Fact
from domain.intent import Intent, NewFact
from domain.invoice import Invoice, PaymentReceived, PaymentReversed
from domain.statement import number_of
from domain.writer import Writer

Connection = psycopg.Connection[Any]
ATTEMPTS_MAX = 20
NUMBER = re.compile(r"KS-?(\d{6})-?(\d{6})(?!\d)")
REFUND = re.compile(r"RF-R-[0-9A-F]{16}-\d+-[0-9A-F]{8}")
BATCH = 500
KNOWN = """
SELECT receipt, direction, amount_minor, currency, booked_at FROM bank_receipts WHERE receipt = ANY(%s)
"""
KEEP_UNREAD = """
INSERT INTO bank_unread (file_sha256, row, raw, zh, en, by) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
WAITING = """
SELECT receipt, direction, text, waiting_minor, currency, position FROM bank_receipts AS r
WHERE waiting_minor > 0 AND position > %s
  AND NOT EXISTS (SELECT FROM bank_matches AS m WHERE m.receipt = r.receipt AND undone_at IS NOT NULL)
ORDER BY position LIMIT 500
"""
ASKED = "SELECT 1 FROM bank_notices WHERE statement = %s AND status = 'open'"
TO_PAY = """
SELECT amount_minor, currency FROM bank_refunds JOIN bank_notices USING (notice)
WHERE refund = %s AND receipt IS NULL
"""
OUT = """
SELECT refund, amount_minor, currency FROM bank_refunds JOIN bank_notices USING (notice)
WHERE upper(refund) = %s AND receipt IS NULL
"""
CURRENCY = "SELECT currency FROM issued_statements WHERE statement = %s"


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file."""

    file_sha256: str
    rows: int
    new: int
    repeated: int  # of the rows, known from before
    matched: int  # of all that waited, also from files before
    unread: list[Unread]  # kept too


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a decision."""

    id: str  # receipt
    version: int
    position: int
    new: bool
    payment: str = ""


# --- into the books ---


def take(connection: Connection, writer: Writer, file: File, *, by: str, at: datetime) -> Imported:
    """Import a file. A row that is known adds nothing; one that contradicts what is known is kept as unread."""
    new, unread = 0, list(file.unread)
    rows = iter(file.rows)
    while some := list(islice(rows, BATCH)):
        told = [_imported(row, file.sha256, by, at) for row in some]
        known = _known(connection, told)
        fresh: dict[str, BankReceiptImported] = {}
        for row, each in zip(some, told, strict=True):
            had = known.get(each.receipt) or (_figures(fresh[each.receipt]) if each.receipt in fresh else None)
            if had is None:
                fresh[each.receipt] = each
            elif had != _figures(each):
                zh, en = f"流水号 {row.serial} 曾以别的内容导入", f"serial number {row.serial} came before, otherwise"
                unread.append(Unread(row.row, row.raw, zh, en))
        writer.write([_intent(each) for each in fresh.values()])
        new += len(fresh)
    with connection.cursor() as cursor:
        cursor.executemany(KEEP_UNREAD, [(file.sha256, row.row, row.raw, row.zh, row.en, by) for row in unread])
    matched = by_reference(connection, writer, by=by, at=at)
    repeated = len(file.rows) - new - (len(unread) - len(file.unread))
    return Imported(
        file_sha256=file.sha256,
        rows=len(file.rows) + len(file.unread),
        new=new,
        repeated=repeated,
        matched=matched,
        unread=unread,
    )


def _imported(row: Read, digest: str, by: str, at: datetime) -> BankReceiptImported:
    return BankReceiptImported(
        happened_at=row.booked_at,
        recorded_at=at,
        receipt=bank_receipt.identity(row.account, row.serial),
        by=by,
        account=row.account,
        serial=row.serial,
        direction=row.direction,
        amount_minor=row.amount_minor,
        currency=row.currency,
        booked_at=row.booked_at,
        payer=row.payer,
        payer_account=row.payer_account,
        text=row.text,
        file_sha256=digest,
        row=row.row,
    )


def _intent(told: BankReceiptImported) -> Intent:
    stream = bank_receipt.stream(told.receipt)
    return Intent(facts=[NewFact(stream, fact.digest_id("bank receipt", told.receipt), told)])


def _figures(told: BankReceiptImported) -> tuple[object, ...]:
    return (told.direction, told.amount_minor, told.currency, told.booked_at)


def _known(connection: Connection, told: Sequence[BankReceiptImported]) -> dict[str, tuple[object, ...]]:
    rows = connection.execute(KNOWN, ([each.receipt for each in told],))
    return {receipt: tuple(figures) for receipt, *figures in rows}


# --- matching ---


def named(text: str) -> list[str]:
    """The numbers of statements that a text names, with or without dashes.

    >>> named("付ＫＳ-202610-000007货款"), named("ks202610000007"), named("KS-202610-0000071")
    (['KS-202610-000007'], ['KS-202610-000007'], [])
    """
    plain = unicodedata.normalize("NFKC", text).upper().replace(" ", "")
    numbers = [number_of(f"{month[:4]}-{month[4:]}", int(place)) for month, place in NUMBER.findall(plain)]
    return list(dict.fromkeys(numbers))


def by_reference(connection: Connection, writer: Writer, *, by: str, at: datetime) -> int:
    """Match what waits and says itself what it pays. How many that were."""
    return sum(_self_explaining(connection, writer, row, by, at) for row in _waiting(connection))


class _Waiting(NamedTuple):
    receipt: str
    direction: str
    text: str
    minor: int
    currency: str
    position: int


def _waiting(connection: Connection) -> Iterator[_Waiting]:
    after = 0
    while rows := connection.execute(WAITING, (after,)).fetchall():
        yield from (_Waiting(*row) for row in rows)
        after = rows[-1][-1]


def _self_explaining(connection: Connection, writer: Writer, row: _Waiting, by: str, at: datetime) -> bool:
    """Exactly one statement, exactly its amount; or exactly a refund that is to be paid."""
    found = _refund(connection, row) if row.direction == "out" else _statement(connection, writer, row)
    if not found:
        return False

    def paid_out(receipt: Receipt) -> Told:
        to_pay = connection.execute(TO_PAY, (found,)).fetchone()
        if to_pay is None:
            raise NotMatchable(f"{found} 已付 / {found} is paid already", receipt=row.receipt, refund=found)
        minor, currency = to_pay
        return bank_receipt.pay_out(receipt, found, minor, currency=currency, rule="reference", by=by, at=at), ()

    matched = matching(connection, writer, found, row.minor, by=by, at=at, reason=None)
    key = fact.digest_id("by itself", row.receipt, found, str(row.minor))
    try:
        return decide(connection, writer, row.receipt, paid_out if row.direction == "out" else matched, key).new
    except NotMatchable:
        return False


def _refund(connection: Connection, row: _Waiting) -> str:
    refunds = REFUND.findall(unicodedata.normalize("NFKC", row.text).upper().replace(" ", ""))
    found = connection.execute(OUT, refunds).fetchone() if len(refunds) == 1 else None
    return str(found[0]) if found and found[1:] == (row.minor, row.currency) else ""


def _statement(connection: Connection, writer: Writer, row: _Waiting) -> str:
    numbers = named(row.text)
    if len(numbers) != 1:
        return ""
    owed = _invoice(connection, writer, numbers[0])
    return numbers[0] if owed.provider == bank_receipt.PROVIDER and owed.outstanding_minor == row.minor else ""


Decision = Callable[[Receipt], Told]


def matching(
    connection: Connection,
    writer: Writer,
    statement: str,
    amount_minor: int | None,
    *,
    by: str,
    at: datetime,
    reason: str | None,
) -> Decision:
    """A decision to match. No amount: all that waits, or all that is owed, whichever is less; a reason: by hand."""

    def decision(receipt: Receipt) -> Told:
        row = connection.execute(CURRENCY, (statement,)).fetchone()
        if row is None:
            raise Unknown(
                f"没有账单 {statement[:40]} / there is no statement {statement[:40]}", statement=statement[:40]
            )
        if connection.execute(ASKED, (statement,)).fetchone() is None:  # void at once, in the journal a moment later
            raise NotMatchable(
                f"账单 {statement} 没有待付的付款通知 / nothing is asked to be paid for statement {statement}",
                receipt=receipt.id,
                statement=statement,
            )
        owed = _invoice(connection, writer, statement)
        minor = min(receipt.waiting_minor, owed.outstanding_minor) if amount_minor is None else amount_minor
        return bank_receipt.match_to(receipt, owed, minor, currency=row[0], by=by, at=at, reason=reason)

    return decision


def undoing(connection: Connection, payment: str, *, by: str, at: datetime, reason: str) -> Decision:
    """A decision to take a match back."""

    def decision(receipt: Receipt) -> Told:
        [given] = connection.execute(GIVEN, (payment,)).fetchone() or (0,)
        return bank_receipt.undo(receipt, payment, refunded_minor=given, reason=reason, by=by, at=at)

    return decision


def paying_out(connection: Connection, refund: str, *, by: str, at: datetime) -> Decision:
    """A decision by hand that money that went out is this refund."""

    def decision(receipt: Receipt) -> Told:
        row = connection.execute(TO_PAY, (refund,)).fetchone()
        if row is None:
            raise Unknown(f"没有待付退款 {refund[:80]} / no refund {refund[:80]} is to be paid", refund=refund[:80])
        minor, currency = row
        return bank_receipt.pay_out(receipt, refund, minor, currency=currency, rule="hand", by=by, at=at), ()

    return decision


def _invoice(connection: Connection, writer: Writer, statement: str) -> Invoice:
    entries = writer.journal.stream(connection, invoice.stream(statement))
    return folded(Invoice(statement), invoice.evolve)(entries)


def decide(connection: Connection, writer: Writer, receipt: str, decision: Decision, key: UUID) -> Done:
    """Decide on a receipt, its facts and the invoice's in one transaction. The same key again is the same decision.

    Raises Unknown, and what the decision raises.
    """
    stream = bank_receipt.stream(receipt)
    for _ in range(ATTEMPTS_MAX):
        with connection.transaction():
            connection.execute(LOCK)
            entries = writer.journal.stream(connection, stream)
            if not entries:
                raise Unknown(f"没有流水 {receipt[:40]} / there is no receipt {receipt[:40]}", receipt=receipt[:40])
            if had := next((each for each in entries if each.fact_id == _id(key, stream, 0)), None):
                return msgspec.structs.replace(_done(receipt, [had.fact], had.version, had.position), new=False)
            told, of_invoice = decision(folded(Receipt(receipt), bank_receipt.evolve)(entries))
            if not told:
                return _done(receipt, (), len(entries), entries[-1].position)
            new = [_of_invoice(each) for each in of_invoice]
            new += [NewFact(stream, _id(key, stream, at), each) for at, each in enumerate(told)]
            [outcome] = writer.write([Intent(facts=new, expected=(stream, len(entries)))])
            if outcome.status != "stale":
                return _done(receipt, told, len(entries) + len(told), outcome.position)
    raise Stale(f"{receipt} 已有更新，请重试 / {receipt} has changed; try again", receipt=receipt)


def _of_invoice(told: Fact) -> NewFact:
    """Under the id that the sweep gives the same movement, so that it can stand there only once."""
    assert isinstance(told, PaymentReceived | PaymentReversed)
    kind, ref = ("payment", told.payment) if isinstance(told, PaymentReceived) else ("reversal", undone(told.payment))
    return NewFact(invoice.stream(told.statement), movement_id(told.provider, kind, ref), told)


def _id(key: UUID, stream: str, at: int) -> UUID:
    return fact.digest_id("bank decision", str(key), stream, str(at))


def _done(receipt: str, told: Sequence[Fact], version: int, position: int) -> Done:
    payment = next((str(getattr(each, "payment", "")) for each in told), "")
    return Done(id=receipt, version=version, position=position, new=bool(told), payment=payment)
