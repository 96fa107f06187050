"""Datasets: who owns one, to whom it is disclosed, how it is classified and shared; the owner alone decides."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from domain import disclosure
from domain.disclosure import (
    Dataset,
    DatasetClassified,
    DatasetDisclosureSet,
    DatasetOwnerSet,
    DatasetShareTypeSet,
)
from domain.errors import Refused
from tests.story import given

MON = datetime(2026, 3, 2, 1, tzinfo=UTC)
NAME = "port.movements"
FIRST: dict[str, Any] = {
    "by": "sec",
    "by_role": "security-admin",
    "by_party": "op",
    "document_no": "苏口岸〔2026〕1号",
    "at": MON,
}
BY: dict[str, Any] = {"by": "chen", "by_party": "customs", "document_no": "署〔2026〕2号", "at": MON}
ABOUT: dict[str, Any] = {
    "happened_at": MON,
    "recorded_at": MON,
    "dataset": NAME,
    "by": "chen",
    "by_party": "customs",
    "document_no": "署〔2026〕2号",
}
OWNED = DatasetOwnerSet(
    happened_at=MON,
    recorded_at=MON,
    dataset=NAME,
    document_no="苏口岸〔2026〕1号",
    by="sec",
    by_party="op",
    owner="customs",
)
PUBLIC = DatasetDisclosureSet(**ABOUT, disclosure="public")
IMPORTANT = DatasetClassified(**ABOUT, data_class="important")


def story(*history: Any, of: str = NAME) -> given:
    return given(disclosure.evolve, Dataset(of), *history)


def test_the_security_admin_sets_the_first_owner_once() -> None:
    assert story().when(disclosure.set_owner, owner="customs", owner_kind="agency", **FIRST) == [OWNED]
    wrong = {**FIRST, "by_role": "system-admin"}
    with pytest.raises(Refused, match="security-admin"):
        story().when(disclosure.set_owner, owner="customs", owner_kind="agency", **wrong)


def test_the_present_owner_alone_gives_it_to_another_department() -> None:
    given_on = story(OWNED).when(disclosure.set_owner, owner="maritime", owner_kind="agency", by_role="steward", **BY)
    assert given_on == [DatasetOwnerSet(**ABOUT, owner="maritime", previous="customs")]
    for wrong in (FIRST, {**BY, "by_role": "officer"}, {**BY, "by_role": "steward", "by_party": "maritime"}):
        with pytest.raises(Refused, match="present owner"):
            story(OWNED).when(disclosure.set_owner, owner="maritime", owner_kind="agency", **wrong)
    assert story(OWNED).when(disclosure.set_owner, owner="customs", owner_kind="agency", by_role="steward", **BY) == []


@pytest.mark.parametrize("kind", ["operator", "enterprise", "provider", "node", ""])
def test_a_dataset_is_owned_by_an_agency(kind: str) -> None:
    with pytest.raises(Refused, match="owned by an agency"):
        story().when(disclosure.set_owner, owner="op", owner_kind=kind, **FIRST)


DECISIONS: list[tuple[Callable[..., Any], dict[str, Any], Any]] = [
    (disclosure.set_disclosure, {"disclosure": "public"}, PUBLIC),
    (disclosure.classify, {"data_class": "important"}, IMPORTANT),
    (disclosure.set_share_type, {"share_type": "none"}, DatasetShareTypeSet(**ABOUT, share_type="none")),
]


@pytest.mark.parametrize(("decide", "what", "fact"), DECISIONS)
def test_the_owner_alone_decides_and_each_thing_once(
    decide: Callable[..., Any], what: dict[str, Any], fact: Any
) -> None:
    assert story(OWNED).when(decide, **what, **BY) == [fact]
    assert story(OWNED, fact).when(decide, **what, **BY) == []
    with pytest.raises(Refused, match="no owner yet"):
        story().when(decide, **what, **BY)
    with pytest.raises(Refused, match="customs alone decides"):
        story(OWNED).when(decide, **what, **{**BY, "by_party": "op"})
    with pytest.raises(Refused, match="document_no"):
        story(OWNED).when(decide, **what, **{**BY, "document_no": " "})
    with pytest.raises(Refused, match="is none of"):
        story(OWNED).when(decide, **dict.fromkeys(what, "whatever"), **BY)


def test_important_data_are_never_public() -> None:
    with pytest.raises(Refused, match="not made public"):
        story(OWNED, IMPORTANT).when(disclosure.set_disclosure, disclosure="public", **BY)
    with pytest.raises(Refused, match="it is public"):
        story(OWNED, PUBLIC).when(disclosure.classify, data_class="core", **BY)


def test_only_datasets_of_the_vocabulary_are_decided_on() -> None:
    with pytest.raises(Refused, match="is none of"):
        story(of="weather").when(disclosure.set_owner, owner="customs", owner_kind="agency", **FIRST)
