"""The rules of a consignment."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given as anything
from hypothesis import strategies as some

from domain import shipment
from domain.errors import Refused
from domain.fact import Moved
from domain.milestones import MILESTONES
from domain.report import Moment, Movement
from domain.shipment import PartyNamed, PartyWithdrawn, Shipment, name_party, withdraw_party
from tests.story import given

MON = datetime(2026, 3, 2, tzinfo=UTC)
AIR = Shipment("awb:11200000011")
OWNER = {"role": "consignee", "party": "91320000MA0000015K", "by": "line"}
NAMED = PartyNamed(happened_at=MON, recorded_at=MON, **OWNER)
TAKEN = PartyWithdrawn(happened_at=MON, recorded_at=MON, **OWNER)


def seen(code: str, **more: object) -> Moved:
    report = Movement(subject="awb:11200000011", code=code, raw_code=code or "??", when=Moment(MON), **more)  # type: ignore[arg-type]
    return shipment.observe(report, source="carrier", message_id=uuid4(), sent_at=None, now=MON)


def test_a_party_is_named_once_and_can_be_withdrawn() -> None:
    assert given(shipment.evolve, AIR).when(name_party, **OWNER, at=MON) == [NAMED]
    assert given(shipment.evolve, AIR, NAMED).when(name_party, **OWNER, at=MON) == []
    assert given(shipment.evolve, AIR, NAMED).when(withdraw_party, **OWNER, at=MON) == [TAKEN]
    assert given(shipment.evolve, AIR).when(withdraw_party, **OWNER, at=MON) == []


def test_the_parties_of_delivered_cargo_no_longer_change() -> None:
    with pytest.raises(Refused, match="delivered"):
        given(shipment.evolve, AIR, seen("AIR_DLV")).when(name_party, **OWNER, at=MON)


def test_five_of_twelve_pieces_delivered_is_not_delivered() -> None:
    part = seen("AIR_DLV", pieces=5, pieces_total=12)
    assert not given(shipment.evolve, AIR, part).state.delivered
    assert given(shipment.evolve, AIR, seen("AIR_DLV", pieces=12, pieces_total=12)).state.delivered


@anything(some.lists(some.sampled_from(["", *MILESTONES]), max_size=12))
def test_no_sequence_of_observations_fails(codes: list[str]) -> None:
    given(shipment.evolve, AIR, NAMED, *(seen(code) for code in codes))
