"""Parties: registered, renamed, suspended; their people, agents and the support they allow."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import party
from domain.errors import Refused
from domain.identifiers import BadIdentifier
from domain.party import (
    AgentAppointed,
    AgentDismissed,
    CredentialRevoked,
    Party,
    PartyRegistered,
    PartyRenamed,
    PartyResumed,
    PartySuspended,
    SupportAllowed,
    SupportEnded,
    UserAppointed,
    UserDismissed,
    UserResumed,
    UserSuspended,
)
from tests.story import given

MON = datetime(2026, 3, 2, 1, tzinfo=UTC)
TUE = MON + timedelta(days=1)
YEAR = MON + timedelta(days=365)
TRADER = "91320000MA0000015K"
ABOUT: dict[str, Any] = {"happened_at": MON, "recorded_at": MON, "party": TRADER, "by": "root"}
BY: dict[str, Any] = {"by": "root", "at": MON}
NAMES: dict[str, Any] = {"zh": "口岸外贸有限公司", "en": "Port Trading"}
REGISTERED = PartyRegistered(**ABOUT, kind="enterprise", **NAMES)
SUSPENDED = PartySuspended(**ABOUT, reason="失信")
APPOINTED = UserAppointed(**ABOUT, user="li", role="enterprise", rights=("enter", "declare"))
GONE = UserDismissed(**ABOUT, user="li", reason="离职")
OUT = UserSuspended(**ABOUT, user="li", reason="调查")
AGENT = AgentAppointed(
    **ABOUT, agent="forwarder", document="委2026-1", scopes=("track",), valid_from=MON, valid_to=YEAR
)
AGENCY: dict[str, Any] = {"document": "委2026-1", "scopes": ["track"], "valid_from": MON, "valid_to": YEAR, **BY}
HELP = SupportAllowed(**ABOUT, ticket="T1", until=TUE)


def story(*history: Any, of: str = TRADER) -> given:
    return given(party.evolve, Party(of), *history)


def test_a_party_is_registered_once_and_renamed() -> None:
    assert story().when(party.enrol, kind="enterprise", **NAMES, **BY) == [REGISTERED]
    assert story(REGISTERED).when(party.enrol, kind="enterprise", **NAMES, **BY) == []
    renamed = PartyRenamed(**ABOUT, zh="新名", en="New")
    assert story(REGISTERED).when(party.rename, zh="新名", en="New", **BY) == [renamed]
    assert story(REGISTERED, renamed).when(party.rename, zh="新名", en="New", **BY) == []
    with pytest.raises(Refused, match="registered already, as enterprise"):
        story(REGISTERED).when(party.enrol, kind="provider", **NAMES, **BY)


@pytest.mark.parametrize("number", ["91320000MA0000015X", "customs", "", "9132\x00"])
def test_an_enterprise_goes_by_a_credit_code_that_is_right(number: str) -> None:
    with pytest.raises(BadIdentifier):
        story(of=number).when(party.enrol, kind="enterprise", **NAMES, **BY)


def test_a_number_is_registered_as_it_is_stored() -> None:
    assert party.number("enterprise", "91320000ma0000015k") == TRADER
    with pytest.raises(Refused, match=TRADER):
        story(of=TRADER.lower()).when(party.enrol, kind="enterprise", **NAMES, **BY)


@pytest.mark.parametrize(
    "code", ["", "a", "role:officer", "kind:enterprise", "x y", "海关", "owner", "public", "a" * 65]
)
def test_the_code_of_others_is_short_and_never_taken_for_a_group(code: str) -> None:
    with pytest.raises(Refused):
        story(of=code).when(party.enrol, kind="agency", **NAMES, **BY)


@pytest.mark.parametrize("text", ["", "  ", "a\x00b", "x" * 501])
def test_names_and_reasons_are_said_and_can_be_shown(text: str) -> None:
    with pytest.raises(Refused):
        story().when(party.enrol, kind="enterprise", zh=text, en="Port", **BY)
    with pytest.raises(Refused):
        story(REGISTERED).when(party.suspend, reason=text, **BY)


def test_a_party_is_suspended_and_resumed_each_once() -> None:
    resumed = PartyResumed(**ABOUT, reason="已改正")
    assert story(REGISTERED).when(party.suspend, reason="失信", **BY) == [SUSPENDED]
    assert story(REGISTERED, SUSPENDED).when(party.suspend, reason="失信", **BY) == []
    assert story(REGISTERED, SUSPENDED).when(party.resume, reason="已改正", **BY) == [resumed]
    assert story(REGISTERED).when(party.resume, reason="已改正", **BY) == []


def test_nothing_is_decided_for_a_party_that_is_not_registered() -> None:
    with pytest.raises(Refused, match="not registered"):
        story().when(party.appoint, user="li", role="enterprise", **BY)
    with pytest.raises(Refused, match="not registered"):
        story().when(party.suspend, reason="x", **BY)


def test_a_user_is_appointed_once_and_again_with_other_rights() -> None:
    wanted: dict[str, Any] = {"user": "li", "role": "enterprise", **BY}
    assert story(REGISTERED).when(party.appoint, rights=["declare", "enter"], **wanted) == [APPOINTED]
    assert story(REGISTERED, APPOINTED).when(party.appoint, rights=["enter", "declare"], **wanted) == []
    less = UserAppointed(**ABOUT, user="li", role="enterprise", rights=("enter",))
    assert story(REGISTERED, APPOINTED).when(party.appoint, rights=["enter"], **wanted) == [less]


def test_nobody_changes_what_he_is_himself() -> None:
    for decide in (party.dismiss, party.suspend_user, party.resume_user):
        with pytest.raises(Refused, match="himself"):
            story(REGISTERED, APPOINTED).when(decide, user="li", reason="x", by="li", at=MON)
    with pytest.raises(Refused, match="himself"):
        story(REGISTERED).when(party.appoint, user="li", role="enterprise-admin", by="li", at=MON)


@pytest.mark.parametrize(
    ("role", "rights"), [("operator", ()), ("auditor", ()), ("enterprise", ("govern",)), ("x", ())]
)
def test_an_enterprise_has_no_administrators_of_the_node(role: str, rights: tuple[str, ...]) -> None:
    with pytest.raises(Refused):
        story(REGISTERED).when(party.appoint, user="li", role=role, rights=rights, **BY)


def test_only_users_of_an_enterprise_enter_and_declare() -> None:
    customs = PartyRegistered(**{**ABOUT, "party": "customs"}, kind="agency", zh="海关", en="Customs")
    with pytest.raises(Refused, match="only users of an enterprise"):
        story(customs, of="customs").when(party.appoint, user="wang", role="officer", rights=["declare"], **BY)


def test_a_user_is_suspended_resumed_and_dismissed_each_once() -> None:
    back = UserResumed(**ABOUT, user="li", reason="查清")
    assert story(REGISTERED, APPOINTED).when(party.suspend_user, user="li", reason="调查", **BY) == [OUT]
    assert story(REGISTERED, APPOINTED, OUT).when(party.suspend_user, user="li", reason="调查", **BY) == []
    assert story(REGISTERED, APPOINTED, OUT).when(party.resume_user, user="li", reason="查清", **BY) == [back]
    assert story(REGISTERED, APPOINTED).when(party.resume_user, user="li", reason="查清", **BY) == []
    assert story(REGISTERED, APPOINTED).when(party.dismiss, user="li", reason="离职", **BY) == [GONE]
    assert story(REGISTERED, APPOINTED, GONE).when(party.dismiss, user="li", reason="离职", **BY) == []
    with pytest.raises(Refused, match="any more"):
        story(REGISTERED, APPOINTED, GONE).when(party.resume_user, user="li", reason="x", **BY)


def test_an_appointment_ends_a_dismissal_but_no_suspension() -> None:
    assert story(REGISTERED, APPOINTED, GONE, APPOINTED).state.users["li"].state == "active"
    assert story(REGISTERED, APPOINTED, OUT, APPOINTED).state.users["li"].state == "suspended"


def test_one_who_was_never_appointed_is_suspended_all_the_same() -> None:
    assert story(REGISTERED).when(party.suspend_user, user="li", reason="调查", **BY) == [OUT]


def test_a_credential_is_revoked_once_and_named_without_its_secret() -> None:
    revoked = CredentialRevoked(**{**ABOUT, "by": "li"}, user="li", credential="key:ab12", reason="遗失")
    wanted: dict[str, Any] = {"user": "li", "credential": "key:ab12", "reason": "遗失", "by": "li", "at": MON}
    assert story(REGISTERED).when(party.revoke_credential, **wanted) == [revoked]
    assert story(REGISTERED, revoked).when(party.revoke_credential, **wanted) == []
    for wrong in ("ab12", "key:", "password:x"):
        with pytest.raises(Refused, match="kind:id"):
            story(REGISTERED).when(party.revoke_credential, **{**wanted, "credential": wrong})


def test_an_agent_is_appointed_by_document_and_dismissed() -> None:
    assert story(REGISTERED).when(party.appoint_agent, agent="forwarder", **AGENCY) == [AGENT]
    assert story(REGISTERED, AGENT).when(party.appoint_agent, agent="forwarder", **AGENCY) == []
    wider = story(REGISTERED, AGENT).when(party.appoint_agent, agent="forwarder", **{**AGENCY, "scopes": ["enter"]})
    assert [each.scopes for each in wider if isinstance(each, AgentAppointed)] == [("enter",)]
    gone = AgentDismissed(**ABOUT, agent="forwarder", document="委2026-1", reason="到期")
    assert story(REGISTERED, AGENT).when(party.dismiss_agent, agent="forwarder", reason="到期", **BY) == [gone]
    assert story(REGISTERED, AGENT, gone).when(party.dismiss_agent, agent="forwarder", reason="到期", **BY) == []
    assert story(REGISTERED, AGENT).when(party.dismiss_agent, agent="x", reason="到期", **BY) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"agent": TRADER},
        {"agent": "role:officer"},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"valid_to": MON},
        {"valid_from": YEAR, "valid_to": TUE},
        {"valid_from": datetime(2026, 1, 1), "valid_to": YEAR},  # noqa: DTZ001  without offset, as it may come in
        {"valid_to": datetime.max.replace(tzinfo=UTC)},
        {"document": ""},
    ],
)
def test_an_agency_needs_another_party_a_scope_a_time_and_a_document(wrong: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        story(REGISTERED).when(party.appoint_agent, **{"agent": "forwarder", **AGENCY, **wrong})


def test_a_suspended_party_appoints_no_agent() -> None:
    with pytest.raises(Refused, match="good standing"):
        story(REGISTERED, SUSPENDED).when(party.appoint_agent, agent="forwarder", **AGENCY)


def test_support_is_allowed_for_a_day_at_most_and_ended() -> None:
    assert story(REGISTERED).when(party.allow_support, ticket="T1", until=TUE, **BY) == [HELP]
    assert story(REGISTERED, HELP).when(party.allow_support, ticket="T1", until=TUE, **BY) == []
    ended = SupportEnded(**ABOUT, ticket="T1")
    assert story(REGISTERED, HELP).when(party.end_support, **BY) == [ended]
    assert story(REGISTERED, HELP, ended).when(party.end_support, **BY) == []
    assert story(REGISTERED, HELP).when(party.end_support, by="root", at=TUE) == []
    for wrong in (TUE + timedelta(seconds=1), MON, MON - timedelta(days=1)):
        with pytest.raises(Refused):
            story(REGISTERED).when(party.allow_support, ticket="T1", until=wrong, **BY)
