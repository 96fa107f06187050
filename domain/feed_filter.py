"""What a subscriber of the feed wants to hear: the rule, and what it says of one fact.

Conditions of different kinds must all hold; of the values of one kind, one. Nothing said: everything. Times are hours.
"""

from typing import Literal

import msgspec

VALUES_MAX = 1_000  # of one kind


class FeedFilter(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A wish. `subjects` are numbers or streams (`container:CSQU3054383`); places UN/LOCODE or as reported."""

    subjects: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()  # milestones
    places: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()  # domain/report.py Mode
    classes: tuple[str, ...] = ()  # ACT, EST, PLN, REQ
    sources: tuple[str, ...] = ()
    eta_hours: float = 0.0  # estimates only if they differ by so much from the one told last; 0: all
    eta_quiet_minutes: int = 0  # and not before the last one has stood for so long (debounce)
    exceptions: bool = False  # only what is out of order: holds, failures, delays, roll-overs, corrections
    form: Literal["fact", "state"] = "fact"  # the fact alone, or the state of its subject with it


EVERYTHING = FeedFilter()
