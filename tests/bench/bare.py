"""The peer of `ask`: a bare Litestar handler that returns the same bytes; no identity, no query, no record."""

import os
from pathlib import Path

from litestar import Litestar, Response, get


def create() -> Litestar:
    """The bytes are those of the file that KOUAN_BENCH_BYTES names."""
    content = Path(os.environ["KOUAN_BENCH_BYTES"]).read_bytes()

    @get("/v1/track/{number:str}", sync_to_thread=False)
    def track(number: str) -> Response[bytes]:
        return Response(content, media_type="application/json")

    return Litestar([track], openapi_config=None)
