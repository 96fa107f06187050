"""The sources and their clocks: `GET /v1/sources`, and how the times of each one are taken, set by operators.

A source's policy says what becomes of an actual event that lies in the future when it comes, and which zone its clock
has (domain/clocks.py). Each process remembers the policies for POLICY_SECONDS.
"""

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Any, Literal
from weakref import WeakKeyDictionary

import msgspec
import psycopg
from litestar import Request, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.identity import caller, needs
from api.intake import Whence
from api.pool import Pool
from domain.clocks import SKEW, STRICT, OnFuture, Policy, known_zone
from domain.errors import Malformed, Unknown
from projections import clocks
from projections.clocks import SourceClock

POLICY_SECONDS = 3.0
SKEW_SECONDS = SKEW.total_seconds()

TABLES = """
CREATE TABLE IF NOT EXISTS source_policies (
    source     text PRIMARY KEY,
    on_future  text NOT NULL CHECK (on_future IN ('quarantine', 'estimate')),
    zone       text NOT NULL DEFAULT '',      -- IANA name of the source's own clock; '' if it is not agreed
    changed_by text NOT NULL,                 -- account
    changed_at timestamptz NOT NULL
);
"""
READ = "SELECT source, on_future, zone FROM source_policies"
SET = """
INSERT INTO source_policies (source, on_future, zone, changed_by, changed_at)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (source) DO UPDATE
SET on_future = excluded.on_future, zone = excluded.zone,
    changed_by = excluded.changed_by, changed_at = excluded.changed_at
"""
NAMES = """
SELECT account, zh, en FROM accounts
WHERE role = 'source' AND (%(only)s::text IS NULL OR account = %(only)s)
"""
QUARANTINED = """
SELECT source, count(*)
FROM cargo_quarantine
WHERE code IN ('time.future', 'time.far') AND state IN ('open', 'waiting')
  AND (%(only)s::text IS NULL OR source = %(only)s)
GROUP BY source
"""

log = logging.getLogger("kouan.sources")


class BadZone(Malformed):
    slug = "bad-zone"
    title = "The time zone is not known"


# --- the policies, as the ways in ask for them ---


class Policies:
    """What a process knows of the policies; read again when it is older than POLICY_SECONDS."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._read_at = float("-inf")
        self._known: dict[str, Policy] = {}

    def of(self, source: str) -> Policy:
        """The policy of a source. While the database is away, that which was read last."""
        if time.monotonic() - self._read_at > POLICY_SECONDS:
            self._read_at = time.monotonic()  # first: those who come meanwhile need not wait too
            try:
                with self._pool.connection() as connection:
                    self._known = {row[0]: Policy(row[1], row[2]) for row in connection.execute(READ, prepare=True)}
            except psycopg.OperationalError as error:
                log.warning("the policies of the sources cannot be read: %s", error)
        return self._known.get(source, STRICT)

    def forget(self) -> None:
        """Read again at the next question."""
        self._read_at = float("-inf")


_policies: WeakKeyDictionary[Pool, Policies] = WeakKeyDictionary()


def policies(pool: Pool) -> Policies:
    """Those of the database behind a pool, one for the whole process."""
    return _policies.setdefault(pool, Policies(pool)) if pool not in _policies else _policies[pool]


def ruled(whence: Whence, pool: Pool) -> Whence:
    """With the policy of the source; every way in says this of what it takes."""
    return msgspec.structs.replace(whence, policy=policies(pool).of(whence.source))


# --- who they are and how their clocks go ---


class ZoneCounts(msgspec.Struct, frozen=True):
    """How the time zones of its facts were known."""

    stated: int = 0
    place: int = 0
    source: int = 0
    assumed: int = 0


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One source. Delays are seconds from sending to receipt, told from buckets; null where no sending is known."""

    source: str
    zh: str
    en: str
    on_future: OnFuture
    zone: str
    facts: int = 0
    confirmations: int = 0
    withdrawals: int = 0
    last_recorded_at: datetime | None = None
    last_happened_at: datetime | None = None
    without_sent_at: int = 0
    sent_ahead: int = 0  # sent more than five minutes after the receipt
    future: int = 0  # actual, and recorded although it lay in the future
    quarantined: int = 0  # messages that wait in quarantine for their times
    old: int = 0  # more than two years before the receipt
    zone_from: ZoneCounts = ZoneCounts()
    skew_seconds: float | None = None  # the median delay
    delay_seconds_p99: float | None = None
    skewed: bool = False
    remark_zh: str
    remark_en: str


class Sources(msgspec.Struct, frozen=True):
    sources: list[Source]


REMARKS = {
    "none": ("尚无报送", "has reported nothing yet"),
    "unsent": (
        "报文未给出发送时间，无法比对时钟",
        "its messages do not say when they were sent: its clock cannot be compared",
    ),
    "even": ("时钟正常", "its clock agrees with ours"),
    "behind": (
        "收到时间明显晚于发送时间：积压、补报，或对方时钟偏慢",
        "received long after sending: held back, told again, or its clock is slow",
    ),
    "ahead": (
        "发送时间晚于收到时间：对方时钟偏快或时区有误",
        "sent after its receipt: its clock is fast, or its time zone is wrong",
    ),
}


def verdict(clock: SourceClock | None) -> Literal["none", "unsent", "even", "behind", "ahead"]:
    """What is to be said of a clock."""
    if clock is None or not clock.facts:
        return "none"
    median = clocks.percentile(clock.delays, 0.5)
    if median is None:
        return "unsent"
    if abs(median) <= SKEW_SECONDS:
        return "even"
    return "behind" if median > 0 else "ahead"


def sources(pool: Pool, only: str | None) -> list[Source]:
    """Every source with an account or a fact, or one of them, by name."""
    with pool.connection() as connection:
        names = {row[0]: (row[1], row[2]) for row in connection.execute(NAMES, {"only": only})}
        known = {clock.source: clock for clock in clocks.clocks(connection, only)}
        waiting: dict[str, int] = dict(connection.execute(QUARANTINED, {"only": only}).fetchall())
        agreed = {row[0]: Policy(row[1], row[2]) for row in connection.execute(READ)}
    return [
        _source(name, names.get(name, (name, name)), agreed.get(name, STRICT), known.get(name), waiting.get(name, 0))
        for name in sorted(names.keys() | known.keys())
    ]


def _source(name: str, names: tuple[str, str], policy: Policy, clock: SourceClock | None, waiting: int) -> Source:
    found = verdict(clock)
    told: dict[str, Any] = {}
    if clock is not None:
        told = {
            "facts": clock.facts,
            "confirmations": clock.confirmations,
            "withdrawals": clock.withdrawals,
            "last_recorded_at": clock.last_recorded_at,
            "last_happened_at": clock.last_happened_at,
            "without_sent_at": clock.unsent,
            "sent_ahead": clock.sent_ahead,
            "future": clock.future,
            "old": clock.old,
            "zone_from": ZoneCounts(clock.zone_stated, clock.zone_place, clock.zone_source, clock.zone_assumed),
            "skew_seconds": clocks.percentile(clock.delays, 0.5),
            "delay_seconds_p99": clocks.percentile(clock.delays, 0.99),
        }
    return Source(
        source=name,
        zh=names[0],
        en=names[1],
        on_future=policy.on_future,
        zone=policy.zone,
        quarantined=waiting,
        skewed=found in {"behind", "ahead"},
        remark_zh=REMARKS[found][0],
        remark_en=REMARKS[found][1],
        **told,
    )


@get("/v1/sources", guards=[needs("operator", "source")], tags=["operate"])
async def listed(request: Request[Any, Any, Any], pool: NamedDependency[Pool]) -> Sources:
    """The sources and how their clocks go: all to an operator, to a source itself."""
    account = caller(request)
    only = None if account.role == "operator" else account.account
    return Sources(await asyncio.to_thread(sources, pool, only))


# --- the policy ---


class PolicyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole policy: what is left out falls back to the strict one."""

    on_future: OnFuture = "quarantine"
    zone: str = ""


@put("/v1/sources/{source:str}/policy", guards=[needs("operator")], tags=["operate"])
async def set_policy(
    request: Request[Any, Any, Any], source: FromPath[str], pool: NamedDependency[Pool], data: JSONBody[PolicyBody]
) -> Source:
    """Set how the times of a source are taken. Counts from the next message on, in every process within seconds."""
    if data.zone and not known_zone(data.zone):
        raise BadZone(f"时区 {data.zone[:60]!r} 未知 / not an IANA time zone: {data.zone[:60]!r}", zone=data.zone[:60])
    by = caller(request).account

    def write() -> Source:
        found = sources(pool, source)
        if not found:
            raise Unknown(f"没有来源 {source[:60]!r} / there is no source {source[:60]!r}", source=source[:60])
        with pool.connection() as connection:
            connection.execute(SET, (source, data.on_future, data.zone, by, datetime.now(UTC)))
        log.info("%s set the policy of %s: %s, zone %r", by, source, data.on_future, data.zone)
        policies(pool).forget()
        return msgspec.structs.replace(found[0], on_future=data.on_future, zone=data.zone)

    return await asyncio.to_thread(write)


ROUTES = (listed, set_policy)
