"""Deliveries: every outward hand-over of data is a fact of the commerce journal, durable before the bytes leave.

Each process owns one stream, `metering:PROCESS`. Times are UTC.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

import msgspec

from domain import fact
from domain.fact import Fact

ItemClass = Literal["government", "commercial"]
Result = Literal["ok", "empty", "denied", "error", "sent"]
"""`sent`: on its way to a receiver; it counts for money when it is accepted (PushAccepted)."""

Waiver = Literal["", "trial", "sandbox"]
"""Why a commercial delivery costs nothing though its item has a price."""


class DeliveryMade(Fact, frozen=True, kw_only=True, tag="delivery.made"):
    account: str
    item: str  # service item
    item_class: ItemClass
    subject: str = ""  # what was asked for
    datasets: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()  # the owners' leave; empty while a party sees its own
    count: int = 0  # lines, facts, rows handed over
    result: Result = "ok"
    tariff: str = ""  # price version in force; always "" for a government item
    channel: str = "query"  # query, api, push, export, analytics
    party: str = ""  # that the account belongs to
    behalf: str = ""  # the party that it acted for, if not its own
    credential: str = ""  # key:ID, session:…, card:…, token:…
    purpose: str = ""  # in the caller's words
    address: str = ""  # from where
    register: int = 0  # the position of the newest fact of the register that it rests on
    reversals: int = 0  # of `count`, facts by which a source takes back another
    waived: Waiver = ""  # has a price, and is not charged
    told: str = ""  # of a commercial item: the facts handed over, by their positions in the cargo journal, packed


class PushAccepted(Fact, frozen=True, kw_only=True, tag="delivery.accepted"):
    """A receiver took a message for the first time. Its id is derived from endpoint and message: there is one."""

    account: str
    item: str
    item_class: ItemClass
    endpoint: str
    message: str
    subject: str = ""  # the stream that it is about
    count: int = 1
    reversals: int = 0
    tariff: str = ""
    party: str = ""
    behalf: str = ""
    waived: Waiver = ""
    cause: UUID | None = (
        None  # of an alert: the cargo fact with which it began; a fact's own message names its position
    )


class VerificationMade(Fact, frozen=True, kw_only=True, tag="verification.made"):
    """An agency had its fields compared with what was told; the digests prove what it asked and what it was told."""

    account: str
    purpose: str  # in the agency's words
    subject: str  # the number that it asked by
    fields: tuple[str, ...] = ()  # that were compared
    different: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    position: int = 0  # in the cargo journal, up to which was looked
    question_sha256: str = ""  # of the body as it was understood
    answer_sha256: str = ""  # of the body that left


def new_id(at: datetime) -> UUID:
    """A new id that sorts by time (UUID version 8: milliseconds, then chance)."""
    return fact.uuid8(int(at.timestamp() * 1000).to_bytes(6, "big") + uuid4().bytes[:10])


class Measured(msgspec.Struct, frozen=True):
    """One meter's reading of one fact. `tariff`: the price at which it is charged, or would be, were it not waived."""

    meter: str
    account: str
    item: str
    item_class: str
    result: str
    quantity: int
    tariff: str | None
    occurred_at: datetime
    party: str = ""  # of the account; with it the units of a month are counted together
    behalf: str = ""
    waived: Waiver = ""


fact.register(DeliveryMade, PushAccepted, VerificationMade)
