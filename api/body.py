"""The bytes of a request, as they come and within the limits: not too many, not too slowly, no flood out of gzip.

`pieces` hands them out one after another, whatever the whole may be; `body_of` gathers a body that must fit into
BODY_BYTES_MAX. Sizes are bytes, times seconds. Source of the coding: RFC 9110 (Content-Encoding), RFC 1952 (gzip).
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

from litestar import Request
from litestar.exceptions import HTTPException

from api import limits
from api.limits import BadEncoding, TooDense, TooSlow, UnknownEncoding

INFLATED_BYTES = 65_536  # that leave the decompressor at a time
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_TOO_LARGE = 413


async def body_of(request: Request[Any, Any, Any]) -> bytes:
    """The whole body, decompressed. Raises TooLarge, TooSlow, TooDense, UnknownEncoding or BadEncoding."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.BODY_BYTES_MAX:
        raise limits.body_too_large()
    found: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.BODY_SECONDS_MAX), aclosing(request.stream()) as raw:
            async for piece in pieces(request, raw):
                size += len(piece)
                if size > limits.BODY_BYTES_MAX:
                    raise limits.body_too_large()
                found.append(piece)
    except TimeoutError as error:
        raise _too_slow(limits.BODY_SECONDS_MAX) from error
    except HTTPException as error:  # the limit of the route, where it has one
        raise limits.body_too_large() if error.status_code == _TOO_LARGE else error from error
    return found[0] if len(found) == 1 else b"".join(found)


async def pieces(request: Request[Any, Any, Any], raw: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What comes, decompressed, no piece empty. Raises TooSlow, TooDense, UnknownEncoding or BadEncoding."""
    inflate = decoder(request.headers.get("content-encoding", ""))
    while True:
        try:
            async with asyncio.timeout(limits.PIECE_SECONDS_MAX):
                piece = await anext(raw, None)
        except TimeoutError as error:
            raise _too_slow(limits.PIECE_SECONDS_MAX) from error
        if piece is None:
            break
        if inflate is None:
            if piece:
                yield piece
            continue
        for inflated in inflate.feed(piece):
            yield inflated
    if inflate is not None:
        inflate.finish()


def _too_slow(seconds: float) -> TooSlow:
    return TooSlow(
        f"正文未在 {seconds:g} 秒内到达 / the body did not go on within {seconds:g} seconds", limit_seconds=seconds
    )


def decoder(header: str) -> "Inflater | None":
    """What undoes a Content-Encoding; None where there is nothing to undo. Raises UnknownEncoding."""
    name = header.strip().lower()
    if name in {"", "identity"}:
        return None
    if name in {"gzip", "x-gzip"}:
        return Inflater()
    raise UnknownEncoding(
        f"内容编码只认 gzip，不认 {name[:40]!r} / only gzip is known as a content encoding, not {name[:40]!r}",
        encodings=["gzip"],
    )


class Inflater:
    """gzip, one member or several, undone in small pieces; what grows without measure is refused on the way."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_WINDOW)
        self._open = False  # in the middle of a member
        self._taken = self._given = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Raises BadEncoding or TooDense."""
        while piece:
            if self._stream.eof:
                self._stream = zlib.decompressobj(_GZIP_WINDOW)
            try:
                inflated = self._stream.decompress(piece, INFLATED_BYTES)
            except zlib.error as error:
                raise BadEncoding(f"gzip 数据损坏 / the gzip data are broken: {error}") from error
            rest = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            self._open = not self._stream.eof
            self._taken += len(piece) - len(rest)
            self._given += len(inflated)
            self._weigh()
            piece = rest
            if inflated:
                yield inflated
        yield from self._held_back()

    def _held_back(self) -> Iterator[bytes]:
        """What the decompressor has made of bytes already taken, yet had no room to hand out."""
        while self._open and (inflated := self._stream.decompress(b"", INFLATED_BYTES)):
            self._open = not self._stream.eof
            self._given += len(inflated)
            self._weigh()
            yield inflated

    def finish(self) -> None:
        """Raises BadEncoding if the last member has no end."""
        if self._open:
            raise BadEncoding("gzip 数据不完整 / the gzip data are cut off")

    def _weigh(self) -> None:
        if self._given > limits.INFLATION_BYTES_MIN and self._given > self._taken * limits.INFLATION_MAX:
            raise TooDense(
                f"压缩率超过 {limits.INFLATION_MAX} 倍 / one byte becomes more than {limits.INFLATION_MAX}",
                limit_ratio=limits.INFLATION_MAX,
            )
