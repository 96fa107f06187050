"""Release is not the end: reviewed again (重审) or deleted (放行后删单), the goods stand again."""

from examples import edifact
from tests.fixtures_node import Node
from tests.stories.life import Cargo, Step, asks, live

PORT = "CNYSA"


def story(cargo: Cargo) -> list[Step]:
    return [
        cargo.answer("MT1101", "02-14 16:20", place=PORT),
        cargo.handled(edifact.DISCHARGE, "03-17 06:48"),
        cargo.receipt("L", "03-17 09:00"),
        cargo.receipt("P", "03-17 12:00"),
        asks("gate-out", PORT),
        cargo.receipt("M", "03-17 13:00"),
        asks("gate-out", PORT, "declaration.re_reviewed"),
        cargo.receipt("P", "03-17 14:00"),
        asks("gate-out", PORT),
        cargo.receipt("D", "03-18 09:00"),
        asks("gate-out", PORT, "declaration.deleted"),
        cargo.receipt("L", "03-18 11:00", again=1),
        asks("gate-out", PORT, "declaration.not_released"),
        cargo.receipt("P", "03-18 16:00", again=1),
        asks("gate-out", PORT),
    ]


def test_what_was_released_is_stopped_again_and_declared_anew(node: Node) -> None:
    cargo = Cargo(1)
    told = live(node, f"containers/{cargo.box}", story(cargo))
    assert [each["status"] for each in told["declarations"]] == ["deleted", "released"]


def test_another_declaration_of_before_does_not_stand_in_for_the_one_deleted(node: Node) -> None:
    cargo = Cargo(1)
    half: list[Step] = [
        cargo.answer("MT1101", "02-14 16:20", place=PORT),
        cargo.handled(edifact.DISCHARGE, "03-17 06:48"),
        cargo.receipt("P", "03-17 12:00"),
        cargo.receipt("P", "03-17 12:10", again=1),
        asks("gate-out", PORT),
        cargo.receipt("D", "03-18 09:00"),
        asks("gate-out", PORT, "declaration.deleted"),
    ]
    live(node, f"containers/{cargo.box}", half)


def test_a_rejected_declaration_blocks_until_it_is_made_again(node: Node) -> None:
    cargo = Cargo(1)
    steps: list[Step] = [
        cargo.answer("MT1101", "02-14 16:20", place=PORT),
        cargo.handled(edifact.DISCHARGE, "03-17 06:48"),
        cargo.receipt("E", "03-17 09:00"),
        asks("gate-out", PORT, "declaration.rejected"),
        cargo.receipt("P", "03-17 12:10", again=1),
        asks("gate-out", PORT),
    ]
    live(node, f"containers/{cargo.box}", steps)
