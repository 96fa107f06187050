"""An EDIFACT body answered in EDIFACT: as true as the answer in JSON, and only where it can be given."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.formats import edifact
from tests.fixtures_node import Node

SAMPLES = Path(__file__).parent / "formats" / "samples"
NEW = ("coprar-load", "coprar-discharge", "baplie-smdg22", "baplie-smdg31", "cuscar-manifest", "cuscar-house")
HEAD = b"UNB+UNOA:2+YS1+KOUAN+240501:2130+78'"
GOOD = b"UNH+1+COARRI:D:95B:UN'BGM+46+B1+9'LOC+9+CNSHG'EQD+CN+CSQU3054383'DTM+203:202405012112:203'UNT+6+1'"
MISCOUNTED = GOOD.replace(b"UNH+1", b"UNH+2").replace(b"UNT+6+1", b"UNT+9+2")
BODY = HEAD + GOOD + MISCOUNTED + b"UNZ+2+78'"


def post(node: Node, body: bytes, **params: str) -> Any:
    return node.client.post("/v1/reports", params=params, content=body, headers=node.bearer("source"))


def told(answer: Any, *tags: str) -> list[str]:
    assert answer.status_code == 202
    assert answer.headers["content-type"].startswith("application/edifact")
    rows = ["+".join(":".join(part) for part in row) for row in edifact.segments(answer.content)]
    return [row for row in rows if row[:3] in tags]


def test_each_message_is_answered_as_it_was_taken(node: Node) -> None:
    answer = post(node, BODY, format="coarri", answer="contrl")
    assert told(answer, "UCI", "UCM") == [
        "UCI+78+YS1+KOUAN+7",
        "UCM+1+COARRI:D:95B:UN+7",
        "UCM+2+COARRI:D:95B:UN+4+29+UNT",
    ]
    assert int(answer.headers["kouan-position"]) > 0
    again = post(node, BODY, format="edifact", answer="aperak")
    assert [row.split("+")[1] for row in told(again, "BGM")] == ["312", "313"]
    assert "ERC+102:KOUAN:ZZZ" in told(again, "ERC")


def test_json_stays_what_is_answered_without_asking(node: Node) -> None:
    answer = post(node, BODY, format="coarri")
    assert [receipt["status"] for receipt in answer.json()["receipts"]] == ["recorded", "quarantined"]


@pytest.mark.parametrize("params", [{"format": "native", "answer": "contrl"}, {"format": "coarri", "answer": "ordrsp"}])
def test_an_answer_that_cannot_be_given_is_refused_before_anything_is_recorded(
    node: Node, params: dict[str, str]
) -> None:
    answer = post(node, BODY, **params)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/no-such-answer")
    assert " / " in answer.json()["detail"]
    assert node.rows("SELECT count(*) FROM cargo_messages") == [(0,)]


def test_an_empty_body_has_an_answer_too(node: Node) -> None:
    assert told(post(node, b"", format="coarri", answer="contrl"), "UCI") == ["UCI+0+UNKNOWN+UNKNOWN+7+33"]
    assert told(post(node, b"", format="coarri", answer="aperak"), "BGM", "ERC")[1:] == ["ERC+100:KOUAN:ZZZ"]


def test_the_new_formats_are_recorded_once_and_then_only_duplicates(node: Node) -> None:
    for name in (*NEW, "cusres-manifest", "cusres-declaration"):
        body = (SAMPLES / f"{name}.edi").read_bytes()
        for wanted in ({"recorded"}, {"duplicate"}):
            answer = post(node, body, format="edifact")
            statuses = {receipt["status"] for receipt in answer.json()["receipts"]}
            assert statuses <= {*wanted, "duplicate", "confirmed"}, (name, answer.text)
            assert not statuses.isdisjoint(wanted), (name, answer.text)


def test_a_release_by_customs_is_on_the_timeline_and_a_national_code_is_not_one(node: Node) -> None:
    post(node, (SAMPLES / "cusres-manifest.edi").read_bytes(), format="cusres")
    post(node, (SAMPLES / "cusres-declaration.edi").read_bytes(), format="cusres")
    facts = [json.loads(bytes(row[0])) for row in node.rows("SELECT state FROM cargo_events")]
    assert sum(fact["fact"] == "declaration.released" for fact in facts) == 1
    odd = [fact for fact in facts if fact.get("raw_code") in {"7365/4:120:ZZZ", "7365/6:120:ZZZ", "7365/4+ERC/487"}]
    assert {fact["fact"] for fact in odd} == {"shipment.reported", "declaration.receipt_recorded"}
    released = {fact["fact"] for fact in facts if fact.get("code") in {"IMP_RELEASED", "AIR_CCD"}}
    assert released == {"container.released", "shipment.released"}
