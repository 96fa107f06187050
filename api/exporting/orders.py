"""What was ordered: the table of exports, and who may touch a row when.

waiting -> making -> ready -> expired, or failed. Whoever makes one holds it for HELD, and again with every page; what
is held no more is taken up by the next one, ATTEMPTS_MAX times. Times are UTC.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from api.exporting.files import Format
from api.exporting.rights import Rights
from api.identity import Account
from domain.errors import Refused
from domain.feed_filter import FeedFilter

State = Literal["waiting", "making", "ready", "failed", "expired"]
HELD = timedelta(minutes=2)
KEPT = timedelta(days=7)  # a file
REMEMBERED = timedelta(days=400)  # a row, when its file is long gone
ATTEMPTS_MAX = 3
OPEN_MAX = 5  # of one account
LISTED_MAX = 100
OPEN_LOCK = 19_279_016


class TooManyExports(Refused):
    slug = "too-many-exports"
    title = "So many exports are being made for this account already"


class Wish(FeedFilter, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The feed's filter; what it does not know is refused, for the rows would be taken for filtered ones."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A period, by when the node was told: [from, to). `filter`: as of the feed."""

    since: datetime = msgspec.field(name="from")
    until: datetime = msgspec.field(name="to")
    filter: Wish = Wish()
    format: Format = "csv"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    export_id: UUID
    caller: Account
    asked: Asked
    state: State
    ordered_at: datetime
    attempts: int
    finished_at: datetime | None
    expires_at: datetime | None
    rows: int
    bytes: int
    sha256: str
    tariff: str
    rights: Rights | None
    reason: str


COLUMNS = """
export_id, caller, asked, state, ordered_at, attempts, finished_at, expires_at, rows, bytes, sha256, tariff,
rights, reason
"""
INSERT = """
INSERT INTO exports (export_id, account, caller, asked, state, ordered_at)
VALUES (%s, %s, %s, %s, 'waiting', %s)
ON CONFLICT DO NOTHING
"""
OPEN = "SELECT count(*) FROM exports WHERE account = %s AND state IN ('waiting', 'making') AND export_id <> %s"
FIND = f"SELECT {COLUMNS} FROM exports WHERE export_id = %s AND account = %s"  # noqa: S608  a constant
LIST = f"SELECT {COLUMNS} FROM exports WHERE account = %s ORDER BY ordered_at DESC LIMIT {LISTED_MAX}"  # noqa: S608
CLAIM = f"""
UPDATE exports SET state = 'making', attempts = attempts + 1, held_until = %(until)s
WHERE export_id = (
    SELECT export_id FROM exports
    WHERE state = 'waiting' OR state = 'making' AND held_until < %(now)s
    ORDER BY ordered_at
    FOR UPDATE SKIP LOCKED
    LIMIT 1
)
RETURNING {COLUMNS}
"""  # noqa: S608
READY = """
UPDATE exports SET state = 'ready', finished_at = %(now)s, expires_at = %(expires)s, rows = %(rows)s, bytes = %(bytes)s,
    sha256 = %(sha256)s, tariff = %(tariff)s, rights = %(rights)s
WHERE export_id = %(export_id)s AND state = 'making'
"""
FAILED = "UPDATE exports SET state = 'failed', finished_at = %s, reason = %s WHERE export_id = %s AND state = 'making'"
AGAIN = "UPDATE exports SET state = 'waiting', held_until = NULL WHERE export_id = %s AND state = 'making'"
FORGET = "DELETE FROM exports WHERE ordered_at < %s AND state IN ('failed', 'expired')"
EXPIRE = """
UPDATE exports SET state = 'expired' WHERE state = 'ready' AND expires_at <= %s
RETURNING export_id, asked ->> 'format'
"""


def place(connection: psycopg.Connection[Any], export_id: UUID, account: Account, asked: Asked, now: datetime) -> Order:
    """An order; the same id again is the same order. Raises TooManyExports."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (OPEN_LOCK, account.account))
        row = connection.execute(OPEN, (account.account, export_id)).fetchone()
        if row and row[0] >= OPEN_MAX:
            raise TooManyExports(
                f"已有 {OPEN_MAX} 个导出在制作，请等其完成 / {OPEN_MAX} exports are being made; wait for one of them",
                limit=OPEN_MAX,
            )
        values = (export_id, account.account, _json(account), _json(asked), now)
        connection.execute(INSERT, values)
    found = find(connection, export_id, account.account)
    assert found is not None
    return found


def find(connection: psycopg.Connection[Any], export_id: UUID, account: str) -> Order | None:
    """An order of this account."""
    return next(iter(_orders(connection, FIND, (export_id, account))), None)


def listed(connection: psycopg.Connection[Any], account: str) -> Sequence[Order]:
    """The newest first."""
    return _orders(connection, LIST, (account,))


def claim(connection: psycopg.Connection[Any], now: datetime) -> Order | None:
    """The oldest order that nobody works on."""
    return next(iter(_orders(connection, CLAIM, {"now": now, "until": now + HELD})), None)


def hold(connection: psycopg.Connection[Any], export_id: UUID, now: datetime) -> None:
    """It is still worked on."""
    connection.execute("UPDATE exports SET held_until = %s WHERE export_id = %s", (now + HELD, export_id))


class Made(msgspec.Struct, frozen=True):
    rows: int
    bytes: int
    sha256: str
    rights: Rights


def ready(connection: psycopg.Connection[Any], export_id: UUID, made: Made, tariff: str, now: datetime) -> None:
    """Its file may be fetched."""
    values = {**msgspec.structs.asdict(made), "rights": _json(made.rights)}
    times = {"now": now, "expires": now + KEPT}
    connection.execute(READY, {**values, **times, "tariff": tariff, "export_id": export_id})


def failed(connection: psycopg.Connection[Any], export_id: UUID, reason: str, now: datetime) -> None:
    """It cannot be made, and will not be tried again."""
    connection.execute(FAILED, (now, reason, export_id))


def again(connection: psycopg.Connection[Any], export_id: UUID) -> None:
    """It was not made this time; the next one may try at once."""
    connection.execute(AGAIN, (export_id,))


def expire(connection: psycopg.Connection[Any], now: datetime) -> list[tuple[UUID, str]]:
    """(id, format) of those whose files have had their time."""
    connection.execute(
        "DELETE FROM exports WHERE ordered_at < %s AND state IN ('failed', 'expired')", (now - REMEMBERED,)
    )
    return connection.execute(EXPIRE, (now,)).fetchall()


def _orders(connection: psycopg.Connection[Any], query: str, values: Any) -> list[Order]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query.encode(), values).fetchall()
    return [msgspec.convert(row, Order) for row in rows]


def _json(value: Any) -> Jsonb:
    return Jsonb(msgspec.to_builtins(value))
