"""The checklist of a month of the books, from who bills to its closing: what is done, what is next, what is in the way.

Whether a step may be taken is asked of the same decisions that take it (domain/period.py, api/closing.py), so the page
says beforehand what the act would say. Times are UTC, months those of Asia/Shanghai, money fen.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from api import closing
from api.closing import Month
from api.words import Pair, shanghai
from billing.invoicing import Sums
from domain import period
from domain.errors import KouanError
from domain.period import NotOver, Period
from domain.reconciliation import Reconciliation
from domain.statement import Seller

State = Literal["done", "next", "under_way", "trouble", "later"]
Name = Literal["seller", "cut_off", "statements", "invoices", "bank", "fapiao", "reconcile", "close"]
STEPS: dict[Name, Pair] = {
    "seller": ("开票方与收款账号", "Who bills, and the bank account"),
    "cut_off": ("截止", "Cut off"),
    "statements": ("出具账单", "Issue the statements"),
    "invoices": ("发送付款通知", "Send the invoices"),
    "bank": ("收款", "Take in what was paid"),
    "fapiao": ("开具发票", "Issue fapiao"),
    "reconcile": ("对账并签字", "Reconcile and sign"),
    "close": ("关账", "Close"),
}
STATES: dict[State, Pair] = {
    "done": ("已办理", "Done"),
    "next": ("待办理", "To do"),
    "under_way": ("办理中", "Under way"),
    "trouble": ("须处理", "Needs a look"),
    "later": ("尚不能办理", "Not yet"),
}
NOTHING: Pair = ("", "")
NO_ACCOUNT: Pair = (
    "未填收款账号：付款通知上没有账号，客户无从付款",
    "No bank account: payment notices name none, and nobody knows where to pay",
)


class Step(NamedTuple):
    """One line of the checklist. `said`: how far it is, or what stands in the way."""

    name: Name
    state: State
    said: Pair = NOTHING
    at: datetime | None = None
    by: str = ""


class Money(NamedTuple):
    """What a month's statements ask for: payable = received + credited + void + outstanding. Fen."""

    payable_minor: int = 0
    received_minor: int = 0  # less what was given back
    credited_minor: int = 0
    void_minor: int = 0  # of invoices that are void, what nobody paid
    unsent_minor: int = 0  # of what is outstanding, for what no invoice is out yet

    @property
    def outstanding_minor(self) -> int:
        return self.payable_minor - self.received_minor - self.credited_minor - self.void_minor


class Waiting(NamedTuple):
    """What the desks have to do before a month is reconciled."""

    receipts: int = 0  # of which something waits, of whatever month
    fapiao: int = 0  # statements of the month that are paid, and have none


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of a month. `months`: all of them, for months go one after another."""

    month: str
    months: dict[str, Month]
    begun: str | None  # the month of the first use, while none is cut off
    checked: Reconciliation
    sums: Sums
    seller: Seller = Seller()  # as it is now
    money: Money = Money()
    waiting: Waiting = Waiting()

    @property
    def stands(self) -> Month:
        return self.months.get(self.month, Month(Period(self.month)))


# --- its steps ---


def steps(known: Known, now: datetime) -> list[Step]:
    """From the top to the bottom."""
    billed = [_seller(known.seller), _cut_off(known, now), _statements(known), _invoices(known)]
    return [*billed, _bank(known), _fapiao(known), _reconciled(known), _close(known, now)]


def _seller(told: Seller) -> Step:
    """What is missing is asked for before anything is issued: an issued statement names whoever it was."""
    if told.bank_account:
        return Step("seller", "done", (f"{told.zh}，账号 {told.bank_account}", f"{told.en}, {told.bank_account}"))
    return Step("seller", "trouble", NO_ACCOUNT)


def _cut_off(known: Known, now: datetime) -> Step:
    stands = known.stands
    if stands.cut is not None:
        return Step("cut_off", "done", NOTHING, stands.cut.happened_at, stands.cut.by)

    def check() -> None:
        last = closing.latest(known.months)
        period.cut_off(stands.period, latest=last, by="", at=now)
        if last is None:
            closing.check_first(known.begun, known.month)

    return _may("cut_off", check)


def _statements(known: Known) -> Step:
    stands = known.stands
    if stands.reviewed is not None:
        count = stands.reviewed.statements
        said = (f"{count:,} 张", f"{count:,} issued")
        return Step("statements", "done", said, stands.reviewed.happened_at, stands.reviewed.by)
    if stands.cut is None:
        return Step("statements", "later", ("须先截止", "After the cut-off"))
    return _may("statements", lambda: closing.check_turn(known.months, known.month))


def _invoices(known: Known) -> Step:
    sums = known.sums
    if known.stands.reviewed is None:
        return Step("invoices", "later", ("须先出具账单", "After the statements"))
    if not sums.payable:
        return Step("invoices", "done", ("没有须付款的账单", "No statement has anything to pay"))
    void = (f"，已作废 {sums.voided:,}", f", {sums.voided:,} void") if sums.voided else NOTHING
    told = (
        f"{sums.payable:,} 张须付款，已发送 {sums.sent:,}{void[0]}",
        f"{sums.sent:,} of {sums.payable:,} sent{void[1]}",
    )
    if sums.asked < sums.payable:
        return Step("invoices", "next", told)
    if sums.troubled:
        return Step("invoices", "trouble", told, sums.asked_at, sums.asked_by)
    if sums.waiting:
        return Step("invoices", "under_way", told, sums.asked_at, sums.asked_by)
    return Step("invoices", "done", told, sums.sent_at, sums.asked_by)


def _bank(known: Known) -> Step:
    """Money goes on coming in after the month is closed: nothing waits for this."""
    if not known.sums.asked:
        return Step("bank", "later", ("须先发送付款通知", "After the invoices"))
    if count := known.waiting.receipts:
        return Step("bank", "trouble", (f"{count:,} 笔收款待核销", f"{count:,} receipts wait"))
    if known.money.outstanding_minor > 0:
        return Step("bank", "under_way", ("尚有未付", "Something is not paid yet"))
    return Step("bank", "done")


def _fapiao(known: Known) -> Step:
    """Whoever has paid and has no fapiao is a difference of the reconciliation."""
    if not known.sums.asked:
        return Step("fapiao", "later", ("付清之后开具", "After they are paid"))
    if count := known.waiting.fapiao:
        return Step("fapiao", "trouble", (f"{count:,} 张已付清，未登记发票", f"{count:,} paid without fapiao"))
    if known.money.outstanding_minor > 0:
        return Step("fapiao", "under_way", ("付清的都已登记发票", "What is paid has its fapiao"))
    return Step("fapiao", "done", ("付清的都已登记发票", "What is paid has its fapiao"))


def _reconciled(known: Known) -> Step:
    stands, checked = known.stands, known.checked
    if stands.reviewed is None:
        return Step("reconcile", "later", ("须先出具账单", "After the statements"))
    if stands.period.stage == "closed" and stands.closed is not None:
        signed_at = checked.signed.happened_at if checked.signed else None
        return Step("reconcile", "done", NOTHING, signed_at, stands.closed.signed_by)
    if signed := closing.signature(stands.period, checked):
        return Step("reconcile", "done", NOTHING, signed.happened_at, signed.by)
    return Step("reconcile", "next", _unsigned(checked))


def _unsigned(checked: Reconciliation) -> Pair:
    """What is missing."""
    if checked.run is None:
        return "尚未对账", "Not reconciled yet"
    if left := len(checked.open()):
        return f"{left:,} 项差异未处理", f"{left:,} breaks are open"
    if checked.signed:
        return "重开之后须再次对账并签字", "To be reconciled and signed anew: it was reopened"
    return "待对账人之外的财务签字", "To be signed by somebody else than who ran it"


def _close(known: Known, now: datetime) -> Step:
    stands = known.stands
    if stands.period.stage == "closed" and stands.closed is not None:
        left = len(stands.closed.accepted)
        said = (f"附 {left:,} 项已接受的差异", f"with {left:,} accepted breaks") if left else NOTHING
        return Step("close", "done", said, stands.closed.happened_at, stands.closed.by)
    if stands.reviewed is None:
        return Step("close", "later", ("须先出具账单", "After the statements"))

    def check() -> None:
        closing.check_before(known.months, known.month)
        closing.closed(stands.period, known.checked, "", now)

    return _may("close", check)


def _may(name: Name, check: Callable[[], None]) -> Step:
    """To be done, unless the decision says no: then with its words."""
    try:
        check()
    except NotOver as error:
        ends = shanghai(datetime.fromisoformat(str(error.facts["ends_at"])))
        return Step(name, "later", (f"本月未完，北京时间 {ends} 起可截止", f"not over: from {ends} China time on"))
    except KouanError as error:
        zh, _, en = error.detail.partition(" / ")
        return Step(name, "later", (zh, en))
    return Step(name, "next")
