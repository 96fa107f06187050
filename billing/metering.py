"""What a delivery counts for, and what an account used, free beside paid.

One unit of `track.query` is one answer; one unit of `feed.pull` is one fact handed over. Only deliveries that were
made are charged: an empty answer, a denied request and an error cost nothing. Money is integer minor units; the
amount of a row is quantity times the published price, no rounding needed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from domain.catalogue import Price
from domain.delivery import DeliveryMade, Measured
from domain.fact import Fact
from projections import usage

METER = "delivery/1"


def measure(told: Fact) -> Sequence[Measured]:
    """The meter's reading of one fact; nothing for facts that are no delivery."""
    if not isinstance(told, DeliveryMade):
        return ()
    commercial = told.item_class == "commercial"
    quantity = told.count if commercial else 1
    charged = commercial and told.result == "ok" and quantity > 0
    tariff = told.tariff if charged else None
    what = (told.account, told.item, told.item_class, told.result)
    return (Measured(METER, *what, quantity, tariff, told.happened_at),)


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the usage report. A government row has no price: `price_minor` is None and the amount 0."""

    account: str
    item: str
    item_class: str
    deliveries: int
    quantity: int
    tariff: str | None
    price_minor: int | None
    amount_minor: int
    currency: str
    first_at: datetime
    last_at: datetime


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """Free beside paid. `position`: the newest entry of the commerce journal that is counted."""

    rows: list[UsageRow]
    free_quantity: int
    paid_quantity: int
    amount_minor: int
    currency: str
    position: int


def report(
    connection: psycopg.Connection[Any],
    prices: Sequence[Price],
    *,
    account: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> UsageReport:
    """What was used in a half-open period, by account, item and price version; of all accounts if none is named."""
    by_version = {(price.item, price.version): price for price in prices}
    sums = usage.used(connection, account=account, start=start, end=end)
    rows = [_row(used, by_version.get((used.item, used.tariff or ""))) for used in sums]
    return UsageReport(
        rows=rows,
        free_quantity=sum(row.quantity for row in rows if row.item_class == "government"),
        paid_quantity=sum(row.quantity for row in rows if row.tariff is not None),
        amount_minor=sum(row.amount_minor for row in rows),
        currency="CNY",
        position=max((used.position for used in sums), default=0),
    )


def _row(used: usage.Used, price: Price | None) -> UsageRow:
    assert (used.tariff is None) == (price is None), used  # what is charged names a published price
    return UsageRow(
        account=used.account,
        item=used.item,
        item_class=used.item_class,
        deliveries=used.deliveries,
        quantity=used.quantity,
        tariff=used.tariff,
        price_minor=price.price_minor if price else None,
        amount_minor=used.quantity * price.price_minor if price else 0,
        currency=price.currency if price else "CNY",
        first_at=used.first_at,
        last_at=used.last_at,
    )
