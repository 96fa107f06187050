"""The cursor of the feed: opaque to who holds it; it names the journal's epoch and a position.

The epoch is raised when a node is restored to an earlier point (KOUAN_FEED_EPOCH, kept outside the database, for that
one is what was put back): positions behind that point mean other facts now, and whoever holds one is told so.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode

from domain.errors import Malformed

EPOCH = 1


class BadCursor(Malformed):
    slug = "bad-cursor"
    title = "The cursor is not one of this feed"


class OldCursor(BadCursor):
    slug = "old-cursor"
    title = "The cursor is of a time before the node was restored"


def cursor(position: int, epoch: int = EPOCH) -> str:
    """The opaque cursor behind a position."""
    return urlsafe_b64encode(f"{epoch}.{position}".encode()).decode().rstrip("=")


def position(text: str, epoch: int = EPOCH) -> int:
    """The position behind which to read; "" and "0" are the beginning. Raises BadCursor, OldCursor.

    >>> position(cursor(42)), position("")
    (42, 0)
    """
    if text in {"", "0"}:
        return 0
    try:
        given, _, number = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").partition(".")
        found = int(number) if number.isdecimal() else -1
    except ValueError:
        given, found = "", -1
    if not given.isdecimal() or not 0 <= found < 2**63:
        raise BadCursor(
            f"游标 {text[:80]!r} 不是本系统给出的 / cursor {text[:80]!r} was not given out by this feed",
            after=text[:80],
        )
    if given != str(epoch):
        raise OldCursor(
            f"游标 {text[:80]!r} 属于第 {given} 纪元，现为第 {epoch} 纪元：系统已恢复到较早的时点，请重新开始"
            f" / cursor {text[:80]!r} is of epoch {given}, this is epoch {epoch}: the node was restored to an earlier"
            " point, begin again without after",
            after=text[:80],
            epoch=epoch,
        )
    return found
