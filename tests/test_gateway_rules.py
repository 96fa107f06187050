"""What two gateways and one machine agree on: whose a movement is, whom a fault stops, and who is still a customer."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from api.paying_process import SWEEP_AGAIN, Payer
from api.pool import open_pool
from billing import giving_back, invoicing
from billing.bank import BankGateway
from billing.gateway import Gateway
from billing.giving_back import Request
from billing.inbox import Inbox
from domain.delivery import new_id
from domain.invoice import CreditNoteIssued, PaymentReceived, RefundMade
from tests.gateway_world import NOW, PAUSE, Books
from tests.stripe_fake import Fake, fake
from tests.stripe_story import CUSTOMER

__all__ = ["fake"]
DAY = timedelta(hours=25)


@pytest.fixture
def books(database: str) -> Iterator[Books]:
    made = Books(database, {"a": 5, "b": 6, "c": 7})
    yield made
    made.close()


def sent(books: Books, fake: Fake, number: str) -> str:
    """The provider's invoice."""
    books.ask("stripe", number)
    books.work(fake.gateway())
    [found] = fake.invoices_of(number)
    return str(found["id"])


def settled(books: Books, fake: Fake) -> None:
    """What moved is in the journal."""
    books.sweep(fake.gateway(), NOW)
    books.work(fake.gateway())


def give(books: Books, act: str, number: str, amount: int, payment: str = "") -> None:
    asked = Request(statement=number, id=new_id(NOW), reason="多收", by="clerk", amount_minor=amount, payment=payment)
    with books.connected() as connection:
        {"credit": giving_back.credit, "refund": giving_back.refund}[act](connection, books.journal, asked, at=NOW)


# --- whose it is: by the key, never by the amount ---


@pytest.mark.parametrize("kind", ["dropped", "lost"])
def test_a_credit_note_of_somebody_else_of_the_same_amount_is_not_ours(books: Books, fake: Fake, kind: str) -> None:
    number = books.numbers[0]
    ref = sent(books, fake, number)
    theirs = fake.credit_by_hand(ref, 4)
    settled(books, fake)
    give(books, "credit", number, 4)
    fake.fail(kind, "/v1/credit_notes", method="POST")
    books.work(fake.gateway())
    books.work(fake.gateway(), NOW + PAUSE)
    [ours] = [each["id"] for each in fake.all("credit_note", invoice=ref) if each["id"] != theirs]
    told = [(each.credit_note, each.by) for each in books.told(number) if isinstance(each, CreditNoteIssued)]
    assert told == [(theirs, ""), (ours, "clerk")]


@pytest.mark.parametrize("kind", ["dropped", "lost"])
def test_a_refund_of_somebody_else_of_the_same_amount_is_not_ours(books: Books, fake: Fake, kind: str) -> None:
    number = books.numbers[0]
    ref = sent(books, fake, number)
    payment = fake.pay(ref)
    settled(books, fake)
    give(books, "credit", number, 8)
    books.work(fake.gateway())
    theirs = fake.refund_by_hand(payment, 4)
    settled(books, fake)
    give(books, "refund", number, 4, payment)
    fake.fail(kind, "/v1/refunds", method="POST")
    books.work(fake.gateway())
    books.work(fake.gateway(), NOW + PAUSE)
    [ours] = [each["id"] for each in fake.all("refund") if each["id"] != theirs]
    told = [(each.refund, each.reason) for each in books.told(number) if isinstance(each, RefundMade)]
    assert told == [(theirs, ""), (ours, "多收")]


def test_what_others_do_meanwhile_is_told_at_once_although_ours_of_that_amount_is_under_way(
    books: Books, fake: Fake
) -> None:
    number = books.numbers[0]
    ref = sent(books, fake, number)
    theirs = fake.credit_by_hand(ref, 4)
    give(books, "credit", number, 4)
    fake.fail("dropped", "/v1/credit_notes", method="POST", times=1)
    books.work(fake.gateway())
    settled(books, fake)
    assert [each.credit_note for each in books.told(number) if isinstance(each, CreditNoteIssued)] == [theirs]


def test_what_was_made_under_the_key_of_a_step_with_another_amount_stops_it(books: Books, fake: Fake) -> None:
    number = books.numbers[0]
    ref = sent(books, fake, number)
    give(books, "credit", number, 4)
    fake.fail("lost", "/v1/credit_notes", method="POST")
    books.work(fake.gateway())
    [made] = fake.all("credit_note", invoice=ref)
    made["total"] = 3
    books.work(fake.gateway(), NOW + PAUSE)
    with books.connected() as connection:
        _, steps = invoicing.one(connection, number)
    assert (steps[-1].state, len(fake.all("credit_note"))) == ("stopped", 1)


def test_stripe_says_under_which_key_something_was_made(books: Books, fake: Fake) -> None:
    ref = sent(books, fake, books.numbers[0])
    stripe = fake.gateway()
    payment = fake.pay(ref)
    note = stripe.credit(ref, 4, "多收", key="k:credit:1")
    stripe.refund(payment, 4, credit_note=note, key="k:refund:1")
    keys = [(each.kind, each.key) for each in stripe.payments(ref)]
    assert keys == [("payment", ""), ("credit_note", "k:credit:1"), ("refund", "k:refund:1")]
    moved = stripe.movements(fake.at - DAY, fake.at + DAY)
    assert sorted((each.kind, each.key) for each in moved) == sorted(keys)


def test_the_bank_says_under_which_key_something_was_made(books: Books) -> None:
    with open_pool(books.node.conninfo) as pool:
        bank, number = BankGateway(pool), books.numbers[0]
        books.ask("bank", number)
        books.work(bank)
        [notice] = bank.find_invoices(number)
        bank.credit(notice.ref, 4, "折让", key="by hand")
        give(books, "credit", number, 4)
        books.work(bank)
        keys = [each.key for each in bank.payments(notice.ref)]
    assert keys == ["by hand", f"kouan:{number}:credit:1"]


# --- whom a fault stops ---


@pytest.mark.parametrize("kind", ["401", "403"])
def test_a_key_that_is_not_taken_any_more_stops_no_invoice(
    books: Books, fake: Fake, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    books.ask("stripe")
    fake.fail(kind, times=5)
    for hour in range(5):
        books.work(fake.gateway(), NOW + hour * PAUSE)
    assert books.rows("SELECT DISTINCT state FROM gateway_invoices") == [("waiting",)]
    assert [each.levelno for each in caplog.records if "KOUAN_STRIPE_KEY" in each.getMessage()] == [logging.ERROR] * 5
    assert "k_test" not in caplog.text
    books.work(fake.gateway(), NOW + 9 * PAUSE)
    assert books.rows("SELECT DISTINCT state FROM gateway_invoices") == [("sent",)]


class Odd:
    """A gateway in whose list of movements something stands that nobody can read."""

    def __init__(self, served: Gateway) -> None:
        self._served = served
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._served, name)

    def movements(self, *_: Any) -> Any:
        self.asked += 1
        raise AttributeError("no such field")


def test_a_sweep_that_fails_holds_up_nothing_and_is_tried_again_later(
    books: Books, fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    odd: Any = Odd(fake.gateway())
    number = books.numbers[0]
    books.ask("stripe", number)
    with books.journal.connect(autocommit=True) as connection:
        payer = Payer(connection, books.journal, [odd])
        for second in range(5):
            payer.nightly(NOW + timedelta(seconds=second))
            payer.turn(NOW + timedelta(seconds=second))
        assert (odd.asked, len(books.told(number))) == (1, 1)
        payer.nightly(NOW + SWEEP_AGAIN)
        assert odd.asked == 2
        assert Inbox(connection, books.journal, odd).swept_until() is None
    assert [each.getMessage() for each in caplog.records if each.exc_info] == ["sweep of stripe"] * 2


# --- money that came back ---


def test_money_that_came_back_names_the_payment_it_belongs_to(books: Books, fake: Fake) -> None:
    number = books.numbers[0]
    payment = fake.pay(sent(books, fake, number))
    fake.fail_refund(fake.refund_by_hand(payment, 4))
    settled(books, fake)
    told = [(each.amount_minor, each.of) for each in books.told(number) if isinstance(each, PaymentReceived)]
    assert told == [(10, ""), (4, payment)]


# --- who is still a customer ---


def test_a_customer_that_was_deleted_at_the_provider_is_made_anew(books: Books, fake: Fake) -> None:
    holder = msgspec.structs.replace(CUSTOMER, holder="a", is_party=False)
    before = fake.gateway().make_customer(holder, key="earlier")
    with books.connected() as connection:
        connection.execute("INSERT INTO gateway_customers VALUES ('stripe', 'a', false, %s)", (before,))
    fake.delete_customer(before)
    ref = sent(books, fake, books.numbers[0])
    [made] = [each["id"] for each in fake.all("customer") if "deleted" not in each]
    assert (fake.objects[ref]["customer"], fake.objects[ref]["status"]) == (made, "open")
    assert books.rows("SELECT customer FROM gateway_customers") == [(made,)]


def test_a_key_never_brings_back_a_customer_that_was_deleted(fake: Fake) -> None:
    stripe = fake.gateway()
    first = stripe.make_customer(CUSTOMER, key="k")
    fake.delete_customer(first)
    second = stripe.make_customer(CUSTOMER, key="k")
    assert (second != first, stripe.find_customer(CUSTOMER)) == (True, second)
    assert stripe.make_customer(CUSTOMER, key="k") == second


# --- what is there already ---


def test_an_invoice_that_another_node_made_is_taken_up_at_the_first_attempt(books: Books, fake: Fake) -> None:
    number = books.numbers[0]
    ref = sent(books, fake, number)
    with books.connected() as connection:
        connection.execute("DELETE FROM gateway_steps")
        connection.execute("DELETE FROM gateway_invoices")
    fake.forget_keys()
    books.ask("stripe", number)
    books.work(fake.gateway())
    assert books.rows("SELECT invoice, adopted FROM gateway_invoices") == [(ref, True)]
    assert fake.made("/v1/invoices") == 1
