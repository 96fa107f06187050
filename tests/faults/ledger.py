"""What was acknowledged beside what is stored, and the line of the table that comes of it.

A ledger is written by many threads, and by processes that are killed: each line goes to its file in one write, which
survives the writer. Durations are seconds; `longest` is the longest that anybody waited for a true answer.
"""

import os
import threading
from collections import Counter
from pathlib import Path

import msgspec

from tests.faults import traffic


class Row(msgspec.Struct, frozen=True):
    """One line of the table."""

    fault: str
    injected: int  # faults that did strike
    acked: int  # facts that a writer was told are recorded
    lost: int  # of these, not in the journal, or never seen by the reader
    doubled: int  # labels that are in the journal more than once
    longest_s: float  # longest time to a true answer, recovery included

    def sound(self) -> bool:
        return self.injected > 0 and self.acked > 0 and self.lost == 0 and self.doubled == 0


class Ledger:
    """One file, one line for each acknowledged batch: name, facts, seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def ack(self, name: str, size: int, seconds: float) -> None:
        os.write(self._file, f"{name} {size} {seconds:.4f}\n".encode())

    def close(self) -> None:
        os.close(self._file)

    def entries(self) -> list[tuple[str, int, float]]:
        lines = (line.split() for line in self.path.read_text().splitlines())
        return [(name, int(size), float(seconds)) for name, size, seconds in lines]

    def row(self, fault: str, injected: int, found: Counter[str], *, unseen: int = 0) -> Row:
        """Compare with the labels in the journal; `unseen` are facts that are there, yet a reader never got them."""
        entries = self.entries()
        acked = list(traffic.labels([(name, size) for name, size, _ in entries]))
        return Row(
            fault=fault,
            injected=injected,
            acked=len(acked),
            lost=sum(1 for label in acked if label not in found) + unseen,
            doubled=sum(1 for count in found.values() if count > 1),
            longest_s=max((seconds for _, _, seconds in entries), default=0.0),
        )


class Tally:
    """A number that many threads raise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def add(self) -> None:
        with self._lock:
            self.count += 1


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| fault | injected | acked | lost | doubled | longest recovery s |", "|---|---:|---:|---:|---:|---:|"]
    lines += [
        f"| {row.fault} | {row.injected:,} | {row.acked:,} | {row.lost:,} | {row.doubled:,} | {row.longest_s:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)
