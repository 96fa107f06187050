"""Whose cargo a paper is: `PUT`, `DELETE` and `GET /v1/shipments/KIND/NUMBER/parties`.

A source names the parties of a paper that it has itself said something about; a party that is named already names
others (a forwarder its customer), and so do the parties of a declaration. Nobody names the party that he belongs to: a
claim is worth what somebody else says. Whoever named a party takes it back, and a party takes itself back. To everybody
else the paper is not there. Read from the journal itself, so that what was said a moment ago counts.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Literal, cast
from uuid import UUID

import msgspec
from litestar import Response, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api import declarants
from api.delivery import Deliveries, Item
from api.govern.acts import ACCEPTED, Act, AnyRequest, Desk, admitted, answered
from api.identity import Account, entitled, needs
from api.pool import Pool
from billing import tariff
from domain import identifiers, shipment
from domain.deciding import Decider, Fold
from domain.declaration import Amended, CompletionLodged, Lodged
from domain.errors import Refused, Unknown
from domain.fact import Confirmed, Corrected, Moved, Reinstated, Retracted, Stated
from domain.journal import Entry
from domain.report import KINDS
from domain.shipment import PartyNamed, PartyWithdrawn, Shipment
from projections.journeys import SHARED
from projections.rights import Rights

READ = Item(tariff.PARTIES_READ, "government")
WHO = [needs("source", "enterprise", "enterprise-admin", "logistics"), entitled("enter")]
PAPERS = tuple(kind for kind in KINDS if kind not in SHARED)
NUMBER_CHARS_MAX = 255
Role = Literal["consignor", "consignee", "notify", "forwarder", "carrier", "declarant"]
ROLES: dict[Role, tuple[str, str]] = {
    "consignor": ("发货人", "consignor"),
    "consignee": ("收货人", "consignee"),
    "notify": ("通知方", "notify party"),
    "forwarder": ("货运代理", "forwarder"),
    "carrier": ("承运人", "carrier"),
    "declarant": ("申报单位", "declarant"),
}


class Naming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    role: Role
    party: str  # unified social credit code, or the code of a registered party


class Named(msgspec.Struct, frozen=True):
    """One party of a paper."""

    role: str
    zh: str
    en: str
    party: str
    named_at: datetime


class Parties(msgspec.Struct, frozen=True):
    paper: str
    parties: list[Named]


# --- what is known of a paper ---


class Paper:
    """A paper as its stream tells it."""

    def __init__(self, stream: str, entries: Sequence[Entry]) -> None:
        self.stream = stream
        self.entries = entries
        self.named: dict[tuple[str, str], PartyNamed] = {}
        for entry in entries:
            if isinstance(entry.fact, PartyNamed):
                self.named[entry.fact.role, entry.fact.party] = entry.fact
            elif isinstance(entry.fact, PartyWithdrawn):
                self.named.pop((entry.fact.role, entry.fact.party), None)

    def parties(self) -> set[str]:
        """Named, or of the latest version of a declaration."""
        return {party for _, party in self.named} | self._declared()

    def _declared(self) -> set[str]:
        for entry in reversed(self.entries):
            if isinstance(entry.fact, Lodged | Amended | CompletionLodged) and entry.fact.content:
                return set(declarants.parties(entry.fact.content)) | ({entry.fact.party} - {""})
        return set()

    def told_by(self, accounts: Iterable[str]) -> bool:
        """Whether one of these sources has said something about it."""
        known = set(accounts)
        return any(isinstance(each.fact, Stated | Confirmed) and each.fact.source in known for each in self.entries)


COLLEAGUES = "SELECT account FROM accounts WHERE account = %(account)s OR (party = %(party)s AND party <> '')"


def looked_up(decider: Decider, pool: Pool, account: Account, kind: str, number: str) -> tuple[Paper, set[str]]:
    """The paper, and the accounts of the caller's party. Raises Unknown for who has no business with it."""
    given = {"account": account.account, "party": account.party}
    with pool.connection() as connection:
        colleagues = {row[0] for row in connection.execute(COLLEAGUES, given)}
        known = kind in PAPERS and 0 < len(number) <= NUMBER_CHARS_MAX and number.isprintable()
        stream = f"{kind}:{identifiers.stored(number)}"
        entries = decider.writer.journal.stream(connection, stream) if known else []
    paper = Paper(stream, entries)
    as_source = account.role == "source" and paper.told_by(colleagues)
    as_party = account.role != "source" and account.party != "" and account.party in paper.parties()
    if not (as_source or as_party):
        raise Unknown(f"没有 {kind[:20]} {number[:80]!r} / there is no {kind[:20]} {number[:80]!r}")
    return paper, colleagues


def fold(stream: str) -> Fold[Shipment]:
    """Of what concerns the parties; a declaration's own facts are another story."""
    return lambda entries: reduce(
        shipment.evolve, (each.fact for each in entries if isinstance(each.fact, _CONCERNS)), Shipment(stream)
    )


_CONCERNS = (Moved, Confirmed, Retracted, Corrected, Reinstated, PartyNamed, PartyWithdrawn)


# --- routes ---


@put("/v1/shipments/{kind:str}/{number:str}/parties", guards=WHO, tags=["govern"], status_code=ACCEPTED)
async def name(  # noqa: PLR0917  the framework passes them by name
    request: AnyRequest,
    kind: FromPath[str],
    number: FromPath[str],
    data: JSONBody[Naming],
    cargo_decider: NamedDependency[Decider],
    desk: NamedDependency[Desk],
) -> Response[bytes]:
    """Say who stands in which role; the party sees the cargo of this paper from now on."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    paper, _ = await asyncio.to_thread(looked_up, cargo_decider, desk.pool, account, kind, number)
    party = _party(desk.register.rights, data.party)
    if party == account.party and party not in paper.parties():
        raise Refused(f"不能为本单位 {party} 自行认领 / nobody claims a paper for his own party", party=party)

    def act(_: UUID) -> Act:
        return Act(
            "party.named",
            paper.stream,
            fold(paper.stream),
            lambda state: shipment.name_party(state, role=data.role, party=party, by=account.account, at=now),
            f"{data.role} {party}",
        )

    return await answered(request, desk._replace(decider=cargo_decider), account, act)


@delete("/v1/shipments/{kind:str}/{number:str}/parties", guards=WHO, tags=["govern"], status_code=ACCEPTED)
async def withdraw(  # noqa: PLR0917  the framework passes them by name
    request: AnyRequest,
    kind: FromPath[str],
    number: FromPath[str],
    data: JSONBody[Naming],
    cargo_decider: NamedDependency[Decider],
    desk: NamedDependency[Desk],
) -> Response[bytes]:
    """Take it back: by whoever named the party, and by the party itself."""
    account, now = await admitted(request, desk), datetime.now(UTC)
    paper, colleagues = await asyncio.to_thread(looked_up, cargo_decider, desk.pool, account, kind, number)
    party = _party(desk.register.rights, data.party)
    named = paper.named.get((data.role, party))
    if named is not None and named.by not in colleagues and party != account.party:
        raise Refused(
            f"须由指定人 {named.by} 或 {party} 撤回 / {named.by}, who named it, or {party} takes it back", party=party
        )

    def act(_: UUID) -> Act:
        return Act(
            "party.withdrawn",
            paper.stream,
            fold(paper.stream),
            lambda state: shipment.withdraw_party(state, role=data.role, party=party, by=account.account, at=now),
            f"{data.role} {party}",
        )

    return await answered(request, desk._replace(decider=cargo_decider), account, act)


@get("/v1/shipments/{kind:str}/{number:str}/parties", guards=WHO, tags=["govern"])
async def show(  # noqa: PLR0917  the framework passes them by name
    request: AnyRequest,
    kind: FromPath[str],
    number: FromPath[str],
    cargo_decider: NamedDependency[Decider],
    desk: NamedDependency[Desk],
    deliveries: NamedDependency[Deliveries],
) -> Parties:
    """Who is named: for those who are, and for the sources that told of the paper."""
    account = await admitted(request, desk)
    try:
        paper, _ = await asyncio.to_thread(looked_up, cargo_decider, desk.pool, account, kind, number)
    except Unknown:
        await deliveries.record(account, READ, subject=number, count=0, result="empty")
        raise
    told = [
        Named(role, *ROLES.get(cast(Role, role), (role, role)), party, fact.happened_at)
        for (role, party), fact in paper.named.items()
    ]
    await deliveries.record(account, READ, subject=paper.stream, count=len(told), result="ok" if told else "empty")
    return Parties(paper.stream, told)


def _party(rights: Rights, said: str) -> str:
    """A party that the register knows, or a credit code. Raises BadIdentifier."""
    written = said.strip()
    return written if written in rights.kinds else identifiers.uscc(written)[0]


ROUTES = (name, withdraw, show)
