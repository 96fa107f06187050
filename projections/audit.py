"""The audit trail: every fact of the commerce journal (deliveries, acts and refusals, the register, prices) in a chain.

An entry's hash covers the hash before it, its number and its bytes, so nothing can be changed, taken out or moved
without everything behind it being false. It is sealed from the journal in its order and from the journal alone: what
was not sealed before a crash is sealed afterwards to the same bytes. The few entries about the chain itself (its
beginning, a restore, a cut) have no position. How it is checked: projections/audit_check.py. Times are UTC.
"""

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
import psycopg

Algorithm = Literal["sha256", "sm3"]
BATCH = 5_000
FINDING_CHARS_MAX = 200  # of a column for finding
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # of what cannot be read and so tells no time


class State(NamedTuple):
    """How far the chain has come; `hash` is that of entry `n`."""

    node: str
    n: int
    hash: bytes
    position: int


class Stored(NamedTuple):
    """A row of the commerce journal as it lies there."""

    position: int
    stream: str
    version: int
    fact_id: UUID
    state: bytes


class Found(NamedTuple):
    """The columns by which an entry is found."""

    at: datetime
    position: int | None
    who: str
    party: str
    action: str
    object: str
    result: str


class Row(NamedTuple):
    """An entry with its place in the chain."""

    n: int
    found: Found
    entry: bytes
    algorithm: str
    hash: bytes


# --- entries ---


def digest(algorithm: str, before: bytes, n: int, entry: bytes) -> bytes:
    """The hash of an entry. Raises ValueError for an algorithm that this machine has not got."""
    return hashlib.new(algorithm, before + n.to_bytes(8, "big") + entry, usedforsecurity=True).digest()


def written(row: Stored) -> bytes:
    """A row of the journal as an entry: its fact verbatim, or its bytes in base 64 where they are no JSON."""
    fact = b'"fact":' + row.state if _is_json(row.state) else b'"bytes":"' + b64encode(row.state) + b'"'
    stream = msgspec.json.encode(row.stream)
    return b'{"position":%d,"stream":%b,"version":%d,"fact_id":"%b",%b}' % (
        row.position,
        stream,
        row.version,
        str(row.fact_id).encode(),
        fact,
    )


class Genesis(msgspec.Struct, frozen=True, tag_field="chain", tag="genesis"):
    """The first entry: whose chain this is."""

    node: str
    at: datetime


class Resumed(msgspec.Struct, frozen=True, tag_field="chain", tag="resumed"):
    """The database was restored to an earlier point: these entries were sealed and anchored, and are gone."""

    lost_from: int
    lost_to: int
    hash: str  # hex, of the last of them
    at: datetime
    by: str
    reason: str = ""


class Cut(msgspec.Struct, frozen=True, tag_field="chain", tag="cut"):
    """Everything up to here was old enough, and is gone."""

    upto: int
    hash: str  # hex, of the last entry that is gone
    position: int  # of that entry, or of the last one before it that has one
    before: datetime
    at: datetime
    by: str


Own = Genesis | Resumed | Cut


def own(entry: bytes) -> Own | None:
    """An entry about the chain itself; None for one of the journal. Raises msgspec.MsgspecError for neither."""
    return _own.decode(entry) if entry.startswith(b'{"chain":') else None


class _Fact(msgspec.Struct, frozen=True, gc=False):
    """As much of any fact as the trail can be searched by."""

    fact: str = ""
    recorded_at: datetime = EPOCH
    account: str = ""
    by: str = ""
    party: str = ""
    action: str = ""
    object: str = ""
    subject: str = ""
    result: str = "ok"


class _Entry(msgspec.Struct, frozen=True, gc=False):
    position: int
    stream: str
    fact: msgspec.Raw = msgspec.Raw(b"null")


_entry, _fact, _own = msgspec.json.Decoder(_Entry), msgspec.json.Decoder(_Fact), msgspec.json.Decoder(Own)


def _is_json(state: bytes) -> bool:
    """Whether it is one JSON object in UTF-8 with nothing round it."""
    try:
        str(state, "utf-8")  # what msgspec passes over it does not check
        _nothing.decode(state)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return state[:1] == b"{" and state[-1:] == b"}"


class _Nothing(msgspec.Struct):
    """Any object."""


_nothing = msgspec.json.Decoder(_Nothing)


def found(entry: bytes) -> Found:
    """The columns of an entry, told from its bytes alone. Raises msgspec.MsgspecError for what is no entry."""
    about = own(entry)
    if about is not None:
        by = "" if isinstance(about, Genesis) else about.by
        action = f"chain.{about.__struct_config__.tag}"
        return Found(about.at, None, _cut(by), "", action, "audit", "ok")
    plain = _entry.decode(entry)
    return _found(plain.position, plain.stream, bytes(plain.fact))


def _found(position: int, stream: str, state: bytes) -> Found:
    try:
        told = _fact.decode(state)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Found(EPOCH, position, "", "", "unreadable", _cut(stream), "error")
    thing = told.object or told.subject or stream
    return Found(
        told.recorded_at,
        position,
        _cut(told.account or told.by),
        _cut(told.party),
        _cut(told.action or told.fact),
        _cut(thing),
        _cut(told.result),
    )


def _cut(text: str) -> str:
    r"""As a column of PostgreSQL takes it: no NUL, and short enough for an index.

    >>> _cut("a\x00b")
    'a\\0b'
    """
    return (text if "\x00" not in text else text.replace("\x00", "\\0"))[:FINDING_CHARS_MAX]


# --- sealing ---

STATE = """
SELECT node, n, hash, position FROM audit_state
"""
JOURNAL = """
SELECT notification_id, originator_id, originator_version, fact_id, state
FROM commerce_events
WHERE notification_id > %s
ORDER BY notification_id
LIMIT %s
"""
COPY = """
COPY audit (n, at, position, who, party, action, object, result, entry, algorithm, hash) FROM STDIN (FORMAT BINARY)
"""
TYPES = ["int8", "timestamptz", "int8", "text", "text", "text", "text", "text", "bytea", "text", "bytea"]
MOVE = """
UPDATE audit_state SET node = %s, n = %s, hash = %s, position = %s
"""


def state(connection: psycopg.Connection[Any], *, lock: bool = False) -> State:
    """How far the chain has come; locked until the end of the transaction, nobody else can seal."""
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(STATE + ("FOR UPDATE" if lock else "")).fetchone()
    assert row is not None
    return State(row[0], row[1], bytes(row[2]), row[3])


def seal(
    connection: psycopg.Connection[Any], *, node: str = "kouan", algorithm: Algorithm = "sha256", limit: int = BATCH
) -> int:
    """Seal what the journal says since; rows and state are one transaction. Returns how many facts; 0: all are."""
    with connection.transaction(), connection.cursor(binary=True) as cursor:
        at = state(connection, lock=True)
        stored = [Stored(*row) for row in cursor.execute(JOURNAL, (at.position, limit), prepare=True)]
        if not stored:
            return 0
        first = found(written(stored[0])).at
        entries = [] if at.n else [msgspec.json.encode(Genesis(node, first))]
        entries += map(written, stored)
        reached = at._replace(node=at.node or node, position=stored[-1].position)
        put(cursor, reached, list(chained(entries, at.n, at.hash, algorithm)))
    return len(stored)


def chained(entries: Sequence[bytes], n: int, before: bytes, algorithm: str) -> Iterator[Row]:
    """Entries linked to the one before them, which had this number and this hash."""
    for number, entry in enumerate(entries, n + 1):
        before = digest(algorithm, before, number, entry)
        yield Row(number, found(entry), entry, algorithm, before)


def put(cursor: psycopg.Cursor[Any], at: State, rows: Sequence[Row]) -> None:
    """Write rows and move the state behind the last of them."""
    with cursor.copy(COPY) as copy:
        copy.set_types(TYPES)
        for row in rows:
            copy.write_row((row.n, *row.found, row.entry, row.algorithm, row.hash))
    cursor.execute(MOVE, (at.node, rows[-1].n, rows[-1].hash, at.position))


def add(connection: psycopg.Connection[Any], entry: Own, *, n: int = 0, algorithm: str = "sha256") -> int:
    """Seal an entry about the chain itself, in the caller's transaction; `n`: leave a gap before it. Its number."""
    at = state(connection, lock=True)
    rows = list(chained([msgspec.json.encode(entry)], max(at.n, n - 1), at.hash, algorithm))
    with connection.cursor() as cursor:
        put(cursor, at, rows)
    return rows[-1].n
