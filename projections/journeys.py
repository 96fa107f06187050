"""The journeys of a container: a re-used box is cut into journeys, so that no answer shows another party's.

Pure, made of the lines of projections/timeline.py. The rules and their price: docs/decisions/008-journeys.md. The cut
rests on when things happened and on the numbers that they name, never on when Kouan was told: any order of arrival
gives the same journeys. Instants are UTC.

Words: a *paper* is a number that belongs to one cargo (bill, booking, air waybill, rail note, declaration, object);
containers, trucks and manifests are *shared*: they carry the cargo of others too, and nothing is found through them.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.milestones import rank
from projections.timeline import Line

GAP = timedelta(days=60)
"""Longer without a word, and without a paper named on both sides, is another journey."""

SHARED = frozenset({"container", "truck", "manifest"})
TRANSPORT = frozenset({"bl", "booking", "awb", "rail"})  # the papers of which a box has one kind at a time
START, END = "EMPTY_OUT", "EMPTY_IN"
EMPTIED = frozenset({"STRIPPED", "POD"})
OUTSET = frozenset(
    {"STUFFED", "GATE_IN", "YARD_IN", "LOADED", "BARGE_LOAD", "DISCHARGED", "STATION_IN", "WAGON_LOADED"}
)
"""What a box does with cargo in it; after it was emptied, with the next cargo."""

BEFORE_MOVING = frozenset({START, "EIR_ISSUED", "APPOINTED", "RAIL_REQ", "TRUCK_DISPATCHED", "PICKUP_ARR"})
PAPERWORK = re.compile(r"(BKG|SI|VGM|MAN|DEC|DUTY|BL|DO|ARN)_|(EXP|IMP|TERM)_RELEASED$")
"""Told of a box, yet nothing that moves it: of itself it begins no journey that anyone could follow."""
ASIDE = ("HOLD_", "INSTR_")  # what Kouan decided about a box; it belongs to whatever journey the box is on


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """One use of a container."""

    index: int  # 1: the oldest
    started_at: datetime
    ended_at: datetime | None  # when it was returned empty, else when the next journey began; None: it goes on
    closed: bool
    ended_by: UUID | None = None  # the fact by which it ended
    begun: bool = True  # the box itself has moved; else there are plans and papers only
    refs: tuple[str, ...]  # other subjects named in its standing lines, or naming the box in theirs; in order
    fact_ids: tuple[UUID, ...]
    positions: tuple[int, ...]


class _Said(NamedTuple):
    """One statement about the box, by itself or by a paper that names it. Sorts as it happened."""

    at: datetime
    moves: bool  # told of the box itself: only this starts and ends a journey; at one time the papers come first
    rank: int
    fact_id: str  # settles what is left: arrival must not
    line: Line
    names: frozenset[str]
    families: frozenset[str]  # of the papers among the names

    @property
    def code(self) -> str:
        return self.line.code if self.moves else ""

    @property
    def skeleton(self) -> bool:
        return self.line.stands and self.line.classifier == "ACT" and not self.line.code.startswith(ASIDE)

    @property
    def told_at(self) -> datetime:
        """An actual event counts when it happened; a plan when it was made, for its time may come after all is over."""
        return self.at if self.line.classifier == "ACT" else (self.line.sent_at or self.at)


class _Making:
    """A journey while it is put together."""

    def __init__(self, first: _Said) -> None:
        self.started_at = first.told_at if first.skeleton else first.at
        self.said: list[_Said] = []
        self.families: set[str] = set()
        self.kinds: set[str] = set()
        self.end: _Said | None = None
        self.moved = self.begun = self.emptied = False
        self.last_at = first.at

    def add(self, one: _Said) -> None:
        self.said.append(one)
        if not one.line.stands:
            return
        self.families |= one.families
        self.kinds |= _kinds(one)
        if not one.skeleton:
            return
        self.last_at = max(self.last_at, one.at)
        self.moved |= one.moves and one.code not in BEFORE_MOVING
        self.begun |= one.moves
        self.emptied |= one.code in EMPTIED
        if one.code == END:
            self.end = self.end or one

    def foreign(self, one: _Said) -> bool:
        """Whether it names a paper of a kind of which this journey has another one; or a booking after the bill."""
        if not one.families or one.families & self.families:
            return False
        kinds = _kinds(one)
        return bool(kinds & self.kinds or ("booking" in kinds and self.kinds & {"bl", "awb"}))


def kind(subject: str) -> str:
    return subject.partition(":")[0]


def papers(subjects: Iterable[str]) -> set[str]:
    """Those that belong to one cargo."""
    return {subject for subject in subjects if kind(subject) not in SHARED}


def _kinds(one: _Said) -> set[str]:
    return {kind(name) for name in one.names} & TRANSPORT


# --- the cut ---


def cut(lines: Sequence[Line], own: str) -> list[Journey]:
    """The journeys of the container `own`, oldest first. Lines of other subjects may be among `lines`.

    What the others say of the box (their lines that name it) counts; so does which of them belong together.
    """
    return _cut((line for line in lines if line.subject == own or own in line.refs), own, _families(lines))


def cuts(lines: Sequence[Line], asked: Iterable[str] = ()) -> dict[str, list[Journey]]:
    """The journeys of every container that has lines of its own among these, or is asked for."""
    subjects = (*asked, *(line.subject for line in lines))
    told: dict[str, list[Line]] = {subject: [] for subject in subjects if kind(subject) == "container"}
    for line in lines if told else ():
        for subject in {line.subject, *line.refs} & told.keys():
            told[subject].append(line)
    family = _families(lines) if told else {}
    return {own: _cut(found, own, family) for own, found in told.items()}


def _cut(lines: Iterable[Line], own: str, family: Mapping[str, str]) -> list[Journey]:
    said = sorted(_said(line, own, family) for line in lines)
    made = _walk([one for one in said if one.skeleton])
    for one in said:
        if not one.skeleton:
            _place(made, one)
    made.sort(key=lambda journey: (journey.started_at, min(one.fact_id for one in journey.said)))
    return [_journey(made, index, own) for index in range(len(made))]


def _said(line: Line, own: str, family: Mapping[str, str]) -> _Said:
    names = frozenset({line.subject, *line.refs} - {own})
    families = frozenset(family.get(name, name) for name in papers(names))
    at = datetime.fromisoformat(line.happened_at).astimezone(UTC)
    moves = line.subject == own and not PAPERWORK.match(line.code)
    return _Said(at, moves, rank(line.code), str(line.fact_id), line, names, families)


def _families(lines: Iterable[Line]) -> dict[str, str]:
    """Papers that belong together, each with one that stands for all: told of one box in one breath, or one of another.

    A truck or a manifest that names two papers says nothing of the kind.
    """
    parent: dict[str, str] = {}

    def root(one: str) -> str:
        while (above := parent.setdefault(one, one)) != one:
            one = above
        return one

    for line in lines:
        if line.stands and kind(line.subject) not in SHARED - {"container"}:
            together = sorted(papers((line.subject, *line.refs)))
            for one, other in pairwise(together):
                high, low = sorted((root(one), root(other)))
                parent[low] = high
    return {one: root(one) for one in list(parent)}


def _walk(said: Sequence[_Said]) -> list[_Making]:
    """What has happened, in its order, cut where a new journey begins."""
    made: list[_Making] = []
    for place, one in enumerate(said):
        journey = made[-1] if made else None
        earlier = _named(made[:-1], one) if one.code != START else []
        if journey is not None and earlier and not one.families & journey.families:
            earlier[-1].add(one)  # a late word on a journey that is over
            continue
        if journey is None or _begins(journey, said, place):
            journey = _Making(one)
            made.append(journey)
        journey.add(one)
    return made


def _named(made: Iterable[_Making], one: _Said) -> list[_Making]:
    return [journey for journey in made if journey.families & one.families]


def _begins(journey: _Making, said: Sequence[_Said], place: int) -> bool:
    """Whether a new journey begins with this statement. The order of the questions is part of the rule."""
    one = said[place]
    shares = bool(one.families & journey.families)
    if journey.end is not None:
        repeats = one.code == END and not journey.foreign(one)
        return one.code == START or not (shares or repeats)
    if shares:
        return False
    if one.code == START and journey.moved:
        return journey.foreign(one) or not _carried_back(said, place)
    if journey.emptied and one.code in OUTSET and one.line.laden is not False:
        return True
    if journey.foreign(one) or one.at - journey.last_at > GAP:
        return not _bridged(journey, said, place)
    return False


def _carried_back(said: Sequence[_Said], place: int) -> bool:
    """An empty box that leaves where it was stripped, and goes straight to the depot."""
    following = (one.code for one in said[place + 1 :] if one.moves and one.code != START)
    return next(following, "") == END


def _bridged(journey: _Making, said: Sequence[_Said], place: int) -> bool:
    """Whether a paper of the journey is named again, before the box is picked up or returned empty."""
    for one in said[place:]:
        if one.code == START:
            return False
        if one.families & journey.families:
            return True
        if one.code == END:
            return False
    return False


def _place(made: list[_Making], one: _Said) -> None:
    """Add what is planned, expected or withdrawn: to the journey that it names, else to the one of its time."""
    named = _named(made, one) if one.line.stands or one.line.classifier != "ACT" else []
    host = _of_time(made, named or made, one.told_at)
    strange = host is None or (not named and bool(one.families) and (host.end is not None or host.foreign(one)))
    if host is None or (strange and one.line.stands):
        host = _Making(one)
        made.append(host)
    host.add(one)


def _of_time(made: Sequence[_Making], among: Sequence[_Making], at: datetime) -> _Making | None:
    """The last of some journeys that had begun by then; in the time after its end the next, if there is one."""
    if not among:
        return None
    order = sorted((each for each in made if each.begun or each in among), key=lambda each: each.started_at)
    past = [each for each in order if each.started_at <= at] or order[:1]
    found = past[-1]
    if found.end is not None and at > found.end.at and len(past) < len(order):
        found = order[len(past)]
    return found if found in among else among[-1]


def _journey(made: Sequence[_Making], index: int, own: str) -> Journey:
    one = made[index]
    after = next((each for each in made[index + 1 :] if each.begun), None) if one.begun else None
    by = one.end or (after.said[0] if after else None)
    names = {name for said in one.said if said.line.stands for name in said.names}
    return Journey(
        index=index + 1,
        started_at=one.started_at,
        ended_at=by.at if by else None,
        closed=by is not None,
        ended_by=by.line.fact_id if by else None,
        begun=one.begun,
        refs=tuple(sorted(names - {own})),
        fact_ids=tuple(said.line.fact_id for said in sorted(one.said)),
        positions=tuple(sorted(said.line.position for said in one.said)),
    )


def latest(journeys: Sequence[Journey]) -> Journey | None:
    """The last one that has begun, else the last one planned."""
    return next((each for each in reversed(journeys) if each.begun), journeys[-1] if journeys else None)


# --- what may be shown ---


def within(lines: Sequence[Line], journey: Journey, own: str) -> list[Line]:
    """Of a consignment's merged lines those of one journey of the container `own`, in their order."""
    return _shown(lines, {own}, {own: [journey]}, _concerned(lines, journey.refs, steps=1))


def visible(lines: Sequence[Line], own_subjects: Sequence[str], index: int | None = None) -> list[Line]:
    """Of a consignment's merged lines those that concern the question, in their order.

    A question about a container is about its latest journey, or about the one with this index. A question about
    another number is about the journeys that name it, or what belongs to it within two steps through no shared subject.
    """
    asked = set(own_subjects)
    boxes = cuts(lines, asked)
    concerned = _concerned(lines, [subject for subject in own_subjects if subject not in boxes], steps=2)
    chosen: dict[str, list[Journey]] = {}
    for box in asked & boxes.keys():
        chosen[box] = _chosen(boxes[box], index)
        for journey in chosen[box]:
            concerned |= _concerned(lines, journey.refs, steps=1)
    keys = papers(concerned) | {subject for subject in asked if subject not in boxes}
    for box in boxes.keys() - asked:
        chosen[box] = [journey for journey in boxes[box] if keys.intersection(journey.refs)]
    return _shown(lines, asked, chosen, concerned)


def _chosen(journeys: Sequence[Journey], index: int | None) -> list[Journey]:
    if index is not None:
        return [each for each in journeys if each.index == index]
    found = latest(journeys)
    return [found] if found else []


def _concerned(lines: Iterable[Line], own: Iterable[str], steps: int) -> set[str]:
    """Some subjects, and the papers so many steps away from them through no shared subject."""
    links: dict[str, set[str]] = {}
    for line in lines:
        if line.stands:
            for other in line.refs:
                links.setdefault(line.subject, set()).add(other)
                links.setdefault(other, set()).add(line.subject)
    found = set(own)
    edge = set(found)
    for step in range(steps):
        through = edge if step == 0 and steps > 1 else papers(edge)
        edge = papers({other for subject in through for other in links.get(subject, ())}) - found
        found |= edge
    return found


def _shown(
    lines: Sequence[Line], asked: Collection[str], chosen: Mapping[str, Sequence[Journey]], concerned: Collection[str]
) -> list[Line]:
    told = {fact_id for journeys in chosen.values() for journey in journeys for fact_id in journey.fact_ids}
    cargo = papers(concerned)

    def shows(line: Line) -> bool:
        if line.subject in chosen:
            return line.fact_id in told
        if kind(line.subject) in SHARED and line.subject not in asked:
            return line.fact_id in told or not cargo.isdisjoint(line.refs)
        return line.subject in asked or line.subject in cargo

    return [line for line in lines if shows(line)]
