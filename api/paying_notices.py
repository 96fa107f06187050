"""Notices of the payment provider: `POST /v1/gateway/stripe/events`, kept as they come, answered once they are durable.

No login: the signature over the raw body proves the sender. What is forged, too old or of another API version is turned
away. Nothing is done with a notice here; the process `kouan pay` does (billing/inbox.py).
"""

import asyncio
from datetime import UTC, datetime
from functools import cached_property

import msgspec
from litestar import post
from litestar.di import NamedDependency

from api.body import body_of
from api.govern.acts import AnyRequest
from api.paying import stripe_of
from api.pool import Pool
from api.settings import Settings
from billing import inbox
from billing.stripe import StripeGateway
from domain.errors import Unknown

PATH = "/v1/gateway/stripe/events"
OPEN = "^/v1/gateway/stripe/events$"
"""Of OPEN_PATHS: whoever calls has no account here."""
SIGNATURE = "Stripe-Signature"


class Taken(msgspec.Struct, frozen=True):
    """`new`: false if it was here before."""

    received: bool
    new: bool


class Notices:
    """Keeps the notices that come to one process."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool

    @cached_property
    def _stripe(self) -> StripeGateway:
        return stripe_of(self._settings.paying)

    def take(self, body: bytes, signature: str) -> bool:
        """Whether it is new. Durable when this returns. Raises Malformed, or Unknown where none are expected."""
        if not self._settings.paying.stripe_webhook_secret:
            raise Unknown("本平台不接收支付方通知 / this node takes no notices of a payment provider")
        event = self._stripe.read_event(body, signature)
        with self._pool.connection() as connection:
            return inbox.take(connection, "stripe", event, body, signature, at=datetime.now(UTC))


@post(PATH, tags=["settle"], opt={"scope": "usage"}, status_code=200)
async def stripe_events(request: AnyRequest, notices: NamedDependency[Notices]) -> Taken:
    """A notice by Stripe; a repetition changes nothing."""
    body = await body_of(request)
    new = await asyncio.to_thread(notices.take, body, request.headers.get(SIGNATURE, ""))
    return Taken(received=True, new=new)


ROUTES = (stripe_events,)
