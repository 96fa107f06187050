"""The security administrator's desk: whose tokens are believed, whom they stand for, who may have tokens of ours.

`/v1/trust/issuers` and `/v1/trust/clients`; each change is told to the trail. Nobody links an account of his own.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import psycopg
from litestar import Request, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.identity import caller, needs
from api.login import issuers, provider
from api.login.door import body_as, tell
from api.login.issuer import Issuer, named, rotate
from api.login.issuers import BadIssuer, Entry, Link
from api.login.oidc import secret_about
from api.login.provider import Client

AnyRequest = Request[Any, Any, Any]
GUARDS = [needs("security-admin")]
LOOKING = [needs("security-admin", "auditor")]
SECRET_CHARS_MAX = 500
T = TypeVar("T")


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A trust entry as it is sent. `discover`: take the addresses from the issuer's own document, once; pin them."""

    entry: Entry
    discover: bool = False
    client_secret: str = ""  # kept sealed and never shown again; "": as it was


class Unlinked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    subject: str


async def _look(issuer: Issuer, work: Callable[[psycopg.Connection[Any]], T]) -> T:
    def run() -> T:
        with issuer.pool.connection() as connection:
            return work(connection)

    return await asyncio.to_thread(run)


async def _do(
    request: AnyRequest, issuer: Issuer, act: tuple[str, str, str], work: Callable[[psycopg.Connection[Any]], T]
) -> T:
    """Do it and tell the trail of the act: (action, object, detail). What cannot be told is not done."""
    loop, (action, about, detail) = asyncio.get_running_loop(), act

    def run() -> T:
        with issuer.pool.connection() as connection, connection.transaction():
            done = work(connection)
            telling = tell(request, action, about[:200], account=caller(request), detail=detail[:500])
            asyncio.run_coroutine_threadsafe(telling, loop).result()
            return done

    return await asyncio.to_thread(run)


# --- issuers ---


@get("/v1/trust/issuers", guards=LOOKING, tags=["trust"])
async def listed(issuer: NamedDependency[Issuer]) -> list[Entry]:
    """All trust entries, by name."""
    return await _look(issuer, issuers.listed)


@put("/v1/trust/issuers/{name:str}", guards=GUARDS, tags=["trust"])
async def put_issuer(request: AnyRequest, name: FromPath[str], issuer: NamedDependency[Issuer]) -> Entry:
    """Trust an issuer, or change how far; `state` "suspended" turns its tokens and its sessions away at once."""
    account, told = caller(request), await body_as(request, Told)
    if told.entry.name != name or len(told.client_secret) > SECRET_CHARS_MAX:
        raise BadIssuer("name 与地址不符 / name is another than in the address", field="name")
    entry = await issuers.discovered(told.entry) if told.discover else told.entry
    secret = told.client_secret.encode(errors="replace")

    def save(connection: psycopg.Connection[Any]) -> None:
        row = connection.execute("SELECT url FROM issuer_node").fetchone()
        if row is not None and row[0] == entry.issuer:
            raise BadIssuer("不得信任本节点自身 / a node does not trust itself in this way", field="issuer")
        sealed = issuer.vault.seal(secret, secret_about(entry.issuer)) if secret else None
        issuers.save(connection, entry, account.account, sealed)

    await _do(request, issuer, ("trust.issuer_added", entry.issuer, f"{name}: {entry.state}"), save)
    return entry


@delete("/v1/trust/issuers/{name:str}", guards=GUARDS, tags=["trust"], status_code=204)
async def delete_issuer(request: AnyRequest, name: FromPath[str], issuer: NamedDependency[Issuer]) -> None:
    """Trust it no longer; its links go with it."""
    act = ("trust.issuer_removed", name, "")
    await _do(request, issuer, act, lambda connection: issuers.remove(connection, name))


# --- links ---


@get("/v1/trust/issuers/{name:str}/links", guards=LOOKING, tags=["trust"])
async def links(name: FromPath[str], issuer: NamedDependency[Issuer]) -> list[Link]:
    """Whose accounts the subjects of an issuer are; `made_by` "": made when its first token came."""
    return await _look(issuer, lambda connection: issuers.links(connection, name))


@put("/v1/trust/issuers/{name:str}/links", guards=GUARDS, tags=["trust"])
async def put_link(request: AnyRequest, name: FromPath[str], issuer: NamedDependency[Issuer]) -> Link:
    """Say whose account a subject is."""
    account, told = caller(request), await body_as(request, Link)
    made = Link(told.subject, told.account, account.account)
    act = ("trust.linked", name, f"{made.subject[:200]} -> {made.account[:100]}")
    await _do(request, issuer, act, lambda connection: issuers.link(connection, name, made, account.account))
    return made


@delete("/v1/trust/issuers/{name:str}/links", guards=GUARDS, tags=["trust"], status_code=204)
async def delete_link(request: AnyRequest, name: FromPath[str], issuer: NamedDependency[Issuer]) -> None:
    """Take a link away; whoever signed in by it is out at once."""
    told = await body_as(request, Unlinked)
    act = ("trust.unlinked", name, told.subject)
    await _do(request, issuer, act, lambda connection: issuers.unlink(connection, name, told.subject))


# --- clients, and this node's own key ---


@get("/v1/trust/clients", guards=LOOKING, tags=["trust"])
async def clients(issuer: NamedDependency[Issuer]) -> list[Client]:
    """Who may have tokens of this node."""
    return await _look(issuer, provider.clients)


@put("/v1/trust/clients/{client_id:str}", guards=GUARDS, tags=["trust"])
async def put_client(request: AnyRequest, client_id: FromPath[str], issuer: NamedDependency[Issuer]) -> Client:
    """Register a sister node, or change or suspend it."""
    account, told = caller(request), await body_as(request, Client)
    if told.client_id != client_id:
        raise BadIssuer("client_id 与地址不符 / client_id is another than in the address", field="client_id")
    act = ("trust.client_saved", client_id, told.state)
    await _do(request, issuer, act, lambda connection: provider.save_client(connection, told, account.account))
    return told


class Rotated(msgspec.Struct, frozen=True):
    kid: str


@post("/v1/trust/rotation", guards=GUARDS, tags=["trust"], status_code=201)
async def rotation(request: AnyRequest, issuer: NamedDependency[Issuer]) -> Rotated:
    """A new signing key for this node; the old one overlaps."""

    def work(connection: psycopg.Connection[Any]) -> Rotated:
        named(connection)
        return Rotated(rotate(connection, issuer.vault, issuer.now()))

    return await _do(request, issuer, ("trust.key_rotated", "issuer", ""), work)


ROUTES = (listed, put_issuer, delete_issuer, links, put_link, delete_link, clients, put_client, rotation)
