"""Customs receipts in XML and JSON."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.formats import customs_receipt
from domain import declaration
from domain.report import Reading, Receipt

SAMPLES = Path(__file__).parent / "samples"
RELEASED = {"EntryId": "230120241000000018", "ReceiptCode": "P", "NoticeDate": "20241121140500"}


def read_one(**changed: Any) -> Reading:
    fields = {name: value for name, value in (RELEASED | changed).items() if value is not None}
    [reading] = customs_receipt.read(json.dumps(fields).encode())
    return reading


def receipt(**changed: Any) -> Receipt:
    reading = read_one(**changed)
    assert reading.fault is None
    [report] = reading.reports
    assert isinstance(report, Receipt)
    return report


def receipts(name: str) -> list[Receipt]:
    readings = customs_receipt.read((SAMPLES / name).read_bytes())
    return [report for reading in readings for report in reading.reports if isinstance(report, Receipt)]


def test_a_json_array_gives_one_reading_for_each_receipt() -> None:
    accepted, declared, pickup, odd = receipts("customs-receipts.json")
    assert accepted.subject == "declaration:230120241000000018"
    assert accepted.refs == (
        "declaration:I20240000123456789",
        "bl:COSU6123456780",
        "container:CSQU3054383",
        "container:EPTU0000014",
    )
    assert (accepted.place, accepted.border, accepted.code_table) == ("2301", "2301", "T209")
    assert (declared.subject, declared.raw_code) == ("declaration:I20240000123456790", "7")
    assert (pickup.raw_code, pickup.place, pickup.border) == ("SpK", "9009", "9402")
    assert "IEFlag" in pickup.warnings[0]
    assert (odd.raw_code, len(odd.warnings)) == ("@9", 1)


def test_xml_is_cut_into_its_receipts_byte_for_byte() -> None:
    body = (SAMPLES / "customs-receipts.xml").read_bytes()
    readings = customs_receipt.read(body)
    assert [body[reading.start : reading.end][:11] for reading in readings] == [b"<DecResult>"] * 2
    released, closed = receipts("customs-receipts.xml")
    assert released.text == "海关已放行 <提单一致>"
    assert released.refs[-2:] == ("container:CSQU3054383", "container:EPTU0000014")
    assert (closed.raw_code, closed.text) == ("R", "结关")
    assert [reading.key for reading in readings] == [
        "230120241000000018|P|2024-11-21T14:05:00",
        "230120241000000018|R|20241122083000",
    ]


def test_a_declared_chinese_encoding_is_read() -> None:
    [inspected] = receipts("customs-receipt-gbk.xml")
    assert (inspected.raw_code, inspected.text) == ("C", "查验通知")


@pytest.mark.parametrize(
    "notice", ["2024-11-21T14:05:00", "20241121140500", "20241121140500000", "2024-11-21T06:05:00Z"]
)
def test_notice_times_of_every_shape_are_beijing_time_unless_they_say_otherwise(notice: str) -> None:
    assert receipt(NoticeDate=notice).when.at == datetime(2024, 11, 21, 6, 5, tzinfo=UTC)


@pytest.mark.parametrize("name", ["EntryId", "ENTRY_ID", "entryId", "cus:EntryId"])
def test_field_names_are_compared_without_case_underscores_and_prefix(name: str) -> None:
    changed = {"EntryId": None, name: RELEASED["EntryId"], "ReceiptCode": None, "Channel": "P"}
    assert receipt(**changed) == receipt()


def test_every_code_that_the_domain_reads_is_known_here() -> None:
    assert set(declaration.RECEIPTS) <= customs_receipt.CODES


def test_an_odd_entry_id_is_kept_with_a_warning() -> None:
    report = receipt(EntryId="23-odd")
    assert report.subject == "declaration:23-ODD"
    assert "23-ODD" in report.warnings[0]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"EntryId": None}, "customs_receipt.number"),
        ({"EntryId": "1" * 50}, "customs_receipt.number"),
        ({"ReceiptCode": None}, "customs_receipt.code"),
        ({"ReceiptCode": "P" * 30}, "customs_receipt.code"),
        ({"NoticeDate": None}, "customs_receipt.time"),
        ({"NoticeDate": "20241341"}, "customs_receipt.time"),
    ],
)
def test_what_is_missing_or_makes_no_sense_is_a_fault(changed: dict[str, Any], code: str) -> None:
    found = read_one(**changed).fault
    assert found is not None
    assert found.code == code


def faults(body: bytes) -> list[str]:
    return [reading.fault.code if reading.fault else "" for reading in customs_receipt.read(body)]


GOOD = (
    "<DecResult><EntryId>230120241000000018</EntryId><ReceiptCode>P</ReceiptCode>"
    "<NoticeDate>20241121140500</NoticeDate></DecResult>"
)


@pytest.mark.parametrize(
    "prolog",
    [
        '<!DOCTYPE a [<!ENTITY b "c">]>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd">',
        '<?xml version="1.0"?><!doctype a>',
    ],
)
def test_document_types_and_entities_are_refused(prolog: str) -> None:
    assert faults(f"{prolog}<R>{GOOD}</R>".encode()) == ["customs_receipt.doctype"]


def test_a_broken_receipt_harms_neither_neighbour() -> None:
    for bad in ("<DecResult><EntryId>1</DecResult>", "<DecResult><EntryId>1 & 2</EntryId></DecResult>", "<DecResult>"):
        assert faults(f"<R>{GOOD}{bad}{GOOD}</R>".encode()) == ["", "customs_receipt.xml", ""]


def test_text_outside_the_receipts_is_set_aside_and_not_dropped() -> None:
    assert faults(f"<R>{GOOD}<Other>words</Other>{GOOD}</R>".encode()) == ["", "customs_receipt.number", ""]
    assert faults(f"<R>{GOOD}<!-- {GOOD}</R>".encode()) == ["", "customs_receipt.xml"]
    assert faults(f"<R>{GOOD}<!-- {GOOD} --></R>".encode()) == [""]


def test_an_encoding_that_is_not_read_here_is_said_to_be_so() -> None:
    assert faults(f'<?xml version="1.0" encoding="UTF-16"?><R>{GOOD}</R>'.encode()) == ["customs_receipt.encoding"]
    assert faults(b"<DecResult><EntryId>\xff</EntryId></DecResult>") == ["customs_receipt.encoding"]
