"""Many numbers at once: each answered as the question about it alone would be, and only what is found costs."""

import asyncio
import csv
import gzip
import io
import json
from typing import Any

import msgspec
import pytest

from api.app import Works
from api.bulk_query import BadNumbers, read, told_of
from api.settings import Settings
from api.way_out import Looking
from domain.shipment import PartyNamed
from projections import sight
from tests.attack_world import AT
from tests.fixtures_node import PEOPLE, Node
from tests.test_eta import VOYAGE
from tests.test_track_api import STORY

BOX, OTHER, NOBODYS = "CSQU3054383", "MSKU1234565", "TOLU4734787"
BILL = "KOUA0000001"
AT_PORT = {"place": "CNSHG", "mode": "VESSEL", "refs": [f"bl:{BILL}"]}
FEBRUARY = "2026-02-0{}T08:00:00+08:00"
MORE: list[dict[str, Any]] = [
    {"id": "b1", "code": "GATE_IN", "happened_at": FEBRUARY.format(1), "subject": f"container:{OTHER}", **AT_PORT},
    {"id": "b2", "code": "LOADED", "happened_at": FEBRUARY.format(2), "subject": f"container:{OTHER}", **AT_PORT},
    {"id": "b3", "code": "BL_ISSUED", "happened_at": FEBRUARY.format(3), "subject": f"bl:{BILL}", "mode": "VESSEL"},
]


def ask(node: Node, numbers: list[str], who: str = "logistics", form: str = "json", **headers: str) -> Any:
    body = msgspec.json.encode({"numbers": numbers})
    sent = {"Content-Type": "application/json", **node.bearer(who), **headers}
    return node.client.post(f"/v1/bulk-query?format={form}", content=body, headers=sent)


def delivered(node: Node) -> list[dict[str, Any]]:
    rows = node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made' ORDER BY notification_id")
    return [json.loads(bytes(row[0])) for row in rows]


def test_each_number_is_told_as_the_question_about_it_alone_tells_it(node: Node) -> None:
    node.tell(*VOYAGE, *STORY)
    node.tell(*MORE)
    answer = ask(node, [BOX, NOBODYS, OTHER, BILL]).json()
    assert [(each["number"], each["result"]) for each in answer["results"]] == [
        (BOX, "found"),
        (NOBODYS, "not_found"),
        (OTHER, "found"),
        (BILL, "found"),
    ]
    for told in answer["results"]:
        if told["result"] != "found":
            continue
        alone = node.get(f"/v1/track/{told['number']}").json()
        header = alone["header"]
        assert told.get("latest") == header["latest"]
        assert told.get("linked", []) == header["linked"]
        assert told["lines"] == len(alone["lines"])
        assert told.get("warnings", []) == header["warnings"]
        expected = [(each["place"], each["expected_at"]) for each in header["eta"] if each["expected_at"]]
        assert [(each["place"], each["expected_at"]) for each in told.get("expected", [])] == expected


def test_it_is_one_delivery_and_only_the_numbers_found_count(node: Node) -> None:
    node.tell(*VOYAGE)
    node.tell(*MORE)
    told = ask(node, [BOX, NOBODYS, OTHER]).json()["sum"]
    assert (told["done"], told["numbers"], told["found"], told["not_found"]) == (True, 3, 2, 1)
    assert (told["service"]["item"], told["service"]["quantity"]) == ("bulk.query", 2)
    [made] = delivered(node)
    assert (made["item"], made["item_class"], made["count"], made["subject"], made["channel"]) == (
        "bulk.query",
        "commercial",
        2,
        "bulk:3",
        "api",
    )
    assert made["datasets"] == ["port.movements"]
    assert ask(node, [NOBODYS]).json()["sum"]["found"] == 0
    assert delivered(node)[1]["result"] == "empty"


def test_a_number_that_is_written_twice_is_told_once(node: Node) -> None:
    node.tell(*VOYAGE)
    told = ask(node, [BOX, "csqu 305438-3", "", BOX]).json()
    assert [each["number"] for each in told["results"]] == [BOX]


def test_lines_of_json_end_with_a_line_that_sums_up(node: Node) -> None:
    node.tell(*VOYAGE)
    answer = ask(node, [BOX, NOBODYS], form="ndjson")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line.get("result") for line in lines] == ["found", "not_found", None]
    assert lines[-1]["found"] == 1


def test_csv_goes_in_and_csv_comes_out(node: Node) -> None:
    node.tell(*VOYAGE)
    body = f"\ufeff号码,备注\r\n{BOX},x\r\n\r\n'{NOBODYS}\r\n".encode()
    sent = node.bearer("logistics") | {"Content-Type": "text/csv", "Accept": "text/csv", "Content-Encoding": "gzip"}
    answer = node.client.post("/v1/bulk-query", content=gzip.compress(body), headers=sent)
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [row[:2] for row in rows[1:]] == [[BOX, "找到 / found"], [NOBODYS, "未找到 / not found"]]
    assert len({len(row) for row in rows}) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"numbers":[]}', b'{"numbers":[" "]}', b'{"numbers":1}', b'{"numbers":["A"],"x":1}', b"\xff",
     b'{"numbers":["A\\u0000B"]}', b'{"numbers":["' + b"A" * 201 + b'"]}', b'{"numbers":["\\ud800"]}', b"{" * 100_000],
)  # fmt: skip
@pytest.mark.parametrize("media_type", ["application/json", "text/csv"])
def test_a_list_that_cannot_be_used_is_a_problem(node: Node, body: bytes, media_type: str) -> None:
    if media_type == "text/csv" and body.startswith((b"{", b"[")):
        return  # as text these are odd numbers, and nobody knows them
    sent = node.bearer("logistics") | {"Content-Type": media_type}
    answer = node.client.post("/v1/bulk-query", content=body, headers=sent)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/bad-numbers"), answer.text
    assert delivered(node) == []


def test_ten_thousand_numbers_and_no_more() -> None:
    numbers = [f"N{number}" for number in range(10_000)]
    assert read(msgspec.json.encode({"numbers": numbers}), "application/json") == numbers
    with pytest.raises(BadNumbers, match="10001"):
        read("\n".join([*numbers, "one more"]).encode(), "text/plain")


def test_who_may_see_nothing_finds_nothing(closed_node: Node) -> None:
    closed_node.tell(*VOYAGE)
    closed_node.tell(*MORE)
    answer = ask(closed_node, [BOX, OTHER, BILL])
    if answer.status_code == 200:
        assert {each["result"] for each in answer.json()["results"]} == {"not_found"}
    else:
        assert answer.status_code in {402, 403}


def test_a_number_shows_no_more_because_others_are_asked_for_beside_it(node: Node) -> None:
    """Beside each other, and each by itself: the same."""
    node.tell(*VOYAGE, *STORY)
    node.tell(*MORE)
    node.decide("cargo", f"bl:{BILL}", PartyNamed(**AT, role="consignee", party="91320000MA0000015K", by="terminal"))
    numbers = [BOX, OTHER, BILL]
    together = ask(node, numbers).json()["results"]
    assert together == [ask(node, [number]).json()["results"][0] for number in numbers]


def test_beyond_the_quota_a_known_number_is_not_handed_over(node: Node) -> None:
    node.tell(*VOYAGE)
    node.tell(*MORE)
    works = Works(node.conninfo, Settings.read())
    view = works.register.view(PEOPLE["logistics"], "api", commercial=True)
    with works.readers.connection() as connection, sight.opened(connection, view) as look:
        looking = Looking(look, allowed=1)
        told = told_of(looking, [NOBODYS, BOX, OTHER], msgspec.json.encode)
    assert [each["result"] for each in json.loads(told.pieces[0])] == ["not_found", "found", "over_quota"]
    assert (looking.count, told.found, told.over_quota) == (1, 1, 1)
    asyncio.run(_over(works))


async def _over(works: Works) -> None:
    async with works.lifespan():
        pass
