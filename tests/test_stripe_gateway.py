"""The Stripe adapter against the small Stripe: what is made there, what is read back, and what a failure means."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import stripe

from billing.gateway import Customer, Declined, GatewayError, Later, ProviderPayment, UnknownOutcome
from billing.stripe import API_VERSION, BadNotice, StripeGateway
from tests.stripe_fake import SECRET, Fake, fake  # noqa: F401  a fixture
from tests.stripe_story import CUSTOMER, DECEMBER, NOVEMBER, drafted, order_for, sent

NUMBER = "KS-202610-000007"


@pytest.fixture
def gateway(fake: Fake) -> StripeGateway:  # noqa: F811
    return fake.gateway()


# --- what is made ---


def test_an_invoice_has_the_lines_of_the_order_and_their_sum(gateway: StripeGateway) -> None:
    order = order_for(NUMBER, -14, 100, 20)
    found = gateway.retrieve(sent(gateway, order))
    assert [(line.line, line.amount_minor, line.currency) for line in found.lines] == [
        (0, -14, "CNY"),
        (1, 100, "CNY"),
        (2, 20, "CNY"),
    ]
    assert (found.statement, found.number, found.status, found.currency) == (NUMBER, NUMBER, "open", "CNY")
    assert (found.total_minor, found.paid_minor, found.credited_minor, found.outstanding_minor) == (106, 0, 0, 106)
    assert found.url.startswith("http")


def test_a_line_is_read_back_under_the_id_that_was_given_when_it_was_added(gateway: StripeGateway) -> None:
    order = order_for()
    customer = gateway.make_customer(order.customer, key="c")
    draft = gateway.make_draft(order, customer, key="d")
    added = [gateway.add_item(draft, customer, order, item, key=f"i{item.line}") for item in order.items]
    assert [line.ref for line in gateway.retrieve(draft).lines] == added


def test_all_lines_are_read_however_many_there_are(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    draft = drafted(gateway, order_for(NUMBER, 1, 2))
    for amount in range(3, 124):
        fake.tamper(draft, amount=amount)
    found = gateway.retrieve(draft)
    assert [line.amount_minor for line in found.lines] == list(range(1, 124))
    assert [line.line for line in found.lines[:4]] == [1, 2, None, None]
    assert gateway.find_invoices(NUMBER) == list(gateway.invoices(NOVEMBER, DECEMBER)) == [found]


def test_nothing_is_advanced_charged_or_mixed_in_by_stripe(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    sent(gateway, order_for())
    [draft] = [params for method, path, params in fake.sent if (method, path) == ("POST", "/v1/invoices")]
    assert (draft["auto_advance"], draft["pending_invoice_items_behavior"]) == (False, "exclude")
    assert (draft["collection_method"], draft["currency"]) == ("send_invoice", "cny")
    assert draft["metadata"] == {"statement_id": NUMBER, "statement_sha256": "0f" * 32}
    due = datetime.fromtimestamp(draft["due_date"], UTC)
    assert due == datetime(2026, 12, 2, 15, 59, 59, tzinfo=UTC)  # the end of the day in Shanghai


def test_no_more_leaves_than_codes_names_of_enterprises_and_amounts(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    sent(gateway, order_for())
    [customer] = [params for method, path, params in fake.sent if (method, path) == ("POST", "/v1/customers")]
    assert customer == {
        "name": "外贸企业 Trader",
        "email": "finance@port.example",
        "preferred_locales": ["zh", "en"],
        "metadata": {"holder": CUSTOMER.holder, "is_party": "true"},
    }
    told = set().union(*(each.keys() for each in fake.headers))
    assert not {each for each in told if each.startswith("x-stripe-client")}
    assert {each["user-agent"] for each in fake.headers} == {"Kouan"}
    assert {each["stripe-version"] for each in fake.headers} == {API_VERSION}


def test_the_client_library_keeps_no_id_of_this_machine(
    fake: Fake,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    sent(fake.gateway(), order_for())
    assert list(tmp_path.rglob("*")) == []
    assert not stripe.enable_telemetry


def test_an_address_of_the_customer_goes_before_that_of_the_node(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    made = gateway.make_customer(msgspec.structs.replace(CUSTOMER, email="pay@trader.example"), key="c")
    assert fake.objects[made]["email"] == "pay@trader.example"


def test_without_any_address_stripe_makes_no_invoice_to_send(fake: Fake) -> None:  # noqa: F811
    gateway = StripeGateway("sk_test_fake", url=fake.url)
    with pytest.raises(Declined, match="email"):
        drafted(gateway, order_for())


# --- nothing twice ---


def test_the_same_key_gives_the_same_and_with_other_words_nothing(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    order = order_for()
    customer = gateway.make_customer(CUSTOMER, key="c")
    assert gateway.make_draft(order, customer, key="d") == gateway.make_draft(order, customer, key="d")
    with pytest.raises(Declined, match="same parameters"):
        gateway.make_draft(order_for("KS-202610-000008"), customer, key="d")
    assert len(fake.all("invoice")) == 1


def test_a_day_later_the_number_still_keeps_a_second_invoice_out(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    drafted(gateway, order_for())
    fake.forget_keys()
    with pytest.raises(Declined, match="taken"):
        gateway.make_draft(order_for(), "cus_000001", key=f"kouan:{NUMBER}:draft:0")
    assert len(fake.invoices_of(NUMBER)) == 1


def test_after_a_void_one_an_invoice_has_a_number_of_its_own(gateway: StripeGateway) -> None:
    gateway.void(sent(gateway, order_for()), key="v")
    drafted(gateway, order_for(), again=2)
    found = gateway.find_invoices(NUMBER)
    assert {(each.number, each.status) for each in found} == {(NUMBER, "void"), (f"{NUMBER}-2", "draft")}


def test_a_customer_is_found_by_holder_and_of_two_the_older_one(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    first = fake.gateway().make_customer(CUSTOMER, key="1")
    fake.gateway().make_customer(CUSTOMER, key="2")
    account = msgspec.structs.replace(CUSTOMER, is_party=False)
    assert (gateway.find_customer(CUSTOMER), gateway.find_customer(account)) == (first, None)


def test_a_customer_that_another_process_made_meanwhile_is_found(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    holders = [Customer(holder=f"H{no}", is_party=True, zh="企业", en="Enterprise") for no in range(3)]
    assert gateway.find_customer(holders[0]) is None
    made = {each.holder: fake.gateway().make_customer(each, key=each.holder) for each in holders}
    assert {each.holder: gateway.find_customer(each) for each in holders} == made


def test_an_invoice_is_found_whoever_made_it_and_however_many_there_are(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    for no in range(125, 130):
        assert gateway.find_invoices(f"KS-202610-000{no}") == []
        made = drafted(fake.gateway(), order_for(f"KS-202610-000{no}"))
        assert [each.ref for each in gateway.find_invoices(f"KS-202610-000{no}")] == [made]
    earlier = drafted(fake.gateway(), order_for("KS-202605-000001"))
    assert [each.ref for each in gateway.find_invoices("KS-202605-000001")] == [earlier]
    copied = fake.duplicate(made)
    assert [each.ref for each in gateway.find_invoices("KS-202610-000129")] == [made, copied]


def test_a_look_up_lists_no_more_than_what_is_new(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    for no in range(100, 104):
        fake.at += timedelta(days=1)
        drafted(fake.gateway(), order_for(f"KS-202610-000{no}"))
        gateway.find_invoices(f"KS-202610-000{no}")
    asked = [params for method, path, params in fake.sent if (method, path) == ("GET", "/v1/invoices")]
    assert fake.at - datetime.fromtimestamp(asked[-1]["created"]["gte"], UTC) < timedelta(days=2)


def test_a_deleted_draft_is_not_found_any_more(gateway: StripeGateway) -> None:
    draft = drafted(gateway, order_for())
    assert [each.ref for each in gateway.find_invoices(NUMBER)] == [draft]
    gateway.void(draft, key="v")
    assert gateway.find_invoices(NUMBER) == []


def test_a_draft_that_is_voided_is_gone_and_not_to_be_paid(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    draft = drafted(gateway, order_for())
    assert gateway.void(draft, key="v").status == "void"
    assert fake.all("invoice") == []


# --- money ---


def movements(gateway: StripeGateway) -> list[ProviderPayment]:
    found = gateway.movements(NOVEMBER, DECEMBER)
    return sorted(found, key=lambda each: each.ref)


def short(found: list[ProviderPayment]) -> list[tuple[str, int, str]]:
    return sorted((each.kind, each.amount_minor, each.of) for each in found)


def test_a_payment_has_its_fee_and_its_invoice(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    invoice = sent(gateway, order_for())
    payment = fake.pay(invoice, 100, fee=4)
    [found] = gateway.payments(invoice)
    assert (found.ref, found.kind, found.amount_minor, found.fee_minor) == (payment, "payment", 100, 4)
    assert (found.invoice, found.statement, found.currency) == (invoice, NUMBER, "CNY")
    assert gateway.retrieve(invoice).outstanding_minor == 6


def test_an_attempt_that_brought_nothing_is_no_payment(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    invoice = sent(gateway, order_for())
    fake.fail_payment(invoice)
    assert (gateway.payments(invoice), movements(gateway)) == ([], [])


@pytest.mark.parametrize(("paid", "credited"), [(0, 30), (106, 30), (50, 80), (50, 106)])
def test_a_credit_note_takes_off_what_is_open_first_and_the_sums_hold(
    fake: Fake,  # noqa: F811
    gateway: StripeGateway,
    paid: int,
    credited: int,
) -> None:
    invoice = sent(gateway, order_for())
    if paid:
        fake.pay(invoice, paid)
    gateway.credit(invoice, credited, "计费有误 / wrong price", key="cn")
    found = gateway.retrieve(invoice)
    assert found.credited_minor == credited
    assert found.outstanding_minor == max(0, 106 - paid - credited)
    assert found.total_minor == found.paid_minor + found.credited_minor + found.outstanding_minor


def test_more_than_the_invoice_is_not_credited(gateway: StripeGateway) -> None:
    with pytest.raises(Declined):
        gateway.credit(sent(gateway, order_for()), 107, "x", key="cn")


def test_a_refund_rests_on_its_credit_note(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    invoice = sent(gateway, order_for())
    payment = fake.pay(invoice)
    note = gateway.credit(invoice, 30, "x", key="cn")
    refund = gateway.refund(payment, 30, credit_note=note, key="re")
    fake.refund_by_hand(payment, 6)
    found = [
        (each.ref, each.amount_minor, each.credit_note) for each in gateway.payments(invoice) if each.kind == "refund"
    ]
    assert found == [(refund, 30, note), ("re_000002", 6, "")]
    with pytest.raises(Declined, match="larger"):
        gateway.refund(payment, 71, credit_note=note, key="re2")


def test_what_was_taken_back_and_what_came_back_are_told_apart(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    invoice = sent(gateway, order_for())
    payment = fake.pay(invoice)
    fake.fail_refund(fake.refund_by_hand(payment, 10))
    fake.win(fake.charge_back(payment, 40))
    expected = [
        ("payment", 10, payment),
        ("payment", 40, payment),
        ("payment", 106, ""),
        ("refund", 10, payment),
        ("reversal", 40, payment),
    ]
    assert short(gateway.payments(invoice)) == expected
    assert short(movements(gateway)) == expected


def test_the_balance_tells_the_same_as_the_invoices(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    invoices = [sent(gateway, order_for(f"KS-202610-00000{no}")) for no in range(1, 4)]
    payments = [fake.pay(each, 100) for each in invoices]
    gateway.refund(payments[0], 5, credit_note=gateway.credit(invoices[0], 11, "x", key="cn"), key="re")
    fake.charge_back(payments[1])
    one_by_one = sorted((found for each in invoices for found in gateway.payments(each)), key=lambda each: each.ref)
    forget_seconds = [msgspec.structs.replace(each, at=NOVEMBER) for each in one_by_one]
    assert [msgspec.structs.replace(each, at=NOVEMBER) for each in movements(gateway)] == forget_seconds


def test_money_that_belongs_to_no_invoice_is_told_too(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    stray = fake.stray_payment(77)
    [found] = movements(gateway)
    assert (found.ref, found.amount_minor, found.invoice, found.statement) == (stray, 77, "", "")


def test_a_span_of_time_is_half_open(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    fake.stray_payment(5)
    [found] = movements(gateway)
    sent(gateway, order_for())
    [made] = [each.made_at for each in gateway.find_invoices(NUMBER)]
    assert made is not None
    for at, ask in ((found.at, gateway.movements), (made, gateway.invoices)):
        second = timedelta(seconds=1)
        assert [len(list(ask(*span))) for span in ((at, at + second), (at - second, at))] == [1, 0]


# --- failures ---

FAULTS: dict[str, tuple[type[GatewayError], bool]] = {
    "lost": (UnknownOutcome, True),
    "dropped": (UnknownOutcome, False),
    "409": (Later, False),
    "429": (Later, False),
    "500": (UnknownOutcome, False),
    "500_after": (UnknownOutcome, True),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_failure_tells_whether_it_may_have_happened(fake: Fake, gateway: StripeGateway, kind: str) -> None:  # noqa: F811
    meaning, done = FAULTS[kind]
    fake.fail(kind, "/v1/customers", method="POST")
    with pytest.raises(meaning) as failed:
        gateway.make_customer(CUSTOMER, key="c")
    assert "\n" not in str(failed.value)
    assert (gateway.find_customer(CUSTOMER) is not None) == done


@pytest.mark.parametrize("kind", ["lost", "dropped", "409", "429"])
def test_with_the_same_key_a_repetition_makes_no_second_one(fake: Fake, gateway: StripeGateway, kind: str) -> None:  # noqa: F811
    fake.fail(kind, "/v1/customers", method="POST")
    with pytest.raises(GatewayError):
        gateway.make_customer(CUSTOMER, key="c")
    assert gateway.make_customer(CUSTOMER, key="c") == "cus_000001"
    assert len(fake.all("customer")) == 1


def test_a_stored_failure_is_known_as_a_repetition(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    fake.fail("500", "/v1/customers", method="POST")
    told = []
    for _ in range(2):
        with pytest.raises(UnknownOutcome) as failed:
            gateway.make_customer(CUSTOMER, key="c")
        told.append(failed.value.facts["replayed"])
    assert told == [False, True]
    assert gateway.make_customer(CUSTOMER, key="c:2") == "cus_000001"


def test_the_client_never_repeats_by_itself(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    fake.fail("500", times=9)
    with pytest.raises(UnknownOutcome):
        gateway.make_customer(CUSTOMER, key="c")
    assert len(fake.calls) == 1


def test_where_nobody_listens_nothing_was_asked(fake: Fake) -> None:  # noqa: F811
    with pytest.raises(Later):
        StripeGateway("sk_test_fake", url="http://127.0.0.1:1").retrieve("in_1")
    assert fake.calls == []


@pytest.mark.slow
def test_silence_is_an_unknown_outcome(fake: Fake) -> None:  # noqa: F811
    fake.fail("timeout", "/v1/customers", method="POST")
    with pytest.raises(UnknownOutcome):
        fake.gateway(timeout_seconds=(30, 1)).make_customer(CUSTOMER, key="c")
    assert len(fake.all("customer")) == 1


def test_a_failure_in_the_middle_of_a_list_is_told(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    for _ in range(101):
        fake.stray_payment(5)
    fake.fail("500", "/v1/balance_transactions", skip=1)
    with pytest.raises(UnknownOutcome):
        list(gateway.movements(NOVEMBER, DECEMBER))


@pytest.mark.parametrize("call", ["retrieve", "payments"])
def test_what_stripe_does_not_know_it_declines(gateway: StripeGateway, call: str) -> None:
    with pytest.raises(Declined) as failed:
        getattr(gateway, call)("in_404404")
    assert failed.value.facts == {"status": 404, "code": "resource_missing"}


# --- notices ---


def test_notices_are_listed_the_oldest_first_with_what_they_are_about(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    invoice = sent(gateway, order_for())
    payment = fake.pay(invoice)
    fake.charge_back(payment)
    found = list(gateway.events(NOVEMBER))
    assert [each.event_id for each in found] == [each["id"] for each in fake.events()]
    about = {each.kind: (each.invoice, each.payment) for each in found}
    assert about["invoice.paid"] == (invoice, "")
    assert about["invoice_payment.paid"] == (invoice, payment)
    assert about["charge.succeeded"] == about["charge.dispute.created"] == ("", payment)
    assert about["customer.created"] == ("", "")


def test_a_signed_notice_is_read_and_equals_the_listed_one(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    fake.pay(sent(gateway, order_for()))
    read = [gateway.read_event(*fake.signed(event)) for event in fake.events()]
    assert read == list(gateway.events(NOVEMBER))


def test_a_notice_that_is_not_sound_is_turned_away(fake: Fake, gateway: StripeGateway) -> None:  # noqa: F811
    gateway.make_customer(CUSTOMER, key="c")
    [event] = fake.events()
    body, signature = fake.signed(event)
    now = datetime.now(UTC)
    old, forged, other = (
        fake.signed(event, at=now - timedelta(hours=1)),
        fake.signed(event, secret="whsec_other"),
        fake.signed(event, version="2025-03-31.basil"),
    )
    thin = fake.signed({"object": "v2.core.event", "id": "evt_1"})
    bare = fake.signed({"object": "event", "id": "evt_1"})
    cases = [old, forged, other, thin, bare, (body, ""), (body, "t=,v1="), (body, "t=1,v1=é"), (b"\xff", signature)]
    cases += [(body + b" ", signature), (b"", signature), fake.signed(json.loads('{"object": "event", "data": []}'))]
    for each in cases:
        with pytest.raises(BadNotice):
            gateway.read_event(*each)


def test_without_a_secret_no_notice_is_believed(fake: Fake) -> None:  # noqa: F811
    gateway = StripeGateway("sk_test_fake", url=fake.url)
    text = '{"object": "event"}'
    for secret in ("", SECRET):
        header = stripe.WebhookSignature.generate_signature_header(text, secret)
        with pytest.raises(BadNotice):
            gateway.read_event(text.encode(), header)


# --- pages ---


def test_a_customer_gets_a_link_to_its_own_pages(gateway: StripeGateway) -> None:
    customer = gateway.make_customer(CUSTOMER, key="c")
    assert gateway.portal_link(customer, "https://port.example/").startswith("http")


# --- the real one ---


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("KOUAN_STRIPE_TEST_KEY", "").startswith("sk_test_"),
    reason="KOUAN_STRIPE_TEST_KEY is not set to a key of Stripe's test mode",
)
def test_stripe_itself_in_test_mode() -> None:
    gateway = StripeGateway(os.environ["KOUAN_STRIPE_TEST_KEY"], email="finance@example.com")
    now = datetime.now(UTC)
    order = order_for(f"KS-{now:%Y%m}-{int(now.timestamp())}")
    order = msgspec.structs.replace(order, due_on=(now + timedelta(days=30)).date())
    invoice = sent(gateway, order)
    found = gateway.retrieve(invoice)
    assert (found.status, found.total_minor, found.statement) == ("open", order.total_minor, order.statement)
    assert [each.ref for each in gateway.find_invoices(order.statement)] == [invoice]
    gateway.credit(invoice, 6, "test", key=f"{invoice}:credit")
    assert gateway.void(invoice, key=f"{invoice}:void").status == "void"
