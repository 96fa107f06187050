"""What finance asks on an invoice that was sent: void it, credit a part of it, give money back; with a reason.

Asking writes rows; the process `kouan pay` does the rest (billing/outbox.py). What may be credited or given back is
bounded by what the journal says was invoiced and paid, less what is asked for already. What has stopped may go on at
any time, so it keeps its room until it is withdrawn. A refund gives back what was paid too much, on a credit note that
is there if one has room, or rests on one that is made first. Times are UTC, money integer minor units (fen).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from billing.invoicing import locked
from billing.outbox import key_of
from domain import invoice, register
from domain.errors import Refused
from domain.invoice import CreditNoteIssued, Invoice, PaymentReceived, RefundMade
from domain.journal import Journal

ASKED = "SELECT 1 FROM gateway_steps WHERE request = %s"
PENDING = """
SELECT step.step, step.line, step.amount_minor, step.payment, coalesce(rest.ref, step.credit_ref) AS note,
    CASE WHEN rest.state <> 'done' THEN rest.line END AS rests_on
FROM gateway_steps AS step
LEFT JOIN gateway_steps AS rest
    ON rest.statement = step.statement AND rest.step = 'credit' AND rest.line = step.credit_note
WHERE step.statement = %s AND step.step IN ('void', 'credit', 'refund') AND step.state <> 'done'
"""
ADD = """
INSERT INTO gateway_steps (
    statement, no, step, line, amount_minor, key, payment, credit_note, credit_ref, reason, asked_by, request, next_at
)
SELECT %(statement)s, coalesce(max(no), 0) + 1, %(step)s, place, %(amount)s, %(prefix)s || place, %(payment)s,
    %(credit_note)s, %(credit_ref)s, %(reason)s, %(by)s, %(request)s, %(at)s
FROM gateway_steps, (
    SELECT count(*) + 1 FROM gateway_steps WHERE statement = %(statement)s AND step = %(step)s
) AS counted (place)
WHERE statement = %(statement)s
GROUP BY place
RETURNING line
"""
WITHDRAW = """
UPDATE gateway_steps AS step SET state = 'done', done_at = %(at)s, error = '已撤回 / withdrawn'
WHERE step.statement = %(statement)s AND step.step IN ('void', 'credit', 'refund') AND (
    step.state = 'stopped'
    OR (step.step = 'refund' AND step.state IN ('waiting', 'started') AND EXISTS (
        SELECT FROM gateway_steps AS rest
        WHERE rest.statement = step.statement AND rest.step = 'credit' AND rest.line = step.credit_note
            AND rest.state = 'stopped'
    ))
)
"""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What finance asks for on an invoice that was sent. `id`: the same request again is the same."""

    statement: str
    id: UUID
    reason: str
    by: str
    amount_minor: int | None = None
    payment: str = ""
    credit_note: str = ""  # of a refund, the provider's id of one that is there


class Pending(NamedTuple):
    """What is asked for and not done: it waits, is under way, or has stopped."""

    step: str
    line: int
    amount_minor: int | None
    payment: str  # of a refund
    note: str  # of a refund, the provider's id of the credit note on which it rests; "": none, or not made yet
    rests_on: int | None  # of a refund, the line of the credit step that comes first; None: none does


def void(connection: psycopg.Connection[Any], journal: Journal, asked: Request, *, at: datetime) -> bool:
    """It is not to be paid. Raises Unknown, Refused where something was paid or credited."""
    with connection.transaction():
        found, _ = _sent(connection, journal, asked)
        if _already(connection, asked):
            return False
        if found.paid_minor - found.refunded_minor or found.credited_minor or _pending(connection, asked.statement):
            raise Refused(
                "已有收款、贷项或在途申请，不能作废 / it cannot be voided: money has moved, or is asked to",
                statement=asked.statement,
            )
        _add(connection, asked, "void", at)
    return True


def credit(connection: psycopg.Connection[Any], journal: Journal, asked: Request, *, at: datetime) -> bool:
    """So much of it is not owed. Raises Unknown, Refused for more than was invoiced."""
    with connection.transaction():
        found, _ = _sent(connection, journal, asked)
        if _already(connection, asked):
            return False
        _within(asked, found.total_minor - found.credited_minor - _sum(_pending(connection, asked.statement), "credit"))
        _add(connection, asked, "credit", at)
    return True


def refund(connection: psycopg.Connection[Any], journal: Journal, asked: Request, *, at: datetime) -> bool:
    """Give back so much of a payment: first what was paid too much; of the rest, on a credit note that is made first.

    Raises Unknown, Refused for more than was paid, or than the note is about, or while a part is still open.
    """
    with connection.transaction():
        found, told = _sent(connection, journal, asked)
        if _already(connection, asked):
            return False
        pending = _pending(connection, asked.statement)
        _within(asked, _of_payment(found, told, asked) - _sum(pending, "refund", payment=asked.payment))
        over = _too_much(found, pending, asked)
        rests_on = None
        if asked.credit_note:
            _within(asked, min(over, _left(pending, told, asked.credit_note)))
        elif over > 0:
            _within(asked, over)
            roomy = (note for note in found.credit_notes if _left(pending, told, note) >= (asked.amount_minor or 0))
            asked = msgspec.structs.replace(asked, credit_note=next(roomy, ""))
        else:
            _within(asked, found.total_minor - found.credited_minor - _sum(pending, "credit"))
            first = msgspec.structs.replace(asked, payment="")
            rests_on = _add(connection, first, "credit", at, named=False)
        _add(connection, asked, "refund", at, rests_on=rests_on)
    return True


def withdraw(connection: psycopg.Connection[Any], asked: Request, *, at: datetime) -> bool:
    """Give up what has stopped, and the refunds that rest on it: it never goes on, and its room is free again.

    What is done stays done. Whether there was something. Raises Unknown, Refused without a reason.
    """
    register.said("理由", "reason", asked.reason)
    with connection.transaction():
        locked(connection, asked.statement)
        return bool(connection.execute(WITHDRAW, {"statement": asked.statement, "at": at}).rowcount)


def _of_payment(found: Invoice, told: Sequence[Any], asked: Request) -> int:
    """What of a payment is here: less what was reversed and given back, with what came back of that."""
    received = {each.payment: each.of for each in told if isinstance(each, PaymentReceived)}
    if of := received.get(asked.payment, ""):
        raise Refused(
            f"该款系退回款，请写原收款 {of} / it came back of {of}: name the payment that it came back to",
            payment=asked.payment,
            of=of,
        )
    back = sum(found.payments.get(ref, 0) for ref, of in received.items() if of and of == asked.payment)
    given = sum(each.amount_minor for each in told if isinstance(each, RefundMade) and each.payment == asked.payment)
    return found.payments.get(asked.payment, 0) + back - given


def _too_much(found: Invoice, pending: Sequence[Pending], asked: Request) -> int:
    """What was paid above what is owed, once all that is asked for is done. Raises Refused where that is not settled.

    A refund that rests on a credit note still to be made changes nothing: both come to the same amount.
    """
    rested = {each.rests_on for each in pending}
    if any(each.step == "credit" and each.line not in rested for each in pending):
        raise Refused(
            "尚有贷项在办或已停，请待其完成或撤回 / a credit note is on its way or has stopped: "
            "ask again when it is there, or withdraw it",
            statement=asked.statement,
        )
    over = -found.outstanding_minor - sum(
        each.amount_minor or 0 for each in pending if each.step == "refund" and each.rests_on is None
    )
    if over < 0:
        raise Refused(
            f"账单尚有 {-over} 分未付，请先开贷项 / {-over} fen are still open: credit that first",
            statement=asked.statement,
            open_minor=-over,
        )
    return over


def _left(pending: Sequence[Pending], told: Sequence[Any], note: str) -> int:
    """What of a credit note no refund rests on yet."""
    noted = sum(each.amount_minor for each in told if isinstance(each, CreditNoteIssued) and each.credit_note == note)
    rested = sum(each.amount_minor for each in told if isinstance(each, RefundMade) and each.credit_note == note)
    return noted - rested - _sum(pending, "refund", note=note)


def _sent(connection: psycopg.Connection[Any], journal: Journal, asked: Request) -> tuple[Invoice, Sequence[Any]]:
    state = locked(connection, asked.statement)
    if state != "sent":
        raise Refused(
            f"账单 {asked.statement} 未发出或已作废 / invoice {asked.statement} is {state}, not sent",
            statement=asked.statement,
            state=state,
        )
    told = [entry.fact for entry in journal.stream(connection, invoice.stream(asked.statement))]
    found = Invoice(asked.statement)
    for each in told:
        found = invoice.evolve(found, each)
    return found, told


def _already(connection: psycopg.Connection[Any], asked: Request) -> bool:
    return connection.execute(ASKED, (asked.id,)).fetchone() is not None


def _pending(connection: psycopg.Connection[Any], number: str) -> list[Pending]:
    return [Pending(*row) for row in connection.execute(PENDING, (number,))]


def _sum(pending: Sequence[Pending], step: str, *, payment: str | None = None, note: str | None = None) -> int:
    """What of it is asked for and not done yet."""
    return sum(
        each.amount_minor or 0
        for each in pending
        if each.step == step and payment in {None, each.payment} and note in {None, each.note}
    )


def _within(asked: Request, most: int) -> None:
    if not asked.amount_minor or not 0 < asked.amount_minor <= most:
        raise Refused(
            f"金额须为 1 至 {max(most, 0)} 分 / the amount must be from 1 to {max(most, 0)} fen",
            amount_minor=asked.amount_minor,
            most_minor=max(most, 0),
        )


def _add(
    connection: psycopg.Connection[Any],
    asked: Request,
    step: str,
    at: datetime,
    *,
    rests_on: int | None = None,
    named: bool = True,
) -> int:
    """One more step; its number among those of its kind."""
    about = {
        "statement": asked.statement,
        "step": step,
        "amount": asked.amount_minor,
        "prefix": key_of(asked.statement, step, 0).removesuffix("0"),
        "payment": asked.payment,
        "credit_note": rests_on,
        "credit_ref": asked.credit_note,
        "reason": register.said("理由", "reason", asked.reason),
        "by": asked.by,
        "request": asked.id if named else None,
        "at": at,
    }
    row = connection.execute(ADD, about).fetchone()
    assert row is not None
    return int(row[0])
