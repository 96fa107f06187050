"""A party of the register: an enterprise, an agency, the operator, a provider, a node; its people and agents.

Its stream is `party:ID` in the commerce journal; the ID of an enterprise is its unified social credit code, of others a
short code. An agent (委托协议) sees and does for its principal what the scopes say. Support lets the call-centre look
on the party's behalf, for a day at most. Times are UTC; windows are half-open, [from, to).
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from domain import fact, identifiers, register
from domain.errors import Refused
from domain.fact import Fact

Kind = Literal["enterprise", "agency", "operator", "provider", "node"]
RIGHTS = ("enter", "declare")  # 录入, 申报
SCOPES = ("track", "enter", "declare")  # what an agent may do for its principal
CREDENTIALS = ("key", "session", "card", "token")
SUPPORT_MAX = timedelta(days=1)

# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class PartyFact(Fact, frozen=True, kw_only=True):
    """What every fact about a party says."""

    party: str  # its ID
    by: str  # the account that decided


class PartyRegistered(PartyFact, frozen=True, kw_only=True, tag="party.registered"):
    kind: Kind
    zh: str
    en: str


class PartyRenamed(PartyFact, frozen=True, kw_only=True, tag="party.renamed"):
    zh: str
    en: str


class PartySuspended(PartyFact, frozen=True, kw_only=True, tag="party.suspended"):
    reason: str


class PartyResumed(PartyFact, frozen=True, kw_only=True, tag="party.resumed"):
    reason: str


class UserAppointed(PartyFact, frozen=True, kw_only=True, tag="party.user_appointed"):
    """An account belongs to the party in this role; said again, it has the new role and rights."""

    user: str  # account
    role: str
    rights: tuple[str, ...] = ()  # of RIGHTS


class UserDismissed(PartyFact, frozen=True, kw_only=True, tag="party.user_dismissed"):
    user: str
    reason: str


class UserSuspended(PartyFact, frozen=True, kw_only=True, tag="party.user_suspended"):
    user: str
    reason: str


class UserResumed(PartyFact, frozen=True, kw_only=True, tag="party.user_resumed"):
    user: str
    reason: str


class CredentialRevoked(PartyFact, frozen=True, kw_only=True, tag="party.credential_revoked"):
    """A key, a card, a session or a token opens nothing any more."""

    user: str
    credential: str  # kind:id; never the secret
    reason: str


class AgentAppointed(PartyFact, frozen=True, kw_only=True, tag="party.agent_appointed"):
    """委托协议: the agent acts for this party."""

    agent: str  # party
    document: str  # number of the agreement
    scopes: tuple[str, ...]  # of SCOPES
    valid_from: datetime
    valid_to: datetime


class AgentDismissed(PartyFact, frozen=True, kw_only=True, tag="party.agent_dismissed"):
    agent: str
    document: str
    reason: str


class SupportAllowed(PartyFact, frozen=True, kw_only=True, tag="party.support_allowed"):
    """From now until then the call-centre may look on behalf of this party, masked."""

    ticket: str
    until: datetime


class SupportEnded(PartyFact, frozen=True, kw_only=True, tag="party.support_ended"):
    ticket: str


# --- state: the least that the decisions need ---


class User(msgspec.Struct, frozen=True):
    role: str = ""  # "": known by its suspension or dismissal only
    rights: tuple[str, ...] = ()
    state: Literal["active", "suspended", "dismissed"] = "active"


class Agency(msgspec.Struct, frozen=True):
    scopes: tuple[str, ...]
    valid_from: datetime
    valid_to: datetime


class Party(msgspec.Struct, frozen=True):
    """A party as it stands."""

    id: str
    kind: str = ""  # "": not registered
    zh: str = ""
    en: str = ""
    suspended: bool = False
    users: dict[str, User] = {}
    revoked: frozenset[str] = frozenset()  # credentials
    agents: dict[tuple[str, str], Agency] = {}  # (agent, document)
    support: dict[str, datetime] = {}  # ticket -> until


def stream(party: str) -> str:
    """Where the facts of a party are."""
    return f"party:{party}"


def evolve(party: Party, happened: Fact) -> Party:  # noqa: PLR0911  one for each kind of fact
    """The party after one more fact."""
    change = msgspec.structs.replace
    match happened:
        case PartyRegistered():
            return change(party, kind=happened.kind, zh=happened.zh, en=happened.en)
        case PartyRenamed():
            return change(party, zh=happened.zh, en=happened.en)
        case PartySuspended() | PartyResumed():
            return change(party, suspended=isinstance(happened, PartySuspended))
        case UserAppointed() | UserDismissed() | UserSuspended() | UserResumed():
            user = _user(party.users.get(happened.user, User()), happened)
            return change(party, users={**party.users, happened.user: user})
        case CredentialRevoked():
            return change(party, revoked=party.revoked | {happened.credential})
        case AgentAppointed():
            agency = Agency(happened.scopes, happened.valid_from, happened.valid_to)
            return change(party, agents={**party.agents, (happened.agent, happened.document): agency})
        case AgentDismissed():
            gone = (happened.agent, happened.document)
            return change(party, agents={each: kept for each, kept in party.agents.items() if each != gone})
        case SupportAllowed():
            return change(party, support={**party.support, happened.ticket: happened.until})
        case SupportEnded():
            left = {ticket: until for ticket, until in party.support.items() if ticket != happened.ticket}
            return change(party, support=left)
        case _:
            raise AssertionError(happened)


def _user(user: User, happened: UserAppointed | UserDismissed | UserSuspended | UserResumed) -> User:
    match happened:
        case UserAppointed():
            return User(happened.role, happened.rights, "suspended" if user.state == "suspended" else "active")
        case UserDismissed():
            return User(state="dismissed")
        case UserSuspended():
            return msgspec.structs.replace(user, state="suspended")
        case UserResumed():
            return msgspec.structs.replace(user, state="active")


# --- decisions: no facts back = nothing new, so a repeat is harmless ---


def number(kind: str, text: str) -> str:
    """The ID of a party as it is stored. Raises BadIdentifier (an enterprise's) or Refused (a code)."""
    register.chosen("单位类别", "kind of party", [kind], tuple(register.KINDS))
    return identifiers.uscc(text)[0] if kind == "enterprise" else register.code("单位代码", "party", text)


def enrol(party: Party, *, kind: Kind, zh: str, en: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """Register it. Raises BadIdentifier for an enterprise's wrong number, Refused if it is registered otherwise."""
    if number(kind, party.id) != party.id:
        stored = number(kind, party.id)
        raise Refused(f"统一社会信用代码应写作 {stored} / write the credit code as {stored}", value=party.id)
    names = _names(zh, en)
    if party.kind:
        if (party.kind, party.zh, party.en) == (kind, *names):
            return ()
        zh_kind, en_kind = register.KINDS[party.kind]
        raise Refused(f"{party.id} 已登记为{zh_kind} / {party.id} is registered already, as {en_kind}", party=party.id)
    return (PartyRegistered(**_about(party, by, at), kind=kind, zh=names[0], en=names[1]),)


def rename(party: Party, *, zh: str, en: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """Give it other names."""
    _registered(party)
    names = _names(zh, en)
    return () if (party.zh, party.en) == names else (PartyRenamed(**_about(party, by, at), zh=names[0], en=names[1]),)


def suspend(party: Party, *, reason: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """Nobody of this party sees or does anything until it is resumed."""
    _registered(party)
    return () if party.suspended else (PartySuspended(**_about(party, by, at), reason=_reason(reason)),)


def resume(party: Party, *, reason: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """Let it go on."""
    _registered(party)
    return (PartyResumed(**_about(party, by, at), reason=_reason(reason)),) if party.suspended else ()


def appoint(
    party: Party, *, user: str, role: str, by: str, at: datetime, rights: Iterable[str] = ()
) -> tuple[Fact, ...]:
    """Make an account a user of this party, or change its role and rights; a suspension stays.

    Raises Refused if the account appoints itself, if parties of this kind have no such role, or no such rights.
    """
    _registered(party)
    _another(user, by)
    if role not in register.ROLES_OF[party.kind]:
        zh, en = register.KINDS[party.kind]
        raise Refused(f"{zh}没有角色 {role[:80]} / {en} has no role {role[:80]}", role=role[:80])
    held = register.chosen("操作权限", "right", rights, RIGHTS)
    if held and party.kind != "enterprise":
        raise Refused("只有企业用户可有录入、申报权限 / only users of an enterprise may enter or declare", user=user)
    known = party.users.get(user)
    if known is not None and known.state != "dismissed" and (known.role, known.rights) == (role, held):
        return ()
    return (UserAppointed(**_about(party, by, at), user=user, role=role, rights=held),)


def dismiss(party: Party, *, user: str, reason: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """The account is no user of this party any more. One that is not known here yet is dismissed all the same."""
    _registered(party)
    _another(user, by)
    if party.users.get(user, User()).state == "dismissed":
        return ()
    return (UserDismissed(**_about(party, by, at), user=user, reason=_reason(reason)),)


def suspend_user(party: Party, *, user: str, reason: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """The account sees and does nothing until it is resumed. Raises Refused if it was dismissed."""
    _registered(party)
    _another(user, by)
    if _present(party, user) == "suspended":
        return ()
    return (UserSuspended(**_about(party, by, at), user=user, reason=_reason(reason)),)


def resume_user(party: Party, *, user: str, reason: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """Let it go on. Raises Refused if it was dismissed."""
    _registered(party)
    _another(user, by)
    if _present(party, user) == "active":
        return ()
    return (UserResumed(**_about(party, by, at), user=user, reason=_reason(reason)),)


def revoke_credential(
    party: Party, *, user: str, credential: str, reason: str, by: str, at: datetime
) -> tuple[Fact, ...]:
    """Let a credential open nothing any more; one may revoke one's own. That it is this user's, the caller checks."""
    kind, _, name = credential.partition(":")
    if kind not in CREDENTIALS or not name:
        raise Refused(f"凭证 {credential[:80]!r} 写法不对 / {credential[:80]!r} is not kind:id", value=credential[:80])
    if credential in party.revoked:
        return ()
    named = register.said("凭证", "credential", credential)
    return (CredentialRevoked(**_about(party, by, at), user=user, credential=named, reason=_reason(reason)),)


def appoint_agent(
    party: Party,
    *,
    agent: str,
    document: str,
    scopes: Iterable[str],
    valid_from: datetime,
    valid_to: datetime,
    by: str,
    at: datetime,
) -> tuple[Fact, ...]:
    """Let another party act for this one; the same document said again replaces its scopes and validity.

    Raises Refused for oneself, no scope, a validity that is over, a party that is suspended, or none of an enterprise.
    """
    _registered(party)
    if party.kind not in {"enterprise", "provider"} or party.suspended:
        raise Refused("只有正常状态的企业可委托代理 / only an enterprise in good standing has agents", party=party.id)
    if register.code("代理单位", "agent", agent) == party.id:
        raise Refused("不能委托自己 / nobody is one's own agent", agent=agent)
    held = register.chosen("委托范围", "scope", scopes, SCOPES)
    if not held:
        raise Refused("委托须有范围 / an agent needs at least one scope", known=list(SCOPES))
    start, end = register.window(valid_from, valid_to, at)
    named = register.said("委托协议编号", "document", document)
    if party.agents.get((agent, named)) == Agency(held, start, end):
        return ()
    return (
        AgentAppointed(
            **_about(party, by, at), agent=agent, document=named, scopes=held, valid_from=start, valid_to=end
        ),
    )


def dismiss_agent(
    party: Party, *, agent: str, reason: str, by: str, at: datetime, document: str = ""
) -> tuple[Fact, ...]:
    """End what was agreed with an agent under this document, or under all of them."""
    about, why = _about(party, by, at), _reason(reason)
    return tuple(
        AgentDismissed(**about, agent=agent, document=named, reason=why)
        for who, named in sorted(party.agents)
        if who == agent and document in {"", named}
    )


def allow_support(party: Party, *, ticket: str, until: datetime, by: str, at: datetime) -> tuple[Fact, ...]:
    """Let the call-centre look on this party's behalf. Raises Refused for more than 24 hours."""
    _registered(party)
    _, end = register.window(at, until, at)
    if end > at + SUPPORT_MAX:
        latest = (at + SUPPORT_MAX).astimezone(UTC).isoformat()
        raise Refused(f"协助授权最多 24 小时，至 {latest} / support is allowed for 24 hours at most", until=latest)
    named = register.said("工单号", "ticket", ticket)
    if party.support.get(named) == end:
        return ()
    return (SupportAllowed(**_about(party, by, at), ticket=named, until=end),)


def end_support(party: Party, *, by: str, at: datetime, ticket: str = "") -> tuple[Fact, ...]:
    """End it before its time: of this ticket, or of all."""
    return tuple(
        SupportEnded(**_about(party, by, at), ticket=named)
        for named, until in sorted(party.support.items())
        if until > at and ticket in {"", named}
    )


def _about(party: Party, by: str, at: datetime) -> dict[str, Any]:
    return {"happened_at": at, "recorded_at": at, "party": party.id, "by": by}


def _names(zh: str, en: str) -> tuple[str, str]:
    return register.said("中文名称", "zh", zh), register.said("英文名称", "en", en)


def _registered(party: Party) -> None:
    if not party.kind:
        raise Refused(f"单位 {party.id} 未登记 / party {party.id} is not registered", party=party.id)


def _another(user: str, by: str) -> None:
    register.said("账号", "user", user)
    if user == by:
        raise Refused("不能变更自己的用户权限 / nobody changes what he is himself", user=user)


def _present(party: Party, user: str) -> str:
    if (state := party.users.get(user, User()).state) == "dismissed":
        raise Refused(f"{user} 已不是该单位用户 / {user} is no user of this party any more", user=user)
    return state


def _reason(reason: str) -> str:
    return register.said("理由", "reason", reason)


FACTS: tuple[type[Fact], ...] = tuple(PartyFact.__subclasses__())
fact.register(*FACTS)
