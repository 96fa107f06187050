"""Makes what was ordered: `kouan exporter`, a process of its own, so that a long export takes nothing from anybody.

One export at a time, page by page, in memory that does not grow with it. The record of its delivery, which counts all
its rows once, is durable before the order is ready; its id is that of the order, so that an export which has to be made
again after a crash is not charged twice. Files whose time is over are swept.
"""

import asyncio
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import file_digest
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import psycopg

from api import feeding
from api.delivery import HISTORY_EXPORT
from api.exporting import columns, files, orders
from api.exporting.columns import COLUMNS
from api.exporting.orders import Made, Order
from api.exporting.rights import Rights
from api.feeding import FeedItem
from api.identity import Account
from api.pool import Pool
from api.problems import Suspended
from api.settings import Settings
from api.way_out import Looking, WayOut
from domain import feed_filter
from domain.errors import KouanError, Refused
from domain.fact import digest_id
from domain.writer import Busy

PAGE = 5_000
ROWS_MAX = 20_000_000
LATE = timedelta(hours=1)  # a fact is in the journal at most so long after the node was told
POLL_SECONDS = 1.0
STRAY = timedelta(days=1)  # a file that belongs to no order is swept then

log = logging.getLogger("kouan.exporter")


class TooManyRows(Refused):
    slug = "too-many-rows"
    title = "The export would have more rows than may be"


class Works(Protocol):
    """As much of api.app.Works as is needed here."""

    pool: Pool
    way_out: WayOut


def folder(settings: Settings) -> Path:
    """Where the files are; made if missing."""
    path = settings.home / "exports"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def file_of(settings: Settings, export_id: UUID, form: str) -> Path:
    return folder(settings) / f"{export_id}.{form}"


async def run(works: Works, settings: Settings, over: threading.Event) -> None:
    """Until it is over."""
    while not over.is_set():
        try:
            worked = await once(works, settings)
        except psycopg.OperationalError:
            log.exception("数据库暂不可用 / the database cannot be reached")
            worked = False
        if not worked:
            await asyncio.sleep(POLL_SECONDS)


async def once(works: Works, settings: Settings) -> bool:
    """Make one export, if one waits, and sweep. False: there was none."""
    now = datetime.now(UTC)
    await asyncio.to_thread(_sweep, works.pool, settings, now)
    with works.pool.connection() as connection:
        order = orders.claim(connection, now)
    if order is None:
        return False
    await _try(works, settings, order)
    return True


async def _try(works: Works, settings: Settings, order: Order) -> None:
    """Make it, or say why not."""
    try:
        made, tariff = await works.way_out.deliver(
            order.caller,
            HISTORY_EXPORT,
            lambda looking: make(looking, works.pool, settings, order),
            subject=f"export:{order.export_id}",
            channel="export",
            most=_most(order),
        )
    except (Busy, psycopg.Error, OSError) as error:
        log.exception("导出 %s 未完成 / export %s was not made", order.export_id, order.export_id)
        if order.attempts < orders.ATTEMPTS_MAX:
            await asyncio.sleep(POLL_SECONDS)
            with works.pool.connection() as connection:
                orders.again(connection, order.export_id)
            return
        reason = f"多次尝试未成，请联系运营方 / not made in several attempts: ask the operator ({type(error).__name__})"
    except KouanError as error:
        reason = error.detail
    else:
        with works.pool.connection() as connection:
            orders.ready(connection, order.export_id, made, tariff, datetime.now(UTC))
        return
    file_of(settings, order.export_id, order.asked.format).unlink(missing_ok=True)
    with works.pool.connection() as connection:
        orders.failed(connection, order.export_id, reason, datetime.now(UTC))


# --- one file ---


def make(looking: Looking, pool: Pool, settings: Settings, order: Order) -> Made:
    """The whole file, and what is told of it. Raises TooManyRows, Suspended."""
    _let_in(pool, order.caller)
    path = file_of(settings, order.export_id, order.asked.format)
    partial = path.with_suffix(".part")
    most = min(_most(order), looking.allowed)
    datasets: set[str] = set()
    rows = 0
    with files.table(partial, order.asked.format, COLUMNS) as table:
        for items, drawn in pages(looking, pool, order):
            rows += len(items)
            if rows > most:
                raise _too_many(most)
            datasets |= drawn
            told = [columns.row(item) for item in items]
            table.add([[column.value(row) for column in COLUMNS] for row in told])
    with partial.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    partial.replace(path)
    looking.drew_on(sorted(datasets), rows)
    looking.fact_id = digest_id("export", str(order.export_id))
    return Made(rows, path.stat().st_size, digest, Rights.of(looking.view, datasets))


def _most(order: Order) -> int:
    return files.XLSX_ROWS_MAX if order.asked.format == "xlsx" else ROWS_MAX


def _let_in(pool: Pool, account: Account) -> None:
    """Raises Suspended: between the order and the file the account may have been closed."""
    with pool.connection() as connection:
        row = connection.execute("SELECT state FROM accounts WHERE account = %s", (account.account,)).fetchone()
    if row != ("open",):
        raise Suspended.of(account.account)


def _too_many(most: int) -> TooManyRows:
    return TooManyRows(
        f"超过 {most} 行（格式或额度所限），请缩短期间、加筛选，或改用 Parquet / more than {most} rows, which is what "
        "the format or the quota allows: ask for a shorter period, with a filter, or as Parquet",
        limit=most,
    )


def pages(looking: Looking, pool: Pool, order: Order) -> Iterator[tuple[list[FeedItem], set[str]]]:
    """The facts of the period that the caller may see, in the order of the journal, with the datasets they are of."""
    asked, wanted = order.asked, feed_filter.checked(order.asked.filter)
    with pool.connection() as connection:
        after, end = stretch(connection, asked)
    while after < end:
        page = feeding.page(looking, pool, after, PAGE, wanted)
        items = [item for item in page.items if item.position <= end and within(item, asked)]
        yield items, page.datasets if items else set()
        with pool.connection() as connection:
            orders.hold(connection, order.export_id, datetime.now(UTC))
        if not page.more or page.last <= after:
            break
        after = page.last


def stretch(connection: psycopg.Connection[Any], asked: orders.Asked) -> tuple[int, int]:
    """Behind which position of the journal all of a period stands, and up to which."""
    return _before(connection, asked.since - LATE), _before(connection, asked.until + LATE)


def within(item: FeedItem, asked: orders.Asked) -> bool:
    """Told to the node in the period. What cannot be read is no row."""
    if item.unreadable:
        return False
    at = columns.row(item).told.recorded_at
    return at is not None and asked.since <= at < asked.until


EARLIER = "SELECT recorded_at < %s FROM timeline WHERE position > %s ORDER BY position LIMIT 1"
LAST = "SELECT coalesce(max(position), 0) FROM timeline"


def _before(connection: psycopg.Connection[Any], at: datetime) -> int:
    """A position up to which all was told before a moment; the journal is in that order but for LATE."""
    row = connection.execute(LAST).fetchone()
    low, high = 0, int(row[0]) if row else 0
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(EARLIER, (at, middle), prepare=True).fetchone()
        if found is not None and found[0]:
            low = middle + 1
        else:
            high = middle
    return low


# --- what is over ---


def _sweep(pool: Pool, settings: Settings, now: datetime) -> None:
    """The files of exports whose time is over, and those that no order knows of."""
    with pool.connection() as connection:
        gone = orders.expire(connection, now)
    for export_id, form in gone:
        file_of(settings, export_id, form).unlink(missing_ok=True)
    for path in folder(settings).glob("*.part"):
        if datetime.fromtimestamp(path.stat().st_mtime, UTC) < now - STRAY:
            path.unlink(missing_ok=True)
