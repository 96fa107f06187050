"""What items brought in against what they cost: `GET /v1/fees/cost-recovery`, for finance and the operator.

Revenue is what statements say of the month (billing/metering.py); the cost is the unit cost that was declared with the
tariff, times all units that were rendered, free ones too. In a cost-recovery node (KOUAN_REGIME) a surplus raises an
alarm, for such fees may come to no more than the cost. Months are those of Asia/Shanghai, money fen.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from api.bookkeepers import bookkeepers
from api.pool import Pool
from api.settings import Settings
from billing import metering
from billing.metering import Asked, UsageLine
from domain import period
from domain.catalogue import CURRENCY, Price
from projections import catalogue

log = logging.getLogger("kouan.surplus")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An item's month. `cost_minor` is None where some of it was sold without a declared cost."""

    item: str
    quantity: int
    revenue_minor: int
    cost_minor: int | None
    surplus_minor: int | None  # below zero: a loss
    review_due: bool  # the day is over by which the price was to be reviewed
    alarm: bool  # a surplus where there may be none


class CostRecovery(msgspec.Struct, frozen=True, kw_only=True):
    """A month. `position`: the newest entry of the commerce journal that is counted."""

    month: str
    regime: str
    currency: str = CURRENCY
    items: list[Account]
    revenue_minor: int
    cost_minor: int
    alarm: bool
    position: int


def balance(
    lines: Iterable[UsageLine], prices: Sequence[Price], *, regime: str, month: str, now: datetime, position: int = 0
) -> CostRecovery:
    """Revenue against cost, by item. Pure."""
    by_version = {(price.item, price.version): price for price in prices}
    ordered = sorted(lines, key=lambda line: line.item)
    items = [
        _account(item, list(own), by_version, regime, now) for item, own in groupby(ordered, key=lambda line: line.item)
    ]
    return CostRecovery(
        month=month,
        regime=regime,
        items=items,
        revenue_minor=sum(each.revenue_minor for each in items),
        cost_minor=sum(each.cost_minor or 0 for each in items),
        alarm=any(each.alarm for each in items),
        position=position,
    )


def _account(
    item: str, lines: Sequence[UsageLine], prices: dict[tuple[str, str], Price], regime: str, now: datetime
) -> Account:
    sold = [
        (line, prices.get((line.item, line.tariff or ""))) for line in lines
    ]  # none: the catalogue lags behind usage
    revenue = sum(line.amount_minor for line in lines)
    costs = [line.quantity * price.cost.unit_minor if price and price.cost else None for line, price in sold]
    known = [cost for cost in costs if cost is not None]
    cost = sum(known) if len(known) == len(costs) else None
    surplus = None if cost is None else revenue - cost
    return Account(
        item=item,
        quantity=sum(line.quantity for line in lines),
        revenue_minor=revenue,
        cost_minor=cost,
        surplus_minor=surplus,
        review_due=any(price and price.review_by and price.review_by < now for _, price in sold),
        alarm=regime == "cost_recovery" and (revenue if surplus is None else surplus) > 0,
    )


def report(pool: Pool, regime: str, month: str, now: datetime) -> CostRecovery:
    """The month, from usage as it is now. A surplus where there may be none is logged as an error."""
    with pool.connection() as connection:
        prices = catalogue.prices(connection)
        used = metering.report(connection, prices, Asked(month=month))
    found = balance(used.lines, prices, regime=regime, month=month, now=now, position=used.position)
    for each in found.items:
        if each.alarm:
            log.error(
                "%s %s: 收入超过成本 %s 分 / revenue exceeds the declared cost by %s fen",
                month,
                each.item,
                each.surplus_minor if each.surplus_minor is not None else "?",
                each.surplus_minor if each.surplus_minor is not None else "?",
            )
    return found


def month_of(text: str, now: datetime) -> str:
    """The month asked for, `2026-10`; this one if none is. Raises what domain/period.py raises."""
    return period.parse(text) if text else period.month_of(now)


@get("/v1/fees/cost-recovery", guards=[bookkeepers("finance", "operator")], tags=["fees"])
async def cost_recovery(
    request: Request[Any, Any, Any],  # noqa: ARG001  the guard asks it
    pool: NamedDependency[Pool],
    settings: NamedDependency[Settings],
    month: FromQuery[str] = "",
) -> CostRecovery:
    """Revenue against declared cost by item in a month (2026-10; this one if none is named)."""
    now = datetime.now(UTC)
    return await asyncio.to_thread(report, pool, settings.fees.regime, month_of(month, now), now)


ROUTES = (cost_recovery,)
