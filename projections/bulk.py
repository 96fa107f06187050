"""The lines of many numbers, each as the question about that number alone finds them; a few statements for all.

What one number's consignment shows must not depend on which other numbers were asked for beside it: the lines are read
together, and then each number is given its own ones only, seen as that number's question would see them.
"""

from collections.abc import Collection, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from domain import identifiers
from projections import links, nearby, shown, timeline
from projections.nearby import Near
from projections.sight import Look
from projections.timeline import Line


class Known(NamedTuple):
    """One number of which something is shown."""

    number: str  # as it is stored
    own: list[str]  # its subjects, of which something is told
    lines: list[Line]  # of its whole consignment, oldest first


def known(look: Look, numbers: Sequence[str]) -> Iterator[Known]:
    """Those of these numbers (as stored, each once) that are known to who looks, in their order. Raises Outdated."""
    candidates = [[f"{kind}:{number}" for kind in identifiers.kind_of(number)] for number in numbers]
    near, _ = nearby.near(look, candidates, range(len(numbers)))
    silent = [subject for each in near for subject in each.own if subject not in each.tips]
    named = links.known(look.connection, silent) if silent else set()
    doubtful = [
        (number, each)
        for number, each in zip(numbers, near, strict=True)
        if each.tips or each.mine or not named.isdisjoint(each.own)
    ]
    found = _Found(look, [each for _, each in doubtful])
    for number, each in doubtful:
        lines = found.of(each)
        own = _told(each.own, lines, each.mine) or [one for one in each.own if links.once_named(look, one)]
        if own:
            yield Known(number, own, lines)


class _Found:
    """The lines of all subjects that are near one of the numbers."""

    def __init__(self, look: Look, near: Sequence[Near]) -> None:
        self.look = look
        subjects = sorted({subject for each in near for subject in each.subjects})
        mine = set[str]().union(*(each.mine for each in near))
        self.by_subject: dict[str, list[tuple[int, Line]]] = {}
        for place, line in enumerate(timeline.lines(look, subjects, mine=mine) if subjects else ()):
            self.by_subject.setdefault(line.subject, []).append((place, line))

    def of(self, near: Near) -> list[Line]:
        """As shown to this number's question, oldest first."""
        rows = sorted((row for each in near.subjects for row in self.by_subject.get(each, ())), key=itemgetter(0))
        lines = [line for _, line in rows]
        view = self.look.view
        if view is None:
            return lines
        whole = frozenset(view.whole)  # what is only shown as somebody's own is so to another number's question
        lines = [line for line in lines if line.subject in near.mine or shown.dataset(line) in whole]
        return shown.shown(lines, view, near.mine)


def _told(candidates: Sequence[str], lines: Sequence[Line], mine: Collection[str]) -> list[str]:
    """Those of a number's subjects of which something is told: by themselves, by what names them, or as one's own."""
    names = {name for line in lines for name in (line.subject, *line.refs)}.union(mine)
    return [subject for subject in candidates if subject in names]
