"""Cutting a JSON body into its messages, sound or broken."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.formats.jsonslices import slices

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def parts(body: bytes, *members: str) -> list[bytes]:
    return [body[start:end] for start, end in slices(body, *members)]


@given(st.lists(_VALUES, max_size=5), st.sampled_from([None, 1]), st.booleans())
def test_the_slices_of_a_sound_array_are_its_elements(
    values: list[object], indent: int | None, ascii_only: bool
) -> None:
    body = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    assert [json.loads(part) for part in parts(body)] == values
    enveloped = b'{"x": {"events": [7]}, "events" : ' + body + b', "n": "]"}'
    assert [json.loads(part) for part in parts(enveloped, "events", "@graph")] == values


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", [b""]),
        (b"[]", []),
        (b"[", [b""]),
        (b'\xef\xbb\xbf {"a": 1} ', [b'{"a": 1}']),
        (b'[{"a":1}', [b'{"a":1}', b""]),
        (b'[{"a":1},', [b'{"a":1}', b""]),
        (b'[{"a":1},]', [b'{"a":1}', b""]),
        (b'[{"a":1},{"b"', [b'{"a":1}', b'{"b"']),
        (b'[{"a":1]}, {"b":2}]', [b'{"a":1]}', b'{"b":2}']),
        (b'[{"a":1}}, {"b":2}]', [b'{"a":1}}', b'{"b":2}']),
        (b'[{"a":[1}, {"b":2}]', [b'{"a":[1}', b'{"b":2}']),
        (b'[{"a":"x\n"}, {"b":2}]', [b'{"a":"x\n"}', b'{"b":2}']),
        (b'[{"a":1}] rest', [b'{"a":1}', b"rest"]),
    ],
)
def test_a_broken_array_saves_what_its_brackets_still_tell_apart(body: bytes, expected: list[bytes]) -> None:
    assert parts(body) == expected


def test_what_is_wrong_with_an_envelope_is_a_slice_of_its_own() -> None:
    assert parts(b'{"events":[1,2] oops}', "events") == [b"1", b"2", b"oops}"]
    assert parts(b'{"events":[1,2', "events") == [b"1", b"2", b""]
    assert parts(b'{"events":[1,2],"sent":"now"}', "events") == [b"1", b"2"]
    assert parts(b'{"events":1}', "events") == [b'{"events":1}']


def test_a_member_may_lie_deeper() -> None:
    assert parts(b'{"events":[0],"body":{"x":{"events":[9]},"events":[1,2]},"n":3}', "body.events") == [b"1", b"2"]
    assert parts(b'{"body":{"events":[1,2', "body.events") == [b"1", b"2", b""]
    assert parts(b'{"body":{"a":1},"events":[1]}', "body.events") == [b'{"body":{"a":1},"events":[1]}']
    assert parts(b'{"body":{"events":[1]} oops}', "body.events") == [b"1", b"} oops}"]
