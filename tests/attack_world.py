"""A node with one enterprise's world in it, full of canaries, and everybody who should not see it.

Every text of ours that could leak holds CANARY. What is asked for by number, the attackers know: the numbers are in the
addresses they try, and stand beside numbers that nobody ever used.
"""

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg

from api.exporting import orders
from api.identity import Account, open_account
from billing import drafting
from domain.datasets import DATASETS, ROAD
from domain.journal import Journal
from domain.party import PartyRegistered, UserSuspended
from domain.shipment import PartyNamed
from domain.writer import Writer
from tests.fixtures_node import Node
from tests.sample_declaration import content
from tests.test_sight import granted, owned, stopped
from tests.test_usage import cut, made

CANARY = "CANARY"
US, THEM = "91320000MA0000015K", "91610100MA0000023K"
BOX, BILL = "CSQU3054383", "KOUA0000001"
NOBODYS = {"box": "TOLU4734787", "bill": "KOUA7777777", "uuid": "00000000-0000-4000-8000-000000000001"}
AT = {"happened_at": datetime.now(UTC), "recorded_at": datetime.now(UTC)}
UNTIL = datetime.now(UTC) + timedelta(days=1)
PEOPLE = {
    "us": Account("us", "enterprise", "甲公司", "Us", party=US, rights=("enter", "declare")),
    "us-admin": Account("us-admin", "enterprise-admin", "甲公司管理员", "Our admin", party=US),
    "us-scoped": Account("us-scoped", "enterprise", "甲公司", "Us", party=US, rights=("enter", "declare")),
    "them": Account("them", "enterprise", "乙公司", "Them", party=THEM, rights=("enter", "declare")),
    "them-admin": Account("them-admin", "enterprise-admin", "乙公司管理员", "Them", party=THEM),
    "suspended": Account("suspended", "enterprise", "停用", "Suspended", party=THEM, rights=("enter", "declare")),
    "expired": Account("expired", "enterprise", "乙公司", "Them", party=THEM),
    "revoked": Account("revoked", "enterprise", "乙公司", "Them", party=THEM),
    "was-permitted": Account("was-permitted", "logistics", "物流", "Logistics", party="LOGISTICS-1"),
    "department": Account("department", "officer", "别的部门", "Another department", party="DEPT-2"),
    "steward": Account("steward", "steward", "别的部门", "Another department", party="DEPT-2"),
    "other-source": Account("other-source", "source", "别的码头", "Another terminal", party="DEPT-2"),
    "call-centre": Account("call-centre", "call-centre", "呼叫中心", "Call centre", party="OPERATOR"),
    "operator": Account("operator", "operator", "运营", "Operator", party="OPERATOR"),
    "finance": Account("finance", "finance", "财务", "Finance", party="OPERATOR"),
    "system-admin": Account("system-admin", "system-admin", "系统管理员", "System", party="OPERATOR"),
}


class World:
    """The node, and the ids of ours that an attacker would try, by the name of the parameter in the address."""

    def __init__(self, node: Node) -> None:
        self.node = node
        with psycopg.connect(node.conninfo, autocommit=True) as connection:
            for name, account in PEOPLE.items():
                node.keys[name] = open_account(connection, account)
        self.ids: dict[str, str] = {}
        self.named: dict[str, str] = {
            "/v1/parties": US,
            "/v1/datasets": ROAD,
            "/v1/agreements": "none",
            "/v1/trust": "x",
        }
        """By the beginning of the address, what {name} stands for."""
        self._cargo()
        self._papers()
        self._endpoint()
        self._billed()
        self._credentials()
        node.catch_up()
        self._alert()

    def _cargo(self) -> None:
        node = self.node
        box = {"subject": f"container:{BOX}", "place": "CNSHG", "mode": "VESSEL", "laden": True, "refs": [f"bl:{BILL}"]}
        bill = {"subject": f"bl:{BILL}", "place": "CNSHG", "mode": "VESSEL", "transport": f"{CANARY} STAR"}
        said = {"text": f"{CANARY}-1", "seal": f"{CANARY}2"}
        enrolled = PartyRegistered(**AT, party=US, by="a", kind="enterprise", zh=f"{CANARY}公司", en="Us")
        node.decide("commerce", f"party:{US}", enrolled)
        node.decide("cargo", f"bl:{BILL}", PartyNamed(**AT, role="consignee", party=US, by="terminal"))
        node.tell(
            {"id": "1", "code": "DISCHARGED", "happened_at": "2026-03-01T12:00:00+08:00", **box, **said},
            {"id": "2", "code": "GATE_OUT", "happened_at": "2026-03-03T12:00:00+08:00", **box},
            {"id": "3", "code": "BL_ISSUED", "happened_at": "2026-03-02T10:00:00+08:00", **bill},
        )
        self.ids |= {"number": BOX, "rest": BOX}
        [(fact_id,)] = node.rows("SELECT fact_id FROM timeline WHERE sort IS NOT NULL LIMIT 1")
        self.ids["event_id"] = str(fact_id)
        [(told,)] = node.rows("SELECT message_id FROM cargo_messages WHERE status = 'recorded' LIMIT 1")
        self.ids["told_message"] = str(told)

    def _papers(self) -> None:
        node = self.node
        ours = {"name": f"{CANARY}甲", "uscc": US}
        body = content(bill=BILL, note=f"{CANARY}-3", marks=f"{CANARY}-4", trader=ours, owner=ours, agent=ours)
        lodged = self.sent("POST", "/v1/declarations", "us", body)
        assert lodged.status_code < 300, lodged.text
        self.ids["declaration"] = lodged.json()["number"]
        held = node.post("native", f'[{{"{CANARY}": }}]'.encode())
        assert held.status_code == 202, held.text
        [(message_id,)] = node.rows("SELECT message_id FROM cargo_quarantine LIMIT 1")
        self.ids["message_id"] = str(message_id)
        query = {"name": f"{CANARY}-query", "query": {"eventType": ["ObjectEvent"]}}
        kept = self.sent("POST", "/epcis/v2/queries", "us", query)
        assert kept.status_code < 300, kept.text
        self.named["/epcis"] = f"{CANARY}-query"
        wanted = {"dataset": ROAD, "purpose": f"{CANARY}-5", "channels": ["query"], "valid_from": AT["happened_at"]}
        asked = self.sent("POST", "/v1/permissions", "us-admin", wanted | {"valid_to": UNTIL})
        assert asked.status_code < 300, asked.text
        self.named["/v1/permissions"] = asked.json()["id"]

        ordered = self.sent("POST", "/v1/subscriptions", "us-admin", {"items": ["feed.pull"]})
        assert ordered.status_code < 300, ordered.text
        self.ids["order"] = ordered.json()["id"]
        [watched] = self.sent("POST", "/v1/watches", "us-admin", {"numbers": [f"{CANARY}-WATCHED"]}).json()
        self.ids["watched"] = watched["id"]

    def _endpoint(self) -> None:
        """Where our feed is pushed to."""
        made = self.sent("POST", "/v1/endpoints", "us", {"url": f"https://hooks.example.com/{CANARY}-6"})
        assert made.status_code < 300, made.text
        self.ids["endpoint"] = made.json()["endpoint"]["id"]

    def _billed(self) -> None:
        """Our statement of a month that is over, with something to pay."""
        node, month = self.node, "2025-12"
        used = made(datetime(2025, 12, 10, tzinfo=UTC), 50, account="us", party=US)
        node.decide("commerce", "metering:ours", used)
        node.decide("commerce", f"period:{month}", cut(month))
        with (
            psycopg.connect(node.conninfo, autocommit=True) as opened,
            Journal("commerce", node.conninfo).opened() as kept,
        ):
            writer = Writer(kept)
            drafting.issue(opened, writer, month, by="clerk", at=AT["recorded_at"])
            writer.stop()
        self.ids |= {"line": "1", "stream": "metering:ours", "version": "1"}
        [(self.ids["statement"],)] = node.rows("SELECT statement FROM issued_statements WHERE holder = %s", US)

    def _credentials(self) -> None:
        """Keys that do not open any more, a permission that was, a user that is out."""
        node = self.node
        with psycopg.connect(node.conninfo, autocommit=True) as connection:
            connection.execute("UPDATE api_keys SET expires_at = now() - interval '1 day' WHERE account = 'expired'")
            connection.execute("UPDATE api_keys SET revoked_at = now() WHERE account = 'revoked'")
            connection.execute("UPDATE api_keys SET scopes = '{usage}' WHERE account = 'us-scoped'")
            connection.execute("UPDATE accounts SET state = 'suspended' WHERE account = 'suspended'")
        node.decide(
            "commerce", f"party:{THEM}", UserSuspended(**AT, party=THEM, by="a", user="suspended", reason="试验")
        )
        until = {"channels": ("query", "api", "export", "push", "analytics"), "commercial": True}
        for dataset in DATASETS:
            stream, told = granted("LOGISTICS-1", dataset=dataset, number=f"P-{dataset}", **until)
            node.decide("commerce", *owned(dataset))
            node.decide("commerce", stream, told)
            _, ended = stopped()
            node.decide("commerce", stream, msgspec.structs.replace(ended, permission=f"P-{dataset}"))
        made = self.sent("POST", "/v1/keys", "us", {"name": f"{CANARY}-key", "days": 10})
        assert made.status_code < 300, made.text
        self.ids["key_id"] = node.keys["us"].split("_")[1]
        self.ids |= dict.fromkeys(("capture_id", "subscription_id", "card"), NOBODYS["uuid"])
        self.ids |= {"session": "0123456789abcdef", "verb": "suspend", "ending": "confirm", "source": "terminal"}
        self.ids |= {"receipt": f"R-{'0' * 16}"}
        self.ids |= {"report": "burden"}
        self.ids |= {"month": "2026-01", "adjustment": f"A-{'0' * 32}"}
        self.ids["export_id"] = self._exported()
        self.ids |= {"item": "feed.pull", "break_id": f"B-{'0' * 16}"}
        self.ids |= {"measure": "import-overall", "client_id": "x", "kind": "bl", "change": "suspend", "step": "revoke"}

    def _exported(self) -> str:
        asked = orders.Asked(since=AT["happened_at"], until=UNTIL, filter=orders.Wish(subjects=(f"bl:{CANARY}-6",)))
        with psycopg.connect(self.node.conninfo, autocommit=True) as connection:
            orders.place(connection, uuid4(), PEOPLE["us"], asked, datetime.now(UTC))
            [ours] = orders.listed(connection, "us")
        return str(ours.export_id)

    def _alert(self) -> None:
        told = self.node.get("/v1/alerts", "us").json()
        assert told["alerts"], "our own world raises no alert: the suite would not see one leak"

    def sent(self, method: str, path: str, who: str, body: Any = None) -> Any:
        headers = self.node.bearer(who) | {"Content-Type": "application/json"}
        return self.node.client.request(method, path, content=msgspec.json.encode(body), headers=headers)


def texts(answer: Any) -> Iterator[bytes]:
    """All that an answer says, also what it packs."""
    yield answer.content
    yield str(answer.headers).encode()
    if answer.content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
            yield from (packed.read(name) for name in packed.namelist())


def is_uuid(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False
