"""The quarantine desk, `/v1/quarantine`: what could not be understood is shown, mended and replayed, or dismissed.

The desk is for the operator; a source sees its own. Nothing leaves the desk without a name and a reason. Times are UTC;
offsets are bytes, counted from where the message begins.
"""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import psycopg
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api.body import body_of
from api.cursor import BadCursor
from api.formats import registry as formats
from api.identity import Account, caller, needs
from api.intake import MessageReceipt, receipts
from api.mending import Again, Order, again
from api.pool import Pool
from api.problems import UnknownFormat
from api.sources import policies
from api.trail import Trail
from domain import quarantine
from domain.errors import Malformed, Refused, Unknown
from domain.intent import Outcome
from domain.quarantine import Count, Item, State, Wanted
from domain.report import Fault
from domain.writer import Writer

PAGE_MAX = 1000
PAGE = 50
REASON_CHARS_MAX = 1000
STATES: dict[State, tuple[str, str]] = {
    "open": ("待处理", "Open"),
    "waiting": ("等待原报文", "Waiting"),
    "mended": ("已修复", "Mended"),
    "dismissed": ("已驳回", "Dismissed"),
}
EXCERPT_BYTES = 80
MARK = "▶"
CODECS = ("utf-8", "gb18030", "latin-1")
_BINARY = frozenset(range(32)) - frozenset(b"\t\n\r\x1a\x1c\x1d\x1e\x1f")  # these four part the data of EDIFACT level B
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Listing(msgspec.Struct, frozen=True):
    """Newest first. `counts` tell of every state and code, whichever of them are listed."""

    items: list[Item]
    counts: list[Count]
    next: str  # the cursor behind the last item; ask again with `after=` it
    more: bool


class Excerpt(msgspec.Struct, frozen=True):
    """What stands around a fault: at most 80 bytes before it and after it."""

    offset: int  # of the fault in the message that it lies in
    before: str
    after: str
    marked: str  # both, with the place marked
    mended: bool = False  # the fault lies in the bytes last sent to mend this message, not in its own


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One message with its bytes."""

    item: Item
    received_at: datetime
    transmission_id: UUID
    codec: str  # by which `text` was read; "": the bytes are no text
    text: str | None
    base64: bytes
    excerpt: Excerpt


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message that was read again. Offsets in the receipts count from where what was sent begins."""

    position: int
    state: State
    attempts: int
    receipts: list[MessageReceipt]


class Dismissal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


# --- looking ---


@get("/v1/quarantine", guards=[needs("operator", "source")], tags=["quarantine"])
async def listing(
    request: Request[Any, Any, Any],
    *,
    pool: NamedDependency[Pool],
    in_state: Annotated[State | None, QueryParameter(name="state")] = None,
    source: FromQuery[str] = "",
    message_format: Annotated[str, QueryParameter(name="format")] = "",
    code: FromQuery[str] = "",
    since: FromQuery[datetime | None] = None,
    after: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE,
) -> Listing:
    """What could not be understood, newest first. `since`: first seen then or later. A source sees its own."""
    if since is not None and since.tzinfo is None:
        raise Malformed(f"since 没有时差 / since has no offset: {since.isoformat()}", field="since")
    wanted = Wanted(
        state=in_state or "",
        source=source,
        format=message_format,
        code=code,
        since=since,
        viewer=viewer(caller(request)),
    )
    return await asyncio.to_thread(look, pool, wanted, after, limit)


def look(pool: Pool, wanted: Wanted, after: str, limit: int = PAGE) -> Listing:
    """A page of the desk. Raises BadCursor."""
    behind = place(after)
    with pool.connection() as connection:
        found = quarantine.page(connection, wanted, limit + 1, behind)
        counts = quarantine.counts(connection, wanted)
    items = found[:limit]
    return Listing(items, counts, cursor(items[-1]) if items else after, len(found) > limit)


@get("/v1/quarantine/{message_id:uuid}", guards=[needs("operator", "source")], tags=["quarantine"])
async def shown(
    request: Request[Any, Any, Any],
    message_id: FromPath[UUID],
    pool: NamedDependency[Pool],
    trail: NamedDependency[Trail],
) -> Shown:
    """One message, its fault, its bytes, and what stands around the fault."""
    found = await asyncio.to_thread(show, pool, message_id, caller(request))
    await trail.tell("quarantine.read", str(message_id), account=caller(request))
    return found


@get("/v1/quarantine/{message_id:uuid}/bytes", guards=[needs("operator", "source")], tags=["quarantine"])
async def verbatim(
    request: Request[Any, Any, Any],
    message_id: FromPath[UUID],
    pool: NamedDependency[Pool],
    trail: NamedDependency[Trail],
) -> Response[bytes]:
    """The bytes as they came."""

    def read() -> bytes:
        with pool.connection() as connection:
            item = find(connection, message_id, caller(request))
            return quarantine.kept(connection, item.message_id).raw

    headers = {
        "Content-Disposition": f'attachment; filename="{message_id}.bin"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    body = await asyncio.to_thread(read)
    await trail.tell("quarantine.read", str(message_id), account=caller(request))
    return Response(body, media_type="application/octet-stream", headers=headers)


def viewer(account: Account) -> str:
    """Whose messages an account sees: its own, or everybody's ("")."""
    return "" if account.role == "operator" else account.account


def find(connection: psycopg.Connection[Any], message_id: UUID, account: Account) -> Item:
    """A message of the desk. Raises Unknown, also for another source's."""
    item = quarantine.find(connection, message_id, viewer(account))
    if item is None:
        raise Unknown(
            f"隔离区没有报文 {message_id} / no message {message_id} in quarantine", message_id=str(message_id)
        )
    return item


def show(pool: Pool, message_id: UUID, account: Account) -> Shown:
    """One message with its bytes. Raises Unknown."""
    with pool.connection() as connection:
        item = find(connection, message_id, account)
        kept = quarantine.kept(connection, message_id)
        faulty, mended = quarantine.faulty(connection, message_id)
    codec = codec_of(kept.raw)
    return Shown(
        item=item,
        received_at=kept.transmission.received_at,
        transmission_id=kept.transmission.transmission_id,
        codec=codec,
        text=kept.raw.decode(codec) if codec else None,
        base64=kept.raw,
        excerpt=excerpt(faulty.raw, item.offset, mended=mended),
    )


# --- text and the place in it ---


def codec_of(raw: bytes) -> str:
    r"""By which of CODECS these bytes are text; "" if they are none.

    >>> codec_of("箱".encode()), codec_of("箱".encode("gb18030")), codec_of(b"\x1f\x8b\x08\x00")
    ('utf-8', 'gb18030', '')
    """
    if not _BINARY.isdisjoint(raw):
        return ""
    for codec in CODECS:
        try:
            raw.decode(codec)
        except UnicodeDecodeError:
            continue
        return codec
    return ""


def excerpt(raw: bytes, offset: int, *, mended: bool = False) -> Excerpt:
    """What stands around an offset, cut between characters.

    >>> excerpt(b"UNH+1'BGM", 6).marked
    "UNH+1'▶BGM"
    """
    offset = min(offset, len(raw))
    codec = codec_of(raw)
    before, after = _text(raw[:offset], codec), _text(raw[offset : offset + 4 * EXCERPT_BYTES], codec)
    before, after = before[-EXCERPT_BYTES:], after[:EXCERPT_BYTES]
    while len(before.encode(codec or "ascii", "replace")) > EXCERPT_BYTES:
        before = before[1:]
    while len(after.encode(codec or "ascii", "replace")) > EXCERPT_BYTES:
        after = after[:-1]
    return Excerpt(offset, before, after, f"{before}{MARK}{after}", mended)


def around(shown: Shown, size_bytes: int) -> tuple[str, str]:
    """The text before and behind the fault, of so many bytes together at most; the bytes must be text."""
    raw, offset = shown.base64, shown.excerpt.offset
    start = max(0, min(offset - size_bytes // 2, len(raw) - size_bytes))
    parts = raw[start:offset], raw[offset : start + size_bytes]
    return parts[0].decode(shown.codec, "replace"), parts[1].decode(shown.codec, "replace")


def _text(raw: bytes, codec: str) -> str:
    return raw.decode(codec, "replace") if codec else repr(raw[-EXCERPT_BYTES:])[2:-1]


# --- the cursor ---


def cursor(item: Item) -> str:
    """The opaque cursor behind an item."""
    seen_us = (item.first_seen - _EPOCH) // timedelta(microseconds=1)
    return urlsafe_b64encode(f"{seen_us}.{item.message_id.hex}".encode()).decode().rstrip("=")


def place(text: str) -> tuple[datetime, UUID] | None:
    """The place behind which to read; None is the beginning. Raises BadCursor."""
    if not text:
        return None
    try:
        seen_us, _, message_id = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").partition(".")
        return _EPOCH + timedelta(microseconds=int(seen_us)), UUID(message_id)
    except (ValueError, OverflowError) as error:
        raise BadCursor(f"Cursor {text[:80]!r} was not given out by this desk", after=text[:80]) from error


# --- mending ---


@post("/v1/quarantine/{message_id:uuid}/replay", guards=[needs("operator")], status_code=200, tags=["quarantine"])
async def replay(
    request: Request[Any, Any, Any],
    *,
    message_id: FromPath[UUID],
    cargo: NamedDependency[Writer],
    pool: NamedDependency[Pool],
    message_format: Annotated[str, QueryParameter(name="format")] = "",
    override: FromQuery[Literal["count"] | None] = None,
) -> Replayed:
    """Read a message again, as a message of its source: as it came, or with the bytes of the body in its place.

    `format`: it had been labelled wrongly. `override=count`: its counts do not agree, and the operator accepts that.
    """
    order = Order(
        message_id=message_id,
        operator=caller(request).account,
        at=datetime.now(UTC),
        body=await body_of(request),
        format=message_format,
        counts=override == "count",
    )
    return await carry_out(pool, cargo, order, caller(request))


async def carry_out(pool: Pool, cargo: Writer, order: Order, account: Account) -> Replayed:
    """Replay a message. Raises Unknown, AlreadyResolved, UnknownFormat, NoCounts."""
    if order.format and order.format not in formats.READERS:
        raise UnknownFormat(
            f"格式 {order.format!r} 未知 / the format {order.format!r} is not known", formats=sorted(formats.READERS)
        )
    read = await asyncio.to_thread(_read_again, pool, order, account)
    outcomes = await asyncio.wrap_future(cargo.submit(read.intents))
    if any(outcome.status == "stale" for outcome in outcomes):
        raise quarantine.resolved(order.message_id)
    item = (await asyncio.to_thread(show, pool, order.message_id, account)).item
    position = max(outcome.position for outcome in outcomes)
    return Replayed(position=position, state=item.state, attempts=item.attempts, receipts=_receipts(read, outcomes))


def _read_again(pool: Pool, order: Order, account: Account) -> Again:
    with pool.connection() as connection:
        item = find(connection, order.message_id, account)
        if item.state not in quarantine.UNRESOLVED:
            raise quarantine.resolved(order.message_id)
        if item.state == "waiting" and not order.body:
            raise Refused(
                "撤销在等待原报文，原报文一到即生效 / a cancellation waits for its original and takes effect with it",
                message_id=str(order.message_id),
            )
        kept = quarantine.kept(connection, order.message_id)
    return again(kept, order, policies(pool).of(item.source))


def _receipts(read: Again, outcomes: list[Outcome]) -> list[MessageReceipt]:
    return [
        msgspec.structs.replace(told, problem=_moved(told.problem, read.start)) if told.problem else told
        for told in receipts(read.intents, outcomes)
    ]


def _moved(fault: Fault, start: int) -> Fault:
    return msgspec.structs.replace(fault, offset=max(fault.offset - start, 0))


# --- dismissing ---


@post("/v1/quarantine/{message_id:uuid}/dismiss", guards=[needs("operator")], status_code=200, tags=["quarantine"])
async def dismissal(
    request: Request[Any, Any, Any], message_id: FromPath[UUID], data: JSONBody[Dismissal], pool: NamedDependency[Pool]
) -> Item:
    """Take a message off the desk without recording anything of it; its bytes stay, with the reason."""
    return await asyncio.to_thread(dismiss, pool, message_id, data.reason, caller(request))


def dismiss(pool: Pool, message_id: UUID, reason: str, account: Account) -> Item:
    """Dismiss a message. Raises Malformed without a reason, Unknown, AlreadyResolved."""
    told = reason.strip()
    if not told or len(told) > REASON_CHARS_MAX or "\x00" in told:
        raise Malformed(
            f"需要说明理由，至多 {REASON_CHARS_MAX} 字 / a reason is needed, of {REASON_CHARS_MAX} characters at most",
            field="reason",
        )
    with pool.connection() as connection:
        find(connection, message_id, account)
        quarantine.dismiss(connection, message_id, reason=told, by=account.account, at=datetime.now(UTC))
        return find(connection, message_id, account)


ROUTES = (listing, shown, verbatim, replay, dismissal)
