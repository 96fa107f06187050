"""The fuzz at length: `python -m tests.faults --fuzz 100000` sends so many bodies of each format on two processes.

The bodies of a format are cut into chunks, each with a database of its own, which keeps memory and disk bounded; one
body in two hundred goes over HTTP, too, to a server process. A finished chunk is a line of the ledger: with `--ledger
FILE` a run that was broken off, or ended by `--minutes`, goes on where it was. The formats take turns.
"""

import logging
import multiprocessing
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import msgspec
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from api import embedded, schema
from api.bulk import Done
from api.formats.registry import EDIFACT, READERS
from api.identity import Account, open_account
from api.report import ReportsReceived
from api.settings import Settings
from api.supervise import address, api, serve
from tests.bench.servers import free_port
from tests.faults import crash, fuzz
from tests.faults.framing import Wrong
from tests.faults.fuzz import STATUSES, Tally
from tests.open_register import OWNER

PROCESSES = 2
CHUNK = 2_000  # bodies of one database
HTTP_EVERY = 200
ANSWER_SECONDS_MAX = 60.0
SERVER_FAULT = 500
ENDED = 143  # by SIGTERM
COLUMNS = Tally.__struct_fields__[:-1]


class Place(msgspec.Struct, frozen=True):
    """Where to send bodies: a server of databases, a template of them, and a node that is served."""

    server: str
    template: str
    url: str
    key: str


class Line(msgspec.Struct, frozen=True):
    """A finished chunk in the ledger."""

    start: int
    stop: int
    tally: Tally


# --- over HTTP ---


def post(client: httpx.Client, name: str, number: int, body: bytes) -> None:
    """Send a body as a source would, now and then as a stream or for an answer in EDIFACT. Raises Wrong."""
    rng = random.Random(f"{fuzz.SEED}/http/{name}/{number}")
    params = {"format": name}
    if name in EDIFACT and rng.random() < 0.3:
        params["answer"] = rng.choice(("contrl", "aperak"))
    elif rng.random() < 0.3:
        params["stream"] = "true"
    answer = client.post("/v1/reports", params=params, content=body, timeout=ANSWER_SECONDS_MAX)
    if answer.status_code != httpx.codes.ACCEPTED:
        problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        if not (problem and 400 <= answer.status_code < SERVER_FAULT):
            raise Wrong(f"{params} is answered {answer.status_code}: {answer.text[:200]}")
    elif "stream" in params:
        done = msgspec.json.decode(answer.content.splitlines()[-1], type=Done)
        if not done.done and (done.problem is None or done.problem.status >= SERVER_FAULT):
            raise Wrong(f"the stream ended with {done}")
    elif "answer" not in params:
        told = msgspec.json.decode(answer.content, type=ReportsReceived).receipts
        if {receipt.status for receipt in told} - set(STATUSES):
            raise Wrong(f"answered {answer.text[:200]}")


# --- one chunk ---


def chunk(place: Place, name: str, start: int, stop: int) -> Line:
    """The bodies from `start` to before `stop`, in a database of their own."""
    logging.disable(logging.CRITICAL)  # every body that cannot be written would be told
    with copied(place.server, place.template) as conninfo:
        examiner = fuzz.Examiner(conninfo, name)
        tally = examiner.run(range(start, stop))
    with httpx.Client(base_url=place.url, headers={"Authorization": f"Bearer {place.key}"}, trust_env=False) as client:
        for number in range(start, stop, HTTP_EVERY):
            tally.over_http += 1
            try:
                post(client, name, number, fuzz.body_of(name, number, examiner.ours)[0])
            except (Wrong, httpx.HTTPError, msgspec.MsgspecError) as error:
                tally.fail(number, error)
    return Line(start, stop, tally)


@contextmanager
def copied(server: str, template: str) -> Iterator[str]:
    """The conninfo of a copy of the template; dropped at the end."""
    name = f"kouan_fuzz_{uuid4().hex[:12]}"
    _execute(server, "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
    try:
        yield make_conninfo(server, dbname=name)
    finally:
        _execute(server, "DROP DATABASE {}", name)  # without FORCE, which may not end the server's own vacuum


def _execute(server: str, statement: str, *names: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


# --- all of them ---


def run(count: int, minutes: float, ledger: Path | None) -> int:
    """So many bodies of each format, or as many as fit into the time; 0 if every rule did hold."""
    start = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ENDED))  # so that the server ends, too
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kouan-fuzz-")))
        book = ledger or folder / "ledger"
        lines = (
            [msgspec.json.decode(line, type=Line) for line in book.read_bytes().splitlines()] if book.exists() else []
        )
        waiting = _waiting(count, lines)
        place = stack.enter_context(_place(folder))
        pool = stack.enter_context(ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")))
        running: set[Future[Line]] = set()
        while running or (waiting and time.monotonic() - start < minutes * 60):
            while waiting and len(running) < PROCESSES and time.monotonic() - start < minutes * 60:
                running.add(pool.submit(chunk, place, *waiting.pop(0)))
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for line in (future.result() for future in finished):
                lines.append(line)
                with book.open("ab") as file:
                    file.write(msgspec.json.encode(line) + b"\n")
                print(f"{line.start}-{line.stop}", *(getattr(line.tally, name) for name in COLUMNS), flush=True)
    tallies = totals(lines)
    print(f"\n{table(tallies)}\n\n{time.monotonic() - start:.0f} s")
    print("\n".join(failure for tally in tallies for failure in tally.failures))
    return 1 if any(tally.exceptions for tally in tallies) else 0


def _waiting(count: int, lines: Sequence[Line]) -> list[tuple[str, int, int]]:
    """Chunks that are not in the ledger, one of each format after another."""
    done = {(line.tally.format, line.start) for line in lines}
    starts = range(0, count, CHUNK)
    return [(name, at, min(at + CHUNK, count)) for at in starts for name in READERS if (name, at) not in done]


@contextmanager
def _place(folder: Path) -> Iterator[Place]:
    """A server, a template, and a node on a copy of it."""
    with crash.server(folder / "home", fast=True) as server:
        with psycopg.connect(embedded.administrator(folder / "home"), autocommit=True) as connection:
            connection.execute("ALTER ROLE kouan_owner CREATEDB")
        template = "kouan_fuzz_template"
        _execute(server, "CREATE DATABASE {}", template)
        schema.install(make_conninfo(server, dbname=template))
        with copied(server, template) as conninfo:
            with psycopg.connect(conninfo, autocommit=True) as connection:
                key = open_account(connection, Account("fuzz", "source", "模糊测试", "Fuzz", party=OWNER))
            settings = Settings(home=folder / "node", port=free_port(), database_url=conninfo)
            with serve(settings, conninfo, programs=(api(settings),)):
                yield Place(server, template, address(settings), key)


def totals(lines: Sequence[Line]) -> list[Tally]:
    """One tally for each format."""
    found = {name: Tally(name) for name in READERS}
    for line in lines:
        found[line.tally.format].add(line.tally)
    return list(found.values())


def table(tallies: Sequence[Tally]) -> str:
    """Markdown, with the sum of all."""
    whole = Tally("all")
    for tally in tallies:
        whole.add(tally)
    rows = [[getattr(tally, name) for name in COLUMNS[1:]] for tally in (*tallies, whole)]
    lines = ["| " + " | ".join(COLUMNS).replace("_", " ") + " |", "|---|" + "---:|" * (len(COLUMNS) - 1)]
    lines += [
        f"| {tally.format} | " + " | ".join(f"{value:,}" for value in row) + " |"
        for tally, row in zip((*tallies, whole), rows, strict=True)
    ]
    return "\n".join(lines)
