"""Subscriptions in DCSA's form: kept for their account only, checked when they are made, their secret never shown."""

import base64
from typing import Any

import pytest

from api.push.signing import opened
from tests.facades.published import check, check_error, flat, pages
from tests.fixtures_node import Node
from tests.test_track_api import event

PATH = "/dcsa/v2/event-subscriptions"
SECRET = base64.b64encode(bytes(range(48))).decode()
BODY = {
    "callbackUrl": "https://shipper.example.com/events?ref=7",
    "eventType": ["EQUIPMENT", "TRANSPORT"],
    "equipmentReference": "CSQU3054383",
}


def send(node: Node, method: str, path: str, body: Any = None, who: str = "enterprise") -> Any:
    return node.client.request(method, path, json=body, headers=node.bearer(who))


def made(node: Node, who: str = "enterprise", **more: Any) -> Any:
    answer = send(node, "POST", PATH, {**BODY, "secret": SECRET, **more}, who)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_subscription_is_made_read_changed_and_ended(node: Node) -> None:
    one = made(node)
    check("subscription", one)
    assert {name: one[name] for name in BODY} == BODY
    path = f"{PATH}/{one['subscriptionID']}"
    assert send(node, "GET", path).json() == one
    changed = send(node, "PUT", path, {"callbackUrl": "https://other.example.com/", "UNLocationCode": "CNSHA"})
    assert (changed.status_code, changed.json()["UNLocationCode"], "eventType" in changed.json()) == (
        200,
        "CNSHA",
        False,
    )
    assert send(node, "GET", path).json() == changed.json()
    assert [each["subscriptionID"] for each in send(node, "GET", PATH).json()] == [one["subscriptionID"]]
    ended = send(node, "DELETE", path)
    assert (ended.status_code, ended.content, ended.headers["API-Version"]) == (204, b"", "2.2.0")
    for method, body in (("GET", None), ("DELETE", None), ("PUT", BODY)):
        answer = send(node, method, path, body)
        assert answer.status_code == 404
        check_error(answer)


def test_the_secret_is_kept_and_never_given_back(node: Node) -> None:
    one = made(node)
    path = f"{PATH}/{one['subscriptionID']}"
    new = base64.b64encode(b"n" * 64).decode()
    assert kept(node) == [bytes(range(48))]
    assert send(node, "PUT", f"{path}/secret", {"secret": new}).status_code == 204
    assert kept(node) == [b"n" * 64]
    told = [one, send(node, "GET", path).json(), send(node, "GET", PATH).json(), send(node, "PUT", path, BODY).json()]
    assert all("secret" not in str(each) for each in told)
    assert kept(node) == [b"n" * 64]
    assert node.rows("SELECT secret FROM dcsa_subscriptions") == [(b"",)]
    assert b"n" * 64 not in node.rows("SELECT secret FROM push_keys")[0][0]


def kept(node: Node) -> list[bytes]:
    """The secrets, as the vault opens them."""
    vault = node.client.app.state.vault
    rows = node.rows("SELECT algorithm, secret, endpoint_id FROM push_keys ORDER BY key_id")
    return [opened(vault, algorithm, bytes(secret), endpoint).secret for algorithm, secret, endpoint in rows]


def test_nobody_sees_or_touches_the_subscription_of_another(node: Node) -> None:
    path = f"{PATH}/{made(node)['subscriptionID']}"
    assert send(node, "GET", PATH, who="logistics").json() == []
    for method, tail, body in (
        ("GET", "", None), ("PUT", "", BODY), ("DELETE", "", None), ("PUT", "/secret", {"secret": SECRET}),
    ):  # fmt: skip
        assert send(node, method, path + tail, body, "logistics").status_code == 404
    assert send(node, "GET", path).status_code == 200


def test_a_subscription_notes_where_the_journal_stood(node: Node) -> None:
    node.tell(event("1", "GATE_IN", "2026-03-01T10:00:00+08:00"))
    made(node)
    assert node.rows("SELECT after FROM dcsa_subscriptions") == [(1,)]


def test_the_list_comes_in_pages_in_the_order_asked_for(node: Node) -> None:
    for number in (3, 1, 2):
        made(node, callbackUrl=f"https://example.com/{number}")
    found = pages(node, PATH, limit=2, sort="callbackUrl:DESC")
    assert [[one["callbackUrl"][-1] for one in page] for page in found] == [["3", "2"], ["1"]]
    assert [one["callbackUrl"][-1] for one in flat(pages(node, PATH, limit=1))] == ["3", "1", "2"]
    answer = node.get(PATH, limit=2, sort="secret")
    assert answer.status_code == 400
    check_error(answer)


@pytest.mark.parametrize(
    "change",
    [
        {"callbackUrl": None}, {"callbackUrl": "http://shipper.example.com/"}, {"callbackUrl": "https://127.0.0.1/"},
        {"callbackUrl": "https://10.1.2.3/"}, {"callbackUrl": "https://[::1]/"}, {"callbackUrl": "https://localhost/"},
        {"callbackUrl": "https://[::ffff:10.0.0.1]/"}, {"callbackUrl": "https://169.254.169.254/latest"},
        {"callbackUrl": "https://2130706433/"}, {"callbackUrl": "https://0x7f.1/"},
        {"callbackUrl": "https://db.internal/"},
        {"callbackUrl": "https://a:b@example.com/"}, {"callbackUrl": "https://example.com/#x"}, {"callbackUrl": 7},
        {"callbackUrl": "https://example.com:99999/"}, {"callbackUrl": "https://exa mple.com/"},
        {"callbackUrl": "x" * 3000},
        {"callbackUrl": "ftp://example.com/"}, {"callbackUrl": "https:///x"}, {"callbackUrl": "https://printer/"},
        {"secret": None}, {"secret": "not base64"}, {"secret": base64.b64encode(b"short").decode()}, {"secret": 5},
        {"secret": base64.b64encode(b"x" * 65).decode()}, {"eventType": "EQUIPMENT"}, {"eventType": ["SHIP"]},
        {"eventType": [["EQUIPMENT"]]}, {"equipmentReference": "A" * 16}, {"equipmentReference": "A\x00"},
        {"equipmentReference": ["A"]}, {"unknown": 1}, {"eventType": ["SHIPMENT"], "transportEventTypeCode": ["ARRI"]},
        {"subscriptionID": "00000000-0000-4000-8000-000000000000"}, {"scheduleID": "7"},
    ],
)  # fmt: skip
def test_what_cannot_be_a_subscription_is_refused_with_the_member(day: Node, change: dict[str, Any]) -> None:
    body = {name: value for name, value in {**BODY, "secret": SECRET, **change}.items() if value is not None}
    answer = send(day, "POST", PATH, body)
    assert answer.status_code == 400, answer.text
    check_error(answer)
    assert any(name in str(answer.json()["errors"]) for name in change)
    assert day.rows("SELECT count(*) FROM dcsa_subscriptions") == [(0,)]


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b"null", b"[" * 3000, b'{"a":' * 3000])
def test_a_body_that_is_no_object_is_refused(day: Node, raw: bytes) -> None:
    answer = day.client.post(PATH, content=raw, headers=day.bearer("enterprise"))
    assert answer.status_code == 400, answer.text
    check_error(answer)


def test_a_secret_has_no_place_in_a_change_and_a_change_of_secret_takes_nothing_else(node: Node) -> None:
    path = f"{PATH}/{made(node)['subscriptionID']}"
    for tail, body in (
        ("", {**BODY, "secret": SECRET}),
        ("/secret", {"secret": SECRET, "callbackUrl": "x"}),
        ("/secret", {}),
    ):
        answer = send(node, "PUT", path + tail, body)
        assert answer.status_code == 400
        check_error(answer)


def test_an_account_has_a_hundred_subscriptions_at_most(node: Node) -> None:
    node.rows(
        "INSERT INTO dcsa_subscriptions SELECT gen_random_uuid(), 'trader', now(), now(), 0, '{}', '' "
        "FROM generate_series(1, 100) RETURNING 1"
    )
    answer = send(node, "POST", PATH, {**BODY, "secret": SECRET})
    assert answer.status_code == 409
    check_error(answer)
    made(node, who="logistics")


def test_subscriptions_need_a_key(node: Node) -> None:
    answer = send(node, "POST", PATH, {**BODY, "secret": SECRET}, who="")
    assert answer.status_code == 401
    check_error(answer)
