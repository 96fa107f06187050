"""Signing in by password: the same answer, and the same time, for a wrong password and an account that is not there.

An attempt counts as failed until it has succeeded (attempts.py). Who needs a second factor and has none gets a session
that can do nothing but enrol it.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import psycopg

from api.identity import COOKIE, Gatekeeper
from api.login import attempts, passwords, sessions, totp
from api.login.door import AnyRequest, ours, tell
from api.login.sessions import Opened
from api.problems import Forged, NoCredential, Suspended

NAME_CHARS_MAX, CODE_CHARS_MAX = 64, 40
T = TypeVar("T")


class BadLogin(NoCredential):
    slug = "bad-login"
    title = "Account, password or code is wrong"


class TotpNeeded(NoCredential):
    slug = "totp-needed"
    title = "This account needs its second factor too"


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody says to be let in."""

    account: str
    password: str
    totp: str = ""  # present code, or a recovery code


FOUND = """
SELECT state, password, totp IS NOT NULL FROM accounts WHERE account = %s AND state <> 'dismissed'
"""


async def in_thread(request: AnyRequest, work: Callable[[psycopg.Connection[Any]], T]) -> T:
    """Work on a connection of the pool."""
    gatekeeper: Gatekeeper = request.app.state.gatekeeper

    def run() -> T:
        with gatekeeper.pool.connection() as connection:
            return work(connection)

    return await asyncio.to_thread(run)


async def prove(request: AnyRequest, proof: Proof) -> str:
    """Whose password, and code if there must be one, these are. Raises BadLogin, TotpNeeded, LockedOut, Suspended."""
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    address, now, name = gatekeeper.address(request), gatekeeper.clock(), proof.account.strip()
    if not name.isprintable() or not 0 < len(name) <= NAME_CHARS_MAX:
        name = "?"  # the name of nobody
    await in_thread(request, lambda connection: attempts.begin(connection, name, address, now))
    row = await in_thread(request, lambda connection: connection.execute(FOUND, (name,)).fetchone())
    state, stored, has_totp = row or ("", None, False)
    if not await passwords.right(stored, proof.password):
        raise await _refused(request, "login.password", name)
    if state != "open":
        raise Suspended.of(name)
    if has_totp:
        await _second(request, name, proof.totp)
    await in_thread(request, lambda connection: attempts.succeeded(connection, name, address))
    return name


async def _second(request: AnyRequest, name: str, code: str) -> None:
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    if not code.strip():
        address = gatekeeper.address(request)
        await in_thread(request, lambda connection: attempts.take_back(connection, name, address))
        raise TotpNeeded("请输入动态口令 / send the present code too (totp)")
    vault, now = request.app.state.vault, gatekeeper.clock()
    if not await in_thread(
        request, lambda connection: totp.accept(connection, vault, name, code[:CODE_CHARS_MAX], now)
    ):
        raise await _refused(request, "login.totp", name)


async def _refused(request: AnyRequest, action: str, name: str) -> BadLogin:
    await tell(request, action, f"account:{name}", result="denied")
    return BadLogin("账户、口令或动态口令不对 / account, password or code is wrong")


async def sign_in(request: AnyRequest, proof: Proof) -> tuple[str, Opened]:
    """A session for who can prove it; the one before, if the request came with one, is over."""
    if not ours(request):
        raise Forged("请求来自其他网站 / the request comes from another site")
    name = await prove(request, proof)
    opened = await open_session(request, name, "password")
    await tell(request, "login.password", f"account:{name}", credential=f"session:{opened.session_id}")
    return name, opened


async def open_session(request: AnyRequest, name: str, credential: str) -> Opened:
    """`sessions.open_session` for a request, in a thread."""
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    address, before = gatekeeper.address(request), request.cookies.get(COOKIE)
    return await asyncio.to_thread(
        sessions.open_session, gatekeeper, name, credential, address=address, instead_of=before
    )
