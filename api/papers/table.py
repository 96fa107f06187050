"""A statement's lines as CSV: one row a line under both languages' titles, UTF-8 with a byte order mark for Excel."""

import csv
import io

from api.export import BOM, Cell, guarded
from api.papers.paper import COLUMNS, Column, Paper, both, per_cent
from domain.money import yuan
from domain.statement import Line


def write(paper: Paper) -> bytes:
    """Money in yuan; every row also names the statement, so that files can be put together."""
    text = io.StringIO(newline="")
    text.write(BOM)
    writer = csv.writer(text, lineterminator="\r\n")
    told = paper.statement
    writer.writerow(["账单 Statement", "账期 Period", "客户 Holder", *(both(column.title) for column in COLUMNS)])
    for line in told.lines:
        whose = (told.number, told.period, guarded(told.holder.code))
        writer.writerow([*whose, *(_cell(column, line) for column in COLUMNS)])
    return text.getvalue().encode("utf-8", "replace")


def _cell(column: Column, line: Line) -> Cell:
    """A credit is a number, not a formula; what others wrote is a text, never one."""
    cell = column.cell(line)
    if column.form == "money":
        return yuan(int(cell or 0))
    return per_cent(int(cell or 0)) if column.form == "rate" else guarded(cell)
