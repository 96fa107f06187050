"""The register in memory: parties, datasets, permissions and agreements as they stand, found by who they are about.

A fold of the commerce journal's entries, in its order; no clock, no database. The inner dictionaries are replaced,
never changed, and the position moves last: a reader in another thread meets no half-made dictionary, and an answer that
rests on a register just moving is known by its position.
"""

from datetime import datetime
from typing import TypeVar

import msgspec

from domain import agreement, disclosure, party, permission
from domain.agreement import AgreementAccepted, AgreementProposed
from domain.datasets import DATASETS
from domain.disclosure import Dataset
from domain.fact import Unreadable
from domain.journal import Entry
from domain.party import AgentAppointed, SupportAllowed
from domain.permission import PermissionGranted
from domain.subscription import SubscriptionFact

K = TypeVar("K")
V = TypeVar("V")


class Share(msgspec.Struct, frozen=True):
    """What one side of an agreement gives to the other."""

    agreement: str
    giver: str
    datasets: tuple[str, ...]
    valid_from: datetime
    valid_to: datetime


class Register:
    """The register as it stands after the entries applied, in the order of the journal."""

    def __init__(self) -> None:
        self.position = 0
        self.unreadable = 0  # position of the first entry that could not be read
        self.kinds: dict[str, str] = {}  # of parties
        self.datasets: dict[str, Dataset] = {name: Dataset(name) for name in DATASETS}
        self._own: tuple[str, ...] = ()
        self._public: tuple[str, ...] = ()
        self._owned: dict[str, tuple[str, ...]] = {}
        self._suspended: set[str] = set()  # parties
        self._out: set[tuple[str, str]] = set()  # (party, account), suspended or dismissed
        self._dismissed: set[tuple[str, str]] = set()  # of those, dismissed: an appointment brings only them back
        self._revoked: set[str] = set()  # credentials
        self._principals: dict[str, dict[tuple[str, str], AgentAppointed]] = {}  # agent -> (principal, document)
        self._support: dict[str, dict[str, tuple[datetime, datetime]]] = {}  # party -> ticket -> window
        self._granted: dict[str, PermissionGranted] = {}
        self._paused: set[str] = set()  # permissions
        self._permitted: dict[str, dict[str, PermissionGranted]] = {}  # recipient -> id
        self._proposed: dict[str, AgreementProposed] = {}
        self._shared: dict[str, dict[str, Share]] = {}  # receiver -> agreement
        self._disclosed()

    def apply(self, entry: Entry) -> None:
        """One more entry of the journal; those known already are passed over, and what is of no book of the register.

        What cannot be read might be of the register, so it counts as that.
        """
        if entry.position <= self.position:
            return
        match entry.fact:
            case party.PartyFact():
                self._apply_party(entry.fact)
            case disclosure.DatasetFact():
                self._apply_dataset(entry.fact)
            case permission.PermissionFact():
                self._apply_permission(entry.fact)
            case agreement.AgreementFact():
                self._apply_agreement(entry.fact)
            case SubscriptionFact():
                pass  # gives no right to see anything; but nothing rests on what was ordered before it
            case Unreadable():
                self.unreadable = self.unreadable or entry.position
            case _:
                return
        self.position = entry.position

    def _apply_party(self, happened: party.PartyFact) -> None:
        match happened:
            case party.PartyRegistered():
                self.kinds[happened.party] = happened.kind
            case party.PartySuspended() | party.PartyResumed():
                _mark(self._suspended, happened.party, isinstance(happened, party.PartySuspended))
            case party.UserAppointed():  # ends a dismissal, not a suspension
                user = (happened.party, happened.user)
                if user in self._dismissed:
                    self._dismissed.discard(user)
                    self._out.discard(user)
            case party.UserDismissed() | party.UserSuspended() | party.UserResumed():
                user = (happened.party, happened.user)
                _mark(self._dismissed, user, isinstance(happened, party.UserDismissed))
                _mark(self._out, user, not isinstance(happened, party.UserResumed))
            case party.CredentialRevoked():
                self._revoked.add(happened.credential)
            case party.AgentAppointed() | party.AgentDismissed():
                appointed = happened if isinstance(happened, AgentAppointed) else None
                _put(self._principals, happened.agent, (happened.party, happened.document), appointed)
            case party.SupportAllowed() | party.SupportEnded():
                window = (happened.happened_at, happened.until) if isinstance(happened, SupportAllowed) else None
                _put(self._support, happened.party, happened.ticket, window)

    def _apply_dataset(self, happened: disclosure.DatasetFact) -> None:
        known = self.datasets.get(happened.dataset, Dataset(happened.dataset))
        self.datasets = {**self.datasets, happened.dataset: disclosure.evolve(known, happened)}
        self._disclosed()

    def _disclosed(self) -> None:
        """What follows from the datasets alone, kept so that a view need not look for it."""
        ordered = sorted(self.datasets.values(), key=lambda each: each.name)
        self._own = tuple(each.name for each in ordered if each.disclosure in {"parties", "public"})
        self._public = tuple(each.name for each in ordered if each.disclosure == "public")
        owners = {each.owner for each in ordered if each.owner}
        self._owned = {owner: tuple(each.name for each in ordered if each.owner == owner) for owner in owners}

    def _apply_permission(self, happened: permission.PermissionFact) -> None:
        name = happened.permission
        match happened:
            case PermissionGranted():
                self._granted[name] = happened
                _put(self._permitted, happened.terms.recipient, name, happened)
                self._paused.discard(name)
            case permission.PermissionSuspended() | permission.PermissionResumed():
                _mark(self._paused, name, isinstance(happened, permission.PermissionSuspended))
            case permission.PermissionRevoked():
                granted = self._granted.pop(name, None)
                if granted is not None:
                    _put(self._permitted, granted.terms.recipient, name, None)

    def _apply_agreement(self, happened: agreement.AgreementFact) -> None:
        name = happened.agreement
        if isinstance(happened, AgreementProposed):
            self._proposed[name] = happened
            return
        proposed = self._proposed.get(name)
        if proposed is None:  # it could not be read, which bars everybody
            return
        mine, theirs = proposed.by_party, proposed.other
        for giver, receiver, names in ((mine, theirs, proposed.gives), (theirs, mine, proposed.takes)):
            share = Share(name, giver, names, proposed.valid_from, proposed.valid_to)
            _put(self._shared, receiver, name, share if isinstance(happened, AgreementAccepted) else None)


def _mark(marked: set[K], key: K, on: bool) -> None:
    if on:
        marked.add(key)
    else:
        marked.discard(key)


def _put(outer: dict[str, dict[K, V]], key: str, name: K, value: V | None) -> None:
    """Set, or with None remove, in an inner dictionary by replacing it."""
    inner = {each: kept for each, kept in outer.get(key, {}).items() if each != name}
    if value is not None:
        inner[name] = value
    if inner:
        outer[key] = inner
    else:
        outer.pop(key, None)
