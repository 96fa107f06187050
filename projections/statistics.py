"""Decision information: how long cargo and its papers take, how often customs looks or rejects, who declares early.

What is kept is one narrow row for each fact that a measure needs, and one for each word about another fact; everything
else happens when a question is asked (projections/units.py), so any order of arrival gives the same figures. Plans
and estimates are left out. Times are UTC; months are those of Asia/Shanghai.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import psycopg
from psycopg import sql

from domain import datasets
from domain.binary import COPY_HEAD, COPY_TAIL
from domain.declaration import Amended, CompletionLodged, Lodged
from domain.declaring import Content
from domain.fact import Confirmed, Corrected, Moved, Reinstated, Retracted, Stated
from domain.journal import Entry
from domain.receipts import Received
from projections import units
from projections.measures import Measure

NAME = "statistics"
JOURNAL = "cargo"
TABLES = ("statistics_facts", "statistics_remarks")
TABLE = """
CREATE TABLE IF NOT EXISTS statistics_facts (
    position    bigint PRIMARY KEY,
    fact_id     uuid NOT NULL,
    happened_at timestamptz NOT NULL,
    subject     text COLLATE "C" NOT NULL,   -- the stream
    code        text COLLATE "C" NOT NULL,   -- milestone; of what was declared here: see units.py
    place       text COLLATE "C" NOT NULL,   -- of a receipt: the declaring customs
    mode        text COLLATE "C" NOT NULL,
    detail      text COLLATE "C" NOT NULL,   -- of a receipt: its raw code; of what was declared here: the regime
    dataset     text COLLATE "C" NOT NULL    -- domain/datasets.py
);
CREATE INDEX IF NOT EXISTS statistics_facts_happened_at ON statistics_facts
    USING brin (happened_at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX IF NOT EXISTS statistics_facts_reversed ON statistics_facts (position) WHERE code LIKE '%\\_REVERSED';
CREATE TABLE IF NOT EXISTS statistics_remarks (
    position bigint PRIMARY KEY,
    fact_id  uuid NOT NULL,                  -- of the remark itself
    about    uuid NOT NULL,                  -- the fact that it confirms or takes back
    kind     text COLLATE "C" NOT NULL       -- confirmed, retracted, corrected, reinstated
);
CREATE INDEX IF NOT EXISTS statistics_remarks_about ON statistics_remarks (about);
ALTER TABLE statistics_facts ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS sight ON statistics_facts;
CREATE POLICY sight ON statistics_facts FOR SELECT TO kouan_reader USING (
    dataset = ANY (ARRAY(SELECT unnest(current_setting('kouan.whole')::text[])))  -- no figures of one's own cargo
);
GRANT SELECT ON statistics_facts, statistics_remarks TO kouan_reader;
"""
COPY_FACTS = """
COPY statistics_facts (position, fact_id, happened_at, subject, code, place, mode, detail, dataset)
FROM STDIN (FORMAT BINARY)
"""
COPY_REMARKS = "COPY statistics_remarks (position, fact_id, about, kind) FROM STDIN (FORMAT BINARY)"

WANTED = frozenset({*units.CODES, *(f"{code}_REVERSED" for code in units.CODES)})
REMARKS: dict[type, bytes] = {
    Confirmed: b"confirmed",
    Retracted: b"retracted",
    Corrected: b"corrected",
    Reinstated: b"reinstated",
}


# --- project ---

_FACT = Struct("!hiqi16siqi")  # nine fields: position, id, instant; the length of the first text
_REMARK = Struct("!hiqi16si16si")
_LENGTH = Struct("!i")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Keep what the measures need of a batch."""
    facts: list[bytes] = [COPY_HEAD]
    remarks: list[bytes] = [COPY_HEAD]
    for entry in entries:
        told = entry.fact
        if isinstance(told, Stated):
            if told.code in WANTED and (not isinstance(told, Moved) or told.classifier == "ACT"):
                detail = told.raw_code if isinstance(told, Received) else ""
                place, mode = (told.place, told.mode) if isinstance(told, Moved) else (getattr(told, "place", ""), "")
                dataset = _dataset(entry.stream.partition(":")[0], told.code, mode)
                facts.append(_fact(entry, told.code, place, mode, detail, dataset))
        elif type(told) in REMARKS:
            remarks.append(_remark(entry, REMARKS[type(told)]))
        elif isinstance(told, Lodged | Amended | CompletionLodged):
            facts.append(_lodged(entry, told))
    for statement, rows in ((COPY_FACTS, facts), (COPY_REMARKS, remarks)):
        if len(rows) > 1:
            rows.append(COPY_TAIL)
            with cursor.copy(statement) as copy:
                copy.write(b"".join(rows))


def _fact(entry: Entry, *words: str) -> bytes:
    """One row, made by hand: the driver's general way costs three times as much. `words`: from the code on."""
    subject = entry.stream.encode()
    at = (entry.fact.happened_at - _EPOCH) // _MICROSECOND
    head = _FACT.pack(9, 8, entry.position, 16, entry.fact_id.bytes, 8, at, len(subject))
    return head + subject + _words(*words)


@lru_cache(maxsize=1 << 12)
def _dataset(kind: str, code: str, mode: str) -> str:
    return datasets.of(f"{kind}:", code, mode)


@lru_cache(maxsize=1 << 14)
def _words(*words: str) -> bytes:
    return b"".join([_LENGTH.pack(len(raw)) + raw for raw in map(str.encode, words)])


def _remark(entry: Entry, kind: bytes) -> bytes:
    told = entry.fact
    assert isinstance(told, Confirmed | Retracted | Corrected | Reinstated)
    head = _REMARK.pack(4, 8, entry.position, 16, entry.fact_id.bytes, 16, told.fact_id.bytes, len(kind))
    return head + kind


def _lodged(entry: Entry, told: Lodged | Amended | CompletionLodged) -> bytes:
    """What was declared here, with its regime 监管方式 where its content came along."""
    content = told.content or Content()
    code = units.CONTENT
    if isinstance(told, Lodged):
        code = units.LODGED_TWO_STEP if told.content and content.kind in {"summary", "complete"} else units.LODGED
    mode = TRANSPORT_MODES.get(content.transport_mode, "")
    return _fact(entry, code, content.declaring_customs, mode, content.regime, datasets.DECLARATIONS)


TRANSPORT_MODES = {"2": "VESSEL", "3": "RAIL", "4": "TRUCK", "5": "AIR"}
"""运输方式 of a declaration, as far as it is a transport of ours."""


# --- queries ---

ZONE = ZoneInfo("Asia/Shanghai")
GROUPS_MAX = 5_000
COUNTS = {"duration": "hours >= 0", "share": "hit IS NOT NULL", "timeliness": "hours IS NOT NULL"}


class Period(msgspec.Struct, frozen=True):
    """Whole months of Asia/Shanghai, both included, as YYYY-MM."""

    since: str
    until: str

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """The first instant, and the first one behind."""
        year, month = map(int, self.until.split("-"))
        after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=ZONE)
        return datetime.fromisoformat(f"{self.since}-01").replace(tzinfo=ZONE), after


class Group(msgspec.Struct, frozen=True):
    """What was counted under one key, exactly: not to be shown before projections/suppression.py has seen it."""

    key: tuple[str, ...]  # in the order of the dimensions asked for
    count: int
    hits: int
    median: float | None  # hours
    p90: float | None  # hours


def counted(
    connection: psycopg.Connection[Any],
    measure: Measure,
    by: Sequence[str],
    period: Period,
    only: Mapping[str, str],
) -> tuple[list[Group], Group]:
    """The groups in order, and all of them as one; at most GROUPS_MAX + 1 of them.

    `by` and the keys of `only` are dimensions of the measure.
    """
    query = sql.SQL(units.SUMMARY).format(**fragments(measure, by, only))
    groups: list[Group] = []
    total = Group((), 0, 0, None, None)
    for *key, whole, count, hits, median, p90 in connection.execute(query, parameters(measure, period, only)):
        if whole:
            total = Group((), count, hits, median, p90)
        else:
            groups.append(Group(tuple(key), count, hits, median, p90))
    return sorted(groups, key=lambda group: group.key), total


def parameters(measure: Measure, period: Period, only: Mapping[str, str]) -> dict[str, Any]:
    """What the queries of projections/units.py name by %(…)s."""
    since, until = period.bounds
    _, codes = units.UNITS[measure.units]
    values: dict[str, Any] = {**units.VALUES, **measure.values, "since": since, "until": until}
    values["limit"] = GROUPS_MAX + 2
    values["needed"] = [*codes, *measure.values.get("starts", ()), *measure.values.get("ends", ())]
    return values | {f"only_{name}": value for name, value in only.items()}


def fragments(measure: Measure, by: Sequence[str], only: Mapping[str, str]) -> dict[str, sql.Composable]:
    """What they name by {…}. `by` and the keys of `only` are columns of theirs."""
    keys = [sql.Identifier(name) for name in by]
    wanted = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(f"only_{name}")) for name in only]
    return {
        "facts": sql.SQL(units.FACTS),
        "units": sql.SQL(units.UNITS[measure.units][0]),
        "at": sql.SQL(measure.at),
        "hours": sql.SQL(measure.hours),
        "hit": sql.SQL(measure.hit),
        "counts": sql.SQL(COUNTS[measure.kind]),
        "only": sql.SQL(" AND ").join([sql.SQL("true"), *wanted]),
        "keys": sql.SQL("").join(sql.SQL("{}, ").format(key) for key in keys),
        "whole": sql.SQL("grouping({}) > 0").format(keys[0]) if keys else sql.SQL("true"),
        "sets": sql.SQL("({}), ()").format(sql.SQL(", ").join(keys)) if keys else sql.SQL("()"),
    }
