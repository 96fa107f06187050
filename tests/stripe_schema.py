"""Stripe's published description of its API, as a judge of requests and answers.

`tests/stripe/openapi.json` is the part that the gateway uses, prose left out (MIT, licence beside it). A form is
un-flattened (`a[0][b]=c`), its texts are coerced to the types of the schema, and nothing is allowed that the schema
does not name, on any depth: so a typo far inside is found.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

FORM = "application/x-www-form-urlencoded"
PART = re.compile(r"[^\[\]]+")


class Mistake(Exception):
    """What does not fit the published description."""


# --- the description, made stricter ---


def strict(schema: Any) -> Any:
    """No other properties than those named, and `nullable` in the words of JSON Schema."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(each) for name, each in schema.items() if name != "nullable"}
    if isinstance(schema.get("properties"), dict):
        made["properties"] = {name: strict(each) for name, each in schema["properties"].items()}
        made.setdefault("additionalProperties", False)
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") else made


@cache
def described() -> Any:
    return json.loads((Path(__file__).parent / "stripe" / "openapi.json").read_text())


@cache
def components() -> dict[str, Any]:
    return {name: strict(each) for name, each in described()["components"]["schemas"].items()}


@cache
def operation(method: str, path: str) -> tuple[str, Any]:
    """The path as the description has it, and the operation. Raises Mistake."""
    for template, methods in sorted(described()["paths"].items(), key=lambda each: each[0].count("{")):
        pattern = re.sub(r"\{[a-z_]+\}", "[^/]+", template)
        if method.lower() in methods and re.fullmatch(pattern, path):
            return template, methods[method.lower()]
    raise Mistake(f"no such call: {method} {path}")


@cache
def form_schema(method: str, path: str) -> Any:
    """What may be sent: the query of a GET, the body of a POST."""
    _, found = operation(method, path)
    if method != "GET":
        body = found.get("requestBody", {}).get("content", {}).get(FORM, {}).get("schema", {"properties": {}})
        return strict({"type": "object", **body})
    query = [each for each in found.get("parameters", []) if each["in"] == "query"]
    return strict({"type": "object", "properties": {each["name"]: each["schema"] for each in query}})


@cache
def answer_schema(method: str, path: str, *, sound: bool) -> Any:
    _, found = operation(method, path)
    answers = found["responses"]["200"]["content"]["application/json"]["schema"]
    return strict(answers) if sound else {"$ref": "#/components/schemas/error"}


@cache
def validator(method: str, path: str, side: str) -> Draft202012Validator:
    template, _ = operation(method, path)
    if template != path:
        return validator(method, template, side)
    schema = form_schema(method, path) if side == "form" else answer_schema(method, path, sound=side == "answer")
    return Draft202012Validator({**schema, "components": {"schemas": components()}})


# --- forms ---


def unflatten(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """`a[0][b]=c` as nested dicts; lists stay dicts until the schema says that they are lists.

    >>> unflatten([("a[0][b]", "c"), ("d", "1")])
    {'a': {'0': {'b': 'c'}}, 'd': '1'}
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        *way, last = PART.findall(name)
        place = found
        for each in way:
            place = place.setdefault(each, {})
        if last in place:
            raise Mistake(f"sent twice: {name}")
        place[last] = value
    return found


def coerced(value: Any, schema: Any) -> Any:
    """A form's texts as the schema's types, where they can be read so; else as they are."""
    for option in schema.get("anyOf", []):
        tried = coerced(value, option)
        if Draft202012Validator(option).is_valid(tried):
            return tried
    if isinstance(value, dict) and schema.get("type") == "array":
        return [coerced(value[each], schema.get("items", {})) for each in sorted(value, key=int)]
    if isinstance(value, dict):
        known = schema.get("properties", {})
        return {name: coerced(each, known.get(name, {})) for name, each in value.items()}
    if schema.get("type") == "integer" and re.fullmatch(r"-?[0-9]+", value):
        return int(value)
    if schema.get("type") == "boolean" and value in {"true", "false"}:
        return value == "true"
    return value


def read_form(method: str, path: str, text: str) -> dict[str, Any]:
    """The parameters of a call, as their types. Raises Mistake."""
    template, _ = operation(method, path)
    schema = form_schema(method, template)
    params: dict[str, Any] = coerced(unflatten(parse_qsl(text, keep_blank_values=True)), schema)
    fault = best_match(validator(method, path, "form").iter_errors(params))
    if fault is not None:
        raise Mistake(f"{method} {template}: {'.'.join(map(str, fault.absolute_path))}: {fault.message}")
    return params


def check_answer(method: str, path: str, status: int, answer: Any) -> None:
    """Raises Mistake for an answer that Stripe would not give."""
    side = "answer" if status < 400 else "error"
    fault = best_match(validator(method, path, side).iter_errors(answer))
    if fault is not None:
        where = ".".join(map(str, fault.absolute_path))
        raise Mistake(f"answer {status} to {method} {path}: {where}: {fault.message}")


# --- answers ---


def blank(name: str) -> dict[str, Any]:
    """The least object of this kind: what is required, and null where that may be. Stripe leaves the rest out."""
    made: dict[str, Any] = _blank(described()["components"]["schemas"][name])
    return made


def _blank(schema: Any) -> Any:
    if schema.get("nullable"):
        return None
    if "$ref" in schema:
        return blank(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return _blank(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        known = schema.get("properties", {})
        required = schema.get("required", [])
        return {name: _blank(each) for name, each in known.items() if name in required or each.get("nullable")}
    return {"string": "", "integer": 0, "number": 0, "boolean": False, "array": []}[schema["type"]]
