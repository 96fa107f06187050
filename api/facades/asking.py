"""What the facades have in common in asking: the parameters of a query string, times and counts in them."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from api.facades.paging import CONTROL, Pairs
from domain.errors import Malformed

PARAMETERS_MAX = 200
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})",
    re.IGNORECASE,
)


class BadQuery(Malformed):
    """Some parameters cannot be understood. `faults` has the parameter and what is wrong with it, for each."""

    slug = "bad-query"
    title = "A query parameter cannot be understood"

    def __init__(self, *faults: tuple[str, str]) -> None:
        super().__init__(
            "; ".join(f"{name}: {detail}" for name, detail in faults), faults=[list(one) for one in faults]
        )
        self.faults = faults


def parameters(query_string: bytes) -> Pairs:
    """Names and values in their order, decoded. Raises BadQuery."""
    try:
        text = query_string.decode("ascii", "replace")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=PARAMETERS_MAX)
    except ValueError as error:
        raise BadQuery(("query", f"参数过多 / more than {PARAMETERS_MAX} parameters")) from error
    if found := [name for name, value in pairs if CONTROL.search(name + value)]:
        raise BadQuery((shown(found[0]), "含有控制字符 / holds control characters"))
    return tuple(pairs)


def shown(text: str) -> str:
    """A value met, as it may stand in a message."""
    return json.dumps(text[:80], ensure_ascii=False)[1:-1]


def instant(text: str) -> datetime:
    """RFC 3339, in UTC; a plus sign that was not encoded has become a space. Raises ValueError.

    >>> instant("2021-04-01T14:12:56 01:00").isoformat()
    '2021-04-01T13:12:56+00:00'
    """
    mended = re.sub(r" ([0-9]{2}:?[0-9]{2})\Z", r"+\1", text.strip())
    if not _INSTANT.fullmatch(mended):
        raise ValueError("not a time of RFC 3339")
    try:
        return datetime.fromisoformat(mended.upper()).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("beyond the calendar") from error


def whole(pairs: Sequence[tuple[str, str]], name: str, *, default: int, largest: int) -> int:
    """A count from 1; more than the largest is taken for the largest. Raises BadQuery."""
    said = [value for each, value in pairs if each == name]
    if not said:
        return default
    text = said[-1].strip()
    if not re.fullmatch(r"[0-9]{1,10}", text) or not 1 <= int(text) < 2**31:
        raise BadQuery((name, f"须为正整数：{shown(text)!r} / must be a whole number from 1: {shown(text)!r}"))
    return min(int(text), largest)
