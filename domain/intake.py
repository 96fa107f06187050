"""From messages to facts: what is new, what repeats, what confirms, what takes back; decided under the journal's lock.

A batch of intents (domain/intent.py) of many requests is written in one transaction; each gets its own outcome, and
one that is refused does not harm its neighbours. Three identities: the message (source and its own key), the fact
(its meaning, domain/fact.py), the document (what a later message may cancel or replace, domain/documents.py).
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg

from domain import fact, messages, quarantine, settling
from domain.binary import Row, texts, uuids
from domain.documents import Said
from domain.fact import Confirmed, Fact, Stated
from domain.intent import Intent, Message, NewFact, Outcome, Status, Told
from domain.journal import JournalRecorder
from domain.messages import Key, Seen
from domain.report import Fault
from domain.settling import confirmation_id

FACTS = """
SELECT fact_id, originator_id, state
FROM {table}
WHERE fact_id = ANY(%s)
"""
HEADS = """
SELECT stream, (SELECT max(originator_version) FROM {table} WHERE originator_id = stream)
FROM unnest(%s::text[]) AS stream
"""
REGISTER = "SELECT register_position()"
REGISTERED = ("party.", "dataset.", "permission.", "agreement.", "subscription.")  # tags of the register's facts
POSITION = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {table}_notification_id_seq"
HEADS_MAX = 200_000
NEWEST = 2**63 - 1


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
        self.repeated: list[tuple[Message, UUID]] = []  # facts that their source has stated before
        self.mended: dict[UUID, tuple[UUID, list[UUID]]] = {}
        self.desk: dict[UUID, quarantine.State] = {}
        self.registered = 0  # the position of the newest fact of the register
        self.faults: list[tuple[Intent, Message, UUID, Fault]] = []

    def write(self) -> list[Outcome]:
        """Decide and write everything; the caller commits."""
        with self.connection.cursor(binary=True) as cursor:
            last = self._look_up(cursor)
            outcomes = [self._take(intent) for intent in self.intents]
            if self.said or self.repeated:
                outcomes = self._settle_documents(cursor, outcomes)
            if self.rows:
                last = self.recorder.copy(cursor, self.rows)
            self.remembered.position = last
            self._store(cursor, outcomes)
        for outcome in outcomes:
            outcome.position = last
        return outcomes

    # --- what is known already ---

    def _look_up(self, cursor: psycopg.Cursor[Any]) -> int:
        """Take the lock and look everything up. Returns the position of the newest fact.

        What every batch asks goes in one round trip: whenever this thread waits, another one takes the interpreter.
        """
        came, ids, streams = self._named()
        with self.connection.pipeline():
            self.recorder.lock(cursor)
            position = self._ask(POSITION)
            seen = self._ask(messages.MESSAGES, uuids([message.message_id for message in came])) if came else ()
            known = self._ask(FACTS, uuids(ids)) if ids else ()
            rests = any(intent.register is not None for intent in self.intents)
            register = self._ask(REGISTER) if rests else ()
            unknown = streams.difference(self.heads)
            heads = self._ask(HEADS, texts(unknown)) if unknown else ()
        [(last,)] = position
        self.registered = max((row[0] for row in register), default=0)
        self.remembered.trust(last)
        self.heads.update({stream: version or 0 for stream, version in heads})
        self.seen = messages.seen(seen)
        self._know(known)
        if came:
            self._look_up_documents(cursor, came)
        self._look_up_facts(cursor, [fact_id for _, fact_ids in self.mended.values() for fact_id in fact_ids])
        self._look_up_confirmations(cursor)
        self._look_up_heads(cursor, streams)
        return int(last)

    def _ask(self, query: str, *values: object) -> psycopg.Cursor[Any]:
        return self.connection.cursor(binary=True).execute(query.format(table=self.table), values, prepare=True)

    def _named(self) -> tuple[list[Message], list[UUID], set[str]]:
        """The messages, the facts that may be known, and the streams of this batch."""
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
        return came, ids, streams

    def _look_up_documents(self, cursor: psycopg.Cursor[Any], came: list[Message]) -> None:
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
            self._know(cursor.execute(FACTS.format(table=self.table), (uuids(ids),), prepare=True))

    def _know(self, rows: Iterable[tuple[UUID, str, bytes]]) -> None:
        self.known.update({row[0]: NewFact(row[1], row[0], fact.read(row[2])) for row in rows})

    def _look_up_confirmations(self, cursor: psycopg.Cursor[Any]) -> None:
        """Confirmations, by the sources of this batch, of facts that are in the journal already."""
        if self.known:
            self._look_up_facts(
                cursor,
                [
                    confirmation_id(new.fact_id, intent.message.transmission.source)
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
        if new and intent.register is not None and self.registered > intent.register:
            return Outcome(status="stale")  # a permission may have ended since: nothing leaves on what it was then
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
        confirmation = self.known.get(confirmation_id(fact_id, message.transmission.source))
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
        own_id = confirmation_id(new.fact_id, source)
        if _source(known.fact) == source or own_id in self.known:
            self.repeated.append((message, new.fact_id))
            return Told(new.fact_id, known.stream, "duplicate")
        confirmed = Confirmed(
            happened_at=new.fact.happened_at,
            recorded_at=new.fact.recorded_at,
            fact_id=new.fact_id,
            source=source,
            message_id=message.message_id,
            refs=_more(known.fact, new.fact),
        )
        self._append(NewFact(known.stream, own_id, confirmed))
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
        taken = [(each.message, each.fact_ids) for each in self.taken if each.message]
        look_up = partial(self._look_up_facts, cursor)
        batch = settling.Batch(taken, self.repeated, self.said, self.stood, self.known, look_up)
        settled = settling.settle(cursor, batch)
        self._look_up_heads(cursor, {new.stream for new in settled})
        for new in settled:
            self._append(new)
        return self._settle_waiting(cursor, outcomes, [message for message, _ in taken if message.document])

    def _settle_waiting(
        self, cursor: psycopg.Cursor[Any], outcomes: list[Outcome], came: list[Message]
    ) -> list[Outcome]:
        """Cancellations that came before their originals wait on the desk, and leave it when those have come."""
        waiting = {message.message_id: message for message in came if self._waits(message)}
        arrived = [
            each.message_id
            for key in {_key(message) for message in came if message.message_id not in waiting}
            for each in self.said[key]
            if each.function == "cancel"
        ]
        quarantine.wait(cursor, waiting.values())
        if arrived:
            quarantine.arrived(cursor, arrived, max(message.transmission.received_at for message in came))
        return [_waiting(each, waiting[each.message_id]) if each.message_id in waiting else each for each in outcomes]

    def _waits(self, message: Message) -> bool:
        """A cancellation of what has not been said yet."""
        return message.function == "cancel" and not any(each.fact_ids for each in self.said[_key(message)])

    # --- what will be written ---

    def _append(self, new: NewFact) -> None:
        stream, fact_id, happened = new.stream, new.fact_id, new.fact
        self.heads[stream] = version = self.heads.get(stream, 0) + 1
        self.known[fact_id] = new
        tag = fact.tag_of(type(happened))
        if tag.startswith(REGISTERED):
            self.registered = NEWEST  # deliveries behind it in this batch come after it
        self.rows.append((stream, version, tag, fact.encode(happened), fact_id))

    def _store(self, cursor: psycopg.Cursor[Any], outcomes: list[Outcome]) -> None:
        messages.store(cursor, self.taken)
        with self.connection.pipeline():
            if self.rows:
                self.recorder.notify(cursor)
            faulty = [(message, message_id) for _, message, message_id, _ in self.faults]
            messages.store_rest(cursor, self.taken, faulty)
            quarantine.keep(cursor, [each[1:] for each in self.faults if each[0].mending is None])
        if self.desk:
            quarantine.settle(cursor, list(zip(self.intents, outcomes, strict=True)), again=self.again)


def _key(message: Message) -> Key:
    return (message.transmission.source, message.document)


def _waiting(outcome: Outcome, message: Message) -> Outcome:
    if outcome.status == "duplicate":
        return outcome
    return msgspec.structs.replace(outcome, status="quarantined", fault=quarantine.unknown_document(message))


def _more(told: Fact, again: Fact) -> tuple[str, ...]:
    """What the second statement of a fact names, and the first did not."""
    named = told.refs if isinstance(told, Stated) else ()
    return tuple(ref for ref in again.refs if ref not in named) if isinstance(again, Stated) else ()


def _source(told: Fact) -> str:
    return told.source if isinstance(told, Stated) else ""
