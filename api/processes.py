"""What we may know of other processes, and how they end when we do, even killed.

Times are seconds.
"""

import subprocess
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]

POLL_SECONDS = 0.02

# Reading fails when the last holder of the pipe's other end is gone; a line means that there is nothing left to guard.
GUARD = """\
trap '' INT TERM HUP
read -r line && exit 0
"""

# kill -0 of a process group succeeds as long as one process of it is there.
END_GROUP = """\
kill -TERM "$1"
while kill -0 -- "-$1" && [ "$2" -gt 0 ]; do sleep 1; set -- "$1" $(($2 - 1)); done
kill -KILL -- "-$1"
"""

# The noted process may be long gone: on Linux its name is compared, elsewhere a note is believed.
END_NOTED = """\
read -r pid < "$1" || exit 0
[ ! -e "/proc/$pid/comm" ] || [ "$(cat "/proc/$pid/comm")" = "$2" ] || exit 0
kill -INT "$pid"
"""


class Guard:
    """A small shell that ends others once our own process is gone without a goodbye.

    It needs no cooperation of the guarded program, works on every Unix, and survives a kill -9 of ours.
    """

    def __init__(self, script: str, *argv: str) -> None:
        quiet = subprocess.DEVNULL
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", GUARD + script, "sh", *argv],
            stdin=subprocess.PIPE,
            stdout=quiet,
            stderr=quiet,
            cwd="/",
            start_new_session=True,
        )

    @classmethod
    def of_group(cls, leader: int, seconds: int) -> "Guard":
        """Asks the leader to stop, and kills what is left of its process group after `seconds`."""
        return cls(END_GROUP, str(leader), str(seconds))

    @classmethod
    def of_noted(cls, note: Path, name: str) -> "Guard":
        """Sends SIGINT to the process `name` whose id the first line of `note` then is, if there is such a one."""
        return cls(END_NOTED, str(note), name)

    def dismiss(self) -> None:
        """The guarded process has ended, or may live on."""
        self._shell.communicate(b"\n")


def alive(pid: int) -> bool:
    """A process that only waits to be reaped has ended."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def gone(pids: list[int], seconds: float) -> bool:
    """Whether all have ended within `seconds`."""
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def works_in(pid: int, name: str, folder: Path) -> bool:
    """Whether the process is a `name` with that working directory."""
    try:
        process = psutil.Process(pid)
        return bool(alive(pid) and process.name() == name and process.cwd() == str(folder))
    except psutil.Error:
        return False


def all_that_work_in(name: str, folder: Path) -> list[int]:
    return [pid for pid in psutil.pids() if works_in(pid, name, folder)]
