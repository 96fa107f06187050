"""Rating: what a quantity comes to under a rule of pricing, and why. Pure; integer minor units.

An enterprise's units of a month are rated together: the first `included` are free, tiers count all of them, the cap
holds for their sum. Amounts are whole by construction: a price is a whole number of fen for a unit, a package or a
month. What is rounded at all is rounded once, half up, on the line: `half_up`, of the tax that an amount includes.
"""

import msgspec

from domain.pricing import ALL_OF_IT, Payer, Pricing


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
    if quantity < 0:
        return _credit(rule, -quantity)
    free = min(rule.included, quantity)
    amount, explanation = _amount(rule, quantity - free)
    if rule.cap_minor is not None and amount > rule.cap_minor:
        amount, explanation = rule.cap_minor, f"min({explanation}, {rule.cap_minor})"
    return Rated(amount, _amount(rule, quantity)[0], free, explanation)


def _amount(rule: Pricing, quantity: int) -> tuple[int, str]:
    if rule.model == "flat":
        return rule.price_minor, f"{rule.price_minor}"
    if rule.model == "unit":
        return quantity * rule.price_minor, f"{quantity} x {rule.price_minor}"
    if rule.model == "package":
        packages = -(-quantity // rule.package)  # a begun one counts
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


def _credit(rule: Pricing, taken_back: int) -> Rated:
    """For units of an earlier month: no more than they can have cost there, as long as no cap was reached.

    What may have been free gives nothing back, a begun package nothing, a flat price nothing; of tiers the cheapest.
    """
    units, price = max(0, taken_back - rule.included), rule.price_minor
    if rule.model == "flat":
        units = 0
    elif rule.model == "package":
        units //= rule.package
    elif rule.tiers:
        price = min(tier.price_minor for tier in rule.tiers)
    amount, explanation = -units * price, f"-({units} x {price})"
    if rule.cap_minor is not None and -amount > rule.cap_minor:
        amount, explanation = -rule.cap_minor, f"-min({units} x {price}, {rule.cap_minor})"
    return Rated(amount, amount, 0, explanation)


def split(rule: Pricing, amount_minor: int, *, principal: bool = True) -> dict[Payer, int]:
    """Who bears how much of an amount; it is divided without a rest, the odd fen goes to the first.

    `principal`: whether there is one; without, the caller bears all.

    >>> from domain.pricing import Share
    >>> split(Pricing(split=(Share("caller", 50), Share("principal", 50))), 5)
    {'caller': 3, 'principal': 2}
    """
    if not rule.split or not principal:
        return {"caller": amount_minor}
    sign = -1 if amount_minor < 0 else 1
    first, *others = rule.split
    shares: dict[Payer, int] = {
        share.payer: sign * (abs(amount_minor) * share.percent // ALL_OF_IT) for share in others
    }
    return {first.payer: amount_minor - sum(shares.values()), **shares}


WHOLE_BP = 10_000  # basis points


def half_up(numerator: int, denominator: int) -> int:
    """The quotient as a whole number, halves away from zero, so that a credit mirrors what it credits.

    >>> half_up(5, 2), half_up(-5, 2), half_up(7, 3)
    (3, -3, 2)
    """
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


def tax_split(gross_minor: int, rate_bp: int) -> tuple[int, int]:
    """Net and tax of an amount that includes the tax; rate in basis points. They always add up to it.

    >>> tax_split(10_600, 600), tax_split(1, 600), tax_split(-10_600, 600)
    ((10000, 600), (1, 0), (-10000, -600))
    """
    net = half_up(gross_minor * WHOLE_BP, WHOLE_BP + rate_bp)
    return net, gross_minor - net
