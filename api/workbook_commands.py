"""`kouan workbook`, `kouan usage-detail`, `kouan finance-report`: the books of a month as files, made at the node.

The ending of the file says what it becomes. Months are those of Asia/Shanghai.
"""

from pathlib import Path

import click

from api import embedded
from api.settings import Settings
from api.workbook import REPORTS, make_detail, make_report, make_workbook
from api.workbook_sources import reading
from domain import period
from domain.errors import Malformed
from projections.usage import Whose

PATH = click.Path(dir_okay=False, writable=True, path_type=Path)


def _form(file: Path, **known: str) -> str:
    """By the ending. Raises Malformed."""
    ending = file.suffix.removeprefix(".").lower()
    if ending not in known:
        told = ", ".join(f".{each}" for each in known)
        raise Malformed(f"文件名须以 {told} 结尾 / the file must end in {told}: {file.name}", field="file")
    return known[ending]


def _conninfo(settings: Settings) -> str:
    return settings.database_url or embedded.start(settings.home)


@click.command("workbook")
@click.argument("month", metavar="PERIOD")
@click.argument("file", type=PATH, required=False)
@click.option(
    "--url", default="", help="本平台地址，用于表内链接 / address of this node, for its links; default: KOUAN_ORIGIN."
)
def workbook_command(month: str, file: Path | None, url: str) -> None:
    """对账工作簿：.xlsx、.zip（CSV）或 .json / the reconciliation workbook of a month."""
    name, settings = period.parse(month), Settings.read()
    file = file or Path(f"workbook-{name}.xlsx")
    form = _form(file, xlsx="xlsx", zip="csv", json="json")
    with reading(_conninfo(settings)) as connection, file.open("wb") as made:
        make_workbook(connection, made, name, form, asked=settings.fees, base=url or settings.origin)
    click.echo(f"{file}  {file.stat().st_size:,} B")


@click.command("usage-detail")
@click.argument("month", metavar="PERIOD")
@click.argument("file", type=PATH)
@click.option("--holder", default="", help="只列一家（统一社会信用代码） / of one enterprise alone, by its party code.")
def detail_command(month: str, file: Path, holder: str) -> None:
    """使用明细，FOCUS 1.2 列名：.csv 或 .jsonl / usage detail under the column names of FOCUS 1.2."""
    name, form, settings = period.parse(month), _form(file, csv="csv", jsonl="jsonl"), Settings.read()
    whose = Whose(holder=holder, is_party=True) if holder else Whose()
    with reading(_conninfo(settings)) as connection, file.open("wb") as made:
        make_detail(connection, made, name, form, whose=whose)
    click.echo(f"{file}  {file.stat().st_size:,} B")


@click.command("finance-report")
@click.argument("report", type=click.Choice(list(REPORTS)))
@click.argument("month", metavar="PERIOD")
@click.argument("file", type=PATH)
def report_command(report: str, month: str, file: Path) -> None:
    """成本补偿、企业负担等报告：.csv、.xlsx 或 .json / a report on a month's statements."""
    name, form, settings = period.parse(month), _form(file, csv="csv", xlsx="xlsx", json="json"), Settings.read()
    with reading(_conninfo(settings)) as connection, file.open("wb") as made:
        make_report(connection, made, name, report, form, asked=settings.fees)
    click.echo(f"{file}  {file.stat().st_size:,} B")


COMMANDS = (workbook_command, detail_command, report_command)
