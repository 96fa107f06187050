"""The quarantine desk as pages: for operators, from our own forms, in both languages."""

from html import unescape
from typing import Any
from uuid import uuid4

import pytest

from api.identity import COOKIE
from api.login.door import csrf_of
from tests.fixtures_node import Node
from tests.test_quarantine_api import MISCOUNTED, TRUNCATED, WHOLE, quarantined, show, subjects

ELSEWHERE = {"Sec-Fetch-Site": "cross-site"}


def operator(node: Node, who: str = "operator") -> None:
    node.client.post("/sign-in", data={"key": node.keys[who]}, follow_redirects=False)


def send(node: Node, path: str, headers: dict[str, str] | None = None, **form: str) -> Any:
    form = {"csrf": csrf_of(node.client.cookies.get(COOKIE) or ""), **form}
    return node.client.post(path, data=form, headers=headers or {}, follow_redirects=False)


def text(answer: Any) -> str:
    return unescape(" ".join(answer.text.split()))


def test_an_operator_sees_the_open_messages_and_how_many_there_are_of_each_state(node: Node) -> None:
    message_id = quarantined(node, "codeco", TRUNCATED)
    operator(node)
    for lang, words in (("zh", ("隔离台", "待处理", "首次出现")), ("en", ("Quarantine", "Open", "First seen"))):
        shown = text(node.client.get("/quarantine", params={"lang": lang}))
        for part in (*words, f'href="/quarantine/{message_id}"', "edifact.truncated", "terminal"):
            assert part in shown, part
    assert message_id not in node.client.get("/quarantine", params={"state": "mended"}).text
    assert 'href="/quarantine"' in node.client.get("/").text


def test_the_page_of_a_message_marks_the_place_and_offers_what_can_be_done(node: Node) -> None:
    message_id = quarantined(node, "codeco", MISCOUNTED.replace(b"SU A12345", b"<script>alert(1)</script>"))
    operator(node)
    answer = node.client.get(f"/quarantine/{message_id}")
    assert "<script" not in answer.text
    shown = text(answer)
    for part in ("CNT+16:1'<mark>▶</mark>UNT+9+1'", "UNT 声明", f"/v1/quarantine/{message_id}/bytes", "我确认计数不符"):
        assert part in shown, part
    assert node.client.get(f"/v1/quarantine/{message_id}/bytes").content in MISCOUNTED.replace(
        b"SU A12345", b"<script>alert(1)</script>"
    )


def test_counts_are_accepted_on_the_page_and_the_message_is_recorded(node: Node) -> None:
    message_id = quarantined(node, "codeco", MISCOUNTED)
    operator(node)
    again = send(node, f"/quarantine/{message_id}/replay")
    assert (again.status_code, "重新读入后仍有故障" in again.text) == (200, True)
    answer = send(node, f"/quarantine/{message_id}/replay", override="count")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/quarantine/{message_id}")
    assert subjects(node) == ["container:CSQU3054383"]
    shown = text(node.client.get(f"/quarantine/{message_id}"))
    assert "计数不符，经操作员 operator 确认" in shown
    assert "<button>重新读入" not in shown


def test_a_message_is_read_under_another_format_from_the_page(node: Node) -> None:
    message_id = quarantined(node, "native", WHOLE)
    operator(node)
    assert send(node, f"/quarantine/{message_id}/replay", format="codeco").status_code == 303
    assert show(node, message_id)["item"]["state"] == "mended"
    answer = send(node, f"/quarantine/{message_id}/replay")
    assert (answer.status_code, "已处理" in answer.text) == (409, True)


def test_a_message_is_dismissed_with_a_reason_from_the_page(node: Node) -> None:
    message_id = quarantined(node, "codeco", TRUNCATED)
    operator(node)
    assert send(node, f"/quarantine/{message_id}/dismiss", reason=" ").status_code == 422
    assert send(node, f"/quarantine/{message_id}/dismiss", reason="重复发送").status_code == 303
    item = show(node, message_id)["item"]
    assert (item["state"], item["reason"], item["resolved_by"]) == ("dismissed", "重复发送", "operator")
    assert send(node, f"/quarantine/{message_id}/dismiss", reason="again").status_code == 409


@pytest.mark.parametrize("path", ["replay", "dismiss"])
def test_the_forms_are_taken_from_our_own_pages_only(node: Node, path: str) -> None:
    message_id = quarantined(node, "codeco", MISCOUNTED)
    operator(node)
    where = f"/quarantine/{message_id}/{path}"
    assert send(node, where, ELSEWHERE, override="count", reason="x").status_code == 403
    send(node, "/sign-out")
    assert send(node, where, override="count", reason="x").status_code == 401
    operator(node, "source")
    assert send(node, where, override="count", reason="x").status_code == 403
    assert show(node, message_id)["item"]["state"] == "open"


def test_the_desk_is_for_operators_and_asks_strangers_to_sign_in(node: Node) -> None:
    message_id = quarantined(node, "codeco", TRUNCATED)
    for path in ("/quarantine", f"/quarantine/{message_id}"):
        answer = node.client.get(path)
        assert (answer.status_code, f'name="next" value="{path}"' in answer.text) == (401, True)
    operator(node, "enterprise")
    for path in ("/quarantine", f"/quarantine/{message_id}"):
        assert node.client.get(path).status_code == 403
    assert 'href="/quarantine"' not in node.client.get("/").text
    operator(node)
    assert node.client.get(f"/quarantine/{uuid4()}").status_code == 404
    assert node.client.get("/quarantine", params={"after": "x"}).status_code == 422
