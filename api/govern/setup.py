"""The register of a node from one file: its parties, who owns which dataset, first permissions, parties of papers.

Whoever enters it has the node itself in his hands; each act is told to the trail. What is there already stays as it is,
whatever has become of it since, so the same file can be entered again and again, and nothing that was revoked comes
back by it. Times in the file bear an offset.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from api.entitlement import offered
from api.govern import shipments
from api.pool import Pool, open_pool
from api.register import Register
from api.trail import Trail
from domain import disclosure, identifiers, party, permission, shipment, subscription
from domain.deciding import Decider, Fold, folded
from domain.disclosure import DataClass, Dataset, Disclosure, ShareType
from domain.errors import Malformed
from domain.fact import Fact
from domain.journal import Journal
from domain.party import Kind, Party
from domain.permission import Permission, Terms
from domain.shipment import Shipment
from domain.subscription import Offer, Order, Subscription
from domain.writer import Writer
from projections.rights import Rights

NODE = "node"
"""Who decides: whoever has the node itself in his hands."""


class Enrolled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    kind: Kind
    zh: str
    en: str


class Owned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`disclosure`, `data_class` and `share_type` are set with the first owner only; afterwards the owner decides."""

    name: str
    owner: str
    document_no: str
    disclosure: Disclosure = "parties"
    data_class: DataClass | None = None
    share_type: ShareType | None = None


class Granted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Granted by the department that owns the dataset."""

    id: str
    terms: Terms
    approver: str
    document_no: str
    competent_department: str = ""


class PaperOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose cargo a paper is of which no source has told yet."""

    paper: str  # kind:number
    role: shipments.Role
    party: str


class Ordered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party's subscription to commercial items, at the prices in force when it is entered."""

    id: str
    party: str
    items: tuple[str, ...]


class Setup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    parties: list[Enrolled] = []
    datasets: list[Owned] = []
    permissions: list[Granted] = []
    papers: list[PaperOf] = []
    subscriptions: list[Ordered] = []


class Step(NamedTuple):
    """One decision that the file asks for."""

    journal: str
    action: str
    stream: str
    fold: Fold[Any]
    decision: Callable[[Any], Sequence[Fact]]


class Entered(NamedTuple):
    """What became of one line of the file."""

    stream: str
    new: bool


def read(file: Path) -> Setup:
    """Raises Malformed."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Setup)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise Malformed(f"{file}：{error} / {file} does not fit: {error}", file=str(file)) from error


def enter_file(conninfo: str, file: Path) -> list[Entered]:
    """Enter what is not there yet. Raises Malformed, Refused."""
    wanted, now = read(file), datetime.now(UTC)
    with (
        Journal("cargo", conninfo).opened() as cargo,
        Journal("commerce", conninfo).opened() as commerce,
        open_pool(conninfo) as pool,
    ):
        writers = {journal.name: Writer(journal) for journal in (cargo, commerce)}
        deciders = {name: Decider(writer, pool) for name, writer in writers.items()}
        try:
            trail, rights = Trail(writers["commerce"]), Register(pool).rights
            asked = [*steps(wanted, rights, now), *_orders(wanted, pool, now)]
            return [_enter(deciders, trail, step) for step in asked]
        finally:
            for decider in deciders.values():
                decider.stop()
            for writer in writers.values():
                writer.stop()


def _enter(deciders: dict[str, Decider], trail: Trail, step: Step) -> Entered:
    decided = deciders[step.journal].decide(step.stream, step.fold, step.decision)
    if decided.facts:
        asyncio.run(trail.tell(step.action, step.stream, detail="kouan register setup"))
    return Entered(step.stream, bool(decided.facts))


def steps(wanted: Setup, rights: Rights, now: datetime) -> Iterator[Step]:
    """The decisions in the order in which they rest on one another. Raises Malformed for what nobody can know."""
    kinds = rights.kinds | {each.id: each.kind for each in wanted.parties}
    owners = {each.name: each.owner for each in wanted.datasets}
    owners |= {each.name: each.owner for each in rights.datasets.values() if each.owner}  # as it is now
    for enrolled in wanted.parties:
        stream, fold = party.stream(enrolled.id), folded(Party(enrolled.id), party.evolve)
        yield Step("commerce", "party.registered", stream, fold, _enrolling(enrolled, now))
    for owned in wanted.datasets:
        stream, dataset = disclosure.stream(owned.name), folded(Dataset(owned.name), disclosure.evolve)
        yield Step("commerce", "dataset.owner_set", stream, dataset, _owning(owned, kinds.get(owned.owner, ""), now))
    for granted in wanted.permissions:
        owner = owners.get(granted.terms.dataset, "")
        stream, made = permission.stream(granted.id), folded(Permission(granted.id), permission.evolve)
        yield Step("commerce", "permission.granted", stream, made, _granting(granted, owner, now))
    for named in wanted.papers:
        kind, _, number = named.paper.partition(":")
        if kind not in shipments.PAPERS or not number:
            raise Malformed(f"{named.paper} 不是单证 / {named.paper} is no paper", kinds=list(shipments.PAPERS))
        stream = f"{kind}:{identifiers.stored(number)}"
        yield Step("cargo", "party.named", stream, shipments.fold(stream), _naming(named, now))


def _orders(wanted: Setup, pool: Pool, now: datetime) -> Iterator[Step]:
    if not wanted.subscriptions:
        return
    with pool.connection() as connection:
        offers = offered(connection)
    for ordered in wanted.subscriptions:
        stream, fold = subscription.stream(ordered.id), folded(Subscription(ordered.id), subscription.evolve)
        yield Step("commerce", "subscription.made", stream, fold, _ordering(ordered, offers, now))


def _ordering(wanted: Ordered, offers: Mapping[str, Offer], now: datetime) -> Callable[[Subscription], Sequence[Fact]]:
    order = Order(items=wanted.items)
    about: dict[str, Any] = {"offers": offers, "by": NODE, "by_party": "", "party": wanted.party, "at": now}
    return lambda state: subscription.subscribe(state, order, **about)


def _enrolling(wanted: Enrolled, now: datetime) -> Callable[[Party], Sequence[Fact]]:
    about: dict[str, Any] = {"kind": wanted.kind, "zh": wanted.zh, "en": wanted.en}
    return lambda state: () if state.kind else party.enrol(state, **about, by=NODE, at=now)


def _owning(wanted: Owned, owner_kind: str, now: datetime) -> Callable[[Dataset], Sequence[Fact]]:
    first: dict[str, Any] = {
        "owner": wanted.owner,
        "owner_kind": owner_kind,
        "by_role": "security-admin",
        "by_party": NODE,
    }
    about: dict[str, Any] = {"by": NODE, "document_no": wanted.document_no, "at": now}
    later: dict[str, Any] = {**about, "by_party": wanted.owner}

    def decide(state: Dataset) -> Sequence[Fact]:
        if state.owner:
            return ()
        facts = [*disclosure.set_owner(state, **first, **about)]
        for decision, given in (
            (disclosure.classify, {"data_class": wanted.data_class}),
            (disclosure.set_share_type, {"share_type": wanted.share_type}),
            (disclosure.set_disclosure, {"disclosure": wanted.disclosure}),
        ):
            if None not in given.values():
                facts += decision(reduce(disclosure.evolve, facts, state), **given, **later)
        return facts

    return decide


def _granting(wanted: Granted, owner: str, now: datetime) -> Callable[[Permission], Sequence[Fact]]:
    about: dict[str, Any] = {"owner": owner, "by": NODE, "by_party": owner, "at": now, "terms": wanted.terms}
    about |= {"approver": wanted.approver, "document_no": wanted.document_no}
    about |= {"competent_department": wanted.competent_department}
    return lambda state: () if state.terms else permission.grant(state, **about)


def _naming(wanted: PaperOf, now: datetime) -> Callable[[Shipment], Sequence[Fact]]:
    about: dict[str, Any] = {"role": wanted.role, "party": wanted.party, "by": NODE, "at": now}
    return lambda state: () if state.parties or state.delivered else shipment.name_party(state, **about)
