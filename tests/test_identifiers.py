"""Identifiers: what is reported is kept and at most warned of, what is entered is checked."""

import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Malformed
from domain.identifiers import (
    BadIdentifier,
    EntryId,
    awb,
    cim,
    container,
    entry_id,
    imo,
    kind_of,
    normalise,
    show_awb,
    uscc,
)
from domain.report import KINDS

SAMPLES = Path(__file__).parents[1] / "../shared/data/identifiers.json"


@pytest.fixture(scope="module")
def samples() -> Any:
    if not SAMPLES.exists():
        pytest.skip(f"no identifier samples at {SAMPLES}")
    return json.loads(SAMPLES.read_text())


# --- containers ---


def test_good_container_numbers_of_the_samples_are_not_called_wrong(samples: Any) -> None:
    for number in samples["valid"]:
        kept, warning = container(number)
        assert kept == number
        assert "should end" not in warning


def test_bad_container_numbers_of_the_samples_are_kept_and_warned_of(samples: Any) -> None:
    for number in (*samples["invalid_checksum"], *samples["invalid_length"], *samples["invalid_format"]):
        kept, warning = container(number)
        assert kept == number
        assert number in warning


def test_the_check_digits_of_official_samples_are_judged_rightly(samples: Any) -> None:
    for number, known in samples["in_official_samples"].items():
        kept, warning = container(number)
        assert kept == number
        assert ("should end" in warning) != known["check_digit_ok"], warning


def test_a_wrong_check_digit_is_told_with_the_right_one() -> None:
    assert container("CSQU3054384")[1] == "箱号 CSQU3054384 末位应为 3 / Container number CSQU3054384 should end in 3"


@pytest.mark.parametrize(
    "text", ["CSQU3054383", " csqu 305438 3 ", "CSQU-305438/3", "ＣＳＱＵ３０５４３８３", "CSQU305438-3/"]
)
def test_a_container_number_is_one_however_it_is_written(text: str) -> None:
    assert container(text) == ("CSQU3054383", "")


@pytest.mark.parametrize(
    "number", ["MSKU1234565", "TCLU7000000", "EPTU0000014", "EPTU0000035", "EPTU0000101", "EPTU0000117"]
)
def test_a_right_container_number_brings_no_warning(number: str) -> None:
    assert container(number) == (number, "")


def test_the_check_remainder_ten_is_accepted_and_flagged() -> None:
    number, warning = container("EPTU0000020")
    assert number == "EPTU0000020"
    assert "remainder 10" in warning


# --- air waybills ---


@pytest.mark.parametrize("text", ["112-00000011", "112 00000011", "11200000011", " 112-0000 0011 "])
def test_an_air_waybill_is_one_however_it_is_written(text: str) -> None:
    assert awb(text) == ("11200000011", "")


def test_the_check_digit_of_an_air_waybill_is_its_serial_modulo_seven() -> None:
    assert awb("999-12345675")[1] == ""
    assert awb("784-76543213")[1] == ""
    assert awb("999-12345676") == (
        "99912345676",
        "运单号 999-12345676 末位应为 5 / Air waybill 999-12345676 should end in 5",
    )
    assert "eleven digits" in awb("HAWB77")[1]


@given(st.integers(0, 999), st.integers(0, 9_999_999))
def test_an_air_waybill_reads_back_as_shown(prefix: int, serial: int) -> None:
    number = f"{prefix:03}{serial:07}{serial % 7}"
    assert awb(show_awb(number)) == (number, "")


# --- ships, rail ---


def test_imo_numbers_of_the_samples_are_judged_rightly(samples: Any) -> None:
    assert [imo(number) for number in samples["imo_valid"]] == [(number, "") for number in samples["imo_valid"]]
    assert all(imo(number)[1] for number in samples["imo_invalid"])


def test_an_imo_number_may_carry_its_name() -> None:
    assert imo("IMO9074729") == ("9074729", "")
    assert imo("VESSEL")[1] == "IMO 编号 VESSEL 不是 7 位数字 / IMO number VESSEL is not seven digits"


def test_the_cim_check_digit_is_luhn_over_the_five_digits_before() -> None:
    assert cim("702688")[1] == ""
    assert cim("80-12345-2185-70268-7") == (
        "80123452185702687",
        "CIM 运单 80123452185702687 末位应为 8 / CIM consignment note 80123452185702687 should end in 8",
    )
    assert "does not end in" in cim("12A")[1]


# --- enterprises ---


def test_credit_codes_of_the_samples_are_judged_rightly(samples: Any) -> None:
    for number in samples["cn_uscc_valid"]:
        assert uscc(number)[0] == number
    for number in samples["cn_uscc_invalid"]:
        with pytest.raises(BadIdentifier, match="should be L"):
            uscc(number)


@pytest.mark.parametrize(
    "number",
    [
        "91110000600037341L",
        "91320000MA0000015K",
        "91610100MA0000023K",
        "91320500MA00000313",
        "12320000MB0000043P",
        "91610000MA00000581",
    ],
)
def test_a_credit_code_right_under_both_checks_brings_no_warning(number: str) -> None:
    assert uscc(number.lower()) == (number, "")


def test_a_credit_code_may_begin_with_letters() -> None:
    assert uscc("A1320000MA0000015J") == ("A1320000MA0000015J", "")


def test_a_wrong_organisation_code_inside_a_right_credit_code_is_only_warned_of() -> None:
    assert uscc("AY320000MA0000013J") == (
        "AY320000MA0000013J",
        "组织机构代码 MA0000013 末位应为 5 / Organisation code MA0000013 should end in 5",
    )


@pytest.mark.parametrize("text", ["", "9132000", "9132000OMA0000015K", "91320000MA0000015KK"])
def test_what_is_not_a_credit_code_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadIdentifier) as refusal:
        uscc(text)
    assert isinstance(refusal.value, Malformed)
    assert refusal.value.facts == {"kind": "uscc", "value": text}


# --- declarations ---


def test_a_declaration_number_tells_customs_year_and_direction() -> None:
    assert entry_id("3708 2020 0000136038") == EntryId("370820200000136038", "3708", 2020, "export", "000136038")
    assert entry_id("230120261000000019").direction == "import"
    assert entry_id("220119980000000001").year == 1998


@pytest.mark.parametrize(
    "text", ["", "37082020000013603", "370820202000136038", "370818200000136038", "I20240000012345678"]
)
def test_what_is_not_a_declaration_number_is_refused(text: str) -> None:
    with pytest.raises(BadIdentifier):
        entry_id(text)


# --- any number ---


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("CSQU3054383", "container"),
        ("csqu 305438-3", "container"),
        ("MSKU1234567", "container"),  # its check digit is wrong; it is still most likely a container
        ("112-00000011", "awb"),
        ("99912345676", "awb"),
        ("370820200000136038", "declaration"),
        ("I20240000012345678", "declaration"),
        ("Z12345678901234567", "declaration"),
        ("COSU6123456780", "bl"),
        ("苏A12345", "truck"),
        ("陕A·D12345", "truck"),
        ("粤Z1234港", "truck"),
        ("https://1r.example/logistics-objects/9f1", "object"),
        ("2024010112345", "manifest"),
        ("70268", "rail"),
        ("NB/24-001", "bl"),
    ],
)
def test_a_bare_number_is_first_taken_for_what_it_looks_like(number: str, kind: str) -> None:
    assert kind_of(number)[0] == kind


@given(st.text())
def test_every_text_may_be_something(text: str) -> None:
    kinds = kind_of(text)
    assert kinds
    assert len(set(kinds)) == len(kinds)
    assert set(kinds) <= set(KINDS)


@given(st.text())
def test_no_reported_number_is_ever_refused(text: str) -> None:
    for read in (container, awb, imo, cim):
        read(text)


@given(st.text(alphabet=f"{string.printable}ＣＱ１－\u3000苏·"))
def test_a_number_is_normal_once_normalised(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
