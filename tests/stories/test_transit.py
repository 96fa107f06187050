"""Transit (转关) in its three forms: it leaves the port of entry on a permit, and is released where it is going."""

from typing import Any

import pytest

from examples import edifact
from examples.post import Post, at
from tests.fixtures_node import Node
from tests.stories.life import BARGE, CUSTOMS, NANJING, TERMINAL, Cargo, Step, asks, live

ENTRY, INLAND = "CNYSA", "CNNJG"


def permitted(cargo: Cargo, when: str) -> Post:
    """CUSRES: 7365/8, the goods may move under customs transfer."""
    body = [f"BGM+962+TR{cargo.serial:04}+11", f"LOC+22+{ENTRY}:139:6", f"DTM+58:{at(when):%Y%m%d%H%M}:203", "GIS+8"]
    told = edifact.interchange("CNCUS", "KOUAN", at(when), ("CUSRES:D:96B:UN", [*body, f"EQD+CN+{cargo.box}"]))
    return Post("customs-2200", "cusres", "application/edifact", told, "转关核放 / permitted", at(when))


def declared(cargo: Cargo, when: str, mode: str) -> Post:
    return cargo.told("DEC_TRANSIT_DECLARED", when, "customs-2200", place=ENTRY, mode=mode)


def arrived(cargo: Cargo, when: str) -> Post:
    return cargo.told("DEC_TRANSIT_ARRIVED", when, CUSTOMS, place=INLAND)


def written_off(cargo: Cargo, when: str) -> Post:
    return cargo.told("DEC_TRANSIT_WRITTEN_OFF", when, CUSTOMS, place=INLAND)


def direct(cargo: Cargo) -> list[Step]:
    """直转: declared at the port of entry as transit, at the destination for import, carried by truck under seal."""
    return [
        cargo.answer("MT1101", "02-14 16:20", place=ENTRY),
        cargo.handled(edifact.DISCHARGE, "03-17 06:48"),
        asks("gate-out", ENTRY, "declaration.missing"),
        declared(cargo, "03-17 09:00", "TRUCK"),
        asks("gate-out", ENTRY, "declaration.missing", "transit.not_permitted"),
        permitted(cargo, "03-17 11:00"),
        asks("gate-out", ENTRY),
        cargo.told("ESEAL_ON", "03-17 12:00", TERMINAL, place=ENTRY, mode="TRUCK"),
        cargo.gate(edifact.GATE_OUT, "03-17 12:30"),
        asks("gate-out", ENTRY, "arrival.left"),
        cargo.gate(edifact.GATE_IN, "03-17 18:30", spot=NANJING),
        asks("gate-out", INLAND, "declaration.missing", "transit.not_arrived"),
        arrived(cargo, "03-17 18:40"),
        asks("gate-out", INLAND, "declaration.missing", "transit.not_written_off"),
        written_off(cargo, "03-18 09:00"),
        asks("gate-out", INLAND, "declaration.missing"),
        cargo.receipt("L", "03-18 10:00"),
        asks("gate-out", INLAND, "declaration.not_released"),
        cargo.receipt("P", "03-18 15:00"),
        asks("gate-out", INLAND),
    ]


def through(cargo: Cargo) -> list[Step]:
    """中转: the carrier takes it on by barge under one bill and declares the transit himself."""
    return [
        cargo.answer("MT1101", "02-14 16:20", place=ENTRY),
        cargo.handled(edifact.DISCHARGE, "03-17 06:48"),
        declared(cargo, "03-17 09:00", "BARGE"),
        asks("load", ENTRY, "declaration.missing", "transit.not_permitted"),
        permitted(cargo, "03-17 11:00"),
        asks("load", ENTRY),
        cargo.handled(edifact.LOAD, "03-20 04:10", ship=BARGE),
        cargo.handled(edifact.DISCHARGE, "03-21 20:30", spot=NANJING, ship=BARGE),
        asks("gate-out", INLAND, "declaration.missing", "transit.not_arrived"),
        arrived(cargo, "03-21 21:00"),
        written_off(cargo, "03-22 09:00"),
        cargo.receipt("L", "03-22 10:00"),
        cargo.receipt("P", "03-22 15:00"),
        asks("gate-out", INLAND),
    ]


def advance(cargo: Cargo) -> list[Step]:
    """提前报关: declared for import at the destination before the transit is; released only once it has arrived."""
    return [
        cargo.receipt("L", "03-15 10:00"),
        cargo.receipt("J", "03-15 10:20"),
        cargo.answer("MT1101", "02-14 16:20", place=ENTRY),
        cargo.handled(edifact.DISCHARGE, "03-17 06:48"),
        declared(cargo, "03-17 09:00", "TRUCK"),
        asks("gate-out", ENTRY, "declaration.not_released", "transit.not_permitted"),
        permitted(cargo, "03-17 11:00"),
        asks("gate-out", ENTRY),
        cargo.gate(edifact.GATE_OUT, "03-17 12:30"),
        cargo.gate(edifact.GATE_IN, "03-17 18:30", spot=NANJING),
        arrived(cargo, "03-17 18:40"),
        asks("gate-out", INLAND, "declaration.not_released", "transit.not_written_off"),
        written_off(cargo, "03-18 09:00"),
        cargo.receipt("P", "03-18 09:05"),
        asks("gate-out", INLAND),
    ]


def export(cargo: Cargo) -> list[Step]:
    """Out: released where it was packed, loaded where it leaves, and there only once the transit has arrived."""
    out: dict[str, Any] = {"imported": False}
    return [
        cargo.told("STUFFED", "03-10 09:00", "road-njjk", place=INLAND, refs=[f"bl:{cargo.bill}"]),
        cargo.receipt("L", "03-10 10:00", **out),
        cargo.receipt("P", "03-10 16:00", **out),
        cargo.told("DEC_TRANSIT_DECLARED", "03-10 16:30", CUSTOMS, place=INLAND),
        cargo.told("DEC_TRANSIT_PERMITTED", "03-10 17:00", CUSTOMS, place=INLAND),
        cargo.answer("MT2101", "03-11 08:00", place=ENTRY),
        cargo.gate(edifact.GATE_IN, "03-11 09:00", trade=edifact.EXPORT),
        cargo.answer("MT3101", "03-11 09:10", place=ENTRY),
        asks("load", ENTRY, "transit.not_arrived"),
        cargo.told("DEC_TRANSIT_ARRIVED", "03-11 09:30", "customs-2200", place=ENTRY),
        asks("load", ENTRY),
    ]


STORIES = {"direct": direct, "through": through, "advance": advance}


@pytest.mark.parametrize("form", STORIES)
def test_it_leaves_on_the_permit_and_is_released_at_its_destination(node: Node, form: str) -> None:
    cargo = Cargo(1)
    live(node, f"containers/{cargo.box}", STORIES[form](cargo))


@pytest.mark.parametrize(
    ("form", "words"), [("direct", "直转转关"), ("through", "中转转关"), ("advance", "提前报关转关")]
)
def test_the_answer_says_which_form_it_is(node: Node, form: str, words: str) -> None:
    cargo = Cargo(1)
    steps = STORIES[form](cargo)
    until = next(
        at for at, step in enumerate(steps) if step == asks("load" if form == "through" else "gate-out", ENTRY)
    )
    told = live(node, f"containers/{cargo.box}", steps[: until + 1])
    assert words in told["legs"]["customs"]["detail_zh"]


def test_an_export_in_transit_is_loaded_only_after_its_arrival(node: Node) -> None:
    cargo = Cargo(1)
    live(node, f"containers/{cargo.box}", export(cargo))
