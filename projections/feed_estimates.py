"""Of the estimates in a stretch of the feed those that say hardly anything new (domain/feed_filter.py).

Whether an estimate is told depends on those before it in the same feed: the same view, the same wish. So all that were
ever recorded of its subject are looked at, as they are shown.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from domain.feed_filter import Estimate, FeedFilter, Told, held_back, passes
from projections import vicinity
from projections.shown import Veil
from projections.sight import Look

OF_SUBJECTS = """
SELECT position, line, subject, dataset, code, place, mode, class, source, remark, happened_at, recorded_at
FROM feed_index
WHERE subject = ANY(%b) AND class = 'EST' AND position <= %b
ORDER BY position
"""


class Row(NamedTuple):
    """A row of the feed's index."""

    position: int
    line: UUID
    subject: str
    dataset: str
    code: str
    place: str
    mode: str
    classifier: str
    source: str
    remark: str

    def told(self, veil: Veil | None) -> Told:
        """As much of it as is shown."""
        hidden = veil.hidden if veil else frozenset[str]()
        place, source = ("" if name in hidden else getattr(self, name) for name in ("place", "source"))
        return Told(self.subject, self.code, place, self.mode, self.classifier, source, self.remark)


def veils(look: Look, rows: Sequence[Row], plain: Collection[str]) -> Mapping[UUID, Veil | None]:
    """By their lines those of some rows that are shown, and what is kept back. `plain`: datasets shown as they are."""
    known: dict[UUID, Veil | None] = {row.line: None for row in rows if row.dataset in plain}
    subjects = sorted({row.subject for row in rows if row.line not in known})
    if subjects:
        lines = {row.line for row in rows}
        told = vicinity.veiled(look, subjects)
        known |= {each.line.fact_id: or_none(each.veil) for each in told if each.line.fact_id in lines}
    return known


def or_none(veil: Veil) -> Veil | None:
    """None: it is shown as it is stored."""
    return veil if veil != Veil() else None


def dropped(
    look: Look, wanted: FeedFilter, positions: Collection[int], subjects: Collection[str], plain: Collection[str]
) -> set[int]:
    """Of the positions of estimates, and of remarks on them, those that are not told."""
    asked = (sorted(subjects), max(positions))
    with look.connection.cursor(binary=True) as cursor:
        found: list[Any] = cursor.execute(OF_SUBJECTS, asked, prepare=True).fetchall()
    rows = [Row(*each[:10]) for each in found]
    shown = veils(look, rows, plain)
    estimates = []
    for row, each in zip(rows, found, strict=True):
        if row.line not in shown:
            continue
        told = row.told(shown[row.line])
        if row.remark or passes(wanted, told):
            key = (told.subject, told.place, told.code)
            estimates.append(Estimate(row.line, key, each[10], each[11], row.remark))
    held = held_back(wanted, estimates)
    return {row.position for row in rows if row.line in held}.intersection(positions)
