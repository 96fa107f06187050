"""Documents: which facts of a document are taken back, and by which of its messages.

A source sends a document, replaces it, sends it anew or cancels it, and the messages arrive in any order. They count
in the order of their sending; so a cancellation that comes before its original waits for it, and an original that
comes after its replacement is taken back at once. Pure; times are UTC.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from domain.report import Function

RANK: dict[Function, int] = {"original": 0, "supersede": 1, "replace": 2, "cancel": 3}
"""For messages of one moment."""


class Said(msgspec.Struct, frozen=True, gc=False):
    """One message of a document, with the facts that it states (none, for a cancellation)."""

    message_id: UUID
    at: datetime  # of sending; of receipt where the sending is not known
    function: Function
    fact_ids: tuple[UUID, ...]

    @property
    def order(self) -> tuple[datetime, int, UUID]:
        return (self.at, RANK[self.function], self.message_id)


def withdrawn(messages: Iterable[Said]) -> dict[UUID, Said]:
    """Each fact that no longer stands, with the first later message that does not state it.

    >>> from datetime import UTC
    >>> ids = [UUID(int=number) for number in range(5)]
    >>> first = Said(ids[0], datetime(2026, 3, 1, tzinfo=UTC), "original", (ids[3], ids[4]))
    >>> second = Said(ids[1], datetime(2026, 3, 2, tzinfo=UTC), "replace", (ids[4],))
    >>> withdrawn([second, first]) == {ids[3]: second}, withdrawn([first])
    (True, {})
    """
    ordered = sorted(messages, key=lambda said: said.order)
    stated_last = {fact_id: place for place, said in enumerate(ordered) for fact_id in said.fact_ids}
    gone = {}
    for fact_id, place in stated_last.items():
        later = next((said for said in ordered[place + 1 :] if said.function != "original"), None)
        if later is not None:
            gone[fact_id] = later
    return gone
