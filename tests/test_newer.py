"""What was made before is told again only for as long as it is what would be told if it were made anew."""

import random
from typing import Any

import psycopg
import pytest

from api import newer
from api.identity import Account
from api.newer import Newer
from domain.shipment import PartyNamed, PartyWithdrawn
from tests.fixtures_node import Node
from tests.open_register import permit_all
from tests.test_sight import AT, US

BOXES, BILLS = ("CSQU3054383", "TOLU4734787"), ("KOUA0000001", "KOUA0000002", "KOUA0000003")
NUMBERS = (*BOXES, *BILLS, "230120261000000015")
CODES = ("GATE_IN", "GATE_OUT", "LOADED", "DISCHARGED", "EMPTY_IN", "EMPTY_OUT", "IMP_RELEASED")


def answers(node: Node) -> list[Any]:
    told = [node.get(f"/v1/track/{number}", who).json() for number in NUMBERS for who in ("enterprise", "us")]
    asked = {"action": "gate-out"}
    verdicts = [
        node.get(f"/v1/verify/containers/{box}", who, **asked).json() for box in BOXES for who in ("enterprise", "us")
    ]
    return told + verdicts


def forget(node: Node) -> None:
    node.client.app.state.asker._made.clear()
    node.client.app.state.verifier._made.clear()


def step(node: Node, chance: random.Random, number: int) -> None:
    stream = f"bl:{chance.choice(BILLS)}"
    match chance.randrange(8):
        case 0 if number > 3:
            node.tell({"id": f"c{number}", "document": f"D{chance.randrange(number)}", "function": "cancel"})
        case 1:
            node.decide("cargo", stream, PartyNamed(**AT, role="consignee", party=US, by="a"))
        case 2:
            node.decide("cargo", stream, PartyWithdrawn(**AT, role="consignee", party=US, by="a"))
        case kind:
            subject = stream if kind == 3 else f"container:{chance.choice(BOXES)}"
            refs = [f"bl:{chance.choice(BILLS)}", "declaration:230120261000000015"][: chance.randrange(3)]
            named = [ref for ref in refs if ref != subject]
            at = f"2026-03-{chance.randrange(1, 28):02}T10:00:00+08:00"
            node.tell(
                {"id": f"n{number}", "document": f"D{number}", "subject": subject, "code": chance.choice(CODES),
                 "happened_at": at, "place": "CNSHG", "mode": "VESSEL", "refs": named},
                who=chance.choice(("source", "line")),
            )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_remembered_answer_is_what_a_fresh_one_would_be(closed_node: Node, seed: int) -> None:
    node, chance = closed_node, random.Random(seed)
    permit_all(node.conninfo, roles=("source", "enterprise"))
    node.open("us", Account("us", "logistics", "甲公司", "Us", party=US))
    changed = 0
    before = answers(node)
    for number in range(30):
        step(node, chance, number)
        remembered = answers(node)
        forget(node)
        assert remembered == answers(node), number
        changed += remembered != before
        before = remembered
    assert changed > 15


def test_a_fact_touches_its_subject_and_all_it_names_and_nothing_else(node: Node) -> None:
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        news = Newer()
        news.look(connection)
        start = news.position
        node.tell(event(refs=["bl:KOUA0000001"]))
        news.look(connection)
    assert not news.holds(["container:CSQU3054383"], start)
    assert not news.holds(["bl:KOUA0000001"], start)
    assert news.holds(["bl:KOUA0000002", "container:TOLU4734787"], start)
    assert news.holds(["container:CSQU3054383", "bl:KOUA0000001"], news.position)


def test_where_too_much_came_in_between_nothing_made_before_is_believed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newer, "EVENTS_MAX", 2)
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        news = Newer()
        news.look(connection)
        start = news.position
        node.tell(*(event(str(day), happened_at=f"2026-03-0{day}T10:00:00+08:00") for day in range(1, 5)))
        news.look(connection)
    assert not news.holds(["bl:KOUA0000002"], start)
    assert news.holds(["bl:KOUA0000002"], news.position)


def test_a_read_model_that_is_built_again_takes_its_answers_with_it(node: Node) -> None:
    node.tell(event())
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        news = Newer()
        news.look(connection)
        reached = news.position
        connection.execute("UPDATE read_model_positions SET position = 0 WHERE name = 'links'")
        news.look(connection)
    assert not news.holds(["bl:KOUA0000002"], reached)


def event(number: str = "1", **more: Any) -> dict[str, Any]:
    at = {"happened_at": "2026-03-01T10:00:00+08:00", "place": "CNSHG", "mode": "VESSEL"}
    return {"id": number, "subject": "container:CSQU3054383", "code": "GATE_IN", **at, **more}
