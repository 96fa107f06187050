"""A small OpenID provider for sister nodes: `/authorize`, `/token`, `/userinfo`; whoever is signed in here is so there.

Clients are registered with exact redirect addresses and are public: PKCE with S256 proves that the code came to who
asked for it. A code is taken once, within a minute. Nobody is asked for consent: clients are nodes of the same port.
Times are seconds. Source: OpenID Connect Core 1.0, RFC 6749, RFC 7636, RFC 9207, RFC 9700.
"""

import asyncio
import re
import secrets
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from html import escape
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlencode

import msgspec
import psycopg
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect

from api.identity import Account
from api.login import jwks
from api.login.door import FORM_BYTES_MAX, tell
from api.login.issuer import TOKEN_SECONDS, Issuer
from api.login.issuers import TEXT_MAX, BadIssuer
from api.login.tokens import Tokens, refused
from api.problems import NoCredential
from domain.errors import Malformed

AnyRequest = Request[Any, Any, Any]
CODE = timedelta(seconds=60)
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
FIELDS_MAX = 20
NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,80}")

SAVE = """
INSERT INTO issuer_clients (client_id, zh, en, redirect_uris, audience, state, changed_by)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (client_id) DO UPDATE
SET zh = excluded.zh, en = excluded.en, redirect_uris = excluded.redirect_uris, audience = excluded.audience,
    state = excluded.state, changed_by = excluded.changed_by, changed_at = now()
"""
CLIENTS = "SELECT client_id, zh, en, redirect_uris, audience, state FROM issuer_clients"
KEEP = """
INSERT INTO issuer_codes (digest, client_id, account, redirect_uri, challenge, nonce, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
TAKE = """
DELETE FROM issuer_codes c USING issuer_clients l, accounts a
WHERE c.digest = %s AND l.client_id = c.client_id AND a.account = c.account
RETURNING c.client_id, c.redirect_uri, c.challenge, c.nonce, c.expires_at, l.state, a.state,
          a.account, a.role, a.zh, a.en, a.party, a.rights
"""
OPEN_ACCOUNT = "SELECT account, role, zh, en, party, rights FROM accounts WHERE account = %s AND state = 'open'"


class BadAuthorize(Malformed):
    slug = "bad-authorize"
    title = "The sign-in cannot be handed on"


class Client(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may have tokens of ours."""

    client_id: str
    zh: str = ""
    en: str = ""
    redirect_uris: tuple[str, ...] = ()  # none: it takes tokens for its API only
    audience: str = ""  # `aud` of tokens for its API
    state: Literal["active", "suspended"] = "active"


def save_client(connection: psycopg.Connection[Any], client: Client, by: str) -> None:
    """Put a client in, or in the place of the one of its id. Raises BadIssuer."""
    texts = [each for each in (client.zh, client.en, client.audience) if each]
    if not CLIENT_ID.fullmatch(client.client_id) or not all(len(x) <= TEXT_MAX and x.isprintable() for x in texts):
        raise BadIssuer("client_id 或名称不可用 / the client_id or a name cannot be used", field="client_id")
    if len(client.redirect_uris) > FIELDS_MAX or not all(map(jwks.secure, client.redirect_uris)):
        raise BadIssuer("redirect_uris 须为 https 地址 / must be https addresses", field="redirect_uris")
    values = (client.client_id, client.zh, client.en, list(client.redirect_uris), client.audience, client.state, by)
    connection.execute(SAVE, values)


def clients(connection: psycopg.Connection[Any]) -> list[Client]:
    """All clients, by id."""
    found = connection.execute(CLIENTS + " ORDER BY client_id")
    return [Client(name, zh, en, tuple(uris), audience, state) for name, zh, en, uris, audience, state in found]


# --- /authorize ---


class Asked(msgspec.Struct, frozen=True):
    """The parameters, each at most once."""

    client_id: str = ""
    redirect_uri: str = ""
    response_type: str = ""
    scope: str = ""
    state: str = ""
    nonce: str = ""
    code_challenge: str = ""
    code_challenge_method: str = ""
    prompt: str = ""
    request: str = ""
    response_mode: str = "query"

    @classmethod
    def of(cls, pairs: list[tuple[str, str]]) -> "Asked":
        """Raises BadAuthorize."""
        found = dict(pairs)
        if len(found) != len(pairs) or any(len(value) > TEXT_MAX * 4 for value in found.values()):
            raise BadAuthorize("参数重复或过长 / a parameter comes twice or is too long")
        return cls(**{name: value for name, value in found.items() if name in cls.__struct_fields__})

    def fault(self) -> str:
        """The error of RFC 6749 to send back; "" for none."""
        if self.response_type != "code" or self.response_mode != "query":
            return "unsupported_response_type"
        if "openid" not in self.scope.split():
            return "invalid_scope"
        if self.request:
            return "request_not_supported"
        if self.code_challenge_method != "S256" or not CHALLENGE.fullmatch(self.code_challenge):
            return "invalid_request"
        printable = self.state.isprintable() and self.nonce.isprintable()
        return "" if printable and len(self.nonce) <= TEXT_MAX else "invalid_request"


def registered(connection: psycopg.Connection[Any], asked: Asked) -> None:
    """Raises BadAuthorize unless the client is known and the address is one of its own, character by character."""
    row = connection.execute(CLIENTS + " WHERE client_id = %s", (asked.client_id,)).fetchone()
    if row is None or row[5] != "active" or asked.redirect_uri not in row[3]:
        raise BadAuthorize("未登记的客户端或回调地址 / the client or its redirect address is not registered here")


@get("/authorize", include_in_schema=False)
async def authorize(request: AnyRequest, issuer: NamedDependency[Issuer]) -> Response[Any]:
    """Hand a code to a registered client, for whoever is signed in; who is not signs in first."""
    asked = Asked.of(list(request.query_params.multi_items()))
    url = await asyncio.to_thread(_ask, issuer, asked)
    if fault := asked.fault():
        return _back(request, asked, {"error": fault, "iss": url})
    account: Account | None = request.user if request.auth == "session" else None
    if account is None or account.scopes:  # a scope: of a session that must enrol first
        if "none" in asked.prompt.split():
            return _back(request, asked, {"error": "login_required", "iss": url})
        again = f"/authorize?{request.scope['query_string'].decode('latin-1')}"
        return Redirect(f"/sign-in?next={quote(again, safe='')}", status_code=303, headers=NO_STORE)
    code = await asyncio.to_thread(_code, issuer, asked, account)
    await tell(request, "login.handed_on", asked.client_id, account=account)
    return _back(request, asked, {"code": code, "iss": url})


def _ask(issuer: Issuer, asked: Asked) -> str:
    with issuer.pool.connection() as connection:
        registered(connection, asked)
    return issuer.url()


def _code(issuer: Issuer, asked: Asked, account: Account) -> str:
    code, now = secrets.token_urlsafe(32), issuer.now()
    kept = (asked.client_id, account.account, asked.redirect_uri, asked.code_challenge, asked.nonce, now + CODE)
    with issuer.pool.connection() as connection:
        connection.execute("DELETE FROM issuer_codes WHERE expires_at < %s", (now,))
        connection.execute(KEEP, (sha256(code.encode()).digest(), *kept))
    return code


def _back(request: AnyRequest, asked: Asked, told: dict[str, str]) -> Response[Any]:
    joined = "&" if "?" in asked.redirect_uri else "?"
    where = asked.redirect_uri + joined + urlencode(told | ({"state": asked.state} if asked.state else {}))
    if request.headers.get("sec-fetch-site") != "same-origin":
        return Redirect(where, status_code=302, headers=NO_STORE)
    # From our own sign-in form: browsers hold its redirects to `form-action 'self'`, a page that leads on they do not.
    text = f'<!doctype html><meta http-equiv="refresh" content="0;url={escape(where)}"><a href="{escape(where)}">→</a>'
    return Response(text, media_type="text/html; charset=utf-8", headers=NO_STORE)


# --- /token ---


@post("/token", include_in_schema=False, request_max_body_size=FORM_BYTES_MAX, status_code=200)
async def token(request: AnyRequest, issuer: NamedDependency[Issuer]) -> Response[dict[str, Any]]:
    """A code for tokens. Errors as in RFC 6749 section 5.2."""
    try:
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        return _fault("invalid_request")
    form = dict(pairs)
    if len(form) != len(pairs):
        return _fault("invalid_request")
    if form.get("grant_type") != "authorization_code":
        return _fault("unsupported_grant_type")
    made = await asyncio.to_thread(exchange, issuer, form)
    return Response(made, headers=NO_STORE) if made else _fault("invalid_grant")


def _fault(error: str) -> Response[dict[str, Any]]:
    return Response({"error": error}, status_code=400, headers=NO_STORE)


def exchange(issuer: Issuer, form: dict[str, str]) -> dict[str, Any] | None:
    """The tokens for a code; None where anything is amiss. The code is gone either way."""
    with issuer.pool.connection() as connection:
        row = connection.execute(TAKE, (sha256(form.get("code", "").encode()).digest(),)).fetchone()
    if row is None or not _proven(row, form, issuer.now()):
        return None
    client_id, nonce = row[0], row[3]
    name, role, zh, en, party, rights = row[7:]
    account = Account(name, role, zh, en, party=party, rights=tuple(rights), scopes=("openid",))
    access = issuer.access_token(account, issuer.url(), client_id)
    identity = issuer.id_token(account, client_id, nonce, access)
    return {"access_token": access, "id_token": identity, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}


def _proven(row: tuple[Any, ...], form: dict[str, str], now: datetime) -> bool:
    client_id, redirect_uri, challenge, _, expires_at, client_state, account_state = row[:7]
    verifier = form.get("code_verifier", "")
    if not VERIFIER.fullmatch(verifier) or expires_at <= now:
        return False
    if (client_state, account_state) != ("active", "open"):
        return False
    same = form.get("client_id") == client_id and form.get("redirect_uri") == redirect_uri
    return same and compare_digest(s256(verifier), challenge)


def s256(verifier: str) -> str:
    """RFC 7636 section 4.2.

    >>> s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
    """
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


# --- /userinfo ---


@get("/userinfo", include_in_schema=False)
async def userinfo(
    request: AnyRequest, issuer: NamedDependency[Issuer], tokens: NamedDependency[Tokens]
) -> Response[dict[str, Any]]:
    """Who the bearer of an access token of `/token` is. Raises NoCredential."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise NoCredential("须有本节点的访问令牌 / this needs an access token of this node")
    claims = await tokens.by_own(value.strip(), await asyncio.to_thread(issuer.entry))

    def told() -> dict[str, Any]:
        with issuer.pool.connection() as connection:
            row = connection.execute(OPEN_ACCOUNT, (claims["sub"],)).fetchone()
        if row is None:
            raise refused("账户不可用", "its account is not open")
        return {"sub": row[0], "role": row[1], "name": row[2], "party": row[4], "rights": list(row[5])}

    return Response(await asyncio.to_thread(told), headers=NO_STORE)


ROUTES = (authorize, token, userinfo)
