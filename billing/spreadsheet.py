"""The workbook as XLSX, in constant memory: each row leaves as soon as it is written.

Every text is written as text, so nothing becomes a formula and no long number loses a digit; the only formulas are
ours: totals, with their values beside them, and links. Money is yuan, exact from fen; times are those of Asia/Shanghai.
The same book gives the same bytes: its date is that of the cut-off. A sheet that is full goes on on another one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import xlsxwriter  # type: ignore[import-untyped]
from xlsxwriter.format import Format  # type: ignore[import-untyped]
from xlsxwriter.utility import xl_col_to_name, xl_rowcol_to_cell  # type: ignore[import-untyped]
from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]

from billing.table import Column, Sheet, Tally, inline, said, yuan
from billing.workbook import SUMMARY, Book, about_rows
from domain.period import ZONE

ROWS_MAX = 1_048_574  # of Excel, without titles and totals
ADDRESS_MAX = 255  # characters of a text in a formula, of Excel
OPEN = "打开 open"
OPTIONS = {"constant_memory": True, "strings_to_formulas": False, "use_zip64": True}
FORMATS: dict[str, dict[str, Any]] = {
    "title": {"bold": True, "text_wrap": True, "valign": "top", "bg_color": "#E8EEF4", "bottom": 1},
    "head": {"bold": True, "font_size": 14},
    "bold": {"bold": True},
    "link": {"font_color": "#0563C1", "underline": 1},
    "money": {"num_format": "#,##0.00;[Red]-#,##0.00"},
    "count": {"num_format": "#,##0"},
    "moment": {"num_format": "yyyy-mm-dd hh:mm:ss"},
    "day": {"num_format": "yyyy-mm-dd"},
    "money total": {"num_format": "#,##0.00;[Red]-#,##0.00", "bold": True, "top": 1},
    "count total": {"num_format": "#,##0", "bold": True, "top": 1},
}
Write = Callable[[Worksheet, int, int, Any], object]


class Filled:
    """A worksheet with its rows, and what it counted."""

    def __init__(self, name: str, tally: Tally) -> None:
        self.name = name
        self.tally = tally


def to_xlsx(book: Book, file: BinaryIO | Path, *, base: str = "", rows_max: int = ROWS_MAX) -> None:
    """`base`: address of this node, before the paths of links; without it they are texts."""
    with xlsxwriter.Workbook(file, OPTIONS) as workbook:
        about = book.about
        title = f"对账工作簿 Reconciliation workbook {about.period}"
        workbook.set_properties({"title": title, "created": about.cut_off_at.replace(tzinfo=None, microsecond=0)})
        writer = _Writer(workbook, base, rows_max)
        summary = workbook.add_worksheet(" ".join(SUMMARY))
        filled = [each for sheet, rows in book.parts for each in writer.fill(sheet, rows)]
        writer.summary(summary, title, book, filled)


def rows_to_xlsx(sheet: Sheet, rows: Iterable[Any], file: BinaryIO, *, at: datetime) -> None:
    """One sheet alone, with its totals. `at`: the date that the file gets."""
    with xlsxwriter.Workbook(file, OPTIONS) as workbook:
        workbook.set_properties({"title": sheet.title, "created": at.replace(tzinfo=None, microsecond=0)})
        _Writer(workbook, "", ROWS_MAX).fill(sheet, rows)


class _Writer:
    def __init__(self, workbook: xlsxwriter.Workbook, base: str, rows_max: int) -> None:
        self.workbook = workbook
        self.base = base.rstrip("/")
        self.rows_max = rows_max
        self.formats: Mapping[str, Format] = {name: workbook.add_format(how) for name, how in FORMATS.items()}

    def fill(self, sheet: Sheet, rows: Iterable[Any]) -> list[Filled]:
        """One sheet, or as many as it takes."""
        source, made = iter(rows), list[Filled]()
        first: Any = next(source, None)
        while first is not None or not made:
            name = sheet.title if not made else f"{sheet.title} {len(made) + 1}"
            tally = Tally(sheet)
            page = self._begun(name, sheet)
            values = _values(sheet)
            writes = [self._write(column) for column in sheet.columns]
            number = 0
            for number, row in enumerate(tally.counted(_upto(first, source, self.rows_max)), start=1):
                for at, (write, value) in enumerate(zip(writes, values(row), strict=True)):
                    if value is not None and value != "":
                        write(page, number, at, value)
            self._ended(page, sheet, tally)
            made.append(Filled(name, tally))
            first = next(source, None) if number == self.rows_max else None
        return made

    def _begun(self, name: str, sheet: Sheet) -> Worksheet:
        page = self.workbook.add_worksheet(name)
        for at, column in enumerate(sheet.columns):
            page.set_column(at, at, column.width, self.formats.get(column.kind))
        page.freeze_panes(1, 2)
        page.set_row(0, 32)
        for at, column in enumerate(sheet.columns):
            page.write_string(0, at, column.title, self.formats["title"])
        return page

    def _ended(self, page: Worksheet, sheet: Sheet, tally: Tally) -> None:
        """Filters over the rows, and below them totals that follow the filter."""
        last = max(tally.rows, 1)
        page.autofilter(0, 0, last, len(sheet.columns) - 1)
        if not tally.rows:
            return
        for at, column in enumerate(sheet.columns):
            if column.total:
                formula = f"=SUBTOTAL(109,{xl_rowcol_to_cell(1, at)}:{xl_rowcol_to_cell(last, at)})"
                self._total(page, (last + 1, at), formula, column, tally.sums[column.name])

    def _total(self, page: Worksheet, place: tuple[int, int], formula: str, column: Column, total: int) -> None:
        value = yuan(total) if column.kind == "money" else total
        page.write_formula(*place, formula, self.formats[f"{column.kind} total"], value)

    def _write(self, column: Column) -> Write:
        """How a value of the column is written; nothing is written of none."""
        formats = self.formats
        kind = column.kind

        def text(page: Worksheet, row: int, at: int, value: Any) -> None:
            page.write_string(row, at, inline(said(column, value)))

        def count(page: Worksheet, row: int, at: int, value: int) -> None:
            page.write_number(row, at, value, formats["count"])

        def money(page: Worksheet, row: int, at: int, value: int) -> None:
            page.write_number(row, at, yuan(value), formats["money"])

        def moment(page: Worksheet, row: int, at: int, value: datetime) -> None:
            page.write_datetime(row, at, value.astimezone(ZONE).replace(tzinfo=None), formats["moment"])

        def day(page: Worksheet, row: int, at: int, value: date) -> None:
            page.write_datetime(row, at, value, formats["day"])

        def link(page: Worksheet, row: int, at: int, value: str) -> None:
            self.link(page, row, at, value)

        writes: dict[str, Write] = {
            "text": text, "count": count, "money": money, "moment": moment, "day": day, "link": link,
        }  # fmt: skip
        return writes[kind]

    def link(self, page: Worksheet, row: int, at: int, path: str, label: str = OPEN) -> None:
        """A formula, for Excel takes 65,530 links of the other kind in a sheet and they stay in memory."""
        address = self.base + quote(path, safe="/?=&%:")
        if self.base and len(address) <= ADDRESS_MAX and '"' not in address:
            page.write_formula(row, at, f'=HYPERLINK("{address}","{label}")', self.formats["link"], label)
        else:
            page.write_string(row, at, path)

    # --- the first sheet ---

    def summary(self, page: Worksheet, title: str, book: Book, filled: list[Filled]) -> None:
        """The month; what each sheet comes to, recomputed from it; and where to go on from here."""
        page.set_column(0, 0, 34)
        page.set_column(1, 8, 24)
        page.freeze_panes(1, 1)
        page.write_string(0, 0, title, self.formats["head"])
        row = 1
        for label, value, money in about_rows(book.about):
            row += 1
            page.write_string(row, 0, label, self.formats["bold"])
            if isinstance(value, str):
                page.write_string(row, 1, inline(value))
            elif money:
                page.write_number(row, 1, yuan(value), self.formats["money"])
            else:
                page.write_number(row, 1, value, self.formats["count"])
        row = self._totals(page, row + 2, filled)
        self._largest(page, row + 2, book)

    def _totals(self, page: Worksheet, row: int, filled: list[Filled]) -> int:
        """A line for each sheet and each column that has a total; the row behind them."""
        self._titles(page, row, "工作表 Sheet", "行数 Rows", "列 Column", "合计 Total")
        for sheet in {each.tally.sheet.key: each.tally.sheet for each in filled}.values():
            row += 1
            parts = [each for each in filled if each.tally.sheet.key == sheet.key]
            page.write_url(row, 0, f"internal:'{parts[0].name}'!A1", self.formats["link"], sheet.title)
            page.write_number(row, 1, sum(each.tally.rows for each in parts), self.formats["count"])
            for at, column in enumerate(sheet.columns):
                if column.total:
                    row += 1
                    page.write_string(row, 2, column.title)
                    total = sum(each.tally.sums[column.name] for each in parts)
                    self._total(page, (row, 3), _sum(at, column, parts), column, total)
        return row

    def _largest(self, page: Worksheet, row: int, book: Book) -> None:
        """The way down, by the lines with the most money: statement, line, and what the line rests on."""
        page.write_string(
            row, 0, "从这里查起：金额最大的行 Begin here: the lines with the most money", self.formats["head"]
        )
        row += 1
        self._titles(
            page, row, "账单 Statement", "行 Line", "单位 Holder", "服务项目 Service item", "数量 Quantity",
            "金额（元） Amount, CNY", "账单页 Statement page", "逐笔查证 Drill down",
        )  # fmt: skip
        for line in book.largest:
            row += 1
            page.write_string(row, 0, line.statement)
            page.write_number(row, 1, line.line, self.formats["count"])
            page.write_string(row, 2, inline(line.holder_zh or line.holder))
            page.write_string(row, 3, inline(f"{line.zh} {line.en}"))
            page.write_number(row, 4, line.quantity, self.formats["count"])
            page.write_number(row, 5, yuan(line.amount_minor), self.formats["money"])
            self.link(page, row, 6, line.page)
            self.link(page, row, 7, line.drill)

    def _titles(self, page: Worksheet, row: int, *titles: str) -> None:
        for at, title in enumerate(titles):
            page.write_string(row, at, title, self.formats["title"])


def _sum(at: int, column: Column, parts: list[Filled]) -> str:
    """Over the rows of every part, whatever their filters hide; rounded, for a sum of binary fractions is not exact."""
    letters = xl_col_to_name(at)
    ranges = [f"'{each.name}'!{letters}2:{letters}{each.tally.rows + 1}" for each in parts if each.tally.rows]
    summed = f"SUM({','.join(ranges)})" if ranges else "0"
    return f"=ROUND({summed},2)" if column.kind == "money" else f"={summed}"


def _upto(first: Any, source: Iterator[Any], most: int) -> Iterator[Any]:
    """The first and what follows it, `most` in all."""
    if first is None:
        return
    yield first
    for _ in range(most - 1):
        row = next(source, None)
        if row is None:
            return
        yield row


def _values(sheet: Sheet) -> Callable[[Any], tuple[Any, ...]]:
    names = tuple(column.name for column in sheet.columns)
    return lambda row: tuple(getattr(row, name) for name in names)
