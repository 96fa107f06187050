"""A headless Chromium, driven over a pipe by the Chrome DevTools Protocol: no port is opened and nothing is installed.

Messages are JSON, each ended by a NUL byte; the browser reads them on descriptor 3 and answers on 4.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
REQUIRED = "KOUAN_REQUIRE_BROWSER"
SECONDS_MAX = 60.0
OPTIONS = """
    --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync --disable-default-apps
    --disable-extensions --no-default-browser-check --no-proxy-server --hide-scrollbars --remote-debugging-pipe
"""


def program() -> str:
    """The browser's path. Skips the test where there is none, or fails it if KOUAN_REQUIRE_BROWSER=1."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None:
        reason = f"no headless Chromium: none of {', '.join(PROGRAMS)} is on the PATH"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Browser:
    """One browser with one page."""

    def __init__(self, process: subprocess.Popen[bytes], writing: int, reading: int) -> None:
        self.process = process
        self.complaints: list[str] = []
        self._writing, self._reading = writing, reading
        self._rest = b""
        self._number = 0
        self._events: list[str] = []
        self._session = ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self._call(f"{domain}.enable")

    def resize(self, width: int, height: int = 900, *, phone: bool = False) -> None:
        """Any width, narrower than a window can be, too."""
        scale = 2 if phone else 1
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def dark(self, on: bool) -> None:
        """The reader's preferred colours."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self._call("Emulation.setEmulatedMedia", features=features)

    def open(self, url: str) -> None:
        """Go there, and wait until it has loaded."""
        self._events.clear()
        self._call("Page.navigate", url=url)
        self.loaded()

    def loaded(self) -> None:
        """Wait for the next load."""
        deadline = time.monotonic() + SECONDS_MAX
        while "Page.loadEventFired" not in self._events:
            self._take(self._read(deadline))
        self._events.clear()

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, selector: str) -> None:
        """Click what leads to another page, and wait for that."""
        self._events.clear()
        self.ask(f"document.querySelector({json.dumps(selector)}).click()")
        self.loaded()

    def cookies(self) -> list[dict[str, Any]]:
        """All of them, the ones closed to scripts too."""
        found: list[dict[str, Any]] = self._call("Network.getCookies")["cookies"]
        return found

    def picture(self, path: Path) -> Path:
        """The whole page as PNG."""
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + SECONDS_MAX
        while (answer := self._read(deadline)).get("id") != self._number:
            self._take(answer)
        assert "error" not in answer, (method, answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def _take(self, event: dict[str, Any]) -> None:
        method, told = event.get("method", ""), event.get("params", {})
        self._events.append(method)
        if method == "Log.entryAdded" and told["entry"]["level"] in {"warning", "error"}:
            self.complaints.append(told["entry"]["text"])
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(told))

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reading], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"Chromium did not answer within {SECONDS_MAX:.0f} seconds"
            taken = os.read(self._reading, 1 << 20)
            assert taken, "Chromium ended"
            self._rest += taken
        message, self._rest = self._rest.split(b"\0", 1)
        decoded: dict[str, Any] = json.loads(message)
        return decoded


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser of its own, with an empty profile that is removed at the end."""
    path = program()
    to_browser, from_browser = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(prefix="kouan-chromium-", ignore_cleanup_errors=True) as profile:
        script = f'exec "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'
        argv = ["/bin/bash", "-c", script, "bash", path, *OPTIONS.split(), f"--user-data-dir={profile}"]
        passed = (to_browser[0], from_browser[1])
        process = subprocess.Popen(argv, pass_fds=passed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in passed:
            os.close(end)
        try:
            yield Browser(process, to_browser[1], from_browser[0])
        finally:
            process.terminate()
            process.wait(SECONDS_MAX)
            os.close(to_browser[1])
            os.close(from_browser[0])
