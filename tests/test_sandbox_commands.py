"""`kouan sandbox`: a sandbox is made of an empty database, once, and never where something real has happened."""

from pathlib import Path

import msgspec
import psycopg
import pytest
from click.testing import CliRunner

from api import sandbox_commands
from api.sandbox import NotSandbox
from api.sandbox_commands import Sandbox
from api.settings import Settings
from tests.fixtures_node import Node

URL = "http://127.0.0.1:8001"


def test_a_sandbox_is_made_once_and_keeps_its_keys(closed_database: str, tmp_path: Path) -> None:
    made = sandbox_commands.prepare(closed_database, tmp_path, URL)
    assert set(made.keys) == {"sandbox-logistics", "sandbox-enterprise", "sandbox-operator"}
    assert sandbox_commands.path(tmp_path).stat().st_mode & 0o077 == 0
    again = sandbox_commands.prepare(closed_database, tmp_path, "http://127.0.0.1:8002")
    assert again == Sandbox("http://127.0.0.1:8002", made.keys)
    with psycopg.connect(closed_database) as connection:
        assert connection.execute("SELECT count(*) FROM api_keys").fetchone() == (3,)


def test_keys_of_another_database_are_replaced(closed_database: str, tmp_path: Path) -> None:
    old = Sandbox(URL, {"sandbox-logistics": "kouan_0_0_0"})
    sandbox_commands.path(tmp_path).write_bytes(msgspec.json.encode(old))
    made = sandbox_commands.prepare(closed_database, tmp_path, URL)
    assert made.keys["sandbox-logistics"] != "kouan_0_0_0"


def test_a_real_nodes_database_becomes_no_sandbox(node: Node, tmp_path: Path) -> None:
    node.tell({"subject": "container:CSQU3054383", "code": "GATE_IN", "happened_at": "2026-03-01T08:00+08:00"})
    with pytest.raises(NotSandbox):
        sandbox_commands.prepare(node.conninfo, tmp_path, URL)
    assert not sandbox_commands.path(tmp_path).exists()
    owners = node.rows("SELECT count(*) FROM commerce_events WHERE convert_from(state, 'UTF8') LIKE '%%SANDBOX%%'")
    assert owners == [(0,)]


def test_a_sandbox_has_a_home_and_a_database_of_its_own_and_no_tie_to_the_world(tmp_path: Path) -> None:
    node = Settings(
        home=tmp_path,
        database_url="postgresql://real",
        customs_url="http://customs",
        mqtt_url="mqtt://x",
        origin="https://x",
    )
    made = sandbox_commands.settings_of(node, 8001)
    assert (made.home, made.port) == (tmp_path / "sandbox", 8001)
    assert [made.database_url, made.customs_url, made.mqtt_url, made.origin] == [""] * 4


def test_playing_without_a_sandbox_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUAN_HOME", str(tmp_path))
    told = CliRunner().invoke(sandbox_commands.sandbox, ["play", "delay"])
    assert told.exit_code == 1
    assert "sandbox.json" in told.output
