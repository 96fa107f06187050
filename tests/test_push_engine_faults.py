"""The engine against its own death, the database's, bad company and changing rights: nothing lost or billed twice."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import psycopg
import pytest

from api.push import replay
from api.push.http import Client, Limits
from api.push.sources import message_id
from domain import fact
from domain.delivery import DeliveryMade
from domain.errors import Refused
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.permission import PermissionRevoked
from domain.writer import Writer
from tests.open_register import permit_all
from tests.push_world import World, received, run, settled, until
from tests.receivers import HOPELESS, Receiver

ROUNDS = 6
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user
"""


@pytest.fixture
def world(database: str, tmp_path: Path) -> World:
    return World(database, tmp_path)


@pytest.fixture
def closed_world(closed_database: str, tmp_path: Path) -> World:
    """Where nobody is permitted anything."""
    return World(closed_database, tmp_path)


@pytest.mark.slow
def test_ten_bad_receivers_of_a_hundred_do_not_slow_the_other_ninety(world: World) -> None:
    async def scenario() -> None:
        good = await received(*["ok"] * 90)
        for receiver in good:
            world.endpoint(receiver.url)
        world.clock.live = True
        async with world.engine(Client(Limits(total_seconds=5, connect_seconds=5))) as running:
            alone = await _latencies(world, good)
            bad = await received(*[HOPELESS[number % len(HOPELESS)] for number in range(10)])
            for receiver in bad:
                world.endpoint(receiver.url)
            await running.poll()
            among = await _latencies(world, good)
        for receiver in good:
            assert Counter(receiver.positions()) == Counter(range(1, world.told + 1))
        assert _p99(among) < 2 * _p99(alone) + 0.2  # a shared machine's own hiccups

    run(scenario())


async def _latencies(world: World, receivers: list[Receiver]) -> list[float]:
    """Seconds from the moment a fact can be told until each receiver has it."""
    found = []
    for _ in range(ROUNDS):
        await asyncio.to_thread(world.tell, 5, boxes=5)
        start, told = monotonic(), world.told
        await until(lambda told=told: all(len(each.taken) >= told for each in receivers), 60)  # type: ignore[misc]
        found += [each.taken[-1].at - start for each in receivers]
    return found


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


@pytest.mark.slow
def test_a_sender_killed_again_and_again_loses_nothing_and_bills_each_message_once(
    world: World, database: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        [receiver] = await received("slow")
        world.endpoint(receiver.url)
        world.tell(60, boxes=20)
        environ = os.environ | {"KOUAN_CONNINFO": database, "KOUAN_HOME": str(tmp_path)}
        argv = [sys.executable, "-m", "api.main", "push"]
        for kill in range(4):
            before = len(receiver.taken)
            with (tmp_path / "push.log").open("ab") as log:
                process = subprocess.Popen(argv, env=environ, stdout=log, stderr=log)  # noqa: ASYNC220
            if kill == 3:
                receiver.behaviour = "ok"
                await until(lambda: len(set(world.accepted())) == 60, 60)
            else:
                await until(lambda before=before: len(receiver.taken) >= before + 5, 60)  # type: ignore[misc]
            process.send_signal(signal.SIGTERM if kill == 3 else signal.SIGKILL)
            process.wait(30)
            with psycopg.connect(database, autocommit=True) as connection:  # as if a minute had passed
                connection.execute("UPDATE push_endpoints SET held_until = now() WHERE held_by <> ''")
        assert set(receiver.positions()) == set(range(1, 61))
        ids = {asked.data["position"]: asked.message for asked in receiver.taken}
        assert all(asked.message == ids[asked.data["position"]] for asked in receiver.taken)
        assert sorted(world.accepted()) == sorted(ids.values())

    run(scenario())


def test_two_senders_share_the_endpoints_and_send_everything_once(world: World) -> None:
    async def scenario() -> None:
        receivers = await received(*["ok"] * 6)
        for receiver in receivers:
            world.endpoint(receiver.url)
        world.tell(50)
        async with world.engine() as one, world.engine() as other:
            await until(lambda: all(len(each.taken) == 50 for each in receivers))
            assert not set(one.served) & set(other.served)
        assert all(Counter(each.positions()) == Counter(range(1, 51)) for each in receivers)

    run(scenario())


def test_a_database_that_goes_away_in_the_middle_costs_nothing(world: World) -> None:
    async def scenario() -> None:
        [receiver] = await received("slow")
        world.endpoint(receiver.url)
        world.tell(60, boxes=30)
        async with world.engine():
            for _ in range(4):
                await asyncio.sleep(0.5)
                with psycopg.connect(world.conninfo, autocommit=True) as connection:
                    connection.execute(CUT)
            receiver.behaviour = "ok"
            await until(lambda: len(set(world.accepted())) == 60, 60)
        assert Counter(receiver.positions()).keys() == set(range(1, 61))
        assert max(Counter(world.accepted()).values()) == 1

    run(scenario())


def test_nothing_is_sent_under_a_permission_behind_its_revocation(world: World) -> None:
    async def scenario() -> None:
        [receiver] = await received("slow")
        world.endpoint(receiver.url)
        world.tell(100, boxes=100)
        async with world.engine() as running:
            await until(lambda: len(receiver.taken) >= 5)
            revoked = await asyncio.to_thread(_revoke_all, world)
            running.register.refresh()
            await until(lambda: running.quiet)
            at = len(receiver.asked)
            world.tell(50)
            world.clock.pass_by(hours=1)
            await settled(running)
            assert len(receiver.asked) == at < 100
        for position, made in _pushes(world):
            assert position < revoked or not made.permissions

    run(scenario())


def _revoke_all(world: World) -> int:
    """Returns the position of the first revocation."""
    query = "SELECT DISTINCT originator_id FROM commerce_events WHERE topic = 'permission.granted'"
    streams = [row[0] for row in world.rows(query) if row[0].endswith("-logistics")]
    now = datetime.now(UTC)
    with Journal("commerce", world.conninfo).opened() as journal:
        writer = Writer(journal)
        for stream in streams:
            name = stream.partition(":")[2]
            told = PermissionRevoked(
                happened_at=now, recorded_at=now, permission=name, by="test", by_party="", reason="test"
            )
            writer.write([Intent(facts=[NewFact(stream, fact.digest_id("revoked", name), told)])])
        writer.stop()
    [(first,)] = world.rows("SELECT min(notification_id) FROM commerce_events WHERE topic = 'permission.revoked'")
    return int(first)


def _pushes(world: World) -> list[tuple[int, DeliveryMade]]:
    query = "SELECT notification_id, state FROM commerce_events WHERE topic = 'delivery.made'"
    rows = [(place, fact.decode(bytes(state))) for place, state in world.rows(query)]
    return [(place, made) for place, made in rows if isinstance(made, DeliveryMade) and made.channel == "push"]


def test_a_retry_of_what_may_no_longer_be_told_is_withheld(world: World) -> None:
    async def scenario() -> None:
        [receiver] = await received("picky")
        receiver.refuses = lambda asked: asked.data["position"] == 3
        endpoint = world.endpoint(receiver.url)
        world.tell(10, boxes=10)
        async with world.engine() as running:
            await settled(running)
            await asyncio.to_thread(_revoke_all, world)
            world.clock.pass_by(seconds=8)
            await settled(running)
        assert world.states(endpoint) == {"withheld": 1}

    run(scenario())


class Desk:
    """Covers so many units, and then no more."""

    def __init__(self, units: int) -> None:
        self.units = units

    def take(self, *_: Any, **__: Any) -> Any:
        if not self.units:
            raise Refused("订阅已用尽 / used up")
        most = _[2]
        return Leave(self, min(most, self.units))


class Leave:
    waived = ""

    def __init__(self, desk: Desk, allowed: int) -> None:
        self.desk, self.allowed, self.open = desk, allowed, True

    def settle(self, used: int) -> None:
        if self.open:
            self.desk.units, self.open = self.desk.units - used, False


def test_who_is_not_covered_waits_with_the_reason_and_gets_the_rest_later(world: World) -> None:
    async def scenario() -> None:
        [receiver] = await received("ok")
        desk, endpoint = Desk(12), world.endpoint(receiver.url)
        world.tell(30)
        async with world.engine(entitlements=desk) as running:
            await settled(running)
            assert receiver.positions() == list(range(1, 13)) or len(receiver.taken) == 12
            assert "used up" in world.standing(endpoint)["reason"]
            desk.units = 100
            world.clock.pass_by(seconds=61)
            await settled(running)
        assert Counter(receiver.positions()) == Counter(range(1, 31))
        assert len(world.accepted()) == 30

    run(scenario())


def test_who_has_no_leave_is_told_so_and_hears_everything_once_it_is_given(closed_world: World) -> None:
    async def scenario() -> None:
        [receiver] = await received("ok")
        endpoint = closed_world.endpoint(receiver.url)
        closed_world.tell(5)
        async with closed_world.engine(entitlements=Desk(100)) as running:
            await settled(running)
            standing = closed_world.standing(endpoint)
            assert "no data owner permits" in standing["reason"]
            assert (standing["after"], receiver.taken) == (0, [])
            await asyncio.to_thread(permit_all, closed_world.conninfo, ["logistics"])
            running.register.refresh()
            closed_world.clock.pass_by(seconds=61)
            await settled(running)
        assert receiver.positions() == [1, 2, 3, 4, 5]

    run(scenario())


def test_replay_sends_the_same_messages_again_marked_and_free(world: World) -> None:
    async def scenario() -> None:
        [receiver] = await received("ok")
        endpoint = world.endpoint(receiver.url)
        world.tell(30)
        async with world.engine() as running:
            await settled(running)
            before = {asked.message for asked in receiver.taken}
            with psycopg.connect(world.conninfo, autocommit=True) as connection:
                now = world.clock()
                ids = [message_id(endpoint, "feed", place) for place in (3, 4, 999)] + ["msg_other_1", "x"]
                assert replay.by_ids(connection, endpoint, ids, now=now) == 2
                assert replay.by_range(connection, endpoint, 10, 20, now=now) == 10
            await settled(running)
        again = receiver.taken[30:]
        assert sorted(asked.data["position"] for asked in again) == [3, 4, *range(11, 21)]
        assert {asked.headers.get("webhook-replay") for asked in again} == {"1"}
        assert {asked.message for asked in again} <= before
        assert len(world.accepted()) == 30

    run(scenario())


def test_what_was_given_up_can_be_sent_again(world: World) -> None:
    async def scenario() -> None:
        [receiver] = await received("picky")
        receiver.refuses = lambda asked: asked.data["position"] == 3
        endpoint = world.endpoint(receiver.url)
        world.tell(20)
        async with world.engine() as running:
            await settled(running)
            for _ in range(36):
                world.clock.pass_by(hours=3)
                await settled(running)
                assert world.rows(
                    "SELECT count(*) FROM push_messages WHERE state = 'waiting' AND next_at < %s",
                    world.clock() - timedelta(seconds=60),
                ) == [(0,)]
            assert world.states(endpoint) == {"failed": 1, "delivered": 1}
            receiver.refuses = lambda _: False
            with psycopg.connect(world.conninfo, autocommit=True) as connection:
                since = world.clock() - timedelta(days=30)
                assert replay.failed_since(connection, endpoint, since, now=world.clock()) == 1
            await settled(running)
        assert Counter(receiver.positions()) == Counter(range(1, 21))
        assert msgspec.json.decode(receiver.taken[-1].body)["type"] == "container.discharged"

    run(scenario())
