"""A local OpenID provider for tests: a real HTTP server on loopback, honest by default; each lie is switched on.

It keeps what it was asked for, so that a test sees how often its keys were fetched and which verifier came.
"""

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

CLIENT = "kouan-portal"


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


class Provider:
    """One issuer. `lies` replaces claims of the next ID tokens; a value of None leaves the claim out."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys = [ECKey.generate_key("P-256", {"kid": "first"})]
        self.subject: dict[str, Any] = {"sub": "zhang"}
        self.lies: dict[str, Any] = {}
        self.answer_iss: str | None = url
        self.metadata_issuer = url
        self.status = 200
        self.asked: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}

    def key_set(self) -> dict[str, Any]:
        return {"keys": [key.as_dict(private=False, use="sig", alg="ES256") for key in self.keys]}

    def sign(self, claims: dict[str, Any], kind: str = "JWT", **header: Any) -> str:
        key = self.keys[-1]
        return jwt.encode({"alg": "ES256", "typ": kind, "kid": key.kid, **header}, claims, key, algorithms=["ES256"])

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.metadata_issuer,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "authorization_response_iss_parameter_supported": True,
        }

    def authorize(self, query: str) -> str:
        """What a browser does there: whoever comes is `subject`. Returns where it is sent back to."""
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        code = b64(sha256(query.encode()).digest())
        self.codes[code] = asked
        told = {"code": code, "state": asked["state"]} | ({"iss": self.answer_iss} if self.answer_iss else {})
        return f"{asked['redirect_uri']}?{urlencode(told)}"

    def exchange(self, form: dict[str, str]) -> dict[str, Any] | None:
        asked = self.codes.pop(form.get("code", ""), None)
        proven = asked and b64(sha256(form["code_verifier"].encode()).digest()) == asked["code_challenge"]
        if asked is None or not proven or form["redirect_uri"] != asked["redirect_uri"]:
            return None
        now, access = int(time.time()), "opaque-access-token"
        claims = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims |= {"at_hash": b64(sha256(access.encode()).digest()[:16])} | self.subject | self.lies
        told = {name: value for name, value in claims.items() if value is not None}
        return {"access_token": access, "token_type": "Bearer", "id_token": self.sign(told)}


@contextmanager
def serving() -> Iterator[Provider]:
    """A provider that answers until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            provider.asked.append(path)
            known = {"/keys": provider.key_set, "/.well-known/openid-configuration": provider.configuration}
            self.answer(known[path]() if path in known else None)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            provider.asked.append(self.path)
            self.answer(provider.exchange({name: values[0] for name, values in parse_qs(body).items()}))

        def answer(self, body: Any) -> None:
            text = json.dumps(body).encode()
            self.send_response(provider.status if body is not None else 400)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Nothing: a test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
