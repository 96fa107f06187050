"""A reconciliation with differences of several kinds, one accepted, one resolved: for pages and pictures."""

from datetime import UTC, datetime, timedelta
from typing import Any

from api import closing, reconciling
from api.portal import reconciliation as reconciliation_page
from api.reconciling import Shown
from domain import reconciliation
from domain.period import Period
from domain.reconciliation import Break, BreakAccepted, BreakAssigned, Code, Reconciled, Reconciliation

RAN_AT = datetime(2026, 11, 3, 2, tzinfo=UTC)
NOW = RAN_AT + timedelta(days=4)
MONTH, HOLDER, NUMBER = "2026-10", "91320000MA0000277B", "KS-202610-000017"
LINE = f"/v1/statements/{NUMBER}/lines/3"


def found(code: Code, about: str, **told: Any) -> Break:
    return Break(break_id=reconciliation.identity(code, MONTH, about), code=code, period=MONTH, about=about, **told)


BREAKS = (
    found(
        "unmetered_event", f"usage:party:{HOLDER}:feed.pull", holder=HOLDER, ours_minor=128_450, theirs_minor=128_330,
        detail="1 条未计量，60 单位：metering:5b0c/1201 / 1 not metered, 60 units: metering:5b0c/1201",
        evidence="/v1/deliveries/metering:5b0c/1201",
    ),
    found(
        "amount_mismatch", f"{NUMBER}:3", holder=HOLDER, statement=NUMBER, line=3, ours_minor=12_600,
        theirs_minor=12_500, detail="in_1Q il_3", evidence=LINE,
    ),
    found(
        "payment_without_invoice", "payment:R-41c02b6a1d7e90f3", theirs_minor=77_700, detail="R-41c02b6a1d7e90f3",
        evidence="/v1/bank/receipts?state=waiting",
    ),
    found(
        "late_usage_pending", "late", holder=HOLDER, ours_minor=24, theirs_minor=0,
        detail="4 条 12 单位待入 2026-11 / 4 entries, 12 units wait for 2026-11",
        evidence="/v1/deliveries/metering:5b0c/1300",
    ),
)  # fmt: skip
GONE = found("status_mismatch", "status:in_1Q", holder=HOLDER, statement=NUMBER, detail="in_1Q: open, draft")


def state() -> Reconciliation:
    digests = {f"{name}_sha256": name[0] * 64 for name in ("journal", "statements", "provider")}
    counts = {"statements": 2_000, "lines": 9_120, "deliveries": 4_812_330, "invoices": 1_420, "movements": 1_377}
    stands = Reconciliation(MONTH)
    for days, breaks in ((0, (*BREAKS[1:], GONE)), (2, BREAKS)):
        at = RAN_AT + timedelta(days=days)
        ran = Reconciled(
            happened_at=at, recorded_at=at, period=MONTH, by="finance-demo", cut_off=4_900_112, counts=counts,
            breaks=breaks, **digests,
        )  # fmt: skip
        stands = reconciliation.evolve(stands, ran)
    about: dict[str, Any] = {"happened_at": NOW, "recorded_at": NOW, "period": MONTH, "by": "李复核"}
    for told in (
        BreakAssigned(break_id=BREAKS[1].break_id, owner="王会计", **about),
        BreakAccepted(break_id=BREAKS[3].break_id, reason="下月入账，已核对", **about),
    ):
        stands = reconciliation.evolve(stands, told)
    return stands


def shown() -> Shown:
    return reconciling.shown(state(), NOW)


def page(me: str) -> dict[str, Any]:
    """What the page is made of for somebody of finance."""
    names = {HOLDER: ("示例外贸有限公司", "Sample Trading Co.")}
    return reconciliation_page.view(shown(), month(), names, me=me, acts=True)


def month() -> closing.Month:
    return closing.Month(Period(MONTH, stage="reviewing"))
