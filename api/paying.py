"""The gateway that collects the money, as the settings say.

Both are of equal rank; which one an invoice went through stays with the invoice.
"""

from typing import Any

from psycopg_pool import ConnectionPool

from api.settings import Paying
from billing.bank import BankGateway
from billing.gateway import Gateway
from billing.stripe import StripeGateway


def gateway_of(paying: Paying, pool: ConnectionPool[Any]) -> Gateway:
    """The one through which invoices go out. `pool`: where the bank's receipts are kept."""
    return stripe_of(paying) if paying.gateway == "stripe" else BankGateway(pool)


def stripe_of(paying: Paying) -> StripeGateway:
    """Stripe, whichever gateway is chosen: for what went through it before."""
    return StripeGateway(
        paying.stripe_key,
        webhook_secret=paying.stripe_webhook_secret,
        url=paying.stripe_url,
        email=paying.stripe_email,
    )
