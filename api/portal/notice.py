"""The payment notice of a statement as a page to print: how much, by when, to which account, with which words.

For whoever is billed, and for who keeps the books; the same as by API (api/bank_desk.py). To others it is as one that
does not exist. Days are those of Asia/Shanghai.
"""

import asyncio
from datetime import UTC, date, datetime
from typing import Any

from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from api import settle
from api.identity import Account
from api.papers import paper
from api.pool import Pool
from api.portal.pages import AnyRequest, gate, local, on_error, page
from api.register import Register
from billing import bank_books
from billing.bank_books import Notice
from domain.bank_receipt import ZONE
from domain.errors import KouanError

ABOVE = (paper.SELLER["bank"], paper.SELLER["bank_account"])
"""What stands at the head of the notice, and need not stand there twice."""


@get("/statements/{number:str}/notice")
async def notice(
    request: AnyRequest, number: FromPath[str], pool: NamedDependency[Pool], register: NamedDependency[Register]
) -> Response[Any]:
    """What is to be paid for a statement."""
    account: Account | None = request.user
    if account is None:
        return gate(request, local(f"/statements/{number}/notice"))
    whose = settle.visible(account, register)

    def look() -> Notice:
        with pool.connection() as connection:
            return bank_books.notice(connection, number, holder=whose.holder, is_party=whose.is_party)

    found = await asyncio.to_thread(look)
    return page(request, "notice.html", **view(found, datetime.now(UTC).astimezone(ZONE).date()))


def view(found: Notice, today: date) -> dict[str, Any]:
    """What the page is made of."""
    return {
        "notice": found,
        "sent_on": found.sent_at.astimezone(ZONE).date(),
        "overdue": found.outstanding_minor > 0 and found.due_on < today,
        "seller": [each for each in paper.seller(found.seller)[1:] if each.label not in ABOVE],
    }


ROUTES = [
    Router(
        path="/",
        route_handlers=[notice],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
