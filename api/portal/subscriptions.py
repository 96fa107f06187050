"""The subscriber's page: what is ordered, how much of the month is used, and how the endpoints fare.

Used are the units that stand in the books of this month (Asia/Shanghai), the same as on the usage page; the number of
an item is that of the whole party. Times are UTC.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException

from api import settle
from api.entitlement import Entitlements
from api.identity import Account
from api.pool import Pool
from api.portal.pages import AnyRequest, Offer, gate, offers, on_error, page
from api.push import desk, health
from api.push.health import Health
from api.quota import marked
from api.way_out import WayOut
from api.words import Pair
from billing.metering import Asked, UsageReport
from domain import period
from domain.errors import KouanError
from domain.subscription import STATES, Subscription, holder
from projections.usage import Whose

PATH = "/subscriptions"
LOG_SHOWN = 5
ENDPOINTS: dict[str, tuple[str, Pair]] = {
    "unverified": ("warn", ("未验证", "Not verified")),
    "active": ("good", ("正常", "Active")),
    "paused": ("warn", ("已暂停", "Paused")),
    "disabled": ("bad", ("已停用", "Disabled")),
}
"""State -> tone, name."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a subscription. `mark`: 80 or 100 where so many per cent are used, else 0."""

    offer: Offer | None  # None: the catalogue does not list it any more
    item: str
    tariff: str  # agreed when it was ordered
    used: int
    limit: int | None
    hard: bool = False

    @property
    def per_cent(self) -> int:
        return min(100, self.used * 100 // self.limit) if self.limit else 0

    @property
    def mark(self) -> int:
        return marked(self.used, self.limit)


class Card(msgspec.Struct, frozen=True):
    """One subscription as it stands."""

    id: str
    state: str
    name: Pair
    since: datetime
    until: datetime | None
    lines: Sequence[Line]


def used(report: UsageReport) -> dict[str, int]:
    """Chargeable units by item."""
    told: dict[str, int] = {}
    for row in report.rows:
        if row.tariff is not None:
            told[row.item] = told.get(row.item, 0) + row.quantity
    return told


def cards(
    held: Sequence[Subscription],
    listed: Mapping[str, Offer],
    report: UsageReport,
    limits: Mapping[str, int | None],
    now: datetime,
) -> list[Card]:
    """What stands first, then what is over; the newest first."""
    spent = used(report)
    made = []
    for each in held:
        if each.made is None:
            continue
        lines = [_line(each, item, listed.get(item), spent.get(item, 0), limits.get(item)) for item in each.made.items]
        state = each.status(now)
        made.append(Card(each.id, state, STATES[state], each.made.valid_from, each.ends_at, lines))
    over = {"cancelled", "ended"}
    return sorted(made, key=lambda card: (card.state not in over, card.since), reverse=True)


def _line(held: Subscription, item: str, offer: Offer | None, spent: int, limit: int | None) -> Line:
    assert held.made is not None
    hard = offer is not None and offer.item.limit == "hard"
    return Line(offer=offer, item=item, tariff=held.made.tariffs.get(item, ""), used=spent, limit=limit, hard=hard)


class Found(msgspec.Struct, frozen=True):
    """All that the page shows."""

    cards: list[Card]
    others: list[Offer]  # on sale, and in none of them
    endpoints: list[Health]
    report: UsageReport


def read(pool: Pool, entitlements: Entitlements, account: Account, now: datetime) -> Found:
    """For the holder that this account belongs to. In a thread."""
    entitlements.refresh()
    whose = Whose(holder=account.party or account.account, is_party=bool(account.party))
    report = settle.report(pool, Asked(whose=whose, month=period.month_of(now), by="item"))
    listed = {offer.item.item: offer for offer in offers(pool, now)}
    held = entitlements.subscriptions.of(holder(account.account, account.party))
    items = {item for each in held if each.made is not None for item in each.made.items}
    limits = {item: entitlements.remaining(account.account, account.party, item, now)[0] for item in sorted(items)}
    live = {item for each in held if each.made and each.status(now) in {"active", "trial"} for item in each.made.items}
    others = [
        offer
        for name, offer in listed.items()
        if offer.item.item_class == "commercial" and offer.price and name not in live
    ]
    with pool.connection() as connection:
        own = [each.id for each in desk.mine(connection, account, now)]
        endpoints = health.health(connection, own)
    return Found(cards(held, listed, report, limits, now), others, endpoints, report)


@get(PATH)
async def mine(request: AnyRequest, pool: NamedDependency[Pool], way_out: NamedDependency[WayOut]) -> Response[str]:
    """One's own subscriptions; whoever is not signed in is asked to."""
    account: Account | None = request.user
    if account is None:
        return gate(request, PATH)
    now = datetime.now(UTC)
    found = await asyncio.to_thread(read, pool, way_out.entitlements, account, now)
    return page(request, "subscriptions.html", **context(found, now))


def context(found: Found, now: datetime) -> dict[str, Any]:
    """What the template is given."""
    return {
        "cards": found.cards,
        "others": found.others,
        "endpoints": found.endpoints,
        "report": found.report,
        "states": ENDPOINTS,
        "shown": LOG_SHOWN,
        "month": period.month_of(now),
    }


ROUTES = [
    Router(
        path="/",
        route_handlers=[mine],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
