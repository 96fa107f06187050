"""A statement of everything that can stand on one, with figures that add up: for papers, pages and pictures."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from api.drilled import Due, InvoiceState
from api.papers.paper import Paper
from api.statements import Brief, Remade, Statements, Wanted
from billing.rating import tax_split
from billing.statement import Pinned, Previous, draw_up
from domain import statement
from domain.seller import Selling
from domain.statement import Line, Seller, Statement
from projections.usage import Whose

ISSUED_AT = datetime(2026, 11, 2, 1, 30, tzinfo=UTC)
OURS, THEIRS = "91320000MA0000015K", "91320000MA0000277B"
SELLER = Seller(
    zh="示例口岸运营有限公司",
    en="Sample Port Operating Co., Ltd.",
    tax_id="91320000MA0000290X",
    address="示例市港口路 1 号",
    phone="025-00000000",
    bank="示例银行港口支行",
    bank_account="3200000000000000001",
    drawer="王会计",
)
UNITS = {"track.query": ("次", "answer"), "feed.pull": ("条", "fact"), "bulk.query": ("行", "row")}
NAMES = {
    "track.query": ("货物动态查询", "Tracking of a number"),
    "feed.pull": ("事件流拉取", "Feed, pulled"),
    "bulk.query": ("批量查询", "Bulk query"),
}


def line(item: str = "feed.pull", amount_minor: int = 0, **told: Any) -> Line:
    """One line; the tax in its amount is 6 %."""
    (zh, en), (unit_zh, unit_en) = NAMES[item], UNITS[item]
    free = item == "track.query"
    net, tax = tax_split(amount_minor, 600)
    described: dict[str, Any] = {
        "no": 0,
        "item": item,
        "item_class": "government" if free else "commercial",
        "zh": zh,
        "en": en,
        "unit_zh": unit_zh,
        "unit_en": unit_en,
        "tariff": None if free else f"{item}/sample-2026",
        "used_by": OURS,
        "used_by_party": True,
        "whole_minor": amount_minor,
        "amount_minor": amount_minor,
        "tax_rate_bp": 600 if amount_minor else 0,
        "net_minor": net,
        "tax_minor": tax,
    }
    return Line(**described | told)


LINES = (
    line("track.query", deliveries=1_284, quantity=1_284, reason="government"),
    line("feed.pull", deliveries=31, quantity=0, tariff=None, reason="not_charged"),
    line("feed.pull", 46_350, deliveries=412, quantity=23_175, list_minor=46_350, explanation="23175 x 2"),
    line(
        "bulk.query",
        1_000,
        deliveries=3,
        quantity=1_500,
        free_quantity=1_000,
        list_minor=3_000,
        waived_minor=2_000,
        reason="included",
        explanation="500 x 2",
    ),
    line(
        "bulk.query",
        deliveries=1,
        quantity=40,
        list_minor=80,
        waived_minor=80,
        waived="trial",
        reason="trial",
        explanation="40 x 2",
    ),
    line(
        "feed.pull",
        14,
        deliveries=1,
        quantity=7,
        list_minor=14,
        corrects_period="2026-09",
        explanation="(12 x 2) - (5 x 2)",
    ),
    line("feed.pull", 7, kind="share", used_by=THEIRS, quantity=5, deliveries=1, list_minor=15, whole_minor=15),
    line(
        "feed.pull",
        -5_000,
        kind="adjustment",
        tariff=None,
        corrects_period="2026-08",
        explanation="八月重复计费，核减 / charged twice in August",
        reference="A-20261015-01",
    ),
)


def drawn(lines: tuple[Line, ...] = LINES, carried_minor: int = -371, **holder: str) -> Statement:
    """Of October 2026, behind a statement that left a credit."""
    names = {OURS: (holder.get("zh", "示例外贸有限公司"), holder.get("en", "Sample Trading Co., Ltd."))}
    pinned = Pinned(period="2026-10", cut_off=184_233, selling=Selling(seller=SELLER), items={}, prices={}, names=names)
    previous = Previous("KS-202609-000017", "5f" * 32, carried_minor)
    return draw_up(pinned, "KS-202610-000017", (OURS, True), lines, previous)


def paper(made: Statement | None = None) -> Paper:
    """As it was issued."""
    document = statement.canonical(made or drawn())
    return Paper.of(document, statement.digest(document), ISSUED_AT)


def listing() -> tuple[Statements, Wanted, dict[str, Due]]:
    """A list as finance sees it."""
    told, found = drawn(), paper()
    names = ("list", "waived", "total", "net", "tax", "brought_forward", "payable", "carried_forward")
    sums: dict[str, int] = {f"{name}_minor": getattr(told, f"{name}_minor") for name in names}
    briefs = [
        Brief(
            number=f"KS-{month.replace('-', '')}-{place:06}",
            period=month,
            holder=told.holder.code,
            is_party=True,
            holder_zh=told.holder.zh,
            holder_en=told.holder.en,
            currency=told.currency,
            issued_at=ISSUED_AT,
            sha256=found.sha256,
            previous=told.previous,
            cut_off=told.cut_off,
            **sums,
        )
        for month, place in (("2026-10", 17), ("2026-09", 17), ("2026-08", 12))
    ]
    states: tuple[Due, ...] = ("open", "paid", "voided")
    dues = dict(zip((each.number for each in briefs), states, strict=True))
    return Statements(briefs, briefs[-1].number), Wanted(whose=Whose()), dues


def paid() -> InvoiceState:
    """How far its invoice is: a part was credited, nothing paid yet, by bank transfer."""
    owed = paper().statement.payable_minor
    told: dict[str, Any] = {"zh": "待付款", "en": "to be paid", "provider": "bank", "invoice": "BT-20261102-000007"}
    return InvoiceState(state="open", **told, total_minor=owed, credited_minor=500, outstanding_minor=owed - 500)


def remade() -> Remade:
    """Made again, and the same."""
    found = paper()
    return Remade(found.statement.number, True, found.sha256, found.sha256, len(found.document))


def many(count: int) -> Paper:
    """A long one."""
    lines = tuple(msgspec.structs.replace(LINES[2], tariff=f"feed.pull/{place:05}") for place in range(count))
    return paper(drawn((LINES[0], *lines)))
