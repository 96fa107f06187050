"""The short form: a score of kills. The long one: `python -m tests.faults.usage_kill`, figures in docs/faults.md."""

import pytest

from tests.faults import usage_kill

KILLS, SECONDS_MAX = 20, 15.0
KILLS_MIN = 3  # on a machine that has much else to do


@pytest.mark.slow
def test_no_delivery_is_lost_from_the_books_or_charged_twice_whoever_is_killed(database: str) -> None:
    outcome = usage_kill.run(database, KILLS, SECONDS_MAX)
    assert outcome.kills >= KILLS_MIN, outcome
    assert outcome.sound(), outcome
