"""Whatever a batch may hold: if the answer to its COMMIT is lost, it is answered and kept as if it had not been."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError as TooLate
from contextlib import ExitStack

import psycopg
import pytest

from domain import quarantine, writer
from domain.intent import Intent, Mending
from domain.report import Fault
from tests.faults import commits, traffic
from tests.faults.commits import Twins, answers, decision
from tests.faults.traffic import labelled, message

MUTE_SECONDS = 1.5
NOTICED_SECONDS_MAX = 6.0
BROKEN = Fault("edifact.truncated", "no UNT", 17, "UNH[1]")
Case = tuple[Sequence[Intent], Sequence[Intent]]
"""What is there before, and the batch."""


@pytest.fixture
def twins(postgres: str) -> Iterator[Twins]:
    with ExitStack() as stack:
        yield Twins(stack, postgres)


def says(source: str, key: str, *labels: str, **about: object) -> Intent:
    sent = message(source, key, **about)  # type: ignore[arg-type]
    facts = [] if sent.fault else [labelled("container:X", label, sent) for label in labels]
    return Intent(message=sent, facts=facts)


def mends(intent: Intent, quarantined: Intent) -> Intent:
    assert quarantined.message is not None
    by = Mending(quarantine.key(quarantined.message), "operator")
    return Intent(message=intent.message, facts=intent.facts, mending=by)


def new() -> Case:
    return [], [says("a", "1", "x", "y")]


def stated_twice_in_one_message() -> Case:
    return [], [says("a", "1", "x", "x")]


def sent_twice() -> Case:
    one = says("a", "1", "x")
    return [], [one, one, says("a", "1", "x"), says("a", "2", "x")]


def confirmed() -> Case:
    return [says("a", "1", "x")], [says("b", "1", "x", "y"), says("c", "1", "x"), says("c", "2", "x")]


def in_conflict() -> Case:
    return [says("a", "1", "x")], [says("a", "1", "x", content="other")]


def broken() -> Case:
    return [], [says("a", "1", fault=BROKEN)]


def cancelled() -> Case:
    return [says("a", "1", "x", document="D")], [says("a", "2", document="D", function="cancel")]


def cancelled_before_it_was_said() -> Case:
    return [], [says("a", "1", document="D", function="cancel")]


def cancelled_and_said_in_the_wrong_order() -> Case:
    return [], [says("a", "2", document="D", function="cancel"), says("a", "1", "x", document="D")]


def said_after_its_cancellation() -> Case:
    return [says("a", "2", document="D", function="cancel")], [says("a", "1", "x", document="D")]


def replaced() -> Case:
    before = says("a", "1", "x", "y", document="D")
    return [before], [says("a", "2", "x", "z", document="D", function="replace")]


def superseded() -> Case:
    before = says("a", "1", "x", "y", document="D")
    return [before], [says("a", "2", "x", "z", document="D", function="supersede")]


def replaced_by_the_same() -> Case:
    return [says("a", "1", "x", document="D")], [says("a", "2", "x", document="D", function="replace")]


def mended() -> Case:
    bad = says("a", "1", fault=BROKEN)
    return [bad], [mends(says("a", "1", "x"), bad)]


def mended_in_vain() -> Case:
    bad = says("a", "1", fault=BROKEN)
    return [bad], [mends(says("a", "1-again", fault=BROKEN), bad)]


def decided() -> Case:
    return [decision("item:x", 0, "1")], [decision("item:x", 1, "2"), decision("item:x", 2, "3")]


def decided_too_late() -> Case:
    return [decision("item:x", 0, "1")], [decision("item:x", 0, "2"), decision("item:x", 1, "3")]


CASES = [
    new,
    stated_twice_in_one_message,
    sent_twice,
    confirmed,
    in_conflict,
    broken,
    cancelled,
    cancelled_before_it_was_said,
    cancelled_and_said_in_the_wrong_order,
    said_after_its_cancellation,
    replaced,
    superseded,
    replaced_by_the_same,
    mended,
    mended_in_vain,
    decided,
    decided_too_late,
]


@pytest.mark.parametrize("case", CASES)
def test_a_lost_answer_changes_neither_the_next_answer_nor_what_is_kept(twins: Twins, case: Callable[[], Case]) -> None:
    before, batch = case()
    twins.rival.write(before)
    twins.plain.write(before)
    ours, plain = twins.write("after", batch)
    assert answers(ours) == answers(plain)
    commits.assert_same(twins, commits.ATTEMPTS)


def test_attempt_after_attempt_may_fail(twins: Twins) -> None:
    batch = [decision("item:x", 0, "1"), says("a", "1", "x")]
    ours, plain = twins.write("before", batch, more=("after", "blind", "after"))
    assert answers(ours) == answers(plain)
    commits.assert_same(twins)


def test_nobody_is_told_anything_while_the_line_is_silent(twins: Twins) -> None:
    """The answer to COMMIT never comes; the line is cut at last, and the second attempt finds the facts."""
    twins.proxy.arm("mute")
    future = twins.broken.submit(new()[1])
    with pytest.raises(TooLate):
        future.result(timeout=MUTE_SECONDS)
    assert twins.proxy.struck == 1
    twins.proxy.release()
    assert [outcome.status for outcome in future.result(timeout=NOTICED_SECONDS_MAX)] == ["recorded"]


def test_a_slow_commit_is_waited_for_and_done_once(twins: Twins) -> None:
    twins.proxy.arm("slow")
    future = twins.broken.submit(new()[1])
    time.sleep(MUTE_SECONDS)
    assert not future.done()
    twins.proxy.release()
    assert [outcome.status for outcome in future.result(timeout=NOTICED_SECONDS_MAX)] == ["recorded"]
    assert answers(future.result()) == answers(twins.plain.write(new()[1]))


def test_a_silent_line_is_given_up_by_itself(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped server or a stuck proxy: packets are acknowledged, so keep-alives and TCP time-outs see nothing."""
    monkeypatch.setattr(writer, "WRITE_SECONDS_MAX", 1.0)
    twins.proxy.arm("mute")
    future = twins.broken.submit(new()[1])
    try:
        with contextlib.suppress(writer.Busy):
            future.result(timeout=NOTICED_SECONDS_MAX)
    finally:
        twins.proxy.release()


def test_what_cannot_be_written_harms_no_neighbour(twins: Twins) -> None:
    """Both wait for the journal's lock behind a third, and are then taken into one transaction."""
    writer = twins.rival
    with writer.journal.connect() as blocker:
        writer.journal.recorder.lock(blocker.cursor())
        first = writer.submit([decision("item:x", 0, "1")])
        wait_for_the_lock(twins.conninfo)
        good, bad = writer.submit([says("a", "1", "x")]), writer.submit(traffic.aborted("b/1", 1))
    assert [outcome.status for outcome in first.result()] == ["recorded"]
    with pytest.raises(psycopg.DataError):
        bad.result()
    assert [outcome.status for outcome in good.result()] == ["recorded"]


def wait_for_the_lock(conninfo: str) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + NOTICED_SECONDS_MAX
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while connection.execute(waiting).fetchone() == (0,):
            assert time.monotonic() < deadline, "the writer does not wait for the lock"
            time.sleep(0.01)
