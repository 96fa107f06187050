"""Who keeps the books: finance of the node sees everybody's, finance of an enterprise its own and closes nothing."""

from datetime import UTC, datetime

import pytest

from api.identity import Account
from domain.party import PartyRegistered
from tests.fixtures_node import Node

NOW = datetime(2026, 11, 2, tzinfo=UTC)
TRADER = "91320100MA1K2K3L4E"


@pytest.fixture
def firm(node: Node) -> Node:
    """A node where an enterprise has an accountant of its own."""
    told = PartyRegistered(
        happened_at=NOW, recorded_at=NOW, party=TRADER, by="a", kind="enterprise", zh="企业", en="Trader"
    )
    node.decide("commerce", f"party:{TRADER}", told)
    node.open("accountant", Account("accountant", "finance", "会计", "Accountant", party=TRADER))
    node.get("/v1/track/CSQU3054383", who="enterprise")
    node.catch_up()
    return node


def test_finance_of_the_node_sees_everybodys_usage(firm: Node) -> None:
    rows = firm.get("/v1/usage", who="finance").json()["rows"]
    assert "trader" in {row["account"] for row in rows}


def test_finance_of_an_enterprise_sees_its_own(firm: Node) -> None:
    answer = firm.get("/v1/usage", who="accountant", account="trader")
    assert (answer.status_code, answer.json()["rows"]) == (200, [])


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/periods"), ("POST", "/v1/periods/2026-01/cut-off"), ("GET", "/v1/fees/cost-recovery")],
)
def test_the_books_of_the_node_are_closed_to_it(firm: Node, method: str, path: str) -> None:
    answer = firm.client.request(method, path, headers=firm.bearer("accountant"))
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/wrong-role")
    assert firm.client.request(method, path).status_code == 401
