"""The one way out of the house: look through the caller's view, record the delivery, and only then hand over.

The record rests on the register as it was when the view was made; if a permission has come or gone in the meantime, the
record is refused and the question is asked again. So nothing is delivered under a permission behind its revocation.

    told = await way_out.hand_over(account, TRACK_QUERY, look_for_it, subject=number)

where `look_for_it` takes a `Looking`: it reads through `looking.look`, and says with `looking.found` what it found.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from api.delivery import Delivered, Deliveries, Item
from api.identity import Account
from api.pool import Pool
from api.register import Register
from domain.errors import Unknown
from domain.permission import Channel
from domain.writer import Busy
from projections import shown, sight
from projections.rights import View
from projections.sight import Look, Outdated
from projections.timeline import Line

T = TypeVar("T")
ATTEMPTS_MAX = 20


class Looking:
    """One look: what is read through, and what will stand in the books about it."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.subject = ""  # what was asked for, where only the look can tell
        self.count = 0
        self.datasets: tuple[str, ...] = ()
        self.permissions: tuple[str, ...] = ()

    @property
    def view(self) -> View:
        assert self.look.view is not None
        return self.look.view

    def found(self, lines: Sequence[Line], count: int | None = None) -> None:
        """These lines are handed over, or something made of them. `count`: of what, if not of lines."""
        self.drew_on(sorted({shown.dataset(line) for line in lines}), len(lines) if count is None else count)

    def drew_on(self, datasets: Sequence[str], count: int) -> None:
        """So much is handed over, made of these datasets."""
        self.count, self.datasets = count, tuple(datasets)
        self.permissions = leaves(self.view, datasets)


def leaves(view: View, datasets: Sequence[str]) -> tuple[str, ...]:
    """The permissions and agreements under which the view sees these datasets in whole."""
    return tuple(sorted({leave for name, given in view.leaves if name in datasets for leave in given}))


class WayOut:
    """Hands over, in one process."""

    def __init__(self, readers: Pool, register: Register, deliveries: Deliveries) -> None:
        """`readers`: connections of the reader's role (api/pool.py)."""
        self.readers = readers
        self.register = register
        self.deliveries = deliveries

    async def hand_over(
        self,
        account: Account,
        item: Item,
        work: Callable[[Looking], T],
        *,
        subject: str = "",
        channel: Channel = "query",
    ) -> T:
        """What the work, done in a thread, has come to, once its delivery is durable.

        Unknown and every other error of the work are recorded too, as an empty delivery, and raised. Raises Barred.
        """
        told, _ = await self.deliver(account, item, work, subject=subject, channel=channel)
        return told

    async def deliver(
        self,
        account: Account,
        item: Item,
        work: Callable[[Looking], T],
        *,
        subject: str = "",
        channel: Channel = "query",
    ) -> tuple[T, str]:
        """The same, with the price version."""
        for _ in range(ATTEMPTS_MAX):
            view = await self.view(account, channel, item)
            told: T | Unknown
            looking: Looking | None
            try:
                told, looking = await asyncio.to_thread(self._look, view, work)
            except Outdated:
                await asyncio.to_thread(self.register.refresh)
                continue
            except Unknown as error:
                told, looking = error, None
            delivered = _delivered(subject, channel, view, looking)
            if (price := await self.deliveries.deliver(account, item, delivered)) is None:
                await asyncio.to_thread(self.register.refresh)
                continue
            if isinstance(told, Unknown):
                raise told
            return told, price
        raise Busy("授权正在变动，请稍后再问 / permissions are changing this very moment; ask again")

    async def view(self, account: Account, channel: Channel, item: Item) -> View:
        """What the caller may see now. Raises Barred."""
        return self.register.view(account, channel, commercial=item.item_class == "commercial")

    def _look(self, view: View, work: Callable[[Looking], T]) -> tuple[T, Looking]:
        with self.readers.connection() as connection, sight.opened(connection, view) as look:
            looking = Looking(look)
            return work(looking), looking


def _delivered(subject: str, channel: Channel, view: View, looking: Looking | None) -> Delivered:
    """`looking` None: nothing was found."""
    if looking is None or not looking.count:
        return Delivered(subject, channel=channel, register=view.asof)
    subject = looking.subject or subject
    return Delivered(subject, looking.count, "ok", looking.datasets, looking.permissions, channel, view.asof)
