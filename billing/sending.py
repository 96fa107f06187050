"""The steps of an invoice's journey: how each is looked for at the provider, done there, and compared.

A step that was begun before, of whose end nobody was told, is looked for first; what is there is taken as its outcome.
So nothing is made twice, however late a repetition comes and whatever the provider still knows of the key. What
differs is never mended here: it raises Differs, and a person looks. No state is kept. Money is fen; times are UTC.
"""

from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

import msgspec

from billing.gateway import Customer, Declined, Gateway, Item, Order, ProviderInvoice
from domain.errors import KouanError

CHAIN = ("customer", "draft", "item", "compare", "finalize", "check", "send", "record")
"""From a statement to an invoice that is sent; one `item` for each line."""
REQUESTS = ("void", "credit", "refund")
"""What finance asks for afterwards."""


class Differs(KouanError):
    """What the provider holds is not what the statement says: a person must look."""

    slug = "gateway-differs"
    title = "The payment provider holds something else than the statement says"


class Due(msgspec.Struct, frozen=True):
    """A step whose turn it is."""

    statement: str
    no: int
    step: str
    line: int
    amount_minor: int | None
    key: str
    payment: str
    credit_note: str  # the provider's id of the one on which a refund rests
    reason: str
    asked_by: str
    state: str  # waiting; started: it was begun before, and nobody knows what came of it
    attempts: int
    customer: str  # the provider's ids, as far as they are known
    invoice: str
    number: str
    url: str
    adopted: bool  # the invoice was found there: its lines may be there too
    round: int  # how many invoices before it are void
    due_on: date
    told: list[str]  # ids of credit notes and refunds that are the outcome of other steps


class Outcome(NamedTuple):
    """What became of a step. `invoice`: as the provider showed it then."""

    ref: str
    invoice: ProviderInvoice | None = None
    adopted: bool = False


class Step(NamedTuple):
    """`look`: the outcome if it is there already; None: it is not. `do`: bring it about. None: nothing leaves."""

    look: Callable[[], Outcome | None]
    do: Callable[[], Outcome]
    always: bool = False  # looked for even at the first attempt


def outcome(gateway: Gateway, due: Due, order: Callable[[], Order]) -> Outcome:
    """Take a step. Raises UnknownOutcome, Later, Declined, Differs."""
    step = _steps(gateway, due, order)
    if (step.always or due.state == "started") and (found := step.look()):
        return found
    try:
        return step.do()
    except Declined:
        if found := step.look():  # refused because it is so already
            return found
        raise


def _steps(gateway: Gateway, due: Due, order: Callable[[], Order]) -> Step:
    known: dict[str, Callable[[], Step]] = {
        "customer": lambda: _customer(gateway, due, order().customer),
        "draft": lambda: _draft(gateway, due, order()),
        "item": lambda: _item(gateway, due, order()),
        "compare": lambda: Step(_nowhere, lambda: _compared(gateway, due, order())),
        "finalize": lambda: _finalize(gateway, due),
        "check": lambda: Step(_nowhere, lambda: _compared(gateway, due, order())),
        "send": lambda: _send(gateway, due),
        "record": lambda: Step(_nowhere, lambda: Outcome(due.invoice)),  # nothing leaves
        "void": lambda: _void(gateway, due),
        "credit": lambda: _given(gateway, due),
        "refund": lambda: _given(gateway, due),
    }
    return known[due.step]()


def _nowhere() -> None:
    return None


# --- on the way out ---


def _customer(gateway: Gateway, due: Due, customer: Customer) -> Step:
    def look() -> Outcome | None:
        """Never from memory: whoever was a customer may be deleted there since."""
        ref = gateway.find_customer(customer)
        return Outcome(ref) if ref else None

    return Step(look, lambda: Outcome(gateway.make_customer(customer, key=due.key)), always=True)


def _draft(gateway: Gateway, due: Due, order: Order) -> Step:
    def look() -> Outcome | None:
        """What names the statement is its invoice, whoever made it: another node, or we before a restore."""
        found = gateway.find_invoices(order.statement)
        standing = [each for each in found if each.status != "void"]
        if len(standing) > 1:
            refs = ", ".join(each.ref for each in standing)
            raise Differs(f"支付方有两张账单 / the provider has two invoices for one statement: {refs}")
        if standing:
            return Outcome(standing[0].ref, adopted=True)
        if len(found) > due.round:
            refs = ", ".join(each.ref for each in found)
            raise Differs(f"支付方的账单已作废 / the invoice at the provider is void: {refs}")
        return None

    return Step(look, lambda: Outcome(gateway.make_draft(order, due.customer, key=due.key)), always=True)


def _item(gateway: Gateway, due: Due, order: Order) -> Step:
    item = _ordered(order, due.line)

    def look() -> Outcome | None:
        invoice = gateway.retrieve(due.invoice)
        found = [line.ref for line in invoice.lines if line.line == due.line]
        if not found and invoice.status != "draft":
            raise Differs(
                f"支付方账单缺第 {due.line} 行，且已非草稿 / the invoice lacks line {due.line} and is no draft any more"
            )
        return Outcome(found[0]) if found else None

    def do() -> Outcome:
        return Outcome(gateway.add_item(due.invoice, due.customer, order, item, key=due.key))

    return Step(look, do, always=due.adopted)


def _ordered(order: Order, line: int) -> Item:
    return next(each for each in order.items if each.line == line)


def _finalize(gateway: Gateway, due: Due) -> Step:
    def look() -> Outcome | None:
        found = gateway.retrieve(due.invoice)
        if found.status == "void":
            raise Differs("支付方的账单已作废 / the invoice at the provider is void")
        return Outcome(found.ref, found) if found.status != "draft" else None

    def do() -> Outcome:
        found = gateway.finalize(due.invoice, key=due.key)
        return Outcome(found.ref, found)

    return Step(look, do, always=due.adopted)


def _send(gateway: Gateway, due: Due) -> Step:
    def look() -> Outcome | None:
        """Whether a letter left cannot be asked; a second one is no second invoice. What is paid needs none."""
        found = gateway.retrieve(due.invoice)
        return Outcome(found.ref, found) if found.status == "paid" else None

    def do() -> Outcome:
        found = gateway.send(due.invoice, key=due.key)
        return Outcome(found.ref, found)

    return Step(look, do)


# --- what is compared ---


def _compared(gateway: Gateway, due: Due, order: Order) -> Outcome:
    found = gateway.retrieve(due.invoice)
    compare(order, found, final=due.step == "check")
    return Outcome(found.ref, found)


def compare(order: Order, found: ProviderInvoice, *, final: bool) -> None:
    """The provider's invoice against the statement's, line by line, in fen. Raises Differs with the first difference.

    `final`: it cannot be changed any more, and so much is owed on it as it says.
    """
    _same("账单号", "statement", order.statement, found.statement)
    _same("币种", "currency", order.currency.upper(), found.currency.upper())
    _compare_lines(order, found)
    _same_money("总额", "total", order.total_minor, found.total_minor)
    if found.status == "void" or (final and found.status not in {"open", "paid"}):
        raise Differs(f"支付方账单状态为 {found.status} / the invoice is {found.status} at the provider")
    if final:
        owed = found.total_minor - found.paid_minor - found.credited_minor
        _same_money("未付额", "outstanding amount", owed, found.outstanding_minor)


def _compare_lines(order: Order, found: ProviderInvoice) -> None:
    ours = {item.line: item.amount_minor for item in order.items}
    times = Counter(line.line for line in found.lines)
    for line in found.lines:
        if line.line is None or line.line not in ours or times[line.line] > 1:
            raise Differs(
                f"支付方多一行 {line.ref} / the provider has a line that the statement has not: {line.ref}",
                theirs_minor=line.amount_minor,
            )
        _same("币种", "currency", order.currency.upper(), line.currency.upper())
        _same_money(f"第 {line.line} 行", f"line {line.line}", ours[line.line], line.amount_minor)
    for missing in sorted(ours.keys() - times.keys()):
        raise Differs(
            f"支付方缺第 {missing} 行 / the provider lacks line {missing}", ours_minor=ours[missing], line=missing
        )


def _same(zh: str, en: str, ours: str, theirs: str) -> None:
    if ours != theirs:
        raise Differs(f"{zh}不符：{ours!r}，支付方 {theirs!r} / {en} differs: {ours!r}, at the provider {theirs!r}")


def _same_money(zh: str, en: str, ours: int, theirs: int) -> None:
    if ours != theirs:
        raise Differs(
            f"{zh}不符：{ours} 分，支付方 {theirs} 分 / {en} differs: {ours} fen, at the provider {theirs} fen",
            ours_minor=ours,
            theirs_minor=theirs,
        )


# --- what finance asks for afterwards ---


def _void(gateway: Gateway, due: Due) -> Step:
    def look() -> Outcome | None:
        found = gateway.retrieve(due.invoice)
        return Outcome(found.ref, found) if found.status == "void" else None

    def do() -> Outcome:
        found = gateway.void(due.invoice, key=due.key)
        return Outcome(found.ref, found)

    return Step(look, do)


def _given(gateway: Gateway, due: Due) -> Step:
    """A credit note or a refund: what was made under the key of the step is ours, nothing else of whatever amount."""
    kind = {"credit": "credit_note"}.get(due.step, due.step)
    amount = due.amount_minor or 0

    def look() -> Outcome | None:
        for each in gateway.payments(due.invoice):
            if each.kind == kind and each.ref not in due.told and made_under(each.key, due.key):
                _same_money(f"{each.ref} 金额", f"the amount of {each.ref}", amount, each.amount_minor)
                return Outcome(each.ref)
        return None

    def do() -> Outcome:
        if due.step == "credit":
            return Outcome(gateway.credit(due.invoice, amount, due.reason, key=due.key))
        return Outcome(gateway.refund(due.payment, amount, credit_note=due.credit_note, key=due.key))

    return Step(look, do)


def made_under(found: str, key: str) -> bool:
    """Whether a key that stands at the provider is that of a step, or one that it had before it got another one.

    >>> key = "kouan:KS-202610-000007:credit:1"
    >>> made_under(key, key), made_under(key, f"{key}:3"), made_under(key, f"{key}0"), made_under("", key)
    (True, True, False, False)
    """
    return bool(found) and f"{key}:".startswith(f"{found}:")
