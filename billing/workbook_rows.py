"""The sheets of the reconciliation workbook below its summary: what a row of each is, and its columns.

The same records go out as XLSX, CSV and JSON (billing/workbook.py). Money is fen, times are UTC; codes are in the
records, their names in both languages in the columns.
"""

from datetime import date, datetime

import msgspec

from billing.table import Column, Pair, Sheet
from domain import statement
from domain.invoice import PROVIDERS
from domain.reconciliation import CODES

CLASSES: dict[str, Pair] = {"government": ("政务服务", "government"), "commercial": ("商业服务", "commercial")}
WAIVERS: dict[str, Pair] = {"": ("", ""), "trial": ("试用", "trial"), "sandbox": ("演练", "sandbox")}
MOVEMENTS: dict[str, Pair] = {
    "payment": ("收款", "payment"),
    "reversal": ("收款撤回", "payment reversed"),
    "refund": ("退款", "refund"),
    "credit_note": ("贷项", "credit note"),
    "failure": ("付款未成", "payment failed"),
}
INVOICE_STATES: dict[str, Pair] = {
    "not_sent": ("未发送", "not sent"),
    "stopped": ("停止，待查", "stopped"),
    "void": ("作废", "void"),
    "open": ("未付", "open"),
    "part": ("部分付", "paid in part"),
    "paid": ("已结清", "settled"),
    "overpaid": ("多付", "overpaid"),
}
BREAK_STATES: dict[str, Pair] = {
    "open": ("未处理", "open"),
    "accepted": ("已接受", "accepted"),
    "resolved": ("已消除", "resolved"),
}
FEE_STATES: dict[str, Pair] = {
    "free": ("免费", "free of charge"),
    "in_force": ("收费", "charged"),
    "not_offered": ("未定价，不提供", "no price, not offered"),
}


# --- rows ---


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """An item's month: what was free beside what was paid. Units of a share count where they were used."""

    item: str
    zh: str
    en: str
    item_class: str
    unit_zh: str
    unit_en: str
    holders: int  # that used it
    deliveries: int
    quantity: int
    free_quantity: int  # of it: government, included, trial, or of a result that is not charged
    paid_quantity: int
    reversed_quantity: int
    list_minor: int
    waived_minor: int
    charged_minor: int  # of usage, shares included
    adjusted_minor: int
    amount_minor: int
    net_minor: int
    tax_minor: int


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as it was issued. `page`, `drill`: where it is shown, and what it rests on."""

    statement: str
    line: int
    holder: str
    holder_zh: str
    holder_en: str
    kind: str
    item: str
    zh: str
    en: str
    item_class: str
    tariff: str | None
    waived: str
    corrects_period: str | None
    used_by: str
    deliveries: int
    quantity: int
    free_quantity: int
    reversed_quantity: int
    list_minor: int
    waived_minor: int
    whole_minor: int
    amount_minor: int
    tax_rate_bp: int
    net_minor: int
    tax_minor: int
    reason: str
    reference: str
    page: str
    drill: str


class ProviderInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that has to be paid, and what became of it. total = paid - refunded + credited + outstanding."""

    statement: str
    holder: str
    holder_zh: str
    holder_en: str
    payable_minor: int
    state: str  # of INVOICE_STATES
    provider: str | None
    invoice: str | None
    total_minor: int | None
    paid_minor: int | None
    refunded_minor: int | None
    credited_minor: int | None
    outstanding_minor: int
    difference_minor: int  # between what was invoiced and what the statement says
    sent_at: datetime | None
    due_on: date | None
    stopped: str | None  # why
    page: str


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """Money that moved on an invoice, or a credit note. `money_minor`: of what moved, in is above zero."""

    statement: str
    kind: str
    ref: str
    at: datetime
    amount_minor: int
    money_minor: int
    fee_minor: int
    net_minor: int
    currency: str
    provider: str
    of: str
    credit_note: str
    reason: str
    by: str
    position: int


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """A line that corrects: an adjustment that two people decided on, or usage that came late for its month."""

    statement: str
    line: int
    holder: str
    kind: str
    item: str
    corrects_period: str | None
    quantity: int
    amount_minor: int
    net_minor: int
    tax_minor: int
    reference: str
    about: str  # statement that an adjustment is about
    reason: str
    proposed_by: str
    approved_by: str
    drill: str


class BreakRow(msgspec.Struct, frozen=True, kw_only=True):
    """A difference that reconciliation found."""

    break_id: str
    code: str
    state: str
    about: str
    holder: str
    statement: str
    line: int | None
    ours_minor: int | None
    theirs_minor: int | None
    detail: str
    first_seen: datetime
    last_seen: datetime
    owner: str
    accepted: str
    accepted_by: str
    resolved_at: datetime | None
    evidence: str


class FeeRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the public list as it was at the end of the month."""

    no: int
    item: str
    name_zh: str
    name_en: str
    item_class: str
    state: str
    payee_zh: str
    payee_en: str
    standard_zh: str
    standard_en: str
    unit_zh: str
    unit_en: str
    form_zh: str
    form_en: str
    tariff: str
    published_at: datetime | None
    effective_from: datetime | None
    review_by: datetime | None
    free_alternative: str


# --- columns ---


def money(name: str, zh: str, en: str, *, total: bool = True) -> Column:
    return Column(name, f"{zh}（元）", f"{en}, CNY", "money", 14, {}, total)


def count(name: str, zh: str, en: str, *, total: bool = False) -> Column:
    return Column(name, zh, en, "count", 11, {}, total)


def both(name: str, zh: str, en: str, width: int) -> tuple[Column, Column]:
    """A text that stands in both languages."""
    chinese = Column(f"{name}_zh", zh, f"{en} (zh)", "text", width)
    return chinese, Column(f"{name}_en", f"{zh}英文", f"{en} (en)", "text", width)


STATEMENT = Column("statement", "账单", "Statement", "text", 18)
LINE = count("line", "行", "Line")
HOLDER = Column("holder", "单位", "Holder", "text", 21)
NAMES = both("holder", "单位名称", "Name", 24)
ITEM = Column("item", "服务项目", "Service item", "text", 20)
CALLED = (Column("zh", "项目名称", "Item (zh)", "text", 26), Column("en", "项目英文名", "Item (en)", "text", 30))
CLASS = Column("item_class", "类别", "Class", "text", 20, CLASSES)
CORRECTS = Column("corrects_period", "更正账期", "Corrects period", "text", 12)
DRILL = Column("drill", "逐笔查证", "Drill down", "link", 16)
PAGE = Column("page", "账单页", "Statement page", "link", 16)
USED = (
    count("deliveries", "交付次数", "Deliveries", total=True),
    count("quantity", "数量", "Quantity", total=True),
    count("free_quantity", "其中免费", "Free of charge", total=True),
)
TAKEN_BACK = count("reversed_quantity", "来源撤回", "Taken back", total=True)
LISTED = (money("list_minor", "目录价金额", "At list price"), money("waived_minor", "减免", "Waived"))
TAXED = (money("net_minor", "不含税", "Net"), money("tax_minor", "税额", "Tax"))

SERVICES = Sheet(
    "free_vs_paid",
    "免费与收费",
    "Free vs paid",
    (
        *(ITEM, *CALLED, CLASS),
        *both("unit", "计量单位", "Unit", 12),
        count("holders", "使用单位数", "Holders"),
        *USED,
        count("paid_quantity", "计费数量", "Paid quantity", total=True),
        TAKEN_BACK,
        *LISTED,
        money("charged_minor", "使用收费", "Charged for usage"),
        money("adjusted_minor", "调整", "Adjustments"),
        money("amount_minor", "合计", "Total"),
        *TAXED,
    ),
)
LINES = Sheet(
    "statement_lines",
    "账单明细",
    "Statement lines",
    (
        *(STATEMENT, LINE, HOLDER, *NAMES),
        Column("kind", "种类", "Kind", "text", 16, statement.KINDS),
        *(ITEM, *CALLED, CLASS),
        Column("tariff", "价目版本", "Tariff", "text", 26),
        Column("waived", "免收", "Waiver", "text", 10, WAIVERS),
        CORRECTS,
        Column("used_by", "使用单位", "Used by", "text", 21),
        *USED,
        TAKEN_BACK,
        *LISTED,
        money("whole_minor", "分担前金额", "Before sharing", total=False),
        money("amount_minor", "金额", "Amount"),
        count("tax_rate_bp", "税率（万分）", "Tax rate, bp"),
        *TAXED,
        Column("reason", "免费原因", "Why free", "text", 24, statement.REASONS),
        Column("reference", "调整编号", "Adjustment", "text", 16),
        *(PAGE, DRILL),
    ),
)
INVOICES = Sheet(
    "provider_invoices",
    "支付方账单",
    "Provider invoices",
    (
        *(STATEMENT, HOLDER, *NAMES),
        money("payable_minor", "账单应付", "Payable by statement"),
        Column("state", "状态", "State", "text", 18, INVOICE_STATES),
        Column("provider", "支付方", "Provider", "text", 16, PROVIDERS),
        Column("invoice", "支付方账单号", "Provider's invoice", "text", 28),
        money("total_minor", "开单金额", "Invoiced"),
        money("paid_minor", "已收", "Paid"),
        money("refunded_minor", "已退", "Refunded"),
        money("credited_minor", "已贷", "Credited"),
        money("outstanding_minor", "未收", "Outstanding"),
        money("difference_minor", "差额", "Difference"),
        Column("sent_at", "发送时间", "Sent at", "moment", 18),
        Column("due_on", "到期日", "Due on", "day", 12),
        Column("stopped", "停止原因", "Why stopped", "text", 30),
        PAGE,
    ),
)
PAYMENTS = Sheet(
    "payments_and_refunds",
    "收款与退款",
    "Payments and refunds",
    (
        STATEMENT,
        Column("kind", "种类", "Kind", "text", 20, MOVEMENTS),
        Column("ref", "支付方编号", "Provider's id", "text", 28),
        Column("at", "时间", "At", "moment", 18),
        money("amount_minor", "金额", "Amount", total=False),
        money("money_minor", "资金进出", "Money in or out"),
        money("fee_minor", "手续费", "Fee"),
        money("net_minor", "净额", "Net of fee"),
        Column("currency", "币种", "Currency", "text", 8),
        Column("provider", "支付方", "Provider", "text", 16, PROVIDERS),
        Column("of", "所属收款", "Of payment", "text", 28),
        Column("credit_note", "贷项单", "Credit note", "text", 28),
        Column("reason", "原因", "Reason", "text", 30),
        Column("by", "经办人", "By", "text", 14),
        count("position", "日志位置", "Position"),
    ),
)
ADJUSTMENTS = Sheet(
    "adjustments",
    "调整",
    "Adjustments",
    (
        *(STATEMENT, LINE, HOLDER),
        Column("kind", "种类", "Kind", "text", 16, statement.KINDS),
        *(ITEM, CORRECTS),
        count("quantity", "数量", "Quantity"),
        money("amount_minor", "金额", "Amount"),
        *TAXED,
        Column("reference", "调整编号", "Adjustment", "text", 16),
        Column("about", "所涉账单", "About statement", "text", 18),
        Column("reason", "理由", "Reason", "text", 36),
        Column("proposed_by", "提出人", "Proposed by", "text", 14),
        Column("approved_by", "审批人", "Approved by", "text", 14),
        DRILL,
    ),
)
BREAKS = Sheet(
    "breaks",
    "差异",
    "Breaks",
    (
        Column("break_id", "差异编号", "Break", "text", 20),
        Column("code", "种类", "Code", "text", 40, CODES),
        Column("state", "状态", "State", "text", 16, BREAK_STATES),
        Column("about", "所涉", "About", "text", 30),
        *(HOLDER, STATEMENT, LINE),
        money("ours_minor", "我方", "Ours", total=False),
        money("theirs_minor", "对方", "Theirs", total=False),
        Column("detail", "说明", "Detail", "text", 40),
        Column("first_seen", "首次发现", "First seen", "moment", 18),
        Column("last_seen", "最近发现", "Last seen", "moment", 18),
        Column("owner", "负责人", "Owner", "text", 14),
        Column("accepted", "接受理由", "Accepted because", "text", 30),
        Column("accepted_by", "接受人", "Accepted by", "text", 14),
        Column("resolved_at", "消除时间", "Resolved at", "moment", 18),
        Column("evidence", "证据", "Evidence", "link", 16),
    ),
)
FEES = Sheet(
    "fee_schedule",
    "收费目录",
    "Fee schedule",
    (
        count("no", "序号", "No."),
        *both("payee", "收费主体", "Charged by", 22),
        *both("name", "项目名称", "Item", 28),
        *both("standard", "收费标准", "Price", 36),
        *both("unit", "计价单位", "Unit", 12),
        *both("form", "收费形式及依据", "Form and basis", 36),
        *(ITEM, CLASS),
        Column("state", "状态", "State", "text", 20, FEE_STATES),
        Column("tariff", "价目版本", "Tariff", "text", 26),
        Column("published_at", "公布时间", "Published", "moment", 18),
        Column("effective_from", "生效时间", "In force from", "moment", 18),
        Column("review_by", "复审日期", "Review by", "moment", 18),
        Column("free_alternative", "免费替代", "Free of charge instead", "text", 20),
    ),
)
SHEETS = (SERVICES, LINES, INVOICES, PAYMENTS, ADJUSTMENTS, BREAKS, FEES)
