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
    assert [line["code"] for line in answer["lines"]] == ["GATE_IN"]
    assert answer["header"]["withdrawn"] == {"retracted": 1, "corrected": 0}
    shown = node.get("/v1/track/CSQU3054383", include="retracted").json()
    assert [line["retracted"] is not None for line in shown["lines"]] == [False, True]
    assert [each["header"]["latest"]["code"] for each in (answer, shown)] == ["GATE_IN", "GATE_IN"]


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
        "INSERT INTO usage_entries (meter, stream, version, position, account, party, behalf, item, item_class, result,"
        " quantity, chargeable, tariff, waived, occurred_at, billing_period) VALUES ('m', 's', 1, 1, 'a', '', '',"
        " 'track.query', 'government', 'ok', 1, true, 'feed.pull/sample-2026', '', now(), '2026-10')"
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
    assert node.get("/v1/track/TOLU4734787").json()["lines"] == []
    [line] = node.get("/v1/track/TOLU4734787", include="retracted").json()["lines"]
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


# --- wishes ---


def test_two_sources_that_disagree_are_both_shown_and_the_header_follows_the_one_that_counts(node: Node) -> None:
    node.tell(event("1", "GATE_OUT", "2026-03-03T10:00:00+08:00"))
    node.tell(event("1", "GATE_OUT", "2026-03-03T12:30:00+08:00"), who="line")
    answer = node.get("/v1/track/CSQU3054383").json()
    lines = answer["lines"]
    assert [(line["source"], line["conflict"]["won"], line["conflict"]["rule"]) for line in lines] == [
        ("terminal", True, "owner"),
        ("line", False, "owner"),
    ]
    assert answer["header"]["latest"]["happened_at"] == "2026-03-03T10:00:00+08:00"
    assert answer["header"]["conflicts"] == 1


def test_an_estimate_has_its_history_in_the_header(node: Node) -> None:
    for number, day in enumerate((5, 6, 4)):
        node.tell(event(f"{number}", "BARGE_ARR", f"2026-03-0{day}T10:00:00+08:00", classifier="EST", mode="BARGE"))
    [eta] = node.get("/v1/track/CSQU3054383").json()["header"]["eta"]
    assert (eta["expected_at"], [told["delta_hours"] for told in eta["history"]]) == (
        "2026-03-04T10:00:00+08:00",
        [None, 24.0, -48.0],
    )


def test_in_one_language_the_members_of_the_other_are_left_out(node: Node) -> None:
    node.tell(event("1", "X9", "2026-03-03T10:00:00+08:00"), STORY[1])
    for lang, other in (("zh", "en"), ("en", "zh")):
        answer = node.get("/v1/track/CSQU3054383", lang=lang).json()
        names = {name for line in (*answer["lines"], answer["header"]) for name in line}
        assert {name for name in names if name == other or name.endswith(f"_{other}")} == set()
        assert {f"place_{lang}", f"kind_{lang}", lang} <= names
        assert not [text for text in answer["header"]["warnings"] if " / " in text]


def test_a_box_that_is_used_again_shows_its_latest_journey_and_any_other_on_demand(node: Node) -> None:
    story = (("EMPTY_OUT", 1), ("GATE_IN", 2), ("EMPTY_IN", 9), ("EMPTY_OUT", 20), ("GATE_IN", 21))
    for number, (code, day) in enumerate(story):
        node.tell(event(f"{number}", code, f"2026-03-{day:02d}T10:00:00+08:00"))
    latest = node.get("/v1/track/CSQU3054383")
    assert codes(latest) == ["EMPTY_OUT", "GATE_IN"]
    assert [trip["shown"] for trip in latest.json()["header"]["journeys"]] == [False, True]
    assert codes(node.get("/v1/track/CSQU3054383", journey=1)) == ["EMPTY_OUT", "GATE_IN", "EMPTY_IN"]
    answer = node.get("/v1/track/CSQU3054383", journey=3)
    assert (answer.status_code, answer.json()["facts"]["journeys"]) == (404, 2)


def test_an_answer_waits_for_ones_own_write_and_says_so_if_it_does_not_come(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = node.tell(*STORY)["position"]
    params = {"min-position": position}
    assert len(codes(node.get("/v1/track/CSQU3054383", **params))) == 3
    monkeypatch.setattr("api.track.WAIT_SECONDS_MAX", 0.1)
    answer = node.get("/v1/track/CSQU3054383", **{"min-position": position + 1})
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/behind")
    assert answer.json()["facts"] == {"position": position, "asked": position + 1}
    assert answer.headers["retry-after"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"lang": "de"},
        {"include": "all"},
        {"journey": "0"},
        {"journey": "one"},
        {"journey": "9" * 50},
        {"format": "pdf"},
        {"min-position": "-1"},
        {"min-position": str(2**63)},
        {"min-position": "1e3"},
    ],
    ids=str,
)
def test_a_wish_that_cannot_be_met_is_told_with_what_to_send_instead(node: Node, wrong: dict[str, str]) -> None:
    answer = node.get("/v1/track/CSQU3054383", **wrong)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/bad-question")
    assert answer.json()["facts"]["parameter"] in wrong
    assert " / " in answer.json()["detail"]
    assert node.rows("SELECT count(*) FROM commerce_events WHERE topic = 'delivery.made'") == [(0,)]


def test_every_wish_is_a_delivery_too(node: Node) -> None:
    node.tell(*STORY)
    for wish in ({"lang": "zh"}, {"include": "retracted"}, {"as_known_at": "2126-03-01T10:00:00Z"}, {"journey": 1}):
        assert node.get("/v1/track/CSQU3054383", **wish).status_code == 200
    assert node.rows("SELECT count(*) FROM commerce_events WHERE topic = 'delivery.made'") == [(4,)]
