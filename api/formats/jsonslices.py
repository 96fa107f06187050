"""Where each message lies in a JSON body, so that it can be kept byte for byte and one bad message harms no other.

Offsets are bytes. A sound array is cut by msgspec, a broken one by its brackets, so that as many neighbours as possible
are saved. Source: RFC 8259.
"""

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from domain.report import Fault

Slice = tuple[int, int]
T = TypeVar("T")

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{},]', re.DOTALL)
_GAP = re.compile(rb"[\s,]*")
_ARRAY_NEXT = re.compile(rb"\s*:\s*(?=\[)")
_ENVELOPE_END = re.compile(rb"\s*\}\s*\Z")
_GOES_ON = re.compile(rb"\s*[,\]}]")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_PATH = re.compile(r" - at `(.*)`$")
_BYTE = re.compile(r"\(byte (\d+)\)")
_ARRAY, _ARRAY_END, _OBJECT, _OBJECT_END, _COMMA = b"[]{},"
_OPENERS = {_ARRAY_END: _ARRAY, _OBJECT_END: _OBJECT}

_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_anything = msgspec.json.Decoder(msgspec.Raw).decode


def slices(body: bytes, *members: str) -> list[Slice]:
    """The elements of a top-level array, or of the first of `members` that a top-level object has; else the whole.

    An empty slice stands where a message is missing: an empty body, a comma too many, an array cut off.

    >>> slices(b' [{"a": 1}, 2] '), slices(b'{"events": [5, 6]}', "events"), slices(b"[]"), slices(b"[1, ")
    ([(2, 10), (12, 13)], [(12, 13), (15, 16)], [], [(1, 2), (4, 4)])
    """
    start = len(body) - len(body.removeprefix(b"\xef\xbb\xbf").lstrip())
    if body.startswith(b"[", start):
        return _elements(body, start)
    inside = _member(body, start, members) if members and body.startswith(b"{", start) else None
    if inside is None:
        return [_trimmed(body, start, len(body))]
    found, end = _cut(body, inside, nested=True)
    if end < len(body) and not _ENVELOPE_END.match(body, end) and not sound(body[start:]):
        found.append(_trimmed(body, end, len(body)))
    return found


def load(body: bytes, where: Slice, decode: Callable[[bytes], T], slug: str) -> T | Fault:
    """One message decoded, or why not; a NUL character is refused, for no database text can hold it."""
    raw = body[where[0] : where[1]]
    if b"\\u0000" in raw and (nul := _NUL.search(raw)):
        return Fault(f"{slug}.nul", "报文含空字符 / the message has a NUL character", where[0] + nul.start())
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        return field_fault(slug, error, where[0])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        byte = _BYTE.search(str(error))
        at = where[0] + (int(byte[1]) if byte else 0)
        return Fault(f"{slug}.json", f"不是合法的 JSON / not valid JSON: {error}", at, "$")


def field_fault(slug: str, error: Exception, start: int) -> Fault:
    text = str(error)
    path = _PATH.search(text)
    said = text[: path.start()] if path else text
    return Fault(f"{slug}.field", f"字段有误 / a field is wrong: {said}", start, path[1] if path else "$")


def _elements(body: bytes, start: int) -> list[Slice]:
    try:
        raws = _array(body[start:] if start else body)
    except (msgspec.MsgspecError, RecursionError):
        found, end = _cut(body, start, nested=False)
        rest = _trimmed(body, end, len(body))
        return found if rest[0] == rest[1] else [*found, rest]
    found, at = [], start + 1
    for raw in raws:
        gap = _GAP.match(body, at)
        assert gap is not None
        at = gap.end() + len(memoryview(raw))
        found.append((gap.end(), at))
    return found


def _cut(body: bytes, start: int, *, nested: bool) -> tuple[list[Slice], int]:
    """Elements by brackets, and where the array ends. A bracket that closes nothing is left to its own element."""
    found: list[Slice] = []
    last = len(body.rstrip())
    stack = bytearray()
    open_signs = {_ARRAY: 0, _OBJECT: 0}
    begin = start + 1
    for token in _TOKEN.finditer(body, start):
        sign = body[token.start()]
        opener = _OPENERS.get(sign)
        if sign in open_signs:
            stack.append(sign)
            open_signs[sign] += 1
        elif sign == _COMMA and len(stack) == 1:
            found.append(_trimmed(body, begin, token.start()))
            begin = token.end()
        elif opener is not None and open_signs[opener] > (opener == _ARRAY):
            while (closed := stack.pop()) != opener:
                open_signs[closed] -= 1
            open_signs[opener] -= 1
        elif sign == _ARRAY_END and (nested or not _GOES_ON.match(body, token.end())):
            return _ended(body, found, begin, token.start()), token.end()
    found.append(_trimmed(body, begin, len(body)))
    if len(stack) == 1 and begin < last:
        found.append((len(body), len(body)))  # the last element may be whole, yet the array is not
    return found, len(body)


def _ended(body: bytes, found: list[Slice], begin: int, end: int) -> list[Slice]:
    final = _trimmed(body, begin, end)
    empty = not found and final[0] == final[1]
    return [] if empty else [*found, final]


def _trimmed(body: bytes, begin: int, end: int) -> Slice:
    part = body[begin:end]
    begin += len(part) - len(part.lstrip())
    return begin, begin + len(part.strip())


def _member(body: bytes, start: int, members: tuple[str, ...]) -> int | None:
    """Offset of the array under the first of these names at the top of the object, if there is one."""
    wanted = {f'"{name}"'.encode() for name in members}
    depth = 0
    for token in _TOKEN.finditer(body, start):
        sign = body[token.start()]
        depth += (sign in b"[{") - (sign in b"]}")
        if depth == 1 and token.group() in wanted and (colon := _ARRAY_NEXT.match(body, token.end())):
            return colon.end()
    return None


def sound(body: bytes) -> bool:
    """Whether the whole is one JSON value."""
    try:
        _anything(body)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True
