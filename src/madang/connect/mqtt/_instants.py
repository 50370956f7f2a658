"""Reads the times that payloads give: numbers since 1970 in four units, and texts as plants write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal

from madang.connect._times import EPOCHS, Local, format_of, parse_local
from madang.connect.mqtt._rules import PayloadRules

Trouble = Literal["time_unreadable", "time_ambiguous", "time_out_of_range"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)
_UNITS: Final = ("epoch_s", "epoch_ms", "epoch_us", "epoch_ns")
# Counts since 1970 of the years 2000 to 2100 lie apart by unit: seconds below 1e11, milliseconds below 1e14, and so on.
_STEPS: Final = (100_000_000_000, 100_000_000_000_000, 100_000_000_000_000_000)


def read_instant(value: object, written: str, rules: PayloadRules) -> int | Trouble:
    """Return an instant [us since 1970, UTC], or why there is none. Whether it is plausible is not asked.

    Args:
        value: What stands in the time field.
        written: ``auto``, a unit since 1970, or a pattern.
        rules: Zone of texts that do not say theirs.

    >>> read_instant(1_700_000_000.5, "auto", PayloadRules())
    1700000000500000
    >>> read_instant("2023-11-15 07:13:20", "auto", PayloadRules())
    1700000000000000
    """
    if isinstance(value, bool):
        return "time_unreadable"
    if isinstance(value, int):
        return _of_count(value, _unit(value) if written not in EPOCHS else written)
    if isinstance(value, float):
        unit = _unit(value) if written not in EPOCHS else written
        scale = EPOCHS[unit]
        return round(value * scale) if scale else round(value / 1_000)
    if isinstance(value, str):
        return _of_text(value.strip(), written, rules)
    return "time_unreadable"


def plausible(instant: int, received: int, rules: PayloadRules) -> bool:
    """Whether an instant can be the time of a value received at `received` (both [us since 1970])."""
    return rules.earliest <= instant <= received + rules.ahead


def _unit(value: float) -> str:
    size = abs(value)
    for unit, step in zip(_UNITS, _STEPS, strict=False):
        if size < step:
            return unit
    return "epoch_ns"


def _of_count(value: int, unit: str) -> int:
    scale = EPOCHS[unit]
    return value * scale if scale else value // 1_000


def _of_text(text: str, written: str, rules: PayloadRules) -> int | Trouble:
    if written == "auto":
        if len(text) > 64:
            return "time_unreadable"
        if text[:4].isdecimal() and text[4:5] == "-":
            try:
                instant = datetime.fromisoformat(text)
            except ValueError:
                pass
            else:
                if instant.tzinfo is not None:
                    return (instant - _EPOCH) // _MICRO
                return _placed(Local((instant.replace(tzinfo=UTC) - _EPOCH) // _MICRO, None), rules)
        number = text.removeprefix("-")
        if number.replace(".", "", 1).isdecimal() and number.isascii() and len(number.partition(".")[0]) not in {8, 12, 14, 17}:
            # Between 9 and 19 digits: a count since 1970 that was written as a text.
            found = parse_local(text, _unit(int(text.partition(".")[0] or 0)))
            return found.micros if found is not None else "time_unreadable"
        guessed = _format_of(text)
        if guessed is None or "%1" in guessed:
            return "time_ambiguous" if guessed else "time_unreadable"
        written = guessed
    local = parse_local(text, written)
    return "time_unreadable" if local is None else _placed(local, rules)


@lru_cache(maxsize=4096)
def _format_of(text: str) -> str | None:
    return format_of(text)


def _placed(local: Local, rules: PayloadRules) -> int | Trouble:
    """Move a clock reading to UTC; an hour that a change of summer time doubles or leaves out has no answer."""
    if local.offset is not None:
        return local.micros - local.offset * 60_000_000
    try:
        naive = (_EPOCH + local.micros * _MICRO).replace(tzinfo=None)
        first = naive.replace(tzinfo=rules.zone)
        second = first.replace(fold=1)
        if first.utcoffset() != second.utcoffset():
            return "time_ambiguous"
        return (first.astimezone(UTC) - _EPOCH) // _MICRO
    except OverflowError:
        return "time_out_of_range"
