"""What tests of signing in share: a node whose clock the test sets, accounts with passwords, a browser's manners."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyotp
import pytest
from psycopg import sql

from api.identity import COOKIE, Account, Role, open_account
from api.login import passwords, totp
from api.login.door import csrf_of
from api.login.vault import Vault
from api.settings import Rate, Settings
from tests.fixtures_node import Node, manned

PASSWORD = "Wharf crane 42, east"
PARTY, OTHER = "91320000MA0000015K", "91320000MA0000023E"
HASHED = passwords.hashed(PASSWORD)


class Desk:
    """A node at a moment that the test moves."""

    def __init__(self, node: Node) -> None:
        self.node, self.client, self.now = node, node.client, datetime.now(UTC)
        self.vault: Vault = self.client.app.state.vault
        self.client.app.state.gatekeeper.clock = lambda: self.now
        self.secrets: dict[str, str] = {}

    def later(self, **ago: float) -> None:
        self.now += timedelta(**ago)

    def open(
        self, name: str, role: Role = "enterprise", party: str = "", *, factor: bool = False, **columns: Any
    ) -> str:
        """An account with PASSWORD, and a key, which is returned."""
        with self.connected() as connection:
            key = open_account(connection, Account(name, role, name, name, party))
            given = {"password": HASHED, "password_set_at": self.now, **columns}
            for column, value in given.items():
                query = sql.SQL("UPDATE accounts SET {} = %s WHERE account = %s").format(sql.Identifier(column))
                connection.execute(query, (value, name))
            if factor:
                self.secrets[name] = totp.begin(connection, self.vault, name).secret
                totp.confirm(connection, self.vault, name, self.code(name), self.now)
                self.later(minutes=1)
        return key

    def code(self, name: str, steps: int = 0) -> str:
        """The present code of an account, or of so many steps away."""
        return pyotp.TOTP(self.secrets[name]).at(self.now + timedelta(seconds=30 * steps))

    def login(self, name: str, password: str = PASSWORD, code: str = "", **headers: str) -> Any:
        body = {"account": name, "password": password, "totp": code}
        return self.client.post("/v1/login", json=body, headers=headers)

    def token(self) -> str:
        return self.client.cookies.get(COOKIE) or ""

    def back(self, token: str) -> None:
        """Use an earlier session's cookie."""
        self.client.cookies.clear()
        self.client.cookies.set(COOKIE, token)

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        """By the session, as a page of ours would, or by a key."""
        headers = {"Authorization": f"Bearer {key}"} if key else {"X-CSRF-Token": csrf_of(self.token())}
        return self.client.request(method, path, json=body, headers=headers)

    def connected(self) -> Any:
        return psycopg.connect(self.node.conninfo, autocommit=True)

    def told(self) -> list[tuple[str, str, str]]:
        """(action, object, result) of the trail, in order."""
        rows = self.node.rows(
            "SELECT convert_from(state, 'UTF8')::json FROM commerce_events WHERE topic LIKE 'access.%%' "
            "ORDER BY notification_id"
        )
        return [(row[0]["action"], row[0]["object"], row[0].get("result", "ok")) for row in rows]


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Iterator[Desk]:
    """Without the limit on attempts of an address in a minute: what is tested here counts in its own way."""
    settings = Settings(home=tmp_path, rate_login=Rate(0))
    with manned(database, settings) as client:
        yield Desk(Node(database, client))
