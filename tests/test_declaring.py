"""What a declaration says is checked whole: every fault at once, each with its field, in both languages."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as anything
from hypothesis import strategies as some

from domain import declaring_rules
from domain.declaring import FIELD_TABLES, BadDeclaration, Content, field_at
from tests.sample_declaration import GOODS, IMPORT, content, export, goods, summary, transit

TODAY = date(2026, 11, 20)


def faults(entered: dict[str, Any]) -> set[tuple[str, str]]:
    try:
        declaring_rules.checked(entered, TODAY)
    except BadDeclaration as bad:
        told = bad.facts["faults"]
        assert isinstance(told, list)
        assert all(each["zh"] and each["en"] for each in told)
        return {(each["field"], each["code"]) for each in told}
    return set()


@pytest.mark.parametrize("entered", [content(), export(), summary(), transit(), content(kind="complete")])
def test_a_sound_declaration_of_each_kind_has_no_faults(entered: dict[str, Any]) -> None:
    assert faults(entered) == set()


def test_every_fault_is_told_at_once() -> None:
    spoilt = content(
        declaring_customs="9X",
        transport_mode="Q",
        terms=None,
        gross_kg="100",
        packages="many",
        trader={"name": "x", "uscc": "91320000MA0000016K"},
        goods=[{**GOODS, "hs_code": "84713", "total": "1"}, {"name": "a" * 300}],
        containers=[{"number": "CSQU3054384", "size": "21", "lines": [1, 7]}],
        documents=[{"code": "Y"}],
        carried_on="2006-01-01",
        colour="blue",
    )
    assert faults(spoilt) >= {
        ("declaring_customs", "code"),
        ("transport_mode", "code"),
        ("terms", "missing"),
        ("net_kg", "total"),
        ("packages", "type"),
        ("trader.uscc", "check"),
        ("goods[0].hs_code", "form"),
        ("goods[0].total", "total"),
        ("goods[1].name", "length"),
        ("goods[1].hs_code", "missing"),
        ("goods[1]", "reference"),
        ("containers[0].number", "check"),
        ("containers[0].lines", "reference"),
        ("documents[0].number", "missing"),
        ("carried_on", "date"),
        ("colour", "unknown"),
    }


def test_a_fault_says_which_field_which_value_and_what_to_do_in_both_languages() -> None:
    with pytest.raises(BadDeclaration) as refused:
        declaring_rules.checked(content(goods=goods(hs_code="847130")), TODAY)
    faults_told: Any = refused.value.facts["faults"]
    [told] = faults_told
    assert told == {
        "field": "goods[0].hs_code",
        "code": "form",
        "zh": "商品编号须为 10 位数字",
        "en": "HS code must be 10 digits",
        "value": "847130",
    }


@pytest.mark.parametrize("name", ["trader", "agent", "goods", "regime", "border_customs", "gross_kg", "departure_port"])
def test_what_an_import_cannot_do_without_is_missed(name: str) -> None:
    assert any(field.startswith(name) and code == "missing" for field, code in faults(content(**{name: None})))


def test_an_export_needs_no_port_of_departure_abroad() -> None:
    assert faults(export()) == set()


def test_a_summary_needs_little_yet_says_what_it_involves() -> None:
    assert faults(summary(involves_duty=None)) == {("involves_duty", "missing")}


def test_a_summary_that_involves_inspection_says_the_whole_hs_code_and_one_that_involves_a_licence_names_it() -> None:
    assert faults(summary(involves_inspection=True)) == {("goods[0].hs_code", "form")}
    assert faults(summary(involves_licence=True)) == {("documents", "missing")}


def test_a_transit_says_its_direction_its_form_and_where_it_goes() -> None:
    missing = faults(transit(direction=None, transit={}))
    assert missing == {
        ("direction", "missing"),
        ("transit.form", "missing"),
        ("transit.destination_customs", "missing"),
        ("transit.mode", "missing"),
        ("transit.vehicle", "missing"),
    }


def test_by_road_there_need_be_no_bill() -> None:
    assert faults(content(transport_mode="4", bill=None, transport_name=None)) == set()
    assert faults(content(transport_mode="5", bill=None)) == {("bill", "missing")}


def test_lines_add_up_to_the_header_where_they_say_it() -> None:
    half = {**GOODS, "net_kg": "90", "packages": 5}
    both = {"containers": [{"number": "CSQU3054383", "lines": [1, 2]}]}
    assert faults(content(goods=[half, {**half, "net_kg": "90.5"}], **both)) == set()
    assert faults(content(goods=[half, half], **both)) == {("net_kg", "total")}
    assert faults(content(goods=[half, {**half, "packages": None}], **both)) == {
        ("net_kg", "total"),
        ("goods[1].packages", "missing"),
    }


def test_each_line_lies_in_a_box_and_no_box_is_given_twice() -> None:
    boxes = [{"number": "CSQU3054383", "lines": [1]}, {"number": "CSQU3054383", "lines": [1]}]
    assert faults(content(goods=[GOODS, GOODS], containers=boxes)) == {
        ("goods[1]", "reference"),
        ("containers[1].number", "repeated"),
    }


def test_a_price_is_rounded_and_its_total_still_right() -> None:
    assert faults(content(goods=goods(quantity="3", price="33.3333", total="100.00"))) == set()
    assert faults(content(goods=goods(quantity="3", price="33.3333", total="101"))) == {("goods[0].total", "total")}


def test_an_open_code_table_warns_where_a_closed_one_refuses() -> None:
    _, warnings = declaring_rules.checked(content(border_customs="4227", regime="2439"), TODAY)
    assert len(warnings) == 2
    assert faults(content(border_customs="9900")) == {("border_customs", "code")}


def test_numbers_and_texts_are_taken_as_they_are_written() -> None:
    taken, _ = declaring_rules.checked(content(gross_kg=200.1, packages="10", bill=" koua0000001 "), TODAY)
    assert (taken.gross_kg, taken.packages, taken.bill) == (Decimal("200.1"), 10, "KOUA0000001")


@pytest.mark.parametrize("value", ["1E+99", "NaN", "-1", "Infinity", "1" * 30, [], {}, True, "九"])
def test_what_is_no_weight_is_refused(value: object) -> None:
    assert "gross_kg" in {field for field, _ in faults(content(gross_kg=value))}


@pytest.mark.parametrize("value", ["a\x00b", "a\nb", "\u202e"])
def test_a_text_that_cannot_be_printed_is_refused(value: str) -> None:
    assert faults(content(note=f"x{value}y")) == {("note", "form")}


def test_every_field_has_its_names_and_every_name_its_field() -> None:
    for struct, table in FIELD_TABLES:
        assert set(struct.__struct_fields__) == set(table)
    assert (field_at("containers[3].number").national, field_at("x").national) == ("ContainerId", "")


WILD = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from([*GOODS, *IMPORT]), inner),
    max_leaves=10,
)


@anything(some.dictionaries(some.sampled_from([*IMPORT, "transit", "freight", "direction"]), WILD))
def test_nothing_that_is_entered_breaks_the_check(wild: dict[str, Any]) -> None:
    found, _ = declaring_rules.read({**IMPORT, **wild})
    assert isinstance(found, Content)
    declaring_rules.check(found, TODAY)
