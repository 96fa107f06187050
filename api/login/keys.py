"""API keys as their owners manage them: made with an end and, if wished, for some scopes and networks; shown once.

Two keys of one name may live at a time, so that one can take the other's place without a gap. A key made by a key may
do no more than that one. An enterprise's administrator manages the keys of its users; the security administrator
revokes any. A revoked key opens nothing from that moment on. Times are UTC.
"""

import asyncio
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

import msgspec
import psycopg
from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Meta

from api.identity import KEY_DAYS_MAX, TWO_FACTORS, Account, Gatekeeper, caller, needs, new_key
from api.login import books
from api.login.door import SCOPES, AnyRequest, body_as, tell
from api.login.people import Person, person
from api.problems import MissingScope, WrongRole
from domain import party
from domain.deciding import Decider
from domain.errors import Malformed, Refused, Unknown

LIVE_MAX, LIVE_OF_NAME_MAX = 20, 2
REVOKED = "密钥吊销 / key revoked"
Name = Annotated[str, Meta(max_length=64)]


class BadKey(Malformed):
    slug = "bad-key"
    title = "Such a key cannot be made"


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to be made. `days`: how long it lives; there is none without an end."""

    days: Annotated[int, Meta(ge=1, le=KEY_DAYS_MAX)]
    name: Name = ""
    scopes: Annotated[list[Name], Meta(max_length=40)] = []
    networks: Annotated[list[Name], Meta(max_length=40)] = []
    account: Name = ""  # another's; none: one's own


class Made(msgspec.Struct, frozen=True):
    """`key` is shown here and never again."""

    key: str
    key_id: str
    expires_at: datetime


class Key(msgspec.Struct, frozen=True):
    """A key as it is listed."""

    key_id: str
    account: str
    name: str
    scopes: list[str]
    networks: list[str]
    made_by: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None  # to the minute
    revoked_at: datetime | None


# --- making ---

LIVE = """
SELECT count(*), count(*) FILTER (WHERE name = %s)
FROM api_keys
WHERE account = %s AND revoked_at IS NULL AND expires_at > %s
"""
PUT = """
INSERT INTO api_keys (key_id, account, digest, created_at, name, made_by, expires_at, scopes, networks)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def make(connection: psycopg.Connection[Any], account: Account, wanted: Wanted, now: datetime) -> Made:
    """One's own or, for an administrator, of a user of its party. Raises BadKey, Refused, Unknown, MissingScope."""
    holder = managed(connection, account, wanted.account or account.account)
    if account.role in TWO_FACTORS and account.credential.startswith("key:"):
        raise WrongRole("请以口令与动态口令登录后再建密钥 / sign in with both factors to make a key", role=account.role)
    scopes, networks = _limits(connection, account, wanted)
    key, key_id, digest = new_key()
    expires_at = now + timedelta(days=wanted.days)
    with connection.transaction():
        connection.execute("SELECT 1 FROM accounts WHERE account = %s FOR UPDATE", (holder.account,))
        row = connection.execute(LIVE, (wanted.name, holder.account, now)).fetchone()
        assert row is not None
        if row[0] >= LIVE_MAX or row[1] >= LIVE_OF_NAME_MAX:
            raise Refused(
                f"已有 {row[1]} 个名为 {wanted.name!r} 的有效密钥，共 {row[0]} 个，请先吊销 / "
                f"{row[1]} live keys are named {wanted.name!r}, {row[0]} in all: revoke one first",
                of_name=row[1],
                all=row[0],
            )
        values = (key_id, holder.account, digest, now, wanted.name, account.account, expires_at, scopes, networks)
        connection.execute(PUT, values)
    return Made(key, key_id, expires_at)


def _limits(connection: psycopg.Connection[Any], account: Account, wanted: Wanted) -> tuple[list[str], list[str]]:
    """Scopes and networks of the key: no wider than those of the key that makes it."""
    if not wanted.name.isprintable():
        raise BadKey("名称含不可打印的字符 / the name holds characters that cannot be printed", field="name")
    strange, known = sorted(set(wanted.scopes) - SCOPES), ", ".join(sorted(SCOPES))
    if strange:
        raise BadKey(f"没有范围 {strange[0]!r}，有 {known} / no scope is called {strange[0]!r}; there are {known}")
    scopes = sorted(set(wanted.scopes) or set(account.scopes))
    if account.scopes and not set(scopes) <= set(account.scopes):
        raise MissingScope("密钥不能超出其所用凭据的范围 / a key may do no more than what it is made with")
    row = connection.execute(
        "SELECT networks FROM api_keys WHERE key_id = %s", (account.credential.removeprefix("key:"),)
    ).fetchone()
    bounds = [ip_network(each) for each in row[0]] if row else []
    networks = [_network(each) for each in wanted.networks] or bounds
    if bounds and not all(any(_within(each, bound) for bound in bounds) for each in networks):
        raise MissingScope(
            "密钥不能超出其所用凭据的网段 / a key may be used from no more places than what it is made with"
        )
    return scopes, [str(each) for each in networks]


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip())
    except ValueError as error:
        raise BadKey(f"{text!r} 不是网段 / {text!r} is not a network: {error}", value=text) from error


def _within(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # of one version


# --- whose ---


def managed(connection: psycopg.Connection[Any], account: Account, name: str) -> Person:
    """The account itself, or one whose credentials it manages. Raises Unknown."""
    found = person(connection, name)
    if found is None or (found.account != account.account and not found.under(account)):
        raise Unknown(f"没有账户 {name} / there is no account {name}", account=name)
    return found


LISTED = """
SELECT key_id, account, name, scopes, networks, made_by, created_at, expires_at, last_used_at, revoked_at
FROM api_keys
WHERE account = %s
ORDER BY created_at DESC, key_id
LIMIT 200
"""


def listed(connection: psycopg.Connection[Any], account: Account, whose: str) -> list[Key]:
    """Newest first. Raises Unknown for whom this account does not manage."""
    holder = person(connection, whose)
    if holder is None or not _sees(account, holder):
        raise Unknown(f"没有账户 {whose} / there is no account {whose}", account=whose)
    return [Key(*row) for row in connection.execute(LISTED, (holder.account,))]


def _sees(account: Account, holder: Person) -> bool:
    return holder.account == account.account or holder.under(account) or account.role == "security-admin"


# --- revoking ---

REVOKE = """
UPDATE api_keys SET revoked_at = %s WHERE key_id = %s AND revoked_at IS NULL
"""


def revoke(gatekeeper: Gatekeeper, decider: Decider, account: Account, key_id: str) -> None:
    """It opens nothing from here on, nor do sessions that it opened; a repeat changes nothing. Raises Unknown."""
    now, credential = gatekeeper.clock(), f"key:{key_id}"
    with gatekeeper.pool.connection() as connection:
        row = connection.execute("SELECT account FROM api_keys WHERE key_id = %s", (key_id,)).fetchone()
        holder = person(connection, row[0]) if row else None
        if holder is None or not _sees(account, holder):
            raise Unknown(f"没有密钥 {key_id} / there is no key {key_id}", key_id=key_id)
        with connection.transaction():
            connection.execute(REVOKE, (now, key_id))
            connection.execute("DELETE FROM sessions WHERE credential = %s", (credential,))
    gatekeeper.forget(key_id)
    about: dict[str, Any] = {
        "user": holder.account,
        "credential": credential,
        "reason": REVOKED,
        "by": account.account,
        "at": now,
    }
    books.revoked(decider, holder.party, lambda state: party.revoke_credential(state, **about))


# --- routes ---


@get("/v1/keys", guards=[needs()], tags=["account"])
async def keys(request: AnyRequest, account: FromQuery[str] = "") -> list[Key]:
    """One's own keys or, for who manages it, those of another account."""
    who, gatekeeper = caller(request), request.app.state.gatekeeper

    def read() -> list[Key]:
        with gatekeeper.pool.connection() as connection:
            return listed(connection, who, account or who.account)

    return await asyncio.to_thread(read)


@post("/v1/keys", guards=[needs()], tags=["account"], status_code=201)
async def add_key(request: AnyRequest) -> Response[Made]:
    """A new key; it is shown this once."""
    made = await create(request, caller(request), await body_as(request, Wanted))
    return Response(made, headers={"Cache-Control": "no-store"})


async def create(request: AnyRequest, account: Account, wanted: Wanted) -> Made:
    """`make`, told to the trail."""
    gatekeeper = request.app.state.gatekeeper

    def work() -> Made:
        with gatekeeper.pool.connection() as connection:
            return make(connection, account, wanted, gatekeeper.clock())

    made = await asyncio.to_thread(work)
    whose = wanted.account or account.account
    await tell(request, "key.made", f"key:{made.key_id}", account=account, detail=f"account:{whose}")
    return made


@delete("/v1/keys/{key_id:str}", guards=[needs()], tags=["account"], status_code=204)
async def end_key(request: AnyRequest, key_id: FromPath[str], commerce_decider: NamedDependency[Decider]) -> None:
    """Revoke a key."""
    await end(request, commerce_decider, caller(request), key_id)


async def end(request: AnyRequest, decider: Decider, account: Account, key_id: str) -> None:
    """`revoke`, told to the trail."""
    gatekeeper = request.app.state.gatekeeper
    await asyncio.to_thread(revoke, gatekeeper, decider, account, key_id[:64])
    await tell(request, "key.revoked", f"key:{key_id[:64]}", account=account)


ROUTES = (keys, add_key, end_key)
