"""What of the journal a view shows and a wish wants, position by position: for the feed (api/feeding.py).

Queries over the table of projections/feed_index.py. A fact is shown if its line is; a fact about a fact, if the line
that it is about is. A step looks at a bounded stretch of the journal, whether it finds anything or not, and never past
what all read models that it needs have taken in: whose cargo a fact is must be known before it is passed over. It
begins where least has to be read: at the numbers that are asked for, at the cargo of the view's parties, else at the
positions.

What is kept back of a fact meets no wish, neither in what is found nor in how far a step comes.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import msgspec
from psycopg import sql

from domain import datasets
from domain.feed_filter import EVERYTHING, EXCEPTIONS, REVERSED, UPSETS, FeedFilter, passes
from projections import feed_estimates, shown
from projections.feed_estimates import Row, or_none
from projections.rights import View
from projections.shown import Veil
from projections.sight import Look

SPECIAL_MAX = 2_000  # facts that a step looks at one by one
CARGO_MAX = 5_000  # numbers from which a step starts; a party with more is looked for position by position

HORIZON = "SELECT min(position) FROM read_model_positions WHERE name IN ('timeline', 'links', 'feed_index')"
CARGO = "SELECT DISTINCT subject FROM party_cargo WHERE party = ANY(%b) LIMIT %b"
SHOWN = sql.SQL("""(
    dataset = ANY(%(clear)b)
    OR dataset = ANY(%(own)b) AND EXISTS (
        SELECT FROM party_cargo WHERE party_cargo.subject = feed_index.subject AND party = ANY(%(parties)b)
    )
)""")
WANTED = sql.SQL("""(
    (%(codes)b::text[] IS NULL OR code = ANY(%(codes)b))
    AND (%(modes)b::text[] IS NULL OR mode = ANY(%(modes)b))
    AND (%(classes)b::text[] IS NULL OR class = ANY(%(classes)b))
    AND (%(places)b::text[] IS NULL OR place = ANY(%(places)b) OR dataset = ANY(%(blind)b))
    AND (%(sources)b::text[] IS NULL OR source = ANY(%(sources)b) OR dataset = ANY(%(blind)b))
    AND (
        %(exceptions)b::text[] IS NULL
        OR code = ANY(%(exceptions)b) OR right(code, length(%(reversed)b)) = %(reversed)b OR remark = ANY(%(upsets)b)
    )
)""")
BY_POSITION = sql.SQL("""
    SELECT position, subject, dataset, class
    FROM feed_index
    WHERE position > %(after)b AND position <= %(top)b AND {shown} AND {wanted}
    ORDER BY position
    LIMIT %(limit)b
""")
BY_SUBJECT = sql.SQL("""
    SELECT told.*
    FROM unnest(%(subjects)b::text[]) AS asked (subject)
    CROSS JOIN LATERAL (
        SELECT position, feed_index.subject, dataset, class
        FROM feed_index
        WHERE feed_index.subject = asked.subject AND position > %(after)b AND position <= %(top)b
          AND {shown} AND {wanted}
        ORDER BY position
        LIMIT %(limit)b
    ) AS told
    ORDER BY position
    LIMIT %(limit)b
""")
STEP = sql.SQL("""
WITH candidate AS MATERIALIZED ({candidates})
SELECT
    array_agg(position ORDER BY position),
    array_agg(
        CASE
            WHEN dataset = ANY(%(plain)b) OR dataset = ANY(%(clear)b) AND NOT (
                dataset = ANY(%(own)b) AND EXISTS (
                    SELECT FROM party_cargo
                    WHERE party_cargo.subject = candidate.subject AND party = ANY(%(parties)b)
                )
            ) THEN dataset
        END ORDER BY position
    ),
    array_agg(position) FILTER (WHERE class = %(calm)b),
    array_agg(DISTINCT subject) FILTER (WHERE class = %(calm)b)
FROM candidate
""")
STEPS = {
    (by_subject, narrow): STEP.format(
        candidates=(BY_SUBJECT if by_subject else BY_POSITION).format(
            shown=SHOWN, wanted=WANTED if narrow else sql.SQL("true")
        )
    )
    for by_subject in (False, True)
    for narrow in (False, True)
}
SPECIAL = """
SELECT position, line, subject, dataset, code, place, mode, class, source, remark
FROM feed_index
WHERE position = ANY(%b)
ORDER BY position
"""


class Seen(NamedTuple):
    """What is shown of one fact, besides that it is there."""

    dataset: str
    veil: Veil | None  # None: it is shown as it is stored


class Step(NamedTuple):
    seen: dict[int, Seen]  # by position, in order
    edge: int  # the last position looked at
    weary: bool = False  # enough was looked at one by one


def horizon(look: Look) -> int:
    """The last position that can be told of now."""
    row = look.connection.execute(HORIZON, prepare=True).fetchone()
    return (row[0] if row else 0) or 0


def starts(look: Look, wanted: FeedFilter = EVERYTHING) -> list[str] | None:
    """The numbers from which steps start; None: they go by positions, and must be given a stretch."""
    assert look.view is not None
    if wanted.subjects:
        return list(wanted.subjects)
    if look.view.whole:
        return None
    if not look.view.own or not look.view.parties:
        return []
    with look.connection.cursor(binary=True) as cursor:
        asked = (list(look.view.parties), CARGO_MAX + 1)
        found = [row[0] for row in cursor.execute(CARGO, asked, prepare=True)]
    return found if len(found) <= CARGO_MAX else None


def step(
    look: Look,
    after: int,
    top: int,
    limit: int,
    *,
    wanted: FeedFilter = EVERYTHING,
    subjects: Sequence[str] | None = None,
) -> Step:
    """Up to `limit` facts that are shown and wanted, behind one position and up to another.

    `wanted`: checked. `subjects`: what `starts` said.
    """
    assert look.view is not None
    asked = _asked(look.view, wanted) | {"after": after, "top": top, "limit": limit, "subjects": subjects}
    query = STEPS[subjects is not None, "codes" in asked]
    with look.connection.cursor(binary=True) as cursor:
        row: Any = cursor.execute(query, asked, prepare=True).fetchone()
    positions, names = row[0] or [], row[1] or []  # names: of the dataset; None: to be looked at
    edge = positions[-1] if len(positions) == limit else max(after, top)
    known = {name: Seen(name, or_none(veil)) for name, veil in shown.whole_veils(look.view).items()}
    weary = False
    looked_at: dict[int, Seen] = {}
    if None in names:
        special = [position for position, name in zip(positions, names, strict=True) if name is None]
        if weary := len(special) > SPECIAL_MAX:
            special, edge = special[:SPECIAL_MAX], special[SPECIAL_MAX] - 1
        looked_at = _special(look, special, wanted)
    seen: dict[int, Seen] = {}
    for position, name in zip(positions, names, strict=True):
        told = known[name] if name is not None else looked_at.get(position)
        if told is not None and position <= edge:
            seen[position] = told
    if estimates := seen.keys() & (row[2] or ()):
        for position in feed_estimates.dropped(look, wanted, estimates, row[3], plain(look.view)):
            del seen[position]
    return Step(seen, edge, weary)


def _asked(view: View, wanted: FeedFilter) -> dict[str, Any]:
    """The parameters of a step that follow from who asks, and for what."""
    blind = _blind(view, wanted)
    asked: dict[str, Any] = {
        "plain": plain(view),
        "clear": [name for name in view.whole if name not in blind],
        "own": list(view.own),
    }
    asked |= {"parties": list(view.parties), "calm": "EST" if wanted.calms else ""}
    if msgspec.structs.replace(wanted, subjects=(), form="fact", eta_hours=0.0, eta_quiet_minutes=0) == EVERYTHING:
        return asked
    for name in ("codes", "modes", "classes", "places", "sources"):
        asked[name] = list(getattr(wanted, name)) or None
    asked["exceptions"] = sorted(EXCEPTIONS) if wanted.exceptions else None
    return asked | {"blind": blind, "upsets": sorted(UPSETS), "reversed": REVERSED}


def _blind(view: View, wanted: FeedFilter) -> list[str]:
    """Datasets of which something is kept back that the wish is about: nothing of them meets it, unless it is own."""
    about = {name for name, values in (("place", wanted.places), ("source", wanted.sources)) if values}
    return [name for name, veil in shown.whole_veils(view).items() if not about.isdisjoint(veil.hidden)]


def sees_all(view: View) -> bool:
    """Whether there is nothing in the journal that is kept back: then it may be told how much there is."""
    return set(datasets.DATASETS) - {datasets.DECLARATIONS} <= set(plain(view))


def plain(view: View) -> list[str]:
    """The datasets of which everything is shown."""
    limited = {name for name, _ in view.fields}
    return [] if view.masked else [name for name in view.whole if name not in limited]


def _special(look: Look, positions: Collection[int], wanted: FeedFilter) -> dict[int, Seen]:
    """What is shown of the facts whose row does not say by itself that everything is."""
    with look.connection.cursor(binary=True) as cursor:
        rows = [Row(*row) for row in cursor.execute(SPECIAL, (list(positions),), prepare=True)]
    veils = feed_estimates.veils(look, rows, ())
    return {
        row.position: Seen(row.dataset, veils[row.line])
        for row in rows
        if row.line in veils and passes(wanted, row.told(veils[row.line]))
    }
