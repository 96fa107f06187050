"""`kouan period …`: the months of the books in a terminal, at the node itself.

The same acts as by API (api/closing.py), each told to the trail. Months are those of Asia/Shanghai.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
import psycopg

from api import closing
from api.books import carry_out, conninfo, opened
from api.govern.acts import Act
from billing.fee_words import yuan
from domain import period
from domain.period import STAGES

F = TypeVar("F", bound=Callable[..., Any])


@click.group("period")
def commands() -> None:
    """账期：截止、出账单、关账、重开 / months of the books; the node must be running."""


def _acts(told: tuple[str, str], make: Callable[..., Act], **more: Any) -> None:
    """Do it, and say in both languages that it is done or was."""
    name, by = period.parse(more.pop("name")), more.pop("by")
    with opened(conninfo()) as books:
        new = carry_out(books, make(books, name, by=by, at=datetime.now(UTC), **more), by)
    zh, en = told
    click.echo(f"{name} {f'{zh} / is {en}' if new else f'早{zh} / was {en} before'}")


def _month(command: F) -> F:
    """Its argument and who acts."""
    by = click.option("--by", required=True, help="经办人 / who does this.")
    return click.argument("name", metavar="PERIOD")(by(command))


@commands.command("list")
def list_() -> None:
    """列出账期 / how far each month is."""
    with psycopg.connect(conninfo(), autocommit=True) as connection:
        found = closing.months(connection)
    for name, month in found.items():
        issued = month.reviewed
        sums = f"  {issued.statements} 份账单 statements  ¥{yuan(issued.total_minor)}" if issued else ""
        asked = month.period.asked
        wish = f"  {asked.by} 申请重开 asks to reopen it: {asked.reason}" if asked else ""
        click.echo(f"{name}  {' '.join(STAGES[month.period.stage])}  {month.position}{sums}{wish}")
    if not found:
        click.echo("尚无账期截止 / no period has been cut off yet")


@commands.command("cut-off")
@_month
def cut_off(name: str, by: str) -> None:
    """截止一个月，如 2026-10 / cut off a month that is over; a second time changes nothing."""
    _acts(("已截止", "cut off"), closing.cut_off, name=name, by=by)


@commands.command("statements")
@_month
def statements(name: str, by: str) -> None:
    """出具账单 / issue the statements of a month that was cut off."""
    _acts(("已出账单", "billed"), closing.issue, name=name, by=by)


@commands.command("close")
@_month
def close(name: str, by: str) -> None:
    """关账 / close a month whose reconciliation is signed."""
    _acts(("已关账", "closed"), closing.close, name=name, by=by)


@commands.command("ask-reopening")
@_month
@click.option("--reason", required=True)
def ask_reopening(name: str, by: str, reason: str) -> None:
    """申请重开 / ask for a closed month to be reopened."""
    _acts(
        ("已申请重开", "to be reopened"),
        lambda _, month, **about: closing.ask_reopening(month, **about),
        name=name,
        by=by,
        reason=reason,
    )


@commands.command("reopen")
@_month
def reopen(name: str, by: str) -> None:
    """同意重开，须由另一人 / reopen it, by a second person."""
    _acts(("已重开", "reopened"), lambda _, month, **about: closing.reopen(month, **about), name=name, by=by)
