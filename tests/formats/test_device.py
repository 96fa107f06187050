"""What devices on trucks and containers tell."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.formats import device
from domain.milestones import MILESTONES
from domain.report import Movement, Reading

SAMPLES = Path(__file__).parent / "samples"
POSITION = {
    "device": "GPS-7",
    "sequence": 3,
    "container": "CSQU3054383",
    "at": "2026-03-01T12:00:00+08:00",
    "kind": "position",
    "lat": 34.7466,
    "lon": 119.443,
}
HEAT = {**{name: POSITION[name] for name in ("device", "container", "at")}, "kind": "temperature", "celsius": 4.5}


def read_one(original: dict[str, Any] = POSITION, **changed: Any) -> Reading:
    fields = {name: value for name, value in (original | changed).items() if value is not None}
    [reading] = device.read(json.dumps(fields).encode())
    return reading


def movements(reading: Reading) -> list[Movement]:
    assert reading.fault is None
    return [report for report in reading.reports if isinstance(report, Movement)]


def test_each_kind_is_told_in_its_own_way() -> None:
    position, sealed, alarm, heat, weight, door = device.read((SAMPLES / "device.json").read_bytes())
    truck, box = movements(position)
    assert (truck.subject, truck.refs, box.refs) == ("truck:苏A12345", (box.subject,), (truck.subject,))
    assert (truck.code, truck.text, truck.mode) == ("TRUCK_POS", "34.7466,119.443 device=GPS-0007", "TRUCK")
    assert [(report.code, report.seal) for report in movements(sealed)] == [("ESEAL_ON", "E0012345")]
    assert [(report.code, report.text) for report in movements(alarm)] == [
        ("ESEAL_ALARM", "device=SEAL-0001 锁杆被剪断")
    ]
    [hot] = movements(heat)
    assert (hot.code, hot.raw_code, hot.text) == ("", "temperature/-18.25", "-18.25 °C device=THERMO-3")
    [heavy] = movements(weight)
    assert (heavy.weight_kg, heavy.place, heavy.when.zone_from) == (31250.5, "CNLYG", "place")
    assert [(report.raw_code, len(report.warnings)) for report in movements(door)] == [("door/open", 1)]
    assert [reading.key for reading in (position, sealed, heat)] == ["GPS-0007|41", "SEAL-0001|s-1", "THERMO-3|0"]


def test_lines_are_messages_of_their_own() -> None:
    first, second = device.read((SAMPLES / "device.ndjson").read_bytes())
    assert (first.key, second.key) == ("GPS-0007|42", "GPS-0007|43")


def test_two_values_within_a_minute_are_two_statements() -> None:
    raw = {movements(read_one(HEAT, celsius=value))[0].raw_code for value in (4.5, 9.0)}
    assert raw == {"temperature/4.5", "temperature/9"}


@pytest.mark.parametrize(("state", "code"), [("on", "ESEAL_ON"), ("OFF", "ESEAL_OFF"), ("alarm", "ESEAL_ALARM")])
def test_a_seal_is_told_by_its_state(state: str, code: str) -> None:
    [report] = movements(read_one(kind="seal", state=state))
    assert (report.code, report.raw_code, report.warnings) == (code, f"seal/{state}", ())
    assert set(device.SEAL.values()) <= set(MILESTONES)


def test_a_state_of_a_seal_that_is_not_known_is_kept_with_a_warning() -> None:
    [report] = movements(read_one(kind="seal", state="low battery"))
    assert (report.code, report.raw_code, len(report.warnings)) == ("", "seal/low battery", 1)


def test_a_bad_check_digit_is_a_warning_on_the_container_only() -> None:
    truck, box = movements(read_one(truck="苏A12345", container="CSQU3054384"))
    assert (len(truck.warnings), len(box.warnings)) == (0, 1)


def test_an_event_without_a_reference_is_known_by_its_bytes() -> None:
    assert read_one(HEAT).key != read_one(HEAT, celsius=5).key


@pytest.mark.parametrize(
    ("changed", "code", "path"),
    [
        ({"lat": 90.5}, "device.field", "$.lat"),
        ({"lon": -181}, "device.field", "$.lon"),
        ({"lat": None}, "device.value", "$.lat"),
        ({"kind": "temperature"}, "device.value", "$.celsius"),
        ({"kind": "temperature", "celsius": -300}, "device.field", "$.celsius"),
        ({"kind": "scale", "kg": -1}, "device.field", "$.kg"),
        ({"kind": "scale"}, "device.value", "$.kg"),
        ({"kind": "seal"}, "device.value", "$.state"),
        ({"kind": " "}, "device.field", "$.kind"),
        ({"device": None}, "device.field", "$"),
        ({"device": ""}, "device.field", "$.device"),
        ({"container": None}, "device.subject", "$.container"),
        ({"container": "-"}, "device.subject", "$.container"),
        ({"at": "noon"}, "device.time", "$.at"),
        ({"sequence": -1}, "device.field", "$.sequence"),
        ({"battery": 3}, "device.field", "$"),
    ],
)
def test_what_makes_no_sense_is_a_fault_with_its_path(changed: dict[str, Any], code: str, path: str) -> None:
    found = read_one(**changed).fault
    assert found is not None
    assert (found.code, found.path) == (code, path)
