"""Where each message lies in a JSON body, so that it can be kept byte for byte and one bad message harms no other.

Offsets are bytes. A sound array is cut by msgspec, a broken one by its brackets, so that as many neighbours as possible
are saved. Source: RFC 8259.
"""

import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

from api import limits
from domain.report import Fault

Slice = tuple[int, int]
T = TypeVar("T")

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{},]', re.DOTALL)
_GAP = re.compile(rb"[\s,]*")
_LINE = re.compile(rb"\S(?:[^\r\n]*\S)?")
_NEXT = re.compile(rb"\s*:\s*(?=[\[{])")
_GOES_ON = re.compile(rb"\s*[,\]}]")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_PATH = re.compile(r" - at `(.*)`$")
_BYTE = re.compile(r"\(byte (\d+)\)")
_ARRAY, _ARRAY_END, _OBJECT, _OBJECT_END, _COMMA = b"[]{},"
_OPENERS = {_ARRAY_END: _ARRAY, _OBJECT_END: _OBJECT}

_MESSAGE_BYTES_MIN = 8  # that a message and its comma have on average, or there is something odd about an array

_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_anything = msgspec.json.Decoder(msgspec.Raw).decode


def slices(body: bytes, *members: str) -> list[Slice]:
    r"""The elements of a top-level array, or of the first of `members` that a top-level object has; else the whole.

    A member may lie deeper: "body.events" is the array `events` of the object `body`. An empty slice stands where a
    message is missing: an empty body, a comma too many, an array cut off. NDJSON is cut by its lines.

    >>> slices(b' [{"a": 1}, 2] '), slices(b'{"events": [5, 6]}', "events"), slices(b"[]"), slices(b"[1, ")
    ([(2, 10), (12, 13)], [(12, 13), (15, 16)], [], [(1, 2), (4, 4)])
    >>> slices(b'{"a": 1}\n{"a": 2}\n')
    [(0, 8), (9, 17)]
    """
    start = len(body) - len(body.removeprefix(b"\xef\xbb\xbf").lstrip())
    if body.startswith(b"[", start):
        return _elements(body, start)
    inside = _member(body, start, members) if members and body.startswith(b"{", start) else None
    if inside is None:
        return _lines(body) or [_trimmed(body, start, len(body))]
    found, end = _cut(body, inside, nested=True)
    closed = not found or found[-1][1] < len(body.rstrip())  # a last element that goes to the end is a fault by itself
    if closed and not _ends(body[end:], members) and (_more(body[end:], members) or not sound(body[start:])):
        found.append(_trimmed(body, end, len(body)))
    if not _opens(body[start:inside], members):
        found.insert(0, _trimmed(body, start, inside))
    return found


def records(body: bytes) -> list[Slice]:
    r"""One object, the elements of an array, or NDJSON: an object on each line.

    NDJSON is told from a spread-out object or array by lines that are an object on their own.

    >>> records(b'{"a": 1}\n{"a": 2}\n'), records(b'{"a":\n 1}')
    ([(0, 8), (9, 17)], [(0, 9)])
    """
    laid = _layout(body)
    if laid.lines > 1 and laid.alone and not body.startswith(b"[", laid.first):
        return _spans(laid)
    if laid.alone > 1 and not sound(body[laid.start :]):  # a first line spoilt by a bracket, or no commas
        return _spans(laid)
    return slices(body)


class _Layout(NamedTuple):
    start: int  # behind a byte order mark
    first: int  # where the first line begins that is not blank
    lines: int  # that are not blank
    alone: int  # of them, those that are an object on their own
    spans: list[Slice]  # of as many lines as a body may have messages


def _layout(body: bytes) -> _Layout:
    start = len(body) - len(body.removeprefix(b"\xef\xbb\xbf"))
    lines = alone = 0
    spans: list[Slice] = []
    for line in _LINE.finditer(body, start):
        begin, end = span = line.span()
        lines += 1
        if lines <= limits.BODY_MESSAGES_MAX:
            spans.append(span)
        if body[begin] == _OBJECT and body[end - 1] == _OBJECT_END:
            alone += 1
    return _Layout(start, spans[0][0] if spans else 0, lines, alone, spans)


def _lines(body: bytes) -> list[Slice]:
    """The lines of NDJSON: the first, or most of them, are an object on their own. [] if the body is anything else."""
    laid = _layout(body) if b"\n" in body else None
    if laid is None or laid.lines < 2:  # noqa: PLR2004  one line is no list
        return []
    line = _LINE.match(body, laid.first)
    whole_first = body[laid.first] == _OBJECT and line is not None and body[line.end() - 1] == _OBJECT_END
    return _spans(laid) if whole_first or laid.alone * 2 > laid.lines else []


def _spans(laid: _Layout) -> list[Slice]:
    limits.check_messages(laid.lines)
    return laid.spans


def load(body: bytes, where: Slice, decode: Callable[[bytes], T], slug: str) -> T | Fault:
    """One message decoded, or why not; a NUL character is refused, for no database text can hold it."""
    raw = body[where[0] : where[1]]
    if b"\\u0000" in raw and (nul := _NUL.search(raw)):
        return Fault(f"{slug}.nul", "报文含空字符 / the message has a NUL character", where[0] + nul.start())
    openers = 2 * len(raw) - len(raw.replace(b"{", b"")) - len(raw.replace(b"[", b""))  # bytes.count is slower by far
    if openers > limits.DEPTH_MAX and limits.too_deep(raw):
        return Fault(
            f"{slug}.depth", f"嵌套超过 {limits.DEPTH_MAX} 层 / nested more than {limits.DEPTH_MAX} deep", where[0]
        )
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
    commas = body.count(b",")
    if commas > limits.BODY_MESSAGES_MAX and commas * _MESSAGE_BYTES_MIN > len(body):
        _cut(body, start, nested=False)  # so dense that it may be too many, which this finds out in little memory
    try:
        raws = _array(body[start:] if start else body)
    except (msgspec.MsgspecError, RecursionError):
        if by_line := _lines(body):
            return by_line
        found, end = _cut(body, start, nested=False)
        rest = _trimmed(body, end, len(body))
        return found if rest[0] == rest[1] else [*found, rest]
    limits.check_messages(len(raws))
    found, at = [], start + 1
    for raw in raws:
        begin = at + (body[at] == _COMMA)
        if body[begin] in b" \t\r\n":
            gap = _GAP.match(body, at)
            assert gap is not None
            begin = gap.end()
        at = begin + len(memoryview(raw))
        found.append((begin, at))
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
            limits.check_messages(len(found))
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
    plain = frozenset(f'"{name}"'.encode() for name in members if "." not in name)
    found = _value(body, start, plain, _ARRAY) if plain else None
    for path in (name.split(".") for name in members if "." in name):
        at: int | None = start
        for step, name in enumerate(path, 1):
            opener = _ARRAY if step == len(path) else _OBJECT
            at = None if at is None else _value(body, at, frozenset({f'"{name}"'.encode()}), opener)
        if found is None or (at is not None and at < found):
            found = at
    return found


def _ends(tail: bytes, members: tuple[str, ...]) -> bool:
    """Whether an envelope only closes its brackets."""
    return b"".join(tail.split()) in {b"}" * (path.count(".") + 1) for path in members}


def _more(tail: bytes, members: tuple[str, ...]) -> bool:
    """Whether an envelope has such an array once more behind the one that was cut: one of them would be lost."""
    heads = (b"".join(f'{{"{name}":'.encode() for name in path.split(".")[:-1]) + b"{" for path in members)
    return any(_member(head + tail.lstrip(b" \t\r\n,"), 0, members) is not None for head in heads)


def _opens(head: bytes, members: tuple[str, ...]) -> bool:
    """Whether an envelope is sound as far as its array."""
    return any(sound(head + b"0" + b"}" * (path.count(".") + 1)) for path in members)


def _value(body: bytes, start: int, names: frozenset[bytes], opener: int) -> int | None:
    """Offset of the array or object under one of these names, in the object that begins at `start`."""
    depth = 0
    for token in _TOKEN.finditer(body, start):
        sign = body[token.start()]
        depth += (sign in b"[{") - (sign in b"]}")
        if depth == 0:
            return None
        named = depth == 1 and token.group() in names and _NEXT.match(body, token.end())
        if named and body[named.end()] == opener:
            return named.end()
    return None


def sound(body: bytes) -> bool:
    """Whether the whole is one JSON value."""
    try:
        _anything(body)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True
