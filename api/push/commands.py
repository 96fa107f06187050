"""`kouan endpoint …` and `kouan push-network …`: endpoints and private networks, in a terminal at the node itself."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click
import psycopg
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from api import embedded, terminal
from api.push import desk, networks, replay
from api.push.health import health
from api.settings import Settings
from api.trail import Trail
from domain.errors import KouanError
from domain.journal import Journal
from domain.writer import Writer

console = terminal.open_console()
BY = "node"  # who acts at the node itself


@contextmanager
def _database(action: str = "", thing: str = "", detail: str = "") -> Iterator[psycopg.Connection[Any]]:
    """What is done on it is told to the trail, by its `action`, before it stands."""
    settings = Settings.read()
    conninfo = settings.database_url or embedded.start(settings.home)
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection, connection.transaction():
            yield connection
            if action:
                _tell(conninfo, action, thing, detail)
    except KouanError as error:
        raise click.ClickException(error.detail) from error


def _tell(conninfo: str, action: str, thing: str, detail: str) -> None:
    with Journal("commerce", conninfo).opened() as journal:
        writer = Writer(journal)
        try:
            asyncio.run(Trail(writer).tell(action, thing, detail=detail))
        finally:
            writer.stop()


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    made = Table(*titles, box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    console.print(made)


def _time(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if at else ""


# --- endpoints ---


@click.group("endpoint")
def endpoints() -> None:
    """推送接收端 / endpoints that are pushed to; the node must be running."""


@endpoints.command("list")
@click.option("--account", default="", help="只列此账户的 / of one account only.")
def list_(account: str) -> None:
    """列出接收端 / list the endpoints, with what waits."""
    query = "SELECT endpoint_id FROM push_endpoints WHERE %(account)s = '' OR account = %(account)s"
    with _database() as connection:
        ids = [row[0] for row in connection.execute(query, {"account": account})]
        found = health(connection, ids)
    titles = ("接收端 Endpoint", "账户 Account", "项目 Item", "状态 State", "待重试 Waiting", "最近成功 Last success")
    rows = (
        (str(each.id), each.account, each.item, each.state, str(each.backlog.waiting), _time(each.succeeded_at))
        for each in found
    )
    _table(titles, rows)


@endpoints.command("health")
@click.argument("endpoint", type=click.UUID)
def health_(endpoint: UUID) -> None:
    """状态、积压与最近的投递 / state, backlog and the newest attempts of one endpoint."""
    with _database() as connection:
        found = health(connection, [endpoint])
    if not found:
        raise click.ClickException(desk.unknown(str(endpoint)).detail)
    [told] = found
    backlog = told.backlog
    lines = (
        ("状态 State", f"{told.state} {told.reason}".strip()),
        ("最近成功 Last success", _time(told.succeeded_at)),
        ("开始失败 Failing since", _time(told.failing_since)),
        ("下次尝试 Next try", _time(told.next_at)),
        ("待重试 Waiting", f"{backlog.waiting}  {_time(backlog.oldest_at)}".strip()),
        ("放弃 Failed", str(backlog.failed)),
        ("不再可见 Withheld", str(backlog.withheld)),
    )
    _table(("", ""), lines)
    log = (
        (_time(each.at), each.message_id, str(each.status or "-"), f"{each.seconds:.3f}", each.error)
        for each in told.attempts
    )
    _table(("时间 At", "消息 Message", "状态码 Status", "秒 Seconds", "原因 Error"), log)


@endpoints.command("replay")
@click.argument("endpoint", type=click.UUID)
@click.argument("ids", nargs=-1)
@click.option("--failed-since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="UTC.")
def replay_(endpoint: UUID, ids: tuple[str, ...], failed_since: datetime | None) -> None:
    """按标识重发，或重发某时以来放弃的 / send messages again, by id or all given up since a time."""
    if bool(ids) == (failed_since is not None):
        raise click.UsageError("给出标识，或 --failed-since / give ids, or --failed-since")
    now = datetime.now(UTC)
    with _database("endpoint.replayed", f"endpoint:{endpoint}", "kouan endpoint replay") as connection:
        kept = desk.named(connection, endpoint, now)
        if kept is None:
            raise desk.unknown(str(endpoint))
        kind: replay.Kind = "feed" if kept.item == "feed.push" else "alert"
        if failed_since is not None:
            count = replay.failed_since(connection, endpoint, failed_since.replace(tzinfo=UTC), kind=kind, now=now)
        else:
            count = replay.by_ids(connection, endpoint, ids, kind=kind, now=now)
    click.echo(f"将重发 {count} 条 / {count} messages will be sent again")


# --- private networks ---


@click.group("push-network")
def push_networks() -> None:
    """允许推送的专用网段 / private networks that endpoints may lie in; the node must be running."""


@push_networks.command("list")
@click.option("--account", default="")
def list_networks(account: str) -> None:
    """列出 / list them."""
    with _database() as connection:
        found = networks.listed(connection, account)
    rows = ((each.account, each.network, each.by, _time(each.at), each.reason) for each in found)
    _table(("账户 Account", "网段 Network", "许可人 By", "时间 At", "理由 Reason"), rows)


@push_networks.command("add")
@click.argument("account")
@click.argument("network")
@click.option("--reason", required=True, help="理由 / why.")
def add_network(account: str, network: str, reason: str) -> None:
    """许可一个账户的一个网段 / let the endpoints of an account lie in a network."""
    with _database("push_network.added", f"account:{account}", f"{network} {reason}") as connection:
        wanted = networks.Wanted(account, network, reason)
        leave = networks.add(connection, wanted, BY, datetime.now(UTC))
    click.echo(f"已许可 / leave given: {leave.account} {leave.network}")


@push_networks.command("remove")
@click.argument("account")
@click.argument("network")
def remove_network(account: str, network: str) -> None:
    """收回许可 / take the leave back."""
    with _database("push_network.removed", f"account:{account}", network) as connection:
        gone = networks.remove(connection, account, network)
    click.echo(f"已收回 / taken back: {account} {gone}")
