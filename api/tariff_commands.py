"""`kouan tariff …`: the list of fees in a terminal, prices published and withdrawn, and the surplus of a month.

At the node itself; what is done is the same as by API (api/catalogue_desk.py) and stands on the trail. Money is fen.
"""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from rich.text import Text

from api import catalogue_desk, embedded, fees, surplus, terminal
from api.catalogue_desk import Priced, TakenBack
from api.govern.acts import Act
from api.pool import open_pool
from api.settings import Settings
from api.trail import Trail
from billing.fee_words import yuan
from domain.catalogue import code_of
from domain.deciding import Decided, Decider
from domain.errors import Malformed
from domain.journal import Journal
from domain.writer import Writer

NODE = "node"
console = terminal.open_console()


@click.group()
def tariff() -> None:
    """价目：公示、撤回、盈余 / prices: list, publish, withdraw, surplus; the node must be running."""


def conninfo_of(settings: Settings) -> str:
    return settings.database_url or embedded.start(settings.home)


def carry_out(conninfo: str, act: Act) -> Decided:
    """Decide at the node itself, and tell the trail. Raises what the decision raises."""
    with Journal("commerce", conninfo).opened() as commerce, open_pool(conninfo) as pool:
        writer = Writer(commerce)
        decider = Decider(writer, pool)
        try:
            decided = decider.decide(act.stream, act.fold, act.decision)
            if decided.facts:
                asyncio.run(Trail(writer).tell(act.action, act.stream, detail=f"kouan tariff {act.detail}"))
            return decided
        finally:
            decider.stop()
            writer.stop()


@tariff.command("list")
@click.option("--at", default="", help="A day, such as 2026-12-01; default: now.")
@click.option("--lang", type=click.Choice(["zh", "en"]), default="zh")
def list_(at: str, lang: str) -> None:
    """列出收费目录清单 / the list of fees, with what is announced."""
    settings = Settings.read()
    with open_pool(conninfo_of(settings)) as pool:
        found = fees.read(pool, fees.moment(at, datetime.now(UTC)), settings.fees)
    for fee in found.fees:
        name, standard = (fee.name_zh, fee.standard_zh) if lang == "zh" else (fee.name_en, fee.standard_en)
        version = f"  [{fee.in_force.version}]" if fee.in_force else ""
        console.print(Text(f"{fee.no:>3}  {fee.item:<22} {name}：{standard}{version}"))
        for price in fee.announced:
            said = price.standard_zh if lang == "zh" else price.standard_en
            console.print(Text(f"     {fees.day(price.effective_from)}  {said}  [{price.version}]"))


@tariff.command("publish")
@click.argument("item")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def publish(item: str, file: Path) -> None:
    """公布价格 / publish the price of FILE.json: pricing, basis, effective_from, cost, review_by (docs/fees.md)."""
    settings = Settings.read()
    try:
        told = msgspec.json.decode(file.read_bytes(), type=Priced)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise Malformed(f"{file}：{error} / {file} does not fit: {error}", file=str(file)) from error
    now = datetime.now(UTC)
    _do(settings, lambda: catalogue_desk.publishing(NODE, code_of(item), told, settings.fees, now))


@tariff.command("withdraw")
@click.argument("item")
@click.argument("version")
@click.option("--reason", required=True)
def withdraw(item: str, version: str, reason: str) -> None:
    """撤回价格 / take a price back; one in force ends now, and the item is not sold any more."""
    told, now = TakenBack(version, reason), datetime.now(UTC)
    _do(Settings.read(), lambda: catalogue_desk.taking_back(NODE, code_of(item), told, now))


def _do(settings: Settings, act: Callable[[], Act]) -> None:
    decided = carry_out(conninfo_of(settings), act())
    for new in decided.facts:
        told = msgspec.to_builtins(new.fact)
        console.print(Text(f"{told['fact']}  {told.get('version', '')}  {told.get('effective_from', '')}"))
    if not decided.facts:
        console.print(Text("无变化 / nothing new"))


@tariff.command("surplus")
@click.option("--month", default="", help="2026-10; default: this one.")
def surplus_(month: str) -> None:
    """收入与申报成本 / revenue against declared cost; exits 1 if there is a surplus where there may be none."""
    settings, now = Settings.read(), datetime.now(UTC)
    with open_pool(conninfo_of(settings)) as pool:
        found = surplus.report(pool, settings.fees.regime, surplus.month_of(month, now), now)
    for each in found.items:
        cost, rest = ("–" if minor is None else yuan(minor) for minor in (each.cost_minor, each.surplus_minor))
        flag = "  盈余 surplus" if each.alarm else "  复审期已过 review is due" if each.review_due else ""
        line = f"{each.item:<22} 收入 revenue {yuan(each.revenue_minor)}  成本 cost {cost}  盈余 surplus {rest}{flag}"
        console.print(Text(line))
    if not found.items:
        console.print(Text(f"{found.month}: 无收费使用 / nothing was charged"))
    sys.exit(1 if found.alarm else 0)
