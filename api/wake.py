"""Waiting for news: one connection of a process tells all who wait that the feed has grown.

The journal's notice says that something was recorded; it can be handed out once the read models of the feed have taken
it in. So behind a notice the horizon is asked for until it has moved, and now and then without one. Nobody waiting:
nothing is asked. Seconds.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql

from domain.journal import KEEPALIVE
from projections.feed import HORIZON

CHANNEL = "cargo_events"
POLL_SECONDS = 1.0  # if no notice came
NEAR_SECONDS = 0.02  # between two looks while the read models take in what was announced
NEAR_LOOKS = 50
IDLE_SECONDS = 30.0  # the connection is kept for so long after the last one who waited

_KEEPALIVE: dict[str, Any] = {**KEEPALIVE}

log = logging.getLogger("kouan.wake")


class Wake:
    """One for each process and event loop."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._waiting: dict[asyncio.Future[None], int] = {}  # whoever waits, and behind which position
        self._watch: asyncio.Task[None] | None = None
        self._horizon = 0

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    async def wait(self, position: int, seconds: float) -> bool:
        """Until the feed reaches past a position; False if it has not within that time."""
        if seconds <= 0:
            return False
        if self._watch is not None and not self._watch.done() and position < self._horizon:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = position
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._run())
        try:
            await asyncio.wait_for(waiter, seconds)
        except TimeoutError:
            return False
        else:
            return True
        finally:
            self._waiting.pop(waiter, None)

    async def stop(self) -> None:
        """Whoever waits is let go."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        for waiter in self._past(2**63):
            waiter.set_result(None)

    async def _run(self) -> None:
        """For as long as somebody waits, and a little longer; through every fault of the database."""
        last = time.monotonic()
        while self._waiting or time.monotonic() - last < IDLE_SECONDS:
            try:
                last = await self._follow(last)
            except (psycopg.Error, OSError) as error:
                log.warning("等待通知中断 / waiting for news was interrupted: %s", error)
                await asyncio.sleep(POLL_SECONDS)

    async def _follow(self, last: float) -> float:
        """On one connection. Returns when somebody waited last."""
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, connect_timeout=5, **_KEEPALIVE
        )
        async with connection:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
            while self._waiting or time.monotonic() - last < IDLE_SECONDS:
                last = time.monotonic() if self._waiting else last
                await self._look(connection)
                if [notice async for notice in connection.notifies(timeout=POLL_SECONDS, stop_after=1)]:
                    await self._near(connection)
        return last

    async def _near(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Something was recorded: wait until it can be handed out."""
        before = self._horizon
        for _ in range(NEAR_LOOKS):
            await self._look(connection)
            if self._horizon > before:
                return
            await asyncio.sleep(NEAR_SECONDS)

    async def _look(self, connection: psycopg.AsyncConnection[Any]) -> None:
        row = await (await connection.execute(HORIZON, prepare=True)).fetchone()
        self._horizon = (row[0] if row else 0) or 0
        for waiter in self._past(self._horizon):
            waiter.set_result(None)

    def _past(self, horizon: int) -> Iterator[asyncio.Future[None]]:
        return (waiter for waiter, behind in list(self._waiting.items()) if behind < horizon and not waiter.done())
