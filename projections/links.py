"""Which numbers belong together: container, bill of lading, booking, air waybill, rail consignment, declaration.

Every fact links its own subject with the subjects that it names. Both directions are kept, with the position that
made the link. Nothing is ever unlinked here.
"""

from collections.abc import Sequence
from typing import Any

import psycopg

from domain.fact import Stated
from domain.journal import Entry

NAME = "links"
JOURNAL = "cargo"
TABLES = ("links",)
TABLE = """
CREATE TABLE IF NOT EXISTS links (
    subject  text COLLATE "C" NOT NULL,   -- kind:number
    other    text COLLATE "C" NOT NULL,   -- kind:number
    position bigint NOT NULL,             -- of the first fact that says so
    PRIMARY KEY (subject, other)
);
"""
INSERT = """
INSERT INTO links (subject, other, position)
SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[])
ON CONFLICT DO NOTHING
"""


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Add the links that a batch of facts makes."""
    pairs: dict[tuple[str, str], int] = {}
    for entry in entries:
        if isinstance(entry.fact, Stated):
            for other in entry.fact.refs:
                pairs.setdefault((entry.stream, other), entry.position)
                pairs.setdefault((other, entry.stream), entry.position)
    if pairs:
        subjects, others = zip(*pairs, strict=True)
        cursor.execute(INSERT, (list(subjects), list(others), list(pairs.values())))


REACHED = """
WITH own AS (
    SELECT ask, subject FROM unnest(%s::int[], %s::text[]) AS own (ask, subject)
), hop AS (
    SELECT DISTINCT own.ask, link.other AS subject
    FROM own JOIN links AS link ON link.subject = own.subject
), far AS (
    SELECT DISTINCT hop.ask, link.other AS subject
    FROM hop JOIN links AS link ON link.subject = hop.subject
    WHERE hop.subject !~ '^(container|truck|manifest):'  -- they carry other people's cargo too: no way through
)
SELECT ask, subject FROM hop UNION SELECT ask, subject FROM far
"""


def reached(connection: psycopg.Connection[Any], asks: Sequence[Sequence[str]]) -> list[list[str]]:
    """For each question its subjects' consignment: the other subjects, at most two links away, in order.

    No other box is among them when the question is about a box.
    """
    flat = [(ask, subject) for ask, own in enumerate(asks) for subject in own]
    numbers, subjects = [ask for ask, _ in flat], [subject for _, subject in flat]
    found: list[set[str]] = [set() for _ in asks]
    for ask, subject in connection.execute(REACHED, (numbers, subjects), prepare=True):
        found[ask].add(subject)
    return [_others(own, others) for own, others in zip(asks, found, strict=True)]


def _others(own: Sequence[str], found: set[str]) -> list[str]:
    asks_for_box = any(subject.startswith("container:") for subject in own)
    return sorted(other for other in found.difference(own) if not (asks_for_box and other.startswith("container:")))


KNOWN = """
SELECT DISTINCT subject FROM links WHERE subject = ANY(%s)
"""


def known(connection: psycopg.Connection[Any], subjects: Sequence[str]) -> set[str]:
    """Which of these subjects some fact names."""
    return {row[0] for row in connection.execute(KNOWN, (list(subjects),), prepare=True)}
