"""`kouan statement …`: which statements there are, one of them, made again from the books, or as a PDF.

At the node itself. `remake` is what an auditor runs: it ends with 1 if a single byte is another one.
"""

import sys
from pathlib import Path

import click
import psycopg
from rich.table import Table
from rich.text import Text

from api import embedded, statements, terminal
from api.papers import paper as papers
from api.papers.paper import Fact, both, yuan
from api.settings import Settings
from api.statements import LIMIT_MAX, Brief, Wanted
from domain import period
from domain.statement import Statement
from projections.usage import Whose

console = terminal.open_console()


@click.group()
def statement() -> None:
    """账单：列出、查看、重新生成、PDF / statements: list, show, remake, pdf; the node must be running."""


def _opened() -> psycopg.Connection[tuple[object, ...]]:
    settings = Settings.read()
    return psycopg.connect(settings.database_url or embedded.start(settings.home), autocommit=True)


def _all(connection: psycopg.Connection[tuple[object, ...]], month: str, holder: str) -> list[Brief]:
    found: list[Brief] = []
    after = ""
    while True:
        name = period.parse(month) if month else None
        wanted = Wanted(whose=Whose(), month=name, holder=holder or None, after=after, limit=LIMIT_MAX)
        some = statements.listed(connection, wanted)
        found += some.statements
        if not (after := some.next):
            return found


@statement.command("list")
@click.option("--period", "month", default="", help="A month, such as 2026-10; default: all.")
@click.option("--holder", default="", help="Party, or an account that has none.")
def list_(month: str, holder: str) -> None:
    """列出账单 / which statements were issued, newest month first."""
    with _opened() as connection:
        found = _all(connection, month, holder)
    for each in found:
        name = both((each.holder_zh, each.holder_en)) or each.holder
        sums = f"合计 total {yuan(each.total_minor):>14}  应付 payable {yuan(each.payable_minor):>14}"
        click.echo(f"{each.number}  {each.period}  {sums}  {each.sha256[:12]}  {name}")
    if not found:
        click.echo("没有账单 / no statement")


@statement.command("show")
@click.argument("number")
@click.option("--json", "as_json", is_flag=True, help="The document as it was issued, byte for byte.")
def show(number: str, *, as_json: bool) -> None:
    """查看一份账单 / one statement, free and paid together."""
    with _opened() as connection:
        found = statements.paper(connection, number)
    if as_json:
        click.echo(found.document, nl=False)
        return
    told = found.statement
    for each in (*papers.about(found), *papers.holder(told), *papers.seller(told.seller)):
        console.print(_row(each))
    console.print(_lines(told))
    for each in (*papers.sums(told), *papers.proof(found)):
        console.print(_row(each))


def _row(each: Fact) -> Text:
    return Text(f"{both(each.label)}：{yuan(each.said) if isinstance(each.said, int) else each.said}")


def _lines(told: Statement) -> Table:
    made = Table()
    for title in ("项目 Item", "数量 Quantity", "其中免费 Free", "金额 Amount", "说明 Remarks"):
        made.add_column(title, justify="left" if title in {"项目 Item", "说明 Remarks"} else "right")
    for part in papers.parts(told):
        made.add_row(Text(both(part.title), style="bold"))
        for line in part.lines:
            free = line.quantity if line.item_class == "government" or line.waived else line.free_quantity
            said = "; ".join(both(each) for each in papers.remarks(line))
            cells = (both((line.zh, line.en)), f"{line.quantity:,}", f"{free:,}", yuan(line.amount_minor), said)
            made.add_row(*(Text(cell) for cell in cells))
    return made


@statement.command("remake")
@click.argument("number", required=False)
@click.option("--period", "month", default="", help="All statements of a month instead of one.")
def remake(number: str | None, month: str) -> None:
    """由账簿重新生成并逐字节比较 / make it again from the books and compare; exits 1 unless it is the same bytes."""
    if bool(number) == bool(month):
        raise click.UsageError("NUMBER 与 --period 二者择一 / say either NUMBER or --period")
    different = 0
    with _opened() as connection:
        for name in [number] if number else [each.number for each in _all(connection, month, "")]:
            found = statements.remade(connection, str(name))
            word = "相同 same" if found.same else f"不同 DIFFERS，第 {found.differs_at} 字节起 from that byte on"
            click.echo(f"{found.number}  {found.remade_sha256}  {word}")
            different += not found.same
    sys.exit(1 if different else 0)


@statement.command("pdf")
@click.argument("number")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def pdf_(number: str, file: Path | None) -> None:
    """写成 PDF / write the PDF, by default to NUMBER.pdf here."""
    with _opened() as connection:
        found = statements.paper(connection, number)
    target = file or Path(f"{found.statement.number}.pdf")
    target.write_bytes(statements.pdf(found))
    click.echo(f"{target}  {target.stat().st_size:,} bytes")
