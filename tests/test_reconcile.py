"""Reconciling snapshots: a month that agrees has no break; each planted one is found, exactly that, and nothing else.

`KOUAN_RANDOM_MONTHS=1000` plants each of them in so many random months; the suite in fewer.
"""

import os
from datetime import timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from billing.gateway import LINES_MAX
from billing.reconcile import reconcile
from billing.reconcile_invoices import asked_for
from billing.snapshots import Billed, Ours, Provider, Statements, digest
from domain import reconciliation
from domain.pricing import Pricing
from domain.reconciliation import CODES, Break, Reconciled, Reconciliation
from tests.random_reconciliations import AT, FATES, LOST, MONTH, PLANTS, Month, World, drawn, months, world

MONTHS = int(os.environ.get("KOUAN_RANDOM_MONTHS") or 25)
UNHURRIED = settings(
    max_examples=MONTHS, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
replace = msgspec.structs.replace


def breaks(of: World) -> list[Break]:
    return reconcile(of.ours, of.statements, of.provider)


@pytest.mark.slow
def test_a_month_that_agrees_has_no_break_and_each_planted_one_is_found_alone() -> None:
    @UNHURRIED
    @given(months)
    def hold(month: Month) -> None:
        for fate in FATES:
            assert breaks(world(month, fate)) == [], fate
        for name, (code, plant) in PLANTS.items():
            broken = plant(month)
            found = breaks(broken)
            assert [each.code for each in found] == [code], name
            assert breaks(broken) == found, name

    hold()


QUIET = Month(
    used=[], rules=[Pricing()] * 3, adjusted=[], brought=[0] * 4, fates=["open"] * 4, earlier=[0] * 3
)  # fmt: skip
"""A month in which there is only the anchor (tests/random_reconciliations.py)."""


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_break_has_its_kind_both_sides_and_its_evidence(name: str) -> None:
    code, plant = PLANTS[name]
    [found] = breaks(plant(QUIET))
    assert (found.code, found.period, found.break_id) == (
        code,
        MONTH,
        reconciliation.identity(code, MONTH, found.about),
    )
    assert found.detail or found.ours_minor != found.theirs_minor
    if found.statement:
        assert found.evidence.startswith((f"/v1/statements/{found.statement}", "/v1/deliveries/"))


def test_every_kind_is_planted() -> None:
    assert {code for code, _ in PLANTS.values()} == set(CODES)


def test_the_same_break_found_with_other_figures_keeps_its_id() -> None:
    """So that it keeps its age and its owner; but what was accepted were the figures before."""
    ids, state = set(), Reconciliation(MONTH)
    for minor in (77, 78):
        lost = (replace(LOST, amount_minor=minor),)
        made = world(QUIET)
        found = reconcile(
            made.ours, made.statements, replace(made.provider, movements=(*made.provider.movements, *lost))
        )
        ids.add(found[0].break_id)
        state = reconciliation.evolve(state, ran(found, minor))
        if minor == 77:
            [told] = reconciliation.accept(state, break_id=found[0].break_id, reason="known", by="b", at=AT)
            state = reconciliation.evolve(state, told)
            assert state.open() == []
    [one] = state.open()
    assert len(ids) == 1
    assert (one.first_seen, one.last_seen) == (AT + timedelta(minutes=77), AT + timedelta(minutes=78))


def test_a_break_that_is_gone_is_resolved_and_comes_back_as_itself() -> None:
    found = breaks(PLANTS["payment for nothing"][1](QUIET))
    state = Reconciliation(MONTH)
    for minute, told in enumerate((found, [], found)):
        state = reconciliation.evolve(state, ran(told, minute))
        [one] = state.breaks.values()
        assert one.state == ("open" if told else "resolved")
    assert one.first_seen == AT


def ran(found: list[Break], minute: int) -> Reconciled:
    at = AT + timedelta(minutes=minute)
    digests = {f"{name}_sha256": "" for name in ("journal", "statements", "provider")}
    return Reconciled(
        happened_at=at, recorded_at=at, period=MONTH, by="a", cut_off=1, counts={}, breaks=tuple(found), **digests
    )


def test_money_that_was_sent_back_whence_it_came_is_no_break() -> None:
    back = replace(LOST, ref="re_lost", kind="refund", of=LOST.ref)
    made = world(QUIET)
    for movements, codes in (((LOST, back), []), ((back,), ["refund_without_credit_note"])):
        told = replace(made.provider, movements=(*made.provider.movements, *movements))
        assert [each.code for each in reconcile(made.ours, made.statements, told)] == codes


def test_a_statement_that_comes_to_nothing_stays_here() -> None:
    """It has no invoice and is no break; an invoice for it would be one."""
    nothing = replace(QUIET, adjusted=[(1, -50)])
    made = world(nothing)
    assert breaks(made) == []
    zero = next(each for each in made.statements.papers if each.holder == "e1")
    assert (zero.payable_minor, zero.carried_forward_minor, zero.invoice) == (0, -50, None)
    held = replace(made.provider.invoices[0], ref="in_zero", statement=zero.number)
    told = replace(made.provider, invoices=(*made.provider.invoices, held))
    assert [each.code for each in reconcile(made.ours, made.statements, told)] == ["line_unknown_to_us"]


def test_more_lines_than_a_provider_takes_are_awaited_by_service() -> None:
    lines = [
        Billed(
            no=0, kind="adjustment", item=f"item.{number % 2}", item_class="commercial", used_by="h",
            used_by_party=False, whole_minor=number, amount_minor=number,
        )
        for number in range(1, LINES_MAX + 2)
    ]  # fmt: skip
    few, many = (drawn("KS-202610-000009", "h", lines[:end], -5) for end in (3, None))
    assert asked_for(few, set()) == {0: -5, 1: 1, 2: 2, 3: 3}
    odd = sum(line.amount_minor for line in lines[::2])
    assert asked_for(many, set()) == {0: -5, 1: odd, 2: many.total_minor - odd}
    assert sum(asked_for(many, set()).values()) == many.payable_minor


def test_the_digest_is_one_of_the_content() -> None:
    made = world(QUIET)
    assert len({digest(each) for each in made}) == 3
    assert digest(made.ours) == digest(msgspec.json.decode(msgspec.json.encode(made.ours), type=Ours))
    assert digest(made.ours) != digest(replace(made.ours, cut_off=101))


def test_nothing_at_all_agrees() -> None:
    assert reconcile(Ours(period=MONTH, cut_off=0), Statements(period=MONTH), Provider(period=MONTH)) == []
