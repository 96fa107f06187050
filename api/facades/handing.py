"""Handing over what a facade tells: the record of its delivery first, with the datasets it draws on."""

from collections.abc import Sequence

from api.answer import datasets
from api.delivery import Deliveries, Item
from api.facades.paging import CONTROL
from api.identity import Account
from billing import tariff
from projections.timeline import Line

DCSA_QUERY = Item(tariff.DCSA_QUERY, "government")
EPCIS_QUERY = Item(tariff.EPCIS_QUERY, "government")
ONE_RECORD_QUERY = Item(tariff.ONE_RECORD_QUERY, "government")
IFTSTA_QUERY = Item(tariff.IFTSTA_QUERY, "government")


async def hand_over(
    deliveries: Deliveries, account: Account, item: Item, *, subject: str, lines: Sequence[Line]
) -> None:
    """Returns once the record is durable; one event is made of each line. Raises Busy: nothing may leave."""
    await deliveries.record(
        account,
        item,
        subject=CONTROL.sub("?", subject),
        count=len(lines),
        result="ok" if lines else "empty",
        datasets=datasets(lines),
    )
