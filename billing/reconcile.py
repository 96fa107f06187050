"""Reconciling a month: three snapshots in, typed differences out. Pure: the same snapshots give the same breaks.

    journal = ledger = statement lines        each use measured once, on exactly one line, at no more than its price
    statement = the provider's invoice        line by line, to the fen (billing/reconcile_invoices.py)
    invoice = payments, refunds, credit notes, fapiao                 (billing/reconcile_money.py)

Of two amounts `ours_minor` is what stands first in that chain and ought to be, `theirs_minor` what was found behind it.
One cause makes one break: what an earlier join has told of is not told again by a later one. What is in order is no
break: statements that come to nothing and have no invoice, credit that is carried forward, invoices that are still to
be paid. Money is integer minor units (fen).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from billing.found import Found, both, delivery, line_path, statement_path
from billing.rating import rate
from billing.reconcile_invoices import invoices
from billing.reconcile_money import moneys
from billing.snapshots import Billed, Count, Gap, Key, Ours, Paper, Provider, Published, Statements, Tally
from domain.reconciliation import CODES, Break, Code

GRAVE: tuple[Code, ...] = ("free_usage_billed", "above_published_price")  # they come first, however many others
ORDER = {code: place for place, code in enumerate(dict.fromkeys((*GRAVE, *CODES)))}
ADJUSTMENT, SHARE, USAGE = "adjustment", "share", "usage"


class Placed(NamedTuple):
    """A line and the statement that it stands on."""

    paper: Paper
    line: Billed


def reconcile(ours: Ours, statements: Statements, provider: Provider) -> list[Break]:
    """Every difference, ordered by kind and by what it is about; each once."""
    rates = Rates(ours)
    placed = [Placed(paper, line) for paper in statements.papers for line in paper.lines]
    charged_free = {(each.paper.number, each.line.no) for each in placed if _free_billed(each.line, rates)}
    paid = list(moneys(statements, provider))
    breaks = [
        *_counted(ours, rates),
        *_used(ours, placed, rates),
        *_late(ours, rates),
        *_lines(placed, charged_free, rates, ours),
        *_shares(placed, charged_free),
        *_papers(statements),
        *paid,
        *invoices(statements, provider, charged_free, {each.statement for each in paid}),
    ]
    by_id: dict[str, Break] = {}
    for each in breaks:
        told = each.told(ours.period)
        by_id.setdefault(told.break_id, told)
    return sorted(by_id.values(), key=lambda told: (ORDER[told.code], told.statement, told.line or 0, told.about))


# --- rating anew ---


class Rates:
    """The published prices, and what was posted before to lines that correct an earlier month."""

    def __init__(self, ours: Ours) -> None:
        self.prices: Mapping[tuple[str, str], Published] = {(each.item, each.version): each for each in ours.published}
        self.earlier = {each.key: each.count for each in ours.earlier}
        self.government = frozenset(ours.government)

    def of(self, key: Key) -> Published | None:
        return self.prices.get((key.item, key.tariff))

    def net(self, key: Key, count: Count) -> int:
        """Units that are rated: what sources took back is given back where the tariff says so."""
        price = self.of(key)
        return count.quantity - (count.reversed if price and price.rule.reversal_credit else 0)

    def worth(self, key: Key, count: Count) -> tuple[int, int]:
        """List price and amount of what a line counts, by the published price alone. Without one it is nothing."""
        price, before = self.of(key), self.earlier.get(key, Count())
        if price is None or not count.deliveries + count.quantity + count.reversed + count.standing:
            return 0, 0
        posted = self.net(key, before)
        after = rate(price.rule, posted + self.net(key, count))
        listed, amount = after.list_minor, after.amount_minor
        if before != Count():
            had = rate(price.rule, posted)
            listed, amount = listed - had.list_minor, amount - had.amount_minor
        return listed, 0 if key.waived else amount


# --- journal and ledger ---


def _counted(ours: Ours, rates: Rates) -> Iterator[Found]:
    for tally in ours.tallies:
        if tally.unmetered.entries:
            yield _gap("unmetered_event", tally, tally.unmetered, rates)
        if tally.duplicate.entries:
            yield _gap("duplicate_entry", tally, tally.duplicate, rates)
        if tally.charged and (not tally.key.tariff or tally.key.waived or tally.key.item in rates.government):
            yield Found(
                "free_usage_billed",
                f"{tally.key}",
                holder=tally.key.holder,
                detail=f"{tally.charged} 条免费用量标为收费 / {tally.charged} free entries are marked as to be paid",
            )
    if ours.unreadable.entries:
        yield Found(
            "unmetered_event",
            "unreadable",
            detail=_named(ours.unreadable, "条日志无法解读", "facts cannot be read"),
            evidence=delivery(ours.unreadable.examples),
        )


def _gap(code: Code, tally: Tally, gap: Gap, rates: Rates) -> Found:
    zh, en = ("未计量", "not metered") if code == "unmetered_event" else ("多计", "counted too often")
    return Found(
        code,
        f"{tally.key}",
        holder=tally.key.holder,
        ours_minor=rates.worth(tally.key, tally.journal)[1],
        theirs_minor=rates.worth(tally.key, tally.ledger)[1],
        detail=_named(gap, f"条{zh}，{gap.quantity} 单位", f"{en}, {gap.quantity} units"),
        evidence=delivery(gap.examples),
    )


def _named(gap: Gap, zh: str, en: str) -> str:
    """How many there are, and some of them by name."""
    names = ", ".join(gap.examples) + (" …" if gap.entries > len(gap.examples) else "")
    return f"{gap.entries} {zh}：{names} / {gap.entries} {en}: {names}"


# --- ledger and statement lines ---


def _used(ours: Ours, placed: list[Placed], rates: Rates) -> Iterator[Found]:
    """Each use on exactly one line: the line is the sum of its entries."""
    lines: dict[Key, list[Placed]] = defaultdict(list)
    for each in placed:
        if each.line.kind == USAGE:
            lines[each.line.key].append(each)
    tallies = {tally.key: tally for tally in ours.tallies}
    for key in sorted(tallies.keys() | lines.keys()):
        tally, on = tallies.get(key), lines.get(key, [])
        counted = [_billable(key, count, rates) for count in ((tally.ledger, tally.journal) if tally else (Count(),))]
        billed = Count(
            sum(each.line.deliveries for each in on),
            sum(each.line.quantity for each in on),
            sum(each.line.reversed_quantity for each in on),
        )
        unbilled = not on and tally is not None and tally.ledger.standing > 0  # no units tell that it is missing
        if (billed in counted and not unbilled) or (not on and tally is not None and tally.ledger == Count()):
            continue  # or the join before has told of it
        yield _unlike(key, counted[0], billed, on, rates)


def _billable(key: Key, count: Count, rates: Rates) -> Count:
    """As a line says it: units that were taken back only where the tariff gives them back."""
    price = rates.of(key)
    return Count(count.deliveries, count.quantity, count.reversed if price and price.rule.reversal_credit else 0)


def _unlike(key: Key, counted: Count, billed: Count, on: list[Placed], rates: Rates) -> Found:
    less = (
        not on
        or billed.deliveries < counted.deliveries
        or billed.quantity < counted.quantity
        or billed.reversed > counted.reversed
    )
    number, no = (on[0].paper.number, on[0].line.no) if on else ("", None)
    return Found(
        "unrated_usage" if less else "duplicate_entry",
        f"line:{key}",
        holder=key.holder,
        statement=number,
        line=no,
        ours_minor=rates.worth(key, msgspec.structs.replace(counted, standing=int(not on)))[1],  # a flat price
        theirs_minor=sum(each.line.whole_minor for each in on),
        detail=f"计量 {counted.deliveries} 次 {counted.quantity} 单位，账单 {len(on)} 行 {billed.deliveries} 次"
        f" {billed.quantity} 单位 / metered {counted.deliveries} deliveries, {counted.quantity} units; on"
        f" {len(on)} lines {billed.deliveries}, {billed.quantity}",
        evidence=line_path(number, no) if no else "",
    )


def _late(ours: Ours, rates: Rates) -> Iterator[Found]:
    """What waits for a later month, with what it will come to there."""
    posted = {tally.key: rates.net(tally.key, tally.ledger) for tally in ours.tallies}
    for late in sorted(ours.late, key=lambda each: (each.key, each.billing_period)):
        own = Key(late.key.holder, late.key.is_party, late.key.item, late.key.tariff, late.key.waived)
        before, price = posted.get(own), rates.of(own)
        posted[own] = (before or 0) + late.quantity
        worth = 0
        if price is not None and not own.waived:
            worth = rate(price.rule, posted[own]).amount_minor
            worth -= rate(price.rule, before).amount_minor if before is not None else 0
        yield Found(
            "late_usage_pending",
            f"{late.key}:{late.billing_period}",
            holder=late.key.holder,
            ours_minor=worth,
            theirs_minor=0,
            detail=f"{late.entries} 条 {late.quantity} 单位待入 {late.billing_period} / {late.entries} entries,"
            f" {late.quantity} units wait for {late.billing_period}",
            evidence=delivery((late.example,)),
        )


# --- lines and prices ---


def _free_billed(line: Billed, rates: Rates) -> bool:
    """Government items have no amount of any kind, what has no price neither; what is waived has a list price."""
    if line.item_class == "government" or line.item in rates.government:
        return bool(line.amount_minor or line.whole_minor or line.list_minor)
    if line.kind == ADJUSTMENT:
        return False
    if not line.tariff:
        return bool(line.amount_minor or line.whole_minor or line.list_minor)
    return bool(line.waived and (line.amount_minor or line.whole_minor))


def _lines(placed: list[Placed], charged_free: set[tuple[str, int]], rates: Rates, ours: Ours) -> Iterator[Found]:
    first = {tally.key: tally.first_at for tally in ours.tallies}
    for paper, line in placed:
        where: Any = {"holder": paper.holder, "statement": paper.number, "line": line.no}
        where |= {"evidence": line_path(paper.number, line.no)}
        if (paper.number, line.no) in charged_free:
            minor = line.amount_minor or line.whole_minor or line.list_minor
            yield Found(
                "free_usage_billed",
                f"{paper.number}:{line.no}",
                ours_minor=0,
                theirs_minor=minor,
                detail=line.item,
                **where,
            )
        elif line.kind == USAGE and line.tariff and (found := _priced(line, first.get(line.key), rates)):
            code, said, amount = found
            yield Found(
                code,
                f"price:{paper.number}:{line.no}",
                ours_minor=amount,
                theirs_minor=line.whole_minor,
                detail=both(f"{line.item} {line.tariff}", *said),
                **where,
            )


def _priced(line: Billed, first_at: datetime | None, rates: Rates) -> tuple[Code, tuple[str, str], int] | None:
    """A line against its published price, by what it counts itself; None: they agree."""
    price = rates.of(line.key)
    # the line is there, so something was posted; only a flat price is worth anything without units
    listed, amount = rates.worth(line.key, Count(line.deliveries, line.quantity, line.reversed_quantity, standing=1))
    if price is None or (first_at is not None and first_at < price.effective_from):
        said = ("使用时未公示或未生效", "not published, or not in force when it was used")
        return "above_published_price", said, amount
    if (line.list_minor, line.whole_minor) == (listed, amount):
        return None
    said = (f"目录价 {listed}，账单 {line.list_minor}", f"list price {listed}, billed {line.list_minor}")
    above = line.list_minor > listed or line.whole_minor > amount
    return "above_published_price" if above else "amount_mismatch", said, amount


def _shares(placed: list[Placed], charged_free: set[tuple[str, int]]) -> Iterator[Found]:
    """What the parties to a line bear comes to the whole of it."""
    whole: dict[Key, int] = defaultdict(int)
    for _, line in placed:
        if line.kind != ADJUSTMENT:
            whole[line.key] += (line.whole_minor if line.kind == USAGE else 0) - line.amount_minor
    for paper, line in placed:
        if line.kind == USAGE and whole.get(line.key) and (paper.number, line.no) not in charged_free:
            yield Found(
                "amount_mismatch",
                f"shares:{paper.number}:{line.no}",
                holder=paper.holder,
                statement=paper.number,
                line=line.no,
                ours_minor=line.whole_minor,
                theirs_minor=line.whole_minor - whole[line.key],
                detail="各方分担之和不等于全额 / what the parties bear is not the whole",
                evidence=line_path(paper.number, line.no),
            )


# --- a statement in itself ---


def _papers(statements: Statements) -> Iterator[Found]:
    for paper in statements.papers:
        left = paper.total_minor + paper.brought_forward_minor
        for what, mine, found in (
            ("total", sum(line.amount_minor for line in paper.lines), paper.total_minor),
            ("brought_forward", min(0, paper.left_before_minor), paper.brought_forward_minor),
            ("payable", max(0, left), paper.payable_minor),
            ("carried_forward", min(0, left), paper.carried_forward_minor),
        ):
            if mine != found:
                yield Found(
                    "amount_mismatch",
                    f"{what}:{paper.number}",
                    holder=paper.holder,
                    statement=paper.number,
                    ours_minor=mine,
                    theirs_minor=found,
                    detail=both(what, "与各行之和或上期结转不符", "not what lines and the credit before come to"),
                    evidence=statement_path(paper.number),
                )
        if paper.sha256 != paper.kept_sha256:
            yield Found(
                "amount_mismatch",
                f"sha256:{paper.number}",
                holder=paper.holder,
                statement=paper.number,
                detail=f"存档内容与摘要不符 / the bytes that are kept are not those that were issued: {paper.sha256}",
                evidence=statement_path(paper.number),
            )
