"""Periods of the books by API and in a terminal: which month is cut off, and cutting off the next one.

From its place in the journal on nothing is posted to a period that is cut off; what turns up late corrects it in the
next one. Times are UTC, months those of Asia/Shanghai.
"""

import asyncio
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import click
import msgspec
import psycopg
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from api import embedded
from api.bookkeepers import bookkeepers
from api.govern.acts import ACCEPTED, Act, AnyRequest, Desk, answered
from api.identity import caller
from api.pool import Pool, open_pool
from api.settings import Settings
from api.trail import Trail
from domain import period
from domain.deciding import Decider, folded
from domain.journal import Journal
from domain.period import Period, Stage
from domain.writer import Writer
from projections import usage

ACTION = "period.cut_off"
LATEST = """
SELECT max(originator_id) FROM commerce_events
WHERE originator_id >= 'period:' AND originator_id < 'period;' AND topic = 'period.cut_off'
"""


class Shown(msgspec.Struct, frozen=True):
    """A period. `position`: of the commerce journal, behind which nothing is posted to it."""

    period: str
    stage: Stage
    starts_at: datetime
    ends_at: datetime
    position: int | None = None


class Periods(msgspec.Struct, frozen=True):
    """`open`: the first period that takes what turns up late."""

    open: str
    periods: list[Shown]  # that were cut off, oldest first, and the open one


@get("/v1/periods", guards=[bookkeepers("finance", "operator", "auditor")], tags=["settle"], opt={"scope": "usage"})
async def listed(pool: NamedDependency[Pool]) -> Periods:
    """Which months are cut off, and which is open."""

    def look() -> dict[str, int]:
        with pool.connection() as connection:
            return usage.cut_offs(connection)

    found = await asyncio.to_thread(look)
    now = period.month_of(datetime.now(UTC))
    turn = period.following(max(found)) if found else now
    periods = [Shown(each, "cut_off", *period.bounds(each), position) for each, position in found.items()]
    return Periods(turn, [*periods, Shown(turn, "open", *period.bounds(turn))])


@post("/v1/periods/{month:str}/cut-off", guards=[bookkeepers("finance")], tags=["settle"], opt={"scope": "usage"})
async def cut_off(
    request: AnyRequest, month: FromPath[str], pool: NamedDependency[Pool], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Post nothing more to a past month; what turns up late goes to the next one. A second time changes nothing."""
    account = caller(request)
    name = period.parse(month)
    latest = await asyncio.to_thread(_latest, pool)
    act = partial(_act, name, latest, account.account)
    return await answered(request, desk, account, act, status=ACCEPTED)


def _act(name: str, latest: str | None, by: str, _key: UUID | None = None) -> Act:
    return Act(
        ACTION,
        period.stream(name),
        folded(Period(name), period.evolve),
        lambda found: period.cut_off(found, latest=latest, by=by, at=datetime.now(UTC)),
    )


def _latest(pool: Pool) -> str | None:
    """The last period that was cut off, as the journal has it at this moment."""
    with pool.connection() as connection:
        row = connection.execute(LATEST).fetchone()
    return row[0].partition(":")[2] if row and row[0] else None


ROUTES = (listed, cut_off)


# --- in a terminal ---


@click.group("period")
def commands() -> None:
    """账期：查看、截止 / periods of the books; the node must be running."""


def _conninfo() -> str:
    settings = Settings.read()
    return settings.database_url or embedded.start(settings.home)


@commands.command("list")
def list_() -> None:
    """列出已截止的账期 / the periods that are cut off."""
    with psycopg.connect(_conninfo(), autocommit=True) as connection:
        found = usage.cut_offs(connection)
    for name, position in found.items():
        click.echo(f"{name}  已截止 cut off  {position}")
    if not found:
        click.echo("尚无账期截止 / no period has been cut off yet")


@commands.command("cut-off")
@click.argument("name", metavar="PERIOD")
@click.option("--by", required=True, help="经办人 / who does this.")
def cut_off_command(name: str, by: str) -> None:
    """截止一个月，如 2026-10 / cut off a month that is over; a second time changes nothing."""
    new = decide(_conninfo(), period.parse(name), by)
    click.echo(f"{name} {'已截止 / is cut off' if new else '早已截止 / was cut off before'}")


def decide(conninfo: str, name: str, by: str) -> bool:
    """Cut off at the node itself; whether that is new. Raises Refused."""
    with Journal("commerce", conninfo).opened() as journal, open_pool(conninfo) as pool:
        writer = Writer(journal)
        decider = Decider(writer, pool)
        try:
            act = _act(name, _latest(pool), by)
            decided = decider.decide(act.stream, act.fold, act.decision)
            if decided.facts:
                asyncio.run(Trail(writer).tell(act.action, act.stream, detail=f"kouan period cut-off, by {by}"))
        finally:
            decider.stop()
            writer.stop()
    return bool(decided.facts)
