"""The command `kouan`: run the whole node, or one part of it, and ask it from a terminal."""

import logging
import signal
import sys
import threading
import time
from pathlib import Path

import click
import httpx
import msgspec
import psycopg
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from api import (
    adjusting,
    audit_desk,
    bank_commands,
    customs_port,
    customs_simulator,
    demo,
    desk,
    drill_commands,
    dunning,
    fapiao_commands,
    idempotency,
    listen,
    mqtt,
    paying_process,
    period_commands,
    reconcile_commands,
    sandbox_commands,
    schema,
    seller_desk,
    sending,
    statement_commands,
    subscription_commands,
    supervise,
    tariff_commands,
    terminal,
    workbook_commands,
)
from api.answer import Answer
from api.app import READ_MODELS
from api.audit_sealer import Sealer
from api.demo import Demo
from api.exporting import commands as exporting_commands
from api.govern import commands as register_commands
from api.govern import setup
from api.login import ca_commands, issuer, issuer_commands
from api.login import commands as account_commands
from api.pool import open_pool
from api.push import commands as push_commands
from api.push import serve as push_process
from api.settings import MQTT_CLIENT_ID, Broker, Settings
from billing.metering import UsageReport
from domain.errors import KouanError
from domain.journal import Journal
from domain.writer import Writer
from examples.day import deliveries
from projections import runner
from projections.runner import Runner

console = terminal.open_console()
LAG_SECONDS_MAX = 30.0


@click.group()
def kouan() -> None:
    """Kouan 口岸: an electronic port."""


# --- run: the whole node on this machine ---


@kouan.command()
@click.option("--once", is_flag=True, help="Stop after the table.")
@click.option("--empty", is_flag=True, help="No sample day and no demo accounts: a node of one's own.")
def run(*, once: bool, empty: bool) -> None:
    """Start everything, post the sample day if it is not there yet, show one container, and serve until Ctrl-C."""
    settings = Settings.read()
    prepared: list[Demo] = []

    def prepare(conninfo: str) -> None:
        schema.install(conninfo)
        issuer.name_at_first(conninfo, supervise.address(settings))
        if empty:
            return
        setup.enter_file(conninfo, demo.REGISTER)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            prepared.append(demo.open_accounts(connection, settings.home, supervise.address(settings)))

    def ready(_address: str) -> None:
        for shown in prepared:
            _post(shown, settings.home)
            _show(shown, settings.home)
        if once:
            raise supervise.Stopping
        console.print("服务中，按 Ctrl-C 停止 / serving, Ctrl-C stops")

    supervise.run(settings, prepare=prepare, ready=ready)


def _post(shown: Demo, home: Path) -> None:
    """Send the sample day, once; a second run finds it there."""
    if shown.posted:
        return
    columns = (TextColumn("示例日报文 sample day"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("post", total=len(deliveries()))
        for _ in demo.post_day(shown):
            progress.advance(task)
    shown.posted = True
    demo.save(shown, home)


def _show(shown: Demo, home: Path) -> None:
    """One container's timeline, what was free and what was paid, and how to go on."""
    number = shown.examples["container"]
    answer = _wait_for(shown, number)
    with _client(shown.base_url, shown.keys.logistics) as client:
        client.get("/v1/feed", params={"limit": 10}).raise_for_status()
    console.print(terminal.timeline_table(answer, "zh"))
    console.print(terminal.usage_table(_usage(shown)))
    key = shown.keys.enterprise
    console.print(f"门户 portal     {shown.base_url}/")
    console.print(f"密钥 demo keys  {demo.path(home)}")
    for role in ("enterprise", "logistics", "finance", "operator"):
        console.print(f"  {role:<11} {getattr(shown.keys, role)}", soft_wrap=True, highlight=False)
    console.print(
        f"试一试 try:\ncurl -s -H 'Authorization: Bearer {key}' {shown.base_url}/v1/track/{number}",
        soft_wrap=True,
        highlight=False,
    )


def _client(base_url: str, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=base_url, headers=headers, timeout=30, trust_env=False)


def _wait_for(shown: Demo, number: str) -> Answer:
    """The timeline, once the read models have taken all that was posted."""
    deadline = time.monotonic() + LAG_SECONDS_MAX
    with _client(shown.base_url, shown.keys.enterprise) as client:
        while True:
            health = client.get("/health").json()
            behind = [
                m["name"]
                for m in health["models"]
                if m["name"] in {"timeline", "links"} and m["position"] < health["cargo"]
            ]
            if not behind or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        answer = client.get(f"/v1/track/{number}").raise_for_status()
    return msgspec.json.decode(answer.content, type=Answer)


def _usage(shown: Demo) -> UsageReport:
    time.sleep(runner.POLL_SECONDS)  # the deliveries of a moment ago are on their way to the report
    with _client(shown.base_url, shown.keys.finance) as client:
        return msgspec.json.decode(client.get("/v1/usage").raise_for_status().content, type=UsageReport)


# --- parts ---


@kouan.command()
@click.option("--conninfo", envvar="KOUAN_CONNINFO", required=True)
def projector(conninfo: str) -> None:
    """Keep the read models in step with the journals; ends on SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    idempotency.purge_all(conninfo)
    journals = [Journal(name, conninfo) for name in ("cargo", "commerce")]
    runners = [Runner(journal, READ_MODELS).start() for journal in journals]
    sealer = Sealer(journals[1], Settings.read()).start()
    while not over.wait(1):
        pass
    for each in runners:
        each.stop()
    sealer.stop()
    for journal in journals:
        journal.close()


@kouan.command("mqtt")
@click.option("--conninfo", envvar="KOUAN_CONNINFO", required=True)
@click.option("--url", envvar="KOUAN_MQTT_URL", required=True, help="mqtt[s]://[user:password@]host[:port]")
@click.option("--client-id", envvar="KOUAN_MQTT_CLIENT_ID", default=MQTT_CLIENT_ID, show_default=True)
def mqtt_bridge(conninfo: str, url: str, client_id: str) -> None:
    """Record what devices publish to an MQTT broker; ends on SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    broker, over = Broker.of(url), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with Journal("cargo", conninfo).opened() as journal, open_pool(conninfo) as pool:
        writer = Writer(journal)
        try:
            mqtt.Bridge(broker, writer, pool, client_id).run(over)
        finally:
            writer.stop()


@kouan.command()
@click.argument("name", type=click.Choice([each.name for each in READ_MODELS]))
@click.option("--conninfo", envvar="KOUAN_CONNINFO", required=True)
def rebuild(name: str, conninfo: str) -> None:
    """Empty a read model and build it again from position 0."""
    each = next(model for model in READ_MODELS if model.name == name)
    with Journal(each.journal, conninfo).opened() as journal, journal.connect(autocommit=True) as connection:
        runner.rebuild(connection, journal, each)
        console.print(f"{name}: {runner.position(connection, name)}")


@kouan.command()
@click.argument("number")
@click.option("--url", envvar="KOUAN_URL", default="", help="Default: that of KOUAN_HOME/demo.json.")
@click.option("--key", envvar="KOUAN_KEY", default="", help="Default: the demo enterprise's.")
@click.option("--lang", type=click.Choice(["zh", "en"]), default="zh")
@click.option("--all", "include", flag_value="retracted", default="", help="Retracted and corrected lines too.")
@click.option("--as-known-at", default="", help="As this node would have answered then; with offset.")
@click.option("--journey", default="", help="Which journey of a container; default: the latest.")
@click.option("--json", "as_json", is_flag=True, help="The answer as it came.")
def track(number: str, url: str, key: str, lang: str, *, as_json: bool, **wishes: str) -> None:
    """Show the timeline of a number."""
    if not (url and key):
        file = demo.path(Settings.read().home)
        if not file.exists():
            raise click.ClickException(f"say --url and --key: there is no {file} (`kouan run` writes it)")
        shown = msgspec.json.decode(file.read_bytes(), type=Demo)
        url, key = url or shown.base_url, key or shown.keys.enterprise
    with _client(url, key) as client:
        params = {name: value for name, value in wishes.items() if value}
        answer = client.get(f"/v1/track/{number}", params=params)
    if answer.is_error:
        raise click.ClickException(answer.json().get("detail", answer.text))
    if as_json:
        click.echo(answer.text)
    else:
        console.print(terminal.timeline_table(msgspec.json.decode(answer.content, type=Answer), lang))


kouan.add_command(account_commands.account)
kouan.add_command(desk.quarantine)
kouan.add_command(sending.report)
kouan.add_command(customs_port.customs_port)
kouan.add_command(customs_simulator.customs_simulator)
kouan.add_command(ca_commands.ca)
kouan.add_command(issuer_commands.issuer)
kouan.add_command(audit_desk.audit_desk)
kouan.add_command(register_commands.register)
kouan.add_command(push_process.push)
kouan.add_command(paying_process.commands)
kouan.add_command(push_commands.endpoints)
kouan.add_command(push_commands.push_networks)
kouan.add_command(subscription_commands.subscriptions)
kouan.add_command(tariff_commands.tariff)
kouan.add_command(period_commands.commands)
kouan.add_command(reconcile_commands.command)
kouan.add_command(seller_desk.commands)
kouan.add_command(adjusting.commands)
kouan.add_command(dunning.commands)
kouan.add_command(statement_commands.statement)
kouan.add_command(bank_commands.commands)
kouan.add_command(fapiao_commands.commands)
kouan.add_command(drill_commands.drill)
for each in workbook_commands.COMMANDS:
    kouan.add_command(each)
kouan.add_command(exporting_commands.command)
kouan.add_command(listen.listen)
kouan.add_command(sandbox_commands.sandbox)


def main() -> None:
    """Entry point: what goes wrong is told in one line."""
    try:
        kouan.main(standalone_mode=True)
    except KouanError as error:
        click.echo(f"kouan: {error.detail}", err=True)
        sys.exit(2)
    except (httpx.HTTPError, psycopg.OperationalError, OSError) as error:
        click.echo(f"kouan: {' '.join(str(error).split())}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
