"""A subscription: an enterprise's order for commercial service items, from when until when, and how many units.

Its stream is `subscription:ID` in the commerce journal. It belongs to a holder: the party of whoever ordered it, or the
account itself where it has no party. A subscription names commercial items only, so whatever is done to one (suspended
for arrears, ended) can never touch a government service. A trial costs nothing and ends with its last moment: nothing
turns into a paid order by itself. Times are UTC; a subscription is half-open, [from, to).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from domain import fact, register
from domain.catalogue import Price, in_force
from domain.errors import Refused
from domain.fact import Fact

LATE_MAX, AHEAD_MAX = timedelta(minutes=5), timedelta(days=366)  # of a beginning; clocks differ
TRIAL_MAX = timedelta(days=92)
UNITS_MAX = 10**12

# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class SubscriptionFact(Fact, frozen=True, kw_only=True):
    """What every fact about a subscription says."""

    subscription: str  # its ID
    by: str  # account
    by_party: str


class SubscriptionMade(SubscriptionFact, frozen=True, kw_only=True, tag="subscription.made"):
    account: str  # that ordered it
    party: str  # that holds it; "": the account does
    items: tuple[str, ...]
    tariffs: dict[str, str]  # item -> price version that was in force when it was agreed
    valid_from: datetime
    valid_to: datetime | None = None  # None: until it is cancelled
    trial_until: datetime | None = None  # free until then, and over then
    limits: dict[str, int] = msgspec.field(default_factory=dict)  # item -> units a month that are ordered


class SubscriptionLimitsSet(SubscriptionFact, frozen=True, kw_only=True, tag="subscription.limits_set"):
    limits: dict[str, int]  # all of them


class SubscriptionCancelled(SubscriptionFact, frozen=True, kw_only=True, tag="subscription.cancelled"):
    ends_at: datetime
    reason: str = ""


class SubscriptionSuspended(SubscriptionFact, frozen=True, kw_only=True, tag="subscription.suspended"):
    reason: str  # arrears


class SubscriptionResumed(SubscriptionFact, frozen=True, kw_only=True, tag="subscription.resumed"):
    reason: str


# --- state: the least that the decisions need ---

STATES: dict[str, tuple[str, str]] = {
    "": ("不存在", "unknown"),
    "scheduled": ("未开始", "not begun"),
    "trial": ("试用", "on trial"),
    "active": ("有效", "active"),
    "suspended": ("欠费暂停", "suspended for arrears"),
    "cancelled": ("已退订", "cancelled"),
    "ended": ("已到期", "ended"),
}


class Subscription(msgspec.Struct, frozen=True):
    """A subscription as it stands."""

    id: str
    made: SubscriptionMade | None = None
    limits: dict[str, int] = {}
    cancelled_at: datetime | None = None  # from then on it is over
    suspended: bool = False  # stays so after the end: arrears do not end with an order

    @property
    def holder(self) -> str:
        return holder(self.made.account, self.made.party) if self.made else ""

    @property
    def ends_at(self) -> datetime | None:
        """The earliest of its ends; None: open."""
        if self.made is None:
            return None
        ends = (self.made.valid_to, self.made.trial_until, self.cancelled_at)
        return min((end for end in ends if end is not None), default=None)

    def status(self, at: datetime) -> str:
        """One of STATES, as of this moment."""
        if self.made is None:
            return ""
        if self.cancelled_at is not None and at >= self.cancelled_at:
            return "cancelled"
        if self.ends_at is not None and at >= self.ends_at:
            return "ended"
        if self.suspended:
            return "suspended"
        if at < self.made.valid_from:
            return "scheduled"
        return "trial" if self.made.trial_until is not None else "active"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to subscribe to."""

    items: tuple[str, ...]
    valid_from: datetime | None = None  # None: at once
    valid_to: datetime | None = None
    trial_until: datetime | None = None
    limits: dict[str, int] = {}
    tariffs: dict[str, str] = {}  # item -> price version that was seen; another one in force is refused


class Offer(msgspec.Struct, frozen=True):
    """An item as the catalogue lists it now."""

    commercial: bool
    prices: tuple[Price, ...] = ()
    withdrawn: bool = False


def holder(account: str, party: str) -> str:
    """Who holds what an account orders: its party; the account where there is none.

    >>> holder("mover", "91320000MA0000277B"), holder("mover", "")
    ('91320000MA0000277B', 'account:mover')
    """
    return party or f"account:{account}"


def stream(subscription: str) -> str:
    """Where the facts of a subscription are."""
    return f"subscription:{subscription}"


def evolve(subscription: Subscription, happened: Fact) -> Subscription:
    """The subscription after one more fact."""
    change = msgspec.structs.replace
    match happened:
        case SubscriptionMade():
            return change(subscription, made=happened, limits=happened.limits)
        case SubscriptionLimitsSet():
            return change(subscription, limits=happened.limits)
        case SubscriptionCancelled():
            return change(subscription, cancelled_at=happened.ends_at)
        case SubscriptionSuspended():
            return change(subscription, suspended=True)
        case SubscriptionResumed():
            return change(subscription, suspended=False)
        case _:
            raise AssertionError(happened)


# --- decisions: no facts back = nothing new, so a repeat is harmless ---


def subscribe(
    subscription: Subscription,
    order: Order,
    *,
    offers: Mapping[str, Offer],
    by: str,
    by_party: str,
    at: datetime,
    account: str = "",
    party: str = "",
    in_arrears: bool = False,
) -> tuple[Fact, ...]:
    """Order commercial items. `account`, `party`: for whom, if not for oneself.

    Raises Refused for what is not sold, or not at the price that was seen, a time that cannot be, and for a holder in
    arrears.
    """
    if subscription.made is not None:
        return ()
    if in_arrears:
        raise Refused(
            "原有订阅因欠费暂停，结清后方可新订 / a subscription is suspended for arrears: settle them first",
            holder=holder(account or by, party or by_party),
        )
    begin = _beginning(order, at)
    items = tuple(dict.fromkeys(order.items))
    own = not account and not party
    return (
        SubscriptionMade(
            **_about(subscription, by, by_party, at),
            account=by if own else account,
            party=by_party if own else party,
            items=items,
            tariffs={item: _agreed(item, offers.get(item), order.tariffs.get(item, ""), begin) for item in items},
            valid_from=begin,
            valid_to=_end("valid_to", order.valid_to, begin),
            trial_until=_end("trial_until", order.trial_until, begin, TRIAL_MAX),
            limits=_limits(order.limits, items),
        ),
    )


def _beginning(order: Order, at: datetime) -> datetime:
    if not order.items:
        raise Refused("须列明服务项目 / name the service items", field="items")
    begin = _moment("valid_from", order.valid_from, at) if order.valid_from else at
    if not at - LATE_MAX <= begin <= at + AHEAD_MAX:
        raise Refused(
            "起始时间须在今日起一年之内 / it begins today or within a year from now", valid_from=begin.isoformat()
        )
    return begin


def set_limits(
    subscription: Subscription, *, limits: Mapping[str, int], by: str, by_party: str, at: datetime
) -> tuple[Fact, ...]:
    """Order more units a month, or fewer; what is not named has no limit of its own."""
    made = _living(subscription, at)
    wanted = _limits(limits, made.items)
    if wanted == subscription.limits:
        return ()
    return (SubscriptionLimitsSet(**_about(subscription, by, by_party, at), limits=wanted),)


def cancel(
    subscription: Subscription,
    *,
    by: str,
    by_party: str,
    at: datetime,
    ends_at: datetime | None = None,
    reason: str = "",
) -> tuple[Fact, ...]:
    """End it, at once or at a moment to come. What was used stays on the books. Cancelled twice: the earlier end."""
    if subscription.status(at) in {"cancelled", "ended"}:
        return ()
    _living(subscription, at)
    end = _moment("ends_at", ends_at, at) if ends_at else at
    if end < at:
        raise Refused("退订时间不得早于现在 / it cannot end before now", ends_at=end.isoformat())
    if subscription.ends_at is not None and end >= subscription.ends_at:
        return ()
    about = _about(subscription, by, by_party, at)
    return (SubscriptionCancelled(**about, ends_at=end, reason=register.remark("理由", "reason", reason)),)


def suspend(subscription: Subscription, *, reason: str, by: str, by_party: str, at: datetime) -> tuple[Fact, ...]:
    """For arrears: its items stop at once, until it is resumed; also of one that is over, for its debts are not."""
    _known(subscription)
    if subscription.suspended:
        return ()
    about = _about(subscription, by, by_party, at)
    return (SubscriptionSuspended(**about, reason=register.said("理由", "reason", reason)),)


def resume(subscription: Subscription, *, reason: str, by: str, by_party: str, at: datetime) -> tuple[Fact, ...]:
    """The arrears are settled."""
    _known(subscription)
    if not subscription.suspended:
        return ()
    about = _about(subscription, by, by_party, at)
    return (SubscriptionResumed(**about, reason=register.said("理由", "reason", reason)),)


def _about(subscription: Subscription, by: str, by_party: str, at: datetime) -> dict[str, Any]:
    return {"happened_at": at, "recorded_at": at, "subscription": subscription.id, "by": by, "by_party": by_party}


def _known(subscription: Subscription) -> SubscriptionMade:
    if subscription.made is None:
        raise Refused(
            f"没有订阅 {subscription.id} / there is no subscription {subscription.id}", subscription=subscription.id
        )
    return subscription.made


def _living(subscription: Subscription, at: datetime) -> SubscriptionMade:
    made = _known(subscription)
    status = subscription.status(at)
    if status in {"cancelled", "ended"}:
        zh, en = STATES[status]
        raise Refused(
            f"订阅 {subscription.id} {zh}，请另订 / subscription {subscription.id} is {en}: make another",
            subscription=subscription.id,
            state=status,
        )
    return made


def _agreed(item: str, offer: Offer | None, seen: str, begin: datetime) -> str:
    """The price version that is agreed."""
    if offer is None:
        raise Refused(f"没有服务项目 {item[:80]!r} / there is no service item {item[:80]!r}", item=item[:80])
    if not offer.commercial:
        raise Refused(
            f"{item} 为政务服务，免费，无须订阅 / {item} is a government service: free, and needs no subscription",
            item=item,
        )
    price = in_force(offer.prices, item, begin)
    if offer.withdrawn or price is None:
        raise Refused(f"{item} 暂不提供 / {item} is not on sale", item=item)
    if seen and seen != price.version:
        raise Refused(
            f"{item} 届时的价目为 {price.version}，非 {seen[:80]} / the price of {item} will be {price.version},"
            f" not {seen[:80]}",
            item=item,
            tariff=price.version,
        )
    return price.version


def _limits(limits: Mapping[str, int], items: Sequence[str]) -> dict[str, int]:
    for item, units in limits.items():
        if item not in items or not 0 < units <= UNITS_MAX:
            raise Refused(
                f"{item[:80]} 的订购量须为正数，且属本订阅 / units of {item[:80]} must be above zero, and the item of"
                " this subscription",
                item=item[:80],
            )
    return dict(sorted(limits.items()))


def _moment(field: str, moment: datetime, at: datetime) -> datetime:
    if moment.tzinfo is None or moment.year not in register.YEARS:
        raise Refused(
            f"{field} 须带时区，在 {register.YEARS[0]}–{register.YEARS[-1]} 年内 / {field} needs an offset, and a year"
            f" from {register.YEARS[0]} to {register.YEARS[-1]}",
            field=field,
        )
    return moment.astimezone(at.tzinfo)


def _end(field: str, moment: datetime | None, begin: datetime, most: timedelta | None = None) -> datetime | None:
    if moment is None:
        return None
    end = _moment(field, moment, begin)
    if end <= begin or (most is not None and end > begin + most):
        days = f"，且不超过 {most.days} 天" if most else ""
        and_days = f", by {most.days} days at most" if most else ""
        raise Refused(f"{field} 须晚于起始时间{days} / {field} must be after the beginning{and_days}", field=field)
    return end


FACTS: tuple[type[Fact], ...] = tuple(SubscriptionFact.__subclasses__())
fact.register(*FACTS)
