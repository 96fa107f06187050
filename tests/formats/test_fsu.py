"""Cargo-IMP FSU and FSA."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.formats import fsu
from domain.report import Fault, Movement, Reading

SAMPLES = Path(__file__).parent / "samples"
NOV = datetime(2024, 11, 23, tzinfo=UTC)


def read(*lines: str, received_at: datetime = NOV) -> Reading:
    [reading] = fsu.read("\r\n".join(("FSU/14", *lines)).encode(), received_at=received_at)
    return reading


def statuses(*lines: str, received_at: datetime = NOV) -> list[Movement]:
    reading = read("112-00000011XIYAMS/T12K340.0", *lines, received_at=received_at)
    assert reading.fault is None
    return [report for report in reading.reports if isinstance(report, Movement)]


def fault(*lines: str) -> Fault:
    found = read(*lines).fault
    assert found is not None
    return found


def test_a_part_shipment_is_told_piece_by_piece() -> None:
    departing, arriving = fsu.read((SAMPLES / "fsu-part-shipment.txt").read_bytes(), received_at=NOV)
    told = [
        (r.raw_code, r.code, r.pieces, r.pieces_total, r.weight_kg)
        for r in departing.reports
        if isinstance(r, Movement)
    ]
    assert told == [
        ("RCS", "AIR_RCS", 12, 12, 340.0),
        ("BKD", "AIR_BKD", 12, 12, 340.0),
        ("MAN", "AIR_MAN", 5, 12, 140.0),
        ("DEP", "AIR_DEP", 5, 12, 140.0),
        ("DIS_OFLD", "AIR_OFLD", 7, 12, 200.0),
    ]
    assert [r.partial for r in departing.reports if isinstance(r, Movement)] == [False, False, True, True, True]
    assert {report.subject for report in departing.reports + arriving.reports} == {"awb:11200000011"}
    assert [report.code for report in arriving.reports if isinstance(report, Movement)] == [
        "AIR_RCF",
        "AIR_NFD",
        "AIR_AWD",
        "AIR_CCD",
        "AIR_DLV",
    ]


def test_the_envelope_belongs_to_the_message_after_it() -> None:
    body = (SAMPLES / "fsu-part-shipment.txt").read_bytes()
    first, second = fsu.read(body, received_at=NOV)
    assert body[first.start : first.end].startswith(b"QU XIYFMCZ")
    assert body[second.start : second.end].startswith(b"FSU/12")
    assert first.key.startswith("FSU/14:")
    twice = fsu.read(body + body, received_at=NOV)
    assert [reading.fault for reading in twice] == [None] * 4
    assert twice[2].key == first.key


def test_the_same_words_with_other_line_ends_are_another_message_about_the_same_document() -> None:
    body = (SAMPLES / "fsu-part-shipment.txt").read_bytes()
    one, other = fsu.read(body)[1], fsu.read(body.replace(b"\r\n", b"\n"))[1]
    assert one.key != other.key
    assert (
        one.document
        == other.document
        == (
            "112-00000011/RCF/P5/AMS/CZ461/22NOV+112-00000011/NFD/P5/AMS/22NOV+112-00000011/AWD/P5/AMS/22NOV"
            "+112-00000011/CCD/P5/AMS/22NOV+112-00000011/DLV/P5/AMS/22NOV"
        )
    )


def test_times_are_local_to_the_station() -> None:
    xian, amsterdam = statuses("RCS/21NOV1030/XIY/T12", "RCF/CZ461/22NOV0610/AMS/T12")
    assert (xian.when.at, xian.when.zone) == (datetime(2024, 11, 21, 2, 30, tzinfo=UTC), "Asia/Shanghai")
    assert (amsterdam.when.at, amsterdam.when.zone) == (datetime(2024, 11, 22, 5, 10, tzinfo=UTC), "Europe/Amsterdam")
    assert (xian.place, amsterdam.place) == ("CNSIA", "NLAMS")


@pytest.mark.parametrize(
    ("day", "received_at", "expected"),
    [
        ("31DEC", datetime(2025, 1, 2, tzinfo=UTC), 2024),
        ("01JAN", datetime(2024, 12, 30, tzinfo=UTC), 2025),
        ("21NOV", datetime(2024, 11, 21, tzinfo=UTC), 2024),
        ("29FEB", datetime(2025, 12, 1, tzinfo=UTC), 2024),
        ("29FEB", datetime(2027, 3, 1, tzinfo=UTC), 2024),
    ],
)
def test_the_year_is_the_one_nearest_to_the_receipt(day: str, received_at: datetime, expected: int) -> None:
    [status] = statuses(f"RCS/{day}1030/XIY/T12", received_at=received_at)
    assert status.when.wall.startswith(f"{expected}-")


def test_what_has_happened_lies_behind_and_what_is_booked_may_lie_ahead() -> None:
    november = datetime(2026, 11, 21, tzinfo=UTC)
    body = b"FSU/14\n112-00000011XIYAMS/T12K340.0\nDEP/CK205/17MAR2350/XIYAMS/T12\nBKD/CK205/17MAR2350/XIYAMS/T12\n"
    [reading] = fsu.read(body, received_at=november)
    assert [report.when.at.year for report in reading.reports] == [2026, 2027]


def test_a_new_year_between_two_lines_is_seen() -> None:
    [reading] = fsu.read((SAMPLES / "fsu-new-year.txt").read_bytes(), received_at=datetime(2025, 1, 1, 9, tzinfo=UTC))
    assert [report.when.wall[:4] for report in reading.reports] == ["2024", "2024", "2025", "2025", "2025"]


def test_pounds_become_kilograms_and_the_total_stands_behind_the_part() -> None:
    [reading] = fsu.read((SAMPLES / "fsu-new-year.txt").read_bytes())
    first = reading.reports[0]
    assert isinstance(first, Movement)
    assert (first.weight_kg, first.pieces, first.pieces_total) == (45.36, 3, 9)


def test_a_day_without_an_hour_is_local_midnight_and_says_so() -> None:
    [status] = statuses("MAN/CZ461/21NOV/XIYAMS/P5")
    assert status.when.at == datetime(2024, 11, 20, 16, tzinfo=UTC)
    assert any("time not stated" in warning for warning in status.warnings)


def test_an_actual_hour_of_departure_is_the_time_and_an_estimate_is_not() -> None:
    actual, estimated, yesterday = statuses(
        "DEP/CZ461/21NOV/XIYAMS/P5/A2352/E0505-N",
        "DEP/CZ461/21NOV/XIYAMS/P5/E2352",
        "DEP/CZ461/21NOV/XIYAMS/P5/A2352-P",
    )
    assert actual.when.wall == "2024-11-21T23:52"
    assert estimated.when.wall == "2024-11-21"
    assert yesterday.when.wall == "2024-11-20T23:52"
    assert "E0505-N" in actual.text


def test_a_booking_is_a_plan() -> None:
    booked, received = statuses("BKD/CZ461/21NOV/XIYAMS/T12/S2340", "RCS/21NOV1030/XIY/T12")
    assert (booked.classifier, booked.pieces, booked.when.wall) == ("PLN", 12, "2024-11-21T23:40")
    assert received.classifier == "ACT"


def test_supplementary_lines_are_the_text_of_the_status_above() -> None:
    first, second = statuses(
        "OSI/EARLY", "RCS/21NOV1030/XIY/T12/SHIPPER", "NFD/22NOV0700/AMS/T12", "OCI/NL/IMP/A/1", "/MORE", "ZZZ/ODD"
    )
    assert first.text == "SHIPPER\nOSI/EARLY"
    assert second.text == "OCI/NL/IMP/A/1\n/MORE\nZZZ/ODD"


def test_an_unknown_status_is_kept_as_sent_with_a_warning() -> None:
    [status] = statuses("XRY/21NOV1030/XIY/T12")
    assert (status.code, status.raw_code) == ("", "XRY")
    assert any("XRY" in warning for warning in status.warnings)


def test_a_discrepancy_without_a_code_of_its_own_is_a_discrepancy() -> None:
    plain, offloaded, missing = statuses(
        "DIS/CZ461/21NOV/XIY/P7", "DIS/CZ461/21NOV/XIY/OFLD/P7", "DIS/CZ461/21NOV1200/XIY/MSCA/P1"
    )
    assert [(s.raw_code, s.code) for s in (plain, offloaded, missing)] == [
        ("DIS", "AIR_DIS"),
        ("DIS_OFLD", "AIR_OFLD"),
        ("DIS_MSCA", "AIR_DIS"),
    ]


def test_a_wrong_check_digit_is_a_warning() -> None:
    reading = read("999-12345676XIYAMS/T1", "RCS/21NOV1030/XIY/T1")
    assert reading.reports[0].subject == "awb:99912345676"
    assert reading.reports[0].warnings


AWB = "112-00000011XIYAMS/T12K340.0"


@pytest.mark.parametrize(
    ("lines", "code", "met"),
    [
        (("RCS/21NOV1030/XIY/T1",), "fsu.awb", "RCS"),
        (("112-0000011XIYAMS/T1",), "fsu.awb", "112-0000011"),
        (("112-00000011XIYAMS/Q9",), "fsu.quantity", "Q9"),
        ((AWB,), "fsu.empty", "no status"),
        ((AWB, "RCS/31FEB1030/XIY/T1"), "fsu.time", "31FEB"),
        ((AWB, "RCS/21NOV2530/XIY/T1"), "fsu.time", "21NOV2530"),
        ((AWB, "RCS/21NOV10/XIY/T1"), "fsu.time", "21NOV10"),
        ((AWB, "RCS/21NOV1030/XI"), "fsu.station", "XI"),
        ((AWB, "something else"), "fsu.line", "something else"),
        ((AWB, "RCS/21NOV1030/XIY/T1", "OSI/\0"), "fsu.nul", "NUL"),
    ],
)
def test_a_line_that_makes_no_sense_faults_its_message_and_says_where(
    lines: tuple[str, ...], code: str, met: str
) -> None:
    found = fault(*lines)
    assert found.code == code
    assert met in found.detail
    body = "\r\n".join(("FSU/14", *lines)).encode()
    assert found.offset in {0, body.index(lines[-1].encode())}


def test_a_broken_message_harms_neither_neighbour() -> None:
    good = f"FSU/14\n{AWB}\nRCS/21NOV1030/XIY/T12\n"
    readings = fsu.read(f"{good}FSU/14\n{AWB}\nRCS/99NOV/XIY\n{good}".encode(), received_at=NOV)
    assert [reading.fault is None for reading in readings] == [True, False, True]


def test_what_stands_before_the_first_message_is_set_aside() -> None:
    stray, sound = fsu.read(f"HELLO WORLD\nFSU/14\n{AWB}\nRCS/21NOV1030/XIY/T12".encode(), received_at=NOV)
    assert stray.fault is not None
    assert stray.fault.code == "fsu.header"
    assert sound.fault is None
