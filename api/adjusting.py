"""Adjustments: `/v1/adjustments` and `kouan adjustment`, money given or claimed on the next statement, with a reason.

Finance of the node itself proposes one, somebody else of it approves or declines; its operator and auditors look. One
that is approved is a line of the month that is cut off next; nothing that was issued changes. It names a commercial
item: what is free has nothing to adjust. Money is fen, a credit below zero; times are UTC.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import click
import msgspec
import psycopg
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from api.bookkeepers import bookkeepers
from api.books import carry_out, conninfo, opened
from api.govern.acts import ACCEPTED, CREATED, Act, AnyRequest, Desk, admitted, answered
from api.pool import Pool
from billing.fee_words import yuan
from domain import adjustment, fact
from domain.adjustment import Adjustment
from domain.deciding import folded
from domain.errors import Malformed, Refused, Unknown
from domain.fact import Fact

FINANCE = [bookkeepers("finance")]
READERS = [bookkeepers("finance", "operator", "auditor")]
TAGS, SCOPE = ["settle"], {"scope": "usage"}
PAGE, PAGE_MAX = 100, 500
KEY_CHARS_MAX = 80
STATES = {"proposed": ("待审", "proposed"), "approved": ("已批准", "approved"), "declined": ("已退回", "declined")}
TOLD = """
SELECT notification_id, originator_id, state FROM commerce_events
WHERE originator_id >= 'adjustment:' AND originator_id < 'adjustment;'
  AND (%(name)s::text IS NULL OR originator_id = %(name)s)
ORDER BY notification_id
"""
BILLED = "SELECT reference, statement, line FROM issued_lines WHERE kind = 'adjustment' AND reference = ANY(%s)"
STATEMENT = "SELECT period, holder, is_party FROM issued_statements WHERE statement = %s"
CLASS = "SELECT item_class FROM listed_items WHERE item = %s"
HOLDER = """
SELECT EXISTS (SELECT FROM issued_statements WHERE holder = %(holder)s AND is_party = %(is_party)s)
    OR EXISTS (SELECT FROM usage_entries WHERE holder = %(holder)s AND (party <> '') = %(is_party)s)
    OR CASE WHEN %(is_party)s
        THEN EXISTS (SELECT FROM commerce_events WHERE originator_id = 'party:' || %(holder)s)
        ELSE EXISTS (SELECT FROM accounts WHERE account = %(holder)s AND party = '')
    END
"""


class Proposing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is proposed. Of a statement that is named, holder and month need not be said."""

    item: str
    amount_minor: int  # tax included; below zero: a credit
    reason: str
    holder: str = ""
    is_party: bool = False
    corrects_period: str = ""
    statement: str = ""


class Because(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """An adjustment as it stands."""

    id: str
    state: str
    state_zh: str
    state_en: str
    holder: str
    is_party: bool
    item: str
    amount_minor: int
    reason: str
    corrects_period: str
    statement: str  # that it is about
    proposed_by: str
    proposed_at: datetime
    decided_by: str = ""
    decided_at: datetime | None = None
    declined_because: str = ""
    billed_on: str = ""  # the statement that bears it; "": none yet
    billed_line: int | None = None


# --- looking ---


def find(connection: psycopg.Connection[Any], name: str | None = None) -> list[Shown]:
    """All of them, the newest first, or one."""
    told: dict[str, list[Any]] = {}
    for _, stream, state in connection.execute(TOLD, {"name": adjustment.stream(name) if name else None}):
        told.setdefault(stream, []).append(fact.decode(state))
    billed = {row[0]: row[1:] for row in connection.execute(BILLED, ([_id(stream) for stream in told],))}
    return [shown(_id(stream), facts, billed.get(_id(stream))) for stream, facts in reversed(told.items())]


def _id(stream: str) -> str:
    return stream.partition(":")[2]


def shown(name: str, facts: Sequence[Any], billed: tuple[str, int] | None) -> Shown:
    """As it is shown. `billed`: the statement that bears it, and the line."""
    proposed, *decided = facts
    state: Literal["proposed", "approved", "declined"] = "proposed"
    if decided:
        state = "approved" if isinstance(decided[-1], adjustment.AdjustmentApproved) else "declined"
    names = ("holder", "is_party", "item", "amount_minor", "reason", "corrects_period", "statement")
    return Shown(
        id=name,
        state=state,
        state_zh=STATES[state][0],
        state_en=STATES[state][1],
        **{each: getattr(proposed, each) for each in names},
        proposed_by=proposed.by,
        proposed_at=proposed.happened_at,
        decided_by=decided[-1].by if decided else "",
        decided_at=decided[-1].happened_at if decided else None,
        declined_because=decided[-1].reason if state == "declined" else "",
        billed_on=billed[0] if billed else "",
        billed_line=billed[1] if billed else None,
    )


# --- acts: the same by API and in a terminal; each raises what its decision raises ---


def _act(action: str, name: str, decision: Callable[[Adjustment], Sequence[Fact]], detail: str = "") -> Act:
    fold = folded(Adjustment(name), adjustment.evolve)
    return Act(f"adjustment.{action}", adjustment.stream(name), fold, decision, detail)


def proposing(pool: Pool, told: Proposing, by: str, at: datetime) -> Callable[[UUID], Act]:
    """An act for the id of the request. Raises Unknown for a statement or a holder that is not there."""
    with pool.connection() as connection:
        told = _completed(connection, told)
        found = connection.execute(CLASS, (told.item,)).fetchone()
        if found is None:
            raise Refused(
                f"没有服务项目 {told.item[:80]!r} / there is no service item {told.item[:80]!r}", item=told.item[:80]
            )
    given: dict[str, Any] = {**msgspec.structs.asdict(told), "commercial": found[0] == "commercial"}
    detail = f"{told.holder} {told.item} {told.amount_minor} {told.reason}"

    def act(key: UUID) -> Act:
        return _act("proposed", f"A-{key.hex}", lambda state: adjustment.propose(state, **given, by=by, at=at), detail)

    return act


def _completed(connection: psycopg.Connection[Any], told: Proposing) -> Proposing:
    """With the holder and the month of the statement that it is about."""
    if told.statement:
        row = connection.execute(STATEMENT, (told.statement,)).fetchone()
        if row is None or (told.holder and (told.holder, told.is_party) != row[1:]):
            raise Unknown(
                f"该单位没有账单 {told.statement[:40]} / this holder has no statement {told.statement[:40]}",
                statement=told.statement[:40],
            )
        named = {"corrects_period": told.corrects_period or row[0], "holder": row[1], "is_party": row[2]}
        return msgspec.structs.replace(told, **named)
    if not told.holder:
        raise Malformed("须填写单位或账单号 / name the holder or the statement", field="holder")
    [known] = connection.execute(HOLDER, {"holder": told.holder, "is_party": told.is_party}).fetchone() or (False,)
    if not known:
        raise Unknown(f"没有 {told.holder[:80]!r} / there is no {told.holder[:80]!r}", holder=told.holder[:80])
    return told


def approving(pool: Pool, name: str, by: str, at: datetime) -> Act:
    """Raises Unknown."""
    _known(pool, name)
    return _act("approved", name, lambda state: adjustment.approve(state, by=by, at=at))


def declining(pool: Pool, name: str, reason: str, by: str, at: datetime) -> Act:
    """Raises Unknown."""
    _known(pool, name)
    return _act("declined", name, lambda state: adjustment.decline(state, reason=reason, by=by, at=at), reason)


def _known(pool: Pool, name: str) -> Shown:
    with pool.connection() as connection:
        found = find(connection, name[:KEY_CHARS_MAX])
    if not found:
        raise Unknown(f"没有调整 {name[:80]!r} / there is no adjustment {name[:80]!r}", adjustment=name[:80])
    return found[0]


# --- routes ---


@get("/v1/adjustments", guards=READERS, tags=TAGS, opt=SCOPE)
async def listed(
    pool: NamedDependency[Pool],
    stands: Annotated[Literal["", "proposed", "approved", "declined"], QueryParameter(name="state")] = "",
    skip: Annotated[int, QueryParameter(ge=0, le=10**9)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE,
) -> list[Shown]:
    """The newest first: what was proposed, by whom it was decided, and the statement that bears it."""

    def look() -> list[Shown]:
        with pool.connection() as connection:
            return [each for each in find(connection) if stands in {"", each.state}]

    return (await asyncio.to_thread(look))[skip : skip + limit]


@get("/v1/adjustments/{adjustment:str}", guards=READERS, tags=TAGS, opt=SCOPE)
async def one(adjustment: FromPath[str], pool: NamedDependency[Pool]) -> Shown:
    """One of them."""
    return await asyncio.to_thread(_known, pool, adjustment)


@post("/v1/adjustments", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=CREATED)
async def propose(request: AnyRequest, data: JSONBody[Proposing], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Propose to give or to claim money on the next statement; it counts once somebody else approves."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = await asyncio.to_thread(proposing, desk.pool, data, account.account, now)
    return await answered(request, desk, account, act, status=CREATED, location="/v1/adjustments/{id}")


@post("/v1/adjustments/{adjustment:str}/approve", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=ACCEPTED)
async def approve(request: AnyRequest, adjustment: FromPath[str], desk: NamedDependency[Desk]) -> Response[bytes]:
    """Approve one that somebody else proposed: it stands on the statement of the month that is cut off next."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = await asyncio.to_thread(approving, desk.pool, adjustment, account.account, now)
    return await answered(request, desk, account, lambda _: act)


@post("/v1/adjustments/{adjustment:str}/decline", guards=FINANCE, tags=TAGS, opt=SCOPE, status_code=ACCEPTED)
async def decline(
    request: AnyRequest, adjustment: FromPath[str], data: JSONBody[Because], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """Decline it, or take back one's own; it will not count."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    act = await asyncio.to_thread(declining, desk.pool, adjustment, data.reason, account.account, now)
    return await answered(request, desk, account, lambda _: act)


ROUTES = (listed, one, propose, approve, decline)


# --- in a terminal ---


@click.group("adjustment")
def commands() -> None:
    """账单调整 / adjustments: money given or claimed on the next statement."""


@commands.command("list")
def list_() -> None:
    """列出调整 / list them, the newest first."""
    with psycopg.connect(conninfo(), autocommit=True) as connection:
        for each in find(connection):
            sums = f"{each.holder}  {each.item}  ¥{yuan(each.amount_minor)}"
            click.echo(f"{each.id}  {each.state_zh} {each.state_en}  {sums}  {each.reason}  {each.billed_on or '–'}")


@commands.command("propose")
@click.argument("item")
@click.argument("amount_minor", type=int, metavar="FEN")
@click.option("--statement", default="", help="涉及的账单 / the statement that it is about")
@click.option("--account", default="", help="无单位的账户 / an account that has no party")
@click.option("--party", default="", help="单位代码 / a party")
@click.option("--month", "corrects_period", default="", help="涉及的月份，如 2026-10 / the month that it is about")
@click.option("--reason", required=True)
@click.option("--by", required=True, help="经办人 / who does this.")
def propose_command(by: str, account: str, party: str, **told: Any) -> None:
    """提出调整；贷项为负，写在 -- 之后 / propose one; a credit is below zero: write -- before it."""
    data = Proposing(**told, holder=party or account, is_party=bool(party))
    with opened(conninfo()) as books:
        act = proposing(books.pool, data, by, datetime.now(UTC))(uuid4())
        carry_out(books, act, by)
    click.echo(_id(act.stream))


@commands.command("approve")
@click.argument("name")
@click.option("--by", required=True, help="审批人，不得为提出人 / who approves, not who proposed it.")
def approve_command(name: str, by: str) -> None:
    """批准 / approve it."""
    with opened(conninfo()) as books:
        _said(carry_out(books, approving(books.pool, name, by, datetime.now(UTC)), by))


@commands.command("decline")
@click.argument("name")
@click.option("--reason", required=True)
@click.option("--by", required=True, help="经办人 / who does this.")
def decline_command(name: str, reason: str, by: str) -> None:
    """退回 / decline it."""
    with opened(conninfo()) as books:
        _said(carry_out(books, declining(books.pool, name, reason, by, datetime.now(UTC)), by))


def _said(new: bool) -> None:
    click.echo("已办理 done" if new else "原已如此 it was so before")
