"""The fapiao desk: rows prepared for the tax platform, numbers recorded as it issued them, red ones linked.

Kouan never issues one. An enterprise asks for its own and says its title; finance exports the rows, and records what
the tax system answered. Each act is on the trail. Money is fen; days are those of Asia/Shanghai.
"""

import asyncio
import csv
import io
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
import psycopg
import xlsxwriter  # type: ignore[import-untyped]
from litestar import Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api.bookkeepers import DESKS, bookkeepers, check
from api.export import XLSX
from api.govern.acts import ACCEPTED, Act, AnyRequest, Desk, admitted, answered
from api.identity import caller, needs
from api.pool import Pool
from api.register import Register
from api.statements import visible
from billing import fapiao as rows_of
from billing import fapiao_books
from billing.fapiao import COLUMNS, Request
from billing.fapiao_books import Shown
from billing.table import BOM, FORMULA, inline
from domain import catalogue, fapiao, invoice, period
from domain.deciding import folded
from domain.errors import Unknown
from domain.fact import Fact
from domain.fapiao import Fapiao, FapiaoRecorded, FapiaoReddened, FapiaoRequested, ItemClassified, Kind, NoFapiao, Title
from domain.invoice import Invoice
from domain.journal import Journal
from projections.usage import Whose

T = TypeVar("T")
FINANCE = [bookkeepers("finance")]
READERS = [bookkeepers(*DESKS)]
SCOPE = {"scope": "usage"}
Choice = Literal["missing", "requested", "issued", "different", "all"]
Format = Literal["json", "csv", "xlsx"]


class ToRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without a buyer: the party as the register names it."""

    kind: Kind = "ordinary"
    buyer: Title | None = None


class ToRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    number: str
    kind: Kind
    issued_on: date
    net_minor: int
    tax_minor: int
    total_minor: int


class ToRedden(ToRecord, frozen=True, kw_only=True, forbid_unknown_fields=True):
    original: str
    confirmation: str
    reason: str
    credit_note: str = ""


class Classified(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tax_code: str  # 19 digits
    short: str
    name: str = ""


# --- reading ---


@get("/v1/fapiao", guards=READERS, tags=["settle"], opt=SCOPE)
async def listed(
    pool: NamedDependency[Pool],
    month: FromQuery[str],
    in_state: Annotated[Choice, QueryParameter(name="state")] = "all",
) -> list[Shown]:
    """The statements of a month that have to be paid, each with its fapiao: asked for, issued, different or missing."""
    name = period.parse(month)
    found = await asyncio.to_thread(reading, pool, lambda each: fapiao_books.listed(each, month=name))
    return [each for each in found if in_state in {"all", each.state}]


@get("/v1/fapiao/export", guards=READERS, tags=["settle"], opt=SCOPE)
async def export(
    pool: NamedDependency[Pool],
    month: FromQuery[str],
    format: FromQuery[Format] = "xlsx",  # noqa: A002  the parameter's name
) -> Response[Any]:
    """Rows for the tax platform: all of a month that was asked for and is not recorded yet."""
    name = period.parse(month)
    found = await asyncio.to_thread(reading, pool, lambda each: fapiao_books.requests(each, month=name))
    return _file(found, format, f"fapiao-{name}")


@get("/v1/fapiao/items", guards=READERS, tags=["settle"], opt=SCOPE)
async def items(pool: NamedDependency[Pool]) -> list[ItemClassified]:
    """How service items stand on fapiao."""
    return list((await asyncio.to_thread(reading, pool, fapiao_books.classes)).values())


@get("/v1/fapiao/{statement:str}", guards=[needs()], tags=["settle"], opt=SCOPE)
async def one(
    request: AnyRequest, statement: FromPath[str], pool: NamedDependency[Pool], register: NamedDependency[Register]
) -> Shown:
    """What a statement has of them; enterprises see their own."""
    return await asyncio.to_thread(seen, pool, statement, visible(caller(request), register))


def seen(pool: Pool, number: str, whose: Whose) -> Shown:
    """What a statement has of them, to whom it may be shown. Raises Unknown."""
    with pool.connection() as connection:
        return fapiao_books.one(connection, number, holder=whose.holder, is_party=whose.is_party)


@get("/v1/fapiao/{statement:str}/rows", guards=READERS, tags=["settle"], opt=SCOPE)
async def rows(
    statement: FromPath[str],
    pool: NamedDependency[Pool],
    format: FromQuery[Format] = "json",  # noqa: A002  the parameter's name
) -> Response[Any]:
    """The rows of the request that waits for an answer."""
    found = await asyncio.to_thread(reading, pool, lambda each: fapiao_books.requests(each, number=statement))
    if not found:
        raise Unknown(
            f"{statement[:40]} 没有待开的发票申请 / no request of {statement[:40]} waits", statement=statement[:40]
        )
    return _file(found, format, f"fapiao-{found[0].statement}")


def reading(pool: Pool, look: Callable[[psycopg.Connection[Any]], T]) -> T:
    with pool.connection() as connection:
        return look(connection)


# --- acts: the same by API and in a terminal (api/fapiao_commands.py) ---


def requesting(pool: Pool, number: str, told: ToRequest, by: str, at: datetime) -> Act:
    """Raises Unknown, NoFapiao."""
    with pool.connection() as connection:
        fapiao_books.one(connection, number)
        document = fapiao_books.document(connection, number)
        buyer = fapiao.title(told.buyer or fapiao_books.buyer_of(document), told.kind)
        drawn = fapiao_books.prepared(connection, number, serial="", kind=told.kind, buyer=buyer)

    def decision(state: Fapiao) -> Sequence[Fact]:
        wanted = FapiaoRequested(
            happened_at=at,
            recorded_at=at,
            statement=number,
            by=by,
            serial=fapiao.serial(state),
            kind=told.kind,
            buyer=buyer,
            net_minor=drawn.net_minor,
            tax_minor=drawn.tax_minor,
            total_minor=drawn.total_minor,
        )
        return fapiao.request(state, wanted)

    return _act("fapiao.requested", number, decision, buyer.name)


def recording(pool: Pool, number: str, told: ToRecord, by: str, at: datetime) -> Act:
    """Raises Unknown."""
    with pool.connection() as connection:
        fapiao_books.one(connection, number)
        elsewhere = fapiao_books.elsewhere(connection, told.number, number)
    said = FapiaoRecorded(happened_at=at, recorded_at=at, statement=number, by=by, **msgspec.structs.asdict(told))
    return _act("fapiao.recorded", number, lambda state: fapiao.record(state, said, elsewhere=elsewhere), told.number)


class Books(NamedTuple):
    pool: Pool
    journal: Journal


def reddening(books: Books, number: str, told: ToRedden, by: str, at: datetime) -> Act:
    """Raises Unknown; NoFapiao for a credit note that the invoice does not have."""
    with books.pool.connection() as connection:
        fapiao_books.one(connection, number)
        elsewhere = fapiao_books.elsewhere(connection, told.number, number)
        entries = books.journal.stream(connection, invoice.stream(number))
    owed = folded(Invoice(number), invoice.evolve)(entries)
    if told.credit_note and told.credit_note not in owed.credit_notes:
        raise NoFapiao(
            f"账单 {number} 没有贷项 {told.credit_note[:60]} / statement {number} has no credit note "
            f"{told.credit_note[:60]}",
            statement=number,
            credit_note=told.credit_note[:60],
        )
    said = FapiaoReddened(happened_at=at, recorded_at=at, statement=number, by=by, **msgspec.structs.asdict(told))
    noted = owed.credit_notes.get(told.credit_note, 0)

    def decision(state: Fapiao) -> Sequence[Fact]:
        return fapiao.redden(state, said, credited_minor=noted, elsewhere=elsewhere)

    return _act("fapiao.reddened", number, decision, told.number)


def _act(action: str, number: str, decision: Callable[[Fapiao], Sequence[Fact]], detail: str) -> Act:
    return Act(action, fapiao.stream(number), folded(Fapiao(number), fapiao.evolve), decision, detail)


def classifying(item: str, told: Classified, by: str, at: datetime) -> Act:
    said = ItemClassified(happened_at=at, recorded_at=at, item=item, by=by, **msgspec.structs.asdict(told))
    fold = folded(None, fapiao.classified)
    return Act(
        "fapiao.classified", fapiao.item_stream(item), fold, lambda had: fapiao.classify(had, said), told.tax_code
    )


@post("/v1/fapiao/{statement:str}/request", guards=[needs()], tags=["settle"], opt=SCOPE, status_code=ACCEPTED)
async def ask(
    request: AnyRequest,
    statement: FromPath[str],
    data: JSONBody[ToRequest],
    desk: NamedDependency[Desk],
) -> Response[bytes]:
    """Ask for the fapiao of a statement; an enterprise for its own, with its title."""
    who, now = await admitted(request, desk), datetime.now(UTC)
    whose = visible(who, desk.register)
    if whose.holder is None:  # who looks at everybody's asks for nobody's
        check(who, desk.register, ("finance",))
    await asyncio.to_thread(seen, desk.pool, statement, whose)
    act = await asyncio.to_thread(requesting, desk.pool, statement, data, who.account, now)
    return await answered(request, desk, who, lambda _: act)


@post("/v1/fapiao/{statement:str}/record", guards=FINANCE, tags=["settle"], opt=SCOPE, status_code=ACCEPTED)
async def record(
    request: AnyRequest, statement: FromPath[str], data: JSONBody[ToRecord], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Record what the tax system issued, as it stands there; amounts that differ are shown, never forced."""
    who, now = await admitted(request, desk), datetime.now(UTC)
    act = await asyncio.to_thread(recording, desk.pool, statement, data, who.account, now)
    return await answered(request, desk, who, lambda _: act)


@post("/v1/fapiao/{statement:str}/redden", guards=FINANCE, tags=["settle"], opt=SCOPE, status_code=ACCEPTED)
async def redden(
    request: AnyRequest, statement: FromPath[str], data: JSONBody[ToRedden], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Record a red one, with the blue one that it takes back and the credit note on which it rests."""
    who, now = await admitted(request, desk), datetime.now(UTC)
    act = await asyncio.to_thread(reddening, Books(desk.pool, desk.journal), statement, data, who.account, now)
    return await answered(request, desk, who, lambda _: act)


@put("/v1/fapiao/items/{item:str}", guards=FINANCE, tags=["settle"], opt=SCOPE, status_code=ACCEPTED)
async def classify(
    request: AnyRequest, item: FromPath[str], data: JSONBody[Classified], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Say under which tax classification a service item stands on fapiao."""
    who, now = await admitted(request, desk), datetime.now(UTC)
    act = classifying(catalogue.code_of(item), data, who.account, now)
    return await answered(request, desk, who, lambda _: act)


ROUTES = (listed, export, items, one, rows, ask, record, redden, classify)


# --- files ---


def _file(found: Sequence[Request], form: Format, name: str) -> Response[Any]:
    if form == "json":
        return Response(list(found))
    body, media = (table(found), "text/csv") if form == "csv" else (workbook(found), XLSX)
    header = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    return Response(body, media_type=media, headers=header)


def table(found: Sequence[Request]) -> bytes:
    """CSV with a byte order mark. Long numbers stay as they are, for the platform that reads them: open the XLSX."""
    text = io.StringIO(newline="")
    text.write(BOM)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([heading for heading, _ in COLUMNS])
    for request in found:
        writer.writerows([_guarded(name, row[name]) for _, name in COLUMNS] for row in rows_of.table(request))
    return text.getvalue().encode("utf-8", "replace")


def _guarded(name: str, cell: str) -> str:
    """No formula out of a text; amounts of ours are none."""
    return f"'{cell}" if name not in {"net", "tax"} and cell.lstrip().startswith(FORMULA) else cell


def workbook(found: Sequence[Request]) -> bytes:
    """XLSX, every cell a text: nothing loses a digit."""
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"constant_memory": True, "strings_to_formulas": False}) as book:
        book.set_properties({"created": datetime(2000, 1, 1, tzinfo=UTC)})
        sheet, bold = book.add_worksheet("开票申请 requests"), book.add_format({"bold": True})
        sheet.freeze_panes(1, 1)
        for at, (heading, _) in enumerate(COLUMNS):
            sheet.set_column(at, at, max(14, len(heading) + 6))
            sheet.write_string(0, at, heading, bold)
        every = (row for request in found for row in rows_of.table(request))
        for place, row in enumerate(every, start=1):
            for at, (_, name) in enumerate(COLUMNS):
                sheet.write_string(place, at, inline(row[name]))
    return made.getvalue()
