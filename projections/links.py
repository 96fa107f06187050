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
WITH hop AS (
    SELECT other FROM links WHERE subject = ANY(%(own)s)
), far AS (
    SELECT link.other
    FROM links AS link JOIN hop ON link.subject = hop.other
    WHERE hop.other !~ '^(container|truck|manifest):'  -- they carry other people's cargo too: no way through
)
SELECT other FROM hop UNION SELECT other FROM far
"""


def reached(connection: psycopg.Connection[Any], own: Sequence[str]) -> list[str]:
    """The other subjects of the same consignment, at most two links away; no other box if asked about a box."""
    asks_for_box = any(subject.startswith("container:") for subject in own)
    found = {row[0] for row in connection.execute(REACHED, {"own": list(own)}, prepare=True)} - set(own)
    return sorted(other for other in found if not (asks_for_box and other.startswith("container:")))


KNOWN = """
SELECT DISTINCT subject FROM links WHERE subject = ANY(%s)
"""


def known(connection: psycopg.Connection[Any], subjects: Sequence[str]) -> set[str]:
    """Which of these subjects some fact names."""
    return {row[0] for row in connection.execute(KNOWN, (list(subjects),), prepare=True)}
