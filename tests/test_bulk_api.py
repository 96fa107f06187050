"""A streamed body: any length in little memory, a receipt for each message in its order, a last line that is true."""

import gzip
import http.client
import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from api import limits
from tests.fixtures_api import Served
from tests.fixtures_node import Node
from tests.test_parts import ADVISED, GROUPED, MISCOUNTED, messages, unb

BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
ITEMS = 200_000
GROWTH_BYTES_MAX = 50_000_000


def event(number: int, **other: Any) -> dict[str, Any]:
    told = {
        "id": str(number),
        "subject": f"container:KOUU{number // 10 % 1_000_000:06}0",
        "code": "GATE_IN" if number % 2 else "GATE_OUT",
        "happened_at": (BEGAN + timedelta(minutes=number)).isoformat(),
        "place": "CNNKG",
        "mode": "TRUCK",
    }
    return {**told, **other}


def ndjson(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in events)


def stream(node: Node, message_format: str, body: Any, who: str = "source", **headers: str) -> Any:
    return node.client.post(
        f"/v1/reports?format={message_format}&stream=true", content=body, headers={**node.bearer(who), **headers}
    )


def lines(answer: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The receipts and the last line."""
    assert answer.status_code == 202, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    *receipts, last = [json.loads(line) for line in answer.text.splitlines()]
    return receipts, last


def in_pieces(body: bytes, piece_bytes: int = 1_000) -> Iterator[bytes]:
    for at in range(0, len(body), piece_bytes):
        yield body[at : at + piece_bytes]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts so small that a short body has many."""
    monkeypatch.setattr("api.parts.cutter.__kwdefaults__", {"bytes_max": 2_000, "messages_max": 3})


@pytest.mark.usefixtures("small_parts")
def test_every_message_has_its_line_in_order_and_the_last_line_counts_them(node: Node) -> None:
    body = ndjson(*(event(n) for n in range(10)), {"subject": "container:X"}, event(3), event(11))
    receipts, last = lines(stream(node, "native", in_pieces(body)))
    assert [receipt["index"] for receipt in receipts] == list(range(13))
    statuses = [receipt["status"] for receipt in receipts]
    assert statuses == ["recorded"] * 10 + ["quarantined", "duplicate", "recorded"]
    assert receipts[10]["problem"]["offset"] == body.index(b'{"subject": "container:X"}')
    told = {name: last[name] for name in ("done", "messages", "recorded", "duplicate", "confirmed", "quarantined")}
    assert told == {"done": True, "messages": 13} | {
        name: Counter(statuses)[name] for name in ("recorded", "duplicate", "confirmed", "quarantined")
    }
    assert (last["bytes"], last["warnings"], last["problem"]) == (len(body), [], None)
    assert node.rows("SELECT max(notification_id) FROM cargo_events") == [(last["position"],)]
    assert node.rows("SELECT count(*) FROM cargo_transmissions")[0][0] > 3
    assert b"".join(bytes(row[0]) for row in node.rows(KEPT)) == body


KEPT = """
SELECT body FROM cargo_transmissions JOIN (
    SELECT transmission_id, min(ctid) AS first FROM cargo_messages GROUP BY transmission_id
) AS came USING (transmission_id)
ORDER BY received_at, cargo_transmissions.ctid
"""


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("body", [ADVISED + GROUPED, GROUPED + MISCOUNTED + ADVISED], ids=["sound", "miscounted"])
def test_an_interchange_in_parts_is_the_same_to_the_journal_as_in_one(node: Node, body: str) -> None:
    whole = node.post("codeco", body.encode()).json()["receipts"]
    receipts, last = lines(stream(node, "codeco", in_pieces(body.encode(), 77)))
    assert [receipt["message_id"] for receipt in receipts] == [receipt["message_id"] for receipt in whole]
    assert {receipt["status"] for receipt in receipts} == {"duplicate"}
    odd = [warning for receipt in whole for warning in receipt["warnings"] if "UNZ" in warning]
    assert last["warnings"] == odd
    assert len(odd) == 2 * body.count(MISCOUNTED)
    assert not any("UNZ" in warning for receipt in receipts for warning in receipt["warnings"])


@pytest.mark.usefixtures("small_parts")
def test_a_fault_is_told_by_its_place_in_the_whole_body(node: Node) -> None:
    body = (unb("F") + messages(*range(9)) + messages(9).replace("UNT+10", "UNT+11") + "UNZ+10+F'").encode()
    whole = node.post("codeco", body, "line").json()["receipts"][9]["problem"]
    receipts, _ = lines(stream(node, "codeco", in_pieces(body)))
    assert receipts[9]["problem"] == whole
    assert whole["path"].startswith("UNH[10]")
    assert node.rows("SELECT count(*) FROM cargo_quarantine WHERE source = 'terminal'") == [(1,)]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("message_format", ["dcsa", "customs-receipt", "rail", "one-record"])
def test_every_json_format_may_come_line_by_line(node: Node, message_format: str) -> None:
    broken = b'{"neither": "nor"}'
    receipts, last = lines(stream(node, message_format, b"\n".join([broken] * 7)))
    assert [receipt["status"] for receipt in receipts] == ["quarantined"] * 7
    assert [receipt["problem"]["offset"] for receipt in receipts] == [at * (len(broken) + 1) for at in range(7)]
    assert last["quarantined"] == 7


def test_accept_asks_for_the_same(node: Node) -> None:
    headers = {**node.bearer("source"), "Accept": "application/x-ndjson"}
    receipts, _ = lines(node.client.post("/v1/reports?format=native", content=ndjson(event(1)), headers=headers))
    assert len(receipts) == 1
    answer = node.client.post("/v1/reports?format=native&stream=false", content=ndjson(event(1)), headers=headers)
    assert answer.json()["receipts"][0]["status"] == "duplicate"


def test_an_empty_stream_is_told_like_an_empty_body(node: Node) -> None:
    for body in (b"", b"\n\n"):
        [receipt], last = lines(stream(node, "native", body))
        assert receipt["problem"]["code"] == "body.empty"
        assert (last["done"], last["quarantined"]) == (True, 1)


def test_a_compressed_stream_is_undone_as_it_comes(node: Node) -> None:
    body = gzip.compress(ndjson(*(event(n) for n in range(5_000))))
    _, last = lines(stream(node, "native", in_pieces(body), **{"Content-Encoding": "gzip"}))
    assert (last["done"], last["recorded"] + last["duplicate"]) == (True, 5_000)


@pytest.mark.usefixtures("small_parts")
def test_the_usual_limits_of_a_body_do_not_count_there(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_BYTES_MAX", 1_000)
    monkeypatch.setattr(limits, "BODY_MESSAGES_MAX", 4)
    body = ndjson(*(event(n) for n in range(30)))
    assert node.post("native", body).status_code == 413
    assert lines(stream(node, "native", body))[1]["messages"] == 30


@pytest.mark.usefixtures("small_parts")
def test_where_it_must_end_before_its_time_what_was_recorded_is_told(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MESSAGE_BYTES_MAX", 1_000)
    good = ndjson(*(event(n) for n in range(7)))
    receipts, last = lines(stream(node, "native", in_pieces(good + b"x" * 5_000 + b"\n" + ndjson(event(9)), 100)))
    assert (last["done"], last["messages"]) == (False, len(receipts))
    assert last["problem"]["type"] == "/problems/too-large"
    assert last["problem"]["facts"]["offset"] == len(good)
    assert 0 < last["bytes"] <= len(good)
    assert node.rows("SELECT count(*) FROM cargo_messages") == [(len(receipts),)]


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ("format=native", b'[\n{"a": 1}\n]', (422, "bad-stream")),
        ("format=fsu", b"FSU/14", (422, "bad-stream")),
        ("format=codeco&answer=contrl", b"", (422, "no-such-answer")),
        ("format=morse", b"", (415, "unknown-format")),
        ("format=native", b"x" * (limits.MESSAGE_BYTES_MAX + 1), (413, "too-large")),
    ],
)
def test_what_cannot_be_begun_is_an_ordinary_problem(
    node: Node, query: str, body: bytes, expected: tuple[int, str]
) -> None:
    answer = node.client.post(f"/v1/reports?{query}&stream=true", content=body, headers=node.bearer("source"))
    assert (answer.status_code, answer.json()["type"].removeprefix("/problems/")) == expected
    assert node.rows("SELECT count(*) FROM cargo_transmissions") == [(0,)]


@pytest.mark.usefixtures("small_parts")
def test_under_a_key_the_same_stream_gets_the_same_statuses(node: Node) -> None:
    body = ndjson(*(event(n) for n in range(8)), {"id": "broken"})
    key = {"Idempotency-Key": "s-1"}
    first, _ = lines(stream(node, "native", body, **key))
    again, _ = lines(stream(node, "native", in_pieces(body, 50), **key))
    assert again == first
    without, _ = lines(stream(node, "native", body))
    assert {receipt["status"] for receipt in without} == {"duplicate", "quarantined"}


# --- through a real server ---


def test_what_a_sender_that_breaks_off_has_sent_whole_is_recorded_and_no_more(served: Served) -> None:
    body = ndjson(*(event(n) for n in range(9_000)))
    with socket.create_connection(("127.0.0.1", served.port)) as sender:
        head = (
            f"POST /v1/reports?format=native&stream=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.key}\r\n"
        )
        sender.sendall(f"{head}Content-Length: {len(body) + 1}\r\n\r\n".encode() + body[:-40])
        time.sleep(0.5)
    deadline = time.monotonic() + 20
    with psycopg.connect(served.conninfo, autocommit=True) as connection:
        while (found := connection.execute(COUNTED).fetchone()) != (8_000, 4, 0) and time.monotonic() < deadline:
            time.sleep(0.2)
    assert found == (8_000, 4, 0)


COUNTED = """
SELECT (SELECT count(*) FROM cargo_messages), (SELECT count(*) FROM cargo_transmissions),
       (SELECT count(*) FROM cargo_quarantine)
"""


@pytest.mark.slow
def test_a_sender_that_reads_nothing_until_it_has_written_everything_is_served(served: Served) -> None:
    """Ten million bytes of receipts do not fit into the buffers between them: an early answer would block both."""
    body = ndjson(*(event(n) for n in range(30_000)))
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=120)
    connection.request("POST", "/v1/reports?format=native&stream=true", body, served.bearer)
    *receipts, last = connection.getresponse().read().splitlines()
    connection.close()
    assert len(receipts) == 30_000
    assert json.loads(last)["done"] is True


@pytest.mark.slow
def test_two_hundred_thousand_messages_take_no_more_memory_than_two_thousand(served: Served) -> None:
    send(served, range(20_000))  # what Python and its libraries need anyhow
    before = served.memory_bytes()
    highest = 0

    def watched() -> Iterator[bytes]:
        nonlocal highest
        for number in range(20_000, 20_000 + ITEMS, 1_000):
            yield ndjson(*(event(n) for n in range(number, number + 1_000)))
            highest = max(highest, served.memory_bytes())

    last = post(served, watched())
    highest = max(highest, served.memory_bytes())
    assert (last["done"], last["messages"], last["quarantined"]) == (True, ITEMS, 0)
    assert highest - before < GROWTH_BYTES_MAX


def send(served: Served, numbers: range) -> dict[str, Any]:
    return post(served, (ndjson(event(n)) for n in numbers))


def post(served: Served, body: Iterator[bytes]) -> dict[str, Any]:
    """The last line of the answer."""
    url = f"{served.url}/v1/reports?format=native&stream=true"
    last = b""
    with httpx.stream("POST", url, content=body, headers=served.bearer, timeout=300, trust_env=False) as answer:
        for line in answer.iter_lines():
            last = line.encode()
    told: dict[str, Any] = json.loads(last)
    return told
