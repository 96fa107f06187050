"""The lines of many numbers at once, each as the question about its own number would show it.

What a party may see of its own cargo depends on what is near: a re-used box is cut into journeys by the papers that
name it. An answer that walks through many cargoes (the feed, the events of other standards) must show a line the same
way whatever else is on its page; so each number is looked at with its own consignment. Of what is seen in whole a line
needs no other.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from projections import interests, links, shown, timeline
from projections.shown import Veil
from projections.sight import Look
from projections.timeline import Line


class Told(NamedTuple):
    """A line as it was stated, and what is kept back of it."""

    line: Line
    veil: Veil


def lines(look: Look, subjects: Sequence[str]) -> list[Line]:
    """The lines of these subjects as they are shown, merged, oldest first."""
    return [shown.as_shown(*told) for told in veiled(look, subjects)]


def veiled(look: Look, subjects: Sequence[str]) -> list[Told]:
    """The same lines as they were stated, each with what is kept back of it."""
    if look.view is None:
        return [Told(line, Veil()) for line in timeline.lines(look, subjects)]
    own = interests.mine(look.connection, look.view.parties, subjects) if look.view.own else set()
    near = _near(look, sorted(own))
    everything = sorted({*subjects, *(each for others in near.values() for each in others)})
    mine = interests.mine(look.connection, look.view.parties, everything) if own else set()
    found = timeline.lines(look, everything, mine=mine)
    asked = set(subjects)
    alone = [line for line in found if line.subject in asked and line.subject not in own]
    veils = shown.veiled(alone, look.view, ())
    places: dict[str, list[tuple[int, Line]]] = {}
    for place, line in enumerate(found if own else ()):
        places.setdefault(line.subject, []).append((place, line))
    for subject in own:
        local = list(_merged(places, near[subject]))
        local_veils = shown.veiled(local, look.view, mine.intersection(near[subject]))
        veils |= {line.fact_id: local_veils[line.fact_id] for line in local
                  if line.subject == subject and line.fact_id in local_veils}  # fmt: skip
    return [Told(line, veils[line.fact_id]) for line in found if line.subject in asked and line.fact_id in veils]


def _merged(places: dict[str, list[tuple[int, Line]]], subjects: Sequence[str]) -> Iterator[Line]:
    """The lines of some subjects in the order of all."""
    rows = [row for subject in subjects for row in places.get(subject, ())]
    return (line for _, line in sorted(rows, key=itemgetter(0)))


def _near(look: Look, subjects: Sequence[str]) -> dict[str, list[str]]:
    """Each of these subjects with its consignment, and the papers outside it that name one of its boxes."""
    if not subjects:
        return {}
    near = [
        [one, *others] for one, others in zip(subjects, links.reached(look, [[one] for one in subjects]), strict=True)
    ]
    strangers = links.strangers(look.connection, near)
    return {own[0]: [*own, *strange] for own, strange in zip(near, strangers, strict=True)}
