"""Who keeps the books of the node: finance and operator of its own operating body.

Enterprises have people of finance, too; those see the books of their enterprise only.
"""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Guard

from api.identity import Account, Role
from api.problems import NoCredential, WrongRole
from api.register import Register

KEEPERS: tuple[Role, ...] = ("finance", "operator")
LOOKERS: tuple[Role, ...] = ("finance", "operator", "auditor")
OPERATOR = "operator"


def keeps_books(account: Account, register: Register, roles: tuple[Role, ...] = KEEPERS) -> bool:
    """One of these roles, of the node's own: of a party registered as operator, or not of any.

    Of a party that this process has not read of yet the register is read first: it may be an enterprise.
    """
    if account.party and account.party not in register.rights.kinds:
        register.refresh()
    kind = register.rights.kinds.get(account.party) if account.party else OPERATOR
    return account.role in roles and (kind == OPERATOR or account.role == "auditor")


def bookkeepers(*roles: Role) -> Guard:
    """A guard. The register is as this process read it last."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        account: Account | None = connection.user
        if account is None:
            raise NoCredential("Send a key: Authorization: Bearer KEY")
        if not keeps_books(account, connection.app.state.register, roles):
            raise WrongRole(
                f"{account.account} 不管本平台账务 / {account.account} does not keep the node's books: that is for its "
                f"own {' or '.join(roles)}",
                role=account.role,
                needed=list(roles),
            )

    return guard
