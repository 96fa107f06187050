"""Decision information over HTTP: bilingual groups, JSON and CSV, a delivery each; small groups cannot be had."""

import csv
import io
import json
from itertools import product
from typing import Any

import pytest

from api.settings import Settings
from projections.measures import MEASURES
from projections.units import DRAWN
from tests.fixtures_node import Node, manned
from tests.test_statistics import Told, at, told

SPRING = {"since": "2026-02", "until": "2026-04"}
DAY = 24.0


def declarations(customs: str, count: int, first: int = 0, *, hours: float = 10.0, day: float = 0) -> list[Told]:
    """Accepted declarations of one district, each released some hours later."""
    made: list[Told] = []
    for number in range(first, first + count):
        entry = f"declaration:{customs}20261{number:09d}"
        begin = day * DAY + number / 100
        made += [
            told(entry, "DEC_SUBMITTED", begin),
            told(entry, "DEC_ACCEPTED", begin + 1),
            told(entry, "DEC_RELEASED", begin + hours),
        ]
    return made


def groups(node: Node, measure: str, who: str = "enterprise", **params: Any) -> dict[tuple[str, ...], dict[str, Any]]:
    answer = node.get(f"/v1/statistics/{measure}", who, **{**SPRING, **params})
    assert answer.status_code == 200, answer.text
    return {tuple(group["key"].values()): group for group in answer.json()["groups"]}


def test_a_group_is_told_in_both_languages_with_count_median_and_p90(node: Node) -> None:
    node.tell(*declarations("2301", 20), *declarations("9009", 20, hours=34.0))
    answer = node.get("/v1/statistics/declared-to-released", by="customs", **SPRING).json()
    assert [(each["key"], each["count"], each["median_hours"]) for each in answer["groups"]] == [
        ({"customs": "2301"}, 20, 10.0),
        ({"customs": "9009"}, 20, 34.0),
    ]
    assert answer["groups"][1]["zh"]["customs"] != answer["groups"][1]["en"]["customs"]
    assert (answer["total"]["count"], answer["total"]["median_hours"]) == (40, 22.0)
    assert answer["position"] == 120
    assert answer["measure"]["zh"] == "申报至放行"


def test_every_measure_can_be_asked_by_each_of_its_dimensions(node: Node) -> None:
    node.tell(*declarations("2301", 5))
    listed = node.get("/v1/statistics").json()
    assert [each["name"] for each in listed["measures"]] == list(MEASURES)
    for each in listed["measures"]:
        for name in ("", *(dimension["name"] for dimension in each["dimensions"])):
            answer = node.get(f"/v1/statistics/{each['name']}", by=name, **SPRING)
            assert answer.status_code == 200, answer.text


def test_a_small_group_is_not_shown_and_cannot_be_told_from_the_total(node: Node) -> None:
    node.tell(*declarations("2301", 22), *declarations("2302", 3), *declarations("9009", 8))
    found = groups(node, "declared-to-released", by="customs")
    assert {key: group["suppressed"] for key, group in found.items()} == {
        ("2301",): False,
        ("2302",): True,
        ("9009",): True,  # or 2302 were the total less the others
    }
    hidden = found[("2302",)]
    assert [hidden[name] for name in ("count", "share", "median_hours", "p90_hours")] == [None] * 4


def test_whoever_is_alone_is_not_shown_as_a_total_either(node: Node) -> None:
    node.tell(*declarations("2301", 4))
    answer = node.get("/v1/statistics/declared-to-released", by="customs", **SPRING).json()
    assert [each["suppressed"] for each in (*answer["groups"], answer["total"])] == [True, True]


def test_no_two_answers_differ_by_a_small_group(node: Node) -> None:
    """Every pair of totals over months and districts: what one has more than the other is never a number under five."""
    node.tell(
        *declarations("2301", 23),
        *declarations("2301", 2, 100, day=31),
        *declarations("2302", 7, day=31),
        *declarations("2302", 1, 100, day=-20),
    )
    seen: list[int] = []
    for since, until, customs in product(("2026-02", "2026-03"), ("2026-03", "2026-04"), ("", "2301", "2302")):
        only = {"customs": customs} if customs else {}
        answer = node.get("/v1/statistics/acceptance", by="", since=since, until=until, **only).json()
        if not answer["total"]["suppressed"]:
            seen.append(answer["total"]["count"])
    assert len(seen) > 4
    assert {abs(one - other) % 5 for one in seen for other in seen} == {0}


def test_a_share_is_of_rounded_counts_and_not_given_for_a_few(node: Node) -> None:
    told_ = declarations("2301", 40) + declarations("9009", 10)
    told_ += [told(f"declaration:230120261{number:09d}", "INSP_ORDERED", 9) for number in range(12)]
    node.tell(*told_)
    found = groups(node, "inspection-rate", by="customs")
    assert {key: (group["count"], group["share"]) for key, group in found.items()} == {
        ("2301",): (40, 0.25),
        ("9009",): (10, None),
    }


def test_the_operator_says_from_which_size_on_groups_are_shown(database: str) -> None:
    settings = Settings.read({"KOUAN_STATISTICS_THRESHOLD": "3"})
    with manned(database, settings) as client:
        node = Node(database, client)
        node.tell(*declarations("2301", 3))
        assert groups(node, "acceptance", by="customs")[("2301",)]["count"] == 3
        assert node.get("/v1/statistics").json()["threshold"] == 3


def test_the_figures_come_as_csv_with_both_languages_and_no_formula(node: Node) -> None:
    for number in range(5):
        box = f"container:CSQU{number:07d}"
        node.tell(told(box, "DISCHARGED", number, place="=1+1", mode="VESSEL"), told(box, "GATE_OUT", 50, place="=1+1"))
    answer = node.get("/v1/statistics/import-dwell", by="place", format="csv", **SPRING)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.content.startswith(b"\xef\xbb\xbf")
    header, row, total = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert header[0] == "地点 / place"
    assert (row[0], row[2], row[4]) == ("'=1+1", "5", "48.0")
    assert total[0] == "合计 / total"
    assert len(header) == len(row) == len(total)


def test_every_answer_is_a_free_delivery_the_empty_one_too(node: Node) -> None:
    node.get("/v1/statistics/clearance")
    node.tell(*declarations("2301", 6))
    node.get("/v1/statistics/acceptance", **SPRING)
    made = [
        json.loads(bytes(row[0]))
        for row in node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made' ORDER BY notification_id")
    ]
    assert [(each["item"], each["item_class"], each.get("result", "ok"), each.get("count", 0)) for each in made] == [
        ("statistics.summary", "government", "empty", 0),
        ("statistics.summary", "government", "ok", 1),
    ]
    assert [each.get("datasets") for each in made] == [None, list(DRAWN["declarations"])]


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("nothing", 404, "unknown"),
        ("clearance?by=colour", 422, "bad-statistics"),
        ("import-dwell?by=regime", 422, "bad-statistics"),
        ("import-dwell?regime=0110", 422, "bad-statistics"),
        ("clearance?month=2026-03", 422, "bad-statistics"),
        ("clearance?since=2026-13", 422, "bad-statistics"),
        ("clearance?since=2026-05&until=2026-04", 422, "bad-statistics"),
        ("clearance?since=2010-05&until=2026-04", 422, "bad-statistics"),
        ("clearance?until=2026-03-15", 422, "bad-statistics"),
        ("clearance?place=%00", 422, "nul"),
        ("clearance?format=xlsx", 422, "malformed"),
    ],
)
def test_a_question_that_cannot_be_answered_is_a_problem(node: Node, path: str, status: int, kind: str) -> None:
    answer = node.get(f"/v1/statistics/{path}")
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")


def test_figures_need_an_account(node: Node) -> None:
    assert node.get("/v1/statistics", "").status_code == 401
    assert node.get("/v1/statistics/clearance", "").status_code == 401


def test_a_place_is_found_under_any_of_its_codes(node: Node) -> None:
    for number in range(5):
        box = f"container:CSQU{number:07d}"
        spot = {"place": "CNSHG", "mode": "VESSEL"}
        node.tell(told(box, "DISCHARGED", 0, **spot), told(box, "GATE_OUT", 9, **spot))
    assert groups(node, "import-dwell", by="place", place="CNSHA")[("CNSHG",)]["count"] == 5
    assert at(0) == "2026-03-02T00:00:00+08:00"
