"""The state of its subject beside a fact of the feed: what `GET /v1/track` would have headed its answer with.

Made of the subject's own lines, as far as they stood in the journal at the fact's position and the view shows them.
"""

from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from api.answer import Header, answer
from api.feeding import Page
from api.way_out import Looking
from domain.datasets import of
from projections import shown, timeline, vicinity
from projections.shown import Veil

SUBJECTS = "SELECT position, subject FROM feed_index WHERE position = ANY(%b)"
ROWS = """
SELECT position, subject, fact_id, content, sort IS NULL
FROM timeline
WHERE subject = ANY(%b) AND position <= %b
ORDER BY sort NULLS LAST, position
"""


class _Row(NamedTuple):
    position: int
    fact_id: UUID
    content: bytes
    is_remark: bool


def with_states(looking: Looking, page: Page) -> Page:
    """The same page, each item with the state of its subject behind it."""
    if not page.items:
        return page
    look, positions = looking.look, [item.position for item in page.items]
    with look.connection.cursor(binary=True) as cursor:
        subjects: dict[int, str] = dict(cursor.execute(SUBJECTS, (positions,), prepare=True).fetchall())
        asked = (sorted(set(subjects.values())), max(positions))
        rows: dict[str, list[_Row]] = {}
        found: list[Any] = cursor.execute(ROWS, asked, prepare=True).fetchall()
    for position, subject, *rest in found:
        rows.setdefault(subject, []).append(_Row(position, *rest))
    veils = {told.line.fact_id: told.veil for told in vicinity.veiled(look, sorted(rows))}
    items, datasets = [], set(page.datasets)
    for item in page.items:
        subject = subjects[item.position]
        state, drawn_on = _state(subject, rows.get(subject, []), item.position, veils)
        items.append(msgspec.structs.replace(item, state=state))
        datasets |= drawn_on
    return page._replace(items=items, datasets=datasets)


def _state(subject: str, rows: list[_Row], position: int, veils: dict[UUID, Veil]) -> tuple[Header | None, set[str]]:
    lines = timeline.fold(row[1:] for row in rows if row.position <= position)
    told = [shown.as_shown(line, veils[line.fact_id]) for line in lines if line.fact_id in veils]
    if not told:
        return None, set()
    header = answer(subject.partition(":")[2], [subject], told, position).header
    return header, {of(line.subject, line.code, line.mode) for line in told}
