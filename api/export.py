"""An answer as a table that a spreadsheet opens: CSV (UTF-8 with a mark, for Excel), or a workbook.

One row for each line; the workbook has a second sheet with the summary. Both languages, or one. Nothing that a source
wrote may become a formula: in a workbook every text is written as text; in CSV, which has no types, what a spreadsheet
would take for a formula, and long numbers of which it would lose digits, get an apostrophe before them. Times are ISO
8601 with offset, weights kg.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import xlsxwriter  # type: ignore[import-untyped]
from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]

from api import words
from api.answer import KINDS, Answer
from billing import table
from projections.timeline import Line

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CELL_MAX = table.CELL_MAX
BOM, FORMULA, guarded = table.BOM, table.FORMULA, table.guarded

Cell = table.Cell


class Column(NamedTuple):
    title: words.Pair
    cell: Callable[[Line], Cell]
    width: int = 14


def filename(answer: Answer, ending: str) -> str:
    """A file name without anything that a file system or a header could misread."""
    return f"track-{re.sub(r'[^A-Za-z0-9-]+', '_', answer.number)[:60] or 'number'}.{ending}"


# --- columns ---

STATES: dict[str, words.Pair] = {
    "stands": ("有效", "stands"),
    "retracted": ("已撤回", "retracted"),
    "corrected": ("已更正", "corrected"),
    "overruled": ("与他源不一致，未采用", "contradicted, does not count"),
    "preferred": ("与他源不一致，采用", "contradicted, counts"),
}


def state(line: Line) -> str:
    """A word of STATES."""
    if line.corrected:
        return "corrected"
    if not line.stands:
        return "retracted"
    if line.conflict:
        return "preferred" if line.conflict.won else "overruled"
    return "stands"


def columns(langs: Sequence[str]) -> list[Column]:
    """What is told of each line; names have a column for each language, words stand together."""

    def both(pair: words.Pair) -> str:
        return " ".join(dict.fromkeys(word for lang in langs if (word := words.pick(pair, lang))))

    def said(warnings: Iterable[str]) -> str:
        return "; ".join(warning if len(langs) > 1 else words.said(warning, langs[0]) for warning in warnings)

    def kind(line: Line) -> str:
        name = line.subject.partition(":")[0]
        return both(KINDS.get(name, (name, name)))

    return [
        Column(("号码种类", "Kind"), kind, 16),
        Column(("号码", "Number"), lambda line: line.subject.partition(":")[2], 22),
        Column(("发生时间", "Happened at"), lambda line: line.happened_at, 26),
        Column(("时区", "Zone"), lambda line: line.zone or "UTC", 16),
        Column(("类别", "Class"), lambda line: both(words.CLASSES.get(line.classifier, (line.classifier,) * 2))),
        Column(("状态", "State"), lambda line: both(STATES[state(line)]), 20),
        Column(("标准代码", "Milestone code"), lambda line: line.code, 18),
        *(Column(("动态", "Milestone"), partial(words.milestone, lang=lang), 28) for lang in langs),
        Column(("地点代码", "Place code"), lambda line: line.place),
        *(Column(("地点", "Place"), partial(_named, lang=lang), 20) for lang in langs),
        Column(("设施", "Facility"), lambda line: line.facility, 18),
        Column(("运输方式", "Mode"), lambda line: both(_mode(line))),
        Column(("运输工具", "Transport"), lambda line: line.transport, 26),
        Column(("重/空", "Laden"), lambda line: "" if line.laden is None else both(LADEN[line.laden]), 12),
        Column(("件数", "Pieces"), lambda line: line.pieces, 8),
        Column(("总件数", "Pieces in all"), lambda line: line.pieces_total, 8),
        Column(("重量千克", "Weight kg"), lambda line: line.weight_kg, 10),
        Column(("铅封", "Seal"), lambda line: line.seal),
        *_provenance(both, said),
    ]


def _provenance(both: Callable[[words.Pair], str], said: Callable[[Iterable[str]], str]) -> list[Column]:
    """Who says so, in which words, and what became of it."""
    return [
        Column(("来源", "Source"), lambda line: line.source, 18),
        Column(("另有证实", "Confirmed by"), lambda line: ", ".join(_others(line)), 18),
        Column(("不一致时的取舍", "Rule where sources differ"), lambda line: both(_rule(line)), 30),
        Column(("撤回或更正", "Withdrawn"), _withdrawn, 30),
        Column(("原始代码", "Raw code"), lambda line: line.raw_code),
        Column(("来源原文", "Source's words"), lambda line: line.text, 30),
        Column(("提醒", "Notes"), lambda line: said(line.warnings), 30),
        Column(("提及号码", "Names"), lambda line: ", ".join(line.refs), 30),
        Column(("报文时间", "Sent at"), lambda line: line.sent_at.isoformat() if line.sent_at else "", 26),
        Column(("记录时间", "Recorded at"), lambda line: line.recorded_at.isoformat(timespec="seconds"), 26),
        Column(("记录序号", "Position"), lambda line: line.position, 10),
        Column(("事实", "Fact"), lambda line: str(line.fact_id), 38),
        Column(("报文编号", "Message"), lambda line: str(line.message_id or ""), 38),
    ]


LADEN: dict[bool, words.Pair] = {True: ("重箱", "laden"), False: ("空箱", "empty")}


def _named(line: Line, lang: str) -> str:
    return words.pick((line.place_zh, line.place_en), lang) or line.place


def _mode(line: Line) -> words.Pair:
    return (words.mode_name(line.mode, line.subject, "zh"), words.mode_name(line.mode, line.subject, "en"))


def _others(line: Line) -> list[str]:
    return list(dict.fromkeys(remark.source for remark in line.confirmed_by))


def _rule(line: Line) -> words.Pair:
    return (line.conflict.rule_zh, line.conflict.rule_en) if line.conflict else ("", "")


def _withdrawn(line: Line) -> str:
    remark = line.corrected or line.retracted
    return " ".join(part for part in (remark.source, remark.reason) if part) if remark else ""


def _titles(chosen: Sequence[Column], langs: Sequence[str]) -> list[str]:
    """A name that has a column for each language is told by it; other titles are in both."""
    titles, seen = [], dict.fromkeys((column.title for column in chosen), 0)
    for column in chosen:
        times = sum(other.title == column.title for other in chosen)
        lang = langs[seen[column.title]] if times > 1 else ""
        seen[column.title] += 1
        titles.append(
            words.pick(column.title, lang) if lang else " ".join(words.pick(column.title, one) for one in langs)
        )
    return titles


# --- CSV ---


def to_csv(answer: Answer, langs: Sequence[str] = ("zh", "en")) -> bytes:
    """One row for each line, under a row of titles."""
    chosen = columns(langs)
    text = io.StringIO(newline="")
    text.write(BOM)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_titles(chosen, langs))
    for line in answer.lines:
        writer.writerow([guarded(column.cell(line)) for column in chosen])
    return text.getvalue().encode("utf-8", "replace")


# --- workbook ---


def to_xlsx(answer: Answer, langs: Sequence[str] = ("zh", "en")) -> bytes:
    """The lines, and on a second sheet the summary."""
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"constant_memory": True, "strings_to_formulas": False}) as book:
        bold = book.add_format({"bold": True})
        sheet = book.add_worksheet(_one(("时间线", "Timeline"), langs))
        chosen = columns(langs)
        sheet.freeze_panes(1, 2)
        for at, (title, column) in enumerate(zip(_titles(chosen, langs), chosen, strict=True)):
            sheet.set_column(at, at, column.width)
            sheet.write_string(0, at, title, bold)
        sheet.autofilter(0, 0, len(answer.lines), len(chosen) - 1)
        for row, line in enumerate(answer.lines, 1):
            _write(sheet, row, [column.cell(line) for column in chosen])
        summary = book.add_worksheet(_one(("概要", "Summary"), langs))
        summary.set_column(0, 0, 28)
        summary.set_column(1, 8, 24)
        for row, cells in enumerate(_summary(answer, langs)):
            _write(summary, row, cells)
    return made.getvalue()


def _write(sheet: Worksheet, row: int, cells: Iterable[Cell]) -> None:
    for at, cell in enumerate(cells):
        if isinstance(cell, str):
            sheet.write_string(row, at, table.inline(cell))
        elif cell is not None:
            sheet.write_number(row, at, cell)


def _one(pair: words.Pair, langs: Sequence[str]) -> str:
    return " ".join(dict.fromkeys(words.pick(pair, lang) for lang in langs))


def _summary(answer: Answer, langs: Sequence[str]) -> Iterable[Sequence[Cell]]:
    """Label, then values: what the header of an answer tells."""
    header = answer.header

    def one(zh: str, en: str) -> str:
        return _one((zh, en), langs)

    yield one(header.kind_zh, header.kind_en), header.number
    if header.latest:
        latest = header.latest
        yield (
            one("最新动态", "Latest"),
            one(latest.zh, latest.en),
            one(latest.place_zh, latest.place_en),
            latest.happened_at,
        )
    for other in header.linked:
        yield (
            one("相关", "Linked"),
            one(other.kind_zh, other.kind_en),
            other.number,
            one(other.zh, other.en),
            other.happened_at,
        )
    for part in header.parts:
        counted = f"{part.pieces} / {part.pieces_total}" if part.pieces_total is not None else str(part.pieces)
        yield one("分批", "In parts"), one(part.zh, part.en), one(part.place_zh, part.place_en), counted
    for eta in header.eta:
        yield one("预计到达", "Expected arrival"), one(eta.zh, eta.en), one(eta.place_zh, eta.place_en), eta.expected_at
        for said in eta.history:
            learnt = said.learnt_at.isoformat(timespec="seconds")
            yield one("　曾报", "  told"), said.expected_at, said.source, learnt, said.delta_hours
    yield one("已撤回", "Retracted"), header.withdrawn.retracted
    yield one("已更正", "Corrected"), header.withdrawn.corrected
    yield one("来源不一致", "Sources differ"), header.conflicts
    for silence in answer.sources:
        yield one("来源沉默", "Silent source"), one(silence.zh, silence.en)
    for warning in header.warnings:
        yield one("提醒", "Note"), one(words.said(warning, "zh"), words.said(warning, "en"))
    yield one("数据截至记录序号", "Up to position"), answer.position
