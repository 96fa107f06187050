"""Positions as a text: what is packed is unpacked, however it lies, and nothing else is taken for a packed list."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import positions

PLACES = st.lists(st.integers(min_value=1, max_value=2**62), max_size=200)
CLOSE = st.lists(st.integers(min_value=1, max_value=400), max_size=200)


@given(PLACES | CLOSE)
def test_what_is_packed_comes_back_in_order_and_once(places: list[int]) -> None:
    assert positions.unpack(positions.pack(places)) == sorted(set(places))


@given(PLACES | CLOSE)
def test_a_set_has_one_text_whatever_order_it_was_found_in(places: list[int]) -> None:
    assert positions.pack(places) == positions.pack(reversed([*places, *places]))


def test_a_page_without_gaps_takes_a_few_bytes_and_any_page_about_one_a_position() -> None:
    assert len(positions.pack(range(1_000_001, 1_010_001))) < 12
    assert len(positions.pack(range(1, 20_001, 2))) < 14_000


@given(st.binary(max_size=40))
def test_any_other_bytes_are_refused_or_read_as_positions_that_grow(data: bytes) -> None:
    try:
        found = positions.unpack(b64encode(data).decode())
    except ValueError:
        return
    assert found == sorted(set(found))
    assert all(place > 0 for place in found)


@pytest.mark.parametrize("text", ["AA", "Aw", "gA", "!", "AgD", b64encode(b"\x02\xff\xff\xff\xff\x0f").decode(), "é"])
def test_what_is_no_packed_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  of base64 or of our own
        positions.unpack(text)


def test_no_delivery_names_more_than_the_largest_page() -> None:
    with pytest.raises(AssertionError):
        positions.pack(range(1, positions.MOST + 2))
