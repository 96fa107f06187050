"""The pictures of docs/finance.md, taken of real nodes on their way: `python -m tests.pictures`.

Each way with a database of its own, the application, the workbook it writes, its pages in a headless Chromium. The
Summary sheet is drawn as a table, from the cells of the file.
"""

import html
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner
from PIL import Image

from api import embedded, schema
from api.main import kouan
from api.portal import language
from domain.seller import SellerDescribed
from tests.bank_world import SELLER, file, row
from tests.chromium import Browser, browser
from tests.fixtures_node import Node, manned
from tests.open_register import permit_all
from tests.test_close import BEFORE, PAST, inside
from tests.test_drill import MONTH, close
from tests.test_track_api import STORY
from tests.test_usage import made
from tests.test_workbook import Opened

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
WIDTH = 980
COLOURS = 48  # enough for a page, and a third of the bytes
HEAD, TAIL = 18, 5  # rows of the sheet that are drawn: the month, and where to begin
SHEET = """<!doctype html><meta charset="utf-8"><style>
body { font: 13px system-ui, sans-serif; margin: 12px; } table { border-collapse: collapse; }
td { border: 1px solid #ccc; padding: 3px 8px; max-width: 24em; overflow-wrap: anywhere; } u { color: #0563c1; }
</style><table>%s</table>"""


def main() -> None:
    """Make all of them."""
    with browser() as chromium:
        for way in (_walk, _month_end):
            with tempfile.TemporaryDirectory(prefix="kouan-pictures-") as name:
                _go(way, chromium, Path(name))


def _go(way: Callable[[Node, Browser, Path], None], chromium: Browser, home: Path) -> None:
    conninfo = embedded.start(home)
    try:
        schema.install(conninfo)
        if way is _walk:
            permit_all(conninfo)
            schema.install(conninfo)
        with manned(conninfo, raises=True) as client:
            way(Node(conninfo, client), chromium, home)
    finally:
        embedded.stop(home)


def _walk(node: Node, chromium: Browser, home: Path) -> None:
    """The four steps."""
    chromium.resize(WIDTH, 640)
    number = _month(node)
    book = Opened(node.get(f"/v1/periods/{MONTH}/workbook", "finance").content)
    summary = book.names[0]
    _take(chromium, home, "finance-1-summary", SHEET % _rows(book.values[summary], book.formulas[summary]))
    page = _page(node, f"/statements/{number}")
    _take(chromium, home, "finance-2-statement", page)
    line = _address(
        page.partition("<code>feed.pull</code>")[0].rpartition("<th")[2], rf"/statements/{number}/lines/\d+"
    )
    page = _page(node, line)
    _take(chromium, home, "finance-3-line", page)
    _take(chromium, home, "finance-4-message", _page(node, _address(page, r"/messages/[0-9a-f-]{36}")))


def _month(node: Node) -> str:
    """Free and paid use of a month that is cut off; its statement."""
    node.tell(*STORY)
    node.get("/v1/feed", "logistics")
    for _ in range(3):
        node.get("/v1/track/CSQU3054383", "logistics")
    numbers = {"numbers": ["CSQU3054383", "TOLU4734787"]}
    node.client.post("/v1/bulk-query", json=numbers, headers=node.bearer("logistics"))
    [number] = close(node)
    return number


# --- the month end, by its pages ---


def _month_end(node: Node, chromium: Browser, home: Path) -> None:
    """A month that is over: to its invoices, the bank's file, and a fapiao that was asked for."""
    chromium.resize(WIDTH, 640)
    seller = SellerDescribed(happened_at=inside(BEFORE), recorded_at=inside(BEFORE), seller=SELLER, by="clerk")
    node.decide("commerce", "seller:node", seller)
    used = [made(inside(PAST), units, account=who) for who, units in (("mover", 5_300), ("trader", 4_000))]
    node.decide("commerce", "metering:a", *used)
    for step in ("cut_off", "statements", "invoices"):
        _send(node, f"/books/{PAST}", step=step)
    os.environ["KOUAN_CONNINFO"] = node.conninfo
    CliRunner().invoke(kouan, ["pay", "--once"])
    node.catch_up()
    _take(chromium, home, "month-1-checklist", _page(node, f"/books/{PAST}"))
    numbers = dict(node.rows("SELECT holder, statement FROM issued_statements WHERE payable_minor > 0"))
    first, second = numbers["mover"], numbers["trader"]
    rows = file(row("2026102000017", "106.00", first), row("2026102000018", "80.00", "货款"))
    answer = node.client.post(
        "/bank?lang=en", files={"file": ("bank.csv", rows, "text/csv")}, headers=node.bearer("finance")
    )
    assert answer.status_code == 200, answer.text
    _take(chromium, home, "month-2-bank", answer.text)
    node.catch_up()
    asked = {"kind": "ordinary", "name": "外贸企业", "tax_id": "91320000MA0000277B"}
    _send(node, f"/statements/{second}/fapiao", "enterprise", **asked)
    _take(chromium, home, "month-3-fapiao", _page(node, f"/fapiao/{second}"))


def _send(node: Node, path: str, who: str = "finance", **form: str) -> None:
    answer = node.client.post(path, data=form, headers=node.bearer(who), follow_redirects=False)
    assert answer.status_code == 303, answer.text
    node.catch_up()


def _page(node: Node, path: str) -> str:
    answer = node.get(path, "finance", lang="en")
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def _address(page: str, pattern: str) -> str:
    found = [html.unescape(each) for each in re.findall(r'href="([^"]+)"', page)]
    return next(each for each in found if re.fullmatch(pattern, each))


def _rows(cells: dict[str, str], formulas: dict[str, str]) -> str:
    """The cells of a sheet as a table; what is a link is marked as one."""
    by_row: dict[int, dict[str, str]] = {}
    for at, value in cells.items():
        linked = formulas.get(at, "").startswith("HYPERLINK")
        said = f"<u>{html.escape(value)}</u>" if linked else html.escape(value)
        by_row.setdefault(int(re.sub("[A-Z]", "", at)), {})[re.sub("[0-9]", "", at)] = said
    head, *rest = sorted(by_row)[HEAD - 1 : -TAIL]
    for place in rest:
        by_row.pop(place)
    by_row[head] = {"A": "…"}
    letters = sorted({letter for row in by_row.values() for letter in row}, key=lambda each: (len(each), each))
    made = ("".join(f"<td>{row.get(letter, '')}</td>" for letter in letters) for _, row in sorted(by_row.items()))
    return "".join(f"<tr>{row}</tr>" for row in made)


def _take(chromium: Browser, home: Path, name: str, page: str) -> None:
    """The page with its style in it, for nothing is loaded from a file."""
    style = f"<style>{(language.STATIC / 'portal.css').read_text()}</style>"
    page = re.sub(r'<link rel="stylesheet"[^>]*>', lambda _: style, page)
    page = re.sub(r'<link rel="icon"[^>]*>|<img [^>]*>', "", page)
    file = home / f"{name}.html"
    file.write_text(page)
    chromium.open(file.as_uri())
    FOLDER.mkdir(exist_ok=True)
    path = chromium.picture(FOLDER / f"{name}.png")
    with Image.open(path) as shot:
        shot.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    print(f"{name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
