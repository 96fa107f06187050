"""ONE Record logistics events: our own samples, and the public ones."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from api.formats import one_record
from domain.report import Movement, Reading

SAMPLES = Path(__file__).parent / "samples"
PUBLIC = Path(__file__).parents[2] / "../shared/data/air"
public = pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public samples (../shared/data/air) are not here")

EVENT = {
    "@type": "LogisticsEvent",
    "@id": "https://1r.kouan.example/logistics-objects/s1/logistics-events/1",
    "eventCode": "DEP",
    "eventTimeType": "ACTUAL",
    "eventDate": "2024-11-21T15:52:00Z",
    "recordedAtLocation": "XIY",
}


def read_one(**changed: Any) -> Reading:
    event = {name: value for name, value in (EVENT | changed).items() if value is not None}
    [reading] = one_record.read(json.dumps(event).encode())
    return reading


def movement(**changed: Any) -> Movement:
    reading = read_one(**changed)
    assert reading.fault is None
    [report] = reading.reports
    assert isinstance(report, Movement)
    return report


def fault_code(**changed: Any) -> str:
    found = read_one(**changed).fault
    assert found is not None
    return found.code


def test_events_in_an_envelope_are_cut_out_of_it() -> None:
    body = (SAMPLES / "one-record-events.json").read_bytes()
    departure, offloaded = one_record.read(body)
    assert json.loads(body[departure.start : departure.end])["@id"].endswith("/1")
    [estimate] = departure.reports
    assert isinstance(estimate, Movement)
    assert (estimate.subject, estimate.code, estimate.classifier, estimate.place) == (
        "awb:11200000011",
        "AIR_DEP",
        "EST",
        "CNSIA",
    )
    assert estimate.refs == ("object:https://1r.kouan.example/logistics-objects/shipment-17",)
    assert (estimate.pieces, estimate.weight_kg) == (5, 45.35924)
    assert estimate.when.at == datetime(2024, 11, 21, 15, 52, tzinfo=UTC)  # local to Xi'an, as no offset is stated
    assert departure.sent_at == datetime(2024, 11, 21, 12, tzinfo=UTC)
    [report] = offloaded.reports
    assert isinstance(report, Movement)
    assert (report.code, report.raw_code, report.facility, report.text) == (
        "AIR_OFLD",
        "DIS_OFLD",
        "Xi'an Xianyang",
        "拉货",
    )


def test_a_graph_and_an_array_hold_events_too() -> None:
    assert len(one_record.read(json.dumps({"@graph": [EVENT, EVENT]}).encode())) == 2
    assert len(one_record.read(json.dumps([EVENT]).encode())) == 1


@public
def test_the_public_events_are_understood_and_kept_apart() -> None:
    readings = [
        reading
        for name in ("ARR", "DEP", "DEP-partial")
        for reading in one_record.read((PUBLIC / f"logistics-event-{name}.json").read_bytes())
    ]
    reports = [report for reading in readings for report in reading.reports if isinstance(report, Movement)]
    assert [(report.code, report.place) for report in reports] == [
        ("AIR_ARR", "USJFK"),
        ("AIR_DEP", "DEFRA"),
        ("AIR_DEP", "DEFRA"),
    ]
    assert {report.subject for report in reports} == {"object:https://1r.example.com/logistics-object/abcd"}
    assert len({reading.key for reading in readings}) == 3
    assert len({reading.key.partition("#")[0] for reading in readings}) == 1
    assert [report.partial for report in reports] == [False, False, True]


@public
def test_a_shipment_piece_or_waybill_is_not_taken_for_an_event() -> None:
    for name in ("shipment", "piece", "waybill"):
        [reading] = one_record.read((PUBLIC / f"{name}.json").read_bytes())
        assert reading.fault is not None
        assert reading.fault.code == "one_record.type"


@pytest.mark.parametrize(
    ("said", "expected"),
    [("ACTUAL", "ACT"), ("ESTIMATED", "EST"), ("PLANNED", "PLN"), ("SCHEDULED", "PLN"), ("REQUESTED", "PLN")],
)
def test_every_time_type_has_its_classifier(said: str, expected: str) -> None:
    assert movement(eventTimeType=said).classifier == expected
    assert movement(eventTimeType={"@id": f"https://onerecord.iata.org/ns/cargo#{said}"}).classifier == expected


def test_an_unknown_time_type_never_claims_that_it_happened() -> None:
    report = movement(eventTimeType="RUMOURED")
    assert report.classifier == "EST"
    assert "RUMOURED" in report.warnings[0]


@pytest.mark.parametrize("code", ["DEP", {"@id": "x#StatusCode_DEP"}, {"code": "DEP"}, [{"@value": "DEP"}]])
def test_a_code_may_be_written_in_every_way(code: Any) -> None:
    assert movement(eventCode=code).code == "AIR_DEP"


def test_an_unknown_code_is_kept_as_sent_with_a_warning() -> None:
    report = movement(eventCode="ZZZ")
    assert (report.code, report.raw_code) == ("", "ZZZ")
    assert "ZZZ" in report.warnings[0]


def test_a_location_without_a_code_keeps_its_name() -> None:
    report = movement(recordedAtLocation={"@id": "https://h/logistics-objects/7d1f7f0e", "locationName": "Shed 4"})
    assert (report.place, report.facility, len(report.warnings)) == ("", "Shed 4", 1)


def test_a_house_waybill_is_not_an_air_waybill() -> None:
    waybill = {"waybillType": "HOUSE", "waybillNumber": "H-4471"}
    assert movement(linkedObject=waybill).subject == "object:https://1r.kouan.example/logistics-objects/s1"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"eventCode": None}, "one_record.code"),
        ({"eventDate": None}, "one_record.time"),
        ({"eventDate": "soon"}, "one_record.time"),
        ({"creationDate": "soon"}, "one_record.time"),
        ({"@id": None}, "one_record.subject"),
        ({"@id": "https://h/" + "x" * 600 + "/logistics-events/1"}, "one_record.subject"),
        ({"@type": "Piece"}, "one_record.type"),
    ],
)
def test_what_is_missing_or_makes_no_sense_is_a_fault(changed: dict[str, Any], code: str) -> None:
    assert fault_code(**changed) == code
