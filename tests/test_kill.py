"""Accepted means durable: kill -9 of the API in the middle of the sample day, start again, post everything again."""

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import psycopg
import pytest

from api import demo, schema
from api.settings import Settings
from api.supervise import serve
from examples.day import Post, deliveries
from tests.bench.servers import free_port

KILLS = 3


def workers(child: int) -> list[int]:
    return [process.pid for process in psutil.Process(child).children(recursive=True)]


@pytest.mark.slow
def test_every_message_accepted_before_a_kill_is_there_exactly_once(database: str, tmp_path: Path) -> None:
    schema.install(database)
    settings = Settings(home=tmp_path, port=free_port(), database_url=database)
    accepted: list[str] = []
    lost = Counter[str]()
    with serve(settings, database):
        url = f"http://{settings.host}:{settings.port}"
        with psycopg.connect(database, autocommit=True) as connection:
            shown = demo.open_accounts(connection, tmp_path, url)
        over = threading.Event()
        killer = threading.Thread(target=kill_now_and_then, args=(settings.port, over, lost))
        killer.start()
        for post in deliveries():
            answer = post_until_answered(url, shown.keys.sources[post.source], post)
            accepted += [receipt["message_id"] for receipt in answer["receipts"] if receipt["status"] != "quarantined"]
        over.set()
        killer.join()
        for post in deliveries():
            receipts = post_until_answered(url, shown.keys.sources[post.source], post)["receipts"]
            assert {receipt["status"] for receipt in receipts} <= {"duplicate", "quarantined"}
    assert lost["kills"] == KILLS, "the day was over before the API was killed often enough"
    with psycopg.connect(database) as connection:
        stored = [str(row[0]) for row in connection.execute("SELECT message_id FROM cargo_messages")]
        facts = [row[0] for row in connection.execute("SELECT fact_id FROM cargo_events")]
        heads = connection.execute(
            "SELECT max(originator_version) - count(*) FROM cargo_events GROUP BY originator_id"
        ).fetchall()
    assert set(accepted) <= set(stored)
    assert len(stored) == len(set(stored))
    assert len(facts) == len(set(facts))
    assert {row[0] for row in heads} == {0}, "versions of a stream have a gap"


def kill_now_and_then(port: int, over: threading.Event, lost: "Counter[str]") -> None:
    """SIGKILL whoever listens on the port, a few times, as soon as it is well."""
    while lost["kills"] < KILLS and not over.wait(0.4):
        listening = [link for link in psutil.net_connections("tcp") if link.status == "LISTEN" and link.pid]
        owners = {link.pid for link in listening if link.laddr.port == port}
        for owner in owners:
            for pid in [*workers(owner), owner]:
                os.kill(pid, signal.SIGKILL)
        lost["kills"] += bool(owners)


def post_until_answered(url: str, key: str, post: Post) -> dict[str, list[dict[str, str]]]:
    """A source that keeps sending until it has an answer, as a good source does."""
    deadline = time.monotonic() + 60
    while True:
        try:
            answer = httpx.post(
                f"{url}/v1/reports",
                params={"format": post.format, "sent_at": post.sent_at.isoformat()},
                content=post.body,
                headers={"Authorization": f"Bearer {key}"},
                timeout=10,
                trust_env=False,
            )
            answer.raise_for_status()
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the API did not come back"
            time.sleep(0.1)
        else:
            found: dict[str, list[dict[str, str]]] = answer.json()
            return found
