"""Cursors that name a place in a list, and pages cut there.

A cursor is opaque: the query it belongs to and a boundary between two items, so nothing shifts when facts come in
meanwhile, and pages never overlap. A boundary is a position of the journal, or the sort key of an item.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from functools import cmp_to_key
from typing import Generic, TypeVar

import msgspec

from domain.errors import Malformed

TOKEN_CHARS_MAX = 8_000
LIMIT_MAX = 2**31 - 1
CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Pairs = tuple[tuple[str, str], ...]
Key = tuple[str, ...]
T = TypeVar("T")


class BadFacadeCursor(Malformed):
    slug = "bad-facade-cursor"
    title = "The cursor was not given out for this query"


class Token(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`at` is the boundary: the items behind it are wanted, or, backwards, those before it. None: the very end."""

    query: Pairs = ()
    limit: int | None = None
    at: int | Key | None = None
    after: bool = False  # of a sort key: just behind the item that has it, else just before
    backwards: bool = False


_token = msgspec.json.Decoder(Token).decode


def encode(token: Token) -> str:
    return urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def decode(text: str) -> Token:
    """Raises BadFacadeCursor.

    >>> decode(encode(Token(query=(("limit", "5"),), at=42, backwards=True))).at
    42
    """
    plain = text.rstrip("=")
    try:
        token = _token(urlsafe_b64decode(plain + "=" * (-len(plain) % 4)))
        sound = len(text) <= TOKEN_CHARS_MAX and re.fullmatch(r"[A-Za-z0-9_-]*", plain) is not None
    except (NotBase64, msgspec.MsgspecError, UnicodeError):
        sound = False
    if not sound or not _sensible(token):
        raise BadFacadeCursor(f"游标无法识别 / the cursor was not given out here: {text[:40]!r}", cursor=text[:40])
    return token


def _sensible(token: Token) -> bool:
    place = token.at is None or isinstance(token.at, tuple) or 0 <= token.at < 2**63
    size = token.limit is None or 1 <= token.limit <= LIMIT_MAX
    return place and size and not any(CONTROL.search(text) for pair in token.query for text in pair)


def foreign() -> BadFacadeCursor:
    """For a cursor that comes with another query than its own."""
    return BadFacadeCursor(
        "游标不属于此查询，请单独发送或与原参数一同发送 / send the cursor with the query it was given out for, or alone"
    )


class Cut(msgspec.Struct, Generic[T], frozen=True):
    """A page in its order; `before` and `behind` lead to the pages around, None where there is none."""

    items: list[T]
    before: Token | None
    behind: Token | None


class Order(msgspec.Struct, frozen=True):
    """By which fields, and whether each descends; the last part of a key settles what is left."""

    fields: tuple[tuple[str, bool], ...] = ()

    def compare(self, one: Key, other: Key) -> int:
        for (_, descends), a, b in zip((*self.fields, ("", False)), one, other, strict=True):
            if a != b:
                return (1 if a > b else -1) * (-1 if descends else 1)
        return 0

    def cut(self, keyed: Sequence[tuple[Key, T]], token: Token, limit: int) -> Cut[T]:
        """A page of a whole list. Raises BadFacadeCursor where the boundary is of another kind of list."""
        by_key = cmp_to_key(self.compare)
        told = sorted(keyed, key=lambda pair: by_key(pair[0]))
        place = self._place(token, [key for key, _ in told])
        start, end = (max(0, place - limit), place) if token.backwards else (place, min(len(told), place + limit))
        before = behind = None
        if start:
            before = Token(at=told[start - 1][0], after=True, backwards=True)
        if end < len(told):
            behind = Token(at=told[end][0])
        return Cut([item for _, item in told[start:end]], before, behind)

    def _place(self, token: Token, keys: Sequence[Key]) -> int:
        """How many items stand before the boundary."""
        at = token.at
        if at is None:
            return len(keys) if token.backwards else 0
        if not isinstance(at, tuple) or len(at) != len(self.fields) + 1:
            raise foreign()
        return sum(self.compare(key, at) <= (0 if token.after else -1) for key in keys)
