"""Random months as three snapshots that agree, and ways to break them: each makes one difference of one kind.

A world is made from what was used: tallies, the lines that follow from them, statements with what became of each, and
what a provider would then hold. Breaking something means to change it where a real fault would, and to carry on from
there as everything else would have.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec
from hypothesis import strategies as st

from billing.gateway import ProviderInvoice, ProviderLine, ProviderPayment
from billing.rating import rate
from billing.snapshots import (
    Billed,
    Count,
    Earlier,
    Fapiao,
    Gap,
    Invoiced,
    Key,
    Late,
    Movement,
    Ours,
    Paper,
    Provider,
    Published,
    Statements,
    Tally,
)
from domain.pricing import Pricing
from domain.reconciliation import Code
from tests.random_months import rules

MONTH, BEFORE, AFTER = "2026-10", "2026-08", "2026-11"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
AT = datetime(2026, 10, 5, tzinfo=UTC)
PAID_AT = datetime(2026, 11, 12, tzinfo=UTC)
ITEMS = ("feed.pull", "bulk.query", "history.export")
FREE = ("track.query", "verify.query")
HOLDERS = ("anchor", "e1", "e2", "e3")
Fate = Literal["open", "part", "paid", "credited", "refunded", "reversed", "void"]
FATES: tuple[Fate, ...] = ("open", "part", "paid", "credited", "refunded", "reversed", "void")
replace = msgspec.structs.replace


# --- what is used ---


class Used(msgspec.Struct, frozen=True):
    """What a holder used of an item. `item` below zero: a government one."""

    holder: int
    item: int
    deliveries: int
    quantity: int
    reversed: int
    waived: bool
    corrects: bool
    charged: bool  # else empty answers and such
    shared: int  # 0, or how much of it (in a tenth) another holder bears


class Month(msgspec.Struct, frozen=True):
    used: list[Used]
    rules: list[Pricing]
    adjusted: list[tuple[int, int]]  # holder, fen
    brought: list[int]  # of each holder, credit
    fates: list[Fate]  # of each holder
    earlier: list[int]  # of each item, units that a corrected month had before


used = st.builds(
    Used,
    holder=st.integers(1, len(HOLDERS) - 1),
    item=st.integers(-len(FREE), len(ITEMS) - 1),
    deliveries=st.integers(1, 5),
    quantity=st.integers(0, 60),
    reversed=st.sampled_from([0, 0, 0, 1, 4]),
    waived=st.sampled_from([False, False, False, True]),
    corrects=st.sampled_from([False, False, False, True]),
    charged=st.sampled_from([True, True, True, False]),
    shared=st.sampled_from([0, 0, 0, 3, 5, 10]),
)
months = st.builds(
    Month,
    used=st.lists(used, max_size=12),
    rules=st.lists(rules, min_size=len(ITEMS), max_size=len(ITEMS)),
    adjusted=st.lists(st.tuples(st.integers(1, len(HOLDERS) - 1), st.integers(-900, 900).filter(bool)), max_size=3),
    brought=st.lists(st.sampled_from([0, 0, -30, -5_000]), min_size=len(HOLDERS), max_size=len(HOLDERS)),
    fates=st.lists(st.sampled_from(FATES), min_size=len(HOLDERS), max_size=len(HOLDERS)),
    earlier=st.lists(st.sampled_from([0, 0, 7, 100]), min_size=len(ITEMS), max_size=len(ITEMS)),
)
ANCHOR = (
    Used(0, -1, 3, 3, 0, False, False, False, 0),
    Used(0, 0, 4, 500, 0, False, False, True, 0),
    Used(0, 1, 2, 80, 0, False, False, False, 0),
)
"""Every world has a holder with a free line, a paid one, and one of use that is not charged."""


# --- the world that follows ---


class World(NamedTuple):
    ours: Ours
    statements: Statements
    provider: Provider


def world(month: Month, anchor: Fate = "paid") -> World:
    """Three snapshots that agree."""
    told = [Pricing(price_minor=2), *month.rules[1:]]
    prices = [Published(item, f"{item}/1", "CNY", BEGAN, rule) for item, rule in zip(ITEMS, told, strict=True)]
    tallies, earlier, lines = _counted(month, prices)
    for number, minor in month.adjusted:
        lines.append((HOLDERS[number], _adjustment(HOLDERS[number], minor)))
    papers: list[Paper] = []
    invoices: list[ProviderInvoice] = []
    movements: list[ProviderPayment] = []
    for place, holder in enumerate(HOLDERS):
        own = [line for whose, line in lines if whose == holder]
        brought = month.brought[place] if place else 0
        if own or brought:
            paper = drawn(f"KS-202610-{place + 1:06}", holder, own, brought)
            paper, held, moved = fated(paper, month.fates[place] if place else anchor)
            papers.append(paper)
            invoices += held
            movements += moved
    return World(
        Ours(
            period=MONTH, cut_off=100, tallies=tuple(sorted(tallies, key=lambda each: each.key)),
            earlier=tuple(earlier), published=tuple(prices), government=FREE,
        ),
        Statements(period=MONTH, papers=tuple(papers)),
        Provider(period=MONTH, provider="bank", invoices=tuple(invoices), movements=tuple(movements)),
    )  # fmt: skip


def _counted(month: Month, prices: Sequence[Published]) -> tuple[list[Tally], list[Earlier], list[tuple[str, Billed]]]:
    by_key: dict[Key, Used] = {}
    for each in (*ANCHOR, *month.used):
        by_key.setdefault(_key(each), each)
    tallies: list[Tally] = []
    earlier: list[Earlier] = []
    lines: list[tuple[str, Billed]] = []
    for key, each in by_key.items():
        free = each.item < 0
        taken_back = each.reversed if key.tariff and each.quantity else 0
        count = Count(each.deliveries, each.deliveries if free else each.quantity, taken_back)
        item_class = "government" if free else "commercial"
        charged = count.deliveries if key.tariff and not key.waived else 0
        tallies.append(Tally(key=key, item_class=item_class, journal=count, ledger=count, charged=charged, first_at=AT))
        before = Count()
        if key.corrects and key.tariff and (units := month.earlier[each.item]):
            before = Count(1, units)
            earlier.append(Earlier(key, before))
        rule = prices[each.item].rule if key.tariff else None
        lines += _lines(tallies[-1], before, rule, each.shared)
    return tallies, earlier, lines


def _key(each: Used) -> Key:
    holder, corrects = HOLDERS[each.holder], BEFORE if each.corrects else ""
    if each.item < 0:
        return Key(holder, False, FREE[each.item], corrects=corrects)
    item = ITEMS[each.item]
    if not each.charged:
        return Key(holder, False, item, corrects=corrects)
    return Key(holder, False, item, f"{item}/1", "trial" if each.waived else "", corrects)


def _lines(tally: Tally, before: Count, rule: Pricing | None, shared: int) -> Iterator[tuple[str, Billed]]:
    key, count = tally.key, tally.ledger
    listed = whole = 0
    taken_back = count.reversed if rule is not None and rule.reversal_credit else 0
    if rule is not None:
        after = rate(rule, before.quantity + count.quantity - taken_back)
        listed, whole = after.list_minor, after.amount_minor
        if before.deliveries:
            had = rate(rule, before.quantity)
            listed, whole = listed - had.list_minor, whole - had.amount_minor
        whole = 0 if key.waived else whole
    others = whole * shared // 10 if key.holder != "e1" else 0
    line = Billed(
        no=0, item=key.item, item_class=tally.item_class, tariff=key.tariff, waived=key.waived, corrects=key.corrects,
        used_by=key.holder, used_by_party=key.is_party, deliveries=count.deliveries, quantity=count.quantity,
        reversed_quantity=taken_back, list_minor=listed, whole_minor=whole, amount_minor=whole - others,
    )  # fmt: skip
    yield key.holder, line
    if others:
        yield "e1", replace(line, kind="share", amount_minor=others)


def _adjustment(holder: str, minor: int) -> Billed:
    return Billed(
        no=0, kind="adjustment", item=ITEMS[0], item_class="commercial", used_by=holder, used_by_party=False,
        whole_minor=minor, amount_minor=minor,
    )  # fmt: skip


def drawn(number: str, holder: str, lines: Sequence[Billed], brought: int) -> Paper:
    """A statement of these lines."""
    total = sum(line.amount_minor for line in lines)
    return Paper(
        number=number,
        holder=holder,
        is_party=False,
        sha256="a",
        kept_sha256="a",
        total_minor=total,
        left_before_minor=brought,
        brought_forward_minor=brought,
        payable_minor=max(0, total + brought),
        carried_forward_minor=min(0, total + brought),
        lines=tuple(replace(line, no=no) for no, line in enumerate(lines, start=1)),
    )


# --- what became of a statement ---


def fated(paper: Paper, fate: Fate) -> tuple[Paper, list[ProviderInvoice], list[ProviderPayment]]:
    """It with its invoice as both sides have it; nothing to pay, no invoice."""
    due = paper.payable_minor
    if not due:
        return paper, [], []
    credit = {"credited": due // 3 or 1, "refunded": due // 2 or 1}.get(fate, 0)
    paid = {"part": due // 2, "paid": due, "credited": due - credit, "refunded": due, "reversed": due}.get(fate, 0)
    moved = list(_moved(paper.number, fate, paid, credit))
    back = sum(each.amount_minor for each in moved if each.kind in {"refund", "reversal"})
    left = 0 if fate == "void" else due - credit - paid + back
    ref = f"in_{paper.number}"
    invoice = Invoiced(
        provider="bank", invoice=ref, total_minor=due, currency="CNY",
        paid_minor=paid - (back if fate == "reversed" else 0), credited_minor=credit,
        refunded_minor=credit if fate == "refunded" else 0, outstanding_minor=left, voided=fate == "void",
        movements=tuple(_ours(each) for each in moved),
    )  # fmt: skip
    status: Any = "void" if fate == "void" else "open" if left > 0 else "paid"
    held = ProviderInvoice(
        ref=ref, statement=paper.number, status=status, currency="CNY", total_minor=due, paid_minor=paid - back,
        credited_minor=credit, outstanding_minor=left, lines=tuple(_items(paper, ref)),
    )  # fmt: skip
    told = [Fapiao(number="1" * 20, amount_minor=due)] if fate in {"paid", "credited", "refunded"} else []
    told += [Fapiao(number="2" * 20, amount_minor=-credit)] if credit else []
    return replace(paper, invoice=invoice, fapiao=tuple(told)), [held], moved


def _items(paper: Paper, ref: str) -> Iterator[ProviderLine]:
    if paper.brought_forward_minor:
        yield ProviderLine(ref=f"{ref}/0", line=0, amount_minor=paper.brought_forward_minor, currency="CNY")
    for line in paper.lines:
        if line.amount_minor:
            yield ProviderLine(ref=f"{ref}/{line.no}", line=line.no, amount_minor=line.amount_minor, currency="CNY")


def _moved(number: str, fate: Fate, paid: int, credit: int) -> Iterator[ProviderPayment]:
    about: dict[str, Any] = {"invoice": f"in_{number}", "statement": number, "currency": "CNY", "at": PAID_AT}
    if credit:
        yield ProviderPayment(ref=f"cn_{number}", kind="credit_note", amount_minor=credit, **about)
    if paid:
        yield ProviderPayment(ref=f"pi_{number}", kind="payment", amount_minor=paid, fee_minor=paid // 100, **about)
    if fate == "refunded":
        of: dict[str, Any] = {"of": f"pi_{number}", "credit_note": f"cn_{number}"}
        yield ProviderPayment(ref=f"re_{number}", kind="refund", amount_minor=credit, **of, **about)
    if fate == "reversed":
        yield ProviderPayment(ref=f"dp_{number}", kind="reversal", amount_minor=paid, of=f"pi_{number}", **about)


def _ours(each: ProviderPayment) -> Movement:
    """As our facts say it: a reversal is told of the payment, and has no currency of its own."""
    return Movement(
        ref=each.of if each.kind == "reversal" else each.ref,
        kind=each.kind,
        amount_minor=each.amount_minor,
        fee_minor=each.fee_minor,
        currency=each.currency if each.kind == "payment" else "",
        of=each.of,
        credit_note=each.credit_note,
    )


# --- breaking it ---

Plant = Callable[[Month], World]


def _first(of: World, **changes: Any) -> World:
    """The anchor's invoice at the provider, changed."""
    held = replace(of.provider.invoices[0], **changes)
    return of._replace(provider=replace(of.provider, invoices=(held, *of.provider.invoices[1:])))


def _paper(of: World, **changes: Any) -> World:
    paper = replace(of.statements.papers[0], **changes)
    return of._replace(statements=replace(of.statements, papers=(paper, *of.statements.papers[1:])))


def _tally(of: World, key: Key, **changes: Any) -> World:
    tallies = [replace(each, **changes) if each.key == key else each for each in of.ours.tallies]
    return of._replace(ours=replace(of.ours, tallies=tuple(tallies)))


def _ours_only(of: World, **changes: Any) -> World:
    return of._replace(ours=replace(of.ours, **changes))


def _theirs(of: World, *movements: ProviderPayment) -> World:
    return of._replace(provider=replace(of.provider, movements=(*of.provider.movements, *movements)))


def _redrawn(of: World, lines: Sequence[Billed], fate: Fate = "paid") -> World:
    """The anchor's statement of other lines, with everything that follows from them."""
    drew = drawn(of.statements.papers[0].number, "anchor", lines, 0)
    paper, held, moved = fated(drew, fate)
    rest = [each for each in of.provider.movements if each.statement != paper.number]
    others = [each for each in of.provider.invoices if each.statement != paper.number]
    return World(
        of.ours,
        replace(of.statements, papers=(paper, *of.statements.papers[1:])),
        replace(of.provider, invoices=(*held, *others), movements=(*moved, *rest)),
    )


PAID_KEY = Key("anchor", False, ITEMS[0], f"{ITEMS[0]}/1")
FREE_KEY = Key("anchor", False, FREE[-1])
LOST = ProviderPayment(ref="pi_lost", kind="payment", invoice="", amount_minor=77, currency="CNY", at=PAID_AT)


def _line(of: World, key: Key) -> Billed:
    return next(line for line in of.statements.papers[0].lines if line.key == key and line.kind == "usage")


def _other_lines(of: World, key: Key) -> list[Billed]:
    return [line for line in of.statements.papers[0].lines if line.key != key]


def _provider_line(of: World, **changes: Any) -> tuple[ProviderLine, ...]:
    first, *rest = of.provider.invoices[0].lines
    return (replace(first, **changes), *rest)


def dearer(month: Month) -> World:
    made = world(month)
    line = _line(made, PAID_KEY)
    more = {name: getattr(line, name) + 50 for name in ("list_minor", "whole_minor", "amount_minor")}
    return _redrawn(made, [*_other_lines(made, PAID_KEY), replace(line, **more)])


def free_billed(month: Month) -> World:
    made = world(month)
    line = replace(_line(made, FREE_KEY), amount_minor=40)
    return _redrawn(made, [*_other_lines(made, FREE_KEY), line])


def unbilled(month: Month) -> World:
    made = world(month)
    return _redrawn(made, _other_lines(made, PAID_KEY)) if len(made.statements.papers[0].lines) > 1 else made


def billed_twice(month: Month) -> World:
    made = world(month)
    line = _line(made, FREE_KEY)
    return _redrawn(made, [*made.statements.papers[0].lines, line])


def without_note(month: Month) -> World:
    made = world(month, "refunded")
    number = made.statements.papers[0].number
    invoice = made.statements.papers[0].invoice
    assert invoice is not None
    moved = [replace(each, credit_note="") for each in made.provider.movements if each.kind == "refund"]
    [first] = [each for each in moved if each.statement == number]
    kept = [each for each in made.provider.movements if each.ref != first.ref]
    ours = tuple(replace(each, credit_note="") for each in invoice.movements)
    made = _paper(made, invoice=replace(invoice, movements=ours))
    return made._replace(provider=replace(made.provider, movements=(*kept, first)))


def _movement(month: Month, **changes: Any) -> World:
    """The anchor's payment, told otherwise by the provider."""
    made = world(month)
    first, *rest = made.provider.movements
    assert first.ref == f"pi_{made.statements.papers[0].number}"
    return made._replace(provider=replace(made.provider, movements=(replace(first, **changes), *rest)))


def _late(month: Month) -> World:
    late = Late(key=replace(PAID_KEY, corrects=MONTH), billing_period=AFTER, entries=1, quantity=3, example="m:1/7")
    return _ours_only(world(month), late=(late,))


def _twin(month: Month) -> World:
    made = world(month)
    twin = replace(made.provider.invoices[0], ref="in_twin", status="open")
    return made._replace(provider=replace(made.provider, invoices=(*made.provider.invoices, twin)))


def _stray(month: Month) -> World:
    made = world(month)
    stray = replace(made.provider.invoices[0], ref="in_stray", statement="")
    return made._replace(provider=replace(made.provider, invoices=(*made.provider.invoices, stray)))


COUNT = Count(4, 500)
PLANTS: dict[str, tuple[Code, Plant]] = {
    "delivery that no meter counted": (
        "unmetered_event",
        lambda month: _tally(world(month), PAID_KEY, ledger=Count(3, 400), unmetered=Gap(1, 100, ("m:1/3",))),
    ),
    "free delivery that no meter counted": (
        "unmetered_event",
        lambda month: _tally(world(month), FREE_KEY, ledger=Count(2, 2), unmetered=Gap(1, 1, ("m:1/2",))),
    ),
    "fact that cannot be read": (
        "unmetered_event",
        lambda month: _ours_only(world(month), unreadable=Gap(1, 0, ("m:1/9",))),
    ),
    "delivery counted twice": (
        "duplicate_entry",
        lambda month: _tally(world(month), PAID_KEY, ledger=Count(5, 600), duplicate=Gap(1, 100, ("m:1/3",))),
    ),
    "use on two lines": ("duplicate_entry", billed_twice),
    "use on no line": ("unrated_usage", unbilled),
    "use of somebody without a statement": (
        "unrated_usage",
        lambda month: _ours_only(
            (made := world(month)),
            tallies=(
                *made.ours.tallies,
                Tally(key=Key("z", False, FREE[0]), item_class="government", journal=Count(1, 1), ledger=Count(1, 1)),
            ),
        ),
    ),
    "free line with an amount": ("free_usage_billed", free_billed),
    "free entry to be paid": ("free_usage_billed", lambda month: _tally(world(month), FREE_KEY, charged=1)),
    "free line at the provider": (
        "free_usage_billed",
        lambda month: _first(
            (made := world(month)),
            lines=(
                *made.provider.invoices[0].lines,
                ProviderLine(ref="il_free", line=_line(made, FREE_KEY).no, amount_minor=9, currency="CNY"),
            ),
        ),
    ),
    "line that the provider lacks": (
        "line_missing_at_provider",
        lambda month: _first((made := world(month)), lines=made.provider.invoices[0].lines[1:]),
    ),
    "invoice that the provider lacks": (
        "line_missing_at_provider",
        lambda month: (made := world(month))._replace(
            provider=replace(made.provider, invoices=made.provider.invoices[1:])
        ),
    ),
    "line that only the provider has": (
        "line_unknown_to_us",
        lambda month: _first(
            (made := world(month)),
            lines=(
                *made.provider.invoices[0].lines,
                ProviderLine(ref="il_x", line=None, amount_minor=9, currency="CNY"),
            ),
        ),
    ),
    "invoice for no statement": ("line_unknown_to_us", _stray),
    "line of another amount": (
        "amount_mismatch",
        lambda month: _first((made := world(month)), lines=_provider_line(made, amount_minor=1)),
    ),
    "payment of another amount": ("amount_mismatch", lambda month: _movement(month, amount_minor=1, fee_minor=0)),
    "other fee": ("amount_mismatch", lambda month: _movement(month, fee_minor=1)),
    "bytes that are not those that were issued": (
        "amount_mismatch",
        lambda month: _paper(world(month), kept_sha256="b"),
    ),
    "total that is not the sum": (
        "amount_mismatch",
        lambda month: _first((made := world(month)), credited_minor=made.provider.invoices[0].credited_minor + 1),
    ),
    "line in another currency": (
        "currency_mismatch",
        lambda month: _first((made := world(month)), lines=_provider_line(made, currency="USD")),
    ),
    "invoice in another currency": ("currency_mismatch", lambda month: _first(world(month), currency="USD")),
    "payment in another currency": ("currency_mismatch", lambda month: _movement(month, currency="HKD")),
    "invoice that is open only there": ("status_mismatch", lambda month: _first(world(month), status="open")),
    "invoice that is final only here": (
        "status_mismatch",
        lambda month: _first(world(month, "open"), status="draft"),
    ),
    "invoice that is void only there": ("status_mismatch", lambda month: _first(world(month, "open"), status="void")),
    "second invoice": ("duplicate_provider_invoice", _twin),
    "payment for nothing": ("payment_without_invoice", lambda month: _theirs(world(month), LOST)),
    "refund without a credit note": ("refund_without_credit_note", without_note),
    "late use": ("late_usage_pending", _late),
    "no fapiao": ("fapiao_missing", lambda month: _paper(world(month), fapiao=())),
    "fapiao of another amount": (
        "fapiao_amount_mismatch",
        lambda month: _paper(world(month), fapiao=(Fapiao(number="3" * 20, amount_minor=1),)),
    ),
    "line above its price": ("above_published_price", dearer),
    "price that was not in force yet": (
        "above_published_price",
        lambda month: _tally(world(month), PAID_KEY, first_at=BEGAN - timedelta(seconds=1)),
    ),
}
