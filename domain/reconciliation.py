"""Reconciliation of a month: the differences that were found, who looks after each, and who signed.

Stream: `reconciliation:2026-10` in the commerce journal. A break has an id derived from its code, its period and what
it is about, so the same difference found again is the same break. A month can be closed with none open, or with each
open one accepted by name and reason. Money is integer minor units (fen); times are UTC.
"""

from datetime import datetime
from typing import Literal

import msgspec

from domain import fact, register
from domain.errors import Refused
from domain.fact import Fact

Code = Literal[
    "unmetered_event",
    "duplicate_entry",
    "unrated_usage",
    "free_usage_billed",
    "line_missing_at_provider",
    "line_unknown_to_us",
    "amount_mismatch",
    "currency_mismatch",
    "status_mismatch",
    "duplicate_provider_invoice",
    "payment_without_invoice",
    "refund_without_credit_note",
    "late_usage_pending",
    "fapiao_missing",
    "fapiao_amount_mismatch",
    "above_published_price",
]
CODES: dict[Code, tuple[str, str]] = {
    "unmetered_event": ("交付未计量", "a delivery that no meter counted"),
    "duplicate_entry": ("重复计量", "a delivery counted twice"),
    "unrated_usage": ("用量未入账单", "usage that is on no statement line"),
    "free_usage_billed": ("免费服务被收费", "free usage with an amount"),
    "line_missing_at_provider": ("支付方缺行", "a statement line that the provider's invoice lacks"),
    "line_unknown_to_us": ("支付方多行", "a line at the provider that no statement has"),
    "amount_mismatch": ("金额不符", "amounts differ"),
    "currency_mismatch": ("币种不符", "currencies differ"),
    "status_mismatch": ("状态不符", "the provider's status does not fit ours"),
    "duplicate_provider_invoice": ("支付方重复开单", "two invoices at the provider for one statement"),
    "payment_without_invoice": ("收款无对应账单", "a payment that belongs to no invoice"),
    "refund_without_credit_note": ("退款无贷项", "a refund without a credit note"),
    "late_usage_pending": ("迟到用量待入账", "late usage that waits for the next period"),
    "fapiao_missing": ("缺发票", "paid, and no fapiao recorded"),
    "fapiao_amount_mismatch": ("发票金额不符", "fapiao and statement differ"),
    "above_published_price": ("高于公示价", "charged above the published price"),
}


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """A typed difference. `about`: what it is about, in words that do not change (a statement line, a payment)."""

    break_id: str
    code: Code
    period: str
    about: str
    holder: str = ""
    statement: str = ""
    line: int | None = None
    ours_minor: int | None = None
    theirs_minor: int | None = None
    detail: str = ""  # figures, ids, in both languages where it is a sentence
    evidence: str = ""  # path of this API where the facts behind it are shown


def identity(code: str, period: str, about: str) -> str:
    """The stable id of a break: the first half of a digest."""
    return f"B-{fact.digest_id('break', code, period, about).hex[:16]}"


# --- facts ---


class ReconciliationFact(Fact, frozen=True, kw_only=True):
    """What every fact about a reconciliation says."""

    period: str
    by: str


class Reconciled(ReconciliationFact, frozen=True, kw_only=True, tag="reconciliation.run"):
    """Three snapshots were compared. Digests name what was compared, so that it can be shown to be the same."""

    cut_off: int  # position of the commerce journal up to which ours was read
    journal_sha256: str
    statements_sha256: str
    provider_sha256: str
    counts: dict[str, int]  # statements, lines, entries, invoices, payments, …
    breaks: tuple[Break, ...]


class BreakAssigned(ReconciliationFact, frozen=True, kw_only=True, tag="reconciliation.break_assigned"):
    break_id: str
    owner: str  # account that looks after it


class BreakAccepted(ReconciliationFact, frozen=True, kw_only=True, tag="reconciliation.break_accepted"):
    """It stays as it is, and the month may be closed with it."""

    break_id: str
    reason: str


class ReconciliationSigned(ReconciliationFact, frozen=True, kw_only=True, tag="reconciliation.signed"):
    """Somebody else than who ran it answers for the last run."""

    open: int  # breaks left, each of them accepted
    run: int  # version of the run on the stream
    note: str = ""


# --- state ---


class Standing(msgspec.Struct, frozen=True):
    """A break as it stands."""

    found: Break
    first_seen: datetime
    last_seen: datetime
    owner: str = ""
    accepted: str = ""  # reason
    accepted_by: str = ""
    resolved_at: datetime | None = None  # a later run did not find it any more

    @property
    def state(self) -> str:
        """open, accepted, resolved."""
        if self.resolved_at is not None:
            return "resolved"
        return "accepted" if self.accepted else "open"


class Reconciliation(msgspec.Struct, frozen=True):
    period: str
    run: Reconciled | None = None
    runs: int = 0
    version: int = 0  # of the last fact
    run_version: int = 0
    breaks: dict[str, Standing] = {}
    signed: ReconciliationSigned | None = None  # of the last run

    def open(self) -> list[Standing]:
        """Breaks that nobody accepted and no later run has resolved."""
        return [each for each in self.breaks.values() if each.state == "open"]


def stream(period: str) -> str:
    return f"reconciliation:{period}"


def evolve(state: Reconciliation, happened: Fact) -> Reconciliation:
    """The reconciliation after one more fact. Never fails."""
    state = msgspec.structs.replace(state, version=state.version + 1)
    replace = msgspec.structs.replace
    match happened:
        case Reconciled():
            return _ran(state, happened)
        case BreakAssigned(break_id=name, owner=owner):
            return _changed(state, name, owner=owner)
        case BreakAccepted(break_id=name, reason=reason, by=by):
            return _changed(state, name, accepted=reason, accepted_by=by)
        case ReconciliationSigned():
            return replace(state, signed=happened)
        case _:
            raise AssertionError(happened)


def _ran(state: Reconciliation, run: Reconciled) -> Reconciliation:
    at, now = run.happened_at, {each.break_id: each for each in run.breaks}
    stands = {
        name: msgspec.structs.replace(had, resolved_at=had.resolved_at or at)
        for name, had in state.breaks.items()
        if name not in now
    }
    for name, found in now.items():
        had = state.breaks.get(name, Standing(found, at, at))
        again = had.resolved_at is not None or had.found != found  # what was accepted were these figures
        stands[name] = msgspec.structs.replace(
            had,
            found=found,
            last_seen=at,
            resolved_at=None,
            accepted="" if again else had.accepted,
            accepted_by="" if again else had.accepted_by,
        )
    return msgspec.structs.replace(
        state, run=run, runs=state.runs + 1, run_version=state.version, breaks=stands, signed=None
    )


def _changed(state: Reconciliation, name: str, **to: str) -> Reconciliation:
    had = state.breaks.get(name)
    if had is None:
        return state
    return msgspec.structs.replace(state, breaks={**state.breaks, name: msgspec.structs.replace(had, **to)})


# --- decisions: no facts back = nothing new ---


def accept(state: Reconciliation, *, break_id: str, reason: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """Leave an open break as it is. Raises Refused for one that is not open, or that is never to be accepted."""
    had = _known(state, break_id)
    if had.state == "accepted":
        return ()
    if had.state != "open":
        raise Refused(f"差异 {break_id} 已消除 / break {break_id} is resolved", break_id=break_id)
    if had.found.code == "free_usage_billed":
        raise Refused(
            "免费服务收费不得接受，须更正 / a charge for free usage cannot be accepted: correct it", break_id=break_id
        )
    told = register.said("理由", "reason", reason)
    return (BreakAccepted(happened_at=at, recorded_at=at, period=state.period, by=by, break_id=break_id, reason=told),)


def assign(state: Reconciliation, *, break_id: str, owner: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """Say who looks after it."""
    if _known(state, break_id).owner == owner:
        return ()
    told = register.said("负责人", "owner", owner)
    return (BreakAssigned(happened_at=at, recorded_at=at, period=state.period, by=by, break_id=break_id, owner=told),)


def sign(state: Reconciliation, *, by: str, at: datetime, note: str = "") -> tuple[Fact, ...]:
    """Answer for the last run. Raises Refused with breaks open, without a run, and for who ran it."""
    if state.signed is not None:
        return ()
    if state.run is None:
        raise Refused(f"{state.period} 尚未对账 / {state.period} was not reconciled yet", period=state.period)
    if state.run.by == by:
        raise Refused("签字人不得为对账人 / it is signed by somebody else than who ran it", by=by)
    if left := state.open():
        raise Refused(
            f"尚有 {len(left)} 项差异未处理 / {len(left)} breaks are open",
            period=state.period,
            breaks=[each.found.break_id for each in left[:20]],
        )
    accepted = sum(each.state == "accepted" for each in state.breaks.values())
    return (
        ReconciliationSigned(
            happened_at=at,
            recorded_at=at,
            period=state.period,
            by=by,
            open=accepted,
            run=state.run_version,
            note=register.remark("附注", "note", note),
        ),
    )


def _known(state: Reconciliation, break_id: str) -> Standing:
    if break_id not in state.breaks:
        raise Refused(f"没有差异 {break_id[:40]} / there is no break {break_id[:40]}", break_id=break_id[:40])
    return state.breaks[break_id]


FACTS: tuple[type[Fact], ...] = tuple(ReconciliationFact.__subclasses__())
fact.register(*FACTS)
