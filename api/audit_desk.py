"""`kouan audit verify|export|prune|resume|head`: the audit trail in a terminal, straight from the database.

Exit codes of `verify`: 0 everything is as it was written, 1 something is not. Times are UTC.
"""

import csv
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec
import psycopg

from api import embedded
from api.audit_heads import Anchors, BadAnchor, Signer, agree, mark
from api.audit_lines import COLUMNS, Line, cells, line, title
from api.export import BOM
from api.settings import Settings
from domain.errors import Refused
from domain.journal import KEEPALIVE
from projections import audit, audit_rows
from projections.audit import Cut, Resumed
from projections.audit_check import Report, check

DAYS_MIN = 183
"""Network logs are kept for six months at least (网络安全法)."""


@click.group("audit")
def audit_desk() -> None:
    """审计链：核验、导出、到期清理 / the audit trail: verify, export, prune."""


def connect(conninfo: str) -> psycopg.Connection[tuple[object, ...]]:
    """The database that the settings name."""
    settings = Settings.read()
    where = conninfo or settings.database_url or embedded.start(settings.home)
    return psycopg.connect(where, autocommit=True, connect_timeout=5, **KEEPALIVE)  # type: ignore[arg-type]


CONNINFO = click.option(
    "--conninfo", envvar="KOUAN_CONNINFO", default="", help="默认按设置 / default: as the settings say."
)
BY = click.option("--by", required=True, help="经办人 / who does this.")


# --- verify ---


@audit_desk.command()
@CONNINFO
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def verify(conninfo: str, *, as_json: bool) -> None:
    """核验整条审计链，指出第一条有误的记录 / check the whole chain; the first bad record is named."""
    with connect(conninfo) as connection:
        report = verified(connection, Settings.read())
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        for text in told(report):
            click.echo(text)
    sys.exit(1 if report.bad else 0)


def verified(connection: psycopg.Connection[tuple[object, ...]], settings: Settings) -> Report:
    """The check against the anchors and the journal; a file of anchors that cannot be read is bad too."""
    anchors = Anchors.of(settings)
    try:
        trusted = {**anchors.keys(), **_own_key(settings)}
        heads = anchors.heads()  # as the file is now: the database is looked at later, and so knows all of them
        with audit_rows.evidence(connection, heads, trusted if heads else {}) as found:
            report = check(found)
    except BadAnchor as error:
        return Report(bad=f"anchors line {error.facts['line']}", why=error.detail)
    if report.heads and not report.anchors and not report.bad:  # every head was anchored when it was signed
        report.bad, report.why = "anchors", "锚点文件不见了 / the anchors are gone"
    return report


def _own_key(settings: Settings) -> dict[str, bytes]:
    if not (settings.home / "audit.key").exists():
        return {}
    signer = Signer(settings)
    return {signer.key_id: signer.public}


def told(report: Report) -> Iterator[str]:
    """A report in words."""
    yield f"节点 / node: {report.node or '-'}"
    yield (
        f"记录 {report.first}–{report.last}，共 {report.entries} 条，与日志核对 {report.facts} 条"
        f" / entries {report.first}-{report.last}: {report.entries}, of which {report.facts} compared with the journal"
    )
    yield f"链头 {report.heads}，锚点 {report.anchors} / heads {report.heads}, anchors {report.anchors}"
    if not report.anchors:
        yield "没有锚点：链尾被截去或全链重造都无从发现 / no anchors: a tail cut off would not be seen"
    for lost in report.lost:
        yield (
            f"恢复时缺失 {lost.lost_from}–{lost.lost_to}（{lost.at:%Y-%m-%d %H:%M}Z，{lost.by}）"
            f" / lost by a restore: {lost.lost_from}-{lost.lost_to}"
        )
    for cut in report.cuts:
        yield f"到期清理至 {cut.upto}（{cut.at:%Y-%m-%d}，{cut.by}） / pruned up to {cut.upto}"
    if report.bad:
        yield f"有误 / BAD {report.bad}: {report.why}"
    else:
        yield "完整 / whole"


# --- export ---


@audit_desk.command("export")
@click.argument("since", metavar="FROM", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]))
@click.argument("until", metavar="TO", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]))
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path(), show_default=True)
@CONNINFO
def export_(since: datetime, until: datetime, folder: Path, conninfo: str) -> None:
    """[FROM, TO) 的记录写成 JSONL 与 CSV / the entries of [FROM, TO), UTC, as JSON lines and as CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"audit-{since:%Y%m%dT%H%M%S}-{until:%Y%m%dT%H%M%S}"
    asked = audit_rows.Asked(since=since.replace(tzinfo=UTC), until=until.replace(tzinfo=UTC), after=0)
    with connect(conninfo) as connection:
        count = write(between(connection, asked), folder / f"{name}.jsonl", folder / f"{name}.csv")
    click.echo(f"{count}: {folder / name}.jsonl, .csv")


PAGE = 2_000


def between(connection: psycopg.Connection[tuple[object, ...]], asked: audit_rows.Asked) -> Iterator[Line]:
    """What fits, oldest first, page by page."""
    after = asked.after or 0
    while page := audit_rows.look(connection, msgspec.structs.replace(asked, after=after), PAGE):
        yield from map(line, page)
        after = page[-1].n


def write(lines: Iterator[Line], jsonl: Path, table: Path) -> int:
    """Both files at once, in constant memory. Returns how many."""
    count = 0
    with jsonl.open("wb") as plain, table.open("w", encoding="utf-8", errors="replace", newline="") as text:
        text.write(BOM)
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow([title(column) for column in COLUMNS])
        for count, each in enumerate(lines, 1):  # noqa: B007  the last one is told
            plain.write(msgspec.json.encode(each) + b"\n")
            writer.writerow(cells(each))
    return count


# --- cutting and resuming ---


@audit_desk.command()
@BY
@CONNINFO
@click.option("--days", type=click.IntRange(DAYS_MIN), default=None, help="默认 KOUAN_AUDIT_DAYS / default: that.")
def prune(by: str, conninfo: str, days: int | None) -> None:
    """清理到期且已有锚点的记录 / cut off what is old enough and anchored; the cut itself is recorded."""
    settings = Settings.read()
    kept = max(days or settings.audit.days, DAYS_MIN)
    now = datetime.now(UTC)
    with connect(conninfo) as connection:
        gone = pruned(connection, settings, now - timedelta(days=kept), now, by)
    click.echo(f"已清理 {gone} 条 / {gone} entries are gone")


def pruned(
    connection: psycopg.Connection[tuple[object, ...]], settings: Settings, before: datetime, now: datetime, by: str
) -> int:
    """Cut off what is older than a moment. Returns how many entries; raises Refused if the chain is not whole."""
    anchors = Anchors.of(settings)
    last = anchors.last()
    report = verified(connection, settings)
    if report.bad:
        raise Refused(f"链不完整，不予清理 / the chain is not whole, nothing is cut: {report.bad}: {report.why}")
    with connection.transaction():
        audit.state(connection, lock=True)
        old = audit_rows.old(connection, before, last.n if last else 0)
        if old is None:
            return 0
        cut = Cut(old.n, old.hash.hex(), old.position, before, now, by)
        gone = audit_rows.cut_off(connection, cut, settings.audit.hash)
    mark(connection, Signer(settings), anchors, now)
    return gone


@audit_desk.command()
@BY
@CONNINFO
@click.option("--reason", default="", help="缘由 / why.")
def resume(by: str, conninfo: str, reason: str) -> None:
    """恢复到较早时刻之后：记下缺失的范围，续写审计链 / after a restore: name what was lost, and go on."""
    with connect(conninfo) as connection:
        lost = resumed(connection, Settings.read(), datetime.now(UTC), by, reason)
    click.echo(f"缺失 {lost.lost_from}–{lost.lost_to}，已记入 / lost: {lost.lost_from}-{lost.lost_to}, recorded")


def resumed(
    connection: psycopg.Connection[tuple[object, ...]], settings: Settings, now: datetime, by: str, reason: str
) -> Resumed:
    """Raises Refused if nothing was lost, or if other entries took the numbers of those that were."""
    anchors = Anchors.of(settings)
    last = anchors.last()
    with connection.transaction():
        at = audit.state(connection, lock=True)
        if last is None or last.n <= at.n:
            agree(connection, anchors)
            raise Refused("锚点未超过链尾，没有缺失 / no anchor reaches beyond the chain: nothing is lost")
        lost = Resumed(at.n + 1, last.n, last.hash.hex(), now, by, reason)
        audit.add(connection, lost, n=last.n + 1, algorithm=settings.audit.hash)
    mark(connection, Signer(settings), anchors, now)
    return lost


@audit_desk.command()
@CONNINFO
def head(conninfo: str) -> None:
    """签发并锚定当前链头 / sign and anchor the head now."""
    settings = Settings.read()
    with connect(conninfo) as connection:
        agree(connection, Anchors.of(settings))
        mark(connection, Signer(settings), Anchors.of(settings), datetime.now(UTC))
        found = audit_rows.last_head(connection)
    click.echo(f"{found.n} {found.hash.hex()} {found.at.isoformat()} {found.key_id}" if found else "-")
