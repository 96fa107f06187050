"""Sharing agreements between two agencies: proposed by one, accepted by the other, ended by either."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import agreement
from domain.agreement import Agreement, AgreementAccepted, AgreementEnded, AgreementProposed
from domain.disclosure import Dataset
from domain.errors import Refused
from tests.story import given

MON = datetime(2026, 3, 2, 1, tzinfo=UTC)
YEAR = MON + timedelta(days=365)
OURS, THEIRS = "customs.clearance", "port.movements"
DATASETS = {OURS: Dataset(OURS, owner="customs"), THEIRS: Dataset(THEIRS, owner="maritime")}
KINDS = {"customs": "agency", "maritime": "agency", "op": "operator"}
WHAT: dict[str, Any] = {
    "other": "maritime",
    "gives": (OURS,),
    "takes": (THEIRS,),
    "purpose": "联合监管",
    "document_no": "协〔2026〕1号",
    "valid_from": MON,
    "valid_to": YEAR,
}
PROPOSED = AgreementProposed(happened_at=MON, recorded_at=MON, agreement="A-1", by="chen", by_party="customs", **WHAT)
THEY: dict[str, Any] = {"by": "zhou", "by_party": "maritime", "at": MON}
ABOUT: dict[str, Any] = {
    "happened_at": MON,
    "recorded_at": MON,
    "agreement": "A-1",
    "by": "zhou",
    "by_party": "maritime",
}
ACCEPTED = AgreementAccepted(**ABOUT)
ENDED = AgreementEnded(**ABOUT, reason="期满")


def story(*history: Any) -> given:
    return given(agreement.evolve, Agreement("A-1"), *history)


def propose(told: given, **changes: Any) -> list[Any]:
    sides = {"kinds": KINDS, "datasets": DATASETS, "by": "chen", "by_party": "customs", "at": MON}
    return told.when(agreement.propose, **{**WHAT, **sides, **changes})


def test_one_side_proposes_and_the_other_accepts_each_once() -> None:
    assert propose(story()) == [PROPOSED]
    assert propose(story(PROPOSED), at=MON + timedelta(hours=1)) == []
    assert story(PROPOSED).when(agreement.accept, datasets=DATASETS, **THEY) == [ACCEPTED]
    assert story(PROPOSED, ACCEPTED).when(agreement.accept, datasets=DATASETS, **THEY) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"other": "customs"},
        {"other": "op"},
        {"by_party": "op"},
        {"gives": (), "takes": ()},
        {"gives": (THEIRS,)},
        {"takes": (OURS,)},
        {"takes": ("rail.movements",)},
        {"takes": ("weather",)},
        {"purpose": ""},
        {"document_no": ""},
        {"valid_to": MON},
        {"datasets": {**DATASETS, OURS: Dataset(OURS, owner="customs", share_type="none")}},
    ],
)
def test_each_side_is_an_agency_and_gives_what_it_owns_and_may_share(wrong: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        propose(story(), **wrong)


def test_a_number_stands_for_one_agreement() -> None:
    with pytest.raises(Refused, match="taken"):
        propose(story(PROPOSED), purpose="另一用途")


def test_nobody_accepts_his_own_proposal_or_that_of_strangers() -> None:
    with pytest.raises(Refused, match="maritime has to accept"):
        story(PROPOSED).when(agreement.accept, datasets=DATASETS, by="chen", by_party="customs", at=MON)
    for decide, more in ((agreement.accept, {"datasets": DATASETS}), (agreement.end, {"reason": "x"})):
        with pytest.raises(Refused, match="no side"):
            story(PROPOSED).when(decide, **more, by="x", by_party="op", at=MON)
        with pytest.raises(Refused, match="no agreement"):
            story().when(decide, **more, **THEY)


def test_what_was_proposed_is_looked_at_again_when_it_is_accepted() -> None:
    moved = {**DATASETS, OURS: Dataset(OURS, owner="maritime")}
    with pytest.raises(Refused, match="does not own"):
        story(PROPOSED).when(agreement.accept, datasets=moved, **THEY)
    with pytest.raises(Refused, match="expired"):
        story(PROPOSED).when(agreement.accept, datasets=DATASETS, **{**THEY, "at": YEAR})


def test_either_side_ends_it_once_and_it_is_not_accepted_afterwards() -> None:
    assert story(PROPOSED, ACCEPTED).when(agreement.end, reason="期满", **THEY) == [ENDED]
    assert story(PROPOSED).when(agreement.end, reason="期满", **THEY) == [ENDED]
    assert story(PROPOSED, ACCEPTED, ENDED).when(agreement.end, reason="期满", **THEY) == []
    with pytest.raises(Refused, match="ended"):
        story(PROPOSED, ENDED).when(agreement.accept, datasets=DATASETS, **THEY)
