"""How often signing in may fail: 5 times for an account, 20 for an address; then 15 minutes, doubling to a day.

An attempt is counted before its password is looked at, so that a thousand at once are no more than five. Names are
counted whether there is such an account or not: being locked tells nothing. Times are UTC.
"""

from datetime import datetime, timedelta
from typing import Any

import psycopg

from api.problems import LockedOut

FAILURES_MAX = {"account": 5, "address": 20}
FIRST, LONGEST = timedelta(minutes=15), timedelta(days=1)
FORGOTTEN = timedelta(days=2)
"""After so long without another failure the count, and the doubling, begin again."""
SUBJECT_CHARS_MAX = 200

COUNT = """
INSERT INTO sign_in_failures AS kept (subject, failures, locks, last_at)
VALUES (%(subject)s, 1, 0, %(now)s)
ON CONFLICT (subject) DO UPDATE SET
    failures = CASE WHEN kept.last_at <= %(forgotten)s THEN 1 ELSE kept.failures + 1 END,
    locks = CASE WHEN kept.last_at <= %(forgotten)s THEN 0 ELSE kept.locks END,
    last_at = %(now)s
WHERE kept.locked_until IS NULL OR kept.locked_until <= %(now)s
RETURNING failures, locks
"""
LOCK = """
UPDATE sign_in_failures SET failures = 0, locks = locks + 1, locked_until = %s WHERE subject = %s
"""
LOCKED = """
SELECT locked_until FROM sign_in_failures WHERE subject = %s
"""
TAKE_BACK = """
UPDATE sign_in_failures SET failures = greatest(failures - 1, 0) WHERE subject = ANY(%s)
"""
FORGET = """
DELETE FROM sign_in_failures WHERE subject IN (
    SELECT subject FROM sign_in_failures WHERE last_at <= %s ORDER BY last_at LIMIT 100 FOR UPDATE SKIP LOCKED)
"""


def begin(connection: psycopg.Connection[Any], account: str, address: str, now: datetime) -> None:
    """Count an attempt as failed until it is told otherwise. Raises LockedOut."""
    with connection.transaction():
        connection.execute(FORGET, (now - FORGOTTEN,))
        own, shared = _subjects(account, address)
        # The address first: one that is locked cannot go on locking accounts.
        until = _count(connection, shared, now) or _count(connection, own, now)
    if until is not None:
        minutes = -int((now - until).total_seconds() // 60)
        raise LockedOut(
            f"失败次数过多，请约 {minutes} 分钟后再试 / too many failures; try again in about {minutes} minutes",
            seconds=max(1, round((until - now).total_seconds())),
        )


def _count(connection: psycopg.Connection[Any], subject: str, now: datetime) -> datetime | None:
    """Until when it is locked, if it is. The attempt that is one too many locks."""
    row = connection.execute(COUNT, {"subject": subject, "now": now, "forgotten": now - FORGOTTEN}).fetchone()
    if row is None:
        locked = connection.execute(LOCKED, (subject,)).fetchone()
        return locked[0] if locked else None
    failures, locks = row
    if failures <= FAILURES_MAX[subject.partition(":")[0]]:
        return None
    until: datetime = now + min(FIRST * 2 ** min(locks, 10), LONGEST)
    connection.execute(LOCK, (until, subject))
    return until


def succeeded(connection: psycopg.Connection[Any], account: str, address: str) -> None:
    """The account's count begins anew; of the address only this attempt is taken back."""
    own, shared = _subjects(account, address)
    connection.execute("DELETE FROM sign_in_failures WHERE subject = %s", (own,))
    connection.execute(TAKE_BACK, ([shared],))


def take_back(connection: psycopg.Connection[Any], account: str, address: str) -> None:
    """An attempt that neither failed nor succeeded."""
    connection.execute(TAKE_BACK, (_subjects(account, address),))


def unlock(connection: psycopg.Connection[Any], account: str) -> None:
    connection.execute("DELETE FROM sign_in_failures WHERE subject = %s", (_subjects(account, "")[0],))


def _subjects(account: str, address: str) -> list[str]:
    return [f"account:{account}"[:SUBJECT_CHARS_MAX], f"address:{address}"[:SUBJECT_CHARS_MAX]]
