"""From messages to facts: what is new, what repeats, what confirms, what takes back; decided under the journal's lock.

A batch of intents (domain/intent.py) of many requests is written in one transaction; each gets its own outcome, and
one that is refused does not harm its neighbours. Three identities: the message (source and its own key), the fact
(its meaning, domain/fact.py), the document (what a later message may cancel or replace, domain/documents.py).
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg

from domain import documents, fact, messages, quarantine
from domain.binary import Row, texts, uuids
from domain.documents import Change, Said
from domain.fact import Confirmed, Corrected, Fact, Reinstated, Retracted, Stated, digest_id
from domain.intent import Intent, Message, NewFact, Outcome, Status, Told
from domain.journal import JournalRecorder
from domain.messages import Key, Seen
from domain.report import Fault

FACTS = """
SELECT fact_id, originator_id, state
FROM {table}
WHERE fact_id = ANY(%s)
"""
HEADS = """
SELECT stream, (SELECT max(originator_version) FROM {table} WHERE originator_id = stream)
FROM unnest(%s::text[]) AS stream
"""
POSITION = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {table}_notification_id_seq"
HEADS_MAX = 200_000


class Heads:
    """The last versions of streams, remembered for as long as nobody else has written (the positions tell)."""

    def __init__(self) -> None:
        self.position = -1
        self.versions: dict[str, int] = {}

    def trust(self, position: int) -> None:
        """Forget everything unless the journal ends where we left it."""
        if position != self.position or len(self.versions) > HEADS_MAX:
            self.versions.clear()

    def forget(self) -> None:
        """After a transaction that failed."""
        self.position = -1


class Batch:
    """One transaction's worth of intents, while the lock is held."""

    def __init__(
        self,
        recorder: JournalRecorder,
        connection: psycopg.Connection[Any],
        intents: Sequence[Intent],
        heads: Heads | None = None,
        *,
        again: bool = False,
    ) -> None:
        """`again`: the reply to an earlier attempt was lost, so even facts with new ids may be there."""
        self.recorder = recorder
        self.connection = connection
        self.intents = intents
        self.remembered = heads or Heads()
        self.heads = self.remembered.versions
        self.again = again
        self.table = recorder.events_table_name
        self.rows: list[Row] = []
        self.known: dict[UUID, NewFact] = {}
        self.seen: dict[UUID, Seen] = {}
        self.said: dict[Key, list[Said]] = {}
        self.stood: dict[Key, int] = {}  # how many of them were there before this batch
        self.taken: list[Seen] = []
        self.mended: dict[UUID, tuple[UUID, list[UUID]]] = {}
        self.desk: dict[UUID, quarantine.State] = {}
        self.faults: list[tuple[Intent, Message, UUID, Fault]] = []

    def write(self) -> list[Outcome]:
        """Decide and write everything; the caller commits."""
        with self.connection.cursor(binary=True) as cursor:
            self.recorder.lock(cursor)
            last = self._position(cursor)
            self.remembered.trust(last)
            self._look_up(cursor)
            outcomes = [self._take(intent) for intent in self.intents]
            if self.said:
                outcomes = self._settle_documents(cursor, outcomes)
            if self.rows:
                last = self.recorder.copy(cursor, self.rows)
            self.remembered.position = last
            self._store(cursor, outcomes)
        for outcome in outcomes:
            outcome.position = last
        return outcomes

    def _position(self, cursor: psycopg.Cursor[Any]) -> int:
        row = cursor.execute(POSITION.format(table=self.table), prepare=True).fetchone()
        assert row is not None
        return int(row[0])

    # --- what is known already ---

    def _look_up(self, cursor: psycopg.Cursor[Any]) -> None:
        came: list[Message] = []
        ids: list[UUID] = []
        streams: set[str] = set()
        for intent in self.intents:
            if intent.message:
                came.append(intent.message)
            for new in intent.facts:
                streams.add(new.stream)
                if self.again or not intent.fresh:
                    ids.append(new.fact_id)
            if intent.expected:
                streams.add(intent.expected[0])
        if came:
            self._look_up_messages(cursor, came)
        ids += [fact_id for _, fact_ids in self.mended.values() for fact_id in fact_ids]
        self._look_up_facts(cursor, ids)
        self._look_up_confirmations(cursor)
        self._look_up_heads(cursor, streams)

    def _look_up_messages(self, cursor: psycopg.Cursor[Any], came: list[Message]) -> None:
        self.seen = messages.seen(cursor, [message.message_id for message in came])
        if keys := {_key(message) for message in came if message.document}:
            self.said = messages.said(cursor, keys)
            self.stood = {key: len(said) for key, said in self.said.items()}
        self._look_up_quarantine(cursor, came)

    def _look_up_quarantine(self, cursor: psycopg.Cursor[Any], came: list[Message]) -> None:
        """Which of those that may not be taken were mended before; how those stand that are being mended."""
        doubtful = [
            quarantine.key(message)
            for message in came
            if message.fault is not None
            or (self.seen and (before := self.seen.get(message.message_id)) and before.digest != message.digest)
        ]
        if doubtful:
            self.mended = quarantine.mended(cursor, doubtful)
        if mending := [intent.mending.message_id for intent in self.intents if intent.mending]:
            self.desk = quarantine.states(cursor, mending)

    def _look_up_facts(self, cursor: psycopg.Cursor[Any], ids: list[UUID]) -> None:
        if ids:
            found = cursor.execute(FACTS.format(table=self.table), (uuids(ids),), prepare=True)
            self.known.update({row[0]: NewFact(row[1], row[0], fact.decode(row[2])) for row in found})

    def _look_up_confirmations(self, cursor: psycopg.Cursor[Any]) -> None:
        """Confirmations, by the sources of this batch, of facts that are in the journal already."""
        if self.known:
            self._look_up_facts(
                cursor,
                [
                    _confirmation_id(new.fact_id, intent.message.transmission.source)
                    for intent in self.intents
                    if intent.message
                    for new in intent.facts
                    if new.fact_id in self.known
                ],
            )

    def _look_up_heads(self, cursor: psycopg.Cursor[Any], streams: set[str]) -> None:
        streams |= {known.stream for known in self.known.values()}
        if missing := streams.difference(self.heads):
            heads = cursor.execute(HEADS.format(table=self.table), (texts(missing),), prepare=True)
            self.heads.update({stream: version or 0 for stream, version in heads})

    # --- one intent ---

    def _take(self, intent: Intent) -> Outcome:
        if intent.message is None:
            return self._take_own(intent)
        message = intent.message
        before = self.seen.get(message.message_id)
        if intent.mending and before is None and self.desk.get(intent.mending.message_id) not in quarantine.UNRESOLVED:
            return Outcome(status="stale")
        if before is not None and before.digest == message.digest:
            return self._take_again(intent, message, before)
        if before is not None:
            detail = "来源曾用同一编号报过别的内容 / the source used this reference before, for another content"
            return self._quarantine(intent, message, Fault("message.conflict", detail, message.start))
        if message.fault is not None:
            return self._quarantine(intent, message, message.fault)
        told = [] if message.function == "cancel" else [self._state(new, message) for new in intent.facts]
        return self._remember(message, told)

    def _take_own(self, intent: Intent) -> Outcome:
        """Facts of Kouan's own. Those in the journal already are ours, from an attempt whose reply was lost."""
        new = [item for item in intent.facts if item.fact_id not in self.known]
        if new and intent.expected is not None and self.heads.get(intent.expected[0], 0) != intent.expected[1]:
            return Outcome(status="stale")
        for item in new:
            self._append(item)
        return Outcome(status="recorded", facts=[Told(item.fact_id, item.stream, "recorded") for item in intent.facts])

    def _take_again(self, intent: Intent, message: Message, before: Seen) -> Outcome:
        """The same message once more; or our own, committed by an attempt whose reply was lost."""
        ours = (before.transmission_id, before.start) == (message.transmission.transmission_id, message.start)
        streams = {new.fact_id: new.stream for new in intent.facts}
        told = [Told(fact_id, streams.get(fact_id, ""), "duplicate") for fact_id in before.fact_ids]
        if not ours:
            return Outcome(status="duplicate", message_id=message.message_id, facts=told)
        first = dict(zip(reversed(before.fact_ids), reversed(range(len(told))), strict=True))  # said twice is said once
        for fact_id, place in first.items():
            told[place] = msgspec.structs.replace(told[place], status=self._stated_by(fact_id, message))
        outcome = Outcome(status=before.status, message_id=message.message_id, facts=told)
        return _waiting(outcome, message) if message.document and self._waits(message) else outcome

    def _stated_by(self, fact_id: UUID, message: Message) -> Literal["recorded", "duplicate", "confirmed"]:
        """What this very message did for a fact that is in the journal."""
        stated = self.known[fact_id].fact if fact_id in self.known else None
        if isinstance(stated, Stated) and stated.message_id == message.message_id:
            return "recorded"
        confirmation = self.known.get(_confirmation_id(fact_id, message.transmission.source))
        confirmed = confirmation and confirmation.fact
        if isinstance(confirmed, Confirmed) and confirmed.message_id == message.message_id:
            return "confirmed"
        return "duplicate"

    def _state(self, new: NewFact, message: Message) -> Told:
        """Record a fact; or confirm the one that another source stated before."""
        known = self.known.get(new.fact_id)
        if known is None:
            self._append(new)
            return Told(new.fact_id, new.stream, "recorded")
        source = message.transmission.source
        confirmation_id = _confirmation_id(new.fact_id, source)
        if _source(known.fact) == source or confirmation_id in self.known:
            return Told(new.fact_id, known.stream, "duplicate")
        confirmed = Confirmed(
            happened_at=new.fact.happened_at,
            recorded_at=new.fact.recorded_at,
            fact_id=new.fact_id,
            source=source,
            message_id=message.message_id,
        )
        self._append(NewFact(known.stream, confirmation_id, confirmed))
        return Told(new.fact_id, known.stream, "confirmed")

    def _remember(self, message: Message, told: list[Told]) -> Outcome:
        statuses = [item.status for item in told]
        status: Status = "duplicate"
        if "recorded" in statuses or message.function in {"cancel", "replace"}:
            status = "recorded"
        elif "confirmed" in statuses:
            status = "confirmed"
        fact_ids = tuple([item.fact_id for item in told])
        came, start = message.transmission.transmission_id, message.start
        self.seen[message.message_id] = kept = Seen(came, start, message.digest, status, fact_ids, message)
        self.taken.append(kept)
        if message.document:
            said = Said(message.message_id, messages.sent(message), message.function, fact_ids)
            self.said[_key(message)].append(said)
        return Outcome(status=status, message_id=message.message_id, facts=told)

    def _quarantine(self, intent: Intent, message: Message, fault: Fault) -> Outcome:
        """Keep a message that cannot be taken; one that was mended since it first came is a duplicate."""
        message_id = quarantine.key(message)
        if intent.mending is None and message_id in self.mended:
            replayed_as, fact_ids = self.mended[message_id]
            told = [Told(fact_id, self.known[fact_id].stream, "duplicate") for fact_id in fact_ids]
            return Outcome(status="duplicate", message_id=replayed_as, facts=told)
        self.faults.append((intent, message, message_id, fault))
        shown = intent.mending.message_id if intent.mending else message_id
        return Outcome(status="quarantined", message_id=shown, fault=fault)

    # --- documents: what their messages, taken together, no longer state ---

    def _settle_documents(self, cursor: psycopg.Cursor[Any], outcomes: list[Outcome]) -> list[Outcome]:
        changed = {key: documents.changes(said[: self.stood[key]], said) for key, said in self.said.items()}
        self._look_up_changes(cursor, changed)
        for key, changes in changed.items():
            self._settle(key, changes)
        came = {each.message.message_id: each.message for each in self.taken if each.message and each.message.document}
        waiting = {mine for mine, message in came.items() if self._waits(message)}
        arrived = [
            each.message_id
            for key in {_key(message) for mine, message in came.items() if mine not in waiting}
            for each in self.said[key]
            if each.function == "cancel"
        ]
        for message_id in waiting:
            quarantine.wait(cursor, came[message_id])
        if arrived:
            quarantine.arrived(cursor, arrived, max(came[mine].transmission.received_at for mine in came))
        return [_waiting(each, came[each.message_id]) if each.message_id in waiting else each for each in outcomes]

    def _waits(self, message: Message) -> bool:
        """A cancellation of what has not been said yet."""
        return message.function == "cancel" and not any(each.fact_ids for each in self.said[_key(message)])

    def _look_up_changes(self, cursor: psycopg.Cursor[Any], changed: dict[Key, dict[UUID, Change]]) -> None:
        """The facts that change, and what takes their place. As many ids as facts, however often a document came."""
        ids: set[UUID] = set()
        for key, changes in changed.items():
            for fact_id, change in changes.items():
                for target in (fact_id, _confirmation_id(fact_id, key[0])):
                    ids |= {target, _withdrawal_id(target, change.by.message_id)}
                    ids.add(_reinstatement_id(target, change.by.message_id))
            ids.update(chain.from_iterable({change.by.fact_ids for change in changes.values() if change.gone}))
        self._look_up_facts(cursor, list(ids.difference(self.known)))
        self._look_up_heads(cursor, set())

    def _settle(self, key: Key, changes: dict[UUID, Change]) -> None:
        successors = {change.by.message_id: self._milestones(change.by) for change in changes.values() if change.gone}
        for fact_id, change in changes.items():
            target = self._target(fact_id, key[0])
            if target is not None and change.gone:
                told = self.known[fact_id]
                successor = successors[change.by.message_id].get((told.stream, _code(told.fact)))
                self._withdraw(key, told, target, change.by, successor if target == fact_id else None)
            elif target is not None:
                self._reinstate(key, target, change.by)

    def _milestones(self, said: Said) -> dict[tuple[str, str], UUID]:
        """The facts of a message by stream and code, the first of each."""
        found = ((fact_id, self.known[fact_id]) for fact_id in reversed(said.fact_ids) if fact_id in self.known)
        return {(known.stream, _code(known.fact)): fact_id for fact_id, known in found}

    def _target(self, fact_id: UUID, source: str) -> UUID | None:
        """What this source can take back: the fact if it was the first to state it, else its confirmation."""
        known = self.known.get(fact_id)
        if known is None or _source(known.fact) == source:
            return fact_id if known else None
        confirmation_id = _confirmation_id(fact_id, source)
        return confirmation_id if confirmation_id in self.known else None

    def _withdraw(self, key: Key, told: NewFact, target: UUID, by: Said, successor: UUID | None) -> None:
        withdrawal_id = _withdrawal_id(target, by.message_id)
        if withdrawal_id in self.known:
            return
        common = {"happened_at": by.at, "recorded_at": self._now(by), "fact_id": target, "source": key[0]}
        reason = f"{by.function} of {key[1]}"
        withdrawal: Fact = Retracted(**common, message_id=by.message_id, reason=reason)
        if successor is not None:
            withdrawal = Corrected(**common, message_id=by.message_id, reason=reason, replaced_by=successor)
        self._append(NewFact(told.stream, withdrawal_id, withdrawal))

    def _reinstate(self, key: Key, target: UUID, by: Said) -> None:
        reinstatement_id = _reinstatement_id(target, by.message_id)
        if reinstatement_id not in self.known:
            common = {"happened_at": by.at, "recorded_at": self._now(by), "fact_id": target, "source": key[0]}
            told = Reinstated(**common, message_id=by.message_id)
            self._append(NewFact(self.known[target].stream, reinstatement_id, told))

    def _now(self, by: Said) -> Any:
        """When Kouan was told: the newest receipt of this batch."""
        return max((each.message.transmission.received_at for each in self.taken if each.message), default=by.at)

    # --- what will be written ---

    def _append(self, new: NewFact) -> None:
        stream, fact_id, happened = new.stream, new.fact_id, new.fact
        self.heads[stream] = version = self.heads.get(stream, 0) + 1
        self.known[fact_id] = new
        self.rows.append((stream, version, fact.tag_of(type(happened)), fact.encode(happened), fact_id))

    def _store(self, cursor: psycopg.Cursor[Any], outcomes: list[Outcome]) -> None:
        messages.store(cursor, self.taken, [(message, message_id) for _, message, message_id, _ in self.faults])
        quarantine.keep(cursor, [each[1:] for each in self.faults if each[0].mending is None])
        if self.desk:
            quarantine.settle(cursor, list(zip(self.intents, outcomes, strict=True)), again=self.again)


def _key(message: Message) -> Key:
    return (message.transmission.source, message.document)


def _waiting(outcome: Outcome, message: Message) -> Outcome:
    if outcome.status == "duplicate":
        return outcome
    return msgspec.structs.replace(outcome, status="quarantined", fault=quarantine.unknown_document(message))


def _confirmation_id(fact_id: UUID, source: str) -> UUID:
    return digest_id("confirmed", str(fact_id), source)


def _withdrawal_id(fact_id: UUID, by: UUID) -> UUID:
    return digest_id("withdrawn", str(fact_id), str(by))


def _reinstatement_id(fact_id: UUID, by: UUID) -> UUID:
    return digest_id("reinstated", str(fact_id), str(by))


def _source(told: Fact) -> str:
    return told.source if isinstance(told, Stated) else ""


def _code(told: Fact) -> str:
    return (told.code or told.raw_code) if isinstance(told, Stated) else ""
