"""The one way out of the house: look through the caller's view, record the delivery, and only then hand over.

The record rests on the register as it was when the view was made; if a permission has come or gone in the meantime, the
record is refused and the question is asked again. So nothing is delivered under a permission behind its revocation.

    told = await way_out.hand_over(account, TRACK_QUERY, look_for_it, subject=number)

where `look_for_it` takes a `Looking`: it reads through `looking.look`, and says with `looking.found` what it found.
Of a commercial item it says `most=` how many units it may come to, and hands over `looking.allowed` of them at most:
whether the caller may have them, and how many, is asked before any work (api/entitlement.py).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

import msgspec

from api.delivery import Delivered, Deliveries, Item
from api.entitlement import ALL, FREE, Entitlements, Grant
from api.identity import Account
from api.pool import Pool
from api.register import Register
from domain import positions
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

    def __init__(self, look: Look, allowed: int = ALL) -> None:
        self.look = look
        self.allowed = allowed  # units that may be handed over, of a commercial item
        self.subject = ""  # what was asked for, where only the look can tell
        self.count, self.reversals = 0, 0
        self.datasets: tuple[str, ...] = ()
        self.permissions: tuple[str, ...] = ()
        self.told = ""  # packed positions of the facts handed over
        self.fact_id: UUID | None = None  # of the record, if what is made here may have to be made again

    @property
    def view(self) -> View:
        assert self.look.view is not None
        return self.look.view

    def found(self, lines: Sequence[Line], count: int | None = None) -> None:
        """These lines are handed over, or something made of them. `count`: of what, if not of lines."""
        self.drew_on(sorted({shown.dataset(line) for line in lines}), len(lines) if count is None else count)

    def drew_on(self, datasets: Sequence[str], count: int, reversals: int = 0) -> None:
        """So much is handed over, made of these datasets. `reversals`: of it, what takes back something told before."""
        self.count, self.reversals, self.datasets = count, reversals, tuple(datasets)
        self.permissions = leaves(self.view, datasets)

    def named(self, told: Iterable[int]) -> None:
        """The record of a commercial item says which facts these were, by position: its bill can be proved by them."""
        self.told = positions.pack(told)


def leaves(view: View, datasets: Sequence[str]) -> tuple[str, ...]:
    """The permissions and agreements under which the view sees these datasets in whole."""
    return tuple(sorted({leave for name, given in view.leaves if name in datasets for leave in given}))


class WayOut:
    """Hands over, in one process."""

    def __init__(self, readers: Pool, register: Register, deliveries: Deliveries, entitlements: Entitlements) -> None:
        """`readers`: connections of the reader's role (api/pool.py)."""
        self.readers = readers
        self.register = register
        self.deliveries = deliveries
        self.entitlements = entitlements

    async def hand_over(
        self,
        account: Account,
        item: Item,
        work: Callable[[Looking], T],
        *,
        subject: str = "",
        channel: Channel = "query",
        most: int = 1,
    ) -> T:
        """What the work, done in a thread, has come to, once its delivery is durable.

        Unknown and every other error of the work are recorded too, as an empty delivery, and raised. Raises Barred,
        and of a commercial item PaymentRequired.
        """
        told, _ = await self.deliver(account, item, work, subject=subject, channel=channel, most=most)
        return told

    async def deliver(
        self,
        account: Account,
        item: Item,
        work: Callable[[Looking], T],
        *,
        subject: str = "",
        channel: Channel = "query",
        most: int = 1,
    ) -> tuple[T, str]:
        """The same, with the price version."""
        for _ in range(ATTEMPTS_MAX):
            view = await self.view(account, channel, item)
            grant = await self.entitlements.admit(account, item, most, asof=view.asof) if _is_paid(item) else FREE
            used = 0
            try:
                told, looking = await self._looked(view, work, grant)
                delivered = _delivered(subject, channel, view, looking, grant)
                price = await self.deliveries.deliver(account, item, delivered)
                if price is not None:
                    used = delivered.count
            except Outdated:
                price = None
            finally:
                grant.settle(used)
            if price is None:
                await asyncio.to_thread(self.register.refresh)
                continue
            if isinstance(told, Unknown):
                raise told
            return told, price
        raise Busy("授权正在变动，请稍后再问 / permissions are changing this very moment; ask again")

    async def view(self, account: Account, channel: Channel, item: Item) -> View:
        """What the caller may see now. Raises Barred."""
        return self.register.view(account, channel, commercial=_is_paid(item))

    async def _looked(
        self, view: View, work: Callable[[Looking], T], grant: Grant
    ) -> tuple[T | Unknown, Looking | None]:
        """Raises Outdated."""
        try:
            return await asyncio.to_thread(self._look, view, work, grant.allowed)
        except Unknown as error:
            return error, None

    def _look(self, view: View, work: Callable[[Looking], T], allowed: int) -> tuple[T, Looking]:
        with self.readers.connection() as connection, sight.opened(connection, view) as look:
            looking = Looking(look, allowed)
            return work(looking), looking


def _is_paid(item: Item) -> bool:
    return item.item_class == "commercial"


def _delivered(subject: str, channel: Channel, view: View, looking: Looking | None, grant: Grant) -> Delivered:
    """`looking` None: nothing was found."""
    if looking is None or not looking.count:
        return Delivered(subject, channel=channel, register=view.asof)
    subject = looking.subject or subject
    found = (looking.datasets, looking.permissions)
    told = Delivered(subject, looking.count, "ok", *found, channel, view.asof, grant.waived, looking.reversals)
    if looking.fact_id is None and not looking.told:
        return told
    return msgspec.structs.replace(told, fact_id=looking.fact_id, told=looking.told)
