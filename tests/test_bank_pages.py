"""The bank desk's pages: a file taken in, money matched, given back and paid out, by forms; and the notice to pay."""

import json
import re
from typing import Any
from uuid import uuid4

import pytest

from api import limits
from api.identity import COOKIE, Account
from api.login.door import csrf_of
from domain import bank_receipt, invoice
from domain.invoice import CreditNoteIssued
from tests.bank_world import ACCOUNT, FIRST, SECOND, SENT, asked, billed, file, gateway, row
from tests.chromium import browser
from tests.fixtures_node import Node
from tests.test_bank import imported, of, owed
from tests.test_portal_browser import served

PAGE = "/bank"
NOTICE = f"/statements/{FIRST}/notice"
ONCE = re.compile(r'name="once" value="([^"]+)"')


@pytest.fixture
def billed_node(node: Node) -> Node:
    """Two owe something, and their notices are out."""
    billed(node)
    for number in (FIRST, SECOND):
        asked(node, number)
    return node


def upload(node: Node, body: bytes, who: str = "finance", **form: str) -> Any:
    files = {"file": ("流水.csv", body, "text/csv")}
    answer = node.client.post(PAGE, headers=node.bearer(who), files=files, data=form)
    node.catch_up()
    return answer


def act(node: Node, receipt: str, step: str, who: str = "finance", **form: str) -> Any:
    path = f"{PAGE}/receipts/{receipt}"
    answer = node.client.post(
        path, data={"step": step, "once": str(uuid4()), **form}, headers=node.bearer(who), follow_redirects=False
    )
    node.catch_up()
    return answer


def only(node: Node, state: str = "waiting") -> str:
    [receipt] = of(node, state)
    return str(receipt["receipt"])


# --- the file ---


def test_a_file_is_taken_in_and_what_could_not_be_read_is_told_row_by_row(billed_node: Node) -> None:
    node = billed_node
    answer = upload(node, file(row("T1"), row("T2", "1.2.3"), row("", "2.00"), row("T4", "0.05", "货款")))
    assert answer.status_code == 200
    for part in ("共 4 行：新增 2 笔，已有 0 笔，自动匹配 1 笔。", "2 行未能读取", "金额 1.2.3 无法解读", "没有流水号"):
        assert part in answer.text, part
    assert (owed(node, FIRST), owed(node, SECOND)) == (0, 8)
    assert "新增 0 笔，已有 2 笔" in upload(node, file(row("T1"), row("T4", "0.05", "货款"))).text
    unread = node.get(PAGE, "finance", state="unread", lang="en").text
    assert "amount 1.2.3 cannot be read" in unread
    trail = node.rows("SELECT count(*) FROM commerce_events WHERE convert_from(state, 'UTF8') LIKE '%%bank.imported%%'")
    assert trail == [(2,)]


def test_our_account_the_titles_and_the_encoding_can_be_told(billed_node: Node) -> None:
    body = "编号,日子,多少,附言\n77,2026-10-20,1.06,".encode("gb18030") + FIRST.encode()
    told = {"account": ACCOUNT, "encoding": "gb18030", "columns": "serial:编号，booked_on：日子,amount:多少"}
    assert "自动匹配 1 笔" in upload(billed_node, body, **told).text
    assert ACCOUNT in billed_node.get(PAGE, "finance").text  # of the seller, as a beginning


@pytest.mark.parametrize(
    ("body", "form", "said"),
    [
        (b"\xff\xfe\x00", {}, "不是 UTF-8 或 GB18030 文本"),
        (b"", {}, "未找到标题行"),
        (b"a,b\n1,2\n", {}, "未找到标题行"),
        (file(row("T1")), {"columns": "nothing"}, "列对应应为"),
        (file(row("T1")), {"encoding": "latin-1"}, "编码"),
        (file(row("T1")), {"account": "a\x00b"}, "不可显示的字符"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_on_the_page(
    billed_node: Node, body: bytes, form: dict[str, str], said: str
) -> None:
    answer = upload(billed_node, body, **form)
    assert answer.status_code == 422
    assert said in answer.text
    assert "未作任何改动。" in answer.text
    assert of(billed_node) == []


def test_a_form_without_a_file_or_with_a_broken_body_is_refused(billed_node: Node) -> None:
    headers = billed_node.bearer("finance")
    assert "请选择文件" in billed_node.client.post(PAGE, data={"account": "1"}, headers=headers).text
    for kind, body in (
        ("multipart/form-data; boundary=x", b"nothing of the kind"),
        ("multipart/form-data", b"--x\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--x--\r\n',
        ),
    ):
        answer = billed_node.client.post(PAGE, content=body, headers=headers | {"Content-Type": kind})
        assert answer.status_code == 422, (kind, answer.text)


def test_a_file_that_is_too_large_is_refused(billed_node: Node) -> None:
    answer = upload(billed_node, b"x" * (limits.BODY_BYTES_MAX + 1))
    assert answer.status_code == 413
    assert "文件不得超过 10 MB" in answer.text


def test_the_form_with_a_file_needs_the_token_of_the_session_too(billed_node: Node) -> None:
    client, key = billed_node.client, billed_node.keys["finance"]
    client.post("/sign-in", data={"key": key, "next": PAGE}, follow_redirects=False)
    token = client.cookies[COOKIE]
    files = {"file": ("a.csv", file(row("T1")), "text/csv")}
    assert client.post(PAGE, files=files).status_code == 403
    assert client.post(PAGE, files=files, data={"csrf": csrf_of("another")}).status_code == 403
    assert client.post(PAGE, files=files, data={"csrf": csrf_of(token)}).status_code == 200
    other = {"Sec-Fetch-Site": "cross-site"}
    assert client.post(PAGE, files=files, data={"csrf": csrf_of(token)}, headers=other).status_code == 403
    client.cookies.clear()


@pytest.mark.browser
@pytest.mark.slow
def test_a_clerk_uploads_the_file_and_matches_in_a_browser_without_script(billed_node: Node) -> None:
    body = file(row("T1"), row("T2", "0.07", "货款"), row("", "2.00")).decode()
    chosen = (
        f"(() => {{ const kept = new DataTransfer(); kept.items.add(new File([{json.dumps(body)}], '流水.csv'));"
        " document.querySelector('#file').files = kept.files; })()"
    )
    with browser() as chromium, served("api.app:create", "--factory", KOUAN_CONNINFO=billed_node.conninfo) as address:
        chromium.open(f"{address}{PAGE}?lang=zh")
        chromium.ask(f"document.querySelector('#key').value = '{billed_node.keys['finance']}'")
        chromium.press("form:has(#key) button")
        chromium.ask(chosen)
        chromium.press("form:has(#file) button")
        text = chromium.ask("document.querySelector('main').innerText")
        assert "共 3 行：新增 2 笔，已有 0 笔，自动匹配 1 笔。" in text
        assert "没有流水号" in text
        chromium.press("tbody a[href^='/bank/receipts/']")
        chromium.ask(f"document.querySelector('#statement').value = '{SECOND}'")
        chromium.ask("document.querySelector('#reason').value = '电话确认'")
        chromium.press("form:has(#statement) button")
        assert SECOND in chromium.ask("document.querySelector('main').innerText")
    billed_node.catch_up()
    assert (owed(billed_node, FIRST), owed(billed_node, SECOND)) == (0, 1)


# --- one movement ---


def test_money_is_matched_in_part_taken_back_and_given_back(billed_node: Node) -> None:
    node = billed_node
    imported(node, row("T1", "1.00", "货款"))
    receipt = only(node)
    assert receipt in node.get(PAGE, "finance").text
    shown = node.get(f"{PAGE}/receipts/{receipt}", "finance")
    for part in ("抵付账单", FIRST, SECOND, "¥1.00", "外贸企业"):
        assert part in shown.text, part
    assert act(node, receipt, "match", statement="ks202609000001", amount="0.40", reason="电话确认").status_code == 303
    assert owed(node, FIRST) == 66
    [match] = of(node)[0]["matches"]
    assert act(node, receipt, "undo", payment=match["payment"], reason="错认").status_code == 303
    assert owed(node, FIRST) == 106
    assert "已于" in node.get(f"{PAGE}/receipts/{receipt}", "finance").text
    assert act(node, receipt, "return", amount="0.30", reference="T77", reason="退回").status_code == 303
    assert act(node, receipt, "set-aside", reason="利息").status_code == 303
    assert of(node, "waiting") == []
    text = node.get(f"{PAGE}/receipts/{receipt}", "finance").text
    for part in ("已退回付款人", "¥0.30", "退回", "T77", "与账单无关", "¥0.70", "利息", "经办"):
        assert part in text, part
    told = node.rows(
        "SELECT convert_from(state, 'UTF8')::json->>'action' FROM commerce_events "
        "WHERE topic LIKE 'access.%%' AND convert_from(state, 'UTF8') LIKE '%%bank.%%' ORDER BY notification_id"
    )
    assert [action for (action,) in told[1:]] == ["bank.matched", "bank.unmatched", "bank.returned", "bank.set_aside"]


def test_the_same_form_sent_twice_has_its_effect_once(billed_node: Node) -> None:
    node = billed_node
    imported(node, row("T1", "1.00", "货款"))
    receipt = only(node)
    [once, *_] = ONCE.findall(node.get(f"{PAGE}/receipts/{receipt}", "finance").text)
    form = {"statement": FIRST, "amount": "0.40", "reason": "x", "once": once}
    assert [act(node, receipt, "match", **form).status_code for _ in range(2)] == [303, 303]
    assert owed(node, FIRST) == 66
    assert act(node, receipt, "match", **form | {"once": "another"}).status_code == 303
    assert owed(node, FIRST) == 26


@pytest.mark.parametrize(
    ("step", "form", "status", "said"),
    [
        ("match", {"statement": FIRST, "amount": "1.01", "reason": "x"}, 409, "尚余 1.00 元，不能用 1.01 元"),
        ("match", {"statement": SECOND, "amount": "0.09", "reason": "x"}, 409, "尚欠 0.08 元"),
        ("match", {"statement": FIRST, "amount": "much", "reason": "x"}, 422, "金额 much 无法解读"),
        ("match", {"statement": FIRST, "amount": "-1", "reason": "x"}, 409, "不能用 -1.00 元"),
        ("match", {"statement": FIRST, "reason": " "}, 409, "须填写理由"),
        ("match", {"statement": "KS-202609-000009", "reason": "x"}, 404, "没有账单"),
        ("match", {"statement": "", "reason": "x"}, 404, "没有账单"),
        ("undo", {"payment": "P-9", "reason": "x"}, 409, "没有匹配 P-9"),
        ("return", {"amount": "2", "reason": "x"}, 409, "尚余 1.00 元"),
        ("set-aside", {"reason": ""}, 409, "须填写理由"),
        ("set-aside", {"reason": "a\x00b"}, 422, "不可显示的字符"),
        ("pay-out", {"refund": "RF-9"}, 404, "没有待付退款"),
        ("dance", {}, 422, "没有这一步"),
    ],
)
def test_what_is_refused_is_said_on_the_page_and_changes_nothing(
    billed_node: Node, step: str, form: dict[str, str], status: int, said: str
) -> None:
    node = billed_node
    imported(node, row("T1", "1.00", "货款"))
    [before] = of(node)
    answer = act(node, before["receipt"], step, **form)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert of(node) == [before]
    if form.get("amount"):
        assert f'value="{form["amount"]}"' in answer.text  # what was typed is still there


def test_a_refund_is_paid_out_from_the_list_of_refunds(billed_node: Node) -> None:
    node = billed_node
    imported(node, row("T1"))
    payment = of(node)[0]["matches"][0]["payment"]
    with gateway(node) as bank:
        refund = bank.refund(payment, 6, credit_note="", key="r1")
    listed = node.get(PAGE, "finance", state="refunds").text
    assert refund in listed
    assert 'href="/bank?state=refunds#list" aria-current="page"' in listed
    assert 'id="list"' in listed
    assert "流水中还没有这笔支出" in listed
    imported(node, row("T6", "", "退款", "0.06"))
    out = only(node)
    listed = node.get(PAGE, "finance", state="refunds").text
    form = listed.partition(f'action="/bank/receipts/{out}"')[2].partition("</form>")[0]
    sent = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
    text = node.get(f"{PAGE}/receipts/{out}", "finance").text
    assert (refund in text, text.count("登记后不能撤回。")) == (True, 2)
    assert (sent["step"], sent["refund"]) == ("pay-out", refund)
    assert [act(node, out, **sent).status_code for _ in range(2)] == [303, 303]  # a double click
    assert "没有待付的退款" in node.get(PAGE, "finance", state="refunds").text
    text = node.get(f"{PAGE}/receipts/{out}", "finance", lang="en").text
    for part in ("Paid out as a refund", refund, FIRST):
        assert part in text, part


def test_a_notice_that_went_out_after_the_money_came_is_matched_when_asked(node: Node) -> None:
    billed(node)
    imported(node, row("T1"))
    asked(node, FIRST)
    answer = node.client.post(f"{PAGE}/match", headers=node.bearer("finance"))
    node.catch_up()
    assert "新匹配 1 笔" in answer.text
    assert owed(node, FIRST) == 0


def test_notices_that_are_not_paid_in_full_are_listed_with_what_is_owed(billed_node: Node) -> None:
    node = billed_node
    imported(node, row("T1", "1.00", "货款"))
    act(node, only(node), "match", statement=FIRST, reason="x")
    text = node.get(PAGE, "finance", state="notices").text
    for part in (FIRST, SECOND, "¥0.06", "¥0.08", NOTICE, "2026-11-08"):
        assert part in text, part
    imported(node, row("T2", "0.06"))
    assert FIRST not in node.get(PAGE, "finance", state="notices").text


def test_long_lists_go_on_on_another_page(billed_node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.portal.bank.SHOWN", 2)
    imported(billed_node, *(row(f"T{number}", f"{number}.00", f"货款 {number}") for number in range(10, 15)))
    for state in ("waiting", "all"):
        seen, path = [], f"{PAGE}?state={state}"
        while path:
            text = billed_node.get(path, "finance").text
            seen += re.findall(r"<small>货款 (\d+)</small>", text)
            onward = re.search(r'href="([^"]+)" rel="next"', text)
            path = onward[1].replace("&amp;", "&") if onward else ""
        assert sorted(seen) == ["10", "11", "12", "13", "14"]
        assert seen == sorted(seen, reverse=state == "all")  # what waits longest first, else the newest
    assert billed_node.get(PAGE, "finance", after="-1").status_code == 422
    assert billed_node.get(PAGE, "finance", after="9" * 40).status_code == 422


# --- who may ---


def test_auditors_look_others_do_not(billed_node: Node) -> None:
    node = billed_node
    node.open("auditor", Account("auditor", "auditor", "审计", "Auditor"))
    imported(node, row("T1", "1.00", "货款"))
    receipt = only(node)
    path = f"{PAGE}/receipts/{receipt}"
    looking = {"finance": 200, "auditor": 200, "operator": 403, "logistics": 403, "enterprise": 403, "": 401}
    for who, status in looking.items():
        assert [node.get(each, who).status_code for each in (PAGE, path)] == [status, status], who
    assert '<form class="stack"' in node.get(path, "finance").text
    for each in (PAGE, path):
        assert '<form class="stack"' not in node.get(each, "auditor").text
    for who, status in {"auditor": 403, "operator": 403, "logistics": 403, "": 401}.items():
        assert act(node, receipt, "set-aside", who, reason="x").status_code == status
        assert upload(node, file(row("T2")), who).status_code == status
        assert node.client.post(f"{PAGE}/match", headers=node.bearer(who)).status_code == status
    assert len(of(node)) == 1
    assert node.get(f"{PAGE}/receipts/R-none", "finance").status_code == 404


# --- the notice ---


def test_who_is_billed_reads_where_to_pay_and_others_see_nothing(billed_node: Node) -> None:
    text = billed_node.get(NOTICE, "logistics").text
    for part in ("付款通知书", "某银行", ACCOUNT, "¥1.06", FIRST, "2026-11-08", "口岸公司"):
        assert part in text, part
    assert "Payment notice" in billed_node.get(NOTICE, "logistics", lang="en").text
    assert billed_node.get(NOTICE, "finance").status_code == 200
    assert billed_node.get(NOTICE, "").status_code == 401
    missing = "/statements/KS-202609-000009/notice"
    theirs, nobodys = (billed_node.get(path, "enterprise") for path in (NOTICE, missing))
    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    assert theirs.text.replace(FIRST, "") == nobodys.text.replace("KS-202609-000009", "")
    assert f'href="{NOTICE}"' in billed_node.get(f"/statements/{FIRST}", "logistics").text


def test_a_notice_says_what_was_paid_and_credited_and_that_no_more_is_owed(billed_node: Node) -> None:
    node = billed_node
    imported(node, row("T1", "1.00", "货款"))
    act(node, only(node), "match", statement=FIRST, reason="x")
    text = node.get(NOTICE, "logistics").text
    assert text.count("¥0.06") == 2
    assert "¥1.00" in text
    with gateway(node) as bank:
        [mine] = bank.find_invoices(FIRST)
        note = bank.credit(mine.ref, 6, reason="x", key="c1")
    told = CreditNoteIssued(
        happened_at=SENT, recorded_at=SENT, statement=FIRST, provider=bank_receipt.PROVIDER, credit_note=note,
        amount_minor=6, reason="x",
    )  # fmt: skip
    node.decide("commerce", invoice.stream(FIRST), told)
    assert "已付清" in node.get(NOTICE, "logistics").text
