"""A rule of pricing in words, for the public list of fees: Chinese and English, exact to the fen.

每条 0.02 元；每月前 1,000 条免费；每月封顶 5,000 元
"""

from decimal import Decimal

from domain.pricing import Payer, Pricing

Pair = tuple[str, str]
PAYERS: dict[Payer, Pair] = {"caller": ("使用方", "the caller"), "principal": ("委托方", "the principal")}


def in_words(rule: Pricing, unit: Pair) -> Pair:
    """The whole rule; `unit` is that of the item.

    >>> in_words(Pricing(price_minor=2, included=1000, cap_minor=500000), ("条", "fact"))[0]
    '每条 0.02 元；每月前 1,000 条免费；每月封顶 5,000 元'
    >>> in_words(Pricing(model="flat", price_minor=20000), ("组", "group"))
    ('每月 200 元', '200 CNY a month')
    """
    told = [_price(rule, unit)]
    zh, _ = unit
    if rule.included and rule.model != "flat":
        told.append((f"每月前 {rule.included:,} {zh}免费", f"the first {rule.included:,} of a month free"))
    if rule.included and rule.tiers:
        told.append(("各档自免费数量之后起算", "tiers count what comes after these"))
    if rule.cap_minor is not None:
        told.append((f"每月封顶 {yuan(rule.cap_minor)} 元", f"{yuan(rule.cap_minor)} CNY a month at most"))
    told += _between(rule)
    if rule.reversal_credit:
        told.append(("来源撤回的数据退还相应数量", "what its source takes back is credited"))
    return "；".join(zh for zh, _ in told), "; ".join(en for _, en in told)


def _price(rule: Pricing, unit: Pair) -> Pair:
    zh, en = unit
    amount = yuan(rule.price_minor)
    if rule.model == "flat":
        return f"每月 {amount} 元", f"{amount} CNY a month"
    if rule.model == "package":
        return (
            f"每包 {rule.package:,} {zh} {amount} 元，不足一包按一包计",
            f"{amount} CNY for a package of {rule.package:,}, counted by {en}; a begun one in whole",
        )
    if rule.model == "unit":
        return f"每{zh} {amount} 元", f"{amount} CNY per {en}"
    return _tiers(rule, unit)


def _tiers(rule: Pricing, unit: Pair) -> Pair:
    zh, en = unit
    volume = rule.model == "volume"
    parts, begin = [], 0
    for tier in rule.tiers:
        span = (begin + 1, tier.up_to)
        price = yuan(tier.price_minor)
        every = "全部每" if volume else "每"
        which = f"第 {span[0]:,} 至 {span[1]:,} {zh}" if span[1] else f"第 {span[0]:,} {zh}起"
        whole = f"{span[0]:,} to {span[1]:,}" if span[1] else f"from {span[0]:,} on"
        if volume:
            which = f"总量 {span[0]:,} 至 {span[1]:,} {zh}时" if span[1] else f"总量达 {span[0]:,} {zh}时"
        parts.append((f"{which}{every}{zh} {price} 元", f"{whole}: {price} CNY per {en}"))
        begin = tier.up_to or 0
    head_zh = "按当月总量定档：" if volume else "当月分档累进："
    head_en = "by the total of the month, for all of it: " if volume else "graduated over the month: "
    return head_zh + "，".join(zh for zh, _ in parts), head_en + ", ".join(en for _, en in parts)


def _between(rule: Pricing) -> list[Pair]:
    if not rule.split:
        return []
    shares = [(PAYERS[share.payer], share.percent) for share in rule.split]
    zh = "、".join(f"{name[0]}承担 {percent}%" for name, percent in shares)
    en = ", ".join(f"{name[1]} bears {percent} %" for name, percent in shares)
    return [(zh, en)]


def yuan(minor: int) -> str:
    """Fen as yuan, exactly, without zeros at the end.

    >>> yuan(2), yuan(500_000), yuan(150)
    ('0.02', '5,000', '1.5')
    """
    amount = Decimal(minor).scaleb(-2)
    whole, _, rest = f"{amount:,.2f}".partition(".")
    rest = rest.rstrip("0")
    return f"{whole}.{rest}" if rest else whole
