"""`kouan issuer …`: name this node as an issuer, rotate its key, trust others, register those who may have tokens.

Whoever runs these has the database and KOUAN_HOME; the node must be running where the database is the embedded one.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar

import click
import msgspec
import psycopg

from api import embedded
from api.login import issuer as own
from api.login import issuers, provider
from api.login.issuers import SELF_MADE, Entry, Link
from api.login.oidc import secret_about
from api.login.provider import Client
from api.login.vault import Vault
from api.settings import Settings
from api.trail import Trail
from domain.journal import Journal
from domain.writer import Writer

NODE = "node"
"""Who did it, as the tables and the trail call whoever sits at the machine."""
T = TypeVar("T")


@click.group("issuer")
def issuer() -> None:
    """签发方：本节点与可信的其他节点 / issuers of tokens: this node, and those that it trusts."""


# --- this node ---


@issuer.command("name")
@click.argument("url")
def name(url: str) -> None:
    """本节点对外的地址，即令牌的 iss / the address of this node, `iss` of its tokens."""
    _told("trust.named", url[:200], lambda connection, _: own.name(connection, url))
    click.echo(url)


@issuer.command("rotate")
@click.option("--compromised", is_flag=True, help="旧密钥立即作废 / the old keys count no longer, from now on.")
def rotate(*, compromised: bool) -> None:
    """更换签名密钥，新旧重叠 / a new signing key; the old one overlaps."""

    def work(connection: psycopg.Connection[Any], vault: Vault) -> str:
        return own.rotate(connection, vault, datetime.now(UTC), at_once=compromised)

    click.echo(_told("trust.key_rotated", "compromised" if compromised else "issuer", work))


# --- those it trusts ---


@issuer.command("trust")
@click.argument("name")
@click.argument("url")
@click.option("--audience", required=True, help="令牌的 aud / `aud` of its tokens.")
@click.option("--party", "parties", multiple=True, help="可代表的主体，* 为全部 / whose users it may speak for.")
@click.option(
    "--role", "roles", multiple=True, type=click.Choice(sorted(SELF_MADE)), help="自动开户的角色 / made here."
)
@click.option("--client-id", default="", help="门户登录用 / ours with it, to sign in at the portal.")
@click.option("--client-secret-file", type=click.File("rb"), help="保密客户端 / of a confidential client.")
def trust(name: str, url: str, client_id: str, client_secret_file: BinaryIO | None, **given: Any) -> None:
    """信任一个签发方：读取其元数据一次并固定 / trust an issuer; its metadata are read once, and pinned."""
    begun = Entry(issuer=url, name=name, client_id=client_id, **given)
    entry = asyncio.run(issuers.discovered(begun))
    secret = client_secret_file.read().strip() if client_secret_file else b""

    def work(connection: psycopg.Connection[Any], vault: Vault) -> None:
        sealed = vault.seal(secret, secret_about(url)) if secret else None
        issuers.save(connection, entry, NODE, sealed)

    _told("trust.issuer_added", url[:200], work, name)
    click.echo(f"{name}\t{entry.jwks_uri}")


@issuer.command("import")
@click.argument("file", type=click.File("rb"))
def take(file: BinaryIO) -> None:
    """按 JSON 文件登记，一个签发方一项 / trust those of a JSON file, a list of entries (docs/login.md)."""
    try:
        entries = msgspec.json.decode(file.read(), type=list[Entry])
    except msgspec.MsgspecError as error:
        raise click.BadParameter(f"文件不合要求 / the file does not fit: {error}", param_hint="FILE") from error
    for entry in entries:
        _told("trust.issuer_added", entry.issuer[:200], _saving(entry), entry.name)
        click.echo(f"{entry.name}\t{entry.state}")


def _saving(entry: Entry) -> Callable[[psycopg.Connection[Any], Vault], None]:
    return lambda connection, _: issuers.save(connection, entry, NODE)


@issuer.command("list")
def listing() -> None:
    """列出 / list them."""
    with _connected() as (_, _, connection):
        for each in issuers.listed(connection):
            click.echo(f"{each.name}\t{each.state}\t{each.issuer}\t{','.join(each.parties) or '-'}")


@issuer.command("suspend")
@click.argument("name")
def suspend(name: str) -> None:
    """停用：其令牌与会话立即失效 / its tokens and sessions count no longer, from now on."""
    _told("trust.issuer_suspended", name[:80], lambda each, _: _set_state(each, name, "suspended"))


@issuer.command("resume")
@click.argument("name")
def resume(name: str) -> None:
    """恢复 / trust it again."""
    _told("trust.issuer_resumed", name[:80], lambda each, _: _set_state(each, name, "active"))


def _set_state(connection: psycopg.Connection[Any], name: str, state: str) -> None:
    entry, _ = issuers.by_name(connection, name)
    issuers.save(connection, msgspec.structs.replace(entry, state=state), NODE)


@issuer.command("link")
@click.argument("name")
@click.argument("subject")
@click.argument("account")
def link(name: str, subject: str, account: str) -> None:
    """把签发方的主体关联到本节点账户 / say whose account here a subject of an issuer is."""
    made = Link(subject, account)
    detail = f"{subject[:200]} -> {account[:100]}"
    _told("trust.linked", name[:80], lambda connection, _: issuers.link(connection, name, made, NODE), detail)


@issuer.command("client")
@click.argument("client_id")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="回调地址，逐字比对 / compared as it is.")
@click.option("--audience", default="", help="其 API 的 aud / `aud` of tokens for its API.")
@click.option("--zh", default="")
@click.option("--en", default="")
def client(client_id: str, redirect_uris: tuple[str, ...], audience: str, zh: str, en: str) -> None:
    """登记可取得本节点令牌的节点 / register a node that may have tokens of this one."""
    wanted = Client(client_id, zh, en, redirect_uris, audience)
    _told("trust.client_saved", client_id[:80], lambda connection, _: provider.save_client(connection, wanted, NODE))


# --- shared ---


@contextmanager
def _connected() -> Iterator[tuple[Settings, str, psycopg.Connection[Any]]]:
    """The node's database: of the settings, or the embedded one."""
    settings = Settings.read()
    conninfo = settings.database_url or embedded.start(settings.home)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield settings, conninfo, connection


def _told(action: str, about: str, work: Callable[[psycopg.Connection[Any], Vault], T], detail: str = "") -> T:
    """Do it and tell the trail: what cannot be told is not done."""
    with _connected() as (settings, conninfo, connection), Journal("commerce", conninfo).opened() as journal:
        writer = Writer(journal)
        try:
            with connection.transaction():
                done = work(connection, Vault(settings))
                asyncio.run(Trail(writer).tell(action, about, detail=detail, credential=NODE))
                return done
        finally:
            writer.stop()
