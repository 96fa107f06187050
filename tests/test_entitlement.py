"""What a subscription lets through, what it does not, and how many units: before any work, for all processes."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from api.delivery import BULK_QUERY, ETA_ESTIMATE, FEED_PULL, TRACK_QUERY
from api.entitlement import ALL, Entitlements
from api.identity import Account
from api.pool import Pool, open_pool
from api.problems import InArrears, NotSubscribed, PaymentRequired, QuotaExhausted
from api.quota import Key, reclaim
from domain import period
from domain.delivery import DeliveryMade
from domain.fact import Fact, decode
from domain.subscription import (
    SubscriptionFact,
    SubscriptionLimitsSet,
    SubscriptionResumed,
    SubscriptionSuspended,
    stream,
)
from tests.fixtures_node import Node
from tests.open_register import subscribed

NOW = datetime.now(UTC)
FIRM = Account("boxes", "logistics", "箱队", "Boxes", "BOXES-1")
ALONE = Account("alone", "logistics", "独", "Alone")
GATED_IN: dict[str, Any] = {
    "id": "1",
    "code": "GATE_IN",
    "happened_at": "2026-03-01T12:00:00+08:00",
    "subject": "container:CSQU3054383",
}
ABOUT: dict[str, Any] = {"happened_at": NOW, "recorded_at": NOW, "by": "t", "by_party": ""}


@pytest.fixture
def pool(closed_node: Node) -> Iterator[Pool]:
    with open_pool(closed_node.conninfo) as made:
        yield made


@pytest.fixture
def entitlements(pool: Pool) -> Iterator[Entitlements]:
    made = Entitlements(pool, "metering:test")
    yield made
    made.stop()


def order(node: Node, account: Account = FIRM, **more: Any) -> str:
    """One subscription to everything; returns its stream."""
    where, made = subscribed(account.account, account.party)
    node.decide("commerce", where, msgspec.structs.replace(made, **more))
    return where


def named(kind: type[Fact], where: str, **more: Any) -> Fact:
    return kind(**ABOUT, subscription=where.partition(":")[2], **more)  # type: ignore[call-arg]


def test_a_government_item_is_never_looked_at(entitlements: Entitlements) -> None:
    grant = entitlements.take(FIRM, TRACK_QUERY)
    assert grant.allowed == ALL
    assert entitlements.asof == -1  # not even the register was read


def test_without_a_subscription_the_answer_says_where_to_get_one_and_what_is_free(entitlements: Entitlements) -> None:
    with pytest.raises(NotSubscribed) as refused:
        entitlements.take(FIRM, FEED_PULL, 10)
    facts = refused.value.facts
    assert (facts["price_minor"], facts["tariff"], facts["free_alternative"]) == (
        2,
        "feed.pull/sample-2026",
        "track.query",
    )
    assert "POST /v1/subscriptions" in refused.value.detail


def test_a_subscription_of_a_party_covers_all_its_accounts(closed_node: Node, entitlements: Entitlements) -> None:
    order(closed_node)
    other = Account("someone-else", "enterprise", "别人", "Other", "BOXES-1")
    assert entitlements.take(other, FEED_PULL, 10).allowed == 10
    with pytest.raises(NotSubscribed):
        entitlements.take(ALONE, FEED_PULL, 10)


def test_an_open_item_is_free_up_to_what_is_included_and_no_further(entitlements: Entitlements) -> None:
    first = entitlements.take(ALONE, BULK_QUERY, 900)
    first.settle(900)
    second = entitlements.take(ALONE, BULK_QUERY, 900)
    assert second.allowed == 100
    second.settle(100)
    with pytest.raises(QuotaExhausted) as refused:
        entitlements.take(ALONE, BULK_QUERY, 1)
    assert refused.value.facts["limit"] == 1_000
    assert "POST /v1/subscriptions" in refused.value.detail


def test_a_soft_limit_goes_on_and_is_paid(closed_node: Node, entitlements: Entitlements) -> None:
    order(closed_node)
    for _ in range(3):
        grant = entitlements.take(FIRM, BULK_QUERY, 900)
        assert grant.allowed == 900
        grant.settle(900)


def test_a_hard_limit_ends_at_what_is_ordered_and_more_can_be_ordered(
    closed_node: Node, entitlements: Entitlements
) -> None:
    where = order(closed_node, limits={"eta.estimate": 3})
    for _ in range(3):
        entitlements.take(FIRM, ETA_ESTIMATE).settle(1)
    with pytest.raises(QuotaExhausted):
        entitlements.take(FIRM, ETA_ESTIMATE)
    closed_node.decide("commerce", where, named(SubscriptionLimitsSet, where, limits={"eta.estimate": 4}))
    assert entitlements.take(FIRM, ETA_ESTIMATE).allowed == 1


def test_units_that_were_not_used_are_there_again(closed_node: Node, entitlements: Entitlements) -> None:
    order(closed_node, limits={"eta.estimate": 5})
    for _ in range(20):
        entitlements.take(FIRM, ETA_ESTIMATE, 5).settle(0)
    assert entitlements.take(FIRM, ETA_ESTIMATE, 9).allowed == 5


def test_suspended_for_arrears_stops_at_the_next_call_and_resumes(
    closed_node: Node, entitlements: Entitlements
) -> None:
    where = order(closed_node)
    entitlements.take(FIRM, FEED_PULL).settle(1)
    closed_node.decide("commerce", where, named(SubscriptionSuspended, where, reason="欠费"))
    for item in (FEED_PULL, BULK_QUERY):  # the open item too
        with pytest.raises(InArrears):
            entitlements.take(FIRM, item)
    assert entitlements.take(FIRM, TRACK_QUERY).allowed == ALL
    closed_node.decide("commerce", where, named(SubscriptionResumed, where, reason="已付"))
    assert entitlements.take(FIRM, FEED_PULL).allowed == 1


@pytest.mark.slow
def test_a_trial_is_free_limited_and_ends(closed_node: Node, entitlements: Entitlements) -> None:
    order(closed_node, trial_until=datetime.now(UTC) + timedelta(seconds=2))
    grant = entitlements.take(FIRM, FEED_PULL, 5_000)
    assert (grant.allowed, grant.waived) == (1_000, "trial")
    threading.Event().wait(2.1)
    with pytest.raises(NotSubscribed):
        entitlements.take(FIRM, FEED_PULL)


def test_eight_threads_of_two_processes_never_get_more_than_a_hard_limit(closed_node: Node, pool: Pool) -> None:
    order(closed_node, limits={"eta.estimate": 500})
    two = [Entitlements(pool, f"metering:{each}") for each in "ab"]

    def work(number: int) -> int:
        got, mine = 0, two[number % 2]
        for turn in range(200):
            try:
                grant = mine.take(FIRM, ETA_ESTIMATE, 1 + turn % 4, asof=0)
            except QuotaExhausted:
                continue
            used = grant.allowed if turn % 3 else grant.allowed // 2
            grant.settle(used)
            got += used
        return got

    with ThreadPoolExecutor(8) as threads:
        got = sum(threads.map(work, range(8)))
    for each in two:
        each.stop()
    [(granted,)] = closed_node.rows("SELECT granted FROM quota WHERE item = 'eta.estimate'")
    assert got == granted <= 500
    rest = Entitlements(pool, "metering:c")
    if granted < 500:
        assert rest.take(FIRM, ETA_ESTIMATE, 500).allowed == 500 - granted
    rest.stop()


def test_what_a_dead_process_held_comes_back_less_what_it_delivered(closed_node: Node, pool: Pool) -> None:
    order(closed_node, limits={"eta.estimate": 1_600})
    dead = Entitlements(pool, "metering:dead")
    dead.take(FIRM, ETA_ESTIMATE)  # dies here, a block of a hundred behind it
    key = Key("BOXES-1", "eta.estimate", period.month_of(datetime.now(UTC)))
    with psycopg.connect(closed_node.conninfo, autocommit=True) as connection:
        [held] = connection.execute("SELECT held FROM quota_leases").fetchone() or (0,)
        assert held == 101
        assert reclaim(connection) == 0  # it may be alive
        connection.execute("UPDATE quota_leases SET until = now() - interval '1 hour'")
        assert reclaim(connection) == held
        assert connection.execute("SELECT granted FROM quota WHERE holder = %s", (key.holder,)).fetchone() == (0,)
    assert reclaim_again(closed_node) == 0


def reclaim_again(node: Node) -> int:
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        return reclaim(connection)


def test_an_item_that_nobody_sells_is_refused(closed_node: Node, entitlements: Entitlements) -> None:
    order(closed_node)
    strange = msgspec.structs.replace(FEED_PULL, code="nobody.sells")
    with pytest.raises(Exception, match="not on sale"):
        entitlements.take(FIRM, strange)


# --- over HTTP ---


def test_a_call_tells_its_unit_its_price_and_what_is_left(node: Node) -> None:
    node.tell(GATED_IN)
    answer = node.get("/v1/feed", "logistics")
    assert (answer.headers["usage-unit"], answer.headers["usage-price"]) == ("fact", "2")
    assert "usage-remaining" not in answer.headers  # nothing included, nothing ordered: there is no end
    estimate = node.get("/v1/eta/CSQU3054383", "enterprise")
    assert (estimate.status_code, estimate.headers["usage-price"]) == (200, "0")
    free = node.get("/v1/track/CSQU3054383")
    assert not [name for name in free.headers if name.startswith("usage")]


def test_without_a_subscription_the_feed_is_402_and_the_query_goes_on(node: Node) -> None:
    node.open("stranger", Account("stranger", "logistics", "丙", "Stranger", "STRANGER-9"))
    node.tell(GATED_IN)
    refused = node.get("/v1/feed", "stranger")
    assert refused.status_code == 402
    assert refused.json()["type"] == "/problems/not-subscribed"
    assert refused.json()["facts"]["subscribe"] == "POST /v1/subscriptions"
    assert node.get("/v1/track/CSQU3054383", "stranger").status_code == 200


def test_suspended_for_arrears_is_402_for_what_is_paid_and_200_for_what_is_free(node: Node) -> None:
    node.tell(GATED_IN)
    assert node.get("/v1/feed", "logistics").status_code == 200
    node.decide("commerce", stream("S-mover"), named(SubscriptionSuspended, "subscription:S-mover", reason="欠费"))
    assert node.get("/v1/feed", "logistics").json()["type"] == "/problems/in-arrears"
    assert node.get("/v1/track/CSQU3054383", "logistics").status_code == 200


def test_eighty_and_a_hundred_per_cent_are_told_in_the_answer_and_once_in_the_trail(node: Node) -> None:
    node.open("boxes", FIRM)
    order(node, limits={"eta.estimate": 5})
    node.tell(GATED_IN)
    works = node.client.app.dependencies["entitlements"]
    entitlements: Entitlements = works.dependency()
    for _ in range(3):
        entitlements.take(FIRM, ETA_ESTIMATE).settle(1)
    for used in ("1", "1"):
        grant = entitlements.take(FIRM, ETA_ESTIMATE)
        grant.settle(int(used))
    for _ in range(100):
        told = node.rows("SELECT state FROM commerce_events WHERE convert_from(state, 'UTF8') LIKE '%%quota.warned%%'")
        if len(told) == 2:
            break
        threading.Event().wait(0.1)
    assert sorted(msgspec.json.decode(state)["detail"].split(" ")[0] for (state,) in told) == ["100", "80"]
    refused = node.get("/v1/eta/CSQU3054383", "boxes")
    assert (refused.status_code, refused.json()["type"]) == (402, "/problems/quota-exhausted")


def test_every_402_is_one_kind() -> None:
    assert all(issubclass(each, PaymentRequired) for each in (NotSubscribed, InArrears, QuotaExhausted))


@pytest.mark.slow
def test_nothing_is_delivered_behind_a_suspension(node: Node) -> None:
    """By positions of the journal, while the feed is asked all the time."""
    where, over = stream("S-mover"), threading.Event()
    node.tell(GATED_IN)
    statuses: set[int] = set()

    def ask() -> None:
        while not over.is_set():
            statuses.add(node.get("/v1/feed", "logistics").status_code)
            over.wait(0.01)

    with ThreadPoolExecutor(3) as threads:
        for _ in range(3):
            threads.submit(ask)
        for _ in range(10):
            node.decide("commerce", where, named(SubscriptionSuspended, where, reason="欠费"))
            node.decide("commerce", where, named(SubscriptionResumed, where, reason="已付"))
        over.set()
    told = node.rows("SELECT state FROM commerce_events ORDER BY notification_id")
    suspended, wrong, delivered = False, 0, 0
    for fact in (decode(state) for (state,) in told):
        if isinstance(fact, SubscriptionFact) and fact.subscription == "S-mover":
            suspended = isinstance(fact, SubscriptionSuspended)
        if isinstance(fact, DeliveryMade) and fact.item == "feed.pull" and fact.result == "ok":
            delivered += 1
            wrong += suspended
    assert (wrong, statuses) == (0, {200, 402})
    assert delivered
