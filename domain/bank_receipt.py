"""Money on the node's bank account as the bank reports it, and which statements it pays.

Stream: `bank_receipt:ID` in the commerce journal; the ID is derived from our account and the bank's own serial number,
so a movement imported twice is there once. A match takes a part of what came in for one statement, and is told on the
invoice's stream too (domain/invoice.py) in the same transaction; undone, the money waits again. What belongs to nobody
is given back. Beside the journal the database keeps both (domain/migrations/0020_bank.sql): no fen is matched twice.
Money is integer minor units (fen); times are UTC, days those of Asia/Shanghai.
"""

from datetime import UTC, date, datetime, time
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from domain import fact, register
from domain.errors import Refused
from domain.fact import Fact
from domain.invoice import Invoice, PaymentReceived, PaymentReversed
from domain.money import yuan

PROVIDER = "bank"
AMOUNT_MAX = 10**13
Direction = Literal["in", "out"]
ZONE = ZoneInfo("Asia/Shanghai")
MIDNIGHT = time()


# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class BankReceiptFact(Fact, frozen=True, kw_only=True):
    """What every fact about a receipt says."""

    receipt: str  # ID
    by: str


class BankReceiptImported(BankReceiptFact, frozen=True, kw_only=True, tag="bank_receipt.imported"):
    """A movement of our account, as a row of the bank's file tells it."""

    account: str  # ours
    serial: str  # the bank's
    direction: Direction
    amount_minor: int  # above zero
    currency: str
    booked_at: datetime
    payer: str = ""  # the other side: who paid, or of money that left, who got it
    payer_account: str = ""
    text: str = ""  # what was written with it
    file_sha256: str = ""
    row: int = 0  # of the file, its titles being row 1


class BankReceiptMatched(BankReceiptFact, frozen=True, kw_only=True, tag="bank_receipt.matched"):
    """So much of it pays this statement."""

    statement: str
    payment: str  # its id on the invoice
    amount_minor: int
    rule: Literal["reference", "hand"] = "reference"  # it named the statement and the amount, or somebody said so
    reason: str = ""  # of a match by hand


class BankReceiptUnmatched(BankReceiptFact, frozen=True, kw_only=True, tag="bank_receipt.unmatched"):
    """A match was wrong: that part waits again."""

    statement: str
    payment: str
    amount_minor: int
    reason: str


class BankReceiptReturned(BankReceiptFact, frozen=True, kw_only=True, tag="bank_receipt.returned"):
    """Money that belongs to no statement went back to who sent it."""

    amount_minor: int
    reason: str
    reference: str = ""  # the bank's serial number of what went out


class BankReceiptSetAside(BankReceiptFact, frozen=True, kw_only=True, tag="bank_receipt.set_aside"):
    """It has nothing to do with statements: interest, a bank's fee, another business on the same account."""

    amount_minor: int
    reason: str


class BankReceiptPaidOut(BankReceiptFact, frozen=True, kw_only=True, tag="bank_receipt.paid_out"):
    """It went out, and is the refund that was to be paid."""

    refund: str  # billing/bank.py
    amount_minor: int
    rule: Literal["reference", "hand"] = "reference"


# --- state ---


class Match(msgspec.Struct, frozen=True):
    statement: str
    amount_minor: int


class Receipt(msgspec.Struct, frozen=True):
    """Amount = matched + settled + waiting."""

    id: str
    direction: Direction = "in"
    amount_minor: int = 0
    currency: str = ""
    booked_at: datetime | None = None
    matches: dict[str, Match] = {}  # payment -> what it took; without those that were undone
    made: int = 0  # matches ever
    settled_minor: int = 0  # sent back, set aside, or paid out

    @property
    def matched_minor(self) -> int:
        return sum(match.amount_minor for match in self.matches.values())

    @property
    def waiting_minor(self) -> int:
        return self.amount_minor - self.matched_minor - self.settled_minor


def stream(receipt: str) -> str:
    return f"bank_receipt:{receipt}"


def identity(account: str, serial: str) -> str:
    """The ID of a movement: the first half of a digest of our account and the bank's serial number.

    >>> identity("3200 1234", "T1") == identity("32001234", "T1"), identity("32001234", "T1")[:2]
    (True, 'R-')
    """
    return f"R-{fact.digest_id('bank receipt', ''.join(account.split()), serial.strip()).hex[:16]}"


def booked(day: date, at: time = MIDNIGHT) -> datetime:
    """A day, and the hour if it is known, of the bank's clock in UTC.

    >>> booked(date(2026, 10, 9)).isoformat()
    '2026-10-08T16:00:00+00:00'
    """
    return datetime.combine(day, at, ZONE).astimezone(UTC)


def evolve(receipt: Receipt, happened: Fact) -> Receipt:
    """The receipt after one more fact. Never fails."""
    replace = msgspec.structs.replace
    match happened:
        case BankReceiptImported(amount_minor=amount, currency=currency, direction=direction, booked_at=at):
            return replace(receipt, direction=direction, amount_minor=amount, currency=currency, booked_at=at)
        case BankReceiptMatched(payment=ref, statement=statement, amount_minor=amount):
            matches = {**receipt.matches, ref: Match(statement, amount)}
            return replace(receipt, matches=matches, made=receipt.made + 1)
        case BankReceiptUnmatched(payment=ref):
            return replace(receipt, matches={name: each for name, each in receipt.matches.items() if name != ref})
        case BankReceiptReturned() | BankReceiptSetAside() | BankReceiptPaidOut():
            return replace(receipt, settled_minor=receipt.settled_minor + happened.amount_minor)
        case _:
            raise AssertionError(happened)


# --- decisions: facts on the receipt's stream and on the invoice's, to be written together; none: nothing new ---

Told = tuple[tuple[Fact, ...], tuple[Fact, ...]]
"""(of the receipt, of the invoice)."""


class NotMatchable(Refused):
    """The money, or the statement, is not such that one could pay the other. `facts` names both."""

    slug = "not-matchable"
    title = "This money cannot be matched so"


def match_to(
    receipt: Receipt,
    invoice: Invoice,
    amount_minor: int,
    *,
    currency: str,
    by: str,
    at: datetime,
    reason: str | None = None,
) -> Told:
    """Pay so much of an invoice. `reason`: of a match by hand; None: the receipt named it. Raises NotMatchable."""
    _check_receipt(receipt, amount_minor, currency)
    _check_invoice(receipt, invoice, amount_minor)
    assert receipt.booked_at is not None  # it was imported
    said = "" if reason is None else register.said("理由", "reason", reason)
    payment = f"{receipt.id}-{receipt.made + 1}"
    matched = BankReceiptMatched(
        happened_at=at,
        recorded_at=at,
        receipt=receipt.id,
        by=by,
        statement=invoice.statement,
        payment=payment,
        amount_minor=amount_minor,
        rule="reference" if reason is None else "hand",
        reason=said,
    )
    received = PaymentReceived(
        happened_at=receipt.booked_at,
        recorded_at=at,
        statement=invoice.statement,
        provider=PROVIDER,
        payment=payment,
        amount_minor=amount_minor,
        currency=receipt.currency,
        by="" if reason is None else by,
        reason=said,
    )
    return (matched,), (received,)


def _check_receipt(receipt: Receipt, amount_minor: int, currency: str) -> None:
    if receipt.direction != "in":
        raise NotMatchable(
            f"{receipt.id} 是支出，不能抵账单 / {receipt.id} went out and pays no statement", receipt=receipt.id
        )
    if receipt.currency != currency:
        raise NotMatchable(
            f"{receipt.id} 币种 {receipt.currency} 与账单 {currency} 不符 / {receipt.id} is in {receipt.currency}, "
            f"the statement in {currency}",
            receipt=receipt.id,
        )
    _check_waiting(receipt, amount_minor)


def _check_waiting(receipt: Receipt, amount_minor: int) -> None:
    if not 0 < amount_minor <= receipt.waiting_minor:
        raise NotMatchable(
            f"{receipt.id} 尚余 {yuan(receipt.waiting_minor)} 元，不能用 {yuan(amount_minor)} 元 / "
            f"of {receipt.id} {yuan(receipt.waiting_minor)} yuan are left, not {yuan(amount_minor)}",
            receipt=receipt.id,
            waiting_minor=receipt.waiting_minor,
        )


def _check_invoice(receipt: Receipt, invoice: Invoice, amount_minor: int) -> None:
    name = invoice.statement
    if invoice.sent_at is not None and invoice.provider != PROVIDER:
        raise NotMatchable(
            f"账单 {name} 由 {invoice.provider} 收款，须先作废再改由银行收 / statement {name} is collected by "
            f"{invoice.provider}: void that invoice first",
            receipt=receipt.id,
            statement=name,
        )
    if invoice.sent_at is None or invoice.voided:
        raise NotMatchable(
            f"账单 {name} 没有待付的付款通知 / nothing is asked to be paid for statement {name}",
            receipt=receipt.id,
            statement=name,
        )
    if amount_minor > invoice.outstanding_minor:
        raise NotMatchable(
            f"账单 {name} 尚欠 {yuan(invoice.outstanding_minor)} 元，少于 {yuan(amount_minor)} 元 / "
            f"statement {name} is owed {yuan(invoice.outstanding_minor)} yuan, less than {yuan(amount_minor)}",
            receipt=receipt.id,
            statement=name,
            outstanding_minor=invoice.outstanding_minor,
        )


def undo(receipt: Receipt, payment: str, *, refunded_minor: int, reason: str, by: str, at: datetime) -> Told:
    """Take a match back; twice changes nothing. `refunded_minor`: what was given back of it. Raises NotMatchable."""
    had = receipt.matches.get(payment)
    if had is None:
        if payment.startswith(f"{receipt.id}-") and payment.removeprefix(f"{receipt.id}-") in _made(receipt):
            return (), ()
        raise NotMatchable(
            f"{receipt.id} 没有匹配 {payment[:60]} / {receipt.id} has no match {payment[:60]}", receipt=receipt.id
        )
    if refunded_minor:
        raise NotMatchable(
            f"{payment} 已退款 {yuan(refunded_minor)} 元，不能撤销"
            f" / of {payment} {yuan(refunded_minor)} yuan were refunded: it stays",
            receipt=receipt.id,
            refunded_minor=refunded_minor,
        )
    said = register.said("理由", "reason", reason)
    unmatched = BankReceiptUnmatched(
        happened_at=at,
        recorded_at=at,
        receipt=receipt.id,
        by=by,
        statement=had.statement,
        payment=payment,
        amount_minor=had.amount_minor,
        reason=said,
    )
    reversed_ = PaymentReversed(
        happened_at=at,
        recorded_at=at,
        statement=had.statement,
        provider=PROVIDER,
        payment=payment,
        amount_minor=had.amount_minor,
        reason=said,
    )
    return (unmatched,), (reversed_,)


def _made(receipt: Receipt) -> set[str]:
    return {str(number) for number in range(1, receipt.made + 1)}


def give_back(
    receipt: Receipt, amount_minor: int, *, reason: str, reference: str, by: str, at: datetime
) -> tuple[Fact, ...]:
    """Say that what waits was sent back. Raises NotMatchable for more than waits."""
    if receipt.direction != "in":
        raise NotMatchable(f"{receipt.id} 是支出 / {receipt.id} went out itself", receipt=receipt.id)
    _check_waiting(receipt, amount_minor)
    return (
        BankReceiptReturned(
            happened_at=at,
            recorded_at=at,
            receipt=receipt.id,
            by=by,
            amount_minor=amount_minor,
            reason=register.said("理由", "reason", reason),
            reference=register.remark("流水号", "reference", reference),
        ),
    )


def set_aside(receipt: Receipt, *, reason: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """What waits of it concerns no statement. Twice changes nothing. Raises Refused without a reason."""
    said = register.said("理由", "reason", reason)
    if not receipt.waiting_minor:
        return ()
    about = {"happened_at": at, "recorded_at": at}
    return (BankReceiptSetAside(**about, receipt=receipt.id, by=by, amount_minor=receipt.waiting_minor, reason=said),)


def pay_out(
    receipt: Receipt,
    refund: str,
    amount_minor: int,
    *,
    currency: str,
    rule: Literal["reference", "hand"],
    by: str,
    at: datetime,
) -> tuple[Fact, ...]:
    """It is the refund that was to be paid, whole and in its currency. Raises NotMatchable."""
    if receipt.currency != currency:
        raise NotMatchable(
            f"{receipt.id} 币种 {receipt.currency} 与退款 {currency} 不符 / {receipt.id} is in {receipt.currency}, "
            f"the refund in {currency}",
            receipt=receipt.id,
            refund=refund,
        )
    if receipt.direction != "out" or receipt.waiting_minor != amount_minor:
        raise NotMatchable(
            f"{receipt.id} 不是 {yuan(amount_minor)} 元的支出 / {receipt.id} is no {yuan(amount_minor)} yuan going out",
            receipt=receipt.id,
            refund=refund,
        )
    about = {"happened_at": at, "recorded_at": at}
    return (
        BankReceiptPaidOut(**about, receipt=receipt.id, by=by, refund=refund, amount_minor=amount_minor, rule=rule),
    )


FACTS: tuple[type[Fact], ...] = tuple(BankReceiptFact.__subclasses__())
fact.register(*FACTS)
