"""Templates in two languages: Chinese is written in them, English is read from `locale/en` when the process starts.

`environment(lang)` is a Jinja environment with autoescape and strict undefined, made once per language. The
catalogue is kept as text (`kouan.po`); nothing compiled is stored.
"""

from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Literal

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api import words

Lang = Literal["zh", "en"]
HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
STATIC = HERE / "static"
CATALOGUE = HERE / "locale" / "en" / "LC_MESSAGES" / "kouan.po"
HTML_LANG = {"zh": "zh-CN", "en": "en"}


def catalogue() -> Catalog:
    """The English texts."""
    with CATALOGUE.open("rb") as file:
        return read_po(file, locale="en", domain="kouan")


def _translations(lang: Lang) -> NullTranslations:
    if lang == "zh":
        return NullTranslations()
    compiled = BytesIO()
    write_mo(compiled, catalogue())
    compiled.seek(0)
    return Translations(compiled, domain="kouan")


@lru_cache(maxsize=2)
def environment(lang: Lang) -> Environment:
    """The templates in one language."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    made.policies["ext.i18n.trimmed"] = True
    made.install_gettext_translations(_translations(lang), newstyle=True)  # type: ignore[attr-defined]  # the extension adds it
    made.globals |= {
        "lang": lang,
        "csrf": "",
        "keeps_books": False,
        "keeps_desks": False,
        "html_lang": HTML_LANG[lang],
        "words": words,
        "told": lambda pair: words.pick(pair, lang),
        "static": static,
    }
    made.filters |= {"stamp": words.stamp, "minute": words.minute, "shanghai": words.shanghai}
    return made


def render(lang: Lang, template: str, **context: object) -> str:
    """A page. Every name that the template uses must be given."""
    return environment(lang).get_template(template).render(**context)


@lru_cache(maxsize=16)
def static(name: str) -> str:
    """The address of a file under /static, with a digest so that a new version is fetched at once."""
    return f"/static/{name}?v={sha256((STATIC / name).read_bytes()).hexdigest()[:10]}"
