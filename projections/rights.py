"""Who may see what: views of the register (projections/register.py), for one caller, channel and moment.

No clock, no database: whoever asks says the moment. Windows of time are half-open, [from, to). Times are UTC. A dataset
is seen in whole because it is public, by its owner, under a permission, or under an agreement; a permission or an
agreement counts only while the department that gave it owns the dataset. Those who administer (system, security, audit)
see what is public or permitted to their very role, and nothing else. What cannot be read bars everybody.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

import msgspec

from domain.datasets import DATASETS
from domain.errors import KouanError
from domain.journal import Entry
from domain.register import RESERVED
from domain.terms import FIELDS, Channel
from projections.register import Register

__all__ = ["Asking", "Barred", "Channel", "Rights", "View", "rights_at"]

OWN_KINDS = frozenset({"", "enterprise", "provider"})  # "": a party that nobody has registered yet
OWN_ROLES = frozenset({"enterprise", "enterprise-admin", "logistics"})
OWN_ROLES_REGISTERED = OWN_ROLES | {"finance"}  # the operator has people of finance, too
APART = frozenset({"system-admin", "security-admin", "auditor", "call-centre"})
"""Roles that have nothing by way of their party: only what is public, or permitted to the role by name."""
MASKED = ("pieces", "pieces_total", "weight_kg", "seal", "text", "message_id", "refs")
"""What the call-centre is not shown of a line: what is in the box, and what leads on to other numbers."""
OWNER, PUBLIC = RESERVED


class Barred(KouanError):
    """This caller may see nothing now: suspended, dismissed, its credential revoked, or on behalf of a stranger."""

    slug = "barred"
    title = "The caller is barred"


class Asking(Protocol):
    """As much of an account as its rights depend on."""

    @property
    def account(self) -> str: ...
    @property
    def party(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def credential(self) -> str: ...


class View(msgspec.Struct, frozen=True):
    """What one caller may see through one channel at one moment, ready for SQL."""

    parties: tuple[str, ...] = ()  # whose cargo counts as its own: the caller's party, the principals it acts for
    own: tuple[str, ...] = ()  # datasets in which a party sees its own cargo
    whole: tuple[str, ...] = ()  # datasets seen in whole: public, owned, permitted, agreed
    fields: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Dataset -> the only fields of a line that may be shown of what is seen in whole; not named: all."""
    leaves: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Dataset -> why it is seen in whole: ids of permissions, `agreement:ID`, `owner`, `public`."""
    asof: int = 0  # position of the newest register fact it rests on
    until: datetime | None = None  # by then something in it begins or ends by itself
    masked: tuple[str, ...] = ()  # fields of a line never shown to this caller

    @property
    def sees_all(self) -> bool:
        """Whether nothing is kept back: every dataset in whole, with every field."""
        return not self.masked and not self.fields and DATASETS.keys() <= set(self.whole)


class _Seen:
    """A view in the making: datasets seen in whole, and when that changes."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.turns: list[datetime] = []
        self.leaves: dict[str, list[str]] = {}
        self.limits: dict[str, set[str]] = {}  # of datasets that are limited by every leaf so far

    def holds(self, start: datetime, end: datetime) -> bool:
        """Whether a window is open; remembers when it opens or closes."""
        if self.at >= end:
            return False
        self.turns.append(start if self.at < start else end)
        return self.at >= start

    def add(self, dataset: str, leaf: str, allowed: frozenset[str] | None = None) -> None:
        """One more reason to see it in whole. `allowed`: of FIELDS; None: all."""
        known = self.leaves.setdefault(dataset, [])
        if allowed is None:
            self.limits.pop(dataset, None)
        elif not known or dataset in self.limits:
            self.limits.setdefault(dataset, set()).update(allowed)
        known.append(leaf)

    def fields(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return tuple(
            (dataset, tuple(each for each in FIELDS if each in allowed))
            for dataset, allowed in sorted(self.limits.items())
            if len(allowed) < len(FIELDS)
        )


class Rights(Register):
    """The register as it stands after the entries applied, and what follows from it for whoever asks."""

    def view(self, who: Asking, channel: Channel, at: datetime, *, commercial: bool = False, behalf: str = "") -> View:
        """What this caller may see.

        `commercial`: for a service that is paid for; then only permissions for commercial use count besides what the
        caller owns. `behalf`: of a principal, or for the call-centre of the enterprise that allowed it. Raises Barred.
        """
        asof = self.position  # first: what moves meanwhile makes the view look older than it is, never newer
        self._admit(who)
        seen = _Seen(at)
        parties = self._parties(who, behalf, seen)
        if not commercial:
            for name in self._public:
                seen.add(name, PUBLIC)
        if who.role not in APART:
            for name in self._owned.get(who.party, ()):
                seen.add(name, OWNER)
            if not commercial:
                self._add_shared(who.party, seen)
        self._add_permitted(who, channel, commercial, seen)
        return View(
            parties=parties,
            own=self._own if parties else (),
            whole=tuple(sorted(seen.leaves)),
            fields=seen.fields(),
            leaves=tuple((name, tuple(sorted(leaves))) for name, leaves in sorted(seen.leaves.items())),
            asof=asof,
            until=min(seen.turns, default=None),
            masked=MASKED if who.role == "call-centre" else (),
        )

    def principals(self, agent: str, scopes: frozenset[str], at: datetime) -> tuple[str, ...]:
        """The parties for which it may do one of these things at this moment."""
        found = {
            principal
            for (principal, _), appointed in self._principals.get(agent, {}).items()
            if not scopes.isdisjoint(appointed.scopes)
            and principal not in self._suspended
            and appointed.valid_from <= at < appointed.valid_to
        }
        return tuple(sorted(found))

    def _admit(self, who: Asking) -> None:
        if self.unreadable:
            raise Barred(
                f"登记册第 {self.unreadable} 条无法读取，暂不提供数据"
                f" / entry {self.unreadable} of the register cannot be read: nothing is shown until it can",
                position=self.unreadable,
            )
        if who.party in self._suspended:
            raise Barred(f"单位 {who.party} 已暂停 / party {who.party} is suspended", party=who.party)
        if (who.party, who.account) in self._out:
            raise Barred(f"用户 {who.account} 已停用 / user {who.account} is suspended or dismissed", user=who.account)
        if who.credential in self._revoked:
            raise Barred("凭证已撤销 / the credential is revoked", credential=who.credential)

    def _parties(self, who: Asking, behalf: str, seen: _Seen) -> tuple[str, ...]:
        """Whose cargo counts as the caller's own; of `behalf` alone where it is named. Raises Barred."""
        if who.role == "call-centre":
            mine = {behalf} if behalf and self._supports(behalf, seen) else set()
        elif self._has_own(who):
            mine = {who.party, *self._acts_for(who.party, seen)}
        else:
            mine = set()
        if not behalf:
            return tuple(sorted(mine))
        if behalf not in mine or behalf in self._suspended:
            raise Barred(f"{behalf} 未授权代办 / {behalf} has not allowed this caller to act for it", behalf=behalf)
        return (behalf,)

    def _has_own(self, who: Asking) -> bool:
        kind = self.kinds.get(who.party, "")
        roles = OWN_ROLES_REGISTERED if kind else OWN_ROLES
        return bool(who.party) and kind in OWN_KINDS and who.role in roles

    def _acts_for(self, agent: str, seen: _Seen) -> list[str]:
        return [
            principal
            for (principal, _), appointed in self._principals.get(agent, {}).items()
            if "track" in appointed.scopes
            and principal not in self._suspended
            and seen.holds(appointed.valid_from, appointed.valid_to)
        ]

    def _supports(self, party: str, seen: _Seen) -> bool:
        return any([seen.holds(*window) for window in self._support.get(party, {}).values()])  # noqa: C419  each turn

    def _add_shared(self, receiver: str, seen: _Seen) -> None:
        for share in self._shared.get(receiver, {}).values():
            standing = [
                name
                for name in share.datasets
                if name in self.datasets
                and self.datasets[name].owner == share.giver
                and self.datasets[name].share_type != "none"
            ]
            if standing and seen.holds(share.valid_from, share.valid_to):
                for name in standing:
                    seen.add(name, f"agreement:{share.agreement}")

    def _add_permitted(self, who: Asking, channel: Channel, commercial: bool, seen: _Seen) -> None:
        recipients = [f"role:{who.role}"]
        if who.role not in APART and who.party:
            recipients += [who.party, f"kind:{self.kinds.get(who.party, '')}"]
        for recipient in recipients:
            for name, granted in self._permitted.get(recipient, {}).items():
                terms = granted.terms
                dataset = self.datasets.get(terms.dataset)
                if (
                    dataset is not None
                    and dataset.owner == granted.owner
                    and dataset.disclosure != "agency"
                    and name not in self._paused
                    and channel in terms.channels
                    and (terms.commercial or not commercial)
                    and seen.holds(terms.valid_from, terms.valid_to)
                ):
                    shown = frozenset(terms.fields or FIELDS).difference(terms.masking)
                    seen.add(terms.dataset, name, shown if len(shown) < len(FIELDS) else None)


def rights_at(entries: Iterable[Entry], *, position: int | None = None, moment: datetime | None = None) -> Rights:
    """The register as it was: the fold of what stood in the journal up to a position, or was recorded by a moment."""
    rights = Rights()
    for entry in entries:
        if (position is None or entry.position <= position) and (moment is None or entry.fact.recorded_at <= moment):
            rights.apply(entry)
    return rights
