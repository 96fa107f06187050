"""Corrections: whatever the order in which a source's messages arrive, the same facts stand in the end."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import cycle
from uuid import UUID

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from domain.fact import Confirmed, Corrected, Reinstated, Retracted, Stated
from domain.intent import Intent
from domain.journal import Entry, Journal
from domain.report import Function
from domain.writer import Writer
from tests.test_journal import NOW, entries, says, statuses


@pytest.fixture
def cargo(database: str) -> Iterator[Writer]:
    with Journal("cargo", database).opened() as journal:
        writer = Writer(journal)
        yield writer
        writer.stop()


def said(source: str, key: str, *places: str, at: int, document: str = "D", function: Function = "original") -> Intent:
    """A message sent `at` hours after NOW."""
    intent = says(source, key, *places, document=document, function=function, digest=key.encode())
    assert intent.message is not None
    message = msgspec.structs.replace(intent.message, sent_at=NOW + timedelta(hours=at))
    return msgspec.structs.replace(intent, message=message)


def standing(found: Sequence[Entry]) -> set[tuple[str, str]]:
    """(place, witness) of what stands, as a reader of the journal folds it."""
    witness: dict[UUID, tuple[str, str]] = {}
    places: dict[UUID, str] = {}
    gone: set[UUID] = set()
    for entry in found:
        match entry.fact:
            case Stated() as told:
                places[entry.fact_id] = getattr(told, "place", "")
                witness[entry.fact_id] = (places[entry.fact_id], told.source)
            case Confirmed() as told:
                witness[entry.fact_id] = (places[told.fact_id], told.source)
            case Retracted(fact_id=fact_id) | Corrected(fact_id=fact_id):
                gone.add(fact_id)
            case Reinstated(fact_id=fact_id):
                gone.discard(fact_id)
            case _:
                pass
    return {told for fact_id, told in witness.items() if fact_id not in gone}


def test_a_cancellation_that_comes_first_waits_for_its_original(cargo: Writer, database: str) -> None:
    [waiting] = cargo.write([said("terminal", "2", at=2, function="cancel")])
    assert waiting.fault is not None
    assert (waiting.status, waiting.fault.code) == ("quarantined", "document.unknown")
    assert statuses(cargo.write([said("terminal", "1", "CNNKG", at=1)])) == ["recorded"]
    assert standing(entries(cargo)) == set()
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT state FROM cargo_quarantine").fetchall() == [("mended",)]


def test_an_original_that_comes_after_its_replacement_is_corrected_at_once(cargo: Writer) -> None:
    cargo.write([said("terminal", "2", "CNSHG", at=2, function="replace")])
    cargo.write([said("terminal", "1", "CNNKG", at=1)])
    assert [type(entry.fact).__name__ for entry in entries(cargo)] == ["GatedIn", "GatedIn", "Corrected"]
    assert standing(entries(cargo)) == {("CNSHG", "terminal")}


def test_a_status_that_is_sent_again_takes_the_place_of_the_first(cargo: Writer) -> None:
    cargo.write([said("airline", "1", "CNNKG", at=1, function="supersede")])
    [again] = cargo.write([said("airline", "2", "CNSHG", at=2, function="supersede")])
    assert again.status == "recorded"
    assert standing(entries(cargo)) == {("CNSHG", "airline")}


def test_a_witness_takes_back_its_word_not_the_fact(cargo: Writer) -> None:
    cargo.write([said("terminal", "1", "CNNKG", at=1, document="T")])
    cargo.write([said("line", "1", "CNNKG", at=1, document="L")])
    assert standing(entries(cargo)) == {("CNNKG", "terminal"), ("CNNKG", "line")}
    cargo.write([said("line", "2", at=2, document="L", function="cancel")])
    assert standing(entries(cargo)) == {("CNNKG", "terminal")}


def test_what_is_stated_again_after_it_was_taken_back_stands_again(cargo: Writer) -> None:
    cargo.write([said("terminal", "1", "CNNKG", at=1)])
    cargo.write([said("terminal", "2", at=2, function="cancel")])
    assert standing(entries(cargo)) == set()
    cargo.write([said("terminal", "3", "CNNKG", at=3, function="replace")])
    assert standing(entries(cargo)) == {("CNNKG", "terminal")}


STORY = (
    ("terminal", "1", ("CNNKG", "CNSHG"), 1, "T", "original"),
    ("terminal", "2", ("CNNKG",), 2, "T", "replace"),
    ("terminal", "3", (), 3, "T2", "cancel"),
    ("terminal", "4", ("CNTAG",), 1, "T2", "original"),
    ("line", "1", ("CNNKG", "CNTAG"), 1, "L", "original"),
    ("line", "2", ("CNNKG",), 4, "L", "supersede"),
    ("terminal", "5", ("CNLYG",), 5, "T2", "replace"),
)
EXPECTED = {("CNNKG", "terminal"), ("CNNKG", "line"), ("CNLYG", "terminal")}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    some.permutations(range(len(STORY))),
    some.lists(some.integers(0, len(STORY) - 1), max_size=4),
    some.lists(some.integers(1, 8), min_size=1, max_size=8),
)
def test_any_order_repetition_and_splitting_gives_the_same_view(
    database: str, order: list[int], repeated: list[int], sizes: list[int]
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("TRUNCATE cargo_events, cargo_messages, cargo_transmissions, cargo_quarantine")
    with Journal("cargo", database).opened() as journal:
        writer = Writer(journal)
        messages = [_told(number) for number in [*order, *repeated]]
        for size in cycle(sizes):
            if not messages:
                break
            writer.write(messages[:size])
            messages = messages[size:]
        found = entries(writer)
        writer.stop()
    assert standing(found) == EXPECTED
    assert len({entry.fact_id for entry in found}) == len(found)


def _told(number: int) -> Intent:
    source, key, places, at, document, function = STORY[number]
    return said(source, key, *places, at=at, document=document, function=function)  # type: ignore[arg-type]
