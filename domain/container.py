"""A container as the ports, railways and roads report it, one journey after another.

Its stream is `container:NUMBER`. Times are UTC: `happened_at` when the world changed, `recorded_at` when Kouan was
told. Codes are the milestones of domain/milestones.py; several of them are one kind of fact (a box is loaded on a
ship, a barge, a wagon or a truck), told apart by `code` and `mode`.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from domain import fact
from domain.errors import Refused
from domain.fact import Confirmed, Corrected, Fact, Moved, Reinstated, Retracted
from domain.report import Movement

# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class EmptyPickedUp(Moved, frozen=True, kw_only=True, tag="container.empty_picked_up"): ...


class Stuffed(Moved, frozen=True, kw_only=True, tag="container.stuffed"): ...


class Sealed(Moved, frozen=True, kw_only=True, tag="container.sealed"): ...


class Unsealed(Moved, frozen=True, kw_only=True, tag="container.unsealed"): ...


class GatedIn(Moved, frozen=True, kw_only=True, tag="container.gated_in"): ...


class ArrivalReported(Moved, frozen=True, kw_only=True, tag="container.arrival_reported"):
    """运抵报告: the supervised site tells customs that the cargo is there."""


class ManifestAccepted(Moved, frozen=True, kw_only=True, tag="container.manifest_accepted"): ...


class Released(Moved, frozen=True, kw_only=True, tag="container.released"):
    """Customs or the terminal lets the box go, as reported for the box; the declaration has its own story."""


class Stowed(Moved, frozen=True, kw_only=True, tag="container.stowed"): ...


class Loaded(Moved, frozen=True, kw_only=True, tag="container.loaded"): ...


class Rolled(Moved, frozen=True, kw_only=True, tag="container.rolled"):
    """甩柜: booked, yet left behind."""


class Departed(Moved, frozen=True, kw_only=True, tag="container.departed"): ...


class Passed(Moved, frozen=True, kw_only=True, tag="container.passed"):
    """Reported on its way: a lock, a station, a checkpoint, a position."""


class GaugeChanged(Moved, frozen=True, kw_only=True, tag="container.gauge_changed"): ...


class BorderCrossed(Moved, frozen=True, kw_only=True, tag="container.border_crossed"): ...


class Arrived(Moved, frozen=True, kw_only=True, tag="container.arrived"): ...


class Discharged(Moved, frozen=True, kw_only=True, tag="container.discharged"): ...


class Tallied(Moved, frozen=True, kw_only=True, tag="container.tallied"): ...


class Inspected(Moved, frozen=True, kw_only=True, tag="container.inspected"): ...


class MadeAvailable(Moved, frozen=True, kw_only=True, tag="container.made_available"): ...


class GatedOut(Moved, frozen=True, kw_only=True, tag="container.gated_out"): ...


class Delivered(Moved, frozen=True, kw_only=True, tag="container.delivered"): ...


class Stripped(Moved, frozen=True, kw_only=True, tag="container.stripped"): ...


class EmptyReturned(Moved, frozen=True, kw_only=True, tag="container.empty_returned"):
    """还空箱: the box is back at the depot; its journey is over."""


class Damaged(Moved, frozen=True, kw_only=True, tag="container.damaged"): ...


class Reported(Moved, frozen=True, kw_only=True, tag="container.reported"):
    """Any other status, kept as it was reported, also under a code that nobody here knows."""


class HoldPlaced(Fact, frozen=True, kw_only=True, tag="container.hold_placed"):
    authority: str
    reason: str
    reference: str  # the authority's own number for this hold
    by: str  # the account that decided


class HoldReleased(Fact, frozen=True, kw_only=True, tag="container.hold_released"):
    reference: str
    by: str


# --- state: the least that the decisions need ---


class Container(msgspec.Struct, frozen=True):
    number: str
    holds: frozenset[str] = frozenset()  # references of the holds in force
    released: frozenset[str] = frozenset()  # references of the holds that were lifted
    withdrawn: frozenset[UUID] = frozenset()  # facts that were retracted or corrected
    at: str = ""  # place of the last recorded actual movement
    laden: bool | None = None


def evolve(container: Container, happened: Fact) -> Container:
    """The container after one more fact, in the order of the journal. Never fails."""
    match happened:
        case HoldPlaced(reference=reference):
            return msgspec.structs.replace(container, holds=container.holds | {reference})
        case HoldReleased(reference=reference):
            return msgspec.structs.replace(
                container, holds=container.holds - {reference}, released=container.released | {reference}
            )
        case Retracted(fact_id=fact_id) | Corrected(fact_id=fact_id):
            return msgspec.structs.replace(container, withdrawn=container.withdrawn | {fact_id})
        case Moved(classifier="ACT", place=place) if place:
            laden = container.laden if happened.laden is None else happened.laden
            return msgspec.structs.replace(container, at=place, laden=laden)
        case Reinstated(fact_id=fact_id):
            return msgspec.structs.replace(container, withdrawn=container.withdrawn - {fact_id})
        case Moved() | Confirmed():
            return container
        case _:
            raise AssertionError(happened)


# --- observations: what a source says is recorded, whatever the state ---

_KINDS: tuple[tuple[type[Moved], str], ...] = (
    (EmptyPickedUp, "EMPTY_OUT"),
    (Stuffed, "STUFFED"),
    (Sealed, "SEALED RESEALED ESEAL_ON"),
    (Unsealed, "ESEAL_OFF SEAL_REMOVED"),
    (GatedIn, "GATE_IN STATION_IN YARD_IN"),
    (ArrivalReported, "ARRIVAL_RPT RAIL_ARRIVAL_RPT"),
    (ManifestAccepted, "MAN_ADV_OK MAN_ORIG_OK"),
    (Released, "EXP_RELEASED IMP_RELEASED TERM_RELEASED RAIL_RELEASE"),
    (Stowed, "STOWED"),
    (Loaded, "LOADED TS_LOAD BARGE_LOAD WAGON_LOADED TRUCK_LOADED"),
    (Rolled, "ROLLED"),
    (Departed, "VSL_DEP BARGE_DEP TRAIN_DEP TRUCK_DEP"),
    (Passed, "LOCK_PASSED TRAIN_PASS TRUCK_POS CHECKPOINT_PASS"),
    (GaugeChanged, "GAUGE_CHANGE"),
    (BorderCrossed, "BORDER_CROSSED"),
    (Arrived, "VSL_ARR VSL_BERTH BARGE_ARR BORDER_ARR TRAIN_ARR TRUCK_ARR PICKUP_ARR"),
    (Discharged, "DISCHARGED TS_DISC BARGE_DISC WAGON_UNLOADED TRUCK_UNLOADED"),
    (Tallied, "TALLY_RPT RAIL_TALLY"),
    (Inspected, "INSP_DONE SEAL_INSPECTED"),
    (MadeAvailable, "AVAILABLE"),
    (GatedOut, "GATE_OUT STATION_OUT YARD_OUT"),
    (Delivered, "POD"),
    (Stripped, "STRIPPED"),
    (EmptyReturned, "EMPTY_IN"),
    (Damaged, "DAMAGED"),
)
_BY_CODE = {code: kind for kind, codes in _KINDS for code in codes.split()}


def observe(report: Movement, *, source: str, message_id: UUID, sent_at: datetime | None, now: datetime) -> Moved:
    """The fact that a report about a container states."""
    return fact.moved(
        _BY_CODE.get(report.code, Reported), report, source=source, message_id=message_id, sent_at=sent_at, now=now
    )


# --- decisions: no facts back = nothing new, so a repeat is harmless ---


def place_hold(
    container: Container, *, authority: str, reason: str, reference: str, by: str, at: datetime
) -> tuple[Fact, ...]:
    """Stop the box. Raises Refused if that reference was used before and lifted."""
    if reference in container.holds:
        return ()
    if reference in container.released:
        raise Refused(f"Hold {reference} on {container.number} was lifted; a new hold needs a new reference")
    return (HoldPlaced(happened_at=at, recorded_at=at, authority=authority, reason=reason, reference=reference, by=by),)


def release_hold(container: Container, *, reference: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """Lift a hold. Raises Refused if it was never placed; lifting twice adds nothing."""
    if reference in container.released:
        return ()
    if reference not in container.holds:
        raise Refused(f"No hold {reference} was placed on {container.number}")
    return (HoldReleased(happened_at=at, recorded_at=at, reference=reference, by=by),)


FACTS: tuple[type[Fact], ...] = (*(kind for kind, _ in _KINDS), Reported, HoldPlaced, HoldReleased)
fact.register(*FACTS)
