"""A statement as a PDF to file and to send: both languages, free and paid together, the document itself attached.

The font is embedded, as far as it is used, so that any viewer shows Chinese names. The same bytes each time: its only
date is that of the issue, and its id is made of its content. A4 across; lengths are millimetres.
"""

import gc
import re
from collections.abc import Sequence
from datetime import UTC
from typing import NamedTuple

import pylopdf_fonts_zh_cn as fonts
from fpdf import FPDF
from fpdf.enums import TextMode

from api.papers import paper as papers
from api.papers.paper import Fact, Paper, Part, both, per_cent, yuan
from api.words import Pair
from domain.statement import Line

FAMILY = "noto"
MARGIN, FOOT = 12.0, 16.0
WIDTH = 297.0 - 2 * MARGIN
INK, SOFT, FREE, PAID, RULE, SHADE = (23, 34, 46), (95, 105, 115), (20, 110, 65), (98, 55, 150), 205, (240, 243, 247)
MISSING = "〓"
"""Stands for a character that the font has not: printers' custom. The attached document has it as it is."""
STROKE = 0.07  # of bold letters
LEADING = 3.7


class Head(NamedTuple):
    title: Pair
    width: float
    right: bool = True


HEADS = (
    Head(("行", "No."), 8),
    Head(("项目与说明", "Item and remarks"), 95, right=False),
    Head(("数量", "Quantity"), 18),
    Head(("其中免费", "Free of it"), 19),
    Head(("目录价金额", "At list price"), 26),
    Head(("减免", "Waived"), 24),
    Head(("税率", "Rate"), 12),
    Head(("不含税", "Net"), 25),
    Head(("税额", "Tax"), 22),
    Head(("金额（含税）", "Amount"), WIDTH - 249),
)


class Sheet(FPDF):
    """Pages with a foot, and the head of the table again on each that goes on with it."""

    def __init__(self, paper: Paper) -> None:
        super().__init__("landscape", "mm", "A4")
        self.paper, self.in_table = paper, False
        self.add_font(FAMILY, fname=fonts.sans_path())
        self.known = frozenset(self.fonts[FAMILY].cmap)  # type: ignore[union-attr]  # a font of a file has one
        self.set_margins(MARGIN, MARGIN)
        self.set_auto_page_break(auto=False)
        self.set_creation_date(paper.issued_at.astimezone(UTC))
        self.set_title(f"{papers.TITLE[0]} {paper.statement.number}")
        self.set_lang("zh-CN")
        self.look()

    def footer(self) -> None:
        """Which statement, which page."""
        self.set_xy(MARGIN, 210 - MARGIN)
        self.look(6.5, SOFT)
        self.write_at(MARGIN, f"{self.paper.statement.number} · SHA-256 {self.paper.sha256}")
        self.set_x(MARGIN)
        self.cell(WIDTH, LEADING, f"{self.page_no()} / {{nb}}", align="R")

    def look(self, size: float = 8, colour: tuple[int, int, int] = INK, *, bold: bool = False) -> None:
        """Of the letters to come. The font has one weight: bold is drawn with an outline."""
        self.set_font(FAMILY, size=size)
        self.set_text_color(*colour)
        self.set_draw_color(*colour)
        self.set_line_width(STROKE if bold else 0.2)
        self.text_mode = TextMode.FILL_STROKE if bold else TextMode.FILL

    def shown(self, text: str) -> str:
        """What the font can show; breaks and other controls are blanks."""
        plain = "".join(letter if letter.isprintable() else " " for letter in text)
        return "".join(letter if ord(letter) in self.known else MISSING for letter in plain)

    def write_at(self, x: float, text: str, width: float = 0, *, right: bool = False) -> None:
        """One row of letters; with `right` it ends at the right of its width."""
        self.set_x(x)
        self.cell(width or WIDTH, LEADING, self.shown(text), align="R" if right else "L")

    def wrapped(self, text: str, width: float) -> list[str]:
        """In rows that fit; broken at blanks and between ideographs, or anywhere where there are none."""
        rows, row = [], ""
        for word in _words(self.shown(text)):
            if self.get_string_width(row + word.rstrip()) <= width:
                row += word
                continue
            rows.append(row.rstrip())
            row = word.lstrip()
            while self.get_string_width(row) > width:
                fits = next(n for n in range(len(row) - 1, 0, -1) if self.get_string_width(row[:n]) <= width)
                rows.append(row[:fits])
                row = row[fits:]
        return [each for each in (*rows, row.rstrip()) if each]

    def room(self, height: float) -> None:
        """On this page, or a new one."""
        if self.get_y() + height > 210 - FOOT:
            self.add_page()
            if self.in_table:
                _heads(self)

    def rule(self, grey: int = RULE) -> None:
        """A line across the page."""
        self.set_draw_color(grey)
        self.set_line_width(0.15)
        self.line(MARGIN, self.get_y(), MARGIN + WIDTH, self.get_y())


def _words(text: str) -> list[str]:
    """Where a row may end: behind a blank, and at each ideograph."""
    return re.findall(r"[^ \u2e80-\uffff]*[\u2e80-\uffff]? *", text)


def write(paper: Paper) -> bytes:
    """The PDF, with the document attached as NUMBER.json.

    The font's tables hold each other in circles, 18 MB that a server which collects rarely would keep.
    """
    try:
        return _written(Sheet(paper))
    finally:
        gc.collect()


def _written(sheet: Sheet) -> bytes:
    paper = sheet.paper
    sheet.add_page()
    _top(sheet)
    sheet.in_table = True
    _heads(sheet)
    for part in papers.parts(paper.statement):
        _part(sheet, part)
    _totals(sheet)
    sheet.in_table = False
    _bottom(sheet)
    sheet.embed_file(
        bytes=paper.document,
        basename=f"{paper.statement.number}.json",
        mime_type="application/json",
        compress=True,
        modification_date=paper.issued_at.astimezone(UTC),
    )
    return bytes(sheet.output())


# --- the first page's head ---


def _top(sheet: Sheet) -> None:
    told = sheet.paper.statement
    sheet.set_y(MARGIN)
    sheet.look(16, bold=True)
    sheet.cell(WIDTH, 8, sheet.shown(papers.TITLE[0]))
    sheet.set_y(MARGIN + 7.5)
    sheet.look(9, SOFT)
    sheet.write_at(MARGIN, papers.TITLE[1])
    sheet.set_y(MARGIN)
    sheet.look(13, bold=True)
    sheet.set_x(MARGIN)
    sheet.cell(WIDTH, 8, told.number, align="R")
    sheet.set_y(MARGIN + 7.5)
    sheet.look(9, SOFT)
    sheet.write_at(MARGIN, f"{told.period} · {told.zone}", WIDTH, right=True)
    top = MARGIN + 15
    ends = [
        _facts(sheet, papers.about(sheet.paper)[2:], (MARGIN, top), 90),
        _facts(sheet, [*papers.holder(told), *papers.seller(told.seller)], (MARGIN + 94, top), 90),
        _facts(sheet, papers.sums(told), (MARGIN + 190, top), WIDTH - 190, strong=(3, 7)),
    ]
    sheet.set_y(max(ends) + 3)


def _facts(
    sheet: Sheet, facts: Sequence[Fact], corner: tuple[float, float], width: float, *, strong: Sequence[int] = ()
) -> float:
    """A column of labels and what they say; how far down it comes."""
    x, y = corner
    label = 46.0 if strong else 40.0
    for place, each in enumerate(facts):
        bold = place in strong
        sheet.set_y(y)
        sheet.look(8.5 if bold else 7.5, INK if bold else SOFT, bold=bold)
        sheet.write_at(x, both(each.label), label)
        if isinstance(each.said, int):
            sheet.look(8.5 if bold else 7.5, bold=bold)
            sheet.write_at(x + label, yuan(each.said), width - label, right=True)
            y += LEADING + 0.6
            continue
        sheet.look(7.5)
        for row in sheet.wrapped(each.said, width - label - 2):
            sheet.set_y(y)
            sheet.write_at(x + label, row, width - label)
            y += LEADING
        y += 0.6
    return y


# --- the table ---


def _heads(sheet: Sheet) -> None:
    top = sheet.get_y()
    sheet.set_fill_color(*SHADE)
    sheet.rect(MARGIN, top, WIDTH, 8.6, style="F")
    for place, size in ((0, 7.5), (1, 6.5)):
        x = MARGIN
        sheet.set_y(top + 0.6 + place * LEADING)
        sheet.look(size, SOFT)
        for head in HEADS:
            sheet.write_at(x, head.title[place], head.width, right=head.right)
            x += head.width
    sheet.set_y(top + 9)


def _part(sheet: Sheet, part: Part) -> None:
    sheet.room(2 * LEADING + 14)
    sheet.set_y(sheet.get_y() + 1)
    free = all(not line.amount_minor and line.tariff is None for line in part.lines)
    sheet.look(8.5, FREE if free else PAID, bold=True)
    sheet.write_at(MARGIN, both(part.title))
    sheet.set_y(sheet.get_y() + LEADING + 1.2)
    for line in part.lines:
        _line(sheet, line)


def _line(sheet: Sheet, line: Line) -> None:
    width = HEADS[1].width - 3
    said = [(row, 7.5, INK) for row in _rows(sheet, f"{line.zh} {line.en}", 7.5, width)]
    unit = both((line.unit_zh, line.unit_en))
    under = [line.item, f"单位 unit: {unit}", *([line.tariff] if line.tariff else [])]
    notes = [" · ".join(under), *(both(each) for each in papers.remarks(line))]
    notes += [papers.reckoned(line)] if line.explanation else []
    if line.reference:
        notes.append(line.reference)
    for note in notes:
        said += [(row, 6.5, SOFT) for row in _rows(sheet, note, 6.5, width)]
    height = len(said) * LEADING + 1.2
    sheet.room(height)
    top = sheet.get_y()
    _figures(sheet, line)
    for place, (row, size, colour) in enumerate(said):
        sheet.set_y(top + place * LEADING)
        sheet.look(size, colour)
        sheet.write_at(MARGIN + HEADS[0].width + 2, row)
    sheet.set_y(top + height)
    sheet.rule()
    sheet.set_y(top + height + 0.6)


def _rows(sheet: Sheet, text: str, size: float, width: float) -> list[str]:
    sheet.look(size)
    return sheet.wrapped(text, width)


def _figures(sheet: Sheet, line: Line) -> None:
    """Of what has no price there is no sum: a dash, not a zero that might look like a price."""
    priced = line.tariff is not None or bool(line.amount_minor)
    listed = priced and line.kind == "usage"  # the list price of a share is that of the whole, on another statement
    free = line.quantity if line.item_class == "government" or line.waived else line.free_quantity
    counts = ["" if line.kind == "adjustment" else f"{each:,}" for each in (line.quantity, free)]
    sums = [yuan(each) if listed else "–" for each in (line.list_minor, line.waived_minor)]
    tax = [per_cent(line.tax_rate_bp), yuan(line.net_minor), yuan(line.tax_minor)] if line.amount_minor else ["–"] * 3
    cells = [str(line.no), "", *counts, *sums, *tax, yuan(line.amount_minor)]
    top, x = sheet.get_y(), MARGIN
    for place, (head, cell) in enumerate(zip(HEADS, cells, strict=True)):
        last = place == len(HEADS) - 1
        sheet.look(7.5, (PAID if line.amount_minor else FREE) if last else SOFT if place == 0 else INK)
        sheet.set_y(top)
        sheet.write_at(x, cell, head.width, right=True)
        x += head.width


def _totals(sheet: Sheet) -> None:
    told = sheet.paper.statement
    sheet.room(LEADING + 4)
    sums = {4: told.list_minor, 5: told.waived_minor, 7: told.net_minor, 8: told.tax_minor, 9: told.total_minor}
    top, x = sheet.get_y() + 0.8, MARGIN
    for place, head in enumerate(HEADS):
        sheet.set_y(top)
        sheet.look(8, bold=True)
        if place in sums:
            sheet.write_at(x, yuan(sums[place]), head.width, right=True)
        elif place == 1:
            sheet.write_at(x + 2, "合计 Total", head.width)
        x += head.width
    sheet.set_y(top + LEADING + 2)


def _bottom(sheet: Sheet) -> None:
    """How anybody can check it."""
    zh, en = papers.check(sheet.paper)
    sheet.look(7)
    rows = [*sheet.wrapped(zh, WIDTH), *sheet.wrapped(en, WIDTH)]
    proof = [f"{both(each.label)}：{each.said}" for each in papers.proof(sheet.paper)]
    rows = [row for text in proof for row in sheet.wrapped(text, WIDTH)] + rows
    sheet.room((len(rows) + 1) * LEADING + 3)
    sheet.set_y(sheet.get_y() + 1)
    sheet.rule(120)
    sheet.set_y(sheet.get_y() + 1.5)
    for row in rows:
        sheet.look(7, SOFT)
        sheet.write_at(MARGIN, row)
        sheet.set_y(sheet.get_y() + LEADING)
