"""The register as a process knows it: the fold of its facts, kept in memory and read on whenever it has grown.

No read model stands between a decision and its effect: whatever reads cargo also reads how far the register has come
(projections/sight.py), so nothing is ever seen by rights that are older than the question.
"""

import threading
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg

from api.identity import Account
from api.pool import Pool
from domain import fact
from domain.journal import Entry
from domain.permission import Channel
from projections.rights import Rights, View

READ = """
SELECT notification_id, originator_id, originator_version, fact_id, state
FROM commerce_events
WHERE split_part(topic, '.', 1) IN ('party', 'dataset', 'permission', 'agreement', 'subscription')
  AND notification_id > %s
ORDER BY notification_id
"""
VIEWS_MAX = 50_000


class _Asked(NamedTuple):
    """What a view depends on, beside the register and the time."""

    account: str
    party: str
    role: str
    credential: str
    behalf: str
    channel: Channel
    commercial: bool


class Register:
    """Makes views; remembers them for as long as the register stands still and nothing in them begins or ends."""

    def __init__(self, pool: Pool) -> None:
        """`pool`: of connections that may read the journal."""
        self._pool = pool
        self._lock = threading.Lock()
        self._rights = Rights()
        self._views: dict[_Asked, View] = {}
        self.refresh()

    @property
    def rights(self) -> Rights:
        return self._rights

    def refresh(self) -> None:
        """Read on to the end of the register."""
        with self._lock, self._pool.connection() as connection:
            if _read_on(connection, self._rights):
                self._views.clear()

    def view(self, account: Account, channel: Channel, *, commercial: bool = False, at: datetime | None = None) -> View:
        """What the caller may see through a channel, as far as this process has read. Raises Barred."""
        now = at or datetime.now(UTC)
        asked = _Asked(*_who(account), channel, commercial)
        known = self._views.get(asked)
        if known is not None and (known.until is None or now < known.until):
            return known
        with self._lock:
            made = self._rights.view(account, channel, now, commercial=commercial, behalf=account.behalf)
            if len(self._views) >= VIEWS_MAX:
                self._views.clear()
            self._views[asked] = made
        return made


def _who(account: Account) -> tuple[str, str, str, str, str]:
    return account.account, account.party, account.role, account.credential, account.behalf


def _read_on(connection: psycopg.Connection[Any], rights: Rights) -> bool:
    """True if there was something new."""
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(READ, (rights.position,), prepare=True).fetchall()
    for position, stream, version, fact_id, state in rows:
        rights.apply(Entry(position, stream, version, fact_id, fact.read(state)))
    return bool(rows)
