"""A register in which everybody is permitted everything, and the usual accounts subscribe to everything.

For tests that are about something else.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from domain.datasets import DATASETS
from domain.delivery import new_id
from domain.disclosure import DatasetOwnerSet
from domain.fact import Fact
from domain.intent import Intent, NewFact
from domain.journal import Journal
from domain.permission import CHANNELS, PermissionGranted, Terms
from domain.register import ROLES
from domain.subscription import SubscriptionMade, stream
from domain.writer import Writer

OWNER = "TEST-AUTHORITY"
ITEMS = (
    *("feed.pull", "feed.push", "feed.stream", "alerts.push"),
    *("bulk.query", "history.export", "eta.estimate", "statistics.detail"),
)
SUBSCRIBERS = (  # (account, party)
    *(("mover", ""), ("operator", ""), ("trader", ""), ("carrier", ""), ("clerk", "")),
    *(("bench-enterprise", ""), ("bench-logistics", ""), ("bench-operator", "")),
    *(("any", party) for party in (OWNER, "LOGISTICS-1", "91320000MA0000015K", "91610100MA0000023K", "OPERATOR")),
    *(("any", party) for party in ("91500000000000000X", "91320000MA1ABCDE5T", "GATE-1")),
)
SINCE, UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def permit_all(conninfo: str, roles: Sequence[str] = ROLES) -> None:
    """Let these roles see every dataset in whole, through every channel, commercially too; SUBSCRIBERS subscribe."""
    with Journal("commerce", conninfo).opened() as journal:
        writer = Writer(journal)
        told = [*_facts(roles), *(subscribed(account, party) for account, party in SUBSCRIBERS)]
        writer.write([_written(stream, fact) for stream, fact in told])
        writer.stop()


def _facts(roles: Sequence[str]) -> list[tuple[str, Fact]]:
    told: list[tuple[str, Fact]] = []
    now = datetime.now(UTC)
    for name in DATASETS:
        owner = DatasetOwnerSet(
            happened_at=now, recorded_at=now, dataset=name, document_no="T-0", by="test", by_party=OWNER, owner=OWNER
        )
        told.append((f"dataset:{name}", owner))
        told += [(f"permission:{name}-{role}", _granted(name, role, now)) for role in roles]
    return told


def _granted(dataset: str, role: str, now: datetime) -> Fact:
    terms = Terms(
        dataset=dataset,
        recipient=f"role:{role}",
        purpose="test",
        channels=tuple(CHANNELS),
        valid_from=SINCE,
        valid_to=UNTIL,
        commercial=True,
    )
    return PermissionGranted(
        happened_at=now,
        recorded_at=now,
        permission=f"{dataset}-{role}",
        by="test",
        by_party=OWNER,
        terms=terms,
        owner=OWNER,
        approver="test",
        document_no="T-1",
    )


def subscribed(account: str, party: str = "", items: Sequence[str] = ITEMS) -> tuple[str, Fact]:
    """(stream, fact) of a subscription without limits, for `Node.decide`: `node.decide("commerce", *subscribed(…))`."""
    now, name = datetime.now(UTC), f"S-{party or account}"
    made = SubscriptionMade(
        happened_at=now,
        recorded_at=now,
        subscription=name,
        by="test",
        by_party="",
        account=account,
        party=party,
        items=tuple(items),
        tariffs={item: f"{item}/sample-2026" for item in items},
        valid_from=SINCE,
    )
    return stream(name), made


def _written(stream: str, told: Fact) -> Intent:
    return Intent(facts=[NewFact(stream, new_id(told.happened_at), told)], fresh=True)
