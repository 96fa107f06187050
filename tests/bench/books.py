"""The end of a month: statements issued, sent and reconciled, workbook and usage detail written. Seconds, peak memory.

`python -m tests.bench.books [--size 200k|1m|5m] [--accounts 2000]`, on a database of its own; `SIZE=5m` does the same.
Deliveries and their usage entries are put into their tables as API and projector leave them (tests/bench/usage.py
measures these); then the month is cut off through the journal. Each step runs in a process of its own, so its peak
memory is its own; that of PostgreSQL has its limits in its settings.
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

from api import embedded, reconciling, schema
from api.app import READ_MODELS
from api.books import opened
from api.paying_process import paying
from api.settings import Fees, Settings
from api.workbook import make_detail, make_workbook
from api.workbook_sources import reading
from billing import drafting, invoicing
from billing.bank import BankGateway
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
WITH drawn AS MATERIALIZED (
    SELECT n, 'account-' || who AS account, 'PARTY-' || who AS party, item, item_class,
        CASE WHEN sold THEN 'ok' ELSE 'empty' END AS result, CASE WHEN sold THEN 1 + n %% 50 ELSE 0 END AS count,
        CASE WHEN sold THEN version END AS tariff,
        %(start)s::timestamptz + (hashint8(n * 7) & 2147483647) / 2147483648.0 * %(length)s::interval AS at,
        %(behind)s + 1 + n - %(first)s AS position
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
), told AS (
    INSERT INTO commerce_events (originator_id, originator_version, topic, state, notification_id, fact_id)
    SELECT 'metering:bench', n, 'delivery.made', convert_to(json_build_object(
        'fact', 'delivery.made', 'happened_at', to_json(at), 'recorded_at', to_json(at), 'account', account,
        'item', item, 'item_class', item_class, 'subject', 'CSQU3054383', 'datasets', json_build_array('port.terminal'),
        'count', count, 'result', result, 'tariff', coalesce(tariff, ''), 'channel', 'query', 'party', party,
        'credential', 'key:5f0c1f5e', 'address', '10.0.0.1', 'register', 1200
    )::text, 'UTF8'), position, gen_random_uuid()
    FROM drawn
)
INSERT INTO usage_entries (
    meter, stream, version, position, account, party, behalf, item, item_class, result, quantity, chargeable, tariff,
    waived, occurred_at, billing_period, corrects_period
)
SELECT 'delivery/1', 'metering:bench', n, position, account, party, '', item, item_class, result,
    CASE WHEN item_class = 'government' THEN 1 ELSE count END, result = 'ok' AND tariff IS NOT NULL, tariff, '', at,
    %(month)s, NULL
FROM drawn
"""
BEHIND = "SELECT coalesce(max(notification_id), 0) FROM commerce_events"
AT_END = """
WITH reached AS (
    SELECT setval('commerce_events_notification_id_seq', max(notification_id)) AS position FROM commerce_events
)
UPDATE read_model_positions SET position = reached.position FROM reached WHERE name = ANY(%s)
"""
COMMERCE = [each.name for each in READ_MODELS if each.journal == "commerce"]


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
        runner.catch_up(connection, journal, READ_MODELS)
        values = {"start": start, "length": end - start - timedelta(seconds=1), "month": MONTH, "accounts": accounts}
        for first in range(0, size, CHUNK):
            [(behind,)] = connection.execute(BEHIND).fetchall()
            part = {"first": first, "last": min(size, first + CHUNK) - 1, "behind": behind}
            connection.execute(FILL.encode(), values | part)
        connection.execute(AT_END, (COMMERCE,))
        connection.execute("ANALYZE usage_entries, commerce_events")
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


def send(conninfo: str) -> str:
    """A payment notice for each statement, through the outbox, for payment by bank transfer."""
    steps, at = 0, datetime.now(UTC)
    with paying(conninfo, Settings.read()) as payer:
        assert payer is not None
        outbox = payer.outboxes[0]
        asked = invoicing.ask(outbox.connection, "bank", due_days=30, by="bench", at=at, month=MONTH)
        while some := outbox.run(at):
            steps += some
    return f"{asked.new:,} invoices, {steps:,} steps"


def compare(conninfo: str) -> str:
    """Every delivery measured anew and held against the ledger, statements and notices."""
    with opened(conninfo) as books:
        found = reconciling.compare(books, [BankGateway(books.pool)], MONTH, datetime.now(UTC))
    counted = sum(each.journal.deliveries for each in found.ours.tallies)
    return f"{counted:,} deliveries, {len(found.ours.tallies):,} lines, {len(found.breaks):,} breaks"


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
    measured("send", partial(send, conninfo), figures)
    measured("reconcile", partial(compare, conninfo), figures)
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
