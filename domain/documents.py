"""Documents: which facts a source takes back by its later messages, and which it states all the same.

A source sends a document, replaces it, sends it anew or cancels it, and the messages arrive in any order. They count
in the order of their sending; so a cancellation that comes before its original waits for it, and an original that
comes after its replacement is taken back at once. A fact that several documents of a source state stands until the
last of them takes it back. Pure; times are UTC.
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


class Standing(msgspec.Struct, frozen=True, gc=False):
    """What one document says of its facts by all of its messages."""

    last: dict[UUID, Said]  # each fact that it ever stated, with the last message that does
    gone: dict[UUID, Said]  # of them those taken back, with the first later message that does not state them


class Change(msgspec.Struct, frozen=True, gc=False):
    """A fact that stands no longer, or again."""

    gone: bool
    by: Said  # the last message that takes it back, or that states it


def standing(messages: Iterable[Said]) -> Standing:
    """How a document stands.

    >>> from datetime import UTC
    >>> ids = [UUID(int=number) for number in range(5)]
    >>> first = Said(ids[0], datetime(2026, 3, 1, tzinfo=UTC), "original", (ids[3], ids[4]))
    >>> second = Said(ids[1], datetime(2026, 3, 2, tzinfo=UTC), "replace", (ids[4],))
    >>> standing([second, first]).gone == {ids[3]: second}, standing([first]).gone
    (True, {})
    """
    found = Standing({}, {})
    later: Said | None = None
    for said in sorted(messages, key=lambda said: said.order, reverse=True):
        for fact_id in said.fact_ids:
            if fact_id not in found.last:
                found.last[fact_id] = said
                if later is not None:
                    found.gone[fact_id] = later
        if said.function != "original":
            later = said
    return found


def turned(before: Standing, after: Standing) -> list[UUID]:
    """The facts that a document takes back now or states again; also those that come in when they are taken back."""
    return [fact_id for fact_id in after.last if (fact_id in after.gone) != (fact_id in before.gone)]


def change(fact_id: UUID, before: Sequence[Standing], after: Sequence[Standing]) -> Change | None:
    """What becomes of a fact when all documents of its source that state it stood so and now stand so."""
    gone = _gone(fact_id, after)
    if gone == _gone(fact_id, before):
        return None
    by = [each.gone[fact_id] if gone else each.last[fact_id] for each in after if (fact_id in each.gone) == gone]
    return Change(gone, max(by, key=lambda said: said.order))


def _gone(fact_id: UUID, documents: Sequence[Standing]) -> bool:
    """Whether it was stated and nobody states it any more."""
    stating = [each for each in documents if fact_id in each.last]
    return bool(stating) and all(fact_id in each.gone for each in stating)
