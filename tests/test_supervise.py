"""The process group: up only when it answers, up again after a death, and down as a whole whatever ends it."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from api import embedded, supervise
from api.processes import alive, gone
from api.settings import Settings, SettingsError
from api.supervise import Program

ROOT = Path(__file__).parents[1]
SLEEPER = Program("projector", (sys.executable, "-c", "import time; time.sleep(600)"))


def create() -> Any:
    """A port as small as can be; it can be told to fail, to think for a while, and to tell its settings."""
    if os.environ.get("TEST_FAIL"):
        raise RuntimeError("the tide is out")

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            body = os.environ["KOUAN_CONNINFO"].encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})

    return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "log").mkdir()
    return Settings(home=tmp_path, port=free_port(), database_url="host=nowhere", start_seconds_max=30)


def programs(settings: Settings) -> list[Program]:
    return [supervise.api(settings, "tests.test_supervise:create"), SLEEPER]


def get(settings: Settings) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", settings.port, timeout=5)) as connection:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def descendants(pids: dict[str, int]) -> list[int]:
    found = [psutil.Process(pid) for pid in pids.values()]
    return [each.pid for process in found for each in (process, *process.children(recursive=True))]


def test_the_group_answers_when_it_is_up_and_nothing_is_left_when_it_is_down(settings: Settings) -> None:
    with supervise.serve(settings, "host=really", programs=programs(settings)) as group:
        assert get(settings) == (200, "host=really")
        everything = descendants(group.pids())
        assert len(everything) == 3, "Granian, its worker and the projector"
    assert not any(alive(pid) for pid in everything)
    assert "Listening" in (settings.home / "log" / "api.log").read_text()
    supervise.check_port(settings)


def test_they_stop_in_order_the_api_first(settings: Settings) -> None:
    witness = (
        "import signal, sys, time, urllib.request, urllib.error\n"
        "def bye(*_):\n"
        "    try: urllib.request.urlopen(sys.argv[1])\n"
        "    except urllib.error.URLError: print('api gone first', flush=True)\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, bye)\n"
        "time.sleep(600)\n"
    )
    projector = Program("projector", (sys.executable, "-c", witness, supervise.address(settings)))
    with supervise.serve(settings, "", programs=[programs(settings)[0], projector]):
        pass
    assert (settings.home / "log" / "projector.log").read_text() == "api gone first\n"


def test_a_program_that_is_killed_starts_again_and_leaves_no_worker_behind(settings: Settings) -> None:
    with supervise.serve(settings, "", programs=programs(settings)) as group:
        before = descendants(group.pids())
        for pid in group.pids().values():
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while len(set(group.pids().values()) - set(before)) < 2 or not supervise.healthy(settings):
            time.sleep(0.05)
            assert time.monotonic() < deadline
        assert not any(alive(pid) for pid in before)


def test_a_program_that_dies_again_and_again_is_given_up(settings: Settings) -> None:
    log = settings.home / "starts"
    code = "import sys; log = open(sys.argv[1], 'a+'); log.write('x'); log.seek(0)\n"
    code += "if len(log.read()) < 2: import time; time.sleep(2)"  # so that the group is up at first
    dying = Program("projector", (sys.executable, "-c", code, str(log)), pause_seconds=0.01, deaths_max=3)
    with (
        pytest.raises(supervise.SuperviseError, match=r"^[^\n]*4 times in a row[^\n]*projector\.log$"),
        supervise.serve(settings, "", programs=[programs(settings)[0], dying]) as group,
    ):
        group.wait()
    assert log.read_text() == "xxxx"


def test_a_program_that_cannot_start_is_told_by_its_own_last_words(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_FAIL", "1")
    with (
        pytest.raises(supervise.SuperviseError, match=r"^[^\n]*RuntimeError: the tide is out[^\n]*$"),
        supervise.serve(settings, "", programs=programs(settings)),
    ):
        pytest.fail("it cannot have started")
    supervise.check_port(settings)


def test_a_program_that_ignores_the_polite_signal_is_killed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "STOP_SECONDS", 0.5)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    deaf = Program("projector", (sys.executable, "-c", code))
    with supervise.serve(settings, "", programs=[programs(settings)[0], deaf]) as group:
        pid = group.pids()["projector"]
    assert not alive(pid)


def test_a_taken_port_is_told_before_anything_starts(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.port))
        other.listen()
        with pytest.raises(SettingsError) as refusal:
            supervise.run(settings, programs=programs(settings))
    assert isinstance(refusal.value, supervise.PortTakenError)
    assert f"port {settings.port} is taken: choose another with KOUAN_PORT" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert list((settings.home / "log").iterdir()) == []


def test_who_runs_it_may_end_it_when_it_is_ready(settings: Settings) -> None:
    told: list[str] = []

    def once(address: str) -> None:
        told.append(address)
        raise supervise.Stopping

    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    supervise.run(settings, prepare=told.append, ready=once, programs=programs(settings))
    assert told == ["host=nowhere", f"http://127.0.0.1:{settings.port}"]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers


@pytest.mark.parametrize("host", ["203.0.113.1", "no such host", "..", "::1%nowhere"])
def test_an_address_that_is_not_ours_is_told_in_one_line(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match=r"^[^\n]*KOUAN_HOST[^\n]*$"):
        supervise.check_port(Settings(home=tmp_path, host=host, port=free_port()))


def test_the_address_for_people_is_one_they_can_open(tmp_path: Path) -> None:
    assert supervise.address(Settings(home=tmp_path, host="0.0.0.0")) == "http://127.0.0.1:8000"  # noqa: S104
    assert supervise.address(Settings(home=tmp_path, host="::", port=1)) == "http://[::1]:1"


WHOLE = """\
import sys
from pathlib import Path
from api import embedded, supervise
from api.settings import Settings
from tests.test_supervise import programs
settings = Settings.read()
def ready(address):
    print(address, embedded.postmaster(settings.home), flush=True)
def prepare(conninfo):
    print("prepared", flush=True)
supervise.run(settings, prepare=prepare, ready=ready, programs=programs(settings))
print("down", flush=True)
"""


@pytest.fixture
def whole(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """The whole of `kouan run` with its own database, up and answering."""
    environ = os.environ | settings.environment() | {"KOUAN_DATABASE_URL": ""}
    argv = [sys.executable, "-c", WHOLE]
    with subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "prepared\n"
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+ \d+\n", process.stdout.readline())
            yield process
        finally:
            process.kill()
            process.wait()
            embedded.stop(settings.home)


def everything(process: "subprocess.Popen[str]", settings: Settings) -> list[int]:
    server = embedded.postmaster(settings.home)
    assert server
    children = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    return [*children, server, *(child.pid for child in psutil.Process(server).children())]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_and_the_database_last(
    whole: "subprocess.Popen[str]", settings: Settings, number: int
) -> None:
    pids = everything(whole, settings)
    whole.send_signal(number)
    time.sleep(0.05)
    whole.send_signal(number)  # an impatient second one does not cut the way down short
    out, _ = whole.communicate(timeout=30)
    assert (out, whole.returncode) == ("down\n", 0)
    assert not any(alive(pid) for pid in pids)
    assert not embedded.running(settings.home)
    log = (settings.home / "log" / "postgres.log").read_text()
    assert "database system is shut down" in log


def test_nothing_survives_even_a_killed_supervisor(whole: "subprocess.Popen[str]", settings: Settings) -> None:
    pids = everything(whole, settings)
    whole.kill()
    whole.wait()
    assert gone(pids, 20)
    supervise.check_port(settings)


def test_a_killed_database_is_started_again_with_the_same_address(
    whole: "subprocess.Popen[str]", settings: Settings
) -> None:
    before = embedded.postmaster(settings.home)
    assert before
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while embedded.postmaster(settings.home) in (None, before) or not embedded.running(settings.home):
        time.sleep(0.05)
        assert time.monotonic() < deadline
    pids = everything(whole, settings)
    whole.kill()
    assert gone(pids, 20), "the new server, too, ends with the group"


def test_a_home_runs_one_group_at_a_time(whole: "subprocess.Popen[str]", settings: Settings) -> None:
    assert whole.poll() is None
    second = Settings(home=settings.home, port=free_port())
    with pytest.raises(supervise.SuperviseError, match=r"^[^\n]*already runs in[^\n]*$"):
        supervise.run(second, programs=programs(second))
    assert embedded.running(settings.home)


def test_the_second_start_takes_seconds(whole: "subprocess.Popen[str]", settings: Settings) -> None:
    whole.send_signal(signal.SIGTERM)
    whole.wait(30)
    began = time.monotonic()
    embedded.start(settings.home)
    assert time.monotonic() - began < 5
