"""The end of a month: statements issued, workbook and usage detail written. Seconds, and memory at its peak.

`python -m tests.bench.books [--size 200k|1m|5m] [--accounts 2000]`, on a database of its own; `SIZE=5m` does the same.
The usage entries are put into their table as the projector leaves them (tests/bench/usage.py measures the projector),
then the month is cut off through the journal. Each step runs in a process of its own, so its peak memory is its own;
that of PostgreSQL has its limits in its settings.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg

from api import embedded, schema
from api.app import READ_MODELS
from api.settings import Fees
from api.workbook import make_detail, make_workbook
from api.workbook_sources import reading
from billing import drafting
from domain import period
from domain.delivery import new_id
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.party import PartyRegistered
from domain.period import PeriodCutOff
from domain.writer import Writer
from projections import runner
from projections.usage import Whose

SIZES = {"20k": 20_000, "200k": 200_000, "1m": 1_000_000, "5m": 5_000_000}
MONTH = "2026-09"
CHUNK = 250_000  # rows of one transaction
FILL = """
INSERT INTO usage_entries (
    meter, stream, version, position, account, party, behalf, item, item_class, result, quantity, chargeable, tariff,
    waived, occurred_at, billing_period, corrects_period
)
SELECT
    'delivery/1', 'metering:bench', n, 1, 'account-' || who, 'PARTY-' || who, '', item, item_class,
    CASE WHEN sold THEN 'ok' ELSE 'empty' END,
    CASE WHEN item_class = 'government' THEN 1 WHEN sold THEN 1 + n %% 50 ELSE 0 END,
    sold AND version IS NOT NULL, CASE WHEN sold THEN version END, '',
    %(start)s::timestamptz + (hashint8(n * 7) & 2147483647) / 2147483648.0 * %(length)s::interval, %(month)s, NULL
FROM (
    SELECT
        n, lpad(((hashint8(n) & 2147483647)::bigint %% %(accounts)s)::text, 6, '0') AS who,
        (hashint8(n * 3) & 2147483647)::bigint %% 10 <> 0 AS sold,
        1 + (hashint8(n * 5) & 2147483647)::bigint %% (SELECT count(*) FROM listed_items) AS which
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
) AS drawn
JOIN (
    SELECT item, item_class, min(version) AS version, row_number() OVER (ORDER BY item) AS which
    FROM listed_items LEFT JOIN published_tariffs USING (item, item_class) GROUP BY item, item_class
) AS items USING (which)
"""


def prepare(conninfo: str, size: int, accounts: int) -> None:
    """Parties, usage, and the cut-off."""
    start, end = period.bounds(MONTH)
    with (
        psycopg.connect(conninfo, autocommit=True) as connection,
        Journal("commerce", conninfo).opened() as journal,
    ):
        writer = Writer(journal)
        parties = [f"PARTY-{each:06}" for each in range(accounts)]
        told = [
            (
                f"party:{party}",
                PartyRegistered(
                    happened_at=start, recorded_at=start, party=party, by="a", kind="enterprise",
                    zh=f"第{party[6:]}号公司", en=f"Company {party[6:]}",
                ),
            )
            for party in parties
        ]  # fmt: skip
        for first in range(0, len(told), 500):
            some = told[first : first + 500]
            writer.write([Intent(facts=[NewFact(stream, new_id(start), fact)]) for stream, fact in some])
        values = {"start": start, "length": end - start - timedelta(seconds=1), "month": MONTH, "accounts": accounts}
        for first in range(0, size, CHUNK):
            connection.execute(FILL.encode(), values | {"first": first, "last": min(size, first + CHUNK) - 1})
        connection.execute("ANALYZE usage_entries")
        cut = PeriodCutOff(happened_at=end, recorded_at=end, period=MONTH, by="bench")
        writer.write([Intent(facts=[NewFact(period.stream(MONTH), new_id(end), cut)])])
        writer.stop()
        runner.catch_up(connection, journal, READ_MODELS)


def issue(conninfo: str) -> str:
    with (
        psycopg.connect(conninfo, autocommit=True) as connection,
        Journal("commerce", conninfo).opened() as journal,
    ):
        writer = Writer(journal)
        found = drafting.issue(connection, writer, MONTH, by="bench", at=datetime.now(UTC))
        writer.stop()
    return f"{found.statements:,} statements, {found.payable_minor / 100:,.2f} CNY"


def remake(conninfo: str) -> str:
    """One of them, from the journal."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        [(number,)] = connection.execute("SELECT max(statement) FROM issued_statements").fetchall()
        assert drafting.remake(connection, number) == drafting.stored(connection, number)
    return str(number)


def write(conninfo: str, form: str, path: str) -> str:
    with reading(conninfo) as connection, Path(path).open("wb") as file:
        make_workbook(connection, file, MONTH, form, asked=Fees(), base="https://port.example/")
    return _size(path)


def detail(conninfo: str, form: str, path: str) -> str:
    with reading(conninfo) as connection, Path(path).open("wb") as file:
        make_detail(connection, file, MONTH, form, whose=Whose())
    return _size(path)


def _size(path: str) -> str:
    return f"{Path(path).stat().st_size:,} B"


# --- measuring ---


def measured(name: str, work: Callable[[], str], figures: dict[str, float]) -> None:
    """In a process of its own: seconds, those of its processor, and the most memory that it held, imports included."""
    context = multiprocessing.get_context("spawn")
    there, here = context.Pipe()
    child = context.Process(target=_run, args=(there, work))
    child.start()
    there.close()
    seconds, worked, mib, said = here.recv()
    child.join()
    figures |= {f"{name}_s": seconds, f"{name}_cpu_s": worked, f"{name}_mib": mib}
    print(f"{name}: {seconds:,.1f} s, {worked:,.1f} of a processor, {mib:,.0f} MiB at most; {said}", flush=True)


def _run(there: Connection, work: Callable[[], str]) -> None:
    start, begun = time.perf_counter(), time.process_time()
    said = work()
    seconds, worked = time.perf_counter() - start, time.process_time() - begun
    there.send((seconds, worked, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, said))


def month_close(conninfo: str, home: Path, size: int, accounts: int, figures: dict[str, float]) -> None:
    """Every step of it, one after another."""
    start = time.perf_counter()
    prepare(conninfo, size, accounts)
    figures["usage_entries"], figures["prepare_s"] = size, time.perf_counter() - start
    print(f"{size:,} usage entries of {accounts:,} accounts, {figures['prepare_s']:.1f} s to put there", flush=True)
    measured("issue", partial(issue, conninfo), figures)
    measured("remake", partial(remake, conninfo), figures)
    for form, ending in (("xlsx", "xlsx"), ("csv", "zip"), ("json", "json")):
        measured(f"workbook_{form}", partial(write, conninfo, form, str(home / f"workbook.{ending}")), figures)
    for form in ("csv", "jsonl"):
        measured(f"detail_{form}", partial(detail, conninfo, form, str(home / f"detail.{form}")), figures)


def main() -> None:
    """By itself, on a database of its own."""
    arguments = argparse.ArgumentParser(prog="python -m tests.bench.books")
    arguments.add_argument("--size", choices=SIZES, default=os.environ.get("SIZE") or "200k")
    arguments.add_argument("--accounts", type=int, default=2_000)
    options = arguments.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="kouan-bench-") as folder:
        home = Path(folder)
        conninfo = embedded.start(home)
        try:
            schema.install(conninfo)
            month_close(conninfo, home, SIZES[options.size], options.accounts, figures)
        finally:
            embedded.stop(home)
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
