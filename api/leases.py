"""How much a caller may ask in any window of time: one count for all processes, by credential, party and address.

Tokens are leased: a process takes a block of them from the table `rates` and spends it by itself, so a request costs a
look into a dictionary, and one question to the database, in a thread, serves thousands. The table keeps what was handed
out in the last eleven tenths of a window and never hands out more than the limit in them; what a process holds is at
most one block. Hence in any window P processes together let pass at most limit + P × block (a block: a twentieth of the
limit, or the dearest request, if that is more). Rests of blocks that lie in processes may be missed by others.
Seconds; `clock` is monotonic, the table's time is the database's. docs/decisions/014-rates.md tells why.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv6Address, ip_network
from math import ceil
from queue import Empty, SimpleQueue
from typing import NamedTuple

import msgspec
import psycopg

from api.identity import Account
from api.pool import Kept, Pool
from api.problems import TooManyRequests
from domain.writer import Busy

log = logging.getLogger("kouan.leases")

SLICES = 10
BLOCKS = 20  # into so many blocks a limit is cut
LOW = 4  # a block is filled up when less than a fourth of it is left
WAIT_SECONDS_MAX = 1.0
STRICT_SECONDS_MAX = 5.0  # where nobody is let through uncounted, waiting is better than a refusal
DOWN_SECONDS = 1.0  # for so long a database that did not answer is not asked again
SWEEP_SECONDS = 60.0
LOG_SECONDS = 10.0
ASKED_MAX = 500
CALLERS_MAX = 50_000
Header = tuple[bytes, bytes]

TAKE = """
INSERT INTO rates AS held (bucket, policy, tokens, slice, used, granted, touched, idle_at)
SELECT bucket, policy, tokens, floor(now * 10 / seconds), asked || array_fill(0, ARRAY[10]), asked, now,
       now + 2 * seconds
FROM unnest(%(bucket)s::bytea[], %(policy)s::text[], %(tokens)s::integer[], %(seconds)s::integer[],
            %(asked)s::integer[]) AS asking (bucket, policy, tokens, seconds, asked),
     (SELECT coalesce(%(now)s::float8, extract(epoch FROM clock_timestamp())::float8) AS now) AS clock
ORDER BY bucket
ON CONFLICT (bucket) DO UPDATE SET (tokens, slice, used, granted, touched, idle_at) = (
    SELECT EXCLUDED.tokens, step.slice, (moved.used[1] + given.tokens) || moved.used[2:], given.tokens,
           EXCLUDED.touched, EXCLUDED.idle_at
    FROM (SELECT EXCLUDED.slice < held.slice - 11 AS is_past) AS clock,  -- somebody set it back
         LATERAL (
             SELECT CASE WHEN is_past THEN EXCLUDED.slice ELSE greatest(EXCLUDED.slice, held.slice) END AS slice,
                    CASE WHEN is_past THEN 11 ELSE least(greatest(EXCLUDED.slice - held.slice, 0), 11) END::integer AS n
         ) AS step,
         LATERAL (SELECT array_fill(0, ARRAY[step.n]) || held.used[1:11 - step.n] AS used) AS moved,
         LATERAL (
             SELECT least(EXCLUDED.granted, greatest(EXCLUDED.tokens - sum(each), 0))::integer AS tokens
             FROM unnest(moved.used) AS each
         ) AS given
)
RETURNING bucket, slice, used, granted, touched
"""
SWEEP = """
DELETE FROM rates
WHERE bucket IN (
    SELECT bucket FROM rates
    WHERE idle_at < coalesce(%(now)s::float8, extract(epoch FROM clock_timestamp())::float8)
    FOR UPDATE SKIP LOCKED
)
"""


# --- what is limited ---


class Policy(msgspec.Struct, frozen=True):
    """So many tokens in any window of so many seconds, for each caller of this kind."""

    name: str
    tokens: int
    seconds: int
    strict: bool = False  # nobody passes while the database cannot say how much is left

    @property
    def block(self) -> int:
        return max(1, self.tokens // BLOCKS)


@lru_cache(10_000)
def network(address: str) -> str:
    """Whom an address stands for: an IPv6 host has 2^64 of them.

    >>> network("2001:db8::1:2"), network("192.0.2.7")
    ('2001:db8::/64', '192.0.2.7')
    """
    if ":" not in address:
        return address
    try:
        found = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(found.ipv4_mapped) if found.ipv4_mapped else str(ip_network((int(found) >> 64 << 64, 64)))


# --- what a process holds ---


class Lease:
    """What is left of the block that this process holds of one bucket. Touched by the event loop alone."""

    __slots__ = (
        "asked",
        "block",
        "bucket",
        "closed_until",
        "frees",
        "left",
        "low",
        "more_at",
        "name",
        "policy",
        "rest",
    )

    def __init__(self, policy: Policy, caller: str) -> None:
        self.policy, self.block = policy, policy.block
        self.name = f'"{policy.name}"'.encode()  # as the fields tell it
        self.low = self.block // LOW
        self.bucket = sha256(f"{policy.name}/{policy.seconds}:{caller}".encode(errors="replace")).digest()[:16]
        self.left = 0
        self.rest = policy.tokens  # in the table, when it was last asked
        self.asked: asyncio.Future[None] | None = None
        self.closed_until = 0.0  # clock; the table had less than it was asked for, and cannot have more before
        self.more_at = 0.0  # clock; when the oldest that was handed out leaves the window
        self.frees: list[tuple[float, int]] = []  # when how many tokens come back

    def back_at(self, cost: int) -> float:
        """When, by the clock, there may be enough."""
        missing = cost - self.left
        for at, tokens in self.frees:
            missing -= tokens
            if missing <= 0:
                return at
        return self.closed_until


class Buckets:
    """The leases that one caller spends from, and what is told of them with each answer."""

    __slots__ = ("leases", "most", "policy", "strict")

    def __init__(self, leases: Sequence[Lease]) -> None:
        self.leases = tuple(leases)
        self.most = min((lease.policy.tokens for lease in leases), default=0)  # a dearer request costs this
        self.strict = any(lease.policy.strict for lease in leases)
        told = (f'"{lease.policy.name}";q={lease.policy.tokens};w={lease.policy.seconds}' for lease in leases)
        self.policy: Header = (b"ratelimit-policy", ", ".join(told).encode())

    def remaining(self, now: float) -> Header:
        """The `RateLimit` field (draft-ietf-httpapi-ratelimit-headers-11): of the lease with the least left."""
        tightest, least = self.leases[0], 1 << 62
        for lease in self.leases:
            if (left := lease.left + lease.rest) < least:
                tightest, least = lease, left
        wait = int(tightest.more_at - now) + 1 if tightest.more_at > now else tightest.policy.seconds
        return (b"ratelimit", b"%b;r=%d;t=%d" % (tightest.name, least, wait))


class Ask(NamedTuple):
    """To the table: so many tokens more."""

    lease: Lease
    tokens: int
    loop: asyncio.AbstractEventLoop


class Grant(NamedTuple):
    """From the table."""

    slice: int
    used: list[int]
    granted: int
    touched: float


# --- who counts ---


class Limiter:
    """Counts for one process. A test gives the time: seconds since 1970, for the process and the table alike."""

    def __init__(self, pool: Pool, policies: Mapping[str, Policy], now: Callable[[], float] | None = None) -> None:
        self.policies = policies
        self.clock = now or time.monotonic
        self._now = now
        self._kept = Kept(pool)
        self._known: dict[tuple[str, str, str], Buckets] = {}
        self._strangers: dict[tuple[str, str], Buckets] = {}
        self._leases: dict[tuple[str, str], Lease] = {}  # of those who are known
        self._asks: SimpleQueue[Ask | None] = SimpleQueue()
        self._down_until = self._logged_at = self._swept_at = 0.0  # time.monotonic
        self._thread = threading.Thread(target=self._run, name="rates", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._asks.put(None)
        self._thread.join()
        self._kept.give_back()

    def of(self, account: Account) -> Buckets:
        """What a caller who has said who he is spends from."""
        credential, address = account.credential or account.account, account.address
        found = self._known.get((credential, account.party, address))
        if found is None:
            if len(self._known) >= CALLERS_MAX:
                self._known, self._leases = {}, {}
            callers = (("key", credential), ("party", account.party), ("address", network(address)))
            leases = [self._lease(name, caller) for name, caller in callers if caller and name in self.policies]
            found = self._known[credential, account.party, address] = Buckets(leases)
        return found

    def stranger(self, address: str, policy: str = "anonymous") -> Buckets:
        """What an address spends from where nobody has said who he is, or somebody tries to."""
        key = (policy, network(address))
        found = self._strangers.get(key)
        if found is None:
            if len(self._strangers) >= CALLERS_MAX:  # a flood from everywhere takes no memory; the table remembers
                self._strangers = {}
            leases = [Lease(self.policies[policy], key[1])] if policy in self.policies else []
            found = self._strangers[key] = Buckets(leases)
        return found

    def _lease(self, policy: str, caller: str) -> Lease:
        return self._leases.setdefault((policy, caller), Lease(self.policies[policy], caller))

    # --- on the event loop ---

    def spend(self, buckets: Buckets, cost: int) -> bool:
        """Whether there was enough at hand in all of them; else nothing is spent."""
        leases = buckets.leases
        for lease in leases:
            if lease.left < cost:
                return False
        for lease in leases:
            lease.left -= cost
            if lease.left < lease.low and lease.asked is None:
                self._ahead(lease)
        return True

    async def take(self, buckets: Buckets, cost: int) -> None:
        """Spend, after asking the database where it must be. Raises TooManyRequests, or Busy where it is strict."""
        cost = min(cost, buckets.most)
        deadline = time.monotonic() + (STRICT_SECONDS_MAX if buckets.strict else WAIT_SECONDS_MAX)
        while not self.spend(buckets, cost):
            short = [lease for lease in buckets.leases if lease.left < cost]
            closed = [lease for lease in short if lease.asked is None and lease.closed_until > self.clock()]
            if closed:
                raise self._too_many(buckets, closed, cost)
            wait = deadline - time.monotonic()
            if wait <= 0 or time.monotonic() < self._down_until:
                self._down_until = time.monotonic() + DOWN_SECONDS if wait <= 0 else self._down_until
                return self._blind(buckets)
            asked = [lease.asked or self._ask(lease, max(lease.block, cost) - lease.left) for lease in short]
            await asyncio.wait(asked, timeout=wait)
        return None

    def _ahead(self, lease: Lease) -> None:
        if lease.closed_until <= self.clock() and self._down_until <= time.monotonic():
            self._ask(lease, lease.block - lease.left)

    def _ask(self, lease: Lease, tokens: int) -> "asyncio.Future[None]":
        loop = asyncio.get_running_loop()
        lease.asked = asked = loop.create_future()
        self._asks.put(Ask(lease, tokens, loop))
        return asked

    def _too_many(self, buckets: Buckets, closed: Sequence[Lease], cost: int) -> TooManyRequests:
        last = max(closed, key=lambda lease: lease.back_at(cost))
        seconds, policy = max(1, ceil(last.back_at(cost) - self.clock())), last.policy
        error = TooManyRequests(
            f"{policy.name}：{policy.seconds} 秒内至多 {policy.tokens} 次，请 {seconds} 秒后再试"
            f" / {policy.name}: at most {policy.tokens} in {policy.seconds} s; ask again in {seconds} s",
            policy=policy.name,
            limit=policy.tokens,
            window_seconds=policy.seconds,
            cost=cost,
            seconds=seconds,
        )
        fields = (buckets.policy, (b"ratelimit", f'"{policy.name}";r={last.left};t={seconds}'.encode()))
        error.headers = {**error.headers, **{name.decode(): value.decode() for name, value in fields}}
        return error

    def _blind(self, buckets: Buckets) -> None:
        if buckets.strict:
            raise Busy("暂不能确认请求频率 / how much was asked cannot be told now; try again, or send a key")
        if time.monotonic() - self._logged_at > LOG_SECONDS:
            self._logged_at = time.monotonic()
            log.warning("限流暂停：数据库不可用 / limits are off: the database cannot be reached")

    def _settle(self, grants: Sequence[tuple[Lease, Grant | None, int]]) -> None:
        now = self.clock()
        for lease, grant, asked in grants:
            if grant is None:
                self._down_until = time.monotonic() + DOWN_SECONDS
            else:
                self._down_until = 0.0
                _receive(lease, grant, asked, now)
            told, lease.asked = lease.asked, None
            if told is not None and not told.done():
                told.set_result(None)

    # --- in the thread ---

    def _run(self) -> None:
        while (first := self._asks.get()) is not None:
            asks: dict[bytes, Ask] = {first.lease.bucket: first}
            while len(asks) < ASKED_MAX:
                try:
                    each = self._asks.get_nowait()
                except Empty:
                    break
                if each is None or each.lease.bucket in asks:  # a bucket whose lease was forgotten meanwhile
                    self._asks.put(each)
                    break
                asks[each.lease.bucket] = each
            self._answer(list(asks.values()))

    def _answer(self, asks: Sequence[Ask]) -> None:
        grants: dict[bytes, Grant] = {}
        try:
            grants = self._kept.run(lambda connection: self._grants(connection, asks))
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must hear it, and the thread live on
            log.warning("限流表不可用 / the table of limits cannot be used: %s", error)
        for loop in {ask.loop for ask in asks}:
            told = [(ask.lease, grants.get(ask.lease.bucket), ask.tokens) for ask in asks if ask.loop is loop]
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._settle, told)

    def _grants(self, connection: psycopg.Connection, asks: Sequence[Ask]) -> dict[bytes, Grant]:
        """Asked again after a lost connection, it may hand out twice: the caller has less then, never more."""
        now = self._now() if self._now else None
        if time.monotonic() - self._swept_at > SWEEP_SECONDS:
            self._swept_at = time.monotonic()
            connection.execute(SWEEP, {"now": now})
        values = {
            "bucket": [ask.lease.bucket for ask in asks],
            "policy": [ask.lease.policy.name for ask in asks],
            "tokens": [ask.lease.policy.tokens for ask in asks],
            "seconds": [ask.lease.policy.seconds for ask in asks],
            "asked": [ask.tokens for ask in asks],
            "now": now,
        }
        return {bytes(bucket): Grant(*row) for bucket, *row in connection.execute(TAKE, values, prepare=True)}


def _receive(lease: Lease, grant: Grant, asked: int, now: float) -> None:
    width = lease.policy.seconds / SLICES
    oldest_first = range(SLICES, -1, -1)
    ends = {age: (grant.slice - age + SLICES + 1) * width - grant.touched for age in oldest_first}
    lease.frees = [(now + ends[age], grant.used[age]) for age in oldest_first if grant.used[age]]
    lease.left += grant.granted
    lease.rest = lease.policy.tokens - sum(grant.used)
    lease.more_at = lease.frees[0][0]
    lease.closed_until = lease.more_at if grant.granted < asked else 0.0
