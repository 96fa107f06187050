"""Statements: what a holder's month comes to, free and paid together, drawn up by a pure function.

The same lines as the live usage (billing/metering.py), each with its tax, its share where others bear a part, and the
reason where it costs nothing; then adjustments. Credit that is left is carried to the next statement, never a negative
invoice. Where the lines come from, and how statements are issued, is billing/drafting.py. Money is fen, tax included.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from billing.metering import UsageLine
from billing.rating import tax_split
from domain import period, statement
from domain.adjustment import AdjustmentProposed
from domain.catalogue import ItemListed, Price
from domain.seller import Selling
from domain.statement import Holder, Line, Reason, Statement

KIND_ORDER = ("usage", "share", "adjustment")
CLASS_ORDER = ("government", "commercial")


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """What statements of a month rest on beside usage: the journal up to the cut-off."""

    period: str
    cut_off: int  # position in the commerce journal
    selling: Selling
    items: Mapping[str, ItemListed]  # by code, as last described
    prices: Mapping[tuple[str, str], Price]  # by item and version
    names: Mapping[str, tuple[str, str]]  # of parties


class Borne(NamedTuple):
    """A line, before it has its number, and whose statement it stands on."""

    holder: str
    is_party: bool
    line: Line


class Previous(NamedTuple):
    """The holder's statement before."""

    number: str
    sha256: str
    carried_forward_minor: int


# --- lines ---


def borne(used: UsageLine, pinned: Pinned) -> Iterator[Borne]:
    """The line on its user's own statement, and one for each other party that bears a share of it."""
    shares = {share.party: share.amount_minor for share in used.shares}
    own = shares.pop(used.holder, 0)
    yield Borne(used.holder, used.is_party, _taxed(_used(used, pinned), own, pinned))
    for party, minor in shares.items():
        line = msgspec.structs.replace(_used(used, pinned), kind="share")
        yield Borne(party, True, _taxed(line, minor, pinned))


def adjusted(adjustment: AdjustmentProposed, pinned: Pinned) -> Borne:
    """The line of an approved adjustment."""
    line = Line(
        no=0,
        kind="adjustment",
        **_described(adjustment.item, pinned),
        corrects_period=adjustment.corrects_period or None,
        used_by=adjustment.holder,
        used_by_party=adjustment.is_party,
        whole_minor=adjustment.amount_minor,
        explanation=adjustment.reason,
        reference=adjustment.adjustment,
    )
    return Borne(adjustment.holder, adjustment.is_party, _taxed(line, adjustment.amount_minor, pinned))


def _used(used: UsageLine, pinned: Pinned) -> Line:
    return Line(
        no=0,
        **_described(used.item, pinned),
        tariff=used.tariff,
        waived=used.waived,
        corrects_period=used.corrects_period,
        used_by=used.holder,
        used_by_party=used.is_party,
        deliveries=used.deliveries,
        quantity=used.quantity,
        free_quantity=used.free_quantity,
        reversed_quantity=used.reversed_quantity,
        list_minor=used.list_minor,
        waived_minor=used.waived_minor,
        whole_minor=used.amount_minor,
        reason=_reason(used),
        explanation=used.explanation,
    )


def _reason(used: UsageLine) -> Reason:
    if used.item_class == "government":
        return "government"
    if used.tariff is None:
        return "not_charged"
    if used.waived:
        return "trial" if used.waived == "trial" else "sandbox"
    return "included" if used.free_quantity else ""


def _described(item: str, pinned: Pinned) -> dict[str, Any]:
    listed = pinned.items[item]  # what was used was listed before
    return {
        "item": item,
        "item_class": listed.item_class,
        "zh": listed.zh,
        "en": listed.en,
        "unit_zh": listed.unit_zh,
        "unit_en": listed.unit_en,
        "provider": listed.provider,
    }


def _taxed(line: Line, amount_minor: int, pinned: Pinned) -> Line:
    """With what its holder bears, and the tax in it at the rate of the month in which it was used."""
    if not amount_minor:
        return line
    rate_bp = pinned.selling.rate_bp(line.corrects_period or pinned.period)
    net, tax = tax_split(amount_minor, rate_bp)
    return msgspec.structs.replace(line, amount_minor=amount_minor, tax_rate_bp=rate_bp, net_minor=net, tax_minor=tax)


# --- the document ---


def draw_up(
    pinned: Pinned,
    number: str,
    whose: tuple[str, bool],
    lines: Iterable[Line],
    previous: Previous | None = None,
) -> Statement:
    """The statement of a holder (`whose`: its code, and whether it is a party). Any order of lines gives the same."""
    code, is_party = whose
    zh, en = pinned.names.get(code, (code, code)) if is_party else (code, code)
    numbered = tuple(msgspec.structs.replace(line, no=no) for no, line in enumerate(sorted(lines, key=_order), start=1))
    starts_at, ends_at = period.bounds(pinned.period)
    sums: Any = statement.totals(numbered)
    brought = min(0, previous.carried_forward_minor) if previous else 0
    left = sums["total_minor"] + brought
    return Statement(
        number=number,
        period=pinned.period,
        starts_at=starts_at,
        ends_at=ends_at,
        seller=pinned.selling.seller,
        holder=Holder(code=code, is_party=is_party, zh=zh, en=en),
        cut_off=pinned.cut_off,
        tariffs=tuple(sorted({line.tariff for line in numbered if line.tariff})),
        previous=previous.number if previous else "",
        previous_sha256=previous.sha256 if previous else "",
        lines=numbered,
        **sums,
        brought_forward_minor=brought,
        payable_minor=max(0, left),
        carried_forward_minor=min(0, left),
    )


def _order(line: Line) -> tuple[object, ...]:
    where = (KIND_ORDER.index(line.kind), CLASS_ORDER.index(line.item_class), line.item, line.tariff or "")
    return (*where, line.waived, line.corrects_period or "", line.used_by_party, line.used_by, line.reference)
