"""What a clerk and a customer are told on the way through a month: who bills, what is void, paid, and what is next."""

from typing import Any

import msgspec
import pytest

from api.papers import paper
from api.portal.checklist import Money, Step, Waiting, steps
from api.portal.reconciliation import mended
from domain import invoice
from domain.invoice import CreditNoteIssued, InvoiceVoided
from domain.statement import Seller
from tests import sample_months, sample_reconciliation, sample_statement
from tests.bank_world import ACCOUNT, FIRST, SECOND, SENT, asked, billed
from tests.fixtures_node import Node
from tests.test_statement import close
from tests.test_usage import SEPTEMBER, made

PAGE, NOTICE = "/books/seller", f"/statements/{FIRST}/notice"
SAID = {"zh": "口岸公司", "en": "Port", "bank": "某银行", "bank_account": "320001"}
MONTHS = "尚未填写收款账号"


def say(node: Node, who: str = "finance", **form: str) -> Any:
    answer = node.client.post(PAGE, data=form, headers=node.bearer(who), follow_redirects=False)
    node.catch_up()
    return answer


def text(node: Node, path: str, who: str = "finance", **params: str) -> str:
    answer = node.get(path, who, **params)
    assert answer.status_code == 200, answer.text
    return str(answer.text)


# --- who bills ---


def test_a_notice_of_a_statement_without_an_account_names_todays(node: Node) -> None:
    node.decide("commerce", "metering:a", made(SEPTEMBER, 53))
    close(node)
    asked(node, FIRST)
    assert MONTHS in text(node, "/books")
    assert "尚未登记" in text(node, NOTICE)
    assert say(node, **SAID).status_code == 303
    assert (MONTHS in text(node, "/books"), MONTHS in text(node, PAGE)) == (False, False)
    assert node.get("/v1/seller", "finance").json()["seller"]["bank_account"] == "320001"
    assert "320001" in text(node, NOTICE)
    assert node.get(f"/v1/bank/notices/{FIRST}", "finance").json()["seller"]["zh"] == "口岸公司"


def test_an_account_that_the_statement_names_stays(node: Node) -> None:
    billed(node)
    asked(node, FIRST)
    assert say(node, **SAID).status_code == 303
    assert (ACCOUNT in text(node, NOTICE), "320001" in text(node, NOTICE)) == (True, False)


def test_what_is_refused_stays_in_the_form_and_others_only_look(node: Node) -> None:
    answer = say(node, **{**SAID, "en": ""})
    assert (answer.status_code, 'value="320001"' in answer.text) == (409, True)
    assert 'name="bank_account"' not in text(node, PAGE, "operator")
    assert (say(node, "operator", **SAID).status_code, node.get(PAGE, "logistics").status_code) == (403, 403)
    assert node.get("/v1/seller", "finance").json()["seller"]["bank_account"] == ""


# --- the checklist ---


def step(name: str, **known: Any) -> Step:
    found = msgspec.structs.replace(sample_months.known(), **known)
    return next(each for each in steps(found, sample_months.NOW) if each.name == name)


def test_the_checklist_says_what_waits_at_the_desks_and_what_is_void() -> None:
    assert step("seller", seller=Seller()).state == "trouble"
    assert step("bank").said == ("2 笔收款待核销", "2 receipts wait")
    assert step("fapiao").said == ("3 张已付清，未登记发票", "3 paid without fapiao")
    quiet = step("bank", waiting=Waiting(), money=Money(100, 100))
    assert (quiet.state, step("fapiao", waiting=Waiting(), money=Money(100, 100)).state) == ("done", "done")
    sent = msgspec.structs.replace(sample_months.SUMS, payable=2, waiting=0, sent=1, stopped=0, voided=1, troubled=0)
    assert step("invoices", sums=sent).said == ("2 张须付款，已发送 1，已作废 1", "1 of 2 sent, 1 void")


def test_what_is_payable_is_received_credited_void_and_outstanding() -> None:
    money = Money(payable_minor=35_200, received_minor=5_000, credited_minor=200, void_minor=10_000)
    assert money.outstanding_minor == 20_000
    assert Money(payable_minor=35_200, unsent_minor=35_200).outstanding_minor == 35_200


# --- whoever is billed ---


def test_the_list_and_the_statement_say_how_far_it_is_paid(node: Node) -> None:
    billed(node)
    for number in (FIRST, SECOND):
        asked(node, number)
    about: dict[str, Any] = {"happened_at": SENT, "recorded_at": SENT, "provider": "bank"}
    credit = CreditNoteIssued(**about, statement=FIRST, credit_note="CN-1", amount_minor=6, reason="x", by="finance")
    node.decide("commerce", invoice.stream(FIRST), credit)
    node.decide("commerce", invoice.stream(SECOND), InvoiceVoided(**about, statement=SECOND, invoice="BN-2"))
    listed = text(node, "/statements")
    assert (listed.count("待付款"), listed.count("付款通知已作废")) == (1, 1)
    one = text(node, f"/statements/{FIRST}")
    assert ("¥0.06" in one, f'href="{NOTICE}"' in one) == (True, True)
    assert "付款通知已作废" in text(node, f"/statements/{SECOND}")


def test_an_adjustment_is_about_a_month_and_adds_nothing_to_it() -> None:
    *_, late, _, adjusted = sample_statement.LINES
    assert paper.remarks(late)[0] == ("补记 2026-09", "corrects 2026-09")
    assert paper.remarks(adjusted)[0] == ("涉及 2026-08", "about 2026-08")


# --- reconciliation ---


@pytest.mark.parametrize(
    ("code", "about", "path"),
    [
        ("payment_without_invoice", "payment:R-41c0", "/bank/receipts/R-41c0"),
        ("payment_without_invoice", "payment:pi_1", ""),
        ("fapiao_missing", f"fapiao:{FIRST}", f"/fapiao/{FIRST}"),
        ("amount_mismatch", f"{FIRST}:3", ""),
    ],
)
def test_a_difference_leads_to_where_it_is_mended(code: Any, about: str, path: str) -> None:
    [shown] = [each for each in sample_reconciliation.shown().breaks if each.code == "amount_mismatch"]
    assert mended(msgspec.structs.replace(shown, code=code, about=about, statement=FIRST)) == path


# --- the gate and the word for it ---


def test_whoever_signs_in_comes_to_the_page_that_was_asked_for(node: Node) -> None:
    for path, then in (
        ("/books/2026-09?invoices=sent", "/books/2026-09?invoices=sent"),
        ("/fapiao?month=2026-09&lang=en", "/fapiao?month=2026-09"),
        ("/reconciliation/2026-09", "/reconciliation/2026-09"),
    ):
        answer = node.client.get(path)
        assert (answer.status_code, f'name="next" value="{then}"' in answer.text) == (401, True), path


def test_an_error_is_called_what_it_is(node: Node) -> None:
    for path, who, title in (
        ("/statements/KS-209901-000001", "finance", "没有找到"),
        ("/books", "logistics", "没有权限"),
        ("/books/2026-13", "finance", "请求有误"),
    ):
        page = node.get(path, who).text
        assert (title in page, "暂时无法完成" in page) == (True, False), path
