"""Statements as pages: the list, and one statement with free beside paid, its papers, and a check against the books.

The same statements as by API (api/statements.py), for whoever is signed in. Times are shown in Asia/Shanghai.
"""

import asyncio
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import psycopg
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from api import payment
from api import statements as books
from api.drilled import DUES, Due, InvoiceState
from api.drilling import due_of
from api.identity import Account
from api.login.door import ours
from api.papers import paper as papers
from api.papers.paper import Paper
from api.pool import Pool
from api.portal.fapiao_forms import STATES, OnStatement, on_statement
from api.portal.pages import AnyRequest, foreign, gate, local, on_error, page
from api.register import Register
from api.statements import Remade, Statements, Wanted, visible
from api.trail import Trail
from domain import period
from domain.errors import KouanError
from domain.fapiao import KINDS as FAPIAO_KINDS
from domain.statement import KINDS, REASONS, Line
from projections import receivables
from projections.usage import Whose

PATH = "/statements"
SHOWN = 50


@get(PATH)
async def listing(
    request: AnyRequest, pool: NamedDependency[Pool], register: NamedDependency[Register]
) -> Response[str]:
    """One's own, or everybody's to who keeps the books; `?period=` a month, `?holder=` of one."""
    account: Account | None = request.user
    if account is None:
        return gate(request, PATH)
    asked = {name: request.query_params.get(name, "").strip() for name in ("period", "holder", "after")}
    wanted = Wanted(
        whose=visible(account, register),
        month=period.parse(asked["period"]) if asked["period"] else None,
        holder=asked["holder"] or None,
        after=asked["after"],
        limit=SHOWN,
    )
    found, dues = await asyncio.to_thread(_read, pool, _listed, wanted)
    return page(request, "statements.html", **overview(found, wanted, dues))


def _listed(connection: psycopg.Connection[Any], wanted: Wanted) -> tuple[Statements, dict[str, Due]]:
    found = books.listed(connection, wanted)
    told = receivables.of_each(connection, [each.number for each in found.statements])
    return found, {each.number: due_of(told.get(each.number), each.payable_minor) for each in found.statements}


def overview(found: Statements, wanted: Wanted, dues: dict[str, Due]) -> dict[str, Any]:
    """What the list is made of. `dues`: how far the invoice of each is."""
    asked = {"period": wanted.month or "", "holder": wanted.holder or ""}
    kept = {name: value for name, value in asked.items() if value}
    return {
        "found": found,
        "dues": {number: (due, DUES[due]) for number, due in dues.items()},
        "asked": asked,
        "everybody": wanted.whose.holder is None,
        "following": urlencode(kept | {"after": found.next}) if found.next else "",
    }


@get(f"{PATH}/{{number:str}}")
async def one(
    request: AnyRequest, number: FromPath[str], pool: NamedDependency[Pool], register: NamedDependency[Register]
) -> Response[str]:
    """One statement."""
    account: Account | None = request.user
    if account is None:
        return gate(request, local(f"{PATH}/{number}"))
    return await shown(request, pool, number, visible(account, register))


@post(f"{PATH}/{{number:str}}/remake")
async def remake(
    request: AnyRequest,
    number: FromPath[str],
    pool: NamedDependency[Pool],
    register: NamedDependency[Register],
    trail: NamedDependency[Trail],
) -> Response[str]:
    """Made again from the books: the same page, with what came of it."""
    if not ours(request):
        return foreign(request)
    account: Account | None = request.user
    if account is None:
        return gate(request, local(f"{PATH}/{number}"))
    whose = visible(account, register)
    made = await books.again(pool, trail, account, number, whose)
    return await shown(request, pool, number, whose, made)


async def shown(
    request: AnyRequest,
    pool: Pool,
    number: str,
    whose: Whose,
    made: Remade | None = None,
    *,
    taxed: OnStatement = OnStatement(),  # noqa: B008  frozen
    status: int = HTTPStatus.OK,
) -> Response[str]:
    """One statement. `made`, `taxed`: what came of the form for it that was sent just now. Raises Unknown."""
    found = await asyncio.to_thread(_read, pool, books.paper, number, whose)
    paid = await asyncio.to_thread(_read, pool, payment.state, number, whose)
    holder_zh = found.statement.holder.zh
    taxed = await asyncio.to_thread(_read, pool, on_statement, number, whose, holder_zh, taxed)
    return page(request, "statement.html", status=status, **view(found, paid, made, taxed))


def view(
    found: Paper,
    paid: InvoiceState,
    made: Remade | None = None,
    taxed: OnStatement = OnStatement(),  # noqa: B008  frozen
) -> dict[str, Any]:
    """What the page of one statement is made of."""
    return {
        "taxed": taxed,
        "fapiao_states": STATES,
        "fapiao_kinds": FAPIAO_KINDS,
        "paid": paid,
        "paper": found,
        "statement": found.statement,
        "parts": papers.parts(found.statement),
        "about": papers.about(found)[2:],
        "sums": papers.sums(found.statement),
        "seller": papers.seller(found.statement.seller)[1:],
        "check": papers.check(found),
        "kinds": KINDS,
        "reasons": REASONS,
        "remarks": papers.remarks,
        "reckoned": papers.reckoned,
        "per_cent": papers.per_cent,
        "free_of": free_of,
        "made": made,
    }


def free_of(line: Line) -> int:
    """Of its quantity, what costs nothing."""
    return line.quantity if line.item_class == "government" or line.waived else line.free_quantity


def _read(pool: Pool, work: Any, *values: Any) -> Any:
    with pool.connection() as connection:
        return work(connection, *values)


ROUTES = [
    Router(
        path="/",
        route_handlers=[listing, one, remake],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
