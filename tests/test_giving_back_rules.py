"""Giving money back: never more than was paid too much or is credited first, never twice; what stopped is cleared."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from billing import giving_back, invoicing
from billing.giving_back import Request
from billing.outbox import Outbox
from domain import period
from domain.delivery import new_id
from domain.errors import Refused
from domain.invoice import CreditNoteIssued, InvoiceSent, InvoiceVoided, PaymentReceived, RefundMade
from tests.gateway_world import NOW, PAUSE, Books
from tests.stripe_fake import Fake, fake
from tests.test_outbox import give, paid, sent

__all__ = ["fake"]
LATE = NOW + timedelta(days=40)
TOTAL = 10


@pytest.fixture
def books(database: str) -> Iterator[Books]:
    made = Books(database, {"a": 5})
    yield made
    made.close()


def withdraw(books: Books, number: str) -> bool:
    asked = Request(statement=number, id=new_id(NOW), reason="另行处理 / done otherwise", by="clerk")
    with books.connected() as connection:
        return giving_back.withdraw(connection, asked, at=NOW)


def resume(books: Books, number: str, at: datetime = NOW) -> bool:
    with books.connected() as connection:
        return invoicing.resume(connection, number, at=at)


def moved(books: Books, number: str, kind: type[Any]) -> list[int]:
    return [each.amount_minor for each in books.told(number) if isinstance(each, kind)]


def steps(books: Books) -> list[tuple[Any, ...]]:
    asked = "SELECT step, state FROM gateway_steps WHERE step IN ('void', 'credit', 'refund') ORDER BY no"
    return books.rows(asked)


def refuse_refunds(fake: Fake, payment: str, most: int) -> None:
    """The charge has so much given back already, as the provider sees it."""
    fake.objects[fake.objects[payment]["latest_charge"]]["amount_refunded"] = most


# --- what has stopped ---


def test_a_refund_that_stopped_keeps_its_room_so_that_it_never_goes_out_twice(books: Books, fake: Fake) -> None:
    [number] = books.numbers
    payment = paid(books, fake, number)
    refuse_refunds(fake, payment, TOTAL)
    give(books, "refund", number, payment=payment, amount_minor=7)
    books.work(fake.gateway())
    assert steps(books) == [("credit", "done"), ("refund", "stopped")]
    refuse_refunds(fake, payment, 0)
    with pytest.raises(Refused):
        give(books, "refund", number, payment=payment, amount_minor=7)
    assert withdraw(books, number)
    assert not withdraw(books, number)
    give(books, "refund", number, payment=payment, amount_minor=7)
    books.work(fake.gateway(), NOW + PAUSE)
    assert not resume(books, number, NOW + PAUSE)
    books.work(fake.gateway(), NOW + 2 * PAUSE)
    assert [each["amount"] for each in fake.all("refund")] == moved(books, number, RefundMade) == [7]
    assert moved(books, number, CreditNoteIssued) == [7]
    assert books.folded(number).outstanding_minor == 0


def test_a_credit_that_stopped_keeps_its_room_too(books: Books, fake: Fake) -> None:
    [number] = books.numbers
    found = fake.objects[sent(books, fake, number)]
    found["post_payment_credit_notes_amount"] = TOTAL
    give(books, "credit", number, amount_minor=6)
    books.work(fake.gateway())
    found["post_payment_credit_notes_amount"] = 0
    assert steps(books) == [("credit", "stopped")]
    with pytest.raises(Refused):
        give(books, "credit", number, amount_minor=6)
    with pytest.raises(Refused):
        give(books, "void", number)
    assert resume(books, number, NOW + PAUSE)
    books.work(fake.gateway(), NOW + PAUSE)
    assert moved(books, number, CreditNoteIssued) == [6]


def test_a_refund_stops_with_the_credit_note_it_rests_on_and_nothing_behind_it_waits(books: Books, fake: Fake) -> None:
    [number] = books.numbers
    payment = paid(books, fake, number)
    [found] = fake.invoices_of(number)
    fake.objects[found["id"]]["post_payment_credit_notes_amount"] = TOTAL
    give(books, "refund", number, payment=payment, amount_minor=4)
    books.work(fake.gateway())
    fake.objects[found["id"]]["post_payment_credit_notes_amount"] = 0
    assert steps(books) == [("credit", "stopped"), ("refund", "stopped")]
    give(books, "refund", number, payment=payment, amount_minor=3)
    books.work(fake.gateway(), NOW + PAUSE)
    assert moved(books, number, RefundMade) == [3]
    assert withdraw(books, number)
    assert {state for _, state in steps(books)} == {"done"}
    give(books, "refund", number, payment=payment, amount_minor=7)
    books.work(fake.gateway(), NOW + 2 * PAUSE)
    assert (moved(books, number, RefundMade), moved(books, number, CreditNoteIssued)) == ([3, 7], [3, 7])


def test_both_go_on_together(books: Books, fake: Fake) -> None:
    [number] = books.numbers
    payment = paid(books, fake, number)
    [found] = fake.invoices_of(number)
    fake.objects[found["id"]]["post_payment_credit_notes_amount"] = TOTAL
    give(books, "refund", number, payment=payment, amount_minor=4)
    books.work(fake.gateway())
    fake.objects[found["id"]]["post_payment_credit_notes_amount"] = 0
    assert resume(books, number, NOW + PAUSE)
    books.work(fake.gateway(), NOW + PAUSE)
    assert (moved(books, number, RefundMade), moved(books, number, CreditNoteIssued)) == ([4], [4])


def test_what_is_done_cannot_be_withdrawn_and_a_reason_is_needed(books: Books, fake: Fake) -> None:
    [number] = books.numbers
    sent(books, fake, number)
    give(books, "credit", number, amount_minor=4)
    assert not withdraw(books, number)  # it waits: it goes out
    books.work(fake.gateway())
    assert not withdraw(books, number)
    asked = Request(statement=number, id=new_id(NOW), reason=" ", by="clerk")
    with books.connected() as connection, pytest.raises(Refused):
        giving_back.withdraw(connection, asked, at=NOW)
    assert books.folded(number).credited_minor == 4


# --- how much goes back ---


def test_a_refund_waits_for_a_credit_note_that_is_on_its_way(books: Books, fake: Fake) -> None:
    [number] = books.numbers
    payment = paid(books, fake, number)
    give(books, "credit", number, amount_minor=4)
    with pytest.raises(Refused):
        give(books, "refund", number, payment=payment, amount_minor=4)
    books.work(fake.gateway())
    give(books, "refund", number, payment=payment, amount_minor=4)
    books.work(fake.gateway())
    assert (moved(books, number, CreditNoteIssued), moved(books, number, RefundMade)) == ([4], [4])


def test_what_was_paid_too_much_goes_back_first_and_by_itself(books: Books, fake: Fake) -> None:
    [number] = books.numbers
    payment = paid(books, fake, number)
    give(books, "credit", number, amount_minor=4)
    books.work(fake.gateway())
    with pytest.raises(Refused) as refused:
        give(books, "refund", number, payment=payment, amount_minor=6)
    assert refused.value.facts["most_minor"] == 4
    give(books, "refund", number, payment=payment, amount_minor=4)
    give(books, "refund", number, payment=payment, amount_minor=5)  # behind it, on a note of its own
    books.work(fake.gateway())
    assert (moved(books, number, CreditNoteIssued), moved(books, number, RefundMade)) == ([4, 5], [4, 5])
    assert books.folded(number).outstanding_minor == 0


def test_nothing_goes_back_while_a_part_is_open(books: Books, fake: Fake) -> None:
    [number] = books.numbers
    ref = sent(books, fake, number)
    payment = fake.pay(ref, 6)
    books.sweep(fake.gateway(), NOW)
    books.work(fake.gateway())
    with pytest.raises(Refused):
        give(books, "refund", number, payment=payment, amount_minor=3)
    give(books, "credit", number, amount_minor=4)
    books.work(fake.gateway())
    give(books, "refund", number, payment=payment, amount_minor=3)
    books.work(fake.gateway())
    assert (moved(books, number, CreditNoteIssued), moved(books, number, RefundMade)) == ([4, 3], [3])


def test_a_note_that_took_off_what_was_open_is_not_paid_out(books: Books, fake: Fake) -> None:
    [number] = books.numbers
    ref = sent(books, fake, number)
    give(books, "credit", number, amount_minor=4)
    books.work(fake.gateway())
    payment = fake.pay(ref, 6)
    books.sweep(fake.gateway(), NOW)
    books.work(fake.gateway())
    [note] = books.folded(number).credit_notes
    with pytest.raises(Refused):
        give(books, "refund", number, payment=payment, amount_minor=4, credit_note=note)


def test_what_came_back_belongs_to_the_payment_it_came_back_to(books: Books, fake: Fake) -> None:
    [number] = books.numbers
    payment = paid(books, fake, number)
    give(books, "refund", number, payment=payment, amount_minor=TOTAL)
    books.work(fake.gateway())
    fake.fail_refund(fake.all("refund")[0]["id"])
    books.sweep(fake.gateway(), NOW + PAUSE)
    books.work(fake.gateway(), NOW + PAUSE)
    [back] = [each for each in books.told(number) if isinstance(each, PaymentReceived) and each.of]
    assert (back.of, back.amount_minor) == (payment, TOTAL)
    with pytest.raises(Refused) as refused:
        give(books, "refund", number, payment=back.payment, amount_minor=TOTAL)
    assert refused.value.facts["of"] == payment
    assert give(books, "refund", number, payment=payment, amount_minor=TOTAL)
    with pytest.raises(Refused):
        give(books, "refund", number, payment=payment, amount_minor=1)


# --- late and again ---


def day(at: datetime) -> Any:
    return at.astimezone(period.ZONE).date()


def test_an_invoice_made_again_late_leaves_as_many_days_to_pay(books: Books, fake: Fake) -> None:
    [number] = books.numbers
    sent(books, fake, number)
    for at in (LATE, LATE + timedelta(days=5)):
        give(books, "void", number)
        books.work(fake.gateway(), at)
        with books.connected() as connection:
            assert invoicing.again(connection, number, at=at)
        books.work(fake.gateway(), at)
    due = [each.due_on for each in books.told(number) if isinstance(each, InvoiceSent)]
    assert due == [day(NOW + timedelta(days=days)) for days in (30, 70, 75)]
    shown = [day(datetime.fromtimestamp(each["due_date"], period.ZONE)) for each in fake.invoices_of(number)]
    assert shown == due


def test_one_that_goes_on_late_does_too_with_the_address_entered_since(books: Books, fake: Fake) -> None:
    [number] = books.numbers
    books.ask("stripe", number)
    with books.journal.connect(autocommit=True) as connection:
        outbox = Outbox(connection, books.journal, fake.gateway())
        taken = fake._make("invoice", "in", status="void", number=number, metadata={})
        outbox.run(NOW)
        assert books.rows("SELECT state, invoice FROM gateway_invoices") == [("stopped", "")]
        del fake.objects[taken["id"]]
        assert resume(books, number, LATE)
        outbox.run(LATE)
    [told] = [each for each in books.told(number) if isinstance(each, InvoiceSent)]
    assert told.due_on == day(LATE + timedelta(days=30))
    [found] = fake.invoices_of(number)
    assert day(datetime.fromtimestamp(found["due_date"], period.ZONE)) == told.due_on
    assert books.rows("SELECT key FROM gateway_steps WHERE step = 'draft'") == [(f"kouan:{number}:draft:0:1",)]


def test_the_same_invoice_sent_again_is_told_again(books: Books, fake: Fake) -> None:
    [number] = books.numbers
    ref = sent(books, fake, number)
    fake.tamper(ref, status="uncollectible")
    books.sweep(fake.gateway(), NOW)
    books.work(fake.gateway())
    fake.tamper(ref, status="open")
    with books.connected() as connection:
        assert invoicing.again(connection, number, at=NOW + PAUSE)
    books.work(fake.gateway(), NOW + PAUSE)
    assert [type(each) for each in books.told(number)] == [InvoiceSent, InvoiceVoided, InvoiceSent]
    assert not books.folded(number).voided
