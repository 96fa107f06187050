"""What a question about clearance looks at, in one round trip: subjects, how new each is, and how far the timeline is.

Not a read model of its own: it joins those of links and timeline. A thread that shares its interpreter waits for its
turn after every answer of the database, so one statement is worth more than three.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from projections import journeys, links, timeline

NEAR = (
    sql.SQL("""
WITH own AS (
    SELECT * FROM unnest(%b::int[], %b::text[]) AS own (ask, subject)
), near AS (
    SELECT ask, subject FROM ({reached}) AS reached
    UNION
    SELECT ask, subject FROM own
)
SELECT ask, subject, (SELECT max(position) FROM timeline WHERE timeline.subject = near.subject)
FROM near
UNION ALL
SELECT -1, '', (SELECT position FROM read_model_positions WHERE name = {timeline})
""")
    .format(reached=sql.SQL(links.REACHED), timeline=sql.Literal(timeline.NAME))
    .as_string()
)


class Near(NamedTuple):
    subjects: tuple[str, ...]  # the one asked for, then the others in order
    tips: tuple[int, ...]  # the position of the newest fact of each, 0 if it has none

    @property
    def is_known(self) -> bool:
        return len(self.subjects) > 1 or self.tips != (0,)


def near(connection: psycopg.Connection[Any], asked: Sequence[str]) -> tuple[list[Near], int]:
    """For each subject what is near it, no other box to a box; and up to which position the timeline tells."""
    found: list[dict[str, int]] = [{} for _ in asked]
    asks, subjects, position = list(range(len(asked))), list(asked), 0
    with connection.cursor(binary=True) as cursor:
        for ask, subject, tip in cursor.execute(NEAR.encode(), (asks, subjects, asks, subjects), prepare=True):
            if ask < 0:
                position = tip or 0
            else:
                found[ask][subject] = tip or 0
    for ask, more in _of_boxes(connection, asked, found).items():
        found[ask] |= more
    return [_near(subject, tips) for subject, tips in zip(asked, found, strict=True)], position


def _of_boxes(
    connection: psycopg.Connection[Any], asked: Sequence[str], found: Sequence[dict[str, int]]
) -> dict[int, dict[str, int]]:
    """Of a rail consignment also what names one of its boxes: no way leads through a box otherwise."""
    by_rail = [ask for ask, subject in enumerate(asked) if journeys.kind(subject) == "rail" and len(found[ask]) > 1]
    if not by_rail:
        return {}
    strange = links.strangers(connection, [list(found[ask]) for ask in by_rail])
    tips = timeline.tips(connection, list({subject for each in strange for subject in each}))
    return {
        ask: {subject: tips.get(subject, 0) for subject in each} for ask, each in zip(by_rail, strange, strict=True)
    }


def _near(asked: str, tips: dict[str, int]) -> Near:
    about_box = journeys.kind(asked) == "container"
    others = sorted(each for each in tips if each != asked and not (about_box and journeys.kind(each) == "container"))
    subjects = (asked, *others)
    return Near(subjects, tuple(tips.get(subject, 0) for subject in subjects))
