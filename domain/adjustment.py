"""An adjustment: money given or claimed on the next statement, with its reason, for what an issued one says wrongly.

Stream: `adjustment:ID` in the commerce journal. Nothing that was issued is changed: an adjustment stands in the journal
before a cut-off, and is a line of the statement of that month. It names a commercial item, for nothing else has money.
A second person approves it; until then it counts for nothing. Money is integer minor units (fen), tax included; a
credit is below zero.
"""

from datetime import datetime
from typing import Literal

import msgspec

from domain import fact, period, register
from domain.errors import Refused
from domain.fact import Fact

AMOUNT_MAX = 10**12


# --- facts ---


class AdjustmentFact(Fact, frozen=True, kw_only=True):
    """What every fact about an adjustment says."""

    adjustment: str  # its ID
    by: str


class AdjustmentProposed(AdjustmentFact, frozen=True, kw_only=True, tag="adjustment.proposed"):
    holder: str
    is_party: bool
    item: str  # commercial
    amount_minor: int  # below zero: a credit
    reason: str
    corrects_period: str = ""  # month that it is about
    statement: str = ""  # number that it is about


class AdjustmentApproved(AdjustmentFact, frozen=True, kw_only=True, tag="adjustment.approved"):
    """From its place in the journal on it counts: for the month that is cut off next."""

    proposed: AdjustmentProposed


class AdjustmentDeclined(AdjustmentFact, frozen=True, kw_only=True, tag="adjustment.declined"):
    reason: str


# --- state ---


class Adjustment(msgspec.Struct, frozen=True):
    id: str
    proposed: AdjustmentProposed | None = None
    state: Literal["", "proposed", "approved", "declined"] = ""


def stream(adjustment: str) -> str:
    return f"adjustment:{adjustment}"


def evolve(adjustment: Adjustment, happened: Fact) -> Adjustment:
    """The adjustment after one more fact. Never fails."""
    replace = msgspec.structs.replace
    match happened:
        case AdjustmentProposed():
            return replace(adjustment, proposed=happened, state="proposed")
        case AdjustmentApproved():
            return replace(adjustment, state="approved")
        case AdjustmentDeclined():
            return replace(adjustment, state="declined")
        case _:
            raise AssertionError(happened)


# --- decisions: no facts back = nothing new ---


def propose(
    adjustment: Adjustment,
    *,
    holder: str,
    is_party: bool,
    item: str,
    commercial: bool,
    amount_minor: int,
    reason: str,
    by: str,
    at: datetime,
    corrects_period: str = "",
    statement: str = "",
) -> tuple[Fact, ...]:
    """Raises Refused for a government item, no money, or too much of it; Malformed for a month that is none."""
    if adjustment.state:
        return ()
    if not commercial:
        raise Refused(f"{item} 免费，无从调整 / {item} is free of charge: there is nothing to adjust", item=item)
    if not amount_minor or abs(amount_minor) > AMOUNT_MAX:
        raise Refused(
            f"金额以分计，不为零，绝对值不超过 {AMOUNT_MAX} / an amount in fen, not 0, {AMOUNT_MAX} at most",
            amount_minor=amount_minor,
        )
    return (
        AdjustmentProposed(
            happened_at=at,
            recorded_at=at,
            adjustment=adjustment.id,
            holder=holder,
            is_party=is_party,
            item=item,
            amount_minor=amount_minor,
            reason=register.said("理由", "reason", reason),
            corrects_period=period.parse(corrects_period) if corrects_period else "",
            statement=statement,
            by=by,
        ),
    )


def approve(adjustment: Adjustment, *, by: str, at: datetime) -> tuple[Fact, ...]:
    """By somebody else than who proposed it. Raises Refused."""
    proposed = _open(adjustment, by)
    if proposed is None:
        return ()
    return (AdjustmentApproved(happened_at=at, recorded_at=at, adjustment=adjustment.id, proposed=proposed, by=by),)


def decline(adjustment: Adjustment, *, reason: str, by: str, at: datetime) -> tuple[Fact, ...]:
    """It will not count. Raises Refused for one that counts already."""
    if adjustment.state == "declined":
        return ()
    if adjustment.proposed is None or adjustment.state != "proposed":
        raise Refused("没有待审的调整 / there is no adjustment to decide on", adjustment=adjustment.id)
    told = register.said("理由", "reason", reason)
    return (AdjustmentDeclined(happened_at=at, recorded_at=at, adjustment=adjustment.id, reason=told, by=by),)


def _open(adjustment: Adjustment, by: str) -> AdjustmentProposed | None:
    """What waits for a decision; None if it was approved before."""
    if adjustment.state == "approved":
        return None
    if adjustment.proposed is None or adjustment.state != "proposed":
        raise Refused("没有待审的调整 / there is no adjustment to decide on", adjustment=adjustment.id)
    if adjustment.proposed.by == by:
        raise Refused("调整须由另一人审批 / an adjustment is approved by somebody else than who proposed it", by=by)
    return adjustment.proposed


fact.register(AdjustmentProposed, AdjustmentApproved, AdjustmentDeclined)
