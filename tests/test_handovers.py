"""The delivery ledger: sums that no order and no batch size changes, seen by those who own the data."""

import csv
import io
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from domain.datasets import PORT, ROAD
from domain.delivery import DeliveryMade
from domain.journal import Entry
from projections import handovers
from tests.fixtures_node import Node
from tests.test_govern import GRANT, THEM, ask, here, requested, tracked, wanted  # noqa: F401  `here` is a fixture
from tests.test_sight import BOX, ours

MON = datetime(2026, 3, 2, 15, 59, tzinfo=UTC)  # a minute before Tuesday in Shanghai


def made(at: datetime, count: int = 1, **more: Any) -> DeliveryMade:
    about = {"account": "a", "item": "track.query", "item_class": "government", "datasets": (ROAD,), **more}
    return DeliveryMade(happened_at=at, recorded_at=at, count=count, **about)


def some() -> list[Entry]:
    facts = [
        made(MON + timedelta(minutes=number % 3), number, account=f"a{number % 2}", permissions=way)
        for number, way in enumerate([("P1", "P2"), ("P2", "P1"), ()] * 10)
    ]
    facts += [made(MON, 5, datasets=(ROAD, PORT)), made(MON, 0, datasets=(), result="empty")]
    return [Entry(at, "metering:x", at, uuid4(), each) for at, each in enumerate(facts, 1)]


@pytest.mark.parametrize("size", [1, 7, 2_000])
def test_any_order_and_batch_gives_the_same_sums(database: str, size: int) -> None:
    entries = some()
    expected = _projected(database, entries, 2_000)
    random.Random(size).shuffle(entries)
    assert _projected(database, entries, size) == expected
    assert sum(row[8] for row in expected if row[1] == ROAD) == 31
    assert {row[0].isoformat() for row in expected} == {"2026-03-02", "2026-03-03"}
    assert {row[4] for row in expected} == {"", "P1 P2"}


def _projected(conninfo: str, entries: list[Entry], size: int) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as connection, connection.cursor(binary=True) as cursor:
        cursor.execute("TRUNCATE handovers")
        for start in range(0, len(entries), size):
            handovers.project(cursor, entries[start : start + size])
        return cursor.execute("SELECT * FROM handovers ORDER BY 1, 2, 3, 4, 5, 6, 7, 8").fetchall()


def test_an_owner_sees_to_whom_how_much_of_its_own_under_which_permission(here: Node) -> None:  # noqa: F811
    here.tell(ours("1", "GATE_OUT", 3))
    name = requested(here)
    ask(here, "POST", f"/v1/permissions/{name}/grant", "steward", GRANT)
    assert [tracked(here, "them") for _ in range(3)] == [200] * 3
    assert tracked(here, "us") == 404  # an empty delivery, and no hand-over
    here.catch_up()
    [row] = here.get("/v1/handovers", "steward").json()["items"]
    assert (row["party"], row["permissions"], row["deliveries"], row["quantity"]) == (THEM, [name], 3, 3)
    assert here.get("/v1/handovers", "customs").json()["items"] == []
    assert here.get(f"/v1/handovers?dataset={ROAD}", "customs").status_code == 404
    assert here.get("/v1/handovers", "them").status_code == 403
    assert here.get("/v1/handovers", "auditor").json()["deliveries"] == 3
    told = here.get(f"/v1/handovers/records?permission={name}", "officer").json()
    ids = {str(found[0]) for found in here.rows("SELECT fact_id FROM commerce_events WHERE topic = 'delivery.made'")}
    assert len(told["items"]) == 3
    assert {each["fact_id"] for each in told["items"]} < ids
    assert {each["subject"] for each in told["items"]} == {BOX}
    assert not told["more"]


def test_the_ledger_as_csv_opens_in_a_spreadsheet_and_holds_no_formula(here: Node) -> None:  # noqa: F811
    at = datetime.now(UTC)
    here.decide("commerce", "metering:x", made(at, account="=cmd()", party=THEM, permissions=("owner",)))
    answer = here.get("/v1/handovers?format=csv", "steward")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    titles, row = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    assert titles[:2] == ["日期 Day", "数据集 Dataset"]
    assert row[5] == "'=cmd()"
    assert "数源部门" in row[6]


def test_days_that_are_none_are_told(here: Node) -> None:  # noqa: F811
    for query in ("from=2026-03-02&to=2026-03-01", "from=0001-01-01", "from=x", "to=0001-01-01"):
        assert here.get(f"/v1/handovers?{query}", "steward").status_code in {200, 422}, query


def test_a_permission_of_another_dataset_is_not_told(here: Node) -> None:  # noqa: F811
    ask(here, "PUT", f"/v1/datasets/{PORT}/owner", "safe", {"owner": "CUSTOMS", "document_no": "1号"})
    given = wanted(dataset=PORT, recipient=THEM, grant=GRANT)
    theirs = ask(here, "POST", "/v1/permissions", "customs", given).json()["id"]
    both = made(datetime.now(UTC), datasets=(ROAD, PORT), party=THEM, permissions=(theirs,))
    here.decide("commerce", "metering:x", both)
    seen = {who: here.get("/v1/handovers", who).json()["items"][0]["permissions"] for who in ("steward", "customs")}
    assert seen == {"steward": [], "customs": [theirs]}
    assert theirs not in here.get("/v1/handovers/records", "steward").text
