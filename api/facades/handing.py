"""Handing over what a facade tells: the record of its delivery first, with the datasets it draws on."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

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
SUBJECT_CHARS_MAX = 64


async def hand_over(
    deliveries: Deliveries, account: Account, item: Item, *, subject: str, lines: Sequence[Line]
) -> None:
    """Returns once the record is durable; one event is made of each line. Raises Busy: nothing may leave."""
    intent = deliveries.intent(
        account,
        item,
        datetime.now(UTC),
        subject=CONTROL.sub("?", subject)[:SUBJECT_CHARS_MAX],
        count=len(lines),
        result="ok" if lines else "empty",
        datasets=datasets(list(lines)),
    )
    await asyncio.wrap_future(deliveries.writer.submit([intent]))
