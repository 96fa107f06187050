"""Random months: every statement can be made again byte for byte, the books balance, and free usage is never billed.

`KOUAN_RANDOM_MONTHS=1000` plays so many months; the suite plays fewer.
"""

import os
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings

from api.app import READ_MODELS
from billing import drafting
from domain import statement
from domain.statement import Statement
from tests.random_months import Act, Books, months

MONTHS = int(os.environ.get("KOUAN_RANDOM_MONTHS") or 40)
[MODEL] = [each for each in READ_MODELS if each.name == "usage"]
UNHURRIED = settings(
    max_examples=max(1, MONTHS // 4),
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)


@pytest.fixture
def books(database: str) -> Iterator[Books]:
    opened = Books(database, MODEL)
    yield opened
    opened.close()


@pytest.mark.slow
def test_random_months_balance_and_can_be_made_again(books: Books) -> None:
    done = 0

    @UNHURRIED
    @given(months)
    def play(example: Sequence[Sequence[Act]]) -> None:
        nonlocal done
        if done < MONTHS:
            done += len(example)
            hold_one(books, example)

    play()
    while done < MONTHS:
        hold_one(books, [[]])
        done += 1
    print(f"{done} months, {books.told} facts with a time of their own")


def hold_one(books: Books, example: Sequence[Sequence[Act]]) -> None:
    holders = books.begin()
    issued: list[Statement] = []
    for month in example:
        books.play(month)
        issued += books.end()
    balanced(books, holders, issued)


def balanced(books: Books, holders: Sequence[str], issued: Sequence[Statement]) -> None:
    """The statements of an example come to what the oracle says, and can be made again."""
    own = [each for each in issued if each.holder.code in holders]
    for each in own:
        assert drafting.remake(books.connection, each.number) == statement.canonical(each)
        assert sum(line.amount_minor for line in each.lines if line.item_class == "government") == 0
    for holder in holders:
        assert sum(each.total_minor for each in own if each.holder.code == holder) == books.owed(holder)
        chained(own, holder)
    counted: dict[tuple[str, str], int] = {}
    for line in (line for each in own for line in each.lines if line.item_class == "government"):
        key = (line.used_by, line.item)
        counted[key] = counted.get(key, 0) + line.quantity
    assert counted == {key: count for key, count in books.free.items() if key[0] in holders}


def chained(own: Sequence[Statement], holder: str) -> None:
    """Each statement names the one before it, and takes over the credit that it left."""
    before: Statement | None = None
    for each in (each for each in own if each.holder.code == holder):
        assert each.previous == (before.number if before else "")
        assert each.previous_sha256 == (statement.digest(statement.canonical(before)) if before else "")
        assert each.brought_forward_minor == (before.carried_forward_minor if before else 0)
        assert each.payable_minor + each.carried_forward_minor == each.total_minor + each.brought_forward_minor
        assert each.net_minor + each.tax_minor == each.total_minor
        before = each
