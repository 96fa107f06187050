"""Declaring to customs: lodge, amend, complete, withdraw, ask for deletion, and see how far it has come.

A declaration is checked whole, and every fault is told at once. What was decided is a fact; the customs port
(api/customs_port.py) takes it to customs, and receipts come back through the intake. Who decides sees a version
(`ETag`) and may insist on it (`If-Match`). Whose it is: api/declarants.py.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID, uuid4

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from api import customs_outbox, declarants, drafting, idempotency
from api.body import body_of
from api.declared import Declared, describe
from api.delivery import Item
from api.idempotency import Answer
from api.identity import Account, caller, entitled, needs
from api.pool import Pool
from api.way_out import Looking, WayOut
from billing import tariff
from domain import declaration, declaring_rules
from domain.datasets import CLEARANCE, DECLARATIONS
from domain.deciding import Decided, Decider
from domain.declaration import Declaration, Received
from domain.declaring import Content, fault
from domain.errors import Malformed, Stale
from domain.fact import Fact, digest_id
from domain.journal import Entry
from projections.drafts import Draft, placed

READ = Item(tariff.DECLARATION_READ, "government")
WHO = [needs("enterprise", "enterprise-admin", "operator"), entitled("enter", "declare")]
LODGES = [needs("enterprise", "enterprise-admin", "operator"), entitled("declare")]
READS = [needs("enterprise", "enterprise-admin", "operator", "officer"), entitled("enter", "declare")]
CREATED, ACCEPTED = 201, 202
REASON_CHARS_MAX = 255
NUMBERS_TRIED = 5
VERSION_CHARS_MAX = 9


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


@post("/v1/declarations", guards=LODGES, tags=["declare"], status_code=CREATED)
async def lodge(
    request: Request[Any, Any, Any],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
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
            prefilled = await drafting.drawn_up(way_out, pool, cargo_decider.writer.journal, account, begun)
            entered = placed({**prefilled.content, **entered})
        content, warnings = _checked(entered)
        await asyncio.to_thread(way_out.register.refresh)
        declarants.check(way_out.register.rights, account, (), content, datetime.now(UTC))
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
                lambda state: declaration.lodge(state, at=now, content=content, **_by(account)),
                key=digest_id("lodge", str(key)),
                version=0,
            )
            return await asyncio.wrap_future(decided), number
        except Stale:
            continue
    raise Stale("没有空闲的编号，请重试 / no free number was found; try again")


@post("/v1/declarations/{number:str}/lodge", guards=LODGES, tags=["declare"], status_code=ACCEPTED)
async def lodge_again(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
) -> Response[bytes]:
    """Lodge again what customs has rejected, or what was withdrawn. The body is the content."""

    def decision(body: bytes, account: Account) -> Deciding:
        content, warnings = _checked(_object(body))
        return partial(declaration.lodge, content=content, **_by(account)), content, warnings

    return await _decide(request, number, cargo_decider, (pool, way_out), decision)


@post("/v1/declarations/{number:str}/amend", guards=LODGES, tags=["declare"], status_code=ACCEPTED)
async def amend(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
) -> Response[bytes]:
    """A new version: `{"reason": …, "content": …}`, the content whole."""

    def decision(body: bytes, account: Account) -> Deciding:
        entered = _object(body)
        content, warnings = _checked(_part(entered), completing=None)
        reason = _reason(entered.get("reason"))
        return partial(declaration.amend, reason=reason, content=content, **_by(account)), content, warnings

    return await _decide(request, number, cargo_decider, (pool, way_out), decision)


@post("/v1/declarations/{number:str}/complete", guards=LODGES, tags=["declare"], status_code=ACCEPTED)
async def complete(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
) -> Response[bytes]:
    """The second step of a two-step declaration. The body is the content, of kind `complete`."""

    def decision(body: bytes, account: Account) -> Deciding:
        content, warnings = _checked(_object(body), completing=True)
        return partial(declaration.complete, content=content, **_by(account)), content, warnings

    return await _decide(request, number, cargo_decider, (pool, way_out), decision)


@post("/v1/declarations/{number:str}/withdraw", guards=LODGES, tags=["declare"], status_code=ACCEPTED)
async def withdraw(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
) -> Response[bytes]:
    """Take it back before release: `{"reason": …}`."""

    def decision(body: bytes, account: Account) -> Deciding:
        reason = _reason(_object(body).get("reason"))
        return partial(declaration.withdraw, reason=reason, **_by(account)), None, []

    return await _decide(request, number, cargo_decider, (pool, way_out), decision)


@post("/v1/declarations/{number:str}/delete-request", guards=LODGES, tags=["declare"], status_code=ACCEPTED)
async def request_deletion(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
) -> Response[bytes]:
    """Ask customs to delete it: `{"reason": …}`. Whether it does, a receipt tells."""

    def decision(body: bytes, account: Account) -> Deciding:
        reason = _reason(_object(body).get("reason"))
        return partial(declaration.request_deletion, reason=reason, **_by(account)), None, []

    return await _decide(request, number, cargo_decider, (pool, way_out), decision)


# --- looking ---


@get("/v1/declarations/draft", guards=WHO, tags=["declare"])
async def show_draft(
    request: Request[Any, Any, Any],
    cargo: NamedDependency[Any],
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
    begun: Annotated[str, QueryParameter(name="from")] = "",
) -> Draft:
    """What can be taken over: `?from=bl:…`, `container:…`, `awb:…`, `rail:…`, or `declaration:…` of one's own."""
    return await drafting.drawn_up(way_out, pool, cargo.journal, caller(request), begun)


@get("/v1/declarations/{number:str}", guards=READS, tags=["declare"])
async def show(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    cargo: NamedDependency[Any],
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
) -> Response[Declared]:
    """Content, versions, receipts, status, and how far its messages to customs have come. Its version is the ETag."""
    account = caller(request)

    def read(looking: Looking) -> Declared:
        answered = CLEARANCE in (*looking.view.whole, *looking.view.own)
        with pool.connection() as connection:
            own, others = declarants.found(connection, cargo.journal, looking.view, account, number)
            sendings = customs_outbox.sendings(connection, own[0].stream)
        looking.drew_on([CLEARANCE, DECLARATIONS] if answered else [DECLARATIONS], 1)
        if answered:
            return describe(own, others, sendings)
        return describe([each for each in own if not isinstance(each.fact, Received)], [], sendings)

    told = await way_out.hand_over(account, READ, read, subject=number)
    return Response(told, headers={"ETag": f'"{told.version}"'})


# --- what they share ---

Deciding = tuple[Callable[..., Sequence[Fact]], Content | None, list[str]]
"""A decision, to be called with the state and `at`; the content that it brings; warnings."""


def _by(account: Account) -> dict[str, Any]:
    return {"by": account.account, "party": account.party}


async def _decide(
    request: Request[Any, Any, Any],
    number: str,
    decider: Decider,
    behind: tuple[Pool, WayOut],
    deciding: Callable[[bytes, Account], Deciding],
) -> Response[bytes]:
    """Decide on a declaration that is there, on the version that the caller saw if he says one."""
    account, body, now = caller(request), await body_of(request), datetime.now(UTC)
    version = _if_match(request.headers.get("if-match", ""))
    pool, way_out = behind

    def read() -> tuple[list[Entry], list[Entry]]:
        way_out.register.refresh()
        view = way_out.register.view(account, "query")
        with pool.connection() as connection:
            return declarants.found(connection, decider.writer.journal, view, account, number)

    async def work(key: UUID) -> Answer:
        own, others = await asyncio.to_thread(read)
        decision, content, warnings = deciding(body, account)
        declarants.check(way_out.register.rights, account, own, content, now)
        ours = own[0].stream.partition(":")[2]
        fold = _folded(ours, others)
        decided = await asyncio.wrap_future(
            decider.submit(own[0].stream, fold, lambda state: decision(state, at=now), key=key, version=version)
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
