"""`kouan fapiao …`: rows for the tax platform, and the numbers that it issued.

What is done is the same as by API (api/fapiao_desk.py) and stands on the trail. Money is given in yuan, kept in fen.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.text import Text

from api import fapiao_desk, terminal
from api.bank_commands import BY, Node, opened
from api.fapiao_desk import Books, Classified, ToRecord, ToRedden, ToRequest
from api.govern.acts import Act
from billing import bank_csv, fapiao_books
from billing.fapiao import Request
from domain import catalogue, period
from domain.deciding import Decider
from domain.errors import Malformed
from domain.fapiao import Title
from domain.money import yuan

console = terminal.open_console()
KIND = click.option("--kind", type=click.Choice(["ordinary", "special"]), default="ordinary", help="普票或专票 / kind.")
STATES = {
    "missing": "缺 missing",
    "requested": "已申请 requested",
    "issued": "已开 issued",
    "different": "不符 different",
}


@click.group("fapiao")
def commands() -> None:
    """发票：申请、导出、登记、红冲 / fapiao: ask for, export, record, redden; the node must be running."""


@commands.command("list")
@click.argument("month", metavar="PERIOD")
def list_(month: str) -> None:
    """列出一个月各账单的发票 / the statements of a month and their fapiao."""
    name = period.parse(month)
    with opened() as node, node.pool.connection() as connection:
        for each in fapiao_books.listed(connection, month=name):
            numbers = " ".join([blue.number for blue in each.blue] + [f"红 {red.number}" for red in each.red])
            owed, had = yuan(each.payable_minor - each.credited_minor), yuan(each.issued_minor)
            console.print(Text(f"{each.statement}  {each.holder}  {owed} / {had}  {STATES[each.state]}  {numbers}"))


@commands.command("request")
@click.argument("statement")
@click.option("--name", default="", help="购买方名称，默认按登记簿 / the buyer's name; default: as registered.")
@click.option("--tax-id", default="", help="购买方税号 / the buyer's tax id.")
@KIND
@BY
def request(statement: str, name: str, tax_id: str, kind: str, by: str) -> None:
    """申请开票 / ask for the fapiao of a statement."""
    buyer = Title(name=name, tax_id=tax_id) if name else None
    told = ToRequest(kind="special" if kind == "special" else "ordinary", buyer=buyer)
    with opened() as node:
        _carry_out(node, fapiao_desk.requesting(node.pool, statement, told, by, datetime.now(UTC)), by)


@commands.command("export")
@click.argument("month", metavar="PERIOD")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export(month: str, file: Path) -> None:
    """导出待开票的行（.xlsx、.csv、.json）/ the rows that wait for the tax platform, by the ending of FILE."""
    name = period.parse(month)
    with opened() as node, node.pool.connection() as connection:
        found = fapiao_books.requests(connection, month=name)
    writers: dict[str, Callable[[Sequence[Request]], bytes]] = {
        ".xlsx": fapiao_desk.workbook,
        ".csv": fapiao_desk.table,
        ".json": msgspec.json.encode,
    }
    if file.suffix not in writers:
        raise Malformed(f"{file.name} 须以 .xlsx、.csv 或 .json 结尾 / {file.name} must end in .xlsx, .csv or .json")
    file.write_bytes(writers[file.suffix](found))
    console.print(Text(f"{file}  {len(found)} 份申请 requests"))
    for item in sorted({item for each in found for item in each.unclassified}):
        console.print(Text(f"  {item}：未定税收分类编码 / its tax classification is not told: kouan fapiao classify"))


@commands.command("record")
@click.argument("statement")
@click.argument("number")
@click.option("--on", "issued_on", type=click.DateTime(["%Y-%m-%d"]), required=True, help="开票日期 / issued on.")
@click.option("--net", required=True, help="金额，元 / yuan without tax.")
@click.option("--tax", required=True, help="税额，元 / tax, yuan.")
@click.option("--red-of", default="", help="红字：原蓝字发票号 / of a red one: the blue one's number.")
@click.option("--confirmation", default="", help="红字发票信息确认单编号 / of a red one: its confirmation.")
@click.option("--credit-note", default="", help="红字：所依据的贷项 / of a red one: the credit note on which it rests.")
@click.option("--reason", default="", help="红冲原因 / of a red one: why.")
@KIND
@BY
def record(statement: str, number: str, issued_on: datetime, **told: str) -> None:
    """登记税务系统开出的发票 / record what the tax system issued, as it stands there; of a red one below zero."""
    minors = [bank_csv.amount_of(told[name]) for name in ("net", "tax")]
    said: dict[str, Any] = {"number": number, "kind": told["kind"], "issued_on": issued_on.date()}
    said |= {"net_minor": minors[0], "tax_minor": minors[1], "total_minor": sum(minors)}
    by, now = told["by"], datetime.now(UTC)
    with opened() as node:
        if not told["red_of"]:
            _carry_out(node, fapiao_desk.recording(node.pool, statement, ToRecord(**said), by, now), by)
            return
        red: dict[str, Any] = {name: told[name] for name in ("confirmation", "credit_note", "reason")}
        taken = ToRedden(**said, original=told["red_of"], **red)
        _carry_out(node, fapiao_desk.reddening(Books(node.pool, node.writer.journal), statement, taken, by, now), by)


@commands.command("classify")
@click.argument("item")
@click.argument("tax_code")
@click.argument("short")
@click.option("--name", default="", help="发票上的名称 / its name on fapiao; default: as catalogued.")
@BY
def classify(item: str, tax_code: str, short: str, name: str, by: str) -> None:
    """登记服务项目的税收分类编码与简称 / the tax classification of a service item: 19 digits and its short name."""
    told = Classified(tax_code=tax_code, short=short, name=name)
    with opened() as node:
        _carry_out(node, fapiao_desk.classifying(catalogue.code_of(item), told, by, datetime.now(UTC)), by)


def _carry_out(node: Node, act: Act, by: str) -> None:
    """Decide at the node itself, and tell the trail."""
    decider = Decider(node.writer, node.pool)
    try:
        decided = decider.decide(act.stream, act.fold, act.decision)
    finally:
        decider.stop()
    if decided.facts:
        node.tell(act.action, act.stream, f"{act.detail}, by {by}")
    console.print(Text(act.stream if decided.facts else "无变化 / nothing new"))
