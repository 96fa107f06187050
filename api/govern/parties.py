"""Parties by API, with their agents and the support that they allow.

The security administrator registers, renames, suspends and resumes; a party's own administrator appoints agents and
allows support. Who has no business with a party is told that there is none.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api.govern.acts import ACCEPTED, CREATED, Act, AnyRequest, Desk, admitted, answered
from api.govern.book import Book, Happened, history
from api.identity import Account, needs
from domain import party as party_book
from domain import register as register_book
from domain.deciding import folded
from domain.errors import Refused, Unknown
from domain.fact import Fact
from domain.party import AgentAppointed, AgentDismissed, Kind, Party, SupportAllowed, SupportEnded

SEES_ALL = frozenset({"security-admin", "system-admin", "auditor"})
PAGE, PAGE_MAX = 100, 500
ADMIN = [needs("security-admin")]
OWN_ADMIN = [needs("enterprise-admin")]


class Registering(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`id`: unified social credit code of an enterprise, a code of others."""

    id: str
    kind: Kind
    zh: str
    en: str


class Renaming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    zh: str
    en: str


class Reasoned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


class AppointingAgent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    agent: str
    document: str  # number of the agreement
    scopes: list[str]  # track, enter, declare
    valid_from: datetime
    valid_to: datetime


class DismissingAgent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    agent: str
    reason: str
    document: str = ""  # "": all of them


class AllowingSupport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ticket: str
    until: datetime


class EndingSupport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ticket: str = ""  # "": all of them


class Agent(msgspec.Struct, frozen=True):
    """One agreement with an agent, seen from either side."""

    party: str  # the other side
    zh: str
    en: str
    document: str
    scopes: tuple[str, ...]
    valid_from: datetime
    valid_to: datetime
    live: bool


class Support(msgspec.Struct, frozen=True):
    ticket: str
    until: datetime
    live: bool


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A party as it stands. `agents` act for it, it acts for its `principals`."""

    id: str
    version: int
    kind: str
    kind_zh: str
    kind_en: str
    zh: str
    en: str
    suspended: bool
    agents: list[Agent] = []
    principals: list[Agent] = []
    support: list[Support] = []
    history: list[Happened] = []


# --- looking ---


def shown(book: Book, found: Party, now: datetime, *, whole: bool = True) -> Shown:
    """`whole`: with agents and support, as the party itself sees it."""
    kind_zh, kind_en = register_book.KINDS.get(found.kind, ("未登记", "not registered"))
    told = Shown(
        id=found.id,
        version=book.versions.get(party_book.stream(found.id), 0),
        kind=found.kind,
        kind_zh=kind_zh,
        kind_en=kind_en,
        zh=found.zh,
        en=found.en,
        suspended=found.suspended,
    )
    if not whole:
        return told
    return msgspec.structs.replace(
        told,
        agents=[_agent(book, key, agency, now) for key, agency in sorted(found.agents.items())],
        principals=[
            _agent(book, (other.id, document), agency, now)
            for other in book.parties.values()
            for (agent, document), agency in other.agents.items()
            if agent == found.id
        ],
        support=[Support(ticket, until, now < until) for ticket, until in sorted(found.support.items())],
    )


def _agent(book: Book, key: tuple[str, str], agency: party_book.Agency, now: datetime) -> Agent:
    other, document = key
    live = register_book.inside(agency.valid_from, agency.valid_to, now)
    return Agent(other, *book.names(other), document, agency.scopes, agency.valid_from, agency.valid_to, live)


@get("/v1/parties", guards=[needs()], tags=["govern"])
async def listing(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    after: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE,
) -> list[Shown]:
    """By their codes: to the node's administrators and auditors all, to others their own."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    book = desk.book
    names = sorted(name for name in book.parties if name > after and _sees(account, name))
    return [shown(book, book.parties[name], now, whole=name == account.party) for name in names[:limit]]


@get("/v1/parties/{name:str}", guards=[needs()], tags=["govern"])
async def show(
    request: AnyRequest,
    name: FromPath[str],
    desk: NamedDependency[Desk],
) -> Shown:
    """One party, with its agents, its principals, and its history."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    found = known(desk.book, account, name)
    told = await asyncio.to_thread(history, desk.journal, desk.pool, party_book.stream(found.id), account)
    return msgspec.structs.replace(shown(desk.book, found, now), history=told)


@get("/v1/parties/{name:str}/agents", guards=[needs()], tags=["govern"])
async def agents(request: AnyRequest, name: FromPath[str], desk: NamedDependency[Desk]) -> Shown:
    """Who acts for it and for whom it acts, with the history of that."""
    return await _part(request, name, desk, AgentAppointed | AgentDismissed)


@get("/v1/parties/{name:str}/support", guards=[needs()], tags=["govern"])
async def support(request: AnyRequest, name: FromPath[str], desk: NamedDependency[Desk]) -> Shown:
    """Until when the call-centre may look on its behalf, with the history of that."""
    return await _part(request, name, desk, SupportAllowed | SupportEnded)


async def _part(request: AnyRequest, name: str, desk: Desk, kinds: Any) -> Shown:
    account, now = await admitted(request, desk), datetime.now(UTC)
    found = known(desk.book, account, name)
    stream, wanted = party_book.stream(found.id), lambda each: isinstance(each, kinds)
    told = await asyncio.to_thread(history, desk.journal, desk.pool, stream, account, wanted)
    return msgspec.structs.replace(shown(desk.book, found, now), history=told)


def _sees(account: Account, name: str) -> bool:
    return account.role in SEES_ALL or (account.party != "" and name == account.party)


def known(book: Book, account: Account, name: str) -> Party:
    """Raises Unknown."""
    found = book.parties.get(name)
    if found is None or not _sees(account, name):
        raise _unknown(name)
    return found


def _unknown(name: str) -> Unknown:
    return Unknown(f"没有单位 {name[:80]!r} / there is no party {name[:80]!r}", party=name[:80])


# --- registering ---


@post("/v1/parties", guards=ADMIN, tags=["govern"], status_code=CREATED)
async def enrol(
    request: AnyRequest,
    data: JSONBody[Registering],
    desk: NamedDependency[Desk],
) -> Response[bytes]:
    """Register a party."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    name = party_book.number(data.kind, data.id.strip())
    given: dict[str, Any] = {"kind": data.kind, "zh": data.zh, "en": data.en, "by": account.account, "at": now}
    act = _act("party.registered", name, lambda state: party_book.enrol(state, **given), f"{data.kind} {data.zh}")
    return await answered(request, desk, account, lambda _: act, status=CREATED, location="/v1/parties/{id}")


@post("/v1/parties/{name:str}/rename", guards=ADMIN, tags=["govern"], status_code=ACCEPTED)
async def rename(
    request: AnyRequest,
    name: FromPath[str],
    data: JSONBody[Renaming],
    desk: NamedDependency[Desk],
) -> Response[bytes]:
    """Other names."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    given: dict[str, Any] = {"zh": data.zh, "en": data.en, "by": account.account, "at": now}
    found = known(desk.book, account, name)
    act = _act("party.renamed", found.id, lambda state: party_book.rename(state, **given), f"{data.zh} / {data.en}")
    return await answered(request, desk, account, lambda _: act)


@post("/v1/parties/{name:str}/{change:str}", guards=ADMIN, tags=["govern"], status_code=ACCEPTED)
async def change(
    request: AnyRequest,
    name: FromPath[str],
    change: FromPath[str],
    data: JSONBody[Reasoned],
    desk: NamedDependency[Desk],
) -> Response[bytes]:
    """`…/suspend`: nobody of it sees or does anything; `…/resume`."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    found = known(desk.book, account, name)
    decisions = {"suspend": party_book.suspend, "resume": party_book.resume}
    if change not in decisions:
        raise Unknown(f"单位不能 {change[:40]!r} / a party cannot be {change[:40]!r}", allowed=[*decisions, "rename"])
    if found.id == account.party and change == "suspend":
        raise Refused("不能暂停本单位 / nobody suspends his own party", party=found.id)
    given: dict[str, Any] = {"reason": data.reason, "by": account.account, "at": now}
    act = _act(f"party.{change}", found.id, lambda state: decisions[change](state, **given), data.reason)
    return await answered(request, desk, account, lambda _: act)


def _act(action: str, name: str, decision: Callable[[Party], Sequence[Fact]], detail: str = "") -> Act:
    return Act(action, party_book.stream(name), folded(Party(name), party_book.evolve), decision, detail)


# --- agents and support: by the party's own administrator ---


@post("/v1/parties/{name:str}/agents", guards=OWN_ADMIN, tags=["govern"], status_code=CREATED)
async def appoint_agent(
    request: AnyRequest, name: FromPath[str], data: JSONBody[AppointingAgent], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Let another registered party act for this one; the same document again replaces scopes and validity."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = appointing(desk, account, _own(desk.book, account, name), data, now)
    return await answered(request, desk, account, lambda _: act, status=CREATED, location="/v1/parties/{id}/agents")


def appointing(desk: Desk, account: Account, name: str, data: AppointingAgent, now: datetime) -> Act:
    """Raises Refused for an agent that nobody has registered."""
    agent = data.agent.strip()
    if agent not in desk.register.rights.kinds:
        raise Refused(f"代理单位 {agent[:80]} 未登记 / agent {agent[:80]} is not registered", agent=agent[:80])
    given = {**msgspec.structs.asdict(data), "agent": agent, "by": account.account, "at": now}
    detail = f"{agent} {data.document} {' '.join(data.scopes)}"
    return _act("party.agent_appointed", name, lambda state: party_book.appoint_agent(state, **given), detail)


@delete("/v1/parties/{name:str}/agents", guards=OWN_ADMIN, tags=["govern"], status_code=ACCEPTED)
async def dismiss_agent(
    request: AnyRequest, name: FromPath[str], data: JSONBody[DismissingAgent], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """End what was agreed with an agent, under one document or all."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = dismissing(account, _own(desk.book, account, name), data, now)
    return await answered(request, desk, account, lambda _: act)


def dismissing(account: Account, name: str, data: DismissingAgent, now: datetime) -> Act:
    given: dict[str, Any] = {**msgspec.structs.asdict(data), "by": account.account, "at": now}
    detail = f"{data.agent} {data.document} {data.reason}"
    return _act("party.agent_dismissed", name, lambda state: party_book.dismiss_agent(state, **given), detail)


@post("/v1/parties/{name:str}/support", guards=OWN_ADMIN, tags=["govern"], status_code=CREATED)
async def allow_support(
    request: AnyRequest, name: FromPath[str], data: JSONBody[AllowingSupport], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Let the call-centre look on this party's behalf, masked, for a day at most."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = allowing(account, _own(desk.book, account, name), data, now)
    return await answered(request, desk, account, lambda _: act, status=CREATED, location="/v1/parties/{id}/support")


def allowing(account: Account, name: str, data: AllowingSupport, now: datetime) -> Act:
    given: dict[str, Any] = {"ticket": data.ticket, "until": data.until, "by": account.account, "at": now}
    detail = f"{data.ticket} {data.until.isoformat()}"
    return _act("party.support_allowed", name, lambda state: party_book.allow_support(state, **given), detail)


@delete("/v1/parties/{name:str}/support", guards=OWN_ADMIN, tags=["govern"], status_code=ACCEPTED)
async def end_support(
    request: AnyRequest, name: FromPath[str], data: JSONBody[EndingSupport], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """End it before its time."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = ending_support(account, _own(desk.book, account, name), data.ticket, now)
    return await answered(request, desk, account, lambda _: act)


def ending_support(account: Account, name: str, ticket: str, now: datetime) -> Act:
    given: dict[str, Any] = {"ticket": ticket, "by": account.account, "at": now}
    return _act("party.support_ended", name, lambda state: party_book.end_support(state, **given), ticket)


def _own(book: Book, account: Account, name: str) -> str:
    """The party that the caller administers. Raises Unknown for any other."""
    if not account.party or name != account.party or name not in book.parties:
        raise _unknown(name)
    return name


ROUTES = (
    listing,
    show,
    agents,
    support,
    enrol,
    rename,
    change,
    appoint_agent,
    dismiss_agent,
    allow_support,
    end_support,
)
