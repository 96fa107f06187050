"""A DCSA query as a search: which lines may be its events, and what their consignment adds to them."""

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg

from api.facades import dcsa_events
from api.facades.around import Around
from api.facades.dcsa_events import Event
from api.facades.dcsa_filters import Query
from api.facades.paging import Key, Order
from api.facades.searching import Eyes, Made
from projections import events
from projections.sight import Look
from projections.timeline import Line


class DcsaSearch(msgspec.Struct, frozen=True):
    query: Query

    @property
    def subjects(self) -> Sequence[str]:
        return self.query.subjects

    @property
    def order(self) -> Order:
        return self.query.order

    def likely(self, lines: Sequence[Line]) -> list[Line]:
        return [
            line for line in lines if dcsa_events.tellable(line) and self.query.matches_line(dcsa_events.bare(line))
        ]

    def made(self, eyes: Eyes, lines: Sequence[Line]) -> list[Made]:
        likely = self.likely(lines)
        around = Around(events.of(eyes.look, sorted({line.subject for line in likely})) if likely else ())
        made = ((line, dcsa_events.event(line, around)) for line in likely)
        return [(line, event) for line, event in made if event is not None and self.query.matches(event)]

    def key(self, event: Event, position: int) -> Key:
        return self.query.key(event, position)

    def window(self, node: psycopg.Connection[Any]) -> tuple[int, int]:
        """By the time of receipt; without bound above where a document's events are wanted.

        Those count as created when they happened, which may be long before they were received.
        """
        low, high = 0, events.END
        kinds = self.query.wanted.get("eventType", frozenset({"SHIPMENT"}))
        for operator, at in self.query.created:
            if operator in {"gte", "gt", "eq"}:
                low = max(low, events.first_since(node, at))
            if operator in {"lte", "lt", "eq"} and "SHIPMENT" not in kinds:
                high = min(high, events.first_after(node, at))
        return low, high


def one(look: Look, line: Line) -> Event | None:
    """The event of one line, with what its consignment adds."""
    return dcsa_events.event(line, Around(events.of(look, [line.subject])))
