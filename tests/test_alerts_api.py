"""The alerts as they are asked for: any account, both languages, free, every answer recorded as a delivery."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.app import READ_MODELS
from projections.alert_rules import FAMILIES, RULES, Rule
from tests.fixtures_node import Node
from tests.test_rebuild import dump, rebuild

DOCS = Path(__file__).parents[1] / "docs"
BOX, OTHER = "CSQU3054383", "MSCU6639870"
DAYS = {"DISCHARGED": 1, "GATE_OUT": 3, "IMP_RELEASED": 5}


def event(code: str, box: str = BOX, **more: Any) -> dict[str, Any]:
    at = f"2026-03-0{DAYS[code]}T12:00:00+08:00"
    told = {"id": f"{code}-{box}", "subject": f"container:{box}", "code": code, "happened_at": at, "place": "CNSHG"}
    return {**told, "mode": "VESSEL", "laden": True, **more}


@pytest.fixture
def amiss(node: Node) -> Node:
    """Two boxes were gated out unreleased; customs released one of them afterwards."""
    node.tell(*(event(code, box) for box in (BOX, OTHER) for code in ("DISCHARGED", "GATE_OUT")))
    node.tell(event("IMP_RELEASED", OTHER))
    return node


def found(node: Node, who: str = "enterprise", **asked: Any) -> list[tuple[str, str, str]]:
    answer = node.get("/v1/alerts", who, **asked)
    assert answer.status_code == 200, answer.text
    return [(each["subject"], each["code"], each["state"]) for each in answer.json()["alerts"]]


ACTIVE = (f"container:{BOX}", "gated_out_unreleased", "active")
CLEARED = (f"container:{OTHER}", "gated_out_unreleased", "cleared")


@pytest.mark.parametrize("who", ["enterprise", "logistics", "finance", "operator", "source"])
def test_any_account_sees_what_is_amiss(amiss: Node, who: str) -> None:
    assert found(amiss, who) == [ACTIVE]


def test_nobody_without_an_account_does(node: Node) -> None:
    assert node.get("/v1/alerts", "").status_code == 401
    assert node.get("/v1/alerts/catalogue", "").status_code == 401


def test_an_alert_says_what_since_when_and_by_which_facts(amiss: Node) -> None:
    [alert] = amiss.get("/v1/alerts").json()["alerts"]
    told = {key: alert[key] for key in ("zh", "en", "severity", "family", "place", "raised_at", "cleared_at")}
    assert told == {
        "zh": "海关未放行集装箱出闸",
        "en": "Gated out without customs release",
        "severity": "alarm",
        "family": "alarm",
        "place": "CNSHG",
        "raised_at": "2026-03-03T04:00:00Z",
        "cleared_at": None,
    }
    lines = amiss.get(f"/v1/track/{BOX}").json()["lines"]
    assert alert["facts"] == [line["fact_id"] for line in lines if line["code"] == "GATE_OUT"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"state": "all"}, [CLEARED, ACTIVE]),
        ({"state": "cleared"}, [CLEARED]),
        ({"state": "all", "subject": BOX}, [ACTIVE]),
        ({"state": "all", "subject": f"container:{OTHER}"}, [CLEARED]),
        ({"state": "all", "subject": "csqu 305438-3"}, [ACTIVE]),
        ({"subject": "TGHU1234567"}, []),
        ({"code": "gated_out_unreleased"}, [ACTIVE]),
        ({"code": "import_unreleased"}, []),
        ({"severity": "warning"}, []),
        ({"since": "2026-03-03T12:00:00+08:00"}, [ACTIVE]),
        ({"since": "2026-03-03T12:00:01+08:00"}, []),
        ({"since": "0001-01-01T00:00:00+14:00"}, [ACTIVE]),
        ({"since": "9999-12-31T23:59:59-14:00"}, []),
        ({"subject": "X" * 5_000}, []),
    ],
)
def test_alerts_are_chosen_by_what_is_asked(
    amiss: Node, asked: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    assert found(amiss, **asked) == expected


def test_pages_follow_one_another_without_gap_or_repetition(amiss: Node) -> None:
    pages, after = [], ""
    while True:
        page = amiss.get("/v1/alerts", state="all", limit=1, after=after).json()
        pages += [each["alert_id"] for each in page["alerts"]]
        after = page["next"]
        if not after:
            break
    assert pages == [each["alert_id"] for each in amiss.get("/v1/alerts", state="all").json()["alerts"]]


@pytest.mark.parametrize(
    "asked",
    [
        {"code": "nonsense"},
        {"since": "yesterday"},
        {"since": "2026-03-03"},
        {"after": "nonsense"},
        {"after": "WzEsMl0"},
        {"after": "é"},
        {"severity": "grave"},
        {"state": "unknown"},
        {"limit": 0},
        {"limit": 100_000},
    ],
)
def test_a_question_that_makes_no_sense_is_a_problem_and_no_fault_of_the_server(
    node: Node, asked: dict[str, Any]
) -> None:
    answer = node.get("/v1/alerts", **asked)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_every_answer_is_a_delivery_and_free(amiss: Node) -> None:
    amiss.get("/v1/alerts")
    amiss.get("/v1/alerts", subject="TGHU1234567")
    amiss.catch_up()
    rows = amiss.rows("SELECT item, item_class, result, chargeable FROM usage_entries ORDER BY position")
    assert rows == [
        ("alerts.query", "government", "ok", False),
        ("alerts.query", "government", "empty", False),
    ]


@pytest.mark.parametrize("batch", [1, 7, 2_000])
def test_rebuilt_alerts_and_freshness_equal_the_live_ones(amiss: Node, batch: int) -> None:
    models = tuple(each for each in READ_MODELS if each.name in {"alerts", "source_freshness"})
    with psycopg.connect(amiss.conninfo, autocommit=True) as connection:
        live = dump(connection, models)
        rebuild(connection, amiss.conninfo, batch)
        assert dump(connection, models) == live


# --- the catalogue ---


def test_the_catalogue_has_both_languages_and_no_code_twice(node: Node) -> None:
    told = node.get("/v1/alerts/catalogue").json()["alerts"]
    assert [each["code"] for each in told] == [rule.code for rule in RULES]
    assert len({rule.code for rule in RULES}) == len(RULES)
    assert all(each["zh"] and each["en"] and each["family_zh"] for each in told)
    week = next(each for each in told if each["code"] == "import_unreleased.7d")
    assert (week["threshold_hours"], week["zh"]) == (168, "进口集装箱到港后超7天未放行")


def row(rule: Rule) -> str:
    family = " / ".join(FAMILIES[rule.family])
    at_once = not rule.threshold
    return f"| `{rule.code}` | {family} | {rule.zh} | {rule.en} | {'at once' if at_once else hours(rule.threshold)} |"


def hours(threshold: timedelta) -> str:
    return f"{threshold // timedelta(hours=1)} h"


def test_the_page_of_alerts_lists_the_catalogue() -> None:
    """The rows of the table are made from the rules; put what this prints in their place."""
    page = (DOCS / "alerts.md").read_text().splitlines()
    listed = [line for line in page if line.startswith("| `")]
    assert listed == [row(rule) for rule in RULES], "\n".join(map(row, RULES))


def test_an_answer_says_by_which_moment_it_tells_active_from_cleared(node: Node) -> None:
    assert datetime.fromisoformat(node.get("/v1/alerts").json()["now"]).tzinfo is not None
