"""What may be shown of lines: the last step between what a view's queries find and what its caller is told.

Seen in whole, a line is shown with the fields that the owner permitted. Seen as the party's own cargo it is shown as it
is, but for two things: of a re-used box only the journeys that carry the party's papers, and of the numbers that a
statement names only those that the party may see too. Pure, but for `lines`.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain import datasets
from domain.milestones import MILESTONES
from projections import interests, journeys, timeline
from projections.rights import View
from projections.sight import Look
from projections.timeline import Line, Remark

MASKABLE: dict[str, Any] = {
    "place": "",
    "place_zh": "",
    "place_en": "",
    "border": "",
    "facility": "",
    "transport": "",
    "laden": None,
    "pieces": None,
    "pieces_total": None,
    "weight_kg": None,
    "seal": "",
    "source": "",
    "raw_code": "",
    "text": "",
    "message_id": None,
    "refs": (),
}
"""Fields of a line that an owner may withhold, and what stands there instead."""


def lines(
    look: Look, subjects: Sequence[str], known_at: datetime | None = None, mine: Collection[str] | None = None
) -> list[Line]:
    """The lines of some subjects as the view shows them, merged, oldest first. `mine`: if it is known already."""
    if look.view is None:
        return timeline.lines(look, subjects, known_at)
    if mine is None:
        mine = interests.mine(look.connection, look.view.parties, subjects)
    return shown(timeline.lines(look, subjects, known_at, mine), look.view, mine)


class Veil(NamedTuple):
    """What is kept back of a line that is shown, and of whatever else says the same."""

    hidden: frozenset[str] = frozenset()  # fields of a line
    named: frozenset[str] | None = None  # the only other subjects that may be named; None: all


def shown(found: Sequence[Line], view: View, mine: Collection[str]) -> list[Line]:
    """Of lines that the view's queries found those that are shown, as they are shown."""
    veils = veiled(found, view, mine)
    return [as_shown(line, veils[line.fact_id]) for line in found if line.fact_id in veils]


def veiled(found: Sequence[Line], view: View, mine: Collection[str]) -> dict[UUID, Veil]:
    """The same lines by their facts, and what is kept back of each."""
    whole = frozenset(view.whole)
    own = _own(found, view, mine)
    kept = [line for line in found if line.fact_id in own or dataset(line) in whole]
    named = frozenset({line.subject for line in kept}.union(mine))
    in_whole = whole_veils(view)
    in_own = {name: Veil(frozenset(view.masked), None if name in whole else named) for name in view.own}
    told = ((line, dataset(line)) for line in kept)
    return {line.fact_id: (in_own if line.fact_id in own else in_whole)[name] for line, name in told}


def whole_veils(view: View) -> dict[str, Veil]:
    """By the dataset what is kept back of lines that are seen in whole, unless they tell of the party's own cargo."""
    masked, fields = frozenset(view.masked), dict(view.fields)
    return {name: Veil(masked | (MASKABLE.keys() - set(fields.get(name, MASKABLE)))) for name in view.whole}


def dataset(line: Line) -> str:
    """The dataset of a line; its owner decides where it goes."""
    return datasets.of(line.subject, line.code, line.mode)


def _own(found: Sequence[Line], view: View, mine: Collection[str]) -> set[UUID]:
    """The lines that tell of the party's own cargo."""
    told = {line.fact_id for line in found if line.subject in mine and dataset(line) in view.own}
    shared = {line.subject for line in found if journeys.kind(line.subject) in journeys.SHARED and line.fact_id in told}
    if not shared:
        return told
    papers = journeys.papers(mine)
    on_time = _on_own_journeys(found, shared, papers)
    for line in found:
        if line.subject in shared and not (line.fact_id in on_time and _names_own(line, papers)):
            told.discard(line.fact_id)
    return told


def _on_own_journeys(found: Sequence[Line], shared: Collection[str], papers: set[str]) -> set[UUID]:
    """Of re-used boxes the lines on journeys with one of the party's papers; of other shared things what names one."""
    kept: set[UUID] = set()
    for subject in shared:
        if journeys.kind(subject) == "container":
            cut = journeys.cut(found, subject)
            kept.update(fact_id for each in cut if not papers.isdisjoint(each.refs) for fact_id in each.fact_ids)
        else:
            kept.update(line.fact_id for line in found if line.subject == subject and not papers.isdisjoint(line.refs))
    return kept


def _names_own(line: Line, papers: Collection[str]) -> bool:
    """A statement that names papers, and none of the party's, is about other people's cargo."""
    named = journeys.papers(line.refs)
    return not named or not named.isdisjoint(papers)


def as_shown(line: Line, veil: Veil) -> Line:
    """A line as it is told, with what is kept back of it left out."""
    changes: dict[str, Any] = {field: MASKABLE[field] for field in veil.hidden}
    if veil.named is not None and "refs" not in changes and not veil.named.issuperset(line.refs):
        changes["refs"] = tuple(ref for ref in line.refs if ref in veil.named)
    if not changes:
        return line
    if not {"text", "raw_code"}.isdisjoint(changes) and line.code not in MILESTONES:
        changes |= {"zh": "", "en": ""}  # a code that nobody here knows goes by the source's own words
    remarks = {name: getattr(line, name) for name in ("retracted", "corrected")}
    changes |= {name: _remark(remark, changes) for name, remark in remarks.items() if remark}
    changes["confirmed_by"] = tuple(_remark(remark, changes) for remark in line.confirmed_by)
    return msgspec.structs.replace(line, **changes)


def _remark(remark: Remark, changes: dict[str, Any]) -> Remark:
    """What another statement says of the line, no more open than the line."""
    refs = tuple(ref for ref in remark.refs if ref in changes["refs"]) if "refs" in changes else remark.refs
    told = msgspec.structs.replace(remark, refs=refs)
    if "source" in changes:
        told = msgspec.structs.replace(told, source="")
    return msgspec.structs.replace(told, reason="") if "text" in changes else told
