"""Tables of an answer: CSV and workbooks that spreadsheets open whole, and nothing in them that runs."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
import zipfile
from typing import Any

import msgspec
import pytest

from api import export
from api.answer import Answer
from projections.timeline import Line
from tests import sample_answers
from tests.fixtures_node import Node
from tests.test_track_api import STORY, event

DELIVERIES = "SELECT state FROM commerce_events WHERE topic = 'delivery.made'"
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def rows(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))


def cells(body: bytes, sheet: int = 1) -> list[list[str]]:
    """The texts and numbers of a sheet, row by row."""
    with zipfile.ZipFile(io.BytesIO(body)) as book:
        tree = ET.fromstring(book.read(f"xl/worksheets/sheet{sheet}.xml"))  # noqa: S314  our own
    return [["".join(cell.itertext()) for cell in row.iter(f"{SHEET}c")] for row in tree.iter(f"{SHEET}row")]


def changed(answer: Answer, **told: Any) -> Answer:
    line: Line = msgspec.structs.replace(answer.lines[0], **told)
    return msgspec.structs.replace(answer, lines=[line])


# --- what is in them ---


def test_a_table_has_a_row_for_each_line_in_both_languages() -> None:
    answer = sample_answers.box()
    table = rows(export.to_csv(answer))
    assert len(table) == len(answer.lines)
    first = table[0]
    assert (first["动态"], first["Milestone"], first["地点"], first["Place"]) == (
        "重箱进港（进闸）",
        "Laden gate-in",
        "鹿特丹",
        "Rotterdam",
    )
    assert first["发生时间 Happened at"] == "2026-09-08T14:20:00+02:00"
    assert first["类别 Class"] == "实际 Actual"


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_in_one_language_nothing_is_said_in_the_other(lang: str) -> None:
    answer = changed(sample_answers.waybill(), facility="", text="", seal="")
    text = export.to_csv(answer, (lang,)).decode()
    assert bool(re.search(r"[\u4e00-\u9fff]", text)) == (lang == "zh")
    assert ("Milestone" in text) == (lang == "en")


def test_a_table_begins_with_the_mark_by_which_excel_knows_utf_8() -> None:
    assert export.to_csv(sample_answers.box()).startswith(b"\xef\xbb\xbf")


def test_withdrawn_and_contradicted_lines_say_so_in_a_column() -> None:
    states = {row["状态 State"] for row in rows(export.to_csv(sample_answers.box()))}
    assert states == {"有效 stands", "已更正 corrected", "已撤回 retracted"}


def test_a_workbook_holds_the_same_rows_and_a_summary() -> None:
    answer = sample_answers.box()
    table, sheet = rows(export.to_csv(answer)), cells(export.to_xlsx(answer))
    assert (len(sheet), sheet[0]) == (len(table) + 1, list(table[0]))
    assert [row[2] for row in sheet[1:]] == [row["发生时间 Happened at"] for row in table]
    summary = cells(export.to_xlsx(answer), 2)
    assert summary[0] == ["集装箱 Container", "CSQU3054383"]
    assert summary[-1] == ["数据截至记录序号 Up to position", str(answer.position)]


# --- what must not be in them ---


@pytest.mark.parametrize(
    "nasty", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1+1", "=cmd|'/c x'!A0"]
)
def test_nothing_a_source_wrote_becomes_a_formula(nasty: str) -> None:
    answer = changed(sample_answers.box(), text=nasty, transport=nasty, source=nasty, seal=nasty, facility=nasty)
    for row in csv.reader(io.StringIO(export.to_csv(answer).decode("utf-8-sig"), newline="")):
        assert not [cell for cell in row if cell.strip().startswith(export.FORMULA)]
    body = export.to_xlsx(answer)
    with zipfile.ZipFile(io.BytesIO(body)) as book:
        assert b"<f>" not in book.read("xl/worksheets/sheet1.xml")
    assert any(nasty.strip() in cell for cell in cells(body)[1])


@pytest.mark.parametrize("number", ["230120261000000015", "112000000112", "0123", "12E34"])
def test_no_digit_of_a_long_number_is_lost(number: str) -> None:
    answer = changed(sample_answers.box(), seal=number)
    assert rows(export.to_csv(answer))[0]["铅封 Seal"] == f"'{number}"
    assert number in cells(export.to_xlsx(answer))[1]


def test_a_text_longer_than_a_cell_is_cut_and_not_left_out() -> None:
    [_, row] = cells(export.to_xlsx(changed(sample_answers.box(), text="长" * 40_000)))
    assert max(len(cell) for cell in row) == export.CELL_MAX


def test_a_file_name_holds_nothing_that_a_header_or_a_disk_could_misread() -> None:
    answer = msgspec.structs.replace(sample_answers.box(), number='../x"\r\nSet-Cookie: 木')
    assert re.fullmatch(r"track-[A-Za-z0-9_-]+\.csv", export.filename(answer, "csv"))


# --- asked for ---


@pytest.mark.parametrize(
    ("wanted", "accept", "kind"),
    [
        ("csv", "", "text/csv; charset=utf-8"),
        ("xlsx", "", export.XLSX),
        ("", "text/csv", "text/csv; charset=utf-8"),
        ("", export.XLSX, export.XLSX),
        ("", "text/csv;q=0.1, application/json", "application/json"),
        ("json", "text/csv", "application/json"),
    ],
)
def test_the_format_is_that_of_the_parameter_else_of_the_accept_header(
    node: Node, wanted: str, accept: str, kind: str
) -> None:
    node.tell(*STORY)
    headers = {**node.bearer("enterprise"), **({"Accept": accept} if accept else {})}
    path = "/v1/track/CSQU3054383" + (f"?format={wanted}" if wanted else "")
    answer = node.client.get(path, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert ("attachment" in answer.headers.get("content-disposition", "")) == (kind != "application/json")


def test_an_export_is_a_delivery_before_it_leaves(node: Node) -> None:
    node.tell(*STORY)
    node.get("/v1/track/CSQU3054383", format="csv")
    node.get("/v1/track/TOLU4734787", format="xlsx")
    states = [json.loads(bytes(row[0])) for row in node.rows(DELIVERIES)]
    assert sorted((each["channel"], each.get("count", 0), each.get("result", "ok")) for each in states) == [
        ("export", 0, "empty"),
        ("export", 3, "ok"),
    ]


def test_a_table_shows_what_the_answer_shows(node: Node) -> None:
    node.tell(*STORY, event("9", "DAMAGED", "2026-03-02T10:00:00+08:00", document="D"))
    node.tell({"id": "10", "document": "D", "function": "cancel"})
    assert len(rows(node.get("/v1/track/CSQU3054383", format="csv").content)) == 3
    table = rows(node.get("/v1/track/CSQU3054383", format="csv", include="retracted", lang="en").content)
    assert [row["State"] for row in table] == ["stands", "retracted", "stands", "stands"]
