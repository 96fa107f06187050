"""Corrections: whatever the order in which a source's messages arrive, the same facts stand in the end."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import cycle
from typing import NamedTuple
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


unhurried = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
split = some.lists(some.integers(1, 8), min_size=1, max_size=8)


def told(database: str, messages: Sequence[Intent], sizes: Sequence[int]) -> list[Entry]:
    """The journal after these messages, in batches of these sizes."""
    with psycopg.connect(database, autocommit=True) as connection:
        tables = "cargo_events, cargo_messages, cargo_transmissions, cargo_quarantine, cargo_restated"
        connection.execute(f"TRUNCATE {tables}".encode())
    rest = list(messages)
    with Journal("cargo", database).opened() as journal:
        writer = Writer(journal)
        for size in cycle(sizes):
            if not rest:
                break
            writer.write(rest[:size])
            rest = rest[size:]
        found = entries(writer)
        writer.stop()
    assert len({entry.fact_id for entry in found}) == len(found)
    return found


@unhurried
@given(some.permutations(range(len(STORY))), some.lists(some.integers(0, len(STORY) - 1), max_size=4), split)
def test_any_order_repetition_and_splitting_gives_the_same_view(
    database: str, order: list[int], repeated: list[int], sizes: list[int]
) -> None:
    assert standing(told(database, [said_in_story(number) for number in [*order, *repeated]], sizes)) == EXPECTED


def said_in_story(number: int) -> Intent:
    source, key, places, at, document, function = STORY[number]
    return said(source, key, *places, at=at, document=document, function=function)  # type: ignore[arg-type]


# --- a fact of several documents ---


class Line(NamedTuple):
    """One message of a made-up story; its place in the order of sending is drawn beside it."""

    source: str
    document: str
    function: Function
    places: frozenset[str]


places = some.frozensets(some.sampled_from(["CNNKG", "CNSHG", "CNTAG"]), min_size=1)
sources, papers = some.sampled_from(["terminal", "line"]), some.sampled_from(["A", "B", "C"])
functions: some.SearchStrategy[Function] = some.sampled_from(["original", "supersede", "replace"])
lines = (
    some.builds(Line, sources, papers, functions, places)
    | some.builds(Line, sources, papers, some.just("cancel"), some.just(frozenset[str]()))
    | some.builds(Line, sources, some.just(""), some.just("original"), places)
)
stories = some.lists(lines, min_size=1, max_size=9).flatmap(
    lambda story: some.tuples(some.just(story), some.permutations(range(len(story))))
)


def expected(story: Sequence[tuple[int, Line]]) -> set[tuple[str, str]]:
    """Each document by itself, in the order of sending; what one of them states stands."""
    state: defaultdict[tuple[str, str], frozenset[str]] = defaultdict(frozenset)
    for _, line in sorted(story, key=lambda each: each[0]):
        key = (line.source, line.document)
        state[key] = state[key] | line.places if line.function == "original" else line.places
    return {(place, source) for (source, _), there in state.items() for place in there}


@unhurried
@given(stories, some.lists(some.integers(0, 8), max_size=3), split)
def test_a_fact_stands_for_a_source_while_any_of_its_documents_states_it(
    database: str, drawn: tuple[list[Line], list[int]], repeated: list[int], sizes: list[int]
) -> None:
    story = list(zip(drawn[1], drawn[0], strict=True))
    messages = [
        said(line.source, str(at), *sorted(line.places), at=at, document=line.document, function=line.function)
        for at, line in story
    ]
    messages += [messages[number % len(messages)] for number in repeated]
    assert standing(told(database, messages, sizes)) == expected(story)


def test_two_documents_that_state_a_fact_must_both_take_it_back(cargo: Writer) -> None:
    cargo.write([said("terminal", "1", "CNNKG", at=1, document="A")])
    cargo.write([said("terminal", "2", "CNNKG", at=2, document="B")])
    cargo.write([said("terminal", "3", at=3, document="A", function="cancel")])
    assert standing(entries(cargo)) == {("CNNKG", "terminal")}
    cargo.write([said("terminal", "4", at=4, document="B", function="cancel")])
    assert standing(entries(cargo)) == set()
    cargo.write([said("terminal", "5", "CNNKG", at=5, document="C")])
    assert standing(entries(cargo)) == {("CNNKG", "terminal")}
    assert [type(entry.fact).__name__ for entry in entries(cargo)] == ["GatedIn", "Retracted", "Reinstated"]
    cargo.write([said("terminal", "6", at=6, document="C", function="cancel")])
    assert standing(entries(cargo)) == set()


def test_what_is_said_without_a_document_too_is_not_taken_back_with_one(cargo: Writer) -> None:
    cargo.write([said("terminal", "1", "CNNKG", at=1, document="A")])
    cargo.write([said("terminal", "2", "CNNKG", at=2, document="")])
    cargo.write([said("terminal", "3", at=3, document="A", function="cancel")])
    assert standing(entries(cargo)) == {("CNNKG", "terminal")}


def test_a_repetition_is_kept_once_for_each_other_document(cargo: Writer, database: str) -> None:
    for number, document in enumerate(["A", "A", "B", "B", "", "", "C"]):
        cargo.write([said("terminal", str(number), "CNNKG", at=number, document=document)])
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM cargo_restated").fetchone() == (3,)
