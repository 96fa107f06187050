"""A process that forks API workers and usage projectors: they are at work in a moment, and die by the dozen.

    python -m tests.faults.usage_nursery CONNINFO PORT    # reads `api` or `projector` from its input, answers with pids

Both are the product's own: the application, with the routes that are asked alone (it is made anew for each life), under
the server that it runs under; and the runner of the commerce journal with all its models. The end of its input ends it.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from api import app, follow, track
from api.app import READ_MODELS, build
from domain.journal import Journal
from projections.runner import Runner


def api(conninfo: str, port: int) -> None:
    """One worker, until it is killed."""
    app.ROUTES = (track.track, follow.feed)
    server = Server(
        build(conninfo), port=port, interface=Interfaces.ASGI, log_level=LogLevels.critical, websockets=False
    )
    asyncio.run(server.serve())


def projector(conninfo: str, _port: int) -> None:
    """The runner of the commerce journal, until it is killed."""
    Runner(Journal("commerce", conninfo), READ_MODELS).run()


WORKS: dict[str, Callable[[str, int], None]] = {"api": api, "projector": projector}


def main(conninfo: str, port: int) -> None:
    """Fork what is asked for. Nothing runs in this process but this loop: it may be forked at any moment."""
    logging.disable(logging.CRITICAL)  # each death is told by those that live on
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(0)
            WORKS[line.strip()](conninfo, port)
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
