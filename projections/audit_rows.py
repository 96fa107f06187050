"""The audit trail as it lies in the database: looked through by an auditor, streamed for a check or an export, cut.

Streams are read by cursors of the server, so memory is constant. Times are UTC; windows are half-open, [from, to).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg import sql

from projections import audit
from projections.audit import Cut, Found, Row, Stored
from projections.audit_check import Evidence, Head

FETCH = 2_000

# --- looking ---


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What an auditor looks for; "" and None: everything."""

    who: str = ""
    party: str = ""
    action: str = ""  # also the beginning of one, up to a dot: login
    object: str = ""
    result: str = ""
    since: datetime | None = None
    until: datetime | None = None
    after: int | None = None  # entries behind this one, oldest first
    before: int | None = None  # entries before this one, newest first


CONDITIONS: dict[str, sql.SQL] = {
    "who": sql.SQL("who = %(who)s"),
    "party": sql.SQL("party = %(party)s"),
    "action": sql.SQL("(action = %(action)s OR starts_with(action, %(action)s || '.'))"),
    "object": sql.SQL("object = %(object)s"),
    "result": sql.SQL("result = %(result)s"),
    "since": sql.SQL("at >= %(since)s"),
    "until": sql.SQL("at < %(until)s"),
    "after": sql.SQL("n > %(after)s"),
    "before": sql.SQL("n < %(before)s"),
}
LOOK = sql.SQL("""
SELECT n, at, position, who, party, action, object, result, entry, algorithm, hash
FROM audit
WHERE {}
ORDER BY n {}
LIMIT %(limit)s
""")


def look(connection: psycopg.Connection[Any], asked: Asked, limit: int) -> list[Row]:
    """What fits, newest first; oldest first where `after` is given."""
    wanted = {name: value for name in CONDITIONS if (value := getattr(asked, name)) not in {"", None}}
    conditions = sql.SQL(" AND ").join([CONDITIONS[name] for name in wanted] or [sql.SQL("true")])
    order = sql.SQL("ASC" if asked.after is not None else "DESC")
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(LOOK.format(conditions, order), {**wanted, "limit": limit})
        return [_row(row) for row in rows]


def _row(row: Sequence[Any]) -> Row:
    return Row(row[0], Found(*row[1:8]), bytes(row[8]), row[9], bytes(row[10]))


# --- streaming ---

ROWS = """
SELECT n, at, position, who, party, action, object, result, entry, algorithm, hash
FROM audit
WHERE n BETWEEN %s AND %s
ORDER BY n
"""
HEADS = """
SELECT n, hash, at, key_id, signature FROM audit_heads WHERE n > %s ORDER BY n
"""
JOURNAL = """
SELECT notification_id, originator_id, originator_version, fact_id, state
FROM commerce_events
WHERE notification_id > %s AND notification_id <= %s
ORDER BY notification_id
"""
KEYS = """
SELECT key_id, public FROM audit_keys ORDER BY at, key_id
"""
CUT = """
SELECT upto, hash, position, before, at, by FROM audit_cuts ORDER BY upto DESC LIMIT 1
"""
N_MIN, N_MAX = -(2**63), 2**63 - 1


def _stream(connection: psycopg.Connection[Any], name: str, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
    with connection.cursor(name, binary=True) as cursor:
        cursor.itersize = FETCH
        yield from cursor.execute(query.encode(), values)


def rows(connection: psycopg.Connection[Any], first: int = N_MIN, last: int = N_MAX) -> Iterator[Row]:
    """The entries from one number to another, both included; within a transaction."""
    return map(_row, _stream(connection, "audit_rows", ROWS, first, last))


def heads(connection: psycopg.Connection[Any], after: int = 0) -> Iterator[Head]:
    """The signed heads behind an entry, oldest first; within a transaction."""
    found = _stream(connection, "audit_heads", HEADS, after)
    return (Head(row[0], bytes(row[1]), row[2], row[3], bytes(row[4])) for row in found)


def journal(connection: psycopg.Connection[Any], after: int, upto: int) -> Iterator[Stored]:
    """The commerce journal behind a position, up to another; within a transaction."""
    return (Stored(*row) for row in _stream(connection, "audit_journal", JOURNAL, after, upto))


def keys(connection: psycopg.Connection[Any]) -> dict[str, bytes]:
    """The public keys that heads were signed with, oldest first, as the database says."""
    return {key: bytes(public) for key, public in connection.execute(KEYS)}


def last_cut(connection: psycopg.Connection[Any]) -> Cut | None:
    """The last cut, None if the chain is whole from its beginning."""
    row = connection.execute(CUT).fetchone()
    return Cut(row[0], bytes(row[1]).hex(), *row[2:]) if row else None


@contextmanager
def evidence(
    connection: psycopg.Connection[Any], anchors: Iterator[Head] | None, trusted: dict[str, bytes]
) -> Iterator[Evidence]:
    """All that is checked, as it stood at one moment; `trusted` are keys from outside the database."""
    assert connection.autocommit
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        state, cut = audit.state(connection), last_cut(connection)
        told = journal(connection, cut.position if cut else 0, state.position)
        yield Evidence(state, rows(connection), heads(connection), trusted or keys(connection), anchors, told, cut)


# --- heads ---

LAST_HEAD = """
SELECT n, hash, at, key_id, signature FROM audit_heads ORDER BY n DESC LIMIT 1
"""
PUT_HEAD = """
INSERT INTO audit_heads (n, hash, at, key_id, signature) VALUES (%s, %s, %s, %s, %s)
"""
PUT_KEY = """
INSERT INTO audit_keys (key_id, public, at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
HASH = """
SELECT hash FROM audit WHERE n = %s
"""


def last_head(connection: psycopg.Connection[Any]) -> Head | None:
    """The newest signed head; None if there is none yet."""
    row = connection.execute(LAST_HEAD).fetchone()
    return Head(row[0], bytes(row[1]), row[2], row[3], bytes(row[4])) if row else None


def put_head(connection: psycopg.Connection[Any], head: Head, public: bytes) -> None:
    """Keep a head, and the key that signed it."""
    connection.execute(PUT_KEY, (head.key_id, public, head.at))
    connection.execute(PUT_HEAD, head)


def hash_of(connection: psycopg.Connection[Any], n: int) -> bytes | None:
    """The hash of an entry; None if there is none."""
    row = connection.execute(HASH, (n,)).fetchone()
    return bytes(row[0]) if row else None


# --- cutting ---

OLD = """
SELECT h.n, h.hash
FROM audit_heads AS h
WHERE h.n <= %s AND h.n < coalesce((SELECT min(n) FROM audit WHERE at >= %s), %s)
ORDER BY h.n DESC
LIMIT 1
"""
POSITION = """
SELECT max(position) FROM audit WHERE n <= %s
"""


class Old(NamedTuple):
    n: int
    hash: bytes
    position: int


def old(connection: psycopg.Connection[Any], before: datetime, anchored: int) -> Old | None:
    """The last anchored head of which every entry up to it is older than a moment; None if there is none."""
    row = connection.execute(OLD, (anchored, before, N_MAX)).fetchone()
    if row is None or hash_of(connection, row[0]) is None:
        return None
    position = connection.execute(POSITION, (row[0],)).fetchone()
    assert position is not None
    return Old(row[0], bytes(row[1]), position[0] or 0)


def cut_off(connection: psycopg.Connection[Any], cut: Cut, algorithm: str) -> int:
    """Take away what the cut names, and say so in the chain; in the caller's transaction. Returns how many entries."""
    audit.add(connection, cut, algorithm=algorithm)
    values = (cut.upto, bytes.fromhex(cut.hash), cut.position, cut.before, cut.at, cut.by)
    connection.execute(
        "INSERT INTO audit_cuts (upto, hash, position, before, at, by) VALUES (%s,%s,%s,%s,%s,%s)", values
    )
    connection.execute("SET LOCAL kouan.audit_cut = 'on'")
    connection.execute("DELETE FROM audit_heads WHERE n <= %s", (cut.upto,))
    gone = connection.execute("DELETE FROM audit WHERE n <= %s", (cut.upto,)).rowcount
    connection.execute("SET LOCAL kouan.audit_cut = 'off'")
    return gone
