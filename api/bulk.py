"""Telling much at once: `POST /v1/reports?stream=true` takes a body of any length in constant memory.

The body is cut into parts of whole messages (api/parts.py); each part is a transmission of its own, and is on its way
to the journal while the next one is read. Receipts go to a file without a name and are sent when the body has come to
its end, so that a client that writes everything before it reads anything is not waited for in vain. They are NDJSON, a
line for each message in its order, and a last line that says whether all was done. Offsets are bytes of the whole body.
"""

import asyncio
import os
import re
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request
from litestar.response import Stream

from api import limits, problems
from api.body import pieces
from api.intake import MessageReceipt, receipt
from api.parts import Cutter, Part, about_envelope
from domain.errors import KouanError
from domain.intent import Intent, Outcome
from domain.writer import WRITE_SECONDS_MAX, Busy, Writer

NDJSON = "application/x-ndjson"
SEND_BYTES = 65_536
BUSY_SECONDS = 0.2

Understand = Callable[[Part], Sequence[Intent]]
"""What the messages of a part want written; runs in a thread."""


class Done(msgspec.Struct, kw_only=True):
    """The last line. `bytes`: as far as the body was taken; `done` is false where that is not its end."""

    done: bool = True
    position: int = 0
    messages: int = 0
    recorded: int = 0
    duplicate: int = 0
    confirmed: int = 0
    quarantined: int = 0
    bytes: int = 0
    warnings: Sequence[str] = ()
    problem: problems.Problem | None = None


def wanted(request: Request[Any, Any, Any], stream: bool | None) -> bool:
    """Whether the caller asks for receipts as a stream: by `stream=`, else by Accept."""
    return NDJSON in request.headers.get("accept", "") if stream is None else stream


async def take(request: Request[Any, Any, Any], cargo: Writer, cutter: Cutter, understand: Understand) -> Stream:
    """Record the body part by part. Raises what a body that is not streamed raises, if nothing was recorded yet."""
    spool, raw = Spool(), request.stream()
    try:
        try:
            await Intake(cargo, understand, spool).run(pieces(request, raw), cutter)
        except KouanError as error:
            if not spool.told.messages or not await _passed_over(raw, error):
                raise
            spool.stopped(error, request.url.path)
        else:
            spool.finished(cutter.warnings)
    except BaseException:
        spool.close()
        raise
    return Stream(spool.lines(), media_type=NDJSON, status_code=202)


async def _passed_over(raw: AsyncIterator[bytes], error: KouanError) -> bool:
    """Whether the rest of the body came to its end in good time; many a client does not listen before that."""
    if isinstance(error, limits.TooSlow):
        return False
    with suppress(TimeoutError):
        async with asyncio.timeout(limits.BODY_SECONDS_MAX):
            async for _ in raw:
                pass
            return True
    return False


class Intake:
    """The way of the parts into the journal: a few at a time, answered in their order."""

    def __init__(self, cargo: Writer, understand: Understand, spool: "Spool") -> None:
        self._cargo, self._understand, self._spool = cargo, understand, spool
        self._ahead: deque[tuple[Part, Sequence[Intent], Future[list[Outcome]]]] = deque()

    async def run(self, coming: AsyncIterator[bytes], cutter: Cutter) -> None:
        """All parts of the stream. What was handed in before an error is told nevertheless."""
        try:
            async for piece in coming:
                for part in cutter.feed(piece):
                    await self._push(part)
            for part in cutter.finish():
                await self._push(part)
        finally:
            while self._ahead:
                await self._settle()

    async def _push(self, part: Part) -> None:
        if part.start and not part.body.strip():
            return  # blank lines at the end
        intents = await asyncio.to_thread(self._understand, part)
        while len(self._ahead) >= limits.PARTS_AHEAD_MAX:
            await self._settle()
        self._ahead.append((part, intents, await self._submit(intents)))

    async def _submit(self, intents: Sequence[Intent]) -> "Future[list[Outcome]]":
        """Raises Busy if the journal has no room for a long time."""
        deadline = time.monotonic() + WRITE_SECONDS_MAX
        while True:
            try:
                return self._cargo.submit(intents)
            except Busy:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(BUSY_SECONDS)

    async def _settle(self) -> None:
        part, intents, future = self._ahead.popleft()
        outcomes = await asyncio.wrap_future(future)
        await asyncio.to_thread(self._spool.add, part, intents, outcomes)


class Spool:
    """Receipts that wait for the end of the body."""

    def __init__(self) -> None:
        home = Path(os.environ.get("KOUAN_HOME") or tempfile.gettempdir())
        self._file = tempfile.TemporaryFile(dir=home if home.is_dir() else None)  # noqa: SIM115  open until it is sent
        self.told = Done()

    def add(self, part: Part, intents: Sequence[Intent], outcomes: Sequence[Outcome]) -> None:
        """The receipts of one part."""
        told = self.told
        lines = []
        for intent, outcome in zip(intents, outcomes, strict=True):
            lines.append(_in_stream(receipt(told.messages, intent, outcome), part))
            told.messages += 1
            told.position = max(told.position, outcome.position)
            setattr(told, outcome.status, getattr(told, outcome.status) + 1)
        told.bytes = part.end
        self._file.write(_encoder.encode_lines(lines))

    def finished(self, warnings: Sequence[str]) -> None:
        self.told.warnings = warnings
        self._last()

    def stopped(self, error: KouanError, path: str) -> None:
        """It ended before its time; what was recorded stays recorded."""
        self.told.done, self.told.problem = False, problems.problem(error, path)
        self._last()

    def _last(self) -> None:
        self._file.write(_encoder.encode(self.told) + b"\n")
        self._file.seek(0)

    async def lines(self) -> AsyncIterator[bytes]:
        try:
            while sent := self._file.read(SEND_BYTES):
                yield sent
        finally:
            self.close()

    def close(self) -> None:
        self._file.close()


def _in_stream(told: MessageReceipt, part: Part) -> MessageReceipt:
    """A receipt whose problem is told by its place in the whole body; what UNZ says is told once, at the end."""
    if told.warnings:
        odd = [warning for warning in told.warnings if not about_envelope(warning)]
        told = msgspec.structs.replace(told, warnings=odd)
    if told.problem is None:
        return told
    path = _NUMBERED.sub(lambda found: f"UNH[{int(found[1]) + part.messages}]", told.problem.path)
    problem = msgspec.structs.replace(told.problem, offset=part.offset(told.problem.offset), path=path)
    return msgspec.structs.replace(told, problem=problem)


_NUMBERED = re.compile(r"\AUNH\[(\d+)\]")
_encoder = msgspec.json.Encoder()
