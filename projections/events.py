"""The lines of everything in the order of the journal, for questions that name no number: read in bounded steps.

No table of its own: these are queries over that of projections/timeline.py, by position. A window of receipt times is
found by bisection, for positions and receipt times rise together, but for DISORDER. Times are UTC.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from projections import links, timeline
from projections.timeline import Line

DISORDER = timedelta(minutes=30)
"""A fact that was received later stands earlier in the journal by no more than this: requests overtake each other,
clocks are set back, and an actual event may lie a quarter of an hour after its receipt."""

FORWARDS = """
SELECT subject, fact_id, content
FROM timeline
WHERE position >= %s AND position < %s AND sort IS NOT NULL
ORDER BY position
LIMIT %s
"""
BACKWARDS = """
SELECT subject, fact_id, content
FROM timeline
WHERE position >= %s AND position < %s AND sort IS NOT NULL
ORDER BY position DESC
LIMIT %s
"""
BISECT = """
WITH RECURSIVE probe (low, high) AS (
    SELECT 0::bigint, (SELECT coalesce(max(position), 0) + 1 FROM timeline)
    UNION ALL
    SELECT
        CASE WHEN found.recorded_at < %(at)s THEN found.position + 1 ELSE probe.low END,
        CASE WHEN found.recorded_at < %(at)s THEN probe.high ELSE (probe.low + probe.high) / 2 END
    FROM probe LEFT JOIN LATERAL (
        SELECT position, recorded_at
        FROM timeline
        WHERE position >= (probe.low + probe.high) / 2 AND position < probe.high
        ORDER BY position
        LIMIT 1
    ) AS found ON true
    WHERE probe.low < probe.high
)
SELECT low FROM probe WHERE low >= high
"""
REMARKS = """
SELECT fact_id, content
FROM timeline
WHERE subject = ANY(%s) AND sort IS NULL
ORDER BY position
"""
ONE = """
SELECT notification_id FROM cargo_events WHERE fact_id = %s
"""
END = 2**63 - 1

_line = msgspec.json.Decoder(Line).decode


class Step(msgspec.Struct, frozen=True):
    """Lines as they were first told, without what later facts say of them."""

    lines: list[Line]  # in the order asked for
    raw: dict[UUID, bytes]
    ended: bool  # nothing is left in the window


def step(connection: psycopg.Connection[Any], low: int, high: int, limit: int, *, backwards: bool = False) -> Step:
    """Up to `limit` lines whose position is in [low, high)."""
    query = BACKWARDS if backwards else FORWARDS
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(query, (low, high, limit), prepare=True).fetchall()
    return Step(
        [_line(content) for _, _, content in rows],
        {fact_id: content for _, fact_id, content in rows},
        len(rows) < limit,
    )


def folded(connection: psycopg.Connection[Any], lines: Sequence[Line], raw: dict[UUID, bytes]) -> list[Line]:
    """These lines of a step, with what later facts say of them, in their order."""
    if not lines:
        return []
    subjects = list({line.subject for line in lines})
    with connection.cursor(binary=True) as cursor:
        remarks = cursor.execute(REMARKS, (subjects,), prepare=True).fetchall()
    rows = [(line.fact_id, raw[line.fact_id], False) for line in lines]
    return timeline.fold([*rows, *((fact_id, content, True) for fact_id, content in remarks)])


def first_since(connection: psycopg.Connection[Any], at: datetime) -> int:
    """A position before which nothing was received at this time or later."""
    return _bisect(connection, at, -DISORDER)


def first_after(connection: psycopg.Connection[Any], at: datetime) -> int:
    """A position from which on nothing was received at this time or before."""
    return _bisect(connection, at, DISORDER)


def _bisect(connection: psycopg.Connection[Any], at: datetime, shift: timedelta) -> int:
    try:
        row = connection.execute(BISECT, {"at": at + shift}, prepare=True).fetchone()
    except OverflowError:  # at the ends of the calendar
        return 0 if shift < timedelta(0) else END
    return int(row[0]) if row else 0


def one(connection: psycopg.Connection[Any], fact_id: UUID) -> Line | None:
    """The line of one fact, with what later facts say of it."""
    row = connection.execute(ONE, (fact_id,), prepare=True).fetchone()
    found = step(connection, row[0], row[0] + 1, 1) if row else None
    return next(iter(folded(connection, found.lines, found.raw)), None) if found else None


def of(connection: psycopg.Connection[Any], subjects: Sequence[str]) -> list[Line]:
    """The lines of some subjects and of their consignments, each line once, oldest first."""
    reached = links.reached(connection, [[subject] for subject in subjects])
    return timeline.lines(connection, sorted({*subjects, *(other for found in reached for other in found)}))
