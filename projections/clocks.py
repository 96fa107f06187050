"""The clocks of the sources: how long after its sending, and after its happening, each one's word arrives.

One row for each source, of sums and maxima only, so batches of any size give the same rows. `delays` counts
`recorded_at - sent_at` in buckets from which median and percentiles are told to within a bucket. Times are UTC, delays
seconds; a negative delay is a message sent after it was received: a clock ahead of ours.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row

from domain.clocks import FUTURE, OLD, SKEW
from domain.fact import Confirmed, Corrected, Moved, Retracted, Stated
from domain.journal import Entry

DAY = 86_400
EDGES = (1, 2, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, DAY, 2 * DAY, 7 * DAY, 30 * DAY)
"""Seconds, of either sign. A bucket is what lies above one edge, up to and with the next; the middle one is -1 to 1."""

BUCKETS = 2 * len(EDGES) + 1

NAME = "source_clocks"
JOURNAL = "cargo"
TABLES = ("source_clocks",)
TABLE = """
CREATE TABLE IF NOT EXISTS source_clocks (
    source           text COLLATE "C" PRIMARY KEY,
    facts            bigint NOT NULL,     -- statements of its own
    confirmations    bigint NOT NULL,     -- of what another source had stated
    withdrawals      bigint NOT NULL,     -- retracted or corrected
    last_recorded_at timestamptz NOT NULL,
    last_happened_at timestamptz,         -- of what has happened: no plans, no estimates
    unsent           bigint NOT NULL,     -- facts without sent_at
    sent_ahead       bigint NOT NULL,     -- facts sent more than five minutes after their receipt
    future           bigint NOT NULL,     -- actual, and more than fifteen minutes after the receipt
    old              bigint NOT NULL,     -- more than two years before the receipt
    zone_stated      bigint NOT NULL,
    zone_place       bigint NOT NULL,
    zone_source      bigint NOT NULL,
    zone_assumed     bigint NOT NULL,
    delays           bigint[] NOT NULL    -- facts by recorded_at - sent_at
);
"""
UPSERT = """
INSERT INTO source_clocks AS had (
    source, facts, confirmations, withdrawals, last_recorded_at, last_happened_at, unsent, sent_ahead, future, old,
    zone_stated, zone_place, zone_source, zone_assumed, delays
)
VALUES (
    %(source)s, %(facts)s, %(confirmations)s, %(withdrawals)s, %(last_recorded_at)s, %(last_happened_at)s, %(unsent)s,
    %(sent_ahead)s, %(future)s, %(old)s, %(zone_stated)s, %(zone_place)s, %(zone_source)s, %(zone_assumed)s,
    %(delays)s::bigint[]
)
ON CONFLICT (source) DO UPDATE SET
    facts = had.facts + excluded.facts,
    confirmations = had.confirmations + excluded.confirmations,
    withdrawals = had.withdrawals + excluded.withdrawals,
    last_recorded_at = greatest(had.last_recorded_at, excluded.last_recorded_at),
    last_happened_at = greatest(had.last_happened_at, excluded.last_happened_at),
    unsent = had.unsent + excluded.unsent,
    sent_ahead = had.sent_ahead + excluded.sent_ahead,
    future = had.future + excluded.future,
    old = had.old + excluded.old,
    zone_stated = had.zone_stated + excluded.zone_stated,
    zone_place = had.zone_place + excluded.zone_place,
    zone_source = had.zone_source + excluded.zone_source,
    zone_assumed = had.zone_assumed + excluded.zone_assumed,
    delays = ARRAY(
        SELECT pair.a + pair.b
        FROM unnest(had.delays, excluded.delays) WITH ORDINALITY AS pair (a, b, place)
        ORDER BY pair.place
    )
"""


class SourceClock(msgspec.Struct, kw_only=True):
    """What is known of one source's clock; the columns of the table."""

    source: str
    facts: int = 0
    confirmations: int = 0
    withdrawals: int = 0
    last_recorded_at: datetime
    last_happened_at: datetime | None = None
    unsent: int = 0
    sent_ahead: int = 0
    future: int = 0
    old: int = 0
    zone_stated: int = 0
    zone_place: int = 0
    zone_source: int = 0
    zone_assumed: int = 0
    delays: list[int]


# --- project ---


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Add up a batch by source, and each sum to its row."""
    sums: dict[str, SourceClock] = {}
    for entry in entries:
        told = entry.fact
        if not isinstance(told, Stated | Confirmed | Retracted | Corrected):
            continue
        clock = sums.get(told.source)
        if clock is None:
            clock = SourceClock(source=told.source, last_recorded_at=told.recorded_at, delays=[0] * BUCKETS)
            sums[told.source] = clock
        clock.last_recorded_at = max(clock.last_recorded_at, told.recorded_at)
        if isinstance(told, Stated):
            _add(clock, told)
        elif isinstance(told, Confirmed):
            clock.confirmations += 1
        else:
            clock.withdrawals += 1
    if sums:
        cursor.executemany(UPSERT, [msgspec.structs.asdict(sums[source]) for source in sorted(sums)])


def _add(clock: SourceClock, told: Stated) -> None:
    clock.facts += 1
    age = told.recorded_at - told.happened_at
    if not isinstance(told, Moved) or told.classifier == "ACT":
        clock.future += -age > FUTURE
        if clock.last_happened_at is None or told.happened_at > clock.last_happened_at:
            clock.last_happened_at = told.happened_at
    clock.old += age > OLD
    match told.zone_from:
        case "stated":
            clock.zone_stated += 1
        case "place":
            clock.zone_place += 1
        case "source":
            clock.zone_source += 1
        case "assumed":
            clock.zone_assumed += 1
    if told.sent_at is None:
        clock.unsent += 1
        return
    delay = told.recorded_at - told.sent_at
    clock.sent_ahead += -delay > SKEW
    clock.delays[bucket(delay.total_seconds())] += 1


# --- delays ---


def bucket(delay_seconds: float) -> int:
    """The bucket of a delay.

    >>> bucket(0), bucket(300) - bucket(0), bucket(300.5) - bucket(0), bucket(-1e9)
    (19, 7, 8, 0)
    """
    size = bisect_left(EDGES, abs(delay_seconds))
    return len(EDGES) + size if delay_seconds >= 0 else len(EDGES) - size


def percentile(delays: Sequence[int], share: float) -> float | None:
    """Below which delay this share of them lies, in seconds; None if there are none.

    Within a bucket they are taken as evenly spread; in those at the ends, as if the last edge were all.

    >>> counts = [0] * BUCKETS
    >>> counts[bucket(0)] = counts[bucket(7)] = 2
    >>> percentile(counts, 0.25), percentile(counts, 1.0)
    (0.0, 10.0)
    """
    wanted, passed = share * sum(delays), 0
    for place, count in enumerate(delays):
        if count and passed + count >= wanted:
            low, high = _bounds(place - len(EDGES))
            return low + (high - low) * (wanted - passed) / count
        passed += count
    return None


def _bounds(step: int) -> tuple[float, float]:
    """The lower and upper end of the bucket so many steps from the middle."""
    if step == 0:
        return (-EDGES[0], EDGES[0])
    far = EDGES[min(abs(step), len(EDGES) - 1)]
    near = EDGES[abs(step) - 1]
    return (near, far) if step > 0 else (-far, -near)


# --- queries ---

ALL = """
SELECT
    source, facts, confirmations, withdrawals, last_recorded_at, last_happened_at, unsent, sent_ahead, future, old,
    zone_stated, zone_place, zone_source, zone_assumed, delays
FROM source_clocks
WHERE %(only)s::text IS NULL OR source = %(only)s
ORDER BY source
"""


def clocks(connection: psycopg.Connection[Any], only: str | None = None) -> list[SourceClock]:
    """Every source that has stated anything, or one of them."""
    with connection.cursor(row_factory=class_row(SourceClock)) as cursor:
        return cursor.execute(ALL, {"only": only}).fetchall()
