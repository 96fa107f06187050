"""The engine: every endpoint that is ours is served round by round, each in a task of its own.

    read (a thread) ─▶ DeliveryMade, durable ─▶ POST ─▶ PushAccepted, durable ─▶ cursor, rows and log in one transaction

A slow receiver holds up nobody but itself. Whatever ends this process, and whenever: what was not written is sent again
under the same id, which a receiver knows by it, and a message's PushAccepted is in the journal once. Seconds; `clock`
says the moment for everything but leases and waits.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from time import monotonic
from typing import Any, TypeVar
from uuid import UUID, uuid4

import msgspec
import psycopg
from psycopg_pool import PoolTimeout

from api.delivery import Deliveries
from api.login.vault import Vault
from api.push import books, keyring
from api.push.accepting import accepted
from api.push.books import Held, Written
from api.push.http import Client
from api.push.reading import WIDTH_MAX, WIDTH_MIN, Means, Parcel, Reader, Served
from api.push.rounds import Settled, settle
from api.push.sender import Sender, Target
from domain.errors import KouanError
from domain.writer import Busy
from projections.feed import HORIZON
from projections.sight import Outdated

POLL_SECONDS = 0.5
TICK_SECONDS = 0.05
AGAIN_SECONDS = 1.0  # after a fault of ours
BARRED_REST = timedelta(seconds=60)
READERS = 4  # threads that read rounds
LOG_DAYS = 14  # for which the log and what has ended are kept
SWEEP_SECONDS = 3_600.0
CATCH_UP_PER_SECOND = 500  # of an endpoint that was down, until it has caught up
FAULTS = (psycopg.Error, PoolTimeout, Busy)
T = TypeVar("T")
News = Callable[[int, float], Awaitable[Any]]
"""Waits until the feed has passed a position, or for so many seconds (api/wake.py)."""

log = logging.getLogger("kouan.push")


def utcnow() -> datetime:
    return datetime.now(UTC)


class Engine:
    """Serves endpoints, in one event loop, until it is stopped."""

    def __init__(
        self,
        means: Means,
        deliveries: Deliveries,
        vault: Vault,
        client: Client,
        *,
        news: News,
        clock: Callable[[], datetime] = utcnow,
        chance: Random | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self.me = str(uuid4())
        self.pool, self.register, self.deliveries, self.vault = means.pool, means.register, deliveries, vault
        self.reader, self.sender = Reader(means, clock), Sender(client, clock)
        self.clock, self.chance, self.news, self.poll_seconds = clock, chance or Random(), news, poll_seconds  # noqa: S311
        self.served: dict[UUID, Served] = {}
        self.horizon = 0
        self._threads = ThreadPoolExecutor(READERS + 2, "push")
        self._stir = asyncio.Event()
        self._over = asyncio.Event()
        self._rounds: set[asyncio.Task[None]] = set()
        self._writing: list[tuple[Written, asyncio.Future[bool]]] = []
        self._write_now = asyncio.Event()
        self._swept_at = monotonic()
        self._polling = asyncio.Lock()

    # --- for as long as it runs ---

    async def run(self) -> None:
        """Until `stop`; what is on its way then is brought to its end first."""
        tasks = [asyncio.create_task(each()) for each in (self._tend, self._listen, self._write_all)]
        try:
            while not self._over.is_set():
                for served in self._ready():
                    served.busy = True
                    task = asyncio.create_task(self._serve(served))
                    self._rounds.add(task)
                    task.add_done_callback(self._rounds.discard)
                self._stir.clear()
                await _until(self._stir, TICK_SECONDS)
            await asyncio.gather(*self._rounds)
            await self._kindly(partial(self._thread, self._with_connection, books.release, self.me))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._threads.shutdown(wait=False)

    def stop(self) -> None:
        self._over.set()
        self._stir.set()

    @property
    def quiet(self) -> bool:
        """Nothing is on its way, and nothing is due as far as we know, were it not for our own patience."""
        return not self._rounds and not self._ready(patient=False)

    def _ready(self, *, patient: bool = True) -> list[Served]:
        now, tick = self.clock(), monotonic() if patient else float("inf")
        return [
            served
            for served in self.served.values()
            if not served.busy and served.not_before <= tick and served.held.standing.next_at <= now
            if served.more or served.seen != self._newest(served)
            or (served.waiting is not None and served.waiting.due_at <= now)
        ]  # fmt: skip

    def _newest(self, served: Served) -> int:
        """Of what has no horizon of its own, once a second."""
        return self.horizon if served.kind == "feed" else int(monotonic())

    # --- keeping in touch with the database ---

    async def _tend(self) -> None:
        while not self._over.is_set():
            await self._kindly(self.poll)
            await _until(self._over, self.poll_seconds)

    async def poll(self) -> None:
        """Learn which endpoints are ours, what their owners changed, what waits, and how far the register has come."""
        async with self._polling:  # one look after another: an older one would undo a newer
            await self._poll()

    async def _poll(self) -> None:
        turns = {endpoint: served.turn for endpoint, served in self.served.items() if not served.busy}
        found = await self._thread(self._look)
        ours = {held.endpoint.endpoint_id for held, *_ in found}
        for endpoint in [each for each, served in self.served.items() if each not in ours and not served.busy]:
            del self.served[endpoint]
        for held, target, waiting in found:
            served = self.served.get(held.endpoint.endpoint_id)
            if served is not None and (served.busy or turns.get(held.endpoint.endpoint_id) != served.turn):
                continue  # a round has ended since we looked: it knows better
            if served is None or served.held.changed_at != held.changed_at:
                self.served[held.endpoint.endpoint_id] = Served(held, target, waiting, held.standing.after)
            else:
                served.held, served.target, served.waiting = held, target, waiting
        self._stir.set()

    def _look(self) -> list[tuple[Held, Target, books.Waiting | None]]:
        self.register.refresh()
        with self.pool.connection() as connection:
            if monotonic() - self._swept_at > SWEEP_SECONDS:
                self._swept_at = monotonic()
                books.sweep(connection, self.clock() - timedelta(days=LOG_DAYS))
            ours = books.claim(connection, self.me, self.clock())
            ids = [held.endpoint.endpoint_id for held in ours]
            waiting = books.waiting(connection, ids)
            keys = keyring.signing(connection, self.vault, ids, self.clock())
            networks = books.networks(connection, {held.owner.account for held in ours})
        found = []
        for held in ours:
            endpoint = held.endpoint.endpoint_id
            target = Target(held.endpoint, held.owner, keys[endpoint], networks.get(held.owner.account, ()))
            found.append((held, target, waiting.get(endpoint)))
        return found

    async def _listen(self) -> None:
        while not self._over.is_set():
            await self.news(self.horizon, self.poll_seconds)
            await self._kindly(self._see_horizon)

    async def _see_horizon(self) -> None:
        row = await self._thread(
            lambda: self._with_connection(lambda connection: connection.execute(HORIZON).fetchone())
        )
        horizon = (row[0] if row else 0) or 0
        if horizon != self.horizon:
            self.horizon = horizon
            self._stir.set()

    # --- one round ---

    async def _serve(self, served: Served) -> None:
        parcel: Parcel | None = None
        try:
            seen = self._newest(served)
            parcel = await self._thread(self.reader.read, served)
            if parcel is not None and await self._recorded(parcel):
                await self._send(parcel)
            elif parcel is None:
                served.seen = seen if not served.more else -1
        except Outdated:
            await self._kindly(lambda: self._thread(self.register.refresh))
        except FAULTS as error:
            log.warning("%s: %s", served.held.endpoint.endpoint_id, error)
            served.not_before = monotonic() + AGAIN_SECONDS
        except KouanError as error:
            await self._rest(served, error.detail)
        except Exception:
            log.exception("%s", served.held.endpoint.endpoint_id)
            served.not_before = monotonic() + AGAIN_SECONDS
        finally:
            if parcel is not None and parcel.grant is not None:
                parcel.grant.settle(0)  # unless that was done
            served.busy, served.turn = False, served.turn + 1
            self._stir.set()

    async def _recorded(self, parcel: Parcel) -> bool:
        """Whether the bytes may leave: their delivery is durable, and rests on the register as it is."""
        if parcel.grant is None:
            return True
        served = parcel.served
        intent = await self._thread(
            self.deliveries.intent, served.target.owner, served.item, self.clock(), parcel.delivered
        )
        [outcome] = await asyncio.wrap_future(self.deliveries.writer.submit([intent]))
        if outcome.status == "stale":
            await self._thread(self.register.refresh)
        return outcome.status != "stale"

    async def _send(self, parcel: Parcel) -> None:
        served, begun = parcel.served, monotonic()
        await self.sender.send(served.target, parcel.round, lambda: self.register.rights.position <= parcel.asof)
        await self._insist(partial(self._accept, parcel))
        settled = settle(parcel.round, self.clock(), self.chance)
        await self._insist(partial(self._write, served, settled, parcel))
        taken = sum(tried.verdict == "taken" for tried in parcel.round.tried)
        if parcel.round.before.failures or served.not_before:  # catching up
            pace = begun + taken / CATCH_UP_PER_SECOND
            served.not_before = pace if taken and served.more else 0.0
        all_taken = taken == len(parcel.round.tried)
        served.width = min(served.width * 4, WIDTH_MAX) if all_taken else WIDTH_MIN

    async def _accept(self, parcel: Parcel) -> None:
        price = await self._thread(self.deliveries.price, parcel.served.item, self.clock())
        intents = accepted(parcel, self.deliveries.stream, price, self.clock())
        if intents:
            await asyncio.wrap_future(self.deliveries.writer.submit(intents))
        if parcel.grant is not None:
            first = [tried for tried in parcel.round.tried if tried.verdict == "taken" and not tried.work.replayed]
            parcel.grant.settle(len(first))

    async def _write(self, served: Served, settled: Settled, parcel: Parcel) -> None:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._writing.append((Written(served.held, served.kind, settled, parcel.round.tried), done))
        self._write_now.set()
        if not await done:  # another sender has it
            self.served.pop(served.held.endpoint.endpoint_id, None)
            return
        served.cursor = settled.standing.after
        served.held = served.held._replace(standing=settled.standing)
        served.more |= parcel.round.last != settled.standing.after or settled.standing.after < parcel.round.before.after
        served.seen = -1
        if settled.puts or served.waiting is not None:
            endpoint = served.held.endpoint.endpoint_id
            found = await self._thread(self._with_connection, books.waiting, [endpoint])
            served.waiting = found.get(endpoint)
        if settled.standing.state != "active":
            self.served.pop(served.held.endpoint.endpoint_id, None)

    async def _write_all(self) -> None:
        """Rounds that end at the same time share a transaction."""
        while True:
            await self._write_now.wait()
            self._write_now.clear()
            taken, self._writing = self._writing, []
            try:
                kept = await self._thread(
                    self._with_connection, books.write, self.me, [written for written, _ in taken], self.clock()
                )
            except Exception as error:  # noqa: BLE001  who waits must hear it
                for _, done in taken:
                    done.set_exception(error)
                continue
            for written, done in taken:
                done.set_result(written.held.endpoint.endpoint_id in kept)

    async def _rest(self, served: Served, reason: str) -> None:
        """Nobody may be sent to now; asked again in a minute."""
        next_at = self.clock() + BARRED_REST
        standing = msgspec.structs.replace(served.held.standing, next_at=next_at, reason=reason)
        waits = [(served.held, next_at, reason)]
        await self._kindly(lambda: self._thread(self._with_connection, books.wait, self.me, waits))
        served.held = served.held._replace(standing=standing)

    # --- threads and faults ---

    def _with_connection(self, work: Callable[..., T], *values: Any) -> T:
        with self.pool.connection() as connection:
            return work(connection, *values)

    async def _thread(self, work: Callable[..., T], *values: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *values)

    async def _kindly(self, work: Callable[[], Awaitable[Any]]) -> None:
        """A database that is away is asked again soon."""
        try:
            await work()
        except FAULTS as error:
            log.warning("%s: %s", type(error).__name__, error)

    async def _insist(self, work: Callable[[], Awaitable[Any]]) -> None:
        """What was sent must be written, however long the database is away."""
        done = False
        while not done:
            try:
                await work()
                done = True
            except FAULTS as error:
                log.warning("%s: %s", type(error).__name__, error)
                if self._over.is_set():
                    raise
                await asyncio.sleep(AGAIN_SECONDS)


async def _until(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
