"""The payment port: what Kouan asks of whoever collects the money, and what it is shown of it.

Two adapters of equal rank stand behind it: billing/stripe.py and billing/bank.py. An adapter holds no rule; which step
comes next, and what happens when a step's outcome is not known, is billing/outbox.py. Each writing step carries a key
that is derived from the statement and the step, never random. Money is integer minor units (fen); times are UTC.
"""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Literal, Protocol

import msgspec

from domain.errors import KouanError

LINES_MAX = 250  # of an invoice at a provider
TEXT_CHARS_MAX = 500  # of a line's description

Status = Literal["draft", "open", "paid", "void", "uncollectible"]


# --- what goes out ---


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays. Codes only: no person's data leaves."""

    holder: str
    is_party: bool
    zh: str
    en: str
    tax_id: str = ""
    email: str = ""  # where the provider sends the invoice, if it does


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the invoice: one integer amount, never quantity times price. Below zero: a credit."""

    line: int  # of the statement; 0: credit brought forward; of a roll-up the first of its lines
    item: str  # service item; always a commercial one
    description: str  # both languages, TEXT_CHARS_MAX at most
    amount_minor: int


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The invoice that a statement asks for. total = sum of items = what the statement has to be paid."""

    statement: str
    sha256: str  # of the statement
    period: str
    currency: str
    total_minor: int
    items: tuple[Item, ...]
    due_on: date
    customer: Customer


# --- what comes back ---


class ProviderLine(msgspec.Struct, frozen=True, kw_only=True):
    ref: str
    line: int | None  # None: it names no line of ours
    amount_minor: int
    currency: str


class ProviderInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice as the provider holds it now. total = paid + credited + outstanding."""

    ref: str
    statement: str  # that it names; "": none
    number: str = ""
    status: Status
    currency: str
    total_minor: int
    paid_minor: int = 0
    credited_minor: int = 0
    outstanding_minor: int = 0
    lines: tuple[ProviderLine, ...] = ()
    url: str = ""
    customer: str = ""
    made_at: datetime | None = None


class ProviderPayment(msgspec.Struct, frozen=True, kw_only=True):
    """Money that moved, or a credit note. `invoice`: the provider's id; "": none that the provider knows of."""

    ref: str
    kind: Literal["payment", "reversal", "refund", "credit_note"]
    invoice: str
    statement: str = ""  # that its invoice names
    amount_minor: int  # above zero
    fee_minor: int = 0  # gross - fee = net
    currency: str
    at: datetime
    of: str = ""  # of a refund or a reversal, the payment
    credit_note: str = ""  # of a refund, the credit note on which it rests
    key: str = ""  # of the step that made it; "": none of ours did


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A notice by the provider: a hint that the named object is to be fetched. Its order means nothing."""

    event_id: str
    kind: str
    invoice: str = ""  # the provider's id, if it is about one
    payment: str = ""
    made_at: datetime
    api_version: str = ""


# --- when it goes wrong ---


class GatewayError(KouanError):
    """Root of the three below; never raised itself."""

    slug = "gateway"
    title = "The payment provider"


class UnknownOutcome(GatewayError):
    """No answer, or an answer that tells nothing (time-out, 5xx): it may have happened. Look before doing it again."""

    slug = "gateway-unknown"
    title = "The payment provider did not say what became of it"


class Declined(GatewayError):
    """The provider refuses: repeating it unchanged is useless."""

    slug = "gateway-declined"
    title = "The payment provider refuses"


class Later(GatewayError):
    """Too many requests, a key that is not taken, or nobody there to ask: nothing happened, try later."""

    slug = "gateway-later"
    title = "The payment provider asks to wait"


# --- the port ---


class Gateway(Protocol):
    """What an adapter can do. Every method may raise UnknownOutcome, Declined or Later."""

    provider: str  # of domain/invoice.PROVIDERS

    def find_customer(self, customer: Customer) -> str | None:
        """The provider's id of a customer that was made for this holder before and is not deleted."""

    def make_customer(self, customer: Customer, *, key: str) -> str:
        """Its id; never that of one that is deleted, whatever was made under the key before."""

    def find_invoices(self, statement: str) -> list[ProviderInvoice]:
        """Every invoice that names this statement, void ones too; read through, not from an index that lags."""

    def make_draft(self, order: Order, customer: str, *, key: str) -> str:
        """An empty draft that is not advanced by itself; its id."""

    def add_item(self, invoice: str, customer: str, order: Order, item: Item, *, key: str) -> str:
        """The id of the line."""

    def retrieve(self, invoice: str) -> ProviderInvoice:
        """It with all its lines."""

    def finalize(self, invoice: str, *, key: str) -> ProviderInvoice:
        """From now on it cannot be changed."""

    def send(self, invoice: str, *, key: str) -> ProviderInvoice:
        """To the customer."""

    def void(self, invoice: str, *, key: str) -> ProviderInvoice:
        """It is not to be paid."""

    def credit(self, invoice: str, amount_minor: int, reason: str, *, key: str) -> str:
        """So much of it is not owed; what was paid already is to be refunded apart. The id of the credit note."""

    def refund(self, payment: str, amount_minor: int, *, credit_note: str, key: str) -> str:
        """Give back so much of a payment. The id of the refund."""

    def payments(self, invoice: str) -> list[ProviderPayment]:
        """All money that moved on an invoice, credit notes too, the oldest first."""

    def invoices(self, since: datetime, until: datetime) -> Iterator[ProviderInvoice]:
        """Every invoice that was made from `since` to before `until`."""

    def movements(self, since: datetime, until: datetime) -> Iterator[ProviderPayment]:
        """All money that moved and every credit note in [since, until), also what belongs to no invoice."""

    def events(self, since: datetime) -> Iterator[Event]:
        """What it notified of since then, the oldest first, for the sweep."""

    def read_event(self, body: bytes, signature: str) -> Event:
        """A notice as it came in. Raises Malformed for one that is forged, too old or of another version."""
