"""Where the time of the intake goes: the steps of one body, one after the other in this process, for each format.

Microseconds for each fact; `waiting` is the part of the writing in which this process only waits for the server.
"""

import gc
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import psycopg

from api.app import GC_THRESHOLD
from api.formats import registry
from api.intake import Whence, intents, readings, receipts
from domain.intake import Batch, Heads
from domain.intent import Intent, Outcome
from domain.journal import Journal
from tests.bench import traffic
from tests.bench.servers import Bench
from tests.bench.write import FILLED, PER_REQUEST

BODIES = 40
WARM = 10


def breakdown(bench: Bench, figures: dict[str, float]) -> None:
    """Read, decide, write and answer bodies without HTTP, and say how long each step took."""
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLD)
    with Journal("cargo", bench.conninfo).opened() as journal, journal.connect() as connection:
        for index, (name, make) in enumerate(traffic.FORMATS.items()):
            spent: dict[str, float] = defaultdict(float)
            heads = Heads()
            for number in range(BODIES):
                if number == WARM:
                    spent.clear()
                body = make((index + 20) * FILLED + number * PER_REQUEST, PER_REQUEST)
                _one(name, body, partial(_write, journal, connection, heads), spent)
            facts = (BODIES - WARM) * PER_REQUEST
            told = {step: 1e6 * seconds / facts for step, seconds in spent.items()}
            steps = ", ".join(f"{step} {us:.1f}" for step, us in told.items())
            print(f"where the time goes, {name}: {steps} us a fact")
            figures |= {f"us_{name}_{step}": us for step, us in told.items()}
    gc.set_threshold(*before)
    gc.unfreeze()


def _write(journal: Journal, connection: psycopg.Connection[Any], heads: Heads, wanted: list[Intent]) -> list[Outcome]:
    with connection.transaction():
        return Batch(journal.recorder, connection, wanted, heads).write()


def _one(name: str, body: bytes, write: Callable[[list[Intent]], list[Outcome]], spent: dict[str, float]) -> None:
    whence = Whence("bench-source", name, datetime.now(UTC))
    clock = Clock(spent)
    found = readings(registry.READERS[name], body, whence.received_at)
    clock.mark("reading")
    wanted = intents(body, found, whence)
    clock.mark("deciding")
    outcomes = write(wanted)
    clock.mark("writing", waiting="waiting")
    msgspec.json.encode(receipts(wanted, outcomes))
    clock.mark("answering")


class Clock:
    """Adds up the time of this thread since the last mark, and the time in which it only waited."""

    def __init__(self, spent: dict[str, float]) -> None:
        self.spent = spent
        self.last = (time.thread_time(), time.perf_counter())

    def mark(self, step: str, waiting: str = "") -> None:
        now = (time.thread_time(), time.perf_counter())
        worked = now[0] - self.last[0]
        self.spent[step] += worked
        if waiting:
            self.spent[waiting] += now[1] - self.last[1] - worked
        self.last = now
