"""The quarantine: what could not be understood, kept with its bytes until someone mends or dismisses it.

A quarantined message is a slice of a transmission (cargo_messages) with its fault and its state (cargo_quarantine).
Mending it writes another message, of the same source, and leaves this one as it came. A cancellation that waits for
its original has been taken like any message; dismissed, or mended as another one, it is quarantined again and strikes
nothing. `keep`, `mended`, `states` and `settle` run inside the writer's transaction (domain/intake.py), the rest on a
connection of its own. Times are UTC; offsets are bytes.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import class_row

from domain.errors import Refused
from domain.fact import digest_id
from domain.intent import Intent, Message, Outcome, Transmission
from domain.journal import LOCKS
from domain.report import Fault

State = Literal["open", "waiting", "mended", "dismissed"]
UNRESOLVED: tuple[State, ...] = ("open", "waiting")

KEEP = """
INSERT INTO cargo_quarantine
    (message_id, source, format, code, detail, byte_offset, path, first_seen, last_seen, attempts)
SELECT *
FROM unnest(
    %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[], %s::timestamptz[],
    %s::timestamptz[], %s::int[]
)
ON CONFLICT (message_id) DO UPDATE
SET last_seen = excluded.last_seen,
    attempts = cargo_quarantine.attempts  -- seen at the same instant: this attempt, whose reply was lost
        + CASE WHEN cargo_quarantine.last_seen = excluded.last_seen THEN 0 ELSE excluded.attempts END
"""
MENDED = """
SELECT q.message_id, q.replayed_as, m.fact_ids
FROM cargo_quarantine AS q JOIN cargo_messages AS m ON m.message_id = q.replayed_as
WHERE q.message_id = ANY(%s) AND q.state = 'mended'
"""
STATES = "SELECT message_id, state FROM cargo_quarantine WHERE message_id = ANY(%s) FOR UPDATE"
MEND = """
UPDATE cargo_quarantine
SET state = 'mended', replayed_as = %s, reason = %s, resolved_by = %s, resolved_at = %s
WHERE message_id = %s AND state IN ('open', 'waiting')
"""
WAIT = "UPDATE cargo_quarantine SET state = 'waiting' WHERE message_id = ANY(%s) AND state = 'open'"
ARRIVED = """
UPDATE cargo_quarantine
SET state = 'mended', replayed_as = message_id, reason = '原报文已到 / the original has come', resolved_at = %s
WHERE message_id = ANY(%s) AND state = 'waiting'
"""
STILL = """
UPDATE cargo_quarantine
SET code = %(code)s, detail = %(detail)s, byte_offset = %(offset)s, path = %(path)s, fault_in = %(fault_in)s,
    attempts = attempts + (NOT %(again)s OR fault_in IS DISTINCT FROM %(fault_in)s)::int
WHERE message_id = %(message_id)s AND state IN ('open', 'waiting')
"""
VOID = "UPDATE cargo_messages SET status = 'quarantined' WHERE message_id = %s"
DISMISS = """
UPDATE cargo_quarantine
SET state = 'dismissed', reason = %s, resolved_by = %s, resolved_at = %s
WHERE message_id = %s AND state IN ('open', 'waiting')
"""


class AlreadyResolved(Refused):
    """Somebody mended or dismissed it before."""

    slug = "already-resolved"
    title = "The message is not open any more"


# --- under the writer's lock ---


def key(message: Message) -> UUID:
    """The id of a message that cannot be taken, of its reference and content: it may come again, mended."""
    return digest_id("quarantine", str(message.message_id), message.digest.hex())


def keep(cursor: psycopg.Cursor[Any], faulty: Sequence[tuple[Message, UUID, Fault]]) -> None:
    """Put messages on the desk under these ids, in one statement; one that is there, or comes twice, is counted."""
    rows: dict[UUID, tuple[Any, ...]] = {}
    for message, message_id, fault in faulty:
        came, at = message.transmission, message.transmission.received_at
        where = (fault.code, fault.detail, fault.offset, fault.path)
        before = rows.get(message_id, (message_id, came.source, came.format, *where, at, at, 0))
        rows[message_id] = (*before[:-2], at, before[-1] + 1)
    if rows:
        cursor.execute(KEEP, [list(column) for column in zip(*rows.values(), strict=True)])


def unknown_document(message: Message) -> Fault:
    """A cancellation that came first; it waits."""
    source, document = message.transmission.source, message.document or "(none)"
    detail = (
        f"{source} 尚未报过单证 {document}，等待原报文 / {source} has not sent document {document}; this waits for it"
    )
    return Fault("document.unknown", detail, message.start)


def wait(cursor: psycopg.Cursor[Any], cancellations: Collection[Message]) -> None:
    """Show cancellations that wait for their originals on the desk."""
    if cancellations:
        keep(cursor, [(message, message.message_id, unknown_document(message)) for message in cancellations])
        cursor.execute(WAIT, ([message.message_id for message in cancellations],))


def arrived(cursor: psycopg.Cursor[Any], ids: Sequence[UUID], at: datetime) -> None:
    """The originals of these cancellations are there."""
    cursor.execute(ARRIVED, (at, list(ids)))


def mended(cursor: psycopg.Cursor[Any], ids: Sequence[UUID]) -> dict[UUID, tuple[UUID, list[UUID]]]:
    """Of these quarantined messages those that were mended: what was recorded for them, and its facts."""
    return {row[0]: (row[1], row[2]) for row in cursor.execute(MENDED, (list(ids),))}


def states(cursor: psycopg.Cursor[Any], ids: Sequence[UUID]) -> dict[UUID, State]:
    """How they stand; nobody else resolves them until the transaction ends."""
    return dict(cursor.execute(STATES, (list(ids),)).fetchall())


def settle(cursor: psycopg.Cursor[Any], replayed: Sequence[tuple[Intent, Outcome]], *, again: bool) -> None:
    """What the replays of a batch did: a message is mended if all that was read for it could be taken.

    A cancellation that waits for its original was taken, under its own id.
    """
    by_message: dict[UUID, list[tuple[Intent, Outcome]]] = {}
    for intent, outcome in replayed:
        if intent.mending and outcome.status != "stale":
            by_message.setdefault(intent.mending.message_id, []).append((intent, outcome))
    for message_id, pairs in by_message.items():
        fault = next(
            ((intent, told.fault) for intent, told in pairs if told.fault and told.message_id == message_id), None
        )
        if fault is None:
            _mend(cursor, message_id, pairs)
        else:
            _still(cursor, message_id, *fault, again=again)


def _mend(cursor: psycopg.Cursor[Any], message_id: UUID, pairs: list[tuple[Intent, Outcome]]) -> None:
    ranks = ("recorded", "confirmed", "duplicate", "quarantined")  # the last: it waits
    intent, outcome = min(pairs, key=lambda pair: ranks.index(pair[1].status))
    assert intent.mending is not None
    assert intent.message is not None
    by, at = intent.mending.by, intent.message.transmission.received_at
    cursor.execute(MEND, (outcome.message_id, intent.mending.reason or None, by, at, message_id))
    if cursor.rowcount and outcome.message_id != message_id:
        cursor.execute(VOID, (message_id,))


def _still(cursor: psycopg.Cursor[Any], message_id: UUID, intent: Intent, fault: Fault, *, again: bool) -> None:
    assert intent.message is not None
    where = {"code": fault.code, "detail": fault.detail, "offset": fault.offset, "path": fault.path}
    cursor.execute(STILL, {**where, "fault_in": key(intent.message), "message_id": message_id, "again": again})


# --- the desk ---


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One message on the desk, without its bytes."""

    message_id: UUID
    state: State
    source: str
    format: str
    code: str  # permanent slug of the fault
    detail: str
    offset: int  # byte offset in the message
    path: str  # segment or JSON path
    size_bytes: int
    attempts: int  # how often it came or was tried
    first_seen: datetime
    last_seen: datetime
    reason: str | None = None  # why it was dismissed, or what was accepted
    resolved_by: str | None = None
    resolved_at: datetime | None = None
    replayed_as: UUID | None = None  # the message that was recorded for it


class Count(msgspec.Struct, frozen=True):
    state: State
    code: str
    count: int


class Kept(msgspec.Struct, frozen=True):
    """A message as it came: its transmission, and its place in it."""

    transmission: Transmission
    start: int
    end: int

    @property
    def raw(self) -> bytes:
        return self.transmission.body[self.start : self.end]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages to list; "" or None: all. `since`: first seen then or later."""

    state: str = ""
    source: str = ""
    format: str = ""
    code: str = ""
    since: datetime | None = None
    viewer: str = ""  # a source sees its own


PAGE = """
SELECT q.message_id, q.state, q.source, q.format, q.code, q.detail, q.path, q.attempts, q.first_seen, q.last_seen,
       q.reason, q.resolved_by, q.resolved_at, q.replayed_as,
       greatest(q.byte_offset - coalesce(f.byte_from, m.byte_from), 0) AS offset,
       m.byte_to - m.byte_from AS size_bytes
FROM cargo_quarantine AS q
JOIN cargo_messages AS m USING (message_id)
LEFT JOIN cargo_messages AS f ON f.message_id = q.fault_in
WHERE (%(viewer)s = '' OR q.source = %(viewer)s) AND (%(source)s = '' OR q.source = %(source)s)
  AND (%(format)s = '' OR q.format = %(format)s)
  AND (%(since)s::timestamptz IS NULL OR q.first_seen >= %(since)s)
  AND (%(state)s = '' OR q.state = %(state)s) AND (%(code)s = '' OR q.code = %(code)s)
  AND (%(seen)s::timestamptz IS NULL OR (q.first_seen, q.message_id) < (%(seen)s, %(message_id)s::uuid))
  AND (%(only)s::uuid IS NULL OR q.message_id = %(only)s)
ORDER BY q.first_seen DESC, q.message_id DESC
LIMIT %(limit)s
"""
COUNTS = """
SELECT state, code, count(*)
FROM cargo_quarantine
WHERE (%(viewer)s = '' OR source = %(viewer)s) AND (%(source)s = '' OR source = %(source)s)
  AND (%(format)s = '' OR format = %(format)s) AND (%(since)s::timestamptz IS NULL OR first_seen >= %(since)s)
GROUP BY state, code
ORDER BY state, count(*) DESC, code
"""
KEPT = """
SELECT t.transmission_id, t.source, t.format, t.received_at, t.digest, t.body, t.sent_at, t.mends,
       m.byte_from, m.byte_to
FROM cargo_messages AS m JOIN cargo_transmissions AS t USING (transmission_id)
WHERE m.message_id = %s
"""
FAULT_IN = "SELECT fault_in FROM cargo_quarantine WHERE message_id = %s"


def page(
    connection: psycopg.Connection[Any], wanted: Wanted, limit: int, after: tuple[datetime, UUID] | None = None
) -> list[Item]:
    """Messages newest first, those behind `after` (first seen, id) if it is given."""
    seen, message_id = after or (None, None)
    return _items(connection, wanted, limit=limit, seen=seen, message_id=message_id)


def counts(connection: psycopg.Connection[Any], wanted: Wanted) -> list[Count]:
    """How many there are by state and code, whatever state and code are wanted."""
    return [Count(*row) for row in connection.execute(COUNTS, msgspec.structs.asdict(wanted))]


def find(connection: psycopg.Connection[Any], message_id: UUID, viewer: str) -> Item | None:
    """One message; None where there is none for this viewer ("": an operator)."""
    return next(iter(_items(connection, Wanted(viewer=viewer), only=message_id)), None)


def kept(connection: psycopg.Connection[Any], message_id: UUID) -> Kept:
    """A message of the desk as it came."""
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(KEPT, (message_id,)).fetchone()
    assert row is not None
    return Kept(Transmission(*row[:8]), row[8], row[9])


def faulty(connection: psycopg.Connection[Any], message_id: UUID) -> tuple[Kept, bool]:
    """The message that the fault lies in, and whether that is another one, sent to mend this."""
    row = connection.execute(FAULT_IN, (message_id,)).fetchone()
    fault_in = (row and row[0]) or message_id
    return kept(connection, fault_in), fault_in != message_id


def dismiss(connection: psycopg.Connection[Any], message_id: UUID, *, reason: str, by: str, at: datetime) -> None:
    """Take a message off the desk without recording anything. Raises AlreadyResolved.

    Under the journal's lock: an original that is just being taken meets its cancellation before this or not at all.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCKS["cargo"])
        if connection.execute(DISMISS, (reason, by, at, message_id)).rowcount == 0:
            raise resolved(message_id)
        connection.execute(VOID, (message_id,))


def resolved(message_id: UUID) -> AlreadyResolved:
    return AlreadyResolved(
        f"报文 {message_id} 已处理 / message {message_id} was mended or dismissed before", message_id=str(message_id)
    )


def _items(connection: psycopg.Connection[Any], wanted: Wanted, **more: object) -> list[Item]:
    values = {"limit": 1, "seen": None, "message_id": None, "only": None, **more}
    with connection.cursor(row_factory=class_row(Item)) as cursor:
        return cursor.execute(PAGE, {**msgspec.structs.asdict(wanted), **values}).fetchall()
