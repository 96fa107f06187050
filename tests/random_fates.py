"""Fates of the invoices of random months: rows of steps, such as people and banks take, and any row of steps at all.

A step that cannot be taken at that moment is passed over (tests/random_money.py).
"""

from typing import Literal

import msgspec
from hypothesis import strategies as st

from tests import random_orders
from tests.random_months import HOLDERS
from tests.random_orders import Happening

Provider = Literal["bank", "stripe"]
Heard = Literal["notices", "sweep"]

FATES: tuple[str, ...] = (
    *("", "pay fapiao", "part wait pay fapiao"),
    *("over wait left", "credit pay fapiao", "over"),
    *("spare reverse void", "credit", "pay fapiao credit red refund"),
    *("pay wait refund fapiao", "pay fapiao refund_all red", "void"),
    *("void wait again pay", "pay reverse wait mend fapiao", "over reverse left"),
    *("pay reverse void wait again mend fapiao", "fail pay fapiao", "over"),
    *("spare pay fapiao", "part credit refund spare", "pay dashboard"),
)
"""In a month of three invoices each; the first one stays open. What is over in one month is to spare in the next."""
FAULTS = ("lost", "dropped", "409", "429", "500", "500_after")  # tests/stripe_fake.py
STEPS = tuple(sorted({step for fate in FATES for step in fate.split()}))


class Fate(msgspec.Struct, frozen=True):
    """`share`: of a hundred; how large a part is."""

    steps: tuple[str, ...]
    share: int


class Month(msgspec.Struct, frozen=True):
    """What is told of it, and what becomes of its invoices."""

    happens: list[Happening]
    units: list[int]  # that each holder uses beside what happens, so that there is something to pay
    fates: list[Fate]
    heard: Heard  # how what happens at Stripe becomes known
    fault: str  # with which it answers one of its calls while invoices are sent; "": none
    skip: int  # so many calls before that one


class Example(msgspec.Struct, frozen=True):
    provider: Provider
    months: list[Month]


fates = st.builds(
    Fate,
    steps=st.one_of(
        st.sampled_from(FATES).map(lambda fate: tuple(fate.split())),
        st.lists(st.sampled_from(STEPS), min_size=2, max_size=9).map(tuple),
    ),
    share=st.integers(1, 99),
)
months = st.builds(
    Month,
    happens=st.lists(random_orders.acts, min_size=3, max_size=24),
    units=st.lists(st.integers(0, 60), min_size=HOLDERS, max_size=HOLDERS),
    fates=st.lists(fates, min_size=HOLDERS, max_size=HOLDERS),
    heard=st.sampled_from(["notices", "sweep"]),
    fault=st.sampled_from(["", "", *FAULTS]),
    skip=st.integers(0, 40),
)
examples = st.builds(
    Example, provider=st.sampled_from(["bank", "stripe", "bank"]), months=st.lists(months, min_size=2, max_size=6)
)
