"""Writers that keep writing until they are told to stop, or are killed; also a process of its own.

`python -m tests.faults.writers`, with FAULTS_CONNINFO and FAULTS_LEDGER in the environment, runs four writers, each
with its own journal and connection, for the seconds given. What it has been told is in the ledger at that moment.
"""

import argparse
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from domain.journal import Journal, JournalRecorder
from domain.writer import Busy, Writer
from tests.faults import traffic
from tests.faults.ledger import Ledger

SIZES = (1, 1, 2, 10, 50, 200, 500)
ABORTED_SHARE = 0.1
SLEEP_SECONDS_MAX = 0.02


class Unlocked(JournalRecorder):
    """The control: no lock, and time to be overtaken between reserving positions and commit."""

    def lock(self, cursor: psycopg.Cursor[Any]) -> None:
        """Takes none."""

    def copy(self, *args: Any, **kwargs: Any) -> int:
        last = super().copy(*args, **kwargs)
        time.sleep(random.random() * SLEEP_SECONDS_MAX)
        return last


def unlock(journal: Journal) -> None:
    """Take the lock out of one journal object."""
    stock = journal.recorder
    journal.recorder = Unlocked(stock.datastore, events_table_name=stock.events_table_name)


def write_until(
    over: Callable[[], bool], conninfo: str, name: str, ledger: Ledger, *, locked: bool = True, aborts: bool = True
) -> None:
    """Write batches of mixed sizes, of which some are aborted; nothing else may fail."""
    rng = random.Random(name)
    number = 0
    with Journal("cargo", conninfo).opened() as journal:
        if not locked:
            unlock(journal)
        writer = Writer(journal)
        while not over():
            number += 1
            size = rng.choice(SIZES)
            bad = aborts and rng.random() < ABORTED_SHARE
            make = traffic.aborted if bad else traffic.batch
            start = time.monotonic()
            try:
                [outcome] = writer.write(make(f"{name}/{number}", size, shared=locked))
            except psycopg.DataError:
                assert bad
                continue
            except psycopg.IntegrityError:
                assert not locked, "two writers were given the same position or version"
                continue
            except Busy:
                continue  # nobody knows what became of it, and nobody was told otherwise
            assert not bad
            assert outcome.status == "recorded"
            ledger.ack(f"{name}/{number}", size, time.monotonic() - start)
        writer.stop()


def main() -> None:
    """One process of writers."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--name", required=True)
    arguments.add_argument("--writers", type=int, default=4)
    arguments.add_argument("--seconds", type=float, required=True)
    options = arguments.parse_args()
    ledger = Ledger(Path(os.environ["FAULTS_LEDGER"]))
    conninfo = os.environ["FAULTS_CONNINFO"]
    over = threading.Event()
    with ThreadPoolExecutor(options.writers) as pool:
        names = [f"{options.name}{index}" for index in range(options.writers)]
        running = [pool.submit(write_until, over.is_set, conninfo, name, ledger) for name in names]
        with suppress(KeyboardInterrupt):
            time.sleep(options.seconds)
        over.set()
        for each in running:
            each.result()


if __name__ == "__main__":
    main()
