"""How links came and went, and what hangs together behind one number. Pure, made of the lines of the timeline.

A link lasts from the first standing statement of it until it ends: with the journey of its box (journeys.py), with the
next number of which a box has one at a time, with the cancellation of one of its papers, or when everybody who stated
it took it back. Times are UTC; a withdrawal counts from when it was recorded, all else from when it happened.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID

import msgspec

from projections.journeys import TRANSPORT, Journey, cuts, kind
from projections.timeline import Line

ONE_AT_A_TIME = frozenset({"booking", "rail", "truck"})
"""Kinds of which a box has one after the other; bills it may have several at once, master and house."""

CANCELS = frozenset({"BKG_CANC", "BKG_REJECTED", "DEC_DELETED"})


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One spell of a link; a box that is used twice with the same number has two."""

    subject: str  # the one asked for
    other: str
    from_at: datetime
    to_at: datetime | None  # None: still
    made_by: UUID  # the first fact that says so
    ended_by: UUID | None
    stands: bool  # leads from the one to the other; a link that ended does, one that was taken back does not
    recorded_at: datetime  # of the fact that made it
    position: int


class _End(msgspec.Struct, frozen=True, order=True):
    at: datetime
    by: UUID


Spell = tuple[str, str, int]
"""A pair, the lesser subject first, and the journey of its box; 0 if there is none."""


def pairs(lines: Iterable[Line]) -> dict[str, set[str]]:
    """What leads where, both ways, as far as the lines stand."""
    found: dict[str, set[str]] = {}
    for line in lines:
        for other in line.refs if line.stands else ():
            found.setdefault(line.subject, set()).add(other)
            found.setdefault(other, set()).add(line.subject)
    return found


# --- history ---


def links(lines: Sequence[Line], subjects: Sequence[str]) -> list[Link]:
    """Every link that these subjects ever had, in the order of their beginning."""
    asked = set(subjects)
    boxes = {name for line in lines for name in (line.subject, *line.refs) if kind(name) == "container"}
    journeys = cuts(lines, boxes)
    said = _spells(lines, asked, _journey_of(journeys))
    ends = {spell: _end(spell, told, lines, journeys) for spell, told in said.items()}
    for spell, end in _replaced(said).items():
        ends[spell] = min(filter(None, (ends[spell], end)), default=None)
    found = [_link(spell, told, ends[spell], asked) for spell, told in said.items()]
    return sorted(found, key=lambda link: (link.from_at, link.subject, link.other, link.made_by.int))


def _journey_of(journeys: Mapping[str, Sequence[Journey]]) -> dict[tuple[str, UUID], int]:
    return {(box, fact): each.index for box, found in journeys.items() for each in found for fact in each.fact_ids}


def _spells(
    lines: Sequence[Line], asked: set[str], journey_of: Mapping[tuple[str, UUID], int]
) -> dict[Spell, list[Line]]:
    """The statements of each spell, oldest first. One that was taken back counts only where none stands."""
    said: dict[Spell, list[Line]] = {}
    for line in sorted(lines, key=lambda line: (_from(line), line.fact_id.int)):
        for other in line.refs:
            if other != line.subject and (line.subject in asked or other in asked):
                low, high = sorted((line.subject, other))
                trip = journey_of.get((_box(low, high), line.fact_id), 0)
                said.setdefault((low, high, trip), []).append(line)
    return {spell: [line for line in told if line.stands] or told for spell, told in said.items()}


def _box(one: str, other: str) -> str:
    """Whose journeys count; a box that names another box is told of by its own."""
    return next((name for name in (one, other) if kind(name) == "container"), "")


def _from(line: Line) -> datetime:
    """A plan makes its link when it is made, not when it is to come true."""
    happened_at = datetime.fromisoformat(line.happened_at).astimezone(UTC)
    return happened_at if line.classifier == "ACT" else min(happened_at, line.sent_at or happened_at)


def _end(
    spell: Spell, told: Sequence[Line], lines: Iterable[Line], journeys: Mapping[str, Sequence[Journey]]
) -> _End | None:
    if not told[0].stands:
        remarks = [remark for line in told if (remark := line.corrected or line.retracted)]
        return max((_End(remark.recorded_at, remark.fact_id) for remark in remarks), default=None)
    low, high, trip = spell
    ends = [
        _End(_from(line), line.fact_id)
        for line in lines
        if line.code in CANCELS and line.stands and line.subject in {low, high} and _from(line) >= _from(told[0])
    ]
    if trip:
        journey = journeys[_box(low, high)][trip - 1]
        if journey.ended_at and journey.ended_by:
            ends.append(_End(journey.ended_at, journey.ended_by))
    return min(ends, default=None)


def _replaced(said: Mapping[Spell, Sequence[Line]]) -> dict[Spell, _End]:
    """Links of a box that end because the next of that kind begins: another truck, another booking."""
    rows: dict[tuple[str, int, str], list[tuple[Spell, Sequence[Line]]]] = {}
    for spell, told in said.items():
        low, high, trip = spell
        box = _box(low, high)
        other = high if box == low else low
        if box and told[0].stands and kind(other) in ONE_AT_A_TIME:
            rows.setdefault((box, trip, kind(other)), []).append((spell, told))
    found: dict[Spell, _End] = {}
    for row in rows.values():
        for (spell, told), (_, after) in pairwise(row):
            if _from(told[-1]) <= _from(after[0]) and told[0] is not after[0]:
                found[spell] = _End(_from(after[0]), after[0].fact_id)
    return found


def _link(spell: Spell, told: Sequence[Line], end: _End | None, asked: set[str]) -> Link:
    low, high, _ = spell
    subject, other = (low, high) if low in asked else (high, low)
    first = told[0]
    return Link(
        subject=subject,
        other=other,
        from_at=min(_from(first), end.at) if end else _from(first),
        to_at=end.at if end else None,
        made_by=first.fact_id,
        ended_by=end.by if end else None,
        stands=first.stands,
        recorded_at=first.recorded_at,
        position=first.position,
    )


# --- several cargoes behind one number ---


def cargoes(lines: Sequence[Line], subject: str) -> list[list[str]]:
    """The subjects linked with one, in groups that hang together without it; mostly there is one group.

    A house number is not unique: carriers give the same to different cargoes. It is the masters that tell them apart,
    those that the number's own lines name and the lines of boxes that name both. A number that bills name as theirs is
    a master itself: its houses are one shipment. What cannot be told to be of one of several cargoes comes last.
    """
    said = [line for line in lines if line.stands and (line.subject == subject or subject in line.refs)]
    named = [{line.subject, *line.refs} - {subject} for line in said]
    others: set[str] = set().union(*named)
    near = pairs(lines)
    groups = [] if _is_master(said, subject) else _joined([_papers(names) for names in named], near)
    if len(groups) <= 1:
        return [sorted(others)] if others else []
    rest = others.difference(*groups)
    for group in groups:  # first what is named in one breath with a master, then what is linked with such
        told = [names for names in named if names & group]
        group |= {name for names in told for name in names & rest}
    rest -= set().union(*groups)
    for group in groups:
        group |= {name for name in rest if near.get(name, set()) & group}
    rest -= set().union(*groups)
    return [*sorted(map(sorted, groups)), *([sorted(rest)] if rest else [])]


def _is_master(said: Iterable[Line], subject: str) -> bool:
    return any(line.subject != subject and kind(line.subject) in {"bl", "awb"} for line in said)


def _papers(names: Iterable[str]) -> set[str]:
    return {name for name in names if kind(name) in TRANSPORT}


def _joined(together: Iterable[set[str]], near: Mapping[str, set[str]]) -> list[set[str]]:
    """Sets that share a member, or of which a member is linked with one of another, as one."""
    groups: list[set[str]] = []
    for names in filter(None, together):
        reach = names.union(*(near.get(name, set()) for name in names))
        apart = [group for group in groups if not group & reach]
        groups = [*apart, names.union(*(group for group in groups if group & reach))]
    return groups
