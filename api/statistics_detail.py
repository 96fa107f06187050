"""Statistics in detail: `GET /v1/statistics/detail?measure=…`, as JSON, CSV or a workbook. A flat price by the month.

What is more than in the free summary (api/statistics.py): weeks, days of the week, bands of duration, inspected or not,
one step or two, and five quantiles. What is the same: whose data it takes, which groups are too small to be shown, and
that counts are rounded. Quantiles beside the median and p90 need as many units as a share does.
"""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import psycopg
import xlsxwriter  # type: ignore[import-untyped]
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from api import export
from api import statistics as summary
from api.delivery import STATISTICS_DETAIL
from api.identity import caller, needs
from api.settings import Settings
from api.statistics import MeasureTold, TooWide, months
from api.way_out import Looking, WayOut
from api.words import Pair
from billing.table import inline
from domain import places
from domain.errors import Unknown
from projections import runner, statistics, statistics_detail, suppression
from projections.measures import MEASURES, Measure
from projections.statistics import GROUPS_MAX, Period
from projections.statistics_detail import BANDS, QUANTILES, Detail

DIMENSIONS: dict[str, Pair] = {
    **summary.DIMENSIONS,
    "week": ("周", "week"),
    "weekday": ("星期", "day of the week"),
    "band": ("时长区间", "band of duration"),
    "examined": ("是否查验", "inspected"),
    "steps": ("申报步数", "steps of declaring"),
}
WEEKDAYS = ("一", "二", "三", "四", "五", "六", "日")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WORDS: dict[tuple[str, str], Pair] = {
    ("examined", "yes"): ("查验", "inspected"),
    ("examined", "no"): ("未查验", "not inspected"),
    ("steps", "1"): ("一步", "one step"),
    ("steps", "2"): ("两步", "two steps"),
    **{
        ("weekday", str(day)): (f"星期{zh}", en)
        for day, (zh, en) in enumerate(zip(WEEKDAYS, DAYS, strict=True), start=1)
    },
}
MEDIAN, P90 = QUANTILES.index(0.50), QUANTILES.index(0.90)
PLAIN = frozenset({"measure", "by", "since", "until", "format"})


class Finer(msgspec.Struct, frozen=True, kw_only=True):
    """One group. All null where it is suppressed; `share` and the outer quantiles also where there are too few."""

    key: dict[str, str] = {}
    zh: dict[str, str] = {}
    en: dict[str, str] = {}
    suppressed: bool
    count: int | None = None  # rounded to a multiple of the threshold
    share: float | None = None
    p10_hours: float | None = None
    p25_hours: float | None = None
    median_hours: float | None = None
    p75_hours: float | None = None
    p90_hours: float | None = None


FIGURES: tuple[tuple[str, str], ...] = (
    ("count", "数量 / count"),
    ("share", "占比 / share"),
    *((f"{name}_hours", f"{title}（小时）/ {name} hours") for name, title in (
        ("p10", "10 分位"), ("p25", "25 分位"), ("median", "中位数"), ("p75", "75 分位"), ("p90", "90 分位"),
    )),
)  # fmt: skip


class DetailService(msgspec.Struct, frozen=True):
    item: str
    item_class: str
    quantity: int  # groups shown
    tariff: str


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """`position`: up to which position of the cargo journal is counted."""

    measure: MeasureTold
    by: list[str]
    since: str
    until: str
    only: dict[str, str]
    threshold: int
    groups: list[Finer]
    total: Finer
    position: int
    service: DetailService | None = None


@get(
    "/v1/statistics/detail",
    guards=[needs()],
    tags=["statistics"],
    opt={"item_class": STATISTICS_DETAIL.item_class, "cost": 20},
)
async def detail(
    request: Request[Any, Any, Any],
    measure: FromQuery[str],
    *,
    way_out: NamedDependency[WayOut],
    settings: NamedDependency[Settings],
    by: FromQuery[str] = "week",
    since: FromQuery[str] = "",
    until: FromQuery[str] = "",
    format: FromQuery[Literal["json", "csv", "xlsx"]] = "json",  # noqa: A002  the parameter's name
) -> Response[bytes]:
    """The figures of a measure, by finer dimensions than the free summary; `?place=…` and the like restrict them."""
    wanted = MEASURES.get(measure)
    if wanted is None:
        raise Unknown(f"没有统计指标 {measure[:60]} / there is no measure {measure[:60]!r}", known=sorted(MEASURES))
    wider = msgspec.structs.replace(wanted, dimensions=statistics_detail.dimensions(wanted))
    dimensions, only = summary.asked(wider, by), _only(request, wider)
    period, least = months(since, until, datetime.now(UTC)), settings.statistics_threshold
    made, tariff = await way_out.deliver(
        caller(request),
        STATISTICS_DETAIL,
        lambda looking: _detailed(looking, wider, dimensions, period, only, least=least),
        subject=f"statistics:{measure}",
        channel="analytics",
        most=GROUPS_MAX,
    )
    shown = sum(not each.suppressed for each in made.groups)
    service = DetailService(STATISTICS_DETAIL.code, STATISTICS_DETAIL.item_class, shown, tariff)
    return _written(msgspec.structs.replace(made, service=service), format)


ROUTES = (detail,)


def _only(request: Request[Any, Any, Any], measure: Measure) -> dict[str, str]:
    """What the parameters restrict the figures to. Raises BadQuestion for one that the measure does not have."""
    said = {name: value for name, value in request.query_params.items() if name not in PLAIN}
    for name, value in said.items():
        summary.asked(measure, name if name not in {"month", "week"} else f"{name}=")  # periods go by since and until
        if len(value) > summary.VALUE_CHARS_MAX:
            raise summary.BadQuestion(
                f"{name} 的值过长 / the value of {name} is too long: {value[:60]!r}", field=name[:60]
            )
    return {name: places.canonical(value, "") if name == "place" else value for name, value in said.items()}


def _detailed(
    looking: Looking, measure: Measure, by: Sequence[str], period: Period, only: dict[str, str], *, least: int
) -> Details:
    """Raises NoLeave, TooWide."""
    needed = summary.permitted(looking, measure)
    look = looking.look
    look.connection.execute(f"SET LOCAL statement_timeout = '{summary.SECONDS_MAX}s'")  # of a transaction of its own
    position = runner.position(look.connection, statistics.NAME)
    try:
        groups, total = statistics_detail.counted(look.connection, measure, by, period, only)
    except psycopg.errors.QueryCanceled as error:
        seconds = summary.SECONDS_MAX
        detail = f"{seconds} 秒内未能算完，请缩短期间 / not done in {seconds} s: ask for fewer months"
        raise TooWide(detail, seconds_max=seconds) from error
    if len(groups) > min(GROUPS_MAX, looking.allowed):
        most = min(GROUPS_MAX, looking.allowed)
        raise TooWide(
            f"分组超过 {most} 个，请减少维度 / more than {most} groups: ask for fewer dimensions", groups_max=most
        )
    gone = suppression.hidden({group.key: group.count for group in groups}, least)
    made = Details(
        measure=_told(measure),
        by=list(by),
        since=period.since,
        until=period.until,
        only=only,
        threshold=least,
        groups=[_finer(measure, by, group, least, hide=group.key in gone) for group in groups],
        total=_finer(measure, (), total, least, hide=total.count < least),
        position=position,
    )
    looking.drew_on(needed, sum(not each.suppressed for each in made.groups))
    return made


def _finer(measure: Measure, by: Sequence[str], group: Detail, least: int, *, hide: bool) -> Finer:
    names = [_named(dimension, value) for dimension, value in zip(by, group.key, strict=True)]
    label = Finer(
        key=dict(zip(by, group.key, strict=True)),
        zh=dict(zip(by, (zh for zh, _ in names), strict=True)),
        en=dict(zip(by, (en for _, en in names), strict=True)),
        suppressed=hide,
    )
    if hide:
        return label
    many = group.count >= suppression.SHARE_TIMES * least or least == 1
    p10, p25, median, p75, p90 = (
        round(hours, 1) if hours is not None and (many or place in {MEDIAN, P90}) else None
        for place, hours in enumerate(group.quantiles)
    )
    return msgspec.structs.replace(
        label,
        count=suppression.rounded(group.count, least),
        share=None if measure.kind == "duration" else suppression.share(group.hits, group.count, least),
        p10_hours=p10,
        p25_hours=p25,
        median_hours=median,
        p75_hours=p75,
        p90_hours=p90,
    )


def _told(measure: Measure) -> MeasureTold:
    plain = summary.told(MEASURES[measure.name])
    return msgspec.structs.replace(
        plain, dimensions=[summary.Name(name, *DIMENSIONS[name]) for name in measure.dimensions]
    )


def _named(dimension: str, value: str) -> Pair:
    if dimension == "band" and value:
        return _band(int(value))
    return WORDS.get((dimension, value)) or summary.named(dimension, value)


def _band(place: int) -> Pair:
    """Of how many hours.

    >>> _band(0), _band(1)[1], _band(len(BANDS))[0]
    (('不足 1 小时', 'under 1 h'), '1 h to under 2 h', '720 小时以上')
    """
    if place == 0:
        return f"不足 {BANDS[0]} 小时", f"under {BANDS[0]} h"
    if place == len(BANDS):
        return f"{BANDS[-1]} 小时以上", f"{BANDS[-1]} h or more"
    low, high = BANDS[place - 1], BANDS[place]
    return f"{low} 至不足 {high} 小时", f"{low} h to under {high} h"


# --- tables ---


def _written(made: Details, form: str) -> Response[bytes]:
    if form == "json":
        return Response(msgspec.json.encode(made), media_type="application/json")
    body = _csv(made) if form == "csv" else _xlsx(made)
    name = f'attachment; filename="{made.measure.name}-{made.since}-{made.until}.{form}"'
    headers = {"Content-Disposition": name, "X-Content-Type-Options": "nosniff"}
    return Response(body, media_type=export.CSV if form == "csv" else export.XLSX, headers=headers)


def _rows(made: Details) -> list[list[export.Cell]]:
    """Titles, the groups, and a line for all of them."""
    titles: list[export.Cell] = []
    for name in made.by:
        titles += [" / ".join(DIMENSIONS[name]), f"{DIMENSIONS[name][0]}名称 / name"]
    rows = [[*(titles or ["合计 / total"]), *(title for _, title in FIGURES), "不予显示 / suppressed"]]
    for group in (*made.groups, made.total):
        labels: list[export.Cell] = []
        for name in made.by if group.key else ():
            labels += [group.key[name], f"{group.zh[name]} / {group.en[name]}"]
        labels = labels or ["合计 / total", *[""] * (2 * len(made.by) - 1)]
        figures: list[export.Cell] = [getattr(group, name) for name, _ in FIGURES]
        rows.append([*labels, *figures, "Y" if group.suppressed else ""])
    return rows


def _csv(made: Details) -> bytes:
    text = io.StringIO(newline="")
    text.write(export.BOM)
    csv.writer(text, lineterminator="\r\n").writerows([export.guarded(cell) for cell in row] for row in _rows(made))
    return text.getvalue().encode("utf-8", "replace")


def _xlsx(made: Details) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"constant_memory": True, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet(made.measure.name[:31])
        sheet.freeze_panes(1, 0)
        for row, cells in enumerate(_rows(made)):
            for at, cell in enumerate(cells):
                if isinstance(cell, str):
                    sheet.write_string(row, at, inline(cell))
                elif cell is not None:
                    sheet.write_number(row, at, cell)
    return file.getvalue()
