"""The verdict as a pure fold: what is not known is against it, and every table is whole."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import api.app  # noqa: F401  registers every fact type
from domain import declaration
from domain.milestones import MILESTONES
from projections import clearance, clearance_case, declarations, journeys
from projections.clearance import ACTIONS, NEEDS, Action, Needs, verdict
from projections.clearance_words import REASONS
from projections.timeline import Line, Remark

BOX, OTHER, BILL = "container:CSQU3054383", "container:TOLU4734787", "bl:COSU6123456780"
IMPORT, EXPORT = "declaration:230820261086004127", "declaration:230820260086004128"
NOON = datetime(2026, 3, 17, 4, tzinfo=UTC)
PORT = "CNYSA"


def line(hour: int, subject: str, code: str, **more: Any) -> Line:
    """Something told `hour` hours after noon; lines are ordered by it."""
    at = NOON + timedelta(hours=hour)
    told: dict[str, Any] = {
        "position": hour + 1,
        "subject": subject,
        "fact_id": uuid4(),
        "fact": "container.reported",
        "code": code,
        "zh": code,
        "en": code,
        "classifier": "ACT",
        "happened_at": at.isoformat(),
        "zone": "",
        "zone_from": "stated",
        "recorded_at": at,
        "source": "customs-2300",
        "message_id": uuid4(),
    }
    return Line(**{**told, **more})


def receipt(hour: int, letter: str, subject: str = IMPORT, refs: tuple[str, ...] = (BOX, BILL), **more: Any) -> Line:
    kind, code = declaration.RECEIPTS.get(letter, (declaration.Received, ""))
    return line(hour, subject, code, fact=kind.__struct_config__.tag, raw_code=letter, refs=refs, **more)


MANIFEST = line(0, BOX, "MAN_ORIG_OK", mode="VESSEL", refs=(BILL,))
LANDED = line(1, BOX, "DISCHARGED", mode="VESSEL", place=PORT, refs=(BILL,))


def codes(told: list[Line], action: Action = "gate-out", place: str = PORT, subject: str = BOX) -> list[str]:
    return sorted(each.code for each in verdict(subject, action, place, told).reasons)


# --- tables ---


def test_every_action_has_words_and_every_need_a_known_milestone() -> None:
    assert set(get_args(Action)) == set(ACTIONS)
    assert {needs.manifest for needs in NEEDS.values()} <= {"", *MILESTONES}


def test_every_status_of_a_declaration_has_words() -> None:
    assert set(declaration.STATUS.values()) | {""} <= set(declarations.STATUS)
    assert set(declarations.STATUS) >= declarations.DEAD


def test_every_milestone_named_here_exists() -> None:
    named = {
        *clearance_case.ARRIVED, *clearance_case.LEFT, *clearance_case.TALLIES, *clearance_case.PAPERS,
        *clearance_case.IMPORT_SIGNS, *clearance_case.EXPORT_SIGNS, *clearance_case.ABROAD, *clearance_case.LADEN,
        *clearance.REPORTS,
    }  # fmt: skip
    assert named <= set(MILESTONES)


def test_every_reason_is_told_in_both_languages() -> None:
    assert all(zh.count("{}") == en.count("{}") == 1 for zh, en in REASONS.values())


# --- fails closed ---


def test_nothing_known_is_a_no_with_every_leg_missing() -> None:
    told = verdict(BOX, "gate-out", PORT, [])
    assert not told.allowed
    assert [told.legs.customs.status, told.legs.arrival.status, told.legs.manifest.status] == ["missing"] * 3


@pytest.mark.parametrize(
    "letter", [each for each in declaration.RECEIPTS if each not in {"F", "I", "P", "R", "B", "K", "SpK"}]
)
def test_no_letter_but_those_of_release_lets_a_box_go(letter: str) -> None:
    assert codes([MANIFEST, LANDED, receipt(2, letter)]) != []


@pytest.mark.parametrize("letter", ["S", "3", "x", "7365/4:120", "放行"])
def test_a_letter_that_is_read_differently_lets_nothing_go(letter: str) -> None:
    assert codes([MANIFEST, LANDED, receipt(2, letter)]) == ["declaration.not_released"]


def test_a_declaration_of_the_other_direction_releases_nothing() -> None:
    assert codes([MANIFEST, LANDED, receipt(2, "P", EXPORT)]) == ["declaration.missing"]


def test_a_declaration_that_names_other_boxes_of_the_bill_is_not_about_this_one() -> None:
    assert codes([MANIFEST, LANDED, receipt(2, "P", refs=(OTHER, BILL))]) == ["declaration.missing"]


def test_a_declaration_that_names_no_box_is_about_the_whole_bill() -> None:
    assert codes([MANIFEST, LANDED, receipt(2, "P", refs=(BILL,))]) == []


def test_a_release_told_by_others_than_customs_is_none() -> None:
    told = line(2, BOX, "IMP_RELEASED", source="terminal-cnyan")
    assert codes([MANIFEST, LANDED, told]) == ["declaration.missing"]


def test_customs_own_release_of_the_box_is_enough() -> None:
    assert codes([MANIFEST, LANDED, line(2, BOX, "IMP_RELEASED")]) == []


def test_a_declaration_beside_outweighs_a_release_of_the_box() -> None:
    told = [MANIFEST, LANDED, line(2, BOX, "IMP_RELEASED"), receipt(3, "D")]
    assert codes(told) == ["declaration.deleted"]


# --- what was taken back ---


def remark(kind: str, source: str = "customs-2300") -> Remark:
    return Remark(kind, uuid4(), source, uuid4(), NOON)


def test_a_release_that_was_retracted_is_none_unless_another_source_stands_by_it() -> None:
    gone = receipt(2, "P", retracted=remark("retracted"))
    assert codes([MANIFEST, LANDED, gone]) == ["declaration.missing"]
    kept = receipt(2, "P", retracted=remark("retracted"), confirmed_by=(remark("confirmed", "customs-2200"),))
    assert codes([MANIFEST, LANDED, kept]) == []


def test_what_is_planned_or_expected_counts_for_nothing() -> None:
    planned = line(1, BOX, "DISCHARGED", classifier="EST", mode="VESSEL", place=PORT)
    assert codes([MANIFEST, planned, receipt(2, "P")]) == ["arrival.missing"]


def test_a_milestone_that_is_reversed_did_not_happen() -> None:
    assert codes([MANIFEST, LANDED, receipt(2, "P"), line(3, BOX, "DISCHARGED_REVERSED")]) == ["arrival.missing"]


# --- two numbers of one declaration ---


def test_what_was_said_under_the_number_before_the_entry_id_belongs_to_the_entry() -> None:
    seq = "declaration:I20260001632104587"
    told = [MANIFEST, LANDED, receipt(2, "9", seq), receipt(3, "P", refs=(BOX, BILL, seq))]
    found = verdict(BOX, "gate-out", PORT, told)
    assert (found.allowed, [each.number for each in found.declarations]) == (True, ["230820261086004127"])


def test_a_number_without_an_entry_is_a_declaration_of_its_own() -> None:
    seq = "declaration:I20260001632104587"
    assert codes([MANIFEST, LANDED, receipt(2, "7", seq)]) == ["declaration.not_released"]


# --- legs ---


def test_a_question_without_a_place_takes_the_box_where_it_is() -> None:
    assert codes([MANIFEST, LANDED, receipt(2, "P")], place="") == []


def test_a_tally_stands_in_for_an_arrival_that_nobody_reported() -> None:
    tally = line(1, BOX, "TALLY_RPT", mode="VESSEL", refs=(BILL,))
    assert codes([MANIFEST, tally, receipt(2, "P")]) == []


def test_to_enter_nothing_is_needed() -> None:
    told = verdict(BOX, "enter", PORT, [LANDED])
    assert told.allowed
    assert {told.legs.customs.status, told.legs.arrival.status, told.legs.manifest.status} == {"not-needed"}


def test_a_seal_that_was_changed_under_control_is_no_mismatch() -> None:
    manifest = line(0, BOX, "MAN_ORIG_OK", mode="VESSEL", seal="A1", refs=(BILL,))
    seen = line(3, BOX, "RESEALED", seal="B2", place=PORT)
    assert codes([manifest, LANDED, receipt(2, "P"), seen]) == []
    assert codes([manifest, line(1, BOX, "DISCHARGED", seal="B2", place=PORT), receipt(2, "P")]) == [
        "manifest.mismatch"
    ]


def test_a_terminals_weight_may_hold_the_box_itself_and_no_more() -> None:
    manifest = line(0, BOX, "MAN_ORIG_OK", mode="VESSEL", weight_kg=8_000.0, refs=(BILL,))
    for weight_kg, wanted in (
        (7_900.0, []),
        (12_000.0, []),
        (14_000.0, ["manifest.mismatch"]),
        (7_000.0, ["manifest.mismatch"]),
    ):
        landed = line(1, BOX, "DISCHARGED", place=PORT, weight_kg=weight_kg)
        assert codes([manifest, landed, receipt(2, "P")]) == wanted, weight_kg


def test_the_verdict_lists_the_facts_that_it_rests_on() -> None:
    released = receipt(2, "P")
    told = verdict(BOX, "gate-out", PORT, [MANIFEST, LANDED, released])
    assert [each.fact_id for each in told.facts] == [MANIFEST.fact_id, LANDED.fact_id, released.fact_id]
    assert [each.code for each in told.facts] == ["MAN_ORIG_OK", "DISCHARGED", "DEC_RELEASED"]


def test_a_hold_of_an_earlier_journey_still_holds() -> None:
    held = line(-500, BOX, "HOLD_PLACED", fact="container.hold_placed", raw_code="H7", text="南京海关")
    assert codes([held, MANIFEST, LANDED, receipt(2, "P")]) == ["hold.placed"]
    lifted = line(-400, BOX, "HOLD_RELEASED", fact="container.hold_released", raw_code="H7")
    assert codes([held, lifted, MANIFEST, LANDED, receipt(2, "P")]) == []


SAID = st.tuples(
    st.integers(0, 24 * 90),
    st.sampled_from(["DISCHARGED", "GATE_IN", "GATE_OUT", "EMPTY_OUT", "EMPTY_IN", "STRIPPED", "STUFFED", "LOADED"]),
    st.sampled_from([(), (BILL,), ("bl:OTHER",), ("booking:B1",), ("awb:11200000011", BILL)]),
    st.sampled_from(["ACT", "EST"]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(SAID, min_size=1, max_size=7))
def test_the_short_way_round_the_cut_is_taken_only_where_there_is_one_journey(said: list[Any]) -> None:
    lines = [line(at, BOX, code, refs=refs, classifier=how) for at, code, refs, how in sorted(said)]
    if clearance_case._never_cut(BOX, lines):
        assert len(journeys.cut(lines, BOX)) == 1


def test_needs_are_told_for_import_and_export_by_every_mode() -> None:
    modes = {"VESSEL", "AIR", "RAIL"}
    wanted = {(action, mode, way) for action in ("gate-out", "load") for mode in modes for way in ("import", "export")}
    assert set(NEEDS) == wanted
    assert all(needs != Needs() for needs in NEEDS.values())
