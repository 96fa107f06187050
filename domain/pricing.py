"""How a commercial service item is priced: the rule of a tariff, before anything is multiplied.

Money is integer minor units (fen). A month is a calendar month in Asia/Shanghai, half-open. Which amount a rule comes
to is billing/rating.py.
"""

from typing import Literal

import msgspec

from domain.errors import Refused

Model = Literal["unit", "flat", "package", "graduated", "volume"]
MODELS: dict[Model, tuple[str, str]] = {
    "unit": ("按量", "per unit"),
    "flat": ("包月", "flat, a month"),
    "package": ("按包", "by the package"),
    "graduated": ("分档累进", "graduated"),
    "volume": ("按总量定档", "volume"),
}
Payer = Literal["caller", "principal"]
ALL_OF_IT = 100  # per cent
AMOUNT_MAX = 10**12  # of units and of fen: all that follows fits a bigint
TIERS_MAX = 20


class Tier(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step of a graduated or volume price. `up_to`: the last unit of the month that it covers; None: the rest."""

    price_minor: int
    up_to: int | None = None


class Share(msgspec.Struct, frozen=True):
    """What one side bears. The principal is whom the caller acted for; without one the caller bears all."""

    payer: Payer
    percent: int


class Cost(msgspec.Struct, frozen=True, omit_defaults=True):
    """The statement of costs on which a price of a cost-recovery node rests."""

    unit_minor: int  # what one unit costs the node
    method_zh: str
    method_en: str
    document_no: str = ""


class Pricing(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The rule. Counting starts anew for each enterprise and month."""

    model: Model = "unit"
    price_minor: int = 0  # of a unit, of a month (flat), of a package
    package: int = 1  # units in a package; a begun one is paid in whole
    tiers: tuple[Tier, ...] = ()
    included: int = 0  # units a month that nobody pays
    cap_minor: int | None = None  # the most that an enterprise pays in a month
    split: tuple[Share, ...] = ()  # none: the caller pays
    reversal_credit: bool = False  # a fact that its source takes back gives its unit back


def check(pricing: Pricing) -> Pricing:
    """The rule as it came. Raises Refused for one that cannot be calculated with."""
    if pricing.model not in MODELS:
        raise Refused(
            f"计价方式 {pricing.model!r} 不明 / no such way of pricing: {pricing.model!r}", known=list(MODELS)
        )
    amounts = [pricing.price_minor, pricing.included, pricing.cap_minor or 0, *(t.price_minor for t in pricing.tiers)]
    if min(amounts) < 0 or pricing.package < 1:
        raise Refused("价格、数量不得为负，每包至少一个 / no price or quantity is below zero, no package is empty")
    ends = [tier.up_to or 0 for tier in pricing.tiers]
    if max(*amounts, pricing.package, *ends, 0) > AMOUNT_MAX or len(pricing.tiers) > TIERS_MAX:
        raise Refused(f"价格、数量至多 {AMOUNT_MAX}，至多 {TIERS_MAX} 档 / at most {AMOUNT_MAX}, {TIERS_MAX} tiers")
    if (pricing.model in {"graduated", "volume"}) != bool(pricing.tiers):
        raise Refused(
            "分档计价须列各档，其他方式不得列 / tiers belong to graduated and volume prices, and only to them"
        )
    _check_tiers(pricing.tiers)
    payers = [share.payer for share in pricing.split]
    if payers and (len(set(payers)) < len(payers) or sum(share.percent for share in pricing.split) != ALL_OF_IT):
        raise Refused("分担比例合计须为 100，每方一次 / shares must come to 100 per cent, each side once")
    if any(not 0 <= share.percent <= ALL_OF_IT for share in pricing.split):
        raise Refused("分担比例须为 0 至 100 / a share is 0 to 100 per cent")
    return pricing


def _check_tiers(tiers: tuple[Tier, ...]) -> None:
    if not tiers:
        return
    ends = [tier.up_to for tier in tiers]
    bounded = [end for end in ends[:-1] if end is not None]
    if ends[-1] is not None or len(bounded) < len(ends) - 1 or bounded != sorted(set(bounded)) or bounded[:1] == [0]:
        raise Refused("各档上限须递增，最后一档不设上限 / the ends of tiers rise, and the last tier has none")


def no_dearer(new: Pricing, old: Pricing) -> bool:
    """Whether nobody can come to pay more by the new rule, whatever is used. In doubt it says no.

    >>> no_dearer(Pricing(price_minor=1), Pricing(price_minor=2))
    True
    >>> no_dearer(Pricing(price_minor=1), Pricing(price_minor=2, included=100))
    False
    """
    worse = (
        new.split != old.split
        or (old.reversal_credit and not new.reversal_credit)
        or new.included < old.included
        or (old.cap_minor is not None and (new.cap_minor is None or new.cap_minor > old.cap_minor))
    )
    return not worse and _no_step_dearer(new, old)


def _no_step_dearer(new: Pricing, old: Pricing) -> bool:
    models = {new.model, old.model}
    if models & {"flat", "package"}:
        return len(models) == 1 and new.package == old.package and new.price_minor <= old.price_minor
    if "volume" in models and ("graduated" in models or new.included != old.included):
        return False  # where fewer units may cost more, only reckoning tells
    ends = sorted({tier.up_to for rule in (new, old) for tier in rule.tiers if tier.up_to is not None})
    return all(_price_at(new, units) <= _price_at(old, units) for units in [*ends, (ends or [0])[-1] + 1])


def _price_at(rule: Pricing, units: int) -> int:
    """Of the step that covers so many units."""
    covering = (tier.price_minor for tier in rule.tiers if tier.up_to is None or units <= tier.up_to)
    return next(covering, rule.price_minor)
