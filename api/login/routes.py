"""Signing in and out, one's own account, its password and its second factor.

POST /v1/login  {account, password, totp}   a session cookie, and the token that forms and scripts send with it
POST /v1/password  {old, new}               ends all other sessions
POST /v1/totp  {password, totp}             a secret to put into an authenticator; /v1/totp/confirm makes it count
"""

from typing import Any

import msgspec
from litestar import Response, get, post

from api.identity import COOKIE, SESSION, SETUP, TWO_FACTORS, Account, caller, needs
from api.login import attempts, keys, passwords, proving, sessions, totp, users
from api.login.door import AnyRequest, body_as, csrf_of, tell
from api.login.passwords import BadPassword
from api.login.proving import Proof, in_thread
from api.login.totp import Enrolment
from domain.errors import Refused

OPT = {"scope": SETUP}


class SignedIn(msgspec.Struct, frozen=True):
    """What a program needs to go on with the cookie."""

    account: str
    csrf: str  # as X-CSRF-Token with whatever changes something
    session: str
    expires_at: str


class Me(msgspec.Struct, frozen=True):
    """Who the caller is to this node."""

    account: str
    role: str
    zh: str
    en: str
    party: str
    rights: tuple[str, ...]
    credential: str
    scopes: tuple[str, ...]
    setup: list[str]  # password, totp: what must be done before anything else
    has_totp: bool
    csrf: str = ""  # of a session


class Changing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    old: str
    new: str
    totp: str = ""


class Proving(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    password: str
    totp: str = ""


class Confirming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    totp: str


class Recovery(msgspec.Struct, frozen=True):
    """Shown once."""

    recovery_codes: list[str]


@post("/v1/login", tags=["account"], opt={**OPT, "rate": "login"}, status_code=200)
async def login(request: AnyRequest) -> Response[SignedIn]:
    """A session for account and password, and the present code where the account has a second factor."""
    name, opened = await proving.sign_in(request, await body_as(request, Proof))
    told = SignedIn(name, opened.csrf, opened.session_id, opened.expires_at.isoformat())
    cookie = sessions.cookie(request, opened.token, int(SESSION.total_seconds()))
    return Response(told, cookies=[cookie], headers={"Cache-Control": "no-store"})


@post("/v1/logout", tags=["account"], opt=OPT, status_code=204, guards=[needs()])
async def logout(request: AnyRequest) -> Response[None]:
    """End the session, here and in the browser."""
    await sign_out(request)
    return Response(None, status_code=204, cookies=[sessions.cookie(request, "", 0)])


async def sign_out(request: AnyRequest) -> None:
    """End the session of the cookie."""
    token, account = request.cookies.get(COOKIE), request.user
    if token:
        await in_thread(request, lambda _: sessions.end_session(request.app.state.gatekeeper, token))
    if account is not None:
        await tell(request, "logout", account.credential, account=account)


@get("/v1/account", tags=["account"], opt=OPT, guards=[needs()])
async def me(request: AnyRequest) -> Me:
    """Who the caller is, and what must be done first."""
    return await about(request, caller(request))


STANDING = """
SELECT totp IS NOT NULL, password_once OR coalesce(password_set_at <= %s, false) FROM accounts WHERE account = %s
"""


async def about(request: AnyRequest, account: Account) -> Me:
    """What `me` tells."""
    gatekeeper = request.app.state.gatekeeper
    oldest = gatekeeper.clock() - passwords.days(gatekeeper.settings)
    row = await in_thread(
        request, lambda connection: connection.execute(STANDING, (oldest, account.account)).fetchone()
    )
    has_totp, worn = row or (False, False)
    setup = ["password"] if worn else []
    setup += ["totp"] if account.role in TWO_FACTORS and not has_totp else []
    by_session = account.credential.startswith("session:")
    return Me(
        **{name: getattr(account, name) for name in ("account", "role", "zh", "en", "party", "rights")},
        credential=account.credential,
        scopes=account.scopes,
        setup=setup if SETUP in account.scopes else [],
        has_totp=has_totp,
        csrf=csrf_of(request.cookies.get(COOKIE, "")) if by_session else "",
    )


# --- the password ---

CHANGE = """
UPDATE accounts SET password = %s, password_set_at = %s, password_once = false WHERE account = %s
"""


@post("/v1/password", tags=["account"], opt=OPT, status_code=204, guards=[needs()])
async def password(request: AnyRequest) -> None:
    """Another password; ends all other sessions."""
    await change(request, caller(request), await body_as(request, Changing))


async def change(request: AnyRequest, account: Account, wanted: Changing) -> None:
    """Raises BadPassword, BadLogin."""
    passwords.check(wanted.new, account.account)
    if passwords.normal(wanted.new) == passwords.normal(wanted.old):
        raise BadPassword("新口令须与旧口令不同 / the new password must be another one", field="new")
    name = await proving.prove(request, Proof(account.account, wanted.old, wanted.totp))
    made, now = await passwords.made(wanted.new), request.app.state.gatekeeper.clock()

    def put(connection: Any) -> None:
        with connection.transaction():
            connection.execute(CHANGE, (made, now, name))
            sessions.end_others(connection, name, account.credential.removeprefix("session:"))

    await in_thread(request, put)
    await tell(request, "password.changed", f"account:{name}", account=account)


# --- the second factor ---


@post("/v1/totp", tags=["account"], opt=OPT, status_code=200, guards=[needs()])
async def begin_totp(request: AnyRequest) -> Response[Enrolment]:
    """A secret for an authenticator, shown once. Who has one already proves it by its present code."""
    made = await enrol(request, caller(request), await body_as(request, Proving))
    return Response(made, headers={"Cache-Control": "no-store"})


async def enrol(request: AnyRequest, account: Account, proof: Proving) -> Enrolment:
    await proving.prove(request, Proof(account.account, proof.password, proof.totp))
    vault = request.app.state.vault
    return await in_thread(request, lambda connection: totp.begin(connection, vault, account.account))


@post("/v1/totp/confirm", tags=["account"], opt=OPT, status_code=200, guards=[needs()])
async def confirm_totp(request: AnyRequest) -> Response[Recovery]:
    """The first code of the new secret makes it count. Ten recovery codes, shown once."""
    made = await confirm(request, caller(request), (await body_as(request, Confirming)).totp)
    return Response(Recovery(made), headers={"Cache-Control": "no-store"})


async def confirm(request: AnyRequest, account: Account, code: str) -> list[str]:
    vault, gatekeeper = request.app.state.vault, request.app.state.gatekeeper
    address, now = gatekeeper.address(request), gatekeeper.clock()

    def work(connection: Any) -> list[str]:
        attempts.begin(connection, account.account, address, now)
        codes = totp.confirm(connection, vault, account.account, code, now)
        attempts.succeeded(connection, account.account, address)
        return codes

    codes = await in_thread(request, work)
    await tell(request, "totp.enrolled", f"account:{account.account}", account=account)
    return codes


@post("/v1/totp/remove", tags=["account"], status_code=204, guards=[needs()])
async def remove_totp(request: AnyRequest) -> None:
    """Without a second factor from here on; not for roles that must have one."""
    account, proof = caller(request), await body_as(request, Proving)
    if account.role in TWO_FACTORS:
        raise Refused(f"{account.role} 须有动态口令 / {account.role} must have a second factor")
    await proving.prove(request, Proof(account.account, proof.password, proof.totp))
    await in_thread(request, lambda connection: totp.remove(connection, account.account))
    await tell(request, "totp.removed", f"account:{account.account}", account=account)


ROUTES = (
    login,
    logout,
    me,
    password,
    begin_totp,
    confirm_totp,
    remove_totp,
    *sessions.ROUTES,
    *keys.ROUTES,
    *users.ROUTES,
)
