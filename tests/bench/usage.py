"""What it costs a question to be on the books: processor time, which other work on the machine changes least.

`python -m tests.bench.usage [--seconds 6]` measures this alone. Three parts, microseconds of all processes concerned:
an answer with its delivery record, one without (tests/bench/unrecorded.py), and the usage projector's for a delivery.
Metering is the projector's part: the record is there for the trail and the owners as much.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg

from api import embedded, schema
from api.app import READ_MODELS
from api.processes import all_that_work_in
from domain.journal import Journal
from projections import runner
from tests.bench import load, read, traffic, write
from tests.bench.servers import Bench
from tests.bench.write import FILLED
from tests.open_register import permit_all

CONNECTIONS = 64
ROUNDS, FACTS = 2, 20_000
[USAGE] = [model for model in READ_MODELS if model.name == "usage"]


def metering(bench: Bench, port: int, seconds: float, figures: dict[str, float]) -> None:
    """With and without the record in turns, then the projection of what was recorded."""
    recorded, unrecorded = [], []
    for _ in range(ROUNDS):
        recorded.append(_ask(bench, port, seconds))
        with bench.unrecorded() as other:
            unrecorded.append(_ask(bench, other, seconds))
    told, silent, counting = _mean(recorded), _mean(unrecorded), _projected(bench)
    figures |= {"us_ask_recorded": told, "us_ask_unrecorded": silent, "us_usage": counting}
    figures["record_share"], figures["metering_share"] = told / silent - 1, counting / told
    print(
        f"on the books: {told:.0f} us of processors an answer, {silent:.0f} without its record"
        f" ({figures['record_share']:+.1%}); metering {counting:.0f} us ({figures['metering_share']:.1%})"
    )


def _mean(times: list[float]) -> float:
    return sum(times) / len(times)


def _ask(bench: Bench, port: int, seconds: float) -> float:
    """Microseconds for an answer: the server's and all of PostgreSQL's."""
    first = FILLED // traffic.FACTS_PER_BOX
    boxes = (traffic.box(first + number) for number in range(read.ASKED_BOXES))
    requests = [load.request("GET", f"/v1/track/{box}", bench.enterprise) for box in boxes]

    def endless(number: int) -> Iterator[bytes]:
        return itertools.islice(itertools.cycle(requests), number, None)

    load.run(port, endless, connections=CONNECTIONS, seconds=1.0)  # what is made once is made
    before = _spent(_concerned(bench, port))
    asked = load.run(port, endless, connections=CONNECTIONS, seconds=seconds)
    return 1e6 * (_spent(_concerned(bench, port)) - before) / asked.requests


def _concerned(bench: Bench, port: int) -> Iterator[psutil.Process]:
    """The server on this port with its workers, and all of PostgreSQL."""
    for process in psutil.process_iter(["cmdline"]):
        if str(port) in (process.info["cmdline"] or []):
            yield process
            yield from process.children(recursive=True)
    yield from (psutil.Process(pid) for pid in all_that_work_in("postgres", bench.home.resolve() / "pg"))


def _spent(processes: Iterable[psutil.Process]) -> float:
    """Seconds of processor, each process once."""
    times = {process.pid: process.cpu_times() for process in processes}
    return float(sum(one.user + one.system for one in times.values()))


def _projected(bench: Bench) -> float:
    """Microseconds for a delivery to become an entry: this thread's, and its server process's."""
    with (
        psycopg.connect(bench.conninfo, autocommit=True) as connection,
        Journal("commerce", bench.conninfo).opened() as journal,
    ):
        server = psutil.Process(connection.info.backend_pid)
        started, begun = time.thread_time(), _spent([server])
        runner.rebuild(connection, journal, USAGE)
        spent = time.thread_time() - started + _spent([server]) - begun
        [(count,)] = connection.execute("SELECT count(*) FROM usage_entries").fetchall()
    return 1e6 * spent / int(count)


def main() -> None:
    """By itself, on a database of its own."""
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.usage")
    arguments.add_argument("--seconds", type=float, default=6.0)
    seconds = arguments.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="kouan-bench-") as folder:
        home = Path(folder)
        conninfo = embedded.start(home)
        try:
            schema.install(conninfo)
            permit_all(conninfo)
            bench, figures = Bench(conninfo, home), dict[str, float]()
            with bench.api() as port:
                write.fill(bench, FACTS, figures)
                with psycopg.connect(conninfo, autocommit=True) as connection:
                    for name in ("cargo", "commerce"):
                        with Journal(name, conninfo).opened() as journal:
                            runner.catch_up(connection, journal, READ_MODELS)
                metering(bench, port, seconds, figures)
        finally:
            embedded.stop(home)


if __name__ == "__main__":
    main()
