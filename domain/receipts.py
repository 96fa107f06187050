"""What customs says of a declaration (回执), and what each code means. The aggregate itself: domain/declaration.py.

Letters are read differently in different systems: the raw code, its text and the code table are kept, and a letter
alone never means release unless every known table agrees. Sources: the code tables of five systems; UN/EDIFACT 7365;
the data centre's import response.
"""

from domain.fact import Stated

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

RESPONSES: dict[str, tuple[type[Received], str]] = {
    "DecImportResponse/0": (Submitted, "DEC_SUBMITTED"),
    "DecImportResponse/1": (SubmissionFailed, "DEC_FAILED"),
}
"""What the data centre answers at once when a declaration is handed in (api/customs_port.py): taken, or not."""
