"""Usage on the books: posted to its month, late or not, whoever counts, however often; and as its owner sees it."""

import csv
import io
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from api.app import READ_MODELS
from api.export import BOM
from api.identity import Account
from api.main import kouan
from domain import period
from domain.delivery import DeliveryMade, PushAccepted, new_id
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.period import PeriodCutOff
from domain.writer import Writer
from projections import runner
from tests.fixtures_node import Node
from tests.test_report_api import GATE_IN

SEPTEMBER = datetime(2026, 9, 20, 4, tzinfo=UTC)
END = datetime(2026, 9, 30, 16, tzinfo=UTC)  # of September in Shanghai
PRICE = "feed.pull/sample-2026"
POSTED = "SELECT occurred_at, billing_period, corrects_period FROM usage_entries ORDER BY position"
[MODEL] = [each for each in READ_MODELS if each.name == "usage"]


def made(at: datetime, count: int = 1, **told: Any) -> DeliveryMade:
    paid: dict[str, Any] = {"account": "mover", "item": "feed.pull", "item_class": "commercial", "tariff": PRICE}
    return DeliveryMade(happened_at=at, recorded_at=at, count=count, **{**paid, **told})


def cut(name: str) -> PeriodCutOff:
    at = period.bounds(name)[1]
    return PeriodCutOff(happened_at=at, recorded_at=at, period=name, by="clerk")


def by(rows: Sequence[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


# --- months ---


def test_use_is_posted_to_the_month_of_shanghai_in_which_it_occurred(node: Node) -> None:
    last, first = END - timedelta(microseconds=1), END
    node.decide("commerce", "metering:a", made(last), made(first))
    assert node.rows(POSTED) == [(last, "2026-09", None), (first, "2026-10", None)]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_what_comes_late_goes_to_the_next_open_month_and_names_the_one_it_corrects(node: Node, batch: int) -> None:
    node.decide("commerce", "metering:a", made(SEPTEMBER))
    node.decide("commerce", "period:2026-09", cut("2026-09"))
    node.decide("commerce", "metering:a", made(SEPTEMBER), made(END))
    node.decide("commerce", "period:2026-10", cut("2026-10"))
    node.decide("commerce", "metering:a", made(SEPTEMBER), made(END))
    live = node.rows(POSTED)
    assert [(posted, corrects) for _, posted, corrects in live] == [
        *[("2026-09", None), ("2026-10", "2026-09"), ("2026-10", None)],
        *[("2026-11", "2026-09"), ("2026-11", "2026-10")],
    ]
    with (
        psycopg.connect(node.conninfo, autocommit=True) as connection,
        Journal("commerce", node.conninfo).opened() as journal,
    ):
        runner.rebuild(connection, journal, MODEL, batch)
    assert node.rows(POSTED) == live


def test_a_month_that_was_cut_off_shows_the_same_for_ever(node: Node) -> None:
    node.decide("commerce", "metering:a", made(SEPTEMBER, 10))
    node.decide("commerce", "period:2026-09", cut("2026-09"))
    before = node.get("/v1/usage", "finance", month="2026-09").json()
    node.decide("commerce", "metering:a", made(SEPTEMBER, 7))
    assert node.get("/v1/usage", "finance", month="2026-09").json() == before
    october = node.get("/v1/usage", "finance", month="2026-10").json()
    assert by(october["rows"], "quantity", "amount_minor", "billing_period", "corrects_period") == [
        (7, 14, "2026-10", "2026-09")
    ]
    assert by(october["lines"], "holder", "amount_minor", "explanation") == [("mover", 14, "(17 x 2) - (10 x 2)")]


def test_finance_cuts_off_a_month_once_it_is_over_and_in_turn(node: Node) -> None:
    def post(month: str, who: str = "finance") -> Any:
        return node.client.post(f"/v1/periods/{month}/cut-off", headers=node.bearer(who))

    now = period.month_of(datetime.now(UTC))
    past, before = period.preceding(now), period.preceding(period.preceding(now))
    assert post(past, "logistics").status_code == 403
    assert post("2026-99").status_code == 422
    assert (post(now).status_code, post(now).json()["type"]) == (409, "/problems/period-not-over")
    first = post(before)
    assert (first.status_code, first.json()["new"], post(before).json()["new"]) == (202, True, False)
    assert post(period.preceding(before)).json()["facts"]["next"] == past
    assert post(past).status_code == 202
    node.catch_up()
    told = node.get("/v1/periods", "finance").json()
    assert (told["open"], by(told["periods"], "period", "stage")) == (
        now,
        [(before, "cut_off"), (past, "cut_off"), (now, "open")],
    )
    acts = node.rows("SELECT count(*) FROM commerce_events WHERE topic = 'access.told' AND state::text LIKE %s", "%")
    assert acts[0][0] >= 2


def test_a_month_can_be_cut_off_at_the_terminal(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUAN_DATABASE_URL", node.conninfo)
    month = period.preceding(period.month_of(datetime.now(UTC)))
    told = [CliRunner().invoke(kouan, ["period", "cut-off", month, "--by", "王会计"]).output for _ in range(2)]
    assert ["is cut off" in told[0], "was cut off before" in told[1]] == [True, True]
    node.catch_up()
    assert month in CliRunner().invoke(kouan, ["period", "list"]).output


# --- who sees what, and how ---


def test_what_the_free_units_and_the_cap_take_off_is_shown(node: Node) -> None:
    told = {"item": "bulk.query", "tariff": "bulk.query/sample-2026", "account": "mover"}
    node.decide("commerce", "metering:a", made(SEPTEMBER, 1_500, **told), made(SEPTEMBER, 0, result="empty", **told))
    answer = node.get("/v1/usage", "logistics", month="2026-09").json()
    names = ("quantity", "free_quantity", "list_minor", "waived_minor", "amount_minor")
    assert by(answer["rows"], *names) == [(0, 0, 0, 0, 0), (1_500, 1_000, 3_000, 2_000, 1_000)]
    assert (answer["list_minor"], answer["waived_minor"], answer["amount_minor"]) == (3_000, 2_000, 1_000)


def test_the_people_of_one_party_see_all_of_its_use_and_nobody_elses(node: Node) -> None:
    for name, party in (("ann", "P-1"), ("bob", "P-1"), ("eve", "P-2")):
        node.open(name, Account(name, "logistics", name, name, party=party))
    node.open("P-1", Account("P-1", "logistics", "名字像单位", "Named like a party"))
    facts = [made(SEPTEMBER, 5, account=name, party="P-1") for name in ("ann", "bob")]
    node.decide("commerce", "metering:a", *facts, made(SEPTEMBER, 3, account="eve", party="P-2"))

    def seen(who: str, **asked: str) -> list[str]:
        return [row["account"] for row in node.get("/v1/usage", who, **asked).json()["rows"]]

    assert (seen("ann"), seen("bob"), seen("eve"), seen("P-1")) == (["ann", "bob"], ["ann", "bob"], ["eve"], [])
    assert (seen("ann", account="bob"), seen("eve", account="bob")) == (["bob"], [])
    assert (seen("finance"), seen("finance", account="bob")) == (["ann", "bob", "eve"], ["bob"])


def test_a_window_and_its_days_come_to_the_whole(node: Node) -> None:
    days = [SEPTEMBER + timedelta(days=day) for day in range(3)]
    node.decide("commerce", "metering:a", *(made(day, 10) for day in days))
    told = {"start": days[1].isoformat(), "end": days[2].isoformat()}
    assert by(node.get("/v1/usage", "finance", by="day").json()["rows"], "day", "amount_minor") == [
        ("2026-09-20", 20),
        ("2026-09-21", 20),
        ("2026-09-22", 20),
    ]
    assert by(node.get("/v1/usage", "finance", **told).json()["rows"], "quantity", "amount_minor") == [(10, 20)]


def test_the_file_opens_in_a_spreadsheet_and_has_no_price_for_what_has_none(node: Node) -> None:
    node.decide(
        "commerce",
        "metering:a",
        made(SEPTEMBER, 3),
        made(SEPTEMBER, account="=cmd", item="track.query", item_class="government", tariff=""),
    )
    answer = node.get("/v1/usage", "finance", format="csv", month="2026-09")
    assert answer.headers["content-type"].startswith("text/csv")
    text = answer.content.decode()
    assert text.startswith(BOM)
    titles, free, paid = csv.reader(io.StringIO(text.removeprefix(BOM)))
    assert len(titles) == len(free) == len(paid)
    assert ("'=cmd" in free, free[-4:]) == (True, ["", "", "", ""])
    assert paid[-4:] == ["0.06", "0.00", "0.06", ""]


@pytest.mark.parametrize(
    "query",
    ["month=2026-13", "month=x", "month=2026-09&start=2026-09-01T00:00:00Z", "by=hour", "format=xml", "start=x"],
)
def test_what_cannot_be_asked_is_told_so(node: Node, query: str) -> None:
    answer = node.client.get(f"/v1/usage?{query}", headers=node.bearer("finance"))
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_ends_of_the_calendar_are_no_fault(node: Node) -> None:
    answer = node.get("/v1/usage", "finance", start="0001-01-01T00:00:00+14:00", end="9999-12-31T23:59:59-12:00")
    assert answer.status_code == 200


def test_the_page_shows_a_month_and_what_was_waived(node: Node) -> None:
    told = {"item": "bulk.query", "tariff": "bulk.query/sample-2026"}
    node.decide("commerce", "metering:a", made(SEPTEMBER, 1_500, **told))
    page = node.get("/usage", "logistics", month="2026-09").text
    assert all(part in page for part in ("2026-08", "2026-10", "¥20.00", "¥10.00", "500 x 2"))
    assert "2026-09-20" in node.get("/usage", "logistics", month="2026-09", by="day").text
    assert "1,500" not in node.get("/usage", "logistics", month="2026-08").text
    assert node.get("/usage", "logistics", month="nonsense").status_code == 422


# --- counted once ---


def test_a_push_counts_when_it_is_taken_and_what_is_taken_back_is_a_reading_of_its_own(node: Node) -> None:
    sent = {"item": "feed.push", "tariff": "feed.push/sample-2026"}
    taken = PushAccepted(
        happened_at=SEPTEMBER,
        recorded_at=SEPTEMBER,
        account="mover",
        item="feed.push",
        item_class="commercial",
        endpoint="e",
        message="m",
        reversals=1,
        count=3,
        tariff="feed.push/sample-2026",
    )
    node.decide("commerce", "metering:a", made(SEPTEMBER, 3, result="sent", **sent))
    node.decide("commerce", "endpoint:e", taken)
    rows = node.rows("SELECT meter, quantity, chargeable FROM usage_entries ORDER BY position, meter")
    assert rows == [("delivery/1", 3, False), ("push/1", 3, True), ("reversal/1", -1, True)]
    assert node.get("/v1/usage", "logistics").json()["amount_minor"] == 6


WRONG = {
    "a government item with a price": {"item_class": "government"},
    "a charge without a price": {"tariff": None},
    "a price that nobody published": {"tariff": "feed.pull/secret"},
    "a price of another item": {"item": "feed.push"},
    "a charge for nothing found": {"result": "empty"},
    "a use below zero": {"quantity": -1},
    "a correction of the future": {"corrects_period": "2026-11"},
    "a charge that is waived": {"waived": "trial"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_the_database_refuses_a_row_that_no_meter_reads(node: Node, wrong: dict[str, Any]) -> None:
    row: dict[str, Any] = {"meter": "delivery/1", "stream": "s", "version": 1, "position": 1}
    row |= {"account": "a", "party": "", "behalf": "", "item": "feed.pull", "item_class": "commercial", "result": "ok"}
    row |= {"quantity": 1, "chargeable": True, "tariff": PRICE, "waived": ""}
    row |= {"occurred_at": SEPTEMBER, "billing_period": "2026-09"}
    insert = "INSERT INTO usage_entries ({}) VALUES ({})"
    with psycopg.connect(node.conninfo) as connection:
        for values, refused in ((row, False), ({**row, "version": 2, "corrects_period": None, **wrong}, True)):
            text = insert.format(", ".join(values), ", ".join(["%s"] * len(values)))
            if not refused:
                connection.execute(text.encode(), list(values.values()))
                continue
            with pytest.raises(psycopg.errors.IntegrityError):
                connection.execute(text.encode(), list(values.values()))


@pytest.fixture
def journal(database: str) -> Iterator[Journal]:
    with Journal("commerce", database).opened() as made_:
        yield made_


@pytest.mark.slow
def test_two_projectors_at_once_fence_each_other(database: str, journal: Journal) -> None:
    """Neither of them holds the lock that would keep the other away: the position alone decides."""
    over, fenced, taken = threading.Event(), [0, 0], [0, 0]

    def project(number: int) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            while not over.is_set():
                try:
                    taken[number] += runner.step(connection, journal, [MODEL], 7)
                except runner.Fenced:
                    fenced[number] += 1

    threads = [threading.Thread(target=project, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    writer, told = Writer(journal), 0
    while told < 300 or (told < 30_000 and not (min(taken) and sum(fenced))):
        told += 1
        facts = [NewFact(f"metering:{told % 3}", new_id(SEPTEMBER), made(SEPTEMBER, told))]
        writer.write([Intent(facts=facts, fresh=True)])
    writer.stop()
    with psycopg.connect(database, autocommit=True) as connection:
        assert runner.wait_for(connection, "usage", journal.last(connection), 60)
        over.set()
        for thread in threads:
            thread.join()
        counted = connection.execute("SELECT count(*), sum(quantity)::int FROM usage_entries").fetchall()
        dead = connection.execute("SELECT count(*) FROM read_model_dead_letters WHERE name = 'usage'").fetchall()
    assert (counted, dead) == ([(told, sum(range(told + 1)))], [(0,)])
    assert min(taken) > 0
    assert sum(fenced) > 0, "they never met"


def test_a_question_is_on_the_books_by_its_account(node: Node) -> None:
    node.tell(GATE_IN)
    node.get("/v1/track/CSQU3054383")
    node.catch_up()
    [row] = node.get("/v1/usage", by="day").json()["rows"]
    assert (row["account"], row["quantity"], row["tariff"], row["list_minor"]) == ("trader", 1, None, 0)
    assert row["billing_period"] == period.month_of(datetime.now(UTC))
