"""Standing charges of a month, told to the journal before it is cut off: flat prices that fall due without use.

What falls due stands in domain/standing.py; here it is read from the journal, subscription by subscription, and
written. Telling it a second time adds nothing. In a sandbox nothing falls due.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby, islice
from typing import Any

import psycopg

from domain import catalogue, fact, sandbox, standing
from domain.catalogue import Item, Price
from domain.disclosure import DatasetOwnerSet
from domain.fact import Fact
from domain.intent import Intent, NewFact
from domain.writer import Writer

BATCH = 500
TOLD = """
SELECT originator_id, state FROM commerce_events
WHERE originator_id >= %s AND originator_id < %s
ORDER BY originator_id, originator_version
"""


def fall_due(connection: psycopg.Connection[Any], writer: Writer, month: str, *, at: datetime) -> int:
    """Tell what falls due for a month that is over, in constant memory; how many charges that are, new or not."""
    if _is_sandbox(connection):
        return 0
    count, due = 0, _due(connection, month, at)
    while some := list(islice(due, BATCH)):
        writer.write([Intent(facts=[each]) for each in some])
        count += len(some)
    return count


def _due(connection: psycopg.Connection[Any], month: str, at: datetime) -> Iterator[NewFact]:
    prices = list(_prices(connection))
    for told in _streams(connection, "subscription"):
        for charge in standing.charges(told, prices, month, at):
            yield NewFact(standing.stream(charge.subscription), standing.identity(charge), charge)


def _prices(connection: psycopg.Connection[Any]) -> Iterator[Price]:
    """With their ends; of each item in the order of publication."""
    for told in _streams(connection, "item"):
        item = Item("")
        for each in told:
            item = catalogue.evolve(item, each)
        yield from item.prices


def _is_sandbox(connection: psycopg.Connection[Any]) -> bool:
    owners = {
        each.dataset: each.owner
        for told in _streams(connection, "dataset")
        for each in told
        if isinstance(each, DatasetOwnerSet)
    }
    return sandbox.is_one(owners)


def _streams(connection: psycopg.Connection[Any], kind: str) -> Iterator[list[Fact]]:
    """The facts of each stream of a kind, one stream after another. One transaction of the connection."""
    with connection.transaction(), connection.cursor("streams") as rows:
        rows.itersize = BATCH
        rows.execute(TOLD, (f"{kind}:", f"{kind};"))
        for _, own in groupby(rows, lambda row: row[0]):
            yield [fact.decode(state) for _, state in own]
