"""COPRAR and BAPLIE: what is planned for a container, and where it stands on the ship."""

from pathlib import Path

import pytest

from api.formats import baplie, coprar
from domain.report import Movement, Reading

SAMPLES = Path(__file__).parent / "samples"
READERS = {"coprar": coprar.read, "baplie": baplie.read}
ORDER = (
    b"UNB+UNOA:2+COSCO+YS1+240501:0830+91'UNH+1+COPRAR:D:95B:UN:SMDG16'BGM+45+P1+9'%sTDT+20+032E+1'LOC+9+CNSHG:139:6'"
    b"EQD+CN+CSQU3054383+45G1+++5'%sCNT+16:1'UNT+%d+1'UNZ+1+91'"
)


def moves(readings: list[Reading]) -> list[Movement]:
    assert [reading.fault for reading in readings if reading.fault] == []
    return [report for reading in readings for report in reading.reports if isinstance(report, Movement)]


def sample(name: str) -> list[Reading]:
    return READERS[name.partition("-")[0]]((SAMPLES / name).read_bytes())


def brief(name: str) -> list[tuple[str, str, str, str, bool | None]]:
    return [
        (move.subject.removeprefix("container:"), move.code, move.classifier, move.place, move.laden)
        for move in moves(sample(name))
    ]


def order(header: bytes = b"", box: bytes = b"") -> Reading:
    [reading] = coprar.read(ORDER % (header, box, 7 + header.count(b"'") + box.count(b"'")))
    return reading


# --- orders ---


def test_an_order_to_load_is_a_plan_for_the_departure_of_the_ship() -> None:
    assert brief("coprar-load.edi") == [
        ("CSQU3054383", "LOADED", "PLN", "CNSHG", True),
        ("TCNU7200794", "TS_LOAD", "PLN", "CNSHG", True),
        ("TOLU4734787", "LOADED", "PLN", "CNSHG", False),
        ("TOLU4734787", "LOADED_REVERSED", "PLN", "CNSHG", False),
    ]
    first = moves(sample("coprar-load.edi"))[0]
    assert (first.when.wall, first.when.zone, first.facility) == ("2024-05-02T06:00", "Asia/Shanghai", "YS1")
    assert (first.text, first.refs) == ("POD NLRTM FND DEHAM 0350182", ("booking:9000157890",))
    assert (first.weight_kg, first.seal, first.transport) == (27450.5, "CN88200", "COSCO AFRICA 032E")


def test_an_order_to_discharge_is_a_plan_for_the_arrival_of_the_ship() -> None:
    assert brief("coprar-discharge.edi") == [
        ("OOLU8123457", "DISCHARGED", "PLN", "NLRTM", True),
        ("CSQU3054383", "", "PLN", "NLRTM", True),
        ("OOLU8123457", "BARGE_DISC", "PLN", "DEDUI", True),
        ("CBHU4567890", "", "PLN", "NLRTM", None),
    ]
    _, stays, _, odd = moves(sample("coprar-discharge.edi"))
    assert "8249 '4'" in stays.warnings[-1]
    assert "'999'" in odd.warnings[-1]


def test_empty_boxes_of_any_number_are_not_recorded_and_the_others_are() -> None:
    first, _ = sample("coprar-load.edi")
    assert len(first.reports) == 3
    assert "EQD[3]" in first.warnings[0]


def test_a_deletion_takes_back_the_boxes_that_it_names_and_not_the_document() -> None:
    _, deletion = sample("coprar-load.edi")
    assert (deletion.function, deletion.warnings) == ("original", ())


def test_a_replacement_names_the_order_that_it_is_about() -> None:
    first, second, _ = sample("coprar-discharge.edi")
    assert (second.function, second.document) == ("replace", first.document)


@pytest.mark.parametrize(
    ("header", "wall", "warned"),
    [
        (b"DTM+133:202405020600:203'DTM+132:202405012000:203'", "2024-05-02T06:00", False),
        (b"DTM+132:202405012000:203'", "2024-05-01T20:00", False),
        (b"DTM+137:202405010830:203'", "2024-05-01T08:30", True),
    ],
)
def test_the_expected_departure_is_taken_then_the_arrival_then_the_document(
    header: bytes, wall: str, warned: bool
) -> None:
    [move] = moves([order(header)])
    assert (move.when.wall, bool(move.warnings)) == (wall, warned)


def test_an_order_without_any_time_is_a_fault() -> None:
    assert (fault := order().fault) is not None
    assert (fault.code, fault.path) == ("edifact.missing", "UNH[1]/EQD[1]/DTM")


# --- bay plans ---


def test_a_plan_of_a_ship_that_has_left_says_how_it_left() -> None:
    assert brief("baplie-smdg22.edi") == [
        ("CSQU3054383", "STOWED", "ACT", "CNSHG", True),
        ("TCNU7200794", "STOWED", "ACT", "CNSHG", True),
        ("TOLU4734787", "STOWED", "ACT", "CNSHG", False),
    ]
    first, reefer, _ = moves(sample("baplie-smdg22.edi"))
    assert (first.text, first.weight_kg) == ("0350182 POL CNSHG POD NLRTM FND DEHAM", 27450.0)
    assert reefer.text == "0030006 POL KRPUS POD NLRTM"
    assert first.when.wall == "2024-05-02T07:00"


def test_any_other_plan_is_planned_for_the_departure() -> None:
    assert brief("baplie-smdg31.edi") == [
        ("OOLU8123457", "STOWED", "PLN", "CNSHG", True),
        ("GYOU4047990", "STOWED", "PLN", "CNSHG", False),
        ("CBHU4567890", "STOWED", "PLN", "CNSHG", False),
        ("CBHU4567890", "STOWED_REVERSED", "PLN", "CNSHG", False),
    ]
    first, *_ = moves(sample("baplie-smdg31.edi"))
    assert (first.when.wall, first.facility, first.raw_code) == ("2024-05-02T06:00", "YS1", "659")


def test_boxes_in_one_cell_keep_what_is_their_own() -> None:
    _, lower, upper, _ = moves(sample("baplie-smdg31.edi"))
    assert (lower.text, upper.text) == ("0350184 POL CNSHG POD NLRTM", "0350184 POL CNSHG POD BEANR")
    assert (lower.weight_kg, upper.weight_kg) == (5000.0, None)


def test_the_bill_that_a_bay_plan_only_fills_in_links_nothing() -> None:
    assert {move.refs for move in moves(sample("baplie-smdg22.edi"))} == {()}


def test_other_cargo_in_a_cell_is_no_container() -> None:
    [reading] = sample("baplie-smdg22.edi")
    assert "TURBINE" in reading.warnings[0]
