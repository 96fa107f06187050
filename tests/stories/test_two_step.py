"""Two-step declaration (两步申报): released for pick-up on the summary, completed within fourteen days."""

from examples import edifact
from tests.fixtures_node import Node
from tests.stories.life import Cargo, Step, asks, live

PORT = "CNYSA"


def story(cargo: Cargo) -> list[Step]:
    at_port = {"customs": "2248"}
    return [
        cargo.answer("MT1101", "02-14 16:20", place=PORT),
        cargo.receipt("SpL", "03-16 10:06", **at_port),
        cargo.receipt("SpJ", "03-16 10:12", **at_port),
        cargo.handled(edifact.DISCHARGE, "03-17 07:20"),
        asks("gate-out", PORT, "declaration.not_released"),
        cargo.receipt("SpK", "03-17 16:45", **at_port),
        cargo.receipt("Sp1", "03-17 16:46", **at_port),
        asks("gate-out", PORT),
        cargo.receipt("L", "03-24 14:03", **at_port),
        cargo.receipt("T", "03-24 14:10", **at_port),
        asks("gate-out", PORT),  # the goods were let go; what is still owed is settled with the completion
        cargo.receipt("P", "03-25 10:37", **at_port),
        cargo.receipt("R", "03-26 09:15", **at_port),
        asks("gate-out", PORT),
    ]


def test_the_summary_lets_it_go_and_the_rest_does_not_stop_it(node: Node) -> None:
    cargo = Cargo(1)
    told = live(node, f"containers/{cargo.box}", story(cargo))
    [declared] = told["declarations"]
    assert (declared["procedure"], declared["completion_due"]) == ("two-step", False)


def test_after_pick_up_the_completion_is_still_owed(node: Node) -> None:
    cargo = Cargo(1)
    steps = story(cargo)
    told = live(node, f"containers/{cargo.box}", steps[: steps.index(asks("gate-out", PORT)) + 1])
    assert told["declarations"][0]["completion_due"]
    assert "完整申报待补" in told["legs"]["customs"]["detail_zh"]
