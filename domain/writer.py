"""Group commit: one writer thread for each process and journal.

Requests hand in their intents and wait; the thread takes whatever has gathered, writes it in one transaction and
answers everybody. While one commit is on its way to the disk the next batch gathers by itself, so nobody waits for
company. The queue is bounded: a full one is told at once (`Busy`), for a promise that cannot be kept is worse than
none.
"""

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import psycopg

from domain.errors import KouanError
from domain.intake import Batch, Heads
from domain.intent import Intent, Outcome
from domain.journal import Journal

FACTS_PER_COMMIT_MAX = 2_000
FACTS_QUEUED_MAX = 200_000
WRITE_SECONDS_MAX = 30.0
"""How long the writer keeps trying one batch while the database is away before it tells the waiters."""

WATCH_SECONDS = 0.5

TOO_LONG = psycopg.errors.ProgramLimitExceeded
"""Counted among the faults of the server, yet it is one text that is too long for its index: no repetition helps."""

log = logging.getLogger("kouan.writer")


Submission = tuple[Sequence[Intent], int, "Future[list[Outcome]]"]
"""Intents that belong together, how much they weigh, and who waits for their outcomes."""


class Busy(KouanError):
    """The queue is full, or the journal cannot be reached; nothing was written that will not be found on a repeat."""

    slug = "busy"
    title = "The journal cannot take more at this moment"


class Writer:
    """The queue and its thread."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._queue: deque[Submission] = deque()
        self._queued = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._connection: psycopg.Connection[Any] | None = None
        self._heads = Heads()
        self._busy_since: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{journal.name}-writer", daemon=True)
        self._thread.start()
        threading.Thread(target=self._watch, name=f"{journal.name}-watch", daemon=True).start()

    def submit(self, intents: Sequence[Intent]) -> "Future[list[Outcome]]":
        """Hand in intents that belong together; the future's outcomes are in their order, after commit.

        Raises Busy if the queue is full or the writer is stopping.
        """
        weight = _weight(intents)
        future: Future[list[Outcome]] = Future()
        with self._changed:
            if self._stopping or self._queued + weight > FACTS_QUEUED_MAX:
                raise Busy(f"The {self.journal.name} journal has {self._queued} facts waiting; try again")
            self._queue.append((intents, weight, future))
            self._queued += weight
            self._changed.notify()
        return future

    def write(self, intents: Sequence[Intent]) -> list[Outcome]:
        """Submit and wait."""
        return self.submit(intents).result()

    def stop(self) -> None:
        """Write what is queued, then end. Later submissions are refused."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()
        self._ended.set()
        if self._connection is not None:
            self._connection.close()

    def _run(self) -> None:
        while taken := self._gather():
            try:
                self._answer(taken)
            except Exception as error:  # noqa: BLE001  whatever it is, those who wait must hear it
                self._heads.forget()
                if len(taken) > 1 and not isinstance(error, Busy):
                    self._one_by_one(taken)
                else:
                    _tell(taken, error)

    def _answer(self, taken: list[Submission]) -> None:
        outcomes = iter(self._persist([intent for intents, *_ in taken for intent in intents]))
        for intents, _, future in taken:
            own = [next(outcomes) for _ in intents]
            if future.running():
                future.set_result(own)

    def _one_by_one(self, taken: list[Submission]) -> None:
        """Something in the batch cannot be written at all: only those who sent it may suffer."""
        for each in taken:
            try:
                self._answer([each])
            except Exception as error:  # noqa: BLE001
                self._heads.forget()
                _tell([each], error)

    def _gather(self) -> list[Submission]:
        """What one transaction will hold; empty when the writer ends."""
        taken: list[Submission] = []
        facts = 0
        with self._changed:
            while not self._queue and not self._stopping:
                self._changed.wait()
            while self._queue and facts < FACTS_PER_COMMIT_MAX:
                each = self._queue.popleft()
                _, weight, future = each
                facts += weight
                self._queued -= weight
                future.set_running_or_notify_cancel()  # whoever went away is written all the same, just not told
                taken.append(each)
        return taken

    def _persist(self, intents: Sequence[Intent]) -> list[Outcome]:
        """One transaction.

        After a lost connection the whole batch is decided again: what the lost attempt did commit is found there by its
        ids and answered as ours, so an unknown outcome never becomes a wrong answer.
        """
        deadline = time.monotonic() + WRITE_SECONDS_MAX
        pause = 0.05
        again = False
        while True:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = self.journal.connect()
                self._busy_since = time.monotonic()
                with self._connection.transaction():
                    return Batch(self.journal.recorder, self._connection, intents, self._heads, again=again).write()
            except TOO_LONG:
                raise
            except psycopg.OperationalError as error:
                again = True
                log.warning("%s journal: %s", self.journal.name, error)
                self._drop_connection()
                if time.monotonic() + pause > deadline:
                    raise Busy(f"The {self.journal.name} journal cannot be reached; try again") from error
                time.sleep(pause)
                pause = min(pause * 2, 2.0)
            finally:
                self._busy_since = None

    def _watch(self) -> None:
        """End the wait for a server that takes every packet and says nothing: no time-out of the wire sees that."""
        while not self._ended.wait(WATCH_SECONDS):
            since, connection = self._busy_since, self._connection
            if since is not None and connection is not None and time.monotonic() - since > WRITE_SECONDS_MAX:
                log.error("%s journal: no answer for %.0f s, the line is cut", self.journal.name, WRITE_SECONDS_MAX)
                with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
                    line.shutdown(socket.SHUT_RDWR)

    def _drop_connection(self) -> None:
        self._heads.forget()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _weight(intents: Sequence[Intent]) -> int:
    return sum([len(intent.facts) for intent in intents]) + 1


def _tell(taken: list[Submission], error: Exception) -> None:
    for *_, future in taken:
        if future.running():
            future.set_exception(error)
