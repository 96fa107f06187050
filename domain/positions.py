"""A set of positions of a journal as a short text: what a delivery handed over, named in its record for ever.

Positions are integers from 1, and mostly lie close together. The text is base64 (RFC 4648, without `=`) of varints
(seven bits a byte, the least first, the eighth bit: more follows), two kinds of numbers. An even one, `2 * step`, is a
position so far behind the one before (behind 0 at first). An odd one, `2 * more + 1`, are so many more that follow the
last one without a gap. So a page of the feed without gaps takes a few bytes, any other about one for each position.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator

MOST = 10_000  # of one delivery: the largest page of the feed, the longest list of numbers


def pack(positions: Iterable[int]) -> str:
    """The text for some positions, in any order; each counts once. "" for none.

    >>> pack([1, 2, 3, 4]), pack([7]), pack([])
    ('Agc', 'Dg', '')
    """
    ordered = sorted(positions)
    if ordered and len(set(ordered)) == len(ordered) == ordered[-1] - ordered[0] + 1:
        out = _run(ordered[0], ordered[-1])  # the usual page, without a look at each
    else:
        out = _each(ordered)
    assert len(ordered) <= MOST, "more positions than a delivery can name"
    return b64encode(out).decode("ascii").rstrip("=")


def unpack(text: str) -> list[int]:
    """The positions, in order. Raises ValueError for a text that `pack` did not make.

    >>> unpack("Agc"), unpack("")
    ([1, 2, 3, 4], [])
    """
    found: list[int] = []
    last = 0
    for number in _numbers(b64decode(text + "=" * (-len(text) % 4), validate=True)):
        step, more = divmod(number, 2)
        if step == 0 or (more and not found) or len(found) + (step if more else 1) > MOST:
            raise ValueError(f"not a packed list of positions: {text[:40]!r}")
        found.extend(range(last + 1, last + step + 1) if more else (last + step,))
        last = found[-1]
    return found


def _run(first: int, last: int) -> bytearray:
    out = bytearray()
    _put(out, 2 * first)
    if last > first:
        _put(out, 2 * (last - first) + 1)
    return out


def _each(ordered: Iterable[int]) -> bytearray:
    out = bytearray()
    last = more = 0
    for position in ordered:
        step = position - last
        if step == 1 and last:
            more += 1
        elif step:
            if more:
                _put(out, 2 * more + 1)
                more = 0
            if step < 0x40:  # noqa: PLR2004  one byte, the most frequent
                out.append(2 * step)
            else:
                _put(out, 2 * step)
        last = position
    if more:
        _put(out, 2 * more + 1)
    return out


def _put(out: bytearray, number: int) -> None:
    while number > 0x7F:  # noqa: PLR2004  seven bits
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _numbers(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004
            yield number
            number = shift = 0
    if shift:
        raise ValueError("a packed list of positions ends in the middle of a number")
