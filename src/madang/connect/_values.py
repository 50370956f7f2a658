"""Turns the texts of one column into values, and says of every cell that is not an ordinary good value why."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from madang.connect import _times, _units
from madang.connect._tables import CellType
from madang.connect._times import NO_TIME, Instants, ZoneClock
from madang.errors import Json
from madang.plant import ValueFlag

MISSING_WORDS = frozenset(
    [
        "-",
        "--",
        "---",
        "–",
        "—",
        ".",
        "..",
        "…",
        "*",
        "**",
        "?",
        "n/a",
        "na",
        "#n/a",
        "#na",
        "n.a.",
        "n.a",
        "null",
        "none",
        "nil",
        "nan",
        "n.d.",
        "n.d",
        "nd",
        "k.a.",
        "k.a",
        "leer",
        "fehlt",
        "missing",
        "blank",
        "empty",
        "없음",
        "미측정",
        "미입력",
        "결측",
        "결측치",
        "해당없음",
        "측정안함",
        "unavailable",
        "(null)",
        "<null>",
        "\\n",
    ]
) | {"#n/a n/a", "no value"}
"""Words, folded, for "there is no value"."""

BAD_WORDS = frozenset(
    ["err", "error", "errors", "#err", "bad", "badinput", "bad_input", "fail", "failed", "fault", "timeout", "i/o_timeout", "iotimeout", "overflow", "ovfl", "underflow", "over", "under", "overrange", "underrange", "inf", "-inf", "+inf", "infinity", "-infinity", "#div/0!", "#ref!", "#value!", "#name?", "#num!", "#null!", "#####", "comm_fail", "commfail", "nodata", "no_data", "invalid", "calib", "calibration", "shutdown", "unknown오류", "에러", "통신오류", "통신불량", "고장", "단선", "측정불가", "이상", "범위초과", "störung", "stoerung", "fehler", "ungültig", "ungueltig", "ausfall", "defekt", "offline", "off-line", "disconnected"]
) | {
    "i/o timeout", "bad input", "comm fail", "no data", "out of serv", "out of service", "over range", "under range",
    "arc off-line", "pt created", "not connect", "bad total", "scan off", "scan timeout", "오류", "통신 오류", "측정 불가", "범위 초과",
    "no good data", "invalid data", "equip fail", "sensor fail", "intf shut", "kein wert",
}  # fmt: skip
"""Words, folded, for "the value is bad"."""

TEXT_NULLS = ("#N/A", "NULL", "null", "NaN", "nan", "N/A", "(null)", "#NA")
"""What stands for no value in a column of text; anything else there is text."""

TRUE_WORDS = frozenset(["true", "yes", "on", "ja", "an", "wahr", "예", "참", "켜짐"])
FALSE_WORDS = frozenset(["false", "no", "off", "nein", "aus", "falsch", "아니오", "아니요", "거짓", "꺼짐"])

_PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_PLAIN_COMMA = r"^[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?$"
_WHOLE = r"^[+-]?\d+$"
_CENSOR = re.compile(r"^(?P<op>[<>≤≥＜＞]=?|>=|<=|LOD<|ND<)\s*(?P<rest>.+)$")
_CENSOR_AFTER = re.compile(r"^(?P<rest>.+?)\s*(?P<op>미만|이하|초과|이상)$")
_WITH_UNIT = re.compile(r"^(?P<number>[+-]?[\d.,'\u00a0\u202f ]*\d[.,]?(?:[eE][+-]?\d+)?)\s*(?P<unit>[^\d\s.,'+-].{0,15})$")
_BEFORE = re.compile(r"^[₩$€£¥]\s*")
_FORMULA = re.compile(r"^=\s*[-+(]?\s*[A-Za-z(\d]")


@dataclass(frozen=True)
class ColumnRule:
    """Every decision about how one column's texts are read; part of the template."""

    type: CellType
    decimal: str = "."
    thousands: str | None = None
    unit: str | None = None
    """Unit in which bare numbers of the column stand, as written; cells in another unit are converted to it."""
    cell_units: bool = False
    """Whether cells carry their unit."""
    bad_codes: tuple[float, ...] = ()
    """Numbers that stand for a bad value."""
    formats: tuple[str, ...] = ()
    """Time formats, the commonest first."""
    order: str = "ymd"
    """Order of date parts where a date written with two digits leaves it open."""
    midnight: bool = False
    """Whether rows of 00:00 carry the date of the day that just ended."""

    def to_json(self) -> dict[str, Json]:
        """Return the rule as JSON values, without what stands at its default."""
        blank = ColumnRule(self.type)
        out: dict[str, Json] = {"type": self.type}
        for name in ("decimal", "thousands", "unit", "cell_units", "order", "midnight"):
            if getattr(self, name) != getattr(blank, name):
                out[name] = getattr(self, name)
        if self.bad_codes:
            out["bad_codes"] = list(self.bad_codes)
        if self.formats:
            out["formats"] = list(self.formats)
        return out

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> ColumnRule:
        """Make a rule from `to_json`'s values."""
        plain = {key: value for key, value in document.items() if key not in ("bad_codes", "formats")}
        rule = cls(**cast(dict[str, Any], plain))
        codes = cast(list[float], document.get("bad_codes") or [])
        formats = cast(list[str], document.get("formats") or [])
        return replace(rule, bad_codes=tuple(float(code) for code in codes), formats=tuple(formats))


@dataclass(frozen=True)
class Reading:
    """What one text of a column of numbers says."""

    value: float | int | None
    flag: ValueFlag | None = None
    note: str | None = None
    """What kind of remark it is: ``bad_word``, ``missing_word``, ``censored``, ``unit``, ``formula``, ``type``, ``decimal``."""


@dataclass
class Remarks:
    """Remarks about single cells of one column: index within the chunk, flag, original text, kind of remark."""

    index: list[int] = field(default_factory=list)
    flag: list[str] = field(default_factory=list)
    original: list[str | None] = field(default_factory=list)
    note: list[str] = field(default_factory=list)

    def add(self, index: int, flag: ValueFlag, original: str | None, note: str) -> None:
        """Remember one remark."""
        self.index.append(index)
        self.flag.append(flag.value)
        self.original.append(original)
        self.note.append(note)

    def without(self, index: int) -> Remarks:
        """Return the remarks without those of one record."""
        kept = [place for place, own in enumerate(self.index) if own != index]
        return Remarks(*([part[place] for place in kept] for part in (self.index, self.flag, self.original, self.note)))  # type: ignore[arg-type]


@dataclass
class Converted:
    """A column of one chunk: values (times as int64 clock readings in `local`), and remarks."""

    values: Any
    remarks: Remarks


def read_number(text: str, rule: ColumnRule) -> Reading:
    """Read one text of a numeric column.

    Args:
        text: The cell, as written.
        rule: How its column is written.
    """
    plain = text.strip()
    if not plain:
        return Reading(None)
    value = _number(plain, rule)
    if value is not None:
        return _typed(value, rule)
    folded = fold(plain)
    if folded in MISSING_WORDS:
        return Reading(None, ValueFlag.MISSING, "missing_word")
    if folded in BAD_WORDS:
        return Reading(None, ValueFlag.BAD, "bad_word")
    if _FORMULA.match(plain):
        return Reading(None, ValueFlag.BAD, "formula")
    return _dressed_number(plain, rule)


def _dressed_number(plain: str, rule: ColumnRule) -> Reading:
    normal = unicodedata.normalize("NFKC", plain).replace("\u2212", "-").replace("\u2013", "-").strip()
    normal = _BEFORE.sub("", normal)
    value = _number(normal, rule)
    if value is not None:
        return _typed(value, rule)
    censored = _CENSOR.match(normal) or _CENSOR_AFTER.match(normal)
    if censored:
        inner = read_number(censored["rest"], rule)
        if inner.value is not None:
            return Reading(inner.value, ValueFlag.CENSORED, "censored")
    other = _other_decimal(normal, rule)
    if other is not None:
        return Reading(_typed(other, rule).value, ValueFlag.UNCERTAIN, "decimal")
    found = _WITH_UNIT.match(normal)
    if found:
        return _with_unit(found["number"].strip(), found["unit"].strip(), rule)
    return Reading(None, ValueFlag.BAD, "bad_word")


def _with_unit(number: str, unit: str, rule: ColumnRule) -> Reading:
    value = _number(number, rule)
    if value is None:
        return Reading(None, ValueFlag.BAD, "bad_word")
    if rule.unit is not None and _units.same_unit(unit, rule.unit):
        return _typed(value, rule)
    if rule.unit is not None:
        changed = _units.converted(value, unit, rule.unit)
        if changed is not None:
            return Reading(changed, ValueFlag.CONVERTED, "unit")
    return Reading(None, ValueFlag.BAD, "unit_unknown" if _units.is_unit(unit) else "bad_word")


def _typed(value: float | int, rule: ColumnRule) -> Reading:
    if rule.bad_codes and float(value) in rule.bad_codes:
        return Reading(None, ValueFlag.BAD, "bad_code")
    if rule.type == "integer":
        if isinstance(value, int):
            return Reading(value) if -(2**63) <= value < 2**63 else Reading(None, ValueFlag.BAD, "type")
        return Reading(int(value)) if value.is_integer() and abs(value) < 2**63 else Reading(None, ValueFlag.BAD, "type")
    return Reading(float(value))


@lru_cache(maxsize=32)
def _shapes(decimal: str, thousands: str | None) -> tuple[re.Pattern[str], re.Pattern[str] | None]:
    point = re.escape(decimal)
    plain = re.compile(rf"^[+-]?(\d+{point}?\d*|{point}\d+)([eE][+-]?\d+)?$", re.ASCII)
    if thousands is None:
        return plain, None
    mark = "[ \u00a0\u202f]" if thousands == " " else re.escape(thousands)
    return plain, re.compile(rf"^[+-]?\d{{1,3}}({mark}\d{{3}})+({point}\d*)?$", re.ASCII)


def _number(text: str, rule: ColumnRule) -> float | int | None:
    plain, grouped = _shapes(rule.decimal, rule.thousands)
    if grouped is not None and grouped.match(text):
        text = re.sub("[ \u00a0\u202f]", "", text) if rule.thousands == " " else text.replace(rule.thousands or "", "")
    elif not plain.match(text):
        if rule.type == "integer" and re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
            return int(text, 16)
        return None
    text = text.replace(rule.decimal, ".") if rule.decimal != "." else text
    if rule.type == "integer" and re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    value = float(text)
    return value if abs(value) != float("inf") else None


def _other_decimal(text: str, rule: ColumnRule) -> float | None:
    """Read a number that uses the other decimal mark than its column, where it can only mean that."""
    other = "," if rule.decimal == "." else "."
    if other == rule.thousands:
        return None
    found = re.fullmatch(rf"([+-]?\d+){re.escape(other)}(\d+)", text, re.ASCII)
    if found is None or (len(found[2]) == 3 and found[1].lstrip("+-") != "0" and len(found[1].lstrip("+-")) <= 3):
        return None
    return float(f"{found[1]}.{found[2]}")


@lru_cache(maxsize=65_536)
def fold(text: str) -> str:
    """Return a word in the form in which words are compared: NFKC, no case, single blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def convert_numbers(texts: Any, rule: ColumnRule) -> Converted:  # noqa: ANN401 - pyarrow is untyped
    """Read a column of numbers; ``texts`` is a string array, empty text means an empty cell."""
    kind = pa.int64() if rule.type == "integer" else pa.float64()
    trimmed = pc.utf8_trim_whitespace(texts)
    trimmed = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)
    if rule.decimal == "." and rule.thousands is None and not rule.bad_codes:
        try:
            values = pc.cast(trimmed, kind)
        except pa.ArrowInvalid:
            pass
        else:
            if kind == pa.int64() or bool(pc.all(pc.is_finite(values)).as_py() in (True, None)):
                return Converted(values, Remarks())
    plain = pc.match_substring_regex(trimmed, _plain_pattern(rule))
    bare = pc.if_else(plain, trimmed, pa.scalar(None, pa.string()))
    bare = pc.replace_substring(bare, rule.decimal, ".") if rule.decimal != "." and kind == pa.float64() else bare
    bare = pc.if_else(pc.starts_with(bare, "+"), pc.utf8_slice_codeunits(bare, 1), bare) if kind == pa.int64() else bare
    try:
        values = pc.cast(bare, kind)
    except pa.ArrowInvalid:
        return _one_by_one(trimmed, pc.is_valid(trimmed), pa.nulls(len(trimmed), kind), rule)
    rest = pc.and_(pc.is_valid(trimmed), pc.invert(pc.fill_null(plain, False)))
    if rule.bad_codes:
        coded = pc.is_in(pc.cast(values, pa.float64(), safe=False), value_set=pa.array(rule.bad_codes, pa.float64()))
        rest = pc.or_(rest, coded)
    infinite = pc.fill_null(pc.is_inf(values), False) if kind == pa.float64() else None
    if infinite is not None:
        rest = pc.or_(rest, infinite)
    return _one_by_one(trimmed, rest, values, rule)


def _plain_pattern(rule: ColumnRule) -> str:
    if rule.type == "integer":
        return _WHOLE
    return _PLAIN_COMMA if rule.decimal == "," else _PLAIN


def _one_by_one(texts: Any, rest: Any, values: Any, rule: ColumnRule) -> Converted:  # noqa: ANN401 - pyarrow is untyped
    remarks = Remarks()
    indices = np.flatnonzero(rest.to_numpy(zero_copy_only=False))
    if not len(indices):
        return Converted(values, remarks)
    known: dict[str, Reading] = {}
    found: list[float | int | None] = []
    for index, text in zip(indices.tolist(), texts.take(pa.array(indices)).to_pylist(), strict=True):
        reading = known.get(text)
        if reading is None:
            reading = known[text] = read_number(text, rule)
        found.append(reading.value)
        if reading.flag is not None:
            remarks.add(index, reading.flag, text, reading.note or "")
    mask = rest
    values = pc.replace_with_mask(values, mask, pa.array(found, values.type))
    return Converted(values, remarks)


def convert_text(texts: Any) -> Converted:  # noqa: ANN401 - pyarrow is untyped
    """Read a column of text: blanks around it go, an empty cell is null."""
    remarks = Remarks()
    trimmed = pc.utf8_trim_whitespace(texts)
    null = pc.is_in(trimmed, value_set=pa.array(TEXT_NULLS))
    if pc.any(null).as_py():
        for index in np.flatnonzero(null.to_numpy(zero_copy_only=False)).tolist():
            remarks.add(index, ValueFlag.MISSING, trimmed[index].as_py(), "missing_word")
        trimmed = pc.if_else(null, "", trimmed)
    formula = pc.starts_with(trimmed, "=")
    if pc.any(formula).as_py():
        for index in np.flatnonzero(formula.to_numpy(zero_copy_only=False)).tolist():
            text = trimmed[index].as_py()
            if _FORMULA.match(text):
                remarks.add(index, ValueFlag.UNCERTAIN, text, "formula")
    return Converted(pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed), remarks)


def convert_booleans(texts: Any) -> Converted:  # noqa: ANN401 - pyarrow is untyped
    """Read a column of true and false words."""
    remarks = Remarks()
    known: dict[str, bool | None] = {}
    out: list[bool | None] = []
    for index, text in enumerate(texts.to_pylist()):
        plain = (text or "").strip()
        if plain not in known:
            folded = fold(plain)
            known[plain] = True if folded in TRUE_WORDS else False if folded in FALSE_WORDS else None
        value = known[plain]
        out.append(value)
        if value is None and plain:
            missing = fold(plain) in MISSING_WORDS
            remarks.add(
                index, ValueFlag.MISSING if missing else ValueFlag.BAD, plain, "missing_word" if missing else "bad_word"
            )
    return Converted(pa.array(out, pa.bool_()), remarks)


@dataclass
class Clock:
    """Clock readings of one column of a chunk."""

    local: Instants
    """Reading of the clock [µs], `NO_TIME` where there is none."""
    offset: npt.NDArray[np.int32]
    """Offset the text itself gave [minutes]; `NO_OFFSET` where it gave none."""
    remarks: Remarks


NO_OFFSET = -100_000


def read_clocks(texts: Any, rule: ColumnRule) -> Clock:  # noqa: ANN401 - pyarrow is untyped
    """Read a column of instants as the clock that wrote them showed them."""
    trimmed = pc.utf8_trim_whitespace(texts)
    count = len(trimmed)
    local = np.full(count, NO_TIME, dtype=np.int64)
    offset = np.full(count, NO_OFFSET, dtype=np.int32)
    lengths = pc.binary_length(trimmed).to_numpy(zero_copy_only=False)
    left = np.flatnonzero(lengths > 0)
    for written in rule.formats[:4]:
        left = _read_format(trimmed, lengths, left, written, local, offset)
    remarks = Remarks()
    if len(left):
        _read_rest(trimmed, left, rule, local, offset, remarks)
    if rule.midnight:
        early = (local != NO_TIME) & (local % _times.DAY_US == 0)
        local[early] += _times.DAY_US
    return Clock(local, offset, remarks)


def _read_format(
    texts: Any,  # noqa: ANN401 - pyarrow is untyped
    lengths: npt.NDArray[np.int32],
    left: npt.NDArray[np.int64],
    written: str,
    local: Instants,
    offset: npt.NDArray[np.int32],
) -> npt.NDArray[np.int64]:
    """Read what one format fits at full speed; return the indices still unread."""
    if written in _times.EPOCHS:
        return _read_epochs(texts, left, written, local, offset)
    for length in np.unique(lengths[left]).tolist():
        group = left[lengths[left] == length]
        for _ in range(8):
            if len(group) < 8:
                break
            data = _bytes_of(texts, group, length)
            read = _times.parse_fixed(data, written)
            if read is None:
                break
            micros, ok = read
            if not ok.any():
                break
            local[group[ok]] = micros[ok]
            group = group[~ok]
    unread: npt.NDArray[np.int64] = left[local[left] == NO_TIME]
    return unread


def _bytes_of(texts: Any, group: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.uint8]:  # noqa: ANN401 - pyarrow is untyped
    taken = texts if len(group) == len(texts) else texts.take(pa.array(group))
    if isinstance(taken, pa.ChunkedArray):
        taken = taken.combine_chunks()
    buffers = taken.buffers()
    offsets = np.frombuffer(buffers[1], dtype=np.int32)[taken.offset : taken.offset + len(taken) + 1]
    start, stop = int(offsets[0]), int(offsets[-1])
    return np.frombuffer(buffers[2], dtype=np.uint8)[start:stop].reshape(len(taken), length)


def _read_epochs(
    texts: Any,  # noqa: ANN401 - pyarrow is untyped
    left: npt.NDArray[np.int64],
    written: str,
    local: Instants,
    offset: npt.NDArray[np.int32],
) -> npt.NDArray[np.int64]:
    taken = texts.take(pa.array(left))
    whole = pc.match_substring_regex(taken, r"^\d{1,19}$")
    try:
        numbers = pc.cast(pc.if_else(whole, taken, "0"), pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return left
    scale = _times.EPOCHS[written]
    ok = whole.to_numpy(zero_copy_only=False).astype(bool)
    if scale > 1:
        ok &= numbers < 2**62 // scale
    micros = numbers // 1_000 if written == "epoch_ns" else numbers * scale
    local[left[ok]] = micros[ok]
    offset[left[ok]] = 0
    unread: npt.NDArray[np.int64] = left[~ok]
    return unread


def _read_rest(
    texts: Any,  # noqa: ANN401 - pyarrow is untyped
    left: npt.NDArray[np.int64],
    rule: ColumnRule,
    local: Instants,
    offset: npt.NDArray[np.int32],
    remarks: Remarks,
) -> None:
    known: dict[str, _times.Local | None] = {}
    for index, text in zip(left.tolist(), texts.take(pa.array(left)).to_pylist(), strict=True):
        if text not in known:
            known[text] = read_instant(text, rule)
        found = known[text]
        if found is not None:
            local[index] = found.micros
            offset[index] = NO_OFFSET if found.offset is None else found.offset
            continue
        missing = fold(text) in MISSING_WORDS
        remarks.add(index, ValueFlag.MISSING if missing else ValueFlag.BAD, text, "missing_word" if missing else "bad_time")


def read_instant(text: str, rule: ColumnRule) -> _times.Local | None:
    """Read one instant by the column's formats, or by its own look where that leaves no doubt."""
    text = unicodedata.normalize("NFKC", text).strip() if not text.isascii() else text
    for written in rule.formats:
        found = _times.parse_local(text, written)
        if found is not None:
            return found
    if rule.formats and (rule.formats[0] in _times.EPOCHS or rule.formats[0] == "excel_serial"):
        return None
    looks = _times.format_of(text)
    if looks is None:
        return None
    return _times.parse_local(text, _times.settle(looks, rule.order) if _times.is_open(looks) else looks)


def to_instants(clock: Clock, zone: ZoneClock) -> tuple[Instants, npt.NDArray[np.bool_]]:
    """Return instants [µs, UTC] and which clock readings daylight saving makes doubtful."""
    out = clock.local.copy()
    doubtful = np.zeros(len(out), dtype=bool)
    said = (clock.offset != NO_OFFSET) & (out != NO_TIME)
    out[said] -= clock.offset[said].astype(np.int64) * 60_000_000
    silent = (clock.offset == NO_OFFSET) & (out != NO_TIME)
    if silent.any():
        out[silent], doubtful[silent] = zone.to_utc(clock.local[silent])
    return out, doubtful


def instants_array(instants: Instants) -> Any:  # noqa: ANN401 - pyarrow is untyped
    """Return a timestamp array; `NO_TIME` becomes null."""
    return pa.array(instants, pa.int64(), mask=instants == NO_TIME).cast(pa.timestamp("us", "UTC"))


def joined_words(words: Iterable[str], limit: int = 8) -> str:
    """Return up to ``limit`` words for a message, in order, with dots when there are more."""
    listed = list(dict.fromkeys(words))
    return ", ".join(listed[:limit]) + (", ..." if len(listed) > limit else "")
