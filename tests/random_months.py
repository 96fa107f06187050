"""Random months of the books: usage, late usage, reversals, price changes, adjustments; and what they must come to.

The oracle knows no statement and no cell: it keeps every unit by the month in which it occurred, and says what all of
it comes to in the end. However late something is told, the statements' sum must be that. Months follow each other from
2001 on in one database, so that each example begins where the one before ended.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
from hypothesis import strategies as st

from billing import drafting
from billing.rating import rate
from domain import adjustment, fact, period, statement
from domain.adjustment import AdjustmentApproved, AdjustmentProposed
from domain.catalogue import TariffPublished
from domain.delivery import DeliveryMade
from domain.fact import Fact
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.period import PeriodCutOff
from domain.pricing import Pricing, Tier
from domain.statement import Statement
from domain.writer import Writer
from projections import runner
from projections.runner import ReadModel

ITEMS = ("feed.pull", "bulk.query", "history.export")
FREE = ("track.query", "verify.query")
HOLDERS = 3
FIRST = "2001-01"

# --- what a month is made of ---


class Use(msgspec.Struct, frozen=True):
    """A delivery. `item` below zero is a government one; `late`: so many months later than it occurred."""

    holder: int
    item: int
    count: int
    reversals: int
    late: int
    waived: bool
    result: str


class Reprice(msgspec.Struct, frozen=True):
    item: int
    rule: Pricing


class Adjust(msgspec.Struct, frozen=True):
    holder: int
    item: int
    amount_minor: int


Act = Use | Reprice | Adjust
small = st.integers(0, 40)
uses = st.builds(
    Use,
    holder=st.integers(0, HOLDERS - 1),
    item=st.integers(-len(FREE), len(ITEMS) - 1),
    count=st.integers(1, 60),
    reversals=st.integers(0, 3),
    late=st.sampled_from([0, 0, 0, 0, 1, 1, 2, 5]),
    waived=st.sampled_from([False, False, False, True]),
    result=st.sampled_from(["ok", "ok", "ok", "ok", "empty", "denied"]),
)
tiers = st.tuples(small, small, st.integers(1, 30)).map(lambda t: (Tier(t[0], t[2]), Tier(t[1])))
rules = st.one_of(
    st.builds(Pricing, price_minor=small, included=st.integers(0, 30), reversal_credit=st.booleans()),
    st.builds(Pricing, price_minor=small, cap_minor=st.integers(0, 500), reversal_credit=st.booleans()),
    st.builds(Pricing, model=st.just("package"), price_minor=small, package=st.integers(1, 20)),
    st.builds(Pricing, model=st.sampled_from(["graduated", "volume"]), tiers=tiers, reversal_credit=st.booleans()),
    st.builds(Pricing, model=st.just("flat"), price_minor=small),
)
acts = st.one_of(
    uses,
    uses,
    uses,
    uses,
    st.builds(Reprice, item=st.integers(0, len(ITEMS) - 1), rule=rules),
    st.builds(
        Adjust,
        holder=st.integers(0, HOLDERS - 1),
        item=st.integers(0, len(ITEMS) - 1),
        amount_minor=st.integers(-2_000, 2_000).filter(bool),
    ),
)
months = st.lists(st.lists(acts, max_size=25), min_size=1, max_size=8)


# --- the world that they happen in ---


class Books:
    """A database, its journal, and the oracle."""

    def __init__(self, conninfo: str, model: ReadModel) -> None:
        self.connection: psycopg.Connection[Any] = psycopg.connect(conninfo, autocommit=True)
        self.journal = Journal("commerce", conninfo)
        self.writer = Writer(self.journal)
        self.model = model
        self.month = FIRST
        self.example = self.told = self.played = 0
        self.rules: dict[tuple[str, str], Pricing] = {}
        self.prices: dict[str, str] = {}
        self.units: dict[tuple[str, str, str, str], int] = defaultdict(int)  # holder, item, tariff, month of use
        self.free: dict[tuple[str, str], int] = defaultdict(int)  # holder, government item -> answers
        self.adjusted: dict[str, int] = defaultdict(int)

    def close(self) -> None:
        self.writer.stop()
        self.journal.close()
        self.connection.close()

    # what happens

    def begin(self, holders: int = HOLDERS) -> list[str]:
        """A new example has holders of its own, and prices that are in force."""
        self.example += 1
        for item in range(len(ITEMS)):
            self.play_one(Reprice(item, Pricing(price_minor=2)))
        return [f"e{self.example}-{number}" for number in range(holders)]

    def play(self, month: Sequence[Act]) -> None:
        """All that is told before the month is cut off."""
        for act in month:
            self.play_one(act)

    def play_one(self, act: Act) -> None:
        if isinstance(act, Reprice):
            self.reprice(act)
        elif isinstance(act, Adjust):
            self.adjust(act)
        else:
            self.use(act)

    def reprice(self, act: Reprice) -> None:
        item, at = ITEMS[act.item], self.at(0)
        version = f"{item}/{self.month}.{self.next()}"
        price = act.rule.tiers[0].price_minor if act.rule.tiers else act.rule.price_minor
        told = TariffPublished(
            happened_at=at, recorded_at=at, item=item, version=version, price_minor=price, currency="CNY",
            effective_from=at, basis="test", pricing=act.rule,
        )  # fmt: skip
        self.tell(f"item:{item}", told)
        self.rules[item, version] = act.rule
        self.prices[item] = version

    def adjust(self, act: Adjust) -> None:
        holder, name = f"e{self.example}-{act.holder}", f"a{self.next()}"
        about: dict[str, Any] = {"happened_at": self.at(0), "recorded_at": self.at(0), "adjustment": name}
        proposed = AdjustmentProposed(
            **about, by="one", holder=holder, is_party=False, item=ITEMS[act.item], amount_minor=act.amount_minor,
            reason="test",
        )  # fmt: skip
        self.tell(adjustment.stream(name), proposed)
        self.tell(adjustment.stream(name), AdjustmentApproved(**about, by="other", proposed=proposed))
        self.adjusted[holder] += act.amount_minor

    def use(self, act: Use) -> None:
        holder, at = f"e{self.example}-{act.holder}", self.at(act.late)
        if act.item < 0:
            item = FREE[act.item]
            self.free[holder, item] += 1
            self.deliver(holder, item, at, result=act.result, count=act.count)
            return
        item = ITEMS[act.item]
        tariff = self.price_at(item, at)
        paid = act.result == "ok"
        reversals = min(act.reversals, act.count) if paid else 0
        if paid and not act.waived:
            taken_back = reversals if self.rules[item, tariff].reversal_credit else 0
            self.units[holder, item, tariff, period.month_of(at)] += act.count - taken_back
        self.deliver(
            holder, item, at, result=act.result, count=act.count, item_class="commercial", tariff=tariff,
            reversals=reversals, waived="trial" if act.waived else "",
        )  # fmt: skip

    def price_at(self, item: str, at: datetime) -> str:  # noqa: ARG002
        """The version that a use of then names: here the one that is in force when it is told."""
        return self.prices[item]

    def deliver(self, holder: str, item: str, at: datetime, **told: Any) -> None:
        made = DeliveryMade(
            happened_at=at, recorded_at=self.at(0), account=holder, item=item,
            **{"item_class": "government", "subject": "X", **told},
        )  # fmt: skip
        self.tell(f"metering:{self.example}", made)

    def tell(self, stream: str, told: Fact) -> None:
        new = NewFact(stream, fact.digest_id("random", str(self.next())), told)
        self.writer.write([Intent(facts=[new])])

    def at(self, late: int) -> datetime:
        """A moment of the month that is played, or of so many months before."""
        month = self.month
        for _ in range(late):
            month = max(FIRST, period.preceding(month))
        self.told += 1
        return period.bounds(month)[0] + timedelta(hours=9, microseconds=self.told)

    def next(self) -> int:
        self.played += 1
        return self.played

    # the end of a month

    def end(self) -> list[Statement]:
        """Cut the month off, issue its statements, and go on to the next one."""
        month, at = self.month, period.bounds(self.month)[1]
        self.tell(period.stream(month), PeriodCutOff(happened_at=at, recorded_at=at, period=month, by="clerk"))
        self.catch_up()
        drafting.issue(self.connection, self.writer, month, by="clerk", at=at)
        self.month = period.following(month)
        return self.statements(month)

    def catch_up(self) -> None:
        runner.catch_up(self.connection, self.journal, [self.model])

    def statements(self, month: str) -> list[Statement]:
        rows = self.connection.execute(
            "SELECT statement FROM issued_statements WHERE period = %s ORDER BY statement", (month,)
        )
        return [statement.read(drafting.stored(self.connection, number)) for (number,) in rows.fetchall()]

    # the oracle

    def owed(self, holder: str) -> int:
        """What all that the holder ever used comes to, and its adjustments."""
        used = sum(
            rate(self.rules[item, tariff], units).amount_minor
            for (who, item, tariff, _), units in self.units.items()
            if who == holder
        )
        return used + self.adjusted[holder]
