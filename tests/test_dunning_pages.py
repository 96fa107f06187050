"""Dunning as a page: what is overdue is seen and run by finance, looked at by others, and by a debtor his own alone."""

from datetime import timedelta
from typing import Any

import pytest

from api import dunning as desk
from api.identity import Account
from domain.invoice import PaymentReceived
from tests import sample_dunning
from tests.fixtures_node import Node
from tests.test_dunning import money, owing, run, today

PATH = "/dunning"


def late(node: Node, days: int) -> str:
    return owing(node, today() - timedelta(days=days))


def shown(node: Node, who: str = "finance", lang: str = "zh", **asked: str) -> str:
    node.catch_up()
    answer = node.get(PATH, who, lang=lang, **asked)
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def press(node: Node, who: str = "finance", **headers: str) -> Any:
    node.catch_up()
    return node.client.post(PATH, data={}, headers=node.bearer(who) | headers, follow_redirects=False)


def test_whoever_is_not_signed_in_is_asked_to(node: Node) -> None:
    assert node.get(PATH, "").status_code == 401


def test_nothing_overdue_says_where_to_look(node: Node) -> None:
    assert "没有逾期账单" in shown(node)
    assert "/bank" in shown(node)
    assert "Nothing is overdue." in shown(node, "logistics", "en")


def test_finance_sees_what_is_due_runs_it_once_and_sees_what_was_told(node: Node) -> None:
    number = late(node, 8)
    text = shown(node)
    for part in (f'href="/statements/{number}"', "逾期 8 天", "¥1.00", "第 1 次提醒", "现在有 1 项到期"):
        assert part in text, part
    assert press(node).headers["location"] == f"{PATH}?ran=1"
    text = shown(node, ran="1")
    for part in ("已办理 1 项", "1 / 2 次", "第 2 次提醒", "最近办理", "clerk", "现在没有到期的催收"):
        assert part in text, part
    assert press(node).headers["location"] == f"{PATH}?ran=0"
    assert node.rows("SELECT count(*) FROM commerce_events WHERE topic = 'dunning.reminded'") == [(1,)]


def test_who_stands_still_is_named_with_what_and_goes_on_when_all_is_paid(node: Node) -> None:
    number = late(node, 1)
    for days in (7, 21, 45):
        run(node, days)
    assert "下次办理即恢复" not in shown(node)
    for part in ("因欠费暂停", "feed.pull", "bulk.query", "已暂停", "暂停收费订阅"):
        assert part in shown(node), part
    assert "paid subscriptions stand still" in shown(node, "debtor", "en").lower()
    money(node, PaymentReceived, payment="P-1", amount_minor=100, currency="CNY")
    assert "下次办理即恢复" in shown(node)
    assert press(node).headers["location"] == f"{PATH}?ran=1"
    text = shown(node)
    assert "恢复订阅" in text
    assert "因欠费暂停" not in text
    assert number in text


def test_a_debtor_sees_his_own_without_a_button_and_nobody_elses(node: Node) -> None:
    number = late(node, 8)
    press(node)
    own, other = shown(node, "debtor"), shown(node, "enterprise")
    assert number in own
    assert "第 1 次提醒" in own
    assert ["clerk" in own, "现在办理" in own, number in other] == [False, False, False]
    assert "books" not in own


def test_operators_and_auditors_look_and_do_not_act(node: Node) -> None:
    number = late(node, 8)
    node.open("auditor", Account("auditor", "auditor", "审计", "Auditor"))
    for who in ("operator", "auditor"):
        text = shown(node, who)
        assert [number in text, "现在办理" in text] == [True, False]
    assert [press(node, who).status_code for who in ("operator", "auditor", "debtor", "")] == [403, 403, 403, 401]
    assert node.rows("SELECT count(*) FROM commerce_events WHERE topic LIKE 'dunning%%'") == [(0,)]


def test_a_form_of_another_site_runs_nothing(node: Node) -> None:
    late(node, 8)
    assert press(node, **{"sec-fetch-site": "cross-site"}).status_code == 403
    assert node.rows("SELECT count(*) FROM commerce_events WHERE topic LIKE 'dunning%%'") == [(0,)]


def test_who_comes_before_payments_are_counted_is_told_so_on_the_page(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    late(node, 8)
    monkeypatch.setattr(desk, "WAIT_SECONDS_MAX", 0.01)
    node.get("/v1/track/CSQU3054383", "debtor")  # a delivery that no read model has counted yet
    answer = node.client.post(PATH, data={}, headers=node.bearer("finance"))
    assert answer.status_code == 409
    assert "收款尚未计完" in answer.text
    assert "现在办理" in answer.text


@pytest.mark.parametrize("asked", [{"after": "x"}, {"ran": "<b>"}, {"ran": "9" * 99}])
def test_odd_parameters_are_no_fault(node: Node, asked: dict[str, str]) -> None:
    assert "<b>" not in shown(node, **asked)


def test_many_are_shown_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.portal.dunning.SHOWN", 3)
    first = sample_dunning.shown()
    assert [each.days for each in first["shown"]] == [50, 24, 8]
    assert first["following"] == first["shown"][-1].statement
