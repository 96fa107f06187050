"""Declared in Nanjing, discharged at Yangshan: the declaring customs is not that of the border (全国通关一体化)."""

from examples import edifact
from tests.fixtures_node import Node
from tests.stories.life import BARGE, NANJING, Cargo, Step, asks, live


def story(cargo: Cargo) -> list[Step]:
    barged = "CNNJG"
    return [
        cargo.answer("MT1101", "02-14 16:20", place="CNYSA"),
        asks("gate-out", "CNYSA", "declaration.missing", "arrival.missing"),
        cargo.receipt("L", "03-16 09:15"),
        cargo.receipt("J", "03-17 07:30"),
        cargo.handled(edifact.DISCHARGE, "03-17 06:48"),
        asks("gate-out", "CNYSA", "declaration.not_released"),
        cargo.receipt("P", "03-19 15:26"),
        asks("gate-out", "CNYSA"),
        asks("gate-out", barged, "arrival.elsewhere"),
        asks("load", "CNYSA"),
        cargo.handled(edifact.LOAD, "03-20 04:10", ship=BARGE),
        asks("gate-out", "CNYSA", "arrival.left"),
        cargo.handled(edifact.DISCHARGE, "03-21 20:30", spot=NANJING, ship=BARGE),
        asks("gate-out", barged),
        cargo.receipt("R", "03-20 10:02"),
        cargo.gate(edifact.GATE_OUT, "03-23 10:42", spot=NANJING),
        asks("gate-out", barged, "arrival.left"),
    ]


def test_a_release_by_the_declaring_customs_counts_at_the_border(node: Node) -> None:
    told = live(node, f"containers/{Cargo(1).box}", story(Cargo(1)))
    [declared] = told["declarations"]
    assert (declared["cross_region"], declared["status"]) == (True, "closed")
    assert (declared["declaring"]["code"], declared["border"]["code"]) == ("2308", "2248")
    assert declared["released_at"] == "2026-03-19T15:26:00+08:00"


def test_declared_where_it_enters_it_is_not_cross_region(node: Node) -> None:
    cargo = Cargo(2)
    steps: list[Step] = [
        cargo.answer("MT1101", "02-14 16:20", place="CNYSA"),
        cargo.handled(edifact.DISCHARGE, "03-17 06:48"),
        cargo.receipt("P", "03-19 15:26", customs="2248"),
        asks("gate-out", "CNYSA"),
    ]
    assert not live(node, f"containers/{cargo.box}", steps)["declarations"][0]["cross_region"]
