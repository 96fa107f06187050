"""What was acknowledged of a file that `kouan report` sends: a small file under KOUAN_HOME/sent, replaced whole.

`end` is the offset as far as every part is acknowledged, and `chain` the digest of those parts, one after another: a
file that has changed in what was sent is sent from its beginning. `run` makes the keys of one sending: a part whose
answer was lost is sent again under its key and answered as it was, while a file sent once more is told as duplicate.
"""

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import msgspec

from api.bulk import Done
from api.parts import Part

REMARKS_MAX = 5
STATUSES = ("messages", "recorded", "duplicate", "confirmed", "quarantined")


class Sent(msgspec.Struct):
    """As far as it is acknowledged, and what became of it."""

    run: str = msgspec.field(default_factory=lambda: uuid4().hex)
    end: int = 0
    chain: str = ""
    messages: int = 0
    recorded: int = 0
    duplicate: int = 0
    confirmed: int = 0
    quarantined: int = 0
    remarks: list[str] = []  # the first problems, and what envelopes say that is not so

    def add(self, told: "Done | Sent", remarks: list[str]) -> None:
        """What became of another part."""
        for status in STATUSES:
            setattr(self, status, getattr(self, status) + getattr(told, status))
        self.remarks = [*self.remarks, *remarks][:REMARKS_MAX]

    def join(self, other: "Sent") -> None:
        """Another file beside this."""
        self.add(other, other.remarks)

    def holds(self, parts: Iterable[Part]) -> bool:
        """Whether the file still begins with the parts that were acknowledged."""
        if not self.chain:
            return True
        chain = ""
        for part in parts:
            chain = chained(chain, part)
            if part.end >= self.end:
                return part.end == self.end and chain == self.chain
        return False


def chained(chain: str, part: Part) -> str:
    """The digest of all parts up to this one."""
    return sha256(f"{chain} {part.start} ".encode() + part.body).hexdigest()


class Memory:
    """Where a file's `Sent` is kept; nowhere for what cannot be read twice."""

    def __init__(self, file: Path | None, sent: Sent) -> None:
        self._file, self.sent = file, sent

    @classmethod
    def of(cls, path: Path | None, home: Path, url: str, key: str, *, again: bool) -> "Memory":
        """For this file, sent there with that key (its secret is not kept)."""
        if path is None:
            return cls(None, Sent())
        name = "\x1f".join((str(path.resolve()), url, key.split("_")[1] if "_" in key else ""))
        file = home / "sent" / f"{sha256(name.encode()).hexdigest()[:32]}.json"
        if again or not file.exists():
            return cls(file, Sent())
        try:
            return cls(file, msgspec.json.decode(file.read_bytes(), type=Sent))
        except msgspec.MsgspecError:
            return cls(file, Sent())

    def save(self) -> None:
        """All of it or nothing."""
        if self._file is None:
            return
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._file.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(self.sent))
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, self._file)  # noqa: PTH105  an atomic rename is meant
