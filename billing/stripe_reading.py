"""What Stripe answers, in the words of the payment port. Pure: it reads answers, and asks nothing.

A payment is known by its payment intent, or by its charge where it has none: refunds and disputes name the same. Times
come as seconds since 1970, currencies in lower case. Amounts are in the currency of the invoice; what Stripe settles in
another one bears no fee here. An invoice's `paid_minor` is what it still counts as paid: less what credit notes took
off after payment, so that total = paid + credited + outstanding.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from billing.gateway import Event, ProviderInvoice, ProviderLine, ProviderPayment

PAYMENT_KINDS = ("payment_intent", "charge", "payment_record")
PAYMENT_OBJECTS = frozenset({"charge", "payment_intent", "refund", "dispute"})


def invoice(found: Any, lines: Iterable[Any]) -> ProviderInvoice:
    """An invoice and all its lines."""
    credited = found.pre_payment_credit_notes_amount + found.post_payment_credit_notes_amount
    return ProviderInvoice(
        ref=found.id,
        statement=named(found, "statement_id"),
        number=found.number or "",
        status=found.status,
        currency=found.currency.upper(),
        total_minor=found.total,
        paid_minor=found.amount_paid - found.post_payment_credit_notes_amount,
        credited_minor=credited,
        outstanding_minor=found.amount_remaining,
        lines=tuple(_line(each) for each in lines),
        url=found.hosted_invoice_url or "",
        customer=id_of(found.customer),
        made_at=moment(found.created),
    )


def _line(found: Any) -> ProviderLine:
    """Its id is that of the invoice item it came from, as who added it was told."""
    parent = found.parent
    item = parent.invoice_item_details if parent is not None else None
    line = named(found, "line")
    return ProviderLine(
        ref=item.invoice_item if item is not None else found.id,
        line=int(line) if line.isascii() and line.isdigit() else None,
        amount_minor=found.amount,
        currency=found.currency.upper(),
    )


def payment(paid: Any, bill: Any, fee: Any | None) -> ProviderPayment:
    """Money that settled a part of an invoice. `fee`: balance transaction of its charge."""
    return ProviderPayment(
        ref=payment_of(paid),
        kind="payment",
        invoice=id_of(paid.invoice),
        statement=named(bill, "statement_id"),
        amount_minor=paid.amount_paid or 0,
        fee_minor=_fee(fee, paid.currency),
        currency=paid.currency.upper(),
        at=moment(paid.status_transitions.paid_at or paid.created),
    )


def payment_of(paid: Any) -> str:
    """What an invoice payment consists of; of one that came in outside of Stripe its own id."""
    ids = (id_of(paid.payment[kind]) for kind in PAYMENT_KINDS if kind in paid.payment)
    return next((each for each in ids if each), str(paid.id))


def credit_note(found: Any, statement: str) -> ProviderPayment:
    return ProviderPayment(
        ref=found.id,
        kind="credit_note",
        invoice=id_of(found.invoice),
        statement=statement,
        amount_minor=found.total,
        currency=found.currency.upper(),
        at=moment(found.created),
        key=named(found, "key"),
    )


class Whose:
    """The invoice that a payment is for, and its statement; "": none."""

    def __init__(self, invoice: str = "", statement: str = "") -> None:
        self.invoice = invoice
        self.statement = statement

    @classmethod
    def of(cls, bill: Any) -> "Whose":
        return cls(bill.id, named(bill, "statement_id"))

    def moved(self, ref: str, kind: Any, found: Any, at: int, **more: Any) -> ProviderPayment:
        return ProviderPayment(
            ref=ref,
            kind=kind,
            invoice=self.invoice,
            statement=self.statement,
            amount_minor=abs(found.amount),
            currency=found.currency.upper(),
            at=moment(at),
            **more,
        )


def refund(found: Any, whose: Whose, notes: Mapping[str, str]) -> Iterator[ProviderPayment]:
    """A refund, and its coming back where it failed. `notes`: refund -> credit note that names it."""
    failed = id_of(getattr(found, "failure_balance_transaction", None))  # left out where it did not fail
    if found.status in {"failed", "canceled"} and not failed:
        return
    of, on = source_of(found), named(found, "credit_note") or notes.get(found.id, "")
    yield whose.moved(found.id, "refund", found, found.created, of=of, credit_note=on, key=named(found, "key"))
    if failed:
        yield whose.moved(failed, "payment", found, found.created, of=of)


def dispute(found: Any, whose: Whose) -> Iterator[ProviderPayment]:
    """A charge-back, and its end where it was won. An inquiry moves nothing."""
    for booked in found.balance_transactions:
        yield _disputed(found, booked, whose)


def _disputed(found: Any, booked: Any, whose: Whose) -> ProviderPayment:
    of = source_of(found)
    if booked.amount < 0:
        return whose.moved(found.id, "reversal", found, booked.created, of=of)
    return whose.moved(booked.id, "payment", found, booked.created, of=of)


def booked(entry: Any, whose: Whose) -> ProviderPayment | None:
    """A balance transaction with its source; None: it moves no customer's money (payouts, Stripe's own fees)."""
    source = entry.source
    kind = getattr(source, "object", "")
    back = entry.amount < 0
    if kind == "charge":
        if back:
            return whose.moved(entry.id, "reversal", source, entry.created, of=source_of(source))
        fee = _fee(entry, source.currency)
        return whose.moved(source_of(source), "payment", source, entry.created, fee_minor=fee)
    if kind == "refund":
        if not back:
            return whose.moved(entry.id, "payment", source, entry.created, of=source_of(source))
        of, on, key = source_of(source), named(source, "credit_note"), named(source, "key")
        return whose.moved(source.id, "refund", source, source.created, of=of, credit_note=on, key=key)
    return _disputed(source, entry, whose) if kind == "dispute" else None


def source_of(found: Any) -> str:
    """The payment that a charge, refund or dispute is about."""
    if found.object == "charge":
        return id_of(found.payment_intent) or str(found.id)
    return id_of(found.payment_intent) or id_of(found.charge)


def event(found: Any) -> Event:
    """A notice: which invoice or payment to look at. Its payload may be of any age, so nothing else is taken of it."""
    about = found.data.object
    kind = getattr(about, "object", "")
    bill = about.id if kind == "invoice" else id_of(getattr(about, "invoice", None))
    paid = ""
    if kind == "invoice_payment":
        paid = payment_of(about)
    elif kind in PAYMENT_OBJECTS:
        paid = about.id if kind == "payment_intent" else source_of(about)
    return Event(
        event_id=found.id,
        kind=found.type,
        invoice=bill,
        payment=paid,
        made_at=moment(found.created),
        api_version=found.api_version or "",
    )


def _fee(entry: Any | None, currency: str) -> int:
    return int(entry.fee) if entry is not None and entry.currency == currency else 0


def named(found: Any, name: str) -> str:
    """A value of its metadata."""
    metadata = getattr(found, "metadata", None)
    return str(metadata[name]) if metadata is not None and name in metadata else ""


def id_of(found: Any) -> str:
    """Of something that is either named or given whole.

    >>> id_of("in_1"), id_of(None)
    ('in_1', '')
    """
    if found is None or isinstance(found, str):
        return found or ""
    return str(found.id)


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
