"""Following without asking: waiting for a page, and the open stream, which ends when there is no more leave for it."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api import stream as streams
from api.app import READ_MODELS
from api.cursor import cursor, position
from api.identity import Account, open_account
from domain.datasets import AIR, PORT, RAIL, ROAD
from domain.journal import Journal
from domain.writer import Writer
from projections import runner
from tests.bench import traffic
from tests.bench.servers import Bench
from tests.fixtures_node import PEOPLE, Node
from tests.open_register import subscribed
from tests.test_follow import cursor_behind_first
from tests.test_revocation_race import COMMERCE, change, judged, revoke
from tests.test_sight import BOX, event, granted, owned
from tests.test_track_api import STORY

EVENTS = {"Accept": "text/event-stream"}
WHO = "LOGISTICS-1"


def streamed(node: Node, who: str = "logistics", headers: Any = None, **params: Any) -> Any:
    asked = {**node.bearer(who), **EVENTS, **(headers or {})}
    return node.client.get("/v1/feed/stream", params={"seconds": 1, **params}, headers=asked)


def events(text: str) -> list[dict[str, str]]:
    return [dict(line.split(": ", 1) for line in each.splitlines()) for each in text.split("\n\n") if each.strip(": ")]


def facts(text: str) -> list[Any]:
    return [json.loads(each["data"]) for each in events(text) if "data" in each and "event" not in each]


# --- waiting for a page ---


def test_a_page_that_would_be_empty_is_held_back_until_there_is_something(node: Node) -> None:
    behind = node.get("/v1/feed", "logistics").json()["next"]
    later = threading.Timer(0.4, lambda: node.tell(*STORY))
    later.start()
    begun = time.monotonic()
    page = node.get("/v1/feed", "logistics", after=behind, wait=20).json()
    later.join()
    assert 0.3 < time.monotonic() - begun < 10
    assert page["items"][0]["fact"]["code"] == STORY[0]["code"]


def test_an_empty_answer_to_a_wait_costs_nothing_and_leaves_no_record(node: Node) -> None:
    page = node.get("/v1/feed", "logistics", wait=0.3).json()
    assert (page["items"], page["more"], page["service"]["quantity"]) == ([], False, 0)
    assert node.rows("SELECT count(*) FROM commerce_events WHERE topic = 'delivery.made'") == [(0,)]


def test_what_is_not_wanted_does_not_end_a_wait(node: Node) -> None:
    later = threading.Timer(0.2, lambda: node.tell(*STORY))
    later.start()
    page = node.get("/v1/feed", "logistics", wait=1, code="ROLLED").json()
    later.join()
    assert page["items"] == []
    assert node.rows("SELECT count(*) FROM commerce_events WHERE topic = 'delivery.made'") == [(0,)]


def test_who_wrote_reads_his_own_write_or_is_told_to_ask_again(node: Node) -> None:
    answer = node.post("native", json.dumps(STORY).encode()).json()
    behind = node.get("/v1/feed", "logistics", **{"min-position": answer["position"]})
    assert (behind.status_code, behind.json()["type"]) == (503, "/problems/behind")
    node.catch_up()
    page = node.get("/v1/feed", "logistics", **{"min-position": answer["position"]}).json()
    assert len(page["items"]) == len(STORY)


def test_a_page_is_packed_for_who_takes_it_so(node: Node) -> None:
    node.tell(*STORY)
    headers = node.bearer("logistics")
    plain = node.client.get("/v1/feed", headers={**headers, "Accept-Encoding": "identity"})
    packed = node.client.get("/v1/feed", headers={**headers, "Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json()["items"] == plain.json()["items"]
    raw = node.client.get("/v1/feed", headers={**headers, "Accept-Encoding": "br, gzip;q=0"})
    assert "content-encoding" not in raw.headers


def test_a_cursor_of_before_a_restore_is_refused_as_such(node: Node) -> None:
    answer = node.get("/v1/feed", "logistics", after=cursor(7, epoch=9))
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/old-cursor")
    assert node.get("/v1/feed", "logistics", after="!!!").json()["type"] == "/problems/bad-cursor"
    assert position(cursor(7, epoch=9), epoch=9) == 7


def test_with_each_fact_comes_the_state_of_its_subject_as_it_stood_then(node: Node) -> None:
    node.tell(event("1", "GATE_IN", 1, mode="TRUCK"), event("2", "LOADED", 2, mode="VESSEL"))
    node.tell({"id": "c", "document": "D2", "function": "cancel"}, event("3", "GATE_OUT", 3, mode="TRUCK"))
    items = node.get("/v1/feed", "logistics", form="state").json()["items"]
    assert [item["state"]["latest"]["code"] for item in items][:2] == ["GATE_IN", "LOADED"]
    assert items[0]["state"]["number"] == BOX
    [(state,)] = node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made'")
    assert json.loads(state)["datasets"] == sorted([PORT, ROAD])


# --- the stream ---


def test_a_stream_tells_each_fact_with_a_cursor_and_what_it_cost(node: Node) -> None:
    node.tell(*STORY)
    told = streamed(node)
    assert told.headers["content-type"].startswith("text/event-stream")
    assert [item["position"] for item in facts(told.text)] == [1, 2, 3]
    [served] = [json.loads(each["data"]) for each in events(told.text) if each.get("event") == "served"]
    assert (served["item"], served["quantity"], bool(served["tariff"])) == ("feed.stream", 3, True)
    [ended] = [json.loads(each["data"]) for each in events(told.text) if each.get("event") == "end"]
    assert ended["type"] == "/problems/stream-over"
    [(state,)] = node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made'")
    assert json.loads(state)["count"] == 3


def test_a_stream_resumes_behind_the_last_event(node: Node) -> None:
    node.tell(*STORY)
    behind = cursor_behind_first(node)
    assert [item["position"] for item in facts(streamed(node, headers={"Last-Event-ID": behind}).text)] == [2, 3]
    assert [item["position"] for item in facts(streamed(node, after=behind).text)] == [2, 3]


def test_an_idle_stream_costs_nothing_and_gives_a_sign_of_life(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.2)
    told = streamed(node).text
    assert told.count("\n: \n") >= 2
    assert node.rows("SELECT count(*) FROM commerce_events WHERE topic = 'delivery.made'") == [(0,)]


def test_who_does_not_say_that_he_takes_events_is_not_left_waiting(node: Node) -> None:
    answer = node.get("/v1/feed/stream", "logistics")
    assert (answer.status_code, answer.json()["type"]) == (406, "/problems/event-stream-only")


def test_without_leave_or_subscription_no_stream_is_opened(closed_node: Node) -> None:
    assert streamed(closed_node).status_code in {402, 403}
    assert streamed(closed_node, who="enterprise").status_code == 403


@contextmanager
def background(node: Node, who: str, **params: Any) -> Iterator[dict[str, str]]:
    """A stream that runs beside the test; its text is there when it has ended."""
    told: dict[str, str] = {}
    thread = threading.Thread(target=lambda: told.update(text=streamed(node, who, **params).text))
    thread.start()
    yield told
    thread.join()


def test_a_stream_ends_when_its_key_is_revoked(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.1)
    node.tell(*STORY)
    begun = time.monotonic()
    with background(node, "logistics", seconds=30) as told:
        time.sleep(0.5)
        with psycopg.connect(node.conninfo, autocommit=True) as connection:
            connection.execute("UPDATE api_keys SET revoked_at = now() WHERE account = 'mover'")
        node.client.app.state.gatekeeper.forget()
    assert time.monotonic() - begun < 20
    ended = events(told["text"])[-1]
    assert (ended["event"], json.loads(ended["data"])["type"]) == ("end", "/problems/no-credential")
    assert len(facts(told["text"])) == 3


REVOCATIONS = 100


@pytest.mark.slow
def test_a_revocation_bites_on_open_streams(closed_node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions come and go while streams are open and facts come in: nothing goes out under one behind its end."""
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    node = closed_node
    node.open("carrier", Account("carrier", "logistics", "物流", "Carrier", party=WHO))
    node.decide("commerce", *subscribed("carrier", WHO))
    over, told = threading.Event(), list[Any]()

    def follow() -> None:
        while not over.is_set():
            told.append(streamed(node, "carrier", seconds=5))

    threads = [threading.Thread(target=follow) for _ in range(4)]
    with Journal("commerce", node.conninfo).opened() as journal:
        writer = Writer(journal)
        change(writer, *(owned(dataset) for dataset in (ROAD, PORT, RAIL, AIR)))
        for thread in threads:
            thread.start()
        terms = {"valid_to": datetime.now(UTC) + timedelta(days=1), "channels": ("api",), "commercial": True}
        for number in range(REVOCATIONS):
            change(writer, granted(WHO, dataset=ROAD, number=f"R{number}", **terms))
            node.tell(event(str(number), "GATE_IN", 1 + number % 28, mode="TRUCK", text=str(number)))
            time.sleep(0.02 * (number % 3))
            revoke(writer, f"R{number}")
        over.set()
        for thread in threads:
            thread.join()
        writer.stop()
    delivered, behind = judged(node.rows(COMMERCE))
    ends = [events(each.text)[-1]["data"] for each in told if each.status_code == 200]
    assert behind == []
    assert delivered > 50, "the race was none"
    assert any("no-leave" in end for end in ends)
    print(f"{REVOCATIONS} revocations, {len(told)} streams, {delivered} deliveries under a permission, 0 behind one")


MARK = b'\ndata: {"position"'


@pytest.mark.slow
def test_nothing_is_made_in_advance_for_a_reader_that_does_not_read(database: str, tmp_path: Path) -> None:
    """On the real server: 10,000 facts, of which only what the sockets hold goes out and is recorded."""
    bench = Bench(database, tmp_path)
    with psycopg.connect(database, autocommit=True) as connection:
        key = open_account(connection, PEOPLE["logistics"])
        with Journal("cargo", database).opened() as journal:
            writer = Writer(journal)
            for first in range(0, 20_000, 1_000):
                writer.write(traffic.append_intents(first, 1_000))
            writer.stop()
            runner.catch_up(connection, journal, READ_MODELS)
        with bench.api() as port, socket.create_connection(("127.0.0.1", port), timeout=10) as reader:
            asked = (
                f"GET /v1/feed/stream HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer {key}"
            )
            reader.sendall(f"{asked}\r\n\r\n".encode())
            counts = [handed_out(connection, 3.0), handed_out(connection, 1.0)]
            assert 0 < counts[0] == counts[1] < 20_000
            reader.settimeout(60)
            got, rest = 0, b""
            while got < 20_000:
                piece = rest + reader.recv(1 << 20)
                got, rest = got + piece.count(MARK), piece[1 - len(MARK) :]
    print(f"{counts[1]} of 20,000 facts were handed to a reader that did not read")
    assert got == 20_000


def handed_out(connection: psycopg.Connection[Any], seconds: float) -> int:
    time.sleep(seconds)
    row = connection.execute(
        "SELECT coalesce(sum((convert_from(state, 'UTF8')::json ->> 'count')::int), 0)"
        " FROM commerce_events WHERE topic = 'delivery.made'"
    ).fetchone()
    assert row is not None
    return int(row[0])
