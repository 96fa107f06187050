"""Asking whether it may go: over HTTP, each answer a delivery; and the agency's cross-check with its log."""

import json
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import psycopg
import pytest

from domain import declaration
from domain.declaring import Content, Document
from domain.fact import digest_id
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.writer import Writer
from examples import edifact
from tests.fixtures_node import Node
from tests.stories.life import Cargo, tell
from tests.stories.test_hold_and_inspection import NOON

CARGO = Cargo(1)
PATH = f"/v1/verify/containers/{CARGO.box}"
PORT = "CNYSA"


def landed(node: Node) -> None:
    tell(node, CARGO.answer("MT1101", "02-14 16:20", place=PORT))
    tell(node, CARGO.handled(edifact.DISCHARGE, "03-17 06:48"))
    node.catch_up()


def released(node: Node) -> None:
    landed(node)
    tell(node, CARGO.receipt("P", "03-17 12:00"))
    node.catch_up()


def facts(node: Node, topic: str) -> list[dict[str, Any]]:
    rows = node.rows("SELECT state FROM commerce_events WHERE topic = %s ORDER BY notification_id", topic)
    return [json.loads(bytes(row[0])) for row in rows]


# --- verify ---


def test_an_answer_names_every_reason_in_both_languages_and_the_facts_behind_it(node: Node) -> None:
    landed(node)
    tell(node, CARGO.receipt("T", "03-17 09:31"))
    node.catch_up()
    told = node.get(PATH, action="gate-out", place=PORT).json()
    assert (told["allowed"], told["number"], told["kind"]) == (False, CARGO.box, "container")
    assert [each["code"] for each in told["reasons"]] == ["declaration.not_released", "duty.unpaid"]
    for reason in told["reasons"]:
        assert reason["zh"]
        assert reason["en"].isascii()
        assert set(reason["fact_ids"]) <= {fact["fact_id"] for fact in told["facts"]}
        assert reason["since"] == "2026-03-17T09:31:00+08:00"
    assert told["service"] == {"item": "verify.query", "item_class": "government", "charged": False}
    assert told["position"] > 0


def test_the_same_question_is_answered_anew_once_something_new_is_told(node: Node) -> None:
    landed(node)
    assert not node.get(PATH, action="gate-out").json()["allowed"]
    tell(node, CARGO.receipt("P", "03-17 12:00"))
    node.catch_up()
    assert node.get(PATH, action="gate-out").json()["allowed"]
    assert not node.get(PATH, action="gate-out", place="CNNJG").json()["allowed"]


def test_a_number_may_be_written_as_people_write_it(node: Node) -> None:
    released(node)
    written = f"{CARGO.box[:4].lower()} {CARGO.box[4:10]}-{CARGO.box[10]}"
    assert node.get(f"/v1/verify/containers/{written}", action="gate-out", place="CNYAN").json()["allowed"]


@pytest.mark.parametrize("path", ["containers/TOLU4734787", "awbs/112-00000011", "rail/31260388"])
def test_a_number_nobody_knows_is_unknown_and_that_is_on_the_books(node: Node, path: str) -> None:
    answer = node.get(f"/v1/verify/{path}", action="gate-out")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown")
    [made] = facts(node, "delivery.made")
    assert (made["item"], made["result"], made.get("count", 0)) == ("verify.query", "empty", 0)


def test_every_answer_is_a_free_delivery(node: Node) -> None:
    released(node)
    node.get(PATH, action="gate-out")
    [made] = facts(node, "delivery.made")
    assert (made["account"], made["item"], made["item_class"]) == ("trader", "verify.query", "government")
    assert made["subject"] == f"container:{CARGO.box}"
    assert "customs.clearance" in made["datasets"]
    node.catch_up()
    [row] = node.get("/v1/usage", "finance").json()["rows"]
    assert (row["item"], row["price_minor"], row["amount_minor"]) == ("verify.query", None, 0)


@pytest.mark.parametrize(
    ("params", "slug", "said"),
    [
        ({"action": "leave"}, "bad-action", "gate-out, load, enter"),
        ({"action": ""}, "bad-action", "gate-out"),
        ({"action": "load", "place": "X" * 36}, "bad-place", "35"),
        ({}, "malformed", ""),
    ],
)
def test_a_question_that_cannot_be_read_is_a_problem_that_says_which_value(
    node: Node, params: dict[str, str], slug: str, said: str
) -> None:
    answer = node.get(PATH, **params)
    assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{slug}")
    assert said in answer.text


@pytest.mark.parametrize("number", ["%00", "%F0%9F%9A%A2", "a" * 3000, "%22%5C", "..", "%E8%8B%8F"])
@pytest.mark.parametrize("kind", ["containers", "awbs", "rail"])
def test_no_number_is_a_fault_of_ours(node: Node, kind: str, number: str) -> None:
    answer = node.get(f"/v1/verify/{kind}/{number}", action="enter", place="\x00" if number == ".." else "")
    assert answer.status_code in {404, 422}


def test_without_a_key_nothing_is_told(node: Node) -> None:
    assert node.get(PATH, "", action="gate-out").status_code == 401


def test_many_questions_at_the_same_moment_all_get_their_own_answer(node: Node) -> None:
    released(node)
    asked = [(PATH, "gate-out", 200), (PATH, "load", 200), ("/v1/verify/containers/TOLU4734787", "load", 404)] * 10
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: node.get(each[0], action=each[1]), asked))
    assert [answer.status_code for answer in answers] == [status for *_, status in asked]
    assert all(
        answer.json()["action"] == action
        for answer, (_, action, status) in zip(answers, asked, strict=True)
        if status == 200
    )
    assert len(facts(node, "delivery.made")) == len(asked)


def test_nothing_leaves_when_its_delivery_cannot_be_recorded(node: Node) -> None:
    released(node)
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        connection.execute("ALTER TABLE commerce_events ADD CONSTRAINT closed CHECK (false) NOT VALID")
    answer = node.get(PATH, action="gate-out")
    assert not answer.is_success
    assert "allowed" not in answer.text


# --- cross-check ---

ASKED: dict[str, Any] = {
    "purpose": "出口退税核查 / export refund",
    "entry_id": CARGO.entry(),
    "bill": CARGO.bill,
    "containers": [CARGO.box],
    "declaring_customs": "2308",
    "border_customs": "2248",
}


def cross_check(node: Node, asked: dict[str, Any], who: str = "operator") -> Any:
    return node.client.post("/v1/verify/cross-check", json=asked, headers=node.bearer(who))


def by_field(answer: Any) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {each["field"]: each["result"] for each in answer.json()["fields"]}


def manifested(node: Node) -> None:
    released(node)
    told = {"subject": f"bl:{CARGO.bill}", "mode": "VESSEL", "transport": "KOUAN PIONEER/006E", "pieces": 40}
    told |= {"weight_kg": 8_200, "refs": [f"container:{CARGO.box}"]}
    tell(node, CARGO.told("MAN_ORIG_OK", "02-14 16:21", "customs-2200", **told))
    node.catch_up()


def test_each_field_is_equal_different_or_unknown(node: Node) -> None:
    manifested(node)
    more = {"pieces": 41, "gross_kg": 8200.4, "voyage": "006E", "vessel": "Kouan Pioneer", "permits": ["4403-1"]}
    assert by_field(cross_check(node, ASKED | more)) == {
        "declaring_customs": "equal", "border_customs": "equal", "bill": "equal", "containers": "equal",
        "pieces": "different", "gross_kg": "equal", "vessel": "equal", "voyage": "equal", "permits": "unknown",
    }  # fmt: skip


def test_a_difference_is_told_with_both_values_and_where_the_other_comes_from(node: Node) -> None:
    manifested(node)
    answer = cross_check(node, {"purpose": "x", "bill": CARGO.bill, "pieces": 41})
    pieces = next(each for each in answer.json()["fields"] if each["field"] == "pieces")
    [known] = pieces["known"]
    assert (pieces["asked"], known["value"], known["origin"], known["zh"]) == ("41", "40", "manifest", "舱单")
    assert known["fact_ids"]


def test_a_permit_lodged_with_the_declaration_is_compared(node: Node) -> None:
    released(node)
    content = Content(licence="4403-1", documents=(Document("1", "E-77"),), packages=40)
    lodged = declaration.Lodged(happened_at=NOON, recorded_at=NOON, by="trader", content=content)
    with Journal("cargo", node.conninfo).opened() as journal:
        writer = Writer(journal)
        writer.write([Intent(facts=[NewFact(f"declaration:{CARGO.entry()}", digest_id("lodged"), lodged)])])
        writer.stop()
    node.catch_up()
    asked = {"purpose": "x", "entry_id": CARGO.entry(), "permits": ["E-77", "4403-1"], "pieces": 40}
    assert by_field(cross_check(node, asked)) == {"permits": "equal", "pieces": "equal"}


def test_the_question_and_the_answer_are_on_the_books_by_their_digests(node: Node) -> None:
    released(node)
    answer = cross_check(node, ASKED)
    [logged] = facts(node, "verification.made")
    [delivery] = facts(node, "delivery.made")
    assert logged["answer_sha256"] == sha256(answer.content).hexdigest()
    assert (logged["account"], logged["purpose"]) == ("operator", ASKED["purpose"])
    assert logged["subject"] == f"declaration:{CARGO.entry()}"
    assert (delivery["item"], delivery["item_class"]) == ("verify.cross_check", "government")
    assert "result" not in delivery  # ok, the usual one


def test_what_is_not_known_is_an_answer_and_logged_too(node: Node) -> None:
    assert set(by_field(cross_check(node, ASKED)).values()) == {"unknown"}
    assert len(facts(node, "verification.made")) == 1
    assert facts(node, "delivery.made")[0]["result"] == "empty"


@pytest.mark.parametrize(
    ("asked", "slug"),
    [
        ({"purpose": "x", "pieces": 3}, "nothing-to-compare"),
        ({"purpose": "x", "entry_id": "1"}, "nothing-to-compare"),
        ({"entry_id": "1", "pieces": 3}, "malformed"),
        ({"purpose": "x", "bill": "A", "weight": 3}, "malformed"),
        ({"purpose": "x", "bill": "A", "pieces": -1}, "malformed"),
        ({"purpose": "x", "bill": "A\x00", "pieces": 1}, "bad-identifier"),
        ({"purpose": "x", "bill": "A", "containers": ["X"] * 201}, "malformed"),
    ],
)
def test_a_body_that_cannot_be_compared_is_a_problem(node: Node, asked: dict[str, Any], slug: str) -> None:
    answer = cross_check(node, asked)
    assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{slug}")


def test_only_agencies_may_cross_check(node: Node) -> None:
    assert cross_check(node, ASKED, "enterprise").status_code == 403
