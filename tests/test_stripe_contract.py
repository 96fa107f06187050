"""What the gateway sends fits Stripe's published API and the client library's own types; mistakes are found by both."""

import re
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

import pytest
import stripe

from billing.stripe import API_VERSION
from tests.stripe_fake import Fake, fake  # noqa: F401  a fixture
from tests.stripe_schema import Mistake, described, operation, read_form, unflatten
from tests.stripe_story import every_call

TYPED = {
    "GET /v1/balance_transactions": "BalanceTransactionListParams",
    "GET /v1/credit_notes": "CreditNoteListParams",
    "GET /v1/customers": "CustomerListParams",
    "GET /v1/customers/{customer}": "CustomerRetrieveParams",
    "GET /v1/disputes": "DisputeListParams",
    "GET /v1/events": "EventListParams",
    "GET /v1/invoice_payments": "InvoicePaymentListParams",
    "GET /v1/invoices": "InvoiceListParams",
    "GET /v1/invoices/{invoice}": "InvoiceRetrieveParams",
    "GET /v1/invoices/{invoice}/lines": "InvoiceLineItemListParams",
    "GET /v1/payment_intents/{intent}": "PaymentIntentRetrieveParams",
    "GET /v1/refunds": "RefundListParams",
    "DELETE /v1/invoices/{invoice}": "InvoiceDeleteParams",
    "POST /v1/billing_portal/sessions": "billing_portal.SessionCreateParams",
    "POST /v1/credit_notes": "CreditNoteCreateParams",
    "POST /v1/customers": "CustomerCreateParams",
    "POST /v1/invoiceitems": "InvoiceItemCreateParams",
    "POST /v1/invoices": "InvoiceCreateParams",
    "POST /v1/invoices/{invoice}/finalize": "InvoiceFinalizeInvoiceParams",
    "POST /v1/invoices/{invoice}/send": "InvoiceSendInvoiceParams",
    "POST /v1/invoices/{invoice}/void": "InvoiceVoidInvoiceParams",
    "POST /v1/refunds": "RefundCreateParams",
}


def name_of(method: str, path: str) -> str:
    return f"{method} {operation(method, path)[0]}"


def test_every_call_of_the_gateway_fits_the_published_api(fake: Fake) -> None:  # noqa: F811
    every_call(fake.gateway(), fake)
    assert fake.mistakes == []
    shapes = {(name_of(method, path), tuple(sorted(params))) for method, path, params in fake.sent}
    assert len(shapes) >= 23
    known = {f"{method.upper()} {path}" for path, methods in described()["paths"].items() for method in methods}
    assert {name for name, _ in shapes} == known == set(TYPED)


# --- deliberate mistakes ---

INVOICE: dict[str, Any] = {"customer": "cus_1", "currency": "cny"}
ITEM: dict[str, Any] = {"customer": "cus_1", "invoice": "in_1", "currency": "cny"}
MISTAKES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "half a fen": (lambda api: api.invoice_items.create({**ITEM, "amount": 12.5}), "amount"),
    "a word that is not on the list": (
        lambda api: api.invoices.create({**INVOICE, "collection_method": "by_mail"}),
        "collection_method",
    ),
    "another word that is not on the list": (
        lambda api: api.invoices.create({**INVOICE, "pending_invoice_items_behavior": "leave"}),
        "pending_invoice_items_behavior",
    ),
    "a typo": (lambda api: api.invoices.create({**INVOICE, "auto_advanced": False}), "auto_advanced"),
    "a typo far inside": (
        lambda api: api.invoices.create({**INVOICE, "automatic_tax": {"enable": True}}),
        "automatic_tax",
    ),
    "a day that is not a moment": (lambda api: api.invoices.create({**INVOICE, "due_date": "2026-12-01"}), "due_date"),
    "a number that is too long": (lambda api: api.invoices.create({**INVOICE, "number": "K" * 27}), "too long"),
    "a custom field without a value": (
        lambda api: api.invoices.create({**INVOICE, "custom_fields": [{"name": "账期"}]}),
        "custom_fields",
    ),
    "no invoice": (lambda api: api.credit_notes.create({"amount": 5}), "invoice"),
    "a period without an end": (lambda api: api.invoice_items.create({**ITEM, "period": {"start": 1}}), "end"),
    "a filter that is none": (lambda api: api.invoices.list({"metadata": {"statement_id": "KS"}}), "metadata"),
    "a call that is none": (lambda api: api.quotes.create({"customer": "cus_1"}), "no such call"),
}


class Judge(stripe.HTTPClient):
    """Stands where the network is, and reads what the client library really sends."""

    name = "judge"

    def request(
        self,
        method: str,
        url: str,
        headers: Any,  # noqa: ARG002  as in the class that it extends
        post_data: Any = None,
        **more: Any,  # noqa: ARG002  as in the class that it extends
    ) -> tuple[str, int, Mapping[str, str]]:
        path, _, query = url.removeprefix("http://127.0.0.1").partition("?")
        read_form(method.upper(), path, query if method == "get" else post_data)
        return "{}", 200, {}


@pytest.fixture
def api() -> Any:
    here: Any = dict.fromkeys(("api", "files", "connect", "meter_events"), "http://127.0.0.1")
    return stripe.StripeClient("sk_test_none", base_addresses=here, http_client=Judge()).v1


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_before_stripe_finds_it(api: Any, mistake: str) -> None:
    call, named = MISTAKES[mistake]
    with pytest.raises(Mistake, match=named):
        call(api)


def test_what_is_sound_passes_the_same_judge(api: Any) -> None:
    api.invoice_items.create({**ITEM, "amount": -12, "metadata": {"line": "0"}})
    api.invoices.create({**INVOICE, "collection_method": "send_invoice", "due_date": 1_796_140_799})


def test_a_name_that_is_sent_twice_is_found() -> None:
    with pytest.raises(Mistake, match="twice"):
        unflatten([("a[b]", "1"), ("a[b]", "2")])


# --- the client library's own types: they are of the version that is pinned ---


def params_class(name: str) -> Any:
    found: Any = stripe.params
    for part in name.split("."):
        found = getattr(found, part)
    return found


def misfits(value: Any, hint: Any, at: str) -> list[str]:
    """Where a value does not fit its type. Lists of words do not bind: the library adds `str` to each."""
    origin, inner = get_origin(hint), get_args(hint)
    found: list[str] = []
    if origin in {NotRequired, Required}:
        found = misfits(value, inner[0], at)
    elif origin in {Union, UnionType}:
        tried = [misfits(value, each, at) for each in inner]
        found = min(tried, key=len)
    elif origin is list:
        found = [each for no, item in enumerate(value) for each in misfits(item, inner[0], f"{at}[{no}]")]
    elif origin is dict:
        found = [each for name, item in value.items() for each in misfits(item, inner[1], f"{at}.{name}")]
    elif hasattr(hint, "__required_keys__"):
        found = typed(value, hint, at)
    elif value not in inner if origin is Literal else isinstance(hint, type) and type(value) is not hint:
        found = [f"{at}: {value!r} is not {hint}"]
    return found


def typed(value: Any, shape: Any, at: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at}: {value!r} is not a group of parameters"]
    scope = {"StripeContext": object, "Mapping": Mapping}
    hints = get_type_hints(shape, localns=scope, include_extras=True)
    unknown = [f"{at}: {name} is not known" for name in value.keys() - hints.keys()]
    missing = [f"{at}: {name} is missing" for name in shape.__required_keys__ - value.keys()]
    inside = [
        each for name in value.keys() & hints.keys() for each in misfits(value[name], hints[name], f"{at}.{name}")
    ]
    return unknown + missing + inside


def test_every_call_of_the_gateway_fits_the_types_of_the_client_library(fake: Fake) -> None:  # noqa: F811
    every_call(fake.gateway(), fake)
    calls = [(name_of(method, path), params) for method, path, params in fake.sent]
    assert [wrong for name, params in calls for wrong in typed(params, params_class(TYPED[name]), name)] == []


@pytest.mark.parametrize(
    ("name", "params", "wrong"),
    [
        ("POST /v1/invoices", {"auto_advance": "no"}, "auto_advance"),
        ("POST /v1/invoices", {"automatic_tax": {"enable": True}}, "enable"),
        ("POST /v1/invoiceitems", {"amount": 12.5}, "amount"),
        ("POST /v1/credit_notes", {"amount": 12}, "invoice is missing"),
        ("GET /v1/invoices", {"metadata": {}}, "metadata is not known"),
    ],
)
def test_the_types_of_the_client_library_find_mistakes_too(name: str, params: dict[str, Any], wrong: str) -> None:
    assert re.search(wrong, "; ".join(typed(params, params_class(TYPED[name]), name)))


def test_the_version_that_is_pinned_is_that_of_the_client_library() -> None:
    assert stripe.api_version == API_VERSION
