"""Customs rail messages and station reports."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.formats import rail
from domain.milestones import MILESTONES
from domain.report import Movement, Reading

SAMPLES = Path(__file__).parent / "samples"
LOADED = {
    "messageType": "WLJK_TLR",
    "messageId": "R1",
    "consignmentNo": "31234567",
    "trainNo": "X8001",
    "containers": [{"number": "CSQU3054383", "wagon": "5412345"}],
    "place": "CNXIA",
    "eventTime": "20241121103000",
}


def read_one(**changed: Any) -> Reading:
    fields = {name: value for name, value in (LOADED | changed).items() if value is not None}
    [reading] = rail.read(json.dumps(fields).encode())
    return reading


def movements(reading: Reading) -> list[Movement]:
    assert reading.fault is None
    return [report for report in reading.reports if isinstance(report, Movement)]


def test_a_release_is_told_of_each_container_and_linked_to_consignment_and_declaration() -> None:
    release, issued, gauge, void, odd = rail.read((SAMPLES / "rail.json").read_bytes())
    laden, empty = movements(release)
    assert (laden.subject, laden.code, laden.raw_code) == ("container:CSQU3054383", "RAIL_RELEASE", "WLJK_TREL")
    assert (laden.transport, laden.seal, laden.laden, laden.weight_kg) == ("X8001/5412345", "CN0012345", True, 24150.5)
    assert laden.refs == empty.refs == ("rail:31234567", "declaration:900920240000000027")
    assert (laden.facility, laden.mode, empty.laden) == ("新筑", "RAIL", False)
    consignment, container = movements(issued)
    assert (consignment.subject, consignment.refs) == ("rail:31234567", ("container:CSQU3054383",))
    assert container.subject == "container:CSQU3054383"
    [changed] = movements(gauge)
    assert (changed.place, changed.classifier) == ("CNAKL", "EST")
    assert changed.text == "wagon=94012345 gaugeFrom=1435 gaugeTo=1520 border=CNAKL"
    assert gauge.warnings == ("字段未读取 / a field was not read: remark",)
    assert (void.function, void.document) == ("cancel", "WAGON_LOADED:31234567:CNXIA")
    assert (movements(odd)[0].code, movements(odd)[0].raw_code) == ("", "STATION_WASH")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("WLJK_ERRR", "RAIL_ARRIVAL_RPT"),
        ("WLJK_TREL", "RAIL_RELEASE"),
        ("WLJK_TLN", "LOAD_NOTICE"),
        ("WLJK_TLR", "WAGON_LOADED"),
        ("WLJK_IRTR", "RAIL_TALLY"),
        ("WLJK_ERTR", "RAIL_TALLY"),
        ("STATION_IN", "STATION_IN"),
        ("BORDER_CROSSED", "BORDER_CROSSED"),
    ],
)
def test_each_type_has_its_milestone(kind: str, code: str) -> None:
    assert [report.code for report in movements(read_one(messageType=kind))] == [code]
    assert set(rail.TYPES.values()) <= set(MILESTONES)


def test_a_train_without_containers_is_told_of_the_consignment() -> None:
    [report] = movements(read_one(messageType="TRAIN_DEP", containers=[]))
    assert (report.subject, report.transport) == ("rail:31234567", "X8001")


def test_a_void_names_the_document_that_it_voids() -> None:
    original, void = read_one(), read_one(messageType="WLJK_TLD")
    assert (original.function, void.function) == ("original", "cancel")
    assert original.document == void.document
    assert read_one(function="cancel", eventTime=None).reports == []
    assert read_one(function="replace").function == "replace"


def test_a_time_without_offset_is_local_to_the_place_and_else_beijing_time() -> None:
    assert [report.when.zone_from for report in movements(read_one())] == ["place"]
    [report] = movements(read_one(place=None))
    assert (report.when.zone, report.when.zone_from) == ("Asia/Shanghai", "source")
    assert [report.when.zone_from for report in movements(read_one(eventTime="2024-11-21T10:30:00+08:00"))] == [
        "stated"
    ]


def test_a_bad_check_digit_is_a_warning_on_that_container_only() -> None:
    bad, good = movements(read_one(containers=[{"number": "CSQU3054384"}, {"number": "CSQU3054383"}]))
    assert (len(bad.warnings), good.warnings) == (1, ())


@pytest.mark.parametrize(
    ("changed", "code", "path"),
    [
        ({"messageType": ""}, "rail.type", "$.messageType"),
        ({"messageType": None}, "rail.field", "$"),
        ({"consignmentNo": None, "containers": []}, "rail.subject", "$.consignmentNo"),
        ({"containers": [{"number": "-"}]}, "rail.subject", "$.containers[0].number"),
        ({"containers": [{"number": 7}]}, "rail.field", "$.containers[0].number"),
        ({"eventTime": "noon"}, "rail.time", "$.eventTime"),
        ({"sendTime": "noon"}, "rail.time", "$.sendTime"),
        ({"function": "undo"}, "rail.field", "$.function"),
    ],
)
def test_what_makes_no_sense_is_a_fault_with_its_path(changed: dict[str, Any], code: str, path: str) -> None:
    found = read_one(**changed).fault
    assert found is not None
    assert (found.code, found.path) == (code, path)
