"""Statements by API: which there are, each as it was issued, on paper, and made again from the books.

Whoever keeps the node's books sees all of them, everybody else those of his own enterprise; one that is not his is not
there. Reading the books is free and no delivery. The document is answered byte for byte, so that its SHA-256 (the
ETag) can be checked by anybody. Months are those of Asia/Shanghai, money fen.
"""

import asyncio
import base64
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import psycopg
from litestar import Request, Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from psycopg.rows import class_row

from api.bookkeepers import keeps_books
from api.identity import Account, Role, caller, needs
from api.papers import table, xlsx
from api.papers.paper import Paper
from api.pool import Pool
from api.register import Register
from api.trail import Trail
from billing import drafting
from domain import period, statement
from domain.errors import Malformed, Unknown
from projections.usage import Whose

AnyRequest = Request[Any, Any, Any]
Form = Literal["json", "pdf", "xlsx", "csv"]
READERS: tuple[Role, ...] = ("finance", "operator", "auditor")
MEDIA_TYPES: dict[Form, str] = {
    "json": "application/json",
    "pdf": "application/pdf",
    "xlsx": xlsx.MEDIA_TYPE,
    "csv": "text/csv",
}


def pdf(found: Paper) -> bytes:
    """The PDF. What makes it is 30 MB, and most processes never make one."""
    from api.papers import pdf as made  # noqa: PLC0415

    return made.write(found)


PAPERS: dict[Form, Callable[[Paper], bytes]] = {"pdf": pdf, "xlsx": xlsx.write, "csv": table.write}
LIMIT, LIMIT_MAX = 100, 500
NUMBER = re.compile(r"KS-(\d{4})(\d\d)-\d{6,9}")
OPT = {"scope": "usage"}


class Brief(msgspec.Struct, frozen=True):
    """One statement in a list."""

    number: str
    period: str
    holder: str
    is_party: bool
    holder_zh: str
    holder_en: str
    currency: str
    list_minor: int
    waived_minor: int
    total_minor: int
    net_minor: int
    tax_minor: int
    brought_forward_minor: int
    payable_minor: int
    carried_forward_minor: int
    issued_at: datetime
    sha256: str
    previous: str | None
    cut_off: int


class Statements(msgspec.Struct, frozen=True):
    """Newest month first. `next`: what to send as `after` for more; "" at the end."""

    statements: list[Brief]
    next: str


class Remade(msgspec.Struct, frozen=True):
    """A statement made again. `differs_at`: the first byte that is another one, where it is not the same."""

    number: str
    same: bool
    sha256: str  # as issued
    remade_sha256: str
    size_bytes: int
    differs_at: int | None = None


class Wanted(msgspec.Struct, frozen=True):
    """Which ones. `whose.holder` None: everybody's."""

    whose: Whose
    month: str | None = None
    holder: str | None = None
    after: str = ""
    limit: int = LIMIT


# --- who sees what ---


def visible(account: Account, register: Register) -> Whose:
    """Everybody's to who keeps the node's books or audits them, to others their own enterprise's."""
    if keeps_books(account, register, READERS):
        return Whose()
    return Whose(holder=account.party or account.account, is_party=bool(account.party))


# --- looking ---

BRIEF = """
SELECT statement AS number, period, holder, is_party, holder_zh, holder_en, currency, list_minor, waived_minor,
    total_minor, net_minor, tax_minor, brought_forward_minor, payable_minor, carried_forward_minor, issued_at, sha256,
    previous, cut_off
FROM issued_statements
WHERE (%(own)s::text IS NULL OR (holder = %(own)s AND is_party = %(is_party)s))
  AND (%(holder)s::text IS NULL OR holder = %(holder)s)
  AND (%(number)s::text IS NULL OR statement = %(number)s)
  AND (%(month)s::text IS NULL OR period = %(month)s)
  AND (%(last)s::text IS NULL OR period < %(last)s OR (period = %(last)s AND statement > %(after)s))
ORDER BY period DESC, statement
LIMIT %(limit)s
"""


def listed(connection: psycopg.Connection[Any], wanted: Wanted) -> Statements:
    """A page of them. Raises Malformed for an `after` that is no number."""
    last = None
    if wanted.after:
        found = NUMBER.fullmatch(wanted.after)
        if found is None:
            raise Malformed("after 不是账单编号 / after is no number of a statement", field="after")
        last = f"{found[1]}-{found[2]}"
    asked = {"holder": wanted.holder, "month": wanted.month, "last": last, "after": wanted.after, "number": None}
    rows = _briefs(connection, wanted.whose, asked, wanted.limit + 1)
    more = len(rows) > wanted.limit
    return Statements(rows[: wanted.limit], rows[wanted.limit - 1].number if more else "")


def one(connection: psycopg.Connection[Any], number: str, whose: Whose = Whose()) -> Brief:  # noqa: B008  frozen
    """Raises Unknown, the same whether it is another's or nobody's."""
    asked = {"holder": None, "month": None, "last": None, "after": "", "number": number}
    found = _briefs(connection, whose, asked, 1)
    if not found:
        raise Unknown(f"没有账单 {number[:40]} / there is no statement {number[:40]}", statement=number[:40])
    return found[0]


def _briefs(connection: psycopg.Connection[Any], whose: Whose, asked: dict[str, Any], limit: int) -> list[Brief]:
    values = {**asked, "own": whose.holder, "is_party": whose.is_party, "limit": limit}
    with connection.cursor(row_factory=class_row(Brief)) as cursor:
        return cursor.execute(BRIEF, values).fetchall()


def paper(connection: psycopg.Connection[Any], number: str, whose: Whose = Whose()) -> Paper:  # noqa: B008  frozen
    """A statement as it was issued. Raises Unknown."""
    brief = one(connection, number, whose)
    return Paper.of(drafting.stored(connection, number), brief.sha256, brief.issued_at)


def remade(connection: psycopg.Connection[Any], number: str, whose: Whose = Whose()) -> Remade:  # noqa: B008  frozen
    """Make it again from the journal and compare it with what was issued. Raises Unknown."""
    brief = one(connection, number, whose)
    issued, again = drafting.stored(connection, number), drafting.remake(connection, number)
    differs_at = None
    if issued != again:
        pairs = enumerate(zip(issued, again, strict=False))
        differs_at = next((at for at, (a, b) in pairs if a != b), min(len(issued), len(again)))
    digest = statement.digest(again)
    same = differs_at is None and statement.digest(issued) == digest == brief.sha256
    return Remade(number, same, brief.sha256, digest, len(again), differs_at)


# --- routes ---


@get("/v1/statements", guards=[needs()], tags=["settle"], opt=OPT)
async def statements(
    request: AnyRequest,
    pool: NamedDependency[Pool],
    register: NamedDependency[Register],
    *,
    month: Annotated[str | None, QueryParameter(name="period")] = None,
    holder: FromQuery[str | None] = None,
    after: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)] = LIMIT,
) -> Statements:
    """What was issued, newest month first: everybody's to the node's finance, to others their own."""
    wanted = Wanted(
        whose=visible(caller(request), register),
        month=period.parse(month) if month is not None else None,
        holder=holder,
        after=after,
        limit=limit,
    )
    return await asyncio.to_thread(_in_pool, pool, listed, wanted)


@get(
    "/v1/statements/{number:str}",
    guards=[needs()],
    tags=["settle"],
    opt=OPT | {"cost": 3},
    response_headers=[
        ResponseHeader(name="ETag", description="SHA-256 of the document.", documentation_only=True),
        ResponseHeader(name="Content-Digest", description="Of what is answered (RFC 9530).", documentation_only=True),
    ],
)
async def document(
    request: AnyRequest,
    number: FromPath[str],
    pool: NamedDependency[Pool],
    register: NamedDependency[Register],
    *,
    format: FromQuery[Form | None] = None,  # noqa: A002  the parameter's name
) -> Response[bytes]:
    """The document as it was issued, byte for byte; or on paper (`format=`, or by Accept): PDF, XLSX, CSV."""
    whose, form = visible(caller(request), register), format or _accepted(request)
    return await asyncio.to_thread(_answer, pool, number, whose, form, request.headers.get("if-none-match", ""))


def _in_pool(pool: Pool, work: Callable[..., Any], *values: Any) -> Any:
    with pool.connection() as connection:
        return work(connection, *values)


def _accepted(request: AnyRequest) -> Form:
    """The form that the caller likes best; JSON where none of ours is asked for."""
    header = request.headers.get("accept", "")
    if not any(part in header for part in ("text/csv", "spreadsheetml", "application/pdf")):
        return "json"
    best = request.accept.best_match(list(MEDIA_TYPES.values()), MEDIA_TYPES["json"])
    return next(form for form, media_type in MEDIA_TYPES.items() if media_type == best)


def _answer(pool: Pool, number: str, whose: Whose, form: Form, seen: str) -> Response[bytes]:
    found: Paper = _in_pool(pool, paper, number, whose)
    tag = f'"{found.sha256}"' if form == "json" else f'"{found.sha256}-{form}"'
    headers = {"ETag": tag, "Vary": "Accept"}
    if form == "json" and tag in seen:
        return Response(b"", status_code=304, headers=headers)
    content = found.document if form == "json" else PAPERS[form](found)
    digest = base64.b64encode(bytes.fromhex(statement.digest(content))).decode()
    headers |= {"Content-Digest": f"sha-256=:{digest}:", "Digest": f"SHA-256={digest}"}
    if form != "json":
        headers["Content-Disposition"] = f'attachment; filename="{found.statement.number}.{form}"'
    return Response(content, media_type=MEDIA_TYPES[form], headers=headers)


@post("/v1/statements/{number:str}/remake", guards=[needs()], tags=["settle"], opt=OPT | {"cost": 10}, status_code=200)
async def remake(
    request: AnyRequest,
    number: FromPath[str],
    pool: NamedDependency[Pool],
    register: NamedDependency[Register],
    trail: NamedDependency[Trail],
) -> Remade:
    """Make it again from the books, whatever happened since, and say whether it is the same bytes. Changes nothing."""
    return await again(pool, trail, caller(request), number, visible(caller(request), register))


async def again(pool: Pool, trail: Trail, account: Account, number: str, whose: Whose) -> Remade:
    """With the trail told who checked and what came of it."""
    found: Remade = await asyncio.to_thread(_in_pool, pool, remade, number, whose)
    said = "same" if found.same else f"differs at byte {found.differs_at}"
    await trail.tell("statement.remade", statement.stream(found.number), account=account, detail=said)
    return found


ROUTES = (statements, document, remake)
