"""Periods of the books: months of Shanghai, cut off one after another, none before it is over."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given as whatever
from hypothesis import strategies as st

from domain import period
from domain.errors import Malformed
from domain.period import NotOver, OutOfTurn, Period, PeriodCutOff
from tests.story import given

END = datetime(2026, 10, 31, 16, tzinfo=UTC)  # of October in Shanghai
OCTOBER = Period("2026-10")


def cut(name: str, at: datetime) -> PeriodCutOff:
    return PeriodCutOff(happened_at=at, recorded_at=at, period=name, by="clerk")


def test_a_month_is_cut_off_once_it_is_over() -> None:
    assert given(period.evolve, OCTOBER).when(period.cut_off, latest="2026-09", by="clerk", at=END) == [
        cut("2026-10", END)
    ]


def test_the_first_month_of_a_node_may_be_any() -> None:
    assert given(period.evolve, OCTOBER).when(period.cut_off, latest=None, by="clerk", at=END) == [cut("2026-10", END)]


def test_a_month_that_is_not_over_cannot_be_cut_off() -> None:
    with pytest.raises(NotOver) as refused:
        period.cut_off(OCTOBER, latest="2026-09", by="clerk", at=END - timedelta(microseconds=1))
    assert refused.value.facts["ends_at"] == END.isoformat()


@pytest.mark.parametrize("latest", ["2026-07", "2026-08", "2026-10", "2027-01"])
def test_no_month_is_left_out_or_closed_behind_a_later_one(latest: str) -> None:
    with pytest.raises(OutOfTurn):
        period.cut_off(OCTOBER, latest=latest, by="clerk", at=END)


def test_cutting_off_twice_says_nothing_new() -> None:
    assert (
        given(period.evolve, OCTOBER, cut("2026-10", END)).when(
            period.cut_off, latest="2026-10", by="another", at=END + timedelta(days=1)
        )
        == []
    )


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "26-10", "2026-1", "1999-12", "２０２６-10", "2026-10-01"]
)
def test_what_is_no_month_is_told_so(text: str) -> None:
    with pytest.raises(Malformed):
        period.parse(text)


@whatever(st.timedeltas(-timedelta(days=9_000), timedelta(days=26_000)).map(lambda later: END + later))
def test_every_moment_is_in_one_month_and_months_leave_nothing_between_them(at: datetime) -> None:
    name = period.month_of(at)
    start, end = period.bounds(name)
    assert start <= at < end
    assert period.months()(at) == name
    assert period.bounds(period.following(name))[0] == end
    assert period.preceding(period.following(name)) == name
