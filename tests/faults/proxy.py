"""A proxy between a writer and PostgreSQL that breaks the connection at COMMIT, the one moment that matters.

It listens on loopback and understands just enough of the frontend/backend protocol 3 (PostgreSQL documentation,
chapter 54): message frames, the text of Query and Parse, the tag of CommandComplete. A fault is armed for one
COMMIT; `struck` counts those that did happen. Durations are seconds.
"""

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

Mode = Literal["before", "after", "blind", "mute", "slow"]
"""before  COMMIT is not forwarded, both sides are cut: nothing is stored
after   COMMIT is forwarded and has been answered; the answer is swallowed, the client cut: all is stored
blind   COMMIT is forwarded and both sides are cut at once: nobody knows
mute    COMMIT is forwarded, its answer swallowed, and the line stays open and silent until `release`
slow    COMMIT is held back until `release`, then all goes on as if nothing had been
"""

Armed = tuple[Mode, Callable[[], object] | None]

ENCRYPTION_REQUESTS = {80877103, 80877104}  # SSLRequest, GSSENCRequest
HOLD_SECONDS_MAX = 120.0


class Proxy:
    """Listens until closed; `conninfo` leads through it."""

    def __init__(self, conninfo: str) -> None:
        parts = conninfo_to_dict(conninfo)
        self._host, self._port = str(parts.get("host") or "localhost"), str(parts.get("port") or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.conninfo = make_conninfo(
            conninfo, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable", application_name="faults"
        )
        self.struck = 0
        self._armed: deque[Armed] = deque()
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._links: list[Link] = []
        self._thread = threading.Thread(target=self._accept, name="faults-proxy", daemon=True)
        self._thread.start()

    def arm(self, mode: Mode, *, then: Callable[[], object] | None = None) -> None:
        """Break the next COMMIT that is not armed yet; `then` runs before the client learns of it."""
        with self._lock:
            self._released.clear()
            self._armed.append((mode, then))

    def release(self) -> None:
        """End what is muted or held back."""
        self._released.set()

    def wait_for_release(self) -> None:
        self._released.wait(HOLD_SECONDS_MAX)

    def take(self) -> Armed | None:
        """What is armed, once."""
        with self._lock:
            if not self._armed:
                return None
            self.struck += 1
            return self._armed.popleft()

    def close(self) -> None:
        """Cut everything."""
        self._released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for link in self._links:
            link.close()

    def connect_server(self) -> socket.socket:
        if self._host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(f"{self._host}/.s.PGSQL.{self._port}")
            return server
        return socket.create_connection((self._host, int(self._port)))

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # frames go out one by one
            self._links = [link for link in self._links if not link.ended()]
            try:
                self._links.append(Link(self, client, self.connect_server()))
            except OSError:  # the server is away; so are we
                client.close()


class Link:
    """One client's connection: a thread for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self._swallow: Mode | None = None
        self._then: Callable[[], object] | None = None
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._up, self._down)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Cut both sides and wait for the threads."""
        self._cut()
        for thread in self._threads:
            thread.join()
        for each in (self.client, self.server):
            each.close()

    def ended(self) -> bool:
        """Whether nothing is left of it; its sockets are given back then."""
        if any(thread.is_alive() for thread in self._threads):
            return False
        self.close()
        return True

    def _cut(self) -> None:
        for each in (self.client, self.server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _up(self) -> None:
        """Client to server."""
        with suppress(OSError), self.client.makefile("rb") as stream:
            self._start_up(stream)
            blind = False
            for kind, frame in frames(stream):
                taken = self.proxy.take() if asks_to_commit(kind, frame) else None
                match taken:
                    case ("before", then):
                        self._cut_and(then)
                        return
                    case ("slow", _):
                        self.proxy.wait_for_release()
                    case ("blind", _):
                        blind = True
                        self._swallow = "blind"  # a quick server must not be heard before the cut
                    case (mode, then):
                        self._swallow, self._then = mode, then
                self.server.sendall(frame)
                if blind and kind in b"QS":  # the extended protocol executes at Sync
                    break
        self._cut()

    def _start_up(self, stream: BinaryIO) -> None:
        """The first message has no type. Encryption is declined, as this server does on its socket."""
        while head := stream.read(8):
            if int.from_bytes(head[4:], "big") not in ENCRYPTION_REQUESTS:
                self.server.sendall(head + stream.read(int.from_bytes(head[:4], "big") - 8))
                return
            self.client.sendall(b"N")

    def _down(self) -> None:
        """Server to client."""
        with suppress(OSError), self.server.makefile("rb") as stream:
            for kind, frame in frames(stream):
                if self._swallow and kind == b"C" and frame[5:] == b"COMMIT\0":
                    if self._swallow == "mute":
                        self.proxy.wait_for_release()
                    self._cut_and(self._then)
                    return
                self.client.sendall(frame)
        self._cut()

    def _cut_and(self, then: Callable[[], object] | None) -> None:
        """The server's side first: what `then` does must find the transaction ended."""
        with suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        try:
            if then is not None:
                then()
        finally:
            self._cut()


def frames(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Each message's type, and the whole of it: type, length of the rest, rest."""
    while len(head := stream.read(5)) == 5:
        yield head[:1], head + stream.read(int.from_bytes(head[1:], "big") - 4)


def asks_to_commit(kind: bytes, frame: bytes) -> bool:
    """Query has the text after the head; Parse has the statement's name before it."""
    if kind not in (b"Q", b"P"):
        return False
    texts = frame[5:].split(b"\0")
    text = texts[0] if kind == b"Q" else texts[1]
    return any(part.strip().upper() == b"COMMIT" for part in text.split(b";"))


@contextmanager
def proxied(conninfo: str) -> Iterator[Proxy]:
    """A proxy that is closed at the end."""
    proxy = Proxy(conninfo)
    try:
        yield proxy
    finally:
        proxy.close()
