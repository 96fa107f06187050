"""A real MQTT broker for the tests: Debian's mosquitto, on a free port of the loopback interface, without a disk."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REQUIRED = "KOUAN_REQUIRE_BROKER"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
SECONDS_MAX = 10.0


def program() -> str:
    """The broker's path. Skips the test where there is none, or fails it if KOUAN_REQUIRE_BROKER=1."""
    found = shutil.which("mosquitto", path=PATH)
    if found is None:
        reason = "no MQTT broker: mosquitto is not installed (Debian: apt-get install mosquitto)"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, port: int) -> Iterator[None]:
    """A broker that forgets everything when it ends."""
    settings = folder / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    with (folder / "mosquitto.log").open("ab") as output:
        process = subprocess.Popen([program(), "-c", str(settings)], stdout=output, stderr=output)
    try:
        _wait(process, port, folder)
        yield
    finally:
        process.terminate()
        process.wait(SECONDS_MAX)


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, (folder / "mosquitto.log").read_text()
            assert time.monotonic() < deadline, "the broker does not answer"
            time.sleep(0.02)
        else:
            return
