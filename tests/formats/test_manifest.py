"""Customs answers on manifests, arrival and tally reports."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.formats import manifest
from domain.milestones import MILESTONES
from domain.report import Movement, Reading

SAMPLES = Path(__file__).parent / "samples"


def read_one(kind: str = "MT1101", answer: str = "01", function: str = "9", **response: Any) -> Reading:
    given = {"ResponseCode": answer, "BillNo": "COSU6123456780", "NoticeTime": "20241121103000"} | response
    head = {"MessageID": "M1", "FunctionCode": function, "MessageType": kind}
    response = {name: value for name, value in given.items() if value is not None}
    [reading] = manifest.read(json.dumps({"Head": head, "Response": response}).encode())
    return reading


def movements(reading: Reading) -> list[Movement]:
    assert reading.fault is None
    return [report for report in reading.reports if isinstance(report, Movement)]


def test_an_accepted_arrival_report_is_told_of_the_bill_and_of_each_container() -> None:
    body = (SAMPLES / "manifest-answers.xml").read_bytes()
    arrival, refused = manifest.read(body)
    assert body[arrival.start : arrival.end].startswith(b"<Manifest>")
    bill, sealed, plain = movements(arrival)
    assert [report.subject for report in (bill, sealed, plain)] == [
        "bl:COSU6123456780",
        "container:CSQU3054383",
        "container:EPTU0000014",
    ]
    assert {report.code for report in (bill, sealed, plain)} == {"ARRIVAL_RPT"}
    assert bill.refs == ("manifest:2411E", "container:CSQU3054383", "container:EPTU0000014")
    assert sealed.refs == ("bl:COSU6123456780", "manifest:2411E")
    assert (sealed.seal, plain.seal) == ("CN0012345", "")
    assert (bill.place, bill.facility, bill.transport) == ("CNLYG", "CNLYG230101", "HONG AN/2411E")
    assert bill.when.at == datetime(2024, 11, 21, 2, 30, tzinfo=UTC)
    [deletion] = movements(refused)
    assert (refused.function, deletion.code, deletion.raw_code) == ("original", "", "MT2101/03")


def test_by_air_the_bill_is_the_air_waybill() -> None:
    arrival, deleted, forbidden = manifest.read((SAMPLES / "manifest-answers.json").read_bytes())
    [report] = movements(arrival)
    assert (report.subject, report.code, report.mode) == ("awb:11200000011", "AIR_ARRIVAL_RPT", "AIR")
    assert (deleted.function, deleted.document) == ("cancel", "MT1101:COSU6123456780")
    [report] = movements(forbidden)
    assert (report.subject, report.raw_code, report.text) == ("manifest:2411E", "MT4101/12", "拒装")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("MT1101", "MAN_ORIG_OK"),
        ("MT2101", "MAN_ADV_OK"),
        ("MT3101", "ARRIVAL_RPT"),
        ("MT3102", "ARRIVAL_RPT"),
        ("MT3201", "AIR_ARRIVAL_RPT"),
        ("MT3402", "ARRIVAL_RPT"),
        ("MT5101", "TALLY_RPT"),
        ("MT5201", "AIR_TALLY"),
    ],
)
def test_acceptance_and_release_are_milestones_and_nothing_else_is(kind: str, code: str) -> None:
    for answer in ("01", "11"):
        assert {report.code for report in movements(read_one(kind, answer))} == {code}
    for answer in ("02", "03", "12", "13", "77"):
        [report] = movements(read_one(kind, answer))
        assert (report.code, report.raw_code) == ("", f"{kind}/{answer}")
    assert movements(read_one(kind, "77"))[0].warnings


def test_every_milestone_here_is_one_of_the_vocabulary() -> None:
    assert set(manifest.MILESTONES.values()) <= set(MILESTONES)


@pytest.mark.parametrize(
    ("function", "answer", "expected"),
    [
        ("9", "01", "original"),
        ("0", "01", "original"),
        ("2", "01", "original"),
        ("3", "01", "cancel"),
        ("3", "03", "original"),
        ("3", "02", "original"),
        ("5", "11", "replace"),
        ("5", "03", "original"),
        ("8", "01", "original"),
    ],
)
def test_a_deletion_or_replacement_counts_once_customs_accepts_it(function: str, answer: str, expected: str) -> None:
    reading = read_one(function=function, answer=answer)
    assert reading.function == expected
    assert bool(reading.warnings) == (function == "8")


def test_two_answers_to_one_message_have_two_references_and_one_document() -> None:
    pending, accepted = read_one(answer="02"), read_one(answer="01")
    assert pending.key != accepted.key
    assert pending.document == accepted.document == "MT1101:COSU6123456780"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"kind": "XX1101"}, "manifest.type"),
        ({"ResponseCode": None}, "manifest.code"),
        ({"BillNo": None}, "manifest.subject"),
        ({"NoticeTime": None}, "manifest.time"),
    ],
)
def test_what_is_missing_or_makes_no_sense_is_a_fault(changed: dict[str, Any], code: str) -> None:
    found = read_one(**changed).fault
    assert found is not None
    assert found.code == code


def test_a_message_without_an_answer_is_a_fault() -> None:
    [reading] = manifest.read(b'{"Head": {"MessageType": "MT1101"}}')
    assert reading.fault is not None
    assert reading.fault.code == "manifest.response"
