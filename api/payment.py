"""Paying a statement: who is billed sees how far its invoice is, and where it is paid.

By bank transfer the payment notice says it (api/bank_desk.py); through Stripe its page for the invoice, and its portal
for all invoices of a customer. Money is fen.
"""

import asyncio
from typing import Any

import msgspec
import psycopg
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from api import statements
from api.drilled import InvoiceState
from api.drilling import invoice_state
from api.govern.acts import AnyRequest, Desk, admitted
from api.identity import caller, needs
from api.paying import stripe_of
from api.pool import Pool
from api.register import Register
from api.settings import Settings
from api.settle import visible
from billing import drilling
from domain.errors import Refused
from projections.usage import Whose

OPT = {"scope": "usage"}
CUSTOMER = """
SELECT customer FROM gateway_customers JOIN issued_statements USING (holder, is_party)
WHERE provider = 'stripe' AND statement = %s AND customer <> ''
"""


class Portal(msgspec.Struct, frozen=True):
    """`url`: opens for a short time, without another login: it is for who asked."""

    url: str


def state(connection: psycopg.Connection[Any], number: str, whose: Whose) -> InvoiceState:
    """The invoice of a statement of these books. Raises Unknown."""
    brief = statements.one(connection, number, whose)
    return invoice_state(drilling.invoice_of(connection, number), brief.payable_minor)


@get("/v1/statements/{number:str}/payment", guards=[needs()], tags=["settle"], opt=OPT)
async def payment(
    request: AnyRequest, number: FromPath[str], pool: NamedDependency[Pool], register: NamedDependency[Register]
) -> InvoiceState:
    """What is owed on a statement, by when, and where it is paid."""
    whose = visible(caller(request), register)

    def look() -> InvoiceState:
        with pool.connection() as connection:
            return state(connection, number, whose)

    return await asyncio.to_thread(look)


@post("/v1/statements/{number:str}/payment-portal", guards=[needs()], tags=["settle"], opt=OPT)
async def portal(
    request: AnyRequest,
    number: FromPath[str],
    desk: NamedDependency[Desk],
    settings: NamedDependency[Settings],
) -> Portal:
    """Where the billed enterprise itself sees all its invoices and receipts. Refused where Stripe does not know it."""
    account = await admitted(request, desk)
    whose = Whose(holder=account.party or account.account, is_party=bool(account.party))  # nobody opens another's

    def look() -> str:
        with desk.pool.connection() as connection:
            statements.one(connection, number, whose)
            row = connection.execute(CUSTOMER, (number,)).fetchone()
        if row is None or not settings.paying.stripe_key:
            raise Refused(
                f"{number} 不经 Stripe 收款，付款通知见 /v1/bank/notices/{number} / "
                f"{number} is not paid through Stripe: see /v1/bank/notices/{number}",
                statement=number,
            )
        return stripe_of(settings.paying).portal_link(
            row[0], f"{str(request.base_url).rstrip('/')}/statements/{number}"
        )

    url = await asyncio.to_thread(look)
    await desk.trail.tell("payment.portal", f"statement:{number}", account=account)
    return Portal(url)


ROUTES = (payment, portal)
