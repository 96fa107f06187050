"""The pages in a real browser: they fit a phone and a desk, need no script, and a person can sign in and find a box.

KOUAN_SHOTS=DIR keeps a picture of every page there.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from api.identity import COOKIE
from tests import gallery
from tests.chromium import Browser, browser
from tests.fixtures_node import Node
from tests.test_report_api import GATE_IN

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).parent.parent
START_SECONDS_MAX = 30.0
PAGES = (*gallery.ANSWERS, *gallery.PAGES)
DESK, PHONE = 1280, 390
# Text over its background, by the WCAG formula; what is struck out or drawn is left out.
CONTRAST = """
(() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
  return [...document.querySelectorAll("body *")].filter(e => e.offsetParent && !e.closest(".gone, .skip") &&
    [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
      const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
      return [(a + .05) / (b + .05), e.textContent.trim().slice(0, 30)]; }).filter(([ratio]) => ratio < 4.5);
})()
"""


@contextmanager
def served(target: str, *options: str, **variables: str) -> Iterator[str]:
    """The address of an application, in a server process of its own that ends with the test."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    argv = [sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        [*argv, "--no-access-log", "--log-level", "error", *options, target], cwd=ROOT, env=os.environ | variables
    ) as process:
        try:
            _wait(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(address: str) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    with httpx.Client(trust_env=False) as client:
        while True:
            try:
                assert client.get(f"{address}/static/mark.svg").status_code == 200
            except httpx.TransportError:
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.05)
            else:
                return


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def shown(chromium: Browser) -> Iterator[str]:
    """The gallery; only where there is a browser to look at it."""
    with served("tests.gallery:app") as address:
        yield address


@pytest.mark.parametrize("width", [DESK, 768, PHONE, 320])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_page_fits_its_screen_and_nothing_is_refused(
    chromium: Browser, shown: str, lang: str, width: int
) -> None:
    chromium.resize(width, phone=width < 500)
    chromium.complaints.clear()
    for name in PAGES:
        chromium.open(f"{shown}/show/{name}?lang={lang}")
        assert chromium.ask("document.documentElement.scrollWidth") <= width, name
        assert chromium.ask("document.documentElement.lang") == {"zh": "zh-CN", "en": "en"}[lang]
        assert chromium.ask("getComputedStyle(document.querySelector('.bar')).backgroundColor") != "rgba(0, 0, 0, 0)"
        _keep(chromium, f"{name}-{lang}-{width}")
    assert [text for text in chromium.complaints if "status of 4" not in text] == []


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read_against_its_background(chromium: Browser, shown: str, *, dark: bool) -> None:
    chromium.resize(DESK)
    chromium.dark(dark)
    try:
        for name in PAGES:
            chromium.open(f"{shown}/show/{name}?lang=zh")
            assert chromium.ask(CONTRAST) == [], name
    finally:
        chromium.dark(False)


def test_retracted_lines_are_struck_and_lead_to_their_replacement(chromium: Browser, shown: str) -> None:
    chromium.open(f"{shown}/show/box?lang=en")
    style = "getComputedStyle(document.querySelector('.gone .head b')).textDecorationLine"
    assert chromium.ask(style) == "line-through"
    assert chromium.ask(
        "[...document.querySelectorAll('.line a[href^=\"#\"]')].every(a => document.querySelector(a.hash))"
    )
    borders = (
        "['ACT', 'EST', 'PLN'].map(c => getComputedStyle(document.querySelector(`.line.${c} .dot`)).borderTopStyle)"
    )
    assert chromium.ask(borders) == ["solid", "dashed", "solid"]


def test_every_field_has_a_label_and_every_picture_a_text(chromium: Browser, shown: str) -> None:
    nameless = "[...document.querySelectorAll('input:not([type=hidden])')].filter(i => !i.labels.length).length"
    for name in PAGES:
        chromium.open(f"{shown}/show/{name}?lang=zh")
        assert chromium.ask(nameless) == 0, name
        assert chromium.ask("document.querySelectorAll('img:not([alt])').length") == 0, name
        assert chromium.ask("document.querySelectorAll('h1').length") == 1, name


def test_a_person_signs_in_finds_a_box_in_english_and_signs_out(chromium: Browser, node: Node) -> None:
    node.tell(GATE_IN)
    chromium.resize(PHONE, phone=True)
    with served("api.app:create", "--factory", KOUAN_CONNINFO=node.conninfo) as address:
        chromium.open(f"{address}/?lang=zh")
        chromium.ask("document.querySelector('#number').value = 'csqu 305438-3'")
        chromium.press(".search button")
        chromium.ask(f"document.querySelector('#key').value = '{node.keys['enterprise']}'")
        chromium.press("form:has(#key) button")
        assert chromium.ask("location.pathname").startswith("/track/CSQU")
        assert "重箱进港（进闸）" in chromium.ask("document.querySelector('.timeline').innerText")
        chromium.press(".lang")
        assert "Laden gate-in" in chromium.ask("document.querySelector('.timeline').innerText")
        [session] = [cookie for cookie in chromium.cookies() if cookie["name"] == COOKIE]
        assert (session["httpOnly"], session["sameSite"]) == (True, "Lax")
        assert chromium.ask("document.cookie") == ""
        chromium.press(".who button")
        chromium.open(f"{address}/usage")
        assert chromium.ask("document.querySelector('#key') !== null")


def _keep(chromium: Browser, name: str) -> None:
    folder = os.environ.get("KOUAN_SHOTS")
    if folder:
        chromium.picture(Path(folder) / f"{name}.png")
