"""What every account used: one row for each delivery that was metered, free ones too, counted once by construction.

A row's key is (meter, stream, version) of the fact that caused it; the rows and the position commit together. How a
fact is measured is handed in by whoever wires the product (billing/metering.py); here only counting happens.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from domain.delivery import Measured
from domain.fact import Fact
from domain.journal import Entry
from projections.runner import ReadModel

NAME = "usage"
JOURNAL = "commerce"
TABLES = ("usage_entries",)
TABLE = """
CREATE TABLE IF NOT EXISTS usage_entries (
    meter       text COLLATE "C" NOT NULL,
    stream      text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    position    bigint NOT NULL,                -- in the commerce journal
    account     text NOT NULL,
    item        text NOT NULL,
    item_class  text NOT NULL CHECK (item_class IN ('government', 'commercial')),
    result      text NOT NULL,                  -- ok, empty, denied, error
    quantity    bigint NOT NULL CHECK (quantity >= 0),
    chargeable  boolean NOT NULL,
    tariff      text,                           -- price version; a government item can have none
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (meter, stream, version),
    CHECK (item_class = 'commercial' OR (tariff IS NULL AND NOT chargeable)),
    CHECK (chargeable = (tariff IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS usage_entries_account ON usage_entries (account, occurred_at);
"""
COPY = """
COPY usage_entries
    (meter, stream, version, position, account, item, item_class, result, quantity, chargeable, tariff, occurred_at)
FROM STDIN (FORMAT BINARY)
"""
TYPES = ["text", "text", "int8", "int8", "text", "text", "text", "text", "int8", "bool", "text", "timestamptz"]


def model(measure: Callable[[Fact], Sequence[Measured]]) -> ReadModel:
    """The usage read model under a rule of measuring."""

    def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
        rows = [(entry, reading) for entry in entries for reading in measure(entry.fact)]
        if not rows:
            return
        with cursor.copy(COPY) as copy:
            copy.set_types(TYPES)
            for entry, reading in rows:
                copy.write_row(_row(entry, reading))

    return ReadModel(NAME, JOURNAL, TABLE, TABLES, project)


def _row(entry: Entry, reading: Measured) -> tuple[object, ...]:
    what = (reading.account, reading.item, reading.item_class, reading.result, reading.quantity)
    price = (reading.tariff is not None, reading.tariff)
    return (reading.meter, entry.stream, entry.version, entry.position, *what, *price, reading.occurred_at)


class Used(msgspec.Struct, frozen=True):
    """A sum of usage at one price, or at none."""

    account: str
    item: str
    item_class: str
    tariff: str | None
    deliveries: int
    quantity: int
    first_at: datetime
    last_at: datetime
    position: int


SUMS = """
SELECT
    account, item, item_class, tariff,
    count(*), sum(quantity)::bigint, min(occurred_at), max(occurred_at), max(position)
FROM usage_entries
WHERE (%(account)s::text IS NULL OR account = %(account)s)
  AND (%(start)s::timestamptz IS NULL OR occurred_at >= %(start)s)
  AND (%(end)s::timestamptz IS NULL OR occurred_at < %(end)s)
GROUP BY account, item, item_class, tariff
ORDER BY account, item_class DESC, item, tariff
"""


def used(
    connection: psycopg.Connection[Any],
    *,
    account: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[Used]:
    """The sums by account, item and price version in a half-open period; government items first."""
    rows = connection.execute(SUMS, {"account": account, "start": start, "end": end})
    return [Used(*row) for row in rows]
