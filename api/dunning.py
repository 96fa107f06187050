"""Dunning: `/v1/dunning` and `kouan dunning`, reminders, suspension of paid subscriptions, and that they go on.

`kouan dunning run` does once what is due, however often it is called: let cron call it every day. What is due when is
domain/dunning.py's, by the ladder of KOUAN_DUNNING. Whoever stops half-way is finished by the next run. Government
services are not in it: subscriptions name none. Money is fen; due days are days in Asia/Shanghai; times are UTC.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

import click
import msgspec
import psycopg
from litestar import get, post
from litestar.di import NamedDependency

from api.bookkeepers import LOOKERS, bookkeepers, keeps_books
from api.books import Books, conninfo, opened
from api.entitlement import Entitlements
from api.govern.acts import ACCEPTED, AnyRequest, Desk, admitted
from api.identity import Account, needs
from api.settings import Settings
from api.trail import Trail
from billing.fee_words import yuan
from domain import dunning, fact, subscription
from domain.deciding import folded
from domain.dunning import Dunned, DunningFact, DunningLifted, DunningReminded, DunningSuspended, Ladder, Overdue
from domain.fact import Fact, digest_id
from domain.period import ZONE
from domain.subscription import Subscription, holder
from domain.writer import Busy
from projections import receivables, runner
from projections.receivables import Receivable

TAGS, SCOPE = ["settle"], {"scope": "usage"}
WAIT_SECONDS_MAX = 3.0  # for payments to be counted; then one asks again
TOLD = """
SELECT state FROM commerce_events
WHERE originator_id >= 'dunning:' AND originator_id < 'dunning;'
ORDER BY notification_id
"""
NODE = "node"
Whose = tuple[str, bool]
"""A holder, and whether it is a party."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did about one holder."""

    act: str  # reminded, suspended, lifted
    holder: str
    is_party: bool
    statements: list[str]
    level: int = 0  # of a reminder
    outstanding_minor: int = 0
    subscriptions: list[str] = []


class Ran(msgspec.Struct, frozen=True):
    acts: list[Done]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that is overdue, and how far dunning is with it."""

    statement: str
    holder: str
    is_party: bool
    due_on: date
    days: int  # after the due day
    outstanding_minor: int
    level: int  # of the last reminder; 0: none yet
    reminded_at: datetime | None
    suspended: bool  # the holder's paid subscriptions are, for this or another statement
    next_act: str  # reminder, suspension; "": none is left
    next_on: date | None


# --- what is due: pure ---


def overdue(found: Iterable[Receivable], at: datetime) -> dict[Whose, list[Overdue]]:
    """What is overdue, by holder. A statement that a person must look at first waits, and so does a voided one."""
    today = at.astimezone(ZONE).date()
    late = [
        each
        for each in found
        if each.due_on is not None
        and each.due_on < today
        and each.outstanding_minor > 0
        and not (each.voided or each.stopped)
    ]
    late.sort(key=lambda each: (each.holder, each.is_party, each.due_on, each.statement))
    return {
        whose: [Overdue(each.statement, each.due_on, each.outstanding_minor) for each in own if each.due_on]
        for whose, own in groupby(late, key=lambda each: (each.holder, each.is_party))
    }


def due(
    found: Iterable[Receivable],
    dunned: Mapping[Whose, Dunned],
    running: Mapping[Whose, Sequence[str]],
    *,
    ladder: Ladder,
    by: str,
    at: datetime,
) -> Iterator[tuple[Whose, Sequence[Fact]]]:
    """What is to be told of each holder. `running`: subscriptions that are not suspended."""
    late = overdue(found, at)
    for whose in sorted({*late, *(name for name, each in dunned.items() if each.suspended)}):
        stands = dunned.get(whose, Dunned(*whose))
        told = dunning.dun(stands, late.get(whose, ()), running.get(whose, ()), ladder=ladder, by=by, at=at)
        if told:
            yield whose, told


# --- a run ---


class _Run(NamedTuple):
    books: Books
    entitlements: Entitlements
    ladder: Ladder
    by: str
    at: datetime

    def all(self) -> list[Done]:
        """What an earlier run left half done, then what is due, holder by holder."""
        with self.books.pool.connection() as connection:
            _counted(self.books, connection)
            found = receivables.open(connection, self.at)
            dunned = read(connection)
        self.entitlements.refresh()
        late = overdue(found, self.at)
        for whose, each in dunned.items():
            if each.suspended and whose in late:
                self._suspend(each.suspended)
        running = {whose: running_of(self.entitlements, whose) for whose in {*dunned, *late}}
        done: list[Done] = []
        for whose, told in due(found, dunned, running, ladder=self.ladder, by=self.by, at=self.at):
            if any(isinstance(each, DunningLifted) for each in told):
                self._resume(dunned[whose].suspended)  # first: what is told to go on does
            done += self._holder(whose, late.get(whose, []), running[whose])
        return done

    def _holder(self, whose: Whose, late: Sequence[Overdue], running: Sequence[str]) -> list[Done]:
        """Decide on its own stream, once, whoever else runs; then stop its subscriptions."""
        name, is_party = whose

        def decide(state: Dunned) -> Sequence[Fact]:
            return dunning.dun(state, late, running, ladder=self.ladder, by=self.by, at=self.at)

        fold = folded(Dunned(name, is_party), dunning.evolve)
        decided = self.books.decider.decide(dunning.stream(name, is_party=is_party), fold, decide)
        for new in decided.facts:
            if isinstance(new.fact, DunningSuspended):
                self._suspend(new.fact)
        return [_done(new.fact) for new in decided.facts]

    def _suspend(self, told: DunningSuspended) -> None:
        """Each once: who resumed one by hand since is not overruled."""
        for name in told.subscriptions:
            self._step(name, "suspended", told)

    def _resume(self, told: DunningSuspended | None) -> None:
        for name in told.subscriptions if told else ():
            self._step(name, "resumed", told)

    def _step(self, name: str, change: str, told: DunningSuspended | None) -> None:
        assert told is not None
        about: dict[str, Any] = {"by": self.by, "by_party": "", "at": self.at}

        def decide(state: Subscription) -> Sequence[Fact]:
            if change == "suspended":
                return subscription.suspend(state, reason=_reason(told), **about)
            return subscription.resume(state, reason="欠款已结清 / nothing is overdue any more", **about)

        key = digest_id("dunning", change, told.happened_at.isoformat(), name)
        fold = folded(Subscription(name), subscription.evolve)
        self.books.decider.decide(subscription.stream(name), fold, decide, key=key)


def _reason(told: DunningSuspended) -> str:
    named = ", ".join(told.statements[:5])
    return f"逾期未付 / overdue: {named}"


def _holder(whose: Whose) -> str:
    """As subscriptions call it."""
    name, is_party = whose
    return holder("", name) if is_party else holder(name, "")


def running_of(entitlements: Entitlements, whose: Whose) -> list[str]:
    """Subscriptions of a holder that are not suspended."""
    return [each.id for each in entitlements.subscriptions.of(_holder(whose)) if not each.suspended]


def _counted(books: Books, connection: psycopg.Connection[Any]) -> None:
    """Who has paid a moment ago is not suspended. Raises Busy."""
    last = books.writer.journal.last(connection)
    if not runner.wait_for(connection, receivables.NAME, last, WAIT_SECONDS_MAX):
        raise Busy("收款尚未计完，请稍后再试 / payments are not counted yet; try again")


def _done(told: Fact) -> Done:
    assert isinstance(told, DunningReminded | DunningSuspended | DunningLifted)
    about: dict[str, Any] = {"holder": told.holder, "is_party": told.is_party}
    match told:
        case DunningReminded():
            about |= {"act": "reminded", "statements": [told.statement], "level": told.level}
            return Done(**about, outstanding_minor=told.outstanding_minor)
        case DunningSuspended():
            about |= {"act": "suspended", "statements": list(told.statements)}
            return Done(**about, outstanding_minor=told.outstanding_minor, subscriptions=list(told.subscriptions))
        case _:
            return Done(**about, act="lifted", statements=[], subscriptions=list(told.subscriptions))


def history(connection: psycopg.Connection[Any]) -> list[DunningFact]:
    """What dunning has told so far, in its order."""
    facts = [fact.decode(state) for (state,) in connection.execute(TOLD)]
    return [each for each in facts if isinstance(each, DunningFact)]


def by_holder(facts: Iterable[DunningFact]) -> dict[Whose, Dunned]:
    """Every holder that something was told of."""
    found: dict[Whose, Dunned] = {}
    for each in facts:
        whose = (each.holder, each.is_party)
        found[whose] = dunning.evolve(found.get(whose, Dunned(*whose)), each)
    return found


def read(connection: psycopg.Connection[Any]) -> dict[Whose, Dunned]:
    """Every holder that something was told of."""
    return by_holder(history(connection))


def run(books: Books, entitlements: Entitlements, ladder: Ladder, by: str, at: datetime) -> list[Done]:
    """Do what is due. Raises Busy while payments are not counted."""
    return _Run(books, entitlements, ladder, by, at).all()


# --- looking ---


def standing(found: Iterable[Receivable], dunned: dict[Whose, Dunned], ladder: Ladder, at: datetime) -> list[Standing]:
    """What is overdue, the longest first. Pure."""
    shown = [
        _standing(whose, each, dunned.get(whose, Dunned(*whose)), ladder, at)
        for whose, late in overdue(found, at).items()
        for each in late
    ]
    return sorted(shown, key=lambda each: (each.due_on, each.statement))


def _standing(whose: Whose, late: Overdue, dunned: Dunned, ladder: Ladder, at: datetime) -> Standing:
    last = dunned.reminders.get(late.statement)
    level = last.level if last else 0
    act, on = _next(late, last, dunned, ladder)
    return Standing(
        statement=late.statement,
        holder=whose[0],
        is_party=whose[1],
        due_on=late.due_on,
        days=late.days(at),
        outstanding_minor=late.outstanding_minor,
        level=level,
        reminded_at=last.happened_at if last else None,
        suspended=dunned.suspended is not None,
        next_act=act,
        next_on=on,
    )


def _next(late: Overdue, last: DunningReminded | None, dunned: Dunned, ladder: Ladder) -> tuple[str, date | None]:
    level = last.level if last else 0
    if level < len(ladder.reminders):
        return "reminder", late.due_on + timedelta(days=ladder.reminders[level])
    if dunned.suspended is not None or last is None:
        return "", None
    told = last.happened_at.astimezone(ZONE).date()
    days = timedelta(days=ladder.suspension), timedelta(days=ladder.notice)
    return "suspension", max(late.due_on + days[0], told + days[1])


@get("/v1/dunning", guards=[needs()], tags=TAGS, opt=SCOPE)
async def look(request: AnyRequest, desk: NamedDependency[Desk], settings: NamedDependency[Settings]) -> list[Standing]:
    """What is overdue, the longest first, and what comes next: of everybody to who keeps the books, else one's own."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    everybodys = keeps_books(account, desk.register, LOOKERS)
    own = (account.party or account.account, bool(account.party))

    def look() -> list[Standing]:
        with desk.pool.connection() as connection:
            found = standing(receivables.open(connection, now), read(connection), settings.dunning, now)
        return [each for each in found if everybodys or (each.holder, each.is_party) == own]

    return await asyncio.to_thread(look)


@post("/v1/dunning/run", guards=[bookkeepers("finance")], tags=TAGS, opt=SCOPE, status_code=ACCEPTED)
async def run_now(
    request: AnyRequest,
    desk: NamedDependency[Desk],
    entitlements: NamedDependency[Entitlements],
    settings: NamedDependency[Settings],
) -> Ran:
    """Do what is due now: remind, suspend, lift. A second time there is nothing left to do."""
    account = await admitted(request, desk)
    return Ran(await run_by(desk, entitlements, settings.dunning, account))


async def run_by(desk: Desk, entitlements: Entitlements, ladder: Ladder, account: Account) -> list[Done]:
    """A run that somebody asked for, told to the trail. Raises Busy."""
    books, now = Books(desk.pool, desk.decider), datetime.now(UTC)
    done = await asyncio.to_thread(run, books, entitlements, ladder, account.account, now)
    for each in done:
        await desk.trail.tell(f"dunning.{each.act}", each.holder, account=account, detail=_detail(each))
    return done


def _detail(done: Done) -> str:
    what = " ".join([*done.statements, *done.subscriptions])
    return f"{what} {yuan(done.outstanding_minor)}" if done.outstanding_minor else what


ROUTES = (look, run_now)


# --- in a terminal ---


@click.group("dunning")
def commands() -> None:
    """催收：提醒、欠费暂停、恢复 / dunning; the node must be running."""


@commands.command("run")
@click.option("--by", default=NODE, help="经办人 / who does this.")
def run_command(by: str) -> None:
    """办理到期的催收，可由 cron 每天执行 / do what is due; let cron call it every day."""
    settings = Settings.read()
    with opened(conninfo()) as books:
        done = run(books, Entitlements(books.pool, "terminal"), settings.dunning, by, datetime.now(UTC))
        trail = Trail(books.writer)
        for each in done:
            asyncio.run(trail.tell(f"dunning.{each.act}", each.holder, detail=f"kouan, by {by} {_detail(each)}"))
            click.echo(f"{each.act}  {each.holder}  {_detail(each)}")
    if not done:
        click.echo("无到期催收 / nothing is due")


@commands.command("list")
def list_() -> None:
    """列出逾期账单 / what is overdue, the longest first."""
    now = datetime.now(UTC)
    with psycopg.connect(conninfo(), autocommit=True) as connection:
        found = standing(receivables.open(connection, now), read(connection), Settings.read().dunning, now)
    for each in found:
        state = "  已暂停 suspended" if each.suspended else ""
        sums = f"¥{yuan(each.outstanding_minor)}  {each.days} 天 days"
        click.echo(f"{each.statement}  {each.holder}  {sums}  提醒 reminders {each.level}{state}")
    if not found:
        click.echo("无逾期账单 / nothing is overdue")
