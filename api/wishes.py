"""What a follower of the feed wants, as it stands in the address: the same parameters for pull and stream.

`?subject=CSQU3054383&subject=KOUA0000001&code=DISCHARGED`: repeat a parameter for several values.
"""

from typing import Annotated, Literal

import msgspec
from litestar.params import QueryParameter

from api.identity import Account
from api.pool import Pool
from domain.feed_filter import FeedFilter, checked
from projections import watches

Several = list[str] | None


async def wanted(
    *,
    subjects: Annotated[Several, QueryParameter(name="subject", description="A number, or kind:number")] = None,
    codes: Annotated[Several, QueryParameter(name="code", description="A milestone")] = None,
    places: Annotated[Several, QueryParameter(name="place", description="UN/LOCODE, or as reported")] = None,
    modes: Annotated[Several, QueryParameter(name="mode")] = None,
    classes: Annotated[Several, QueryParameter(name="class", description="ACT, EST or PLN")] = None,
    sources: Annotated[Several, QueryParameter(name="source")] = None,
    eta_hours: Annotated[float, QueryParameter(description="Estimates that differ by so much")] = 0.0,
    eta_quiet_minutes: Annotated[int, QueryParameter(description="And stood for so long")] = 0,
    exceptions: Annotated[bool, QueryParameter(description="Only what is out of order")] = False,
    watched: Annotated[bool, QueryParameter(description="Only numbers that one watches, and `subject`")] = False,
    form: Annotated[Literal["fact", "state"], QueryParameter(description="With the state of its subject")] = "fact",
) -> FeedFilter:
    """The wish, checked. Raises BadFilter, BadIdentifier."""
    return checked(
        FeedFilter(
            subjects=tuple(subjects or ()),
            codes=tuple(codes or ()),
            places=tuple(places or ()),
            modes=tuple(modes or ()),
            classes=tuple(classes or ()),
            sources=tuple(sources or ()),
            eta_hours=eta_hours,
            eta_quiet_minutes=eta_quiet_minutes,
            exceptions=exceptions,
            watched=watched,
            form=form,
        )
    )


NOTHING = "watched:nothing"
"""No stream is called so: whoever watches nothing hears nothing."""


def resolved(pool: Pool, account: Account, wanted: FeedFilter) -> FeedFilter:
    """The wish with the numbers that its holder watches now, each as the streams that it may mean."""
    if not wanted.watched:
        return wanted
    with pool.connection() as connection:
        numbers = watches.watched(connection, account.account, account.party)
    streams = tuple(stream for number in numbers for stream in watches.candidates(number))
    return msgspec.structs.replace(wanted, watched=False, subjects=(*wanted.subjects, *streams) or (NOTHING,))
