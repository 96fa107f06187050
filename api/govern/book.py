"""The register as it is read: every party, dataset, permission and agreement as it stands, and the history of each.

One fold per process, kept in memory beside the rights (projections/rights.py), which know only what counts; here is
what is over, too. Who may see which of it: api/govern/parties.py and its neighbours. Times are UTC.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from api.govern.words import FACTS
from api.identity import Account
from api.pool import Pool
from api.register import READ
from domain import agreement, disclosure, fact, party, permission
from domain.agreement import Agreement, AgreementFact
from domain.datasets import DATASETS
from domain.disclosure import Dataset, DatasetFact
from domain.fact import Fact
from domain.journal import Entry, Journal
from domain.party import Party, PartyFact
from domain.permission import Permission, PermissionFact

KEPT = frozenset(
    {"fact", "happened_at", "recorded_at", "party", "dataset", "permission", "agreement", "by", "by_party"}
)
"""Fields of a fact that its history tells in another way, or not."""


class Happened(msgspec.Struct, frozen=True):
    """One step of a history. `by` is told to the people of the same party, and to auditors."""

    at: datetime
    fact: str
    zh: str
    en: str
    by: str
    by_party: str
    details: dict[str, Any]


class Book:
    """All of the register, as far as this process has read."""

    def __init__(self, pool: Pool) -> None:
        """`pool`: of connections that may read the journal. Nothing is read before somebody asks."""
        self._pool = pool
        self._lock = threading.Lock()
        self.position = 0
        self.parties: dict[str, Party] = {}
        self.datasets: dict[str, Dataset] = {name: Dataset(name) for name in DATASETS}
        self.permissions: dict[str, Permission] = {}
        self.agreements: dict[str, Agreement] = {}
        self.versions: dict[str, int] = {}  # of streams

    def refresh(self) -> None:
        """Read on to the end of the register. A fact that cannot be read is passed over: it bars everybody anyhow."""
        with self._lock, self._pool.connection() as connection:
            with connection.cursor(binary=True) as cursor:
                rows = cursor.execute(READ, (self.position,), prepare=True).fetchall()
            for position, stream, version, _, state in rows:
                self._take(stream.partition(":")[2], fact.read(state))
                self.versions[stream] = version
                self.position = position

    def _take(self, name: str, happened: Fact) -> None:
        match happened:
            case PartyFact():
                self.parties[name] = party.evolve(self.parties.get(name, Party(name)), happened)
            case DatasetFact():
                self.datasets[name] = disclosure.evolve(self.datasets.get(name, Dataset(name)), happened)
            case PermissionFact():
                self.permissions[name] = permission.evolve(self.permissions.get(name, Permission(name)), happened)
            case AgreementFact():
                self.agreements[name] = agreement.evolve(self.agreements.get(name, Agreement(name)), happened)
            case _:
                pass

    def names(self, name: str) -> tuple[str, str]:
        """Of a party, in Chinese and English; its code if nobody has registered it."""
        known = self.parties.get(name)
        return (known.zh, known.en) if known is not None and known.kind else (name, name)


def history(
    journal: Journal, pool: Pool, stream: str, reader: Account, told: Callable[[Fact], bool] = lambda _: True
) -> list[Happened]:
    """What became of it, oldest first. `told`: which facts this reader is told of."""
    with pool.connection() as connection:
        entries: Sequence[Entry] = journal.stream(connection, stream)
    return [_happened(entry.fact, reader) for entry in entries if told(entry.fact)]


def _happened(happened: Fact, reader: Account) -> Happened:
    by_party = getattr(happened, "by_party", "") or getattr(happened, "party", "")
    by = getattr(happened, "by", "")
    own = reader.role in {"auditor", "security-admin"} or (by_party != "" and by_party == reader.party)
    tag = fact.tag_of(type(happened))
    raw: dict[str, Any] = msgspec.to_builtins(happened)
    details = {name: value for name, value in raw.items() if name not in KEPT}
    return Happened(happened.recorded_at, tag, *FACTS.get(tag, (tag, tag)), by if own else "", by_party, details)
