"""Finds the samples in one JSON value of any shape.

Path of a sample: the keys that lead to it, joined by dots; empty for the value of the message itself. Fields that say when,
how good, in which unit or under which name are taken for that where their content agrees, and are values otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from madang.connect.mqtt._instants import Trouble, plausible, read_instant
from madang.connect.mqtt._quality import read_quality
from madang.connect.mqtt._roles import CONTAINERS, TIME_ORDER, plain, role_of
from madang.connect.mqtt._rules import PayloadRules
from madang.plant import BAD, GOOD

Scalar: TypeAlias = "bool | int | float | str | None"


class NotFinite:
    """Stands for NaN or Infinity, which JSON does not know but some senders write."""


NOT_FINITE: Final = NotFinite()


class ExactNumber(str):
    """A number that float64 cannot hold, in decimal."""

    __slots__ = ()


@dataclass(slots=True)
class Found:
    """One sample of a message."""

    path: str
    time: int | None
    """[us since 1970]; None: the message does not say."""
    value: Scalar
    quality: int
    unit: str | None = None


@dataclass(slots=True)
class Findings:
    """What a message turned out to hold."""

    samples: list[Found] = field(default_factory=list)
    troubles: list[tuple[str, str]] = field(default_factory=list)
    """Code of the trouble and the path where it was met."""
    server_time: int | None = None
    roles: dict[str, str] = field(default_factory=dict)
    """Which path was taken for time, quality, unit, value or name."""


@dataclass(frozen=True, slots=True)
class _Around:
    """What the levels above say about a value."""

    path: str = ""
    time: int | None = None
    quality: int = GOOD
    unit: str | None = None
    stop: Trouble | None = None
    """Why no value below has a time."""
    depth: int = 0


def walk(value: object, received: int, rules: PayloadRules) -> Findings:
    """Return the samples of a decoded JSON value, in its order.

    Args:
        value: What the payload holds.
        received: Receive time of the message [us since 1970].
        rules: How to read it.
    """
    return _Walk(received, rules).all(value)


class _Walk:
    def __init__(self, received: int, rules: PayloadRules) -> None:
        self.received = received
        self.rules = rules
        self.found = Findings()

    def all(self, value: object) -> Findings:
        around = _Around()
        if self.rules.time is not None and isinstance(value, Mapping):
            stamp = _at(value, self.rules.time)
            if stamp is not None:
                around = self._timed(around, stamp, "", strong=True) or around
                self.found.roles["time"] = self.rules.time
        if self.rules.quality is not None and isinstance(value, Mapping):
            code = read_quality(_at(value, self.rules.quality), self.rules.quality_scale, self.rules.quality)
            if code is not None:
                around = _Around(quality=code, time=around.time, stop=around.stop)
                self.found.roles["quality"] = self.rules.quality
        self._any(value, around)
        return self.found

    def _any(self, value: object, around: _Around) -> None:
        if len(self.found.samples) >= self.rules.max_values:
            if not self.found.troubles or self.found.troubles[-1][0] != "too_many_values":
                self.found.troubles.append(("too_many_values", around.path))
            return
        if isinstance(value, dict):
            if around.depth >= self.rules.max_depth:
                self.found.troubles.append(("too_deep", around.path))
            else:
                self._object(value, around)
        elif isinstance(value, list):
            if around.depth >= self.rules.max_depth:
                self.found.troubles.append(("too_deep", around.path))
            else:
                self._list(value, around)
        else:
            self._scalar(value, around)

    def _scalar(self, value: object, around: _Around) -> None:
        rules = self.rules
        path = around.path
        if rules.value:
            if not _wanted(path, rules.value):
                return
            path = "" if rules.value == (path,) else path
        if around.stop is not None:
            self.found.troubles.append((around.stop, around.path))
            return
        quality = around.quality
        if value is NOT_FINITE or value is None:
            # No value came, and the sender did not say why: bad, unless it called it worse itself.
            value, quality = None, quality if quality >> 30 else BAD
        self.found.samples.append(Found(path, around.time, value, quality, around.unit))  # type: ignore[arg-type]

    def _object(self, record: dict[str, object], around: _Around) -> None:
        taken: set[str] = set()
        around = self._described(record, around, taken)
        value_key = self._value_key(record, taken)
        if value_key is not None:
            taken.add(value_key)
            self.found.roles.setdefault("value", _join(around.path, value_key))
            self._any(record[value_key], _below(around, around.path))
        if len(taken) == len(record) and value_key is None and record:
            self.found.troubles.append(("no_value", around.path))
        for key, inner in record.items():
            if key in taken:
                continue
            name = "" if plain(key) == "values" and isinstance(inner, dict) else key
            if isinstance(inner, list) and plain(key) in CONTAINERS and inner and isinstance(inner[0], (dict, list)):
                name = ""
            self._any(inner, _below(around, _join(around.path, name)))

    def _described(self, record: dict[str, object], around: _Around, taken: set[str]) -> _Around:
        """Read what an object says about its own values: when, how good, in which unit, under which name."""
        rules = self.rules
        times = sorted(
            (key for key in record if role_of(key) in {"time", "time?"}),
            key=lambda key: TIME_ORDER.get(plain(key), len(TIME_ORDER)),
        )
        if rules.time is not None:
            times = [key for key in record if rules.time in {key, _join(around.path, key)}]
        for key in times:
            timed = self._timed(around, record[key], key, strong=rules.time is not None or role_of(key) == "time")
            if timed is not None:
                around = timed
                taken.add(key)
                self.found.roles.setdefault("time", _join(around.path, key))
                break
        has_value = any(role_of(key) in {"value", "value?"} for key in record)
        for key, inner in record.items():
            role = role_of(key)
            if rules.quality is not None and rules.quality in {key, _join(around.path, key)}:
                code = read_quality(inner, rules.quality_scale, key)
                if code is not None:
                    around = _Around(around.path, around.time, code, around.unit, around.stop, around.depth)
                taken.add(key)
                continue
            if key in taken or not role:
                continue
            if role == "server_time":
                stamp = read_instant(inner, rules.time_format, rules)
                if isinstance(stamp, int) and plausible(stamp, self.received, rules):
                    self.found.server_time = max(stamp, self.found.server_time or stamp)
                    taken.add(key)
            elif role == "quality" and rules.quality is None:
                around = self._qualified(around, key, inner, has_value, taken)
            elif role == "unit" and isinstance(inner, str) and has_value and len(inner) <= 24:
                around = _Around(around.path, around.time, around.quality, inner.strip() or None, around.stop, around.depth)
                taken.add(key)
            elif self._is_name(key, role, inner, record):
                around = _Around(
                    _join(around.path, str(inner)), around.time, around.quality, around.unit, around.stop, around.depth
                )
                self.found.roles.setdefault("name", key)
                taken.add(key)
            elif rules.sequence is not None and _join(around.path, key) == rules.sequence:
                taken.add(key)
        return around

    def _is_name(self, key: str, role: str, inner: object, record: dict[str, object]) -> bool:
        if not isinstance(inner, str) or not 0 < len(inner) <= 256:
            return False
        if self.rules.name is not None:
            return key == self.rules.name
        return role == "name" and any(role_of(other) in {"value", "value?"} for other in record)

    def _qualified(self, around: _Around, key: str, inner: object, has_value: bool, taken: set[str]) -> _Around:
        word = plain(key)
        if word == "status" and not (has_value and isinstance(inner, (str, dict))):
            return around
        if word == "q" and not has_value:
            return around
        code = read_quality(inner, self.rules.quality_scale, key)
        if code is None:
            return around
        taken.add(key)
        self.found.roles.setdefault("quality", _join(around.path, key))
        return _Around(around.path, around.time, code, around.unit, around.stop, around.depth)

    def _timed(self, around: _Around, stamp: object, key: str, *, strong: bool) -> _Around | None:
        """Take a field for the time, or None when it is none: a weak name with something else in it, or no time given."""
        if stamp is None:
            return None
        written = self.rules.time_format
        if written == "auto" and isinstance(stamp, (int, float)):
            written = unit_in(key) or written
        instant = read_instant(stamp, written, self.rules)
        if isinstance(instant, int):
            if plausible(instant, self.received, self.rules):
                return _Around(around.path, instant, around.quality, around.unit, None, around.depth)
            instant = "time_out_of_range"
        if not strong:
            return None
        return _Around(around.path, None, around.quality, around.unit, instant, around.depth)

    def _value_key(self, record: dict[str, object], taken: set[str]) -> str | None:
        if self.rules.value:
            return None
        strong = [key for key in record if role_of(key) == "value"]
        if len(strong) == 1:
            return strong[0]
        if strong:
            return None
        weak = [key for key in record if role_of(key) == "value?" and key not in taken]
        others = [key for key in record if key not in taken and role_of(key) in {"", "value?", "unit"}]
        return weak[0] if len(weak) == 1 and others == weak else None

    def _list(self, values: list[object], around: _Around) -> None:
        if values and all(isinstance(pair, list) and len(pair) == 2 for pair in values):
            pairs = [self._timed(around, pair[0], "", strong=False) for pair in values if isinstance(pair, list)]
            if all(pair is not None for pair in pairs):
                for pair, timed in zip(values, pairs, strict=True):
                    if timed is not None and isinstance(pair, list):
                        self._any(pair[1], _below(timed, around.path))
                self.found.roles.setdefault("time", _join(around.path, "0"))
                return
        for number, inner in enumerate(values):
            if isinstance(inner, dict) and self._is_sample(inner):
                self._any(self._named(inner), _below(around, around.path))
            else:
                self._any(inner, _below(around, _join(around.path, str(number))))

    def _is_sample(self, record: dict[str, object]) -> bool:
        """Whether an element of a list says its own time or name, so that its place in the list means nothing."""
        roles = {role_of(key): key for key in record}
        if "time" in roles or (self.rules.name or "") in record:
            return True
        if "value" in roles or "value?" in roles:
            if {"name", "name?"} & roles.keys():
                return True
            weak = roles.get("time?")
            return weak is not None and self._timed(_Around(), record[weak], weak, strong=False) is not None
        return False

    def _named(self, record: dict[str, object]) -> dict[str, object]:
        """Give an element whose name stands under a vague key, such as ``id``, that name under a plain one."""
        if self.rules.name is not None or any(role_of(key) == "name" for key in record):
            return record
        vague = [key for key in record if role_of(key) == "name?" and isinstance(record[key], str)]
        valued = any(role_of(key) in {"value", "value?"} for key in record)
        if len(vague) != 1 or not valued:
            return record
        return {("name" if key == vague[0] else key): inner for key, inner in record.items()}


def _below(around: _Around, path: str) -> _Around:
    return _Around(path, around.time, around.quality, around.unit, around.stop, around.depth + 1)


def _join(path: str, key: str) -> str:
    if not path:
        return key
    return f"{path}.{key}" if key else path


def _wanted(path: str, wanted: tuple[str, ...]) -> bool:
    return any(path == one or path.startswith(one + ".") for one in wanted)


def _at(record: Mapping[str, object], path: str) -> object:
    """Return what stands under a path; a key that holds a dot itself is found too."""
    if path in record:
        return record[path]
    head, _, rest = path.partition(".")
    inner = record.get(head)
    return _at(inner, rest) if rest and isinstance(inner, Mapping) else None


def unit_in(key: str) -> str | None:
    """Return the unit since 1970 that the name of a time field tells, such as ``timestamp_ms``."""
    word = plain(key)
    for end, unit in (("ms", "epoch_ms"), ("us", "epoch_us"), ("ns", "epoch_ns")):
        if word.endswith(end) and word[: -len(end)] in {"timestamp", "ts", "time", "epoch"}:
            return unit
    return None
