"""Pushing: facts that stand in the journal, sent one by one to a receiver on loopback by one `kouan push`.

One message is one fact is one POST, signed, recorded before and counted after; beside it bare posts of the same bytes
by the same library. `python -m tests.bench.push` measures this alone.
"""

import asyncio
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import psutil  # type: ignore[import-untyped]
import psycopg
import uvloop

from api import embedded, schema
from api.app import READ_MODELS
from api.identity import Account, open_account
from api.login.vault import Vault
from api.push import keyring, signing
from api.settings import Settings
from domain.journal import Journal
from projections import runner
from tests.bench.servers import Bench
from tests.open_register import permit_all

ENDPOINTS = 16
FACTS = 2_500  # to each endpoint
BARE_LANES = 64
WAIT_SECONDS_MAX = 120.0
YES = b"HTTP/1.1 204 No Content\r\n\r\n"
ACCEPTED = "SELECT count(*) FROM commerce_events WHERE topic = 'delivery.accepted'"
MAKE = """
INSERT INTO push_endpoints
    (endpoint_id, account, item, dialect, url, wanted, state, made_at, changed_at, epoch, after, next_at)
VALUES (%s, 'bench-logistics', 'feed.push', 'webhook', %s, '{}', 'active', now(), now(), 1, %s, now())
"""


class Receiver(threading.Thread):
    """Says yes as fast as it can, in a thread of its own, and remembers what it was sent."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.messages: Counter[bytes] = Counter()
        self.count, self.bytes, self.first_at, self.last_at, self.port = 0, 0, 0.0, 0.0, 0
        self.ready = threading.Event()

    def run(self) -> None:
        async def serve() -> None:
            server = await asyncio.get_running_loop().create_server(lambda: _Line(self), "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()
            await server.serve_forever()

        uvloop.run(serve())

    def took(self, head: bytes, body_bytes: int) -> None:
        self.last_at = time.perf_counter()
        self.first_at = self.first_at or self.last_at
        self.count += 1
        self.bytes += body_bytes
        start = head.find(b"webhook-id: ") + 12
        self.messages[head[start : head.find(b"\r\n", start)]] += 1


class _Line(asyncio.Protocol):
    def __init__(self, receiver: Receiver) -> None:
        self.receiver, self.held = receiver, b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            head = self.held[:end]
            at = head.lower().find(b"content-length:") + 15
            whole = end + 4 + int(head[at:].split(b"\r\n", 1)[0])
            if len(self.held) < whole:
                return
            self.receiver.took(head, whole - end - 4)
            self.held = self.held[whole:]
            self.transport.write(YES)


def push(bench: Bench, figures: dict[str, float]) -> None:
    """The journal must hold FACTS facts, and the read models must have taken them in."""
    receiver = Receiver()
    receiver.start()
    receiver.ready.wait()
    _make(bench, f"http://127.0.0.1:{receiver.port}/hook")
    environ = {"KOUAN_CONNINFO": bench.conninfo, "KOUAN_HOME": str(bench.home)}
    expected = ENDPOINTS * FACTS
    argv = [sys.executable, "-m", "api.main", "push"]
    with bench._process(argv, environ) as process, psycopg.connect(bench.conninfo) as node:
        deadline, accepted = time.monotonic() + WAIT_SECONDS_MAX, 0
        while accepted < expected and time.monotonic() < deadline:
            time.sleep(0.2)
            row = node.execute(ACCEPTED).fetchone()
            accepted = row[0] if row else 0
            node.rollback()
        used = psutil.Process(process.pid).cpu_times()
    figures["push_cpu_us"] = (used.user + used.system) / max(receiver.count, 1) * 1e6
    seconds = receiver.last_at - receiver.first_at
    assert len(receiver.messages) == accepted == expected, f"{len(receiver.messages)} of {expected}, {accepted} counted"
    rate, again = receiver.count / seconds, receiver.count - expected
    bare = _bare(receiver, b"x" * (receiver.bytes // receiver.count))
    figures |= {"push_per_s": rate, "bare_post_per_s": bare, "push": rate / bare, "push_again": again}
    print(f"push: {rate:,.0f}/s, bare posts {bare:,.0f}/s, ratio {rate / bare:.2f}, {again} sent twice, none lost")


def _make(bench: Bench, url: str) -> None:
    vault = Vault(Settings(home=bench.home))
    with psycopg.connect(bench.conninfo, autocommit=True) as connection:
        open_account(connection, Account("bench-logistics", "logistics", "压测物流", "Bench"))
        connection.execute(
            "INSERT INTO push_networks VALUES ('bench-logistics', '127.0.0.0/8', 'bench', now(), 'bench')"
            " ON CONFLICT DO NOTHING"
        )
        row = connection.execute("SELECT position FROM timeline ORDER BY position DESC OFFSET %s LIMIT 1", (FACTS,))
        found = row.fetchone()
        for _ in range(ENDPOINTS):
            endpoint: UUID = uuid4()
            connection.execute(MAKE, (endpoint, url, found[0] if found else 0))
            [now] = connection.execute("SELECT now()").fetchone() or (None,)
            keyring.add(connection, vault, endpoint, signing.new_key("v1"), now)


def _bare(receiver: Receiver, body: bytes) -> float:
    """The same library, posting the same amount, and nothing else."""
    url, headers = f"http://127.0.0.1:{receiver.port}/hook", {"webhook-id": "msg_bare", "Content-Type": "text/plain"}

    async def post() -> float:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=False) as session:

            async def lane() -> None:
                for _ in range(100):
                    async with session.post(url, data=body, headers=headers) as answer:
                        await answer.read()

            start = time.perf_counter()
            await asyncio.gather(*(lane() for _ in range(BARE_LANES)))
            return BARE_LANES * 100 / (time.perf_counter() - start)

    return uvloop.run(post())


def main() -> None:
    """Alone, with a small journal."""
    from tests.bench import write

    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="kouan-bench-") as folder:
        home = Path(folder)
        conninfo = embedded.start(home)
        try:
            schema.install(conninfo)
            permit_all(conninfo)
            bench = Bench(conninfo, home)
            write.fill(bench, 5_000, figures)
            with psycopg.connect(conninfo, autocommit=True) as connection:
                for name in ("cargo", "commerce"):
                    with Journal(name, conninfo).opened() as journal:
                        runner.catch_up(connection, journal, READ_MODELS)
            push(bench, figures)
        finally:
            embedded.stop(home)
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
