"""How many units of what is included or ordered are left this month: one count for all processes, by holder and item.

Units are leased, as in api/leases.py: a process takes a block from the table `quota` and hands it out by itself, so a
call costs a look into a dictionary. A unit is counted in the table before the work that needs it begins; a hard limit
is never exceeded, whatever dies when. Blocks get smaller as the limit comes near, and what lies idle goes back after
IDLE_SECONDS: so near its end a holder may be refused units that lie in another process, for so long at most.

A process that dies takes the rest of its blocks with it, one for each holder and item. They come back when its lease
has been over for DEAD_SECONDS: what it was handed, less what the usage entries say it delivered. Months are those of
Asia/Shanghai; monotonic seconds.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import psycopg

from api.pool import Pool

log = logging.getLogger("kouan.quota")

BLOCK = 1_000  # units at most that one process holds of one holder and item, under a hard limit
SOFT_BLOCK = 200
PARTS = 16  # of what is left, a block is one
LEASE_SECONDS, IDLE_SECONDS, DEAD_SECONDS = 120.0, 5.0, 600.0
TICK_SECONDS = 2.0
REFUSED_SECONDS = 0.5  # for so long the table is not asked again for what it did not have
MARKS = (80, 100)  # per cent at which the holder is told

ROW = "INSERT INTO quota (holder, item, month, granted) VALUES (%s, %s, %s, 0) ON CONFLICT DO NOTHING"
LOCK = "SELECT granted FROM quota WHERE holder = %s AND item = %s AND month = %s FOR UPDATE"
TAKE = "UPDATE quota SET granted = granted + %s WHERE holder = %s AND item = %s AND month = %s"
HOLD = """
INSERT INTO quota_leases AS had (process, holder, item, month, held, until)
VALUES (%s, %s, %s, %s, %s, now() + %s * interval '1 second')
ON CONFLICT (process, holder, item, month) DO UPDATE
SET held = had.held + excluded.held, until = excluded.until
"""
WARNED = "UPDATE quota SET warned = %s WHERE holder = %s AND item = %s AND month = %s AND warned < %s RETURNING warned"
DEAD = """
SELECT process, holder, item, month, held
FROM quota_leases
WHERE until < now() - %s * interval '1 second'
LIMIT 100
FOR UPDATE SKIP LOCKED
"""
USED = """
SELECT coalesce(sum(quantity) FILTER (WHERE result IN ('ok', 'sent')), 0)::bigint
FROM usage_entries
WHERE meter = 'delivery/1' AND stream = %(process)s AND item = %(item)s
  AND coalesce(corrects_period, billing_period) = %(month)s
  AND coalesce(nullif(party, ''), 'account:' || account) = %(holder)s
"""
COUNTED = """
SELECT (SELECT position FROM read_model_positions WHERE name = 'usage') >= coalesce(max(notification_id), 0)
FROM commerce_events
WHERE originator_id = %s
"""
FORGET = "DELETE FROM quota_leases WHERE process = %s AND holder = %s AND item = %s AND month = %s"


def marked(used: int, limit: int | None) -> int:
    """The mark that was reached, of MARKS; 0: none.

    >>> marked(79, 100), marked(80, 100), marked(5, 5), marked(5, None), marked(0, 0)
    (0, 80, 100, 0, 100)
    """
    return 0 if limit is None else max((each for each in MARKS if used * 100 >= limit * each), default=0)


class Key(NamedTuple):
    """Whose units of what, in which month (YYYY-MM)."""

    holder: str
    item: str
    month: str


class Lease:
    """What this process holds, touched under the lock of `Quota`. `line`: one thread at a time asks the table."""

    __slots__ = ("granted", "key", "left", "limit", "line", "refused_at", "until", "used_at", "warned")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.line = threading.Lock()
        self.left = 0
        self.granted = 0  # of all processes, when the table was last asked
        self.limit: int | None = None
        self.until = self.used_at = 0.0
        self.refused_at = -REFUSED_SECONDS
        self.warned = 0

    @property
    def used(self) -> int:
        """By all processes, as far as this one knows; what lies in the others counts as used."""
        return self.granted - self.left


class Quota:
    """The leases of one process."""

    def __init__(self, pool: Pool, process: str, warn: Callable[[Key, int, int], None] = lambda *_: None) -> None:
        """`process`: its stream of deliveries. `warn`: told once a month of (whose, per cent, limit)."""
        self._pool, self._process, self._warn = pool, process, warn
        self._lock = threading.Lock()
        self._leases: dict[Key, Lease] = {}
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._marks: SimpleQueue[tuple[Key, int, int] | None] = SimpleQueue()
        self._looked_at = time.monotonic()

    def quick(self, key: Key, most: int, limit: int | None) -> Lease | None:
        """`most` units, if they are at hand; else None."""
        lease = self._leases.get(key)
        with self._lock:
            if lease is None or lease.left < most or lease.limit != limit or lease.until < time.monotonic():
                return None
            lease.left -= most
            lease.used_at = time.monotonic()
            return lease

    def take(self, key: Key, most: int, limit: int | None, *, hard: bool) -> tuple[Lease, int]:
        """(the lease, how many of `most` units may be used): fewer only under a hard limit. May ask the database."""
        with self._lock:
            lease = self._leases.setdefault(key, Lease(key))
        with lease.line:
            if self.quick(key, most, limit):
                return lease, most
            now = time.monotonic()
            if not (hard and lease.limit == limit and now - lease.refused_at < REFUSED_SECONDS):
                self._ask(lease, most, limit, hard=hard)
            with self._lock:
                allowed = max(0, min(most, lease.left)) if hard else most
                lease.left -= allowed
                lease.used_at = now
        if allowed < most:
            self._marked(lease)
        self._watch()
        return lease, allowed

    def settle(self, lease: Lease, allowed: int, used: int) -> None:
        """So many were used, and the others are there again. More than were allowed are owed to the next block."""
        with self._lock:
            lease.left += allowed - used
        if lease.limit:
            self._marked(lease)

    def stop(self) -> None:
        """Give back what lies here."""
        self._over.set()
        self._marks.put(None)
        if self._thread is not None:
            self._thread.join(5)
        with suppress(psycopg.Error, OSError):
            self._give_back(0.0)

    # --- the table ---

    def _ask(self, lease: Lease, most: int, limit: int | None, *, hard: bool) -> None:
        """Fill it up."""
        now, key = time.monotonic(), lease.key
        with self._lock:
            if lease.until < now:
                lease.left = min(lease.left, 0)  # its rest may have gone back as that of a dead process
            short = most - lease.left
        with self._pool.connection() as connection, connection.transaction():
            connection.execute(ROW, key, prepare=True)
            row = connection.execute(LOCK, key, prepare=True).fetchone()
            granted = row[0] if row else 0
            room = max(0, limit - granted) if hard and limit is not None else BLOCK * PARTS
            given = min(max(0, short) + min(BLOCK, room // PARTS), room) if hard else max(0, short) + SOFT_BLOCK
            connection.execute(TAKE, (given, *key), prepare=True)
            connection.execute(HOLD, (self._process, *key, given, LEASE_SECONDS), prepare=True)
        with self._lock:
            lease.left += given
            lease.granted, lease.limit, lease.until = granted + given, limit, now + LEASE_SECONDS / 2
            lease.refused_at = now if given < short else -REFUSED_SECONDS

    def _give_back(self, idle: float) -> None:
        """What has not been touched for so long."""
        now = time.monotonic()
        for lease in list(self._leases.values()):
            with lease.line:
                with self._lock:
                    rest = lease.left if now - lease.used_at >= idle and lease.left > 0 else 0
                    lease.left -= rest
                    rest = 0 if lease.until + LEASE_SECONDS / 4 < now else rest  # too late: it counts as a dead one's
                if not rest:
                    continue
                with self._pool.connection() as connection, connection.transaction():
                    connection.execute(LOCK, lease.key)
                    connection.execute(TAKE, (-rest, *lease.key))
                    connection.execute(HOLD, (self._process, *lease.key, -rest, LEASE_SECONDS))
                with self._lock:
                    lease.granted -= rest

    def _marked(self, lease: Lease) -> None:
        """Have 80 and 100 per cent told, beside the call."""
        limit = lease.limit
        if not limit:
            return
        mark = marked(lease.used, limit)
        if mark <= lease.warned:
            return
        lease.warned = mark
        self._marks.put((lease.key, mark, limit))
        self._watch()

    # --- beside the calls ---

    def _watch(self) -> None:
        with self._lock:
            if self._thread is None and not self._over.is_set():
                self._thread = threading.Thread(target=self._run, name="quota", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._tell(TICK_SECONDS)
                self._give_back(IDLE_SECONDS)
                if time.monotonic() - self._looked_at > LEASE_SECONDS:
                    self._looked_at = time.monotonic()
                    with self._pool.connection() as connection:
                        reclaim(connection)
            except Exception as error:  # noqa: BLE001  whatever it is, the next round may do better
                log.warning("配额表不可用 / the table of quotas cannot be used: %s", error)

    def _tell(self, seconds: float) -> None:
        """Wait so long for a mark that was reached; of several processes the first one tells."""
        try:
            mark = self._marks.get(timeout=seconds)
        except Empty:
            return
        if mark is None:
            return
        key, per_cent, limit = mark
        with self._pool.connection() as connection:
            first = connection.execute(WARNED, (per_cent, *key, per_cent)).fetchone()
        if first:
            self._warn(key, per_cent, limit)


def reclaim(connection: psycopg.Connection[Any], dead_seconds: float = DEAD_SECONDS) -> int:
    """Give back what dead processes held and did not deliver, once their deliveries are counted. Returns units."""
    back = 0
    with connection.transaction():
        for process, *key, held in connection.execute(DEAD, (dead_seconds,)).fetchall():
            counted = connection.execute(COUNTED, (process,)).fetchone()
            if counted is None or not counted[0]:
                continue
            given = dict(zip(("process", "holder", "item", "month"), (process, *key), strict=True))
            [used] = connection.execute(USED, given).fetchone() or (0,)
            rest = max(0, held - used)
            connection.execute(TAKE, (-rest, *key))
            connection.execute(FORGET, (process, *key))
            back += rest
    return back
