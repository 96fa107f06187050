"""Empty boxes, transhipment and domestic moves need no declaration; the answer names the line that says so."""

from typing import Any

from examples import edifact
from tests.fixtures_node import Node
from tests.stories.life import BARGE, NANJING, Cargo, Step, asks, live

PORT = "CNYSA"


def customs_line(node: Node, told: Any) -> str:
    leg = told["legs"]["customs"]
    assert leg["status"] == "not-needed"
    [said] = [fact["code"] for fact in told["facts"] if fact["fact_id"] in leg["fact_ids"]]
    return str(said)


def test_an_empty_box_is_let_out(node: Node) -> None:
    cargo = Cargo(1)
    steps: list[Step] = [cargo.gate(edifact.GATE_IN, "03-17 06:48", laden=False), asks("gate-out", PORT)]
    assert customs_line(node, live(node, f"containers/{cargo.box}", steps)) == "EMPTY_IN"


def test_a_box_declared_since_it_was_empty_is_not_empty_any_more(node: Node) -> None:
    cargo = Cargo(1)
    out = cargo.receipt("L", "03-18 10:00", imported=False)
    empty = cargo.told("EMPTY_OUT", "03-17 09:00", "depot-shanghai", place="CNSHG", laden=False)
    steps: list[Step] = [empty, asks("load", PORT), out]
    wanted = ("declaration.not_released", "arrival.missing", "manifest.missing")
    live(node, f"containers/{cargo.box}", [*steps, asks("load", PORT, *wanted)])


def test_a_box_that_goes_on_by_another_ship_is_loaded_and_not_let_out(node: Node) -> None:
    cargo = Cargo(1)
    steps: list[Step] = [
        cargo.answer("MT1101", "02-14 16:20", place=PORT),
        cargo.handled(edifact.DISCHARGE, "03-17 06:48", trade="6"),
        asks("load", PORT),
    ]
    assert customs_line(node, live(node, f"containers/{cargo.box}", steps)) == "TS_DISC"
    live(node, f"containers/{cargo.box}", [asks("gate-out", PORT, "declaration.missing")])


def test_what_is_packed_and_barged_at_home_is_let_out(node: Node) -> None:
    cargo = Cargo(1)
    steps: list[Step] = [
        cargo.told("EMPTY_OUT", "03-09 09:00", "depot-shanghai", place="CNSHG", laden=False),
        cargo.told("STUFFED", "03-10 09:00", "road-shsl", place="CNSHG"),
        cargo.handled(edifact.LOAD, "03-20 04:10", ship=BARGE),
        cargo.handled(edifact.DISCHARGE, "03-21 20:30", spot=NANJING, ship=BARGE),
        asks("gate-out", "CNNJG"),
    ]
    assert customs_line(node, live(node, f"containers/{cargo.box}", steps)) == "BARGE_DISC"


def test_a_barge_alone_proves_no_domestic_cargo(node: Node) -> None:
    cargo = Cargo(1)
    steps: list[Step] = [
        cargo.handled(edifact.LOAD, "03-20 04:10", ship=BARGE),
        cargo.handled(edifact.DISCHARGE, "03-21 20:30", spot=NANJING, ship=BARGE),
        asks("gate-out", "CNNJG", "declaration.missing", "manifest.missing"),
    ]
    live(node, f"containers/{cargo.box}", steps)


def test_the_papers_of_its_last_journey_do_not_let_a_box_out(node: Node) -> None:
    cargo, new = Cargo(1), "COSU880001"
    steps: list[Step] = [
        cargo.answer("MT1101", "02-14 16:20", place=PORT),
        cargo.handled(edifact.DISCHARGE, "03-01 06:48"),
        cargo.receipt("P", "03-02 12:00"),
        asks("gate-out", PORT),
        cargo.gate(edifact.GATE_OUT, "03-03 10:42"),
        cargo.told("EMPTY_IN", "03-05 10:42", "depot-shanghai", place="CNSHG", laden=False),
        cargo.told("EMPTY_OUT", "03-10 10:42", "depot-shanghai", place="USLAX", laden=False),
        cargo.handled(edifact.DISCHARGE, "06-01 06:48", bill=new),
        cargo.receipt("R", "06-02 09:00"),  # the old declaration is closed late
        asks("gate-out", PORT, "declaration.missing", "manifest.missing"),
        cargo.answer("MT1101", "05-14 16:20", bill=new),
        cargo.receipt("P", "06-03 12:00", bill=new, again=1),
        asks("gate-out", PORT),
    ]
    live(node, f"containers/{cargo.box}", steps)
