"""EPCIS questions: a query document whose events match, page by page, and read back as the same statements."""

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.facades.epcis_events import STEPS, WORDS
from api.facades.paging import Token, encode
from api.formats import epc, epcis
from domain.milestones import MILESTONES
from domain.report import Movement
from tests.fixtures_node import Node
from tests.test_track_api import BOX, STORY, event

PATH = "/epcis/v2/events"
QUERIES = "/epcis/v2/queries"
EPC = "urn:epc:id:bic:CSQU3054383"
Event = dict[str, Any]
TYPES = {"ObjectEvent", "AggregationEvent", "TransactionEvent"}
everything: dict[int, list[Event]] = {}


def events(answer: Any) -> list[Event]:
    """The events of a query document that has the standard's shape."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["GS1-EPCIS-Version"] == "2.0.0"
    body = answer.json()
    assert (body["type"], body["schemaVersion"]) == ("EPCISQueryDocument", "2.0")
    found: list[Event] = body["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    for one in found:
        sound(one)
    return found


def sound(one: Event) -> None:
    """What the standard's JSON schema demands of the three kinds of event that are given out."""
    assert one["type"] in TYPES
    assert one["action"] in {"ADD", "OBSERVE", "DELETE"}
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", one["eventID"])
    assert re.fullmatch(r"[+-](0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00", one["eventTimeZoneOffset"])
    for name in ("eventTime", "recordTime"):
        assert datetime.fromisoformat(one[name]).tzinfo is not None
    uris = [*one.get("epcList", []), *one.get("childEPCs", []), *([one["parentID"]] if "parentID" in one else [])]
    uris += [one[name]["id"] for name in ("readPoint", "bizLocation") if name in one]
    uris += [each["bizTransaction"] for each in one.get("bizTransactionList", [])]
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\"<>^`{|}]+", uri) for uri in uris), uris
    if "bizStep" in one:
        assert one["bizStep"] in WORDS or ":" in one["bizStep"]
    needed = {"ObjectEvent": "epcList", "TransactionEvent": "bizTransactionList", "AggregationEvent": "parentID"}
    assert one[needed[one["type"]]]


def following(answer: Any) -> str:
    found = re.fullmatch(r'<(.+)>; rel="next"', answer.headers.get("Link", ""))
    return found[1] if found else ""


def pages(node: Node, path: str = PATH, **params: Any) -> list[list[Event]]:
    answer = node.get(path, **params)
    found = [events(answer)]
    while link := following(answer):
        answer = node.get(link)
        found.append(events(answer))
    return found


def flat(found: list[list[Event]]) -> list[Event]:
    return [one for page in found for one in page]


def all_of(day: Node) -> list[Event]:
    if id(day) not in everything:
        everything[id(day)] = flat(pages(day, perPage=1000))
    return everything[id(day)]


def ids(found: list[Event]) -> list[str]:
    return [one["eventID"] for one in found]


def back(found: list[Event]) -> list[Movement]:
    readings = epcis.read(json.dumps(found).encode())
    assert [reading.fault for reading in readings if reading.fault] == []
    return [report for reading in readings for report in reading.reports if isinstance(report, Movement)]


# --- what is told ---


def test_what_a_ship_did_and_an_unpacking_are_read_back_as_the_same_milestones(node: Node) -> None:
    ship = {"mode": "VESSEL", "transport": "IMO9321483 2103S", "place": "CNSHG", "refs": ["bl:KOUA0000001"]}
    codes = ["LOADED", "VSL_DEP", "VSL_ARR", "DISCHARGED"]
    said = [event(code, code, f"2026-03-0{n}T10:00:00+08:00", **ship) for n, code in enumerate(codes, 1)]
    said.append(event("x", "STRIPPED", "2026-03-09T10:00:00+08:00"))
    node.tell(*said)
    read = back(flat(pages(node)))
    assert [(move.subject, move.code, move.when.at) for move in read] == [
        (BOX, one["code"], datetime.fromisoformat(one["happened_at"]).astimezone(UTC)) for one in said
    ]
    assert (read[0].place, read[0].mode, read[0].transport) == ("CNSHG", "VESSEL", "IMO9321483")
    assert "bl:KOUA0000001" in read[0].refs


def test_the_sample_day_reads_back_without_a_fault_and_with_its_times(day: Node) -> None:
    found = all_of(day)
    assert len(found) > 200
    read = epcis.read(json.dumps(found).encode())
    assert [reading.fault for reading in read if reading.fault] == []
    for one, reading in zip(found, read, strict=True):
        assert reading.reports[0].when.at == datetime.fromisoformat(one["eventTime"]).astimezone(UTC)
        if one["type"] != "TransactionEvent" and one["epcList" if "epcList" in one else "parentID"]:
            assert reading.reports[0].subject.startswith(("container:", "object:"))


def test_plans_and_estimates_are_no_events(node: Node) -> None:
    node.tell(*STORY)
    assert [one["kouan:milestone"] for one in flat(pages(node))] == ["GATE_OUT", "GATE_IN"]


def test_what_was_taken_back_is_shown_with_its_error_declaration(node: Node) -> None:
    node.tell(
        event("1", "GATE_IN", "2026-03-01T10:00:00+08:00", document="D1"),
        event("2", "GATE_OUT", "2026-03-03T10:00:00+08:00", document="D2"),
    )
    node.tell({"id": "3", "document": "D1", "function": "cancel"})
    node.tell(event("4", "GATE_OUT", "2026-03-03T11:30:00+08:00", document="D2", function="replace"))
    retracted, corrected, standing = flat(pages(node))
    assert retracted["errorDeclaration"]["reason"] == "did_not_occur"
    assert corrected["errorDeclaration"]["reason"] == "incorrect_data"
    assert corrected["errorDeclaration"]["correctiveEventIDs"] == [standing["eventID"]]
    assert "errorDeclaration" not in standing
    for said in ("", "1"):
        assert ids(flat(pages(node, EXISTS_errorDeclaration=said))) == ids([retracted, corrected])
    assert ids(flat(pages(node, EQ_errorReason="did_not_occur"))) == ids([retracted])
    assert ids(flat(pages(node, EQ_correctiveEventID=standing["eventID"]))) == ids([corrected])
    assert [reading.function for reading in epcis.read(json.dumps([retracted]).encode())] == ["cancel"]


def test_a_captured_event_is_found_again_by_its_step_its_disposition_and_its_object(node: Node) -> None:
    body = {"type": "ObjectEvent", "eventTime": "2026-03-01T12:00:00+08:00", "eventTimeZoneOffset": "+08:00",
            "epcList": ["https://id.gs1.org/00/106141412345678908"], "action": "OBSERVE", "bizStep": "shipping",
            "disposition": "in_transit", "readPoint": {"id": "https://example.org/unlocode#CNLYG"}}  # fmt: skip
    taken = node.client.post(PATH, json=body, headers=node.bearer("source"))
    assert taken.status_code == 201, taken.text
    node.catch_up()
    for params in (
        {"MATCH_epc": "urn:epc:id:sscc:0614141.1234567890"}, {"EQ_bizStep": "urn:epcglobal:cbv:bizstep:shipping"},
        {"EQ_disposition": "urn:epcglobal:cbv:disp:in_transit"}, {"eventType": "ObjectEvent"},
    ):  # fmt: skip
        [one] = flat(pages(node, **params))
        assert (one["bizStep"], one["epcList"]) == ("shipping", body["epcList"])
        assert epc.locode(one["readPoint"]["id"]) == "CNLYG"


def test_every_milestone_with_a_step_is_a_milestone() -> None:
    assert STEPS.keys() <= MILESTONES.keys()
    assert set(STEPS.values()) <= WORDS


# --- what is asked ---


def matching(found: list[Event], name: str, value: str) -> list[Event]:
    """By rules of the test's own."""
    if name[:2] in {"GE", "LT"}:
        at = datetime.fromisoformat(value)
        later = [one for one in found if datetime.fromisoformat(one[name[3:]]) >= at]
        return later if name[:2] == "GE" else [one for one in found if one not in later]
    return [one for one in found if value in values_of([one], name, "")]


def values_of(found: list[Event], name: str, otherwise: str = EPC) -> list[str]:
    told: list[str] = []
    for one in found:
        match name.split("_")[:2]:
            case ["eventType"]:
                told.append(one["type"])
            case ["MATCH", member]:
                told += [one["parentID"]] if "parentID" in one and member != "epc" else []
                told += [*one.get("epcList", []), *one.get("childEPCs", [])] if member != "parentID" else []
            case ["EQ", "bizTransaction"]:
                told += [each["bizTransaction"] for each in one.get("bizTransactionList", [])]
            case ["EQ", "readPoint" | "bizLocation" as member]:
                told += [one[member]["id"]] if member in one else []
            case [_, member]:
                told += [one[member]] if member in one else []
    return sorted(set(told)) or [otherwise]


NAMES = ["eventType", "GE_eventTime", "LT_eventTime", "GE_recordTime", "LT_recordTime", "EQ_action", "EQ_bizStep",
         "EQ_disposition", "EQ_readPoint", "EQ_bizLocation", "EQ_bizTransaction", "MATCH_epc", "MATCH_anyEPC",
         "MATCH_parentID", "EQ_eventID"]  # fmt: skip


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_answer_is_what_matches_in_order_and_pages_do_not_overlap(day: Node, data: st.DataObject) -> None:
    wanted, filters = all_of(day), {}
    for name in data.draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True)):
        filters[name] = data.draw(st.sampled_from(values_of(all_of(day), name)))
        wanted = matching(wanted, name, filters[name])
    by = data.draw(st.sampled_from(["", "eventTime", "recordTime"]))
    if by:
        filters |= {"orderBy": by, "orderDirection": "ASC"}
    limit = data.draw(st.sampled_from([5, 60, 1000])) if len(wanted) < 200 else 100
    found = flat(pages(day, **filters, perPage=limit))
    assert sorted(ids(found)) == sorted(ids(wanted))
    if by:
        told = [datetime.fromisoformat(one[by]) for one in found]
        assert told == sorted(told)
    else:
        assert ids(found) == ids(wanted)


def test_a_list_holds_alternatives(day: Node) -> None:
    found = flat(pages(day, EQ_bizStep="arriving|departing", perPage=500))
    wanted = [one for one in all_of(day) if one.get("bizStep") in {"arriving", "departing"}]
    assert ids(found) == ids(wanted) == ids(flat(pages(day, EQ_bizStep="arriving,departing")))


def test_what_no_event_here_has_matches_nothing(day: Node) -> None:
    for params in ({"EXISTS_sensorElementList": "1"}, {"MATCH_epcClass": "urn:x:y"}, {"GE_quantity": "5"},
                   {"EQ_source_owning_party": "urn:x:y"}, {"EQ_example:field": "7"}):  # fmt: skip
        assert events(day.get(PATH, **params)) == []


def test_newest_first_is_what_orderBy_means_where_nothing_is_said(day: Node) -> None:  # noqa: N802
    told = [datetime.fromisoformat(one["eventTime"]) for one in flat(pages(day, orderBy="eventTime", perPage=300))]
    assert told == sorted(told, reverse=True)


def test_eventCountLimit_cuts_and_maxEventCount_is_all_or_nothing(day: Node) -> None:  # noqa: N802
    limited = day.get(PATH, orderBy="eventTime", eventCountLimit=3)
    assert (len(events(limited)), following(limited)) == (3, "")
    assert day.get(PATH, MATCH_anyEPC="urn:epc:id:bic:KOUU3261045", maxEventCount=500).status_code == 200
    answer = day.get(PATH, maxEventCount=3)
    assert (answer.status_code, answer.json()["type"]) == (413, "epcisException:QueryTooLargeException")


def test_one_event_is_found_by_its_id(day: Node) -> None:
    one = all_of(day)[7]
    answer = day.get(f"{PATH}/{quote(one['eventID'])}")
    assert (answer.status_code, {name: value for name, value in answer.json().items() if name != "@context"}) == (
        200,
        one,
    )
    answer = day.get(f"{PATH}/urn:uuid:00000000-0000-4000-8000-000000000000")
    assert (answer.status_code, answer.json()["type"]) == (404, "epcisException:NoSuchResourceException")


@pytest.mark.parametrize(
    "query",
    [
        "EQ_bizStop=x", "eventType=Event", "EQ_action=MOVE", "GE_eventTime=yesterday",
        "GE_eventTime=2026-01-01T00:00:00",
        "orderBy=place", "orderDirection=UP", "perPage=0", "perPage=x", "nextPageToken=zz",
        "MATCH_epc=", "MATCH_epc=%00",
        "eventCountLimit=0", "maxEventCount=x", "EQ_bizStep=" + "a" * 600, "EQ_bizStep=" + "%7C".join(["a"] * 300),
        "nextPageToken=" + encode(Token(at=("1", "2"))), "nextPageToken=" + encode(Token(backwards=True)),
        "nextPageToken=" + encode(Token(query=(("foo", "1"),))),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_a_problem_of_the_standards_kind(day: Node, query: str) -> None:
    answer = day.client.get(f"{PATH}?{query}", headers=day.bearer("enterprise"))
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json"), answer.text
    assert (answer.json()["type"], answer.json()["status"]) == ("epcisException:QueryParameterException", 400)


def test_a_page_token_belongs_to_its_query(day: Node) -> None:
    link = following(day.get(PATH, EQ_bizStep="arriving", perPage=2))
    token = parse_qs(urlsplit(link).query)["nextPageToken"][0]
    alone = events(day.get(PATH, nextPageToken=token))
    assert ids(events(day.get(PATH, nextPageToken=token, EQ_bizStep="arriving"))) == ids(alone)
    assert day.get(PATH, nextPageToken=token, EQ_bizStep="departing").status_code == 400


@pytest.mark.parametrize(
    ("path", "who", "status", "kind"),
    [
        (PATH, "", 401, "SecurityException"),
        (QUERIES, "", 401, "SecurityException"),
        ("/epcis/v2/nothing", "enterprise", 404, "NoSuchResourceException"),
        (f"{QUERIES}/nothing", "enterprise", 404, "NoSuchResourceException"),
        (f"{QUERIES}/nothing/events", "enterprise", 404, "NoSuchResourceException"),
    ],
)
def test_every_no_is_a_problem_of_the_standards_kind(day: Node, path: str, who: str, status: int, kind: str) -> None:
    answer = day.get(path, who)
    assert (answer.status_code, answer.json()["type"]) == (status, f"epcisException:{kind}")


def test_capture_stays_as_it_was(day: Node) -> None:
    options = day.client.options(PATH)
    assert (options.status_code, options.headers["GS1-EPCIS-Capture-Limit"]) == (204, "10000")
    assert day.client.post(PATH, json={}, headers=day.bearer("enterprise")).json()["type"] == "/problems/wrong-role"


# --- named queries ---


def keep(node: Node, body: Any, who: str = "enterprise") -> Any:
    return node.client.post(QUERIES, json=body, headers=node.bearer(who))


def test_a_query_is_kept_asked_by_its_name_and_removed(node: Node) -> None:
    node.tell(*STORY, event("7", "GATE_IN", "2026-03-07T10:00:00+08:00", subject="container:TOLU4734787"))
    body = {"name": "my box", "query": {"MATCH_epc": [EPC], "GE_eventTime": "2026-03-02T00:00:00Z"}}
    answer = keep(node, body)
    assert (answer.status_code, answer.headers["Location"]) == (201, f"{QUERIES}/my%20box")
    assert node.get(f"{QUERIES}/my box").json() == body
    assert node.get(QUERIES).json() == [body]
    found = node.get(f"{QUERIES}/my box/events")
    assert [one["kouan:milestone"] for one in events(found)] == ["GATE_OUT"]
    assert found.json()["epcisBody"]["queryResults"]["queryName"] == "my box"
    assert keep(node, body).json()["type"] == "epcisException:ResourceAlreadyExistsException"
    assert node.client.delete(f"{QUERIES}/my box", headers=node.bearer("enterprise")).status_code == 204
    assert node.get(f"{QUERIES}/my box/events").status_code == 404
    assert keep(node, body).status_code == 201


def test_a_kept_query_comes_in_pages_like_any_other(node: Node) -> None:
    node.tell(*[event(f"{n}", "GATE_IN", f"2026-03-{n:02d}T10:00:00+08:00") for n in range(1, 9)])
    keep(node, {"name": "in", "query": {"EQ_bizStep": ["entering_exiting"], "orderBy": "eventTime"}})
    found = pages(node, f"{QUERIES}/in/events", perPage=3)
    assert [len(page) for page in found] == [3, 3, 2]
    assert len(set(ids(flat(found)))) == 8
    foreign = following(node.get(PATH, perPage=3)).replace(PATH, f"{QUERIES}/in/events")
    assert node.get(foreign).status_code == 400


def test_names_of_queries_belong_to_their_account(node: Node) -> None:
    body = {"name": "q", "query": {}}
    assert (keep(node, body).status_code, keep(node, body, "logistics").status_code) == (201, 201)
    node.client.delete(f"{QUERIES}/q", headers=node.bearer("logistics"))
    assert node.get(f"{QUERIES}/q").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b'{"name": "x"}', b'{"name": "", "query": {}}', b'{"name": "a/b", "query": {}}',
        b'{"name": "x", "query": {"EQ_bizStop": ["y"]}}', b'{"name": "x", "query": {"EQ_bizStep": [{}]}}',
        b'{"name": "x", "query": {"EQ_bizStep": ["\\u0000"]}}', b'{"name": "x", "query": {"EQ_a:\\u0000": ["y"]}}',
        b'{"name": "x", "query": {"GE_eventTime": 1e300}}', b'{"name": "x", "query": {"GE_eventTime": "soon"}}',
        b'{"name": "x", "query": {"eventCountLimit": %s}}' % (b"9" * 5000), b"\xff",
    ],
)  # fmt: skip
def test_what_cannot_be_a_query_is_refused(day: Node, body: bytes) -> None:
    answer = day.client.post(QUERIES, content=body, headers=day.bearer("enterprise"))
    assert (answer.status_code, answer.json()["type"]) == (400, "epcisException:QueryParameterException"), answer.text
    assert day.get(QUERIES).json() == []


def test_every_answer_is_a_delivery(node: Node) -> None:
    node.tell(*STORY)
    node.get(PATH, MATCH_epc=EPC)
    node.get(PATH, MATCH_epc="urn:epc:id:bic:TOLU4734787")
    rows = node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made' ORDER BY notification_id")
    told = [msgspec.json.decode(state) for (state,) in rows]
    assert [(one["item"], one["subject"], one.get("count", 0)) for one in told] == [
        ("epcis.query", BOX, 2),
        ("epcis.query", "container:TOLU4734787", 0),
    ]
