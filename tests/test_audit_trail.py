"""What is refused and what is done is told in the trail before anybody is answered, and no flood fills it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from api.identity import Account
from api.trail import CALLERS_MAX, KNOWN_MAX, OTHERS, STRANGERS_MAX, Caller, Flood
from tests.fixtures_node import Node

NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)
STRANGER, TRADER = Caller("", "192.0.2.7", 401), Caller("trader", "192.0.2.7", 404)
TOLD = "SELECT state FROM commerce_events WHERE topic = 'access.told' ORDER BY notification_id"


def told(node: Node) -> list[dict[str, Any]]:
    return [msgspec.json.decode(state) for (state,) in node.rows(TOLD)]


def test_a_request_without_a_key_is_told(node: Node) -> None:
    assert node.get("/v1/track/CSQU3054383", who="").status_code == 401
    [line] = told(node)
    assert (line["action"], line.get("result", "ok")) == ("access", "denied")
    assert line["object"] == "GET /v1/track/{number} /v1/track/CSQU3054383"
    assert line["detail"].startswith("401 ")
    assert line["address"]


def test_a_wrong_key_is_told_without_the_key(node: Node) -> None:
    answer = node.client.get("/v1/track/CSQU3054383?x=secret", headers={"Authorization": "Bearer kouan_guess"})
    assert answer.status_code == 401
    [(state,)] = node.rows(TOLD)
    assert b"guess" not in state
    assert b"secret" not in state


def test_a_role_that_may_not_is_told_with_its_account(node: Node) -> None:
    assert node.get("/v1/feed").status_code == 403
    [line] = told(node)
    assert (line["account"], line["result"]) == ("trader", "denied")
    assert line["detail"].startswith("403 ")


def test_a_reference_that_is_not_known_is_told(node: Node) -> None:
    assert node.get("/v1/track/CSQU3054383").status_code == 404
    [line] = told(node)
    assert (line["account"], line["detail"][:4]) == ("trader", "404 ")


def test_a_path_that_does_not_exist_is_not_told(node: Node) -> None:
    assert node.get("/v1/nothing").status_code == 404
    assert told(node) == []


def test_a_path_of_any_bytes_is_refused_and_told(node: Node) -> None:
    assert node.get("/v1/track/%ED%A0%80%FF" + "x" * 500, who="").status_code == 401
    [line] = told(node)
    assert len(line["object"]) == 200


def test_an_act_is_durable_when_it_was_told(node: Node) -> None:
    account = Account("operator", "operator", "运营", "Operator")
    asyncio.run(node.client.app.state.trail.tell("key.made", "key:1", account=account, detail="for trader"))
    [line] = told(node)
    assert (line["action"], line["object"], line["account"]) == ("key.made", "key:1", "operator")


def test_a_flood_is_told_by_its_beginning_and_its_count(node: Node) -> None:
    for _ in range(STRANGERS_MAX + 5):
        node.get("/v1/feed", who="")
    assert len(told(node)) == STRANGERS_MAX
    node.client.app.state.trail._over()
    node.client.app.state.trail.writer.write([])
    assert [line.get("count", 1) for line in told(node)] == [1] * STRANGERS_MAX + [5]


def test_after_a_minute_the_count_is_told_and_a_new_one_begins() -> None:
    flood = Flood()
    alone = [flood.take(STRANGER, NOON)[1] for _ in range(STRANGERS_MAX + 3)]
    assert alone == [True] * STRANGERS_MAX + [False] * 3
    sums, again = flood.take(STRANGER, NOON + timedelta(minutes=1))
    assert [(each.caller, each.count) for each in sums] == [(STRANGER, 3)]
    assert again


def test_callers_are_counted_apart_and_the_known_have_more() -> None:
    flood = Flood()
    for _ in range(STRANGERS_MAX + 1):
        flood.take(STRANGER, NOON)
    assert all(flood.take(TRADER, NOON)[1] for _ in range(KNOWN_MAX))
    assert not flood.take(TRADER, NOON)[1]


def test_from_however_many_addresses_a_flood_comes_what_is_kept_is_bounded() -> None:
    flood = Flood()
    taken = [flood.take(Caller("", str(number), 401), NOON)[1] for number in range(CALLERS_MAX + 500)]
    assert sum(taken) == CALLERS_MAX + STRANGERS_MAX
    assert [(each.caller, each.count) for each in flood.end()] == [(OTHERS, 500 - STRANGERS_MAX)]


def test_a_clock_that_goes_back_begins_a_new_minute() -> None:
    flood = Flood()
    for _ in range(STRANGERS_MAX + 2):
        flood.take(STRANGER, NOON)
    sums, alone = flood.take(STRANGER, NOON - timedelta(hours=1))
    assert [each.count for each in sums] == [2]
    assert alone
