"""`Idempotency-Key`: one effect, and the same answer byte for byte, however often and however many at once."""

import asyncio
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from api import idempotency, limits
from api.idempotency import Answer, Ask
from api.pool import open_pool
from domain.writer import Busy
from tests.fixtures_api import Served
from tests.fixtures_node import Node

EVENT = {
    "id": "1",
    "subject": "container:CSQU3054383",
    "code": "GATE_IN",
    "happened_at": "2026-03-01T12:00:00+08:00",
    "place": "CNNKG",
    "mode": "TRUCK",
}
BODY = json.dumps([EVENT, {"subject": "container:X"}, {**EVENT, "id": "2", "code": "GATE_OUT"}]).encode()
OTHER = json.dumps([{**EVENT, "id": "9"}]).encode()
KEY = {"Idempotency-Key": "k-1"}


def facts(node: Node) -> int:
    return int(node.rows("SELECT count(*) FROM cargo_events")[0][0])


def same(one: Any, other: Any) -> bool:
    return (one.status_code, one.headers["content-type"], one.content) == (
        *(other.status_code, other.headers["content-type"], other.content),
    )


def test_the_same_request_gets_the_same_answer(node: Node) -> None:
    first, again = node.post("native", BODY, **KEY), node.post("native", BODY, **KEY)
    assert [receipt["status"] for receipt in first.json()["receipts"]] == ["recorded", "quarantined", "recorded"]
    assert same(first, again)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert facts(node) == 2


def test_without_a_key_a_repetition_is_told_as_one(node: Node) -> None:
    node.post("native", BODY, **KEY)
    assert node.post("native", BODY).json()["receipts"][0]["status"] == "duplicate"


def test_an_answer_in_edifact_is_the_same_too(node: Node) -> None:
    headers = {**node.bearer("source"), **KEY}
    url = "/v1/reports?format=codeco&answer=contrl"
    first, again = (node.client.post(url, content=b"UNB+UNOA:1+A+B+1:1+R'UNZ+0+R'", headers=headers) for _ in "ab")
    assert first.headers["content-type"].startswith("application/edifact")
    assert same(first, again)
    assert first.headers["Kouan-Position"] == again.headers["Kouan-Position"]


@pytest.mark.parametrize(
    ("path", "body"),
    [("?format=native", OTHER), ("?format=device", BODY), ("?format=native&sent_at=2026-01-01T00:00:00Z", BODY)],
)
def test_a_key_that_was_used_for_another_request_is_refused(node: Node, path: str, body: bytes) -> None:
    node.post("native", BODY, **KEY)
    answer = node.client.post(f"/v1/reports{path}", content=body, headers={**node.bearer("source"), **KEY})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-mismatch")
    assert facts(node) == 2


def test_a_key_belongs_to_its_account(node: Node) -> None:
    node.post("native", BODY, **KEY)
    assert node.post("native", OTHER, "line", **KEY).status_code == 202


@pytest.mark.parametrize("key", ["", "x" * (limits.KEY_CHARS_MAX + 1)])
def test_a_key_that_cannot_be_kept_is_refused(node: Node, key: str) -> None:
    answer = node.post("native", BODY, **{"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key")
    assert node.post("native", BODY, **{"Idempotency-Key": "x" * limits.KEY_CHARS_MAX}).status_code == 202


def test_a_request_that_was_turned_away_may_be_mended_under_its_key(node: Node) -> None:
    headers = {**node.bearer("source"), **KEY}
    assert node.client.post("/v1/reports?format=morse", content=BODY, headers=headers).status_code == 415
    assert node.post("native", b" " * (limits.BODY_BYTES_MAX + 1), **KEY).status_code == 413
    assert node.post("native", BODY, **KEY).status_code == 202


def test_while_the_first_is_at_work_the_others_are_asked_to_wait(node: Node) -> None:
    node.post("native", BODY, **KEY)
    forget_answer(node.conninfo)
    answer = node.post("native", BODY, **KEY)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/idempotency-in-progress")
    assert int(answer.headers["Retry-After"]) >= 1


def test_after_a_crash_between_commit_and_answer_the_receipts_are_those_of_the_first(node: Node) -> None:
    body = json.dumps([EVENT, {**EVENT, "id": "2"}, {**EVENT, "id": "3", "code": "GATE_OUT"}, {"id": "4"}]).encode()
    node.tell({**EVENT, "id": "n", "code": "LOADED"}, who="line")
    with_witness = body[:-1] + b"," + json.dumps({**EVENT, "id": "5", "code": "LOADED"}).encode() + b"]"
    first = node.post("native", with_witness, **KEY).json()
    told = Counter(receipt["status"] for receipt in first["receipts"])
    assert told == {"recorded": 2, "duplicate": 1, "confirmed": 1, "quarantined": 1}
    before = facts(node)
    forget_answer(node.conninfo, age_seconds=idempotency.HELD_SECONDS + 1)
    again = node.post("native", with_witness, **KEY).json()
    assert again["receipts"] == first["receipts"]
    assert facts(node) == before


def test_another_body_is_refused_after_a_crash_too(node: Node) -> None:
    node.post("native", BODY, **KEY)
    forget_answer(node.conninfo, age_seconds=idempotency.HELD_SECONDS + 1)
    assert node.post("native", OTHER, **KEY).status_code == 422


def forget_answer(conninfo: str, age_seconds: int = 0) -> None:
    """What a process leaves behind that dies after its commit and before its answer is kept."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(
            "UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL,"
            " held_at = now() - make_interval(secs => %s)",
            (age_seconds,),
        )


def test_what_went_wrong_is_not_kept(node: Node) -> None:
    asked = Ask("terminal", "k", b"f")

    async def fail(_: object) -> Answer:
        raise Busy("the journal is away")

    async def work(_: object) -> Answer:
        return Answer(202, {"Content-Type": "text/plain"}, b"done")

    with open_pool(node.conninfo) as pool:
        with pytest.raises(Busy):
            asyncio.run(idempotency.once(pool, asked, fail))
        assert asyncio.run(idempotency.once(pool, asked, work)).content == b"done"
        assert asyncio.run(idempotency.once(pool, asked, fail)).content == b"done"


def test_keys_are_kept_for_a_week_and_then_forgotten(node: Node) -> None:
    for key in ("old", "new"):
        node.post("native", BODY, **{"Idempotency-Key": key})
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        connection.execute("UPDATE idempotency_keys SET created_at = now() - interval '6 days 23 hours'")
        assert idempotency.purge(connection) == 0
        connection.execute("UPDATE idempotency_keys SET created_at = now() - interval '8 days' WHERE key = 'old'")
        idempotency.purge_all(node.conninfo)
        assert connection.execute("SELECT key FROM idempotency_keys").fetchall() == [("new",)]


@pytest.mark.slow
def test_twenty_at_once_have_one_effect_and_one_answer(served: Served) -> None:
    statuses = Counter[int]()
    with ThreadPoolExecutor(21) as threads:
        for number in range(5):
            key, body = f"key-{number}", json.dumps([{**EVENT, "id": str(number)}, {"id": "broken"}]).encode()
            together = threading.Barrier(21)
            twenty = [threads.submit(post, served, key, body, together, statuses) for _ in range(20)]
            altered = threads.submit(post, served, key, body[:-1] + b" ]", together, statuses)
            answers = Counter(answer.result() for answer in [*twenty, altered])
            # The altered one may be the first: then it is the one that counts.
            assert (sorted(answers.values()), sorted(answer[0] for answer in answers)) == ([1, 20], [202, 422])
    assert statuses[409] > 0, "nobody came while the first was at work"
    with psycopg.connect(served.conninfo) as connection:
        assert connection.execute("SELECT count(*) FROM cargo_events").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM cargo_transmissions").fetchone() == (5,)


def post(
    served: Served, key: str, body: bytes, together: threading.Barrier, statuses: Counter[int]
) -> tuple[int, str, bytes]:
    """A client that asks again for as long as its request is said to be at work."""
    together.wait()
    while True:
        headers = {**served.bearer, "Idempotency-Key": key}
        answer = httpx.post(f"{served.url}/v1/reports?format=native", content=body, headers=headers, trust_env=False)
        statuses[answer.status_code] += 1
        if answer.status_code != 409:
            content = answer.content if answer.status_code == 202 else b""
            return answer.status_code, answer.headers["content-type"], content
        time.sleep(0.05)
