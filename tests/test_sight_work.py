"""Who sees what of verdicts, estimates, alerts, instructions, declarations and figures: no more than the timeline."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from api.identity import Account
from domain.datasets import CLEARANCE, DATASETS, DECLARATIONS, PORT, ROAD
from domain.party import AgentAppointed, PartyRegistered
from domain.shipment import PartyNamed
from examples import edifact
from projections import sight
from projections.rights import View
from tests.fixtures_node import Node
from tests.sample_declaration import content
from tests.stories.life import Cargo, tell
from tests.test_sight import AT, NOW, granted, owned, stopped

CARGO = Cargo(1)
THEIR_BILL = "COSU77CANARY"
US, THEM, AGENT = (
    "91320000MA0000015K",
    "91320500MA00000313",
    "91610100MA0000023K",
)  # of the sample: trader, owner, agent
VERIFY = f"/v1/verify/containers/{CARGO.box}"


@pytest.fixture
def here(closed_node: Node) -> Node:
    """Two enterprises, an agency, and a gate that is party to nothing."""
    closed_node.open("us", Account("us", "enterprise", "甲公司", "Us", party=US))
    closed_node.open("them", Account("them", "enterprise", "乙公司", "Them", party=THEM))
    closed_node.open("agent", Account("agent", "enterprise", "代理", "Agent", party=AGENT))
    closed_node.open("gate", Account("gate", "logistics", "卡口", "Gate", party="GATE-1"))
    closed_node.open("officer", Account("officer", "officer", "税务", "Officer", party="TAX-1"))
    return closed_node


def party(node: Node, subject: str, whose: str = US) -> None:
    node.decide("cargo", subject, PartyNamed(**AT, role="consignee", party=whose, by="terminal"))


def register(node: Node, *told: Any) -> None:
    for stream, fact in told:
        node.decide("commerce", stream, fact)


def shared_box(node: Node) -> None:
    """Our cargo is released; what others have in the same box is not."""
    tell(node, CARGO.answer("MT1101", "02-14 16:20", place="CNYSA"))
    tell(node, CARGO.handled(edifact.DISCHARGE, "03-17 06:48"))
    tell(node, CARGO.receipt("P", "03-17 12:00"))
    tell(node, CARGO.receipt("L", "03-17 13:00", again=1, bill=THEIR_BILL))
    theirs = {"subject": f"bl:{THEIR_BILL}", "refs": [f"container:{CARGO.box}"], "mode": "VESSEL"}
    tell(node, CARGO.told("MAN_ORIG_OK", "02-14 16:21", "customs-2200", **theirs))
    node.catch_up()
    party(node, f"bl:{CARGO.bill}")
    party(node, f"declaration:{CARGO.entry()}")
    party(node, f"bl:{THEIR_BILL}", THEM)


def same_as_nothing(node: Node, path: str, nothing: str, who: str, **params: Any) -> bool:
    """Status and bytes but for the number itself."""
    told, unknown = node.get(path, who, **params), node.get(nothing, who, **params)
    shown, other = (
        answer.content.replace(answer.url.path.rpartition("/")[2].encode(), b"N") for answer in (told, unknown)
    )
    return (told.status_code, shown) == (404, other) == (unknown.status_code, shown)


def deliveries(node: Node) -> list[dict[str, Any]]:
    rows = node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made' ORDER BY notification_id")
    return [json.loads(bytes(row[0])) for row in rows]


# --- verify ---


def test_a_verdict_is_for_the_cargos_parties_and_for_who_sees_clearance(here: Node) -> None:
    shared_box(here)
    for who in ("gate", "operator", "finance", "source", "officer"):
        assert same_as_nothing(here, VERIFY, "/v1/verify/containers/TOLU4734787", who, action="gate-out"), who
    assert here.get(VERIFY, "us", action="gate-out").status_code == 200
    assert here.get(VERIFY, "them", action="gate-out").status_code == 200
    register(here, owned(CLEARANCE), granted("GATE-1", dataset=CLEARANCE))
    assert here.get(VERIFY, "gate", action="gate-out").status_code == 200
    assert deliveries(here)[-1]["permissions"] == ["P1"]
    register(here, stopped())
    assert here.get(VERIFY, "gate", action="gate-out").status_code == 404


def test_a_verdict_is_right_and_says_nothing_of_others_but_that_they_stand_in_the_way(here: Node) -> None:
    shared_box(here)
    answer = here.get(VERIFY, "us", action="gate-out", place="CNYSA")
    told = answer.json()
    assert not told["allowed"]
    others = [each for each in told["reasons"] if "同箱其他货物" in each["zh"]]
    assert [(each["subject"], each["fact_ids"]) for each in others] == [(f"container:{CARGO.box}", [])]
    assert others[0]["en"].endswith("other cargo in the same container")
    for canary in (THEIR_BILL, CARGO.entry(again=1)):
        assert canary not in answer.text
    assert [each["number"] for each in told["declarations"]] == [CARGO.entry()]
    register(here, *(owned(name) for name in DATASETS))
    register(here, *(granted("GATE-1", dataset=name, number=f"P-{name}") for name in DATASETS))
    whole = here.get(VERIFY, "gate", action="gate-out", place="CNYSA").json()
    assert (whole["allowed"], len(whole["reasons"])) == (False, len(told["reasons"]))
    assert CARGO.entry(again=1) in json.dumps(whole)


def test_a_field_that_the_owner_withholds_is_in_no_ground(here: Node) -> None:
    shared_box(here)
    register(here, owned(CLEARANCE), granted("GATE-1", dataset=CLEARANCE, masking=("source", "raw_code")))
    facts = here.get(VERIFY, "gate", action="gate-out").json()["facts"]
    assert facts
    assert {(each["source"], each["raw_code"]) for each in facts} == {("", "")}


# --- cross-check, estimate ---


def test_an_agency_compares_with_what_it_sees_in_whole_alone(here: Node) -> None:
    shared_box(here)
    asked = {"purpose": "退税", "entry_id": CARGO.entry(), "declaring_customs": "2308"}

    def result() -> str:
        answer = here.client.post("/v1/verify/cross-check", json=asked, headers=here.bearer("officer"))
        return str(answer.json()["fields"][0]["result"])

    assert result() == "unknown"
    register(here, owned(CLEARANCE), granted("TAX-1", dataset=CLEARANCE))
    assert result() == "equal"
    register(here, stopped())
    assert result() == "unknown"


def test_an_estimate_is_made_of_what_is_shown(here: Node) -> None:
    gone = {"id": "1", "subject": f"container:{CARGO.box}", "code": "VSL_DEP", "mode": "VESSEL", "place": "CNSHG"}
    here.tell({**gone, "happened_at": "2026-03-01T08:00:00+08:00", "refs": [f"bl:{CARGO.bill}"]})
    party(here, f"bl:{CARGO.bill}")
    assert here.get(f"/v1/eta/{CARGO.box}", "us").status_code == 200
    for who in ("them", "gate", "operator"):
        assert same_as_nothing(here, f"/v1/eta/{CARGO.box}", "/v1/eta/TOLU4734787", who), who


# --- alerts ---


def amiss(node: Node, bill: str, day: int, **more: Any) -> None:
    """Gated out without release."""
    about = {
        "subject": f"container:{CARGO.box}",
        "place": "CNSHG",
        "mode": "VESSEL",
        "laden": True,
        "refs": [f"bl:{bill}"],
    }
    codes = (("EMPTY_OUT", -1), ("DISCHARGED", 0), ("GATE_OUT", 1), ("EMPTY_IN", 2))
    at = (datetime(2026, 3, day, 4, tzinfo=UTC) + timedelta(days=add) for _, add in codes)
    events = [
        {"id": f"{code}{day}", "code": code, "happened_at": when.isoformat()}
        for (code, _), when in zip(codes, at, strict=True)
    ]
    node.tell(*({**about, **each, **more} for each in events[1:3]), {**about, **events[3], "laden": False, "refs": []})


def alerts(node: Node, who: str) -> list[str]:
    answer = node.get("/v1/alerts", who, code="gated_out_unreleased", state="all")
    assert answer.status_code == 200, answer.text
    return [each["since"][:10] for each in answer.json()["alerts"]]


def test_an_alert_is_for_the_parties_of_that_journey_and_for_who_sees_what_it_rests_on(here: Node) -> None:
    amiss(here, THEIR_BILL, 2)
    amiss(here, CARGO.bill, 20)
    party(here, f"bl:{CARGO.bill}")
    party(here, f"bl:{THEIR_BILL}", THEM)
    assert alerts(here, "us") == ["2026-03-21"]
    assert alerts(here, "them") == ["2026-03-03"]
    assert alerts(here, "gate") == alerts(here, "operator") == []
    register(here, owned(CLEARANCE), granted("GATE-1", dataset=CLEARANCE))
    assert alerts(here, "gate") == []  # what happened at the port is not for it
    register(here, owned(PORT), granted("GATE-1", dataset=PORT, number="P2"))
    assert alerts(here, "gate") == ["2026-03-21", "2026-03-03"]
    register(here, stopped())
    assert alerts(here, "gate") == []


# --- instructions ---


def instructed(node: Node, who: str = "gate") -> str:
    due = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"kind": "gate-out", "subject": f"container:{CARGO.box}", "to": "terminal", "due_at": due, "note": "canary"}
    answer = node.client.post("/v1/instructions", json=body, headers=node.bearer(who))
    assert answer.status_code == 201, answer.text
    node.catch_up()
    return str(answer.json()["id"])


def test_an_instruction_is_for_who_gave_it_who_is_told_and_the_cargos_parties(here: Node) -> None:
    here.tell({"id": "1", "subject": f"container:{CARGO.box}", "code": "GATE_IN", "happened_at": "2026-03-01T08:00:00Z",
               "refs": [f"bl:{CARGO.bill}"]})  # fmt: skip
    party(here, f"bl:{CARGO.bill}")
    number = instructed(here)
    for who in ("gate", "source", "us"):
        assert here.get(f"/v1/instructions/{number}", who).status_code == 200, who
        assert [each["id"] for each in here.get("/v1/instructions", who).json()["items"]] == [number], who
    register(here, owned(PORT), granted("role:operator", dataset=PORT))
    for who in ("them", "operator", "officer"):
        assert same_as_nothing(here, f"/v1/instructions/{number}", f"/v1/instructions/{'0' * 32}", who), who
        assert here.get("/v1/instructions", who).json()["items"] == [], who


def test_whether_it_was_done_is_told_to_who_may_see_the_report_or_made_it(here: Node) -> None:
    here.tell({"id": "1", "subject": f"container:{CARGO.box}", "code": "GATE_IN", "happened_at": "2026-03-01T08:00:00Z",
               "refs": [f"bl:{CARGO.bill}"]})  # fmt: skip
    party(here, f"bl:{CARGO.bill}")
    number = instructed(here)
    out = {"id": "2", "subject": f"container:{CARGO.box}", "code": "GATE_OUT", "refs": [f"bl:{CARGO.bill}"]}
    here.tell({**out, "happened_at": f"{datetime.now(UTC):%FT%TZ}"})
    states = {who: here.get(f"/v1/instructions/{number}", who).json()["state"] for who in ("gate", "source", "us")}
    assert states == {"gate": "open", "source": "fulfilled", "us": "fulfilled"}


# --- declarations ---


def lodged(node: Node, who: str = "us", **changes: Any) -> Any:
    return node.client.post("/v1/declarations", json=content(**changes), headers=node.bearer(who))


def test_a_declaration_is_for_the_parties_it_names_and_the_one_that_entered_it(here: Node) -> None:
    number = lodged(here).json()["number"]
    for who in ("us", "them", "agent"):
        assert here.get(f"/v1/declarations/{number}", who).status_code == 200, who
    here.open("stranger", Account("stranger", "enterprise", "丙", "Stranger", party="STRANGER-1"))
    for who in ("stranger", "operator", "officer", "enterprise"):
        assert same_as_nothing(here, f"/v1/declarations/{number}", "/v1/declarations/I20260000000000000", who), who
    withdrawn = here.client.post(
        f"/v1/declarations/{number}/withdraw", json={"reason": "x"}, headers=here.bearer("stranger")
    )
    assert withdrawn.status_code == 404


def test_who_may_read_what_declarants_enter_decides_on_nothing(here: Node) -> None:
    number = lodged(here).json()["number"]
    register(here, owned(DECLARATIONS), granted("TAX-1", dataset=DECLARATIONS))
    register(here, granted("role:operator", dataset=DECLARATIONS, number="P2"))
    told = here.get(f"/v1/declarations/{number}", "officer")
    assert (told.status_code, told.json()["receipts"]) == (200, [])
    path = f"/v1/declarations/{number}/withdraw"
    answer = here.client.post(path, json={"reason": "x"}, headers=here.bearer("operator"))
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/refused")
    register(here, stopped())
    assert here.get(f"/v1/declarations/{number}", "officer").status_code == 404


def test_nobody_lodges_for_a_party_that_has_not_appointed_it(here: Node) -> None:
    here.open("broker", Account("broker", "enterprise", "报关行", "Broker", party="BROKER-1"))
    assert lodged(here, "broker").status_code == 409
    agreed: dict[str, Any] = {
        "agent": "BROKER-1",
        "document": "1",
        "valid_from": NOW - timedelta(1),
        "valid_to": NOW + timedelta(1),
    }
    enterprise = PartyRegistered(**AT, party=US, by="a", kind="enterprise", zh="甲", en="Us")
    register(here, (f"party:{US}", enterprise))
    register(here, (f"party:{US}", AgentAppointed(**AT, party=US, by="us", scopes=("declare",), **agreed)))
    answer = lodged(here, "broker")
    assert answer.status_code == 201, answer.text
    assert here.get(f"/v1/declarations/{answer.json()['number']}", "broker").status_code == 200
    [(party_named,)] = here.rows(
        "SELECT convert_from(state, 'UTF8')::json->>'party' FROM cargo_events WHERE topic = 'declaration.lodged'"
    )
    assert party_named == "BROKER-1"


def test_a_draft_takes_over_nothing_of_others(here: Node) -> None:
    arrived = {"subject": f"bl:{CARGO.bill}", "code": "VSL_ARR", "happened_at": "2026-03-05T10:00:00+08:00"}
    here.tell({**arrived, "id": "1", "mode": "VESSEL", "place": "CNSHG", "refs": [f"container:{CARGO.box}"]})
    here.tell({**arrived, "id": "2", "subject": f"bl:{THEIR_BILL}", "mode": "VESSEL", "place": "CNSHG",
               "transport": "CANARY STAR", "pieces_total": 77, "refs": [f"container:{CARGO.box}"]})  # fmt: skip
    party(here, f"bl:{CARGO.bill}")
    draft = here.get("/v1/declarations/draft", "us", **{"from": f"container:{CARGO.box}"})
    assert draft.json()["content"]["bill"] == CARGO.bill
    assert "CANARY" not in draft.text
    assert "77" not in json.dumps(draft.json()["content"].get("packages", ""))
    for begun in (f"bl:{THEIR_BILL}", "bl:NONE1"):
        assert here.get("/v1/declarations/draft", "us", **{"from": begun}).status_code == 404


# --- statistics ---


def test_figures_are_for_who_sees_in_whole_all_that_they_are_made_of(here: Node) -> None:
    shared_box(here)
    path = "/v1/statistics/import-dwell"
    moves = [name for name in DATASETS if name.endswith(".movements")]
    for who in ("us", "operator", "officer"):
        answer = here.get(path, who)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/no-leave")
        assert answer.json()["facts"]["datasets"] == moves
    register(here, *(owned(name) for name in moves))
    register(here, *(granted("TAX-1", dataset=name, number=f"P-{name}") for name in moves if name != ROAD))
    assert here.get(path, "officer").status_code == 403  # through no channel but query and export
    channels = {"channels": ("analytics",)}
    register(here, *(granted("TAX-1", dataset=name, number=f"A-{name}", **channels) for name in moves))
    assert here.get(path, "officer").status_code == 200
    assert deliveries(here)[-1]["channel"] == "analytics"


# --- the second wall ---


def counts(node: Node, view: View) -> dict[str, int]:
    """What a query that forgot the view would find."""
    with psycopg.connect(node.conninfo, autocommit=True, options="-c role=kouan_reader") as connection:
        sight.dress(connection, view)
        found = {}
        for table in ("alert_conditions", "instructions", "statistics_facts"):
            row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
            found[table] = row[0] if row else 0
        return found


def test_a_query_that_forgets_the_view_finds_nothing_it_should_not(here: Node) -> None:
    amiss(here, CARGO.bill, 20)
    instructed(here)
    nothing = dict.fromkeys(("alert_conditions", "instructions", "statistics_facts"), 0)
    names = tuple(sorted(DATASETS))
    assert counts(here, View()) == nothing
    assert counts(here, View(parties=(US,), own=names)) == nothing
    assert counts(here, View(whole=names)) == {"alert_conditions": 2, "instructions": 0, "statistics_facts": 2}
    party(here, f"bl:{CARGO.bill}")
    own = counts(here, View(parties=(US,), own=names))
    assert own == {"alert_conditions": 2, "instructions": 1, "statistics_facts": 0}


@pytest.mark.parametrize("table", ["alert_states", "cargo_events", "cargo_messages", "party_papers"])
def test_the_readers_role_has_no_way_to_what_lies_behind(here: Node, table: str) -> None:
    with (
        psycopg.connect(here.conninfo, autocommit=True, options="-c role=kouan_reader") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(sql.SQL("SELECT 1 FROM {}").format(sql.Identifier(table)))
