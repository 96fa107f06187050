"""`kouan bank …`: the bank's file imported at the node itself, what waits, and matching by hand.

What is done is the same as by API (api/bank_desk.py) and stands on the trail. Money is given in yuan and kept in fen.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import click
import psycopg
from rich.text import Text

from api import bank_desk, terminal
from api.pool import Pool, open_pool
from api.settings import Settings
from api.tariff_commands import conninfo_of
from api.trail import Trail
from billing import bank_books, bank_csv, bank_matching
from billing.bank_matching import Decision
from domain import bank_receipt
from domain.journal import Journal
from domain.money import yuan
from domain.writer import Writer

console = terminal.open_console()
BY = click.option("--by", required=True, help="经办人 / who does this.")
REASON = click.option("--reason", required=True, help="理由 / why.")


class Node(NamedTuple):
    """The node's database, as its own process reaches it."""

    pool: Pool
    writer: Writer

    def tell(self, action: str, about: str, detail: str) -> None:
        asyncio.run(Trail(self.writer).tell(action, about, detail=detail))


@contextmanager
def opened() -> Iterator[Node]:
    """For as long as a command lasts; the node must be running."""
    conninfo = conninfo_of(Settings.read())
    with Journal("commerce", conninfo).opened() as commerce, open_pool(conninfo) as pool:
        writer = Writer(commerce)
        try:
            yield Node(pool, writer)
        finally:
            writer.stop()


@click.group("bank")
def commands() -> None:
    """对公账户：导入流水、匹配账单 / the bank account: import movements, match statements; the node must be running."""


@commands.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--account", default="", help="本方账号，文件中无此列时 / our account, where no column says it.")
@click.option("--encoding", default="", help="utf-8, gb18030; default: tried in turn.")
@click.option(
    "--column", "columns", multiple=True, help="名称:标题，如 serial:流水号 / our name of a column: its title."
)
@BY
def import_(file: Path, account: str, encoding: str, columns: tuple[str, ...], by: str) -> None:
    """导入银行流水 CSV，重复导入不重复入账 / import the bank's file; a second time adds nothing."""
    told = bank_desk.columns_of(list(columns))
    read = bank_csv.read(file.read_bytes(), account=account, encoding=encoding, columns=told)
    with opened() as node:
        done = bank_desk.take(node.pool, node.writer, read, by, datetime.now(UTC))
        node.tell("bank.imported", f"bank_file:{read.sha256}", f"kouan bank import {file.name}, by {by}")
    console.print(
        Text(
            f"{done.rows} 行 rows  新增 new {done.new}  已有 known {done.repeated}  匹配 matched {done.matched}"
            f"  未读 unread {len(done.unread)}"
        )
    )
    for row in done.unread:
        console.print(Text(f"  第 {row.row} 行 row {row.row}: {row.zh} / {row.en}"))


@commands.command("list")
@click.option("--state", type=click.Choice(["waiting", "matched", "settled", "all", "unread"]), default="waiting")
def list_(state: str) -> None:
    """列出流水，默认为待匹配的 / movements; default: those that wait."""
    with opened() as node, node.pool.connection() as connection:
        if state == "unread":
            for each in bank_books.unread(connection):
                console.print(Text(f"{each.file_sha256[:12]} {each.row:>6}  {each.zh} / {each.en}  {each.raw}"))
            return
        after = 0
        while found := bank_books.receipts(connection, state=state, after=after):  # type: ignore[arg-type]
            for receipt in found:
                _show(receipt)
            after = found[-1].position


def _show(receipt: bank_books.ReceiptShown) -> None:
    sign = "+" if receipt.direction == "in" else "-"
    day = receipt.booked_at.astimezone(bank_receipt.ZONE).date()
    waits = f"待匹配 waiting {yuan(receipt.waiting_minor)}"
    line = f"{receipt.receipt}  {day}  {sign}{yuan(receipt.amount_minor):>12}  {waits}"
    console.print(Text(f"{line}  {receipt.payer}  {receipt.text}"))
    for match in receipt.matches:
        undone = "  已撤销 undone" if match.undone_at else ""
        console.print(Text(f"    {match.payment}  {match.statement}  {yuan(match.amount_minor)}  {match.rule}{undone}"))


@commands.command("match")
@click.argument("receipt", required=False)
@click.argument("statement", required=False)
@click.option("--amount", default="", help="元，默认全部 / yuan; default: all that waits or is owed.")
@click.option("--reason", default="", help="理由 / why.")
@BY
def match(receipt: str | None, statement: str | None, amount: str, reason: str, by: str) -> None:
    """手工匹配；不写参数则按附言与金额匹配 / match by hand; without arguments: by reference and amount."""
    now = datetime.now(UTC)
    with opened() as node:
        if not receipt or not statement:
            with node.pool.connection() as connection:
                count = bank_matching.by_reference(connection, node.writer, by=by, at=now)
            node.tell("bank.matched", "bank_receipt:*", f"kouan bank match, by {by}: {count}")
            console.print(Text(f"匹配 matched {count}"))
            return
        minor = bank_csv.amount_of(amount) if amount else None
        about: dict[str, Any] = {"by": by, "at": now, "reason": reason}
        _do(
            node,
            receipt,
            ("bank.matched", reason),
            lambda each: bank_matching.matching(each, node.writer, statement, minor, **about),
        )


@commands.command("undo")
@click.argument("receipt")
@click.argument("payment")
@REASON
@BY
def undo(receipt: str, payment: str, reason: str, by: str) -> None:
    """撤销匹配 / take a match back."""
    now = datetime.now(UTC)
    with opened() as node:
        _do(
            node,
            receipt,
            ("bank.unmatched", reason),
            lambda each: bank_matching.undoing(each, payment, by=by, at=now, reason=reason),
        )


@commands.command("return")
@click.argument("receipt")
@click.option("--reference", default="", help="退回的流水号 / the bank's serial number of what went out.")
@REASON
@BY
def give_back(receipt: str, reference: str, reason: str, by: str) -> None:
    """登记余款已退回 / say that what waits was sent back."""
    about: dict[str, Any] = {"reason": reason, "reference": reference, "by": by, "at": datetime.now(UTC)}
    with opened() as node:
        _do(
            node,
            receipt,
            ("bank.returned", reason),
            lambda _: lambda state: (bank_receipt.give_back(state, state.waiting_minor, **about), ()),
        )


@commands.command("set-aside")
@click.argument("receipt")
@REASON
@BY
def set_aside(receipt: str, reason: str, by: str) -> None:
    """登记与账单无关：利息、手续费 / say that it has nothing to do with statements."""
    about: dict[str, Any] = {"reason": reason, "by": by, "at": datetime.now(UTC)}
    with opened() as node:
        _do(
            node,
            receipt,
            ("bank.set_aside", reason),
            lambda _: lambda state: (bank_receipt.set_aside(state, **about), ()),
        )


@commands.command("refunds")
def refunds() -> None:
    """待付退款；转账附言写退款号即可自动核销 / refunds to pay; write the refund's id with the transfer."""
    with opened() as node, node.pool.connection() as connection:
        for each in bank_books.refunds(connection):
            console.print(
                Text(f"{each.refund}  {yuan(each.amount_minor)}  {each.payee}  {each.payee_account}  {each.statement}")
            )


def _do(
    node: Node, receipt: str, told: tuple[str, str], decision: Callable[[psycopg.Connection[Any]], Decision]
) -> None:
    done = bank_desk.decide(node.pool, node.writer, receipt, decision, uuid4())
    if done.new:
        node.tell(told[0], bank_receipt.stream(receipt), told[1])
    console.print(Text(f"{done.id}  {done.payment}" if done.new else "无变化 / nothing new"))
