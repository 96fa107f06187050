"""Cutting a stream of any length into parts of whole messages, in constant memory: NDJSON, and EDIFACT interchanges.

A part is a body of its own for the reader of its format. Of an interchange that goes over several parts, each begins
with the UNA and UNB (and the UNG) that hold for its messages, so that they keep their references. Where the cuts lie
depends on the bytes alone, not on the pieces in which they arrive: the same file has the same parts. No byte falls
between two parts. Offsets are bytes of the stream.
"""

import re
from collections.abc import Iterator
from typing import Protocol

import msgspec

from api import limits
from api.formats import edifact_syntax as syntax
from api.formats import registry as formats
from api.limits import BadStream

_LOOK_AHEAD = 32  # bytes behind a tag that may belong to what tells it apart
_BLANKS = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
WARNINGS_MAX = 20
TEXT_ONLY = frozenset({"fsu"})  # neither JSON nor EDIFACT


class Part(msgspec.Struct, frozen=True):
    """A piece of the stream. `body` is what it holds, with the envelope before it where that came in an earlier one."""

    body: bytes
    start: int  # where the stream goes on behind the envelope
    envelope: int  # bytes
    messages: int  # that began in the stream before it, as far as they are numbered

    @property
    def end(self) -> int:
        return self.start + len(self.body) - self.envelope

    def offset(self, at: int) -> int:
        """Where in the stream this byte of the part's body is."""
        return self.start + max(at - self.envelope, 0)


class Cutter(Protocol):
    """Takes what comes, gives parts; `warnings` tells, after the end, what an envelope says that is not so."""

    warnings: list[str]

    def feed(self, piece: bytes) -> Iterator[Part]: ...

    def finish(self) -> Iterator[Part]: ...


def cutter(
    name: str, *, bytes_max: int = limits.PART_BYTES_MAX, messages_max: int = limits.PART_MESSAGES_MAX
) -> Cutter:
    """For bodies of this format. Raises BadStream for one whose messages cannot be told apart on the way."""
    if name in formats.EDIFACT:
        return Interchanges(bytes_max, messages_max)
    if name in TEXT_ONLY:
        detail = f"格式 {name} 不能以流方式接收 / format {name} cannot be taken as a stream"
        raise BadStream(detail, formats=sorted(formats.READERS.keys() - TEXT_ONLY))
    return Lines(bytes_max, messages_max)


# --- NDJSON ---


class Lines:
    """A message on each line."""

    def __init__(self, bytes_max: int, messages_max: int) -> None:
        self.warnings: list[str] = []
        self._bytes_max, self._messages_max = bytes_max, messages_max
        self._held = bytearray()
        self._start = 0  # of what is held
        self._whole = 0  # bytes held that are whole lines of the part
        self._lines = 0
        self._scanned = 0
        self._checked = False

    def feed(self, piece: bytes) -> Iterator[Part]:
        """Raises BadStream if this is no NDJSON at all, TooLarge for a line."""
        self._held += piece
        if not self._checked:
            self._check()
        while (newline := self._held.find(b"\n", self._scanned)) >= 0:
            yield from self._line(newline + 1)
        self._scanned = len(self._held)
        self._limit(self._scanned)

    def finish(self) -> Iterator[Part]:
        """The rest; of an empty stream an empty part, so that it is told about as well."""
        if len(self._held) > self._whole:
            yield from self._line(len(self._held))
        if self._held.strip() or not self._start:
            yield self._cut(len(self._held))

    def _line(self, end: int) -> Iterator[Part]:
        self._limit(end)
        if self._lines and (end > self._bytes_max or self._lines == self._messages_max):
            gone = self._whole
            yield self._cut(gone)
            end -= gone
        self._whole = self._scanned = end
        self._lines += 1

    def _cut(self, end: int) -> Part:
        part = Part(bytes(memoryview(self._held)[:end]), self._start, 0, 0)
        del self._held[:end]
        self._start += end
        self._whole = self._lines = 0
        return part

    def _limit(self, end: int) -> None:
        if end - self._whole > limits.MESSAGE_BYTES_MAX:
            raise limits.message_too_large(self._start + self._whole)

    def _check(self) -> None:
        """An array or XML cut by its lines would be nothing but faults."""
        begun = b"" if _BOM.startswith(self._held) else self._held.removeprefix(_BOM).lstrip()
        self._checked = bool(begun)
        if begun.startswith((b"[", b"<")):
            raise BadStream("流须为 NDJSON，每行一个 JSON 对象 / a stream is NDJSON, with a JSON object on each line")


# --- EDIFACT ---


class Interchanges:
    """Interchanges one after another, cut before a UNH, a UNG, or the head of an interchange."""

    def __init__(self, bytes_max: int, messages_max: int) -> None:
        self.warnings: list[str] = []
        self._bytes_max, self._messages_max = bytes_max, messages_max
        self._held = bytearray()
        self._start = 0  # of what is held
        self._envelope = b""  # that the part must repeat
        self._before = 0  # messages that began before the part
        self._kind, self._from = "", 0  # the stretch from the last tag on, and where it begins in what is held
        self._head: tuple[int, str] | None = None  # where the head of the next message begins, and with which tag
        self._last = ""  # the kind of the stretch before
        self._messages = 0  # of the part, but for the last stretch
        self._scanned = 0
        self._open = _Interchange()

    def feed(self, piece: bytes) -> Iterator[Part]:
        """Raises TooLarge for a message."""
        self._held += piece
        yield from self._scan(len(self._held) - _LOOK_AHEAD)
        if len(self._held) - self._from > limits.MESSAGE_BYTES_MAX:
            raise limits.message_too_large(self._start + self._from)

    def finish(self) -> Iterator[Part]:
        """The rest; of an empty stream an empty part, so that it is told about as well."""
        yield from self._scan(len(self._held))
        yield from self._stretch("", len(self._held))
        self._warn(self._open.unended())
        if self._held.strip() or not self._start:
            yield self._cut(len(self._held), "")

    def _scan(self, until: int) -> Iterator[Part]:
        """Find the tags that begin before `until`."""
        while (found := self._open.tag.search(self._held, self._scanned)) and found.start() < until:
            at, tag = found.start(), _plain(found.group())
            self._scanned = at + 1
            if not self._begins(found) or (tag == "UNB" and self._kind == "UNA"):
                continue
            gone = self._start
            yield from self._stretch(tag, at)
            gone = self._start - gone
            self._scanned -= gone
            until -= gone
            if tag == "UNA":
                self._warn(self._open.separate(bytes(self._held[self._from : self._from + _UNA_BYTES])))
        self._scanned = max(self._scanned, until)

    def _begins(self, found: re.Match[bytes]) -> bool:
        """Whether this is where a segment begins."""
        first = self._start == self._from == 0
        begin = len(_BOM) if first and self._held.startswith(_BOM) else self._from
        if found["una"] and (self._start + begin or self._held[begin : found.start()].strip(_BLANKS)):
            return found["unb"] is not None
        return found["glued"] is not None or self._kind == "UNA" or self._open.ended(self._held, begin, found.start())

    def _stretch(self, tag: str, at: int) -> Iterator[Part]:
        """A stretch has come to its end, for another tag is found here."""
        kind, begun = self._kind, self._from
        if kind in _HEADS and (self._head is None or kind != "UNG"):
            self._head = begun, kind
        cut, cut_kind = self._head or (begun, kind)
        full = at > self._bytes_max or self._messages >= self._messages_max
        if kind != "UNH":  # an envelope is cut off from what it holds only where envelopes without end come one by one
            full = self._last != "UNH" and at > self._bytes_max + limits.SEGMENT_CHARS_MAX
            cut, cut_kind = (cut, cut_kind) if cut else (begun, kind)
        if full and cut:
            yield self._cut(cut, cut_kind)
            at, begun = at - cut, begun - cut
            self._head = (0, cut_kind) if self._head else None
        self._head = self._head if kind in _HEADS else None
        self._messages += kind == "UNH"
        self._warn(self._open.take(kind, self._held, begun, at))
        self._last, self._kind, self._from = kind, tag, at

    def _cut(self, end: int, kind: str) -> Part:
        body = self._envelope + bytes(memoryview(self._held)[:end])
        part = Part(body, self._start, len(self._envelope), self._before)
        del self._held[:end]
        self._start += end
        self._envelope = self._open.envelope(kind)
        self._before += self._messages
        self._messages = 0
        return part

    def _warn(self, said: list[str]) -> None:
        self.warnings += said[: WARNINGS_MAX - len(self.warnings)]


class _Interchange:
    """What holds for the messages that come next: separators, UNB, UNG; and what UNZ must agree with."""

    def __init__(self) -> None:
        self.una = self.unb = self.ung = b""
        self.messages = self.groups = 0
        self.element, self.release, self.terminator = b"+", ord("?"), ord("'")
        self.tag = _tags("+", ":")

    def ended(self, held: bytes | bytearray, begin: int, at: int) -> bool:
        """Whether nothing stands between `begin` and here, or a terminator that is not released and then blanks."""
        while at > begin and held[at - 1] != self.terminator:
            if held[at - 1] not in _BLANKS:
                return False
            at -= 1
        released = at - 1
        while released > begin and held[released - 1] == self.release != _SPACE:
            released -= 1
        return (at - 1 - released) % 2 == 0

    def envelope(self, kind: str) -> bytes:
        """What a part repeats that begins with this tag."""
        if kind == "UNA":
            return b""
        if kind == "UNB":
            return self.una
        return self.una + self.unb + (self.ung if kind == "UNH" else b"")

    def separate(self, una: bytes) -> list[str]:
        """Another stretch with separators of its own begins. Returns warnings about the one before."""
        said = self.unended()
        told = syntax.separators(una.decode("latin-1"))
        component, element, release, terminator = told or (":", "+", "?", "'")
        self.una, self.unb, self.ung = una, b"", b""
        self.element, self.release, self.terminator = element.encode("latin-1"), ord(release), ord(terminator)
        self.tag = _tags(element, component)
        return said

    def take(self, kind: str, held: bytearray, begin: int, end: int) -> list[str]:
        """A stretch that begins with this tag. Returns warnings."""
        if kind == "UNH":
            self.messages += 1
            return []
        said: list[str] = []
        stretch = bytes(held[begin : min(end, begin + limits.SEGMENT_CHARS_MAX)])
        if kind in {"UNA", "UNB"}:
            said = self.unended()
            self.unb, self.ung = self._segment(stretch[_UNA_BYTES if kind == "UNA" else 0 :].lstrip(_BLANKS)), b""
            self.messages = self.groups = 0
        elif kind == "UNG":
            self.ung = self._segment(stretch)
            self.groups += 1
        elif kind == "UNZ":
            said = self._check(self._segment(stretch) or stretch)
            self.unb = self.ung = b""
        return said

    def unended(self) -> list[str]:
        """A warning if the interchange is still open."""
        return [syntax.say("no unz", self._reference())] if self.unb and self.messages else []

    def _segment(self, stretch: bytes) -> bytes:
        """The first segment with its terminator; nothing if it has no end, and so cannot be repeated."""
        at = -1
        while (at := stretch.find(self.terminator, at + 1)) >= 0:
            if self.ended(stretch, 0, at + 1):
                head, glued, _ = stretch[: at + 1].partition(b"UNH" + self.element)
                return head + bytes([self.terminator]) if glued else head  # its own terminator may be lost
        return b""

    def _parts(self, segment: bytes) -> list[str]:
        tokens = syntax.Tokens(self.una + segment, 0, len(self.una + segment))
        return tokens.texts(0, 1, "")[0].split(syntax.ELEMENT)

    def _reference(self) -> str:
        return syntax.part(self._parts(self.unb), 5, 0)

    def _check(self, segment: bytes) -> list[str]:
        """What UNZ says that is not so."""
        unz, there = self._parts(segment), self.groups or self.messages
        told, reference = syntax.part(unz, 1, 0), syntax.part(unz, 2, 0)
        said = []
        if syntax.number(told) != there:
            said.append(syntax.say("unz", told, there))
        if reference != self._reference():
            said.append(syntax.say("reference", f"UNZ {reference}", f"UNB {self._reference()}"))
        return said


def about_envelope(warning: str) -> bool:
    """Whether a reader says this of a UNZ that is missing or counts something else: of a part it is always so."""
    return _OF_UNZ.match(warning) is not None


def _tags(element: str, component: str) -> re.Pattern[bytes]:
    """A service segment's tag, be it broken over two lines; a UNA; a UNB glued to what it follows."""
    plus, colon = re.escape(element.encode("latin-1")), re.escape(component.encode("latin-1"))
    return re.compile(
        rb"U[\r\n]{0,2}N[\r\n]{0,2}[BGHZ](?=[\r\n]{0,2}" + plus + rb")"
        rb"(?P<glued>(?<=UNB)(?=" + plus + rb"UNO[A-Z]" + colon + rb"[1-4]))?"
        rb"|(?P<una>UNA)(?=[^\w\s][^\w\s].\W.\W)(?P<unb>(?=.{6}[ \t\r\n]{0,16}UNB))?",
        re.DOTALL,
    )


def _plain(tag: bytes) -> str:
    return tag.translate(None, b"\r\n").decode("latin-1")


_OF_UNZ = re.compile(r"UNZ 声明 |'UNZ |交换 .* 没有 UNZ /")
_HEADS = frozenset({"UNG", "UNA", "UNB"})
_UNA_BYTES = len(b"UNA:+.? '")
_SPACE = ord(" ")
