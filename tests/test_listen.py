"""`kouan listen`: what a server tells reaches the program on this machine: signed, in order, once, across restarts."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import click
import httpx
import msgspec
import pytest
from click.testing import CliRunner

from api import listen, sandbox_commands
from api.listen import Follower, Forwarder, Kept
from api.push import signing
from api.sandbox_commands import Sandbox
from api.settings import Settings
from tests.fixtures_node import Node

SERVER = "http://testserver.local"


class Program:
    """A developer's own receiver. `answers`: statuses to give first; 200 afterwards."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.to = ""

    @property
    def positions(self) -> list[int]:
        return [json.loads(body)["data"]["position"] for _, body in self.came]


@pytest.fixture
def program() -> Iterator[Program]:
    told = Program()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(told.answers.pop(0) if told.answers else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.to = f"http://127.0.0.1:{server.server_address[1]}/hook"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield told
        server.shutdown()


class Enough(Exception):
    """The test has seen what it wanted to see."""


@contextmanager
def listening(
    node: Node, program: Program, home: Path, most: int | None = None, **wishes: list[str]
) -> Iterator[Callable[[], None]]:
    """What the command does after its options are read; the function goes round once, or stops after `most` items."""
    kept = Kept(home, SERVER, program.to, "me")
    node.client.headers.update(node.bearer("logistics"))
    follower = Follower(node.client, {"wait": ["0"], **wishes})
    follower.by_stream = False
    with httpx.Client(trust_env=False) as target:
        forwarder = Forwarder(target, program.to, kept.memory.secret)

        def once() -> None:
            for raw, cursor in islice(follower._pull(kept.memory.after), most):
                listen.forward(raw, cursor, forwarder, kept)

        yield once


def tell(node: Node, *codes: str, box: str = "CSQU3054383") -> None:
    node.tell(
        *(
            {"subject": f"container:{box}", "code": code, "happened_at": "2026-03-01T08:00+08:00", "place": "CNSHG"}
            for code in codes
        )
    )


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(listen, "WAIT_SECONDS", 0)


def test_every_event_arrives_signed_and_in_order(node: Node, program: Program, tmp_path: Path) -> None:
    tell(node, "GATE_IN", "LOADED", "DISCHARGED")
    with listening(node, program, tmp_path) as once:
        once()
    secret = Kept(tmp_path, SERVER, program.to, "me").memory.secret
    assert len(program.came) == 3
    assert program.positions == sorted(program.positions)
    for headers, body in program.came:
        assert signing.verify(secret, headers, body)
        assert json.loads(body).keys() == {"type", "timestamp", "data"}
    assert json.loads(program.came[0][1])["type"] == "container.gated_in"
    assert len({headers["webhook-id"] for headers, _ in program.came}) == 3


def test_it_goes_on_where_it_stood(node: Node, program: Program, tmp_path: Path) -> None:
    tell(node, "GATE_IN")
    with listening(node, program, tmp_path) as once:
        once()
    tell(node, "LOADED")
    with listening(node, program, tmp_path) as once:
        once()
        once()
    assert [json.loads(body)["data"]["fact"]["code"] for _, body in program.came] == ["GATE_IN", "LOADED"]


def test_what_was_taken_before_it_was_stopped_within_a_page_is_not_sent_again(
    node: Node, program: Program, tmp_path: Path
) -> None:
    tell(node, "GATE_IN", "LOADED", "DISCHARGED")
    with listening(node, program, tmp_path, most=2) as once:
        once()
    assert len(program.came) == 2
    with listening(node, program, tmp_path) as once:
        once()
    assert len(program.came) == len(set(program.positions)) == 3


def test_what_the_program_refuses_is_sent_again_before_anything_else(
    node: Node, program: Program, tmp_path: Path
) -> None:
    tell(node, "GATE_IN", "LOADED")
    program.answers = [500, 404]
    with listening(node, program, tmp_path) as once:
        once()
    first, again, third, other = program.positions
    assert first == again == third < other
    assert len({headers["webhook-id"] for headers, _ in program.came[:3]}) == 1


def test_the_memory_is_its_owners_alone(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "listen", SERVER, "http://127.0.0.1:9", "me")
    kept.keep(position=3)
    assert kept.file.stat().st_mode & 0o077 == 0
    assert Kept(tmp_path / "listen", SERVER, "http://127.0.0.1:9", "me").memory == kept.memory
    assert Kept(tmp_path / "listen", SERVER, "http://127.0.0.1:9", "other").memory.secret != kept.memory.secret


@pytest.mark.parametrize(
    ("to", "is_local"),
    [
        ("http://127.0.0.1:9000/hook", True),
        ("http://localhost/", True),
        ("http://[::1]:9000/", True),
        ("https://hooks.localhost/x", True),
        ("http://127.0.0.1.example.com/", False),
        ("http://localhost.example.com/", False),
        ("http://10.0.0.1/", False),
        ("http://user@10.0.0.1#127.0.0.1/", False),
        ("http://0.0.0.0/", False),
    ],
)
def test_only_this_machine_is_sent_to(to: str, is_local: bool) -> None:
    assert listen.local(to) is is_local


@pytest.mark.parametrize(
    "arguments",
    [
        ["--to", "http://10.0.0.1/"],
        ["--to", "ftp://127.0.0.1/"],
        ["--to", "http://127.0.0.1:9/", "--secret", "whsec_*"],
        ["--to", "http://127.0.0.1:9/", "--filter", "code"],
        ["--to", "http://127.0.0.1:9/", "--filter", "after=x"],
    ],
)
def test_a_command_line_that_cannot_be_is_refused(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOUAN_HOME", str(tmp_path))
    told = CliRunner().invoke(listen.listen, [*arguments, "--server", "http://127.0.0.1:9", "--key", "k"])
    assert told.exit_code == 2, told.output


def test_a_refusal_of_the_server_ends_it_with_what_it_said(node: Node, program: Program, tmp_path: Path) -> None:
    with listening(node, program, tmp_path, limit_of_nothing=["1"]) as once:
        once()  # what it does not know, it passes over
    node.client.headers.update(node.bearer("source"))
    follower = Follower(node.client, {})
    follower.by_stream = False
    with pytest.raises(click.ClickException, match="403"):
        next(follower.items(""))


def test_server_sent_events_are_read_as_they_are_written() -> None:
    lines = [
        ": ",
        "",
        "id: 1",
        "data: {",
        "data: }",
        "",
        "event: served",
        "data: {}",
        "",
        "event: end",
        "data:gone",
        "",
    ]
    told = [("message", "1", "{\n}"), ("served", "1", "{}"), ("end", "1", "gone")]
    assert list(listen.events(iter(lines))) == told


def test_without_a_server_the_sandbox_on_this_machine_is_taken(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with pytest.raises(click.ClickException):
        listen.credentials(settings, "", "")
    (tmp_path / "sandbox").mkdir()
    made = Sandbox("http://127.0.0.1:8001", {"sandbox-logistics": "k"})
    sandbox_commands.path(tmp_path / "sandbox").write_bytes(msgspec.json.encode(made))
    assert listen.credentials(settings, "", "") == ("http://127.0.0.1:8001", "k")
    assert listen.credentials(settings, "http://127.0.0.1:9/", "other") == ("http://127.0.0.1:9", "other")
