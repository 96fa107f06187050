"""`kouan pay`: the process that takes invoices to the payment provider and settles what comes back, one at a time.

It turns over outbox and inbox (billing/outbox.py, billing/inbox.py) of the bank and, as long as there is a key, of
Stripe, whichever of them new invoices go through. Each night it looks for what nobody told. Whatever goes wrong is
tried again; another process stands by and takes over when this one ends.
Times are seconds.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import psycopg

from api import embedded
from api.paying import stripe_of
from api.pool import Pool, open_pool
from api.settings import Paying, Settings
from billing import inbox
from billing.bank import BankGateway
from billing.gateway import Gateway, GatewayError
from billing.inbox import Inbox, Swept
from billing.outbox import Outbox, lead
from domain.journal import Journal
from domain.period import ZONE

POLL_SECONDS = 1.0
STAND_BY_SECONDS = 5.0
TROUBLE_SECONDS = 10.0
STEPS = 10  # at a time: who is asked to stop does so within a few calls of the provider
SWEEP_HOUR = 2  # of the night, in the period's zone
SINCE_DAYS_MAX = 400
SWEEP_AGAIN = timedelta(minutes=15)  # after one that failed

COUNTS = """
SELECT 'invoice', provider, state, count(*) FROM gateway_invoices GROUP BY provider, state
UNION ALL
SELECT 'request', provider, step.state, count(*)
FROM gateway_steps AS step JOIN gateway_invoices USING (statement)
WHERE step IN ('void', 'credit', 'refund') GROUP BY provider, step.state
UNION ALL
SELECT 'notice', provider, state, count(*) FROM gateway_inbox GROUP BY provider, state
ORDER BY 1, 2, 3
"""
TROUBLE = """
SELECT 'invoice ' || statement, error FROM gateway_invoices WHERE state = 'stopped'
UNION ALL
SELECT step || ' ' || statement, error FROM gateway_steps
WHERE step IN ('void', 'credit', 'refund') AND state = 'stopped'
UNION ALL
SELECT 'notice ' || event_id, error FROM gateway_inbox WHERE state = 'stopped'
ORDER BY 1
LIMIT 100
"""

log = logging.getLogger("kouan.pay")


def gateways(paying: Paying, pool: Pool) -> list[Gateway]:
    """Each provider once: an invoice stays with the one that it went through."""
    found: list[Gateway] = [BankGateway(pool)]
    if paying.stripe_key:
        found.append(stripe_of(paying))
    return found


class Payer:
    """Outbox and inbox of every gateway, on one connection."""

    def __init__(self, connection: psycopg.Connection[Any], journal: Journal, served: list[Gateway]) -> None:
        self.outboxes = [Outbox(connection, journal, each) for each in served]
        self.inboxes = [Inbox(connection, journal, each) for each in served]
        self._not_before: dict[str, datetime] = {}  # provider -> when it is swept again, after a sweep that failed

    def turn(self, at: datetime) -> int:
        """Take some of what is due of each, money that came in first. How many steps and notices were taken."""
        told = sum(each.run(at, STEPS) for each in self.inboxes)
        return told + sum(each.run(at, STEPS) for each in self.outboxes)

    def sweep(self, at: datetime, since: datetime | None = None) -> list[Swept]:
        """Look for what nobody told. Raises what a gateway raises."""
        return [each.sweep(at, since) for each in self.inboxes]

    def nightly(self, at: datetime) -> None:
        """Sweep where the night has come. One that fails holds up nothing, and is tried again a while later."""
        for each in self.inboxes:
            provider = each.gateway.provider
            if at < self._not_before.get(provider, at) or not due(each.swept_until(), at):
                continue
            self._not_before[provider] = at + SWEEP_AGAIN
            try:
                swept = each.sweep(at)
            except psycopg.Error:  # of the connection on which all the rest goes too
                raise
            except GatewayError as error:
                log.warning("sweep of %s: %s", provider, error.detail)
            except Exception:
                log.exception("sweep of %s", provider)
            else:
                log.info("sweep since %s: %s notices, %s movements", swept.since, swept.events, swept.movements)


def due(last: datetime | None, at: datetime) -> bool:
    """Whether a night has come since the last sweep.

    >>> night = datetime(2026, 10, 3, 18, tzinfo=UTC)  # 02:00 in Shanghai
    >>> due(None, night), due(night, night + timedelta(hours=23)), due(night, night + timedelta(hours=24))
    (True, False, True)
    """
    there = at.astimezone(ZONE)
    night = there.replace(hour=SWEEP_HOUR, minute=0, second=0, microsecond=0)
    if there < night:
        night -= timedelta(days=1)
    return last is None or last < night


@contextmanager
def paying(conninfo: str, settings: Settings) -> Iterator[Payer | None]:
    """The payer, on a connection that leads; None: another process does."""
    with ExitStack() as stack:
        journal = stack.enter_context(Journal("commerce", conninfo).opened())
        pool = stack.enter_context(open_pool(conninfo))
        connection = stack.enter_context(journal.connect(autocommit=True))
        yield Payer(connection, journal, gateways(settings.paying, pool)) if lead(connection) else None


def serve(conninfo: str, settings: Settings, over: threading.Event) -> None:
    """Until told to stop; whatever goes wrong is tried again."""
    while not over.is_set():
        try:
            with paying(conninfo, settings) as payer:
                if payer is None:
                    over.wait(STAND_BY_SECONDS)
                else:
                    _turn_over(payer, over)
        except psycopg.Error as error:
            log.warning("%s: %s", type(error).__name__, " ".join(str(error).split()))
            over.wait(TROUBLE_SECONDS)
        except Exception:
            log.exception("what was begun is looked up and goes on")
            over.wait(TROUBLE_SECONDS)


def _turn_over(payer: Payer, over: threading.Event) -> None:
    while not over.is_set():
        at = datetime.now(UTC)
        payer.nightly(at)
        if not payer.turn(at):
            over.wait(POLL_SECONDS)


# --- in a terminal ---


@click.group("pay", invoke_without_command=True)
@click.option("--once", is_flag=True, help="Take what is due, then end.")
@click.pass_context
def commands(context: click.Context, *, once: bool) -> None:
    """与支付方往来：发账单、收通知 / the process between node and payment provider; ends on SIGTERM."""
    if context.invoked_subcommand is not None:
        return
    settings = Settings.read()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if once:
        with _alone(settings) as payer:
            steps = _all(payer)
        click.echo(f"已办 {steps} 步 / {steps} steps were taken")
        return
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    serve(_conninfo(settings), settings, over)


def _all(payer: Payer) -> int:
    """Take all that is due."""
    steps = 0
    while taken := payer.turn(datetime.now(UTC)):
        steps += taken
    return steps


@contextmanager
def _alone(settings: Settings) -> Iterator[Payer]:
    with paying(_conninfo(settings), settings) as payer:
        if payer is None:
            click.echo("另一进程正在办理 / another process is at work", err=True)
            sys.exit(3)
        yield payer


def _conninfo(settings: Settings) -> str:
    return os.environ.get("KOUAN_CONNINFO") or settings.database_url or embedded.start(settings.home)


@commands.command("sweep")
@click.option("--days", type=click.IntRange(1, SINCE_DAYS_MAX), help="How far back; default: since the last sweep.")
def sweep(days: int | None) -> None:
    """查漏：补收未送达的通知 / look for what nobody told, and settle it."""
    at = datetime.now(UTC)
    with _alone(Settings.read()) as payer:
        for swept in payer.sweep(at, at - timedelta(days=days) if days else None):
            click.echo(
                f"自 {swept.since:%Y-%m-%d %H:%M} UTC 起补收 {swept.events} 条通知、{swept.movements} 笔款项 / "
                f"{swept.events} notices and {swept.movements} movements since then were not known"
            )
        _all(payer)


@commands.command("status")
@click.option("--retry", is_flag=True, help="Try notices that were stopped once more.")
def status(*, retry: bool) -> None:
    """查看在途与停办 / how many wait, and what has stopped; exits 1 if something has."""
    settings = Settings.read()
    with psycopg.connect(_conninfo(settings), autocommit=True) as connection:
        if retry:
            for provider in ("stripe", "bank"):
                inbox.retry(connection, provider, at=datetime.now(UTC))
        for what, provider, state, count in connection.execute(COUNTS):
            click.echo(f"{what:<8} {provider:<7} {state:<8} {count}")
        stopped = connection.execute(TROUBLE).fetchall()
    for what, error in stopped:
        click.echo(f"停办 stopped  {what}: {error}")
    sys.exit(1 if stopped else 0)
