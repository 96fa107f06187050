"""Periods of the books by API: which month is how far, cutting off, statements, closing, reopening.

From its place in the journal on nothing is posted to a period that is cut off; what turns up late corrects it in the
next one. Finance of the node itself acts, its operator and auditors look. Times are UTC, months those of Asia/Shanghai.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api import closing
from api.bookkeepers import bookkeepers
from api.books import Books
from api.closing import Month
from api.govern.acts import ACCEPTED, Act, AnyRequest, Desk, admitted, answered
from api.pool import Pool
from domain import period
from domain.period import STAGES, Stage

FINANCE = [bookkeepers("finance")]
READERS = [bookkeepers("finance", "operator", "auditor")]
TAGS, SCOPE = ["settle"], {"scope": "usage"}


class Asked(msgspec.Struct, frozen=True):
    """That a closed month be reopened."""

    by: str
    reason: str
    at: datetime


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A period. `position`: of the commerce journal, behind which nothing is posted to it."""

    period: str
    stage: Stage
    stage_zh: str
    stage_en: str
    starts_at: datetime
    ends_at: datetime
    position: int | None = None
    cut_off_at: datetime | None = None
    statements: int | None = None  # that were issued
    total_minor: int | None = None  # of them all, fen
    closed_at: datetime | None = None
    closed_by: str = ""
    signed_by: str = ""  # who signed the reconciliation
    accepted: list[str] = []  # breaks that it was closed with
    reopening: Asked | None = None


class Periods(msgspec.Struct, frozen=True):
    """`open`: the first period that takes what turns up late."""

    open: str
    periods: list[Shown]  # that were cut off, oldest first, and the open one


class Because(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


def read(pool: Pool, now: datetime) -> Periods:
    """Every month that was cut off, and the open one, as the journal has them."""
    with pool.connection() as connection:
        found = closing.months(connection)
        last = closing.latest(found)
        turn = period.following(last) if last else closing.first(connection) or period.month_of(now)
    return Periods(turn, [shown(each) for each in (*found.values(), Month(period.Period(turn)))])


def shown(month: Month) -> Shown:
    """As it is shown."""
    name, stage, asked = month.period.period, month.period.stage, month.period.asked
    starts_at, ends_at = period.bounds(name)
    closed = month.closed if stage == "closed" else None
    return Shown(
        period=name,
        stage=stage,
        stage_zh=STAGES[stage][0],
        stage_en=STAGES[stage][1],
        starts_at=starts_at,
        ends_at=ends_at,
        position=month.position or None,
        cut_off_at=month.period.cut_off_at,
        statements=month.reviewed.statements if month.reviewed else None,
        total_minor=month.reviewed.total_minor if month.reviewed else None,
        closed_at=closed.happened_at if closed else None,
        closed_by=closed.by if closed else "",
        signed_by=closed.signed_by if closed else "",
        accepted=list(closed.accepted) if closed else [],
        reopening=Asked(asked.by, asked.reason, asked.happened_at) if asked else None,
    )


@get("/v1/periods", guards=READERS, tags=TAGS, opt=SCOPE)
async def listed(pool: NamedDependency[Pool]) -> Periods:
    """How far each month is: cut off, under review, closed; and which one is open."""
    return await asyncio.to_thread(read, pool, datetime.now(UTC))


# --- acts ---


async def _done(
    request: AnyRequest, desk: Desk, month: str, make: Callable[[Books, str, str, datetime], Act]
) -> Response[bytes]:
    account, name = await admitted(request, desk), period.parse(month)
    act = await asyncio.to_thread(make, Books(desk.pool, desk.decider), name, account.account, datetime.now(UTC))
    return await answered(request, desk, account, lambda _: act, status=ACCEPTED)


@post("/v1/periods/{month:str}/cut-off", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=ACCEPTED)
async def cut_off(request: AnyRequest, month: FromPath[str], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Post nothing more to a past month; what turns up late goes to the next one. A second time changes nothing."""
    return await _done(request, desk, month, closing.cut_off)


@post("/v1/periods/{month:str}/statements", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=ACCEPTED)
async def statements(request: AnyRequest, month: FromPath[str], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Issue every statement of a month that was cut off, one month after another. A second time changes nothing."""
    return await _done(request, desk, month, closing.issue)


@post("/v1/periods/{month:str}/close", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=ACCEPTED)
async def close(request: AnyRequest, month: FromPath[str], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Close a month whose reconciliation is signed and has no open break."""
    return await _done(request, desk, month, closing.close)


@post("/v1/periods/{month:str}/reopening", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=ACCEPTED)
async def ask_reopening(
    request: AnyRequest, month: FromPath[str], data: JSONBody[Because], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Ask for a closed month to be reopened, with a reason."""
    return await _done(
        request, desk, month, lambda _, name, by, at: closing.ask_reopening(name, data.reason, by=by, at=at)
    )


@post("/v1/periods/{month:str}/reopen", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=ACCEPTED)
async def reopen(request: AnyRequest, month: FromPath[str], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Agree to reopen it, as a second person. What was issued stays; nothing is posted to it."""
    return await _done(request, desk, month, lambda _, name, by, at: closing.reopen(name, by=by, at=at))


ROUTES = (listed, cut_off, statements, close, ask_reopening, reopen)
