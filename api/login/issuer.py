"""This node as an issuer: its name, its signing keys, the tokens that it makes for its accounts.

Signing is ES256. A new key is published for ten minutes before it signs, since others keep our set for so long, and an
old one for an hour after it signed last, so no token dies of a rotation. Private keys are sealed by the vault; those
that sign no more are wiped by the next rotation. Times are seconds. Source: RFC 9068, OpenID Connect Discovery 1.0.
"""

import asyncio
import json
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import psycopg
from joserfc import jwt
from joserfc.jwk import ECKey
from litestar import Request, get, post
from litestar.di import NamedDependency

from api.identity import SETUP, Account, caller, needs
from api.login import jwks
from api.login.door import body_as, tell
from api.login.issuers import BadIssuer, Entry
from api.login.tokens import Clock, at_hash
from api.login.vault import Vault
from api.pool import Pool
from api.problems import WrongRole
from domain.errors import Unknown

ALGORITHM = "ES256"
PUBLISHED_BEFORE = timedelta(seconds=jwks.FRESH_SECONDS)
PUBLISHED_AFTER = timedelta(hours=1)
TOKEN_SECONDS, TOKEN_SECONDS_MAX = 300, 900
ABOUT = "issuer-key:"

LOCK = "SELECT pg_advisory_xact_lock(19279, 12)"
SIGNING = """
SELECT kid, sealed FROM issuer_keys
WHERE sealed IS NOT NULL AND signs_from <= %(now)s AND (retired_at IS NULL OR retired_at > %(now)s)
ORDER BY signs_from DESC LIMIT 1
"""
PUBLISHED = """
SELECT public::text FROM issuer_keys
WHERE retired_at IS NULL OR retired_at > %s
ORDER BY signs_from DESC
"""
ADD = "INSERT INTO issuer_keys (kid, public, sealed, made_at, signs_from) VALUES (%s, %s, %s, %s, %s)"
RETIRE = "UPDATE issuer_keys SET retired_at = %s WHERE kid <> %s AND (retired_at IS NULL OR retired_at > %s)"
WIPE = "UPDATE issuer_keys SET sealed = NULL WHERE retired_at <= %s"
AUDIENCE = "SELECT client_id FROM issuer_clients WHERE audience = %s AND audience <> '' AND state = 'active'"


class BadAudience(BadIssuer):
    slug = "bad-audience"
    title = "No node of that audience is registered here"


class Tokenless(WrongRole):
    slug = "no-token-for-token"
    title = "A token cannot be had for this credential"


# --- its name ---


def name(connection: psycopg.Connection[Any], url: str, *, unless_named: bool = False) -> None:
    """Say by which address this node is known to others: `iss` of its tokens. Raises BadIssuer."""
    if not jwks.secure(url) or urlsplit(url).path or urlsplit(url).query:
        raise BadIssuer(
            f"须为 https://主机[:端口]，无路径 / must be https://host[:port] without a path: {url[:200]}", url=url[:200]
        )
    insert = "INSERT INTO issuer_node (url) VALUES (%s) ON CONFLICT (one) DO "
    connection.execute((insert + ("NOTHING" if unless_named else "UPDATE SET url = excluded.url")).encode(), (url,))


def name_at_first(conninfo: str, url: str) -> None:
    """Where a node begins: the address that it listens at, if others may ask there, until it is given another."""
    if jwks.secure(url):
        with psycopg.connect(conninfo, autocommit=True) as connection:
            name(connection, url, unless_named=True)


def named(connection: psycopg.Connection[Any]) -> str:
    """The name of this node. Raises Unknown where it has none."""
    row = connection.execute("SELECT url FROM issuer_node").fetchone()
    if row is None:
        raise Unknown(
            "本节点尚未命名为签发方：kouan issuer name URL / this node has no name as an issuer: kouan issuer name URL"
        )
    return str(row[0])


# --- its keys ---


def rotate(connection: psycopg.Connection[Any], vault: Vault, now: datetime, *, at_once: bool = False) -> str:
    """A new signing key; the old ones go on until it signs, or, where they are compromised, not a moment longer."""
    key = ECKey.generate_key("P-256")
    kid = key.thumbprint()
    public = key.as_dict(private=False, kid=kid, use="sig", alg=ALGORITHM)
    sealed = vault.seal(key.as_pem(private=True), ABOUT + kid)
    with connection.transaction():
        connection.execute(LOCK)
        first = connection.execute(SIGNING, {"now": now}).fetchone() is None
        signs_from = now if first or at_once else now + PUBLISHED_BEFORE
        ends = now if at_once else signs_from
        connection.execute(ADD, (kid, json.dumps(public), sealed, now, signs_from))
        connection.execute(RETIRE, (ends, kid, ends))
        if at_once:
            connection.execute("DELETE FROM issuer_keys WHERE kid <> %s", (kid,))
        connection.execute(WIPE, (now,))
        connection.execute("DELETE FROM issuer_keys WHERE retired_at <= %s", (now - PUBLISHED_AFTER,))
    return kid


def ready(connection: psycopg.Connection[Any], vault: Vault, now: datetime) -> tuple[str, bytes]:
    """(kid, sealed private key) of the key that signs now; the first one is made here."""
    found = connection.execute(SIGNING, {"now": now}).fetchone()
    if found is None:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(19279, 13)")  # of several processes only one makes it
            if connection.execute(SIGNING, {"now": now}).fetchone() is None:
                rotate(connection, vault, now)
        found = connection.execute(SIGNING, {"now": now}).fetchone()
    assert found is not None
    return found[0], found[1]


def published(connection: psycopg.Connection[Any], now: datetime) -> list[dict[str, Any]]:
    """The public keys by which our tokens are checked, the newest first."""
    return [json.loads(row[0]) for row in connection.execute(PUBLISHED, (now - PUBLISHED_AFTER,))]


class Issuer:
    """Makes the tokens of this node. A process keeps the keys that it opened, by kid."""

    def __init__(self, pool: Pool, vault: Vault, clock: Clock = time.time) -> None:
        self.pool, self.vault, self.clock = pool, vault, clock
        self._opened: dict[str, ECKey] = {}

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def key_set(self) -> dict[str, Any]:
        """The JWK set to publish."""
        with self.pool.connection() as connection:
            ready(connection, self.vault, self.now())
            return {"keys": published(connection, self.now())}

    def url(self) -> str:
        """Raises Unknown where this node has no name."""
        with self.pool.connection() as connection:
            return named(connection)

    def entry(self) -> Entry:
        """How this node itself checks what it made for itself."""
        url, keys = self.url(), self.key_set()["keys"]
        return Entry(issuer=url, name="self", audience=url, keys=tuple(keys), algorithms=(ALGORITHM,), leeway_seconds=0)

    def access_token(self, account: Account, audience: str, client_id: str, *, seconds: int = TOKEN_SECONDS) -> str:
        """An `at+jwt` of RFC 9068: who, of which party, with which rights. It tells of no second factor."""
        claims = {**about(account), "aud": audience, "client_id": client_id, "jti": secrets.token_urlsafe(16)}
        if account.scopes:
            claims["scope"] = " ".join(account.scopes)
        return self._signed(claims, "at+jwt", seconds)

    def id_token(self, account: Account, client_id: str, nonce: str, access_token: str) -> str:
        claims = {**about(account), "aud": client_id, "at_hash": at_hash(access_token, ALGORITHM)}
        return self._signed({**claims, "nonce": nonce} if nonce else claims, "JWT", TOKEN_SECONDS)

    def _signed(self, claims: dict[str, Any], kind: str, seconds: int) -> str:
        now = self.now()
        with self.pool.connection() as connection:
            url = named(connection)
            kid, sealed = ready(connection, self.vault, now)
        if kid not in self._opened:
            self._opened[kid] = ECKey.import_key(self.vault.open(sealed, ABOUT + kid))
        begins = int(now.timestamp())
        whole = {"iss": url, "iat": begins, "exp": begins + seconds, **claims}
        return jwt.encode({"alg": ALGORITHM, "typ": kind, "kid": kid}, whole, self._opened[kid], algorithms=[ALGORITHM])


def about(account: Account) -> dict[str, Any]:
    """What other nodes are told of an account."""
    told = {"sub": account.account, "party": account.party, "role": account.role, "name": account.zh}
    return {**told, "rights": list(account.rights)}


# --- routes ---


@get("/.well-known/jwks.json", tags=["trust"], sync_to_thread=True)
def key_set(issuer: NamedDependency[Issuer]) -> dict[str, Any]:
    """The public keys by which tokens of this node are checked."""
    return issuer.key_set()


@get("/.well-known/openid-configuration", tags=["trust"], sync_to_thread=True)
def configuration(issuer: NamedDependency[Issuer]) -> dict[str, Any]:
    """What this node says of itself as an issuer (OpenID Connect Discovery 1.0, RFC 8414, RFC 9207)."""
    url = issuer.url()
    return {
        "issuer": url,
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
        "userinfo_endpoint": f"{url}/userinfo",
        "jwks_uri": f"{url}/.well-known/jwks.json",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "scopes_supported": ["openid"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": ["sub", "name", "party", "role", "rights"],
        "authorization_response_iss_parameter_supported": True,
        "request_uri_parameter_supported": False,
    }


class TokenAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    audience: str
    seconds: Annotated[int, msgspec.Meta(ge=1, le=TOKEN_SECONDS_MAX)] = TOKEN_SECONDS


class TokenMade(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105  a word of RFC 6750


@post("/v1/tokens", guards=[needs()], tags=["account"], opt={"scope": "account"}, status_code=201)
async def make_token(request: Request[Any, Any, Any], issuer: NamedDependency[Issuer]) -> TokenMade:
    """A short token for another node, for the account of a key or a session."""
    account, asked = caller(request), await body_as(request, TokenAsked)
    # A token for a token would live for ever; a session that must still enrol is no proof.
    if not account.credential.startswith(("key:", "session:")) or SETUP in account.scopes:
        raise Tokenless(
            "只有密钥或登录会话可换取令牌 / only a key or a session can be exchanged for a token",
            credential=account.credential.partition(":")[0],
        )

    def make() -> str:
        with issuer.pool.connection() as connection:
            row = connection.execute(AUDIENCE, (asked.audience,)).fetchone()
        if row is None:
            raise BadAudience(
                f"未登记的 audience：{asked.audience[:200]!r} / not a registered audience: {asked.audience[:200]!r}",
                audience=asked.audience[:200],
            )
        return issuer.access_token(account, asked.audience, account.credential, seconds=asked.seconds)

    token = await asyncio.to_thread(make)
    await tell(request, "token.made", asked.audience, account=account)
    return TokenMade(token, asked.seconds)


ROUTES = (key_set, configuration, make_token)
