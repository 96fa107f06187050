"""Who is asking: accounts, and their API keys as `Authorization: Bearer KEY`.

A key is `kouan_<keyid>_<secret>_<crc>`: the key id finds it, the CRC turns typing errors away without a question to
the database, the secret is kept as SHA-256 only (it is 256 bits of chance, there is nothing to guess). Browsers get a
session: a random token in a cookie, kept as a hash here.
"""

import hmac
import secrets
import time
import zlib
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

import msgspec
import psycopg
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from api.pool import Pool
from api.problems import NoCredential, WrongRole

Role = Literal["enterprise", "logistics", "finance", "operator", "source"]
COOKIE = "kouan_session"
SESSION = timedelta(hours=8)
KEY_SECONDS = 5.0
"""For so long a process trusts what it read about a key."""

TABLES = """
CREATE TABLE IF NOT EXISTS accounts (
    account text PRIMARY KEY,
    role    text NOT NULL CHECK (role IN ('enterprise', 'logistics', 'finance', 'operator', 'source')),
    zh      text NOT NULL,
    en      text NOT NULL
);
CREATE TABLE IF NOT EXISTS api_keys (
    key_id     text PRIMARY KEY,
    account    text NOT NULL REFERENCES accounts,
    digest     bytea NOT NULL,           -- SHA-256 of the secret
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE TABLE IF NOT EXISTS sessions (
    digest     bytea PRIMARY KEY,        -- SHA-256 of the token in the cookie
    account    text NOT NULL REFERENCES accounts,
    expires_at timestamptz NOT NULL
);
"""


class Account(msgspec.Struct, frozen=True):
    account: str
    role: Role
    zh: str
    en: str


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


def open_account(connection: psycopg.Connection[Any], account: Account) -> str:
    """Make an account if there is none of that name, and give it a new key. Returns the key."""
    key, key_id, digest = new_key()
    with connection.transaction():
        connection.execute(
            "INSERT INTO accounts (account, role, zh, en) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (account.account, account.role, account.zh, account.en),
        )
        connection.execute(
            "INSERT INTO api_keys (key_id, account, digest) VALUES (%s, %s, %s)", (key_id, account.account, digest)
        )
    return key


BY_KEY = """
SELECT account, role, zh, en, digest
FROM api_keys JOIN accounts USING (account)
WHERE key_id = %s AND revoked_at IS NULL
"""
BY_SESSION = """
SELECT account, role, zh, en
FROM sessions JOIN accounts USING (account)
WHERE digest = %s AND expires_at > now()
"""


class Gatekeeper:
    """Finds the account of a credential; remembers keys for KEY_SECONDS."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._known: dict[str, tuple[float, bytes, Account]] = {}

    def by_key(self, key: str) -> Account | None:
        """None for a key that is mistyped, unknown or revoked."""
        parsed = _parse(key)
        if parsed is None:
            return None
        key_id, digest = parsed
        known = self._known.get(key_id)
        if known is None or time.monotonic() - known[0] > KEY_SECONDS:
            known = self._read(key_id)
        if known is None or not hmac.compare_digest(known[1], digest):
            return None
        return known[2]

    def _read(self, key_id: str) -> tuple[float, bytes, Account] | None:
        with self.pool.connection() as connection:
            row = connection.execute(BY_KEY, (key_id,), prepare=True).fetchone()
        if row is None:
            self._known.pop(key_id, None)
            return None
        self._known[key_id] = known = (time.monotonic(), bytes(row[4]), Account(*row[:4]))
        return known

    def by_session(self, token: str) -> Account | None:
        """None for a session that is unknown or over."""
        with self.pool.connection() as connection:
            row = connection.execute(BY_SESSION, (sha256(token.encode()).digest(),), prepare=True).fetchone()
        return Account(*row) if row else None

    def open_session(self, account: Account) -> str:
        """A new session. Returns the token for the cookie."""
        token = secrets.token_urlsafe(32)
        with self.pool.connection() as connection:
            connection.execute(
                "INSERT INTO sessions (digest, account, expires_at) VALUES (%s, %s, %s)",
                (sha256(token.encode()).digest(), account.account, datetime.now(UTC) + SESSION),
            )
        return token

    def end_session(self, token: str) -> None:
        with self.pool.connection() as connection:
            connection.execute("DELETE FROM sessions WHERE digest = %s", (sha256(token.encode()).digest(),))


# --- at the door ---


class Authentication(AbstractAuthenticationMiddleware):
    """Puts the account into `request.user`; None where nobody has said who they are. Guards decide what that means."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        gatekeeper: Gatekeeper = connection.app.state.gatekeeper
        scheme, _, key = connection.headers.get("authorization", "").partition(" ")
        if scheme:
            account = gatekeeper.by_key(key.strip()) if scheme.lower() == "bearer" else None
            if account is None:
                raise NoCredential("The key is not valid: mistyped, revoked, or not a Bearer key")
            return AuthenticationResult(user=account, auth="key")
        token = connection.cookies.get(COOKIE)
        return AuthenticationResult(user=gatekeeper.by_session(token) if token else None, auth="session")


def caller(request: Request[Any, Any, Any]) -> Account:
    """The account that asks. Raises NoCredential."""
    if request.user is None:
        raise NoCredential("Send a key: Authorization: Bearer KEY")
    account: Account = request.user
    return account


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
