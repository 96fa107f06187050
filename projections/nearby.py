"""What a question about cargo looks at, in one round trip: subjects, how new each is, and how far the timeline is.

Not a read model of its own: it joins those of links and timeline. A thread that shares its interpreter waits for its
turn after every answer of the database, so one statement is worth more than five.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from psycopg import sql

from projections import links, timeline
from projections.sight import Look, Outdated

NEAR = (
    sql.SQL("""
WITH own AS (
    SELECT * FROM unnest(%b::int[], %b::text[]) AS own (ask, subject)
), near AS MATERIALIZED (
    SELECT ask, subject FROM ({reached}) AS reached
    UNION
    SELECT ask, subject FROM own
), strange AS (
    SELECT DISTINCT box.ask, link.subject
    FROM near AS box
    JOIN unnest(%b::int[], %b::boolean[]) AS wanted (ask, own_only) ON wanted.ask = box.ask
    CROSS JOIN LATERAL (
        SELECT other FROM links WHERE links.subject = box.subject AND stands
        UNION ALL
        SELECT links.subject FROM links WHERE links.other = box.subject AND stands
    ) AS link (subject)
    WHERE box.subject LIKE 'container:%%'
      AND (NOT own_only OR EXISTS (SELECT FROM own WHERE own.ask = box.ask AND own.subject = box.subject))
      AND link.subject !~ '^(container|truck|manifest):'
)
SELECT ask, subject, false, (SELECT max(position) FROM timeline WHERE timeline.subject = near.subject), (
    SELECT true FROM party_cargo WHERE party_cargo.subject = near.subject AND party = ANY(%b::text[]) LIMIT 1
)
FROM near
UNION ALL
SELECT ask, subject, true, (SELECT max(position) FROM timeline WHERE timeline.subject = strange.subject), false
FROM strange
UNION ALL
SELECT -1, '', false, (SELECT position FROM read_model_positions WHERE name = {timeline}), false
UNION ALL
SELECT -2, '', false, register_position(), false
""")
    .format(reached=sql.SQL(links.REACHED), timeline=sql.Literal(timeline.NAME))
    .as_string()
    .encode()
)


TIMELINE = -1  # the row that tells how far it is; the other one tells it of the register


class Near(NamedTuple):
    own: tuple[str, ...]  # the subjects asked for
    others: tuple[str, ...]  # the rest of their consignment, in order; no other box to a box
    strangers: tuple[str, ...]  # papers outside it that name one of its boxes: of other journeys, most likely
    tips: dict[str, int]  # the position of the newest fact of each; those without one are left out
    mine: frozenset[str]  # cargo of the view's parties

    @property
    def subjects(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.own, *self.others, *self.strangers)


def near(look: Look, asked: Sequence[Sequence[str]], strangers_for: Collection[int]) -> tuple[list[Near], int]:
    """For each question what is near its subjects, and up to which position the timeline tells.

    Raises Outdated. `strangers_for`: the questions, by their place, that want strangers too. What the view does not
    show may be among the subjects: nothing of it is told, for its lines are not to be had.
    """
    flat = [(ask, subject) for ask, own in enumerate(asked) for subject in own]
    asks, subjects = [ask for ask, _ in flat], [subject for _, subject in flat]
    tips: list[dict[str, int]] = [{} for _ in asked]
    found: list[tuple[set[str], set[str]]] = [(set(), set()) for _ in asked]
    mine: list[set[str]] = [set() for _ in asked]
    parties = list(look.view.parties) if look.view else []
    position = 0
    with look.connection.cursor(binary=True) as cursor:
        own_only = [_has_box(asked[ask]) for ask in strangers_for]
        parameters = (asks, subjects, asks, subjects, list(strangers_for), own_only, parties)
        for ask, subject, is_strange, tip, is_mine in cursor.execute(NEAR, parameters, prepare=True):
            if ask < 0:
                position = _checked(ask, tip or 0, position, look)
                continue
            found[ask][is_strange].add(subject)
            if tip is not None:
                tips[ask][subject] = tip
            if is_mine:
                mine[ask].add(subject)
    return [_near(*each) for each in zip(asked, found, tips, mine, strict=True)], position


def _checked(ask: int, told: int, position: int, look: Look) -> int:
    """How far the timeline is; raises Outdated if the register is further than the view."""
    if ask == TIMELINE:
        return told
    if look.view is not None and told > look.view.asof:
        raise Outdated
    return position


def _near(own: Sequence[str], found: tuple[set[str], set[str]], tips: dict[str, int], mine: set[str]) -> Near:
    reached, strange = found
    boxes = {subject for subject in reached if subject.startswith("container:")} if _has_box(own) else set()
    others = reached.difference(own, boxes)
    strangers = tuple(sorted(strange.difference(own, others)))
    return Near(tuple(own), tuple(sorted(others)), strangers, tips, frozenset(mine))


def _has_box(subjects: Sequence[str]) -> bool:
    return any(subject.startswith("container:") for subject in subjects)
