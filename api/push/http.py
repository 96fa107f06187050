"""Posting to strangers: no address that is not theirs, no redirect, no cookie, no proxy, no long answer, no long wait.

The wall stands where the socket is made (`socket_factory`): it sees the address that is dialled, whatever the URL or
the name server said. Connections are kept open, and shared only by those with the same leave. Durations are seconds.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from api.push.ssrf import HTTPS_PORT, Blocked, Network, refusal

ANSWER_BYTES_MAX = 8_192
DRAIN_SECONDS = 1.0  # for the rest of an answer whose status is known
AGENT = "Kouan-Push/1"
CONTENT_TYPE = "application/json; charset=utf-8"

log = logging.getLogger("kouan.push.http")


class Limits(msgspec.Struct, frozen=True):
    """How long a receiver may take, and where it may listen."""

    total_seconds: float = 15.0
    connect_seconds: float = 5.0
    ports: tuple[int, ...] = (HTTPS_PORT,)  # of public addresses


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What came back. No status: no answer, and `error` says why."""

    status: int | None
    seconds: float
    error: str = ""
    retry_after: str = ""  # the header as it came
    body: bytes = b""  # its beginning; for the endpoint's owner alone, once the endpoint is verified

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004


class _Asked(NamedTuple):
    method: str
    url: str
    body: bytes | None
    headers: Mapping[str, str]
    allowed: tuple[Network, ...]


class Client:
    """Posts; one for each process, made and closed in its event loop."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        resolver: Callable[[], AbstractResolver] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`resolver`: who answers for names; `tls`: whose certificates are believed. Tests give their own."""
        self.limits = limits or Limits()
        self.sockets = 0  # made so far
        self.blocked = 0  # not made, by the wall
        self._resolver, self._tls = resolver, tls
        self._sessions: dict[tuple[bool, tuple[Network, ...]], aiohttp.ClientSession] = {}
        self._timeout = aiohttp.ClientTimeout(total=self.limits.total_seconds, sock_connect=self.limits.connect_seconds)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], allowed: Sequence[Network] = ()) -> Answer:
        """One attempt; never raises for what the other side does. `allowed`: private networks that leave was given for.

        A connection that was kept open and closed by the other side at this very moment is no attempt: it is made anew.
        """
        return await self._ask("POST", url, body, {"Content-Type": CONTENT_TYPE, **headers}, allowed)

    async def head(self, url: str, allowed: Sequence[Network] = ()) -> Answer:
        """Whether somebody is there."""
        return await self._ask("HEAD", url, None, {}, allowed)

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def _ask(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], allowed: Sequence[Network]
    ) -> Answer:
        start = time.perf_counter()
        error = ""
        for again in (True, False):
            try:
                return await self._once(_Asked(method, url, body, headers, tuple(allowed)), start)
            except (aiohttp.ServerDisconnectedError, ConnectionResetError, aiohttp.ClientOSError) as lost:
                error = _why(lost)
                if not again or _blocked(lost) or time.perf_counter() - start > DRAIN_SECONDS:
                    break
            except TimeoutError:
                error = "timeout"
                break
            except (aiohttp.ClientError, OSError, ValueError, UnicodeError) as other:
                error = _why(other)
                break
        return Answer(None, time.perf_counter() - start, error)

    async def _once(self, asked: "_Asked", start: float) -> Answer:
        where = URL(asked.url)
        session = self._session(where.scheme == "https", asked.allowed)
        response = await session.request(
            asked.method, where, data=asked.body, headers=asked.headers, allow_redirects=False
        )
        try:
            told = await _beginning(response)
            retry = response.headers.get("Retry-After", "")
            return Answer(response.status, time.perf_counter() - start, "", retry, told)
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()  # the rest is not waited for

    def _session(self, secure: bool, allowed: tuple[Network, ...]) -> aiohttp.ClientSession:
        session = self._sessions.get((secure, allowed))
        if session is None:
            connector = aiohttp.TCPConnector(
                limit=0,  # whoever posts keeps his own count
                ssl=self._tls if self._tls is not None else True,
                resolver=self._resolver() if self._resolver else None,
                socket_factory=self._wall(secure, allowed),
            )
            session = self._sessions[secure, allowed] = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                trust_env=False,
                auto_decompress=False,
                read_bufsize=ANSWER_BYTES_MAX,
                headers={"User-Agent": AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
            )
        return session

    def _wall(self, secure: bool, allowed: tuple[Network, ...]) -> Callable[[Any], socket.socket]:
        def made(info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
            family, kind, protocol, _, (address, port, *_) = info
            if why := refusal(address, port, secure=secure, allowed=allowed, ports=self.limits.ports):
                self.blocked += 1
                raise Blocked(why)
            self.sockets += 1
            if allowed:
                log.info("连接许可网段内的 %s:%s / dialling an allowed network", address, port)
            return socket.socket(family, kind, protocol)

        return made


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """The first bytes of the answer. Its status is known already: what is slow or breaks off here changes nothing."""
    told = b""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while len(told) < ANSWER_BYTES_MAX and (piece := await response.content.read(ANSWER_BYTES_MAX - len(told))):
                told += piece
            if len(told) == ANSWER_BYTES_MAX:
                return told
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    return told


def _blocked(error: BaseException) -> bool:
    return isinstance(error, Blocked) or isinstance(getattr(error, "os_error", None), Blocked)


def _why(error: Exception) -> str:
    """In a word or two, without what the other side or our network would rather not have told."""
    inner = getattr(error, "os_error", None)
    if isinstance(inner, Blocked) or isinstance(error, Blocked):
        return f"blocked: {inner or error}"
    named = {
        aiohttp.ClientConnectorCertificateError: "certificate",
        aiohttp.ClientConnectorDNSError: "name not found",
        aiohttp.ServerDisconnectedError: "closed without an answer",
        aiohttp.ClientConnectorError: "no connection",
        aiohttp.InvalidURL: "invalid URL",
    }
    return next((text for kind, text in named.items() if isinstance(error, kind)), type(error).__name__)
