"""Out by sea: released, reported as arrived, on the pre-load manifest, and all three agree; or taken back."""

from typing import Any

from examples import edifact
from examples.post import Post
from tests.fixtures_node import Node
from tests.stories.life import Cargo, Step, asks, live

PORT = "CNYSA"
OUT: dict[str, Any] = {"imported": False}


def packed(cargo: Cargo, **more: Any) -> list[Post]:
    return [
        cargo.told("EMPTY_OUT", "03-09 09:00", "depot-shanghai", place="CNSHG", laden=False),
        cargo.told("STUFFED", "03-10 09:00", "road-shsl", place="CNSHG", refs=[f"bl:{cargo.bill}"]),
        cargo.gate(edifact.GATE_IN, "03-11 09:00", trade=edifact.EXPORT, **more),
    ]


def story(cargo: Cargo) -> list[Step]:
    empty, stuffed, entered = packed(cargo)
    return [
        empty,
        asks("gate-out", ""),  # an empty box needs no papers; it has left the depot, yet none is asked
        stuffed,
        cargo.receipt("L", "03-10 20:00", **OUT),
        entered,
        asks("load", PORT, "declaration.not_released", "arrival.missing", "manifest.missing"),
        cargo.answer("MT3101", "03-11 09:10", place=PORT),
        asks("load", PORT, "declaration.not_released", "manifest.missing"),
        cargo.answer("MT2101", "03-11 10:00", place=PORT),
        cargo.receipt("P", "03-11 14:00", **OUT),
        asks("load", PORT),
        cargo.answer("MT4101", "03-12 08:00", "12", place=PORT),
        asks("load", PORT, "manifest.load_refused"),
        cargo.answer("MT4101", "03-12 12:00", "01", place=PORT),
        asks("load", PORT),
    ]


def test_it_is_loaded_once_released_arrived_and_manifested(node: Node) -> None:
    cargo = Cargo(1)
    told = live(node, f"containers/{cargo.box}", story(cargo))
    assert {leg["status"] for leg in told["legs"].values()} == {"ok"}
    assert (told["direction"], told["mode"]) == ("export", "VESSEL")


def test_export_cargo_leaves_the_gate_again_only_once_its_declaration_is_undone(node: Node) -> None:
    cargo = Cargo(1)
    steps: list[Step] = [
        *packed(cargo),
        asks("gate-out", PORT),
        cargo.receipt("L", "03-11 20:00", **OUT),
        asks("gate-out", PORT, "declaration.not_withdrawn"),
        cargo.receipt("A", "03-12 10:00", **OUT),
        asks("gate-out", PORT),
    ]
    live(node, f"containers/{cargo.box}", steps)


def test_a_box_that_left_after_its_arrival_report_must_be_reported_again(node: Node) -> None:
    cargo = Cargo(1)
    gone = cargo.gate(edifact.GATE_OUT, "03-12 18:00", trade=edifact.EXPORT)
    back = [cargo.gate(edifact.GATE_IN, "03-13 07:00"), cargo.answer("MT3101", "03-13 07:10", place=PORT)]
    steps: list[Step] = [*story(cargo), gone, asks("load", PORT, "arrival.left"), *back, asks("load", PORT)]
    live(node, f"containers/{cargo.box}", steps)


def test_a_seal_that_is_not_the_manifests_is_told_with_both_values(node: Node) -> None:
    cargo = Cargo(1)
    other = packed(cargo, seal="KS999")
    manifest = cargo.told(
        "MAN_ADV_OK", "03-11 10:30", "customs-2200", place=PORT, mode="VESSEL", seal="KS111", refs=[f"bl:{cargo.bill}"]
    )
    arrived = cargo.answer("MT3101", "03-11 09:10", place=PORT)
    released = cargo.receipt("P", "03-11 14:00", **OUT)
    steps: list[Step] = [*other, manifest, arrived, released, asks("load", PORT, "manifest.mismatch")]
    [wrong] = live(node, f"containers/{cargo.box}", steps)["reasons"]
    assert "铅封 KS111 ≠ KS999" in wrong["zh"]
    assert len(wrong["fact_ids"]) == 2


def test_an_arrival_report_that_customs_sends_back_is_none(node: Node) -> None:
    cargo = Cargo(1)
    rejected = cargo.answer("MT3101", "03-13 11:00", "03", place=PORT)
    live(node, f"containers/{cargo.box}", [*story(cargo), rejected, asks("load", PORT, "arrival.rejected")])
