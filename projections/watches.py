"""The numbers that each holder watches, as its people left them; what became of a number follows from the cargo."""

from collections.abc import Sequence
from typing import Any

import psycopg

from domain.identifiers import kind_of
from domain.journal import Entry
from domain.watch import Watch, WatchCancelled, WatchRequested

NAME = "watches"
JOURNAL = "commerce"
TABLES = ("watches",)
TABLE = """
CREATE TABLE IF NOT EXISTS watches (
    watch        text COLLATE "C" PRIMARY KEY,
    number       text COLLATE "C" NOT NULL,
    account      text COLLATE "C" NOT NULL,
    party        text COLLATE "C" NOT NULL,   -- that holds it; '' where the account does
    requested_at timestamptz NOT NULL,
    cancelled_at timestamptz,
    position     bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS watches_held ON watches (party, account, position) WHERE cancelled_at IS NULL;
"""
ADDED = """
INSERT INTO watches (watch, number, account, party, requested_at, position) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
ENDED = "UPDATE watches SET cancelled_at = %s WHERE watch = %s AND cancelled_at IS NULL"


def project(cursor: psycopg.Cursor[Any], entries: Sequence[Entry]) -> None:
    """Add and end those of a batch."""
    for entry in entries:
        match entry.fact:
            case WatchRequested() as told:
                who = (told.by, told.party, told.happened_at, entry.position)
                cursor.execute(ADDED, (told.watch, told.number, *who))
            case WatchCancelled() as told:
                cursor.execute(ENDED, (told.happened_at, told.watch))
            case _:
                pass


HELD = """
SELECT watch, number, account, party, requested_at, cancelled_at
FROM watches
WHERE (CASE WHEN %(party)s <> '' THEN party = %(party)s ELSE party = '' AND account = %(account)s END)
  AND (%(watch)s::text IS NULL OR watch = %(watch)s)
  AND (%(over)s OR cancelled_at IS NULL)
ORDER BY position DESC, watch
OFFSET %(skip)s LIMIT %(limit)s
"""


def held(
    connection: psycopg.Connection[Any],
    account: str,
    party: str,
    *,
    watch: str | None = None,
    over: bool = False,
    skip: int = 0,
    limit: int | None = None,
) -> list[Watch]:
    """A holder's watches, the newest first; `over`: cancelled ones too."""
    given = {"account": account, "party": party, "watch": watch, "over": over, "skip": skip, "limit": limit}
    return [Watch(*row) for row in connection.execute(HELD, given).fetchall()]


def watched(connection: psycopg.Connection[Any], account: str, party: str) -> tuple[str, ...]:
    """The numbers that a holder watches, for `FeedFilter.subjects`; none if it watches nothing."""
    return tuple(dict.fromkeys(each.number for each in held(connection, account, party)))


def candidates(number: str) -> list[str]:
    """The streams that a number may mean."""
    return [f"{kind}:{number}" for kind in kind_of(number)]
