"""Reports on a month's statements: who bears the cost, what each enterprise bears, and what it could have had free."""

import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from api import surplus
from api.main import kouan
from domain.catalogue import TariffPublished
from domain.pricing import Cost, Pricing
from tests.fixtures_node import Node
from tests.test_focus import months
from tests.test_statement import FREE, MONTH, close
from tests.test_usage import SEPTEMBER, by, made

CAPPED = "feed.pull/capped"


def capped(node: Node) -> Node:
    """One enterprise at its cap that uses the free service, too; one below it that does not."""
    start = SEPTEMBER - timedelta(days=15)
    price = TariffPublished(
        happened_at=start, recorded_at=start, by="clerk", item="feed.pull", version=CAPPED, price_minor=10,
        currency="CNY", effective_from=start, basis="b", pricing=Pricing(price_minor=10, included=1, cap_minor=200),
        cost=Cost(unit_minor=4, method_zh="m", method_en="m"),
    )  # fmt: skip
    node.decide("commerce", "item:feed.pull", price)
    node.decide(
        "commerce",
        "metering:a",
        made(SEPTEMBER, 100, tariff=CAPPED),
        made(SEPTEMBER, 1, **FREE),
        made(SEPTEMBER, 1, **FREE),
        made(SEPTEMBER, 3, tariff=CAPPED, account="trader"),
        made(SEPTEMBER, 0, tariff="", result="empty", account="trader"),
    )
    close(node)
    return node


def asked(node: Node, name: str, month: str = MONTH) -> Any:
    answer = node.get(f"/v1/periods/{month}/reports/{name}", "finance")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_cost_recovery_tells_who_bears_what(node: Node) -> None:
    told = asked(capped(node), "cost-recovery")
    free, paid = told["rows"]
    assert by([free], "item", "fund_source", "quantity", "cost_minor") == [("track.query", "public_budget", 2, None)]
    names = ("revenue_minor", "cost_minor", "surplus_minor", "uncovered_minor")
    assert by([paid], *names) == [(220, 412, -192, 192)]
    assert (paid["fund_source"], paid["quantity"], paid["free_quantity"]) == ("users_and_node", 103, 2)
    assert (told["totals"]["revenue_minor"], told["totals"]["rows"], told["regime"]) == (220, 2, "market")


def test_it_agrees_with_what_the_list_of_fees_says_of_the_month_as_it_runs(node: Node) -> None:
    live = capped(node).get("/v1/fees/cost-recovery", "finance", month=MONTH).json()
    issued = [row for row in asked(node, "cost-recovery")["rows"] if row["item_class"] == "commercial"]
    names = ("item", "quantity", "revenue_minor", "cost_minor", "surplus_minor", "review_due", "alarm")
    assert by(issued, *names) == by(live["items"], *names)
    assert set(names) <= set(surplus.Account.__struct_fields__)


def test_burden_tells_what_each_enterprise_pays_and_whether_it_is_at_its_cap(node: Node) -> None:
    told = asked(capped(node), "burden")
    assert by(told["rows"], "holder", "amount_minor", "free_percent", "at_cap", "paid_items") == [
        ("mover", 200, 2, ["feed.pull"], 1),
        ("trader", 20, 33, [], 1),
    ]
    items = asked(node, "burden-items")["rows"]
    assert by(items, "holder", "item", "quantity", "free_quantity", "amount_minor", "at_cap") == [
        ("mover", "track.query", 2, 2, 0, False),
        ("mover", "feed.pull", 100, 1, 200, True),
        ("trader", "feed.pull", 3, 1, 20, False),
    ]


def test_paid_usage_that_a_free_service_duplicates_is_told_and_whether_both_were_used(node: Node) -> None:
    rows = asked(capped(node), "paid-beside-free")["rows"]
    names = ("holder", "item", "paid_quantity", "amount_minor", "free_alternative", "alternative_quantity", "found")
    assert by(rows, *names) == [
        ("mover", "feed.pull", 99, 200, "track.query", 2, "used"),
        ("trader", "feed.pull", 2, 20, "track.query", 0, "could_have"),
    ]


@pytest.mark.parametrize("month", [MONTH, "2026-10"])
def test_the_reports_agree_with_the_statements(node: Node, month: str) -> None:
    months(node)
    [(total, payable)] = node.rows(
        "SELECT sum(total_minor), sum(payable_minor) FROM issued_statements WHERE period = %s", month
    )
    burden = asked(node, "burden", month)["totals"]
    assert (burden["amount_minor"], burden["payable_minor"]) == (total, payable)
    assert asked(node, "burden-items", month)["totals"]["amount_minor"] == total
    recovery = asked(node, "cost-recovery", month)["totals"]
    assert recovery["revenue_minor"] == total == recovery["net_minor"] + recovery["tax_minor"]


def test_they_come_as_tables_too_from_the_terminal_as_well(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capped(node)
    answer = node.get(f"/v1/periods/{MONTH}/reports/burden", "finance", format="csv")
    table = list(csv.reader(io.StringIO(answer.content.decode().removeprefix("\ufeff"))))
    assert [row[9] for row in table] == ["金额（元） Amount, CNY", "2.00", "0.20"]
    assert node.get(f"/v1/periods/{MONTH}/reports/burden", "finance", format="xlsx").content[:2] == b"PK"
    monkeypatch.setenv("KOUAN_DATABASE_URL", node.conninfo)
    file = tmp_path / "burden.csv"
    made = CliRunner().invoke(kouan, ["finance-report", "burden", MONTH, str(file)])
    assert made.exit_code == 0, made.output
    assert file.read_bytes() == answer.content
    wrong = CliRunner().invoke(kouan, ["finance-report", "burden", MONTH, str(tmp_path / "burden.doc")])
    assert "field" in wrong.exception.facts  # type: ignore[union-attr]  # Malformed


def test_who_may_not_see_them_and_what_does_not_exist(node: Node) -> None:
    path = f"/v1/periods/{MONTH}/reports"
    assert node.get(f"{path}/burden", "enterprise").status_code == 403
    assert node.get(f"{path}/nothing", "finance").status_code == 404
    assert node.get(f"{path}/burden", "finance").status_code == 409
    assert node.get(f"{path}/burden", "finance", format="doc").status_code == 422
    assert msgspec.json.decode(node.get(f"{path}/burden", "finance").content)["type"].endswith("period-not-cut-off")
