"""Sharing agreements by API: the steward of one agency proposes, that of the other accepts, either ends it.

Both sides and auditors see it; to all others it is not there. Its number is given out here.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.govern.acts import ACCEPTED, CREATED, Act, AnyRequest, Desk, admitted, answered
from api.govern.book import Book, Happened, history
from api.identity import Account, needs
from domain import agreement
from domain.agreement import STATES, Agreement
from domain.deciding import folded
from domain.errors import Unknown
from domain.fact import Fact

STEWARD = [needs("steward")]
READERS = [needs("steward", "officer", "auditor")]


class Proposing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`gives`: datasets of the caller's department, `takes`: of the other one."""

    other: str
    purpose: str
    document_no: str
    valid_from: datetime
    valid_to: datetime
    gives: list[str] = []
    takes: list[str] = []


class Reasoned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """An agreement as it stands. `history`: of a single one."""

    id: str
    version: int
    state: str
    state_zh: str
    state_en: str
    by: str  # party that proposed it
    by_zh: str
    by_en: str
    other: str
    other_zh: str
    other_en: str
    gives: tuple[str, ...]
    takes: tuple[str, ...]
    purpose: str
    document_no: str
    valid_from: datetime
    valid_to: datetime
    history: list[Happened] = []


def shown(book: Book, found: Agreement, now: datetime) -> Shown:
    proposed, status = found.proposed, found.status(now)
    assert proposed is not None
    by, other = book.names(proposed.by_party), book.names(proposed.other)
    return Shown(
        id=found.id,
        version=book.versions.get(agreement.stream(found.id), 0),
        state=status,
        state_zh=STATES[status][0],
        state_en=STATES[status][1],
        by=proposed.by_party,
        by_zh=by[0],
        by_en=by[1],
        other=proposed.other,
        other_zh=other[0],
        other_en=other[1],
        gives=proposed.gives,
        takes=proposed.takes,
        purpose=proposed.purpose,
        document_no=proposed.document_no,
        valid_from=proposed.valid_from,
        valid_to=proposed.valid_to,
    )


def _sees(account: Account, found: Agreement) -> bool:
    proposed = found.proposed
    if proposed is None:
        return False
    return account.role == "auditor" or (account.party != "" and account.party in {proposed.by_party, proposed.other})


def _known(book: Book, account: Account, name: str) -> Agreement:
    found = book.agreements.get(name)
    if found is None or not _sees(account, found):
        raise Unknown(f"没有协议 {name[:80]!r} / there is no agreement {name[:80]!r}", agreement=name[:80])
    return found


# --- routes ---


@get("/v1/agreements", guards=READERS, tags=["govern"])
async def listing(request: AnyRequest, desk: NamedDependency[Desk]) -> list[Shown]:
    """The newest first."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    found = [shown(desk.book, each, now) for each in desk.book.agreements.values() if _sees(account, each)]
    return found[::-1]


@get("/v1/agreements/{name:str}", guards=READERS, tags=["govern"])
async def show(request: AnyRequest, name: FromPath[str], desk: NamedDependency[Desk]) -> Shown:
    """One of them, with its history."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    found = _known(desk.book, account, name)
    told = await asyncio.to_thread(history, desk.journal, desk.pool, agreement.stream(found.id), account)
    return msgspec.structs.replace(shown(desk.book, found, now), history=told)


@post("/v1/agreements", guards=STEWARD, tags=["govern"], status_code=CREATED)
async def propose(request: AnyRequest, data: JSONBody[Proposing], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Propose one to another agency."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    rights = desk.register.rights
    given: dict[str, Any] = {**msgspec.structs.asdict(data), "kinds": rights.kinds, "datasets": rights.datasets}
    given |= _by(account, now)

    def act(key: UUID) -> Act:
        detail = f"{data.other} {data.document_no}"
        return _act("proposed", f"A-{key.hex}", lambda state: agreement.propose(state, **given), detail)

    return await answered(request, desk, account, act, status=CREATED, location="/v1/agreements/{id}")


@post("/v1/agreements/{name:str}/accept", guards=STEWARD, tags=["govern"], status_code=ACCEPTED)
async def accept(request: AnyRequest, name: FromPath[str], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Agree to what the other side proposed."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    found = _known(desk.book, account, name)
    given: dict[str, Any] = {**_by(account, now), "datasets": desk.register.rights.datasets}
    act = _act("accepted", found.id, lambda state: agreement.accept(state, **given), "")
    return await answered(request, desk, account, lambda _: act)


@post("/v1/agreements/{name:str}/end", guards=STEWARD, tags=["govern"], status_code=ACCEPTED)
async def end(
    request: AnyRequest, name: FromPath[str], data: JSONBody[Reasoned], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """End it, or withdraw or turn down the proposal."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    found = _known(desk.book, account, name)
    given: dict[str, Any] = {**_by(account, now), "reason": data.reason}
    act = _act("ended", found.id, lambda state: agreement.end(state, **given), data.reason)
    return await answered(request, desk, account, lambda _: act)


def _by(account: Account, now: datetime) -> dict[str, Any]:
    return {"by": account.account, "by_party": account.party, "at": now}


def _act(action: str, name: str, decision: Callable[[Agreement], Sequence[Fact]], detail: str) -> Act:
    fold = folded(Agreement(name), agreement.evolve)
    return Act(f"agreement.{action}", agreement.stream(name), fold, decision, detail)


ROUTES = (listing, show, propose, accept, end)
