"""Standing charges: a flat price falls due for a month without use, once for each holder, and never for a trial."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from api import closing
from api.books import Books, opened
from billing import drafting, standing
from domain import catalogue, period, statement, subscription
from domain import standing as domain_standing
from domain.catalogue import Item, Price, Rules, TariffPublished
from domain.datasets import DATASETS
from domain.delivery import DeliveryMade
from domain.disclosure import DatasetOwnerSet
from domain.errors import Refused
from domain.fact import Fact
from domain.pricing import Pricing
from domain.sandbox import OWNER as SANDBOX
from domain.subscription import (
    SubscriptionCancelled,
    SubscriptionFact,
    SubscriptionMade,
    SubscriptionResumed,
    SubscriptionSuspended,
)
from tests.fixtures_node import Node

MONTH = "2026-09"
START, END = period.bounds(MONTH)
DAY, ITEM = timedelta(days=1), "statistics.detail"
FLAT = Price(ITEM, "flat", 200, "CNY", START - 90 * DAY, pricing=Pricing(model="flat", price_minor=200))
PARTY = "91320000MA0000277B"
NOW = END + DAY


def about(at: datetime, name: str = "S-1") -> dict[str, Any]:
    return {"happened_at": at, "recorded_at": at, "subscription": name, "by": "clerk", "by_party": ""}


def ordered(at: datetime = START - 40 * DAY, name: str = "S-1", **more: Any) -> SubscriptionMade:
    given: dict[str, Any] = {"account": "ann", "party": PARTY, "items": (ITEM,), "tariffs": {}, "valid_from": at}
    return SubscriptionMade(**about(at, name), **{**given, **more})


def stopped(at: datetime) -> SubscriptionSuspended:
    return SubscriptionSuspended(**about(at), reason="arrears")


def goes_on(at: datetime) -> SubscriptionResumed:
    return SubscriptionResumed(**about(at), reason="paid")


def cancelled(at: datetime) -> SubscriptionCancelled:
    return SubscriptionCancelled(**about(at), ends_at=at)


def owed(*told: SubscriptionFact, prices: tuple[Price, ...] = (FLAT,)) -> list[str]:
    return [each.tariff for each in domain_standing.charges(told, prices, MONTH, NOW)]


@pytest.mark.parametrize(
    ("told", "due"),
    [
        ([ordered()], True),
        ([ordered(END - timedelta(microseconds=1))], True),
        ([ordered(END)], False),
        ([ordered(), cancelled(START)], False),
        ([ordered(), cancelled(START + timedelta(microseconds=1))], True),
        ([ordered(valid_to=START)], False),
        ([ordered(trial_until=END + DAY)], False),
        ([ordered(), stopped(START - DAY)], False),
        ([ordered(), stopped(START - DAY), goes_on(END - DAY)], True),
        ([ordered(), stopped(START - DAY), goes_on(END)], False),
        ([ordered(), stopped(START + DAY)], True),
        ([ordered(), stopped(START - DAY), goes_on(END - DAY), cancelled(END - 2 * DAY)], False),
        ([ordered(START + DAY), cancelled(START + DAY)], False),
        ([ordered(items=("feed.pull",))], False),
    ],
)
def test_a_month_is_owed_in_whole_if_it_was_active_and_paid_for_at_any_time_of_it(
    told: list[SubscriptionFact], *, due: bool
) -> None:
    assert owed(*told) == (["flat"] if due else [])


def test_what_is_charged_by_the_unit_owes_nothing_without_use() -> None:
    unit = Price(ITEM, "unit", 2, "CNY", START - DAY)
    assert owed(ordered(), prices=(FLAT, unit)) == []


def test_a_price_that_begins_with_the_next_month_is_not_owed_for_this_one() -> None:
    next_one = Price(ITEM, "next", 300, "CNY", END, pricing=Pricing(model="flat", price_minor=300))
    assert owed(ordered(), prices=(FLAT, next_one)) == ["flat"]
    assert owed(ordered(), prices=(next_one,)) == []


def test_the_charge_is_of_the_last_moment_of_its_month() -> None:
    [told] = domain_standing.charges([ordered()], (FLAT,), MONTH, NOW)
    assert (period.month_of(told.happened_at), told.happened_at + timedelta(microseconds=1)) == (MONTH, END)
    assert (told.account, told.party, told.item) == ("ann", PARTY, ITEM)


# --- its price ---

SOON = datetime(2026, 9, 10, 4, tzinfo=UTC)
UNIT, MONTHLY = Pricing(price_minor=2), Pricing(model="flat", price_minor=200)
PUT_UP = Pricing(model="flat", price_minor=300)
SOLD = Item(ITEM, "commercial")
RULES = Rules(notice=30 * DAY)


def published(item: Item, rule: Pricing, effective_from: datetime) -> tuple[Fact, ...]:
    told: dict[str, Any] = {"item": ITEM, "version": f"{rule.model}{effective_from}", "currency": "CNY", "basis": "b"}
    tariff = TariffPublished(
        **told,
        happened_at=SOON,
        recorded_at=SOON,
        price_minor=rule.price_minor,
        effective_from=effective_from,
        pricing=rule,
    )
    return catalogue.publish(item, tariff, RULES)


def selling(rule: Pricing) -> Item:
    return Item(ITEM, "commercial", prices=(Price(ITEM, "old", rule.price_minor, "CNY", START - DAY, pricing=rule),))


@pytest.mark.parametrize(
    ("item", "rule"), [(SOLD, MONTHLY), (selling(UNIT), MONTHLY), (selling(MONTHLY), UNIT), (selling(MONTHLY), PUT_UP)]
)
def test_a_flat_price_or_one_in_place_of_it_begins_with_a_month(item: Item, rule: Pricing) -> None:
    november = period.bounds("2026-11")[0]
    assert catalogue.earliest(item, rule, None, SOON, RULES) == november
    assert published(item, rule, november) != ()
    for wrong in (november + timedelta(microseconds=1), november - timedelta(microseconds=1), november + 9 * DAY):
        with pytest.raises(Refused) as refused:
            published(item, rule, wrong)
        assert refused.value.facts["earliest"] == november.isoformat()


def test_a_flat_price_that_goes_down_begins_with_the_next_month() -> None:
    assert catalogue.earliest(selling(PUT_UP), MONTHLY, None, SOON, RULES) == END


def test_any_other_price_may_begin_on_any_day() -> None:
    assert published(selling(UNIT), Pricing(price_minor=1), SOON + DAY) != ()


# --- on the books ---


@contextmanager
def books(node: Node) -> Iterator[Books]:
    with opened(node.conninfo) as made:
        yield made


def close(node: Node) -> list[statement.Statement]:
    """Cut off and bill the month; its statements."""
    with books(node) as made:
        for make in (closing.cut_off, closing.issue):
            act = make(made, MONTH, "clerk", NOW)
            made.decider.decide(act.stream, act.fold, act.decision)
            node.catch_up()
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        rows = connection.execute("SELECT statement FROM issued_statements ORDER BY statement").fetchall()
        found = [statement.read(drafting.stored(connection, number)) for (number,) in rows]
        assert [drafting.remake(connection, each.number) for each in found] == [statement.canonical(e) for e in found]
    return found


def order(node: Node, *told: SubscriptionFact) -> None:
    for each in told:
        node.decide("commerce", subscription.stream(each.subscription), each)


def charged(found: list[statement.Statement]) -> list[tuple[Any, ...]]:
    return [
        (each.holder.code, line.item, line.deliveries, line.quantity, line.amount_minor)
        for each in found
        for line in each.lines
    ]


def test_two_orders_of_one_holder_and_some_use_come_to_one_price(closed_node: Node) -> None:
    order(closed_node, ordered(START), ordered(START, name="S-2", account="bob"))
    used: dict[str, Any] = {"item": ITEM, "item_class": "commercial", "tariff": f"{ITEM}/sample-2026", "count": 3}
    at = START + 3 * DAY
    fact = DeliveryMade(happened_at=at, recorded_at=at, account="bob", party=PARTY, **used)
    closed_node.decide("commerce", "metering:a", fact)
    assert charged(close(closed_node)) == [(PARTY, ITEM, 1, 3, 20_000)]
    entries = "SELECT meter, quantity, chargeable FROM usage_entries ORDER BY position"
    assert closed_node.rows(entries) == [
        ("delivery/1", 3, True),
        ("standing/1", 0, True),
        ("standing/1", 0, True),
    ]


def test_a_holder_that_used_nothing_gets_a_statement_of_what_it_owes(closed_node: Node) -> None:
    order(closed_node, ordered(START, party=""))
    [found] = close(closed_node)
    assert charged([found]) == [("ann", ITEM, 0, 0, 20_000)]
    assert (found.lines[0].explanation, found.payable_minor, found.tax_minor) == ("20000", 20_000, 1_132)


def test_told_twice_it_falls_due_once(closed_node: Node) -> None:
    order(closed_node, ordered(), ordered(name="S-2", items=(ITEM, "feed.pull")))
    with books(closed_node) as made, made.connect() as connection:
        assert [standing.fall_due(connection, made.writer, MONTH, at=NOW) for _ in range(2)] == [2, 2]
    assert closed_node.rows("SELECT count(*) FROM commerce_events WHERE topic = 'charge.fell_due'") == [(2,)]


def test_a_month_that_is_not_over_owes_nothing_yet(closed_node: Node) -> None:
    order(closed_node, ordered(START))
    with books(closed_node) as made, pytest.raises(period.NotOver):
        closing.cut_off(made, MONTH, "clerk", END - DAY)
    assert closed_node.rows("SELECT count(*) FROM commerce_events WHERE topic = 'charge.fell_due'") == [(0,)]


def test_in_a_sandbox_nothing_falls_due(closed_node: Node) -> None:
    order(closed_node, ordered())
    for name in DATASETS:
        at: dict[str, Any] = {"happened_at": START, "recorded_at": START, "by": "a", "by_party": SANDBOX}
        told: Fact = DatasetOwnerSet(**at, dataset=name, document_no="1", owner=SANDBOX)
        closed_node.decide("commerce", f"dataset:{name}", told)
    with books(closed_node) as made, made.connect() as connection:
        assert standing.fall_due(connection, made.writer, MONTH, at=NOW) == 0
