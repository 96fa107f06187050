"""The README's own block: what it says to paste works, and answers what it says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from api import schema
from api.settings import Settings
from api.supervise import serve
from tests.bench.servers import free_port

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
START = """
import sys
from api.main import main
sys.argv = ["kouan", *sys.argv[1:]]
main()
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_block_to_paste_gives_the_answer_shown(tmp_path: Path) -> None:
    """`make run` stands for itself; the rest is run as it is written, on another port and home."""
    port, home = free_port(), tmp_path / "var"
    environ = {**os.environ, "KOUAN_HOME": str(home), "KOUAN_PORT": str(port)}
    run, report, track, verify = blocks("sh")[:4]
    assert run.startswith("make run")
    command = [sys.executable, "-c", START, "run"]
    with subprocess.Popen(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        shown = ""
        for line in node.stdout:
            shown += line
            if "Ctrl-C" in line:
                break
        try:
            assert re.search(r"track\.query .* 1 ", shown), shown
            answer = json.loads(sh(pasted(report, port, home), environ))
            expected = json.loads(blocks("json")[0])
            assert {**answer, "position": 0} == {**expected, "position": 0}
            number = track.split()[-1]
            told = eventually([sys.executable, "-c", START, "track", number], environ)
            assert [line.rstrip() for line in told.strip().splitlines()] == blocks("text")[0].strip().splitlines()
            verdict = json.loads(sh(pasted(verify, port, home), environ))
            assert [reason["code"] for reason in verdict["reasons"]] == ["declaration.missing", "manifest.missing"]
            assert [rests["fact_id"] for rests in verdict["facts"]] == [answer["receipts"][0]["facts"][0]["fact_id"]]
            assert verdict["legs"].keys() == {"customs", "arrival", "manifest"}
            curl = shown[shown.index("curl ") :].splitlines()[0]
            assert (
                json.loads(sh(curl, environ))["number"]
                == json.loads((home / "demo.json").read_text())["examples"]["container"]
            )
        finally:
            node.terminate()
            node.wait(timeout=60)
    assert node.returncode == 0


def pasted(block: str, port: int, home: Path) -> str:
    """As it is written, but for the node's address and home."""
    return block.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace("var/demo.json", f"{home}/demo.json")


def sh(text: str, environ: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euc", text], check=False, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def eventually(command: list[str], environ: dict[str, str]) -> str:
    """A read model may be some milliseconds behind."""
    for _ in range(50):
        done = subprocess.run(command, check=False, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            return done.stdout
    raise AssertionError(done.stderr)


def test_a_taken_port_is_one_clear_line_and_an_exit_code(tmp_path: Path) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        environ = {**os.environ, "KOUAN_HOME": str(tmp_path), "KOUAN_PORT": str(other.getsockname()[1])}
        done = subprocess.run(
            [sys.executable, "-c", START, "run"],
            check=False,
            env=environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert "KOUAN_PORT" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_unwritable_home_is_one_clear_line_and_an_exit_code(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    environ = {**os.environ, "KOUAN_HOME": str(tmp_path / "file"), "KOUAN_PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, "-c", START, "run"],
        check=False,
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1), done.stderr


def test_another_database_can_be_named(database: str, tmp_path: Path) -> None:
    schema.install(database)
    settings = Settings(home=tmp_path, port=free_port(), database_url=database)
    with serve(settings, database) as group:
        assert group.pids()
    assert not (tmp_path / "pg").exists()
