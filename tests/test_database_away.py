"""Without its database the node says so, and to try again: never a fault, and never an answer without its record."""

import pytest

from tests.fixtures_node import Node
from tests.test_report_api import GATE_IN

BOX = "CSQU3054383"


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/track/{BOX}",
        f"/v1/track/{BOX}?include=retracted",
        f"/v1/eta/{BOX}",
        "/v1/feed",
        "/v1/alerts",
        "/dcsa/v2/events",
        f"/v1/iftsta/{BOX}",
    ],
)
def test_an_answer_that_cannot_be_read_is_asked_for_again(node: Node, path: str) -> None:
    node.tell(GATE_IN)
    node.client.app.state.asker.way_out.readers.close()
    answer = node.client.get(path, headers=node.bearer("logistics"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1"), answer.text
    assert "Loaded" not in answer.text
    assert node.rows("SELECT count(*) FROM commerce_events WHERE topic = 'delivery.made'") == [(0,)]
