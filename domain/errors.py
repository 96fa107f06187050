"""The four kinds of "no".

    KouanError
    ├── Malformed   cannot be understood; sending it again unchanged will not help
    ├── Unknown     nothing under that reference for this caller
    ├── Refused     understood, but the rules forbid it now
    └── Stale       someone else wrote first; read again

A subclass names its reason by a permanent `slug`, which is also the last part of the problem's type URI
(docs/problems.md has a line for each). How a kind is told over HTTP is decided in `api/problems.py`, never here.
"""

from typing import ClassVar


class KouanError(Exception):
    """A "no" with a reason that a person can read and a program can compare.

    `facts` are JSON-safe values that say what, where and which value.
    """

    slug: ClassVar[str] = "error"
    title: ClassVar[str] = "Error"

    def __init__(self, detail: str, **facts: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class Malformed(KouanError):
    """Cannot be understood."""

    slug = "malformed"
    title = "The request cannot be understood"


class Unknown(KouanError):
    """Nothing under that reference, for this caller."""

    slug = "unknown"
    title = "Nothing is known under that reference"


class Refused(KouanError):
    """Understood; the rules forbid it now."""

    slug = "refused"
    title = "The rules forbid this now"


class Stale(KouanError):
    """Someone wrote first."""

    slug = "stale"
    title = "Someone else wrote first"
