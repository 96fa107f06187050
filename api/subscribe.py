"""Subscribing: `/v1/subscriptions`, an enterprise's orders for commercial items; docs/subscriptions.md tells the whole.

A holder's people order, look, change how much they order, and cancel; the node's finance sees all, orders for others,
grants trials, and suspends for arrears. To anybody else a subscription is not there. An act is effective when it is
answered, in every process (api/entitlement.py). Times are UTC in answers; with offset in questions.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.bookkeepers import keeps_books
from api.entitlement import Entitlements
from api.govern.acts import ACCEPTED, CREATED, Act, AnyRequest, Desk, admitted, answered
from api.identity import Account, needs
from api.problems import WrongRole
from domain import subscription
from domain.deciding import folded
from domain.errors import Unknown
from domain.fact import Fact
from domain.subscription import STATES, Order, Subscription, holder

PEOPLE = needs("enterprise", "enterprise-admin", "logistics", "finance", "operator")
FINANCE = [needs("finance")]
PAGE, PAGE_MAX = 100, 500
TAGS = ["subscribe"]


class Ordering(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is ordered. `account` and `party` (for whom), `trial_until`: said by the node's finance only."""

    items: list[str]
    valid_from: datetime | None = None  # null: at once
    valid_to: datetime | None = None  # null: until it is cancelled
    limits: dict[str, int] = {}  # item -> units a month
    tariffs: dict[str, str] = {}  # item -> price version that was seen; 409 if it is another by then
    trial_until: datetime | None = None
    account: str = ""
    party: str = ""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    limits: dict[str, int]


class Cancelling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ends_at: datetime | None = None  # null: at once
    reason: str = ""


class Reasoned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as it stands."""

    id: str
    version: int
    state: str
    state_zh: str
    state_en: str
    holder: str  # party, or account:NAME
    ordered_by: str
    items: list[str]
    tariffs: dict[str, str]
    limits: dict[str, int]
    valid_from: datetime
    ends_at: datetime | None
    trial: bool


# --- looking ---


def shown(entitlements: Entitlements, found: Subscription, now: datetime) -> Shown:
    assert found.made is not None
    state = found.status(now)
    return Shown(
        id=found.id,
        version=entitlements.subscriptions.versions.get(subscription.stream(found.id), 0),
        state=state,
        state_zh=STATES[state][0],
        state_en=STATES[state][1],
        holder=found.holder,
        ordered_by=found.made.by,
        items=list(found.made.items),
        tariffs=found.made.tariffs,
        limits=found.limits,
        valid_from=found.made.valid_from,
        ends_at=found.ends_at,
        trial=found.made.trial_until is not None,
    )


def oversees(account: Account, desk: Desk) -> bool:
    """The finance of the node itself: an enterprise has people of finance, too."""
    return keeps_books(account, desk.register, ("finance",))


def known(entitlements: Entitlements, account: Account, desk: Desk, name: str) -> Subscription:
    """Raises Unknown, also for what is another's."""
    found = entitlements.subscriptions.by_id.get(name)
    if found is None or not (_own(account, found) or oversees(account, desk)):
        raise Unknown(f"没有订阅 {name[:80]!r} / there is no subscription {name[:80]!r}", subscription=name[:80])
    return found


def _own(account: Account, found: Subscription) -> bool:
    return found.holder == holder(account.account, account.party)


async def current(request: AnyRequest, desk: Desk, entitlements: Entitlements) -> Account:
    """The caller, with the subscriptions as they are now. Raises Barred."""
    account = await admitted(request, desk)
    await asyncio.to_thread(entitlements.refresh)
    return account


@get("/v1/subscriptions", guards=[PEOPLE], tags=TAGS)
async def subscriptions(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    entitlements: NamedDependency[Entitlements],
    *,
    whose: Annotated[str, QueryParameter(name="holder")] = "",
    skip: Annotated[int, QueryParameter(ge=0, le=10**9)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE,
) -> list[Shown]:
    """One's own, the newest first; the node's finance sees all, or those of `holder`."""
    account, now = await current(request, desk, entitlements), datetime.now(UTC)
    everybodys = oversees(account, desk)
    found = [
        shown(entitlements, each, now)
        for each in reversed(list(entitlements.subscriptions.by_id.values()))
        if _own(account, each) or (everybodys and whose in {"", each.holder})
    ]
    return found[skip : skip + limit]


@get("/v1/subscriptions/{order:str}", guards=[PEOPLE], tags=TAGS)
async def one(
    request: AnyRequest,
    order: FromPath[str],
    desk: NamedDependency[Desk],
    entitlements: NamedDependency[Entitlements],
) -> Shown:
    """One of them."""
    account = await current(request, desk, entitlements)
    return shown(entitlements, known(entitlements, account, desk, order), datetime.now(UTC))


# --- ordering ---


@post("/v1/subscriptions", guards=[PEOPLE], tags=TAGS, status_code=CREATED)
async def subscribe(
    request: AnyRequest,
    data: JSONBody[Ordering],
    desk: NamedDependency[Desk],
    entitlements: NamedDependency[Entitlements],
) -> Response[bytes]:
    """Order commercial items for one's own party, at the prices in force."""
    account, now = await current(request, desk, entitlements), datetime.now(UTC)
    for_another = bool(data.account or data.party or data.trial_until)
    if for_another and not oversees(account, desk):
        raise WrongRole(
            "代他人订阅、试用须由运营单位财务办理 / only the node's finance orders for others or grants a trial",
            role=account.role,
            needed=["finance"],
        )
    offers = await asyncio.to_thread(entitlements.offers)
    whose = holder(data.account or account.account, data.party if for_another else account.party)
    given: dict[str, Any] = {**_by(account, now), "offers": offers, "account": data.account, "party": data.party}
    given["in_arrears"] = entitlements.subscriptions.in_arrears(whose)
    wanted = Order(
        items=tuple(data.items),
        valid_from=data.valid_from,
        valid_to=data.valid_to,
        trial_until=data.trial_until,
        limits=data.limits,
        tariffs=data.tariffs,
    )
    detail = f"{whose} {' '.join(data.items)}"

    def act(key: UUID) -> Act:
        name = f"S-{key.hex}"
        return _act("subscription.made", name, lambda found: subscription.subscribe(found, wanted, **given), detail)

    return await answered(request, desk, account, act, status=CREATED, location="/v1/subscriptions/{id}")


def _by(account: Account, now: datetime) -> dict[str, Any]:
    return {"by": account.account, "by_party": account.party, "at": now}


def _act(action: str, name: str, decision: Callable[[Subscription], Sequence[Fact]], detail: str = "") -> Act:
    fold = folded(Subscription(name), subscription.evolve)
    return Act(action, subscription.stream(name), fold, decision, detail)


@post("/v1/subscriptions/{order:str}/limits", guards=[PEOPLE], tags=TAGS, status_code=ACCEPTED)
async def limits(
    request: AnyRequest,
    order: FromPath[str],
    data: JSONBody[Limits],
    desk: NamedDependency[Desk],
    entitlements: NamedDependency[Entitlements],
) -> Response[bytes]:
    """How many units a month are ordered, of each item that has a number; from now on."""
    account, now = await current(request, desk, entitlements), datetime.now(UTC)
    found = known(entitlements, account, desk, order)
    given = {**_by(account, now), "limits": data.limits}
    detail = " ".join(f"{item}={units}" for item, units in data.limits.items())
    made = _act("subscription.limits_set", found.id, lambda state: subscription.set_limits(state, **given), detail)
    return await answered(request, desk, account, lambda _: made)


@post("/v1/subscriptions/{order:str}/cancel", guards=[PEOPLE], tags=TAGS, status_code=ACCEPTED)
async def cancel(
    request: AnyRequest,
    order: FromPath[str],
    data: JSONBody[Cancelling],
    desk: NamedDependency[Desk],
    entitlements: NamedDependency[Entitlements],
) -> Response[bytes]:
    """End it, at once or at `ends_at`."""
    account, now = await current(request, desk, entitlements), datetime.now(UTC)
    found = known(entitlements, account, desk, order)
    given = {**_by(account, now), "ends_at": data.ends_at, "reason": data.reason}
    made = _act("subscription.cancelled", found.id, lambda state: subscription.cancel(state, **given), data.reason)
    return await answered(request, desk, account, lambda _: made)


# --- arrears: the node's finance ---


@post("/v1/subscriptions/{order:str}/suspend", guards=FINANCE, tags=TAGS, status_code=ACCEPTED)
async def suspend(
    request: AnyRequest,
    order: FromPath[str],
    data: JSONBody[Reasoned],
    desk: NamedDependency[Desk],
    entitlements: NamedDependency[Entitlements],
) -> Response[bytes]:
    """For arrears: its items stop with the next call. Government services are not touched."""
    return await _arrears(request, order, data, desk, entitlements, change="suspended")


@post("/v1/subscriptions/{order:str}/resume", guards=FINANCE, tags=TAGS, status_code=ACCEPTED)
async def resume(
    request: AnyRequest,
    order: FromPath[str],
    data: JSONBody[Reasoned],
    desk: NamedDependency[Desk],
    entitlements: NamedDependency[Entitlements],
) -> Response[bytes]:
    """The arrears are settled."""
    return await _arrears(request, order, data, desk, entitlements, change="resumed")


async def _arrears(
    request: AnyRequest, order: str, data: Reasoned, desk: Desk, entitlements: Entitlements, *, change: str
) -> Response[bytes]:
    account, now = await current(request, desk, entitlements), datetime.now(UTC)
    found = known(entitlements, account, desk, order)
    if not oversees(account, desk):
        raise WrongRole(
            "欠费暂停与恢复由运营单位财务办理 / only the node's finance suspends and resumes",
            role=account.role,
            needed=["finance"],
        )
    decide = subscription.suspend if change == "suspended" else subscription.resume
    given = {**_by(account, now), "reason": data.reason}
    made = _act(f"subscription.{change}", found.id, lambda state: decide(state, **given), data.reason)
    return await answered(request, desk, account, lambda _: made)


ROUTES = (subscriptions, one, subscribe, limits, cancel, suspend, resume)
