"""Metering: what a delivery counts for, and how a month's use comes to money; the same sum however it is looked at."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import metering
from billing.metering import Asked, UsageReport, fold, measure
from billing.rating import rate
from domain import period
from domain.catalogue import Price
from domain.delivery import DeliveryMade, Measured, PushAccepted
from domain.period import PeriodCutOff
from domain.pricing import Pricing, Share, Tier
from projections.usage import Cell

AT = datetime(2026, 10, 5, 3, tzinfo=UTC)
OCTOBER = "2026-10"


def made(**told: Any) -> DeliveryMade:
    paid = {"item": "feed.pull", "item_class": "commercial", "tariff": "t", "count": 5}
    return DeliveryMade(happened_at=AT, recorded_at=AT, account="mover", **{**paid, **told})


def read(fact: Any) -> list[tuple[str, int, str | None, str]]:
    return [(one.meter, one.quantity, one.tariff, one.waived) for one in measure(fact)]


# --- measuring ---


@pytest.mark.parametrize(
    ("told", "readings"),
    [
        ({}, [("delivery/1", 5, "t", "")]),
        ({"count": 0}, [("delivery/1", 0, None, "")]),
        ({"result": "empty", "count": 0}, [("delivery/1", 0, None, "")]),
        ({"result": "denied"}, [("delivery/1", 5, None, "")]),
        ({"result": "error"}, [("delivery/1", 5, None, "")]),
        ({"result": "sent"}, [("delivery/1", 5, None, "")]),
        ({"tariff": ""}, [("delivery/1", 5, None, "")]),
        ({"reversals": 2}, [("delivery/1", 5, "t", ""), ("reversal/1", -2, "t", "")]),
        ({"reversals": 2, "result": "sent"}, [("delivery/1", 5, None, "")]),
        ({"waived": "trial"}, [("delivery/1", 5, "t", "trial")]),
        ({"waived": "trial", "result": "empty", "count": 0}, [("delivery/1", 0, None, "")]),
    ],
)
def test_the_result_decides_what_is_charged(told: dict[str, Any], readings: list[Any]) -> None:
    assert read(made(**told)) == readings


@given(
    st.sampled_from(["ok", "empty", "denied", "error", "sent"]),
    st.integers(0, 10_000),
    st.integers(0, 10),
    st.sampled_from(["", "t"]),
    st.sampled_from(["", "trial"]),
)
def test_a_government_item_is_one_answer_and_never_has_a_price(
    result: Any, count: int, reversals: int, tariff: str, waived: Any
) -> None:
    told = made(
        item="track.query",
        item_class="government",
        result=result,
        count=count,
        reversals=reversals,
        tariff=tariff,
        waived=waived,
    )
    assert read(told) == [("delivery/1", 1, None, "")]


def test_a_push_counts_when_it_is_accepted() -> None:
    told = PushAccepted(
        happened_at=AT,
        recorded_at=AT,
        account="mover",
        item="feed.push",
        item_class="commercial",
        endpoint="e",
        message="m",
        tariff="t",
        party="P",
        behalf="B",
        reversals=1,
    )
    one = Measured("push/1", "mover", "feed.push", "commercial", "ok", 1, "t", AT, "P", "B")
    assert measure(told) == (one, msgspec.structs.replace(one, meter="reversal/1", quantity=-1))


def test_what_is_no_delivery_is_not_measured() -> None:
    assert measure(PeriodCutOff(happened_at=AT, recorded_at=AT, period=OCTOBER, by="clerk")) == ()


# --- the fold ---


def price(rule: Pricing, item: str = "feed.pull") -> Price:
    return Price(item, "t", rule.price_minor, "CNY", AT, pricing=rule)


def cell(day: int, quantity: int, account: str = "mover", **more: Any) -> Cell:
    at = AT + timedelta(days=day - 5)
    told: dict[str, Any] = {
        "holder": "P",
        "party": "P",
        "account": account,
        "behalf": "",
        "item": "feed.pull",
        "item_class": "commercial",
        "tariff": "t",
        "waived": "",
        "billing_period": OCTOBER,
        "corrects_period": None,
        "day": f"2026-10-{day:02}",
        "part": 1,
        "deliveries": 1,
        "quantity": quantity,
        "reversed": 0,
        "first_at": at,
        "last_at": at,
        "position": day,
    }
    return Cell(**{**told, **more})


def folded(cells: Sequence[Cell], rule: Pricing, **asked: Any) -> UsageReport:
    return fold(cells, [price(rule)], Asked(**asked))


def test_an_enterprise_pays_for_the_sum_of_its_people() -> None:
    cells = [cell(1, 60, "ann"), cell(1, 50, "bob"), cell(2, 40, "ann")]
    report = folded(cells, Pricing(price_minor=2, included=100))
    assert {row.account: (row.quantity, row.free_quantity, row.amount_minor) for row in report.rows} == {
        "ann": (100, 60, 80),
        "bob": (50, 40, 20),
    }
    [line] = report.lines
    assert (line.holder, line.quantity, line.free_quantity, line.explanation) == ("P", 150, 100, "50 x 2")
    assert (line.list_minor, line.waived_minor, line.amount_minor) == (300, 200, 100)
    assert (report.list_minor, report.waived_minor, report.amount_minor) == (300, 200, 100)


def test_the_cap_is_shown_as_waived() -> None:
    report = folded([cell(1, 60), cell(2, 60)], Pricing(price_minor=2, cap_minor=100), by="day")
    assert [(row.day, row.amount_minor, row.waived_minor) for row in report.rows] == [
        ("2026-10-01", 100, 20),
        ("2026-10-02", 0, 120),
    ]


def test_one_account_alone_is_shown_with_its_part_of_the_whole() -> None:
    cells = [cell(1, 60, "ann"), cell(1, 50, "bob")]
    report = folded(cells, Pricing(price_minor=2, included=100), account="bob")
    assert [(row.account, row.amount_minor) for row in report.rows] == [("bob", 20)]
    assert (report.amount_minor, report.lines) == (20, [])


def test_what_was_used_before_the_window_counts_for_the_tier_and_not_for_the_sum() -> None:
    cells = [cell(1, 10, part=0), cell(2, 10)]
    report = folded(cells, Pricing(model="graduated", tiers=(Tier(5, up_to=10), Tier(1))))
    assert (report.paid_quantity, report.amount_minor) == (10, 10)
    assert report.lines[0].explanation == "(10 x 5 + 10 x 1) - (10 x 5)"


def test_late_use_is_rated_with_the_month_in_which_it_occurred_and_posted_to_the_next() -> None:
    late = {"billing_period": "2026-11", "corrects_period": OCTOBER}
    cells = [cell(3, 10), cell(2, 10, **late)]
    rule = Pricing(model="graduated", tiers=(Tier(5, up_to=10), Tier(1)))
    october, november = (folded(cells, rule, month=month) for month in (OCTOBER, "2026-11"))
    assert (october.amount_minor, november.amount_minor) == (50, 10)
    assert [(row.billing_period, row.corrects_period) for row in november.rows] == [("2026-11", OCTOBER)]


@pytest.mark.parametrize(("credit", "amount", "given_back"), [(True, 16, 2), (False, 20, 0)])
def test_what_a_source_takes_back_is_given_back_only_by_a_tariff_that_says_so(
    credit: bool, amount: int, given_back: int
) -> None:
    report = folded([cell(1, 10, reversed=2)], Pricing(price_minor=2, reversal_credit=credit))
    assert (report.amount_minor, report.rows[0].reversed_quantity, report.paid_quantity) == (amount, given_back, 10)


def test_a_trial_is_shown_with_its_price_and_costs_nothing() -> None:
    report = folded([cell(1, 10, waived="trial")], Pricing(price_minor=2))
    [row] = report.rows
    assert (row.waived, row.list_minor, row.waived_minor, row.amount_minor) == ("trial", 20, 20, 0)
    assert (report.paid_quantity, report.amount_minor) == (0, 0)


def test_an_amount_is_split_between_the_caller_and_whom_it_acted_for() -> None:
    rule = Pricing(price_minor=5, split=(Share("caller", 50), Share("principal", 50)))
    [line] = folded([cell(1, 1, behalf="Q"), cell(2, 3)], rule).lines
    assert {share.party: share.amount_minor for share in line.shares} == {"P": 18, "Q": 2}


def test_what_is_charged_names_a_published_price_or_is_not_rated_at_all() -> None:
    with pytest.raises(KeyError):
        fold([cell(1, 1)], [], Asked())


RULES = st.one_of(
    st.builds(
        Pricing,
        price_minor=st.integers(0, 9),
        included=st.integers(0, 50),
        cap_minor=st.none() | st.integers(0, 200),
        reversal_credit=st.booleans(),
    ),
    st.builds(Pricing, model=st.just("package"), price_minor=st.integers(0, 9), package=st.integers(1, 20)),
    st.builds(Pricing, model=st.just("flat"), price_minor=st.integers(0, 500)),
    st.builds(
        Pricing,
        model=st.sampled_from(["graduated", "volume"]),
        tiers=st.tuples(st.builds(Tier, st.integers(0, 9), st.integers(1, 40)), st.builds(Tier, st.integers(0, 9))),
        included=st.integers(0, 30),
    ),
)
CELLS = st.lists(
    st.builds(
        lambda day, quantity, back, account, late: cell(
            day,
            quantity,
            account,
            reversed=min(back, quantity),
            **({"billing_period": "2026-11", "corrects_period": OCTOBER} if late else {}),
        ),
        st.integers(1, 28),
        st.integers(1, 40),
        st.integers(0, 3),
        st.sampled_from(["ann", "bob"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
).map(lambda cells: sorted(cells, key=lambda one: (one.billing_period, one.day, one.account)))


@settings(max_examples=200, deadline=None)
@given(CELLS, RULES)
def test_the_parts_come_to_the_whole_however_they_are_cut(cells: list[Cell], rule: Pricing) -> None:
    used = sum(one.quantity - (one.reversed if rule.reversal_credit else 0) for one in cells)
    whole = rate(rule, used).amount_minor
    by_item, by_day = (folded(cells, rule, by=by) for by in ("item", "day"))
    months = [folded(cells, rule, month=month) for month in (OCTOBER, "2026-11")]
    people = [folded(cells, rule, account=name) for name in ("ann", "bob")]
    assert by_item.amount_minor == by_day.amount_minor == whole
    assert sum(report.amount_minor for report in months) == whole
    assert sum(report.amount_minor for report in people) == whole
    assert sum(line.amount_minor for line in by_item.lines) == whole
    assert sum(share.amount_minor for line in by_item.lines for share in line.shares) == whole
    assert by_item.list_minor - by_item.waived_minor == whole
    assert sum(row.free_quantity for row in by_item.rows) <= rule.included


def test_the_epochs_of_a_report_are_further_away_than_any_use() -> None:
    assert period.month_of(metering.EPOCH) < OCTOBER < period.month_of(metering.DOOMSDAY)
