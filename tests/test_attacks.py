"""The attack suite: every route of the published document, tried by everybody who should get nothing of ours.

Each cell is one route and one attacker, with the real ids of another party. It holds that nothing of ours is in what
the attacker is sent or in the logs, that what is not his answers as what does not exist, and that nobody gets a fault.
"""

import json
import logging
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.attack_world import BILL, BOX, CANARY, NOBODYS, US, World, is_uuid, texts
from tests.fixtures_node import Node

LOCKED_OUT = {"": 401, "typed": 401, "expired": 401, "revoked": 401, "suspended": 403}
STRANGERS = (
    *("them", "them-admin", "was-permitted", "department", "steward", "other-source", "call-centre", "operator"),
    *("finance", "system-admin"),
)
PUBLIC = re.compile(
    r"/(health|schema.*|v1/gateway/stripe/events|\.well-known/.*|authorize|token|userinfo|v1/formats|v1/fees|v1/login.*|v1/audit/(head|keys)|login.*|"
    r"(dcsa|epcis)/v2/\{rest[^}]*\})"
)
"""Without a login by design: what they say is the same for everybody."""
THEIR_WORK: dict[str, tuple[str, ...]] = {
    "operator": ("/v1/quarantine", "/v1/statements", "/v1/bank", "/v1/fapiao", "/v1/periods"),
    "system-admin": ("/v1/parties",),
    "finance": ("/v1/subscriptions", "/v1/statements", "/v1/deliveries", "/v1/bank", "/v1/fapiao", "/v1/periods"),
}
"""Who mends what could not be read sees what it is, and each look is on the trail; who registers parties knows them;
who keeps the node's books sees everybody's."""
OWN_BOOKS = (
    *("/v1/usage", "/v1/statements", "/v1/deliveries", "/v1/dunning", "/v1/bank", "/v1/fapiao"),
    "/v1/periods/{month}/usage-detail",
)
"""What a key for `usage` is for."""
OWN_CREDENTIAL = re.compile(r"/v1/(account|logout|password|totp.*|sessions.*|keys.*|tokens)")
"""Of whoever asks; a key that may do something else is still a key of its owner."""
BODIES: dict[str, Any] = {
    "/v1/verify/cross-check": {"purpose": "查验", "bill": BILL, "containers": [BOX]},
    "/v1/declarations/{number}/amend": {"reason": "x", "content": {}},
    "/v1/declarations/{number}/withdraw": {"reason": "x"},
    "/v1/declarations/{number}/delete-request": {"reason": "x"},
    "/v1/quarantine/{message_id}/dismiss": {"reason": "x"},
    "/epcis/v2/queries": {"name": "q", "query": {}},
    "/v1/bulk-query": {"numbers": [BOX, BILL]},
    "/v1/provider-usage": {"item": "feed.pull", "party": US, "quantity": 1, "reference": "x"},
    "/v1/exports": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
    "/v1/subscriptions/{order}/limits": {"limits": {}},
    "/v1/subscriptions/{order}/suspend": {"reason": "x"},
    "/v1/subscriptions/{order}/resume": {"reason": "x"},
}
QUERIES = {
    "/v1/track/{number}": (
        *("", "?format=csv", "?format=xlsx", "?include=retracted", "?lang=zh"),
        "?as_known_at=2030-01-01T00:00:00Z",
    ),
    "/v1/track": (f"?number={BOX}", f"?number={BILL}"),
    "/v1/verify/containers/{number}": ("?action=gate-out", "?action=load"),
    "/v1/declarations/draft": (f"?from={BILL}", f"?from={BOX}"),
    "/v1/feed": ("", "?limit=10000"),
    "/v1/statistics/detail": ("?measure=import-overall&by=place",),
    "/v1/alerts": ("", f"?subject=container:{BOX}"),
    "/dcsa/v2/events": ("", f"?equipmentReference={BOX}", f"?transportDocumentReference={BILL}"),
    "/epcis/v2/events": ("", "?perPage=100"),
    "/v1/quarantine": ("", "?state=open"),
    "/v1/usage": ("", "?account=us"),
    "/v1/statements": ("", f"?holder={US}"),
    "/v1/periods/{month}/workbook": ("", "?format=csv", "?format=json"),
    "/v1/periods/{month}/usage-detail": ("", "?format=jsonl"),
    "/v1/fapiao": ("?month=2025-12",),
    "/v1/fapiao/export": ("?month=2025-12", "?month=2025-12&format=csv"),
    "/v1/statements/{number}": ("", "?format=pdf", "?format=xlsx", "?format=csv"),
    "/v1/keys": ("", "?account=us"),
}  # fmt: skip


class Cell(NamedTuple):
    method: str
    path: str  # as it is published
    query: str
    who: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}{self.query} by {self.who or 'nobody'}"


class Suite:
    """Tries cells, and remembers what came of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.node = world.node
        self.cells = 0
        self.wrong: list[str] = []

    def routes(self) -> Iterator[tuple[str, str, str]]:
        document = self.node.client.get("/schema/openapi.json").json()
        for path, operations in document["paths"].items():
            for method in operations.keys() - {"options", "head"}:  # what there is to ask, and no answer
                for query in QUERIES.get(path, ("",)):
                    yield method.upper(), re.sub(r":\w+\}", "}", path), query

    def ours(self, path: str, query: str) -> str:
        ids = self.world.ids | {name: of for part, name, of in self.special() if path.startswith(part)}
        return (
            re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], path) + query
        )  # a KeyError: tell the world an id for it

    def nobodys(self, path: str, query: str) -> str:
        """The same with numbers that nobody ever used."""
        address = self.ours(path, query)
        for mine, other in self.twins():
            address = address.replace(mine, other)
        return address

    def special(self) -> list[tuple[str, str, str]]:
        """(the beginning of an address, a parameter, what it stands for there)."""
        named = [(part, "name", of) for part, of in self.world.named.items()]
        numbers = [("/v1/declarations", self.world.ids["declaration"]), ("/v1/shipments", BILL)]
        numbers.append(("/v1/statements", self.world.ids["statement"]))
        named += [("/v1/users", "name", "us"), ("/v1/messages", "message_id", self.world.ids["told_message"])]
        billed = [(f"/v1/periods/{{month}}/{each}", "month", "2025-12") for each in ("workbook", "usage", "reports")]
        return [*named, *billed, *((part, "number", of) for part, of in numbers)]

    def twins(self) -> list[tuple[str, str]]:
        declared = self.world.ids["declaration"]
        others = [
            (BOX, NOBODYS["box"]),
            (BILL, NOBODYS["bill"]),
            (declared, declared[:-1] + str(9 - int(declared[-1]))),
        ]
        made = [self.world.ids[each] for each in ("order", "watched")]
        others += [(each, f"{each[:2]}{'0' * (len(each) - 2)}") for each in made]
        others += [(each, NOBODYS["uuid"]) for each in self.world.ids.values() if is_uuid(each)]
        key = self.world.ids["key_id"]
        asked, query = self.world.named["/v1/permissions"], self.world.named["/epcis"]
        issued = self.world.ids["statement"]
        others += [(issued, f"{issued[:-1]}9"), (self.world.ids["stream"], "metering:none")]
        gone = [(key, "f" * len(key)), (query, "nobodys"), (asked, asked[:-1] + ("1" if asked[-1] == "0" else "0"))]
        return [*others, *gone, (US, "91320500MA00000313")]

    def send(self, cell: Cell, address: str) -> Any:
        self.cells += 1
        headers = (
            {"Authorization": "Bearer kouan_typed_wrong_00000000"}
            if cell.who == "typed"
            else self.node.bearer(cell.who)
        )
        body = json.dumps(BODIES.get(cell.path, {})) if cell.method != "GET" else None
        answer = self.node.client.request(
            cell.method,
            address,
            content=body,
            headers=headers | {"Content-Type": "application/json"},
            follow_redirects=False,
        )
        if answer.status_code >= 500 and answer.status_code != 503:
            self.wrong.append(f"{cell}: {answer.status_code}")
        return answer

    def leaks(self, cell: Cell, address: str, answer: Any) -> bool:
        """Something of ours is in it that the attacker did not send himself."""
        for text in texts(answer):
            for secret in (CANARY, BOX, BILL):
                if (
                    secret.encode() in text
                    and secret not in address
                    and secret not in json.dumps(BODIES.get(cell.path, {}))
                ):
                    return True
            if CANARY.encode() in text.replace(self.world.named["/epcis"].encode(), b""):
                return True
        return False


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Suite:
    monkeypatch.setenv("KOUAN_RATE_ADDRESS", "0")  # all the strangers come from one address
    node: Node = request.getfixturevalue("closed_node")
    return Suite(World(node))


@pytest.mark.slow
def test_nobody_gets_anything_of_ours(suite: Suite, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "kouan")
    for method, path, query in suite.routes():
        for who in (*LOCKED_OUT, *STRANGERS):
            _try(suite, Cell(method, path, query, who))
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]  # not the client's
    leaked = [message[:200] for message in ours if CANARY in message]
    print(f"attack suite: {suite.cells} cells, {sum('leak' in each for each in suite.wrong)} leaks")
    assert leaked == []
    assert suite.wrong == [], "\n".join(suite.wrong)
    assert suite.cells > 2_000


def _try(suite: Suite, cell: Cell) -> None:
    if cell.path.startswith(THEIR_WORK.get(cell.who, ())):
        return
    address = suite.ours(cell.path, cell.query)
    answer = suite.send(cell, address)
    if suite.leaks(cell, address, answer):
        suite.wrong.append(f"{cell}: leak: {answer.text[:300]}")
    if PUBLIC.fullmatch(cell.path):
        return
    if (must := LOCKED_OUT.get(cell.who)) is not None:
        if answer.status_code not in {must, 303, 405}:
            suite.wrong.append(f"{cell}: {answer.status_code}, must be {must}: {answer.text[:160]}")
        return
    absent = suite.nobodys(cell.path, cell.query)
    if absent != address:
        again = suite.send(cell, absent)
        if _same(suite, cell, answer) != _same(suite, cell, again):
            suite.wrong.append(
                f"{cell}: told apart: {answer.status_code} {answer.text[:200]} / {again.status_code} {again.text[:200]}"
            )


def _same(suite: Suite, cell: Cell, answer: Any) -> tuple[int, str]:
    text = answer.text
    for mine, other in suite.twins():
        text = text.replace(mine, other)
    return answer.status_code, re.sub(r"\d{4}-\d\d-\d\dT[\d:.+Z-]+|[0-9a-f]{8}-[0-9a-f-]{27}", "X", text)


@pytest.mark.slow
def test_a_key_for_something_else_does_nothing_here(suite: Suite) -> None:
    for method, path, query in suite.routes():
        if PUBLIC.fullmatch(path) or OWN_CREDENTIAL.fullmatch(path) or path.startswith(OWN_BOOKS):
            continue
        cell = Cell(method, path, query, "us-scoped")
        address = suite.ours(path, query)
        answer = suite.send(cell, address)
        if answer.status_code not in {403, 405} or suite.leaks(cell, address, answer):
            suite.wrong.append(f"{cell}: {answer.status_code} {answer.text[:160]}")
    assert suite.wrong == [], "\n".join(suite.wrong)


def test_the_suite_would_see_a_leak(suite: Suite) -> None:
    """We ourselves see the canaries where a stranger must not."""
    for path in (f"/v1/track/{BOX}", f"/v1/track/{BILL}", f"/v1/declarations/{suite.world.ids['declaration']}"):
        answer = suite.node.get(path, "us")
        assert (answer.status_code, CANARY in answer.text) == (200, True), path
    assert CANARY in suite.node.get(f"/v1/quarantine/{suite.world.ids['message_id']}/bytes", "source").text
