"""Journeys: a box that is used again is cut into journeys by rule, and no answer shows another party's."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.fact import digest_id
from projections import journeys
from projections.journeys import Journey, cut, latest, visible, within
from projections.timeline import Line, Remark

BOX, OTHER_BOX, TRUCK = "container:CSQU3054383", "container:TOLU4734787", "truck:苏A12345"
X, Y, HOUSE, BOOKING, ENTRY = "bl:X", "bl:Y", "bl:H", "booking:B", "declaration:D"
DAY_0 = datetime(2026, 1, 1, tzinfo=UTC)
positions = count(1)


def line(day: float, code: str, *refs: str, subject: str = BOX, **more: Any) -> Line:
    """A statement so many days after the first of January."""
    at = DAY_0 + timedelta(days=day)
    fact_id = digest_id(str(day), code, subject, *refs, repr(sorted(more)))
    told: dict[str, Any] = {"classifier": "ACT", "source": "terminal", "fact": "container.moved"} | more
    return Line(
        position=next(positions),
        subject=subject,
        fact_id=fact_id,
        code=code,
        zh=code,
        en=code,
        happened_at=at.isoformat(),
        zone="UTC",
        zone_from="stated",
        recorded_at=at,
        message_id=fact_id,
        refs=refs,
        **told,
    )


def withdrawn(told: Line) -> Line:
    remark = Remark("retracted", digest_id("taken back", str(told.fact_id)), "terminal", told.fact_id, told.recorded_at)
    return replace(told, retracted=remark)


def codes(lines: list[Line]) -> list[str]:
    return [each.code for each in lines]


def days(found: list[Journey]) -> list[tuple[int, int | None]]:
    """When each began and ended, in days."""
    return [((each.started_at - DAY_0).days, (each.ended_at - DAY_0).days if each.ended_at else None) for each in found]


def told(lines: list[Line], found: list[Journey]) -> list[list[str]]:
    """The codes of each journey, in the order of events."""
    return [[each.code for each in lines if each.fact_id in journey.fact_ids] for journey in found]


EXPORT = [
    line(0, "EMPTY_OUT", BOOKING),
    line(2, "GATE_IN", BOOKING, X),
    line(4, "LOADED", X),
    line(30, "DISCHARGED", X),
    line(32, "GATE_OUT", X),
    line(34, "EMPTY_IN"),
]
IMPORT = [line(50, "DISCHARGED", Y), line(52, "GATE_OUT", Y), line(54, "STRIPPED"), line(55, "EMPTY_IN")]
LIFE = [*EXPORT, line(51, "VSL_ARR", Y, classifier="EST"), *IMPORT, line(40, "BKG_CONF", BOX, subject=Y)]


# --- the rules ---


def test_a_journey_ends_with_the_return_of_the_empty_box() -> None:
    found = cut([*EXPORT, *IMPORT], BOX)
    assert days(found) == [(0, 34), (50, 55)]
    assert [each.closed for each in found] == [True, True]
    assert found[0].ended_by == EXPORT[-1].fact_id
    assert found[0].refs == (X, BOOKING)
    assert found[1].refs == (Y,)


def test_a_journey_begins_with_the_picking_up_of_an_empty_box_even_if_its_return_was_not_told() -> None:
    found = cut([*EXPORT[:-1], line(50, "EMPTY_OUT"), line(52, "GATE_IN")], BOX)
    assert days(found) == [(0, 50), (50, None)]
    assert [each.closed for each in found] == [True, False]


def test_a_journey_may_begin_with_a_discharge() -> None:
    assert days(cut(IMPORT, BOX)) == [(50, 55)]


def test_another_bill_is_another_journey() -> None:
    lines = [line(0, "DISCHARGED", X), line(2, "GATE_OUT", X), line(9, "GATE_IN", Y), line(10, "LOADED", Y)]
    assert days(cut(lines, BOX)) == [(0, 9), (9, None)]


def test_a_booking_after_the_bill_is_another_journey_but_a_bill_after_the_booking_is_not() -> None:
    assert len(cut([line(0, "GATE_OUT", X), line(5, "GATE_IN", BOOKING)], BOX)) == 2
    assert len(cut([line(0, "EMPTY_OUT", BOOKING), line(5, "LOADED", X)], BOX)) == 1


def test_bills_told_in_one_breath_or_by_turns_are_one_journey() -> None:
    """A box with the cargo of several house bills."""
    together = [line(0, "STUFFED", X, HOUSE), line(2, "GATE_IN", X), line(3, "LOADED", HOUSE)]
    assert len(cut(together, BOX)) == 1
    by_turns = [line(0, "STUFFED", X), line(1, "STUFFED", HOUSE), line(2, "GATE_IN", X), line(3, "LOADED", HOUSE)]
    assert len(cut(by_turns, BOX)) == 1


def test_a_bill_and_its_house_bill_are_one_journey_when_the_bills_say_so() -> None:
    lines = [line(0, "DISCHARGED", X), line(2, "GATE_OUT", HOUSE)]
    assert len(cut(lines, BOX)) == 2
    assert len(cut([*lines, line(1, "DO_ISSUED", X, subject=HOUSE)], BOX)) == 1


def test_a_truck_or_a_manifest_that_names_two_bills_does_not_make_them_one() -> None:
    lines = [line(0, "DISCHARGED", X), line(2, "GATE_OUT", Y)]
    both = [line(1, "TRUCK_DEP", X, Y, subject=TRUCK), line(1, "MAN_ORIG_OK", X, Y, subject="manifest:V1")]
    assert len(cut([*lines, *both], BOX)) == 2


@pytest.mark.parametrize(("gap_days", "refs", "journeys_found"), [(59, (), 1), (61, (), 2), (61, (X,), 1)])
def test_a_long_silence_is_another_journey_unless_a_paper_is_named_before_and_after(
    gap_days: int, refs: tuple[str, ...], journeys_found: int
) -> None:
    lines = [line(0, "LOADED", *refs), line(gap_days, "DISCHARGED"), line(gap_days + 1, "GATE_OUT", *refs)]
    assert len(cut(lines, BOX)) == journeys_found


def test_the_empty_box_on_its_way_from_the_stripping_to_the_depot_is_no_journey() -> None:
    assert len(cut([*IMPORT[:3], line(54.5, "EMPTY_OUT"), line(55, "EMPTY_IN")], BOX)) == 1


def test_a_box_that_was_emptied_and_is_filled_again_is_on_another_journey() -> None:
    assert days(cut([*IMPORT[:3], line(56, "STUFFED"), line(58, "GATE_IN")], BOX)) == [(50, 56), (56, None)]


def test_a_return_told_twice_is_one_return() -> None:
    assert days(cut([*IMPORT, line(55.2, "EMPTY_IN", source="line")], BOX)) == [(50, 55)]


def test_a_late_word_belongs_to_the_journey_that_it_names() -> None:
    late = line(60, "BL_SURRENDERED", X)
    lines = [*EXPORT, *IMPORT, late]
    assert told(lines, cut(lines, BOX))[0][-1] == "BL_SURRENDERED"
    assert days(cut(lines, BOX)) == [(0, 34), (50, 55)]


def test_a_plan_belongs_to_the_journey_that_it_names_else_to_the_one_in_which_it_was_made() -> None:
    early = line(45, "VSL_ARR", Y, classifier="EST")  # before the journey has begun
    stale = line(51, "VSL_ARR", classifier="EST", sent_at=DAY_0 + timedelta(days=20))  # expected late, arrived long ago
    lines = sorted([*EXPORT, *IMPORT, early, stale], key=lambda each: each.happened_at)
    first, second = cut(lines, BOX)
    assert early.fact_id in second.fact_ids
    assert stale.fact_id in first.fact_ids
    assert days([second]) == [(50, 55)]


def test_a_plan_for_another_paper_is_a_journey_that_has_not_begun() -> None:
    found = cut([*EXPORT, line(60, "EMPTY_OUT", "booking:NEXT", classifier="PLN")], BOX)
    assert [each.begun for each in found] == [True, False]
    assert latest(found) == found[0]
    assert found[0].closed


def test_a_line_that_names_nothing_belongs_to_the_journey_of_its_time() -> None:
    lines = sorted([*EXPORT, *IMPORT, line(31, "DAMAGED"), line(53, "SEALED")], key=lambda each: each.happened_at)
    first, second = told(lines, cut(lines, BOX))
    assert ("DAMAGED" in first, "SEALED" in second) == (True, True)


def test_what_was_taken_back_cuts_nothing_and_is_kept_where_it_fell() -> None:
    wrong = withdrawn(line(3, "EMPTY_IN", "bl:TYPO"))
    [journey] = cut([*EXPORT[:4], wrong], BOX)
    assert wrong.fact_id in journey.fact_ids
    assert "bl:TYPO" not in journey.refs
    assert journey.ended_at is None


def test_a_hold_or_an_instruction_begins_no_journey() -> None:
    found = cut([*EXPORT, line(40, "HOLD_PLACED"), line(41, "INSTR_GIVEN")], BOX)
    assert days(found) == [(0, 34)]


def test_papers_that_name_the_box_before_it_moves_wait_for_its_journey() -> None:
    lines = [*EXPORT, line(40, "BKG_CONF", BOX, subject=Y), line(45, "EMPTY_OUT"), line(46, "GATE_IN")]
    first, second = cut(lines, BOX)
    assert (Y in first.refs, Y in second.refs) == (False, True)


def test_a_box_of_which_nothing_is_known_has_no_journey() -> None:
    assert cut([], BOX) == []
    assert latest([]) is None
    assert visible([], [BOX]) == []


# --- any order ---


def shape(found: list[Journey]) -> list[tuple[object, ...]]:
    return [
        (each.index, each.started_at, each.ended_at, each.closed, each.refs, frozenset(each.fact_ids)) for each in found
    ]


@given(st.permutations(LIFE), st.permutations(range(1, len(LIFE) + 1)))
def test_any_order_of_arrival_gives_the_same_journeys(lines: list[Line], arrived: list[int]) -> None:
    again = [replace(each, position=place) for each, place in zip(lines, arrived, strict=True)]
    assert shape(cut(again, BOX)) == shape(cut(LIFE, BOX))
    assert len(cut(LIFE, BOX)) == 2


MANY = st.builds(
    line,
    st.integers(0, 200),
    st.sampled_from(
        ["EMPTY_OUT", "GATE_IN", "LOADED", "DISCHARGED", "STRIPPED", "EMPTY_IN", "BKG_CONF", "HOLD_PLACED"]
    ),
    st.sampled_from([X, Y, BOOKING, TRUCK, ENTRY]),
    classifier=st.sampled_from(["ACT", "ACT", "EST", "PLN"]),
)


@given(st.lists(MANY, max_size=30, unique_by=lambda each: each.fact_id), st.randoms())
def test_every_line_is_in_exactly_one_journey_whatever_is_told(lines: list[Line], chance: Any) -> None:
    found = cut(lines, BOX)
    assert sorted(fact.int for each in found for fact in each.fact_ids) == sorted(each.fact_id.int for each in lines)
    assert [each.index for each in found] == list(range(1, len(found) + 1))
    assert all(each.ended_at is None or each.ended_at >= each.started_at for each in found)
    mixed = list(lines)
    chance.shuffle(mixed)
    assert shape(cut(mixed, BOX)) == shape(found)


# --- what is shown to whom ---


def test_a_question_about_a_bill_shows_the_box_on_that_bills_journey_only() -> None:
    lines = sorted([*EXPORT, *IMPORT], key=lambda each: each.happened_at)
    assert codes(visible(lines, [X])) == codes(EXPORT)
    assert codes(visible(lines, [Y])) == codes(IMPORT)
    assert visible(lines, ["bl:NOBODY"]) == []


def test_a_question_about_a_box_shows_its_latest_journey_or_the_one_that_is_asked_for() -> None:
    lines = [
        *EXPORT,
        *IMPORT,
        line(1, "DEC_RELEASED", X, subject=ENTRY),
        line(51, "DEC_RELEASED", Y, subject="declaration:E"),
    ]
    assert {each.subject for each in visible(lines, [BOX])} == {BOX, "declaration:E"}
    assert codes(visible(lines, [BOX], 1)) == [*codes(EXPORT), "DEC_RELEASED"]
    assert visible(lines, [BOX], 3) == []


def test_a_journey_is_reached_through_two_papers_but_not_through_a_truck() -> None:
    paper = line(1, "DEC_RELEASED", X, subject=ENTRY)
    road = [line(33, "TRUCK_DEP", BOX, X, subject=TRUCK), line(53, "TRUCK_DEP", BOX, Y, subject=TRUCK)]
    named = [line(33.5, "TRUCK_ARR", TRUCK), line(53.5, "TRUCK_ARR", TRUCK)]
    lines = sorted([*EXPORT, *IMPORT, paper, *road, *named], key=lambda each: each.happened_at)
    seen = visible(lines, [ENTRY])
    assert [each for each in seen if each in IMPORT] == []
    assert [each for each in seen if each in EXPORT] == EXPORT
    assert (road[0] in seen, road[1] in seen) == (True, False)
    assert {each for each in (named[0], named[1]) if each in seen} == {named[0]}


def test_a_bill_whose_own_lines_name_the_box_is_shown_the_journey_of_their_time() -> None:
    """The lines of the box name nothing, as discharge lists often do."""
    plain = [replace(each, refs=()) for each in (*EXPORT, *IMPORT)]
    bill = line(53, "DO_ISSUED", BOX, subject=Y)
    assert codes(visible([*plain, bill], [Y])) == [*codes(IMPORT), "DO_ISSUED"]


def test_lines_of_strangers_help_to_cut_and_are_shown_to_nobody() -> None:
    """No return, no names on the lines of the box: only the papers tell the two parties apart."""
    plain = [line(0, "DISCHARGED"), line(2, "GATE_OUT"), line(20, "GATE_IN"), line(21, "LOADED")]
    mine, theirs = line(1, "DO_ISSUED", BOX, subject=X), line(20, "BL_ISSUED", BOX, subject=Y)
    assert codes(visible([*plain, mine, theirs], [X])) == ["DISCHARGED", "GATE_OUT", "DO_ISSUED"]
    assert codes(visible([*plain, mine, theirs], [Y])) == ["GATE_IN", "LOADED", "BL_ISSUED"]


def test_a_bill_with_many_boxes_shows_each_on_its_own_journey() -> None:
    lines = [*EXPORT, *IMPORT, line(3, "GATE_IN", X, subject=OTHER_BOX), line(49, "GATE_IN", Y, subject=OTHER_BOX)]
    seen = visible(lines, [X])
    assert codes([each for each in seen if each.subject == OTHER_BOX]) == ["GATE_IN"]
    assert len(seen) == len(EXPORT) + 1


def test_within_gives_one_journey_with_its_papers_in_the_given_order() -> None:
    lines = [*EXPORT, *IMPORT, line(51, "DEC_RELEASED", Y, subject="declaration:E")]
    first, second = cut(lines, BOX)
    assert within(lines, first, BOX) == EXPORT
    assert within(lines, second, BOX) == [*IMPORT, lines[-1]]


def test_forty_boxes_and_a_thousand_lines_are_cut_in_one_go() -> None:
    lines = [line(day, "TRUCK_POS", X, subject=f"container:KOUU{box:07d}") for box in range(40) for day in range(25)]
    assert len(visible(lines, [X])) == len(lines)
    assert len(journeys.cuts(lines)) == 40
