"""Questions that wait at the same moment are taken together by one thread, which shares its queries and its commit.

The thread is handed whatever has gathered and answers with a future of as many results; a result that is an exception
is raised where it was asked. Who asks is told only after the future is done: after its delivery is durable, that is.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Generic, NamedTuple, TypeVar

import psycopg

from domain.intent import Outcome
from domain.writer import Busy

TOGETHER_MAX = 256
WAITING_MAX = 20_000
ATTEMPTS_MAX = 20  # of a question that the register overtakes each time

Q = TypeVar("Q")
Results = Sequence[bytes | Exception]


class _Waiting(NamedTuple):
    told: "asyncio.Future[bytes]"
    loop: asyncio.AbstractEventLoop


class Together(Generic[Q]):
    """The queue and its thread."""

    def __init__(self, name: str, serve: Callable[[Sequence[Q]], "Future[Results]"]) -> None:
        self._serve = serve
        self._queue: deque[tuple[Q, _Waiting]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def ask(self, question: Q) -> bytes:
        """Wait for the answer. Raises what the answer is if that is an exception, and Busy."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(loop.create_future(), loop)
        with self._changed:
            if self._stopping or len(self._queue) >= WAITING_MAX:
                raise Busy("提问过多，请稍后再试 / too many questions are waiting; try again")
            self._queue.append((question, waiting))
            self._changed.notify()
        return await waiting.told

    async def ask_until_settled(self, question: Q, refresh: Callable[[], None]) -> bytes:
        """The same, asked again with what `refresh` has read whenever the register has moved on. Raises Busy."""
        for _ in range(ATTEMPTS_MAX):
            try:
                return await self.ask(question)
            except Moved:
                await asyncio.to_thread(refresh)
        raise Busy("授权正在变动，请稍后再问 / permissions are changing this very moment; ask again")

    def stop(self) -> None:
        """Answer who waits, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while taken := self._gather():
            waiting = [each for _, each in taken]
            try:
                done = self._serve([question for question, _ in taken])
                done.add_done_callback(partial(_settle_with, waiting))
            except Exception as error:  # noqa: BLE001  whatever it is, those who wait must hear it
                _settle(waiting, [_told(error)] * len(waiting))

    def _gather(self) -> list[tuple[Q, _Waiting]]:
        with self._changed:
            while not self._queue and not self._stopping:
                self._changed.wait()
            return [self._queue.popleft() for _ in range(min(len(self._queue), TOGETHER_MAX))]


class Moved(Exception):
    """The register has changed between the look and its record: nothing was recorded, ask again."""


def chained(written: "Future[list[Outcome]]", results: Results) -> "Future[Results]":
    """Done with these results once the record of each is durable; nothing leaves whose record could not be made."""
    future: Future[Results] = Future()

    def settle(done: "Future[list[Outcome]]") -> None:
        if error := done.exception():
            future.set_exception(error)
            return
        pairs = zip(done.result(), results, strict=True)
        future.set_result([Moved() if outcome.status == "stale" else result for outcome, result in pairs])

    written.add_done_callback(settle)
    return future


def _settle_with(waiting: Sequence[_Waiting], done: "Future[Results]") -> None:
    _settle(waiting, _results(done, waiting))


def _results(future: "Future[Results]", waiting: Sequence[_Waiting]) -> Results:
    error = future.exception()
    return [_told(error)] * len(waiting) if error else future.result()


def _told(error: BaseException) -> Exception:
    if isinstance(error, psycopg.OperationalError):
        return Busy("数据库暂不可用 / the database cannot be reached; try again")
    return error if isinstance(error, Exception) else Busy(str(error))


def _settle(waiting: Sequence[_Waiting], results: Results) -> None:
    """Tell all who wait in one loop in one call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, bytes | Exception]]] = {}
    for each, result in zip(waiting, results, strict=True):
        by_loop.setdefault(each.loop, []).append((each, result))
    for loop, pairs in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_tell, pairs)


def _tell(pairs: Sequence[tuple[_Waiting, bytes | Exception]]) -> None:
    for each, result in pairs:
        if each.told.done():
            continue  # who asked has gone
        if isinstance(result, Exception):
            each.told.set_exception(result)
        else:
            each.told.set_result(result)
