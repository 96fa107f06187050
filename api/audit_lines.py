"""An entry of the audit trail as a person or a program reads it, and as a row of a table with titles in both languages.

Everything is told from the entry's own bytes, never from the columns it is found by.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from api import words
from api.export import Cell, guarded
from projections.audit import Row, found


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who did what, to what, under which leave, with which result."""

    n: int
    at: datetime
    action: str
    object: str
    result: str
    who: str = ""
    party: str = ""
    behalf: str = ""
    credential: str = ""
    item: str = ""
    datasets: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    purpose: str = ""
    address: str = ""
    channel: str = ""
    count: int | None = None
    detail: str = ""
    position: int | None = None  # in the commerce journal
    algorithm: str = ""
    hash: str = ""  # hex
    entry: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))  # verbatim, what the hash covers


class _Fact(msgspec.Struct, frozen=True):
    behalf: str = ""
    credential: str = ""
    item: str = ""
    datasets: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    purpose: str = ""
    address: str = ""
    channel: str = ""
    count: int | None = None
    detail: str = ""
    reason: str = ""


class _Entry(msgspec.Struct, frozen=True):
    fact: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))


_entry, _fact = msgspec.json.Decoder(_Entry), msgspec.json.Decoder(_Fact)


def line(row: Row) -> Line:
    """What an entry says. One that was tampered with so that it cannot be read is shown as `unreadable`."""
    algorithm, hashed = row.algorithm, row.hash.hex()
    try:
        told = found(row.entry)
        entry = msgspec.Raw(row.entry)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Line(row.n, row.found.at, "unreadable", "audit", "error", algorithm=algorithm, hash=hashed)
    more = _more(row.entry)
    return Line(
        n=row.n,
        at=told.at,
        action=told.action,
        object=told.object,
        result=told.result,
        who=told.who,
        party=told.party,
        behalf=more.behalf,
        credential=more.credential,
        item=more.item,
        datasets=more.datasets,
        permissions=more.permissions,
        purpose=more.purpose,
        address=more.address,
        channel=more.channel,
        count=more.count,
        detail=more.detail or more.reason,
        position=told.position,
        algorithm=algorithm,
        hash=hashed,
        entry=entry,
    )


def _more(entry: bytes) -> _Fact:
    try:
        return _fact.decode(bytes(_entry.decode(entry).fact))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _Fact()  # a fact of another shape: its words stand in the entry


# --- a table ---


class Column(NamedTuple):
    title: words.Pair
    cell: Callable[[Line], Cell]


def _plain(name: str) -> Callable[[Line], Cell]:
    def cell(each: Line) -> Cell:
        value: Any = getattr(each, name)
        return " ".join(value) if isinstance(value, tuple) else value

    return cell


COLUMNS: tuple[Column, ...] = (
    Column(("序号", "No."), _plain("n")),
    Column(("时间", "At"), lambda each: each.at.isoformat()),
    Column(("何人", "Who"), _plain("who")),
    Column(("单位", "Party"), _plain("party")),
    Column(("代表", "On behalf of"), _plain("behalf")),
    Column(("凭证", "Credential"), _plain("credential")),
    Column(("行为", "Action"), _plain("action")),
    Column(("对象", "Object"), _plain("object")),
    Column(("结果", "Result"), _plain("result")),
    Column(("服务项目", "Service item"), _plain("item")),
    Column(("数据集", "Datasets"), _plain("datasets")),
    Column(("许可", "Permissions"), _plain("permissions")),
    Column(("用途", "Purpose"), _plain("purpose")),
    Column(("地址", "Address"), _plain("address")),
    Column(("渠道", "Channel"), _plain("channel")),
    Column(("数量", "Count"), _plain("count")),
    Column(("说明", "Detail"), _plain("detail")),
    Column(("日志位置", "Position"), _plain("position")),
    Column(("算法", "Algorithm"), _plain("algorithm")),
    Column(("哈希", "Hash"), _plain("hash")),
)


def title(column: Column) -> str:
    """In both languages."""
    return " ".join(column.title)


def cells(each: Line) -> list[Cell]:
    """A row of the table; nothing in it becomes a formula."""
    return [guarded(column.cell(each)) for column in COLUMNS]
