"""The outbox: whatever dies or fails on the way, a statement comes to one invoice at the provider, to the fen."""

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from api.pool import open_pool
from billing import giving_back, invoicing
from billing.bank import BankGateway
from billing.giving_back import Request
from billing.ordering import NothingToCollect
from billing.outbox import lead
from domain.delivery import new_id
from domain.errors import Refused, Unknown
from domain.invoice import CreditNoteIssued, InvoiceSent, InvoiceStopped, InvoiceVoided, RefundMade
from tests.gateway_world import MONTH, NOW, PAUSE, Books, Crash, Fuse
from tests.stripe_fake import Fake, fake

__all__ = ["fake"]
FAULTS = ("lost", "dropped", "409", "429", "500", "500_after")
DAY = timedelta(hours=25)


def holders(count: int) -> dict[str, int]:
    """So many, each with another amount to pay."""
    return {f"h{number:03}": number + 5 for number in range(count)}


@pytest.fixture
def books(database: str) -> Iterator[Books]:
    made = Books(database, {"a": 5}, zero=True)
    yield made
    made.close()


@pytest.fixture
def many(database: str) -> Iterator[Books]:
    made = Books(database, holders(90))
    yield made
    made.close()


def same(books: Books, fake: Fake, number: str) -> None:
    """What the provider holds is what the statement says, once; and the journal tells it once."""
    document = books.document(number)
    [found] = fake.invoices_of(number)
    items = [(int(each["metadata"]["line"]), each["amount"]) for each in fake.lines[found["id"]]]
    assert items == [(line.no, line.amount_minor) for line in document.lines if line.amount_minor]
    assert (found["status"], found["total"], found["currency"]) == ("open", document.payable_minor, "cny")
    told = books.told(number)
    assert [type(each) for each in told] == [InvoiceSent], told
    state = books.folded(number)
    assert (state.invoice, state.total_minor, state.outstanding_minor) == (found["id"], found["total"], found["total"])
    assert books.rows("SELECT state FROM gateway_invoices WHERE statement = %s", number) == [("sent",)]
    open_steps = "SELECT count(*) FROM gateway_steps WHERE statement = %s AND state <> 'done'"
    assert books.rows(open_steps, number) == [(0,)]


# --- one invoice ---


def test_an_invoice_travels_step_by_step_under_keys_derived_from_its_statement(books: Books, fake: Fake) -> None:
    asked = books.ask("stripe")
    assert (asked.statements, asked.payable, asked.new, books.ask("stripe").new) == (2, 1, 1, 0)
    books.work(fake.gateway())
    [number, _] = books.numbers
    same(books, fake, number)
    steps = books.rows("SELECT step, line, key FROM gateway_steps ORDER BY no")
    [line] = [line.no for line in books.document(number).lines if line.amount_minor]
    assert steps == [
        (step, at, f"kouan:{number}:{step}:{at}")
        for step, at in (
            *(("customer", 0), ("draft", 0), ("item", line), ("compare", 0)),
            *(("finalize", 0), ("check", 0), ("send", 0), ("record", 0)),
        )
    ]
    assert {key for method, path, key in fake.calls if method == "POST"} == {
        f"kouan:{number}:{step}:{at}" for step, at in (("customer", 0), ("draft", 0), ("item", line))
    } | {f"kouan:{number}:{step}:0" for step in ("finalize", "send")}
    [found] = fake.invoices_of(number)
    [(digest,)] = books.rows("SELECT sha256 FROM issued_statements WHERE statement = %s", number)
    assert found["metadata"] == {"statement_id": number, "statement_sha256": digest}
    assert [each["type"] for each in fake.events()].count("invoice.sent") == 1


def test_the_same_holder_is_one_customer_however_many_statements_it_gets(many: Books, fake: Fake) -> None:
    many.ask("stripe", many.numbers[0])
    many.ask("stripe", many.numbers[1])
    many.work(fake.gateway())
    assert len(fake.all("customer")) == 2
    with many.connected() as connection:
        connection.execute("UPDATE gateway_customers SET customer = ''")  # as after a restore
    many.ask("stripe", many.numbers[2])
    many.work(fake.gateway())
    assert len(fake.all("customer")) == 3


# --- what never goes out ---


def test_a_statement_with_nothing_to_pay_never_goes_out(books: Books, fake: Fake) -> None:
    [paid, zero] = books.numbers
    with pytest.raises(NothingToCollect):
        books.ask("stripe", zero)
    with pytest.raises(Unknown):
        books.ask("stripe", "KS-202609-000009")
    books.ask("stripe")
    books.work(fake.gateway())
    assert [each["metadata"]["statement_id"] for each in fake.all("invoice")] == [paid]
    row = """
    INSERT INTO gateway_invoices (statement, payable_minor, provider, due_on, asked_by, asked_at, next_at)
    VALUES (%s, %s, 'stripe', now(), 'thief', now(), now())
    """
    for payable in (0, 1):
        with books.connected() as connection, pytest.raises(psycopg.IntegrityError):
            connection.execute(row, (zero, payable))


@pytest.mark.parametrize("item_class", ["commercial", "government", None])
def test_a_government_line_cannot_become_a_step_in_the_database(books: Books, item_class: str | None) -> None:
    [number, _] = books.numbers
    books.ask("stripe", number)
    free = next(line.no for line in books.document(number).lines if line.item_class == "government")
    row = """
    INSERT INTO gateway_steps (statement, no, step, line, item_class, amount_minor, key, next_at)
    VALUES (%s, 1, 'item', %s, %s, 1, 'k', now())
    """
    with books.connected() as connection, pytest.raises(psycopg.IntegrityError):
        connection.execute(row, (number, free, item_class))
    with books.connected() as connection, pytest.raises(psycopg.IntegrityError):  # nor as credit brought forward
        connection.execute(row, (number, 0, None))


# --- whatever dies on the way ---


def anew(fake: Fake) -> None:
    """An empty provider: what it lists is held against its schema, which takes its time."""
    fake.objects.clear()
    fake.lines.clear()
    fake.keys.clear()


def seams(books: Books, fake: Fake, number: str) -> list[str]:
    fuse = Fuse()
    books.ask("stripe", number)
    books.work(fake.gateway(), fuse=fuse)
    same(books, fake, number)
    return fuse.names


@pytest.mark.slow
def test_a_crash_at_any_seam_leaves_one_invoice_that_is_what_the_statement_says(many: Books, fake: Fake) -> None:
    first, *others = many.numbers
    names = seams(many, fake, first)
    for call in ("find_customer", "make_customer", "make_draft", "add_item", "finalize", "retrieve", "send"):
        assert {f"before {call}", f"behind {call}"} <= set(names)
    assert names.count("before a commit") == 17  # to plan, and to start and to end each of eight steps
    assert len(names) <= len(others)
    for place, number in zip(range(1, len(names) + 1), others, strict=False):
        many.ask("stripe", number)
        with pytest.raises(Crash):
            many.work(fake.gateway(), fuse=Fuse(place))
        many.work(fake.gateway(), NOW + PAUSE)
        same(many, fake, number)
        anew(fake)


@pytest.mark.slow
def test_a_process_that_dies_again_and_again_comes_to_the_same_end(many: Books, fake: Fake) -> None:
    for number in many.numbers[:3]:
        many.ask("stripe", number)
    at = NOW
    for place in range(1, 400):
        at += PAUSE
        try:
            many.work(fake.gateway(), at, Fuse(place))
        except Crash:
            continue
        break
    for number in many.numbers[:3]:
        same(many, fake, number)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_at_any_call_leaves_one_invoice(many: Books, fake: Fake, kind: str) -> None:
    first, *others = many.numbers
    seams(many, fake, first)
    calls = len(fake.calls)
    for place, number in zip(range(calls), others, strict=False):
        many.ask("stripe", number)
        fake.fail(kind, skip=place)
        at = NOW
        for _ in range(6):
            many.work(fake.gateway(), at)
            at += PAUSE
        fake.faults.clear()
        same(many, fake, number)
        anew(fake)


def test_a_day_later_nothing_is_made_twice_although_the_provider_forgot_the_keys(many: Books, fake: Fake) -> None:
    for place, path in enumerate(("/v1/customers", "/v1/invoices", "/v1/invoiceitems", "/finalize", "/send")):
        number = many.numbers[place]
        many.ask("stripe", number)
        fake.fail("lost", path, method="POST")
        many.work(fake.gateway())
        fake.forget_keys()
        many.work(fake.gateway(), NOW + DAY)
        same(many, fake, number)


def test_an_invoice_that_was_made_before_a_restore_is_taken_up(books: Books, fake: Fake) -> None:
    number = books.numbers[0]
    books.ask("stripe", number)
    books.work(fake.gateway())
    with books.connected() as connection:
        connection.execute("DELETE FROM gateway_steps")
        connection.execute("DELETE FROM gateway_invoices")
        connection.execute("DELETE FROM gateway_customers")
    fake.forget_keys()
    books.ask("stripe", number, NOW + DAY)
    books.work(fake.gateway(), NOW + DAY)
    same(books, fake, number)
    assert len(fake.all("customer")) == 1


def test_who_waits_does_not_hold_up_the_others(many: Books, fake: Fake) -> None:
    first, second = many.numbers[:2]
    for number in (first, second):
        many.ask("stripe", number)
    fake.fail("500", "/v1/customers", method="POST")
    many.work(fake.gateway())
    many.work(fake.gateway(), NOW + timedelta(milliseconds=1))
    same(many, fake, second)
    assert fake.invoices_of(first) == []


def test_one_process_works_at_a_time(books: Books) -> None:
    with books.connected() as one, books.connected() as another:
        assert (lead(one), lead(another)) == (True, False)
        one.close()
        deadline = time.monotonic() + 60
        while not lead(another):  # the server notices by and by
            assert time.monotonic() < deadline


@pytest.mark.slow
def test_a_crash_at_any_seam_leaves_one_payment_notice_of_the_bank(many: Books) -> None:
    with open_pool(many.node.conninfo) as pool:
        for place, number in enumerate(many.numbers, start=1):
            many.ask("bank", number)
            fuse = Fuse(place)
            try:
                many.work(BankGateway(pool), fuse=fuse)
            except Crash:
                many.work(BankGateway(pool), NOW + PAUSE)
            [notice] = BankGateway(pool).find_invoices(number)
            payable = many.document(number).payable_minor
            assert (notice.status, notice.total_minor, len(notice.lines)) == ("open", payable, 1)
            assert [type(each) for each in many.told(number)] == [InvoiceSent]
            if len(fuse.names) < place:
                break
        else:
            pytest.fail("there are more seams than statements")


# --- what differs stops ---

DIFFERENCES: dict[str, dict[str, Any]] = {
    "amount": {"line": "first", "amount": 11},
    "one line more": {"amount": 3},
    "currency": {"currency": "usd"},
}


@pytest.mark.parametrize("change", DIFFERENCES)
def test_what_differs_stops_the_invoice_until_a_person_has_looked(books: Books, fake: Fake, change: str) -> None:
    number = books.numbers[0]
    [line] = [line for line in books.document(number).lines if line.amount_minor]
    books.ask("stripe", number)
    with pytest.raises(Crash):
        books.work(fake.gateway(), fuse=Fuse(at_name(books, fake, "behind add_item")))
    [draft] = fake.invoices_of(number)
    told = dict(DIFFERENCES[change])
    fake.tamper(draft["id"], line.no if told.pop("line", None) else None, **told)
    books.work(fake.gateway(), NOW + PAUSE)
    assert draft["status"] == "draft"
    [stopped] = books.told(number)
    assert isinstance(stopped, InvoiceStopped)
    assert (stopped.step, books.folded(number).stopped) == ("compare", stopped.reason)
    with books.connected() as connection:
        [going] = invoicing.listed(connection, state="stopped")
        assert (going.statement, going.step, going.error) == (number, "compare", stopped.reason)
        assert books.work(fake.gateway(), NOW + 2 * PAUSE) == 0
        fake.tamper(draft["id"], currency="cny")
        fake.lines[draft["id"]] = fake.lines[draft["id"]][:1]
        fake.tamper(draft["id"], line.no, amount=line.amount_minor)
        assert invoicing.resume(connection, number, at=NOW + 3 * PAUSE)
    books.work(fake.gateway(), NOW + 3 * PAUSE)
    assert (draft["status"], books.folded(number).stopped) == ("open", "")


def at_name(books: Books, fake: Fake, name: str) -> int:
    """The place of a seam on the way of an invoice with one line at a fresh provider."""
    del books, fake
    way = ["a commit"] * 2  # to plan, to start
    way += ["find_customer", "make_customer", "a commit", "a commit"]
    way += ["find_invoices", "make_draft", "a commit", "a commit", "add_item"]
    names = [f"{side} {each}" for each in way for side in ("before", "behind")]
    return names.index(name) + 1


def test_two_invoices_for_one_statement_stop_it(books: Books, fake: Fake) -> None:
    number = books.numbers[0]
    books.ask("stripe", number)
    with pytest.raises(Crash):
        books.work(fake.gateway(), fuse=Fuse(at_name(books, fake, "behind make_draft")))
    fake.duplicate(fake.invoices_of(number)[0]["id"])
    books.work(fake.gateway(), NOW + PAUSE)
    [stopped] = books.told(number)
    assert isinstance(stopped, InvoiceStopped)
    assert [each["status"] for each in fake.invoices_of(number)] == ["draft", "draft"]


def test_a_refusal_stops_it_too(books: Books, fake: Fake) -> None:
    number = books.numbers[0]
    books.ask("stripe", number)
    with pytest.raises(Crash):
        books.work(fake.gateway(), fuse=Fuse(at_name(books, fake, "behind make_draft")))
    del fake.objects[fake.all("customer")[0]["id"]]
    fake.invoices_of(number)[0]["customer"] = "another"
    books.work(fake.gateway(), NOW + PAUSE)
    [stopped] = books.told(number)
    assert (stopped.step, fake.made("/v1/invoices")) == ("item", 1)


def test_an_invoice_that_is_void_is_made_again_only_when_a_person_says_so(books: Books, fake: Fake) -> None:
    number = books.numbers[0]
    books.ask("stripe", number)
    books.work(fake.gateway())
    first = fake.invoices_of(number)[0]["id"]
    asked = Request(statement=number, id=new_id(NOW), reason="客户要求 / the customer asked", by="clerk")
    with books.connected() as connection:
        with pytest.raises(Refused):
            invoicing.again(connection, number, at=NOW)
        assert giving_back.void(connection, books.journal, asked, at=NOW)
        assert not giving_back.void(connection, books.journal, asked, at=NOW)
    books.work(fake.gateway(), NOW + PAUSE)
    assert books.folded(number).voided
    with books.connected() as connection:
        assert invoicing.again(connection, number, at=NOW + PAUSE)
        assert not invoicing.again(connection, number, at=NOW + PAUSE)
    books.work(fake.gateway(), NOW + PAUSE)
    assert [(each["status"], each["number"]) for each in fake.invoices_of(number)] == [
        ("void", number),
        ("open", f"{number}-1"),
    ]
    state = books.folded(number)
    assert (state.voided, state.outstanding_minor, state.invoice != first) == (False, state.total_minor, True)


# --- what finance asks for afterwards ---


def sent(books: Books, fake: Fake, number: str) -> str:
    books.ask("stripe", number)
    books.work(fake.gateway())
    [found] = fake.invoices_of(number)
    return str(found["id"])


def paid(books: Books, fake: Fake, number: str) -> str:
    """The payment."""
    payment = fake.pay(sent(books, fake, number))
    books.sweep(fake.gateway(), NOW)
    books.work(fake.gateway(), NOW)
    return payment


def give(books: Books, act: str, number: str, **wanted: Any) -> bool:
    asked = Request(statement=number, id=new_id(NOW), reason="多收 / too much", by="clerk", **wanted)
    with books.connected() as connection:
        done = {"credit": giving_back.credit, "refund": giving_back.refund, "void": giving_back.void}[act]
        return bool(done(connection, books.journal, asked, at=NOW))


def test_a_credit_takes_off_what_is_owed_and_says_who_and_why(books: Books, fake: Fake) -> None:
    number = books.numbers[0]
    ref = sent(books, fake, number)
    for wrong in (0, -1, 11):
        with pytest.raises(Refused):
            give(books, "credit", number, amount_minor=wrong)
    give(books, "credit", number, amount_minor=4)
    with pytest.raises(Refused):
        give(books, "credit", number, amount_minor=7)  # what is on its way counts
    books.work(fake.gateway())
    note = books.told(number)[-1]
    assert isinstance(note, CreditNoteIssued)
    assert (note.amount_minor, note.reason, note.by) == (4, "多收 / too much", "clerk")
    assert fake.objects[ref]["amount_remaining"] == books.folded(number).outstanding_minor == 6


def test_a_refund_rests_on_a_credit_note_that_is_made_first(books: Books, fake: Fake) -> None:
    number = books.numbers[0]
    payment = paid(books, fake, number)
    for wrong in ({"payment": payment, "amount_minor": 11}, {"payment": "pi_9", "amount_minor": 1}):
        with pytest.raises(Refused):
            give(books, "refund", number, **wrong)
    give(books, "refund", number, payment=payment, amount_minor=4)
    books.work(fake.gateway())
    note, refund = books.told(number)[-2:]
    assert isinstance(note, CreditNoteIssued)
    assert isinstance(refund, RefundMade)
    assert (refund.credit_note, refund.payment, refund.amount_minor) == (note.credit_note, payment, 4)
    state = books.folded(number)
    assert (state.paid_minor, state.refunded_minor, state.credited_minor, state.outstanding_minor) == (10, 4, 4, 0)
    with pytest.raises(Refused):
        give(books, "void", number)


def test_what_was_credited_after_it_was_paid_is_given_back_on_that_note(books: Books, fake: Fake) -> None:
    number = books.numbers[0]
    payment = paid(books, fake, number)
    give(books, "credit", number, amount_minor=4)
    books.work(fake.gateway())
    give(books, "refund", number, payment=payment, amount_minor=3)
    books.work(fake.gateway())
    note, refund = books.told(number)[-2:]
    assert (refund.credit_note, len(fake.all("credit_note"))) == (note.credit_note, 1)
    assert books.folded(number).outstanding_minor == -1


@pytest.mark.slow
@pytest.mark.parametrize("act", ["void", "credit", "refund"])
def test_a_crash_at_any_seam_gives_back_once(many: Books, fake: Fake, act: str) -> None:
    for place in range(1, 60):
        number = many.numbers[place]
        wanted: dict[str, Any] = {} if act == "void" else {"amount_minor": 4}
        if act == "refund":
            wanted["payment"] = paid(many, fake, number)
        else:
            sent(many, fake, number)
        give(many, act, number, **wanted)
        try:
            many.work(fake.gateway(), fuse=Fuse(place))
        except Crash:
            ended = False
        else:
            ended = True
        fake.forget_keys()
        many.sweep(fake.gateway(), NOW + DAY)  # the provider may tell of it before we know
        many.work(fake.gateway(), NOW + DAY)
        given(many, fake, act, number)
        anew(fake)
        if ended:
            break
    else:
        pytest.fail("there are more seams than statements")


def given(books: Books, fake: Fake, act: str, number: str) -> None:
    """Once, at the provider as here, and with who and why."""
    [found] = fake.invoices_of(number)
    told = [type(each) for each in books.told(number)]
    state = books.folded(number)
    if act == "void":
        assert (found["status"], told.count(InvoiceVoided), state.voided) == ("void", 1, True)
        return
    notes = fake.all("credit_note", invoice=found["id"])
    assert [each["amount"] for each in notes] == [4]
    assert (told.count(CreditNoteIssued), told.count(RefundMade)) == (1, int(act == "refund"))
    [note] = [each for each in books.told(number) if isinstance(each, CreditNoteIssued)]
    assert (note.credit_note, note.by) == (notes[0]["id"], "clerk")
    if act == "refund":
        [refund] = fake.all("refund", payment_intent=next(iter(state.payments)))
        assert (refund["amount"], state.refunds) == (4, {refund["id"]: 4})
    assert state.outstanding_minor == found["amount_remaining"]


def test_a_request_that_is_refused_stops_alone(books: Books, fake: Fake) -> None:
    number = books.numbers[0]
    payment = paid(books, fake, number)
    fake.refund_by_hand(payment, 8)
    give(books, "refund", number, payment=payment, amount_minor=4)
    books.work(fake.gateway())
    with books.connected() as connection:
        going, steps = invoicing.one(connection, number)
        assert (going.state, going.step, steps[-1].state) == ("sent", "refund", "stopped")
    assert books.folded(number).stopped == ""


def test_a_month_is_asked_for_in_one_go(many: Books) -> None:
    assert many.ask("stripe").new == 90
    with many.connected() as connection:
        assert len(invoicing.listed(connection, month=MONTH, state="waiting")) == 90
        assert [each.statement for each in invoicing.listed(connection, after=many.numbers[87])] == many.numbers[88:]
