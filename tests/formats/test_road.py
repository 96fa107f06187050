"""Gate passes (核放单) and road transport reports."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.formats import road
from domain.milestones import MILESTONES
from domain.report import Movement, Reading

SAMPLES = Path(__file__).parent / "samples"
PASSED = {
    "PassportNo": "H1",
    "Status": "51",
    "StatusTime": "20260301120000",
    "VehicleNo": "苏A12345",
    "ContainerNos": ["CSQU3054383"],
}
REPORT = {"MessageType": "TRUCK_DEP", "EventTime": "20260301120000", "VehicleNo": "苏A12345", "ReportNo": "R1"}


def read_one(original: dict[str, Any], **changed: Any) -> Reading:
    fields = {name: value for name, value in (original | changed).items() if value is not None}
    [reading] = road.read(json.dumps(fields).encode())
    return reading


def movements(reading: Reading) -> list[Movement]:
    assert reading.fault is None
    return [report for report in reading.reports if isinstance(report, Movement)]


def test_a_passage_is_told_of_the_truck_and_of_each_container() -> None:
    passed, refused, waiting, void, left, position, odd, expected = road.read((SAMPLES / "road.json").read_bytes())
    truck, *boxes = movements(passed)
    assert (truck.subject, truck.code, truck.raw_code) == ("truck:苏A12345", "CHECKPOINT_PASS", "GATEPASS/51")
    assert truck.refs[:2] == tuple(box.subject for box in boxes) == ("container:CSQU3054383", "container:EPTU0000014")
    assert boxes[0].refs == ("truck:苏A12345", "declaration:230120261000000018", "bl:COSU6123456780")
    assert (truck.facility, truck.place, truck.transport) == ("综保区一号卡口", "CNLYG", "苏A12345/苏A1234挂")
    assert (truck.weight_kg, boxes[0].weight_kg, truck.seal) == (31250.5, None, "CN0012345")
    assert truck.text == "核放单 H2301260000017 已过卡 自动识别"
    assert [report.code for report in movements(refused)] == ["CHECKPOINT_REFUSED"]
    assert [(report.code, report.raw_code) for report in movements(waiting)] == [("", "GATEPASS/17")]
    assert (void.function, void.document, void.reports) == ("cancel", waiting.document, [])
    assert {report.refs[-1] for report in movements(left)} == {"manifest:1234567890123"}
    assert [(report.code, report.text) for report in movements(position)] == [("TRUCK_POS", "34.7466,119.443")]
    assert [(report.code, report.raw_code, len(report.warnings)) for report in movements(odd)] == [("", "换胎", 1)]
    assert [report.classifier for report in movements(expected)] == ["EST"]


def test_xml_says_the_same_as_json() -> None:
    gate, delivered = road.read((SAMPLES / "road.xml").read_bytes())
    assert [report.code for report in movements(gate)] == ["CHECKPOINT_PASS"] * 3
    assert gate.key == "H2301260000019|53|20260301121500"
    assert [(report.code, report.raw_code) for report in movements(delivered)] == [("POD", "签收")] * 2


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        ("50", "", "未过卡"),
        ("51", "CHECKPOINT_PASS", "已过卡"),
        ("52", "CHECKPOINT_REFUSED", "拒绝过卡"),
        ("53", "CHECKPOINT_PASS", "卡口放行"),
        ("6", "", "审核拒绝"),
    ],
)
def test_only_a_passage_or_a_refusal_is_a_milestone(status: str, code: str, word: str) -> None:
    [truck, _] = movements(read_one(PASSED, Status=status))
    assert (truck.code, truck.text, truck.warnings) == (code, f"核放单 H1 {word}", ())


def test_a_status_that_is_not_known_is_kept_with_a_warning() -> None:
    [truck, _] = movements(read_one(PASSED, Status="77"))
    assert (truck.code, truck.raw_code, len(truck.warnings)) == ("", "GATEPASS/77", 1)


@pytest.mark.parametrize("status", ["95", "96", "99", "100"])
def test_a_void_or_deleted_pass_takes_back_all_that_was_told_of_it(status: str) -> None:
    void = read_one(PASSED, Status=status)
    assert (void.function, void.document) == ("cancel", read_one(PASSED).document)


def test_every_word_of_a_transport_report_is_a_milestone() -> None:
    assert {*road.WORDS.values(), *(code for code, _ in road.STATUSES.values() if code)} <= set(MILESTONES)
    for word, code in road.WORDS.items():
        assert [report.code for report in movements(read_one(REPORT, MessageType=word))] == [code]


def test_a_report_may_cancel_or_replace_another_by_its_number() -> None:
    cancelled = read_one(REPORT, Function="cancel", EventTime=None)
    assert (cancelled.function, cancelled.document, cancelled.reports) == ("cancel", "R1", [])
    assert read_one(REPORT, Function="REPLACE").function == "replace"


def test_a_time_without_offset_is_local_to_the_place_and_else_beijing_time() -> None:
    assert {report.when.zone_from for report in movements(read_one(PASSED))} == {"source"}
    assert {report.when.zone_from for report in movements(read_one(PASSED, Place="CNLYG"))} == {"place"}


def test_a_bad_check_digit_is_a_warning_on_that_container_only() -> None:
    truck, bad, good = movements(read_one(PASSED, ContainerNos=["CSQU3054384", "CSQU3054383"]))
    assert [len(report.warnings) for report in (truck, bad, good)] == [0, 1, 0]


@pytest.mark.parametrize(
    ("original", "changed", "code", "path"),
    [
        (PASSED, {"Status": None}, "road.status", "Status"),
        (PASSED, {"VehicleNo": None, "ContainerNos": None}, "road.subject", "VehicleNo"),
        (PASSED, {"StatusTime": "noon"}, "road.time", "StatusTime"),
        (PASSED, {"GrossWt": "-1"}, "road.weight", "GrossWt"),
        (PASSED, {"GrossWt": "heavy"}, "road.weight", "GrossWt"),
        (PASSED, {"VehicleNo": "A" * 61}, "road.field", "VehicleNo"),
        (PASSED, {"ContainerNos": [f"CSQU{number:07}" for number in range(51)]}, "road.field", "ContainerNo"),
        (PASSED, {"SendTime": "noon"}, "road.time", "SendTime"),
        (REPORT, {"MessageType": None}, "road.type", "MessageType"),
        (REPORT, {"Function": "undo"}, "road.function", "Function"),
        (REPORT, {"Function": "cancel", "ReportNo": None}, "road.document", "ReportNo"),
        (REPORT, {"EventClass": "MAYBE"}, "road.class", "EventClass"),
        (REPORT, {"Latitude": "91", "Longitude": "1"}, "road.position", "Latitude"),
        (REPORT, {"Latitude": "1"}, "road.position", "Longitude"),
        (REPORT, {"EventTime": None}, "road.time", "EventTime"),
    ],
)
def test_what_makes_no_sense_is_a_fault_with_its_field(
    original: dict[str, Any], changed: dict[str, Any], code: str, path: str
) -> None:
    found = read_one(original, **changed).fault
    assert found is not None
    assert (found.code, found.path) == (code, path)
