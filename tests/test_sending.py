"""`kouan report`: files arrive whole, go on where they were broken off, and the summary is true."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from click.testing import CliRunner, Result

from api import limits, sending
from api.main import kouan
from api.sniffing import format_of, is_lined
from tests.fixtures_api import Served
from tests.test_bulk_api import event, ndjson
from tests.test_parts import ADVISED, GROUPED, MISCOUNTED

SAMPLES = Path(__file__).parent / "formats" / "samples"
EXAMPLES = Path(__file__).parents[1] / "examples" / "messages"


class Gate:
    """Somebody between the sender and the node, who lets requests through or not, as the test has it."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.faults: list[str] = []  # what becomes of the next requests: pass, busy, cut (before), lost (after)
        self.otherwise = "pass"
        self.seen: list[tuple[str, str]] = []  # of each request its key, and what became of it
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.handle(self, body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def handle(self, asked: BaseHTTPRequestHandler, body: bytes) -> None:
        fault = self.faults.pop(0) if self.faults else self.otherwise
        self.seen.append((asked.headers["Idempotency-Key"], fault))
        if fault == "busy":
            asked.send_response(503)
            asked.send_header("Retry-After", "1")
            asked.end_headers()
            return
        if fault != "cut":
            kept = {name: asked.headers[name] for name in ("Authorization", "Idempotency-Key")}
            answer = httpx.post(self.served.url + asked.path, content=body, headers=kept, trust_env=False)
            if fault == "pass":
                asked.send_response(answer.status_code)
                asked.send_header("Content-Type", answer.headers["content-type"])
                asked.send_header("Content-Length", str(len(answer.content)))
                asked.end_headers()
                asked.wfile.write(answer.content)
                return
        asked.close_connection = True

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def gate(served: Served) -> Iterator[Gate]:
    between = Gate(served)
    yield between
    between.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small parts, short pauses."""
    monkeypatch.setattr(sending, "PART_MESSAGES", 3)
    monkeypatch.setattr(sending, "PAUSE_SECONDS", 0.05)


def send(gate: Gate, *arguments: str, stdin: bytes | None = None, patience: float = 20) -> Result:
    environ = {"KOUAN_HOME": str(gate.served.home), "KOUAN_URL": gate.url, "KOUAN_KEY": gate.served.key}
    options = ["report", *arguments, "--patience", str(patience)]
    return CliRunner().invoke(kouan, options, env=environ, input=stdin)


def told(result: Result) -> dict[str, int]:
    """The summary."""
    rows = [line.split() for line in result.stdout.splitlines()]
    return {row[1]: int(row[2].replace(",", "")) for row in rows if len(row) == 3 and row[2].replace(",", "").isdigit()}


def counted(served: Served, query: str = "SELECT count(*) FROM cargo_messages") -> int:
    with psycopg.connect(served.conninfo) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_a_folder_of_all_formats_is_sent_and_summed_up(gate: Gate) -> None:
    result = send(gate, str(EXAMPLES), "--sent-at", "2026-04-01T00:00:00+00:00")
    assert result.exit_code == 0, result.output
    assert told(result)["recorded"] == told(result)["messages"] == counted(gate.served) > 10
    again = send(gate, str(EXAMPLES))
    assert "--again" in again.stdout
    assert told(again) == told(result), "what was sent before is not sent again, and yet told"
    repeated = told(send(gate, str(EXAMPLES), "--again", "--sent-at", "2026-04-01T00:00:00+00:00"))
    assert (repeated["recorded"], repeated["duplicate"]) == (0, repeated["messages"])


def test_a_busy_node_and_lost_connections_are_outlasted(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "day.ndjson"
    file.write_bytes(ndjson(*(event(n) for n in range(10))))
    gate.faults = ["busy", "pass", "cut", "pass", "lost", "lost", "pass", "pass"]
    result = send(gate, str(file))
    assert result.exit_code == 0, result.output
    assert [fault for _, fault in gate.seen] == ["busy", "pass", "cut", "pass", "lost", "lost", "pass", "pass"]
    assert len({key for key, _ in gate.seen}) == 4, "a part that is sent again goes under its key"
    assert (told(result)["recorded"], told(result)["duplicate"]) == (10, 0)
    assert counted(gate.served) == 10


def test_after_a_break_the_same_command_goes_on(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "day.ndjson"
    file.write_bytes(ndjson(*(event(n) for n in range(10))))
    gate.faults, gate.otherwise = ["pass", "pass", "lost"], "cut"
    broken = send(gate, str(file), patience=0.3)
    assert broken.exit_code == 2
    assert told(broken)["messages"] == 6
    gate.otherwise, before = "pass", len(gate.seen)
    result = send(gate, str(file))
    assert result.exit_code == 0, result.output
    assert len(gate.seen) == before + 2, "what was acknowledged is not sent again"
    assert (told(result)["recorded"], told(result)["duplicate"]) == (10, 0), "nor is what was lost a duplicate"


def test_a_file_that_has_changed_is_sent_from_its_beginning(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "day.ndjson"
    file.write_bytes(ndjson(*(event(n) for n in range(6))))
    assert send(gate, str(file)).exit_code == 0
    file.write_bytes(ndjson(event(100), *(event(n) for n in range(1, 6))))
    result = send(gate, str(file))
    assert (told(result)["recorded"], told(result)["duplicate"]) == (1, 5)


def test_an_interchange_keeps_its_references_and_its_count_is_checked(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "boxes.edi"
    file.write_text(ADVISED + GROUPED + MISCOUNTED, newline="")
    result = send(gate, str(file))
    assert result.exit_code == 0, result.output
    assert len(gate.seen) > 5
    assert result.stdout.count("UNZ") == 4
    whole = httpx.post(
        f"{gate.served.url}/v1/reports?format=codeco",
        content=file.read_bytes(), headers=gate.served.bearer, trust_env=False,
    ).json()  # fmt: skip
    assert {receipt["status"] for receipt in whole["receipts"]} == {"duplicate"}


def test_what_is_quarantined_is_shown_with_its_place_in_the_file(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "day.ndjson"
    good, bad = ndjson(*(event(n) for n in range(7))), ndjson({"subject": "\x1b[2J"})
    file.write_bytes(good + bad + ndjson(event(9)))
    result = send(gate, str(file))
    assert result.exit_code == 1
    assert told(result)["quarantined"] == 1
    assert f"@{len(good)} native." in result.stdout
    assert "\x1b" not in result.stdout
    assert send(gate, str(file)).exit_code == 1, "it is told the next time too"


def test_the_standard_input_is_sent_as_it_comes(gate: Gate) -> None:
    result = send(gate, "-", stdin=ndjson(*(event(n) for n in range(8))))
    assert (result.exit_code, told(result)["recorded"]) == (0, 8), result.output


def test_what_cannot_be_sent_does_not_keep_the_rest_back(gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.bin").write_bytes(b"what is this")
    (tmp_path / "in" / "b.json").write_bytes(json.dumps([event(1)]).encode() + b" " * limits.BODY_BYTES_MAX)
    (tmp_path / "in" / "c.json").write_bytes(json.dumps([event(2)]).encode())
    result = send(gate, str(tmp_path / "in"), str(tmp_path / "missing.json"))
    assert result.exit_code == 2
    assert told(result)["recorded"] == 1
    for said in ("--format", str(limits.BODY_BYTES_MAX), "missing.json"):
        assert said in result.stdout.replace("\n", "")


def test_a_key_that_is_not_valid_is_told_and_not_tried_again(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "day.ndjson"
    file.write_bytes(ndjson(event(1), event(2)))
    environ = {"KOUAN_HOME": str(tmp_path), "KOUAN_URL": gate.url, "KOUAN_KEY": "kouan_a_b_c"}
    result = CliRunner().invoke(kouan, ["report", str(file)], env=environ)
    assert (result.exit_code, len(gate.seen)) == (2, 1)
    assert "Bearer" in result.stdout


def test_without_a_node_of_ones_own_url_and_key_must_be_said(tmp_path: Path) -> None:
    environ = {"KOUAN_HOME": str(tmp_path), "KOUAN_URL": "", "KOUAN_KEY": ""}
    result = CliRunner().invoke(kouan, ["report", "x"], env=environ)
    assert result.exit_code == 1
    assert "--url" in result.stderr


@pytest.mark.parametrize("path", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
def test_the_format_of_every_sample_is_told_by_its_content(path: Path) -> None:
    expected = path.name.rpartition(".")[0]
    found = format_of(path.read_bytes())
    if found == "edifact":
        pytest.skip("a type that has no reader of its own")
    assert expected.startswith(found)


def test_a_beginning_is_enough_to_tell_the_format() -> None:
    for path in SAMPLES.iterdir():
        body = path.read_bytes()
        if body.lstrip().startswith(b"[") and len(body) > 1_500:
            assert format_of(body[: len(body) - 200]) == format_of(body), path.name


@pytest.mark.parametrize("body", [b"", b"x", b"{}", b"[1, 2]", b"<a/>", b"\xff\xfe"])
def test_what_nobody_understands_has_no_format(body: bytes) -> None:
    assert format_of(body) == ""


@pytest.mark.parametrize(
    ("body", "lined"),
    [
        (b'{"a": 1}\n{"a": 2}\n', True),
        (b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}', True),
        (b'{"a": 1}\n', False),
        (b'{\n"a": 1}\n', False),
        (b'[{"a": 1},\n{"a": 2}]', False),
    ],
)
def test_ndjson_is_told_from_a_document(body: bytes, lined: bool) -> None:
    assert is_lined(body, ".json") == lined
    assert is_lined(body, ".NDJSON")
