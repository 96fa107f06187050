"""Rating: what a quantity comes to under a rule of pricing, and why. Pure; integer minor units.

An enterprise's units of a month are rated together: the first `included` are free, tiers count all of them, the cap
holds for their sum. Amounts are whole by construction: a price is a whole number of fen for a unit, a package or a
month.
"""

from math import ceil

import msgspec

from domain.pricing import Pricing


class Rated(msgspec.Struct, frozen=True):
    """`amount_minor` is what is paid, `list_minor` what it would be without free units and cap."""

    amount_minor: int
    list_minor: int
    free_quantity: int  # of the quantity, covered by what is included
    explanation: str  # how it was reckoned, in figures


def rate(rule: Pricing, quantity: int) -> Rated:
    """What a month's quantity of one enterprise comes to; below zero (more taken back than used) it is a credit.

    >>> rate(Pricing(price_minor=2, included=10, cap_minor=100), 25)
    Rated(amount_minor=30, list_minor=50, free_quantity=10, explanation='15 x 2')
    >>> rate(Pricing(price_minor=2), -3).amount_minor
    -6
    """
    free = min(rule.included, max(quantity, 0))
    amount, explanation = _amount(rule, quantity - free)
    if rule.cap_minor is not None and amount > rule.cap_minor:
        amount, explanation = rule.cap_minor, f"min({explanation}, {rule.cap_minor})"
    return Rated(amount, _amount(rule, quantity)[0], free, explanation)


def _amount(rule: Pricing, quantity: int) -> tuple[int, str]:
    if rule.model == "flat":
        return rule.price_minor, f"{rule.price_minor}"
    if quantity < 0:
        amount, explanation = _amount(rule, -quantity)
        return -amount, f"-({explanation})"
    if rule.model == "unit":
        return quantity * rule.price_minor, f"{quantity} x {rule.price_minor}"
    if rule.model == "package":
        packages = ceil(quantity / rule.package)
        return packages * rule.price_minor, f"{packages} x {rule.price_minor}"
    if rule.model == "volume":
        price = next(tier.price_minor for tier in rule.tiers if tier.up_to is None or quantity <= tier.up_to)
        return quantity * price, f"{quantity} x {price}"
    return _graduated(rule, quantity)


def _graduated(rule: Pricing, quantity: int) -> tuple[int, str]:
    amount, begin, parts = 0, 0, []
    for tier in rule.tiers:
        units = quantity - begin if tier.up_to is None else max(0, min(quantity, tier.up_to) - begin)
        if units > 0:
            amount += units * tier.price_minor
            parts.append(f"{units} x {tier.price_minor}")
        begin = tier.up_to or 0
    return amount, " + ".join(parts) or "0"
