"""As known at: any answer can be had again as it stood, and equals a fold of the journal up to that moment.

The fold here is a second one, written for the test: it reads the journal, and shares nothing with projections/.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest

from api.identity import Account, open_account
from domain.fact import Confirmed, Corrected, Moved, Reinstated, Retracted, Stated
from domain.journal import Entry, Journal
from examples.day import EXAMPLES, SOURCES, deliveries
from tests.fixtures_node import Node
from tests.open_register import OWNER
from tests.test_track_api import STORY, codes, event

MOMENTS = 1_000
Shown = tuple[str, str, datetime, frozenset[str]]
NUMBERS = ("container", "rail_container", "awb")


class Said(NamedTuple):
    entry: Entry
    told: Stated
    taken_back: bool
    replaced: bool
    witnesses: frozenset[str]


def statements(entries: list[Entry]) -> list[Said]:
    """What was stated in these entries, and what the same entries say of it."""
    found: list[Said] = []
    for entry in entries:
        if not isinstance(entry.fact, Stated):
            continue
        confirmations = {
            each.fact_id: each.fact.source
            for each in entries
            if isinstance(each.fact, Confirmed) and each.fact.fact_id == entry.fact_id
        }
        alive, taken_back, replaced = dict(confirmations), False, False
        for each in entries:
            about = getattr(each.fact, "fact_id", None)
            if about in confirmations:
                _hear_of_witness(alive, confirmations, about, each)
            elif about == entry.fact_id:
                taken_back, replaced = _hear(each, taken_back=taken_back, replaced=replaced)
        own = frozenset() if taken_back else frozenset({entry.fact.source})
        found.append(Said(entry, entry.fact, taken_back, replaced, own | frozenset(alive.values())))
    return found


def _hear_of_witness(alive: dict[UUID, str], known: dict[UUID, str], about: UUID, entry: Entry) -> None:
    if isinstance(entry.fact, Retracted):
        alive.pop(about, None)
    elif isinstance(entry.fact, Reinstated):
        alive[about] = known[about]


def _hear(entry: Entry, *, taken_back: bool, replaced: bool) -> tuple[bool, bool]:
    match entry.fact:
        case Retracted():
            return True, replaced
        case Corrected():
            return taken_back, True
        case Reinstated():
            return False, False
        case _:
            return taken_back, replaced


def standing(entries: list[Entry], stream: str) -> set[Shown]:
    """The lines of one stream that stand, by a fold of these entries."""
    return {
        (
            said.told.code or said.told.raw_code,
            said.told.classifier if isinstance(said.told, Moved) else "ACT",
            said.told.happened_at,
            said.witnesses,
        )
        for said in statements([entry for entry in entries if entry.stream == stream])
        if not said.replaced and (not said.taken_back or said.witnesses)
    }


def named(entries: list[Entry], stream: str) -> bool:
    return any(
        isinstance(entry.fact, Stated) and (entry.stream == stream or stream in entry.fact.refs) for entry in entries
    )


def shown(answer: dict[str, Any], stream: str) -> set[Shown]:
    """The lines of one subject in an answer."""
    return {
        (
            line["code"] or line["raw_code"],
            line["classifier"],
            datetime.fromisoformat(line["happened_at"]).astimezone(UTC),
            frozenset(
                {each["source"] for each in line["confirmed_by"]}
                | ({line["source"]} if not line["retracted"] else set())
            ),
        )
        for line in answer["lines"]
        if line["subject"] == stream
    }


@pytest.fixture
def day(node: Node) -> Iterator[tuple[Node, list[Entry]]]:
    """The sample day in the node, and its journal."""
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        keys = {
            name: open_account(connection, Account(name, "source", *names, party=OWNER))
            for name, names in SOURCES.items()
        }
        for post in deliveries():
            answer = node.client.post(
                "/v1/reports",
                params={"format": post.format, "sent_at": post.sent_at.isoformat()},
                content=post.body,
                headers={"Authorization": f"Bearer {keys[post.source]}", "Content-Type": post.content_type},
            )
            assert answer.status_code == 202, answer.text
        node.catch_up()
        with Journal("cargo", node.conninfo).opened() as journal:
            yield node, journal.read(connection, after=0, limit=100_000)


@pytest.mark.slow
def test_a_thousand_past_answers_equal_a_fold_of_the_journal_up_to_their_moments(day: tuple[Node, list[Entry]]) -> None:
    node, entries = day
    streams = {EXAMPLES[name]: f"{'awb' if name == 'awb' else 'container'}:{EXAMPLES[name]}" for name in NUMBERS}
    first, last = entries[0].fact.recorded_at, entries[-1].fact.recorded_at
    chance = Random(20)
    for _ in range(MOMENTS):
        number = chance.choice(list(streams))
        moment = first + (last - first) * chance.uniform(-0.02, 1.02)
        until = [entry for entry in entries if entry.fact.recorded_at <= moment]
        answer = node.get(f"/v1/track/{number}", as_known_at=moment.isoformat())
        assert answer.status_code == (200 if named(until, streams[number]) else 404), (number, moment)
        if answer.status_code == 200:
            assert shown(answer.json(), streams[number]) == standing(until, streams[number]), (number, moment)


@pytest.mark.slow
def test_what_is_linked_is_as_it_was_known_too(day: tuple[Node, list[Entry]]) -> None:
    """From the box the declaration is found from the moment on at which something named both, or a number between."""
    node, entries = day
    box, declaration = f"container:{EXAMPLES['container']}", f"declaration:{EXAMPLES['declaration']}"
    linked = min(
        entry.fact.recorded_at
        for entry in entries
        if isinstance(entry.fact, Stated) and entry.stream == declaration and box in entry.fact.refs
    )
    for moment, known in ((linked - timedelta(microseconds=1), False), (linked, True)):
        lines = node.get(f"/v1/track/{EXAMPLES['container']}", as_known_at=moment.isoformat()).json()["lines"]
        assert (declaration in {line["subject"] for line in lines}) == known


@pytest.mark.slow
def test_the_answer_of_now_is_the_plain_answer(day: tuple[Node, list[Entry]]) -> None:
    node, _ = day
    for number in EXAMPLES.values():
        plain = node.get(f"/v1/track/{number}").json()
        again = node.get(f"/v1/track/{number}", as_known_at=datetime.now(UTC).isoformat()).json()
        assert {**again, "sources": plain["sources"]} == plain


def test_a_line_that_was_taken_back_later_stood_then(node: Node) -> None:
    node.tell(*STORY[1:2], event("1", "GATE_OUT", "2026-03-03T10:00:00+08:00", document="EIR7"))
    before = datetime.now(UTC)
    node.tell({"id": "4", "document": "EIR7", "function": "cancel"})
    assert codes(node.get("/v1/track/CSQU3054383", as_known_at=before.isoformat())) == ["GATE_IN", "GATE_OUT"]
    assert codes(node.get("/v1/track/CSQU3054383")) == ["GATE_IN"]


def test_of_what_was_not_known_then_nothing_is_told_and_that_is_recorded_too(node: Node) -> None:
    before = datetime.now(UTC)
    node.tell(*STORY)
    answer = node.get("/v1/track/CSQU3054383", as_known_at=before.isoformat())
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown")
    assert node.rows("SELECT count(*) FROM commerce_events WHERE topic = 'delivery.made'") == [(1,)]


@pytest.mark.parametrize(
    "moment", ["2026-03-01", "2026-03-01T10:00:00", "yesterday", "0001-01-01T00:00:00+14:00", "x" * 500]
)
def test_a_moment_needs_its_offset(node: Node, moment: str) -> None:
    answer = node.get("/v1/track/CSQU3054383", as_known_at=moment)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/bad-question")
    assert answer.json()["facts"]["parameter"] == "as_known_at"


def test_a_plus_that_was_not_escaped_is_understood(node: Node) -> None:
    node.tell(*STORY)
    answer = node.client.get(
        "/v1/track/CSQU3054383?as_known_at=2126-03-01T10:00:00+08:00", headers=node.bearer("enterprise")
    )
    assert len(codes(answer)) == 3
