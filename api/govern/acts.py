"""How every act of the register is done: by somebody who is not barred, once, told to the trail, with its position.

An act is effective when it is answered: whoever reads cargo asks first how far the register has come.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec
from litestar import Request, Response

from api import idempotency
from api.govern.book import Book
from api.idempotency import Answer
from api.identity import Account, caller
from api.pool import Pool
from api.register import Register
from api.trail import Trail
from domain.deciding import Decider, Fold
from domain.errors import Malformed
from domain.fact import Fact
from domain.journal import Journal

AnyRequest = Request[Any, Any, Any]
CREATED, ACCEPTED = 201, 202
VERSION_DIGITS_MAX = 9


class Done(msgspec.Struct, frozen=True):
    """What became of an act. `position`: of the journal; whatever is read from now on rests on it."""

    id: str
    version: int  # for If-Match
    position: int
    new: bool  # false: it was so before


class Act(NamedTuple):
    """What is decided, where, and what the trail calls it."""

    action: str
    stream: str
    fold: Fold[Any]
    decision: Callable[[Any], Sequence[Fact]]
    detail: str = ""


class Desk(NamedTuple):
    """What every act needs."""

    register: Register
    book: Book
    decider: Decider  # of the commerce journal, but for the parties of shipments
    trail: Trail
    pool: Pool

    @property
    def journal(self) -> Journal:
        return self.decider.writer.journal


async def admitted(request: AnyRequest, desk: Desk) -> Account:
    """The caller, by the register as it is now. Raises Barred for who is suspended, dismissed or revoked."""
    account = caller(request)

    def refresh() -> None:
        desk.register.refresh()
        desk.book.refresh()

    await asyncio.to_thread(refresh)
    desk.register.view(account, "query")
    return account


async def carry_out(
    desk: Desk, account: Account, act: Act, *, key: UUID | None = None, version: int | None = None
) -> Done:
    """Decide, and tell the trail. Raises what the decision raises, Stale, Busy."""
    waiting = desk.decider.submit(act.stream, act.fold, act.decision, key=key, version=version)
    decided = await asyncio.wrap_future(waiting)
    await desk.trail.tell(act.action, act.stream, account=account, detail=act.detail, key=key)
    await asyncio.to_thread(desk.register.refresh)
    return Done(act.stream.partition(":")[2], decided.version, decided.position, bool(decided.facts))


async def answered(
    request: AnyRequest,
    desk: Desk,
    account: Account,
    act: Callable[[UUID], Act],
    *,
    status: int = ACCEPTED,
    location: str = "",
) -> Response[bytes]:
    """The same as an answer; with `Idempotency-Key` and `If-Match`. `act` gets the id of the request."""
    version = if_match(request.headers.get("if-match", ""))
    body = await request.body()

    async def work(key: UUID) -> Answer:
        done = await carry_out(desk, account, act(key), key=key, version=version)
        headers = {"Content-Type": "application/json", "ETag": f'"{done.version}"'}
        if location:
            headers["Location"] = location.format(id=done.id)
        return Answer(status, headers, msgspec.json.encode(done))

    named = idempotency.key_of(request)
    if named is None:
        return (await work(uuid4())).response()
    meaning = request.headers.get("if-match", "")
    return await idempotency.once(desk.pool, idempotency.ask(request, account.account, named, body, meaning), work)


def if_match(header: str) -> int | None:
    """The version that the caller saw. Raises Malformed."""
    plain = header.strip().removeprefix("W/").strip('"')
    if plain in {"", "*"}:
        return None
    if not (plain.isascii() and plain.isdigit()) or len(plain) > VERSION_DIGITS_MAX:
        raise Malformed(
            f"If-Match {header[:40]!r} 不是版本 / If-Match {header[:40]!r} is no version", header="If-Match"
        )
    return int(plain)
