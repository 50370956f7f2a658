"""Reads instants as plants write them: Korean and German clocks, epochs, serial days, 24:00, offsets and no offset.

A time format is written in the letters of ``strftime`` (``%Y %y %m %d %H %I %M %S %f %p %b %z``), with the words
``epoch_s epoch_ms epoch_us epoch_ns excel_serial`` beside. `%1`, `%2` and `%3` stand for parts of a date whose order is not
settled yet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Instants = npt.NDArray[np.int64]
"""Microseconds since 1970-01-01."""

NO_TIME = np.iinfo(np.int64).min
"""Stands for "no instant" in an array of instants."""

DAY_US = 86_400_000_000
EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1, "epoch_ns": 0}
_EXCEL_ZERO_US = int((datetime(1899, 12, 30, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000

_MONTHS = {
    word: number
    for number, words in enumerate(
        (
            "jan january januar jän jänner",
            "feb february februar",
            "mar march mär märz mrz",
            "apr april",
            "may mai",
            "jun june juni",
            "jul july juli",
            "aug august",
            "sep sept september",
            "oct october okt oktober",
            "nov november",
            "dec december dez dezember",
        ),
        start=1,
    )
    for word in words.split()
}
_MORNING = frozenset({"오전", "am", "a.m.", "vorm."})
_AFTERNOON = frozenset({"오후", "pm", "p.m.", "nachm."})
_ZONE_WORDS = {"z": 0, "utc": 0, "gmt": 0, "kst": 540, "jst": 540, "cet": 60, "cest": 120}

_HALF = r"오전|오후|[AaPp]\.?[Mm]\.?"
_MONTH_WORD = r"[A-Za-zäÄ]{3,9}\.?"
_DATE = re.compile(
    r"\s*(?:(?P<y>\d{4})(?P<ys>\s?[-/.년]\s?)(?P<m>\d{1,2})(?P<ms>\s?[-/.월]\s?)(?P<d>\d{1,2})(?P<de>\s?[일.](?!\d))?"
    r"|(?P<a>\d{1,2})(?P<as>[-/.])(?P<b>\d{1,2})(?P<bs>[-/.])(?P<c>\d{4}|\d{2})(?!\d)"
    r"|(?P<d2>\d{1,2})(?P<d2s>[-./ ]\s?)(?P<mon>" + _MONTH_WORD + r")(?P<mons>[-./ ,]\s?)(?P<y2>\d{4}|\d{2})(?!\d)"
    r"|(?P<mon3>" + _MONTH_WORD + r")(?P<m3s>\s)(?P<d3>\d{1,2})(?P<d3s>,?\s)(?P<y3>\d{4}))"
)
_CLOCK = re.compile(
    r"(?:(?P<half>" + _HALF + r")(?P<hs>\s?))?"
    r"(?P<H>\d{1,2})(?P<c1>:|시\s?|h|\.)(?P<M>\d{2})(?:(?P<c2>:|분\s?|\.)(?P<S>\d{2})(?P<c3>초)?(?:(?P<fs>[.,:])(?P<f>\d{1,9}))?|(?P<c4>분))?"
    r"(?:(?P<half2s>\s?)(?P<half2>" + _HALF + r"))?"
)
_ZONE = re.compile(r"(?P<zs>\s?)(?P<z>Z|[+-]\d{2}:?\d{2}|[+-]\d{2}|UTC|GMT|KST|JST|CEST|CET)$")
_WEEKDAY = re.compile(
    r"\s?\((?:[월화수목금토일]|[A-Za-z]{2,3})\)|\s[월화수목금토일]요일|^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? "
)
_DIGITS = re.compile(r"\d+")


def format_of(text: str) -> str | None:
    """Return the format a text is written in, or None when it does not look like an instant.

    Dates whose order is open are returned with ``%1``, ``%2`` and ``%3``; a bare run of digits is read as a packed date only.
    """
    text = text.strip()
    if not text or not ("0" <= text[-1] <= "9" or text[-1] in "Z일초분.mMTCo)전후" or text[-1].isalpha()):
        return None
    if _DIGITS.fullmatch(text):
        return _packed_format(text)
    bare = _WEEKDAY.sub("", text)
    found = _DATE.match(bare)
    if found is None:
        return None
    written = _written_date(found)
    if written is None:
        return None
    rest = bare[found.end() :]
    if not rest:
        return written
    gap = re.match(r"\s*[T\-_,:]?\s*", rest)
    assert gap is not None
    between, rest = gap.group(), rest[gap.end() :]
    clock = _CLOCK.match(rest)
    if clock is None:
        return None
    written_clock = _written_clock(clock)
    tail = rest[clock.end() :]
    if written_clock is None:
        return None
    if not tail:
        return written + between + written_clock
    zone = _ZONE.fullmatch(tail)
    return written + between + written_clock + zone["zs"] + "%z" if zone else None


def clock_format_of(text: str) -> str | None:
    """Return the format of a time of day without a date, or None."""
    text = text.strip()
    found = _CLOCK.fullmatch(text)
    if found is not None and found["c1"] != ".":
        return _written_clock(found)
    if re.fullmatch(r"[0-2]\d[0-5]\d[0-5]\d", text) and int(text[:2]) < 25:
        return "%H%M%S"
    return None


def _packed_format(text: str) -> str | None:
    try:
        if len(text) == 14 and _year(text[:4]):
            datetime.strptime(text[:8], "%Y%m%d").replace(tzinfo=UTC)
            return "%Y%m%d%H%M%S" if _is_clock(text[8:14]) else None
        if len(text) == 17 and _year(text[:4]):
            datetime.strptime(text[:8], "%Y%m%d").replace(tzinfo=UTC)
            return "%Y%m%d%H%M%S%f" if _is_clock(text[8:14]) else None
        if len(text) == 12:
            if _year(text[:4]) and 1 <= int(text[4:6]) <= 12 and 1 <= int(text[6:8]) <= 31 and _is_clock(text[8:12]):
                return "%Y%m%d%H%M"
            datetime.strptime(text[:6], "%y%m%d").replace(tzinfo=UTC)
            return "%y%m%d%H%M%S" if _is_clock(text[6:12]) else None
        if len(text) == 8 and _year(text[:4]):
            datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
            return "%Y%m%d"
    except ValueError:
        return None
    return None


def _year(text: str) -> bool:
    return 1970 <= int(text) <= 2099


def _is_clock(text: str) -> bool:
    parts = [int(text[i : i + 2]) for i in range(0, len(text), 2)]
    return parts[0] <= 24 and all(part < 60 for part in parts[1:])


def _written_date(found: re.Match[str]) -> str | None:
    if found["y"]:
        if not (1 <= int(found["m"]) <= 12 and 1 <= int(found["d"]) <= 31):
            # 2018-13-01 is year, day, month; nothing writes it on purpose, but a mixed file may hold it.
            return None
        return f"%Y{found['ys']}%m{found['ms']}%d{found['de'] or ''}"
    if found["a"]:
        if found["as"] != found["bs"]:
            return None
        last = "%Y" if len(found["c"]) == 4 else "%3"
        return f"%1{found['as']}%2{found['bs']}{last}"
    if found["mon"]:
        if found["mon"].rstrip(".").casefold() not in _MONTHS:
            return None
        year = "%Y" if len(found["y2"]) == 4 else "%y"
        return f"%d{found['d2s']}%b{found['mons']}{year}"
    if found["mon3"].rstrip(".").casefold() not in _MONTHS:
        return None
    return f"%b{found['m3s']}%d{found['d3s']}%Y"


def _written_clock(found: re.Match[str]) -> str | None:
    hour, minute = int(found["H"]), int(found["M"])
    second = int(found["S"]) if found["S"] else 0
    half = found["half"] or found["half2"]
    if hour > 24 or minute > 59 or second > 60 or (half and hour > 12):
        return None
    written = ("%I" if half else "%H") + found["c1"] + "%M"
    if found["S"]:
        written += found["c2"] + "%S" + (found["c3"] or "")
        if found["f"]:
            written += found["fs"] + "%f"
    elif found["c4"]:
        written += found["c4"]
    if found["half"]:
        return f"%p{found['hs'] or ''}{written}"
    if found["half2"]:
        return f"{written}{found['half2s'] or ''}%p"
    return written


_PIECES = {
    "Y": r"(?P<Y>\d{4})", "y": r"(?P<y>\d{2})", "m": r"(?P<m>\d{1,2})", "d": r"(?P<d>\d{1,2})", "H": r"(?P<H>\d{1,2})",
    "I": r"(?P<I>\d{1,2})", "M": r"(?P<M>\d{2})", "S": r"(?P<S>\d{2})", "f": r"(?P<f>\d{1,9})",
    "p": r"(?P<p>" + _HALF + ")", "b": r"(?P<b>" + _MONTH_WORD + ")",
    "z": r"(?P<z>Z|[+-]\d{2}:?\d{2}|[+-]\d{2}|UTC|GMT|KST|JST|CEST|CET)",
}  # fmt: skip
_PACKED_PIECES = {"m": r"(?P<m>\d{2})", "d": r"(?P<d>\d{2})", "H": r"(?P<H>\d{2})"}


@lru_cache(maxsize=256)
def _pattern(written: str) -> re.Pattern[str]:
    packed = not re.search(r"%[a-zA-Z][^%]", written)
    out, i = [], 0
    while i < len(written):
        sign = written[i]
        if sign == "%" and i + 1 < len(written):
            letter = written[i + 1]
            out.append((_PACKED_PIECES.get(letter) if packed else None) or _PIECES[letter])
            i += 2
        elif sign.isspace():
            out.append(r"\s*")
            i += 1
        else:
            out.append(re.escape(sign))
            i += 1
    return re.compile("".join(out))


@dataclass(frozen=True)
class Local:
    """One instant as written: the clock reading, and the offset when the text gave one."""

    micros: int
    """Microseconds of the clock reading since 1970-01-01 00:00 on the same clock."""
    offset: int | None
    """Offset from UTC [minutes], None when the text has none."""


def parse_local(text: str, written: str) -> Local | None:
    """Read one text by one format; None when it does not fit or no such day or clock exists."""
    text = text.strip()
    if written in EPOCHS or written == "excel_serial":
        return _parse_number(text, written)
    found = _pattern(written).fullmatch(_WEEKDAY.sub("", text))
    if found is None:
        return None
    parts = found.groupdict()
    try:
        day = date(_full_year(parts), _month(parts), int(parts["d"])) if "d" in parts else date(1970, 1, 1)
    except (ValueError, KeyError):
        return None
    hour = _hour(parts)
    minute, second = int(parts.get("M") or 0), int(parts.get("S") or 0)
    fraction = int((parts.get("f") or "0")[:6].ljust(6, "0"))
    if hour is None or minute > 59 or second > 59 or (hour == 24 and (minute or second or fraction)):
        return None
    days = (day - date(1970, 1, 1)).days
    micros = days * DAY_US + ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction
    return Local(micros, _offset(parts.get("z")))


def _parse_number(text: str, written: str) -> Local | None:
    try:
        if written == "excel_serial":
            return Local(_EXCEL_ZERO_US + round(float(text.replace(",", ".")) * 86_400) * 1_000_000, None)
        whole, _, part = text.replace(",", ".").partition(".")
        number = int(whole)
        if written == "epoch_ns":
            return Local(number // 1_000, 0)
        scale = EPOCHS[written]
        digits = len(str(scale)) - 1
        return Local(number * scale + int((part + "0" * digits)[:digits] or 0), 0)
    except (ValueError, OverflowError):
        return None


def _full_year(parts: dict[str, Any]) -> int:
    if parts.get("Y"):
        return int(parts["Y"])
    short = int(parts["y"])
    return short + (2000 if short < 70 else 1900)


def _month(parts: dict[str, Any]) -> int:
    return _MONTHS[parts["b"].rstrip(".").casefold()] if parts.get("b") else int(parts["m"])


def _hour(parts: dict[str, Any]) -> int | None:
    if parts.get("H"):
        hour = int(parts["H"])
        return hour if hour <= 24 else None
    if parts.get("I"):
        hour = int(parts["I"])
        half = parts["p"].casefold()
        if hour > 12:
            return None
        return hour % 12 + (12 if half in _AFTERNOON else 0)
    return 0


def _offset(text: str | None) -> int | None:
    if text is None:
        return None
    known = _ZONE_WORDS.get(text.casefold())
    if known is not None:
        return known
    digits = text[1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
    return -minutes if text[0] == "-" else minutes


@lru_cache(maxsize=128)
def _positions(written: str, template: str) -> tuple[tuple[str, int, int], ...] | None:
    """Return where each part stands in texts of one fixed shape, in bytes of UTF-8; None when parts may vary in place."""
    found = _pattern(written).fullmatch(template)
    if found is None:
        return None
    ends = []
    for letter in found.groupdict():
        start, end = found.span(letter)
        ends.append((letter, len(template[:start].encode()), len(template[:end].encode())))
    return tuple(ends)


def parse_fixed(data: npt.NDArray[np.uint8], written: str) -> tuple[Instants, npt.NDArray[np.bool_]] | None:
    """Read texts that all have the same length in bytes, all at once.

    Args:
        data: Bytes of the texts, shape (text, byte).
        written: Format of the texts.

    Returns:
        Clock readings [µs] and which texts were read; None when the format cannot be read by place.
    """
    if written in EPOCHS or "%z" in written or "%b" in written or written == "excel_serial" or not len(data):
        return None
    try:
        template = bytes(data[0]).decode()
    except UnicodeDecodeError:
        return None
    places = _positions(written, template)
    if places is None:
        return None
    ok = np.ones(len(data), dtype=bool)
    parts: dict[str, npt.NDArray[np.int64]] = {}
    covered = np.zeros(data.shape[1], dtype=bool)
    afternoon = np.zeros(len(data), dtype=bool)
    for letter, start, end in places:
        block = data[:, start:end]
        covered[start:end] = True
        if letter == "p":
            halves = np.ascontiguousarray(block).view(f"S{end - start}").ravel()
            names = {word: bytes(word) for word in np.unique(halves)}
            known = {word: raw.decode("utf-8", "replace").casefold() for word, raw in names.items()}
            morning = np.isin(halves, [word for word, low in known.items() if low in _MORNING])
            afternoon = np.isin(halves, [word for word, low in known.items() if low in _AFTERNOON])
            ok &= morning | afternoon
            continue
        digits = block.astype(np.int64) - 48
        ok &= ((digits >= 0) & (digits <= 9)).all(axis=1)
        number = np.zeros(len(data), dtype=np.int64)
        for column in range(min(digits.shape[1], 6) if letter == "f" else digits.shape[1]):
            number = number * 10 + digits[:, column]
        parts[letter] = number * 10 ** max(0, 6 - digits.shape[1]) if letter == "f" else number
    ok &= (data[:, ~covered] == data[0, ~covered]).all(axis=1)
    micros = _combine(parts, afternoon, ok)
    return micros, ok


def _combine(parts: dict[str, Instants], afternoon: npt.NDArray[np.bool_], ok: npt.NDArray[np.bool_]) -> Instants:
    zero = np.zeros(len(ok), dtype=np.int64)
    minute, second, fraction = parts.get("M", zero), parts.get("S", zero), parts.get("f", zero)
    hour = parts.get("H", zero)
    if "I" in parts:
        ok &= parts["I"] <= 12
        hour = parts["I"] % 12 + np.where(afternoon, 12, 0)
    ok &= (minute < 60) & (second < 60) & ((hour < 24) | ((hour == 24) & (minute == 0) & (second == 0) & (fraction == 0)))
    days = zero
    if "d" in parts:
        year = parts["Y"] if "Y" in parts else parts["y"] + np.where(parts["y"] < 70, 2000, 1900)
        month, day = parts["m"], parts["d"]
        ok &= (month >= 1) & (month <= 12) & (day >= 1) & (year >= 1)
        safe = np.where((month >= 1) & (month <= 12), month, 1)
        months = ((year - 1970) * 12 + safe - 1).astype("datetime64[M]")
        first = months.astype("datetime64[D]").astype(np.int64)
        length = (months + 1).astype("datetime64[D]").astype(np.int64) - first
        ok &= day <= length
        days = first + day - 1
    return days * DAY_US + ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction


@dataclass
class ZoneClock:
    """Turns clock readings of one zone into instants, in the order of the file, and says which readings do not exist."""

    zone: str
    _days: dict[int, tuple[int, int]] = field(default_factory=dict)
    _last: int = NO_TIME
    _second_pass: bool = False

    def to_utc(self, local: Instants) -> tuple[Instants, npt.NDArray[np.bool_]]:
        """Return instants [µs, UTC] and which readings were doubtful (skipped or repeated by daylight saving)."""
        out = local.copy()
        doubtful = np.zeros(len(local), dtype=bool)
        there = local != NO_TIME
        days = np.floor_divide(local, DAY_US)
        if not there.any():
            return out, doubtful
        for day in np.unique(days[there]):
            start, end = self._offsets(int(day))
            here = there & (days == day) if len(local) < 64 or start != end else None
            if start == end:
                continue
            assert here is not None
            for index in np.flatnonzero(here):
                out[index], doubtful[index] = self._careful(int(local[index]))
        steady = there & ~np.isin(days, [day for day, (start, end) in self._days.items() if start != end])
        unique, inverse = np.unique(days[steady], return_inverse=True)
        offsets = np.array([self._offsets(int(day))[0] for day in unique], dtype=np.int64)
        out[steady] = local[steady] - offsets[inverse]
        return out, doubtful

    def _offsets(self, day: int) -> tuple[int, int]:
        known = self._days.get(day)
        if known is None:
            known = (_offset_us(self.zone, day * DAY_US), _offset_us(self.zone, (day + 1) * DAY_US))
            self._days[day] = known
        return known

    def _careful(self, local: int) -> tuple[int, bool]:
        zone = ZoneInfo(self.zone)
        naive = datetime(1970, 1, 1) + timedelta(microseconds=local)  # noqa: DTZ001 - a clock reading without zone is meant
        first = naive.replace(tzinfo=zone, fold=0)
        second = naive.replace(tzinfo=zone, fold=1)
        before, after = first.utcoffset(), second.utcoffset()
        assert before is not None and after is not None
        if before == after:
            self._second_pass, self._last = False, local
            return local - _us(before), False
        if before < after:
            # Skipped hour: no clock that follows the rule shows it; read with the offset before the change.
            return local - _us(before), True
        # Repeated hour: the second pass begins where the readings no longer step forward.
        if self._last != NO_TIME and 0 <= self._last - local < 2 * 3_600_000_000:
            self._second_pass = True
        self._last = local
        return local - _us(after if self._second_pass else before), True


@lru_cache(maxsize=65_536)
def _offset_us(zone: str, local: int) -> int:
    try:
        naive = datetime(1970, 1, 1) + timedelta(microseconds=local)  # noqa: DTZ001 - a clock reading without zone is meant
    except OverflowError:
        return 0
    offset = naive.replace(tzinfo=ZoneInfo(zone)).utcoffset()
    return _us(offset) if offset is not None else 0


def _us(delta: timedelta) -> int:
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def fixed_zone(minutes: int) -> timezone:
    """Return the zone of a fixed offset [minutes]."""
    return timezone(timedelta(minutes=minutes))


def settle(written: str, order: str) -> str:
    """Put an order of date parts (``dmy``, ``mdy``, ``ymd``) into a format whose order was open."""
    letters = iter(order)
    year_fixed = "%Y" in written
    slots = ["%1", "%2"] if year_fixed else ["%1", "%2", "%3"]
    wanted = [letter for letter in letters if letter != "y" or not year_fixed]
    for slot, letter in zip(slots, wanted, strict=True):
        written = written.replace(slot, f"%{letter}")
    return written


def is_open(written: str) -> bool:
    """Whether the order of the date parts is not settled yet."""
    return "%1" in written
