"""CODECO, COARRI and IFTSTA: which statement is made of what a terminal or a carrier sent."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.formats import coarri, codeco, iftsta
from domain import identifiers, milestones
from domain.report import Movement, Reading

SAMPLES = Path(__file__).parent / "samples"
SHARED = Path(__file__).parents[2] / ".." / "shared" / "data" / "edifact"
CODES = {"DISC": "DISCHARGED", "LOAD": "LOADED", "GTIN": "GATE_IN", None: "TRAIN_DEP"}
READERS = {"coarri": coarri.read, "codeco": codeco.read, "iftsta": iftsta.read}


def moves(readings: list[Reading]) -> list[Movement]:
    assert [reading.fault for reading in readings if reading.fault] == []
    return [report for reading in readings for report in reading.reports if isinstance(report, Movement)]


def sample(name: str) -> list[Reading]:
    return READERS[name.partition("-")[0]]((SAMPLES / name).read_bytes())


def brief(name: str) -> list[tuple[str, str, str, str, bool | None]]:
    return [
        (move.subject.removeprefix("container:"), move.code, move.mode, move.place, move.laden)
        for move in moves(sample(name))
    ]


@pytest.mark.parametrize("kind", READERS)
def test_the_movements_are_exactly_those_that_an_independent_reader_finds(kind: str) -> None:
    if not SHARED.is_dir():
        pytest.skip("the public samples are not beside this checkout (../shared/data/edifact)")
    told: dict[str, Any] = json.loads((SHARED / "expected.json").read_text())["files"][kind]
    readings = READERS[kind]((SHARED / told["file"]).read_bytes())
    assert len(readings) == told["messages"]
    for reading, expected in zip(readings, told["content"], strict=True):
        assert reading.fault is None
        boxes = expected["equipment"]
        found = moves([reading])
        assert [move.subject for move in found] == [f"container:{box['equipmentReference']}" for box in boxes]
        for move, box in zip(found, boxes, strict=True):
            assert move.code == CODES[expected["expected_dcsa_equipmentEventTypeCode"]]
            assert move.laden == (box["emptyIndicatorCode"] == "LADEN")
            assert box["iso6346_ok"] or identifiers.container(box["equipmentReference"])[1] in move.warnings
            clock = next((value for qualifier, value, _ in box["dtm"] if qualifier in {"203", "7"}), "202211190710")
            assert move.when.wall.replace("-", "").replace("T", "").replace(":", "") == clock
            assert move.classifier == "ACT"
            assert move.when.zone_from in {"place", "assumed"}  # no place directory knows every port


def test_a_public_sample_is_read_to_the_last_field() -> None:
    if not SHARED.is_dir():
        pytest.skip("the public samples are not beside this checkout (../shared/data/edifact)")
    first, *_ = moves(coarri.read((SHARED / "D95BCOARRI.edi").read_bytes()))
    assert (first.place, first.facility, first.transport) == ("ITGOA", "VTE", "COSCO AFRICA 031W")
    assert (first.when.at.isoformat(), first.when.zone) == ("2016-02-03T08:13:00+00:00", "Europe/Rome")
    assert (first.weight_kg, first.seal, first.raw_code) == (8914.0, "SI", "44")


def test_gate_moves_tell_laden_from_empty_and_in_from_out() -> None:
    assert brief("codeco-truck.edi") == [
        ("CSQU3054383", "GATE_IN", "TRUCK", "CNSHG", True),
        ("TCNU7200794", "EMPTY_IN", "TRUCK", "CNSHG", False),
        ("TOLU4734787", "GATE_OUT", "TRUCK", "CNSHG", True),
        ("GYOU4047990", "EMPTY_OUT", "TRUCK", "CNSHG", False),
    ]


def test_a_gate_move_names_booking_bill_truck_seals_and_verified_weight() -> None:
    move, _, out, _ = moves(sample("codeco-truck.edi"))
    assert move.refs == ("booking:6123456780", "bl:COSU6123456780", "truck:HU A12345")
    assert (move.transport, move.text, move.facility) == ("HU A12345", "NING BO HAI 032E", "YS1")
    assert (move.seal, move.weight_kg, out.weight_kg) == ("CN88200 CN88201", 27450.5, 21500.0)
    assert move.when.at.isoformat() == "2024-05-01T01:12:00+00:00"


def test_a_rail_ramp_is_a_station_and_a_stated_offset_is_kept() -> None:
    first, second = moves(sample("codeco-rail.edi"))
    assert (first.code, first.mode, first.laden) == ("STATION_IN", "RAIL", True)
    assert (second.code, second.mode, second.laden) == ("STATION_OUT", "RAIL", False)
    assert (first.when.zone_from, second.when.zone_from) == ("place", "stated")
    assert second.when.at.isoformat() == "2024-05-01T23:45:00+00:00"


def test_discharge_knows_transhipment_and_does_not_invent_what_did_not_arrive() -> None:
    readings = sample("coarri-discharge.edi")
    found = moves(readings)
    assert [move.code for move in found] == ["DISCHARGED", "TS_DISC", "DISCHARGED", "", ""]
    assert "8249 '7'" in found[3].warnings[-1]
    assert "'999'" in found[4].warnings[-1]
    assert [move.raw_code for move in found] == ["98", "98", "98", "98", "999"]
    assert {move.place for move in found} == {"CNSHG"}
    assert found[0].transport == "L'ETOILE DU NORD 031W"


def test_barges_and_wagons_are_told_from_ships() -> None:
    assert [code for _, code, _, _, _ in brief("coarri-barge-rail.edi")] == ["BARGE_LOAD", "BARGE_DISC", "WAGON_LOADED"]


def test_cancellation_and_replacement_name_the_document_they_are_about() -> None:
    *_, cancel = sample("coarri-barge-rail.edi")
    assert (cancel.function, cancel.document, cancel.fault) == ("cancel", "COARRI+CJP+L1", None)
    first, second = sample("codeco-two-interchanges.edi")
    assert (first.function, second.function) == ("original", "replace")
    assert first.document == second.document == "CODECO+YS1+T1"


def test_the_clock_of_a_terminal_is_that_of_its_place() -> None:
    sent = [reading.sent_at for reading in sample("codeco-truck.edi")]
    assert [at.isoformat() for at in sent if at] == ["2024-05-01T03:00:00+00:00"] * 2


def test_a_status_is_told_of_each_container_and_of_the_bill_where_there_is_none() -> None:
    found = moves(sample("iftsta-vessel.edi"))
    assert [(move.subject, move.code, move.raw_code, move.classifier) for move in found] == [
        ("container:CSQU3054383", "VSL_DEP", "24", "ACT"),
        ("container:TCNU7200794", "VSL_DEP", "24", "ACT"),
        ("container:TOLU4734787", "DISCHARGED", "UV", "ACT"),
        ("bl:COSU6123456780", "", "ZQ", "ACT"),
        ("container:CSQU3054383", "VSL_ARR", "VA", "EST"),
    ]
    assert found[0].refs == ("bl:COSU6123456780", "booking:6123456780")
    assert found[0].text == "Departed; 9 CNSHG 186:202405080710; 11 NLRTM 132:202406051200"
    assert (found[2].place, found[2].when.zone) == ("NLRTM", "Europe/Amsterdam")
    assert found[3].warnings


def test_a_number_of_another_agency_is_not_taken_for_the_united_nations() -> None:
    body = (SAMPLES / "iftsta-vessel.edi").read_bytes().replace(b"STS+1+24:::D", b"STS+1+24::ZZZ:D")
    move = moves(iftsta.read(body))[0]
    assert (move.code, move.raw_code) == ("", "24")


def test_every_code_that_is_made_is_a_known_milestone() -> None:
    verbs = {meaning.partition(" ")[0] for meaning in iftsta._MEANINGS.values()}
    assert {verb.removeprefix("=") for verb in verbs if verb.startswith("=")} <= set(milestones.MILESTONES)
    for name in sorted(path.name for path in SAMPLES.glob("*.edi") if path.name.partition("-")[0] in READERS):
        assert {move.code for move in moves(sample(name))} <= {"", *milestones.MILESTONES}
