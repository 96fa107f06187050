"""Finds the conditions that alerts are made of: a pure function over what is known of one subject and of its papers.

The facts are walked in the order in which they happened, not in which they came; the walk keeps where the box is, what
customs has said for this journey and what is waited for. A place that is written as a foreign UN/LOCODE is abroad, and
there nobody here minds; a place that is not said is taken as here. Facts that may be one event told twice (same code,
place and vessel within SAME_EVENT) count once. Times are UTC.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.instruction import KINDS, InstructionGiven, Kind, Seen, fulfils
from domain.milestones import rank
from projections.alert_rules import SHORTEST

COUNTRY = "CN"
SAME_EVENT = timedelta(hours=12)
ORDER_DAYS = timedelta(days=30)  # events farther apart are not compared: between them others may not have been told
CALL = timedelta(days=3)  # that which belongs to one call of a ship lies within
SLACK = timedelta(minutes=10)  # by which clocks may differ


class Known(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the rules need of one fact."""

    fact_id: UUID
    at: datetime
    code: str
    place: str = ""
    transport: str = ""
    laden: bool | None = None
    detail: str = ""  # a hold's reference, a word, an instruction
    value: float | None = None  # kg, degrees Celsius, or the moment when an instruction is due
    facility: str = ""
    retracted: bool = False
    corrected: bool = False
    witnesses: tuple[UUID, ...] = ()  # confirmations by other sources
    withdrawn: tuple[UUID, ...] = ()  # confirmations that were taken back

    @property
    def stands(self) -> bool:
        return not self.corrected and (not self.retracted or bool(self.witnesses))


class Condition(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Something that holds of a subject since a fact, and until another one if it has ended."""

    name: str
    cause: UUID
    since: datetime
    place: str = ""
    detail: str = ""
    facts: tuple[UUID, ...] = ()  # all that cause it
    cleared_at: datetime | None = None
    cleared_by: UUID | None = None


class Event(NamedTuple):
    """A fact in the order in which things happened; those of one time in the usual order of a journey."""

    at: datetime
    rank: int
    fact_id: UUID
    origin: str  # the stream; "" the subject's own
    known: Known


def order(facts: Iterable[Known], origin: str = "") -> list[Event]:
    """The facts that stand, without those that a later report reverses."""
    events = [Event(each.at, rank(each.code), each.fact_id, origin, each) for each in facts if each.stands]
    events.sort()
    if any(event.known.code.endswith("_REVERSED") for event in events):
        return _unreversed(events)
    return events


def _unreversed(events: Iterable[Event]) -> list[Event]:
    kept: list[Event] = []
    for event in events:
        code = event.known.code
        if not code.endswith("_REVERSED"):
            kept.append(event)
            continue
        meant = code.removesuffix("_REVERSED")
        found = next((each for each in reversed(kept) if each.known.code == meant), None)
        if found is not None:
            kept.remove(found)
    return kept


def abroad(place: str) -> bool:
    """Whether a place is written as a UN/LOCODE of another country, or of another customs territory."""
    return len(place) == 5 and place[:2].isalpha() and place[:2] != COUNTRY  # noqa: PLR2004  the length of a UN/LOCODE


class Watch:
    """The conditions found so far: those that still stand, and those that are settled."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, UUID], Condition] = {}
        self.done: list[Condition] = []

    def begin(self, name: str, event: Event, *others: Event) -> None:
        known = event.known
        facts = (*(other.fact_id for other in others), event.fact_id)
        self.open[name, event.fact_id] = Condition(name, event.fact_id, event.at, known.place, known.detail, facts)

    def end(self, name: str, at: datetime, by: UUID) -> None:
        for key in [key for key in self.open if key[0] == name]:
            condition = self.open.pop(key)
            if at - condition.since > SHORTEST[name]:  # what ended sooner never was an alert
                self.done.append(msgspec.structs.replace(condition, cleared_at=at, cleared_by=by))

    def keep(self, *names: str) -> None:
        """What nothing that comes can end any more."""
        for key in [key for key in self.open if key[0] in names]:
            self.done.append(self.open.pop(key))

    def stands(self, name: str) -> bool:
        return any(key[0] == name for key in self.open)

    def conditions(self) -> list[Condition]:
        """All that was found, in the order of their beginning."""
        return sorted([*self.done, *self.open.values()], key=attrgetter("since", "name", "cause"))


# --- a journey: which events speak of the same, what undoes them, what is waited for ---

GROUP = {
    "GATE_IN": "IN",
    "GATE_OUT": "OUT",
    "LOADED": "LOAD",
    "TS_LOAD": "LOAD",
    "BARGE_LOAD": "LOAD",
    "DISCHARGED": "DISC",
    "TS_DISC": "DISC",
    "BARGE_DISC": "DISC",
    "VSL_ARR": "ARR",
    "BARGE_ARR": "ARR",
    "VSL_DEP": "DEP",
    "BARGE_DEP": "DEP",
}
UNDOES = {
    "IN": ("OUT", "DISC"),
    "OUT": ("IN", "DISC"),
    "LOAD": ("IN", "DISC", "OUT", "ARR"),
    "DISC": ("LOAD", "OUT", "IN", "DEP"),
    "ARR": ("DEP",),
    "DEP": ("ARR",),
}
TWICE = {
    "GATE_IN": "gated_in_twice",
    "GATE_OUT": "gated_out_twice",
    "LOADED": "loaded_twice",
    "BARGE_LOAD": "loaded_twice",
    "DISCHARGED": "discharged_twice",
    "BARGE_DISC": "discharged_twice",
}
WAITS = {
    "arrived": ("import_unreleased", ""),
    "import": ("import_unreleased", "import_not_picked_up"),
    "export": ("export_unreleased", "export_not_loaded"),
    "transit": ("transhipment_overstay", "transhipment_overstay"),
    "": ("", ""),
}
"""What is waited for in each phase, before customs has released the box and after."""

INSPECTION = {
    "ordered": "inspection_not_moved_in",
    "in": "inspection_not_done",
    "done": "inspection_not_moved_out",
    "": "",
}
WAYS = {"EXP_RELEASED": "EXP", "RAIL_RELEASE": "EXP", "IMP_RELEASED": "IMP"}
AFTERMATH = ("loaded_unreleased", "gated_out_unreleased", "left_on_hold", "left_under_inspection")
PAPERS = {
    "ARRIVAL_RPT": "departed_without_arrival_report",
    "MAN_ADV_OK": "departed_without_manifest",
    "TALLY_RPT": "tally_missing",
}
"""A report that a departure needs, and what is said while it is not there."""


ALARMS = {
    "ESEAL_ALARM": "seal_alarm",
    "OVERSTAY": "truck_overstay",
    "ROUTE_DEVIATION": "truck_off_route",
    "TRUCK_DEP": "truck_under_way",
}


def same(before: Event, event: Event) -> bool:
    """The same event, told twice with times that differ."""
    one, two = before.known, event.known
    if one.code != two.code or event.at - before.at > SAME_EVENT:
        return False
    return _agree(one.place, two.place)


def one_call(before: Event, event: Event, *, ship: bool = False) -> bool:
    """At the same place within one call; `ship`: of the same ship, and farther apart than clocks differ."""
    apart = event.at - before.at
    if apart > CALL or not _agree(before.known.place, event.known.place):
        return False
    return not ship or (apart > SLACK and _agree(before.known.transport, event.known.transport))


def _agree(one: str, two: str) -> bool:
    return one == two or not one or not two


# --- declarations and bills ---

SUBMITTED = frozenset({"DEC_SUBMITTED", "DEC_ACCEPTED"})
RELEASES = frozenset({"DEC_RELEASED", "DEC_GUAR_REL", "DEC_PICKUP_REL", "DEC_CLOSED"})
ENDS = frozenset({"DEC_REJECTED", "DEC_RETURNED", "DEC_DELETED", "DEC_WITHDRAWN", "DEC_FAILED"})
UNRELEASES = frozenset({"DEC_SUSPENDED", "DEC_REREVIEWED"})
ARRIVALS = frozenset({"ARRIVAL_RPT", "RAIL_ARRIVAL_RPT"})
LEAVING = frozenset({"LOADED", "BARGE_LOAD", "WAGON_LOADED"})


def direction(declaration: str) -> str:
    """IMP or EXP, by the ninth digit of an entry number or the first letter of a number without one; "" if unknown.

    >>> direction("declaration:222920261000000001"), direction("declaration:E20260000123"), direction("declaration:7")
    ('IMP', 'EXP', '')
    """
    number = declaration.partition(":")[2]
    if is_entry(declaration):
        return {"1": "IMP", "0": "EXP"}.get(number[8], "")
    return {"I": "IMP", "E": "EXP"}.get(number[:1], "")


def is_entry(subject: str) -> bool:
    """Whether this is a declaration under the number that customs gave it, not under one from before."""
    number = subject.partition(":")[2]
    return subject.startswith("declaration:") and len(number) == 18 and number.isdecimal()  # noqa: PLR2004


def of_declaration(subject: str, own: Sequence[Known], cargo: Iterable[Sequence[Known]]) -> list[Condition]:
    """Clearing that takes long, and cargo that was declared in advance and does not come. `cargo`: of what it names."""
    watch, way = Watch(), direction(subject)
    long = "clearance_long_export" if way == "EXP" else "clearance_long_import"
    arrivals = [event for facts in cargo for event in order(facts) if event.known.code in ARRIVALS | LEAVING]
    came: datetime | None = None
    for event in sorted([*order(own), *arrivals]):
        code = event.known.code
        if code in SUBMITTED:
            if not watch.stands(long):
                watch.begin(long, event)
            early = way == "EXP" and (came is None or event.at - came > ORDER_DAYS)  # an older arrival was another trip
            if early and not watch.stands("advance_not_arrived"):
                watch.begin("advance_not_arrived", event)
        elif code in RELEASES | ENDS:
            watch.end(long, event.at, event.fact_id)
            watch.end("advance_not_arrived", event.at, event.fact_id)
        elif code in ARRIVALS | LEAVING:
            came = event.at
            watch.end("advance_not_arrived", event.at, event.fact_id)
    return watch.conditions()


def of_bill(own: Sequence[Known]) -> list[Condition]:
    """Words in the description of its goods."""
    watch = Watch()
    for event in order(own):
        if event.known.code == "MAN_SUBMITTED":
            watch.begin("sensitive_goods", event)
    return watch.conditions()


# --- instructions ---


def of_instructions(subject: str, own: Sequence[Known]) -> list[Condition]:
    """Those about this subject that were neither carried out nor ended when they were due."""
    given = [each for each in own if each.code == "INSTRUCTED"]
    if not given:
        return []
    stands = [event.known for event in order(own)]
    ended = {each.detail: each for each in stands if each.code == "INSTRUCTION_ENDED"}
    found = (_overdue(subject, each, ended.get(each.detail), stands) for each in given)
    return [each for each in found if each is not None]


def _overdue(subject: str, told: Known, ended: Known | None, reported: Sequence[Known]) -> Condition | None:
    kind, due_at = _kind(told), datetime.fromtimestamp(told.value or 0, UTC)
    given = InstructionGiven(
        happened_at=told.at,
        recorded_at=told.at,
        kind=kind,
        subject=subject,
        due_at=due_at,
        to="",
        by="",
        place=told.place,
    )
    done = [each for each in reported if fulfils(given, _seen(subject, each))]
    ends = sorted((each.at, each.fact_id) for each in (*done, *filter(None, (ended,))))
    if ends and ends[0][0] <= due_at:
        return None
    cleared = ends[0] if ends else (None, None)
    return Condition("instruction_overdue", told.fact_id, due_at, told.place, kind, (told.fact_id,), *cleared)


def _kind(told: Known) -> Kind:
    return next(kind for kind in KINDS if kind == told.transport)


def _seen(subject: str, known: Known) -> Seen:
    return Seen(subject, known.code, "ACT", known.place, known.facility, known.at)
