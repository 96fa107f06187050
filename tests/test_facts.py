"""Facts are a storage contract: their names never change, and what was stored can be read for ever."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

import api.app  # noqa: F401  registers every fact type
from domain import container, fact
from domain.fact import Moved
from domain.report import Moment, Movement

STORED = Path(__file__).with_name("stored_facts.txt").read_text().split()
NOON = datetime(2026, 3, 1, 4, tzinfo=UTC)
BOX = "container:CSQU3054383"
SEEN = Movement(
    subject=BOX, code="GATE_IN", raw_code="34", when=Moment(NOON), place="CNNKG", mode="TRUCK", refs=("bl:KOUA1",)
)


def told(report: Movement = SEEN, source: str = "terminal", **more: object) -> Moved:
    changed = msgspec.structs.replace(report, **more)
    return container.observe(changed, source=source, message_id=uuid4(), sent_at=None, now=NOON)


def test_the_names_of_stored_facts_equal_the_frozen_list() -> None:
    assert fact.tags() == STORED


def test_every_stored_fact_is_described() -> None:
    described = (Path(__file__).parent.parent / "docs" / "facts.md").read_text()
    assert [tag for tag in STORED if f"`{tag}`" not in described] == []


def test_a_fact_read_back_equals_the_fact_stored() -> None:
    stated = told(text="重箱进港", laden=True, weight_kg=21500.5, warnings=("odd",))
    assert fact.decode(fact.encode(stated)) == stated


def test_the_stored_form_names_the_fact_by_its_tag() -> None:
    assert fact.encode(told()).startswith(b'{"fact":"container.gated_in","happened_at":"2026-03-01T04:00:00Z"')


@pytest.mark.parametrize(
    "other",
    [
        {"source": "line"},
        {"text": "said otherwise"},
        {"facility": "T2"},
        {"when": Moment(NOON + timedelta(seconds=59))},
    ],
)
def test_the_same_event_told_otherwise_is_the_same_fact(other: dict[str, object]) -> None:
    assert fact.identity(BOX, told(**other)) == fact.identity(BOX, told())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "other",
    [{"place": "CNSHG"}, {"when": Moment(NOON + timedelta(minutes=1))}, {"code": "GATE_OUT"}, {"mode": "RAIL"}],
)
def test_another_event_is_another_fact(other: dict[str, object]) -> None:
    assert fact.identity(BOX, told(**other)) != fact.identity(BOX, told())  # type: ignore[arg-type]


def test_an_estimate_is_news_each_time_it_is_sent() -> None:
    first = told(classifier="EST")
    later = container.observe(
        Movement(subject=BOX, code="VSL_ARR", raw_code="ARRI", when=Moment(NOON), classifier="EST"),
        source="line",
        message_id=uuid4(),
        sent_at=NOON,
        now=NOON,
    )
    again = container.observe(
        Movement(subject=BOX, code="VSL_ARR", raw_code="ARRI", when=Moment(NOON), classifier="EST"),
        source="line",
        message_id=uuid4(),
        sent_at=NOON + timedelta(days=1),
        now=NOON,
    )
    assert len({fact.identity(BOX, each) for each in (first, later, again)}) == 3


def test_ids_sort_by_the_time_of_the_event() -> None:
    early, late = told(), told(when=Moment(NOON + timedelta(days=1)))
    assert fact.identity(BOX, early) < fact.identity(BOX, late)


def test_ids_are_uuids_of_version_eight() -> None:
    assert fact.identity(BOX, told()).version == 8
    assert fact.digest_id("a", "b").variant == UUID(int=0x8 << 60).variant
