"""The invoice of a statement at a payment provider, and what was paid, credited and given back on it.

Stream: `invoice:STATEMENT` in the commerce journal. A statement with nothing to pay has none. Providers are of equal
rank: `stripe`, `bank`. A payment that was received is not final: it can be reversed, and each step is a fact of its
own. Ids of providers are kept as they gave them. Money is integer minor units (fen); times are UTC.
"""

from datetime import date, datetime

import msgspec

from domain import fact
from domain.fact import Fact

PROVIDERS: dict[str, tuple[str, str]] = {
    "stripe": ("Stripe", "Stripe"),
    "bank": ("对公转账", "bank transfer"),
}


# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class InvoiceFact(Fact, frozen=True, kw_only=True):
    """What every fact about an invoice says."""

    statement: str  # number
    provider: str  # of PROVIDERS


class InvoiceSent(InvoiceFact, frozen=True, kw_only=True, tag="invoice.sent"):
    """It was compared with the statement, made final and sent."""

    invoice: str  # the provider's id
    number: str = ""  # as the provider shows it
    url: str = ""  # where it can be paid
    total_minor: int
    currency: str
    due_on: date | None = None


class InvoiceStopped(InvoiceFact, frozen=True, kw_only=True, tag="invoice.stopped"):
    """What the provider holds differs from the statement, or it refused a step: a person must look."""

    step: str
    reason: str
    ours_minor: int | None = None
    theirs_minor: int | None = None


class InvoiceVoided(InvoiceFact, frozen=True, kw_only=True, tag="invoice.voided"):
    """It is not to be paid any more, by the provider's word."""

    invoice: str
    status: str = "void"  # void, uncollectible


class PaymentReceived(InvoiceFact, frozen=True, kw_only=True, tag="payment.received"):
    payment: str  # the provider's id
    amount_minor: int
    currency: str
    fee_minor: int = 0  # what the provider kept of it
    by: str = ""  # who matched it by hand; "": nobody, it named its invoice
    reason: str = ""  # why, where it was matched by hand
    of: str = ""  # of money that came back (a refund that failed, a dispute won): the payment it belongs to


class PaymentFailed(InvoiceFact, frozen=True, kw_only=True, tag="payment.failed"):
    """An attempt that brought nothing."""

    payment: str
    reason: str = ""


class PaymentReversed(InvoiceFact, frozen=True, kw_only=True, tag="payment.reversed"):
    """What was received was taken back: a charge-back, a bank recall, a match undone."""

    payment: str
    amount_minor: int  # above zero
    reason: str = ""


class CreditNoteIssued(InvoiceFact, frozen=True, kw_only=True, tag="credit_note.issued"):
    """Of what was invoiced so much is not owed."""

    credit_note: str  # the provider's id
    amount_minor: int  # above zero
    reason: str
    by: str = ""


class RefundMade(InvoiceFact, frozen=True, kw_only=True, tag="refund.made"):
    """Money that was paid went back."""

    refund: str  # the provider's id
    payment: str
    amount_minor: int  # above zero
    credit_note: str = ""  # on which it rests
    reason: str = ""


# --- state ---


class Invoice(msgspec.Struct, frozen=True):
    """What a statement's payable amount has come to."""

    statement: str
    provider: str = ""
    invoice: str = ""
    total_minor: int = 0
    sent_at: datetime | None = None
    due_on: date | None = None
    url: str = ""  # where it can be paid
    payments: dict[str, int] = {}  # id -> amount, less what was reversed
    credit_notes: dict[str, int] = {}
    refunds: dict[str, int] = {}
    voided: bool = False
    stopped: str = ""  # reason

    @property
    def paid_minor(self) -> int:
        return sum(self.payments.values())

    @property
    def credited_minor(self) -> int:
        return sum(self.credit_notes.values())

    @property
    def refunded_minor(self) -> int:
        return sum(self.refunds.values())

    @property
    def outstanding_minor(self) -> int:
        """Total = paid - refunded + credited + outstanding; below zero: too much was paid."""
        if self.voided:
            return 0
        return self.total_minor - self.credited_minor - self.paid_minor + self.refunded_minor


def stream(statement: str) -> str:
    return f"invoice:{statement}"


def evolve(invoice: Invoice, happened: Fact) -> Invoice:
    """The invoice after one more fact. Never fails."""
    replace = msgspec.structs.replace
    match happened:
        case InvoiceSent(provider=provider, invoice=ref, total_minor=total, happened_at=at):
            sent = replace(invoice, provider=provider, invoice=ref, total_minor=total, sent_at=at)
            return replace(sent, due_on=happened.due_on, url=happened.url, stopped="", voided=False)
        case InvoiceStopped(provider=provider, reason=reason):
            return replace(invoice, provider=provider, stopped=reason)
        case InvoiceVoided():
            return replace(invoice, voided=True)
        case _:
            return replace(invoice, **_moneys(invoice, happened))


def _moneys(invoice: Invoice, happened: Fact) -> dict[str, dict[str, int]]:
    """What changes of the three lists of money."""
    paid, credited, refunded = invoice.payments, invoice.credit_notes, invoice.refunds
    match happened:
        case PaymentReceived(payment=ref, amount_minor=amount):
            return {"payments": {**paid, ref: amount}}
        case PaymentReversed(payment=ref, amount_minor=amount):
            return {"payments": {**paid, ref: paid.get(ref, 0) - amount}}
        case CreditNoteIssued(credit_note=ref, amount_minor=amount):
            return {"credit_notes": {**credited, ref: amount}}
        case RefundMade(refund=ref, amount_minor=amount):
            return {"refunds": {**refunded, ref: amount}}
        case PaymentFailed():
            return {}
        case _:
            raise AssertionError(happened)


FACTS: tuple[type[Fact], ...] = tuple(InvoiceFact.__subclasses__())
fact.register(*FACTS)
