"""Random months in a real database: journal, ledger and statements agree, whatever came late or was taken back.

`KOUAN_RANDOM_MONTHS=1000` plays so many months; the suite plays fewer.
"""

import os
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from api.app import READ_MODELS
from billing import taking
from billing.metering import EPOCH
from billing.reconcile import reconcile
from billing.snapshots import Ours, Provider
from tests.random_months import Act, Books, months

MONTHS = int(os.environ.get("KOUAN_RANDOM_MONTHS") or 12)
[MODEL] = [each for each in READ_MODELS if each.name == "usage"]
UNHURRIED = settings(
    max_examples=max(1, MONTHS // 4),
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
EXPECTED = {"line_missing_at_provider", "late_usage_pending"}
"""Nobody sends invoices here; and what came late waits while the next month is played."""


def backdated(ours: Ours) -> Ours:
    """What comes late here names a price of the month in which it comes: let every price be in force for ever."""
    published = [msgspec.structs.replace(each, effective_from=EPOCH) for each in ours.published]
    return msgspec.structs.replace(ours, published=tuple(published))


@pytest.fixture
def books(database: str) -> Iterator[Books]:
    opened = Books(database, MODEL)
    yield opened
    opened.close()


@pytest.mark.slow
def test_the_books_of_random_months_agree(books: Books) -> None:
    done = 0

    @UNHURRIED
    @given(months)
    def play(example: Sequence[Sequence[Act]]) -> None:
        nonlocal done
        books.begin()
        for month in example if done < MONTHS else []:
            done += 1
            books.play(month)
            played = books.month
            books.end()
            found = reconcile(
                backdated(taking.ours(books.connection, played)),
                taking.statements(books.connection, played),
                Provider(period=played),
            )
            assert [each for each in found if each.code not in EXPECTED] == []

    play()
