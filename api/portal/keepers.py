"""Who may open the pages of the books: accounts of the node itself, by their part in it."""

from api.bookkeepers import keeps_books
from api.govern.acts import Desk
from api.identity import Account, Role
from api.portal.pages import AnyRequest
from api.problems import WrongRole


def keeper(request: AnyRequest, desk: Desk, roles: tuple[Role, ...]) -> Account:
    """Who asks, if an account of the node's own with one of `roles`.

    Raises WrongRole for anybody else, whatever the month or the number: nothing is told of what there is.
    """
    account: Account = request.user
    if not keeps_books(account, desk.register, roles):
        raise WrongRole(
            f"{account.account} 不管本平台账务 / {account.account} does not keep the node's books",
            role=account.role,
            needed=list(roles),
        )
    return account
