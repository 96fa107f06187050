"""What is compared when a month is reconciled: three snapshots, small enough for memory, each with a digest.

`Ours`: what the journal and the usage ledger have counted, by statement line. `Statements`: what was issued, and what
the journal says of its invoices and fapiao. `Provider`: what whoever collects the money says. They hold sums by line,
not single entries, so that a month of millions takes no more than its lines do; of entries that differ, their number
and a few by name. How they are taken is billing/recount.py and billing/taking.py. Money is integer minor units (fen);
times are UTC.
"""

from datetime import datetime
from hashlib import sha256

import msgspec

from billing.gateway import ProviderInvoice, ProviderPayment
from domain.pricing import Pricing

EXAMPLES_MAX = 5  # entries that are named of those that differ


class Key(msgspec.Struct, frozen=True, order=True):
    """What belongs to one line of a statement. Parts that may be absent are '' here, so that keys can be sorted."""

    holder: str
    is_party: bool
    item: str
    tariff: str = ""  # '': it has no price
    waived: str = ""
    corrects: str = ""  # earlier period; '': it was used in the month itself

    def __str__(self) -> str:
        """In words that do not change: breaks are named by them."""
        whose = "party" if self.is_party else "account"
        parts = (self.item, self.tariff, self.waived, self.corrects)
        return f"usage:{whose}:{self.holder}:{':'.join(parts)}"


# --- ours ---


class Count(msgspec.Struct, frozen=True):
    """Readings of meters, summed."""

    deliveries: int = 0  # readings that are not below zero
    quantity: int = 0  # their units
    reversed: int = 0  # units that sources took back, above zero
    standing: int = 0  # charges that fell due without use: no deliveries


class Gap(msgspec.Struct, frozen=True):
    """Readings that stand on one side only. `examples`: STREAM/VERSION of some of their facts."""

    entries: int = 0
    quantity: int = 0
    examples: tuple[str, ...] = ()


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted for a line: from the journal's facts anew, and in the ledger."""

    key: Key
    item_class: str
    journal: Count = Count()
    ledger: Count = Count()
    unmetered: Gap = Gap()  # the journal has them, the ledger does not, or less of them
    duplicate: Gap = Gap()  # the ledger has them, the journal does not, or less of them
    charged: int = 0  # entries of the ledger that are marked as to be paid
    first_at: datetime | None = None  # earliest use


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """Usage of the month that came in behind its cut-off, and waits for the statements of a later one."""

    key: Key  # `corrects` is the month that is reconciled
    billing_period: str
    entries: int
    quantity: int
    example: str = ""


class Earlier(msgspec.Struct, frozen=True):
    """What was posted before for a line that corrects an earlier month: with it the line is rated."""

    key: Key
    count: Count


class Published(msgspec.Struct, frozen=True):
    """A published price, as the journal has it at the cut-off."""

    item: str
    version: str
    currency: str
    effective_from: datetime
    rule: Pricing


class Ours(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted for a month. Everything is in a fixed order, so that the digest is one of its content."""

    period: str
    cut_off: int  # position of the commerce journal: nothing behind it is posted to the month
    tallies: tuple[Tally, ...] = ()
    unreadable: Gap = Gap()  # facts of the window that cannot be decoded
    late: tuple[Late, ...] = ()
    earlier: tuple[Earlier, ...] = ()
    published: tuple[Published, ...] = ()
    government: tuple[str, ...] = ()  # items that are free by law


# --- what was issued ---


class Billed(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a statement, as the database keeps it."""

    no: int
    kind: str = "usage"  # usage, share, adjustment
    item: str
    item_class: str
    tariff: str = ""
    waived: str = ""
    corrects: str = ""
    used_by: str
    used_by_party: bool
    deliveries: int = 0
    quantity: int = 0
    reversed_quantity: int = 0
    list_minor: int = 0
    whole_minor: int = 0  # before it is shared
    amount_minor: int = 0

    @property
    def key(self) -> Key:
        """Of the usage that it bills."""
        return Key(self.used_by, self.used_by_party, self.item, self.tariff, self.waived, self.corrects)


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """Money that moved on an invoice, or a credit note, as the journal says."""

    ref: str
    kind: str  # payment, reversal, refund, credit_note
    amount_minor: int  # above zero
    fee_minor: int = 0
    currency: str = ""  # '': not said
    of: str = ""
    credit_note: str = ""


class Invoiced(msgspec.Struct, frozen=True, kw_only=True):
    """The invoice of a statement, as the journal says (domain/invoice.py)."""

    provider: str
    invoice: str = ""  # the provider's id; '': not sent
    total_minor: int = 0
    currency: str = ""
    paid_minor: int = 0  # less what was reversed
    credited_minor: int = 0
    refunded_minor: int = 0
    outstanding_minor: int = 0
    voided: bool = False
    stopped: str = ""
    movements: tuple[Movement, ...] = ()


class Fapiao(msgspec.Struct, frozen=True, kw_only=True):
    """A tax invoice that was recorded; a red one is below zero."""

    number: str
    amount_minor: int  # tax included


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """An issued statement with all that became of it."""

    number: str
    holder: str
    is_party: bool
    currency: str = "CNY"
    sha256: str = ""  # as it was issued
    kept_sha256: str = ""  # of the bytes that are kept
    total_minor: int = 0
    left_before_minor: int = 0  # credit that the holder's statement before carried forward
    brought_forward_minor: int = 0
    payable_minor: int = 0
    carried_forward_minor: int = 0
    lines: tuple[Billed, ...] = ()
    invoice: Invoiced | None = None
    fapiao: tuple[Fapiao, ...] = ()


class Statements(msgspec.Struct, frozen=True, kw_only=True):
    period: str
    papers: tuple[Paper, ...] = ()  # in the order of their numbers


# --- the provider's ---


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Invoices for the month's statements and what moved on them; and what belongs to nothing that we know of.

    What belongs to nothing is told in the month before the one in which it came: then its invoices were out.
    """

    period: str
    provider: str = ""
    invoices: tuple[ProviderInvoice, ...] = ()
    movements: tuple[ProviderPayment, ...] = ()


def digest(snapshot: Ours | Statements | Provider) -> str:
    """SHA-256 of its canonical form: JSON with sorted keys, no blanks, UTF-8."""
    return sha256(msgspec.json.encode(snapshot, order="sorted")).hexdigest()
