"""Following the feed: facts per second that one process hands out by pages of 10,000, over HTTP, each page recorded."""

import itertools
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from api.cursor import cursor
from api.identity import Account, open_account
from domain.delivery import new_id
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.writer import Writer
from projections import runner
from tests.bench import load, traffic
from tests.bench.servers import Bench
from tests.open_register import subscribed

PAGE = 10_000
WIDE = Account("bench-logistics", "logistics", "压测物流", "Bench logistics")


def pull(bench: Bench, port: int, seconds: float, figures: dict[str, float]) -> None:
    """The whole feed again and again; the same packed; and by a filter that few facts pass."""
    with psycopg.connect(bench.conninfo, autocommit=True) as connection:
        key = open_account(connection, WIDE)
    with Journal("commerce", bench.conninfo).opened() as journal:
        writer = Writer(journal)
        stream, made = subscribed(WIDE.account)
        writer.write([Intent(facts=[NewFact(stream, new_id(made.happened_at), made)], fresh=True)])
        writer.stop()
    with psycopg.connect(bench.conninfo) as connection:
        last = runner.position(connection, "feed_index")
    starts = range(0, last - last % PAGE, PAGE)
    whole = [load.request("GET", f"/v1/feed?limit={PAGE}&after={cursor(start)}", key) for start in starts]
    packed = [each.replace(b"Host:", b"Accept-Encoding: gzip\r\nHost:", 1) for each in whole]
    figures["pull_facts_per_s"] = _pulled(port, whole, seconds)
    figures["pull_gzip_facts_per_s"] = _pulled(port, packed, seconds / 2)
    one = [load.request("GET", f"/v1/feed?limit={PAGE}&subject=container:{traffic.box(3)}", key)]
    figures["pull_one_box_ms"] = 1000 * PAGE / _pulled(port, one, seconds / 4)
    print(
        f"pull: {figures['pull_facts_per_s']:,.0f} facts/s, packed {figures['pull_gzip_facts_per_s']:,.0f},"
        f" the facts of one box in {figures['pull_one_box_ms']:.1f} ms"
    )


def _pulled(port: int, requests: list[bytes], seconds: float) -> float:
    """Facts per second, of full pages, one after another on each of two connections' time."""
    start = time.perf_counter()

    def pull_all(number: int) -> int:
        pages = 0
        for request in itertools.islice(itertools.cycle(requests), number, None):
            if time.perf_counter() - start > seconds:
                break
            _taken(port, request)
            pages += 1
        return pages

    with ThreadPoolExecutor(2) as threads:
        pages = sum(threads.map(pull_all, range(2)))
    return pages * PAGE / (time.perf_counter() - start)


def _taken(port: int, request: bytes) -> None:
    """An answer off the wire; the server closes behind it."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        wire.sendall(request)
        head = wire.recv(1 << 16)
        assert head.startswith(b"HTTP/1.1 200"), head[:300]
        while wire.recv(1 << 20):
            pass
