"""Looking at cargo: a connection, and the view of whoever looks through it. Every answer is read through one.

Two walls. The queries themselves ask only for rows that the view shows; and the connection, whose role owns nothing,
is shown no others by row-level security: a query that forgets the view finds nothing it should not. The second wall
reads three settings of the transaction; where they were not set, every query fails.

A row is shown if its dataset is seen in whole (public, owned, permitted, agreed), or if it tells of the party's own
cargo (projections/interests.py) and the party may see its own in that dataset.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from projections.rights import View

POLICY = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS sight ON {table};
CREATE POLICY sight ON {table} FOR SELECT TO kouan_reader USING (
    {dataset} = ANY (ARRAY(SELECT unnest(current_setting('kouan.whole')::text[])))
    OR ({dataset} IS NULL OR {dataset} = ANY (ARRAY(SELECT unnest(current_setting('kouan.own')::text[]))))
        AND (
            SELECT true
            FROM party_cargo
            WHERE party_cargo.subject = {table}.subject
              AND party_cargo.party = ANY (ARRAY(SELECT unnest(current_setting('kouan.parties')::text[])))
            LIMIT 1  -- looked up for each row: all the cargo of a large party is too much to gather for one question
        )
    OR {dataset} IS NULL AND (SELECT current_setting('kouan.whole')) <> '{{}}'
);
GRANT SELECT ON {table} TO kouan_reader;
"""
"""A row without a dataset is a remark on another row: worth nothing without that one."""

SET = """
SELECT set_config('kouan.parties', %b, true), set_config('kouan.own', %b, true), set_config('kouan.whole', %b, true),
       register_position()
"""
DRESS = """
SELECT set_config('kouan.parties', %b, false), set_config('kouan.own', %b, false), set_config('kouan.whole', %b, false)
"""


class Outdated(Exception):
    """The register has changed since the view was made: make another, and look again."""


class Look(NamedTuple):
    """`view` None: the node's own work, which sees everything and hands nothing over."""

    connection: psycopg.Connection[Any]
    view: View | None

    @property
    def sees_all(self) -> bool:
        return self.view is None


def policy(table: str, dataset: str = "dataset") -> str:
    """The second wall of a table with a column `subject` and one that names the dataset."""
    return POLICY.format(table=table, dataset=f"{table}.{dataset}")


@contextmanager
def opened(connection: psycopg.Connection[Any], view: View) -> Iterator[Look]:
    """Look through a connection of the reader's role, in one transaction. Raises Outdated."""
    with connection.transaction():
        row = connection.execute(SET, settings(view), prepare=True).fetchone()
        if row is None or row[3] > view.asof:
            raise Outdated
        yield Look(connection, view)


def dress(connection: psycopg.Connection[Any], view: View) -> None:
    """The same for as long as the connection lives, or until the next: for a thread that keeps one to itself."""
    connection.execute(DRESS, settings(view), prepare=True)


def settings(view: View) -> tuple[str, str, str]:
    """What the second wall reads. Names of parties and datasets hold no comma, quote or brace (domain/party.py)."""
    return _array(view.parties), _array(view.own), _array(view.whole)


def _array(names: tuple[str, ...]) -> str:
    quoted = ",".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return f"{{{quoted}}}"
