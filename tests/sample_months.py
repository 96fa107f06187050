"""Months of the books at every stage, invoices of which two need a look, adjustments: for pages and pictures."""

from datetime import date, timedelta
from typing import Any

import msgspec

from api import adjusting
from api.closing import Month
from api.portal import month_view
from api.portal.checklist import Known, Money, Waiting
from api.portal.month_view import Found, Overview
from billing.invoicing import Going, Sums
from domain import period
from domain.adjustment import AdjustmentApproved, AdjustmentProposed
from domain.period import Period, PeriodClosed, PeriodCutOff, PeriodReviewed, ReopeningAsked
from domain.reconciliation import Reconciliation
from tests import sample_reconciliation, sample_statement

NOW = sample_reconciliation.NOW
MONTH, CLOSED, OPEN = "2026-10", "2026-09", "2026-11"
ME, OTHER = "finance-demo", "李复核"
FIRM, TRADER = "91320000MA0000277B", "91320000MA0000015K"
NAMES = {(FIRM, True): ("示例外贸有限公司", "Sample Trading Co."), (TRADER, True): ("示例货代有限公司", "Forwarders")}


def told(days: float) -> dict[str, Any]:
    """When a fact was, so many days after the end of October."""
    at = period.bounds(MONTH)[1] + timedelta(days=days)
    return {"happened_at": at, "recorded_at": at}


def month(name: str, days: float, *, closed: bool = False) -> Month:
    """A month with its statements; `days` from the end of October to its cut-off."""
    cut = PeriodCutOff(**told(days), period=name, by=ME)
    reviewed = PeriodReviewed(
        **told(days + 0.1), period=name, statements=1_204, total_minor=38_412_750, last_sha256="f" * 64, by=ME
    )
    ended = PeriodClosed(**told(days + 3), period=name, accepted=("B-1",), signed_by=OTHER, by=ME)
    facts = (cut, reviewed, ended) if closed else (cut, reviewed)
    state = Period(name)
    for each in facts:
        state = period.evolve(state, each)
    return Month(state, position=4_900_112, reviewed=reviewed, closed=ended if closed else None, cut=cut)


MONTHS = {
    "2026-08": month("2026-08", -60, closed=True),
    CLOSED: month(CLOSED, -30, closed=True),
    MONTH: month(MONTH, 1),
}
SUMS = Sums(MONTH, 1_180, 38_412_750, 12, 1_166, 1, 1, 2, ME, told(1.2)["happened_at"], told(1.3)["happened_at"])


def known(name: str = MONTH) -> Known:
    checked = sample_reconciliation.state() if name == MONTH else Reconciliation(name)
    sums = {MONTH: SUMS, OPEN: Sums(OPEN)}.get(name, Sums(name, 1_180, 38_412_750, sent=1_180))
    money = Money(38_412_750, 30_150_000, 61_400, 12_640, 151_212) if name == MONTH else Money(38_412_750, 38_412_750)
    waiting = Waiting(2, 3) if name == MONTH else Waiting()
    more: dict[str, Any] = {"seller": sample_statement.SELLER, "money": money, "waiting": waiting}
    return Known(month=name, months=MONTHS, begun=None, checked=checked, sums=sums, **more)


def going(place: int, state: str, **more: Any) -> Going:
    blank: dict[str, Any] = {"step": "", "attempts": 0, "next_at": None, "step_state": "", "error": ""}
    at = told(1.2)["happened_at"]
    about: dict[str, Any] = {
        "statement": f"KS-202610-{place:06}", "period": MONTH, "holder": FIRM, "is_party": True, "provider": "bank",
        "state": state, "payable_minor": 12_600 + place, "currency": "CNY", "invoice": "", "number": "", "url": "",
        "due_on": date(2026, 12, 2), "asked_by": ME, "asked_at": at, "sent_at": at if state == "sent" else None,
    }  # fmt: skip
    return Going(**{**blank, **about, **more})


STOPPED = going(
    17, "stopped", step="compare", step_state="stopped", attempts=1, provider="stripe",
    error="总额不符：12617 分，支付方 12600 分 / total differs: 12617 fen, at the provider 12600 fen",
)  # fmt: skip
GIVING_BACK = going(
    31, "sent", step="credit", step_state="stopped", attempts=3,
    error="贷项超过未付金额 / the credit note is more than what is open",
)  # fmt: skip


def adjustments() -> list[adjusting.Shown]:
    proposed: dict[str, Any] = {"holder": FIRM, "is_party": True, "item": "feed.pull", "corrects_period": MONTH}
    one = AdjustmentProposed(
        **told(2), adjustment="A-1", by=OTHER, amount_minor=-1_250, reason="重复计费", statement="KS-202610-000017",
        **proposed,
    )  # fmt: skip
    other = AdjustmentProposed(
        **told(2), adjustment="A-2", by=ME, amount_minor=86_000, reason="漏记的批量查询", **proposed
    )
    agreed = AdjustmentApproved(**told(3), adjustment="A-2", by=OTHER, proposed=other)
    return [adjusting.shown("A-1", [one], None), adjusting.shown("A-2", [other, agreed], None)]


def found(name: str = MONTH, items: Any = ()) -> Found:
    sent = [going(place, "sent") for place in range(1, 9)]
    asked = name == MONTH
    return Found(
        known=known(name),
        invoices=[*sent, STOPPED, going(20, "waiting", step="send"), GIVING_BACK, going(40, "voided")] if asked else [],
        troubled=[STOPPED, GIVING_BACK] if asked else [],
        owed={each.statement: each.payable_minor for each in sent},
        adjustments=adjustments() if asked else [],
        names=NAMES,
        items=list(items),
    )


def closed(items: Any = ()) -> Found:
    """A month that somebody else wants reopened."""
    stands = MONTHS[CLOSED]
    wish = ReopeningAsked(**told(4), period=CLOSED, reason="银行回单有误，须再次对账", by=OTHER)
    asked = stands._replace(period=period.evolve(stands.period, wish))
    told_of = known(CLOSED)
    return msgspec.structs.replace(
        found(CLOSED, items), known=msgspec.structs.replace(told_of, months={**MONTHS, CLOSED: asked})
    )


def overview() -> Overview:
    rows = [month_view.row(known(name), NOW) for name in (OPEN, MONTH, CLOSED, "2026-08")]
    return Overview(rows, "2026-08", {MONTH: 1}, sample_statement.SELLER)
