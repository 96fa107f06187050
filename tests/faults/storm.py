"""The conflict storm: many deciders on one declaration, in one process or several, while customs sends receipts on it.

Each decision folds the stream as it was read and is written on that very version (domain/deciding.py); a receipt that
comes between makes it decide again. The longest time to a recorded decision is the measure of fairness. With
FAULTS_CONNINFO in the environment, `python -m tests.faults.storm` is one such process; it begins at a line on its
standard input and tells what it waited on its standard output.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise

import msgspec

from api.pool import open_pool
from domain import declaration
from domain.deciding import Decider
from domain.declaration import Amended, Declaration
from domain.intent import Intent, NewFact
from domain.journal import Entry, Journal
from domain.report import Moment, Receipt
from domain.writer import Writer
from tests.faults import traffic
from tests.faults.ledger import Row

STREAM = "declaration:223320261000000001"
NUMBER = STREAM.partition(":")[2]
DECIDERS = 16
RECEIPT_SECONDS = 0.05  # between two receipts


class Told(msgspec.Struct, frozen=True):
    """What one process saw."""

    waits: list[float]  # seconds, one for each decision
    conflicts: int


class Storm(msgspec.Struct, frozen=True):
    """What came of it."""

    row: Row
    mean_s: float  # time to a recorded decision: sixteen turns, for each has sixteen before it
    entries: Sequence[Entry]

    @property
    def per_second(self) -> float:
        """Recorded decisions, while all were deciding."""
        return DECIDERS / self.mean_s


def run(server: str, decisions: int, processes: int = 1) -> Storm:
    """Every decider makes so many decisions; they are spread over so many processes (1: over this one's threads)."""
    with ExitStack() as stack:
        conninfo = stack.enter_context(traffic.fresh(server))
        journal = stack.enter_context(Journal("cargo", conninfo).opened())
        with working(conninfo) as decider:
            decider.decide(STREAM, fold, lambda state: declaration.lodge(state, by="d", at=traffic.NOW))
        with receipts(conninfo):
            if processes == 1:
                told = [storm(conninfo, "p0", DECIDERS, decisions)]
            else:
                told = elsewhere(conninfo, processes, decisions)
        waits = [wait for each in told for wait in each.waits]
        entries = journal.stream(stack.enter_context(journal.connect()), STREAM)
    row = _row(entries, processes, decisions, told)
    return Storm(row, sum(waits) / len(waits), entries)


@contextmanager
def working(conninfo: str) -> Iterator[Decider]:
    """A decider with its writer, as one process has it."""
    with Journal("cargo", conninfo).opened() as journal, open_pool(conninfo) as pool:
        writer = Writer(journal)
        decider = Decider(writer, pool)
        yield decider
        decider.stop()
        writer.stop()


@contextmanager
def receipts(conninfo: str) -> Iterator[None]:
    """Customs sends receipts on the declaration, by a writer of its own, whatever is being decided."""
    over = threading.Event()

    def send() -> None:
        with Journal("cargo", conninfo).opened() as journal:
            writer, number = Writer(journal), 0
            while not over.wait(RECEIPT_SECONDS):
                number += 1
                writer.write([_receipt(number)])
            writer.stop()

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            yield
        finally:
            over.set()
            sending.result()


def storm(conninfo: str, name: str, threads: int, decisions: int) -> Told:
    """The deciders of one process."""
    with working(conninfo) as decider, ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(_decide, decider, f"{name}t{number}", decisions) for number in range(threads)]
        return Told([wait for job in jobs for wait in job.result()], decider.conflicts)


def elsewhere(conninfo: str, processes: int, decisions: int) -> list[Told]:
    """The same in processes of their own, which begin together."""
    argv = [sys.executable, "-m", "tests.faults.storm", "--threads", str(DECIDERS // processes)]
    argv += ["--decisions", str(decisions), "--name"]
    start: partial[subprocess.Popen[bytes]] = partial(subprocess.Popen, env=os.environ | {"FAULTS_CONNINFO": conninfo})
    with ExitStack() as stack:
        started = [
            stack.enter_context(start([*argv, f"p{number}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for number in range(processes)
        ]
        for each in started:
            assert each.stdout
            assert each.stdout.readline() == b"ready\n"
        for each in started:
            assert each.stdin
            each.stdin.write(b"go\n")
            each.stdin.flush()
        return [msgspec.json.decode(each.communicate()[0], type=Told) for each in started]


def fold(entries: Sequence[Entry]) -> Declaration:
    return declaration.fold(NUMBER, ((entry.fact_id, entry.fact) for entry in entries))


def _decide(decider: Decider, name: str, decisions: int) -> list[float]:
    """Decide one after the other. Returns how long each took until it was recorded."""
    waits = []
    for number in range(decisions):
        start = time.monotonic()
        amend = partial(declaration.amend, by=name, reason=f"{name}/{number}", at=traffic.NOW)
        decider.decide(STREAM, fold, amend)
        waits.append(time.monotonic() - start)
    return waits


def _receipt(number: int) -> Intent:
    message = traffic.message("customs", str(number))
    report = Receipt(subject=STREAM, raw_code="L", when=Moment(traffic.NOW), text=str(number))
    told = declaration.observe(report, source="customs", message_id=message.message_id, sent_at=None, now=traffic.NOW)
    return Intent(message=message, facts=[NewFact(STREAM, message.message_id, told)])


def _row(entries: Sequence[Entry], processes: int, decisions: int, told: Sequence[Told]) -> Row:
    reasons = [entry.fact.reason for entry in entries if isinstance(entry.fact, Amended)]
    threads = range(DECIDERS // processes)
    acked = {
        f"p{process}t{thread}/{number}"
        for process in range(processes)
        for thread in threads
        for number in range(decisions)
    }
    where = "one process" if processes == 1 else f"{processes} processes"
    return Row(
        fault=f"conflict storm: {DECIDERS} deciders of {where} on one stream, {len(reasons)} decisions",
        injected=sum(each.conflicts for each in told),
        acked=len(acked),
        lost=len(acked - set(reasons)),
        doubled=len(reasons) - len(set(reasons)),
        longest_s=max(wait for each in told for wait in each.waits),
    )


def assert_one_after_the_other(entries: Sequence[Entry]) -> None:
    """Versions and positions without a break, and each decision made on the very state before it."""
    assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
    assert all(before.position < after.position for before, after in pairwise(entries))
    versions = [entry.fact.version for entry in entries if isinstance(entry.fact, Amended)]
    assert versions == list(range(2, len(versions) + 2))


def main() -> None:
    """One process of deciders."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--name", required=True)
    arguments.add_argument("--threads", type=int, required=True)
    arguments.add_argument("--decisions", type=int, required=True)
    options = arguments.parse_args()
    print("ready", flush=True)
    sys.stdin.readline()
    told = storm(os.environ["FAULTS_CONNINFO"], options.name, options.threads, options.decisions)
    print(msgspec.json.encode(told).decode())


if __name__ == "__main__":
    main()
