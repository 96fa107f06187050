"""The quarantine desk in a terminal: `kouan quarantine list|show|replay|dismiss`, through the HTTP API.

Exit codes: 0 done, 1 refused or not reached, 2 a wrong command line, 3 read again and still faulty. What sources wrote
is shown with its control characters drawn, for a terminal would obey them. Times are UTC, offsets bytes.
"""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, BinaryIO
from uuid import UUID

import click
import httpx
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from api import demo, terminal
from api.demo import Demo
from api.quarantine import MARK, STATES, Listing, Replayed, Shown, around
from api.settings import Settings
from domain.quarantine import Item, State

INSTANT = "%Y-%m-%d %H:%M:%SZ"
BYTES_SHOWN = 4000
"""Of a long message so much is printed around the fault; `--raw` writes all of it."""
STILL_FAULTY = 3
_PICTURES = 0x2400  # the block of Unicode that draws the control characters

console = terminal.open_console()


def asking(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that talks to a node: its address, and the operator's key."""

    @click.option("--url", envvar="KOUAN_URL", default="", help="默认取自 demo.json / default: that of demo.json.")
    @click.option("--key", envvar="KOUAN_KEY", default="", help="默认为示例运营 / default: the demo operator's.")
    @wraps(command)
    def wrapped(url: str, key: str, **options: Any) -> None:
        url, key = _credentials(url, key)
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=f"{url}/v1/quarantine", headers=headers, timeout=60, trust_env=False) as client:
            command(client, **options)

    return wrapped


def _credentials(url: str, key: str) -> tuple[str, str]:
    if url and key:
        return url, key
    file = demo.path(Settings.read().home)
    if not file.exists():
        raise click.ClickException(
            f"请给出 --url 和 --key，没有 {file} / say --url and --key: there is no {file} (`kouan run` writes it)"
        )
    shown = msgspec.json.decode(file.read_bytes(), type=Demo)
    return url or shown.base_url, key or shown.keys.operator


def _taken(answer: httpx.Response) -> bytes:
    """The body of an answer. Raises ClickException with what the node says against it."""
    if answer.is_error:
        raise click.ClickException(answer.json().get("detail", answer.text))
    return answer.content


@click.group("quarantine")
def quarantine() -> None:
    """隔离台：未能识别的报文 / the desk of messages that could not be understood."""


# --- commands ---


@quarantine.command("list")
@click.option("--state", type=click.Choice(["open", "waiting", "mended", "dismissed", "all"]), default="open")
@click.option("--source", default="", help="来源账户 / account of a source.")
@click.option("--format", "message_format", default="", help="报文格式 / message format.")
@click.option("--code", default="", help="故障代码 / fault code.")
@click.option("--since", default="", help="首次出现不早于 / first seen then or later, ISO 8601 with offset.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50)
@click.option("--after", default="", help="上一页给出的游标 / the cursor that the last page gave.")
@click.option("--json", "as_json", is_flag=True, help="原样输出 / the answer as it came.")
@asking
def listing(client: httpx.Client, state: str, message_format: str, *, as_json: bool, **wanted: Any) -> None:
    """列出，最新的在前 / list messages, newest first."""
    wanted |= {"state": "" if state == "all" else state, "format": message_format}
    answer = _taken(client.get("", params={name: value for name, value in wanted.items() if value}))
    if as_json:
        click.echo(answer)
        return
    told = msgspec.json.decode(answer, type=Listing)
    console.print(table(told))
    if told.more:
        console.print(f"下一页 next page: --after {told.next}", highlight=False)


@quarantine.command("show")
@click.argument("message_id", type=click.UUID)
@click.option("--raw", is_flag=True, help="只输出原始字节 / nothing but the bytes, verbatim.")
@click.option("--json", "as_json", is_flag=True, help="原样输出 / the answer as it came.")
@asking
def show(client: httpx.Client, message_id: UUID, *, raw: bool, as_json: bool) -> None:
    """显示一份报文，标出故障处 / show one message, with the place of its fault marked."""
    answer = _taken(client.get(f"/{message_id}/bytes" if raw else f"/{message_id}"))
    if raw or as_json:
        click.echo(answer, nl=as_json)
    else:
        console.print(one(msgspec.json.decode(answer, type=Shown)))


@quarantine.command("replay")
@click.argument("message_id", type=click.UUID)
@click.option(
    "--file", type=click.File("rb"), help="修好的报文，- 为标准输入 / the mended message; - is standard input."
)
@click.option("--format", "message_format", default="", help="改用此格式 / it had been labelled wrongly.")
@click.option("--override", type=click.Choice(["count"]), help="确认计数不符 / accept counts that do not match.")
@asking
def replay(client: httpx.Client, message_id: UUID, *, file: BinaryIO | None, **options: str | None) -> None:
    """重新读入：原样，或以 --file 修好的报文 / read again: as it came, or mended by --file."""
    body = b"" if file is None else file.read()
    if file is not None and not body.strip():
        raise click.UsageError(f"{file.name} 是空的 / is empty")
    wanted = {"format": options["message_format"], "override": options["override"]}
    params = {name: value for name, value in wanted.items() if value}
    told = msgspec.json.decode(_taken(client.post(f"/{message_id}/replay", content=body, params=params)), type=Replayed)
    console.print(replayed(told))
    if told.state != "mended":
        sys.exit(STILL_FAULTY)


@quarantine.command("dismiss")
@click.argument("message_id", type=click.UUID)
@click.option("--reason", required=True, help="理由，必填 / why; needed.")
@asking
def dismiss(client: httpx.Client, message_id: UUID, reason: str) -> None:
    """驳回，须说明理由 / dismiss a message, with a reason."""
    item = msgspec.json.decode(_taken(client.post(f"/{message_id}/dismiss", json={"reason": reason})), type=Item)
    console.print(_plain(f"{_state(item.state)}：{item.reason} · {item.resolved_by}"))


# --- what is printed ---


def table(told: Listing) -> RenderableType:
    """The messages of a page, and how many there are."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 2, 0, 0))
    made.add_column("报文 Message", no_wrap=True)
    for name in ("状态 State", "首次 First seen", "来源 Source", "格式 Format", "故障 Fault"):
        made.add_column(name, overflow="fold")
    made.add_column("次数 Attempts", justify="right")
    for item in told.items:
        seen = f"{item.first_seen:{INSTANT}}"
        cells = (str(item.message_id), _state(item.state), seen, item.source, item.format, item.code)
        made.add_row(*(_plain(cell) for cell in cells), str(item.attempts))
    counts: dict[State, int] = {}
    for row in told.counts:
        counts[row.state] = counts.get(row.state, 0) + row.count
    return Group(made, _plain(" · ".join(f"{_state(state)} {count}" for state, count in counts.items()), "dim"))


def one(shown: Shown) -> RenderableType:
    """A message, its fault and its bytes."""
    item = shown.item
    rows = {
        "报文 message": str(item.message_id),
        "状态 state": _state(item.state),
        "来源 source": f"{item.source} · {item.format} · {item.size_bytes} B · {shown.codec or '二进制 binary'}",
        "收到 received": f"{shown.received_at:{INSTANT}}",
        "次数 attempts": f"{item.attempts} · {item.first_seen:{INSTANT}} – {item.last_seen:{INSTANT}}",
        "故障 fault": f"{item.code} @ {item.offset} {item.path}",
        "说明 detail": item.detail,
    }
    if item.resolved_by:
        rows["处理 resolved"] = f"{item.resolved_by} · {item.resolved_at:{INSTANT}} · {item.reason or ''}"
    if item.replayed_as:
        rows["记为 replayed as"] = str(item.replayed_as)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows.items():
        grid.add_row(_plain(name, "dim"), _plain(value))
    return Group(grid, Text(), marked(shown))


def marked(shown: Shown) -> Text:
    """The bytes with the place of the fault marked; those sent to mend them where the fault lies in these."""
    place = shown.excerpt
    if shown.text is None or place.mended:
        title = "修复稿中的故障处 in the bytes sent to mend it:\n" if place.mended else ""
        return _plain(title, "dim").append_text(_marked(place.before, place.after))
    return _marked(*around(shown, BYTES_SHOWN))


def replayed(told: Replayed) -> RenderableType:
    """What became of a message that was read again."""
    lines = [_plain(f"{_state(told.state)} · 第 {told.attempts} 次 attempt {told.attempts}", "bold")]
    for receipt in told.receipts:
        lines.append(_plain(f"{receipt.status}  {receipt.message_id}"))
        lines += [_plain(f"  {fact.status}  {fact.subject}  {fact.fact_id}") for fact in receipt.facts]
        lines += [_plain(f"  {warning}", "yellow") for warning in receipt.warnings]
        if receipt.problem:
            fault = receipt.problem
            lines.append(_plain(f"  {fault.code} @ {fault.offset} {fault.path}: {fault.detail}", "red"))
    return Group(*lines)


def _marked(before: str, after: str) -> Text:
    return (
        _plain(before).append(MARK, "bold red").append_text(_plain(after[:1], "reverse")).append_text(_plain(after[1:]))
    )


def _state(state: State) -> str:
    return " ".join(STATES[state])


def _plain(text: str, style: str = "") -> Text:
    return Text(
        "".join([letter if letter.isprintable() or letter == "\n" else _named(letter) for letter in text]), style
    )


def _named(letter: str) -> str:
    """A character that cannot be seen, as something that can: U+240D for a carriage return."""
    number = ord(letter)
    return chr(_PICTURES + number) if number < ord(" ") else letter if letter == "\u3000" else f"\\u{number:04x}"
