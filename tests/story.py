"""The test language of the domain: what was given, what is decided, what follows.

given(container.evolve, Container("CSQU3054383"), PLACED).when(release_hold, reference="H1", by="me", at=TUE) ==
[LIFTED]
"""

from collections.abc import Callable
from typing import Any

from domain.fact import Fact


class given:
    def __init__(self, evolve: Callable[[Any, Fact], Any], state: Any, *history: Fact) -> None:
        for happened in history:
            state = evolve(state, happened)
        self.state = state

    def when(self, decide: Callable[..., tuple[Fact, ...]], **arguments: Any) -> list[Fact]:
        return list(decide(self.state, **arguments))
