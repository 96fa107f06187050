"""Fapiao: asked for to the fen, recorded as issued, red ones linked; never issued here, never on what is free."""

import csv
import io
import zipfile
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.identity import Account
from billing import fapiao as rows_of
from billing.fapiao_books import buyer_of
from billing.rating import tax_split
from domain import fapiao, statement
from domain.fapiao import Fapiao, FapiaoRecorded, FapiaoReddened, FapiaoRequested, ItemClassified, NoFapiao, Title
from domain.invoice import CreditNoteIssued, stream
from domain.period import ZONE
from domain.statement import Holder, Line, Seller, Statement
from tests.bank_world import FIRST, SECOND, asked, billed
from tests.fixtures_node import Node

NOW = datetime(2026, 11, 2, tzinfo=UTC)
NUMBER, RED, CONFIRMATION = "26322000000000000001", "26322000000000000002", "32000026110000000001"
BUYER = {"name": "外贸企业", "tax_id": "91320000MA0000277B"}
CODE = {"tax_code": "3040203000000000000", "short": "信息技术服务"}


def post(node: Node, path: str, body: Any, who: str = "finance", method: str = "POST") -> Any:
    answer = node.client.request(method, f"/v1/fapiao/{path}", json=body, headers=node.bearer(who))
    node.catch_up()
    return answer


def issued(total: int = 106, **more: Any) -> dict[str, Any]:
    net, tax = tax_split(total, 600)
    told = {"number": NUMBER, "kind": "ordinary", "issued_on": "2026-11-01"}
    return told | {"net_minor": net, "tax_minor": tax, "total_minor": total} | more


def red(total: int = -6, **more: Any) -> dict[str, Any]:
    told = issued(-total, number=RED)
    amounts = {name: -told[name] for name in ("net_minor", "tax_minor", "total_minor")}
    return told | amounts | {"original": NUMBER, "confirmation": CONFIRMATION, "reason": "折让"} | more


# --- the whole way ---


def test_from_the_request_to_the_number_and_the_red_one_that_takes_back_a_part(node: Node) -> None:
    billed(node)
    asked(node, FIRST)
    state = node.get(f"/v1/fapiao/{FIRST}", "logistics").json()
    assert (state["state"], state["payable_minor"], state["blue"]) == ("missing", 106, [])
    assert post(node, f"{FIRST}/request", {"buyer": BUYER}, "logistics").status_code == 202
    assert post(node, f"{FIRST}/request", {"buyer": BUYER}, "logistics").json()["new"] is False
    [request] = node.get(f"/v1/fapiao/{FIRST}/rows", "finance").json()
    assert (request["serial"], request["total_minor"], request["unclassified"]) == (f"FP-{FIRST}-1", 106, ["feed.pull"])
    assert post(node, f"{FIRST}/record", issued()).status_code == 202
    assert post(node, f"{FIRST}/record", issued()).json()["new"] is False
    node.decide(
        "commerce",
        stream(FIRST),
        CreditNoteIssued(
            happened_at=NOW,
            recorded_at=NOW,
            statement=FIRST,
            provider="bank",
            credit_note="CN1",
            amount_minor=6,
            reason="x",
        ),
    )
    state = node.get(f"/v1/fapiao/{FIRST}", "finance").json()
    assert (state["state"], state["difference_minor"]) == ("different", 6)
    assert post(node, f"{FIRST}/redden", red(credit_note="CN9")).status_code == 409
    assert post(node, f"{FIRST}/redden", red(-7, credit_note="CN1")).status_code == 409
    assert post(node, f"{FIRST}/redden", red(credit_note="CN1")).status_code == 202
    assert post(node, f"{FIRST}/redden", red(-1, number=f"{int(RED) + 1}", credit_note="CN1")).status_code == 409
    state = node.get(f"/v1/fapiao/{FIRST}", "finance").json()
    assert (state["state"], state["issued_minor"], state["difference_minor"]) == ("issued", 100, 0)
    assert [(each["number"], each["original"], each["credit_note"]) for each in state["red"]] == [(RED, NUMBER, "CN1")]
    [first] = state["blue"]
    assert (first["issued_on"], first["by"]) == ("2026-11-01", state["red"][0]["by"])
    kept = node.rows("SELECT number, total_minor, red_of, confirmation FROM fapiao_issued ORDER BY number")
    assert kept == [(NUMBER, 106, None, ""), (RED, -6, NUMBER, CONFIRMATION)]


def test_amounts_that_differ_are_recorded_and_shown_never_forced(node: Node) -> None:
    billed(node)
    assert post(node, f"{FIRST}/record", issued(105)).status_code == 202
    [different] = node.get("/v1/fapiao", "finance", month="2026-09", state="different").json()
    assert (different["statement"], different["difference_minor"]) == (FIRST, -1)
    [missing] = node.get("/v1/fapiao", "finance", month="2026-09", state="missing").json()
    assert missing["statement"] == SECOND


def test_a_number_stands_for_one_statement_only(node: Node) -> None:
    billed(node)
    assert post(node, f"{FIRST}/record", issued()).status_code == 202
    answer = post(node, f"{SECOND}/record", issued(8))
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/fapiao-refused")
    assert answer.json()["facts"]["statement"] == FIRST


@pytest.mark.parametrize(
    "told",
    [
        {"number": "123"},
        {"number": "2632200000000000000１"},
        {"net_minor": 1},
        {"total_minor": 0, "net_minor": 0, "tax_minor": 0},
        {"total_minor": -106, "net_minor": -100, "tax_minor": -6},
    ],
)
def test_what_is_no_fapiao_is_not_recorded(node: Node, told: dict[str, Any]) -> None:
    billed(node)
    assert post(node, f"{FIRST}/record", issued(**told)).status_code == 409
    assert node.rows("SELECT count(*) FROM fapiao_issued") == [(0,)]


def test_an_account_without_a_party_says_its_title_and_a_party_is_taken_from_the_register(node: Node) -> None:
    billed(node)
    assert post(node, f"{FIRST}/request", {}).status_code == 409
    assert post(node, f"{FIRST}/request", {"kind": "special", "buyer": {"name": "x"}}).status_code == 409
    assert buyer_of(_paper(1)) == Title(name="货主", tax_id="91320000MA0000301X")


def test_nobody_learns_of_another_ones_fapiao(node: Node) -> None:
    billed(node)
    node.open("other", Account("other", "enterprise", "别人", "Other"))
    hidden, nothing = (node.get(f"/v1/fapiao/{number}", "other") for number in (FIRST, "KS-202609-000009"))
    assert (hidden.status_code, nothing.status_code) == (404, 404)
    assert hidden.content.replace(b"000001", b"000009") == nothing.content
    assert post(node, f"{FIRST}/request", {"buyer": BUYER}, "other").status_code == 404
    assert post(node, f"{FIRST}/record", issued(), "logistics").status_code == 403


def test_rows_go_to_the_tax_platform_as_they_are(node: Node) -> None:
    billed(node)
    assert post(node, "items/feed.pull", CODE, method="PUT").status_code == 202
    assert post(node, "items/feed.pull", CODE, method="PUT").json()["new"] is False
    assert post(node, "items/feed.pull", CODE | {"tax_code": "304"}, method="PUT").status_code == 409
    assert [each["short"] for each in node.get("/v1/fapiao/items", "finance").json()] == ["信息技术服务"]
    for number in (FIRST, SECOND):
        assert post(node, f"{number}/request", {"buyer": BUYER}).status_code == 202
    answer = node.get("/v1/fapiao/export", "finance", month="2026-09", format="csv")
    titles, *lines = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    found = [dict(zip((title.split()[-1] for title in titles), line, strict=True)) for line in lines]
    assert [(each["FPQQLSH"], each["JSHJ"], each["SPBM"]) for each in found] == [
        (f"FP-{FIRST}-1", "1.06", CODE["tax_code"]),
        (f"FP-{SECOND}-1", "0.08", CODE["tax_code"]),
    ]
    assert found[0]["XMMC"].startswith("*信息技术服务*")
    book = node.get("/v1/fapiao/export", "finance", month="2026-09", format="xlsx")
    with zipfile.ZipFile(io.BytesIO(book.content)) as packed:
        sheet = packed.read("xl/worksheets/sheet1.xml").decode()
    assert CODE["tax_code"] in sheet
    assert "<f>" not in sheet
    assert post(node, f"{FIRST}/record", issued()).status_code == 202
    left = node.get("/v1/fapiao/export", "finance", month="2026-09", format="json").json()
    assert [each["statement"] for each in left] == [SECOND]


# --- rows, pure ---

RATES = st.sampled_from([0, 100, 300, 600, 900, 1300])


def _line(no: int, amount: int, rate_bp: int = 600, item: str = "feed.pull", **more: Any) -> Line:
    net, tax = tax_split(amount, rate_bp) if amount >= 0 else tuple(-each for each in tax_split(-amount, rate_bp))
    about: dict[str, Any] = {"item": item, "item_class": "commercial", "zh": "数据", "en": "data", "unit_zh": "条"}
    about |= {"unit_en": "row", "used_by": "x", "used_by_party": True, "whole_minor": amount, "amount_minor": amount}
    about |= {"net_minor": net, "tax_minor": tax, "tax_rate_bp": rate_bp}
    return Line(no=no, **about | more)


def _document(lines: list[Line], brought: int = 0) -> Statement:
    sums: Any = statement.totals(lines)
    left = sums["total_minor"] + brought
    return Statement(
        number=FIRST,
        period="2026-09",
        starts_at=NOW,
        ends_at=NOW,
        seller=Seller(zh="口岸公司", drawer="张"),
        holder=Holder(code="91320000MA0000301X", is_party=True, zh="货主", en="Owner"),
        cut_off=1,
        tariffs=(),
        lines=tuple(lines),
        **sums,
        brought_forward_minor=brought,
        payable_minor=max(0, left),
        carried_forward_minor=min(0, left),
    )


def _paper(amount: int) -> Statement:
    return _document([_line(1, amount, quantity=1)])


def prepared(document: Statement, credited_minor: int = 0, **classes: ItemClassified) -> rows_of.Request:
    told: dict[str, Any] = {"serial": "FP-1", "kind": "ordinary", "buyer": Title(name="货主"), "classes": classes}
    return rows_of.prepare(document, "00", **told, credited_minor=credited_minor)


def test_a_row_is_split_into_net_and_tax_and_shows_the_price_without_tax() -> None:
    free = _line(2, 0, item="track.query", item_class="government", quantity=9)
    request = prepared(_document([_line(1, 106, quantity=60, free_quantity=7, whole_minor=106), free]))
    [row] = request.rows
    assert (row.quantity, row.unit_price, row.net_minor, row.tax_minor, row.unit) == ("53", "0.01886792", 100, 6, "条")
    assert (request.total_words, request.drawer, request.unclassified) == ("壹元零陆分", "张", ("feed.pull",))


def test_a_credit_stands_as_a_discount_behind_what_it_takes_from() -> None:
    credit = _line(3, -30, item="feed.pull", kind="adjustment")
    other = _line(2, 212, item="alerts.push")
    request = prepared(_document([_line(1, 106), other, credit], brought=-106))
    assert [(row.line, row.row_kind, row.gross_minor) for row in request.rows] == [
        (1, 2, 106),
        (1, 1, -106),
        (2, 2, 212),
        (2, 1, -30),
    ]
    assert request.total_minor == 182


def test_what_has_nothing_to_be_paid_needs_no_fapiao() -> None:
    with pytest.raises(NoFapiao):
        prepared(_document([_line(1, 5)], brought=-5))
    with pytest.raises(NoFapiao):
        prepared(_document([_line(1, 5)]), credited_minor=5)


@given(
    amounts=st.lists(st.tuples(st.integers(-500, 1_000), RATES, st.sampled_from(["a", "b"])), min_size=1, max_size=8),
    brought=st.integers(-300, 0),
    credited=st.integers(0, 200),
)
def test_rows_always_come_to_what_is_payable_and_no_row_takes_more_than_there_is(
    amounts: list[tuple[int, int, str]], brought: int, credited: int
) -> None:
    document = _document([_line(no, minor, rate, item) for no, (minor, rate, item) in enumerate(amounts, 1)], brought)
    if document.payable_minor <= credited:
        return
    request = prepared(document, credited)
    assert request.net_minor + request.tax_minor == request.total_minor == document.payable_minor - credited
    for no in {row.line for row in request.rows}:
        own = [row for row in request.rows if row.line == no]
        assert sum(row.gross_minor for row in own) >= 0
        assert [row.row_kind for row in own] in ([0], [2, 1])
        assert len({row.tax_rate_bp for row in own}) == 1


# --- decisions ---

AT: dict[str, Any] = {"happened_at": NOW, "recorded_at": NOW, "statement": FIRST, "by": "clerk"}
DAY: dict[str, Any] = {"kind": "ordinary", "issued_on": date(2026, 11, 1)}


def blue(number: str, total: int) -> FapiaoRecorded:
    return FapiaoRecorded(**AT, **DAY, number=number, net_minor=total, tax_minor=0, total_minor=total)


def taking(number: str, original: str, total: int) -> FapiaoReddened:
    amounts: dict[str, Any] = {"net_minor": -total, "tax_minor": 0, "total_minor": -total}
    more: dict[str, Any] = {"original": original, "confirmation": CONFIRMATION, "reason": "x"}
    return FapiaoReddened(**AT, **DAY, number=number, **amounts, **more)


def wanted(serial: str) -> FapiaoRequested:
    return FapiaoRequested(
        **AT, serial=serial, kind="ordinary", buyer=Title(name="x"), net_minor=100, tax_minor=6, total_minor=106
    )


def told(*facts: Any) -> Fapiao:
    state = Fapiao(FIRST)
    for each in facts:
        state = fapiao.evolve(state, each)
    return state


def test_after_all_was_taken_back_it_can_be_asked_for_again_under_a_new_serial() -> None:
    first = wanted("FP-1")
    state = told(first)
    [recorded] = fapiao.record(state, blue(NUMBER, 106))
    assert isinstance(recorded, FapiaoRecorded)
    assert recorded.serial == "FP-1"
    state = told(first, recorded)
    with pytest.raises(NoFapiao):
        fapiao.request(state, wanted("FP-2"))
    state = told(first, recorded, taking(RED, NUMBER, 106))
    assert (state.total_minor, state.waiting) == (0, None)
    assert fapiao.request(state, wanted(fapiao.serial(state)))


@pytest.mark.parametrize(
    "wrong", [taking(RED, NUMBER, 107), taking(RED, RED, 1), taking(NUMBER, NUMBER, 1), taking(RED, NUMBER, -1)]
)
def test_a_red_one_takes_no_more_than_there_is_and_only_from_one_that_is_known(wrong: FapiaoReddened) -> None:
    with pytest.raises(NoFapiao):
        fapiao.redden(told(blue(NUMBER, 106)), wrong)


def test_on_a_credit_note_no_more_is_taken_back_than_it_comes_to() -> None:
    def on_note(number: str, total: int, note: str = "CN1") -> FapiaoReddened:
        return msgspec.structs.replace(taking(number, NUMBER, total), credit_note=note)

    state = told(blue(NUMBER, 106), on_note(RED, 4))
    third = f"{int(RED) + 1}"
    with pytest.raises(NoFapiao, match="of credit note CN1"):
        fapiao.redden(state, on_note(third, 3), credited_minor=6)
    assert fapiao.redden(state, on_note(third, 2), credited_minor=6)
    assert fapiao.redden(state, on_note(third, 6, "CN2"), credited_minor=6)  # another one
    assert fapiao.redden(state, on_note(third, 102, ""))  # for another reason
    assert fapiao.redden(state, on_note(RED, 4), credited_minor=4) == ()


def test_the_same_red_one_again_adds_nothing() -> None:
    state = told(blue(NUMBER, 106), taking(RED, NUMBER, 6))
    assert fapiao.redden(state, taking(RED, NUMBER, 6)) == ()
    assert state.total_minor == 100


@pytest.mark.parametrize(
    ("net", "tax", "day"), [(200, -94, date(2026, 11, 1)), (-1, 107, date(2026, 11, 1)), (100, 6, date(2099, 1, 1))]
)
def test_amounts_of_the_wrong_sign_and_days_to_come_are_not_recorded(net: int, tax: int, day: date) -> None:
    about: dict[str, Any] = {**AT, "kind": "ordinary", "issued_on": day, "number": RED}
    said = FapiaoRecorded(**about, net_minor=net, tax_minor=tax, total_minor=106)
    with pytest.raises(NoFapiao):
        fapiao.record(told(), said)
    back: dict[str, Any] = {"original": NUMBER, "confirmation": CONFIRMATION, "reason": "x"}
    taken = FapiaoReddened(**about, **back, net_minor=-net, tax_minor=-tax, total_minor=-106)
    with pytest.raises(NoFapiao):
        fapiao.redden(told(blue(NUMBER, 106)), taken)


def test_a_clock_that_is_a_day_ahead_of_ours_is_believed() -> None:
    tomorrow = (NOW.astimezone(ZONE) + timedelta(days=1)).date()
    about: dict[str, Any] = {**AT, "kind": "ordinary", "issued_on": tomorrow, "number": NUMBER}
    assert fapiao.record(told(), FapiaoRecorded(**about, net_minor=100, tax_minor=6, total_minor=106))
