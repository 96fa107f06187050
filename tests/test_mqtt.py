"""The MQTT bridge: what a device publishes is recorded once, acknowledged after commit, never dropped in silence."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from paho.mqtt import publish

from api import supervise
from api.identity import Account, open_account
from api.mqtt import Bridge
from api.pool import open_pool
from api.settings import Broker, Settings, SettingsError
from domain.journal import Journal
from domain.writer import Writer
from tests import mosquitto

ROOT = Path(__file__).parents[1]
SECONDS_MAX = 20.0
TOPIC = "kouan/iot/GPS-1/events"
POSITION = {
    "device": "GPS-1",
    "sequence": 1,
    "container": "CSQU3054383",
    "at": "2026-03-01T12:00:00+08:00",
    "kind": "position",
    "lat": 34.7466,
    "lon": 119.443,
}


class Site:
    """A database with a source account, and a broker's port."""

    def __init__(self, conninfo: str, port: int) -> None:
        self.conninfo = conninfo
        self.port = port
        with psycopg.connect(conninfo, autocommit=True) as connection:
            open_account(connection, Account("iot", "source", "物联网", "Devices"))
            open_account(connection, Account("trader", "enterprise", "外贸企业", "Trader"))

    def publish(self, payload: object, topic: str = TOPIC, qos: int = 1) -> None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        publish.single(topic, body, qos=qos, hostname="127.0.0.1", port=self.port)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.conninfo) as connection:
            return connection.execute(query.encode()).fetchall()

    def recorded(self) -> int:
        return int(self.rows("SELECT count(*) FROM cargo_events")[0][0])

    @contextmanager
    def bridge(self, *, deaf: bool = False) -> Iterator[Bridge]:
        """A running bridge; `deaf`: its journal takes nothing."""
        journal, over = Journal("cargo", self.conninfo), threading.Event()
        writer, pool = Writer(journal), open_pool(self.conninfo)
        if deaf:
            writer.stop()
        bridge = Bridge(Broker("127.0.0.1", self.port, tls=False), writer, pool, pause_seconds=0.05)
        thread = threading.Thread(target=bridge.run, args=(over,))
        thread.start()
        try:
            wait_for(lambda: bridge.counts["connected"] > 0)
            yield bridge
        finally:
            over.set()
            thread.join(SECONDS_MAX)
            writer.stop()
            pool.close()
            journal.close()
        assert not thread.is_alive()


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def site(database: str, tmp_path: Path) -> Iterator[Site]:
    port = mosquitto.free_port()
    with mosquitto.running(tmp_path, port):
        yield Site(database, port)


def test_what_a_device_publishes_is_recorded_once(site: Site) -> None:
    with site.bridge() as bridge:
        site.publish(POSITION)
        site.publish(POSITION)
        site.publish([{**POSITION, "sequence": number, "kind": "seal", "state": "on"} for number in (2, 3)])
        wait_for(lambda: bridge.counts["recorded"] + bridge.counts["duplicate"] == 4)
    assert (bridge.counts["recorded"], bridge.counts["duplicate"]) == (2, 2)  # two seals of one minute are one fact
    [(source, message_format)] = site.rows("SELECT DISTINCT source, format FROM cargo_transmissions")
    assert (source, message_format, site.recorded()) == ("iot", "device", 2)


def test_what_cannot_be_understood_is_quarantined_with_its_bytes(site: Site) -> None:
    with site.bridge() as bridge:
        site.publish({**POSITION, "lat": 91})
        site.publish(b"\xff\x00")
        wait_for(lambda: bridge.counts["quarantined"] == 2)
    assert site.rows("SELECT code, path FROM cargo_quarantine ORDER BY code") == [
        ("device.field", "$.lat"),
        ("device.json", "$"),
    ]
    assert bytes(site.rows("SELECT body FROM cargo_transmissions ORDER BY length(body)")[0][0]) == b"\xff\x00"


def test_only_the_branch_of_a_source_account_is_recorded_and_the_rest_is_counted(site: Site) -> None:
    with site.bridge() as bridge:
        for topic in ("kouan/nobody/GPS-1/events", "kouan/trader/GPS-1/events"):
            site.publish(POSITION, topic)
        site.publish([])
        site.publish(POSITION)
        wait_for(lambda: bridge.counts["recorded"] == 1)
    assert (bridge.counts["refused"], site.recorded()) == (3, 1)


def test_what_was_not_committed_is_not_acknowledged_and_comes_again(site: Site) -> None:
    with site.bridge(deaf=True) as bridge:
        site.publish(POSITION)
        wait_for(lambda: bridge.counts["failed"] > 1)  # again after each reconnect
    assert site.recorded() == 0
    with site.bridge() as bridge:
        wait_for(lambda: bridge.counts["recorded"] == 1)
    with site.bridge() as bridge:
        site.publish({**POSITION, "sequence": 9, "at": "2026-03-01T13:00:00+08:00"})
        wait_for(lambda: bridge.counts["recorded"] == 1)
    assert bridge.counts["duplicate"] == 0, "what was committed is acknowledged"


def test_what_is_published_while_the_bridge_is_away_is_recorded_when_it_is_back(site: Site) -> None:
    with site.bridge():
        pass
    for number in range(30):  # more than a broker has on its way at a time
        site.publish({**POSITION, "sequence": number, "at": f"2026-03-01T12:{number:02}:00+08:00"})
    with site.bridge() as bridge:
        wait_for(lambda: bridge.counts["recorded"] == 30)
    assert site.recorded() == 30


def test_a_broker_that_restarts_is_found_again(database: str, tmp_path: Path) -> None:
    port = mosquitto.free_port()
    site = Site(database, port)
    with mosquitto.running(tmp_path, port):
        running = site.bridge()
        bridge = running.__enter__()
    try:
        time.sleep(0.2)
        with mosquitto.running(tmp_path, port):
            wait_for(lambda: bridge.counts["connected"] == 2)
            site.publish(POSITION)
            wait_for(lambda: bridge.counts["recorded"] == 1)
    finally:
        running.__exit__(None, None, None)


def test_the_command_serves_until_it_is_told_to_end(site: Site) -> None:
    environment = {**os.environ, "KOUAN_CONNINFO": site.conninfo, "KOUAN_MQTT_URL": f"mqtt://127.0.0.1:{site.port}"}
    command = [sys.executable, "-m", "api.main", "mqtt"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert any("subscribed" in line for line in process.stderr)
        site.publish(POSITION)
        wait_for(lambda: site.recorded() == 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS_MAX) == 0
    finally:
        process.kill()
        process.communicate()


def test_the_process_group_runs_the_bridge_where_a_broker_is_configured(site: Site, tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, port=mosquitto.free_port(), database_url=site.conninfo, mqtt_url=f"mqtt://127.0.0.1:{site.port}"
    )
    with supervise.serve(settings, site.conninfo) as group:
        assert list(group.pids()) == ["api", "push", "pay", "mqtt", "exporter", "projector"]
        wait_for(lambda: "subscribed" in (tmp_path / "log" / "mqtt.log").read_text())
        site.publish(POSITION)
        wait_for(lambda: site.recorded() == 1)
        os.kill(group.pids()["mqtt"], signal.SIGKILL)
        site.publish({**POSITION, "sequence": 2, "at": "2026-03-01T13:00:00+08:00"})
        wait_for(lambda: site.recorded() == 2)


def test_without_a_broker_there_is_no_bridge(tmp_path: Path) -> None:
    assert [program.name for program in supervise.everything(Settings(home=tmp_path))] == [
        *("api", "push", "pay", "exporter", "projector")
    ]


@pytest.mark.parametrize(
    "url", ["", "localhost", "http://localhost", "mqtt://", "mqtt://host:99999", "mqtt://host/topic", "mqtt://[::"]
)
def test_an_address_that_cannot_be_one_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="KOUAN_MQTT_URL"):
        Broker.of(url)
