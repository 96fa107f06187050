"""Questions in DCSA's form: the answer matches the filter, in order, and pages neither overlap nor leave anything out.

The events that match are found here by rules of the test's own, over all events of the sample day.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from operator import eq, ge, gt, le, lt
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from api.facades import searching
from api.facades.paging import Token, encode
from domain.places import canonical
from tests.facades.published import EVENTS, check_error, flat, pages
from tests.fixtures_node import Node
from tests.test_track_api import BOX, event

Event = dict[str, Any]
OPERATORS = {":gte": ge, ":gt": gt, ":lte": le, ":lt": lt, ":eq": eq, "": eq}
often = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
everything: dict[int, list[Event]] = {}


def all_of(day: Node) -> list[Event]:
    if id(day) not in everything:
        everything[id(day)] = flat(pages(day, limit=1000))
    return everything[id(day)]


def ids(found: list[Event]) -> list[str]:
    return [one["eventID"] for one in found]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


# --- what each parameter is about, by the words of the standard ---


def documents(kind: str, *own: str) -> Callable[[Event], set[str]]:
    def values(one: Event) -> set[str]:
        refs = one.get("documentReferences", [])
        named = {ref["documentReferenceValue"] for ref in refs if ref["documentReferenceType"] == kind}
        return named | ({one["documentID"]} if one.get("documentTypeCode") in own else set())

    return values


def member(name: str) -> Callable[[Event], set[str]]:
    return lambda one: {one[name]} if name in one else set()


def called(name: str) -> Callable[[Event], set[str]]:
    return lambda one: {one["transportCall"][name]} if name in one.get("transportCall", {}) else set()


def boxes(one: Event) -> set[str]:
    refs = {ref["referenceValue"] for ref in one.get("references", []) if ref["referenceType"] == "EQ"}
    return refs | member("equipmentReference")(one)


def places(one: Event) -> set[str]:
    return called("UNLocationCode")(one) or {
        code for code in [one.get("eventLocation", {}).get("UNLocationCode")] if code
    }


def ships(one: Event) -> set[str]:
    vessel = one.get("transportCall", {}).get("vessel")
    return {vessel["vesselIMONumber"]} if vessel else set()


LISTED = {
    "eventType": member("eventType"),
    "shipmentEventTypeCode": member("shipmentEventTypeCode"),
    "documentTypeCode": member("documentTypeCode"),
    "transportEventTypeCode": member("transportEventTypeCode"),
    "equipmentEventTypeCode": member("equipmentEventTypeCode"),
}
SINGLE = {
    "carrierBookingReference": documents("BKG", "BKG", "CBR"),
    "bookingReference": documents("BKG", "BKG", "CBR"),
    "transportDocumentReference": documents("TRD", "TRD", "SHI", "ARN"),
    "transportCallID": called("transportCallID"),
    "vesselIMONumber": ships,
    "exportVoyageNumber": called("exportVoyageNumber"),
    "carrierVoyageNumber": called("exportVoyageNumber"),
    "UNLocationCode": places,
    "equipmentReference": boxes,
}
KIND = {"shipmentEventTypeCode": "SHIPMENT", "documentTypeCode": "SHIPMENT", "transportEventTypeCode": "TRANSPORT",
        "equipmentEventTypeCode": "EQUIPMENT"}  # fmt: skip
SORTS = ["eventDateTime", "eventCreatedDateTime", "eventType", "equipmentReference", "UNLocationCode", "documentID"]


def matching(found: list[Event], filters: dict[str, str]) -> list[Event]:
    def wanted(one: Event) -> bool:
        for name, value in filters.items():
            if name.startswith("eventCreatedDateTime"):
                operator = OPERATORS[name.removeprefix("eventCreatedDateTime")]
                if not operator(instant(one["eventCreatedDateTime"]), instant(value)):
                    return False
            elif name == "UNLocationCode":
                mode = one.get("transportCall", {}).get("modeOfTransport", "")
                if not {value, canonical(value, mode)} & places(one):  # a place goes by several codes
                    return False
            elif not ({**LISTED, **SINGLE}[name](one) & set(value.split(",") if name in LISTED else [value])):
                return False
        return True

    return [one for one in found if wanted(one)]


@st.composite
def questions(draw: st.DrawFn, day: Node) -> dict[str, str]:
    """Filters with values that are met, mostly."""
    filters: dict[str, str] = {}
    found = all_of(day)
    for name in draw(st.lists(st.sampled_from([*LISTED, *SINGLE, "eventCreatedDateTime"]), max_size=3, unique=True)):
        if name == "eventCreatedDateTime":
            operator, one = draw(st.sampled_from(list(OPERATORS))), draw(st.sampled_from(found))
            filters[name + operator] = one["eventCreatedDateTime"]
            continue
        values = sorted({value for one in found for value in {**LISTED, **SINGLE}[name](one)} or {"9999999"})
        if name in LISTED:
            filters[name] = ",".join(draw(st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)))
        else:
            filters[name] = draw(st.sampled_from(values))
    kinds = filters.get("eventType", ",".join(KIND.values())).split(",")
    assume(all(KIND[name] in kinds for name in filters if name in KIND))
    assume(len({"carrierBookingReference", "bookingReference"} & filters.keys()) < 2)
    assume(len({"exportVoyageNumber", "carrierVoyageNumber"} & filters.keys()) < 2)
    return filters


@given(data=st.data())
@often
def test_the_answer_is_what_matches_and_pages_cover_it_without_overlap(day: Node, data: st.DataObject) -> None:
    filters = data.draw(questions(day))
    limit = data.draw(st.sampled_from([1, 7, 40, 1000]))
    wanted = matching(all_of(day), filters)
    assume(len(wanted) / limit < 60)
    forward = pages(day, **filters, limit=limit)
    assert ids(flat(forward)) == ids(wanted)
    assert all(len(page) <= limit for page in forward)


@given(data=st.data())
@often
def test_the_order_is_the_one_asked_for_forwards_and_backwards(day: Node, data: st.DataObject) -> None:
    filters = data.draw(questions(day))
    name, descends = data.draw(st.sampled_from(SORTS)), data.draw(st.booleans())
    limit = data.draw(st.sampled_from([9, 50, 1000]))
    found = flat(pages(day, **filters, limit=limit, sort=f"{name}:{'DESC' if descends else 'ASC'}"))
    values = [by(name, one) for one in found]
    assert values == sorted(values, reverse=descends)
    assert sorted(ids(found)) == sorted(ids(matching(all_of(day), filters)))
    last = day.get(EVENTS, **filters, limit=limit, sort=f"{name}:{'DESC' if descends else 'ASC'}").headers["Last-Page"]
    backwards = pages(day, cursor=last, follow="Prev-Page")
    assert ids(flat(backwards[::-1])) == ids(found)


def by(name: str, one: Event) -> str:
    if name.endswith("DateTime"):
        return instant(one[name]).isoformat()
    values = {"equipmentReference": boxes, "UNLocationCode": places}.get(name, member(name))(one)
    return min(values, default="")


@pytest.mark.parametrize("limit", [1, 30, 100])
def test_there_and_back_again(day: Node, limit: int) -> None:
    """From the first page to the last by Next-Page, from there to the first by Prev-Page: the same pages."""
    path, answer = [], day.get(EVENTS, limit=limit, equipmentEventTypeCode="LOAD,DISC")
    assert "Prev-Page" not in answer.headers
    while True:
        path.append(ids(answer.json()))
        if "Next-Page" not in answer.headers:
            break
        assert answer.headers["Next-Page-Cursor"] == answer.headers["Next-Page"]
        answer = day.get(EVENTS, cursor=answer.headers["Next-Page"])
    back = [path[-1]]
    while "Prev-Page" in answer.headers:
        answer = day.get(EVENTS, cursor=answer.headers["Prev-Page"])
        back.append(ids(answer.json()))
    assert back[::-1] == path
    assert ids(day.get(EVENTS, cursor=answer.headers["Current-Page"]).json()) == path[0]
    assert ids(day.get(EVENTS, cursor=answer.headers["First-Page"]).json()) == path[0]


def test_what_comes_in_meanwhile_shifts_no_page(node: Node) -> None:
    node.tell(*[event(f"{n}", "GATE_IN", f"2026-03-{n:02d}T10:00:00+08:00") for n in range(1, 9)])
    first = node.get(EVENTS, equipmentReference="CSQU3054383", sort="eventDateTime", limit=4)
    node.tell(event("early", "GATE_OUT", "2026-02-01T10:00:00+08:00"))
    second = node.get(EVENTS, cursor=first.headers["Next-Page"])
    told = [one["eventDateTime"][:10] for one in first.json() + second.json()]
    assert told == [f"2026-03-{n:02d}" for n in range(1, 9)]
    assert [one["eventDateTime"][:10] for one in node.get(EVENTS, cursor=second.headers["Prev-Page"]).json()] == told[
        :4
    ]


def test_a_long_journal_is_walked_in_steps_and_short_pages_go_on(day: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "SCANNED_MAX", 50)
    monkeypatch.setattr(searching, "STEP_MAX", 20)
    found = pages(day, documentTypeCode="CUS", limit=5)
    assert ids(flat(found)) == ids(matching(all_of(day), {"documentTypeCode": "CUS"}))
    assert any(not page for page in found)
    last = day.get(EVENTS, documentTypeCode="CUS", limit=5).headers["Last-Page"]
    assert ids(flat(pages(day, cursor=last, follow="Prev-Page")[::-1])) == ids(flat(found))


def test_too_much_to_order_is_told_with_the_way_out(day: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "SORTED_MAX", 50)
    answer = day.get(EVENTS, sort="eventDateTime")
    assert answer.status_code == 400
    check_error(answer)
    assert "time of receipt" in answer.json()["errors"][0]["message"]
    assert day.get(EVENTS, sort="eventDateTime", equipmentReference="KOUU3261045").status_code == 200


def test_times_of_receipt_narrow_the_journal_to_exactly_what_matches(node: Node) -> None:
    """By bisection over positions: also where receipt times do not rise with them."""
    node.tell(*[event(f"{n}", "GATE_IN", f"2026-03-{n:02d}T10:00:00+08:00") for n in range(1, 25)])
    start = datetime(2026, 5, 1, tzinfo=UTC)
    with_times = [start + timedelta(minutes=20 * n + (15 if n % 3 else -5)) for n in range(24)]
    import psycopg

    with psycopg.connect(node.conninfo) as connection:
        rows = connection.execute("SELECT position, content FROM timeline ORDER BY position").fetchall()
        for (position, content), at in zip(rows, with_times, strict=True):
            line = msgspec.json.decode(content) | {"recorded_at": at}
            connection.execute(
                "UPDATE timeline SET recorded_at = %s, content = %s WHERE position = %s",
                (at, msgspec.json.encode(line), position),
            )
    found = flat(pages(node))
    for at in (start, with_times[5], with_times[6], start + timedelta(hours=4), with_times[-1], start - timedelta(1)):
        for operator in OPERATORS:
            filters = {f"eventCreatedDateTime{operator}": at.isoformat()}
            told = flat(pages(node, **filters, eventType="EQUIPMENT", limit=3))
            assert ids(told) == ids(matching(found, filters)), (operator, at)


def test_a_time_may_be_given_twice_and_a_plus_sign_may_come_bare(day: Node) -> None:
    at = sorted(instant(one["eventCreatedDateTime"]) for one in all_of(day))
    since, until = at[len(at) // 4].isoformat(), at[len(at) // 2].isoformat()
    raw = day.client.get(
        f"{EVENTS}?eventCreatedDateTime%3Agte={since}&eventCreatedDateTime:lt={until}&limit=1000",
        headers=day.bearer("enterprise"),
    )
    filters = {"eventCreatedDateTime:gte": since, "eventCreatedDateTime:lt": until}
    assert ids(raw.json()) == ids(matching(all_of(day), filters))


def test_a_place_is_found_by_the_code_that_the_trade_uses_for_it(node: Node) -> None:
    node.tell(event("1", "LOADED", "2026-03-01T10:00:00+08:00", place="CNSHA", mode="VESSEL", laden=True))
    for code in ("CNSHA", "CNSHG", "CNSGH"):
        [one] = node.get(EVENTS, UNLocationCode=code).json()
        assert one["transportCall"]["UNLocationCode"] == "CNSHG"


def test_a_contradiction_is_an_empty_list_but_excluding_the_kind_of_a_code_is_a_mistake(day: Node) -> None:
    answer = day.get(EVENTS, shipmentEventTypeCode="DRFT", equipmentEventTypeCode="GTIN")
    assert (answer.status_code, answer.json()) == (200, [])
    answer = day.get(EVENTS, eventType="TRANSPORT", shipmentEventTypeCode="DRFT")
    assert answer.status_code == 400
    check_error(answer)


def test_a_cursor_goes_alone_or_with_its_own_query_only(day: Node) -> None:
    first = day.get(EVENTS, eventType="EQUIPMENT,TRANSPORT", limit=3)
    cursor = first.headers["Next-Page"]
    alone = day.get(EVENTS, cursor=cursor).json()
    assert day.get(EVENTS, cursor=cursor, eventType="TRANSPORT,EQUIPMENT", limit=3).json() == alone
    assert len(day.get(EVENTS, cursor=cursor, limit=2).json()) == 2
    answer = day.get(EVENTS, cursor=cursor, eventType="SHIPMENT")
    assert answer.status_code == 400
    check_error(answer)


@pytest.mark.parametrize(
    "query",
    [
        "eventType=SHIPMENTS", "eventType=", "transportEventTypeCode=GTIN", "documentTypeCode=CUC", "foo=1", "limit=0",
        "limit=x", "limit=99999999999", "limit=-1", "cursor=zzz", "cursor=%00", "cursor=bnVsbA", "sort=foo:ASC",
        "sort=eventDateTime:UP", "sort=", "equipmentReference=", "equipmentReference=" + "A" * 16,
        "equipmentReference=A%00B", "carrierBookingReference=" + "9" * 36, "vesselIMONumber=12345678",
        "eventCreatedDateTime=yesterday", "eventCreatedDateTime:ne=2026-01-01T00:00:00Z", "scheduleID=7",
        "eventCreatedDateTime=2026-01-01T00:00:00", "transportDocumentID=KOUA1", "UNLocationCode=CNSHAX",
        "equipmentReference=A&equipmentReference=B", "eventCreatedDateTime=0001-01-01T00:00:00%2B14:00",
        "cursor=" + encode(Token(at=("x",))), "cursor=" + encode(Token(query=(("equipmentReference", "\x00"),))),
        "cursor=" + encode(Token(at=5, query=(("sort", "eventDateTime"),))), "cursor=" + encode(Token(at=-1)),
        "cursor=" + encode(Token(limit=0)), "&".join(f"a{n}=1" for n in range(300)),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_told_in_the_standards_shape(day: Node, query: str) -> None:
    answer = day.client.get(f"{EVENTS}?{query}", headers=day.bearer("enterprise"))
    assert answer.status_code == 400, answer.text
    check_error(answer)


@given(st.binary(max_size=60))
@often
def test_no_query_string_and_no_cursor_causes_a_fault_of_ours(day: Node, noise: bytes) -> None:
    for query in (
        "cursor=" + noise.hex(),
        "".join(f"%{byte:02x}" for byte in noise),
        "equipmentReference=%" + noise.hex(),
    ):
        answer = day.client.get(f"{EVENTS}?{query}", headers=day.bearer("enterprise"))
        assert answer.status_code in {200, 400}, answer.text


@pytest.mark.parametrize(
    ("method", "path", "who", "status"),
    [
        ("GET", EVENTS, "", 401),
        ("GET", "/dcsa/v2/nothing", "enterprise", 404),
        ("GET", f"{EVENTS}/nothing", "enterprise", 404),
        ("GET", f"{EVENTS}/00000000-0000-4000-8000-000000000000", "enterprise", 404),
        ("POST", EVENTS, "enterprise", 405),
        ("DELETE", EVENTS, "enterprise", 405),
    ],
)
def test_every_no_has_the_standards_shape(day: Node, method: str, path: str, who: str, status: int) -> None:
    answer = day.client.request(method, path, headers=day.bearer(who))
    assert answer.status_code == status
    check_error(answer)


@pytest.mark.parametrize(("version", "status"), [("2", 200), ("2.2.0", 200), ("1", 400), ("three", 400)])
def test_another_major_version_is_refused(day: Node, version: str, status: int) -> None:
    answer = day.client.get(f"{EVENTS}?limit=1", headers={**day.bearer("enterprise"), "API-Version": version})
    assert (answer.status_code, answer.headers["API-Version"]) == (status, "2.2.0")


def test_what_this_node_is_never_told_matches_nothing(day: Node) -> None:
    for query in ({"carrierServiceCode": "FE1"}, {"scheduleID": "9679a405-3316-42a5-8533-aba000f5689c"}):
        assert day.get(EVENTS, **query).json() == []


def test_every_answer_is_a_delivery_with_its_datasets_also_for_nothing(node: Node) -> None:
    node.tell(event("1", "GATE_IN", "2026-03-01T10:00:00+08:00"))
    node.get(EVENTS, equipmentReference="CSQU3054383")
    node.get(EVENTS, equipmentReference="TOLU4734787")
    rows = node.rows("SELECT state FROM commerce_events WHERE topic = 'delivery.made' ORDER BY notification_id")
    made = [msgspec.json.decode(state) for (state,) in rows]
    assert [(one["item"], one["subject"], one.get("count", 0), one.get("result", "ok")) for one in made] == [
        ("dcsa.query", BOX, 1, "ok"),
        ("dcsa.query", "container:TOLU4734787", 0, "empty"),
    ]
    assert made[0]["datasets"] == ["road.movements"]
