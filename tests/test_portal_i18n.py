"""The portal's two languages: Chinese in the templates, English in the catalogue, no gaps, no leftovers."""

import re

import pytest
from babel.messages.extract import extract

from api.portal import language

EXTRACTION = {"extensions": "jinja2.ext.i18n", "trimmed": "true", "encoding": "utf-8", "silent": "false"}
CHINESE = re.compile(r"[\u3400-\u9fff]")
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
TAG = re.compile(r"<[^>]+>")


def in_templates() -> dict[str, str]:
    """Each text with the template that has it."""
    found: dict[str, str] = {}
    for path in sorted(language.TEMPLATES.glob("*.html")):
        with path.open("rb") as file:
            for _, text, _, _ in extract("jinja2.ext:babel_extract", file, options=EXTRACTION):
                assert isinstance(text, str), f"{path.name}: plural and context forms are not used"
                found.setdefault(text, path.name)
    return found


def in_catalogue() -> dict[str, str]:
    return {str(message.id): str(message.string) for message in language.catalogue() if message.id}


def test_every_text_of_the_templates_has_its_english() -> None:
    catalogue = in_catalogue()
    assert {text: name for text, name in in_templates().items() if not catalogue.get(text)} == {}


def test_no_english_text_has_lost_its_chinese() -> None:
    assert set(in_catalogue()) - set(in_templates()) == set()
    assert list(language.catalogue().obsolete) == []


def test_no_translation_waits_for_a_second_look() -> None:
    assert [message.id for message in language.catalogue() if message.fuzzy and message.id] == []


@pytest.mark.parametrize("pattern", [PLACEHOLDER, TAG])
def test_a_translation_keeps_what_is_filled_in_and_what_is_marked_up(pattern: re.Pattern[str]) -> None:
    for text, english in in_catalogue().items():
        assert sorted(pattern.findall(text)) == sorted(pattern.findall(english)), text


def test_english_texts_are_english_and_chinese_texts_chinese() -> None:
    for text, english in in_catalogue().items():
        assert not CHINESE.search(english), english
        assert CHINESE.search(text) or text in {"：", "、"}, text


def test_no_chinese_stands_in_a_template_outside_the_translated_texts() -> None:
    name_of_the_other_language = "中文"
    for path in language.TEMPLATES.glob("*.html"):
        bare = path.read_text()
        for translated in (r"_\((['\"]).*?\1\)", r"{% trans .*?endtrans %}"):
            bare = re.sub(translated, "", bare, flags=re.DOTALL)
        assert CHINESE.findall(bare.replace(name_of_the_other_language, "")) == [], path.name


def test_a_missing_value_is_an_error_not_an_empty_space() -> None:
    with pytest.raises(Exception, match="undefined"):
        language.render("zh", "unknown.html", account=None, switch="", next_path="")


def test_percent_signs_in_texts_are_written_so_that_they_can_be_filled_in() -> None:
    for text in (*in_catalogue(), *in_catalogue().values()):
        assert "%" not in PLACEHOLDER.sub("", text), text
