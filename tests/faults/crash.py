"""kill -9 of the whole PostgreSQL under load: what was acknowledged before it is there after it, once.

The server is durable, has a home of its own and is started again as the product does it. The writers are not told:
they keep trying the batch they have, and it is answered when the server is back.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from api import embedded
from api.processes import all_that_work_in, gone
from domain import schema
from tests.faults import traffic
from tests.faults.ledger import Ledger, Row
from tests.faults.writers import write_until

WRITERS = 4
LOAD_SECONDS = 1.5
BACK_SECONDS_MAX = 120.0


def run(home: Path, folder: Path, kills: int) -> Row:
    """Load, kill, start again, so many times; the line of the table."""
    with server(home) as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            schema.migrate(connection)
        ledger = Ledger(folder / "crash.ledger")
        over = threading.Event()
        with ThreadPoolExecutor(WRITERS) as pool:
            names = [f"k{index}" for index in range(WRITERS)]
            running = [pool.submit(write_until, over.is_set, conninfo, name, ledger, aborts=False) for name in names]
            try:
                for _ in range(kills):
                    _wait_for(ledger, names)
                    time.sleep(LOAD_SECONDS)
                    kill(home)
                    embedded.start(home)
                _wait_for(ledger, names)
            finally:
                over.set()
            for each in running:
                each.result()
        row = ledger.row(f"kill -9 of PostgreSQL under {WRITERS} writers", kills, traffic.found(conninfo))
        ledger.close()
        return row


@contextmanager
def server(home: Path, *, fast: bool = False) -> Iterator[str]:
    """An embedded server with a home of its own, and nothing of it left in the end."""
    try:
        yield embedded.start(home, fast=fast)
    finally:
        embedded.stop(home)
        far = embedded.socket_directory(home)
        if far.parent != home.resolve() and far.exists():
            far.rmdir()


def kill(home: Path) -> None:
    """The postmaster and every process of it, at once."""
    victims = all_that_work_in("postgres", home.resolve() / "pg")
    assert victims
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert gone(victims, BACK_SECONDS_MAX)


def _wait_for(ledger: Ledger, names: list[str]) -> None:
    """Until every writer has had an answer after this moment."""
    before = len(ledger.entries())
    deadline = time.monotonic() + BACK_SECONDS_MAX
    while not {name.split("/")[0] for name, *_ in ledger.entries()[before:]} >= set(names):
        assert time.monotonic() < deadline, "the writers do not get on"
        time.sleep(0.05)
