"""The processes that a benchmark runs against: the API on one worker, the projector, the bare peer."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg

from api.identity import Account, open_account
from tests.open_register import OWNER

RATES = {f"KOUAN_RATE_{each}": "10000000/60" for each in ("KEY", "PARTY", "ADDRESS")}
"""Limits that no benchmark reaches; they are counted all the same."""


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Bench:
    """A database, its accounts, and ways to start servers on it."""

    def __init__(self, conninfo: str, home: Path) -> None:
        self.conninfo = conninfo
        self.home = home
        with psycopg.connect(conninfo, autocommit=True) as connection:
            source = Account("bench-source", "source", "压测数据源", "Bench source", party=OWNER)
            self.source = open_account(connection, source)
            self.enterprise = open_account(connection, Account("bench-enterprise", "enterprise", "压测企业", "Bench"))

    @contextmanager
    def api(self) -> Iterator[int]:
        """The product's API, one worker."""
        with self._server("api.app:create", {"KOUAN_CONNINFO": self.conninfo, **RATES}, "/health") as port:
            yield port

    @contextmanager
    def unrecorded(self) -> Iterator[int]:
        """The same without the records of its deliveries."""
        with self._server(
            "tests.bench.unrecorded:create", {"KOUAN_CONNINFO": self.conninfo, **RATES}, "/health"
        ) as port:
            yield port

    @contextmanager
    def bare(self, content: bytes) -> Iterator[int]:
        """The bare handler."""
        file = self.home / "bare.bytes"
        file.write_bytes(content)
        with self._server("tests.bench.bare:create", {"KOUAN_BENCH_BYTES": str(file)}, "/v1/track/x") as port:
            yield port

    @contextmanager
    def projector(self) -> Iterator[None]:
        """The product's projector."""
        with self._process([sys.executable, "-m", "api.main", "projector"], {"KOUAN_CONNINFO": self.conninfo}):
            yield

    @contextmanager
    def _server(self, target: str, environ: dict[str, str], probe: str) -> Iterator[int]:
        port = free_port()
        argv = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", target, "--no-access-log"]
        argv += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--log-level", "warning"]
        with self._process(argv, environ) as process:
            deadline = time.monotonic() + 30
            while True:
                assert process.poll() is None, f"{target} ended; see {self.home}/bench.log"
                try:
                    httpx.get(f"http://127.0.0.1:{port}{probe}", trust_env=False)
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline, f"{target} does not answer"
                    time.sleep(0.1)
            yield port

    @contextmanager
    def _process(self, argv: list[str], environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
        with (self.home / "bench.log").open("ab") as log:
            process = subprocess.Popen(argv, env={**os.environ, **environ}, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)
