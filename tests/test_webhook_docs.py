"""docs/asyncapi.yaml is what the code says, holds together, and fits what is sent; the ten lines verify."""

import json
import re
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from jsonschema import Draft202012Validator

from api.identity import Account
from api.push import proving, signing, sources
from api.push.proving import Envelope
from domain.feed_filter import EVERYTHING
from projections import sight
from tests import asyncapi_dump
from tests.fixtures_node import Node
from tests.test_track_api import event

DOCS = Path(__file__).parents[1] / "docs"
PAGE = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())


def test_the_page_is_what_the_code_says() -> None:
    assert (DOCS / "asyncapi.yaml").read_text() == asyncapi_dump.text(), (
        "python -m tests.asyncapi_dump > docs/asyncapi.yaml"
    )


def refs(thing: Any) -> Iterator[str]:
    if isinstance(thing, dict):
        for name, value in thing.items():
            if name == "$ref":
                yield value
            else:
                yield from refs(value)
    elif isinstance(thing, list):
        for each in thing:
            yield from refs(each)


def test_the_page_holds_together() -> None:
    """As far as AsyncAPI 3.0 asks: what is required is there, every reference leads somewhere, schemas are schemas."""
    assert PAGE["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= PAGE["info"].keys()
    assert {each["action"] for each in PAGE["operations"].values()} == {"send"}
    for ref in set(refs(PAGE)):
        found = PAGE
        for step in ref.removeprefix("#/").split("/"):
            found = found[step]
    for channel in PAGE["channels"].values():
        assert channel["address"] is None
        assert channel["messages"]
    for schema in PAGE["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def fits(name: str, body: bytes) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": PAGE["components"]}
    Draft202012Validator(schema).validate(json.loads(body))


def test_messages_of_the_feed_fit_the_page(node: Node) -> None:
    node.tell(event("1", "GATE_IN", "2026-03-01T10:00:00+08:00"), event("2", "GATE_OUT", "2026-03-02T10:00:00+08:00"))
    way_out = node.client.app.state.asker.way_out
    view = way_out.register.view(Account("operator", "operator", "", ""), "push", commercial=True)
    endpoint = sources.Endpoint(
        endpoint_id=uuid4(), account="operator", item="feed.push", dialect="webhook", url="", wanted=EVERYTHING
    )
    from api.way_out import Looking

    with way_out.readers.connection() as connection, sight.opened(connection, view) as look:
        batch = sources.Feed(node.client.app.state.asker.pool).next(Looking(look), endpoint, 0, 100)
    assert len(batch.messages) == 2
    for message in batch.messages:
        fits("FactMessage", sources.body(message))


def test_what_is_sent_at_the_desk_fits_the_page() -> None:
    import msgspec

    fits("ChallengeMessage", msgspec.json.encode(Envelope("endpoint.challenge", "x", {"challenge": "y"})))
    fits("SampleMessage", msgspec.json.encode(Envelope("endpoint.test", "x", proving.SAMPLE)))
    fits("DcsaBody", b"[]")


@pytest.mark.parametrize("algorithm", ["v1", "v1a"])
def test_the_ten_lines_of_the_page_verify(algorithm: signing.Algorithm) -> None:
    """Each block of docs/webhooks.md that defines `verify` takes what is ours, and nothing else."""
    page = (DOCS / "webhooks.md").read_text()
    blocks = [textwrap.dedent(each) for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]
    [block] = [each for each in blocks if ("hmac" in each) == (algorithm == "v1") and "def verify" in each]
    assert len([line for line in block.splitlines() if line.strip()]) <= 14
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102  it is our own page
    key, body = signing.new_key(algorithm), '{"type":"x","地":"海"}'.encode()
    said = signing.headers([signing.new_key("v1"), key, signing.new_key("v1a")], "msg_1", datetime.now(UTC), body)
    assert names["verify"](key.shown, said, body) is True
    assert names["verify"](signing.new_key(algorithm).shown, said, body) is False
    assert names["verify"](key.shown, said, body + b" ") is False
    old = signing.headers([key], "msg_1", datetime(2026, 1, 1, tzinfo=UTC), body)
    assert names["verify"](key.shown, old, body) is False
