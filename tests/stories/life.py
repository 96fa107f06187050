"""The language of the stories: what sources send about one box, and what a gate asks in between.

A story is a list of steps. A step is a message of a real format from a named source, or a question with the answer that
must come. The numbers of a story are made from a serial, so that the same life can be told again of another box, in
another order. Times are wall times of 2026, `03-17 06:48`, in Beijing.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import psycopg

from api.identity import Account, open_account
from examples import edifact
from examples.build import Answer, answers_xml, json, rail
from examples.edifact import Box, Ship, Spot
from examples.numbers import awb, container, entry, seq
from examples.post import Post, at, sent
from tests.fixtures_node import Node
from tests.open_register import OWNER

CUSTOMS, TERMINAL, RAILWAY, AIRPORT = "customs-2300", "terminal-cnyan", "rail-xian", "air-xiy"
YANGSHAN, NANJING = Spot("CNYSA", "YSGD"), Spot("CNNJG", "NJLT")
SHIP, BARGE = Ship("KOUAN PIONEER", "006E", "9999008"), Ship("SU HUO 2026", "26031", barge=True)


class Ask(NamedTuple):
    """A question in the middle of a story, and the reasons that must be told: none means yes."""

    action: str
    place: str
    reasons: tuple[str, ...]


Step = Post | Ask


def asks(action: str, place: str, *reasons: str) -> Ask:
    return Ask(action, place, reasons)


class Cargo(NamedTuple):
    """The numbers of one life."""

    serial: int

    @property
    def box(self) -> str:
        return container("KOUU", 600_000 + 13 * self.serial)

    @property
    def bill(self) -> str:
        return f"COSU77{self.serial:06}"

    @property
    def awb(self) -> str:
        return awb("112", 5_000_000 + self.serial)

    @property
    def consignment(self) -> str:
        return f"3177{self.serial:06}"

    def entry(self, customs: str = "2308", again: int = 0, *, imported: bool = True) -> str:
        return entry(customs, 100 * self.serial + again, imported=imported)

    # --- what customs says ---

    def receipt(self, code: str, when: str, *, customs: str = "2308", border: str = "2248", **more: Any) -> Post:
        """`bill`, `boxes`, `imported` and `again` (another declaration of the same cargo) may be told otherwise."""
        imported = more.get("imported", True)
        told = {
            "SeqNo": seq(100 * self.serial + more.get("again", 0), imported=imported),
            "EntryId": self.entry(customs, more.get("again", 0), imported=imported),
            "ReceiptCode": code,
            "NoticeDate": f"{at(when):%Y%m%d%H%M%S}",
            "IEFlag": "I" if imported else "E",
            "CustomMaster": customs,
            "IEPort": border,
            "BillNo": more.get("bill", self.bill),
            "ContainerNos": ",".join(more.get("boxes", (self.box,))),
        }
        told = {name: value for name, value in told.items() if value}
        return sent(at(when), CUSTOMS, "customs-receipt", json(told), code).post

    def answer(self, kind: str, when: str, code: str = "01", **more: Any) -> Post:
        """On a manifest, an arrival report or a tally: MT1101, MT2101, MT3101, MT5101 …"""
        told: dict[str, Any] = {"bill": self.bill, "boxes": (self.box,), "name": SHIP.name, "voyage": SHIP.voyage}
        made = Answer(kind=kind, message=f"{kind}-{self.serial}-{when}", when=at(when), code=code, **{**told, **more})
        return sent(at(when), CUSTOMS, "manifest", answers_xml([made]), kind).post

    # --- what terminals say ---

    def handled(self, act: str, when: str, spot: Spot = YANGSHAN, ship: Ship = SHIP, **more: Any) -> Post:
        """COARRI: discharged or loaded."""
        box = Box(number=self.box, when=at(when), **{"bill": self.bill, **more})
        message = edifact.coarri(act, f"{spot.facility}{act}{self.serial:04}", spot, ship, [box])
        return _edifact(when, "coarri", message)

    def gate(self, way: str, when: str, spot: Spot = YANGSHAN, **more: Any) -> Post:
        """CODECO: in or out."""
        box = Box(number=self.box, when=at(when), truck="A6K218", **{"bill": self.bill, **more})
        message = edifact.codeco(way, f"{spot.facility}{way}{self.serial:04}", spot, [box])
        return _edifact(when, "codeco", message)

    def told(self, code: str, when: str, source: str = TERMINAL, **more: Any) -> Post:
        """Kouan's own format, for what has no message type of its own here."""
        event = {
            "subject": f"container:{self.box}",
            "code": code,
            "happened_at": f"2026-{when.replace(' ', 'T')}",
            **more,
        }
        return sent(at(when), source, "native", json([event]), code).post

    def by_rail(self, kind: str, when: str, place: str = "CNXAG", source: str = RAILWAY, **more: Any) -> Post:
        waiting = {"number": self.box, "seal": f"XA{self.serial}"}
        told = rail(
            kind, f"{kind}-{self.serial}-{when}", at(when), place, [waiting], consignmentNo=self.consignment, **more
        )
        return sent(at(when), source, "rail", json(told), kind).post


def _edifact(when: str, format_name: str, message: tuple[str, list[str]]) -> Post:
    return sent(at(when), TERMINAL, format_name, edifact.interchange("YSGD", "KOUAN", at(when), message), "").post


# --- telling and asking ---


def tell(node: Node, post: Post) -> None:
    """As its source, which gets an account when it is first heard of."""
    if post.source not in node.keys:
        with psycopg.connect(node.conninfo, autocommit=True) as connection:
            account = Account(post.source, "source", post.source, post.source, party=OWNER)
            node.keys[post.source] = open_account(connection, account)
    answer = node.post(post.format, post.body, post.source)
    assert answer.status_code == 202, answer.text
    receipts = answer.json()["receipts"]
    assert [each["status"] for each in receipts if each["status"] == "quarantined"] == [], receipts


def verify(node: Node, path: str, action: str, place: str = "") -> Any:
    node.catch_up()
    answer = node.get(f"/v1/verify/{path}", action=action, place=place)
    assert answer.status_code == 200, answer.text
    return answer.json()


def reasons(told: Any) -> tuple[str, ...]:
    return tuple(sorted(each["code"] for each in told["reasons"]))


def live(node: Node, path: str, steps: Iterable[Step]) -> Any:
    """The whole life, every question answered as the story says. Returns the last answer."""
    told: Any = None
    for number, step in enumerate(steps, 1):
        if isinstance(step, Ask):
            told = verify(node, path, step.action, step.place)
            assert (number, reasons(told)) == (number, tuple(sorted(step.reasons))), told["reasons"]
            assert told["allowed"] == (not step.reasons)
        else:
            tell(node, step)
    return told


def outcome(told: Any) -> Any:
    """What of an answer may not depend on the order in which messages came."""
    legs = {name: leg["status"] for name, leg in told["legs"].items()}
    return told["allowed"], reasons(told), legs, [(each["status"], each["released"]) for each in told["declarations"]]


def messages(steps: Sequence[Step]) -> list[Post]:
    return [step for step in steps if not isinstance(step, Ask)]


def last_question(steps: Sequence[Step]) -> Ask:
    return [step for step in steps if isinstance(step, Ask)][-1]


def encoded(told: Any) -> bytes:
    return msgspec.json.encode(told)
