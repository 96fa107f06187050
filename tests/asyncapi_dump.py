"""What endpoints are sent, as AsyncAPI 3.0 made of the code's own records.

`python -m tests.asyncapi_dump > docs/asyncapi.yaml`; tests/test_webhook_docs.py holds the page to this.
"""

from typing import Any

import msgspec
import yaml

import api.app  # noqa: F401  every kind of fact is registered
from api.feeding import FeedItem
from api.push.alert_source import AlertTold
from api.push.proving import SAMPLE
from api.push.sources import UNREADABLE
from domain import fact
from domain.fact import Confirmed, Corrected, Fact, Moved, Reinstated, Retracted, Stated

VERSION = "1.0.0"
"""Raised in its second part when a member is added, in its first when one goes or changes its meaning."""
REF = "#/components/schemas/{name}"
ABOUT_FACTS = (Confirmed, Retracted, Corrected, Reinstated)
HEADERS = {
    "webhook-id": "标识，各次尝试相同，收方据此去重 / of the message, the same at every attempt: do not take it twice",
    "webhook-timestamp": "本次尝试的时间，秒 / of this attempt, seconds since 1970; refuse what is older than 300",
    "webhook-signature": "签名，以空格分隔 / v1,BASE64 (HMAC-SHA256) or v1a,BASE64 (Ed25519), apart by spaces",
    "webhook-replay": "1：应请求重发 / 1: sent again because it was asked for",
}
DCSA_HEADERS = {
    "Subscription-ID": "订阅标识 / of the subscription",
    "Notification-Signature": "sha256=HEX，正文的 HMAC / of the whole body, under the subscription's secret",
    "API-Version": "2.2.0",
}
CHANNELS = {
    "feed": ("事件推送 / the feed, one fact a message", ("Fact", "Unreadable", "Challenge", "Sample")),
    "alerts": ("告警推送 / alerts that come and go", ("AlertMessage", "Challenge", "Sample")),
    "dcsa": ("DCSA 回调 / the callback of DCSA Track & Trace 2.2.0", ("DcsaEvents",)),
}


def document() -> dict[str, Any]:
    """The whole page."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kouan 口岸: what endpoints are sent",
            "version": VERSION,
            "description": "推送到接收端的消息 / messages that are pushed to endpoints; see docs/webhooks.md",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(name, *about) for name, about in CHANNELS.items()},
        "operations": {name: _operation(name, text) for name, (text, _) in CHANNELS.items()},
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channel(name: str, text: str, messages: tuple[str, ...]) -> dict[str, Any]:
    refs = {each: {"$ref": f"#/components/messages/{each}"} for each in messages}
    return {"address": None, "title": name, "description": text, "messages": refs}


def _operation(name: str, text: str) -> dict[str, Any]:
    return {"action": "send", "channel": {"$ref": f"#/channels/{name}"}, "summary": text}


def _messages() -> dict[str, Any]:
    told = {
        "Fact": ("A fact", "FactMessage"),
        "Unreadable": ("An entry whose bytes cannot be read; free", "UnreadableMessage"),
        "AlertMessage": ("An alert came, or went", "AlertMessage"),
        "Challenge": ("Bring data.challenge back to verify the endpoint", "ChallengeMessage"),
        "Sample": ("A sample, at the owner's wish; free", "SampleMessage"),
        "DcsaEvents": (
            "Events as of GET /dcsa/v2/events; an empty array asks whether the callback is there",
            "DcsaBody",
        ),
    }
    return {name: _message(name, summary, schema) for name, (summary, schema) in told.items()}


def _message(name: str, summary: str, schema: str) -> dict[str, Any]:
    known = HEADERS | (DCSA_HEADERS if name == "DcsaEvents" else {})
    headers = {
        "type": "object",
        "properties": {header: {"type": "string", "description": text} for header, text in known.items()},
        "required": [header for header in known if header != "webhook-replay"],
    }
    ref = {"$ref": REF.format(name=schema)}
    return {"name": name, "summary": summary, "contentType": "application/json", "headers": headers, "payload": ref}


def _schemas() -> dict[str, Any]:
    kinds = feed_kinds()
    alike = {Moved: _alike(Moved), Stated: _alike(Stated)}
    own = [kind for kind in kinds.values() if not any(kind in each for each in alike.values())]
    (_, _, *refs), found = msgspec.json.schema_components([FeedItem, AlertTold, *alike, *own], ref_template=REF)
    for (base, same), ref in zip(alike.items(), refs, strict=False):
        shape = found[ref["$ref"].rpartition("/")[2]]
        shape |= {"title": base.__name__, "description": base.__doc__}
        tag = {"type": "string", "enum": sorted(fact.tag_of(kind) for kind in same)}
        shape["properties"] = {"fact": tag, **{k: v for k, v in shape["properties"].items() if k != "fact"}}
    for ref in refs:  # of what is shown in part every member may be missing, but the tag
        found[ref["$ref"].rpartition("/")[2]]["required"] = ["fact"]
    found["FeedItem"]["properties"]["fact"] = {
        "anyOf": [*refs, {"type": ["object", "null"]}],
        "description": "by its tag, `fact`; docs/facts.md tells them. Of what is shown in part members are missing",
    }
    data = {"type": "object", "properties": {"challenge": {"type": "string"}, "endpoint": {"type": "string"}}}
    return {
        "FactMessage": _envelope({"type": "string", "enum": sorted(kinds)}, {"$ref": REF.format(name="FeedItem")}),
        "UnreadableMessage": _envelope({"const": UNREADABLE}, {"$ref": REF.format(name="FeedItem")}),
        "AlertMessage": _envelope(
            {"type": "string", "enum": ["alert.raised", "alert.ended"]}, {"$ref": REF.format(name="AlertTold")}
        ),
        "ChallengeMessage": _envelope({"const": "endpoint.challenge"}, data | {"required": ["challenge"]}),
        "SampleMessage": _envelope({"const": "endpoint.test"}, {"type": "object", "examples": [SAMPLE]}),
        "DcsaBody": {
            "type": "array",
            "items": {"type": "object", "description": "transportEvent, shipmentEvent or equipmentEvent of TNT 2.2.0"},
        },
        **dict(sorted(found.items())),
    }


def _alike(base: type[Fact]) -> list[type[Fact]]:
    """The kinds that say no more than this one."""
    return [kind for kind in feed_kinds().values() if kind.__struct_fields__ == base.__struct_fields__]


def _envelope(kind: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    timestamp = {"type": "string", "description": "RFC 3339, UTC: when this node was told"}
    properties = {"type": kind, "timestamp": timestamp, "data": data}
    return {"type": "object", "properties": properties, "required": [*properties]}


def feed_kinds() -> dict[str, type[Fact]]:
    """What sources state, and what is said of it."""
    about = {tag: kind for tag, kind in sorted(fact._types.items()) if issubclass(kind, Stated | Confirmed)}
    return about | {fact.tag_of(kind): kind for kind in ABOUT_FACTS}


def text() -> str:
    """The page as it is kept."""
    head = "# Made by `python -m tests.asyncapi_dump > docs/asyncapi.yaml`; do not edit.\n"
    return head + yaml.safe_dump(document(), allow_unicode=True, sort_keys=False, width=120)


if __name__ == "__main__":
    print(text(), end="")
