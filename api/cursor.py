"""The cursor of the feed: opaque to who holds it; it names the journal's epoch and a position."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

from domain.errors import Malformed

EPOCH = 1
"""Raised when a node is restored to an earlier point: positions after it would mean other facts."""


class BadCursor(Malformed):
    slug = "bad-cursor"
    title = "The cursor is not one of this feed"


def cursor(position: int) -> str:
    """The opaque cursor behind a position."""
    return urlsafe_b64encode(f"{EPOCH}.{position}".encode()).decode().rstrip("=")


def position(text: str) -> int:
    """The position behind which to read; "" and "0" are the beginning. Raises BadCursor.

    >>> position(cursor(42)), position("")
    (42, 0)
    """
    if text in {"", "0"}:
        return 0
    try:
        epoch, _, number = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").partition(".")
        found = int(number) if number.isdecimal() else -1
    except ValueError:
        epoch, found = "", -1
    if epoch != str(EPOCH) or not 0 <= found < 2**63:
        raise BadCursor(f"Cursor {text[:80]!r} was not given out by this feed", after=text[:80])
    return found
