"""The public list of fees, the acts that change it, and what items bring in against what they cost."""

import csv
import io
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from api import schema, surplus, tariff_commands
from api.delivery import FEED_PULL, Deliveries
from api.export import BOM
from api.identity import Account
from api.pool import open_pool
from api.settings import Fees, Settings, SettingsError
from billing.metering import UsageLine
from domain.catalogue import Price
from domain.pricing import Cost
from tests.fixtures_node import Node, manned

FORM = ["序号", "收费主体", "项目名称", "收费标准", "计价单位", "服务内容", "收费形式及依据", "备注"]
PARTY = "91320500MA00000313"
CODE = f"{PARTY.lower()}.weather"
WEATHER = {
    "item": CODE,
    "zh": "港区气象",
    "en": "Weather of the port",
    "unit_zh": "次",
    "unit_en": "query",
    "free_alternative": "track.query",
    "provider": "某气象公司 / A weather firm",
}
CHEAP = {"pricing": {"model": "unit", "price_minor": 1}, "basis": "降价 / reduction"}
DEAR = {"pricing": {"model": "unit", "price_minor": 3}, "basis": "涨价 / increase"}


def fee(node: Node, item: str, **params: Any) -> dict[str, Any]:
    answer = node.get("/v1/fees", who="", **params)
    assert answer.status_code == 200, answer.text
    return next(each for each in answer.json()["fees"] if each["item"] == item)


def send(node: Node, path: str, body: Any, who: str = "operator", **headers: str) -> Any:
    answer = node.client.post(path, json=body, headers={**node.bearer(who), **headers})
    node.catch_up()
    return answer


def rows(text: str) -> list[dict[str, str]]:
    assert text.startswith(BOM)
    return list(csv.DictReader(io.StringIO(text.removeprefix(BOM))))


# --- the list ---


def test_the_list_needs_no_login_and_tells_what_is_free_without_a_number(node: Node) -> None:
    answer = node.get("/v1/fees", who="")
    assert answer.status_code == 200
    assert "public" in answer.headers["cache-control"]
    free = fee(node, "track.query")
    assert (free["standard_zh"], free["in_force"], free["announced"]) == ("免费", None, [])
    text = json.dumps(free, ensure_ascii=False)
    assert not any(word in text for word in ("price_minor", "¥", "0.0", "元"))
    paid = fee(node, "bulk.query")
    assert paid["in_force"]["standard_zh"].endswith("每月前 1,000 号免费；各档自免费数量之后起算；每月封顶 5,000 元")
    assert paid["in_force"]["pricing"]["cap_minor"] == 500_000
    assert (paid["free_alternative"], paid["group_zh"], paid["form_zh"][:5]) == ("track.query", "物流类", "经营服务性")
    assert [each["no"] for each in answer.json()["fees"]] == list(range(1, len(answer.json()["fees"]) + 1))


def test_a_wrong_key_does_not_hide_the_list(node: Node) -> None:
    answer = node.client.get("/v1/fees", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 200


@pytest.mark.parametrize(("path", "accept"), [("/v1/fees?format=csv", "*/*"), ("/v1/fees", "text/csv")])
def test_csv_has_the_columns_of_the_national_form_first(node: Node, path: str, accept: str) -> None:
    answer = node.client.get(path, headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("text/csv")
    found = rows(answer.content.decode())
    assert [title.split(" ")[0] for title in found[0]][:8] == FORM
    by_code = {row["项目代码 Code"]: row for row in found}
    assert by_code["track.query"]["收费标准 Price"] == "免费 / free of charge"
    assert by_code["feed.pull"]["收费标准 Price"] == "每条 0.02 元 / 0.02 CNY per fact"
    assert by_code["feed.pull"]["生效日期 In force from"] == "2026-01-01"


def test_json_is_what_a_browser_gets(node: Node) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert node.client.get("/v1/fees", headers={"Accept": accept}).json()["currency"] == "CNY"


@pytest.mark.parametrize("at", ["soon", "2026-13-01", "2026-01-01T00:00:00", "9999-99-99T00:00:00+08:00", "0001-01-01"])
def test_a_day_that_is_none_is_told_so(node: Node, at: str) -> None:
    answer = node.get("/v1/fees", who="", at=at)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/bad-fees")


def test_before_there_was_anything_the_list_is_empty(node: Node) -> None:
    assert node.get("/v1/fees", who="", at="2025-12-31").json()["fees"] == []
    assert fee(node, "feed.pull", at="2026-01-02")["in_force"]["version"] == "feed.pull/sample-2026"
    assert fee(node, "feed.pull", at="2026-01-02T00:00:00+08:00")["in_force"]


def test_the_page_shows_the_list_in_both_languages_and_the_books_to_who_keeps_them(node: Node) -> None:
    page = node.client.get("/fees")
    assert page.status_code == 200
    assert all(part in page.text for part in ("收费目录清单", "每条 0.02 元", "免费", *FORM))
    assert "收入与成本" not in page.text
    english = node.client.get("/fees?lang=en").text
    assert all(part in english for part in ("List of fees", "0.02 CNY per fact", "Charged by"))
    node.client.cookies.clear()
    assert "收入与成本" in node.get("/fees", who="finance").text
    assert node.client.get("/fees?at=never").status_code == 422


# --- prices ---


def test_an_increase_is_announced_and_a_reduction_takes_effect_in_a_minute(node: Node) -> None:
    dear = send(node, "/v1/catalogue/items/feed.pull/tariffs", DEAR)
    assert dear.status_code == 201, dear.text
    cheap = send(node, "/v1/catalogue/items/feed.pull/tariffs", CHEAP)
    assert cheap.status_code == 201, cheap.text
    announced = fee(node, "feed.pull")["announced"]
    assert [each["pricing"]["price_minor"] for each in announced] == [1, 3]
    assert [each["notice_days"] for each in announced] == [0, 30]
    assert fee(node, "feed.pull")["in_force"]["version"] == "feed.pull/sample-2026"
    soon = datetime.now(UTC) + timedelta(minutes=2)
    assert fee(node, "feed.pull", at=soon.isoformat())["in_force"]["pricing"]["price_minor"] == 1
    told = node.rows(
        "SELECT count(*) FROM commerce_events WHERE convert_from(state, 'UTF8') LIKE '%%tariff.published%%'"
    )
    assert told == [(2,)]


def test_an_increase_before_its_time_is_refused_with_the_earliest(node: Node) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    answer = send(node, "/v1/catalogue/items/feed.pull/tariffs", {**DEAR, "effective_from": tomorrow})
    assert answer.status_code == 409
    assert answer.json()["facts"]["notice_days"] == 30
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert send(node, "/v1/catalogue/items/feed.pull/tariffs", {**CHEAP, "effective_from": past}).status_code == 409


def test_a_price_sent_twice_with_one_key_is_published_once(node: Node) -> None:
    for _ in range(2):
        answer = send(node, "/v1/catalogue/items/feed.pull/tariffs", CHEAP, **{"Idempotency-Key": "p-1"})
        assert answer.status_code == 201
    assert len(fee(node, "feed.pull")["announced"]) == 1


@pytest.mark.parametrize(
    ("item", "body", "status"),
    [
        ("feed.pull", {**CHEAP, "pricing": {"price_minor": 1, "includd": 5}}, 422),
        ("feed.pull", {**CHEAP, "pricing": {"model": "graduated", "tiers": [{"price_minor": 1, "upto": 5}]}}, 422),
        ("feed.pull", {**CHEAP, "pricing": {"price_minor": 10**30}}, 409),
        ("feed.pull", {**CHEAP, "pricing": {"price_minor": -1}}, 409),
        ("feed.pull", {**CHEAP, "basis": " "}, 422),
        ("feed.pull", {**CHEAP, "basis": "a\u0000b"}, 422),
        ("feed.pull", {**CHEAP, "effective_from": "2030-01-01T00:00:00"}, 422),
        ("track.query", CHEAP, 409),
        ("no.such", CHEAP, 409),
        ("Nonsense", CHEAP, 422),
    ],
)
def test_what_cannot_be_a_price_is_refused(node: Node, item: str, body: Any, status: int) -> None:
    answer = send(node, f"/v1/catalogue/items/{item}/tariffs", body)
    assert answer.status_code == status, answer.text
    assert node.rows("SELECT count(*) FROM read_model_dead_letters") == [(0,)]


def test_a_price_that_is_taken_back_is_not_sold_any_more(node: Node) -> None:
    body = {"version": "feed.pull/sample-2026", "reason": "停售"}
    assert send(node, "/v1/catalogue/items/feed.pull/tariffs/withdraw", body).status_code == 202
    assert fee(node, "feed.pull")["in_force"] is None
    assert fee(node, "feed.pull")["standard_zh"] == "未定价，不提供"
    answer = node.get("/v1/feed", who="logistics")
    assert answer.status_code in {402, 409}, answer.text
    wrong = send(node, "/v1/catalogue/items/feed.pull/tariffs/withdraw", {**body, "version": "x"})
    assert wrong.status_code == 404


@pytest.mark.parametrize("who", ["logistics", "enterprise", "finance"])
def test_only_the_operator_sets_prices(node: Node, who: str) -> None:
    for path, body in (("tariffs", CHEAP), ("withdraw", {"reason": "x"}), ("accept", {})):
        assert send(node, f"/v1/catalogue/items/feed.pull/{path}", body, who).status_code == 403


# --- items ---


def test_a_third_party_proposes_and_the_operator_lists(node: Node) -> None:
    node.open("firm", Account("firm", "logistics", "气象公司", "Firm", party=PARTY))
    assert send(node, "/v1/catalogue/items", WEATHER, "firm").status_code == 201
    assert CODE not in node.get("/v1/fees", who="").text
    seen = {who: CODE in node.get("/v1/catalogue/items", who=who).text for who in ("operator", "firm", "enterprise")}
    assert seen == {"operator": True, "firm": True, "enterprise": False}
    assert send(node, f"/v1/catalogue/items/{CODE}/tariffs", DEAR).status_code == 409
    assert send(node, f"/v1/catalogue/items/{CODE}/accept", {}).status_code == 202
    listed = fee(node, CODE)
    assert (listed["owner"], listed["payee_zh"], listed["in_force"]) == (PARTY, WEATHER["provider"], None)
    assert send(node, f"/v1/catalogue/items/{CODE}/tariffs", DEAR).status_code == 201
    assert fee(node, CODE)["announced"][0]["notice_days"] == 30
    assert send(node, f"/v1/catalogue/items/{CODE}/withdraw", {"reason": "停办"}).status_code == 202
    assert CODE not in node.get("/v1/fees", who="").text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**WEATHER, "item": "feed.pull"}, 409),
        ({**WEATHER, "item_class": "government"}, 409),
        ({**WEATHER, "provider": ""}, 409),
        ({**WEATHER, "free_alternative": "feed.pull"}, 409),
        ({**WEATHER, "zh": ""}, 422),
        ({**WEATHER, "group": "other"}, 422),
        ({**WEATHER, "price": 1}, 422),
    ],
)
def test_a_third_party_cannot_propose_what_is_not_its_own(node: Node, body: Any, status: int) -> None:
    node.open("firm", Account("firm", "logistics", "气象公司", "Firm", party=PARTY))
    answer = send(node, "/v1/catalogue/items", body, "firm")
    assert answer.status_code == status, answer.text


def test_a_firm_without_a_party_has_nothing_to_propose(node: Node) -> None:
    assert send(node, "/v1/catalogue/items", WEATHER, "logistics").status_code == 409


def test_the_free_item_beside_a_paid_one_stays(node: Node) -> None:
    answer = send(node, "/v1/catalogue/items/track.query/withdraw", {"reason": "x"})
    assert (answer.status_code, "feed.pull" in answer.json()["facts"]["items"]) == (409, True)


def test_a_withdrawn_item_stays_withdrawn_when_the_node_starts_again(node: Node) -> None:
    assert send(node, "/v1/catalogue/items/eta.estimate/withdraw", {"reason": "x"}).status_code == 202
    schema.install(node.conninfo)
    assert "eta.estimate" not in node.get("/v1/fees", who="").text
    assert "eta.estimate" not in node.client.get("/").text


# --- processes learn of a new price ---


def test_a_price_is_charged_from_its_moment_on_by_processes_that_were_there_before(node: Node) -> None:
    with open_pool(node.conninfo) as pool:
        deliveries = Deliveries(None, pool)  # type: ignore[arg-type]  # nothing is written
        now = datetime.now(UTC)
        assert deliveries.price(FEED_PULL, now) == "feed.pull/sample-2026"
        send(node, "/v1/catalogue/items/feed.pull/tariffs", CHEAP)
        deliveries._prices_at -= 60
        assert deliveries.price(FEED_PULL, now) == "feed.pull/sample-2026"
        assert deliveries.price(FEED_PULL, now + timedelta(minutes=2)) != "feed.pull/sample-2026"


# --- revenue and cost ---

AT = datetime(2026, 3, 1, tzinfo=UTC)


def line(item: str, quantity: int, amount: int, tariff: str = "t") -> UsageLine:
    return UsageLine(
        holder="h",
        item=item,
        tariff=tariff,
        currency="CNY",
        billing_period="2026-03",
        explanation="",
        shares=[],
        deliveries=1,
        quantity=quantity,
        amount_minor=amount,
        first_at=AT,
        last_at=AT,
    )


def priced(item: str, tariff: str = "t", cost: int | None = 2, review_by: datetime | None = None) -> Price:
    stated = Cost(cost, "全成本", "full cost", "x") if cost is not None else None
    return Price(item, tariff, 3, "CNY", AT, cost=stated, review_by=review_by)


def test_revenue_is_set_against_the_declared_cost_of_all_units() -> None:
    lines = [line("b", 100, 150), line("a", 10, 30), line("a", 10, 0), line("c", 5, 15), line("c", 5, 15, "old")]
    prices = [priced("a", review_by=AT), priced("b"), priced("c"), priced("c", "old", None)]
    found = surplus.balance(lines, prices, regime="cost_recovery", month="2026-03", now=AT + timedelta(days=1))
    told = [(each.item, each.revenue_minor, each.cost_minor, each.surplus_minor, each.alarm) for each in found.items]
    assert told == [("a", 30, 40, -10, False), ("b", 150, 200, -50, False), ("c", 30, None, None, True)]
    assert [each.review_due for each in found.items] == [True, False, False]
    assert found.alarm
    market = surplus.balance(lines, prices, regime="market", month="2026-03", now=AT)
    assert not market.alarm


def test_a_surplus_in_a_cost_recovery_node_is_reported_and_logged(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "kouan.surplus")
    at = "2026-03-03T12:00:00+08:00"
    node.tell({"id": "1", "code": "GATE_OUT", "happened_at": at, "subject": "container:CSQU3054383"})
    assert node.get("/v1/feed", who="logistics").json()["items"]
    node.catch_up()
    settings = Settings(home=Settings.read({}).home, fees=Fees(regime="cost_recovery"))
    with manned(node.conninfo, settings, raises=True) as strict:
        answer = strict.get("/v1/fees/cost-recovery", headers=node.bearer("finance"))
        page = strict.get("/fees", headers=node.bearer("finance")).text
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["regime"], told["alarm"]) == ("cost_recovery", True)
    assert any(each["item"] == "feed.pull" and each["alarm"] for each in told["items"])
    assert "feed.pull" in caplog.text
    assert "收入超过成本" in page
    assert not node.get("/v1/fees/cost-recovery", who="finance").json()["alarm"]


def test_the_books_are_for_who_keeps_them(node: Node) -> None:
    for who, status in (("finance", 200), ("operator", 200), ("enterprise", 403), ("logistics", 403), ("", 401)):
        assert node.get("/v1/fees/cost-recovery", who=who).status_code == status
    assert node.get("/v1/fees/cost-recovery", who="finance", month="2026-10").json()["month"] == "2026-10"
    assert node.get("/v1/fees/cost-recovery", who="finance", month="October").status_code == 422


# --- in a terminal ---


def test_prices_are_published_listed_and_withdrawn_at_the_node(
    node: Node, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOUAN_DATABASE_URL", node.conninfo)
    file = tmp_path / "price.json"
    file.write_text(json.dumps(CHEAP))
    run = CliRunner().invoke
    published = run(tariff_commands.tariff, ["publish", "feed.pull", str(file)])
    assert (published.exit_code, "catalogue.tariff_published" in published.output) == (0, True)
    node.catch_up()
    version = fee(node, "feed.pull")["announced"][0]["version"]
    assert version in run(tariff_commands.tariff, ["list"]).output
    withdrawn = run(tariff_commands.tariff, ["withdraw", "feed.pull", version, "--reason", "误发"])
    assert "catalogue.tariff_withdrawn" in withdrawn.output
    node.catch_up()
    assert fee(node, "feed.pull")["announced"] == []
    assert run(tariff_commands.tariff, ["surplus", "--month", "2026-01"]).exit_code == 0


@pytest.mark.parametrize(("variable", "value"), [("KOUAN_REGIME", "free"), ("KOUAN_NOTICE_DAYS", "0")])
def test_settings_of_fees_are_checked(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.read({variable: value})
    kept = Settings.read({"KOUAN_REGIME": "cost_recovery", "KOUAN_NOTICE_DAYS": "10"})
    assert Settings.read(kept.environment()).fees == Fees(regime="cost_recovery", notice_days=10)


def test_a_rule_goes_through_the_api_as_it_is(node: Node) -> None:
    rule = {
        "model": "volume",
        "tiers": [{"price_minor": 2, "up_to": 10}, {"price_minor": 1}],
        "cap_minor": 900,
        "split": [{"payer": "caller", "percent": 60}, {"payer": "principal", "percent": 40}],
        "reversal_credit": True,
    }
    cost = {"unit_minor": 1, "method_zh": "全成本", "method_en": "full cost", "document_no": "苏交 2026-1"}
    body = {"pricing": rule, "basis": "新规 / new", "cost": cost, "review_by": "2030-01-01T00:00:00+08:00"}
    assert send(node, "/v1/catalogue/items/feed.pull/tariffs", body).status_code == 201
    [told] = fee(node, "feed.pull")["announced"]
    assert told["pricing"] == rule
    assert told["review_by"].startswith("2029-12-31T16:00:00")
    own = [
        each for each in node.get("/v1/catalogue/items", who="finance").json() if each["item"]["item"] == "feed.pull"
    ]
    assert own[0]["prices"][-1]["cost"]["unit_minor"] == 1
