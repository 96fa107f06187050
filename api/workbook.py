"""The books of a month for finance: workbook, usage detail and reports, by API and in a terminal.

    GET /v1/periods/{month}/workbook?format=xlsx|csv|json          finance, operator and auditor of the node
    GET /v1/periods/{month}/usage-detail?format=csv|jsonl          they of all; an enterprise of its own statement
    GET /v1/periods/{month}/reports/{name}?format=json|csv|xlsx    cost-recovery, burden, burden-items, paid-beside-free

What is asked for is made into a file that has no name, on a connection of its own that may take its time, and goes out
from there; a process makes MADE_AT_ONCE at a time. Reading the books is no delivery: it is not metered. Times are UTC,
months those of Asia/Shanghai, money fen (in CSV and XLSX yuan).
"""

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, BinaryIO, Literal, NamedTuple, cast

import msgspec
import psycopg
from litestar import Request, get
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from api.bookkeepers import bookkeepers, keeps_books
from api.export import XLSX
from api.identity import caller, needs
from api.pool import Pool
from api.register import Register
from api.settings import Fees, Settings
from api.workbook_sources import book, reading
from billing import drafting, finance_reports, finance_sheets, focus, workbook
from billing.spreadsheet import rows_to_xlsx, to_xlsx
from billing.statement import Pinned
from billing.table import Sheet, Tally, fill, to_csv, to_json, to_lines
from domain import period
from domain.errors import Unknown
from domain.writer import Busy
from projections.usage import Whose

AnyRequest = Request[Any, Any, Any]
Connection = psycopg.Connection[Any]
READERS = [bookkeepers("finance", "operator", "auditor")]
READING_ROLES: tuple[Any, ...] = ("finance", "operator", "auditor")
MADE_AT_ONCE = 2
PIECE_BYTES = 65_536
ZIP, JSON, NDJSON, CSV = "application/zip", "application/json", "application/x-ndjson", "text/csv"
ENDINGS = {XLSX: "xlsx", ZIP: "zip", JSON: "json", NDJSON: "jsonl", CSV: "csv"}
NAMED = [ResponseHeader(name="Content-Disposition", description="A file name.", documentation_only=True)]
COMMON: dict[str, Any] = {"tags": ["settle"], "opt": {"scope": "usage", "cost": 20}, "response_headers": NAMED}
_places = threading.BoundedSemaphore(MADE_AT_ONCE)

Make = Callable[[Connection, BinaryIO], object]


# --- what is made ---


def make_workbook(connection: Connection, file: BinaryIO, month: str, form: str, *, asked: Fees, base: str) -> None:
    """The whole month. Raises NotCutOff."""
    made = book(connection, month, asked)
    if form == "xlsx":
        to_xlsx(made, file, base=base)
    elif form == "csv":
        workbook.to_zip(made, file)
    else:
        workbook.to_json_file(made, file)


def make_detail(connection: Connection, file: BinaryIO, month: str, form: str, *, whose: Whose) -> None:
    """Under the column names of FOCUS. Raises NotCutOff."""
    rows = focus.rows(connection, drafting.pin(connection, month), whose)
    fill(file, focus.to_csv(rows) if form == "csv" else to_lines(rows))


class Report(NamedTuple):
    sheet: Sheet
    rows: Callable[[Connection, Pinned, str, datetime], Iterable[Any]]  # of a regime, at a moment


REPORTS: dict[str, Report] = {
    "cost-recovery": Report(
        finance_sheets.RECOVERY,
        lambda connection, pinned, regime, now: finance_reports.recovery(connection, pinned, regime=regime, now=now),
    ),
    "burden": Report(finance_sheets.BURDEN, lambda connection, pinned, *_: finance_reports.burdens(connection, pinned)),
    "burden-items": Report(
        finance_sheets.BURDEN_ITEMS, lambda connection, pinned, *_: finance_reports.burden_items(connection, pinned)
    ),
    "paid-beside-free": Report(
        finance_sheets.DUPLICATES, lambda connection, pinned, *_: finance_reports.duplicates(connection, pinned)
    ),
}


def report_of(name: str) -> Report:
    """Raises Unknown."""
    if name not in REPORTS:
        known = ", ".join(REPORTS)
        raise Unknown(
            f"没有报告 {name[:40]}，有：{known} / there is no report {name[:40]}; there are {known}", report=name[:40]
        )
    return REPORTS[name]


def make_report(connection: Connection, file: BinaryIO, month: str, name: str, form: str, *, asked: Fees) -> None:
    """One of REPORTS over the month's statements. Raises Unknown, NotCutOff."""
    found, pinned = report_of(name), drafting.pin(connection, month)
    tally = Tally(found.sheet)
    rows = tally.counted(found.rows(connection, pinned, asked.regime, datetime.now(UTC)))
    if form == "xlsx":
        rows_to_xlsx(found.sheet, rows, file, at=period.bounds(month)[1])
    elif form == "csv":
        fill(file, to_csv(found.sheet, rows))
    else:
        head = {"report": name, "period": month, "regime": asked.regime, "currency": "CNY", "cut_off": pinned.cut_off}
        file.write(msgspec.json.encode(head)[:-1] + b',"rows":')
        fill(file, to_json(rows))
        file.write(b',"totals":' + msgspec.json.encode({"rows": tally.rows, **tally.sums}) + b"}")


# --- by API ---


@get("/v1/periods/{month:str}/workbook", guards=READERS, **COMMON)
async def workbook_of(
    request: AnyRequest,
    month: FromPath[str],
    *,
    pool: NamedDependency[Pool],
    settings: NamedDependency[Settings],
    format: FromQuery[Literal["xlsx", "csv", "json"]] = "xlsx",  # noqa: A002  the parameter's name
) -> Stream:
    """The reconciliation workbook of a month that was cut off: eight sheets, as XLSX, as a ZIP of CSV, or as JSON."""
    name, media = period.parse(month), {"xlsx": XLSX, "csv": ZIP, "json": JSON}[format]
    base = settings.origin or str(request.base_url)
    make = partial(make_workbook, month=name, form=format, asked=settings.fees, base=base)
    return await sent(pool, make, f"workbook-{name}", media)


@get("/v1/periods/{month:str}/usage-detail", guards=[needs()], **COMMON)
async def usage_detail(
    request: AnyRequest,
    month: FromPath[str],
    *,
    pool: NamedDependency[Pool],
    register: NamedDependency[Register],
    format: FromQuery[Literal["csv", "jsonl"]] = "csv",  # noqa: A002  the parameter's name
) -> Stream:
    """What was used, by statement line, day and account, under the column names of FOCUS 1.2.

    Who keeps the node's books sees everybody's, others what stands on their own enterprise's statement.
    """
    account, name = caller(request), period.parse(month)
    own = Whose(holder=account.party or account.account, is_party=bool(account.party))
    whose = Whose() if keeps_books(account, register, READING_ROLES) else own
    make = partial(make_detail, month=name, form=format, whose=whose)
    return await sent(pool, make, f"usage-detail-{name}", CSV if format == "csv" else NDJSON)


@get("/v1/periods/{month:str}/reports/{report:str}", guards=READERS, **COMMON)
async def report_on(
    request: AnyRequest,  # noqa: ARG001  the guard asks it
    month: FromPath[str],
    report: FromPath[str],
    *,
    pool: NamedDependency[Pool],
    settings: NamedDependency[Settings],
    format: FromQuery[Literal["json", "csv", "xlsx"]] = "json",  # noqa: A002  the parameter's name
) -> Stream:
    """A report on a month's statements: cost-recovery, burden, burden-items or paid-beside-free."""
    name, media = period.parse(month), {"xlsx": XLSX, "csv": CSV, "json": JSON}[format]
    report_of(report)
    make = partial(make_report, month=name, name=report, form=format, asked=settings.fees)
    return await sent(pool, make, f"{report}-{name}", media)


ROUTES = (workbook_of, usage_detail, report_on)


async def sent(pool: Pool, make: Make, name: str, media: str) -> Stream:
    """What is made, from a file without a name. Raises Busy if enough are being made, and what `make` raises."""
    file = await asyncio.to_thread(_made, pool, make)
    size = file.seek(0, 2)
    file.seek(0)
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.{ENDINGS[media]}"',
        "Content-Length": str(size),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Stream(_pieces(file), media_type=media, headers=headers)


def _made(pool: Pool, make: Make) -> BinaryIO:
    if not _places.acquire(blocking=False):
        raise Busy("正在生成其他账表，请稍后再试 / other files of the books are being made; try again in a minute")
    file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  whoever sends it closes it
    try:
        with reading(str(pool.conninfo)) as connection:
            make(connection, file)
    except BaseException:
        file.close()
        raise
    finally:
        _places.release()
    return file


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE_BYTES):
            yield piece
