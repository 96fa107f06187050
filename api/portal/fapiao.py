"""Fapiao as pages: a month's statements with what is to be issued, one statement's, and its form on the statement.

The same acts as by API (api/fapiao_desk.py); forms without script. For finance of the node itself, and to look at for
auditors; whoever is billed asks on the page of the statement. Days are those of Asia/Shanghai.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

import psycopg
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.response import Redirect

from api import closing, fapiao_desk
from api.bookkeepers import DESKS, FINANCE, keeps_books
from api.fapiao_desk import Books
from api.govern.acts import Act, Desk, admitted, carry_out
from api.identity import Account
from api.login.door import ours
from api.portal import fapiao_forms as forms
from api.portal import forms as sent
from api.portal import statements
from api.portal.fapiao_forms import STATES, Fields, OnStatement
from api.portal.holders import Whose, names
from api.portal.keepers import keeper
from api.portal.pages import AnyRequest, foreign, gate, local, on_error, page
from api.statements import visible
from api.words import Pair
from billing import fapiao_books
from billing.fapiao import Request
from billing.fapiao_books import Shown
from domain import catalogue as codes
from domain import invoice, period
from domain.deciding import folded
from domain.errors import KouanError, Malformed
from domain.fapiao import KINDS, ItemClassified
from domain.invoice import Invoice
from projections import catalogue
from projections.catalogue import Listed

PATH = "/fapiao"
SHOWN = 50


# --- a month ---


class Month(NamedTuple):
    """All that the page of a month shows."""

    month: str
    found: Sequence[Shown]
    names: dict[Whose, Pair]
    items: Sequence[Listed]  # that are charged
    classes: dict[str, ItemClassified]


@get(PATH)
async def listing(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[Any]:
    """The statements of `?month=`, by default the last that was cut off; `?state=` some of them."""
    if request.user is None:
        return gate(request, PATH)
    return await _listed(request, desk, request.query_params.get("month", ""))


async def _listed(
    request: AnyRequest, desk: Desk, month: str, *, refused: str = "", typed: Fields | None = None, status: int = 200
) -> Response[Any]:
    account = await keeper(request, desk, DESKS)
    asked = {name: request.query_params.get(name, "") for name in ("state", "after")}
    told = await asyncio.to_thread(_in_pool, desk, look, month)
    shown = {"refused": refused, **overview(told, asked, typed), **_rights(account, desk)}
    return page(request, "fapiao.html", status=status, **shown)


def _rights(account: Account, desk: Desk) -> dict[str, bool]:
    """Whether the reader may do something, and whether the rows for the tax platform are his to take."""
    roles = {"acts": FINANCE, "exports": DESKS}
    return {name: keeps_books(account, desk.register, each) for name, each in roles.items()}


def look(connection: psycopg.Connection[Any], asked: str) -> Month:
    """Raises Malformed for what is no month."""
    last = period.preceding(period.month_of(datetime.now(UTC)))
    month = period.parse(asked) if asked else closing.latest(closing.months(connection)) or last
    found = fapiao_books.listed(connection, month=month)
    charged = [each for each in catalogue.items(connection) if each.item_class == "commercial"]
    called = names(connection, [each.holder for each in found])
    return Month(month, found, called, charged, fapiao_books.classes(connection))


def overview(told: Month, asked: dict[str, str], typed: Fields | None = None) -> dict[str, Any]:
    """What the page of a month is made of: what waits for somebody first, a part of it at a time."""
    order = list(STATES)
    chosen = asked["state"] if asked["state"] in STATES else ""
    found = sorted(told.found, key=lambda each: (order.index(each.state), each.statement))
    wanted = [each for each in found if chosen in {"", each.state}]
    start = next((at + 1 for at, each in enumerate(wanted) if each.statement == asked["after"]), 0)
    shown, rest = wanted[start : start + SHOWN], wanted[start + SHOWN :]
    return {
        "month": told.month,
        "before": period.preceding(told.month),
        "after": period.following(told.month),
        "found": shown,
        "following": shown[-1].statement if rest else "",
        "counts": Counter(each.state for each in found),
        "whole": len(found),
        "owed_minor": sum(each.payable_minor - each.credited_minor for each in found),
        "chosen": chosen,
        "states": STATES,
        "names": told.names,
        "items": told.items,
        "classes": told.classes,
        "fields": typed or dict.fromkeys(forms.CLASSIFY, ""),
    }


@post(PATH)
async def classify(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[Any]:
    """Say under which tax classification a service item stands on fapiao; field `month` is where to go on."""
    if not ours(request):
        return foreign(request)
    if request.user is None:
        return gate(request, PATH)
    account, month, typed = await keeper(request, desk, FINANCE), "", forms.UNTYPED
    try:
        typed = await sent.fields(request, ("month", *forms.NAMES))
        month = period.parse(typed["month"]) if typed["month"] else ""
        item = codes.code_of(typed["item"])
        told = forms.to_classify(typed)
        await carry_out(desk, account, fapiao_desk.classifying(item, told, account.account, datetime.now(UTC)))
    except KouanError as error:
        return await sent.refused(
            request,
            error,
            lambda why, status: _listed(request, desk, month, refused=why, typed=typed, status=status),
        )
    return Redirect(f"{PATH}?month={quote(month)}#items", status_code=303)


# --- one statement's ---


class Found(NamedTuple):
    """All that the page of one statement's fapiao shows."""

    shown: Shown
    name: Pair  # of whom it is billed to
    request: Request | None  # prepared for the tax platform, as it waits
    notes_left: dict[str, int]  # of the invoice's credit notes, what no red one names yet; fen


@get(f"{PATH}/{{statement:str}}")
async def one(request: AnyRequest, statement: FromPath[str], desk: NamedDependency[Desk]) -> Response[Any]:
    """One statement's."""
    if request.user is None:
        return gate(request, local(f"{PATH}/{statement}"))
    return await _one(request, desk, statement)


async def _one(
    request: AnyRequest, desk: Desk, number: str, *, refused: str = "", typed: Fields | None = None, status: int = 200
) -> Response[Any]:
    account = await keeper(request, desk, DESKS)
    found = await asyncio.to_thread(_read, desk, number)
    shown = {"refused": refused, **view(found, datetime.now(UTC), typed), **_rights(account, desk)}
    return page(request, "fapiao_one.html", status=status, **shown)


def _read(desk: Desk, number: str) -> Found:
    """Raises Unknown."""
    with desk.pool.connection() as connection:
        shown = fapiao_books.one(connection, number)
        called = names(connection, [shown.holder])
        waiting = fapiao_books.requests(connection, number=number)
        entries = desk.journal.stream(connection, invoice.stream(number))
    owed = folded(Invoice(number), invoice.evolve)(entries)
    name = called.get((shown.holder, shown.is_party), (shown.holder, shown.holder))
    left = fapiao_books.notes_left(shown, owed.credit_notes)
    return Found(shown, name, waiting[0] if waiting else None, left)


def view(found: Found, now: datetime, typed: Fields | None = None) -> dict[str, Any]:
    """What the page of one is made of. `typed`: a form that was refused, which is shown as it was sent."""
    fields: dict[str, Fields] = {
        "request": forms.asking(found.shown, found.name[0]),
        "record": forms.recording(found.request, now),
        "redden": forms.reddening(found.shown, found.notes_left, now),
    }
    step = typed["step"] if typed else ""
    if typed and step in fields:
        fields[step] = {name: typed[name] for name in forms.FIELDS[step]}
    return {
        "shown": found.shown,
        "name": found.name,
        "prepared": found.request,
        "notes_left": found.notes_left,
        "look": STATES[found.shown.state],
        "fields": fields,
        "opened": step,
        "kinds": KINDS,
        "owed_minor": found.shown.payable_minor - found.shown.credited_minor,
    }


@post(f"{PATH}/{{statement:str}}")
async def act(request: AnyRequest, statement: FromPath[str], desk: NamedDependency[Desk]) -> Response[Any]:
    """Ask for it, record what was issued, or a red one; field `step`."""
    if not ours(request):
        return foreign(request)
    if request.user is None:
        return gate(request, local(f"{PATH}/{statement}"))
    account, typed = await keeper(request, desk, FINANCE), forms.UNTYPED
    try:
        typed = await sent.fields(request, forms.NAMES)
        make = _step(typed, desk, statement, account.account)
        await carry_out(desk, account, await asyncio.to_thread(make))
    except KouanError as error:
        return await sent.refused(
            request,
            error,
            lambda why, status: _one(request, desk, statement, refused=why, typed=typed, status=status),
        )
    return Redirect(f"{PATH}/{quote(statement)}", status_code=303)


def _step(typed: Fields, desk: Desk, number: str, by: str) -> Callable[[], Act]:
    at = datetime.now(UTC)
    match typed["step"]:
        case "request":
            wanted = forms.to_request(typed)
            return lambda: fapiao_desk.requesting(desk.pool, number, wanted, by, at)
        case "record":
            issued = forms.to_record(typed)
            return lambda: fapiao_desk.recording(desk.pool, number, issued, by, at)
        case "redden":
            taken, books = forms.to_redden(typed), Books(desk.pool, desk.journal)
            return lambda: fapiao_desk.reddening(books, number, taken, by, at)
        case _:
            raise Malformed("没有这一步 / there is no such step", field="step")


# --- whoever is billed, on the page of the statement ---


@post("/statements/{number:str}/fapiao")
async def ask(request: AnyRequest, number: FromPath[str], desk: NamedDependency[Desk]) -> Response[Any]:
    """Ask for the fapiao of one's own statement, with one's title."""
    if not ours(request):
        return foreign(request)
    if request.user is None:
        return gate(request, local(f"{statements.PATH}/{number}"))
    account = await admitted(request, desk)
    whose = visible(account, desk.register)
    if whose.holder is None:
        await keeper(request, desk, FINANCE)
    await asyncio.to_thread(fapiao_desk.seen, desk.pool, number, whose)
    typed = forms.UNTYPED
    try:
        typed = await sent.fields(request, forms.NAMES)
        wanted, at = forms.to_request(typed), datetime.now(UTC)
        made = await asyncio.to_thread(fapiao_desk.requesting, desk.pool, number, wanted, account.account, at)
        await carry_out(desk, account, made)
    except KouanError as error:

        def show(why: str, status: int) -> Awaitable[Response[str]]:
            told = OnStatement(refused=why, fields=typed)
            return statements.shown(request, desk.pool, number, whose, taxed=told, status=status)

        return await sent.refused(request, error, show)
    return Redirect(f"{statements.PATH}/{quote(number)}#fapiao", status_code=303)


def _in_pool(desk: Desk, work: Callable[..., Any], *values: Any) -> Any:
    with desk.pool.connection() as connection:
        return work(connection, *values)


ROUTES = [
    Router(
        path="/",
        route_handlers=[listing, classify, one, act, ask],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
