"""Whatever the order in which the messages of a life come, and however often: the verdict in the end is the same."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fixtures_node import Node
from tests.stories import (
    test_after_release_deletion,
    test_cross_region,
    test_export,
    test_guarantee,
    test_hold_and_inspection,
    test_import_mismatch,
    test_rail_and_air,
    test_transit,
    test_two_step,
)
from tests.stories.life import Cargo, Step, last_question, messages, outcome, tell, verify

STORIES: dict[str, tuple[Callable[[Cargo], list[Step]], str]] = {
    "cross-region": (test_cross_region.story, "containers"),
    "direct transit": (test_transit.direct, "containers"),
    "through transit": (test_transit.through, "containers"),
    "transit in advance": (test_transit.advance, "containers"),
    "two-step": (test_two_step.story, "containers"),
    "guarantee": (test_guarantee.story, "containers"),
    "deleted after release": (test_after_release_deletion.story, "containers"),
    "inspection": (test_hold_and_inspection.story, "containers"),
    "export": (test_export.story, "containers"),
    "import": (test_import_mismatch.story, "containers"),
    "train": (test_rail_and_air.by_train, "rail"),
    "flight": (test_rail_and_air.by_air, "awbs"),
}


def number(cargo: Cargo, path: str) -> str:
    return {"containers": cargo.box, "rail": cargo.consignment, "awbs": cargo.awb}[path]


@pytest.fixture
def serials() -> Iterator[int]:
    return count(1)


@pytest.mark.slow
@pytest.mark.parametrize("name", STORIES)
def test_any_order_and_any_repetition_of_a_life_ends_in_the_same_verdict(
    node: Node, serials: Iterator[int], name: str
) -> None:
    story, path = STORIES[name]

    def told(cargo: Cargo, order: list[int]) -> object:
        sent = messages(story(cargo))
        for place in order:
            tell(node, sent[place])
        asked = last_question(story(cargo))
        return outcome(verify(node, f"{path}/{number(cargo, path)}", asked.action, asked.place))

    places = list(range(len(messages(story(Cargo(0))))))
    expected = told(Cargo(next(serials)), places)

    @settings(
        max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.permutations(places), st.lists(st.sampled_from(places), max_size=4))
    def holds(order: list[int], again: list[int]) -> None:
        assert told(Cargo(next(serials)), [*order, *again]) == expected

    holds()
