"""Signing in to the portal at another issuer: authorization code flow with PKCE, checked at every step.

State, nonce and verifier stay here, for ten minutes and for the browser that began; the state is used once. An answer
that names another issuer is turned away (RFC 9207), an ID token is checked as strictly as a bearer token. Then there
is a session like any other. Times are seconds. Source: OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9700.
"""

import asyncio
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from api.identity import COOKIE, SESSION, Account
from api.login import issuers, jwks, sessions
from api.login.door import tell
from api.login.issuer import Issuer
from api.login.issuers import Entry
from api.login.jwks import IssuerUnreachable
from api.login.provider import s256
from api.login.tokens import Tokens
from api.problems import NoCredential
from domain.errors import Unknown

AnyRequest = Request[Any, Any, Any]
LOGIN = timedelta(minutes=10)
BROWSER_COOKIE, COOKIE_PATH = "kouan_oidc", "/login/oidc"
PARAMETER_CHARS_MAX = 4096
NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}

BEGIN = """
INSERT INTO oidc_logins (state, browser, issuer, nonce, verifier, next_path, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
TAKE = """
DELETE FROM oidc_logins USING trusted_issuers t
WHERE state = %s AND t.issuer = oidc_logins.issuer
RETURNING browser, nonce, verifier, next_path, expires_at, t.name
"""


class LoginFailed(NoCredential):
    slug = "login-failed"
    title = "The sign-in at the other issuer did not come to an end"


class Begun(msgspec.Struct, frozen=True):
    """A sign-in under way."""

    browser: bytes
    nonce: str
    verifier: str
    next_path: str
    expires_at: datetime
    name: str  # of the issuer


def failed(zh: str, en: str) -> LoginFailed:
    return LoginFailed(f"登录未完成：{zh}；请重新登录 / the sign-in failed: {en}; sign in again")


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def local(path: str) -> str:
    """A path on this server, or "/"; as browsers read it."""
    single = path.startswith("/") and path[1:2] not in {"/", "\\"} and len(path) <= PARAMETER_CHARS_MAX
    return path if single and path.isprintable() else "/"


# --- going there ---


@get("/login/oidc/{name:str}", include_in_schema=False)
async def begin(request: AnyRequest, name: FromPath[str], issuer: NamedDependency[Issuer]) -> Redirect:
    """Send the browser to the issuer of this name."""
    browser, state = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    next_path = local(request.query_params.get("next", "/"))
    where = await asyncio.to_thread(_begin, issuer, name, (state, browser, next_path))
    https = "https" in {request.url.scheme, request.headers.get("x-forwarded-proto")}
    age = int(LOGIN.total_seconds())
    cookie = Cookie(
        BROWSER_COOKIE, value=browser, max_age=age, path=COOKIE_PATH, httponly=True, samesite="lax", secure=https
    )
    return Redirect(where, status_code=303, cookies=[cookie], headers=NO_STORE)


def _begin(issuer: Issuer, name: str, made: tuple[str, str, str]) -> str:
    """The address to go to. Raises Unknown."""
    state, browser, next_path = made
    nonce, verifier, now = secrets.token_urlsafe(32), secrets.token_urlsafe(48), issuer.now()
    with issuer.pool.connection() as connection:
        entry, _ = issuers.by_name(connection, name)
        if not entry.client_id or entry.state != "active":
            raise Unknown(f"不能经 {name} 登录 / nobody signs in at {name}", name=name)
        connection.execute("DELETE FROM oidc_logins WHERE expires_at < %s", (now,))
        kept = (digest(state), digest(browser), entry.issuer, nonce, verifier, next_path, now + LOGIN)
        connection.execute(BEGIN, kept)
    asked = {
        "response_type": "code",
        "client_id": entry.client_id,
        "redirect_uri": back(issuer),
        "scope": "openid",
        "state": state,
        "nonce": nonce,
        "code_challenge": s256(verifier),
        "code_challenge_method": "S256",
    }
    joined = "&" if "?" in entry.authorization_endpoint else "?"
    return f"{entry.authorization_endpoint}{joined}{urlencode(asked)}"


def back(issuer: Issuer) -> str:
    """Where the issuer sends the browser back to: what is registered there. Never taken from a request's Host."""
    return f"{issuer.url()}{COOKIE_PATH}/callback"


# --- coming back ---


@get("/login/oidc/callback", include_in_schema=False)
async def callback(
    request: AnyRequest, issuer: NamedDependency[Issuer], tokens: NamedDependency[Tokens]
) -> Response[Any]:
    """Take the code, exchange it, check who it is, open a session. Raises NoCredential with the reason."""
    begun, entry, secret = await asyncio.to_thread(_returned, request, issuer)
    account = await _exchanged(issuer, tokens, entry, (_answered(request, entry), begun, secret))
    gatekeeper = request.app.state.gatekeeper
    opened = await asyncio.to_thread(
        lambda: sessions.open_session(
            gatekeeper,
            account.account,
            account.credential,
            address=gatekeeper.address(request),
            instead_of=request.cookies.get(COOKIE),
        )
    )
    await tell(request, "login.oidc", f"session:{opened.session_id}", account=account)
    gone = Cookie(BROWSER_COOKIE, value="", max_age=0, path=COOKIE_PATH, httponly=True, samesite="lax")
    cookies = [sessions.cookie(request, opened.token, int(SESSION.total_seconds())), gone]
    return Redirect(begun.next_path, status_code=303, cookies=cookies, headers=NO_STORE)


def _returned(request: AnyRequest, issuer: Issuer) -> tuple[Begun, Entry, bytes | None]:
    """The sign-in that this answer belongs to; it is used up. Raises LoginFailed."""
    pairs = list(request.query_params.multi_items())
    if len(dict(pairs)) != len(pairs) or any(len(value) > PARAMETER_CHARS_MAX for _, value in pairs):
        raise failed("参数重复或过长", "a parameter comes twice or is too long")
    with issuer.pool.connection() as connection:
        row = connection.execute(TAKE, (digest(request.query_params.get("state", "")),)).fetchone()
        if row is None:
            raise failed("没有这次登录，或已用过", "it was not begun here, or its answer was used before")
        begun = Begun(*row)
        entry, secret = issuers.by_name(connection, begun.name)
    if begun.expires_at <= issuer.now():
        raise failed("超过十分钟", "it took more than ten minutes")
    if not compare_digest(begun.browser, digest(request.cookies.get(BROWSER_COOKIE, ""))):
        raise failed("由另一浏览器发起", "another browser began it")
    if entry.state != "active":
        raise failed("签发方已停用", "the issuer is suspended")
    return begun, entry, secret


def _answered(request: AnyRequest, entry: Entry) -> str:
    """The code. Raises LoginFailed: also where another issuer answers than was asked (RFC 9207)."""
    params = request.query_params
    if ("iss" in params or entry.response_iss) and params.get("iss") != entry.issuer:
        raise failed("应答来自另一签发方", "another issuer answers than was asked")
    if "error" in params:
        said = params["error"][:60]
        raise failed(f"签发方答复 {said!r}", f"the issuer says {said!r}")
    code = params.get("code", "")
    if not code:
        raise failed("没有授权码", "there is no code")
    return code


async def _exchanged(issuer: Issuer, tokens: Tokens, entry: Entry, given: tuple[str, Begun, bytes | None]) -> Account:
    """The account that signed in. Raises LoginFailed or NoCredential."""
    code, begun, sealed = given
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": await asyncio.to_thread(back, issuer),
        "client_id": entry.client_id,
        "code_verifier": begun.verifier,
    }
    if sealed is not None:
        form["client_secret"] = issuer.vault.open(sealed, secret_about(entry.issuer)).decode()
    try:
        answer = jwks.strict_json(await jwks.bounded("POST", entry.token_endpoint, data=form))
    except (IssuerUnreachable, ValueError, RecursionError) as error:
        raise failed("签发方未给出令牌", "the issuer gave no tokens") from error
    got = answer if isinstance(answer, dict) else {}
    identity, access = got.get("id_token"), got.get("access_token")
    if not isinstance(identity, str) or not isinstance(access, str):
        raise failed("签发方未给出令牌", "the issuer gave no tokens")
    return await tokens.by_id_token(identity, entry, begun.nonce, access)


def secret_about(issuer: str) -> str:
    """What a client secret is sealed for."""
    return f"client-secret:{issuer}"


ROUTES = (callback, begin)
