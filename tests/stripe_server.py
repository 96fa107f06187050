"""HTTP on 127.0.0.1 for the small Stripe: one thread a connection; it can hang up, or stay silent."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit


class Answer(NamedTuple):
    status: int
    body: Any
    headers: tuple[tuple[str, str], ...] = ()
    hang_up: bool = False  # the connection is closed without an answer
    silent: bool = False  # it stays open without an answer until the caller gives up


Answering = Callable[[str, str, str, str, dict[str, str]], Answer]


class Server:
    """Serves as a context; `url` tells where."""

    def __init__(self, answering: Answering) -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(answering))
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()


def _handler(answering: Answering) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            parts = urlsplit(self.path)
            named = {name.lower(): value for name, value in self.headers.items()}
            told = answering(self.command, parts.path, parts.query, body, named)
            if told.silent:
                self.connection.recv(1)  # until the caller closes
            if told.hang_up or told.silent:
                self.close_connection = True
                return
            sent = json.dumps(told.body).encode()
            self.send_response(told.status)
            for name, value in (("Content-Type", "application/json"), *told.headers):
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815  names of the class that it extends

        def log_message(self, *args: Any) -> None:
            pass

    return Handler
