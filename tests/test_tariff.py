"""The catalogue: items listed, proposed and withdrawn; prices published with notice, never for the past."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import psycopg
import pytest

from billing import tariff
from domain import catalogue
from domain.catalogue import Item, ItemListed, ItemProposed, Rules, TariffPublished, in_force
from domain.errors import Malformed, Refused, Unknown
from domain.fact import Fact
from domain.journal import Journal
from domain.pricing import Cost, Pricing, Tier
from projections import catalogue as read_model
from projections import runner
from tests.fixtures_node import Node

NOW = datetime(2026, 3, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
NOTICE = Rules(notice=30 * DAY, lead=timedelta(minutes=1))
STRICT = Rules(regime="cost_recovery", notice=30 * DAY)
PAID = ItemListed(
    happened_at=NOW - 90 * DAY,
    recorded_at=NOW,
    item="port.weather",
    item_class="commercial",
    zh="港区气象",
    en="Weather",
    unit_zh="次",
    unit_en="query",
    free_alternative="track.query",
)
FREE = ItemListed(**{**{name: getattr(PAID, name) for name in PAID.__struct_fields__}, "item_class": "government"})


def price(fen: int, begins: datetime, *, said: datetime = NOW, version: str = "", **more: Any) -> TariffPublished:
    version = version or f"port.weather/{begins:%Y-%m-%d}"
    about: dict[str, Any] = {"happened_at": said, "recorded_at": said, "item": "port.weather", "currency": "CNY"}
    rule = more.pop("pricing", None) or Pricing(price_minor=fen)
    return TariffPublished(
        **about, version=version, price_minor=fen, effective_from=begins, basis="价目 / tariff", pricing=rule, **more
    )


def told(*facts: Fact) -> Item:
    return reduce(catalogue.evolve, facts, Item("port.weather"))


SOLD = told(PAID, price(5, NOW - 60 * DAY, said=NOW - 90 * DAY))


# --- notice ---


def test_a_first_price_waits_for_the_notice() -> None:
    item = told(PAID)
    with pytest.raises(Refused) as refused:
        catalogue.publish(item, price(5, NOW + 29 * DAY), NOTICE)
    assert refused.value.facts["earliest"] == (NOW + 30 * DAY).isoformat()
    assert len(catalogue.publish(item, price(5, NOW + 30 * DAY), NOTICE)) == 1


def test_a_higher_price_waits_and_a_lower_one_need_not() -> None:
    with pytest.raises(Refused):
        catalogue.publish(SOLD, price(6, NOW + DAY), NOTICE)
    assert len(catalogue.publish(SOLD, price(6, NOW + 30 * DAY), NOTICE)) == 1
    assert len(catalogue.publish(SOLD, price(4, NOW + timedelta(minutes=1)), NOTICE)) == 1


@pytest.mark.parametrize("fen", [4, 6])
def test_no_price_is_for_what_was_used_before(fen: int) -> None:
    for rules in (Rules(), NOTICE):
        with pytest.raises(Refused):
            catalogue.publish(SOLD, price(fen, NOW - timedelta(seconds=1)), rules)


def test_a_price_lower_than_the_announced_one_but_higher_than_the_one_before_it_waits_too() -> None:
    item = catalogue.evolve(SOLD, price(9, NOW + 40 * DAY))
    with pytest.raises(Refused):
        catalogue.publish(item, price(8, NOW + 10 * DAY), NOTICE)
    assert catalogue.publish(item, price(8, NOW + 40 * DAY, version="later"), NOTICE)


def test_taking_back_a_reduction_that_was_in_force_does_not_bring_the_higher_price_back() -> None:
    item = told(PAID, price(5, NOW - 60 * DAY, said=NOW - 90 * DAY), price(2, NOW - DAY, said=NOW - DAY))
    version = item.prices[-1].version
    facts = catalogue.withdraw_tariff(item, version=version, by="o", reason="r", at=NOW)
    after = reduce(catalogue.evolve, facts, item)
    before = in_force(after.prices, item.code, NOW - timedelta(hours=1))
    assert before is not None
    assert (before.price_minor, before.withdrawn_from) == (2, NOW)
    assert in_force(after.prices, item.code, NOW) is None


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def test_an_announced_price_that_is_taken_back_leaves_the_one_in_force() -> None:
    item = catalogue.evolve(SOLD, price(9, NOW + 40 * DAY))
    facts = catalogue.withdraw_tariff(item, version=item.prices[-1].version, by="o", reason="r", at=NOW)
    after = reduce(catalogue.evolve, facts, item)
    found = in_force(after.prices, item.code, NOW + 50 * DAY)
    assert found is not None
    assert found.price_minor == 5
    assert catalogue.withdraw_tariff(after, version=item.prices[-1].version, by="o", reason="r", at=NOW) == ()
    with pytest.raises(Unknown):
        catalogue.withdraw_tariff(after, version="nothing", by="o", reason="r", at=NOW)


def test_of_two_prices_for_the_same_day_the_later_published_one_counts() -> None:
    begins = NOW + 40 * DAY
    item = told(PAID, price(9, begins, version="b"), price(8, begins, version="a"))
    found = in_force(item.prices, item.code, begins)
    assert found is not None
    assert found.version == "a"


def test_without_a_wish_a_price_takes_effect_as_soon_as_it_may() -> None:
    assert catalogue.earliest(SOLD, Pricing(price_minor=4), None, NOW, NOTICE) == NOW + timedelta(minutes=1)
    assert catalogue.earliest(SOLD, Pricing(price_minor=6), None, NOW, NOTICE) == NOW + 30 * DAY
    assert catalogue.new_version(SOLD, SOLD.prices[0].effective_from) == SOLD.prices[0].version + ".2"


# --- what can have a price ---


def test_a_government_item_has_no_price() -> None:
    with pytest.raises(Refused):
        catalogue.publish(told(FREE), price(5, NOW + 60 * DAY))
    with pytest.raises(Refused):
        catalogue.publish(Item("port.weather"), price(5, NOW + 60 * DAY))


def test_a_cost_recovery_node_states_costs_and_review_and_stays_below() -> None:
    begins, later = NOW + 40 * DAY, NOW + 400 * DAY
    cost = Cost(4, "全成本", "full cost", "苏交 2026-1")
    for wrong in (
        price(4, begins),
        price(4, begins, cost=cost),
        price(4, begins, cost=Cost(4, "全成本", "full cost"), review_by=later),
        price(4, begins, cost=cost, review_by=begins),
        price(5, begins, cost=cost, review_by=later),
        price(3, begins, cost=cost, review_by=later, pricing=Pricing(model="volume", tiers=(Tier(3, 9), Tier(5)))),
        price(41, begins, cost=cost, review_by=later, pricing=Pricing(model="package", price_minor=41, package=10)),
    ):
        with pytest.raises(Refused):
            catalogue.publish(SOLD, wrong, STRICT)
    assert catalogue.publish(SOLD, price(4, begins, cost=cost, review_by=later), STRICT)


def test_prices_are_in_fen_and_a_version_is_published_once() -> None:
    item = catalogue.evolve(SOLD, price(4, NOW + DAY))
    assert catalogue.publish(item, price(4, NOW + DAY)) == ()
    other = TariffPublished(**{**_fields(price(4, NOW + DAY)), "currency": "USD"})
    with pytest.raises(Refused):
        catalogue.publish(SOLD, other)


# --- items ---


def test_a_listed_item_can_be_described_anew_but_not_change_its_class() -> None:
    item = told(PAID)
    assert catalogue.describe(item, PAID) == ()
    assert catalogue.list_item(item, ItemListed(**{**_fields(PAID), "zh": "别的"})) == ()
    assert len(catalogue.describe(item, ItemListed(**{**_fields(PAID), "zh": "别的"}))) == 1
    with pytest.raises(Refused):
        catalogue.describe(item, FREE)
    with pytest.raises(Refused):
        catalogue.describe(Item("x.y"), ItemListed(**{**_fields(PAID), "free_alternative": ""}))


def test_the_prices_of_a_withdrawn_item_end_with_it_and_it_may_come_back() -> None:
    item = catalogue.evolve(SOLD, price(9, NOW + 40 * DAY))
    facts = catalogue.withdraw_item(item, by="o", reason="r", at=NOW)
    after = reduce(catalogue.evolve, facts, item)
    assert [in_force(after.prices, item.code, NOW + days * DAY) for days in (0, 41)] == [None, None]
    assert catalogue.withdraw_item(after, by="o", reason="r", at=NOW) == ()
    with pytest.raises(Refused):
        catalogue.publish(after, price(9, NOW + 99 * DAY, version="x"))
    again = reduce(catalogue.evolve, catalogue.describe(after, PAID), after)
    with pytest.raises(Refused):  # a first price: the notice begins anew
        catalogue.publish(again, price(1, NOW + DAY, version="x"), NOTICE)
    with pytest.raises(Unknown):
        catalogue.withdraw_item(Item("x.y"), by="o", reason="r", at=NOW)


def test_what_a_third_party_proposes_is_nothing_until_the_operator_lists_it() -> None:
    proposal = ItemProposed(**{**_fields(PAID), "by": "them", "owner": "P", "provider": "气象公司"})
    item = reduce(catalogue.evolve, catalogue.propose(Item("port.weather"), proposal), Item("port.weather"))
    assert item.item_class is None
    assert catalogue.propose(item, proposal) == ()
    with pytest.raises(Refused):
        catalogue.publish(item, price(5, NOW + 60 * DAY))
    [listed] = catalogue.accept(item, by="o", at=NOW)
    assert isinstance(listed, ItemListed)
    assert (listed.by, listed.owner, listed.provider, listed.happened_at) == ("o", "P", "气象公司", NOW)
    item = catalogue.evolve(item, listed)
    assert catalogue.accept(item, by="o", at=NOW) == ()
    with pytest.raises(Refused):
        catalogue.propose(item, proposal)
    with pytest.raises(Unknown):
        catalogue.accept(Item("x.y"), by="o", at=NOW)


def test_codes_are_plain() -> None:
    for wrong in ("", "feed", "Feed.pull", "feed..pull", "feed.pull\n", "a." + "b" * 60, "数据.x"):
        with pytest.raises(Malformed):
            catalogue.code_of(wrong)


# --- the database ---


def test_the_journal_itself_takes_no_price_for_a_government_item(node: Node) -> None:
    for item in ("track.query", "never.listed"):
        wrong = TariffPublished(**{**_fields(price(5, NOW)), "item": item})
        with pytest.raises(psycopg.errors.IntegrityError):
            node.decide("commerce", f"item:{item}", wrong)
        assert node.rows("SELECT count(*) FROM commerce_events WHERE originator_id = %s", f"item:{item}") <= [(1,)]


def test_the_journal_itself_takes_no_price_for_the_past_and_no_change_of_class(node: Node) -> None:
    node.decide("commerce", "item:port.weather", PAID)
    with pytest.raises(psycopg.errors.IntegrityError):
        node.decide("commerce", "item:port.weather", price(5, NOW - DAY))
    with pytest.raises(psycopg.errors.IntegrityError):
        node.decide("commerce", "item:port.weather", FREE)


def test_what_was_published_is_kept_for_ever_and_usage_names_nothing_else(node: Node) -> None:
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        for change in (
            "UPDATE published_tariffs SET price_minor = 0",
            "DELETE FROM listed_items",
            "TRUNCATE published_tariffs CASCADE",
        ):
            with pytest.raises(psycopg.errors.RestrictViolation):
                connection.execute(change.encode())
    keys = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'f'"
    assert any("published_tariffs" in definition for (definition,) in node.rows(keys, "usage_entries"))


def test_all_that_is_told_comes_back_from_the_read_model_whatever_is_rebuilt(node: Node) -> None:
    full = price(
        3,
        NOW + 40 * DAY,
        pricing=Pricing(model="graduated", tiers=(Tier(3, 10), Tier(2)), included=5, cap_minor=900),
        cost=Cost(4, "全成本", "full cost", "苏交 2026-1"),
        review_by=NOW + 400 * DAY,
    )
    taken = catalogue.withdraw_tariff(told(PAID, full), version=full.version, by="o", reason="r", at=NOW)
    node.decide("commerce", "item:port.weather", PAID, price(5, NOW), full, *taken)
    before = _read(node)
    model = runner.model(read_model)
    with (
        psycopg.connect(node.conninfo, autocommit=True) as connection,
        Journal("commerce", node.conninfo).opened() as journal,
    ):
        runner.rebuild(connection, journal, model)
    assert _read(node) == before
    items, prices = before
    [item] = [each for each in items if each.item == "port.weather"]
    assert (item.listed_at, item.state, item.free_alternative) == (PAID.happened_at, "listed", "track.query")
    own = [each for each in prices if each.item == "port.weather"]
    assert own[1] == catalogue.withdrawn([catalogue.price_of(full)], taken[0])[0]  # type: ignore[arg-type]
    assert node.rows("SELECT count(*) FROM read_model_dead_letters") == [(0,)]


def _read(node: Node) -> Any:
    with psycopg.connect(node.conninfo) as connection:
        return read_model.items(connection), read_model.prices(connection)


def test_every_commercial_item_of_a_new_node_has_a_price_and_a_free_alternative() -> None:
    free = {each.item for each in tariff.ITEMS if each.item_class == "government"}
    paid = [each for each in tariff.ITEMS if each.item_class == "commercial"]
    assert {each.item for each in tariff.TARIFFS} == {each.item for each in paid}
    assert all(each.free_alternative in free and each.content_zh and each.basis_zh for each in paid)
