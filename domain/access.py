"""Acts and refusals worth a line in the audit trail that no other fact tells: logins, keys, denied requests, looks.

Deliveries (domain/delivery.py) and the facts of the register speak for themselves; what is here are the rest. Each
process owns one stream of the commerce journal, `access:PROCESS`. Never holds a key, a token or a password: a
credential is named by its id alone. Times are UTC.
"""

from typing import Literal

from domain import fact
from domain.fact import Fact

Result = Literal["ok", "denied", "error"]


class AccessTold(Fact, frozen=True, kw_only=True, tag="access.told"):
    """Someone did or tried something."""

    action: str  # dotted words: login.password, key.revoked, access
    object: str  # what it was done to
    result: Result = "ok"
    account: str = ""  # who; "" if nobody said
    party: str = ""  # whose account that is
    behalf: str = ""  # for whom
    credential: str = ""  # by which: key:ID, session:8HEX, card:SERIAL, token:ISSUER#SUB
    permissions: tuple[str, ...] = ()  # the leave it was done under
    purpose: str = ""  # in the caller's words
    address: str = ""  # of the client
    detail: str = ""
    count: int = 1  # more than 1: so many alike, of which only the first were written one by one


fact.register(AccessTold)
