"""Drilling down, both ways, each in one call: a statement line to its messages, a delivery to the line that billed it.

Reading the books is free; that facts were shown again is on the trail. Who sees what: api/drilling.py, api/evidence.py
and docs/decisions/020-drill-down.md. From a fact of the cargo journal to the deliveries that handed it over there is no
way: records name positions in a packed form that no index knows.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import psycopg
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from api import drilling
from api.drilled import DeliveryDrill, LineDrill
from api.evidence import NOTHING, FactsPage, Proving, Wanted
from api.identity import Account, caller, needs
from api.pool import Pool
from api.register import Register
from api.trail import Trail
from api.way_out import WayOut
from domain.delivery import DeliveryMade, PushAccepted
from domain.fact import Fact

AnyRequest = Request[Any, Any, Any]
OPT = {"scope": "usage", "cost": 5}
ENTRIES, ENTRIES_MAX = 20, 100
FACTS_EACH, FACTS_EACH_MAX = 5, 50  # of a line's entries
FACTS, FACTS_MAX = 100, 1_000  # of one delivery


class Driller:
    """Looks for whoever asks, in one process."""

    def __init__(self, pool: Pool, register: Register, way_out: WayOut, trail: Trail) -> None:
        self.pool, self.register = pool, register
        self.proving = Proving(way_out, pool, trail)

    async def line(
        self,
        account: Account,
        number: str,
        line: int,
        *,
        after: str = "",
        limit: int = ENTRIES,
        facts: int = FACTS_EACH,
    ) -> LineDrill:
        """A line with a page of its entries, each with its first facts. Raises Unknown, BadPlace, Barred, Busy."""
        whose = drilling.visible(account, self.register)
        opened = await self._read(drilling.open_line, whose, number, line, after=after, limit=limit)
        told = [opened.caused[entry.stream, entry.version].fact for entry in opened.entries]
        handed = await self._handed(account, told, 0, facts, f"statement:{number}/{line}", keeper=whose.holder is None)
        return drilling.told_of_line(opened, handed)

    async def delivery(
        self, account: Account, stream: str, version: int, *, after: int = 0, limit: int = FACTS
    ) -> DeliveryDrill:
        """A delivery, its bill, and a page of its facts. Raises Unknown, Barred, Busy."""
        whose = drilling.visible(account, self.register)
        found = await self._read(drilling.find_delivery, whose, stream, version)
        about = f"{found.caused.stream}/{version}"
        [handed] = await self._handed(account, [found.caused.fact], after, limit, about, keeper=whose.holder is None)
        return drilling.told_of_delivery(found, handed)

    async def _handed(
        self, account: Account, told: list[Fact], after: int, limit: int, about: str, *, keeper: bool
    ) -> list[FactsPage]:
        """Of each fact what it handed over; of a charge that fell due without use nothing."""
        wanted = [Wanted(each, after, limit) for each in told if isinstance(each, DeliveryMade | PushAccepted)]
        pages = iter(await self.proving.pages(account, wanted, about, keeper=keeper))
        return [next(pages) if isinstance(each, DeliveryMade | PushAccepted) else NOTHING for each in told]

    async def _read(self, work: Callable[..., Any], *values: Any, **more: Any) -> Any:
        def read() -> Any:
            with self.pool.connection() as connection:
                return _at_once(connection, work, *values, **more)

        return await asyncio.to_thread(read)


def _at_once(connection: psycopg.Connection[Any], work: Callable[..., Any], *values: Any, **more: Any) -> Any:
    """All that is read as it was at one moment."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return work(connection, *values, **more)


@get("/v1/statements/{number:str}/lines/{line:int}", guards=[needs()], tags=["settle"], opt=OPT)
async def line_(
    request: AnyRequest,
    number: FromPath[str],
    line: FromPath[int],
    driller: NamedDependency[Driller],
    *,
    after: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=ENTRIES_MAX)] = ENTRIES,
    facts: Annotated[int, QueryParameter(ge=0, le=FACTS_EACH_MAX, description="Of each delivery")] = FACTS_EACH,
) -> LineDrill:
    """A statement line: the entries that it is the sum of, their deliveries, the facts handed over, their messages."""
    return await driller.line(caller(request), number, line, after=after, limit=limit, facts=facts)


@get("/v1/deliveries/{stream:str}/{version:int}", guards=[needs()], tags=["settle"], opt=OPT)
async def delivery(
    request: AnyRequest,
    stream: FromPath[str],
    version: FromPath[int],
    driller: NamedDependency[Driller],
    *,
    after: Annotated[int, QueryParameter(ge=0, description="Facts behind this position")] = 0,
    limit: Annotated[int, QueryParameter(ge=0, le=FACTS_MAX)] = FACTS,
) -> DeliveryDrill:
    """Where a delivery is billed, or why it is not, what became of the invoice, and the facts that it handed over."""
    return await driller.delivery(caller(request), stream, version, after=after, limit=limit)


ROUTES = (line_, delivery)
