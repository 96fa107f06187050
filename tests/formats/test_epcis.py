"""EPCIS 2.0 events: who they are about, what little they say of transport, and how they are taken back."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.formats import epc, epcis
from domain.milestones import MILESTONES
from domain.report import Movement, Reading

SAMPLES = Path(__file__).parent / "samples"
SHARED = Path(__file__).parents[2] / "../shared/data/epcis"
BOX, SHIP = "urn:epc:id:bic:CSQU3054383", "urn:epc:id:imovn:9074729"
EVENT = {
    "type": "ObjectEvent",
    "eventID": "urn:uuid:1",
    "eventTime": "2026-03-01T12:00:00+08:00",
    "eventTimeZoneOffset": "+08:00",
    "action": "OBSERVE",
    "bizStep": "storing",
    "epcList": [BOX],
}


def encoded(**changed: Any) -> bytes:
    fields = {name: value for name, value in (EVENT | changed).items() if value is not None}
    return json.dumps(fields).encode()


def read_one(**changed: Any) -> Reading:
    [reading] = epcis.read(encoded(**changed))
    return reading


def movements(reading: Reading) -> list[Movement]:
    assert reading.fault is None
    return [report for report in reading.reports if isinstance(report, Movement)]


def subjects(**changed: Any) -> list[str]:
    return [report.subject for report in movements(read_one(**changed))]


# --- the document ---


def test_every_event_of_a_document_is_a_message_of_its_own() -> None:
    body = (SAMPLES / "epcis-document.json").read_bytes()
    packed, loaded, sensed, transformed, taken_back = epcis.read(body)
    assert json.loads(body[packed.start : packed.end])["bizStep"] == "packing"
    [stuffed] = movements(packed)
    assert (stuffed.subject, stuffed.code, stuffed.place) == ("container:CSQU3054383", "STUFFED", "CNLYG")
    assert stuffed.facility == "urn:epc:id:sgln:6901234.00001.0"
    assert "bl:COSU6123456780" in stuffed.refs
    assert [report.code for report in movements(loaded)] == ["LOADED", "LOADED"]
    assert {(report.mode, report.transport) for report in movements(loaded)} == {("VESSEL", "IMO9074729")}
    assert movements(sensed)[0].text == "Temperature 9.5 CEL !ALARM_CONDITION"
    assert len(movements(transformed)) == 2
    assert (taken_back.function, taken_back.document) == ("cancel", loaded.document)
    assert taken_back.key != loaded.key
    assert packed.sent_at is not None
    assert packed.sent_at.isoformat() == "2026-03-01T02:00:00+00:00"


def test_a_query_document_is_refused() -> None:
    body = json.dumps({"type": "EPCISQueryDocument", "epcisBody": {"eventList": [EVENT]}}).encode()
    [reading] = epcis.read(body)
    assert reading.fault is not None
    assert (reading.fault.code, reading.end) == ("epcis.query_document", len(body))


@pytest.mark.parametrize("inside", [{}, {"epcisBody": {}}, {"epcisBody": {"eventList": []}}, {"epcisBody": []}])
def test_a_document_without_events_is_a_fault(inside: dict[str, Any]) -> None:
    [reading] = epcis.read(json.dumps({"type": "EPCISDocument", **inside}).encode())
    assert reading.fault is not None
    assert reading.fault.code == "epcis.events"


def test_a_list_elsewhere_in_the_document_is_not_taken_for_the_events() -> None:
    header = {"eventList": [1], "epcisMasterData": {"epcisBody": {"eventList": [2]}}}
    body = json.dumps({"type": "EPCISDocument", "epcisHeader": header, "epcisBody": {"eventList": [EVENT]}}).encode()
    [reading] = epcis.read(body)
    assert json.loads(body[reading.start : reading.end]) == EVENT


@pytest.mark.skipif(not SHARED.exists(), reason="the public samples are not beside this checkout")
def test_the_public_samples_are_read() -> None:
    for path in sorted(SHARED.glob("*.json*")):
        events = json.loads(path.read_text())["epcisBody"]["eventList"]
        readings = epcis.read(path.read_bytes())
        assert [json.loads(path.read_bytes()[one.start : one.end]) for one in readings] == events
        for reading, event in zip(readings, events, strict=True):
            assert movements(reading)
            assert reading.key.startswith(event.get("eventID", reading.key))
            assert {report.raw_code for report in movements(reading)} == {event["bizStep"]}


# --- identity and taking back ---


def test_an_event_without_an_id_is_known_by_its_bytes_and_taken_back_by_its_content() -> None:
    plain = read_one(eventID=None)
    [spread] = epcis.read(
        json.dumps({**json.loads(encoded(eventID=None)), "recordTime": "2026-03-02T00:00:00Z"}, indent=1).encode()
    )
    error = {"declarationTime": "2026-03-02T00:00:00Z", "reason": "did_not_occur"}
    taken_back = read_one(eventID=None, errorDeclaration=error)
    assert len({plain.key, spread.key, taken_back.key}) == 3
    assert plain.document == spread.document == taken_back.document
    assert plain.document != read_one(eventID=None, bizStep="holding").document
    assert (plain.function, taken_back.function) == ("original", "cancel")


def test_two_error_declarations_of_one_event_are_two_messages() -> None:
    times = ("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z")
    keys = {read_one(errorDeclaration={"declarationTime": time}).key for time in times}
    assert len(keys) == 2


def test_what_corrects_an_event_is_named_in_the_text() -> None:
    declaration = {"reason": "incorrect_data", "correctiveEventIDs": ["urn:uuid:2"]}
    [report] = movements(read_one(errorDeclaration=declaration))
    assert report.text == "errorDeclaration=incorrect_data correctiveEventID=urn:uuid:2"


# --- whom it is about ---


def test_containers_come_before_everything_else() -> None:
    things = ["urn:epc:id:sscc:0614141.1234567890", BOX]
    assert subjects(epcList=things) == ["container:CSQU3054383"]
    [report] = movements(read_one(epcList=things))
    assert report.refs == ("object:https://id.gs1.org/00/106141412345678908",)


def test_without_a_container_the_parent_is_the_subject_and_else_each_object() -> None:
    children = ["urn:epc:id:sgtin:0614141.107346.2017", "urn:epc:id:sgtin:0614141.107346.2018"]
    links = [f"object:https://id.gs1.org/01/10614141073464/21/{serial}" for serial in (2017, 2018)]
    aggregation = {"type": "AggregationEvent", "epcList": None, "childEPCs": children}
    [report] = movements(read_one(**aggregation, parentID="urn:epc:id:grai:0614141.12345.400"))
    assert (report.subject, list(report.refs)) == ("object:urn:epc:id:grai:0614141.12345.400", links)
    assert subjects(**aggregation) == links


def test_an_event_of_papers_alone_is_about_the_papers() -> None:
    papers = [{"type": "bol", "bizTransaction": "cosu6123456780"}, {"type": "po", "bizTransaction": "urn:x:1"}]
    changed = {"type": "TransactionEvent", "epcList": None, "bizTransactionList": papers}
    assert subjects(**changed) == ["bl:COSU6123456780", "object:urn:x:1"]


@pytest.mark.parametrize(
    ("uri", "kind", "subject"),
    [
        ("urn:epcglobal:cbv:bt:0614141073467:A123", "bol", "bl:A123"),
        ("https://line.example/bl/cosu6123456780", "urn:epcglobal:cbv:btt:bol", "bl:COSU6123456780"),
        ("urn:epc:id:gdti:4012345.11111.123", "bol", "object:urn:epc:id:gdti:4012345.11111.123"),
        ("https://erp.example/po/1", "po", "object:https://erp.example/po/1"),
        ("https://port.example/eir/CSQU3054383", "", "container:CSQU3054383"),
        (BOX, "", "container:CSQU3054383"),
    ],
)
def test_a_paper_is_named_by_its_number_or_its_uri(uri: str, kind: str, subject: str) -> None:
    named = epc.paper(uri, kind)
    assert named is not None
    assert named.subject == subject


@pytest.mark.parametrize(
    ("uri", "link"),
    [
        ("urn:epc:id:sscc:0614141.1234567890", "https://id.gs1.org/00/106141412345678908"),
        ("https://shop.example/a/00/106141412345678908?x=1", "https://id.gs1.org/00/106141412345678908"),
        ("urn:epc:id:sgtin:0614141.107346.2017", "https://id.gs1.org/01/10614141073464/21/2017"),
        ("https://id.gs1.org/01/10614141073464/10/LOT/21/2017", "https://id.gs1.org/01/10614141073464/21/2017"),
        ("urn:epc:id:sscc:0614141.12345", "urn:epc:id:sscc:0614141.12345"),
        ("https://id.gs1.org/8004/0614141A1", "https://id.gs1.org/8004/0614141A1"),
    ],
)
def test_both_spellings_of_an_object_meet_in_its_digital_link(uri: str, link: str) -> None:
    assert epc.thing(uri).subject == f"object:{link}"


# --- what it says ---


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"bizStep": "loading"}, ""),
        ({"bizStep": "departing"}, ""),
        ({"bizStep": "inspecting"}, ""),
        ({"bizStep": "loading", "epcList": [BOX, SHIP]}, "LOADED"),
        ({"bizStep": "urn:epcglobal:cbv:bizstep:unloading", "epcList": [BOX, SHIP]}, "DISCHARGED"),
        ({"bizStep": "https://ref.gs1.org/cbv/BizStep-arriving", "epcList": [BOX, SHIP]}, "VSL_ARR"),
        ({"bizStep": "cbv:BizStep-departing", "epcList": [BOX, SHIP]}, "VSL_DEP"),
        ({"bizStep": "storing", "epcList": [BOX, SHIP]}, ""),
        (
            {"bizStep": "packing", "epcList": None, "parentID": BOX, "type": "AggregationEvent", "action": "ADD"},
            "STUFFED",
        ),
        ({"bizStep": "packing", "action": "ADD"}, ""),
    ],
)
def test_a_step_is_a_milestone_only_where_the_event_says_more(changed: dict[str, Any], code: str) -> None:
    [report] = movements(read_one(**changed))
    assert (report.code, report.raw_code) == (code, changed["bizStep"])
    assert bool(report.warnings) == (not code)
    assert {*epcis.BY_SHIP.values(), *epcis.PACKED.values()} <= set(MILESTONES)


def test_without_a_step_the_event_type_is_what_was_reported() -> None:
    [report] = movements(read_one(bizStep=None))
    assert report.raw_code == "ObjectEvent/OBSERVE"


@pytest.mark.parametrize(
    ("time", "offset", "wall", "zone"),
    [
        ("2026-03-01T12:00:00+08:00", "+08:00", "2026-03-01T12:00:00", "+08:00"),
        ("2026-03-01T04:00:00.250Z", "+08:00", "2026-03-01T12:00:00.250", "+08:00"),
        ("2026-03-01T12:00:00", "+08:00", "2026-03-01T12:00:00", "+08:00"),
        ("2026-03-01T12:00:00+08:00", None, "2026-03-01T12:00:00", "+08:00"),
        ("2026-03-01T04:00Z", "-03:30", "2026-03-01T00:30", "-03:30"),
    ],
)
def test_the_wall_time_is_that_of_the_stated_offset(time: str, offset: str | None, wall: str, zone: str) -> None:
    [report] = movements(read_one(eventTime=time, eventTimeZoneOffset=offset))
    assert report.when.at.isoformat(timespec="minutes") == "2026-03-01T04:00+00:00"
    assert (report.when.wall, report.when.zone, report.when.zone_from) == (wall, zone, "stated")


@pytest.mark.parametrize(
    ("read_point", "located", "place", "facility"),
    [
        ("urn:epc:id:sgln:0614141.00777.0", "https://x.example/CNLYG", "CNLYG", "urn:epc:id:sgln:0614141.00777.0"),
        ("https://vocabulary.example/unlocode#CNSHA", "", "CNSHG", ""),
        ("urn:locode:XXABC", "", "XXABC", ""),
        ("https://x.example/HELLO", "", "", "https://x.example/HELLO"),
        ("geo:34.7,119.4", "", "", "geo:34.7,119.4"),
    ],
)
def test_a_place_is_a_locode_at_the_end_of_an_address(read_point: str, located: str, place: str, facility: str) -> None:
    [report] = movements(read_one(readPoint={"id": read_point}, bizLocation={"id": located}))
    assert (report.place, report.facility) == (place, facility)


def test_a_bad_check_digit_is_a_warning() -> None:
    [report] = movements(read_one(epcList=["urn:epc:id:bic:CSQU3054384"]))
    assert (report.subject, len(report.warnings)) == ("container:CSQU3054384", 2)


@pytest.mark.parametrize(
    ("changed", "code", "path"),
    [
        ({"type": "EPCISEvent"}, "epcis.field", "$.type"),
        ({"epcList": None}, "epcis.subject", "$.epcList"),
        ({"epcList": [BOX, " "]}, "epcis.subject", "$.epcList[1]"),
        ({"epcList": [7]}, "epcis.field", "$.epcList[0]"),
        ({"epcList": [SHIP]}, "epcis.subject", "$.epcList"),
        ({"eventTime": "noon"}, "epcis.time", "$.eventTime"),
        ({"eventTime": None}, "epcis.time", "$.eventTime"),
        ({"eventTime": "2026-03-01T12:00:00", "eventTimeZoneOffset": None}, "epcis.time", "$.eventTimeZoneOffset"),
        ({"eventTimeZoneOffset": "Beijing"}, "epcis.time", "$.eventTimeZoneOffset"),
        ({"eventTime": "9999-12-31T23:59:59Z", "eventTimeZoneOffset": "+14:00"}, "epcis.time", "$.eventTime"),
        ({"action": "MOVE"}, "epcis.field", "$.action"),
    ],
)
def test_what_makes_no_sense_is_a_fault_with_its_path(changed: dict[str, Any], code: str, path: str) -> None:
    found = read_one(**changed).fault
    assert found is not None
    assert (found.code, found.path) == (code, path)


def test_an_event_that_would_make_too_many_statements_is_a_fault() -> None:
    papers = [{"type": "po", "bizTransaction": f"urn:x:{number}"} for number in range(300)]
    things = [f"urn:epc:id:giai:0614141.{number}" for number in range(300)]
    found = read_one(epcList=things, bizTransactionList=papers).fault
    assert found is not None
    assert found.code == "epcis.size"
