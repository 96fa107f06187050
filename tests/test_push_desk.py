"""The desk of endpoints: verified before anything is sent, keys shown once and changed without a gap, nobody else's.

The receiver is a server of ours on loopback, to which the security administrator gives leave.
"""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import pytest
from standardwebhooks import Webhook

from api.identity import Account
from api.push.signing import verify
from tests.fixtures_node import Node

LOOPBACK = "127.0.0.0/8"
PARTY = "91310000MA0000031X"
PEOPLE = {
    "security": Account("guard", "security-admin", "安全管理员", "Guard"),
    "shipper": Account("shipper", "logistics", "货代", "Forwarder", party=PARTY),
    "colleague": Account("colleague", "logistics", "货代", "Forwarder", party=PARTY),
    "boss": Account("boss", "enterprise-admin", "货代", "Forwarder", party=PARTY),
    "rival": Account("rival", "logistics", "同行", "Rival", party="91310000MA0000040K"),
}


NO_CONTENT = 204


class Receiver(ThreadingHTTPServer):
    """Takes messages; brings challenges back if it `agrees`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hook)
        self.agrees, self.status, self.answer = True, 200, b"fine"
        self.got: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?token=secret-of-the-url"


class Hook(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        said = json.loads(body)
        answer = self.server.answer
        if isinstance(said, dict) and said["type"] == "endpoint.challenge" and self.server.agrees:
            answer = json.dumps({"challenge": said["data"]["challenge"]}).encode()
        answer = b"" if self.server.status == NO_CONTENT else answer
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def desk(node: Node) -> Node:
    for who, account in PEOPLE.items():
        node.open(who, account)
    assert allow(node).status_code == 201
    return node


def send(node: Node, method: str, path: str, body: Any = None, who: str = "shipper", **params: Any) -> Any:
    return node.client.request(method, path, json=body, params=params or None, headers=node.bearer(who))


def allow(node: Node, network: str = LOOPBACK, account: str = "shipper") -> Any:
    body = {"account": account, "network": network, "reason": "内部网关 / an inner gateway"}
    return send(node, "POST", "/v1/push-networks", body, "security")


def made(node: Node, receiver: Receiver, **more: Any) -> Any:
    answer = send(node, "POST", "/v1/endpoints", {"url": receiver.url, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def path(told: Any, step: str = "") -> str:
    return f"/v1/endpoints/{told['endpoint']['id']}{step}"


def told(node: Node) -> list[tuple[Any, ...]]:
    query = "SELECT convert_from(state, 'utf8') FROM commerce_events WHERE topic = 'access.told' ORDER BY 1"
    return [
        (each["action"], each["object"], each.get("detail", ""))
        for (row,) in node.rows(query)
        for each in [json.loads(row)]
    ]


# --- the life of an endpoint ---


def test_an_endpoint_sends_nothing_until_it_brought_the_challenge_back(desk: Node, receiver: Receiver) -> None:
    one = made(desk, receiver)
    assert one["endpoint"]["state"] == "unverified"
    refused = send(desk, "POST", path(one, "/enable"))
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/endpoint-not-verified")
    receiver.agrees = False
    asked = send(desk, "POST", path(one, "/verify")).json()
    assert (asked["delivered"], asked["verified"], asked["error"]) == (True, False, "challenge not returned")
    assert send(desk, "GET", path(one)).json()["state"] == "unverified"
    receiver.agrees = True
    asked = send(desk, "POST", path(one, "/verify")).json()
    assert (asked["verified"], asked["status"]) == (True, 200)
    assert send(desk, "GET", path(one)).json()["state"] == "active"
    headers, body = receiver.got[-1]
    assert verify(one["key"], headers, body)
    assert json.loads(body)["type"] == "endpoint.challenge"


def test_what_is_no_challenge_proves_nothing(desk: Node, receiver: Receiver) -> None:
    one = made(desk, receiver)
    receiver.agrees = False
    for answer in (b"", b"{}", b"null", b"[]", b'{"data":{"challenge":"x"}}', b"\xff", b"[" * 5000):
        receiver.answer = answer
        asked = send(desk, "POST", path(one, "/verify"))
        assert (asked.status_code, asked.json()["verified"]) == (200, False), answer


def test_a_server_that_echoes_all_it_is_sent_has_not_agreed(desk: Node, receiver: Receiver) -> None:
    one = made(desk, receiver)
    receiver.agrees = False
    send(desk, "POST", path(one, "/verify"))
    receiver.answer = receiver.got[-1][1]
    assert send(desk, "POST", path(one, "/verify")).json()["verified"] is False


def test_another_address_must_prove_itself_anew_and_another_filter_need_not(desk: Node, receiver: Receiver) -> None:
    one = made(desk, receiver)
    send(desk, "POST", path(one, "/verify"))
    changed = send(desk, "PATCH", path(one), {"filter": {"codes": ["GATE_IN"]}, "ordered": False}).json()
    assert (changed["state"], changed["filter"], changed["ordered"]) == ("active", {"codes": ["GATE_IN"]}, False)
    changed = send(desk, "PATCH", path(one), {"url": receiver.url + "2"}).json()
    assert (changed["state"], changed["filter"]) == ("unverified", {"codes": ["GATE_IN"]})
    assert send(desk, "POST", path(one, "/enable")).status_code == 409


def test_a_pause_keeps_the_place_and_ends(desk: Node, receiver: Receiver) -> None:
    one = made(desk, receiver)
    send(desk, "POST", path(one, "/verify"))
    paused = send(desk, "POST", path(one, "/pause")).json()
    assert (paused["state"], paused["cursor"]) == ("paused", one["endpoint"]["cursor"])
    assert "暂停" in paused["reason"]
    for _ in range(2):
        assert send(desk, "POST", path(one, "/enable")).json()["state"] == "active"


def test_a_removed_endpoint_is_gone_with_its_keys(desk: Node, receiver: Receiver) -> None:
    one = made(desk, receiver)
    assert send(desk, "DELETE", path(one)).status_code == 204
    assert send(desk, "GET", path(one)).status_code == 404
    assert desk.rows("SELECT * FROM push_keys") == []


# --- keys ---


def test_while_a_key_is_changed_the_old_and_the_new_one_verify(desk: Node, receiver: Receiver) -> None:
    one = made(desk, receiver, signing="v1")
    assert one["key"].startswith("whsec_")
    send(desk, "POST", path(one, "/verify"))
    new = send(desk, "POST", path(one, "/rotate"), {"overlap_hours": 48}).json()
    third = send(desk, "POST", path(one, "/rotate"), {"signing": "v1a"}).json()
    assert third["key"].startswith("whpk_")
    assert send(desk, "POST", path(one, "/rotate"), {}).json()["type"] == "/problems/keys-changing"
    send(desk, "POST", path(one, "/test"))
    headers, body = receiver.got[-1]
    assert [each.partition(",")[0] for each in headers["webhook-signature"].split(" ")] == ["v1a", "v1", "v1"]
    for key in (one["key"], new["key"], third["key"]):
        assert verify(key, headers, body)
    for key in (one["key"], new["key"]):
        assert Webhook(key).verify(body, headers)["type"] == "endpoint.test"
    last = send(desk, "POST", path(one, "/rotate"), {"overlap_hours": 0}).json()
    send(desk, "POST", path(one, "/test"))
    headers, body = receiver.got[-1]
    assert verify(last["key"], headers, body)
    assert not any(verify(key, headers, body) for key in (one["key"], new["key"], third["key"]))


def test_an_old_key_signs_for_a_day_or_not_at_all(desk: Node, receiver: Receiver) -> None:
    one = made(desk, receiver)
    for hours in (-1, 1, 23, 10_000, 1.5, "24"):
        assert send(desk, "POST", path(one, "/rotate"), {"overlap_hours": hours}).status_code == 422


def test_a_secret_is_shown_once_and_stands_nowhere_else(
    desk: Node, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    one = made(desk, receiver, signing="v1")
    steps = ("/verify", "/test", "/pause", "/enable")
    answers = [send(desk, "POST", path(one, step)).text for step in steps]
    rotated = send(desk, "POST", path(one, "/rotate"), {})
    assert rotated.headers["Cache-Control"] == "no-store"
    answers += [send(desk, "GET", path(one, step)).text for step in ("", "/health", "/attempts")]
    answers += [send(desk, "GET", "/v1/endpoints").text]
    kept = str(desk.rows("SELECT * FROM push_keys") + desk.rows("SELECT * FROM push_endpoints"))
    facts = str(desk.rows("SELECT convert_from(state, 'utf8') FROM commerce_events"))
    for secret in (one["key"], rotated.json()["key"]):
        bare = secret.removeprefix("whsec_")
        assert not any(bare in text for text in (*answers, kept, facts, caplog.text))
    assert "secret-of-the-url" not in facts


# --- whose ---


def test_an_endpoint_is_there_for_its_own_party_alone(desk: Node, receiver: Receiver) -> None:
    one = made(desk, receiver)
    for who in ("shipper", "colleague"):
        assert send(desk, "GET", path(one), who=who).status_code == 200
    assert send(desk, "GET", path(one), who="boss").status_code == 200
    nobodys = f"/v1/endpoints/{uuid4()}"
    for who in ("rival", "logistics", "operator", "enterprise"):
        assert send(desk, "GET", "/v1/endpoints", who=who).json() == []
        for method, step, body in STEPS:
            theirs, none = send(desk, method, path(one, step), body, who), send(desk, method, nobodys + step, body, who)
            assert (theirs.status_code, none.status_code) == (404, 404), (method, step, theirs.text)
            assert theirs.json()["type"] == none.json()["type"]
    assert receiver.got == []
    assert send(desk, "GET", "/v1/endpoints/not-a-uuid").status_code == 404


STEPS: tuple[tuple[str, str, Any], ...] = (
    ("GET", "", None), ("PATCH", "", {"ordered": True}), ("DELETE", "", None), ("POST", "/verify", None),
    ("POST", "/test", None), ("POST", "/pause", None), ("POST", "/enable", None), ("POST", "/rotate", {}),
    ("GET", "/health", None), ("GET", "/attempts", None), ("POST", "/replay", {"ids": ["x"]}),
)  # fmt: skip


def test_acts_are_on_the_trail(desk: Node, receiver: Receiver) -> None:
    one = made(desk, receiver)
    for step in ("/verify", "/test", "/pause", "/enable", "/rotate"):
        send(desk, "POST", path(one, step), {} if step == "/rotate" else None)
    send(desk, "PATCH", path(one), {"ordered": False})
    send(desk, "DELETE", path(one))
    thing = f"endpoint:{one['endpoint']['id']}"
    assert {action.partition(".")[2] for action, about, _ in told(desk) if about == thing} == {
        *("made", "verified", "tested", "paused", "enabled", "key_changed", "changed", "removed")
    }


# --- what cannot be an endpoint ---


BAD: tuple[Any, ...] = (
    {}, {"url": 7}, {"url": "https://10.0.0.1/"}, {"url": "https://[64:ff9b::a9fe:a9fe]/"}, {"url": "ftp://x.org/"},
    {"url": "https://169.254.169.254/"}, {"url": "https://user@example.com/"}, {"url": "https://[::ffff:10.0.0.1]/"},
    {"url": "https://x.example.com/", "item": "feed.pull"}, {"url": "https://x.example.com/", "signing": "dcsa"},
    {"url": "https://x.example.com/", "filter": {"code": ["GATE_IN"]}},
    {"url": "https://x.example.com/", "filter": ["GATE_IN"]}, {"url": "https://x.example.com/", "filter": None},
    {"url": "https://x.example.com/", "filter": {"codes": "GATE_IN"}}, {"url": "https://x.example.com/", "x": 1},
    {"url": "https://x.example.com/", "after": "not a cursor"}, {"url": "https://\x00.example.com/"},
    {"url": "https://" + "x" * 3000 + ".com/"},
)  # fmt: skip


def test_what_cannot_be_an_endpoint_is_refused(desk: Node) -> None:
    for body in BAD:
        answer = send(desk, "POST", "/v1/endpoints", body)
        assert answer.status_code in {400, 422}, (body, answer.text)
    assert desk.rows("SELECT count(*) FROM push_endpoints") == [(0,)]


def test_an_account_has_a_hundred_endpoints_at_most(desk: Node, receiver: Receiver) -> None:
    made(desk, receiver)
    desk.rows(
        "INSERT INTO push_endpoints SELECT gen_random_uuid(), account, item, dialect, url, wanted, ordered, state,"
        " reason, made_at, changed_at, epoch, after, 0, NULL, next_at FROM push_endpoints, generate_series(1, 99)"
        " RETURNING 1"
    )
    answer = send(desk, "POST", "/v1/endpoints", {"url": receiver.url})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/too-many-endpoints")


# --- private networks ---


def test_leave_is_given_by_the_security_administrator_and_told(desk: Node, receiver: Receiver) -> None:
    assert send(desk, "POST", "/v1/push-networks", {}, "operator").status_code == 403
    listed = send(desk, "GET", "/v1/push-networks", who="security").json()
    assert [(each["account"], each["network"], each["by"]) for each in listed] == [("shipper", LOOPBACK, "guard")]
    one = made(desk, receiver)
    gone = send(desk, "DELETE", "/v1/push-networks", None, "security", account="shipper", network=LOOPBACK)
    assert gone.status_code == 204
    asked = send(desk, "POST", path(one, "/verify")).json()
    assert asked["status"] is None
    assert asked["error"].startswith("blocked")
    assert receiver.got == []
    assert send(desk, "POST", "/v1/endpoints", {"url": receiver.url}).status_code == 422
    actions = [(action, detail.split()[0]) for action, _, detail in told(desk) if action.startswith("push_network")]
    assert actions == [("push_network.added", LOOPBACK), ("push_network.removed", LOOPBACK)]


def test_leave_is_one_accounts_own(desk: Node, receiver: Receiver) -> None:
    assert send(desk, "POST", "/v1/endpoints", {"url": receiver.url}, "colleague").status_code == 422


NEVER = (
    "0.0.0.0/0", "::/0", "8.8.8.0/24", "169.254.0.0/16", "169.254.169.254/32", "100.64.0.0/10", "x", "",
    "100.100.100.200/32", "fc00::/7", "fd00:ec2::254/128", "64:ff9b::/96", "2002::/16", "::ffff:10.0.0.0/104",
    "10.0.0.1/8", "10.0.0.0/33", "224.0.0.0/4", "10.0.0.0/4",
)  # fmt: skip


def test_no_leave_is_given_for_what_is_not_private_or_tells_secrets(desk: Node) -> None:
    for network in NEVER:
        answer = allow(desk, network)
        assert answer.status_code == 422, (network, answer.text)
    assert len(desk.rows("SELECT * FROM push_networks")) == 1


def test_leave_for_nobody_is_refused(desk: Node) -> None:
    assert allow(desk, account="nobody").status_code == 404
    gone = send(desk, "DELETE", "/v1/push-networks", None, "security", account="shipper", network="10.0.0.0/8")
    assert gone.status_code == 404


# --- how it fares ---


def test_a_sample_tells_status_and_time_and_shows_what_a_verified_receiver_said(desk: Node, receiver: Receiver) -> None:
    one = made(desk, receiver)
    asked = send(desk, "POST", path(one, "/test")).json()
    assert (asked["status"], asked["delivered"], asked["answer"]) == (200, True, "")
    send(desk, "POST", path(one, "/verify"))
    receiver.status, receiver.answer = 500, "出错了".encode()
    asked = send(desk, "POST", path(one, "/test")).json()
    assert (asked["status"], asked["delivered"], asked["answer"]) == (500, False, "出错了")
    assert asked["seconds"] < 5
    log = send(desk, "GET", path(one, "/attempts"), limit=2).json()
    assert [each["status"] for each in log["attempts"]] == [500, 200]
    rest = send(desk, "GET", path(one, "/attempts"), before=log["next"]).json()
    assert ([each["status"] for each in rest["attempts"]], rest["next"]) == ([200], "")
    bad = send(desk, "GET", path(one, "/attempts"), failed="true").json()
    assert [each["status"] for each in bad["attempts"]] == [500]
    assert send(desk, "GET", path(one, "/attempts"), before="x").status_code in {400, 422}
    assert desk.rows("SELECT count(*) FROM commerce_events WHERE topic LIKE %s", "delivery.%") == [(0,)]


def test_health_counts_what_waits_as_the_owner_may_see_it(desk: Node, receiver: Receiver) -> None:
    one = made(desk, receiver)
    fares = send(desk, "GET", path(one, "/health")).json()
    assert (fares["state"], fares["succeeded_at"], fares["next_at"]) == ("unverified", None, None)
    assert fares["backlog"] == {
        "waiting": 0, "oldest_at": None, "failed": 0, "withheld": 0, "pending": 0, "pending_more": False
    }  # fmt: skip
    box = {"subject": "container:CSQU3054383", "place": "CNSHG", "happened_at": "2026-03-01T12:00:00+08:00"}
    desk.tell({"id": "1", "code": "GATE_IN", **box}, {"id": "2", "code": "GATE_OUT", **box})
    assert send(desk, "GET", path(one, "/health")).json()["backlog"]["pending"] == 2


def test_a_replay_is_asked_for_in_one_way_of_three(desk: Node, receiver: Receiver) -> None:
    one = made(desk, receiver)
    cursor, short = one["endpoint"]["cursor"], one["endpoint"]["id"].replace("-", "")[:12]
    desk.rows("UPDATE push_endpoints SET after = 9 RETURNING 1")
    since = "2026-01-01T00:00:00+08:00"
    bad: tuple[dict[str, Any], ...] = (
        {}, {"ids": []}, {"ids": ["x"], "failed_since": since}, {"failed_since": "2026-01-01T00:00:00"},
        {"from": "x", "to": "y"}, {"failed_since": "never"}, {"ids": ["x" * 200]}, {"x": 1},
    )  # fmt: skip
    for body in bad:
        assert send(desk, "POST", path(one, "/replay"), body).status_code in {400, 422}, body
    good: tuple[tuple[dict[str, Any], int], ...] = (
        ({"ids": [f"msg_{short}_7", f"msg_{short}_10", "msg_000000000000_7"]}, 1),
        ({"from": cursor, "to": cursor}, 0),
        ({"failed_since": since}, 0),
    )
    for body, count in good:
        answer = send(desk, "POST", path(one, "/replay"), body)
        assert (answer.status_code, answer.json()) == (202, {"messages": count})
    assert desk.rows("SELECT position, state, replay FROM push_messages") == [(7, "waiting", True)]
    fares = send(desk, "GET", path(one, "/health")).json()
    assert fares["backlog"]["waiting"] == 1


def test_what_an_alert_has_not_is_no_condition_of_its_endpoint(desk: Node, receiver: Receiver) -> None:
    wanted = {"url": receiver.url, "item": "alerts.push", "filter": {"codes": ["GATE_IN"]}}
    assert send(desk, "POST", "/v1/endpoints", wanted).status_code == 422
    one = made(desk, receiver, item="alerts.push", filter={"subjects": ["CSQU3054383"]})
    assert "container:CSQU3054383" in one["endpoint"]["filter"]["subjects"]
    assert send(desk, "GET", path(one, "/health")).json()["backlog"]["pending"] == 0
