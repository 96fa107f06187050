"""Who keeps the books of the node: finance and operator of its own operating body; and who audits them.

Enterprises have people of finance, too, and auditors; those see the books of their enterprise only.
"""

import asyncio
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Guard

from api.identity import Account, Role
from api.problems import NoCredential, WrongRole
from api.register import Register

FINANCE: tuple[Role, ...] = ("finance",)
KEEPERS: tuple[Role, ...] = ("finance", "operator")
LOOKERS: tuple[Role, ...] = ("finance", "operator", "auditor")
DESKS: tuple[Role, ...] = ("finance", "auditor")
"""Who sees the bank desk and the fapiao desk: what people pay, from which account, under which tax number."""
OPERATOR, AGENCY = "operator", "agency"


def keeps_books(account: Account, register: Register, roles: tuple[Role, ...] = KEEPERS) -> bool:
    """One of these roles, of the node's own: of a party registered as operator, or not of any.

    An auditor may be of an agency, too. By the register as this process has read it, nothing is read here: a party
    that is not in it might be anybody's, and keeps no books.
    """
    if account.role not in roles:
        return False
    if not account.party:
        return True
    kind = register.rights.kinds.get(account.party)
    return kind == OPERATOR or (kind == AGENCY and account.role == "auditor")


def check(account: Account, register: Register, roles: tuple[Role, ...]) -> None:
    """Raises WrongRole, whatever is asked for: nothing is told of what there is."""
    if not keeps_books(account, register, roles):
        raise WrongRole(
            f"{account.account} 不管本平台账务 / {account.account} does not keep the node's books: that is for its "
            f"own {' or '.join(roles)}",
            role=account.role,
            needed=list(roles),
        )


def bookkeepers(*roles: Role) -> Guard:
    """A guard. Whoever has one of the roles is asked for in the register as it is now. Raises WrongRole, Barred."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        account: Account | None = connection.user
        if account is None:
            raise NoCredential("Send a key: Authorization: Bearer KEY")
        register: Register = connection.app.state.register
        if account.role in roles:
            await asyncio.to_thread(register.refresh)
            register.view(account, "query")
        check(account, register, roles)

    return guard
