"""Dunning as a page: what is overdue and how far it has come, what was told to whom, what stands still, a run by hand.

The same as by API (api/dunning.py); forms without script. Who keeps the node's books sees everybody's, an enterprise
its own. Due days are those of Asia/Shanghai.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Any, NamedTuple

import psycopg
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from api import dunning
from api.bookkeepers import FINANCE, LOOKERS, keeps_books
from api.dunning import Standing
from api.entitlement import Entitlements
from api.govern.acts import Desk, admitted
from api.login.door import ours
from api.portal.forms import refused
from api.portal.holders import Whose, names
from api.portal.keepers import keeper
from api.portal.pages import AnyRequest, foreign, gate, on_error, page
from api.settings import Settings
from api.upload import form_of
from api.words import Pair
from domain.dunning import DunningFact, DunningSuspended, Ladder
from domain.errors import KouanError
from domain.period import ZONE
from projections import receivables

PATH = "/dunning"
SHOWN, TOLD_SHOWN = 50, 20
RAN_DIGITS_MAX = 6


class Stopped(NamedTuple):
    """A holder whose paid subscriptions dunning has suspended."""

    told: DunningSuspended
    items: list[str]  # that they name
    overdue: bool  # no more: the next run lets them go on


class Found(NamedTuple):
    """All that the page shows, of everybody or of one holder."""

    standing: list[Standing]  # the longest overdue first
    stopped: list[Stopped]
    told: Sequence[DunningFact]  # the newest first
    due: int  # what a run would tell now
    idle: set[Whose]  # have no subscription that could be suspended
    names: dict[Whose, Pair]
    ladder: Ladder


@get(PATH)
async def overdue(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    entitlements: NamedDependency[Entitlements],
    settings: NamedDependency[Settings],
) -> Response[Any]:
    """What is overdue: everybody's, or one's own."""
    if request.user is None:
        return gate(request, PATH)
    return await _shown(request, desk, entitlements, settings.dunning)


async def _shown(
    request: AnyRequest,
    desk: Desk,
    entitlements: Entitlements,
    ladder: Ladder,
    *,
    refused: str = "",
    status: int = HTTPStatus.OK,
) -> Response[Any]:
    account = await admitted(request, desk)
    everybody = keeps_books(account, desk.register, LOOKERS)
    own = None if everybody else (account.party or account.account, bool(account.party))
    now = datetime.now(UTC)

    def read() -> Found:
        entitlements.refresh()
        with desk.pool.connection() as connection:
            return look(connection, entitlements, ladder, now, own)

    found = await asyncio.to_thread(read)
    ran, after = (request.query_params.get(name, "") for name in ("ran", "after"))
    shown = view(found, now, after, ran if ran.isascii() and ran.isdecimal() and len(ran) <= RAN_DIGITS_MAX else "")
    acts = keeps_books(account, desk.register, FINANCE)
    return page(request, "dunning.html", status=status, refused=refused, acts=acts, everybody=everybody, **shown)


def look(
    connection: psycopg.Connection[Any],
    entitlements: Entitlements,
    ladder: Ladder,
    now: datetime,
    own: Whose | None,
) -> Found:
    """`own`: of this holder alone; None: of everybody."""
    told = [each for each in dunning.history(connection) if own in {None, (each.holder, each.is_party)}]
    dunned = dunning.by_holder(told)
    owed = [each for each in receivables.open(connection, now) if own in {None, (each.holder, each.is_party)}]
    late = dunning.overdue(owed, now)
    running = {whose: dunning.running_of(entitlements, whose) for whose in {*late, *dunned}}
    acts = dunning.due(owed, dunned, running, ladder=ladder, by="", at=now)
    shown = told[-TOLD_SHOWN:][::-1]
    stopped = [
        Stopped(each.suspended, _items(entitlements, each.suspended), whose in late)
        for whose, each in dunned.items()
        if each.suspended
    ]
    called = names(connection, [*(name for name, _ in {*late, *dunned}), *(each.holder for each in shown)])
    idle = {whose for whose in late if not running[whose]}
    due = sum(len(facts) for _, facts in acts)
    return Found(dunning.standing(owed, dunned, ladder, now), stopped, shown, due, idle, called, ladder)


def _items(entitlements: Entitlements, told: DunningSuspended) -> list[str]:
    """The items that these subscriptions name, and still stand still."""
    known = entitlements.subscriptions.by_id
    held = [known[name] for name in told.subscriptions if name in known and known[name].suspended]
    return sorted({item for each in held if each.made is not None for item in each.made.items})


def view(found: Found, now: datetime, after: str = "", ran: str = "") -> dict[str, Any]:
    """What the page is made of, a part at a time. `ran`: how much the run that was just asked for has told."""
    start = next((at + 1 for at, each in enumerate(found.standing) if each.statement == after), 0)
    shown, rest = found.standing[start : start + SHOWN], found.standing[start + SHOWN :]
    return {
        "found": found,
        "shown": shown,
        "following": shown[-1].statement if rest else "",
        "outstanding_minor": sum(each.outstanding_minor for each in found.standing),
        "reminded": sum(each.level > 0 for each in found.standing),
        "steps": len(found.ladder.reminders),
        "today": today(now),
        "ran": ran,
    }


def today(now: datetime) -> date:
    return now.astimezone(ZONE).date()


@post(PATH)
async def run(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    entitlements: NamedDependency[Entitlements],
    settings: NamedDependency[Settings],
) -> Response[Any]:
    """Do what is due now: remind, suspend, lift."""
    if not ours(request):
        return foreign(request)
    if request.user is None:
        return gate(request, PATH)
    account, ladder = await keeper(request, desk, FINANCE), settings.dunning
    try:
        await form_of(request)
        done = await dunning.run_by(desk, entitlements, ladder, account)
    except KouanError as error:
        return await refused(
            request,
            error,
            lambda why, status: _shown(request, desk, entitlements, ladder, refused=why, status=status),
        )
    return Redirect(f"{PATH}?ran={len(done)}", status_code=303)


ROUTES = [
    Router(
        path="/",
        route_handlers=[overdue, run],
        exception_handlers={KouanError: on_error, HTTPException: on_error},
        include_in_schema=False,
    )
]
