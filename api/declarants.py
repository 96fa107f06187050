"""Whose declaration it is: who may see it, and who may lodge, amend or withdraw it.

A declaration is seen by the parties that its latest version names, by the party that entered that version, by their
agents, and by whoever sees what declarants enter in whole (domain/datasets.py). It is decided on by those parties and
by agents with scope `enter` or `declare` alone, whatever else they may see. An account that belongs to no party has
what it lodged itself. Read from the journal itself: whoever lodges sees at once what it lodged.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from api import customs_outbox
from api.identity import Account
from domain import identifiers
from domain.datasets import DECLARATIONS
from domain.declaration import Amended, CompletionLodged, Lodged
from domain.declaring import PARTIES, Content
from domain.errors import Refused, Unknown
from domain.journal import Entry, Journal
from projections.rights import Rights, View

NUMBER_CHARS_MAX = 64
SCOPES = frozenset({"enter", "declare"})


def parties(content: Content) -> frozenset[str]:
    """Their unified social credit codes."""
    return frozenset(getattr(content, role).uscc for role in PARTIES) - {""}


def lodged_here(stream: Sequence[Entry]) -> bool:
    """Whether a declaration's content was entered here."""
    return any(isinstance(each.fact, Lodged) and each.fact.content for each in stream)


def may_see(view: View, account: Account, stream: Sequence[Entry]) -> bool:
    """`stream`: of what was lodged here."""
    if DECLARATIONS in view.whole:
        return True
    own = DECLARATIONS in view.own and not _named(stream).isdisjoint(view.parties)
    return own or _lodged_itself(account, stream)


def found(
    connection: psycopg.Connection[Any], journal: Journal, view: View, account: Account, number: str
) -> tuple[list[Entry], list[Entry]]:
    """The stream under which it was lodged here, and those of its other numbers.

    Any of them finds it. Raises Unknown, also for one that the caller may not see.
    """
    if not number.isprintable() or len(number) > NUMBER_CHARS_MAX:
        raise Unknown(f"没有 {number[:80]!r} / there is no {number[:80]!r}", number=number[:80])
    names = customs_outbox.names(connection, f"declaration:{identifiers.stored(number)}")
    streams = [journal.stream(connection, name) for name in names]
    for stream in filter(lodged_here, streams):
        if may_see(view, account, stream):
            return stream, [each for other in streams if not lodged_here(other) for each in other]
    raise Unknown(f"没有在此申报过 {number} / {number} was not lodged here", number=number)


def check(rights: Rights, account: Account, stream: Sequence[Entry], content: Content | None, at: datetime) -> None:
    """Raises Refused for a caller who acts for none of the parties: of what is there, and of what is to replace it."""
    if stream and not (_lodged_itself(account, stream) or _acts_for(rights, account, _named(stream), at)):
        raise _refused(account)
    if content is not None and account.party:
        named = parties(content)
        if named and not _acts_for(rights, account, named, at):
            raise _refused(account)


def _acts_for(rights: Rights, account: Account, named: frozenset[str], at: datetime) -> bool:
    if not account.party:
        return False
    return account.party in named or not named.isdisjoint(rights.principals(account.party, SCOPES, at))


def _named(stream: Sequence[Entry]) -> frozenset[str]:
    """The parties of the latest version, and whose account entered it."""
    for entry in reversed(stream):
        match entry.fact:
            case Lodged(content=Content() as content) | Amended(content=Content() as content):
                return parties(content) | ({entry.fact.party} - {""})
            case CompletionLodged(content=content):
                return parties(content) | ({entry.fact.party} - {""})
            case _:
                continue
    return frozenset()


def _lodged_itself(account: Account, stream: Sequence[Entry]) -> bool:
    """By this very account, when it belonged to no party."""
    first = next(each.fact for each in stream if isinstance(each.fact, Lodged))
    return not first.party and first.by == account.account


def _refused(account: Account) -> Refused:
    who = account.party or account.account
    return Refused(
        f"{who} 不是报关单当事人，也未受其委托 / {who} is no party of this declaration, and no agent of one",
        party=account.party,
    )
