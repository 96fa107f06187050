"""Read models are disposable: rebuilt from the journal they equal the live ones, and no bad fact stops them."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from api.app import READ_MODELS
from api.identity import Account, open_account
from domain import fact
from domain.journal import Journal
from examples.day import EXAMPLES, SOURCES, deliveries
from projections import runner
from projections.runner import ReadModel
from tests.fixtures_node import Node
from tests.open_register import OWNER
from tests.test_report_api import GATE_IN

KEY = """
SELECT attribute.attname
FROM pg_index AS index
JOIN pg_attribute AS attribute ON attribute.attrelid = index.indrelid AND attribute.attnum = ANY(index.indkey)
WHERE index.indrelid = %s::regclass AND index.indisprimary
ORDER BY array_position(index.indkey::int2[], attribute.attnum)
"""
POISON = """
INSERT INTO {table} (originator_id, originator_version, topic, state, notification_id, fact_id)
SELECT %s, 1, %s, %s, nextval('{table}_notification_id_seq'), gen_random_uuid()
"""
UNREADABLE = {
    "an unknown tag": b'{"fact":"container.teleported","happened_at":"2026-03-01T04:00:00Z"}',
    "no JSON": b"\xff\x00not json",
    "a tag that cannot be text": b'{"fact":"container.\\u0000"}',
    "a field of another type": b'{"fact":"fact.retracted","happened_at":1,"recorded_at":2}',
    "nothing": b"",
    "a well without a bottom": b'{"a":' * 100_000,
}
LATER = [{**GATE_IN, "id": "2", "code": "GATE_OUT", "happened_at": "2026-03-02T12:00:00+08:00"}]
Dump = dict[str, list[bytes]]


@pytest.fixture
def connection(node: Node) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(node.conninfo, autocommit=True) as made:
        yield made


def dump(connection: psycopg.Connection[Any], models: tuple[ReadModel, ...] = READ_MODELS) -> Dump:
    """Every table of the models, its rows in the order of their key; and where each model stands."""
    found: Dump = {}
    for table in (name for each in models for name in each.table_names):
        columns = [sql.Identifier(row[0]) for row in connection.execute(KEY, (table,))]
        assert columns, f"{table} has no primary key: its rows cannot be compared"
        wanted = sql.SQL("COPY (SELECT * FROM {} ORDER BY {}) TO STDOUT")
        found[table] = copied(connection, wanted.format(sql.Identifier(table), sql.SQL(", ").join(columns)))
    places = "COPY (SELECT name, position FROM read_model_positions ORDER BY name) TO STDOUT"
    return {**found, "positions": copied(connection, sql.SQL(places).format())}


def copied(connection: psycopg.Connection[Any], query: sql.Composed) -> list[bytes]:
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        return b"".join(bytes(part) for part in copy).splitlines()


def rebuild(connection: psycopg.Connection[Any], conninfo: str, batch: int) -> None:
    for name in ("cargo", "commerce"):
        with Journal(name, conninfo).opened() as journal:
            for each in READ_MODELS:
                if each.journal == name:
                    runner.rebuild(connection, journal, each, batch)


def dead(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT name, subject FROM read_model_dead_letters ORDER BY position, name").fetchall()


def poison(connection: psycopg.Connection[Any], journal: str, stream: str, state: bytes) -> None:
    connection.execute(POISON.format(table=f"{journal}_events").encode(), (stream, "unknown", state))


def live_day(node: Node, connection: psycopg.Connection[Any]) -> None:
    """The sample day as it comes, with questions between; the read models follow in batches of all sizes."""
    keys = {
        name: open_account(connection, Account(name, "source", *names, party=OWNER)) for name, names in SOURCES.items()
    }
    for number, post in enumerate(deliveries()):
        params = {"format": post.format, "sent_at": post.sent_at.isoformat()}
        headers = {"Authorization": f"Bearer {keys[post.source]}", "Content-Type": post.content_type}
        answer = node.client.post("/v1/reports", params=params, content=post.body, headers=headers)
        assert answer.status_code == 202, answer.text
        if number % 37 == 0:
            node.catch_up()
            node.get(f"/v1/track/{EXAMPLES['container']}")
    for asked in EXAMPLES.values():
        node.get(f"/v1/track/{asked}")
    node.get("/v1/feed", "logistics")
    node.catch_up()


# --- rebuilding ---


@pytest.mark.slow
def test_every_read_model_rebuilt_equals_the_live_one_row_by_row(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    live_day(node, connection)
    live = dump(connection)
    assert [table for table in ("timeline", "links", "source_clocks", "usage_entries") if not live[table]] == []
    for batch in (1, 7, 2_000):
        rebuild(connection, node.conninfo, batch)
        again = dump(connection)
        assert [table for table in live if again[table] != live[table]] == [], f"in batches of {batch}"
    assert dead(connection) == []


# --- facts that cannot be taken ---


@pytest.mark.parametrize("state", UNREADABLE.values(), ids=UNREADABLE)
def test_an_entry_that_cannot_be_read_is_set_aside_by_each_model_and_the_rest_goes_on(
    node: Node, connection: psycopg.Connection[Any], state: bytes
) -> None:
    node.tell(GATE_IN)
    poison(connection, "cargo", "container:POISON", state)
    node.tell(*LATER)
    models = sorted(each.name for each in READ_MODELS if each.journal == "cargo")
    assert dead(connection) == [(name, "container:POISON") for name in models]
    assert [line["code"] for line in node.get("/v1/track/CSQU3054383").json()["lines"]] == ["GATE_IN", "GATE_OUT"]
    assert {model["dead_letters"] for model in node.get("/health").json()["models"] if model["name"] in models} == {1}


def test_an_entry_that_cannot_be_read_stops_the_commerce_models_as_little(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    poison(connection, "commerce", "metering:poison", b"{}")
    node.get("/v1/track/CSQU3054383")
    node.catch_up()
    models = sorted(each.name for each in READ_MODELS if each.journal == "commerce")
    assert dead(connection) == [(name, "metering:poison") for name in models]
    assert len(node.rows("SELECT * FROM usage_entries")) == 1


@pytest.mark.parametrize("batch", [1, 7, 2_000])
def test_a_rebuild_sets_the_same_entries_aside(node: Node, connection: psycopg.Connection[Any], batch: int) -> None:
    node.tell(GATE_IN)
    poison(connection, "cargo", "container:POISON", b"{}")
    node.tell(*LATER)
    live, aside = dump(connection), dead(connection)
    rebuild(connection, node.conninfo, batch)
    assert (dump(connection), dead(connection)) == (live, aside)


def test_a_text_too_long_for_an_index_is_one_facts_fault_and_no_reason_to_try_for_ever(
    node: Node, connection: psycopg.Connection[Any]
) -> None:
    node.tell(GATE_IN)
    state = connection.execute("SELECT state FROM cargo_events").fetchall()[0][0]
    endless = "".join(chr(0x4E00 + number * number % 20_000) for number in range(8_000))
    told = fact.decode(bytes(state))
    poisoned = fact.encode(told).replace(b'"source"', f'"refs":["bl:{endless}"],"source"'.encode(), 1)
    poison(connection, "cargo", "container:POISON", poisoned)
    node.tell(*LATER)
    assert dead(connection) == [("links", "container:POISON")]


def test_the_stand_in_for_an_unreadable_entry_can_never_be_stored() -> None:
    with pytest.raises(KeyError):
        fact.tag_of(fact.Unreadable)
    assert "Unreadable" not in fact.tags()


def test_a_model_of_another_shape_is_built_again(node: Node, connection: psycopg.Connection[Any]) -> None:
    node.tell(GATE_IN)
    before = dump(connection)
    connection.execute("DROP TABLE timeline")
    connection.execute("CREATE TABLE timeline (of_old int)")
    connection.execute("UPDATE read_model_positions SET shape = 'of old' WHERE name = 'timeline'")
    runner.install(connection, READ_MODELS)
    assert runner.position(connection, "timeline") == 0
    node.catch_up()
    assert dump(connection) == before
