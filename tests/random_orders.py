"""Random months with orders of a flat-priced item: begun, tried, suspended, resumed and cancelled at random moments.

The oracle knows no stretches of time: it asks whether an order ran at the beginning of the month, or at a moment of it
at which something changed. Such a month owes the flat price, once for a holder, however many orders it has and however
much it used. Prices begin with a month, as the catalogue asks of flat ones. What is used late names the price of then.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from hypothesis import strategies as st

from billing import standing
from domain import catalogue, period, subscription
from domain.catalogue import Price, TariffPublished
from domain.fact import Fact
from domain.pricing import Pricing
from domain.statement import Statement
from domain.subscription import Offer, Subscription
from projections.runner import ReadModel
from tests import random_months
from tests.random_months import HOLDERS, Act, Books, Reprice

SEAT = "statistics.detail"
MOMENT, HOUR, DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)

# --- what happens beside use ---


class Order(msgspec.Struct, frozen=True):
    """`ahead`: hours since what was told before; `begins`: hours from then; `trial`: days, 0 for none."""

    holder: int
    ahead: int
    begins: int
    trial: int


class Change(msgspec.Struct, frozen=True):
    """Of one of the orders. `ends`: of a cancellation, hours from then."""

    kind: Literal["suspend", "resume", "cancel"]
    which: int
    ahead: int
    ends: int


class SeatUse(msgspec.Struct, frozen=True):
    holder: int
    count: int
    late: int


class SeatPrice(msgspec.Struct, frozen=True):
    """From the next month on."""

    rule: Pricing


Happening = Act | Order | Change | SeatUse | SeatPrice
hours = st.sampled_from([0, 0, 1, 30, 200, 800])
acts = st.one_of(
    random_months.acts,
    random_months.acts,
    random_months.acts,
    st.builds(
        Order, holder=st.integers(0, HOLDERS - 1), ahead=hours, begins=hours, trial=st.sampled_from([0, 0, 0, 9, 90])
    ),
    st.builds(
        Change,
        kind=st.sampled_from(["suspend", "resume", "cancel"]),
        which=st.integers(0, 9),
        ahead=hours,
        ends=hours,
    ),
    st.builds(SeatUse, holder=st.integers(0, HOLDERS - 1), count=st.integers(1, 9), late=st.sampled_from([0, 0, 1, 3])),
    st.builds(
        SeatPrice,
        rule=st.builds(
            Pricing, model=st.sampled_from(["flat", "flat", "flat", "unit"]), price_minor=st.integers(0, 2_000)
        ),
    ),
)


# --- the world, and the oracle ---


class Ordered:
    """An order: what the product knows of it, and what the oracle does."""

    def __init__(self, name: str, holder: str, begins: datetime, *, trial: bool) -> None:
        self.stands = Subscription(name)
        self.holder = holder
        self.begins, self.trial = begins, trial
        self.ends: datetime | None = None
        self.switched: list[tuple[datetime, bool]] = []  # on or off, in the order of time

    def runs_at(self, at: datetime) -> bool:
        over = self.ends is not None and self.ends <= at
        last = [on for when, on in self.switched if when <= at][-1:]
        return self.begins <= at and not over and not self.trial and last != [False]

    def owes(self, month: str) -> bool:
        start, end = period.bounds(month)
        moments = [start, self.begins, *(when for when, _ in self.switched)]
        return any(self.runs_at(at) for at in moments if start <= at < end)


class Orders(Books):
    """The books of random months, with orders."""

    def __init__(self, conninfo: str, model: ReadModel) -> None:
        super().__init__(conninfo, model)
        self.clock = period.bounds(self.month)[0]  # of what is told of orders
        self.orders: list[Ordered] = []
        self.seats: list[Price] = []
        self.since: dict[str, list[tuple[str, str]]] = {}  # item -> month from which on, version; as they were told

    def begin(self, holders: int = HOLDERS) -> list[str]:
        """Orders of the example before are over."""
        self.orders = []
        found = super().begin(holders)
        self.price_seat(Pricing(model="flat", price_minor=500), self.month)
        return found

    def play_one(self, act: Happening) -> None:
        match act:
            case Order():
                self.order(act)
            case Change():
                self.change(act)
            case SeatUse():
                self.use_seat(act)
            case SeatPrice():
                self.price_seat(act.rule, period.following(self.month))
            case _:
                super().play_one(act)

    def moment(self, ahead: int) -> datetime:
        """So many hours on, and within the month; its first and its last moment are met too."""
        start, end = period.bounds(self.month)
        self.clock = min(max(self.clock, start) + ahead * HOUR, end - MOMENT)
        return self.clock

    # orders

    def order(self, act: Order) -> None:
        at, name, holder = self.moment(act.ahead), f"S{self.next()}", f"e{self.example}-{act.holder}"
        begins = at + act.begins * HOUR
        trial_until = begins + act.trial * DAY if act.trial else None
        wanted = subscription.Order(items=(SEAT,), valid_from=begins, trial_until=trial_until)
        ordered = Ordered(name, holder, begins, trial=bool(act.trial))
        offers = {SEAT: Offer(True, tuple(self.seats))}
        told = subscription.subscribe(ordered.stands, wanted, offers=offers, by=holder, by_party="", at=at)
        self.orders.append(ordered)
        self.tell_order(ordered, told)

    def change(self, act: Change) -> None:
        if not self.orders:
            return
        ordered = self.orders[act.which % len(self.orders)]
        at = self.moment(act.ahead)
        if act.kind == "cancel":
            self.cancel(ordered, at, at + act.ends * HOUR)
            return
        decision = {"suspend": subscription.suspend, "resume": subscription.resume}[act.kind]
        self.tell_order(ordered, decision(ordered.stands, reason="arrears", by="clerk", by_party="", at=at))
        ordered.switched.append((at, act.kind == "resume"))

    def cancel(self, ordered: Ordered, at: datetime, ends_at: datetime) -> None:
        told = subscription.cancel(ordered.stands, by=ordered.holder, by_party="", at=at, ends_at=ends_at)
        self.tell_order(ordered, told)
        ordered.ends = min(ordered.ends or ends_at, ends_at)

    def cancel_all(self) -> None:
        """With the end of the month."""
        for each in self.orders:
            self.cancel(each, self.moment(0), period.bounds(self.month)[1])

    def tell_order(self, ordered: Ordered, told: Sequence[Fact]) -> None:
        for each in told:
            ordered.stands = subscription.evolve(ordered.stands, each)
            self.tell(subscription.stream(ordered.stands.id), each)

    # prices and use

    def price_seat(self, rule: Pricing, month: str) -> None:
        version, starts_at = f"{SEAT}/{month}.{self.next()}", period.bounds(month)[0]
        at = min(self.at(0), starts_at)
        told = TariffPublished(
            happened_at=at, recorded_at=at, item=SEAT, version=version, price_minor=rule.price_minor, currency="CNY",
            effective_from=starts_at, basis="test", pricing=rule,
        )  # fmt: skip
        self.tell(f"item:{SEAT}", told)
        self.seats.append(catalogue.price_of(told))
        self.rules[SEAT, version] = rule
        self.since.setdefault(SEAT, []).append((month, version))

    def reprice(self, act: Reprice) -> None:
        super().reprice(act)
        item = random_months.ITEMS[act.item]
        self.since.setdefault(item, []).append((self.month, self.prices[item]))

    def price_at(self, item: str, at: datetime) -> str:
        """The version that was in force then: of those of the newest month the one that was told last."""
        month = period.month_of(at)
        return max(
            (begun, place, version) for place, (begun, version) in enumerate(self.since[item]) if begun <= month
        )[2]

    def use_seat(self, act: SeatUse) -> None:
        holder, at = f"e{self.example}-{act.holder}", self.at(act.late)
        tariff = self.price_at(SEAT, at)
        self.units[holder, SEAT, tariff, period.month_of(at)] += act.count
        self.deliver(holder, SEAT, at, count=act.count, item_class="commercial", tariff=tariff)

    # the end of a month

    def end(self) -> list[Statement]:
        """What falls due is told before the month is cut off (api/closing.py); the oracle knows it by itself."""
        start, end = period.bounds(self.month)
        tariff = self.price_at(SEAT, start)
        for each in self.orders if self.rules[SEAT, tariff].model == "flat" else ():
            if each.owes(self.month):
                self.units[each.holder, SEAT, tariff, self.month] += 0  # nothing at a flat price comes to the price
        standing.fall_due(self.connection, self.writer, self.month, at=end)
        return super().end()
