"""Bearer tokens and ID tokens of other issuers, checked strictly: who signed, for whom, for how long, as what.

`iss` is read unverified for one purpose only: to choose the trust entry. The key comes from that issuer's own set, the
algorithm from its allow-list; a key that a token brings along (`jku`, `x5u`, `jwk`) is not looked at. Times are seconds
since 1970, sizes bytes. Source: RFC 7515, RFC 7519, RFC 8725, RFC 9068; OpenID Connect Core 1.0 section 3.1.3.7.
"""

import asyncio
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256, sha384, sha512
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from api.identity import Account
from api.login import issuers, jwks, principals
from api.login.issuers import Entry
from api.login.jwks import KeyMissing, KeySets
from api.pool import Pool
from api.problems import NoCredential

TOKEN_BYTES_MAX = 8192
SUBJECT_CHARS_MAX = 255
LATEST = 2.0**40  # a NumericDate beyond the year 36,000 is none
SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
NAMES_SELF = ("client_id", "jti")  # RFC 9068 section 2.2

Clock = Callable[[], float]


def refused(zh: str, en: str, **facts: Any) -> NoCredential:
    return NoCredential(f"令牌不被接受：{zh} / the token is not accepted: {en}", **facts)


# --- reading ---


class Unverified(msgspec.Struct, frozen=True):
    """A token as it was sent. Nothing in it is true yet."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def issuer(self) -> str:
        issuer = self.claims.get("iss")
        return issuer if isinstance(issuer, str) else ""


def read(token: str) -> Unverified:
    """Three segments of strict base64url, the first two JSON objects without repeated members. Raises NoCredential."""
    if len(token) > TOKEN_BYTES_MAX:
        raise refused(f"超过 {TOKEN_BYTES_MAX} 字节", f"it has more than {TOKEN_BYTES_MAX} bytes")
    segments = token.split(".")
    if len(segments) != 3 or not all(map(SEGMENT.fullmatch, segments)):  # noqa: PLR2004
        raise refused("不是签名的 JWT", "it is no signed JWT")
    try:
        header, claims = (jwks.strict_json(_decoded(each)) for each in segments[:2])
        _decoded(segments[2])
    except (ValueError, RecursionError) as error:
        raise refused("JWT 无法解读", "the JWT cannot be read") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise refused("JWT 无法解读", "the JWT cannot be read")
    return Unverified(token, header, claims)


def _decoded(segment: str) -> bytes:
    """Raises ValueError: also for bits that are left over, by which one signature could be written in several ways."""
    raw = urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if urlsafe_b64encode(raw).rstrip(b"=") != segment.encode():
        raise ValueError("not canonical")
    return raw


# --- checks ---


def check_header(header: dict[str, Any], entry: Entry, types: tuple[str, ...]) -> tuple[str | None, str]:
    """(key id, algorithm). Raises NoCredential."""
    alg, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "")
    if not isinstance(alg, str) or alg not in entry.algorithms:
        raise refused("签名算法不在允许之列", "its algorithm is not one that is allowed for its issuer")
    if "crit" in header or "b64" in header:
        raise refused("含 crit 扩展", "it demands an extension (crit)")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in {each.lower() for each in types}:
        raise refused("typ 不符", f"its typ is not {' or '.join(each or 'absent' for each in types)}")
    if kid is not None and (not isinstance(kid, str) or not 0 < len(kid) <= SUBJECT_CHARS_MAX):
        raise refused("kid 不是文字", "its kid is no text")
    return kid, alg


def check_signature(token: Unverified, key: Key, alg: str) -> None:
    """Raises NoCredential."""
    registry = JWSRegistry(algorithms=[alg], strict_check_header=False)
    registry.max_header_length = TOKEN_BYTES_MAX
    try:
        jws.deserialize_compact(token.text, key, registry=registry)
    except (JoseError, ValueError, TypeError) as error:
        raise refused("签名无效", "its signature is not valid") from error


def check_times(claims: dict[str, Any], entry: Entry, now: float) -> None:
    """`exp` and `iat` are needed, `nbf` counts where it is. Raises NoCredential."""
    leeway = entry.leeway_seconds
    expires, issued = _date(claims, "exp"), _date(claims, "iat")
    begins = _date(claims, "nbf") if "nbf" in claims else issued
    if now >= expires + leeway:
        raise refused("已过期", "it has expired")
    if max(issued, begins) > now + leeway:
        raise refused("尚未生效", "it is not valid yet")
    if expires - issued > entry.seconds_max:
        raise refused(f"有效期超过 {entry.seconds_max} 秒", f"it lives longer than {entry.seconds_max} seconds")


def _date(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < LATEST:
        raise refused(f"{name} 缺失或不是时间", f"its {name} is missing or no time")
    return float(value)


def check_names(claims: dict[str, Any], entry: Entry, audience: str) -> None:
    """Who says it of whom to whom. Raises NoCredential."""
    if claims.get("iss") != entry.issuer:
        raise refused("iss 不符", "its iss is another issuer's")
    if audience not in audiences(claims):
        raise refused("aud 不含本节点", "its aud does not name this node")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_CHARS_MAX or not subject.isprintable():
        raise refused("sub 缺失或无效", "its sub is missing or cannot be used")


def audiences(claims: dict[str, Any]) -> list[str]:
    """`aud`, one text or several; empty for anything else."""
    said = claims.get("aud")
    found = said if isinstance(said, list) else [said]
    return [each for each in found if isinstance(each, str)] if all(isinstance(each, str) for each in found) else []


def check_access(header: dict[str, Any], claims: dict[str, Any]) -> None:
    """What RFC 9068 asks of an `at+jwt` besides. Raises NoCredential."""
    typed = str(header.get("typ", "")).lower().endswith("at+jwt")
    if typed and not all(isinstance(claims.get(name), str) and claims[name] for name in NAMES_SELF):
        raise refused("缺 client_id 或 jti", "it lacks client_id or jti")
    if not typed and "nonce" in claims:
        raise refused("这是 ID 令牌", "it is an ID token")


def check_login(token: Unverified, entry: Entry, nonce: str, access_token: str) -> None:
    """What OpenID Connect asks of an ID token besides. Raises NoCredential."""
    claims, several = token.claims, len(audiences(token.claims)) > 1
    if claims.get("nonce") != nonce:
        raise refused("nonce 不符", "its nonce is not that of this sign-in")
    if (several or "azp" in claims) and claims.get("azp") != entry.client_id:
        raise refused("azp 不符", "its azp is another client")
    if "at_hash" in claims and claims["at_hash"] != at_hash(access_token, token.header["alg"]):
        raise refused("at_hash 不符", "its at_hash does not fit the access token")


def at_hash(access_token: str, alg: str) -> str:
    """OpenID Connect Core 1.0 section 3.1.3.6; the left half of the hash that goes with the algorithm."""
    digest = sha512 if alg in {"EdDSA", "Ed25519"} else {"256": sha256, "384": sha384, "512": sha512}[alg[-3:]]
    whole = digest(access_token.encode()).digest()
    return urlsafe_b64encode(whole[: len(whole) // 2]).rstrip(b"=").decode()


# --- the whole ---


class Tokens:
    """Finds the account of a token. Time and fetching are given, so that a test need not wait."""

    def __init__(self, pool: Pool, keys: KeySets | None = None, clock: Clock = time.time) -> None:
        self.pool, self.keys, self.clock = pool, keys or KeySets(), clock

    async def by_token(self, token: str) -> Account:
        """The account of an access token. Raises NoCredential with the reason."""
        found = read(token)
        entry = await asyncio.to_thread(self._entry, found.issuer)
        await self._check(found, entry, entry.types, entry.audience)
        check_access(found.header, found.claims)
        return await asyncio.to_thread(self._account, entry, found.claims)

    async def by_id_token(self, token: str, entry: Entry, nonce: str, access_token: str) -> Account:
        """The account that signed in at this issuer. Raises NoCredential."""
        found = read(token)
        await self._check(found, entry, ("JWT", ""), entry.client_id)
        check_login(found, entry, nonce, access_token)
        return await asyncio.to_thread(self._account, entry, found.claims)

    async def by_own(self, token: str, entry: Entry) -> dict[str, Any]:
        """The claims of an access token that this node made for itself. Raises NoCredential."""
        found = read(token)
        await self._check(found, entry, entry.types, entry.audience)
        check_access(found.header, found.claims)
        return found.claims

    async def _check(self, token: Unverified, entry: Entry, types: tuple[str, ...], audience: str) -> None:
        kid, alg = check_header(token.header, entry, types)
        check_names(token.claims, entry, audience)
        check_times(token.claims, entry, self.clock())
        check_signature(token, await self._key(entry, kid, alg), alg)

    async def _key(self, entry: Entry, kid: str | None, alg: str) -> Key:
        try:
            if entry.keys:
                return jwks.choose(jwks.inline(entry.key_set), kid, alg)
            return await self.keys.key(entry.issuer, entry.jwks_uri, kid, alg)
        except KeyMissing as error:
            raise refused("签发方没有可用的密钥", str(error)) from error

    def _entry(self, issuer: str) -> Entry:
        entry = None
        if issuer.isprintable() and 0 < len(issuer) <= issuers.TEXT_MAX:
            with self.pool.connection() as connection:
                entry = issuers.by_issuer(connection, issuer)
        if entry is None:
            raise refused("签发方不受信任", "its issuer is not trusted here")
        if entry.state != "active":
            raise refused("签发方已停用", "its issuer is suspended here")
        return entry

    def _account(self, entry: Entry, claims: dict[str, Any]) -> Account:
        with self.pool.connection() as connection:
            return principals.account_of(connection, entry, claims)
