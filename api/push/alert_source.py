"""Alerts as a source of what is pushed: `alert.raised`, `alert.ended`, in the order in which this node noticed.

Of the wish of an endpoint the subjects and the places count; what is shown, and how much of it, is for the view of the
moment to say (projections/alert_sight.py), and for the facts that caused the alert. Times are UTC.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from api.pool import Pool
from api.push import alert_log
from api.push.sources import Batch, Endpoint, Message
from api.way_out import Looking
from domain.feed_filter import FeedFilter
from projections import alert_sight
from projections.alerts import Alert
from projections.rights import View

NOTICE_SECONDS = 2.0

SEEN = """
(dataset = ANY(%(whole)s) OR dataset = ANY(%(own)s) AND EXISTS (
    SELECT FROM party_cargo WHERE party_cargo.subject = alert_log.subject AND party = ANY(%(parties)s)
))
"""
NEXT = f"""
SELECT position, event, noticed_at, dataset, alert FROM alert_log
WHERE position > %(after)s AND position <= %(end)s AND {SEEN}
ORDER BY position LIMIT %(limit)s
"""  # noqa: S608  a constant
AGAIN = f"""
SELECT position, event, noticed_at, dataset, alert FROM alert_log
WHERE position = ANY(%(positions)s) AND {SEEN}
ORDER BY position
"""  # noqa: S608


class AlertTold(msgspec.Struct, frozen=True):
    """`data` of a message. `noticed_at`: when this node saw that the alert had come, or had gone."""

    event: str  # raised, ended
    noticed_at: datetime
    alert: Alert


class _Logged(NamedTuple):
    position: int
    event: str
    noticed_at: datetime
    dataset: str
    alert: Alert


class Alerts:
    """The source; of one process."""

    def __init__(self, pool: Pool) -> None:
        """`pool`: connections of the node itself, for the log."""
        self.pool = pool
        self._noticed = 0.0  # monotonic

    def next(self, looking: Looking, endpoint: Endpoint, after: int, limit: int) -> Batch:
        """What came and went behind a position; `last` goes on over what is not shown."""
        if time.monotonic() - self._noticed >= NOTICE_SECONDS:
            self._noticed = time.monotonic()
            alert_log.notice(self.pool, datetime.now(UTC))
        with self.pool.connection() as connection:
            end = alert_log.last(connection)
        found = _logged(looking, NEXT, {"after": after, "end": end, "limit": limit})
        more = len(found) == limit
        last = found[-1].position if more else max(after, end)
        return _batch(looking, found, endpoint.wanted, last, more=more)

    def again(self, looking: Looking, endpoint: Endpoint, positions: Sequence[int]) -> Batch:
        """The same, of these positions."""
        found = _logged(looking, AGAIN, {"positions": list(positions)})
        return _batch(looking, found, endpoint.wanted, 0, more=False)


def _logged(looking: Looking, query: str, values: dict[str, Any]) -> list[_Logged]:
    rows = looking.look.connection.execute(query.encode(), values | _sees(looking.view))
    return [_Logged(place, event, at, name, _decode(alert)) for place, event, at, name, alert in rows]


def _sees(view: View) -> dict[str, Any]:
    return {"whole": list(view.whole), "own": list(view.own), "parties": list(view.parties)}


def _batch(looking: Looking, found: Sequence[_Logged], wanted: FeedFilter, last: int, *, more: bool) -> Batch:
    """Those of them that are wanted and shown, as they are shown."""
    wished = [each for each in found if _wanted(each.alert, wanted)]
    shown = {
        (each.alert_id, each.state): each for each in alert_sight.alerts(looking.look, [each.alert for each in wished])
    }
    kept = [(each, shown[key]) for each in wished if (key := (each.alert.alert_id, each.alert.state)) in shown]
    messages = [_message(logged, alert) for logged, alert in kept]
    return Batch(messages, last, more, {logged.dataset for logged, _ in kept})


def _wanted(alert: Alert, wanted: FeedFilter) -> bool:
    return (not wanted.subjects or alert.subject in wanted.subjects) and (
        not wanted.places or alert.place in wanted.places
    )


def _message(logged: _Logged, alert: Alert) -> Message:
    told = AlertTold(logged.event, logged.noticed_at, alert)
    return Message(
        position=logged.position,
        subject=alert.subject,
        type=f"alert.{logged.event}",
        timestamp=logged.noticed_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        data=msgspec.Raw(msgspec.json.encode(told)),
        cause=alert.cause,
    )


_decode = msgspec.json.Decoder(Alert).decode
