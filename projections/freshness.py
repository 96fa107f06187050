"""How fresh each source's word is: when it was last heard, how often it usually speaks, and which ones are silent now.

A *sending* is all that was received of a source at one moment. The usual interval is measured by time, not by count:
half of the last weeks passed in gaps no longer than this one, so a burst of a hundred messages weighs nothing and a
night without work weighs a night. A source is late when it is silent for longer than LATE_TIMES the usual interval, and
than LATE_LONG_TIMES the gaps in which it spent all but a twentieth of its time, and than LATE_SECONDS_MIN; one that was
heard fewer than SENDINGS_MIN times is never called late. What is repeated or cannot be understood makes no fact, and is
no word here. Gaps are counted in the order of the journal, so batches of any size give the same rows; all of them are
halved whenever they pass WINDOW_MS together, so older rhythms fade. Times are UTC.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row

from domain.fact import Confirmed, Corrected, Moved, Reinstated, Retracted, Stated
from domain.journal import Entry
from projections.timeline import local

LATE_TIMES = 3
LATE_LONG_TIMES = 1.5
LATE_SECONDS_MIN = 600
SENDINGS_MIN = 12
WINDOW_MS = 28 * 86_400_000

EDGES_MS = tuple(
    1000 * seconds
    for seconds in (
        *(1, 2, 5, 10, 20, 40, 60, 120, 300, 600, 900, 1800, 3600, 5400, 7200, 10_800, 14_400, 21_600, 28_800),
        *(43_200, 64_800, 86_400, 129_600, 172_800, 259_200, 345_600, 604_800, 1_209_600, 2_592_000),
    )
)
"""A bucket is what lies above one edge, up to and with the next; the last one is all that is longer."""

BUCKETS = len(EDGES_MS) + 1
SECOND = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)

NAME = "source_freshness"
JOURNAL = "cargo"
TABLES = ("source_freshness",)
TABLE = """
CREATE TABLE IF NOT EXISTS source_freshness (
    source           text COLLATE "C" PRIMARY KEY,
    facts            bigint NOT NULL,      -- statements, confirmations and corrections
    sendings         bigint NOT NULL,      -- moments at which something came
    last_recorded_at timestamptz NOT NULL,
    last_happened_at timestamptz,          -- the newest of what has happened: no plans, no estimates
    gaps             bigint[] NOT NULL,    -- between sendings, by length
    gaps_ms          bigint[] NOT NULL,    -- the time that passed in them
    lags             bigint[] NOT NULL     -- actual events by recorded_at - happened_at
);
"""
ALL = """
SELECT source, facts, sendings, last_recorded_at, last_happened_at, gaps, gaps_ms, lags
FROM source_freshness
WHERE %(only)s::text[] IS NULL OR source = ANY(%(only)s)
ORDER BY source
"""
UPSERT = """
INSERT INTO source_freshness (source, facts, sendings, last_recorded_at, last_happened_at, gaps, gaps_ms, lags)
VALUES (
    %(source)s, %(facts)s, %(sendings)s, %(last_recorded_at)s, %(last_happened_at)s,
    %(gaps)s::bigint[], %(gaps_ms)s::bigint[], %(lags)s::bigint[]
)
ON CONFLICT (source) DO UPDATE SET
    facts = excluded.facts,
    sendings = excluded.sendings,
    last_recorded_at = excluded.last_recorded_at,
    last_happened_at = excluded.last_happened_at,
    gaps = excluded.gaps,
    gaps_ms = excluded.gaps_ms,
    lags = excluded.lags
"""


class Heard(msgspec.Struct, kw_only=True):
    """What is known of one source's rhythm; the columns of the table."""

    source: str
    facts: int = 0
    sendings: int = 0
    last_recorded_at: datetime
    last_happened_at: datetime | None = None
    gaps: list[int]
    gaps_ms: list[int]
    lags: list[int]


# --- project ---

_TOLD = (Stated, Confirmed, Retracted, Corrected, Reinstated)


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Take what was known of the batch's sources, add the batch in the order of the journal, and store it."""
    told = [each for entry in entries if isinstance(each := entry.fact, _TOLD)]
    if not told:
        return
    names = list({each.source for each in told})
    known = {each.source: each for each in _read(cursor.connection, names)}
    for each in told:
        heard = known.get(each.source)
        if heard is None:
            heard = known[each.source] = _first(each.source, each.recorded_at)
        heard.facts += 1
        if each.recorded_at > heard.last_recorded_at:
            _gap(heard, each.recorded_at)
        if isinstance(each, Stated):
            _happened(heard, each)
    cursor.executemany(UPSERT, [msgspec.structs.asdict(known[source]) for source in sorted(known)])


def _first(source: str, at: datetime) -> Heard:
    empty = [0] * BUCKETS
    return Heard(source=source, sendings=1, last_recorded_at=at, gaps=empty, gaps_ms=[*empty], lags=[*empty])


def _gap(heard: Heard, at: datetime) -> None:
    """One more sending. The processes of a node may differ by moments: what seems to come before is of the same one."""
    gap_ms = (at - heard.last_recorded_at) // MILLISECOND
    size = bisect_left(EDGES_MS, gap_ms)
    heard.gaps[size] += 1
    heard.gaps_ms[size] += gap_ms
    heard.sendings += 1
    heard.last_recorded_at = at
    while sum(heard.gaps_ms) > WINDOW_MS:
        heard.gaps = [-(-count // 2) for count in heard.gaps]
        heard.gaps_ms = [passed // 2 for passed in heard.gaps_ms]


def _happened(heard: Heard, told: Stated) -> None:
    if isinstance(told, Moved) and told.classifier != "ACT":
        return
    if heard.last_happened_at is None or told.happened_at > heard.last_happened_at:
        heard.last_happened_at = told.happened_at
    heard.lags[bisect_left(EDGES_MS, (told.recorded_at - told.happened_at) // MILLISECOND)] += 1


# --- measures ---


def interval_s(heard: Heard, share: float = 0.5) -> float | None:
    """The gap up to which this share of the time passed, in seconds; None if nothing can be said.

    Within a bucket all gaps are taken as long as their mean.
    """
    wanted, passed = share * sum(heard.gaps_ms), 0
    for count, spent_ms in zip(heard.gaps, heard.gaps_ms, strict=True):
        passed += spent_ms
        if spent_ms and passed >= wanted:
            return spent_ms / count / 1000
    return None


def lag_s(heard: Heard, share: float = 0.5) -> float | None:
    """How long after an actual event its report came, in seconds: this share of them came no later.

    Told by the upper end of a bucket; None if there is none.
    """
    wanted, passed = share * sum(heard.lags), 0
    for place, count in enumerate(heard.lags):
        passed += count
        if count and passed >= wanted:
            return EDGES_MS[min(place, len(EDGES_MS) - 1)] / 1000
    return None


def late_after_s(heard: Heard) -> float | None:
    """After how many seconds of silence this source is late; None while too little is known of its rhythm."""
    usual, long = interval_s(heard), interval_s(heard, 0.95)
    if usual is None or long is None or heard.sendings < SENDINGS_MIN:
        return None
    return max(LATE_TIMES * usual, LATE_LONG_TIMES * long, LATE_SECONDS_MIN)


# --- queries ---


class Silence(msgspec.Struct, frozen=True):
    """A source that is silent for longer than is usual with it."""

    source: str
    last_at: datetime  # when it was last heard, UTC
    usual_interval_s: float
    silent_for_s: float
    zh: str
    en: str


def freshness(connection: psycopg.Connection[Any], only: Sequence[str] | None = None) -> list[Heard]:
    """Every source that was ever heard, or some of them, by name."""
    return _read(connection, only)


def _read(connection: psycopg.Connection[Any], only: Sequence[str] | None) -> list[Heard]:
    with connection.cursor(row_factory=class_row(Heard)) as cursor:
        return cursor.execute(ALL, {"only": list(only) if only is not None else None}, prepare=True).fetchall()


def late(connection: psycopg.Connection[Any], sources: Sequence[str] | None, now: datetime) -> list[Silence]:
    """Those of these sources (of all, if None) that are late at that moment, by name."""
    found = [silence(heard, now) for heard in _read(connection, sources)] if sources is None or sources else []
    return [each for each in found if each is not None]


def silence(heard: Heard, now: datetime) -> Silence | None:
    """What is to be said of a source's silence at that moment; None if it is not late."""
    after_s, usual_s = late_after_s(heard), interval_s(heard)
    silent_s = (now - heard.last_recorded_at) / SECOND
    if after_s is None or usual_s is None or silent_s <= after_s:
        return None
    since = local(heard.last_recorded_at, "Asia/Shanghai")[:16].replace("T", " ")
    zh = f"{heard.source} 自北京时间 {since} 起没有消息，已{span(silent_s, 'zh')}；平常每{span(usual_s, 'zh')}一次"
    en = (
        f"nothing from {heard.source} for {span(silent_s, 'en')}, since {heard.last_recorded_at:%Y-%m-%dT%H:%MZ};"
        f" usually every {span(usual_s, 'en')}"
    )
    return Silence(heard.source, heard.last_recorded_at, round(usual_s, 1), round(silent_s, 1), zh, en)


UNITS = ((86_400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min"), (1, "秒", "s"))


def span(seconds: float, lang: str) -> str:
    """A length of time in its largest unit of which there are two, rounded.

    >>> span(7300, "zh"), span(100_000, "en"), span(90, "en"), span(0.2, "en")
    ('2小时', '28 h', '90 s', '0 s')
    """
    size, zh, en = next((unit for unit in UNITS if seconds >= 2 * unit[0]), UNITS[-1])
    return f"{round(seconds / size)}{zh}" if lang == "zh" else f"{round(seconds / size)} {en}"
