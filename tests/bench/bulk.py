"""One streamed body as long as you like: `python -m tests.bench.bulk --items 5000000 --format native|codeco`.

Starts its own PostgreSQL and API, sends one body in pieces that are made while they are sent, and watches the memory of
the process that takes it. Prints one JSON object: messages a second, and how much that memory grew, in bytes.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]

from api import embedded, schema
from tests.bench.servers import Bench
from tests.bench.traffic import FACTS_PER_BOX, START, box

PIECE = 1_000
WARM = 20_000


def native(first: int, count: int) -> bytes:
    """So many lines."""
    return b"".join(
        b'{"id":"%d","subject":"container:%s","code":"GATE_IN","happened_at":"%s","place":"CNSHG","mode":"TRUCK"}\n'
        % (number, box(number // FACTS_PER_BOX).encode(), _at(number, "%Y-%m-%dT%H:%M:00Z"))
        for number in range(first, first + count)
    )


def codeco(first: int, count: int) -> bytes:
    """So many messages, of the one interchange that `body` opens."""
    return b"".join(
        b"UNH+%d+CODECO:D:95B:UN:ITG14'BGM+34+B%d+9'TDT+1++3'EQD+CN+%s+22G1:102:5++3+5'"
        b"DTM+7:%s:203'LOC+165+CNSHG:139:6'CNT+16:1'UNT+8+%d'\n"
        % (number, number, box(number // FACTS_PER_BOX).encode(), _at(number, "%Y%m%d%H%M"), number)
        for number in range(first, first + count)
    )


def _at(number: int, form: str) -> bytes:
    return (START + timedelta(minutes=number % 700_000)).strftime(form).encode()


def body(message_format: str, first: int, count: int) -> Iterator[bytes]:
    """The whole, piece by piece."""
    make = native if message_format == "native" else codeco
    if message_format == "codeco":
        yield b"UNB+UNOA:2+BENCH+PORT+240101:0000+B%d'\n" % first
    for number in range(first, first + count, PIECE):
        yield make(number, min(PIECE, first + count - number))
    if message_format == "codeco":
        yield b"UNZ+%d+B%d'\n" % (count, first)


def memory_bytes(port: int) -> int:
    """Resident memory of whoever listens there, and of its workers."""
    listening = [link for link in psutil.net_connections("tcp") if link.status == "LISTEN" and link.pid]
    owners = {psutil.Process(link.pid) for link in listening if link.laddr.port == port}
    workers = {child for owner in owners for child in owner.children(recursive=True)}
    return sum(int(process.memory_info().rss) for process in owners | workers)


def send(bench: Bench, port: int, message_format: str, first: int, count: int) -> tuple[dict[str, object], int]:
    """The last line of the answer, and the most memory that was seen."""
    highest = 0

    def watched() -> Iterator[bytes]:
        nonlocal highest
        for number, piece in enumerate(body(message_format, first, count)):
            if number % 20 == 0:
                highest = max(highest, memory_bytes(port))
            yield piece

    url = f"http://127.0.0.1:{port}/v1/reports?format={message_format}&stream=true"
    headers, last = {"Authorization": f"Bearer {bench.source}"}, "{}"
    with httpx.stream("POST", url, content=watched(), headers=headers, timeout=600, trust_env=False) as answer:
        for line in answer.iter_lines():
            last = line
    told: dict[str, object] = json.loads(last)
    return told, max(highest, memory_bytes(port))


def main() -> None:
    """Warm up, send, tell."""
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.bulk")
    arguments.add_argument("--items", type=int, default=5_000_000)
    arguments.add_argument("--format", choices=["native", "codeco"], default="native")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="kouan-bench-") as folder:
        home = Path(folder)
        conninfo = embedded.start(home)
        try:
            schema.install(conninfo)
            bench = Bench(conninfo, home)
            with bench.api() as port:
                _, before = send(bench, port, options.format, 0, WARM)
                began = time.monotonic()
                told, highest = send(bench, port, options.format, WARM, options.items)
                seconds = time.monotonic() - began
        finally:
            embedded.stop(home)
    figures = {"messages_per_second": round(options.items / seconds), "growth_bytes": highest - before}
    print(json.dumps({**figures, **told}))


if __name__ == "__main__":
    main()
