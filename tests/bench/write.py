"""The write side: append against COPY, and ingest from HTTP bytes to durable."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from domain import fact
from domain.intent import Intent
from domain.journal import Journal
from domain.writer import Writer
from tests.bench import load, traffic
from tests.bench.servers import Bench

BATCH = 1_000
ROUNDS = 8
BATCHES_A_ROUND = 10
FILLED = 100_000_000  # numbers of fill's facts begin here, apart from those measured
PER_REQUEST = 500
CONNECTIONS = 8  # with four, all of them wait for one commit


def fill(bench: Bench, size: int, figures: dict[str, float]) -> None:
    """Bring the journal to a size; done through the journal itself, and measured."""
    with Journal("cargo", bench.conninfo).opened() as journal:
        writer = Writer(journal)
        start = time.perf_counter()
        for first in range(FILLED, FILLED + size, BATCH):
            writer.write(traffic.append_intents(first, BATCH))
        figures["fill_per_s"] = size / (time.perf_counter() - start)
        writer.stop()


def append(bench: Bench, figures: dict[str, float]) -> None:
    """Batches of 1,000 in turn: a bare binary COPY into the same indexed table, and the journal with its checks."""
    with (
        psycopg.connect(bench.conninfo, autocommit=True) as connection,
        Journal("cargo", bench.conninfo).opened() as journal,
    ):
        connection.execute("CREATE TABLE bench_events (LIKE cargo_events INCLUDING ALL)")
        connection.execute("INSERT INTO bench_events SELECT * FROM cargo_events")
        connection.execute("VACUUM ANALYZE bench_events, cargo_events")
        writer = Writer(journal)
        copied = appended = 0.0
        for number in range(ROUNDS):
            first = number * BATCHES_A_ROUND * BATCH
            batches = [traffic.append_intents(first + index * BATCH, BATCH) for index in range(BATCHES_A_ROUND)]
            rows = [_rows(batch, FILLED * 2 + first + index * BATCH) for index, batch in enumerate(batches)]
            copied += _timed(lambda batch: copy(connection, batch), rows)
            appended += _timed(writer.write, batches)
        writer.stop()
    facts = ROUNDS * BATCHES_A_ROUND * BATCH
    figures["copy_per_s"] = facts / copied
    figures["append_per_s"] = facts / appended
    figures["append"] = copied / appended
    print(f"append: {facts / appended:,.0f} facts/s, COPY {facts / copied:,.0f} rows/s, ratio {copied / appended:.2f}")


def _rows(batch: Sequence[Intent], position: int) -> list[tuple[object, ...]]:
    new = [each for intent in batch for each in intent.facts]
    return [
        (
            each.stream,
            position + index,
            fact.tag_of(type(each.fact)),
            fact.encode(each.fact),
            position + index,
            each.fact_id,
        )
        for index, each in enumerate(new)
    ]


def copy(connection: psycopg.Connection[Any], rows: list[tuple[object, ...]]) -> None:
    """The limit: nothing but the rows, one commit."""
    with (
        connection.transaction(),
        connection.cursor() as cursor,
        cursor.copy("COPY bench_events FROM STDIN (FORMAT BINARY)") as out,
    ):
        out.set_types(["text", "int8", "text", "bytea", "int8", "uuid"])
        for row in rows:
            out.write_row(row)


def _timed(work: Any, batches: list[Any]) -> float:
    start = time.perf_counter()
    for batch in batches:
        work(batch)
    return time.perf_counter() - start


def ingest(bench: Bench, port: int, seconds: float, figures: dict[str, float]) -> None:
    """HTTP bytes to durable facts through one API process, each format alone; the headline is their harmonic mean."""
    rates = []
    for index, (name, make) in enumerate(traffic.FORMATS.items()):
        base = (index + 3) * FILLED
        path = f"/v1/reports?format={name}"
        bodies = [make(base + number * PER_REQUEST, PER_REQUEST) for number in range(int(seconds * 120))]
        requests = [load.request("POST", path, bench.source, body, "application/json") for body in bodies]
        measured = _post(port, iter(requests), seconds)
        rate = measured.per_second * PER_REQUEST
        rates.append(rate)
        figures[f"ingest_{name}_per_s"] = rate
        print(f"ingest {name}: {rate:,.0f} facts/s, {rate / figures['copy_per_s']:.2f} of COPY")
    figures["ingest_per_s"] = len(rates) / sum(1 / rate for rate in rates)
    figures["ingest"] = figures["ingest_per_s"] / figures["copy_per_s"]


def _post(port: int, heap: Iterator[bytes], seconds: float) -> load.Load:
    """All connections take from one heap."""
    return load.run(port, lambda _: heap, connections=CONNECTIONS, seconds=seconds, expected=202)
