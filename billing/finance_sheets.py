"""The columns of the finance reports (billing/finance_reports.py), in both languages."""

from billing.table import Column, Pair, Sheet
from billing.workbook_rows import CALLED, CLASS, HOLDER, ITEM, LISTED, NAMES, STATEMENT, TAXED, both, count, money

FUNDS: dict[str, Pair] = {
    "public_budget": ("财政资金", "public budget"),
    "users": ("使用者付费", "users"),
    "users_and_node": ("使用者付费，不足部分由平台承担", "users; the node bears the rest"),
}
YES: dict[bool, Pair] = {True: ("是", "yes"), False: ("", "")}
FOUND: dict[str, Pair] = {
    "used": ("同月也用过免费替代", "used the free one, too, in that month"),
    "could_have": ("有免费替代，同月未用", "there is a free one; not used in that month"),
}
QUANTITY = count("quantity", "数量", "Quantity", total=True)
FREE = count("free_quantity", "其中免费", "Free of charge", total=True)
PERCENT = count("free_percent", "免费占比 %", "Free, %")
AMOUNT = money("amount_minor", "金额", "Amount")

RECOVERY = Sheet(
    "cost_recovery",
    "资金来源与成本补偿",
    "Cost recovery",
    (
        *(ITEM, *CALLED, CLASS),
        Column("fund_source", "资金来源", "Fund source", "text", 28, FUNDS),
        *(QUANTITY, FREE, *LISTED),
        money("revenue_minor", "收入", "Revenue"),
        *TAXED,
        money("cost_minor", "申报成本", "Declared cost"),
        money("surplus_minor", "盈余", "Surplus"),
        money("uncovered_minor", "未覆盖成本", "Cost not covered"),
        Column("review_due", "复审期已过", "Review is due", "text", 10, YES),
        Column("alarm", "盈余警示", "Surplus alarm", "text", 10, YES),
    ),
)
BURDEN = Sheet(
    "burden",
    "企业负担",
    "Burden per enterprise",
    (
        *(HOLDER, *NAMES, STATEMENT, QUANTITY, FREE, PERCENT, *LISTED, AMOUNT),
        money("payable_minor", "应付", "To be paid"),
        count("paid_items", "付费项目数", "Paid items"),
        Column("largest_item", "最大付费项目", "Largest item", "text", 20),
        money("largest_minor", "其金额", "Its amount", total=False),
        Column("at_cap", "已到封顶的项目", "Items at their cap", "text", 30),
    ),
)
BURDEN_ITEMS = Sheet(
    "burden_items",
    "企业负担明细",
    "Burden by item",
    (
        *(HOLDER, *NAMES, STATEMENT, ITEM, *CALLED, CLASS, QUANTITY, FREE, PERCENT, *LISTED, AMOUNT),
        Column("at_cap", "已到封顶", "At its cap", "text", 10, YES),
    ),
)
DUPLICATES = Sheet(
    "paid_beside_free",
    "有免费替代的付费",
    "Paid beside free",
    (
        *(HOLDER, *NAMES, STATEMENT, ITEM, *CALLED),
        count("paid_quantity", "计费数量", "Paid quantity", total=True),
        AMOUNT,
        Column("free_alternative", "免费替代", "Free of charge instead", "text", 20),
        *both("alternative", "替代名称", "Free item", 26),
        count("alternative_quantity", "同月免费用量", "Free usage that month"),
        Column("found", "说明", "Finding", "text", 40, FOUND),
    ),
)
