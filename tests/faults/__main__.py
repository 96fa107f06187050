"""`python -m tests.faults`: all faults in turn, then the table; `--long` for the figures of docs/faults.md.

It starts its own PostgreSQL, durable, in a temporary home, and ends everything it started. Short: half a minute;
long: about five minutes.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path

import msgspec
import psycopg

from api import embedded
from tests.faults import campaign, commits, crash, gap, storm
from tests.faults.ledger import Row, table
from tests.faults.proxy import Mode


class Size(msgspec.Struct, frozen=True):
    """How much of each fault."""

    gap_seconds: float = 6.0
    after: int = 50
    before: int = 20
    blind: int = 20
    silent: int = 2
    decisions: int = 8  # of each of 16 deciders
    kills: int = 1


LONG = Size(gap_seconds=60.0, after=1_000, before=50, blind=50, silent=5, decisions=125, kills=5)


def main() -> int:
    """0 if nothing was lost or doubled, and the control was caught."""
    arguments = argparse.ArgumentParser(prog="make chaos")
    arguments.add_argument("--long", action="store_true", help="the long forms")
    arguments.add_argument("--fuzz", type=int, metavar="N", help="instead: N bodies of each format")
    arguments.add_argument("--minutes", type=float, default=float("inf"), help="of the fuzz, at most")
    arguments.add_argument("--ledger", type=Path, metavar="FILE", help="of the fuzz, to go on where it was")
    options = arguments.parse_args()
    if options.fuzz:
        return campaign.run(options.fuzz, options.minutes, options.ledger)
    size = LONG if options.long else Size()
    start = time.monotonic()
    logging.getLogger("kouan.writer").setLevel(logging.ERROR)  # every fault would be told
    with tempfile.TemporaryDirectory(prefix="kouan-faults-") as name:
        folder = Path(name)
        with crash.server(folder / "home") as server:
            with psycopg.connect(embedded.administrator(folder / "home"), autocommit=True) as connection:
                connection.execute("ALTER ROLE kouan_owner CREATEDB")
            rows = _under(server, folder, size)
            control = _tell(gap.control(server, folder))
        rows.append(_tell(crash.run(folder / "killed", folder, size.kills)))
    print(f"\n{table([*rows, control])}\n\n{time.monotonic() - start:.0f} s")
    return 0 if all(row.sound() for row in rows) and control.lost else 1


def _under(server: str, folder: Path, size: Size) -> list[Row]:
    rows = [_tell(gap.run(server, folder, size.gap_seconds))]
    cuts: dict[Mode, int] = {"after": size.after, "before": size.before, "blind": size.blind}
    cuts |= {"mute": size.silent, "slow": size.silent}
    rows += [_tell(commits.run(server, folder, mode, count)) for mode, count in cuts.items()]
    for processes in (1, 4):
        raged = storm.run(server, size.decisions, processes)
        storm.assert_one_after_the_other(raged.entries)
        print(f"storm: {raged.per_second:.0f} decisions/s")
        rows.append(_tell(raged.row))
    return rows


def _tell(row: Row) -> Row:
    print(row, flush=True)
    return row


if __name__ == "__main__":
    raise SystemExit(main())
