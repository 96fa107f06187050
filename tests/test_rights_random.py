"""Random histories of the register: the fold says what a slow oracle says, whatever the order of the streams."""

import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain import agreement, disclosure, party, permission
from domain.agreement import AgreementAccepted, AgreementEnded, AgreementProposed
from domain.datasets import DATASETS
from domain.disclosure import DatasetDisclosureSet, DatasetOwnerSet, DatasetShareTypeSet
from domain.fact import Fact
from domain.journal import Entry
from domain.permission import (
    FIELDS,
    PermissionGranted,
    PermissionResumed,
    PermissionRevoked,
    PermissionSuspended,
)
from projections.rights import MASKED, Barred, Rights, View, rights_at
from tests.test_rights import (
    AGENT,
    CLEARANCE,
    FORWARDER,
    HELPER,
    HOUR,
    MON,
    OFFICER,
    OPERATOR,
    PORT,
    STEWARD,
    TRADER,
    Book,
    Who,
    registered,
    terms,
)

ASKERS = [
    Who(),
    AGENT,
    OFFICER,
    STEWARD,
    OPERATOR,
    HELPER,
    Who("aud", "op", "auditor"),
    Who(party=""),
    Who("fin", TRADER, "finance"),
]
TIMES = [MON + HOUR * step for step in range(5)]
CHANNELS: list[Any] = ["query", "push"]


# --- the oracle: every question reads the whole history again ---


def last(facts: Iterable[Fact], *kinds: type[Fact], **about: str) -> Any:
    """The newest fact of these kinds with these values."""
    found: Any = None
    for each in facts:
        if isinstance(each, kinds) and all(getattr(each, name) == value for name, value in about.items()):
            found = each
    return found


def owner_of(facts: list[Fact], dataset: str) -> str:
    told = last(facts, DatasetOwnerSet, dataset=dataset)
    return told.owner if told else ""


def disclosure_of(facts: list[Fact], dataset: str) -> str:
    told = last(facts, DatasetDisclosureSet, dataset=dataset)
    return told.disclosure if told else "parties"


def kind_of(facts: list[Fact], name: str) -> str:
    told = last(facts, party.PartyRegistered, party=name)
    return told.kind if told else ""


def suspended(facts: list[Fact], name: str) -> bool:
    return isinstance(last(facts, party.PartySuspended, party.PartyResumed, party=name), party.PartySuspended)


def user_out(facts: list[Fact], who: Who) -> bool:
    state = "active"
    for each in facts:
        match each:
            case party.UserAppointed(party=who.party, user=who.account) if state == "dismissed":
                state = "active"
            case party.UserDismissed(party=who.party, user=who.account):
                state = "dismissed"
            case party.UserSuspended(party=who.party, user=who.account):
                state = "suspended"
            case party.UserResumed(party=who.party, user=who.account):
                state = "active"
    return state != "active"


def credential_out(facts: list[Fact], who: Who) -> bool:
    return last(facts, party.CredentialRevoked, credential=who.credential) is not None


def parties_of(facts: list[Fact], who: Who, at: datetime, behalf: str) -> tuple[str, ...] | None:
    """None: barred."""
    mine: set[str] = set()
    roles = {"enterprise", "enterprise-admin", "logistics"} | ({"finance"} if kind_of(facts, who.party) else set())
    if who.role == "call-centre" and behalf:
        for ticket in ("T1", "T2"):
            told = last(facts, party.SupportAllowed, party.SupportEnded, party=behalf, ticket=ticket)
            if isinstance(told, party.SupportAllowed) and told.happened_at <= at < told.until:
                mine.add(behalf)
    elif who.party and who.role in roles and kind_of(facts, who.party) in {"", "enterprise", "provider"}:
        mine.add(who.party)
        for principal in (TRADER, FORWARDER):
            for document in ("W1", "W2"):
                told = last(
                    facts,
                    party.AgentAppointed,
                    party.AgentDismissed,
                    party=principal,
                    agent=who.party,
                    document=document,
                )
                appointed = isinstance(told, party.AgentAppointed) and "track" in told.scopes
                if appointed and told.valid_from <= at < told.valid_to and not suspended(facts, principal):
                    mine.add(principal)
    if behalf:
        return (behalf,) if behalf in mine and not suspended(facts, behalf) else None
    return tuple(sorted(mine))


def permissions_of(
    facts: list[Fact], who: Who, channel: str, at: datetime, *, commercial: bool
) -> Iterable[tuple[str, str, set[str]]]:
    """(dataset, permission, fields)."""
    apart = who.role in {"system-admin", "security-admin", "auditor", "call-centre"}
    groups = {f"role:{who.role}"} | (set() if apart else {who.party, f"kind:{kind_of(facts, who.party)}"})
    for number in {each.permission for each in facts if isinstance(each, PermissionGranted)}:
        granted = last(facts, PermissionGranted, permission=number)
        now = last(
            facts, PermissionGranted, PermissionSuspended, PermissionResumed, PermissionRevoked, permission=number
        )
        told = granted.terms
        if (
            isinstance(now, PermissionGranted | PermissionResumed)
            and told.recipient in groups
            and channel in told.channels
            and (told.commercial or not commercial)
            and told.valid_from <= at < told.valid_to
            and owner_of(facts, told.dataset) == granted.owner
            and disclosure_of(facts, told.dataset) != "agency"
        ):
            yield told.dataset, number, set(told.fields or FIELDS) - set(told.masking)


def agreements_of(facts: list[Fact], who: Who, at: datetime) -> Iterable[tuple[str, str]]:
    """(dataset, leaf)."""
    for told in [each for each in facts if isinstance(each, AgreementProposed)]:
        now = last(facts, AgreementAccepted, AgreementEnded, agreement=told.agreement)
        if not isinstance(now, AgreementAccepted) or not told.valid_from <= at < told.valid_to:
            continue
        giver, names = (told.by_party, told.gives) if who.party == told.other else (told.other, told.takes)
        if who.party not in {told.by_party, told.other}:
            continue
        for name in names:
            share = last(facts, DatasetShareTypeSet, dataset=name)
            if owner_of(facts, name) == giver and not (share and share.share_type == "none"):
                yield name, f"agreement:{told.agreement}"


def oracle(  # noqa: PLR0917  a question of QUESTIONS
    facts: list[Fact], who: Who, channel: str, at: datetime, commercial: bool, behalf: str
) -> View | None:
    """The view without `until` and `asof`; None: barred."""
    parties = parties_of(facts, who, at, behalf)
    if parties is None or suspended(facts, who.party) or user_out(facts, who) or credential_out(facts, who):
        return None
    apart = who.role in {"system-admin", "security-admin", "auditor", "call-centre"}
    leaves: dict[str, set[str]] = {name: set() for name in DATASETS}
    fields: dict[str, set[str]] = {name: set() for name in DATASETS}
    for name in DATASETS:
        if disclosure_of(facts, name) == "public" and not commercial:
            leaves[name].add("public")
        if owner_of(facts, name) == who.party != "" and not apart:
            leaves[name].add("owner")
    if not apart and not commercial:
        for name, leaf in agreements_of(facts, who, at):
            leaves[name].add(leaf)
    for name, whole in leaves.items():
        fields[name] = set(FIELDS) if whole else set()
    for name, number, shown in permissions_of(facts, who, channel, at, commercial=commercial):
        leaves[name].add(number)
        fields[name] |= shown
    own = tuple(sorted(name for name in DATASETS if disclosure_of(facts, name) in {"parties", "public"}))
    seen = sorted(name for name in DATASETS if leaves[name])
    return View(
        parties=parties,
        own=own if parties else (),
        whole=tuple(seen),
        fields=tuple(
            (name, tuple(each for each in FIELDS if each in fields[name]))
            for name in seen
            if fields[name] != set(FIELDS)
        ),
        leaves=tuple((name, tuple(sorted(leaves[name]))) for name in seen),
        masked=MASKED if who.role == "call-centre" else (),
    )


def answer(  # noqa: PLR0917  a question of QUESTIONS
    rights: Rights, who: Who, channel: Any, at: datetime, commercial: bool, behalf: str
) -> View | None:
    try:
        return rights.view(who, channel, at, commercial=commercial, behalf=behalf)
    except Barred:
        return None


def plain(view: View | None) -> View | None:
    return view and View(view.parties, view.own, view.whole, view.fields, view.leaves, masked=view.masked)


QUESTIONS = [
    (who, channel, at, commercial, behalf)
    for who in ASKERS
    for channel in CHANNELS
    for at in TIMES
    for commercial in (False, True)
    for behalf in ("", TRADER)
]

# --- histories: whatever is decided in whatever order; what is refused leaves no fact ---


def step(book: Book, dice: random.Random) -> None:
    """One thing that somebody wants decided."""
    start, end = sorted(dice.sample(TIMES, 2))
    window = {"valid_from": start, "valid_to": end}
    dataset = dice.choice([PORT, CLEARANCE])
    name = dice.choice([TRADER, FORWARDER])
    number = f"P-{dice.randrange(5)}"
    because = {"reason": "缘由"}
    user = dice.choice(["li", "wu", "ma", "he"])
    wants: list[Any] = [
        lambda: book.own(dataset, dice.choice(["customs", "maritime"])),
        lambda: book.of(dataset, disclosure.set_disclosure, disclosure=dice.choice(list(disclosure.DISCLOSURES))),
        lambda: book.of(dataset, disclosure.set_share_type, share_type=dice.choice(list(disclosure.SHARE_TYPES))),
        lambda: book.party(name, dice.choice([party.suspend, *4 * [party.resume]]), **because),
        lambda: book.party(name, dice.choice([party.suspend_user, *3 * [party.resume_user]]), user=user, **because),
        lambda: book.party(name, party.dismiss, user=user, **because),
        lambda: book.party(name, party.appoint, user=user, role="enterprise"),
        lambda: book.party(
            name, party.revoke_credential, user="li", credential=f"key:{dice.randrange(1, 60)}", **because
        ),
        lambda: book.party(
            TRADER,
            party.appoint_agent,
            agent=FORWARDER,
            document=dice.choice(["W1", "W2"]),
            scopes=dice.sample(["track", "enter"], dice.randint(1, 2)),
            **window,
        ),
        lambda: book.party(TRADER, party.dismiss_agent, agent=FORWARDER, document="W1", **because),
        lambda: book.party(TRADER, party.allow_support, ticket=dice.choice(["T1", "T2"]), until=end),
        lambda: book.party(TRADER, party.end_support, ticket="T1"),
        lambda: book.agree(
            f"A-{dice.randrange(3)}",
            ("maritime", "customs"),
            [each for each in (PORT, CLEARANCE) if book.owner(each) == "maritime"],
            [each for each in (PORT, CLEARANCE) if book.owner(each) == "customs"],
            **window,
        ),
        lambda: book.decide(
            agreement, agreement.Agreement("A-0"), agreement.end, reason="x", by="z", by_party="customs", at=MON
        ),
    ]
    wants += 10 * [lambda: book.grant(number, some_terms(dice, dataset, window))]
    decisions = [permission.suspend, permission.resume, permission.revoke]
    wants += 2 * [lambda: book.permit(number, dice.choice(decisions), permitted_dataset(book, number), **because)]
    dice.choice(wants)()


def some_terms(dice: random.Random, dataset: str, window: dict[str, Any]) -> permission.Terms:
    return terms(
        dice.choice([TRADER, FORWARDER, "op", "kind:enterprise", "role:auditor", "role:call-centre", "customs"]),
        dataset,
        channels=tuple(dice.sample(CHANNELS, dice.randint(1, 2))),
        fields=tuple(dice.sample(FIELDS, dice.choice([0, 0, 2]))),
        masking=tuple(dice.sample(FIELDS, dice.choice([0, 1]))),
        commercial=dice.random() < 0.5,
        **window,
    )


def permitted_dataset(book: Book, number: str) -> str:
    known = book.states.get(permission.stream(number))
    return known.terms.dataset if known else PORT


def history(seed: int, steps: int) -> Book:
    dice, book = random.Random(seed), registered()
    for _ in range(steps):
        step(book, dice)
    return book


SEEDS = st.integers(0, 1 << 32)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(0, 60))
def test_the_fold_says_what_the_oracle_says(seed: int, steps: int) -> None:
    book = history(seed, steps)
    facts, rights = [each.fact for each in book.entries], book.rights()
    for question in random.Random(seed).sample(QUESTIONS, 60):
        assert plain(answer(rights, *question)) == oracle(facts, *question), question


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(0, 60))
def test_streams_in_any_order_give_the_same_views(seed: int, steps: int) -> None:
    book, dice = history(seed, steps), random.Random(seed)
    streams: dict[str, list[Entry]] = {}
    for entry in book.entries:
        streams.setdefault(entry.stream, []).append(entry)
    turns = [entry.stream for entry in book.entries]
    dice.shuffle(turns)
    otherwise = [
        Entry(position, stream, 1, entry.fact_id, entry.fact)
        for position, stream in enumerate(turns, 1)
        for entry in [streams[stream].pop(0)]
    ]
    one, other = book.rights(), rights_at(otherwise)
    for question in dice.sample(QUESTIONS, 60):
        assert answer(one, *question) == answer(other, *question), question


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(0, 60))
def test_a_view_holds_until_it_says(seed: int, steps: int) -> None:
    rights = history(seed, steps).rights()
    for who, channel, at, commercial, behalf in random.Random(seed).sample(QUESTIONS, 60):
        view = answer(rights, who, channel, at, commercial, behalf)
        if view is None:
            continue
        assert view.until is None or view.until > at
        for later in (TIMES[-1] + timedelta(days=400), *TIMES, *(each - timedelta(microseconds=1) for each in TIMES)):
            if at <= later and (view.until is None or later < view.until):
                assert plain(answer(rights, who, channel, later, commercial, behalf)) == plain(view)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(20, 80))
def test_after_a_revocation_no_view_rests_on_the_permission(seed: int, steps: int) -> None:
    book = history(seed, steps)
    for number in [f"P-{each}" for each in range(5)]:
        book.permit(number, permission.revoke, permitted_dataset(book, number), reason="x")
    revoked = {each.fact.permission for each in book.entries if isinstance(each.fact, PermissionRevoked)}
    rights = book.rights()
    for question in random.Random(seed).sample(QUESTIONS, 60):
        view = answer(rights, *question)
        assert view is None or not revoked & {leaf for _, leaves in view.leaves for leaf in leaves}
