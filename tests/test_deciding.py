"""Deciding: each decision on the very state before it, in turn, once, whatever comes between."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from threading import Event

import psycopg
import pytest

from api.pool import open_pool
from domain import container
from domain.container import Container, HoldPlaced
from domain.deciding import LINES, Decider, UnreadableStream, folded
from domain.errors import Refused, Stale
from domain.fact import Fact, digest_id
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.writer import Busy, Writer
from tests.test_journal import BOX, NOW, entries, hold, says

KEY = digest_id("a key of the caller")
fold = folded(Container("CSQU3054383"), container.evolve)


@pytest.fixture
def decider(database: str) -> Iterator[Decider]:
    with Journal("cargo", database).opened() as journal, open_pool(database) as pool:
        writer = Writer(journal)
        decider = Decider(writer, pool)
        yield decider
        decider.stop()
        writer.stop()


def place(reference: str, state: Container) -> tuple[Fact, ...]:
    return container.place_hold(state, authority="c", reason="r", reference=reference, by="b", at=NOW)


def references(decider: Decider) -> list[str]:
    return [entry.fact.reference for entry in entries(decider.writer) if isinstance(entry.fact, HoldPlaced)]


def test_a_decision_is_made_on_what_is_there_and_says_where_it_stands(decider: Decider) -> None:
    decider.writer.write([says("terminal", "1", "CNNKG", "CNSHG")])
    decided = decider.decide(BOX, fold, partial(place, "H"))
    assert (decided.version, decided.position, [new.fact for new in decided.facts]) == (3, 3, [hold("H")])


def test_nothing_new_writes_nothing(decider: Decider) -> None:
    assert decider.decide(BOX, fold, lambda _: ()).version == 0
    first = decider.decide(BOX, fold, partial(place, "H"))
    again = decider.decide(BOX, fold, partial(place, "H"))
    assert (again.version, again.position, again.facts) == (first.version, first.position, ())


def test_an_observation_between_reading_and_writing_makes_it_decide_again(decider: Decider) -> None:
    seen: list[str] = []

    def decision(state: Container) -> Sequence[Fact]:
        seen.append(state.at)
        if len(seen) < 3:
            decider.writer.write([says("terminal", str(len(seen)), f"CN{len(seen)}")])
        return place("H", state)

    decided = decider.decide(BOX, fold, decision)
    assert (seen, decided.version, decider.conflicts) == (["", "CN1", "CN2"], 3, 2)
    assert references(decider) == ["H"]


def test_without_end_of_others_it_is_stale(decider: Decider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domain.deciding.ATTEMPTS_MAX", 3)
    seen: list[str] = []

    def decision(state: Container) -> Sequence[Fact]:
        seen.append(state.at)
        decider.writer.write([says("terminal", str(len(seen)), f"CN{len(seen)}")])
        return place("H", state)

    with pytest.raises(Stale, match=BOX):
        decider.decide(BOX, fold, decision)
    assert len(seen) == 3
    assert references(decider) == []


def test_who_saw_another_version_is_stale_at_once(decider: Decider) -> None:
    first = decider.decide(BOX, fold, partial(place, "H"), version=0)
    with pytest.raises(Stale) as caught:
        decider.decide(BOX, fold, partial(place, "H2"), version=0)
    assert caught.value.facts == {"stream": BOX, "version": 1}
    assert decider.decide(BOX, fold, partial(place, "H2"), version=first.version).version == 2


def test_the_same_decision_asked_for_again_is_made_once(decider: Decider) -> None:
    def both(_: Container) -> Sequence[Fact]:
        return (hold("H1"), hold("H2"))

    first = decider.decide(BOX, fold, both, key=KEY)
    decider.decide(BOX, fold, lambda _: (hold("H3"),))
    again = decider.decide(BOX, fold, both, key=KEY, version=0)
    assert (again.version, again.facts) == (first.version, first.facts)
    assert references(decider) == ["H1", "H2", "H3"]


def test_a_refusal_reaches_who_asked_and_nobody_else(decider: Decider) -> None:
    def refuse(_: Container) -> Sequence[Fact]:
        raise Refused("no")

    futures = [decider.submit(BOX, fold, refuse if number % 2 else partial(place, f"H{number}")) for number in range(6)]
    assert [type(future.exception()).__name__ for future in futures] == ["NoneType", "Refused"] * 3
    assert references(decider) == ["H0", "H2", "H4"]


def test_who_came_first_decides_first_and_other_streams_do_not_wait(decider: Decider) -> None:
    held = Event()

    def wait(state: Container) -> Sequence[Fact]:
        assert held.wait(10)
        return place("H0", state)

    first = decider.submit(BOX, fold, wait)
    rest = [decider.submit(BOX, fold, partial(place, f"H{number}")) for number in range(1, 9)]
    assert decider.decide("container:KOUU9012055", fold, partial(place, "X")).version == 1
    assert not first.done()
    held.set()
    assert [future.result().version for future in [first, *rest]] == list(range(1, 10))
    assert references(decider) == ["X", *(f"H{number}" for number in range(9))]


def test_one_of_another_process_that_holds_the_line_and_hangs_is_not_waited_for_without_end(
    decider: Decider, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.deciding.LOCK_SECONDS_MAX", 0.1)
    lines = "SELECT classid::int - %s, objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid::int > %s"

    def decision(state: Container) -> Sequence[Fact]:
        with psycopg.connect(database) as connection:
            seen.extend(connection.execute(lines, (LINES, LINES)))
        return place(f"H{len(seen)}", state)

    seen: list[tuple[int, int]] = []
    decider.decide(BOX, fold, decision)
    [(journal, number)] = seen
    assert journal == 1
    with psycopg.connect(database) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s, (%s::bit(32))::int)", (LINES + journal, number))
        assert decider.decide(BOX, fold, partial(place, "H2")).version == 2


def test_nobody_decides_on_half_a_story(decider: Decider, database: str) -> None:
    decider.decide(BOX, fold, partial(place, "H"))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE cargo_events SET state = '{'")
    with pytest.raises(UnreadableStream, match=BOX):
        decider.decide(BOX, fold, partial(place, "H2"))


def test_a_connection_that_is_lost_after_the_decision_takes_nothing_back(decider: Decider) -> None:
    def cut(state: Container) -> Sequence[Fact]:
        with decider.writer.journal.connect(autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle in transaction'"
            )
        return place("H", state)

    assert decider.decide(BOX, fold, cut).version == 1
    assert references(decider) == ["H"]


def test_a_database_that_is_away_is_told_as_busy(decider: Decider) -> None:
    decider.pool.close()
    with pytest.raises(Busy):
        decider.decide(BOX, fold, partial(place, "H"))


def test_a_route_waits_without_a_thread_and_one_who_goes_away_before_the_turn_is_passed_over(decider: Decider) -> None:
    held = Event()

    async def ask() -> int:
        first = decider.submit(BOX, fold, lambda state: place("H1", state) if held.wait(10) else ())
        gone = asyncio.wrap_future(decider.submit(BOX, fold, partial(place, "H2")))
        last = asyncio.wrap_future(decider.submit(BOX, fold, partial(place, "H3")))
        gone.cancel()
        await asyncio.sleep(0)
        held.set()
        await asyncio.wrap_future(first)
        return (await last).version

    assert asyncio.run(ask()) == 2
    assert references(decider) == ["H1", "H3"]


def test_who_waits_when_it_stops_is_served_and_later_ones_are_refused(decider: Decider) -> None:
    futures = [decider.submit(BOX, fold, partial(place, f"H{number}")) for number in range(5)]
    decider.stop()
    assert all(future.done() for future in futures)
    with pytest.raises(Busy):
        decider.submit(BOX, fold, lambda _: ())


def test_who_waited_too_long_is_told_to_come_again(decider: Decider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domain.deciding.SECONDS_MAX", -1.0)
    with pytest.raises(Busy):
        decider.decide(BOX, fold, partial(place, "H"))
    assert references(decider) == []


def test_a_stream_is_read_on_behind_a_version(decider: Decider) -> None:
    intents = [Intent(facts=[NewFact(BOX, digest_id(str(number)), hold(str(number)))]) for number in range(4)]
    decider.writer.write(intents)
    journal = decider.writer.journal
    with journal.connect() as connection:
        assert [entry.version for entry in journal.stream(connection, BOX)] == [1, 2, 3, 4]
        assert [entry.version for entry in journal.stream(connection, BOX, 2)] == [3, 4]
        assert journal.stream(connection, BOX, 4) == []
