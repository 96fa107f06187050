"""XML and JSON messages with the same field names, as customs systems in China send them, read into one shape.

Names lose their prefix, underscores and case (`ENTRY_ID`, `cus:EntryId`, `EntryId`), for the systems disagree about
them. A tree holds, under each name, the values in their order: texts and trees. XML is cut by its tags and each message
parsed alone, so one that is broken harms no other; document types and entities are refused. Offsets are bytes.
Source: XML 1.0 (expat); declared encodings UTF-8, GBK and GB 18030.
"""

import re
from typing import Any, Union
from xml.parsers import expat

import msgspec

from api import limits
from api.formats import jsonslices
from domain.report import Fault

Tree = dict[str, list[Union[str, "Tree"]]]


class Message(msgspec.Struct):
    """One message, or what should have been one and why it is not."""

    start: int
    end: int
    tree: Tree
    fault: Fault | None = None


def messages(body: bytes, slug: str, elements: tuple[str, ...]) -> list[Message]:
    """Elements of these names in XML, or the elements of a JSON array (or one object).

    >>> [message.tree for message in messages(b"<A><b>1</b></A>", "x", ("A",)) + messages(b'{"B": 1}', "x", ("A",))]
    [{'b': ['1']}, {'b': ['1']}]
    """
    if not body.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return [_json_message(body, where, slug) for where in jsonslices.slices(body)]
    encoding = _encoding(body)
    fault = _refusal(body, encoding, slug)
    if fault is not None:
        return [Message(0, len(body), {}, fault)]
    return [_xml_message(body, where, slug, encoding) for where in _xml_slices(body, elements)]


def texts(tree: Tree, *names: str) -> list[str]:
    """Every text under these names, however deep; empty ones left out.

    >>> texts({"nos": [{"no": ["A", "B"]}, "C"]}, "nos")
    ['A', 'B', 'C']
    """
    found = []
    for name in names:
        for value in tree.get(name, ()):
            found += texts(value, *value) if isinstance(value, dict) else [value] if value else []
    return found


def text(tree: Tree, *names: str) -> str:
    """The first text under the first of these names that has one, else empty."""
    return next(iter(texts(tree, *names)), "")


def inner(tree: Tree, name: str) -> list[Tree]:
    """The trees under this name."""
    return [value for value in tree.get(name, ()) if isinstance(value, dict)]


# --- JSON ---


def _json_message(body: bytes, where: jsonslices.Slice, slug: str) -> Message:
    loaded = jsonslices.load(body, where, _decode, slug)
    if isinstance(loaded, Fault):
        return Message(*where, {}, loaded)
    try:
        return Message(*where, _json_tree(loaded, limits.DEPTH_MAX))
    except RecursionError:
        return Message(*where, {}, Fault(f"{slug}.depth", "嵌套过深 / nested too deeply", where[0]))


def _json_tree(node: dict[str, Any], depth: int) -> Tree:
    if not depth:
        raise RecursionError
    tree: Tree = {}
    for name, value in node.items():
        values = value if isinstance(value, list) else [value]
        tree.setdefault(_plain(name), []).extend(_json_value(item, depth - 1) for item in values)
    return tree


def _json_value(value: Any, depth: int) -> str | Tree:
    if isinstance(value, dict):
        return _json_tree(value, depth)
    if isinstance(value, list):
        return _json_tree({"": value}, depth)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value).strip()


def _plain(name: str) -> str:
    return name.rpartition(":")[2].replace("_", "").lower()


# --- XML ---


def _encoding(body: bytes) -> str:
    """As declared, made one that Python can read; "" if that is none of ours."""
    declared = _DECLARED.match(body)
    return _ENCODINGS.get(declared[1].decode().lower(), "") if declared else "utf-8"


def _refusal(body: bytes, encoding: str, slug: str) -> Fault | None:
    if not encoding:
        return Fault(f"{slug}.encoding", "不支持的编码 / the declared encoding is not supported", 0, "?xml")
    if (found := _DOCTYPE.search(body)) is not None:
        detail = "不接受文档类型或实体声明 / document type and entity declarations are refused"
        return Fault(f"{slug}.doctype", detail, found.start(), "!DOCTYPE")
    return None


def _xml_slices(body: bytes, elements: tuple[str, ...]) -> list[jsonslices.Slice]:
    """The elements, and each stretch between them that holds any text; the whole body if it has no such element."""
    names = "|".join(map(re.escape, elements)).encode()
    tags = re.compile(
        _SKIPPED + rb"|<(?P<end>/?)(?:[\w.-]+:)?(?:" + names + rb")(?=[\s/>])[^<>]*>", re.DOTALL | re.IGNORECASE
    )
    found: list[jsonslices.Slice] = []
    begun = -1
    for tag in tags.finditer(body):
        if tag["end"] is None:  # a comment or CDATA
            continue
        if tag["end"] or tag.group().endswith(b"/>"):
            found.append((tag.start() if begun < 0 else begun, tag.end()))
            limits.check_messages(len(found))
            begun = -1
        else:
            if begun >= 0:  # the one before was never closed
                found.append((begun, tag.start()))
            begun = tag.start()
    if begun >= 0:
        found.append((begun, len(body)))
    return _with_gaps(body, found) if found else [(0, len(body))]


def _with_gaps(body: bytes, found: list[jsonslices.Slice]) -> list[jsonslices.Slice]:
    """Nothing is dropped: text outside the messages is a message of its own, which will not parse."""
    whole: list[jsonslices.Slice] = []
    done = 0
    for start, end in [*found, (len(body), len(body))]:
        if _TAGS.sub(_left, body[done:start]).removeprefix(b"\xef\xbb\xbf").strip():
            whole.append((done, start))
        if start < end:
            whole.append((start, end))
        done = end
    return whole


def _left(tag: re.Match[bytes]) -> bytes:
    """A tag and a comment say nothing; a comment that never ends may have swallowed something."""
    return b"" if tag["unended"] is None else b"?"


def _xml_message(body: bytes, where: jsonslices.Slice, slug: str, encoding: str) -> Message:
    start, end = where
    raw = body[start:end].removeprefix(b"\xef\xbb\xbf")
    try:
        decoded = _PROLOG.sub("", raw.decode(encoding), count=1)
    except UnicodeDecodeError as error:
        detail = f"不是 {encoding} 编码 / not {encoding}: {error.reason}"
        return Message(start, end, {}, Fault(f"{slug}.encoding", detail, start + error.start))
    builder = _Builder()
    try:
        builder.parse(decoded)
    except expat.ExpatError as error:
        detail = f"不是合法的 XML / not well-formed XML: {error}"
        return Message(start, end, {}, Fault(f"{slug}.xml", detail, start))
    except RecursionError:
        return Message(start, end, {}, Fault(f"{slug}.depth", "嵌套过深 / nested too deeply", start))
    return Message(start, end, builder.root)


class _Builder:
    """One element's content as a tree; text beside inner elements stands under the name ""."""

    def __init__(self) -> None:
        self.root: Tree = {}
        self.open: list[Tree] = []
        self.said: list[list[str]] = []

    def parse(self, document: str) -> None:
        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.buffer_text = True
        parser.Parse(document.encode(), True)

    def _start(self, _name: str, _attributes: dict[str, str]) -> None:
        if len(self.open) >= limits.DEPTH_MAX:
            raise RecursionError
        self.open.append({})
        self.said.append([])

    def _text(self, said: str) -> None:
        self.said[-1].append(said)

    def _end(self, name: str) -> None:
        tree, said = self.open.pop(), "".join(self.said.pop()).strip()
        if not self.open:
            self.root = tree | ({"": [said]} if said else {})
        elif tree:
            if said:
                tree[""] = [said]
            self.open[-1].setdefault(_plain(name), []).append(tree)
        else:
            self.open[-1].setdefault(_plain(name), []).append(said)


_decode = msgspec.json.Decoder(dict[str, Any]).decode
_ENCODINGS = dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii"), "utf-8") | dict.fromkeys(
    ("gb2312", "gbk", "gb18030", "cp936"), "gb18030"
)
_DECLARED = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"']")
_PROLOG = re.compile(r"\s*<\?xml[^>]*\?>\s*")
_DOCTYPE = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_SKIPPED = rb"<!--(?:.*?-->|.*)|<!\[CDATA\[(?:.*?\]\]>|.*)"
_TAGS = re.compile(rb"<!--(?:.*?-->|(?P<unended>.*))|<(?!!\[CDATA\[)[^<>]*>", re.DOTALL)
