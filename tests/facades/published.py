"""The published DCSA schema as JSON Schema, and walks over pages by the published headers."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft4Validator, FormatChecker

from tests.fixtures_node import Node

SHARED = Path(__file__).parents[2] / "../shared/data"
SPEC = SHARED / "dcsa" / "TNT_v2.2.0-resolved.yaml"
SCHEMAS = {"TRANSPORT": "transportEvent", "EQUIPMENT": "equipmentEvent", "SHIPMENT": "shipmentEvent"}
EVENTS = "/dcsa/v2/events"


@cache
def spec() -> Any:
    if not SPEC.exists():
        pytest.skip(f"the published DCSA schema is not there: {SPEC}")
    return yaml.safe_load(SPEC.read_text())


def check(schema: str, value: Any) -> None:
    """Must be valid by the named schema."""
    components = spec()["components"]
    validator = Draft4Validator(
        {"$ref": f"#/components/schemas/{schema}", "components": components}, format_checker=FormatChecker()
    )
    assert [f"{list(fault.path)}: {fault.message}" for fault in validator.iter_errors(value)] == []


def check_event(event: dict[str, Any]) -> None:
    check(SCHEMAS[event["eventType"]], event)


def check_error(answer: Any) -> None:
    """Must be an error in the standard's shape."""
    assert answer.headers["api-version"] == "2.2.0"
    body = answer.json()
    check("error", body)
    assert (body["statusCode"], bool(body["errors"])) == (answer.status_code, True)


def pages(node: Node, path: str = EVENTS, follow: str = "Next-Page", **params: Any) -> list[list[dict[str, Any]]]:
    """All pages from one on, by a header; the cursor goes alone."""
    answer = node.get(path, **params)
    assert answer.status_code == 200, answer.text
    found = [answer.json()]
    while follow in answer.headers:
        answer = node.get(path, cursor=answer.headers[follow])
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        assert len(found) < 1_000
    return found


def flat(found: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [item for page in found for item in page]
