"""Kouan's own JSON."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.formats import native
from domain.report import Fault, Movement, Reading

SAMPLES = Path(__file__).parent / "samples"
GATE_IN = {"subject": "container:CSQU3054383", "code": "GATE_IN", "happened_at": "2024-11-21T10:30:00+08:00"}


def read_one(**changed: Any) -> Reading:
    body = json.dumps({name: value for name, value in (GATE_IN | changed).items() if value is not None}).encode()
    [reading] = native.read(body)
    return reading


def movement(**changed: Any) -> Movement:
    [report] = read_one(**changed).reports
    assert isinstance(report, Movement)
    return report


def fault(**changed: Any) -> Fault:
    found = read_one(**changed).fault
    assert found is not None
    return found


def test_an_array_gives_one_reading_for_each_object_with_its_bytes() -> None:
    body = (SAMPLES / "native.json").read_bytes()
    gate, flight, unknown, cancelled = native.read(body)
    assert (gate.key, gate.document, gate.sent_at) == (
        "GATE-2024-000017",
        "EIR-000017",
        datetime(2024, 11, 21, 2, 31, 5, tzinfo=UTC),
    )
    assert json.loads(body[gate.start : gate.end])["id"] == "GATE-2024-000017"
    [report] = gate.reports
    assert isinstance(report, Movement)
    assert (report.code, report.raw_code, report.laden, report.weight_kg) == ("GATE_IN", "I1", True, 24150.5)
    assert report.refs == ("bl:COSU6123456780", "booking:6123456780")
    assert [report.when.zone_from for report in flight.reports] == ["place"]
    assert unknown.reports[0].warnings
    assert (cancelled.function, cancelled.document, cancelled.reports) == ("cancel", "EIR-000016", [])


def test_each_line_of_ndjson_is_a_message_and_blank_lines_are_none() -> None:
    body = (SAMPLES / "native.ndjson").read_bytes()
    assert [reading.key for reading in native.read(body)] == ["N-1", "N-2", "N-3"]
    broken = body.replace(b'"id": "N-2"', b'"id": ')
    assert [reading.fault is None for reading in native.read(broken)] == [True, False, True]


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_a_line_spoilt_by_a_bracket_does_not_swallow_the_others(ends: bytes) -> None:
    line = json.dumps(GATE_IN).encode()
    readings = native.read(ends.join([b"[" + line, line, line]))
    assert [reading.fault is None for reading in readings] == [False, True, True]


def test_a_spread_out_object_is_one_message() -> None:
    assert len(native.read(json.dumps(GATE_IN, indent=2).encode())) == 1
    assert len(native.read(json.dumps([GATE_IN, GATE_IN], indent=2).encode())) == 2


def test_an_unknown_field_is_a_fault_that_names_it() -> None:
    found = fault(colour="red")
    assert found.code == "native.field"
    assert "colour" in found.detail


@pytest.mark.parametrize(
    ("changed", "code", "path"),
    [
        ({"subject": "ship:1"}, "native.subject", "$.subject"),
        ({"subject": "container: "}, "native.subject", "$.subject"),
        ({"refs": ["bl:1", "nobody"]}, "native.subject", "$.refs[1]"),
        ({"code": None}, "native.code", "$.code"),
        ({"happened_at": None}, "native.time", "$.happened_at"),
        ({"happened_at": "yesterday"}, "native.time", "$.happened_at"),
        ({"happened_at": "0001-01-01T00:00:00+14:00"}, "native.time", "$.happened_at"),
        ({"sent_at": "31/12/2024"}, "native.time", "$.sent_at"),
        ({"pieces": -1}, "native.field", "$.pieces"),
        ({"classifier": "MAYBE"}, "native.field", "$.classifier"),
        ({"function": "cancel"}, "native.document", "$.document"),
        ({"text": "\0"}, "native.nul", ""),
        ({"id": "x" * 201}, "native.field", "$.id"),
    ],
)
def test_what_makes_no_sense_is_a_fault_with_its_path(changed: dict[str, Any], code: str, path: str) -> None:
    found = fault(**changed)
    assert (found.code, found.path) == (code, path)


def test_an_unknown_code_is_kept_as_sent_with_a_warning() -> None:
    report = movement(code="TELEPORTED")
    assert (report.code, report.raw_code, len(report.warnings)) == ("", "TELEPORTED", 1)
    assert movement(code="LOADED_REVERSED").code == "LOADED_REVERSED"


def test_a_bad_check_digit_is_a_warning() -> None:
    assert movement(subject="container:CSQU3054384").warnings
    assert movement(subject="container:csqu 305438-3").subject == "container:CSQU3054383"


def test_fewer_pieces_than_the_total_are_a_part() -> None:
    assert movement(pieces=5, pieces_total=12).partial
    assert movement(partial=True).partial
    assert not movement(pieces=12, pieces_total=12).partial
    assert not movement(pieces=5).partial


def test_without_an_id_the_bytes_are_the_reference() -> None:
    assert read_one().key == read_one().key != read_one(text="x").key


@pytest.mark.slow
def test_thirty_thousand_items_are_read_in_a_second() -> None:
    items = [GATE_IN | {"id": str(at), "happened_at": f"2024-11-21T10:{at % 60:02d}:00"} for at in range(10_000)]
    body = json.dumps(items).encode()
    began = time.process_time()
    assert len(native.read(body)) == 10_000
    assert time.process_time() - began < 10_000 / 30_000
