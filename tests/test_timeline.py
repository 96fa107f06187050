"""The timeline: decisions beside statements, and the same view whatever the order and repetition of messages."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from api.identity import Account, open_account
from domain.container import Container, place_hold, release_hold
from domain.declaration import Amended, Lodged, Withdrawn
from domain.delivery import new_id
from domain.fact import Fact
from domain.instruction import InstructionGiven
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.milestones import MILESTONES
from domain.writer import Writer
from examples import air_consignment, rail_export, sea_import
from examples.day import SOURCES
from examples.post import Post
from projections import timeline
from tests.fixtures_node import Node, manned
from tests.fixtures_postgres import drop
from tests.open_register import OWNER
from tests.test_track_api import BOX, STORY

MON = datetime(2026, 3, 2, 1, tzinfo=UTC)
JOURNEYS = {
    sea_import.BOX: sea_import,
    rail_export.BOX: rail_export,
    air_consignment.AWB: air_consignment,
}
ORDERS = 6


def decide(node: Node, stream: str, *facts: Fact) -> None:
    """Write facts of Kouan's own."""
    with Journal("cargo", node.conninfo).opened() as journal:
        writer = Writer(journal)
        new = [NewFact(stream, new_id(each.recorded_at), each) for each in facts]
        writer.submit([Intent(facts=new, fresh=True)]).result()
        writer.stop()
    node.catch_up()


# --- decisions ---


def test_a_hold_and_its_release_are_lines_in_both_languages_by_the_account_that_decided(node: Node) -> None:
    node.tell(*STORY)
    box = Container("CSQU3054383")
    [placed] = place_hold(box, authority="南京海关", reason="抽查", reference="H1", by="customs-2300", at=MON)
    held = Container("CSQU3054383", holds=frozenset({"H1"}))
    [lifted] = release_hold(held, reference="H1", by="customs-2300", at=MON + timedelta(hours=3))
    decide(node, BOX, placed, lifted)
    lines = {line["code"]: line for line in node.get("/v1/track/CSQU3054383").json()["lines"]}
    hold = lines["HOLD_PLACED"]
    assert (hold["zh"], hold["en"], hold["source"]) == ("布控（扣留）", "Hold placed", "customs-2300")
    assert (hold["text"], hold["raw_code"], hold["message_id"]) == ("南京海关 · 抽查", "H1", None)
    assert hold["happened_at"] == "2026-03-02T09:00:00+08:00"
    assert lines["HOLD_RELEASED"]["raw_code"] == "H1"


def test_what_a_declarant_decides_is_told_with_its_version_and_reason(node: Node) -> None:
    more: Any = {"recorded_at": MON, "by": "trader"}
    facts = (
        Lodged(happened_at=MON, **more),
        Amended(happened_at=MON + timedelta(hours=1), version=2, reason="毛重更正", **more),
        Withdrawn(happened_at=MON + timedelta(hours=2), reason="改期", **more),
    )
    decide(node, "declaration:230120261000000015", *facts)
    lines = node.get("/v1/track/230120261000000015").json()["lines"]
    assert [(line["code"], line["text"]) for line in lines] == [
        ("DEC_LODGED", "v1"),
        ("DEC_AMENDED", "毛重更正 · v2"),
        ("DEC_WITHDRAWN", "改期"),
    ]


def test_an_instruction_is_a_line_of_the_cargo_that_it_is_about(node: Node) -> None:
    given = InstructionGiven(
        happened_at=MON,
        recorded_at=MON,
        kind="gate-out",
        subject=BOX,
        due_at=MON,
        to="t",
        by="customs-2300",
        place="CNNKG",
    )
    decide(node, "instruction:7", given)
    [line] = node.get("/v1/track/CSQU3054383").json()["lines"]
    assert (line["zh"], line["en"]) == ("下达指令：出闸（提箱）", "Instruction given: gate out")
    assert line["place_zh"] != ""


@pytest.mark.parametrize("code", timeline.DECISIONS.values())
def test_every_decision_has_a_milestone_in_both_languages(code: str) -> None:
    assert MILESTONES[code].zh != MILESTONES[code].en != ""


# --- one view, whatever the order ---


Fresh = Callable[[], AbstractContextManager[Node]]


@pytest.fixture
def fresh(postgres: str, template: str) -> Fresh:
    """An empty node, as often as a test needs one."""

    @contextmanager
    def one() -> Iterator[Node]:
        name = f"kouan_test_{uuid4().hex[:12]}"
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        conninfo = make_conninfo(postgres, dbname=name)
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(make.format(sql.Identifier(name), sql.Identifier(template)))
            with manned(conninfo) as client:
                yield Node(conninfo, client)
        drop(postgres, name)

    return one


def posts(number: str) -> list[Post]:
    return [one.post for one in sorted(JOURNEYS[number].posts(), key=lambda one: one.at)]


def told_in_order(node: Node, many: Sequence[Post]) -> None:
    with psycopg.connect(node.conninfo, autocommit=True) as connection:
        keys = {
            name: open_account(connection, Account(name, "source", *names, party=OWNER))
            for name, names in SOURCES.items()
        }
    for post in many:
        answer = node.client.post(
            "/v1/reports",
            params={"format": post.format, "sent_at": post.sent_at.isoformat()},
            content=post.body,
            headers={"Authorization": f"Bearer {keys[post.source]}", "Content-Type": post.content_type},
        )
        assert answer.status_code == 202, answer.text
    node.catch_up()


def view(node: Node, number: str) -> dict[str, Any]:
    """What a reader sees, less what is about the order of arrival itself."""
    answer = node.get(f"/v1/track/{number}").json()
    lines = [
        (
            line["subject"],
            line["code"],
            line["classifier"],
            line["happened_at"],
            line["place"],
            line["pieces"],
            said(line),
        )
        for line in answer["lines"]
    ]
    latest = answer["header"]["latest"]
    parts = [(part["code"], part["pieces"], part["pieces_total"]) for part in answer["header"]["parts"]]
    etas = [
        (eta["place"], eta["expected_at"], eta["arrived_at"], [told["expected_at"] for told in eta["history"]])
        for eta in answer["header"]["eta"]
    ]
    return {"lines": lines, "latest": latest, "parts": parts, "eta": etas, "journey": answer["header"]["journey"]}


def said(line: dict[str, Any]) -> list[str]:
    return sorted({line["source"], *(each["source"] for each in line["confirmed_by"])})


@pytest.mark.slow
@pytest.mark.parametrize("number", JOURNEYS)
def test_every_order_and_repetition_of_the_messages_gives_the_same_view(fresh: Fresh, number: str) -> None:
    story, chance = posts(number), Random(number)
    with fresh() as node:
        told_in_order(node, story)
        expected = view(node, number)
    assert len(expected["lines"]) > 20
    for _ in range(ORDERS):
        shuffled = [*story, *chance.choices(story, k=len(story) // 3)]
        chance.shuffle(shuffled)
        with fresh() as node:
            told_in_order(node, shuffled)
            assert view(node, number) == expected
