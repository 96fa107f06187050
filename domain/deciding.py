"""Decisions: read one stream, fold it, decide, and write on the very version that was read; else read on, decide again.

Deciders on one stream stand in line, first come, first served: inside the process in a queue for each stream, between
processes by an advisory lock that PostgreSQL hands on in order. So they never race each other, and none starves; what
can still come between is an observation by a source, and then only what is new is read. The lock is for fairness
alone: that nothing is overtaken is checked by the writer, under the journal's own lock.

A decision returns the facts to write, none if there is nothing new, or raises Refused. It must not change anything
itself, for it may be asked again. Its facts get ids derived from the id of the decision: a caller that gives the same
id again, not knowing what became of the first attempt, is told of the facts that are there. Times are seconds.

    decider.decide("hold:7", folded(Hold(), evolve), lambda hold: release(hold, by=by, at=now))      # in a thread
    await asyncio.wrap_future(decider.submit(…))                                                     # in a route
"""

import logging
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import reduce
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from domain.errors import Refused, Stale
from domain.fact import Fact, digest_id
from domain.intent import Intent, NewFact
from domain.journal import LOCKS, Entry
from domain.writer import Busy, Writer

ATTEMPTS_MAX = 50
SECONDS_MAX = 10.0  # from the submission on, waiting included
LOCK_SECONDS_MAX = 3.0  # one that holds the line and hangs stops nobody for longer
THREADS = 4  # streams on which one process decides at the same moment
WAITING_MAX = 10_000
LINES = 0x4B50  # first key of the advisory locks, before the journal's number

S = TypeVar("S")
Fold = Callable[[Sequence[Entry]], S]
"""The whole stream in journal order, from the first entry; empty if it is not known."""

log = logging.getLogger("kouan.deciding")


class UnreadableStream(Refused):
    """An entry of the stream cannot be decoded, and nobody decides on half a story."""

    slug = "unreadable-stream"
    title = "What happened before cannot be read"


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision came to."""

    version: int  # of the stream, with the decision in it
    position: int  # in the journal; 0 where the stream is not known
    facts: Sequence[NewFact] = ()  # its own; none: it had nothing new to say


class _Job(msgspec.Struct, Generic[S]):
    stream: str
    fold: Fold[S]
    decision: Callable[[S], Sequence[Fact]]
    key: UUID
    version: int | None  # that the caller saw
    future: "Future[Decided]"
    deadline: float  # monotonic


class _Line:
    """Who waits for one stream, and what has been read of it; kept for as long as somebody waits."""

    def __init__(self) -> None:
        self.jobs: deque[_Job[Any]] = deque()
        self.entries: list[Entry] = []


def folded(initial: S, evolve: Callable[[S, Any], S]) -> Fold[S]:
    """The fold of an aggregate that takes its facts in the order of the journal."""
    return lambda entries: reduce(evolve, (entry.fact for entry in entries), initial)


class Decider:
    """The lines of one process and journal, and the few threads that serve them."""

    def __init__(self, writer: Writer, pool: ConnectionPool[psycopg.Connection[Any]]) -> None:
        """The pool's connections must be in autocommit, and not of a standby."""
        self.writer = writer
        self.pool = pool
        self.conflicts = 0  # decisions that came too late and were made again
        self._lock_class = LINES + LOCKS[writer.journal.name][1]
        self._lines: dict[str, _Line] = {}
        self._waiting = 0
        self._changed = threading.Condition()
        self._threads = ThreadPoolExecutor(THREADS, f"{writer.journal.name}-decider")
        self._stopping = False

    def decide(
        self,
        stream: str,
        fold: Fold[S],
        decision: Callable[[S], Sequence[Fact]],
        *,
        key: UUID | None = None,
        version: int | None = None,
    ) -> Decided:
        """Submit and wait."""
        return self.submit(stream, fold, decision, key=key, version=version).result()

    def submit(
        self,
        stream: str,
        fold: Fold[S],
        decision: Callable[[S], Sequence[Fact]],
        *,
        key: UUID | None = None,
        version: int | None = None,
    ) -> "Future[Decided]":
        """Stand in line; the future is done when the facts are durable.

        `key`: the id of the decision, the same when it is asked for again (of an Idempotency-Key, say). `version`: what
        the caller saw (If-Match); another one is Stale at once. The future raises what the decision raises, Stale when
        there was no end of others, UnreadableStream, or Busy; this raises Busy when too many wait.
        """
        future: Future[Decided] = Future()
        job = _Job(stream, fold, decision, key or uuid4(), version, future, time.monotonic() + SECONDS_MAX)
        with self._changed:
            if self._stopping or self._waiting >= WAITING_MAX:
                raise Busy("等待决定者过多，请稍后再试 / too many decisions are waiting; try again")
            self._waiting += 1
            line = self._lines.setdefault(stream, _Line())
            line.jobs.append(job)
            if len(line.jobs) == 1:
                self._threads.submit(self._serve, stream, line)
        return future

    def stop(self) -> None:
        """Decide for those who wait, then end."""
        with self._changed:
            self._stopping = True
            self._changed.wait_for(lambda: not self._lines)
        self._threads.shutdown()

    def _serve(self, stream: str, line: _Line) -> None:
        """The first of the line; then the line goes behind those of other streams."""
        job = line.jobs[0]
        if job.future.set_running_or_notify_cancel():
            try:
                job.future.set_result(self._decide(job, line.entries))
            except psycopg.OperationalError as error:
                log.warning("%s: %s", stream, error)
                job.future.set_exception(Busy("数据库暂不可用 / the database cannot be reached; try again"))
            except BaseException as error:  # noqa: BLE001  whatever it is, who waits must hear it
                job.future.set_exception(error)
        with self._changed:
            self._waiting -= 1
            line.jobs.popleft()
            if line.jobs:
                self._threads.submit(self._serve, stream, line)
            else:
                del self._lines[stream]
                self._changed.notify_all()

    def _decide(self, job: _Job[S], entries: list[Entry]) -> Decided:
        if time.monotonic() > job.deadline:
            raise Busy("等待过久，请稍后再试 / the wait for one's turn was too long; try again")
        decided: Decided | None = None
        try:
            with self.pool.connection() as connection, connection.transaction():
                self._line_up(connection, job.stream)
                decided = self._in_turn(connection, job, entries)
        except psycopg.OperationalError:
            if decided is None:  # else no more than the turn is lost, which is over
                raise
        if decided is None:
            raise Stale(
                f"{job.stream} 已有更新，请重读后再定 / {job.stream} has changed; read it again, then decide",
                stream=job.stream,
                version=len(entries),
            )
        return decided

    def _in_turn(self, connection: psycopg.Connection[Any], job: _Job[S], entries: list[Entry]) -> Decided | None:
        """None: the caller saw another version, or there was no end of others."""
        for _ in range(ATTEMPTS_MAX):
            self._read_on(connection, job.stream, entries)
            if there := _already(job, entries):
                return there
            if job.version not in {None, len(entries)} or time.monotonic() > job.deadline:
                return None
            if decided := self._attempt(job, entries):
                return decided
            self.conflicts += 1
        return None

    def _attempt(self, job: _Job[S], entries: list[Entry]) -> Decided | None:
        """None: somebody wrote in the meantime."""
        told = job.decision(job.fold(entries))
        if not told:
            return Decided(version=len(entries), position=entries[-1].position if entries else 0)
        facts = [NewFact(job.stream, _fact_id(job, number), each) for number, each in enumerate(told)]
        [outcome] = self.writer.write([Intent(facts=facts, expected=(job.stream, len(entries)))])
        if outcome.status == "stale":
            return None
        return Decided(version=len(entries) + len(facts), position=outcome.position, facts=facts)

    def _line_up(self, connection: psycopg.Connection[Any], stream: str) -> None:
        """Wait for the turn among processes; it is ours until the transaction ends. Too long a wait: go without it."""
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = {int(LOCK_SECONDS_MAX * 1000)}")
                number = zlib.crc32(stream.encode()) - 2**31
                connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (self._lock_class, number), prepare=True)
        except psycopg.errors.LockNotAvailable:
            log.warning("%s: 前者迟迟不让 / whoever is before us takes too long; not waiting", stream)

    def _read_on(self, connection: psycopg.Connection[Any], stream: str, entries: list[Entry]) -> None:
        try:
            entries += self.writer.journal.stream(connection, stream, len(entries))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise UnreadableStream(
                f"{stream} 中有一条无法解读，暂不能决定 / an entry of {stream} cannot be read, so nothing is decided",
                stream=stream,
            ) from error


def _fact_id(job: _Job[Any], number: int) -> UUID:
    return digest_id("decision", str(job.key), job.stream, str(number))


def _already(job: _Job[Any], entries: Sequence[Entry]) -> Decided | None:
    """The same decision, made by an attempt of whose end nobody was told: its facts stand together."""
    first = _fact_id(job, 0)
    at = next((at for at, entry in enumerate(entries) if entry.fact_id == first), None)
    if at is None:
        return None
    own = []
    for number, entry in enumerate(entries[at:]):
        if entry.fact_id != _fact_id(job, number):
            break
        own.append(entry)
    facts = [NewFact(entry.stream, entry.fact_id, entry.fact) for entry in own]
    return Decided(version=own[-1].version, position=own[-1].position, facts=facts)
