"""`kouan listen`: the feed of a server, forwarded to a program on this machine, signed as a webhook would be.

For development: no address that the server could reach is needed, and nothing is registered there. Takes the stream,
or pulls where there is none; the same body, ids and signatures as a push. What the program has taken (2xx) is
remembered under KOUAN_HOME/listen, so that the next start goes on behind it; what it refuses is sent again until it is
taken. Each line shows one event. Times are UTC, pauses seconds.
"""

import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

import click
import httpx
import msgspec
from rich.text import Text

from api import demo, sandbox_commands, terminal
from api.demo import Demo
from api.push import signing, sources
from api.push.signing import Key
from api.push.sources import Message
from api.sandbox_commands import Sandbox
from api.settings import Settings
from domain.milestones import MILESTONES

FEED, STREAM = "/v1/feed", "/v1/feed/stream"
OVER = "/problems/stream-over"
PAGE, WAIT_SECONDS = 200, 30
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 1.0, 30.0
SILENCE_SECONDS = 60.0  # a stream says something every fifteen
ANSWER_SECONDS_MAX = 15.0
NO_STREAM = frozenset({402, 404, 405, 406, 503})
"""Then the feed is pulled: the server has no stream, or none for this subscriber, or no more of them."""

console = terminal.open_console()


class Item(msgspec.Struct):
    """As much of an item of the feed as is shown of it."""

    position: int
    subject: str
    fact: msgspec.Raw


class Told(msgspec.Struct):
    """As much of a fact."""

    fact: str = ""
    code: str = ""
    classifier: str = "ACT"
    place: str = ""
    recorded_at: str = ""


class Page(msgspec.Struct):
    items: list[msgspec.Raw]
    next: str
    more: bool


class Memory(msgspec.Struct):
    """Where the listening of one server for one program stands. `position`: of the last item that it has taken."""

    secret: str
    after: str = ""
    position: int = 0


class Kept:
    """The memory in its file, readable by its owner alone."""

    def __init__(self, folder: Path, server: str, to: str, account: str) -> None:
        self.file = folder / f"{sha256(f'{server} {to} {account}'.encode()).hexdigest()[:16]}.json"
        self.memory = self._read() or Memory(signing.new_key("v1").shown)

    def _read(self) -> Memory | None:
        with suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(self.file.read_bytes(), type=Memory)
        return None

    def keep(self, **changes: Any) -> None:
        """Whole or not at all."""
        self.memory = msgspec.structs.replace(self.memory, **changes)
        self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self.file.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_bytes(msgspec.json.encode(self.memory))
        draft.replace(self.file)


# --- following ---


class Refusal(click.ClickException):
    """The server does not let this caller follow; trying again would not help."""


class Follower:
    """What comes from the server, item by item, each with the cursor behind it; "" inside a page."""

    def __init__(self, client: httpx.Client, wishes: Mapping[str, list[str]]) -> None:
        self._client, self._wishes = client, wishes
        self.by_stream = True

    def items(self, after: str) -> Iterator[tuple[msgspec.Raw | None, str]]:
        """Without end; None where only the cursor moved. Goes on by itself when the server was away."""
        pause = PAUSE_SECONDS
        while True:
            try:
                for item, cursor in self._stream(after) if self.by_stream else self._pull(after):
                    after, pause = cursor or after, PAUSE_SECONDS
                    yield item, cursor
            except httpx.TransportError as error:
                _say(
                    f"连接中断，{pause:.0f} 秒后重试 / connection lost, again in {pause:.0f} s: {error or '-'}",
                    "yellow",
                )
                time.sleep(pause)
                pause = min(pause * 2, PAUSE_SECONDS_MAX)

    def _stream(self, after: str) -> Iterator[tuple[msgspec.Raw | None, str]]:
        wishes = {**self._wishes, **({"after": after} if after else {})}
        headers = {"Accept": "text/event-stream"}
        with self._client.stream("GET", STREAM, params=wishes, headers=headers, timeout=SILENCE_SECONDS) as answer:
            if answer.status_code in NO_STREAM:
                self.by_stream = False
                _say("没有事件流，改为轮询 / no stream here: pulling instead", "yellow")
                return
            if answer.is_error:
                answer.read()
                raise refusal(answer)
            for kind, cursor, data in events(answer.iter_lines()):
                if kind == "end":
                    _ended(data)
                    return
                yield (msgspec.Raw(data.encode()) if kind == "message" else None), cursor

    def _pull(self, after: str) -> Iterator[tuple[msgspec.Raw | None, str]]:
        wishes: dict[str, Any] = {
            **self._wishes,
            "limit": PAGE,
            "wait": WAIT_SECONDS,
            **({"after": after} if after else {}),
        }
        answer = self._client.get(FEED, params=wishes, timeout=WAIT_SECONDS + SILENCE_SECONDS)
        if answer.status_code in {429, 503}:
            time.sleep(min(float(answer.headers.get("retry-after", PAUSE_SECONDS)), PAUSE_SECONDS_MAX))
            return
        if answer.is_error:
            raise refusal(answer)
        page = msgspec.json.decode(answer.content, type=Page)
        for item in page.items:
            yield item, ""
        yield None, page.next


def _ended(data: str) -> None:
    """Why the server ended the stream: because its time was over, and then it is opened again, or raises Refusal."""
    with suppress(msgspec.MsgspecError):
        told = msgspec.json.decode(data, type=dict[str, Any])
        if told.get("type") == OVER:
            return
        raise Refusal(str(told.get("detail", data)))
    raise Refusal(data)


def events(lines: Iterator[str]) -> Iterator[tuple[str, str, str]]:
    """(event, id, data) of server-sent events.

    >>> list(events(iter([": hello", "id: c1", "data: {}", "", "event: end", "data: over", ""])))
    [('message', 'c1', '{}'), ('end', 'c1', 'over')]
    """
    kind, cursor, data = "message", "", list[str]()
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield kind, cursor, "\n".join(data)
            kind, data = "message", []
        elif name == "data":
            data.append(value)
        elif name == "event":
            kind = value
        elif name == "id":
            cursor = value


def refusal(answer: httpx.Response) -> Refusal:
    """What the problem says."""
    detail = answer.text[:500]
    with suppress(ValueError, AttributeError):
        detail = answer.json().get("detail", detail)
    return Refusal(f"{answer.status_code}: {detail}")


# --- forwarding ---


class Forwarder:
    """Sends to the program, until it is taken."""

    def __init__(self, client: httpx.Client, to: str, secret: str) -> None:
        self._client, self._to = client, to
        self._keys = [Key("v1", _secret(secret))]
        self._id = uuid5(NAMESPACE_URL, to)

    def forward(self, raw: msgspec.Raw) -> None:
        """Returns when the program has said 2xx."""
        item = msgspec.json.decode(raw, type=Item)
        told = _told(item)
        body = sources.body(
            Message(position=item.position, subject=item.subject, type=told.fact, timestamp=told.recorded_at, data=raw)
        )
        message_id, pause = sources.message_id(self._id, "feed", item.position), PAUSE_SECONDS
        while True:
            begun = time.monotonic()
            answer = self._post(message_id, body)
            _show(item, told, answer, round((time.monotonic() - begun) * 1000))
            if answer.isdigit() and answer.startswith("2"):
                return
            time.sleep(pause)
            pause = min(pause * 2, PAUSE_SECONDS_MAX)

    def _post(self, message_id: str, body: bytes) -> str:
        """The status, or what went wrong."""
        headers = signing.headers(self._keys, message_id, datetime.now(UTC), body)
        try:
            answer = self._client.post(
                self._to,
                content=body,
                headers={**headers, "Content-Type": "application/json"},
                timeout=ANSWER_SECONDS_MAX,
            )
        except httpx.HTTPError as error:
            return type(error).__name__
        return str(answer.status_code)


def _secret(shown: str) -> bytes:
    """The bytes of `whsec_…`."""
    try:
        return b64decode(shown.removeprefix(signing.SECRET), validate=True)
    except ValueError as error:
        raise click.BadParameter("须为 whsec_ 加 Base64 / whsec_ and Base64", param_hint="--secret") from error


def _told(item: Item) -> Told:
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(item.fact, type=Told)
    return Told(sources.UNREADABLE)


def _show(item: Item, told: Told, answer: str, milliseconds: int) -> None:
    milestone = MILESTONES.get(told.code.removesuffix("_REVERSED"))
    named = f"{milestone.zh} {milestone.en}" if milestone else told.fact
    line = Text(f"{datetime.now(UTC):%H:%M:%S}Z  #{item.position}  {item.subject}  {named}")
    line.append(f"  {told.place}" if told.place else "")
    line.append(f"  {told.classifier}" if told.classifier != "ACT" else "", "cyan")
    line.append(f"  → {answer}", "green" if answer.startswith("2") else "red")
    line.append(f" {milliseconds} ms", "dim")
    console.print(line, soft_wrap=True)


def _say(text: str, style: str = "") -> None:
    console.print(Text(text, style), soft_wrap=True)


# --- the command ---


def local(url: str) -> bool:
    """Whether an address is on this machine."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


@click.command()
@click.option("--to", required=True, help="http://127.0.0.1:9000/hook")
@click.option(
    "--server",
    "--url",
    envvar="KOUAN_URL",
    default="",
    help="默认为本机的示例节点或沙箱 / default: the node or sandbox here.",
)
@click.option("--key", envvar="KOUAN_KEY", default="", help="默认为示例物流企业 / default: the demo logistics firm's.")
@click.option("--after", default="", help="从此游标之后开始 / begin behind this cursor.")
@click.option("--again", is_flag=True, help="从头开始 / forget where it stood, and begin at the beginning.")
@click.option("--pull", is_flag=True, help="不用事件流 / pull, even where there is a stream.")
@click.option("--secret", default="", help="whsec_…，默认自动生成 / default: made once and kept.")
@click.option("--anywhere", is_flag=True, help="允许转发到其他机器 / to another machine, too.")
@click.option("--filter", "filters", multiple=True, help="name=value，可重复 / as GET /v1/feed takes them; may repeat.")
def listen(
    to: str, server: str, key: str, filters: tuple[str, ...], *, anywhere: bool, pull: bool, **begin: Any
) -> None:
    """把事件转发到本机程序，用于开发 / forward the feed to a program on this machine."""
    if urlsplit(to).scheme not in {"http", "https"}:
        raise click.BadParameter("须为 http(s) 地址 / must be an address of http(s)", param_hint="--to")
    if not anywhere and not local(to):
        raise click.BadParameter(
            "只转发到本机；确需他处请加 --anywhere / this machine alone; --anywhere for another", param_hint="--to"
        )
    settings = Settings.read()
    server, key = credentials(settings, server, key)
    kept = Kept(settings.home / "listen", server, to, key.split("_")[1] if key.count("_") else "")
    _begin(kept, **begin)
    headers = {"Authorization": f"Bearer {key}"}
    with (
        httpx.Client(base_url=server, headers=headers, trust_env=False) as source,
        httpx.Client(trust_env=False) as target,
    ):
        follower = Follower(source, _wishes(filters))
        follower.by_stream = not pull
        _say(f"{server}{FEED} → {to}\n签名密钥 signing secret  {kept.memory.secret}\n按 Ctrl-C 停止 / Ctrl-C stops")
        with suppress(KeyboardInterrupt):
            follow(follower, Forwarder(target, to, kept.memory.secret), kept)
    _say("已停止，下次从此处继续 / stopped; the next start goes on from here")


def follow(follower: Follower, forwarder: Forwarder, kept: Kept) -> None:
    """Without end."""
    for raw, cursor in follower.items(kept.memory.after):
        forward(raw, cursor, forwarder, kept)


def forward(raw: msgspec.Raw | None, cursor: str, forwarder: Forwarder, kept: Kept) -> None:
    """One item and the cursor behind it. What was taken before a page was through is not sent again."""
    changes: dict[str, Any] = {"after": cursor} if cursor and cursor != kept.memory.after else {}
    if raw is not None:
        position = msgspec.json.decode(raw, type=Item).position
        if position > kept.memory.position:
            forwarder.forward(raw)
            changes["position"] = position
    if changes:
        kept.keep(**changes)


def _begin(kept: Kept, *, after: str, again: bool, secret: str) -> None:
    if secret:
        kept.keep(secret=secret)
    if after or again:
        kept.keep(after=after, position=0)


def _wishes(filters: tuple[str, ...]) -> dict[str, list[str]]:
    wishes: dict[str, list[str]] = {}
    for each in filters:
        name, equals, value = each.partition("=")
        if not equals or name in {"after", "limit", "wait"}:
            raise click.BadParameter(f"{each!r}：name=value", param_hint="--filter")
        wishes.setdefault(name, []).append(value)
    return wishes


def credentials(settings: Settings, server: str, key: str) -> tuple[str, str]:
    """Of the command line; else of the demonstration, or of the sandbox on this machine."""
    if not (server and key):
        shown = _known(settings.home)
        if shown is None:
            raise click.ClickException(
                "请给出 --server 和 --key；此处既无示例节点也无沙箱 / "
                f"say --server and --key; in {settings.home} neither `kouan run` nor `kouan sandbox run` has run"
            )
        server, key = server or shown[0], key or shown[1]
    return server.removesuffix("/"), key


def _known(home: Path) -> tuple[str, str] | None:
    """Address and key of a logistics firm."""
    if (file := demo.path(home)).exists():
        shown = msgspec.json.decode(file.read_bytes(), type=Demo)
        return shown.base_url, shown.keys.logistics
    if (file := sandbox_commands.path(home / "sandbox")).exists():
        made = msgspec.json.decode(file.read_bytes(), type=Sandbox)
        return made.base_url, made.keys["sandbox-logistics"]
    return None
