"""Who is asking: accounts, and how the door knows them again: a key, a session, a token of an issuer.

A key is `kouan_<keyid>_<secret>_<crc>`: the key id finds it, the CRC turns typing errors away without a question to
the database, the secret is kept as SHA-256 only (it is 256 bits of chance, there is nothing to guess). Browsers get a
session: a random token in a cookie, kept as a hash here. How a session is opened is told in api/login. Times are UTC.
"""

import asyncio
import hmac
import logging
import secrets
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

import msgspec
import psycopg
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.types import ASGIApp

from api.pool import Pool
from api.problems import BadHeader, MissingRight, NoCredential, Suspended, WrongAddress, WrongRole
from api.settings import Settings

log = logging.getLogger("kouan.identity")

Role = Literal[
    "enterprise",
    "enterprise-admin",
    "logistics",
    "finance",
    "operator",
    "source",
    "officer",
    "steward",
    "auditor",
    "call-centre",
    "system-admin",
    "security-admin",
]
Right = Literal["enter", "declare"]
RIGHTS: dict[str, tuple[Right, ...]] = {"enterprise": ("enter", "declare")}
"""What an account opened at the node itself has; whoever appoints users says it."""
TWO_FACTORS = frozenset({"system-admin", "security-admin", "auditor", "steward"})
COOKIE = "kouan_session"
SESSION = timedelta(hours=8)
IDLE = timedelta(minutes=30)
SEEN = timedelta(minutes=1)
"""A session's last use, and a key's, is kept to this."""
KEY_DAYS_MAX = 400
KEY_SECONDS = 5.0
"""For so long a process trusts what it read about a key."""
PURPOSE_CHARS_MAX, BEHALF_CHARS_MAX = 200, 64
SETUP = "enrol"
"""The scope of a session that may do nothing but change its password or enrol its second factor."""


class Account(msgspec.Struct, frozen=True):
    """An account, and what the door adds of the request that it asks by."""

    account: str
    role: Role
    zh: str
    en: str
    party: str = ""  # USCC of an enterprise, code of an agency
    rights: tuple[str, ...] = ()  # enter, declare
    credential: str = ""  # key:ID, session:8HEX, card:SERIAL, token:ISSUER#SUB
    scopes: tuple[str, ...] = ()  # of the credential; none: all that the role may
    address: str = ""  # the client's
    purpose: str = ""  # header Purpose
    behalf: str = ""  # header On-Behalf-Of


def utcnow() -> datetime:
    return datetime.now(UTC)


# --- keys ---


def new_key() -> tuple[str, str, bytes]:
    """(the key to show once, its id, the digest to keep)."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32).replace("_", "-")
    return f"kouan_{key_id}_{secret}_{_crc(key_id, secret)}", key_id, sha256(secret.encode()).digest()


def _crc(key_id: str, secret: str) -> str:
    return f"{zlib.crc32(f'{key_id}_{secret}'.encode()):08x}"


def _parse(key: str) -> tuple[str, bytes] | None:
    parts = key.split("_")
    if len(parts) != 4 or parts[0] != "kouan" or parts[3] != _crc(parts[1], parts[2]):  # noqa: PLR2004
        return None
    return parts[1], sha256(parts[2].encode()).digest()


OPEN = """
INSERT INTO accounts (account, role, zh, en, party, rights, made_by)
VALUES (%s, %s, %s, %s, %s, %s, 'node')
ON CONFLICT DO NOTHING
"""


def open_account(connection: psycopg.Connection[Any], account: Account) -> str:
    """Make an account if there is none of that name, and give it a new key. Returns the key."""
    key, key_id, digest = new_key()
    rights = account.rights or RIGHTS.get(account.role, ())
    with connection.transaction():
        connection.execute(OPEN, (account.account, account.role, account.zh, account.en, account.party, list(rights)))
        connection.execute(
            "INSERT INTO api_keys (key_id, account, digest, made_by) VALUES (%s, %s, %s, 'node')",
            (key_id, account.account, digest),
        )
    return key


# --- who it is ---

BY_KEY = """
SELECT account, role, zh, en, party, rights, state, digest, expires_at, scopes, networks, last_used_at
FROM api_keys JOIN accounts USING (account)
WHERE key_id = %s AND revoked_at IS NULL AND state <> 'dismissed'
"""
USED = """
UPDATE api_keys SET last_used_at = %s WHERE key_id = %s
"""
BY_SESSION = """
SELECT account, role, zh, en, party, rights, session_id, seen_at, credential,
       password_once OR coalesce(password_set_at <= %(oldest)s, false) AS worn, totp IS NOT NULL AS has_totp
FROM sessions JOIN accounts USING (account)
WHERE digest = %(digest)s AND expires_at > %(now)s AND seen_at > %(idle)s AND state = 'open'
"""
SEEN_AT = """
UPDATE sessions SET seen_at = %s WHERE digest = %s
"""


class Known(msgspec.Struct, frozen=True):
    """What a process remembers of a key."""

    read_at: float
    digest: bytes
    account: Account
    state: str
    expires_at: datetime
    networks: tuple[str, ...]


class Gatekeeper:
    """Finds the account of a credential; remembers keys for KEY_SECONDS. A test sets `clock`."""

    def __init__(self, pool: Pool, settings: Settings | None = None) -> None:
        self.pool, self.clock = pool, utcnow
        self.settings = settings or Settings.read()
        self._trusted = [ip_network(each) for each in self.settings.trusted_proxies]
        self._known: dict[str, Known] = {}

    def by_key(self, key: str, address: str = "") -> Account | None:
        """None for a key that is mistyped, unknown, expired or revoked. Raises Suspended, WrongAddress."""
        parsed = _parse(key)
        if parsed is None:
            return None
        known = self._remembered(parsed[0]) or self._read(parsed[0])
        return self._admitted(known, parsed[1], address)

    async def by_bearer(self, key: str, address: str) -> Account | None:
        """The same, without holding up the event loop for what must be read."""
        parsed = _parse(key)
        if parsed is None:
            return None
        known = self._remembered(parsed[0]) or await asyncio.to_thread(self._read, parsed[0])
        return self._admitted(known, parsed[1], address)

    def forget(self, key_id: str | None = None) -> None:
        """Read this key again, or all of them, before the next request of it is let in."""
        # Another dictionary: who is reading the key at this moment puts what it read into the one before.
        self._known = {} if key_id is None else {each: known for each, known in self._known.items() if each != key_id}

    def _remembered(self, key_id: str) -> Known | None:
        known = self._known.get(key_id)
        return known if known is not None and time.monotonic() - known.read_at <= KEY_SECONDS else None

    def _admitted(self, known: Known | None, digest: bytes, address: str) -> Account | None:
        if known is None or not hmac.compare_digest(known.digest, digest) or known.expires_at <= self.clock():
            return None
        if known.state != "open":
            raise Suspended.of(known.account.account)
        if known.networks and not _inside(address, known.networks):
            raise WrongAddress(
                f"此密钥不得从 {address or '?'} 使用 / this key may not be used from {address or '?'}", address=address
            )
        return known.account

    def _read(self, key_id: str) -> Known | None:
        memory, begun = self._known, time.monotonic()
        with self.pool.connection() as connection:
            row = connection.execute(BY_KEY, (key_id,), prepare=True).fetchone()
            if row is not None and (row[11] is None or self.clock() - row[11] > SEEN):
                with suppress(psycopg.Error):  # a server that only reads still answers
                    connection.execute(USED, (self.clock(), key_id), prepare=True)
        if row is None:
            memory.pop(key_id, None)
            return None
        account = _account(row, f"key:{key_id}", tuple(row[9]))
        memory[key_id] = known = Known(begun, bytes(row[7]), account, row[6], row[8], tuple(row[10]))
        return known

    def by_session(self, token: str) -> Account | None:
        """None for a session that is unknown, over, or has not been used for long."""
        now, digest = self.clock(), sha256(token.encode()).digest()
        oldest = now - timedelta(days=self.settings.password_days)
        given = {"digest": digest, "now": now, "idle": now - IDLE, "oldest": oldest}
        with self.pool.connection() as connection:
            row = connection.execute(BY_SESSION, given, prepare=True).fetchone()
            if row is None:
                return None
            if now - row[7] > SEEN:
                connection.execute(SEEN_AT, (now, digest), prepare=True)
        [*_, opened_by, worn, has_totp] = row
        unready = opened_by == "password" and (worn or (row[1] in TWO_FACTORS and not has_totp))
        return _account(row, f"session:{row[6]}", (SETUP,) if unready else ())

    def address(self, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
        """The client's address; what proxies say of it only where the settings trust them."""
        client = connection.scope.get("client")
        peer = client[0] if client else ""
        if not self._trusted or not _trusted(peer, self._trusted):
            return peer
        for said in reversed(connection.headers.get("x-forwarded-for", "").split(",")):
            if not _is_address(said.strip()):
                break
            peer = said.strip()
            if not _trusted(peer, self._trusted):
                break
        return peer


def _account(row: Sequence[Any], credential: str, scopes: tuple[str, ...]) -> Account:
    account, role, zh, en, party, rights = row[:6]
    return Account(account, role, zh, en, party, tuple(rights), credential, scopes)


def _is_address(text: str) -> bool:
    with suppress(ValueError):
        ip_address(text)
        return True
    return False


def _trusted(address: str, networks: list[Any]) -> bool:
    return _is_address(address) and any(ip_address(address) in each for each in networks)


def _inside(address: str, networks: tuple[str, ...]) -> bool:
    return _trusted(address, [ip_network(each) for each in networks])


# --- at the door ---


class Authentication(AbstractAuthenticationMiddleware):
    """Puts the account into `request.user`; None where nobody has said who they are. Guards decide what that means."""

    def __init__(self, app: ASGIApp, admitted: Callable[[Account, BaseRouteHandler], None], **options: Any) -> None:
        """`admitted` raises if a credential is not for a route at all."""
        super().__init__(app, **options)
        self._admitted = admitted

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        gatekeeper: Gatekeeper = connection.app.state.gatekeeper
        address = gatekeeper.address(connection)
        scheme, _, value = connection.headers.get("authorization", "").partition(" ")
        if scheme:
            bearer = value.strip() if scheme.lower() == "bearer" else ""
            account = await _by_bearer(connection, gatekeeper, bearer, address)
            if account is None:
                raise NoCredential("The key is not valid: mistyped, expired, revoked, or not a Bearer key")
            return self._known(connection, _asking(connection, account, address), "key")
        token = connection.cookies.get(COOKIE)
        found = await asyncio.to_thread(gatekeeper.by_session, token) if token else None
        if found is None:
            return AuthenticationResult(user=None, auth="session")
        return self._known(connection, _asking(connection, found, address), "session")

    def _known(
        self, connection: ASGIConnection[Any, Any, Any, Any], asking: Account, auth: str
    ) -> AuthenticationResult:
        connection.scope["user"] = asking  # a refusal tells whom it refused
        self._admitted(asking, connection.scope["route_handler"])
        return AuthenticationResult(user=asking, auth=auth)


async def _by_bearer(
    connection: ASGIConnection[Any, Any, Any, Any], gatekeeper: Gatekeeper, value: str, address: str
) -> Account | None:
    if value.count(".") != 2:  # noqa: PLR2004  a JWT has two dots, a key none
        return await gatekeeper.by_bearer(value, address)
    tokens = getattr(connection.app.state, "tokens", None)
    found: Account | None = await tokens.by_token(value) if tokens is not None else None
    return found


def _asking(connection: ASGIConnection[Any, Any, Any, Any], account: Account, address: str) -> Account:
    headers = connection.headers
    return msgspec.structs.replace(
        account,
        address=address,
        purpose=said(headers.get("purpose", ""), "Purpose", PURPOSE_CHARS_MAX),
        behalf=said(headers.get("on-behalf-of", ""), "On-Behalf-Of", BEHALF_CHARS_MAX),
    )


def said(value: str, header: str, chars_max: int) -> str:
    """A header's text: UTF-8, as it is or percent-encoded. Raises BadHeader."""
    if not value:
        return ""
    with suppress(UnicodeError):
        text = unquote_to_bytes(value.encode("latin-1")).decode().strip()
        if text.isprintable() and len(text) <= chars_max:
            return text
    raise BadHeader(
        f"请求头 {header} 须为至多 {chars_max} 个可打印字符（UTF-8，可用百分号编码） / "
        f"header {header} must be at most {chars_max} printable characters (UTF-8, percent-encoded or not)",
        header=header,
    )


def caller(request: Request[Any, Any, Any]) -> Account:
    """The account that asks. Raises NoCredential."""
    if request.user is None:
        raise NoCredential("Send a key: Authorization: Bearer KEY")
    account: Account = request.user
    return account


Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Any]


def needs(*roles: Role) -> Any:
    """A guard: one of these roles, or any account if none is named. A coroutine: others are sent through a thread."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        if connection.user is None:
            raise NoCredential("Send a key: Authorization: Bearer KEY")
        if roles and connection.user.role not in roles:
            raise WrongRole(
                f"Account {connection.user.account} is {connection.user.role}; this needs {' or '.join(roles)}",
                role=connection.user.role,
                needed=list(roles),
            )

    return guard


def entitled(*rights: Right) -> Guard:
    """A guard: of an enterprise's user, one of these rights. Other roles are held to their role."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        account: Account | None = connection.user
        if account and account.role in {"enterprise", "enterprise-admin"} and not set(rights) & set(account.rights):
            names = {"enter": "录入", "declare": "申报"}
            raise MissingRight(
                f"账户 {account.account} 没有{'或'.join(names[each] for each in rights)}权 / "
                f"account {account.account} has no right to {' or '.join(rights)}",
                account=account.account,
                needed=list(rights),
            )

    return guard
