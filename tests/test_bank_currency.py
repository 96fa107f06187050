"""Money in another currency pays no refund and no statement, neither by itself nor by hand, and nothing offers it."""

import re
from datetime import UTC, date, datetime
from typing import Any

import pytest

from api.portal import bank as pages
from billing.bank_books import Owed, ReceiptShown
from domain import bank_receipt
from domain.bank_receipt import NotMatchable, Receipt
from tests.bank_world import FIRST, TITLES, asked, billed, file, gateway, row
from tests.fixtures_node import Node
from tests.test_bank import act, imported, of, sent

NOW = datetime(2026, 11, 2, tzinfo=UTC)
IN_CURRENCY = f"{TITLES},币种"


def test_what_goes_out_pays_a_refund_in_its_currency_only() -> None:
    out = Receipt("R-1", direction="out", amount_minor=6, currency="USD", booked_at=NOW)
    with pytest.raises(NotMatchable, match="币种 USD 与退款 CNY 不符"):
        bank_receipt.pay_out(out, "RF-1", 6, currency="CNY", rule="hand", by="clerk", at=NOW)
    assert bank_receipt.pay_out(out, "RF-1", 6, currency="USD", rule="hand", by="clerk", at=NOW)


@pytest.fixture
def refunds(node: Node) -> tuple[str, str]:
    """What of a payment is to be given back: 6 and 5 fen."""
    billed(node)
    asked(node, FIRST)
    imported(node, row("T1"))
    [payment] = [match["payment"] for receipt in of(node) for match in receipt["matches"]]
    with gateway(node) as bank:
        return (
            bank.refund(payment, 6, credit_note="", key="r1"),
            bank.refund(payment, 5, credit_note="", key="r2"),
        )


def test_a_refund_in_yuan_is_not_paid_by_other_money_and_that_is_not_offered(
    node: Node, refunds: tuple[str, str]
) -> None:
    unnamed, named = refunds
    rows = (row("U1", "", "货款", "0.06") + ",USD", row("U2", "", named, "0.05") + ",JPY")
    assert sent(node, file(*rows, titles=IN_CURRENCY)).json()["matched"] == 0
    dollars, yen = [each["receipt"] for each in of(node, "waiting")]
    page = node.get("/bank", "finance", state="refunds").text
    assert (unnamed in page, named in page) == (True, True)
    assert re.findall(r'action="/bank/receipts/([^"]+)"', page) == []
    for receipt, refund in ((dollars, unnamed), (yen, named)):
        assert refund not in node.get(f"/bank/receipts/{receipt}", "finance").text.replace(f"<dd>{refund}</dd>", "")
        answer = act(node, receipt, "pay-out", refund=refund)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-matchable")
    assert node.rows("SELECT count(*) FROM bank_refunds WHERE receipt IS NOT NULL") == [(0,)]


def test_a_refund_is_found_and_offered_in_its_own_currency(node: Node, refunds: tuple[str, str]) -> None:
    unnamed, named = refunds
    assert imported(node, row("U1", "", "货款", "0.06"), row("U2", "", named, "0.05"))["matched"] == 1
    [receipt] = [each["receipt"] for each in of(node, "waiting")]
    assert f'action="/bank/receipts/{receipt}"' in node.get("/bank", "finance", state="refunds").text
    assert unnamed in node.get(f"/bank/receipts/{receipt}", "finance").text


def owed(currency: str) -> Owed:
    about: dict[str, Any] = {"holder": "mover", "holder_zh": "物流企业", "holder_en": "Mover", "sent_at": NOW}
    about |= {"total_minor": 106, "paid_minor": 0, "credited_minor": 0, "outstanding_minor": 106}
    return Owed(statement=FIRST, currency=currency, due_on=date(2026, 11, 8), **about)


def received(currency: str) -> ReceiptShown:
    about: dict[str, Any] = {"account": "1", "serial": "T1", "payer": "物流企业", "payer_account": "2", "text": FIRST}
    about |= {"booked_at": NOW, "imported_at": NOW, "file_sha256": "", "row": 2, "position": 1, "matches": []}
    about |= {"amount_minor": 106, "waiting_minor": 106, "matched_minor": 0, "settled_minor": 0}
    return ReceiptShown(receipt="R-1", direction="in", currency=currency, **about)


def test_what_money_may_be_meant_for_is_asked_for_in_that_currency() -> None:
    assert [each.currency for each in pages.likely(received("CNY"), [owed("CNY"), owed("USD")])] == ["CNY"]
    assert pages.likely(received("USD"), [owed("CNY")]) == []
