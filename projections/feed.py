"""What of the journal a view shows, position by position: for the feed (api/follow.py).

No table of its own: queries over that of projections/timeline.py. A fact is shown if its line is; a fact about a fact,
if the line that it is about is. Not told is therefore what has no line: who the parties are. A step looks at a bounded
stretch of the journal, whether it finds anything or not, and never past what both read models have taken in: whose
cargo a fact is must be known before it is passed over.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain import datasets
from projections import shown, vicinity
from projections.rights import View
from projections.shown import Veil
from projections.sight import Look

SPECIAL_MAX = 500  # facts that a step looks at one by one

HORIZON = "SELECT min(position) FROM read_model_positions WHERE name IN ('timeline', 'links')"
STEP = """
WITH candidate AS MATERIALIZED (
    SELECT position, subject, fact_id, dataset
    FROM timeline
    WHERE position > %(after)b AND position <= %(top)b
      AND (
          dataset = ANY(%(whole)b)
          OR dataset = ANY(%(own)b) AND EXISTS (
              SELECT FROM party_cargo WHERE party_cargo.subject = timeline.subject AND party = ANY(%(parties)b)
          )
          OR dataset IS NULL AND EXISTS (
              SELECT FROM timeline AS line WHERE line.subject = timeline.subject AND line.sort IS NOT NULL
          )
      )
    ORDER BY position
    LIMIT %(limit)b
), told AS MATERIALIZED (
    SELECT position, subject, fact_id, coalesce(dataset, (
        SELECT line.dataset
        FROM timeline AS line
        WHERE line.subject = candidate.subject AND line.fact_id = candidate.fact_id AND line.sort IS NOT NULL
        LIMIT 1
    )) AS dataset
    FROM candidate
)
SELECT array_agg(position ORDER BY position), array_agg(
    CASE
        WHEN dataset = ANY(%(plain)b) OR dataset = ANY(%(whole)b) AND NOT (
            dataset = ANY(%(own)b) AND EXISTS (
                SELECT FROM party_cargo WHERE party_cargo.subject = told.subject AND party = ANY(%(parties)b)
            )
        ) THEN dataset
        WHEN dataset IS NULL AND NOT EXISTS (
            SELECT FROM timeline AS remark
            WHERE remark.subject = told.subject AND remark.sort IS NULL AND remark.position < told.position
              AND convert_from(remark.content, 'UTF8')::json ->> 'fact_id' = told.fact_id::text
        ) THEN ''  -- about a line that is not shown, and no word on another word
    END ORDER BY position
)
FROM told
"""
SPECIAL = "SELECT position, subject, fact_id, sort IS NULL FROM timeline WHERE position = ANY(%b)"
REMARKS = """
SELECT fact_id, content
FROM timeline
WHERE subject = ANY(%b) AND sort IS NULL
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


class _Remark(msgspec.Struct, gc=False):
    kind: str
    fact_id: UUID  # its own


_remark = msgspec.json.Decoder(_Remark).decode


def horizon(look: Look) -> int:
    """The last position that can be told of now."""
    row = look.connection.execute(HORIZON, prepare=True).fetchone()
    return (row[0] if row else 0) or 0


def step(look: Look, after: int, top: int, limit: int) -> Step:
    """Up to `limit` facts that are shown, behind one position and up to another."""
    assert look.view is not None
    view = look.view
    asked = {"after": after, "top": top, "limit": limit, "plain": _plain(view)}
    asked |= {"whole": list(view.whole), "own": list(view.own), "parties": list(view.parties)}
    with look.connection.cursor(binary=True) as cursor:
        row: Any = cursor.execute(STEP, asked, prepare=True).fetchone()
    positions, names = row[0] or [], row[1] or []  # names: of the dataset; None: to be looked at; "": not shown
    edge = positions[-1] if len(positions) == limit else max(after, top)
    known = {name: Seen(name, _or_none(veil)) for name, veil in shown.whole_veils(view).items()}
    if None not in names:
        return Step({place: known[name] for place, name in zip(positions, names, strict=True) if name}, edge)
    special = [position for position, name in zip(positions, names, strict=True) if name is None]
    if weary := len(special) > SPECIAL_MAX:
        special, edge = special[:SPECIAL_MAX], special[SPECIAL_MAX] - 1
    looked_at = _special(look, special)
    seen: dict[int, Seen] = {}
    for position, name in zip(positions, names, strict=True):
        told = known.get(name) if name is not None else looked_at.get(position)
        if told is not None and position <= edge:
            seen[position] = told
    return Step(seen, edge, weary)


def sees_all(view: View) -> bool:
    """Whether there is nothing in the journal that is kept back: then it may be told how much there is."""
    return set(datasets.DATASETS) - {datasets.DECLARATIONS} <= set(_plain(view))


def _plain(view: View) -> list[str]:
    """The datasets of which everything is shown."""
    limited = {name for name, _ in view.fields}
    return [] if view.masked else [name for name in view.whole if name not in limited]


def _special(look: Look, positions: Sequence[int]) -> dict[int, Seen]:
    """What is shown of the facts whose line does not say by itself that everything is."""
    with look.connection.cursor(binary=True) as cursor:
        rows = cursor.execute(SPECIAL, (list(positions),), prepare=True).fetchall()
    told = {each.line.fact_id: each for each in vicinity.veiled(look, sorted({row[1] for row in rows}))}
    strays = {subject for _, subject, fact_id, is_remark in rows if is_remark and fact_id not in told}
    about = _about(look, strays)
    seen = {}
    for position, _, fact_id, _ in rows:
        found = told.get(fact_id) or told.get(about.get(fact_id, fact_id))
        if found is not None:
            seen[position] = Seen(shown.dataset(found.line), _or_none(found.veil))
    return seen


def _or_none(veil: Veil) -> Veil | None:
    return veil if veil != Veil() else None


def _about(look: Look, subjects: Collection[str]) -> dict[UUID, UUID]:
    """By its id a confirmation, and the line that it confirms: what is said of it is said of that line."""
    if not subjects:
        return {}
    with look.connection.cursor(binary=True) as cursor:
        rows: Iterable[tuple[UUID, bytes]] = cursor.execute(REMARKS, (sorted(subjects),), prepare=True).fetchall()
    about: dict[UUID, UUID] = {}
    for fact_id, content in rows:
        remark = _remark(content)
        if remark.kind == "confirmed":
            about[remark.fact_id] = about.get(fact_id, fact_id)
    return about
