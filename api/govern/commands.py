"""`kouan register …`: the register in a terminal, and a node's register from one file. At the node itself."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from api import embedded, terminal
from api.govern import datasets, setup
from api.govern.book import Book
from api.pool import open_pool
from api.settings import Settings
from domain.datasets import DATASETS
from domain.permission import STATES
from domain.register import KINDS

console = terminal.open_console()


@click.group()
def register() -> None:
    """登记册：单位、数据集、授权 / parties, datasets, permissions; the node must be running."""


def _conninfo() -> str:
    settings = Settings.read()
    return settings.database_url or embedded.start(settings.home)


def _book() -> Book:
    with open_pool(_conninfo()) as pool:
        book = Book(pool)
        book.refresh()
    return book


@register.command("parties")
def parties() -> None:
    """列出单位 / list the parties."""
    rows = (
        (
            each.id,
            " ".join(KINDS.get(each.kind, ("未登记", "not registered"))),
            f"{each.zh} {each.en}",
            _standing(each.suspended),
        )
        for each in _book().parties.values()
    )
    _table(("单位 Party", "类别 Kind", "名称 Name", "状态 State"), rows)


def _standing(suspended: bool) -> str:
    return "暂停 suspended" if suspended else "正常 in good standing"


@register.command("datasets")
def datasets_() -> None:
    """列出数据集 / list the datasets."""
    book = _book()
    told = (datasets.shown(book, name) for name in DATASETS)
    rows = (
        (each.name, f"{each.zh} {each.en}", each.owner, f"{each.disclosure_zh} {each.disclosure_en}") for each in told
    )
    _table(("数据集 Dataset", "名称 Name", "数源部门 Owner", "公开范围 Disclosure"), rows)


@register.command("permissions")
def permissions() -> None:
    """列出授权 / list the permissions."""
    now = datetime.now(UTC)
    rows = (
        (
            each.id,
            each.terms.dataset,
            each.terms.recipient,
            " ".join(STATES[each.status(now)]),
            f"{each.terms.valid_to:%Y-%m-%d}",
        )
        for each in _book().permissions.values()
        if each.terms
    )
    _table(("许可 Permission", "数据集 Dataset", "接收方 Recipient", "状态 State", "有效至 Until"), rows)


def _table(titles: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    made = Table(*titles, box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    console.print(made)


@register.command("setup")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def setup_(file: Path) -> None:
    """从一个文件录入单位、数源部门与首批授权；已有的不变 / enter what FILE.json says and is not there yet."""
    for entered in setup.enter_file(_conninfo(), file):
        console.print(Text(f"{'新增 new  ' if entered.new else '已有 there'}  {entered.stream}"))
