"""The feed hands out what its caller may see: no more, no less, and nothing of it tells how much else there is."""

import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest

from api import cursor, feeding
from api.identity import Account
from api.pool import open_pool
from api.register import Register
from domain.datasets import AIR, MANIFEST, PORT, RAIL, ROAD
from domain.fact import Confirmed, Corrected, Reinstated, Retracted, Stated, decode
from domain.shipment import PartyNamed
from domain.terms import FIELDS
from projections import links, shown, sight
from projections.rights import View
from projections.sight import Look
from projections.timeline import Line
from tests.fixtures_node import Node
from tests.open_register import subscribed
from tests.test_sight import (
    BOX,
    MINE,
    OTHER_BOX,
    THEIRS,
    decide,
    event,
    granted,
    named,
    ours,
    owned,
    stopped,
)  # fmt: skip

CARRIER = "LOGISTICS-1"


@pytest.fixture
def here(closed_node: Node) -> Node:
    closed_node.open("carrier", Account("carrier", "logistics", "物流", "Carrier", party=CARRIER))
    closed_node.decide("commerce", *subscribed("carrier", CARRIER))
    return closed_node


def feed(node: Node, who: str = "carrier", **params: Any) -> Any:
    answer = node.get("/v1/feed", who, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def everything(node: Node, who: str = "carrier", **params: Any) -> list[Any]:
    """All pages, one after another."""
    items, after, more = [], "", True
    while more:
        page = feed(node, who, after=after, **params)
        items += page["items"]
        assert not page["more"] or page["next"] != after
        after, more = page["next"], page["more"]
    return items


def paid(number: str = "P1", **terms: Any) -> Any:
    return granted(CARRIER, number=number, **{"channels": ("api",), "commercial": True, **terms})


# --- what is shown ---


def test_a_permission_opens_the_feed_and_its_end_closes_it_at_once(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1), event("2", "LOADED", 2, mode="VESSEL"))
    assert everything(here) == []
    decide(here, owned(), paid())
    assert [item["fact"]["code"] for item in everything(here)] == ["GATE_IN"]
    decide(here, stopped())
    assert everything(here) == []


def test_the_feed_is_commercial_and_a_permission_for_free_use_does_not_open_it(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1))
    decide(here, owned(), paid(commercial=False))
    assert everything(here) == []


def test_a_delivery_names_the_stretch_the_permission_and_the_register(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1), event("2", "LOADED", 2, mode="VESSEL"))
    decide(here, owned(), paid())
    feed(here)
    [(state,)] = here.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made'")
    told = msgspec.json.decode(state)
    assert (told["subject"], told["count"], told["channel"]) == ("feed:0-1", 1, "api")
    assert (told["datasets"], told["permissions"], told["register"] > 0) == ([ROAD], ["P1"], True)


def test_of_its_own_cargo_a_party_is_told_without_other_peoples_numbers(here: Node) -> None:
    here.tell(
        {
            **event("1", "VSL_DEP", 5, mode="VESSEL"),
            "subject": "bl:MASTER00001",
            "refs": [f"bl:{MINE}", f"bl:{THEIRS}"],
        },
        {**event("2", "BL_ISSUED", 4, text="CANARY"), "subject": f"bl:{THEIRS}"},
        event("3", "GATE_IN", 1, box=OTHER_BOX, mode="TRUCK", text="CANARY"),
    )
    decide(here, named(CARRIER))
    page = here.get("/v1/feed", "carrier")
    assert [item["fact"]["refs"] for item in page.json()["items"]] == [[f"bl:{MINE}"]]
    assert "CANARY" not in page.text
    assert THEIRS not in page.text


def test_of_a_reused_box_only_the_journeys_with_ones_papers_are_in_the_feed(here: Node) -> None:
    here.tell(
        ours("1", "GATE_IN", 1),
        ours("2", "GATE_OUT", 2),
        event("3", "EMPTY_IN", 3, mode="TRUCK"),
        event("4", "EMPTY_OUT", 10, mode="TRUCK", text="CANARY"),
        event("5", "GATE_IN", 11, mode="TRUCK", refs=[f"bl:{THEIRS}"], text="CANARY"),
    )
    decide(here, named(CARRIER), named("OTHER", THEIRS))
    assert "CANARY" not in here.get("/v1/feed", "carrier").text
    assert [item["fact"]["code"] for item in everything(here)] == ["GATE_IN", "GATE_OUT", "EMPTY_IN"]


def test_who_the_parties_are_is_in_nobodys_feed(node: Node) -> None:
    node.tell(ours("1", "GATE_IN", 1))
    decide(node, named("91320000MA1ABCDE5T"))
    assert "91320000MA1ABCDE5T" not in node.get("/v1/feed", "logistics").text


# --- seen in part ---


def test_what_the_owner_withholds_is_not_in_the_fact(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1, seal="SEAL-77", weight_kg=12_000.0, text="CANARY"))
    decide(here, owned(), paid(masking=("seal", "text", "refs", "source")))
    [item] = everything(here)
    assert item["fact"]["weight_kg"] == 12_000.0
    assert not {"seal", "text", "refs", "source"} & item["fact"].keys()


def test_of_a_fact_seen_in_part_fields_that_nobody_knows_are_left_out(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1))
    decide(here, owned(), paid(masking=("seal",)))
    with psycopg.connect(here.conninfo, autocommit=True) as connection:
        connection.execute(
            """UPDATE cargo_events SET state = '{"fact":"container.teleported","place":"A","to_moon":1}'"""
        )
    [item] = everything(here)
    assert item["fact"] == {"fact": "container.teleported", "place": "A"}


def test_a_word_on_a_fact_goes_out_if_the_fact_does(here: Node) -> None:
    port = event("2", "LOADED", 2, mode="VESSEL", document="D2")
    here.tell(ours("1", "GATE_IN", 1, document="D1"), port)
    here.tell(ours("1", "GATE_IN", 1, document="L1"), {**port, "document": "L2"}, who="line")
    here.tell(
        {"id": "8", "document": "L1", "function": "cancel"},
        {"id": "9", "document": "L2", "function": "cancel"},
        who="line",
    )
    decide(here, owned(), paid())
    assert [item["fact"]["fact"] for item in everything(here)] == [
        "container.gated_in",
        "fact.confirmed",
        "fact.retracted",  # of the confirmation
    ]


def test_how_many_facts_a_number_has_is_told_to_those_who_see_all(here: Node, node: Node) -> None:
    for each in (here, node):
        each.tell(event("1", "LOADED", 1, mode="VESSEL"), ours("2", "GATE_OUT", 2))
    decide(here, owned(), paid())
    assert "version" not in everything(here)[0]
    assert [item["version"] for item in everything(node, "logistics")] == [1, 2]


# --- the cursor ---


def test_nothing_new_and_nothing_that_one_may_see_are_the_same_bytes(here: Node) -> None:
    before = here.get("/v1/feed", "carrier").content
    here.tell(ours("1", "GATE_IN", 1), ours("2", "GATE_OUT", 3))
    assert here.get("/v1/feed", "carrier").content == before


def test_the_cursor_moves_on_over_what_is_not_shown(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "WINDOW", 2)
    here.tell(*(event(str(day), "LOADED", day, mode="VESSEL") for day in range(1, 8)), ours("8", "GATE_OUT", 8))
    decide(here, owned(), paid())
    first = feed(here)
    assert (first["items"], first["more"], cursor.position(first["next"])) == ([], True, 2)
    assert [item["position"] for item in everything(here)] == [8]


def test_what_the_read_models_have_not_taken_in_is_not_passed_over(here: Node) -> None:
    decide(here, owned(), paid())
    here.post("native", msgspec.json.encode([ours("1", "GATE_IN", 1)]))
    page = feed(here)
    assert (page["items"], page["more"]) == ([], False)
    here.catch_up()
    assert len(feed(here, after=page["next"])["items"]) == 1


# --- against the rule itself ---

BOXES, BILLS, PARTIES = [BOX, OTHER_BOX, "MSKU1234565"], [MINE, THEIRS, "KOUA0000003"], [CARRIER, "OTHER", "THIRD"]
MODES = ["TRUCK", "VESSEL", "RAIL", "BARGE", ""]


def told(dice: random.Random, number: int) -> dict[str, Any]:
    day, refs = dice.randint(1, 27), dice.sample(BILLS, dice.choice([0, 0, 1, 1, 2]))
    code = dice.choice(["GATE_IN", "GATE_OUT", "EMPTY_IN", "EMPTY_OUT", "LOADED", "HOLD", "MAN_ADV_OK", "X-1"])
    more: dict[str, Any] = {
        "text": f"text {number}",
        "seal": f"S{number}",
        "document": f"D{number}",
        "weight_kg": float(number),
    }
    if dice.random() < 0.3:
        return {**event(str(number), code, day, **more), "subject": f"bl:{dice.choice(BILLS)}", "mode": "VESSEL"}
    mode: Any = dice.choice(MODES)
    return event(str(number), code, day, box=dice.choice(BOXES), mode=mode, refs=[f"bl:{ref}" for ref in refs], **more)


def history(node: Node, dice: random.Random) -> None:
    """Statements of two sources, some of them repeated, taken back and stated again; parties; permissions."""
    events = [told(dice, number) for number in range(30)]
    node.tell(*events)
    again = [{**each, "document": f"L{each['document']}"} for each in events if dice.random() < 0.4]
    node.tell(*again, {**events[0], "document": "L"}, who="line")
    cancel = {"function": "cancel"}
    node.tell(*({"id": f"c{n}", "document": f"D{n}", **cancel} for n in dice.sample(range(30), 5)))
    node.tell(
        *({"id": f"d{n}", "document": each["document"], **cancel} for n, each in enumerate(again[:4])), who="line"
    )
    node.tell(*(each | {"document": f"{each['document']}x"} for each in events[::7]))
    for bill in BILLS:
        decide(node, named(dice.choice(PARTIES), bill))
    for dataset in (ROAD, PORT, RAIL, MANIFEST, AIR):
        decide(node, owned(dataset))
        for number in range(dice.choice([0, 0, 1, 2])):
            masking = tuple(dice.sample(FIELDS, dice.choice([0, 0, 2, 5])))
            decide(node, paid(f"{dataset}-{number}", dataset=dataset, masking=masking))


def by_the_rule(node: Node, view: View) -> Iterator[tuple[int, Line | None, dict[str, Any]]]:
    """Every fact of the journal that is shown, and the line that shows it; None for a fact about a fact."""
    stored = node.rows("SELECT notification_id, originator_id, fact_id, state FROM cargo_events ORDER BY 1")
    about: dict[UUID, UUID] = {}
    with (
        psycopg.connect(node.conninfo, options="-c role=kouan_reader", autocommit=True) as connection,
        sight.opened(connection, view) as look,
    ):
        for position, stream, fact_id, state in stored:
            fact, line_id = decode(bytes(state)), fact_id
            if isinstance(fact, PartyNamed):
                continue
            if isinstance(fact, Confirmed | Retracted | Corrected | Reinstated):
                line_id = about.get(fact.fact_id, fact.fact_id)
                about[fact_id] = line_id
            line = next((each for each in asked(look, stream) if each.fact_id == line_id), None)
            if line is not None:
                yield position, line if isinstance(fact, Stated) else None, msgspec.json.decode(state)


def asked(look: Look, subject: str) -> list[Line]:
    """What the question about a number shows."""
    [others] = links.reached(look, [[subject]])
    [strangers] = links.strangers(look.connection, [[subject, *others]])
    return shown.lines(look, [subject, *others, *strangers])


@pytest.mark.parametrize("seed", range(8))
def test_the_pages_are_the_journal_filtered_by_the_rule(here: Node, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr(feeding, "WINDOW", dice.choice([3, 17, 50_000]))
    history(here, dice)
    account = Account("carrier", "logistics", "物流", "Carrier", party=CARRIER)
    with open_pool(here.conninfo) as pool:
        view = Register(pool).view(account, "api", commercial=True)
    expected = list(by_the_rule(here, view))
    items = everything(here, limit=dice.choice([1, 4, 500]))
    assert [item["position"] for item in items] == [position for position, _, _ in expected]
    for item, (_, line, stored) in zip(items, expected, strict=True):
        assert item["fact"].items() <= {**stored, "refs": item["fact"].get("refs", [])}.items()
        for field in FIELDS if line else ():
            if field in stored:
                agrees(item["fact"], line, field)


def agrees(fact: dict[str, Any], line: Line | None, field: str) -> None:
    """A field of the fact is told as the line tells it, or not at all where the line does not."""
    on_line = getattr(line, field)
    if field == "refs":
        assert set(fact.get(field, ())) <= set(on_line)
    elif field == "message_id":
        assert fact.get(field) == (str(on_line) if on_line else None)
    else:
        assert fact.get(field, type(on_line)() if on_line is not None else None) == on_line
