"""What becomes of users and their credentials, told to the register, so that every process knows it at its next answer.

A party that is not in the register has no book to write in: then the tables alone hold it.
"""

from collections.abc import Callable, Sequence

from domain import party
from domain.deciding import Decider, folded
from domain.fact import Fact
from domain.party import Party

Decision = Callable[[Party], Sequence[Fact]]


def decide(decider: Decider, name: str, decision: Decision) -> None:
    """Decide on a party, wherever it is registered. Blocks until it is durable; raises what the decision raises."""
    if name:
        fold = folded(Party(name), party.evolve)
        decider.decide(party.stream(name), fold, lambda state: decision(state) if state.kind else ())


def revoked(decider: Decider, name: str, decision: Decision) -> None:
    """The same, registered or not: a credential that is revoked is revoked."""
    if name:
        decider.decide(party.stream(name), folded(Party(name), party.evolve), decision)
