"""How much a caller may ask: by credential, by party, by address; strictly where nobody has said who he is.

What a request costs its route tells, `opt={"cost": n}` (1 if it does not, 0: never counted); `opt={"rate": "login"}` is
an attempt to sign in. Two layers lie about the authentication: inside, where the account is known, the request is paid
for and the answer gets `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11); outside, a
credential that was not good is laid to the charge of its address. How processes share a limit: api/leases.py. Seconds.
"""

from typing import Any

from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.identity import Account
from api.leases import Limiter, Policy
from api.problems import NoCredential
from api.settings import Rate, Settings

MILD = 100  # an address may ask so many times more for those who say who they are: many may share it


def policies(settings: Settings) -> dict[str, Policy]:
    """By name; one that is set to 0 is not there."""
    address = settings.rate_address
    found = (
        _policy("key", settings.rate_key),
        _policy("party", settings.rate_party),
        _policy("address", Rate(address.tokens * MILD, address.seconds)),
        _policy("anonymous", address, strict=True),
        _policy("login", settings.rate_login, strict=True),
    )
    return {policy.name: policy for policy in found if policy.tokens}


def _policy(name: str, rate: Rate, *, strict: bool = False) -> Policy:
    return Policy(name, rate.tokens, rate.seconds, strict)


class Rates:
    """Behind the authentication. Raises TooManyRequests, and Busy for who is unknown while nobody can count."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limiter, opt = _limiter(scope), scope["route_handler"].opt
        cost: int = opt.get("cost", 1)
        if "rate" in opt:
            await limiter.take(limiter.stranger(_address(scope), opt["rate"]), 1)
        account: Account | None = scope.get("user")
        buckets = limiter.of(account) if account is not None else limiter.stranger(_address(scope))
        if not cost or not buckets.leases:
            await self.app(scope, receive, send)
            return
        if cost > buckets.most or not limiter.spend(buckets, cost):
            await limiter.take(buckets, cost)

        def telling(message: Message) -> Any:  # no coroutine of its own: there is one more for each message else
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], buckets.policy, buckets.remaining(limiter.clock())]
            return send(message)

        await self.app(scope, receive, telling)


class Doorstep:
    """Before the authentication."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except NoCredential:
            limiter = _limiter(scope)
            await limiter.take(limiter.stranger(_address(scope)), 1)
            raise


async def charge(request: Request[Any, Any, Any], cost: int) -> None:
    """What a request costs beyond its route's cost, once that is known. Raises TooManyRequests."""
    if request.user is not None:
        limiter: Limiter = request.app.state.limiter
        await limiter.take(limiter.of(request.user), cost)


def _limiter(scope: Scope) -> Limiter:
    found: Limiter = scope["litestar_app"].state.limiter
    return found


def _address(scope: Scope) -> str:
    app: Litestar = scope["litestar_app"]
    address: str = app.state.gatekeeper.address(ASGIConnection[Any, Any, Any, Any](scope))
    return address
