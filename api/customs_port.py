"""The customs port: sends what was declared to customs until customs has answered, `kouan customs-port`.

A message counts as handed in only once a DecImportResponse says so: silence, a cut line, an error of the gateway or a
page of a proxy in between are tried again with growing pauses, for ever. Each attempt bears the same id, in the header
`Message-Id` and in the message, by which customs drops a double: at least once from here, once there. What the data
centre answers is recorded as a fact before the message is marked, so a crash in between costs nothing but a repetition.
Receipts come back through the intake like those of anybody else. Durations are seconds.
"""

import logging
import random
import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import httpx
import msgspec
import psycopg

from api import customs_outbox
from api.customs_message import BEIJING, CONTENT_TYPES, Form, Heard, Leaving, heard, write
from api.customs_outbox import Claimed
from api.pool import open_pool
from domain import declaration, identifiers
from domain.declaration import Amended, CompletionLodged, DeletionRequested, Lodged, Withdrawn
from domain.declaring import Content
from domain.errors import Malformed
from domain.fact import digest_id
from domain.intent import Intent, NewFact
from domain.journal import Entry, Journal
from domain.report import Moment, Receipt
from domain.writer import Busy, Writer

SOURCE = "customs-port"
POLL_SECONDS = 0.5
TIMEOUT_SECONDS = 20.0
LEASE_SECONDS = 120.0  # longer than any attempt takes
PAUSE_SECONDS_MIN = 1.0
PAUSE_SECONDS_MAX = 600.0
SENDERS = 4  # messages of different declarations on their way at the same moment
ANSWER_BYTES_MAX = 100_000
LETTERS = {"I", "E"}

log = logging.getLogger("kouan.customs")


class Port:
    """Fills the outbox, and empties it towards one address."""

    def __init__(self, writer: Writer, pool: Any, url: str, *, key: str = "", form: Form = "xml") -> None:
        self.writer, self.pool, self.url, self.form = writer, pool, url, form
        headers = {"Content-Type": CONTENT_TYPES[form], "Accept": CONTENT_TYPES[form]}
        self.client = httpx.Client(
            timeout=TIMEOUT_SECONDS,
            headers={**headers, **({"Authorization": f"Bearer {key}"} if key else {})},
            trust_env=False,
        )
        self.lease = timedelta(seconds=LEASE_SECONDS)
        self.pause_seconds_min = PAUSE_SECONDS_MIN
        self.poll_seconds = POLL_SECONDS
        self._chance = random.SystemRandom()

    # --- one step at a time ---

    def step(self) -> bool:
        """Fill the outbox and send one message. False: nothing is due."""
        with self.pool.connection() as connection:
            while customs_outbox.fill(connection, self.writer.journal):
                pass
            claimed = customs_outbox.claim(connection, self.lease)
        if claimed is None:
            return False
        try:
            leaving = self._leaving(claimed)
            begun = datetime.now(UTC)
            answer = self.send(leaving)
        except (httpx.HTTPError, Unanswered, Unsayable) as error:
            self._put_off(claimed, error)
        else:
            self._record(leaving, answer, begun)
            self._settle(claimed, answer)
        return True

    def send(self, leaving: Leaving) -> Heard:
        """One attempt. Raises httpx.HTTPError or Unanswered if customs has not said whether it took it."""
        body, headers = write(leaving, self.form), {"Message-Id": str(leaving.message_id)}
        with self.client.stream("POST", self.url, content=body, headers=headers) as response:
            told = b""
            for piece in response.iter_bytes():
                told += piece
                if len(told) > ANSWER_BYTES_MAX:
                    break
        answer = heard(told)
        if answer is None:
            wait = response.headers.get("retry-after", "")
            raise Unanswered(f"HTTP {response.status_code}", float(wait) if wait.isdigit() else 0.0)
        return answer

    def _leaving(self, claimed: Claimed) -> Leaving:
        """The message as its fact tells it, with the numbers that are known by now. Raises Unsayable."""
        with self.pool.connection() as connection:
            entries = self._entries(connection, claimed.subject)
            numbers = customs_outbox.names(connection, claimed.subject)[1:]
        fact = next(entry for entry in entries if entry.fact_id == claimed.message_id).fact
        content = None
        if isinstance(fact, Lodged | Amended | CompletionLodged):
            content = fact.content
        assert isinstance(fact, Lodged | Amended | CompletionLodged | Withdrawn | DeletionRequested)
        others = [number.partition(":")[2] for number in numbers]
        return Leaving(
            message_id=claimed.message_id,
            action=claimed.action,
            number=claimed.subject.partition(":")[2],
            content=content,
            at=fact.recorded_at,
            by=fact.by,
            reason=getattr(fact, "reason", ""),
            seq=next((number for number in others if number[:1] in LETTERS), ""),
            entry=next((number for number in others if _is_entry(number)), ""),
        )

    def _entries(self, connection: psycopg.Connection[Any], stream: str) -> list[Entry]:
        try:
            return self.writer.journal.stream(connection, stream)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            why = f"{type(error).__name__}: {error}"
            raise Unsayable(f"事实无法解读 / a fact cannot be read: {why!r}") from error

    # --- what became of it ---

    def _record(self, leaving: Leaving, answer: Heard, at: datetime) -> None:
        """The answer to a lodging is news of the declaration: that it is there, under which number, about which cargo.

        The fact stands under the data centre's number, as the receipts will, and names ours and the cargo.
        """
        if leaving.action not in {"lodge", "complete"}:
            return
        own = f"declaration:{leaving.number}"
        subject = f"declaration:{answer.seq}" if answer.seq else own
        refs = (*([own] if answer.seq and subject != own else []), *(cargo(leaving.content) if leaving.content else ()))
        at = at.replace(microsecond=0)
        code = f"DecImportResponse/{0 if answer.taken else 1}"
        wall = at.astimezone(BEIJING).replace(tzinfo=None).isoformat()
        when = Moment(at, wall, "Asia/Shanghai")
        place = leaving.content.declaring_customs if leaving.content else ""
        border = leaving.content.border_customs if leaving.content else ""
        report = Receipt(
            subject=subject, raw_code=code, when=when, text=answer.text, refs=refs, place=place, border=border
        )
        told = declaration.observe(
            report, source=SOURCE, message_id=leaving.message_id, sent_at=None, now=datetime.now(UTC)
        )
        fact_id = digest_id("customs-answer", str(leaving.message_id))
        self.writer.write([Intent(facts=[NewFact(subject, fact_id, told)])])

    def _settle(self, claimed: Claimed, answer: Heard) -> None:
        state: customs_outbox.State = "sent" if answer.taken else "refused"
        with self.pool.connection() as connection:
            customs_outbox.settle(connection, claimed.message_id, state, answer.text)
        level = logging.INFO if answer.taken else logging.WARNING
        log.log(level, "%s %s: %s %s", claimed.subject, claimed.action, state, answer.text)

    def _put_off(self, claimed: Claimed, error: Exception) -> None:
        longest = min(self.pause_seconds_min * 2 ** min(claimed.attempts - 1, 20), PAUSE_SECONDS_MAX)
        pause = max(self._chance.uniform(longest / 2, longest), getattr(error, "wait_seconds", 0.0))
        why = f"{type(error).__name__}: {error}"
        with self.pool.connection() as connection:
            customs_outbox.put_off(connection, claimed.message_id, timedelta(seconds=pause), why)
        log.warning("%s %s: %s; again in %.1f s", claimed.subject, claimed.action, why, pause)

    # --- for as long as it runs ---

    def run(self, over: threading.Event, senders: int = SENDERS) -> None:
        """Send until told to stop; whatever goes wrong is tried again."""
        threads = [threading.Thread(target=self._work, args=(over,), name=f"customs-{n}") for n in range(senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.client.close()

    def _work(self, over: threading.Event) -> None:
        while not over.is_set():
            try:
                busy = self.step()
            except (psycopg.Error, Busy, msgspec.MsgspecError) as error:
                log.warning("%s: %s", type(error).__name__, error)
                busy = False
            except Exception:
                log.exception("a message stays until its lease ends")
                busy = False
            if not busy:
                over.wait(self.poll_seconds)


class Unsayable(Exception):
    """A fact of the declaration cannot be read; the message waits, with this as its answer, until somebody mends it."""


class Unanswered(Exception):
    """Something answered, but it was not customs."""

    def __init__(self, what: str, wait_seconds: float = 0.0) -> None:
        super().__init__(what)
        self.wait_seconds = min(wait_seconds, PAUSE_SECONDS_MAX)


def cargo(content: Content) -> tuple[str, ...]:
    """The shipment that a declaration is about: bill, waybill or consignment note, and boxes."""
    found = []
    if bill := content.bill:
        kind = {"5": "awb", "3": "rail"}.get(content.transport_mode, "bl")
        found.append(f"{kind}:{identifiers.awb(bill)[0] if kind == 'awb' else identifiers.normalise(bill)}")
    return (*found, *(f"container:{identifiers.container(box.number)[0]}" for box in content.containers))


def _is_entry(number: str) -> bool:
    try:
        identifiers.entry_id(number)
    except Malformed:
        return False
    return True


@click.command("customs-port")
@click.option("--conninfo", envvar="KOUAN_CONNINFO", required=True)
@click.option("--url", envvar="KOUAN_CUSTOMS_URL", required=True, help="Where customs takes declarations.")
@click.option("--key", envvar="KOUAN_CUSTOMS_KEY", default="", help="Sent as Authorization: Bearer KEY.")
@click.option("--form", envvar="KOUAN_CUSTOMS_FORM", type=click.Choice(["xml", "json"]), default="xml")
def customs_port(conninfo: str, url: str, key: str, form: Form) -> None:
    """Send declarations to customs; ends on SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with Journal("cargo", conninfo).opened() as journal, open_pool(conninfo) as pool:
        writer = Writer(journal)
        try:
            Port(writer, pool, url, key=key, form=form).run(over)
        finally:
            writer.stop()
