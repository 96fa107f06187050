"""The process group of one machine: embedded database, API, exporter, projector, watched and ended together.

A program finds the database by KOUAN_CONNINFO, and all else by the variables of the settings. Each leads a process
group of its own, writes to `home/log/<name>.log`, and is started again when it dies, after a pause that doubles each
time. They stop in order: the API first, so that no request finds the house half empty, then what sends (`push`,
`pay`), the MQTT bridge (there only if a broker is configured), the projector, and the database if it was we who
started it. Whatever ends us, even kill -9, ends them too.
Times are seconds.
"""

import errno
import fcntl
import http.client
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType

import msgspec

from api import embedded
from api.processes import Guard
from api.settings import Settings, SettingsError, make_home
from domain.errors import KouanError

API = "api.app:create"
POLL_SECONDS = 0.1
PAUSE_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0  # a program that has run for so long starts again with the shortest pause
STOP_SECONDS = 20.0  # for the polite signal to work
GRACE_SECONDS = 10  # for a worker of the API to finish its requests
LOG_BYTES_MAX = 20_000_000  # a longer log is set aside at the next start

logger = logging.getLogger("kouan.supervise")


class SuperviseError(KouanError):
    """The processes could not be started, or could not be kept running; the detail is one line."""

    slug = "supervise"
    title = "The processes cannot be kept running"


class PortTakenError(SettingsError):
    """Somebody else listens there."""


class Stopping(BaseException):
    """We were asked to stop. Not an Exception, so that nothing on the way takes it for a failure and carries on."""


class Program(msgspec.Struct, frozen=True):
    """What to run, and how patiently."""

    name: str  # of its log, too
    argv: tuple[str, ...]
    pause_seconds: float = 0.5  # before it starts again the first time
    deaths_max: int = 10  # in a row, none of them steady


def api(settings: Settings, target: str = API) -> Program:
    """Granian with the application made by `target` in each worker."""
    options = ["--interface", "asgi", "--factory", "--host", settings.host, "--port", str(settings.port)]
    options += ["--workers", str(settings.workers), "--respawn-failed-workers", "--respawn-interval", "0.5"]
    options += ["--workers-kill-timeout", str(GRACE_SECONDS), "--backpressure", str(settings.backpressure)]
    options += ["--no-access-log", "--log-level", settings.log_level]
    return Program("api", (sys.executable, "-m", "granian", *options, target))


def part(name: str) -> Program:
    """A command of `kouan` that runs for as long as the node does."""
    return Program(name, (sys.executable, "-m", "api.main", name))


def everything(settings: Settings) -> list[Program]:
    """What a node of these settings runs, in the order in which it stops."""
    asked = [*(["mqtt"] if settings.mqtt_url else []), *(["customs-port"] if settings.customs_url else [])]
    return [api(settings), *map(part, ["push", "pay", *asked, "exporter", "projector"])]


def run(
    settings: Settings,
    *,
    prepare: Callable[[str], None] | None = None,
    ready: Callable[[str], None] | None = None,
    programs: Sequence[Program] | None = None,
) -> None:
    """All of `kouan run`, until SIGINT, SIGTERM or SIGHUP.

    `prepare` gets the conninfo before any program starts, `ready` the address once GET /health has answered; either
    may raise Stopping to end it all. Returns when all has stopped.
    Raises SettingsError before anything has started, and EmbeddedError or SuperviseError after all has been stopped.
    """
    check_port(settings)
    make_home(settings.home)
    with _only_one(settings.home), _until_asked(), _kept(settings) as database:
        if prepare:
            prepare(database.conninfo)
        with serve(settings, database.conninfo, programs=programs) as group:
            if ready:
                ready(address(settings))
            while group.wait(POLL_SECONDS):
                database.tend()


@contextmanager
def serve(settings: Settings, conninfo: str, *, programs: Sequence[Program] | None = None) -> Iterator["Group"]:
    """The programs, once GET /health answers; a thread of ours keeps them running. At the end they stop in order."""
    make_home(settings.home)
    group = Group(settings, conninfo, programs or everything(settings))
    try:
        group.start()
        yield group
    finally:
        group.stop()


class Group:
    """Programs in the order in which they are stopped."""

    def __init__(self, settings: Settings, conninfo: str, programs: Sequence[Program]) -> None:
        self._settings = settings
        environ = os.environ | settings.environment() | {"KOUAN_CONNINFO": conninfo, "PYTHONUNBUFFERED": "1"}
        self._children = [Child(program, settings.home / "log", environ) for program in programs]
        self._over = threading.Event()
        self._failure: SuperviseError | None = None
        self._tending: threading.Thread | None = None

    def start(self) -> None:
        """Raises SuperviseError if GET /health does not answer in time, or a program dies before that."""
        for child in self._children:
            child.start()
        deadline = time.monotonic() + self._settings.start_seconds_max
        while not healthy(self._settings):
            for child in self._children:
                if not child.running():
                    raise SuperviseError(
                        f"{child.name} 启动后即退出：{child.last_words()} / "
                        f"{child.name} ended at once: {child.last_words()}"
                    )
            if time.monotonic() > deadline:
                raise SuperviseError(
                    f"{self._settings.start_seconds_max} 秒内 /health 没有应答；日志 {self._children[0].log} / "
                    f"/health did not answer within {self._settings.start_seconds_max} s; log: {self._children[0].log}"
                )
            time.sleep(POLL_SECONDS)
        self._tending = threading.Thread(target=self._tend, name="tend", daemon=True)
        self._tending.start()

    def wait(self, seconds: float | None = None) -> bool:
        """True after `seconds`. Raises SuperviseError as soon as a program has died too often."""
        self._over.wait(seconds)
        if self._failure:
            raise self._failure
        return True

    def stop(self) -> None:
        self._over.set()
        if self._tending:
            self._tending.join()
        for child in self._children:
            child.stop()

    def pids(self) -> dict[str, int]:
        """Of the programs that run now."""
        found = {child.name: child.process for child in self._children}
        return {name: process.pid for name, process in found.items() if process and process.poll() is None}

    def _tend(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            try:
                for child in self._children:
                    child.tend()
            except SuperviseError as error:
                self._failure = error
                self._over.set()
            except OSError as error:
                self._failure = SuperviseError(f"无法重启程序：{error} / a program cannot start again: {error}")
                self._over.set()


class Child:
    """One program, its log and its deaths."""

    def __init__(self, program: Program, logs: Path, environ: dict[str, str]) -> None:
        self.name = program.name
        self._program = program
        self.log = logs / f"{program.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._environ = environ
        self._guard: Guard | None = None
        self._started_at = 0.0  # monotonic, as all below
        self._again_at = 0.0
        self._deaths = 0
        self._heard = 0  # bytes of the log that an earlier start wrote

    def start(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._heard = log.tell()
            self.process = subprocess.Popen(
                self._program.argv,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard = Guard.of_group(self.process.pid, int(STOP_SECONDS))
        self._started_at = time.monotonic()

    def running(self) -> bool:
        process = self.process
        return process is not None and process.poll() is None

    def tend(self) -> None:
        """Notices a death, and starts the program again once its pause is over."""
        now = time.monotonic()
        if self.running():
            return
        if self.process is not None:
            code = self.process.returncode
            self._bury()
            self._deaths = 1 if now - self._started_at > STEADY_SECONDS else self._deaths + 1
            if self._deaths > self._program.deaths_max:
                raise SuperviseError(
                    f"{self.name} 连续退出 {self._deaths} 次，不再重启；日志 {self.log} / "
                    f"{self.name} has ended {self._deaths} times in a row and is given up; log: {self.log}"
                )
            pause = min(self._program.pause_seconds * 2 ** (self._deaths - 1), PAUSE_SECONDS_MAX)
            self._again_at = now + pause
            logger.error(
                "%s 已退出（%s），%.1f 秒后重启 / it has ended (%s) and starts again in %.1f s",
                *(self.name, code, pause, code, pause),
            )
        elif now >= self._again_at:
            self.start()

    def stop(self) -> None:
        if self.process is None:
            return
        if self.running():
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
            if self.running():
                logger.error("%s 未按要求停止，强制结束 / it did not stop when asked and is killed", self.name)
        self._bury()

    def last_words(self) -> str:
        """What the program said last since it started: of Granian not the farewell but the reason."""
        said = [line.strip() for line in self.log.read_bytes()[self._heard :].decode(errors="replace").splitlines()]
        reasons = [line for line in said if line and not line.startswith(("[INFO]", "[ERROR]"))]
        return f"{(reasons or said or ['-'])[-1]} ({self.log})"

    def _bury(self) -> None:
        """Ends what the program left behind in its group, as its workers when it was killed."""
        assert self.process
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self._guard:
            self._guard.dismiss()
        self.process = self._guard = None


def address(settings: Settings) -> str:
    """Where a person on this machine finds the API."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 the unspecified address
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def healthy(settings: Settings) -> bool:
    """Whether GET /health answers 200."""
    with closing(http.client.HTTPConnection(address(settings).removeprefix("http://"), timeout=2)) as connection:
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False


def check_port(settings: Settings) -> None:
    """Raises PortTakenError, or SettingsError if we may not or cannot listen there; one line each."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
            probe.listen(1)
        except (OSError, UnicodeError) as error:
            if getattr(error, "errno", None) == errno.EADDRINUSE:
                raise PortTakenError(
                    f"端口 {settings.port} 已被占用：请用 KOUAN_PORT 另选 / "
                    f"port {settings.port} is taken: choose another with KOUAN_PORT",
                    port=settings.port,
                ) from None
            reason = getattr(error, "strerror", None) or str(error)
            raise SettingsError(
                f"无法在 {settings.host}:{settings.port} 监听（KOUAN_HOST、KOUAN_PORT）：{reason} / "
                f"cannot listen on {settings.host}:{settings.port} (KOUAN_HOST, KOUAN_PORT): {reason}"
            ) from None


class Database:
    """The database of the settings; an embedded server that we started ends with us, even killed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ours = not settings.database_url and embedded.postmaster(settings.home) is None
        self._guard: Guard | None = None
        self.conninfo = settings.database_url

    def start(self) -> None:
        if self._settings.database_url:
            return
        if self._ours and not self._guard:  # before the start, since a recovery may take minutes
            self._guard = Guard.of_noted(self._settings.home / "pg" / "postmaster.pid", "postgres")
        self.conninfo = embedded.start(self._settings.home, wait_seconds=self._settings.recovery_seconds_max)

    def tend(self) -> None:
        """Raises EmbeddedError if a server that has died cannot be started again."""
        if not self._settings.database_url and embedded.postmaster(self._settings.home) is None:
            logger.error("数据库已退出，现重启 / the database has ended and starts again")
            self._ours = True
            self.start()

    def stop(self) -> None:
        if self._ours:
            embedded.stop(self._settings.home)
        if self._guard:
            self._guard.dismiss()


@contextmanager
def _kept(settings: Settings) -> Iterator[Database]:
    database = Database(settings)
    try:
        database.start()
        yield database
    finally:
        database.stop()


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Two groups in one home would stop each other's database."""
    path = home / "run.lock"
    path.touch(mode=0o600)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SuperviseError(f"口岸已在 {home} 运行 / Kouan already runs in {home}") from None
        yield


@contextmanager
def _until_asked() -> Iterator[None]:
    """Turns the first signal into Stopping, which ends here; later ones must not cut short the way down."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Stopping

    before = [signal.signal(number, ask) for number in numbers]
    try:
        yield
    except Stopping:
        logger.info("已停止 / stopped")
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
