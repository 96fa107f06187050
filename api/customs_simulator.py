"""A customs of one's own, `kouan customs-simulator`: takes declarations, checks them, answers with real receipts.

It knows the national messages of api/customs_message.py, drops doubles by their id, gives a number of the data centre
and an entry id, and sends the receipts of a scenario to `/v1/reports` of a node, one after another. Everything is
derived from the seed and the declaration's own number, so a run repeats. It can be made to fail: to answer with an
error, to hang, or to take a message and cut the line. For trying out and for tests; it is no customs, and keeps nothing
on disk. Times are Beijing time in messages, seconds elsewhere.
"""

import heapq
import http.client
import logging
import random
import socketserver
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple, Self
from xml.sax.saxutils import escape

import click
import httpx
import msgspec

from api.customs_message import BEIJING, MOD_TYPES
from api.formats.trees import Tree, inner, messages, text

SCENARIOS: dict[str, tuple[str, ...]] = {
    "release": ("L", "J", "P", "R"),
    "rejection": ("E",),
    "inspection": ("L", "C", "J", "P", "R"),
    "duty": ("L", "J", "T", "P", "R"),
    "guarantee": ("L", "T", "K", "R"),
    "returned": ("L", "Z"),
    "suspended": ("L", "H", "M", "J", "P", "R"),
}
"""Receipt codes in their order; what they mean: domain/receipts.py."""

TWO_STEP = {"rejection": ("SpE",), "inspection": ("SpL", "SpC", "SpJ", "SpK", "Sp1")}
SUMMARY = ("SpL", "SpJ", "SpK", "Sp1")
AGAIN = ("M", "J", "P", "R")  # after an amendment
NOTES = {
    "L": "海关入库成功",
    "E": "退单",
    "Z": "退回修改",
    "H": "挂起",
    "M": "报关单重审",
    "J": "通关无纸化审结",
    "C": "查验通知",
    "T": "需交税费",
    "K": "通关无纸化担保放行",
    "P": "海关已放行",
    "R": "结关",
    "A": "放行前删除",
    "D": "放行后删除",
    "SpL": "概要申报海关入库",
    "SpE": "概要申报海关退单",
    "SpJ": "概要申报海关审结",
    "SpC": "查验通知",
    "SpK": "提货放行",
    "Sp1": "要求补充申报通知",
}
RELEASING = frozenset({"P", "K", "SpK"})
WEIGHTS = {"release": 70, "inspection": 8, "duty": 10, "guarantee": 4, "rejection": 5, "returned": 2, "suspended": 1}
Trouble = Literal["error", "hang", "drop", "page"]
"""error: 500 · hang: no answer until the client gives up · drop: taken, and the line cut before the answer · page: 200
with something that is no answer."""

MESSAGES_MAX = 20_000
BODY_BYTES_MAX = 4_000_000
CONNECTIONS_MAX = 32
HANG_SECONDS = 60.0
POST_SECONDS = 10.0

log = logging.getLogger("kouan.simulator")


class Planned(NamedTuple):
    due: float  # monotonic
    order: int
    number: str  # our client's
    round: int  # of the plan; an older one counts no more
    code: str


class Held(msgspec.Struct):
    """A declaration as this customs has it."""

    number: str  # ClientSeqNo
    seq: str
    entry: str
    head: Tree
    summary: bool
    round: int = 0
    codes: list[str] = []  # receipts sent
    noticed_at: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    versions: int = 1


class Wrong(Exception):
    """What this customs does not take."""


class Simulator:
    """The customs: its declarations, its plan of receipts, its HTTP server on loopback and the thread that posts."""

    def __init__(
        self,
        *,
        seed: int = 0,
        scenario: str = "release",
        delay_seconds: float = 1.0,
        kouan_url: str = "",
        key: str = "",
        port: int = 0,
    ) -> None:
        self.seed, self.scenario, self.delay_seconds = seed, scenario, delay_seconds
        self.held: dict[str, Held] = {}
        self.received: list[str] = []  # ids of messages, doubles too
        self.troubles: deque[Trouble] = deque()  # for the next messages
        self._answers: dict[str, bytes] = {}  # by the message's id
        self._plan: list[Planned] = []
        self._count = 0
        self._changed = threading.Condition()
        self.over = threading.Event()
        self._client = httpx.Client(
            base_url=kouan_url, headers={"Authorization": f"Bearer {key}"}, timeout=POST_SECONDS, trust_env=False
        )
        self._posting = bool(kouan_url)
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/declarations"
        self._threads = [
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True),
            threading.Thread(target=self._post_all, daemon=True),
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        with self._changed:
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()
        self._client.close()

    @property
    def idle(self) -> bool:
        """Every planned receipt was sent."""
        with self._changed:
            return not self._plan

    # --- taking messages ---

    def take(self, body: bytes, message_id: str) -> bytes:
        """The answer to a message; the same one to its double."""
        with self._changed:
            self.received.append(message_id)
            if message_id in self._answers:
                return self._answers[message_id]
            try:
                held = self._understand(body)
                answer = _answer(0, "", held.number, held.seq)
            except Wrong as wrong:
                answer = _answer(1, str(wrong), "", "")
            if message_id:
                self._answers[message_id] = answer
            self._changed.notify_all()
            return answer

    def _understand(self, body: bytes) -> Held:
        """Raises Wrong."""
        if len(self._answers) >= MESSAGES_MAX:
            raise Wrong("模拟海关已满 / this simulated customs is full")
        found = messages(body, "simulator", ("DecMessage",))
        if len(found) != 1 or found[0].fault is not None:
            raise Wrong(f"不是 DecMessage / not a DecMessage: {found[0].fault.detail if found[0].fault else ''}")
        told = next(iter(inner(found[0].tree, "decmessage")), found[0].tree)
        head, sign = (next(iter(inner(told, name)), {}) for name in ("dechead", "decsign"))
        number = text(sign, "clientseqno")
        if not number:
            raise Wrong("缺 ClientSeqNo / ClientSeqNo is missing")
        if changes := inner(told, "decmodhead"):
            return self._change(number, text(changes[0], "decmodtype"))
        faults = list(_faults(told, head))
        if faults:
            raise Wrong("；".join(faults))
        return self._lodge(number, head)

    def _lodge(self, number: str, head: Tree) -> Held:
        held, step = self.held.get(number), text(head, "type").strip()[-1:]
        if step == "6" and held is None:
            raise Wrong("没有相应的概要申报 / there is no summary declaration to complete")
        again = held is not None
        if held is None:
            held = self.held[number] = self._number(number, head, summary=step == "5")
        held.head = head
        if step == "6":
            codes: tuple[str, ...] = SCENARIOS["release"]
        elif again:  # after a rejection; the second time it is right
            codes = SUMMARY if held.summary else SCENARIOS["release"]
        else:
            scenario = self._scenario(number)
            codes = TWO_STEP.get(scenario, SUMMARY) if held.summary else SCENARIOS[scenario]
        self._replan(held, codes)
        return held

    def _change(self, number: str, kind: str) -> Held:
        held = self.held.get(number)
        if held is None:
            raise Wrong(f"没有 {number} 的报关单 / there is no declaration {number}")
        if kind == MOD_TYPES["amend"]:
            held.versions += 1
            self._replan(held, AGAIN)
        else:
            self._replan(held, ("D",) if RELEASING.intersection(held.codes) else ("A",))
        return held

    def _number(self, number: str, head: Tree, *, summary: bool) -> Held:
        chance, year = self._chance(number, "number"), datetime.now(BEIJING).year
        flag = text(head, "ieflag")
        seq = f"{flag}{year}{chance.randrange(10**13):013d}"
        entry = f"{text(head, 'custommaster')}{year}{1 if flag == 'I' else 0}{chance.randrange(10**9):09d}"
        return Held(number, seq, entry, head, summary)

    def _scenario(self, number: str) -> str:
        if self.scenario != "random":
            return self.scenario if self.scenario in SCENARIOS else "release"
        return self._chance(number, "scenario").choices(list(WEIGHTS), list(WEIGHTS.values()))[0]

    def _chance(self, *what: str) -> random.Random:
        return random.Random("|".join((str(self.seed), *what)))  # noqa: S311  a run must repeat

    # --- receipts ---

    def _replan(self, held: Held, codes: Iterable[str]) -> None:
        """What was planned for it before counts no more."""
        held.round += 1
        due, chance = time.monotonic(), self._chance(held.number, str(held.round))
        for code in codes:
            due += chance.uniform(0.5, 1.5) * self.delay_seconds
            self._count += 1
            heapq.heappush(self._plan, Planned(due, self._count, held.number, held.round, code))

    def _post_all(self) -> None:
        while not self.over.is_set():
            with self._changed:
                while not self.over.is_set() and (not self._plan or self._plan[0].due > time.monotonic()):
                    self._changed.wait(0.02 if self._plan else None)
                if self.over.is_set():
                    return
                planned, held = self._plan[0], self.held[self._plan[0].number]
                current = planned.round == held.round
                receipt = self._receipt(held, planned.code) if current else b""
            if current and self._posting and not self._post(receipt):
                continue  # the node is away; the same receipt again
            with self._changed:
                self._plan.remove(planned)
                heapq.heapify(self._plan)
                if current:
                    held.codes.append(planned.code)

    def _receipt(self, held: Held, code: str) -> bytes:
        """At least a second behind the one before, so that their order is told by their times."""
        held.noticed_at = max(datetime.now(UTC).replace(microsecond=0), held.noticed_at + timedelta(seconds=1))
        told = {
            "CusCiqNo": held.seq,
            "EntryId": "" if code in {"E", "SpE"} else held.entry,
            "NoticeDate": held.noticed_at.astimezone(BEIJING).strftime("%Y-%m-%dT%H:%M:%S"),
            "Channel": code,
            "Note": NOTES[code],
            "CustomMaster": text(held.head, "custommaster"),
            "IEPort": text(held.head, "ieport"),
        }
        return f"<DecResult>{_elements(told)}</DecResult>".encode()

    def _post(self, receipt: bytes) -> bool:
        try:
            answer = self._client.post("/v1/reports", params={"format": "customs-receipt"}, content=receipt)
        except httpx.HTTPError as error:
            log.warning("the node cannot be reached: %s", error)
            self.over.wait(0.5)
            return False
        if answer.is_error:
            log.warning("the node does not take a receipt: %s", answer.text[:200])
            self.over.wait(0.5)
        return not answer.is_error


def _faults(told: Tree, head: Tree) -> Iterable[str]:
    """What the data centre would turn away."""
    for name in ("IEFlag", "CustomMaster", "IEPort", "TrafMode", "TradeMode", "TradeCoScc", "AgentCodeScc"):
        if not text(head, name.lower()):
            yield f"{name} 未填 / {name} is missing"
    lines = [line for lists in inner(told, "declists") for line in inner(lists, "declist")]
    if not lines:
        yield "没有商品 / there are no goods"
    for line in lines:
        code = text(line, "codets")
        if not (code.isdigit() and len(code) in {6, 10}):
            yield f"CodeTS {code} 不是商品编号 / CodeTS {code} is no HS code"


def _answer(code: int, why: str, number: str, seq: str) -> bytes:
    told = {"ResponseCode": str(code), "ErrorMessage": why, "ClientSeqNo": number, "SeqNo": seq}
    return f"<DecImportResponse>{_elements(told)}</DecImportResponse>".encode()


def _elements(told: dict[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in told.items() if value)


# --- the server ---


class _Server(ThreadingHTTPServer):
    """A bounded number of connections; who hangs is let go at the end."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *args: Any) -> None:
        self._room = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._room.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever went away needs no report."""


def _handler(simulator: Simulator) -> type[socketserver.BaseRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = POST_SECONDS

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > BODY_BYTES_MAX:
                self._say(http.client.REQUEST_ENTITY_TOO_LARGE, b"")
                return
            body = self.rfile.read(int(length))
            trouble = simulator.troubles.popleft() if simulator.troubles else None
            if trouble == "hang":
                simulator.over.wait(HANG_SECONDS)
            elif trouble == "error":
                self._say(http.client.INTERNAL_SERVER_ERROR, b"<html>500</html>")
            elif trouble == "page":
                self._say(http.client.OK, b"<html>Please sign in</html>")
            else:
                answer = simulator.take(body, self.headers.get("Message-Id", ""))
                if trouble != "drop":
                    self._say(http.client.OK, answer)

        def _say(self, status: int, body: bytes) -> None:
            with suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Its own log says enough."""

    return Handler


@click.command("customs-simulator")
@click.option("--port", default=9080, show_default=True)
@click.option("--scenario", type=click.Choice([*SCENARIOS, "random"]), default="release", show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--delay", "delay_seconds", default=1.0, show_default=True, help="Seconds between two receipts.")
@click.option("--kouan", "kouan_url", envvar="KOUAN_URL", required=True, help="The node that receipts are sent to.")
@click.option("--key", envvar="KOUAN_KEY", required=True, help="Of an account of the role source.")
def customs_simulator(**options: Any) -> None:
    """Play customs: take declarations, answer with receipts; ends on Ctrl-C."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with Simulator(**options) as simulator, suppress(KeyboardInterrupt):
        click.echo(f"模拟海关 / simulated customs: KOUAN_CUSTOMS_URL={simulator.url}")
        threading.Event().wait()
