"""What finance asks on an invoice that was sent: void it, credit a part of it, give money back; with a reason.

Asking writes rows; the process `kouan pay` does the rest (billing/outbox.py). What may be credited or given back is
bounded by what the journal says was invoiced and paid, less what is asked for already. A refund rests on a credit note:
on one that is there, or on one that is made first. Times are UTC, money integer minor units (fen).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from billing.invoicing import locked
from billing.outbox import key_of
from domain import invoice, register
from domain.errors import Refused
from domain.invoice import CreditNoteIssued, Invoice, RefundMade
from domain.journal import Journal

ASKED = "SELECT 1 FROM gateway_steps WHERE request = %s"
PENDING = """
SELECT step, payment, credit_ref, credit_note, amount_minor FROM gateway_steps
WHERE statement = %s AND step IN ('void', 'credit', 'refund') AND state IN ('waiting', 'started')
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


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What finance asks for on an invoice that was sent. `id`: the same request again is the same."""

    statement: str
    id: UUID
    reason: str
    by: str
    amount_minor: int | None = None
    payment: str = ""
    credit_note: str = ""  # of a refund, the provider's id of one that is there


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
        _within(asked, found.total_minor - found.credited_minor - _sum(connection, asked.statement, "credit"))
        _add(connection, asked, "credit", at)
    return True


def refund(connection: psycopg.Connection[Any], journal: Journal, asked: Request, *, at: datetime) -> bool:
    """Give back so much of a payment: on a credit note that is there, or on one that is made first.

    What was paid too much needs no new one. Raises Unknown, Refused for more than was paid, or than the note is about.
    """
    with connection.transaction():
        found, told = _sent(connection, journal, asked)
        if _already(connection, asked):
            return False
        number, amount = asked.statement, asked.amount_minor or 0
        waiting = _sum(connection, number, "refund", payment=asked.payment)
        given = sum(
            each.amount_minor for each in told if isinstance(each, RefundMade) and each.payment == asked.payment
        )
        _within(asked, found.payments.get(asked.payment, 0) - given - waiting)
        rests_on = None
        if asked.credit_note:
            _within(asked, _left(connection, asked, told, asked.credit_note))
        elif -found.outstanding_minor - _sum(connection, number, "refund") >= amount:
            roomy = (note for note in found.credit_notes if _left(connection, asked, told, note) >= amount)
            asked = msgspec.structs.replace(asked, credit_note=next(roomy, ""))
        else:
            _within(asked, found.total_minor - found.credited_minor - _sum(connection, number, "credit"))
            first = msgspec.structs.replace(asked, payment="")
            rests_on = _add(connection, first, "credit", at, named=False)
        _add(connection, asked, "refund", at, rests_on=rests_on)
    return True


def _left(connection: psycopg.Connection[Any], asked: Request, told: Sequence[Any], note: str) -> int:
    """What of a credit note no refund rests on yet."""
    noted = sum(each.amount_minor for each in told if isinstance(each, CreditNoteIssued) and each.credit_note == note)
    rested = sum(each.amount_minor for each in told if isinstance(each, RefundMade) and each.credit_note == note)
    return noted - rested - _sum(connection, asked.statement, "refund", credit_ref=note)


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


def _pending(connection: psycopg.Connection[Any], number: str) -> list[tuple[Any, ...]]:
    return connection.execute(PENDING, (number,)).fetchall()


def _sum(
    connection: psycopg.Connection[Any],
    number: str,
    step: str,
    payment: str | None = None,
    credit_ref: str | None = None,
) -> int:
    """What is asked for and not done yet."""
    return sum(
        minor
        for kind, of, rests, _, minor in _pending(connection, number)
        if kind == step and payment in {None, of} and credit_ref in {None, rests}
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
