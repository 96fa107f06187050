"""Taking a period home: every row that may be seen, once; paid once; fetched only while it still may be seen."""

import asyncio
import csv
import importlib
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from api.app import Works
from api.exporting import exporter
from api.exporting.columns import COLUMNS
from api.exporting.rights import Rights
from api.settings import Settings
from domain.delivery import new_id
from projections.rights import View
from tests.fixtures_node import Node
from tests.test_eta import VOYAGE
from tests.test_sight import stopped
from tests.test_track_api import STORY

BOX = "CSQU3054383"
PERIOD = {"from": "2026-01-01T00:00:00+08:00", "to": "2027-01-01T00:00:00+08:00"}
DAY = timedelta(days=1)
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOUAN_HOME", str(tmp_path))
    return tmp_path


def order(node: Node, who: str = "logistics", **asked: Any) -> Any:
    body = msgspec.json.encode({"to": (NOW + DAY).isoformat(), "from": (NOW - DAY).isoformat(), **asked})
    return node.client.post("/v1/exports", content=body, headers=node.bearer(who))


def made(node: Node, times: int = 1) -> None:
    """As the exporter does it."""

    async def work() -> None:
        works = Works(node.conninfo, Settings.read())
        async with works.lifespan():
            for _ in range(times):
                await exporter.once(works, Settings.read())

    asyncio.run(work())


def fetched(node: Node, who: str = "logistics", **asked: Any) -> bytes:
    placed = order(node, who, **asked)
    assert placed.status_code == 202, placed.text
    made(node)
    told = node.get(f"/v1/exports/{placed.json()['id']}", who).json()
    assert told["state"] == "ready", told
    answer = node.get(told["file"], who)
    assert answer.status_code == 200, answer.text
    content: bytes = answer.content
    assert len(content) == told["bytes"]
    return content


def table(content: bytes) -> list[dict[str, str]]:
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    return [dict(zip([column.name for column in COLUMNS], row, strict=True)) for row in rows[1:]]


def delivered(node: Node) -> list[dict[str, Any]]:
    rows = node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made' ORDER BY notification_id")
    return [json.loads(bytes(row[0])) for row in rows]


def feed(node: Node, who: str = "logistics") -> list[int]:
    return [item["position"] for item in node.get("/v1/feed", who, limit=1000).json()["items"]]


def test_a_period_has_the_rows_of_the_feed_with_words_in_both_languages(node: Node) -> None:
    node.tell(*STORY, *VOYAGE)
    rows = table(fetched(node, format="csv"))
    assert [int(row["position"]) for row in rows] == feed(node)
    departed = next(row for row in rows if row["code"] == "VSL_DEP")
    assert (departed["number"], departed["classifier"], departed["happened_local"]) == (
        BOX,
        "ACT",
        "2026-03-01T08:00:00+08:00",
    )
    assert departed["milestone_zh"] != departed["milestone_en"] != ""
    assert departed["place_zh"] != ""


def test_it_is_charged_once_by_the_row_however_often_it_is_fetched(node: Node) -> None:
    node.tell(*STORY)
    placed = order(node).json()
    assert (placed["state"], placed["file"], placed["service"]["quantity"]) == ("waiting", "", 0)
    made(node, 2)
    told = node.get(f"/v1/exports/{placed['id']}", "logistics").json()
    for _ in range(3):
        assert node.get(told["file"], "logistics").status_code == 200
    [record] = delivered(node)
    assert (record["item"], record["count"], record["subject"], record["channel"]) == (
        "history.export",
        told["rows"],
        f"export:{placed['id']}",
        "export",
    )
    assert told["service"] == {
        "item": "history.export",
        "item_class": "commercial",
        "quantity": told["rows"],
        "tariff": record["tariff"],
    }
    told = node.rows("SELECT state FROM commerce_events WHERE topic = 'access.told' ORDER BY notification_id")
    acts = [json.loads(bytes(row[0]))["action"] for row in told]
    assert [each for each in acts if each.startswith("export")] == ["export.order", *["export.fetch"] * 3]


def test_an_export_that_a_crash_undid_is_made_again_and_charged_once(node: Node) -> None:
    node.tell(*STORY)
    placed = order(node).json()
    made(node)
    with psycopg.connect(node.conninfo, autocommit=True) as connection:  # as if it had died before it said so
        connection.execute(
            "UPDATE exports SET state = 'making', finished_at = NULL, held_until = now() - interval '1 second'"
        )
    made(node)
    told = node.get(f"/v1/exports/{placed['id']}", "logistics").json()
    assert (told["state"], len(delivered(node))) == ("ready", 1)


def test_a_workbook_has_texts_only_and_says_what_its_columns_are(node: Node) -> None:
    spoilt = STORY[0] | {"id": "f", "text": "=1+1", "happened_at": "2026-03-09T08:00:00+08:00"}
    node.tell(*STORY, spoilt)
    with zipfile.ZipFile(io.BytesIO(fetched(node, format="xlsx"))) as book:
        sheets = [book.read(name).decode() for name in book.namelist() if "worksheets/sheet" in name]
    assert "Milestone" in sheets[0] + sheets[1]
    assert all("<f>" not in sheet for sheet in sheets)
    assert any("=1+1" in row["text"] and row["text"].startswith("'") for row in table(fetched(node, format="csv")))


def test_parquet_is_typed_and_has_the_same_rows(node: Node) -> None:
    node.tell(*STORY, *VOYAGE)
    content = fetched(node, format="parquet")
    parquet = importlib.import_module("pyarrow.parquet")
    found = parquet.read_table(io.BytesIO(content))
    assert found.column("position").to_pylist() == feed(node)
    assert str(found.schema.field("happened_at").type) == "timestamp[us, tz=UTC]"
    assert found.schema.field("code").metadata[b"zh"].decode() == "标准代码"


def test_a_filter_is_that_of_the_feed(node: Node) -> None:
    node.tell(*STORY, *VOYAGE)
    rows = table(fetched(node, format="csv", filter={"codes": ["VSL_DEP"]}))
    assert {row["code"] for row in rows} == {"VSL_DEP"}


def test_what_was_told_outside_the_period_is_not_in_it(node: Node) -> None:
    node.tell(*STORY)
    early = {"from": (NOW - 3 * DAY).isoformat(), "to": (NOW - 2 * DAY).isoformat()}
    assert table(fetched(node, format="csv", **early)) == []
    assert delivered(node)[0]["result"] == "empty"


def test_many_pages_make_one_file(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "PAGE", 2)
    node.tell(*STORY, *VOYAGE)
    assert [int(row["position"]) for row in table(fetched(node, format="csv"))] == feed(node)


def test_a_file_is_for_who_ordered_it(node: Node) -> None:
    node.tell(*STORY)
    placed = order(node).json()
    made(node)
    for path in (f"/v1/exports/{placed['id']}", f"/v1/exports/{placed['id']}/file"):
        mine, absent = (
            node.get(path, "enterprise"),
            node.get(path.replace(placed["id"], str(new_id(NOW))), "enterprise"),
        )
        assert (mine.status_code, absent.status_code) == (404, 404)
    assert node.get("/v1/exports", "enterprise").json() == {"exports": []}
    assert [each["id"] for each in node.get("/v1/exports", "logistics").json()["exports"]] == [placed["id"]]


def test_the_same_key_orders_once(node: Node) -> None:
    body = msgspec.json.encode(PERIOD)
    sent = node.bearer("logistics") | {"Idempotency-Key": "k-1"}
    first, second = (node.client.post("/v1/exports", content=body, headers=sent) for _ in range(2))
    assert first.content == second.content
    assert len(node.get("/v1/exports", "logistics").json()["exports"]) == 1


def test_so_many_at_a_time_and_no_more(node: Node) -> None:
    answers = [order(node).status_code for _ in range(6)]
    assert answers == [202] * 5 + [409]


@pytest.mark.parametrize(
    "asked",
    [{"from": "2026-01-01T00:00:00"}, {"to": "2000-01-01T00:00:00Z", "from": "2001-01-01T00:00:00Z"}, {"format": "pdf"},
     {"filter": {"codes": ["NO_SUCH"]}}, {"filter": {"form": "state"}}, {"filter": {"x": 1}}, {"more": 1},
     {"from": "1900-01-01T00:00:00Z"}],
)  # fmt: skip
def test_an_order_that_cannot_be_understood_is_a_problem(node: Node, asked: dict[str, Any]) -> None:
    answer = order(node, **asked)
    assert answer.status_code == 422, answer.text


def test_files_are_swept_when_their_time_is_over(node: Node, home: Path) -> None:
    node.tell(*STORY)
    placed = order(node).json()
    made(node)
    assert len(list((home / "exports").iterdir())) == 1
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        connection.execute("UPDATE exports SET expires_at = now()")
    made(node)
    assert list((home / "exports").iterdir()) == []
    assert node.get(f"/v1/exports/{placed['id']}", "logistics").json()["state"] == "expired"
    assert node.get(f"/v1/exports/{placed['id']}/file", "logistics").status_code == 409


def test_what_may_not_be_seen_any_more_is_not_handed_out(node: Node) -> None:
    node.tell(*STORY)
    placed = order(node).json()
    made(node)
    path = f"/v1/exports/{placed['id']}/file"
    assert node.get(path, "logistics").status_code == 200
    _, ended = stopped()
    name = "port.movements-logistics"
    node.decide("commerce", f"permission:{name}", msgspec.structs.replace(ended, permission=name))
    answer = node.get(path, "logistics")
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/no-leave")


def test_a_closed_account_gets_nothing_made(node: Node) -> None:
    node.tell(*STORY)
    order(node)
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        connection.execute("UPDATE accounts SET state = 'suspended' WHERE account = 'mover'")
    made(node)
    assert node.rows("SELECT state FROM exports") == [("failed",)]
    assert delivered(node) == []


# --- rights ---

SEEN = View(parties=("P",), own=("a",), whole=("a", "b"), fields=(("b", ("place",)),))
THEN = Rights.of(SEEN, {"a", "b"})


@pytest.mark.parametrize(
    ("change", "held"),
    [
        ({}, True),
        ({"whole": ("a", "b", "c")}, True),
        ({"whole": ("a",)}, False),
        ({"own": ()}, True),  # all of a is seen in whole
        ({"parties": ()}, False),
        ({"masked": ("seal",)}, False),
        ({"fields": ()}, True),
        ({"fields": (("b", ("place", "seal")),)}, True),
        ({"fields": (("b", ("seal",)),)}, False),
        ({"fields": (("a", ("seal",)), ("b", ("place",)))}, False),
    ],
)
def test_a_file_is_handed_out_while_all_of_it_may_still_be_seen(change: dict[str, Any], held: bool) -> None:
    assert THEN.still_held(msgspec.structs.replace(SEEN, **change)) is held
