"""EDIFACT syntax: a body cut into segments, and the envelope into messages.

A body holds interchanges (UNA UNB … UNZ), they hold messages (UNH … UNT). `messages` cuts each one out. Every byte that
is neither envelope nor white space belongs to a message: what is broken, unfinished or stray becomes one with a fault,
and the sound ones beside it stay sound. Offsets are bytes of the body. Seldom needed alone: formats use `edifact`.
Source: ISO 9735-1, syntax versions 1 to 4, without repetition and without interactive messages (UIB).
"""

import hashlib
import re
from itertools import accumulate, pairwise

from api.limits import (
    BODY_MESSAGES_MAX,
    BODY_SEGMENTS_MAX,
    EDIFACT_KEY_CHARS_MAX,
    MESSAGE_SEGMENTS_MAX,
    SEGMENT_CHARS_MAX,
)
from domain.report import Fault

# What passes a limit is set aside with a fault, never half read in silence.
_PARTS_MAX = 64  # elements of a service segment, components of an element

# Inside, the separators are those that ISO 9735 keeps for level B, so data may hold any printable character.
ELEMENT, COMPONENT = "\x1d", "\x1f"
_BLANKS = " \t\r\n"
_BOM = "\xef\xbb\xbf"
_ESCAPE, _MARKS = "\x01", "\x02\x03\x04\x05"  # a release character, and what it released; two bytes stay two
_DEFAULT = (":", "+", "?", "'")  # component, element, release, terminator
_SERVICE = frozenset({"UNB", "UNG", "UNH", "UNT", "UNE", "UNZ"})
_CONTROL = bytes([*range(9), 11, 12, *range(14, 32), 127])
_CONTROLS = re.compile(f"[{re.escape(_CONTROL.decode('latin-1'))}]")
_NEXT_UNA = re.compile(rb"UNA[^\w\s][^\w\s].\W.\W[ \t\r\n]*UNB", re.DOTALL)
_GLUED_UNH = f"UNH{ELEMENT}"
_GLUED_UNB = re.compile(f"UNB{ELEMENT}UNO[A-Z]{COMPONENT}[1-4]")


class Broken(Exception):
    """A message cannot be understood; `index` counts its segments from UNH = 0."""

    def __init__(self, code: str, detail: str, index: int = 0, path: str = "") -> None:
        super().__init__(detail)
        self.code, self.detail, self.index, self.path = code, detail, index, path


def part(elements: list[str], element: int, component: int) -> str:
    """One component of one element, counted from 0 (element 0 is the tag); "" where the segment ends before it."""
    if element < len(elements):
        text = elements[element]
        if COMPONENT in text:
            found = text.split(COMPONENT, component + 1)
            return found[component].strip() if component < len(found) else ""
        if component == 0:
            return text.strip()
    return ""


class Tokens:
    """A stretch of a body with one set of separators; `parts[-1]` is what follows the last terminator."""

    def __init__(self, body: bytes, start: int, end: int) -> None:
        raw = body[start:end]
        text = raw.decode("latin-1")  # one character is one byte, so every index is an offset
        if text.startswith(_BOM):
            text = " " * len(_BOM) + text[len(_BOM) :]
        una = separators(text)
        component, element, release, self.terminator = una or _DEFAULT
        if una:
            text = " " * (text.index("UNA") + 9) + text[text.index("UNA") + 9 :]
        self.base, self.original, self.ascii, self.element = start, text, text.isascii(), element
        self.clean = len(raw.translate(None, _CONTROL)) == len(raw)
        self.separators = frozenset({component, element, release, self.terminator})
        self.released = [release, element, component, self.terminator] if release != " " and release in text else []
        if self.released:
            for mark, character in zip(_MARKS, self.released, strict=True):
                text = text.replace(release + character, _ESCAPE + mark)
            text = text.replace(release, _ESCAPE)
        pieces = text.replace(element, ELEMENT).replace(component, COMPONENT).split(self.terminator, BODY_SEGMENTS_MAX)
        self.starts = [0, *accumulate([len(piece) + 1 for piece in pieces])]
        self.parts = [piece.strip(_BLANKS) for piece in pieces]
        whole = "".join(self.parts)
        if "\n" in whole or "\r" in whole:  # some senders wrap the lines of their file
            self.parts = [piece.replace("\r", "").replace("\n", "") for piece in self.parts]

    def begin(self, index: int) -> int:
        """Where a segment begins in the body, white space before it left out."""
        offset = self.starts[index]
        while offset < len(self.original) and self.original[offset] in _BLANKS:
            offset += 1
        return self.base + offset

    def finish(self, index: int) -> int:
        """Where a segment ends in the body, its terminator included."""
        return self.base + min(self.starts[index + 1], len(self.original))

    def move(self, index: int, glued: str) -> bool:
        """Let a segment begin where this end of it does; what stands before that falls to the segment before."""
        tag = glued[:3] + self.element
        found = self.original.rfind(tag, self.starts[index], self.starts[index + 1])
        if found < 0:
            return False  # its tag is broken over two lines
        self.starts[index], self.parts[index] = found, glued
        return True

    def texts(self, first: int, last: int, charset: str) -> list[str]:
        """Segments `first` to before `last` as text, releases undone."""
        parts = self.parts[first:last]
        if not self.ascii:
            parts = [piece if piece.isascii() else _recode(piece, charset) for piece in parts]
        if self.released:
            parts = [self._restored(piece) if _ESCAPE in piece else piece for piece in parts]
        return parts

    def _restored(self, piece: str) -> str:
        for mark, character in zip(_MARKS, self.released, strict=True):
            piece = piece.replace(_ESCAPE + mark, character)
        return piece.replace(_ESCAPE, "")

    def odd(self, start: int, end: int) -> str:
        """The first control character in this part of the body that has no business there."""
        found = _CONTROLS.finditer(self.original, start - self.base, end - self.base)
        return next((match.group() for match in found if match.group() not in self.separators), "")


def separators(text: str) -> tuple[str, str, str, str] | None:
    """Separators of a service string advice; None if there is none that can be used."""
    advice = text.lstrip(_BLANKS)[:9]
    if len(advice) < len("UNA:+.? '") or not advice.startswith("UNA"):
        return None
    component, element, release, terminator = advice[3], advice[4], advice[6], advice[8]
    told = [component, element, terminator, *release.strip(" ")]
    odd = any(c.isalnum() or c in f" {_ESCAPE}{_MARKS}" for c in told)
    if odd or len(set(told)) < len(told) or (ELEMENT in told and element != ELEMENT) or component == "\n":
        return None
    return component, element, release, terminator


def _recode(text: str, charset: str) -> str:
    """Bytes beyond ASCII by the declared repertoire; senders that declare none of these use UTF-8 or GB 18030."""
    raw = text.encode("latin-1")
    for codec in (_CHARSETS.get(charset, "utf-8"), "gb18030"):
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            continue
    return text


class Interchange:
    """What UNB says; a message outside any interchange has an empty one."""

    __slots__ = ("charset", "groups", "parties", "recipient", "reference", "sender", "sent")

    def __init__(self, text: str = "") -> None:
        self.groups: list[str] = []  # each UNG
        self.charset = self.sender = self.recipient = self.sent = self.reference = ""
        self.parties = ("", "")  # sender and recipient with their qualifiers
        if text:
            unb = [*text.split(ELEMENT, _PARTS_MAX), "", "", "", "", ""]
            named = [element.partition(COMPONENT)[0].strip() for element in unb[1:6]]
            self.charset, self.sender, self.recipient, sent, self.reference = named
            self.sent = sent + part(unb, 4, 1)  # (CC)YYMMDDHHMM, no zone
            self.parties = (unb[2], unb[3])


class Message:
    """UNH to UNT, or a stretch that is no message (`number` 0) and then has a fault."""

    __slots__ = (
        *("_texts", "end", "fault", "first", "group", "interchange", "kind", "last", "lenient", "number"),
        *("reference", "start", "tokens", "warnings"),
    )

    def __init__(self, tokens: Tokens, interchange: Interchange, first: int, last: int, number: int) -> None:
        self.tokens, self.interchange, self.number = tokens, interchange, number
        self.first, self.last = first, last  # segments, the last one included
        self.group = len(interchange.groups)  # counted from 1; 0 outside any
        self.start, self.end = tokens.begin(first), tokens.finish(last)
        unh = tokens.texts(first, first + 1, interchange.charset)[0].split(ELEMENT, _PARTS_MAX) if number else []
        self.reference, self.kind = part(unh, 1, 0), part(unh, 2, 0)
        self.warnings: list[str] = []
        self.fault: Fault | None = None
        self.lenient = False  # an operator answers for its counts
        self._texts: list[str] | None = None

    @property
    def texts(self) -> list[str]:
        """Its segments from UNH to UNT; elements are apart by ELEMENT, components by COMPONENT."""
        if self._texts is None:
            self._texts = self.tokens.texts(self.first, self.last + 1, self.interchange.charset)
        return self._texts

    @property
    def path(self) -> str:
        return f"UNH[{self.number}]" if self.number else ""

    def broken(self, code: str, detail: str, index: int = 0, path: str = "") -> None:
        if self.fault is None:
            self.fault = Fault(code, detail, self.tokens.begin(self.first + index), path or self.path)

    def key(self, body: bytes) -> str:
        """UNB sender, recipient and control reference, and the UNH reference; a digest where one of them is missing."""
        unb = self.interchange
        key = f"{unb.sender}+{unb.recipient}+{unb.reference}/{self.reference}"
        if unb.sender and unb.reference and self.reference and len(key) <= EDIFACT_KEY_CHARS_MAX:
            return key
        return "sha256:" + hashlib.sha256(body[self.start : self.end]).hexdigest()


def messages(body: bytes) -> list[Message]:
    """All messages of a body in order, between them as faults the stretches that are none."""
    cuts = [0, *(match.start() for match in _NEXT_UNA.finditer(body) if match.start()), len(body)]
    found: list[Message] = []
    for start, end in pairwise(cuts):
        _Walk(Tokens(body, start, end), found).run()
    return found


class _Walk:
    """One pass over the service segments of a stretch."""

    def __init__(self, tokens: Tokens, found: list[Message]) -> None:
        self.tokens, self.found = tokens, found
        self.unb, self.since = Interchange(), len(found)  # the interchange, and where its messages begin
        self.opened = -1  # segment of the UNH that waits for its UNT
        self.count = sum(1 for message in found if message.number)

    def run(self) -> None:
        last = len(self.tokens.parts) - 1
        done = 0  # segments before this one belong to a message or to the envelope
        for index, text in enumerate(self.tokens.parts):
            if text[:2] != "UN" or index == last or text.partition(ELEMENT)[0] not in _SERVICE:
                continue
            if len(self.found) >= BODY_MESSAGES_MAX:
                self._add(self.opened if self.opened >= 0 else done, last).broken("edifact.limit", say("limit"))
                return
            if self.opened < 0 and done < index:
                self._stray(done, index)
            self._service(index, text)
            done = index + 1
        self._tail(done, last)

    def _service(self, index: int, text: str) -> None:
        tag, glued = text[:3], text.find(_GLUED_UNH, 1)  # its terminator is lost, and the next message is in it
        if glued > 0 and tag == "UNT" and self.opened >= 0 and self.tokens.move(index, text[glued:]):
            self._cut_off(index, "UNH")
            self.opened = index
            return
        if tag == "UNT" and self.opened >= 0:
            self._close(index, self.tokens.texts(index, index + 1, self.unb.charset)[0].split(ELEMENT, _PARTS_MAX))
            return
        if self.opened >= 0:
            self._cut_off(index, tag)
        if tag == "UNH":
            self.opened = index
        elif tag == "UNB":
            self._next(index)
        elif tag == "UNG":
            self.unb.groups.append(self.tokens.texts(index, index + 1, "")[0])
        elif tag == "UNZ" and glued < 0:
            self._unz(self.tokens.texts(index, index + 1, "")[0].split(ELEMENT, _PARTS_MAX), index)  # as UNB is read
        if glued > 0 and tag in {"UNB", "UNG"} and self.tokens.move(index, text[glued:]):
            self.opened = index
        elif tag == "UNT" or (glued > 0 and tag != "UNH"):
            self._add(index, index).broken("edifact.stray", say("stray", tag))

    def _add(self, first: int, last: int) -> Message:
        opening = self.opened == first
        self.count += opening
        message = Message(self.tokens, self.unb, first, last, self.count if opening else 0)
        self.found.append(message)
        return message

    def _cut_off(self, index: int, tag: str) -> None:
        """The open message has no UNT; the UNB of the next interchange may be glued to its last segment."""
        last, glued = index - 1, None
        if tag == "UNH" and last > self.opened:
            glued = _GLUED_UNB.search(self.tokens.parts[last])
        if glued is not None and self.tokens.move(last, self.tokens.parts[last][glued.start() :]):
            last, tag = last - 1, "UNB"
        self._add(self.opened, last).broken("edifact.truncated", say("unfinished", tag))
        self.opened = -1
        if tag == "UNB" and last < index - 1:
            self._next(index - 1)

    def _next(self, index: int) -> None:
        """UNB: another interchange begins; a UNH may be glued to it."""
        self._no_unz()
        self.unb = Interchange(self.tokens.texts(index, index + 1, "")[0].partition(_GLUED_UNH)[0])
        self.since = len(self.found)

    def _unglue(self, index: int, told: int) -> None:
        """A message cut in mid-segment, and glued to it the UNH of the one that this UNT ends: told apart again.

        Only where the open message is broken in any case and the other one is whole by its count and its reference.
        """
        parts, there = self.tokens.parts, 0
        reference = part(parts[index].split(ELEMENT, _PARTS_MAX), 2, 0)  # releases not undone, here as there
        for at in range(index, self.opened, -1):
            there += parts[at] != ""
            before, found, rest = parts[at].rpartition(_GLUED_UNH) if there == told else ("", "", "")
            if found and before and part((found + rest).split(ELEMENT, _PARTS_MAX), 1, 0) == reference != "":
                if self.tokens.move(at, found + rest):
                    self._add(self.opened, at - 1).broken("edifact.truncated", say("unfinished", "UNH"))
                    self.opened = at
                return

    def _close(self, index: int, unt: list[str]) -> None:
        """UNT: the message is whole if its count and its reference are right."""
        told, reference = part(unt, 1, 0), part(unt, 2, 0)
        counted, within = number(told), self.tokens.parts[self.opened : index + 1]
        if len(within) - within.count("") > counted > 0:
            self._unglue(index, counted)
            within = self.tokens.parts[self.opened : index + 1]
        message, there = self._add(self.opened, index), len(within) - within.count("")
        self.opened = -1
        if there > MESSAGE_SEGMENTS_MAX or max(map(len, within)) > SEGMENT_CHARS_MAX:
            message.broken("edifact.limit", say("limit"))
        elif not self.tokens.clean and (odd := self.tokens.odd(message.start, message.end)):
            message.broken("edifact.character", say("character", f"U+{ord(odd):04X}"))
        elif counted != there:
            message.broken("edifact.count", say("count", told, there), index - message.first, f"{message.path}/UNT")
        elif reference != message.reference:
            said = say("reference", f"UNT {reference}", f"UNH {message.reference}")
            message.broken("edifact.reference", said, index - message.first, f"{message.path}/UNT")

    def _stray(self, first: int, end: int) -> None:
        """Segments outside any message."""
        there = [index for index in range(first, end) if self.tokens.parts[index]]
        if there:
            text = self.tokens.parts[there[0]]
            self._add(there[0], there[-1]).broken("edifact.stray", say("stray", text[:3]))

    def _unz(self, unz: list[str], index: int) -> None:
        told, reference, unb = part(unz, 1, 0), part(unz, 2, 0), self.unb
        there = len(unb.groups) or sum([message.number > 0 for message in self.found[self.since :]])
        warnings = []
        if number(told) != there:
            warnings.append(say("unz", told, there))
        if reference != unb.reference:
            warnings.append(say("reference", f"UNZ {reference}", f"UNB {unb.reference}"))
        if len(self.found) > self.since:
            self.found[-1].warnings += warnings
        elif warnings:
            self._add(index, index).broken("edifact.empty", "; ".join(warnings))
        self.unb, self.since = Interchange(), len(self.found)

    def _no_unz(self) -> None:
        """Another interchange, or nothing, stands where UNZ should."""
        if self.unb.reference and len(self.found) > self.since:
            self.found[-1].warnings.append(say("no unz", self.unb.reference))

    def _tail(self, done: int, last: int) -> None:
        """What follows the last service segment; only a whole UNZ may lack its terminator."""
        rest = self.tokens.parts[last]
        code = "edifact.limit" if self.tokens.terminator in rest else "edifact.truncated"
        if self.opened >= 0:
            self._add(self.opened, last).broken(code, say("unfinished", rest[:20]))
            self._no_unz()
            return
        self._stray(done, last)
        unz = self.tokens.texts(last, last + 1, "")[0].split(ELEMENT, _PARTS_MAX)
        if unz[0] == "UNZ" and part(unz, 2, 0) == self.unb.reference != "":
            self._unz(unz, last)
        elif rest:
            self._add(last, last).broken(code, say("tail", rest[:20]))
        self._no_unz()


def number(text: str) -> int:
    """A count as it is written, leading zeros allowed; -1 if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= len("000000000") else -1


def say(name: str, *values: object) -> str:
    """A sentence for a person, Chinese and English, with the values met."""
    return " / ".join(sentence.format(*values) for sentence in _SENTENCES[name])


# ISO 9735-1 data element 0001; A and B are subsets of ASCII.
_CHARSETS = {
    "UNOC": "iso8859-1", "UNOD": "iso8859-2", "UNOE": "iso8859-5", "UNOF": "iso8859-7", "UNOG": "iso8859-3",
    "UNOH": "iso8859-4", "UNOI": "iso8859-6", "UNOJ": "iso8859-8", "UNOK": "iso8859-9", "UNOW": "utf-8",
    "UNOX": "gb18030",  # code extension by ISO 2022 is not undone; Chinese senders mean their national set
    "UNOY": "utf-8",
}  # fmt: skip
_SENTENCES = {
    "again": ("同一文件中报文编号 {} 重复", "the message key {} is used again in this body"),
    "character": ("报文含控制字符 {}", "the message holds the control character {}"),
    "count": ("UNT 声明 {!r} 段，实为 {} 段", "UNT says {!r} segments, there are {}"),
    "nothing": ("交换中没有报文", "there is no message in the interchange"),
    "limit": ("超出长度或段数上限", "a limit of length or of segments is passed"),
    "no unz": ("交换 {!r} 没有 UNZ", "the interchange {!r} has no UNZ"),
    "reference": ("{!r} 与 {!r} 不符", "{!r} is not the same as {!r}"),
    "stray": ("{!r} 不属于任何报文", "{!r} belongs to no message"),
    "tail": ("文件末尾不完整：{!r}", "the end of the body is broken: {!r}"),
    "unfinished": ("报文未结束即遇到 {!r}", "the message has no UNT before {!r}"),
    "unz": ("UNZ 声明 {!r} 份报文，实为 {} 份", "UNZ says {!r} messages, there are {}"),
}
