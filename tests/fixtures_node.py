"""A node for a test: the real application on a database of its own; its read models catch up on demand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from api.app import READ_MODELS, Works, assemble, man
from api.identity import Account, open_account
from api.settings import Settings
from domain.delivery import new_id
from domain.fact import Fact
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.writer import Writer
from projections import runner
from tests.open_register import OWNER

PEOPLE = {
    "enterprise": Account("trader", "enterprise", "外贸企业", "Trader"),
    "logistics": Account("mover", "logistics", "物流企业", "Mover"),
    "finance": Account("clerk", "finance", "财务", "Clerk"),
    "operator": Account("operator", "operator", "运营", "Operator"),
    "source": Account("terminal", "source", "码头", "Terminal", party=OWNER),
    "line": Account("line", "source", "船公司", "Line", party=OWNER),
}


_free: list[Litestar] = []


@contextmanager
def manned(
    conninfo: str, settings: Settings | None = None, *, raises: bool = False, base_url: str = "http://testserver.local"
) -> Iterator[TestClient[Litestar]]:
    """The application on a database. Putting it together takes longer than most tests: it serves one after another."""
    app = _free.pop() if _free else assemble()
    man(app, Works(conninfo, settings or Settings.read()))
    with TestClient(app, base_url=base_url, raise_server_exceptions=raises) as client:
        yield client
    _free.append(app)


class Node:
    """What a test holds in its hand."""

    def __init__(self, conninfo: str, client: TestClient[Litestar]) -> None:
        self.conninfo = conninfo
        self.client = client
        with psycopg.connect(conninfo, autocommit=True) as connection:
            self.keys = {who: open_account(connection, account) for who, account in PEOPLE.items()}

    def get(self, path: str, who: str = "enterprise", **params: Any) -> Any:
        return self.client.get(path, params=params or None, headers=self.bearer(who))

    def post(self, message_format: str, body: bytes, who: str = "source", **headers: str) -> Any:
        return self.client.post(
            f"/v1/reports?format={message_format}", content=body, headers={**self.bearer(who), **headers}
        )

    def tell(self, *events: dict[str, Any], who: str = "source") -> Any:
        """Post native events; they must be taken."""
        answer = self.post("native", msgspec.json.encode(list(events)), who)
        assert answer.status_code == 202, answer.text
        self.catch_up()
        return answer.json()

    def open(self, who: str, account: Account) -> None:
        """One more account, known to the test by a name."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            self.keys[who] = open_account(connection, account)

    def decide(self, journal: str, stream: str, *facts: Fact) -> None:
        """Facts of Kouan's own, as decisions write them."""
        with Journal(journal, self.conninfo).opened() as kept:
            writer = Writer(kept)
            new = [NewFact(stream, new_id(fact.recorded_at), fact) for fact in facts]
            writer.write([Intent(facts=new, fresh=True)])
            writer.stop()
        self.catch_up()

    def bearer(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[who]}"} if who else {}

    def catch_up(self) -> None:
        """Bring every read model to the end of its journal."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            for name in ("cargo", "commerce"):
                with Journal(name, self.conninfo).opened() as journal:
                    runner.catch_up(connection, journal, READ_MODELS)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.conninfo) as connection:
            return connection.execute(query.encode(), values).fetchall()


@pytest.fixture
def closed_node(closed_database: str) -> Iterator[Node]:
    """A node at which nobody is permitted anything: everybody sees what is public, and parties their own."""
    with manned(closed_database) as client:
        yield Node(closed_database, client)


@pytest.fixture
def node(database: str) -> Iterator[Node]:
    with manned(database) as client:
        yield Node(database, client)
