"""Declaring over the API: lodged whole or not at all, decided on the version that was seen, and told how far it is."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fixtures_node import Node
from tests.sample_declaration import GOODS, content, export, goods, summary

BOX = {"subject": "container:CSQU3054383", "place": "CNNKG", "refs": ["bl:KOUA0000001"]}
ARRIVED = {
    **BOX,
    "subject": "bl:KOUA0000001",
    "refs": ["container:CSQU3054383"],
    "id": "a1",
    "code": "VSL_ARR",
    "happened_at": "2026-03-05T10:00:00+08:00",
    "mode": "VESSEL",
    "transport": "KOUAN STAR 021W",
    "pieces_total": 10,
    "weight_kg": 200.5,
}


def send(node: Node, path: str, body: object, who: str = "enterprise", **headers: str) -> Any:
    return node.client.post(path, json=body, headers={**node.bearer(who), **headers})


def lodge(node: Node, body: dict[str, Any] | None = None) -> str:
    answer = send(node, "/v1/declarations", body or content())
    assert answer.status_code == 201, answer.text
    return str(answer.json()["number"])


def receipt(node: Node, number: str, code: str, at: str, **more: str) -> None:
    """Under our number; the entry id links itself to it."""
    told = {"SeqNo": number, "ReceiptCode": code, "NoticeDate": at, **more}
    answer = node.client.post("/v1/reports?format=customs-receipt", json=told, headers=node.bearer("source"))
    assert answer.json()["receipts"][0]["status"] == "recorded", answer.text
    node.catch_up()


def soon(hours: int = 0) -> str:
    from datetime import datetime, timedelta
    from zoneinfo import ZoneInfo

    now = datetime.now(ZoneInfo("Asia/Shanghai")) + timedelta(minutes=1 + hours)
    return now.strftime("%Y-%m-%dT%H:%M:%S")


def test_what_is_lodged_has_a_number_of_our_own_and_shows_its_content(node: Node) -> None:
    answer = send(node, "/v1/declarations", content())
    told = answer.json()
    assert (answer.status_code, answer.headers["etag"], told["version"], told["new"]) == (201, '"1"', 1, True)
    assert re.fullmatch(r"I20\d{15}", told["number"])
    assert answer.headers["location"] == f"/v1/declarations/{told['number']}"
    shown = node.get(f"/v1/declarations/{told['number']}")
    assert (shown.status_code, shown.headers["etag"]) == (200, '"1"')
    assert shown.json()["content"]["goods"][0]["hs_code"] == GOODS["hs_code"]
    assert (shown.json()["status"], shown.json()["status_zh"], shown.json()["content_version"]) == (
        "lodged",
        "已提交",
        1,
    )
    assert lodge(node, export()).startswith("E")


def test_all_faults_are_told_and_nothing_is_lodged(node: Node) -> None:
    answer = send(node, "/v1/declarations", content(regime=None, goods=goods(hs_code="1", name="")))
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "/problems/bad-declaration")
    assert {fault["field"] for fault in problem["facts"]["faults"]} == {"regime", "goods[0].hs_code", "goods[0].name"}
    assert node.rows("SELECT count(*) FROM cargo_events") == [(0,)]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b'"x"', b"\xff", b'{"kind": "import", "goods": 7}'])
def test_a_body_that_is_no_declaration_is_told_so(node: Node, body: bytes) -> None:
    answer = node.client.post("/v1/declarations", content=body, headers=node.bearer("enterprise"))
    assert answer.status_code == 422, answer.text


def test_the_same_request_under_a_key_is_one_declaration(node: Node) -> None:
    first, again = (send(node, "/v1/declarations", content(), **{"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.content == again.content
    assert node.rows("SELECT count(*) FROM cargo_events") == [(1,)]
    assert lodge(node) != first.json()["number"]


def test_only_its_own_account_finds_it_where_nobody_has_a_party(closed_node: Node) -> None:
    number = lodge(closed_node)
    assert closed_node.get(f"/v1/declarations/{number}").status_code == 200
    assert closed_node.get(f"/v1/declarations/{number}", "operator").status_code == 404
    assert closed_node.get(f"/v1/declarations/{number}", "logistics").status_code == 403
    other = send(closed_node, "/v1/declarations", content(), who="operator").json()["number"]
    assert closed_node.get(f"/v1/declarations/{other}").json()["type"] == "/problems/unknown"
    assert send(closed_node, f"/v1/declarations/{other}/withdraw", {"reason": "x"}).status_code == 404


@pytest.mark.parametrize("number", ["I20260000000000000", "%20", "x" * 300, "CSQU3054383", "报"])
def test_a_number_that_was_not_lodged_here_is_unknown(node: Node, number: str) -> None:
    assert node.get(f"/v1/declarations/{number}").status_code == 404
    assert send(node, f"/v1/declarations/{number}/amend", {"reason": "x", "content": content()}).status_code == 404


def test_an_amendment_is_a_new_version_and_the_old_ones_stay(node: Node) -> None:
    number = lodge(node)
    amended = {"reason": "件数有误", "content": content(packages=11)}
    answer = send(node, f"/v1/declarations/{number}/amend", amended)
    assert (answer.status_code, answer.json()["version"], answer.headers["etag"]) == (202, 2, '"2"')
    shown = node.get(f"/v1/declarations/{number}").json()
    assert (shown["content"]["packages"], shown["content_version"]) == (11, 2)
    assert [each["what"] for each in shown["versions"]] == ["declaration.lodged", "declaration.amended"]
    assert send(node, f"/v1/declarations/{number}/amend", amended).json()["new"] is False


def test_who_decides_on_an_old_version_is_told_to_read_again(node: Node) -> None:
    number = lodge(node)
    path, one = f"/v1/declarations/{number}/amend", {"If-Match": '"1"'}
    assert send(node, path, {"reason": "a", "content": content(packages=11)}, **one).status_code == 202
    stale = send(node, path, {"reason": "b", "content": content(packages=12)}, **one)
    assert (stale.status_code, stale.json()["type"]) == (412, "/problems/stale")
    assert send(node, path, {"reason": "b", "content": content()}, **{"If-Match": "x"}).status_code == 422
    assert node.get(f"/v1/declarations/{number}").json()["content"]["packages"] == 11


def test_of_many_amendments_on_one_version_one_is_taken(node: Node) -> None:
    number = lodge(node)

    def amend(packages: int) -> int:
        body = {"reason": "r", "content": content(packages=packages)}
        return int(send(node, f"/v1/declarations/{number}/amend", body, **{"If-Match": "1"}).status_code)

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(amend, range(11, 19)))
    assert sorted(statuses) == [202, *[412] * 7]


def test_receipts_under_the_entry_id_find_their_way_to_what_was_lodged(node: Node) -> None:
    number = lodge(node)
    receipt(node, number, "L", soon(), EntryId="230820261000000015")
    receipt(node, number, "P", soon(1), EntryId="230820261000000015")
    shown = node.get("/v1/declarations/230820261000000015").json()
    assert (shown["number"], shown["numbers"], shown["status"], shown["released"]) == (
        number,
        ["230820261000000015"],
        "released",
        True,
    )
    assert [each["raw_code"] for each in shown["receipts"]] == ["L", "P"]


def test_what_is_released_is_not_withdrawn_but_customs_can_be_asked_to_delete_it(node: Node) -> None:
    number = lodge(node)
    receipt(node, number, "P", soon(), EntryId="230820261000000015")
    refused = send(node, f"/v1/declarations/{number}/withdraw", {"reason": "退运"})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/refused")
    assert "只能申请海关删单 / " in refused.json()["detail"]
    asked = [send(node, f"/v1/declarations/{number}/delete-request", {"reason": "退运"}) for _ in range(2)]
    assert [(each.status_code, each.json()["new"]) for each in asked] == [(202, True), (202, False)]
    receipt(node, number, "D", soon(1), EntryId="230820261000000015")
    assert node.get(f"/v1/declarations/{number}").json()["status"] == "deleted"


def test_what_customs_rejected_is_lodged_again_not_amended(node: Node) -> None:
    number = lodge(node)
    receipt(node, number, "E", soon())
    amended = {"reason": "r", "content": content(packages=11)}
    assert send(node, f"/v1/declarations/{number}/amend", amended).status_code == 409
    again = send(node, f"/v1/declarations/{number}/lodge", content(packages=11))
    assert again.status_code == 202
    assert node.get(f"/v1/declarations/{number}").json()["content_version"] == 2


def test_a_summary_is_completed_once_customs_has_it_and_only_then(node: Node) -> None:
    number = lodge(node, summary())
    path = f"/v1/declarations/{number}/complete"
    assert send(node, path, content(kind="complete")).status_code == 409
    receipt(node, number, "SpL", soon(), EntryId="230820261000000015")
    receipt(node, number, "SpK", soon(1), EntryId="230820261000000015")
    assert node.get(f"/v1/declarations/{number}").json()["completion_due"] is True
    wrong = send(node, path, content())
    assert [fault["field"] for fault in wrong.json()["facts"]["faults"]] == ["kind"]
    assert send(node, path, content(kind="complete")).status_code == 202
    assert send(node, path, content(kind="complete")).json()["new"] is False
    assert send(node, "/v1/declarations", content(kind="complete")).status_code == 422


def test_a_draft_takes_over_what_is_known_of_the_shipment_and_says_from_whom(node: Node) -> None:
    node.tell(ARRIVED)
    draft = node.get("/v1/declarations/draft", **{"from": "bl:KOUA0000001"}).json()
    assert draft["content"] == {
        "bill": "KOUA0000001",
        "containers": [{"number": "CSQU3054383"}],
        "transport_mode": "2",
        "transport_name": "KOUAN STAR 021W",
        "kind": "import",
        "carried_on": "2026-03-05",
        "packages": 10,
        "gross_kg": "200.5",
    }
    assert (draft["origins"]["packages"]["source"], draft["origins"]["packages"]["code"]) == ("terminal", "VSL_ARR")
    assert node.get("/v1/declarations/draft", **{"from": "container:CSQU3054383"}).json()["content"]["packages"] == 10


def test_a_declaration_starts_from_the_shipment_and_what_is_entered_goes_first(node: Node) -> None:
    node.tell(ARRIVED)
    entered = content(bill=None, containers=None, transport_name=None, gross_kg="199")
    answer = send(node, "/v1/declarations?from=bl:KOUA0000001", entered)
    assert answer.status_code == 201, answer.text
    shown = node.get(f"/v1/declarations/{answer.json()['number']}").json()["content"]
    assert (shown["bill"], shown["gross_kg"], shown["containers"]) == (
        "KOUA0000001",
        "199",
        [{"number": "CSQU3054383", "lines": [1]}],
    )


def test_a_declaration_of_ones_own_can_be_the_start_of_the_next(node: Node) -> None:
    number = lodge(node)
    draft = node.get("/v1/declarations/draft", **{"from": f"declaration:{number}"}).json()
    assert draft["content"]["goods"][0]["hs_code"] == GOODS["hs_code"]
    assert lodge(node, draft["content"]) != number


@pytest.mark.parametrize(("begun", "status"), [("bl:NONE1", 404), ("x", 422), ("bl:", 422), ("truck:A", 422)])
def test_a_draft_from_nothing_is_told_so(node: Node, begun: str, status: int) -> None:
    assert node.get("/v1/declarations/draft", **{"from": begun}).status_code == status
    assert send(node, f"/v1/declarations?from={begun}", content()).status_code == status


def test_each_look_is_a_delivery_also_one_at_nothing(node: Node) -> None:
    number = lodge(node)
    node.get(f"/v1/declarations/{number}")
    node.get("/v1/declarations/I20260000000000000")
    node.get("/v1/declarations/draft", **{"from": "bl:NONE1"})
    node.tell(ARRIVED)
    node.get("/v1/declarations/draft", **{"from": "bl:KOUA0000001"})
    found = node.rows(
        "SELECT convert_from(state, 'UTF8')::json->>'item',"
        " coalesce(convert_from(state, 'UTF8')::json->>'result', 'ok'),"
        " convert_from(state, 'UTF8')::json#>>'{datasets,0}'"
        " FROM commerce_events WHERE topic = 'delivery.made' ORDER BY notification_id"
    )
    assert found == [
        ("declaration.read", "ok", "customs.clearance"),
        ("declaration.read", "empty", None),
        ("declaration.draft", "empty", None),
        ("declaration.draft", "ok", "port.movements"),
    ]


def test_what_a_declarant_enters_is_in_nobodys_feed(node: Node) -> None:
    lodge(node)
    page = node.client.get("/v1/feed?limit=100", headers=node.bearer("logistics")).json()
    assert [item["fact"]["fact"] for item in page["items"] if item["subject"].startswith("declaration:")] == []
    assert str(GOODS["name"]) not in str(page)
