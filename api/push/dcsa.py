"""A DCSA subscription as an endpoint: one row beside it, of the same id, made, changed and removed with it.

Its secret is kept among the keys of endpoints, sealed. A new callback, another one, and one that was disabled and is
told us anew are asked by the sender whether they take an empty array (api/push/proving.py). Times are UTC.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from api.cursor import EPOCH
from api.delivery import FEED_PUSH
from api.login.vault import Vault
from api.pool import Pool
from api.push import desk, keyring
from api.push.signing import Key
from domain.feed_filter import EVERYTHING

CHANGED = """
UPDATE push_endpoints
SET url = %(url)s, changed_at = %(now)s,
    state = CASE WHEN url <> %(url)s OR state = 'disabled' THEN 'unverified' ELSE state END,
    reason = CASE WHEN url <> %(url)s OR state = 'disabled' THEN %(reason)s ELSE reason END,
    failures = CASE WHEN url <> %(url)s OR state = 'disabled' THEN 0 ELSE failures END,
    next_at = CASE WHEN url <> %(url)s OR state = 'disabled' THEN %(now)s ELSE next_at END
WHERE endpoint_id = %(id)s AND dialect = 'dcsa'
"""
ORPHANS = """
SELECT subscription_id, s.account, after, body ->> 'callbackUrl', secret
FROM dcsa_subscriptions AS s JOIN accounts USING (account)
WHERE octet_length(secret) > 0
FOR UPDATE OF s SKIP LOCKED
"""
MOVED = "UPDATE dcsa_subscriptions SET secret = '' WHERE subscription_id = %s"


def made(connection: psycopg.Connection[Any], vault: Vault, new: desk.New, secret: bytes, now: datetime) -> None:
    """In the transaction that makes the subscription."""
    desk.put(connection, new, now)
    keyring.add(connection, vault, new.endpoint_id, Key("dcsa", secret), now)


def endpoint(subscription_id: UUID, account: str, url: str, begins: desk.Begin) -> desk.New:
    """Its row. `begins`: where the journal stood."""
    return desk.New(subscription_id, account, FEED_PUSH.code, "dcsa", url, EVERYTHING, True, *begins)


def changed(connection: psycopg.Connection[Any], subscription_id: UUID, url: str, now: datetime) -> None:
    """With the subscription's body."""
    connection.execute(CHANGED, {"id": subscription_id, "url": url, "now": now, "reason": desk.MOVED})


def secret_changed(
    connection: psycopg.Connection[Any], vault: Vault, subscription_id: UUID, secret: bytes, now: datetime
) -> None:
    """From now on the new one signs alone: the standard's header has room for one."""
    keyring.change(connection, vault, subscription_id, Key("dcsa", secret), now, overlap_hours=0)


def adopt(pool: Pool, vault: Vault, now: datetime) -> int:
    """Make endpoints of subscriptions of a time when none were served, and seal their secrets. Returns how many."""
    with pool.connection() as connection, connection.transaction():
        orphans = connection.execute(ORPHANS).fetchall()
        for subscription_id, account, after, url, secret in orphans:
            made(
                connection, vault, endpoint(subscription_id, account, url, desk.Begin(after, EPOCH)), bytes(secret), now
            )
            connection.execute(MOVED, (subscription_id,))
    return len(orphans)
