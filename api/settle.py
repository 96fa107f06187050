"""Settling: `GET /v1/usage`, what was used, free beside paid, by account and service item, or by day.

The same fold as a statement's (billing/metering.py). Finance sees everybody, an enterprise its own, whoever of its
people asks. Times are UTC, months and days those of Asia/Shanghai, money fen.
"""

import asyncio
import csv
import io
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, NamedTuple

from litestar import Request, Response, get
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import FromQuery

from api import words
from api.bookkeepers import keeps_books
from api.export import BOM, Cell, guarded
from api.identity import Account, caller, needs
from api.pool import Pool
from api.register import Register
from billing import metering
from billing.metering import DOOMSDAY, EPOCH, Asked, UsageReport, UsageRow
from domain import period
from domain.errors import Malformed
from domain.money import yuan
from projections import catalogue
from projections.usage import Whose

AnyRequest = Request[Any, Any, Any]


@get(
    "/v1/usage",
    guards=[needs()],
    tags=["settle"],
    response_headers=[ResponseHeader(name="Content-Disposition", description="Of CSV.", documentation_only=True)],
)
async def usage(
    request: AnyRequest,
    pool: NamedDependency[Pool],
    register: NamedDependency[Register],
    *,
    account: FromQuery[str | None] = None,
    start: FromQuery[datetime | None] = None,
    end: FromQuery[datetime | None] = None,
    month: FromQuery[str | None] = None,
    by: FromQuery[Literal["item", "day"]] = "item",
    format: FromQuery[Literal["json", "csv"]] = "json",  # noqa: A002  the parameter's name
) -> Response[UsageReport] | Response[bytes]:
    """Quantities and money, live: what was used in [start, end), or all that is posted to a month (2026-10).

    Finance sees every account, others their own enterprise's.
    """
    _check(start, end, month)
    asked = Asked(
        whose=visible(caller(request), register, account),
        account=account,
        start=_clamped(start),
        end=_clamped(end),
        month=period.parse(month) if month is not None else None,
        by=by,
    )
    found = await asyncio.to_thread(report, pool, asked)
    if format == "csv":
        name = f'attachment; filename="usage{"-" + month if month else ""}.csv"'
        return Response(table(found), media_type="text/csv", headers={"Content-Disposition": name})
    return Response(found)


def _check(start: datetime | None, end: datetime | None, month: str | None) -> None:
    for name, moment in (("start", start), ("end", end)):
        if moment is not None and moment.tzinfo is None:
            raise Malformed(
                f"{name} 没有时区 / {name} has no offset: {moment.isoformat()}; write it as 2026-11-01T00:00:00+08:00",
                field=name,
            )
    if month is not None and (start or end):
        raise Malformed(
            "month 与 start、end 不能同时给出 / ask for a month, or for a window of time, not for both", field="month"
        )


def _clamped(moment: datetime | None) -> datetime | None:
    """No further away than any use can be: the ends of the calendar have no time zone."""
    return moment if moment is None else min(max(moment, EPOCH), DOOMSDAY)


def visible(asker: Account, register: Register, account: str | None = None) -> Whose:
    """Whose usage is shown: everybody's to who keeps the books, to others their own whatever they ask for."""
    if keeps_books(asker, register):
        return Whose(account=account)
    return Whose(holder=asker.party or asker.account, is_party=bool(asker.party))


def report(pool: Pool, asked: Asked) -> UsageReport:
    """The usage report of one enterprise, or of all."""
    with pool.connection() as connection:
        providers = {item.item: item.provider for item in catalogue.items(connection)}
        return metering.report(connection, catalogue.prices(connection), asked, providers)


# --- CSV ---


class Column(NamedTuple):
    title: words.Pair
    cell: Callable[[UsageRow], Cell]


COLUMNS = (
    Column(("账期", "Period"), lambda row: row.billing_period),
    Column(("更正账期", "Corrects period"), lambda row: row.corrects_period),
    Column(("日期", "Day"), lambda row: row.day),
    Column(("单位", "Party"), lambda row: row.party),
    Column(("账户", "Account"), lambda row: row.account),
    Column(("服务项目", "Service item"), lambda row: row.item),
    Column(("类别", "Class"), lambda row: " ".join(words.ITEM_CLASSES[row.item_class])),
    Column(("提供方", "Provider"), lambda row: row.provider),
    Column(("交付次数", "Deliveries"), lambda row: row.deliveries),
    Column(("数量", "Quantity"), lambda row: row.quantity),
    Column(("其中免费额度", "Included"), lambda row: row.free_quantity),
    Column(("来源撤回", "Taken back"), lambda row: row.reversed_quantity),
    Column(("价目", "Tariff"), lambda row: row.tariff),
    Column(("目录价金额（元）", "At list price, CNY"), lambda row: _money(row, row.list_minor)),
    Column(("减免（元）", "Waived, CNY"), lambda row: _money(row, row.waived_minor)),
    Column(("金额（元）", "Amount, CNY"), lambda row: _money(row, row.amount_minor)),
    Column(("减免原因", "Why waived"), lambda row: " ".join(words.WAIVERS[row.waived]).strip()),
)


def _money(row: UsageRow, minor: int) -> str:
    """Nothing, not a zero, of what has no price."""
    return "" if row.tariff is None else yuan(minor)


def table(found: UsageReport) -> bytes:
    """One row for each row of the report, under both languages' titles; a byte order mark for Excel."""
    text = io.StringIO(newline="")
    text.write(BOM)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([" ".join(column.title) for column in COLUMNS])
    for row in found.rows:
        writer.writerow([_cell(column.cell(row)) for column in COLUMNS])
    return text.getvalue().encode("utf-8", "replace")


SUM = re.compile(r"-?[0-9]+\.[0-9]{2}")


def _cell(cell: Cell) -> Cell:
    """A credit is a number, not a formula."""
    return cell if isinstance(cell, str) and SUM.fullmatch(cell) else guarded(cell)
