"""Those who follow the feed for longer than a question takes: who waits for news, and whose stream is open.

Both are bounded for each process, so that they never take all the places of those who only ask.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from api.capacity import Places
from api.problems import CapacityReserved
from api.settings import Settings
from api.wake import Wake


class Followers:
    """Of one process. Touched by the event loop alone."""

    def __init__(self, wake: Wake, settings: Settings) -> None:
        self.wake = wake
        self.epoch = settings.following.epoch
        self.seconds_max = settings.following.stream_seconds_max
        self._waiters = Places(max(1, Places.of(settings).most // 2))
        self._streams = Places(settings.following.streams_max)

    @property
    def may_wait(self) -> bool:
        """One more may wait; if not, it is answered at once."""
        return self._waiters.taken < self._waiters.most

    def admit(self) -> None:
        """Raises CapacityReserved if no more streams may be open."""
        if self._streams.taken >= self._streams.most:
            raise CapacityReserved(
                f"同时打开的流已达 {self._streams.most} 个，请稍后再试，或改用 GET /v1/feed"
                f" / {self._streams.most} streams are open; try again, or pull: GET /v1/feed",
                limit=self._streams.most,
            )

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """For as long as a request hangs."""
        with _taken(self._waiters):
            yield

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """For as long as a stream is open."""
        with _taken(self._streams):
            yield


@contextmanager
def _taken(places: Places) -> Iterator[None]:
    places.taken += 1
    try:
        yield
    finally:
        places.taken -= 1
