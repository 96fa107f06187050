"""The MQTT bridge: what devices publish becomes messages of their source, as if it had been posted to `/v1/reports`.

Topics are `kouan/SOURCE/DEVICE/events`, payloads those of the format `device`. The broker decides who may publish where
(give each source the right to its own branch only); Kouan checks that SOURCE is an account of the role source. What
comes from anybody else, or is too large, is logged and counted, never recorded.

A message is acknowledged only after its facts are durable, in the order of arrival. The session outlives the
connection (MQTT 3.1.1, clean session off), so what was not acknowledged comes again after a reconnect, and is then a
duplicate at worst. QoS 1 is subscribed; what is published with QoS 0 can be lost, as that level says. One bridge for
each client id: a second one would throw the first one out. Times are seconds.
"""

import logging
import random
import re
import threading
import time
from collections import Counter
from concurrent.futures import Future
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any

import msgspec
import paho.mqtt.client as paho
import psycopg
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from api.intake import Whence, understood
from api.limits import BODY_BYTES_MAX
from api.pool import Pool
from api.settings import MQTT_CLIENT_ID, Broker
from api.sources import ruled
from domain.errors import KouanError
from domain.intent import Outcome
from domain.writer import Writer

TOPICS = "kouan/+/+/events"
KEEPALIVE_SECONDS = 30
CONNECT_SECONDS_MAX = 10.0
COMMIT_SECONDS_MAX = 60.0  # longer than the writer itself tries
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 1.0, 60.0
SOURCE_SECONDS = 5.0  # for so long it is believed what was read about an account
COUNT_SECONDS = 60.0

log = logging.getLogger("kouan.mqtt")
_TOPIC = re.compile(r"kouan/([^/]+)/([^/]+)/events")
_IS_SOURCE = "SELECT EXISTS (SELECT FROM accounts WHERE account = %s AND role = 'source')"


class Arrived(msgspec.Struct, frozen=True):
    """A message on its way to the journal; one without a future is not recorded, and acknowledged all the same."""

    mid: int
    qos: int
    topic: str
    written: "Future[list[Outcome]] | None" = None


class Lost(Exception):
    """The connection is over, or is ended to have unacknowledged messages sent again."""


class Sources:
    """Which accounts may report."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._known: dict[str, tuple[float, bool]] = {}

    def has(self, account: str) -> bool:
        since, known = self._known.get(account, (float("-inf"), False))
        if time.monotonic() - since > SOURCE_SECONDS:
            with self.pool.connection() as connection:
                row = connection.execute(_IS_SOURCE, (account,)).fetchone()
            known = bool(row and row[0])
            if len(self._known) > NAMES_MAX:  # names are what strangers make up
                self._known.clear()
            self._known[account] = (time.monotonic(), known)
        return known


class Bridge:
    """One subscription, from the first connection to the end of the process."""

    def __init__(
        self,
        broker: Broker,
        cargo: Writer,
        pool: Pool,
        client_id: str = MQTT_CLIENT_ID,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self.broker = broker
        self.cargo = cargo
        self.pool = pool
        self.sources = Sources(pool)
        self.client_id = client_id
        self.pause_seconds = pause_seconds
        self.counts: Counter[str] = Counter()
        """Messages by what became of them: the outcomes of the intake, and refused, failed, connected."""
        self._arrived: SimpleQueue[Arrived | Lost] = SimpleQueue()

    def run(self, over: threading.Event) -> None:
        """Stay connected until `over`; every failure is followed by a longer pause, with chance in it."""
        failures = 0
        while not over.is_set():
            connected = self.counts["connected"]
            try:
                self._session(over)
            except (Lost, OSError) as error:
                failures = 1 if self.counts["connected"] > connected else failures + 1
                pause = min(self.pause_seconds * 2 ** min(failures - 1, 10), PAUSE_SECONDS_MAX) * random.uniform(0.5, 1)  # noqa: S311
                log.warning("连接中断，%.1f 秒后重试 / connection lost, again in %.1f s: %s", pause, pause, error)
                over.wait(pause)
        log.info("结束 / over: %s", dict(self.counts))

    # --- one connection: paho's thread receives, ours waits for the journal and acknowledges ---

    def _session(self, over: threading.Event) -> None:
        self._arrived = SimpleQueue()
        client = self._client()
        client.connect(self.broker.host, self.broker.port, keepalive=KEEPALIVE_SECONDS)
        client.loop_start()
        told = time.monotonic()
        try:
            while not over.is_set():
                self._acknowledge_next(client)
                if time.monotonic() - told > COUNT_SECONDS:
                    told = time.monotonic()
                    log.info("计数 / counts: %s", dict(self.counts))
        finally:
            client.disconnect()
            client.loop_stop()

    def _client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            clean_session=False,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,  # a connection that is lost is ours to mend
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_SECONDS_MAX
        if self.broker.user:
            client.username_pw_set(self.broker.user, self.broker.password)
        if self.broker.tls:
            client.tls_set()
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _acknowledge_next(self, client: paho.Client) -> None:
        """Wait for the oldest message's commit, then acknowledge it. Raises Lost if it must come again."""
        try:
            item = self._arrived.get(timeout=0.5)
        except Empty:
            return
        if isinstance(item, Lost):
            raise item
        if item.written is not None:
            try:
                outcomes = item.written.result(COMMIT_SECONDS_MAX)
            except (KouanError, psycopg.Error, TimeoutError) as error:
                self._fail(item.topic, error)
                raise Lost(f"not recorded: {error}") from error
            self.counts.update(outcome.status for outcome in outcomes)
        client.ack(item.mid, item.qos)

    # --- in paho's thread ---

    def _on_connect(
        self, client: paho.Client, _data: Any, _flags: paho.ConnectFlags, reason: ReasonCode, _: Properties | None
    ) -> None:
        if reason.is_failure:
            self._arrived.put(Lost(f"the broker refuses: {reason}"))
            return
        client.subscribe(TOPICS, qos=1)

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._arrived.put(Lost(f"the broker does not grant {TOPICS}"))
            return
        self.counts["connected"] += 1
        log.info("已订阅 / subscribed: %s on %s:%d", TOPICS, self.broker.host, self.broker.port)

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: Any,
        _flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _: Properties | None,
    ) -> None:
        self._arrived.put(Lost(str(reason)))

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        """Read and submit; whatever fails here ends the connection, so that the message comes again."""
        try:
            self._arrived.put(self._take(message))
        except Exception as error:  # noqa: BLE001  whatever it is, paho's thread must go on
            self._fail(message.topic, error)
            self._arrived.put(Lost(f"not recorded: {error}"))

    def _take(self, message: paho.MQTTMessage) -> Arrived:
        arrived = Arrived(message.mid, message.qos, message.topic)
        named, body = _TOPIC.fullmatch(message.topic), bytes(message.payload)
        if named is None or not self.sources.has(named[1]):
            return self._refuse(arrived, "不是数据来源账户 / no account of the role source")
        if len(body) > BODY_BYTES_MAX:
            return self._refuse(arrived, f"超过 {BODY_BYTES_MAX} 字节 / more than {BODY_BYTES_MAX} bytes")
        wanted = understood(body, ruled(Whence(named[1], "device", datetime.now(UTC)), self.pool))
        if not wanted:
            return self._refuse(arrived, "没有事件 / no event")
        return msgspec.structs.replace(arrived, written=self.cargo.submit(wanted))

    def _refuse(self, arrived: Arrived, reason: str) -> Arrived:
        self.counts["refused"] += 1
        log.warning("未记录 / not recorded: %s: %s", arrived.topic[:200], reason)
        return arrived

    def _fail(self, topic: str, error: Exception) -> None:
        self.counts["failed"] += 1
        log.error("写入失败，等待重发 / could not be written, waits to be sent again: %s: %s", topic[:200], error)


NAMES_MAX = 10_000
