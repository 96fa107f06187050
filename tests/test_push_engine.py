"""The engine: every fact once, in order by subject, whatever the receivers do, and the bill counts what they took."""

from collections import Counter
from pathlib import Path

import pytest

from tests.push_world import World, received, run, settled, until
from tests.receivers import Receiver


@pytest.fixture
def world(database: str, tmp_path: Path) -> World:
    return World(database, tmp_path)


def in_order(receiver: Receiver) -> bool:
    """By subject, positions grow."""
    last: dict[str, int] = {}
    for asked in receiver.taken:
        subject, position = asked.data["subject"], asked.data["position"]
        if last.get(subject, 0) >= position:
            return False
        last[subject] = position
    return True


def test_what_is_in_the_journal_arrives_once_in_order_signed_recorded_and_counted(world: World) -> None:
    async def scenario() -> None:
        [receiver] = await received("ok")
        endpoint = world.endpoint(receiver.url)
        world.tell(100)
        async with world.engine() as running:
            await settled(running)
            world.tell(50)
            await settled(running)
        assert sorted(receiver.positions()) == list(range(1, 151))
        assert in_order(receiver)
        assert world.states(endpoint) == {}
        assert world.standing(endpoint)["after"] == 150
        assert sorted(world.accepted()) == sorted(asked.message for asked in receiver.taken)
        sent = world.rows(
            "SELECT sum((convert_from(state, 'UTF8')::json ->> 'count')::int) FROM commerce_events"
            " WHERE topic = 'delivery.made' AND convert_from(state, 'UTF8')::json ->> 'channel' = 'push'"
        )
        assert sent == [(150,)]
        [first, *_] = receiver.taken
        assert first.headers["webhook-signature"].startswith("v1,")
        assert "cookie" not in first.headers

    run(scenario())


def test_one_message_that_is_refused_is_tried_alone_and_its_subject_waits(world: World) -> None:
    async def scenario() -> None:
        [receiver] = await received("picky")
        receiver.refuses = lambda asked: asked.data["position"] == 3
        endpoint = world.endpoint(receiver.url)
        subjects = world.tell(30)
        async with world.engine() as running:
            await settled(running)
            others = [number for number, subject in enumerate(subjects, 1) if subject != subjects[2]]
            assert sorted(receiver.positions()) == others
            assert world.states(endpoint) == {"waiting": 3}
            receiver.refuses = lambda _: False
            world.clock.pass_by(seconds=7)
            await settled(running)
        assert sorted(receiver.positions()) == list(range(1, 31))
        assert in_order(receiver)
        assert world.states(endpoint) == {"delivered": 3}
        assert Counter(world.accepted()).most_common(1)[0][1] == 1

    run(scenario())


def test_three_days_down_and_then_every_event_once_and_in_order(world: World) -> None:
    async def scenario() -> None:
        [receiver] = await received("ok")
        endpoint = world.endpoint(receiver.url)
        world.tell(10)
        async with world.engine() as running:
            await settled(running)
            receiver.behaviour = "broken"
            for hour in range(0, 72, 4):
                world.clock.pass_by(hours=4)
                if hour % 8 == 0:
                    world.tell(10)
                if hour == 24:
                    await receiver.stop()
                if hour == 48:
                    await receiver.start()
                    receiver.behaviour = "away"
                await settled(running)
            assert len(receiver.taken) == 10
            assert world.standing(endpoint)["state"] == "active"
            receiver.behaviour = "ok"
            world.clock.pass_by(hours=30)
            await settled(running)
        assert Counter(receiver.positions()) == Counter(range(1, 101))
        assert in_order(receiver)
        assert "waiting" not in world.states(endpoint)

    run(scenario())


@pytest.mark.parametrize("behaviour", ["hang", "drip", "redirect", "broken", "away", "cut", "babble", "busy"])
def test_five_days_of_nothing_but_failure_disable_an_endpoint_and_lose_nothing(world: World, behaviour: str) -> None:
    async def scenario() -> None:
        [receiver] = await received(behaviour)
        endpoint = world.endpoint(receiver.url)
        world.tell(20)
        async with world.engine() as running:
            for _ in range(12):
                await settled(running)
                world.clock.pass_by(hours=12)
            assert world.standing(endpoint)["state"] == "disabled"
            assert "waiting" not in world.states(endpoint)
            receiver.behaviour = "ok"
            enable(world)
            await settled(running)
        assert sorted(receiver.positions()) == list(range(1, 21))
        assert in_order(receiver)

    run(scenario())


def enable(world: World) -> None:
    import psycopg

    with psycopg.connect(world.conninfo, autocommit=True) as connection:
        connection.execute(
            "UPDATE push_endpoints SET state = 'active', failures = 0, failing_since = NULL, next_at = %s,"
            " changed_at = %s",
            (world.clock(), world.clock()),
        )


def test_gone_is_believed_at_once(world: World) -> None:
    async def scenario() -> None:
        [receiver] = await received("gone")
        endpoint = world.endpoint(receiver.url)
        world.tell(20)
        async with world.engine():
            await until(lambda: world.standing(endpoint)["state"] == "disabled")
        assert len(receiver.asked) <= 4

    run(scenario())


def test_too_many_requests_are_not_made_before_the_receiver_wants_them(world: World) -> None:
    async def scenario() -> None:
        [receiver] = await received("busy")
        world.endpoint(receiver.url)
        world.tell(20)
        async with world.engine() as running:
            await settled(running)
            before = len(receiver.asked)
            world.clock.pass_by(seconds=100)
            await settled(running)
            assert len(receiver.asked) == before
            world.clock.pass_by(seconds=21)
            receiver.behaviour = "ok"
            await settled(running)
        assert sorted(receiver.positions()) == list(range(1, 21))

    run(scenario())


@pytest.mark.parametrize("behaviour", ["talks", "flood", "restart", "slow"])
def test_odd_receivers_that_say_yes_get_everything(world: World, behaviour: str) -> None:
    async def scenario() -> None:
        [receiver] = await received(behaviour)
        world.endpoint(receiver.url)
        world.tell(40)
        async with world.engine() as running:
            for _ in range(10):
                await settled(running)
                world.clock.pass_by(minutes=10)
        assert set(receiver.positions()) == set(range(1, 41))
        assert sorted(world.accepted()) == sorted({asked.message for asked in receiver.taken})

    run(scenario())


def test_a_liar_gets_everything_and_pays_for_each_message_once(world: World) -> None:
    async def scenario() -> None:
        [receiver] = await received("lie")
        endpoint = world.endpoint(receiver.url, ordered=False)
        world.tell(20)
        async with world.engine() as running:
            for _ in range(60):
                await settled(running)
                world.clock.pass_by(hours=3)
        assert "waiting" not in world.states(endpoint)
        assert max(Counter(world.accepted()).values()) == 1

    run(scenario())
