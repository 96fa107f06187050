"""Heads of the audit trail: signed by the node's own key, and anchored in a file outside the database.

The key (Ed25519) is `audit.key` in KOUAN_HOME, sealed by the vault. The anchors (KOUAN_AUDIT_ANCHORS, best on another
volume) are JSON lines: a line with the public key before the first head it signed, then one line for each head. Times
are UTC.
"""

import logging
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.login.vault import Vault
from api.settings import Settings, make_home
from domain.errors import Refused
from projections import audit, audit_rows
from projections.audit_check import Head, spoken

KEY_FILE = "audit.key"
ABOUT = "audit signing key"
TAIL_BYTES = 4_096  # longer than any line

log = logging.getLogger("kouan.audit")


class BadAnchor(Refused):
    slug = "bad-anchor"
    title = "The file of anchors cannot be used"


class Ahead(Refused):
    slug = "audit-behind-anchors"
    title = "The audit trail is not the one that was anchored"


# --- the key ---


class Signer:
    """Signs heads; makes the key when it is first needed."""

    def __init__(self, settings: Settings) -> None:
        file = settings.home / KEY_FILE
        vault = Vault(settings)
        if not file.exists():
            make_home(settings.home)
            _make(file, vault.seal(secrets.token_bytes(32), ABOUT))
        self._key = Ed25519PrivateKey.from_private_bytes(vault.open(file.read_bytes(), ABOUT))
        self.public = self._key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public)

    def sign(self, node: str, n: int, hash: bytes, at: datetime) -> Head:  # noqa: A002  the word of the chain
        return Head(n, hash, at, self.key_id, self._key.sign(spoken(node, n, hash, at)))


def key_id(public: bytes) -> str:
    """A name that follows from the key."""
    return sha256(public).hexdigest()[:16]


def _make(file: Path, content: bytes) -> None:
    """Whole or not at all; of several processes that begin at once the first one's is taken."""
    draft = file.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        _through(out)
    with suppress(FileExistsError):
        os.link(draft, file)
    draft.unlink()


def _through(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


# --- anchors ---


class _Anchor(msgspec.Struct, frozen=True, omit_defaults=True):
    node: str
    key: str
    at: datetime
    n: int = 0
    hash: str = ""  # hex
    signature: str = ""  # base 64
    public: str = ""  # base 64; a line about the key


class Anchors:
    """The file, only ever appended to."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @classmethod
    def of(cls, settings: Settings) -> "Anchors":
        return cls(Path(settings.audit.anchors or settings.home / "audit-heads.jsonl"))

    def append(self, node: str, head: Head, public: bytes) -> None:
        """Durable when it returns. What a crash left of a line is taken away first."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a+b") as file:
            _mend(file)
            if self._last_key(file) != head.key_id:
                file.write(_line(_Anchor(node, head.key_id, head.at, public=_base64(public))))
            signature = _base64(head.signature)
            file.write(_line(_Anchor(node, head.key_id, head.at, head.n, head.hash.hex(), signature)))
            _through(file)

    def last(self) -> Head | None:
        """The newest head; None if there is none. Raises BadAnchor."""
        if not self.file.exists():
            return None
        with self.file.open("rb") as file:
            lines = _tail(file)
        read = [_read(line, self.file, 0) for line in lines[-2:]]
        found = [each for each in read if not each.public]
        return _head(found[-1]) if found else None

    def heads(self) -> Iterator[Head] | None:
        """All heads as the file is now, whatever is appended meanwhile; None if there is no file."""
        if not self.file.exists():
            return None
        return (_head(each) for each in self._all(self.file.stat().st_size) if not each.public)

    def keys(self) -> dict[str, bytes]:
        """The public keys that the file names."""
        if not self.file.exists():
            return {}
        named = [_unbase64(each.public) for each in self._all(self.file.stat().st_size) if each.public]
        return {key_id(public): public for public in named}

    def _all(self, size: int) -> Iterator[_Anchor]:
        with self.file.open("rb") as file:
            for number, line in enumerate(file, 1):
                size -= len(line)
                if size < 0 or not line.endswith(b"\n"):
                    return
                yield _read(line, self.file, number)

    def _last_key(self, file: BinaryIO) -> str:
        lines = _tail(file)
        return _read(lines[-1], self.file, 0).key if lines else ""


def _tail(file: BinaryIO) -> list[bytes]:
    """The last lines; one that was not finished is not among them."""
    file.seek(0, os.SEEK_END)
    size = file.tell()
    file.seek(max(0, size - TAIL_BYTES))
    *lines, _torn = file.read().split(b"\n")
    return lines if size <= TAIL_BYTES else lines[1:]


def _mend(file: BinaryIO) -> None:
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - TAIL_BYTES))
    torn = len(file.read().rpartition(b"\n")[2])
    if torn:
        log.warning("锚点文件末行不完整，已去除 %d 字节 / %d bytes of an unfinished anchor are taken away", torn, torn)
        file.truncate(end - torn)
    file.seek(0, os.SEEK_END)


def _read(line: bytes, file: Path, number: int) -> _Anchor:
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        place = number or "末尾 / the last"
        raise BadAnchor(f"{file} 第 {place} 行无法解读 / line {place} of {file} cannot be read", line=number) from None


def _head(anchor: _Anchor) -> Head:
    with suppress(ValueError):
        return Head(anchor.n, bytes.fromhex(anchor.hash), anchor.at, anchor.key, _unbase64(anchor.signature))
    return Head(anchor.n, b"", anchor.at, anchor.key, b"")  # no signature fits it


def _line(anchor: _Anchor) -> bytes:
    return msgspec.json.encode(anchor) + b"\n"


def _base64(content: bytes) -> str:
    return b64encode(content).decode()


def _unbase64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""


_decoder = msgspec.json.Decoder(_Anchor)


# --- both together ---


def agree(connection: psycopg.Connection[Any], anchors: Anchors) -> None:
    """Raises Ahead if the chain is not the one that was anchored: after a restore nobody may seal on unawares."""
    last = anchors.last()
    if last is None:
        return
    with connection.transaction():
        at, cut = audit.state(connection), audit_rows.last_cut(connection)
        kept = audit_rows.hash_of(connection, last.n)
    if kept is None and cut and cut.upto == last.n:
        kept = bytes.fromhex(cut.hash)
    if kept != last.hash:
        raise Ahead(
            f"审计链到第 {at.n} 条，锚点已到第 {last.n} 条或内容不同；如系恢复到较早时刻，请执行 kouan audit resume"
            f" / the audit trail reaches entry {at.n}, its anchors reach {last.n} or say otherwise;"
            " if the database was restored to an earlier point, run kouan audit resume",
            chain=at.n,
            anchored=last.n,
        )


def mark(connection: psycopg.Connection[Any], signer: Signer, anchors: Anchors, now: datetime) -> Head | None:
    """Sign the head if the chain has moved, and anchor what is not anchored yet. None if nothing is new.

    The row comes first and the anchor after its commit; what a crash leaves out the next mark makes up for.
    """
    with connection.transaction():
        at, last = audit.state(connection, lock=True), audit_rows.last_head(connection)
        head = None
        if at.n and (last is None or last.n != at.n):
            head = signer.sign(at.node, at.n, at.hash, now)
            audit_rows.put_head(connection, head, signer.public)
    anchored = anchors.last()
    with connection.transaction():
        public = audit_rows.keys(connection)
        for each in audit_rows.heads(connection, after=anchored.n if anchored else 0):
            anchors.append(at.node, each, public[each.key_id])
    return head
