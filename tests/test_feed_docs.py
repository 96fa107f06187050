"""docs/feed.md: what it says to paste works, and answers what it says, against a whole sandbox on this machine."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
from psycopg.conninfo import make_conninfo

from api import sandbox_commands
from api.settings import Settings
from api.supervise import address, serve
from tests.bench.servers import free_port
from tests.fixtures_postgres import _execute, drop

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "feed.md").read_text()
COMMAND = f"{sys.executable} -m api.main"
COMMANDS = {"python": sys.executable, "kouan": COMMAND}
SECONDS_MAX = 60


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


class Place(NamedTuple):
    """A running sandbox, and a folder in which its customer works."""

    folder: Path
    environ: dict[str, str]
    port: int  # where the customer's receiver listens

    def pasted(self, block: str) -> str:
        """As it is written, but for the ports and the home."""
        text = block.replace("127.0.0.1:9000", f"127.0.0.1:{self.port}")
        text = text.replace('("127.0.0.1", 9000)', f'("127.0.0.1", {self.port})')
        return re.sub(r"\b(python|kouan) ", lambda found: f"{COMMANDS[found[1]]} ", text)

    def sh(self, containing: str) -> str:
        [block] = [each for each in blocks("sh") if containing in each]
        done = subprocess.run(
            ["bash", "-euc", self.pasted(block)],
            check=False,
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def program(self, name: str) -> Path:
        """A Python example under the name in its first line."""
        [block] = [each for each in blocks("python") if each.startswith(f"# {name}")]
        file = self.folder / name
        file.write_text(self.pasted(block))
        return file

    def play(self, scenario: str, seed: int, steps: int | None = None) -> list[dict[str, Any]]:
        """The steps played."""
        wanted = {"scenario": scenario, "seed": seed, **({} if steps is None else {"steps": steps})}
        headers = {"Authorization": f"Bearer {self.environ['KOUAN_KEY']}"}
        url = f"{self.environ['KOUAN_URL']}/v1/sandbox/journeys"
        told = httpx.post(url, json=wanted, headers=headers, timeout=SECONDS_MAX, trust_env=False).raise_for_status()
        played: list[dict[str, Any]] = told.json()["steps"]
        return played


class Running:
    """A program of the customer, and the lines that it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._process = process
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip())

    def until(self, wanted: str, count: int = 1) -> None:
        """So many lines have that in them."""
        deadline = time.monotonic() + SECONDS_MAX
        while sum(wanted in line for line in self.lines) < count:
            assert self._process.poll() is None, self.lines
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.05)


@contextmanager
def running(place: Place, *command: str) -> Iterator[Running]:
    with subprocess.Popen(
        command, env=place.environ, cwd=place.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield Running(process)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def place(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """`kouan sandbox run` and the two lines behind it stand for themselves."""
    folder = tmp_path_factory.mktemp("customer")
    home = folder / "var" / "sandbox"
    home.mkdir(parents=True)
    name = f"kouan_sandbox_{uuid4().hex[:12]}"
    _execute(postgres, "CREATE DATABASE {}", name)
    conninfo = make_conninfo(postgres, dbname=name)
    settings = Settings(home=home, port=free_port(), database_url=conninfo)
    made = sandbox_commands.prepare(conninfo, home, address(settings))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KOUAN_")}
    environ |= {"KOUAN_HOME": str(folder / "var"), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    environ |= {"KOUAN_URL": made.base_url, "KOUAN_KEY": made.keys["sandbox-logistics"]}
    with serve(settings, conninfo):
        sandbox_commands.subscribe(made)
        yield Place(folder, environ, free_port())
    drop(postgres, name)


def test_the_key_is_where_it_says(place: Place) -> None:
    [block] = [each for each in blocks("sh") if "export KOUAN_KEY" in each]
    told = subprocess.run(
        ["bash", "-euc", f"{place.pasted(block)}\necho $KOUAN_KEY"],
        cwd=place.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == place.environ["KOUAN_KEY"]


def test_playing_and_pulling_answer_what_is_shown(place: Place) -> None:
    played = json.loads(place.sh("/v1/sandbox/journeys"))
    assert [step["code"] for step in played["steps"]][:2] == ["BKG_CONF", "EMPTY_OUT"]
    deadline = time.monotonic() + SECONDS_MAX
    while not (page := json.loads(place.sh("/v1/feed?limit=1")))["more"]:
        assert time.monotonic() < deadline
    [shown] = [json.loads(each) for each in blocks("json")]
    assert page.keys() == shown.keys()
    assert page["items"][0].keys() == shown["items"][0].keys()
    assert page["items"][0]["fact"].items() >= {k: v for k, v in shown["items"][0]["fact"].items() if k != "…"}.items()
    assert {**page["service"], "tariff": ""} == {**shown["service"], "tariff": ""}
    estimates = json.loads(place.sh("class=EST"))["items"]
    assert {item["fact"]["classifier"] for item in estimates} <= {"EST"}


@pytest.mark.parametrize("name", ["pull.py", "stream.py"])
def test_following_tells_what_is_there_and_what_comes_and_resumes(place: Place, name: str) -> None:
    seed = {"pull.py": 101, "stream.py": 102}[name]
    program = str(place.program(name))
    first = place.play("smooth", seed, 3)
    box = first[1]["subject"]
    with running(place, sys.executable, program) as told:
        told.until(box, 2)
        place.play("smooth", seed, 4)
        told.until(box, 3)
        time.sleep(0.5)  # it keeps its place behind what it has printed
    place.play("smooth", seed, None)
    with running(place, sys.executable, program) as again:
        again.until(box, 3)
    once = [line for line in told.lines + again.lines if box in line]
    assert len(once) == len(set(once))
    positions = [int(line.split()[0]) for line in told.lines + again.lines if line[:1].isdigit()]
    assert positions == sorted(positions)


def test_the_stream_by_curl_ends_and_says_why(place: Place) -> None:
    place.play("smooth", 103, 1)
    told = place.sh("/v1/feed/stream?seconds=2")
    assert "\ndata: {" in told
    assert "event: end" in told
    assert "/problems/stream-over" in told


def test_a_receiver_is_verified_and_takes_what_comes(place: Place) -> None:
    place.sh('/v1/endpoints" >')
    with running(place, sys.executable, str(place.program("receiver.py"))) as receiver:
        deadline = time.monotonic() + SECONDS_MAX
        while not (asked := json.loads(place.sh("/verify")))["verified"]:
            assert time.monotonic() < deadline, asked
            time.sleep(0.2)
        played = place.play("smooth", 104)
        box = next(step["subject"] for step in played if step["subject"].startswith("container:"))
        receiver.until(box, sum(step["subject"] == box for step in played))
    assert not [line for line in receiver.lines if "401" in line]


def test_listening_brings_the_feed_to_the_same_receiver(place: Place) -> None:
    secret = json.loads((place.folder / "endpoint.json").read_text())["key"]
    [block] = [each for each in blocks("sh") if "kouan listen" in each]
    box = place.play("smooth", 105, 3)[1]["subject"]
    with (
        running(place, sys.executable, str(place.program("receiver.py"))) as receiver,
        running(place, "bash", "-euc", f"exec {place.pasted(block).strip()} --secret {secret}") as listening,
    ):
        listening.until(box, 2)
        place.play("smooth", 105, 4)
        listening.until(box, 3)
        receiver.until(box, 3)
    assert all("→ 200" in line for line in listening.lines if box in line)
