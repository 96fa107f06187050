"""`kouan sandbox run` starts a sandbox on this machine, `kouan sandbox play` plays a journey in one.

A sandbox has a home and a database of its own, under the node's home: nothing of it can come among what is real. Two
customers are there, each with an account and a key (`sandbox.json`), subscribed to everything that is sold.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import httpx
import msgspec
import psycopg
from rich.box import SIMPLE_HEAD
from rich.table import Table

from api import schema, supervise, terminal
from api.govern import setup
from api.identity import Account, open_account
from api.login import issuer
from api.pool import open_pool
from api.push import networks
from api.register import Register
from api.sandbox import NotSandbox, Played, is_sandbox
from api.settings import Settings
from examples import parties
from examples.sandbox import SCENARIOS

REGISTER = Path(parties.__file__).with_name("sandbox_register.json")
PEOPLE = (
    Account("sandbox-logistics", "logistics", "沙箱物流企业", "Sandbox logistics firm", parties.LOGISTICS),
    Account("sandbox-enterprise", "enterprise", "沙箱进出口企业", "Sandbox trading enterprise", parties.ENTERPRISE),
    Account("sandbox-operator", "operator", "沙箱运营人员", "Sandbox operator"),
)

console = terminal.open_console()


ITEMS = (
    *("feed.pull", "feed.push", "feed.stream", "alerts.push"),
    *("bulk.query", "history.export", "eta.estimate", "statistics.detail"),
)
LOOPBACK = ("127.0.0.0/8", "::1/128")


class Sandbox(msgspec.Struct):
    """What `sandbox.json` holds: the address, and a key by account."""

    base_url: str
    keys: dict[str, str]


def path(home: Path) -> Path:
    """The file of a sandbox's home."""
    return home / "sandbox.json"


def settings_of(node: Settings, port: int) -> Settings:
    """Those of the sandbox beside a node: a home and a database of its own, and no tie to the world."""
    return msgspec.structs.replace(
        node,
        home=node.home / "sandbox",
        port=port,
        database_url=os.environ.get("KOUAN_SANDBOX_DATABASE_URL", ""),
        origin="",
        mqtt_url="",
        customs_url="",
        customs_key="",
    )


def prepare(conninfo: str, home: Path, base_url: str) -> Sandbox:
    """Make a sandbox of an empty database; of one that is a sandbox, nothing new. Raises NotSandbox for any other."""
    schema.install(conninfo)
    issuer.name_at_first(conninfo, base_url)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        used = connection.execute("SELECT 1 FROM cargo_events LIMIT 1").fetchone() is not None
        if not used:
            setup.enter_file(conninfo, REGISTER)
        with open_pool(conninfo) as pool:
            register = Register(pool)
            register.refresh()
        if not is_sandbox(register.rights):
            raise NotSandbox(
                "此数据库属于真实节点，不能用作沙箱 / this database is a real node's: it becomes no sandbox"
            )
        made = _known(home)
        if made is None or not _belongs(connection, made):
            made = Sandbox(base_url, {account.account: open_account(connection, account) for account in PEOPLE})
        if urlsplit(base_url).hostname in {"127.0.0.1", "::1"}:  # a developer's own machine: so is the receiver
            _admit(connection)
    made.base_url = base_url
    _save(made, home)
    return made


def _belongs(connection: psycopg.Connection[Any], made: Sandbox) -> bool:
    """Whether the keys of an earlier run are this database's."""
    key_ids = [key.split("_")[1] for key in made.keys.values()]
    row = connection.execute("SELECT count(*) FROM api_keys WHERE key_id = ANY(%s)", (key_ids,)).fetchone()
    return row is not None and row[0] == len(PEOPLE)


def _admit(connection: psycopg.Connection[Any]) -> None:
    """Let endpoints of this sandbox lie on this machine."""
    for account in PEOPLE:
        for network in LOOPBACK:
            wanted = networks.Wanted(account=account.account, network=network, reason="kouan sandbox run")
            networks.add(connection, wanted, "node", datetime.now(UTC))


def subscribe(made: Sandbox) -> None:
    """Order everything that is sold, once, for those who may. The node must be up."""
    for account in ("sandbox-logistics", "sandbox-enterprise"):
        headers = {"Authorization": f"Bearer {made.keys[account]}"}
        with httpx.Client(base_url=made.base_url, headers=headers, timeout=30, trust_env=False) as client:
            if not client.get("/v1/subscriptions").raise_for_status().json():
                client.post("/v1/subscriptions", json={"items": ITEMS}).raise_for_status()


def _known(home: Path) -> Sandbox | None:
    file = path(home)
    return msgspec.json.decode(file.read_bytes(), type=Sandbox) if file.exists() else None


def _save(made: Sandbox, home: Path) -> None:
    """Whole or not at all, readable by its owner alone."""
    draft = path(home).with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    draft.replace(path(home))


@click.group()
def sandbox() -> None:
    """沙箱：虚构的行程，供开发测试 / invented journeys to build and test against."""


@sandbox.command("run")
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=None, help="默认为 KOUAN_PORT 加一 / default: KOUAN_PORT + 1."
)
def run(port: int | None) -> None:
    """启动沙箱 / start a sandbox and serve until Ctrl-C; its home is KOUAN_HOME/sandbox."""
    node = Settings.read()
    settings = settings_of(node, port or node.port + 1)
    made: list[Sandbox] = []

    def ready(address: str) -> None:
        [shown] = made
        subscribe(shown)
        console.print(f"沙箱 sandbox   {address}    {path(settings.home)}", soft_wrap=True)
        for account, key in shown.keys.items():
            console.print(f"  {account:<19} {key}", soft_wrap=True, highlight=False)
        console.print("试一试 try:  kouan sandbox play delay\n服务中，按 Ctrl-C 停止 / serving, Ctrl-C stops")

    supervise.run(
        settings,
        prepare=lambda conninfo: made.append(prepare(conninfo, settings.home, supervise.address(settings))),
        ready=ready,
    )


@sandbox.command("play")
@click.argument("scenario", type=click.Choice(SCENARIOS))
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="同一种子，同一行程 / the same again."
)
@click.option("--speed", type=float, default=0.0, help="每秒播放的秒数，0 为一次播完 / seconds a second; 0: at once.")
@click.option("--steps", type=click.IntRange(1, 100), default=None, help="只播前几步 / only so many.")
@click.option(
    "--url", envvar="KOUAN_SANDBOX_URL", default="", help="默认取自 sandbox.json / default: that of sandbox.json."
)
@click.option(
    "--key", envvar="KOUAN_SANDBOX_KEY", default="", help="默认为沙箱物流企业 / default: the logistics firm's."
)
@click.option("--json", "as_json", is_flag=True, help="原样输出 / the answer as it came.")
def play(url: str, key: str, *, as_json: bool, **wanted: Any) -> None:
    """播放一段行程 / play a whole journey."""
    url, key = _credentials(url, key)
    body = {name: value for name, value in wanted.items() if value is not None}
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        answer = client.post("/v1/sandbox/journeys", json=body)
    if answer.is_error:
        raise click.ClickException(answer.json().get("detail", answer.text))
    if as_json:
        click.echo(answer.text)
        return
    played = msgspec.json.decode(answer.content, type=Played)
    table = Table("#", "发生 Happened", "对象 Subject", "代码 Code", "来源 Source", box=SIMPLE_HEAD)
    for step in played.steps:
        table.add_row(
            str(step.index),
            f"{step.happened_at:%Y-%m-%d %H:%MZ}",
            step.subject,
            f"{step.code} {step.classifier}",
            step.source,
        )
    console.print(table)
    numbers = played.numbers
    console.print(
        f"箱号 container {numbers.container}  提单 bill {numbers.bill}  报关单 declaration {numbers.declaration}"
    )


def _credentials(url: str, key: str) -> tuple[str, str]:
    if url and key:
        return url, key
    file = path(Settings.read().home / "sandbox")
    if not file.exists():
        raise click.ClickException(
            f"请给出 --url 和 --key；没有 {file} / "
            f"say --url and --key; there is no {file}, which `kouan sandbox run` writes"
        )
    shown = msgspec.json.decode(file.read_bytes(), type=Sandbox)
    return url or shown.base_url, key or shown.keys["sandbox-logistics"]
