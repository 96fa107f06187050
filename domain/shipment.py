"""A consignment under its transport document: ocean bill of lading, booking, air waybill or rail consignment note.

Its stream is the document, `bl:NUMBER`, `booking:…`, `awb:…`, `rail:…`, `manifest:…`, `truck:…` or, until a number is
known, `object:URI` of ONE Record. Times are UTC. By air the statuses are not all-or-nothing: `pieces` of
`pieces_total`.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from domain import fact
from domain.errors import Refused
from domain.fact import Confirmed, Corrected, Fact, Moved, Reinstated, Retracted
from domain.report import Movement

# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class Booked(Moved, frozen=True, kw_only=True, tag="shipment.booked"): ...


class BookingCancelled(Moved, frozen=True, kw_only=True, tag="shipment.booking_cancelled"): ...


class DocumentIssued(Moved, frozen=True, kw_only=True, tag="shipment.document_issued"):
    """Consignment note, arrival notice, delivery order, equipment interchange receipt."""


class Received(Moved, frozen=True, kw_only=True, tag="shipment.received"):
    """Taken over from the shipper or from another carrier."""


class Secured(Moved, frozen=True, kw_only=True, tag="shipment.security_cleared"): ...


class Manifested(Moved, frozen=True, kw_only=True, tag="shipment.manifested"): ...


class ManifestAccepted(Moved, frozen=True, kw_only=True, tag="shipment.manifest_accepted"):
    """Customs has the manifest of this consignment in its database."""


class ArrivalReported(Moved, frozen=True, kw_only=True, tag="shipment.arrival_reported"):
    """运抵报告: the supervised site tells customs that the cargo is there."""


class Departed(Moved, frozen=True, kw_only=True, tag="shipment.departed"): ...


class Passed(Moved, frozen=True, kw_only=True, tag="shipment.passed"): ...


class BorderCrossed(Moved, frozen=True, kw_only=True, tag="shipment.border_crossed"): ...


class Arrived(Moved, frozen=True, kw_only=True, tag="shipment.arrived"): ...


class Unloaded(Moved, frozen=True, kw_only=True, tag="shipment.unloaded"):
    """Received from the flight, discharged, unloaded."""


class Transferred(Moved, frozen=True, kw_only=True, tag="shipment.transferred"): ...


class Tallied(Moved, frozen=True, kw_only=True, tag="shipment.tallied"): ...


class Notified(Moved, frozen=True, kw_only=True, tag="shipment.notified"): ...


class CustomsHandled(Moved, frozen=True, kw_only=True, tag="shipment.customs_handled"):
    """Reported to customs, or handed over to its control."""


class Released(Moved, frozen=True, kw_only=True, tag="shipment.released"):
    """Customs or the carrier lets the consignment go, as reported for the consignment."""


class Delivered(Moved, frozen=True, kw_only=True, tag="shipment.delivered"): ...


class DiscrepancyReported(Moved, frozen=True, kw_only=True, tag="shipment.discrepancy_reported"):
    """Offloaded, missing, overcarried, damaged; the sub-code stays in `raw_code`."""


class Reported(Moved, frozen=True, kw_only=True, tag="shipment.reported"):
    """Any other status, kept as it was reported, also under a code that nobody here knows."""


class PartyNamed(Fact, frozen=True, kw_only=True, tag="shipment.party_named"):
    role: str  # consignor, consignee, forwarder, carrier, declarant
    party: str  # unified social credit code
    by: str  # the account that decided


class PartyWithdrawn(Fact, frozen=True, kw_only=True, tag="shipment.party_withdrawn"):
    role: str
    party: str
    by: str


# --- state: the least that the decisions need ---


class Shipment(msgspec.Struct, frozen=True):
    reference: str
    parties: frozenset[tuple[str, str]] = frozenset()  # (role, party)
    delivered: bool = False
    withdrawn: frozenset[UUID] = frozenset()


def evolve(shipment: Shipment, happened: Fact) -> Shipment:
    """The consignment after one more fact, in the order of the journal. Never fails."""
    changes: dict[str, object] = {}
    match happened:
        case PartyNamed(role=role, party=party):
            changes["parties"] = shipment.parties | {(role, party)}
        case PartyWithdrawn(role=role, party=party):
            changes["parties"] = shipment.parties - {(role, party)}
        case Retracted(fact_id=fact_id) | Corrected(fact_id=fact_id):
            changes["withdrawn"] = shipment.withdrawn | {fact_id}
        case Reinstated(fact_id=fact_id):
            changes["withdrawn"] = shipment.withdrawn - {fact_id}
        case Delivered(classifier="ACT", pieces=pieces, pieces_total=total) if pieces is None or pieces == total:
            changes["delivered"] = True
        case Moved() | Confirmed():
            pass
        case _:
            raise AssertionError(happened)
    return msgspec.structs.replace(shipment, **changes)


# --- observations: what a source says is recorded, whatever the state ---

_KINDS: tuple[tuple[type[Moved], str], ...] = (
    (Booked, "BKG_CONF AIR_BKD RAIL_REQ"),
    (BookingCancelled, "BKG_CANC"),
    (DocumentIssued, "BL_ISSUED BL_SURRENDERED RWB_ISSUED DO_ISSUED EIR_ISSUED AIR_AWD AIR_AWR AIR_DOC"),
    (Received, "AIR_FOH AIR_RCS AIR_DPU AIR_FIW STATION_IN GATE_IN"),
    (Secured, "AIR_SEC"),
    (Manifested, "AIR_PRE AIR_MAN STOWED LOAD_NOTICE CONSOLIDATED"),
    (ManifestAccepted, "MAN_ADV_OK MAN_ORIG_OK"),
    (ArrivalReported, "ARRIVAL_RPT AIR_ARRIVAL_RPT RAIL_ARRIVAL_RPT"),
    (Departed, "AIR_DEP VSL_DEP BARGE_DEP TRAIN_DEP TRUCK_DEP"),
    (Passed, "TRAIN_PASS LOCK_PASSED TRUCK_POS CHECKPOINT_PASS"),
    (BorderCrossed, "BORDER_CROSSED"),
    (Arrived, "AIR_ARR VSL_ARR VSL_BERTH BARGE_ARR BORDER_ARR TRAIN_ARR TRUCK_ARR"),
    (Unloaded, "AIR_RCF DISCHARGED BARGE_DISC WAGON_UNLOADED TRUCK_UNLOADED"),
    (Transferred, "AIR_TRM AIR_RCT AIR_TFD INTERCHANGE GAUGE_CHANGE"),
    (Tallied, "AIR_TALLY TALLY_RPT RAIL_TALLY"),
    (Notified, "AIR_NFD ARN_SENT"),
    (CustomsHandled, "AIR_CRC AIR_TGC"),
    (Released, "AIR_CCD EXP_RELEASED IMP_RELEASED TERM_RELEASED RAIL_RELEASE AVAILABLE"),
    (Delivered, "AIR_DLV AIR_DDL POD GATE_OUT STATION_OUT AIR_FOW"),
    (DiscrepancyReported, "AIR_DIS AIR_OFLD DAMAGED ROLLED"),
)
_BY_CODE = {code: kind for kind, codes in _KINDS for code in codes.split()}


def observe(report: Movement, *, source: str, message_id: UUID, sent_at: datetime | None, now: datetime) -> Moved:
    """The fact that a report about a consignment states."""
    return fact.moved(
        _BY_CODE.get(report.code, Reported), report, source=source, message_id=message_id, sent_at=sent_at, now=now
    )


# --- decisions: no facts back = nothing new, so a repeat is harmless ---


def name_party(shipment: Shipment, *, role: str, party: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """Say who stands in which role. Raises Refused once the cargo has been delivered."""
    if (role, party) in shipment.parties:
        return ()
    if shipment.delivered:
        raise Refused(f"{shipment.reference} is already delivered; its parties no longer change")
    return (PartyNamed(happened_at=at, recorded_at=at, role=role, party=party, by=by),)


def withdraw_party(shipment: Shipment, *, role: str, party: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """Take a party's role back; nothing new if it has none."""
    if (role, party) not in shipment.parties:
        return ()
    return (PartyWithdrawn(happened_at=at, recorded_at=at, role=role, party=party, by=by),)


FACTS: tuple[type[Fact], ...] = (*(kind for kind, _ in _KINDS), Reported, PartyNamed, PartyWithdrawn)
fact.register(*FACTS)
