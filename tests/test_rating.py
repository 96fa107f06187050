"""What a quantity comes to under a rule of pricing: tiers, packages, free units, caps, shares, credits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.fee_words import in_words
from billing.rating import rate, split
from domain.errors import Refused
from domain.pricing import Cost, Model, Pricing, Share, Tier, check, no_dearer

UNITS = st.integers(0, 50_000)
PRICES = st.integers(0, 500)
TIERED = Pricing(model="graduated", tiers=(Tier(3, up_to=100), Tier(2, up_to=1_000), Tier(1)))


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    ends = sorted(draw(st.sets(st.integers(1, 20_000), max_size=4)))
    return (*(Tier(draw(PRICES), up_to=end) for end in ends), Tier(draw(PRICES)))


@st.composite
def rules(draw: st.DrawFn, models: tuple[Model, ...] = ("unit", "flat", "package", "graduated", "volume")) -> Pricing:
    model = draw(st.sampled_from(models))
    return check(
        Pricing(
            model=model,
            price_minor=draw(PRICES),
            package=draw(st.integers(1, 500)) if model == "package" else 1,
            tiers=draw(tiers()) if model in {"graduated", "volume"} else (),
            included=draw(st.sampled_from([0, 0, 1, 100, 5_000])),
            cap_minor=draw(st.none() | st.integers(0, 100_000)),
            reversal_credit=draw(st.booleans()),
        )
    )


@pytest.mark.parametrize(
    ("rule", "quantity", "amount", "explanation"),
    [
        (Pricing(price_minor=2), 15, 30, "15 x 2"),
        (Pricing(model="flat", price_minor=20_000), 7, 20_000, "20000"),
        (Pricing(model="package", price_minor=1_000, package=100), 201, 3_000, "3 x 1000"),
        (TIERED, 1_500, 100 * 3 + 900 * 2 + 500, "100 x 3 + 900 x 2 + 500 x 1"),
        (Pricing(model="volume", tiers=(Tier(3, up_to=100), Tier(2))), 100, 300, "100 x 3"),
        (Pricing(model="volume", tiers=(Tier(3, up_to=100), Tier(2))), 101, 202, "101 x 2"),
        (Pricing(price_minor=2, included=10), 10, 0, "0 x 2"),
        (Pricing(price_minor=2, included=10, cap_minor=100), 1_000, 100, "min(990 x 2, 100)"),
    ],
)
def test_each_way_of_pricing_says_how_it_came_to_its_amount(
    rule: Pricing, quantity: int, amount: int, explanation: str
) -> None:
    rated = rate(rule, quantity)
    assert (rated.amount_minor, rated.explanation) == (amount, explanation)


@given(rules(), UNITS)
def test_nobody_pays_more_than_the_cap_or_the_list_price_nor_less_than_nothing(rule: Pricing, quantity: int) -> None:
    rated = rate(rule, quantity)
    assert rated.amount_minor >= 0
    assert rule.cap_minor is None or rated.amount_minor <= rule.cap_minor
    assert rated.free_quantity == min(rule.included, quantity)
    if rule.model != "volume":  # there fewer units may cost more
        assert rated.amount_minor <= rated.list_minor


@given(rules(("unit", "package", "graduated")), UNITS, UNITS)
def test_more_units_never_cost_less(rule: Pricing, some: int, more: int) -> None:
    assert rate(rule, some).amount_minor <= rate(rule, some + more).amount_minor


@given(rules(("graduated",)), UNITS)
def test_a_graduated_price_is_the_sum_of_its_units(rule: Pricing, quantity: int) -> None:
    one_by_one = sum(
        next(tier.price_minor for tier in rule.tiers if tier.up_to is None or n <= tier.up_to)
        for n in range(1, min(quantity, 300) + 1)
    )
    assert rate(rule, min(quantity, 300)).list_minor == one_by_one


@given(rules(("unit",)), UNITS)
def test_free_units_are_free_and_the_next_one_is_not(rule: Pricing, quantity: int) -> None:
    assert rate(rule, min(quantity, rule.included)).amount_minor == 0
    if rule.cap_minor is None:
        assert rate(rule, rule.included + 1).amount_minor == rule.price_minor


@given(rules(("unit", "package", "graduated")), UNITS, st.integers(0, 5_000))
def test_a_credit_gives_back_no_more_than_these_units_can_have_cost(rule: Pricing, rest: int, taken_back: int) -> None:
    credit = -rate(rule, -taken_back).amount_minor
    assert 0 <= credit <= (rule.cap_minor if rule.cap_minor is not None else credit)
    uncapped = check(Pricing(**{name: getattr(rule, name) for name in rule.__struct_fields__ if name != "cap_minor"}))
    paid = rate(uncapped, rest + taken_back).amount_minor - rate(uncapped, rest).amount_minor
    if rule.model != "package":  # of packages begun and ended between months only whole ones can be told
        assert credit <= paid


def test_a_credit_of_plain_units_is_their_price() -> None:
    assert rate(Pricing(price_minor=3, reversal_credit=True), -4).amount_minor == -12
    assert rate(Pricing(model="flat", price_minor=20_000), -4).amount_minor == 0
    assert rate(Pricing(model="package", price_minor=1_000, package=10), -9).amount_minor == 0


@given(st.integers(0, 100), st.integers(-10_000, 10_000), st.booleans())
def test_shares_come_to_the_whole_amount(percent: int, amount: int, principal: bool) -> None:
    rule = check(Pricing(split=(Share("caller", percent), Share("principal", 100 - percent))))
    shares = split(rule, amount, principal=principal)
    assert sum(shares.values()) == amount
    exact = amount * percent / 100
    assert not principal or abs(shares["caller"] - exact) < 1
    assert principal or shares == {"caller": amount}


def test_the_odd_fen_goes_to_the_first() -> None:
    rule = Pricing(split=(Share("principal", 50), Share("caller", 50)))
    assert split(rule, 5) == {"principal": 3, "caller": 2}
    assert split(rule, -5) == {"principal": -3, "caller": -2}
    assert split(Pricing(), 5) == {"caller": 5}


@st.composite
def revised(draw: st.DrawFn, old: Pricing) -> Pricing:
    """The rule with some of its parts changed a little, for better or worse."""
    steps = old.tiers or (Tier(old.price_minor),)
    changed = tuple(Tier(max(0, step.price_minor + draw(st.integers(-3, 1))), step.up_to) for step in steps)
    if draw(st.booleans()) and old.model in {"graduated", "volume"}:
        changed = changed[draw(st.integers(0, len(changed) - 1)) :]
    alike: tuple[Model, ...] = ("unit", "graduated", "volume") if old.model == "unit" else (old.model,)
    model = draw(st.sampled_from(alike))
    tiered = model in {"graduated", "volume"}
    cap = old.cap_minor
    return check(
        Pricing(
            model=model,
            price_minor=0 if tiered else changed[0].price_minor,
            tiers=changed if tiered else (),
            package=old.package,
            included=max(0, old.included + draw(st.sampled_from([0, 0, 1, 50, -1]))),
            cap_minor=draw(st.sampled_from([cap, cap, 100] if cap is None else [cap, cap // 2, cap + 1])),
            reversal_credit=old.reversal_credit or draw(st.booleans()),
        )
    )


@settings(max_examples=200)
@given(st.data(), rules(), st.lists(UNITS, min_size=1, max_size=20))
def test_a_rule_that_is_called_no_dearer_never_costs_more(data: st.DataObject, old: Pricing, at: list[int]) -> None:
    new = data.draw(revised(old))
    if no_dearer(new, old):
        near = [old.included, old.included + 1, *(each.up_to or 0 for each in (*old.tiers, *new.tiers))]
        for quantity in (*at, *near, *(each + 1 for each in near), *(each + old.included for each in near)):
            assert rate(new, quantity).amount_minor <= rate(old, quantity).amount_minor


@given(rules(), UNITS, st.integers(1, 100))
def test_a_lower_price_is_seen_as_one(old: Pricing, quantity: int, off: int) -> None:
    cheaper = check(
        Pricing(
            **{name: getattr(old, name) for name in old.__struct_fields__ if name not in {"price_minor", "tiers"}},
            price_minor=max(0, old.price_minor - off),
            tiers=tuple(Tier(max(0, tier.price_minor - off), tier.up_to) for tier in old.tiers),
        )
    )
    assert no_dearer(cheaper, old)
    assert no_dearer(old, old)
    assert rate(cheaper, quantity).amount_minor <= rate(old, quantity).amount_minor


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (Pricing(price_minor=3), Pricing(price_minor=2)),
        (Pricing(price_minor=2), Pricing(price_minor=2, included=1)),
        (Pricing(price_minor=2), Pricing(price_minor=2, cap_minor=10**9)),
        (Pricing(price_minor=2), Pricing(price_minor=2, reversal_credit=True)),
        (Pricing(model="flat", price_minor=1), Pricing(price_minor=2)),
        (Pricing(model="graduated", tiers=(Tier(1, up_to=10), Tier(4))), TIERED),
        (Pricing(split=(Share("principal", 100),)), Pricing()),
    ],
)
def test_what_may_cost_somebody_more_is_an_increase(new: Pricing, old: Pricing) -> None:
    assert not no_dearer(new, old)


@pytest.mark.parametrize(
    "rule",
    [
        Pricing(price_minor=-1),
        Pricing(price_minor=10**15),
        Pricing(model="package", package=0),
        Pricing(model="graduated"),
        Pricing(tiers=(Tier(1),)),
        Pricing(model="volume", tiers=(Tier(1, up_to=5),)),
        Pricing(model="volume", tiers=(Tier(1, up_to=5), Tier(2, up_to=5), Tier(3))),
        Pricing(split=(Share("caller", 60),)),
        Pricing(split=(Share("caller", 60), Share("caller", 40))),
        Pricing(split=(Share("caller", 160), Share("principal", -60))),
        Pricing(model="graduated", tiers=(*(Tier(1, up_to=n) for n in range(1, 30)), Tier(1))),
    ],
)
def test_a_rule_that_cannot_be_calculated_with_is_refused(rule: Pricing) -> None:
    with pytest.raises(Refused):
        check(rule)


@given(rules())
def test_every_rule_can_be_said_in_both_languages(rule: Pricing) -> None:
    zh, en = in_words(rule, ("条", "fact"))
    assert zh
    assert en
    assert not any("\u3400" <= letter <= "\u9fff" for letter in en)


def test_a_rule_in_words() -> None:
    rule = Pricing(price_minor=2, included=1_000, cap_minor=500_000)
    assert in_words(rule, ("条", "fact")) == (
        "每条 0.02 元；每月前 1,000 条免费；每月封顶 5,000 元",
        "0.02 CNY per fact; the first 1,000 of a month free; 5,000 CNY a month at most",
    )
    assert Cost(1, "a", "b").document_no == ""
