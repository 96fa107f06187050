"""Signing in by card, and registering the cards of one's own users: `/v1/login/card`, `/v1/cards` (docs/card.md)."""

import asyncio
import base64
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg
from litestar import Response, get, post
from litestar.params import FromPath

from api.identity import SESSION, SETUP, Account, Role, caller, needs
from api.login import algorithms, card_login, cards, certificate
from api.login.card_login import CONTEXT, VOUCHED, Admitted, Signed
from api.login.cards import Card
from api.login.door import AnyRequest, body_as, ours, tell
from api.login.faults import BadCertificate, CardRefused, refused
from api.login.proving import in_thread
from api.login.sessions import Opened, cookie, end_session, open_session
from api.problems import Forged, WrongRole
from domain.errors import Unknown

BODY_BYTES_MAX = 262_144
REGISTRARS: tuple[Role, ...] = ("enterprise-admin", "system-admin")


class Challenged(msgspec.Struct, frozen=True):
    """Sign `context`, the origin of the node that you mean, and `nonce`, a line break between them."""

    challenge: UUID
    nonce: str  # base64, 32 bytes
    expires_at: datetime
    context: str
    origin: str
    algorithms: tuple[str, ...]


class SignedIn(msgspec.Struct, frozen=True):
    """The session is in the cookie; `csrf` goes into the header X-CSRF-Token of what changes something."""

    account: str
    role: str
    session: str
    csrf: str
    expires_at: datetime


class Registering(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The card's certificate as PEM or base64 DER."""

    account: str
    certificate: str


class Registered(msgspec.Struct, frozen=True):
    card: UUID
    account: str
    subject: str
    issuer: str
    serial: str
    state: str
    registered_by: str
    registered_at: datetime
    changed_by: str
    changed_at: datetime

    @classmethod
    def of(cls, found: Card) -> "Registered":
        """Without what nobody reads."""
        rest = {name: getattr(found, name) for name in cls.__struct_fields__ if name != "card"}
        return cls(found.card_id, **rest)


# --- signing in ---


@post("/v1/login/card/challenge", tags=["account"], opt={"scope": SETUP}, status_code=201)
async def challenge(request: AnyRequest) -> Challenged:
    """Something to sign, once, within two minutes."""
    gatekeeper = request.app.state.gatekeeper
    made = await in_thread(request, lambda connection: cards.challenge(connection, gatekeeper.clock()))
    nonce, origin = base64.b64encode(made.nonce).decode(), card_login.origin_of(gatekeeper.settings)
    return Challenged(made.challenge, nonce, made.expires_at, CONTEXT, origin, algorithms.usable())


@post(
    "/v1/login/card",
    tags=["account"],
    opt={"rate": "login", "scope": SETUP},
    status_code=200,
    request_max_body_size=BODY_BYTES_MAX,
)
async def sign_in(request: AnyRequest) -> Response[SignedIn]:
    """The signed challenge and the card's certificates, against a session."""
    if not ours(request):
        raise Forged("请求来自其他网站 / the request comes from another site")
    signed = await body_as(request, Signed)
    gatekeeper = request.app.state.gatekeeper
    origin, at = card_login.origin_of(gatekeeper.settings), gatekeeper.clock()
    try:
        admitted = await in_thread(request, lambda connection: card_login.admit(connection, signed, origin, at))
        opened = await _open(request, admitted)
    except CardRefused as error:
        if error.facts["fault"] in VOUCHED:  # the hook for refusals tells the others, and counts floods of them
            said = f"{error.facts['fault']}: {error.facts.get('subject', '')}"
            await tell(request, "login.card", f"card:{error.facts.get('serial', '')}", result="denied", detail=said)
        raise
    account = admitted.account
    told = SignedIn(account.account, account.role, opened.session_id, opened.csrf, opened.expires_at)
    kept = cookie(request, opened.token, int(SESSION.total_seconds()))
    return Response(told, cookies=[kept], headers={"Cache-Control": "no-store"})


async def _open(request: AnyRequest, admitted: Admitted) -> Opened:
    """The session, told to the trail before its token leaves. Raises CardRefused if the card fell meanwhile."""
    gatekeeper, account = request.app.state.gatekeeper, admitted.account
    address = gatekeeper.address(request)
    opened = await asyncio.to_thread(open_session, gatekeeper, account.account, account.credential, address=address)
    if not await in_thread(request, lambda connection: card_login.holds(connection, admitted)):
        await asyncio.to_thread(end_session, gatekeeper, opened.token)
        raise refused("suspended", admitted.card)
    detail = f"{admitted.ca}: {admitted.card.subject}"
    await tell(request, "login.card", f"session:{opened.session_id}", account=account, detail=detail)
    return opened


# --- registration ---

USERS = """
SELECT account FROM accounts WHERE (%(role)s <> 'enterprise-admin' OR (party = %(party)s AND party <> ''))
"""


def _mine(connection: psycopg.Connection[Any], admin: Account) -> set[str]:
    """Whose cards an administrator looks after: his own party's; the system's and security's: everybody's."""
    rows = connection.execute(USERS, {"role": admin.role, "party": admin.party}).fetchall()
    return {row[0] for row in rows}


@get("/v1/cards", guards=[needs()], tags=["account"])
async def listed(request: AnyRequest) -> list[Registered]:
    """An administrator's users' cards; anybody else's own."""
    account = caller(request)

    def work(connection: psycopg.Connection[Any]) -> list[Card]:
        broad = account.role in {*REGISTRARS, "security-admin"}
        return cards.cards(connection, sorted(_mine(connection, account) if broad else {account.account}))

    return [Registered.of(each) for each in await in_thread(request, work)]


@post(
    "/v1/cards",
    guards=[needs(*REGISTRARS)],
    tags=["account"],
    status_code=201,
    request_max_body_size=BODY_BYTES_MAX,
)
async def register(request: AnyRequest) -> Registered:
    """Let a card sign in as one of one's own users. The same card for the same user again changes nothing."""
    admin, wanted = caller(request), await body_as(request, Registering)
    if admin.account == wanted.account:
        raise WrongRole("不能为自己登记 / nobody registers a card for himself", account=admin.account)
    at = request.app.state.gatekeeper.clock()

    def work(connection: psycopg.Connection[Any]) -> Card:
        shown = certificate.read(wanted.certificate)[0]
        if shown.ca:
            raise BadCertificate("这是 CA 证书 / this is the certificate of a CA", subject=shown.subject)
        if wanted.account not in _mine(connection, admin):
            raise Unknown(
                f"没有用户 {wanted.account[:64]} / there is no user {wanted.account[:64]}", account=wanted.account[:64]
            )
        return cards.register(connection, shown, wanted.account, by=admin.account, at=at)

    found = await in_thread(request, work)
    detail = f"{found.account}: {found.subject}"
    await tell(request, "card.registered", f"card:{found.serial}", account=admin, detail=detail)
    return Registered.of(found)


@post(
    "/v1/cards/{card:uuid}/{verb:str}",
    guards=[needs(*REGISTRARS, "security-admin")],
    tags=["account"],
    status_code=200,
)
async def change(request: AnyRequest, card: FromPath[UUID], verb: FromPath[str]) -> Registered:
    """`…/suspend` ends its sessions at once; `…/resume` lets it in again."""
    admin, at = caller(request), request.app.state.gatekeeper.clock()
    states: dict[str, Literal["active", "suspended"]] = {"suspend": "suspended", "resume": "active"}
    state = states.get(verb)

    def work(connection: psycopg.Connection[Any]) -> Card:
        found = cards.card(connection, card)
        if state is None or found is None or found.account not in _mine(connection, admin):
            raise Unknown(f"没有卡 {card}/{verb[:20]} / there is no card {card}/{verb[:20]}", card=str(card))
        if state == "active" and found.account == admin.account:
            raise WrongRole("不能恢复自己的卡 / nobody resumes his own card", account=admin.account)
        return cards.set_state(connection, found, state, by=admin.account, at=at)

    found = await in_thread(request, work)
    action = {"suspended": "card.suspended", "active": "card.resumed"}[found.state]
    await tell(request, action, f"card:{found.serial}", account=admin, detail=found.account)
    return Registered.of(found)


ROUTES = (challenge, sign_in, listed, register, change)
