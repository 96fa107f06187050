"""What the sender keeps in the database: which endpoints are his for a while, where they stand, what waits.

The lease runs on the database's clock; everything else on the sender's, which tests set. A round is written in one
transaction, and only for endpoints that are still held: whoever lost one to another sender writes nothing about it.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from api.identity import Account
from api.push.rounds import Row, Settled, Standing, Tried
from api.push.sources import Endpoint
from api.push.ssrf import Network
from domain.feed_filter import FeedFilter

LEASE = timedelta(seconds=60)
CLAIMS_MAX = 500  # endpoints that are taken over at a time, so that another sender finds some, too
LINE_MAX = 1_000  # messages of one subject that wait; more, and they are parked: failed, to be replayed at will
PARKED = "parked: too many wait for one that is refused"
ERROR_CHARS_MAX = 200


class Held(NamedTuple):
    """An endpoint as its row tells, and whom it belongs to."""

    endpoint: Endpoint
    standing: Standing
    changed_at: datetime
    owner: Account
    is_open: bool  # the account


CLAIM = """
UPDATE push_endpoints
SET held_by = %(me)s, held_until = clock_timestamp() + %(lease)s
WHERE endpoint_id IN (
    SELECT endpoint_id
    FROM push_endpoints
    WHERE state = 'active' AND (
        held_until IS NULL OR held_until < clock_timestamp()
        OR held_by = %(me)s AND held_until < clock_timestamp() + %(lease)s / 2
    )
    ORDER BY held_until NULLS FIRST
    LIMIT %(most)s
    FOR UPDATE SKIP LOCKED
)
RETURNING endpoint_id
"""
REVIVE = """
UPDATE push_messages SET state = 'waiting', finished_at = NULL, next_at = %s
WHERE state = 'cancelled' AND endpoint_id = ANY(%s)
"""
MINE = """
SELECT endpoint_id, item, dialect, url, wanted, ordered, after, failures, failing_since, next_at, succeeded_at,
       push_endpoints.state, reason, changed_at, account, role, zh, en, party, rights, accounts.state = 'open'
FROM push_endpoints JOIN accounts USING (account)
WHERE held_by = %s AND push_endpoints.state = 'active' AND held_until > clock_timestamp()
"""
RELEASE_ONE = "UPDATE push_endpoints SET held_by = '', held_until = NULL WHERE endpoint_id = %(endpoint)s"
RELEASE = "UPDATE push_endpoints SET held_by = '', held_until = NULL WHERE held_by = %s"


def claim(connection: psycopg.Connection[Any], me: str, now: datetime) -> list[Held]:
    """Take what nobody serves, keep what we do. Returns all that is ours now.

    What was cancelled because its endpoint was disabled waits again: somebody has enabled it.
    """
    with connection.transaction():
        rows = connection.execute(CLAIM, {"me": me, "lease": LEASE, "most": CLAIMS_MAX}, prepare=True)
        if claimed := [row[0] for row in rows]:
            connection.execute(REVIVE, (now, claimed), prepare=True)
    return [_held(row) for row in connection.execute(MINE, (me,), prepare=True)]


def release(connection: psycopg.Connection[Any], me: str) -> None:
    """Another sender need not wait until our lease ends."""
    connection.execute(RELEASE, (me,))


def _held(row: tuple[Any, ...]) -> Held:
    endpoint_id, item, dialect, url, wanted, ordered, *standing, changed_at = row[:14]
    account, role, zh, en, party, rights, is_open = row[14:]
    endpoint = Endpoint(
        endpoint_id=endpoint_id,
        account=account,
        item=item,
        dialect=dialect,
        url=url,
        wanted=msgspec.convert(wanted, FeedFilter),
        ordered=ordered,
    )
    owner = Account(account, role, zh, en, party, tuple(rights), f"endpoint:{endpoint.short}")
    return Held(endpoint, Standing(*standing), changed_at, owner, is_open)


NETWORKS = "SELECT account, network::text FROM push_networks WHERE account = ANY(%s)"


def networks(connection: psycopg.Connection[Any], accounts: Collection[str]) -> dict[str, tuple[Network, ...]]:
    """The private networks that each of these accounts may be sent to."""
    found: dict[str, tuple[Network, ...]] = {}
    for account, network in connection.execute(NETWORKS, (list(accounts),), prepare=True):
        found[account] = (*found.get(account, ()), ip_network(network))
    return found


# --- what waits ---


class Waiting(NamedTuple):
    """Of one endpoint."""

    due_at: datetime  # of the first of its messages
    subjects: frozenset[str]  # whose next message must wait


WAITING = """
SELECT endpoint_id, min(next_at), array_agg(DISTINCT subject) FILTER (WHERE NOT replay)
FROM push_messages
WHERE state = 'waiting' AND endpoint_id = ANY(%s)
GROUP BY endpoint_id
"""
DUE = """
SELECT endpoint_id, message_id, kind, position, subject, replay, attempts, next_at, made_at
FROM push_messages
WHERE state = 'waiting' AND endpoint_id = %s AND next_at <= %s
ORDER BY position
LIMIT %s
"""


def waiting(connection: psycopg.Connection[Any], endpoints: Collection[UUID]) -> dict[UUID, Waiting]:
    """Those of them that have messages waiting."""
    rows = connection.execute(WAITING, (list(endpoints),), prepare=True)
    return {endpoint: Waiting(due_at, frozenset(subjects or ())) for endpoint, due_at, subjects in rows}


def due(connection: psycopg.Connection[Any], endpoint: UUID, now: datetime, limit: int) -> list[Row]:
    """Messages whose turn it is, in the order of the source."""
    return [Row(*row) for row in connection.execute(DUE, (endpoint, now, limit), prepare=True)]


# --- writing a round ---

MOVE = """
UPDATE push_endpoints
SET after = %(after)s, failures = %(failures)s, failing_since = %(failing_since)s, next_at = %(next_at)s,
    succeeded_at = %(succeeded_at)s,
    reason = CASE WHEN push_endpoints.state = 'active' THEN %(reason)s ELSE push_endpoints.reason END,
    state = CASE WHEN push_endpoints.state = 'active' THEN %(state)s ELSE push_endpoints.state END
WHERE endpoint_id = %(endpoint)s AND held_by = %(me)s
"""
PUT = """
INSERT INTO push_messages
    (endpoint_id, message_id, kind, position, subject, state, replay, attempts, next_at, status, error, made_at,
     finished_at)
SELECT %(endpoint)s, message_id, %(kind)s, position, subject, state, replay, attempts, next_at, status, error, %(now)s,
       CASE WHEN state <> 'waiting' THEN %(now)s END
FROM unnest(%(ids)s::text[], %(positions)s::bigint[], %(subjects)s::text[], %(states)s::text[], %(replays)s::boolean[],
            %(attempts)s::integer[], %(next_ats)s::timestamptz[], %(statuses)s::integer[], %(errors)s::text[])
     AS put (message_id, position, subject, state, replay, attempts, next_at, status, error)
ON CONFLICT (endpoint_id, message_id) DO UPDATE
SET state = EXCLUDED.state, attempts = EXCLUDED.attempts, next_at = EXCLUDED.next_at, status = EXCLUDED.status,
    subject = EXCLUDED.subject, error = EXCLUDED.error, finished_at = EXCLUDED.finished_at
WHERE push_messages.state = 'waiting'
"""
RELEASED = """
UPDATE push_messages SET next_at = %s
FROM unnest(%s::boolean[], %s::text[]) AS line (replay, subject)
WHERE endpoint_id = %s AND state = 'waiting' AND push_messages.replay = line.replay
  AND push_messages.subject = line.subject
"""
FOLLOW = """
UPDATE push_messages AS late SET next_at = head.next_at
FROM (
    SELECT DISTINCT ON (replay, subject) replay, subject, position, next_at
    FROM push_messages
    WHERE endpoint_id = %(endpoint)s AND state = 'waiting' AND subject = ANY(%(subjects)s)
    ORDER BY replay, subject, position
) AS head
WHERE late.endpoint_id = %(endpoint)s AND late.state = 'waiting' AND late.subject = head.subject
  AND late.replay = head.replay AND late.position > head.position AND late.next_at <> head.next_at
"""
CANCEL = """
UPDATE push_messages SET state = 'cancelled', finished_at = %(now)s
WHERE endpoint_id = %(endpoint)s AND state = 'waiting'
"""
REST = """
UPDATE push_messages SET next_at = %(next_at)s
WHERE endpoint_id = %(endpoint)s AND state = 'waiting' AND next_at < %(next_at)s
"""
PARK = """
UPDATE push_messages SET state = 'failed', finished_at = %(now)s, error = %(error)s
WHERE endpoint_id = %(endpoint)s AND state = 'waiting' AND NOT replay AND subject IN (
    SELECT subject FROM push_messages
    WHERE endpoint_id = %(endpoint)s AND state = 'waiting' AND NOT replay
    GROUP BY subject HAVING count(*) > %(most)s
)
"""
ATTEMPTS = """
COPY push_attempts (endpoint_id, at, message_id, kind, position, subject, attempt, seconds, status, error)
FROM STDIN (FORMAT BINARY)
"""
ATTEMPT_TYPES = ["uuid", "timestamptz", "text", "text", "int8", "text", "int4", "float4", "int4", "text"]


class Written(NamedTuple):
    """What is to be written of one round."""

    held: Held
    kind: str
    settled: Settled
    tried: Sequence[Tried]


def write(connection: psycopg.Connection[Any], me: str, rounds: Sequence[Written], now: datetime) -> set[UUID]:
    """The endpoints for which it was written; the others are not ours any more, or were changed by their owners."""
    kept: set[UUID] = set()
    with connection.transaction():
        for each in rounds:
            if _move(connection, me, each):
                kept.add(each.held.endpoint.endpoint_id)
                _put(connection, each, now)
        _log(connection, rounds)
    return kept


def _move(connection: psycopg.Connection[Any], me: str, written: Written) -> bool:
    standing = msgspec.structs.asdict(written.settled.standing)
    known = {"endpoint": written.held.endpoint.endpoint_id, "me": me}
    return connection.execute(MOVE, {**standing, **known}, prepare=True).rowcount == 1


def _put(connection: psycopg.Connection[Any], written: Written, now: datetime) -> None:
    endpoint, settled = written.held.endpoint, written.settled
    known = {"endpoint": endpoint.endpoint_id, "now": now, "next_at": settled.standing.next_at}
    if settled.puts:
        columns = [list(column) for column in zip(*settled.puts, strict=True)]
        names = ("ids", "positions", "subjects", "states", "replays", "attempts", "next_ats", "statuses", "errors")
        values = dict(zip(names, columns, strict=True)) | {"kind": written.kind}
        connection.execute(PUT, known | values, prepare=True)
        if endpoint.ordered:
            _line_up(connection, written, known)
    if settled.standing.state == "disabled":
        connection.execute(CANCEL, known, prepare=True)
        connection.execute(RELEASE_ONE, known, prepare=True)
    elif settled.standing.next_at > now:
        connection.execute(REST, known, prepare=True)


def _line_up(connection: psycopg.Connection[Any], written: Written, known: dict[str, Any]) -> None:
    """A subject's messages are due together, when its first one is."""
    settled = written.settled
    if settled.released:
        replays, subjects = zip(*settled.released, strict=True)
        about = (known["now"], list(replays), list(subjects), known["endpoint"])
        connection.execute(RELEASED, about, prepare=True)
    connection.execute(FOLLOW, known | {"subjects": [put.subject for put in settled.puts]}, prepare=True)
    connection.execute(PARK, known | {"error": PARKED, "most": LINE_MAX}, prepare=True)


def _log(connection: psycopg.Connection[Any], rounds: Sequence[Written]) -> None:
    with connection.cursor() as cursor, cursor.copy(ATTEMPTS) as copy:
        copy.set_types(ATTEMPT_TYPES)
        for each in rounds:
            endpoint = each.held.endpoint.endpoint_id
            for tried in each.tried:
                work, answer = tried.work, tried.answer
                about = (work.message_id, each.kind, work.message.position, work.message.subject, work.attempts + 1)
                told = (answer.seconds, answer.status, answer.error[:ERROR_CHARS_MAX])
                copy.write_row((endpoint, tried.at, *about, *told))


WAIT = """
UPDATE push_endpoints SET next_at = %(next_at)s, reason = %(reason)s
WHERE endpoint_id = %(endpoint)s AND held_by = %(me)s
"""


def wait(connection: psycopg.Connection[Any], me: str, waits: Iterable[tuple[Held, datetime, str]]) -> None:
    """These may not be sent to now (no subscription, suspended); nothing is lost, they stay where they are."""
    with connection.transaction():
        for held, next_at, reason in waits:
            known = {"endpoint": held.endpoint.endpoint_id, "me": me, "next_at": next_at, "reason": reason}
            connection.execute(WAIT, known, prepare=True)
            connection.execute(REST, known, prepare=True)


SWEEP = "DELETE FROM push_attempts WHERE at < %s"
SWEEP_MESSAGES = "DELETE FROM push_messages WHERE finished_at < %s"


def sweep(connection: psycopg.Connection[Any], before: datetime) -> int:
    """Forget what was tried, and what has ended, before a day. Returns how many rows went."""
    return connection.execute(SWEEP, (before,)).rowcount + connection.execute(SWEEP_MESSAGES, (before,)).rowcount
