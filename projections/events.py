"""The lines of everything in the order of the journal, for questions that name no number: read in bounded steps.

No table of its own: these are queries over that of projections/timeline.py, by position. A window of receipt times is
found by bisection, for positions and receipt times rise together, but for DISORDER: that is done by the node itself, on
a connection of its own, for only positions come of it. Everything else is read through a look. Times are UTC.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from projections import interests, links, shown, timeline, vicinity
from projections.sight import Look
from projections.timeline import Line

DISORDER = timedelta(minutes=30)
"""A fact that was received later stands earlier in the journal by no more than this: requests overtake each other,
clocks are set back, and an actual event may lie a quarter of an hour after its receipt."""

FORWARDS = """
SELECT position, fact_id, content
FROM timeline
WHERE position >= %b AND position < %b AND sort IS NOT NULL
  AND (dataset = ANY(%b) OR dataset = ANY(%b) AND EXISTS (
      SELECT FROM party_cargo WHERE party_cargo.subject = timeline.subject AND party = ANY(%b)
  ))
ORDER BY position
LIMIT %b
"""
BACKWARDS = FORWARDS.replace("ORDER BY position", "ORDER BY position DESC")
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
PLACES = "SELECT fact_id, notification_id FROM cargo_events WHERE fact_id = ANY(%b)"
END = 2**63 - 1
SPAN = 50_000  # positions that one step looks at: who may see little must not make it walk through all

_line = msgspec.json.Decoder(Line).decode


class Step(msgspec.Struct, frozen=True):
    """Lines as they were first told, without what later facts say of them; not yet as they are shown."""

    lines: list[Line]  # in the order asked for
    raw: dict[UUID, bytes]
    edge: int  # where the next step begins, or ends if it goes backwards
    ended: bool  # nothing is left in the window


def step(look: Look, low: int, high: int, limit: int, *, backwards: bool = False) -> Step:
    """Up to `limit` lines that the view shows, whose position is in [low, high)."""
    assert look.view is not None
    high = min(high, timeline.position(look.connection) + 1)
    start, end = (max(low, high - SPAN), high) if backwards else (low, min(high, low + SPAN))
    asked = (start, end, list(look.view.whole), list(look.view.own), list(look.view.parties), limit)
    with look.connection.cursor(binary=True) as cursor:
        rows = cursor.execute(BACKWARDS if backwards else FORWARDS, asked, prepare=True).fetchall()
    full = len(rows) == limit
    edge = (rows[-1][0] + (not backwards)) if full else (start if backwards else max(low, end))
    lines, raw = [_line(content) for _, _, content in rows], {fact_id: content for _, fact_id, content in rows}
    return Step(lines, raw, edge, ended=not full and (start <= low if backwards else end >= high))


def folded(look: Look, lines: Sequence[Line], raw: dict[UUID, bytes]) -> list[Line]:
    """Those of the lines of a step that are shown, as they are shown, with what later facts say of them; in order."""
    if not lines:
        return []
    assert look.view is not None
    subjects = list({line.subject for line in lines})
    mine = interests.mine(look.connection, look.view.parties, subjects) if look.view.own else set()
    told = {line.fact_id: line for line in vicinity.lines(look, sorted(mine))} if mine else {}
    alone = [line for line in lines if line.subject not in mine]
    with look.connection.cursor(binary=True) as cursor:
        remarks = cursor.execute(REMARKS, ([each for each in subjects if each not in mine],), prepare=True).fetchall()
    rows = [(line.fact_id, raw[line.fact_id], False) for line in alone]
    found = timeline.fold([*rows, *((fact_id, content, True) for fact_id, content in remarks)])
    told |= {line.fact_id: line for line in shown.shown(found, look.view, ())}
    return [told[line.fact_id] for line in lines if line.fact_id in told]


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


def one(look: Look, node: psycopg.Connection[Any], fact_id: UUID) -> Line | None:
    """The line of one fact as it is shown, with what later facts say of it. `node`: finds where the fact is."""
    return next(iter(some(look, node, [fact_id])), None)


def named(look: Look, node: psycopg.Connection[Any], event_id: str) -> Line | None:
    """The same by what a caller says its id is."""
    try:
        return one(look, node, UUID(event_id))
    except ValueError:
        return None


def some(look: Look, node: psycopg.Connection[Any], fact_ids: Sequence[UUID]) -> list[Line]:
    """The lines of some facts, of those that are shown."""
    if not fact_ids:
        return []
    places = [row[1] for row in node.execute(PLACES, (list(fact_ids),), prepare=True)]
    steps = [step(look, place, place + 1, 1) for place in sorted(places)]
    lines, raw = [line for each in steps for line in each.lines], {k: v for each in steps for k, v in each.raw.items()}
    return folded(look, lines, raw)


def of(look: Look, subjects: Sequence[str]) -> list[Line]:
    """The lines of some subjects and of their consignments as they are shown, each line once, oldest first."""
    reached = links.reached(look, [[subject] for subject in subjects])
    return vicinity.lines(look, sorted({*subjects, *(other for found in reached for other in found)}))
