"""The one way out: data is handed over only after the record of its delivery is durable.

Each process owns one stream of the commerce journal, `metering:PROCESS`.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec

from api.identity import Account
from api.pool import Pool
from billing import tariff
from domain.catalogue import NotOffered, Price
from domain.delivery import DeliveryMade, ItemClass, Result, Waiver, new_id
from domain.intent import Intent, NewFact
from domain.writer import Writer
from projections import catalogue

SUBJECT_CHARS_MAX = 64  # of what was asked for, on the books
PRICES_SECONDS = 10.0


class Item(msgspec.Struct, frozen=True):
    code: str
    item_class: ItemClass


TRACK_QUERY = Item(tariff.TRACK_QUERY, "government")
VERIFY_QUERY = Item(tariff.VERIFY_QUERY, "government")
VERIFY_CROSS_CHECK = Item(tariff.VERIFY_CROSS_CHECK, "government")
FEED_PULL = Item(tariff.FEED_PULL, "commercial")
FEED_PUSH = Item(tariff.FEED_PUSH, "commercial")
FEED_STREAM = Item(tariff.FEED_STREAM, "commercial")
ALERTS_PUSH = Item(tariff.ALERTS_PUSH, "commercial")
BULK_QUERY = Item(tariff.BULK_QUERY, "commercial")
HISTORY_EXPORT = Item(tariff.HISTORY_EXPORT, "commercial")
ETA_ESTIMATE = Item(tariff.ETA_ESTIMATE, "commercial")
STATISTICS_DETAIL = Item(tariff.STATISTICS_DETAIL, "commercial")


class Delivered(msgspec.Struct, frozen=True):
    """What is on the books about one hand-over, beside who it was made to and when."""

    subject: str = ""  # what was asked for
    count: int = 0
    result: Result = "empty"
    datasets: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()  # the owners' leave; none while a party sees its own
    channel: str = "query"
    register: int | None = None  # the position of the register that it rests on; None: on no permission at all
    waived: Waiver = ""  # why it is not charged though its item has a price
    reversals: int = 0  # of `count`, what takes back something told before
    fact_id: UUID | None = None  # of the record, of what is handed over once however often it is made; None: a new one
    told: str = ""  # packed positions of the facts handed over (domain/positions.py)


class Deliveries:
    """Records deliveries of this process."""

    def __init__(self, writer: Writer, pool: Pool) -> None:
        self.writer = writer
        self.pool = pool
        self.stream = f"metering:{uuid4()}"
        self._prices: Sequence[Price] = ()
        self._prices_at = float("-inf")  # monotonic

    async def record(
        self,
        account: Account,
        item: Item,
        *,
        subject: str = "",
        count: int,
        result: Result,
        datasets: Sequence[str] = (),
        channel: str = "query",
    ) -> str:
        """Of what rests on no permission. Returns the price version once the record is durable.

        Raises Busy if it cannot be made: nothing may leave.
        """
        price = await self.deliver(account, item, Delivered(subject, count, result, tuple(datasets), (), channel))
        assert price is not None
        return price

    async def deliver(self, account: Account, item: Item, delivered: Delivered) -> str | None:
        """The price version once the record is durable; None, and no record, if the register has changed since.

        Raises Busy if it cannot be made: nothing may leave.
        """
        intent = self.intent(account, item, datetime.now(UTC), delivered)
        [outcome] = await asyncio.wrap_future(self.writer.submit([intent]))
        [new] = intent.facts
        assert isinstance(new.fact, DeliveryMade)
        return None if outcome.status == "stale" else new.fact.tariff

    def intent(self, account: Account, item: Item, now: datetime, delivered: Delivered) -> Intent:
        """The record of a delivery, for the commerce journal's writer."""
        made = DeliveryMade(
            happened_at=now,
            recorded_at=now,
            account=account.account,
            item=item.code,
            item_class=item.item_class,
            subject=delivered.subject[:SUBJECT_CHARS_MAX],
            datasets=delivered.datasets,
            permissions=delivered.permissions,
            count=delivered.count,
            result=delivered.result,
            tariff=self.price(item, now) if item.item_class == "commercial" else "",
            channel=delivered.channel,
            party=account.party,
            behalf=account.behalf,
            credential=account.credential,
        )
        if account.address or account.purpose or delivered.register:
            made = msgspec.structs.replace(
                made, address=account.address, purpose=account.purpose, register=delivered.register or 0
            )
        if delivered.waived or delivered.reversals or delivered.told:
            made = msgspec.structs.replace(
                made, waived=delivered.waived, reversals=delivered.reversals, told=delivered.told
            )
        new = NewFact(self.stream, delivered.fact_id or new_id(now), made)
        return Intent(facts=[new], fresh=delivered.fact_id is None, register=delivered.register)

    def price(self, item: Item, at: datetime) -> str:
        """The price version in force for a commercial item. Raises NotOffered if there is none."""
        price = tariff.in_force(self._known_prices(), item.code, at)
        if price is None:
            raise NotOffered(
                f"{item.code} 目前没有价格，不提供 / {item.code} has no price in force, so it is not offered",
                item=item.code,
            )
        return price.version

    def _known_prices(self) -> Sequence[Price]:
        """As they were PRICES_SECONDS ago at the most; a price is published longer before it takes effect."""
        if time.monotonic() - self._prices_at > PRICES_SECONDS:
            with self.pool.connection() as connection:
                found = catalogue.prices(connection)
            if len(found) >= len(self._prices):  # no published price ever goes away: fewer are of a rebuild under way
                self._prices = found
            self._prices_at = time.monotonic()
        return self._prices
