"""What a payment provider is asked to collect for a statement: one invoice whose items come to what is payable.

Only commercial lines that cost something go out; free and government ones stay on the statement. Credit that an earlier
statement left is an item of its own, below zero. More lines than a provider takes are rolled up, one item for each
service, and their detail stays on the statement. Pure. Money is integer minor units (fen).
"""

from collections.abc import Iterable
from datetime import date
from itertools import groupby

from billing.gateway import LINES_MAX, TEXT_CHARS_MAX, Customer, Item, Order
from domain.errors import Refused
from domain.statement import KINDS, Line, Statement

BROUGHT_FORWARD = 0  # no line of the statement has this number
CREDIT = "credit"


class NothingToCollect(Refused):
    """A statement that comes to nothing, or to a credit, stays here."""

    slug = "nothing-to-collect"
    title = "The statement has nothing to pay"


class FreeBilled(Refused):
    """`facts.line`. The database refuses such a statement too: it can only be forged."""

    slug = "free-billed"
    title = "A free service would be charged"


def order_of(statement: Statement, sha256: str, due_on: date, customer: Customer) -> Order:
    """The invoice of a statement (`sha256`: of its bytes). Raises NothingToCollect, FreeBilled."""
    if statement.payable_minor <= 0:
        raise NothingToCollect(
            f"账单 {statement.number} 无应付金额 / statement {statement.number} has nothing to pay",
            statement=statement.number,
        )
    items = [*_credit(statement), *_items(_charged(statement))]
    assert sum(item.amount_minor for item in items) == statement.payable_minor, statement.number
    assert len(items) <= LINES_MAX, statement.number
    return Order(
        statement=statement.number,
        sha256=sha256,
        period=statement.period,
        currency=statement.currency,
        total_minor=statement.payable_minor,
        items=tuple(items),
        due_on=due_on,
        customer=customer,
    )


def customer_of(statement: Statement) -> Customer:
    """Who pays, as the statement names it."""
    holder = statement.holder
    return Customer(
        holder=holder.code,
        is_party=holder.is_party,
        zh=holder.zh,
        en=holder.en,
        tax_id=holder.code if holder.is_party else "",
    )


def _charged(statement: Statement) -> list[Line]:
    """Lines that cost something, or give something back."""
    charged = [line for line in statement.lines if line.amount_minor]
    for line in charged:
        if line.item_class != "commercial":
            raise FreeBilled(
                f"账单 {statement.number} 第 {line.no} 行为免费服务 / line {line.no} of {statement.number} is free",
                statement=statement.number,
                line=line.no,
            )
    return charged


def _credit(statement: Statement) -> list[Item]:
    if not statement.brought_forward_minor:
        return []
    said = "上期结转余额 / credit brought forward"
    if statement.previous:
        said = f"{said} {statement.previous}"
    minor = statement.brought_forward_minor
    return [Item(line=BROUGHT_FORWARD, item=CREDIT, description=said, amount_minor=minor)]


def _items(lines: list[Line]) -> list[Item]:
    if len(lines) < LINES_MAX:  # one place is kept for the credit
        return [_item(line) for line in lines]
    by_item = sorted(lines, key=lambda line: (line.item, line.no))
    rolled = [_rolled(list(own)) for _, own in groupby(by_item, key=lambda line: line.item)]
    return [item for item in rolled if item.amount_minor]


def _item(line: Line) -> Item:
    parts = [f"{line.zh} / {line.en}"]
    if line.kind != "usage":
        parts.append(" / ".join(KINDS[line.kind]))
    if line.corrects_period:
        parts.append(f"更正 / corrects {line.corrects_period}")
    parts.append(line.explanation)
    return Item(line=line.no, item=line.item, description=_told(parts), amount_minor=line.amount_minor)


def _rolled(lines: list[Line]) -> Item:
    """All lines of a service in one; it bears the number of the first."""
    first = lines[0]
    parts = [
        f"{first.zh} / {first.en}",
        f"共 {len(lines)} 行，明细见账单 / {len(lines)} lines, detail on the statement",
    ]
    minor = sum(line.amount_minor for line in lines)
    return Item(line=first.no, item=first.item, description=_told(parts), amount_minor=minor)


def _told(parts: Iterable[str]) -> str:
    """As much of it as a provider shows.

    >>> _told(["推送 / push", "", "12 x 2"])
    '推送 / push: 12 x 2'
    """
    text = ": ".join(part for part in parts if part)
    return text if len(text) <= TEXT_CHARS_MAX else f"{text[: TEXT_CHARS_MAX - 1]}…"
