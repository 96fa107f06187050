"""The read side: projecting, lag, and asking against a bare handler."""

import itertools
import time
from collections.abc import Iterator

import httpx
import psycopg

from api.app import READ_MODELS
from domain.journal import Journal
from projections import runner
from tests.bench import load, traffic
from tests.bench.servers import Bench
from tests.bench.write import FILLED

LAG_SAMPLES = 200
ASK_CONNECTIONS = 64
ASKED_BOXES = 500
VERIFY_CONNECTIONS = 16
VERIFIED_BOXES = 4_000


def project(bench: Bench, figures: dict[str, float]) -> None:
    """All read models of the cargo journal catch up from where they are (position 0 in a fresh run)."""
    with (
        psycopg.connect(bench.conninfo, autocommit=True) as connection,
        Journal("cargo", bench.conninfo).opened() as journal,
    ):
        start, behind = time.perf_counter(), journal.last(connection)
        runner.catch_up(connection, journal, READ_MODELS)
        rate = behind / (time.perf_counter() - start)
        connection.execute("VACUUM ANALYZE timeline, links")
    figures["project_per_s"] = rate
    figures["project"] = rate / figures["ingest_per_s"]
    print(f"project: {rate:,.0f} facts/s, {figures['project']:.2f} of ingest")


def lag(bench: Bench, port: int, figures: dict[str, float]) -> None:
    """From the answer to a report until its fact is on the timeline."""
    lags = []
    headers = {"Authorization": f"Bearer {bench.source}"}
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as client,
        psycopg.connect(bench.conninfo, autocommit=True) as connection,
    ):
        for number in range(LAG_SAMPLES):
            body = traffic.native(FILLED * 9 + number, 1)
            position = client.post("/v1/reports?format=native", content=body).raise_for_status().json()["position"]
            start = time.perf_counter()
            assert runner.wait_for(connection, "timeline", position, 10)
            lags.append((time.perf_counter() - start) * 1000)
            time.sleep(0.01)
    figures["lag_p99_ms"] = sorted(lags)[int(len(lags) * 0.99)]
    print(f"lag: p50 {sorted(lags)[len(lags) // 2]:.1f} ms, p99 {figures['lag_p99_ms']:.1f} ms")


def ask(bench: Bench, port: int, seconds: float, figures: dict[str, float]) -> None:
    """`/v1/track` with identity and a durable delivery record, against a bare handler that returns the same bytes."""
    paths = [f"/v1/track/{traffic.box((FILLED // traffic.FACTS_PER_BOX) + number)}" for number in range(ASKED_BOXES)]
    headers = {"Authorization": f"Bearer {bench.enterprise}"}
    content = (
        httpx.get(f"http://127.0.0.1:{port}{paths[0]}", headers=headers, trust_env=False).raise_for_status().content
    )
    requests = [load.request("GET", path, bench.enterprise) for path in paths]

    def endless(number: int) -> Iterator[bytes]:
        return itertools.islice(itertools.cycle(requests), number, None)

    asked = load.run(port, endless, connections=ASK_CONNECTIONS, seconds=seconds)
    with bench.bare(content) as bare_port:
        bare = load.run(bare_port, endless, connections=ASK_CONNECTIONS, seconds=seconds)
    figures["ask_per_s"], figures["bare_per_s"] = asked.per_second, bare.per_second
    figures["ask"] = asked.per_second / bare.per_second
    figures["ask_p50_ms"], figures["ask_p99_ms"] = asked.percentile(0.5), asked.percentile(0.99)
    figures["ask_bytes"] = len(content)
    print(
        f"ask: {asked.per_second:,.0f}/s, bare {bare.per_second:,.0f}/s, ratio {figures['ask']:.2f},"
        f" p99 {figures['ask_p99_ms']:.1f} ms, {len(content):,} bytes"
    )


def verify(bench: Bench, port: int, seconds: float, figures: dict[str, float]) -> None:
    """`/v1/verify` with identity and a durable delivery record: gates that ask about one box after another.

    Each box is asked about for two moves, so nearly every answer is made anew; every tenth has its papers.
    """
    first = FILLED // traffic.FACTS_PER_BOX
    headers = {"Authorization": f"Bearer {bench.source}"}
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=60) as client,
        psycopg.connect(bench.conninfo, autocommit=True) as connection,
    ):
        for kind, body in traffic.papers(first, VERIFIED_BOXES, step=10):
            answer = client.post(f"/v1/reports?format={kind}", content=body).raise_for_status()
        assert runner.wait_for(connection, "timeline", answer.json()["position"], 60)
    requests = [
        load.request("GET", f"/v1/verify/containers/{traffic.box(first + number)}?action={action}", bench.enterprise)
        for action in ("gate-out", "load")
        for number in range(VERIFIED_BOXES)
    ]

    def own(number: int) -> Iterator[bytes]:
        return itertools.cycle(requests[number::VERIFY_CONNECTIONS])

    verified = load.run(port, own, connections=VERIFY_CONNECTIONS, seconds=seconds)
    figures["verify_per_s"] = verified.per_second
    figures["verify_p50_ms"], figures["verify_p99_ms"] = verified.percentile(0.5), verified.percentile(0.99)
    print(
        f"verify: {verified.per_second:,.0f}/s, p50 {figures['verify_p50_ms']:.1f} ms,"
        f" p99 {figures['verify_p99_ms']:.1f} ms at {VERIFY_CONNECTIONS} connections"
    )
