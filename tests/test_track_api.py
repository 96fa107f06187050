"""Asking: one timeline from any number, every answer a delivery, free beside paid."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.fixtures_node import Node
from tests.test_report_api import GATE_IN

BOX = "container:CSQU3054383"


def event(number: str, code: str, at: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "subject": BOX, "code": code, "happened_at": at, "place": "CNNKG", "mode": "TRUCK", **more}


STORY = [
    event("1", "GATE_OUT", "2026-03-03T10:00:00+08:00", refs=["bl:KOUA0000001"]),
    event("2", "GATE_IN", "2026-03-01T10:00:00+08:00"),
    event("3", "VSL_ARR", "2026-03-05T10:00:00+08:00", classifier="EST", mode="BARGE"),
]


def codes(answer: Any) -> list[str]:
    return [line["code"] for line in answer.json()["lines"]]


def test_lines_come_in_the_order_of_events_whatever_the_order_of_messages(node: Node) -> None:
    node.tell(*STORY)
    assert codes(node.get("/v1/track/CSQU3054383")) == ["GATE_IN", "GATE_OUT", "VSL_ARR"]


def test_a_line_tells_both_languages_the_places_own_time_and_where_it_came_from(node: Node) -> None:
    node.tell(GATE_IN)
    [line] = node.get("/v1/track/CSQU3054383").json()["lines"]
    assert (line["zh"], line["en"]) == ("重箱进港（进闸）", "Laden gate-in")
    assert (line["happened_at"], line["classifier"]) == ("2026-03-01T12:00:00+08:00", "ACT")
    assert (line["source"], line["place_zh"] != "", line["message_id"] != "") == ("terminal", True, True)


def test_from_a_bill_the_box_is_found_and_from_the_box_the_declaration(node: Node) -> None:
    node.tell(*STORY)
    receipt = {
        "EntryId": "230120261000000015",
        "ReceiptCode": "P",
        "NoticeDate": "2026-03-02T09:00:00",
        "BillNo": "KOUA0000001",
    }
    assert node.post("customs-receipt", json.dumps(receipt).encode()).json()["receipts"][0]["status"] == "recorded"
    node.catch_up()
    for number in ("CSQU3054383", "KOUA0000001", "230120261000000015"):
        answer = node.get(f"/v1/track/{number}")
        assert codes(answer) == ["GATE_IN", "DEC_RELEASED", "GATE_OUT", "VSL_ARR"], number


def test_another_box_of_the_same_bill_is_not_shown_with_a_box(node: Node) -> None:
    node.tell(
        *STORY,
        event("9", "GATE_IN", "2026-03-01T11:00:00+08:00", subject="container:TOLU4734787", refs=["bl:KOUA0000001"]),
    )
    assert {line["subject"] for line in node.get("/v1/track/CSQU3054383").json()["lines"]} == {BOX}
    assert len(node.get("/v1/track/KOUA0000001").json()["lines"]) == 4


def test_the_latest_milestone_is_the_last_that_happened_not_the_last_expected(node: Node) -> None:
    node.tell(*STORY)
    assert node.get("/v1/track/CSQU3054383").json()["header"]["latest"]["code"] == "GATE_OUT"


def test_a_retracted_line_is_shown_as_such_and_does_not_count(node: Node) -> None:
    node.tell(*STORY[1:2], event("1", "GATE_OUT", "2026-03-03T10:00:00+08:00", document="EIR7"))
    node.tell({"id": "4", "document": "EIR7", "function": "cancel"})
    answer = node.get("/v1/track/CSQU3054383").json()
    assert [line["retracted"] is not None for line in answer["lines"]] == [False, True]
    assert answer["header"]["latest"]["code"] == "GATE_IN"


def test_an_unknown_number_is_a_problem_and_costs_nothing(node: Node) -> None:
    answer = node.get("/v1/track/TOLU4734787")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown")
    node.catch_up()
    [row] = node.get("/v1/usage", "finance").json()["rows"]
    assert (row["item"], row["amount_minor"], row["price_minor"]) == ("track.query", 0, None)


def test_every_answer_is_a_delivery_before_it_leaves(node: Node) -> None:
    node.tell(*STORY)
    node.get("/v1/track/CSQU3054383")
    [state] = [
        json.loads(bytes(row[0]))
        for row in node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made'")
    ]
    assert (state["account"], state["item"], state["item_class"], state["count"]) == (
        "trader",
        "track.query",
        "government",
        3,
    )
    assert "tariff" not in state


def test_the_feed_hands_out_every_fact_once_in_the_order_of_the_journal(node: Node) -> None:
    node.tell(*STORY)
    seen: list[int] = []
    after, more = "", True
    while more:
        page = node.get("/v1/feed", "logistics", after=after, limit=2).json()
        seen += [item["position"] for item in page["items"]]
        after, more = page["next"], page["more"]
    assert seen == [1, 2, 3]
    assert node.get("/v1/feed", "logistics", after=after).json()["items"] == []


def test_usage_shows_free_beside_paid_and_only_what_was_delivered_is_charged(node: Node) -> None:
    node.tell(*STORY)
    node.get("/v1/track/CSQU3054383")
    node.get("/v1/feed", "logistics", limit=2)
    node.get("/v1/feed", "logistics", after=node.get("/v1/feed", "logistics").json()["next"])
    node.catch_up()
    report = node.get("/v1/usage", "finance").json()
    summary = {(row["account"], row["tariff"]): (row["quantity"], row["amount_minor"]) for row in report["rows"]}
    assert summary == {
        ("trader", None): (1, 0),
        ("mover", "feed.pull/sample-2026"): (5, 10),
        ("mover", None): (0, 0),
    }
    assert (report["free_quantity"], report["paid_quantity"], report["amount_minor"]) == (1, 5, 10)


def test_an_account_sees_its_own_usage_only_whatever_it_asks_for(node: Node) -> None:
    node.tell(*STORY)
    node.get("/v1/track/CSQU3054383")
    node.catch_up()
    assert node.get("/v1/usage", "logistics", account="trader").json()["rows"] == []
    assert node.get("/v1/usage", "enterprise").json()["rows"][0]["account"] == "trader"


@pytest.mark.parametrize(
    ("path", "who", "status"),
    [
        ("/v1/track/CSQU3054383", "", 401),
        ("/v1/feed", "enterprise", 403),
        ("/v1/feed?after=nonsense", "logistics", 422),
        ("/v1/feed?limit=0", "logistics", 422),
        ("/v1/usage?start=2026-03-01T00:00:00", "finance", 422),
        ("/v1/nothing", "enterprise", 404),
    ],
)
def test_every_no_is_a_problem(node: Node, path: str, who: str, status: int) -> None:
    answer = node.get(path, who)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status


@pytest.mark.parametrize("key", ["nonsense", "kouan_a_b_c", "kouan_" + "0" * 12 + "_secret_00000000"])
def test_a_key_that_is_not_one_is_told_so(node: Node, key: str) -> None:
    answer = node.client.get("/v1/track/X", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/no-credential")


def test_the_database_itself_refuses_a_price_for_a_government_item(node: Node) -> None:
    price = "INSERT INTO tariffs (item, version, price_minor, currency, published_at, effective_from, basis)"
    with psycopg.connect(node.conninfo) as connection, pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute(price.encode() + b" VALUES ('track.query', 'x', 1, 'CNY', now(), now(), 'x')")
    usage = (
        "INSERT INTO usage_entries VALUES ('m', 's', 1, 1, 'a', 'track.query', 'government', 'ok', 1, true, 't', now())"
    )
    with psycopg.connect(node.conninfo) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(usage.encode())


def test_the_openapi_document_lists_the_routes_without_a_login(node: Node) -> None:
    paths = node.client.get("/schema/openapi.json").json()["paths"]
    assert {"/v1/reports", "/v1/track/{number}", "/v1/feed", "/v1/usage"} <= set(paths)


def test_an_answer_made_before_does_not_outlive_what_it_rests_on(node: Node) -> None:
    """A line, a link and a retraction each make the next answer a new one; the position always moves on."""
    node.tell(STORY[1])
    first = node.get("/v1/track/CSQU3054383").json()
    assert node.get("/v1/track/CSQU3054383").json() == first
    node.tell(event("5", "GATE_IN", "2026-03-02T10:00:00+08:00", subject="container:TOLU4734787", document="D"))
    assert node.get("/v1/track/CSQU3054383").json() == {**first, "position": 2}
    node.tell(event("6", "DISCHARGED", "2026-03-03T10:00:00+08:00", subject="bl:KOUA0000001", refs=[BOX]))
    assert codes(node.get("/v1/track/CSQU3054383")) == ["GATE_IN", "DISCHARGED"]
    node.tell({"id": "7", "document": "D", "function": "cancel"})
    [line] = node.get("/v1/track/TOLU4734787").json()["lines"]
    assert line["retracted"]["source"] == "terminal"


def test_many_questions_at_once_are_each_answered_and_each_recorded(node: Node) -> None:
    node.tell(*STORY)
    numbers = ["CSQU3054383", "KOUA0000001", "TOLU4734787"] * 10
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda number: node.get(f"/v1/track/{number}"), numbers))
    assert [answer.status_code for answer in answers] == [200, 200, 404] * 10
    assert [answer.json()["number"] for answer in answers if answer.status_code == 200] == [
        "CSQU3054383",
        "KOUA0000001",
    ] * 10
    assert node.rows("SELECT count(*) FROM commerce_events WHERE topic = 'delivery.made'") == [(30,)]
