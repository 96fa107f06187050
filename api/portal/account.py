"""My account: change the password, enrol the second factor, make and revoke one's keys, end one's sessions.

What is secret is shown on the page that makes it and nowhere again. Who must first change a password or enrol comes
here from wherever he wanted to go.
"""

import asyncio
from datetime import datetime
from typing import Any

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Redirect

from api.identity import KEY_DAYS_MAX, SETUP, Account
from api.login import keys, routes, sessions
from api.login.door import SCOPES, AnyRequest, tell
from api.login.keys import Key, Wanted
from api.portal.pages import gate, on_error, page
from api.problems import status_of
from domain.deciding import Decider
from domain.errors import KouanError

PATH = "/account"
OPT = {"scope": SETUP}


class NewPassword(msgspec.Struct, frozen=True):
    old: str = ""
    new: str = ""
    again: str = ""
    totp: str = ""


class Proof(msgspec.Struct, frozen=True):
    password: str = ""
    totp: str = ""


class NewKey(msgspec.Struct, frozen=True):
    name: str = ""
    days: str = str(KEY_DAYS_MAX)
    scopes: str = ""
    networks: str = ""


# --- the page ---


@get(PATH, opt=OPT)
async def mine(request: AnyRequest) -> Response[str]:
    """All of it on one page."""
    return gate(request, PATH) if request.user is None else await shown(request)


async def shown(request: AnyRequest, *, status: int = 200, **news: Any) -> Response[str]:
    """The page with what is new on it: `refused` (why not), `made` (a key), `enrolment`, `codes`."""
    account: Account = request.user
    gatekeeper = request.app.state.gatekeeper

    def read() -> tuple[list[Key], list[sessions.Session]]:
        with gatekeeper.pool.connection() as connection:
            own = keys.listed(connection, account, account.account)
        return own, sessions.listed(gatekeeper, account)

    about, (own, live) = await asyncio.gather(routes.about(request, account), asyncio.to_thread(read))
    context: dict[str, Any] = {"refused": "", "made": None, "enrolment": None, "codes": [], **news}
    standing = [each for each in own if _live(each, gatekeeper.clock())]
    return page(request, "account.html", status=status, me=about, keys=standing, sessions=live, **_limits(), **context)


def _live(key: Key, now: datetime) -> bool:
    return key.revoked_at is None and key.expires_at > now


def _limits() -> dict[str, Any]:
    return {"days_max": KEY_DAYS_MAX, "scopes": sorted(SCOPES)}


# --- password and second factor ---


@post(f"{PATH}/password", opt=OPT)
async def password(request: AnyRequest, data: URLEncodedBody[NewPassword]) -> Response[Any]:
    """Another password."""
    if request.user is None:
        return gate(request, PATH)
    try:
        if data.new != data.again:
            return await shown(request, status=422, refused="两次输入的新口令不同 / the new passwords differ")
        await routes.change(request, request.user, routes.Changing(data.old, data.new, data.totp))
    except KouanError as error:
        return await shown(request, status=status_of(error), refused=error.detail)
    return Redirect(PATH, status_code=303)


@post(f"{PATH}/totp", opt=OPT)
async def begin(request: AnyRequest, data: URLEncodedBody[Proof]) -> Response[Any]:
    """A secret for the authenticator."""
    if request.user is None:
        return gate(request, PATH)
    try:
        made = await routes.enrol(request, request.user, routes.Proving(data.password, data.totp))
    except KouanError as error:
        return await shown(request, status=status_of(error), refused=error.detail)
    return await shown(request, enrolment=made)


@post(f"{PATH}/totp/confirm", opt=OPT)
async def confirm(request: AnyRequest, data: URLEncodedBody[Proof]) -> Response[Any]:
    """Its first code."""
    if request.user is None:
        return gate(request, PATH)
    try:
        codes = await routes.confirm(request, request.user, data.totp)
    except KouanError as error:
        return await shown(request, status=status_of(error), refused=error.detail)
    return await shown(request, codes=codes)


# --- keys and sessions ---


@post(f"{PATH}/keys")
async def add_key(request: AnyRequest, data: URLEncodedBody[NewKey]) -> Response[Any]:
    """A key of one's own."""
    if request.user is None:
        return gate(request, PATH)
    try:
        asked = {"name": data.name, "days": int(data.days) if data.days.isdecimal() else 0}
        asked |= {"scopes": data.scopes.split(), "networks": data.networks.replace(",", " ").split()}
        made = await keys.create(request, request.user, msgspec.convert(asked, Wanted))
    except msgspec.ValidationError as error:
        return await shown(request, status=422, refused=f"填写有误：{error} / that does not fit: {error}")
    except KouanError as error:
        return await shown(request, status=status_of(error), refused=error.detail)
    return await shown(request, made=made)


@post(f"{PATH}/keys/{{key_id:str}}/revoke")
async def revoke(
    request: AnyRequest, key_id: FromPath[str], commerce_decider: NamedDependency[Decider]
) -> Response[Any]:
    """Revoke a key of one's own."""
    if request.user is None:
        return gate(request, PATH)
    await keys.end(request, commerce_decider, request.user, key_id)
    return Redirect(PATH, status_code=303)


@post(f"{PATH}/sessions/{{session:str}}/end")
async def end(request: AnyRequest, session: FromPath[str]) -> Response[Any]:
    """End a session of one's own."""
    if request.user is None:
        return gate(request, PATH)
    account: Account = request.user
    await asyncio.to_thread(sessions.end, request.app.state.gatekeeper, account.account, session[:64])
    await tell(request, "logout", f"session:{session[:64]}", account=account)
    return Redirect(PATH, status_code=303)


ROUTES = [
    Router(
        path="/",
        route_handlers=[mine, password, begin, confirm, add_key, revoke, end],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
