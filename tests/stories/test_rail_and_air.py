"""Consignments by rail and by air: the same three legs, with the railway's and the cargo terminal's own reports."""

from typing import Any

import msgspec

from examples.build import fsu
from examples.post import Post, at
from tests.fixtures_node import Node
from tests.stories.life import AIRPORT, CUSTOMS, Cargo, Step, asks, live

OUT: dict[str, Any] = {"imported": False, "customs": "9009", "border": "9402", "bill": ""}


def by_train(cargo: Cargo) -> list[Step]:
    return [
        cargo.by_rail("RWB_ISSUED", "02-25 17:05"),
        cargo.by_rail("STATION_IN", "02-26 14:32"),
        asks("load", "CNXAG", "declaration.missing", "arrival.missing"),
        cargo.by_rail("WLJK_ERRA", "02-26 15:20"),
        cargo.receipt("L", "02-27 09:24", **OUT),
        asks("load", "CNXAG", "declaration.not_released"),
        cargo.receipt("P", "02-27 10:46", **OUT),
        cargo.by_rail("WLJK_TREL", "02-27 10:50", source=CUSTOMS),
        asks("load", "CNXAG"),
    ]


def flown(cargo: Cargo, status: str, when: str) -> Post:
    body = fsu(cargo.awb, "AMSXIY", "T12K340.0", status)
    return Post(AIRPORT, "fsu", "application/vnd.iata.cargo-imp", body, status, at(when))


def by_air(cargo: Cargo) -> list[Step]:
    air: dict[str, Any] = {"bill": cargo.awb, "boxes": (), "customs": "9002", "border": "9002"}
    manifest: dict[str, Any] = {"bill": cargo.awb, "boxes": (), "voyage": "CZ461", "name": "CZ461"}
    return [
        cargo.answer("MT1201", "03-17 20:00", **manifest),
        asks("gate-out", "XIY", "declaration.missing", "arrival.missing"),
        flown(cargo, "RCF/CZ461/18MAR1045/XIY/T12K340.0", "03-18 10:50"),
        cargo.receipt("L", "03-18 11:00", **air),
        asks("gate-out", "XIY", "declaration.not_released"),
        flown(cargo, "CCD/18MAR1200/XIY/T12K340.0", "03-18 12:00"),
        asks("gate-out", "XIY", "declaration.not_released"),  # an airline's word is not that of customs
        cargo.receipt("P", "03-18 14:00", **air),
        asks("gate-out", "XIY"),
        flown(cargo, "DLV/18MAR1600/XIY/T12K340.0", "03-18 16:10"),
        asks("gate-out", "XIY", "arrival.left"),
    ]


def test_a_consignment_is_loaded_once_all_of_its_boxes_are_cleared(node: Node) -> None:
    cargo = Cargo(1)
    told = live(node, f"rail/{cargo.consignment}", by_train(cargo))
    assert (told["mode"], told["legs"]["manifest"]["status"]) == ("RAIL", "not-needed")


def test_the_box_of_a_consignment_is_told_the_same(node: Node) -> None:
    cargo = Cargo(1)
    live(node, f"containers/{cargo.box}", by_train(cargo))


def test_a_box_of_the_consignment_that_nobody_declared_stops_it(node: Node) -> None:
    cargo, other = Cargo(1), Cargo(2)
    second = other.by_rail("STATION_IN", "02-26 14:50", trainNo="X8155")
    body = second.body.replace(other.consignment.encode(), cargo.consignment.encode())
    mixed = msgspec.structs.replace(second, body=body)
    steps: list[Step] = [*by_train(cargo), mixed, asks("load", "CNXAG", "declaration.missing", "arrival.missing")]
    told = live(node, f"rail/{cargo.consignment}", steps)
    assert {each["subject"] for each in told["reasons"]} == {f"container:{other.box}"}


def test_air_cargo_leaves_on_customs_word_and_not_on_the_airlines(node: Node) -> None:
    cargo = Cargo(1)
    told = live(node, f"awbs/{cargo.awb}", by_air(cargo))
    assert told["mode"] == "AIR"
