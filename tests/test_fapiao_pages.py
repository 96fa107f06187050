"""Fapiao as pages: the billed ask on their statement, finance records what was issued; what is refused stays typed."""

from html import unescape
from typing import Any

import msgspec
import pytest

from api.identity import Account
from api.portal import fapiao as pages
from api.portal import fapiao_forms as forms
from billing import fapiao_books
from tests import gallery, sample_fapiao
from tests.bank_world import FIRST, SECOND, asked, billed
from tests.fixtures_node import Node

MONTH = "2026-09"
NUMBER, RED, CONFIRMATION = "26322000000000000001", "26322000000000000002", "32000026110000000001"
BUYER = {"kind": "ordinary", "name": "外贸企业", "tax_id": "91320000MA0000277B"}
ISSUED = {
    "number": NUMBER,
    "kind": "ordinary",
    "issued_on": "2026-11-01",
    "net": "1.00",
    "tax": "0.06",
    "total": "1.06",
}
TAKEN = {"original": NUMBER, "confirmation": CONFIRMATION, "number": RED, "kind": "ordinary", "issued_on": "2026-11-02"}
CODE = {"item": "feed.pull", "tax_code": "3040203000000000000", "short": "信息技术服务", "item_name": ""}


def send(node: Node, path: str, who: str = "finance", form: dict[str, str] | None = None, **headers: str) -> Any:
    headers = node.bearer(who) | headers
    answer = node.client.post(path, data=form or {}, headers=headers, follow_redirects=False)
    node.catch_up()
    return answer


def step(node: Node, name: str, form: dict[str, str], number: str = FIRST, who: str = "finance") -> Any:
    return send(node, f"/fapiao/{number}", who, {"step": name, **form})


def shown(node: Node, path: str, who: str = "finance", **params: str) -> str:
    answer = node.get(path, who, **{"lang": "zh"} | params)
    assert answer.status_code == 200, answer.text
    return unescape(answer.text)


def facts(node: Node) -> int:
    [(count,)] = node.rows("SELECT count(*) FROM commerce_events WHERE topic LIKE 'fapiao%%'")
    return int(count)


def test_from_the_statement_of_the_billed_to_the_number_that_he_sees(node: Node) -> None:
    billed(node)
    asked(node, FIRST)
    text = shown(node, "/fapiao", month=MONTH)
    assert [FIRST in text, SECOND in text, "未申请" in text] == [True, True, True]
    assert "尚未申请开票" in shown(node, f"/statements/{FIRST}", "logistics")
    answer = send(node, f"/statements/{FIRST}/fapiao", "logistics", BUYER)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/statements/{FIRST}#fapiao")
    assert "抬头：外贸企业" in shown(node, f"/statements/{FIRST}", "logistics")
    assert "made out to 外贸企业" in shown(node, f"/statements/{FIRST}", "logistics", lang="en")
    text = shown(node, f"/fapiao/{FIRST}")
    for part in ('value="1.00"', 'value="0.06"', 'value="1.06"', f"FP-{FIRST}-1", "尚未登记税收分类编码：feed.pull"):
        assert part in text, part
    assert step(node, "record", ISSUED).status_code == 303
    text = shown(node, f"/statements/{FIRST}", "logistics")
    assert [NUMBER in text, "2026-11-01" in text, "登记人" in text] == [True, True, False]
    text = shown(node, f"/fapiao/{FIRST}")
    assert [NUMBER in text, "2026-11-01" in text, "登记人" in text] == [True, True, True]
    assert NUMBER in shown(node, "/fapiao", month=MONTH, state="issued")
    assert "申请开票" not in shown(node, f"/statements/{FIRST}", "logistics")


def test_a_red_one_takes_back_with_or_without_a_sign_and_then_it_can_be_asked_for_again(node: Node) -> None:
    billed(node)
    assert step(node, "record", ISSUED).status_code == 303
    amounts = {"net": "1", "tax": "-0.06", "total": "1.06"}
    assert step(node, "redden", TAKEN | amounts | {"reason": "开票有误"}).status_code == 303
    text = shown(node, f"/fapiao/{FIRST}")
    for part in (RED, "-¥1.06", f"红冲 {NUMBER}", f"确认单 {CONFIRMATION}", "开票有误", "代客户申请开票"):
        assert part in text, part
    assert step(node, "request", BUYER).status_code == 303
    assert "待开票" in shown(node, f"/fapiao/{FIRST}")


def test_the_only_credit_note_with_something_left_is_chosen_for_what_is_too_much() -> None:
    before = sample_fapiao.DIFFERENT
    one = forms.reddening(before, {"CN-2": 300}, sample_fapiao.NOW)
    assert (one["credit_note"], one["total"]) == ("CN-2", "-3.00")
    two = forms.reddening(before, {"CN-2": 300, "CN-3": 100}, sample_fapiao.NOW)
    assert (two["credit_note"], two["total"]) == ("", "-5.00")
    right = msgspec.structs.replace(before, difference_minor=0)
    assert forms.reddening(right, {"CN-2": 300}, sample_fapiao.NOW)["credit_note"] == ""
    assert fapiao_books.notes_left(before, {"CN-1": 1_000, "CN-2": 300}) == {"CN-1": 500, "CN-2": 300}
    assert fapiao_books.notes_left(before, {"CN-1": 500}) == {}


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("record", {"number": "123"}, "不是 20 位数字"),
        ("record", {"total": "1.07"}, "之和不是价税合计 1.07 元"),
        ("record", {"net": ""}, "须填写金额"),
        ("record", {"tax": "six"}, "金额 six 无法解读"),
        ("record", {"issued_on": "tomorrow"}, "不是日期"),
        ("record", {"kind": "paper"}, "请选择发票种类"),
        ("redden", {}, "没有蓝字发票"),
        ("request", {"kind": "special", "name": "某公司", "tax_id": "91"}, "不是 15 至 20 位"),
        ("request", {"name": ""}, "须填写购买方名称"),
        ("burn", {}, "没有这一步"),
    ],
)
def test_what_is_refused_is_said_in_words_and_keeps_what_was_typed(
    node: Node, name: str, wrong: dict[str, str], said: str
) -> None:
    billed(node)
    form = ISSUED | TAKEN | {"reason": "x"} | BUYER | {"number": NUMBER} | wrong
    answer = step(node, name, form)
    text = unescape(answer.text)
    assert answer.status_code in {404, 409, 422}
    assert said in text
    for field, value in wrong.items():
        assert field in {"kind", "issued_on"} or f'value="{value}"' in text, field
    assert facts(node) == 0


def test_a_refusal_is_said_in_english_too_and_on_the_statement_of_the_billed(node: Node) -> None:
    billed(node)
    wrong = BUYER | {"kind": "special", "tax_id": "", "bank": "某银行"}
    answer = send(node, f"/statements/{FIRST}/fapiao?lang=en", "logistics", wrong)
    assert answer.status_code == 409
    assert "is not of 15 to 20 capitals and digits" in unescape(answer.text)
    assert 'value="某银行"' in answer.text
    assert facts(node) == 0


def test_more_than_is_left_cannot_be_taken_back_and_the_page_says_how_much_is(node: Node) -> None:
    billed(node)
    step(node, "record", ISSUED)
    amounts = {"net": "2", "tax": "0", "total": "2"}
    answer = step(node, "redden", TAKEN | amounts | {"reason": "x"})
    assert answer.status_code == 409
    assert "尚余 1.06 元可红冲" in answer.text


def test_items_are_classified_and_a_wrong_code_is_shown_again(node: Node) -> None:
    billed(node)
    answer = send(node, "/fapiao", form=CODE | {"month": MONTH, "tax_code": "304"})
    assert answer.status_code == 409
    assert "须为 19 位数字" in answer.text
    assert 'value="304"' in answer.text
    answer = send(node, "/fapiao", form=CODE | {"month": MONTH})
    assert answer.headers["location"] == f"/fapiao?month={MONTH}#items"
    text = shown(node, "/fapiao", month=MONTH)
    assert CODE["tax_code"] in text
    assert "*信息技术服务*" in text


def test_auditors_look_without_buttons_and_others_see_nothing(node: Node) -> None:
    billed(node)
    node.open("auditor", Account("auditor", "auditor", "审计", "Auditor"))
    for who in ("operator", "auditor"):
        desk = ("/fapiao", f"/fapiao/{FIRST}")
        for path in (f"/statements/{FIRST}", *(desk if who == "auditor" else ())):
            text = shown(node, path, who)
            assert FIRST in text or path == "/fapiao"
            assert 'method="post" action="/fapiao' not in text
            assert f'action="/statements/{FIRST}/fapiao"' not in text
        assert step(node, "record", ISSUED, who=who).status_code == 403
        assert send(node, f"/statements/{FIRST}/fapiao", who, BUYER).status_code == 403
    for who in ("logistics", "operator"):
        assert [node.get(path, who).status_code for path in ("/fapiao", f"/fapiao/{FIRST}")] == [403, 403]
    assert [step(node, "record", ISSUED, who=who).status_code for who in ("logistics", "")] == [403, 401]
    assert facts(node) == 0


def test_nobody_asks_for_the_fapiao_of_anothers_statement_nor_another_site_for_ones_own(node: Node) -> None:
    billed(node)
    hidden, nothing = (
        send(node, f"/statements/{number}/fapiao", "enterprise", BUYER) for number in (FIRST, "KS-202609-000009")
    )
    assert (hidden.status_code, nothing.status_code) == (404, 404)
    assert hidden.text.replace("000001", "000009") == nothing.text
    away = {"sec-fetch-site": "cross-site"}
    assert send(node, f"/statements/{FIRST}/fapiao", "logistics", BUYER, **away).status_code == 403
    assert send(node, f"/fapiao/{FIRST}", form={"step": "record", **ISSUED}, **away).status_code == 403
    assert facts(node) == 0


def test_a_month_without_statements_says_what_comes_first_and_an_odd_one_is_no_fault(node: Node) -> None:
    text = shown(node, "/fapiao", month="2026-01")
    assert "没有须付款的账单" in text
    assert 'href="/books"' in text
    assert [node.get("/fapiao", "finance", month=odd).status_code for odd in ("x", "2026-13")] == [422, 422]
    assert node.get("/fapiao/KS-202609-000001", "finance").status_code == 404
    assert node.get("/fapiao", "").status_code == 401


def test_what_waits_for_somebody_comes_first_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SHOWN", 3)
    first = sample_fapiao.month(gallery.ITEMS)
    assert [each.state for each in first["found"]] == ["different", "requested", "missing"]
    assert (first["following"], first["counts"]["issued"], first["whole"]) == ("KS-202610-000003", 1, 4)
