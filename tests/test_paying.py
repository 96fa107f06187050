"""Invoices by API and at the terminal: finance asks, the process does, and nobody else may."""

from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.main import kouan
from api.settings import Settings
from api.supervise import everything
from domain.invoice import CreditNoteIssued, InvoiceSent, InvoiceVoided, RefundMade
from tests.fixtures_node import Node
from tests.gateway_world import MONTH, Books
from tests.stripe_fake import EMAIL, KEY, SECRET, Fake, fake

__all__ = ["fake"]


class Office(Books):
    """The same, by HTTP and at the terminal."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.conninfo, {"mover": 5, "trader": 7}, zero=True)
        self.node = node

    def post(self, path: str, body: Any = None, who: str = "finance", **headers: str) -> Any:
        sent = self.node.bearer(who) | headers
        return self.node.client.post(path, json=body, headers=sent)

    def pay(self, *words: str) -> Result:
        return CliRunner().invoke(kouan, ["pay", *words])


@pytest.fixture
def office(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, fake: Fake) -> Any:
    """A node that collects by Stripe."""
    named = {"GATEWAY": "stripe", "STRIPE_KEY": KEY, "STRIPE_URL": fake.url, "STRIPE_EMAIL": EMAIL}
    for name, value in {**named, "STRIPE_WEBHOOK_SECRET": SECRET}.items():
        monkeypatch.setenv(f"KOUAN_{name}", value)
    node: Node = request.getfixturevalue("node")
    monkeypatch.setenv("KOUAN_CONNINFO", node.conninfo)
    fake.at = datetime.now(UTC)  # the terminal goes by the machine's clock
    made = Office(node)
    yield made
    made.close()


def test_who_is_billed_finds_where_to_pay_and_nobody_else_gets_the_portal(office: Office, fake: Fake) -> None:
    own, number = {"who": "logistics"}, office.numbers[0]
    path = f"/v1/statements/{number}"
    assert office.node.get(f"{path}/payment", **own).json()["state"] == "not_sent"
    assert office.post(f"{path}/payment-portal", **own).status_code == 409
    office.post(f"{path}/invoice")
    office.pay("--once")
    told = office.node.get(f"{path}/payment", **own).json()
    [invoice] = fake.all("invoice")
    assert (told["provider"], told["outstanding_minor"], told["url"]) == ("stripe", 10, invoice["hosted_invoice_url"])
    assert told["due_on"]
    assert told["url"] in office.node.get(f"/statements/{number}", **own).text
    assert office.post(f"{path}/payment-portal", **own).json()["url"].startswith("http")
    for who in ("enterprise", "finance"):
        assert office.post(f"{path}/payment-portal", who=who).status_code == 404
    assert office.node.get(f"{path}/payment", "enterprise").status_code == 404
    fake.pay(invoice["id"])
    office.pay("sweep", "--days", "30")
    paid = office.node.get(f"{path}/payment", **own).json()
    assert (paid["state"], paid["url"], paid["outstanding_minor"]) == ("paid", "", 0)


def test_finance_has_a_month_sent_and_sees_how_far_it_is(office: Office, fake: Fake) -> None:
    asked = office.post(f"/v1/periods/{MONTH}/invoices")
    assert (asked.status_code, asked.json()) == (202, {"statements": 3, "payable": 2, "new": 2})
    assert office.post(f"/v1/periods/{MONTH}/invoices").json()["new"] == 0
    waiting = office.node.get("/v1/invoices", "finance", state="waiting").json()
    assert [each["statement"] for each in waiting] == office.numbers[:2]
    done = office.pay("--once")
    assert (done.exit_code, "steps were taken" in done.output) == (0, True), done.output
    assert [each["status"] for each in fake.all("invoice")] == ["open", "open"]
    number = office.numbers[0]
    told = office.node.get(f"/v1/invoices/{number}", "finance").json()
    assert (told["invoice"]["state"], told["invoice"]["url"] != "") == ("sent", True)
    assert [each["state"] for each in told["steps"]] == ["done"] * 8
    assert [type(each) for each in office.told(number)] == [InvoiceSent]
    office.node.catch_up()
    assert office.node.rows("SELECT statement, outstanding_minor FROM receivables ORDER BY 1")[0] == (number, 10)


def test_one_statement_can_be_sent_and_a_zero_one_cannot(office: Office) -> None:
    *_, zero = office.numbers
    assert office.post(f"/v1/statements/{office.numbers[0]}/invoice").json()["new"] == 1
    refused = office.post(f"/v1/statements/{zero}/invoice")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/nothing-to-collect")
    assert office.post("/v1/statements/KS-209901-000001/invoice").status_code == 404
    assert office.post("/v1/periods/2026-13/invoices").status_code == 422


@pytest.mark.parametrize("who", ["logistics", "enterprise", "operator", "source", ""])
def test_nobody_but_finance_asks_for_money(office: Office, who: str) -> None:
    number = office.numbers[0]
    office.post(f"/v1/statements/{number}/invoice")
    expected = 401 if not who else 403
    for path in ("resume", "again", "void", "credit", "refund", "withdraw"):
        body = {"reason": "x", "amount_minor": 1, "payment": "p"}
        assert office.post(f"/v1/invoices/{number}/{path}", body, who).status_code == expected, path
    assert office.post(f"/v1/statements/{number}/invoice", None, who).status_code == expected
    if who != "operator":
        assert office.node.get("/v1/invoices", who).status_code == expected
        assert office.node.get(f"/v1/invoices/{number}", who).status_code == expected


def test_a_credit_and_a_refund_come_once_for_each_key_and_stand_on_the_trail(office: Office, fake: Fake) -> None:
    number = office.numbers[0]
    office.post(f"/v1/statements/{number}/invoice")
    office.pay("--once")
    [found] = fake.invoices_of(number)
    payment = fake.pay(found["id"], 8)
    assert "movements since" in office.pay("sweep", "--days", "30").output
    body = {"reason": "多收 / too much", "amount_minor": 2}
    answers = [office.post(f"/v1/invoices/{number}/credit", body, **{"Idempotency-Key": "k1"}) for _ in range(2)]
    assert [(each.status_code, each.json()["new"]) for each in answers] == [(202, True)] * 2
    back = {**body, "payment": payment, "amount_minor": 3}
    assert office.post(f"/v1/invoices/{number}/refund", back).status_code == 409  # until the credit note is there
    office.pay("--once")
    assert office.post(f"/v1/invoices/{number}/refund", back).status_code == 202
    assert office.post(f"/v1/invoices/{number}/refund", {**back, "amount_minor": 9}).status_code == 409
    assert office.post(f"/v1/invoices/{number}/credit", {**body, "reason": " "}).status_code == 409
    assert office.post(f"/v1/invoices/{number}/credit", {"amount_minor": 1.5, "reason": "x"}).status_code == 422
    office.pay("--once")
    told = office.told(number)
    assert [each.amount_minor for each in told if isinstance(each, CreditNoteIssued)] == [2, 3]
    assert [(each.amount_minor, each.payment) for each in told if isinstance(each, RefundMade)] == [(3, payment)]
    acts = "SELECT count(*) FROM commerce_events WHERE topic = 'access.told' AND convert_from(state, 'UTF8') LIKE %s"
    for action in ("invoice.ask", "invoice.credit", "invoice.refund"):
        assert office.node.rows(acts, f'%"action":"{action}"%') == [(1,)]


def test_a_void_invoice_is_made_again(office: Office, fake: Fake) -> None:
    number = office.numbers[0]
    office.post(f"/v1/statements/{number}/invoice")
    office.pay("--once")
    assert office.post(f"/v1/invoices/{number}/again").status_code == 409
    assert office.post(f"/v1/invoices/{number}/void", {"reason": "x"}).status_code == 202
    office.pay("--once")
    assert office.post(f"/v1/invoices/{number}/again").json() == {"statement": number, "new": True}
    office.pay("--once")
    assert [each["status"] for each in fake.invoices_of(number)] == ["void", "open"]
    assert [type(each) for each in office.told(number)] == [InvoiceSent, InvoiceVoided, InvoiceSent]


def test_the_terminal_tells_what_has_stopped(office: Office, fake: Fake) -> None:
    number = office.numbers[0]
    office.post(f"/v1/statements/{number}/invoice")
    fake.fail("dropped", "/finalize")
    office.pay("--once")
    [draft] = fake.invoices_of(number)
    fake.tamper(draft["id"], amount=3)
    assert office.pay("status").exit_code == 0
    assert office.post(f"/v1/invoices/{number}/resume").json()["new"]
    office.pay("--once")
    told = office.pay("status")
    assert (told.exit_code, number in told.output) == (1, True)


def test_an_address_is_where_the_invoice_goes(office: Office, fake: Fake) -> None:
    headers = office.node.bearer("finance")
    told = {"holder": "mover", "is_party": False, "email": "ap@mover.example"}
    assert office.node.client.put("/v1/invoice-addresses", json=told, headers=headers).status_code == 202
    for wrong in ({"email": "no"}, {"email": "a@b"}, {"email": "a b@c.de"}, {"holder": "x"}, {"holder": "x\0"}):
        answer = office.node.client.put("/v1/invoice-addresses", json=told | wrong, headers=headers)
        assert answer.status_code in {404, 409}, wrong
    office.post(f"/v1/periods/{MONTH}/invoices")
    office.pay("--once")
    assert [each["email"] for each in fake.all("customer")] == ["ap@mover.example", EMAIL]


def test_a_second_process_stands_by(office: Office) -> None:
    with office.connected() as connection:
        connection.execute("SELECT pg_advisory_lock(19279, 19)")
        told = office.pay("--once")
        assert (told.exit_code, "another process" in told.output) == (3, True)


def test_a_notice_leads_to_the_payment_in_the_books(office: Office, fake: Fake) -> None:
    number = office.numbers[1]
    office.post(f"/v1/statements/{number}/invoice")
    office.pay("--once")
    before = len(fake.events())
    fake.pay(fake.invoices_of(number)[0]["id"])
    for event in fake.events()[before:]:
        body, signature = fake.signed(event, at=datetime.now(UTC))
        headers = {"Stripe-Signature": signature}
        assert office.node.client.post("/v1/gateway/stripe/events", content=body, headers=headers).status_code == 200
    office.pay("--once")
    assert office.folded(number).outstanding_minor == 0


def test_the_process_runs_with_the_node() -> None:
    assert "pay" in [each.name for each in everything(Settings.read({}))]
