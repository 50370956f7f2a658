"""Texts for people from the two catalogues, and the choice of language for a request."""

from __future__ import annotations

import string
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Literal, get_args

Lang = Literal["ko", "en"]
LANGS: tuple[Lang, ...] = get_args(Lang)


class MissingTextError(KeyError):
    """A template or route asked for a key that the catalogue does not hold."""


def _flatten(document: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in document.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{path}."))
        else:
            flat[path] = str(value)
    return flat


@lru_cache(maxsize=2)
def catalogue(lang: Lang) -> Mapping[str, str]:
    """Return all texts of one language, by dotted key."""
    source = files("madang.console").joinpath("texts", f"{lang}.toml").read_text(encoding="utf-8")
    return _flatten(tomllib.loads(source))


def particle(word: str, pair: str) -> str:
    """Choose the Korean particle that follows a word; ``pair`` is ``을/를``, with-final-consonant form first.

    >>> particle("온도", "은/는"), particle("압력", "은/는"), particle("RMSE", "은/는"), particle("steam", "을/를")
    ('는', '은', '는', '을(를)')
    """
    closed, _, open_ = pair.partition("/")
    last = ord(word[-1]) if word else 0
    if 0xAC00 <= last <= 0xD7A3:
        final = (last - 0xAC00) % 28
        # 로 follows ㄹ as it follows a vowel.
        return open_ if final == 0 or (open_ == "로" and final == 8) else closed
    if word and word[-1].isdigit():
        return closed if word[-1] in "013678" else open_
    if word and word.split("-")[-1].split()[-1].isupper():
        # An abbreviation ends in the name of its last letter: L, M, N and R close it.
        return closed if word[-1] in "LMNR" else open_
    return f"{closed}({open_})"


class _Filler(string.Formatter):
    """Fill a text: ``{n:lot|lots}`` gives a count with its noun, ``{n:~is|are}`` the word alone, ``{name:을/를}`` a particle."""

    def format_field(self, value: object, format_spec: str) -> str:
        if "|" in format_spec:
            one, _, many = format_spec.removeprefix("~").partition("|")
            count = int(str(value))
            noun = one if count == 1 else many
            return noun if format_spec.startswith("~") else f"{count:,} {noun}"
        if "/" in format_spec:
            word = str(value)
            return f"{word}{particle(word, format_spec)}"
        return str(super().format_field(value, format_spec))


_FILLER = _Filler()


def text(lang: Lang, key: str, /, **values: object) -> str:
    """Return one text, filled in.

    Raises:
        MissingTextError: The catalogue has no such key.
    """
    try:
        pattern = catalogue(lang)[key]
    except KeyError:
        raise MissingTextError(f"{lang}: {key}") from None
    return _FILLER.vformat(pattern, (), values) if values else pattern


def known(lang: Lang, key: str) -> bool:
    """Whether the catalogue holds a key: words of open lists are shown as they are when it does not."""
    return key in catalogue(lang)


def choose_language(query: str | None, cookie: str | None, accept: str | None) -> Lang:
    """Choose the language of a page: the address, then the reader's last choice, then the browser, then Korean."""
    for wish in (query, cookie):
        if wish == "ko":
            return "ko"
        if wish == "en":
            return "en"
    ranked: list[tuple[float, int, Lang]] = []
    for place, item in enumerate((accept or "").split(",")):
        tag, _, weight = item.strip().partition(";q=")
        try:
            worth = float(weight) if weight else 1.0
        except ValueError:
            continue
        ranked += [(-worth, place, lang) for lang in LANGS if worth > 0 and tag.lower().split("-")[0] == lang]
    return min(ranked)[2] if ranked else "ko"
