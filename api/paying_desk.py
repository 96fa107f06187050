"""Invoices by API: the node's own finance has them sent, sees how far they are, and voids, credits, gives back.

Asking is answered at once with what will be done; the process `kouan pay` does it (billing/outbox.py). Whatever gives
money away needs a reason, stands on the trail under the name of who asked, and is bounded by what was invoiced and
paid. With `Idempotency-Key` a repetition is the same request. Times are UTC, money is integer minor units (fen).
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID, uuid4

import msgspec
from litestar import Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api import idempotency
from api.bookkeepers import bookkeepers
from api.govern.acts import ACCEPTED, AnyRequest, Desk, admitted
from api.idempotency import Answer
from api.identity import Account
from api.settings import Settings
from billing import giving_back, invoicing
from billing.giving_back import Request
from billing.invoicing import LISTED_MAX, Asked, Going, StepShown
from domain import period

FINANCE = [bookkeepers("finance")]
LOOKERS = [bookkeepers("finance", "operator", "auditor")]
OPT = {"scope": "usage"}
State = Literal["waiting", "sent", "stopped", "voided"]


class Journey(msgspec.Struct, frozen=True):
    """An invoice with all its steps, in order."""

    invoice: Going
    steps: list[StepShown]


class Accepted(msgspec.Struct, frozen=True):
    """`new`: false if it was asked for before."""

    statement: str
    new: bool


class Because(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reason: str


class Credit(Because, frozen=True, kw_only=True, forbid_unknown_fields=True):
    amount_minor: int


class Refund(Credit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payment: str  # the provider's id
    credit_note: str = ""  # on which it rests; "": one is made first, unless too much was paid


class Address(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a holder wants its invoices; used for those that are not on their way yet."""

    holder: str
    is_party: bool
    email: str


# --- sending ---


@post("/v1/statements/{number:str}/invoice", guards=FINANCE, tags=["settle"], opt=OPT, status_code=ACCEPTED)
async def send_one(
    request: AnyRequest, number: FromPath[str], desk: NamedDependency[Desk], settings: NamedDependency[Settings]
) -> Asked:
    """Have the invoice of a statement sent. Asking again changes nothing; a statement of nothing is refused."""
    account = await admitted(request, desk)
    return await have_sent(desk, settings, account, statement=number)


@post("/v1/periods/{month:str}/invoices", guards=FINANCE, tags=["settle"], opt=OPT, status_code=ACCEPTED)
async def send_month(
    request: AnyRequest, month: FromPath[str], desk: NamedDependency[Desk], settings: NamedDependency[Settings]
) -> Asked:
    """Have the invoices of a month sent: of each issued statement with something to pay."""
    account = await admitted(request, desk)
    return await have_sent(desk, settings, account, month=period.parse(month))


async def have_sent(desk: Desk, settings: Settings, account: Account, *, statement: str = "", month: str = "") -> Asked:
    """The same by API and on the page, told to the trail. Raises Unknown, NothingToCollect."""
    paying = settings.paying

    def work() -> Asked:
        with desk.pool.connection() as connection:
            return invoicing.ask(
                connection,
                paying.gateway,
                due_days=paying.due_days,
                by=account.account,
                at=datetime.now(UTC),
                statement=statement,
                month=month,
            )

    asked = await asyncio.to_thread(work)
    detail = f"{asked.new} of {asked.payable}, by {paying.gateway}"
    await desk.trail.tell(
        "invoice.ask", f"statement:{statement}" if statement else month, account=account, detail=detail
    )
    return asked


@put("/v1/invoice-addresses", guards=FINANCE, tags=["settle"], opt=OPT, status_code=ACCEPTED)
async def enter_address(
    request: AnyRequest, data: JSONBody[Address], desk: NamedDependency[Desk], settings: NamedDependency[Settings]
) -> Address:
    """Where a holder wants its invoices sent."""
    account = await admitted(request, desk)
    provider = settings.paying.gateway

    def work() -> None:
        with desk.pool.connection() as connection:
            invoicing.enter_email(connection, provider, data.holder, is_party=data.is_party, email=data.email)

    await asyncio.to_thread(work)
    await desk.trail.tell("invoice.address", f"holder:{data.holder}", account=account)
    return data


# --- looking ---


@get("/v1/invoices", guards=LOOKERS, tags=["settle"], opt=OPT)
async def listed(
    desk: NamedDependency[Desk],
    *,
    in_state: Annotated[State | None, QueryParameter(name="state")] = None,
    month: FromQuery[str | None] = None,
    after: FromQuery[str] = "",
) -> list[Going]:
    """Invoices by number, LISTED_MAX at most; `after`: the last number of the page before."""
    name = period.parse(month) if month is not None else None

    def look() -> list[Going]:
        with desk.pool.connection() as connection:
            return invoicing.listed(connection, state=in_state, month=name, after=after, limit=LISTED_MAX)

    return await asyncio.to_thread(look)


@get("/v1/invoices/{number:str}", guards=LOOKERS, tags=["settle"], opt=OPT)
async def one(number: FromPath[str], desk: NamedDependency[Desk]) -> Journey:
    """How the invoice of a statement travels, step by step."""

    def look() -> Journey:
        with desk.pool.connection() as connection:
            return Journey(*invoicing.one(connection, number))

    return await asyncio.to_thread(look)


# --- afterwards; `Work` gets the id of the request and who asks, and says whether there was something to do ---

Work = Callable[[UUID, str], bool]


def going_on(desk: Desk, number: str) -> Work:
    """Raises Unknown."""

    def work(_key: UUID, _by: str) -> bool:
        with desk.pool.connection() as connection:
            return invoicing.resume(connection, number, at=datetime.now(UTC))

    return work


def anew(desk: Desk, number: str) -> Work:
    """Raises Unknown, Refused."""

    def work(_key: UUID, _by: str) -> bool:
        with desk.pool.connection() as connection:
            return invoicing.again(connection, number, at=datetime.now(UTC))

    return work


def withdrawn(desk: Desk, number: str, reason: str) -> Work:
    """Raises Unknown, Refused."""

    def work(key: UUID, by: str) -> bool:
        asked = Request(statement=number, id=key, reason=reason, by=by)
        with desk.pool.connection() as connection:
            return giving_back.withdraw(connection, asked, at=datetime.now(UTC))

    return work


async def carry_out(  # noqa: PLR0917  what an act is made of
    desk: Desk, account: Account, action: str, number: str, work: Work, key: UUID, detail: str = ""
) -> bool:
    """Do it, and tell the trail. Whether there was something to do."""
    new = await asyncio.to_thread(work, key, account.account)
    await desk.trail.tell(action, f"statement:{number[:80]}", account=account, detail=detail, key=key)
    return new


@post("/v1/invoices/{number:str}/resume", guards=FINANCE, tags=["settle"], opt=OPT)
async def resume(request: AnyRequest, number: FromPath[str], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Somebody has looked: what stopped, or waits for its next attempt, goes on now."""
    return await _answered(request, desk, "invoice.resume", number, going_on(desk, number))


@post("/v1/invoices/{number:str}/again", guards=FINANCE, tags=["settle"], opt=OPT)
async def again(request: AnyRequest, number: FromPath[str], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Make another invoice for one that is void."""
    return await _answered(request, desk, "invoice.again", number, anew(desk, number))


@post("/v1/invoices/{number:str}/void", guards=FINANCE, tags=["settle"], opt=OPT)
async def void(
    request: AnyRequest, number: FromPath[str], data: JSONBody[Because], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """It is not to be paid; refused once money has moved on it."""

    def work(key: UUID, by: str) -> bool:
        asked = Request(statement=number, id=key, reason=data.reason, by=by)
        with desk.pool.connection() as connection:
            return giving_back.void(connection, desk.journal, asked, at=datetime.now(UTC))

    return await _answered(request, desk, "invoice.void", number, work, data.reason)


@post("/v1/invoices/{number:str}/credit", guards=FINANCE, tags=["settle"], opt=OPT)
async def credit(
    request: AnyRequest, number: FromPath[str], data: JSONBody[Credit], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """So much of it is not owed: a credit note."""

    def work(key: UUID, by: str) -> bool:
        asked = Request(statement=number, id=key, reason=data.reason, by=by, amount_minor=data.amount_minor)
        with desk.pool.connection() as connection:
            return giving_back.credit(connection, desk.journal, asked, at=datetime.now(UTC))

    return await _answered(request, desk, "invoice.credit", number, work, f"{data.amount_minor}: {data.reason}")


@post("/v1/invoices/{number:str}/refund", guards=FINANCE, tags=["settle"], opt=OPT)
async def refund(
    request: AnyRequest, number: FromPath[str], data: JSONBody[Refund], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Give back so much of a payment."""

    def work(key: UUID, by: str) -> bool:
        more = {"payment": data.payment, "credit_note": data.credit_note}
        asked = Request(statement=number, id=key, reason=data.reason, by=by, amount_minor=data.amount_minor, **more)
        with desk.pool.connection() as connection:
            return giving_back.refund(connection, desk.journal, asked, at=datetime.now(UTC))

    detail = f"{data.amount_minor} of {data.payment[:80]}: {data.reason}"
    return await _answered(request, desk, "invoice.refund", number, work, detail)


@post("/v1/invoices/{number:str}/withdraw", guards=FINANCE, tags=["settle"], opt=OPT)
async def withdraw(
    request: AnyRequest, number: FromPath[str], data: JSONBody[Because], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Give up voiding, credits and refunds that have stopped: they never go on, and their amount is free again."""
    return await _answered(request, desk, "invoice.withdraw", number, withdrawn(desk, number, data.reason), data.reason)


async def _answered(  # noqa: PLR0917  what an act is made of
    request: AnyRequest,
    desk: Desk,
    action: str,
    number: str,
    act: Work,
    detail: str = "",
) -> Response[bytes]:
    """Once for each Idempotency-Key; on the trail."""
    account = await admitted(request, desk)
    body = await request.body()

    async def work(key: UUID) -> Answer:
        new = await carry_out(desk, account, action, number, act, key, detail)
        done = msgspec.json.encode(Accepted(number, new))
        return Answer(ACCEPTED, {"Content-Type": "application/json"}, done)

    named = idempotency.key_of(request)
    if named is None:
        return (await work(uuid4())).response()
    return await idempotency.once(desk.pool, idempotency.ask(request, account.account, named, body), work)


ROUTES = (send_one, send_month, enter_address, listed, one, resume, again, void, credit, refund, withdraw)
