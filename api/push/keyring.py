"""The keys of endpoints as they are kept: sealed, numbered; a key that was changed signs on for a while.

Times are UTC. Secrets leave the vault for two: who signs, and the account that is shown a new one, this once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from api.login.vault import Vault
from api.push.signing import Algorithm, Key, opened, sealed
from domain.errors import Refused

LIVE_MAX = 3  # of one endpoint: as many signatures stand in a header
OVERLAP_HOURS_MIN, OVERLAP_HOURS_MAX = 24, 24 * 90


class KeysChanging(Refused):
    slug = "keys-changing"
    title = "Keys of this endpoint are being changed already"


class SigningKey(msgspec.Struct, frozen=True):
    """A key as it is listed. `public`: `whpk_…`; "" of a secret, which is shown once, when it is made."""

    key_id: int
    algorithm: Algorithm
    public: str
    made_at: datetime
    ends_at: datetime | None  # none: it signs until it is changed


LISTED = """
SELECT key_id, algorithm, public, made_at, ends_at
FROM push_keys
WHERE endpoint_id = %s AND (ends_at IS NULL OR ends_at > %s)
ORDER BY key_id DESC
"""
SIGNING = """
SELECT endpoint_id, algorithm, secret
FROM push_keys
WHERE endpoint_id = ANY(%s) AND (ends_at IS NULL OR ends_at > %s)
ORDER BY endpoint_id, key_id DESC
"""
ADD = """
INSERT INTO push_keys (endpoint_id, key_id, algorithm, secret, public, made_at)
SELECT %(endpoint)s, coalesce(max(key_id), 0) + 1, %(algorithm)s, %(secret)s, %(public)s, %(now)s
FROM push_keys
WHERE endpoint_id = %(endpoint)s
"""
END = """
UPDATE push_keys SET ends_at = least(ends_at, %s) WHERE endpoint_id = %s AND (ends_at IS NULL OR ends_at > %s)
"""
SWEEP = "DELETE FROM push_keys WHERE endpoint_id = %s AND ends_at <= %s"


def listed(connection: psycopg.Connection[Any], endpoint_id: UUID, now: datetime) -> list[SigningKey]:
    """Those that sign now, the newest first."""
    return [SigningKey(*row) for row in connection.execute(LISTED, (endpoint_id, now))]


def signing(
    connection: psycopg.Connection[Any], vault: Vault, endpoint_ids: Sequence[UUID], now: datetime
) -> dict[UUID, list[Key]]:
    """The keys by which each of these endpoints' messages are signed now, the newest first. Raises SettingsError."""
    keys: dict[UUID, list[Key]] = {each: [] for each in endpoint_ids}
    for endpoint_id, algorithm, kept in connection.execute(SIGNING, (list(endpoint_ids), now)):
        keys[endpoint_id].append(opened(vault, algorithm, bytes(kept), endpoint_id))
    return keys


def add(connection: psycopg.Connection[Any], vault: Vault, endpoint_id: UUID, key: Key, now: datetime) -> None:
    """One more key; those before it sign on."""
    values = {"endpoint": endpoint_id, "algorithm": key.algorithm, "public": key.public, "now": now}
    connection.execute(ADD, {**values, "secret": sealed(vault, key, endpoint_id)})


def change(
    connection: psycopg.Connection[Any], vault: Vault, endpoint_id: UUID, key: Key, now: datetime, *, overlap_hours: int
) -> None:
    """The new key signs at once, the old ones for so many hours more; 0, for a key that is known to others: no more.

    To be called in a transaction. Raises KeysChanging where as many keys as may be sign already.
    """
    connection.execute("SELECT 1 FROM push_endpoints WHERE endpoint_id = %s FOR UPDATE", (endpoint_id,))
    connection.execute(END, (now + timedelta(hours=overlap_hours), endpoint_id, now))
    connection.execute(SWEEP, (endpoint_id, now))
    if len(listed(connection, endpoint_id, now)) >= LIVE_MAX:
        raise KeysChanging(
            f"已有 {LIVE_MAX} 把密钥同时签名，请待旧密钥到期，或以 overlap_hours 0 立即停用 / {LIVE_MAX} keys sign "
            "already: wait for the old ones to end, or end them now by overlap_hours 0",
            keys_max=LIVE_MAX,
        )
    add(connection, vault, endpoint_id, key, now)
    connection.execute("UPDATE push_endpoints SET changed_at = %s WHERE endpoint_id = %s", (now, endpoint_id))
