"""A journal with something of everything that a follower may wish for, and what a wish brings by the rule's own words.

The rule is written here a second time, over the entries of the journal and the lines that a view shows, one by one.
"""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from domain import container, shipment
from domain.container import HoldPlaced
from domain.fact import Confirmed, Corrected, Fact, Moved, Reinstated, Retracted, digest_id
from domain.feed_filter import EXCEPTIONS, FeedFilter
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.writer import Writer
from projections import links, shown, sight
from projections.rights import View
from projections.timeline import Line
from tests.fixtures_node import Node

BOX, OTHER_BOX, BILL, AWB = "CSQU3054383", "TOLU4734787", "KOUA0000001", "11200000011"
SUBJECTS = (f"container:{BOX}", f"container:{OTHER_BOX}", f"bl:{BILL}", "bl:KOUA0000002", f"awb:{AWB}")
NAMED: dict[str, list[tuple[str, ...]]] = {
    SUBJECTS[0]: [(), (SUBJECTS[2],), (SUBJECTS[2], SUBJECTS[3]), (SUBJECTS[3],)],
    SUBJECTS[1]: [(), (SUBJECTS[3],)],
}
CODES = ("VSL_ARR", "DISCHARGED", "GATE_OUT", "ROLLED", "DAMAGED", "LOADED_REVERSED", "")
PLACES = ("CNSHG", "NLRTM", "Berth 7", "")
MODES: tuple[Any, ...] = ("VESSEL", "TRUCK", "")
SOURCES = ("terminal", "line")
START = datetime(2026, 3, 1, tzinfo=UTC)
MESSAGE = digest_id("message")


class Told(NamedTuple):
    """One entry of the journal that is shown: the line that it is, or is about, as it is shown."""

    position: int
    line: Line
    recorded_at: datetime
    remark: str
    expected_at: datetime


def fill(node: Node, dice: random.Random, count: int = 150) -> None:
    """So many facts, minutes or hours apart; the estimates move about; a third are words on what was said before."""
    told: list[NewFact] = []
    for number in range(count):
        at = START + timedelta(minutes=37 * number + dice.randrange(30))
        said = [new for new in told if isinstance(new.fact, Moved)]
        if said and dice.random() < 0.3:
            told.append(remark(dice, said, at, number))
        elif dice.random() < 0.05:
            hold = HoldPlaced(
                happened_at=at, recorded_at=at, authority="海关", reason="x", reference=str(number), by="o"
            )
            told.append(NewFact(dice.choice(SUBJECTS[:2]), digest_id("f", str(number)), hold))
        else:
            told.append(moved(dice, at, number))
    with Journal("cargo", node.conninfo).opened() as journal:
        writer = Writer(journal)
        writer.write([Intent(facts=[new], fresh=True) for new in told])
        writer.stop()
    node.catch_up()


def moved(dice: random.Random, at: datetime, number: int) -> NewFact:
    stream = dice.choice(SUBJECTS)
    kind = container.Reported if stream.startswith("container:") else shipment.Reported
    estimate = dice.random() < 0.5
    fact = kind(
        happened_at=START + timedelta(hours=dice.choice([100, 101, 102, 104, 110])) if estimate else at,
        recorded_at=at,
        source=dice.choice(SOURCES),
        message_id=MESSAGE,
        code=dice.choice(["VSL_ARR", "DISCHARGED"]) if estimate else dice.choice(CODES),
        raw_code=str(number),
        zone="Asia/Shanghai",
        classifier="EST" if estimate else dice.choice(["ACT", "ACT", "PLN"]),
        place=dice.choice(PLACES[:2] if estimate else PLACES),
        mode=dice.choice(MODES),
        refs=dice.choice(NAMED.get(stream, [()])),
    )
    return NewFact(stream, digest_id("f", str(number)), fact)


def remark(dice: random.Random, said: Sequence[NewFact], at: datetime, number: int) -> NewFact:
    about = dice.choice(said[-12:])
    common: dict[str, Any] = {"happened_at": at, "recorded_at": at, "fact_id": about.fact_id, "message_id": MESSAGE}
    common["source"] = dice.choice(SOURCES)
    fact: Fact = dice.choice(
        [
            Confirmed(**common),
            Retracted(**common, reason="x"),
            Corrected(**common, replaced_by=digest_id("f", str(number + 1))),
            Reinstated(**common),
        ]
    )
    return NewFact(about.stream, digest_id("f", str(number)), fact)


# --- the rule, by its words ---


def shown_to(node: Node, view: View) -> list[Told]:
    """Every entry of the journal that is shown to a view, looked at one by one."""
    about: dict[UUID, UUID] = {}
    times: dict[UUID, datetime] = {}
    found = []
    with (
        Journal("cargo", node.conninfo).opened() as journal,
        psycopg.connect(node.conninfo, options="-c role=kouan_reader", autocommit=True) as connection,
        psycopg.connect(node.conninfo, autocommit=True) as own,
        sight.opened(connection, view) as look,
    ):
        for entry in journal.read(own, after=0, limit=100_000):
            fact, line_id, word = entry.fact, entry.fact_id, ""
            if isinstance(fact, Confirmed | Retracted | Corrected | Reinstated):
                line_id, word = about.get(fact.fact_id, fact.fact_id), type(fact).__name__.lower()
            about[entry.fact_id] = line_id
            times[entry.fact_id] = fact.happened_at
            [others] = links.reached(look, [[entry.stream]])
            [strangers] = links.strangers(connection, [[entry.stream, *others]])
            lines = shown.lines(look, [entry.stream, *others, *strangers])
            line = next((each for each in lines if each.fact_id == line_id), None)
            if line is not None:
                found.append(Told(entry.position, line, fact.recorded_at, word, times[line_id]))
    return found


def expected(entries: Sequence[Told], wanted: FeedFilter) -> list[int]:
    """The positions that a wish brings. `wanted`: its values as the journal has them."""
    matching = [entry for entry in entries if matches(entry, wanted)]
    if not wanted.eta_hours and not wanted.eta_quiet_minutes:
        return [entry.position for entry in matching]
    silent = unchanged(entries, wanted)
    return [entry.position for entry in matching if entry.line.fact_id not in silent]


def matches(entry: Told, wanted: FeedFilter) -> bool:
    line = entry.line
    for value, values in (
        (line.subject, wanted.subjects),
        (line.code, wanted.codes),
        (line.place, wanted.places),
        (line.mode, wanted.modes),
        (line.classifier, wanted.classes),
        (line.source, wanted.sources),
    ):
        if values and value not in values:
            return False
    if not wanted.exceptions:
        return True
    odd = line.code in EXCEPTIONS or line.code.endswith("_REVERSED")
    return odd or entry.remark in {"retracted", "corrected", "reinstated"}


def unchanged(entries: Sequence[Told], wanted: FeedFilter) -> set[UUID]:
    """Estimates that say too little that is new, or too soon."""
    silent: set[UUID] = set()
    told: dict[Any, list[Told]] = {}  # per subject, place and milestone, those told
    for at, entry in enumerate(entries):
        if entry.remark or entry.line.classifier != "EST" or not matches(entry, wanted):
            continue
        before = told.setdefault((entry.line.subject, entry.line.place, entry.line.code), [])
        if before and standing(entries[:at], before[-1].line.fact_id):
            moved_by = abs((entry.expected_at - before[-1].expected_at).total_seconds())
            stood = (entry.recorded_at - before[-1].recorded_at).total_seconds()
            if moved_by < wanted.eta_hours * 3600 or stood < wanted.eta_quiet_minutes * 60:
                silent.add(entry.line.fact_id)
                continue
        before.append(entry)
    return silent


def standing(entries: Sequence[Told], fact_id: UUID) -> bool:
    words = [entry.remark for entry in entries if entry.line.fact_id == fact_id]
    last = [word for word in words if word in {"retracted", "corrected", "reinstated"}][-1:]
    return last in ([], ["reinstated"])


# --- pairs ---


def pairs(kinds: Mapping[str, Sequence[Any]], dice: random.Random) -> Iterator[dict[str, Any]]:
    """Combinations in which every two values of different kinds meet at least once."""
    names = list(kinds)
    open_pairs = {
        (one, i, other, j)
        for one, other in itertools.combinations(names, 2)
        for i in range(len(kinds[one]))
        for j in range(len(kinds[other]))
    }

    def met(chosen: Mapping[str, int]) -> set[tuple[str, int, str, int]]:
        return {(one, chosen[one], other, chosen[other]) for one, other in itertools.combinations(names, 2)}

    while open_pairs:
        one, i, other, j = min(open_pairs)
        tries = [{name: dice.randrange(len(kinds[name])) for name in names} | {one: i, other: j} for _ in range(40)]
        best = max(tries, key=lambda chosen: len(met(chosen) & open_pairs))
        open_pairs -= met(best)
        yield {name: kinds[name][at] for name, at in best.items()}
