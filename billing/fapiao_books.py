"""Where each statement stands with its fapiao: asked for, issued, taken back, and what differs.

Read from the journal's streams, so what was just decided is there. Money is integer minor units (fen).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import reduce
from typing import Any

import msgspec
import psycopg

from billing import drafting, fapiao
from billing.fapiao import Request
from domain import fact, statement
from domain.errors import Unknown
from domain.fapiao import (
    Blue,
    Fapiao,
    FapiaoReddened,
    FapiaoRequested,
    ItemClassified,
    Kind,
    NoFapiao,
    Title,
    evolve,
    stream,
)
from domain.statement import Statement

Connection = psycopg.Connection[Any]
STREAMS = """
SELECT originator_id, state FROM commerce_events WHERE originator_id = ANY(%s) ORDER BY notification_id
"""
ITEMS = """
SELECT DISTINCT ON (originator_id) state FROM commerce_events
WHERE originator_id >= 'fapiao_item:' AND originator_id < 'fapiao_item;'
ORDER BY originator_id, originator_version DESC
"""
PAYABLE = """
SELECT statement, period, holder, is_party, payable_minor FROM issued_statements
WHERE payable_minor > 0 AND (%(month)s::text IS NULL OR period = %(month)s)
  AND (%(statement)s::text IS NULL OR statement = %(statement)s)
  AND (%(holder)s::text IS NULL OR (holder = %(holder)s AND is_party = %(is_party)s))
ORDER BY statement
"""
CREDITED = """
SELECT originator_id, sum((convert_from(state, 'UTF8')::json->>'amount_minor')::bigint)::bigint
FROM commerce_events WHERE originator_id = ANY(%s) AND topic = 'credit_note.issued'
GROUP BY originator_id
"""
ELSEWHERE = "SELECT statement FROM fapiao_issued WHERE number = %s"


class BlueShown(msgspec.Struct, frozen=True):
    number: str
    kind: Kind
    total_minor: int
    left_minor: int
    issued_on: date
    by: str  # who recorded it
    recorded_at: datetime


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A statement's fapiao. difference = issued (blue less red) - owed (payable less credit notes)."""

    statement: str
    period: str
    holder: str
    is_party: bool
    payable_minor: int
    credited_minor: int
    issued_minor: int
    difference_minor: int
    state: str  # missing, requested, issued, different
    waiting: FapiaoRequested | None  # asked for and not answered
    blue: list[BlueShown]
    red: list[FapiaoReddened]


def classes(connection: Connection) -> dict[str, ItemClassified]:
    """How service items stand on fapiao, by their codes."""
    told = [fact.decode(state) for (state,) in connection.execute(ITEMS)]
    return {each.item: each for each in told if isinstance(each, ItemClassified)}


def states(connection: Connection, numbers: Iterable[str]) -> dict[str, Fapiao]:
    """The state of each of these statements."""
    told: dict[str, list[fact.Fact]] = {number: [] for number in numbers}
    for name, state in connection.execute(STREAMS, ([stream(number) for number in told],)):
        told[name.partition(":")[2]].append(fact.decode(state))
    return {number: reduce(evolve, facts, Fapiao(number)) for number, facts in told.items()}


def listed(
    connection: Connection,
    *,
    month: str | None = None,
    number: str | None = None,
    holder: str | None = None,
    is_party: bool = False,
) -> list[Shown]:
    """Statements that have to be paid, with their fapiao: of a month, one, or one holder's."""
    asked = {"month": month, "statement": number, "holder": holder, "is_party": is_party}
    rows = connection.execute(PAYABLE, asked).fetchall()
    numbers = [row[0] for row in rows]
    found, less = states(connection, numbers), credited(connection, numbers)
    return [_shown(row, found[row[0]], less.get(row[0], 0)) for row in rows]


def credited(connection: Connection, numbers: Iterable[str]) -> dict[str, int]:
    """What credit notes have taken from the invoices of these statements; none: not named."""
    found = connection.execute(CREDITED, ([f"invoice:{number}" for number in numbers],))
    return {name.partition(":")[2]: minor for name, minor in found}


def _shown(row: tuple[Any, ...], found: Fapiao, credited_minor: int) -> Shown:
    number, period, holder, is_party, payable = row
    difference = found.total_minor - (payable - credited_minor)
    state = ("different" if difference else "issued") if found.blue else "requested" if found.waiting else "missing"
    return Shown(
        statement=number,
        period=period,
        holder=holder,
        is_party=is_party,
        payable_minor=payable,
        credited_minor=credited_minor,
        issued_minor=found.total_minor,
        difference_minor=difference if found.blue else 0,
        state=state,
        waiting=found.waiting,
        blue=[_blue(each) for each in found.blue.values()],
        red=list(found.red.values()),
    )


def _blue(found: Blue) -> BlueShown:
    told = found.recorded
    return BlueShown(
        told.number, told.kind, told.total_minor, found.left_minor, told.issued_on, told.by, told.recorded_at
    )


def one(connection: Connection, number: str, *, holder: str | None = None, is_party: bool = False) -> Shown:
    """A statement's, of anybody's or of one holder's. Raises Unknown."""
    for each in listed(connection, number=number, holder=holder, is_party=is_party):
        return each
    raise Unknown(
        f"没有须开票的账单 {number[:40]} / there is no statement {number[:40]} that needs a fapiao",
        statement=number[:40],
    )


def notes_left(found: Shown, credit_notes: Mapping[str, int]) -> dict[str, int]:
    """Of each credit note of the invoice, what no red fapiao names yet; without those of which nothing is left."""
    taken: Counter[str] = Counter()
    for each in found.red:
        taken[each.credit_note] -= each.total_minor
    return {note: minor - taken[note] for note, minor in credit_notes.items() if minor > taken[note]}


def elsewhere(connection: Connection, fapiao_number: str, number: str) -> str:
    """Another statement with which this fapiao number is recorded; "": none."""
    row = connection.execute(ELSEWHERE, (fapiao_number,)).fetchone()
    return row[0] if row and row[0] != number else ""


def buyer_of(document: Statement) -> Title:
    """The title of a holder that is a party: its name and code, as of the statement. Raises NoFapiao for an account."""
    if not document.holder.is_party:
        raise NoFapiao(
            f"账户 {document.holder.code} 未登记单位，须告知抬头"
            f" / account {document.holder.code} belongs to no party: say the buyer's title",
            holder=document.holder.code,
        )
    return Title(name=document.holder.zh, tax_id=document.holder.code)


def prepared(connection: Connection, number: str, *, serial: str, kind: Kind, buyer: Title) -> Request:
    """The request of a statement that was issued. Raises Unknown, NoFapiao."""
    raw = drafting.stored(connection, number)
    return fapiao.prepare(
        statement.read(raw),
        statement.digest(raw),
        serial=serial,
        kind=kind,
        buyer=buyer,
        classes=classes(connection),
        credited_minor=credited(connection, [number]).get(number, 0),
    )


def requests(connection: Connection, *, month: str | None = None, number: str | None = None) -> list[Request]:
    """What was asked for and not answered yet: of a month, or of one statement."""
    found = listed(connection, month=month, number=number)
    waiting = [each.waiting for each in found if each.waiting and each.payable_minor > each.credited_minor]
    return [
        prepared(connection, each.statement, serial=each.serial, kind=each.kind, buyer=each.buyer) for each in waiting
    ]


def document(connection: Connection, number: str) -> Statement:
    """The statement itself. Raises Unknown."""
    return statement.read(drafting.stored(connection, number))
