"""Tables of any length written to a file row by row, in memory that does not grow with it.

Parquet (typed, instants UTC, compressed), CSV (UTF-8 with a mark for Excel; formulas and long numbers guarded as in
api/export.py) and XLSX (every text is written as text, a second sheet tells what the columns are).
"""

import csv
import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import xlsxwriter  # type: ignore[import-untyped]

from api import export
from api.exporting.columns import Column, Value
from billing.table import inline

Format = Literal["parquet", "csv", "xlsx"]
MEDIA: dict[Format, str] = {"parquet": "application/vnd.apache.parquet", "csv": export.CSV, "xlsx": export.XLSX}
XLSX_ROWS_MAX = 1_048_575  # of a sheet, under its titles


class Table(Protocol):
    def add(self, rows: Sequence[Sequence[Value]]) -> None:
        """Some more rows; in each, a value for each column."""


@contextmanager
def table(path: Path, form: Format, columns: Sequence[Column]) -> Iterator[Table]:
    """A new file, whole once the block is left without an error."""
    match form:
        case "csv":
            opened = _csv(path, columns)
        case "xlsx":
            opened = _xlsx(path, columns)
        case _:
            opened = _parquet(path, columns)
    with opened as made:
        yield made


# --- CSV ---


@contextmanager
def _csv(path: Path, columns: Sequence[Column]) -> Iterator[Table]:
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        file.write(export.BOM)
        rows = csv.writer(file, lineterminator="\r\n")
        rows.writerow([f"{column.zh} {column.en}" for column in columns])
        yield _Csv(rows)


class _Csv:
    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def add(self, rows: Sequence[Sequence[Value]]) -> None:
        self._rows.writerows([export.guarded(_cell(value)) for value in row] for row in rows)


def _cell(value: Value) -> export.Cell:
    match value:
        case bool():
            return "Y" if value else "N"
        case datetime():
            return value.isoformat()
        case _:
            return value


# --- workbook ---


@contextmanager
def _xlsx(path: Path, columns: Sequence[Column]) -> Iterator[Table]:
    with xlsxwriter.Workbook(path, {"constant_memory": True, "strings_to_formulas": False}) as book:
        bold = book.add_format({"bold": True})
        about = book.add_worksheet("列说明 Columns")
        about.set_column(0, 2, 24)
        for row, column in enumerate(columns):
            for place, word in enumerate((column.name, column.zh, column.en)):
                about.write_string(row, place, word)
        sheet = book.add_worksheet("数据 Data")
        sheet.freeze_panes(1, 3)
        for at, column in enumerate(columns):
            sheet.set_column(at, at, column.width)
            sheet.write_string(0, at, f"{column.zh} {column.en}", bold)
        sheet.activate()
        yield _Xlsx(sheet)


class _Xlsx:
    def __init__(self, sheet: Any) -> None:
        self._sheet, self._row = sheet, 0

    def add(self, rows: Sequence[Sequence[Value]]) -> None:
        for row in rows:
            self._row += 1
            for at, value in enumerate(row):
                cell = _cell(value)
                if isinstance(cell, str):
                    self._sheet.write_string(self._row, at, inline(cell))
                elif cell is not None:
                    self._sheet.write_number(self._row, at, cell)


# --- Parquet ---


@contextmanager
def _parquet(path: Path, columns: Sequence[Column]) -> Iterator[Table]:
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")  # large: only here
    kinds = {
        "text": arrow.string(),
        "number": arrow.int64(),
        "decimal": arrow.float64(),
        "yes_no": arrow.bool_(),
        "instant": arrow.timestamp("us", tz="UTC"),
    }
    schema = arrow.schema(
        [arrow.field(each.name, kinds[each.kind], metadata={"zh": each.zh, "en": each.en}) for each in columns]
    )
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        yield _Parquet(arrow, schema, writer)


class _Parquet:
    def __init__(self, arrow: Any, schema: Any, writer: Any) -> None:
        self._arrow, self._schema, self._writer = arrow, schema, writer

    def add(self, rows: Sequence[Sequence[Value]]) -> None:
        if rows:
            told = zip(zip(*rows, strict=True), self._schema, strict=True)
            arrays = [self._arrow.array(_sound(values), type=field.type) for values, field in told]
            self._writer.write_batch(self._arrow.record_batch(arrays, schema=self._schema))


def _sound(values: Sequence[Value]) -> Sequence[Value]:
    """Halves of characters are replaced: Parquet's text is UTF-8."""
    return [value.encode("utf-8", "replace").decode() if isinstance(value, str) else value for value in values]
