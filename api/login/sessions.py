"""Sessions: opened after whatever proof, kept in PostgreSQL, ended by their owner, by time, or with the account.

A session lasts 8 hours at most and half an hour without use. Its token is in the cookie only; here is its SHA-256.
It is called by 8 hexadecimal digits, which open nothing. Times are UTC.
"""

import asyncio
import secrets
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
import psycopg
from litestar import delete, get
from litestar.datastructures import Cookie
from litestar.params import FromPath

from api.identity import COOKIE, IDLE, SESSION, Account, Gatekeeper, caller, needs
from api.login.door import AnyRequest, csrf_of, tell
from api.problems import Suspended
from domain.errors import Unknown

SESSIONS_MAX = 20  # of one account; the oldest give way


class Opened(msgspec.Struct, frozen=True):
    """A session just opened. `token` goes into the cookie and nowhere else."""

    token: str
    csrf: str
    session_id: str
    expires_at: datetime


class Session(msgspec.Struct, frozen=True):
    """One session as its owner sees it."""

    session: str
    credential: str  # by which it was opened
    address: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    this: bool


# --- opening and ending ---

OVER = """
DELETE FROM sessions
WHERE expires_at <= %(now)s OR seen_at <= %(idle)s OR digest = %(old)s OR digest IN (
    SELECT digest FROM sessions WHERE account = %(account)s ORDER BY created_at DESC OFFSET %(kept)s)
"""
OPEN = """
INSERT INTO sessions (digest, account, expires_at, session_id, credential, address, created_at, seen_at)
SELECT %(digest)s, account, least(%(expires_at)s, (SELECT expires_at FROM api_keys WHERE key_id = %(key_id)s)),
       %(session_id)s, %(credential)s, %(address)s, %(now)s, %(now)s
FROM accounts WHERE account = %(account)s AND state = 'open'
RETURNING expires_at
"""


def open_session(
    gatekeeper: Gatekeeper, account: str, credential: str, *, address: str = "", instead_of: str | None = None
) -> Opened:
    """A new session, opened by `credential` (password, key:ID, card:SERIAL, token:…); `instead_of`: the token before.

    One that a key opened ends with the key. Raises Suspended.
    """
    token, now, session_id = secrets.token_urlsafe(32), gatekeeper.clock(), secrets.token_hex(4)
    given = {
        "digest": sha256(token.encode()).digest(),
        "account": account,
        "expires_at": now + SESSION,
        "key_id": credential.removeprefix("key:") if credential.startswith("key:") else None,
        "session_id": session_id,
        "credential": credential,
        "address": address,
        "now": now,
    }
    old = sha256(instead_of.encode()).digest() if instead_of else b""
    over = {"now": now, "idle": now - IDLE, "old": old, "account": account, "kept": SESSIONS_MAX - 1}
    with gatekeeper.pool.connection() as connection, connection.transaction():
        connection.execute(OVER, over)
        row = connection.execute(OPEN, given).fetchone()
    if row is None:
        raise Suspended.of(account)
    return Opened(token, csrf_of(token), session_id, row[0])


def end_session(gatekeeper: Gatekeeper, token: str) -> None:
    """The session of this token, if there is one."""
    with gatekeeper.pool.connection() as connection:
        connection.execute("DELETE FROM sessions WHERE digest = %s", (sha256(token.encode()).digest(),))


def end_others(connection: psycopg.Connection[Any], account: str, but: str = "") -> None:
    """All sessions of an account except one, named by its id; without one, all."""
    connection.execute("DELETE FROM sessions WHERE account = %s AND session_id <> %s", (account, but))


def cookie(request: AnyRequest, token: str, seconds: int) -> Cookie:
    """The session's cookie; seconds 0 takes it away."""
    # Behind a proxy that ends TLS the scheme is known from its header only; a false one could but harm its own sender.
    https = "https" in {request.url.scheme, request.headers.get("x-forwarded-proto")}
    return Cookie(COOKIE, value=token, max_age=seconds, path="/", httponly=True, samesite="lax", secure=https)


# --- one's own ---

LISTED = """
SELECT session_id, credential, address, created_at, seen_at, expires_at, session_id = %s
FROM sessions
WHERE account = %s AND expires_at > %s AND seen_at > %s
ORDER BY created_at DESC
"""


def listed(gatekeeper: Gatekeeper, account: Account) -> list[Session]:
    """The live sessions of an account, newest first."""
    now, this = gatekeeper.clock(), account.credential.removeprefix("session:")
    with gatekeeper.pool.connection() as connection:
        rows = connection.execute(LISTED, (this, account.account, now, now - IDLE)).fetchall()
    return [Session(*row) for row in rows]


def end(gatekeeper: Gatekeeper, account: str, session_id: str) -> None:
    """End one session of this account. Raises Unknown."""
    with gatekeeper.pool.connection() as connection:
        done = connection.execute(
            "DELETE FROM sessions WHERE account = %s AND session_id = %s", (account, session_id)
        ).rowcount
    if not done:
        raise Unknown(f"没有会话 {session_id} / there is no session {session_id}", session=session_id)


@get("/v1/sessions", guards=[needs()], tags=["account"])
async def sessions(request: AnyRequest) -> list[Session]:
    """One's own sessions, newest first."""
    return await asyncio.to_thread(listed, request.app.state.gatekeeper, caller(request))


@delete("/v1/sessions/{session:str}", guards=[needs()], tags=["account"], status_code=204)
async def end_one(request: AnyRequest, session: FromPath[str]) -> None:
    """End one of one's own sessions."""
    account = caller(request)
    await asyncio.to_thread(end, request.app.state.gatekeeper, account.account, session[:64])
    await tell(request, "logout", f"session:{session[:64]}", account=account)


ROUTES = (sessions, end_one)
