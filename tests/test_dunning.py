"""Dunning: reminded, suspended, going on again; once, with notice, and never a government service."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from api import dunning as desk
from api.books import opened
from api.entitlement import Entitlements
from api.identity import Account
from api.main import kouan
from api.settings import Settings, SettingsError
from domain import dunning, subscription
from domain.dunning import Dunned, DunningLifted, DunningReminded, DunningSuspended, Ladder, Overdue
from domain.errors import Malformed
from domain.fact import Fact
from domain.invoice import InvoiceSent, InvoiceStopped, InvoiceVoided, PaymentReceived, PaymentReversed
from domain.period import ZONE
from projections import receivables
from tests.fixtures_node import Node
from tests.open_register import subscribed
from tests.story import given
from tests.test_close import PAST, billed, inside
from tests.test_report_api import GATE_IN
from tests.test_usage import made

DUE = date(2026, 9, 1)
NEW = Dunned("mover", False)
OWED = Overdue("KS-1", DUE, 100)
LADDER = Ladder()


def day(number: int) -> datetime:
    """So many days after the due day, about noon in Shanghai."""
    return datetime(2026, 9, 1, 4, tzinfo=UTC) + timedelta(days=number)


def reminded(level: int, on: int, name: str = "KS-1") -> DunningReminded:
    at: dict[str, Any] = {"happened_at": day(on), "recorded_at": day(on), "by": "clerk"}
    told: dict[str, Any] = {"statement": name, "level": level, "due_on": DUE, "outstanding_minor": 100}
    return DunningReminded(**at, holder="mover", is_party=False, **told)


def suspended(on: int) -> DunningSuspended:
    at: dict[str, Any] = {"happened_at": day(on), "recorded_at": day(on), "by": "clerk"}
    told: dict[str, Any] = {"statements": ("KS-1",), "outstanding_minor": 100, "subscriptions": ("S-1",)}
    return DunningSuspended(**at, holder="mover", is_party=False, **told)


def lifted(on: int) -> DunningLifted:
    at: dict[str, Any] = {"happened_at": day(on), "recorded_at": day(on), "by": "clerk"}
    return DunningLifted(**at, holder="mover", is_party=False, subscriptions=("S-1",))


FIRST, SECOND = reminded(1, 7), reminded(2, 21)


def told(*history: Any, on: int, owed: Sequence[Overdue] = (OWED,), running: Sequence[str] = ("S-1",)) -> list[Fact]:
    asked: dict[str, Any] = {"overdue": owed, "running": running, "ladder": LADDER, "by": "clerk", "at": day(on)}
    return given(dunning.evolve, NEW, *history).when(dunning.dun, **asked)


# --- the rule ---


@pytest.mark.parametrize(
    ("history", "on", "expected"),
    [
        ([], 6, []),
        ([], 7, [FIRST]),
        ([FIRST], 20, []),
        ([FIRST], 21, [SECOND]),
        ([FIRST, SECOND], 44, []),
        ([FIRST, SECOND], 45, [suspended(45)]),
        ([FIRST, SECOND, suspended(45)], 60, []),
    ],
)
def test_two_reminders_then_a_suspension(history: list[Any], on: int, expected: list[Any]) -> None:
    assert told(*history, on=on) == expected


def test_who_was_not_reminded_in_time_gets_the_whole_notice_first() -> None:
    late = reminded(2, 60)
    assert told(on=60) == [late]
    assert told(late, on=60 + LADDER.notice - 1) == []
    assert told(late, on=60 + LADDER.notice) == [suspended(60 + LADDER.notice)]


def test_days_are_those_of_shanghai() -> None:
    before = datetime(2026, 9, 7, 15, 59, tzinfo=UTC)
    assert [OWED.days(at) for at in (before, before + timedelta(minutes=1))] == [6, 7]


def test_nothing_overdue_any_more_lifts_the_suspension() -> None:
    history = [FIRST, SECOND, suspended(45)]
    assert told(*history, on=50, owed=()) == [lifted(50)]
    assert told(*history, lifted(50), on=50, owed=()) == []


def test_who_has_nothing_to_suspend_is_not_suspended() -> None:
    assert told(FIRST, SECOND, on=45, running=()) == []


def test_each_statement_has_reminders_of_its_own() -> None:
    younger = Overdue("KS-2", DUE + timedelta(days=14), 5)
    [second] = told(FIRST, SECOND, on=22, owed=(younger, OWED))
    assert isinstance(second, DunningReminded)
    assert (second.statement, second.level) == ("KS-2", 1)


@pytest.mark.parametrize(
    "text", ["", "7", "7,7", "21,7", "7,,45", "7,x", "0,7", "-1,5", "７,45", "1,99999", "1,2,3,4,5,6,7,8,9,10"]
)
def test_a_ladder_that_is_none_is_told_so(text: str) -> None:
    with pytest.raises(Malformed):
        Ladder.of(text)
    if text:
        with pytest.raises(SettingsError):
            Settings.read({"KOUAN_DUNNING": text})


def test_the_ladder_is_a_setting() -> None:
    settings = Settings.read({"KOUAN_DUNNING": "10, 30"})
    assert (settings.dunning, Settings.read(settings.environment()).dunning) == (Ladder((10,), 30), Ladder((10,), 30))


# --- on the books ---

PARTY = "91320000MA0000277B"
ITEMS = ("feed.pull", "bulk.query")


def owing(node: Node, due_on: date) -> str:
    """A party that has an invoice to pay by a day, and a subscription; the number of its statement."""
    node.open("debtor", Account("debtor", "logistics", "欠款单位", "Debtor", party=PARTY))
    node.decide("commerce", *subscribed("debtor", PARTY, ITEMS))
    node.decide("commerce", "metering:a", made(inside(PAST), 50, account="debtor", party=PARTY))
    billed(node)
    [(number,)] = node.rows("SELECT statement FROM issued_statements WHERE holder = %s", PARTY)
    at: dict[str, Any] = {"happened_at": datetime.now(UTC), "recorded_at": datetime.now(UTC)}
    sent = InvoiceSent(
        **at, statement=number, provider="bank", invoice="B-1", total_minor=100, currency="CNY", due_on=due_on
    )
    node.decide("commerce", f"invoice:{number}", sent)
    return str(number)


@pytest.fixture
def debtor(node: Node) -> Node:
    """It is due today."""
    owing(node, today())
    return node


def today() -> date:
    return datetime.now(UTC).astimezone(ZONE).date()


def number_of(node: Node) -> str:
    [(number,)] = node.rows("SELECT statement FROM receivables")
    return str(number)


def money(node: Node, kind: type[Any], **more: Any) -> None:
    at: dict[str, Any] = {"happened_at": datetime.now(UTC), "recorded_at": datetime.now(UTC), "provider": "bank"}
    number = number_of(node)
    node.decide("commerce", f"invoice:{number}", kind(**at, statement=number, **more))


def run(node: Node, days: int) -> list[str]:
    """What a run does so many days after the due day."""
    node.catch_up()
    with opened(node.conninfo) as books:
        at = datetime.now(UTC) + timedelta(days=days)
        done = desk.run(books, Entitlements(books.pool, "test"), LADDER, "clerk", at)
    node.catch_up()
    return [f"{each.act}{each.level or ''}" for each in done]


def test_a_debtor_is_reminded_and_suspended_and_goes_on_when_he_has_paid(debtor: Node) -> None:
    assert [run(debtor, days) for days in (0, 6, 7, 7, 21)] == [[], [], ["reminded1"], [], ["reminded2"]]


def suspend(node: Node) -> None:
    for level, days in (("reminded1", 7), ("reminded2", 21)):
        assert run(node, days) == [level]
    assert run(node, 45) == ["suspended"]


def status(node: Node, path: str, who: str = "debtor") -> int:
    return int(node.get(path, who).status_code)


def test_a_suspended_debtor_is_refused_paid_items_and_no_government_service(debtor: Node) -> None:
    debtor.tell(GATE_IN)
    suspend(debtor)
    assert status(debtor, "/v1/feed") == 402
    assert debtor.get("/v1/feed", "debtor").json()["type"] == "/problems/in-arrears"
    assert status(debtor, "/v1/track/CSQU3054383") == 200
    assert status(debtor, "/v1/alerts") == 200
    assert status(debtor, "/v1/statements") == 200
    debtor.catch_up()
    items = debtor.rows("SELECT DISTINCT item_class FROM usage_entries WHERE holder = %s", PARTY)
    assert ("government",) in items


def test_who_has_paid_goes_on_and_who_is_charged_back_is_overdue_again(debtor: Node) -> None:
    suspend(debtor)
    money(debtor, PaymentReceived, payment="P-1", amount_minor=60, currency="CNY")
    assert run(debtor, 46) == []
    money(debtor, PaymentReceived, payment="P-2", amount_minor=40, currency="CNY")
    assert [run(debtor, 46), run(debtor, 46)] == [["lifted"], []]
    assert status(debtor, "/v1/feed") == 200
    money(debtor, PaymentReversed, payment="P-2", amount_minor=40)
    assert run(debtor, 46) == ["suspended"]
    assert status(debtor, "/v1/feed") == 402


def test_who_is_let_go_on_by_hand_is_not_overruled(debtor: Node) -> None:
    suspend(debtor)
    [(name,)] = debtor.rows("SELECT DISTINCT originator_id FROM commerce_events WHERE topic = 'subscription.suspended'")
    headers = debtor.bearer("finance")
    path = f"/v1/subscriptions/{name.partition(':')[2]}/resume"
    assert debtor.client.post(path, json={"reason": "分期付款"}, headers=headers).status_code == 202
    assert run(debtor, 50) == []
    assert status(debtor, "/v1/feed") == 200


def test_what_a_run_left_half_done_the_next_one_finishes(debtor: Node) -> None:
    """The decision is in the journal, and whoever took it was killed before he stopped anything."""
    now = datetime.now(UTC)
    at: dict[str, Any] = {"happened_at": now, "recorded_at": now, "by": "clerk", "holder": PARTY, "is_party": True}
    left = DunningSuspended(**at, statements=(number_of(debtor),), outstanding_minor=100, subscriptions=(f"S-{PARTY}",))
    debtor.decide("commerce", dunning.stream(PARTY, is_party=True), left)
    assert status(debtor, "/v1/feed") == 200
    run(debtor, 46)
    assert status(debtor, "/v1/feed") == 402
    money(debtor, PaymentReceived, payment="P-1", amount_minor=100, currency="CNY")
    assert run(debtor, 46) == ["lifted"]
    assert status(debtor, "/v1/feed") == 200


@pytest.mark.parametrize("kind", [InvoiceVoided, InvoiceStopped])
def test_what_is_void_or_must_be_looked_at_is_not_dunned(debtor: Node, kind: type[Any]) -> None:
    told_: dict[str, Any] = {"invoice": "B-1"} if kind is InvoiceVoided else {"step": "send", "reason": "differs"}
    money(debtor, kind, **told_)
    assert run(debtor, 60) == []


def test_finance_sees_all_that_is_overdue_and_a_debtor_his_own(debtor: Node) -> None:
    late = datetime.now(UTC) + timedelta(days=8)
    run(debtor, 7)
    with opened(debtor.conninfo) as books, books.pool.connection() as connection:
        [found] = desk.standing(receivables.open(connection, late), desk.read(connection), LADDER, late)
    assert (found.level, found.days, found.next_act, found.next_on) == (
        1, 8, "reminder", today() + timedelta(days=21),
    )  # fmt: skip
    assert [debtor.get("/v1/dunning", who).json() for who in ("finance", "debtor", "enterprise")] == [[], [], []]


def test_only_the_nodes_own_finance_runs_it(debtor: Node) -> None:
    assert debtor.client.post("/v1/dunning/run", headers=debtor.bearer("debtor")).status_code == 403
    debtor.catch_up()
    answer = debtor.client.post("/v1/dunning/run", headers=debtor.bearer("finance"))
    assert (answer.status_code, answer.json()) == (202, {"acts": []})


def test_it_runs_in_a_terminal(debtor: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOUAN_DATABASE_URL", debtor.conninfo)
    said = [CliRunner().invoke(kouan, ["dunning", word]).output for word in ("run", "list")]
    assert ["nothing is due" in said[0], "nothing is overdue" in said[1]] == [True, True]


def test_a_run_waits_for_payments_to_be_counted(debtor: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "WAIT_SECONDS_MAX", 0.01)
    debtor.get("/v1/track/CSQU3054383", "debtor")  # a delivery that no read model has counted yet
    answer = debtor.client.post("/v1/dunning/run", headers=debtor.bearer("finance"))
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/busy")


def test_subscriptions_of_an_account_and_of_a_party_of_the_same_name_are_told_apart() -> None:
    assert subscription.holder("x", "") != subscription.holder("", "x")
    assert dunning.stream("x", is_party=True) != dunning.stream("x", is_party=False)
