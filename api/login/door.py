"""What the door asks of every request, whoever sends it: a form of our own page, and a credential that is meant for it.

A request that changes something and comes by session cookie must carry the token of that session (header X-CSRF-Token,
or field `csrf` of a form) and must not come from another site. Requests with a key or token of their own need none:
no browser adds those by itself. A route's scope is `opt["scope"]`, else its tags.
"""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.enums import RequestEncodingType
from litestar.handlers.base import BaseRouteHandler

from api.body import body_of
from api.identity import COOKIE, SETUP, Account
from api.problems import Forged, MissingScope, SetupNeeded, without_nul
from api.upload import form_of
from domain.errors import Malformed

AnyConnection = ASGIConnection[Any, Any, Any, Any]
AnyRequest = Request[Any, Any, Any]
T = TypeVar("T")
HEADER, FIELD = "x-csrf-token", "csrf"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_BYTES_MAX = 64 * 1024
NAMES = {"follow": "feed", "settle": "usage", "one record": "one_record"}
"""Scopes that are not called like the tag of their routes."""
SCOPES = frozenset(
    {
        *("track", "verify", "feed", "report", "declare", "instruct", "alerts", "statistics", "usage", "dcsa"),
        *(
            "epcis",
            "one_record",
            "operate",
            "quarantine",
            "govern",
            "trust",
            "audit",
            "account",
            "push",
            "subscribe",
            "fees",
            "sandbox",
        ),
    }
)


async def asked(request: AnyRequest) -> None:
    """Before every request. Not a guard: each of those is handed a copy of its route, which costs more than this."""
    without_nul(request)
    await unforged(request, request.route_handler)


# --- forms ---


def csrf_of(token: str) -> str:
    """What a form of this session carries: of its token, which no other page can read."""
    return urlsafe_b64encode(sha256(b"csrf:" + token.encode()).digest()).decode().rstrip("=")


def ours(connection: AnyConnection) -> bool:
    """Whether a form was sent from one of our pages, or by a program that is no browser."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = connection.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == connection.headers.get("host")


async def unforged(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Of all routes; who signs in proves anew who he is, with or without a session. Raises Forged."""
    scope = connection.scope
    if scope.get("auth") != "session" or scope.get("user") is None or scope.get("method", "GET") in SAFE:
        return
    if not ours(connection):
        raise Forged("请求来自其他网站 / the request comes from another site")
    if handler.opt.get("rate") == "login":
        return
    given = connection.headers.get(HEADER) or await _field(connection, handler)
    if not hmac.compare_digest(given.encode("utf-8", "replace"), csrf_of(connection.cookies[COOKIE]).encode()):
        raise Forged(
            "缺少本次登录的令牌：请刷新页面，或在请求头 X-CSRF-Token 中带上 / "
            "the token of this session is missing: reload the page, or send it as X-CSRF-Token"
        )


async def _field(connection: AnyConnection, handler: BaseRouteHandler) -> str:
    headers = connection.headers
    length, kind = headers.get("content-length", ""), headers.get("content-type", "").partition(";")[0]
    if kind == RequestEncodingType.MULTI_PART and handler.opt.get("upload") and isinstance(connection, Request):
        return str((await form_of(connection)).get(FIELD, ""))
    small = length.isascii() and length.isdigit() and int(length) <= FORM_BYTES_MAX
    if not small or kind != RequestEncodingType.URL_ENCODED or not isinstance(connection, Request):
        return ""
    return str((await form_of(connection)).get(FIELD, ""))


# --- scopes ---


def scopes_of(handler: BaseRouteHandler) -> frozenset[str]:
    """Any of them opens the route; none: only a credential without scopes does."""
    said = handler.opt.get("scope")
    if said:
        return frozenset({said})
    tags: list[str] = handler.resolve_tags() if hasattr(handler, "resolve_tags") else []
    return frozenset(NAMES.get(tag, tag) for tag in tags)


def within_scope(account: Account, handler: BaseRouteHandler) -> None:
    """Of all routes, as soon as it is known who asks. Raises MissingScope, SetupNeeded."""
    if not account.scopes:
        return
    wanted = scopes_of(handler)
    if wanted & set(account.scopes):
        return
    if SETUP in account.scopes:
        raise SetupNeeded(
            "请先修改口令或启用动态口令（POST /v1/password、/v1/totp，或门户“我的账户”） / "
            "change the password or enrol the second factor first (POST /v1/password, /v1/totp, or My account)"
        )
    raise MissingScope(
        f"此凭据的范围为 {'、'.join(account.scopes)}，不含 {'、'.join(sorted(wanted)) or '本页'} / "
        f"this credential is for {', '.join(account.scopes)}, not for {', '.join(sorted(wanted)) or 'this page'}",
        scopes=list(account.scopes),
        needed=sorted(wanted),
    )


# --- what routes of this package share ---


async def body_as(request: AnyRequest, kind: type[T]) -> T:
    """The JSON body. Raises Malformed."""
    try:
        return msgspec.json.decode(await body_of(request), type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Malformed(f"正文不合要求：{error} / the body does not fit: {error}") from error


async def tell(request: AnyRequest, action: str, object: str, **more: Any) -> None:  # noqa: A002  the trail's word
    """To the trail: durable when it returns."""
    address = request.app.state.gatekeeper.address(request)
    await request.app.state.trail.tell(action, object, **{"address": address, **more})
