"""Papers of a statement: the same figures as the document, the same bytes each time, and nothing that turns active."""

import csv
import io
import re
import xml.etree.ElementTree as ET  # our own workbook
import zipfile

import msgspec
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.papers import paper as papers
from api.papers import pdf, table, xlsx
from api.papers.paper import Paper, yuan
from domain import statement
from domain.statement import Line
from tests import sample_statement
from tests.sample_statement import LINES, drawn, line, many, paper

NASTY = '=HYPERLINK("http://x","y")'
ODD = "\x00\x07\n\t\u202e\U00020bb7\ud800😀 " + "长" * 90 + "W" * 300
SPACE = re.compile(r"[\s\0]+")  # pypdf reads the high byte of each letter, too


def text(made: bytes) -> str:
    """All that the pages say, without blanks: where a viewer sees some depends on the viewer."""
    pages = pypdf.PdfReader(io.BytesIO(made)).pages
    return SPACE.sub("", "".join(page.extract_text() for page in pages))


def sums(found: Paper) -> list[str]:
    return [yuan(int(each.said)) for each in papers.sums(found.statement)]


# --- PDF ---


def test_the_pdf_says_who_what_and_how_much_in_both_languages() -> None:
    found = paper()
    said = text(pdf.write(found))
    told = found.statement
    wanted = [
        told.number,
        told.period,
        found.sha256,
        told.previous,
        told.previous_sha256,
        str(told.cut_off),
        *sums(found),
    ]
    wanted += ["示例外贸有限公司", "SampleTradingCo.,Ltd.", "示例口岸运营有限公司", "91320000MA0000290X", "王会计"]
    wanted += ["政务服务免费", "governmentservice", "试用", "A-20261015-01", "23175x2分fen=463.50元CNY"]
    wanted += ["kouanstatementremakeKS-202610-000017", "应付Payable", "税额"]
    assert [word for word in wanted if SPACE.sub("", word) not in said] == []


def test_every_line_is_on_the_pdf_and_each_page_has_the_head_of_the_table() -> None:
    made = pdf.write(many(120))
    pages = [SPACE.sub("", page.extract_text()) for page in pypdf.PdfReader(io.BytesIO(made)).pages]
    assert len(pages) > 5
    assert all("项目与说明" in page for page in pages[:-1])
    assert all(f"{number}/{len(pages)}" in page for number, page in enumerate(pages, start=1))
    whole = "".join(pages)
    assert [number for number in range(120) if f"feed.pull/{number:05}" not in whole] == []


def test_the_same_pdf_is_the_same_bytes_and_carries_the_document_itself() -> None:
    found = paper()
    made = pdf.write(found)
    assert made == pdf.write(Paper.of(found.document, found.sha256, found.issued_at))
    reader = pypdf.PdfReader(io.BytesIO(made))
    [attached] = reader.attachments["KS-202610-000017.json"]
    assert attached == found.document
    assert statement.digest(attached) == found.sha256


def test_the_fonts_of_the_pdf_are_in_it() -> None:
    reader = pypdf.PdfReader(io.BytesIO(pdf.write(paper())))
    fonts = [font.get_object() for page in reader.pages for font in page["/Resources"]["/Font"].values()]  # type: ignore[index]
    assert fonts
    for font in fonts:
        [real] = font["/DescendantFonts"]
        assert "/FontFile3" in real.get_object()["/FontDescriptor"].get_object()


def test_what_stands_in_a_name_breaks_no_paper() -> None:
    clean = ODD.replace("\ud800", "")  # no document holds half a character
    odd = msgspec.structs.replace(LINES[2], zh=clean, en=NASTY, explanation=clean, provider=clean, tariff=clean)
    found = paper(drawn((odd, LINES[0]), zh=clean, en=clean))
    assert pdf.MISSING in text(pdf.write(found))
    assert xlsx.write(found).startswith(b"PK")
    assert table.write(found).decode().count("KS-202610-000017") == 2


def test_a_statement_of_nothing_has_its_papers_too() -> None:
    found = paper(drawn(()))
    assert "0.00" in text(pdf.write(found))
    assert float(cells(xlsx.write(found), 2)["U2"].value) == 0
    assert table.write(found).decode().count("\r\n") == 1


# --- workbook ---


class Read(msgspec.Struct):
    value: str
    formula: str = ""
    kind: str = "n"  # s: a text


def cells(made: bytes, sheet: int) -> dict[str, Read]:
    """What a spreadsheet finds on a sheet, by its address."""
    space = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    with zipfile.ZipFile(io.BytesIO(made)) as book:
        shared = ET.fromstring(book.read("xl/sharedStrings.xml"))  # noqa: S314
        texts = ["".join(each.itertext()) for each in shared.findall("x:si", space)]
        root = ET.fromstring(book.read(f"xl/worksheets/sheet{sheet}.xml"))  # noqa: S314
    found = {}
    for cell in root.iterfind(".//x:c", space):
        value, formula = cell.findtext("x:v", "", space), cell.findtext("x:f", "", space)
        kind = cell.get("t", "n")
        found[str(cell.get("r"))] = Read(texts[int(value)] if kind == "s" else value, formula, kind)
    return found


def column(found: dict[str, Read], name: str) -> list[Read]:
    return [found[f"{name}{row}"] for row in range(2, 2 + len(LINES))]


def test_the_totals_of_the_workbook_recompute_from_its_lines() -> None:
    made = paper()
    told, found = made.statement, cells(xlsx.write(made), 2)
    last = len(LINES) + 2
    for name, letter in {"total_minor": "W", "tax_minor": "V", "net_minor": "U"}.items():
        assert round(sum(float(each.value) for each in column(found, letter)) * 100) == getattr(told, name)
        assert found[f"{letter}{last}"].formula == f"ROUND(SUM({letter}2:{letter}{last - 1}),2)"
        assert round(float(found[f"{letter}{last}"].value) * 100) == getattr(told, name)
    usage = [kind.value == "使用 usage" for kind in column(found, "B")]
    for name, letter in {"list_minor": "Q", "waived_minor": "R"}.items():
        own = [float(each.value) for each, counts in zip(column(found, letter), usage, strict=True) if counts]
        assert round(sum(own) * 100) == getattr(told, name) == round(float(found[f"{letter}{last}"].value) * 100)
        assert found[f"{letter}{last}"].formula.startswith(f'ROUND(SUMIF(B2:B{last - 1},"使用 usage",{letter}2')


def test_the_summary_of_the_workbook_shows_every_sum_with_a_formula_that_a_viewer_need_not_reckon() -> None:
    made = paper()
    found = cells(xlsx.write(made), 1)
    shown = [each for each in found.values() if each.kind == "n" and each.value]
    assert [yuan(round(float(each.value) * 100)) for each in shown] == sums(made)
    assert [bool(each.formula) for each in shown] == [True] * 6 + [False] + [True] * 2


def test_codes_are_texts_and_what_others_wrote_is_never_a_formula() -> None:
    bad = msgspec.structs.replace(LINES[2], zh=NASTY, en="@x", explanation="+1", item="-x")
    found = paper(drawn((bad,), zh=NASTY))
    made = xlsx.write(found)
    assert (cells(made, 2)["K2"].kind, cells(made, 2)["K2"].value) == ("s", sample_statement.OURS)
    for sheet in (1, 2):
        for each in cells(made, sheet).values():
            assert each.kind == "n" or not each.formula
            assert "HYPERLINK" not in each.formula
    assert f"'{NASTY}"[:8] in table.write(found).decode()
    assert not re.search(r'(^|,)"?[=+@-](?!\d+\.\d\d)', table.write(found).decode(), re.MULTILINE)


def test_the_same_workbook_is_the_same_bytes() -> None:
    assert xlsx.write(paper()) == xlsx.write(paper())


# --- any statement ---

AMOUNTS = st.integers(min_value=-(10**11), max_value=10**11)


def adjusted(place: int, amount_minor: int) -> Line:
    return line(amount_minor=amount_minor, kind="adjustment", tariff=None, reference=f"A-{place}")


@settings(max_examples=30, deadline=None)
@given(amounts=st.lists(AMOUNTS, max_size=12), carried=st.integers(min_value=-(10**9), max_value=0))
def test_of_any_statement_the_tables_show_its_totals(amounts: list[int], carried: int) -> None:
    found = paper(drawn((LINES[0], *(adjusted(place, amount) for place, amount in enumerate(amounts))), carried))
    book = cells(xlsx.write(found), 1).values()
    assert [yuan(round(float(each.value) * 100)) for each in book if each.kind == "n" and each.value] == sums(found)
    rows = csv.reader(io.StringIO(table.write(found).decode("utf-8-sig")))
    told = [row[25] for row in rows][1:]
    assert sum(round(float(each) * 100) for each in told) == found.statement.total_minor


@pytest.mark.parametrize("amount_minor", [-(10**11), -1, 0, 99, 10**11 + 1])
def test_of_any_statement_the_pdf_shows_its_totals(amount_minor: int) -> None:
    found = paper(drawn((*LINES, adjusted(1, amount_minor))))
    said = text(pdf.write(found))
    assert [each for each in sums(found) if each not in said] == []
