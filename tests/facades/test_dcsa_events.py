"""What is told by DCSA's words: valid by the published schema, and read back as the same statements."""

import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from api.facades.dcsa_events import PAIRS
from api.facades.dcsa_filters import CODES
from api.formats import dcsa
from domain import places
from domain.milestones import MILESTONES
from domain.report import Movement
from tests.facades.published import EVENTS, check_event, flat, pages
from tests.fixtures_node import Node
from tests.test_track_api import BOX, event

BOOKED = ["booking:6321045870", "bl:KOUA0000001", "declaration:230120261000000015"]
EMPTY = {"EMPTY_OUT", "EMPTY_IN", "STRIPPED"}


def told(node: Node, **params: Any) -> list[dict[str, Any]]:
    return flat(pages(node, **params))


def statement(code: str, number: int) -> dict[str, Any]:
    """One statement for each milestone, on its own day of a long journey."""
    pair, day = PAIRS[code], f"2026-03-{number % 28 + 1:02d}T{number % 24:02d}:00:00+08:00"
    mode = "TRUCK" if code.startswith("YARD") else pair.mode or MILESTONES[code].mode
    told: dict[str, Any] = {"mode": mode} if mode else {}
    if pair.kind == "EQUIPMENT":
        told["laden"] = code not in EMPTY
    if mode in {"VESSEL", "BARGE"}:
        told["transport"] = "IMO9321483 2103S"
    return event(f"m{number}", code, day, refs=BOOKED, **{"mode": "", "place": "CNSHG", **told})


def back(found: list[dict[str, Any]]) -> list[Movement]:
    readings = dcsa.read(json.dumps(found).encode())
    assert [reading.fault for reading in readings if reading.fault] == []
    return [report for reading in readings for report in reading.reports if isinstance(report, Movement)]


def test_every_milestone_that_is_told_is_read_back_as_the_same_statement(node: Node) -> None:
    said = [statement(code, number) for number, code in enumerate(PAIRS)]
    node.tell(*said)
    read = {(move.code, move.subject): move for move in back(told(node))}
    for one in said:
        pair = PAIRS[one["code"]]
        numbered = {"declaration": "bl"}.get(pair.numbered, pair.numbered)  # customs speaks of the whole bill
        subject = next((ref for ref in BOOKED if ref.partition(":")[0] == numbered), BOX)
        move = read[one["code"], subject]
        assert move.when.at == datetime.fromisoformat(one["happened_at"])
        assert (move.classifier, move.raw_code.split("/")[0]) == ("ACT", pair.code)
        if pair.kind != "SHIPMENT":
            assert move.place == places.canonical("CNSHG", move.mode)
            assert {"booking:6321045870", "bl:KOUA0000001"} <= set(move.refs)
        if pair.kind == "EQUIPMENT":
            assert (move.laden, move.mode) == (one["code"] not in EMPTY, one["mode"])


def test_only_codes_of_version_2_2_are_used() -> None:
    for pair in PAIRS.values():
        member = {"TRANSPORT": "transport", "EQUIPMENT": "equipment", "SHIPMENT": "shipment"}[pair.kind]
        assert pair.code in CODES[f"{member}EventTypeCode"]
        assert not pair.document or pair.document in CODES["documentTypeCode"]


def test_the_sample_day_is_valid_by_the_published_schema(day: Node) -> None:
    found = told(day, limit=200)
    for each in found:
        check_event(each)
    kinds = Counter(each["eventType"] for each in found)
    assert min(kinds[kind] for kind in ("TRANSPORT", "EQUIPMENT", "SHIPMENT")) > 5


def test_the_sample_day_is_read_back_with_its_own_meaning(day: Node) -> None:
    """Subject, milestone, instant and classifier of every event are those of a line of the timeline."""
    read = back(told(day, limit=1000))
    lines = day.rows(
        "SELECT convert_from(content, 'UTF8')::json->>'code', convert_from(content, 'UTF8')::json->>'happened_at' "
        "FROM timeline WHERE sort IS NOT NULL"
    )
    known = {(code, datetime.fromisoformat(at)) for code, at in lines}
    assert len(read) > 100
    assert {(move.code, move.when.at) for move in read} <= known


def test_nothing_by_air_is_told(day: Node) -> None:
    assert not any("AIR" in json.dumps(each.get("transportCall", {})) for each in told(day, limit=1000))


def test_a_retracted_fact_vanishes_and_a_corrected_one_is_replaced(node: Node) -> None:
    node.tell(
        event("1", "GATE_IN", "2026-03-01T10:00:00+08:00", document="D1"),
        event("2", "GATE_OUT", "2026-03-03T10:00:00+08:00", document="D2"),
    )
    node.tell({"id": "3", "document": "D1", "function": "cancel"})
    node.tell(event("4", "GATE_OUT", "2026-03-03T11:30:00+08:00", document="D2", function="replace"))
    [left] = told(node)
    assert (left["equipmentEventTypeCode"], left["eventDateTime"]) == ("GTOT", "2026-03-03T11:30:00+08:00")


def test_one_event_is_found_by_its_id_until_it_is_retracted(node: Node) -> None:
    node.tell(event("1", "GATE_IN", "2026-03-01T10:00:00+08:00", document="D1"))
    [one] = told(node)
    answer = node.get(f"{EVENTS}/{one['eventID']}")
    assert (answer.status_code, answer.json()) == (200, one)
    node.tell({"id": "3", "document": "D1", "function": "cancel"})
    assert node.get(f"{EVENTS}/{one['eventID']}").status_code == 404


@pytest.mark.parametrize("classifier", ["PLN", "EST", "ACT"])
def test_plan_estimate_and_actual_are_told_apart(node: Node, classifier: str) -> None:
    node.tell(event("1", "VSL_ARR", "2026-03-01T10:00:00+08:00", classifier=classifier, mode="VESSEL"))
    [one] = told(node)
    assert (one["eventClassifierCode"], one["references"]) == (
        classifier,
        [{"referenceType": "EQ", "referenceValue": "CSQU3054383"}],
    )


def test_a_documents_event_is_created_when_it_happened_and_never_planned(node: Node) -> None:
    told_at = "2026-03-01T10:00:00+08:00"
    node.tell(
        event("1", "BL_ISSUED", told_at, subject="bl:KOUA0000001"),
        event("2", "ARN_SENT", "2026-03-05T10:00:00+08:00", subject="bl:KOUA0000001", classifier="PLN"),
    )
    [one] = told(node)
    assert (one["eventDateTime"], one["eventCreatedDateTime"], one["documentID"]) == (told_at, told_at, "KOUA0000001")


def test_what_a_load_is_about_is_known_from_its_journey_or_not_told(node: Node) -> None:
    """A loading that does not say whether the box is laden: the gate-in before it does, or the paper that it names."""
    node.tell(
        event("1", "GATE_IN", "2026-03-01T10:00:00+08:00"),
        event("2", "LOADED", "2026-03-02T10:00:00+08:00", mode="VESSEL"),
        event("3", "LOADED", "2026-03-02T10:00:00+08:00", mode="VESSEL", subject="container:TOLU4734787"),
        event(
            "4", "LOADED", "2026-03-02T10:00:00+08:00", mode="VESSEL", subject="container:TCNU7200794", refs=BOOKED[1:2]
        ),
    )
    loads = {one["equipmentReference"]: one["emptyIndicatorCode"] for one in told(node, equipmentEventTypeCode="LOAD")}
    assert loads == {"CSQU3054383": "LADEN", "TCNU7200794": "LADEN"}


def test_the_papers_of_an_earlier_cargo_never_stand_on_a_later_one(node: Node) -> None:
    first, second = ["bl:KOUA0000001"], ["bl:KOUA0000002"]
    node.tell(
        event("1", "GATE_IN", "2026-01-01T10:00:00+08:00", refs=first),
        event("2", "EMPTY_IN", "2026-01-20T10:00:00+08:00", refs=first),
        event("3", "EMPTY_OUT", "2026-03-01T10:00:00+08:00", refs=second),
        event("4", "GATE_IN", "2026-03-02T10:00:00+08:00", refs=second),
    )
    numbers = [
        [ref["documentReferenceValue"] for ref in one["documentReferences"]]
        for one in told(node, equipmentReference="CSQU3054383", sort="eventDateTime")
    ]
    assert numbers == [["KOUA0000001"], ["KOUA0000001"], ["KOUA0000002"], ["KOUA0000002"]]


def test_a_booking_finds_the_box_by_way_of_the_bill(node: Node) -> None:
    node.tell(
        event("1", "BL_ISSUED", "2026-03-01T10:00:00+08:00", subject="bl:KOUA0000001", refs=["booking:B77", BOX]),
        event("2", "GATE_IN", "2026-03-01T12:00:00+08:00"),
    )
    found = told(node, carrierBookingReference="b77")
    assert [one["eventType"] for one in found] == ["SHIPMENT", "EQUIPMENT"]
    assert told(node, equipmentReference="csqu 305438-3") == found
