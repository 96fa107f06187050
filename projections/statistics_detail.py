"""The statistics told apart more finely: by week, day of the week, duration, inspection, and with more quantiles.

The same units and the same suppression as the summary (projections/statistics.py, projections/suppression.py), which
stays free; what is more here are dimensions and quantiles. Weeks are those of ISO 8601, in Beijing time; hours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from projections import statistics, units
from projections.measures import Measure
from projections.statistics import Period

BANDS = (1, 2, 4, 8, 12, 24, 48, 72, 168, 336, 720)
"""Ends of the bands of duration, in hours; what lasts as long as an end is in the band behind it."""
COMMON = ("week", "weekday")
MORE: dict[str, tuple[str, ...]] = {"duration": ("band",), "share": (), "timeliness": ("band",)}
OF_UNITS: dict[str, tuple[str, ...]] = {"declarations": ("examined", "steps"), "stays": (), "manifests": ()}
QUANTILES = (0.10, 0.25, 0.50, 0.75, 0.90)

COLUMNS: dict[str, str] = {
    "week": """to_char(at AT TIME ZONE 'Asia/Shanghai', 'IYYY-"W"IW')""",
    "weekday": "to_char(at AT TIME ZONE 'Asia/Shanghai', 'ID')",
    "band": "width_bucket(hours, %(bands)s::float8[])::text",
    "examined": "CASE WHEN inspected THEN 'yes' ELSE 'no' END",
    "steps": "CASE WHEN two_step THEN '2' ELSE '1' END",
}
DETAIL = (
    units.COUNTED  # noqa: S608  a constant
    + """, detailed AS (
    SELECT counted.* {more}
    FROM counted
)
SELECT {keys} {whole}, count(*), count(*) FILTER (WHERE hit),
    percentile_cont(%(quantiles)s::float8[]) WITHIN GROUP (ORDER BY hours)
FROM detailed
WHERE {only}
GROUP BY GROUPING SETS ({sets})
LIMIT %(limit)s
"""
)


class Detail(msgspec.Struct, frozen=True):
    """What was counted under one key, exactly: not to be shown before projections/suppression.py has seen it."""

    key: tuple[str, ...]
    count: int
    hits: int
    quantiles: tuple[float | None, ...]  # hours, of QUANTILES


def dimensions(measure: Measure) -> tuple[str, ...]:
    """By what a measure can be told apart here: all that the summary knows, and more."""
    more = (*COMMON, *MORE[measure.kind], *OF_UNITS[measure.units])
    return tuple(dict.fromkeys((*measure.dimensions, *more)))


def counted(
    connection: psycopg.Connection[Any],
    measure: Measure,
    by: Sequence[str],
    period: Period,
    only: Mapping[str, str],
) -> tuple[list[Detail], Detail]:
    """The groups in order, and all of them as one; at most GROUPS_MAX + 1 of them."""
    finer = [name for name in dimensions(measure) if name in COLUMNS]
    more = [sql.SQL(", {} AS {}").format(sql.SQL(COLUMNS[name]), sql.Identifier(name)) for name in finer]
    query = sql.SQL(DETAIL).format(**statistics.fragments(measure, by, only), more=sql.SQL("").join(more))
    values = statistics.parameters(measure, period, only)
    values |= {"bands": [float(end) for end in BANDS], "quantiles": list(QUANTILES)}
    groups: list[Detail] = []
    total = Detail((), 0, 0, (None,) * len(QUANTILES))
    for *key, whole, count, hits, quantiles in connection.execute(query, values):
        told = tuple(quantiles) if quantiles else total.quantiles
        if whole:
            total = Detail((), count, hits, told)
        else:
            groups.append(Detail(tuple(key), count, hits, told))
    return sorted(groups, key=lambda group: group.key), total
