"""ONE Record going out: a collection of logistics events in JSON-LD that reads back as the same statements."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from api.facades.one_record import status, tellable
from api.formats import one_record
from domain.milestones import MILESTONES, from_fsu
from domain.report import Movement
from tests.fixtures_node import Node
from tests.test_track_api import event

AWB = "awb:11200000011"
OBJECT = "https://1r.example.com/logistics-objects/ab"


def path(identifier: str) -> str:
    return f"/onerecord/v1/logistics-objects/{identifier}/logistics-events"


def flight(number: str, code: str, at: str, **more: Any) -> dict[str, Any]:
    common = {"subject": AWB, "mode": "AIR", "place": "CNSIA", "transport": "CK0206"}
    return event(number, code, at, **{**common, **more})


STORY = [
    flight("1", "AIR_RCS", "2026-03-01T08:00:00+08:00", pieces=12, pieces_total=12, weight_kg=340.5),
    flight("2", "AIR_DEP", "2026-03-01T14:00:00+08:00", pieces=5, pieces_total=12, partial=True),
    flight("3", "AIR_ARR", "2026-03-02T03:00:00+01:00", place="FRA", classifier="EST"),
    flight("4", "AIR_OFLD", "2026-03-01T15:00:00+08:00", pieces=7, pieces_total=12, partial=True),
]


def items(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/ld+json")
    body = answer.json()
    assert (body["@type"], body["api:hasTotalItems"]) == ("api:Collection", len(body["api:hasItem"]))
    found: list[dict[str, Any]] = body["api:hasItem"]
    return found


def back(found: list[dict[str, Any]]) -> list[Movement]:
    readings = one_record.read(json.dumps(found).encode())
    assert [reading.fault for reading in readings if reading.fault] == []
    return [report for reading in readings for report in reading.reports if isinstance(report, Movement)]


def test_what_is_told_of_a_waybill_reads_back_as_the_same_statements(node: Node) -> None:
    node.tell(*STORY)
    found = items(node.get(path("112-00000011")))
    told = sorted(STORY, key=lambda one: datetime.fromisoformat(one["happened_at"]))
    read = back(found)
    assert [
        (move.subject, move.code, move.when.at, move.classifier, move.pieces, move.partial, move.weight_kg)
        for move in read
    ] == [
        (AWB, one["code"], datetime.fromisoformat(one["happened_at"]).astimezone(UTC), one.get("classifier", "ACT"),
         one.get("pieces"), one.get("partial", False), one.get("weight_kg"))
        for one in told
    ]  # fmt: skip
    assert {(move.place, move.transport) for move in read} == {("CNSIA", "CK0206"), ("DEFRA", "CK0206")}
    assert all(one["@id"].startswith("http") and "/logistics-events/" in one["@id"] for one in found)


def test_every_air_milestone_goes_by_the_code_that_it_came_by() -> None:
    for row in MILESTONES.values():
        if row.mode == "AIR" and row.fsu:
            assert from_fsu(row.fsu.replace(" ", "_")) == row.code


def test_an_object_is_found_by_its_own_uri(node: Node) -> None:
    said = {
        "@type": "LogisticsEvent", "@id": f"{OBJECT}/logistics-events/x", "eventTimeType": "ACTUAL", "eventCode": "DEP",
        "eventDate": "2023-04-01T10:38:01Z",
        "recordedAtLocation": {"@id": "https://1r.example.com/logistics-objects/FRA"},
    }  # fmt: skip
    assert node.post("one-record", json.dumps(said).encode()).status_code == 202
    node.catch_up()
    for identifier in (OBJECT, quote(OBJECT, safe="")):
        [one] = items(node.get(path(identifier)))
        assert one["@id"].startswith(f"{OBJECT}/logistics-events/")
        [move] = back([one])
        assert (move.subject, move.code) == (f"object:{OBJECT}", "AIR_DEP")


def test_the_published_parameters_narrow_the_list(node: Node) -> None:
    node.tell(*STORY)
    for query, wanted in (
        ({"eventType": "DEP,RCS"}, ["RCS", "DEP"]),
        ({"eventType": "DIS"}, ["DIS_OFLD"]),
        ({"occurred_after": "2026-03-01T06:00:00Z"}, ["DIS_OFLD", "ARR"]),
        ({"occurred_before": "20260301T060000Z"}, ["RCS"]),
        ({"created_after": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, []),
        ({"created_before": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, ["RCS", "DEP", "DIS_OFLD", "ARR"]),
    ):
        found = items(node.get(path("11200000011"), **query))
        assert [one["cargo:eventCode"]["@id"].partition("StatusCode_")[2] for one in found] == wanted, query


def test_what_was_retracted_is_left_out_and_what_is_no_air_cargo_too(node: Node) -> None:
    node.tell(STORY[0], flight("9", "AIR_DEP", "2026-03-01T14:00:00+08:00", document="D"))
    node.tell(event("8", "TRUCK_DEP", "2026-03-01T03:00:00+08:00", subject="truck:陕AD12345", refs=[AWB]))
    assert len(items(node.get(path("11200000011")))) == 2
    node.tell({"id": "7", "document": "D", "function": "cancel"})
    assert [status_of(one) for one in items(node.get(path("11200000011")))] == ["RCS"]


def status_of(one: dict[str, Any]) -> str:
    return str(one["cargo:eventCode"]["@id"]).partition("StatusCode_")[2]


@pytest.mark.parametrize(
    ("identifier", "query", "who", "status_code"),
    [
        ("99900000001", "", "enterprise", 404),
        ("nothing-at-all", "", "enterprise", 404),
        ("11200000011", "?eventKind=DEP", "enterprise", 400),
        ("11200000011", "?occurred_after=soon", "enterprise", 400),
        ("11200000011", "?eventType=%00", "enterprise", 400),
        ("%00", "", "enterprise", 400),
        ("11200000011", "", "", 401),
    ],
)
def test_every_no_has_the_standards_shape(node: Node, identifier: str, query: str, who: str, status_code: int) -> None:
    answer = node.client.get(path(identifier) + query, headers=node.bearer(who))
    assert answer.status_code == status_code, answer.text
    body = answer.json()
    assert (body["@type"], body["api:hasErrorDetail"][0]["api:hasCode"]) == ("api:Error", str(status_code))


def test_the_sample_day_reads_back_without_a_fault(day: Node) -> None:
    [(subject,)] = day.rows(
        "SELECT subject FROM timeline WHERE subject LIKE 'awb:%%' "
        "GROUP BY subject ORDER BY count(*) DESC, subject LIMIT 1"
    )
    found = items(day.get(path(subject.removeprefix("awb:"))))
    assert len(back(found)) == len(found) > 3


def test_every_answer_is_a_delivery(node: Node) -> None:
    node.tell(*STORY)
    node.get(path("11200000011"))
    node.get(path("99900000001"))
    rows = node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made' ORDER BY notification_id")
    told = [msgspec.json.decode(state) for (state,) in rows]
    assert [(one["item"], one.get("count", 0), one.get("datasets", [])) for one in told] == [
        ("one_record.query", 4, ["air.movements"]),
        ("one_record.query", 0, []),
    ]


def test_the_statuses_of_what_is_told_are_never_empty(day: Node) -> None:
    from projections import timeline

    rows = day.rows("SELECT content FROM timeline WHERE sort IS NOT NULL")
    lines = [msgspec.json.decode(content, type=timeline.Line) for (content,) in rows]
    assert all(status(line) for line in lines if tellable(line))
