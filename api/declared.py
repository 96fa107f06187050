"""A declaration as its declarant sees it: content, versions, receipts, status and sending. Pure; made of facts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from api.customs_outbox import Sending
from domain import declaration
from domain.declaration import Amended, CompletionLodged, DeletionRequested, Lodged, Received, Withdrawn
from domain.declaring import Content
from domain.fact import tag_of
from domain.journal import Entry
from domain.milestones import name
from projections.drafts import Draft, Origin


class Version(msgspec.Struct, frozen=True, omit_defaults=True):
    """One decision of the declarant."""

    what: str  # permanent name of the fact
    at: datetime
    by: str
    version: int = 0  # of the content; 0: it does not change the content
    reason: str = ""


class ReceiptLine(msgspec.Struct, frozen=True):
    """What customs said, or the data centre."""

    number: str  # under which it came
    raw_code: str
    code: str
    zh: str
    en: str
    text: str
    noticed_at: datetime
    recorded_at: datetime
    source: str
    fact_id: UUID
    stands: bool  # false: it was taken back
    warnings: tuple[str, ...]


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """`version` is that of the record, for If-Match; `content_version` counts lodgings, amendments and completions."""

    number: str
    numbers: list[str]  # the others it goes by
    version: int
    content_version: int
    kind: str
    status: str
    status_zh: str
    released: bool
    completion_due: bool
    blocking: list[str]
    by: str
    content: Content
    versions: list[Version]
    receipts: list[ReceiptLine]
    sending: list[Sending]
    lodged_fact: UUID

    def as_draft(self) -> Draft:
        """Its content as a start for another one."""
        content: dict[str, Any] = msgspec.to_builtins(self.content, str_keys=True)
        origin = Origin(self.by, f"declaration:{self.number}", code="DEC_LODGED", fact_id=self.lodged_fact)
        return Draft(content, dict.fromkeys(content, origin))


def describe(own: Sequence[Entry], others: Sequence[Entry], sending: list[Sending]) -> Declared:
    """From the stream under which it was lodged here and those of its other numbers."""
    number = own[0].stream.partition(":")[2]
    entries = sorted([*own, *others], key=lambda each: each.position)
    state = declaration.fold(number, [(each.fact_id, each.fact) for each in entries])
    gone = declaration.withdrawn(each.fact for each in entries)
    assert state.content is not None
    return Declared(
        number=number,
        numbers=sorted({each.stream.partition(":")[2] for each in others}),
        version=len(own),
        content_version=state.version,
        kind=state.content.kind,
        status=state.status,
        status_zh=declaration.STATUS_ZH[state.status],
        released=state.released,
        completion_due=state.summary_only,
        blocking=sorted(state.blocking),
        by=state.by,
        content=state.content,
        versions=[version for each in own if (version := _version(each))],
        receipts=[_receipt(each, each.fact, gone) for each in entries if isinstance(each.fact, Received)],
        sending=sending,
        lodged_fact=next(each.fact_id for each in own if isinstance(each.fact, Lodged)),
    )


def _version(entry: Entry) -> Version | None:
    match entry.fact:
        case Lodged() | Amended() | CompletionLodged() | Withdrawn() | DeletionRequested() as told:
            version, reason = getattr(told, "version", 0), getattr(told, "reason", "")
            return Version(tag_of(type(told)), told.recorded_at, told.by, version, reason)
        case _:
            return None


def _receipt(entry: Entry, told: Received, gone: set[UUID]) -> ReceiptLine:
    return ReceiptLine(
        number=entry.stream.partition(":")[2],
        raw_code=told.raw_code,
        code=told.code,
        zh=name(told.code, "zh") if told.code else told.text,
        en=name(told.code, "en") if told.code else told.text,
        text=told.text,
        noticed_at=told.happened_at,
        recorded_at=told.recorded_at,
        source=told.source,
        fact_id=entry.fact_id,
        stands=entry.fact_id not in gone,
        warnings=told.warnings,
    )
