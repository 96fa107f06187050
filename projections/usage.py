"""What every account used: one row for each reading of a meter, free ones too, counted once by construction.

A row's key is (meter, stream, version) of the fact that caused it; the rows and the position commit together. How a
fact is measured is handed in by whoever wires the product (billing/metering.py); here only counting happens.

A row is posted to the month in which the use occurred (domain/period.py), or, if that month was cut off before the row
came in the journal, to the first open one; then it names the month that it corrects. The cut-offs come from the same
journal, in its order, so that a rebuild posts every row where it was. What has a price names one that was published:
the database sees to it (domain/migrations/0015_tariffs.sql).
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from domain import period
from domain.delivery import Measured
from domain.fact import Fact
from domain.journal import Entry
from domain.period import PeriodCutOff
from projections.runner import ReadModel

NAME = "usage"
JOURNAL = "commerce"
STANDING = "standing/1"  # the meter of what falls due without use: it reads no delivery
TABLES = ("usage_entries", "usage_periods")
TABLE = """
CREATE TABLE IF NOT EXISTS usage_periods (
    period   text COLLATE "C" PRIMARY KEY,      -- that was cut off
    position bigint NOT NULL,                   -- in the commerce journal: what comes behind it is late
    by       text NOT NULL,
    at       timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS usage_entries (
    meter           text COLLATE "C" NOT NULL,
    stream          text COLLATE "C" NOT NULL,
    version         bigint NOT NULL,
    position        bigint NOT NULL,            -- in the commerce journal
    account         text COLLATE "C" NOT NULL,
    party           text COLLATE "C" NOT NULL,  -- of the account; '' if it has none
    holder          text COLLATE "C" NOT NULL   -- the enterprise: that party, or the account
        GENERATED ALWAYS AS (CASE party WHEN '' THEN account ELSE party END) STORED,
    behalf          text COLLATE "C" NOT NULL,  -- the party that was acted for; '' for one's own
    item            text COLLATE "C" NOT NULL,
    item_class      text NOT NULL CHECK (item_class IN ('government', 'commercial')),
    result          text NOT NULL,              -- ok, empty, denied, error, sent
    quantity        bigint NOT NULL,            -- units; below zero what a source took back
    chargeable      boolean NOT NULL,
    tariff          text COLLATE "C",           -- price version; a government item can have none
    waived          text NOT NULL,              -- why what has a price is not charged; ''
    occurred_at     timestamptz NOT NULL,
    billing_period  text COLLATE "C" NOT NULL,  -- month in Asia/Shanghai, 2026-10
    corrects_period text COLLATE "C",           -- in which it occurred, if that was cut off before
    PRIMARY KEY (meter, stream, version),
    FOREIGN KEY (item, tariff) REFERENCES published_tariffs (item, version),
    CHECK (item_class = 'commercial' OR (tariff IS NULL AND NOT chargeable AND waived = '')),
    CHECK (tariff IS NOT NULL OR (NOT chargeable AND waived = '')),
    CHECK (tariff IS NULL OR (chargeable = (waived = '') AND result = 'ok')),
    CHECK (CASE meter WHEN 'reversal/1' THEN quantity < 0 AND tariff IS NOT NULL ELSE quantity >= 0 END),
    CHECK (corrects_period IS NULL OR corrects_period < billing_period)
);
CREATE INDEX IF NOT EXISTS usage_entries_holder ON usage_entries (holder, occurred_at);
CREATE INDEX IF NOT EXISTS usage_entries_behalf ON usage_entries (behalf, billing_period) WHERE behalf <> '';
CREATE INDEX IF NOT EXISTS usage_entries_late ON usage_entries (billing_period) WHERE corrects_period IS NOT NULL;

-- Whatever counts: nothing is posted to a month behind its cut-off, and nothing that was posted changes.
CREATE OR REPLACE FUNCTION usage_in_time() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (
        SELECT FROM told JOIN usage_periods ON period = told.billing_period AND usage_periods.position < told.position
    ) THEN
        RAISE check_violation USING MESSAGE = 'nothing is posted to a month that was cut off before';
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION usage_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE restrict_violation USING MESSAGE = 'what was counted is never changed; a rebuild counts anew';
END
$$;
CREATE OR REPLACE TRIGGER usage_in_time AFTER INSERT ON usage_entries
    REFERENCING NEW TABLE AS told FOR EACH STATEMENT EXECUTE FUNCTION usage_in_time();
CREATE OR REPLACE TRIGGER usage_stands BEFORE UPDATE OR DELETE ON usage_entries
    FOR EACH STATEMENT EXECUTE FUNCTION usage_stands();
"""
COPY = """
COPY usage_entries
    (meter, stream, version, position, account, party, behalf, item, item_class, result, quantity, chargeable, tariff,
     waived, occurred_at, billing_period, corrects_period)
FROM STDIN (FORMAT BINARY)
"""
TYPES = (
    *("text", "text", "int8", "int8", "text", "text", "text", "text", "text", "text", "int8", "bool", "text"),
    *("text", "timestamptz", "text", "text"),
)
CUT_OFF = "INSERT INTO usage_periods (period, position, by, at) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
FETCHED = 2_000  # cells at a time
LATEST = "SELECT max(period) FROM usage_periods"


def model(measure: Callable[[Fact], Sequence[Measured]]) -> ReadModel:
    """The usage read model under a rule of measuring."""

    def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
        rows = list(_rows(cursor, entries, measure))
        if not rows:
            return
        with cursor.copy(COPY) as copy:
            copy.set_types(TYPES)
            for row in rows:
                copy.write_row(row)

    return ReadModel(NAME, JOURNAL, TABLE, TABLES, project)


def _rows(
    cursor: psycopg.Cursor[Any], entries: Sequence[Entry], measure: Callable[[Fact], Sequence[Measured]]
) -> Iterator[tuple[object, ...]]:
    """In the order of the journal: what follows a cut-off in the same batch is late already."""
    [closed] = cursor.execute(LATEST, prepare=True).fetchone() or (None,)
    month = period.months()
    for entry in entries:
        told = entry.fact
        if isinstance(told, PeriodCutOff):
            cursor.execute(CUT_OFF, (told.period, entry.position, told.by, told.happened_at))
            closed = max(closed or "", told.period)
        else:
            for reading in measure(told):
                yield _row(entry, reading, month(reading.occurred_at), closed)


def _row(entry: Entry, reading: Measured, month: str, closed: str | None) -> tuple[object, ...]:
    late = closed is not None and month <= closed
    posted = (period.following(closed), month) if late and closed else (month, None)
    who = (reading.account, reading.party, reading.behalf)
    what = (reading.item, reading.item_class, reading.result, reading.quantity)
    price = (reading.tariff is not None and not reading.waived, reading.tariff, reading.waived)
    return (
        *(reading.meter, entry.stream, entry.version, entry.position),
        *(*who, *what, *price, reading.occurred_at, *posted),
    )


# --- queries ---


class Cell(msgspec.Struct, frozen=True):
    """What one account used of one item at one price on one day, posted to one period: the grain of every report."""

    holder: str  # party of the account, or itself if it has none
    party: str
    account: str
    behalf: str
    item: str
    item_class: str
    tariff: str | None
    waived: str
    billing_period: str
    corrects_period: str | None
    day: str  # in Asia/Shanghai, 2026-10-31
    part: int  # of the day: 0 before what was asked about, 1 in it, 2 behind it
    deliveries: int
    quantity: int
    reversed: int  # units taken back by their sources, above zero
    first_at: datetime
    last_at: datetime
    position: int

    @property
    def month(self) -> str:
        """In which it occurred."""
        return self.corrects_period or self.billing_period


CELLS = """
SELECT
    holder, party, account, behalf, item, item_class, tariff, waived, billing_period, corrects_period,
    to_char(occurred_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD') AS day,
    CASE WHEN occurred_at < %(start)s THEN 0 WHEN occurred_at >= %(end)s THEN 2 ELSE 1 END AS part,
    count(*) FILTER (WHERE quantity >= 0 AND meter <> 'standing/1'),
    coalesce(sum(quantity) FILTER (WHERE quantity >= 0), 0)::bigint,
    coalesce(-sum(quantity) FILTER (WHERE quantity < 0), 0)::bigint,
    min(occurred_at), max(occurred_at), max(position)
FROM usage_entries
WHERE occurred_at >= %(first)s AND occurred_at < %(last)s
  AND (%(posted)s::text IS NULL OR billing_period <= %(posted)s)
  AND (%(holder)s::text IS NULL OR (holder = %(holder)s AND (party <> '') = %(is_party)s))
  AND (
      %(account)s::text IS NULL
      OR (holder, party <> '') IN (
          SELECT holder, party <> '' FROM usage_entries
          WHERE account = %(account)s AND occurred_at >= %(first)s AND occurred_at < %(last)s
      )
  )
GROUP BY holder, party, account, behalf, item, item_class, tariff, waived, billing_period, corrects_period, day, part
ORDER BY
    holder, party, item_class DESC, item, tariff NULLS FIRST, waived, coalesce(corrects_period, billing_period),
    billing_period, day, part, account, behalf
"""
LINES = """
SELECT
    holder, party,
    CASE WHEN holder = ANY(%(acting)s) THEN account ELSE '' END,
    behalf, item, item_class, tariff, waived, billing_period, corrects_period,
    CASE WHEN holder = ANY(%(acting)s) THEN to_char(occurred_at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD') ELSE '' END,
    1,
    count(*) FILTER (WHERE quantity >= 0 AND meter <> 'standing/1'),
    coalesce(sum(quantity) FILTER (WHERE quantity >= 0), 0)::bigint,
    coalesce(-sum(quantity) FILTER (WHERE quantity < 0), 0)::bigint,
    min(occurred_at), max(occurred_at), max(position)
FROM usage_entries
WHERE occurred_at >= %(first)s AND occurred_at < %(last)s AND billing_period <= %(posted)s
  AND (%(holder)s::text IS NULL OR (holder = %(holder)s AND (party <> '') = %(is_party)s))
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
ORDER BY
    holder, party, item_class DESC, item, tariff NULLS FIRST, waived, coalesce(corrects_period, billing_period),
    billing_period, 11, 12, 3, behalf
"""
ACTING = """
SELECT DISTINCT holder FROM usage_entries
WHERE behalf <> '' AND occurred_at >= %(first)s AND occurred_at < %(last)s AND billing_period <= %(posted)s
"""
HASHED = "SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off; SET LOCAL work_mem = '32MB'"
"""Few lines of many entries: to sort the entries would be the longer way, which the planner does not see."""
AS_BEFORE = """
SET LOCAL enable_sort TO DEFAULT; SET LOCAL enable_incremental_sort TO DEFAULT; SET LOCAL work_mem TO DEFAULT
"""
LATE = """
SELECT min(corrects_period) FROM usage_entries WHERE billing_period = %s AND corrects_period IS NOT NULL
"""


class Whose(msgspec.Struct, frozen=True):
    """Whose usage is asked for. `holder`: a party (`is_party`), or an account that has none; None: of everybody."""

    holder: str | None = None
    is_party: bool = False
    account: str | None = None  # and everything of the enterprise that it belongs to, with which it is rated


def cells(
    connection: psycopg.Connection[Any],
    whose: Whose,
    *,
    start: datetime,
    end: datetime,
    first: datetime,
    last: datetime,
) -> list[Cell]:
    """What was used from `first` to before `last`, told apart at `start` and `end`; government items first."""
    window = {"start": start, "end": end, "first": first, "last": last, "posted": None}
    return [Cell(*row) for row in connection.execute(CELLS, window | msgspec.structs.asdict(whose))]


def posted(
    connection: psycopg.Connection[Any],
    month: str,
    whose: Whose = Whose(),  # noqa: B008  frozen
    *,
    daily: bool = False,
) -> Iterator[Cell]:
    """All that is posted to a month and what it is rated with, holder by holder; read as it is asked for.

    `daily`: by account and day. Else these are left out ("") but of a holder that acted for others, whose shares depend
    on the order of the days; what a line comes to is the same. In one transaction of the connection, so that a month of
    any size takes the same memory.
    """
    begin, last = period.bounds(month)
    if late := earliest_corrected(connection, month):
        begin = period.bounds(late)[0]
    window = {"start": begin, "end": last, "first": begin, "last": last, "posted": month}
    acting = [] if daily else [holder for (holder,) in connection.execute(ACTING, window)]
    with connection.transaction(), connection.cursor("posted", withhold=False) as rows:
        rows.itersize = FETCHED
        if not daily:
            connection.execute(HASHED)
        rows.execute(CELLS if daily else LINES, window | msgspec.structs.asdict(whose) | {"acting": acting})
        connection.execute(AS_BEFORE)
        for row in rows:
            yield Cell(*row)


ACTED_FOR = """
SELECT DISTINCT holder, party <> '' FROM usage_entries
WHERE billing_period = %s AND behalf = %s AND tariff IS NOT NULL AND (holder <> %s OR party = '')
ORDER BY 1, 2
"""


def acted_for(connection: psycopg.Connection[Any], month: str, principal: str) -> list[Whose]:
    """Who used something in a month for this party, beside itself: it may bear a share of it."""
    return [Whose(*row) for row in connection.execute(ACTED_FOR, (month, principal, principal))]


def earliest_corrected(connection: psycopg.Connection[Any], month: str) -> str | None:
    """The oldest period that something posted to this one corrects."""
    row = connection.execute(LATE, (month,)).fetchone()
    return row[0] if row else None


def cut_offs(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """The periods that were cut off, and the journal positions behind which nothing is posted to them."""
    return dict(connection.execute("SELECT period, position FROM usage_periods ORDER BY period").fetchall())
