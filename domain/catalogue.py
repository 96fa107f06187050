"""The service catalogue and its tariffs: what is listed, and which price was published when.

Streams: `item:CODE` and `tariff:ITEM`. A government item can have no tariff: `publish` refuses it, and the table that
holds the prices refuses it again (projections/catalogue.py). A price takes effect only after the notice; one that is
higher than what it replaces never for what was used before. Money is integer minor units with an ISO 4217 code. Times
are UTC.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from domain import fact, pricing
from domain.delivery import ItemClass
from domain.errors import Refused
from domain.fact import Fact
from domain.pricing import Cost, Pricing

Group = Literal["clearance", "logistics", "commerce"]
GROUPS: dict[Group, tuple[str, str]] = {
    "clearance": ("通关类", "clearance"),
    "logistics": ("物流类", "logistics"),
    "commerce": ("商务类", "commerce"),
}
Regime = Literal["market", "cost_recovery"]
Limit = Literal["soft", "hard"]
OPERATOR = "KOUAN"
"""The owner of the items that a node begins with, until its operator is registered."""

# --- facts ---


class ItemListed(Fact, frozen=True, kw_only=True, tag="catalogue.item_listed"):
    item: str
    item_class: ItemClass
    zh: str
    en: str
    unit_zh: str
    unit_en: str
    free_alternative: str = ""  # the item that gives the same free of charge; every commercial item names one
    group: Group = "logistics"
    owner: str = OPERATOR  # party that answers for it
    provider: str = ""  # a third party that renders it, named wherever it is offered; "": the node itself
    basis_zh: str = ""  # legal basis
    basis_en: str = ""
    content_zh: str = ""  # what one gets
    content_en: str = ""
    limit: Limit = "soft"  # at the end of what is included or ordered: hard stops, soft goes on and is paid
    open: bool = False  # may be used without a subscription, up to what is included


class ItemWithdrawn(Fact, frozen=True, kw_only=True, tag="catalogue.item_withdrawn"):
    """It is offered no longer; what was used stays on the books."""

    item: str
    by: str
    reason: str


class TariffPublished(Fact, frozen=True, kw_only=True, tag="catalogue.tariff_published"):
    item: str
    version: str
    price_minor: int  # for one unit; of another rule the price that is shown first
    currency: str  # ISO 4217
    effective_from: datetime
    basis: str  # legal basis and cost basis, as published
    pricing: Pricing | None = None  # None: so much for each unit
    cost: Cost | None = None
    review_by: datetime | None = None
    by: str = ""  # account


class TariffWithdrawn(Fact, frozen=True, kw_only=True, tag="catalogue.tariff_withdrawn"):
    """A price that has not taken effect yet never will; one that has ends, and the item is not sold from then on."""

    item: str
    version: str
    effective_from: datetime
    by: str
    reason: str


# --- state ---


class Price(msgspec.Struct, frozen=True):
    """A published price of a commercial item."""

    item: str
    version: str
    price_minor: int  # for one unit
    currency: str
    effective_from: datetime
    basis: str = ""
    pricing: Pricing | None = None
    published_at: datetime | None = None
    review_by: datetime | None = None
    cost: Cost | None = None
    withdrawn_from: datetime | None = None

    @property
    def rule(self) -> Pricing:
        return self.pricing or Pricing(price_minor=self.price_minor)


class Item(msgspec.Struct, frozen=True):
    code: str
    item_class: ItemClass | None = None
    prices: tuple[Price, ...] = ()
    withdrawn: bool = False


def evolve(item: Item, happened: Fact) -> Item:
    """The item after one more fact. Never fails."""
    match happened:
        case ItemListed(item_class=item_class):
            return msgspec.structs.replace(item, item_class=item_class)
        case ItemWithdrawn():
            return msgspec.structs.replace(item, withdrawn=True)
        case TariffPublished():
            return msgspec.structs.replace(item, prices=(*item.prices, price_of(happened)))
        case TariffWithdrawn():
            return msgspec.structs.replace(item, prices=withdrawn(item.prices, happened))
        case _:
            raise AssertionError(happened)


def price_of(told: TariffPublished) -> Price:
    return Price(
        item=told.item,
        version=told.version,
        price_minor=told.price_minor,
        currency=told.currency,
        effective_from=told.effective_from,
        basis=told.basis,
        pricing=told.pricing,
        published_at=told.happened_at,
        review_by=told.review_by,
        cost=told.cost,
    )


def withdrawn(prices: Sequence[Price], told: TariffWithdrawn) -> tuple[Price, ...]:
    return tuple(
        msgspec.structs.replace(price, withdrawn_from=told.effective_from) if price.version == told.version else price
        for price in prices
    )


def in_force(prices: Sequence[Price], item: str, at: datetime) -> Price | None:
    """The price of a commercial item at a moment; None if none was in force, and for government items always."""
    valid = [
        price
        for price in prices
        if price.item == item
        and price.effective_from <= at
        and (price.withdrawn_from is None or price.withdrawn_from > price.effective_from)
    ]
    latest = max(valid, key=lambda price: price.effective_from, default=None)
    over = latest is not None and latest.withdrawn_from is not None and latest.withdrawn_from <= at
    return None if over else latest


# --- decisions: no facts back = nothing new ---


class Rules(msgspec.Struct, frozen=True):
    """What a node asks of a price (KOUAN_REGIME, KOUAN_NOTICE_DAYS)."""

    regime: Regime = "market"
    notice: timedelta = timedelta()


def list_item(item: Item, listing: ItemListed) -> tuple[Fact, ...]:
    """Put an item into the catalogue. Raises Refused if a commercial item names no free alternative."""
    if item.item_class is not None:
        return ()
    if listing.item_class == "commercial" and not listing.free_alternative:
        raise Refused(
            f"{listing.item} 为经营服务，须列明免费替代 / {listing.item} is commercial: name the free alternative"
            " that stands beside it",
            item=listing.item,
        )
    return (listing,)


def publish(item: Item, tariff: TariffPublished, rules: Rules = Rules()) -> tuple[Fact, ...]:  # noqa: B008  frozen
    """Publish a price.

    Raises Refused for a government item, a rule that cannot be calculated, a price that takes effect without notice,
    and in a cost-recovery node for one without its statement of costs or above them.
    """
    if any(price.version == tariff.version for price in item.prices):
        return ()
    if item.item_class != "commercial":
        raise Refused(
            f"{tariff.item} 不是经营服务，没有价格 / {tariff.item} is not a commercial service item: it has no price",
            item=tariff.item,
        )
    if tariff.price_minor < 0:
        raise Refused(f"The price of {tariff.item} is below zero: {tariff.price_minor}")
    rule = pricing.check(tariff.pricing or Pricing(price_minor=tariff.price_minor))
    earliest = tariff.happened_at + rules.notice
    if tariff.effective_from < earliest:
        raise Refused(
            f"价格须公示 {rules.notice.days} 天后生效，最早 {earliest.isoformat()} / a tariff cannot take effect before"
            f" it has been published for {rules.notice.days} days: {earliest.isoformat()} at the earliest",
            earliest=earliest.isoformat(),
            effective_from=tariff.effective_from.isoformat(),
        )
    if rules.regime == "cost_recovery":
        _check_cost(tariff, rule)
    return (tariff,)


def _check_cost(tariff: TariffPublished, rule: Pricing) -> None:
    if tariff.cost is None or not tariff.cost.document_no:
        raise Refused("成本补偿制下定价须附成本说明 / a cost-recovery node states the costs of a price", field="cost")
    if tariff.review_by is None or tariff.review_by <= tariff.effective_from:
        raise Refused("须定复审日期 / name the day by which the price is reviewed", field="review_by")
    dearest = max([tier.price_minor for tier in rule.tiers], default=rule.price_minor)
    if rule.model in {"unit", "graduated", "volume"} and dearest > tariff.cost.unit_minor:
        raise Refused(
            f"单价 {dearest} 分高于成本 {tariff.cost.unit_minor} 分 / the price, {dearest} fen, is above"
            f" the stated cost, {tariff.cost.unit_minor}",
            price=dearest,
            cost=tariff.cost.unit_minor,
        )


fact.register(ItemListed, ItemWithdrawn, TariffPublished, TariffWithdrawn)
