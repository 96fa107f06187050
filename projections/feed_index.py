"""The feed's index: one narrow row for each fact of the journal that can be told, with what a wish may be about.

The row of a remark (confirmed, retracted, corrected, reinstated) carries what its line says, so that it is shown and
wanted as the line is. What has no line has no row: who the parties are, and what is said of nothing. Times are UTC.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from domain import binary, datasets
from domain.declaration import Amended, CompletionLodged, DeletionRequested, Lodged, Withdrawn
from domain.fact import Confirmed, Corrected, Fact, Moved, Reinstated, Retracted, Stated, tag_of
from domain.journal import Entry
from projections import sight
from projections.timeline import DECISIONS

NAME = "feed_index"
JOURNAL = "cargo"
TABLES = ("feed_index",)
TABLE = """
CREATE TABLE IF NOT EXISTS feed_index (
    position    bigint PRIMARY KEY,
    line        uuid NOT NULL,               -- the fact that it is, or is about
    recorded_at timestamptz NOT NULL,        -- of this fact
    happened_at timestamptz NOT NULL,        -- of the line: when it happened, is planned or is expected
    subject     text COLLATE "C" NOT NULL,   -- kind:number that the line tells of
    dataset     text COLLATE "C" NOT NULL,   -- of the line
    code        text COLLATE "C" NOT NULL,   -- of the line, as are place, mode, class, source
    place       text COLLATE "C" NOT NULL,
    mode        text COLLATE "C" NOT NULL,
    class       text COLLATE "C" NOT NULL,   -- PLN, EST, ACT
    source      text COLLATE "C" NOT NULL,   -- who said so; of what Kouan decided, the account
    remark      text COLLATE "C" NOT NULL    -- '': the line itself; else confirmed, retracted, corrected, reinstated
);
CREATE INDEX IF NOT EXISTS feed_index_subject ON feed_index (subject, position);
""" + sight.policy("feed_index")
COPY = """
COPY feed_index
    (position, line, recorded_at, happened_at, subject, dataset, code, place, mode, class, source, remark)
FROM STDIN (FORMAT BINARY)
"""
KNOWN = """
SELECT said.fact_id, line, happened_at, subject, dataset, code, place, mode, class, source
FROM cargo_events AS said JOIN feed_index ON feed_index.position = said.notification_id
WHERE said.fact_id = ANY(%b)
"""
CONFIDENTIAL = (Lodged, Amended, CompletionLodged, DeletionRequested, Withdrawn)
"""What a declarant enters, goods and prices, is between him and customs: it is in nobody's feed."""
Remarked = Confirmed | Retracted | Corrected | Reinstated


class About(NamedTuple):
    """The line that a fact is, or is about."""

    line: UUID
    happened_at: datetime
    subject: str
    dataset: str
    code: str
    place: str
    mode: str
    classifier: str
    source: str


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Add a batch of facts."""
    known = _known(cursor, {entry.fact.fact_id for entry in entries if isinstance(entry.fact, Remarked)})
    rows = []
    for entry in entries:
        fact, remark = entry.fact, ""
        about: About | None
        if isinstance(fact, Remarked):
            about, remark = known.get(fact.fact_id), tag_of(type(fact)).removeprefix("fact.")
        else:
            about = _line(entry, fact)
        if about is not None:
            known[entry.fact_id] = about
            rows.append(_row(entry, about, remark))
    with cursor.copy(COPY) as copy:
        copy.write(b"".join((binary.COPY_HEAD, *rows, binary.COPY_TAIL)))


_FIELDS = struct.pack("!h", 12)


def _row(entry: Entry, about: About, remark: str) -> bytes:
    line, happened_at, subject, *traits = about
    return b"".join(
        (
            _FIELDS,
            binary.number(entry.position),
            binary.uuid(line),
            binary.instant(entry.fact.recorded_at),
            binary.instant(happened_at),
            binary.text(subject),
            _traits(*traits, remark),
        )
    )


@lru_cache(maxsize=8192)
def _traits(*words: str) -> bytes:
    """Most facts say one of a few things."""
    return b"".join(map(binary.text, words))


def _line(entry: Entry, fact: Fact) -> About | None:
    happened_at = fact.happened_at
    if isinstance(fact, Moved):
        dataset = datasets.of(entry.stream, fact.code, fact.mode)
        what = (fact.code, fact.place, fact.mode, fact.classifier, fact.source)
        return About(entry.fact_id, happened_at, entry.stream, dataset, *what)
    if isinstance(fact, Stated):
        dataset, place = datasets.of(entry.stream, fact.code, ""), getattr(fact, "place", "")
        return About(entry.fact_id, happened_at, entry.stream, dataset, fact.code, place, "", "ACT", fact.source)
    code = DECISIONS.get(type(fact))
    if code is None or isinstance(fact, CONFIDENTIAL):
        return None
    subject, place, by = (getattr(fact, name, "") for name in ("subject", "place", "by"))
    dataset = datasets.of(subject or entry.stream, code, "")
    return About(entry.fact_id, happened_at, subject or entry.stream, dataset, code, place, "", "ACT", by)


def _known(cursor: psycopg.Cursor[Any], facts: Iterable[UUID]) -> dict[UUID, About]:
    """By facts of earlier batches the lines that they are, or are about."""
    wanted = list(facts)
    if not wanted:
        return {}
    with cursor.connection.cursor(binary=True) as rows:
        return {row[0]: About(*row[1:]) for row in rows.execute(KNOWN, (wanted,), prepare=True)}
