"""The fuzz in short, and the rules that it found broken. At length: `python -m tests.faults --fuzz 100000`."""

import httpx
import pytest

from api import intake
from api.formats.registry import READERS
from tests.faults import campaign, framing, fuzz
from tests.fixtures_api import Served

BODIES = 150
BODIES_OVER_HTTP = 4


@pytest.mark.parametrize("name", READERS)
def test_no_body_raises_loses_a_byte_or_is_recorded_twice(database: str, name: str) -> None:
    tally = fuzz.Examiner(database, name).run(range(BODIES))
    assert tally.failures == []
    assert tally.recorded + tally.duplicate + tally.confirmed + tally.quarantined == tally.messages
    assert min(tally.recorded, tally.duplicate, tally.quarantined) > 0, "the samples are not understood any more"


@pytest.mark.slow
def test_no_body_is_a_fault_of_the_server(served: Served) -> None:
    with httpx.Client(base_url=served.url, headers=served.bearer, trust_env=False) as client:
        for name in READERS:
            ours = fuzz.samples(name)
            for number in range(BODIES, BODIES + BODIES_OVER_HTTP):
                campaign.post(client, name, number, fuzz.body_of(name, number, ours)[0])


@pytest.mark.parametrize("name", READERS)
def test_the_fuzz_catches_a_reader_that_drops_a_message(name: str) -> None:
    """A check that cannot fail proves nothing."""
    for body in fuzz.samples(name):
        readings = intake.readings(READERS[name], body, fuzz.NOW)
        framing.check(name, body, readings)
        for dropped in range(len(readings)):
            with pytest.raises(framing.Wrong):
                framing.check(name, body, [*readings[:dropped], *readings[dropped + 1 :]])
