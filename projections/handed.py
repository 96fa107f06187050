"""Facts of the cargo journal by their positions, as a view shows them today: for proving what a delivery handed over.

The same two walls as for every answer about cargo, and the same veils as in the feed: what is not shown today is not in
the result, whoever was told of it before.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from projections import feed, feed_estimates
from projections.feed import Seen
from projections.feed_estimates import Row
from projections.sight import Look

KNOWN_THEN = """
SELECT position FROM timeline
WHERE subject = ANY(%s) AND recorded_at <= %s AND position > %s
ORDER BY position LIMIT %s
"""
OF_FACT = "SELECT notification_id FROM cargo_events WHERE fact_id = %s"


def shown(look: Look, positions: Collection[int]) -> dict[int, Seen]:
    """Those of these positions that the view shows, and what is kept back of each. `look` has a view."""
    assert look.view is not None
    if not positions:
        return {}
    with look.connection.cursor(binary=True) as cursor:
        rows = [Row(*row) for row in cursor.execute(feed.SPECIAL, (list(positions),), prepare=True)]
    veils = feed_estimates.veils(look, rows, feed.plain(look.view))
    return {row.position: Seen(row.dataset, veils[row.line]) for row in rows if row.line in veils}


def known_then(
    connection: psycopg.Connection[Any], subjects: Sequence[str], at: datetime, after: int, limit: int
) -> list[int]:
    """The positions of what had been told of some subjects by a moment, behind a position, in order."""
    return [row[0] for row in connection.execute(KNOWN_THEN, (list(subjects), at, after, limit))]


def position_of(connection: psycopg.Connection[Any], fact_id: UUID) -> int | None:
    """Where a fact stands in the cargo journal."""
    row = connection.execute(OF_FACT, (fact_id,)).fetchone()
    return row[0] if row else None
