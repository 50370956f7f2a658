"""Words for people: figures with units as a shop floor writes them, names of made features, rows, and Korean particles."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from madang.errors import InputError
from madang.models._frame import Frame
from madang.models._words import Score
from madang.plant import Bilingual, unit_of

MINUS: Final = "−"

_HANGUL: Final = re.compile(r"[가-힣]")
_DIGITS_WITH_CONSONANT: Final = "013678"
"""Digits whose Korean names (영, 일, 삼, 육, 칠, 팔) end in a consonant."""


def with_particle(word: str, after_consonant: str, after_vowel: str) -> str:
    """Put the Korean particle that fits the last sound of a word; both when the sound is not known from the letters.

    What stands in brackets at the end is not spoken.

    >>> with_particle("수율", "은", "는"), with_particle("온도", "은", "는"), with_particle("NOx", "은", "는")
    ('수율은', '온도는', 'NOx은(는)')
    >>> with_particle("오차(RMSE)", "이", "가"), with_particle("F1", "이", "가")
    ('오차(RMSE)가', 'F1이')
    """
    spoken = re.sub(r"[\s’'\"]*(\([^()]*\)|\[[^\[\]]*\])?[\s’'\"]*$", "", word) or word
    last = spoken[-1:]
    code = ord(last) - 0xAC00 if last else -1
    if last.isascii() and last.isdigit():
        return word + (after_consonant if last in _DIGITS_WITH_CONSONANT else after_vowel)
    if not 0 <= code < 11172:
        return f"{word}{after_consonant}({after_vowel})"
    return word + (after_consonant if code % 28 else after_vowel)


def symbol(code: str | None, lang: Literal["ko", "en"]) -> str:
    """Return the sign a reader knows for a UCUM code; empty for plain numbers.

    >>> symbol("kW.h", "ko"), symbol("Cel", "en"), symbol("[ppm]", "ko"), symbol("[KRW]", "en"), symbol(None, "en")
    ('kWh', '℃', 'ppm', 'KRW', '')
    """
    if code is None or code in ("", "1", "[-]"):
        return ""
    if code == "Cel":
        return "℃"
    try:
        display = unit_of(code).display
    except InputError:
        return re.sub(r"[\[\]{}]", "", code)
    return re.sub(r"[\[\]{}]", "", code) if lang == "en" and _HANGUL.search(display) else display


def decimals_of(value: float, low: float | None, high: float | None) -> int:
    """Return how many decimals say a value to about two figures of the width of its interval; three figures without one."""
    width = abs(high - low) if low is not None and high is not None else 0.0
    if width > 0 and math.isfinite(width):
        return int(min(9, max(0, round(1 - math.log10(width)))))
    if low is not None:
        return int(min(9, max(0, 1 - math.floor(math.log10(abs(value)))))) if value else 0
    return int(min(9, max(0, 2 - math.floor(math.log10(abs(value)))))) if value else 0


def plain(value: float, decimals: int | None = None) -> str:
    """Write a number with group marks and a true minus sign.

    >>> plain(1234.5, 1), plain(-0.04, 2), plain(0.001234)
    ('1,234.5', '−0.04', '0.00123')
    """
    if not math.isfinite(value):
        return "-"
    places = decimals_of(value, None, None) if decimals is None else decimals
    text = f"{value:,.{places}f}"
    return "0" + text[2:] if text.startswith("-0") and not text.strip("-0.,") else text.replace("-", MINUS)


def with_unit(text: str, code: str | None, lang: Literal["ko", "en"]) -> str:
    """Put a unit's sign behind a number."""
    sign = symbol(code, lang)
    return f"{text} {sign}" if sign else text


def measured(score: Score, code: str | None = None, level: float = 0.95) -> Bilingual:
    """Write a score with its interval, both ends to as many digits as the value.

    >>> measured(Score(8.5012, 7.6, 9.488), "kW.h").en
    '8.5 kWh (95 % interval 7.6 to 9.5)'
    """
    if score.value is None:
        return Bilingual("알 수 없음", "unknown")
    places = decimals_of(score.value, score.low, score.high)
    value = plain(score.value, places)
    ko, en = with_unit(value, code, "ko"), with_unit(value, code, "en")
    if score.low is None or score.high is None:
        return Bilingual(ko, en)
    low, high = plain(score.low, places), plain(score.high, places)
    percent = f"{100 * level:.0f} %"
    return Bilingual(f"{ko}({percent} 구간 {low} ~ {high})", f"{en} ({percent} interval {low} to {high})")


def chance(p: float) -> str:
    """Write a p value: never zero.

    >>> chance(0.0004), chance(0.032)
    ('p < 0.005', 'p = 0.03')
    """
    return "p < 0.005" if p < 0.005 else f"p = {p:.2f}" if p >= 0.01 else f"p = {p:.3f}"


@dataclass(frozen=True)
class RowWords:
    """What the rows of a study are called."""

    ko: str
    """Noun: 로트, 행."""
    count_ko: str
    """What follows a number: ``개 로트``, ``행``."""
    en: str
    """Plural noun."""

    def counted(self, n: int) -> Bilingual:
        """Return a number of rows.

        >>> LOTS.counted(1204).ko, LOTS.counted(1).en
        ('로트 1,204개', '1 lot')
        """
        word = self.en if n != 1 else self.en[:-1]
        return Bilingual(f"로트 {n:,}개" if self.en == "lots" else f"{n:,}{self.count_ko}", f"{n:,} {word}")


LOTS: Final = RowWords("로트", "개 로트", "lots")
RECORDS: Final = RowWords("행", "행", "records")


def rows_of(frame: Frame) -> RowWords:
    """Return what the rows of a frame are: lots only where the assembly made one row for each lot."""
    return LOTS if frame.facts.get("rows_are") == "lots" else RECORDS


_STATISTIC: Final[Mapping[str, Bilingual]] = {
    "mean": Bilingual("평균", "mean"),
    "std": Bilingual("흔들림(표준편차)", "spread (standard deviation)"),
    "min": Bilingual("최솟값", "lowest value"),
    "max": Bilingual("최댓값", "highest value"),
    "increase": Bilingual("늘어난 양", "increase"),
    "change": Bilingual("변화량", "change"),
    "slope": Bilingual("기울기", "slope"),
    "n": Bilingual("횟수", "count"),
}
_WINDOW: Final[Mapping[str, Bilingual]] = {
    "ramp": Bilingual("승온 구간", "heating up"),
    "soak": Bilingual("유지 구간", "the soak"),
    "cool": Bilingual("냉각 구간", "cooling down"),
    "승온": Bilingual("승온 구간", "heating up (승온)"),
    "유지": Bilingual("유지 구간", "the soak (유지)"),
    "냉각": Bilingual("냉각 구간", "cooling down (냉각)"),
    "first third": Bilingual("처음 1/3", "the first third"),
    "middle third": Bilingual("가운데 1/3", "the middle third"),
    "last third": Bilingual("마지막 1/3", "the last third"),
    "end": Bilingual("끝 무렵", "the end"),
    "whole": Bilingual("로트 전체", "the whole lot"),
    "lot": Bilingual("로트 전체", "the whole lot"),
}


@dataclass(frozen=True)
class ColumnName:
    """A column for people: the tag behind it, and what was made of the tag."""

    base: str
    window: Bilingual | None = None

    @property
    def full(self) -> Bilingual:
        """The tag with its window."""
        if self.window is None:
            return Bilingual(self.base, self.base)
        return Bilingual(f"{self.base}의 {self.window.ko}", f"{self.base}, {self.window.en},")

    @property
    def listed(self) -> Bilingual:
        """The same inside a list, without a closing comma."""
        return self.full if self.window is None else Bilingual(self.full.ko, self.full.en.rstrip(","))


def column_name(frame: Frame, name: str) -> ColumnName:
    """Return a column's name for people, from what the assembly said about made features."""
    made = frame.facts.get("features")
    facts = made.get(name) if isinstance(made, dict) else None
    if not isinstance(facts, dict):
        return ColumnName(name)
    base, statistic, part = (str(facts.get(key) or "") for key in ("column", "statistic", "window"))
    if not base:
        return ColumnName(name)
    if not statistic and not part:
        return ColumnName(base)
    what = _STATISTIC.get(statistic, Bilingual(statistic, statistic))
    before = re.fullmatch(r"(\d+)-(\d+) h before", part)
    if before is not None:
        far, near = before.groups()
        where = Bilingual(f"채취 {far}~{near}시간 전", f"{far} to {near} h before the sample")
        return ColumnName(base, Bilingual(f"{where.ko} {what.ko}", f"{what.en} {where.en}"))
    where = _WINDOW.get(part, Bilingual(f"{part} 구간", part))
    if not part:
        return ColumnName(base, what)
    return ColumnName(base, Bilingual(f"{where.ko} {what.ko}", f"{what.en} over {where.en}"))


def base_of(frame: Frame, name: str) -> str:
    """Return the tag behind a column."""
    return column_name(frame, name).base
