"""The quarantine desk as pages, for operators: what could not be understood, replayed as it came or dismissed.

New bytes are sent by the API or `kouan quarantine replay --file`; a page has no place for bytes that a form would
change. Times are UTC, offsets bytes.
"""

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect

from api import quarantine
from api.formats import registry as formats
from api.formats.edifact import COUNTS
from api.identity import Account
from api.login.door import ours
from api.mending import Order
from api.pool import Pool
from api.portal.pages import foreign, gate, on_error, page
from api.problems import WrongRole
from api.quarantine import MARK, STATES, Listing, Shown, around
from domain.errors import KouanError, Refused
from domain.quarantine import UNRESOLVED, Wanted
from domain.writer import Writer

AnyRequest = Request[Any, Any, Any]
FILTERS = ("state", "source", "format", "code")
BYTES_SHOWN = 20_000
"""Of a longer message what stands around the fault; all of it is in the file that the page offers."""


class Replaying(msgspec.Struct, frozen=True):
    format: str = ""
    override: str = ""


class Dismissing(msgspec.Struct, frozen=True):
    reason: str = ""


def operator(request: AnyRequest) -> Account:
    """The operator that asks. Raises WrongRole."""
    account: Account = request.user
    if account.role != "operator":
        raise WrongRole(f"{account.account}: operator", role=account.role, needed=["operator"])
    return account


@get("/quarantine")
async def desk(request: AnyRequest, pool: NamedDependency[Pool]) -> Response[str]:
    """A page of the desk; open messages unless another state is asked for."""
    if request.user is None:
        return gate(request, "/quarantine")
    operator(request)
    asked = {name: request.query_params.get(name, "") for name in FILTERS}
    asked["state"] = request.query_params.get("state", "open")
    wanted = msgspec.convert(asked, Wanted)
    listing = await asyncio.to_thread(quarantine.look, pool, wanted, request.query_params.get("after", ""))
    return page(request, "quarantine.html", **overview(listing, asked))


def overview(listing: Listing, asked: dict[str, str]) -> dict[str, Any]:
    """What the page of the desk is made of."""
    return {
        "listing": listing,
        "asked": asked,
        "states": STATES,
        "totals": {name: sum(row.count for row in listing.counts if row.state == name) for name in STATES},
        "following": urlencode({**asked, "after": listing.next}),
    }


@get("/quarantine/{message_id:uuid}")
async def message(request: AnyRequest, message_id: FromPath[UUID], pool: NamedDependency[Pool]) -> Response[str]:
    """One message, its bytes, and what can be done about it."""
    if request.user is None:
        return gate(request, f"/quarantine/{message_id}")
    return await _message(request, pool, message_id)


@post("/quarantine/{message_id:uuid}/replay")
async def replay(
    request: AnyRequest,
    message_id: FromPath[UUID],
    data: URLEncodedBody[Replaying],
    cargo: NamedDependency[Writer],
    pool: NamedDependency[Pool],
) -> Response[Any]:
    """Read it again; a message that is still faulty is shown with its new fault."""
    if not ours(request):
        return foreign(request)
    if request.user is None:
        return gate(request, f"/quarantine/{message_id}")
    account, now = operator(request), datetime.now(UTC)
    counts = data.override == "count"
    order = Order(message_id=message_id, operator=account.account, at=now, format=data.format, counts=counts)
    try:
        told = await quarantine.carry_out(pool, cargo, order, account)
    except Refused as error:
        return await _message(request, pool, message_id, refused=error.detail, status=HTTPStatus.CONFLICT)
    if told.state != "mended":
        return await _message(request, pool, message_id, tried=True)
    return Redirect(f"/quarantine/{message_id}", status_code=303)


@post("/quarantine/{message_id:uuid}/dismiss")
async def dismiss(
    request: AnyRequest, message_id: FromPath[UUID], data: URLEncodedBody[Dismissing], pool: NamedDependency[Pool]
) -> Response[Any]:
    """Take it off the desk, with a reason."""
    if not ours(request):
        return foreign(request)
    if request.user is None:
        return gate(request, f"/quarantine/{message_id}")
    account = operator(request)
    try:
        await asyncio.to_thread(quarantine.dismiss, pool, message_id, data.reason, account)
    except Refused as error:
        return await _message(request, pool, message_id, refused=error.detail, status=HTTPStatus.CONFLICT)
    return Redirect(f"/quarantine/{message_id}", status_code=303)


async def _message(
    request: AnyRequest, pool: Pool, message_id: UUID, *, tried: bool = False, refused: str = "", status: int = 200
) -> Response[str]:
    shown = await asyncio.to_thread(quarantine.show, pool, message_id, operator(request))
    await request.app.state.trail.tell("quarantine.read", str(message_id), account=operator(request))
    context = view(shown)
    return page(request, "quarantined.html", status=status, tried=tried, refused=refused, **context)


def view(shown: Shown) -> dict[str, Any]:
    """What the page of one message is made of."""
    item = shown.item
    before, after = shown.excerpt.before, shown.excerpt.after
    if shown.text is not None and not shown.excerpt.mended:
        before, after = around(shown, BYTES_SHOWN)
    return {
        "states": STATES,
        "shown": shown,
        "item": item,
        "before": before,
        "after": after,
        "mark": MARK,
        "cut": item.size_bytes > BYTES_SHOWN,
        "unresolved": item.state in UNRESOLVED,
        "miscounted": item.code in COUNTS,
        "formats": sorted(formats.READERS),
        "reason_chars_max": quarantine.REASON_CHARS_MAX,
    }


ROUTES = [
    Router(
        path="/",
        route_handlers=[desk, message, replay, dismiss],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
