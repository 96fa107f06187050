"""A node for tests of pushing: facts in the journal, endpoints that send to receivers of ours, an engine, a clock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from api.app import READ_MODELS
from api.identity import Account, open_account
from api.login.vault import Vault
from api.push import keyring, signing
from api.push.engine import Engine
from api.push.http import Client, Limits
from api.push.serve import Options, engine
from api.settings import Settings
from domain import container, fact
from domain.fact import digest_id
from domain.feed_filter import FeedFilter
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.report import Moment, Movement
from domain.writer import Writer
from projections import runner
from tests.bench.traffic import box
from tests.receivers import Receiver

START = datetime(2026, 3, 1, tzinfo=UTC)
QUICK = Limits(total_seconds=0.8, connect_seconds=0.5)
MOVER = Account("mover", "logistics", "物流企业", "Mover")


class Clock:
    """The time as the test says."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.live = False  # it runs by itself

    def __call__(self) -> datetime:
        return datetime.now(UTC) if self.live else self.now

    def pass_by(self, **amount: float) -> None:
        self.now += timedelta(**amount)


class World:
    """What a test holds in its hand."""

    def __init__(self, conninfo: str, home: Path) -> None:
        self.conninfo, self.settings, self.clock = conninfo, Settings(home=home), Clock()
        self.told = 0
        with psycopg.connect(conninfo, autocommit=True) as connection:
            open_account(connection, MOVER)

    def tell(self, count: int, *, boxes: int = 10) -> list[str]:
        """So many facts, the boxes taking turns. Returns their subjects, in the order of the journal."""
        reports = [_moved(number, boxes) for number in range(self.told, self.told + count)]
        message_id = digest_id("push", str(self.told))
        new = []
        for report in reports:
            told = container.observe(report, source="test", message_id=message_id, sent_at=START, now=START)
            new.append(NewFact(report.subject, fact.identity(report.subject, told), told))
        with Journal("cargo", self.conninfo).opened() as journal:
            writer = Writer(journal)
            writer.write([Intent(facts=new)])
            writer.stop()
        self.told += count
        self.catch_up()
        return [each.stream for each in new]

    def catch_up(self) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            for name in ("cargo", "commerce"):
                with Journal(name, self.conninfo).opened() as journal:
                    runner.catch_up(connection, journal, READ_MODELS)

    def endpoint(self, url: str, *, account: str = "mover", ordered: bool = True, network: str = "127.0.0.0/8") -> UUID:
        """An active endpoint from the beginning of the feed. `network`: leave to send there."""
        endpoint, now = uuid4(), self.clock()
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO push_endpoints (endpoint_id, account, item, dialect, url, wanted, ordered, state, made_at,"
                " changed_at, epoch, after, next_at)"
                " VALUES (%s, %s, 'feed.push', 'webhook', %s, %s, %s, 'active', %s, %s, 1, 0, %s)",
                (endpoint, account, url, Jsonb(msgspec.to_builtins(FeedFilter())), ordered, now, now, now),
            )
            key = signing.new_key("v1")
            keyring.add(connection, Vault(self.settings), endpoint, key, now)
            if network:
                connection.execute(
                    "INSERT INTO push_networks VALUES (%s, %s, 'test', now(), 'test') ON CONFLICT DO NOTHING",
                    (account, network),
                )
        return endpoint

    @asynccontextmanager
    async def engine(self, client: Client | None = None, **options: Any) -> AsyncIterator[Engine]:
        """An engine at work; at the end it stops."""
        told = Options(clock=self.clock, chance=Random(7), poll_seconds=0.1, **options)
        async with engine(self.conninfo, self.settings, client or Client(QUICK), told) as made:
            running = asyncio.create_task(made.run())
            try:
                yield made
            finally:
                made.stop()
                await running

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.conninfo) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def standing(self, endpoint: UUID) -> dict[str, Any]:
        names = ("state", "reason", "after", "failures", "next_at", "succeeded_at")
        [row] = self.rows(f"SELECT {', '.join(names)} FROM push_endpoints WHERE endpoint_id = %s", endpoint)  # noqa: S608
        return dict(zip(names, row, strict=True))

    def states(self, endpoint: UUID) -> dict[str, int]:
        """How many messages with a row are in which state."""
        query = "SELECT state, count(*) FROM push_messages WHERE endpoint_id = %s GROUP BY state"
        return {row[0]: row[1] for row in self.rows(query, endpoint)}

    def accepted(self) -> list[str]:
        """The messages for which money may be asked, one entry for each time."""
        query = "SELECT convert_from(state, 'UTF8')::json ->> 'message' FROM commerce_events"
        return [row[0] for row in self.rows(f"{query} WHERE topic = 'delivery.accepted' ORDER BY notification_id")]


def _moved(number: int, boxes: int) -> Movement:
    at = START + timedelta(minutes=number)
    return Movement(
        subject=f"container:{box(number % boxes)}",
        code="DISCHARGED",
        raw_code="44",
        when=Moment(at, at.strftime("%Y-%m-%dT%H:%M"), "Asia/Shanghai", "place"),
        place="CNSHG",
        mode="VESSEL",
    )


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = monotonic() + seconds
    while not true():
        assert monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(0.02)


async def settled(running: Engine, seconds: float = 20.0) -> None:
    """Until nothing is due at this moment of the clock, as the database has it too."""
    await running.poll()
    await running._see_horizon()
    deadline, calm = monotonic() + seconds, 0
    while calm < 3:
        assert monotonic() < deadline, "it does not come to rest"
        await asyncio.sleep(0.03)
        calm = calm + 1 if running.quiet else 0


OPEN: list[Receiver] = []


async def received(*behaviours: str) -> list[Receiver]:
    """Receivers that behave so; `run` stops them."""
    started = [await Receiver(each).start() for each in behaviours]
    OPEN.extend(started)
    return started


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """A scenario to its end, and its receivers with it."""

    async def whole() -> None:
        try:
            await scenario
        finally:
            while OPEN:
                await OPEN.pop().stop()
            await asyncio.sleep(0.01)

    asyncio.run(whole())
