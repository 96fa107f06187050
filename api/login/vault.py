"""What must be kept and read again (TOTP secrets, signing keys) is sealed: AES-256-GCM, its key not in the database.

The key is `vault.key` in KOUAN_HOME: 32 bytes of chance, mode 0600, made when first needed. Whoever copies the
database has nothing without it; whoever loses it must enrol again. Nodes of several machines share a copy of it.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.settings import Settings, SettingsError, make_home

KEY_FILE = "vault.key"
KEY_BYTES, NONCE_BYTES = 32, 12
VERSION = b"\x01"


class Vault:
    """Seals bytes, each for what it is about: bytes sealed for one account cannot be passed off as another's."""

    def __init__(self, settings: Settings) -> None:
        self._home = settings.home
        self._cipher: AESGCM | None = None

    def seal(self, plain: bytes, about: str) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return VERSION + nonce + self._opened().encrypt(nonce, plain, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Raises SettingsError where this node's key is not the one it was sealed under."""
        version, nonce, rest = sealed[:1], sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        with suppress(InvalidTag, ValueError):
            if version == VERSION:
                return self._opened().decrypt(nonce, rest, about.encode())
        raise _unusable(self._home / KEY_FILE, "不能打开数据库中的密文", "does not open what the database holds")

    def _opened(self) -> AESGCM:
        if self._cipher is None:
            self._cipher = AESGCM(_key(self._home))
        return self._cipher


def _key(home: Path) -> bytes:
    file = home / KEY_FILE
    if not file.exists():
        make_home(home)
        _make(file)
    key = file.read_bytes()
    if len(key) != KEY_BYTES:
        raise _unusable(file, f"须为 {KEY_BYTES} 字节", f"must have {KEY_BYTES} bytes")
    if file.stat().st_mode & 0o077:
        raise _unusable(file, "不得让他人可读，请执行 chmod 600", "must be readable by its owner alone: chmod 600")
    return key


def _make(file: Path) -> None:
    """Whole or not at all; of several processes that begin at once the first one's is taken."""
    draft = file.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(secrets.token_bytes(KEY_BYTES))
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _unusable(file: Path, zh: str, en: str) -> SettingsError:
    return SettingsError(f"密钥文件 {file} {zh} / key file {file} {en}", variable="KOUAN_HOME")
