"""The pages: who may see them, what they show of an answer, and what a stranger cannot make them do."""

from html import unescape
from typing import Any

import msgspec
import pytest

from api.answer import Answer
from api.identity import COOKIE
from api.login.door import csrf_of
from api.portal import language, pages, view
from api.portal.pages import local
from tests import sample_answers
from tests.fixtures_node import Node
from tests.test_report_api import GATE_IN

NUMBER = "/track/CSQU3054383"


def timeline(answer: Answer, lang: language.Lang = "zh") -> str:
    arranged = view.arrange(answer, lang, sample_answers.NOW)
    text = language.render(lang, "timeline.html", account=None, switch="?lang=en", next_path="", timeline=arranged)
    return unescape(" ".join(text.split()))


def item(text: str, number: int) -> str:
    """The part of the page that shows one line."""
    start = text.index(f'<li id="f-{sample_answers.fact(number)}"')
    return text[start : text.index("</li>", start)]


def sign_in(node: Node, who: str = "enterprise", **form: str) -> Any:
    data = {"key": node.keys[who], "next": NUMBER} | form
    return node.client.post("/sign-in", data=data, follow_redirects=False)


# --- what a timeline shows ---


def test_a_line_shows_time_zone_class_mode_place_and_where_it_came_from() -> None:
    text = item(timeline(sample_answers.box()), 1)
    shown = ("14:20", "中欧夏令时间", "实际", "海运", "鹿特丹", "21,450 kg", "重箱", "NL884120")
    for part in (*shown, "port.rotterdam", "由地点得知", "2026-10-12 03:01:07 UTC"):
        assert part in text, part


def test_actual_expected_and_planned_lines_look_different_and_say_so() -> None:
    text = timeline(sample_answers.box())
    for number, (mark, word) in {15: ("ACT", "实际"), 16: ("EST", "预计"), 17: ("PLN", "计划")}.items():
        assert f'class="line {mark}' in item(text, number)
        assert f'<span class="class {mark}">{word}</span>' in item(text, number)


def test_a_corrected_line_is_struck_and_leads_to_the_one_that_replaced_it_and_back() -> None:
    text = timeline(sample_answers.box())
    old, new = item(text, 2), item(text, 3)
    assert "gone" in old.partition(">")[0]
    assert "已更正" in old
    assert f'href="#f-{sample_answers.fact(3)}"' in old
    assert f'href="#f-{sample_answers.fact(2)}"' in new


def test_a_retracted_line_says_who_took_it_back_when_and_why() -> None:
    text = item(timeline(sample_answers.box()), 8)
    assert "由 port.yangshan 于 2026-10-12 05:20:00 UTC 撤回：报错箱号" in text


def test_a_line_of_two_witnesses_names_both() -> None:
    assert "carrier.cosco、tally.shanghai 也这样报告" in item(timeline(sample_answers.box()), 7)


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("zh", ("发生时间", "来源所述", "报文时间", "报文未给出", "记录时间", "本口岸时钟", "记录序号", "记入的先后")),
        ("en", ("Happened at", "as the source states", "Message sent at", "not given", "Recorded at", "Position")),
    ],
)
def test_the_four_times_of_a_line_are_told_apart(lang: language.Lang, words: tuple[str, ...]) -> None:
    answer = sample_answers.box()
    unsent = msgspec.structs.replace(answer.lines[6], sent_at=None)
    arranged = view.arrange(msgspec.structs.replace(answer, lines=[unsent]), lang, sample_answers.NOW)
    text = language.render(lang, "timeline.html", account=None, switch="", next_path="", timeline=arranged)
    assert [word for word in words if word not in text] == []
    assert f"{unsent.happened_at} ·" in text
    assert f"<dd>{unsent.position} ·" in text


def test_an_assumed_zone_and_a_warning_are_seen_without_opening_anything() -> None:
    text = timeline(sample_answers.box())
    for number, part in ((15, "时区为推定"), (12, "Receipt code 'S' is read differently")):
        assert part in item(text, number).partition("<details")[0]


def test_part_of_a_consignment_says_how_many_of_how_many_in_both_languages() -> None:
    assert "5 / 12 件" in item(timeline(sample_answers.waybill()), 4)
    assert "5 / 12 pieces" in item(timeline(sample_answers.waybill(), "en"), 4)


def test_what_a_source_wrote_is_text_never_markup() -> None:
    answer = sample_answers.box()
    nasty = msgspec.structs.replace(answer.lines[0], transport="<script>alert(1)</script>", text='"><img src=x>')
    arranged = view.arrange(msgspec.structs.replace(answer, lines=[nasty]), "zh", sample_answers.NOW)
    text = language.render("zh", "timeline.html", account=None, switch="", next_path="", timeline=arranged)
    assert "<script" not in text
    assert "<img src=x" not in text


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_linked_numbers_are_links_with_their_latest_milestone(lang: language.Lang) -> None:
    text = timeline(sample_answers.box(), lang)
    assert 'href="/track/COSU6384512370"' in text
    assert {"zh": "放行 · 洋山海关", "en": "Released · Yangshan Customs"}[lang] in text


def test_what_comes_next_is_the_first_line_that_is_not_yet_actual() -> None:
    arranged = view.arrange(sample_answers.box(), "zh", sample_answers.NOW)
    shown = [line and (line.code, line.place, line.position) for line in (arranged.expected, arranged.destination)]
    assert shown == [("BARGE_ARR", "CNNKG", 16)] * 2


def test_the_rest_of_a_part_shipment_is_still_expected() -> None:
    assert [line.pieces for line in view.expected(sample_answers.air_lines())] == [7]


def test_an_estimate_that_came_true_is_no_longer_expected() -> None:
    lines = sample_answers.box_lines()
    arrived = msgspec.structs.replace(lines[15], position=99, fact_id=sample_answers.fact(99), classifier="ACT")
    assert [line.code for line in view.expected([*lines, arrived])] == ["BARGE_DISC", "GATE_OUT"]


def test_days_are_those_of_the_place_and_now_stands_between_past_and_future() -> None:
    arranged = view.arrange(sample_answers.box(), "zh", sample_answers.NOW)
    assert [step.line.position for day in arranged.days for step in day.steps] == list(range(1, 19))
    assert arranged.days[1].title == "2026年9月10日 星期四"
    assert [step.line.position for day in arranged.days for step in day.steps if step.is_next] == [16]


# --- who may see what ---


def test_a_stranger_is_asked_to_sign_in_and_comes_back_to_the_number(node: Node) -> None:
    answer = node.client.get(NUMBER)
    assert answer.status_code == 401
    assert f'name="next" value="{NUMBER}"' in answer.text
    assert "WWW-Authenticate" in answer.headers


def test_after_signing_in_the_timeline_is_shown_and_its_delivery_recorded(node: Node) -> None:
    node.tell(GATE_IN)
    answer = sign_in(node)
    assert (answer.status_code, answer.headers["location"]) == (303, NUMBER)
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in (COOKIE, "httponly", "samesite=lax"))
    assert "secure" not in cookie
    shown = node.client.get(NUMBER)
    assert (shown.status_code, "重箱进港（进闸）" in shown.text) == (200, True)
    node.catch_up()
    rows = node.rows("SELECT account, item, item_class, result FROM usage_entries")
    assert rows == [("trader", "track.query", "government", "ok")]


def test_the_cookie_is_for_https_only_where_the_page_came_by_https(node: Node) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    answer = node.client.post(
        "/sign-in", data={"key": node.keys["enterprise"]}, headers=headers, follow_redirects=False
    )
    assert "; Secure" in answer.headers["set-cookie"]


def test_a_wrong_key_is_told_so_and_opens_nothing(node: Node) -> None:
    for key in ("", "kouan_x", node.keys["enterprise"][:-1] + "0"):
        answer = sign_in(node, key=key)
        assert (answer.status_code, "密钥无效" in answer.text) == (401, True)
        assert COOKIE not in answer.cookies


def test_signing_out_ends_the_session_itself_not_only_the_cookie(node: Node) -> None:
    sign_in(node)
    token = node.client.cookies[COOKIE]
    assert node.client.post("/sign-out", data={"csrf": csrf_of(token)}, follow_redirects=False).status_code == 303
    node.client.cookies.set(COOKIE, token)
    assert node.client.get("/usage").status_code == 401


def test_an_unknown_number_is_a_readable_page_in_either_language(node: Node) -> None:
    for lang, words in (("zh", "没有查到"), ("en", "Nothing found")):
        answer = node.get("/track/TOLU4734787", lang=lang)
        assert (answer.status_code, words in answer.text) == (404, True)


def test_the_search_box_leads_to_the_page_of_the_number(node: Node) -> None:
    for typed, path in (
        (" csqu 305438-3 ", NUMBER),
        ("074-1234 5675", "/track/07412345675"),
        ("2223 2026 1 000012345", "/track/222320261000012345"),
        ("COSU 6123", "/track/COSU%206123"),
        ("苏A12345", "/track/%E8%8B%8FA12345"),
        ("A/B", "/track/A%2FB"),
        ("", "/"),
    ):
        answer = node.client.get("/track", params={"number": typed}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, path)


def test_english_is_remembered_and_chinese_is_the_default(node: Node) -> None:
    assert 'lang="zh-CN"' in node.client.get("/").text
    assert '<html lang="en">' in node.client.get("/?lang=en").text
    assert '<html lang="en">' in node.client.get("/sign-in").text
    assert '<html lang="zh-CN">' in node.client.get("/?lang=zh").text


def test_home_shows_what_is_free_and_what_is_paid(node: Node) -> None:
    text = node.client.get("/").text
    assert all(part in text for part in ("免费，无价格", "每条 0.02 元", "feed.pull/sample-2026", 'href="/schema"'))


def test_usage_shows_finance_every_account_and_others_their_own(node: Node) -> None:
    node.tell(GATE_IN)
    node.get("/v1/track/CSQU3054383")
    node.get("/v1/track/CSQU3054383", who="logistics")
    node.get("/v1/feed", who="logistics")
    node.catch_up()
    everything, own = node.get("/usage", who="finance").text, node.get("/usage").text
    assert ("trader" in everything, "mover" in everything) == (True, True)
    assert (">trader<" in own, "mover" in own) == (True, False)
    assert node.client.get("/usage").status_code == 401


# --- what a stranger cannot do ---


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://proxied.example"}, 303),
        ({"Origin": "http://testserver.local"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_forms_are_taken_from_our_own_pages_only(node: Node, headers: dict[str, str], status: int) -> None:
    for path in ("/sign-in", "/sign-out"):
        data = {"key": node.keys["enterprise"], "csrf": csrf_of(node.client.cookies.get(COOKIE) or "")}
        assert node.client.post(path, data=data, headers=headers, follow_redirects=False).status_code == status


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/\t/evil.example", "/a\nb"]
)
def test_signing_in_never_leads_to_another_site(node: Node, path: str) -> None:
    assert local(path) == "/"
    assert sign_in(node, next=path).headers["location"] == "/"


def test_pages_allow_no_script_no_frame_and_no_copy_in_a_cache(node: Node) -> None:
    for answer in (node.client.get("/"), node.client.get(NUMBER), node.get("/track/TOLU4734787")):
        headers = answer.headers
        assert headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"


def test_templates_have_no_script_and_no_style_of_their_own() -> None:
    for path in language.TEMPLATES.glob("*.html"):
        text = path.read_text()
        assert not any(part in text for part in ("<script", "<style", " style=", " onclick", "http://", "https://")), (
            path
        )


def test_the_pages_are_not_part_of_the_api_description(node: Node) -> None:
    paths = node.client.get("/schema/openapi.json").json()["paths"]
    assert "/v1/track/{number}" in paths or any(path.startswith("/v1/track") for path in paths)
    assert not {"/", "/usage", "/sign-in", "/static/{file_path}"} & set(paths)


def test_the_style_sheet_is_served_under_an_address_that_changes_with_it(node: Node) -> None:
    answer = node.client.get(language.static("portal.css"))
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/css")
    assert f"max-age={pages.STATIC_SECONDS}" in answer.headers["cache-control"]


def test_a_logistics_object_is_found_by_its_address(node: Node) -> None:
    address = "https://1r.example/logistics-objects/piece-7"
    node.tell({**GATE_IN, "id": "o1", "subject": f"object:{address}"})
    sign_in(node)
    answer = node.client.get("/track", params={"number": address})
    assert (answer.status_code, address in answer.text) == (200, True)
