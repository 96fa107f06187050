"""Tables of the books: which columns a sheet has, and its rows as CSV and as JSON, written as they come.

A row is a record whose fields the columns name. Money is fen, in CSV yuan to the digit; times are UTC, in CSV those of
Asia/Shanghai with their offset. Nothing that somebody wrote may become a formula: what a spreadsheet would take for
one, and long numbers of which it would lose digits, get an apostrophe before them in CSV, which has no types.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, BinaryIO, Literal, NamedTuple

import msgspec

from domain.period import ZONE

BOM = "\ufeff"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the wide ones count in Excel too
NUMERAL = re.compile(r"\d{12,}|0\d+|\d+(\.\d+)?[eE][+-]?\d+")
CELL_MAX = 32_767  # characters, of Excel
BATCH = 500  # rows that are written together

Pair = tuple[str, str]
Cell = str | int | float | None
Kind = Literal["text", "count", "money", "moment", "day", "link"]
"""count: a whole number; money: fen; link: the path of a page of this node."""


class Column(NamedTuple):
    name: str  # field of the row
    zh: str
    en: str
    kind: Kind = "text"
    width: int = 14  # characters
    words: Mapping[Any, Pair] = {}  # what a code is called
    total: bool = False  # its sum means something

    @property
    def title(self) -> str:
        return f"{self.zh} {self.en}"


class Sheet(NamedTuple):
    """`key` names it in files; the name of a sheet has 31 characters at most, those of a continuation included."""

    key: str
    zh: str
    en: str
    columns: tuple[Column, ...]

    @property
    def title(self) -> str:
        return f"{self.zh} {self.en}"


class Tally:
    """How many rows there were, and the sums of the columns that have one. Exact, in fen or units."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet
        self.rows = 0
        self.sums = {column.name: 0 for column in sheet.columns if column.total}

    def counted(self, rows: Iterable[Any]) -> Iterator[Any]:
        """The rows as they are; each is counted before it is handed on."""
        names = tuple(self.sums)
        for row in rows:
            self.rows += 1
            for name in names:
                self.sums[name] += getattr(row, name) or 0
            yield row


# --- cells ---


def guarded(cell: Cell) -> Cell:
    """A text that no spreadsheet takes for a formula or for a number that it may shorten.

    >>> guarded("=1+1"), guarded("230120261000000015"), guarded("苏A8M506"), guarded(12)
    ("'=1+1", "'230120261000000015", '苏A8M506', 12)
    """
    if isinstance(cell, str) and (cell.lstrip(" \u00a0\u3000").startswith(FORMULA) or NUMERAL.fullmatch(cell)):
        return f"'{cell}"
    return cell


def yuan(minor: int) -> Decimal:
    """Fen as yuan, exact.

    >>> str(yuan(5)), str(yuan(-1234)), str(yuan(100))
    ('0.05', '-12.34', '1.00')
    """
    return Decimal(minor).scaleb(-2)


def said(column: Column, value: Any) -> str:
    """A text as it is shown: codes in both languages, lists with commas.

    >>> said(Column("a", "", "", words={"x": ("甲", "x-ray")}), "x"), said(Column("a", "", ""), ("b", "c"))
    ('甲 x-ray', 'b, c')
    """
    if value is None:
        return ""
    if value in column.words:
        return " ".join(dict.fromkeys(column.words[value])).strip()
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _plain(column: Column) -> Callable[[Any], Cell]:
    """How a value of the column stands in CSV."""

    def moment(value: datetime | None) -> str:
        return value.astimezone(ZONE).isoformat(timespec="seconds") if value else ""

    def text(value: Any) -> Cell:
        return guarded(said(column, value))

    def money(value: int | None) -> str:
        return "" if value is None else f"{yuan(value):f}"

    def day(value: date | None) -> str:
        return value.isoformat() if value else ""

    def count(value: int | None) -> Cell:
        return "" if value is None else int(value)

    kinds: dict[Kind, Callable[[Any], Cell]] = {
        "text": text, "link": text, "money": money, "moment": moment, "day": day, "count": count,
    }  # fmt: skip
    return kinds[column.kind]


def inline(text: str) -> str:
    """A text as XlsxWriter may write it: what fits into a cell, and no mark-up that it would leave as it is.

    >>> inline("<r><t>bold</t></r>"), inline("苏A8M506")
    (' <r><t>bold</t></r>', '苏A8M506')
    """
    if text.startswith("<r>"):  # in constant memory it takes that for rich text of its own making
        text = f" {text}"
    return text if len(text) <= CELL_MAX else f"{text[: CELL_MAX - 1]}…"


# --- CSV ---


def to_csv(sheet: Sheet, rows: Iterable[Any]) -> Iterator[bytes]:
    """One row after another under both languages' titles, UTF-8 with a mark for Excel; some at a time."""
    text = io.StringIO(newline="")
    text.write(BOM)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([column.title for column in sheet.columns])
    values, cells = _values(sheet), [_plain(column) for column in sheet.columns]
    for number, row in enumerate(rows, start=1):
        writer.writerow([cell(value) for cell, value in zip(cells, values(row), strict=True)])
        if number % BATCH == 0:
            yield taken(text)
    yield taken(text)


def taken(text: io.StringIO) -> bytes:
    """What was written so far, in UTF-8; the text is empty again."""
    made = text.getvalue().encode("utf-8", "replace")
    text.seek(0)
    text.truncate()
    return made


def _values(sheet: Sheet) -> Callable[[Any], tuple[Any, ...]]:
    """The values of a row in the order of the columns."""
    get = attrgetter(*(column.name for column in sheet.columns))
    return get if len(sheet.columns) > 1 else lambda row: (get(row),)


# --- JSON ---

_json = msgspec.json.Encoder(decimal_format="number")


def to_json(rows: Iterable[Any]) -> Iterator[bytes]:
    """An array, as the records are: codes, fen, UTC; some at a time."""
    yield b"["
    between = b""
    for some in batched(rows):
        yield between + b",".join(map(_json.encode, some))
        between = b","
    yield b"]"


def to_lines(rows: Iterable[Any]) -> Iterator[bytes]:
    """JSON, one record a line."""
    for some in batched(rows):
        yield _json.encode_lines(some)


def batched(rows: Iterable[Any], size: int = BATCH) -> Iterator[list[Any]]:
    """Some at a time, in their order."""
    some: list[Any] = []
    for row in rows:
        some.append(row)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def fill(file: BinaryIO, pieces: Iterable[bytes]) -> int:
    """Write them; how many bytes it came to."""
    return sum(file.write(piece) for piece in pieces)
