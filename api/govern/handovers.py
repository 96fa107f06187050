"""The delivery ledger for those who own the data: `GET /v1/handovers`, by day; `/v1/handovers/records`, one by one.

A department sees the hand-overs of the datasets that it owns, with the permissions that are about them, and nothing of
what the same delivery drew from others; an auditor sees all. Each look is told to the trail. What was refused is not in
the ledger: that is in the trail. Days are those of Asia/Shanghai.
"""

import asyncio
import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from api.export import BOM, CSV, guarded
from api.govern.acts import AnyRequest, Desk, admitted
from api.govern.book import Book
from api.identity import Account, needs
from domain.datasets import DATASETS
from domain.errors import Malformed, Unknown
from domain.register import RESERVED
from domain.terms import CHANNELS
from projections import handovers
from projections.handovers import Asked, Record, Row

READERS = [needs("steward", "officer", "auditor")]
DAYS, DAYS_MAX = 31, 3_660
PAGE, PAGE_MAX = 1_000, 10_000
RECORDS_MAX, WINDOW = 500, 50_000  # records on a page; positions that one page looks at
SHANGHAI = ZoneInfo("Asia/Shanghai")
CHANNEL_WORDS: dict[str, tuple[str, str]] = {str(name): pair for name, pair in CHANNELS.items()}
RESULTS = {"ok": ("已提供", "handed over"), "empty": ("无数据", "nothing found")}
LEAVES = {"owner": ("数源部门本身", "owner"), "public": ("公开", "public")}
OWN_CARGO = ("当事方自有货物", "own cargo")


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """What one recipient got of one dataset on one day, in one way."""

    day: date
    dataset: str
    dataset_zh: str
    dataset_en: str
    account: str
    party: str
    party_zh: str
    party_en: str
    permissions: tuple[str, ...]  # none: its own cargo
    item: str
    channel: str
    channel_zh: str
    channel_en: str
    result: str
    result_zh: str
    result_en: str
    deliveries: int
    quantity: int
    first_at: datetime
    last_at: datetime


class Ledger(msgspec.Struct, frozen=True):
    """The newest day first. `more`: ask again with a higher `skip`."""

    items: list[Handover]
    deliveries: int  # of these items
    quantity: int
    more: bool


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the journal."""

    position: int
    fact_id: UUID
    at: datetime
    account: str
    party: str
    behalf: str
    purpose: str
    item: str
    subject: str
    datasets: tuple[str, ...]
    permissions: tuple[str, ...]
    channel: str
    result: str
    quantity: int
    register: int  # position of the register on which it rested


class Deliveries(msgspec.Struct, frozen=True):
    """Oldest first; a page may be short, or empty, and still have a next one: go on with `after=next` while `more`."""

    items: list[Delivery]
    next: int
    more: bool


# --- who may see what ---


def wanted(desk: Desk, account: Account, said: dict[str, Any], now: datetime) -> Asked:
    """Raises Malformed for days that are none, Unknown for a dataset of somebody else's."""
    own = tuple(
        name
        for name in DATASETS
        if account.role == "auditor" or (account.party and desk.book.datasets[name].owner == account.party)
    )
    dataset = said.pop("dataset")
    if dataset and dataset not in own:
        raise Unknown(f"没有数据集 {dataset[:80]!r} 的台账 / there is no ledger of {dataset[:80]!r}")
    first, last = said.pop("first"), said.pop("last") or now.astimezone(SHANGHAI).date()
    first = first or last - timedelta(days=min(DAYS, (last - date.min).days))
    if first > last or (last - first).days > DAYS_MAX:
        raise Malformed(
            f"起止日期 {first} 至 {last} 有误，最多 {DAYS_MAX} 天 / from {first} to {last}: {DAYS_MAX} days at most",
            field="from",
        )
    return Asked((dataset,) if dataset else own, first, last, **said)


def told(book: Book, account: Account, permissions: tuple[str, ...], datasets: tuple[str, ...]) -> tuple[str, ...]:
    """Of the permissions of a delivery those that are about these datasets."""
    if account.role == "auditor":
        return permissions
    return tuple(each for each in permissions if each in RESERVED or _about(book, each, datasets))


def _about(book: Book, name: str, datasets: tuple[str, ...]) -> bool:
    kind, _, number = name.partition(":")
    if kind == "agreement":
        found = book.agreements.get(number)
        proposed = found.proposed if found else None
        return proposed is not None and not {*proposed.gives, *proposed.takes}.isdisjoint(datasets)
    known = book.permissions.get(name)
    return known is not None and known.terms is not None and known.terms.dataset in datasets


def handover(book: Book, account: Account, row: Row) -> Handover:
    listed, party = DATASETS[row.dataset], book.names(row.party) if row.party else ("", "")
    channel = CHANNEL_WORDS.get(row.channel, (row.channel, row.channel))
    result = RESULTS.get(row.result, (row.result, row.result))
    return Handover(
        day=row.day,
        dataset=row.dataset,
        dataset_zh=listed.zh,
        dataset_en=listed.en,
        account=row.account,
        party=row.party,
        party_zh=party[0],
        party_en=party[1],
        permissions=told(book, account, row.permissions, (row.dataset,)),
        item=row.item,
        channel=row.channel,
        channel_zh=channel[0],
        channel_en=channel[1],
        result=row.result,
        result_zh=result[0],
        result_en=result[1],
        deliveries=row.deliveries,
        quantity=row.quantity,
        first_at=row.first_at,
        last_at=row.last_at,
    )


async def looked_up(desk: Desk, account: Account, asked: Asked, skip: int, limit: int) -> Ledger:
    """A part of the ledger, told to the trail."""

    def read() -> list[Row]:
        with desk.pool.connection() as connection:
            return handovers.ledger(connection, asked, skip=skip, limit=limit + 1)

    rows = await asyncio.to_thread(read)
    items = [handover(desk.book, account, row) for row in rows[:limit] if row.dataset in DATASETS]
    await desk.trail.tell("handovers.read", "handovers", account=account, detail=_said(asked, len(items)))
    deliveries, quantity = sum(each.deliveries for each in items), sum(each.quantity for each in items)
    return Ledger(items, deliveries, quantity, len(rows) > limit)


def _said(asked: Asked, count: int) -> str:
    more = " ".join(each for each in (asked.party, asked.account, asked.permission, asked.item) if each)
    return f"{asked.first} {asked.last} {' '.join(asked.datasets)} {more} {count}"


# --- routes ---


@get("/v1/handovers", guards=READERS, tags=["govern"])
async def ledger(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    *,
    dataset: FromQuery[str] = "",
    first: Annotated[date | None, QueryParameter(name="from")] = None,
    last: Annotated[date | None, QueryParameter(name="to")] = None,
    party: FromQuery[str] = "",
    account: FromQuery[str] = "",
    permission: FromQuery[str] = "",
    item: FromQuery[str] = "",
    skip: Annotated[int, QueryParameter(ge=0, le=10**9)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE,
    wanted_format: Annotated[Literal["json", "csv"], QueryParameter(name="format")] = "json",
) -> Response[Any]:
    """To whom, how much, under which permission, by day; JSON or CSV. Both days are included."""
    who, now = await admitted(request, desk), datetime.now(UTC)
    said = {"dataset": dataset, "first": first, "last": last}
    said |= {"party": party, "account": account, "permission": permission, "item": item}
    found = await looked_up(desk, who, wanted(desk, who, said, now), skip, limit)
    if wanted_format == "json":
        return Response(found)
    headers = {"Content-Disposition": 'attachment; filename="handovers.csv"'}
    return Response(to_csv(found.items), media_type=f"{CSV}; charset=utf-8", headers=headers)


@get("/v1/handovers/records", guards=READERS, tags=["govern"])
async def records(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    *,
    dataset: FromQuery[str] = "",
    first: Annotated[date | None, QueryParameter(name="from")] = None,
    last: Annotated[date | None, QueryParameter(name="to")] = None,
    party: FromQuery[str] = "",
    account: FromQuery[str] = "",
    permission: FromQuery[str] = "",
    item: FromQuery[str] = "",
    after: Annotated[int, QueryParameter(ge=0, le=2**63 - 1)] = 0,
) -> Deliveries:
    """The records behind it, with their fact ids, oldest first."""
    who, now = await admitted(request, desk), datetime.now(UTC)
    said = {"dataset": dataset, "first": first, "last": last}
    said |= {"party": party, "account": account, "permission": permission, "item": item}
    asked = wanted(desk, who, said, now)
    found, behind, more = await asyncio.to_thread(_records, desk, asked, after)
    await desk.trail.tell("handovers.read", "records", account=who, detail=_said(asked, len(found)))
    return Deliveries([_delivery(desk.book, who, asked, each) for each in found], behind, more)


def _records(desk: Desk, asked: Asked, after: int) -> tuple[list[Record], int, bool]:
    """(the records, the position behind which the next page begins, whether there is one)."""
    with desk.pool.connection() as connection:
        low, high = handovers.span(connection, asked)
        start = max(after, low - 1)
        to = min(high, start + WINDOW)
        found = []
        for each in handovers.records(connection, asked, start, to):
            found.append(each)
            if len(found) == RECORDS_MAX:
                return found, each.position, each.position < high
    return found, max(to, after), to < high


def _delivery(book: Book, account: Account, asked: Asked, record: Record) -> Delivery:
    made = record.made
    datasets = tuple(each for each in made.datasets if each in asked.datasets)
    return Delivery(
        position=record.position,
        fact_id=record.fact_id,
        at=made.happened_at,
        account=made.account,
        party=made.party,
        behalf=made.behalf,
        purpose=made.purpose,
        item=made.item,
        subject=made.subject,
        datasets=datasets,
        permissions=told(book, account, made.permissions, datasets),
        channel=made.channel,
        result=made.result,
        quantity=made.count,
        register=made.register,
    )


# --- CSV ---

COLUMNS = (
    ("日期", "Day"),
    ("数据集", "Dataset"),
    ("数据集名称", "Dataset name"),
    ("接收单位", "Recipient"),
    ("接收单位名称", "Recipient name"),
    ("账户", "Account"),
    ("依据", "Under"),
    ("服务项目", "Item"),
    ("渠道", "Channel"),
    ("结果", "Result"),
    ("次数", "Deliveries"),
    ("数量", "Quantity"),
    ("首次", "First"),
    ("末次", "Last"),
)


def to_csv(items: list[Handover]) -> bytes:
    """One row for each, under a row of titles in both languages."""
    text = io.StringIO(newline="")
    text.write(BOM)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([f"{zh} {en}" for zh, en in COLUMNS])
    for each in items:
        writer.writerow([guarded(cell) for cell in _cells(each)])
    return text.getvalue().encode("utf-8", "replace")


def _cells(each: Handover) -> tuple[str | int, ...]:
    under = ["/".join(LEAVES[name]) if name in LEAVES else name for name in each.permissions]
    return (
        each.day.isoformat(),
        each.dataset,
        f"{each.dataset_zh} {each.dataset_en}",
        each.party,
        " ".join(dict.fromkeys((each.party_zh, each.party_en))),
        each.account,
        " ".join(under) or " / ".join(OWN_CARGO),
        each.item,
        f"{each.channel_zh} {each.channel_en}",
        f"{each.result_zh} {each.result_en}",
        each.deliveries,
        each.quantity,
        each.first_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
        each.last_at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
    )


ROUTES = (ledger, records)
