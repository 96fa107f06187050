"""`kouan ca …`: the CAs whose cards this node lets in, at the machine itself (docs/card.md)."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import click
import msgspec
import psycopg

from api import embedded
from api.login import cards
from api.login.cards import Rule
from api.settings import Settings
from api.trail import Trail
from domain.journal import Journal
from domain.writer import Writer

T = TypeVar("T")
NODE = "node"
"""Who did it, as the tables and the trail call whoever sits at the machine."""


@click.group("ca")
def ca() -> None:
    """可信 CA：哪些机构签发的卡可以登录 / the CAs whose cards may sign in."""


@ca.command("add")
@click.argument("name")
@click.argument("file", type=click.File("rb"))
@click.option("--crl-optional", is_flag=True, help="没有有效吊销列表时也放行 / let cards in without a fresh list.")
@click.option(
    "--crl-file", type=click.Path(path_type=Path), help="本机上的吊销列表，登录时读取 / read at each sign-in."
)
@click.option("--rule", default="", help='JSON，如 / such as {"party": "organizationIdentifier", "operator": "UID"}')
def add(name: str, file: BinaryIO, crl_file: Path | None, rule: str, *, crl_optional: bool) -> None:
    """登记一个 CA 证书（PEM） / trust a CA, by its certificate in PEM."""
    try:
        wanted = msgspec.json.decode(rule, type=Rule) if rule else None
    except msgspec.MsgspecError as error:
        raise click.BadParameter(f"规则不合要求 / the rule does not fit: {error}", param_hint="--rule") from error
    pem, listed = file.read().decode("ascii", "replace"), str(crl_file.absolute()) if crl_file else ""
    more: dict[str, Any] = {"crl_required": not crl_optional, "crl_file": listed, "rule": wanted}

    def work(connection: psycopg.Connection[Any]) -> str:
        return cards.add_ca(connection, name, pem, by=NODE, at=datetime.now(UTC), **more).subject

    detail = f"crl_required={not crl_optional}; crl_file={listed}; rule={rule}"
    click.echo(_told("trust.ca_added", name, work, detail))


@ca.command("list")
def listing() -> None:
    """列出 / list them."""
    with _connected() as (_, connection):
        for each in cards.cas(connection):
            lists = cards.crls(connection, each)
            until = max((str(one.until) for one in lists), default="没有 none")
            needed = "须 required" if each.crl_required else "可无 optional"
            click.echo(f"{each.name}\t{each.state}\t{each.subject}\tCRL {needed}, {until}")


@ca.command("crl")
@click.argument("name")
@click.argument("file", type=click.File("rb"))
def crl(name: str, file: BinaryIO) -> None:
    """上传吊销列表：DER，或 PEM（可附下级 CA 证书） / take revocation lists."""
    data = file.read()

    def work(connection: psycopg.Connection[Any]) -> str:
        taken = cards.take_crls(connection, cards.ca(connection, name), data, by=NODE, at=datetime.now(UTC))
        return "\n".join(f"{each.raw.issuer.rfc4514_string()}\t{len(each.raw)}\t{each.until}" for each in taken)

    click.echo(_told("trust.crl_taken", name, work))


@ca.command("suspend")
@click.argument("name")
def suspend(name: str) -> None:
    """停用：其卡不得登录 / let none of its cards in."""
    click.echo(_told("trust.ca_suspended", name, lambda each: cards.set_ca_state(each, name, "suspended").state))


@ca.command("resume")
@click.argument("name")
def resume(name: str) -> None:
    """恢复 / let its cards in again."""
    click.echo(_told("trust.ca_resumed", name, lambda each: cards.set_ca_state(each, name, "trusted").state))


@contextmanager
def _connected() -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    """The node's database: of the settings, or the embedded one."""
    settings = Settings.read()
    conninfo = settings.database_url or embedded.start(settings.home)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield conninfo, connection


def _told(action: str, name: str, work: Callable[[psycopg.Connection[Any]], T], detail: str = "") -> T:
    """Do it and tell the trail: what cannot be told is not done."""
    with _connected() as (conninfo, connection), Journal("commerce", conninfo).opened() as journal:
        writer = Writer(journal)
        try:
            with connection.transaction():
                done = work(connection)
                asyncio.run(Trail(writer).tell(action, f"ca:{name[:64]}", detail=detail, credential=NODE))
                return done
        finally:
            writer.stop()
