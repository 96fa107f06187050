"""Permissions by API: a party asks, the department that owns the dataset decides, others say what they think.

A permission is seen by who asked for it or receives it, by the owner of its dataset (and the one that granted it), by
the departments that were asked, and by auditors; to all others it is not there. Its number is given out here, so that
nobody occupies one. The operator has no part in it. Validity is half-open, [from, to).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api.govern.acts import ACCEPTED, CREATED, Act, AnyRequest, Desk, admitted, answered
from api.govern.book import Book, Happened, history
from api.identity import Account, needs
from api.problems import WrongRole
from domain import permission
from domain.datasets import DATASETS
from domain.deciding import folded
from domain.errors import Refused, Unknown
from domain.fact import Fact
from domain.permission import STANCES, STATES, Permission, Stance
from domain.terms import CHANNELS, Channel, Terms

ASKERS = needs("enterprise", "enterprise-admin", "logistics", "officer", "steward")
STEWARD = [needs("steward")]
DEPARTMENT = frozenset({"steward", "officer"})
PAGE, PAGE_MAX = 100, 500
State = Literal["requested", "declined", "granted", "suspended", "revoked", "expired"]


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for. `recipient` "": the caller's party; another one (party, role:…, kind:…) for owners only."""

    dataset: str
    purpose: str
    channels: tuple[Channel, ...]
    valid_from: datetime
    valid_to: datetime
    recipient: str = ""
    fields: tuple[str, ...] = ()  # none named: all
    masking: tuple[str, ...] = ()
    commercial: bool = False


class Granting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`terms`: what is granted instead of what was asked for."""

    approver: str
    document_no: str
    competent_department: str = ""
    reason: str = ""  # for granting it against an opinion
    terms: Wanted | None = None


class Requesting(Wanted, frozen=True, forbid_unknown_fields=True):
    """`grant`: by the owner's steward, who grants it in the same step."""

    grant: Granting | None = None


class Reasoned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


class Asking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    departments: list[str]


class Opining(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    stance: Stance
    text: str = ""


class Opinion(msgspec.Struct, frozen=True):
    department: str
    department_zh: str
    department_en: str
    stance: str  # "": asked, not answered yet
    zh: str
    en: str
    text: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A permission as it stands, with the opinions on it. `history`: of a single one."""

    id: str
    version: int
    state: str
    state_zh: str
    state_en: str
    dataset: str
    dataset_zh: str
    dataset_en: str
    owner: str  # of the dataset, now
    granted_by: str  # "": nobody has granted it
    recipient: str
    recipient_zh: str
    recipient_en: str
    requested_by: str
    terms: Terms
    channels_zh: list[str]
    channels_en: list[str]
    opinions: list[Opinion]
    history: list[Happened] = []


# --- looking ---


def shown(book: Book, found: Permission, now: datetime) -> Shown:
    assert found.terms is not None
    status, listed = found.status(now), DATASETS[found.terms.dataset]
    recipient = book.names(found.terms.recipient)
    return Shown(
        id=found.id,
        version=book.versions.get(permission.stream(found.id), 0),
        state=status,
        state_zh=STATES[status][0],
        state_en=STATES[status][1],
        dataset=listed.name,
        dataset_zh=listed.zh,
        dataset_en=listed.en,
        owner=book.datasets[listed.name].owner,
        granted_by=found.owner,
        recipient=found.terms.recipient,
        recipient_zh=recipient[0],
        recipient_en=recipient[1],
        requested_by=found.requested_by,
        terms=found.terms,
        channels_zh=[CHANNELS[each][0] for each in found.terms.channels],
        channels_en=[CHANNELS[each][1] for each in found.terms.channels],
        opinions=[_opinion(book, name, said) for name, said in sorted(found.opinions.items())],
    )


def _opinion(book: Book, department: str, said: permission.Opinion) -> Opinion:
    words = STANCES[said.stance] if said.stance else ("待反馈", "not answered yet")
    return Opinion(department, *book.names(department), said.stance, *words, said.text)


def sees(book: Book, account: Account, found: Permission) -> bool:
    """Whether the caller has business with it."""
    if found.terms is None:
        return False
    if account.role == "auditor":
        return True
    if not account.party or account.role in {"operator", "call-centre", "system-admin", "security-admin", "source"}:
        return False
    if account.party in {found.requested_by, found.terms.recipient}:
        return True
    owners = {book.datasets[found.terms.dataset].owner, found.owner}
    return account.role in DEPARTMENT and (account.party in owners or account.party in found.opinions)


def seen(book: Book, account: Account, now: datetime, *, state: str = "", dataset: str = "") -> list[Shown]:
    """All that the caller has business with, the newest first."""
    found = [
        shown(book, each, now)
        for each in book.permissions.values()
        if sees(book, account, each) and (not state or each.status(now) == state)
    ]
    return [each for each in reversed(found) if dataset in {"", each.dataset}]


def known(book: Book, account: Account, name: str) -> Permission:
    """Raises Unknown."""
    found = book.permissions.get(name)
    if found is None or not sees(book, account, found):
        raise Unknown(f"没有许可 {name[:80]!r} / there is no permission {name[:80]!r}", permission=name[:80])
    return found


@get("/v1/permissions", guards=[needs()], tags=["govern"])
async def listing(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    *,
    dataset: FromQuery[str] = "",
    standing: Annotated[State | None, QueryParameter(name="state")] = None,
    skip: Annotated[int, QueryParameter(ge=0, le=10**9)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE,
) -> list[Shown]:
    """The newest first: one's own requests and permissions, those of one's datasets, those that one was asked about."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    return seen(desk.book, account, now, state=standing or "", dataset=dataset)[skip : skip + limit]


@get("/v1/permissions/{name:str}", guards=[needs()], tags=["govern"])
async def show(request: AnyRequest, name: FromPath[str], desk: NamedDependency[Desk]) -> Shown:
    """One of them, with its history."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    found = known(desk.book, account, name)
    stream = permission.stream(found.id)
    told = await asyncio.to_thread(history, desk.journal, desk.pool, stream, account)
    return msgspec.structs.replace(shown(desk.book, found, now), history=told)


# --- asking ---


@post("/v1/permissions", guards=[ASKERS], tags=["govern"], status_code=CREATED)
async def request_(request: AnyRequest, data: JSONBody[Requesting], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Ask for it, for one's own party. The owner's steward grants it at once, to whomever, with `grant`."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    return await answered(
        request,
        desk,
        account,
        lambda key: requesting(desk, account, data, key, now),
        status=CREATED,
        location="/v1/permissions/{id}",
    )


def requesting(desk: Desk, account: Account, data: Requesting, key: UUID, now: datetime) -> Act:
    """Raises Refused for whom the caller may not ask, WrongRole for who grants without being a steward."""
    kinds, name = desk.register.rights.kinds, f"P-{key.hex}"
    wanted = _terms(data, data.recipient.strip() or account.party)
    if data.grant is not None:
        if account.role != "steward":
            raise WrongRole(f"{account.account}: steward", role=account.role, needed=["steward"])
        if ":" not in wanted.recipient and wanted.recipient not in kinds:
            raise Refused(f"{wanted.recipient[:80]} 未登记 / {wanted.recipient[:80]} is not registered")
        return granting(desk, account, Permission(name), msgspec.structs.replace(data.grant, terms=data), now)
    if wanted.recipient != account.party or account.party not in kinds:
        raise Refused(
            "只能为本单位申请，且本单位须已登记 / one asks for one's own party, which must be registered",
            recipient=wanted.recipient[:80],
        )
    given: dict[str, Any] = {**_by(account, now), "terms": wanted}
    detail = f"{wanted.dataset} {wanted.recipient} {wanted.purpose}"
    return _act("permission.requested", name, lambda state: permission.request(state, **given), detail)


def _terms(data: Wanted, recipient: str) -> Terms:
    fields = {field: getattr(data, field) for field in Wanted.__struct_fields__}
    return Terms(**{**fields, "recipient": recipient})


def _by(account: Account, now: datetime) -> dict[str, Any]:
    return {"by": account.account, "by_party": account.party, "at": now}


def _act(action: str, name: str, decision: Callable[[Permission], Sequence[Fact]], detail: str) -> Act:
    return Act(action, permission.stream(name), folded(Permission(name), permission.evolve), decision, detail)


# --- deciding: the owner's steward ---


@post("/v1/permissions/{name:str}/grant", guards=STEWARD, tags=["govern"], status_code=ACCEPTED)
async def grant(
    request: AnyRequest, name: FromPath[str], data: JSONBody[Granting], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Grant what was asked for, or `terms` instead."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = granting(desk, account, known(desk.book, account, name), data, now)
    return await answered(request, desk, account, lambda _: act)


def granting(desk: Desk, account: Account, found: Permission, data: Granting, now: datetime) -> Act:
    """`found` may be a new one, without terms: then `data` says them."""
    asked = found.terms
    wanted = _terms(data.terms, data.terms.recipient.strip() or _recipient(asked, account)) if data.terms else None
    dataset = wanted.dataset if wanted else asked.dataset if asked else ""
    given: dict[str, Any] = {**_by(account, now), "owner": owner(desk, dataset), "terms": wanted}
    given |= {field: getattr(data, field) for field in ("approver", "document_no", "competent_department", "reason")}
    detail = f"{dataset} {data.document_no} {data.approver}"
    return _act("permission.granted", found.id, lambda state: permission.grant(state, **given), detail)


def _recipient(asked: Terms | None, account: Account) -> str:
    return asked.recipient if asked else account.party


def owner(desk: Desk, dataset: str) -> str:
    """The department that owns a dataset now; "" for none."""
    found = desk.register.rights.datasets.get(dataset)
    return found.owner if found else ""


STEPS: Mapping[str, Callable[..., Sequence[Fact]]] = {
    "decline": permission.decline,
    "suspend": permission.suspend,
    "resume": permission.resume,
    "revoke": permission.revoke,
}
DONE = {"decline": "declined", "suspend": "suspended", "resume": "resumed", "revoke": "revoked"}


@post("/v1/permissions/{name:str}/{step:str}", guards=STEWARD, tags=["govern"], status_code=ACCEPTED)
async def decide(
    request: AnyRequest, name: FromPath[str], step: FromPath[str], data: JSONBody[Reasoned], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """`…/decline`, `…/suspend`, `…/resume`, `…/revoke`, each with a reason; it counts from the next read on."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = stepping(desk, account, known(desk.book, account, name), (step, data.reason), now)
    return await answered(request, desk, account, lambda _: act)


def stepping(desk: Desk, account: Account, found: Permission, told: tuple[str, str], now: datetime) -> Act:
    """`told`: the step and its reason. Raises Unknown for a word that is no step."""
    step, reason = told
    if step not in STEPS or found.terms is None:
        allowed = [*STEPS, "grant", "ask", "opinion"]
        raise Unknown(f"许可不能 {step[:40]!r} / a permission cannot be {step[:40]!r}", allowed=allowed)
    given = {**_by(account, now), "owner": owner(desk, found.terms.dataset), "reason": reason}
    return _act(f"permission.{DONE[step]}", found.id, lambda state: STEPS[step](state, **given), reason)


# --- opinions ---


@post("/v1/permissions/{name:str}/ask", guards=STEWARD, tags=["govern"], status_code=ACCEPTED)
async def ask(
    request: AnyRequest, name: FromPath[str], data: JSONBody[Asking], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Ask other departments what they think."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = asking(desk, account, known(desk.book, account, name), data.departments, now)
    return await answered(request, desk, account, lambda _: act)


def asking(desk: Desk, account: Account, found: Permission, departments: Sequence[str], now: datetime) -> Act:
    """Raises Refused for who is no department."""
    kinds = desk.register.rights.kinds
    for department in departments:
        if kinds.get(department) != "agency":
            raise Refused(
                f"{department[:80]} 不是政府部门 / {department[:80]} is no agency", department=department[:80]
            )
    dataset = found.terms.dataset if found.terms else ""
    given: dict[str, Any] = {**_by(account, now), "owner": owner(desk, dataset), "departments": list(departments)}
    decision = lambda state: permission.ask_opinions(state, **given)  # noqa: E731
    return _act("permission.opinion_asked", found.id, decision, " ".join(departments))


@post("/v1/permissions/{name:str}/opinion", guards=[needs("steward", "officer")], tags=["govern"], status_code=ACCEPTED)
async def opine(
    request: AnyRequest, name: FromPath[str], data: JSONBody[Opining], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Say what one's department thinks; said again, the later counts."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = opining(account, known(desk.book, account, name), data, now)
    return await answered(request, desk, account, lambda _: act)


def opining(account: Account, found: Permission, data: Opining, now: datetime) -> Act:
    given: dict[str, Any] = {**_by(account, now), "stance": data.stance, "text": data.text}
    decision = lambda state: permission.give_opinion(state, **given)  # noqa: E731
    return _act("permission.opinion_given", found.id, decision, f"{data.stance} {data.text}")


ROUTES = (listing, show, request_, grant, decide, ask, opine)
