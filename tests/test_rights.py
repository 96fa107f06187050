"""Who may see what: views of the register, against a slow oracle that knows nothing but the facts."""

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from domain import agreement, disclosure, party, permission
from domain.datasets import DATASETS
from domain.errors import Refused
from domain.fact import Fact, Unreadable, tag_of
from domain.journal import Entry
from domain.party import Party
from domain.permission import FIELDS, Channel, Terms
from projections.rights import APART, MASKED, Barred, Rights, View, rights_at

MON = datetime(2026, 3, 2, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
YEAR = MON + timedelta(days=365)
TRADER, FORWARDER = "91320000MA0000015K", "91320000MA0000023E"
PORT, RAIL, CLEARANCE = "port.movements", "rail.movements", "customs.clearance"


class Who(msgspec.Struct, frozen=True):
    account: str = "li"
    party: str = TRADER
    role: str = "enterprise"
    credential: str = "key:1"


TRADERS = Who()
OFFICER = Who("chen", "customs", "officer", "card:1")
STEWARD = Who("zhou", "maritime", "steward", "card:2")
AGENT = Who("wu", FORWARDER, "logistics", "key:2")
OPERATOR = Who("op1", "op", "operator", "key:3")
HELPER = Who("call", "op", "call-centre", "key:4")


class Book:
    """The register as it is written: decisions on streams, facts in the order of the journal."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.states: dict[str, Any] = {}

    def decide(self, module: Any, start: Any, decision: Any, **arguments: Any) -> bool:
        """False if it was refused."""
        stream = module.stream(getattr(start, "id", "") or start.name)
        state = self.states.get(stream, start)
        try:
            facts = decision(state, **arguments)
        except Refused:
            return False
        for each in facts:
            state = module.evolve(state, each)
            self.add(stream, each)
        self.states[stream] = state
        with suppress(Refused):  # what is done may forbid that it is done again, too
            assert decision(state, **arguments) == ()
        return True

    def add(self, stream: str, fact: Fact) -> None:
        version = 1 + sum(each.stream == stream for each in self.entries)
        self.entries.append(Entry(len(self.entries) + 1, stream, version, UUID(int=0), fact))

    def owner(self, name: str) -> str:
        return str(self.dataset(name).owner)

    def dataset(self, name: str) -> disclosure.Dataset:
        known = self.states.get(disclosure.stream(name), disclosure.Dataset(name))
        assert isinstance(known, disclosure.Dataset)
        return known

    def rights(self) -> Rights:
        return rights_at(self.entries)

    # the decisions, in short

    def party(self, name: str, decision: Any, **arguments: Any) -> bool:
        return self.decide(party, Party(name), decision, **{"by": "root", "at": MON, **arguments})

    def of(self, name: str, decision: Any, **arguments: Any) -> bool:
        said = {"by": "chen", "by_party": self.owner(name), "document_no": "文1", "at": MON, **arguments}
        return self.decide(disclosure, disclosure.Dataset(name), decision, **said)

    def own(self, name: str, owner: str) -> bool:
        role = "steward" if self.owner(name) else "security-admin"
        return self.of(name, disclosure.set_owner, owner=owner, owner_kind="agency", by_role=role)

    def grant(self, number: str, terms: Terms, **arguments: Any) -> bool:
        papers = {"approver": "陈", "document_no": "文2", "terms": terms, **arguments}
        return self.permit(number, permission.grant, terms.dataset, **papers)

    def permit(self, number: str, decision: Any, dataset: str, **arguments: Any) -> bool:
        owner = self.owner(dataset)
        said = {"owner": owner, "by_party": owner, "by": "chen", "at": MON, **arguments}
        return self.decide(permission, permission.Permission(number), decision, **said)

    def agree(
        self, number: str, sides: tuple[str, str], gives: Sequence[str], takes: Sequence[str], **window: Any
    ) -> None:
        datasets = {name: self.dataset(name) for name in DATASETS}
        terms = {"gives": gives, "takes": takes, "purpose": "联合监管", "document_no": "文3", "other": sides[1]}
        who = {"by_party": sides[0], "by": "chen", "at": MON}
        start = agreement.Agreement(number)
        kinds = dict.fromkeys(sides, "agency")
        times = {"valid_from": MON, "valid_to": YEAR, **window}
        self.decide(agreement, start, agreement.propose, kinds=kinds, datasets=datasets, **terms, **who, **times)
        self.decide(agreement, start, agreement.accept, datasets=datasets, **{**who, "by_party": sides[1]})


def registered() -> Book:
    book = Book()
    kinds = {TRADER: "enterprise", FORWARDER: "enterprise", "customs": "agency", "maritime": "agency", "op": "operator"}
    for name, kind in kinds.items():
        assert book.party(name, party.enrol, kind=kind, zh="名", en="name")
    assert book.own(PORT, "maritime")
    assert book.own(CLEARANCE, "customs")
    return book


def terms(recipient: str = TRADER, dataset: str = PORT, **more: Any) -> Terms:
    window = {"valid_from": MON, "valid_to": YEAR}
    return Terms(
        **{"dataset": dataset, "recipient": recipient, "purpose": "理赔", "channels": ("query",), **window, **more}
    )


def view(book: Book, who: Who = TRADERS, channel: Channel = "query", at: datetime = MON, **more: Any) -> View:
    return book.rights().view(who, channel, at, **more)


# --- the rules, one by one ---


def test_of_an_empty_register_a_party_sees_its_own_cargo_in_every_dataset_and_nothing_in_whole() -> None:
    assert Rights().view(Who(), "query", MON) == View(parties=(TRADER,), own=tuple(sorted(DATASETS)))


@pytest.mark.parametrize(
    "role", ["operator", "system-admin", "security-admin", "auditor", "finance", "source", "call-centre"]
)
def test_the_operator_and_those_who_administer_see_nothing_by_their_role(role: str) -> None:
    seen = view(registered(), Who("op1", "op", role))
    assert (seen.parties, seen.own, seen.whole) == ((), (), ())


def test_one_without_a_party_has_no_cargo() -> None:
    assert view(registered(), Who(party="")).parties == ()


def test_the_owner_sees_its_datasets_in_whole_but_its_administrators_do_not() -> None:
    assert view(registered(), OFFICER).leaves == ((CLEARANCE, ("owner",)),)
    for role in APART:
        assert view(registered(), Who("x", "customs", role)).whole == ()


def test_what_is_public_everybody_sees_in_whole() -> None:
    book = registered()
    book.of(PORT, disclosure.set_disclosure, disclosure="public")
    for who in (Who(), OPERATOR, HELPER, Who(party="")):
        assert view(book, who).leaves == ((PORT, ("public",)),)
    assert view(book, STEWARD).leaves == ((PORT, ("owner", "public")),)


def test_what_is_disclosed_by_grant_a_party_does_not_see_of_its_own_without_one() -> None:
    book = registered()
    book.of(PORT, disclosure.set_disclosure, disclosure="grant")
    assert PORT not in view(book).own
    book.grant("P-1", terms())
    assert view(book).leaves == ((PORT, ("P-1",)),)


def test_what_is_for_agencies_no_permission_opens() -> None:
    book = registered()
    book.grant("P-1", terms())
    book.of(PORT, disclosure.set_disclosure, disclosure="agency")
    assert (PORT in view(book).own, view(book).whole) == (False, ())
    book.agree("A-1", ("maritime", "customs"), [PORT], [])
    assert view(book, OFFICER).whole == (CLEARANCE, PORT)


@pytest.mark.parametrize(("recipient", "sees"), [(TRADER, True), ("kind:enterprise", True), ("role:enterprise", True),
    (FORWARDER, False), ("kind:agency", False), ("role:logistics", False)])  # fmt: skip
def test_a_permission_is_for_a_party_a_kind_of_party_or_a_role(recipient: str, sees: bool) -> None:
    book = registered()
    book.grant("P-1", terms(recipient))
    assert view(book).whole == ((PORT,) if sees else ())


def test_a_permission_holds_in_its_channels_and_from_its_beginning_until_its_end() -> None:
    book = registered()
    book.grant("P-1", terms(valid_from=MON + HOUR))
    assert view(book, channel="push", at=MON + HOUR).whole == ()
    for at, whole, until in (
        (MON, (), MON + HOUR),
        (MON + HOUR, (PORT,), YEAR),
        (YEAR - timedelta(microseconds=1), (PORT,), YEAR),
        (YEAR, (), None),
    ):
        seen = view(book, at=at)
        assert (seen.whole, seen.until) == (whole, until)


def test_fields_are_what_any_of_the_permissions_allows() -> None:
    book = registered()
    book.grant("P-1", terms(fields=("place", "seal"), masking=("seal",)))
    assert view(book).fields == ((PORT, ("place",)),)
    book.grant("P-2", terms("role:enterprise", masking=("seal", "text")))
    assert view(book).fields == ((PORT, tuple(each for each in FIELDS if each not in {"seal", "text"})),)
    book.grant("P-3", terms("kind:enterprise", fields=("seal", "text")))
    assert view(book).fields == ()
    assert view(book).leaves == ((PORT, ("P-1", "P-2", "P-3")),)


def test_for_what_is_paid_for_only_commercial_permissions_count_and_ones_own_cargo_needs_none() -> None:
    book = registered()
    book.grant("P-1", terms())
    book.of(CLEARANCE, disclosure.set_disclosure, disclosure="public")
    assert (view(book, commercial=True).whole, view(book, commercial=True).own) == ((), tuple(sorted(DATASETS)))
    book.grant("P-2", terms(commercial=True))
    assert view(book, commercial=True).leaves == ((PORT, ("P-2",)),)
    assert view(book).leaves == ((CLEARANCE, ("public",)), (PORT, ("P-1", "P-2")))
    assert view(book, STEWARD, commercial=True).whole == (PORT,)


def test_a_permission_counts_from_the_next_view_on_no_more_when_it_is_suspended_or_revoked() -> None:
    book = registered()
    book.grant("P-1", terms())
    rights = book.rights()
    for decision, whole in ((permission.suspend, ()), (permission.resume, (PORT,)), (permission.revoke, ())):
        assert book.permit("P-1", decision, PORT, reason="x")
        rights.apply(book.entries[-1])
        assert rights.view(Who(), "query", MON).whole == whole
        assert rights.position == rights.view(Who(), "query", MON).asof == book.entries[-1].position


def test_what_a_former_owner_granted_or_shared_stands_still_until_the_new_one_grants_it() -> None:
    book = registered()
    book.grant("P-1", terms())
    book.agree("A-1", ("maritime", "customs"), [PORT], [])
    book.own(PORT, "customs")
    assert view(book).whole == ()
    assert view(book, OFFICER).leaves == ((CLEARANCE, ("owner",)), (PORT, ("owner",)))
    assert view(book, STEWARD).whole == ()
    book.grant("P-1", terms())
    assert view(book).leaves == ((PORT, ("P-1",)),)


def test_under_an_agreement_each_side_sees_what_the_other_gives_until_it_ends() -> None:
    book = registered()
    book.agree("A-1", ("maritime", "customs"), [PORT], [CLEARANCE], valid_from=MON + HOUR)
    assert view(book, OFFICER).whole == (CLEARANCE,)
    later = view(book, OFFICER, at=MON + HOUR)
    assert (later.leaves, later.until) == (((CLEARANCE, ("owner",)), (PORT, ("agreement:A-1",))), YEAR)
    assert view(book, STEWARD, at=MON + HOUR).whole == (CLEARANCE, PORT)
    book.of(PORT, disclosure.set_share_type, share_type="none")
    assert view(book, OFFICER, at=MON + HOUR).whole == (CLEARANCE,)
    book.decide(agreement, agreement.Agreement("A-1"), agreement.end, reason="x", by="z", by_party="customs", at=MON)
    assert view(book, STEWARD, at=MON + HOUR).whole == (PORT,)


def test_an_agent_sees_its_principals_cargo_while_it_is_appointed_to_track() -> None:
    book = registered()
    said: dict[str, Any] = {"agent": FORWARDER, "valid_from": MON, "valid_to": MON + HOUR}
    book.party(TRADER, party.appoint_agent, document="W1", scopes=["declare"], **said)
    assert view(book, AGENT).parties == (FORWARDER,)
    book.party(TRADER, party.appoint_agent, document="W2", scopes=["track"], **said)
    both = tuple(sorted((TRADER, FORWARDER)))
    assert (view(book, AGENT).parties, view(book, AGENT).until) == (both, MON + HOUR)
    assert view(book, AGENT, behalf=TRADER).parties == (TRADER,)
    assert view(book, AGENT, at=MON + HOUR).parties == (FORWARDER,)
    assert view(book).parties == (TRADER,)  # and not the other way round
    for at, behalf in ((MON + HOUR, TRADER), (MON, "customs")):
        with pytest.raises(Barred):
            view(book, AGENT, at=at, behalf=behalf)
    book.party(TRADER, party.dismiss_agent, agent=FORWARDER, reason="x")
    assert view(book, AGENT).parties == (FORWARDER,)


def test_nobody_sees_the_cargo_of_a_suspended_principal() -> None:
    book = registered()
    said: dict[str, Any] = {"agent": FORWARDER, "valid_from": MON, "valid_to": YEAR, "scopes": ["track"]}
    book.party(TRADER, party.appoint_agent, document="W1", **said)
    book.party(TRADER, party.allow_support, ticket="T1", until=MON + HOUR)
    book.party(TRADER, party.suspend, reason="x")
    assert view(book, AGENT).parties == (FORWARDER,)
    for who in (AGENT, HELPER):
        with pytest.raises(Barred):
            view(book, who, behalf=TRADER)


def test_the_call_centre_looks_on_behalf_of_who_allowed_it_masked_and_for_so_long() -> None:
    book = registered()
    with pytest.raises(Barred):
        view(book, HELPER, behalf=TRADER)
    book.party(TRADER, party.allow_support, ticket="T1", until=MON + HOUR)
    seen = view(book, HELPER, behalf=TRADER)
    assert (seen.parties, seen.masked, seen.until) == ((TRADER,), MASKED, MON + HOUR)
    assert view(book, HELPER).parties == ()
    for who, at in ((HELPER, MON + HOUR), (OPERATOR, MON), (Who("a", "op", "auditor"), MON)):
        with pytest.raises(Barred):
            view(book, who, at=at, behalf=TRADER)
    book.party(TRADER, party.end_support)
    with pytest.raises(Barred):
        view(book, HELPER, behalf=TRADER)


def test_a_suspended_party_a_suspended_user_and_a_revoked_credential_see_nothing_at_once() -> None:
    book = registered()
    because: dict[str, Any] = {"reason": "x"}
    for out, back, more in (
        (party.suspend, party.resume, {}),
        (party.suspend_user, party.resume_user, {"user": "li"}),
        (party.dismiss, None, {"user": "li"}),
    ):
        book.party(TRADER, out, **because, **more)
        with pytest.raises(Barred):
            view(book)
        if back is not None:
            book.party(TRADER, back, **because, **more)
            assert view(book).parties == (TRADER,)
    assert view(book, Who("li", FORWARDER)).parties == (FORWARDER,)  # of another party: another user
    book.party(TRADER, party.appoint, user="li", role="enterprise")
    assert view(book).parties == (TRADER,)
    book.party(TRADER, party.revoke_credential, user="li", credential="key:1", **because)
    with pytest.raises(Barred):
        view(book)
    assert view(book, Who(credential="key:9")).parties == (TRADER,)


def test_what_cannot_be_read_bars_everybody() -> None:
    book = registered()
    book.add("permission:P-1", Unreadable(error="?"))
    for who in (Who(), OFFICER, OPERATOR):
        with pytest.raises(Barred, match=f"entry {len(book.entries)}"):
            view(book, who)


def test_an_entry_told_twice_counts_once() -> None:
    book = registered()
    book.grant("P-1", terms())
    book.permit("P-1", permission.revoke, PORT, reason="x")
    rights = book.rights()
    for entry in book.entries:
        rights.apply(entry)
    assert rights.view(Who(), "query", MON).whole == ()


def test_it_can_be_told_who_could_see_what_on_a_day_past() -> None:
    book = registered()
    book.grant("P-1", terms())
    granted = len(book.entries)
    book.permit("P-1", permission.revoke, PORT, reason="x", at=MON + HOUR)
    assert rights_at(book.entries, position=granted).view(Who(), "query", MON).whole == (PORT,)
    assert rights_at(book.entries, moment=MON).view(Who(), "query", MON).whole == (PORT,)
    assert rights_at(book.entries, moment=MON + HOUR).view(Who(), "query", MON).whole == ()


def test_every_fact_of_the_register_is_known_to_the_fold() -> None:
    facts = (*party.FACTS, *disclosure.FACTS, *permission.FACTS, *agreement.FACTS)
    assert len(facts) == 28
    assert all(tag_of(each).startswith(("party.", "dataset.", "permission.", "agreement.")) for each in facts)


@pytest.mark.slow
def test_a_view_is_made_in_microseconds_among_a_hundred_thousand_parties() -> None:
    book = registered()
    book.grant("P-1", terms("p50000"))
    book.grant("P-2", terms("kind:enterprise"))
    rights = book.rights()
    base = party.PartyRegistered(happened_at=MON, recorded_at=MON, party="", by="x", kind="enterprise", zh="名", en="n")
    for number in range(100_000):
        told = msgspec.structs.replace(base, party=f"p{number}")
        rights.apply(Entry(1000 + number, f"party:p{number}", 1, UUID(int=0), told))
    who = Who(party="p50000")
    start = time.perf_counter()
    for _ in range(1000):
        assert rights.view(who, "query", MON).whole
    assert (time.perf_counter() - start) / 1000 < 0.0005  # some 10 us; the bound is for a busy machine
