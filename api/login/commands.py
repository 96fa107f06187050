"""`kouan account …`: open accounts, give keys and passwords that open once, unlock. At the node itself.

What is shown is shown once. There are no default passwords: a node's first administrators are opened here.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, get_args

import click
import psycopg

from api import embedded
from api.identity import RIGHTS, TWO_FACTORS, Account, Right, Role, open_account
from api.login import attempts, passwords, sessions, totp
from api.login.people import person
from api.settings import Settings
from api.trail import Trail
from domain.journal import Journal
from domain.writer import Writer

ROLES, ALL_RIGHTS = list(get_args(Role)), list(get_args(Right))


@click.group()
def account() -> None:
    """Accounts of the node; it must be running."""


@contextmanager
def _database(action: str = "", name: str = "", detail: str = "") -> Iterator[psycopg.Connection[Any]]:
    """What is done on it is told to the trail, by its `action`, before it is shown."""
    settings = Settings.read()
    conninfo = settings.database_url or embedded.start(settings.home)
    with psycopg.connect(conninfo, autocommit=True) as connection, connection.transaction():
        yield connection
        if action:
            with Journal("commerce", conninfo).opened() as journal:
                writer = Writer(journal)
                try:
                    asyncio.run(Trail(writer).tell(action, f"account:{name}", detail=f"kouan account {detail}".strip()))
                finally:
                    writer.stop()


@account.command("open")
@click.argument("role", type=click.Choice(ROLES))
@click.argument("name")
@click.option("--zh", default="", help="Chinese name.")
@click.option("--en", default="", help="English name.")
@click.option("--party", default="", help="USCC of an enterprise, code of an agency.")
@click.option("--right", "rights", multiple=True, type=click.Choice(ALL_RIGHTS), help="Default: by role.")
@click.option("--key", "wants_key", is_flag=True, help="A key instead of a password that opens once.")
def open_(role: Role, name: str, *, rights: tuple[str, ...], wants_key: bool, **about: str) -> None:
    """Open an account, and show a password that opens once or, with --key, a key. One that exists gets another key."""
    zh, en = about["zh"] or name, about["en"] or name
    wanted = Account(name, role, zh, en, about["party"], rights or RIGHTS.get(role, ()))
    with _database("user.opened", name, f"{role} {wanted.party} {' '.join(wanted.rights)}") as connection:
        if wants_key or role == "source":
            _same_role(connection, name, role)
            shown = open_account(connection, wanted)
        else:
            shown = opened(connection, wanted, datetime.now(UTC))
    click.echo(shown)


def _same_role(connection: psycopg.Connection[Any], name: str, role: str) -> None:
    found = person(connection, name)
    if found is not None and found.role != role:
        raise click.ClickException(f"账户 {name} 的角色是 {found.role} / account {name} is {found.role}")


OPEN = """
INSERT INTO accounts (account, role, zh, en, party, rights, made_by, password, password_set_at, password_once)
VALUES (%s, %s, %s, %s, %s, %s, 'node', %s, %s, true)
ON CONFLICT DO NOTHING
"""


def opened(connection: psycopg.Connection[Any], wanted: Account, now: datetime) -> str:
    """A new account with a password that opens once. Returns the password."""
    password = passwords.once()
    values = (wanted.account, wanted.role, wanted.zh, wanted.en, wanted.party, list(wanted.rights))
    if not connection.execute(OPEN, (*values, passwords.hashed(password), now)).rowcount:
        name = wanted.account
        raise click.ClickException(
            f"账户 {name} 已存在；重置口令用 kouan account password / account {name} is there: "
            "kouan account password gives it another password"
        )
    return password


@account.command()
@click.argument("name")
@click.option("--without-totp", is_flag=True, help="Its second factor is lost: it must be enrolled again.")
def password(name: str, *, without_totp: bool) -> None:
    """Give an account a password that opens once; it is shown once. Its sessions end."""
    with _database("user.password_reset", name, "without-totp" if without_totp else "") as connection:
        once = reset(connection, name, datetime.now(UTC))
        if without_totp:
            totp.remove(connection, name)
    click.echo(once)


ONCE = """
UPDATE accounts SET password = %s, password_set_at = %s, password_once = true WHERE account = %s
"""


def reset(connection: psycopg.Connection[Any], name: str, now: datetime) -> str:
    """Another password that opens once; the account is unlocked, its sessions end. Returns the password."""
    once = passwords.once()
    if not connection.execute(ONCE, (passwords.hashed(once), now, name)).rowcount:
        raise click.ClickException(f"没有账户 {name} / there is no account {name}")
    sessions.end_others(connection, name)
    attempts.unlock(connection, name)
    return once


@account.command()
@click.argument("name")
def unlock(name: str) -> None:
    """Let an account try again that failed too often."""
    with _database("user.unlocked", name) as connection:
        attempts.unlock(connection, name)


@account.command("list")
def list_() -> None:
    """All accounts: name, role, party, state, and whether they have a second factor."""
    with _database() as connection:
        for row in connection.execute("SELECT account FROM accounts ORDER BY account").fetchall():
            found = person(connection, row[0])
            if found is not None:
                factor = "totp" if found.has_totp else "no second factor" if found.role in TWO_FACTORS else ""
                click.echo("  ".join((found.account, found.role, found.party or "-", found.state, factor)).rstrip())
