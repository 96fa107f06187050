"""The public page of fees: what is free, what is paid and how much, in force and announced; no login, no script.

Whoever keeps the books (finance, operator) also sees there what the month has brought in against what it cost.
"""

import asyncio
from datetime import UTC, datetime

from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException

from api import fees, surplus
from api.bookkeepers import keeps_books
from api.identity import Account
from api.pool import Pool
from api.portal.pages import AnyRequest, on_error, page
from api.register import Register
from api.settings import Settings
from domain.errors import KouanError


@get("/fees")
async def listing(
    request: AnyRequest,
    pool: NamedDependency[Pool],
    register: NamedDependency[Register],
    settings: NamedDependency[Settings],
) -> Response[str]:
    """The list as it is, or `?at=` a day."""
    account: Account | None = request.user
    now, asked = datetime.now(UTC), request.query_params
    at = fees.moment(asked.get("at", ""), now)
    found = await asyncio.to_thread(fees.read, pool, at, settings.fees)
    balance = None
    if account is not None and keeps_books(account, register):
        month = surplus.month_of(asked.get("month", ""), now)
        balance = await asyncio.to_thread(surplus.report, pool, settings.fees.regime, month, now)
    return page(request, "fees.html", schedule=found, at=asked.get("at", ""), day=fees.day, balance=balance)


ROUTES = [
    Router(
        path="/",
        route_handlers=[listing],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
