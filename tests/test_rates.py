"""Limits: processes share them, no window ever holds more than is told, and who is unknown waits outside."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from litestar.testing import TestClient

from api.identity import Account
from api.leases import SLICES, SWEEP, Buckets, Lease, Limiter, Policy, network
from api.pool import Pool, open_pool
from api.problems import TooManyRequests
from api.rates import policies
from api.settings import Rate, Settings, SettingsError
from domain.writer import Busy
from tests.fixtures_node import Node, manned

TRADER = Account("trader", "enterprise", "企业", "Trader", party="P1", credential="key:1", address="192.0.2.7")


class Clock:
    """Seconds since 1970, as the test has them pass."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def processes(conninfo: str, rates: dict[str, Policy], clock: Clock | None, count: int) -> Iterator[list[Limiter]]:
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            pool = stack.enter_context(closing(open_pool(conninfo)))
            found.append(Limiter(pool, rates, clock))
            stack.callback(found[-1].stop)
        yield found


async def passes(limiter: Limiter, buckets: Buckets, cost: int = 1) -> bool:
    try:
        await limiter.take(buckets, cost)
    except TooManyRequests:
        return False
    return True


async def drained(limiters: list[Limiter], times: int) -> int:
    """How many of so many requests pass, sent to one process after another."""
    return sum([await passes(limiter, limiter.of(TRADER)) for _ in range(times) for limiter in limiters])


# --- the bound ---


@pytest.mark.parametrize("tokens", [1, 10, 100, 1_000])
def test_processes_share_a_limit(database: str, tokens: int) -> None:
    policy = Policy("key", tokens, 60)
    with processes(database, {"key": policy}, Clock(), 3) as limiters:
        passed = asyncio.run(drained(limiters, tokens))
    assert tokens - 3 * policy.block <= passed <= tokens


def test_what_was_used_comes_back_when_its_window_is_over(database: str) -> None:
    clock = Clock()
    with processes(database, {"key": Policy("key", 40, 60)}, clock, 1) as [limiter]:
        assert asyncio.run(drained([limiter], 100)) == 40
        clock.now += 50
        assert asyncio.run(drained([limiter], 100)) == 0
        clock.now += 16
        assert asyncio.run(drained([limiter], 100)) == 40


STEPS = some.lists(
    some.tuples(some.integers(0, 2), some.sampled_from([False, False, True]), some.sampled_from([0, 0, 0.4, 1, 5, 11])),
    min_size=20,
    max_size=120,
)


@given(STEPS, some.sampled_from([(5, 5), (20, 10), (60, 7)]), some.sampled_from([1, 3, 40]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_window_ever_holds_more_than_limit_and_a_block_for_each_process(
    database: str, steps: list[tuple[int, bool, float]], rate: tuple[int, int], dear: int
) -> None:
    clock, policy = Clock(), Policy("key", *rate)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("TRUNCATE rates")
    passed: list[tuple[float, int]] = []
    dearest = min(dear, policy.tokens)

    async def run(limiters: list[Limiter]) -> None:
        for number, is_dear, pause in steps:
            clock.now += pause
            cost, buckets = (dearest if is_dear else 1), limiters[number].of(TRADER)
            passed.extend([(clock.now, cost) for _ in range(8) if await passes(limiters[number], buckets, cost)])

    with processes(database, {"key": policy}, clock, 3) as limiters:
        asyncio.run(run(limiters))
    bound = policy.tokens + 3 * max(policy.block, dearest)
    for start, _ in passed:
        assert sum(cost for at, cost in passed if start <= at < start + policy.seconds) <= bound


def test_what_fails_in_one_bucket_is_not_spent_from_the_others(database: str) -> None:
    rates = {"key": Policy("key", 100, 60), "party": Policy("party", 10, 60)}
    with processes(database, rates, Clock(), 1) as [limiter]:
        assert asyncio.run(drained([limiter], 50)) == 10
        key, party = limiter.of(TRADER).leases
    assert (key.left + key.rest, party.left) == (90, 0)


def test_a_request_dearer_than_the_limit_costs_all_of_it(database: str) -> None:
    with processes(database, {"key": Policy("key", 10, 60)}, Clock(), 1) as [limiter]:
        assert asyncio.run(passes(limiter, limiter.of(TRADER), 1_000))
        assert not asyncio.run(passes(limiter, limiter.of(TRADER)))


def test_a_clock_that_was_set_back_shuts_nobody_out(database: str) -> None:
    clock = Clock()
    with processes(database, {"key": Policy("key", 10, 60)}, clock, 1) as [limiter]:
        asyncio.run(drained([limiter], 20))
    clock.now -= 86_400
    with processes(database, {"key": Policy("key", 10, 60)}, clock, 1) as [limiter]:
        assert asyncio.run(passes(limiter, limiter.of(TRADER)))


def test_a_block_serves_many_requests_and_is_filled_up_ahead(database: str) -> None:
    with processes(database, {"key": Policy("key", 2_000, 60)}, Clock(), 1) as [limiter]:

        async def run() -> list[float]:
            waits = []
            for _ in range(1_000):
                start = time.perf_counter()
                await limiter.take(limiter.of(TRADER), 1)
                waits.append(time.perf_counter() - start)
                await asyncio.sleep(0.0005)
            return waits

        waits = asyncio.run(run())
    assert len([wait for wait in waits if wait > 0.001]) < 50


# --- the table ---


def test_rows_that_say_nothing_any_more_are_swept(database: str) -> None:
    clock = Clock()
    with processes(database, {"key": Policy("key", 10, 60)}, clock, 1) as [limiter]:
        asyncio.run(drained([limiter], 1))
    with psycopg.connect(database, autocommit=True) as connection:
        assert connection.execute(SWEEP, {"now": clock.now + 66}).rowcount == 0
        assert connection.execute(SWEEP, {"now": clock.now + 121}).rowcount == 1


def test_a_memory_that_is_full_is_emptied_and_the_table_remembers(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.leases.CALLERS_MAX", 3)
    policy = Policy("anonymous", 4, 60, strict=True)
    with processes(database, {"anonymous": policy}, Clock(), 1) as [limiter]:

        async def run() -> int:
            others = [f"192.0.2.{number}" for number in range(100)]
            return sum(
                [
                    await passes(limiter, limiter.stranger(address))
                    for other in others
                    for address in ("198.51.100.1", other)
                    if await passes(limiter, limiter.stranger(other)) or True
                ]
            )

        asyncio.run(run())
        assert not asyncio.run(passes(limiter, limiter.stranger("198.51.100.1")))


@pytest.mark.parametrize(
    ("address", "stands_for"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::9", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("no:address", "no:address"),
        ("", ""),
    ],
)
def test_an_ipv6_host_counts_as_one_whatever_it_calls_itself(address: str, stands_for: str) -> None:
    assert network(address) == stands_for


# --- without the database ---


@pytest.fixture
def nowhere() -> Iterator[Pool]:
    with closing(open_pool("host=127.0.0.1 port=1 connect_timeout=1")) as pool:
        yield pool


def test_while_nobody_can_count_who_is_known_passes_and_who_is_not_waits(nowhere: Pool) -> None:
    rates = policies(Settings.read({}))
    limiter = Limiter(nowhere, rates)

    async def run() -> float:
        await limiter.take(limiter.of(TRADER), 1)
        start = time.monotonic()
        for _ in range(100):
            await limiter.take(limiter.of(TRADER), 1)
        took = time.monotonic() - start
        with pytest.raises(Busy):
            await limiter.take(limiter.stranger("192.0.2.7"), 1)
        return took

    assert asyncio.run(run()) < 0.5  # one waits, the others do not wait again
    limiter.stop()


# --- settings ---


@pytest.mark.parametrize(
    ("text", "rate"), [("600/60", Rate(600, 60)), ("1/1", Rate(1, 1)), ("0", Rate(0)), ("0/5", Rate(0, 5))]
)
def test_a_rate_is_a_number_over_seconds(text: str, rate: Rate) -> None:
    assert Settings.read({"KOUAN_RATE_KEY": text}).rate_key == rate
    found = Settings.read({"KOUAN_RATE_KEY": text, "KOUAN_COMMERCIAL_SHARE": "20"})
    assert Settings.read(found.environment()) == found


@pytest.mark.parametrize("text", ["many", "600", "600/0", "-1/60", "10000001/60", "6/0.5", "６/60", "1/2/3", "/60"])
@pytest.mark.parametrize("variable", ["KEY", "PARTY", "ADDRESS", "LOGIN"])
def test_a_rate_that_is_none_is_named(text: str, variable: str) -> None:
    with pytest.raises(SettingsError, match=f"KOUAN_RATE_{variable}"):
        Settings.read({f"KOUAN_RATE_{variable}": text})


@pytest.mark.parametrize(
    ("name", "tokens", "strict", "block"),
    [
        ("key", 60_000, False, 3_000),
        ("party", 120_000, False, 6_000),
        ("address", 120_000, False, 6_000),
        ("anonymous", 1_200, True, 60),
        ("login", 10, True, 1),
    ],
)
def test_the_table_of_policies(name: str, tokens: int, strict: bool, block: int) -> None:
    found = policies(Settings.read({}))[name]
    assert found == Policy(name, tokens, 60, strict)
    assert found.block == block


def test_what_is_set_to_0_is_not_limited() -> None:
    none = {f"KOUAN_RATE_{each}": "0" for each in ("KEY", "PARTY", "ADDRESS", "LOGIN")}
    assert policies(Settings.read(none)) == {}


# --- at the door ---


@contextmanager
def limited(node: Node, tmp_path: Path, **rates: Rate) -> Iterator[TestClient[Any]]:
    own = msgspec.structs.replace(Settings(home=tmp_path), **rates)
    with manned(node.conninfo, own) as client:
        yield client


def test_every_answer_tells_what_is_left_and_of_what(node: Node, tmp_path: Path) -> None:
    with limited(node, tmp_path, rate_key=Rate(50, 60)) as client:
        bearer = node.bearer("enterprise")
        for left, path in ((49, "/v1/usage"), (48, "/v1/track/UNKNOWN")):
            headers = client.get(path, headers=bearer).headers
            assert headers["RateLimit-Policy"] == '"key";q=50;w=60, "address";q=120000;w=60'
            assert headers["RateLimit"].startswith(f'"key";r={left};t=')


def test_too_much_is_told_with_what_and_when(node: Node, tmp_path: Path) -> None:
    with limited(node, tmp_path, rate_key=Rate(3, 60)) as client:
        answers = [client.get("/v1/usage", headers=node.bearer("enterprise")) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        last = answers[-1]
        assert last.headers["content-type"] == "application/problem+json"
        assert last.json()["type"] == "/problems/too-many-requests"
        facts = last.json()["facts"]
        assert (facts["policy"], facts["limit"], facts["window_seconds"]) == ("key", 3, 60)
        assert 54 <= int(last.headers["Retry-After"]) == facts["seconds"] <= 66
        assert last.headers["RateLimit"] == f'"key";r=0;t={facts["seconds"]}'
        assert client.get("/v1/usage", headers=node.bearer("logistics")).status_code == 200


def test_a_dear_route_costs_what_it_says(node: Node, tmp_path: Path) -> None:
    with limited(node, tmp_path, rate_key=Rate(25, 60)) as client:
        answers = [client.get("/v1/feed", headers=node.bearer("logistics")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_a_flood_without_a_credential_is_stopped_and_callers_with_one_are_not(node: Node, tmp_path: Path) -> None:
    with limited(node, tmp_path, rate_address=Rate(20, 60)) as client:
        statuses = [client.get("/v1/track/CSQU3054383").status_code for _ in range(30)]
        assert statuses == [401] * 20 + [429] * 10
        assert client.get("/v1/usage", headers=node.bearer("enterprise")).status_code == 200
        assert client.get("/health").status_code == 200


def test_credentials_that_are_not_good_are_laid_to_the_charge_of_their_address(node: Node, tmp_path: Path) -> None:
    with limited(node, tmp_path, rate_address=Rate(20, 60)) as client:
        wrong = {"Authorization": "Bearer kouan_1_2_3"}
        statuses = [client.get("/v1/usage", headers=wrong).status_code for _ in range(30)]
    assert statuses == [401] * 20 + [429] * 10


def test_signing_in_is_tried_ten_times_a_minute_from_an_address(node: Node, tmp_path: Path) -> None:
    with limited(node, tmp_path) as client:
        statuses = [client.post("/sign-in", data={"key": "wrong"}).status_code for _ in range(12)]
    assert statuses[:10].count(429) == 0
    assert statuses[10:] == [429, 429]


def test_a_lease_tells_when_enough_is_back() -> None:
    lease = Lease(Policy("key", 10, SLICES), "x")
    lease.left, lease.frees = 1, [(5.0, 2), (9.0, 7)]
    assert [lease.back_at(cost) for cost in (2, 3, 4, 10)] == [5.0, 5.0, 9.0, 9.0]
