"""Declaring to customs: lodge, amend, complete, withdraw, ask for deletion, and see how far it has come.

A declaration is checked whole, and every fault is told at once. What was decided is a fact; the customs port
(api/customs_port.py) takes it to customs, and receipts come back through the intake. Who decides sees a version
(`ETag`) and may insist on it (`If-Match`). A declaration belongs to the account that lodged it; operators see all.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec
import psycopg
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api import customs_outbox, idempotency
from api.answer import CLEARANCE, datasets
from api.body import body_of
from api.declared import Declared, describe
from api.delivery import Deliveries, Item
from api.idempotency import Answer
from api.identity import Account, caller, needs
from api.pool import Pool
from billing import tariff
from domain import declaration, declaring_rules, identifiers
from domain.deciding import Decided, Decider
from domain.declaration import Declaration, Lodged
from domain.declaring import Content, fault
from domain.errors import Malformed, Stale, Unknown
from domain.fact import Fact, digest_id
from domain.journal import Entry, Journal
from projections import links, timeline
from projections.drafts import Draft, draft, placed

READ = Item(tariff.DECLARATION_READ, "government")
DRAFT = Item(tariff.DECLARATION_DRAFT, "government")
WHO = [needs("enterprise", "operator")]
CREATED, ACCEPTED = 201, 202
REASON_CHARS_MAX = 255
NUMBERS_TRIED = 5
VERSION_CHARS_MAX = 9
NUMBER_CHARS_MAX = 64
SOURCES = frozenset({"bl", "awb", "rail", "container", "declaration"})
SUBJECTS_MAX = 200  # of a shipment, that a draft looks at


class Lodging(msgspec.Struct, frozen=True):
    """What became of a decision. `position`: whoever reads at or behind it sees the decision."""

    number: str
    version: int  # for If-Match
    position: int
    new: bool  # false: it had been decided before
    warnings: list[str] = []


class Reasoned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


# --- lodging ---


@post("/v1/declarations", guards=WHO, tags=["declare"], status_code=CREATED)
async def lodge(
    request: Request[Any, Any, Any],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
    begun: Annotated[str, QueryParameter(name="from")] = "",
) -> Response[bytes]:
    """Lodge a declaration. `?from=bl:…` takes over what is known of the shipment, where the body does not say it.

    The body is the content (`GET /schema`, docs/api.md). `Idempotency-Key`: the same request again is the same
    declaration.
    """
    account, body = caller(request), await body_of(request)

    async def work(key: UUID) -> Answer:
        entered = _object(body)
        if begun:
            prefilled, _ = await asyncio.to_thread(_draft, pool, cargo_decider.writer.journal, account, begun)
            entered = placed({**prefilled.content, **entered})
        content, warnings = _checked(entered)
        decided, number = await _lodge_new(cargo_decider, content, account, key)
        return _answer(CREATED, Lodging(number, decided.version, decided.position, bool(decided.facts), warnings))

    return await _once(request, pool, account, body, work)


async def _lodge_new(decider: Decider, content: Content, account: Account, key: UUID) -> tuple[Decided, str]:
    """Under a number of our own that nobody has: I or E, year, 13 digits, derived from the request."""
    now = datetime.now(UTC)
    for attempt in range(NUMBERS_TRIED):
        serial = digest_id("declaration", str(key), str(attempt)).int % 10**13
        number = f"{content.flag}{now.year}{serial:013d}"
        try:
            decided = decider.submit(
                f"declaration:{number}",
                _folded(number, ()),
                lambda state: declaration.lodge(state, by=account.account, at=now, content=content),
                key=digest_id("lodge", str(key)),
                version=0,
            )
            return await asyncio.wrap_future(decided), number
        except Stale:
            continue
    raise Stale("没有空闲的编号，请重试 / no free number was found; try again")


@post("/v1/declarations/{number:str}/lodge", guards=WHO, tags=["declare"], status_code=ACCEPTED)
async def lodge_again(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
) -> Response[bytes]:
    """Lodge again what customs has rejected, or what was withdrawn. The body is the content."""

    def decision(body: bytes, account: Account) -> tuple[Decision, list[str]]:
        content, warnings = _checked(_object(body))
        return lambda state, at: declaration.lodge(state, by=account.account, at=at, content=content), warnings

    return await _decide(request, number, cargo_decider, pool, decision)


@post("/v1/declarations/{number:str}/amend", guards=WHO, tags=["declare"], status_code=ACCEPTED)
async def amend(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
) -> Response[bytes]:
    """A new version: `{"reason": …, "content": …}`, the content whole."""

    def decision(body: bytes, account: Account) -> tuple[Decision, list[str]]:
        entered = _object(body)
        content, warnings = _checked(_part(entered), completing=None)
        reason = _reason(entered.get("reason"))
        return lambda state, at: declaration.amend(
            state, by=account.account, reason=reason, at=at, content=content
        ), warnings

    return await _decide(request, number, cargo_decider, pool, decision)


@post("/v1/declarations/{number:str}/complete", guards=WHO, tags=["declare"], status_code=ACCEPTED)
async def complete(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
) -> Response[bytes]:
    """The second step of a two-step declaration. The body is the content, of kind `complete`."""

    def decision(body: bytes, account: Account) -> tuple[Decision, list[str]]:
        content, warnings = _checked(_object(body), completing=True)
        return lambda state, at: declaration.complete(state, content=content, by=account.account, at=at), warnings

    return await _decide(request, number, cargo_decider, pool, decision)


@post("/v1/declarations/{number:str}/withdraw", guards=WHO, tags=["declare"], status_code=ACCEPTED)
async def withdraw(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
) -> Response[bytes]:
    """Take it back before release: `{"reason": …}`."""

    def decision(body: bytes, account: Account) -> tuple[Decision, list[str]]:
        reason = _reason(_object(body).get("reason"))
        return lambda state, at: declaration.withdraw(state, by=account.account, reason=reason, at=at), []

    return await _decide(request, number, cargo_decider, pool, decision)


@post("/v1/declarations/{number:str}/delete-request", guards=WHO, tags=["declare"], status_code=ACCEPTED)
async def request_deletion(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
) -> Response[bytes]:
    """Ask customs to delete it: `{"reason": …}`. Whether it does, a receipt tells."""

    def decision(body: bytes, account: Account) -> tuple[Decision, list[str]]:
        reason = _reason(_object(body).get("reason"))
        return lambda state, at: declaration.request_deletion(state, by=account.account, reason=reason, at=at), []

    return await _decide(request, number, cargo_decider, pool, decision)


# --- looking ---


@get("/v1/declarations/draft", guards=WHO, tags=["declare"])
async def show_draft(
    request: Request[Any, Any, Any],
    cargo: NamedDependency[Any],
    pool: NamedDependency[Pool],
    deliveries: NamedDependency[Deliveries],
    begun: Annotated[str, QueryParameter(name="from")] = "",
) -> Draft:
    """What can be taken over: `?from=bl:…`, `container:…`, `awb:…`, `rail:…`, or `declaration:…` of one's own."""
    account = caller(request)
    try:
        found, drawn = await asyncio.to_thread(_draft, pool, cargo.journal, account, begun)
    except Unknown:
        await deliveries.record(account, DRAFT, subject=begun, count=0, result="empty")
        raise
    await deliveries.record(account, DRAFT, subject=begun, count=len(found.content), result="ok", datasets=drawn)
    return found


@get("/v1/declarations/{number:str}", guards=WHO, tags=["declare"])
async def show(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    cargo: NamedDependency[Any],
    pool: NamedDependency[Pool],
    deliveries: NamedDependency[Deliveries],
) -> Response[Declared]:
    """Content, versions, receipts, status, and how far its messages to customs have come. Its version is the ETag."""
    account = caller(request)

    def read() -> Declared:
        with pool.connection() as connection:
            own, others = _found(connection, cargo.journal, account, number)
            sendings = customs_outbox.sendings(connection, own[0].stream)
        return describe(own, others, sendings)

    try:
        told = await asyncio.to_thread(read)
    except Unknown:
        await deliveries.record(account, READ, subject=number, count=0, result="empty")
        raise
    await deliveries.record(account, READ, subject=told.number, count=1, result="ok", datasets=[CLEARANCE])
    return Response(told, headers={"ETag": f'"{told.version}"'})


# --- what they share ---

Decision = Callable[[Declaration, datetime], Sequence[Fact]]
Deciding = Callable[[bytes, Account], tuple[Decision, list[str]]]


async def _decide(
    request: Request[Any, Any, Any], number: str, decider: Decider, pool: Pool, deciding: Deciding
) -> Response[bytes]:
    """Decide on a declaration that is there, on the version that the caller saw if he says one."""
    account, body, now = caller(request), await body_of(request), datetime.now(UTC)
    version = _if_match(request.headers.get("if-match", ""))

    def read() -> tuple[list[Entry], list[Entry]]:
        with pool.connection() as connection:
            return _found(connection, decider.writer.journal, account, number)

    async def work(key: UUID) -> Answer:
        own, others = await asyncio.to_thread(read)
        decision, warnings = deciding(body, account)
        ours = own[0].stream.partition(":")[2]
        fold = _folded(ours, others)
        decided = await asyncio.wrap_future(
            decider.submit(own[0].stream, fold, lambda state: decision(state, now), key=key, version=version)
        )
        return _answer(ACCEPTED, Lodging(ours, decided.version, decided.position, bool(decided.facts), warnings))

    return await _once(request, pool, account, body, work)


async def _once(
    request: Request[Any, Any, Any], pool: Pool, account: Account, body: bytes, work: Any
) -> Response[bytes]:
    key = idempotency.key_of(request)
    if key is None:
        answer: Answer = await work(uuid4())
        return answer.response()
    meaning = request.headers.get("if-match", "")
    return await idempotency.once(pool, idempotency.ask(request, account.account, key, body, meaning), work)


def _answer(status: int, told: Lodging) -> Answer:
    headers = {"Content-Type": "application/json", "ETag": f'"{told.version}"', "Kouan-Position": str(told.position)}
    headers["Location"] = f"/v1/declarations/{told.number}"
    return Answer(status, headers, msgspec.json.encode(told))


def _folded(number: str, others: Sequence[Entry]) -> Callable[[Sequence[Entry]], Declaration]:
    """The declaration by its own stream and what is known under its other numbers."""
    return lambda own: declaration.fold(
        number, [(each.fact_id, each.fact) for each in sorted([*own, *others], key=lambda each: each.position)]
    )


def _found(
    connection: psycopg.Connection[Any], journal: Journal, account: Account, number: str
) -> tuple[list[Entry], list[Entry]]:
    """The stream under which it was lodged here, and those of its other numbers.

    Any of them finds it. Raises Unknown, also for one of another account.
    """
    if not number.isprintable() or len(number) > NUMBER_CHARS_MAX:
        raise Unknown(f"没有 {number[:80]!r} / there is no {number[:80]!r}", number=number[:80])
    names = customs_outbox.names(connection, f"declaration:{identifiers.stored(number)}")
    streams = [journal.stream(connection, name) for name in names]
    lodged = [
        stream for stream in streams if any(isinstance(each.fact, Lodged) and each.fact.content for each in stream)
    ]
    if lodged:
        by = next(each.fact.by for each in lodged[0] if isinstance(each.fact, Lodged))
        if account.role == "operator" or account.account == by:
            return lodged[0], [each for stream in streams if stream is not lodged[0] for each in stream]
    raise Unknown(f"没有在此申报过 {number} / {number} was not lodged here", number=number)


def _draft(pool: Pool, journal: Journal, account: Account, begun: str) -> tuple[Draft, list[str]]:
    """The draft and the datasets it draws on. Raises Unknown, or Malformed for what is no kind:number."""
    kind, _, number = begun.partition(":")
    if kind not in SOURCES or not number.strip() or not number.isprintable() or len(number) > NUMBER_CHARS_MAX:
        raise Malformed(
            f"from 须为 bl:、awb:、rail:、container: 或 declaration: 加编号，而非 {begun[:80]!r} / "
            f"from must be bl:, awb:, rail:, container: or declaration: with a number, not {begun[:80]!r}",
            **{"from": begun[:80]},
        )
    subject = f"{kind}:{identifiers.stored(number)}"
    with pool.connection() as connection:
        if kind == "declaration":
            own, others = _found(connection, journal, account, number)
            return describe(own, others, []).as_draft(), [CLEARANCE]
        subjects = [subject, *links.reached(connection, [[subject]])[0]][:SUBJECTS_MAX]
        lines = timeline.lines(connection, subjects)
    if not lines:
        raise Unknown(f"没有 {begun} 的记录 / nothing is known under {begun}", number=begun)
    return draft(subjects, lines), datasets([line for line in lines if line.stands])


def _checked(entered: dict[str, Any], *, completing: bool | None = False) -> tuple[Content, list[str]]:
    """Raises BadDeclaration. `completing`: whether it must be the second step; None: as it may be."""
    content, warnings = declaring_rules.checked(entered, datetime.now(UTC).date())
    if completing is not None and completing != (content.kind == "complete"):
        zh, en = "完整申报须提交至 …/complete，其他不可", "goes to …/complete if it is complete, and only then"
        declaring_rules.refuse([fault("kind", "code", f"：{zh}", en, content.kind)])
    return content, warnings


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Malformed(f"正文须为 JSON 对象：{error} / the body must be a JSON object: {error}") from error


def _part(entered: dict[str, Any]) -> dict[str, Any]:
    content = entered.get("content")
    if not isinstance(content, dict):
        raise Malformed("缺 content 对象 / content must be an object", field="content")
    return content


def _reason(said: object) -> str:
    if not isinstance(said, str) or not 0 < len(said.strip()) <= REASON_CHARS_MAX or not said.strip().isprintable():
        raise Malformed(
            f"须说明 reason，至多 {REASON_CHARS_MAX} 字 / say a reason of at most {REASON_CHARS_MAX} characters",
            field="reason",
        )
    return said.strip()


def _if_match(header: str) -> int | None:
    plain = header.strip().removeprefix("W/").strip('"')
    if plain in {"", "*"}:
        return None
    if not (plain.isascii() and plain.isdigit()) or len(plain) > VERSION_CHARS_MAX:
        raise Malformed(
            f"If-Match {header[:40]!r} 不是版本 / If-Match {header[:40]!r} is no version", header="If-Match"
        )
    return int(plain)


ROUTES = (lodge, lodge_again, amend, complete, withdraw, request_deletion, show_draft, show)
