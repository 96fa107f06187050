"""What finance asks of the outbox: send the invoices of a month or of one statement, and go on with one that stopped.

Asking writes rows, and nothing leaves before they are there; the process `kouan pay` does the rest (billing/outbox.py).
Times are UTC, due days those of Asia/Shanghai, money integer minor units (fen).
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row

from billing.ordering import NothingToCollect
from billing.outbox import key_of
from billing.sending import CHAIN
from domain import period
from domain.errors import Refused, Unknown

LISTED_MAX = 1_000
EMAIL_CHARS_MAX = 254

ASK = """
INSERT INTO gateway_invoices (statement, payable_minor, provider, due_on, asked_by, asked_at, next_at)
SELECT statement, payable_minor, %(provider)s, %(due_on)s, %(by)s, %(at)s, %(at)s
FROM issued_statements
WHERE payable_minor > 0 AND (statement = %(statement)s OR period = %(month)s)
ON CONFLICT (statement) DO NOTHING
"""
PAYABLE = """
SELECT count(*), count(*) FILTER (WHERE payable_minor > 0) FROM issued_statements
WHERE statement = %(statement)s OR period = %(month)s
"""
LISTED = """
SELECT going.statement, issued.period, issued.holder, issued.is_party, going.provider, going.state,
    coalesce(at_work.step, '') AS step, coalesce(at_work.attempts, 0) AS attempts, at_work.next_at,
    coalesce(at_work.state, '') AS step_state, coalesce(nullif(going.error, ''), at_work.error, '') AS error,
    going.payable_minor, issued.currency,
    going.invoice, going.number, going.url, going.due_on, going.asked_by, going.asked_at, going.sent_at
FROM gateway_invoices AS going
JOIN issued_statements AS issued USING (statement)
LEFT JOIN LATERAL (
    SELECT step, state, attempts, next_at, error FROM gateway_steps
    WHERE gateway_steps.statement = going.statement AND state <> 'done'
    ORDER BY error = '', no LIMIT 1
) AS at_work ON true
WHERE (%(state)s::text IS NULL OR going.state = %(state)s)
    AND (%(month)s::text IS NULL OR issued.period = %(month)s)
    AND (%(statement)s::text IS NULL OR going.statement = %(statement)s)
    AND (NOT %(troubled)s OR going.error <> '' OR at_work.error <> '')
    AND going.statement > %(after)s
ORDER BY going.statement
LIMIT %(limit)s
"""
SUMS = """
SELECT issued.period, count(*) FILTER (WHERE issued.payable_minor > 0) AS payable,
    coalesce(sum(issued.payable_minor), 0)::bigint AS payable_minor,
    count(*) FILTER (WHERE going.state = 'waiting') AS waiting, count(*) FILTER (WHERE going.state = 'sent') AS sent,
    count(*) FILTER (WHERE going.state = 'stopped') AS stopped,
    count(*) FILTER (WHERE going.state = 'voided') AS voided,
    count(*) FILTER (WHERE going.error <> '' OR EXISTS (
        SELECT FROM gateway_steps AS step
        WHERE step.statement = going.statement AND step.state <> 'done' AND step.error <> ''
    )) AS troubled,
    coalesce((array_agg(going.asked_by ORDER BY going.asked_at DESC NULLS LAST))[1], '') AS asked_by,
    max(going.asked_at) AS asked_at, max(going.sent_at) AS sent_at
FROM issued_statements AS issued
LEFT JOIN gateway_invoices AS going USING (statement)
WHERE issued.period = ANY(%s)
GROUP BY issued.period
"""
STEPS = """
SELECT no, step, line, amount_minor, key, payment, reason, asked_by, state, ref, attempts, started_at, done_at, next_at,
    error
FROM gateway_steps WHERE statement = %s ORDER BY no
"""
GO_ON = """
UPDATE gateway_invoices SET state = 'waiting', error = '', next_at = %s WHERE statement = %s AND state = 'stopped'
RETURNING invoice
"""
GO_ON_STEPS = """
UPDATE gateway_steps SET state = 'started', next_at = %s
WHERE statement = %s AND (state = 'stopped' OR (state = 'started' AND attempts > 0))
"""
MOVE_DUE = """
UPDATE gateway_invoices
SET asked_at = %(at)s, due_on = (%(at)s::timestamptz AT TIME ZONE 'Asia/Shanghai')::date
    + (due_on - (asked_at AT TIME ZONE 'Asia/Shanghai')::date)
WHERE statement = %(statement)s
"""
OTHER_KEY = """
UPDATE gateway_steps SET key = key || ':' || attempts WHERE statement = %s AND step = 'draft' AND attempts > 0
"""
ANEW = """
UPDATE gateway_invoices
SET state = 'waiting', error = '', invoice = '', number = '', url = '', adopted = false, round = round + 1,
    sent_at = NULL, next_at = %s
WHERE statement = %s AND planned
RETURNING round
"""
CHAIN_STEPS = "SELECT no, step, line FROM gateway_steps WHERE statement = %s AND step = ANY(%s) ORDER BY no"
STEP_ANEW = """
UPDATE gateway_steps
SET state = 'waiting', key = %s, ref = '', attempts = 0, next_at = %s, started_at = NULL, done_at = NULL, error = ''
WHERE statement = %s AND no = %s
"""
LOCK = "SELECT state FROM gateway_invoices WHERE statement = %s FOR UPDATE"
ENTER_EMAIL = """
INSERT INTO gateway_customers (provider, holder, is_party, email)
SELECT %(provider)s, %(holder)s, %(is_party)s, %(email)s
WHERE EXISTS (SELECT FROM issued_statements WHERE holder = %(holder)s AND is_party = %(is_party)s)
ON CONFLICT (provider, holder, is_party) DO UPDATE SET email = excluded.email
"""


class Asked(msgspec.Struct, frozen=True):
    """What became of asking for invoices."""

    statements: int  # that there are
    payable: int  # of them, with something to pay
    new: int  # of them, not asked for before


class Going(msgspec.Struct, frozen=True):
    """An invoice on its way, or where it came to. `step`: at which it works or has stopped; "": all are done."""

    statement: str
    period: str
    holder: str
    is_party: bool
    provider: str
    state: str  # waiting, sent, stopped, voided
    step: str
    attempts: int
    next_at: datetime | None
    step_state: str  # waiting, started, stopped; "": all are done
    error: str
    payable_minor: int
    currency: str
    invoice: str  # the provider's id
    number: str
    url: str
    due_on: date
    asked_by: str
    asked_at: datetime
    sent_at: datetime | None


class StepShown(msgspec.Struct, frozen=True):
    no: int
    step: str
    line: int
    amount_minor: int | None
    key: str
    payment: str
    reason: str
    asked_by: str
    state: str  # waiting, started, done, stopped
    ref: str
    attempts: int
    started_at: datetime | None
    done_at: datetime | None
    next_at: datetime
    error: str


# --- sending ---


def ask(
    connection: psycopg.Connection[Any],
    provider: str,
    *,
    due_days: int,
    by: str,
    at: datetime,
    statement: str = "",
    month: str = "",
) -> Asked:
    """Have the invoice of one statement, or of a month, sent. Raises Unknown, or NothingToCollect for a zero one."""
    due_on = (at.astimezone(period.ZONE) + timedelta(days=due_days)).date()
    about = {"statement": statement, "month": month, "provider": provider, "due_on": due_on, "by": by, "at": at}
    row = connection.execute(PAYABLE, about).fetchone()
    count, payable = row or (0, 0)
    if statement and not count:
        raise unknown(statement)
    if statement and not payable:
        raise NothingToCollect(
            f"账单 {statement} 无应付金额 / statement {statement} has nothing to pay", statement=statement
        )
    return Asked(count, payable, connection.execute(ASK, about).rowcount)


def enter_email(connection: psycopg.Connection[Any], provider: str, holder: str, *, is_party: bool, email: str) -> None:
    """Where a holder wants its invoices. Raises Unknown for one without a statement, Refused for what is no address."""
    name, _, domain = email.partition("@")
    sound = name and "." in domain and email.isascii() and email.isprintable() and not set(email) & set(" ,;<>\"'\\()")
    if not sound or len(email) > EMAIL_CHARS_MAX or "@" in domain:
        raise Refused(f"{email[:80]!r} 不是邮箱地址 / {email[:80]!r} is no e-mail address", field="email")
    about = {"provider": provider, "holder": holder, "is_party": is_party, "email": email}
    if not holder.isprintable() or not connection.execute(ENTER_EMAIL, about).rowcount:
        raise Unknown(f"没有 {holder[:40]} 的账单 / there is no statement of {holder[:40]}", holder=holder[:40])


# --- looking ---


class Sums(msgspec.Struct, frozen=True):
    """The invoices of a month, counted."""

    period: str
    payable: int = 0  # statements with something to pay
    payable_minor: int = 0
    waiting: int = 0
    sent: int = 0
    stopped: int = 0
    voided: int = 0
    troubled: int = 0  # something of them stopped, or failed and is tried again
    asked_by: str = ""  # who asked last
    asked_at: datetime | None = None
    sent_at: datetime | None = None  # the last one

    @property
    def asked(self) -> int:
        return self.waiting + self.sent + self.stopped + self.voided


def sums(connection: psycopg.Connection[Any], months: Sequence[str]) -> dict[str, Sums]:
    """Of each of these months, in which nothing was issued too."""
    with connection.cursor(row_factory=class_row(Sums)) as cursor:
        found = {each.period: each for each in cursor.execute(SUMS, (list(months),))}
    return {month: found.get(month, Sums(month)) for month in months}


def listed(
    connection: psycopg.Connection[Any],
    *,
    state: str | None = None,
    month: str | None = None,
    statement: str | None = None,
    troubled: bool = False,
    after: str = "",
    limit: int = LISTED_MAX,
) -> list[Going]:
    """Invoices by number, those behind `after`. `troubled`: something of them stopped, or failed and waits."""
    about: dict[str, object] = {"state": state, "month": month, "statement": statement, "troubled": troubled}
    about |= {"after": after, "limit": limit}
    with connection.cursor(row_factory=class_row(Going)) as cursor:
        return cursor.execute(LISTED, about).fetchall()


def one(connection: psycopg.Connection[Any], number: str) -> tuple[Going, list[StepShown]]:
    """An invoice and its steps in order. Raises Unknown."""
    found = listed(connection, statement=number)
    if not found:
        raise unknown(number)
    with connection.cursor(row_factory=class_row(StepShown)) as cursor:
        return found[0], cursor.execute(STEPS, (number,)).fetchall()


def unknown(number: str) -> Unknown:
    return Unknown(f"没有账单 {number[:40]} / there is no invoice of {number[:40]}", statement=number[:40])


# --- going on ---


def resume(connection: psycopg.Connection[Any], number: str, *, at: datetime) -> bool:
    """A person has looked: what stopped or waits is tried again now. Whether there was something. Raises Unknown."""
    with connection.transaction():
        locked(connection, number)
        stopped = _go_on(connection, number, at)
        return bool(connection.execute(GO_ON_STEPS, (at, number)).rowcount or stopped)


def again(connection: psycopg.Connection[Any], number: str, *, at: datetime) -> bool:
    """Make another invoice for one that is void; what stands at the provider is taken up instead. Whether it begins.

    Raises Unknown, and Refused for one that is neither void nor stopped.
    """
    with connection.transaction():
        state = locked(connection, number)
        if state == "waiting":
            return False
        if state == "sent":
            raise Refused(f"账单 {number} 已发出 / invoice {number} is sent and stands", statement=number)
        row = connection.execute(ANEW, (at, number)).fetchone()
        if row is None:  # it stopped before its steps were planned
            return _go_on(connection, number, at)
        _move_due(connection, number, at)
        for no, step, line in connection.execute(CHAIN_STEPS, (number, list(CHAIN))).fetchall():
            connection.execute(STEP_ANEW, (key_of(number, step, line, row[0]), at, number, no))
    return True


def _go_on(connection: psycopg.Connection[Any], number: str, at: datetime) -> bool:
    """Whether the invoice had stopped. Of one that the provider has not got yet the due day moves."""
    row = connection.execute(GO_ON, (at, number)).fetchone()
    if row == ("",):
        _move_due(connection, number, at)
        connection.execute(OTHER_KEY, (number,))  # a provider takes a key with the same content only
    return row is not None


def _move_due(connection: psycopg.Connection[Any], number: str, at: datetime) -> None:
    """So many days to pay as before, from now: a due day that is past is refused, and who pays late needs them too."""
    connection.execute(MOVE_DUE, {"at": at, "statement": number})


def locked(connection: psycopg.Connection[Any], number: str) -> str:
    """The state of the invoice, ours until the transaction ends. Raises Unknown."""
    row = connection.execute(LOCK, (number,)).fetchone()
    if row is None:
        raise unknown(number)
    return str(row[0])
