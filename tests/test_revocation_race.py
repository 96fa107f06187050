"""Revocation against everything that is on its way out: behind a revocation nothing is delivered under the permission.

Deliveries and revocations stand in one journal, so that this is a matter of positions, not of clocks. One thousand
permissions come and go while callers ask, export and pull without a pause.
"""

import json
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from api.identity import Account
from domain.datasets import AIR, PORT, RAIL, ROAD
from domain.delivery import new_id
from domain.fact import Fact
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.writer import Writer
from tests.fixtures_node import Node
from tests.open_register import subscribed
from tests.test_sight import BOX, event, granted, owned, stopped

REVOCATIONS = 1_000
AT_MOST = 5_000  # revocations: on a busy machine more of them are needed until enough questions were answered
ENOUGH = 100  # answers that were not overtaken
SOME_SECONDS = 0.004  # between two changes: some questions are overtaken, and some are not
WHO = "LOGISTICS-1"
COMMERCE = """
SELECT notification_id, topic, state FROM commerce_events
WHERE topic IN ('delivery.made', 'permission.granted', 'permission.revoked')
ORDER BY notification_id
"""


def asking(node: Node, path: str, over: threading.Event, statuses: list[int]) -> Callable[[], None]:
    def ask() -> None:
        while not over.is_set():
            statuses.append(node.client.get(path, headers=node.bearer("carrier")).status_code)

    return ask


def change(writer: Writer, *told: tuple[str, Fact]) -> None:
    writer.write(
        [Intent(facts=[NewFact(stream, new_id(datetime.now(UTC)), fact)], fresh=True) for stream, fact in told]
    )


@pytest.mark.slow
def test_nothing_is_delivered_under_a_permission_behind_its_revocation(closed_node: Node) -> None:
    node = closed_node
    node.open("carrier", Account("carrier", "logistics", "物流", "Carrier", party=WHO))
    node.tell(
        *(event(str(day), "GATE_IN", day, mode="TRUCK") for day in range(1, 6)), event("8", "LOADED", 9, mode="VESSEL")
    )
    over, statuses = threading.Event(), list[int]()
    paths = [
        f"/v1/track/{BOX}",
        f"/v1/track/{BOX}",
        f"/v1/track/{BOX}?format=csv",
        "/v1/feed",
        f"/v1/track/{BOX}?include=retracted",
    ]
    threads = [threading.Thread(target=asking(node, path, over, statuses)) for path in paths]
    with Journal("commerce", node.conninfo).opened() as journal:
        writer = Writer(journal)
        change(writer, subscribed("carrier", WHO), *(owned(dataset) for dataset in (ROAD, PORT, RAIL, AIR)))
        for thread in threads:
            thread.start()
        revoked = revoke_by_chance(writer, statuses)
        over.set()
        for thread in threads:
            thread.join()
        writer.stop()
    told = node.rows(COMMERCE)
    assert set(statuses) <= {200, 404, 503}
    delivered, behind = judged(told)
    assert behind == []
    assert delivered > ENOUGH // 5, "the race was none: hardly anything was delivered at all"
    print(f"{revoked} revocations, {len(statuses)} questions, {delivered} deliveries under a permission, 0 behind one")


def revoke_by_chance(writer: Writer, statuses: list[int]) -> int:
    chance = random.Random(5)
    live: list[tuple[str, str]] = []
    until = {
        "valid_to": datetime.now(UTC) + timedelta(days=1),
        "channels": ("query", "export", "api"),
        "commercial": True,
    }
    number = 0
    while number < REVOCATIONS or (statuses.count(200) < ENOUGH and number < AT_MOST):
        number += 1
        name, dataset = f"R{number}", chance.choice((ROAD, PORT))
        change(writer, granted(WHO, dataset=dataset, number=name, **until))
        live.append((name, dataset))
        time.sleep(chance.random() * SOME_SECONDS)
        if len(live) > chance.randrange(3):
            revoke(writer, live.pop(chance.randrange(len(live)))[0])
            time.sleep(chance.random() * SOME_SECONDS)
    for name, _ in live:
        revoke(writer, name)
    return number


def revoke(writer: Writer, name: str) -> None:
    _, fact = stopped()
    change(writer, (f"permission:{name}", msgspec.structs.replace(fact, permission=name)))


def judged(told: list[tuple[int, str, bytes]]) -> tuple[int, list[int]]:
    """How many deliveries were made under a permission, and the positions of those behind its revocation."""
    revoked: set[str] = set()
    delivered, behind = 0, []
    for position, topic, state in told:
        fact = json.loads(state)
        if topic == "permission.revoked":
            revoked.add(fact["permission"])
        elif topic == "delivery.made" and fact.get("permissions"):
            delivered += 1
            if not revoked.isdisjoint(fact["permissions"]):
                behind.append(position)
    return delivered, behind
