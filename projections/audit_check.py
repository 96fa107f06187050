"""Whether the audit trail is whole: numbering, hashes, signed heads, anchors, and the journal, in one pass over all.

Every part comes in as a stream in the order of its numbers, so memory is constant however long the chain is. The first
bad record ends the check and is named. What only an anchor shows is a tail that was cut off, and a chain that was made
anew from somewhere on; without anchors whoever owns the database could do both.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Generic, NamedTuple, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from projections.audit import Cut, Genesis, Resumed, Row, State, Stored, digest, found, own, written


class Head(NamedTuple):
    """The head of the chain at a moment, signed."""

    n: int
    hash: bytes
    at: datetime
    key_id: str
    signature: bytes


class Bad(Exception):
    """The first record that is not as it was written."""

    def __init__(self, record: str, zh: str, en: str) -> None:
        super().__init__(f"{record}: {zh} / {en}")
        self.record = record  # entry 17, head 17, anchor 17
        self.zh, self.en = zh, en


class Report(msgspec.Struct):
    """What was checked."""

    node: str = ""
    first: int = 0
    last: int = 0
    entries: int = 0
    facts: int = 0  # entries that were compared with the journal
    heads: int = 0
    anchors: int = 0
    lost: list[Resumed] = []
    cuts: list[Cut] = []
    bad: str = ""  # the first bad record
    why: str = ""


class Evidence(NamedTuple):
    """All that a check looks at; streams in the order of their numbers."""

    state: State
    rows: Iterable[Row]
    heads: Iterable[Head]
    keys: Mapping[str, bytes]  # key id -> public key
    anchors: Iterable[Head] | None = None  # None: there are none
    journal: Iterable[Stored] | None = None  # from behind the last cut up to state.position; None: not compared
    cut: Cut | None = None  # the last one


def spoken(node: str, n: int, hash: bytes, at: datetime) -> bytes:  # noqa: A002  the word of the chain
    """What the signature of a head is made of."""
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    return f"kouan audit head\n{node}\n{n}\n{hash.hex()}\n{moment}\n".encode()


def check(evidence: Evidence) -> Report:
    """`bad` is empty if everything is as it was written."""
    checking = _Checking(evidence)
    try:
        checking.run()
    except Bad as bad:
        checking.report.bad, checking.report.why = bad.record, f"{bad.zh} / {bad.en}"
    return checking.report


T = TypeVar("T")


class _Ahead(Generic[T]):
    """A stream of which the next one can be looked at."""

    def __init__(self, stream: Iterable[T]) -> None:
        self._stream: Iterator[T] = iter(stream)
        self.next: T | None = next(self._stream, None)

    def take(self) -> T:
        taken = self.next
        assert taken is not None
        self.next = next(self._stream, None)
        return taken


class _Checking:
    def __init__(self, evidence: Evidence) -> None:
        self.report = Report(node=evidence.state.node)
        self._all = evidence
        self._heads, self._anchors = _Ahead(evidence.heads), _Ahead(evidence.anchors or ())
        self._journal = _Ahead(evidence.journal or ())
        cut = evidence.cut
        self._n, self._hash = (cut.upto, _bytes(cut.hash)) if cut else (0, b"")
        self._position = cut.position if cut else 0
        self._at_cut = self._n
        self._cut_told = cut is None

    def run(self) -> None:
        self._before_the_cut()
        self.report.first = self._n + 1
        for row in self._all.rows:
            self._row(row)
        self._end()

    # --- what was cut off ---

    def _before_the_cut(self) -> None:
        """An anchor names the entry that the rest goes on from: a cut cannot be made up."""
        anchored = self._all.anchors is None or not self._at_cut
        while self._anchors.next and self._anchors.next.n <= self._at_cut:
            anchor = self._anchors.take()
            self._signed("anchor", anchor)
            if anchor.n == self._at_cut:
                anchored = anchor.hash == self._hash
        if not anchored:
            raise Bad(f"cut {self._at_cut}", "此处截断没有锚点佐证", "no anchor bears out that it was cut here")

    # --- one entry ---

    def _row(self, row: Row) -> None:
        if row.n <= self._n:
            raise Bad(f"entry {row.n}", f"应在第 {self._n} 条之后", f"it stands behind entry {self._n}")
        about = self._about(row)
        if row.n != self._n + 1 and not self._is_lost(row, about):
            missing = self._n + 1
            raise Bad(f"entry {missing}", f"缺失，下一条为 {row.n}", f"it is missing; the next one is {row.n}")
        if _digest(row, self._hash) != row.hash:
            raise Bad(f"entry {row.n}", "内容或编号与哈希不符", "its bytes or its number do not fit its hash")
        self._columns(row)
        if row.n == 1 and not (isinstance(about, Genesis) and about.node == self._all.state.node):
            raise Bad("entry 1", "链首不是本节点的起始记录", "the chain does not begin with this node's own entry")
        if isinstance(about, Resumed):
            self._lost(about)
        elif isinstance(about, Cut):
            self.report.cuts.append(about)
            self._cut_told = self._cut_told or about == self._all.cut
        elif about is None:
            self._told(row)
        self._n, self._hash = row.n, row.hash
        self.report.last, self.report.entries = row.n, self.report.entries + 1
        self._marks()

    def _about(self, row: Row) -> Genesis | Resumed | Cut | None:
        try:
            return own(row.entry)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise Bad(f"entry {row.n}", "无法解读", "it cannot be read") from None

    def _columns(self, row: Row) -> None:
        """What it is found by says the same as its bytes: nothing was hidden from a search."""
        try:
            told = found(row.entry)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise Bad(f"entry {row.n}", "无法解读", "it cannot be read") from None
        for name, column, said in zip(told._fields, row.found, told, strict=True):
            if column != said:
                raise Bad(f"entry {row.n}", f"{name} 列与内容不符", f"its column {name} does not say what it says")

    def _told(self, row: Row) -> None:
        """The journal says the same, and nothing in between."""
        position = row.found.position
        assert position is not None
        if position <= self._position:
            raise Bad(f"entry {row.n}", "不合日志顺序", "it is not in the order of the journal")
        self._position = position
        if self._all.journal is None:
            return
        if self._journal.next is None or self._journal.next.position > position:
            raise Bad(f"entry {row.n}", f"日志中没有第 {position} 号", f"the journal has no position {position}")
        stored = self._journal.take()
        if stored.position < position:
            at = stored.position
            raise Bad(
                f"entry {row.n}", f"之前漏了日志第 {at} 号", f"position {at} of the journal is left out before it"
            )
        if written(stored) != row.entry:
            raise Bad(f"entry {row.n}", "与日志所载不同", "the journal says otherwise")
        self.report.facts += 1

    # --- what was lost by a restore ---

    def _is_lost(self, row: Row, about: object) -> bool:
        return isinstance(about, Resumed) and (about.lost_from, about.lost_to) == (self._n + 1, row.n - 1)

    def _lost(self, about: Resumed) -> None:
        """Anchors of what was lost bear it out."""
        last = None
        while self._anchors.next and self._anchors.next.n <= about.lost_to:
            last = self._anchors.take()
            self._signed("anchor", last)
            self.report.anchors += 1
        if self._all.anchors is not None and (last is None or (last.n, last.hash.hex()) != (about.lost_to, about.hash)):
            raise Bad(
                f"entry {about.lost_to + 1}", "锚点不支持所述缺失", "the anchors do not bear out what it says is lost"
            )
        self.report.lost.append(about)

    # --- heads and anchors ---

    def _marks(self) -> None:
        head = self._due("head", self._heads)
        anchor = self._due("anchor", self._anchors)
        self.report.heads += head is not None
        self.report.anchors += anchor is not None
        if head and not anchor and self._anchors.next:
            raise Bad(f"anchor {head.n}", "锚点缺失，而其后仍有", "it is missing, though there are later ones")
        if anchor and head != anchor:
            raise Bad(f"head {anchor.n}", "缺失或与锚点不同", "it is missing, or not what the anchor says")

    def _due(self, kind: str, marks: _Ahead[Head]) -> Head | None:
        if marks.next is None or marks.next.n > self._n:
            return None
        mark = marks.take()
        if mark.n < self._n:
            raise Bad(
                f"{kind} {mark.n}", "链中没有这一条，或次序有误", "the chain has no such entry, or it is out of order"
            )
        self._signed(kind, mark)
        if mark.hash != self._hash:
            raise Bad(
                f"entry {mark.n}", f"与{_KINDS[kind]}所签不同", f"it is not the one that the {kind} was signed for"
            )
        return mark

    def _signed(self, kind: str, head: Head) -> None:
        public = self._all.keys.get(head.key_id)
        if public is None:
            raise Bad(f"{kind} {head.n}", f"不识密钥 {head.key_id!r}", f"the key {head.key_id!r} is not known")
        try:
            said = spoken(self._all.state.node, head.n, head.hash, head.at)
            Ed25519PublicKey.from_public_bytes(public).verify(head.signature, said)
        except (InvalidSignature, ValueError):
            raise Bad(f"{kind} {head.n}", "签名不符", "its signature does not fit") from None

    # --- the end ---

    def _end(self) -> None:
        for kind, marks in (("anchor", self._anchors), ("head", self._heads)):
            if marks.next:
                zh, en = (
                    f"链只到 {self._n}，而{_KINDS[kind]}已到 {marks.next.n}",
                    f"gone; a signed {kind} reaches {marks.next.n}",
                )
                raise Bad(f"entry {self._n + 1}", zh, en)
        state = self._all.state
        if (state.n, state.hash) != (self._n, self._hash):
            raise Bad(f"entry {min(state.n, self._n) + 1}", f"链应到 {state.n}", f"the chain should end at {state.n}")
        if self._journal.next or state.position != self._position:
            at = self._journal.next.position if self._journal.next else state.position
            raise Bad(
                f"entry {self._n + 1}", f"日志第 {at} 号未入链", f"position {at} of the journal is not in the chain"
            )
        if not self._cut_told:
            raise Bad(f"cut {self._at_cut}", "链中没有关于此次截断的记录", "no entry of the chain tells of this cut")


_KINDS = {"head": "链头", "anchor": "锚点"}


def _digest(row: Row, before: bytes) -> bytes:
    try:
        return digest(row.algorithm, before, row.n, row.entry)
    except (ValueError, TypeError, OverflowError):
        raise Bad(
            f"entry {row.n}", f"不识算法 {row.algorithm!r}", f"algorithm {row.algorithm!r} is not known"
        ) from None


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
