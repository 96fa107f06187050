"""The commit whose answer is lost: every fact once, and every answer what it would have been without the fault.

The same batches are written twice: through the proxy, which breaks the connection at COMMIT, and into a twin database
without it. Outcomes and tables of both must agree; only positions may differ where an attempt was undone, since its
positions are burnt. A rival writes on the stream of a decision between the lost commit and the second attempt.
"""

import random
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from domain import fact
from domain.container import HoldPlaced
from domain.fact import digest_id
from domain.intent import Intent, NewFact, Outcome
from domain.journal import Entry, Journal
from domain.report import Fault
from domain.writer import Writer
from tests.faults import traffic
from tests.faults.ledger import Ledger, Row
from tests.faults.proxy import Mode, Proxy, proxied

MESSAGES = "SELECT * FROM cargo_messages ORDER BY message_id"
QUARANTINED = "SELECT to_jsonb(cargo_quarantine) - 'attempts' FROM cargo_quarantine ORDER BY message_id"
ATTEMPTS = "SELECT message_id, attempts FROM cargo_quarantine ORDER BY message_id"
TRANSMISSIONS = "SELECT * FROM cargo_transmissions ORDER BY transmission_id"
NAMES: dict[Mode, str] = {
    "after": "commit done, answer lost",
    "before": "cut before commit",
    "blind": "cut at commit, outcome unknown",
    "mute": "commit done, line silent, then cut",
    "slow": "commit held up, then let through",
}
SILENT_SECONDS = 1.5
Batch = Sequence[Intent]
THRICE_EVERY = 20  # every so many batches the second and third attempts are broken, too


def decision(stream: str, version: int, label: str) -> Intent:
    """A decision of Kouan's own, based on that version."""
    made = HoldPlaced(
        happened_at=traffic.NOW, recorded_at=traffic.NOW, authority="c", reason="r", reference=label, by="b"
    )
    new = NewFact(stream, digest_id("decision", label), made)
    return Intent(facts=[new], expected=(stream, version), fresh=version > 0)


def mixed(number: int, rng: random.Random) -> list[Intent]:
    """One batch with every kind of answer: new, again, confirmed, in conflict, broken, replaced, decided, stale."""
    name = f"b{number}"
    size = rng.choice((1, 3, 10, 60))
    sent = traffic.message("terminal", name, document=f"D{number}")
    new = [traffic.labelled(f"container:{name}-{index % 3}", f"{name}/{index}", sent) for index in range(size)]
    other = traffic.message("line", name)
    confirmed = traffic.labelled(f"container:{name}-0", f"{name}/0", other)
    again = traffic.message("terminal", name, document=f"D{number}")
    conflict = traffic.message("terminal", name, content="other")
    broken = traffic.message("terminal", f"{name}-broken", fault=Fault("edifact.truncated", "no UNT", 17, "UNH[1]"))
    change = traffic.message("terminal", f"{name}-change", document=f"D{number}", function="replace")
    corrected = [traffic.labelled(f"container:{name}-0", f"{name}/new", change)]
    stream = f"declaration:{name}"
    return [
        Intent(message=sent, facts=new),
        Intent(message=other, facts=[confirmed]),
        Intent(message=again, facts=new),
        Intent(message=conflict, facts=new),
        Intent(message=broken),
        Intent(message=change, facts=corrected),
        decision(stream, 0, f"{name}-first"),
        decision(stream, 1, f"{name}-second"),
        decision(stream, 1, f"{name}-late"),
    ]


class Twins:
    """Two databases with the same tables: one reached through the proxy, one directly."""

    def __init__(self, stack: ExitStack, server: str) -> None:
        self.conninfo, self.twin_conninfo = (stack.enter_context(traffic.fresh(server)) for _ in range(2))
        self.proxy: Proxy = stack.enter_context(proxied(self.conninfo))
        self.broken = self._writer(stack, self.proxy.conninfo)
        self.rival = self._writer(stack, self.conninfo)
        self.plain = self._writer(stack, self.twin_conninfo)
        self.broken.write([])  # connected
        self.rival.write([])

    def _writer(self, stack: ExitStack, conninfo: str) -> Writer:
        journal = stack.enter_context(Journal("cargo", conninfo).opened())
        writer = Writer(journal)
        stack.callback(writer.stop)
        return writer

    def write(self, mode: Mode, batch: Batch, rival: Batch = (), *, more: Sequence[Mode] = ()) -> tuple[Any, Any]:
        """The outcomes with the fault and without it, each followed by those of the rival.

        `more`: what strikes the attempts after the first.
        """
        overtaken: list[Outcome] = []
        struck = self.proxy.struck
        undisturbed = self.plain.submit(batch)
        rival_between = mode in {"after", "mute"}
        self.proxy.arm(mode, then=(lambda: overtaken.extend(self.rival.write(rival))) if rival_between else None)
        if mode in {"mute", "slow"}:
            threading.Timer(SILENT_SECONDS, self.proxy.release).start()
        for again in more:
            self.proxy.arm(again)
        outcomes = self.broken.write(batch)
        assert self.proxy.struck == struck + 1 + len(more), "the fault did not strike"
        if not rival_between:
            overtaken = self.rival.write(rival)
        return [*outcomes, *overtaken], [*undisturbed.result(), *self.plain.write(rival)]

    def tables(self, query: str) -> tuple[list[Any], list[Any]]:
        """Rows of both."""
        with psycopg.connect(self.conninfo) as ours, psycopg.connect(self.twin_conninfo) as twins:
            return ours.execute(query.encode()).fetchall(), twins.execute(query.encode()).fetchall()

    def entries(self) -> tuple[list[Any], list[Any]]:
        """The facts of both journals in order, without positions."""
        return _facts(self.broken.journal), _facts(self.plain.journal)


def _facts(journal: Journal) -> list[Any]:
    found: list[Entry] = []
    with psycopg.connect(journal.conninfo) as connection:
        while page := journal.read(connection, after=found[-1].position if found else 0, limit=traffic.PAGE):
            found += page
    return [(each.stream, each.version, each.fact_id, fact.encode(each.fact)) for each in found]


def answers(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Without positions."""
    return [msgspec.structs.replace(outcome, position=0) for outcome in outcomes]


def run(server: str, folder: Path, mode: Mode, count: int) -> Row:
    """Break so many commits; the line of the table. Raises AssertionError for the first answer that is not true."""
    rng = random.Random(mode)
    with ExitStack() as stack:
        twins = Twins(stack, server)
        ledger = Ledger(folder / f"{mode}.ledger")
        stack.callback(ledger.close)
        for number in range(count):
            batch = mixed(number, rng)
            rival = [decision(f"declaration:b{number}", 2, f"b{number}-rival")]
            start = time.monotonic()
            thrice = mode != "slow" and number % THRICE_EVERY == THRICE_EVERY - 1
            more: Sequence[Mode] = ("before", "after") if thrice else ()
            ours, plain = twins.write(mode, batch, rival, more=more)
            assert answers(ours) == answers(plain), f"{mode}, batch {number}"
            ledger.ack(f"b{number}", len(batch[0].facts), time.monotonic() - start)
        assert_same(twins)
        return ledger.row(NAMES[mode], twins.proxy.struck, traffic.found(twins.conninfo))


def assert_same(twins: Twins, *more: str) -> None:
    """Both databases hold the same facts, messages, bytes and quarantine, and the same of what else is asked for."""
    ours, plain = twins.entries()
    assert ours == plain
    for query in (MESSAGES, QUARANTINED, TRANSMISSIONS, *more):
        ours, plain = twins.tables(query)
        assert ours == plain, query
