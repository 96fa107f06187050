"""Other standards tell each caller of what it may see, and of the rest the bytes of what is not there."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from api.identity import Account
from domain.datasets import AIR, PORT
from domain.fact import Corrected
from projections import events
from tests.fixtures_node import Node
from tests.test_sight import BOX, MINE, OTHER_BOX, THEIRS, US, decide, event, granted, named, ours, owned, stopped

CARRIER, AWB = "LOGISTICS-1", "11200000011"
DCSA, EPCIS = "/dcsa/v2/events", "/epcis/v2/events"
ONE_RECORD = f"/onerecord/v1/logistics-objects/{AWB}/logistics-events"
ACT: dict[str, Any] = {"mode": "VESSEL", "laden": True}


@pytest.fixture
def here(closed_node: Node) -> Node:
    closed_node.open("us", Account("us", "enterprise", "甲公司", "Us", party=US))
    closed_node.open("ours", Account("ours", "enterprise", "甲公司乙", "Us too", party=US))
    closed_node.open("carrier", Account("carrier", "logistics", "物流", "Carrier", party=CARRIER))
    return closed_node


def flown(number: str, **more: Any) -> dict[str, Any]:
    return {**event(number, "AIR_RCS", 1, mode="AIR"), "subject": f"awb:{AWB}", "place": "CNSIA", **more}


def dcsa(node: Node, who: str, **params: Any) -> list[str]:
    answer = node.get(DCSA, who, **params)
    assert answer.status_code == 200, answer.text
    return [one["eventID"] for one in answer.json()]


def epcis(node: Node, who: str, **params: Any) -> list[dict[str, Any]]:
    answer = node.get(EPCIS, who, **params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"])


def ids(node: Node) -> list[UUID]:
    return [row[0] for row in node.rows("SELECT fact_id FROM cargo_events ORDER BY notification_id")]


def permitted(dataset: str = PORT, number: str = "P1", **terms: Any) -> Any:
    return granted(CARRIER, dataset=dataset, number=number, **{"channels": ("query", "api"), **terms})


# --- a party and its own, and an owner's permission ---


def test_a_party_finds_its_own_in_every_standard_and_others_find_nothing(here: Node) -> None:
    here.tell(event("1", "LOADED", 1, refs=[f"bl:{MINE}"], **ACT), flown("2"))
    decide(here, named(US))
    here.decide("cargo", f"awb:{AWB}", named(US)[1])
    assert (len(dcsa(here, "us")), len(dcsa(here, "us", equipmentReference=BOX)), len(epcis(here, "us"))) == (1, 1, 2)
    assert here.get(ONE_RECORD, "us").json()["api:hasTotalItems"] == 1
    assert BOX in here.get(f"/v1/iftsta/{BOX}", "us").text
    for who in ("carrier", "operator", "source"):
        assert (dcsa(here, who), dcsa(here, who, equipmentReference=BOX), epcis(here, who)) == ([], [], [])
        assert here.get(ONE_RECORD, who).status_code == here.get(f"/v1/iftsta/{BOX}", who).status_code == 404


def test_a_permission_opens_every_standard_and_its_end_closes_them_at_once(here: Node) -> None:
    here.tell(event("1", "LOADED", 1, refs=[f"bl:{MINE}"], **ACT), flown("2"))
    decide(here, owned(PORT), owned(AIR), permitted(), permitted(AIR, "P2"))
    assert (len(dcsa(here, "carrier")), len(epcis(here, "carrier"))) == (1, 2)
    assert here.get(ONE_RECORD, "carrier").status_code == here.get(f"/v1/iftsta/{BOX}", "carrier").status_code == 200
    decide(here, stopped())
    assert (dcsa(here, "carrier"), len(epcis(here, "carrier"))) == ([], 1)
    assert here.get(f"/v1/iftsta/{BOX}", "carrier").status_code == 404


def test_a_delivery_in_another_standard_names_the_permission_too(here: Node) -> None:
    here.tell(event("1", "LOADED", 1, **ACT))
    decide(here, owned(PORT), permitted())
    dcsa(here, "carrier")
    [(state,)] = here.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made'")
    told = msgspec.json.decode(state)
    assert (told["permissions"], told["datasets"], told["channel"], told["count"]) == (["P1"], [PORT], "api", 1)


@pytest.mark.parametrize("path", ["/dcsa/v2/events/{}", "/epcis/v2/events/urn:uuid:{}"])
def test_one_event_that_one_may_not_see_is_told_like_one_that_does_not_exist(here: Node, path: str) -> None:
    here.tell(event("1", "LOADED", 1, **ACT))
    [hidden], unknown = ids(here), uuid4()
    answers = [here.get(path.format(each), "carrier") for each in (hidden, unknown)]
    bodies = [msgspec.json.decode(each.content) for each in answers]
    for body in bodies:
        body.pop("errorDateTime", None)
    told = [
        msgspec.json.encode(body).replace(str(each).encode(), b"ID")
        for body, each in zip(bodies, (hidden, unknown), strict=True)
    ]
    assert (answers[0].status_code, told[0]) == (404, told[1])
    decide(here, owned(PORT), permitted())
    assert here.get(path.format(hidden), "carrier").status_code == 200


@pytest.mark.parametrize("path", [ONE_RECORD, f"/v1/iftsta/{AWB}"])
def test_a_number_that_one_may_not_see_is_told_like_one_that_nobody_named(here: Node, path: str) -> None:
    before = here.get(path, "carrier")
    here.tell(flown("1"))
    after = here.get(path, "carrier")
    assert (after.status_code, after.content) == (404, before.content)


# --- what is told of what is shown ---


def test_of_a_shared_paper_nobody_elses_number_or_text_is_told_in_any_standard(here: Node) -> None:
    here.tell(
        {**event("1", "BL_ISSUED", 2, mode="VESSEL"), "subject": "bl:MASTER00001",
         "refs": [f"bl:{MINE}", f"bl:{THEIRS}", f"container:{BOX}", f"container:{OTHER_BOX}"]},
        event("2", "LOADED", 3, refs=[f"bl:{MINE}"], **ACT),
        event("3", "LOADED", 3, box=OTHER_BOX, refs=[f"bl:{THEIRS}"], text="CANARY", **ACT),
        {**event("4", "BL_ISSUED", 4, text="CANARY"), "subject": f"bl:{THEIRS}"},
    )  # fmt: skip
    decide(here, named(US), named("OTHER", THEIRS))
    asked = [DCSA, EPCIS, f"{DCSA}?transportDocumentReference=MASTER00001", f"{DCSA}?equipmentReference={BOX}",
             f"{EPCIS}?MATCH_epc=urn:epc:id:bic:{BOX}", f"/v1/iftsta/{MINE}", f"/v1/iftsta/{BOX}"]  # fmt: skip
    for path in asked:
        answer = here.get(path, "us")
        assert answer.status_code == 200, answer.text
        assert MINE in answer.text or BOX in answer.text
        assert not [word for word in (THEIRS, OTHER_BOX, "CANARY") if word in answer.text], (path, answer.text)


def test_of_a_reused_box_each_party_has_the_events_of_its_own_journey(here: Node) -> None:
    here.tell(
        ours("1", "GATE_IN", 1),
        event("2", "EMPTY_IN", 3, mode="TRUCK"),
        event("3", "EMPTY_OUT", 10, mode="TRUCK", text="CANARY"),
        event("4", "GATE_IN", 11, mode="TRUCK", refs=[f"bl:{THEIRS}"], text="CANARY"),
    )
    decide(here, named(US), named("OTHER", THEIRS))
    assert (len(dcsa(here, "us")), len(dcsa(here, "us", equipmentReference=BOX)), len(epcis(here, "us"))) == (2, 2, 2)
    assert "CANARY" not in here.get(EPCIS, "us").text


def test_what_an_owner_withholds_is_in_no_standards_answer(here: Node) -> None:
    here.tell(event("1", "LOADED", 1, text="CANARY", transport="CANARY 031W", refs=[f"bl:{MINE}"], **ACT))
    decide(here, owned(PORT), permitted(masking=("text", "transport", "refs", "place", "place_zh", "place_en")))
    for path in (DCSA, EPCIS, f"/v1/iftsta/{BOX}", f"{EPCIS}/urn:uuid:{ids(here)[0]}", f"{DCSA}/{ids(here)[0]}"):
        answer = here.get(path, "carrier")
        assert answer.status_code == 200, answer.text
        assert not [word for word in ("CANARY", MINE, "CNNKG") if word in answer.text], (path, answer.text)


def test_a_filter_by_what_is_withheld_finds_nothing(here: Node) -> None:
    here.tell(event("1", "LOADED", 1, **ACT))
    decide(here, owned(PORT), permitted(masking=("place", "refs")))
    assert (dcsa(here, "carrier", UNLocationCode="CNNKG"), len(dcsa(here, "carrier"))) == ([], 1)


def test_no_event_leads_to_one_that_may_not_be_seen(here: Node) -> None:
    here.tell(event("1", "LOADED", 1, **ACT), event("2", "GATE_OUT", 2, mode="TRUCK"))
    wrong, hidden = ids(here)
    now = datetime.now(UTC)
    corrected = Corrected(
        happened_at=now, recorded_at=now, fact_id=wrong, replaced_by=hidden, source="terminal", message_id=uuid4()
    )
    here.decide("cargo", f"container:{BOX}", corrected)
    decide(here, owned(PORT), permitted())
    [one] = epcis(here, "carrier")
    assert one["errorDeclaration"]["reason"] == "incorrect_data"
    assert str(hidden) not in here.get(EPCIS, "carrier").text
    assert str(hidden) not in here.get(f"{EPCIS}/urn:uuid:{wrong}", "carrier").text
    assert epcis(here, "carrier", EQ_correctiveEventID=f"urn:uuid:{hidden}") == []


# --- pages ---


def test_pages_are_of_what_is_shown_as_if_there_were_nothing_else(here: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SPAN", 7)
    boxes = [f"MSKU{number:07}" for number in range(12)]
    here.tell(*(event(f"a{box}", "GATE_OUT", 1, box=box, mode="TRUCK") for box in boxes))
    here.tell(*(event(f"b{box}", "LOADED", 2, box=box, **ACT) for box in boxes[:5]))
    here.tell(*(event(f"c{box}", "GATE_IN", 1, box=box, mode="TRUCK") for box in boxes))
    decide(here, owned(PORT), permitted())
    shown = [str(each) for each in ids(here)[12:17]]
    for backwards, to in ((False, "Next-Page"), (True, "Prev-Page")):
        answer = here.get(DCSA, "carrier", limit=2)
        if backwards:
            answer = here.get(DCSA, "carrier", cursor=answer.headers["Last-Page"])
        found: list[list[str]] = [[one["eventID"] for one in answer.json()]]
        while to in answer.headers:
            answer = here.get(DCSA, "carrier", cursor=answer.headers[to])
            found.append([one["eventID"] for one in answer.json()])
        flat = [each for page in (found[::-1] if backwards else found) for each in page]
        assert flat == shown
        assert sum(map(bool, found)) == 3


def test_an_order_of_ones_own_is_over_what_is_shown(here: Node) -> None:
    here.tell(*(event(str(day), "LOADED", day, **ACT) for day in (3, 1, 2)), event("4", "GATE_OUT", 4, mode="TRUCK"))
    decide(here, owned(PORT), permitted())
    told = [str(each) for each in ids(here)]
    assert dcsa(here, "carrier", sort="eventDateTime:DESC") == [told[0], told[2], told[1]]


# --- what an account keeps ---


def test_stored_queries_and_subscriptions_are_their_accounts_own_not_their_partys(here: Node) -> None:
    query = {"name": "mine", "query": {"eventType": ["ObjectEvent"]}}
    headers = here.bearer("us")
    assert here.client.post("/epcis/v2/queries", json=query, headers=headers).status_code == 201
    body = {"callbackUrl": "https://events.example.com/", "secret": "a" * 44}
    made = here.client.post("/dcsa/v2/event-subscriptions", json=body, headers=headers)
    assert made.status_code == 201, made.text
    own = f"/dcsa/v2/event-subscriptions/{made.json()['subscriptionID']}"
    for path in (own, "/epcis/v2/queries/mine", "/epcis/v2/queries/mine/events"):
        assert (here.get(path, "us").status_code, here.get(path, "ours").status_code) == (200, 404), path


def test_a_stored_query_finds_what_its_account_may_see_now(here: Node) -> None:
    here.tell(event("1", "LOADED", 1, **ACT))
    here.client.post("/epcis/v2/queries", json={"name": "q", "query": {}}, headers=here.bearer("carrier"))
    path = "/epcis/v2/queries/q/events"
    assert str(ids(here)[0]) not in here.get(path, "carrier").text
    decide(here, owned(PORT), permitted())
    assert str(ids(here)[0]) in here.get(path, "carrier").text
