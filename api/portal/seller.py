"""Who bills, as a page: name, tax id and the bank account that payment notices name.

The same act as by API (api/seller_desk.py); a form without script. Finance of the node itself sets it, its operator
and auditors look. What is set holds for statements of months that are cut off afterwards; a notice of a statement that
was issued without an account names today's (billing/bank_books.py).
"""

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from api import seller_desk
from api.bookkeepers import FINANCE, LOOKERS, keeps_books
from api.govern.acts import Desk, carry_out
from api.identity import Account
from api.login.door import ours
from api.papers import paper
from api.portal import forms
from api.portal.forms import Fields
from api.portal.keepers import keeper
from api.portal.pages import AnyRequest, foreign, gate, on_error, page
from api.seller_desk import Described
from api.words import Pair
from domain import seller
from domain.errors import KouanError
from domain.statement import Seller

PATH = "/books/seller"
LABELS: dict[str, Pair] = {"zh": ("名称", "Name in Chinese"), "en": ("英文名称", "Name in English"), **paper.SELLER}
NEEDED = ("zh", "en")


@get(PATH)
async def look(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[Any]:
    """Who bills now."""
    if request.user is None:
        return gate(request, PATH)
    return await _shown(request, desk, await keeper(request, desk, LOOKERS))


async def _shown(
    request: AnyRequest,
    desk: Desk,
    account: Account,
    *,
    refused: str = "",
    typed: Fields | None = None,
    status: int = 200,
) -> Response[Any]:
    def read() -> Seller:
        with desk.pool.connection() as connection:
            return seller.folded(seller_desk.told(desk.journal, connection)).seller

    acts = keeps_books(account, desk.register, FINANCE)
    shown = view(await asyncio.to_thread(read), typed, acts=acts)
    return page(request, "seller.html", status=status, refused=refused, **shown)


def view(found: Seller, typed: Fields | None = None, *, acts: bool) -> dict[str, Any]:
    """What the page is made of. `typed`: what was refused."""
    stands = msgspec.structs.asdict(found)
    return {"stands": stands, "typed": typed or stands, "labels": LABELS, "needed": NEEDED, "acts": acts}


@post(PATH)
async def describe(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[Any]:
    """Say who bills; an empty field is said to be empty."""
    if not ours(request):
        return foreign(request)
    if request.user is None:
        return gate(request, PATH)
    account = await keeper(request, desk, FINANCE)
    typed: Fields = {}
    try:
        typed = await forms.fields(request, LABELS)
        await carry_out(desk, account, seller_desk.describing(Described(**typed), account.account, datetime.now(UTC)))
    except KouanError as error:
        return await forms.refused(
            request,
            error,
            lambda said, status: _shown(request, desk, account, refused=said, typed=typed, status=status),
        )
    return Redirect(PATH, status_code=303)


ROUTES = [
    Router(
        path="/",
        route_handlers=[look, describe],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
