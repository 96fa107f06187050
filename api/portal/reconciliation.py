"""Reconciliation as a page: a month's differences, the way down to the facts behind each, and what is done about them.

The same acts as by API (api/reconciling.py): run, assign, accept, sign; forms without script. For finance of the node
itself, and to look at for its operator and auditors. Months are those of Asia/Shanghai.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.response import Redirect

from api import closing, reconciling
from api.bookkeepers import FINANCE, LOOKERS, keeps_books
from api.books import Books
from api.govern.acts import Act, Desk, carry_out
from api.login.door import ours
from api.portal import forms, holders
from api.portal.keepers import keeper
from api.portal.pages import AnyRequest, foreign, gate, on_error, page
from api.reconciling import Shown, ShownBreak
from api.settings import Settings
from api.words import Pair
from billing.workbook_rows import BREAK_STATES
from domain import period
from domain.errors import KouanError, Malformed
from domain.period import STAGES

PATH = "/reconciliation"
Names = dict[str, Pair]
"""Of the holders, by code."""
FIELDS = ("step", "break", "owner", "reason", "note")
PAGES = ("/v1/statements/", "/v1/deliveries/")
"""What of the API's paths is a page, too."""


def link(evidence: str) -> str:
    """Where a reader is led to see the facts behind a break.

    >>> link("/v1/statements/KS-202610-000001/lines/2"), link("/v1/bank/receipts?state=waiting")
    ('/statements/KS-202610-000001/lines/2', '/bank?state=waiting')
    """
    evidence = evidence.replace("/v1/bank/receipts", "/bank", 1)
    return evidence.removeprefix("/v1") if evidence.startswith(PAGES) else evidence


def mended(found: ShownBreak) -> str:
    """The page on which a difference is removed; "": there is none but the facts behind it."""
    kind, _, name = found.about.partition(":")
    if found.code in {"fapiao_missing", "fapiao_amount_mismatch"}:
        return f"/fapiao/{found.statement}"
    if found.code == "payment_without_invoice" and kind == "payment" and name.startswith("R-"):
        return f"/bank/receipts/{name}"
    return ""


@get(PATH)
async def latest(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[Any]:
    """The last month that was cut off, or the one that is over."""
    if request.user is None:
        return gate(request, PATH)
    await keeper(request, desk, LOOKERS)

    def last() -> str | None:
        with desk.pool.connection() as connection:
            return closing.latest(closing.months(connection))

    month = await asyncio.to_thread(last)
    return Redirect(f"{PATH}/{month or period.preceding(period.month_of(datetime.now(UTC)))}", status_code=303)


@get(f"{PATH}/{{month:str}}")
async def one(request: AnyRequest, month: FromPath[str], desk: NamedDependency[Desk]) -> Response[Any]:
    """One month."""
    if request.user is None:
        return gate(request, PATH)
    return await _shown(request, desk, period.parse(month))


async def _shown(request: AnyRequest, desk: Desk, month: str, *, refused: str = "", status: int = 200) -> Response[Any]:
    account = await keeper(request, desk, LOOKERS)

    def look() -> tuple[Shown, closing.Month | None, Names]:
        told = reconciling.shown(reconciling.read(desk.pool, desk.journal, month), datetime.now(UTC))
        with desk.pool.connection() as connection:
            called = holders.names(connection, {each.holder for each in told.breaks})
            return told, closing.months(connection).get(month), {code: pair for (code, _), pair in called.items()}

    found, stands, names = await asyncio.to_thread(look)
    acts = keeps_books(account, desk.register, FINANCE)
    shown = view(found, stands, names, me=account.account, acts=acts)
    return page(request, "reconciliation.html", status=status, refused=refused, **shown)


def view(found: Shown, stands: closing.Month | None, names: Names, *, me: str, acts: bool) -> dict[str, Any]:
    """What the page is made of. `me`: who reads it. `acts`: whether the reader may do something here."""
    stage = stands.period.stage if stands is not None else "open"
    by_state: dict[str, list[ShownBreak]] = {name: [] for name in BREAK_STATES}
    for each in found.breaks:
        by_state[each.state].append(each)
    return {
        "found": found,
        "stage": stage,
        "stage_said": STAGES[stage],
        "groups": [(name, BREAK_STATES[name], items) for name, items in by_state.items() if items],
        "before": period.preceding(found.period),
        "after": period.following(found.period),
        "acts": acts and stage == "reviewing",
        "link": link,
        "mended": mended,
        "names": names,
        "me": me,
    }


@post(f"{PATH}/{{month:str}}")
async def act(
    request: AnyRequest, month: FromPath[str], desk: NamedDependency[Desk], settings: NamedDependency[Settings]
) -> Response[Any]:
    """Run, assign, accept, sign; field `step`."""
    if not ours(request):
        return foreign(request)
    if request.user is None:
        return gate(request, PATH)
    name = period.parse(month)
    account = await keeper(request, desk, FINANCE)
    try:
        form = await forms.fields(request, FIELDS)
        make = _step(form, desk, settings, name, account.account)
        await carry_out(desk, account, await asyncio.to_thread(make))
    except KouanError as error:
        return await forms.refused(
            request, error, lambda why, status: _shown(request, desk, name, refused=why, status=status)
        )
    return Redirect(f"{PATH}/{name}", status_code=303)


def _step(form: dict[str, str], desk: Desk, settings: Settings, month: str, by: str) -> Callable[[], Act]:
    at = datetime.now(UTC)
    match form["step"]:
        case "run":
            books, gateways = Books(desk.pool, desk.decider), reconciling.gateways_of(settings.paying, desk.pool)
            return lambda: reconciling.run(books, gateways, month, by, at)
        case "assign":
            return lambda: reconciling.assign(month, form["break"], form["owner"], by, at)
        case "accept":
            return lambda: reconciling.accept(month, form["break"], form["reason"], by, at)
        case "sign":
            return lambda: reconciling.sign(month, form["note"], by, at)
        case _:
            raise Malformed("没有这一步 / there is no such step", field="step")


ROUTES = [
    Router(
        path="/",
        route_handlers=[latest, one, act],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
