"""DCSA subscriptions on the engine: asked with an empty array first, then sent what `GET /events` tells."""

import base64
import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import msgspec

from api.identity import Account
from api.push import dcsa, desk, proving, signing, sources
from api.push.dcsa_body import DcsaEvents
from api.push.http import Client
from api.push.sources import Batch
from api.way_out import Looking
from domain.feed_filter import EVERYTHING
from projections import sight
from tests.fixtures_node import Node
from tests.test_push_desk import Receiver, receiver, send
from tests.test_track_api import event

PATH = "/dcsa/v2/event-subscriptions"
SECRET = bytes(range(48))
BODY = {"callbackUrl": "https://shipper.example.com/events", "secret": base64.b64encode(SECRET).decode()}
WHO = Account("operator", "operator", "", "")

__all__ = ["receiver"]


def subscribed(node: Node, **more: Any) -> UUID:
    answer = send(node, "POST", PATH, {**BODY, **more}, "operator")
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["subscriptionID"])


def batch(node: Node, subscription: UUID, after: int = 0, limit: int = 100, again: tuple[int, ...] = ()) -> Batch:
    way_out, pool = node.client.app.state.asker.way_out, node.client.app.state.asker.pool
    endpoint = sources.Endpoint(
        endpoint_id=subscription, account="operator", item="feed.push", dialect="dcsa", url="", wanted=EVERYTHING
    )
    way_out.register.refresh()
    view = way_out.register.view(WHO, "push", commercial=True)
    with way_out.readers.connection() as connection, sight.opened(connection, view) as look:
        source, looking = DcsaEvents(pool), Looking(look)
        return source.again(looking, endpoint, again) if again else source.next(looking, endpoint, after, limit)


def ids(found: Batch) -> list[str]:
    return [each["eventID"] for message in found.messages for each in json.loads(message.body)]


BOX = "CSQU3054383"


def told(node: Node) -> None:
    for number, (code, day) in enumerate((("GATE_IN", 1), ("LOADED", 2), ("DISCHARGED", 9), ("GATE_OUT", 10))):
        node.tell(event(f"{number}", code, f"2026-03-{day:02}T10:00:00+08:00", laden=True, mode="VESSEL"))
    node.tell(event("x", "GATE_IN", "2026-03-03T10:00:00+08:00", subject="container:TOLU4734787", laden=True))


def test_what_is_pushed_is_what_the_question_finds_whatever_the_size_of_a_step(node: Node) -> None:
    told(node)
    for wanted in (
        {}, {"equipmentReference": BOX}, {"eventType": ["EQUIPMENT"], "equipmentEventTypeCode": ["GTIN", "DISC"]},
        {"equipmentReference": BOX, "equipmentEventTypeCode": ["LOAD"]}, {"equipmentReference": "MSKU0000006"},
    ):  # fmt: skip
        one = subscribed(node, **wanted)
        asked = {name: ",".join(value) if isinstance(value, list) else value for name, value in wanted.items()}
        listed = [each["eventID"] for each in node.get("/dcsa/v2/events", "operator", **asked).json()]
        for limit in (1, 2, 100):
            found: list[str] = []
            after, more = 0, True
            while more:
                page = batch(node, one, after, limit)
                found += ids(page)
                assert len(page.messages) <= limit
                assert page.last > after or not page.more
                after, more = page.last, page.more
            assert found == listed, (wanted, limit)


def test_what_was_taken_back_is_not_sent_again(node: Node) -> None:
    node.tell(event("0", "GATE_IN", "2026-03-01T10:00:00+08:00", laden=True, mode="VESSEL", document="EIR7"))
    one = subscribed(node)
    first = batch(node, one).messages[0]
    assert ids(batch(node, one, again=(first.position,))) == [json.loads(first.body)[0]["eventID"]]
    node.tell({"id": "r", "document": "EIR7", "function": "cancel"})
    assert batch(node, one, again=(first.position,)).messages == []


def test_a_subscription_is_asked_with_an_empty_array_before_it_is_sent_anything(node: Node, receiver: Receiver) -> None:
    one = subscribed(node)
    assert send(node, "GET", f"/v1/endpoints/{one}", who="operator").json()["state"] == "unverified"
    lead(node, one, receiver)
    receiver.status = 500
    now = datetime.now(UTC)
    assert proved(node, now) == 1
    assert proved(node, now) == 0, "it is not asked again before its next turn"
    receiver.status = 204
    assert proved(node, now + timedelta(hours=1)) == 1
    assert send(node, "GET", f"/v1/endpoints/{one}", who="operator").json()["state"] == "active"
    headers, body = receiver.got[-1]
    assert body == b"[]"
    assert headers["subscription-id"] == str(one)
    assert (
        headers["notification-signature"]
        == signing.dcsa_headers([signing.Key("dcsa", SECRET)], one, body)["Notification-Signature"]
    )
    assert signing.verify("whsec_" + base64.b64encode(SECRET).decode(), headers, body, now=now + timedelta(hours=1))


def test_who_never_takes_the_empty_array_is_disabled_and_asked_anew_when_it_is_told_us_again(
    node: Node, receiver: Receiver
) -> None:
    one = subscribed(node)
    lead(node, one, receiver)
    receiver.status, now = 404, datetime.now(UTC)
    for _ in range(12):
        now += timedelta(days=2)
        proved(node, now)
    assert len(receiver.got) == 10
    disabled = send(node, "GET", f"/v1/endpoints/{one}", who="operator").json()
    assert (disabled["state"], "验证" in disabled["reason"]) == ("disabled", True)
    changed = send(node, "PUT", f"{PATH}/{one}", {"callbackUrl": "https://other.example.com/"}, "operator")
    assert changed.status_code == 200
    again = send(node, "GET", f"/v1/endpoints/{one}", who="operator").json()
    assert (again["state"], again["url"]) == ("unverified", "https://other.example.com/")


def test_an_endpoint_of_a_subscription_is_changed_where_it_was_made_and_goes_with_it(node: Node) -> None:
    one = subscribed(node)
    path = f"/v1/endpoints/{one}"
    for method, step, body in (("PATCH", "", {"ordered": False}), ("POST", "/rotate", {})):
        assert send(node, method, path + step, body, "operator").json()["type"] == "/problems/dcsa-subscription"
    assert send(node, "DELETE", f"{PATH}/{one}", who="operator").status_code == 204
    assert send(node, "GET", path, who="operator").status_code == 404
    other = subscribed(node)
    assert send(node, "DELETE", f"/v1/endpoints/{other}", who="operator").status_code == 204
    assert send(node, "GET", PATH, who="operator").json() == []


def test_a_subscription_of_before_the_engine_becomes_an_endpoint_and_its_secret_is_sealed(node: Node) -> None:
    node.rows(
        "INSERT INTO dcsa_subscriptions VALUES (gen_random_uuid(), 'operator', now(), now(), 7,"
        ' \'{"callbackUrl": "https://old.example.com/"}\', %s) RETURNING 1',
        SECRET,
    )
    state = node.client.app.state
    for count in (1, 0):
        assert dcsa.adopt(state.asker.pool, state.vault, datetime.now(UTC)) == count
    assert node.rows("SELECT url, state, after, dialect FROM push_endpoints") == [
        ("https://old.example.com/", "unverified", 7, "dcsa")
    ]
    assert node.rows("SELECT secret FROM dcsa_subscriptions") == [(b"",)]


def lead(node: Node, one: UUID, receiver: Receiver) -> None:
    """Its callback is our receiver on loopback, with leave; the desk takes none but public ones."""
    node.rows("UPDATE push_endpoints SET url = %s WHERE endpoint_id = %s RETURNING 1", receiver.url, one)
    node.rows("INSERT INTO push_networks VALUES ('operator', '127.0.0.0/8', 'test', now(), 'test') RETURNING 1")


def proved(node: Node, now: datetime) -> int:
    """In the node's own event loop there is none of the sender: here is one."""
    import asyncio

    state = node.client.app.state

    async def ask() -> int:
        client = Client()
        try:
            asking = proving.Prover(state.asker.pool, state.vault, client)
            return await proving.prove_subscriptions(asking, now, Random(1))
        finally:
            await client.close()

    return asyncio.run(ask())


def test_events_are_told_in_an_array_of_one(node: Node) -> None:
    told(node)
    for message in batch(node, subscribed(node)).messages:
        [one] = msgspec.json.decode(message.body)
        assert one["eventType"] == "EQUIPMENT"
        assert message.subject.startswith("container:")
    assert desk.ENDPOINTS_MAX
