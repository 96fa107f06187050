"""From messages to facts: what is new, what repeats, what confirms, what takes back; decided under the journal's lock.

An `Intent` is one message with the facts read from it, or facts of Kouan's own (a decision, a delivery). A batch of
intents of many requests is written in one transaction; each gets its own `Outcome`, and one that is refused does not
harm its neighbours. Three identities (domain/fact.py): the message (source and its own key), the fact (its meaning),
the document (what a later message may cancel or replace).
"""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg

from domain import fact
from domain.fact import Confirmed, Corrected, Fact, Retracted, Stated, digest_id
from domain.intent import Intent, Message, NewFact, Outcome, Status, Told
from domain.journal import JournalRecorder, Row
from domain.report import Fault


class Known(msgspec.Struct):
    """A fact that is in the journal, or about to be."""

    stream: str
    fact: Fact


class Seen(msgspec.Struct):
    """A message that is in the journal, or about to be."""

    transmission_id: UUID
    digest: bytes
    status: Status
    fact_ids: list[UUID]


MESSAGES = """
SELECT message_id, transmission_id, digest, status, fact_ids
FROM cargo_messages
WHERE message_id = ANY(%s)
"""
DOCUMENTS = """
SELECT source, document, fact_ids
FROM cargo_messages
WHERE (source, document) IN (SELECT * FROM unnest(%s::text[], %s::text[])) AND status <> 'quarantined'
"""
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
TRANSMISSION = """
INSERT INTO cargo_transmissions (transmission_id, source, format, received_at, digest, body)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
MESSAGES_COPY = """
COPY cargo_messages
    (message_id, transmission_id, byte_from, byte_to, source, document, digest, status, fact_ids, received_at)
FROM STDIN (FORMAT BINARY)
"""
MESSAGE = """
INSERT INTO cargo_messages
    (message_id, transmission_id, byte_from, byte_to, source, document, digest, status, fact_ids, received_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::uuid[], %s)
ON CONFLICT DO NOTHING
"""
QUARANTINE = """
INSERT INTO cargo_quarantine
    (message_id, source, format, code, detail, byte_offset, path, first_seen, last_seen)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (message_id) DO UPDATE SET last_seen = excluded.last_seen, attempts = cargo_quarantine.attempts + 1
"""


class Batch:
    """One transaction's worth of intents, while the lock is held."""

    def __init__(
        self, recorder: JournalRecorder, connection: psycopg.Connection[Any], intents: Sequence[Intent]
    ) -> None:
        self.recorder = recorder
        self.connection = connection
        self.intents = intents
        self.table = recorder.events_table_name
        self.rows: list[Row] = []
        self.known: dict[UUID, Known] = {}
        self.heads: dict[str, int] = {}
        self.seen: dict[UUID, Seen] = {}
        self.documents: dict[tuple[str, str], list[UUID]] = {}
        self.new_messages: list[tuple[Message, UUID, Status, list[UUID]]] = []
        self.faults: list[tuple[Message, UUID, Fault]] = []

    def write(self) -> list[Outcome]:
        """Decide and write everything; the caller commits."""
        with self.connection.cursor(binary=True) as cursor:
            self.recorder.lock(cursor)
            self._look_up(cursor)
            outcomes = [self._take(intent) for intent in self.intents]
            last = self.recorder.copy(cursor, self.rows) if self.rows else self._last(cursor)
            self._store_messages(cursor)
        return [msgspec.structs.replace(outcome, position=last) for outcome in outcomes]

    # --- what is known already ---

    def _look_up(self, cursor: psycopg.Cursor[Any]) -> None:
        messages = [intent.message for intent in self.intents if intent.message]
        if messages:
            found = cursor.execute(MESSAGES, ([message.message_id for message in messages],), prepare=True)
            self.seen = {row[0]: Seen(row[1], bytes(row[2]), row[3], row[4]) for row in found}
            self._look_up_documents(cursor, messages)
        ids = [new.fact_id for intent in self.intents for new in intent.facts]
        ids += [fact_id for fact_ids in self.documents.values() for fact_id in fact_ids]
        self._look_up_facts(cursor, ids)
        self._look_up_second_order(cursor)
        streams = {new.stream for intent in self.intents for new in intent.facts}
        streams |= {known.stream for known in self.known.values()}
        streams |= {intent.expected[0] for intent in self.intents if intent.expected}
        heads = cursor.execute(HEADS.format(table=self.table), (list(streams),), prepare=True)
        self.heads = {stream: version or 0 for stream, version in heads}

    def _look_up_documents(self, cursor: psycopg.Cursor[Any], messages: list[Message]) -> None:
        named = [message for message in messages if message.document and message.function != "original"]
        if not named:
            return
        sources, documents = [m.transmission.source for m in named], [m.document for m in named]
        for source, document, fact_ids in cursor.execute(DOCUMENTS, (sources, documents), prepare=True):
            self.documents.setdefault((source, document), []).extend(fact_ids)

    def _look_up_facts(self, cursor: psycopg.Cursor[Any], ids: list[UUID]) -> None:
        if ids:
            found = cursor.execute(FACTS.format(table=self.table), (ids,), prepare=True)
            self.known.update({row[0]: Known(row[1], fact.decode(row[2])) for row in found})

    def _look_up_second_order(self, cursor: psycopg.Cursor[Any]) -> None:
        """Confirmations and withdrawals of known facts that may be in the journal already."""
        ids: list[UUID] = []
        for intent in self.intents:
            if intent.message:
                source = intent.message.transmission.source
                ids += [_confirmation_id(new.fact_id, source) for new in intent.facts if new.fact_id in self.known]
        ids += [_withdrawal_id(fact_id) for fact_ids in self.documents.values() for fact_id in fact_ids]
        self._look_up_facts(cursor, ids)

    def _last(self, cursor: psycopg.Cursor[Any]) -> int:
        row = cursor.execute(POSITION.format(table=self.table)).fetchone()
        assert row is not None
        return int(row[0])

    # --- one intent ---

    def _take(self, intent: Intent) -> Outcome:
        if intent.message is None:
            return self._take_own(intent)
        message = intent.message
        before = self.seen.get(message.message_id)
        if before is not None and before.digest == message.digest:
            return self._take_again(intent, message, before)
        if before is not None:
            detail = "The source used this message's reference before, for another content"
            return self._quarantine(message, Fault("message.conflict", detail, message.start))
        if message.fault is not None:
            return self._quarantine(message, message.fault)
        if message.function != "original":
            return self._take_change(intent, message)
        told = [self._state(new, message) for new in intent.facts]
        return self._remember(message, told)

    def _take_own(self, intent: Intent) -> Outcome:
        """Facts of Kouan's own. Those in the journal already are ours, from an attempt whose reply was lost."""
        new = [item for item in intent.facts if item.fact_id not in self.known]
        if new and intent.expected is not None and self.heads.get(intent.expected[0], 0) != intent.expected[1]:
            return Outcome(status="stale")
        for item in new:
            self._append(item.stream, item.fact_id, item.fact)
        return Outcome(status="recorded", facts=[Told(item.fact_id, item.stream, "recorded") for item in intent.facts])

    def _take_again(self, intent: Intent, message: Message, before: Seen) -> Outcome:
        """The same message once more; or our own, committed by an attempt whose reply was lost."""
        ours = before.transmission_id == message.transmission.transmission_id
        streams = {new.fact_id: new.stream for new in intent.facts}
        told = [
            Told(fact_id, streams.get(fact_id, ""), self._stated_by(fact_id, message) if ours else "duplicate")
            for fact_id in before.fact_ids
        ]
        return Outcome(status=before.status if ours else "duplicate", message_id=message.message_id, facts=told)

    def _stated_by(self, fact_id: UUID, message: Message) -> Literal["recorded", "duplicate", "confirmed"]:
        """What this very message did for a fact that is in the journal."""
        stated = self.known[fact_id].fact if fact_id in self.known else None
        if isinstance(stated, Stated) and stated.message_id == message.message_id:
            return "recorded"
        confirmation = self.known.get(_confirmation_id(fact_id, message.transmission.source))
        if (
            confirmation
            and isinstance(confirmation.fact, Confirmed)
            and confirmation.fact.message_id == message.message_id
        ):
            return "confirmed"
        return "duplicate"

    def _state(self, new: NewFact, message: Message) -> Told:
        """Record a fact; or confirm the one that another source stated before."""
        known = self.known.get(new.fact_id)
        if known is None:
            self._append(new.stream, new.fact_id, new.fact)
            return Told(new.fact_id, new.stream, "recorded")
        source = message.transmission.source
        confirmation_id = _confirmation_id(new.fact_id, source)
        first_source = known.fact.source if isinstance(known.fact, Stated) else ""
        if first_source == source or confirmation_id in self.known:
            return Told(new.fact_id, known.stream, "duplicate")
        confirmed = Confirmed(
            happened_at=new.fact.happened_at,
            recorded_at=new.fact.recorded_at,
            fact_id=new.fact_id,
            source=source,
            message_id=message.message_id,
        )
        self._append(known.stream, confirmation_id, confirmed)
        return Told(new.fact_id, known.stream, "confirmed")

    def _take_change(self, intent: Intent, message: Message) -> Outcome:
        """Cancel a document's facts, or put others in their place. Documents are their source's own."""
        source = message.transmission.source
        standing = [
            fact_id
            for fact_id in self.documents.get((source, message.document), [])
            if fact_id in self.known and _withdrawal_id(fact_id) not in self.known
        ]
        if not standing:
            detail = (
                f"No standing message of {source} under document {message.document or '(none)'} to {message.function}"
            )
            return self._quarantine(message, Fault("document.unknown", detail, message.start))
        told = [] if message.function == "cancel" else [self._state(new, message) for new in intent.facts]
        successors = {} if message.function == "cancel" else self._successors(standing, intent.facts)
        kept = {new.fact_id for new in intent.facts} if message.function == "replace" else set()
        for fact_id in standing:
            if fact_id not in kept:
                self._withdraw(fact_id, message, successors.get(fact_id))
        outcome = self._remember(message, told)
        return msgspec.structs.replace(outcome, status="recorded")

    def _successors(self, standing: list[UUID], facts: Sequence[NewFact]) -> dict[UUID, UUID]:
        """Which of the new facts takes the place of which old one: same stream, same milestone."""
        fresh = {(new.stream, _code(new.fact)): new.fact_id for new in facts if new.fact_id not in standing}
        return {
            old: fresh[key]
            for old in standing
            if (key := (self.known[old].stream, _code(self.known[old].fact))) in fresh
        }

    def _withdraw(self, fact_id: UUID, message: Message, replaced_by: UUID | None) -> None:
        stream = self.known[fact_id].stream
        now = message.transmission.received_at
        source, reason = message.transmission.source, f"{message.function} of {message.document}"
        withdrawal: Fact
        if replaced_by is None:
            withdrawal = Retracted(
                happened_at=now,
                recorded_at=now,
                fact_id=fact_id,
                source=source,
                message_id=message.message_id,
                reason=reason,
            )
        else:
            withdrawal = Corrected(
                happened_at=now,
                recorded_at=now,
                fact_id=fact_id,
                replaced_by=replaced_by,
                source=source,
                message_id=message.message_id,
                reason=reason,
            )
        self._append(stream, _withdrawal_id(fact_id), withdrawal)

    # --- what will be written ---

    def _append(self, stream: str, fact_id: UUID, happened: Fact) -> None:
        version = self.heads.get(stream, 0) + 1
        self.heads[stream] = version
        self.known[fact_id] = Known(stream, happened)
        self.rows.append(Row(stream, version, fact.tag_of(type(happened)), fact.encode(happened), fact_id))

    def _remember(self, message: Message, told: list[Told]) -> Outcome:
        statuses = {item.status for item in told}
        status: Status = "duplicate"
        if "recorded" in statuses:
            status = "recorded"
        elif "confirmed" in statuses:
            status = "confirmed"
        fact_ids = [item.fact_id for item in told]
        self.seen[message.message_id] = Seen(message.transmission.transmission_id, message.digest, status, fact_ids)
        self.new_messages.append((message, message.message_id, status, fact_ids))
        if message.document:
            self.documents.setdefault((message.transmission.source, message.document), []).extend(fact_ids)
        return Outcome(status=status, message_id=message.message_id, facts=told)

    def _quarantine(self, message: Message, fault: Fault) -> Outcome:
        """Keep a message that cannot be taken, under an id of its reference and content: it may come again, mended."""
        message_id = digest_id("quarantine", str(message.message_id), message.digest.hex())
        self.faults.append((message, message_id, fault))
        return Outcome(status="quarantined", message_id=message_id, fault=fault)

    def _store_messages(self, cursor: psycopg.Cursor[Any]) -> None:
        messages = [message for message, *_ in self.new_messages] + [message for message, *_ in self.faults]
        transmissions = {message.transmission.transmission_id: message.transmission for message in messages}
        if not transmissions:
            return
        cursor.executemany(TRANSMISSION, [msgspec.structs.astuple(item) for item in transmissions.values()])
        with cursor.copy(MESSAGES_COPY) as copy:
            copy.set_types(["uuid", "uuid", "int4", "int4", "text", "text", "bytea", "text", "uuid[]", "timestamptz"])
            for message, message_id, status, fact_ids in self.new_messages:
                copy.write_row((*_message_row(message, message_id), status, fact_ids, message.transmission.received_at))
        for message, message_id, fault in self.faults:
            received_at = message.transmission.received_at
            row = (*_message_row(message, message_id), "quarantined", [], received_at)
            cursor.execute(MESSAGE, row)
            where = (fault.code, fault.detail, fault.offset, fault.path, received_at, received_at)
            cursor.execute(QUARANTINE, (message_id, message.transmission.source, message.transmission.format, *where))


def _message_row(message: Message, message_id: UUID) -> tuple[object, ...]:
    transmission = message.transmission
    span = (message.start, message.end)
    return (message_id, transmission.transmission_id, *span, transmission.source, message.document, message.digest)


def _confirmation_id(fact_id: UUID, source: str) -> UUID:
    return digest_id("confirmed", str(fact_id), source)


def _withdrawal_id(fact_id: UUID) -> UUID:
    return digest_id("withdrawn", str(fact_id))


def _code(told: Fact) -> str:
    return (told.code or told.raw_code) if isinstance(told, Stated) else ""
