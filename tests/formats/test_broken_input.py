"""Whatever bytes arrive, every reader answers with readings, loses nothing, and lets no message harm another."""

import json
import re
import string
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api.formats import (
    baplie,
    coprar,
    cuscar,
    cusres,
    customs_receipt,
    device,
    epcis,
    fsu,
    manifest,
    native,
    one_record,
    rail,
    road,
)
from domain.report import KINDS, Movement, Reading

SAMPLES = Path(__file__).parent / "samples"
RECEIVED = datetime(2024, 11, 23, tzinfo=UTC)
READERS: dict[str, Callable[[bytes], list[Reading]]] = {
    "native": native.read,
    "fsu": lambda body: fsu.read(body, received_at=RECEIVED),
    "one-record": one_record.read,
    "customs-receipt": customs_receipt.read,
    "manifest": manifest.read,
    "rail": rail.read,
    "road": road.read,
    "epcis": epcis.read,
    "device": device.read,
    "coprar": coprar.read,
    "baplie": baplie.read,
    "cuscar": cuscar.read,
    "cusres": cusres.read,
}
EDIFACT = {"coprar", "baplie", "cuscar", "cusres"}  # no bytes, no messages; what test_edifact.py does beyond this
OURS = [(name, path) for name in READERS for path in sorted(SAMPLES.glob(f"{name}*"))]
# What stands between messages and belongs to none.
BETWEEN = frozenset(b" \t\r\n\x0b\x0c,[]\x01\x02\x03\xef\xbb\xbf")
_TAGS = re.compile(rb"<!--.*?-->|<[^<>]*>", re.DOTALL)

sample = pytest.mark.parametrize(("name", "path"), OURS, ids=[path.name for _, path in OURS])
reader = pytest.mark.parametrize("name", READERS)


def check(body: bytes, readings: list[Reading]) -> None:
    """What holds for every answer, whatever the body."""
    end = 0
    for reading in readings:
        assert end <= reading.start <= reading.end <= len(body)
        end = reading.end
        assert 0 < len(reading.key) <= 600
        assert reading.fault is None or not reading.reports
        if reading.fault is not None:
            assert reading.fault.detail
            assert reading.start <= reading.fault.offset <= len(body)
        elif reading.function != "cancel":
            assert reading.reports
        for report in reading.reports:
            kind, _, number = report.subject.partition(":")
            assert kind in KINDS
            assert number
            assert report.raw_code
            assert report.when.at.tzinfo is UTC
            assert not isinstance(report, Movement) or report.code or report.warnings or "/" in report.raw_code


def uncovered(body: bytes, readings: list[Reading]) -> bytes:
    marks = bytearray(body)
    for reading in readings:
        marks[reading.start : reading.end] = b" " * (reading.end - reading.start)
    left = _TAGS.sub(b"", marks) if body.lstrip().startswith(b"<") else marks
    return bytes(byte for byte in left if byte not in BETWEEN)


@sample
def test_a_sample_is_understood_throughout(name: str, path: Path) -> None:
    body = path.read_bytes()
    readings = READERS[name](body)
    check(body, readings)
    assert readings
    assert [reading.fault for reading in readings if reading.fault] == []
    keys = [reading.key for reading in readings]
    assert len(set(keys)) == len(keys)


@sample
def test_no_truncation_of_a_sample_raises_or_loses_a_whole_message(name: str, path: Path) -> None:
    body = path.read_bytes()
    whole = READERS[name](body)
    for length in range(len(body)):
        cut = READERS[name](body[:length])
        check(body[:length], cut)
        sound = {reading.key for reading in cut if reading.fault is None}
        assert {reading.key for reading in whole if reading.end < length} <= sound


@sample
def test_no_message_can_be_cut_off_without_a_fault(name: str, path: Path) -> None:
    """A text line has no end of its own, so FSU is told by its lines; everything else has brackets."""
    body = path.read_bytes()
    last = READERS[name](body)[-1]
    if name == "fsu":
        pytest.skip("a line of text may end anywhere")
    for length in range(last.start + 1, last.end):
        assert any(reading.fault for reading in READERS[name](body[:length]))


@reader
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \r\n",
        b"\x00",
        b"\xff\xfe<\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"<a>" * 100_000,
        b"<!--" * 50_000,
        b"]" * 100_000,
        b'[{"a":"\xff"}]',
        b'{"a":' + b"1" * 10_000 + b"}",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    ],
    ids=lambda body: body[:12].hex(),
)
def test_hostile_bytes_become_faults_and_quickly(name: str, body: bytes) -> None:
    began = time.perf_counter()
    readings = READERS[name](body)
    assert time.perf_counter() - began < 5
    check(body, readings)
    assert readings or (name in EDIFACT and not body.strip())
    assert all(reading.fault for reading in readings)


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, bytes]:
    """A sample with a few bytes put in, taken out or exchanged."""
    name, path = draw(st.sampled_from(OURS))
    body = bytearray(path.read_bytes())
    bytes_met = st.sampled_from(sorted({*body, 0, 0xFF, *b'"\\{}[]<>/&'}))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(body)))
        gone = draw(st.integers(0, 12))
        body[at : at + gone] = bytes(draw(st.lists(bytes_met, max_size=4)))
    return name, bytes(body)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutations())
def test_no_mutation_of_a_sample_raises_or_drops_bytes(mutated: tuple[str, bytes]) -> None:
    name, body = mutated
    readings = READERS[name](body)
    check(body, readings)
    if name not in {"one-record", "epcis", *EDIFACT}:  # their envelope belongs to no event
        assert uncovered(body, readings) == b""


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(READERS)), st.binary(max_size=200))
@example("fsu", b"FSU/14\n112-00000011\nRCS/29FEB/XIY\x85")
def test_no_bytes_at_all_raise(name: str, body: bytes) -> None:
    check(body, READERS[name](body))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(string.ascii_letters, max_size=6), inner),
    max_leaves=6,
)
_FIELDS = {
    "native": native.Item.__struct_encode_fields__,
    "rail": rail.Envelope.__struct_encode_fields__,
    "epcis": epcis.Event.__struct_encode_fields__,
    "device": device.Event.__struct_encode_fields__,
    "road": (
        *("PassportNo", "Status", "StatusTime", "VehicleNo", "ContainerNos", "EntryId", "BillNo", "GrossWt", "Place"),
        *("MessageType", "EventTime", "Function", "ReportNo", "Latitude", "Longitude", "EventClass", "MessageId"),
    ),
    "customs-receipt": ("EntryId", "SeqNo", "ReceiptCode", "NoticeDate", "ContainerNos", "BillNo", "IEFlag"),
    "manifest": ("Head", "Response", "MessageType", "ResponseCode", "BillNo", "TransportEquipment"),
    "one-record": (
        *("@id", "@type", "eventCode", "eventDate", "eventTimeType", "linkedObject", "waybillPrefix", "waybillNumber"),
        *("recordedAtLocation", "recordedWeight", "recordedPieceCount", "creationDate", "partialEventIndicator"),
    ),
}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_json_value_in_any_field_raises(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(_FIELDS)))
    fields = st.sampled_from(_FIELDS[name])
    message = data.draw(st.dictionaries(fields, _JSON | st.dictionaries(fields, _JSON), max_size=8))
    original = data.draw(st.sampled_from([{}, *json.loads((SAMPLES / _ORIGINALS[name]).read_text())[:2]]))
    body = json.dumps([original | message]).encode()
    check(body, READERS[name](body))


_ORIGINALS = {
    "native": "native.json",
    "rail": "rail.json",
    "epcis": "epcis-events.json",
    "device": "device.json",
    "road": "road.json",
    "customs-receipt": "customs-receipts.json",
    "manifest": "manifest-answers.json",
    "one-record": "one-record-plain.json",
}
