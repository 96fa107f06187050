"""The life of a month: cut off, billed, reconciled, closed, reopened by two; and that nothing closed ever changes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from api import closing
from api.identity import Account
from api.main import kouan
from billing import drafting
from domain import period, reconciliation, statement
from domain.party import PartyRegistered
from domain.reconciliation import Break, BreakAccepted, Reconciled, ReconciliationSigned
from domain.subscription import SubscriptionMade
from tests.fixtures_node import Node
from tests.test_usage import PRICE, cut, made

NOW = period.month_of(datetime.now(UTC))
PAST = period.preceding(NOW)
BEFORE = period.preceding(PAST)
FIRM = "91320100MA1K2K3L4E"
ACTS = ("cut-off", "statements", "close", "reopening", "reopen")


def inside(month: str, days: int = 3) -> datetime:
    return period.bounds(month)[0] + timedelta(days=days)


def act(node: Node, month: str, name: str, who: str = "finance", **body: Any) -> Any:
    path = f"/v1/periods/{month}/{name}"
    answer = node.client.post(path, headers=node.bearer(who), json=body or None)
    node.catch_up()
    return answer


def shown(node: Node, month: str) -> dict[str, Any]:
    answer = node.get("/v1/periods", "finance")
    assert answer.status_code == 200, answer.text
    [found] = [each for each in answer.json()["periods"] if each["period"] == month]
    return dict(found)


def signed(node: Node, month: str, *breaks: Break, accepted: bool = True, by: str = "second") -> None:
    """A reconciliation of the month, run by one and signed by another."""
    at: dict[str, Any] = {"happened_at": datetime.now(UTC), "recorded_at": datetime.now(UTC), "period": month}
    digests: dict[str, Any] = dict.fromkeys(("journal_sha256", "statements_sha256", "provider_sha256"), "x")
    stream = reconciliation.stream(month)
    node.decide("commerce", stream, Reconciled(**at, by="clerk", cut_off=1, **digests, counts={}, breaks=breaks))
    for each in breaks if accepted else ():
        node.decide("commerce", stream, BreakAccepted(**at, by=by, break_id=each.break_id, reason="known"))
    if by and accepted:
        node.decide("commerce", stream, ReconciliationSigned(**at, by=by, open=len(breaks), run=1))


@pytest.fixture
def books(closed_node: Node) -> Node:
    """A node with a second accountant, where somebody used something last month."""
    closed_node.open("second", Account("second", "finance", "另一财务", "Second"))
    closed_node.decide("commerce", "metering:a", made(inside(PAST), 50))
    return closed_node


def billed(node: Node, month: str = PAST) -> None:
    for name in ("cut-off", "statements"):
        answer = act(node, month, name)
        assert (answer.status_code, answer.json()["new"]) == (202, True), answer.text


# --- from open to closed ---


def test_a_month_is_cut_off_billed_reconciled_and_closed(books: Node) -> None:
    assert shown(books, PAST)["stage"] == "open"  # where something was used first
    assert act(books, PAST, "statements").json()["type"] == "/problems/period-not-cut-off"
    billed(books)
    assert {name: shown(books, PAST)[name] for name in ("stage", "stage_zh", "statements", "total_minor")} == {
        "stage": "reviewing",
        "stage_zh": "审核中",
        "statements": 1,
        "total_minor": 100,
    }
    refused = act(books, PAST, "close")
    assert (refused.status_code, "尚未签字" in refused.json()["detail"]) == (409, True)
    found = Break(break_id="B-1", code="amount_mismatch", period=PAST, about="x")
    signed(books, PAST, found, accepted=False)
    assert act(books, PAST, "close").json()["facts"]["breaks"] == 1
    signed(books, PAST, found)
    assert [act(books, PAST, "close").json()["new"] for _ in range(2)] == [True, False]
    closed = shown(books, PAST)
    assert (closed["stage"], closed["signed_by"], closed["accepted"]) == ("closed", "second", ["B-1"])


def test_reopening_takes_a_second_person_and_a_reason_and_leaves_what_was_issued(books: Node) -> None:
    billed(books)
    assert act(books, PAST, "reopening", reason="x").status_code == 409
    signed(books, PAST)
    act(books, PAST, "close")
    issued = books.rows("SELECT statement, sha256 FROM issued_statements")
    assert act(books, PAST, "reopen", "second").status_code == 409
    assert act(books, PAST, "reopening", reason=" ").status_code == 409
    assert act(books, PAST, "reopening").status_code in {400, 422}
    assert act(books, PAST, "reopening", reason="银行回单有误").json()["new"] is True
    wish = shown(books, PAST)["reopening"]
    assert (wish["by"], wish["reason"]) == ("clerk", "银行回单有误")
    assert act(books, PAST, "reopen").status_code == 409
    assert act(books, PAST, "reopen", "second").status_code == 202
    assert (shown(books, PAST)["stage"], shown(books, PAST)["reopening"]) == ("reviewing", None)
    assert act(books, PAST, "statements").json()["new"] is False
    assert books.rows("SELECT statement, sha256 FROM issued_statements") == issued
    assert "尚未签字" in act(books, PAST, "close").json()["detail"]
    signed(books, PAST)
    assert act(books, PAST, "close").status_code == 202


def test_statements_are_issued_one_month_after_another(books: Node) -> None:
    for month in (BEFORE, PAST):
        assert act(books, month, "cut-off").status_code == 202
    refused = act(books, PAST, "statements")
    assert (refused.status_code, refused.json()["facts"]["next"]) == (409, BEFORE)
    assert [act(books, month, "statements").status_code for month in (BEFORE, PAST)] == [202, 202]


def test_months_are_closed_one_after_another(books: Node) -> None:
    for month in (BEFORE, PAST):
        billed(books, month)
        signed(books, month)
    refused = act(books, PAST, "close")
    assert (refused.status_code, refused.json()["facts"]["next"]) == (409, BEFORE)
    assert [act(books, month, "close").json()["new"] for month in (BEFORE, PAST)] == [True, True]
    assert act(books, BEFORE, "reopening", reason="x").status_code == 202
    assert act(books, BEFORE, "reopen", "second").status_code == 202
    assert act(books, PAST, "close").json()["new"] is False  # it was closed before, and stays so


def test_months_before_the_first_use_are_empty_and_may_be_cut_off(books: Node) -> None:
    assert act(books, period.preceding(period.preceding(BEFORE)), "cut-off").status_code == 202


def test_the_first_cut_off_is_of_the_month_of_the_first_use(closed_node: Node) -> None:
    closed_node.decide("commerce", "metering:a", made(inside(BEFORE), 50))
    refused = act(closed_node, PAST, "cut-off")
    assert (refused.status_code, refused.json()["facts"]["next"]) == (409, BEFORE)
    assert [act(closed_node, month, "cut-off").status_code for month in (BEFORE, PAST)] == [202, 202]


def test_statements_wait_for_usage_to_be_counted(books: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "WAIT_SECONDS_MAX", 0.01)
    path, headers = f"/v1/periods/{PAST}", books.bearer("finance")
    assert books.client.post(f"{path}/cut-off", headers=headers).status_code == 202
    waiting = books.client.post(f"{path}/statements", headers=headers)
    assert (waiting.status_code, waiting.json()["type"]) == (503, "/problems/busy")
    books.catch_up()
    assert act(books, PAST, "statements").json()["new"] is True


def test_what_falls_due_is_told_by_the_cut_off_and_billed(books: Node) -> None:
    at = inside(BEFORE)
    told: dict[str, Any] = {"happened_at": at, "recorded_at": at, "subscription": "S-1", "by": "a", "by_party": ""}
    order = SubscriptionMade(**told, account="mover", party="", items=("statistics.detail",), tariffs={}, valid_from=at)
    books.decide("commerce", "subscription:S-1", order)
    billed(books)
    [(number,)] = books.rows("SELECT statement FROM issued_statements")
    with psycopg.connect(books.conninfo, autocommit=True) as connection:
        found = statement.read(drafting.stored(connection, number))
    assert [(line.item, line.amount_minor) for line in found.lines] == [
        ("feed.pull", 100),
        ("statistics.detail", 20_000),
    ]


def test_only_the_nodes_own_finance_acts(books: Node) -> None:
    told: dict[str, Any] = {"happened_at": datetime.now(UTC), "recorded_at": datetime.now(UTC), "by": "a"}
    enrolled = PartyRegistered(**told, party=FIRM, kind="enterprise", zh="企业", en="Firm")
    books.decide("commerce", f"party:{FIRM}", enrolled)
    books.open("accountant", Account("accountant", "finance", "会计", "Accountant", party=FIRM))
    books.get("/v1/track/CSQU3054383")  # whoever asks has the register read
    for who in ("accountant", "operator", "logistics"):
        for name in ACTS:
            assert act(books, PAST, name, who, reason="x").status_code == 403
    assert (books.get("/v1/periods", "operator").status_code, books.get("/v1/periods", "logistics").status_code) == (
        200,
        403,
    )


def test_a_month_goes_its_way_in_a_terminal(books: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUAN_DATABASE_URL", books.conninfo)

    def run(*words: str, by: str = "王会计") -> str:
        done = CliRunner().invoke(kouan, ["period", *words, *(["--by", by] if by else [])])
        books.catch_up()
        return done.output or str(done.exception)

    assert "is cut off" in run("cut-off", PAST)
    assert "is billed" in run("statements", PAST)
    assert "was billed before" in run("statements", PAST)
    signed(books, PAST)
    assert "is closed" in run("close", PAST)
    assert "to be reopened" in run("ask-reopening", PAST, "--reason", "回单有误")
    assert "申请重开 asks to reopen it: 回单有误" in run("list", by="")
    assert "second person" in run("reopen", PAST)
    assert "is reopened" in run("reopen", PAST, by="李会计")
    assert all(part in run("list", by="") for part in (PAST, "审核中", "1 份账单", "¥1"))


# --- nothing closed ever changes ---


def row(**more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"meter": "delivery/1", "stream": "s", "version": 1, "position": 10**9}
    found |= {"account": "mover", "party": "", "behalf": "", "item": "feed.pull", "item_class": "commercial"}
    found |= {"result": "ok", "quantity": 1, "chargeable": True, "tariff": PRICE, "waived": ""}
    return found | {"occurred_at": inside(PAST), "billing_period": PAST} | more


def test_the_database_takes_no_usage_for_a_month_that_was_cut_off(books: Node) -> None:
    insert = "INSERT INTO usage_entries ({}) VALUES ({})"
    with psycopg.connect(books.conninfo, autocommit=True) as connection:

        def add(**more: Any) -> None:
            values = row(**more)
            text = insert.format(", ".join(values), ", ".join(["%s"] * len(values)))
            connection.execute(text.encode(), list(values.values()))

        add()
        books.decide("commerce", period.stream(PAST), cut(PAST))
        with pytest.raises(psycopg.errors.CheckViolation, match="cut off"):
            add(version=2)
        add(version=2, billing_period=NOW, corrects_period=PAST)
        for text in ("UPDATE usage_entries SET quantity = 0", "DELETE FROM usage_entries"):
            with pytest.raises(psycopg.errors.RestrictViolation, match="never changed"):
                connection.execute(text.encode())


def test_a_month_that_has_its_statements_gets_no_other_one(books: Node) -> None:
    billed(books)
    [(number,)] = books.rows("SELECT statement FROM issued_statements")
    with psycopg.connect(books.conninfo, autocommit=True) as connection:
        found = statement.read(drafting.stored(connection, number))
    other = {"number": "KS-FORGED", "holder": statement.Holder(code="other", is_party=False), "lines": ()}
    empty = dict.fromkeys(("total_minor", "list_minor", "waived_minor", "net_minor", "tax_minor", "payable_minor"), 0)
    forged = statement.Statement(**{name: getattr(found, name) for name in found.__struct_fields__} | other | empty)
    with pytest.raises(psycopg.Error, match="all statements of"):
        books.decide("commerce", "statement:KS-FORGED", statement.issued(forged, by="thief", at=datetime.now(UTC)))
    assert books.rows("SELECT statement FROM issued_statements") == [(number,)]


def test_what_turns_up_after_the_close_is_a_correction_in_the_next_month(books: Node) -> None:
    billed(books)
    signed(books, PAST)
    act(books, PAST, "close")
    before = books.rows("SELECT * FROM usage_entries WHERE billing_period = %s", PAST)
    books.decide("commerce", "metering:a", made(inside(PAST), 7))
    assert books.rows("SELECT * FROM usage_entries WHERE billing_period = %s", PAST) == before
    late = "SELECT billing_period, corrects_period, quantity FROM usage_entries WHERE corrects_period IS NOT NULL"
    assert books.rows(late) == [(NOW, PAST, 7)]
