"""Who may open the pages of the books: accounts of the node itself, by their part in it."""

from api.bookkeepers import check
from api.govern.acts import Desk, admitted
from api.identity import Account, Role
from api.portal.pages import AnyRequest


async def keeper(request: AnyRequest, desk: Desk, roles: tuple[Role, ...]) -> Account:
    """Who asks, if an account of the node's own with one of `roles`, by the register as it is now.

    Raises Barred for who is suspended, WrongRole for anybody else, whatever the month or the number: nothing is told
    of what there is.
    """
    account = await admitted(request, desk)
    check(account, desk.register, roles)
    return account
