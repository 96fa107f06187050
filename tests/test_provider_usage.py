"""What a third party renders of its own item: charged to who subscribed, once for each reference."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from api.identity import Account
from domain import period
from domain.catalogue import ItemListed, ItemWithdrawn, TariffPublished
from domain.pricing import Pricing
from domain.subscription import SubscriptionCancelled, SubscriptionSuspended
from tests.fixtures_node import Node
from tests.open_register import subscribed

PARTY, CUSTOMER = "91320500MA00000313", "91320000MA0000015K"
CODE = f"{PARTY.lower()}.weather"
VERSION = f"{CODE}/sample-2026"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
ABOUT: dict[str, Any] = {"happened_at": LONG_AGO, "recorded_at": LONG_AGO}
LISTED = ItemListed(
    **ABOUT,
    item=CODE,
    item_class="commercial",
    zh="港区气象",
    en="Weather of the port",
    unit_zh="次",
    unit_en="query",
    free_alternative="track.query",
    owner=PARTY,
    provider="某气象公司 / A weather firm",
)
PRICED = TariffPublished(
    **ABOUT,
    item=CODE,
    version=VERSION,
    price_minor=30,
    currency="CNY",
    effective_from=LONG_AGO,
    basis="价格说明 / price statement",
)


@pytest.fixture
def world(node: Node) -> Node:
    """A weather firm with a listed item, and customers with and without a subscription to it."""
    node.open("firm", Account("firm", "logistics", "气象公司", "Firm", party=PARTY))
    node.open("rival", Account("rival", "logistics", "对手", "Rival", party="91320500MA0000099X"))
    node.open("customer", Account("customer", "enterprise", "客户", "Customer", party=CUSTOMER))
    node.decide("commerce", f"item:{CODE}", LISTED, PRICED)
    node.decide("commerce", *order("", CUSTOMER))
    node.decide("commerce", *order("trader"))
    return node


def order(account: str, party: str = "", **more: Any) -> tuple[str, Any]:
    _, made = subscribed(account, party, [CODE])
    name = f"W-{party or account}"
    return f"subscription:{name}", msgspec.structs.replace(made, subscription=name, **more)


def send(node: Node, who: str = "firm", **changes: Any) -> Any:
    body = {"item": CODE, "party": CUSTOMER, "quantity": 3, "reference": "R-1", **changes}
    sent = {name: value for name, value in body.items() if value is not None}
    answer = node.client.post("/v1/provider-usage", json=sent, headers=node.bearer(who))
    node.catch_up()
    return answer


def records(node: Node) -> list[dict[str, Any]]:
    rows = node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made' ORDER BY notification_id")
    return [each for row in rows if (each := json.loads(bytes(row[0])))["item"] == CODE]


def slug(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


def test_what_was_rendered_is_charged_to_the_customer_who_sees_who_rendered_it(world: Node) -> None:
    answer = send(world)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["new"], told["tariff"], told["quantity"], told["party"]) == (True, VERSION, 3, CUSTOMER)
    [record] = records(world)
    assert (record["party"], record["subject"], record["count"], record["channel"]) == (CUSTOMER, "R-1", 3, "api")
    [row] = [each for each in world.get("/v1/usage", "customer").json()["rows"] if each["item"] == CODE]
    assert (row["quantity"], row["amount_minor"], row["provider"]) == (3, 90, LISTED.provider)
    [line] = [each for each in world.get("/v1/usage", "customer").json()["lines"] if each["item"] == CODE]
    assert (line["amount_minor"], line["provider"], line["holder"]) == (90, LISTED.provider, CUSTOMER)
    assert world.rows("SELECT count(*) FROM read_model_dead_letters") == [(0,)]


def test_the_headers_do_not_tell_the_provider_what_its_customer_has_left(world: Node) -> None:
    assert not [name for name in send(world).headers if name.startswith("usage-")]


def test_an_account_without_a_party_is_a_customer_too(world: Node) -> None:
    assert send(world, party=None, account="trader").status_code == 201
    [row] = [each for each in world.get("/v1/usage", "enterprise").json()["rows"] if each["item"] == CODE]
    assert (row["account"], row["party"], row["amount_minor"]) == ("trader", "", 90)


def test_an_account_of_a_party_is_charged_with_its_party_and_the_answer_does_not_tell_which(world: Node) -> None:
    answer = send(world, party=None, account="customer")
    assert (answer.status_code, answer.json()["party"], CUSTOMER in answer.text) == (201, "", False)
    [record] = records(world)
    assert (record["account"], record["party"]) == ("customer", CUSTOMER)


def test_a_report_sent_again_is_one(world: Node) -> None:
    at = datetime.now(UTC).isoformat()
    first = send(world, rendered_at=at)
    again = send(world, rendered_at=at)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "new": False}
    assert len(records(world)) == 1
    rows = world.rows(
        "SELECT convert_from(state, 'UTF8')::jsonb FROM commerce_events WHERE topic = 'access.told'"
        " AND convert_from(state, 'UTF8') LIKE '%%usage.provided%%'"
    )
    assert [(row[0]["account"], row[0]["object"]) for row in rows] == [("firm", f"item:{CODE}")] * 2


def test_a_report_sent_by_many_at_once_is_one(world: Node) -> None:
    def once(_: int) -> int:
        body = {"item": CODE, "party": CUSTOMER, "quantity": 3, "reference": "R-1"}
        status: int = world.client.post("/v1/provider-usage", json=body, headers=world.bearer("firm")).status_code
        return status

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(once, range(8)))
    assert sorted(statuses) == [*[200] * 7, 201]
    assert len(records(world)) == 1


def test_a_reference_is_for_one_thing(world: Node) -> None:
    assert send(world).status_code == 201
    earlier = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    for changes in ({"quantity": 4}, {"party": None, "account": "trader"}, {"rendered_at": earlier}):
        assert slug(send(world, **changes)) == (409, "reference-used")
    assert len(records(world)) == 1


def test_who_has_not_subscribed_is_not_charged_and_answers_as_who_is_not_there(world: Node) -> None:
    told = [send(world, party=None, account=name) for name in ("mover", "nobody-at-all")]
    told.append(send(world, party="91500000000000000X"))
    assert [slug(each) for each in told] == [(402, "not-subscribed")] * 3
    assert len({each.content for each in told}) == 1
    assert records(world) == []


def test_an_open_item_is_no_leave_to_charge_strangers(world: Node) -> None:
    again = {"happened_at": datetime.now(UTC), "recorded_at": datetime.now(UTC)}
    free = msgspec.structs.replace(PRICED, version=f"{CODE}/2", pricing=Pricing(price_minor=1, included=10))
    listed = msgspec.structs.replace(LISTED, open=True, **again)
    world.decide("commerce", f"item:{CODE}", listed, free)
    assert slug(send(world, party=None, account="mover")) == (402, "not-subscribed")


def test_suspended_for_arrears_or_cancelled_is_not_covered(world: Node) -> None:
    now = datetime.now(UTC)
    act: dict[str, Any] = {"happened_at": now, "recorded_at": now, "by": "t", "by_party": ""}
    stop = SubscriptionSuspended(**act, subscription=f"W-{CUSTOMER}", reason="欠费")
    world.decide("commerce", f"subscription:W-{CUSTOMER}", stop)
    assert slug(send(world)) == (402, "in-arrears")
    end = SubscriptionCancelled(**act, subscription="W-trader", ends_at=now)
    world.decide("commerce", "subscription:W-trader", end)
    assert slug(send(world, party=None, account="trader")) == (402, "not-subscribed")


def test_nothing_is_charged_for_a_time_before_the_subscription(world: Node) -> None:
    now = datetime.now(UTC)
    since, _ = period.bounds(period.month_of(now))
    world.decide("commerce", *order("mover", valid_from=now))
    early = max(since, now - timedelta(days=1))
    answer = send(world, party=None, account="mover", rendered_at=early.isoformat())
    assert slug(answer) == (402, "not-subscribed")
    assert send(world, party=None, account="mover").status_code == 201


def test_a_hard_limit_takes_a_report_whole_or_not_at_all(world: Node) -> None:
    now = datetime.now(UTC)
    hard = msgspec.structs.replace(LISTED, limit="hard", happened_at=now, recorded_at=now)
    world.decide("commerce", f"item:{CODE}", hard)
    world.decide("commerce", *order("mover", limits={CODE: 5}))
    mover: dict[str, Any] = {"party": None, "account": "mover"}
    assert send(world, **mover).status_code == 201
    refused = send(world, **mover, reference="R-2")
    assert slug(refused) == (402, "quota-exhausted")
    assert refused.json()["facts"]["left"] == 2
    assert send(world, **mover, reference="R-2", quantity=2).status_code == 201  # it was refused, so it is free
    assert [each["count"] for each in records(world)] == [3, 2]


def test_on_trial_it_is_measured_and_not_charged(world: Node) -> None:
    world.decide("commerce", *order("mover", trial_until=datetime.now(UTC) + timedelta(days=1)))
    answer = send(world, party=None, account="mover")
    assert (answer.status_code, answer.json()["waived"]) == (201, "trial")
    [row] = [each for each in world.get("/v1/usage", "logistics").json()["rows"] if each["item"] == CODE]
    assert (row["quantity"], row["list_minor"], row["amount_minor"]) == (3, 90, 0)


def test_an_item_of_somebody_else_is_as_one_that_is_not_there(world: Node) -> None:
    told = [send(world, "rival", item=item) for item in (CODE, "feed.pull", "track.query", "no.such")]
    assert [slug(each) for each in told] == [(404, "unknown")] * 4
    assert len({each.content for each in told}) == 1


def test_an_account_without_a_party_provides_nothing(world: Node) -> None:
    assert slug(send(world, "logistics")) == (404, "unknown")


def test_others_do_not_report(world: Node) -> None:
    for who in ("customer", "finance", "operator"):
        assert slug(send(world, who)) == (403, "wrong-role")


def test_what_is_not_sold_cannot_be_reported_but_what_was_is_still_known(world: Node) -> None:
    assert send(world).status_code == 201
    now = datetime.now(UTC)
    gone = ItemWithdrawn(happened_at=now, recorded_at=now, item=CODE, by="operator", reason="停办")
    world.decide("commerce", f"item:{CODE}", gone)
    world.client.app.state.asker.way_out.entitlements._read_at -= 60  # as after ten seconds
    assert slug(send(world, reference="R-2")) == (409, "not-offered")
    assert send(world).status_code == 200


def test_without_a_price_it_is_not_offered(world: Node) -> None:
    item = f"{PARTY.lower()}.tides"
    world.decide("commerce", f"item:{item}", msgspec.structs.replace(LISTED, item=item))
    assert slug(send(world, item=item)) == (409, "not-offered")


BAD: tuple[dict[str, Any], ...] = (
    {"quantity": 0},
    {"quantity": -3},
    {"quantity": 1_000_001},
    {"quantity": 1.5},
    {"reference": " "},
    {"reference": "r" * 65},
    {"reference": "a\u0000b"},
    {"account": "trader"},
    {"party": None},
    {"party": "x\u0000"},
    {"item": "Nonsense"},
    {"price_minor": 1},
    {"rendered_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()},
    {"rendered_at": datetime.now(UTC).replace(tzinfo=None).isoformat()},
    {"rendered_at": (datetime.now(UTC) - timedelta(days=40)).isoformat()},
    {"rendered_at": "9999-12-31T23:59:59-12:00"},
    {"rendered_at": "0001-01-01T00:00:00+14:00"},
)


def test_what_cannot_be_usage_is_refused(world: Node) -> None:
    told = [(changes, send(world, **changes).status_code) for changes in BAD]
    assert [each for each in told if each[1] != 422] == []
    assert records(world) == []
