"""Stripe behind the payment port: invoices are made, finalized and sent there, money comes in there. No rule is here.

One `StripeClient` with its own key; the client's telemetry is off and of this machine nothing is told; it never repeats
a call by itself, because what may be repeated is known to billing/outbox.py alone. The API version is pinned: notices
of another one are refused. Metadata carry ids only. Money is integer minor units (fen); times are UTC.
"""

import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from typing import Any

import msgspec
import stripe
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from billing import stripe_reading as reading
from billing.gateway import (
    Customer,
    Declined,
    Event,
    GatewayError,
    Item,
    Later,
    Order,
    ProviderInvoice,
    ProviderPayment,
    UnknownOutcome,
)
from billing.stripe_index import Index
from billing.stripe_reading import Whose, id_of, named
from domain import period
from domain.errors import Malformed

stripe.enable_telemetry = False  # else it keeps an id in the home directory and reports how long calls took

API_VERSION = "2026-10-28.endive"  # the client library's own; the notices' endpoint is made with the same
TIMEOUT_SECONDS = (5.0, 20.0)  # to connect, to answer
TOLERANCE_SECONDS = 300  # how old a notice may be
PAGE = 100  # the most that a list gives at once
NAME_CHARS_MAX = 256
SAID_CHARS_MAX = 300
ORDER = ("payment", "credit_note", "refund", "reversal")  # of what happened in the same second
BAD_REQUEST, NO_KEY, NO_RIGHT, NOT_FOUND, CONFLICT, SERVER_ERROR = 400, 401, 403, 404, 409, 500
STATEMENT = re.compile(r"KS-([0-9]{4})([0-9]{2})-[0-9]+")
AGAIN = re.compile(r":draft:([1-9][0-9]*)")
SECRET = re.compile(r"\b[rs]k_(test|live)_[\w*]+")

log = logging.getLogger("kouan.stripe")
logging.getLogger("stripe").setLevel(logging.WARNING)  # the library tells each refusal with a part of the key


class BadNotice(Malformed):
    """Forged, too old, of another API version, or none at all."""

    slug = "gateway-notice"
    title = "The notice of the payment provider cannot be taken"


class PlainClient(stripe.RequestsClient):
    """Tells no more of this machine than that it is Kouan."""

    def request(  # type: ignore[override]  # as in the class that it extends
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        kept = {name: value for name, value in (headers or {}).items() if name != "X-Stripe-Client-User-Agent"}
        return super().request(method, url, kept | {"User-Agent": "Kouan"}, post_data)


class StripeGateway:
    """`url`: where a stand-in of Stripe listens; "": Stripe. `email`: where invoices of customers without one go."""

    provider = "stripe"

    def __init__(
        self,
        key: str,
        *,
        webhook_secret: str = "",
        url: str = "",
        email: str = "",
        timeout_seconds: tuple[float, float] = TIMEOUT_SECONDS,
    ) -> None:
        """`timeout_seconds`: to connect, to answer."""
        self._client = stripe.StripeClient(
            key,
            stripe_version=API_VERSION,
            base_addresses={"api": url, "files": url, "connect": url, "meter_events": url} if url else None,
            max_network_retries=0,
            http_client=PlainClient(timeout=timeout_seconds),
        )
        self._api = self._client.v1
        self._secret = webhook_secret
        self._email = email
        self._customers = Index(self._customers_since, lambda each: (named(each, "holder"), named(each, "is_party")))
        self._bills = Index(self._bills_since, lambda each: named(each, "statement_id"))

    # --- customers ---

    def find_customer(self, customer: Customer) -> str | None:
        """The oldest of those that are still there."""
        with meaning():
            return next((each for each in self._customers.find(_whose(customer)) if not self._gone(each)), None)

    def _gone(self, customer: str) -> bool:
        """Whether it was deleted: Stripe shows no more of it than that, for ever."""
        try:
            return bool(getattr(self._api.customers.retrieve(customer), "deleted", False))
        except stripe.InvalidRequestError as error:
            if error.http_status == NOT_FOUND:
                return True
            raise

    def make_customer(self, customer: Customer, *, key: str) -> str:
        holder, is_party = _whose(customer)
        params: stripe.params.CustomerCreateParams = {
            "name": f"{customer.zh} {customer.en}".strip()[:NAME_CHARS_MAX],
            "preferred_locales": ["zh", "en"],
            "metadata": {"holder": holder, "is_party": is_party},
        }
        if email := customer.email or self._email:
            params["email"] = email
        with meaning():
            made = self._api.customers.create(params, {"idempotency_key": key}).id
            while self._gone(made):  # repeated as it was answered once, and deleted since
                key = f"{key}:{made}"
                made = self._api.customers.create(params, {"idempotency_key": key}).id
            return made

    def portal_link(self, customer: str, back: str) -> str:
        """Where the customer sees its invoices and receipts, for a short time. `back`: address it returns to."""
        with meaning():
            return self._api.billing_portal.sessions.create({"customer": customer, "return_url": back}).url

    # --- invoices ---

    def find_invoices(self, statement: str) -> list[ProviderInvoice]:
        """None is older than the statement's month."""
        month = STATEMENT.fullmatch(statement)
        since = _seconds(period.bounds(f"{month[1]}-{month[2]}")[0]) if month else 0
        with meaning():
            found = [self._still(each) for each in self._bills.find(statement, since)]
        return [each for each in found if each is not None]

    def _still(self, invoice: str) -> ProviderInvoice | None:
        """None: it was a draft, and deleted."""
        try:
            return self._whole(self._api.invoices.retrieve(invoice))
        except stripe.InvalidRequestError as error:
            if error.http_status == NOT_FOUND:
                return None
            raise

    def make_draft(self, order: Order, customer: str, *, key: str) -> str:
        """Its number is the statement's; after a void one that of the key's last part: KS-202610-000007-2."""
        again = AGAIN.search(key)
        fields = {
            "对账单 Statement": order.statement,
            "账期 Period": order.period,
            "税号 Tax id": order.customer.tax_id,
        }
        with meaning():
            made = self._api.invoices.create(
                {
                    "customer": customer,
                    "currency": order.currency.lower(),
                    "auto_advance": False,
                    "pending_invoice_items_behavior": "exclude",
                    "collection_method": "send_invoice",
                    "due_date": _end_of(order.due_on),
                    "number": f"{order.statement}-{again[1]}" if again else order.statement,
                    "custom_fields": [{"name": name, "value": value} for name, value in fields.items() if value],
                    "metadata": {"statement_id": order.statement, "statement_sha256": order.sha256},
                },
                {"idempotency_key": key},
            )
        return made.id

    def add_item(self, invoice: str, customer: str, order: Order, item: Item, *, key: str) -> str:
        starts_at, ends_at = period.bounds(order.period)
        with meaning():
            made = self._api.invoice_items.create(
                {
                    "customer": customer,
                    "invoice": invoice,
                    "amount": item.amount_minor,
                    "currency": order.currency.lower(),
                    "description": item.description,
                    "discountable": False,
                    "period": {"start": _seconds(starts_at), "end": _seconds(ends_at) - 1},
                    "metadata": {"line": str(item.line), "item": item.item},
                },
                {"idempotency_key": key},
            )
        return made.id

    def retrieve(self, invoice: str) -> ProviderInvoice:
        with meaning():
            return self._whole(self._api.invoices.retrieve(invoice))

    def finalize(self, invoice: str, *, key: str) -> ProviderInvoice:
        with meaning():
            done = self._api.invoices.finalize_invoice(invoice, {"auto_advance": False}, {"idempotency_key": key})
            return self._whole(done)

    def send(self, invoice: str, *, key: str) -> ProviderInvoice:
        with meaning():
            return self._whole(self._api.invoices.send_invoice(invoice, {}, {"idempotency_key": key}))

    def void(self, invoice: str, *, key: str) -> ProviderInvoice:
        """Of a draft: it is deleted, for Stripe voids final ones only."""
        with meaning():
            found = self._api.invoices.retrieve(invoice)
            if found.status == "draft":
                was = self._whole(found)
                self._api.invoices.delete(invoice)
                return msgspec.structs.replace(was, status="void")
            return self._whole(self._api.invoices.void_invoice(invoice, {}, {"idempotency_key": key}))

    def credit(self, invoice: str, amount_minor: int, reason: str, *, key: str) -> str:
        """What is not owed any more comes off first; the rest was paid, and is given back apart ("out of band")."""
        with meaning():
            open_minor = self._api.invoices.retrieve(invoice).amount_remaining
            params: stripe.params.CreditNoteCreateParams = {
                "invoice": invoice,
                "amount": amount_minor,
                "memo": reason,
                "email_type": "none",
                "metadata": {"key": key},
            }
            if amount_minor > open_minor:
                params["out_of_band_amount"] = amount_minor - open_minor
            return self._api.credit_notes.create(params, {"idempotency_key": key}).id

    def refund(self, payment: str, amount_minor: int, *, credit_note: str, key: str) -> str:
        params: stripe.params.RefundCreateParams = {
            "amount": amount_minor,
            "metadata": {"credit_note": credit_note, "key": key},
        }
        params["payment_intent" if payment.startswith("pi_") else "charge"] = payment
        with meaning():
            return self._api.refunds.create(params, {"idempotency_key": key}).id

    # --- what is there ---

    def payments(self, invoice: str) -> list[ProviderPayment]:
        with meaning():
            bill = self._api.invoices.retrieve(invoice)
            notes = list(self._api.credit_notes.list({"invoice": invoice, "limit": PAGE}).auto_paging_iter())
            rests = {id_of(each.refund): note.id for note in notes for each in note.refunds}
            whose = Whose.of(bill)
            moved = [reading.credit_note(each, whose.statement) for each in notes if each.status == "issued"]
            paid = self._api.invoice_payments.list({"invoice": invoice, "status": "paid", "limit": PAGE})
            for each in paid.auto_paging_iter():
                moved.extend(self._paid(each, bill, rests))
        return sorted(moved, key=lambda each: (each.at, ORDER.index(each.kind), each.ref))

    def _paid(
        self, paid: stripe.InvoicePayment, bill: stripe.Invoice, rests: dict[str, str]
    ) -> Iterator[ProviderPayment]:
        """A payment, and what was taken back of it."""
        ref, whose = reading.payment_of(paid), Whose.of(bill)
        if not ref.startswith("pi_"):  # it came in outside of Stripe, which cannot give it back either
            yield reading.payment(paid, bill, None)
            return
        charged: Any = self._api.payment_intents.retrieve(ref, {"expand": ["latest_charge.balance_transaction"]})
        yield reading.payment(paid, bill, charged.latest_charge and charged.latest_charge.balance_transaction)
        for back in self._api.refunds.list({"payment_intent": ref, "limit": PAGE}).auto_paging_iter():
            yield from reading.refund(back, whose, rests)
        for disputed in self._api.disputes.list({"payment_intent": ref, "limit": PAGE}).auto_paging_iter():
            yield from reading.dispute(disputed, whose)

    def invoices(self, since: datetime, until: datetime) -> Iterator[ProviderInvoice]:
        with meaning():
            listed = self._api.invoices.list({"created": _between(since, until), "limit": PAGE})
            for found in listed.auto_paging_iter():
                yield self._whole(found)

    def _bills_since(self, since: int) -> Iterator[stripe.Invoice]:
        return self._api.invoices.list({"created": {"gte": since}, "limit": PAGE}).auto_paging_iter()

    def _customers_since(self, since: int) -> Iterator[stripe.Customer]:
        return self._api.customers.list({"created": {"gte": since}, "limit": PAGE}).auto_paging_iter()

    def _whole(self, found: stripe.Invoice) -> ProviderInvoice:
        """With all its lines: an answer holds the first of them only."""
        if not found.lines.has_more:
            return reading.invoice(found, found.lines.data)
        lines = self._api.invoices.line_items.list(found.id, {"limit": PAGE})
        return reading.invoice(found, lines.auto_paging_iter())

    def movements(self, since: datetime, until: datetime) -> Iterator[ProviderPayment]:
        """What Stripe booked on the balance, and credit notes; money that came in outside of Stripe is not booked."""
        created = _between(since, until)
        known: dict[str, Whose] = {}
        with meaning():
            notes = self._api.credit_notes.list({"created": created, "expand": ["data.invoice"], "limit": PAGE})
            for note in notes.auto_paging_iter():
                if note.status == "issued":
                    yield reading.credit_note(note, Whose.of(note.invoice).statement)
            listed = self._api.balance_transactions.list({"created": created, "expand": ["data.source"], "limit": PAGE})
            for entry in listed.auto_paging_iter():
                if moved := reading.booked(entry, Whose()):
                    yield self._placed(moved, known)

    def _placed(self, moved: ProviderPayment, known: dict[str, Whose]) -> ProviderPayment:
        """With the invoice that the payment was for. Only invoice payments tell it."""
        ref = moved.of or moved.ref
        if ref not in known and ref.startswith("pi_"):
            payment: Any = {"type": "payment_intent", "payment_intent": ref}
            paid = self._api.invoice_payments.list({"payment": payment, "expand": ["data.invoice"], "limit": 1})
            known[ref] = Whose.of(paid.data[0].invoice) if paid.data else Whose()
        whose = known.get(ref, Whose())
        return msgspec.structs.replace(moved, invoice=whose.invoice, statement=whose.statement)

    # --- notices ---

    def events(self, since: datetime) -> Iterator[Event]:
        """Stripe keeps them for 30 days and lists the newest first: they are all read before the first is given."""
        with meaning():
            listed = self._api.events.list({"created": {"gte": _seconds(since)}, "limit": PAGE})
            found = [reading.event(each) for each in listed.auto_paging_iter()]
        yield from reversed(found)

    def read_event(self, body: bytes, signature: str) -> Event:
        try:
            told = self._client.construct_event(body, signature, self._secret, TOLERANCE_SECONDS)
            event = reading.event(told)
        except (stripe.SignatureVerificationError, ValueError, AttributeError, KeyError, TypeError) as error:
            why = "签名无效、过期或内容不完整 / forged, too old or not whole"
            raise BadNotice(f"支付方通知不予接受：{why}") from error
        if event.api_version != API_VERSION:
            said = event.api_version[:40]
            raise BadNotice(
                f"通知的 API 版本须为 {API_VERSION}，现为 {said!r} / its API version is {said!r}, not {API_VERSION}",
                api_version=said,
            )
        return event


# --- when it goes wrong ---


@contextmanager
def meaning() -> Iterator[None]:
    """Errors of the client library as the port's. Raises UnknownOutcome, Declined, Later."""
    try:
        yield
    except stripe.StripeError as error:
        raise _meaning(error) from error


def _meaning(error: stripe.StripeError) -> GatewayError:
    """`facts.replayed`: a stored answer was repeated, and the same key will have no other for a day."""
    status = error.http_status or 0
    said = SECRET.sub("…", error.user_message or "")[:SAID_CHARS_MAX].replace("\n", " ")
    if status == 0 and _unsent(error):
        return Later(f"支付方无法连接 / Stripe cannot be reached: {said}")
    if status in {NO_KEY, NO_RIGHT}:  # of the node's key, not of what was asked: no invoice has to stop for it
        log.error("Stripe does not take KOUAN_STRIPE_KEY, or it has no right to this (%s): %s", status, said)
        return Later(f"支付方不接受密钥，或其权限不足 / Stripe does not take the key: {said}", status=status)
    if isinstance(error, stripe.RateLimitError) or status == CONFLICT:
        return Later(f"支付方请稍后再试 / Stripe asks to wait: {said}", status=status)
    if BAD_REQUEST <= status < SERVER_ERROR:
        return Declined(f"支付方拒绝 / Stripe refuses: {said}", status=status, code=error.code or "")
    replayed = (error.headers or {}).get("idempotent-replayed") == "true"
    return UnknownOutcome(f"支付方未答复结果 / Stripe gave no answer: {said}", status=status, replayed=replayed)


def _unsent(error: stripe.StripeError) -> bool:
    """No connection came about, so nothing was asked."""
    cause = error.__cause__
    tried = cause.args[0] if cause is not None and cause.args else None
    return isinstance(getattr(tried, "reason", None), NewConnectionError | ConnectTimeoutError)


# --- times ---


def _between(since: datetime, until: datetime) -> Any:
    return {"gte": _seconds(since), "lt": _seconds(until)}


def _seconds(at: datetime) -> int:
    """Since 1970, whole ones upwards: `created` is whole seconds, so the bounds keep their meaning."""
    return math.ceil(at.timestamp())


def _end_of(day: date) -> int:
    """The last second of a day in the period's zone."""
    return _seconds(datetime.combine(day + timedelta(days=1), time(), period.ZONE)) - 1


def _whose(customer: Customer) -> tuple[str, str]:
    return customer.holder, "true" if customer.is_party else "false"
