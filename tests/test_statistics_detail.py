"""Statistics in detail: finer than the free summary, of the same units, and no small group in it either."""

import csv
import io
import json
import zipfile
from typing import Any

import pytest

from projections.measures import MEASURES
from projections.statistics_detail import dimensions
from tests.fixtures_node import Node
from tests.test_statistics_api import SPRING, declarations

MEASURE = "declared-to-released"


def ask(node: Node, **params: Any) -> Any:
    return node.get("/v1/statistics/detail", **{"measure": MEASURE, **SPRING, **params})


def test_the_same_units_by_finer_dimensions_and_with_more_quantiles(node: Node) -> None:
    node.tell(*declarations("2301", 20, hours=10.0), *declarations("9009", 20, hours=34.0, day=7))
    answer = ask(node, by="week,band").json()
    free = node.get(f"/v1/statistics/{MEASURE}", by="customs", **SPRING).json()
    assert [(each["key"]["band"], each["zh"]["band"], each["count"]) for each in answer["groups"]] == [
        ("4", "8 至不足 12 小时", 20),
        ("6", "24 至不足 48 小时", 20),
    ]
    assert len({each["key"]["week"] for each in answer["groups"]}) == 2
    assert answer["total"]["count"] == free["total"]["count"]
    first = answer["groups"][0]
    assert [first[f"{name}_hours"] for name in ("p10", "p25", "median", "p75", "p90")] == [10.0] * 5


def test_every_measure_can_be_told_apart_by_each_dimension(node: Node) -> None:
    node.tell(*declarations("2301", 5))
    for name, measure in MEASURES.items():
        for dimension in dimensions(measure):
            answer = ask(node, measure=name, by=dimension)
            assert answer.status_code == 200, answer.text
            assert [each["name"] for each in answer.json()["measure"]["dimensions"]] == list(dimensions(measure))


def test_small_groups_are_not_shown_and_outer_quantiles_need_more(node: Node) -> None:
    node.tell(*declarations("2301", 12), *declarations("9009", 3))
    told = {each["key"]["customs"]: each for each in ask(node, by="customs").json()["groups"]}
    assert (told["9009"]["suppressed"], told["9009"]["count"], told["9009"]["median_hours"]) == (True, None, None)
    assert told["2301"]["suppressed"], "else the small one is the difference from the total"
    node.tell(*declarations("2301", 3, first=12))
    total = ask(node, by="").json()["total"]
    assert (total["count"], total["median_hours"] is None, total["p10_hours"]) == (20, False, None)


def test_it_is_a_paid_delivery_of_its_groups(node: Node) -> None:
    node.tell(*declarations("2301", 20))
    service = ask(node, by="customs").json()["service"]
    rows = node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made' ORDER BY notification_id")
    made = [json.loads(bytes(row[0])) for row in rows]
    assert [(each["item"], each["item_class"], each["count"], each["channel"]) for each in made] == [
        ("statistics.detail", "commercial", 1, "analytics")
    ]
    assert (service["item"], service["quantity"], service["tariff"]) == ("statistics.detail", 1, made[0]["tariff"])


def test_it_comes_as_csv_and_as_a_workbook(node: Node) -> None:
    node.tell(*declarations("2301", 20))
    rows = list(csv.reader(io.StringIO(ask(node, by="customs,examined", format="csv").content.decode("utf-8-sig"))))
    assert [len(row) for row in rows] == [12, 12, 12]
    assert (rows[1][0], rows[1][3], rows[2][0]) == ("2301", "未查验 / not inspected", "合计 / total")
    with zipfile.ZipFile(io.BytesIO(ask(node, by="customs", format="xlsx").content)) as book:
        assert "2301" in book.read("xl/worksheets/sheet1.xml").decode()


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"measure": "no-such"}, 404),
        ({"by": "colour"}, 422),
        ({"measure": "import-dwell", "by": "examined"}, 422),
        ({"colour": "red"}, 422),
        ({"week": "2026-W10"}, 422),
        ({"since": "2026"}, 422),
        ({"format": "pdf"}, 422),
        ({"customs": "9" * 201}, 422),
    ],
)
def test_a_question_that_cannot_be_answered_is_a_problem(node: Node, params: dict[str, str], status: int) -> None:
    answer = ask(node, **params)
    assert answer.status_code == status, answer.text


def test_it_takes_the_owners_leave(closed_node: Node) -> None:
    assert ask(closed_node).status_code in {402, 403}
