"""What goes to a provider of a statement: what costs something, in as many lines as it takes, and to the fen."""

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg_pool import ConnectionPool

from api.paying import gateway_of, stripe_of
from api.settings import Paying, Settings, SettingsError
from billing.gateway import LINES_MAX, TEXT_CHARS_MAX, Order
from billing.ordering import FreeBilled, NothingToCollect, customer_of, order_of
from billing.stripe import StripeGateway
from domain.statement import Holder, Line, Seller, Statement, totals

NOW = datetime(2026, 11, 2, tzinfo=UTC)
DUE = date(2026, 12, 2)
HOLDER = Holder(code="91320000MA0000277B", is_party=True, zh="外贸企业", en="Trader")


def line(amount: int, item: str = "feed.pull", **more: Any) -> Line:
    about: dict[str, Any] = {
        "item_class": "commercial",
        "zh": "数据拉取",
        "en": "Feed, pulled",
        "explanation": "60 x 2",
    }
    about |= {"unit_zh": "条", "unit_en": "record", "used_by": HOLDER.code, "used_by_party": True}
    return Line(no=0, item=item, amount_minor=amount, net_minor=amount, **(about | more))


def statement(*lines: Line, brought: int = 0, holder: Holder = HOLDER) -> Statement:
    numbered = tuple(msgspec.structs.replace(each, no=no) for no, each in enumerate(lines, start=1))
    sums: Any = totals(numbered)
    left = sums["total_minor"] + brought
    return Statement(
        number="KS-202610-000007",
        period="2026-10",
        starts_at=NOW,
        ends_at=NOW,
        seller=Seller(),
        holder=holder,
        cut_off=9,
        tariffs=(),
        previous="KS-202609-000003" if brought else "",
        lines=numbered,
        **sums,
        brought_forward_minor=brought,
        payable_minor=max(0, left),
        carried_forward_minor=min(0, left),
    )


def order(found: Statement) -> Order:
    return order_of(found, "0f" * 32, DUE, customer_of(found))


FREE = line(0, "track.query", item_class="government", reason="government", zh="查询", en="Query")


def test_free_lines_stay_here_and_credit_is_a_line_of_its_own() -> None:
    found = order(statement(FREE, line(120), line(0, reason="included"), line(-6, kind="adjustment"), brought=-14))
    assert [(item.line, item.item, item.amount_minor) for item in found.items] == [
        (0, "credit", -14),
        (2, "feed.pull", 120),
        (4, "feed.pull", -6),
    ]
    assert (found.total_minor, found.currency, found.due_on, found.sha256) == (100, "CNY", DUE, "0f" * 32)
    assert [item.description for item in found.items] == [
        "上期结转余额 / credit brought forward KS-202609-000003",
        "数据拉取 / Feed, pulled: 60 x 2",
        "数据拉取 / Feed, pulled: 调整 / adjustment: 60 x 2",
    ]


@pytest.mark.parametrize("found", [statement(FREE), statement(line(5), brought=-5), statement(line(5), brought=-9)])
def test_what_comes_to_nothing_does_not_go_out(found: Statement) -> None:
    with pytest.raises(NothingToCollect):
        order(found)


def test_a_free_line_with_money_stops_everything() -> None:
    forged = msgspec.structs.replace(FREE, amount_minor=1)
    with pytest.raises(FreeBilled) as refused:
        order(statement(line(120), forged))
    assert refused.value.facts["line"] == 2


@pytest.mark.parametrize(("lines", "items"), [(LINES_MAX - 1, LINES_MAX), (LINES_MAX, 4), (3_000, 4)])
def test_more_lines_than_a_provider_takes_are_one_for_each_service(lines: int, items: int) -> None:
    names = ("feed.pull", "feed.push", "bulk.query")
    found = order(statement(*(line(no, names[no % 3]) for no in range(1, lines + 1)), brought=-1))
    assert len(found.items) == items
    assert found.total_minor == sum(range(1, lines + 1)) - 1
    if items == 4:
        firsts = {item.item: item.line for item in found.items}
        assert firsts == {"credit": 0, "bulk.query": 2, "feed.pull": 3, "feed.push": 1}
        assert "明细见账单" in found.items[1].description


def test_a_description_is_cut_where_a_provider_cuts_it() -> None:
    [item] = order(statement(line(5, explanation="很长" * 400))).items
    assert len(item.description) == TEXT_CHARS_MAX
    assert item.description.endswith("…")


LINES = st.lists(
    st.builds(
        line,
        st.integers(-500, 2_000),
        st.sampled_from(["feed.pull", "feed.push", "bulk.query"]),
        kind=st.sampled_from(["usage", "share", "adjustment"]),
        corrects_period=st.sampled_from([None, "2026-09"]),
    )
    | st.just(FREE),
    max_size=40,
)


@given(LINES, st.integers(-3_000, 0), st.integers(1, 8))
def test_an_order_is_the_payable_amount_and_never_has_a_free_line(lines: list[Line], brought: int, times: int) -> None:
    found = statement(*(lines * times), brought=brought)
    if not found.payable_minor:
        with pytest.raises(NothingToCollect):
            order(found)
        return
    asked = order(found)
    assert sum(item.amount_minor for item in asked.items) == asked.total_minor == found.payable_minor
    assert len(asked.items) <= LINES_MAX
    assert len({item.line for item in asked.items}) == len(asked.items)
    assert all(item.amount_minor for item in asked.items)
    classes = {each.no: each.item_class for each in found.lines}
    assert {classes[item.line] for item in asked.items if item.line} <= {"commercial"}


def test_an_account_without_a_party_has_no_tax_number() -> None:
    holder = Holder(code="trader", is_party=False, zh="trader", en="trader")
    assert customer_of(statement(line(5), holder=holder)).tax_id == ""
    assert customer_of(statement(line(5))).tax_id == HOLDER.code


# --- which gateway ---

STRIPE = {"KOUAN_GATEWAY": "Stripe", "KOUAN_STRIPE_KEY": "rk_test_1", "KOUAN_STRIPE_URL": "http://127.0.0.1:1/"}


def test_without_a_word_the_bank_collects_and_with_one_stripe() -> None:
    pool: ConnectionPool[Any] = ConnectionPool("", open=False)
    assert gateway_of(Settings.read({}).paying, pool).provider == "bank"
    chosen = Settings.read(STRIPE).paying
    assert gateway_of(chosen, pool).provider == "stripe"
    assert isinstance(stripe_of(chosen), StripeGateway)
    assert (chosen.stripe_url, chosen.due_days) == ("http://127.0.0.1:1", 30)


def test_a_child_process_is_told_the_same() -> None:
    more = {"KOUAN_STRIPE_WEBHOOK_SECRET": "whsec_1", "KOUAN_STRIPE_EMAIL": "f@port.example", "KOUAN_DUE_DAYS": "45"}
    settings = Settings.read(STRIPE | more)
    assert Settings.read(settings.environment()) == settings
    assert settings.paying == Paying(
        gateway="stripe",
        stripe_key="rk_test_1",
        stripe_webhook_secret="whsec_1",
        stripe_url="http://127.0.0.1:1",
        stripe_email="f@port.example",
        due_days=45,
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KOUAN_GATEWAY", "paypal"),
        ("KOUAN_STRIPE_KEY", ""),
        ("KOUAN_STRIPE_KEY", "hunter2\n"),
        ("KOUAN_STRIPE_WEBHOOK_SECRET", "hunter2\n"),
        ("KOUAN_STRIPE_URL", "ftp://x"),
        ("KOUAN_DUE_DAYS", "0"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_a_secret_not_shown(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable) as refused:
        Settings.read(STRIPE | {variable: value})
    assert "hunter2" not in str(refused.value)
