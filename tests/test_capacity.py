"""Reserved capacity: however much paid traffic there is, government services are answered."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import pytest
from litestar.datastructures import State
from litestar.types import Receive, Scope, Send

from api.capacity import Capacity, Places
from api.identity import Account, open_account
from api.problems import CapacityReserved
from api.settings import Rate, Settings, SettingsError
from api.supervise import address, api, serve
from tests.bench.servers import free_port

NONE = Rate(0)
FLOOD = 24
BACKPRESSURE = 8
SECONDS = 3.0
QUESTIONS = 40


class Route:
    def __init__(self, item_class: str) -> None:
        self.opt = {"item_class": item_class} if item_class else {}


async def begun(most: int, classes: list[str]) -> list[str]:
    """Who of so many requests at the same moment is let in."""
    let_in, over = [], asyncio.Event()

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        let_in.append(scope["route_handler"].opt.get("item_class", ""))
        await over.wait()

    capacity, places, nothing = Capacity(app), Places(most), None
    running = SimpleNamespace(state=State({"places": places}))
    scopes: list[Any] = [{"route_handler": Route(each), "litestar_app": running} for each in classes]

    async def one(scope: Any) -> None:
        await capacity(scope, nothing, nothing)  # type: ignore[arg-type]

    tasks = [asyncio.create_task(one(scope)) for scope in scopes]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    over.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(each) for each in ended} <= {type(None), CapacityReserved}
    assert places.taken == 0
    return let_in


@pytest.mark.parametrize(
    ("classes", "let_in"),
    [
        (["commercial"] * 5, {"commercial": 2}),
        (["", "government"] * 5, {"": 5, "government": 5}),
        (["commercial"] * 5 + ["government"] * 5, {"commercial": 2, "government": 5}),
    ],
)
def test_paid_requests_take_their_places_and_no_more(classes: list[str], let_in: dict[str, int]) -> None:
    assert Counter(asyncio.run(begun(2, classes))) == let_in


@pytest.mark.parametrize(("backpressure", "share", "places"), [(256, 50, 128), (8, 50, 4), (1, 50, 1), (10, 100, 10)])
def test_paid_traffic_has_its_share_and_at_least_one_place(
    tmp_path: Path, backpressure: int, share: int, places: int
) -> None:
    assert Places.of(Settings(home=tmp_path, backpressure=backpressure, commercial_share=share)).most == places


@pytest.mark.parametrize("text", ["0", "101", "half", "-1", "0.5"])
def test_a_share_is_a_percentage(text: str) -> None:
    with pytest.raises(SettingsError, match="KOUAN_COMMERCIAL_SHARE"):
        Settings.read({"KOUAN_COMMERCIAL_SHARE": text})


# --- a served node ---


@contextmanager
def flooded(url: str, key: str) -> Iterator[Counter[int]]:
    """Paid questions from many connections, each asking again as soon as it is answered."""
    statuses: Counter[int] = Counter()
    over = threading.Event()

    async def one(client: httpx.AsyncClient) -> None:
        while not over.is_set():
            answer = await client.get("/v1/feed", headers={"Authorization": f"Bearer {key}"})
            statuses[answer.status_code] += 1
            if answer.status_code == 503:
                assert answer.json()["type"] == "/problems/capacity-reserved"
                assert answer.headers["Retry-After"] == "1"

    async def all_of_them() -> None:
        limits = httpx.Limits(max_connections=FLOOD, max_keepalive_connections=FLOOD)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60, trust_env=False) as client:
            await asyncio.gather(*(one(client) for _ in range(FLOOD)))

    thread = threading.Thread(target=asyncio.run, args=(all_of_them(),))
    thread.start()
    try:
        yield statuses
    finally:
        over.set()
        thread.join()


def test_tracking_is_answered_while_paid_questions_flood_the_node(database: str, tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path,
        port=free_port(),
        database_url=database,
        backpressure=BACKPRESSURE,
        rate_key=NONE,
        rate_party=NONE,
        rate_address=NONE,
    )
    with psycopg.connect(database, autocommit=True) as connection:
        mover = open_account(connection, Account("mover", "logistics", "物流", "Mover"))
        trader = open_account(connection, Account("trader", "enterprise", "企业", "Trader"))
    bearer = {"Authorization": f"Bearer {trader}"}
    with serve(settings, database, programs=(api(settings),)), flooded(address(settings), mover) as statuses:
        time.sleep(0.5)
        for _ in range(QUESTIONS):
            answer = httpx.get(
                f"{address(settings)}/v1/track/CSQU3054383", headers=bearer, timeout=SECONDS, trust_env=False
            )
            assert answer.status_code == 404  # nothing is known; the question is answered
    assert statuses[200]
    assert statuses[503]
