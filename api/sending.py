"""Sending files: `kouan report FILE|DIR|-`, in parts of whole messages, each acknowledged before the next one goes.

What was acknowledged is remembered under KOUAN_HOME/sent, so that a file goes on where it was broken off; a part that
was sent and whose answer was lost is sent again under the same key, and answered as it was. What cannot be reached is
tried again, ever more slowly, and as Retry-After asks. Exit codes: 0 all is taken, 1 something was quarantined, 2 not
everything could be sent (the same command goes on). Times are seconds, offsets bytes of the file.
"""

import random
import sys
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

import click
import httpx
import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from api import demo, limits, terminal
from api.bulk import NDJSON, Done
from api.demo import Demo
from api.formats import registry as formats
from api.idempotency import HEADER
from api.intake import MessageReceipt
from api.parts import Part, cutter
from api.problems import Problem
from api.sent import REMARKS_MAX, STATUSES, Memory, Sent, chained
from api.settings import Settings
from api.sniffing import HEAD_BYTES, format_of, is_lined
from domain.errors import Malformed

READ_BYTES = 262_144
PART_BYTES, PART_MESSAGES = 4_000_000, 10_000
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.5, 30.0
ANSWER_SECONDS_MAX = 120.0
AGAIN = frozenset({408, 429})
"""Beside every 5xx: what is worth another try."""

console = terminal.open_console()


class NotSent(Exception):
    """Why a file, or the rest of it, did not go."""


class Post:
    """Where parts go, and how patiently."""

    def __init__(self, client: httpx.Client, patience: float, wait: Callable[[str], None]) -> None:
        self.client, self.patience, self.wait = client, patience, wait

    def send(self, part: Part, params: dict[str, str], key: str) -> "Taken":
        """One part, until it is answered. Raises NotSent."""
        deadline, pause = time.monotonic() + self.patience, PAUSE_SECONDS
        while True:
            seconds = pause * random.uniform(0.5, 1.0)  # noqa: S311  so that senders do not come in step
            try:
                answer = self.client.post("/v1/reports", params=params, content=part.body, headers={HEADER: key})
                told = _told(answer, part)
            except httpx.TransportError as error:
                reason = f"{type(error).__name__} {error}".strip()
            else:
                if isinstance(told, Taken):
                    return told
                reason = told.detail
                if not _worth_another_try(answer, told):
                    raise NotSent(reason)
                seconds = max(seconds, _retry_after(answer))
            if time.monotonic() + seconds > deadline:
                raise NotSent(reason)
            self.wait(reason)
            time.sleep(seconds)
            pause = min(pause * 2, PAUSE_SECONDS_MAX)


def _worth_another_try(answer: httpx.Response, told: Problem) -> bool:
    held = told.type.endswith("/idempotency-in-progress")
    return held or told.status in AGAIN or told.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.is_server_error


def _retry_after(answer: httpx.Response) -> float:
    said = answer.headers.get("Retry-After", "")
    return float(said) if said.isdigit() else 0.0


def _told(answer: httpx.Response, part: Part) -> "Taken | Problem":
    """What became of a part; a problem where it was not taken whole."""
    if answer.status_code != HTTPStatus.ACCEPTED:
        return _problem(answer)
    if answer.headers["Content-Type"].startswith(NDJSON):
        *lines, last = answer.content.splitlines()
        done = msgspec.json.decode(last, type=Done)
        if done.problem is not None:
            return done.problem
        receipts = [msgspec.json.decode(line, type=MessageReceipt) for line in lines if b'"quarantined"' in line]
    else:
        received = msgspec.json.decode(answer.content, type=_Received)
        done, receipts = Done(position=received.position, messages=len(received.receipts)), received.receipts
        for receipt in receipts:
            setattr(done, receipt.status, getattr(done, receipt.status) + 1)
    problems = [receipt.problem for receipt in receipts if receipt.problem is not None]
    said = [f"@{part.offset(problem.offset)} {problem.code}: {problem.detail}" for problem in problems[:REMARKS_MAX]]
    return Taken(done, said)


class Taken(msgspec.Struct, frozen=True):
    """What became of a part, and its first problems."""

    done: Done
    problems: list[str]


class _Received(msgspec.Struct):
    position: int
    receipts: list[MessageReceipt]


def _problem(answer: httpx.Response) -> Problem:
    try:
        return msgspec.json.decode(answer.content, type=Problem)
    except msgspec.MsgspecError:  # somebody between us and the node
        return Problem("", answer.reason_phrase, answer.status_code, f"{answer.status_code} {answer.reason_phrase}")


# --- one file ---


class File:
    """A file, or the standard input, and how it goes."""

    def __init__(self, path: Path | None, name: str, sent_at: str) -> None:
        self.path, self.title = path, str(path or "-")
        self.size = path.stat().st_size if path else None
        self._head = sys.stdin.buffer.read(HEAD_BYTES) if path is None else b""
        head = self._head or (_head(path) if path else b"")
        self.format = name or format_of(head)
        if not self.format:
            raise NotSent("看不出报文格式，请用 --format 说明 / the format cannot be told; say --format")
        self.streamed = self.format in formats.EDIFACT or is_lined(head, path.suffix if path else "")
        self.params = {"format": self.format} | ({"stream": "true"} if self.streamed else {})
        self.params |= {"sent_at": sent_at} if sent_at else {}

    def parts(self) -> Iterator[tuple[Part, list[str]]]:
        """The parts, and what the envelopes say that is not so. Raises NotSent."""
        if not self.streamed:
            yield self._whole(), []
            return
        cut = cutter(self.format, bytes_max=PART_BYTES, messages_max=PART_MESSAGES)
        try:
            for piece in self._pieces():
                for part in cut.feed(piece):
                    yield part, []
            for part in cut.finish():
                yield part, cut.warnings
        except Malformed as error:
            raise NotSent(error.detail) from error

    def _whole(self) -> Part:
        found = b""
        for piece in self._pieces():
            found += piece
            if len(found) > limits.BODY_BYTES_MAX:
                raise NotSent(
                    f"超过 {limits.BODY_BYTES_MAX} 字节，且无法切分：请改用 NDJSON / "
                    f"more than {limits.BODY_BYTES_MAX} bytes, and it cannot be cut: send NDJSON"
                )
        return Part(found, 0, 0, 0)

    def _pieces(self) -> Iterator[bytes]:
        if self.path is None:
            yield self._head
            yield from _read(sys.stdin.buffer)
            return
        with self.path.open("rb") as file:
            yield from _read(file)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _read(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(READ_BYTES):
        yield piece


def deliver(file: File, post: Post, memory: Memory, advance: Callable[[int], None]) -> int:
    """Send what was not acknowledged before, and count these parts. Raises NotSent; what went before is remembered."""
    if not memory.sent.holds(part for part, _ in file.parts()):
        memory.sent = Sent()
    sent, chain, gone = memory.sent, "", 0
    memory.save()
    for part, warnings in file.parts():
        chain = chained(chain, part)
        if part.end > sent.end or not sent.chain:
            taken = post.send(part, file.params, f"{sent.run}-{part.start}")
            sent.add(taken.done, [f"{file.title} {remark}" for remark in (*taken.problems, *warnings)])
            sent.end, sent.chain = part.end, chain
            memory.save()
            gone += 1
        advance(part.end)
    return gone


# --- the command ---


class Errand(msgspec.Struct):
    """One call of the command."""

    home: Path
    url: str
    key: str
    format: str
    sent_at: str
    patience: float
    again: bool
    told: Sent = msgspec.field(default_factory=Sent)
    remarks: list[str] = []
    unsent: list[str] = []

    def run(self, paths: Iterator[Path | None]) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        options = {"base_url": self.url, "headers": headers, "timeout": ANSWER_SECONDS_MAX, "trust_env": False}
        with httpx.Client(**options) as client, _progress() as progress:  # type: ignore[arg-type]
            for path in paths:
                self._send(path, client, progress)

    def _send(self, path: Path | None, client: httpx.Client, progress: Progress) -> None:
        title = str(path or "-")
        task = progress.add_task(title, total=None, said="")

        def say(reason: str) -> None:
            progress.update(task, said=reason)

        def advance(at: int) -> None:
            progress.update(task, completed=at, said="")

        memory = Memory.of(path, self.home, self.url, self.key, again=self.again)
        try:
            file = File(path, self.format, self.sent_at)
            progress.update(task, total=file.size)
            if not deliver(file, Post(client, self.patience, say), memory, advance):
                remark = "此前已全部送达，--again 可重发 / all of it was sent before; --again sends it once more"
                self.remarks.append(f"{title}: {remark}")
        except (NotSent, OSError) as error:
            self.unsent.append(f"{title}: {error}")
        self.told.join(memory.sent)


@click.command("report")
@click.argument("paths", nargs=-1, required=True, metavar="FILE|DIR|-")
@click.option("--format", "name", default="", metavar="NAME", help="报文格式，默认自动识别 / default: told by content.")
@click.option("--source", default="", help="示例数据源 / a source of demo.json, whose key is taken.")
@click.option("--url", envvar="KOUAN_URL", default="", help="默认取自 demo.json / default: that of demo.json.")
@click.option("--key", envvar="KOUAN_KEY", default="", help="数据源的密钥 / the source's key.")
@click.option("--sent-at", default="", help="发送时间，供不带年份的格式 / for formats without a year, ISO 8601.")
@click.option("--patience", default=300.0, show_default=True, help="一段最多重试几秒 / seconds to try one part for.")
@click.option("--again", is_flag=True, help="从头再发 / send from the beginning, whatever was sent before.")
def report(
    *, paths: tuple[str, ...], name: str, source: str, url: str, key: str, sent_at: str, patience: float, again: bool
) -> None:
    """发送报文文件，中断后再次执行即续传 / send files of messages; the same command goes on after a break."""
    if name and name not in formats.READERS:
        raise click.BadParameter(f"{name}: {' | '.join(sorted(formats.READERS))}", param_hint="--format")
    home = Settings.read().home
    errand = Errand(home, *_credentials(home, source, url, key), name, sent_at, patience, again)
    errand.run(_files(paths))
    _show(errand)
    sys.exit(2 if errand.unsent else 1 if errand.told.quarantined else 0)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    rest = (TimeRemainingColumn(), TextColumn("{task.fields[said]}", style="yellow", markup=False))
    return Progress(*columns, *rest, console=Console(stderr=True))


def _credentials(home: Path, source: str, url: str, key: str) -> tuple[str, str]:
    if url and key:
        return url, key
    file = demo.path(home)
    if not file.exists():
        raise click.ClickException(
            f"请给出 --url 和 --key，没有 {file} / say --url and --key: there is no {file} (`kouan run` writes it)"
        )
    shown = msgspec.json.decode(file.read_bytes(), type=Demo)
    if not key and source not in shown.keys.sources:
        raise click.UsageError(f"--source {' | '.join(shown.keys.sources)}")
    return url or shown.base_url, key or shown.keys.sources[source]


def _files(paths: tuple[str, ...]) -> Iterator[Path | None]:
    """The files named, those of a folder in the order of their names; None is the standard input."""
    for said in paths:
        path = Path(said)
        if said == "-":
            yield None
        elif path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.is_file() and not each.name.startswith("."))
        else:
            yield path


def _show(errand: Errand) -> None:
    table = Table(box=None, show_header=False)
    for label, status in zip(LABELS, STATUSES, strict=True):
        table.add_row(f"{label} {status}", f"{getattr(errand.told, status):,}")
    console.print(table)
    for remark in (*errand.told.remarks, *errand.remarks):
        console.print(Text(f"  {_plain(remark)}"))
    for remark in errand.unsent:
        console.print(Text(f"未发完 not sent: {_plain(remark)}", style="red"))


LABELS = ("报文", "新记录", "重复", "佐证", "隔离")


def _plain(said: str) -> str:
    """Without what a terminal would obey: remarks quote what sources wrote."""
    return "".join(character if character.isprintable() else "·" for character in said)
