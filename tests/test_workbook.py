"""The reconciliation workbook: eight sheets that agree with the statements to the fen, as XLSX, CSV and JSON."""

import csv
import io
import re
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from click.testing import CliRunner

from api.main import kouan
from billing.spreadsheet import to_xlsx
from billing.table import Column, Sheet, inline
from billing.workbook import About, Book, Part
from billing.workbook_rows import SHEETS
from domain.adjustment import AdjustmentApproved, AdjustmentProposed
from domain.invoice import CreditNoteIssued, InvoiceSent, PaymentReceived, RefundMade
from domain.reconciliation import Break, Reconciled, identity
from domain.seller import TaxRateSet
from tests.fixtures_node import Node
from tests.test_statement import FREE, MONTH, close
from tests.test_usage import SEPTEMBER, made

NOW = datetime(2026, 11, 2, tzinfo=UTC)
EVIL = '=HYPERLINK("http://evil","x")'


def month(node: Node) -> Node:
    """Free and paid usage, an adjustment, an invoice that was paid in part, a break."""
    told: dict[str, Any] = {"happened_at": SEPTEMBER, "recorded_at": SEPTEMBER, "by": "clerk"}
    node.decide("commerce", "seller:node", TaxRateSet(**told, rate_bp=600, effective_from=SEPTEMBER, basis="b"))
    node.decide("commerce", "metering:a", made(SEPTEMBER, 53), made(SEPTEMBER, 3, **FREE))
    node.decide("commerce", "metering:a", made(SEPTEMBER + timedelta(days=1), 7, account="trader"))
    given = AdjustmentProposed(
        **told, adjustment="a1", holder="mover", is_party=False, item="feed.pull", amount_minor=-6, reason=EVIL
    )
    approved = AdjustmentApproved(**told | {"by": "chief"}, adjustment="a1", proposed=given)
    node.decide("commerce", "adjustment:a1", given, approved)
    close(node)
    [(number,)] = node.rows("SELECT statement FROM issued_statements WHERE holder = 'mover'")
    at: dict[str, Any] = {"happened_at": NOW, "recorded_at": NOW, "statement": number, "provider": "bank"}
    node.decide(
        "commerce",
        f"invoice:{number}",
        InvoiceSent(**at, invoice="4403202611000000012345", total_minor=100, currency="CNY"),
        PaymentReceived(**at, payment="P1", amount_minor=60, fee_minor=1, currency="CNY"),
        CreditNoteIssued(**at, credit_note="C1", amount_minor=10, reason="r"),
        RefundMade(**at, refund="R1", payment="P1", amount_minor=10, credit_note="C1"),
    )
    found = Break(
        break_id=identity("amount_mismatch", MONTH, number), code="amount_mismatch", period=MONTH, about=number,
        statement=number, ours_minor=100, theirs_minor=99, evidence=f"/v1/statements/{number}",
    )  # fmt: skip
    run = Reconciled(
        happened_at=NOW, recorded_at=NOW, period=MONTH, by="clerk", cut_off=1, journal_sha256="a" * 64,
        statements_sha256="b" * 64, provider_sha256="c" * 64, counts={}, breaks=(found,),
    )  # fmt: skip
    node.decide("commerce", f"reconciliation:{MONTH}", run)
    return node


def fetched(node: Node, form: str, path: str = f"/v1/periods/{MONTH}/workbook", who: str = "finance") -> bytes:
    answer = node.get(path, who, format=form)
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["content-length"]) == len(answer.content)
    return bytes(answer.content)


# --- reading XLSX back ---

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


class Opened:
    """An XLSX file: cells by sheet and place, values as they are shown, formulas beside them."""

    def __init__(self, content: bytes) -> None:
        self.archive = zipfile.ZipFile(io.BytesIO(content))
        book = ET.fromstring(self.archive.read("xl/workbook.xml"))  # noqa: S314  our own
        self.names = [each.attrib["name"] for each in book.iter(f"{MAIN}sheet")]
        self.values: dict[str, dict[str, str]] = {}
        self.formulas: dict[str, dict[str, str]] = {}
        for number, name in enumerate(self.names, 1):
            sheet = ET.fromstring(self.archive.read(f"xl/worksheets/sheet{number}.xml"))  # noqa: S314  our own
            cells = {cell.attrib["r"]: cell for cell in sheet.iter(f"{MAIN}c")}
            self.values[name] = {at: shown(cell) for at, cell in cells.items()}
            found = {at: cell.findtext(f"{MAIN}f") for at, cell in cells.items()}
            self.formulas[name] = {at: formula for at, formula in found.items() if formula}

    def column(self, name: str, title: str) -> tuple[str, list[str]]:
        """Its letters, and its cells below the title, the total too."""
        cells = self.values[name]
        [at] = [at for at, value in cells.items() if value == title and re.fullmatch(r"[A-Z]+1", at)]
        letters = at[:-1]
        return letters, [value for at, value in cells.items() if re.fullmatch(rf"{letters}[0-9]+", at)][1:]

    def reckoned(self, formula: str, sheet: str) -> float:
        """What a total of ours comes to, from the cells that it names."""
        total = 0.0
        for name, start, end in re.findall(r"(?:'([^']+)'!)?([A-Z]+[0-9]+):([A-Z]+[0-9]+)", formula):
            letters, first, last = start.rstrip("0123456789"), *(int(re.sub("[A-Z]", "", at)) for at in (start, end))
            cells = self.values[name or sheet]
            total += sum(float(cells.get(f"{letters}{row}") or 0) for row in range(first, last + 1))
        return round(total, 2)


def shown(cell: ET.Element) -> str:
    inline = cell.find(f"{MAIN}is")
    return "".join(inline.itertext()) if inline is not None else cell.findtext(f"{MAIN}v") or ""


# --- tests ---


def test_there_are_eight_sheets_in_both_languages(node: Node) -> None:
    opened = Opened(fetched(month(node), "xlsx"))
    assert opened.names == [
        "汇总 Summary",
        "免费与收费 Free vs paid",
        "账单明细 Statement lines",
        "支付方账单 Provider invoices",
        "收款与退款 Payments and refunds",
        "调整 Adjustments",
        "差异 Breaks",
        "收费目录 Fee schedule",
    ]
    assert max(len(f"{sheet.title} 99") for sheet in SHEETS) <= 31


def test_every_total_is_a_formula_whose_stored_value_is_what_it_recomputes_to(node: Node) -> None:
    opened = Opened(fetched(month(node), "xlsx"))
    totals = [
        (name, at, formula)
        for name, found in opened.formulas.items()
        for at, formula in found.items()
        if "SUM" in formula or "SUBTOTAL" in formula
    ]
    assert len(totals) > 40
    for name, at, formula in totals:
        assert opened.reckoned(formula, name) == float(opened.values[name][at]), (name, at, formula)
    _, amounts = opened.column("账单明细 Statement lines", "金额（元） Amount, CNY")
    assert amounts == ["0.00", "1.06", "-0.06", "0.14", "1.14"]


def test_what_somebody_wrote_stays_text_and_long_numbers_keep_their_digits(node: Node) -> None:
    opened = Opened(fetched(month(node), "xlsx"))
    assert opened.column("调整 Adjustments", "理由 Reason")[1] == [EVIL]
    invoices = opened.column("支付方账单 Provider invoices", "支付方账单号 Provider's invoice")[1]
    assert "4403202611000000012345" in invoices
    link = r'HYPERLINK\("http[^"]+","打开 open"\)'
    ours = re.compile(rf"SUBTOTAL\(109,[A-Z0-9:]+\)|{link}|(ROUND\()?SUM\(.*\)|0|ROUND\(0,2\)")
    strange = [each for found in opened.formulas.values() for each in found.values() if not ours.fullmatch(each)]
    assert strange == []


def test_mark_up_in_a_text_is_written_as_text() -> None:
    row = msgspec.defstruct("Row", [("name", str)])
    sheet = Sheet("x", "甲", "x", (Column("name", "名", "Name"), Column("name", "名二", "Name 2")))
    opened = Opened(written(Part(sheet, [row("<r><t>a</t></r>"), row("<b>&amp;</b>")])))
    assert opened.column("甲 x", "名 Name")[1] == [inline("<r><t>a</t></r>"), "<b>&amp;</b>"]


def written(*parts: Part, **more: Any) -> bytes:
    about = About(
        period=MONTH, stage="cut_off", starts_at=SEPTEMBER, ends_at=SEPTEMBER, seller="", cut_off=1, cut_off_at=NOW,
        cut_off_by="clerk",
    )  # fmt: skip
    file = io.BytesIO()
    to_xlsx(Book(about, [], parts), file, **more)
    return file.getvalue()


def test_a_sheet_that_is_full_goes_on_on_another_one() -> None:
    row = msgspec.defstruct("Row", [("no", str), ("minor", int)])
    columns = (Column("no", "号", "No."), Column("minor", "元", "CNY", "money", 10, {}, True))
    parts = Part(Sheet("x", "甲", "x", columns), (row(str(each), 10 * each + 1) for each in range(7)))
    opened = Opened(written(parts, rows_max=3))
    assert opened.names == ["汇总 Summary", "甲 x", "甲 x 2", "甲 x 3"]
    assert [opened.column(name, "号 No.")[1] for name in opened.names[1:]] == [list("012"), list("345"), ["6"]]
    [[at, formula]] = [each for each in opened.formulas["汇总 Summary"].items() if "SUM" in each[1]]
    assert formula == "ROUND(SUM('甲 x'!B2:B4,'甲 x 2'!B2:B4,'甲 x 3'!B2:B2),2)"
    assert opened.values["汇总 Summary"][at] == "2.17" == str(opened.reckoned(formula, ""))


@pytest.mark.parametrize("form", ["xlsx", "csv", "json"])
def test_the_same_books_give_the_same_bytes(node: Node, form: str) -> None:
    month(node)
    assert fetched(node, form) == fetched(node, form)


def test_csv_and_json_tell_the_same(node: Node) -> None:
    month(node)
    archive = zipfile.ZipFile(io.BytesIO(fetched(node, "csv")))
    told = msgspec.json.decode(fetched(node, "json"))
    assert len(archive.namelist()) == 8
    for number, sheet in enumerate(SHEETS, start=2):
        text = archive.read(f"{number}-{sheet.key}.csv").decode()
        assert text.startswith("\ufeff")
        table = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
        assert table[0] == [column.title for column in sheet.columns]
        assert len(table) - 1 == len(told[sheet.key]) == told["summary"]["totals"][sheet.key]["rows"]
        for place, column in enumerate(sheet.columns):
            if column.kind == "money":
                minor = [each[column.name] for each in told[sheet.key]]
                assert [row[place] for row in table[1:]] == [
                    "" if each is None else f"{each / 100:.2f}" for each in minor
                ]
    [reason] = [row for row in csv.reader(io.StringIO(archive.read("6-adjustments.csv").decode())) if f"'{EVIL}" in row]
    assert reason
    about = told["summary"]["about"]
    assert (about["total_minor"], about["payable_minor"], about["statements"], about["breaks_open"]) == (114, 114, 2, 1)
    assert (about["prepared_by"], about["reviewed_by"], about["journal_sha256"]) == ("clerk", "", "a" * 64)


def test_money_of_an_invoice_adds_up(node: Node) -> None:
    told = msgspec.json.decode(fetched(month(node), "json"))
    [sent, waiting] = sorted(told["provider_invoices"], key=lambda each: each["holder"])
    assert (sent["state"], sent["outstanding_minor"], sent["difference_minor"]) == ("part", 40, 0)
    assert sent["total_minor"] == (
        sent["paid_minor"] - sent["refunded_minor"] + sent["credited_minor"] + sent["outstanding_minor"]
    )
    assert (waiting["state"], waiting["outstanding_minor"]) == ("not_sent", 14)
    moved = told["payments_and_refunds"]
    assert [(each["kind"], each["money_minor"], each["net_minor"]) for each in moved] == [
        ("payment", 60, 59),
        ("credit_note", 0, 0),
        ("refund", -10, -10),
    ]


def test_free_stands_beside_paid(node: Node) -> None:
    told = msgspec.json.decode(fetched(month(node), "json"))
    free, paid = told["free_vs_paid"]
    names = ("item", "holders", "quantity", "free_quantity", "paid_quantity", "charged_minor", "amount_minor")
    assert [free[name] for name in names] == ["track.query", 1, 1, 1, 0, 0, 0]
    assert [paid[name] for name in names] == ["feed.pull", 2, 60, 0, 60, 120, 114]


def test_links_lead_from_the_summary_to_statement_and_line(node: Node) -> None:
    opened = Opened(fetched(month(node), "xlsx"))
    links = [each for each in opened.formulas["汇总 Summary"].values() if each.startswith("HYPERLINK")]
    assert any(each.endswith('/statements/KS-202609-000001/lines/2","打开 open")') for each in links)
    assert all(each.startswith('HYPERLINK("http') for each in links)


def test_finance_of_the_node_alone_gets_it_once_the_month_is_cut_off(node: Node) -> None:
    path = f"/v1/periods/{MONTH}/workbook"
    assert node.get(path, "enterprise").status_code == 403
    assert (node.get(path, "finance").status_code, node.get(path, "finance").json()["type"]) == (
        409,
        "/problems/period-not-cut-off",
    )
    assert node.get("/v1/periods/2026-13/workbook", "finance").status_code == 422


def test_the_terminal_writes_the_same_file(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    month(node)
    monkeypatch.setenv("KOUAN_DATABASE_URL", node.conninfo)
    made = CliRunner().invoke(kouan, ["workbook", MONTH, str(tmp_path / "w.json")])
    assert made.exit_code == 0, made.output
    assert (tmp_path / "w.json").read_bytes() == fetched(node, "json")
