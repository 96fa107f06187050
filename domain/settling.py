"""Settling: what the messages of one batch take back or state again, over all documents of their source.

Runs inside the writer's transaction (domain/intake.py), for the few facts that may be in doubt: those of a document
that is replaced or cancelled, and those that a source states once more in another message. The message that stated a
fact first is named in the journal; those that repeated it under another document are kept in cargo_restated. What
was said without a document counts as one that nobody can cancel. Times are UTC.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from domain import messages
from domain.binary import uuids
from domain.documents import Change, Said, Standing, change, standing, turned
from domain.fact import Confirmed, Corrected, Fact, Reinstated, Retracted, Stated, digest_id
from domain.intent import Message, NewFact
from domain.messages import Key

DOCUMENTED = "SELECT message_id FROM cargo_messages WHERE message_id = ANY(%s) AND document <> ''"
STATING = """
SELECT source, document, message_id, coalesce(sent_at, received_at), function, fact_ids
FROM cargo_messages
WHERE message_id = ANY(%s || ARRAY(SELECT message_id FROM cargo_restated WHERE fact_id = ANY(%s)))
  AND status <> 'quarantined'
"""
RESTATED = "INSERT INTO cargo_restated (fact_id, message_id) SELECT * FROM unnest(%s, %s) ON CONFLICT DO NOTHING"
Doubt = tuple[str, UUID]
"""A source and a fact."""


class Batch(NamedTuple):
    """What settling needs to know of a batch."""

    taken: Sequence[tuple[Message, Sequence[UUID]]]  # its new messages, with the facts that they state
    repeated: Sequence[tuple[Message, UUID]]  # facts that these sources had stated before
    said: dict[Key, list[Said]]  # what the documents of the batch say, its own messages last
    stood: dict[Key, int]  # how many of them were there before
    known: dict[UUID, NewFact]
    look_up: Callable[[list[UUID]], None]  # more facts, into `known`


def settle(cursor: psycopg.Cursor[Any], batch: Batch) -> list[NewFact]:
    """The facts about facts to write: taken back, corrected, reinstated."""
    return _Settling(cursor, batch).run()


class _Settling:
    def __init__(self, cursor: psycopg.Cursor[Any], batch: Batch) -> None:
        self.cursor, self.batch, self.known = cursor, batch, batch.known
        self.said, self.stood = dict(batch.said), dict(batch.stood)
        self.where: defaultdict[Doubt, set[Key]] = defaultdict(set)  # the documents that state what is in doubt
        self.keys: dict[UUID, Key] = {}  # the documents of their messages
        self.repeated = self._repeated() if batch.repeated else []
        self.views: dict[Key, tuple[Standing, Standing]] = {}  # before and after
        self.successors: dict[UUID, dict[tuple[str, str], UUID]] = {}  # of a message: stream and code, and the fact

    def run(self) -> list[NewFact]:
        doubtful = {(message.transmission.source, fact_id) for message, fact_id in self.repeated}
        for key, said in self.said.items():
            if any(each.function != "original" for each in said):
                turning = [(key[0], fact_id) for fact_id in turned(*self._views(key))]
                doubtful.update(turning)
                for doubt in turning:
                    self.where[doubt].add(key)
        if not doubtful:
            return []
        self._look_up({fact_id for _, fact_id in doubtful})
        self._look_up({self._target(*doubt) for doubt in doubtful})
        self._look_elsewhere(doubtful)
        self._remember()
        changes = {doubt: made for doubt, keys in self.where.items() if (made := self._change(doubt[1], keys))}
        self._look_up({fact_id for made in changes.values() if made.gone for fact_id in made.by.fact_ids})
        return [new for doubt, made in changes.items() if (new := self._fact(*doubt, made))]

    # --- where else it is stated ---

    def _repeated(self) -> list[tuple[Message, UUID]]:
        """What was repeated in another message than of the document that stated it first; without one it stands."""
        self.keys = {each.message_id: key for key, said in self.said.items() for each in said}
        found = []
        for message, fact_id in self.batch.repeated:
            told, key = self._told(message.transmission.source, fact_id), _key(message)
            if told and not (key[1] and self.keys.get(told.message_id) == key):
                found.append((told.message_id, message, fact_id))
        stating = uuids({first for first, _, _ in found}.difference(self.keys))
        documented = {row[0] for row in self.cursor.execute(DOCUMENTED, (stating,), prepare=True)} | self.keys.keys()
        return [(message, fact_id) for first, message, fact_id in found if first in documented]

    def _look_up(self, ids: set[UUID]) -> None:
        if missing := ids.difference(self.known):
            self.batch.look_up(list(missing))

    def _look_elsewhere(self, doubtful: set[Doubt]) -> None:
        """All documents that state what is in doubt: by the first message that did, and by those that repeated it."""
        stating = {told.message_id for doubt in doubtful if (told := self._told(*doubt))}
        facts = {fact_id for _, fact_id in doubtful}
        rows = self.cursor.execute(STATING, (uuids(stating), uuids(facts)), prepare=True)
        stored = [((row[0], row[1]), Said(row[2], row[3].astimezone(UTC), row[4], tuple(row[5]))) for row in rows]
        came = [
            (_key(message), Said(message.message_id, messages.sent(message), message.function, tuple(fact_ids)))
            for message, fact_ids in self.batch.taken
        ]
        for place, (key, each) in enumerate([*stored, *came]):
            stated = doubtful.intersection([(key[0], fact_id) for fact_id in each.fact_ids])
            for doubt in stated:
                self.where[doubt].add(key)
            if stated and not key[1]:
                self.said.setdefault(key, []).append(each)
                self.stood[key] = self.stood.get(key, 0) + (place < len(stored))
        keys = {key for found in self.where.values() for key in found}
        if missing := keys.difference(self.said):
            there = messages.said(self.cursor, missing)
            self.said |= there
            self.stood |= {key: len(said) for key, said in there.items()}
        self.keys |= {each.message_id: key for key in keys for each in self.said[key]}

    def _remember(self) -> None:
        """Keep what was repeated under another document than that of its first statement, once for each document."""
        new = set()
        for message, fact_id in self.repeated:
            if fact_id not in self._views(_key(message))[0].last:
                new.add((fact_id, message.message_id))
        if new:
            facts, restating = zip(*sorted(new), strict=True)
            self.cursor.execute(RESTATED, (uuids(facts), uuids(restating)))

    def _views(self, key: Key) -> tuple[Standing, Standing]:
        if key not in self.views:
            said, stood = self.said[key], self.stood[key]
            self.views[key] = standing(said[:stood]), standing(said)
        return self.views[key]

    # --- what becomes of it ---

    def _change(self, fact_id: UUID, keys: Iterable[Key]) -> Change | None:
        before, after = zip(*map(self._views, keys), strict=True)
        return change(fact_id, before, after)

    def _target(self, source: str, fact_id: UUID) -> UUID:
        """What this source can take back: the fact if it was the first to state it, else its confirmation."""
        known = self.known.get(fact_id)
        own = known is not None and isinstance(known.fact, Stated) and known.fact.source == source
        return fact_id if own else confirmation_id(fact_id, source)

    def _told(self, source: str, fact_id: UUID) -> Stated | Confirmed | None:
        known = self.known.get(self._target(source, fact_id))
        return known.fact if known and isinstance(known.fact, Stated | Confirmed) else None

    def _fact(self, source: str, fact_id: UUID, made: Change) -> NewFact | None:
        """Its id names the batch by one of its messages, for the same message may take a fact back more than once."""
        target, by, (newest, _) = self._target(source, fact_id), made.by, self.batch.taken[-1]
        if target not in self.known:
            return None
        now = max(message.transmission.received_at for message, _ in self.batch.taken)
        common: dict[str, Any] = {"happened_at": by.at, "recorded_at": now, "fact_id": target, "source": source}
        told: Fact
        reason, successor = f"{by.function} of {self.keys[by.message_id][1]}", None
        if made.gone and target == fact_id:
            successor = self._milestones(by).get(_milestone(self.known[fact_id]))
        if successor:
            told = Corrected(**common, message_id=by.message_id, reason=reason, replaced_by=successor)
        elif made.gone:
            told = Retracted(**common, message_id=by.message_id, reason=reason)
        else:
            told = Reinstated(**common, message_id=by.message_id)
        ids = (str(target), str(by.message_id), str(newest.message_id))
        return NewFact(self.known[target].stream, digest_id("gone" if made.gone else "again", *ids), told)

    def _milestones(self, said: Said) -> dict[tuple[str, str], UUID]:
        """The facts of a message by stream and code, the first of each."""
        if said.message_id not in self.successors:
            found = [fact_id for fact_id in reversed(said.fact_ids) if fact_id in self.known]
            self.successors[said.message_id] = {_milestone(self.known[fact_id]): fact_id for fact_id in found}
        return self.successors[said.message_id]


def confirmation_id(fact_id: UUID, source: str) -> UUID:
    """The id under which a source confirms a fact."""
    return digest_id("confirmed", str(fact_id), source)


def _key(message: Message) -> Key:
    return (message.transmission.source, message.document)


def _milestone(known: NewFact) -> tuple[str, str]:
    told = known.fact
    return (known.stream, (told.code or told.raw_code) if isinstance(told, Stated) else "")
