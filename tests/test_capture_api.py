"""Capturing EPCIS events: all or nothing unless told otherwise, a job that tells the truth, and no byte lost."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.capture import EVENTS_MAX
from tests.fixtures_node import Node

SHARED = Path(__file__).parents[1] / "../shared/data/epcis"
LOADING = {
    "type": "ObjectEvent",
    "eventID": "urn:uuid:1",
    "eventTime": "2026-03-01T12:00:00+08:00",
    "eventTimeZoneOffset": "+08:00",
    "action": "OBSERVE",
    "bizStep": "loading",
    "epcList": ["urn:epc:id:bic:CSQU3054383", "urn:epc:id:imovn:9074729"],
}
LEAVING = {**LOADING, "eventID": "urn:uuid:2", "bizStep": "departing", "eventTime": "2026-03-01T18:00:00+08:00"}
TIMELESS = {**LOADING, "eventID": "urn:uuid:3", "eventTime": "noon"}
UNFOUNDED = {**LOADING, "eventID": "urn:uuid:4", "errorDeclaration": {"declarationTime": "2026-03-02T00:00:00Z"}}


def document(*events: dict[str, Any]) -> bytes:
    body = {"type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": "2026-03-01T20:00:00+08:00"}
    return json.dumps({**body, "epcisBody": {"eventList": list(events)}}).encode()


def capture(node: Node, body: bytes, who: str = "source", **headers: str) -> Any:
    headers = {"Content-Type": "application/ld+json"} | headers
    return node.client.post("/epcis/v2/capture", content=body, headers={**node.bearer(who), **headers})


def job_of(node: Node, answer: Any, who: str = "source") -> Any:
    assert answer.status_code in {201, 202}, answer.text
    return node.get(answer.headers["location"], who).json()


def recorded(node: Node) -> int:
    return int(node.rows("SELECT count(*) FROM cargo_events")[0][0])


def quarantined(node: Node) -> list[str]:
    return [row[0] for row in node.rows("SELECT code FROM cargo_quarantine ORDER BY byte_offset")]


def test_a_sound_document_is_recorded_and_its_job_says_so(node: Node) -> None:
    answer = capture(node, document(LOADING, LEAVING))
    job = job_of(node, answer)
    assert (job["running"], job["success"], job["errors"]) == (False, True, [])
    assert job["captureErrorBehaviour"] == answer.headers["gs1-capture-error-behaviour"] == "rollback"
    assert job["createdAt"] <= job["finishedAt"]
    assert answer.headers["location"].endswith(job["captureID"])
    node.catch_up()
    lines = node.get("/v1/track/CSQU3054383").json()["lines"]
    assert [line["code"] for line in lines] == ["LOADED", "VSL_DEP"]


@pytest.mark.parametrize(("bad", "code"), [(TIMELESS, "epcis.time"), (UNFOUNDED, "document.unknown")])
def test_one_bad_event_rolls_the_whole_document_back_and_keeps_every_byte(
    node: Node, bad: dict[str, Any], code: str
) -> None:
    body = document(LOADING, bad, LEAVING)
    job = job_of(node, capture(node, body))
    assert (job["success"], recorded(node)) == (False, 0)
    [error] = job["errors"]
    assert (error["type"], error["status"], error["detail"]) == ("epcisException:ValidationException", 400, code)
    assert (error["event"], error["offset"]) == (1, body.index(json.dumps(bad).encode()))
    assert quarantined(node) == ["epcis.rolled_back", code, "epcis.rolled_back"]
    assert [bytes(row[0]) for row in node.rows("SELECT body FROM cargo_transmissions")] == [body]


def test_an_id_used_before_for_another_content_rolls_back_too(node: Node) -> None:
    job_of(node, capture(node, document(LOADING)))
    job = job_of(node, capture(node, document(LEAVING, {**LOADING, "bizStep": "unloading"})))
    assert [error["detail"] for error in job["errors"]] == ["message.conflict"]
    assert recorded(node) == 1


def test_the_same_document_mended_is_recorded_whole(node: Node) -> None:
    job_of(node, capture(node, document(LOADING, TIMELESS)))
    job = job_of(node, capture(node, document(LOADING, {**TIMELESS, "eventTime": LEAVING["eventTime"]})))
    assert (job["success"], recorded(node)) == (True, 2)


def test_proceed_records_the_good_ones(node: Node) -> None:
    behaviour = {"GS1-Capture-Error-Behaviour": "proceed"}
    job = job_of(node, capture(node, document(LOADING, TIMELESS, LEAVING), **behaviour))
    assert (job["captureErrorBehaviour"], job["success"], recorded(node)) == ("proceed", False, 2)
    assert (quarantined(node), [error["event"] for error in job["errors"]]) == (["epcis.time"], [1])


def test_a_document_sent_twice_adds_nothing(node: Node) -> None:
    for _ in range(2):
        assert job_of(node, capture(node, document(LOADING, LEAVING)))["success"]
    assert recorded(node) == 2


def test_an_error_declaration_takes_its_event_back(node: Node) -> None:
    taken_back = {**LOADING, "errorDeclaration": {"declarationTime": "2026-03-02T00:00:00Z"}}
    assert job_of(node, capture(node, document(LOADING, LEAVING)))["success"]
    assert job_of(node, capture(node, document(taken_back)))["success"]
    node.catch_up()
    shown = {
        line["code"]: line.get("retracted")
        for line in node.get("/v1/track/CSQU3054383?include=retracted").json()["lines"]
    }
    assert shown["LOADED"] is not None
    assert shown["VSL_DEP"] is None


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"type": "EPCISQueryDocument"}', b'{"type": "EPCISDocument"}'])
def test_what_has_no_event_is_a_job_that_failed(node: Node, body: bytes) -> None:
    job = job_of(node, capture(node, body))
    assert not job["success"]
    assert len(job["errors"]) == 1


def test_one_event_is_taken_by_itself(node: Node) -> None:
    headers = {**node.bearer("source"), "Content-Type": "application/json"}
    answer = node.client.post("/epcis/v2/events", content=json.dumps(LOADING), headers=headers)
    assert answer.status_code == 201
    assert job_of(node, answer)["success"]
    bad = node.client.post("/epcis/v2/events", content=json.dumps(TIMELESS), headers=headers)
    assert (bad.status_code, bad.json()["type"]) == (422, "/problems/not-an-event")
    assert quarantined(node) == ["epcis.time"]
    two = node.client.post("/epcis/v2/events", content=document(LOADING, LEAVING), headers=headers)
    assert (two.status_code, two.json()["facts"]["events"], recorded(node)) == (422, 2, 1)


def test_a_source_sees_its_own_jobs_only(node: Node) -> None:
    answer = capture(node, document(LOADING))
    address = answer.headers["location"]
    assert node.get(address, "source").status_code == 200
    assert node.get(address, "line").status_code == 404
    assert node.get("/epcis/v2/capture", "line").json() == []
    assert node.get(address, "enterprise").status_code == 403
    assert node.get("/epcis/v2/capture/00000000-0000-8000-8000-000000000000", "source").status_code == 404


def test_the_jobs_are_listed_newest_first_and_page_by_page(node: Node) -> None:
    made = []
    for number in range(5):
        event = {**LOADING, "eventID": f"urn:uuid:{number}", "eventTime": f"2026-03-0{number + 1}T12:00:00+08:00"}
        made.append(job_of(node, capture(node, document(event)))["captureID"])
    path, seen = "/epcis/v2/capture?perPage=2", []
    while path:
        answer = node.get(path, "source")
        seen += [job["captureID"] for job in answer.json()]
        path = answer.links.get("next", {}).get("url", "")
    assert sorted(seen) == sorted(made)
    assert seen == sorted(seen, reverse=True)
    assert node.get("/epcis/v2/capture?nextPageToken=x", "source").status_code == 422


def test_the_limits_and_versions_are_told(node: Node) -> None:
    answer = node.client.options("/epcis/v2/capture")
    assert answer.status_code == 204
    assert answer.headers["gs1-epcis-capture-limit"] == str(EVENTS_MAX)
    assert int(answer.headers["gs1-epcis-capture-file-size-limit"]) > 0
    for told in (answer, capture(node, document(LOADING)), node.get("/epcis/v2/capture", "source")):
        assert (told.headers["gs1-epcis-version"], told.headers["gs1-cbv-version"]) == ("2.0.0", "2.0.0")


def test_what_is_too_much_or_not_json_is_refused(node: Node) -> None:
    assert capture(node, b"[" + b"1," * EVENTS_MAX + b"1]").status_code == 413
    assert capture(node, b"<a/>", **{"Content-Type": "application/xml"}).status_code == 415
    assert capture(node, document(LOADING), **{"GS1-Capture-Error-Behaviour": "maybe"}).status_code == 422
    assert capture(node, document(LOADING), who="enterprise").status_code == 403
    assert capture(node, document(LOADING), who="").status_code == 401
    assert node.rows("SELECT count(*) FROM cargo_transmissions") == [(0,)]


@pytest.mark.skipif(not SHARED.exists(), reason="the public samples are not beside this checkout")
def test_the_public_samples_are_captured(node: Node) -> None:
    for path in sorted(SHARED.glob("*.json*")):
        job = job_of(node, capture(node, path.read_bytes()))
        unknown = ["document.unknown"] if "error_declaration" in path.name else []  # its original is in no sample
        assert [error["detail"] for error in job["errors"]] == unknown, path.name
