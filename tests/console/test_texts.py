"""Both catalogues are complete, and nothing a person reads stands outside them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.console._texts import LANGS, Lang, MissingTextError, catalogue, choose_language, particle, text
from madang.library import MappingStatus
from madang.models import StudyRequest
from madang.models._words import Family, LeakCode
from madang.plant import FINDING_CODES, Kind, Role

_ROOM = Path(str(files("madang.console")))
_TEMPLATES = sorted((_ROOM / "templates").glob("*.html"))
_LETTERS = re.compile(r"[A-Za-zㄱ-ㆎ가-힣]")
_SAME_IN_BOTH = {"SHA-256"}
_NOT_WORDS = re.compile(r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}", re.DOTALL)


def test_the_catalogues_have_the_same_keys_and_no_empty_text() -> None:
    ko, en = catalogue("ko"), catalogue("en")
    assert set(ko) == set(en)
    assert [k for cat in (ko, en) for k, v in cat.items() if not v.strip()] == []


def test_both_languages_fill_in_the_same_values() -> None:
    def places(pattern: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(pattern) if name}

    differing = {
        k: (places(v), places(catalogue("en")[k]))
        for k, v in catalogue("ko").items()
        if places(v) != places(catalogue("en")[k])
    }
    assert differing == {}


def test_korean_is_korean_and_english_is_english() -> None:
    hangul = re.compile(r"[가-힣]")
    english = [k for k, v in catalogue("en").items() if hangul.search(v) and k not in ("app.korean", "library.search_hint")]
    assert english == []
    latin_only = [k for k, v in catalogue("ko").items() if re.fullmatch(r"[A-Za-z ]{4,}", v)]
    assert set(latin_only) <= {"app.english", "copy.python", "metric.rmse"}


def _used_keys() -> set[str]:
    sources = [*_TEMPLATES, *_ROOM.glob("*.py")]
    return {
        key
        for source in sources
        for key in re.findall(r"""\bt\(\s*["']([\w.]+)["']\s*[,)]""", source.read_text(encoding="utf-8"))
    }


def test_every_text_that_is_asked_for_exists() -> None:
    used = _used_keys()
    assert len(used) > 150
    assert used - set(catalogue("ko")) == set()


def test_every_text_is_used() -> None:
    sources = "".join(p.read_text(encoding="utf-8") for p in [*_TEMPLATES, *_ROOM.glob("*.py")])
    sections = set(re.findall(r"""["'](\w+)\.["']\s*~|word\(\s*["'](\w+)["']""", sources))
    built = {name for pair in sections for name in pair if name}
    stems = set(re.findall(r"""["'](\w+\.\w+?_?)["']\s*~""", sources)) | set(re.findall(r"""f["'](\w+\.\w*?)\{""", sources))
    unused = [
        key for key in catalogue("ko")
        if f'"{key}"' not in sources and f"'{key}'" not in sources and key.split(".")[0] not in built
        and not any(key.startswith(stem) for stem in stems)
    ]  # fmt: skip
    assert unused == []


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("role", [r.value for r in Role]),
        ("kind", [k.value for k in Kind]),
        ("finding", sorted(FINDING_CODES)),
        ("status", list(MappingStatus.__args__)),  # type: ignore[attr-defined]
        ("leak", list(LeakCode.__args__)),  # type: ignore[attr-defined]
        ("family", list(Family.__args__)),  # type: ignore[attr-defined]
        ("severity", ["info", "warning", "stop"]),
        ("confidence", ["high", "medium", "low"]),
        ("job", ["reading", "ready", "running", "done", "failed", "cancelled"]),
        ("protocol", ["forward", "grouped", "grouped_forward", "shuffled"]),
        ("available", ["before", "with_target", "after_result", "calendar", "past_only", "unknown"]),
        ("direction", ["up", "down", "both", "category"]),
    ],
)
def test_every_word_of_a_closed_list_has_both_labels(section: str, words: list[str]) -> None:
    assert [w for w in words for lang in LANGS if f"{section}.{w}" not in catalogue(lang)] == []


def test_a_study_may_be_asked_for_every_task_that_has_a_label() -> None:
    for task in ("auto", "regression", "classification", "forecast"):
        assert StudyRequest(task=task).task == task
        assert text("ko", f"task.{task}")


class _Words(HTMLParser):
    """Collects texts and readable attributes of a template."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("style", "script", "kbd")
        shown = ("title", "alt", "placeholder", "aria-label", "content")
        self.found += [v for k, v in attrs if k in shown and v and not (tag == "meta" and k == "content")]

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("style", "script", "kbd")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.found.append(data)


@pytest.mark.parametrize("template", _TEMPLATES, ids=lambda p: p.name)
def test_no_template_holds_a_text_of_its_own(template: Path) -> None:
    parser = _Words()
    parser.feed(_NOT_WORDS.sub("", template.read_text(encoding="utf-8")))
    own = [w.strip() for w in parser.found if _LETTERS.search(w) and w.strip() not in _SAME_IN_BOTH]
    assert own == []


@pytest.mark.parametrize("script", sorted((_ROOM / "static").glob("*.js")), ids=lambda p: p.name)
def test_no_script_holds_a_korean_text(script: Path) -> None:
    code = re.sub(r"//.*", "", script.read_text(encoding="utf-8"))
    assert not re.search(r"[가-힣]", code)


@pytest.mark.parametrize(
    ("query", "cookie", "accept", "lang"),
    [
        (None, None, None, "ko"),
        ("en", "ko", "ko", "en"),
        ("xx", "en", "ko", "en"),
        (None, None, "en-GB,en;q=0.9,ko;q=0.8", "en"),
        (None, None, "de,fr;q=0.8", "ko"),
        (None, None, "en;q=0.2,ko-KR;q=0.9", "ko"),
        (None, None, ";;q=x,en", "en"),
        (None, None, "en;q=0", "ko"),
    ],
)
def test_the_language_is_the_address_then_the_choice_then_the_browser_then_korean(
    query: str | None, cookie: str | None, accept: str | None, lang: Lang
) -> None:
    assert choose_language(query, cookie, accept) == lang


@given(accept=st.text(max_size=200))
def test_no_accept_language_breaks_a_page(accept: str) -> None:
    assert choose_language(None, None, accept) in LANGS


@pytest.mark.parametrize(
    ("word", "pair", "expected"),
    [("온도", "을/를", "를"), ("압력", "을/를", "을"), ("서울", "으로/로", "로"), ("부산", "으로/로", "으로"), ("RMSE", "은/는", "는"), ("URL", "은/는", "은"), ("F1", "은/는", "은"), ("PV_07", "이/가", "이"), ("steam", "은/는", "은(는)")],
)  # fmt: skip
def test_a_korean_particle_follows_the_sound_of_its_word(word: str, pair: str, expected: str) -> None:
    assert particle(word, pair) == expected


def test_counts_carry_the_right_noun() -> None:
    assert text("en", "age.days", n=1) == "1 day ago"
    assert text("en", "age.days", n=1200) == "1,200 days ago"
    assert text("en", "quality.sentence_waiting", n=1) == "1 row could not be read and was set aside."
    assert text("en", "quality.sentence_waiting", n=12) == "12 rows could not be read and were set aside."


def test_a_text_that_is_not_there_is_an_error() -> None:
    with pytest.raises(MissingTextError):
        text("ko", "nothing.here")
