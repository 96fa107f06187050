"""Links: from any number the whole shipment, for as long as somebody still says so; how it came to be is kept."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from api.app import READ_MODELS
from domain.journal import Journal
from projections import links, runner, timeline
from projections.lineage import Link
from projections.sight import Look
from tests.bench.traffic import box
from tests.fixtures_node import Node

BOX, OTHER_BOX, TRUCK, NEXT_TRUCK = "container:CSQU3054383", "container:TOLU4734787", "truck:苏A12345", "truck:苏B23456"
BILL, HOUSE, ENTRY, MANIFEST = "bl:KOUA0000001", "bl:HOUSE1", "declaration:230120261000000015", "manifest:V1"
ids = count(1)

Rows = list[tuple[Any, ...]]


def event(day: int, code: str, *refs: str, subject: str = BOX, **more: Any) -> dict[str, Any]:
    at = (datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day)).isoformat()
    return {"id": f"n{next(ids)}", "subject": subject, "code": code, "happened_at": at, "place": "CNNKG"} | (
        {"mode": "TRUCK", "refs": list(refs)} | more
    )


def cancel(document: str) -> dict[str, Any]:
    return {"id": f"n{next(ids)}", "document": document, "function": "cancel"}


@pytest.fixture
def connection(node: Node) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(node.conninfo, autocommit=True) as made:
        yield made


def reached(connection: psycopg.Connection[Any], *asked: Any) -> list[list[str]]:
    return links.reached(Look(connection, None), *asked)


def history(connection: psycopg.Connection[Any], subjects: list[str]) -> list[Link]:
    return links.history(Look(connection, None), subjects)


def rows(connection: psycopg.Connection[Any]) -> Rows:
    return connection.execute("SELECT * FROM links ORDER BY subject, other").fetchall()


def now(connection: psycopg.Connection[Any]) -> datetime:
    found = connection.execute("SELECT clock_timestamp()").fetchone()
    assert found
    assert isinstance(found[0], datetime)
    return found[0]


def spell(link: Link) -> tuple[str, int, int | None, bool]:
    """The other subject, from when and until when in days of March."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    return (link.other, (link.from_at - start).days, (link.to_at - start).days if link.to_at else None, link.stands)


# --- ways ---


def test_from_any_number_the_whole_shipment_is_found(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(
        event(1, "GATE_IN", BILL, "booking:B1"),
        event(2, "DO_ISSUED", BILL, subject=HOUSE),
        event(3, "MAN_ORIG_OK", BILL, subject=MANIFEST),
        event(4, "WAGON_LOADED", BILL, subject="rail:R1"),
        event(5, "TRUCK_DEP", BOX, subject=TRUCK),
        event(6, "DEC_RELEASED", BILL, subject=ENTRY),
    )
    [from_box, from_house] = reached(connection, [[BOX], [HOUSE]])
    assert from_box == sorted([BILL, HOUSE, "booking:B1", MANIFEST, "rail:R1", ENTRY, TRUCK])
    assert from_house == sorted([BILL, BOX, MANIFEST, "rail:R1", ENTRY])
    for number in (BILL, ENTRY, "rail:R1", "booking:B1"):
        assert BOX in reached(connection, [[number]])[0], number
    assert links.known(connection, [BOX, HOUSE, "bl:NEVER"]) == {BOX, HOUSE}


def test_no_way_leads_through_what_carries_other_peoples_cargo(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(event(1, "TRUCK_DEP", BOX, subject=TRUCK), event(2, "TRUCK_DEP", OTHER_BOX, BILL, subject=TRUCK))
    assert reached(connection, [[BOX], [BILL]]) == [[TRUCK], [TRUCK]]
    assert reached(connection, [[TRUCK]]) == [sorted([BOX, OTHER_BOX, BILL])]


def test_many_questions_are_answered_in_one_query(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(*(event(1, "GATE_IN", f"bl:M{number}", subject=f"container:{box(number)}") for number in range(256)))
    asks = [[f"container:{box(number)}"] for number in range(256)]
    assert reached(connection, asks) == [[f"bl:M{number}"] for number in range(256)]
    assert reached(connection, []) == []
    assert reached(connection, [[]]) == [[]]


# --- what is taken back ---


def test_the_retraction_of_the_only_fact_that_links_closes_the_way_but_not_the_history(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    node.tell(event(1, "GATE_IN"), event(2, "GATE_OUT", BILL, document="EIR"))
    before = now(connection)
    node.tell(cancel("EIR"))
    assert reached(connection, [[BOX], [BILL]]) == [[], []]
    assert reached(connection, [[BOX], [BILL]], before) == [[BILL], [BOX]]
    [link] = history(connection, [BILL])
    assert (link.subject, link.other, link.stands) == (BILL, BOX, False)
    assert link.to_at is not None
    [(withdrawal,)] = node.rows("SELECT fact_id FROM cargo_events WHERE topic = 'fact.retracted'")
    assert link.ended_by == withdrawal


def test_another_fact_that_says_so_too_keeps_the_way_open(node: Node, connection: psycopg.Connection[Any]) -> None:
    for keeping in (event(3, "LOADED", BILL), event(3, "DO_ISSUED", BOX, subject=BILL)):
        node.tell(event(2, "GATE_OUT", BILL, document=f"EIR{keeping['id']}"), keeping)
        node.tell(cancel(f"EIR{keeping['id']}"))
        assert reached(connection, [[BOX]]) == [[BILL]]


def test_a_fact_that_another_source_confirmed_links_on(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(event(2, "GATE_OUT", BILL, document="EIR"))
    node.tell(event(2, "GATE_OUT", BILL, document="OUR"), who="line")
    node.tell(cancel("EIR"))
    assert reached(connection, [[BOX]]) == [[BILL]]
    node.tell(cancel("OUR"), who="line")
    assert reached(connection, [[BOX]]) == [[]]


def test_a_fact_that_is_confirmed_after_it_was_taken_back_links_again(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    node.tell(event(2, "GATE_OUT", BILL, document="EIR"))
    node.tell(cancel("EIR"))
    node.tell(event(2, "GATE_OUT", BILL), who="line")
    assert reached(connection, [[BOX]]) == [[BILL]]


def test_what_is_stated_again_links_again(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(event(2, "GATE_OUT", BILL, document="EIR"))
    node.tell(cancel("EIR"))
    node.tell(event(2, "GATE_OUT", BILL, document="EIR"))
    assert reached(connection, [[BOX]]) == [[BILL]]
    node.tell(cancel("EIR"))
    node.tell(event(4, "LOADED", BILL))
    assert reached(connection, [[BOX]]) == [[BILL]]


def test_as_known_then_a_link_that_came_later_leads_nowhere(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(event(1, "GATE_IN", BILL))
    before = now(connection)
    node.tell(event(2, "DEC_RELEASED", BILL, subject=ENTRY))
    assert reached(connection, [[BOX], [ENTRY]], before) == [[BILL], []]
    assert reached(connection, [[BOX], [ENTRY]], now(connection)) == [[BILL, ENTRY], [BILL, BOX]]


# --- history ---


def test_a_link_lasts_as_long_as_the_journey_of_its_box(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(event(1, "EMPTY_OUT", BILL), event(9, "EMPTY_IN"), event(20, "EMPTY_OUT", "bl:NEXT"))
    assert [spell(link) for link in history(connection, [BOX])] == [(BILL, 1, 9, True), ("bl:NEXT", 20, None, True)]
    [link] = history(connection, [BILL])
    codes = dict(node.rows("SELECT fact_id, convert_from(state, 'UTF8')::jsonb ->> 'code' FROM cargo_events"))
    assert link.ended_by is not None
    assert (codes[link.made_by], codes[link.ended_by]) == ("EMPTY_OUT", "EMPTY_IN")


def test_a_box_used_twice_for_one_booking_has_two_spells(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(event(1, "EMPTY_OUT", "booking:B1"), event(5, "EMPTY_IN"), event(9, "EMPTY_OUT", "booking:B1"))
    assert [spell(link)[1:3] for link in history(connection, ["booking:B1"])] == [(1, 5), (9, None)]


def test_a_box_swapped_for_another_keeps_its_history(node: Node, connection: psycopg.Connection[Any]) -> None:
    """The carrier corrects its load list: the cargo of the bill travels in the other box."""
    node.tell(event(1, "STUFFED", BILL, document="LIST"))
    node.tell(event(2, "STUFFED", BILL, subject=OTHER_BOX, document="LIST", function="replace"))
    assert reached(connection, [[BILL]]) == [[OTHER_BOX]]
    assert [(link.other, link.stands) for link in history(connection, [BILL])] == [(BOX, False), (OTHER_BOX, True)]


def test_cargo_moved_to_another_booking_keeps_its_history(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(event(1, "GATE_IN", "booking:B1"), event(5, "ROLLED", "booking:B1", "booking:B2"))
    node.tell(event(8, "LOADED", "booking:B2"))
    before, after = history(connection, [BOX])
    assert (spell(before), spell(after)) == (("booking:B1", 1, 5, True), ("booking:B2", 5, None, True))
    assert before.ended_by == after.made_by
    node.tell(event(9, "BKG_CANC", subject="booking:B2"))
    assert spell(history(connection, [BOX])[1]) == ("booking:B2", 5, 9, True)


def test_one_truck_after_the_other(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(event(1, "TRUCK_DEP", BOX, subject=TRUCK), event(2, "TRUCK_ARR", BOX, subject=TRUCK))
    node.tell(event(3, "TRUCK_DEP", BOX, subject=NEXT_TRUCK))
    assert [spell(link) for link in history(connection, [BOX])] == [
        (TRUCK, 1, 3, True),
        (NEXT_TRUCK, 3, None, True),
    ]


def test_a_split_bill_leads_to_both_parts_and_each_part_back(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(
        event(1, "LOADED", BILL),
        event(3, "BL_ISSUED", BILL, BOX, subject="bl:PART1"),
        event(3, "BL_ISSUED", BILL, subject="bl:PART2"),
    )
    assert reached(connection, [[BILL], ["bl:PART2"]]) == [["bl:PART1", "bl:PART2", BOX], [BILL, "bl:PART1", BOX]]
    assert {link.other for link in history(connection, [BILL])} == {"bl:PART1", "bl:PART2", BOX}


# --- house numbers ---


def test_a_house_number_shared_by_two_cargoes_is_two_consignments(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    node.tell(
        event(1, "MAN_ORIG_OK", "bl:MASTER1", BOX, subject=HOUSE),
        event(9, "MAN_ORIG_OK", "bl:MASTER2", OTHER_BOX, subject=HOUSE),
        event(2, "DISCHARGED", "bl:MASTER1", HOUSE),
        event(3, "DEC_RELEASED", "bl:MASTER1", subject=ENTRY),
        event(10, "DISCHARGED", "bl:MASTER2", subject=OTHER_BOX),
    )
    assert links.cargoes(Look(connection, None), HOUSE) == [["bl:MASTER1", BOX], ["bl:MASTER2", OTHER_BOX]]


def test_a_bill_with_two_boxes_or_two_house_bills_is_one_cargo(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(
        event(1, "GATE_IN", BILL),
        event(1, "GATE_IN", BILL, subject=OTHER_BOX),
        event(2, "DO_ISSUED", BILL, BOX, subject=HOUSE),
        event(2, "DO_ISSUED", BILL, OTHER_BOX, subject="bl:HOUSE2"),
    )
    assert links.cargoes(Look(connection, None), BILL) == [sorted([BOX, OTHER_BOX, HOUSE, "bl:HOUSE2"])]
    assert links.cargoes(Look(connection, None), "bl:NEVER") == []


def test_the_papers_of_a_boxs_other_journeys_are_strangers(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(event(1, "EMPTY_OUT", BILL, TRUCK), event(5, "EMPTY_IN"), event(9, "EMPTY_OUT", "bl:NEXT"))
    [found] = reached(connection, [[BILL]])
    assert links.strangers(connection, [[BILL, *found], [BOX], [TRUCK]]) == [["bl:NEXT"], [BILL, "bl:NEXT"], []]


# --- any order, any batch ---

LIFE = [
    ("EMPTY_OUT", 1, ("booking:{n}B1",), "", "original"),
    ("GATE_IN", 3, ("bl:{n}X",), "EIR", "original"),
    ("LOADED", 5, ("bl:{n}X", "manifest:{n}M"), "", "original"),
    ("EMPTY_IN", 30, (), "", "original"),
    ("EMPTY_OUT", 40, ("bl:{n}Y",), "", "original"),
    ("GATE_OUT", 41, ("bl:{n}WRONG",), "TYPO", "original"),
    ("", 50, (), "TYPO", "cancel"),
    ("LOADED", 45, ("bl:{n}Y",), "LIST", "original"),
    ("LOADED", 46, ("bl:{n}Z",), "LIST", "replace"),
]


def life(name: str, subject: str) -> list[dict[str, Any]]:
    """Two journeys of a box, with a wrong bill that is taken back and a replaced load list."""
    told: list[dict[str, Any]] = []
    for code, day, refs, document, function in LIFE:
        sent_at = (datetime(2026, 6, 1, tzinfo=UTC) + timedelta(days=day)).isoformat()
        more = {"sent_at": sent_at, "document": f"{name}{document}" if document else "", "function": function}
        named = [ref.replace("{n}", name) for ref in refs]
        item = event(day, code, *named, subject=subject, **more) if code else cancel("") | more
        told.append(item | {"id": f"{name}-{len(told)}"})
    return told


def ties(connection: psycopg.Connection[Any], name: str, subject: str) -> list[tuple[object, ...]]:
    found = history(connection, [subject])
    assert reached(connection, [[subject]]) == [sorted({link.other for link in found if link.stands})]
    return [(link.other.replace(name, ""), link.from_at, link.stands and link.to_at, link.stands) for link in found]


@settings(
    max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations(range(len(LIFE))))
def test_any_order_of_messages_gives_the_same_links(
    node: Node, connection: psycopg.Connection[Any], order: list[int]
) -> None:
    first = f"P{next(ids)}"
    again = f"P{next(ids)}"
    subjects = [f"container:{box(next(ids))}" for _ in range(2)]
    for place in range(len(LIFE)):
        node.tell(life(first, subjects[0])[place])
        node.tell(life(again, subjects[1])[order[place]], life(again, subjects[1])[order[0]])
    assert ties(connection, again, subjects[1]) == ties(connection, first, subjects[0])
    assert len(ties(connection, first, subjects[0])) == 6


def test_a_rebuild_in_batches_of_any_size_gives_the_same_rows(node: Node, connection: psycopg.Connection[Any]) -> None:
    for number in range(6):
        node.tell(*life(f"N{number}", f"container:{box(number)}")[number:])
        node.tell(*life(f"N{number}", f"container:{box(number)}"), who="line" if number % 2 else "source")
    live = rows(connection)
    assert {row[-1] for row in live} == {True, False}
    model = next(each for each in READ_MODELS if each.name == "links")
    with Journal("cargo", node.conninfo).opened() as journal:
        for batch in (1, 7, 2_000):
            runner.rebuild(connection, journal, model, batch)
            assert rows(connection) == live, f"in batches of {batch}"


@pytest.mark.parametrize("first", ["source", "line"])
def test_what_two_sources_name_of_one_event_links_whoever_came_first(
    node: Node, connection: psycopg.Connection[Any], first: str
) -> None:
    second = "line" if first == "source" else "source"
    named = {"source": (BILL,), "line": (BILL, "booking:B1")}
    for who in (first, second):
        node.tell(event(3, "GATE_IN", *named[who], document="D1"), who=who)
    assert reached(connection, [[BOX]]) == [[BILL, "booking:B1"]]
    [line] = timeline.lines(Look(connection, None), [BOX])
    assert sorted(line.refs) == [BILL, "booking:B1"]
    before = rows(connection)
    with Journal("cargo", node.conninfo).opened() as journal:
        runner.rebuild(connection, journal, runner.model(links), batch=1)
    assert rows(connection) == before
    node.tell(cancel("D1"), who="line")
    if first == "source":  # the second word is taken back, and what it alone named with it
        assert reached(connection, [[BOX]]) == [[BILL]]
        assert timeline.lines(Look(connection, None), [BOX])[0].refs == (BILL,)


def test_one_truck_in_one_minute_with_two_boxes_leads_to_both(node: Node, connection: psycopg.Connection[Any]) -> None:
    for carried in (BOX, OTHER_BOX):
        node.tell(event(3, "TRUCK_POS", carried, subject=TRUCK))
    assert reached(connection, [[TRUCK]]) == [[BOX, OTHER_BOX]]
