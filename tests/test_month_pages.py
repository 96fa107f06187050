"""The months of the books as pages: a clerk closes one without another tool, and sees why where it cannot be."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner

from api import closing
from api.identity import Account
from api.main import kouan
from domain import period
from domain.party import PartyRegistered
from tests.fixtures_node import Node
from tests.test_close import BEFORE, NOW, PAST, inside, signed
from tests.test_usage import made

FIRM = "91320100MA1K2K3L4E"
PAGE = f"/books/{PAST}"
TRAIL = "SELECT count(*) FROM commerce_events WHERE topic = 'access.told' AND convert_from(state, 'UTF8') LIKE %s"


@pytest.fixture
def books(closed_node: Node) -> Node:
    """A node with a second accountant, where the mover has something to pay for last month."""
    closed_node.open("second", Account("second", "finance", "另一财务", "Second"))
    closed_node.decide("commerce", "metering:a", made(inside(PAST), 50))
    return closed_node


def act(node: Node, step: str, who: str = "finance", month: str = PAST, **form: str) -> Any:
    answer = node.client.post(
        f"/books/{month}",
        data={"step": step, "once": str(uuid4()), **form},
        headers=node.bearer(who),
        follow_redirects=False,
    )
    node.catch_up()
    return answer


def done(node: Node, *steps: str, who: str = "finance", month: str = PAST, **form: str) -> None:
    for step in steps:
        answer = act(node, step, who, month, **form)
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"].startswith(f"/books/{month}")


def text(node: Node, path: str = PAGE, who: str = "finance", **params: str) -> str:
    answer = node.get(path, who, **params)
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def forms(page: str) -> list[str]:
    """The steps that a page offers."""
    return re.findall(r'name="step" value="(\w+)"', page)


def facts(node: Node) -> int:
    """How many there are, but for what is told to the trail."""
    [(count,)] = node.rows("SELECT count(*) FROM commerce_events WHERE topic <> 'access.told'")
    return int(count)


# --- from the top to the bottom ---


def test_a_clerk_closes_a_month_by_its_pages_alone(books: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUAN_CONNINFO", books.conninfo)
    assert forms(text(books)) == ["cut_off", "propose"]
    assert f'href="{PAGE}">截止</a>' in text(books, "/books")
    done(books, "cut_off")
    assert forms(text(books)) == ["statements", "propose"]
    done(books, "statements")
    assert forms(text(books)) == ["invoices", "propose"]
    done(books, "invoices")
    page = text(books)
    assert ("办理中" in page, "1 张须付款，已发送 0" in page, f'href="/reconciliation/{PAST}"' in page) == (True,) * 3
    CliRunner().invoke(kouan, ["pay", "--once"])
    books.catch_up()
    assert "1 张须付款，已发送 1" in text(books)
    for who, step in (("finance", "run"), ("second", "sign")):
        answer = books.client.post(
            f"/reconciliation/{PAST}", data={"step": step}, headers=books.bearer(who), follow_redirects=False
        )
        assert answer.status_code == 303, answer.text
    assert forms(text(books)) == ["close", "propose"]
    done(books, "close")
    page = text(books)
    assert [page.count(name) for name in ("已办理", "¥1.00")] == [5, 6]
    assert forms(page) == ["reopening", "propose"]
    row = text(books, "/books").partition(f">{PAST}</a>")[2].partition("</tr>")[0]
    assert [each in row for each in ("已关账", "clerk", "second", "¥1.00", "1 / 1", "已签字")] == [True] * 6
    for action in ("period.cut_off", "period.statements_issued", "invoice.ask", "period.closed"):
        assert books.rows(TRAIL, f'%"action":"{action}"%') == [(1,)], action


def test_reopening_takes_a_reason_and_somebody_else(books: Node) -> None:
    done(books, "cut_off", "statements")
    signed(books, PAST)
    done(books, "close")
    assert "须填写理由" in act(books, "reopening", reason=" ").text
    done(books, "reopening", reason="银行回单有误")
    assert ("银行回单有误" in text(books), "reopen" in forms(text(books))) == (True, False)
    assert "重开须由另一人同意" in act(books, "reopen").text
    assert "reopen" in forms(text(books, who="second"))
    done(books, "reopen", who="second")
    page = text(books)
    assert ("由 clerk 申请、second 同意重开" in page, "重开之后须再次对账并签字" in page) == (True, True)
    assert act(books, "close").status_code == 409


# --- what stands in the way ---


def test_what_is_refused_is_told_in_both_languages_and_nothing_is_done(books: Node) -> None:
    before = facts(books)
    for month, step, zh, en in (
        (NOW, "cut_off", "已有用量，须先截止", "cut that one off first"),
        (BEFORE, "statements", "尚未截止", "is not cut off yet"),
        (PAST, "close", "尚未出账单", "are not issued yet"),
        (PAST, "reopen", "没有人申请重开", "nobody asked"),
    ):
        for lang, said in (("en", en), ("zh", zh)):  # the language asked for last stays
            text(books, f"/books/{month}", lang=lang)
            answer = act(books, step, month=month)
            assert (answer.status_code, said in answer.text) == (409, True), step
    assert (act(books, "burn").status_code, act(books, "cut_off", month="2026-13").status_code) == (422, 422)
    assert facts(books) == before


def test_the_page_says_beforehand_what_stands_in_the_way(books: Node) -> None:
    assert "本月未完" in text(books, f"/books/{NOW}")
    assert "not over" in text(books, f"/books/{NOW}", lang="en")
    assert "本月未完" in text(books, f"/books/{NOW}", lang="zh")
    done(books, "cut_off", month=BEFORE)
    done(books, "cut_off")
    page = text(books)
    assert (f"现在轮到 {BEFORE}" in page, forms(page)) == (True, ["propose"])
    assert "尚未结束" in act(books, "cut_off", month=NOW).text
    done(books, "statements", month=BEFORE)
    done(books, "statements")
    assert f"请先结账 {BEFORE}" in text(books)
    signed(books, BEFORE)
    done(books, "close", month=BEFORE)
    assert "尚未签字" in text(books)
    assert "尚未签字" in act(books, "close").text


def test_usage_that_is_not_counted_yet_is_no_fault(books: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "WAIT_SECONDS_MAX", 0.01)
    first, then = (
        books.client.post(PAGE, data={"step": step}, headers=books.bearer("finance"))
        for step in ("cut_off", "statements")
    )
    assert (first.status_code, then.status_code, "请稍后再试" in then.text) == (200, 409, True)
    books.catch_up()
    done(books, "statements")


# --- invoices ---


def test_an_invoice_that_stopped_is_looked_at_and_goes_on(books: Node) -> None:
    done(books, "cut_off", "statements", "invoices")
    [(number,)] = books.rows("SELECT statement FROM issued_statements")
    books.rows("UPDATE gateway_invoices SET state = 'stopped', error = '总额不符 / total differs' RETURNING statement")
    page = text(books)
    assert ("总额不符" in page, "须处理" in page) == (True, True)
    assert "1 张须处理" in text(books, "/books")
    assert forms(page) == ["resume", "again", "propose"]
    assert number in text(books, PAGE, invoices="stopped")
    assert "没有这一状态" in text(books, PAGE, invoices="sent")
    assert books.get(PAGE, "finance", invoices="lost").status_code == 422
    done(books, "resume", number=number)
    assert books.rows("SELECT state, error FROM gateway_invoices") == [("waiting", "")]
    assert "没有账单" in act(books, "resume", number="KS-209901-000001").text
    assert "须填写理由" in act(books, "withdraw", number=number, reason="").text
    done(books, "withdraw", number=number, reason="不再需要")
    assert books.rows(TRAIL, '%"action":"invoice.resume"%') == [(1,)]


# --- adjustments ---

GIVEN = {
    "holder": "mover",
    "kind": "account",
    "item": "feed.pull",
    "way": "credit",
    "yuan": "12.5",
    "reason": "重复计费",
}


def test_an_adjustment_is_proposed_by_one_and_approved_by_another(books: Node) -> None:
    done(books, "propose", "propose", **GIVEN, once="1")
    page = text(books)
    assert ("-¥12.50" in page, "重复计费" in page, "待另一位财务批准" in page) == (True, True, True)
    assert forms(page) == ["cut_off", "decline", "propose"]
    [name] = set(re.findall(r'name="adjustment" value="([^"]+)"', page))
    assert f'<a href="/books/{PAST}#adjustments">{PAST}</a> <span class="num">1</span>' in text(books, "/books")
    assert "调整须由另一人审批" in act(books, "approve", adjustment=name).text
    assert forms(text(books, who="second")) == ["cut_off", "approve", "decline", "propose"]
    done(books, "approve", who="second", adjustment=name)
    assert "#adjustments" not in text(books, "/books")
    assert "待列入账单" in text(books)
    done(books, "cut_off", "statements")
    [(number, line)] = books.rows("SELECT statement, line FROM issued_lines WHERE kind = 'adjustment'")
    assert f'href="/statements/{number}#line-{line}"' in text(books)
    assert text(books, f"/books/{NOW}").count("重复计费") == 0


def test_a_proposal_that_cannot_be_stays_in_its_form(books: Node) -> None:
    before = facts(books)
    for wrong, said in (
        ({"yuan": "0"}, "金额以元填写"),
        ({"yuan": "-5"}, "金额以元填写"),
        ({"yuan": "1.005"}, "金额以元填写"),
        ({"item": "track.query"}, "免费，无从调整"),
        ({"holder": "nobody"}, "没有"),
        ({"holder": "", "statement": "KS-202601-000001"}, "没有账单"),
        ({"about": "October"}, "账期应写作"),
        ({"reason": ""}, "须填写理由"),
    ):
        answer = act(books, "propose", **{**GIVEN, **wrong})
        assert (answer.status_code in {404, 409, 422}, said in answer.text) == (True, True), (wrong, answer.text)
        assert "<details open>" in answer.text
    assert 'value="October"' in act(books, "propose", **{**GIVEN, "about": "October"}).text
    assert facts(books) == before


def test_a_proposal_is_declined_with_a_reason(books: Node) -> None:
    done(books, "propose", **GIVEN, once="1")
    [name] = set(re.findall(r'name="adjustment" value="([^"]+)"', text(books)))
    assert "须填写理由" in act(books, "decline", "second", adjustment=name, reason="").text
    done(books, "decline", who="second", adjustment=name, reason="没有重复")
    page = text(books, f"/books/{NOW}")  # the month in which that was decided
    assert ("没有重复" in page, "已退回" in page) == (True, True)


@pytest.mark.parametrize(
    "wrong", [{"way": "garbage"}, {"way": ""}, {"yuan": "1,25"}, {"yuan": "1,2,3"}, {"yuan": ",5"}, {"yuan": "0"}]
)
def test_a_way_or_an_amount_that_is_none_proposes_nothing(books: Node, wrong: dict[str, str]) -> None:
    answer = act(books, "propose", **{**GIVEN, "once": "1", **wrong})
    assert answer.status_code == 422
    assert ("选择退给客户" if "way" in wrong else "金额以元填写") in answer.text
    assert books.rows("SELECT 1 FROM commerce_events WHERE originator_id LIKE 'adjustment:%%'") == []


def test_an_amount_is_read_as_the_bank_desk_reads_it(books: Node) -> None:
    done(books, "propose", **{**GIVEN, "once": "1", "yuan": "￥１,２００"})
    found = books.rows(
        "SELECT convert_from(state, 'UTF8')::json->>'amount_minor' FROM commerce_events WHERE topic LIKE 'adjustment%%'"
    )
    assert [abs(int(amount)) for (amount,) in found] == [120000]


# --- who ---


def test_operators_and_auditors_look_and_act_on_nothing(books: Node) -> None:
    books.open("auditor", Account("auditor", "auditor", "审计", "Auditor"))
    done(books, "cut_off", "statements", "invoices")
    books.rows("UPDATE gateway_invoices SET state = 'stopped', error = 'x' RETURNING statement")
    done(books, "propose", **GIVEN)
    for who in ("operator", "auditor"):
        for path in ("/books", PAGE):
            page = text(books, path, who)
            assert (forms(page), "由本平台财务办理" in page) == ([], True)
        assert act(books, "close", who).status_code == 403


def test_nobody_else_comes_in(books: Node) -> None:
    told: dict[str, Any] = {"happened_at": datetime.now(UTC), "recorded_at": datetime.now(UTC), "by": "a"}
    books.decide("commerce", f"party:{FIRM}", PartyRegistered(**told, party=FIRM, kind="enterprise", zh="企业", en="F"))
    books.open("accountant", Account("accountant", "finance", "会计", "Accountant", party=FIRM))
    for who, status in (("accountant", 403), ("logistics", 403), ("enterprise", 403), ("", 401)):
        assert [books.get(path, who).status_code for path in ("/books", PAGE)] == [status] * 2, who
        assert act(books, "cut_off", who).status_code == status, who
    elsewhere = {**books.bearer("finance"), "Sec-Fetch-Site": "cross-site"}
    assert books.client.post(PAGE, data={"step": "cut_off"}, headers=elsewhere).status_code == 403
    assert books.rows("SELECT 1 FROM commerce_events WHERE topic = 'period.cut_off'") == []


def test_the_way_to_the_books_is_shown_to_whoever_keeps_them(books: Node) -> None:
    for who, shown in (("finance", True), ("operator", True), ("logistics", False), ("", False)):
        assert ('href="/books"' in books.get("/fees", who).text) is shown, who


def test_the_list_goes_back_to_the_month_in_which_everything_began(books: Node) -> None:
    long_ago = PAST
    for _ in range(30):
        long_ago = period.preceding(long_ago)
    books.decide("commerce", "metering:b", made(inside(long_ago), 1))
    done(books, "cut_off", month=long_ago)
    first = text(books, "/books")
    [before] = re.findall(r"/books\?before=([0-9-]+)", first)
    rest = text(books, "/books", before=before)
    months = [month for page in (first, rest) for month in re.findall(r'num" href="/books/([0-9-]+)"', page)]
    assert months == sorted(set(months), reverse=True)
    assert (months[0], months[-1], len(months)) == (NOW, long_ago, 32)
    assert books.get("/books", "finance", before="x").status_code == 422
