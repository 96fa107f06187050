"""Handing over what a facade tells: looked at through the caller's view, and the record of its delivery first."""

from collections.abc import Callable
from typing import TypeVar

from api.delivery import Item
from api.facades.paging import CONTROL
from api.identity import Account
from api.way_out import Looking, WayOut
from billing import tariff
from domain.permission import Channel

DCSA_QUERY = Item(tariff.DCSA_QUERY, "government")
EPCIS_QUERY = Item(tariff.EPCIS_QUERY, "government")
ONE_RECORD_QUERY = Item(tariff.ONE_RECORD_QUERY, "government")
IFTSTA_QUERY = Item(tariff.IFTSTA_QUERY, "government")
T = TypeVar("T")


async def hand_over(
    way_out: WayOut,
    account: Account,
    item: Item,
    work: Callable[[Looking], T],
    *,
    subject: str,
    channel: Channel = "api",
) -> T:
    """What the work has come to, once the record is durable. Raises Unknown, Barred, and Busy: nothing may leave."""
    return await way_out.hand_over(account, item, work, subject=CONTROL.sub("?", subject), channel=channel)
