"""What the fuzz found, each as a rule of its own, so that it stays found."""

import json
import random
import string
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import psycopg
import pytest

from api import intake
from api.formats import codeco, epcis, iftsta, manifest, one_record, rail, road
from api.formats.edifact_syntax import messages
from api.formats.jsonslices import slices
from api.formats.registry import READERS
from api.formats.trees import messages as xml_messages
from api.limits import REFERENCE_BYTES_MAX
from domain import identifiers
from domain.intent import Outcome
from domain.journal import Journal
from domain.writer import Writer
from tests.faults import framing, traffic

NOW = datetime(2026, 4, 10, tzinfo=UTC)
LONG = "".join(random.Random(1).choices(string.ascii_uppercase, k=6_000))  # which no index can compress
AT_ONCE_SECONDS = 5.0


@pytest.fixture
def cargo(database: str) -> Iterator[Writer]:
    with Journal("cargo", database).opened() as journal:
        writer = Writer(journal)
        yield writer
        writer.stop()


def send(cargo: Writer, name: str, body: bytes) -> list[Outcome]:
    return cargo.write(intake.understood(body, intake.Whence("source", name, NOW)))


def native(key: str, **more: object) -> dict[str, object]:
    return {
        "id": key,
        "subject": "container:CSQU3054383",
        "code": "GATE_IN",
        "happened_at": "2026-03-01T10:00Z",
        **more,
    }


def statuses(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


# --- what cannot be written ---


def test_a_number_longer_than_an_index_holds_is_a_fault_of_its_own_message(cargo: Writer) -> None:
    response = {"ResponseCode": "01", "NoticeTime": "20260301103000"}
    head = {"MessageID": "A", "MessageType": "MT3101"}
    told = [{"Head": head, "Response": [{**response, "BillNo": bill}]} for bill in (LONG, "COSU6123456")]
    long, sound = send(cargo, "manifest", json.dumps(told).encode())
    assert long.fault is not None
    assert (long.fault.code, sound.status) == ("text.long", "recorded")


def test_a_reference_may_be_as_long_as_any_index_holds(cargo: Writer) -> None:
    longest = "container:" + LONG[: REFERENCE_BYTES_MAX - len("container:")]
    [outcome] = cargo.write([traffic.batch("long", 1)[0]])
    assert outcome.status == "recorded"
    message = traffic.message("source", "longest", document=LONG[:REFERENCE_BYTES_MAX])
    [intent] = traffic.batch("long/2", 1)
    labelled = traffic.labelled(longest, "longest", message)
    assert statuses(cargo.write([type(intent)(message=message, facts=[labelled])])) == ["recorded"]


def test_what_is_too_long_is_told_at_once_and_not_tried_again(cargo: Writer) -> None:
    message = traffic.message("source", "long", document=LONG)
    [intent] = traffic.batch("long", 1)
    start = time.monotonic()
    with pytest.raises(psycopg.errors.ProgramLimitExceeded):
        cargo.write([type(intent)(message=message)])
    assert time.monotonic() - start < AT_ONCE_SECONDS


def test_a_fault_may_quote_a_nul(cargo: Writer) -> None:
    [outcome] = send(cargo, "fsu", b"FSU/14\n112-00000011XIYFRA/T12K340.0\nR\x00F/CZ461/22NOV0410/AMS")
    assert outcome.fault is not None
    assert (outcome.fault.code, outcome.fault.path) == ("fsu.nul", "R␀F")


# --- what is answered ---


def test_a_message_twice_in_one_body_is_recorded_once_and_a_duplicate_once(cargo: Writer) -> None:
    assert statuses(send(cargo, "native", json.dumps([native("1"), native("1")]).encode())) == ["recorded", "duplicate"]


def test_a_cancellation_that_waits_is_a_duplicate_when_it_comes_again(cargo: Writer) -> None:
    twice = json.dumps([native("1", document="D", function="cancel")] * 2).encode()
    assert statuses(send(cargo, "native", twice)) == ["quarantined", "duplicate"]


def test_what_is_broken_is_counted_as_often_as_it_comes_also_in_one_body(cargo: Writer, database: str) -> None:
    assert statuses(send(cargo, "native", b'[{"id": "1"}, {"id": "1"}]')) == ["quarantined", "quarantined"]
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT attempts FROM cargo_quarantine").fetchall() == [(2,)]
        assert connection.execute("SELECT count(*) FROM cargo_messages").fetchone() == (1,)


def test_a_document_that_was_replaced_very_often_holds_nobody_up(cargo: Writer) -> None:
    """The work was messages times facts: half a minute, under the journal's lock, at 800 replacements."""
    often = [native(str(key), document="D", function="replace", place=f"CN{key:03}") for key in range(600)]
    start = time.monotonic()
    send(cargo, "native", json.dumps(often).encode())
    [outcome] = send(cargo, "native", json.dumps(native("last", document="D", function="replace")).encode())
    assert time.monotonic() - start < AT_ONCE_SECONDS
    assert outcome.status == "recorded"


# --- what a body holds: JSON ---

A, B = b'{"a": 1}', b'{"b": 2}'


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (b'{"events": [' + A + b'], "events": [' + B + b"]}", b'], "events": [' + B + b"]}"),  # the same once more
        (b'{"events": [], "events": [' + B + b"]}", b'], "events": [' + B + b"]}"),
        (b'{"x": "y" z, "events": [' + A + b"]}", b'{"x": "y" z, "events":'),  # a broken head
        (b'{"events": [' + A + b"]", b""),  # the end is missing, no message is
        (b'{"events": [', b""),
    ],
)
def test_an_envelope_that_is_not_sound_is_a_message_itself(body: bytes, left: bytes) -> None:
    found = [body[start:end].strip(b", ") for start, end in slices(body, "events")]
    assert left.strip(b"], ") in [each.strip(b"], ") for each in found]
    assert A not in body or A in found


def test_an_envelope_ends_with_as_many_brackets_as_it_has() -> None:
    sound = b'{"body": {"events": [' + A + b"]}}"
    assert len(slices(sound, "body.events")) == 1
    assert len(slices(sound[:-1], "body.events")) == 2
    assert len(slices(sound[:-1] + b" ", "body.events")) == 2


@pytest.mark.parametrize("odd", [b'"\xf4\x28"', b"1e999", b"99999999999999999999999", b'"\\ud800"'])
def test_an_event_without_an_id_may_hold_what_nobody_reads(odd: bytes) -> None:
    event = b'{"type": "ObjectEvent", "eventTime": "2026-03-01T10:00:00Z", "eventTimeZoneOffset": "+00:00",'
    event += b' "epcList": ["urn:epc:id:bic:CSQU3054383"], "ex:odd": ' + odd + b"}"
    [reading] = epcis.read(event)
    assert reading.document or reading.fault


@pytest.mark.parametrize("odd", [7, True, {"a": 1}, "FRA", [[]], [None], ["FRA"]])
def test_the_codes_of_a_location_may_be_anything(odd: object) -> None:
    event = {
        "@id": "https://a.example/logistics-objects/1/logistics-events/1",
        "eventCode": "DEP",
        "eventDate": "2026-03-01T10:00:00Z",
        "recordedAtLocation": {"@id": "x", "locationCodes": odd},
    }
    [reading] = one_record.read(json.dumps(event).encode())
    assert reading.reports


# --- what a body holds: XML and EDIFACT ---


def test_text_in_cdata_between_messages_is_a_message() -> None:
    found = xml_messages(b"<R><A><b>1</b></A><![CDATA[lost]]><A><b>2</b></A></R>", "x", ("A",))
    assert [message.fault is None for message in found] == [True, False, True]


HEAD = b"UNB+UNOA:2+A+B+260331:2140+7"
GATE = (
    b"UNH+1+CODECO:D:95B:UN:SMDG16'BGM+34+L+9'TDT+1++3'EQD+CN+CSQU3054383+45G1:102:5++2+5'DTM+7:202603301405:203'"
    b"LOC+165+CNNKG:139:6'CNT+16:1'UNT+8+1'"
)


def test_a_message_glued_to_its_envelope_is_read() -> None:
    for body in (HEAD + b"\n" + GATE + b"UNZ+1+7'", HEAD + b"'UNG+CODECO+A+B" + GATE + b"UNE+1+1'UNZ+1+7'"):
        [reading] = codeco.read(body)
        assert (reading.fault, reading.key) == (None, "A+B+7/1")
        framing.check("codeco", body, [reading])


def test_a_message_glued_to_the_end_of_an_envelope_is_a_fault() -> None:
    found = messages(HEAD + b"'" + GATE + b"UNZ+1+7" + GATE)
    assert found[0].fault is None
    assert [message.fault.code for message in found if message.fault] == ["edifact.stray"] * (len(found) - 1)


@pytest.mark.parametrize("body", [HEAD + b"'", HEAD + b"'UNZ+0+7'", b"UNA:+.? '", b"'''"])
def test_an_envelope_without_messages_is_a_fault(body: bytes) -> None:
    [reading] = codeco.read(body)
    assert reading.fault is not None
    assert (reading.fault.code, reading.start, reading.end) == ("edifact.empty", 0, len(body))


# --- numbers of nothing but signs ---


@pytest.mark.parametrize("sign", ["-/-", " ", "\u3000", "\u2003", "\x85", "\u2028", "\x1d"])
def test_a_number_of_signs_and_spaces_alone_is_no_number(sign: str) -> None:
    assert identifiers.normalise(sign) == ""
    assert identifiers.normalise(f"{sign}COSU6123456{sign}") == "COSU6123456"


def test_a_number_of_signs_alone_names_nothing() -> None:
    response = {"ResponseCode": "01", "NoticeTime": "20260301103000", "BillNo": "-/-", "ContainerNos": "CSQU3054383"}
    told = {"Head": {"MessageType": "MT3101"}, "Response": [response]}
    assert [report.subject for report in manifest.read(json.dumps(told).encode())[0].reports] == [
        "container:CSQU3054383"
    ]
    passed = {"PassportNo": "H1", "Status": "51", "ContainerNos": "..", "VehicleNo": "苏A12345"}
    [reading] = road.read(json.dumps({**passed, "StatusTime": "20260301120000"}).encode())
    assert [report.subject for report in reading.reports] == ["truck:苏A12345"]
    boxes = {"messageType": "RAIL_REQ", "consignmentNo": "3", "eventTime": "20260301103000"}
    [reading] = rail.read(json.dumps({**boxes, "containers": [{"number": "."}]}).encode())
    assert reading.fault is not None
    receipt = {"EntryId": "230120241000000018", "ReceiptCode": "P", "NoticeDate": "20260301103000"}
    [reading] = READERS["customs-receipt"](json.dumps({**receipt, "ContainerNos": "."}).encode(), NOW)
    assert reading.reports[0].refs == ()


def test_a_consignment_or_a_truck_of_signs_alone_names_nothing_in_edifact() -> None:
    status = (
        b"UNH+1+IFTSTA:D:00B:UN'BGM+23+R+9'CNI+1+-'STS+1+AR'DTM+334:202603312135:203'LOC+175+DEDUI:139'"
        b"EQD+CN+CSQU3054383+45G1:102:5++3+5'UNT+8+1'"
    )
    [reading] = iftsta.read(HEAD + b"'" + status + b"UNZ+1+7'")
    assert all("bl:" not in (report.subject, *report.refs) for report in reading.reports)
    by_truck = GATE.replace(b"TDT+1++3'", b"").replace(b"CNT", b"TDT+1++3++:172:ZZZ+++-:146'CNT")
    [reading] = codeco.read(HEAD + b"'" + by_truck + b"UNZ+1+7'")
    assert all("truck:" not in report.refs for report in reading.reports)
