"""Numbers, money, sizes and instants as a reader of one language expects them; unknown is said, never left blank."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from babel.numbers import format_decimal

from madang.console._texts import Lang, text
from madang.errors import MadangError

NBSP = "\u00a0"
MINUS = "\u2212"


@lru_cache(maxsize=4096)
def unit_symbol(code: str | None, lang: Lang = "ko") -> str:
    """Return the sign a reader of one language knows for a UCUM code; a code without one is shown as it is."""
    if code is None or code in ("1", "[-]"):
        return ""
    from madang.plant import unit_of

    if code == "Cel":
        return "℃"
    try:
        display = unit_of(code).display
    except (MadangError, KeyError, ValueError):
        return code
    # Counts of money and people have a Korean sign; an English reader gets the code without its brackets.
    return display if lang == "ko" or display.isascii() or not _HANGUL.search(display) else code.strip("[]{}")


_HANGUL = re.compile(r"[가-힣]")


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _pattern(value: float) -> str:
    size = abs(value)
    if size >= 100_000 or value == int(value):
        return "#,##0"
    decimals = 1 if size >= 1000 else max(0, min(8, 3 - math.floor(math.log10(size))))
    return "#,##0." + "#" * max(1, decimals)


@dataclass(frozen=True)
class Formats:
    """How one reader sees values.

    >>> Formats("en").number(-12.34, "Cel").replace(NBSP, " ")
    '−12.34 ℃'
    """

    lang: Lang
    zone: str = "Asia/Seoul"

    @property
    def locale(self) -> str:
        """Name of the Babel locale."""
        return "ko_KR" if self.lang == "ko" else "en_US"

    @property
    def unknown(self) -> str:
        """The word for an absent value."""
        return text(self.lang, "word.unknown")

    def number(self, value: object, unit: str | None = None, digits: int | None = None) -> str:
        """Show a number with its unit (UCUM code); absent values read "unknown"."""
        number = _finite(value)
        if number is None:
            return self.unknown
        if abs(number) >= 1e15 or (number != 0 and abs(number) < 1e-4 and digits is None):
            shown = f"{number:.2e}".replace("-", MINUS)
        else:
            pattern = _pattern(number) if digits is None else "#,##0" + ("." + "0" * digits if digits else "")
            shown = format_decimal(number, format=pattern, locale=self.locale).replace("-", MINUS)
            if shown.strip(f"{MINUS}0.,") == "":
                shown = shown.replace(MINUS, "")
        symbol = unit_symbol(unit, self.lang)
        if symbol in ("%", "°"):
            return f"{shown}{NBSP if symbol == '%' else ''}{symbol}"
        return f"{shown}{NBSP}{symbol}" if symbol else shown

    def count(self, value: object) -> str:
        """Show a whole number with its group marks."""
        number = _finite(value)
        return self.unknown if number is None else format_decimal(round(number), format="#,##0", locale=self.locale)

    def share(self, value: object, digits: int = 1) -> str:
        """Show a share (0-1) in percent."""
        number = _finite(value)
        return self.unknown if number is None else self.number(100 * number, "%", digits)

    def quality(self, value: object) -> str:
        """Show a score (0-1) with two decimals, rounded down: only what is perfect reads 1.00."""
        number = _finite(value)
        return self.unknown if number is None else self.number(math.floor(100 * number + 1e-9) / 100, None, 2)

    def score(self, value: object, low: object, high: object, unit: str | None = None) -> str:
        """Show an estimate with its interval, to two figures of the interval's width: ``0.036 % (0.033 – 0.039)``."""
        middle, first, last = _finite(value), _finite(low), _finite(high)
        if middle is None:
            return "–"
        if first is None or last is None:
            return self.number(middle, unit)
        width = last - first
        digits = max(0, min(6, 1 - math.floor(math.log10(width)))) if width > 0 else 3
        return f"{self.number(middle, unit, digits)} ({self.number(first, None, digits)}{NBSP}–{NBSP}{self.number(last, None, digits)})"

    def interval(self, low: object, high: object, unit: str | None = None) -> str:
        """Show an interval with its ends included."""
        if _finite(low) is None or _finite(high) is None:
            return self.unknown
        return f"{self.number(low)}{NBSP}–{NBSP}{self.number(high, unit)}"

    def money(self, value: object, currency: str = "KRW") -> str:
        """Show money as people say it: ``3억 2,000만 원`` or ``KRW 320 m``."""
        number = _finite(value)
        if number is None:
            return self.unknown
        sign, size = (MINUS if number < 0 else ""), abs(number)
        if self.lang == "ko" and currency == "KRW":
            whole = round(size / 10_000)
            hundred_million, ten_thousand = divmod(whole, 10_000)
            parts = [f"{hundred_million:,}억"] if hundred_million else []
            if ten_thousand:
                parts.append(f"{ten_thousand:,}만")
            return f"{sign}{' '.join(parts) or f'{round(size):,}'}{NBSP}원".replace(" ", NBSP)
        for scale, word in ((1e12, "tn"), (1e9, "bn"), (1e6, "m")):
            if size >= scale:
                return f"{currency}{NBSP}{sign}{size / scale:.4g}{NBSP}{word}"
        return f"{currency}{NBSP}{sign}{size:,.0f}"

    def size(self, value: object) -> str:
        """Show a number of bytes."""
        number = _finite(value)
        if number is None:
            return self.unknown
        for scale, word in ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")):
            if number >= scale:
                return self.number(number / scale, None, 1) + NBSP + word
        return f"{number:.0f}{NBSP}B"

    def local(self, value: object) -> datetime | None:
        """Read an instant (ISO 8601 text or datetime) into the reader's zone; None when it is not one."""
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                return None
        if not isinstance(value, datetime):
            return None
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(ZoneInfo(self.zone))

    def instant(self, value: object) -> str:
        """Show date, weekday, time and zone: ``2026년 5월 30일(토) 18:00 KST``."""
        local = self.local(value)
        if local is None:
            return self.unknown
        pattern = "y년 M월 d일(E) HH:mm" if self.lang == "ko" else "EEE d MMM y, HH:mm"
        return f"{format_datetime(local, pattern, locale=self.locale)} {local.tzname()}".replace(" ", NBSP)

    def short(self, value: object) -> str:
        """Show date and time for a table: ``2026-05-30 18:00`` (the column head carries the zone)."""
        local = self.local(value)
        return self.unknown if local is None else f"{local:%Y-%m-%d %H:%M}".replace(" ", NBSP)

    @property
    def zone_label(self) -> str:
        """Short name of the reader's zone, such as KST."""
        return datetime.now(tz=ZoneInfo(self.zone)).tzname() or self.zone

    def age(self, value: object, now: datetime) -> str:
        """Say how long ago an instant was, in the coarsest fitting unit."""
        local = self.local(value)
        if local is None:
            return self.unknown
        seconds = (now - local).total_seconds()
        if seconds < 90:
            return text(self.lang, "age.now")
        for limit, scale, key in ((5400, 60, "age.minutes"), (129_600, 3600, "age.hours"), (5_184_000, 86_400, "age.days")):
            if seconds < limit:
                return text(self.lang, key, n=round(seconds / scale))
        if seconds < 86_400 * 730:
            return text(self.lang, "age.months", n=round(seconds / 2_629_800))
        return text(self.lang, "age.years", n=round(seconds / 31_557_600))

    def span(self, seconds: object) -> str:
        """Show a duration in seconds or minutes."""
        number = _finite(seconds)
        if number is None:
            return self.unknown
        if number < 90 and number % 60:
            return text(self.lang, "span.seconds", n=self.number(number, None, 0))
        return text(self.lang, "span.minutes", n=self.number(number / 60, None, 1 if number < 600 and number % 60 else 0))
