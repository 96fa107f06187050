"""Following: one entry of the journal that cannot be read neither breaks a page nor vanishes from it."""

import psycopg
import pytest

from tests.fixtures_node import Node
from tests.test_track_api import BOX, STORY

BROKEN = [
    b"",
    b"{",
    b"\xff\xfe",
    b"null",
    b"[]",
    b"{}",
    b'{"fact":1}',
    b'{"fact":"x"} "trailing',
    b'{"fact":"x","text":"\xff"}',
    b'{"fact":"x","\xff":1}',
    b'{"fact":"x","text":"\\ud800"}',
    b'{"fact":"x","n":NaN}',
    b'{"fact":"x","deep":' + b"[" * 100_000,
]


def spoil(node: Node, state: bytes, position: int = 2) -> None:
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        connection.execute("UPDATE cargo_events SET state = %s WHERE notification_id = %s", (state, position))


@pytest.mark.parametrize("state", BROKEN, ids=[repr(state[:24]) for state in BROKEN])
def test_an_entry_that_cannot_be_read_is_told_as_such_between_the_others(node: Node, state: bytes) -> None:
    node.tell(*STORY)
    spoil(node, state)
    answer = node.get("/v1/feed", "logistics")
    assert answer.status_code == 200
    page = answer.json()
    assert [(item["position"], item["subject"], item.get("unreadable", False)) for item in page["items"]] == [
        (1, BOX, False),
        (2, BOX, True),
        (3, BOX, False),
    ]
    assert page["items"][1]["fact"] is None
    assert node.get("/v1/feed", "logistics", after=page["next"]).json()["items"] == []


def test_what_cannot_be_read_is_free(node: Node) -> None:
    node.tell(*STORY)
    spoil(node, b"{")
    assert node.get("/v1/feed", "logistics").json()["service"]["quantity"] == 2
    assert (
        node.get("/v1/feed", "logistics", after=cursor_behind_first(node), limit=1).json()["service"]["quantity"] == 0
    )
    node.catch_up()
    assert node.rows("SELECT sum(quantity), count(*) FROM usage_entries WHERE item = 'feed.pull'") == [(3, 3)]


def test_a_fact_of_a_newer_kouan_is_handed_on_as_it_is_stored(node: Node) -> None:
    node.tell(*STORY)
    spoil(node, b'{"fact":"container.teleported","to":[1,2]}')
    item = node.get("/v1/feed", "logistics").json()["items"][1]
    assert (item["fact"], "unreadable" in item) == ({"fact": "container.teleported", "to": [1, 2]}, False)


def cursor_behind_first(node: Node) -> str:
    return str(node.get("/v1/feed", "logistics", limit=1).json()["next"])
