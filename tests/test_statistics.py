"""The statistics: small worlds counted by hand, in any order, rebuilt the same; and what is kept out of sight."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import combinations
from random import Random
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.declaration import CompletionLodged, Lodged
from domain.declaring import Content
from domain.fact import Fact
from domain.journal import Entry, Journal
from domain.receipts import Accepted
from projections import runner, statistics, suppression
from projections.measures import MEASURES
from projections.statistics import Group, Period
from tests.fixtures_node import Node

MARCH = Period("2026-03", "2026-03")
START = datetime.fromisoformat("2026-03-02T00:00:00+08:00")
BILL = "bl:KOUA0000001"
ENTRY = "declaration:2301202610000000{:02d}"
MODEL = runner.model(statistics)
Told = dict[str, Any]


def at(hours: float) -> str:
    return (START + timedelta(hours=hours)).isoformat()


def told(subject: str, code: str, hours: float, **more: Any) -> Told:
    return {"id": f"{subject}{code}{hours}", "subject": subject, "code": code, "happened_at": at(hours), **more}


def declaration(number: int, **milestones: float) -> list[Told]:
    """One import declaration of Lianyungang customs; hours after the start, by milestone."""
    return [told(ENTRY.format(number), code, hours) for code, hours in milestones.items()]


def stay(box: str, begin: float, end: float, place: str = "CNNJG") -> list[Told]:
    return [
        told(f"container:{box}", "DISCHARGED", begin, place=place, mode="VESSEL"),
        told(f"container:{box}", "GATE_OUT", end, place=place, mode="TRUCK"),
    ]


@pytest.fixture
def connection(node: Node) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(node.conninfo, autocommit=True) as made:
        yield made


def count(
    connection: psycopg.Connection[Any], name: str, by: Sequence[str] = (), period: Period = MARCH, **only: str
) -> tuple[dict[tuple[str, ...], Group], Group]:
    groups, total = statistics.counted(connection, MEASURES[name], by, period, only)
    return {group.key: group for group in groups}, total


# --- counted by hand ---


PAPERS = [
    *declaration(1, DEC_SUBMITTED=0, DEC_ACCEPTED=1, DEC_REVIEWED=3, DEC_RELEASED=7),
    *declaration(2, DEC_SUBMITTED=0, DEC_ACCEPTED=2, DEC_REVIEWED=2, DEC_RELEASED=12, INSP_ORDERED=3),
    *declaration(3, DEC_SUBMITTED=0, DEC_ACCEPTED=3, DEC_REVIEWED=4, DEC_PICKUP_REL=5, DEC_RELEASED=300),
    *declaration(4, DEC_SUBMITTED=0, DEC_REJECTED=5),
    *declaration(5, DEC_SUBMITTED=10, DEC_REJECTED=11, DEC_ACCEPTED=20),
]


@pytest.mark.parametrize("seed", range(3))
def test_stages_and_rates_are_those_counted_by_hand_whatever_the_order(
    node: Node, connection: psycopg.Connection[Any], seed: int
) -> None:
    messages = PAPERS * 2
    Random(seed).shuffle(messages)
    node.tell(*messages)
    hours = {name: count(connection, name)[1] for name in ("acceptance", "review", "release", "declared-to-released")}
    assert {name: (each.count, each.median) for name, each in hours.items()} == {
        "acceptance": (4, 2.5),  # 1, 2, 3, 10
        "review": (3, 1.0),  # 2, 0, 1
        "release": (3, 4.0),  # 4, 10, 1
        "declared-to-released": (3, 7.0),  # 7, 12, 5
    }
    assert hours["acceptance"].p90 == pytest.approx(7.9)  # between 3 and 10
    rates = {name: count(connection, name)[1] for name in ("inspection-rate", "rejection-rate", "two-step-share")}
    assert {name: (each.hits, each.count) for name, each in rates.items()} == {
        "inspection-rate": (1, 4),
        "rejection-rate": (2, 5),
        "two-step-share": (1, 4),
    }


def test_clearance_runs_from_the_arrival_of_the_linked_cargo_else_from_declaring(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    box = {"place": "CNLYG", "mode": "VESSEL", "refs": [BILL]}
    node.tell(
        *declaration(1, DEC_SUBMITTED=10, DEC_ACCEPTED=11, DEC_RELEASED=30),
        told(ENTRY.format(1), "DEC_REVIEWED", 20, refs=[BILL]),
        told("container:CSQU3054383", "VSL_ARR", -9, place="KRPUS", mode="VESSEL", refs=[BILL]),
        told("container:CSQU3054383", "VSL_ARR", 4, **box),
        told("container:CSQU3054383", "DISCHARGED", 8, **box),
        *declaration(2, DEC_SUBMITTED=10, DEC_RELEASED=30),
    )
    groups, total = count(connection, "clearance", ("mode", "place", "customs", "direction"))
    assert {key: group.median for key, group in groups.items()} == {
        ("VESSEL", "CNLYG", "2301", "import"): 26.0,
        ("", "", "2301", "import"): 20.0,
    }
    assert (total.count, total.median) == (2, 23.0)


def test_who_declares_before_the_arrival_declares_in_advance_and_waits_for_nothing(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    node.tell(
        *declaration(1, DEC_ACCEPTED=1, DEC_RELEASED=2),
        told(ENTRY.format(1), "DEC_SUBMITTED", 0, refs=["awb:99912345675"]),
        told("awb:99912345675", "AIR_ARR", 9, place="CNSIA", mode="AIR"),
        *declaration(2, DEC_SUBMITTED=4, DEC_ACCEPTED=5),
        told(ENTRY.format(2), "DEC_REVIEWED", 6, refs=["awb:11200000011"]),
        told("awb:11200000011", "AIR_ARR", 3, place="CNSIA", mode="AIR"),
        *declaration(3, DEC_ACCEPTED=1),
    )
    _, advance = count(connection, "advance-share")
    assert (advance.hits, advance.count) == (1, 2)
    assert count(connection, "clearance", mode="AIR")[1].median == 0.0


def test_what_was_lodged_here_tells_regime_mode_and_two_steps(connection: psycopg.Connection[Any]) -> None:
    content = Content(kind="summary", transport_mode="5", declaring_customs="9002", regime="")
    subject, now = ENTRY.format(1), START
    facts: list[Fact] = [
        Lodged(happened_at=now, recorded_at=now, content=content, by="trader"),
        Accepted(
            happened_at=now + timedelta(hours=2),
            recorded_at=now,
            code="DEC_ACCEPTED",
            source="customs",
            message_id=UUID(int=1),
        ),
        CompletionLodged(
            happened_at=now + timedelta(days=3),
            recorded_at=now,
            content=msgspec.structs.replace(content, kind="complete", regime="0110"),
            version=2,
            by="trader",
        ),
    ]
    entries = [Entry(place, subject, place, uuid4(), each) for place, each in enumerate(facts, 1)]
    with connection.cursor() as cursor:
        statistics.project(cursor, entries)
    groups, _ = count(connection, "two-step-share", ("regime", "mode", "customs"))
    assert [(key, group.hits, group.count) for key, group in groups.items()] == [(("0110", "AIR", "9002"), 1, 1)]
    assert count(connection, "acceptance")[1].median == 2.0


def test_what_came_before_the_entry_id_belongs_to_the_same_declaration(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    early = "declaration:I20260000000001"
    node.tell(told(early, "DEC_SUBMITTED", 0), told(ENTRY.format(1), "DEC_ACCEPTED", 2, refs=[early]))
    _, total = count(connection, "acceptance")
    assert (total.count, total.median) == (1, 2.0)


def test_a_stay_ends_once_though_it_is_told_twice_and_only_where_it_began(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    node.tell(
        *stay("CSQU3054383", 0, 48),
        *stay("CSQU3054383", 0.2, 48.2),  # another clock: other minutes, the same stay
        *stay("CSQU3054383", 300, 324),
        told("container:TOLU4734787", "DISCHARGED", 0, place="CNLYG", mode="VESSEL"),
        told("container:TOLU4734787", "GATE_OUT", 9, place="CNNJG", mode="TRUCK"),
        told("container:EPTU0000014", "GATE_IN", 1, place="CNNJG", mode="TRUCK"),
        told("container:EPTU0000014", "LOADED", 11, place="CNNJG", mode="BARGE"),
    )
    groups, total = count(connection, "import-dwell", ("place", "mode"))
    assert [(key, group.count, round(group.median or 0, 6)) for key, group in groups.items()] == [
        (("CNNJG", "VESSEL"), 2, 35.9)
    ]
    assert total.count == 2
    assert count(connection, "export-dwell", ("mode",))[0][("BARGE",)].median == 10.0


def test_a_manifest_in_time_is_a_day_before_the_ship_and_hours_before_the_plane(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    for number, box, lead in ((1, "CSQU3054383", 25), (2, "TOLU4734787", 23)):
        ship = {"place": "CNLYG", "mode": "VESSEL"}
        node.tell(
            told(f"container:{box}", "MAN_ORIG_OK", 100 - lead, mode="VESSEL"),
            told(f"container:{box}", "VSL_ARR", 100, **ship),
            told(f"container:{box}", "DISCHARGED", 101 + number, **ship),
        )
    node.tell(
        told("awb:99912345675", "MAN_ADV_OK", 0, mode="AIR"),
        told("awb:99912345675", "AIR_DEP", 5, place="CNSIA", mode="AIR"),
    )
    groups, _ = count(connection, "manifest-timeliness", ("direction", "mode"))
    assert {key: (each.hits, each.count, each.median) for key, each in groups.items()} == {
        ("import", "VESSEL"): (1, 2, 24.0),
        ("export", "AIR"): (1, 1, 5.0),
    }


def test_the_month_is_that_of_beijing(node: Node, connection: psycopg.Connection[Any]) -> None:
    last = (datetime.fromisoformat("2026-04-01T00:30:00+08:00") - START) / timedelta(hours=1)
    node.tell(*declaration(1, DEC_SUBMITTED=last - 10, DEC_ACCEPTED=last))
    assert count(connection, "acceptance")[1].count == 0
    assert list(count(connection, "acceptance", ("month",), Period("2026-03", "2026-05"))[0]) == [("2026-04",)]


# --- what was taken back ---


def test_what_was_retracted_does_not_count_until_it_is_said_again_or_if_another_says_so(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    begin, end = stay("CSQU3054383", 0, 48)
    node.tell(begin, {**end, "document": "EIR7"})
    node.tell({"id": "c", "document": "EIR7", "function": "cancel"})
    assert count(connection, "import-dwell")[1].count == 0
    node.tell({**end, "id": "other"}, who="line")
    assert count(connection, "import-dwell")[1].count == 1


def test_a_corrected_time_takes_the_place_of_the_old_one(node: Node, connection: psycopg.Connection[Any]) -> None:
    begin, end = stay("CSQU3054383", 0, 48)
    node.tell(begin, {**end, "document": "EIR7", "sent_at": at(49)})
    later = {**end, "id": "again", "happened_at": at(60), "document": "EIR7", "sent_at": at(61)}
    node.tell({**later, "function": "replace"})
    _, total = count(connection, "import-dwell")
    assert (total.count, total.median) == (1, 60.0)


def test_a_reversal_takes_back_what_came_before_it(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(*declaration(1, DEC_SUBMITTED=0, DEC_ACCEPTED=1, DEC_ACCEPTED_REVERSED=2))
    assert count(connection, "acceptance")[1].count == 0
    node.tell(*declaration(1, DEC_ACCEPTED=5))
    assert count(connection, "acceptance")[1].median == 5.0


def test_plans_and_estimates_are_no_movements(node: Node, connection: psycopg.Connection[Any]) -> None:
    begin, end = stay("CSQU3054383", 0, 48)
    node.tell(begin, {**end, "classifier": "EST"})
    assert count(connection, "import-dwell")[1].count == 0


# --- the read model ---

DUMP = "SELECT * FROM {} ORDER BY position"


def rows(connection: psycopg.Connection[Any]) -> list[list[Any]]:
    return [connection.execute(DUMP.format(table).encode()).fetchall() for table in statistics.TABLES]


def busy(node: Node) -> None:
    """A world with everything in it that the model keeps."""
    begin, end = stay("CSQU3054383", 0, 48)
    node.tell(*PAPERS, begin, {**end, "document": "EIR7"}, *stay("TOLU4734787", 3, 30, "CNLYG"))
    node.tell(*PAPERS[:9], begin, who="line")
    node.tell({"id": "c", "document": "EIR7", "function": "cancel"})


@pytest.mark.parametrize("batch", [1, 7, 2_000])
def test_rebuilt_in_batches_of_any_size_it_is_the_same(
    node: Node, connection: psycopg.Connection[Any], batch: int
) -> None:
    busy(node)
    live = rows(connection)
    assert all(live)
    with Journal("cargo", node.conninfo).opened() as journal:
        runner.rebuild(connection, journal, MODEL, batch)
    assert rows(connection) == live


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_order_of_the_facts_makes_no_difference(
    node: Node, connection: psycopg.Connection[Any], data: st.DataObject
) -> None:
    if not all(rows(connection)):
        busy(node)
    with Journal("cargo", node.conninfo).opened() as journal:
        entries = journal.read(connection, after=0, limit=1_000)
    wanted = rows(connection)
    shuffled = data.draw(st.permutations(entries))
    cut = data.draw(st.integers(0, len(entries)))
    with connection.transaction(force_rollback=True), connection.cursor() as cursor:
        cursor.execute("TRUNCATE statistics_facts, statistics_remarks")
        for batch in (shuffled[:cut], shuffled[cut:]):
            statistics.project(cursor, batch)
        assert rows(connection) == wanted


def test_what_no_measure_needs_is_not_kept(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(told("container:CSQU3054383", "STUFFED", 0), told("container:CSQU3054383", "SEALED", 1))
    assert rows(connection) == [[], []]


def test_an_empty_batch_writes_nothing(connection: psycopg.Connection[Any]) -> None:
    nothing: list[Entry] = []
    with connection.cursor() as cursor:
        statistics.project(cursor, nothing)
    assert rows(connection) == [[], []]


# --- what is kept out of sight ---

cells = st.dictionaries(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"), st.sampled_from("12")), st.integers(1, 30), max_size=20
)


@given(cells, st.integers(1, 10))
def test_no_group_under_the_threshold_is_shown_nor_the_only_one_hidden_in_any_sum(
    counts: dict[tuple[str, ...], int], threshold: int
) -> None:
    gone = suppression.hidden(counts, threshold)
    assert {key for key, size in counts.items() if size < threshold} <= gone
    for width in range(3):
        for kept in combinations(range(3), width):
            for value in {tuple(key[place] for place in kept) for key in counts}:
                members = {key for key in counts if tuple(key[place] for place in kept) == value}
                own = members & gone
                if own and own != members:
                    assert len(own) > 1
                    assert sum(counts[key] for key in own) >= threshold


@given(st.lists(st.integers(0, 60), min_size=2, max_size=8), st.integers(2, 10))
def test_the_difference_of_two_answers_never_is_a_small_number(sizes: list[int], threshold: int) -> None:
    whole, part = sum(sizes), sum(sizes[1:])
    difference = suppression.rounded(whole, threshold) - suppression.rounded(part, threshold)
    assert difference % threshold == 0


def test_nothing_is_hidden_where_nothing_is_small() -> None:
    assert suppression.hidden({("a",): 5, ("b",): 6}, 5) == set()
    assert suppression.hidden({}, 5) == set()


def test_a_row_whose_only_group_is_small_needs_no_other() -> None:
    assert suppression.hidden({("a", "x"): 2, ("b", "x"): 3, ("b", "y"): 9, ("a", "y"): 20}, 5) == {
        ("a", "x"),
        ("b", "x"),
        ("b", "y"),
        ("a", "y"),
    }
