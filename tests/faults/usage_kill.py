"""kill -9 of the API and of the projector at random moments under load: every delivery is on the books, and once.

    python -m tests.faults.usage_kill --kills 1000 [--minutes 15] [--seed 1]

While askers ask (known numbers, unknown ones, pages of the paid feed), one or the other is killed and started again, so
many times. Then the two books are laid side by side: what the askers have in their hands, the deliveries in the
journal, the usage entries, and the entries made again from position 0. The askers know nothing but whole answers.
"""

import argparse
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg

from api import schema
from api.app import READ_MODELS
from api.identity import Account, open_account
from api.processes import gone
from billing import metering
from billing.metering import Asked
from domain import fact
from domain.delivery import DeliveryMade
from domain.intent import Intent, Message, NewFact
from domain.journal import Journal
from domain.writer import Writer
from projections import catalogue, runner
from tests.bench.servers import RATES, free_port
from tests.faults import crash, traffic
from tests.open_register import permit_all

ASKERS = 6
PAGE = 3
UP_SECONDS_MAX = 60.0
WORK_SECONDS_MAX = 0.08  # between its first answer, or its start, and the shot
API_SHARE = 0.35  # of the dead
ANSWERING_SHARE = {"api": 0.8, "projector": 0.2}
SEED = 7
FREE, PAID = Account("trader", "enterprise", "外贸企业", "Trader"), Account("mover", "logistics", "物流企业", "Mover")
BOXES = ("CSQU3054383", "TOLU4734787", "MSKU0000006")
LEDGER = "SELECT state FROM commerce_events WHERE topic = 'delivery.made'"
ENTRIES = "SELECT * FROM usage_entries ORDER BY meter, stream, version"
Tally = Counter[tuple[str, str, str]]
"""By account, item, and `answers` or `units`."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. All but the first five must be 0."""

    kills: int
    of_api: int
    answers: int  # whole answers in the askers' hands
    deliveries: int  # in the journal
    seconds: float
    longest_s: float  # that an asker waited for an answer, restarts included
    units_apart: int  # between the entries and the journal, both ways
    rows_apart: int
    unrecorded: int  # answers without a delivery
    doubled: int  # deliveries with more than one charged entry
    fen_apart: int  # between the report and the journal
    rebuilt_apart: int  # entries that are others when they are made again from 0
    set_aside: int  # dead letters

    def sound(self) -> bool:
        wrong = (self.units_apart, self.rows_apart, self.unrecorded, self.doubled)
        return self.answers > 0 and not any((*wrong, self.fen_apart, self.rebuilt_apart, self.set_aside))


# --- who asks ---


class Askers:
    """Threads that ask until they are told to stop, and note every whole answer."""

    def __init__(self, port: int, keys: dict[str, str]) -> None:
        self.base, self.keys = f"http://127.0.0.1:{port}", keys
        self.over = threading.Event()
        self.noted: list[Tally] = [Counter() for _ in range(ASKERS)]
        self.longest = 0.0
        self.others: Counter[str] = Counter()  # answers that were none
        self.fallen: list[str] = []  # askers who met what nobody should
        self.threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(ASKERS)]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def count(self) -> int:
        """Whole answers so far."""
        return sum(tally[kind] for tally in list(self.noted) for kind in list(tally) if kind[2] == "answers")

    def total(self) -> Tally:
        return sum(self.noted, Counter())

    def _ask(self, number: int) -> None:
        try:
            self._ask_on(number)
        except Exception as error:  # noqa: BLE001  told to who waits for this thread
            self.fallen.append(repr(error))

    def _ask_on(self, number: int) -> None:
        tally, since = self.noted[number], time.monotonic()
        for turn in itertools.count(1):
            account = (FREE, PAID)[(number + turn) % 2]
            headers = {"Authorization": f"Bearer {self.keys[account.account]}"}
            with suppress(httpx.TransportError), httpx.Client(headers=headers, trust_env=False, timeout=10) as client:
                for _ in range(20):
                    if self.over.is_set():
                        return
                    _one(client, self.base, account, tally, self.others)
                    now = time.monotonic()
                    self.longest, since = max(self.longest, now - since), now
            time.sleep(0.01)


def _one(client: httpx.Client, base: str, account: Account, tally: Tally, others: Counter[str]) -> None:
    """One question; noted only when the answer is there to its last byte."""
    if account is PAID:
        page = client.get(f"{base}/v1/feed", params={"limit": PAGE})
        if page.status_code == httpx.codes.OK:
            tally[account.account, "feed.pull", "units"] += len(page.json()["items"])
            tally[account.account, "feed.pull", "answers"] += 1
        else:
            others[page.text[:80]] += 1
        return
    number = random.choice((*BOXES, f"NONE{random.randrange(10**6):06}"))
    answer = client.get(f"{base}/v1/track/{number}")
    if answer.status_code in {httpx.codes.OK, httpx.codes.NOT_FOUND}:
        tally[account.account, "track.query", "units"] += 1
        tally[account.account, "track.query", "answers"] += 1
    else:
        others[answer.text[:80]] += 1


# --- who is shot ---


class Nursery:
    """The workers that live, and how to make new ones."""

    def __init__(self, conninfo: str, port: int) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  closed at the end
        argv = [sys.executable, "-m", "tests.faults.usage_nursery", conninfo, str(port)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log}
        self.process = subprocess.Popen(argv, env={**os.environ, **RATES}, text=True, **pipes)
        self.alive: dict[str, int] = {}

    def bear(self, what: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        self.alive[what] = int(self.process.stdout.readline())

    def shoot(self, what: str) -> None:
        """It must still have been alive: one that fell by itself is a fault. Its port is free again after this."""
        pid = self.alive.pop(what)
        os.kill(pid, signal.SIGKILL)
        assert gone([pid], UP_SECONDS_MAX)

    def end(self) -> None:
        for pid in self.alive.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate(timeout=10)
        self.log.close()

    def words(self) -> str:
        """What was said last by who lives or died."""
        self.log.seek(0)
        return self.log.read()[-2_000:].decode(errors="replace")


def campaign(nursery: Nursery, askers: Askers, kills: int, seconds_max: float, rng: random.Random) -> Counter[str]:
    """Shoot one or the other, at any moment of its life, until so many are dead or the time is over."""
    shot: Counter[str] = Counter()
    start = time.monotonic()
    while shot.total() < kills and time.monotonic() - start < seconds_max:
        victim = "api" if rng.random() < API_SHARE else "projector"
        if rng.random() < ANSWERING_SHARE[victim]:  # the others die while they start, or while nobody asks
            _wait_for(nursery, askers, rng.randint(1, 6))
        time.sleep(rng.uniform(0, WORK_SECONDS_MAX))
        nursery.shoot(victim)
        shot[victim] += 1
        nursery.bear(victim)
    _wait_for(nursery, askers, 1)
    return shot


def _wait_for(nursery: Nursery, askers: Askers, more: int) -> None:
    """So many more answers."""
    count, deadline = askers.count() + more, time.monotonic() + UP_SECONDS_MAX
    while askers.count() < count:
        told = (askers.others, askers.fallen, nursery.words() if time.monotonic() > deadline else "")
        assert time.monotonic() < deadline and not askers.fallen, told  # noqa: PT018
        time.sleep(0.002)


# --- the books side by side ---


def run(conninfo: str, kills: int, seconds_max: float, seed: int = SEED) -> Outcome:
    """On a database whose tables are there and in which everybody is permitted everything."""
    keys = _furnish(conninfo)
    askers = Askers(free_port(), keys)
    nursery = Nursery(conninfo, int(askers.base.rpartition(":")[2]))
    start = time.monotonic()
    try:
        for what in ("api", "projector"):
            nursery.bear(what)
        askers.start()
        _wait_for(nursery, askers, 1)
        shot = campaign(nursery, askers, kills, seconds_max, random.Random(seed))
    finally:
        askers.stop()
        nursery.end()
    return _compared(conninfo, askers, shot, time.monotonic() - start)


def _furnish(conninfo: str) -> dict[str, str]:
    """Some cargo to ask about, and the keys of who asks."""
    with Journal("cargo", conninfo).opened() as cargo, psycopg.connect(conninfo, autocommit=True) as connection:
        writer, sent = Writer(cargo), traffic.message("fault", "cargo")
        facts = [_told(f"container:{box}", f"{box}/{number}", sent) for box in BOXES for number in range(3)]
        writer.write([Intent(message=sent, facts=facts)])
        writer.stop()
        runner.catch_up(connection, cargo, READ_MODELS)
        return {account.account: open_account(connection, account) for account in (FREE, PAID)}


def _told(stream: str, label: str, sent: Message) -> NewFact:
    """A fact with a clock, as sources give it."""
    new = traffic.labelled(stream, label, sent)
    told = msgspec.structs.replace(new.fact, wall="2026-03-01T08:00:00", zone="Asia/Shanghai")
    return msgspec.structs.replace(new, fact=told)


def _compared(conninfo: str, askers: Askers, shot: Counter[str], seconds: float) -> Outcome:
    with Journal("commerce", conninfo).opened() as journal, psycopg.connect(conninfo, autocommit=True) as connection:
        runner.catch_up(connection, journal, READ_MODELS)
        live = connection.execute(ENTRIES).fetchall()
        made = [each for (state,) in connection.execute(LEDGER) if isinstance(each := fact.decode(state), DeliveryMade)]
        fen = metering.report(connection, catalogue.prices(connection), Asked()).amount_minor
        [usage] = [each for each in READ_MODELS if each.name == "usage"]
        runner.rebuild(connection, journal, usage, batch=97)
        again = connection.execute(ENTRIES).fetchall()
        [counted] = connection.execute(COUNTED).fetchall()
        prices = {price.item: price.price_minor for price in catalogue.prices(connection)}
    recorded = _recorded(made)
    told = askers.total()
    quantity, charged, distinct, dead = counted
    return Outcome(
        kills=shot.total(),
        of_api=shot["api"],
        answers=sum(count for kind, count in told.items() if kind[2] == "answers"),
        deliveries=len(made),
        seconds=seconds,
        longest_s=askers.longest,
        units_apart=abs(quantity - sum(count for kind, count in recorded.items() if kind[2] == "units")),
        rows_apart=abs(len(live) - len(made)),
        unrecorded=(told - recorded).total(),
        doubled=charged - distinct,
        fen_apart=abs(fen - sum(each.count * prices[each.item] for each in made if each.item_class == "commercial")),
        rebuilt_apart=len(set(live) ^ set(again)),
        set_aside=dead,
    )


COUNTED = """
SELECT
    sum(quantity)::bigint,
    count(*) FILTER (WHERE chargeable),
    count(DISTINCT (stream, version)) FILTER (WHERE chargeable),
    (SELECT count(*) FROM read_model_dead_letters)
FROM usage_entries
"""


def _recorded(made: Sequence[DeliveryMade]) -> Tally:
    """Answers and units by account and item, straight from the journal: what measuring must come to."""
    found: Tally = Counter()
    for each in made:
        found[each.account, each.item, "answers"] += 1
        found[each.account, each.item, "units"] += each.count if each.item_class == "commercial" else 1
    return found


# --- by itself ---


@contextmanager
def ground(folder: Path) -> Iterator[str]:
    """A durable server of its own with the product's tables, everybody permitted everything."""
    with crash.server(folder / "home") as conninfo:
        schema.install(conninfo)
        permit_all(conninfo)
        yield conninfo


def main() -> int:
    """0 if the books agree."""
    arguments = argparse.ArgumentParser(prog="python -m tests.faults.usage_kill")
    arguments.add_argument("--kills", type=int, default=1_000)
    arguments.add_argument("--minutes", type=float, default=20.0, help="at most")
    arguments.add_argument("--seed", type=int, default=SEED)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="kouan-faults-") as name, ground(Path(name)) as conninfo:
        outcome = run(conninfo, options.kills, options.minutes * 60, options.seed)
    for field, value in msgspec.structs.asdict(outcome).items():
        print(f"{field.replace('_', ' '):15} {value:,.2f}" if isinstance(value, float) else f"{field:15} {value:,}")
    return 0 if outcome.sound() and outcome.kills == options.kills else 1


if __name__ == "__main__":
    raise SystemExit(main())
