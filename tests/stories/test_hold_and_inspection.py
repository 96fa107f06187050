"""Inspections (查验) and holds (布控): what stops a box whatever its papers say."""

from datetime import UTC, datetime

from domain import container
from domain.fact import Fact, digest_id
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.writer import Writer
from examples import edifact
from tests.fixtures_node import Node
from tests.stories.life import TERMINAL, Cargo, Step, asks, live, reasons, verify

PORT = "CNYSA"
NOON = datetime(2026, 3, 19, 4, tzinfo=UTC)


def story(cargo: Cargo) -> list[Step]:
    site = {"place": PORT, "facility": "YSCY", "refs": [f"declaration:{cargo.entry()}"]}
    return [
        cargo.answer("MT1101", "02-14 16:20", place=PORT),
        cargo.handled(edifact.DISCHARGE, "03-17 06:48"),
        cargo.receipt("L", "03-17 07:00"),
        cargo.receipt("C", "03-17 08:40"),
        asks("gate-out", PORT, "declaration.not_released", "inspection.open"),
        cargo.told("INSP_SITE_IN", "03-18 09:20", TERMINAL, **site),
        cargo.told("INSP_DONE", "03-19 11:45", TERMINAL, **site),
        asks("gate-out", PORT, "declaration.not_released"),
        cargo.told("INSP_SITE_OUT", "03-19 14:10", TERMINAL, **site),
        cargo.receipt("P", "03-19 15:26"),
        asks("gate-out", PORT),
    ]


def decided(node: Node, cargo: Cargo, facts: tuple[Fact, ...]) -> None:
    """An authority's decision, as the journal takes it."""
    stream = f"container:{cargo.box}"
    with Journal("cargo", node.conninfo).opened() as journal:
        writer = Writer(journal)
        new = [NewFact(stream, digest_id(stream, str(told)), told) for told in facts]
        writer.write([Intent(facts=new)])
        writer.stop()


def test_an_inspection_stops_it_until_it_is_done_and_released(node: Node) -> None:
    cargo = Cargo(1)
    live(node, f"containers/{cargo.box}", story(cargo))


def test_an_inspection_ordered_after_release_stops_it_again(node: Node) -> None:
    cargo = Cargo(1)
    after: list[Step] = [cargo.receipt("C", "03-20 08:00"), asks("gate-out", PORT, "inspection.open")]
    done: list[Step] = [cargo.told("INSP_DONE", "03-20 10:00", place=PORT), asks("gate-out", PORT)]
    live(node, f"containers/{cargo.box}", [*story(cargo), *after, *done])


def test_a_hold_stops_every_move_until_it_is_lifted(node: Node) -> None:
    cargo = Cargo(1)
    path = f"containers/{cargo.box}"
    live(node, path, story(cargo))
    box = container.Container(cargo.box)
    placed = container.place_hold(box, authority="南京海关", reason="布控", reference="H1", by="officer", at=NOON)
    decided(node, cargo, placed)
    for action in ("gate-out", "load", "enter"):
        told = verify(node, path, action, PORT)
        assert reasons(told) == ("hold.placed",), action
        assert "H1" in told["reasons"][0]["zh"]
    box = container.evolve(box, placed[0])
    decided(node, cargo, container.release_hold(box, reference="H1", by="officer", at=NOON.replace(hour=5)))
    assert verify(node, path, "gate-out", PORT)["allowed"]


def test_goods_that_customs_detains_are_stopped_by_that_word_alone(node: Node) -> None:
    cargo = Cargo(1)
    detained = cargo.told("DEC_SUSPENDED", "03-20 09:00", "customs-2200", text="扣留")
    live(node, f"containers/{cargo.box}", [*story(cargo), detained, asks("gate-out", PORT, "hold.customs")])


def test_a_checkpoint_that_refused_it_is_a_reason_not_to_enter(node: Node) -> None:
    cargo = Cargo(1)
    refused = cargo.told("CHECKPOINT_REFUSED", "03-20 09:00", "road-njjk", text="核放单不符")
    passed = cargo.told("CHECKPOINT_PASS", "03-20 10:00", "road-njjk")
    live(
        node,
        f"containers/{cargo.box}",
        [*story(cargo), refused, asks("enter", "", "entry.refused"), passed, asks("enter", "")],
    )
