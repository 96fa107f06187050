"""A difference as a join of the reconciliation finds it, before it has its id and its period."""

from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from domain.reconciliation import Break, Code, identity


class Found(msgspec.Struct, frozen=True):
    """A break in the making; see domain/reconciliation.Break."""

    code: Code
    about: str
    holder: str = ""
    statement: str = ""
    line: int | None = None
    ours_minor: int | None = None
    theirs_minor: int | None = None
    detail: str = ""
    evidence: str = ""

    def told(self, period: str) -> Break:
        """With the id by which it is known again in the next run."""
        return Break(
            break_id=identity(self.code, period, self.about),
            period=period,
            **{name: getattr(self, name) for name in self.__struct_fields__},
        )


def both(about: str, zh: str, en: str) -> str:
    """A detail in both languages.

    >>> both("in_1", "合计不符", "the totals differ")
    'in_1: 合计不符 / in_1: the totals differ'
    """
    return f"{about}: {zh} / {about}: {en}"


def statement_path(number: str) -> str:
    """Where a statement is shown."""
    return f"/v1/statements/{number}"


def line_path(number: str, line: int | None) -> str:
    """Where a line is followed down to its deliveries; the statement, if it is about none."""
    return f"/v1/statements/{number}/lines/{line}" if line else statement_path(number)


def delivery(names: Sequence[str]) -> str:
    """Where the first of some deliveries (STREAM/VERSION) is followed up to its line; nothing if there is none.

    >>> delivery(["metering:a b/7"]), delivery([])
    ('/v1/deliveries/metering:a%20b/7', '')
    """
    return f"/v1/deliveries/{quote(names[0], safe=':/')}" if names and names[0] else ""
