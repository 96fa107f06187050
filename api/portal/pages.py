"""The portal: ask for a number, sign in, see what was used. Pages need no script and load nothing from elsewhere.

A timeline page is handed over like an answer of the API: `Asker` records the delivery before the bytes leave. Forms
that change something are taken from our own pages only (Sec-Fetch-Site, or Origin from older browsers).
"""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec
import psycopg
from litestar import Request, Response, Router, get, post
from litestar.datastructures import CacheControlHeader, Cookie
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Redirect
from litestar.static_files import create_static_files_router

from api import settle
from api.asking import Asker, Wish
from api.bookkeepers import DESKS, LOOKERS, keeps_books
from api.identity import COOKIE, SESSION, SETUP, TWO_FACTORS, Account, Gatekeeper, Role
from api.login import proving
from api.login.door import csrf_of, ours, tell
from api.login.issuers import Entry, issuers_for_login
from api.login.proving import BadLogin, Proof, TotpNeeded
from api.login.routes import sign_out as ended
from api.login.sessions import Opened, cookie
from api.pool import Pool
from api.portal import language, view
from api.portal.language import Lang
from api.problems import RETRY_AFTER_SECONDS, Forged, LockedOut, NoCredential, SetupNeeded, Suspended, status_of
from api.register import Register
from api.track import wish as wished
from billing import tariff
from billing.metering import Asked
from domain import identifiers, period
from domain.catalogue import Price
from domain.errors import KouanError, Unknown
from projections import catalogue
from projections.catalogue import Listed

AnyRequest = Request[Any, Any, Any]
LANG_COOKIE = "kouan_lang"
LANG_SECONDS = 365 * 24 * 3600
STATIC_SECONDS = 24 * 3600
ISSUERS_SECONDS = 10.0
NUMBER_MAX = 200
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # no-referrer would make browsers send `Origin: null` with our own forms
    "Cache-Control": "no-store",
    "Vary": "Cookie",
}


# --- every page ---


def spoken(request: AnyRequest) -> Lang:
    """What the address asks for, else what was asked for last, else Chinese."""
    asked = request.query_params.get("lang") or request.cookies.get(LANG_COOKIE)
    return "en" if asked == "en" else "zh"


def page(
    request: AnyRequest, template: str, *, status: int = 200, next_path: str = "", **context: object
) -> Response[str]:
    """A page in the reader's language. `next_path` is where to go after signing in."""
    lang = spoken(request)
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in {"lang", "next"}]
    kept += [("next", next_path)] if next_path and request.url.path == "/sign-in" else []
    other = urlencode([*kept, ("lang", "zh" if lang == "en" else "en")])
    account: Account | None = request.scope.get("user")
    text = language.render(
        lang,
        template,
        account=account,
        keeps_books=_keeps_books(request, account, LOOKERS),
        keeps_desks=_keeps_books(request, account, DESKS),
        csrf=csrf_of(request.cookies.get(COOKIE, "")) if account and request.scope.get("auth") == "session" else "",
        switch=f"{quote(_readable(request))}?{other}",
        next_path=next_path,
        **context,
    )
    cookies = []
    if request.query_params.get("lang") in {"zh", "en"}:
        cookies = [Cookie(LANG_COOKIE, value=lang, max_age=LANG_SECONDS, samesite="lax", httponly=True)]
    return Response(
        text, status_code=status, media_type="text/html; charset=utf-8", headers=dict(HEADERS), cookies=cookies
    )


def _readable(request: AnyRequest) -> str:
    """The address under which this page can be asked for again: of a form that has none of its own, what it is about.

    `/statements/7/fapiao` is only sent to; `/statements/7` can be read.
    """
    path, template = request.url.path, request.scope.get("path_template") or ""
    if request.method in {"GET", "HEAD"}:
        return path
    read = {each.path_format for each in request.app.routes if "GET" in getattr(each, "methods", ())}
    while template not in read and template.strip("/"):
        path, template = path.rpartition("/")[0], template.rpartition("/")[0]
    return path or "/"


def _keeps_books(request: AnyRequest, account: Account | None, roles: tuple[Role, ...]) -> bool:
    """Whether the way to the books, or to the desks of bank and fapiao, is shown: to the node's own, by role."""
    register: Register | None = request.app.state.get("register")
    return account is not None and register is not None and keeps_books(account, register, roles)


def sign_in_page(
    request: AnyRequest, next_path: str, *, refused: bool = False, said: str = "", status: int = 200
) -> Response[str]:
    """The forms that take a password or a key. `refused`: the key was; `said`: why the password was, both languages."""
    shown: dict[str, Any] = {"refused": refused, "said": said, "session_hours": int(SESSION.total_seconds() // 3600)}
    shown["issuers"] = _issuers(request)
    return page(request, "sign_in.html", status=status, next_path=next_path, **shown)


def _issuers(request: AnyRequest) -> list[Entry]:
    """Where else one may sign in; read anew every few seconds. None if the database cannot be asked."""
    state, now = request.app.state, time.monotonic()
    read_at, known = state.get("issuers_for_login", (-ISSUERS_SECONDS, []))
    if now - read_at >= ISSUERS_SECONDS:
        with suppress(psycopg.Error), state.gatekeeper.pool.connection(timeout=1) as connection:
            known = issuers_for_login(connection)
        state["issuers_for_login"] = (now, known)
    found: list[Entry] = known
    return found


def gate(request: AnyRequest, next_path: str, *, refused: bool = False) -> Response[str]:
    """The sign-in page as the answer to a question that needs an account; then on to the page that was asked for."""
    path = request.url.path
    if request.method == "GET" and (path == next_path or path.startswith(f"{next_path}/")):
        query = urlencode([each for each in request.query_params.multi_items() if each[0] != "lang"])
        next_path = local(quote(path) + (f"?{query}" if query else ""))
    made = sign_in_page(request, next_path, refused=refused, status=HTTPStatus.UNAUTHORIZED)
    made.headers["WWW-Authenticate"] = 'Bearer realm="kouan"'
    return made


def on_error(request: AnyRequest, error: KouanError | HTTPException) -> Response[Any]:
    """An error as a page; who has no valid credential is asked to sign in."""
    if isinstance(error, SetupNeeded):
        return Redirect("/account", status_code=303)
    if isinstance(error, Forged):
        return foreign(request)
    if isinstance(error, NoCredential):
        return gate(request, local(request.url.path), refused=True)
    status = status_of(error) if isinstance(error, KouanError) else error.status_code
    made = page(request, "error.html", status=status, code=status, detail=error.detail)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        made.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return made


def refusal(error: KouanError) -> int:
    """The status of a page that says why its form was not taken; whoever comes too early may send it again."""
    status = status_of(error)
    return status if status < HTTPStatus.INTERNAL_SERVER_ERROR else HTTPStatus.CONFLICT


def local(path: str) -> str:
    """A path on this server, or "/". Browsers read `//host` as another server's address, and a backslash as a slash."""
    single = path.startswith("/") and path[1:2] not in {"/", "\\"}
    return path if single and path.isprintable() else "/"


def foreign(request: AnyRequest) -> Response[str]:
    """The answer to a form that another site made the browser send."""
    return page(request, "foreign.html", status=HTTPStatus.FORBIDDEN)


# --- asking ---


class Offer(msgspec.Struct, frozen=True):
    """A service item with the price in force; government items have none."""

    item: Listed
    price: Price | None


def offers(pool: Pool, now: datetime) -> list[Offer]:
    """The catalogue as it is at a moment, free items first."""
    with pool.connection() as connection:
        prices = catalogue.prices(connection)
        return [Offer(item, tariff.in_force(prices, item.item, now)) for item in catalogue.items(connection)]


@get("/")
async def home(request: AnyRequest, pool: NamedDependency[Pool]) -> Response[str]:
    """One box for any number, and what is free and what is paid."""
    listed = await asyncio.to_thread(offers, pool, datetime.now(UTC))
    return page(request, "home.html", offers=[offer for offer in listed if offer.item.state == "listed"])


"""The framework takes two slashes of a path for one, also in the address of a logistics object."""


@get("/track", sync_to_thread=False)
def search(number: FromQuery[str] = "") -> Redirect:
    """Where the search box leads."""
    wanted = identifiers.stored(number[:NUMBER_MAX])
    return Redirect(f"/track/{quote(wanted, safe='')}" if wanted else "/", status_code=303)


@get("/track/{number:path}")
async def track(request: AnyRequest, number: FromPath[str], asker: NamedDependency[Asker]) -> Response[str]:
    """The timeline of a number."""
    asked = identifiers.stored(str(number).removeprefix("/")[:NUMBER_MAX])
    if request.user is None:
        return gate(request, local(f"/track/{quote(asked, safe='')}"))
    params = request.query_params
    wish = wished(*(params.get(name, "") for name in ("as_known_at", "journey", "include")))
    try:
        told = await (asker.answer(request.user, asked) if wish == Wish() else asker.look(request.user, asked, wish))
    except Unknown:
        return page(request, "unknown.html", status=HTTPStatus.NOT_FOUND, number=asked)
    arranged = view.arrange(told, spoken(request), datetime.now(UTC), as_known_at=params.get("as_known_at", ""))
    return page(request, "timeline.html", timeline=arranged)


# --- signing in and out ---


class SignIn(msgspec.Struct, frozen=True):
    """Of either form: an account with its password and code, or a key."""

    account: str = ""
    password: str = ""
    totp: str = ""
    key: str = ""
    next: str = "/"


@get("/sign-in", sync_to_thread=False, opt={"scope": SETUP})
def sign_in_form(request: AnyRequest) -> Response[str]:
    """The sign-in page by itself."""
    return sign_in_page(request, local(request.query_params.get("next", "/")))


@post("/sign-in", opt={"rate": "login", "scope": SETUP})
async def sign_in(request: AnyRequest, data: URLEncodedBody[SignIn]) -> Response[Any]:
    """A password or a key for a session; a wrong one is told so."""
    if not ours(request):
        return foreign(request)
    next_path = local(data.next)
    try:
        if data.account or data.password:
            _, opened = await proving.sign_in(request, Proof(data.account, data.password, data.totp))
        else:
            found = await _by_key(request, data.key.strip())
            if found is None:
                return gate(request, next_path, refused=True)
            opened = found
    except (BadLogin, TotpNeeded, LockedOut, Suspended) as error:
        return sign_in_page(request, next_path, said=error.detail, status=status_of(error))
    return Redirect(next_path, status_code=303, cookies=[cookie(request, opened.token, int(SESSION.total_seconds()))])


async def _by_key(request: AnyRequest, key: str) -> Opened | None:
    """None for a key that is not valid here. Raises Suspended."""
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    account = await asyncio.to_thread(gatekeeper.by_key, key, gatekeeper.address(request))
    if account is None:
        return None
    if account.role in TWO_FACTORS or account.scopes:
        await tell(request, "login.key", account.credential, account=account, result="denied")
        raise Suspended(
            "此密钥只供程序使用，请以口令登录 / this key is for programs; sign in with the password",
            account=account.account,
        )
    opened = await proving.open_session(request, account.account, account.credential)
    await tell(request, "login.key", account.credential, account=account, credential=f"session:{opened.session_id}")
    return opened


@post("/sign-out", opt={"scope": SETUP})
async def sign_out(request: AnyRequest) -> Response[Any]:
    """End the session, here and in the browser."""
    if not ours(request):
        return foreign(request)
    await ended(request)
    return Redirect("/", status_code=303, cookies=[cookie(request, "", 0)])


# --- what was used ---


@get("/usage")
async def usage(request: AnyRequest, pool: NamedDependency[Pool], register: NamedDependency[Register]) -> Response[str]:
    """Free beside paid, with totals: every account to finance, to others their own."""
    account: Account | None = request.user
    if account is None:
        return gate(request, "/usage")
    now = datetime.now(UTC)
    month, this = period.parse(request.query_params.get("month") or period.month_of(now)), period.month_of(now)
    by: Literal["item", "day"] = "day" if request.query_params.get("by") == "day" else "item"
    whose = settle.visible(account, register)
    report, listed = await asyncio.gather(
        asyncio.to_thread(settle.report, pool, Asked(whose=whose, month=month, by=by)),
        asyncio.to_thread(offers, pool, now),
    )
    return page(
        request,
        "usage.html",
        report=report,
        items={offer.item.item: offer.item for offer in listed},
        everybody=whose.holder is None,
        now=now,
        by=by,
        month=month,
        before=period.preceding(month),
        after=period.following(month) if month < this else "",
    )


_pages = Router(
    path="/",
    route_handlers=[home, search, track, sign_in_form, sign_in, sign_out, usage],
    exception_handlers={KouanError: on_error, HTTPException: on_error},
    include_in_schema=False,
)
_static = create_static_files_router(
    path="/static",
    directories=[Path(language.STATIC)],
    cache_control=CacheControlHeader(public=True, max_age=STATIC_SECONDS),
    opt={"exclude_from_auth": True, "cost": 0},
)
ROUTES = [_pages, _static]
