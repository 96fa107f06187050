"""The bank desk as pages: the bank's file taken in, what came by its state, and what is done about each movement.

The same acts as by API (api/bank_desk.py), in forms without script. For finance of the node itself, and to look at for
auditors. Money is typed in yuan; times are those of Asia/Shanghai.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import msgspec
import psycopg
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.response import Redirect

from api import bank_desk, seller_desk, upload, words
from api.bank_desk import ToMatch, ToPayOut, ToReturn, ToSetAside, ToUndo, Wish
from api.bookkeepers import DESKS, FINANCE, keeps_books
from api.govern.acts import Desk
from api.identity import Account
from api.login.door import ours
from api.portal import forms
from api.portal.forms import Fields
from api.portal.keepers import keeper
from api.portal.pages import AnyRequest, foreign, gate, local, on_error, page
from api.words import Pair
from billing import bank_books, bank_csv, bank_matching
from billing.bank_books import Counts, Owed, ReceiptShown, RefundShown, Settled, UnreadShown
from billing.bank_matching import Imported
from domain import seller
from domain.bank_receipt import PROVIDER
from domain.errors import KouanError, Malformed, Unknown
from projections import receivables

PATH = "/bank"
Tab = Literal["waiting", "unread", "matched", "settled", "all", "refunds", "notices"]
TABS: dict[Tab, Pair] = {
    "waiting": ("待处理", "Waiting"),
    "unread": ("未能读取", "Not read"),
    "matched": ("已匹配", "Matched"),
    "settled": ("已了结", "Settled otherwise"),
    "all": ("全部流水", "All movements"),
    "refunds": ("待付退款", "Refunds to pay"),
    "notices": ("未付清的付款通知", "Notices not paid in full"),
}
WAYS: dict[str, Pair] = {
    "returned": ("已退回付款人", "Sent back to the payer"),
    "set_aside": ("与账单无关", "Nothing to do with statements"),
    "paid_out": ("作为退款付出", "Paid out as a refund"),
}
RULES: dict[str, Pair] = {"reference": ("按附言与金额", "by reference and amount"), "hand": ("人工", "by hand")}
SHOWN = 50
ROWS_TOLD = 200
"""Of the rows of one file that could not be read; all of them are under their tab."""
LIKELY = 5
PLACE_DIGITS_MAX = 18
FIELDS = ("step", "statement", "amount", "reason", "reference", "payment", "refund", forms.ONCE)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What stands under a tab. `next`: where the rest begins."""

    receipts: list[ReceiptShown] = []
    unread: list[UnreadShown] = []
    refunds: list[RefundShown] = []
    outgoing: list[ReceiptShown] = []  # in the amounts and currencies of the refunds
    notices: list[Owed] = []
    next: int | None = None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The desk as it stands."""

    tab: Tab
    listing: Listing
    counts: Counts
    our_account: str  # as statements print it


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a form of the desk."""

    imported: Imported | None = None
    matched: int | None = None
    refused: str = ""
    typed: Fields = {}


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """One movement, with what it may pay."""

    receipt: ReceiptShown
    open_notices: list[Owed] = []
    refunds: list[RefundShown] = []  # of exactly its amount, in its currency
    settled: list[Settled] = []


# --- the desk ---


@get(PATH)
async def overview(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[Any]:
    """Under each tab a page of what there is; what waits comes first."""
    if request.user is None:
        return gate(request, PATH)
    return await _overview(request, desk, Told())


@post(PATH, opt=upload.OPT)
async def import_file(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[Any]:
    """The bank's file as it came: the same page, with what came of it and each row that could not be read."""

    async def work(who: Account, now: datetime) -> Told:
        form = await upload.form_of(request)
        typed.update({name: upload.text_of(form, name) for name in ("account", "encoding", "columns")})
        columns = bank_desk.columns_of(typed["columns"].replace("，", ",").replace("：", ":").split(","))
        body, told = await upload.file_of(form, "file"), {name: typed[name] for name in ("account", "encoding")}
        file = await asyncio.to_thread(bank_csv.read, body, columns=columns, **told)
        return Told(imported=await bank_desk.imported(desk, who, file, now))

    typed: Fields = {}
    return await _worked(request, desk, work, typed)


@post(f"{PATH}/match")
async def match_all(request: AnyRequest, desk: NamedDependency[Desk]) -> Response[Any]:
    """Look again at all that waits: notices may have gone out since."""

    async def work(who: Account, now: datetime) -> Told:
        return Told(matched=await bank_desk.matched_again(desk, who, now))

    return await _worked(request, desk, work, {})


async def _worked(
    request: AnyRequest, desk: Desk, work: Callable[[Account, datetime], Awaitable[Told]], typed: Fields
) -> Response[Any]:
    if not ours(request):
        return foreign(request)
    if request.user is None:
        return gate(request, PATH)
    who, _ = await keeper(request, desk, FINANCE), _asked(request)
    try:
        return await _overview(request, desk, await work(who, datetime.now(UTC)))
    except KouanError as error:
        why = forms.said(error, untouched=(Malformed,))  # of anything else a part may stand
        refused = Told(refused=why, typed=typed)
        return await forms.refused(request, error, lambda _, status: _overview(request, desk, refused, status=status))


async def _overview(request: AnyRequest, desk: Desk, told: Told, *, status: int = 200) -> Response[Any]:
    account = await keeper(request, desk, DESKS)
    tab, after = _asked(request)

    def look() -> Overview:
        with desk.pool.connection() as connection:
            found, counts = _listing(connection, tab, after), bank_books.counts(connection)
            selling = seller.folded(seller_desk.told(desk.journal, connection))
        return Overview(tab=tab, listing=found, counts=counts, our_account=selling.seller.bank_account)

    found = await asyncio.to_thread(look)
    acts = keeps_books(account, desk.register, FINANCE)
    return page(request, "bank.html", status=status, **view(found, told, acts=acts))


def _asked(request: AnyRequest) -> tuple[Tab, int | None]:
    """The tab, and where its page begins. Raises Malformed."""
    params = request.query_params
    tab: Tab = next((name for name in get_args(Tab) if name == params.get("state")), "waiting")
    return tab, _place(params.get("after", ""))


def _place(text: str) -> int | None:
    """Where a page begins. Raises Malformed."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > PLACE_DIGITS_MAX:
        raise Malformed("after 不是位置 / after is no position", field="after")
    return int(text)


def _listing(connection: psycopg.Connection[Any], tab: Tab, after: int | None) -> Listing:
    """Receipts go on by their position in the journal, other things by how many were shown."""
    past, limit = after or 0, SHOWN
    match tab:
        case "unread":
            rows = bank_books.unread(connection, limit, past)
            return Listing(unread=rows, next=past + limit if len(rows) == limit else None)
        case "refunds":
            to_pay = bank_books.refunds(connection)
            some = to_pay[past : past + limit]
            out = bank_books.outgoing(connection, some)
            return Listing(refunds=some, outgoing=out, next=past + limit if len(to_pay) > past + limit else None)
        case "notices":
            notices = still_open(connection)
            some_open = notices[past : past + limit]
            return Listing(notices=some_open, next=past + limit if len(notices) > past + limit else None)
        case "waiting":
            found = bank_books.receipts(connection, state=tab, after=past, limit=limit)
        case _:
            found = bank_books.newest(connection, state=tab, before=after or 10**PLACE_DIGITS_MAX, limit=limit)
    return Listing(receipts=found, next=found[-1].position if len(found) == limit else None)


def still_open(connection: psycopg.Connection[Any]) -> list[Owed]:
    """Payment notices of which something is owed, the longest due first."""
    known = receivables.open(connection, datetime.now(UTC))
    return bank_books.owed(connection, [each.statement for each in known if each.provider == PROVIDER])


def view(found: Overview, told: Told, *, acts: bool) -> dict[str, Any]:
    """What the desk's page is made of. `acts`: whether the reader may do something here."""
    return {
        **msgspec.structs.asdict(found),
        "told_back": told,
        "tabs": TABS,
        "rules": RULES,
        "rows_told": ROWS_TOLD,
        "acts": acts,
        "at": at,
    }


def at(instant: datetime) -> str:
    """When the bank booked it, on its clock; the day alone where the bank told no more.

    >>> at(datetime(2026, 10, 8, 16, tzinfo=UTC)), at(datetime(2026, 10, 9, 1, 30, tzinfo=UTC))
    ('2026-10-09', '2026-10-09 09:30')
    """
    return words.shanghai(instant).removesuffix(" 00:00")


# --- one movement ---


@get(f"{PATH}/receipts/{{receipt:str}}")
async def one(request: AnyRequest, receipt: FromPath[str], desk: NamedDependency[Desk]) -> Response[Any]:
    """A movement, what it pays, and what can be done with what is left of it."""
    if request.user is None:
        return gate(request, local(f"{PATH}/receipts/{receipt}"))
    return await _one(request, desk, receipt, {})


@post(f"{PATH}/receipts/{{receipt:str}}")
async def act(request: AnyRequest, receipt: FromPath[str], desk: NamedDependency[Desk]) -> Response[Any]:
    """Match, undo, give back, set aside, or call it a refund; field `step`. The same form twice has its effect once."""
    if not ours(request):
        return foreign(request)
    if request.user is None:
        return gate(request, local(f"{PATH}/receipts/{receipt}"))
    who = await keeper(request, desk, FINANCE)
    form: Fields = {}
    try:
        form = await forms.fields(request, FIELDS)
        key = forms.key_of(form, who.account, receipt + form["payment"] + form["refund"])
        await bank_desk.carry_out(desk, who, receipt, wish_of(form), datetime.now(UTC), key=key)
    except KouanError as error:
        return await forms.refused(
            request, error, lambda why, status: _one(request, desk, receipt, form, refused=why, status=status)
        )
    return Redirect(local(f"{PATH}/receipts/{receipt}"), status_code=303)


def wish_of(form: Fields) -> Wish:
    """What a form asks for. Raises Malformed."""
    reason = form["reason"]
    match form["step"]:
        case "match":
            named = bank_matching.named(form["statement"])
            statement = named[0] if len(named) == 1 else form["statement"]
            return ToMatch(statement=statement, reason=reason, amount_minor=_minor(form["amount"]))
        case "undo":
            return ToUndo(payment=form["payment"], reason=reason)
        case "return":
            return ToReturn(reason=reason, amount_minor=_minor(form["amount"]), reference=form["reference"])
        case "set-aside":
            return ToSetAside(reason=reason)
        case "pay-out":
            return ToPayOut(refund=form["refund"])
        case _:
            raise Malformed("没有这一步 / there is no such step", field="step")


def _minor(yuan: str) -> int | None:
    return bank_csv.amount_of(yuan) if yuan else None


async def _one(
    request: AnyRequest, desk: Desk, receipt: str, typed: Fields, *, refused: str = "", status: int = 200
) -> Response[Any]:
    account = await keeper(request, desk, DESKS)

    def look() -> Opened:
        with desk.pool.connection() as connection:
            return opened(connection, receipt)

    found = await asyncio.to_thread(look)
    acts = keeps_books(account, desk.register, FINANCE)
    once = typed.get(forms.ONCE) or forms.fresh()
    context = receipt_view(found, typed, once=once, acts=acts)
    return page(request, "bank_receipt.html", status=status, refused=refused, **context)


def opened(connection: psycopg.Connection[Any], receipt: str) -> Opened:
    """A movement with what it may pay. Raises Unknown."""
    found = bank_books.receipts(connection, receipt=receipt, limit=1)
    if not found:
        raise Unknown(f"没有流水 {receipt[:40]} / there is no receipt {receipt[:40]}", receipt=receipt[:40])
    [one_] = found
    settled = bank_books.settlements(connection, receipt) if one_.settled_minor else []
    if not one_.waiting_minor:
        return Opened(receipt=one_, settled=settled)
    if one_.direction == "in":
        notices = [each for each in still_open(connection) if each.currency == one_.currency]
        return Opened(receipt=one_, settled=settled, open_notices=notices)
    wanted = (one_.waiting_minor, one_.currency)
    refunds = [each for each in bank_books.refunds(connection) if (each.amount_minor, each.currency) == wanted]
    return Opened(receipt=one_, settled=settled, refunds=refunds)


def receipt_view(found: Opened, typed: Fields, *, once: str, acts: bool) -> dict[str, Any]:
    """What the page of a movement is made of. `typed`: into a form that was refused; `once`: the key of its forms."""
    close = likely(found.receipt, found.open_notices)
    guess = close[0].statement if len(close) == 1 else ""
    return {
        **msgspec.structs.asdict(found),
        "likely": close,
        "typed": {"statement": guess} | {name: value for name, value in typed.items() if value},
        "step": typed.get("step", ""),
        "once": once,
        "acts": acts,
        "rules": RULES,
        "ways": WAYS,
        "at": at,
        "shown": ROWS_TOLD,
    }


def likely(receipt: ReceiptShown, notices: Sequence[Owed]) -> list[Owed]:
    """What it may be meant for, in its currency: named in its text, of exactly its amount, or of a holder who paid."""
    named = bank_matching.named(receipt.text)

    def signs(each: Owed) -> tuple[bool, bool, bool]:
        by_name = bool(each.holder_zh) and each.holder_zh in receipt.payer
        return each.statement in named, each.outstanding_minor == receipt.waiting_minor, by_name

    found = [each for each in notices if each.currency == receipt.currency and any(signs(each))]
    return sorted(found, key=signs, reverse=True)[:LIKELY]


ROUTES = [
    Router(
        path="/",
        route_handlers=[overview, import_file, match_all, one, act],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
