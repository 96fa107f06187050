"""The life cycle of a declaration, from its receipts."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID, uuid4

import pytest
from hypothesis import given as anything
from hypothesis import strategies as some

from domain import declaration
from domain.declaration import RECEIPTS, Amended, Declaration, Lodged, Withdrawn, amend, fold, lodge, withdraw
from domain.errors import Refused
from domain.fact import Fact, Retracted
from domain.report import Moment, Receipt
from tests.story import given

NUMBER = "230120261000000015"
START = datetime(2026, 3, 2, 1, tzinfo=UTC)
NEW = Declaration(NUMBER)


def receipt(code: str, hours: int = 0, text: str = "") -> declaration.Received:
    when = Moment(START + timedelta(hours=hours))
    report = Receipt(subject=f"declaration:{NUMBER}", raw_code=code, when=when, text=text)
    return declaration.observe(report, source="customs", message_id=uuid4(), sent_at=None, now=START)


def after(*codes: str) -> Declaration:
    facts: list[tuple[UUID, Fact]] = [(uuid4(), receipt(code, hours)) for hours, code in enumerate(codes)]
    return fold(NUMBER, facts)


@pytest.mark.parametrize("code", ["P", "I", "F"])
def test_p_i_and_f_release(code: str) -> None:
    assert after("L", "G", code).released


def test_c_never_releases_even_where_an_older_table_says_so() -> None:
    facts: list[tuple[UUID, Fact]] = [(uuid4(), receipt("C", text="无纸验放查验通知书（放行）"))]
    assert not fold(NUMBER, facts).released
    assert after("L", "C").blocking == {"inspection"}


def test_w_completes_the_review_and_does_not_release() -> None:
    assert (after("L", "W").status, after("L", "W").released) == ("review_completed", False)


def test_release_is_not_the_end() -> None:
    assert after("L", "P", "D") == Declaration(NUMBER, status="deleted")
    assert not after("L", "P", "M").released
    assert after("L", "P", "R").status == "closed"


def test_inspection_and_duty_block_side_by_side() -> None:
    assert after("L", "C", "T").blocking == {"inspection", "duty"}


def test_a_guarantee_releases_before_the_duty_is_paid() -> None:
    assert after("L", "T", "K") == Declaration(NUMBER, status="released_under_guarantee", released=True)


def test_two_steps_release_for_pick_up_and_still_owe_the_complete_declaration() -> None:
    assert after("SpL", "SpJ", "SpK").summary_only
    assert not after("SpL", "SpJ", "SpK", "Sp1", "L", "P").summary_only


def test_receipts_count_by_notice_time_in_any_order_of_arrival() -> None:
    story: list[tuple[UUID, Fact]] = [
        (uuid4(), receipt(code, hours)) for hours, code in enumerate(["L", "C", "P", "R"])
    ]
    assert {fold(NUMBER, order) for order in permutations(story)} == {after("L", "C", "P", "R")}


def test_an_unknown_receipt_is_recorded_and_flagged() -> None:
    told = receipt("5")
    assert type(told) is declaration.Received
    assert "'5'" in told.warnings[0]


def test_a_retracted_receipt_does_not_count() -> None:
    release = uuid4()
    back = Retracted(happened_at=START, recorded_at=START, fact_id=release, source="customs", message_id=uuid4())
    story: list[tuple[UUID, Fact]] = [(uuid4(), receipt("L")), (release, receipt("P", 1)), (uuid4(), back)]
    assert not fold(NUMBER, story).released


def test_lodging_twice_is_one_lodging() -> None:
    lodged = Lodged(happened_at=START, recorded_at=START, by="agent", version=1)
    assert given(declaration.evolve, NEW).when(lodge, by="agent", at=START) == [lodged]
    assert given(declaration.evolve, NEW, lodged).when(lodge, by="agent", at=START) == []


def test_a_rejected_declaration_is_lodged_again_as_the_next_version() -> None:
    history = (Lodged(happened_at=START, recorded_at=START, by="agent"), receipt("E", 1))
    [again] = given(declaration.evolve, NEW, *history).when(lodge, by="agent", at=START)
    assert again == Lodged(happened_at=START, recorded_at=START, by="agent", version=2)


def test_an_amendment_is_a_new_version_and_needs_something_to_amend() -> None:
    history = (Lodged(happened_at=START, recorded_at=START, by="agent"), receipt("L", 1))
    [amended] = given(declaration.evolve, NEW, *history).when(amend, by="agent", reason="件数", at=START)
    assert amended == Amended(happened_at=START, recorded_at=START, by="agent", version=2, reason="件数")
    with pytest.raises(Refused, match="not lodged"):
        given(declaration.evolve, NEW).when(amend, by="agent", reason="件数", at=START)


def test_a_released_declaration_is_not_withdrawn_by_its_declarant() -> None:
    with pytest.raises(Refused, match="only customs"):
        given(declaration.evolve, NEW, receipt("L"), receipt("P", 1)).when(withdraw, by="agent", reason="x", at=START)
    [gone] = given(declaration.evolve, NEW, receipt("L")).when(withdraw, by="agent", reason="x", at=START)
    assert gone == Withdrawn(happened_at=START, recorded_at=START, by="agent", reason="x")


@anything(some.lists(some.sampled_from([*RECEIPTS, "3", "S", "?"]), max_size=10))
def test_no_sequence_of_receipts_fails(codes: list[str]) -> None:
    after(*codes)
