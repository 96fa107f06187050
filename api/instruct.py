"""Instructions to terminals, stations and carriers: give, confirm, refuse, cancel, and see which are overdue.

Whoever is told confirms or refuses; whoever gave it cancels; an operator may do each for them. An open instruction
whose cargo has since been reported as asked is `fulfilled`: that is looked up in the timeline for each answer, so a
report that is taken back opens it again, as far as whoever asks may see that report. An instruction is seen by who gave
it, by who is told, and by the parties whose cargo it is about; whoever has permission for a dataset has none for these.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api import idempotency
from api.delivery import Item
from api.idempotency import Answer
from api.identity import Account, caller, needs
from api.pool import Pool
from api.way_out import Looking, WayOut
from billing import tariff
from domain import identifiers, instruction, places
from domain.deciding import Decider, folded
from domain.errors import Malformed, Unknown
from domain.fact import Fact
from domain.instruction import KINDS, STATES, InstructionGiven, Kind, Order, Seen
from domain.report import KINDS as SUBJECTS
from domain.report import utc
from projections import instructions, interests, timeline, vicinity
from projections.instructions import Row, Wanted
from projections.sight import Look
from projections.timeline import Line

READ = Item(tariff.INSTRUCTION_READ, "government")
GIVERS = [needs("enterprise", "logistics", "operator")]
PAGE, PAGE_MAX = 100, 500
TEXT_CHARS_MAX = 255
CREATED, ACCEPTED = 201, 202
Show = Literal["open", "confirmed", "fulfilled", "refused", "cancelled"]


class Giving(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of whom. `due_at` bears an offset; `place`: UN/LOCODE or facility, "" anywhere."""

    kind: Kind
    subject: str
    to: str
    due_at: datetime
    place: str = ""
    note: str = ""


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reason` of a refusal or a cancellation, `note` of a confirmation."""

    reason: str = ""
    note: str = ""


class Decision(msgspec.Struct, frozen=True):
    """What became of it. `position`: whoever reads at or behind it sees the decision."""

    id: str
    version: int
    position: int
    new: bool  # false: it had been decided before


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An instruction as it stands."""

    id: str
    version: int
    kind: str
    kind_zh: str
    kind_en: str
    subject: str
    place: str
    to: str
    by: str
    given_at: datetime
    due_at: datetime
    note: str
    state: str
    state_zh: str
    state_en: str
    overdue: bool
    ended_at: datetime | None
    ended_by: str
    reason: str
    fulfilled_by: UUID | None  # the reported fact that did what was asked


class Listing(msgspec.Struct, frozen=True):
    """Newest first; `next` is the cursor behind the last one looked at, ask again with `before=` it while `more`."""

    items: list[Told]
    next: str
    more: bool


# --- deciding ---


@post("/v1/instructions", guards=GIVERS, tags=["instruct"], status_code=CREATED)
async def give(
    request: Request[Any, Any, Any],
    data: JSONBody[Giving],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
) -> Response[bytes]:
    """Tell an account what to do with a cargo by when. `Idempotency-Key`: the same request is the same instruction."""
    account, now = caller(request), datetime.now(UTC)
    subject = _subject(data.subject)
    for text in (data.note, data.place):
        _short(text)
    if data.due_at.tzinfo is None:
        raise Malformed("due_at 须带时区 / due_at must bear an offset", field="due_at")
    await asyncio.to_thread(_known, pool, data.to)
    given = InstructionGiven(
        happened_at=now,
        recorded_at=now,
        kind=data.kind,
        subject=subject,
        due_at=utc(data.due_at),
        to=data.to,
        by=account.account,
        place=places.canonical(data.place, "") if data.place else "",
        note=data.note.strip(),
    )

    async def work(key: UUID) -> Answer:
        stream = f"instruction:{key.hex}"
        return await _submit(cargo_decider, stream, key, CREATED, partial(instruction.give, given=given))

    return await _once(request, pool, account, await request.body(), work)


@post("/v1/instructions/{number:str}/{ending:str}", guards=[needs()], tags=["instruct"], status_code=ACCEPTED)
async def end(  # noqa: PLR0917  the framework passes them by name
    request: Request[Any, Any, Any],
    number: FromPath[str],
    ending: FromPath[str],
    data: JSONBody[Ending],
    cargo_decider: NamedDependency[Decider],
    pool: NamedDependency[Pool],
) -> Response[bytes]:
    """`…/confirm` and `…/refuse` by whoever is told, `…/cancel` by whoever gave it; the last two say a `reason`."""
    account, now, stream = caller(request), datetime.now(UTC), _stream(number)
    decide = _ending(ending, data, account.account, now)
    given = (await asyncio.to_thread(_order, cargo_decider, pool, stream)).given
    if given is None or not _may(account, given, ending):
        raise Unknown(f"没有可{_ENDINGS[ending]}的指令 {number} / there is no instruction {number} to {ending}")

    async def work(key: UUID) -> Answer:
        return await _submit(cargo_decider, stream, key, ACCEPTED, decide)

    return await _once(request, pool, account, await request.body(), work)


Deciding = Callable[[Order], Sequence[Fact]]
_ENDINGS = {"confirm": "确认", "refuse": "拒绝", "cancel": "取消"}


def _ending(ending: str, data: Ending, by: str, at: datetime) -> Deciding:
    """Raises Unknown for another word, Malformed for a missing reason."""
    if ending not in _ENDINGS:
        raise Unknown(f"指令不能 {ending[:40]!r} / an instruction cannot be {ending[:40]!r}", allowed=list(_ENDINGS))
    _short(data.note)
    _short(data.reason)
    if ending == "confirm":
        return lambda order: instruction.confirm(order, by=by, at=at, note=data.note.strip())
    if not data.reason.strip():
        raise Malformed("须说明 reason / say a reason", field="reason")
    decide = instruction.refuse if ending == "refuse" else instruction.cancel
    return lambda order: decide(order, by=by, reason=data.reason.strip(), at=at)


def _may(account: Account, given: InstructionGiven, ending: str) -> bool:
    return account.role == "operator" or account.account == (given.by if ending == "cancel" else given.to)


async def _submit(decider: Decider, stream: str, key: UUID, status: int, decide: Deciding) -> Answer:
    decided = await asyncio.wrap_future(decider.submit(stream, FOLD, decide, key=key))
    number = stream.partition(":")[2]
    told = Decision(number, decided.version, decided.position, bool(decided.facts))
    headers = {"Content-Type": "application/json", "Location": f"/v1/instructions/{number}"}
    return Answer(status, {**headers, "ETag": f'"{told.version}"'}, msgspec.json.encode(told))


async def _once(
    request: Request[Any, Any, Any], pool: Pool, account: Account, body: bytes, work: Any
) -> Response[bytes]:
    key = idempotency.key_of(request)
    if key is None:
        answer: Answer = await work(uuid4())
        return answer.response()
    return await idempotency.once(pool, idempotency.ask(request, account.account, key, body), work)


def _stream(number: str) -> str:
    """Raises Unknown for what is no id."""
    if not _ID.fullmatch(number):
        raise Unknown(f"没有指令 {number[:80]!r} / there is no instruction {number[:80]!r}", number=number[:80])
    return f"instruction:{number}"


_ID = re.compile(r"[0-9a-f]{32}")
FOLD = folded(Order(), instruction.evolve)


def _order(decider: Decider, pool: Pool, stream: str) -> Order:
    with pool.connection() as connection:
        return FOLD(decider.writer.journal.stream(connection, stream))


def _known(pool: Pool, account: str) -> None:
    """Raises Malformed if nobody goes by that name."""
    with pool.connection() as connection:
        if connection.execute("SELECT 1 FROM accounts WHERE account = %s", (account,)).fetchone() is None:
            raise Malformed(f"没有账户 {account[:80]} / there is no account {account[:80]}", field="to")


def _subject(said: str) -> str:
    kind, _, number = said.partition(":")
    if kind not in SUBJECTS or not number.strip() or len(number) > TEXT_CHARS_MAX or not number.isprintable():
        raise Malformed(
            f"subject 须为“类别:编号”，而非 {said[:80]!r} / subject must be kind:number, not {said[:80]!r}",
            field="subject",
            kinds=list(SUBJECTS),
        )
    return f"{kind}:{identifiers.stored(number)}"


def _short(text: str) -> None:
    if len(text) > TEXT_CHARS_MAX or "\x00" in text:
        raise Malformed(
            f"文字至多 {TEXT_CHARS_MAX} 字 / a text has {TEXT_CHARS_MAX} characters at most", chars=len(text)
        )


# --- looking ---


@get("/v1/instructions", guards=[needs()], tags=["instruct"])
async def listing(
    request: Request[Any, Any, Any],
    pool: NamedDependency[Pool],
    way_out: NamedDependency[WayOut],
    *,
    to: FromQuery[str] = "",
    standing: Annotated[Show | None, QueryParameter(name="state")] = None,
    overdue: FromQuery[bool] = False,
    before: Annotated[int, QueryParameter(ge=0, le=2**63 - 1)] = 2**63 - 1,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE,
) -> Listing:
    """One's own: given, received, or about one's cargo. A page may hold fewer than `limit`: go on while `more`."""
    account, now = caller(request), datetime.now(UTC)
    wanted = Wanted(
        to=to,
        state="open" if standing == "fulfilled" or overdue else standing or "",
        due_before=now if overdue else None,
        before=before,
        limit=limit,
    )

    def read(looking: Looking) -> Listing:
        rows = instructions.instructions(looking.look, account.account, wanted)
        lines = _reported(looking, pool, account, [row.subject for row in rows if row.state == "open"])
        found = told(rows, lines, now)
        items = [each for each in found if standing in {None, each.state} and (not overdue or each.overdue)]
        _drew_on(looking, items, lines)
        return Listing(items, str(rows[-1].position) if rows else str(before), len(rows) == limit)

    return await way_out.hand_over(account, READ, read, subject=f"to:{to}")


@get("/v1/instructions/{number:str}", guards=[needs()], tags=["instruct"])
async def show(
    request: Request[Any, Any, Any],
    number: FromPath[str],
    pool: NamedDependency[Pool],
    cargo_decider: NamedDependency[Decider],
    way_out: NamedDependency[WayOut],
) -> Told:
    """One instruction."""
    account, now, stream = caller(request), datetime.now(UTC), _stream(number)

    def read(looking: Looking) -> Told:
        with pool.connection() as connection:
            entries = cargo_decider.writer.journal.stream(connection, stream)
        rows = [instructions.row(entries)] if entries else []
        if not any(_sees(looking, account, row) for row in rows):
            raise Unknown(f"没有指令 {number[:80]} / there is no instruction {number[:80]}", number=number[:80])
        lines = _reported(looking, pool, account, [row.subject for row in rows])
        [found] = told(rows, lines, now)
        _drew_on(looking, [found], lines)
        return found

    return await way_out.hand_over(account, READ, read, subject=number)


def _sees(looking: Looking, account: Account, row: Row) -> bool:
    if account.account in {row.told, row.given_by}:
        return True
    view = looking.view
    own = instructions.dataset(row.subject) in view.own
    return own and bool(interests.mine(looking.look.connection, view.parties, [row.subject]))


def _reported(looking: Looking, pool: Pool, account: Account, subjects: Sequence[str]) -> list[Line]:
    """What the caller may see of these, and what it has said of them itself, oldest first."""
    if not subjects:
        return []
    lines = vicinity.lines(looking.look, subjects)
    seen = {line.fact_id for line in lines}
    with pool.connection() as connection:
        everything = timeline.lines(Look(connection, None), subjects)
    by_id = {line.fact_id: line for line in lines}
    return [
        by_id.get(line.fact_id, line) for line in everything if line.fact_id in seen or line.source == account.account
    ]


def _drew_on(looking: Looking, items: Sequence[Told], lines: Sequence[Line]) -> None:
    """Only an open instruction draws on the timeline, to tell whether it was fulfilled."""
    looked = {each.subject for each in items if each.state in {"open", "fulfilled"}}
    reports = [line for line in lines if line.stands and not line.code.startswith("INSTR_")]
    looking.found([line for line in reports if line.subject in looked], count=len(items))


def told(rows: Sequence[Row], lines: Sequence[Line], now: datetime) -> list[Told]:
    """Instructions as they stand, with what the timeline reports of their cargo."""
    reported: dict[str, list[Line]] = {}
    for line in lines:
        if line.stands:
            reported.setdefault(line.subject, []).append(line)
    return [_told(row, reported.get(row.subject, ()), now) for row in rows]


def _told(row: Row, lines: Sequence[Line], now: datetime) -> Told:
    given = instructions.given(row)
    done = (
        next((line for line in lines if instruction.fulfils(given, _seen(line))), None) if row.state == "open" else None
    )
    state = "fulfilled" if done else row.state
    kind_zh, kind_en = KINDS[given.kind]
    return Told(
        id=row.stream.partition(":")[2],
        version=row.version,
        kind=row.kind,
        kind_zh=kind_zh,
        kind_en=kind_en,
        subject=row.subject,
        place=row.place,
        to=row.told,
        by=row.given_by,
        given_at=row.given_at,
        due_at=row.due_at,
        note=row.note,
        state=state,
        state_zh=STATES[state][0],
        state_en=STATES[state][1],
        overdue=state == "open" and row.due_at < now,
        ended_at=datetime.fromisoformat(done.happened_at) if done else row.ended_at,
        ended_by=done.source if done else row.ended_by,
        reason=row.reason,
        fulfilled_by=done.fact_id if done else None,
    )


def _seen(line: Line) -> Seen:
    at = datetime.fromisoformat(line.happened_at)
    return Seen(line.subject, line.code, line.classifier, line.place, line.facility, at)


ROUTES = (give, end, listing, show)
