"""Sending again at the owner's wish: by id, from one position to another, or all that failed since a moment.

Only rows are made here; the sender reads each message anew, through the view of that moment. The id is the same, so the
receiver knows it, and it is not charged a second time. The header `webhook-replay: 1` says that it was asked for.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import psycopg

from api.push.sources import position_of

REPLAY_MAX = 10_000  # messages at a time
Kind = Literal["feed", "alert"]

PUT = """
INSERT INTO push_messages
    (endpoint_id, message_id, kind, position, subject, state, replay, attempts, next_at, made_at)
SELECT %(endpoint)s, message_id, %(kind)s, position, coalesce((
           SELECT subject FROM push_attempts
           WHERE push_attempts.endpoint_id = %(endpoint)s AND push_attempts.message_id = asked.message_id
           LIMIT 1
       ), ''), 'waiting', true, 0, %(now)s, %(now)s
FROM unnest(%(ids)s::text[], %(positions)s::bigint[]) AS asked (message_id, position)
ON CONFLICT (endpoint_id, message_id) DO UPDATE
SET state = 'waiting', replay = true, attempts = 0, next_at = EXCLUDED.next_at, made_at = EXCLUDED.made_at,
    status = NULL, error = '', finished_at = NULL
WHERE push_messages.state <> 'waiting'
"""
RANGE = """
SELECT message_id, position
FROM (
    SELECT message_id, position FROM push_attempts
    WHERE endpoint_id = %(endpoint)s AND kind = %(kind)s AND position > %(after)s AND position <= %(upto)s
    UNION
    SELECT message_id, position FROM push_messages
    WHERE endpoint_id = %(endpoint)s AND kind = %(kind)s AND position > %(after)s AND position <= %(upto)s
) AS known
ORDER BY position
LIMIT %(most)s
"""
FAILED = """
SELECT message_id, position
FROM push_messages
WHERE endpoint_id = %(endpoint)s AND state = 'failed' AND finished_at >= %(since)s
ORDER BY position
LIMIT %(most)s
"""


def by_ids(
    connection: psycopg.Connection[Any], endpoint: UUID, ids: Sequence[str], *, kind: Kind = "feed", now: datetime
) -> int:
    """How many will be sent again. What is no id of this endpoint's, was never sent or waits already is left out."""
    row = connection.execute("SELECT after FROM push_endpoints WHERE endpoint_id = %s", (endpoint,)).fetchone()
    places = {each: position_of(endpoint, each) for each in ids[:REPLAY_MAX]}
    after = row[0] if row else 0
    found = [(each, place) for each, place in places.items() if place is not None and 0 < place <= after]
    return _put(connection, endpoint, found, kind, now)


def by_range(
    connection: psycopg.Connection[Any], endpoint: UUID, after: int, upto: int, *, kind: Kind = "feed", now: datetime
) -> int:
    """What was tried of (after, upto], as far back as the log goes; the first REPLAY_MAX of it."""
    about = {"endpoint": endpoint, "kind": kind, "after": after, "upto": upto, "most": REPLAY_MAX}
    return _put(connection, endpoint, connection.execute(RANGE, about).fetchall(), kind, now)


def failed_since(
    connection: psycopg.Connection[Any], endpoint: UUID, since: datetime, *, kind: Kind = "feed", now: datetime
) -> int:
    """What was given up since a moment; the first REPLAY_MAX of it."""
    about = {"endpoint": endpoint, "since": since, "most": REPLAY_MAX}
    return _put(connection, endpoint, connection.execute(FAILED, about).fetchall(), kind, now)


def _put(
    connection: psycopg.Connection[Any], endpoint: UUID, found: Sequence[tuple[Any, ...]], kind: Kind, now: datetime
) -> int:
    ids, positions = [row[0] for row in found], [row[1] for row in found]
    about = {"endpoint": endpoint, "kind": kind, "ids": ids, "positions": positions, "now": now}
    return connection.execute(PUT, about).rowcount if ids else 0
