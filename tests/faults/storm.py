"""The conflict storm: many deciders on one declaration, each deciding again whenever another one was first.

Sixteen threads share two writers, as two processes would. A decision folds the stream as it was read, and is written
with the version that it was based on; `stale` means: read again, decide again. Nobody waits by design, so the longest
time to a recorded decision is a measure of fairness.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise

import msgspec

from domain import declaration
from domain.declaration import Amended
from domain.delivery import new_id
from domain.fact import Fact
from domain.intent import Intent, NewFact
from domain.journal import Entry, Journal
from domain.writer import Writer
from tests.faults import traffic
from tests.faults.ledger import Row, Tally

STREAM = "declaration:223320261000000001"
NUMBER = STREAM.partition(":")[2]
THREADS = 16
WRITERS = 2


class Storm(msgspec.Struct, frozen=True):
    """What came of it."""

    row: Row
    per_second: float  # recorded decisions
    conflicts: int
    entries: Sequence[Entry]


def run(server: str, decisions: int) -> Storm:
    """Every thread makes so many decisions."""
    with ExitStack() as stack:
        conninfo = stack.enter_context(traffic.fresh(server))
        journals = [stack.enter_context(Journal("cargo", conninfo).opened()) for _ in range(WRITERS)]
        writers = [Writer(journal) for journal in journals]
        for writer in writers:
            stack.callback(writer.stop)
        lodged = declaration.lodge(declaration.Declaration(NUMBER), by="d", at=traffic.NOW)
        writers[0].write([Intent(facts=[_new(told) for told in lodged], expected=(STREAM, 0))])
        conflicts = Tally()
        start = time.monotonic()
        with ThreadPoolExecutor(THREADS) as pool:
            jobs = [pool.submit(_decide, writers[n % WRITERS], f"t{n}", decisions, conflicts) for n in range(THREADS)]
            waits = [wait for job in jobs for wait in job.result()]
        seconds = time.monotonic() - start
        with journals[0].connect() as connection:
            entries = journals[0].stream(connection, STREAM)
    return Storm(_row(entries, decisions, conflicts.count, max(waits)), len(waits) / seconds, conflicts.count, entries)


def _new(told: Fact) -> NewFact:
    return NewFact(STREAM, new_id(traffic.NOW), told)


def _decide(writer: Writer, name: str, decisions: int, conflicts: Tally) -> list[float]:
    """Decide one after the other. Returns how long each took until it was recorded."""
    waits = []
    with writer.journal.connect(autocommit=True) as connection:
        for number in range(decisions):
            start = time.monotonic()
            while True:
                history = writer.journal.stream(connection, STREAM)
                state = declaration.fold(NUMBER, ((entry.fact_id, entry.fact) for entry in history))
                facts = declaration.amend(state, by=name, reason=f"{name}/{number}", at=traffic.NOW)
                [outcome] = writer.write([Intent(facts=list(map(_new, facts)), expected=(STREAM, len(history)))])
                if outcome.status == "recorded":
                    break
                assert outcome.status == "stale"
                conflicts.add()
            waits.append(time.monotonic() - start)
    return waits


def _row(entries: Sequence[Entry], decisions: int, conflicts: int, longest: float) -> Row:
    reasons = [entry.fact.reason for entry in entries if isinstance(entry.fact, Amended)]
    acked = {f"t{thread}/{number}" for thread in range(THREADS) for number in range(decisions)}
    return Row(
        fault=f"conflict storm: {THREADS} deciders on one stream",
        injected=conflicts,
        acked=len(acked),
        lost=len(acked - set(reasons)),
        doubled=len(reasons) - len(set(reasons)),
        longest_s=longest,
    )


def assert_one_after_the_other(entries: Sequence[Entry]) -> None:
    """Versions and positions without a break, and each decision made on the very state before it."""
    assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
    assert all(before.position < after.position for before, after in pairwise(entries))
    versions = [entry.fact.version for entry in entries if isinstance(entry.fact, Amended)]
    assert versions == list(range(2, len(entries) + 1))
