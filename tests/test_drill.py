"""Drilling down: from any statement line to its messages, from any delivery to its line, no further than sight."""

import asyncio
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from click.testing import CliRunner

from api.app import Works
from api.exporting import exporter
from api.identity import Account, open_account
from api.main import kouan
from api.settings import Settings
from billing import drafting
from domain import period, positions
from domain.adjustment import AdjustmentApproved, AdjustmentProposed
from domain.catalogue import TariffPublished
from domain.invoice import InvoiceSent, PaymentReceived
from domain.journal import Journal
from domain.pricing import Pricing, Share
from domain.writer import Writer
from tests.fixtures_node import PEOPLE, Node, manned
from tests.open_register import subscribed
from tests.push_world import World, received, run, settled
from tests.test_sight import THEM, US, granted, named, ours, owned, stopped
from tests.test_track_api import STORY
from tests.test_usage import SEPTEMBER, cut, made

NOW = datetime.now(UTC)
MONTH = period.month_of(NOW)
NUMBER = "CSQU3054383"
COMMERCIAL: dict[str, Any] = {"channels": ("query", "api", "push", "export", "analytics"), "commercial": True}


def close(node: Node, month: str = MONTH) -> list[str]:
    """Cut the month off and issue its statements."""
    node.catch_up()
    node.decide("commerce", period.stream(month), cut(month))
    with psycopg.connect(node.conninfo, autocommit=True) as opened, Journal("commerce", node.conninfo).opened() as kept:
        writer = Writer(kept)
        drafting.issue(opened, writer, month, by="clerk", at=NOW)
        writer.stop()
    return [number for (number,) in node.rows("SELECT statement FROM issued_statements ORDER BY statement")]


def lines(node: Node, number: str) -> dict[str, int]:
    """By item and price the numbers of the lines of a statement."""
    found = node.rows("SELECT item, tariff IS NOT NULL, line FROM issued_lines WHERE statement = %s", number)
    return {f"{item}{'' if priced else ' unpriced'}": line for item, priced, line in found}


def drill(node: Node, number: str, line: int, who: str = "finance", **asked: Any) -> dict[str, Any]:
    answer = node.get(f"/v1/statements/{number}/lines/{line}", who, **asked)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def delivery(node: Node, at: str, who: str = "finance", **asked: Any) -> dict[str, Any]:
    answer = node.get(at, who, **asked)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def last_delivery(node: Node, item: str) -> str:
    [(stream, version)] = node.rows(
        "SELECT stream, version FROM usage_entries WHERE item = %s ORDER BY position DESC LIMIT 1", item
    )
    return f"/v1/deliveries/{stream}/{version}"


# --- from the line down ---


def test_from_a_line_one_comes_to_the_bytes_that_its_facts_were_read_from(node: Node) -> None:
    node.tell(*STORY)
    assert node.get("/v1/feed", "logistics").json()["service"]["quantity"] == 3
    [number] = close(node)
    found = drill(node, number, lines(node, number)["feed.pull"])
    assert (found["statement"], found["line"]["quantity"], found["holder"]["code"]) == (number, 3, "mover")
    [entry] = found["entries"]
    assert (entry["entry"]["quantity"], entry["delivery"]["subject"], entry["delivery"]["count"]) == (3, "feed:0-3", 3)
    assert [fact["position"] for fact in entry["handed"]["facts"]] == [1, 2, 3]
    for fact in entry["handed"]["facts"]:
        [(state,)] = node.rows("SELECT state FROM cargo_events WHERE notification_id = %s", fact["position"])
        assert fact["sha256"] == sha256(state).hexdigest()
        assert fact["fact"] == msgspec.json.decode(state)
        message = fact["message"]
        for who in ("finance", "source"):
            raw = node.get(message["bytes_at"] + "/bytes", who)
            assert sha256(raw.content).hexdigest() == message["sha256"]
            told = node.get(message["bytes_at"], who).json()
            assert (told["text"], told["source"]) == (raw.text, "terminal")
        assert fact["fact"]["code"] in raw.text
    assert node.get(message["bytes_at"], "line").status_code == 200  # everything is permitted here to every role


def test_a_line_is_told_page_by_page_each_entry_once(node: Node) -> None:
    node.decide("commerce", "metering:a", *(made(SEPTEMBER, n, reversals=n % 2) for n in range(1, 12)))
    [number] = close(node, "2026-09")
    seen: list[tuple[str, int]] = []
    after, more = "", True
    while more:
        page = drill(node, number, 1, after=after, limit=4, facts=0)
        seen += [(each["entry"]["meter"], each["entry"]["version"]) for each in page["entries"]]
        after, more = page["next"], bool(page["next"])
    odd = {1, 3, 5, 7, 9, 11}
    assert sorted(seen) == sorted([("delivery/1", n) for n in range(1, 12)] + [("reversal/1", n) for n in odd])
    total = sum(each["entry"]["quantity"] for each in drill(node, number, 1, limit=100)["entries"])
    line = drill(node, number, 1)["line"]
    assert total == sum(range(1, 12)) - len(odd) == line["quantity"] - len(odd)


def test_the_entries_of_all_lines_are_all_entries_of_the_month(node: Node) -> None:
    free = {"item": "track.query", "item_class": "government", "tariff": ""}
    node.decide(
        "commerce",
        "metering:a",
        made(SEPTEMBER, 3),
        made(SEPTEMBER, 2, waived="trial"),
        made(SEPTEMBER, 1, **free),
        made(SEPTEMBER, 0, result="empty"),
        made(SEPTEMBER, 4, item="bulk.query", tariff="bulk.query/sample-2026"),
    )
    [august] = [period.preceding("2026-09")]
    assert close(node, august) == []
    node.decide("commerce", "metering:a", made(datetime(2026, 8, 3, tzinfo=UTC), 7))
    [number] = close(node, "2026-09")
    entries = [
        (each["entry"]["stream"], each["entry"]["version"])
        for line in range(1, 7)
        for each in drill(node, number, line)["entries"]
    ]
    assert sorted(entries) == [("metering:a", version) for version in range(1, 7)]
    assert node.get(f"/v1/statements/{number}/lines/7", "finance").status_code == 404


def test_an_adjustment_is_told_with_who_proposed_and_who_approved_it(node: Node) -> None:
    told: dict[str, Any] = {"happened_at": SEPTEMBER, "recorded_at": SEPTEMBER, "adjustment": "a1"}
    proposed = AdjustmentProposed(
        **told, by="ann", holder="mover", is_party=False, item="feed.pull", amount_minor=-30, reason="too much in July"
    )
    node.decide("commerce", "adjustment:a1", proposed, AdjustmentApproved(**told, by="bob", proposed=proposed))
    [number] = close(node, "2026-09")
    found = drill(node, number, 1)
    assert found["entries"] == []
    assert [(each["fact"], each["by"], each["reason"]) for each in found["decisions"]] == [
        ("adjustment.proposed", "ann", "too much in July"),
        ("adjustment.approved", "bob", ""),
    ]


# --- from the delivery up ---


def test_from_a_delivery_one_comes_to_its_line_and_its_invoice(node: Node) -> None:
    node.tell(*STORY)
    node.get("/v1/feed", "logistics")
    node.get(f"/v1/track/{NUMBER}", "logistics")
    node.get("/v1/track/TOLU4734787", "logistics")
    node.catch_up()
    at = last_delivery(node, "feed.pull")
    before = delivery(node, at)
    assert (before["state"], before["counted"][0]["bills"], len(before["handed"]["facts"])) == ("not_cut_off", [], 3)
    [number] = close(node)
    found = delivery(node, at)
    [bill] = found["counted"][0]["bills"]
    assert (found["state"], bill["line"]["statement"], bill["invoice"]["state"]) == ("billed", number, "not_sent")
    assert bill["at"] == f"/v1/statements/{number}/lines/{lines(node, number)['feed.pull']}"
    assert at in {each["at"] for each in node.get(bill["at"], "finance").json()["entries"]}
    sent: dict[str, Any] = {"happened_at": NOW, "recorded_at": NOW, "statement": number, "provider": "bank"}
    node.decide("commerce", f"invoice:{number}", InvoiceSent(**sent, invoice="i1", total_minor=6, currency="CNY"))
    assert delivery(node, at)["counted"][0]["bills"][0]["invoice"]["state"] == "open"
    node.decide("commerce", f"invoice:{number}", PaymentReceived(**sent, payment="p1", amount_minor=6, currency="CNY"))
    assert delivery(node, at)["counted"][0]["bills"][0]["invoice"]["state"] == "paid"


def test_what_is_free_says_why(node: Node) -> None:
    node.tell(*STORY)
    node.get(f"/v1/track/{NUMBER}", "logistics")
    node.catch_up()
    asked = last_delivery(node, "track.query")
    node.get("/v1/feed", "logistics", after=node.get("/v1/feed", "logistics").json()["next"])
    node.catch_up()
    nothing = last_delivery(node, "feed.pull")
    close(node)
    for at, reason, en in ((asked, "government", "government service"), (nothing, "not_charged", "no charge")):
        [counted] = delivery(node, at)["counted"]
        assert (counted["state"], counted["reason"]) == ("free", reason)
        assert en in counted["reason_en"]
    found = delivery(node, asked)
    assert (found["handed"]["named"], [each["position"] for each in found["handed"]["facts"]]) == (False, [1, 2, 3])


def test_what_no_meter_has_counted_yet_is_said_to_be_so(node: Node) -> None:
    node.tell(*STORY)
    node.get("/v1/feed", "logistics")
    [(stream, version)] = node.rows(
        "SELECT originator_id, originator_version FROM commerce_events WHERE topic = 'delivery.made'"
    )
    assert delivery(node, f"/v1/deliveries/{stream}/{version}")["state"] == "not_counted"


# --- what records name ---


def test_the_answers_of_commercial_items_name_their_facts(node: Node) -> None:
    node.tell(*STORY)
    node.client.post("/v1/bulk-query", json={"numbers": [NUMBER, "TOLU4734787"]}, headers=node.bearer("logistics"))
    node.get("/v1/feed", "logistics", after=node.get("/v1/feed", "logistics", limit=1).json()["next"])
    node.catch_up()
    told = node.rows("SELECT convert_from(state, 'UTF8') FROM commerce_events WHERE topic = 'delivery.made'")
    records = [msgspec.json.decode(state) for (state,) in told]
    names = [(each["item"], positions.unpack(each.get("told", ""))) for each in records]
    assert names == [("bulk.query", [3]), ("feed.pull", [1]), ("feed.pull", [2, 3])]


def test_a_push_leads_to_its_fact(database: str, tmp_path: Path) -> None:
    world = World(database, tmp_path)

    async def scenario() -> None:
        [receiver] = await received("ok")
        world.endpoint(receiver.url)
        world.tell(3)
        async with world.engine() as running:
            await settled(running)

    run(scenario())
    world.catch_up()
    rows = world.rows("SELECT stream, version FROM usage_entries WHERE meter = 'push/1' ORDER BY version")
    with psycopg.connect(database, autocommit=True) as connection:
        key = open_account(connection, PEOPLE["finance"])
    asking = {"Authorization": f"Bearer {key}"}
    with manned(database, raises=True) as client:
        found = [client.get(f"/v1/deliveries/{each[0]}/{each[1]}", headers=asking).json() for each in rows]
    assert [[fact["position"] for fact in each["handed"]["facts"]] for each in found] == [[1], [2], [3]]
    assert {each["delivery"]["channel"] for each in found} == {"push"}


# --- who sees what ---


@pytest.fixture
def here(closed_node: Node) -> Node:
    """An enterprise with cargo of its own, another one, and somebody's subscription to the feed."""
    node = closed_node
    for name, party in (("us", US), ("them", THEM)):
        node.open(name, Account(name, "logistics", name, name, party=party))
        node.decide("commerce", *subscribed("any", party))
    node.decide("cargo", *named(US))
    node.tell(ours("1", "GATE_IN", 1), ours("2", "GATE_OUT", 2, text="CANARY"))
    node.get("/v1/feed", "us")
    node.catch_up()
    return node


def shown(found: dict[str, Any]) -> list[bool]:
    return [fact["shown"] for fact in found["handed"]["facts"]]


def test_who_got_the_facts_sees_them_and_finance_their_digests_alone(here: Node) -> None:
    at = last_delivery(here, "feed.pull")
    mine, theirs = delivery(here, at, "us"), delivery(here, at, "finance")
    assert (shown(mine), shown(theirs)) == ([True, True], [False, False])
    for own, other in zip(mine["handed"]["facts"], theirs["handed"]["facts"], strict=True):
        assert (own["position"], own["sha256"]) == (other["position"], other["sha256"])
        assert (other["subject"], other["fact_id"], other["fact"]) == ("", None, None)
        assert own["message"]["sha256"] == other["message"]["sha256"]
        assert (own["message"]["source"], other["message"]["source"]) == ("terminal", "")
        assert (own["message"]["bytes_at"], other["message"]["bytes_at"]) == ("", "")
        raw = here.get(f"/v1/messages/{own['message']['message_id']}/bytes", "source")
        assert sha256(raw.content).hexdigest() == own["message"]["sha256"]
        for who in ("us", "finance", "operator", "line"):
            assert here.get(f"/v1/messages/{own['message']['message_id']}", who).status_code == 404
    assert "CANARY" not in str(theirs)
    assert mine["handed"]["facts"][1]["fact"]["text"] == "CANARY"


def test_finance_sees_what_the_data_owner_permits_to_it(here: Node) -> None:
    at = last_delivery(here, "feed.pull")
    here.decide("commerce", *owned())
    here.decide("commerce", *granted("role:finance", fields=("place", "source", "message_id")))
    found = delivery(here, at, "finance")
    assert shown(found) == [True, True]
    assert found["handed"]["facts"][1]["fact"]["place"]
    assert "CANARY" not in str(found)
    here.decide("commerce", *stopped())
    assert shown(delivery(here, at, "finance")) == [False, False]


def test_a_fact_whose_source_is_kept_back_does_not_tell_it_by_its_message(here: Node) -> None:
    at = last_delivery(here, "feed.pull")
    here.decide("commerce", *owned())
    here.decide("commerce", *granted("role:finance", fields=("place",)))
    messages = [fact["message"] for fact in delivery(here, at, "finance")["handed"]["facts"]]
    assert [(each["message_id"], each["source"], each["format"]) for each in messages] == [(None, "", "")] * 2


def test_what_was_permitted_once_is_not_shown_again_behind_the_revocation(here: Node) -> None:
    here.open("carrier", Account("carrier", "logistics", "物流", "Carrier", party="LOGISTICS-1"))
    here.decide("commerce", *subscribed("any", "LOGISTICS-1"))
    here.decide("commerce", *owned())
    here.decide("commerce", *granted("LOGISTICS-1", **COMMERCIAL))
    assert here.get("/v1/feed", "carrier").json()["service"]["quantity"] == 2
    here.catch_up()
    at = last_delivery(here, "feed.pull")
    assert shown(delivery(here, at, "carrier")) == [True, True]
    here.decide("commerce", *stopped())
    assert shown(delivery(here, at, "carrier")) == [False, False]


def test_what_is_another_partys_is_as_unknown_as_what_is_not_there(here: Node) -> None:
    at = last_delivery(here, "feed.pull")
    [number] = close(here)
    nowhere = at.replace("metering:", "metering:x")
    for path, other in ((f"/v1/statements/{number}/lines/1", "/v1/statements/KS-200001-000001/lines/1"), (at, nowhere)):
        theirs, none = here.get(path, "them"), here.get(other, "them")
        assert (theirs.status_code, none.status_code) == (404, 404)
        asked, missing = path.split("/")[3:], other.split("/")[3:]
        text = theirs.text
        for one, another in zip(asked, missing, strict=True):
            text = text.replace(one[:80], another[:80])
        assert text == none.text
        assert here.get(path, "us").status_code == 200
        assert here.get(path, "operator").status_code == 404
    assert here.get("/v1/deliveries/period:2026-01/1", "finance").status_code == 404


def test_a_credential_for_the_books_alone_shows_no_cargo(here: Node) -> None:
    here.open("books", Account("books", "logistics", "记账", "Books", party=US))
    with psycopg.connect(here.conninfo, autocommit=True) as connection:
        connection.execute("UPDATE api_keys SET scopes = '{usage}' WHERE account = 'books'")
    at = last_delivery(here, "feed.pull")
    assert (shown(delivery(here, at, "us")), shown(delivery(here, at, "books"))) == ([True, True], [False, False])


def test_a_party_sees_what_was_used_for_it_and_its_share(node: Node) -> None:
    for name in ("agent", "owner"):
        node.open(name, Account(name, "enterprise", name, name, party=name.upper()))
    half = Pricing(price_minor=3, split=(Share("caller", 50), Share("principal", 50)))
    about: dict[str, Any] = {"happened_at": SEPTEMBER, "recorded_at": SEPTEMBER, "by": "clerk", "item": "feed.pull"}
    terms: dict[str, Any] = {"price_minor": 3, "currency": "CNY", "effective_from": SEPTEMBER, "basis": "b"}
    node.decide("commerce", "item:feed.pull", TariffPublished(**about, **terms, version="half", pricing=half))
    paid = {"account": "agent", "party": "AGENT", "tariff": "half"}
    node.decide("commerce", "metering:a", made(SEPTEMBER, 5, behalf="OWNER", **paid), made(SEPTEMBER, 2, **paid))
    agents, owners = close(node, "2026-09")
    assert [len(drill(node, agents, 1, who)["entries"]) for who in ("agent", "finance")] == [2, 2]
    shared = drill(node, owners, 1, "owner")
    assert (shared["line"]["kind"], [each["entry"]["version"] for each in shared["entries"]]) == ("share", [1])
    [counted] = delivery(node, "/v1/deliveries/metering:a/1", "owner")["counted"]
    assert [bill["line"]["statement"] for bill in counted["bills"]] == [owners]
    [counted] = delivery(node, "/v1/deliveries/metering:a/1", "finance")["counted"]
    assert [bill["line"]["statement"] for bill in counted["bills"]] == [agents, owners]
    assert node.get("/v1/deliveries/metering:a/2", "owner").status_code == 404


# --- on the books ---


def test_looking_is_on_the_trail_and_is_no_delivery(node: Node) -> None:
    node.tell(*STORY)
    node.get("/v1/feed", "logistics")
    [number] = close(node)
    line = lines(node, number)["feed.pull"]
    before = node.rows("SELECT count(*) FROM commerce_events WHERE topic LIKE 'delivery.%%'")
    found = drill(node, number, line)
    node.get(found["entries"][0]["handed"]["facts"][0]["message"]["bytes_at"], "finance")
    assert node.rows("SELECT count(*) FROM commerce_events WHERE topic LIKE 'delivery.%%'") == before
    told = [
        msgspec.json.decode(state)
        for (state,) in node.rows("SELECT state FROM commerce_events WHERE originator_id LIKE 'access:%%'")
    ]
    drilled = [each for each in told if each["action"] == "books.drill"]
    acts = [(each["object"], each["account"], each.get("detail", "")) for each in drilled]
    assert acts[0] == (f"statement:{number}/{line}", "clerk", "3 facts proved, 3 shown: AgU")
    assert acts[1][0].startswith("message:")


def test_of_a_file_that_was_taken_home_the_rows_are_found_again(node: Node, tmp_path: Path) -> None:
    node.tell(*STORY)
    day = {"from": "2026-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    day["to"] = "2027-01-01T00:00:00Z"
    asked = node.client.post("/v1/exports", json=day, headers=node.bearer("operator"))
    assert asked.status_code == 202, asked.text
    settings = Settings(home=tmp_path)

    async def make() -> None:
        works = Works(node.conninfo, settings)
        async with works.lifespan():
            assert await exporter.once(works, settings)

    asyncio.run(make())
    node.catch_up()
    at = last_delivery(node, "history.export")
    found = delivery(node, at, limit=2)
    assert (found["handed"]["named"], [fact["position"] for fact in found["handed"]["facts"]]) == (False, [1, 2])
    rest = delivery(node, at, limit=2, after=found["handed"]["next"])
    assert ([fact["position"] for fact in rest["handed"]["facts"]], rest["handed"]["next"]) == ([3], 0)


@pytest.mark.parametrize("after", ["x", "e30", "W10", "WyIyMDI2LTAxLTAxIiwiIiwwLCIiXQ", "é"])
def test_a_cursor_of_somewhere_else_is_refused(node: Node, after: str) -> None:
    answer = node.get("/v1/statements/KS-202601-000001/lines/1", "finance", after=after)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/bad-place")


def test_at_a_terminal_the_books_are_shown_and_no_cargo(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUAN_DATABASE_URL", node.conninfo)
    node.tell(*STORY)
    node.get("/v1/feed", "logistics")
    [number] = close(node)
    found = CliRunner().invoke(kouan, ["drill", number, "1"])
    assert found.exit_code == 0, found.output
    [(state,)] = node.rows("SELECT state FROM cargo_events WHERE notification_id = 1")
    assert sha256(state).hexdigest() in found.output
    assert "feed:0-3" in found.output
    assert NUMBER not in found.output
    assert CliRunner().invoke(kouan, ["drill", number, "9"]).exit_code != 0
