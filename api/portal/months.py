"""The months of the books as pages: how far each is, and one month from its cut-off to its closing.

The same acts as by API: periods (api/closing.py), invoices (api/paying_desk.py), adjustments (api/adjusting.py); forms
without script. Finance of the node itself acts, its operator and auditors look. What is refused is told on the page,
and nothing of it is done. Months are those of Asia/Shanghai; a form has money in yuan, everything else is fen.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.response import Redirect

from api import adjusting, closing, paying_desk
from api.bookkeepers import FINANCE, LOOKERS, keeps_books
from api.books import Books
from api.govern.acts import Act, Desk, carry_out
from api.identity import Account
from api.login.door import ours
from api.paying_desk import Work
from api.portal import forms, month_view
from api.portal.keepers import keeper
from api.portal.pages import AnyRequest, foreign, gate, on_error, page
from api.settings import Settings
from billing import bank_csv
from domain import period
from domain.errors import KouanError, Malformed

PATH = "/books"
FIELDS = (
    "step",
    "number",
    "reason",
    "adjustment",
    "statement",
    "holder",
    "kind",
    "item",
    "way",
    "yuan",
    "about",
    forms.ONCE,
)
SIGNS = {"credit": -1, "charge": 1}
Form = forms.Fields
UNTYPED: Form = dict.fromkeys(FIELDS, "")


# --- looking ---


@get(PATH)
async def listing(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[Any]:
    """The months, the newest first; `?before=` goes on behind one."""
    if request.user is None:
        return gate(request, PATH)
    account = await keeper(request, desk, LOOKERS)
    asked = request.query_params.get("before", "")
    before = period.parse(asked) if asked else ""
    found = await asyncio.to_thread(month_view.overview, desk, before, datetime.now(UTC))
    acts = keeps_books(account, desk.register, FINANCE)
    return page(request, "months.html", **month_view.listed(found, acts=acts))


@get(f"{PATH}/{{month:str}}")
async def one(request: AnyRequest, month: FromPath[str], desk: NamedDependency[Desk]) -> Response[Any]:
    """One month; `?invoices=` those in one state, `?after=` behind a number."""
    if request.user is None:
        return gate(request, PATH)
    return await _shown(request, desk, period.parse(month))


async def _shown(
    request: AnyRequest, desk: Desk, month: str, *, refused: str = "", typed: Form | None = None, status: int = 200
) -> Response[Any]:
    """`typed`: what stood in the form that was refused."""
    account, now = await keeper(request, desk, LOOKERS), datetime.now(UTC)
    state, after = (request.query_params.get(name, "") for name in ("invoices", "after"))
    if state not in {"", *month_view.INVOICES}:
        raise Malformed("没有这种状态 / there is no such state", field="invoices")
    found = await asyncio.to_thread(month_view.read, desk, month, state, after, now)
    acts = keeps_books(account, desk.register, FINANCE)
    typed = typed or UNTYPED
    key = typed[forms.ONCE] or forms.fresh()
    shown = month_view.view(found, now, me=account.account, acts=acts, state=state, key=key)
    return page(request, "month.html", status=status, refused=refused, typed=typed, **shown)


# --- acts ---


@post(f"{PATH}/{{month:str}}")
async def act(
    request: AnyRequest, month: FromPath[str], desk: NamedDependency[Desk], settings: NamedDependency[Settings]
) -> Response[Any]:
    """One step of the month, of an invoice or of an adjustment; field `step`."""
    if not ours(request):
        return foreign(request)
    if request.user is None:
        return gate(request, PATH)
    name = period.parse(month)
    account, form = await keeper(request, desk, FINANCE), UNTYPED
    try:
        form = await forms.fields(request, FIELDS)
        place = await _take(desk, settings, account, name, form)
    except KouanError as error:
        return await forms.refused(
            request, error, lambda why, status: _shown(request, desk, name, refused=why, typed=form, status=status)
        )
    return Redirect(f"{PATH}/{name}{place}", status_code=303)


async def _take(desk: Desk, settings: Settings, account: Account, month: str, form: Form) -> str:
    """Take the step; where on the page to look next. Raises what the act raises."""
    step, by, key = form["step"], account.account, _key(account, month, form)
    if step in PERIOD:
        books, at = Books(desk.pool, desk.decider), datetime.now(UTC)
        await carry_out(desk, account, await asyncio.to_thread(PERIOD[step], books, month, by, at, form), key=key)
        return ""
    if step == "invoices":
        await paying_desk.have_sent(desk, settings, account, month=month)
        return "#invoices"
    if step in INVOICE:
        action, make = INVOICE[step]
        work, detail = make(desk, form), form["reason"] if step == "withdraw" else ""
        await paying_desk.carry_out(desk, account, action, form["number"], work, key, detail)
        return "#invoices"
    if step in ADJUSTMENT:
        await carry_out(desk, account, await asyncio.to_thread(ADJUSTMENT[step], desk, form, by, key), key=key)
        return "#adjustments"
    raise Malformed("没有这一步 / there is no such step", field="step")


def _key(account: Account, month: str, form: Form) -> UUID:
    """Of the request. A proposal needs the key of its form; what else is done twice has its effect once anyhow."""
    if not form[forms.ONCE] and form["step"] != "propose":
        return uuid4()
    return forms.key_of(form, account.account, form["adjustment"] or form["number"] or month)


PERIOD: dict[str, Callable[[Books, str, str, datetime, Form], Act]] = {
    "cut_off": lambda books, month, by, at, _: closing.cut_off(books, month, by, at),
    "statements": lambda books, month, by, at, _: closing.issue(books, month, by, at),
    "close": lambda books, month, by, at, _: closing.close(books, month, by, at),
    "reopening": lambda _, month, by, at, form: closing.ask_reopening(month, form["reason"], by=by, at=at),
    "reopen": lambda _books, month, by, at, _: closing.reopen(month, by=by, at=at),
}
INVOICE: dict[str, tuple[str, Callable[[Desk, Form], Work]]] = {
    "resume": ("invoice.resume", lambda desk, form: paying_desk.going_on(desk, form["number"])),
    "again": ("invoice.again", lambda desk, form: paying_desk.anew(desk, form["number"])),
    "withdraw": ("invoice.withdraw", lambda desk, form: paying_desk.withdrawn(desk, form["number"], form["reason"])),
}
"""Each with its name on the trail."""


# --- adjustments ---


def _propose(desk: Desk, form: Form, by: str, key: UUID) -> Act:
    """The same form sent twice is one proposal: its number comes of the form's key."""
    if form["way"] not in SIGNS:
        raise Malformed("须选择退给客户或向客户补收 / choose to give or to charge", field="way")
    told = adjusting.Proposing(
        item=form["item"],
        amount_minor=SIGNS[form["way"]] * fen(form["yuan"]),
        reason=form["reason"],
        holder=form["holder"],
        is_party=form["kind"] == "party" and bool(form["holder"]),
        corrects_period=form["about"],
        statement=form["statement"],
    )
    return adjusting.proposing(desk.pool, told, by, datetime.now(UTC))(key)


def fen(text: str) -> int:
    """An amount above zero as a person writes it, in yuan. Raises Malformed.

    >>> fen("12.5"), fen("¥1,250.00"), fen("￥１２")
    (1250, 125000, 1200)
    """
    with suppress(Malformed):
        minor = bank_csv.amount_of(text)
        if minor > 0:
            return minor
    raise Malformed(
        "金额以元填写，大于零，至多两位小数，如 12.50 / an amount in yuan, above zero, with two decimals at most,"
        " like 12.50",
        field="yuan",
    )


ADJUSTMENT: dict[str, Callable[[Desk, Form, str, UUID], Act]] = {
    "propose": _propose,
    "approve": lambda desk, form, by, _: adjusting.approving(desk.pool, form["adjustment"], by, datetime.now(UTC)),
    "decline": lambda desk, form, by, _: adjusting.declining(
        desk.pool, form["adjustment"], form["reason"], by, datetime.now(UTC)
    ),
}
ROUTES = [
    Router(
        path="/",
        route_handlers=[listing, one, act],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
