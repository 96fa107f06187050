"""The inbox: whatever comes twice, late, in disorder or not at all, the journal ends with what the provider holds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random
from typing import Any

import msgspec
import pytest
import stripe

from billing import inbox
from billing.gateway import Customer
from billing.stripe_reading import event as read_event
from domain.invoice import Invoice, InvoiceVoided, PaymentFailed, PaymentReceived, RefundMade
from tests.fixtures_node import Node
from tests.gateway_world import NOW, PAUSE, Books, Crash, Fuse
from tests.stripe_fake import EMAIL, KEY, SECRET, Fake, fake
from tests.test_outbox import holders

__all__ = ["fake"]
DAYS = timedelta(days=1)
COUNT = 40


@pytest.fixture
def books(database: str) -> Iterator[Books]:
    made = Books(database, holders(COUNT))
    yield made
    made.close()


def sent(books: Books, fake: Fake, count: int = 1) -> list[tuple[str, str]]:
    """(statement, the provider's invoice) of so many."""
    for number in books.numbers[:count]:
        books.ask("stripe", number)
    books.work(fake.gateway())
    return [(number, str(fake.invoices_of(number)[0]["id"])) for number in books.numbers[:count]]


def hear(books: Books, events: list[dict[str, Any]], at: datetime = NOW) -> None:
    """Notices come in."""
    with books.connected() as connection:
        for each in events:
            told = read_event(stripe.Event.construct_from(each, KEY))
            inbox.take(connection, "stripe", told, msgspec.json.encode(each), "signed", at=at)


def news(fake: Fake, since: int) -> list[dict[str, Any]]:
    return fake.events()[since:]


def same(books: Books, fake: Fake, number: str, ref: str) -> Invoice:
    """The journal knows each movement once, and the sums are the provider's."""
    state = books.folded(number)
    found = fake.gateway().payments(ref)
    received = {each.ref: each.amount_minor for each in found if each.kind == "payment"}
    for each in found:
        if each.kind == "reversal":
            received[each.of] -= each.amount_minor
    assert state.payments == received
    assert state.refunds == {each.ref: each.amount_minor for each in found if each.kind == "refund"}
    assert state.credit_notes == {each.ref: each.amount_minor for each in found if each.kind == "credit_note"}
    total = state.paid_minor - state.refunded_minor + state.credited_minor + state.outstanding_minor
    assert total == state.total_minor or state.voided
    return state


# --- what comes in ---


def test_a_payment_is_told_with_its_fee_once(books: Books, fake: Fake) -> None:
    [(number, ref)] = sent(books, fake)
    before = len(fake.events())
    payment = fake.pay(ref, fee=3)
    told = news(fake, before)
    hear(books, told)
    hear(books, told)
    books.work(fake.gateway())
    assert books.rows("SELECT count(*) FROM gateway_inbox") == [(len(told),)]
    hear(books, told, NOW + PAUSE)
    books.work(fake.gateway(), NOW + PAUSE)
    [fact] = [each for each in books.told(number) if isinstance(each, PaymentReceived)]
    assert (fact.payment, fact.amount_minor, fact.fee_minor, fact.currency) == (payment, 10, 3, "CNY")
    assert same(books, fake, number, ref).outstanding_minor == 0


def story(fake: Fake, ref: str) -> None:
    """All that can happen to an invoice of ten."""
    first = fake.pay(ref, 4)
    second = fake.pay(ref, 3)
    fake.refund_by_hand(first, 1)
    back = fake.refund_by_hand(first, 2)
    fake.fail_refund(back)
    fake.win(fake.charge_back(second))
    fake.charge_back(second, 2)
    fake.pay(ref)


def test_the_order_of_notices_means_nothing(books: Books, fake: Fake) -> None:
    pairs = sent(books, fake, 2)
    before = len(fake.events())
    for _, ref in pairs:
        story(fake, ref)
    told = news(fake, before) * 3
    Random(7).shuffle(told)
    for start in range(0, len(told), 40):
        hear(books, told[start : start + 40])
        books.work(fake.gateway(), NOW + timedelta(seconds=start))
    for turn in range(1, 8):
        books.work(fake.gateway(), NOW + turn * PAUSE)
    assert books.rows("SELECT DISTINCT state FROM gateway_inbox") == [("done",)]
    for number, ref in pairs:
        state = same(books, fake, number, ref)
        assert (state.paid_minor, state.refunded_minor, state.outstanding_minor) == (state.total_minor, 3, 3)


def test_each_order_of_a_payment_and_its_end_comes_to_the_same(books: Books, fake: Fake) -> None:
    orders = list(permutations(range(3)))
    for order, (number, ref) in zip(orders, sent(books, fake, len(orders)), strict=True):
        before = len(fake.events())
        fake.refund_by_hand(fake.pay(ref), 2)
        told = news(fake, before)
        told = [told[0], told[-1], told[1]]
        for place in order:
            hear(books, [told[place]])
            books.work(fake.gateway())
        books.work(fake.gateway(), NOW + PAUSE)
        state = same(books, fake, number, ref)
        assert (state.paid_minor, state.refunded_minor) == (state.total_minor, 2)


def test_what_was_withheld_for_three_days_is_found_by_the_sweep_and_then_changes_nothing(
    books: Books, fake: Fake
) -> None:
    pairs = sent(books, fake)
    books.sweep(fake.gateway(), NOW)
    before = len(fake.events())
    for _, ref in pairs:
        story(fake, ref)
    withheld = news(fake, before)
    swept = books.sweep(fake.gateway(), NOW + DAYS)
    assert swept.events >= len(pairs)
    books.work(fake.gateway(), NOW + DAYS)
    facts = {number: len(books.told(number)) for number, _ in pairs}
    for number, ref in pairs:
        same(books, fake, number, ref)
    hear(books, withheld, NOW + 3 * DAYS)
    books.work(fake.gateway(), NOW + 3 * DAYS)
    books.sweep(fake.gateway(), NOW + 4 * DAYS)
    books.work(fake.gateway(), NOW + 4 * DAYS)
    assert facts == {number: len(books.told(number)) for number, _ in pairs}


def test_movements_are_found_although_the_provider_has_forgotten_its_notices(books: Books, fake: Fake) -> None:
    [(number, ref)] = sent(books, fake)
    story(fake, ref)
    for each in fake.events():
        del fake.objects[each["id"]]
    swept = books.sweep(fake.gateway(), NOW + 40 * DAYS, NOW - 2 * DAYS)
    assert (swept.events, swept.movements > 0) == (0, True)
    books.work(fake.gateway(), NOW + 40 * DAYS)
    same(books, fake, number, ref)
    assert books.sweep(fake.gateway(), NOW + 41 * DAYS, NOW - 2 * DAYS).movements == 0


# --- whatever dies on the way ---


@pytest.mark.slow
def test_a_crash_at_any_seam_loses_no_payment_and_tells_none_twice(books: Books, fake: Fake) -> None:
    pairs = sent(books, fake, COUNT)
    books.sweep(fake.gateway(), NOW)
    books.work(fake.gateway(), NOW)
    at, names = NOW, []
    for place, (number, ref) in enumerate(pairs, start=1):
        before = len(fake.events())
        fake.refund_by_hand(fake.pay(ref), 1)
        at += PAUSE
        hear(books, news(fake, before)[:1], at)
        fuse = Fuse(place)
        try:
            books.work(fake.gateway(), at, fuse)
        except Crash:
            at += PAUSE
            books.work(fake.gateway(), at)
        state = same(books, fake, number, ref)
        assert (state.paid_minor, state.refunded_minor) == (state.total_minor, 1)
        names = fuse.names
        if len(names) < place:
            break
    else:
        pytest.fail("there are more seams than invoices")
    assert names == [
        *("before a commit", "behind a commit", "before retrieve", "behind retrieve"),
        *("before payments", "behind payments", "before a commit", "behind a commit"),
    ]


@pytest.mark.slow
def test_a_crash_at_any_seam_of_the_sweep_loses_nothing(books: Books, fake: Fake) -> None:
    at = NOW
    books.sweep(fake.gateway(), at)
    for place, (number, ref) in enumerate(sent(books, fake, 12), start=1):
        fake.pay(ref)
        at += PAUSE
        fuse = Fuse(place)
        try:
            books.sweep(fake.gateway(), at, fuse=fuse)
        except Crash:
            books.sweep(fake.gateway(), at + PAUSE)
        else:
            assert len(fuse.names) < place
        at += 2 * PAUSE
        books.work(fake.gateway(), at)
        assert same(books, fake, number, ref).outstanding_minor == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dropped", "429", "409", "500"])
def test_a_fault_at_any_call_of_the_inbox_is_tried_again(books: Books, fake: Fake, kind: str) -> None:
    pairs = sent(books, fake, 12)
    at = NOW + PAUSE
    for place, (number, ref) in enumerate(pairs):
        before = len(fake.events())
        fake.pay(ref)
        hear(books, news(fake, before)[:1], at)
        fake.fail(kind, skip=place)
        for _ in range(3):
            books.work(fake.gateway(), at)
            at += PAUSE
        fake.faults.clear()
        assert same(books, fake, number, ref).outstanding_minor == 0


# --- other news ---


def test_an_attempt_that_failed_is_told_and_counts_for_nothing(books: Books, fake: Fake) -> None:
    [(number, ref)] = sent(books, fake)
    before = len(fake.events())
    fake.fail_payment(ref)
    hear(books, news(fake, before) * 2)
    books.work(fake.gateway())
    assert [type(each) for each in books.told(number)].count(PaymentFailed) == 1
    assert same(books, fake, number, ref).outstanding_minor == 10


@pytest.mark.parametrize("status", ["void", "uncollectible"])
def test_what_is_given_up_at_the_provider_is_told(books: Books, fake: Fake, status: str) -> None:
    [(number, ref)] = sent(books, fake)
    before = len(fake.events())
    fake.tamper(ref, status=status)
    hear(books, news(fake, before) * 2)
    books.work(fake.gateway())
    [told] = [each for each in books.told(number) if isinstance(each, InvoiceVoided)]
    assert (told.status, same(books, fake, number, ref).outstanding_minor) == (status, 0)
    assert books.rows("SELECT state FROM gateway_invoices") == [("voided",)]


def test_a_refund_by_hand_names_no_credit_note(books: Books, fake: Fake) -> None:
    [(number, ref)] = sent(books, fake)
    fake.refund_by_hand(fake.pay(ref), 4)
    books.sweep(fake.gateway(), NOW + DAYS)
    books.work(fake.gateway(), NOW + DAYS)
    [told] = [each for each in books.told(number) if isinstance(each, RefundMade)]
    assert (told.credit_note, told.amount_minor) == ("", 4)
    assert same(books, fake, number, ref).outstanding_minor == 4


def test_news_of_an_invoice_that_is_none_of_ours_changes_nothing(books: Books, fake: Fake) -> None:
    [(number, ref)] = sent(books, fake)
    other = fake.duplicate(ref)
    strange = fake.duplicate(ref)
    fake.objects[strange]["metadata"] = {}
    fake.stray_payment(500)
    before = len(fake.events())
    fake.pay(strange)
    fake.pay(other)
    hear(books, news(fake, before))
    books.sweep(fake.gateway(), NOW + DAYS)
    books.work(fake.gateway(), NOW + DAYS)
    assert len(books.told(number)) == 1
    states = dict(books.rows("SELECT invoice, max(state) FROM gateway_inbox WHERE invoice <> '' GROUP BY invoice"))
    assert (states[strange], states[other]) == ("done", "stopped")  # a person looks at the second invoice


# --- by HTTP ---


@pytest.fixture
def listening(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, fake: Fake) -> Node:
    """A node that takes notices."""
    monkeypatch.setenv("KOUAN_GATEWAY", "stripe")
    monkeypatch.setenv("KOUAN_STRIPE_KEY", KEY)
    monkeypatch.setenv("KOUAN_STRIPE_URL", fake.url)
    monkeypatch.setenv("KOUAN_STRIPE_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("KOUAN_STRIPE_EMAIL", EMAIL)
    found: Node = request.getfixturevalue("node")
    monkeypatch.setenv("KOUAN_DATABASE_URL", found.conninfo)
    return found


def post(node: Node, body: bytes, signature: str) -> Any:
    return node.client.post("/v1/gateway/stripe/events", content=body, headers={"Stripe-Signature": signature})


def an_event(fake: Fake) -> dict[str, Any]:
    fake.gateway().make_customer(Customer(holder="a", is_party=False, zh="甲", en="A"), key="k")
    return fake.events()[-1]


def test_a_notice_is_durable_when_it_is_answered_and_kept_once(listening: Node, fake: Fake) -> None:
    body, signature = fake.signed(an_event(fake))
    answers = [post(listening, body, signature) for _ in range(2)]
    assert [(each.status_code, each.json()["new"]) for each in answers] == [(200, True), (200, False)]
    assert listening.rows("SELECT body, signature, state FROM gateway_inbox") == [(body, signature, "waiting")]


def test_what_is_forged_too_old_or_of_another_version_is_turned_away(listening: Node, fake: Fake) -> None:
    event = an_event(fake)
    body, signature = fake.signed(event)
    wrong = [
        (body, ""),
        (body, "t=1,v1=00"),
        (body + b" ", signature),
        fake.signed(event, secret="whsec_another"),
        fake.signed(event, at=datetime.now(UTC) - timedelta(seconds=3600)),
        fake.signed(event, version="2020-08-27"),
        (b"", signature),
        (b"\x00{", signature),
    ]
    for told in wrong:
        answer = post(listening, *told)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/gateway-notice"), told
    assert listening.rows("SELECT count(*) FROM gateway_inbox") == [(0,)]


def test_a_node_without_a_secret_takes_no_notices(node: Node, fake: Fake) -> None:
    assert post(node, *fake.signed(an_event(fake))).status_code == 404
