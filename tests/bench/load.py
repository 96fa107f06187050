"""A small HTTP load generator for loopback: each connection asks as soon as it was answered; bounded in time.

Latencies are milliseconds.
"""

import asyncio
import time
from collections.abc import Callable, Iterator

import msgspec


class Load(msgspec.Struct):
    """What a run measured."""

    requests: int
    seconds: float
    latencies_ms: list[float]

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def request(method: str, path: str, key: str = "", body: bytes = b"", content_type: str = "") -> bytes:
    """The bytes of one request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    lower = head.lower()
    start = lower.index(b"content-length:") + 15
    length = int(lower[start : lower.index(b"\r\n", start)])
    return status, await reader.readexactly(length)


async def _connection(port: int, requests: Iterator[bytes], until: float, load: Load, expected: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for wanted in requests:
        start = time.perf_counter()
        if start > until:
            break
        writer.write(wanted)
        status, body = await _answer(reader)
        assert status == expected, (status, body[:300])
        load.latencies_ms.append((time.perf_counter() - start) * 1000)
        load.requests += 1
    writer.close()


def run(
    port: int, requests: Callable[[int], Iterator[bytes]], *, connections: int, seconds: float, expected: int = 200
) -> Load:
    """Ask for `seconds`, or until the requests run out. `requests(n)` are those of connection n."""

    async def all_connections() -> Load:
        load = Load(0, 0.0, [])
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(connections):
                group.create_task(_connection(port, requests(number), start + seconds, load, expected))
        load.seconds = time.perf_counter() - start
        return load

    import uvloop

    return uvloop.run(all_connections())
