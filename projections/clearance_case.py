"""What a question about clearance rests on: the lines of the number asked for, on its present journey, and its papers.

A box is used again and again: only its present journey counts, and of bills, manifests and declarations only what
belongs to that. Lines that were taken back, replaced or reversed, plans and estimates are left out. "Before" and
"after" is the order of the timeline, which does not depend on the order in which messages came.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from projections import declarations, journeys
from projections.declarations import BILLS, Story
from projections.timeline import Line

HOME = "CN"
"""The country whose customs answers the declarations: a domestic move begins and ends there."""


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARRIVED = _codes(
    """
    GATE_IN YARD_IN STATION_IN DISCHARGED TS_DISC BARGE_DISC WAGON_UNLOADED TRUCK_UNLOADED INSP_SITE_IN INSP_SITE_OUT
    AIR_RCS AIR_FOH AIR_FIW AIR_RCF
    """
)
LEFT = _codes(
    """
    GATE_OUT YARD_OUT STATION_OUT LOADED TS_LOAD BARGE_LOAD WAGON_LOADED VSL_DEP BARGE_DEP TRAIN_DEP AIR_DEP AIR_DLV
    AIR_FOW POD EMPTY_IN
    """
)
TALLIES = frozenset({"TALLY_RPT", "RAIL_TALLY", "AIR_TALLY"})
LADEN = {"EMPTY_OUT": False, "EMPTY_IN": False, "STRIPPED": False} | dict.fromkeys(
    ("STUFFED", "GATE_IN", "GATE_OUT", "YARD_IN", "YARD_OUT"), True
)
"""What a milestone says of a box where its source does not."""
PAPERS = frozenset({"MAN_ADV_OK", "MAN_ORIG_OK", "ARRIVAL_RPT", "RAIL_ARRIVAL_RPT", "SEALED", "STUFFED", "VGM_SUB"})
IMPORT_SIGNS = _codes("DISCHARGED TS_DISC MAN_ORIG_OK IMP_RELEASED BORDER_CROSSED AIR_ARR AIR_RCF")
EXPORT_SIGNS = _codes(
    "EMPTY_OUT STUFFED MAN_ADV_OK ARRIVAL_RPT RAIL_ARRIVAL_RPT AIR_ARRIVAL_RPT EXP_RELEASED AIR_FOH AIR_RCS RWB_ISSUED"
)
_CUTTING = journeys.EMPTIED | {journeys.START, journeys.END}
CARRIED = frozenset({"BARGE_LOAD", "WAGON_LOADED", "TRUCK_LOADED"})
UNLOADED = frozenset({"BARGE_DISC", "WAGON_UNLOADED", "TRUCK_UNLOADED"})
ABROAD = _codes("DISCHARGED LOADED TS_DISC TS_LOAD BORDER_ARR BORDER_CROSSED VSL_ARR VSL_DEP MAN_ADV_OK MAN_ORIG_OK")


class Case(NamedTuple):
    subject: str
    place: str  # "" where none was asked for
    members: tuple[str, ...]  # what must be cleared: the number itself, or the boxes of a consignment
    own: list[Line]  # about them, on the present journey
    papers: list[Line]  # about their bills and manifests; of declarations what is no receipt
    stories: list[Story]  # the declarations that cover them
    bills: frozenset[str]  # that these boxes are said to hold
    holds: list[Line]  # of any journey: they end when they are lifted
    order: dict[UUID, int]

    def last(self, codes: Collection[str], lines: Sequence[Line] | None = None) -> Line | None:
        """The latest line of these milestones, of the number's own if no others are given."""
        return next((line for line in reversed(self.own if lines is None else lines) if line.code in codes), None)

    def after(self, line: Line, other: Line | None) -> bool:
        return other is None or self.order[line.fact_id] > self.order[other.fact_id]

    def is_here(self, place: str) -> bool:
        """Whether a place is that of the question; an unknown one may be."""
        return not (self.place and place) or self.place == place


def case(subject: str, place: str, lines: Sequence[Line]) -> Case:
    """`lines`: everything known of the number and its consignment, in the order of the timeline."""
    everything = _actual(lines)
    boxes = _boxes(subject, everything) if journeys.kind(subject) == "rail" else ()
    past = _past(subject, boxes, lines)
    told = [line for line in everything if line.fact_id not in past] if past else everything
    about = {subject, *boxes}
    current = [line for line in told if line.subject in about]
    bills = _bills(about, current, told)
    stories = [
        story
        for story in declarations.stories(told)
        if any(covers(story, member, bills, current) for member in boxes or (subject,))
    ]
    return Case(
        subject=subject,
        place=place,
        members=boxes or (subject,),
        own=current,
        papers=_papers(about, bills, stories, current, everything),
        stories=stories,
        bills=bills,
        holds=[line for line in everything if line.subject in about and line.code.startswith("HOLD_")],
        order={line.fact_id: number for number, line in enumerate(everything)},
    )


def covers(story: Story, member: str, bills: Collection[str], own: Iterable[Line]) -> bool:
    """A declaration that names boxes covers those; one that names none its whole bills.

    One that names neither covers what a terminal or a railway says it is for.
    """
    declared = story.declared
    if member in declared.boxes or member in declared.bills:
        return True
    if declared.boxes:
        return False
    if declared.bills:
        return not set(declared.bills).isdisjoint(bills)
    numbers = {line.subject for line in story.lines}
    return any(not numbers.isdisjoint(line.refs) for line in own if line.subject == member)


# --- what belongs to the present journey ---


def _actual(lines: Iterable[Line]) -> list[Line]:
    told: list[Line] = []
    for line in lines:
        if line.stands and line.classifier == "ACT":
            if line.code.endswith("_REVERSED"):
                undone = (line.subject, line.code.removesuffix("_REVERSED"))
                told = [each for each in told if (each.subject, each.code) != undone]
            else:
                told.append(line)
    return told


def _past(subject: str, boxes: Sequence[str], lines: Sequence[Line]) -> set[UUID]:
    """The facts of other journeys: of a box all but its latest, of the boxes of a consignment all but those under it.

    Papers made out for a box since, which fit no journey of it, stay: what they disagree about must be told.
    """
    past: set[UUID] = set()
    for box in boxes or (subject,):
        if journeys.kind(box) != "container" or _never_cut(box, lines):
            continue
        found = journeys.cut(lines, box)
        latest = journeys.latest(found)
        for journey in found if len(found) > 1 else ():
            coming = latest and not journey.begun and journey.started_at > latest.started_at
            if subject not in journey.refs if boxes else not (journey is latest or coming):
                past.update(journey.fact_ids)
    return past


def _never_cut(box: str, lines: Sequence[Line]) -> bool:
    """Where none of the rules of projections/journeys.py could cut: the usual case, told without cutting."""
    own = [line for line in lines if line.subject == box]
    if not own or any(line.code in _CUTTING for line in own[own[0].code == journeys.START :]):
        return False
    first, last = (datetime.fromisoformat(line.happened_at) for line in (lines[0], lines[-1]))
    numbers = {number for line in lines for number in (line.subject, *line.refs)}
    papers = sum(journeys.kind(number) in journeys.TRANSPORT for number in numbers)
    return last - first <= journeys.GAP and papers <= 1


def _papers(
    about: set[str], bills: Collection[str], stories: Iterable[Story], current: Sequence[Line], told: Sequence[Line]
) -> list[Line]:
    """What is told of the bills; of declarations by others than customs; of the voyage, since the journey began."""
    numbers = {line.subject for story in stories for line in story.lines}
    manifests = {ref for line in current for ref in line.refs if journeys.kind(ref) == "manifest"}
    first = current[0].fact_id if current else None
    found, papers, begun = about.union(bills), [], False
    for line in told:
        begun = begun or line.fact_id == first
        if line.subject in about:
            continue
        of_voyage = begun and line.subject in manifests
        if line.subject in bills or of_voyage or _aside(line, numbers, found):
            papers.append(line)
    return papers


def _boxes(subject: str, told: Iterable[Line]) -> tuple[str, ...]:
    """The boxes that travel under a rail consignment."""
    found = {line.subject for line in told if subject in line.refs and line.subject.startswith("container:")}
    found |= {ref for line in told if line.subject == subject for ref in line.refs if ref.startswith("container:")}
    return tuple(sorted(found))


def _bills(about: set[str], current: Iterable[Line], told: Iterable[Line]) -> frozenset[str]:
    named = {ref for line in current for ref in line.refs}
    named |= {line.subject for line in told if not about.isdisjoint(line.refs)}
    return frozenset(each for each in named | about if journeys.kind(each) in BILLS)


def _aside(line: Line, numbers: Collection[str], about: Collection[str]) -> bool:
    """Told of a declaration by others than its receipts: a transit, a payment."""
    if not line.subject.startswith("declaration:") or line.fact.startswith("declaration."):
        return False
    return line.subject in numbers or not set(line.refs).isdisjoint(about)


# --- what kind of a move it is ---


def direction(case: Case, action: str) -> str:
    """`import` or `export`. Leaving a gate is an import unless all signs say export, and the cargo is at home."""
    inward, outward = case.last(IMPORT_SIGNS), case.last(EXPORT_SIGNS)
    told = {story.declared.direction for story in case.stories}
    if action == "gate-out":
        here = case.last(ARRIVED | LEFT)
        at_home = here is not None and here.code in ARRIVED and here.place.startswith(HOME)
        only_outward = inward is None and "import" not in told and (outward is not None or "export" in told)
        return "export" if at_home and only_outward else "import"
    if inward and outward:
        return "import" if case.after(inward, outward) else "export"
    return "import" if inward or ("import" in told and not outward) else "export"


def mode(case: Case, action: str) -> str:
    """By what it crosses the border; for loading, by what it came to be loaded on. By sea, where nothing says more."""
    kind = journeys.kind(case.subject)
    if kind != "container":
        return "AIR" if kind == "awb" else "RAIL"
    modes = [line.mode for line in (*case.own, *case.papers) if line.mode in {"VESSEL", "BARGE", "RAIL"}]
    if action == "load":
        return "RAIL" if modes and modes[-1] == "RAIL" else "VESSEL"
    return "RAIL" if modes and set(modes) == {"RAIL"} else "VESSEL"


def exempt(case: Case, action: str) -> tuple[str, str, Line] | None:
    """Why no declaration is needed, and the line that says so; None where one is."""
    if empty := _empty(case):
        return "空箱", "an empty box", empty
    if action == "load" and (transhipped := _transhipped(case)):
        return "国际中转", "transhipment", transhipped
    if action == "gate-out" and (carried := _domestic(case)):
        return "境内运输", "a domestic move", carried
    return None


def _empty(case: Case) -> Line | None:
    """The latest word is that it is empty, and no papers for a cargo were made out since."""
    found: Line | None = None
    for line in case.own:
        laden = LADEN.get(line.code) if line.laden is None else line.laden
        if laden is False:
            found = line
        elif laden or line.code in PAPERS:
            found = None
    declared = found and any(case.after(story.lines[0], found) for story in case.stories)
    return None if declared else found


def _transhipped(case: Case) -> Line | None:
    """Discharged to go on by another ship, and not out of the gate since."""
    landed = case.last(ARRIVED | LEFT)
    return landed if landed and landed.code == "TS_DISC" else None


def _domestic(case: Case) -> Line | None:
    """Filled at home, carried by barge, rail or road, and unloaded at home; no paper and no place says abroad."""
    filled, carried, landed = (case.last(codes) for codes in (frozenset({"STUFFED"}), CARRIED, UNLOADED))
    if not (filled and carried and landed and case.after(carried, filled) and case.after(landed, carried)):
        return None
    places = [line.place for line in (filled, carried, landed)]
    told = [*case.own, *case.papers]
    foreign = any(line.code in ABROAD or (line.place[:2].isalpha() and line.place[:2] != HOME) for line in told)
    inland = all(place.startswith(HOME) for place in places) and not case.stories and not foreign
    return landed if inland and places[-1] != places[0] else None
