"""A node with a CA and a card, and the people who decide about them: what the tests of signing in by card hold."""

import base64
import json
from datetime import timedelta
from typing import Any

import psycopg
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from litestar.testing import TestClient

from api.identity import Account, open_account
from api.login import algorithms
from api.login.card_login import text
from tests import card_mint
from tests.card_mint import NOW, USCC, Holder, mint, name

OTHER = "91310000MA1ZZZZZ9Y"
PEOPLE = (
    Account("guard", "security-admin", "安全管理员", "Guard"),
    Account("keeper", "system-admin", "系统管理员", "Keeper"),
    Account("boss", "enterprise-admin", "企业管理员", "Boss", USCC),
    Account("li", "enterprise", "李", "Li", USCC),
    Account("stranger", "enterprise", "外人", "Stranger", OTHER),
)
ORIGIN = "https://port.example"


class Desk:
    """A node, a CA and a card of `li`, and whoever asks."""

    def __init__(self, conninfo: str, client: TestClient[Any]) -> None:
        self.conninfo, self.client = conninfo, client
        with psycopg.connect(conninfo, autocommit=True) as connection:
            self.keys = {each.account: open_account(connection, each) for each in PEOPLE}
        self.root = mint(name("Root"), ca=True)
        self.card = mint(name("Li"), self.root)

    def post(self, path: str, who: str, body: Any = None) -> Any:
        return self.client.post(path, json=body, headers=self.bearer(who))

    def bearer(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[who]}"}

    def put_crl(self, data: bytes, ca: str = "root") -> Any:
        return self.client.put(f"/v1/trust/cas/{ca}/crl", content=data, headers=self.bearer("guard"))

    def trust(self, root: Holder | None = None, ca: str = "root", **more: Any) -> None:
        root = root or self.root
        answer = self.post("/v1/trust/cas", "guard", {"name": ca, "certificate": root.pem, **more})
        assert answer.status_code == 201, answer.text
        assert self.put_crl(card_mint.crl(root), ca).status_code == 200

    def register(self, card: Holder | None = None, account: str = "li", who: str = "boss") -> Any:
        return self.post("/v1/cards", who, {"account": account, "certificate": (card or self.card).pem})

    def challenge(self) -> dict[str, Any]:
        answer = self.client.post("/v1/login/card/challenge")
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def signed(self, *chain: Holder, origin: str = ORIGIN, algorithm: str = "", **wrong: Any) -> dict[str, Any]:
        """The body of a good sign-in, but for what is said to be wrong."""
        told = self.challenge()
        holders = chain or (self.card,)
        named, value = sign(holders[0].key, text(origin, base64.b64decode(told["nonce"])))
        body = {"challenge": told["challenge"], "chain": "".join(each.pem for each in holders)}
        return body | {"signature": value, "algorithm": algorithm or named} | wrong

    def enter(self, *chain: Holder, **wrong: Any) -> Any:
        self.client.cookies.clear()
        return self.client.post("/v1/login/card", json=self.signed(*chain, **wrong))

    def fault(self, *chain: Holder, **wrong: Any) -> str:
        answer = self.enter(*chain, **wrong)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/card-refused"), answer.text
        return str(answer.json()["facts"]["fault"])

    def later(self, by: timedelta) -> None:
        self.client.app.state.gatekeeper.clock = lambda: NOW + by

    def trail(self, *actions: str) -> list[dict[str, Any]]:
        query = "SELECT state FROM commerce_events WHERE topic = 'access.told' ORDER BY notification_id"
        with psycopg.connect(self.conninfo) as connection:
            told = [json.loads(bytes(row[0])) for row in connection.execute(query).fetchall()]
        return [each for each in told if not actions or each["action"] in actions]


def sign(key: Any, data: bytes) -> tuple[str, str]:
    if isinstance(key, rsa.RSAPrivateKey):
        made, named = key.sign(data, algorithms.PSS, hashes.SHA256()), "rsa-pss-sha256"
    elif isinstance(key, ed25519.Ed25519PrivateKey):
        made, named = key.sign(data), "ed25519"
    else:
        made, named = key.sign(data, ec.ECDSA(hashes.SHA256())), "ecdsa-p256-sha256"
    return named, base64.b64encode(made).decode()
