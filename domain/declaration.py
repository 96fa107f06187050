"""A customs declaration (报关单) as customs and its declarant tell it, from lodging to closing.

Its stream is `declaration:ENTRY_ID` (18 digits) or, before customs has given one, `declaration:SEQ_NO`; what is lodged
here begins under a number of our own (I or E, year, 13 digits) and stays there, while receipts name the others. Customs
answers by receipts (回执) whose letters are read differently in different systems: the raw code, its text and the code
table are kept, and a letter alone never means release unless every known table agrees (P, I and F release; C never
does). Receipts arrive late, twice and out of order: the life cycle is a fold over notice times, not over arrival.
Times are UTC.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from domain import fact
from domain.declaring import Content
from domain.errors import Refused
from domain.fact import Corrected, Fact, Reinstated, Retracted
from domain.milestones import rank
from domain.receipts import (
    INDICATORS,
    RECEIPTS,
    RESPONSES,
    Accepted,
    Closed,
    DeletedAfterRelease,
    DeletedBeforeRelease,
    DocumentsRequested,
    DutyAssessed,
    InspectionCompleted,
    InspectionOrdered,
    PickupReleased,
    Received,
    Rejected,
    Released,
    ReleasedUnderGuarantee,
    ReReviewed,
    ReturnedForAmendment,
    ReviewCompleted,
    SubmissionFailed,
    Submitted,
    Suspended,
    ValuationReferred,
    ValuationReturned,
)
from domain.report import Receipt

__all__ = [
    "INDICATORS",
    "RECEIPTS",
    "InspectionOrdered",
    "Received",
    "Rejected",
    "Released",
    "Submitted",
]  # theirs, too

# --- facts: a storage contract; add fields with defaults, never rename or retype ---


class Lodged(Fact, frozen=True, kw_only=True, tag="declaration.lodged"):
    by: str
    version: int = 1
    content: Content | None = None  # None: lodged elsewhere
    party: str = ""  # of the account


class Amended(Fact, frozen=True, kw_only=True, tag="declaration.amended"):
    by: str
    version: int
    reason: str
    content: Content | None = None
    party: str = ""  # of the account


class CompletionLodged(Fact, frozen=True, kw_only=True, tag="declaration.completion_lodged"):
    """完整申报: the second step of a two-step declaration."""

    by: str
    version: int
    content: Content
    party: str = ""  # of the account


class Withdrawn(Fact, frozen=True, kw_only=True, tag="declaration.withdrawn"):
    by: str
    reason: str
    party: str = ""  # of the account


class DeletionRequested(Fact, frozen=True, kw_only=True, tag="declaration.deletion_requested"):
    """申请删单: customs is asked to delete it; whether it does, a receipt tells."""

    by: str
    reason: str
    party: str = ""  # of the account


# --- state: the least that the decisions need, folded by notice time ---

BEFORE_CUSTOMS = frozenset({"", "lodged", "submission_failed", "rejected", "returned", "withdrawn"})


class Declaration(msgspec.Struct, frozen=True):
    number: str
    status: str = ""  # see STATUS; "" nothing known yet
    blocking: frozenset[str] = frozenset()  # what stands in the way of release, side by side: inspection, duty, …
    released: bool = False
    summary_only: bool = False  # released for pick-up, complete declaration still owed
    version: int = 0
    content: Content | None = None  # of the latest version, where it was lodged here
    by: str = ""  # the account that lodged it here
    completed: bool = False  # the second step of a two-step declaration was lodged
    deletion: str = ""  # why it was asked to be deleted


STATUS: dict[type[Fact], str] = {
    Lodged: "lodged",
    CompletionLodged: "lodged",
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
    happened_at (for receipts, the notice time), at one instant by the usual order of milestones, as the timeline does.
    The first lodging comes first: customs answers nothing before it, whatever its clock says.
    """
    facts = list(history)
    gone = withdrawn(told for _, told in facts)
    standing = [told for fact_id, told in facts if fact_id not in gone]
    declaration = Declaration(number)
    for told in sorted(standing, key=_order):
        declaration = evolve(declaration, told)
    return declaration


def withdrawn(history: Iterable[Fact]) -> set[UUID]:
    """The facts that no longer count, of facts in journal order."""
    gone: set[UUID] = set()
    for told in history:
        if isinstance(told, Retracted | Corrected):
            gone.add(told.fact_id)
        elif isinstance(told, Reinstated):
            gone.discard(told.fact_id)
    return gone


def _order(told: Fact) -> tuple[bool, datetime, int]:
    first = isinstance(told, Lodged) and told.version == 1
    return (not first, told.happened_at, rank(told.code) if isinstance(told, Received) else -1)


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
        case Rejected() | ReturnedForAmendment() if declaration.completed:
            blocking = frozenset()  # the goods were let go by the summary, and stay so
        case Rejected() | ReturnedForAmendment() | DeletedBeforeRelease() | DeletedAfterRelease() | Withdrawn():
            released, blocking = False, frozenset()
        case ReReviewed() | Suspended():
            released = False
        case _:
            pass
    status = STATUS.get(kind, declaration.status)
    if isinstance(happened, Amended) and status == "returned":
        status = "lodged"  # it is with customs again
    declaration = _with_content(declaration, happened)
    return msgspec.structs.replace(
        declaration, status=status, blocking=blocking, released=released, summary_only=summary
    )


def _with_content(declaration: Declaration, happened: Fact) -> Declaration:
    """What its declarant says of it, as far as the next decision needs to know."""
    match happened:
        case Lodged() | Amended() | CompletionLodged():
            return msgspec.structs.replace(
                declaration,
                version=happened.version,
                content=happened.content or declaration.content,
                by=declaration.by or happened.by,
                completed=isinstance(happened, CompletionLodged)
                or (declaration.completed and not isinstance(happened, Lodged)),
                deletion="" if isinstance(happened, Lodged) else declaration.deletion,
            )
        case DeletionRequested(reason=reason):
            return msgspec.structs.replace(declaration, deletion=reason)
        case _:
            return declaration


# --- observations: what customs says is recorded, whatever the state ---


def observe(report: Receipt, *, source: str, message_id: UUID, sent_at: datetime | None, now: datetime) -> Received:
    """The fact that a customs receipt states; an unknown code is recorded as it is."""
    known = RECEIPTS.get(report.raw_code) or INDICATORS.get(report.raw_code) or RESPONSES.get(report.raw_code)
    kind, code = known or (Received, "")
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


FAILED = frozenset({"submission_failed", "rejected"})


def lodge(
    declaration: Declaration, *, by: str, at: datetime, content: Content | None = None, party: str = ""
) -> tuple[Fact, ...]:
    """Lodge, or lodge again after a rejection. Raises Refused while customs is dealing with it or has released it.

    Decisions count from the whole second, as the notice times of customs do: a receipt of the same second comes after.
    """
    if declaration.status == "lodged" and content in (None, declaration.content):
        return ()
    if declaration.status not in BEFORE_CUSTOMS or declaration.status == "lodged":
        raise _refused(
            declaration, f"它{_now(declaration)[0]}，请改单", f"it is {_now(declaration)[1]}; amend it instead"
        )
    if declaration.completed:
        raise _refused(declaration, "它是两步申报，请重报完整申报", "it is two-step; lodge the completion again")
    version = declaration.version + 1
    told: dict[str, Any] = {"happened_at": _second(at), "recorded_at": at, "by": by, "party": party}
    return (Lodged(**told, version=version, content=content),)


def amend(
    declaration: Declaration, *, by: str, reason: str, at: datetime, content: Content | None = None, party: str = ""
) -> tuple[Fact, ...]:
    """A new version; the old ones stay. Raises Refused if there is nothing to amend, or it must be lodged again."""
    if declaration.status in {"", "withdrawn", "deleted"} | FAILED:
        raise _refused(
            declaration, f"不能改单：{_now(declaration)[0]}", f"it cannot be amended: it is {_now(declaration)[1]}"
        )
    if content is not None and content == declaration.content:
        return ()
    if content is not None and declaration.content is not None and content.kind != declaration.content.kind:
        zh, en = "改单不能改变报关单类别", f"an amendment cannot make {declaration.content.kind} into {content.kind}"
        raise _refused(declaration, zh, en)
    version = max(declaration.version, 1) + 1
    told: dict[str, Any] = {"happened_at": _second(at), "recorded_at": at, "by": by, "party": party}
    return (Amended(**told, reason=reason, version=version, content=content),)


def complete(declaration: Declaration, *, content: Content, by: str, at: datetime, party: str = "") -> tuple[Fact, ...]:
    """The second step. Raises Refused unless customs has accepted the summary, or if it was completed before."""
    if declaration.content is None or declaration.content.kind not in {"summary", "complete"}:
        raise _refused(declaration, "它不是两步申报", "it is not a two-step declaration")
    if declaration.completed and content == declaration.content and declaration.status not in FAILED:
        return ()
    if declaration.completed and declaration.status not in FAILED | {"returned"}:
        raise _refused(declaration, "完整申报已提交，请改单", "its completion was lodged; amend it instead")
    if not declaration.completed and declaration.status in BEFORE_CUSTOMS | {"deleted"}:
        zh, en = f"概要申报{_now(declaration)[0]}", f"its summary is {_now(declaration)[1]}, not accepted by customs"
        raise _refused(declaration, zh, en)
    version = declaration.version + 1
    told: dict[str, Any] = {"happened_at": _second(at), "recorded_at": at, "by": by, "party": party}
    return (CompletionLodged(**told, version=version, content=content),)


def withdraw(declaration: Declaration, *, by: str, reason: str, at: datetime, party: str = "") -> tuple[Fact, ...]:
    """Take it back. Raises Refused after release: only customs can delete it then."""
    if declaration.status in {"withdrawn", "deleted"}:
        return ()
    if declaration.released:
        raise _refused(declaration, "已放行，只能申请海关删单", "it is released; only customs can delete it now")
    if not declaration.status:
        raise _refused(declaration, "从未申报", "it was never lodged")
    return (Withdrawn(happened_at=_second(at), recorded_at=at, by=by, reason=reason, party=party),)


def request_deletion(
    declaration: Declaration, *, by: str, reason: str, at: datetime, party: str = ""
) -> tuple[Fact, ...]:
    """Ask customs to delete it; with another reason, again. Raises Refused if customs does not have it."""
    if declaration.status == "deleted" or declaration.deletion == reason:
        return ()
    if declaration.status in {"", "withdrawn"} | FAILED:
        raise _refused(declaration, "海关没有这份报关单", f"customs does not have it: it is {_now(declaration)[1]}")
    return (DeletionRequested(happened_at=_second(at), recorded_at=at, by=by, reason=reason, party=party),)


def _second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _now(declaration: Declaration) -> tuple[str, str]:
    return (STATUS_ZH.get(declaration.status, declaration.status), declaration.status or "not lodged")


def _refused(declaration: Declaration, zh: str, en: str) -> Refused:
    return Refused(
        f"报关单 {declaration.number}：{zh} / declaration {declaration.number}: {en}",
        number=declaration.number,
        status=declaration.status,
        version=declaration.version,
    )


STATUS_ZH = {
    "": "未申报",
    "lodged": "已提交",
    "submitted": "已申报",
    "submission_failed": "申报失败",
    "accepted": "海关已入库",
    "rejected": "已退单",
    "returned": "已退回修改",
    "suspended": "已挂起",
    "re_reviewed": "重审",
    "review_completed": "已审结",
    "released_under_guarantee": "已担保放行",
    "released": "已放行",
    "pickup_released": "已提货放行",
    "closed": "已结关",
    "deleted": "已删单",
    "withdrawn": "已撤回",
}


FACTS: tuple[type[Fact], ...] = (
    *dict.fromkeys(kind for kind, _ in RECEIPTS.values()),
    Received,
    InspectionCompleted,
    Lodged,
    Amended,
    CompletionLodged,
    Withdrawn,
    DeletionRequested,
)
fact.register(*FACTS)
