"""`make bench`: starts its own PostgreSQL and servers, measures, and prints one JSON object as its last line.

Every rate stands beside a limit measured in the same run: COPY of the same rows for writing, a bare handler for asking.
`SIZE=10m` first fills the journal to that many facts. Traffic goes to loopback only, and every phase is bounded.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import psycopg

from api import embedded, schema
from tests.bench import breakdown, follow, push, read, usage, write
from tests.bench.servers import Bench
from tests.open_register import permit_all

SIZES = {"100k": 100_000, "1m": 1_000_000, "10m": 10_000_000}


def main() -> None:
    """Measure everything, tell it line by line, then as JSON."""
    arguments = argparse.ArgumentParser(prog="make bench")
    size = os.environ.get("SIZE") or "100k"
    arguments.add_argument("--size", choices=SIZES, default=size, help="facts in the journal before measuring")
    arguments.add_argument("--seconds", type=float, default=8.0, help="length of each phase")
    options = arguments.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="kouan-bench-") as folder:
        home = Path(folder)
        conninfo = embedded.start(home)
        try:
            schema.install(conninfo)
            permit_all(conninfo)
            _measure(Bench(conninfo, home), SIZES[options.size], options.seconds, figures)
        finally:
            embedded.stop(home)
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def _measure(bench: Bench, size: int, seconds: float, figures: dict[str, float]) -> None:
    start = time.monotonic()
    write.fill(bench, size, figures)
    write.append(bench, figures)
    breakdown.breakdown(bench, figures)
    with bench.api() as port:
        write.ingest(bench, port, seconds, figures)
        read.project(bench, figures)
        with bench.projector():
            read.lag(bench, port, figures)
            read.ask(bench, port, seconds, figures)
            follow.pull(bench, port, seconds, figures)
            read.verify(bench, port, seconds, figures)
        usage.metering(bench, port, seconds, figures)
        push.push(bench, figures)
    with psycopg.connect(bench.conninfo) as connection:
        row = connection.execute("SELECT count(*) FROM cargo_events").fetchone()
    assert row is not None
    figures["facts_in_journal"] = row[0]
    figures["seconds"] = time.monotonic() - start


if __name__ == "__main__":
    main()
