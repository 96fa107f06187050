"""Usage detail of a month under the column names of FOCUS 1.2 (FinOps Open Cost and Usage Specification, CC-BY-4.0).

A row is what one account used on one day under one statement line; beside these stand the adjustments, and the credit
that a statement brought forward or left. BilledCost over an InvoiceId comes to what that statement has to be paid, to
the fen, tax included; what is free is there with its quantity and a cost of 0, and what was waived with its ListCost.
Columns of our own begin with `x_`. Costs are yuan, times UTC; a day is one of Asia/Shanghai.
Source: https://focus.finops.org/focus-specification/v1-2/ (column names and allowed values).
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg.rows import namedtuple_row

from billing.metering import Piece, pieces
from billing.rating import tax_split
from billing.statement import Pinned
from billing.table import BOM, batched, guarded, taken, yuan
from domain import period
from domain.catalogue import CURRENCY, ItemListed
from domain.statement import REASONS
from projections import usage
from projections.usage import Cell, Whose

ISSUER = "KOUAN"  # until the seller is described
CATEGORIES = {"clearance": "Business Applications", "logistics": "Integration", "commerce": "Analytics"}
"""ServiceCategory, of a closed list, by function group."""


def named(field: str) -> str:
    """The column of a field.

    >>> named("billing_account_id"), named("x_free_reason")
    ('BillingAccountId', 'x_FreeReason')
    """
    own, rest = ("x_", field[2:]) if field.startswith("x_") else ("", field)
    return own + "".join(word.capitalize() for word in rest.split("_"))


class Row(msgspec.Struct, kw_only=True, rename=named):
    """Columns in alphabetical order as in the specification, then our own. None: null."""

    billed_cost: Decimal = Decimal()
    billing_account_id: str
    billing_account_name: str
    billing_account_type: str  # party, account
    billing_currency: str = CURRENCY
    billing_period_end: datetime
    billing_period_start: datetime
    charge_category: str = "Usage"  # Usage, Adjustment, Credit
    charge_class: str | None = None  # Correction: of a month that was invoiced before
    charge_description: str
    charge_frequency: str = "Usage-Based"
    charge_period_end: datetime
    charge_period_start: datetime
    consumed_quantity: int | None = None
    consumed_unit: str | None = None
    contracted_cost: Decimal = Decimal()
    effective_cost: Decimal = Decimal()
    invoice_id: str | None = None  # number of the statement; null: not issued yet
    invoice_issuer_name: str
    list_cost: Decimal = Decimal()
    list_unit_price: Decimal | None = None  # null where no single price makes the cost
    pricing_category: str | None = None
    pricing_quantity: int | None = None
    pricing_unit: str | None = None
    provider_name: str
    publisher_name: str
    service_category: str = "Other"
    service_name: str
    sku_id: str | None = None
    sku_meter: str | None = None
    sku_price_id: str | None = None
    sub_account_id: str | None = None
    tags: dict[str, str] = {}
    x_corrects_period: str | None = None
    x_entry_count: int = 0  # deliveries
    x_free_quantity: int = 0
    x_free_reason: str = ""
    x_ledger_cutoff: int
    x_net_cost: Decimal = Decimal()
    x_reversed_quantity: int = 0
    x_service_class: str = ""  # government, commercial
    x_statement_hash: str | None = None
    x_statement_id: str | None = None
    x_statement_line: int | None = None
    x_tariff_version: str | None = None
    x_tax_cost: Decimal = Decimal()
    x_tax_rate_bp: int = 0
    x_used_by: str = ""  # holder; another one than the account billed for a share
    x_waived_cost: Decimal = Decimal()


COLUMNS = tuple(named(field) for field in Row.__struct_fields__)


# --- where a line stands ---

PLACES = """
SELECT
    s.holder, s.is_party, s.holder_zh, s.sha256, l.statement, l.line, l.item, l.tariff, l.waived, l.corrects_period,
    l.tax_rate_bp
FROM issued_lines AS l JOIN issued_statements AS s USING (statement)
WHERE l.used_by = %s AND l.used_by_party = %s AND s.period = %s AND l.kind <> 'adjustment'
"""
OTHERS = """
SELECT
    s.holder, s.is_party, s.holder_zh, s.sha256, s.statement, s.brought_forward_minor, s.carried_forward_minor,
    l.line, l.item, l.corrects_period, l.amount_minor, l.net_minor, l.tax_minor, l.tax_rate_bp, l.reference
FROM issued_statements AS s
LEFT JOIN issued_lines AS l ON l.statement = s.statement AND l.kind = 'adjustment'
WHERE s.period = %(period)s AND (%(holder)s::text IS NULL OR (s.holder = %(holder)s AND s.is_party = %(is_party)s))
  AND (l.line IS NOT NULL OR s.brought_forward_minor <> 0 OR s.carried_forward_minor <> 0)
ORDER BY s.statement, l.line
"""


class Place(NamedTuple):
    """A statement line, and who is billed by it."""

    holder: str
    is_party: bool
    name: str
    sha256: str | None = None
    statement: str | None = None
    line: int | None = None
    rate_bp: int = 0


Places = dict[tuple[object, ...], Place]


def _places(connection: psycopg.Connection[Any], month: str, holder: str, *, is_party: bool) -> Places:
    """The lines that bill what a holder used, by who bears them and what they are of."""
    found = {}
    for row in connection.execute(PLACES, (holder, is_party, month)):
        whose, is_one, name, sha256, statement, line, *of, rate_bp = row
        found[(whose, is_one, *of)] = Place(whose, is_one, name, sha256, statement, line, rate_bp)
    return found


# --- rows ---


def rows(connection: psycopg.Connection[Any], pinned: Pinned, whose: Whose = Whose()) -> Iterator[Row]:  # noqa: B008  frozen
    """All of a month, or what stands on one holder's statement; read as it is asked for."""
    made = _Maker(pinned)
    if whose.holder is None:
        yield from _used(connection, made, whose)
    else:
        users = [whose, *(usage.acted_for(connection, pinned.period, whose.holder) if whose.is_party else ())]
        kind = _type(is_party=whose.is_party)
        for user in users:
            for row in _used(connection, made, user):
                if (row.billing_account_id, row.billing_account_type) == (whose.holder, kind):
                    yield row
    yield from _beside(connection, made, whose)


def _used(connection: psycopg.Connection[Any], made: "_Maker", whose: Whose) -> Iterator[Row]:
    month = made.pinned.period
    cells = usage.posted(connection, month, whose, daily=True)
    for (holder, party), own in groupby(cells, lambda cell: (cell.holder, cell.party)):
        places = _places(connection, month, holder, is_party=party != "")
        for line, piece in pieces(own, made.pinned.prices, month):
            yield from made.usage(line, piece, places)


def _beside(connection: psycopg.Connection[Any], made: "_Maker", whose: Whose) -> Iterator[Row]:
    """Adjustments, and the credit that a statement took over and left, once for each statement."""
    asked = {"period": made.pinned.period, "holder": whose.holder, "is_party": whose.is_party}
    with connection.cursor("beside", row_factory=namedtuple_row) as found:
        found.execute(OTHERS, asked)
        for _, group in groupby(found, attrgetter("statement")):
            some: list[Any] = list(group)
            yield from (made.adjustment(each) for each in some if each.line is not None)
            yield from made.credits(some[0])


class _Maker:
    """Makes the rows of a month."""

    def __init__(self, pinned: Pinned) -> None:
        self.pinned = pinned
        self.bounds = period.bounds(pinned.period)
        seller = pinned.selling.seller
        self.issuer = seller.zh or seller.en or ISSUER
        self.line: object = None
        self.borne: dict[tuple[str, bool], int] = {}  # of the line so far, by who bears it

    def usage(self, line: object, piece: Piece, places: Places) -> Iterator[Row]:
        """The row on its user's statement, and one for each other party that bears a share of it."""
        if line != self.line:
            self.line, self.borne = line, {}
        cell = piece.cell
        of = (cell.item, cell.tariff, cell.waived, cell.corrects_period)
        is_party = cell.party != ""
        own = places.get((cell.holder, is_party, *of), Place(cell.holder, is_party, cell.holder))
        yield self._own(piece, own, piece.shares.get(cell.holder, 0))
        for party, minor in piece.shares.items():
            if party != cell.holder:
                place = places.get((party, True, *of), Place(party, True, party))
                row = self._row(place, cell, self.pinned.items[cell.item])
                row.charge_description += " (分担 / share)"
                yield self._priced(row, place, minor)

    def _own(self, piece: Piece, place: Place, minor: int) -> Row:
        cell, counted, price = piece.cell, piece.counted, piece.price
        item = self.pinned.items[cell.item]
        row = self._row(place, cell, item)
        row.sub_account_id = cell.account
        row.consumed_quantity, row.consumed_unit = cell.quantity, item.unit_en
        row.pricing_quantity, row.pricing_unit = cell.quantity - counted.reversed_quantity, item.unit_en
        row.x_entry_count, row.x_reversed_quantity = cell.deliveries, counted.reversed_quantity
        row.x_free_quantity, row.x_free_reason = counted.free_quantity, _reason(piece)
        if price is None:
            row.x_free_quantity = cell.quantity
            row.list_unit_price = Decimal() if item.item_class == "government" else None
        else:
            row.pricing_category, row.sku_price_id = "Standard", price.version
            row.list_unit_price = yuan(price.price_minor) if price.rule.model == "unit" else None
            row.list_cost, row.contracted_cost = yuan(counted.list_minor), yuan(counted.amount_minor)
            row.x_waived_cost = yuan(counted.waived_minor)
        if row.x_free_reason:
            row.charge_description += f" ({' / '.join(REASONS[row.x_free_reason])})"  # type: ignore[index]  # one of them
        if cell.behalf:
            row.tags = {"behalf": cell.behalf}
        return self._priced(row, place, minor)

    def _row(self, place: Place, cell: Cell, item: ItemListed) -> Row:
        start, end = _day(cell.day)
        row = self._blank(place, item)
        row.charge_period_start, row.charge_period_end = start, end
        row.charge_class = "Correction" if cell.corrects_period else None
        row.x_corrects_period, row.x_tariff_version, row.x_used_by = cell.corrects_period, cell.tariff, cell.holder
        return row

    def _blank(self, place: Place, item: ItemListed | None) -> Row:
        start, end = self.bounds
        return Row(
            billing_account_id=place.holder,
            billing_account_name=place.name,
            billing_account_type=_type(is_party=place.is_party),
            billing_period_start=start,
            billing_period_end=end,
            charge_period_start=start,
            charge_period_end=end,
            charge_description=f"{item.zh} / {item.en}" if item else "",
            invoice_id=place.statement,
            invoice_issuer_name=self.issuer,
            provider_name=self.issuer,
            publisher_name=(item.provider if item else "") or self.issuer,
            service_category=CATEGORIES[item.group] if item else "Other",
            service_name=item.zh if item else "账单 / statement",
            sku_id=item.item if item else None,
            sku_meter=item.unit_en if item else None,
            x_service_class=item.item_class if item else "",
            x_ledger_cutoff=self.pinned.cut_off,
            x_statement_id=place.statement,
            x_statement_hash=place.sha256,
            x_statement_line=place.line,
            x_tax_rate_bp=place.rate_bp,
        )

    def _priced(self, row: Row, place: Place, minor: int) -> Row:
        """With what is billed, and the tax in it: that of the line so far, less that of the line before."""
        if not minor:
            return row
        whose = (place.holder, place.is_party)
        before = self.borne.get(whose, 0)
        self.borne[whose] = after = before + minor
        tax = tax_split(after, place.rate_bp)[1] - tax_split(before, place.rate_bp)[1]
        row.billed_cost = row.effective_cost = yuan(minor)
        row.x_tax_cost, row.x_net_cost = yuan(tax), yuan(minor - tax)
        return row

    def adjustment(self, told: Any) -> Row:
        """A line that two people decided on."""
        place = Place(told.holder, told.is_party, told.holder_zh, told.sha256, told.statement, told.line)
        row = self._blank(place, self.pinned.items[told.item])
        row.charge_category, row.charge_frequency = "Adjustment", "One-Time"
        row.charge_description += f" (调整 / adjustment {told.reference})"
        if told.corrects_period:
            row.charge_period_start, row.charge_period_end = period.bounds(told.corrects_period)
            row.charge_class = "Correction" if told.corrects_period < self.pinned.period else None
        row.x_corrects_period, row.x_tax_rate_bp = told.corrects_period, told.tax_rate_bp
        row.billed_cost = row.effective_cost = row.contracted_cost = row.list_cost = yuan(told.amount_minor)
        row.x_net_cost, row.x_tax_cost = yuan(told.net_minor), yuan(told.tax_minor)
        return row

    def credits(self, told: Any) -> Iterator[Row]:
        """What makes the sum of the lines the payable amount: no cost of this month, so no EffectiveCost."""
        place = Place(told.holder, told.is_party, told.holder_zh, told.sha256, told.statement)
        moved = {
            "承前贷项 / credit brought forward": told.brought_forward_minor,
            "结转下期贷项 / credit carried forward": -told.carried_forward_minor,
        }
        for words, minor in moved.items():
            if minor:
                row = self._blank(place, None)
                row.charge_category, row.charge_frequency = "Credit", "One-Time"
                row.charge_description, row.billed_cost = words, yuan(minor)
                yield row


def _type(*, is_party: bool) -> str:
    return "party" if is_party else "account"


def _reason(piece: Piece) -> str:
    cell = piece.cell
    if cell.item_class == "government":
        return "government"
    if piece.price is None:
        return "not_charged"
    return cell.waived or ("included" if piece.counted.free_quantity else "")


@lru_cache(maxsize=400)
def _day(text: str) -> tuple[datetime, datetime]:
    """Its bounds in UTC: of a day in Asia/Shanghai."""
    start = datetime.fromisoformat(text).replace(tzinfo=period.ZONE)
    return start.astimezone(UTC), (start + timedelta(days=1)).astimezone(UTC)


# --- CSV ---

_guarded = lru_cache(maxsize=20_000)(guarded)  # names and codes come again and again


@lru_cache(maxsize=400)
def _moment(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _money(value: Decimal | None) -> str:
    return "" if value is None else f"{value:f}"


def _tags(value: dict[str, str]) -> str:
    return msgspec.json.encode(value).decode() if value else "{}"


def _same(value: Any) -> Any:
    return value


def _converter(field: msgspec.structs.FieldInfo) -> Callable[[Any], Any]:
    """How a field stands in CSV, by its type."""
    if field.name == "tags":
        return _tags
    if field.type is datetime:
        return _moment
    if field.type in {Decimal, Decimal | None}:
        return _money
    return _same if field.type in {int, int | None} else _guarded


CONVERTERS = tuple(map(_converter, msgspec.structs.fields(Row)))


def to_csv(found: Iterable[Row]) -> Iterator[bytes]:
    """Under the names of the specification and nothing else; UTF-8 with a mark for Excel; some at a time."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    text.write(BOM)
    writer.writerow(COLUMNS)
    for some in batched(found):
        writer.writerows(
            [convert(value) for convert, value in zip(CONVERTERS, msgspec.structs.astuple(row), strict=True)]
            for row in some
        )
        yield taken(text)
    yield taken(text)
