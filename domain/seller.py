"""Who bills, and at which rate of tax: what the node says of itself on statements and invoices.

Stream: `seller:node` in the commerce journal. A rate holds from a moment on, for what is supplied in a month whose last
moment it is in force at; rates are basis points (600 is 6 %), prices include the tax. Times are UTC.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from domain import fact, period, register
from domain.errors import Refused
from domain.fact import Fact
from domain.statement import Seller

STREAM = "seller:node"
RATE_MAX_BP = 10_000
FIELDS = tuple(Seller.__struct_fields__)


# --- facts ---


class SellerDescribed(Fact, frozen=True, kw_only=True, tag="seller.described"):
    """What stands on statements from now on."""

    seller: Seller
    by: str


class TaxRateSet(Fact, frozen=True, kw_only=True, tag="seller.tax_rate_set"):
    """From then on this rate; set again for the same moment, the later one holds."""

    rate_bp: int
    effective_from: datetime
    basis: str  # law, notice or decision that it rests on
    by: str


# --- state ---


class Rate(msgspec.Struct, frozen=True):
    rate_bp: int
    effective_from: datetime


class Selling(msgspec.Struct, frozen=True):
    """The seller and its rates, in the order in which they were set."""

    seller: Seller = Seller()
    rates: tuple[Rate, ...] = ()

    def rate_bp(self, month: str) -> int:
        """What is in force at the last moment of a month; 0 if none was ever set."""
        end = period.bounds(month)[1]
        begun = [rate for rate in self.rates if rate.effective_from < end]
        return max(begun, key=lambda rate: rate.effective_from, default=Rate(0, end)).rate_bp


def evolve(selling: Selling, happened: Fact) -> Selling:
    """The state after one more fact. Never fails."""
    match happened:
        case SellerDescribed(seller=seller):
            return msgspec.structs.replace(selling, seller=seller)
        case TaxRateSet(rate_bp=rate_bp, effective_from=start):
            others = tuple(rate for rate in selling.rates if rate.effective_from != start)
            return msgspec.structs.replace(selling, rates=(*others, Rate(rate_bp, start)))
        case _:
            raise AssertionError(happened)


def folded(facts: Iterable[Fact]) -> Selling:
    """All that was told of the seller."""
    selling = Selling()
    for told in facts:
        selling = evolve(selling, told)
    return selling


# --- decisions: no facts back = nothing new ---


def describe(selling: Selling, seller: Seller, *, by: str, at: datetime) -> tuple[Fact, ...]:
    """Say who bills. Raises Refused for a text that cannot be printed."""
    told = Seller(**{name: register.remark(name, name, getattr(seller, name)) for name in FIELDS})
    if told == selling.seller:
        return ()
    return (SellerDescribed(happened_at=at, recorded_at=at, seller=told, by=by),)


def set_rate(
    selling: Selling, *, rate_bp: int, effective_from: datetime, basis: str, by: str, at: datetime
) -> tuple[Fact, ...]:
    """Set a rate from a moment on. Raises Refused for one that is none."""
    if not 0 <= rate_bp < RATE_MAX_BP:
        raise Refused(
            f"税率以万分之一计，须为 0 至 {RATE_MAX_BP - 1} / a rate is 0 to {RATE_MAX_BP - 1} basis points",
            rate_bp=rate_bp,
        )
    if Rate(rate_bp, effective_from) in selling.rates:
        return ()
    return (
        TaxRateSet(
            happened_at=at,
            recorded_at=at,
            rate_bp=rate_bp,
            effective_from=effective_from,
            basis=register.said("依据", "basis", basis),
            by=by,
        ),
    )


fact.register(SellerDescribed, TaxRateSet)
