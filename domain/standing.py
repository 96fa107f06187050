"""A standing charge: the flat price of a month that fell due though nothing need have been used.

Stream: `standing:SUBSCRIPTION` in the commerce journal. It is told before the month is cut off, as of the month's last
moment, for each flat-priced item of a subscription that was active at some time of it. A trial owes nothing, nor does a
month for which a subscription was suspended in whole. A begun month is paid in whole. How often an item was ordered,
its holder pays one price: that is for rating to say (billing/metering.py). Times are UTC, months those of
Asia/Shanghai.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import reduce
from uuid import UUID

from domain import fact, period, subscription
from domain.catalogue import Price, in_force
from domain.fact import Fact
from domain.subscription import Subscription, SubscriptionResumed, SubscriptionSuspended

MOMENT = timedelta(microseconds=1)
Stretch = tuple[datetime, datetime]
"""Half-open, never empty."""


# --- facts ---


class ChargeFellDue(Fact, frozen=True, kw_only=True, tag="charge.fell_due"):
    """As of the last moment of its month."""

    subscription: str
    account: str  # that ordered it
    party: str  # that holds it; "": the account does
    item: str
    tariff: str  # flat price version
    period: str


def stream(name: str) -> str:
    return f"standing:{name}"


def identity(told: ChargeFellDue) -> UUID:
    """A subscription owes an item once a month, however often that is told."""
    return fact.digest_id("standing", told.subscription, told.item, told.period)


# --- decisions: pure ---


def stretches(told: Sequence[Fact], start: datetime, end: datetime) -> list[Stretch]:
    """When, of [start, end), a subscription was active and paid for. `told`: all its facts, the oldest first."""
    stands = reduce(subscription.evolve, told, Subscription(""))
    if stands.made is None or stands.made.trial_until is not None:
        return []
    first, last = max(start, stands.made.valid_from), min(end, stands.ends_at or end)
    found: list[Stretch] = []
    running: datetime | None = first
    for each in told:
        if isinstance(each, SubscriptionSuspended) and running is not None:
            found.append((running, min(each.happened_at, last)))
            running = None
        elif isinstance(each, SubscriptionResumed):
            running = max(first, each.happened_at)
    if running is not None:
        found.append((running, last))
    return [stretch for stretch in found if stretch[0] < stretch[1]]


def charges(told: Sequence[Fact], prices: Sequence[Price], month: str, at: datetime) -> Iterator[ChargeFellDue]:
    """What a subscription owes for a month, used or not. `prices`: in the order of their publication."""
    start, end = period.bounds(month)
    active = stretches(told, start, end)
    if not active:
        return
    made = reduce(subscription.evolve, told, Subscription("")).made
    assert made is not None
    for item in made.items:
        price = _first(prices, item, active)
        if price is not None and price.rule.model == "flat":
            yield ChargeFellDue(
                happened_at=end - MOMENT,
                recorded_at=at,
                subscription=made.subscription,
                account=made.account,
                party=made.party,
                item=item,
                tariff=price.version,
                period=month,
            )


def _first(prices: Sequence[Price], item: str, active: Iterable[Stretch]) -> Price | None:
    """The first price that was in force while it was active: a flat one stays for the month (catalogue.publish)."""
    begins = [price.effective_from for price in prices if price.item == item]
    for first, last in active:
        for moment in sorted({first, *(each for each in begins if first < each < last)}):
            if price := in_force(prices, item, moment):
                return price
    return None


fact.register(ChargeFellDue)
