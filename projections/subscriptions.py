"""Subscriptions in memory: what each holder may use now, found by holder and item.

A fold of the commerce journal's entries, in its order; no clock, no database: whoever asks says the moment. The inner
tuples are replaced, never changed, so a reader in another thread meets nothing half made.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from domain import subscription
from domain.journal import Entry
from domain.subscription import Subscription, SubscriptionFact


class Cover(msgspec.Struct, frozen=True):
    """What a holder's subscriptions say of one item at a moment."""

    subscribed: bool = False
    trial: bool = False  # by nothing but trials
    suspended: bool = False  # one of them is suspended for arrears, over or not: the item is stopped
    limit: int | None = None  # units a month that are ordered; None: nothing was said
    until: datetime | None = None  # by then one of them begins or ends by itself


class Subscriptions:
    """The subscriptions as they stand after the entries applied."""

    def __init__(self) -> None:
        self.position = 0
        self.versions: dict[str, int] = {}  # of streams
        self.by_id: dict[str, Subscription] = {}
        self._held: dict[str, tuple[str, ...]] = {}  # holder -> ids, the oldest first

    def apply(self, entry: Entry) -> None:
        """One more entry; those known already, and what is no subscription, are passed over."""
        if entry.position <= self.position:
            return
        if isinstance(entry.fact, SubscriptionFact):
            name = entry.fact.subscription
            stands = subscription.evolve(self.by_id.get(name, Subscription(name)), entry.fact)
            self.by_id[name] = stands
            self.versions[subscription.stream(name)] = entry.version
            if name not in self._held.get(stands.holder, ()):
                self._held[stands.holder] = (*self._held.get(stands.holder, ()), name)
        self.position = entry.position

    def of(self, holder: str) -> Sequence[Subscription]:
        """Its subscriptions, the oldest first."""
        return [self.by_id[name] for name in self._held.get(holder, ())]

    def in_arrears(self, holder: str) -> bool:
        """Whether one of its subscriptions is suspended, also one that is over."""
        return any(each.suspended for each in self.of(holder))

    def cover(self, holder: str, item: str, at: datetime) -> Cover:
        """What they say of an item at a moment."""
        found = [each for each in self.of(holder) if each.made is not None and item in each.made.items]
        live = [each for each in found if each.status(at) in {"active", "trial"}]
        ordered = [each.limits[item] for each in live if item in each.limits]
        turns = [each.made.valid_from for each in found if each.made is not None]
        ends = [each.ends_at for each in found if each.ends_at is not None]
        return Cover(
            subscribed=bool(live),
            trial=bool(live) and all(each.status(at) == "trial" for each in live),
            suspended=any(each.suspended for each in found),
            limit=sum(ordered) if ordered else None,
            until=min((turn for turn in [*turns, *ends] if turn > at), default=None),
        )
