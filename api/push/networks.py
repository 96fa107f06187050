"""Private networks that an account's endpoints may lie in: by leave of the security administrator, on the trail.

Without leave nothing private is dialled (api/push/ssrf.py). Leave is given for ranges of private use only, to one
account, with a reason; what leads elsewhere (everything, link-local, tunnels) or holds an address at which clouds tell
secrets is refused.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Annotated, Any

import msgspec
import psycopg
from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from msgspec import Meta

from api.identity import caller, needs
from api.login.door import AnyRequest, body_as, tell
from api.login.people import person
from api.pool import Pool
from api.push.ssrf import METADATA, Network
from domain.errors import Malformed, Unknown

PRIVATE = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "100.64.0.0/10"))
) + tuple(map(ip_network, ("fc00::/7", "::1/128")))
LISTED_MAX = 1_000


class BadNetwork(Malformed):
    slug = "bad-network"
    title = "No leave can be given for this network"


class Leave(msgspec.Struct, frozen=True):
    """A network that an account's endpoints may lie in."""

    account: str
    network: str
    by: str
    at: datetime
    reason: str


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: Annotated[str, Meta(min_length=1, max_length=64)]
    network: Annotated[str, Meta(min_length=1, max_length=64)]
    reason: Annotated[str, Meta(min_length=1, max_length=200)]


def network_of(text: str) -> Network:
    """Raises BadNetwork.

    >>> str(network_of("10.20.0.0/16"))
    '10.20.0.0/16'
    """
    try:
        network = ip_network(text.strip())
    except ValueError as error:
        raise BadNetwork(f"{text[:64]!r} 不是网段 / is not a network: {error}", network=text[:64]) from error
    if not any(network.version == each.version and network.subnet_of(each) for each in PRIVATE):  # type: ignore[arg-type]
        raise BadNetwork(
            f"{network} 不在专用地址范围内；公网地址无需许可，其余不可许可 / {network} is not within the ranges of "
            f"private use ({', '.join(map(str, PRIVATE))}); public addresses need no leave, others get none",
            network=str(network),
        )
    if told := next((each for each in METADATA if network.overlaps(each)), None):
        raise BadNetwork(
            f"{network} 含云平台元数据地址 {told.network_address}，请指定更小的网段 / {network} holds "
            f"{told.network_address}, where clouds tell secrets: name a smaller one",
            network=str(network),
        )
    return network


# --- keeping ---

ADD = """
INSERT INTO push_networks (account, network, by, at, reason)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (account, network) DO UPDATE SET by = excluded.by, at = excluded.at, reason = excluded.reason
"""
LISTED = """
SELECT account, network::text, by, at, reason
FROM push_networks
WHERE %(account)s = '' OR account = %(account)s
ORDER BY account, network
LIMIT %(most)s
"""
REMOVE = "DELETE FROM push_networks WHERE account = %s AND network = %s"


def add(connection: psycopg.Connection[Any], wanted: Wanted, by: str, now: datetime) -> Leave:
    """Again: another reason. Raises BadNetwork, Unknown."""
    network = network_of(wanted.network)
    if not (wanted.account.isprintable() and wanted.reason.isprintable()):
        raise Malformed("含不可打印的字符 / there are characters that cannot be printed")
    if person(connection, wanted.account) is None:
        raise Unknown(f"没有账户 {wanted.account} / there is no account {wanted.account}", account=wanted.account)
    connection.execute(ADD, (wanted.account, network, by, now, wanted.reason))
    return Leave(wanted.account, str(network), by, now, wanted.reason)


def listed(connection: psycopg.Connection[Any], account: str = "") -> list[Leave]:
    """Of one account, or of all."""
    return [Leave(*row) for row in connection.execute(LISTED, {"account": account, "most": LISTED_MAX})]


def of(connection: psycopg.Connection[Any], account: str) -> list[Network]:
    """The networks that this account's endpoints may lie in, beside what is public."""
    return [ip_network(each.network) for each in listed(connection, account)]


def remove(connection: psycopg.Connection[Any], account: str, network: str) -> str:
    """The network as it was kept. From the next dialling on it is private again. Raises Unknown, BadNetwork."""
    named = network_of(network)
    if connection.execute(REMOVE, (account, named)).rowcount != 1:
        raise Unknown(
            f"账户 {account} 没有网段 {named} 的许可 / account {account} has no leave for {named}", network=str(named)
        )
    return str(named)


# --- over HTTP ---


@post("/v1/push-networks", guards=[needs("security-admin")], tags=["operate"], status_code=201)
async def add_network(request: AnyRequest, pool: NamedDependency[Pool]) -> Leave:
    """Let an account's endpoints lie in a private network."""
    who, wanted = caller(request), await body_as(request, Wanted)

    def work() -> Leave:
        with pool.connection() as connection:
            return add(connection, wanted, who.account, datetime.now(UTC))

    made = await asyncio.to_thread(work)
    said = f"{made.network} {made.reason}"
    await tell(request, "push_network.added", f"account:{made.account}", account=who, detail=said)
    return made


@get("/v1/push-networks", guards=[needs("security-admin", "auditor")], tags=["operate"])
async def networks(pool: NamedDependency[Pool], account: FromQuery[str] = "") -> Sequence[Leave]:
    """The private networks that endpoints may lie in, of one account or of all."""

    def read() -> list[Leave]:
        with pool.connection() as connection:
            return listed(connection, account)

    return await asyncio.to_thread(read)


@delete("/v1/push-networks", guards=[needs("security-admin")], tags=["operate"], status_code=204)
async def remove_network(
    request: AnyRequest, pool: NamedDependency[Pool], account: FromQuery[str], network: FromQuery[str]
) -> None:
    """Take the leave back."""

    def work() -> str:
        with pool.connection() as connection:
            return remove(connection, account, network)

    gone = await asyncio.to_thread(work)
    await tell(request, "push_network.removed", f"account:{account}", account=caller(request), detail=gone)


ROUTES = (add_network, networks, remove_network)
