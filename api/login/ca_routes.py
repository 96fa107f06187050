"""The CAs whose cards this node lets in, by the security administrator: `/v1/trust/cas` (docs/card.md)."""

from datetime import datetime
from typing import Any, Literal

import msgspec
import psycopg
from litestar import get, post, put
from litestar.params import FromPath

from api.body import body_of
from api.identity import caller, needs
from api.login import cards
from api.login.card_routes import BODY_BYTES_MAX
from api.login.cards import Ca, Rule
from api.login.crl import Crl
from api.login.door import AnyRequest, body_as, tell
from api.login.faults import BadCertificate
from api.login.proving import in_thread
from domain.errors import Unknown

ADMIN = [needs("security-admin")]


class Adding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A CA's certificate as PEM or base64 DER; `rule` lets cards in that nobody registered."""

    name: str
    certificate: str
    crl_required: bool = True
    rule: Rule | None = None


class Trusted(msgspec.Struct, frozen=True):
    name: str
    subject: str
    certificate: str
    crl_required: bool
    crl_file: str
    rule: dict[str, Any] | None
    state: str
    added_by: str
    added_at: datetime

    @classmethod
    def of(cls, found: Ca) -> "Trusted":
        """What is told of a CA."""
        rest = {name: getattr(found, name) for name in cls.__struct_fields__ if name != "certificate"}
        return cls(certificate=found.pem, **rest)


class Taken(msgspec.Struct, frozen=True):
    """A revocation list that now counts."""

    issuer: str
    revoked: int
    made_at: datetime
    until: datetime | None


@get("/v1/trust/cas", guards=[needs("security-admin", "auditor")], tags=["trust"])
async def listed(request: AnyRequest) -> list[Trusted]:
    """All CAs, by name."""
    return [Trusted.of(each) for each in await in_thread(request, cards.cas)]


@post("/v1/trust/cas", guards=ADMIN, tags=["trust"], status_code=201, request_max_body_size=BODY_BYTES_MAX)
async def add(request: AnyRequest) -> Trusted:
    """Trust a CA. Until its revocation list is here its cards stay outside, unless `crl_required` is false."""
    admin, wanted = caller(request), await body_as(request, Adding)
    at = request.app.state.gatekeeper.clock()

    def work(connection: psycopg.Connection[Any]) -> Ca:
        more: dict[str, Any] = {"crl_required": wanted.crl_required, "rule": wanted.rule}
        return cards.add_ca(connection, wanted.name, wanted.certificate, by=admin.account, at=at, **more)

    found = await in_thread(request, work)
    rule = msgspec.json.encode(found.rule).decode()
    detail = f"{found.subject}; crl_required={found.crl_required}; rule={rule}"
    await tell(request, "trust.ca_added", f"ca:{found.name}", account=admin, detail=detail)
    return Trusted.of(found)


@put("/v1/trust/cas/{name:str}/crl", guards=ADMIN, tags=["trust"], status_code=200)
async def take_crls(request: AnyRequest, name: FromPath[str]) -> list[Taken]:
    """The body: a list in DER, or a PEM with lists and the certificates of the CAs below that made them."""
    admin, data, at = caller(request), await body_of(request), request.app.state.gatekeeper.clock()
    if not data:
        raise BadCertificate("正文为空 / the body is empty")

    def work(connection: psycopg.Connection[Any]) -> list[Crl]:
        return cards.take_crls(connection, cards.ca(connection, name), data, by=admin.account, at=at)

    taken = await in_thread(request, work)
    told = [Taken(each.raw.issuer.rfc4514_string(), len(each.raw), each.made_at, each.until) for each in taken]
    detail = "; ".join(f"{each.issuer}: {each.revoked}, {each.made_at.isoformat()}" for each in told)
    await tell(request, "trust.crl_taken", f"ca:{name[:64]}", account=admin, detail=detail[:500])
    return told


@post("/v1/trust/cas/{name:str}/{verb:str}", guards=ADMIN, tags=["trust"], status_code=200)
async def change(request: AnyRequest, name: FromPath[str], verb: FromPath[str]) -> Trusted:
    """`…/suspend`: none of its cards is let in, and all card sessions end; `…/resume`."""
    admin = caller(request)
    states: dict[str, Literal["trusted", "suspended"]] = {"suspend": "suspended", "resume": "trusted"}
    state = states.get(verb)
    if state is None:
        raise Unknown(f"没有操作 {verb[:20]} / there is no {verb[:20]}", verb=verb[:20])
    found = await in_thread(request, lambda connection: cards.set_ca_state(connection, name, state))
    action = {"suspended": "trust.ca_suspended", "trusted": "trust.ca_resumed"}[found.state]
    await tell(request, action, f"ca:{found.name}", account=admin)
    return Trusted.of(found)


ROUTES = (listed, add, take_crls, change)
