"""Random months in which money moves: the books balance to the last payment, and nothing is amiss that was not planted.

`KOUAN_RANDOM_MONTHS=1000` plays so many months, a hundred in a database; the suite plays fewer.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, seed, settings

from api.app import READ_MODELS
from billing.gateway import ProviderInvoice
from domain import invoice, period
from domain.deciding import folded
from domain.invoice import Invoice
from domain.statement import Statement
from projections import receivables
from tests.money_oracle import Bill
from tests.random_fates import FATES, STEPS, Example, Fate, Month, Provider, examples
from tests.random_money import Money
from tests.random_months import FREE, HOLDERS, ITEMS, Use
from tests.random_orders import Change, Happening, Order
from tests.stripe_fake import Fake, fake
from tests.test_random_months import balanced

__all__ = ["fake"]
MONTHS = int(os.environ.get("KOUAN_RANDOM_MONTHS") or 4)
ALWAYS = {*STEPS} - {"wait", "fail", "dashboard", "spare"}  # these are of one provider only
PART = 100  # the bank's tables go by the clock of the machine: a month that is played must be over
MODELS = [each for each in READ_MODELS if each.name in {"usage", "receivables"}]
UNHURRIED = settings(
    max_examples=min(MONTHS, PART), deadline=None, suppress_health_check=list(HealthCheck), database=None
)


ORDERED: tuple[list[Happening], ...] = (
    [Order(holder=0, ahead=1, begins=0, trial=0), Order(holder=1, ahead=0, begins=0, trial=9)],
    [Order(holder=2, ahead=0, begins=800, trial=0), Change("suspend", which=0, ahead=30, ends=0)],
    [],
    [Change("resume", which=0, ahead=30, ends=0), Change("cancel", which=2, ahead=0, ends=1)],
    [],
    [],
    [],
)
"""By month."""


@pytest.fixture
def money(closed_database: str, fake: Fake) -> Iterator[Money]:
    opened = Money(closed_database, MODELS, fake)
    yield opened
    opened.close()


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["bank", "stripe"])
def test_each_fate_that_has_a_name_comes_out_as_it_is_meant(money: Money, provider: Provider) -> None:
    named = [Fate(tuple(fate.split()), share=40) for fate in FATES]
    each = [named[place : place + HOLDERS] for place in range(0, len(named), HOLDERS)]
    months = [
        Month(happens, [30, 40, 50], some, "notices", fault="lost", skip=9)
        for happens, some in zip(ORDERED, each, strict=True)
    ]
    hold(money, Example(provider, months))
    assert len(money.oracle.bills) == len(months) * HOLDERS
    assert {step for done in money.done for step in done.split()[1:]} >= ALWAYS


@pytest.mark.slow
@pytest.mark.parametrize("part", range(-(-MONTHS // PART)))
def test_money_of_random_months_balances_and_nothing_is_amiss_that_was_not_planted(money: Money, part: int) -> None:
    done, wanted, failed = 0, min(PART, MONTHS - part * PART), False

    @seed(part)
    @UNHURRIED
    @given(examples)
    def play(example: Example) -> None:
        nonlocal done, failed
        if done < wanted:
            months, before, failed = example.months[: wanted - done], failed, True
            hold(money, Example(example.provider, months))
            failed = before
            done += 0 if failed else len(months)  # what failed is played again and again, to find the least that does

    play()
    assert done == wanted
    print(f"{done} months, {money.told} facts with a time of their own, {len(money.oracle.bills)} invoices")
    print(", ".join(f"{step} {count}" for step, count in sorted(money.done.items())))


def hold(money: Money, example: Example) -> None:
    holders, first = money.begin_at(example.provider), money.month
    sound, money.sound = money.sound, False  # what failed may have left orders behind
    issued: list[Statement] = []
    played: list[str] = []
    for month in example.months:
        play(money, month, last=month is example.months[-1])
        played.append(money.month)
        new = money.end()
        if sound:  # of who was there before, credit at most is left
            assert [each for each in new if each.lines and each.holder.code not in holders] == []
        new = [each for each in new if each.holder.code in holders]
        issued += new
        money.bill(month, new)
        amiss(money, played[-1])
    money.finish()
    balanced(money, holders, issued)
    for name in played:
        amiss(money, name)
    documents = {each.number: each for each in issued}
    bills = [each for each in money.oracle.bills.values() if each.statement in documents]
    assert sum(each.total for each in bills) == sum(each.payable_minor for each in issued)
    for each in bills:
        stands(money, each)
        paid_for(money, documents[each.statement])
    money.sound = sound
    assert played == [period.following(each) for each in [period.preceding(first), *played[:-1]]]


def play(money: Money, month: Month, *, last: bool) -> None:
    """What is told of a month; with the last one of an example every order ends."""
    for holder, count in ((holder, count) for holder, count in enumerate(month.units) if count):
        money.play_one(Use(holder, holder % len(ITEMS), count, reversals=0, late=0, waived=False, result="ok"))
    for each in month.happens:
        money.play_one(each)
    if last:
        money.cancel_all()


def amiss(money: Money, month: str) -> None:
    """Reconciliation finds what the oracle knows of, and nothing else."""
    found = [(each.code, each.statement, each.theirs_minor or 0) for each in money.breaks(month)]
    assert sorted(found) == money.oracle.amiss(month)


def stands(money: Money, bill: Bill) -> None:
    """Total = paid - given back + credited + outstanding: with the oracle, in the journal, in the books, as shown."""
    entries = money.journal.stream(money.connection, invoice.stream(bill.statement))
    state = folded(Invoice(bill.statement), invoice.evolve)(entries)
    kept = receivables.of(money.connection, bill.statement)
    assert kept is not None
    expected = (bill.total, bill.paid, bill.given, bill.credited, bill.outstanding, bill.voided)
    for each in (state, kept):
        named = (each.total_minor, each.paid_minor, each.refunded_minor, each.credited_minor, each.outstanding_minor)
        assert (*named, each.voided) == expected, bill.statement
    assert bill.voided or bill.total == bill.paid - bill.given + bill.credited + bill.outstanding
    told = receivables.movements(money.connection, statement=bill.statement)
    assert sum(each.kind == "failure" for each in told) == bill.failed
    shown = money.gateway.find_invoices(bill.statement)
    assert [each.status == "void" for each in shown].count(True) == bill.voids
    [*_, last] = [each for each in shown if (each.status == "void") == bill.voided]
    assert (last.ref, last.total_minor) == (state.invoice, bill.total)
    if not bill.voided:
        moved(money, bill, last)


def moved(money: Money, bill: Bill, shown: ProviderInvoice) -> None:
    """What the provider shows: each movement of money, and what it counts as open."""
    sums = {"payment": 0, "reversal": 0, "refund": 0, "credit_note": 0}
    for each in money.gateway.payments(shown.ref):
        sums[each.kind] += each.amount_minor
    assert sums["payment"] - sums["reversal"] == bill.paid
    assert (sums["refund"], sums["credit_note"]) == (bill.given, bill.credited)
    assert (shown.outstanding_minor, shown.credited_minor) == (bill.shown(), bill.credited)
    assert shown.total_minor == shown.paid_minor + shown.credited_minor + shown.outstanding_minor


def paid_for(money: Money, document: Statement) -> None:
    """Every line that bears an amount is on the invoice, and no free one."""
    lines = {line.no: line for line in document.lines}
    for each in money.gateway.find_invoices(document.number):
        items = {line.line: line.amount_minor for line in each.lines}
        credit = {0: document.brought_forward_minor} if document.brought_forward_minor else {}
        assert items == credit | {no: line.amount_minor for no, line in lines.items() if line.amount_minor}
        billed = [lines[no] for no in items if no]
        assert all(line.item_class == "commercial" and not line.waived and line.item not in FREE for line in billed)
        assert all(line.tariff for line in billed if line.kind == "usage")
