"""Decision information: `GET /v1/statistics`, what is measured; `GET /v1/statistics/MEASURE`, the figures, JSON or CSV.

Figures are of groups only, never of one enterprise: small groups are not shown and counts are rounded
(projections/suppression.py). The threshold is that of KOUAN_STATISTICS_THRESHOLD. Whoever asks must see every dataset
that a measure is made of in whole, for analysis. Months are those of Beijing time.
"""

import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import psycopg
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from api.delivery import Item
from api.identity import caller, needs
from api.problems import NoLeave
from api.settings import Settings
from api.way_out import Looking, WayOut
from api.words import MODES, Pair
from billing import tariff
from domain import places
from domain.customs_districts import CUSTOMS
from domain.datasets import DATASETS
from domain.errors import Malformed, Unknown
from projections import runner, statistics, suppression, units
from projections.measures import MEASURES, Measure
from projections.sight import Look
from projections.statistics import GROUPS_MAX, ZONE, Group, Period

SUMMARY = Item(tariff.STATISTICS_SUMMARY, "government")
MONTHS_MAX = 36
SECONDS_MAX = 10
VALUE_CHARS_MAX = 200
DIMENSIONS: dict[str, Pair] = {
    "month": ("月份", "month"),
    "customs": ("关区", "customs district"),
    "place": ("地点", "place"),
    "mode": ("运输方式", "mode"),
    "regime": ("监管方式", "regime"),
    "direction": ("进出口", "direction"),
}
DIRECTIONS: dict[str, Pair] = {"import": ("进口", "import"), "export": ("出口", "export")}
NOT_KNOWN: Pair = ("未知", "not known")


class BadQuestion(Malformed):
    slug = "bad-statistics"
    title = "The statistics cannot be asked for in this way"


class TooWide(Malformed):
    slug = "statistics-too-wide"
    title = "The question covers more than can be counted at once"


# --- what is told ---


class Name(msgspec.Struct, frozen=True):
    name: str
    zh: str
    en: str


class MeasureTold(msgspec.Struct, frozen=True):
    """`about` says how it is counted."""

    name: str
    zh: str
    en: str
    about_zh: str
    about_en: str
    kind: str  # duration: hours; share: of all; timeliness: a share, and the lead in hours
    dimensions: list[Name]


class Measures(msgspec.Struct, frozen=True):
    measures: list[MeasureTold]
    threshold: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one group. All null where it is suppressed; `share` also where there are too few for one."""

    key: dict[str, str] = {}
    zh: dict[str, str] = {}
    en: dict[str, str] = {}
    suppressed: bool
    count: int | None = None  # rounded to a multiple of the threshold
    share: float | None = None
    median_hours: float | None = None
    p90_hours: float | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`position`: up to which position of the cargo journal is counted."""

    measure: MeasureTold
    by: list[str]
    since: str
    until: str
    only: dict[str, str]
    threshold: int
    groups: list[Figures]
    total: Figures
    position: int


# --- the routes ---


@get("/v1/statistics", guards=[needs()], tags=["statistics"], sync_to_thread=False)
def measures(settings: NamedDependency[Settings]) -> Measures:
    """What is measured, and by which dimensions it can be told apart."""
    return Measures([told(each) for each in MEASURES.values()], settings.statistics_threshold)


@get("/v1/statistics/{measure:str}", guards=[needs()], tags=["statistics"], opt={"cost": 20})
async def summary(
    request: Request[Any, Any, Any],
    measure: FromPath[str],
    *,
    way_out: NamedDependency[WayOut],
    settings: NamedDependency[Settings],
    by: FromQuery[str] = "month",
    since: FromQuery[str] = "",
    until: FromQuery[str] = "",
    format: FromQuery[Literal["json", "csv"]] = "json",  # noqa: A002  the parameter's name
) -> Response[bytes]:
    """The figures of a measure by month, customs district and so on; `?place=…` and the like restrict it. Free."""
    wanted = MEASURES.get(measure)
    if wanted is None:
        raise Unknown(f"没有统计指标 {measure[:60]} / there is no measure {measure[:60]!r}", known=sorted(MEASURES))
    dimensions = asked(wanted, by)
    only: dict[str, str] = {
        name: _value(name, said) for name in wanted.dimensions if (said := request.query_params.get(name))
    }
    _refuse_others(request, wanted)
    period = months(since, until, datetime.now(UTC))
    least = settings.statistics_threshold
    made = await way_out.hand_over(
        caller(request),
        SUMMARY,
        lambda looking: _summed(looking, wanted, dimensions, period, only, least=least),
        subject=f"statistics:{measure}",
        channel="analytics",
    )
    if format == "csv":
        name = f'attachment; filename="{measure}-{period.since}-{period.until}.csv"'
        return Response(table(made), media_type="text/csv", headers={"Content-Disposition": name})
    return Response(msgspec.json.encode(made), media_type="application/json")


ROUTES = (measures, summary)


# --- the question ---


def asked(measure: Measure, by: str) -> list[str]:
    """The dimensions to tell apart, each once. Raises BadQuestion."""
    names = list(dict.fromkeys(name for part in by.split(",") if (name := part.strip())))
    for name in names:
        if name not in measure.dimensions:
            raise no_dimension(measure, name, "by")
    return names


def _refuse_others(request: Request[Any, Any, Any], measure: Measure) -> None:
    """A filter that a measure does not have must not be passed over: the figures would be taken for filtered ones."""
    for name in request.query_params:
        if name not in {"by", "since", "until", "format", *measure.dimensions} or name == "month":
            raise no_dimension(measure, name, name)


def no_dimension(measure: Measure, name: str, field: str) -> BadQuestion:
    """What is said of a dimension that a measure does not have."""
    known = ", ".join(measure.dimensions)
    return BadQuestion(
        f"指标 {measure.name} 没有维度 {name[:60]!r}，可用：{known} / "
        f"{measure.name} has no dimension {name[:60]!r}; it has {known}",
        field=field[:60],
        value=name[:60],
        known=list(measure.dimensions),
    )


def _value(name: str, said: str) -> str:
    if len(said) > VALUE_CHARS_MAX:
        raise BadQuestion(f"{name} 的值无法使用 / the value of {name} cannot be used: {said[:60]!r}", field=name)
    return places.canonical(said, "") if name == "place" else said


def months(since: str, until: str, now: datetime) -> Period:
    """Both months included; by default the twelve that end with this one. Raises BadQuestion."""
    last = until or now.astimezone(ZONE).strftime("%Y-%m")
    end = _month("until", last)
    start = _month("since", since) if since else end - 11
    if start > end or end - start >= MONTHS_MAX:
        detail = f"须为 1 至 {MONTHS_MAX} 个月 / must be 1 to {MONTHS_MAX} months: {since or '…'} – {last}"
        raise BadQuestion(detail, field="since", since=since[:20], until=last[:20])
    return Period(f"{start // 12:04d}-{start % 12 + 1:02d}", last)


_MONTH = re.compile(r"((?:19|20)[0-9]{2})-(0[1-9]|1[0-2])", re.ASCII)


def _month(field: str, said: str) -> int:
    """Months since the year 0."""
    found = _MONTH.fullmatch(said)
    if found is None:
        detail = f"{field} 须为月份，如 2026-03 / {field} must be a month such as 2026-03, not {said[:20]!r}"
        raise BadQuestion(detail, field=field, value=said[:20])
    return int(found[1]) * 12 + int(found[2]) - 1


# --- the answer ---


def _summed(
    looking: Looking, measure: Measure, by: Sequence[str], period: Period, only: dict[str, str], *, least: int
) -> Summary:
    """Raises NoLeave, TooWide."""
    needed = permitted(looking, measure)
    made = figures(looking.look, measure, by, period, only, least=least)
    looking.drew_on(needed, sum(not each.suppressed for each in made.groups))
    return made


def permitted(looking: Looking, measure: Measure) -> Sequence[str]:
    """The datasets that a measure is made of, all of which the caller sees in whole. Raises NoLeave."""
    needed = units.DRAWN[measure.units]
    if missing := [name for name in needed if name not in looking.view.whole]:
        zh, en = ("、".join(DATASETS[each].zh for each in missing), ", ".join(DATASETS[each].en for each in missing))
        raise NoLeave(
            f"统计 {measure.name} 所用的数据集未获许可：{zh}；请向数源部门申请渠道含 analytics 的许可"
            f" / {measure.name} is made of datasets that you may not see in whole: {en};"
            " ask their owners for permissions with channel analytics",
            measure=measure.name,
            datasets=missing,
        )
    return needed


def figures(
    look: Look, measure: Measure, by: Sequence[str], period: Period, only: dict[str, str], *, least: int
) -> Summary:
    """Counted, and what must not be shown taken out: groups smaller than `least`. Raises TooWide."""
    look.connection.execute(f"SET LOCAL statement_timeout = '{SECONDS_MAX}s'")  # of a transaction of its own
    position = runner.position(look.connection, statistics.NAME)
    try:
        groups, total = statistics.counted(look.connection, measure, by, period, only)
    except psycopg.errors.QueryCanceled as error:
        detail = f"{SECONDS_MAX} 秒内未能算完，请缩短期间 / not done in {SECONDS_MAX} s: ask for fewer months"
        raise TooWide(detail, seconds_max=SECONDS_MAX) from error
    if len(groups) > GROUPS_MAX:
        detail = f"分组超过 {GROUPS_MAX} 个，请减少维度 / more than {GROUPS_MAX} groups: ask for fewer dimensions"
        raise TooWide(detail, groups_max=GROUPS_MAX)
    gone = suppression.hidden({group.key: group.count for group in groups}, least)
    return Summary(
        measure=told(measure),
        by=list(by),
        since=period.since,
        until=period.until,
        only=only,
        threshold=least,
        groups=[_figures(measure, by, group, least, hide=group.key in gone) for group in groups],
        total=_figures(measure, (), total, least, hide=total.count < least),
        position=position,
    )


def _figures(measure: Measure, by: Sequence[str], group: Group, least: int, *, hide: bool) -> Figures:
    names = [named(dimension, value) for dimension, value in zip(by, group.key, strict=True)]
    label = Figures(
        key=dict(zip(by, group.key, strict=True)),
        zh=dict(zip(by, (zh for zh, _ in names), strict=True)),
        en=dict(zip(by, (en for _, en in names), strict=True)),
        suppressed=hide,
    )
    if hide:
        return label
    return msgspec.structs.replace(
        label,
        count=suppression.rounded(group.count, least),
        share=None if measure.kind == "duration" else suppression.share(group.hits, group.count, least),
        median_hours=_tenth(group.median),
        p90_hours=_tenth(group.p90),
    )


def _tenth(hours: float | None) -> float | None:
    return None if hours is None else round(hours, 1)


def told(measure: Measure) -> MeasureTold:
    """A measure in words."""
    dimensions = [Name(name, *DIMENSIONS[name]) for name in measure.dimensions]
    words = (measure.zh, measure.en, measure.about_zh, measure.about_en)
    return MeasureTold(measure.name, *words, measure.kind, dimensions)


def named(dimension: str, value: str) -> Pair:
    """A key in both languages; the key itself where it has no name."""
    if not value:
        return NOT_KNOWN
    match dimension:
        case "customs":
            return CUSTOMS.get(value, (value, value))
        case "place":
            return places.name(value, "zh"), places.name(value, "en")
        case "mode":
            return MODES.get(value, (value, value))
        case "direction":
            return DIRECTIONS.get(value, (value, value))
        case _:
            return value, value


def table(made: Summary) -> bytes:
    """The groups as CSV with a line for all of them; a byte order mark, so that Excel reads the Chinese."""
    text = io.StringIO()
    writer = csv.writer(text)
    names = [
        (f"{DIMENSIONS[name][0]} / {DIMENSIONS[name][1]}", f"{DIMENSIONS[name][0]}名称 / name") for name in made.by
    ]
    figures_ = (
        "数量 / count",
        "占比 / share",
        "中位数（小时）/ median hours",
        "90 分位（小时）/ p90 hours",
        "不予显示 / suppressed",
    )
    writer.writerow([*(each for pair in names for each in pair), *figures_])
    for group in (*made.groups, made.total):
        keys = [(group.key[name], f"{group.zh[name]} / {group.en[name]}") for name in made.by if group.key]
        labels = [_plain(each) for pair in keys for each in pair] or ["合计 / total", *[""] * (2 * len(made.by) - 1)]
        shown = (group.count, group.share, group.median_hours, group.p90_hours)
        writer.writerow(
            [
                *labels[: 2 * len(made.by)],
                *("" if each is None else each for each in shown),
                "Y" if group.suppressed else "",
            ]
        )
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _plain(text: str) -> str:
    """Never a formula, whatever a source called its place."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
