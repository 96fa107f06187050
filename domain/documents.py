"""Documents: which facts of a document are taken back, and by which of its messages.

A source sends a document, replaces it, sends it anew or cancels it, and the messages arrive in any order. They count
in the order of their sending; so a cancellation that comes before its original waits for it, and an original that
comes after its replacement is taken back at once. Pure; times are UTC.
"""

from collections.abc import Iterable, Sequence
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
    gone: dict[UUID, Said] = {}
    met: set[UUID] = set()
    later: Said | None = None
    for said in sorted(messages, key=lambda said: said.order, reverse=True):
        for fact_id in said.fact_ids:
            if later is not None and fact_id not in met:
                gone[fact_id] = later
            met.add(fact_id)
        if said.function != "original":
            later = said
    return gone


class Change(msgspec.Struct, frozen=True, gc=False):
    """A fact that stands no longer, or again."""

    gone: bool
    by: Said  # the message that takes it back, or the last one that states it


def changes(before: Sequence[Said], after: Sequence[Said]) -> dict[UUID, Change]:
    """What becomes of the facts of a document whose messages were `before` and are `after`."""
    if all(each.function == "original" for each in after):
        return {}
    was, gone = withdrawn(before), withdrawn(after)
    last = {fact_id: each for each in sorted(after, key=lambda said: said.order) for fact_id in each.fact_ids}
    return {
        fact_id: Change(fact_id in gone, gone.get(fact_id, said))
        for fact_id, said in last.items()
        if (fact_id in gone) != (fact_id in was)
    }
