"""In by sea, and the three legs disagree: bill, pieces, weight, ship; customs forbids discharge."""

from typing import Any

import pytest

from examples import edifact
from tests.fixtures_node import Node
from tests.stories.life import Cargo, Step, asks, live

PORT = "CNYSA"


def story(cargo: Cargo) -> list[Step]:
    return [
        cargo.told("MAN_ORIG_OK", "02-14 16:20", "customs-2200", **manifest(cargo)),
        cargo.handled(edifact.DISCHARGE, "03-17 06:48", gross_kg=12_100),
        cargo.receipt("P", "03-17 12:00"),
        asks("gate-out", PORT),
    ]


def manifest(cargo: Cargo) -> dict[str, Any]:
    return {
        "subject": f"bl:{cargo.bill}",
        "mode": "VESSEL",
        "transport": "KOUAN PIONEER/006E",
        "pieces": 40,
        "weight_kg": 8_200,
        "refs": [f"container:{cargo.box}"],
    }


def tally(cargo: Cargo, **told: Any) -> list[Step]:
    return [cargo.told("TALLY_RPT", "03-17 13:41", subject=f"bl:{cargo.bill}", refs=[f"container:{cargo.box}"], **told)]


CASES = {
    "件数 40 ≠ 39": ("tally.mismatch", {"pieces": 39}),
    "毛重 8200 kg ≠ 9900 kg": ("tally.mismatch", {"weight_kg": 9_900}),
}


@pytest.mark.parametrize("words", CASES)
def test_a_tally_that_counts_otherwise_is_a_reason_with_both_values(node: Node, words: str) -> None:
    cargo = Cargo(1)
    code, told = CASES[words]
    steps: list[Step] = [*story(cargo), *tally(cargo, **told), asks("gate-out", PORT, code)]
    [reason] = live(node, f"containers/{cargo.box}", steps)["reasons"]
    assert words in reason["zh"]


def test_a_tally_that_agrees_is_none(node: Node) -> None:
    cargo = Cargo(1)
    steps: list[Step] = [*story(cargo), *tally(cargo, pieces=40, weight_kg=8_250), asks("gate-out", PORT)]
    live(node, f"containers/{cargo.box}", steps)


def test_a_tally_in_parts_adds_up(node: Node) -> None:
    cargo = Cargo(1)
    first = cargo.told("TALLY_RPT", "03-17 13:41", subject=f"bl:{cargo.bill}", pieces=30, pieces_total=40)
    second = cargo.told("TALLY_RPT", "03-17 15:41", subject=f"bl:{cargo.bill}", pieces=10, pieces_total=40)
    steps: list[Step] = [*story(cargo), first, asks("gate-out", PORT, "tally.mismatch"), second, asks("gate-out", PORT)]
    live(node, f"containers/{cargo.box}", steps)


def test_another_ship_than_the_manifests_is_told(node: Node) -> None:
    cargo = Cargo(1)
    other = edifact.Ship("KOUAN PIONEER", "007E", "9999008")
    steps = story(cargo)
    steps[1] = cargo.handled(edifact.DISCHARGE, "03-17 06:48", ship=other)
    live(node, f"containers/{cargo.box}", [*steps[:-1], asks("gate-out", PORT, "manifest.mismatch")])


def test_a_declaration_for_another_bill_does_not_agree_with_the_manifest(node: Node) -> None:
    cargo = Cargo(1)
    steps = story(cargo)
    steps[2] = cargo.receipt("P", "03-17 12:00", bill="MAEU0000001")
    told = live(node, f"containers/{cargo.box}", [*steps[:-1], asks("gate-out", PORT, "manifest.mismatch")])
    assert f"提单 {cargo.bill} ≠ MAEU0000001" in told["reasons"][0]["zh"]


def test_a_second_bill_in_the_box_must_be_declared_too(node: Node) -> None:
    cargo = Cargo(1)
    second = cargo.told(
        "MAN_ORIG_OK", "02-14 16:20", "customs-2200", **{**manifest(cargo), "subject": "bl:COSU7799", "pieces": 3}
    )
    steps: list[Step] = [second, *story(cargo)[:-1], asks("gate-out", PORT, "declaration.missing")]
    [reason] = live(node, f"containers/{cargo.box}", steps)["reasons"]
    assert reason["subject"] == "bl:COSU7799"
    late = cargo.receipt("P", "03-18 12:00", bill="COSU7799", again=1)
    live(node, f"containers/{cargo.box}", [late, asks("gate-out", PORT)])


def test_what_customs_forbids_to_discharge_does_not_leave(node: Node) -> None:
    cargo = Cargo(1)
    steps: list[Step] = [
        *story(cargo),
        cargo.answer("MT1101", "03-17 16:00", "13"),
        asks("gate-out", PORT, "manifest.discharge_refused"),
    ]
    live(node, f"containers/{cargo.box}", steps)
