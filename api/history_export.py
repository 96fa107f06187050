"""Taking a period home: `POST /v1/exports` orders it, `GET /v1/exports/ID` says how far it is, `.../file` is the file.

What is in it is what the feed tells: every fact that the node was told in the period and the caller may see, one row
each, with words in both languages (api/exporting/columns.py). Paid by the row, once, when it is made; the file may then
be fetched as often as wanted for seven days, for as long as the caller still may see all of what is in it. Times are
UTC.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import msgspec
import psycopg
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import File

from api import idempotency
from api.body import body_of
from api.delivery import HISTORY_EXPORT
from api.exporting import exporter, orders
from api.exporting.files import MEDIA
from api.exporting.orders import Asked, Order
from api.idempotency import Answer
from api.identity import Account, caller, needs
from api.pool import Pool
from api.problems import NoLeave
from api.settings import Settings
from api.trail import Trail
from api.way_out import WayOut
from domain import feed_filter
from domain.errors import Malformed, Refused, Unknown

T = TypeVar("T")
DAYS_MAX = 3_700
OURS = [needs("enterprise", "enterprise-admin", "logistics", "operator")]
COMMERCIAL = {"item_class": HISTORY_EXPORT.item_class}
JSON = {"Content-Type": "application/json"}


class BadExport(Malformed):
    slug = "bad-export"
    title = "The export cannot be ordered in this way"


class NotReady(Refused):
    slug = "export-not-ready"
    title = "There is no file to fetch"


class ExportService(msgspec.Struct, frozen=True):
    item: str
    item_class: str
    quantity: int  # rows; 0 until it is made
    tariff: str


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """One order. `state`: waiting, making, ready, failed, expired; `file` is "" unless it may be fetched."""

    id: UUID
    state: str
    asked: Asked
    ordered_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    rows: int
    bytes: int
    sha256: str
    file: str
    reason: str  # why it failed
    service: ExportService


class Exports(msgspec.Struct, frozen=True):
    """The newest first."""

    exports: list[Export]


# --- the routes ---


@post("/v1/exports", guards=OURS, tags=["feed"], status_code=202, opt={**COMMERCIAL, "cost": 20})
async def order(
    request: Request[Any, Any, Any],
    pool: NamedDependency[Pool],
    trail: NamedDependency[Trail],
    way_out: NamedDependency[WayOut],
) -> Response[bytes]:
    """Order a period: `{"from", "to", "filter", "format": "parquet"|"csv"|"xlsx"}`. Paid by the row, once."""
    account, body = caller(request), await body_of(request)
    asked = read(body)
    (await way_out.entitlements.admit(account, HISTORY_EXPORT, 0)).settle(0)  # who may not have it is told at once

    async def work(export_id: UUID) -> Answer:
        placed = await _in_thread(
            pool, lambda connection: orders.place(connection, export_id, account, asked, datetime.now(UTC))
        )
        await trail.tell("export.order", f"export:{export_id}", account=account, detail=body.decode()[:1_000])
        return Answer(202, {**JSON, "Location": f"/v1/exports/{export_id}"}, msgspec.json.encode(told(placed)))

    key = idempotency.key_of(request)
    if key is None:
        return (await work(uuid4())).response()
    return await idempotency.once(pool, idempotency.ask(request, account.account, key, body), work)


@get("/v1/exports", guards=OURS, tags=["feed"])
async def listed(request: Request[Any, Any, Any], pool: NamedDependency[Pool]) -> Exports:
    """What this account has ordered, the newest first."""
    account = caller(request).account
    return Exports([told(each) for each in await _in_thread(pool, lambda found: orders.listed(found, account))])


@get("/v1/exports/{export_id:str}", guards=OURS, tags=["feed"])
async def state(request: Request[Any, Any, Any], pool: NamedDependency[Pool], export_id: FromPath[str]) -> Export:
    """How far an export is."""
    return told(await _mine(pool, caller(request), export_id))


@get("/v1/exports/{export_id:str}/file", guards=OURS, tags=["feed"], opt={**COMMERCIAL, "cost": 5})
async def file(
    request: Request[Any, Any, Any],
    export_id: FromPath[str],
    *,
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
    trail: NamedDependency[Trail],
    settings: NamedDependency[Settings],
) -> File:
    """The file, as often as wanted. 403 once the caller may see less than is in it: order it anew."""
    account = caller(request)
    found = await _mine(pool, account, export_id)
    path = exporter.file_of(settings, found.export_id, found.asked.format)
    if found.state != "ready" or not path.exists():
        raise NotReady(
            f"导出 {export_id} 的状态是 {found.state}，没有可下载的文件 / "
            f"export {export_id} is {found.state}: there is no file to fetch",
            state=found.state,
        )
    await asyncio.to_thread(way_out.register.refresh)
    view = await way_out.view(account, "export", HISTORY_EXPORT)
    if found.rights is None or not found.rights.still_held(view):
        raise NoLeave(
            "自制作以来您的数据权限已缩小，此文件不再提供；请重新导出 / "
            "you may see less now than when this was made, so it is not handed out any more; order it anew",
            export=str(found.export_id),
        )
    await trail.tell("export.fetch", f"export:{found.export_id}", account=account, detail=f"sha256 {found.sha256}")
    since = found.asked.since.astimezone(UTC)
    name = f"export-{since:%Y%m%d}-{found.asked.until.astimezone(UTC):%Y%m%d}.{found.asked.format}"
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return File(path=path, filename=name, media_type=MEDIA[found.asked.format], headers=headers)


ROUTES = (order, listed, state, file)


# --- what is asked, what is told ---


def read(body: bytes) -> Asked:
    """Raises BadExport, BadFilter."""
    try:
        asked = _asked.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadExport(f"正文不合要求：{error} / the body does not fit: {error}") from error
    if asked.since.tzinfo is None or asked.until.tzinfo is None:
        raise BadExport("from 与 to 须带时区 / from and to need an offset, as 2026-03-01T00:00:00+08:00", field="from")
    if not timedelta() < asked.until - asked.since <= timedelta(days=DAYS_MAX):
        raise BadExport(
            f"to 须在 from 之后，期间至多 {DAYS_MAX} 天 / to must be behind from, by {DAYS_MAX} days at most",
            field="to",
            limit_days=DAYS_MAX,
        )
    if asked.filter.form != "fact" or asked.filter.calms:
        detail = "导出为逐条事实，不能用 form=state、eta_hours、eta_quiet_minutes"
        raise BadExport(
            f"{detail} / an export has every fact: no form=state, eta_hours, eta_quiet_minutes", field="filter"
        )
    feed_filter.checked(asked.filter)  # now: it is applied when the file is made
    return asked


_asked = msgspec.json.Decoder(Asked)


def told(placed: Order) -> Export:
    """An order as it is told."""
    return Export(
        id=placed.export_id,
        state=placed.state,
        asked=placed.asked,
        ordered_at=placed.ordered_at,
        finished_at=placed.finished_at,
        expires_at=placed.expires_at,
        rows=placed.rows,
        bytes=placed.bytes,
        sha256=placed.sha256,
        file=f"/v1/exports/{placed.export_id}/file" if placed.state == "ready" else "",
        reason=placed.reason,
        service=ExportService(HISTORY_EXPORT.code, HISTORY_EXPORT.item_class, placed.rows, placed.tariff),
    )


async def _mine(pool: Pool, account: Account, export_id: str) -> Order:
    """Raises Unknown, for another account's too."""
    try:
        found = await _in_thread(pool, lambda connection: orders.find(connection, UUID(export_id), account.account))
    except ValueError:
        found = None
    if found is None:
        raise Unknown(f"没有导出 {export_id[:60]} / there is no export {export_id[:60]}", export=export_id[:60])
    return found


async def _in_thread(pool: Pool, work: Callable[[psycopg.Connection[Any]], T]) -> T:
    def worked() -> T:
        with pool.connection() as connection:
            return work(connection)

    return await asyncio.to_thread(worked)
