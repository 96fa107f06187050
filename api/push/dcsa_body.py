"""DCSA events as a source of what is pushed: the feed in the words of `GET /dcsa/v2/events`, one event a message.

A message is a JSON array of one event, as the callback of the standard wants it. Filters are those of the subscription,
kept as it was sent (api/facades/dcsa_subscriptions.py); `transportDocumentTypeCode`, deprecated, is in no event and so
chooses none. What the standard cannot say, corrections and retractions above all, is not told: it is in the feed.
Positions are those of the journal.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg

from api.facades import dcsa_filters
from api.facades.dcsa_filters import Query
from api.facades.dcsa_search import DcsaSearch
from api.facades.searching import STEP_MIN, Eyes, Made
from api.pool import Pool
from api.push.sources import Batch, Endpoint, Message
from api.way_out import Looking
from projections import events, feed, shown

NO_FILTER = frozenset({"callbackUrl", "transportDocumentTypeCode"})
WANTED = "SELECT body FROM dcsa_subscriptions WHERE subscription_id = %s"


class DcsaEvents:
    """The source; of one process."""

    def __init__(self, pool: Pool) -> None:
        """`pool`: connections of the node itself, for subscriptions and positions."""
        self.pool = pool

    def next(self, looking: Looking, endpoint: Endpoint, after: int, limit: int) -> Batch:
        """Events that stand now; of a subscription that is gone, none."""
        with self.pool.connection() as node:
            query = _query(node, endpoint)
            if query is None:
                return Batch([], after, more=False)
            eyes, end = Eyes(looking.look, node), feed.horizon(looking.look)
            if query.subjects:
                return _of_numbers(eyes, query, after, end, limit)
            return _of_all(eyes, query, after, end, limit)

    def again(self, looking: Looking, endpoint: Endpoint, positions: Sequence[int]) -> Batch:
        """These events as they stand now; what was taken back, or is not shown any more, is left out."""
        with self.pool.connection() as node:
            query = _query(node, endpoint)
            eyes = Eyes(looking.look, node)
            steps = [events.step(looking.look, each, each + 1, 1) for each in positions] if query else []
            made = [pair for each in steps for pair in _made(eyes, query, each)] if query else []
        return _batch(made, 0, more=False)


def _query(node: psycopg.Connection[Any], endpoint: Endpoint) -> Query | None:
    row = node.execute(WANTED, (endpoint.endpoint_id,), prepare=True).fetchone()
    return wanted(row[0]) if row else None


def wanted(body: dict[str, Any]) -> Query:
    """The filters of a subscription as a question.

    >>> sorted(wanted({"callbackUrl": "x", "eventType": ["EQUIPMENT"], "equipmentReference": "CSQU3054383"}).wanted)
    ['equipmentReference', 'eventType']
    """
    told = {name: value for name, value in body.items() if name not in NO_FILTER and value}
    return dcsa_filters.read(
        tuple((name, ",".join(value) if isinstance(value, list) else value) for name, value in told.items())
    )


def _of_numbers(eyes: Eyes, query: Query, after: int, end: int, limit: int) -> Batch:
    """Of the consignments that the question names, which are read whole."""
    lines = [line for line in events.of(eyes.look, query.subjects) if after < line.position <= end]
    made = sorted(DcsaSearch(query).made(eyes, lines), key=lambda pair: pair[0].position)
    return _cut(made, max(after, end), limit, more=False)


def _of_all(eyes: Eyes, query: Query, after: int, end: int, limit: int) -> Batch:
    """The journal, a step at a time."""
    step = events.step(eyes.look, after + 1, end + 1, min(max(STEP_MIN, 2 * limit), eyes.step_max))
    return _cut(_made(eyes, query, step), max(after, step.edge - 1), limit, more=not step.ended)


def _made(eyes: Eyes, query: Query, step: events.Step) -> list[Made]:
    search = DcsaSearch(query)
    return search.made(eyes, events.folded(eyes.look, search.likely(step.lines), step.raw))


def _cut(made: Sequence[Made], last: int, limit: int, *, more: bool) -> Batch:
    if len(made) <= limit:
        return _batch(made, last, more=more)
    return _batch(made[:limit], made[limit - 1][0].position, more=True)


def _batch(made: Sequence[Made], last: int, *, more: bool) -> Batch:
    messages = [
        Message(position=line.position, subject=line.subject, body=msgspec.json.encode([event])) for line, event in made
    ]
    return Batch(messages, last, more, {shown.dataset(line) for line, _ in made})
