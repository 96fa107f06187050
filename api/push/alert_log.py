"""Notices which alerts have come and gone since the last look, and writes it down in order: the log that is pushed.

The read model `alerts` has no order of its own: an alert is raised when its condition has lasted for its threshold,
and no fact says so. `notice` compares what is amiss now with what was the last time, and adds to the log what is new;
one process at a time does it, so whoever reads the log sees it grow at its end only. What was over before the node
noticed it is not in it. An alert whose cause was taken back ends too. Times are UTC.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from api.pool import Pool
from projections import alerts, runner
from projections.alert_rules import RULES
from projections.alerts import Alert, Asked
from projections.sight import Look

KEPT = timedelta(days=90)
TOGETHER = 500  # alerts that are written together
LOCK = 19_279_017

WATCHED = """
WITH rule AS (
    SELECT * FROM unnest(%(codes)s::text[], %(conditions)s::text[], %(thresholds)s::interval[])
        AS rule (code, condition, threshold)
)
"""
NEW = (
    WATCHED
    + """
SELECT rule.code, had.subject, had.cause
FROM rule JOIN alert_conditions AS had USING (condition)
WHERE had.since <= %(now)s - rule.threshold AND (had.cleared_at IS NULL OR had.cleared_at > %(now)s)
  AND NOT EXISTS (
      SELECT FROM alerts_standing AS known
      WHERE (known.subject, known.code, known.cause) = (had.subject, rule.code, had.cause)
  )
LIMIT %(limit)s
"""
)
GONE = (
    WATCHED
    + """
SELECT known.code, known.subject, known.cause, known.alert_id, had.cleared_at, had.cleared_by
FROM alerts_standing AS known
LEFT JOIN rule USING (code)
LEFT JOIN alert_conditions AS had
    ON (had.subject, had.condition, had.cause) = (known.subject, known.condition, known.cause)
WHERE had.cause IS NULL OR rule.code IS NULL OR had.cleared_at <= %(now)s OR had.since > %(now)s - rule.threshold
LIMIT %(limit)s
"""
)
RAISED = """
SELECT DISTINCT ON (alert_id) alert_id, alert FROM alert_log WHERE alert_id = ANY(%s) ORDER BY alert_id, position DESC
"""
ADD = """
INSERT INTO alert_log (alert_id, event, noticed_at, subject, dataset, alert)
SELECT alert_id, event, %(now)s, subject, dataset, alert
FROM unnest(%(ids)s::uuid[], %(events)s::text[], %(subjects)s::text[], %(datasets)s::text[], %(alerts)s::bytea[])
    WITH ORDINALITY AS told (alert_id, event, subject, dataset, alert, place)
ORDER BY place
"""
STANDS = """
INSERT INTO alerts_standing (code, subject, cause, condition, alert_id)
SELECT * FROM unnest(%s::text[], %s::text[], %s::uuid[], %s::text[], %s::uuid[])
ON CONFLICT DO NOTHING
"""
FALLS = """
DELETE FROM alerts_standing AS known
USING unnest(%s::text[], %s::text[], %s::uuid[]) AS gone (code, subject, cause)
WHERE (known.code, known.subject, known.cause) = (gone.code, gone.subject, gone.cause)
"""
BY_CODE = {rule.code: rule for rule in RULES}


def notice(pool: Pool, now: datetime) -> int:
    """How many came or went; 0 too while another process looks, or while `alerts` is being built again."""
    with pool.connection() as connection, connection.transaction():
        row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (LOCK,)).fetchone()
        if not (row and row[0]) or not _in_step(connection):
            return 0
        connection.execute("DELETE FROM alert_log WHERE noticed_at < %s", (now - KEPT,))
        return _come(connection, now) + _go(connection, now)


def last(connection: psycopg.Connection[Any]) -> int:
    """The end of the log: where a new endpoint begins."""
    row = connection.execute("SELECT coalesce(max(position), 0) FROM alert_log").fetchone()
    return row[0] if row else 0


def _in_step(connection: psycopg.Connection[Any]) -> bool:
    """Whether the read model has come as far as it had before."""
    position = runner.position(connection, alerts.NAME)
    seen = connection.execute(
        "UPDATE alert_log_seen SET position = %s WHERE position <= %s RETURNING 1", (position, position)
    )
    return seen.fetchone() is not None


def _values(now: datetime) -> dict[str, Any]:
    return {
        "codes": [rule.code for rule in RULES],
        "conditions": [rule.condition for rule in RULES],
        "thresholds": [rule.threshold for rule in RULES],
        "now": now,
        "limit": TOGETHER,
    }


def _come(connection: psycopg.Connection[Any], now: datetime) -> int:
    keys = {tuple(row) for row in connection.execute(NEW.encode(), _values(now))}
    if not keys:
        return 0
    subjects = tuple(sorted({subject for _, subject, _ in keys}))
    asked = Asked(now=now, subjects=subjects, limit=TOGETHER * len(RULES))
    listed = alerts.alerts(Look(connection, None), asked)
    found = [each for each in reversed(listed) if (each.code, each.subject, each.cause) in keys]
    _add(connection, "raised", found, now)
    columns = [(each.code, each.subject, each.cause, BY_CODE[each.code].condition, each.alert_id) for each in found]
    if columns:
        connection.execute(STANDS, [list(column) for column in zip(*columns, strict=True)])
    return len(found)


def _go(connection: psycopg.Connection[Any], now: datetime) -> int:
    rows = connection.execute(GONE.encode(), _values(now)).fetchall()
    if not rows:
        return 0
    before: dict[UUID, bytes] = dict(connection.execute(RAISED, ([row[3] for row in rows],)).fetchall())
    ended = [
        msgspec.structs.replace(_decode(before[alert_id]), state="cleared", cleared_at=at or now, cleared_by=by)
        for _, _, _, alert_id, at, by in rows
        if alert_id in before
    ]
    _add(connection, "ended", ended, now)
    connection.execute(FALLS, [list(column) for column in list(zip(*rows, strict=True))[:3]])
    return len(rows)


def _add(connection: psycopg.Connection[Any], event: str, found: Sequence[Alert], now: datetime) -> None:
    values = {
        "ids": [each.alert_id for each in found],
        "events": [event] * len(found),
        "subjects": [each.subject for each in found],
        "datasets": [BY_CODE[each.code].dataset for each in found],
        "alerts": [msgspec.json.encode(each) for each in found],
    }
    connection.execute(ADD, {**values, "now": now})


_decode = msgspec.json.Decoder(Alert).decode
