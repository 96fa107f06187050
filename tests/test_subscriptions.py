"""Subscriptions: ordered, looked at, changed, cancelled, suspended for arrears, resumed; the rules, then over HTTP."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from api import subscription_commands
from api.delivery import ETA_ESTIMATE
from api.identity import Account
from api.subscription_commands import subscriptions
from domain import subscription
from domain.catalogue import Price
from domain.errors import Refused
from domain.fact import Fact
from domain.party import PartyRegistered
from domain.subscription import Offer, Order, Subscription, SubscriptionMade
from tests.fixtures_node import Node

MON = datetime(2026, 11, 2, 4, tzinfo=UTC)
TUE, WED = MON + timedelta(days=1), MON + timedelta(days=2)
PRICE = Price("feed.pull", "feed.pull/1", 2, "CNY", MON - timedelta(days=9))
OFFERS = {"feed.pull": Offer(commercial=True, prices=(PRICE,)), "track.query": Offer(commercial=False)}
BY: dict[str, Any] = {"by": "mover", "by_party": "P-1", "at": MON}
NEW = Subscription("S-1")


def after(found: Subscription, facts: tuple[Fact, ...]) -> Subscription:
    return reduce(subscription.evolve, facts, found)


def made(**more: Any) -> Subscription:
    return after(NEW, subscription.subscribe(NEW, Order(items=("feed.pull",), **more), offers=OFFERS, **BY))


def test_what_is_agreed_names_the_price_version_in_force() -> None:
    [told] = subscription.subscribe(NEW, Order(items=("feed.pull", "feed.pull")), offers=OFFERS, **BY)
    assert isinstance(told, SubscriptionMade)
    assert (told.items, told.tariffs, told.party, told.valid_from) == (
        ("feed.pull",), {"feed.pull": "feed.pull/1"}, "P-1", MON,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (Order(items=()), "name the service items"),
        (Order(items=("track.query",)), "free, and needs no subscription"),
        (Order(items=("nothing",)), "no service item"),
        (Order(items=("feed.pull",), tariffs={"feed.pull": "feed.pull/0"}), "will be feed.pull/1"),
        (Order(items=("feed.pull",), valid_from=MON - timedelta(days=1)), "begins today"),
        (Order(items=("feed.pull",), valid_from=datetime(2026, 11, 3)), "offset"),  # noqa: DTZ001
        (Order(items=("feed.pull",), valid_to=MON), "after the beginning"),
        (Order(items=("feed.pull",), trial_until=MON + timedelta(days=93)), "92 days at most"),
        (Order(items=("feed.pull",), limits={"feed.push": 5}), "of this subscription"),
        (Order(items=("feed.pull",), limits={"feed.pull": 0}), "above zero"),
    ],
)
def test_what_cannot_be_ordered_is_refused(order: Order, why: str) -> None:
    with pytest.raises(Refused, match=why):
        subscription.subscribe(NEW, order, offers=OFFERS, **BY)


def test_an_item_without_a_price_by_then_is_not_on_sale() -> None:
    late = {"feed.pull": Offer(commercial=True, prices=(msgspec.structs.replace(PRICE, effective_from=TUE),))}
    with pytest.raises(Refused, match="not on sale"):
        subscription.subscribe(NEW, Order(items=("feed.pull",)), offers=late, **BY)
    assert subscription.subscribe(NEW, Order(items=("feed.pull",), valid_from=TUE), offers=late, **BY)


def test_whoever_is_in_arrears_orders_nothing_new() -> None:
    with pytest.raises(Refused, match="arrears"):
        subscription.subscribe(NEW, Order(items=("feed.pull",)), offers=OFFERS, in_arrears=True, **BY)


def test_a_subscription_begins_and_ends_by_the_clock_half_open() -> None:
    found = made(valid_from=TUE, valid_to=WED)
    moments = (MON, TUE, WED - timedelta(microseconds=1), WED)
    assert [found.status(at) for at in moments] == ["scheduled", "active", "active", "ended"]


def test_a_trial_ends_with_its_last_moment_and_turns_into_nothing() -> None:
    found = made(trial_until=TUE)
    assert [found.status(at) for at in (MON, TUE)] == ["trial", "ended"]


def test_cancelling_ends_it_once_and_never_later() -> None:
    found = made(valid_to=WED)
    gone = after(found, subscription.cancel(found, ends_at=TUE, **BY))
    assert [gone.status(at) for at in (MON, TUE)] == ["active", "cancelled"]
    assert subscription.cancel(gone, ends_at=WED, **BY) == ()
    assert subscription.cancel(gone, **(BY | {"at": TUE})) == ()


def test_arrears_stay_when_the_order_ends() -> None:
    found = made()
    stopped = after(found, subscription.suspend(found, reason="欠费", **BY))
    assert stopped.status(MON) == "suspended"
    assert subscription.suspend(stopped, reason="欠费", **BY) == ()
    gone = after(stopped, subscription.cancel(stopped, **BY))
    assert (gone.status(MON), gone.suspended) == ("cancelled", True)
    assert not after(gone, subscription.resume(gone, reason="已付", **BY)).suspended


def test_what_is_over_takes_no_new_limits() -> None:
    found = made(valid_to=TUE)
    with pytest.raises(Refused, match="is ended"):
        subscription.set_limits(found, limits={"feed.pull": 5}, **(BY | {"at": WED}))
    assert subscription.set_limits(found, limits={}, **BY) == ()


# --- over HTTP ---

FIRM, OTHER = "91320000MA0000269G", "91320000MA0000277B"


@pytest.fixture
def here(node: Node) -> Node:
    node.open("firm", Account("firm", "logistics", "甲", "Firm", FIRM))
    node.open("boss", Account("boss", "enterprise-admin", "甲", "Boss", FIRM))
    node.open("other", Account("other", "logistics", "乙", "Other", OTHER))
    node.open("their-finance", Account("their-finance", "finance", "乙财务", "Their finance", OTHER))
    at: dict[str, Any] = {"happened_at": MON, "recorded_at": MON, "by": "t"}
    told = PartyRegistered(**at, party=OTHER, kind="enterprise", zh="乙", en="Other")
    node.decide("commerce", f"party:{OTHER}", told)
    return node


def post(node: Node, path: str, who: str, body: Any, **headers: str) -> Any:
    given = {**node.bearer(who), "Content-Type": "application/json", **headers}
    return node.client.post(path, content=msgspec.json.encode(body), headers=given)


def ordered(node: Node, who: str = "firm", **more: Any) -> str:
    answer = post(node, "/v1/subscriptions", who, {"items": ["feed.pull"], **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_the_402_says_where_to_subscribe_and_then_the_feed_opens(here: Node) -> None:
    refused = here.get("/v1/feed", "firm").json()
    method, path = refused["facts"]["subscribe"].split()
    assert (method, refused["facts"]["free_alternative"]) == ("POST", "track.query")
    made_ = post(
        here, path, "firm", {"items": [refused["facts"]["item"]], "tariffs": {"feed.pull": refused["facts"]["tariff"]}}
    )
    assert made_.status_code == 201
    assert here.get("/v1/feed", "firm").status_code == 200
    shown = here.get(made_.headers["location"], "boss").json()
    assert (shown["state"], shown["holder"], shown["ordered_by"]) == ("active", FIRM, "firm")


def test_cancelled_is_over_with_the_next_call(here: Node) -> None:
    name = ordered(here)
    assert post(here, f"/v1/subscriptions/{name}/cancel", "boss", {"reason": "不再需要"}).status_code == 202
    assert here.get("/v1/feed", "firm").json()["type"] == "/problems/not-subscribed"
    assert here.get(f"/v1/subscriptions/{name}", "firm").json()["state_en"] == "cancelled"


def test_finance_suspends_and_resumes_and_government_goes_on(here: Node) -> None:
    name = ordered(here)
    assert post(here, f"/v1/subscriptions/{name}/suspend", "firm", {"reason": "x"}).status_code == 403
    assert post(here, f"/v1/subscriptions/{name}/suspend", "finance", {"reason": "欠费三月"}).status_code == 202
    assert here.get("/v1/feed", "firm").json()["type"] == "/problems/in-arrears"
    assert here.get("/v1/track/CSQU3054383", "firm").status_code == 404  # asked, and answered
    assert post(here, "/v1/subscriptions", "firm", {"items": ["feed.push"]}).status_code == 409
    assert post(here, f"/v1/subscriptions/{name}/resume", "finance", {"reason": "已付"}).status_code == 202
    assert here.get("/v1/feed", "firm").status_code == 200


def test_to_others_a_subscription_is_not_there(here: Node) -> None:
    name = ordered(here)
    paths = [f"/v1/subscriptions/{each}" for each in (name, "S-0")]
    for who in ("other", "operator", "their-finance"):
        assert {here.get(path, who).status_code for path in paths} == {404}
        assert here.get("/v1/subscriptions", who).text.count(FIRM) == 0
    for step in ("cancel", "limits", "suspend", "test"):
        body = {"cancel": {}, "limits": {"limits": {}}, "suspend": {"reason": "x"}}.get(step)
        assert post(here, f"/v1/subscriptions/{name}/{step}", "their-finance", body).status_code == 404
    assert here.get("/v1/subscriptions", "finance", holder=FIRM).json()[0]["id"] == name


def test_only_finance_orders_for_others_and_grants_trials(here: Node) -> None:
    until = (datetime.now(UTC) + timedelta(days=10)).isoformat()
    trial = {"items": ["feed.pull"], "party": FIRM, "account": "firm", "trial_until": until}
    assert post(here, "/v1/subscriptions", "firm", trial).status_code == 403
    assert post(here, "/v1/subscriptions", "finance", trial).status_code == 201
    here.tell(
        {"id": "1", "code": "GATE_IN", "happened_at": "2026-03-01T12:00:00+08:00", "subject": "container:CSQU3054383"}
    )
    answer = here.get("/v1/feed", "firm")
    assert (answer.status_code, answer.headers["usage-price"]) == (200, "0")
    here.catch_up()
    assert here.rows("SELECT waived, chargeable FROM usage_entries WHERE account = 'firm'") == [("trial", False)]


def test_the_same_order_with_an_idempotency_key_is_one(here: Node) -> None:
    answers = [
        post(here, "/v1/subscriptions", "firm", {"items": ["feed.pull"]}, **{"Idempotency-Key": "k1"}).json()["id"]
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert len(here.get("/v1/subscriptions", "firm").json()) == 1


def test_health_tells_what_is_left_and_warns(here: Node) -> None:
    name = ordered(here, items=["eta.estimate"], limits={"eta.estimate": 2})
    health = here.get(f"/v1/subscriptions/{name}/health", "firm").json()
    [item] = health["items"]
    assert (item["limit"], item["used"], item["remaining"], item["warning"]) == (2, 0, 2, 0)
    assert (health["state"], health["delivered_at"], health["endpoints"]) == ("active", None, [])
    entitlements: Any = here.client.app.dependencies["entitlements"].dependency()
    entitlements.take(Account("firm", "logistics", "甲", "Firm", FIRM), ETA_ESTIMATE, 2).settle(2)
    [item] = here.get(f"/v1/subscriptions/{name}/health", "firm").json()["items"]
    assert (item["used"], item["remaining"], item["warning"]) == (2, 0, 100)
    assert post(here, f"/v1/subscriptions/{name}/limits", "firm", {"limits": {"eta.estimate": 20}}).status_code == 202
    assert here.get(f"/v1/subscriptions/{name}/health", "firm").json()["items"][0]["remaining"] == 18


def test_a_test_of_a_subscription_without_endpoints_sends_nothing(here: Node) -> None:
    name = ordered(here)
    answer = post(here, f"/v1/subscriptions/{name}/test", "firm", None)
    assert (answer.status_code, answer.json()) == (200, [])


def test_the_same_in_a_terminal(closed_node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUAN_DATABASE_URL", closed_node.conninfo)
    monkeypatch.setattr(subscription_commands.console, "width", 200)  # or a narrow terminal folds the row
    ask = CliRunner()
    made = ask.invoke(subscriptions, ["open", "feed.pull", "--party", FIRM, "--limit", "feed.pull=9"])
    name = made.output.strip()
    assert made.exit_code == 0, made.output
    for step in (["suspend", name, "--reason", "欠费"], ["resume", name, "--reason", "已付"], ["cancel", name]):
        assert "done" in ask.invoke(subscriptions, step).output, step
    listed = ask.invoke(subscriptions, ["list", "--holder", FIRM])
    assert listed.exit_code == 0
    told = closed_node.rows(
        "SELECT topic FROM commerce_events WHERE originator_id = %s ORDER BY 1", f"subscription:{name}"
    )
    assert [topic for (topic,) in told] == [
        *("subscription.cancelled", "subscription.made", "subscription.resumed", "subscription.suspended")
    ]
