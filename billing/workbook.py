"""The reconciliation workbook of a month: eight sheets, from the summary down to each statement line.

A book is its sheets in order, each with its rows as they come from wherever they are kept, so that a month of any size
takes the same memory; it is read through once. billing/spreadsheet.py writes it as XLSX; here it is written as CSV (a
ZIP with one file for each sheet) and as JSON. Money is fen, times are UTC.
"""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple

import msgspec

from billing.table import BOM, Pair, Sheet, Tally, fill, guarded, to_csv, to_json, yuan
from billing.workbook_rows import StatementLine
from domain.period import STAGES, ZONE, Stage

SCHEMA = "kouan.workbook/1"
SUMMARY: Pair = ("汇总", "Summary")


# --- the book ---


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What the summary says of the month beside its totals."""

    period: str
    stage: Stage
    starts_at: datetime
    ends_at: datetime
    seller: str
    cut_off: int  # position of the commerce journal
    cut_off_at: datetime
    cut_off_by: str
    closed_at: datetime | None = None
    currency: str = "CNY"
    statements: int = 0
    payable: int = 0  # of them, with something to pay
    total_minor: int = 0
    brought_forward_minor: int = 0
    payable_minor: int = 0
    carried_forward_minor: int = 0
    statements_digest: str = ""  # SHA-256 over the SHA-256 of each statement, in the order of their numbers
    last_sha256: str = ""
    prepared_by: str = ""  # who ran the last reconciliation
    prepared_at: datetime | None = None
    journal_sha256: str = ""
    ledger_sha256: str = ""  # of the snapshot of statements that was compared
    provider_sha256: str = ""
    reviewed_by: str = ""  # who signed it
    reviewed_at: datetime | None = None
    breaks_open: int = 0
    breaks_accepted: int = 0


class Part(NamedTuple):
    sheet: Sheet
    rows: Iterable[Any]


class Book(NamedTuple):
    """`largest`: the lines with the most money, to begin with."""

    about: About
    largest: Sequence[StatementLine]
    parts: Sequence[Part]


ABOUT: tuple[tuple[str, Pair], ...] = (
    ("period", ("账期", "Period")),
    ("stage", ("阶段", "Stage")),
    ("starts_at", ("起", "From")),
    ("ends_at", ("止（不含）", "To, exclusive")),
    ("seller", ("开账单位", "Seller")),
    ("cut_off", ("截止位置", "Cut-off position in the journal")),
    ("cut_off_at", ("截止时间", "Cut off at")),
    ("cut_off_by", ("截止人", "Cut off by")),
    ("closed_at", ("关账时间", "Closed at")),
    ("currency", ("币种", "Currency")),
    ("statements", ("账单数", "Statements")),
    ("payable", ("应付账单数", "Statements to be paid")),
    ("total_minor", ("账单合计", "Total of the statements")),
    ("brought_forward_minor", ("承前贷项", "Credit brought forward")),
    ("payable_minor", ("应付合计", "To be paid")),
    ("carried_forward_minor", ("结转下期贷项", "Credit carried forward")),
    ("breaks_open", ("未处理差异", "Breaks open")),
    ("breaks_accepted", ("已接受差异", "Breaks accepted")),
    ("prepared_by", ("对账人", "Prepared by")),
    ("prepared_at", ("对账时间", "Prepared at")),
    ("reviewed_by", ("复核签字人", "Reviewed and signed by")),
    ("reviewed_at", ("签字时间", "Signed at")),
    ("statements_digest", ("全部账单摘要 SHA-256", "SHA-256 over all statements")),
    ("last_sha256", ("末份账单 SHA-256", "SHA-256 of the last statement")),
    ("journal_sha256", ("对账时日志摘要", "SHA-256 of the journal's snapshot")),
    ("ledger_sha256", ("对账时账单摘要", "SHA-256 of the statements' snapshot")),
    ("provider_sha256", ("对账时支付方摘要", "SHA-256 of the provider's snapshot")),
)


def about_rows(about: About) -> Iterator[tuple[str, Any, bool]]:
    """Label, value, and whether it is money: a text, a whole number or fen."""
    for name, label in ABOUT:
        value = getattr(about, name)
        if name == "stage":
            value = " ".join(STAGES[about.stage])
        elif isinstance(value, datetime):
            value = value.astimezone(ZONE).isoformat(timespec="seconds")
        yield " ".join(label), "" if value is None else value, name.endswith("_minor")


# --- as CSV and JSON ---

ZIPPED = zipfile.ZIP_DEFLATED


def to_zip(book: Book, file: BinaryIO) -> None:
    """One CSV for each sheet; the same bytes for the same book."""
    tallies = []
    with zipfile.ZipFile(file, "w", ZIPPED) as archive:
        for number, (sheet, rows) in enumerate(book.parts, start=2):
            tally = Tally(sheet)
            tallies.append(tally)
            with archive.open(_entry(f"{number}-{sheet.key}.csv"), "w", force_zip64=True) as inside:
                fill(inside, to_csv(sheet, tally.counted(rows)))  # type: ignore[arg-type]  # it has `write`
        with archive.open(_entry("1-summary.csv"), "w") as inside:
            inside.write(_summary_csv(book.about, tallies))


def _entry(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)  # of 1980: no clock
    info.compress_type = ZIPPED
    return info


def _summary_csv(about: About, tallies: Sequence[Tally]) -> bytes:
    lines = [(label, f"{yuan(value):f}" if money else guarded(value)) for label, value, money in about_rows(about)]
    for tally in tallies:
        lines.append((f"{tally.sheet.title}: 行数 rows", tally.rows))
        for column in tally.sheet.columns:
            if column.total:
                total = tally.sums[column.name]
                shown = f"{yuan(total):f}" if column.kind == "money" else total
                lines.append((f"{tally.sheet.title}: {column.title}", shown))
    text = io.StringIO(newline="")
    text.write(BOM)
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue().encode("utf-8", "replace")


def to_json_file(book: Book, file: BinaryIO) -> None:
    """One object: the sheets by their keys, then the summary with the totals."""
    file.write(msgspec.json.encode({"schema": SCHEMA, "period": book.about.period})[:-1])
    tallies = []
    for sheet, rows in book.parts:
        tally = Tally(sheet)
        tallies.append(tally)
        file.write(b',"%b":' % sheet.key.encode())
        fill(file, to_json(tally.counted(rows)))
    totals = {tally.sheet.key: {"rows": tally.rows, **tally.sums} for tally in tallies}
    summary = {"about": book.about, "totals": totals, "largest": book.largest}
    file.write(b',"summary":' + msgspec.json.encode(summary) + b"}")
