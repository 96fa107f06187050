"""The delivery ledger: how much of which dataset was handed over to whom, under which permission, day by day.

One row for each day, dataset, recipient, set of permissions, item, channel and result; what was refused is not in it.
A delivery that drew on several datasets stands under each of them with all that it handed over, for nobody can tell how
much of a verdict came from where. Days are those of Asia/Shanghai, instants UTC. Sums: any order gives the same rows.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from domain import fact
from domain.delivery import DeliveryMade
from domain.journal import Entry

NAME = "handovers"
JOURNAL = "commerce"
TABLES = ("handovers",)
TABLE = """
CREATE TABLE IF NOT EXISTS handovers (
    day            date NOT NULL,                    -- Asia/Shanghai
    dataset        text COLLATE "C" NOT NULL,
    account        text COLLATE "C" NOT NULL,
    party          text COLLATE "C" NOT NULL,
    permissions    text COLLATE "C" NOT NULL,        -- ids, by blanks; '' where a party saw its own
    item           text COLLATE "C" NOT NULL,
    channel        text COLLATE "C" NOT NULL,
    result         text COLLATE "C" NOT NULL,
    deliveries     bigint NOT NULL,
    quantity       bigint NOT NULL,                  -- lines, facts, rows
    first_at       timestamptz NOT NULL,
    last_at        timestamptz NOT NULL,
    first_position bigint NOT NULL,
    last_position  bigint NOT NULL,
    PRIMARY KEY (dataset, day, account, party, permissions, item, channel, result)
);
"""
SHANGHAI_SECONDS, DAY_SECONDS = 8 * 3600, 86_400  # no summer time since 1991, before any of this
EPOCH = date(1970, 1, 1).toordinal()
ADDED = """
INSERT INTO handovers AS had
SELECT * FROM unnest(
    %b::date[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[],
    %b::bigint[], %b::bigint[], %b::timestamptz[], %b::timestamptz[], %b::bigint[], %b::bigint[]
)
ON CONFLICT (dataset, day, account, party, permissions, item, channel, result) DO UPDATE
SET deliveries = had.deliveries + excluded.deliveries,
    quantity = had.quantity + excluded.quantity,
    first_at = least(had.first_at, excluded.first_at),
    last_at = greatest(had.last_at, excluded.last_at),
    first_position = least(had.first_position, excluded.first_position),
    last_position = greatest(had.last_position, excluded.last_position)
"""

Key = tuple[int, str, str, str, tuple[str, ...], str, str, str]
Sum = tuple[int, int, datetime, datetime, int, int]


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Add a batch, summed up in memory, by one statement."""
    sums: dict[Key, Sum] = {}
    for entry in entries:
        made = entry.fact
        if isinstance(made, DeliveryMade) and made.datasets:
            _add(sums, made, entry.position)
    if sums:
        rows = [
            (date.fromordinal(EPOCH + key[0]), *key[1:4], " ".join(sorted(key[4])), *key[5:], *value)
            for key, value in sums.items()
        ]
        columns = [list(column) for column in zip(*_merged(rows), strict=True)]
        cursor.execute(ADDED, columns, prepare=True)


def _add(sums: dict[Key, Sum], made: DeliveryMade, position: int) -> None:
    at, count = made.happened_at, made.count
    day = int(at.timestamp() + SHANGHAI_SECONDS) // DAY_SECONDS
    rest = (made.account, made.party, made.permissions, made.item, made.channel, made.result)
    for dataset in set(made.datasets):
        key = (day, dataset, *rest)
        had = sums.get(key)
        if had is None:
            sums[key] = (1, count, at, at, position, position)
        else:
            number, quantity, first, last, low, high = had
            sums[key] = (
                number + 1,
                quantity + count,
                min(first, at),
                max(last, at),
                min(low, position),
                max(high, position),
            )


def _merged(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows whose permissions came in another order are one: no statement may touch a row twice."""
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in rows:
        had = found.get(row[:8])
        found[row[:8]] = row if had is None else (*row[:8], *_summed(had[8:], row[8:]))
    return list(found.values())


def _summed(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[Any, ...]:
    number, quantity, first, last, low, high = other
    return (
        one[0] + number,
        one[1] + quantity,
        min(one[2], first),
        max(one[3], last),
        min(one[4], low),
        max(one[5], high),
    )


# --- queries ---


class Asked(NamedTuple):
    """Which part of the ledger: of these datasets, on days from the first to the last, both included."""

    datasets: tuple[str, ...]
    first: date
    last: date
    party: str = ""
    account: str = ""
    permission: str = ""
    item: str = ""


class Row(NamedTuple):
    day: date
    dataset: str
    account: str
    party: str
    permissions: tuple[str, ...]
    item: str
    channel: str
    result: str
    deliveries: int
    quantity: int
    first_at: datetime
    last_at: datetime


LEDGER = """
SELECT day, dataset, account, party, permissions, item, channel, result, deliveries, quantity, first_at, last_at
FROM handovers
WHERE dataset = ANY(%(datasets)s) AND day BETWEEN %(first)s AND %(last)s
  AND (%(party)s = '' OR party = %(party)s)
  AND (%(account)s = '' OR account = %(account)s)
  AND (%(item)s = '' OR item = %(item)s)
  AND (%(permission)s = '' OR %(permission)s = ANY(string_to_array(permissions, ' ')))
ORDER BY day DESC, dataset, party, account, permissions, item, channel, result
OFFSET %(skip)s LIMIT %(limit)s
"""
SPAN = """
SELECT min(first_position), max(last_position)
FROM handovers
WHERE dataset = ANY(%(datasets)s) AND day BETWEEN %(first)s AND %(last)s
  AND (%(party)s = '' OR party = %(party)s)
  AND (%(account)s = '' OR account = %(account)s)
  AND (%(item)s = '' OR item = %(item)s)
  AND (%(permission)s = '' OR %(permission)s = ANY(string_to_array(permissions, ' ')))
"""
RECORDS = """
SELECT notification_id, fact_id, state
FROM commerce_events
WHERE notification_id > %s AND notification_id <= %s AND topic = 'delivery.made'
ORDER BY notification_id
"""


def ledger(connection: psycopg.Connection[Any], asked: Asked, *, skip: int, limit: int) -> list[Row]:
    """The newest day first."""
    rows = connection.execute(LEDGER, {**_given(asked), "skip": skip, "limit": limit})
    return [Row._make((*row[:4], tuple(row[4].split()), *row[5:])) for row in rows]


def span(connection: psycopg.Connection[Any], asked: Asked) -> tuple[int, int]:
    """Between which positions of the journal the records of these hand-overs stand; (1, 0) if there are none."""
    row = connection.execute(SPAN, _given(asked)).fetchone()
    return (row[0], row[1]) if row and row[0] is not None else (1, 0)


def _given(asked: Asked) -> dict[str, Any]:
    return {**asked._asdict(), "datasets": list(asked.datasets)}


class Record(NamedTuple):
    position: int
    fact_id: UUID
    made: DeliveryMade


def records(connection: psycopg.Connection[Any], asked: Asked, after: int, to: int) -> Iterator[Record]:
    """The records themselves, behind a position and up to another, oldest first."""
    wanted = set(asked.datasets)
    for position, fact_id, state in connection.execute(RECORDS, (after, to)):
        made = fact.read(state)
        if isinstance(made, DeliveryMade) and not wanted.isdisjoint(made.datasets) and _fits(made, asked):
            yield Record(position, fact_id, made)


def _fits(made: DeliveryMade, asked: Asked) -> bool:
    day = date.fromordinal(EPOCH + int(made.happened_at.timestamp() + SHANGHAI_SECONDS) // DAY_SECONDS)
    return (
        asked.first <= day <= asked.last
        and asked.party in {"", made.party}
        and asked.account in {"", made.account}
        and asked.item in {"", made.item}
        and (not asked.permission or asked.permission in made.permissions)
    )
