"""Who sees what: a party its own cargo, others by the owner's permission, and nobody anything by accident."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from api.identity import Account
from domain.datasets import PORT, ROAD
from domain.disclosure import DatasetOwnerSet
from domain.fact import Fact
from domain.permission import PermissionGranted, PermissionRevoked, PermissionSuspended, Terms
from domain.shipment import PartyNamed, PartyWithdrawn
from projections import interests, sight, timeline
from projections.rights import View
from projections.sight import Look
from tests.fixtures_node import Node

BOX, OTHER_BOX = "CSQU3054383", "TOLU4734787"
MINE, THEIRS = "KOUA0000001", "KOUA0000002"
US, THEM, PORT_GROUP = "91320000MA1ABCDE5T", "91320000MA1FGHJK7B", "NJ-PORT"
NOW = datetime.now(UTC)
AT: dict[str, Any] = {"happened_at": NOW, "recorded_at": NOW}


@pytest.fixture
def here(closed_node: Node) -> Node:
    """Two enterprises, and a logistics firm that is party to nothing."""
    closed_node.open("us", Account("us", "enterprise", "甲公司", "Us", party=US))
    closed_node.open("them", Account("them", "enterprise", "乙公司", "Them", party=THEM))
    closed_node.open("carrier", Account("carrier", "logistics", "物流", "Carrier", party="LOGISTICS-1"))
    return closed_node


def event(number: str, code: str, day: int, *, box: str = BOX, **more: Any) -> dict[str, Any]:
    at = f"2026-03-{day:02}T10:00:00+08:00"
    return {"id": number, "subject": f"container:{box}", "code": code, "happened_at": at, "place": "CNNKG", **more}


def ours(number: str, code: str, day: int, **more: Any) -> dict[str, Any]:
    return event(number, code, day, mode="TRUCK", refs=[f"bl:{MINE}"], **more)


def named(party: str, bill: str = MINE) -> tuple[str, Fact]:
    return f"bl:{bill}", PartyNamed(**AT, role="consignee", party=party, by="terminal")


def owned(dataset: str = ROAD) -> tuple[str, Fact]:
    return f"dataset:{dataset}", DatasetOwnerSet(
        **AT, dataset=dataset, document_no="1", by="a", by_party=PORT_GROUP, owner=PORT_GROUP
    )


def granted(recipient: str, *, dataset: str = ROAD, number: str = "P1", **terms: Any) -> tuple[str, Fact]:
    told = Terms(
        dataset=dataset,
        recipient=recipient,
        purpose="试验",
        **{
            "channels": ("query", "export"),
            "valid_from": NOW - timedelta(days=1),
            "valid_to": NOW + timedelta(days=1),
            **terms,
        },
    )
    return f"permission:{number}", PermissionGranted(
        **AT,
        permission=number,
        by="a",
        by_party=PORT_GROUP,
        terms=told,
        owner=PORT_GROUP,
        approver="b",
        document_no="2",
    )


def stopped(kind: type[PermissionRevoked | PermissionSuspended] = PermissionRevoked) -> tuple[str, Fact]:
    return "permission:P1", kind(**AT, permission="P1", by="a", by_party=PORT_GROUP, reason="试验")


def decide(node: Node, *told: tuple[str, Fact]) -> None:
    for stream, fact in told:
        node.decide("cargo" if stream.startswith("bl:") else "commerce", stream, fact)


def refusal(node: Node, number: str, who: str) -> tuple[int, bytes]:
    answer = node.get(f"/v1/track/{number}", who)
    return answer.status_code, answer.content.replace(number.encode(), b"NUMBER")


def lines(node: Node, number: str, who: str, **params: str) -> list[Any]:
    answer = node.get(f"/v1/track/{number}", who, **params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["lines"])


# --- a party and its own ---


def test_a_party_sees_its_paper_and_the_box_and_others_the_very_bytes_of_not_there(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1), ours("2", "GATE_OUT", 3))
    decide(here, named(US))
    assert [line["code"] for line in lines(here, MINE, "us")] == ["GATE_IN", "GATE_OUT"]
    assert [line["code"] for line in lines(here, BOX, "us")] == ["GATE_IN", "GATE_OUT"]
    for who in ("them", "carrier", "operator", "finance", "source"):
        for number in (MINE, BOX):
            assert refusal(here, number, who) == refusal(here, "KOUA9999999", who), (who, number)
            assert here.get(f"/v1/track/{number}", who).status_code == 404


def test_who_is_no_party_any_more_sees_nothing_any_more(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1))
    decide(here, named(US))
    assert lines(here, BOX, "us")
    decide(here, (f"bl:{MINE}", PartyWithdrawn(**AT, role="consignee", party=US, by="terminal")))
    assert here.get(f"/v1/track/{BOX}", "us").status_code == 404


def test_a_party_named_before_anything_happened_is_known_to_itself(here: Node) -> None:
    decide(here, named(US))
    assert lines(here, MINE, "us") == []
    assert here.get(f"/v1/track/{MINE}", "them").status_code == 404


def test_a_link_that_is_taken_back_takes_the_box_away(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1, document="D1"))
    decide(here, named(US))
    assert lines(here, BOX, "us")
    here.tell({"id": "9", "document": "D1", "function": "cancel"})
    with psycopg.connect(here.conninfo) as connection:
        assert interests.mine(connection, [US], [f"container:{BOX}"]) == set()
        assert interests.roles(connection, f"bl:{MINE}") == [(US, "consignee")]


def test_of_a_reused_box_a_party_sees_the_journeys_with_its_papers_alone(here: Node) -> None:
    here.tell(
        ours("1", "GATE_IN", 1),
        ours("2", "GATE_OUT", 2),
        event("3", "EMPTY_IN", 3, mode="TRUCK"),
        event("4", "EMPTY_OUT", 10, mode="TRUCK", text="CANARY-A"),
        event("5", "GATE_IN", 11, mode="TRUCK", refs=[f"bl:{THEIRS}"], text="CANARY-B"),
        event("6", "WEIGHED", 12, mode="TRUCK", text="CANARY-C"),
    )
    decide(here, named(US), named(THEM, THEIRS))
    answer = here.get(f"/v1/track/{BOX}", "us").text
    assert "CANARY" not in answer
    assert THEIRS not in answer
    assert [line["code"] for line in lines(here, BOX, "us")][:2] == ["GATE_IN", "GATE_OUT"]
    theirs = here.get(f"/v1/track/{BOX}", "them").text
    assert "CANARY-B" in theirs
    assert MINE not in theirs


def test_behind_a_shared_master_bill_stand_other_peoples_bills_and_they_are_not_named(here: Node) -> None:
    master = "MASTER00001"
    here.tell(
        {**event("1", "VSL_DEP", 5), "subject": f"bl:{master}", "refs": [f"bl:{MINE}", f"bl:{THEIRS}"]},
        {**event("2", "BL_ISSUED", 4, text="CANARY"), "subject": f"bl:{THEIRS}"},
    )
    decide(here, named(US), named(THEM, THEIRS))
    [line] = lines(here, MINE, "us")
    assert (line["subject"], line["refs"]) == (f"bl:{master}", [f"bl:{MINE}"])
    assert THEIRS not in here.get(f"/v1/track/{master}", "us").text
    assert "CANARY" not in here.get(f"/v1/track/{master}", "us").text


# --- an owner's permission ---


def test_a_permission_opens_its_dataset_and_its_end_closes_it_on_the_next_question(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1), event("2", "LOADED", 2, mode="VESSEL"))
    decide(here, owned(), granted("LOGISTICS-1"))
    assert [line["code"] for line in lines(here, BOX, "carrier")] == ["GATE_IN"]
    decide(here, stopped())
    assert refusal(here, BOX, "carrier") == refusal(here, "KOUA9999999", "carrier")


def test_a_delivery_names_the_permission_it_rests_on_and_the_register_as_it_was(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1))
    decide(here, owned(), granted("LOGISTICS-1"))
    lines(here, BOX, "carrier")
    [(state,)] = here.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made'")
    told = json.loads(state)
    assert (told["permissions"], told["datasets"], told["party"]) == (["P1"], ["road.movements"], "LOGISTICS-1")
    assert told["credential"].startswith("key:")
    assert told["register"] > 0


def test_a_suspended_permission_shows_nothing(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1))
    decide(here, owned(), granted("LOGISTICS-1"), stopped(PermissionSuspended))
    assert here.get(f"/v1/track/{BOX}", "carrier").status_code == 404


def test_a_permission_holds_for_its_channels_only(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1))
    decide(here, owned(), granted("LOGISTICS-1", channels=("export",)))
    assert here.get(f"/v1/track/{BOX}", "carrier").status_code == 404
    assert here.get(f"/v1/track/{BOX}", "carrier", format="csv").status_code == 200


def test_a_field_that_the_owner_withholds_is_not_told(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1, seal="SEAL-77", weight_kg=12_000.0, text="CANARY"))
    decide(here, owned(), granted("LOGISTICS-1", masking=("seal", "text", "refs")))
    [line] = lines(here, BOX, "carrier")
    assert (line["seal"], line["weight_kg"], line["refs"]) == ("", 12_000.0, [])
    assert "CANARY" not in here.get(f"/v1/track/{BOX}", "carrier").text
    assert here.get(f"/v1/track/{MINE}", "carrier").status_code == 404  # its name came by the withheld field alone


def test_the_owner_of_a_dataset_sees_it_and_no_other_department_does(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1), event("2", "LOADED", 2, mode="VESSEL"))
    here.open("officer", Account("officer", "officer", "港口集团", "Port group", party=PORT_GROUP))
    here.open("customs", Account("customs", "officer", "海关", "Customs", party="CUSTOMS"))
    decide(here, owned(PORT))
    assert [line["code"] for line in lines(here, BOX, "officer")] == ["LOADED"]
    assert here.get(f"/v1/track/{BOX}", "customs").status_code == 404


# --- the second wall ---


def reading(node: Node) -> psycopg.Connection[Any]:
    return psycopg.connect(node.conninfo, options="-c role=kouan_reader", autocommit=True)


def looked(node: Node, view: View) -> list[Any]:
    """As a query that forgets the view."""
    with reading(node) as connection, sight.opened(connection, view) as look:
        return look.connection.execute("SELECT subject FROM timeline").fetchall()


def test_a_query_that_forgets_the_view_is_shown_no_more_than_the_view(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1), event("2", "GATE_IN", 1, box=OTHER_BOX, mode="TRUCK"))
    decide(here, named(US))
    assert looked(here, View(asof=10**9)) == []
    assert looked(here, View(parties=(US,), own=(ROAD,), asof=10**9)) == [(f"container:{BOX}",)]
    assert looked(here, View(parties=(THEM,), own=(ROAD,), asof=10**9)) == []
    assert looked(here, View(parties=(US,), own=(PORT,), asof=10**9)) == []
    assert len(looked(here, View(whole=(ROAD,), asof=10**9))) == 2


def test_a_connection_that_was_dressed_for_nobody_reads_nothing_but_an_error(here: Node) -> None:
    here.tell(ours("1", "GATE_IN", 1))
    with reading(here) as connection:
        with pytest.raises(psycopg.errors.UndefinedObject):
            timeline.lines(Look(connection, View(whole=(ROAD,))), [f"container:{BOX}"])
        with sight.opened(connection, View(whole=(ROAD,), asof=10**9)):
            pass
        with pytest.raises(psycopg.errors.DataError):  # what is left of the settings afterwards is empty text
            connection.execute("SELECT subject FROM timeline").fetchall()


@pytest.mark.parametrize(
    "table", ["cargo_events", "commerce_events", "cargo_messages", "api_keys", "sessions", "accounts"]
)
def test_the_readers_role_reads_no_journal_and_no_secret(here: Node, table: str) -> None:
    with reading(here) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))


def test_the_readers_role_owns_nothing_and_passes_no_wall(here: Node) -> None:
    [(is_super, bypasses)] = here.rows("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = 'kouan_reader'")
    assert (is_super, bypasses) == (False, False)
    owned_by = "SELECT relname FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner WHERE rolname = 'kouan_reader'"
    assert here.rows(owned_by) == []
