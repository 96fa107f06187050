"""The bank desk: finance imports the bank's file, matches by hand what does not explain itself, and undoes that.

By API here, on the pages of the desk in api/portal/bank.py: the same acts.

A file is sent as it came from the bank; sent again it adds nothing. Who is billed sees the payment notice of its own
statements. Each act is on the trail. Money is fen; times are UTC with offset.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, TypeVar
from uuid import UUID, uuid4

import msgspec
import psycopg
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api import idempotency
from api.body import body_of
from api.bookkeepers import DESKS, bookkeepers
from api.govern.acts import ACCEPTED, AnyRequest, Desk, admitted
from api.idempotency import Answer
from api.identity import Account, caller, needs
from api.pool import Pool
from api.register import Register
from api.statements import visible
from billing import bank_books, bank_csv, bank_matching
from billing.bank_books import Notice, ReceiptShown, RefundShown, UnreadShown
from billing.bank_matching import Decision, Done, Imported
from domain import bank_receipt
from domain.bank_receipt import Receipt, Told
from domain.errors import Malformed
from domain.writer import Writer

T = TypeVar("T")
FINANCE = [bookkeepers("finance")]
READERS = [bookkeepers(*DESKS)]
SCOPE = {"scope": "usage"}
LIMIT_MAX = 1_000
Choice = Literal["waiting", "matched", "settled", "unread", "all"]


class Receipts(msgspec.Struct, frozen=True, kw_only=True):
    """`next`: for `after`, if there may be more. `unread`: rows of files, asked for by state=unread."""

    receipts: list[ReceiptShown] = []
    unread: list[UnreadShown] = []
    next: int | None = None


class ToMatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    statement: str
    reason: str
    amount_minor: int | None = None  # none: all that waits, or all that is owed, whichever is less


class ToUndo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payment: str
    reason: str


class ToReturn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str
    amount_minor: int | None = None  # none: all that waits
    reference: str = ""  # the bank's serial number of what went out


class ToSetAside(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str


class ToPayOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    refund: str


Wish = ToMatch | ToUndo | ToReturn | ToSetAside | ToPayOut

# --- reading ---


@get("/v1/bank/receipts", guards=READERS, tags=["settle"], opt=SCOPE)
async def receipts(
    pool: NamedDependency[Pool],
    in_state: Annotated[Choice, QueryParameter(name="state")] = "all",
    after: FromQuery[int] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)] = 200,
) -> Receipts:
    """Movements of the node's account and what they pay; or rows of the bank's files that could not be read."""
    if not 0 <= after < 2**63:
        raise Malformed("after 不是位置 / after is no position", field="after")
    return await asyncio.to_thread(_listed, pool, in_state, after, limit)


def _listed(pool: Pool, state: Choice, after: int, limit: int) -> Receipts:
    with pool.connection() as connection:
        if state == "unread":
            return Receipts(unread=bank_books.unread(connection, limit))
        found = bank_books.receipts(connection, state=state, after=after, limit=limit)
    return Receipts(receipts=found, next=found[-1].position if len(found) == limit else None)


@get("/v1/bank/refunds", guards=READERS, tags=["settle"], opt=SCOPE)
async def refunds(
    pool: NamedDependency[Pool],
    in_state: Annotated[Literal["to_pay", "all"], QueryParameter(name="state")] = "to_pay",
) -> list[RefundShown]:
    """Refunds that somebody has to pay out; one whose transfer names it is found in the bank's file by itself."""
    return await asyncio.to_thread(_reading, pool, lambda each: bank_books.refunds(each, to_pay=in_state == "to_pay"))


@get("/v1/bank/notices/{statement:str}", guards=[needs()], tags=["settle"], opt=SCOPE)
async def notice(
    request: AnyRequest,
    statement: FromPath[str],
    pool: NamedDependency[Pool],
    register: NamedDependency[Register],
) -> Notice:
    """What is to be paid for a statement, by when, to which account, and what to write with the transfer."""
    whose = visible(caller(request), register)

    def look(connection: psycopg.Connection[Any]) -> Notice:
        return bank_books.notice(connection, statement, holder=whose.holder, is_party=whose.is_party)

    return await asyncio.to_thread(_reading, pool, look)


def _reading(pool: Pool, look: Callable[[psycopg.Connection[Any]], T]) -> T:
    with pool.connection() as connection:
        return look(connection)


# --- acts ---


@post("/v1/bank/receipts", guards=FINANCE, tags=["settle"], opt=SCOPE, status_code=ACCEPTED)
async def import_file(
    request: Request[Any, Any, Any],
    desk: NamedDependency[Desk],
    account: FromQuery[str] = "",
    encoding: FromQuery[str] = "",
    columns: FromQuery[str] = "",
) -> Imported:
    """A file of movements as CSV in the body. `account`: ours, where no column says it.

    `columns`: our names of columns and the bank's titles of them, `name:title,name:title`, where they are not known.
    Rows that cannot be read are named by their number and kept; the same file again adds nothing.
    """
    who, now = await admitted(request, desk), datetime.now(UTC)
    body = await body_of(request)
    file = await asyncio.to_thread(
        bank_csv.read, body, account=account, encoding=encoding, columns=columns_of(columns.split(","))
    )
    return await imported(desk, who, file, now)


async def imported(desk: Desk, who: Account, file: bank_csv.File, at: datetime) -> Imported:
    """Take a file that was read, and tell the trail."""
    done = await asyncio.to_thread(take, desk.pool, desk.decider.writer, file, who.account, at)
    told = f"new {done.new}, known {done.repeated}, unread {len(done.unread)}, matched {done.matched}"
    await desk.trail.tell("bank.imported", f"bank_file:{file.sha256}", account=who, detail=told)
    return done


def columns_of(pairs: list[str]) -> dict[str, str]:
    """`name:title` as a mapping. Raises Malformed."""
    found = {}
    for pair in filter(None, pairs):
        name, colon, title = pair.partition(":")
        if not colon or not title.strip():
            raise Malformed(f"列对应应为 名称:标题 / a column is name:title, not {pair[:60]!r}", field="columns")
        found[name.strip()] = title.strip()
    return found


def take(pool: Pool, writer: Writer, file: bank_csv.File, by: str, at: datetime) -> Imported:
    """Import and match at the node itself."""
    with pool.connection() as connection:
        return bank_matching.take(connection, writer, file, by=by, at=at)


class Matched(msgspec.Struct, frozen=True):
    matched: int


@post("/v1/bank/match", guards=FINANCE, tags=["settle"], opt=SCOPE, status_code=ACCEPTED)
async def match_all(request: AnyRequest, desk: NamedDependency[Desk]) -> Matched:
    """Match again what names its statement and comes to what that is owed: notices may have gone out since."""
    who, now = await admitted(request, desk), datetime.now(UTC)
    return Matched(await matched_again(desk, who, now))


async def matched_again(desk: Desk, who: Account, at: datetime) -> int:
    """How many were matched; the trail is told."""

    def work(connection: psycopg.Connection[Any]) -> int:
        return bank_matching.by_reference(connection, desk.decider.writer, by=who.account, at=at)

    matched = await asyncio.to_thread(_reading, desk.pool, work)
    await desk.trail.tell("bank.matched", "bank_receipt:*", account=who, detail=f"{matched} by reference")
    return matched


@post("/v1/bank/receipts/{receipt:str}/match", guards=FINANCE, tags=["settle"], opt=SCOPE, status_code=ACCEPTED)
async def match_one(
    request: AnyRequest, receipt: FromPath[str], data: JSONBody[ToMatch], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Say which statement a receipt pays, in whole or in part, and why."""
    return await _decided(request, desk, receipt, data)


@post("/v1/bank/receipts/{receipt:str}/undo", guards=FINANCE, tags=["settle"], opt=SCOPE, status_code=ACCEPTED)
async def undo(
    request: AnyRequest, receipt: FromPath[str], data: JSONBody[ToUndo], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Take a match back: the statement is owed again, the money waits."""
    return await _decided(request, desk, receipt, data)


@post("/v1/bank/receipts/{receipt:str}/return", guards=FINANCE, tags=["settle"], opt=SCOPE, status_code=ACCEPTED)
async def give_back(
    request: AnyRequest, receipt: FromPath[str], data: JSONBody[ToReturn], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Say that money which belongs to no statement went back to who had sent it."""
    return await _decided(request, desk, receipt, data)


@post("/v1/bank/receipts/{receipt:str}/set-aside", guards=FINANCE, tags=["settle"], opt=SCOPE, status_code=ACCEPTED)
async def set_aside(
    request: AnyRequest, receipt: FromPath[str], data: JSONBody[ToSetAside], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Say that what waits has nothing to do with statements."""
    return await _decided(request, desk, receipt, data)


@post("/v1/bank/receipts/{receipt:str}/pay-out", guards=FINANCE, tags=["settle"], opt=SCOPE, status_code=ACCEPTED)
async def pay_out(
    request: AnyRequest, receipt: FromPath[str], data: JSONBody[ToPayOut], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Say that money which went out is a refund that was to be paid."""
    return await _decided(request, desk, receipt, data)


async def _decided(request: AnyRequest, desk: Desk, receipt: str, data: Wish) -> Response[bytes]:
    """Decide, tell the trail, answer; with `Idempotency-Key`."""
    who, now = await admitted(request, desk), datetime.now(UTC)

    async def work(key: UUID) -> Answer:
        done = await carry_out(desk, who, receipt, data, now, key=key)
        headers = {"Content-Type": "application/json", "ETag": f'"{done.version}"'}
        return Answer(ACCEPTED, headers, msgspec.json.encode(done))

    named = idempotency.key_of(request)
    if named is None:
        return (await work(uuid4())).response()
    asked = idempotency.ask(request, who.account, named, await request.body())
    return await idempotency.once(desk.pool, asked, work)


async def carry_out(desk: Desk, who: Account, receipt: str, wish: Wish, at: datetime, *, key: UUID) -> Done:
    """Decide on a receipt, and tell the trail; the same key again has no second effect. Raises what decisions raise."""
    action, detail, decision = _act(desk.decider.writer, wish, who.account, at)
    done = await asyncio.to_thread(decide, desk.pool, desk.decider.writer, receipt, decision, key)
    await desk.trail.tell(action, bank_receipt.stream(receipt), account=who, detail=detail, key=key)
    return done


class _Act(NamedTuple):
    """What the trail calls it, and what is decided."""

    action: str
    detail: str
    decision: Callable[[psycopg.Connection[Any]], Decision]


def _act(writer: Writer, wish: Wish, by: str, at: datetime) -> _Act:
    match wish:
        case ToMatch(statement=statement, amount_minor=minor, reason=reason):
            return _Act(
                "bank.matched",
                reason,
                lambda each: bank_matching.matching(each, writer, statement, minor, by=by, at=at, reason=reason),
            )
        case ToUndo(payment=payment, reason=reason):
            return _Act(
                "bank.unmatched",
                reason,
                lambda each: bank_matching.undoing(each, payment, by=by, at=at, reason=reason),
            )
        case ToReturn(reason=reason):
            return _Act("bank.returned", reason, lambda _: _returning(wish, by, at))
        case ToSetAside(reason=reason):
            return _Act(
                "bank.set_aside",
                reason,
                lambda _: lambda state: (bank_receipt.set_aside(state, reason=reason, by=by, at=at), ()),
            )
        case ToPayOut(refund=refund):
            return _Act("bank.paid_out", refund, lambda each: bank_matching.paying_out(each, refund, by=by, at=at))


def _returning(wish: ToReturn, by: str, at: datetime) -> Decision:
    def decision(state: Receipt) -> Told:
        minor = state.waiting_minor if wish.amount_minor is None else wish.amount_minor
        about: dict[str, Any] = {"reason": wish.reason, "reference": wish.reference, "by": by, "at": at}
        return bank_receipt.give_back(state, minor, **about), ()

    return decision


def decide(
    pool: Pool, writer: Writer, receipt: str, decision: Callable[[psycopg.Connection[Any]], Decision], key: UUID
) -> Done:
    """Decide at the node itself. Raises what the decision raises."""
    with pool.connection() as connection:
        return bank_matching.decide(connection, writer, receipt, decision(connection), key)


ROUTES = (receipts, refunds, notice, import_file, match_all, match_one, undo, give_back, set_aside, pay_out)
