"""`kouan reconcile PERIOD`: compare a month in a terminal, at the node itself, and sign for it.

The same acts as by API (api/reconciling.py), each told to the trail. It exits 1 while breaks are open, so that a script
can wait for them. Money is shown in yuan, months are those of Asia/Shanghai.
"""

import sys
from datetime import UTC, datetime
from typing import Any

import click
from rich.text import Text

from api import reconciling, terminal
from api.books import Books, carry_out, conninfo, opened
from api.reconciling import Shown, ShownBreak
from api.settings import Settings
from billing.fee_words import yuan
from billing.workbook_rows import BREAK_STATES
from domain import period
from domain.errors import Malformed

console = terminal.open_console()


@click.command("reconcile")
@click.argument("name", metavar="PERIOD")
@click.option("--by", default="", help="经办人，查看时可省略 / who does this; not needed to look.")
@click.option("--show", "only_shown", is_flag=True, help="只看上次结果 / show the last run only.")
@click.option("--accept", metavar="BREAK", default="", help="接受一项差异，须附理由 / accept a break; needs --reason.")
@click.option("--assign", metavar="BREAK", default="", help="指定负责人，须附 --owner / say who looks after a break.")
@click.option("--reason", default="")
@click.option("--owner", default="")
@click.option("--sign", "signs", is_flag=True, help="签字，须由另一人 / sign the last run, as a second person.")
@click.option("--note", default="", help="签字附注 / a note with the signature.")
def command(name: str, by: str, **asked: Any) -> None:
    """对账：比对日志、计量、账单、支付方与收款 / compare journal, usage, statements, provider and payments."""
    month, now = period.parse(name), datetime.now(UTC)
    if not by and not asked["only_shown"]:
        raise click.UsageError("缺 --by 经办人 / --by: who does this?")
    with opened(conninfo()) as books:
        if asked["accept"]:
            act = reconciling.accept(month, asked["accept"], asked["reason"], by, now)
        elif asked["assign"]:
            act = reconciling.assign(month, asked["assign"], asked["owner"], by, now)
        elif asked["signs"]:
            act = reconciling.sign(month, asked["note"], by, now)
        elif not asked["only_shown"]:
            gateways = reconciling.gateways_of(Settings.read().paying, books.pool)
            act = reconciling.run(books, gateways, month, by, now)
        else:
            act = None
        if act is not None:
            carry_out(books, act, by)
        found = _read(books, month, now)
    _tell(found)
    sys.exit(1 if found.open else 0)


def _read(books: Books, month: str, now: datetime) -> Shown:
    return reconciling.shown(reconciling.read(books.pool, books.writer.journal, month), now)


def _tell(found: Shown) -> None:
    if not found.runs:
        raise Malformed(f"{found.period} 尚未对账 / {found.period} was not reconciled yet", field="period")
    for each in found.breaks:
        if each.state != "resolved":
            console.print(Text(_line(each)))
    signed = f"  {found.signed_by} 已签字 signed" if found.signed_by else ""
    sums = f"未处理 open {found.open}  已接受 accepted {found.accepted}  已消除 resolved {found.resolved}"
    console.print(Text(f"{found.period}  {sums}{signed}"))


def _line(each: ShownBreak) -> str:
    state = " ".join(BREAK_STATES[each.state])
    ours, theirs = ("–" if minor is None else yuan(minor) for minor in (each.ours_minor, each.theirs_minor))
    where = f" {each.statement}" + (f":{each.line}" if each.line else "") if each.statement else ""
    owner = f"  {each.owner}" if each.owner else ""
    return (
        f"{each.break_id}  {each.zh} {each.en}{where}  {each.holder}  我方 ours {ours}  对方 theirs {theirs}"
        f"  {state}, {each.age_days} d{owner}\n    {each.detail}"
    )
