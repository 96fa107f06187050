"""Who bills, and at which rate of tax: `/v1/seller` and `kouan seller`.

Finance of the node itself sets it, its operator and auditors look. What is set holds for statements of months that are
cut off afterwards. Rates are basis points (600 is 6 %); times are UTC in answers, with offset in questions.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
import psycopg
from litestar import Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.bookkeepers import bookkeepers
from api.books import carry_out, conninfo, opened
from api.govern.acts import ACCEPTED, CREATED, Act, AnyRequest, Desk, admitted, answered
from api.pool import Pool
from domain import period, register, seller
from domain.deciding import folded
from domain.errors import Malformed
from domain.fact import Fact
from domain.journal import Journal
from domain.seller import Selling, TaxRateSet
from domain.statement import Seller

FINANCE = [bookkeepers("finance")]
READERS = [bookkeepers("finance", "operator", "auditor")]
TAGS, SCOPE = ["settle"], {"scope": "usage"}
FIRST = TaxRateSet(
    happened_at=datetime(2025, 12, 31, 16, tzinfo=UTC),  # 2026 begins in Shanghai
    recorded_at=datetime(2025, 12, 31, 16, tzinfo=UTC),
    rate_bp=600,
    effective_from=datetime(2025, 12, 31, 16, tzinfo=UTC),
    basis="现代服务 6 %，请与主管税务机关核对 / modern services 6 %: confirm it with the tax authority",
    by="node",
)
"""The rate that a node begins with, unless one was ever set (api/schema.py)."""


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What stands on statements of whoever bills; all of it, each time."""

    zh: str
    en: str
    tax_id: str = ""
    address: str = ""
    phone: str = ""
    bank: str = ""
    bank_account: str = ""
    drawer: str = ""  # who signs invoices


class Taxed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rate from a moment on."""

    rate_bp: int
    effective_from: datetime
    basis: str


class Rate(msgspec.Struct, frozen=True):
    rate_bp: int
    effective_from: datetime
    basis: str
    by: str
    set_at: datetime


class Shown(msgspec.Struct, frozen=True):
    """`rate_bp`: of this month. `rates`: as they were set, also those that another one took the place of."""

    seller: Seller
    rate_bp: int
    rates: list[Rate]


def told(journal: Journal, connection: psycopg.Connection[Any]) -> list[Fact]:
    """All that was told of the seller."""
    return [entry.fact for entry in journal.stream(connection, seller.STREAM)]


def shown(facts: Sequence[Fact], now: datetime) -> Shown:
    """As it stands."""
    stands = seller.folded(facts)
    rates = [
        Rate(each.rate_bp, each.effective_from, each.basis, each.by, each.happened_at)
        for each in facts
        if isinstance(each, TaxRateSet)
    ]
    return Shown(stands.seller, stands.rate_bp(period.month_of(now)), rates)


# --- acts: the same by API and in a terminal ---


def _act(action: str, decision: Callable[[Selling], Sequence[Fact]], detail: str) -> Act:
    return Act(f"seller.{action}", seller.STREAM, folded(Selling(), seller.evolve), decision, detail)


def describing(data: Described, by: str, at: datetime) -> Act:
    """Say who bills. Raises Refused for a name that is missing."""
    register.said("名称", "name", data.zh)
    register.said("英文名称", "English name", data.en)
    told = Seller(**msgspec.structs.asdict(data))
    return _act("described", lambda found: seller.describe(found, told, by=by, at=at), data.zh)


def taxing(data: Taxed, by: str, at: datetime) -> Act:
    """Set a rate. Raises Malformed for a moment that is none."""
    begins = data.effective_from
    if begins.tzinfo is None or begins.year not in register.YEARS:
        raise Malformed(
            f"effective_from 须带时区，在 {register.YEARS[0]}–{register.YEARS[-1]} 年内 / effective_from needs an"
            f" offset, and a year from {register.YEARS[0]} to {register.YEARS[-1]}",
            field="effective_from",
        )
    given: dict[str, Any] = {"rate_bp": data.rate_bp, "effective_from": begins.astimezone(UTC), "basis": data.basis}
    detail = f"{data.rate_bp} {begins.isoformat()}"
    return _act("tax_rate_set", lambda found: seller.set_rate(found, **given, by=by, at=at), detail)


# --- routes ---


@get("/v1/seller", guards=READERS, tags=TAGS, opt=SCOPE)
async def look(desk: NamedDependency[Desk], pool: NamedDependency[Pool]) -> Shown:
    """Who bills, and the rates of tax."""

    def read() -> Shown:
        with pool.connection() as connection:
            return shown(told(desk.journal, connection), datetime.now(UTC))

    return await asyncio.to_thread(read)


@put("/v1/seller", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=ACCEPTED)
async def describe(request: AnyRequest, data: JSONBody[Described], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Say who bills: what stands on the statements of months that are cut off from now on."""
    account = await admitted(request, desk)
    act = describing(data, account.account, datetime.now(UTC))
    return await answered(request, desk, account, lambda _: act)


@post("/v1/seller/tax-rates", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=CREATED)
async def tax(request: AnyRequest, data: JSONBody[Taxed], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Set a rate of tax from a moment on; the one in force at the last moment of a month holds for the month."""
    account = await admitted(request, desk)
    act = taxing(data, account.account, datetime.now(UTC))
    return await answered(request, desk, account, lambda _: act, status=CREATED)


ROUTES = (look, describe, tax)


# --- in a terminal ---


@click.group("seller")
def commands() -> None:
    """开票方与税率 / who bills, and the rates of tax."""


@commands.command("show")
def show() -> None:
    """显示 / show both."""
    with opened(conninfo()) as books, books.pool.connection() as connection:
        found = shown(told(books.writer.journal, connection), datetime.now(UTC))
    for name, value in msgspec.structs.asdict(found.seller).items():
        click.echo(f"{name:<13} {value or '–'}")
    for rate in found.rates:
        day = f"{rate.effective_from.astimezone(period.ZONE):%Y-%m-%d}"
        click.echo(f"税率 tax rate {rate.rate_bp / 100:g} %  自 from {day}  {rate.basis}")


@commands.command("describe")
@click.option("--zh", required=True, help="名称 / name in Chinese")
@click.option("--en", required=True, help="英文名称 / name in English")
@click.option("--tax-id", default="", help="纳税人识别号 / tax id")
@click.option("--address", default="", help="地址 / address")
@click.option("--phone", default="", help="电话 / telephone")
@click.option("--bank", default="", help="开户行 / bank")
@click.option("--bank-account", default="", help="账号 / its account")
@click.option("--drawer", default="", help="开票人 / who signs invoices")
@click.option("--by", required=True, help="经办人 / who does this.")
def describe_command(by: str, **said: str) -> None:
    """设定开票方（全部字段）/ say who bills, all of it."""
    _do(describing(Described(**said), by, datetime.now(UTC)), by)


@commands.command("tax-rate")
@click.argument("rate_bp", type=int, metavar="BASIS_POINTS")
@click.option("--from", "begins", required=True, type=click.DateTime(["%Y-%m-%d"]), help="起始日（上海）/ first day")
@click.option("--basis", required=True, help="依据 / law, notice or decision")
@click.option("--by", required=True, help="经办人 / who does this.")
def tax_command(rate_bp: int, begins: datetime, basis: str, by: str) -> None:
    """设定税率，600 即 6 % / set a rate of tax, 600 is 6 %."""
    told = Taxed(rate_bp=rate_bp, effective_from=begins.replace(tzinfo=period.ZONE), basis=basis)
    _do(taxing(told, by, datetime.now(UTC)), by)


def _do(act: Act, by: str) -> None:
    with opened(conninfo()) as books:
        new = carry_out(books, act, by)
    click.echo("已办理 done" if new else "原已如此 it was so before")
