"""The chain: whatever is flipped, taken out, swapped or cut off is found, and the first bad record is named."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain import fact
from domain.access import AccessTold
from domain.delivery import DeliveryMade
from projections import audit
from projections.audit import Cut, Genesis, Resumed, Row, State, Stored
from projections.audit_check import Evidence, Head, Report, check, spoken

NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEYS = {"k": KEY.public_key().public_bytes_raw()}
NODE, ENTRIES, HEAD_EVERY = "kouan", 2_000, 50


def stored(position: int) -> Stored:
    at = NOON + timedelta(seconds=position)
    told: fact.Fact
    if position % 3:
        told = DeliveryMade(
            happened_at=at, recorded_at=at, account=f"a{position % 7}", item="track.query", item_class="government"
        )
    else:
        told = AccessTold(happened_at=at, recorded_at=at, action="access", object="GET /", result="denied")
    return Stored(position, "metering:1", position, UUID(int=position), fact.encode(told))


def signed(row: Row) -> Head:
    at = NOON + timedelta(hours=1, seconds=row.n)
    return Head(row.n, row.hash, at, "k", KEY.sign(spoken(NODE, row.n, row.hash, at)))


JOURNAL = [stored(2 * number) for number in range(1, ENTRIES)]
BYTES = [msgspec.json.encode(Genesis(NODE, NOON)), *map(audit.written, JOURNAL)]
ROWS = list(audit.chained(BYTES, 0, b"", "sha256"))
HEADS = [signed(row) for row in ROWS if row.n % HEAD_EVERY == 0]


def state(rows: list[Row]) -> State:
    return State(NODE, rows[-1].n, rows[-1].hash, rows[-1].found.position or 0)


def verify(
    rows: list[Row] = ROWS, heads: list[Head] = HEADS, anchors: list[Head] | None = HEADS, **more: Any
) -> Report:
    return check(
        Evidence(
            **{"state": state(ROWS), "journal": JOURNAL} | more, rows=rows, heads=heads, keys=KEYS, anchors=anchors
        )
    )


def flip(content: bytes, chance: random.Random) -> bytes:
    bit = chance.randrange(len(content) * 8)
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


# --- a thousand places ---


def flip_entry(rows: list[Row], heads: list[Head], at: int, chance: random.Random) -> str:
    rows[at] = rows[at]._replace(entry=flip(rows[at].entry, chance))
    return f"entry {at + 1}"


def flip_hash(rows: list[Row], heads: list[Head], at: int, chance: random.Random) -> str:
    rows[at] = rows[at]._replace(hash=flip(rows[at].hash, chance))
    return f"entry {at + 1}"


def change_column(rows: list[Row], heads: list[Head], at: int, chance: random.Random) -> str:
    told = rows[at].found
    changed = [told._replace(who="nobody"), told._replace(result="well"), told._replace(object="")]
    changed += [told._replace(at=NOON - timedelta(1)), told._replace(position=-1)]
    rows[at] = rows[at]._replace(found=chance.choice(changed))
    return f"entry {at + 1}"


def delete(rows: list[Row], heads: list[Head], at: int, chance: random.Random) -> str:
    del rows[at]
    return f"entry {at + 1}"


def swap(rows: list[Row], heads: list[Head], at: int, chance: random.Random) -> str:
    other = chance.choice([each for each in range(ENTRIES) if each != at])
    rows[at], rows[other] = (rows[one]._replace(n=two + 1) for one, two in ((other, at), (at, other)))
    return f"entry {min(at, other) + 1}"


def truncate(rows: list[Row], heads: list[Head], at: int, chance: random.Random) -> str:
    del rows[at:]
    heads[:] = [head for head in heads if head.n <= at]
    return f"entry {at + 1}"


def renumber(rows: list[Row], heads: list[Head], at: int, chance: random.Random) -> str:
    rows[at:] = [row._replace(n=row.n + 1) for row in rows[at:]]
    return f"entry {at + 1}"


def flip_head(rows: list[Row], heads: list[Head], at: int, chance: random.Random) -> str:
    at %= len(heads)
    head = heads[at]
    heads[at] = chance.choice(
        [
            head._replace(hash=flip(head.hash, chance)),
            head._replace(signature=flip(head.signature, chance)),
            head._replace(at=head.at + timedelta(microseconds=1)),
            head._replace(key_id="j"),
        ]
    )
    return f"head {head.n}"


def delete_head(rows: list[Row], heads: list[Head], at: int, chance: random.Random) -> str:
    return f"head {heads.pop(at % len(heads)).n}"


def truncate_heads(rows: list[Row], heads: list[Head], at: int, chance: random.Random) -> str:
    at %= len(heads)
    first = heads[at].n
    del heads[at:]
    return f"head {first}"


def swap_heads(rows: list[Row], heads: list[Head], at: int, chance: random.Random) -> str:
    one, two = sorted(chance.sample(range(len(heads)), 2))
    first, second = heads[one], heads[two]
    heads[one], heads[two] = second._replace(n=first.n), first._replace(n=second.n)
    return f"head {first.n}"


TAMPERINGS = [flip_entry, flip_hash, change_column, delete, swap, truncate, renumber]
TAMPERINGS += [flip_head, delete_head, truncate_heads, swap_heads]
PLACES_EACH = 92  # a thousand and more in all


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda each: each.__name__)
def test_tampering_anywhere_is_found_and_the_first_bad_record_named(tamper: Callable[..., str]) -> None:
    chance = random.Random(tamper.__name__)
    for _ in range(PLACES_EACH):
        at = chance.randrange(ENTRIES)
        rows, heads = list(ROWS), list(HEADS)
        expected = tamper(rows, heads, at, chance)
        assert verify(rows, heads, journal=None).bad == expected, at  # by its hashes alone


def test_a_whole_chain_is_whole() -> None:
    report = verify()
    assert (report.bad, report.entries, report.facts) == ("", ENTRIES, ENTRIES - 1)
    assert (report.first, report.last, report.heads, report.anchors) == (1, ENTRIES, len(HEADS), len(HEADS))


# --- what hashes alone do not show ---


def remade(since: int, change: Callable[[bytes], bytes]) -> list[Row]:
    """From an entry on made anew, with hashes that fit."""
    entries = [change(BYTES[since]), *BYTES[since + 1 :]]
    return [*ROWS[:since], *audit.chained(entries, since, ROWS[since - 1].hash, "sha256")]


def test_a_chain_made_anew_is_not_what_the_journal_says() -> None:
    rows = remade(1_234, lambda entry: entry.replace(b'"account":"a', b'"account":"b'))
    assert verify(rows, heads=[], anchors=None, state=state(rows)).bad == "entry 1235"


def test_a_chain_and_a_journal_made_anew_are_not_what_the_anchor_says() -> None:
    rows = remade(1_234, lambda entry: entry.replace(b'"account":"a', b'"account":"b'))
    assert verify(rows, [head for head in HEADS if head.n < 1235], state=state(rows), journal=None).bad == "entry 1250"


def test_a_tail_cut_off_with_its_heads_and_its_state_is_found_by_the_anchors_alone() -> None:
    rows, heads = ROWS[:1_900], [head for head in HEADS if head.n <= 1_900]
    journal = [row for row in JOURNAL if row.position <= state(rows).position]
    assert verify(rows, heads, heads, state=state(rows), journal=journal).bad == ""
    assert verify(rows, heads, HEADS, state=state(rows), journal=journal).bad == "entry 1901"


def test_an_entry_that_the_journal_does_not_have_is_named() -> None:
    assert verify(journal=[row for row in JOURNAL if row.position != 400]).bad == "entry 201"


def test_a_fact_that_was_left_out_of_the_chain_is_named() -> None:
    assert verify(journal=sorted([*JOURNAL, stored(401)])).bad == "entry 202"


def test_a_fact_left_out_at_the_end_is_named() -> None:
    assert verify(journal=[*JOURNAL, stored(2 * ENTRIES)]).bad == f"entry {ENTRIES + 1}"


def test_a_head_that_was_not_anchored_yet_is_no_fault() -> None:
    assert verify(anchors=HEADS[:-1]).bad == ""


def test_an_anchor_taken_out_of_the_middle_is_named() -> None:
    assert verify(anchors=[*HEADS[:3], *HEADS[4:]]).bad == "anchor 200"


def test_a_chain_of_another_node_is_not_ours() -> None:
    assert verify(state=state(ROWS)._replace(node="other"), heads=[], anchors=None).bad == "entry 1"


# --- cuts, restores, algorithms ---


def test_a_chain_goes_on_from_a_cut_that_an_anchor_bears_out() -> None:
    cut = Cut(500, ROWS[499].hash.hex(), ROWS[499].found.position or 0, NOON, NOON, "auditor")
    tail = list(audit.chained([msgspec.json.encode(cut)], ENTRIES, ROWS[-1].hash, "sha256"))
    rows, heads = [*ROWS[500:], *tail], [head for head in HEADS if head.n > 500]
    known: dict[str, Any] = {"state": state(ROWS)._replace(n=ENTRIES + 1, hash=tail[0].hash), "cut": cut}
    known["journal"] = [row for row in JOURNAL if row.position > cut.position]
    assert verify(rows, heads, **known).bad == ""
    assert verify(rows, heads, [each for each in HEADS if each.n != 500], **known).bad == "cut 500"
    untold = {**known, "state": state(ROWS)}
    assert verify(rows[:-1], heads, **untold).bad == "cut 500"
    assert verify(rows[1:], heads, **known).bad == "entry 501"


def test_a_restore_is_named_by_an_entry_that_the_anchors_bear_out() -> None:
    kept = ROWS[:1_500]
    lost = Resumed(1_501, 2_000, HEADS[-1].hash.hex(), NOON, "auditor")
    [resumed] = audit.chained([msgspec.json.encode(lost)], 2_000, kept[-1].hash, "sha256")
    rows, heads = [*kept, resumed], [each for each in HEADS if each.n <= 1_500]
    journal = [row for row in JOURNAL if row.position <= state(kept).position]
    known: dict[str, Any] = {"state": state(kept)._replace(n=2_001, hash=resumed.hash), "journal": journal}
    report = verify(rows, heads, HEADS, **known)
    assert (report.bad, report.lost) == ("", [lost])
    assert verify(rows, heads, HEADS[:-1], **known).bad == "entry 2001"


def test_a_gap_without_such_an_entry_is_a_gap() -> None:
    lost = Resumed(1_502, 2_000, HEADS[-1].hash.hex(), NOON, "auditor")
    [resumed] = audit.chained([msgspec.json.encode(lost)], 2_000, ROWS[1_499].hash, "sha256")
    assert verify([*ROWS[:1_500], resumed]).bad == "entry 1501"


def test_the_algorithm_may_change_on_the_way() -> None:
    tail = list(audit.chained(BYTES[1_000:], 1_000, ROWS[999].hash, "sm3"))
    rows = [*ROWS[:1_000], *tail]
    assert verify(rows, [], None, state=state(rows)).bad == ""
    rows[1_500] = rows[1_500]._replace(algorithm="sha256")
    assert verify(rows, [], None, state=state(rows)).bad == "entry 1501"
    rows[1_500] = rows[1_500]._replace(algorithm="none")
    assert verify(rows, [], None, state=state(rows)).bad == "entry 1501"


# --- entries ---


@pytest.mark.parametrize("odd", [b"", b"\xff", b"{", b'{"a":1},"b":{}', b'["x"]', b'{"account":"\xff"}', b' {"a":1}'])
def test_a_fact_that_cannot_be_read_is_sealed_by_its_bytes(odd: bytes) -> None:
    entry = audit.written(Stored(1, "x:1", 1, UUID(int=1), odd))
    assert set(msgspec.json.decode(entry)) == {"position", "stream", "version", "fact_id", "bytes"}
    assert audit.found(entry).action == "unreadable"


@pytest.mark.parametrize("odd", [b'{"account":7}', b'{"recorded_at":"never"}'])
def test_a_fact_of_another_shape_is_sealed_verbatim(odd: bytes) -> None:
    entry = audit.written(Stored(1, "x:1", 1, UUID(int=1), odd))
    assert msgspec.json.decode(entry)["fact"] == msgspec.json.decode(odd)
    assert audit.found(entry).object == "x:1"


def test_who_and_what_are_told_of_deliveries_acts_and_the_register() -> None:
    told = audit.found(audit.written(JOURNAL[0]))
    assert (told.who, told.action, told.object, told.result) == ("a2", "delivery.made", "metering:1", "ok")
    register = b'{"fact":"party.suspended","recorded_at":"2026-03-01T04:00:00Z","party":"P1","by":"chief","reason":"x"}'
    told = audit.found(audit.written(Stored(9, "party:P1", 1, UUID(int=9), register)))
    assert (told.who, told.party, told.action, told.object) == ("chief", "P1", "party.suspended", "party:P1")
    assert told.at == NOON
