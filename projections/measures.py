"""What the statistics measure: for each measure its words, its dimensions, and what of which unit it counts.

`at` says to which month a unit belongs, `hours` how long something took, `hit` whether the unit is of those looked for;
all three are SQL over a unit of projections/units.py. Units that lack what is measured are not counted. Source of the
first: 整体通关时间 as customs publishes it, from arrival (else declaring) to release.
"""

from typing import Any, Literal

import msgspec

from projections.units import IN_BY_GATE, IN_FROM_SHIP, OUT_BY_SHIP, OUT_OF_GATE

Dimension = Literal["month", "customs", "place", "mode", "regime", "direction"]


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    zh: str
    en: str
    about_zh: str  # how it is counted
    about_en: str
    kind: Literal["duration", "share", "timeliness"]
    units: Literal["declarations", "stays", "manifests"]
    dimensions: tuple[Dimension, ...]
    at: str
    hours: str = "NULL::float8"
    hit: str = "false"
    values: dict[str, Any] = {}


def _took(begin: str, end: str) -> str:
    return f"extract(epoch FROM {end} - {begin})::float8 / 3600"


_PAPERS: tuple[Dimension, ...] = ("month", "customs", "place", "mode", "regime", "direction")
_STAY: tuple[Dimension, ...] = ("month", "place", "mode")
_STAYED = f"CASE WHEN is_end AND was_start AND began > ended - interval '180 days' THEN {_took('began', 'ended')} END"
_IN_TIME = """
lead_hours >= (
    SELECT least.hours
    FROM unnest(%(limit_ways)s::text[], %(limit_modes)s::text[], %(limit_hours)s::float8[]) AS least (way, mode, hours)
    WHERE least.way = unit.direction
      AND least.mode = CASE WHEN unit.mode IN ('', 'BARGE') THEN 'VESSEL' ELSE unit.mode END
)
"""

_CLEARANCE = (
    Measure(
        name="clearance",
        zh="整体通关时间",
        en="Overall clearance time",
        about_zh="首次放行时刻减去货物到达时刻（进口：首次到达境内；出口：运抵报告）；到达未知的，减去申报时刻；"
        "先放行后到达的计零。按放行月份",
        about_en="First release minus arrival of the cargo (import: first in China; export: arrival report); minus "
        "declaring where no arrival is known; zero if released before arrival. By month of release",
        kind="duration",
        units="declarations",
        dimensions=_PAPERS,
        at="released",
        hours=f"greatest(0, {_took('coalesce(arrived, submitted, accepted)', 'released')})",
    ),
    Measure(
        name="declared-to-released",
        zh="申报至放行",
        en="Declared to released",
        about_zh="首次放行时刻减去申报（无则入库）时刻。按放行月份",
        about_en="First release minus declaring, else acceptance. By month of release",
        kind="duration",
        units="declarations",
        dimensions=_PAPERS,
        at="released",
        hours=_took("coalesce(submitted, accepted)", "released"),
    ),
    Measure(
        name="acceptance",
        zh="环节：申报至入库",
        en="Stage: declared to accepted",
        about_zh="海关入库时刻减去申报时刻。按入库月份",
        about_en="Acceptance by customs minus declaring. By month of acceptance",
        kind="duration",
        units="declarations",
        dimensions=_PAPERS,
        at="accepted",
        hours=_took("submitted", "accepted"),
    ),
    Measure(
        name="review",
        zh="环节：入库至审结",
        en="Stage: accepted to reviewed",
        about_zh="审结时刻减去入库时刻。按审结月份",
        about_en="Review completed minus acceptance. By month of the review",
        kind="duration",
        units="declarations",
        dimensions=_PAPERS,
        at="reviewed",
        hours=_took("accepted", "reviewed"),
    ),
    Measure(
        name="release",
        zh="环节：审结至放行",
        en="Stage: reviewed to released",
        about_zh="首次放行时刻减去审结时刻。按放行月份",
        about_en="First release minus review completed. By month of release",
        kind="duration",
        units="declarations",
        dimensions=_PAPERS,
        at="released",
        hours=_took("reviewed", "released"),
    ),
)
_RATES = (
    Measure(
        name="inspection-rate",
        zh="查验率",
        en="Inspection rate",
        about_zh="海关入库的报关单中有查验或机检通知的。按入库月份",
        about_en="Of the declarations accepted, those ordered to be inspected or scanned. By month of acceptance",
        kind="share",
        units="declarations",
        dimensions=_PAPERS,
        at="accepted",
        hit="inspected",
    ),
    Measure(
        name="rejection-rate",
        zh="退单率",
        en="Rejection rate",
        about_zh="海关已答复（入库或退单）的报关单中曾被退单的。按首次答复月份",
        about_en="Of the declarations accepted or rejected, those ever rejected. By month of the first answer",
        kind="share",
        units="declarations",
        dimensions=_PAPERS,
        at="least(accepted, rejected)",
        hit="rejected IS NOT NULL",
    ),
    Measure(
        name="two-step-share",
        zh="两步申报占比",
        en="Share of two-step declarations",
        about_zh="海关入库的进口报关单中按两步申报办理的。按入库月份",
        about_en="Of the import declarations accepted, those in two steps. By month of acceptance",
        kind="share",
        units="declarations",
        dimensions=_PAPERS,
        at="CASE WHEN direction <> 'export' THEN accepted END",
        hit="two_step",
    ),
    Measure(
        name="advance-share",
        zh="提前申报占比",
        en="Share of advance declarations",
        about_zh="到达时刻已知的报关单中申报早于到达的。按入库月份",
        about_en="Of the declarations whose cargo's arrival is known, those declared before. By month of acceptance",
        kind="share",
        units="declarations",
        dimensions=_PAPERS,
        at="accepted",
        hit="coalesce(submitted, accepted) < arrived",
    ),
)
_CARGO = (
    Measure(
        name="import-dwell",
        zh="进口堆存时间",
        en="Import dwell",
        about_zh="同一箱（空运：运单）在同一地点从卸下到提离，最长 180 天。按提离月份",
        about_en="From discharge to leaving by the gate, of a box or air waybill in one place, at most 180 days. By "
        "month of leaving",
        kind="duration",
        units="stays",
        dimensions=_STAY,
        at="ended",
        hours=_STAYED,
        values={"starts": list(IN_FROM_SHIP), "ends": list(OUT_OF_GATE), "inward": True},
    ),
    Measure(
        name="export-dwell",
        zh="出口堆存时间",
        en="Export dwell",
        about_zh="同一箱（空运：运单）在同一地点从进闸到装运，最长 180 天。按装运月份",
        about_en="From coming in by the gate to loading, of a box or air waybill in one place, at most 180 days. By "
        "month of loading",
        kind="duration",
        units="stays",
        dimensions=_STAY,
        at="ended",
        hours=_STAYED,
        values={"starts": list(IN_BY_GATE), "ends": list(OUT_BY_SHIP), "inward": False},
    ),
    Measure(
        name="manifest-timeliness",
        zh="舱单及时率",
        en="Manifest timeliness",
        about_zh="有舱单入库的箱与运单中，舱单在到达（进口）或装运（出口）前按时入库的："
        "水运 24、空运 4、铁路 2、公路 1 小时（通行说法，未与法规核对）；小时数为提前量。按到达或装运月份",
        about_en="Of the boxes and air waybills with a manifest, those whose manifest was accepted in time before "
        "arrival (import) or loading (export): 24 hours by water, 4 by air, 2 by rail, 1 by road, as commonly stated, "
        "not checked against a regulation; hours are the lead. By month of arrival or loading",
        kind="timeliness",
        units="manifests",
        dimensions=("month", "place", "mode", "direction"),
        at="met",
        hours="lead_hours",
        hit=_IN_TIME,
    ),
)
MEASURES: dict[str, Measure] = {each.name: each for each in (*_CLEARANCE, *_RATES, *_CARGO)}
