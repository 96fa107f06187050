"""Capacity that paid traffic cannot take: a share of each process is kept for the services of government.

A route says `opt={"item_class": "commercial"}`. Of the requests that a process works on at a time
(`KOUAN_BACKPRESSURE`) those of such routes may be `KOUAN_COMMERCIAL_SHARE` per cent; one more is answered at once with
503, and its place is free again for whoever asks next. What the server counts are connections, idle ones too, so a
commercial one ends with its answer. A commercial route reads in a few threads of its own
(`in_thread`), so that its queue for them and for connections stands in nobody's way.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import CapacityReserved
from api.settings import Settings

COMMERCIAL = "commercial"
THREADS = 3  # and as many connections, of api.pool.POOL_SIZE
T = TypeVar("T")

_threads = ThreadPoolExecutor(THREADS, COMMERCIAL)


class Places:
    """How many commercial requests one process works on. Touched by the event loop alone."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0

    @classmethod
    def of(cls, settings: Settings) -> "Places":
        return cls(max(1, settings.backpressure * settings.commercial_share // 100))


class Capacity:
    """Lets commercial requests through while there are places. Raises CapacityReserved."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:  # no coroutine where there is no question
        if scope["route_handler"].opt.get("item_class") != COMMERCIAL:
            return self.app(scope, receive, send)
        return self._placed(scope, receive, send)

    async def _placed(self, scope: Scope, receive: Receive, send: Send) -> None:
        places: Places = scope["litestar_app"].state.places
        if places.taken >= places.most:
            raise CapacityReserved(
                f"同时处理的有偿请求已达 {places.most} 个，其余能力留给政务服务，请稍后再试"
                f" / {places.most} paid requests are being worked on, the rest is kept for government; try again",
                limit=places.most,
            )
        places.taken += 1

        def closing(message: Message) -> Any:
            if message["type"] == "http.response.start" and scope["http_version"].startswith("1"):
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            return send(message)

        try:
            await self.app(scope, receive, closing)
        finally:
            places.taken -= 1


async def in_thread(work: Callable[[], T]) -> T:
    """Run what waits for the database in a thread that paid traffic has to itself."""
    return await asyncio.get_running_loop().run_in_executor(_threads, work)
