"""Counting a month again: every delivery of the journal is measured anew and held against its entry in the ledger.

Both are read in the order of the journal and merged, entry by entry, so that two faults that cancel out in a sum are
found all the same, and whatever the month holds takes the same memory. What is kept are sums by statement line. The
month in which a reading belongs is worked out here again from the cut-offs in the journal, by the rule of
domain/period.py and not by the rows of the ledger, which are what is checked. Times are UTC.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

import psycopg

from billing.metering import STANDING, measure
from billing.snapshots import EXAMPLES_MAX, Count, Gap, Key, Tally
from domain import fact, period
from domain.delivery import Measured
from domain.fact import Unreadable
from domain.period import PeriodCutOff

METERED = ("delivery.made", "delivery.accepted", "charge.fell_due")
"""Tags of the facts that billing/metering.py measures."""
FETCHED = 5_000  # rows at a time
SKEW = timedelta(days=1)  # clocks differ: nobody tells of the future by more
CUT_OFFS = """
SELECT notification_id, state FROM commerce_events
WHERE originator_id >= 'period:' AND originator_id < 'period;' AND topic = 'period.cut_off'
ORDER BY notification_id
"""
JOURNAL = """
SELECT notification_id, originator_id, originator_version, state FROM commerce_events
WHERE notification_id > %(after)s AND notification_id <= %(upto)s AND topic = ANY(%(metered)s)
ORDER BY notification_id
"""
LEDGER = """
SELECT
    position, meter, stream, version, holder, party <> '', item, coalesce(tariff, ''), waived,
    coalesce(corrects_period, ''), item_class, behalf, quantity, chargeable, occurred_at
FROM usage_entries
WHERE billing_period = %s
ORDER BY position
"""


class CutOff(NamedTuple):
    """A cut-off as the journal has it."""

    position: int
    period: str
    at: datetime


class Reading(NamedTuple):
    """One reading of one fact, from either side; equal if all but `chargeable` is."""

    position: int
    meter: str
    name: str  # STREAM/VERSION
    key: Key
    item_class: str
    behalf: str
    quantity: int
    at: datetime
    chargeable: bool = False


Told = tuple[int, str, Measured]
"""Position, STREAM/VERSION and a reading of a fact."""


class Recounted(NamedTuple):
    tallies: tuple[Tally, ...]
    unreadable: Gap


def cut_offs(connection: psycopg.Connection[Any]) -> list[CutOff]:
    """Every cut-off of the journal, in its order."""
    found = []
    for position, state in connection.execute(CUT_OFFS):
        told = fact.decode(state)
        assert isinstance(told, PeriodCutOff)
        found.append(CutOff(position, told.period, told.happened_at))
    return found


def recount(connection: psycopg.Connection[Any], month: str) -> Recounted:
    """What was counted for a month that is cut off, by line. In one transaction of the connection."""
    found = cut_offs(connection)
    upto = next(each.position for each in found if each.period == month)
    book, keys = _Book(), _Keys()
    with connection.transaction():
        entries = _Peeked(_ledger(connection, month, keys))
        first = entries.head.position if entries.head else upto
        begun = period.bounds(month)[0] - SKEW
        after = max((each.position for each in found if each.at <= begun), default=0)
        told = _journal(connection, min(after, first - 1), upto, book)
        readings = _posted(told, month, found, keys)
        for ours, theirs in _merged(readings, entries):
            book.compare(ours, theirs)
    return Recounted(book.tallies(), book.unreadable.gap())


# --- the two sides ---


def _journal(connection: psycopg.Connection[Any], after: int, upto: int, book: "_Book") -> Iterator[Told]:
    with connection.cursor("recounted", withhold=False) as rows:
        rows.itersize = FETCHED
        rows.execute(JOURNAL, {"after": after, "upto": upto, "metered": list(METERED)}, binary=True)
        for position, stream, version, state in rows:
            told = fact.read(state)
            if isinstance(told, Unreadable):
                book.unreadable.add(f"{stream}/{version}", 0)
                continue
            for reading in measure(told):
                yield position, f"{stream}/{version}", reading


def _posted(told: Iterable[Told], month: str, cuts: Sequence[CutOff], keys: "_Keys") -> Iterator[Reading]:
    """Those that are posted to the month: that occurred in it, or late in one before that was cut off already."""
    positions = [each.position for each in cuts]
    latest = [max(each.period for each in cuts[: place + 1]) for place in range(len(cuts))]
    month_of = period.months()
    for position, name, one in told:
        used = month_of(one.occurred_at)
        place = bisect_left(positions, position)
        late = place > 0 and used <= latest[place - 1]
        if month != (period.following(latest[place - 1]) if late else used):
            continue
        party = one.party != ""
        key = keys.of(one.party or one.account, party, one.item, one.tariff or "", one.waived, used if late else "")
        charged = one.tariff is not None and not one.waived
        yield Reading(
            position, one.meter, name, key, one.item_class, one.behalf, one.quantity, one.occurred_at, charged
        )


def _ledger(connection: psycopg.Connection[Any], month: str, keys: "_Keys") -> Iterator[Reading]:
    with connection.cursor("ledger", withhold=False) as rows:
        rows.itersize = FETCHED
        rows.execute(LEDGER, (month,), binary=True)
        for position, meter, stream, version, *key, item_class, behalf, quantity, charged, at in rows:
            name = f"{stream}/{version}"
            yield Reading(position, meter, name, keys.of(*key), item_class, behalf, quantity, at, charged)


class _Keys:
    """Each key is made once: there are few, and millions of entries."""

    def __init__(self) -> None:
        self.made: dict[tuple[Any, ...], Key] = {}

    def of(self, *parts: Any) -> Key:
        found = self.made.get(parts)
        if found is None:
            found = self.made[parts] = Key(*parts)
        return found


# --- merged ---


class _Peeked:
    """An iterator of which the first is known."""

    def __init__(self, source: Iterator[Reading]) -> None:
        self.source = source
        self.head = next(source, None)

    def __iter__(self) -> Iterator[Reading]:
        if self.head is not None:
            yield self.head
            yield from self.source


def _merged(ours: Iterable[Reading], theirs: Iterable[Reading]) -> Iterator[tuple[list[Reading], list[Reading]]]:
    """What stands at the same position, side by side; both come in the order of the positions."""
    left, right = (groupby(each, key=lambda reading: reading.position) for each in (ours, theirs))
    one, other = (next(each, None) for each in (left, right))
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None
            yield list(one[1]), []
            one = next(left, None)
        elif one is None or other[0] < one[0]:
            yield [], list(other[1])
            other = next(right, None)
        else:
            yield list(one[1]), list(other[1])
            one, other = next(left, None), next(right, None)


class _Sum:
    """A count or a gap in the making."""

    __slots__ = ("deliveries", "examples", "quantity", "reversed", "standing")

    def __init__(self) -> None:
        self.deliveries = self.quantity = self.reversed = self.standing = 0
        self.examples: list[str] = []

    def take(self, reading: Reading) -> None:
        if reading.meter == STANDING:
            self.standing += 1
        elif reading.quantity >= 0:
            self.deliveries += 1
            self.quantity += reading.quantity
        else:
            self.reversed -= reading.quantity

    def add(self, name: str, quantity: int) -> None:
        self.deliveries += 1
        self.quantity += quantity
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(name)

    def count(self) -> Count:
        return Count(self.deliveries, self.quantity, self.reversed, self.standing)

    def gap(self) -> Gap:
        return Gap(self.deliveries, self.quantity, tuple(self.examples))


class _Line:
    """What is counted for one line."""

    __slots__ = ("charged", "duplicate", "first_at", "item_class", "journal", "ledger", "unmetered")

    def __init__(self, reading: Reading) -> None:
        self.item_class = reading.item_class
        self.journal, self.ledger, self.unmetered, self.duplicate = _Sum(), _Sum(), _Sum(), _Sum()
        self.charged = 0
        self.first_at = reading.at


class _Book:
    """The lines of a month while they are counted."""

    def __init__(self) -> None:
        self.lines: dict[Key, _Line] = {}
        self.unreadable = _Sum()

    def line(self, reading: Reading) -> _Line:
        found = self.lines.get(reading.key)
        if found is None:
            found = self.lines[reading.key] = _Line(reading)
        elif reading.at < found.first_at:
            found.first_at = reading.at
        return found

    def compare(self, ours: list[Reading], theirs: list[Reading]) -> None:
        for reading in ours:
            self.line(reading).journal.take(reading)
        for reading in theirs:
            line = self.line(reading)
            line.ledger.take(reading)
            line.charged += reading.chargeable
        if ours != theirs:
            self._differ(ours, theirs)

    def _differ(self, ours: list[Reading], theirs: list[Reading]) -> None:
        """Alike are those of one meter, fact and line, with the same principal; of them the quantity may differ."""
        left, right = ({_alike(reading): reading for reading in side} for side in (ours, theirs))
        for alike in left.keys() | right.keys():
            here, there = left.get(alike), right.get(alike)
            more = abs(there.quantity if there else 0) - abs(here.quantity if here else 0)
            if there is None or (here is not None and more < 0):
                assert here is not None
                self.line(here).unmetered.add(here.name, -more)
            elif here is None or more > 0:
                self.line(there).duplicate.add(there.name, more)

    def tallies(self) -> tuple[Tally, ...]:
        return tuple(
            Tally(
                key=key,
                item_class=line.item_class,
                journal=line.journal.count(),
                ledger=line.ledger.count(),
                unmetered=line.unmetered.gap(),
                duplicate=line.duplicate.gap(),
                charged=line.charged,
                first_at=line.first_at,
            )
            for key, line in sorted(self.lines.items())
        )


def _alike(reading: Reading) -> tuple[object, ...]:
    return reading.meter, reading.name, reading.key, reading.item_class, reading.behalf
