"""What was made at Stripe, by the name in its metadata: found by listing what is new, never by search, which lags.

A list is read through once, from as early as somebody asks for; from then on only what was made since, with an overlap
for what was still under way. So a look-up costs one call, however much there is.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Any

OVERLAP_SECONDS = 120


class Index:
    """`listed`: everything that was made from a moment on (seconds since 1970). `name_of`: of one of them."""

    def __init__(self, listed: Callable[[int], Iterable[Any]], name_of: Callable[[Any], Hashable]) -> None:
        self._listed = listed
        self._name_of = name_of
        self._refs: dict[Hashable, list[str]] = {}
        self._from: int | None = None  # nothing that was made before is known
        self._seen = 0  # when the newest one was made

    def find(self, name: Hashable, since: int = 0) -> list[str]:
        """Ids of that name, the oldest first, also of what is gone since."""
        if self._from is None or since < self._from:
            self._refs, self._from, self._seen = {}, since, since + OVERLAP_SECONDS
        listed = [*self._listed(max(self._from, self._seen - OVERLAP_SECONDS))]  # the newest first
        for found in reversed(listed):
            self._seen = max(self._seen, found.created)
            refs = self._refs.setdefault(self._name_of(found), [])
            if found.id not in refs:
                refs.append(found.id)
        return list(self._refs.get(name, ()))
