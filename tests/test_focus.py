"""Usage detail under FOCUS names: it comes to what each statement has to be paid, and shows nobody another's usage."""

import csv
import io
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg

from api.identity import Account
from billing import drafting, focus, metering
from domain.adjustment import AdjustmentApproved, AdjustmentProposed
from domain.catalogue import TariffPublished
from domain.pricing import Pricing, Share, Tier
from domain.seller import TaxRateSet
from projections import usage
from projections.usage import Whose
from tests.fixtures_node import Node
from tests.test_statement import AGENT, FREE, MONTH, OWNER, close
from tests.test_usage import END, SEPTEMBER, made

DAY = timedelta(days=1)
OTHER = "91440300MA0000399Y"
TIERED = Pricing(
    model="graduated",
    tiers=(Tier(3, up_to=6), Tier(1)),
    included=2,
    reversal_credit=True,
    split=(Share("caller", 50), Share("principal", 50)),
)
RULE = "feed.pull/tiered"
SHARED: dict[str, Any] = {"account": "agent", "party": AGENT, "tariff": RULE}


def months(node: Node) -> Node:
    """Two months: tiers, shares of two principals on the same days, late usage, reversals, a waiver, a credit."""
    told: dict[str, Any] = {"happened_at": SEPTEMBER - 15 * DAY, "recorded_at": SEPTEMBER, "by": "clerk"}
    start = told["happened_at"]
    node.decide("commerce", "seller:node", TaxRateSet(**told, rate_bp=600, effective_from=start, basis="b"))
    price = TariffPublished(
        **told, item="feed.pull", version=RULE, price_minor=3, currency="CNY", effective_from=start, basis="b",
        pricing=TIERED,
    )  # fmt: skip
    node.decide("commerce", "item:feed.pull", price)
    given = AdjustmentProposed(
        **told, adjustment="a1", holder="mover", is_party=False, item="feed.pull", amount_minor=-500, reason="r",
        corrects_period="2026-08",
    )  # fmt: skip
    node.decide("commerce", "adjustment:a1", given, AdjustmentApproved(**told, adjustment="a1", proposed=given))
    node.decide(
        "commerce",
        "metering:a",
        *(made(SEPTEMBER + day * DAY, 3 + day, **SHARED, behalf=who) for day in range(3) for who in (OWNER, "", OTHER)),
        made(SEPTEMBER + DAY, 5, **SHARED, behalf=OWNER, reversals=2),
        made(SEPTEMBER, 9, **SHARED | {"account": "agent-2"}, behalf=OTHER, waived="trial"),
        made(SEPTEMBER, 7, **FREE | {"account": "agent", "party": AGENT}),
        made(SEPTEMBER, 0, result="empty", tariff=""),
        made(SEPTEMBER, 20),
    )
    close(node)
    late = (made(SEPTEMBER + DAY, 4, **SHARED, behalf=OWNER), made(END + DAY, 11, **SHARED), made(END + DAY, 400))
    node.decide("commerce", "metering:a", *late)
    close(node, "2026-10")
    return node


def detail(node: Node, month: str, whose: Whose = Whose()) -> list[focus.Row]:  # noqa: B008  frozen
    with psycopg.connect(node.conninfo) as connection:
        return list(focus.rows(connection, drafting.pin(connection, month), whose))


def test_what_is_billed_on_an_invoice_is_what_its_statement_has_to_be_paid(node: Node) -> None:
    months(node)
    for month in (MONTH, "2026-10"):
        sums: dict[str | None, Decimal] = defaultdict(Decimal)
        taxes: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
        for row in detail(node, month):
            sums[row.invoice_id] += row.billed_cost
            taxes[(row.invoice_id, row.x_statement_line)] += row.x_tax_cost
        issued = node.rows("SELECT statement, payable_minor FROM issued_statements WHERE period = %s", month)
        assert sums == {number: Decimal(minor).scaleb(-2) for number, minor in issued}
        lines = node.rows("SELECT statement, line, tax_minor FROM issued_lines")
        known = {(statement, line): Decimal(minor).scaleb(-2) for statement, line, minor in lines}
        assert {at: tax for at, tax in taxes.items() if at[1]} == {at: known[at] for at in taxes if at[1]}


def test_free_and_waived_usage_is_there_with_its_quantity_and_costs_nothing(node: Node) -> None:
    rows = detail(months(node), MONTH)
    [free] = [row for row in rows if row.x_free_reason == "government"]
    assert (free.consumed_quantity, free.x_service_class) == (1, "government")
    assert free.list_cost == free.billed_cost == Decimal()
    [empty] = [row for row in rows if row.x_free_reason == "not_charged"]
    assert (empty.sku_price_id, empty.list_unit_price, empty.billed_cost) == (None, None, Decimal())
    [trial] = [row for row in rows if row.x_free_reason == "trial"]
    assert (trial.consumed_quantity, trial.billed_cost) == (9, Decimal())
    assert trial.list_cost == trial.x_waived_cost > 0


def test_a_correction_is_what_concerns_a_month_that_was_invoiced_before_and_nothing_else(node: Node) -> None:
    months(node)
    assert {(row.charge_category, row.charge_class) for row in detail(node, MONTH)} == {
        ("Usage", None),
        ("Adjustment", "Correction"),
        ("Credit", None),
    }
    for row in detail(node, "2026-10"):
        assert (row.charge_class == "Correction") == (row.x_corrects_period is not None)
        assert row.charge_period_start < row.charge_period_end
        if row.charge_class == "Correction":
            assert row.charge_period_end <= row.billing_period_start


def test_an_enterprise_sees_what_stands_on_its_own_statement(node: Node) -> None:
    months(node)
    node.open("owner", Account("owner", "enterprise", "货主", "Owner", party=OWNER))
    path = f"/v1/periods/{MONTH}/usage-detail"
    rows = [msgspec.json.decode(line) for line in node.get(path, "owner", format="jsonl").content.splitlines()]
    assert {(row["BillingAccountId"], row["x_UsedBy"], row["SubAccountId"]) for row in rows} == {(OWNER, AGENT, None)}
    query = "SELECT payable_minor FROM issued_statements WHERE period = %s AND holder = %s"
    [(payable,)] = node.rows(query, MONTH, OWNER)
    assert round(sum(row["BilledCost"] for row in rows) * 100) == payable > 0
    whole = node.get(path, "finance", format="jsonl").content.splitlines()
    ours = [msgspec.json.decode(line) for line in whole]
    assert [row for row in ours if row["BillingAccountId"] == OWNER] == rows
    assert node.get(path, "enterprise", format="jsonl").content == b""


def test_csv_has_the_names_of_the_specification(node: Node) -> None:
    answer = months(node).get(f"/v1/periods/{MONTH}/usage-detail", "finance")
    text = answer.content.decode()
    assert text.startswith("\ufeffBilledCost,BillingAccountId,BillingAccountName,")
    table = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    rows = detail(node, MONTH)
    assert [row["BilledCost"] for row in table] == [f"{row.billed_cost:f}" for row in rows]
    assert {row["ChargePeriodStart"] for row in table} >= {"2026-09-19T16:00:00Z", "2026-09-20T16:00:00Z"}
    assert {row["BillingPeriodEnd"] for row in table} == {"2026-09-30T16:00:00Z"}


MANDATORY = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd"),
    *("BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd"),
    *("ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity"),
    *("PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName"),
)


def test_every_mandatory_column_is_there() -> None:
    assert set(MANDATORY) <= set(focus.COLUMNS)
    own = [name for name in focus.COLUMNS if name.startswith("x_")]
    assert list(focus.COLUMNS) == [*sorted(set(focus.COLUMNS) - set(own)), *sorted(own)]


def test_lines_come_to_the_same_whether_days_are_told_apart_or_not(node: Node) -> None:
    months(node)
    with psycopg.connect(node.conninfo) as connection:
        for month in (MONTH, "2026-10"):
            pinned = drafting.pin(connection, month)
            whole, daily = (
                metering.charges(usage.posted(connection, month, daily=each), pinned.prices, month)
                for each in (False, True)
            )
            assert whole == daily
            assert whole


def test_the_planner_is_left_as_it_was(node: Node) -> None:
    months(node)
    with psycopg.connect(node.conninfo) as connection:
        before = connection.execute("SELECT current_setting('enable_sort'), current_setting('work_mem')").fetchone()
        list(usage.posted(connection, MONTH))
        after = connection.execute("SELECT current_setting('enable_sort'), current_setting('work_mem')").fetchone()
    assert after == before
