"""Adjustments: proposed by one, approved by another, of commercial items alone, on the next statement; who bills."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from api import schema
from api.identity import Account
from api.main import kouan
from billing import drafting
from domain import adjustment, statement
from domain.adjustment import AdjustmentProposed
from domain.errors import Refused
from tests.fixtures_node import Node
from tests.test_close import NOW, PAST, act, billed, inside
from tests.test_usage import made

PATH = "/v1/adjustments"
GIVEN: dict[str, Any] = {"item": "feed.pull", "amount_minor": -30, "reason": "七月多收", "holder": "mover"}


@pytest.fixture
def books(closed_node: Node) -> Node:
    closed_node.open("second", Account("second", "finance", "另一财务", "Second"))
    closed_node.decide("commerce", "metering:a", made(inside(PAST), 50))
    return closed_node


def post(node: Node, path: str, who: str = "finance", **body: Any) -> Any:
    return node.client.post(path, headers=node.bearer(who), json=body or None)


def proposed(node: Node, **more: Any) -> str:
    answer = post(node, PATH, **{**GIVEN, **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"{PATH}/{answer.json()['id']}"
    return str(answer.json()["id"])


def documents(node: Node) -> list[statement.Statement]:
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        rows = connection.execute("SELECT statement FROM issued_statements ORDER BY statement").fetchall()
        return [statement.read(drafting.stored(connection, number)) for (number,) in rows]


# --- by API ---


def test_what_a_second_person_approves_is_a_line_of_the_next_statement(books: Node) -> None:
    name = proposed(books, corrects_period="2026-07")
    assert post(books, f"{PATH}/{name}/approve").status_code == 409
    assert [post(books, f"{PATH}/{name}/approve", "second").json()["new"] for _ in range(2)] == [True, False]
    assert books.get(f"{PATH}/{name}", "finance").json()["billed_on"] == ""
    billed(books)
    [found] = documents(books)
    [line] = [line for line in found.lines if line.kind == "adjustment"]
    assert (line.amount_minor, line.explanation, line.corrects_period, line.reference) == (
        -30, "七月多收", "2026-07", name,
    )  # fmt: skip
    told = books.get(f"{PATH}/{name}", "finance").json()
    assert (told["state"], told["decided_by"], told["billed_on"], told["billed_line"]) == (
        "approved", "second", found.number, line.no,
    )  # fmt: skip


def test_what_is_approved_after_a_cut_off_counts_for_the_month_after(books: Node) -> None:
    act(books, PAST, "cut-off")
    name = proposed(books)
    post(books, f"{PATH}/{name}/approve", "second")
    act(books, PAST, "statements")
    assert [line.kind for found in documents(books) for line in found.lines] == ["usage"]


def test_of_a_statement_holder_and_month_need_not_be_said(books: Node) -> None:
    billed(books)
    [found] = documents(books)
    about = {**GIVEN, "holder": "", "statement": found.number}
    answer = post(books, PATH, **about)
    told = books.get(f"{PATH}/{answer.json()['id']}", "finance").json()
    assert (told["holder"], told["corrects_period"], told["statement"]) == ("mover", PAST, found.number)
    assert post(books, PATH, **{**about, "holder": "trader"}).status_code == 404


def test_a_declined_one_counts_for_nothing(books: Node) -> None:
    name = proposed(books)
    assert post(books, f"{PATH}/{name}/decline", reason=" ").status_code == 409
    assert post(books, f"{PATH}/{name}/decline", reason="重复").status_code == 202
    assert post(books, f"{PATH}/{name}/approve", "second").status_code == 409
    billed(books)
    assert [line.kind for found in documents(books) for line in found.lines] == ["usage"]
    [told] = books.get(PATH, "finance", state="declined").json()
    assert (told["state_zh"], told["declined_because"]) == ("已退回", "重复")
    assert books.get(PATH, "finance", state="approved").json() == []


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"item": "track.query"}, 409),
        ({"item": "no.such"}, 409),
        ({"amount_minor": 0}, 409),
        ({"amount_minor": 10**15}, 409),
        ({"amount_minor": 1.5}, 422),
        ({"reason": " "}, 409),
        ({"corrects_period": "2026-13"}, 422),
        ({"statement": "KS-000000-000001"}, 404),
        ({"holder": "nobody"}, 404),
        ({"holder": "mover", "is_party": True}, 404),
        ({"holder": ""}, 422),
        ({"unknown": 1}, 422),
    ],
)
def test_what_cannot_be_adjusted_is_told_so(books: Node, wrong: dict[str, Any], status: int) -> None:
    answer = post(books, PATH, **{**GIVEN, **wrong})
    assert answer.status_code in {status, 400 if status == 422 else status}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_who_belongs_to_a_party_is_no_holder_of_its_own(books: Node) -> None:
    books.open("ann", Account("ann", "enterprise", "安", "Ann", party="91320000MA0000277B"))
    assert post(books, PATH, **{**GIVEN, "holder": "ann"}).status_code == 404


def test_one_that_is_not_there_is_not_found(books: Node) -> None:
    assert books.get(f"{PATH}/A-0", "finance").status_code == 404
    assert post(books, f"{PATH}/A-0/approve").status_code == 404
    assert post(books, f"{PATH}/A-0/decline", reason="x").status_code == 404


def test_only_the_nodes_own_finance_adjusts(books: Node) -> None:
    name = proposed(books)
    for who in ("operator", "logistics"):
        assert post(books, PATH, who, **GIVEN).status_code == 403
        assert post(books, f"{PATH}/{name}/approve", who).status_code == 403
    assert (books.get(PATH, "operator").status_code, books.get(PATH, "logistics").status_code) == (200, 403)


# --- the rule, and below it the database ---


def test_a_free_item_has_nothing_to_adjust() -> None:
    about: dict[str, Any] = {"is_party": False, "reason": "x", "by": "a", "at": datetime.now(UTC)}
    with pytest.raises(Refused, match="free of charge"):
        adjustment.propose(
            adjustment.Adjustment("a"), holder="x", item="track.query", commercial=False, amount_minor=-1, **about
        )


def test_the_database_refuses_money_on_a_free_item(books: Node) -> None:
    now = datetime.now(UTC)
    told: dict[str, Any] = {"happened_at": now, "recorded_at": now, "adjustment": "a1", "by": "thief"}
    forged = AdjustmentProposed(**told, holder="mover", is_party=False, item="track.query", amount_minor=-5, reason="x")
    approved = adjustment.AdjustmentApproved(**told, proposed=forged)
    for each in (forged, approved):
        with pytest.raises(psycopg.Error, match="has no price"):
            books.decide("commerce", "adjustment:a1", each)


# --- who bills ---


def test_a_node_begins_with_a_rate_and_keeps_the_one_that_was_set(books: Node) -> None:
    first = books.get("/v1/seller", "finance").json()
    assert (first["rate_bp"], [rate["rate_bp"] for rate in first["rates"]]) == (600, [600])
    start = (datetime.now(UTC) - timedelta(days=400)).isoformat()
    told: dict[str, Any] = {"rate_bp": 100, "effective_from": start, "basis": "小规模纳税人 / small-scale taxpayer"}
    assert post(books, "/v1/seller/tax-rates", **told).status_code == 201
    schema.install(books.conninfo)
    again = books.get("/v1/seller", "finance").json()
    assert [rate["rate_bp"] for rate in again["rates"]] == [600, 100]


def test_who_bills_stands_on_the_statements_of_months_cut_off_from_then_on(books: Node) -> None:
    said = {"zh": "某省电子口岸有限公司", "en": "E-port Ltd", "tax_id": "91320000MA0000277B"}
    body: dict[str, Any] = {"json": said, "headers": books.bearer("finance")}
    assert [books.client.put("/v1/seller", **body).json()["new"] for _ in range(2)] == [True, False]
    billed(books)
    [found] = documents(books)
    assert (found.seller.zh, found.seller.tax_id, found.tax_minor) == (said["zh"], said["tax_id"], 6)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"rate_bp": 10_000}, 409),
        ({"rate_bp": -1}, 409),
        ({"effective_from": "2026-01-01T00:00:00"}, 422),
        ({"effective_from": "1999-01-01T00:00:00Z"}, 422),
        ({"basis": ""}, 409),
    ],
)
def test_a_rate_that_is_none_is_refused(books: Node, wrong: dict[str, Any], status: int) -> None:
    told = {"rate_bp": 600, "effective_from": "2027-01-01T00:00:00+08:00", "basis": "x"}
    assert post(books, "/v1/seller/tax-rates", **{**told, **wrong}).status_code == status


def test_only_the_nodes_own_finance_says_who_bills(books: Node) -> None:
    body: dict[str, Any] = {"json": {"zh": "x", "en": "x"}, "headers": books.bearer("operator")}
    assert books.client.put("/v1/seller", **body).status_code == 403
    assert books.get("/v1/seller", "logistics").status_code == 403
    body["headers"] = books.bearer("finance")
    body["json"] = {"zh": " ", "en": "x"}
    assert books.client.put("/v1/seller", **body).status_code == 409


# --- in a terminal ---


def test_both_can_be_done_at_the_terminal(books: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUAN_DATABASE_URL", books.conninfo)

    def run(*words: str) -> str:
        done = CliRunner().invoke(kouan, words)
        return done.output or str(done.exception)

    about = ("--account", "mover", "--reason", "多收", "--by", "王会计")
    name = run("adjustment", "propose", *about, "--", "feed.pull", "-30").strip()
    assert name.startswith("A-")
    assert "somebody else" in run("adjustment", "approve", name, "--by", "王会计")
    assert "done" in run("adjustment", "approve", name, "--by", "李会计")
    assert "¥-0.3" in run("adjustment", "list")
    other = run("adjustment", "propose", *about, "--", "feed.pull", "9").strip()
    assert "done" in run("adjustment", "decline", other, "--reason", "重复", "--by", "李会计")
    assert "done" in run("seller", "describe", "--zh", "某公司", "--en", "Firm", "--by", "王会计")
    assert "done" in run("seller", "tax-rate", "300", "--from", "2027-01-01", "--basis", "b", "--by", "王会计")
    assert all(part in run("seller", "show") for part in ("某公司", "6 %", "3 %", "2027-01-01"))
    assert NOW > PAST
