"""The public keys of other issuers: fetched from the pinned address only, kept, and asked for again sparingly.

A set is fresh for ten minutes; from half of that on it is fetched again in the background. While its issuer does not
answer, the old set serves for a day. A key id that is not in the set makes one fetch in thirty seconds at most,
however many come. Sizes are bytes, times seconds of the clock that is given. Source: RFC 7517, RFC 7518, RFC 8037.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from domain.errors import KouanError, Refused

FRESH_SECONDS = 600.0
AHEAD_SECONDS = FRESH_SECONDS / 2
STALE_SECONDS_MAX = 24 * 3600.0
COOLDOWN_SECONDS = 30.0
FETCH_SECONDS_MAX = 5.0
DOCUMENT_BYTES_MAX = 262_144
KEYS_MAX = 100
RSA_BITS_MIN, RSA_BITS_MAX = 2048, 4096
KINDS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", "")),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
}
"""Each algorithm that may be allowed, and the kind of key that it takes. None of them has a secret to share."""

Fetch = Callable[[str], Awaitable[bytes]]
log = logging.getLogger("kouan.login.jwks")


class IssuerUnreachable(Refused):
    slug = "issuer-unreachable"
    title = "The issuer does not answer as it should"


class PublicKey(msgspec.Struct, frozen=True):
    kid: str  # '' if it has none
    alg: str  # '' if it does not say
    kind: tuple[str, str]
    key: Key


class KeyMissing(LookupError):
    """No key of the issuer fits; the message says why, and tells no secret."""


# --- reading a set ---


def strict_json(text: bytes) -> Any:
    """JSON in which no member comes twice and every number is one. Raises ValueError or RecursionError."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a member comes twice")
        return found

    def never(name: str) -> NoReturn:
        raise ValueError(f"{name} is no number")

    return json.loads(text.decode("utf-8"), object_pairs_hook=once, parse_constant=never)


def read(document: bytes) -> tuple[PublicKey, ...]:
    """The keys of a set that can check a signature; others are passed over. Raises ValueError if it is no set."""
    try:
        listed = strict_json(document)["keys"]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("not a JWK set") from error
    if not isinstance(listed, list) or len(listed) > KEYS_MAX:
        raise ValueError(f"not a JWK set of {KEYS_MAX} keys at most")
    return tuple(key for each in listed if (key := _public(each)) is not None)


@lru_cache(maxsize=64)
def inline(document: bytes) -> tuple[PublicKey, ...]:
    """As `read`, for sets that stand in the trust entry itself."""
    return read(document)


def _public(each: object) -> PublicKey | None:
    """None for what is no key to check a signature with; a private key that was published is everybody's."""
    if not isinstance(each, dict) or each.get("use", "sig") != "sig" or "d" in each or not _short(each):
        return None
    kind = (each.get("kty", ""), "" if each.get("kty") == "RSA" else each.get("crv", ""))
    if kind not in KINDS.values():
        return None
    members = {name: each[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in each}
    try:
        key = import_key(members)
        built = key.public_key  # some faults show only now
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if isinstance(built, RSAPublicKey) and not RSA_BITS_MIN <= built.key_size <= RSA_BITS_MAX:
        return None
    return PublicKey(each.get("kid", ""), each.get("alg", ""), kind, key)


def _short(each: dict[str, Any]) -> bool:
    """Whether the members that count are texts, and none longer than the largest modulus."""
    counting = ("kty", "crv", "kid", "alg", "x", "y", "n", "e")
    return all(
        isinstance(each.get(name, ""), str) and len(each.get(name, "")) <= RSA_BITS_MAX // 4 for name in counting
    )


def choose(keys: tuple[PublicKey, ...], kid: str | None, alg: str) -> Key:
    """The key that a header names; without a key id only the one key of a set. Raises KeyMissing."""
    if kid is None and len(keys) != 1:
        raise KeyMissing("it names no key (kid), and its issuer has several")
    for each in keys:
        if kid in {None, each.kid} and each.kind == KINDS.get(alg) and each.alg in {"", alg}:
            return each.key
    raise KeyMissing("its issuer has no such key for this algorithm")


# --- where sets come from ---


def secure(url: str) -> bool:
    """Whether an address may be asked: https, or this very machine; no name or password in it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return False
    if not host or port == 0 or "@" in parts.netloc or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and loopback(host))


def loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def fetch(url: str) -> bytes:
    """A document of an issuer. Raises IssuerUnreachable: whatever is not a 200 of moderate size in time."""
    return await bounded("GET", url)


async def bounded(method: str, url: str, **options: Any) -> bytes:
    """One request without redirects or proxies, its answer 200 and not too large. Raises IssuerUnreachable."""
    if not secure(url):
        raise _unreachable(url, "https")
    found = bytearray()
    try:
        async with (
            asyncio.timeout(FETCH_SECONDS_MAX),
            httpx.AsyncClient(timeout=FETCH_SECONDS_MAX, follow_redirects=False, trust_env=False) as client,
            client.stream(method, url, **options) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise _unreachable(url, f"status {answer.status_code}")
            async for piece in answer.aiter_bytes():
                found += piece
                if len(found) > DOCUMENT_BYTES_MAX:
                    raise _unreachable(url, f"> {DOCUMENT_BYTES_MAX} bytes")
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
        raise _unreachable(url, type(error).__name__) from error
    return bytes(found)


def _unreachable(url: str, why: str) -> IssuerUnreachable:
    return IssuerUnreachable(
        f"签发方未正常应答（{why}）：{url[:200]} / the issuer did not answer as it should ({why}): {url[:200]}",
        url=url[:200],
    )


class _Kept:
    """What is known of one set."""

    def __init__(self) -> None:
        self.keys: tuple[PublicKey, ...] | None = None
        self.fetched_at = float("-inf")
        self.tried_at = float("-inf")
        self.task: asyncio.Task[None] | None = None


class KeySets:
    """The sets of all issuers that a process asked for. Two issuers never share one, be the address the same."""

    def __init__(self, fetch: Fetch = fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def key(self, issuer: str, url: str, kid: str | None, alg: str) -> Key:
        """Raises KeyMissing."""
        kept = self._kept.setdefault((issuer, url), _Kept())
        age = self._clock() - kept.fetched_at
        if age > AHEAD_SECONDS:
            self._begin(kept, url)
        if age > FRESH_SECONDS:
            await self._arrive(kept)
        try:
            return choose(self._usable(kept), kid, alg)
        except KeyMissing:
            self._begin(kept, url)  # perhaps the issuer has a new key
            if kept.task is None:
                raise
            await self._arrive(kept)
            return choose(self._usable(kept), kid, alg)

    def _usable(self, kept: _Kept) -> tuple[PublicKey, ...]:
        if kept.keys is None or self._clock() - kept.fetched_at > STALE_SECONDS_MAX:
            raise KeyMissing("the keys of its issuer cannot be fetched at present")
        return kept.keys

    def _begin(self, kept: _Kept, url: str) -> None:
        """Start to fetch, unless somebody does, or tried a moment ago."""
        if kept.task is None and self._clock() - kept.tried_at >= COOLDOWN_SECONDS:
            kept.tried_at = self._clock()
            kept.task = asyncio.create_task(self._refresh(kept, url))

    async def _arrive(self, kept: _Kept) -> None:
        if kept.task is not None:
            await asyncio.shield(kept.task)  # who goes away does not end it for the others

    async def _refresh(self, kept: _Kept, url: str) -> None:
        try:
            kept.keys = read(await self._fetch(url))
            kept.fetched_at = self._clock()
        except (KouanError, ValueError) as error:
            log.warning("the keys at %s cannot be fetched: %s", url, error)
        finally:
            kept.task = None
