"""IFTSTA going out: sound EDIFACT that reads back as the same statements."""

import warnings
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydifact.segmentcollection import Interchange

from api.formats import iftsta, iftsta_writer
from api.formats.iftsta_writer import _CODES, sayable
from domain import places
from domain.milestones import MILESTONES
from domain.report import Movement
from tests.fixtures_node import Node
from tests.test_track_api import BOX, STORY, event

AT = datetime(2026, 5, 1, 13, 31, tzinfo=UTC)


def written(*movements: Movement) -> bytes:
    return iftsta_writer.write(
        movements, number="CSQU3054383", sender="KOUAN", recipient="trader", reference="260501133100", at=AT
    )


def moved(code: str, **more: Any) -> Movement:
    mode = _CODES[code][1] if code in _CODES else ""
    place = more.pop("place", "CNSHG")
    when = places.moment(more.pop("at", "2026-03-01T10:05:00"), place)
    common = {"subject": BOX, "raw_code": "X", "mode": mode, "place": places.canonical(place, mode), **more}
    return Movement(code=code, when=when, **common)


def back(body: bytes) -> list[Movement]:
    [reading] = iftsta.read(body)
    assert reading.fault is None, reading.fault
    return [report for report in reading.reports if isinstance(report, Movement)]


def meaning(one: Movement) -> tuple[Any, ...]:
    return (one.subject, one.code, one.when.at, one.classifier, one.place, one.facility, one.mode, one.transport,
            one.laden, one.seal, one.refs)  # fmt: skip


@pytest.mark.parametrize("code", _CODES)
def test_what_is_written_reads_back_as_the_same_statement(code: str) -> None:
    said = moved(
        code, refs=("bl:KOUA0000001", "booking:B7"), facility="T1", transport="COSCO AFRICA 031W", seal="S1 S2"
    )
    [read] = back(written(said))
    assert meaning(read) == meaning(said)


@pytest.mark.parametrize("laden", [True, False, None])
@pytest.mark.parametrize("subject", ["bl:KOUA0000001", "booking:B7", "awb:11200000011"])
def test_the_subject_and_the_laden_state_stay_as_they_were(subject: str, laden: bool | None) -> None:
    [box] = back(written(moved("LOADED", laden=laden, mode="VESSEL")))
    [paper] = back(written(moved("VSL_ARR", subject=subject, refs=("bl:KOUA0000009", BOX))))
    assert (box.laden, paper.subject) == (laden, subject)


def test_a_time_that_its_place_does_not_explain_carries_its_zone() -> None:
    body = written(
        moved("VSL_DEP", at="2026-03-01T10:05:00+02:00"),
        moved("VSL_DEP", place="Berth 7", at="2026-03-01T10:05:00+08:00"),
    )
    assert [move.when.at.hour for move in back(body)] == [8, 2]


def test_estimates_are_told_of_arrivals_and_departures_and_plans_never() -> None:
    said = [
        moved(code, classifier=classifier)
        for code in ("VSL_ARR", "TRAIN_DEP", "GATE_IN", "TRAIN_PASS")
        for classifier in ("EST", "PLN")
    ]
    assert [(move.code, move.classifier) for move in back(written(*said))] == [("VSL_ARR", "EST"), ("TRAIN_DEP", "EST")]


def test_no_number_is_sent_that_the_reader_takes_for_another_milestone() -> None:
    for code in MILESTONES:
        if said := sayable([moved(code)]):
            [read] = back(written(*said))
            assert read.code in {code, ""}, code


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20).map(str.strip)


@given(transport=words, facility=words, seal=words, number=words)
@settings(max_examples=150, deadline=None)
def test_no_text_breaks_the_segments(transport: str, facility: str, seal: str, number: str) -> None:
    said = moved("LOADED", transport=transport, facility=facility, seal=seal, refs=(f"bl:{number}",) if number else ())
    [read] = back(written(said, moved("VSL_DEP")))[:1]
    assert (read.subject, read.code, read.when.at) == (BOX, "LOADED", said.when.at)


# --- over HTTP ---


def parsed(body: bytes) -> Interchange:
    """As an independent parser reads it; it warns of what it does not check."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Interchange.from_str(body.decode("latin-1"))


def test_the_message_of_a_number_is_edifact_for_anybody(node: Node) -> None:
    node.tell(*STORY)
    answer = node.get("/v1/iftsta/csqu 305438-3")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/edifact")
    interchange = parsed(answer.content)
    assert (interchange.sender, interchange.recipient) == ("KOUAN", "trader")
    [message] = interchange.get_messages()
    assert [segment.tag for segment in message.segments].count("STS") == 3
    told = [(move.code, move.classifier) for move in back(answer.content)]
    assert told == [("GATE_IN", "ACT"), ("GATE_OUT", "ACT"), ("VSL_ARR", "EST")]


def test_what_was_retracted_is_not_in_the_message(node: Node) -> None:
    node.tell(event("d", "GATE_IN", "2026-03-01T10:00:00+08:00", document="D1"), STORY[0])
    node.tell({"id": "3", "document": "D1", "function": "cancel"})
    assert [move.code for move in back(node.get("/v1/iftsta/CSQU3054383").content)] == ["GATE_OUT"]


def test_the_sample_day_goes_out_and_comes_back(day: Node) -> None:
    for number in ("KOUU3261045", "COSU6321045870", "6321045870"):
        answer = day.get(f"/v1/iftsta/{number}")
        assert answer.status_code == 200, number
        assert back(answer.content)


def test_an_unknown_number_is_told_and_every_answer_is_a_delivery(node: Node) -> None:
    node.tell(*STORY)
    node.get("/v1/iftsta/CSQU3054383")
    answer = node.get("/v1/iftsta/TOLU4734787")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown")
    assert node.get("/v1/iftsta/%00").status_code == 422
    rows = node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made' ORDER BY notification_id")
    told = [msgspec.json.decode(state) for (state,) in rows]
    assert [(one["item"], one.get("count", 0), one.get("result", "ok")) for one in told[:2]] == [
        ("iftsta.query", 3, "ok"),
        ("iftsta.query", 0, "empty"),
    ]
