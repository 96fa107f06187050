"""The short forms: seconds, not minutes. The long ones: `python -m tests.faults --long`."""

import tempfile
from pathlib import Path

import pytest

from tests.faults import commits, crash, gap, storm
from tests.faults.proxy import Mode

pytestmark = pytest.mark.slow

GAP_SECONDS = 6.0
STARVED_SECONDS, UNFAIR = 1.0, 5.0  # nobody waits a second, or on a machine that is that slow, five times the mean


def test_no_reader_misses_a_fact_while_writers_abort_and_are_killed(postgres: str, tmp_path: Path) -> None:
    row = gap.run(postgres, tmp_path, GAP_SECONDS)
    assert row.sound(), row


def test_without_the_lock_the_gap_test_catches_missed_facts(postgres: str, tmp_path: Path) -> None:
    row = gap.control(postgres, tmp_path)
    assert row.lost > 0, row
    assert row.doubled == 0, row


@pytest.mark.parametrize(("mode", "count"), [("after", 50), ("before", 10), ("blind", 10)])
def test_a_connection_cut_at_commit_changes_no_answer(postgres: str, tmp_path: Path, mode: Mode, count: int) -> None:
    row = commits.run(postgres, tmp_path, mode, count)
    assert row.sound(), row
    assert row.injected >= count


@pytest.mark.parametrize(("processes", "decisions"), [(1, 20), (4, 8)])
def test_in_a_storm_of_conflicts_no_decision_is_lost_and_nobody_starves(
    postgres: str, processes: int, decisions: int
) -> None:
    raged = storm.run(postgres, decisions, processes)
    print(f"longest {raged.row.longest_s:.2f} s, {raged.per_second:.0f} decisions/s, {raged.row.injected} conflicts")
    storm.assert_one_after_the_other(raged.entries)
    assert raged.row.sound(), raged.row
    assert raged.row.longest_s < max(STARVED_SECONDS, UNFAIR * raged.mean_s)


def test_what_was_acknowledged_survives_the_kill_of_the_whole_server() -> None:
    # Not tmp_path: a second run of pytest closes the folders above it to the user that PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="kouan-faults-") as folder:
        row = crash.run(Path(folder) / "home", Path(folder), kills=1)
    assert row.sound(), row
