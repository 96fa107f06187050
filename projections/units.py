"""The units that the statistics count, as SQL: declarations, stays of boxes and air waybills, manifests of arrivals.

Each query stands behind `fact`, the facts that count: neither taken back nor followed by a reversal. Its last part is
called `unit`. Cargo belongs to a declaration by the links, two steps away at most. Times are UTC.
"""

from typing import Any

from domain import datasets

RELEASES = ("DEC_RELEASED", "DEC_GUAR_REL", "DEC_PICKUP_REL")
INSPECTIONS = ("INSP_ORDERED", "SCAN_ORDERED")
DECLARED = (
    *("DEC_SUBMITTED", "DEC_ACCEPTED", "DEC_REJECTED", "DEC_REVIEWED", "DEC_COMPLETION_DUE"),
    *RELEASES,
    *INSPECTIONS,
)
ARRIVALS = (
    *("VSL_ARR", "BARGE_ARR", "TRAIN_ARR", "TRUCK_ARR", "AIR_ARR", "BORDER_CROSSED"),
    *("DISCHARGED", "BARGE_DISC", "WAGON_UNLOADED", "AIR_RCF"),
)
"""Cargo that comes: it has arrived with the first of these in China."""

SITE_ARRIVALS = ("ARRIVAL_RPT", "RAIL_ARRIVAL_RPT", "AIR_ARRIVAL_RPT")
"""运抵: cargo that goes is at the supervised site."""

IN_FROM_SHIP = ("DISCHARGED", "BARGE_DISC", "WAGON_UNLOADED", "AIR_RCF")
OUT_OF_GATE = ("GATE_OUT", "STATION_OUT", "AIR_DLV")
IN_BY_GATE = ("GATE_IN", "STATION_IN", "AIR_RCS")
OUT_BY_SHIP = ("LOADED", "BARGE_LOAD", "WAGON_LOADED", "AIR_DEP")
MANIFESTS = ("MAN_ORIG_OK", "MAN_ADV_OK")
CODES = frozenset(
    {*DECLARED, *ARRIVALS, *SITE_ARRIVALS, *OUT_OF_GATE, *IN_BY_GATE, *OUT_BY_SHIP, *MANIFESTS, "TRUCK_DEP"}
)
"""Milestones that a measure needs."""

LODGED, LODGED_TWO_STEP, CONTENT = "LODGED", "LODGED_2", "CONTENT"
"""Declared here: lodged, lodged in two steps, amended or completed. No milestones, rows of the statistics only."""

LIMITS: tuple[tuple[str, str, float], ...] = (
    *(("import", mode, hours) for mode, hours in (("VESSEL", 24.0), ("AIR", 4.0), ("RAIL", 2.0), ("TRUCK", 1.0))),
    *(("export", mode, hours) for mode, hours in (("VESSEL", 24.0), ("AIR", 4.0), ("RAIL", 2.0), ("TRUCK", 1.0))),
)
"""Hours before arrival (import) or loading (export) by which customs is to have the manifest. Barge counts as vessel.

Commonly stated, not checked against the regulation; the limit for boxes by sea counts from the loading abroad, which
is not always told here: 24 hours before arrival is the lesser demand.
"""

# --- the queries ---

FACTS = """
link AS NOT MATERIALIZED (  -- as they stand, from either side
    SELECT subject, other FROM links WHERE stands
    UNION ALL
    SELECT other, subject FROM links WHERE stands
), changed AS (
    SELECT about,
        coalesce(max(position) FILTER (WHERE kind = 'retracted'), 0) AS retracted,
        coalesce(max(position) FILTER (WHERE kind = 'corrected'), 0) AS corrected,
        coalesce(max(position) FILTER (WHERE kind = 'reinstated'), 0) AS reinstated
    FROM statistics_remarks
    WHERE kind <> 'confirmed'
    GROUP BY about
), gone AS (
    SELECT about
    FROM changed
    WHERE corrected > reinstated OR (retracted > reinstated AND NOT EXISTS (
        SELECT FROM statistics_remarks AS witness
        WHERE witness.about = changed.about AND witness.kind = 'confirmed' AND NOT EXISTS (
            SELECT FROM changed AS lost WHERE lost.about = witness.fact_id AND lost.retracted > lost.reinstated
        )
    ))
), back AS (
    SELECT subject, left(code, -9) AS code, max(happened_at) AS at
    FROM statistics_facts AS fact
    WHERE code LIKE '%%\\_REVERSED' AND NOT EXISTS (SELECT FROM gone WHERE gone.about = fact.fact_id)
    GROUP BY 1, 2
), fact AS (
    SELECT subject, code, happened_at, place, mode, detail
    FROM statistics_facts AS fact
    WHERE happened_at >= %(since)s - interval '180 days' AND happened_at < %(until)s + interval '60 days'
      AND code = ANY(%(needed)s)
      AND NOT EXISTS (SELECT FROM gone WHERE gone.about = fact.fact_id)
      AND NOT EXISTS (
        SELECT FROM back WHERE back.subject = fact.subject AND back.code = fact.code AND back.at >= fact.happened_at
    )
)
"""

DECLARATIONS = """
told AS (  -- under its entry id, also what came before there was one
    SELECT coalesce(entry.id, fact.subject) AS declaration, fact.*
    FROM fact LEFT JOIN LATERAL (
        SELECT min(link.other) AS id
        FROM link
        WHERE link.subject = fact.subject AND fact.subject !~ %(entry)s AND link.other ~ %(entry)s
    ) AS entry ON true
    WHERE fact.code = ANY(%(declared)s) AND fact.subject LIKE 'declaration:%%'
), life AS (
    SELECT declaration,
        CASE WHEN declaration !~ %(entry)s THEN ''
            WHEN substr(declaration, 21, 1) = '1' THEN 'import' ELSE 'export' END AS direction,
        min(happened_at) FILTER (WHERE code IN ('DEC_SUBMITTED', 'LODGED', 'LODGED_2')) AS submitted,
        min(happened_at) FILTER (WHERE code = 'DEC_ACCEPTED') AS accepted,
        min(happened_at) FILTER (WHERE code = 'DEC_REJECTED') AS rejected,
        min(happened_at) FILTER (WHERE code = 'DEC_REVIEWED') AS reviewed,
        min(happened_at) FILTER (WHERE code = ANY(%(releases)s)) AS released,
        bool_or(code = ANY(%(inspections)s)) AS inspected,
        bool_or((detail LIKE 'Sp%%' AND code LIKE 'DEC%%')
            OR code IN ('DEC_PICKUP_REL', 'DEC_COMPLETION_DUE', 'LODGED_2'))
            AS two_step,
        coalesce(min(place) FILTER (WHERE place ~ '^[0-9]{4}$'),
            CASE WHEN declaration ~ %(entry)s THEN substr(declaration, 13, 4) END, '') AS customs,
        coalesce((array_agg(detail ORDER BY happened_at DESC, detail)
            FILTER (WHERE code = ANY(%(contents)s) AND detail <> ''))[1], '') AS regime,
        coalesce(max(mode) FILTER (WHERE code = ANY(%(contents)s)), '') AS mode_said
    FROM told
    GROUP BY declaration
), near AS (
    SELECT DISTINCT told.declaration, link.other AS subject
    FROM (SELECT DISTINCT declaration, subject FROM told) AS told JOIN link ON link.subject = told.subject
    WHERE link.other !~ '^(declaration|truck|manifest):'
), cargo AS (  -- and the boxes of its bills
    SELECT declaration, subject FROM near
    UNION
    SELECT near.declaration, link.other
    FROM near JOIN link ON link.subject = near.subject
    WHERE near.subject !~ '^(container|object):' AND link.other LIKE 'container:%%'
), came AS (
    SELECT DISTINCT ON (declaration) declaration, fact.happened_at AS at, fact.place, fact.mode
    FROM cargo JOIN life USING (declaration) JOIN fact ON fact.subject = cargo.subject
    WHERE abs(extract(epoch FROM fact.happened_at - coalesce(submitted, accepted, released))) < 30 * 86400
      AND CASE direction WHEN 'export' THEN fact.code = ANY(%(site_arrivals)s)
            ELSE fact.code = ANY(%(arrivals)s) AND (fact.place LIKE 'CN%%' OR fact.place = '') END
    ORDER BY declaration, fact.happened_at, fact.place, fact.mode
), carried AS (
    SELECT declaration,
        CASE WHEN bool_or(subject LIKE 'awb:%%') THEN 'AIR' WHEN bool_or(subject LIKE 'rail:%%') THEN 'RAIL'
            WHEN bool_or(subject LIKE 'bl:%%') THEN 'VESSEL' ELSE '' END AS mode
    FROM near
    GROUP BY declaration
), unit AS (
    SELECT life.*, came.at AS arrived, coalesce(came.place, '') AS place,
        coalesce(nullif(came.mode, ''), nullif(life.mode_said, ''), carried.mode, '') AS mode
    FROM life LEFT JOIN came USING (declaration) LEFT JOIN carried USING (declaration)
)
"""

STAYS = """
unit AS (
    SELECT happened_at AS ended, place, code = ANY(%(ends)s) AS is_end,
        lag(happened_at) OVER journey AS began, lag(code = ANY(%(starts)s)) OVER journey AS was_start,
        CASE WHEN %(inward)s THEN coalesce(nullif(lag(mode) OVER journey, ''), mode)
            ELSE coalesce(nullif(mode, ''), lag(mode) OVER journey, '') END AS mode  -- not that of the gate
    FROM fact
    WHERE subject LIKE 'container:%%' OR subject LIKE 'awb:%%'
    WINDOW journey AS (PARTITION BY subject, place ORDER BY happened_at, code = ANY(%(ends)s), code, mode)
)
"""

MANIFESTED = """
reached AS (
    SELECT subject, happened_at AS met, place, mode, code = ANY(%(loads)s) AS outward
    FROM fact
    WHERE (subject LIKE 'container:%%' OR subject LIKE 'awb:%%') AND code = ANY(%(loads)s || %(arrivals)s)
      AND (place LIKE 'CN%%' OR place = '')
), first AS (  -- of one journey: the ship that arrives, and not the discharge behind it
    SELECT *, lag(met) OVER (PARTITION BY subject, outward ORDER BY met, place, mode) AS before
    FROM reached
), unit AS (
    SELECT DISTINCT ON (first.subject, outward, met)
        met, first.place, first.mode, CASE WHEN outward THEN 'export' ELSE 'import' END AS direction,
        extract(epoch FROM met - told.happened_at)::float8 / 3600 AS lead_hours
    FROM first JOIN fact AS told ON told.subject = first.subject
        AND told.code = CASE WHEN outward THEN 'MAN_ADV_OK' ELSE 'MAN_ORIG_OK' END
        AND told.happened_at BETWEEN met - interval '60 days' AND met + interval '30 days'
    WHERE before IS NULL OR before < met - interval '30 days'
    ORDER BY first.subject, outward, met, first.place, first.mode, told.happened_at
)
"""

COUNTED = """
WITH {facts}, {units}, measured AS (
    SELECT unit.*, {at} AS at, {hours} AS hours, {hit} AS hit
    FROM unit
), counted AS (
    SELECT *, to_char(at AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM') AS month
    FROM measured
    WHERE at >= %(since)s AND at < %(until)s AND {counts}
)
"""
"""The units of a period, one row each; what is asked of them follows."""

SUMMARY = (
    COUNTED
    + """
SELECT {keys} {whole}, count(*), count(*) FILTER (WHERE hit),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY hours), percentile_cont(0.9) WITHIN GROUP (ORDER BY hours)
FROM counted
WHERE {only}
GROUP BY GROUPING SETS ({sets})
LIMIT %(limit)s
"""
)


UNITS: dict[str, tuple[str, tuple[str, ...]]] = {
    "declarations": (DECLARATIONS, (*DECLARED, LODGED, LODGED_TWO_STEP, CONTENT, *ARRIVALS, *SITE_ARRIVALS)),
    "stays": (STAYS, ()),
    "manifests": (MANIFESTED, (*MANIFESTS, *ARRIVALS, *OUT_BY_SHIP, "TRUCK_DEP")),
}
"""The query of each unit, and which facts it needs; a stay needs those by which it starts and ends."""

MOVEMENTS = (datasets.PORT, datasets.RAIL, datasets.AIR, datasets.ROAD)
DRAWN: dict[str, tuple[str, ...]] = {
    "declarations": (datasets.CLEARANCE, datasets.DECLARATIONS, *MOVEMENTS),
    "stays": MOVEMENTS,
    "manifests": (datasets.MANIFEST, *MOVEMENTS),
}
"""The datasets that each unit is made of: whoever sees less of them would be told wrong figures."""

VALUES: dict[str, Any] = {
    "entry": "^declaration:[0-9]{8}[01][0-9]{9}$",
    "declared": [*DECLARED, LODGED, LODGED_TWO_STEP, CONTENT],
    "contents": [LODGED, LODGED_TWO_STEP, CONTENT],
    "releases": list(RELEASES),
    "inspections": list(INSPECTIONS),
    "arrivals": list(ARRIVALS),
    "site_arrivals": list(SITE_ARRIVALS),
    "loads": [*OUT_BY_SHIP, "TRUCK_DEP"],
    "limit_ways": [way for way, _, _ in LIMITS],
    "limit_modes": [mode for _, mode, _ in LIMITS],
    "limit_hours": [hours for _, _, hours in LIMITS],
}
"""What the queries name by %(…)s, but for the period, and the starts and ends of a stay."""
