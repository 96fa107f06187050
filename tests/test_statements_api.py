"""Statements by API, as pages and in a terminal: as issued byte for byte, one's own alone, and made again."""

import base64
import csv
import io
import json
from hashlib import sha256
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from api import statements
from api.identity import Account
from api.main import kouan
from billing import drafting
from domain import statement
from domain.party import PartyRegistered
from tests.fixtures_node import Node
from tests.test_statement import FREE, close
from tests.test_usage import END, SEPTEMBER, made

OURS, THEIRS = "91320000MA0000277B", "91320000MA0000269G"
NOBODYS = "KS-202609-000009"
FIRST, SECOND, LATER = "KS-202609-000001", "KS-202609-000002", "KS-202610-000001"
ABOUT: dict[str, Any] = {"happened_at": SEPTEMBER, "recorded_at": SEPTEMBER, "by": "clerk"}


@pytest.fixture
def books(node: Node) -> Node:
    """September of two enterprises, October of one."""
    for party, name in ((OURS, "us"), (THEIRS, "them")):
        node.open(name, Account(name, "logistics", name, name, party=party))
    node.open("auditor", Account("auditor", "auditor", "审计", "Auditor"))
    node.open("alone", Account("alone", "logistics", "无单位", "Without a party"))
    enrolled = PartyRegistered(**ABOUT, party=OURS, kind="enterprise", zh="甲公司", en="Ours Ltd")
    node.decide("commerce", f"party:{OURS}", enrolled)
    used = [made(SEPTEMBER, 50, account="us", party=OURS), made(SEPTEMBER, 3, account="us", party=OURS, **FREE)]
    node.decide("commerce", "metering:a", *used, made(SEPTEMBER, 7, account="them", party=THEIRS))
    close(node)
    node.decide("commerce", "metering:a", made(END, 1, account="us", party=OURS))
    close(node, "2026-10")
    return node


def numbers(node: Node, who: str, **asked: Any) -> list[str]:
    answer = node.get("/v1/statements", who, **asked)
    assert answer.status_code == 200, answer.text
    return [each["number"] for each in answer.json()["statements"]]


def owned(node: Node) -> dict[str, str]:
    return dict(node.rows("SELECT statement, holder FROM issued_statements"))


# --- who sees which ---


def test_finance_sees_every_statement_and_an_enterprise_its_own(books: Node) -> None:
    assert owned(books) == {FIRST: THEIRS, SECOND: OURS, LATER: OURS}
    for who in ("finance", "operator", "auditor"):
        assert numbers(books, who) == [LATER, FIRST, SECOND]
    assert numbers(books, "us") == [LATER, SECOND]
    assert numbers(books, "them") == [FIRST]
    assert numbers(books, "alone") == []
    assert books.get("/v1/statements", "").status_code == 401


def test_a_list_is_asked_for_by_month_by_holder_and_page_by_page(books: Node) -> None:
    assert numbers(books, "finance", period="2026-09") == [FIRST, SECOND]
    assert numbers(books, "finance", holder=OURS) == [LATER, SECOND]
    assert numbers(books, "us", holder=THEIRS) == []
    pages, after = [], ""
    while True:
        told = books.get("/v1/statements", "finance", limit=1, **({"after": after} if after else {})).json()
        pages += [each["number"] for each in told["statements"]]
        if not (after := told["next"]):
            break
    assert pages == [LATER, FIRST, SECOND]
    for wrong in ({"after": "x"}, {"period": "2026-13"}, {"limit": 0}, {"limit": "x"}):
        assert books.get("/v1/statements", "finance", **wrong).status_code == 422, wrong


def test_a_statement_that_is_not_ones_own_is_not_there(books: Node) -> None:
    for ending in ("", "?format=pdf", "?format=xlsx", "?format=csv"):
        theirs, nobodys = (books.get(f"/v1/statements/{number}{ending}", "us") for number in (FIRST, NOBODYS))
        assert (theirs.status_code, nobodys.status_code) == (404, 404)
        assert theirs.text.replace(FIRST, NOBODYS) == nobodys.text
    theirs, nobodys = (
        books.client.post(f"/v1/statements/{number}/remake", headers=books.bearer("us")) for number in (FIRST, NOBODYS)
    )
    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    assert theirs.text.replace(FIRST, NOBODYS) == nobodys.text


# --- one of them ---


def test_the_document_is_answered_byte_for_byte_under_its_digest(books: Node) -> None:
    answer = books.get(f"/v1/statements/{SECOND}", "us")
    with psycopg.connect(books.conninfo, autocommit=True) as connection:
        assert answer.content == drafting.stored(connection, SECOND)
    digest = sha256(answer.content)
    assert answer.headers["etag"] == f'"{digest.hexdigest()}"'
    assert answer.headers["content-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    told = statement.read(answer.content)
    assert [(line.item, line.quantity, line.amount_minor, line.reason) for line in told.lines] == [
        ("track.query", 1, 0, "government"),
        ("feed.pull", 50, 100, ""),
    ]
    seen = books.client.get(
        f"/v1/statements/{SECOND}", headers=books.bearer("us") | {"If-None-Match": answer.headers["etag"]}
    )
    assert (seen.status_code, seen.content) == (304, b"")


BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


def test_a_paper_is_had_by_accept_or_by_format(books: Node) -> None:
    begins = {"pdf": b"%PDF-", "xlsx": b"PK", "csv": "\ufeff".encode(), "json": b"{"}
    asked: dict[str, statements.Form] = {each: form for form, each in statements.MEDIA_TYPES.items()}
    for accept, form in (asked | {"*/*": "json", BROWSER: "json"}).items():
        answer = books.client.get(f"/v1/statements/{SECOND}", headers=books.bearer("us") | {"Accept": accept})
        assert (answer.status_code, answer.content.startswith(begins[form])) == (200, True), accept
        same = books.get(f"/v1/statements/{SECOND}", "us", format=form)
        assert same.content == answer.content
        if form != "json":
            assert f"{SECOND}.{form}" in same.headers["content-disposition"]
    assert books.get(f"/v1/statements/{SECOND}", "us", format="docx").status_code == 422


def test_the_csv_has_a_row_for_each_line_and_money_in_yuan(books: Node) -> None:
    text = books.get(f"/v1/statements/{SECOND}", "us", format="csv").content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["项目代码 Item"], row["数量 Quantity"], row["金额（元） Amount, CNY"]) for row in rows] == [
        ("track.query", "1", "0.00"),
        ("feed.pull", "50", "1.00"),
    ]


def test_it_is_made_again_from_the_books_and_the_trail_knows_who_checked(books: Node) -> None:
    books.decide("commerce", "metering:a", made(SEPTEMBER, 9, account="us", party=OURS))  # late: of no concern
    for who in ("us", "finance", "auditor"):
        answer = books.client.post(f"/v1/statements/{SECOND}/remake", headers=books.bearer(who))
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["same"], told["differs_at"], told["sha256"]) == (True, None, told["remade_sha256"])
    rows = books.rows("SELECT state FROM commerce_events WHERE topic = 'access.told' ORDER BY notification_id")
    told = [json.loads(state) for (state,) in rows]
    assert [
        (each["object"], each["account"], each["detail"]) for each in told if each["action"] == "statement.remade"
    ] == [(f"statement:{SECOND}", who, "same") for who in ("us", "clerk", "auditor")]


def test_a_statement_that_the_books_do_not_bear_out_is_found(books: Node) -> None:
    """An entry of the month is taken away behind everybody's back."""
    with psycopg.connect(books.conninfo, autocommit=True) as connection:
        connection.execute("ALTER TABLE usage_entries DISABLE TRIGGER USER")
        connection.execute("DELETE FROM usage_entries WHERE party = %s AND item = 'track.query'", (OURS,))
        found = statements.remade(connection, SECOND)
    assert (found.same, found.sha256 == found.remade_sha256, found.differs_at is not None) == (False, False, True)


# --- pages ---


def test_the_pages_show_free_beside_paid_in_both_languages(books: Node) -> None:
    for lang, words in (
        ("zh", ("政务服务免费", "应付", "甲公司")),
        ("en", ("government service", "Payable", "Ours Ltd")),
    ):
        listed = books.get("/statements", "us", lang=lang)
        assert [(number, number in listed.text) for number in owned(books)] == [
            (number, holder == OURS) for number, holder in owned(books).items()
        ]
        shown = books.get(f"/statements/{SECOND}", "us", lang=lang)
        assert [word for word in (*words, "1.00", "sample-2026") if word not in shown.text] == []
    assert books.get("/statements", "finance", period="2026-09", holder=THEIRS).text.count("KS-") > 0
    assert books.get("/statements", "").status_code == books.get(f"/statements/{FIRST}", "").status_code == 401
    missing = [books.get(f"/statements/{number}", "us") for number in (FIRST, NOBODYS)]
    assert [each.status_code for each in missing] == [404, 404]


def test_the_page_makes_a_statement_again(books: Node) -> None:
    answer = books.client.post(f"/statements/{SECOND}/remake", headers=books.bearer("us"))
    assert (answer.status_code, "个字节逐一相同" in answer.text) == (200, True)
    assert books.client.post(f"/statements/{FIRST}/remake", headers=books.bearer("us")).status_code == 404
    forged = books.bearer("us") | {"Sec-Fetch-Site": "cross-site"}
    assert books.client.post(f"/statements/{SECOND}/remake", headers=forged).status_code == 403


# --- terminal ---


def test_a_statement_is_listed_shown_made_again_and_printed_at_the_terminal(
    books: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("KOUAN_DATABASE_URL", books.conninfo)

    def run(*words: str) -> Any:
        return CliRunner().invoke(kouan, ["statement", *words])

    assert [line.split()[0] for line in run("list").output.splitlines()] == [LATER, FIRST, SECOND]
    assert [line.split()[0] for line in run("list", "--period", "2026-09", "--holder", OURS).output.splitlines()] == [
        SECOND
    ]
    exact = run("show", SECOND, "--json").stdout_bytes
    assert exact == books.get(f"/v1/statements/{SECOND}", "us").content
    assert "政务服务免费" in "".join(run("show", SECOND).output.split())
    assert (run("remake", SECOND).exit_code, "same" in run("remake", SECOND).output) == (0, True)
    every = run("remake", "--period", "2026-09")
    assert (every.exit_code, every.output.count("same")) == (0, 2)
    assert run("remake").exit_code == 2
    target = tmp_path / "paper.pdf"
    assert run("pdf", SECOND, str(target)).exit_code == 0
    assert target.read_bytes() == books.get(f"/v1/statements/{SECOND}", "us", format="pdf").content
    assert run("show", "KS-209901-000001").exception is not None


def test_a_number_may_be_anything_at_all(books: Node) -> None:
    for number in ("x" * 3_000, "..%2f..", "%00", "账单", "KS-202609-000001%20"):
        for path in (f"/v1/statements/{number}", f"/statements/{number}"):
            assert 400 <= books.get(path, "finance").status_code < 500, number
