"""What the rest of a consignment says about one line: its documents, its boxes, whether its box was laden.

Pure. Numbers belong to a box for one journey only (projections/journeys.py), so the documents of an earlier cargo never
stand on the events of a later one. A document leads to those it is linked with directly, and to their boxes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from projections import journeys
from projections.journeys import Journey, kind
from projections.timeline import Line

DOCUMENTS = frozenset({"bl", "booking", "declaration"})
CARRIERS = frozenset({"bl", "booking"})  # of these one leads to the other
STATE = {
    "EMPTY_OUT": False, "STRIPPED": False, "EMPTY_IN": False, "STUFFED": True, "GATE_IN": True, "GATE_OUT": True,
    "YARD_IN": True, "YARD_OUT": True,
}  # milestones that say by their name whether the box is laden  # fmt: skip


class Around:
    """Made of the lines of all subjects within two links of those asked about."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines: dict[str, list[Line]] = {}
        self.links: dict[str, set[str]] = {}
        self._journeys: dict[str, list[Journey]] = {}
        for line in lines:
            self.lines.setdefault(line.subject, []).append(line)
            for other in line.refs if line.stands else ():
                self.links.setdefault(line.subject, set()).add(other)
                self.links.setdefault(other, set()).add(line.subject)

    def documents(self, line: Line) -> list[str]:
        """Bills, bookings and declarations, the line's own first."""
        if kind(line.subject) == "container":
            journey = self.journey(line)
            near = {other for other in (journey.refs if journey else line.refs) if kind(other) in DOCUMENTS}
        else:
            near = {other for other in (line.subject, *line.refs) if kind(other) in DOCUMENTS}
            near |= self._linked(line.subject, DOCUMENTS)
        far = {other for one in near if kind(one) in CARRIERS for other in self._linked(one, DOCUMENTS)}
        own = [other for other in dict.fromkeys((line.subject, *line.refs)) if other in near]
        return own + sorted((near | far).difference(own))

    def boxes(self, line: Line) -> list[str]:
        """The containers that a line is about, directly or by way of a document."""
        if kind(line.subject) == "container":
            return [line.subject]
        found = {other for other in line.refs if kind(other) == "container"}
        found |= self._linked(line.subject, {"container"})
        for other in self._linked(line.subject, CARRIERS):
            found |= self._linked(other, {"container"})
        return sorted(found)

    def laden(self, line: Line) -> bool | None:
        """As it says itself; else as the same journey tells just before, or just after; laden if it has papers."""
        if line.laden is not None or line.code in STATE:
            return STATE.get(line.code, line.laden)
        journey = self.journey(line)
        if journey is None:
            return None
        told, at = self._told(line.subject, journey), datetime.fromisoformat(line.happened_at)
        before = [state for when, state in told if when <= at]
        if before or told:
            return before[-1] if before else told[0][1]
        return True if any(kind(other) in DOCUMENTS for other in journey.refs) else None

    def journey(self, line: Line) -> Journey | None:
        """The journey that a container's line belongs to."""
        if line.subject not in self._journeys:
            near = [line.subject, *sorted(journeys.papers(self.links.get(line.subject, ())))]
            mine: Sequence[Line] = [each for subject in near for each in self.lines.get(subject, ())]
            self._journeys[line.subject] = journeys.cut(mine, line.subject)
        return next((each for each in self._journeys[line.subject] if line.fact_id in each.fact_ids), None)

    def _told(self, box: str, journey: Journey) -> list[tuple[datetime, bool]]:
        found = []
        for line in self.lines.get(box, ()):
            state = STATE.get(line.code, line.laden)
            if state is not None and line.stands and line.classifier == "ACT" and line.fact_id in journey.fact_ids:
                found.append((datetime.fromisoformat(line.happened_at), state))
        return sorted(found)

    def _linked(self, subject: str, kinds: Iterable[str]) -> set[str]:
        return {other for other in self.links.get(subject, ()) if kind(other) in kinds}
