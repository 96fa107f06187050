"""Three reports on a month's statements: what bears the cost, what each enterprise bears, what it could have had free.

They rest on issued lines alone, so they agree with the statements to the fen. The cost of an item is the unit cost that
was declared with its tariff, times the units rendered, free ones too; a government service has no tariff and no
declared cost: the public budget bears it. Money is fen, tax included unless it says net.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal

import msgspec
import psycopg
from psycopg.rows import class_row

from billing.statement import Pinned
from domain.catalogue import Price


class LineTold(msgspec.Struct, frozen=True):
    """An issued line, as far as reports need it."""

    holder: str
    is_party: bool
    holder_zh: str
    holder_en: str
    statement: str
    payable_minor: int
    kind: str
    item: str
    item_class: str
    tariff: str | None
    waived: str
    corrects_period: str | None
    quantity: int
    free_quantity: int
    list_minor: int
    waived_minor: int
    whole_minor: int
    amount_minor: int
    net_minor: int
    tax_minor: int

    @property
    def free(self) -> int:
        """Units that nobody paid."""
        return self.quantity if self.tariff is None or self.waived else self.free_quantity


LINES = """
SELECT
    s.holder, s.is_party, s.holder_zh, s.holder_en, l.statement, s.payable_minor, l.kind, l.item, l.item_class,
    l.tariff, l.waived, l.corrects_period, l.quantity, l.free_quantity, l.list_minor, l.waived_minor, l.whole_minor,
    l.amount_minor, l.net_minor, l.tax_minor
FROM issued_lines AS l JOIN issued_statements AS s USING (statement)
WHERE s.period = %s
"""
BY_ITEM, BY_STATEMENT = "ORDER BY l.item_class DESC, l.item, l.statement, l.line", "ORDER BY l.statement, l.line"


def _lines(connection: psycopg.Connection[Any], month: str, order: str) -> Iterator[LineTold]:
    """Read as they are asked for."""
    with connection.cursor("told", row_factory=class_row(LineTold)) as cursor:
        cursor.itersize = 2_000
        cursor.execute((LINES + order).encode(), (month,))
        yield from cursor


# --- who bears the cost ---


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """An item. `cost_minor`: None where some of what was sold has no declared cost."""

    item: str
    zh: str
    en: str
    item_class: str
    fund_source: str  # of FUNDS
    quantity: int
    free_quantity: int
    list_minor: int
    waived_minor: int
    revenue_minor: int
    net_minor: int
    tax_minor: int
    cost_minor: int | None
    surplus_minor: int | None  # revenue less cost; below zero: a loss
    uncovered_minor: int | None  # of the cost, what no user pays
    review_due: bool  # the day is over by which a price was to be reviewed
    alarm: bool  # a surplus where there may be none


def recovery(connection: psycopg.Connection[Any], pinned: Pinned, *, regime: str, now: datetime) -> Iterator[Recovery]:
    """Revenue against declared cost, by item, and who bears it."""
    for item, own in groupby(_lines(connection, pinned.period, BY_ITEM), attrgetter("item")):
        yield _recovered(str(item), own, pinned, regime, now)


def _recovered(item: str, lines: Iterable[LineTold], pinned: Pinned, regime: str, now: datetime) -> Recovery:
    sums = dict.fromkeys(("quantity", "free_quantity", "list_minor", "waived_minor"), 0)
    money = dict.fromkeys(("amount_minor", "net_minor", "tax_minor"), 0)
    cost: int | None = 0
    due = False
    for line in lines:
        for name in money:
            money[name] += getattr(line, name)
        if line.kind != "usage":
            continue
        price = pinned.prices.get((item, line.tariff or ""))
        due = due or bool(price and price.review_by and price.review_by < now)
        cost = None if cost is None or (unit := _unit_cost(line, price)) is None else cost + line.quantity * unit
        for name in ("quantity", "list_minor", "waived_minor"):
            sums[name] += getattr(line, name)
        sums["free_quantity"] += line.free
    listed, revenue = pinned.items[item], money["amount_minor"]
    government = listed.item_class == "government"
    cost = None if government else cost
    surplus = None if cost is None else revenue - cost
    return Recovery(
        item=item,
        zh=listed.zh,
        en=listed.en,
        item_class=listed.item_class,
        fund_source="public_budget" if government else "users_and_node" if (surplus or 0) < 0 else "users",
        **sums,
        revenue_minor=revenue,
        net_minor=money["net_minor"],
        tax_minor=money["tax_minor"],
        cost_minor=cost,
        surplus_minor=surplus,
        uncovered_minor=None if surplus is None else max(0, -surplus),
        review_due=due,
        alarm=not government and regime == "cost_recovery" and (revenue if surplus is None else surplus) > 0,
    )


def _unit_cost(line: LineTold, price: Price | None) -> int | None:
    """What a unit costs the node; 0 of what was not rendered: empty, denied, failed."""
    if line.tariff is None:
        return 0
    return price.cost.unit_minor if price and price.cost else None


# --- what each enterprise bears ---


class Burden(msgspec.Struct, frozen=True, kw_only=True):
    """An enterprise's month. Percentages are whole, rounded down."""

    holder: str
    holder_zh: str
    holder_en: str
    statement: str
    quantity: int
    free_quantity: int
    free_percent: int
    list_minor: int
    waived_minor: int
    amount_minor: int
    payable_minor: int
    paid_items: int
    largest_item: str  # the one with the most money
    largest_minor: int
    at_cap: tuple[str, ...]  # items of which it paid the most that a month can cost


class BurdenItem(msgspec.Struct, frozen=True, kw_only=True):
    """Of it, one item."""

    holder: str
    holder_zh: str
    holder_en: str
    statement: str
    item: str
    zh: str
    en: str
    item_class: str
    quantity: int
    free_quantity: int
    free_percent: int
    list_minor: int
    waived_minor: int
    amount_minor: int
    at_cap: bool


def burdens(connection: psycopg.Connection[Any], pinned: Pinned) -> Iterator[Burden]:
    """One row for each statement."""
    for statement, group in groupby(_lines(connection, pinned.period, BY_STATEMENT), attrgetter("statement")):
        lines = list(group)
        items = list(_by_item(lines, pinned))
        largest = max(items, key=attrgetter("amount_minor"))
        quantity, free = sum(each.quantity for each in items), sum(each.free_quantity for each in items)
        yield Burden(
            **_whose(lines[0]),
            statement=str(statement),
            quantity=quantity,
            free_quantity=free,
            free_percent=_percent(free, quantity),
            list_minor=sum(each.list_minor for each in items),
            waived_minor=sum(each.waived_minor for each in items),
            amount_minor=sum(each.amount_minor for each in items),
            payable_minor=lines[0].payable_minor,
            paid_items=sum(each.amount_minor > 0 for each in items),
            largest_item=largest.item if largest.amount_minor > 0 else "",
            largest_minor=max(0, largest.amount_minor),
            at_cap=tuple(each.item for each in items if each.at_cap),
        )


def burden_items(connection: psycopg.Connection[Any], pinned: Pinned) -> Iterator[BurdenItem]:
    """One row for each item on a statement."""
    for _, group in groupby(_lines(connection, pinned.period, BY_STATEMENT), attrgetter("statement")):
        yield from _by_item(list(group), pinned)


def _by_item(lines: Sequence[LineTold], pinned: Pinned) -> Iterator[BurdenItem]:
    groups: dict[str, list[LineTold]] = {}
    for line in lines:
        groups.setdefault(line.item, []).append(line)
    for item, own in groups.items():
        used = [line for line in own if line.kind == "usage"]
        quantity, free = sum(line.quantity for line in used), sum(line.free for line in used)
        listed = pinned.items[item]
        yield BurdenItem(
            **_whose(own[0]),
            statement=own[0].statement,
            item=item,
            zh=listed.zh,
            en=listed.en,
            item_class=listed.item_class,
            quantity=quantity,
            free_quantity=free,
            free_percent=_percent(free, quantity),
            list_minor=sum(line.list_minor for line in used),
            waived_minor=sum(line.waived_minor for line in used),
            amount_minor=sum(line.amount_minor for line in own),
            at_cap=any(_capped(line, pinned) for line in used),
        )


def _whose(line: LineTold) -> dict[str, str]:
    return {"holder": line.holder, "holder_zh": line.holder_zh, "holder_en": line.holder_en}


def _capped(line: LineTold, pinned: Pinned) -> bool:
    price = pinned.prices.get((line.item, line.tariff or ""))
    cap = price.rule.cap_minor if price else None
    return cap is not None and not line.waived and line.whole_minor >= cap > 0 and line.corrects_period is None


def _percent(part: int, whole: int) -> int:
    return 100 * part // whole if whole else 0


# --- what it could have had free of charge ---


class Duplicate(msgspec.Struct, frozen=True, kw_only=True):
    """Paid usage of an item beside the government service that gives the same free of charge."""

    holder: str
    holder_zh: str
    holder_en: str
    statement: str
    item: str
    zh: str
    en: str
    paid_quantity: int
    amount_minor: int
    free_alternative: str
    alternative_zh: str
    alternative_en: str
    alternative_quantity: int  # what the same enterprise used of it in the month
    found: Literal["used", "could_have"]


def duplicates(connection: psycopg.Connection[Any], pinned: Pinned) -> Iterator[Duplicate]:
    """Where an enterprise paid for what a free service gives too; those that used both say so."""
    for _, group in groupby(_lines(connection, pinned.period, BY_STATEMENT), attrgetter("statement")):
        lines = list(group)
        used: dict[str, int] = {}
        for line in lines:
            if line.item_class == "government":
                used[line.item] = used.get(line.item, 0) + line.quantity
        for each in _by_item([line for line in lines if line.kind != "adjustment"], pinned):
            other = pinned.items.get(pinned.items[each.item].free_alternative)
            if each.amount_minor <= 0 or other is None:
                continue
            quantity = used.get(other.item, 0)
            yield Duplicate(
                holder=each.holder,
                holder_zh=each.holder_zh,
                holder_en=each.holder_en,
                statement=each.statement,
                item=each.item,
                zh=each.zh,
                en=each.en,
                paid_quantity=each.quantity - each.free_quantity,
                amount_minor=each.amount_minor,
                free_alternative=other.item,
                alternative_zh=other.zh,
                alternative_en=other.en,
                alternative_quantity=quantity,
                found="used" if quantity else "could_have",
            )
