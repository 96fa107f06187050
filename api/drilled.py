"""What drilling down answers: a statement line with what it comes from, a delivery with where it is billed.

Money is integer minor units (fen), times are UTC. Made by api/drilling.py.
"""

from datetime import date, datetime
from typing import Literal

import msgspec

from api.evidence import FactsPage
from api.words import Pair
from billing.drilling import BilledOn, Entry
from domain.statement import Line, Reason

State = Literal["billed", "free", "not_cut_off", "not_issued", "not_counted"]
STATES: dict[State, Pair] = {
    "billed": ("已入账单", "on a statement"),
    "free": ("免费，列于账单", "free, and on a statement"),
    "not_cut_off": ("所属月份尚未截止", "its month is not cut off yet"),
    "not_issued": ("所属月份已截止，账单未出", "its month is cut off, and no statement is issued yet"),
    "not_counted": ("尚未计量", "no meter has counted it yet"),
}
Due = Literal["nothing", "not_sent", "stopped", "open", "paid", "voided"]
DUES: dict[Due, Pair] = {
    "nothing": ("无应付款", "nothing to pay"),
    "not_sent": ("尚未开单", "no invoice is sent yet"),
    "stopped": ("开单中止，待处理", "the invoice was stopped, a person must look"),
    "open": ("待付款", "to be paid"),
    "paid": ("已付清", "paid"),
    "voided": ("付款通知已作废", "the payment notice is void"),
}


class Party(msgspec.Struct, frozen=True):
    """Of whom the entries are."""

    code: str
    is_party: bool
    zh: str
    en: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """The fact that a meter read, as it stands in the commerce journal. `sha256`: of its stored bytes."""

    stream: str
    version: int
    position: int
    sha256: str
    fact: str  # delivery.made, delivery.accepted, charge.fell_due
    happened_at: datetime
    recorded_at: datetime
    account: str
    party: str
    behalf: str = ""
    item: str
    item_class: str
    subject: str = ""
    datasets: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    count: int = 0
    reversals: int = 0
    result: str = "ok"
    tariff: str = ""
    waived: str = ""
    channel: str = ""
    endpoint: str = ""  # of a push
    message: str = ""
    subscription: str = ""  # of a charge that fell due without use
    purpose: str = ""


class EntryShown(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a line, the delivery that caused it, and as many of its facts as were asked for."""

    entry: Entry
    delivery: Delivery
    at: str  # path of the delivery, with all of its facts
    handed: FactsPage


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an adjustment."""

    fact: str
    happened_at: datetime
    by: str
    amount_minor: int | None = None
    reason: str = ""
    corrects_period: str = ""
    statement: str = ""


class InvoiceState(msgspec.Struct, frozen=True, kw_only=True):
    """total = paid - refunded + credited + outstanding."""

    state: Due
    zh: str
    en: str
    provider: str = ""
    invoice: str = ""
    url: str = ""  # where it can be paid, while something is owed
    due_on: date | None = None
    total_minor: int = 0
    paid_minor: int = 0
    refunded_minor: int = 0
    credited_minor: int = 0
    outstanding_minor: int = 0


class LineDrill(msgspec.Struct, frozen=True, kw_only=True):
    """A statement line down to the facts. `next`: the cursor behind the last entry, "" at the end."""

    statement: str
    period: str
    sha256: str  # of the statement
    holder: Party
    line: Line
    invoice: InvoiceState
    entries: list[EntryShown]
    next: str
    decisions: list[Decided] = []  # of an adjustment


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """A line that the delivery is part of, and what became of its invoice."""

    line: BilledOn
    at: str  # path of the line
    invoice: InvoiceState


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What one meter read of it, and what came of that."""

    entry: Entry
    state: State
    zh: str
    en: str
    reason: Reason  # why it costs nothing; "": it has a price
    reason_zh: str
    reason_en: str
    bills: list[Bill]


class DeliveryDrill(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery up to its invoice and down to its facts."""

    delivery: Delivery
    state: State  # of all that was counted of it
    zh: str
    en: str
    counted: list[Counted]
    handed: FactsPage
