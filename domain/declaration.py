"""A customs declaration (报关单) as customs and its declarant tell it, from lodging to closing.

Its stream is `declaration:ENTRY_ID` (18 digits) or, before customs has given one, `declaration:SEQ_NO`. Customs
answers by receipts (回执) whose letters are read differently in different systems: the raw code, its text and the code
table are kept, and a letter alone never means release unless every known table agrees (P, I and F release; C never
does). Receipts arrive late, twice and out of order: the life cycle is a fold over notice times, not over arrival.
Times are UTC.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from domain import fact
from domain.errors import Refused
from domain.fact import Corrected, Fact, Reinstated, Retracted, Stated
from domain.report import Receipt

# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class Received(Stated, frozen=True, kw_only=True, tag="declaration.receipt_recorded"):
    """A receipt whose code is not known, kept and flagged. Base of all receipts."""

    code_table: str = ""
    place: str = ""  # declaring customs 申报地海关
    border: str = ""  # border customs 进出境关别


class Submitted(Received, frozen=True, kw_only=True, tag="declaration.submitted"): ...


class SubmissionFailed(Received, frozen=True, kw_only=True, tag="declaration.submission_failed"): ...


class Accepted(Received, frozen=True, kw_only=True, tag="declaration.accepted"): ...


class Rejected(Received, frozen=True, kw_only=True, tag="declaration.rejected"): ...


class ReturnedForAmendment(Received, frozen=True, kw_only=True, tag="declaration.returned_for_amendment"): ...


class Suspended(Received, frozen=True, kw_only=True, tag="declaration.suspended"): ...


class ReReviewed(Received, frozen=True, kw_only=True, tag="declaration.re_reviewed"): ...


class ReviewCompleted(Received, frozen=True, kw_only=True, tag="declaration.review_completed"): ...


class DutyAssessed(Received, frozen=True, kw_only=True, tag="declaration.duty_assessed"): ...


class InspectionOrdered(Received, frozen=True, kw_only=True, tag="declaration.inspection_ordered"): ...


class InspectionCompleted(Received, frozen=True, kw_only=True, tag="declaration.inspection_completed"): ...


class ValuationReferred(Received, frozen=True, kw_only=True, tag="declaration.valuation_referred"): ...


class ValuationReturned(Received, frozen=True, kw_only=True, tag="declaration.valuation_returned"): ...


class ReleasedUnderGuarantee(Received, frozen=True, kw_only=True, tag="declaration.released_under_guarantee"): ...


class Released(Received, frozen=True, kw_only=True, tag="declaration.released"): ...


class PickupReleased(Received, frozen=True, kw_only=True, tag="declaration.pickup_released"):
    """提货放行: the summary step of a two-step declaration; the complete declaration is still owed."""


class CompletionRequested(Received, frozen=True, kw_only=True, tag="declaration.completion_requested"):
    """要求补充申报: the complete declaration of a two-step declaration is due."""


class EntryPermitted(Received, frozen=True, kw_only=True, tag="declaration.entry_permitted"):
    """准予进港 / 准予进卡."""


class Closed(Received, frozen=True, kw_only=True, tag="declaration.closed"): ...


class DeletedBeforeRelease(Received, frozen=True, kw_only=True, tag="declaration.deleted_before_release"): ...


class DeletedAfterRelease(Received, frozen=True, kw_only=True, tag="declaration.deleted_after_release"): ...


class DocumentsRequested(Received, frozen=True, kw_only=True, tag="declaration.documents_requested"): ...


class Lodged(Fact, frozen=True, kw_only=True, tag="declaration.lodged"):
    by: str
    version: int = 1


class Amended(Fact, frozen=True, kw_only=True, tag="declaration.amended"):
    by: str
    version: int
    reason: str


class Withdrawn(Fact, frozen=True, kw_only=True, tag="declaration.withdrawn"):
    by: str
    reason: str


# --- receipts: what each code means, and which milestone it is (DEC_… of domain/milestones.py) ---

RECEIPTS: dict[str, tuple[type[Received], str]] = {
    "2": (Submitted, "DEC_SUBMITTED"),
    "6": (Submitted, "DEC_SUBMITTED"),
    "7": (Submitted, "DEC_SUBMITTED"),
    "4": (SubmissionFailed, "DEC_FAILED"),
    "8": (SubmissionFailed, "DEC_FAILED"),
    "9": (SubmissionFailed, "DEC_FAILED"),
    "Y": (SubmissionFailed, "DEC_FAILED"),
    "L": (Accepted, "DEC_ACCEPTED"),
    "E": (Rejected, "DEC_REJECTED"),
    "Z": (ReturnedForAmendment, "DEC_RETURNED"),
    "U": (ReturnedForAmendment, "DEC_RETURNED"),
    "H": (Suspended, "DEC_SUSPENDED"),
    "M": (ReReviewed, "DEC_REREVIEWED"),
    "G": (ReviewCompleted, "DEC_REVIEWED"),
    "J": (ReviewCompleted, "DEC_REVIEWED"),
    "W": (ReviewCompleted, "DEC_REVIEWED"),
    "T": (DutyAssessed, "DUTY_ASSESSED"),
    "C": (InspectionOrdered, "INSP_ORDERED"),
    "V": (ValuationReferred, "VALUATION_REFERRED"),
    "Q": (ValuationReturned, "VALUATION_RETURNED"),
    "B": (ReleasedUnderGuarantee, "DEC_GUAR_REL"),
    "K": (ReleasedUnderGuarantee, "DEC_GUAR_REL"),
    "F": (Released, "DEC_RELEASED"),
    "I": (Released, "DEC_RELEASED"),
    "P": (Released, "DEC_RELEASED"),
    "X": (EntryPermitted, "ENTRY_PERMITTED"),
    "#": (EntryPermitted, "ENTRY_PERMITTED"),
    "O": (EntryPermitted, "ENTRY_PERMITTED"),
    "R": (Closed, "DEC_CLOSED"),
    "A": (DeletedBeforeRelease, "DEC_DELETED"),
    "D": (DeletedAfterRelease, "DEC_DELETED"),
    "N": (DocumentsRequested, "DOCS_REQUESTED"),
    "SpL": (Accepted, "DEC_ACCEPTED"),
    "SpE": (Rejected, "DEC_REJECTED"),
    "SpJ": (ReviewCompleted, "DEC_REVIEWED"),
    "Sp1": (CompletionRequested, "DEC_COMPLETION_DUE"),
    "SpC": (InspectionOrdered, "INSP_ORDERED"),
    "SpK": (PickupReleased, "DEC_PICKUP_REL"),
}
"""Code of the receipt: the reading on which the known code tables agree, or the cautious one where they do not.

They disagree on 3, S, C, G, F, W, J and M; 3 (uploaded, or declared) and S (handling failed, or inspection) are left
unread for that.
"""

INDICATORS: dict[str, tuple[type[Received], str]] = {
    "7365/1": (Accepted, "DEC_ACCEPTED"),
    "7365/9": (Accepted, "DEC_ACCEPTED"),
    "7365/32": (Accepted, "DEC_ACCEPTED"),
    "7365/2": (Rejected, "DEC_REJECTED"),
    "7365/3": (Rejected, "DEC_REJECTED"),
    "7365/33": (Rejected, "DEC_REJECTED"),
    "7365/4": (Released, "DEC_RELEASED"),
    "7365/5": (InspectionOrdered, "INSP_ORDERED"),
    "7365/6": (DocumentsRequested, "DOCS_REQUESTED"),
    "7365/7": (Suspended, "DEC_SUSPENDED"),
}
"""UN/EDIFACT code list 7365, as `7365/CODE`; codes of national lists are written otherwise and mean nothing here."""


# --- state: the least that the decisions need, folded by notice time ---

BEFORE_CUSTOMS = frozenset({"", "lodged", "submission_failed", "rejected", "returned", "withdrawn"})


class Declaration(msgspec.Struct, frozen=True):
    number: str
    status: str = ""  # see STATUS; "" nothing known yet
    blocking: frozenset[str] = frozenset()  # what stands in the way of release, side by side: inspection, duty, …
    released: bool = False
    summary_only: bool = False  # released for pick-up, complete declaration still owed
    version: int = 0


STATUS: dict[type[Fact], str] = {
    Lodged: "lodged",
    Submitted: "submitted",
    SubmissionFailed: "submission_failed",
    Accepted: "accepted",
    Rejected: "rejected",
    ReturnedForAmendment: "returned",
    Suspended: "suspended",
    ReReviewed: "re_reviewed",
    ReviewCompleted: "review_completed",
    ReleasedUnderGuarantee: "released_under_guarantee",
    Released: "released",
    PickupReleased: "pickup_released",
    Closed: "closed",
    DeletedBeforeRelease: "deleted",
    DeletedAfterRelease: "deleted",
    Withdrawn: "withdrawn",
}
_BLOCKS: dict[type[Fact], str] = {
    InspectionOrdered: "inspection",
    DutyAssessed: "duty",
    ValuationReferred: "valuation",
    Suspended: "suspension",
    DocumentsRequested: "documents",
}
_UNBLOCKS: dict[type[Fact], str] = {
    InspectionCompleted: "inspection",
    ValuationReturned: "valuation",
    ReReviewed: "suspension",
}


def fold(number: str, history: Iterable[tuple[UUID, Fact]]) -> Declaration:
    """The declaration as it stands, whatever the order in which its facts arrived.

    `history`: (fact id, fact) in journal order. Retracted and corrected facts do not count; the rest is taken by
    happened_at (for receipts, the notice time), then by the order of the journal.
    """
    facts = list(history)
    gone: set[UUID] = set()
    for _, told in facts:
        if isinstance(told, Retracted | Corrected):
            gone.add(told.fact_id)
        elif isinstance(told, Reinstated):
            gone.discard(told.fact_id)
    standing = [told for fact_id, told in facts if fact_id not in gone]
    declaration = Declaration(number)
    for told in sorted(standing, key=lambda told: told.happened_at):
        declaration = evolve(declaration, told)
    return declaration


def evolve(declaration: Declaration, happened: Fact) -> Declaration:
    """The declaration after one more fact, taken by notice time. Never fails: any receipt may follow any other."""
    kind = type(happened)
    blocking = declaration.blocking
    if kind in _BLOCKS:
        blocking = blocking | {_BLOCKS[kind]}
    if kind in _UNBLOCKS:
        blocking = blocking - {_UNBLOCKS[kind]}
    released, summary = declaration.released, declaration.summary_only
    match happened:
        case Released() | ReleasedUnderGuarantee() | Closed():
            released, summary, blocking = True, False, frozenset()
        case PickupReleased():
            released, summary, blocking = True, True, frozenset()
        case Rejected() | ReturnedForAmendment() | DeletedBeforeRelease() | DeletedAfterRelease() | Withdrawn():
            released, blocking = False, frozenset()
        case ReReviewed() | Suspended():
            released = False
        case _:
            pass
    version = happened.version if isinstance(happened, Lodged | Amended) else declaration.version
    return msgspec.structs.replace(
        declaration,
        status=STATUS.get(kind, declaration.status),
        blocking=blocking,
        released=released,
        summary_only=summary,
        version=version,
    )


# --- observations: what customs says is recorded, whatever the state ---


def observe(report: Receipt, *, source: str, message_id: UUID, sent_at: datetime | None, now: datetime) -> Received:
    """The fact that a customs receipt states; an unknown code is recorded as it is."""
    kind, code = RECEIPTS.get(report.raw_code) or INDICATORS.get(report.raw_code, (Received, ""))
    warnings = report.warnings
    if kind is Received:
        zh = f"回执代码 {report.raw_code!r} 未知或各表读法不一"
        warnings = (*warnings, f"{zh} / receipt code {report.raw_code!r} is unknown or read differently")
    return kind(
        happened_at=report.when.at,
        recorded_at=now,
        source=source,
        message_id=message_id,
        sent_at=sent_at,
        wall=report.when.wall,
        zone=report.when.zone,
        zone_from=report.when.zone_from,
        code=code,
        raw_code=report.raw_code,
        refs=report.refs,
        text=report.text,
        warnings=warnings,
        code_table=report.code_table,
        place=report.place,
        border=report.border,
    )


# --- decisions: no facts back = nothing new, so a repeat is harmless ---


def lodge(declaration: Declaration, *, by: str, at: datetime) -> tuple[Fact, ...]:
    """Lodge, or lodge again after a rejection. Raises Refused while customs is dealing with it or has released it."""
    if declaration.status == "lodged":
        return ()
    if declaration.status not in BEFORE_CUSTOMS:
        raise Refused(f"Declaration {declaration.number} is {declaration.status}; amend it instead of lodging it again")
    return (Lodged(happened_at=at, recorded_at=at, by=by, version=declaration.version + 1),)


def amend(declaration: Declaration, *, by: str, reason: str, at: datetime) -> tuple[Fact, ...]:
    """A new version; the old ones stay. Raises Refused if there is nothing to amend."""
    if declaration.status in {"", "withdrawn", "deleted"}:
        raise Refused(f"Declaration {declaration.number} cannot be amended: it is {declaration.status or 'not lodged'}")
    return (Amended(happened_at=at, recorded_at=at, by=by, reason=reason, version=max(declaration.version, 1) + 1),)


def withdraw(declaration: Declaration, *, by: str, reason: str, at: datetime) -> tuple[Fact, ...]:
    """Take it back. Raises Refused after release: only customs can delete it then."""
    if declaration.status in {"withdrawn", "deleted"}:
        return ()
    if declaration.released:
        raise Refused(f"Declaration {declaration.number} is released; only customs can delete it now")
    if not declaration.status:
        raise Refused(f"Declaration {declaration.number} was never lodged")
    return (Withdrawn(happened_at=at, recorded_at=at, by=by, reason=reason),)


FACTS: tuple[type[Fact], ...] = (
    *dict.fromkeys(kind for kind, _ in RECEIPTS.values()),
    Received,
    InspectionCompleted,
    Lodged,
    Amended,
    Withdrawn,
)
fact.register(*FACTS)
