"""The walk of docs/finance.md: from the Summary sheet of the workbook to the raw message of a line, in four steps."""

import html
import io
import re
import zipfile
from hashlib import sha256
from urllib.parse import urlsplit

from tests.fixtures_node import Node
from tests.test_drill import MONTH, close
from tests.test_track_api import STORY

ITEM, DISPUTED = "feed.pull", "GATE_OUT"


def linked(page: str, pattern: str) -> str:
    """The first address on a page that looks like this."""
    found = [html.unescape(each) for each in re.findall(r'href="([^"]+)"', page)]
    return next(each for each in found if re.fullmatch(pattern, each))


def read(node: Node, path: str) -> str:
    answer = node.get(path, "finance")
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def test_a_clerk_comes_from_the_summary_to_the_raw_message_in_four_steps(node: Node) -> None:
    node.tell(*STORY)
    assert node.get("/v1/feed", "logistics").json()["service"]["quantity"] == len(STORY)
    [number] = close(node)

    # 1: the Summary sheet names the lines with the most money, each with its statement's page
    book = node.get(f"/v1/periods/{MONTH}/workbook", "finance")
    with zipfile.ZipFile(io.BytesIO(book.content)) as archive:
        summary = html.unescape(archive.read("xl/worksheets/sheet1.xml").decode())
    addresses = [urlsplit(each) for each in re.findall(r'HYPERLINK\("([^"]+)"', summary)]
    statement = next(each.path for each in addresses if re.fullmatch(r"/statements/[^/]+", each.path))
    assert statement == f"/statements/{number}"

    # 2: the statement; the disputed line
    page = read(node, statement)
    assert ITEM in page
    line = linked(page.partition(f"<code>{ITEM}</code>")[0].rpartition("<th")[2], rf"{statement}/lines/\d+")
    assert line in {each.path for each in addresses}, "the sheet leads there at once, too"

    # 3: the line; its deliveries and their facts
    page = read(node, line)
    row = next(each for each in page.split("<tr>") if "CSQU3054383" in each and "/messages/" in each)
    digest = re.findall(r'title="([0-9a-f]{64})"', row)[1]

    # 4: the bytes that said so
    message = linked(row, r"/messages/[0-9a-f-]{36}")
    page = read(node, message)
    raw = node.get(linked(page, r"/v1/messages/[0-9a-f-]{36}/bytes"), "finance").content
    assert sha256(raw).hexdigest() == digest
    assert digest in page
    assert b"CSQU3054383" in raw


def test_the_walk_goes_back_from_the_delivery_to_the_line(node: Node) -> None:
    node.tell(*STORY)
    node.get("/v1/feed", "logistics")
    [number] = close(node)
    page = read(node, f"/statements/{number}/lines/1")
    delivery = linked(page, r"/deliveries/metering[^/]+/\d+")
    assert linked(read(node, delivery), r"/statements/.*") == f"/statements/{number}/lines/1"
    english = read(node, f"{delivery}?lang=en")
    assert "on a statement" in english
    assert "Facts handed over" in english
