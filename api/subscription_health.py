"""Whether all is well with a subscription: what is left of the month, and how its endpoints are. Times are UTC."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.entitlement import Entitlements
from api.govern.acts import AnyRequest, Desk
from api.identity import Account
from api.pool import Pool
from api.push import desk as endpoints
from api.push.asking import prover
from api.push.health import Health, health
from api.push.proving import Asked
from api.quota import marked
from api.settings import Settings
from api.subscribe import PEOPLE, TAGS, current, known
from domain import subscription
from domain.subscription import Subscription

LAST_DELIVERY = """
SELECT max(occurred_at) FROM usage_entries
WHERE item = ANY(%s) AND result IN ('ok', 'sent') AND holder = %s AND party = %s
"""
"""As far as the usage model has come."""


class ItemStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One item of it. Units are those of this month, of all its holder's subscriptions together."""

    item: str
    zh: str
    en: str
    unit_zh: str
    unit_en: str
    tariff_agreed: str  # price version when it was ordered
    tariff: str  # in force now; "" if none is
    price_minor: int | None
    currency: str
    limit: int | None  # null: no end
    used: int  # handed out to the processes that deliver: what lies in them counts until it comes back
    remaining: int | None
    warning: int  # 0, 80, 100 per cent
    free_alternative: str


class SubscriptionHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Whether all is well with it."""

    id: str
    state: str
    items: list[ItemStanding]
    delivered_at: datetime | None  # the last time that anything was handed over, as far as usage is counted
    endpoints: list[Health]  # of its holder, that its items are pushed to


class Tested(msgspec.Struct, frozen=True):
    endpoint: UUID
    result: Asked


@get("/v1/subscriptions/{order:str}/health", guards=[PEOPLE], tags=TAGS)
async def subscription_health(
    request: AnyRequest,
    order: FromPath[str],
    desk: NamedDependency[Desk],
    entitlements: NamedDependency[Entitlements],
    pool: NamedDependency[Pool],
) -> SubscriptionHealth:
    """What is left of the month, when something was delivered last, and how its endpoints are."""
    account = await current(request, desk, entitlements)
    found = known(entitlements, account, desk, order)
    return await asyncio.to_thread(healthy, pool, entitlements, account, found, datetime.now(UTC))


def healthy(
    pool: Pool, entitlements: Entitlements, account: Account, found: Subscription, now: datetime
) -> SubscriptionHealth:
    assert found.made is not None
    made = found.made
    items = [standing for item in made.items if (standing := _standing(entitlements, found, item, now)) is not None]
    values = (list(made.items), made.party or made.account, made.party)
    with pool.connection() as connection:
        last = connection.execute(LAST_DELIVERY, values).fetchone()
        mine = [each.id for each in endpoints.mine(connection, account, now) if each.item in made.items]
        at = last[0] if last else None
        return SubscriptionHealth(
            id=found.id, state=found.status(now), items=items, delivered_at=at, endpoints=health(connection, mine)
        )


def _standing(entitlements: Entitlements, found: Subscription, item: str, now: datetime) -> ItemStanding | None:
    """None where the catalogue has forgotten the item."""
    assert found.made is not None
    listed = entitlements.listed(item)
    if listed is None:
        return None
    limit, used = entitlements.remaining(found.made.account, found.made.party, item, now)
    price = entitlements.price(item, now)
    return ItemStanding(
        item=item,
        zh=listed.zh,
        en=listed.en,
        unit_zh=listed.unit_zh,
        unit_en=listed.unit_en,
        tariff_agreed=found.made.tariffs.get(item, ""),
        tariff=price.version if price else "",
        price_minor=price.price_minor if price else None,
        currency=price.currency if price else "CNY",
        limit=limit,
        used=used,
        remaining=None if limit is None else max(0, limit - used),
        warning=marked(used, limit),
        free_alternative=listed.free_alternative,
    )


@post("/v1/subscriptions/{order:str}/test", guards=[PEOPLE], tags=TAGS, opt={"cost": 20}, status_code=200)
async def test(
    request: AnyRequest,
    order: FromPath[str],
    *,
    desk: NamedDependency[Desk],
    entitlements: NamedDependency[Entitlements],
    pool: NamedDependency[Pool],
    settings: NamedDependency[Settings],
) -> list[Tested]:
    """Send a sample to each endpoint that its items are pushed to. Free."""
    account, now = await current(request, desk, entitlements), datetime.now(UTC)
    found = known(entitlements, account, desk, order)
    items = found.made.items if found.made is not None else ()

    def mine() -> list[endpoints.Kept]:
        with pool.connection() as connection:
            return [each for each in endpoints.mine(connection, account, now) if each.item in items]

    kept = await asyncio.to_thread(mine)
    await desk.trail.tell("subscription.tested", subscription.stream(found.id), account=account)
    async with prover(pool, request.app.state.vault, settings) as asking:
        return [Tested(each.id, await asking.test(each, now)) for each in kept]


ROUTES = (subscription_health, test)
