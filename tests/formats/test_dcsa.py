"""DCSA Track & Trace: each event stands alone, and what it says of whom is read from it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.formats import dcsa
from domain.report import Movement, Reading

SAMPLES = Path(__file__).parent / "samples"
SHARED = Path(__file__).parents[2] / ".." / "shared" / "data" / "dcsa"
BODY = (SAMPLES / "dcsa-events.json").read_bytes()
EVENTS: list[dict[str, Any]] = json.loads(BODY)


def moves(readings: list[Reading]) -> list[Movement]:
    assert [reading.fault for reading in readings if reading.fault] == []
    return [report for reading in readings for report in reading.reports if isinstance(report, Movement)]


def only(event: dict[str, Any]) -> Reading:
    [reading] = dcsa.read(json.dumps(event).encode())
    return reading


def public(name: str) -> bytes:
    if not SHARED.is_dir():
        pytest.skip("the public samples are not beside this checkout (../shared/data/dcsa)")
    return (SHARED / name).read_bytes()


def check(body: bytes, readings: list[Reading]) -> None:
    end = 0
    for reading in readings:
        assert end <= reading.start <= reading.end <= len(body)
        end = reading.end
        assert reading.key
        assert bool(reading.reports) is (reading.fault is None)


def test_an_event_is_cut_out_of_the_body_byte_for_byte() -> None:
    readings = dcsa.read(BODY)
    assert [json.loads(BODY[reading.start : reading.end]) for reading in readings] == EVENTS
    assert [reading.key for reading in readings if not reading.key.startswith("sha256:")] == [
        event["eventID"] for event in EVENTS if "eventID" in event
    ]


def test_each_event_says_what_happened_to_whom() -> None:
    assert [(move.subject, move.code, move.classifier, move.mode, move.place) for move in moves(dcsa.read(BODY))] == [
        ("container:CSQU3054383", "GATE_IN", "ACT", "TRUCK", "CNSHG"),
        ("container:CSQU3054383", "TS_LOAD", "ACT", "VESSEL", "CNSHG"),
        ("container:CSQU3054383", "VSL_ARR", "EST", "VESSEL", "NLRTM"),
        ("container:TCNU7200794", "VSL_ARR", "EST", "VESSEL", "NLRTM"),
        ("booking:6123456780", "BKG_CONF", "ACT", "", ""),
        ("booking:X8155-07", "TRAIN_DEP", "ACT", "RAIL", "CNXIY"),
        ("container:CSQU3054383", "DEC_RELEASED", "ACT", "", ""),
        ("container:CSQU3054384", "", "ACT", "", ""),
    ]


def test_references_seals_transport_and_times_are_kept() -> None:
    gate, load, arrival, _, _, _, _, washed = moves(dcsa.read(BODY))
    assert gate.refs == ("bl:COSU6123456780", "booking:6123456780")
    assert (gate.seal, gate.facility, gate.laden) == ("CN88200 CN88201", "YS1", True)
    assert (load.transport, arrival.transport, arrival.text) == ("宁波海 032E", "9400291 032E", "WEA; Weather")
    assert (gate.when.wall, gate.when.zone, gate.when.zone_from) == ("2024-05-01T09:12:00", "+08:00", "stated")
    assert len(washed.warnings) == 4
    sent = dcsa.read(BODY)[0].sent_at
    assert sent is not None
    assert sent.isoformat() == "2024-05-01T01:20:00+00:00"


def test_an_event_may_come_alone_in_an_array_or_in_an_envelope() -> None:
    alone = dcsa.read((SAMPLES / "dcsa-one-event.json").read_bytes())
    assert [reading.reports for reading in alone] == [dcsa.read(BODY)[2].reports]
    enveloped = dcsa.read((SAMPLES / "dcsa-envelope.json").read_bytes())
    assert [reading.reports for reading in enveloped] == [reading.reports for reading in dcsa.read(BODY)[:2]]
    assert dcsa.read(b"[]") == dcsa.read(b'{"events": []}') == []


def test_an_event_without_id_has_the_same_key_however_it_is_written() -> None:
    bare = {name: value for name, value in EVENTS[4].items() if name != "eventID"}
    turned = dict(reversed(bare.items()))
    assert only(bare).key == only(turned).key == only(json.loads(json.dumps(bare, indent=4))).key
    assert only(bare).key != only(bare | {"eventDateTime": "2024-05-08T07:11:00+08:00"}).key


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"eventType": None}, "dcsa.field", "$.eventType"),
        ({"eventType": "IOT"}, "dcsa.type", "$.eventType"),
        ({"eventClassifierCode": "REQ"}, "dcsa.classifier", "$.eventClassifierCode"),
        ({"eventDateTime": "yesterday"}, "dcsa.time", "$.eventDateTime"),
        ({"eventDateTime": "0001-01-01T00:00:00+14:00"}, "dcsa.time", "$.eventDateTime"),
        ({"equipmentEventTypeCode": None}, "dcsa.code", "$.equipmentEventTypeCode"),
        ({"equipmentReference": 7}, "dcsa.field", "$.equipmentReference"),
        ({"equipmentReference": "", "documentReferences": []}, "dcsa.subject", "$.equipmentEventTypeCode"),
        ({"transportCall": {"vessel": {"vesselName": []}}}, "dcsa.field", "$.transportCall.vessel.vesselName"),
    ],
)
def test_a_fault_names_the_member(change: dict[str, Any], code: str, path: str) -> None:
    body = json.dumps([EVENTS[1], EVENTS[0] | change, EVENTS[1]]).encode()
    before, reading, after = dcsa.read(body)
    assert reading.fault is not None
    assert (reading.fault.code, reading.fault.path) == (code, path.replace("$", "$[1]"))
    assert reading.fault.offset == reading.start
    assert before.reports
    assert before.reports == after.reports


def test_the_official_answers_good_and_bad_are_read() -> None:
    good = dcsa.read(public("tnt-220-response.json"))
    assert [move.code for move in moves(good)] == ["VSL_ARR", "", "LOADED", "VSL_ARR", "", "LOADED", ""]
    assert {move.raw_code for move in moves(good) if not move.code} == {"DRFT/SHI", "DRFT/BKG", "DRFT/TRD"}
    wrong = dcsa.read(public("tnt-220-response-wrong-structure.json"))
    assert [reading.fault and reading.fault.path for reading in wrong] == ["$[0]", "$[1]"]
    late = dcsa.read(public("tnt-220-response-wrong-date-times.json"))
    assert [bool(reading.fault) for reading in late] == [False, False, True, False, False, False, False]
    assert [bool(reading.warnings) for reading in late] == [False, True, False, True, False, False, False]


@pytest.mark.parametrize("name", ["dcsa-events.json", "dcsa-envelope.json", "dcsa-one-event.json"])
def test_a_truncated_body_yields_only_whole_events(name: str) -> None:
    body = (SAMPLES / name).read_bytes()
    whole = dcsa.read(body)
    for length in range(len(body.rstrip())):
        readings = dcsa.read(body[:length])
        check(body[:length], readings)
        found = [(reading.start, reading.reports) for reading in readings if not reading.fault]
        assert found == [(reading.start, reading.reports) for reading in whole if reading.end <= length][: len(found)]
        assert len(found) >= sum(reading.end < length for reading in whole)


def test_one_broken_event_does_not_harm_its_neighbours() -> None:
    first, second, third = (json.dumps(event).encode() for event in EVENTS[:3])
    readings = dcsa.read(b"[" + first + b",\n" + second.replace(b'"eventType":', b'"eventType"') + b", " + third + b"]")
    assert [bool(reading.fault) for reading in readings] == [False, True, False]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    body = BODY
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 30)))
        body = (
            body[:start]
            + draw(st.one_of(st.binary(max_size=6), st.sampled_from([b'"', b"}", b"[", b"null"])))
            + body[end:]
        )
    return body


@settings(max_examples=300, deadline=None)
@given(mutated())
@example(b"[" * 100_000)
@example(b'{"eventID": "\\ud800"}')
def test_no_mutation_makes_it_raise(body: bytes) -> None:
    check(body, dcsa.read(body))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(EVENTS[0])), inner, max_size=5),
    max_leaves=8,
)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(EVENTS), st.dictionaries(st.sampled_from(sorted({name for e in EVENTS for name in e})), JSON))
def test_any_value_in_any_member_is_read_or_set_aside(event: dict[str, Any], change: dict[str, Any]) -> None:
    body = msgspec.json.encode([event | change, event])
    readings = dcsa.read(body)
    check(body, readings)
    assert readings[1].fault is None
