"""Reconciliation of a month by API: run it, look after the differences, accept them, sign, take them away as a file.

Finance of the node itself acts, its operator and auditors look. A run compares three snapshots (billing/reconcile.py)
and is a fact on `reconciliation:MONTH`, with their digests; comparing again with nothing changed adds none. It is
signed by somebody else than who ran it. Times are UTC, months those of Asia/Shanghai, money fen.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api.bookkeepers import bookkeepers
from api.books import Books
from api.govern.acts import ACCEPTED, Act, AnyRequest, Desk, admitted, answered
from api.paying import gateway_of, stripe_of
from api.pool import Pool
from api.settings import Paying, Settings
from billing import table, taking
from billing.gateway import Gateway
from billing.reconcile import ORDER, reconcile
from billing.snapshots import Ours, Provider, Statements, digest
from billing.workbook_rows import BREAKS
from domain import period, reconciliation
from domain.deciding import folded
from domain.errors import Refused
from domain.fact import Fact
from domain.journal import Journal
from domain.period import Period
from domain.reconciliation import CODES, Break, Code, Reconciled, Reconciliation, Standing

FINANCE = [bookkeepers("finance")]
READERS = [bookkeepers("finance", "operator", "auditor")]
TAGS, SCOPE = ["settle"], {"scope": "usage"}
BREAKS_MAX = 2_000  # that one run tells of: whoever has more has one cause, and begins with it
LEFT_OUT = "breaks_left_out"
State = Literal["open", "accepted", "resolved"]


class ShownBreak(msgspec.Struct, frozen=True, kw_only=True):
    """A difference as it stands. `ours_minor`: what ought to be, `theirs_minor`: what was found."""

    break_id: str
    code: Code
    zh: str
    en: str
    state: State
    about: str
    holder: str
    statement: str
    line: int | None
    ours_minor: int | None
    theirs_minor: int | None
    detail: str
    evidence: str  # path where the facts behind it are shown
    first_seen: datetime
    last_seen: datetime
    age_days: int  # whole days since it was first seen, or until it was resolved
    owner: str
    accepted: str  # why
    accepted_by: str
    resolved_at: datetime | None
    acceptable: bool


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The reconciliation of a month. `version`: for If-Match."""

    period: str
    version: int
    runs: int
    run_at: datetime | None = None
    run_by: str = ""
    cut_off: int = 0  # position of the commerce journal up to which ours was read
    journal_sha256: str = ""
    statements_sha256: str = ""
    provider_sha256: str = ""
    counts: dict[str, int] = {}
    open: int
    accepted: int
    resolved: int
    signed_at: datetime | None = None
    signed_by: str = ""
    note: str = ""
    breaks: list[ShownBreak]


# --- comparing ---


class Compared(msgspec.Struct, frozen=True):
    """What a run has found."""

    position: int
    ours: Ours
    statements: Statements
    provider: Provider
    breaks: list[Break]


def gateways_of(paying: Paying, pool: Pool) -> list[Gateway]:
    """Whoever may hold money of ours: the one through which invoices go out, and the others that are set up."""
    bank = gateway_of(msgspec.structs.replace(paying, gateway="bank"), pool)
    return [bank, stripe_of(paying)] if paying.stripe_key else [bank]


def compare(books: Books, gateways: Sequence[Gateway], month: str, at: datetime) -> Compared:
    """Take the snapshots and compare them. Raises NotCutOff, and what a gateway raises."""
    with books.connect() as connection:
        with taking.one_view(connection):
            ours, statements = taking.ours(connection, month), taking.statements(connection, month)
            position = books.writer.journal.last(connection)
        provider = taking.provider(connection, gateways, month, at)
    return Compared(position, ours, statements, provider, reconcile(ours, statements, provider))


def _told(found: Compared, month: str, by: str, at: datetime) -> Reconciled:
    told = tuple(found.breaks[:BREAKS_MAX])
    counts = {
        "statements": len(found.statements.papers),
        "lines": sum(len(paper.lines) for paper in found.statements.papers),
        "deliveries": sum(each.ledger.deliveries for each in found.ours.tallies),
        "quantity": sum(each.ledger.quantity for each in found.ours.tallies),
        "invoices": len(found.provider.invoices),
        "movements": len(found.provider.movements),
        "breaks": len(found.breaks),
        LEFT_OUT: len(found.breaks) - len(told),
    }
    return Reconciled(
        happened_at=at,
        recorded_at=at,
        period=month,
        by=by,
        cut_off=found.position,
        journal_sha256=digest(found.ours),
        statements_sha256=digest(found.statements),
        provider_sha256=digest(found.provider),
        counts=counts,
        breaks=told,
    )


# --- acts: the same by API, on the page and in a terminal; each raises what its decision raises ---


def _act(action: str, month: str, decision: Callable[[Reconciliation], Sequence[Fact]], detail: str = "") -> Act:
    fold = folded(Reconciliation(month), reconciliation.evolve)
    return Act(f"reconciliation.{action}", reconciliation.stream(month), fold, decision, detail)


def run(books: Books, gateways: Sequence[Gateway], month: str, by: str, at: datetime) -> Act:
    """Compare a month whose statements are issued. Raises NotCutOff; Refused before they are, and once it is closed."""
    reopened_at = _reviewing(books, month).reopened_at
    told = _told(compare(books, gateways, month, at), month, by, at)

    def decide(state: Reconciliation) -> Sequence[Fact]:
        stands = state.run is not None and (reopened_at is None or state.run.happened_at > reopened_at)
        return () if stands and state.run is not None and _same(state.run, told) else (told,)

    return _act("run", month, decide, f"{told.counts['breaks']} breaks")


def _reviewing(books: Books, month: str) -> Period:
    """The period, if it is being reviewed. Raises Refused."""
    with books.pool.connection() as connection:
        entries = books.writer.journal.stream(connection, period.stream(month))
    state = folded(Period(month), period.evolve)(entries)
    if state.stage == "closed":
        raise Refused(f"{month} 已关账，须先重开 / {month} is closed: reopen it first", period=month)
    if state.stage != "reviewing":
        raise Refused(f"{month} 尚未出账单 / the statements of {month} are not issued yet", period=month)
    return state


def _same(run: Reconciled, other: Reconciled) -> bool:
    names = ("journal_sha256", "statements_sha256", "provider_sha256", "breaks")
    return all(getattr(run, name) == getattr(other, name) for name in names)


def assign(month: str, name: str, owner: str, by: str, at: datetime) -> Act:
    """Say who looks after a difference."""

    def decide(state: Reconciliation) -> Sequence[Fact]:
        return reconciliation.assign(state, break_id=name, owner=owner, by=by, at=at)

    return _act("break_assigned", month, decide, f"{name[:40]} {owner}")


def accept(month: str, name: str, reason: str, by: str, at: datetime) -> Act:
    """Leave a difference as it is."""

    def decide(state: Reconciliation) -> Sequence[Fact]:
        return reconciliation.accept(state, break_id=name, reason=reason, by=by, at=at)

    return _act("break_accepted", month, decide, f"{name[:40]} {reason}")


def sign(month: str, note: str, by: str, at: datetime) -> Act:
    """Answer for the last run, as somebody else than who ran it."""

    def decide(state: Reconciliation) -> Sequence[Fact]:
        if state.run is not None and (more := state.run.counts.get(LEFT_OUT, 0)):
            raise Refused(
                f"另有 {more} 项差异未列出，须先消除原因 / {more} more breaks are not listed: remove their cause first",
                period=month,
            )
        return reconciliation.sign(state, by=by, at=at, note=note)

    return _act("signed", month, decide, note)


# --- as it is shown ---


def read(pool: Pool, journal: Journal, month: str) -> Reconciliation:
    """The reconciliation as the journal has it."""
    with pool.connection() as connection:
        entries = journal.stream(connection, reconciliation.stream(month))
    return folded(Reconciliation(month), reconciliation.evolve)(entries)


STATE_ORDER: dict[str, int] = {"open": 0, "accepted": 1, "resolved": 2}


def shown(state: Reconciliation, now: datetime, only: str = "all") -> Shown:
    """As it stands at a moment; `only`: breaks in this state. Open ones first, then by kind."""
    told = [_break(each, now) for each in state.breaks.values()]
    told.sort(key=lambda each: (STATE_ORDER[each.state], ORDER[each.code], each.statement, each.line or 0, each.about))
    run, signed = state.run, state.signed
    ran: dict[str, Any] = {}
    if run is not None:
        names = ("cut_off", "journal_sha256", "statements_sha256", "provider_sha256", "counts")
        ran = {name: getattr(run, name) for name in names} | {"run_at": run.happened_at, "run_by": run.by}
    if signed is not None:
        ran |= {"signed_at": signed.happened_at, "signed_by": signed.by, "note": signed.note}
    return Shown(
        period=state.period,
        version=state.version,
        runs=state.runs,
        open=sum(each.state == "open" for each in told),
        accepted=sum(each.state == "accepted" for each in told),
        resolved=sum(each.state == "resolved" for each in told),
        **ran,
        breaks=[each for each in told if only in {"all", each.state}],
    )


def _break(standing: Standing, now: datetime) -> ShownBreak:
    found, state = standing.found, standing.state
    zh, en = CODES[found.code]
    names = ("break_id", "code", "about", "holder", "statement", "line", "ours_minor", "theirs_minor", "detail")
    kept = ("first_seen", "last_seen", "owner", "accepted", "accepted_by", "resolved_at")
    return ShownBreak(
        **{name: getattr(found, name) for name in (*names, "evidence")},
        **{name: getattr(standing, name) for name in kept},
        zh=zh,
        en=en,
        state=msgspec.convert(state, State),
        age_days=((standing.resolved_at or now) - standing.first_seen).days,
        acceptable=state == "open" and found.code != "free_usage_billed",
    )


AGE = table.Column("age_days", "天数", "Age, days", "count", 10)
SHEET = BREAKS._replace(columns=(*BREAKS.columns, AGE))


def to_csv(found: Shown) -> bytes:
    """One row a break, under both languages' titles; a byte order mark for Excel."""
    return b"".join(table.to_csv(SHEET, found.breaks))


# --- routes ---


class Owning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    owner: str


class Accepting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


class Signing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    note: str = ""


CSV_HEADER = ResponseHeader(name="Content-Disposition", description="Of CSV.", documentation_only=True)


@get("/v1/periods/{month:str}/reconciliation", guards=READERS, tags=TAGS, opt=SCOPE, response_headers=[CSV_HEADER])
async def show(
    month: FromPath[str],
    desk: NamedDependency[Desk],
    *,
    in_state: Annotated[Literal["open", "accepted", "resolved", "all"], QueryParameter(name="state")] = "all",
    format: FromQuery[Literal["json", "csv"]] = "json",  # noqa: A002  the parameter's name
) -> Response[Shown] | Response[bytes]:
    """Every difference with its age, who looks after it, and what became of it; before the first run there is none."""
    name = period.parse(month)
    told = await asyncio.to_thread(read, desk.pool, desk.journal, name)
    found = shown(told, datetime.now(UTC), in_state)
    headers = {"ETag": f'"{found.version}"'}
    if format == "csv":
        headers["Content-Disposition"] = f'attachment; filename="reconciliation-{name}.csv"'
        return Response(to_csv(found), media_type="text/csv", headers=headers)
    return Response(found, headers=headers)


@post("/v1/periods/{month:str}/reconciliation", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=ACCEPTED)
async def reconcile_month(
    request: AnyRequest, month: FromPath[str], desk: NamedDependency[Desk], settings: NamedDependency[Settings]
) -> Response[bytes]:
    """Compare journal, ledger, statements, provider and money. With nothing changed since, nothing is added."""
    account, name, now = await admitted(request, desk), period.parse(month), datetime.now(UTC)
    books, gateways = Books(desk.pool, desk.decider), gateways_of(settings.paying, desk.pool)
    act = await asyncio.to_thread(run, books, gateways, name, account.account, now)
    return await answered(request, desk, account, lambda _: act)


async def _done(request: AnyRequest, desk: Desk, make: Callable[[str, datetime], Act]) -> Response[bytes]:
    account = await admitted(request, desk)
    act = make(account.account, datetime.now(UTC))
    return await answered(request, desk, account, lambda _: act)


ONE = "/v1/periods/{month:str}/reconciliation/breaks/{break_id:str}"


@post(f"{ONE}/owner", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=ACCEPTED)
async def own(
    request: AnyRequest,
    month: FromPath[str],
    break_id: FromPath[str],
    data: JSONBody[Owning],
    desk: NamedDependency[Desk],
) -> Response[bytes]:
    """Say who looks after it."""
    name = period.parse(month)
    return await _done(request, desk, lambda by, at: assign(name, break_id, data.owner, by, at))


@post(f"{ONE}/acceptance", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=ACCEPTED)
async def let_be(
    request: AnyRequest,
    month: FromPath[str],
    break_id: FromPath[str],
    data: JSONBody[Accepting],
    desk: NamedDependency[Desk],
) -> Response[bytes]:
    """Leave it as it is, with a reason; a charge for free usage cannot be."""
    name = period.parse(month)
    return await _done(request, desk, lambda by, at: accept(name, break_id, data.reason, by, at))


@post("/v1/periods/{month:str}/reconciliation/signature", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=ACCEPTED)
async def put_name(
    request: AnyRequest, month: FromPath[str], data: JSONBody[Signing], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Answer for the last run, as somebody else than who ran it, with no break open."""
    name = period.parse(month)
    return await _done(request, desk, lambda by, at: sign(name, data.note, by, at))


ROUTES = (show, reconcile_month, own, let_be, put_name)
