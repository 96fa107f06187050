"""The gap test: whoever reads "everything after n" while others write, abort and are killed never misses a fact.

Writers are threads of several processes, each with a connection of its own. The nemesis ends back ends by
pg_terminate_backend and whole processes by SIGKILL. The control writes without the lock and must be caught missing
facts: a gap test that cannot fail proves nothing.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from domain.journal import Journal
from tests.faults import traffic
from tests.faults.ledger import Ledger, Row
from tests.faults.writers import write_until

WRITERS = 8
PROCESSES = 2
BACKEND_EVERY_SECONDS = 0.25
PROCESS_EVERY_SECONDS = 2.5
LEAVE_SECONDS_MAX = 60.0
CONTROL_SECONDS = 1.5
CONTROL_ROUNDS_MAX = 10

OURS = "faults-writer"
VICTIM = """
SELECT pg_terminate_backend(pid)
FROM (
    SELECT pid
    FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = %s
    ORDER BY random()
    LIMIT 1
) AS victim
"""
LEFT = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"


class Tail:
    """One reader that follows the journal from the beginning, position by position."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self.seen: list[int] = []
        self._following = self._pool.submit(self._follow)

    def _follow(self) -> None:
        while True:
            try:
                with Journal("cargo", self._conninfo).opened() as journal, journal.connect(autocommit=True) as reader:
                    return self._read(journal, reader)
            except psycopg.OperationalError:
                time.sleep(0.05)  # a reader, too, may lose its connection: it goes on where it was

    def _read(self, journal: Journal, connection: psycopg.Connection[object]) -> None:
        last_round = False
        while True:
            page = journal.read(connection, after=self.seen[-1] if self.seen else 0, limit=traffic.PAGE)
            self.seen += [each.position for each in page]
            if last_round and not page:
                return
            last_round = self._over.is_set()
            if not page:
                time.sleep(0.001)

    def finish(self) -> list[int]:
        """Read what is left, then the positions in the order they came."""
        self._over.set()
        self._following.result(timeout=LEAVE_SECONDS_MAX)
        self._pool.shutdown()
        return self.seen


def run(server: str, folder: Path, seconds: float) -> Row:
    """Write, abort and kill for so long; the line of the table, where `lost` counts what the reader missed, too."""
    with traffic.fresh(server) as conninfo:
        ledger = Ledger(folder / "gap.ledger")
        writing = make_conninfo(conninfo, application_name=OURS)
        tail = Tail(conninfo)
        kills = _harass(writing, ledger, seconds)
        _wait_until_left(conninfo)
        seen = tail.finish()
        positions = []
        versions: Counter[str] = Counter()
        found: Counter[str] = Counter()
        for entry in traffic.stored(conninfo):
            positions.append(entry.position)
            versions[entry.stream] += 1
            found[traffic.label(entry)] += 1
            assert entry.version == versions[entry.stream], "the versions of a stream are not 1, 2, 3, …"
        unseen = len(set(positions) - set(seen))
        assert unseen or seen == positions, "the reader saw facts out of order, or such as are not there"
        row = ledger.row(f"gap: {WRITERS} writers, back ends and processes killed", kills, found, unseen=unseen)
        ledger.close()
        return row


def _harass(conninfo: str, ledger: Ledger, seconds: float) -> int:
    """The writers and their nemesis. Returns the kills."""
    end = time.monotonic() + seconds
    kills = generation = 0
    running = [_process(conninfo, ledger, f"p{index}g0w", seconds) for index in range(PROCESSES)]
    try:
        next_process = time.monotonic() + PROCESS_EVERY_SECONDS
        with psycopg.connect(conninfo, application_name="faults-nemesis", autocommit=True) as nemesis:
            while (left := end - time.monotonic()) > 0:
                time.sleep(min(BACKEND_EVERY_SECONDS, left))
                kills += nemesis.execute(VICTIM, (OURS,)).rowcount
                if time.monotonic() > next_process and left > 1:
                    generation += 1
                    index = generation % PROCESSES
                    running[index].send_signal(signal.SIGKILL)
                    running[index].wait()
                    running[index] = _process(conninfo, ledger, f"p{index}g{generation}w", left)
                    next_process = time.monotonic() + PROCESS_EVERY_SECONDS
                    kills += 1
        for process in running:
            assert process.wait(timeout=LEAVE_SECONDS_MAX) == 0, _log(ledger).read_text()[-2_000:]
    finally:
        for process in running:
            process.kill()
            process.wait()
    return kills


def _process(conninfo: str, ledger: Ledger, name: str, seconds: float) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "tests.faults.writers", "--name", name, "--seconds", f"{seconds:.2f}"]
    argv += ["--writers", str(WRITERS // PROCESSES)]
    environ = {**os.environ, "FAULTS_CONNINFO": conninfo, "FAULTS_LEDGER": str(ledger.path)}
    with _log(ledger).open("ab") as log:
        return subprocess.Popen(argv, env=environ, cwd=Path(__file__).parents[2], stdout=log, stderr=log)


def _log(ledger: Ledger) -> Path:
    return ledger.path.with_suffix(".log")


def _wait_until_left(conninfo: str) -> None:
    """A back end may be in the middle of its commit when its client is dead already."""
    deadline = time.monotonic() + LEAVE_SECONDS_MAX
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while connection.execute(LEFT, (OURS,)).fetchone() != (0,):
            assert time.monotonic() < deadline, "back ends of dead writers do not end"
            time.sleep(0.02)


def control(server: str, folder: Path) -> Row:
    """The same writers and reader without the lock, round after round until the reader has missed something."""
    with traffic.fresh(server) as conninfo:
        ledger = Ledger(folder / "control.ledger")
        missed = rounds = 0
        while not missed and rounds < CONTROL_ROUNDS_MAX:
            rounds += 1
            tail = Tail(conninfo)
            over = threading.Event()
            with ThreadPoolExecutor(WRITERS) as pool:
                names = [f"c{rounds}w{index}" for index in range(WRITERS)]
                running = [pool.submit(write_until, over.is_set, conninfo, n, ledger, locked=False) for n in names]
                time.sleep(CONTROL_SECONDS + random.random() / 10)
                over.set()
                for each in running:
                    each.result()
            missed = len({entry.position for entry in traffic.stored(conninfo)} - set(tail.finish()))
        row = ledger.row("control: the same without the lock", rounds, traffic.found(conninfo), unseen=missed)
        ledger.close()
        return row
