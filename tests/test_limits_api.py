"""Limits: what is too much is turned away with a reason before anything is recorded, and the docs say how much."""

import asyncio
import gzip
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from api import limits
from api.body import Inflater
from api.limits import BadEncoding, TooDense
from tests.fixtures_node import Node

DOCS = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
EVENT = {
    "id": "1",
    "subject": "container:CSQU3054383",
    "code": "GATE_IN",
    "happened_at": "2026-03-01T12:00:00+08:00",
}
GZIP = {"Content-Encoding": "gzip"}


def problem(answer: Any) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].removeprefix("/problems/")


def nothing_is_recorded(node: Node) -> bool:
    return node.rows("SELECT count(*) FROM cargo_transmissions") == [(0,)]


@pytest.mark.parametrize(
    ("limit", "row"),
    [
        (limits.BODY_BYTES_MAX, "body, after decompression"),
        (limits.BODY_MESSAGES_MAX, "messages in a body"),
        (limits.BODY_SECONDS_MAX, "arrival of a body"),
        (limits.INFLATION_MAX, "what a compressed byte becomes"),
        (limits.INFLATION_BYTES_MIN, "what a compressed byte becomes"),
        (limits.KEY_CHARS_MAX, "`Idempotency-Key`"),
        (limits.MESSAGE_BYTES_MAX, "a message of a stream"),
        (limits.PIECE_SECONDS_MAX, "pause in a stream"),
        (limits.DEPTH_MAX, "JSON and XML"),
        (limits.MESSAGE_SEGMENTS_MAX, "segments of an EDIFACT message"),
        (limits.BODY_SEGMENTS_MAX, "segments of an EDIFACT message"),
        (limits.SEGMENT_CHARS_MAX, "an EDIFACT segment"),
    ],
)
def test_the_docs_tell_the_limits_that_hold(limit: float, row: str) -> None:
    [line] = [line for line in DOCS.splitlines() if line.startswith(f"| {row}")]
    assert f"{limit:,g}" in re.findall(r"[\d,]+", line) or f"{int(limit):,}" in re.findall(r"[\d,]*\d", line)


# --- how much ---


def test_a_body_that_is_too_long_is_refused_even_without_its_length(node: Node) -> None:
    def grows() -> Any:
        for _ in range(limits.BODY_BYTES_MAX // 100_000 + 1):
            yield b" " * 100_000

    url, headers = "/v1/reports?format=native", node.bearer("source")
    assert problem(node.client.post(url, content=grows(), headers=headers)) == (413, "too-large")
    assert nothing_is_recorded(node)


@pytest.mark.parametrize(
    ("message_format", "body"),
    [
        ("native", b"[%s]" % b",".join([b"0"] * 3)),
        ("native", b"[%s]" % b",".join([b'{"subject":"container:CSQU3054383"}'] * 3)),
        ("native", b"[%s" % b",".join([b"{}"] * 4)),
        ("native", b'{"a":1}\n' * 3),
        ("native", b"0\n" * 2 + b'{"a":1}\n'),
        ("dcsa", b'{"events":[%s]}' % b",".join([b"{}"] * 4)),
        ("dcsa", b'{"a":1}\n' * 3),
        ("customs-receipt", b"<DecResult/>" * 3),
        ("manifest", b"[{},{},{}]"),
        ("fsu", b"FSU/14\r\n" * 3),
    ],
)
def test_a_body_with_too_many_messages_is_refused_whole(
    node: Node, monkeypatch: pytest.MonkeyPatch, message_format: str, body: bytes
) -> None:
    monkeypatch.setattr(limits, "BODY_MESSAGES_MAX", 2)
    assert problem(node.post(message_format, body)) == (413, "too-many-messages")
    assert nothing_is_recorded(node)


def test_very_many_tiny_elements_are_refused_quickly(node: Node) -> None:
    began = time.perf_counter()
    assert problem(node.post("native", b"[" + b"0," * 4_000_000 + b"0]")) == (413, "too-many-messages")
    assert problem(node.post("native", b"0\n" * 4_000_000 + b'{"a":1}\n')) == (413, "too-many-messages")
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize("message_format", ["native", "dcsa", "one-record", "epcis", "device", "rail", "manifest"])
def test_what_is_nested_too_deeply_is_set_aside_and_its_neighbour_taken(node: Node, message_format: str) -> None:
    deep = b'{"a":' * (limits.DEPTH_MAX + 1) + b"1" + b"}" * (limits.DEPTH_MAX + 1)
    told = node.post(message_format, b"[" + deep + b"," + json.dumps(EVENT).encode() + b"]").json()["receipts"]
    assert told[0]["problem"]["code"].partition(".")[2] == "depth"
    assert (told[1]["problem"] is None) == (message_format == "native")


def test_brackets_in_a_text_are_no_nesting(node: Node) -> None:
    body = json.dumps([{**EVENT, "text": '[{"' * limits.DEPTH_MAX}]).encode()
    assert node.post("native", body).json()["receipts"][0]["status"] == "recorded"


# --- compressed ---


def test_gzip_is_undone(node: Node) -> None:
    body = json.dumps([EVENT]).encode()
    [receipt] = node.post("native", gzip.compress(body), **GZIP).json()["receipts"]
    assert receipt["status"] == "recorded"
    assert [bytes(row[0]) for row in node.rows("SELECT body FROM cargo_transmissions")] == [body]


@pytest.mark.parametrize("name", ["zstd", "br", "deflate", "gzip, gzip", "rot13"])
def test_an_encoding_that_is_not_known_is_refused(node: Node, name: str) -> None:
    answer = node.post("native", b"x", **{"Content-Encoding": name})
    assert problem(answer) == (415, "unknown-encoding")
    assert answer.headers["Accept-Encoding"] == "gzip"


@pytest.mark.parametrize("spoil", [lambda z: z[:-1], lambda z: z[:9], lambda z: z + b"x", lambda z: b"x" + z])
def test_broken_gzip_is_refused(node: Node, spoil: Any) -> None:
    assert problem(node.post("native", spoil(gzip.compress(json.dumps([EVENT]).encode())), **GZIP)) == (
        *(422, "bad-encoding"),
    )
    assert nothing_is_recorded(node)


def test_a_small_body_that_becomes_huge_is_refused(node: Node) -> None:
    bomb = gzip.compress(bytes(300_000_000), 9)
    assert len(bomb) < 400_000
    assert problem(node.post("native", bomb, **GZIP)) == (413, "too-dense")


def test_a_body_may_not_be_too_long_after_decompression(node: Node) -> None:
    lines = b"".join(b"%d %d\n" % (n, n * 7919 % 1_000_003) for n in range(limits.BODY_BYTES_MAX // 10))
    assert problem(node.post("native", gzip.compress(lines, 1), **GZIP)) == (413, "too-large")


@settings(max_examples=100, deadline=None)
@given(some.lists(some.binary(max_size=200_000), max_size=3), some.integers(1, 5_000))
def test_gzip_in_any_pieces_and_members_gives_the_same_bytes(members: list[bytes], piece_bytes: int) -> None:
    sent, inflate = b"".join(gzip.compress(member, 1) for member in members), Inflater()
    found = [out for at in range(0, len(sent), piece_bytes) for out in inflate.feed(sent[at : at + piece_bytes])]
    inflate.finish()
    assert b"".join(found) == b"".join(members)


@settings(max_examples=100, deadline=None)
@given(some.binary(max_size=300))
def test_no_bytes_make_the_decompressor_fail_otherwise(body: bytes) -> None:
    inflate = Inflater()
    try:
        list(inflate.feed(body))
        inflate.finish()
    except (BadEncoding, TooDense):
        return
    assert body == b"" or body[:2] == b"\x1f\x8b"


# --- how slowly ---


def test_a_body_that_does_not_come_is_not_waited_for(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the application itself, for the limit of a real server is a minute."""
    monkeypatch.setattr(limits, "BODY_SECONDS_MAX", 0.2)
    monkeypatch.setattr(limits, "PIECE_SECONDS_MAX", 0.2)
    for query in ("", "&stream=true"):
        sent = asyncio.run(call_and_stall(node, f"format=native{query}"))
        assert sent[0]["status"] == 408
        assert b"/problems/too-slow" in sent[1]["body"]


async def call_and_stall(node: Node, query: str) -> list[Any]:
    pieces = [{"type": "http.request", "body": b"{", "more_body": True}]
    sent: list[Any] = []

    async def receive() -> Any:
        if pieces:
            return pieces.pop()
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in node.bearer("source").items()]
    scope = {
        "type": "http", "method": "POST", "path": "/v1/reports", "raw_path": b"/v1/reports", "root_path": "",
        "query_string": query.encode(), "headers": headers, "scheme": "http", "http_version": "1.1",
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "state": {}, "extensions": {},
    }  # fmt: skip
    await node.client.app(scope, receive, send)
    return sent
