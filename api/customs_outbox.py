"""What has to leave for customs and how far it has come: the outbox, filled from the journal by a position of its own.

Each lodging, amendment, completion, withdrawal and request for deletion is one message, whose id is that of its fact.
It is claimed for a while (a lease), sent, and settled; whoever dies in between leaves a lease that runs out, so it is
sent again under the same id. Messages of one declaration leave in the order of the journal. Times are UTC.
"""

from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import class_row

from api.customs_message import Action
from domain import fact
from domain.declaration import Amended, CompletionLodged, DeletionRequested, Lodged, Withdrawn
from domain.fact import Fact
from domain.journal import Journal

State = Literal["waiting", "sent", "refused"]
ACTIONS: dict[type[Fact], Action] = {
    Lodged: "lodge",
    Amended: "amend",
    CompletionLodged: "complete",
    Withdrawn: "withdraw",
    DeletionRequested: "delete",
}
TOPICS = {fact.tag_of(kind): action for kind, action in ACTIONS.items()}
POSITIONS_MAX = 200_000  # that are looked through at a time

# --- filling ---

AT = """
SELECT position FROM customs_outbox_position FOR UPDATE
"""
FOUND = """
SELECT fact_id, notification_id, originator_id, topic, state
FROM cargo_events
WHERE notification_id > %s AND notification_id <= %s AND topic = ANY(%s)
"""
PUT = """
INSERT INTO customs_outbox (message_id, position, subject, action)
SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[])
ON CONFLICT DO NOTHING
"""
MOVE = """
UPDATE customs_outbox_position SET position = %s
"""


def fill(connection: psycopg.Connection[Any], journal: Journal) -> bool:
    """Take what was decided since; rows and position are one transaction. False: everything was taken before."""
    with connection.transaction():
        row = connection.execute(AT).fetchone()
        assert row is not None
        done, last = int(row[0]), journal.last(connection)
        upto = min(last, done + POSITIONS_MAX)
        if upto == done:
            return False
        found = connection.execute(FOUND, (done, upto, list(TOPICS))).fetchall()
        rows = [
            (fact_id, position, subject, action)
            for fact_id, position, subject, topic, state in found
            if (action := _action(topic, fact.read(bytes(state))))
        ]
        if rows:
            connection.execute(PUT, [list(column) for column in zip(*rows, strict=True)])
        connection.execute(MOVE, (upto,))
    return True


def _action(topic: str, told: Fact) -> Action | None:
    """None for what was lodged elsewhere and only told here. What cannot be read is not passed over: it may be ours."""
    if isinstance(told, Lodged | Amended) and told.content is None:
        return None
    return TOPICS[topic]


# --- emptying ---

CLAIM = """
UPDATE customs_outbox
SET attempts = attempts + 1, next_at = now() + %s
WHERE message_id = (
    SELECT message_id
    FROM customs_outbox AS due
    WHERE state = 'waiting' AND next_at <= now() AND NOT EXISTS (
        SELECT 1
        FROM customs_outbox AS earlier
        WHERE earlier.subject = due.subject AND earlier.state = 'waiting' AND earlier.position < due.position
    )
    ORDER BY next_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING message_id, subject, action, attempts
"""
SETTLE = """
UPDATE customs_outbox
SET state = %s, settled_at = now(), answer = %s
WHERE message_id = %s AND state = 'waiting'
"""
PUT_OFF = """
UPDATE customs_outbox
SET next_at = now() + %s, answer = %s
WHERE message_id = %s AND state = 'waiting'
"""
ANSWER_CHARS_MAX = 500


class Claimed(NamedTuple):
    message_id: UUID
    subject: str
    action: Action
    attempts: int  # with this one


def claim(connection: psycopg.Connection[Any], lease: timedelta) -> Claimed | None:
    """The next message that is due, ours until the lease ends; None if there is none."""
    row = connection.execute(CLAIM, (lease,)).fetchone()
    return Claimed(*row) if row else None


def settle(connection: psycopg.Connection[Any], message_id: UUID, state: State, answer: str) -> None:
    """It was taken, or refused for good."""
    connection.execute(SETTLE, (state, answer[:ANSWER_CHARS_MAX], message_id))


def put_off(connection: psycopg.Connection[Any], message_id: UUID, pause: timedelta, why: str) -> None:
    """It will be tried again."""
    connection.execute(PUT_OFF, (pause, why[:ANSWER_CHARS_MAX], message_id))


# --- looking ---

SENDING = """
SELECT message_id, action, state, attempts, next_at, settled_at, answer
FROM customs_outbox
WHERE subject = %s
ORDER BY position
"""


class Sending(msgspec.Struct, frozen=True):
    """One message on its way; `next_at`: when it is tried again, as long as it waits."""

    message_id: UUID
    action: str
    state: State
    attempts: int
    next_at: datetime | None
    settled_at: datetime | None
    answer: str


def sendings(connection: psycopg.Connection[Any], subject: str) -> list[Sending]:
    """The messages of one declaration, in order; empty as long as the customs port has not looked."""
    with connection.cursor(row_factory=class_row(Sending)) as cursor:
        found = cursor.execute(SENDING, (subject,)).fetchall()
    return [each if each.state == "waiting" else msgspec.structs.replace(each, next_at=None) for each in found]


ALIASES = """
WITH RECURSIVE named (subject, depth) AS (
    SELECT %(subject)s::text COLLATE "C", 0
    UNION
    SELECT link.subject, named.depth + 1
    FROM named CROSS JOIN LATERAL (
        SELECT other FROM links WHERE links.subject = named.subject AND stands
        UNION ALL
        SELECT links.subject FROM links WHERE links.other = named.subject AND stands
    ) AS link (subject)
    WHERE named.depth < 3 AND link.subject LIKE 'declaration:%%'
)
SELECT DISTINCT subject FROM named
"""
NAMES_MAX = 20


def names(connection: psycopg.Connection[Any], subject: str) -> list[str]:
    """All numbers that a declaration goes by (our own, the data centre's, that of customs), its own first."""
    found = {row[0] for row in connection.execute(ALIASES, {"subject": subject})} - {subject}
    return [subject, *sorted(found)[:NAMES_MAX]]
