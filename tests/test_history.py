"""What several lines say together: disagreements and their rules, estimates over time, pieces in parts."""

from datetime import UTC, datetime
from itertools import permutations
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import pytest

from projections import history
from projections.timeline import Line
from tests.sample_answers import WAYBILL, line, remark

SENT = datetime(2026, 3, 1, 8, tzinfo=UTC)


def gate_in(position: int, wall: str, source: str, **told: Any) -> Line:
    return line(position, "GATE_IN", f"2026-03-01T{wall}", "CNNKG", source, mode="TRUCK", **told)


def expected(position: int, wall: str, source: str, sent_hour: int, **told: Any) -> Line:
    sent_at = SENT.replace(hour=sent_hour)
    return line(position, "VSL_ARR", wall, "CNYSH", source, classifier="EST", mode="VESSEL", sent_at=sent_at, **told)


def piece(position: int, code: str, wall: str, pieces: int, **told: Any) -> Line:
    more = {"pieces_total": 12, "mode": "AIR", "transport": "CK205"} | told
    return line(position, code, f"2026-03-{wall}", "PVG", "air-xiy", subject=WAYBILL, pieces=pieces, **more)


def verdicts(*lines: Line) -> list[tuple[int, bool, str]]:
    return [(one.position, one.conflict.won, one.conflict.rule) for one in history.marked(lines) if one.conflict]


# --- disagreement ---


def test_two_sources_of_one_milestone_at_two_times_contradict_each_other_and_the_owner_counts() -> None:
    assert verdicts(gate_in(1, "10:00", "road-njjk", sent_at=SENT), gate_in(2, "10:40", "terminal-cnnkg")) == [
        (1, False, "owner"),
        (2, True, "owner"),
    ]


def test_among_owners_the_one_that_more_confirm_counts() -> None:
    confirmed = gate_in(1, "10:00", "terminal-a", confirmed_by=(remark("confirmed", "line-x"),))
    assert verdicts(confirmed, gate_in(2, "10:40", "terminal-b", sent_at=SENT)) == [
        (1, True, "confirmed"),
        (2, False, "confirmed"),
    ]


def test_then_the_one_sent_later_counts_and_then_the_lower_id() -> None:
    early, late = (gate_in(n, f"10:{n}0", f"road-{n}", sent_at=SENT.replace(hour=n)) for n in (1, 2))
    assert verdicts(early, late) == [(1, False, "latest"), (2, True, "latest")]
    same = [msgspec.structs.replace(one, sent_at=SENT) for one in (early, late)]
    assert verdicts(*same) == [(1, True, "id"), (2, False, "id")]


def test_the_rule_is_told_in_both_languages_and_the_group_has_one_name() -> None:
    conflicts = [one.conflict for one in history.marked([gate_in(1, "10:00", "road-a"), gate_in(2, "10:40", "line-b")])]
    assert len({one.group for one in conflicts if one}) == 1
    assert all(one and one.rule_zh and one.rule_en for one in conflicts)


@pytest.mark.parametrize(
    "other",
    [
        gate_in(2, "10:00", "road-njjk"),
        gate_in(2, "10:40", "terminal-cnnkg"),
        gate_in(2, "10:40", "road-njjk", subject="container:TOLU4734787"),
        gate_in(2, "10:40", "road-njjk", retracted=remark("retracted", "road-njjk")),
        gate_in(2, "10:40", "road-njjk", classifier="PLN"),
        gate_in(2, "10:40", "road-njjk", transport="苏A00001"),
        line(2, "GATE_IN", "2026-03-09T10:40", "CNNKG", "road-njjk", mode="TRUCK"),
        line(2, "GATE_IN", "2026-03-01T10:40", "CNYSH", "road-njjk", mode="TRUCK"),
        line(2, "GATE_OUT", "2026-03-01T10:40", "CNNKG", "road-njjk", mode="TRUCK"),
    ],
    ids=["minute", "source", "subject", "withdrawn", "class", "plate", "long after", "elsewhere", "milestone"],
)
def test_what_is_no_contradiction(other: Line) -> None:
    assert verdicts(gate_in(1, "10:00", "terminal-cnnkg", transport="苏A12345"), other) == []


def test_a_box_is_discharged_from_a_voyage_at_one_place_only() -> None:
    here, there = (
        line(n, "DISCHARGED", "2026-03-01T10:00", place, source, mode="VESSEL", transport="PIONEER 006E")
        for n, place, source in ((1, "CNYSH", "terminal-cnyan"), (2, "CNNKG", "line-cosu"))
    )
    assert verdicts(here, there) == [(1, True, "owner"), (2, False, "owner")]


def test_a_box_that_came_twice_is_paired_with_the_nearest_word() -> None:
    twice = [gate_in(1, "08:00", "terminal-a"), gate_in(2, "18:00", "terminal-a")]
    assert verdicts(*twice, gate_in(3, "18:05", "road-b")) == [(2, True, "owner"), (3, False, "owner")]


def test_whatever_the_order_of_the_lines_the_same_one_counts() -> None:
    lines = [
        gate_in(n, f"10:{n}0", source) for n, source in enumerate(("road-a", "terminal-b", "line-c", "depot-d"), 1)
    ]
    assert {tuple(sorted(verdicts(*order))) for order in permutations(lines)} == {tuple(sorted(verdicts(*lines)))}


def test_ten_thousand_words_of_two_sources_are_told_apart_in_good_time() -> None:
    chance, told = Random(1), gate_in(1, "10:00", "road-a")
    lines = [
        msgspec.structs.replace(
            told,
            fact_id=UUID(int=number),
            source=f"road-{number % 2}",
            happened_at=f"2026-03-01T{chance.randrange(24):02d}:{chance.randrange(60):02d}:00+08:00",
        )
        for number in range(10_000)
    ]
    assert len(history.marked(lines)) == 10_000


# --- estimates ---


def test_an_estimate_keeps_its_history_who_when_and_by_how_much() -> None:
    first, second = expected(1, "2026-03-10T06:00", "line-a", 1), expected(2, "2026-03-11T04:00", "line-a", 2)
    [eta] = history.etas(history.marked([second, first]))
    assert (eta.expected_at, eta.source, eta.arrived_at) == (second.happened_at, "line-a", "")
    assert [(said.fact_id, said.delta_hours) for said in eta.history] == [(first.fact_id, None), (second.fact_id, 22.0)]
    assert eta.history[0].learnt_at == first.recorded_at


def test_of_two_sources_that_expect_it_differently_the_line_counts_for_its_ship() -> None:
    ours, theirs = expected(1, "2026-03-10T06:00", "line-a", 1), expected(2, "2026-03-11T04:00", "terminal-b", 2)
    assert verdicts(ours, theirs) == [(1, True, "owner"), (2, False, "owner")]
    [eta] = history.etas(history.marked([ours, theirs]))
    assert (eta.expected_at, len(eta.history)) == (ours.happened_at, 2)


def test_a_source_that_changes_its_mind_contradicts_nobody() -> None:
    assert verdicts(expected(1, "2026-03-10T06:00", "line-a", 1), expected(2, "2026-03-11T06:00", "line-a", 2)) == []


def test_a_withdrawn_estimate_stays_in_the_history_and_counts_no_more() -> None:
    gone = expected(2, "2026-03-11T04:00", "line-a", 2, retracted=remark("retracted", "line-a"))
    [eta] = history.etas(history.marked([expected(1, "2026-03-10T06:00", "line-a", 1), gone]))
    assert eta.expected_at == "2026-03-10T06:00:00+08:00"
    assert [said.stands for said in eta.history] == [True, False]


def test_a_plan_counts_where_nobody_estimates_and_an_arrival_ends_it() -> None:
    plan = expected(1, "2026-03-10T06:00", "line-a", 1)
    plan = msgspec.structs.replace(plan, classifier="PLN")
    came = line(2, "VSL_ARR", "2026-03-10T09:30", "CNYSH", "line-a", mode="VESSEL")
    [eta] = history.etas([plan, came])
    assert (eta.classifier, eta.arrived_at, eta.late_hours) == ("PLN", came.happened_at, 3.5)


# --- parts ---


def test_pieces_that_come_in_parts_add_up_and_withdrawn_ones_do_not_count() -> None:
    gone = piece(3, "AIR_DEP", "19T10:00", 4, retracted=remark("retracted", "air-xiy"))
    [part] = history.parts(history.marked([piece(1, "AIR_DEP", "17T23:52", 5), gone]))
    assert (part.code, part.pieces, part.pieces_total, part.complete) == ("AIR_DEP", 5, 12, False)
    [part] = history.parts(history.marked([piece(1, "AIR_DEP", "17T23:52", 5), piece(2, "AIR_DEP", "18T23:41", 7)]))
    assert (part.pieces, part.complete) == (12, True)


def test_what_was_manifested_and_left_behind_is_manifested_no_more() -> None:
    story = [piece(1, "AIR_MAN", "17T20:10", 12), piece(2, "AIR_OFLD", "17T23:20", 7)]
    assert [(part.code, part.pieces) for part in history.parts(story)] == [("AIR_MAN", 5)]
    [part] = history.parts([*story, piece(3, "AIR_MAN", "18T20:30", 4, transport="CK207")])
    assert (part.code, part.pieces) == ("AIR_MAN", 9)


def test_one_part_told_by_two_sources_is_counted_once() -> None:
    other = msgspec.structs.replace(piece(2, "AIR_DEP", "17T23:58", 6), source="air-carrier")
    [part] = history.parts(history.marked([piece(1, "AIR_DEP", "17T23:52", 5, sent_at=SENT), other]))
    assert part.pieces in {5, 6}


def test_two_flights_are_two_parts_whoever_tells_of_them() -> None:
    other = msgspec.structs.replace(piece(2, "AIR_DEP", "18T23:41", 7, transport="CK207"), source="air-carrier")
    lines = [piece(1, "AIR_DEP", "17T23:52", 5), other]
    assert verdicts(*lines) == []
    assert [part.pieces for part in history.parts(history.marked(lines))] == [12]
