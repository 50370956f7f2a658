"""Templates and the words that every page can use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from madang.console._format import Formats, unit_symbol
from madang.console._texts import Lang, known, text


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates; a name that is not there is an error, never an empty place."""
    return Environment(
        loader=PackageLoader("madang.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def words(lang: Lang, zone: str) -> dict[str, Any]:
    """Return what a template needs to speak one language."""

    def translate(key: str, /, **values: object) -> str:
        return text(lang, key, **values)

    def word(section: str, code: object) -> str:
        key = f"{section}.{code}"
        return text(lang, key) if known(lang, key) else str(code)

    def pick(document: Mapping[str, Any] | None, stem: str) -> str:
        if not document:
            return ""
        return str(document.get(f"{stem}_{lang}") or document.get(f"{stem}_en") or document.get(f"{stem}_ko") or "")

    return {
        "lang": lang,
        "f": Formats(lang, zone),
        "t": translate,
        "word": word,
        "pick": pick,
        "unit": lambda code: unit_symbol(code, lang),
    }


def render(template: str, context: Mapping[str, Any]) -> str:
    """Fill a template."""
    return environment().get_template(template).render(context)


@lru_cache(maxsize=1)
def report_css() -> Markup:
    """The style of a report that stands alone: tokens, page and print rules, without fonts to fetch."""
    folder = files("madang.console").joinpath("static")
    parts = [folder.joinpath(name).read_text(encoding="utf-8") for name in ("tokens.css", "app.css", "report.css")]
    start = parts[1].index("*, *::before")
    parts[1] = parts[1][start:]
    return Markup("\n".join(parts))  # noqa: S704 (our own files)


Translate = Callable[..., str]
