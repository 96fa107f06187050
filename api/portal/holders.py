"""What those are called who are billed: by the newest statement of each."""

from collections.abc import Iterable
from typing import Any

import psycopg

from api.words import Pair

NAMES = """
SELECT DISTINCT ON (holder, is_party) holder, is_party, holder_zh, holder_en FROM issued_statements
WHERE holder = ANY(%s)
ORDER BY holder, is_party, period DESC
"""
Whose = tuple[str, bool]
"""A holder, and whether it is a party."""


def names(connection: psycopg.Connection[Any], holders: Iterable[str]) -> dict[Whose, Pair]:
    """In Chinese and English, of those who have a statement."""
    found = connection.execute(NAMES, (sorted(set(holders)),))
    return {(holder, is_party): (zh, en) for holder, is_party, zh, en in found}
