"""A statement as a workbook: a summary and the lines, in both languages, with totals that a spreadsheet reckons itself.

Codes are texts, money numbers in yuan. Each total is a formula with its value beside it, so that a viewer that does not
reckon shows it too. Nothing that somebody else wrote can be a formula: texts are written as texts. The same bytes each
time: the workbook's date is that of the issue.
"""

import io
from datetime import UTC

import xlsxwriter  # type: ignore[import-untyped]
from xlsxwriter.format import Format  # type: ignore[import-untyped]
from xlsxwriter.utility import xl_col_to_name  # type: ignore[import-untyped]
from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]

from api.export import CELL_MAX, XLSX
from api.papers import paper as papers
from api.papers.paper import COLUMNS, Column, Fact, Paper, both
from domain.statement import KINDS, Line, Statement

MEDIA_TYPE = XLSX
SUMMARY, LINES = "概要 Summary", "明细 Lines"
TOTALLED = {"list_minor": 16, "waived_minor": 17, "net_minor": 20, "tax_minor": 21, "total_minor": 22}
"""Of the statement -> the column of the lines that comes to it."""
USAGE_ONLY = ("list_minor", "waived_minor")  # a share names the whole usage of somebody else
KIND = 1  # column of the kind of a line


def write(paper: Paper) -> bytes:
    """The workbook."""
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        told = paper.statement
        created = paper.issued_at.astimezone(UTC).replace(tzinfo=None)
        book.set_properties({"title": f"{papers.TITLE[0]} {told.number}", "created": created})
        looks = {
            "bold": book.add_format({"bold": True}),
            "head": book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1}),
            "wrap": book.add_format({"text_wrap": True, "valign": "top"}),
            "count": book.add_format({"num_format": "#,##0"}),
            "money": book.add_format({"num_format": "#,##0.00"}),
            "total": book.add_format({"num_format": "#,##0.00", "bold": True, "top": 1}),
            "rate": book.add_format({"num_format": "0.00%"}),
        }
        summary, lines = book.add_worksheet(SUMMARY), book.add_worksheet(LINES)
        _lines(lines, told, looks)
        _summary(summary, paper, looks)
    return made.getvalue()


def _lines(sheet: Worksheet, told: Statement, looks: dict[str, Format]) -> None:
    sheet.freeze_panes(1, 4)
    for at, column in enumerate(COLUMNS):
        sheet.set_column(at, at, column.width)
        sheet.write_string(0, at, both(column.title), looks["head"])
    for row, line in enumerate(told.lines, start=1):
        for at, column in enumerate(COLUMNS):
            _cell(sheet, (row, at), column, line, looks)
    last = len(told.lines)
    sheet.autofilter(0, 0, max(last, 1), len(COLUMNS) - 1)
    sheet.write_string(last + 1, 0, "合计 Total", looks["bold"])
    for name, at in TOTALLED.items():
        sheet.write_formula(last + 1, at, _sum(name, at, last), looks["total"], getattr(told, name) / 100)


def _sum(name: str, at: int, last: int) -> str:
    column, kind = xl_col_to_name(at), xl_col_to_name(KIND)
    cells = f"{column}2:{column}{max(last, 1) + 1}" if last else ""
    if not cells:
        return "=0"
    if name in USAGE_ONLY:
        return f'=ROUND(SUMIF({kind}2:{kind}{last + 1},"{both(KINDS["usage"])}",{cells}),2)'
    return f"=ROUND(SUM({cells}),2)"


def _cell(sheet: Worksheet, where: tuple[int, int], column: Column, line: Line, looks: dict[str, Format]) -> None:
    cell = column.cell(line)
    if column.form == "text":
        if cell:
            _text(sheet, *where, str(cell))
        return
    divisor = {"money": 100, "rate": 10_000}.get(column.form, 1)
    sheet.write_number(*where, int(cell or 0) / divisor if divisor > 1 else int(cell or 0), looks[column.form])


def _text(sheet: Worksheet, row: int, at: int, text: str, look: Format | None = None) -> None:
    sheet.write_string(row, at, text if len(text) <= CELL_MAX else f"{text[: CELL_MAX - 1]}…", look)


# --- the summary ---


def _summary(sheet: Worksheet, paper: Paper, looks: dict[str, Format]) -> None:
    told = paper.statement
    sheet.set_column(0, 0, 40)
    sheet.set_column(1, 1, 70)
    _text(sheet, 0, 0, both(papers.TITLE), looks["bold"])
    row = _facts(sheet, 2, [*papers.about(paper), *papers.holder(told), *papers.seller(told.seller)])
    row = _sums(sheet, row + 1, told, looks)
    row = _facts(sheet, row + 1, papers.proof(paper))
    for text in papers.check(paper):
        sheet.merge_range(row + 1, 0, row + 1, 1, "", looks["wrap"])
        _text(sheet, row + 1, 0, text, looks["wrap"])
        sheet.set_row(row + 1, 66)
        row += 1


def _facts(sheet: Worksheet, row: int, facts: list[Fact]) -> int:
    for each in facts:
        _text(sheet, row, 0, both(each.label))
        _text(sheet, row, 1, str(each.said))
        row += 1
    return row


def _sums(sheet: Worksheet, row: int, told: Statement, looks: dict[str, Format]) -> int:
    """Each is reckoned from the lines; what is payable from the total and what was brought forward."""
    last = len(told.lines) + 2
    at = {name: f"'{LINES}'!{xl_col_to_name(column)}{last}" for name, column in TOTALLED.items()}
    facts = papers.sums(told)
    total, brought = f"B{row + 4}", f"B{row + 7}"
    formulas = [
        f"={at['list_minor']}",
        f"=-{at['waived_minor']}",
        f"=ROUND({at['total_minor']}-{at['list_minor']}+{at['waived_minor']},2)",
        f"={at['total_minor']}",
        f"={at['net_minor']}",
        f"={at['tax_minor']}",
        None,
        f"=MAX(0,ROUND({total}+{brought},2))",
        f"=MIN(0,ROUND({total}+{brought},2))",
    ]
    for offset, (each, formula) in enumerate(zip(facts, formulas, strict=True)):
        _text(sheet, row + offset, 0, both(each.label))
        value = int(each.said) / 100
        if formula is None:
            sheet.write_number(row + offset, 1, value, looks["money"])
        else:
            sheet.write_formula(row + offset, 1, formula, looks["money"], value)
    return row + len(facts)
