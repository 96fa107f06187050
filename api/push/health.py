"""How an endpoint fares, for its owner to read: last success, what waits, the next try, and the delivery log.

"Never sent" and "you refused it" can be told apart: the log has every attempt with the receiver's status, or why there
was none. Times are UTC, durations seconds.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from api.cursor import BadCursor

LOG_PAGE = 20  # attempts that health shows
PAGE_MAX = 1_000
PENDING_MAX = 1_000  # messages that are counted behind the cursor


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What is not with the receiver yet, or never came there."""

    waiting: int  # to be tried again
    oldest_at: datetime | None  # of them
    failed: int  # given up after the last attempt; replay sends them
    withheld: int  # what may no longer be seen
    pending: int | None = None  # behind the cursor, as far as counted; none: it was not looked
    pending_more: bool = False  # and there are more


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `status`: of the receiver's answer; none: there was no answer, and `error` says why."""

    at: datetime
    message_id: str
    subject: str
    attempt: int
    seconds: float
    status: int | None
    error: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Of one endpoint. `next_at`: when it is tried again, while something waits or it rests."""

    id: UUID
    account: str
    item: str
    url: str
    state: str
    reason: str
    succeeded_at: datetime | None
    failing_since: datetime | None
    failures: int  # rounds in a row
    next_at: datetime | None
    backlog: Backlog
    attempts: list[Attempt]  # the newest first


class AttemptPage(msgspec.Struct, frozen=True):
    """The newest first. `next`: go on with `before=` it; "" at the end."""

    attempts: list[Attempt]
    next: str


HEALTH = """
SELECT e.endpoint_id, e.account, e.item, e.url, e.state, e.reason, e.succeeded_at, e.failing_since, e.failures,
       e.next_at, q.waiting, q.oldest_at, q.failed, q.withheld, q.next_at
FROM push_endpoints AS e
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state = 'waiting') AS waiting,
           min(made_at) FILTER (WHERE state = 'waiting') AS oldest_at,
           count(*) FILTER (WHERE state = 'failed') AS failed,
           count(*) FILTER (WHERE state = 'withheld') AS withheld,
           min(next_at) FILTER (WHERE state = 'waiting') AS next_at
    FROM push_messages AS m
    WHERE m.endpoint_id = e.endpoint_id
) AS q
WHERE e.endpoint_id = ANY(%s)
ORDER BY e.made_at, e.endpoint_id
"""
ATTEMPTS = """
SELECT at, message_id, subject, attempt, seconds, status, error
FROM push_attempts
WHERE endpoint_id = %(id)s
  AND (%(at)s::timestamptz IS NULL OR (at, message_id, attempt) < (%(at)s, %(message)s, %(attempt)s))
  AND (NOT %(failed)s OR status IS NULL OR status NOT BETWEEN 200 AND 299)
ORDER BY at DESC, message_id DESC, attempt DESC
LIMIT %(limit)s
"""


def health(connection: psycopg.Connection[Any], endpoint_ids: Sequence[UUID]) -> list[Health]:
    """Of each that is there, the oldest endpoint first. Whoever calls has made sure that the caller may see them."""
    rows = connection.execute(HEALTH, (list(endpoint_ids),)).fetchall()
    return [_health(row, attempts(connection, row[0], limit=LOG_PAGE).attempts) for row in rows]


def _health(row: tuple[Any, ...], log: list[Attempt]) -> Health:
    endpoint_id, account, item, url, state, reason, succeeded_at, since, failures, rests, *queue = row
    waiting, oldest_at, failed, withheld, retried_at = queue
    trying = state == "active" and (failures or waiting)
    return Health(
        id=endpoint_id,
        account=account,
        item=item,
        url=url,
        state=state,
        reason=reason,
        succeeded_at=succeeded_at,
        failing_since=since,
        failures=failures,
        next_at=(max(rests, retried_at) if retried_at else rests) if trying else None,
        backlog=Backlog(waiting=waiting, oldest_at=oldest_at, failed=failed, withheld=withheld),
        attempts=log,
    )


def attempts(
    connection: psycopg.Connection[Any], endpoint_id: UUID, *, before: str = "", failed: bool = False, limit: int
) -> AttemptPage:
    """The delivery log behind a cursor of its own. Raises BadCursor."""
    at, message, attempt = _place(before)
    values = {"id": endpoint_id, "at": at, "message": message, "attempt": attempt, "failed": failed}
    rows = connection.execute(ATTEMPTS, {**values, "limit": limit + 1}).fetchall()
    found = [Attempt(**dict(zip(Attempt.__struct_fields__, row, strict=True))) for row in rows[:limit]]
    last = found[-1] if len(rows) > limit else None
    return AttemptPage(found, _cursor(last) if last else "")


def _cursor(last: Attempt) -> str:
    return urlsafe_b64encode(msgspec.json.encode((last.at, last.message_id, last.attempt))).decode().rstrip("=")


def _place(before: str) -> tuple[datetime | None, str, int]:
    if not before:
        return None, "", 0
    try:
        raw = urlsafe_b64decode(before + "=" * (-len(before) % 4))
        return msgspec.json.decode(raw, type=tuple[datetime, str, int])
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadCursor(f"{before[:80]!r} 不是此日志的游标 / is no cursor of this log", before=before[:80]) from error
