"""Samples made wrong: what a broken line, a bad program or a hostile sender makes of a sound body.

A mutation takes bytes and gives bytes; which one, and where it strikes, is drawn from a generator that is seeded by
format and number, so every body can be made again from its number alone. Some are blind (bytes), some know the shape
of the body (segments, lines, JSON members, XML elements) and leave it sound, so that what is wrong reaches the fields.
"""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

BODY_BYTES_MAX = 300_000  # what a mutation may make of a sample
LONG_CHARS_MAX = 20_000
REPEATED_MAX = 3_000
DEEP_MAX = 20_000
SHAPED_SHARE = 0.7
UNCHANGED_SHARE = 0.02
COUNTED_SHARE = 0.8
RARE = 0.02  # share of the mutations that may be huge

Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]

LIMITS = (
    *("0", "-1", "00", "1", "9" * 9, "2147483647", "2147483648", "9223372036854775807", "9223372036854775808"),
    *("-9223372036854775809", "1e308", "1e999", "-1e999", "1e-400", "0.1e1", "1.7976931348623159e308", "9" * 400),
    *("NaN", "Infinity", "00000000", "20261332", "20260229", "99991231235959", "00010101000000", "19000101", "2026"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-03-29T02:30:00", "2026-02-30T10:00:00Z"),
    *("2026-04-01T10:00:00+99:99", "2016-12-31T23:59:60Z", "1970-01-01T00:00:00Z", "-0", "+1", "١٢٣", "１２３"),
)
ODD = (
    *(b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\x1a", b"\x1d", b"\x1f", b"\x01\x02\x03", b"\x85", b"\x7f"),
    *(b"\\u0000", b"\\ud800", b"\\udfff\\ud800", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", "\u202e".encode()),
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"'", b"+", b"?", b"?'", b"\r", b"\n", b"\r\n\r\n", b"<", b">"),
    *(b"&", b"&amp;", b"&#0;", b"&#xD800;", b"&x;", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?", b"<!DOCTYPE a>"),
    *(b"UNA:+.? '", b"UNB+", b"UNH+1+CODECO:D:95B:UN'", b"UNT+2+1'", b"UNZ+1+1'", b"UNG+", b"FSU/14\n", b"QK XIYFMXX"),
    *(b"//", b"null", b"true", b"[]", b"{}", b'""', b"%00", b"../", "苏A12345".encode(), "💥".encode(), b"\xb8\xdb"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**31, 2**63, -(2**63) - 1, 2**64, 1e308, -0.0, 0.1, "", " ", "\t", "0", "-"),
    *([], {}, [[]], [None], [{}], {"": ""}, "\x00", "\ud800", "x" * 201, "é" * 600, "a:b", "container:", ":", "/"),
    *("container:" + "A" * 300, "object:" + "o" * 600, "2026-04-01", "99999999999999", "cancel", "replace", "EST"),
    *([1, "a", None], {"@value": {"@value": []}}, "CNSHG", "XXXXX", "+99:00", "urn:epc:id:sscc:1.2", "\u202e\u0000"),
)


def mutated(rng: random.Random, samples: Sequence[bytes]) -> bytes:
    """One of the samples with one to four things done to it; now and then none, which is a repetition."""
    body = rng.choice(samples)
    if rng.random() < UNCHANGED_SHARE:
        return body
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        kinds = SHAPED[shape(body)] if rng.random() < SHAPED_SHARE else BLIND
        body = rng.choice(kinds)(rng, body, samples)[:BODY_BYTES_MAX]
    return body


def shape(body: bytes) -> str:
    """json, xml, edifact or lines."""
    start = body.lstrip()[:3]
    if start[:1] in {b"{", b"["}:
        return "json"
    return "xml" if start[:1] == b"<" else "edifact" if start in {b"UNA", b"UNB"} else "lines"


def _range(rng: random.Random, body: bytes, longest: int = 40) -> tuple[int, int]:
    start = rng.randrange(len(body) + 1)
    return start, min(len(body), start + rng.randint(1, longest))


def _noise(rng: random.Random, length: int) -> bytes:
    """Text that no database can compress."""
    return bytes(rng.choices(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyz", k=length))


# --- blind ---


def flip(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    changed = bytearray(body)
    for _each in range(rng.randint(1, 8) if body else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def delete(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _range(rng, body)
    return body[:start] + body[end:]


def insert(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(body) + 1)
    put = rng.choice(ODD) if rng.random() < 0.8 else rng.randbytes(rng.randint(1, 20))
    return body[:at] + put + body[at:]


def exchange(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _range(rng, body, 8)
    return body[:start] + rng.choice(ODD) + body[end:]


def double(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _range(rng, body, 400)
    return body[:end] + body[start:end] + body[end:]


def swap(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    (a, b), (c, d) = sorted((_range(rng, body), _range(rng, body)))
    return body if b > c else body[:a] + body[c:d] + body[b:c] + body[a:b] + body[d:]


def truncate(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(body) + 1)
    return body[at:] if rng.random() < 0.2 else body[:at]


def join(rng: random.Random, body: bytes, samples: Sequence[bytes]) -> bytes:
    between = rng.choice((b"", b"", b"\n", b"\r\n", b",", b" ", b"\x00"))
    return body + between + rng.choice(samples)


def splice(rng: random.Random, body: bytes, samples: Sequence[bytes]) -> bytes:
    """The beginning of one, the end of another."""
    other = rng.choice(samples)
    return body[: rng.randrange(len(body) + 1)] + other[rng.randrange(len(other) + 1) :]


def number(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    """A run of digits becomes another one, near it or at a limit."""
    found = list(re.finditer(rb"[0-9]+", body))
    if not found:
        return body
    run = rng.choice(found)
    other = bytes(rng.choices(b"0123456789", k=len(run.group())))
    put = rng.choice((other, rng.choice(LIMITS).encode()))
    return body[: run.start()] + put + body[run.end() :]


def vary(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    """Last digits of some numbers: mostly another box, minute or reference, and a sound message."""
    changed = bytearray(body)
    found = [run.end() - 1 for run in re.finditer(rb"[0-9]+", body)]
    for at in rng.choices(found, k=rng.randint(1, 8)) if found else ():
        changed[at] = rng.choice(b"0123456789")
    return counted(bytes(changed)) if shape(body) == "edifact" and rng.random() < COUNTED_SHARE else bytes(changed)


def lengthen(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    """A word becomes very long."""
    found = list(re.finditer(rb"\w+", body))
    length = rng.randint(1, 300) if rng.random() > RARE * 5 else rng.randint(300, LONG_CHARS_MAX)
    at = rng.choice(found).end() if found else 0
    put = _noise(rng, length) if rng.random() < 0.7 else rng.choice((b"A", b"0", b" ", "港".encode())) * length
    return body[:at] + put + body[at:]


def encode(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    """The same text in another encoding, whatever the body says of itself."""
    codec = rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "gb18030", "big5", "cp037", "utf-32", "utf-7"))
    return body.decode("utf-8", "replace").encode(codec, "replace")


def nest(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    """Brackets or elements, one in another, closed or not."""
    depth = rng.randint(2, 200) if rng.random() > RARE * 2 else rng.randint(200, DEEP_MAX)
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"<a>", b"</a>"), (b"(", b")"), (b"<!--", b"-->")))
    at = rng.randrange(len(body) + 1)
    inside = body[at : at + rng.choice((0, 0, 1, 40))]
    end = closing * (depth + rng.choice((0, 0, 0, -1, 1)))
    return body[:at] + opening * depth + (inside or b"1") + (end if rng.random() < 0.7 else b"") + body[at:]


def repeat(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    """Some stretch very often."""
    start, end = _range(rng, body, 200)
    times = rng.randint(2, 20) if rng.random() > RARE else rng.randint(20, REPEATED_MAX)
    return body[:start] + body[start:end] * times + body[end:]


# --- segments, lines, elements: pieces that keep their ends ---

_PIECES = {
    "edifact": rb"[^']*'|[^']+",
    "xml": rb"<[^<>]*>|[^<>]+",
    "lines": rb"[^\n]*\n|[^\n]+",
    "json": rb"[^\n,]*[\n,]|[^,]+",
}


def pieces(rng: random.Random, body: bytes, samples: Sequence[bytes]) -> bytes:
    """A piece dropped, repeated, moved, exchanged, or taken from another sample; EDIFACT's counts mostly mended."""
    pattern = _PIECES[shape(body)]
    parts = re.findall(pattern, body) or [b""]
    at, to = rng.randrange(len(parts)), rng.randrange(len(parts))
    what = rng.randrange(6)
    if what == 0:
        del parts[at]
    elif what == 1:
        parts.insert(to, parts[at])
    elif what == 2:
        parts[at], parts[to] = parts[to], parts[at]
    elif what == 3:
        parts[at:at] = [parts[at]] * (rng.randint(1, 9) if rng.random() > RARE else rng.randint(10, REPEATED_MAX))
    else:
        parts[at : at + (what == 4)] = [rng.choice(re.findall(pattern, rng.choice(samples)) or [b""])]
    made = b"".join(parts)
    return counted(made) if shape(body) == "edifact" and rng.random() < COUNTED_SHARE else made


def component(rng: random.Random, body: bytes, samples: Sequence[bytes]) -> bytes:
    """A value between separators becomes empty, odd, or one of another sample."""
    pattern = rb"[^'+:\r\n/<>]+"
    found = list(re.finditer(pattern, body))
    if not found:
        return body
    one = rng.choice(found)
    put = rng.choice(
        (
            b"",
            rng.choice(ODD),
            rng.choice(LIMITS).encode(),
            rng.choice(re.findall(pattern, rng.choice(samples)) or [b""]),
        )
    )
    return body[: one.start()] + put + body[one.end() :]


def counted(body: bytes) -> bytes:
    """Every UNT says how many segments there are and repeats the reference, so that the message is read."""
    count, reference = 0, b""
    parts = []
    for part in re.findall(_PIECES["edifact"], body):
        said = part.lstrip()
        if said.startswith(b"UNH+"):
            count, reference = 0, said.split(b"+")[1]
        count += 1
        parts.append(b"\nUNT+%d+%s'" % (count, reference) if said.startswith(b"UNT+") else part)
    return b"".join(parts)


def declare(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    """Another encoding in the prolog than in the bytes, or none."""
    name = rng.choice((b"utf-16", b"GBK", b"gb18030", b"ISO-8859-1", b"us-ascii", b"x-unknown", b"", b"utf-7"))
    return re.sub(rb'encoding="[^"]*"', b'encoding="' + name + b'"', body)


# --- JSON that stays JSON ---


def members(rng: random.Random, body: bytes, samples: Sequence[bytes]) -> bytes:
    """Something in the tree is dropped, renamed, exchanged, wrapped, repeated or given an odd value."""
    tree = _tree(body)
    spots = [
        (holder, name)
        for holder in _holders(tree)
        for name in (holder if isinstance(holder, dict) else range(len(holder)))
    ]
    if not spots:
        return pieces(rng, body, samples)
    holder, name = rng.choice(spots)
    what = rng.randrange(8)
    if what == 0:
        del holder[name]
    elif what == 1 and isinstance(holder, dict):
        holder[str(rng.choice((*holder, "x", "", "@id", "\u0000", "ID")))] = holder.pop(name)
    elif what == 2:
        other, its = rng.choice(spots)
        holder[name], other[its] = _copy(other[its]), _copy(holder[name])
    elif what == 3:
        for _ in range(rng.randint(1, 60)):
            holder[name] = [holder[name]]
    elif what == 4 and isinstance(holder, list):
        holder[name:name] = [holder[name]] * (
            rng.randint(1, 9) if rng.random() > RARE else rng.randint(10, REPEATED_MAX)
        )
    elif what == 5:
        other, its = rng.choice([(h, n) for h, n in spots])
        holder[name] = _copy(other[its])
    else:
        holder[name] = rng.choice(VALUES)
    made = json.dumps(tree, ensure_ascii=rng.random() < 0.5, separators=(",", ":"))
    return made.encode("utf-8", "surrogatepass")


def twice(rng: random.Random, body: bytes, samples: Sequence[bytes]) -> bytes:
    """A member is there twice, under one name."""
    found = list(re.finditer(rb'"[^"\\]*"\s*:\s*(?:"[^"\\]*"|[\w.+-]+|\[[^\[\]]*\])', body))
    if not found:
        return pieces(rng, body, samples)
    one, other = rng.choice(found), rng.choice(found)
    name = one.group().partition(b":")[0]
    return body[: one.start()] + name + b":" + other.group().partition(b":")[2] + b"," + body[one.start() :]


def _tree(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _holders(tree: Any) -> list[Any]:
    """Every object and array, not deeper than the text is likely to be."""
    found: list[Any] = []
    waiting = [tree]
    while waiting and len(found) < 500:
        node = waiting.pop()
        if isinstance(node, dict | list):
            found.append(node)
            waiting += node.values() if isinstance(node, dict) else node
    return found


def _copy(node: Any) -> Any:
    return json.loads(json.dumps(node))


BLIND: tuple[Mutation, ...] = (
    *(flip, flip, delete, insert, insert, exchange, exchange, double, swap, truncate, join, splice),
    *(number, number, vary, vary, vary, lengthen, encode, nest, repeat),
)
SHAPED: dict[str, tuple[Mutation, ...]] = {
    "edifact": (vary, vary, vary, pieces, pieces, component, component, number),
    "lines": (vary, vary, vary, pieces, pieces, component, component, number),
    "xml": (vary, vary, vary, pieces, pieces, component, component, number, declare),
    "json": (vary, vary, vary, members, members, members, members, twice, pieces),
}
