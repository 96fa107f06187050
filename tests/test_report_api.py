"""Telling what happened, over HTTP: every message is answered truthfully and nothing sent is dropped."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from api.limits import BODY_BYTES_MAX
from tests.fixtures_node import Node

SHARED = Path(__file__).parents[1] / "../shared/data"
PUBLIC = [
    ("coarri", "edifact/D95BCOARRI.edi", 2),
    ("codeco", "edifact/codeco_d95b_smdg16.edi", 1),
    ("iftsta", "edifact/d00b_iftsta.edi", 1),
    ("dcsa", "dcsa/tnt-220-response.json", 7),
    ("one-record", "air/logistics-event-DEP.json", 1),
    ("one-record", "air/logistics-event-DEP-partial.json", 1),
    ("one-record", "air/logistics-event-ARR.json", 1),
]
FRAME = b"[, \r\n"  # what only holds messages together belongs to none of them
needs_public_samples = pytest.mark.skipif(not SHARED.exists(), reason="the public samples are not beside this checkout")
GATE_IN = {
    "id": "1",
    "subject": "container:CSQU3054383",
    "code": "GATE_IN",
    "happened_at": "2026-03-01T12:00:00+08:00",
    "place": "CNNKG",
    "mode": "TRUCK",
}


def statuses(answer: Any) -> list[str]:
    return [receipt["status"] for receipt in answer.json()["receipts"]]


@needs_public_samples
def test_the_public_samples_are_recorded_once_and_then_only_duplicates(node: Node) -> None:
    for message_format, name, messages in PUBLIC:
        answer = node.post(message_format, (SHARED / name).read_bytes())
        assert answer.status_code == 202
        assert len(statuses(answer)) == messages
        assert set(statuses(answer)) <= {"recorded", "duplicate"}
        assert statuses(answer)[0] == "recorded", name
    for message_format, name, _ in PUBLIC:
        answer = node.post(message_format, (SHARED / name).read_bytes())
        assert set(statuses(answer)) == {"duplicate"}


@needs_public_samples
def test_the_public_edifact_samples_give_exactly_the_expected_movements(node: Node) -> None:
    expected = json.loads((SHARED / "edifact/expected.json").read_text())["files"]
    codes = {"DISC": "DISCHARGED", "LOAD": "LOADED", "GTIN": "GATE_IN", None: "TRAIN_DEP"}
    wanted = set()
    for name, file in expected.items():
        node.post(name, (SHARED / "edifact" / file["file"]).read_bytes())
        for message in file["content"]:
            code = codes[message["expected_dcsa_equipmentEventTypeCode"]]
            for box in message["equipment"]:
                wall = box["dtm"][0][1] if box["dtm"] else "202211190710"
                wanted.add((f"container:{box['equipmentReference']}", code, wall))
    told = [json.loads(bytes(row[0])) for row in node.rows("SELECT state FROM cargo_events")]
    streams = [row[0] for row in node.rows("SELECT originator_id FROM cargo_events")]
    wall = [fact["wall"].translate(str.maketrans("", "", "-T:"))[:12] for fact in told]
    assert sorted(zip(streams, (fact.get("code", "") for fact in told), wall, strict=True)) == sorted(wanted)


@needs_public_samples
def test_a_bad_check_digit_is_recorded_with_a_warning(node: Node) -> None:
    [receipt] = node.post("codeco", (SHARED / "edifact/codeco_d95b_smdg16.edi").read_bytes()).json()["receipts"]
    assert receipt["status"] == "recorded"
    assert any("TESI1120274" in warning for warning in receipt["warnings"])


def test_the_answer_names_position_facts_and_warnings(node: Node) -> None:
    answer = node.post("native", json.dumps([GATE_IN]).encode()).json()
    [receipt] = answer["receipts"]
    assert answer["position"] == 1
    assert (receipt["index"], receipt["status"], receipt["problem"]) == (0, "recorded", None)
    [fact] = receipt["facts"]
    assert (fact["subject"], fact["status"]) == ("container:CSQU3054383", "recorded")


def test_two_sources_that_agree_are_one_fact_with_a_confirmation(node: Node) -> None:
    node.tell(GATE_IN)
    again = node.tell({**GATE_IN, "id": "77"}, who="line")
    assert again["receipts"][0]["status"] == "confirmed"
    [line] = node.get("/v1/track/CSQU3054383").json()["lines"]
    assert (line["source"], [remark["source"] for remark in line["confirmed_by"]]) == ("terminal", ["line"])


def test_a_bad_item_does_not_harm_its_neighbours(node: Node) -> None:
    body = json.dumps([GATE_IN, {"subject": "container:X"}, {**GATE_IN, "id": "2", "code": "GATE_OUT"}]).encode()
    answer = node.post("native", body)
    assert statuses(answer) == ["recorded", "quarantined", "recorded"]
    problem = answer.json()["receipts"][1]["problem"]
    assert problem["offset"] == body.index(b'{"subject": "container:X"}')
    assert node.rows("SELECT count(*) FROM cargo_quarantine") == [(1,)]


@pytest.mark.parametrize(
    "message_format", ["dcsa", "codeco", "iftsta", "fsu", "one-record", "customs-receipt", "rail", "native"]
)
@pytest.mark.parametrize(
    "body", [b"", b" \r\n", b"\xff\xfe\x00", b"UNB+UNOA:1", b"[", b"{}", b"[[[[[[[[", b"FSU/14", b"<a>"]
)
def test_what_cannot_be_understood_is_quarantined_with_its_bytes(node: Node, message_format: str, body: bytes) -> None:
    answer = node.post(message_format, body)
    assert answer.status_code == 202
    assert set(statuses(answer)) <= {"quarantined"}
    assert statuses(answer), "a body that gives no receipt at all was dropped silently"
    assert [bytes(row[0]) for row in node.rows("SELECT body FROM cargo_transmissions")] == [body]
    slices = node.rows(
        "SELECT substring(body FROM byte_from + 1 FOR byte_to - byte_from)"
        " FROM cargo_quarantine JOIN cargo_messages USING (message_id) JOIN cargo_transmissions USING (transmission_id)"
        " ORDER BY byte_from"
    )
    assert b"".join(bytes(row[0]) for row in slices).strip(FRAME) == body.strip(FRAME)


def test_a_wrongly_labelled_body_is_quarantined(node: Node) -> None:
    assert statuses(node.post("coarri", json.dumps([GATE_IN]).encode())) == ["quarantined"]


def test_a_huge_body_is_refused_and_says_how_much_is_taken(node: Node) -> None:
    answer = node.post("native", b" " * (BODY_BYTES_MAX + 1))
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_unknown_format_lists_those_that_are_known(node: Node) -> None:
    answer = node.post("morse", b"...")
    assert answer.status_code == 415
    assert "coarri" in answer.json()["facts"]["formats"]


def test_the_content_type_names_the_format(node: Node) -> None:
    headers = {**node.bearer("source"), "Content-Type": "application/json; charset=utf-8"}
    answer = node.client.post("/v1/reports", content=json.dumps(GATE_IN), headers=headers)
    assert statuses(answer) == ["recorded"]


def test_only_sources_may_report(node: Node) -> None:
    assert node.post("native", b"[]", who="").status_code == 401
    assert node.post("native", b"[]", who="enterprise").status_code == 403


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    some.binary(max_size=300),
    some.sampled_from(["dcsa", "coarri", "fsu", "customs-receipt", "manifest", "rail", "native"]),
)
def test_no_body_makes_the_server_fail(node: Node, body: bytes, message_format: str) -> None:
    assert node.post(message_format, body).status_code == 202


def test_compressed_bodies_are_not_taken_for_text(node: Node) -> None:
    assert statuses(node.post("native", gzip.compress(json.dumps([GATE_IN]).encode()))) == ["quarantined"]
