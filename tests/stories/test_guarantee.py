"""Release under guarantee (担保放行): duty is assessed and unpaid, and the goods go all the same."""

from examples import edifact
from tests.fixtures_node import Node
from tests.stories.life import CUSTOMS, Cargo, Step, asks, live

PORT = "CNYSA"


def story(cargo: Cargo) -> list[Step]:
    return [
        cargo.answer("MT1101", "02-14 16:20", place=PORT),
        cargo.handled(edifact.DISCHARGE, "03-17 06:48"),
        cargo.receipt("L", "03-17 09:00"),
        cargo.receipt("G", "03-17 09:30"),
        cargo.receipt("T", "03-17 09:31"),
        asks("gate-out", PORT, "declaration.not_released", "duty.unpaid"),
        cargo.receipt("K", "03-17 15:00"),
        asks("gate-out", PORT),
    ]


def test_a_guarantee_releases_though_duty_is_not_paid(node: Node) -> None:
    cargo = Cargo(1)
    told = live(node, f"containers/{cargo.box}", story(cargo))
    assert told["declarations"][0]["procedure"] == "guarantee"
    assert told["legs"]["customs"]["detail_zh"] == "担保放行"


def test_duty_that_was_paid_is_no_reason_any_more_yet_payment_is_no_release(node: Node) -> None:
    cargo = Cargo(1)
    steps = story(cargo)[:5]
    paid = cargo.told("DUTY_PAID", "03-17 12:00", CUSTOMS, subject=f"declaration:{cargo.entry()}")
    live(node, f"containers/{cargo.box}", [*steps, paid, asks("gate-out", PORT, "declaration.not_released")])
