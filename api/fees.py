"""The public list of fees: `GET /v1/fees`, without a login, as JSON or CSV; what is in force, and what is announced.

Its first eight columns are those of the national disclosure form: 序号, 收费主体, 项目名称, 收费标准, 计价单位,
服务内容, 收费形式及依据, 备注. Nothing that is not here can be charged (docs/decisions/016-tariffs.md). A government
item is free: it has no price and no number. Times are UTC, days those of Asia/Shanghai, money fen (CNY).
"""

import asyncio
import csv
import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from api.export import BOM, CSV, guarded
from api.pool import Pool
from api.settings import Fees, Settings
from billing import tariff
from billing.fee_words import Pair, in_words
from domain.catalogue import CHINA, CURRENCY, GROUPS, OPERATOR, Price, valid
from domain.errors import Malformed
from domain.pricing import Pricing
from projections import catalogue
from projections.catalogue import Listed

AnyRequest = Request[Any, Any, Any]
SECONDS = 60  # for so long an answer may be kept
FREE: Pair = ("免费", "free of charge")
GOVERNMENT_FORM: Pair = ("不收费：政务服务", "no charge: government service")
FORMS: dict[str, Pair] = {
    "market": ("经营服务性收费（市场调节价）", "charge for a commercial service (market price)"),
    "cost_recovery": ("经营服务性收费（按成本补偿）", "charge for a commercial service (cost recovery)"),
}
NODE: Pair = ("电子口岸运营单位", "operator of the electronic port")
STATES: dict[str, Pair] = {
    "free": ("免费", "free"),
    "in_force": ("现行", "in force"),
    "announced": ("已公布，未生效", "announced"),
    "not_offered": ("未定价，不提供", "no price, not offered"),
}


class BadQuestion(Malformed):
    slug = "bad-fees"
    title = "The list of fees cannot be asked for in this way"


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """A published price."""

    version: str
    standard_zh: str  # the whole rule in words
    standard_en: str
    pricing: Pricing  # the rule to calculate with
    currency: str = CURRENCY
    published_at: datetime | None
    effective_from: datetime
    notice_days: int  # whole days between the two
    ends_at: datetime | None = None  # withdrawn from then on
    review_by: datetime | None = None
    basis: str


class Fee(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the list. A government item has neither `in_force` nor `announced`."""

    no: int  # 序号
    payee_zh: str  # 收费主体
    payee_en: str
    item: str
    name_zh: str  # 项目名称
    name_en: str
    item_class: str
    standard_zh: str  # 收费标准
    standard_en: str
    unit_zh: str  # 计价单位
    unit_en: str
    content_zh: str  # 服务内容
    content_en: str
    form_zh: str  # 收费形式及依据
    form_en: str
    remarks_zh: str  # 备注
    remarks_en: str
    group: str
    group_zh: str
    group_en: str
    owner: str  # party that answers for it
    provider: str  # third party that renders it; "": the node itself
    free_alternative: str  # item that gives the same free of charge
    limit: str  # at the end of what is included or ordered: soft goes on and is paid, hard stops
    open: bool  # may be used without a subscription, up to what is included
    in_force: Charge | None = None
    announced: list[Charge] = []


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """The whole list at a moment."""

    at: datetime
    regime: str
    notice_days: int  # before a first or a higher price takes effect
    currency: str = CURRENCY
    fees: list[Fee]


# --- the list ---


def schedule(listed: Sequence[Listed], prices: Sequence[Price], at: datetime, asked: Fees) -> Schedule:
    """The list as it is, was or (as far as it is published) will be at a moment."""
    offered = [each for each in listed if _offered(each, at)]
    fees = [_fee(no, each, prices, at, asked.regime) for no, each in enumerate(offered, 1)]
    return Schedule(at=at, regime=asked.regime, notice_days=asked.notice_days, fees=fees)


def _offered(item: Listed, at: datetime) -> bool:
    begun = item.listed_at is not None and item.listed_at <= at
    return begun and (item.withdrawn_at is None or item.withdrawn_at > at)


def _fee(no: int, item: Listed, prices: Sequence[Price], at: datetime, regime: str) -> Fee:
    unit = (item.unit_zh, item.unit_en)
    current = tariff.in_force(prices, item.item, at)
    coming = [price for price in prices if price.item == item.item and _announced(price, at)]
    now = charge(current, unit) if current else None
    announced = [charge(price, unit) for price in sorted(coming, key=lambda price: price.effective_from)]
    free = item.item_class == "government"
    standard = FREE if free else (now.standard_zh, now.standard_en) if now else STATES["not_offered"]
    payee = (item.provider, item.provider) if item.provider else NODE if item.owner == OPERATOR else (item.owner,) * 2
    form, group = GOVERNMENT_FORM if free else FORMS[regime], GROUPS[item.group]  # type: ignore[index]  # of the DDL
    remarks = _remarks(item, now)
    return Fee(
        no=no,
        payee_zh=payee[0],
        payee_en=payee[1],
        item=item.item,
        name_zh=item.zh,
        name_en=item.en,
        item_class=item.item_class,
        standard_zh=standard[0],
        standard_en=standard[1],
        unit_zh=item.unit_zh,
        unit_en=item.unit_en,
        content_zh=item.content_zh or item.zh,
        content_en=item.content_en or item.en,
        form_zh="；".join(filter(None, (form[0], item.basis_zh))),
        form_en="; ".join(filter(None, (form[1], item.basis_en))),
        remarks_zh="；".join(zh for zh, _ in remarks),
        remarks_en="; ".join(en for _, en in remarks),
        group=item.group,
        group_zh=group[0],
        group_en=group[1],
        owner=item.owner,
        provider=item.provider,
        free_alternative=item.free_alternative,
        limit=item.limit,
        open=item.open,
        in_force=now,
        announced=announced,
    )


def _announced(price: Price, at: datetime) -> bool:
    return price.effective_from > at and (price.published_at or price.effective_from) <= at and valid(price)


def charge(price: Price, unit: Pair) -> Charge:
    """A price as it is published."""
    published = price.published_at or price.effective_from
    zh, en = in_words(price.rule, unit)
    return Charge(
        version=price.version,
        standard_zh=zh,
        standard_en=en,
        pricing=price.rule,
        currency=price.currency,
        published_at=published,
        effective_from=price.effective_from,
        notice_days=(price.effective_from - published).days,
        ends_at=price.withdrawn_from,
        review_by=price.review_by,
        basis=price.basis,
    )


def _remarks(item: Listed, now: Charge | None) -> list[Pair]:
    told: list[Pair] = []
    if item.free_alternative:
        told.append((f"免费替代：{item.free_alternative}", f"free of charge instead: {item.free_alternative}"))
    if now is not None and now.pricing.included:
        told.append(
            ("免费数量用完即止", "ends with what is free")
            if item.limit == "hard"
            else ("超出免费数量部分计费", "what goes beyond is charged")
        )
    if item.open:
        told.append(("免费数量内无须订阅", "no subscription needed for what is free"))
    if now is not None and now.review_by is not None:
        told.append((f"复审日期：{day(now.review_by)}", f"reviewed by {day(now.review_by)}"))
    if now is not None and now.basis:
        zh, _, en = now.basis.partition(" / ")
        told.append((zh, en or zh))
    return told


def day(moment: datetime) -> str:
    """The day in China."""
    return moment.astimezone(CHINA).date().isoformat()


# --- CSV ---

TITLES: tuple[Pair, ...] = (
    ("序号", "No."),
    ("收费主体", "Charged by"),
    ("项目名称", "Item"),
    ("收费标准", "Price"),
    ("计价单位", "Unit"),
    ("服务内容", "Content"),
    ("收费形式及依据", "Form and basis"),
    ("备注", "Remarks"),
    ("项目代码", "Code"),
    ("功能类别", "Group"),
    ("状态", "State"),
    ("价目版本", "Tariff"),
    ("公布日期", "Published"),
    ("生效日期", "In force from"),
    ("公示天数", "Days of notice"),
    ("复审日期", "Review by"),
    ("免费替代", "Free of charge instead"),
    ("提供方", "Provider"),
)


def table(found: Schedule) -> bytes:
    """One row for each item, and one more for each announced price; UTF-8 with a mark, for Excel."""
    text = io.StringIO(newline="")
    text.write(BOM)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([" ".join(title) for title in TITLES])
    for fee in found.fees:
        state = "free" if fee.item_class == "government" else "in_force" if fee.in_force else "not_offered"
        for named, price in [(state, fee.in_force), *(("announced", each) for each in fee.announced)]:
            writer.writerow([guarded(cell) for cell in _row(fee, named, price)])
    return text.getvalue().encode()


def _row(fee: Fee, state: str, price: Charge | None) -> list[str | int]:
    standard = (price.standard_zh, price.standard_en) if price else (fee.standard_zh, fee.standard_en)
    pairs = (
        (fee.payee_zh, fee.payee_en),
        (fee.name_zh, fee.name_en),
        standard,
        (fee.unit_zh, fee.unit_en),
        (fee.content_zh, fee.content_en),
        (fee.form_zh, fee.form_en),
        (fee.remarks_zh, fee.remarks_en),
    )
    dates: list[str | int] = ["", "", "", "", ""]
    if price is not None:
        review = day(price.review_by) if price.review_by else ""
        published = day(price.published_at) if price.published_at else ""
        dates = [price.version, published, day(price.effective_from), price.notice_days, review]
    codes = [fee.item, f"{fee.group_zh} {fee.group_en}", " ".join(STATES[state])]
    both = [" / ".join(dict.fromkeys(filter(None, pair))) for pair in pairs]
    return [fee.no, *both, *codes, *dates, fee.free_alternative, fee.provider]


# --- the route ---


def moment(text: str, now: datetime) -> datetime:
    """A day in China (its beginning), or a moment with offset; now if nothing is said. Raises BadQuestion."""
    if not text:
        return now
    try:
        if len(text) == len("2026-01-01"):
            return datetime.combine(date.fromisoformat(text), time(), CHINA).astimezone(UTC)
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadQuestion(
        f"at={text[:40]!r} 应为日期，如 2026-12-01，或带时区的时刻 / at={text[:40]!r} must be a day such as 2026-12-01,"
        " or a moment with an offset",
        parameter="at",
    )


def read(pool: Pool, at: datetime, asked: Fees) -> Schedule:
    """The list, from the read model."""
    with pool.connection() as connection:
        return schedule(catalogue.items(connection), catalogue.prices(connection), at, asked)


@get("/v1/fees", tags=["fees"])
async def fees(
    request: AnyRequest,
    pool: NamedDependency[Pool],
    settings: NamedDependency[Settings],
    at: FromQuery[str] = "",
    form: Annotated[Literal["", "json", "csv"], QueryParameter(name="format")] = "",
) -> Response[Schedule] | Response[bytes]:
    """Every service item with its price: free ones, those in force, and those announced. No login. JSON or CSV."""
    found = await asyncio.to_thread(read, pool, moment(at, datetime.now(UTC)), settings.fees)
    headers = {"Cache-Control": f"public, max-age={SECONDS}", "Vary": "Accept"}
    if (form or _accepted(request)) == "csv":
        named = {"Content-Disposition": 'attachment; filename="fees.csv"', "X-Content-Type-Options": "nosniff"}
        return Response(table(found), media_type=f"{CSV}; charset=utf-8", headers={**headers, **named})
    return Response(found, headers=headers)


def _accepted(request: AnyRequest) -> str:
    if CSV not in request.headers.get("accept", ""):
        return "json"
    return "csv" if request.accept.best_match([MediaType.JSON.value, CSV], MediaType.JSON.value) == CSV else "json"


ROUTES = (fees,)
