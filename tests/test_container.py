"""The rules of a container: what is seen is recorded, what is decided is checked."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given as anything
from hypothesis import strategies as some

from domain import container
from domain.container import Container, GatedIn, HoldPlaced, HoldReleased, Loaded, Reported, place_hold, release_hold
from domain.errors import Refused
from domain.fact import Fact, Moved, Retracted
from domain.milestones import MILESTONES
from domain.report import Moment, Movement
from tests.story import given

MON, TUE = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)
BOX = Container("CSQU3054383")
PLACED = HoldPlaced(
    happened_at=MON, recorded_at=MON, authority="customs", reason="inspection", reference="H1", by="officer"
)
LIFTED = HoldReleased(happened_at=TUE, recorded_at=TUE, reference="H1", by="officer")
HOLD = {"authority": "customs", "reason": "inspection", "reference": "H1", "by": "officer"}


def seen(code: str, **more: object) -> Moved:
    report = Movement(subject="container:CSQU3054383", code=code, raw_code=code or "??", when=Moment(MON), **more)  # type: ignore[arg-type]
    return container.observe(report, source="terminal", message_id=uuid4(), sent_at=None, now=TUE)


def test_a_hold_is_placed_once() -> None:
    assert given(container.evolve, BOX).when(place_hold, **HOLD, at=MON) == [PLACED]
    assert given(container.evolve, BOX, PLACED).when(place_hold, **HOLD, at=TUE) == []


def test_a_hold_is_lifted_once() -> None:
    assert given(container.evolve, BOX, PLACED).when(release_hold, reference="H1", by="officer", at=TUE) == [LIFTED]
    assert given(container.evolve, BOX, PLACED, LIFTED).when(release_hold, reference="H1", by="officer", at=TUE) == []


def test_a_hold_that_was_never_placed_cannot_be_lifted() -> None:
    with pytest.raises(Refused, match="No hold H2"):
        given(container.evolve, BOX, PLACED).when(release_hold, reference="H2", by="officer", at=TUE)


def test_a_lifted_hold_does_not_come_back_under_its_old_reference() -> None:
    with pytest.raises(Refused, match="new reference"):
        given(container.evolve, BOX, PLACED, LIFTED).when(place_hold, **HOLD, at=TUE)


def test_gate_out_before_gate_in_is_recorded_all_the_same() -> None:
    state = given(container.evolve, BOX, seen("GATE_OUT", place="CNNKG"), seen("GATE_IN", place="CNSHG")).state
    assert state.at == "CNSHG"


def test_the_kind_of_fact_follows_the_milestone() -> None:
    assert [type(seen(code)) for code in ("GATE_IN", "BARGE_LOAD", "WAGON_LOADED")] == [GatedIn, Loaded, Loaded]


def test_an_unknown_status_is_kept_as_it_was_reported() -> None:
    told = seen("", text="Rail departed from in-transit location")
    assert (type(told), told.code, told.raw_code) == (Reported, "", "??")


def test_an_estimate_moves_nothing() -> None:
    assert given(container.evolve, BOX, seen("GATE_IN", place="CNSHG", classifier="EST")).state == BOX


@anything(some.lists(some.sampled_from(["", *MILESTONES]), max_size=12))
def test_no_sequence_of_observations_fails(codes: list[str]) -> None:
    history: list[Fact] = [seen(code) for code in codes]
    history.append(Retracted(happened_at=MON, recorded_at=MON, fact_id=uuid4(), source="s", message_id=uuid4()))
    given(container.evolve, BOX, PLACED, *history)
