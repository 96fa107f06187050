"""Instructions by whom they are for and how they stand, so that they are found without their number.

A row tells what the instruction's own facts say; whether a reported fact has fulfilled it is looked up by whoever asks
(domain/instruction.py). Times are UTC.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row

from domain import datasets
from domain.instruction import (
    InstructionCancelled,
    InstructionConfirmed,
    InstructionGiven,
    InstructionRefused,
    Kind,
)
from domain.journal import Entry
from projections.rights import View
from projections.sight import Look

NAME = "instructions"
JOURNAL = "cargo"
TABLES = ("instructions",)
TABLE = """
CREATE TABLE IF NOT EXISTS instructions (
    stream   text COLLATE "C" PRIMARY KEY,   -- instruction:ID
    position bigint NOT NULL,                -- of the fact that gave it
    version  integer NOT NULL,
    kind     text NOT NULL,
    subject  text COLLATE "C" NOT NULL,      -- kind:number
    place    text NOT NULL,
    told     text COLLATE "C" NOT NULL,      -- the account that is to do it
    given_by text COLLATE "C" NOT NULL,
    given_at timestamptz NOT NULL,
    due_at   timestamptz NOT NULL,
    note     text NOT NULL,
    state    text NOT NULL DEFAULT 'open',   -- open, confirmed, refused, cancelled
    ended_at timestamptz,
    ended_by text NOT NULL DEFAULT '',
    reason   text NOT NULL DEFAULT '',
    dataset  text COLLATE "C" NOT NULL       -- domain/datasets.py: in which its subject's parties see it
);
CREATE INDEX IF NOT EXISTS instructions_told ON instructions (told, position DESC);
CREATE INDEX IF NOT EXISTS instructions_due ON instructions (due_at) WHERE state = 'open';
ALTER TABLE instructions ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS sight ON instructions;
CREATE POLICY sight ON instructions FOR SELECT TO kouan_reader USING (
    told = (SELECT current_setting('kouan.account', true))
    OR given_by = (SELECT current_setting('kouan.account', true))
    OR dataset = ANY (ARRAY(SELECT unnest(current_setting('kouan.own')::text[]))) AND EXISTS (
        SELECT FROM party_cargo
        WHERE party_cargo.subject = instructions.subject
          AND party_cargo.party = ANY (ARRAY(SELECT unnest(current_setting('kouan.parties')::text[])))
    )
);
GRANT SELECT ON instructions TO kouan_reader;
"""
GIVEN = """
INSERT INTO instructions (stream, position, version, kind, subject, place, told, given_by, given_at, due_at, note,
                          dataset)
SELECT * FROM unnest(%s::text[], %s::bigint[], %s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                     %s::timestamptz[], %s::timestamptz[], %s::text[], %s::text[])
ON CONFLICT DO NOTHING
"""
ENDED = """
UPDATE instructions
SET version = ended.version, state = ended.state, ended_at = ended.at, ended_by = ended.by, reason = ended.reason
FROM unnest(%s::text[], %s::int[], %s::text[], %s::timestamptz[], %s::text[], %s::text[])
    AS ended (stream, version, state, at, by, reason)
WHERE instructions.stream = ended.stream
"""
_ENDINGS: dict[type, str] = {
    InstructionConfirmed: "confirmed",
    InstructionRefused: "refused",
    InstructionCancelled: "cancelled",
}


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Add a batch of facts."""
    begun: list[tuple[Any, ...]] = []
    ended: dict[str, tuple[Any, ...]] = {}  # an instruction ends once
    for entry in entries:
        told = entry.fact
        kind = type(told)
        if kind is InstructionGiven:
            begun.append((*_given(entry, told), dataset(told.subject)))  # type: ignore[arg-type, attr-defined]
        elif kind in _ENDINGS:
            ended[entry.stream] = _ended(entry, told, _ENDINGS[kind])
    if begun:
        cursor.execute(GIVEN, [list(column) for column in zip(*begun, strict=True)])
    if ended:
        cursor.execute(ENDED, [list(column) for column in zip(*ended.values(), strict=True)])


def _given(entry: Entry, told: InstructionGiven) -> tuple[Any, ...]:
    cargo = (told.kind, told.subject, told.place, told.to, told.by, told.happened_at, told.due_at, told.note)
    return (entry.stream, entry.position, entry.version, *cargo)


def _ended(entry: Entry, told: Any, state: str) -> tuple[Any, ...]:
    reason = told.note if state == "confirmed" else told.reason
    return (entry.stream, entry.version, state, told.happened_at, told.by, reason)


def dataset(subject: str) -> str:
    """The dataset in which a subject's parties see what is asked of it."""
    return datasets.of(subject, "", "")


# --- queries ---


class Row(msgspec.Struct, frozen=True):
    """One instruction, as its own facts tell."""

    stream: str
    position: int
    version: int
    kind: Kind
    subject: str
    place: str
    told: str
    given_by: str
    given_at: datetime
    due_at: datetime
    note: str
    state: str
    ended_at: datetime | None
    ended_by: str
    reason: str


def row(entries: Sequence[Entry]) -> Row:
    """The same for one instruction, from its whole stream."""
    told = entries[0].fact
    assert isinstance(told, InstructionGiven)
    values = (*_given(entries[0], told), "open", None, "", "")
    first = Row(**dict(zip(Row.__struct_fields__, values, strict=True)))
    last = entries[-1]
    if type(last.fact) not in _ENDINGS:
        return first
    _, version, state, at, by, reason = _ended(last, last.fact, _ENDINGS[type(last.fact)])
    changed = {"version": version, "state": state, "ended_at": at, "ended_by": by, "reason": reason}
    return msgspec.structs.replace(first, **changed)


def given(row: Row) -> InstructionGiven:
    """The fact that a row was made of."""
    return InstructionGiven(
        happened_at=row.given_at,
        recorded_at=row.given_at,
        kind=row.kind,
        subject=row.subject,
        due_at=row.due_at,
        to=row.told,
        by=row.given_by,
        place=row.place,
        note=row.note,
    )


class Wanted(msgspec.Struct, frozen=True):
    """Which ones; an empty field means any."""

    to: str = ""
    state: str = ""
    due_before: datetime | None = None  # open ones that were due then
    before: int = 2**63 - 1  # positions: the next page goes on below the last
    limit: int = 100


ACCOUNT = "SELECT set_config('kouan.account', %s, true) AS stream"  # for the second wall
LIST = """
SELECT stream, position, version, kind, subject, place, told, given_by, given_at, due_at, note, state, ended_at,
       ended_by, reason
FROM instructions
WHERE position < %(before)s
  AND (%(all)s OR told = %(account)s OR given_by = %(account)s OR dataset = ANY(%(own)s::text[]) AND EXISTS (
      SELECT FROM party_cargo
      WHERE party_cargo.subject = instructions.subject AND party_cargo.party = ANY(%(parties)s::text[])
  ))
  AND (%(to)s = '' OR told = %(to)s)
  AND (%(state)s = '' OR state = %(state)s)
  AND (%(due_before)s::timestamptz IS NULL OR (state = 'open' AND due_at < %(due_before)s))
ORDER BY position DESC
LIMIT %(limit)s
"""


def instructions(look: Look, account: str, wanted: Wanted) -> list[Row]:
    """Those that are wanted, newest first: given or received by the account, or about its parties' cargo."""
    view = look.view or View()
    seen = {"all": look.sees_all, "account": account, "own": list(view.own), "parties": list(view.parties)}
    with look.connection.cursor(row_factory=class_row(Row)) as cursor:
        cursor.execute(ACCOUNT, (account,))
        return cursor.execute(LIST, msgspec.structs.asdict(wanted) | seen).fetchall()
