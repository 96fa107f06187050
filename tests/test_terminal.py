"""Tables for the terminal: whole in a pipe, aligned with wide characters, safe whatever a source wrote."""

from io import StringIO

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from api import terminal
from api.answer import Answer
from tests import sample_answers


def printed(table: RenderableType, columns: int, *, screen: bool = False) -> str:
    text = StringIO()
    console = Console(file=text, width=columns, force_terminal=screen, color_system="truecolor" if screen else None)
    console.print(table)
    return text.getvalue()


def box(lang: str = "zh", columns: int = 150) -> str:
    return printed(terminal.timeline_table(sample_answers.box(), lang), columns)


def row(text: str, part: str) -> str:
    return next(line for line in text.splitlines() if part in line)


@pytest.mark.parametrize("columns", [80, 100, 120, 130, 160])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_no_line_is_wider_than_the_screen_and_nothing_is_cut_off(columns: int, lang: str) -> None:
    text = box(lang, columns)
    assert max(cell_len(line) for line in text.splitlines()) <= columns
    assert "…" not in text
    for told in sample_answers.box_lines():
        assert text.count(told.happened_at[:10]) >= 1


def test_a_pipe_gets_no_escape_sequences_and_a_screen_gets_them() -> None:
    table = terminal.timeline_table(sample_answers.box(), "zh")
    assert "\x1b" not in printed(table, 150)
    assert "\x1b[" in printed(table, 150, screen=True)


def test_the_header_says_what_it_is_where_it_is_and_that_it_was_free() -> None:
    text = box()
    assert "集装箱 CSQU3054383   政务服务 · 免费" in text
    assert "鹿特丹 → 上海洋山 · 海运 → 内河" in text
    assert "驳船（支线）开航 Barge departed · 上海洋山 · 2026-10-12 11:00 +08:00" in row(text, "最新")
    assert "报关单 222320261000012345 · 放行 Released" in text


def test_a_milestone_is_told_in_both_languages_and_the_rest_in_the_readers() -> None:
    for lang, words in (("zh", ("实际", "鹿特丹", "海运")), ("en", ("Actual", "Rotterdam", "Sea"))):
        line = row(box(lang, 170), "Laden gate-in")
        assert "重箱进港（进闸） Laden gate-in" in line
        assert all(word in line for word in (*words, "2026-09-08 14:20 +02:00", "port.rotterdam"))


def test_columns_stand_under_each_other_with_chinese_in_them() -> None:
    lines = [line for line in box().splitlines() if "port.yangshan" in line and line.startswith("2026")]
    assert len({cell_len(line[: line.index("port.yangshan")]) for line in lines}) == 1


def test_what_was_taken_back_or_replaced_says_so_without_colour() -> None:
    text = " ".join(box("en", 160).split())
    assert "RETRACTED by port.yangshan (报错箱号)" in text
    assert "CORRECTED by port.rotterdam (wrong stowage position reported)" in text
    assert "另有证实 carrier.cosco, tally.shanghai" in " ".join(box("zh", 160).split())


def test_part_of_a_consignment_says_how_many_of_how_many() -> None:
    text = printed(terminal.timeline_table(sample_answers.waybill(), "zh"), 150)
    assert "航空运单 074-12345675" in text
    assert "5 / 12 件" in row(text, "16:40")


def test_an_unknown_code_is_shown_as_the_source_wrote_it() -> None:
    assert "代码未识别 S" in " ".join(box("zh", 160).split())


def test_control_characters_and_markup_of_a_source_reach_the_screen_as_nothing_or_as_text() -> None:
    answer = sample_answers.box()
    nasty = msgspec.structs.replace(answer.lines[0], source="a\x1b[2J\x07b\u202e[red]c[/red]", transport="[bold]x")
    shown: Answer = msgspec.structs.replace(answer, lines=[nasty])
    text = printed(terminal.timeline_table(shown, "zh"), 160)
    assert "a[2Jb[red]c[/red]" in text
    assert "[bold]x" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def test_the_usage_table_shows_free_beside_paid_and_totals() -> None:
    text = printed(terminal.usage_table(sample_answers.used()), 120)
    assert row(text, "enterprise-demo").split() == ["enterprise-demo", "track.query", "1,204", *"––––"]
    assert row(text, "23,175").split()[2:] == ["–", "23,175", "¥0.02", "¥0.00", "¥463.50", "feed.pull/sample-2026"]
    assert row(text, "未计费").split()[2:4] == ["–", "–"]
    assert row(text, "合计").split() == ["合计", "Total", "1,235", "23,175", "¥0.00", "¥463.50"]


def test_a_console_without_a_terminal_is_wide_enough_for_every_column() -> None:
    assert terminal.open_console().width >= terminal.WIDE
