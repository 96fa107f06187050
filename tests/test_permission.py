"""Permissions: requested, weighed, granted, suspended, revoked; by the owner of the data and nobody else."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from domain import permission
from domain.errors import Refused
from domain.permission import (
    Permission,
    PermissionDeclined,
    PermissionGranted,
    PermissionOpinionAsked,
    PermissionOpinionGiven,
    PermissionRequested,
    PermissionResumed,
    PermissionRevoked,
    PermissionSuspended,
    Terms,
)
from tests.story import given

MON = datetime(2026, 3, 2, 1, tzinfo=UTC)
YEAR = MON + timedelta(days=365)
TERMS = Terms(
    dataset="port.movements",
    recipient="insurer",
    purpose="货运险理赔",
    channels=("query", "api"),
    valid_from=MON,
    valid_to=YEAR,
    fields=("place", "weight_kg"),
)
ASKED_BY: dict[str, Any] = {"by": "sun", "by_party": "insurer", "at": MON}
OWNER: dict[str, Any] = {"by": "chen", "by_party": "maritime", "owner": "maritime", "at": MON}
PAPERS: dict[str, Any] = {"approver": "陈处", "document_no": "海〔2026〕9号"}


def about(by: str = "chen", by_party: str = "maritime") -> dict[str, Any]:
    return {"happened_at": MON, "recorded_at": MON, "permission": "P-1", "by": by, "by_party": by_party}


REQUESTED = PermissionRequested(**about("sun", "insurer"), terms=TERMS)
GRANTED = PermissionGranted(**about(), terms=TERMS, owner="maritime", **PAPERS)
PAUSED = PermissionSuspended(**about(), reason="核查")
BACK = PermissionResumed(**about(), reason="查清")
REVOKED = PermissionRevoked(**about(), reason="用途不符")
DECLINED = PermissionDeclined(**about(), reason="理由不足")
WEIGHED = PermissionOpinionAsked(**about(), departments=("customs", "rail"))
AGAINST = PermissionOpinionGiven(**about("li", "customs"), stance="against", text="商业秘密")


def story(*history: Any) -> given:
    return given(permission.evolve, Permission("P-1"), *history)


def test_it_is_requested_once() -> None:
    assert story().when(permission.request, terms=TERMS, **ASKED_BY) == [REQUESTED]
    assert story(REQUESTED).when(permission.request, terms=TERMS, **ASKED_BY) == []
    with pytest.raises(Refused, match="taken"):
        story(REQUESTED).when(permission.request, terms=TERMS, **{**ASKED_BY, "by_party": "bank"})


def test_the_owner_grants_what_was_requested_or_its_own_terms_about_the_same() -> None:
    assert story(REQUESTED).when(permission.grant, **OWNER, **PAPERS) == [GRANTED]
    assert story(REQUESTED, GRANTED).when(permission.grant, **OWNER, **PAPERS) == []
    less = msgspec.structs.replace(TERMS, fields=("place",))
    assert story(REQUESTED).when(permission.grant, terms=less, **OWNER, **PAPERS) == [
        msgspec.structs.replace(GRANTED, terms=less)
    ]
    for other in ({"recipient": "bank"}, {"dataset": "manifest"}):
        with pytest.raises(Refused, match="it was asked for"):
            story(REQUESTED).when(permission.grant, terms=msgspec.structs.replace(TERMS, **other), **OWNER, **PAPERS)


def test_without_a_request_it_is_requested_and_granted_in_one_step() -> None:
    step = story().when(permission.grant, terms=TERMS, **OWNER, **PAPERS)
    assert step == [PermissionRequested(**about(), terms=TERMS), GRANTED]
    with pytest.raises(Refused, match="what is to be granted"):
        story().when(permission.grant, **OWNER, **PAPERS)


STEPS: list[tuple[Callable[..., Any], list[Any], Any]] = [
    (permission.decline, [REQUESTED], DECLINED),
    (permission.suspend, [REQUESTED, GRANTED], PAUSED),
    (permission.resume, [REQUESTED, GRANTED, PAUSED], BACK),
    (permission.revoke, [REQUESTED, GRANTED], REVOKED),
    (permission.revoke, [REQUESTED, GRANTED, PAUSED], REVOKED),
]


@pytest.mark.parametrize(("decide", "history", "fact"), STEPS)
def test_each_step_is_taken_once_with_a_reason_and_by_the_owner_alone(
    decide: Callable[..., Any], history: list[Any], fact: Any
) -> None:
    assert story(*history).when(decide, reason=fact.reason, **OWNER) == [fact]
    assert story(*history, fact).when(decide, reason=fact.reason, **OWNER) == []
    for stranger in ("insurer", "op", "customs", ""):
        with pytest.raises(Refused, match="maritime alone decides"):
            story(*history).when(decide, reason="x", **{**OWNER, "by_party": stranger})
    with pytest.raises(Refused, match="no owner yet"):
        story(*history).when(decide, reason="x", **{**OWNER, "owner": "", "by_party": ""})
    with pytest.raises(Refused, match="reason"):
        story(*history).when(decide, reason=" ", **OWNER)


@pytest.mark.parametrize("stranger", ["insurer", "op", "customs", ""])
def test_nobody_but_the_owner_grants(stranger: str) -> None:
    with pytest.raises(Refused, match="maritime alone decides"):
        story(REQUESTED).when(permission.grant, **{**OWNER, "by_party": stranger}, **PAPERS)


@pytest.mark.parametrize("history", [[REQUESTED, DECLINED], [REQUESTED, GRANTED, REVOKED]])
def test_what_has_ended_does_not_come_back(history: list[Any]) -> None:
    for decide in (permission.suspend, permission.resume):
        with pytest.raises(Refused):
            story(*history).when(decide, reason="x", **OWNER)
    with pytest.raises(Refused):
        story(*history).when(permission.grant, **OWNER, **PAPERS)


def test_it_expires_by_time() -> None:
    held = story(REQUESTED, GRANTED).state
    assert (held.status(YEAR - timedelta(seconds=1)), held.status(YEAR)) == ("granted", "expired")
    with pytest.raises(Refused, match="expired"):
        story(REQUESTED, GRANTED).when(permission.suspend, reason="x", **{**OWNER, "at": YEAR})


def test_a_department_that_is_against_it_is_overruled_with_a_reason_only() -> None:
    weighed = story(REQUESTED, WEIGHED, AGAINST)
    with pytest.raises(Refused, match="customs is against it"):
        weighed.when(permission.grant, **OWNER, **PAPERS)
    assert weighed.when(permission.grant, reason="省政府专题会议", **OWNER, **PAPERS) == [
        msgspec.structs.replace(GRANTED, reason="省政府专题会议")
    ]
    softer = PermissionOpinionGiven(**about("li", "customs"), stance="conditions", text="仅限本年")
    assert story(REQUESTED, WEIGHED, AGAINST, softer).when(permission.grant, **OWNER, **PAPERS) == [GRANTED]


def test_opinions_are_asked_by_the_owner_and_given_by_those_asked() -> None:
    wanted: dict[str, Any] = {"departments": ["rail", "customs"], **OWNER}
    assert story(REQUESTED).when(permission.ask_opinions, **wanted) == [WEIGHED]
    assert story(REQUESTED, WEIGHED).when(permission.ask_opinions, **wanted) == []
    said: dict[str, Any] = {"stance": "against", "text": "商业秘密", "by": "li", "by_party": "customs", "at": MON}
    assert story(REQUESTED, WEIGHED).when(permission.give_opinion, **said) == [AGAINST]
    assert story(REQUESTED, WEIGHED, AGAINST).when(permission.give_opinion, **said) == []
    with pytest.raises(Refused, match="not asked"):
        story(REQUESTED).when(permission.give_opinion, **said)
    with pytest.raises(Refused, match="conditions or reason"):
        story(REQUESTED, WEIGHED).when(permission.give_opinion, **{**said, "text": ""})
    with pytest.raises(Refused, match="alone decides"):
        story(REQUESTED).when(permission.ask_opinions, **{**wanted, "by_party": "insurer"})


def test_an_owner_that_was_given_the_dataset_grants_anew_or_revokes_but_does_not_resume() -> None:
    new: dict[str, Any] = {**OWNER, "by_party": "customs", "owner": "customs"}
    told = story(REQUESTED, GRANTED, PAUSED)
    with pytest.raises(Refused, match="grant it anew"):
        told.when(permission.resume, reason="x", **new)
    granted = PermissionGranted(**about("chen", "customs"), terms=TERMS, owner="customs", **PAPERS)
    assert told.when(permission.grant, **new, **PAPERS) == [granted]
    assert len(told.when(permission.revoke, reason="x", **new)) == 1
    with pytest.raises(Refused, match="resume it"):
        told.when(permission.grant, **OWNER, **PAPERS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dataset": "weather"},
        {"recipient": ""},
        {"recipient": "role:king"},
        {"recipient": "kind:human"},
        {"recipient": "class:x"},
        {"recipient": "maritime"},
        {"purpose": ""},
        {"channels": ()},
        {"channels": ("telepathy",)},
        {"fields": ("happened_at",)},
        {"masking": ("nothing",)},
        {"valid_to": MON},
        {"valid_from": datetime(2026, 1, 1)},  # noqa: DTZ001  without offset, as it may come in
        {"valid_from": datetime.min.replace(tzinfo=UTC)},
    ],
)
def test_terms_that_nobody_can_grant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        story().when(permission.grant, terms=msgspec.structs.replace(TERMS, **wrong), **OWNER, **PAPERS)


def test_the_fields_are_those_of_a_line_of_the_timeline() -> None:
    from projections.timeline import Line

    assert set(permission.FIELDS) <= set(Line.__struct_fields__)
