"""`kouan drill NUMBER LINE`: at the node itself, what a statement line comes from, as far as it is books and not cargo.

Whoever sits here is nobody whose sight could be asked for: facts are named by position and digest, never shown.
"""

from hashlib import sha256

import click
import psycopg

from api import drilling, embedded
from api.settings import Settings
from domain import positions
from domain.delivery import DeliveryMade
from projections.usage import Whose

ENTRIES = 50
STATES = "SELECT notification_id, state FROM cargo_events WHERE notification_id = ANY(%s) ORDER BY notification_id"


@click.command("drill")
@click.argument("number")
@click.argument("line", type=int)
@click.option("--after", default="", help="接着上一页 / behind the page before.")
@click.option("--limit", default=ENTRIES, type=click.IntRange(1, 1_000), help="几笔 / how many entries.")
def drill(number: str, line: int, after: str, limit: int) -> None:
    """账单一行的由来：用量、交付、事实摘要 / what a statement line comes from."""
    settings = Settings.read()
    with psycopg.connect(settings.database_url or embedded.start(settings.home), autocommit=True) as connection:
        opened = drilling.open_line(connection, Whose(), number, line, after=after, limit=limit)
        of = opened.line
        click.echo(f"{number} {line}  {of.item} {of.zh} {of.en}  {of.quantity} {of.unit_zh} {of.unit_en}")
        click.echo(f"{of.explanation}  = {of.amount_minor / 100:.2f} CNY  sha256 {opened.sha256}")
        for decided in opened.decisions:
            click.echo(str(decided))
        for entry in opened.entries:
            caused = opened.caused[entry.stream, entry.version]
            told = drilling.told_of(caused)
            click.echo(
                f"{entry.occurred_at.isoformat()}  {entry.meter} {entry.quantity}  {told.account} {told.subject}"
                f"  {drilling.path_of(caused.stream, caused.version)}"
            )
            if isinstance(caused.fact, DeliveryMade) and caused.fact.told:
                for place, state in connection.execute(STATES, (positions.unpack(caused.fact.told),)):
                    click.echo(f"  {place}  sha256 {sha256(state).hexdigest()}")
    if opened.next:
        click.echo(f"--after {opened.next}")
