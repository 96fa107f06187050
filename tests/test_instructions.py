"""Instructions: told, confirmed, refused, cancelled; fulfilled by what is reported, overdue by their own time."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from domain import instruction
from domain.errors import Refused
from domain.instruction import (
    InstructionCancelled,
    InstructionConfirmed,
    InstructionGiven,
    InstructionRefused,
    Order,
    Seen,
    cancel,
    confirm,
    fulfilled,
    give,
    refuse,
)
from domain.journal import Journal
from projections import instructions, runner
from tests.fixtures_node import Node
from tests.story import given

MON = datetime(2026, 3, 2, 1, tzinfo=UTC)
TUE = MON + timedelta(days=1)
BOX = "container:CSQU3054383"
ABOUT: dict[str, Any] = {"kind": "gate-out", "subject": BOX, "due_at": TUE, "to": "terminal"}
GIVEN = InstructionGiven(happened_at=MON, recorded_at=MON, **ABOUT, by="trader", place="CNNKG")
DONE = InstructionConfirmed(happened_at=TUE, recorded_at=TUE, **ABOUT, by="terminal")
NOT = InstructionRefused(happened_at=TUE, recorded_at=TUE, **ABOUT, by="terminal", reason="欠费")
GONE = InstructionCancelled(happened_at=TUE, recorded_at=TUE, **ABOUT, by="trader", reason="改期")


def story(*history: Any) -> given:
    return given(instruction.evolve, Order(), *history)


def test_an_instruction_is_given_once() -> None:
    assert story().when(give, given=GIVEN) == [GIVEN]
    assert story(GIVEN).when(give, given=GIVEN) == []


def test_nothing_is_due_before_it_is_given_and_a_move_says_where_to() -> None:
    with pytest.raises(Refused, match="before it is given"):
        story().when(give, given=msgspec.structs.replace(GIVEN, due_at=MON))
    with pytest.raises(Refused, match="where to"):
        story().when(give, given=msgspec.structs.replace(GIVEN, kind="move", place=""))


def test_whoever_is_told_confirms_or_refuses_and_whoever_gave_it_cancels_each_once() -> None:
    assert story(GIVEN).when(confirm, by="terminal", at=TUE) == [DONE]
    assert story(GIVEN).when(refuse, by="terminal", reason="欠费", at=TUE) == [NOT]
    assert story(GIVEN).when(cancel, by="trader", reason="改期", at=TUE) == [GONE]
    assert story(GIVEN, DONE).when(confirm, by="terminal", at=TUE) == []
    assert story(GIVEN, NOT).when(refuse, by="terminal", reason="x", at=TUE) == []
    assert story(GIVEN, GONE).when(cancel, by="trader", reason="x", at=TUE) == []


@pytest.mark.parametrize("ended", [NOT, GONE])
def test_what_has_ended_is_not_confirmed(ended: Any) -> None:
    with pytest.raises(Refused):
        story(GIVEN, ended).when(confirm, by="terminal", at=TUE)
    with pytest.raises(Refused, match="no such"):
        story().when(confirm, by="terminal", at=TUE)


@pytest.mark.parametrize(
    ("change", "does"),
    [
        ({}, True),
        ({"code": "STATION_OUT"}, True),
        ({"code": "GATE_IN"}, False),
        ({"classifier": "EST"}, False),
        ({"place": "CNSHG"}, False),
        ({"place": "", "facility": "CNNKG"}, True),
        ({"happened_at": MON - timedelta(minutes=2)}, False),
        ({"subject": "container:TOLU4734787"}, False),
    ],
)
def test_a_reported_fact_fulfils_what_asked_for_it(change: dict[str, Any], does: bool) -> None:
    what = Seen(BOX, "GATE_OUT", "ACT", "CNNKG", "", MON + timedelta(hours=3))
    assert fulfilled([GIVEN], what._replace(**change)) == ([GIVEN] if does else [])


# --- over the API ---


def order(node: Node, who: str = "enterprise", **changes: Any) -> Any:
    due = datetime.now(UTC) + timedelta(hours=1)
    body = {"kind": "gate-out", "subject": BOX, "to": "terminal", "due_at": due.isoformat(), "place": "CNNKG"}
    return node.client.post("/v1/instructions", json={**body, **changes}, headers=node.bearer(who))


def given_one(node: Node, **changes: Any) -> str:
    answer = order(node, **changes)
    assert answer.status_code == 201, answer.text
    node.catch_up()
    return str(answer.json()["id"])


def ending(node: Node, number: str, word: str, who: str, **body: str) -> Any:
    answer = node.client.post(f"/v1/instructions/{number}/{word}", json=body, headers=node.bearer(who))
    node.catch_up()
    return answer


def gate_out(number: str, **more: Any) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {"id": number, "subject": BOX, "code": "GATE_OUT", "happened_at": now, "place": "CNNKG", **more}


def states(node: Node, who: str = "source", **params: Any) -> list[str]:
    return [each["state"] for each in node.get("/v1/instructions", who, **params).json()["items"]]


def test_the_one_who_is_told_finds_it_confirms_it_and_nobody_else_does(node: Node) -> None:
    number = given_one(node)
    [told] = node.get("/v1/instructions", "source", to="terminal").json()["items"]
    assert (told["id"], told["kind_zh"], told["state_en"], told["overdue"]) == (number, "出闸（提箱）", "open", False)
    assert states(node, "line") == []
    assert ending(node, number, "confirm", "line").status_code == 404
    assert ending(node, number, "confirm", "enterprise").status_code == 404
    assert ending(node, number, "confirm", "source", note="已提箱").status_code == 202
    assert states(node, state="confirmed") == states(node, "enterprise") == ["confirmed"]
    assert states(node, "operator") == []
    assert ending(node, number, "refuse", "source", reason="x").status_code == 409


def test_a_refusal_and_a_cancellation_say_why(node: Node) -> None:
    first, second = given_one(node), given_one(node)
    assert ending(node, first, "refuse", "source").status_code == 422
    assert ending(node, first, "refuse", "source", reason="欠费").status_code == 202
    assert ending(node, second, "cancel", "source", reason="x").status_code == 404
    assert ending(node, second, "cancel", "enterprise", reason="改期").status_code == 202
    assert sorted(states(node)) == ["cancelled", "refused"]
    assert node.get(f"/v1/instructions/{first}", "source").json()["reason"] == "欠费"


def test_a_report_fulfils_it_and_its_retraction_opens_it_again(node: Node) -> None:
    number = given_one(node)
    node.tell(gate_out("g1", document="EIR1"))
    told = node.get(f"/v1/instructions/{number}").json()
    assert (told["state"], told["ended_by"], told["fulfilled_by"] is not None) == ("fulfilled", "terminal", True)
    assert (states(node, state="open"), states(node, state="fulfilled")) == ([], ["fulfilled"])
    node.tell({"id": "g2", "document": "EIR1", "function": "cancel"})
    assert states(node, state="open") == ["open"]


def test_each_look_is_a_delivery_and_names_the_datasets_that_tell_of_its_fulfilment(node: Node) -> None:
    number = given_one(node)
    node.get(f"/v1/instructions/{number}")
    node.tell(gate_out("g1"))
    node.get(f"/v1/instructions/{number}")
    node.get("/v1/instructions", to="x" * 100)
    node.get("/v1/instructions")
    node.get(f"/v1/instructions/{number}", "line")
    made = [
        json.loads(bytes(row[0]))
        for row in node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made' ORDER BY notification_id")
    ]
    assert [(each["subject"], each.get("result", "ok"), each.get("datasets", [])) for each in made] == [
        (number, "ok", []),
        (number, "ok", ["port.movements"]),
        (f"to:{'x' * 61}", "empty", []),
        ("to:", "ok", ["port.movements"]),
        (number, "empty", []),
    ]


def test_what_is_due_and_not_done_is_overdue_until_it_is_reported(node: Node) -> None:
    number = given_one(node)
    assert states(node, overdue=True) == []
    with psycopg.connect(node.conninfo) as connection:
        connection.execute("UPDATE instructions SET due_at = now() - interval '1 minute'")
    [late] = node.get("/v1/instructions", "source", overdue=True).json()["items"]
    assert (late["id"], late["overdue"]) == (number, True)
    node.tell(gate_out("g1"))
    assert states(node, overdue=True) == []


@pytest.mark.parametrize(
    "change",
    [
        {"to": "nobody"},
        {"subject": "CSQU3054383"},
        {"subject": "ship:X"},
        {"kind": "paint"},
        {"due_at": "2026-03-02T00:00:00"},
        {"due_at": "soon"},
        {"note": "x" * 300},
        {"note": "\x00"},
        {"colour": "blue"},
    ],
)
def test_an_instruction_that_makes_no_sense_is_told_so(node: Node, change: dict[str, Any]) -> None:
    assert order(node, **change).status_code == 422


def test_the_past_is_no_time_to_be_told_of(node: Node) -> None:
    assert order(node, due_at="2026-03-02T00:00:00Z").status_code == 409
    assert order(node, who="finance").status_code == 403


def test_the_same_request_under_a_key_is_one_instruction(node: Node) -> None:
    due = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"kind": "release", "subject": BOX, "to": "terminal", "due_at": due}
    headers = {**node.bearer("operator"), "Idempotency-Key": "k1"}
    first, again = (node.client.post("/v1/instructions", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, first.content) == (201, again.content)
    node.catch_up()
    assert len(states(node)) == 1


@pytest.mark.parametrize("path", ["x", "0" * 32, "instruction:1"])
def test_what_is_no_instruction_is_unknown(node: Node, path: str) -> None:
    assert node.get(f"/v1/instructions/{path}").status_code == 404
    answer = node.client.post(f"/v1/instructions/{path}/confirm", json={}, headers=node.bearer("operator"))
    assert answer.status_code == 404
    assert ending(node, given_one(node), "paint", "operator").status_code == 404


def test_pages_go_on_below_the_last_one(node: Node) -> None:
    made = [given_one(node, note=str(number)) for number in range(3)]
    first = node.get("/v1/instructions", "source", limit=2).json()
    second = node.get("/v1/instructions", "source", limit=2, before=first["next"]).json()
    assert [each["id"] for each in (*first["items"], *second["items"])] == made[::-1]
    assert (first["more"], second["more"]) == (True, False)


@pytest.mark.parametrize("batch", [1, 2, 2000])
def test_a_rebuild_gives_the_same_rows_whatever_the_size_of_batches(node: Node, batch: int) -> None:
    for word, who in (("confirm", "source"), ("cancel", "enterprise"), ("", "")):
        number = given_one(node)
        if word:
            ending(node, number, word, who, reason="r")
    before = node.rows("SELECT * FROM instructions ORDER BY stream")
    with (
        psycopg.connect(node.conninfo, autocommit=True) as connection,
        Journal("cargo", node.conninfo).opened() as cargo,
    ):
        connection.execute("TRUNCATE instructions")
        connection.execute("UPDATE read_model_positions SET position = 0 WHERE name = 'instructions'")
        while runner.step(connection, cargo, [runner.model(instructions)], batch):
            pass
    assert node.rows("SELECT * FROM instructions ORDER BY stream") == before
