"""Watched numbers: asked for, active with the first data, ended, not found, cancelled; unknown ones cost nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from api.identity import Account
from domain import watch
from domain.errors import Refused
from domain.watch import Seen, Watch
from projections import watches
from tests.fixtures_node import Node

MON = datetime(2026, 11, 2, 4, tzinfo=UTC)
TUE, WED = MON + timedelta(days=1), MON + timedelta(days=2)
ASKED = Watch("W-1", "CSQU3054383", "mover", "", MON)
PATIENCE = timedelta(days=30)


@pytest.mark.parametrize(
    ("seen", "at", "state"),
    [
        (None, TUE, "requested"),
        (None, MON + PATIENCE, "not_found"),
        (Seen(TUE), TUE, "active"),
        (Seen(MON - PATIENCE), TUE, "active"),
        (Seen(MON, over_at=TUE), WED, "ended"),
        (Seen(MON - PATIENCE, over_at=MON - timedelta(days=1)), TUE, "requested"),  # an earlier journey of the box
        (Seen(MON - PATIENCE, over_at=MON - timedelta(days=1)), MON + PATIENCE, "not_found"),
    ],
)
def test_the_state_of_a_watch_follows_from_what_is_seen(seen: Seen | None, at: datetime, state: str) -> None:
    assert watch.status(ASKED, seen, at, PATIENCE) == state
    gone = msgspec.structs.replace(ASKED, cancelled_at=TUE)
    assert watch.status(gone, seen, at, PATIENCE) == "cancelled"


def test_a_number_is_watched_once_however_it_is_written() -> None:
    assert watch.wanted(["csqu 305438-3", "CSQU3054383", "KOUA1"], standing=frozenset({"KOUA1"})) == ("CSQU3054383",)


@pytest.mark.parametrize("numbers", [[], ["X"] * 1_001, ["  "], ["X" * 65], ["a\x00b"]])
def test_what_is_no_number_is_refused(numbers: list[str]) -> None:
    with pytest.raises(Refused):
        watch.wanted(numbers, standing=frozenset())


# --- over HTTP ---


def post(node: Node, numbers: list[str], who: str = "logistics") -> Any:
    headers = {**node.bearer(who), "Content-Type": "application/json"}
    answer = node.client.post("/v1/watches", content=msgspec.json.encode({"numbers": numbers}), headers=headers)
    node.catch_up()
    return answer


def states(node: Node, who: str = "logistics", **params: Any) -> dict[str, str]:
    return {each["number"]: each["state"] for each in node.get("/v1/watches", who, **params).json()}


def told(number: str, code: str, day: int, name: str) -> dict[str, Any]:
    at = f"2026-03-{day:02}T12:00:00+08:00"
    return {"id": name, "code": code, "happened_at": at, "subject": f"container:{number}"}


def test_a_watch_lives_from_the_first_data_to_the_empty_return(node: Node) -> None:
    answer = post(node, ["CSQU3054383", "TOLU4734787"])
    assert answer.status_code == 201
    assert states(node) == {"CSQU3054383": "requested", "TOLU4734787": "requested"}
    node.tell(told("CSQU3054383", "GATE_IN", 1, "1"))
    assert states(node) == {"CSQU3054383": "active", "TOLU4734787": "requested"}
    [active] = [each for each in node.get("/v1/watches", "logistics").json() if each["state"] == "active"]
    assert active["active_at"] >= active["requested_at"]
    node.tell(told("CSQU3054383", "EMPTY_IN", 9, "2"))
    assert states(node, state="ended") == {"CSQU3054383": "ended"}


def test_watching_costs_nothing(node: Node) -> None:
    post(node, ["CSQU3054383"])
    node.get("/v1/watches", "logistics")
    node.catch_up()
    assert node.rows("SELECT DISTINCT item_class FROM usage_entries") == [("government",)]


def test_cancelled_at_once_even_before_the_read_model_knows_it(node: Node) -> None:
    headers = {**node.bearer("logistics"), "Content-Type": "application/json"}
    [asked] = node.client.post("/v1/watches", content=b'{"numbers": ["KOUA0000001"]}', headers=headers).json()
    path = f"/v1/watches/{asked['id']}"
    assert [node.client.delete(path, headers=node.bearer("logistics")).status_code for _ in range(2)] == [204, 204]
    node.catch_up()
    assert states(node) == {"KOUA0000001": "cancelled"}
    with psycopg.connect(node.conninfo) as connection:
        assert watches.watched(connection, "mover", "") == ()


def test_a_watch_of_others_is_not_there(node: Node) -> None:
    [asked] = post(node, ["KOUA0000001"]).json()
    node.open("other", Account("other", "logistics", "乙", "Other", "OTHER-1"))
    paths = [f"/v1/watches/{name}" for name in (asked["id"], "W-0")]
    answers = [node.client.delete(path, headers=node.bearer("other")) for path in paths]
    assert {answer.status_code for answer in answers} == {404}
    assert states(node, "other") == {}


def test_the_colleagues_of_a_party_share_their_watches(node: Node) -> None:
    for name in ("one", "two"):
        node.open(name, Account(name, "logistics", name, name, "FIRM-1"))
    post(node, ["KOUA0000001"], "one")
    assert states(node, "two") == {"KOUA0000001": "requested"}
    assert post(node, ["KOUA0000001"], "two").json() == []


def test_the_feed_of_what_is_watched(node: Node) -> None:
    node.tell(told("CSQU3054383", "GATE_IN", 1, "1"), told("TOLU4734787", "GATE_IN", 1, "2"))
    assert node.get("/v1/feed", who="logistics", watched=True).json()["items"] == []
    everything = node.get("/v1/feed", who="logistics").json()["items"]
    assert post(node, ["CSQU3054383"]).status_code < 300
    heard = node.get("/v1/feed", who="logistics", watched=True).json()["items"]
    assert heard == [item for item in everything if item["subject"] == "container:CSQU3054383"]
    assert len(heard) == 1 < len(everything)
