"""`kouan subscription …`: subscriptions in a terminal, at the node itself.

Whoever sits there has the node in his hands; each act is told to the trail.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from api import embedded, terminal
from api.entitlement import Entitlements
from api.pool import Pool, open_pool
from api.settings import Settings
from api.trail import Trail
from domain import subscription
from domain.deciding import Decider, folded
from domain.errors import Unknown
from domain.fact import Fact
from domain.journal import Journal
from domain.subscription import STATES, Order, Subscription, holder
from domain.writer import Writer

NODE = "node"
console = terminal.open_console()


class Desk(NamedTuple):
    """What an act needs."""

    pool: Pool
    decider: Decider
    trail: Trail
    entitlements: Entitlements

    def decide(self, action: str, name: str, decision: Callable[[Subscription], Sequence[Fact]]) -> bool:
        """Whether there was something new."""
        stream = subscription.stream(name)
        decided = self.decider.decide(stream, folded(Subscription(name), subscription.evolve), decision)
        asyncio.run(self.trail.tell(action, stream, detail="kouan subscription"))
        return bool(decided.facts)


@contextmanager
def opened() -> Iterator[Desk]:
    settings = Settings.read()
    conninfo = settings.database_url or embedded.start(settings.home)
    with Journal("commerce", conninfo).opened() as journal, open_pool(conninfo) as pool:
        writer = Writer(journal)
        decider, entitlements = Decider(writer, pool), Entitlements(pool, "terminal")
        try:
            entitlements.refresh()
            yield Desk(pool, decider, Trail(writer), entitlements)
        finally:
            decider.stop()
            writer.stop()


@click.group("subscription")
def subscriptions() -> None:
    """订阅：订购、退订、欠费暂停 / subscriptions; the node must be running."""


@subscriptions.command("list")
@click.option("--holder", "whose", default="", help="单位代码，或 account:账户 / a party, or account:NAME")
def list_(whose: str) -> None:
    """列出订阅 / list the subscriptions."""
    titles = ("订阅 Subscription", "持有人 Holder", "状态 State", "项目 Items", "起 From", "止 Until")
    made, now = Table(*titles, box=SIMPLE_HEAD, pad_edge=False, show_edge=False), datetime.now(UTC)
    with opened() as desk:
        for each in desk.entitlements.subscriptions.by_id.values():
            if each.made is not None and whose in {"", each.holder}:
                until = f"{each.ends_at:%Y-%m-%d}" if each.ends_at else "–"
                state = " ".join(STATES[each.status(now)])
                row = (
                    each.id,
                    each.holder,
                    state,
                    " ".join(each.made.items),
                    f"{each.made.valid_from:%Y-%m-%d}",
                    until,
                )
                made.add_row(*(Text(cell) for cell in row))
    console.print(made)


@subscriptions.command("open")
@click.argument("items", nargs=-1, required=True)
@click.option("--account", default="", help="账户 / the account that it is for")
@click.option("--party", default="", help="单位代码 / the party that it is for")
@click.option(
    "--trial-until", type=click.DateTime(), default=None, help="试用至（UTC）/ free until then, and over then"
)
@click.option("--limit", "limits", multiple=True, help="项目=数量 / ITEM=UNITS a month; may be said again")
def open_(items: Sequence[str], account: str, party: str, trial_until: datetime | None, limits: Sequence[str]) -> None:
    """订购 ITEMS / order items for an account or a party."""
    if not (account or party):
        raise click.UsageError("--account 或 --party 须填其一 / say --account or --party")
    wanted = Order(
        items=tuple(items),
        trial_until=trial_until.replace(tzinfo=UTC) if trial_until else None,
        limits=dict(_limit(each) for each in limits),
    )
    with opened() as desk:
        name, now = f"S-{uuid4().hex}", datetime.now(UTC)
        arrears = desk.entitlements.subscriptions.in_arrears(holder(account, party))
        given: dict[str, Any] = {"offers": desk.entitlements.offers(), "account": account, "party": party}
        given |= {"in_arrears": arrears, "by": NODE, "by_party": "", "at": now}
        desk.decide("subscription.made", name, lambda found: subscription.subscribe(found, wanted, **given))
    console.print(Text(name))


def _limit(text: str) -> tuple[str, int]:
    item, _, units = text.partition("=")
    if not units.isdecimal():
        raise click.BadParameter(f"{text!r} 应为 项目=数量 / {text!r} is not ITEM=UNITS")
    return item, int(units)


@subscriptions.command("cancel")
@click.argument("name")
@click.option("--reason", default="")
def cancel(name: str, reason: str) -> None:
    """立即退订 / end it at once."""
    _step("cancelled", name, subscription.cancel, reason)


@subscriptions.command("suspend")
@click.argument("name")
@click.option("--reason", required=True)
def suspend(name: str, reason: str) -> None:
    """欠费暂停 / suspend it for arrears."""
    _step("suspended", name, subscription.suspend, reason)


@subscriptions.command("resume")
@click.argument("name")
@click.option("--reason", required=True)
def resume(name: str, reason: str) -> None:
    """恢复 / resume it."""
    _step("resumed", name, subscription.resume, reason)


def _step(change: str, name: str, decide: Callable[..., Sequence[Fact]], reason: str) -> None:
    about: dict[str, Any] = {"reason": reason, "by": NODE, "by_party": "", "at": datetime.now(UTC)}
    with opened() as desk:
        if name not in desk.entitlements.subscriptions.by_id:
            raise Unknown(f"没有订阅 {name} / there is no subscription {name}", subscription=name)
        new = desk.decide(f"subscription.{change}", name, lambda found: decide(found, **about))
    console.print(Text("已办理 done" if new else "原已如此 it was so before"))
