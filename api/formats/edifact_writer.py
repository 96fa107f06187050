"""Writing EDIFACT: segments with their releases, messages with their counts, an interchange round them.

Texts that Latin-1 holds go out in syntax version 3 (UNOC), others in version 4 and UTF-8 (UNOY). Times in UNB are UTC.
Source: ISO 9735-1, syntax versions 3 and 4.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Protocol

from api.formats import edifact_syntax as syntax
from api.formats.edifact_syntax import COMPONENT, Message
from domain.report import Fault

UNKNOWN = "UNKNOWN"  # a party that the question did not name
_SPECIAL = re.compile(r"([+:'?])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


class Told(Protocol):
    """What became of one message."""

    @property
    def status(self) -> str: ...  # recorded, duplicate, confirmed, quarantined

    @property
    def problem(self) -> Fault | None: ...

    @property
    def warnings(self) -> Sequence[str]: ...


Answered = tuple[Message | None, Told]
"""A message of the question, in its order; None where the bytes hold none."""


def pair(body: bytes, told: Sequence[Told]) -> list[Answered]:
    """The messages of a body with what became of each, as `edifact.read` counts them."""
    return [(message, one) for message, one in zip_longest(syntax.messages(body), told) if one is not None]


def segment(tag: str, *elements: str) -> str:
    """A segment; components of an element are apart by COMPONENT. Empty ends are left out.

    >>> segment("UCI", "78", "YS1" + COMPONENT + "ZZZ", "", "7", ""), segment("FTX", "AAI", "", "", "What's 1+:")
    ("UCI+78+YS1:ZZZ++7'", "FTX+AAI+++What?'s 1?+?:'")
    """
    told = [":".join(_trimmed([_released(text) for text in element.split(COMPONENT)])) for element in elements]
    return "+".join(_trimmed([tag, *told])) + "'"


def _released(text: str) -> str:
    return _SPECIAL.sub(r"?\1", _CONTROL.sub(" ", text))


def _trimmed(texts: list[str]) -> list[str]:
    while texts and not texts[-1]:
        texts.pop()
    return texts


def join(*components: str) -> str:
    return COMPONENT.join(components)


def message(reference: str, kind: str, segments: Sequence[str]) -> str:
    """UNH, the segments, UNT; `kind` is type, version, release and agency, components as in `segment`."""
    head, tail = segment("UNH", reference, kind), segment("UNT", str(len(segments) + 2), reference)
    return "".join((head, *segments, tail))


def latin(text: str) -> bool:
    """Whether syntax version 3 can carry it."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def interchange(messages: Sequence[str], *, sender: str, recipient: str, reference: str, at: datetime) -> bytes:
    """UNB, the messages, UNZ. `reference` has 14 characters at most."""
    body = "".join(messages)
    three = latin(body + sender + recipient)
    head = segment(
        "UNB", join("UNOC", "3") if three else join("UNOY", "4"), sender or UNKNOWN, recipient or UNKNOWN,
        join(f"{at:%y%m%d}" if three else f"{at:%Y%m%d}", f"{at:%H%M}"), reference,
    )  # fmt: skip
    whole = head + body + segment("UNZ", str(len(messages)), reference)
    return whole.encode("latin-1" if three else "utf-8")
