"""The walk over what happened to one container or truck: where it is, what customs has said, what is waited for.

Pure. A journey by sea begins at a gate or a ship's arrival and ends when the box is emptied or taken away; what customs
said of one journey does not count for the next. Whether a box is released: by a word of customs about the box or its
bill, else when every declaration that stands for it is released.
"""

from collections.abc import Callable, Iterable

from projections.alert_conditions import (
    ALARMS,
    ENDS,
    GROUP,
    INSPECTION,
    ORDER_DAYS,
    PAPERS,
    RELEASES,
    SUBMITTED,
    TWICE,
    UNDOES,
    UNRELEASES,
    WAITS,
    WAYS,
    Condition,
    Event,
    Watch,
    abroad,
    direction,
    one_call,
    same,
)
from projections.alert_rules import CELSIUS, EMPTY_KG, EXCURSION

AFTERMATH = ("loaded_unreleased", "gated_out_unreleased", "left_on_hold", "left_under_inspection")


class Case:
    """One declaration for this box: which way, and whether it is released."""

    __slots__ = ("at", "released", "way")

    def __init__(self, way: str, event: Event, *, released: bool) -> None:
        self.way, self.at, self.released = way, event.at, released


class Journey(Watch):
    """The walk."""

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, Event] = {}  # by group, what nothing has undone
        self.phase = self.waiting = self.inspection = self.inspecting = ""
        self.outbound: Event | None = None  # loaded here for a voyage out
        self.by_land = True  # how it came to where it is; True also while that is not known
        self.empty = self.stored = False  # known to be empty; and not on its way to be stuffed
        self.released_by: dict[str, Event] = {}  # customs about the box itself or its bill, by way
        self.cases: dict[str, Case] = {}
        self.holds: dict[str, Event] = {}
        self.inspections: dict[str, Event] = {}
        self.papers: dict[str, Event] = {}
        self.bordered = False
        self.warm: Event | None = None  # the last reading of a temperature out of range

    def walk(self, events: Iterable[Event]) -> list[Condition]:
        for event in events:
            code = event.known.code
            if event.origin.startswith("declaration:"):
                self.declaration(event)
            elif code in GROUP:
                self.movement(event)
            elif code in ON:
                ON[code](self, event)
            self.settle(event)
        if self.warm is not None:
            self.end("temperature", self.warm.at + EXCURSION, self.warm.fact_id)
        return self.conditions()

    def settle(self, event: Event) -> None:
        """What is waited for now, and what is waited for no more."""
        if self.phase or self.waiting:
            wanted = WAITS[self.phase][self.released("EXP" if self.phase == "export" else "IMP")]
            if wanted != self.waiting:
                self.turn(self.waiting, wanted, event)
                self.waiting = wanted
        if INSPECTION[self.inspection] != self.inspecting:
            self.turn(self.inspecting, INSPECTION[self.inspection], event)
            self.inspecting = INSPECTION[self.inspection]

    def turn(self, before: str, after: str, event: Event) -> None:
        if before:
            self.end(before, event.at, event.fact_id)
        if after:
            self.begin(after, event)

    # --- customs ---

    def released(self, way: str) -> bool:
        if not self.released_by and not self.cases:
            return False
        if way in self.released_by or "" in self.released_by:
            return True
        cases = [case.released for case in self.cases.values() if case.way in {"", way}]
        return bool(cases) and all(cases)

    def declaration(self, event: Event) -> None:
        code, origin = event.known.code, event.origin
        if code in RELEASES:
            self.cases[origin] = Case(direction(origin), event, released=True)
            self.inspections.pop(origin, None)
            self.cleared(event)
        elif code in SUBMITTED or code in UNRELEASES:
            before = self.cases.get(origin)
            if before is None or code in UNRELEASES:
                self.cases[origin] = Case(direction(origin), event, released=False)
        elif code in ENDS:
            self.cases.pop(origin, None)
            self.inspections.pop(origin, None)
        elif code in ON:
            ON[code](self, event)
        if code in RELEASES or code in ENDS:
            self.inspected(event)

    def release(self, event: Event) -> None:
        self.released_by[WAYS.get(event.known.code, "")] = event
        self.inspections.pop(event.origin, None)
        self.cleared(event)
        self.inspected(event)

    def unrelease(self, _: Event) -> None:
        """Customs takes its word about the box back; which way it had said, it does not say."""
        self.released_by.clear()

    def cleared(self, event: Event) -> None:
        """A release that comes too late still ends what its lack had raised."""
        if self.released("EXP"):
            self.end("loaded_unreleased", event.at, event.fact_id)
        if self.released("IMP"):
            self.end("gated_out_unreleased", event.at, event.fact_id)

    def order_inspection(self, event: Event) -> None:
        self.inspections.setdefault(event.origin, event)
        if self.inspection in {"", "done"}:
            self.inspection = "in" if self.inspection == "done" else "ordered"

    def moved_in(self, event: Event) -> None:
        self.inspection = "in"
        self.end("left_under_inspection", event.at, event.fact_id)
        self.end("gated_out_unreleased", event.at, event.fact_id)  # it left for the inspection site

    def finish_inspection(self, event: Event) -> None:
        self.inspections.clear()
        self.inspected(event)

    def inspected(self, event: Event) -> None:
        """What follows once no inspection is pending any more."""
        if not self.inspections and self.inspection in {"ordered", "in"}:
            self.inspection = "done" if self.inspection == "in" else ""
            self.end("left_under_inspection", event.at, event.fact_id)

    def moved_out(self, _: Event) -> None:
        self.inspection = "ordered" if self.inspections else ""

    def hold(self, event: Event) -> None:
        self.holds[event.known.detail] = event

    def lift(self, event: Event) -> None:
        self.holds.pop(event.known.detail, None)
        if not self.holds:
            self.end("left_on_hold", event.at, event.fact_id)

    def paper(self, event: Event) -> None:
        self.papers[event.known.code] = event
        self.end(PAPERS.get(event.known.code, ""), event.at, event.fact_id)

    # --- movements by sea ---

    def movement(self, event: Event) -> None:
        known = event.known
        group = GROUP[known.code]
        before = self.last.get(group)
        if before is not None and same(before, event):
            return
        if not abroad(known.place):
            self.compare(group, before, event)
        if known.laden is not None:
            self.empty = self.stored = not known.laden
        MOVES[group](self, event)
        for undone in UNDOES[group]:
            self.last.pop(undone, None)
        self.last[group] = event
        if known.value is not None:
            self.weigh(event)

    def compare(self, group: str, before: Event | None, event: Event) -> None:
        """Reports that can hardly all be true."""
        code, last = event.known.code, self.last
        if before is not None and before.known.code == code and event.at - before.at <= ORDER_DAYS and code in TWICE:
            self.begin(TWICE[code], event, before)
        if group == "IN" and (aboard := last.get("LOAD")) and one_call(aboard, event):
            self.begin("loaded_before_gate_in", event, aboard)
        if group == "OUT" and (aboard := last.get("LOAD")) and one_call(aboard, event):
            self.begin("gated_out_aboard", event, aboard)
        if group == "DISC" and (out := last.get("OUT")) and one_call(out, event):
            self.begin("gated_out_before_discharge", event, out)
        if group == "ARR" and before is None and (off := last.get("DISC")) and one_call(off, event, ship=True):
            self.begin("discharged_before_arrival", event, off)
        if group == "LOAD" and (sailed := last.get("DEP")) and one_call(sailed, event, ship=True):
            self.begin("departed_before_loading", event, sailed)

    def gate_in(self, event: Event) -> None:
        self.empty = self.stored = event.known.laden is False
        self.arrived_by_truck(event)
        if "LOAD" in self.last and one_call(self.last["LOAD"], event):
            return  # a wrong time: it is aboard
        self.keep(*AFTERMATH)
        self.by_land = True
        if not self.empty and not abroad(event.known.place):
            self.phase = "export"

    def gate_out(self, event: Event) -> None:
        if event.known.laden is False or abroad(event.known.place):
            self.phase = ""
            return
        if self.phase != "export":  # one that came by land and goes back had nothing to be released for
            self.leave(event, "IMP", "gated_out_unreleased")
        self.phase = self.inspection = ""
        self.forget()

    def load(self, event: Event) -> None:
        known = event.known
        self.phase = ""
        if self.stored:
            return
        self.empty = False
        if abroad(known.place) or known.code == "TS_LOAD":
            return
        if self.by_land:
            self.leave(event, "EXP", "loaded_unreleased")
            self.outbound = event
        self.inspection = ""

    def discharge(self, event: Event) -> None:
        known = event.known
        if abroad(known.place):
            return
        feeder = known.code == "BARGE_DISC" and self.outbound is not None
        self.return_home(event)
        self.by_land = False
        if self.stored:
            self.phase = ""
        elif feeder:
            self.phase = "export"
        else:
            self.phase = "transit" if known.code == "TS_DISC" else "import"

    def arrive(self, event: Event) -> None:
        if not abroad(event.known.place) and "DISC" not in self.last and not self.stored and not self.phase:
            if event.known.code == "VSL_ARR":
                self.return_home(event)
                self.phase = "arrived"
            self.by_land = False

    def return_home(self, event: Event) -> None:
        """Back from a voyage: what customs said before it was about the way out. If that never left, it needed none."""
        if self.outbound is None or event.known.code.startswith("BARGE"):
            return
        if self.last.get("LOAD") is self.outbound:
            self.end("loaded_unreleased", event.at, event.fact_id)
        spent = self.outbound.at
        self.released_by = {way: each for way, each in self.released_by.items() if each.at > spent}
        self.cases = {origin: case for origin, case in self.cases.items() if case.at > spent}
        self.papers.clear()
        self.outbound = None

    def depart(self, event: Event) -> None:
        known = event.known
        if self.phase == "arrived":
            self.phase = ""
        if known.code != "VSL_DEP" or abroad(known.place) or self.outbound is None or "LOAD" not in self.last:
            return
        for code, name in PAPERS.items():
            if code not in self.papers and not self.stands(name):
                self.begin(name, event, self.outbound)

    def leave(self, event: Event, way: str, unreleased: str) -> None:
        """Loaded or gated out: whether it was free to go."""
        if not self.released(way):
            self.begin(unreleased, event)
        if self.holds:
            self.begin("left_on_hold", event, *self.holds.values())
        if self.inspections:
            self.begin("left_under_inspection", event, *self.inspections.values())

    def forget(self) -> None:
        """The box is taken away or emptied: what was said of this journey does not count for the next."""
        self.released_by.clear()
        self.cases.clear()
        self.inspections.clear()
        self.papers.clear()
        self.outbound = None

    # --- other modes and the box itself ---

    def emptied(self, event: Event) -> None:
        """Picked up empty, returned empty, unpacked."""
        self.last.clear()
        self.phase = self.inspection = ""
        self.by_land, self.bordered, self.empty, self.stored = True, False, True, event.known.code != "EMPTY_OUT"
        self.forget()
        self.arrived_by_truck(event)
        self.end("seal_alarm", event.at, event.fact_id)
        if event.known.code == "EMPTY_OUT":
            self.keep(*AFTERMATH, *PAPERS.values())
        self.weigh(event)

    def stuffed(self, event: Event) -> None:
        self.empty = self.stored = False
        self.end("empty_weight", event.at, event.fact_id)

    def weigh(self, event: Event) -> None:
        kg = event.known.value
        if kg is None or not self.empty:
            return
        if EMPTY_KG[0] <= kg <= EMPTY_KG[1]:
            self.end("empty_weight", event.at, event.fact_id)
        elif not self.stands("empty_weight"):
            self.begin("empty_weight", event)

    def wagon(self, event: Event) -> None:
        customs = self.cases or self.released_by or self.papers or self.holds or self.inspections
        if customs and self.by_land and event.known.laden is not False and not abroad(event.known.place):
            self.leave(event, "EXP", "loaded_unreleased")  # without any word of customs it is domestic cargo

    def station_out(self, event: Event) -> None:
        if self.bordered and event.known.laden is not False and not abroad(event.known.place):
            self.leave(event, "IMP", "gated_out_unreleased")
            self.forget()
        self.bordered = False

    def border(self, _: Event) -> None:
        self.bordered = True

    def alarm(self, event: Event) -> None:
        name = ALARMS[event.known.code]
        if not self.stands(name):
            self.begin(name, event)

    def sealed(self, event: Event) -> None:
        self.end("seal_alarm", event.at, event.fact_id)

    def arrived_by_truck(self, event: Event) -> None:
        for name in ("truck_under_way", "truck_overstay", "truck_off_route"):
            self.end(name, event.at, event.fact_id)

    def reading(self, event: Event) -> None:
        """Out of range, for as long as one reading follows another in time; over when none does."""
        if event.known.value is None or CELSIUS[0] <= event.known.value <= CELSIUS[1]:
            return
        if self.warm is not None and event.at - self.warm.at > EXCURSION:
            self.end("temperature", self.warm.at + EXCURSION, self.warm.fact_id)
        if not self.stands("temperature"):
            self.begin("temperature", event)
        self.warm = event


def _each(codes: str, act: Callable[[Journey, Event], None]) -> dict[str, Callable[[Journey, Event], None]]:
    return dict.fromkeys(codes.split(), act)


MOVES: dict[str, Callable[[Journey, Event], None]] = {
    "IN": Journey.gate_in,
    "OUT": Journey.gate_out,
    "LOAD": Journey.load,
    "DISC": Journey.discharge,
    "ARR": Journey.arrive,
    "DEP": Journey.depart,
}
ON: dict[str, Callable[[Journey, Event], None]] = (
    _each("EXP_RELEASED IMP_RELEASED RAIL_RELEASE " + " ".join(RELEASES), Journey.release)
    | _each(" ".join(UNRELEASES | ENDS), Journey.unrelease)
    | _each("INSP_ORDERED", Journey.order_inspection)
    | _each("INSP_SITE_IN", Journey.moved_in)
    | _each("INSP_DONE", Journey.finish_inspection)
    | _each("INSP_SITE_OUT", Journey.moved_out)
    | _each("HOLD", Journey.hold)
    | _each("HOLD_LIFTED", Journey.lift)
    | _each("ARRIVAL_RPT RAIL_ARRIVAL_RPT MAN_ADV_OK TALLY_RPT", Journey.paper)
    | _each("EMPTY_OUT EMPTY_IN STRIPPED", Journey.emptied)
    | _each("STUFFED", Journey.stuffed)
    | _each("SCALE", Journey.weigh)
    | _each("WAGON_LOADED", Journey.wagon)
    | _each("STATION_OUT", Journey.station_out)
    | _each("BORDER_CROSSED BORDER_ARR", Journey.border)
    | _each(" ".join(ALARMS), Journey.alarm)
    | _each("ESEAL_ON ESEAL_OFF RESEALED SEAL_INSPECTED", Journey.sealed)
    | _each("TRUCK_ARR TRUCK_UNLOADED POD", Journey.arrived_by_truck)
    | _each("TEMPERATURE", Journey.reading)
)
"""What the walk does with each code that is no movement by sea; it passes others by."""
