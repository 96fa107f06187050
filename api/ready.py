"""An answer whose bytes are ready, sent as they are: the usual way to a response costs as much as the answer itself."""

from typing import Any

from litestar import Response
from litestar.types import Receive, Scope, Send


class Ready(Response[bytes]):
    """JSON, status 200, no cookies; what stands about every route may add its headers."""

    def __init__(self, content: bytes) -> None:
        """No more than this: the rest of a response is for what it does not have."""
        self.content = content

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        return self._send

    async def _send(self, _: Scope, __: Receive, send: Send) -> None:
        length = b"%d" % len(self.content)
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.content, "more_body": False})
