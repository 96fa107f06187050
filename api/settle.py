"""Settling: `GET /v1/usage`, what was used, free beside paid, by account and service item."""

import asyncio
from datetime import datetime
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from api.identity import Account, caller, needs
from api.pool import Pool
from billing import metering
from billing.metering import UsageReport
from domain.errors import Malformed
from projections import catalogue

SEES_ALL = frozenset({"finance", "operator"})


@get("/v1/usage", guards=[needs()], tags=["settle"])
async def usage(
    request: Request[Any, Any, Any],
    pool: NamedDependency[Pool],
    account: FromQuery[str | None] = None,
    start: FromQuery[datetime | None] = None,
    end: FromQuery[datetime | None] = None,
) -> UsageReport:
    """Quantities and money in the half-open period [start, end). Finance sees every account, others their own."""
    for name, moment in (("start", start), ("end", end)):
        if moment is not None and moment.tzinfo is None:
            raise Malformed(
                f"{name} has no offset: {moment.isoformat()}; write it as 2026-11-01T00:00:00+08:00", field=name
            )
    whose = visible(caller(request), account)
    return await asyncio.to_thread(report, pool, whose, start, end)


def visible(asker: Account, account: str | None) -> str | None:
    """Whose usage is shown: everybody's (None) to finance, to others their own whatever they ask for."""
    return account if asker.role in SEES_ALL else asker.account


def report(pool: Pool, account: str | None, start: datetime | None, end: datetime | None) -> UsageReport:
    """The usage report of one account, or of all."""
    with pool.connection() as connection:
        return metering.report(connection, catalogue.prices(connection), account=account, start=start, end=end)
