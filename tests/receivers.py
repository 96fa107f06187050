"""Receivers of pushed messages that are as receivers are: most say yes, others hang, drip, lie, move away or break.

Small servers on 127.0.0.1, in the event loop of the test. What they took is in `taken`, in the order of its coming.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import msgspec

YES = b"HTTP/1.1 204 No Content\r\n\r\n"
BIG = 1_000_000_000


@dataclass(frozen=True)
class Asked:
    """One request."""

    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def message(self) -> str:
        return self.headers["webhook-id"]

    @property
    def data(self) -> Any:
        return msgspec.json.decode(self.body)["data"]


Behaviour = Callable[["Receiver", Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """A server that behaves in one way; set `behaviour` to let it behave in another."""

    behaviour: str = "ok"
    asked: list[Asked] = field(default_factory=list)
    taken: list[Asked] = field(default_factory=list)
    port: int = 0
    tls: ssl.SSLContext | None = None
    refuses: Callable[[Asked], bool] = lambda _: False  # of `picky`
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/hook"

    async def start(self) -> "Receiver":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Gone; `start` brings it back at the same port."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._server.wait_closed()

    def positions(self) -> list[int]:
        return [asked.data["position"] for asked in self.taken]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while asked := await _read(reader):
                self.asked.append(asked)
                await BEHAVIOURS[self.behaviour](self, asked, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(writer)
            with suppress(OSError, RuntimeError):
                writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lines = head.decode("latin-1").split("\r\n")[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(headers, body, monotonic())


def _answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


# --- how they behave ---


async def ok(receiver: Receiver, asked: Asked, writer: asyncio.StreamWriter) -> None:
    receiver.taken.append(asked)
    writer.write(YES)


async def talks(receiver: Receiver, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """It says yes, and gives back an answer nobody asked for."""
    receiver.taken.append(asked)
    writer.write(_answer("200 OK", "Set-Cookie: a=b", body=b'{"error":"none"}'))


async def hang(_: Receiver, __: Asked, ___: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3_600)


async def drip(_: Receiver, __: Asked, writer: asyncio.StreamWriter) -> None:
    """One byte of its headers at a time, for ever."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def redirect(_: Receiver, __: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(_answer("307 Temporary Redirect", "Location: http://127.0.0.1:1/stolen"))


async def flood(receiver: Receiver, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Yes, and a gigabyte behind it."""
    receiver.taken.append(asked)
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n".encode())
    for _ in range(BIG // 65_536):
        writer.write(b"x" * 65_536)
        await writer.drain()


async def gone(_: Receiver, __: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(_answer("410 Gone"))


async def busy(_: Receiver, __: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(_answer("429 Too Many Requests", "Retry-After: 120"))


async def broken(_: Receiver, __: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(_answer("500 Internal Server Error", body=b"Traceback (most recent call last)"))


async def away(_: Receiver, __: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(_answer("503 Service Unavailable"))


async def cut(_: Receiver, __: Asked, writer: asyncio.StreamWriter) -> None:
    """The line is cut in the middle of the answer's head."""
    writer.write(b"HTTP/1.1 20")
    await writer.drain()
    writer.transport.abort()


async def babble(_: Receiver, __: Asked, writer: asyncio.StreamWriter) -> None:
    """No HTTP at all."""
    writer.write(b"220 mail.example ESMTP\r\n")


async def lie(receiver: Receiver, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Yes at first, and no to the very same message another time; and every second one it refuses."""
    before = sum(1 for each in receiver.asked if each.message == asked.message)
    if len(receiver.asked) % 2 and before == 1:
        receiver.taken.append(asked)
        writer.write(YES)
    else:
        writer.write(_answer("400 Bad Request"))


async def picky(receiver: Receiver, asked: Asked, writer: asyncio.StreamWriter) -> None:
    if receiver.refuses(asked):
        writer.write(_answer("422 Unprocessable Content"))
    else:
        await ok(receiver, asked, writer)


async def slow(receiver: Receiver, asked: Asked, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.2)
    await ok(receiver, asked, writer)


async def restart(receiver: Receiver, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Every seventh request finds it starting anew."""
    if len(receiver.asked) % 7 == 0:
        writer.transport.abort()
    else:
        await ok(receiver, asked, writer)


BEHAVIOURS: dict[str, Behaviour] = {
    each.__name__: each
    for each in (
        *(ok, talks, hang, drip, redirect, flood, gone, busy, broken, away, cut, babble, lie, picky, slow, restart),
    )
}
HOPELESS = ("hang", "drip", "redirect", "gone", "busy", "broken", "away", "cut", "babble")
"""They never say yes."""
