"""The journal: nothing accepted is lost, doubled or reordered; what repeats, confirms or takes back is told apart."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import psycopg
import pytest

from domain import container, fact
from domain.container import HoldPlaced
from domain.errors import Refused
from domain.fact import Confirmed, Corrected, Retracted
from domain.intent import Intent, Message, NewFact, Outcome, Transmission
from domain.journal import Entry, Journal
from domain.report import Fault, Function, Moment, Movement
from domain.writer import Busy, Writer

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BOX = "container:CSQU3054383"


@pytest.fixture
def cargo(database: str) -> Iterator[Writer]:
    with Journal("cargo", database).opened() as journal:
        writer = Writer(journal)
        yield writer
        writer.stop()


def entries(writer: Writer) -> list[Entry]:
    with writer.journal.connect() as connection:
        return writer.journal.read(connection, after=0, limit=100_000)


def says(  # one message with one movement for each place
    source: str,
    key: str,
    *places: str,
    stream: str = BOX,
    document: str = "",
    function: Function = "original",
    digest: bytes = b"d",
    fault: Fault | None = None,
) -> Intent:
    body = f"{source}{key}{places}".encode()
    transmission = Transmission(uuid4(), source, "native", NOW, digest, body)
    message_id = fact.digest_id(source, key)
    message = Message(
        message_id=message_id,
        transmission=transmission,
        start=0,
        end=len(body),
        digest=digest,
        document=document,
        function=function,
        fault=fault,
    )
    facts = []
    for place in places:
        report = Movement(subject=stream, code="GATE_IN", raw_code="34", when=Moment(NOW), place=place, mode="TRUCK")
        told = container.observe(report, source=source, message_id=message_id, sent_at=None, now=NOW)
        facts.append(NewFact(stream, fact.identity(stream, told), told))
    return Intent(message=message, facts=facts)


def statuses(outcomes: list[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def hold(reference: str) -> HoldPlaced:
    return HoldPlaced(happened_at=NOW, recorded_at=NOW, authority="c", reason="r", reference=reference, by="b")


def test_a_message_is_recorded_once_however_often_it_comes(cargo: Writer) -> None:
    for expected in ("recorded", "duplicate", "duplicate"):
        assert statuses(cargo.write([says("terminal", "1", "CNNKG", "CNSHG")])) == [expected]
    assert [(entry.stream, entry.version, entry.position) for entry in entries(cargo)] == [(BOX, 1, 1), (BOX, 2, 2)]


def test_repetitions_within_one_batch_are_seen_too(cargo: Writer) -> None:
    same = says("terminal", "1", "CNNKG")
    assert statuses(cargo.write([same, same, says("terminal", "2", "CNNKG")])) == ["recorded", "recorded", "duplicate"]
    assert len(entries(cargo)) == 1


def test_two_sources_that_say_the_same_are_one_fact_with_a_confirmation(cargo: Writer) -> None:
    [first] = cargo.write([says("terminal", "1", "CNNKG")])
    assert statuses(cargo.write([says("line", "7", "CNNKG")])) == ["confirmed"]
    assert statuses(cargo.write([says("line", "8", "CNNKG")])) == ["duplicate"]
    assert statuses(cargo.write([says("terminal", "2", "CNNKG")])) == ["duplicate"]
    told = [entry.fact for entry in entries(cargo)]
    assert [type(each).__name__ for each in told] == ["GatedIn", "Confirmed"]
    assert isinstance(told[1], Confirmed)
    assert (told[1].fact_id, told[1].source) == (first.facts[0].fact_id, "line")


def test_a_reference_used_again_for_another_content_is_a_conflict(cargo: Writer) -> None:
    cargo.write([says("terminal", "1", "CNNKG")])
    [outcome] = cargo.write([says("terminal", "1", "CNSHG", digest=b"other")])
    assert outcome.fault is not None
    assert (outcome.status, outcome.fault.code) == ("quarantined", "message.conflict")
    assert len(entries(cargo)) == 1


def test_what_cannot_be_understood_is_kept_with_its_bytes_and_harms_no_neighbour(cargo: Writer, database: str) -> None:
    broken = says("terminal", "1", fault=Fault("edifact.truncated", "no UNT", 17, "UNH[1]"))
    assert statuses(cargo.write([broken, says("terminal", "2", "CNNKG")])) == ["quarantined", "recorded"]
    assert broken.message is not None
    later = msgspec.structs.replace(broken.message.transmission, received_at=NOW + timedelta(seconds=1))
    again = msgspec.structs.replace(broken, message=msgspec.structs.replace(broken.message, transmission=later))
    assert statuses(cargo.write([again])) == ["quarantined"]
    with psycopg.connect(database) as connection:
        kept = connection.execute(
            "SELECT code, byte_offset, attempts, body FROM cargo_quarantine"
            " JOIN cargo_messages USING (message_id) JOIN cargo_transmissions USING (transmission_id)"
        ).fetchall()
    assert kept == [("edifact.truncated", 17, 2, b"terminal1()")]


def test_cancelling_a_document_retracts_its_facts_once(cargo: Writer) -> None:
    [stated] = cargo.write([says("terminal", "1", "CNNKG", document="D1")])
    for _ in range(2):
        cargo.write([says("terminal", "2", document="D1", function="cancel")])
    told = [entry.fact for entry in entries(cargo)]
    assert [type(each).__name__ for each in told] == ["GatedIn", "Retracted"]
    assert isinstance(told[1], Retracted)
    assert told[1].fact_id == stated.facts[0].fact_id


def test_replacing_a_document_keeps_what_stays_and_corrects_what_changed(cargo: Writer) -> None:
    cargo.write([says("terminal", "1", "CNNKG", document="D1")])
    [replaced] = cargo.write([says("terminal", "2", "CNSHG", document="D1", function="replace")])
    told = [entry.fact for entry in entries(cargo)]
    assert [type(each).__name__ for each in told] == ["GatedIn", "GatedIn", "Corrected"]
    assert isinstance(told[2], Corrected)
    assert told[2].replaced_by == replaced.facts[0].fact_id


def test_nobody_cancels_what_another_source_said(cargo: Writer) -> None:
    cargo.write([says("terminal", "1", "CNNKG", document="D1")])
    [outcome] = cargo.write([says("rival", "1", document="D1", function="cancel")])
    assert outcome.fault is not None
    assert (outcome.status, outcome.fault.code) == ("quarantined", "document.unknown")
    assert len(entries(cargo)) == 1


def test_a_decision_on_an_old_version_is_stale_and_harms_no_neighbour(cargo: Writer) -> None:
    def decide(reference: str, version: int) -> Intent:
        return Intent(facts=[NewFact(BOX, uuid4(), hold(reference))], expected=(BOX, version))

    outcomes = cargo.write([decide("H1", 0), decide("H2", 0), says("terminal", "1", "CNNKG"), decide("H3", 2)])
    assert statuses(outcomes) == ["recorded", "stale", "recorded", "recorded"]
    assert [entry.version for entry in entries(cargo)] == [1, 2, 3]


def test_concurrent_writers_of_several_processes_lose_and_double_nothing(cargo: Writer, database: str) -> None:
    """Two writers, as in two processes, four threads each, overlapping messages; a reader tails all the while."""
    seen: list[int] = []
    over = threading.Event()

    def tail() -> None:
        with cargo.journal.connect(autocommit=True) as connection:
            while True:
                last_round = over.is_set()
                found = cargo.journal.read(connection, after=seen[-1] if seen else 0, limit=500)
                seen.extend(entry.position for entry in found)
                if last_round and not found:
                    return

    def send(writer: Writer, offset: int) -> None:
        for number in range(offset, offset + 60):
            writer.write([says("terminal", str(number), f"P{number}", stream=f"container:BOX{number % 7}")])

    with Journal("cargo", database).opened() as other_journal:
        other = Writer(other_journal)
        reader = threading.Thread(target=tail)
        threads = [threading.Thread(target=send, args=(w, o)) for w in (cargo, other) for o in (0, 20, 40, 60)]
        for thread in (reader, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        over.set()
        reader.join()
        other.stop()
    stored = entries(cargo)
    assert len(stored) == 120
    assert seen == [entry.position for entry in stored]
    for stream, count in Counter(entry.stream for entry in stored).items():
        assert [entry.version for entry in stored if entry.stream == stream] == list(range(1, count + 1))


def test_what_a_lost_attempt_committed_is_answered_as_ours(cargo: Writer) -> None:
    """The reply to COMMIT was lost and the batch is decided again: same transmission, same ids."""
    batch = [
        says("terminal", "1", "CNNKG"),
        Intent(facts=[NewFact("item:x", uuid4(), hold("H"))], expected=("item:x", 0)),
    ]
    first = cargo.write(batch)
    assert cargo.write(batch) == first
    assert len(entries(cargo)) == 2


def test_a_writer_survives_the_death_of_its_connection(cargo: Writer, database: str) -> None:
    cargo.write([says("terminal", "1", "CNNKG")])
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND usename = current_user AND datname = current_database()"
        )
    assert statuses(cargo.write([says("terminal", "2", "CNSHG")])) == ["recorded"]


def test_a_stopped_writer_has_written_what_was_queued_and_takes_no_more(database: str) -> None:
    with Journal("cargo", database).opened() as journal:
        writer = Writer(journal)
        futures = [writer.submit([says("terminal", str(number), f"P{number}")]) for number in range(50)]
        writer.stop()
        assert [future.result()[0].status for future in futures] == ["recorded"] * 50
        with pytest.raises(Busy):
            writer.submit([says("terminal", "late", "CNNKG")])


def test_what_cannot_be_written_at_all_harms_nobody_else(cargo: Writer) -> None:
    futures = [
        cargo.submit([says("terminal", "1", "CNNKG")]),
        cargo.submit([says("terminal", "2", "CNSHG", document="no \x00 text of a database")]),
        cargo.submit([says("terminal", "3", "CNLYG")]),
    ]
    told = [future.exception() or future.result()[0].status for future in futures]
    assert (told[0], told[2]) == ("recorded", "recorded")
    assert isinstance(told[1], psycopg.DataError)


def test_who_does_not_wait_for_the_answer_stops_nobody(cargo: Writer) -> None:
    futures = [cargo.submit([says("terminal", str(number), f"P{number}")]) for number in range(20)]
    for future in futures[::2]:
        future.cancel()
    assert statuses(cargo.write([says("terminal", "last", "CNNKG")])) == ["recorded"]
    assert len(entries(cargo)) == 21


def test_the_librarys_own_save_takes_the_same_lock_and_positions(cargo: Writer) -> None:
    event = cargo.journal.recorder.insert_events([])
    assert event == []
    from eventsourcing.persistence import StoredEvent

    stored = StoredEvent("item:y", 1, "container.hold_placed", fact.encode(hold("H9")))
    cargo.write([says("terminal", "1", "CNNKG")])
    assert list(cargo.journal.recorder.insert_events([stored]) or ()) == [2]
    assert [entry.position for entry in entries(cargo)] == [1, 2]


def test_the_librarys_database_functions_are_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_ENABLE_DB_FUNCTIONS", "y")
    with pytest.raises(Refused, match="loses facts"):
        Journal("cargo", database)


def test_the_position_of_an_answer_is_that_of_the_newest_fact(cargo: Writer) -> None:
    [first] = cargo.write([says("terminal", "1", "CNNKG", "CNSHG")])
    [again] = cargo.write([says("terminal", "1", "CNNKG", "CNSHG")])
    assert (first.position, again.position) == (2, 2)
