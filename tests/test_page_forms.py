"""What all forms of the pages share: text or refused, done once however often they are sent, told to the trail."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from api.identity import COOKIE
from api.login.door import csrf_of
from api.trail import Trail
from domain.writer import Busy
from tests.bank_world import FIRST, SECOND, asked, billed, file, row
from tests.fixtures_node import Node
from tests.test_bank import imported, of

MONTH = "/books/2026-09"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=BB"
ONCE = re.compile(r'name="once" value="([^"]+)"')
PROPOSAL = {"step": "propose", "statement": FIRST, "item": "feed.pull", "way": "credit", "yuan": "1", "reason": "r"}


@pytest.fixture
def desk(node: Node) -> Node:
    """Two owe something, and money has come that says nothing of itself."""
    billed(node)
    for number in (FIRST, SECOND):
        asked(node, number)
    imported(node, row("T1", "2.00", "货款"))
    return node


def movement(node: Node) -> str:
    [receipt] = of(node, "waiting")
    return f"/bank/receipts/{receipt['receipt']}"


def send(node: Node, path: str, who: str = "finance", **form: str) -> Any:
    answer = node.client.post(path, data=form, headers=node.bearer(who), follow_redirects=False)
    node.catch_up()
    return answer


def told(node: Node, action: str, result: str = "ok") -> int:
    """How many acts of this name are on the trail."""
    query = """
        SELECT count(*) FROM commerce_events WHERE topic = 'access.told'
        AND convert_from(state, 'UTF8')::json->>'action' = %s
        AND coalesce(convert_from(state, 'UTF8')::json->>'result', 'ok') = %s
    """
    [(count,)] = node.rows(query, action, result)
    return int(count)


def proposals(node: Node) -> int:
    [(count,)] = node.rows("SELECT count(*) FROM commerce_events WHERE topic = 'adjustment.proposed'")
    return int(count)


def match(**more: str) -> dict[str, str]:
    return {"step": "match", "statement": FIRST, "amount": "0.40", "reason": "r", **more}


@contextmanager
def trail_busy_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The trail cannot be told of the next act, which is done by then."""
    tell, left = Trail.tell, [True]

    async def busy(self: Trail, action: str, *rest: Any, **more: Any) -> None:
        if left:
            left.pop()
            raise Busy("日志忙 / the journal is busy")
        await tell(self, action, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Trail, "tell", busy)
        yield


# --- done once ---


def test_a_match_whose_answer_was_lost_is_sent_again_and_stands_once(
    desk: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = movement(desk)
    [once, *_] = ONCE.findall(desk.get(path, "finance").text)
    with trail_busy_once(monkeypatch):
        first = send(desk, path, **match(once=once))
    assert (first.status_code, "未作任何改动" in first.text, "请再试一次" in first.text) == (409, False, True)
    assert set(ONCE.findall(first.text)) == {once}
    assert send(desk, path, **match(once=once)).status_code == 303
    assert desk.rows("SELECT amount_minor FROM bank_matches") == [(40,)]
    assert told(desk, "bank.matched") == 1


def test_a_proposal_whose_answer_was_lost_is_sent_again_and_stands_once(
    desk: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    [once, *_] = ONCE.findall(desk.get(MONTH, "finance").text)
    with trail_busy_once(monkeypatch):
        first = send(desk, MONTH, **PROPOSAL, once=once)
    assert (first.status_code, "未作任何改动" in first.text, "请再试一次" in first.text) == (409, False, True)
    assert set(ONCE.findall(first.text)) == {once}
    assert send(desk, MONTH, **PROPOSAL, once=once).status_code == 303
    assert (proposals(desk), told(desk, "adjustment.proposed")) == (1, 1)


def test_what_was_refused_keeps_its_key_and_can_be_mended(desk: Node) -> None:
    path = movement(desk)
    refused = send(desk, path, **match(amount="9", once="mine"))
    assert (refused.status_code, "未作任何改动。" in refused.text) == (409, True)
    assert set(ONCE.findall(refused.text)) == {"mine"}
    assert send(desk, path, **match(once="mine")).status_code == 303
    refused = send(desk, MONTH, **PROPOSAL | {"yuan": "none"}, once="mine")
    assert (refused.status_code, set(ONCE.findall(refused.text))) == (422, {"mine"})
    assert send(desk, MONTH, **PROPOSAL, once="mine").status_code == 303
    assert proposals(desk) == 1


def test_a_form_without_its_key_is_not_taken(desk: Node) -> None:
    path = movement(desk)
    for where, form in ((path, match()), (path, match(once="x" * 81)), (MONTH, PROPOSAL)):
        answer = send(desk, where, **form)
        assert (answer.status_code, "表单没有编号" in answer.text) == (422, True)
    assert (desk.rows("SELECT 1 FROM bank_matches"), proposals(desk)) == ([], 0)


def test_a_click_too_many_is_told_once(desk: Node) -> None:
    path = movement(desk)
    assert [send(desk, path, **match(once="1")).status_code for _ in range(3)] == [303] * 3
    assert [send(desk, MONTH, **PROPOSAL, once="1").status_code for _ in range(3)] == [303] * 3
    assert (told(desk, "bank.matched"), told(desk, "adjustment.proposed")) == (1, 1)


def test_the_same_words_in_another_form_are_another_act(desk: Node) -> None:
    path = movement(desk)
    send(desk, path, **match(once="1"))
    [(payment,)] = desk.rows("SELECT payment FROM bank_matches")
    assert send(desk, path, step="undo", payment=payment, reason="r", once="2").status_code == 303
    assert send(desk, path, **match(once="3")).status_code == 303
    assert len(desk.rows("SELECT 1 FROM bank_matches")) == 2
    assert (told(desk, "bank.matched"), told(desk, "bank.unmatched")) == (2, 1)


# --- refused, and told ---


def test_who_asks_for_what_is_not_there_or_not_theirs_stands_on_the_trail_once(desk: Node) -> None:
    for path, who, form in (
        (movement(desk), "finance", {"step": "pay-out", "refund": "RF-9", "once": "1"}),
        ("/bank/receipts/R-none", "finance", {"step": "set-aside", "reason": "r", "once": "1"}),
        (MONTH, "finance", {"step": "resume", "number": "KS-209901-000001"}),
        ("/fapiao/KS-202609-000099", "finance", {"step": "request", "kind": "ordinary", "name": "n"}),
        (f"/statements/{SECOND}/fapiao", "logistics", {"kind": "ordinary", "name": "n"}),
        (f"/statements/{SECOND}/remake", "logistics", {}),
        ("/dunning", "logistics", {}),
        ("/bank", "logistics", {}),
    ):
        before = told(desk, "access", "denied")
        answer = send(desk, path, who, **form)
        assert answer.status_code in {403, 404}, path
        assert told(desk, "access", "denied") - before == 1, path
    before = told(desk, "access", "denied")
    assert desk.get(f"/statements/{FIRST}", "enterprise").status_code == 404
    assert told(desk, "access", "denied") - before == 1


def test_a_journal_that_is_busy_is_no_fault_of_a_page(desk: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(*_: Any, **__: Any) -> None:
        raise Busy("日志忙 / the journal is busy")

    for name in ("bank_desk.matched_again", "dunning.run_by"):
        monkeypatch.setattr(f"api.{name}", busy)
    for page in ("fapiao", "reconciliation"):
        monkeypatch.setattr(f"api.portal.{page}.carry_out", busy)
    form = {"item": "feed.pull", "tax_code": "3" * 19, "short": "s", "kind": "ordinary", "name": "n"}
    for path in ("/bank/match", "/dunning", "/fapiao", f"/fapiao/{FIRST}", "/reconciliation/2026-09"):
        answer = send(desk, path, **form, step="sign" if "reconciliation" in path else "request")
        said = ("请再试一次" in answer.text, "未作任何改动" in answer.text)
        assert (answer.status_code, *said) == (409, True, False), path


# --- read as text, or refused ---


def part(name: str, value: bytes, kind: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"' + (f"\r\nContent-Type: {kind}" if kind else "")
    return b"--BB\r\n" + head.encode() + b"\r\n\r\n" + value + b"\r\n"


BODIES = {
    "no UTF-8": part("step", b"\xff\xfe"),
    "no boundary in it": b"xx",
    "cut off": b'--BB\r\nContent-Disposition: form-data; name="step"\r\n\r\nabc',
    **{
        f"{charset} {value!r}": part("step", value, f"text/plain; charset={charset}")
        for charset, value in (
            ("bogus", b"x"),
            ("rot13", b"x"),
            ("zlib", b"x"),
            ("idna", b"xn--\xff"),
            ('"a\x00"', b"x"),
            ("utf-7", b"+2AA-"),
            ("unicode_escape", rb"\ud800"),
            ("utf-16", b"\x00\xd8"),
            ("latin-1", b"x"),
        )
    },
    "folded": part("step", b"+2AA-", "text/plain;\r\n\tcharset=utf-7"),
    "twice": part("step", b"x", "text/plain; charset=utf-8; charset=utf-7"),
    "too many": part("a", b"x") * 1_001,
}
PATHS = (
    *("/bank", "/bank/match", "{movement}", MONTH, "/fapiao", f"/fapiao/{FIRST}", f"/statements/{FIRST}/fapiao"),
    *("/dunning", "/reconciliation/2026-09"),
)


def test_what_is_no_text_is_refused_on_every_page(desk: Node) -> None:
    headers = desk.bearer("finance") | {"Content-Type": MULTIPART}
    for path in (each.format(movement=movement(desk)) for each in PATHS):
        for name, body in BODIES.items():
            whole = body + (b"--BB--\r\n" if body.endswith(b"\r\n") else b"")
            answer = desk.client.post(path, content=whole, headers=headers, follow_redirects=False)
            if path == "/bank/match":  # nothing is typed into it
                continue
            assert answer.status_code == 422, (path, name, answer.text)
            assert "text/html" in answer.headers["content-type"], (path, name)


def test_utf_8_may_be_said(desk: Node) -> None:
    fields = match(once="1").items()
    for kind in ("text/plain; charset=UTF-8", 'text/plain; charset="utf-8"', "text/plain"):
        body = b"".join(part(name, value.encode(), kind) for name, value in fields) + b"--BB--\r\n"
        headers = desk.bearer("finance") | {"Content-Type": MULTIPART}
        answer = desk.client.post(movement(desk), content=body, headers=headers, follow_redirects=False)
        assert answer.status_code == 303, answer.text
    rows = file(row("T9", "0.55", "charset=utf-7")) + b"\r\nContent-Type: text/plain; charset=utf-7\r\n"
    answer = desk.client.post("/bank", files={"file": ("charset.csv", rows)}, headers=desk.bearer("finance"))
    assert "新增 1 笔" in answer.text


def test_half_a_character_does_not_trip_the_door(desk: Node) -> None:
    desk.client.post("/sign-in", data={"key": desk.keys["finance"], "next": "/bank"}, follow_redirects=False)
    for kind, body, status in (
        (MULTIPART, part("csrf", b"+2AA-", "text/plain; charset=utf-7") + b"--BB--\r\n", 422),
        (MULTIPART, part("csrf", b"\xed\xa0\x80") + b"--BB--\r\n", 422),
        (FORM, b"csrf=%ED%A0%80", 403),
        (FORM, b"csrf=\xff", 403),
    ):
        answer = desk.client.post("/bank", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status, (body, answer.text)
    desk.client.cookies.clear()


def test_a_nul_is_told_on_the_page(desk: Node) -> None:
    for path, form in (
        (MONTH, {"step": "resume", "number": "a\x00b"}),
        (MONTH, PROPOSAL | {"reason": "a\x00b", "once": "1"}),
        (f"/fapiao/{FIRST}", {"step": "record", "number": "a\x00b"}),
        ("/fapiao", {"item": "feed.pull", "short": "a\x00b"}),
        (f"/statements/{FIRST}/fapiao", {"kind": "ordinary", "name": "a\x00b"}),
        ("/reconciliation/2026-09", {"step": "accept", "break": "a\x00b", "reason": "r"}),
    ):
        answer = send(desk, path, "logistics" if path.startswith("/statements") else "finance", **form)
        assert (answer.status_code, "不可显示的字符" in answer.text) == (422, True), answer.text
        assert "text/html" in answer.headers["content-type"], path


# --- the page around it ---


def test_after_a_form_the_other_language_is_a_click_away(desk: Node) -> None:
    for path, who, form, to in (
        ("/bank/match", "finance", {}, "/bank"),
        ("/bank?state=all", "finance", {}, "/bank?state=all"),
        (movement(desk), "finance", {"step": "dance"}, movement(desk)),
        (f"/statements/{FIRST}/fapiao", "logistics", {"kind": "x"}, f"/statements/{FIRST}"),
        (f"/statements/{FIRST}/remake", "logistics", {}, f"/statements/{FIRST}"),
        (MONTH, "finance", {"step": "burn"}, MONTH),
    ):
        answer = send(desk, path, who, **form)
        [link] = re.findall(r'class="lang" href="([^"]+)"', answer.text)
        assert link.replace("&amp;", "&").startswith(to + ("&" if "?" in to else "?") + "lang="), (path, link)
        assert desk.get(link.partition("?")[0], who).status_code == 200, link


def test_what_the_answer_needs_is_read_before_anything_is_done(desk: Node) -> None:
    files = {"file": ("a.csv", file(row("T9", "0.55", "q")), "text/csv")}
    assert desk.client.post("/bank?after=x", files=files, headers=desk.bearer("finance")).status_code == 422
    assert len(of(desk)) == 1
    classified = {"item": "feed.pull", "tax_code": "3" * 19, "short": "s"}
    answer = send(desk, "/fapiao", **classified, month="zzz")
    assert (answer.status_code, "账期应写作" in answer.text) == (422, True)
    assert desk.rows("SELECT 1 FROM commerce_events WHERE topic LIKE 'fapiao%%'") == []
    assert send(desk, "/fapiao", **classified, month="2026-09").status_code == 303


def test_a_form_needs_the_token_of_its_session(desk: Node) -> None:
    client = desk.client
    client.post("/sign-in", data={"key": desk.keys["finance"], "next": "/bank"}, follow_redirects=False)
    token = csrf_of(client.cookies[COOKIE])
    path = movement(desk)
    assert client.post(path, data=match(once="1"), follow_redirects=False).status_code == 403
    assert client.post(path, data=match(once="1", csrf=token), follow_redirects=False).status_code == 303
    client.cookies.clear()
