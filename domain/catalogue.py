"""The service catalogue and its tariffs: what is listed, and which price was published when.

Streams: `item:CODE` and `tariff:ITEM`. A government item can have no tariff: `publish` refuses it, and the table that
holds the prices refuses it again (projections/catalogue.py). Money is integer minor units with an ISO 4217 code.
Times are UTC.
"""

from datetime import datetime

import msgspec

from domain import fact
from domain.delivery import ItemClass
from domain.errors import Refused
from domain.fact import Fact

# --- facts ---


class ItemListed(Fact, frozen=True, kw_only=True, tag="catalogue.item_listed"):
    item: str
    item_class: ItemClass
    zh: str
    en: str
    unit_zh: str
    unit_en: str
    free_alternative: str = ""  # the item that gives the same free of charge; every commercial item names one


class TariffPublished(Fact, frozen=True, kw_only=True, tag="catalogue.tariff_published"):
    item: str
    version: str
    price_minor: int  # for one unit
    currency: str  # ISO 4217
    effective_from: datetime
    basis: str  # legal basis and cost basis, as published


# --- state ---


class Item(msgspec.Struct, frozen=True):
    code: str
    item_class: ItemClass | None = None
    versions: frozenset[str] = frozenset()


def evolve(item: Item, happened: Fact) -> Item:
    """The item after one more fact. Never fails."""
    match happened:
        case ItemListed(item_class=item_class):
            return msgspec.structs.replace(item, item_class=item_class)
        case TariffPublished(version=version):
            return msgspec.structs.replace(item, versions=item.versions | {version})
        case _:
            raise AssertionError(happened)


class Price(msgspec.Struct, frozen=True):
    """A published price of a commercial item."""

    item: str
    version: str
    price_minor: int  # for one unit
    currency: str
    effective_from: datetime
    basis: str = ""


# --- decisions: no facts back = nothing new ---


def list_item(item: Item, listing: ItemListed) -> tuple[Fact, ...]:
    """Put an item into the catalogue. Raises Refused if a commercial item names no free alternative."""
    if item.item_class is not None:
        return ()
    if listing.item_class == "commercial" and not listing.free_alternative:
        raise Refused(f"{listing.item} is commercial: name the free alternative that stands beside it")
    return (listing,)


def publish(item: Item, tariff: TariffPublished) -> tuple[Fact, ...]:
    """Publish a price. Raises Refused for a government item, a price below zero, or one that applies to the past."""
    if tariff.version in item.versions:
        return ()
    if item.item_class != "commercial":
        raise Refused(f"{tariff.item} is not a commercial service item: it has no price")
    if tariff.price_minor < 0:
        raise Refused(f"The price of {tariff.item} is below zero: {tariff.price_minor}")
    if tariff.effective_from < tariff.happened_at:
        raise Refused(f"Tariff {tariff.version} cannot take effect before it is published")
    return (tariff,)


fact.register(ItemListed, TariffPublished)
