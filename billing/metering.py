"""What a delivery counts for, and what an enterprise used, free beside paid.

One unit of a commercial item is what its catalogue entry says (a fact, a row, an alert); of a government item, one
answer. The result decides what is charged: an empty answer, a denied request and an error cost nothing, and a push
costs nothing until its receiver has taken it. Government items cost nothing ever.

An enterprise (a party; an account that has none) pays for the sum of a month: what it used of an item at one price
version is rated together (billing/rating.py), whoever of its people asked. What a day or an account comes to is its
part of that: the amount with it less the amount without it, in the order of the days. So the parts always come to the
whole, whatever one asks for, and a statement says what the customer saw live. Money is integer minor units (fen).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Literal

import msgspec
import psycopg

from billing.rating import Rated, rate, split
from domain import period
from domain.catalogue import Price
from domain.delivery import DeliveryMade, Measured, PushAccepted
from domain.fact import Fact
from domain.pricing import Pricing
from domain.standing import ChargeFellDue
from projections import usage
from projections.usage import Cell, Whose

DELIVERY, PUSH, REVERSAL, STANDING = "delivery/1", "push/1", "reversal/1", usage.STANDING
EPOCH, DOOMSDAY = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
NOTHING = Rated(0, 0, 0, "")


def measure(told: Fact) -> Sequence[Measured]:
    """The meters' readings of one fact; nothing for facts that are no delivery.

    What a source takes back is a reading of its own, below zero; whether it is given back is for the tariff to say. A
    standing charge is a reading of nothing at a flat price, which comes to the price.
    """
    if isinstance(told, ChargeFellDue):
        return (_standing(told),)
    if isinstance(told, DeliveryMade):
        meter, result = DELIVERY, told.result
        quantity = told.count if told.item_class == "commercial" else 1
    elif isinstance(told, PushAccepted):
        meter, result, quantity = PUSH, "ok", told.count
    else:
        return ()
    priced = told.item_class == "commercial" and result == "ok" and quantity > 0 and told.tariff != ""
    reading = Measured(
        meter,
        told.account,
        told.item,
        told.item_class,
        result,
        quantity,
        told.tariff if priced else None,
        told.happened_at,
        told.party,
        told.behalf,
        told.waived if priced else "",
    )
    if not (priced and told.reversals):
        return (reading,)
    return (reading, msgspec.structs.replace(reading, meter=REVERSAL, quantity=-told.reversals))


def _standing(told: ChargeFellDue) -> Measured:
    return Measured(
        STANDING,
        told.account,
        told.item,
        "commercial",
        "ok",
        0,
        told.tariff,
        told.happened_at,
        told.party,
    )


# --- the report ---


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Units and money. Amounts of what has no price are 0."""

    deliveries: int
    quantity: int
    free_quantity: int = 0  # of it, units that the tariff includes
    reversed_quantity: int = 0  # units that their sources took back, given back by the tariff
    list_minor: int = 0  # without free units, cap and waiver
    waived_minor: int = 0  # what these take off it
    amount_minor: int = 0
    first_at: datetime
    last_at: datetime


class UsageRow(Counted, frozen=True, kw_only=True):
    """A row of the report. A government row has no price: `price_minor` is None."""

    account: str
    party: str = ""
    item: str
    item_class: str
    provider: str = ""  # third party that renders the item
    tariff: str | None
    price_minor: int | None  # of a unit, or what is shown first of another rule
    waived: str = ""  # trial, sandbox
    currency: str
    billing_period: str = ""  # month in Asia/Shanghai, 2026-10
    corrects_period: str | None = None  # an earlier month in which it was used, that was cut off before
    day: str | None = None  # in Asia/Shanghai, if asked for by day


class Share(msgspec.Struct, frozen=True):
    """Who bears how much of a line: the enterprise itself, or the party that it acted for."""

    party: str
    amount_minor: int


class UsageLine(Counted, frozen=True, kw_only=True):
    """What an enterprise's month comes to at one price, as a statement says it. Without a price it comes to nothing."""

    holder: str
    is_party: bool = False
    item: str
    item_class: str = "commercial"
    provider: str = ""
    tariff: str | None
    waived: str = ""
    currency: str
    billing_period: str
    corrects_period: str | None = None
    explanation: str  # how it was reckoned, in figures
    shares: list[Share]


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """Free beside paid. `position`: the newest entry of the commerce journal that is counted."""

    rows: list[UsageRow]
    lines: list[UsageLine] = []
    free_quantity: int
    paid_quantity: int
    list_minor: int = 0
    waived_minor: int = 0
    amount_minor: int
    currency: str
    position: int


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is about: the half-open window [start, end) of use, or all that is posted to a month."""

    whose: Whose = Whose()
    account: str | None = None  # rows of this account alone
    start: datetime | None = None
    end: datetime | None = None
    month: str | None = None
    by: Literal["item", "day"] = "item"


def report(
    connection: psycopg.Connection[Any],
    prices: Sequence[Price],
    asked: Asked,
    providers: Mapping[str, str] | None = None,
) -> UsageReport:
    """What was used, by account, item, price version and month. `providers`: of items rendered by third parties."""
    start, end = asked.start or EPOCH, asked.end or DOOMSDAY
    first, last = period.bounds(period.month_of(start))[0], period.bounds(period.month_of(end))[1]
    if asked.month is not None:
        first, last = period.bounds(asked.month)
        if late := usage.earliest_corrected(connection, asked.month):
            first = period.bounds(late)[0]
    found = usage.cells(connection, asked.whose, start=start, end=end, first=first, last=last)
    return fold(found, prices, asked, providers or {})


# --- the fold: the same for a customer's look and a statement ---


class _Part(msgspec.Struct, frozen=True):
    """A cell and what it adds to the month of its enterprise."""

    cell: Cell
    price: Price | None
    before: Rated
    after: Rated

    def counted(self) -> Counted:
        cell, before, after = self.cell, self.before, self.after
        listed = after.list_minor - before.list_minor
        amount = 0 if cell.waived else after.amount_minor - before.amount_minor
        return Counted(
            deliveries=cell.deliveries,
            quantity=cell.quantity,
            free_quantity=after.free_quantity - before.free_quantity,
            reversed_quantity=cell.reversed if self.price and self.price.rule.reversal_credit else 0,
            list_minor=listed,
            waived_minor=listed - amount,
            amount_minor=amount,
            first_at=cell.first_at,
            last_at=cell.last_at,
        )


def fold(
    cells: Sequence[Cell], prices: Sequence[Price], asked: Asked, providers: Mapping[str, str] | None = None
) -> UsageReport:
    """The report over cells in the order of projections/usage.py. Pure.

    The cells must go back to the beginning of each month that is told of: what was used before decides what a tier,
    the included units and the cap leave for what was used later.
    """
    published = {(price.item, price.version): price for price in prices}
    named = providers or {}
    parts = _rated(cells, published)
    inside = [part for part in parts if part.cell.part == 1 and asked.month in {None, part.cell.billing_period}]
    shown = [part for part in inside if asked.account in {None, part.cell.account}]
    rows = [_row(list(group), named, asked) for group in _grouped(shown, _row_key(asked))]
    priced = [part for part in inside if part.price]
    lines = [] if asked.account else [_line(group, named) for group in _grouped(priced, _line_key)]
    return UsageReport(
        rows=rows,
        lines=lines,
        free_quantity=sum(row.quantity for row in rows if row.item_class == "government"),
        paid_quantity=sum(row.quantity for row in rows if row.tariff is not None and not row.waived),
        list_minor=sum(row.list_minor for row in rows),
        waived_minor=sum(row.waived_minor for row in rows),
        amount_minor=sum(row.amount_minor for row in rows),
        currency="CNY",
        position=max((part.cell.position for part in shown), default=0),
    )


def charges(cells: Iterable[Cell], published: Mapping[tuple[str, str], Price], month: str) -> list[UsageLine]:
    """Every line of what is posted to a month, free and paid, of the cells of one or more holders. Pure.

    The same fold as the report's: cells must go back to the beginning of each month that is told of. `published`: by
    item and version.
    """
    inside = [part for part in _rated(cells, published) if part.cell.billing_period == month]
    return [_line(group, {}) for group in _grouped(inside, _line_key)]


def _rated(cells: Iterable[Cell], published: Mapping[tuple[str, str], Price]) -> list[_Part]:
    return [part for _, group in groupby(cells, _rated_together) for part in _parts(list(group), published)]


def _rated_together(cell: Cell) -> tuple[object, ...]:
    return (cell.holder, cell.party, cell.item, cell.tariff, cell.waived, cell.month)


def _parts(group: Sequence[Cell], published: Mapping[tuple[str, str], Price]) -> Iterable[_Part]:
    """The cells of one rating, each with what came before it."""
    [tariff] = {cell.tariff for cell in group}
    price = published[(group[0].item, tariff)] if tariff is not None else None  # what is charged names a published one
    before, quantity = NOTHING, 0
    for cell in group:
        after = before
        if price is not None:
            quantity += cell.quantity - (cell.reversed if price.rule.reversal_credit else 0)
            after = rate(price.rule, quantity)
        yield _Part(cell, price, before, after)
        before = after


def _grouped(parts: Iterable[_Part], key: Any) -> list[list[_Part]]:
    """In the order in which the groups begin."""
    groups: dict[object, list[_Part]] = {}
    for part in parts:
        groups.setdefault(key(part.cell), []).append(part)
    return list(groups.values())


def _row_key(asked: Asked) -> Any:
    def key(cell: Cell) -> object:
        day = cell.day if asked.by == "day" else None
        price = (cell.item, cell.tariff, cell.waived)
        return (cell.account, cell.party, *price, cell.billing_period, cell.corrects_period, day)

    return key


def _line_key(cell: Cell) -> object:
    return (*_rated_together(cell), cell.billing_period)


def _sum(parts: Sequence[_Part]) -> dict[str, Any]:
    each = [part.counted() for part in parts]
    names = [name for name in Counted.__struct_fields__ if not name.endswith("_at")]
    sums: dict[str, Any] = {name: sum(getattr(one, name) for one in each) for name in names}
    return {**sums, "first_at": min(one.first_at for one in each), "last_at": max(one.last_at for one in each)}


def _row(parts: Sequence[_Part], providers: Mapping[str, str], asked: Asked) -> UsageRow:
    cell, price = parts[0].cell, parts[0].price
    return UsageRow(
        account=cell.account,
        party=cell.party,
        item=cell.item,
        item_class=cell.item_class,
        provider=providers.get(cell.item, ""),
        tariff=cell.tariff,
        price_minor=price.price_minor if price else None,
        waived=cell.waived,
        currency=price.currency if price else "CNY",
        billing_period=cell.billing_period,
        corrects_period=cell.corrects_period,
        day=cell.day if asked.by == "day" else None,
        **_sum(parts),
    )


def _line(parts: Sequence[_Part], providers: Mapping[str, str]) -> UsageLine:
    cell, price = parts[0].cell, parts[0].price
    before, after = parts[0].before, parts[-1].after
    return UsageLine(
        holder=cell.holder,
        is_party=cell.party != "",
        item=cell.item,
        item_class=cell.item_class,
        provider=providers.get(cell.item, ""),
        tariff=cell.tariff,
        waived=cell.waived,
        currency=price.currency if price else "CNY",
        billing_period=cell.billing_period,
        corrects_period=cell.corrects_period,
        explanation=f"({after.explanation}) - ({before.explanation})" if before.explanation else after.explanation,
        shares=_shares(parts, price.rule) if price else [],
        **_sum(parts),
    )


def _shares(parts: Sequence[_Part], rule: Pricing) -> list[Share]:
    """The principal is whom the caller acted for; without one the caller bears all."""
    borne: dict[str, int] = {}
    for group in _grouped(parts, lambda cell: cell.behalf):
        amount = sum(part.counted().amount_minor for part in group)
        for party, minor in _borne(rule, group[0].cell, amount).items():
            borne[party] = borne.get(party, 0) + minor
    return [Share(party, minor) for party, minor in borne.items()]


# --- line by line, day by day ---


class Piece(msgspec.Struct, frozen=True):
    """A cell of a line: what it adds, and who bears how much of that."""

    cell: Cell
    price: Price | None
    counted: Counted
    shares: dict[str, int]  # by party; of what is not charged none


def pieces(
    cells: Iterable[Cell], published: Mapping[tuple[str, str], Price], month: str
) -> Iterator[tuple[object, Piece]]:
    """What is posted to a month, cell by cell, each after the key of its line. They add up to `charges`. Pure.

    Who bears a piece is the split of all so far less the split of all before, so no odd fen is lost or found.
    """
    line: object = None
    borne: dict[str, int] = {}
    for part in _rated(cells, published):
        cell, price = part.cell, part.price
        if cell.billing_period != month:
            continue
        if _line_key(cell) != line:
            line, borne = _line_key(cell), {}
        counted, shares = part.counted(), dict[str, int]()
        if price is not None and not cell.waived:
            before = borne.get(cell.behalf, 0)
            borne[cell.behalf] = after = before + counted.amount_minor
            shares = _borne(price.rule, cell, after)
            for party, minor in _borne(price.rule, cell, before).items():
                shares[party] = shares.get(party, 0) - minor
        yield line, Piece(cell, price, counted, shares)


def _borne(rule: Pricing, cell: Cell, amount_minor: int) -> dict[str, int]:
    """Who bears how much: the principal is whom the caller acted for."""
    borne: dict[str, int] = {}
    for payer, minor in split(rule, amount_minor, principal=bool(cell.behalf)).items():
        party = cell.holder if payer == "caller" else cell.behalf
        borne[party] = borne.get(party, 0) + minor
    return borne
