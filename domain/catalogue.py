"""The service catalogue and its tariffs: what is listed, and which price was published when.

Stream: `item:CODE`, the item with all its prices. A government item can have no price: `publish` refuses it, and the
database refuses it again (domain/migrations/0015_tariffs.sql). A first price and a higher one take effect after the
notice, a lower one at once, none for what was used before; a flat price, or one in place of it, with the beginning of a
month in Asia/Shanghai, or a month would be paid twice. Money is integer minor units with an ISO 4217 code. Times are
UTC.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from domain import fact, period, pricing
from domain.delivery import ItemClass
from domain.errors import Malformed, Refused, Unknown
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
CURRENCY = "CNY"
CODE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*(\.[a-z0-9]+(_[a-z0-9]+)*){1,3}")
CODE_CHARS_MAX, TEXT_CHARS_MAX = 60, 1_000
CHINA = ZoneInfo("Asia/Shanghai")


class NotOffered(Refused):
    """A commercial item without a price in force: nobody may use it, for nobody could be told what it costs."""

    slug = "not-offered"
    title = "This service is not offered at present"


# --- facts ---


class Listing(Fact, frozen=True, kw_only=True):
    """What is said of a service item where it is offered."""

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


class ItemListed(Listing, frozen=True, kw_only=True, tag="catalogue.item_listed"):
    """It is offered; told again when it was withdrawn, or when it is described in other words."""

    by: str = ""  # account; "": the node itself


class ItemProposed(Listing, frozen=True, kw_only=True, tag="catalogue.item_proposed"):
    """A third party offers to render it; nobody can use it before the operator has listed it."""

    by: str


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
    item_class: ItemClass | None = None  # None: not listed
    prices: tuple[Price, ...] = ()  # in the order of their publication
    withdrawn: bool = False
    listed: ItemListed | None = None
    proposed: ItemProposed | None = None  # and not listed since


def stream(item: str) -> str:
    return f"item:{item}"


def evolve(item: Item, happened: Fact) -> Item:
    """The item after one more fact. Never fails."""
    replace = msgspec.structs.replace
    match happened:
        case ItemListed(item_class=item_class):
            return replace(item, item_class=item_class, listed=happened, proposed=None, withdrawn=False)
        case ItemProposed():
            return replace(item, proposed=happened)
        case ItemWithdrawn():
            return replace(item, withdrawn=True, proposed=None)
        case TariffPublished():
            return replace(item, prices=(*item.prices, price_of(happened)))
        case TariffWithdrawn():
            return replace(item, prices=withdrawn(item.prices, happened))
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


def valid(price: Price) -> bool:
    """Whether it takes, took or has effect at all: it was not withdrawn before."""
    return price.withdrawn_from is None or price.withdrawn_from > price.effective_from


def in_force(prices: Sequence[Price], item: str, at: datetime) -> Price | None:
    """The price of a commercial item at a moment; None if none was in force, and for government items always.

    `prices` in the order of their publication: of two for the same moment the later one counts.
    """
    begun = [price for price in prices if price.item == item and price.effective_from <= at and valid(price)]
    latest = max(reversed(begun), key=lambda price: price.effective_from, default=None)
    over = latest is not None and latest.withdrawn_from is not None and latest.withdrawn_from <= at
    return None if over else latest


# --- decisions: no facts back = nothing new ---


class Rules(msgspec.Struct, frozen=True):
    """What a node asks of a price (KOUAN_REGIME, KOUAN_NOTICE_DAYS)."""

    regime: Regime = "market"
    notice: timedelta = timedelta()  # between publication and effect of a first or a higher price
    lead: timedelta = timedelta()  # of any price: until every process has read it


def list_item(item: Item, listing: ItemListed) -> tuple[Fact, ...]:
    """Put an item into the catalogue; nothing if it was there before. Raises Refused as `describe`."""
    return () if item.item_class is not None else describe(item, listing)


def describe(item: Item, listing: ItemListed) -> tuple[Fact, ...]:
    """The same, but another description takes the place of the one before, and what was withdrawn comes back.

    Raises Refused if a commercial item names no free alternative, or the class would change.
    """
    if item.listed is not None and not item.withdrawn and _said(item.listed) == _said(listing):
        return ()
    if item.item_class not in {None, listing.item_class}:
        raise Refused(f"{listing.item} 的类别不可更改 / the class of {listing.item} stands for ever", item=listing.item)
    if listing.item_class == "commercial" and not listing.free_alternative:
        raise Refused(
            f"{listing.item} 为经营服务，须列明免费替代 / {listing.item} is commercial: name the free alternative"
            " that stands beside it",
            item=listing.item,
        )
    return (listing,)


def _said(listing: Listing) -> dict[str, Any]:
    told = msgspec.structs.asdict(listing)
    return {name: value for name, value in told.items() if name not in {"happened_at", "recorded_at", "by"}}


def propose(item: Item, proposal: ItemProposed) -> tuple[Fact, ...]:
    """A third party proposes an item of its own. Raises Refused if it is listed, or names no free alternative."""
    if item.proposed is not None and _said(item.proposed) == _said(proposal):
        return ()
    if item.item_class is not None:
        raise Refused(f"{proposal.item} 已列入过目录 / {proposal.item} is in the catalogue", item=proposal.item)
    if not proposal.free_alternative:
        raise Refused(
            f"{proposal.item} 须列明免费替代 / {proposal.item}: name the free alternative", item=proposal.item
        )
    return (proposal,)


def accept(item: Item, *, by: str, at: datetime) -> tuple[Fact, ...]:
    """The operator lists what was proposed. Raises Unknown if nothing was."""
    if item.proposed is None:
        if item.item_class is not None and not item.withdrawn:
            return ()
        raise Unknown(f"{item.code} 无人提出 / nobody has proposed {item.code}", item=item.code)
    said = msgspec.structs.asdict(item.proposed) | {"happened_at": at, "recorded_at": at, "by": by}
    return describe(item, ItemListed(**said))


def withdraw_item(item: Item, *, by: str, reason: str, at: datetime) -> tuple[Fact, ...]:
    """Offer it no longer: its prices end with it. A proposal is turned down. Raises Unknown."""
    if item.item_class is None and item.proposed is None:
        raise Unknown(f"没有服务项目 {item.code} / there is no service item {item.code}", item=item.code)
    if item.withdrawn and item.proposed is None:
        return ()
    about: dict[str, Any] = {"happened_at": at, "recorded_at": at, "item": item.code, "by": by, "reason": reason}
    live = [
        price for price in item.prices if valid(price) and (price.withdrawn_from is None or price.withdrawn_from > at)
    ]
    ended = [
        TariffWithdrawn(**about, version=price.version, effective_from=max(at, price.effective_from)) for price in live
    ]
    return (*ended, ItemWithdrawn(**about))


def withdraw_tariff(item: Item, *, version: str, by: str, reason: str, at: datetime) -> tuple[Fact, ...]:
    """Take a price back: before it took effect it never will; one in force ends now. Raises Unknown."""
    price = next((price for price in item.prices if price.version == version), None)
    if price is None:
        raise Unknown(f"没有价目 {version[:80]} / there is no tariff {version[:80]}", item=item.code, version=version)
    if price.withdrawn_from is not None:
        return ()
    ends = max(at, price.effective_from)
    about: dict[str, Any] = {"happened_at": at, "recorded_at": at, "item": item.code, "by": by, "reason": reason}
    return (TariffWithdrawn(**about, version=version, effective_from=ends),)


def new_version(item: Item, effective_from: datetime) -> str:
    """A name for the next price: the item, the day it takes effect, and a number if there is one for that day."""
    name = f"{item.code}/{effective_from.astimezone(CHINA):%Y-%m-%d}"
    had = {price.version for price in item.prices}
    return next(each for n in range(1, len(had) + 2) if (each := name if n == 1 else f"{name}.{n}") not in had)


def earliest(item: Item, rule: Pricing, wanted: datetime | None, at: datetime, rules: Rules) -> datetime:
    """From when a price published at a moment may be in force, where it is wanted from a moment on, or soon."""
    soon = at + rules.lead
    replaced = in_force(item.prices, item.code, soon if wanted is None else wanted)
    if replaced is None or not pricing.no_dearer(rule, replaced.rule):
        soon = at + max(rules.notice, rules.lead)
    return period.begun(soon) if _monthly(rule, replaced) else soon


def _monthly(rule: Pricing, replaced: Price | None) -> bool:
    return rule.model == "flat" or (replaced is not None and replaced.rule.model == "flat")


def publish(item: Item, tariff: TariffPublished, rules: Rules = Rules()) -> tuple[Fact, ...]:  # noqa: B008  frozen
    """Publish a price.

    Raises Refused for a government item, a rule that cannot be calculated, a price that takes effect without notice,
    and in a cost-recovery node for one without its statement of costs or above them.
    """
    if any(price.version == tariff.version for price in item.prices):
        return ()
    if item.item_class != "commercial" or item.withdrawn:
        raise Refused(
            f"{tariff.item} 不是在列的经营服务，没有价格 / {tariff.item} is not a commercial service item in the"
            " catalogue: it has no price",
            item=tariff.item,
        )
    if tariff.currency != CURRENCY:
        raise Refused(f"价格以 {CURRENCY} 计 / prices are in {CURRENCY}", currency=tariff.currency)
    if tariff.price_minor < 0:
        raise Refused(f"The price of {tariff.item} is below zero: {tariff.price_minor}")
    rule = pricing.check(tariff.pricing or Pricing(price_minor=tariff.price_minor))
    _check_notice(item, tariff, rule, rules)
    if rules.regime == "cost_recovery":
        _check_cost(tariff, rule)
    return (tariff,)


def _check_notice(item: Item, tariff: TariffPublished, rule: Pricing, rules: Rules) -> None:
    first = earliest(item, rule, tariff.effective_from, tariff.happened_at, rules)
    replaced = in_force(item.prices, item.code, tariff.effective_from)
    if _monthly(rule, replaced) and tariff.effective_from != period.begun(tariff.effective_from):
        raise Refused(
            f"包月价格须自月初（上海）起施行，最早 {first.isoformat()} / a flat price, and one in place of it, begins"
            f" with a month in Asia/Shanghai: at {first.isoformat()} at the earliest",
            earliest=first.isoformat(),
            effective_from=tariff.effective_from.isoformat(),
        )
    if tariff.effective_from >= first:
        return
    days = (first - tariff.happened_at).days
    raise Refused(
        f"价格不得追溯；首次定价与涨价须公示 {rules.notice.days} 天，本价最早 {first.isoformat()} 生效 / no price is"
        f" retrospective; a first and a higher one are published {rules.notice.days} days before: this one can take"
        f" effect at {first.isoformat()} at the earliest",
        earliest=first.isoformat(),
        effective_from=tariff.effective_from.isoformat(),
        notice_days=days,
    )


def _check_cost(tariff: TariffPublished, rule: Pricing) -> None:
    if tariff.cost is None or not tariff.cost.document_no:
        raise Refused("成本补偿制下定价须附成本说明 / a cost-recovery node states the costs of a price", field="cost")
    if tariff.review_by is None or tariff.review_by <= tariff.effective_from:
        raise Refused("须定复审日期 / name the day by which the price is reviewed", field="review_by")
    dearest = max([tier.price_minor for tier in rule.tiers], default=rule.price_minor)
    covered = tariff.cost.unit_minor * (rule.package if rule.model == "package" else 1)
    if rule.model != "flat" and dearest > covered:  # what a month costs only its usage tells: the surplus report
        raise Refused(
            f"价格 {dearest} 分高于成本 {covered} 分 / the price, {dearest} fen, is above the stated cost, {covered}",
            price=dearest,
            cost=covered,
        )


def code_of(text: str) -> str:
    """A code for an item. Raises Malformed for what is none.

    >>> code_of("feed.pull")
    'feed.pull'
    """
    if not CODE.fullmatch(text) or len(text) > CODE_CHARS_MAX:
        raise Malformed(
            f"{text[:80]!r} 不是项目代码，应为小写字母、数字与点，如 feed.pull / {text[:80]!r} is no code of an item:"
            " lower case, digits and dots, such as feed.pull",
            field="item",
        )
    return text


fact.register(ItemListed, ItemProposed, ItemWithdrawn, TariffPublished, TariffWithdrawn)
