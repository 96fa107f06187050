"""Reconciling against Stripe: what an invoice goes through is no break; what nobody here did is one, of its kind."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from billing import taking
from billing.reconcile import reconcile
from domain.reconciliation import Break
from tests.gateway_world import MONTH, NOW, PAUSE, Books
from tests.stripe_fake import Fake, fake
from tests.test_outbox import give, holders

__all__ = ["fake"]
OCTOBER = datetime(2026, 10, 9, tzinfo=UTC)  # when invoices of September are paid
DECEMBER = datetime(2026, 12, 9, tzinfo=UTC)
COUNT = 8


@pytest.fixture
def books(database: str, fake: Fake) -> Iterator[Books]:
    """Every statement of September is invoiced."""
    fake.at = OCTOBER
    made = Books(database, holders(COUNT), zero=True)
    made.ask("stripe")
    made.work(fake.gateway())
    yield made
    made.close()


def known(books: Books, fake: Fake) -> None:
    """What happened there is known here."""
    for turn in range(1, 4):
        books.sweep(fake.gateway(), NOW + turn * PAUSE, OCTOBER - timedelta(days=1))
        books.work(fake.gateway(), NOW + turn * PAUSE)


def breaks(books: Books, fake: Fake) -> list[Break]:
    with books.connected() as connection:
        found = taking.provider(connection, [fake.gateway()], MONTH, NOW + timedelta(days=90))
        return reconcile(taking.ours(connection, MONTH), taking.statements(connection, MONTH), found)


def codes(books: Books, fake: Fake) -> list[str]:
    return [each.code for each in breaks(books, fake)]


def refs(books: Books, fake: Fake) -> list[str]:
    return [str(each["id"]) for number in books.numbers for each in fake.invoices_of(number)]


@pytest.mark.slow
def test_what_an_invoice_goes_through_is_no_break(books: Books, fake: Fake) -> None:
    assert codes(books, fake) == []
    paid, part, credited, refunded, disputed, won, void, failed = books.numbers[:COUNT]
    ref = dict(zip(books.numbers, refs(books, fake), strict=False))
    payment = {number: fake.pay(ref[number]) for number in (paid, refunded, disputed, won)}
    fake.pay(ref[part], 4)
    fake.fail_payment(ref[failed])
    fake.charge_back(payment[disputed])
    fake.win(fake.charge_back(payment[won]))
    known(books, fake)
    give(books, "credit", credited, amount_minor=4)
    give(books, "refund", refunded, payment=payment[refunded], amount_minor=4)
    give(books, "void", void)
    books.work(fake.gateway(), NOW + 9 * PAUSE)
    known(books, fake)
    found = breaks(books, fake)
    assert {(each.code, each.statement) for each in found} == {
        ("fapiao_missing", number) for number in (paid, refunded, won)
    }


@pytest.mark.slow
def test_what_belongs_to_nothing_and_goes_back_in_a_later_month_is_settled_in_its_own(books: Books, fake: Fake) -> None:
    payment = fake.stray_payment(55)
    assert codes(books, fake) == ["payment_without_invoice"]
    fake.at = DECEMBER
    fake.refund_by_hand(payment, 50)
    assert [each.theirs_minor for each in breaks(books, fake)] == [5]
    fake.refund_by_hand(payment, 5)
    assert breaks(books, fake) == []
    with books.connected() as connection:
        told = taking.provider(connection, [fake.gateway()], "2026-11", NOW + timedelta(days=90))
        assert told.movements == ()


@pytest.mark.slow
def test_what_nobody_here_did_is_found(books: Books, fake: Fake) -> None:
    first, second, third, fourth, fifth, *_ = refs(books, fake)
    fake.tamper(first, 2, amount=1)
    fake.duplicate(second)
    fake.stray_payment(55)
    fake.pay(third)
    payment = fake.pay(fourth)
    known(books, fake)
    fake.refund_by_hand(payment, 3)
    fake.pay(fifth, 2)
    told = [(each.code, each.statement) for each in breaks(books, fake)]
    number = books.numbers
    assert sorted(told) == sorted(
        [
            ("amount_mismatch", number[0]),
            ("duplicate_provider_invoice", number[1]),
            ("payment_without_invoice", ""),
            ("fapiao_missing", number[2]),
            ("refund_without_credit_note", number[3]),
            ("fapiao_missing", number[3]),
            ("amount_mismatch", number[4]),
        ]
    )
