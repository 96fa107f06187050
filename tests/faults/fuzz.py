"""Fuzz of the intake: bodies made wrong go the real way, and whatever they are, nothing falls between two chairs.

Each body is made again from format and number alone (mutations.py), so a failure names all that is needed to repeat it:
`python -m tests.faults.fuzz FORMAT NUMBER`. For every body these rules hold: no exception but a KouanError; a receipt
for each message; every byte in a message or framing (framing.py); the same body again records nothing. In the end the
tables are asked: every answer has its row, the bytes in quarantine are those that were sent, every fact that was
answered as recorded can be read again and is the same, and the read models take them all.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from api import intake
from api.app import READ_MODELS
from api.formats.registry import EDIFACT, READERS
from api.report import ReportsReceived
from domain import fact
from domain.errors import KouanError
from domain.fact import Unreadable
from domain.intent import Intent, Outcome
from domain.journal import Journal
from domain.report import Reading
from domain.writer import Writer
from projections import runner
from tests.faults import framing, mutations, traffic
from tests.faults.framing import Wrong

ROOT = Path(__file__).parents[2]
SEED = "kouan 1"
NOW = datetime(2026, 4, 10, 12, tzinfo=UTC)
SOURCES = ("one", "two")
BATCH = 100  # bodies of one submission
READ_SECONDS_MAX = 2.0  # of a processor, for one body
FAILURES_MAX = 20  # that are told of one format
BYTES_CHECKED_MAX = 2_000  # quarantined messages of one database whose bytes are compared
STATUSES = ("recorded", "duplicate", "confirmed", "quarantined")
EXAMPLES = {
    "coarri": "coarri-*", "codeco": "codeco-*", "iftsta": "iftsta-*", "fsu": "fsu-*", "native": "native*",
    "dcsa": "dcsa-*", "one-record": "one-record-*", "rail": "rail-*", "manifest": "manifest-*",
    "customs-receipt": "customs-receipt*",
}  # fmt: skip


class Tally(msgspec.Struct):
    """What became of some bodies of one format. `recorded` to `quarantined` are messages, as they were answered."""

    format: str
    bodies: int = 0
    messages: int = 0
    recorded: int = 0
    duplicate: int = 0
    confirmed: int = 0
    quarantined: int = 0
    refused: int = 0  # bodies that were turned away as a whole, with a problem
    exceptions: int = 0  # bodies for which a rule did not hold
    over_http: int = 0  # bodies that went over HTTP, too
    failures: list[str] = []

    def add(self, other: "Tally") -> None:
        for name in self.__struct_fields__[1:-1]:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.failures += other.failures[: FAILURES_MAX - len(self.failures)]

    def fail(self, number: int, error: BaseException) -> None:
        self.exceptions += 1
        if len(self.failures) < FAILURES_MAX:
            self.failures.append(f"{self.format} {number}: {type(error).__name__}: {str(error)[:300]}")


def samples(name: str) -> list[bytes]:
    """Ours of this format, and the example's; `edifact` takes those of all its types."""
    names = sorted(EDIFACT - {"edifact"}) if name == "edifact" else [name]
    found = [path for each in names for path in sorted((ROOT / "tests/formats/samples").glob(f"{each}[-s.]*"))]
    found += [path for each in names for path in sorted((ROOT / "examples/messages").glob(EXAMPLES.get(each, "-")))]
    assert found, name
    return [path.read_bytes() for path in found]


def body_of(name: str, number: int, ours: Sequence[bytes]) -> tuple[bytes, str]:
    """The body of this number, and the source that sends it."""
    rng = random.Random(f"{SEED}/{name}/{number}")
    return mutations.mutated(rng, ours), rng.choice(SOURCES)


class Sent(msgspec.Struct):
    """A body on its way."""

    number: int
    body: bytes
    source: str
    readings: list[Reading]
    wanted: list[Intent]


class Examiner:
    """Sends bodies of one format through the intake into one database, and holds every rule for each of them."""

    def __init__(self, conninfo: str, name: str) -> None:
        self.conninfo, self.name, self.ours = conninfo, name, samples(name)
        self.tally = Tally(name)
        self.now = NOW  # of the receipt; every submission has its own
        self.rows: dict[UUID, tuple[str, bytes]] = {}  # status and digest that a message must have in the table
        self.answered: Counter[str] = Counter()
        self.facts: dict[UUID, tuple[str, bytes]] = {}

    def run(self, numbers: range) -> Tally:
        """All bodies of these numbers, then the tables."""
        with Journal("cargo", self.conninfo).opened() as journal:
            writer = Writer(journal)
            try:
                for start in range(numbers.start, numbers.stop, BATCH):
                    self._batch(writer, range(start, min(start + BATCH, numbers.stop)))
            finally:
                writer.stop()
            with psycopg.connect(self.conninfo, autocommit=True) as connection:
                for check in (self._check_messages, self._check_quarantine, self._check_facts, self._check_models):
                    try:
                        check(journal, connection)
                    except Exception as error:  # noqa: BLE001  the other checks are of interest all the same
                        self.tally.fail(numbers.start, error)
        return self.tally

    # --- bodies ---

    def _batch(self, writer: Writer, numbers: range) -> None:
        self.tally.bodies += len(numbers)
        self.now += timedelta(seconds=1)
        taken = []
        for number in numbers:
            body, source = body_of(self.name, number, self.ours)
            try:
                taken.append(self._read(number, body, source))
                self.tally.messages += len(taken[-1].readings)
            except KouanError:
                self.tally.refused += 1
            except Exception as error:  # noqa: BLE001  that is what we look for
                self.tally.fail(number, error)
        self._write(writer, taken, again=False)
        self.now += timedelta(seconds=1)
        self._write(writer, [self._again(each) for each in taken], again=True)

    def _read(self, number: int, body: bytes, source: str) -> Sent:
        """A body read, looked at, and made intents of."""
        start = time.thread_time()
        readings = intake.readings(READERS[self.name], body, self.now)
        taken_seconds = time.thread_time() - start
        framing.check(self.name, body, readings)
        if taken_seconds > READ_SECONDS_MAX:
            raise Wrong(f"it took {taken_seconds:.1f} s to read {len(body)} bytes")
        wanted = intake.intents(body, readings, intake.Whence(source, self.name, self.now))
        return Sent(number, body, source, readings, wanted)

    def _again(self, sent: Sent) -> Sent:
        """The same body, sent once more."""
        wanted = intake.understood(sent.body, intake.Whence(sent.source, self.name, self.now))
        return msgspec.structs.replace(sent, wanted=wanted)

    def _write(self, writer: Writer, sent: Sequence[Sent], *, again: bool) -> None:
        """All in one submission; if that fails, one by one to find who is to blame."""
        try:
            outcomes = iter(writer.write([intent for each in sent for intent in each.wanted]))
        except Exception as error:  # noqa: BLE001
            if len(sent) == 1:
                self.tally.fail(sent[0].number, error)
                return
            for each in sent:
                self._write(writer, [each], again=again)
            return
        for each in sent:
            try:
                self._answered(each, [next(outcomes) for _ in each.wanted], again=again)
            except Exception as error:  # noqa: BLE001
                self.tally.fail(each.number, error)

    def _answered(self, sent: Sent, outcomes: list[Outcome], *, again: bool) -> None:
        told = intake.receipts(sent.wanted, outcomes)
        counts = Counter(receipt.status for receipt in told)
        if set(counts) - set(STATUSES) or counts.total() != len(sent.readings):
            raise Wrong(f"{len(sent.readings)} messages, answered {dict(counts)}")
        position = max((outcome.position for outcome in outcomes), default=0)
        msgspec.json.decode(msgspec.json.encode(ReportsReceived(position, told)), type=ReportsReceived)
        for intent, outcome in zip(sent.wanted, outcomes, strict=True):
            self._expect(intent, outcome)
        if again and counts["recorded"]:
            raise Wrong(f"sent again, {counts['recorded']} messages are called recorded")
        if not again:
            for status in STATUSES:
                setattr(self.tally, status, getattr(self.tally, status) + counts[status])

    def _expect(self, intent: Intent, outcome: Outcome) -> None:
        """What the tables must hold after this answer."""
        message, message_id = intent.message, outcome.message_id
        assert message is not None
        assert message_id is not None
        told: str = outcome.status
        if told == "quarantined" and outcome.fault is not None and outcome.fault.code == "document.unknown":
            told = "waiting"  # a cancellation that came first was taken, under its own id
        self.answered[told] += 1
        known = message_id in self.rows
        digest = sha256(message.transmission.body[message.start : message.end]).digest()
        if self.rows.setdefault(message_id, (told, digest))[1] != digest:
            raise Wrong(f"{told} as another message than it is")
        if known and told in {"recorded", "confirmed", "waiting"}:
            raise Wrong(f"{told} twice")
        if outcome.status == "quarantined" and outcome.fault is None:
            raise Wrong("quarantined without a problem")
        if message.fault is not None and told != "quarantined" and not (known and told == "duplicate"):
            raise Wrong(f"a faulty message is {told}")
        for new, about in zip(intent.facts, outcome.facts, strict=False):
            if about.status == "recorded":
                self.facts[about.fact_id] = new.stream, fact.encode(new.fact)

    # --- tables ---

    def _check_messages(self, _: Journal, connection: psycopg.Connection[Any]) -> None:
        found = connection.execute("SELECT status, count(*) FROM cargo_messages GROUP BY status").fetchall()
        wanted = Counter("recorded" if status == "waiting" else status for status, _ in self.rows.values())
        if dict(found) != dict(wanted):
            raise Wrong(f"answered {dict(wanted)}, stored {dict(found)}")

    def _check_quarantine(self, _: Journal, connection: psycopg.Connection[Any]) -> None:
        stored = connection.execute("SELECT coalesce(sum(attempts), 0) FROM cargo_quarantine").fetchone()
        wanted = self.answered["quarantined"] + self.answered["waiting"]
        if stored != (wanted,):
            raise Wrong(f"quarantined {wanted} times, {stored} on the desk")
        with connection.cursor(binary=True) as cursor:
            found = cursor.execute(KEPT, (BYTES_CHECKED_MAX,)).fetchall()
        if any(self.rows.get(message_id) != ("quarantined", digest) for message_id, digest in found):
            raise Wrong("the bytes in quarantine are not those that were sent")

    def _check_facts(self, journal: Journal, connection: psycopg.Connection[Any]) -> None:
        left = dict(self.facts)
        after = 0
        while page := journal.read(connection, after=after, limit=traffic.PAGE):
            after = page[-1].position
            for entry in page:
                if isinstance(entry.fact, Unreadable):
                    raise Wrong(f"position {entry.position} cannot be read: {entry.fact.error}")
                wanted = left.pop(entry.fact_id, None)
                if wanted is not None and wanted != (entry.stream, fact.encode(entry.fact)):
                    raise Wrong(f"position {entry.position} of {entry.stream!r} is not what was recorded")
        if left:
            raise Wrong(f"{len(left)} facts that were called recorded are not in the journal")

    def _check_models(self, journal: Journal, connection: psycopg.Connection[Any]) -> None:
        runner.catch_up(connection, journal, READ_MODELS)
        dead = connection.execute("SELECT name, subject, error FROM read_model_dead_letters LIMIT 1").fetchone()
        if dead is not None:
            raise Wrong(f"a read model cannot take a fact: {dead}")


KEPT = """
SELECT m.message_id, sha256(substring(t.body FROM m.byte_from + 1 FOR m.byte_to - m.byte_from))
FROM cargo_quarantine AS q
JOIN cargo_messages AS m USING (message_id)
JOIN cargo_transmissions AS t USING (transmission_id)
WHERE m.status = 'quarantined'
ORDER BY m.message_id
LIMIT %s
"""


def main() -> int:
    """Show one body and what is read from it."""
    name, number = sys.argv[1], int(sys.argv[2])
    body, _ = body_of(name, number, samples(name))
    sys.stdout.write(f"{body!r}\n")
    for reading in READERS[name](body, NOW):
        sys.stdout.write(f"{reading.start}:{reading.end} {reading.key} {reading.fault} {reading.reports}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
