"""What the columns of a table are: role, kind of quantity and unit, each with a reason and a confidence.

Evidence comes from the words of the name, the letters of an instrument tag (ISA-5.1), the unit the source gives, and the values.
Nothing is guessed: where the evidence is thin the proposal says so and a person is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from madang.connect import SourceColumn
from madang.library._cards import MappingStatus
from madang.library._vocabulary import Concept, Meaning, Reading, Vocabulary, vocabulary
from madang.plant import Bilingual, Kind, Role, Unit, convert, parse_unit, split_unit

THRESHOLD = 0.8
"""From this confidence on a proposal is taken unless a person objects; below it a person is asked."""


@dataclass(frozen=True)
class ColumnProposal:
    """What one column (of a long table: one tag) is believed to be."""

    name: str
    role: Role
    kind: Kind
    unit_source: str | None
    """The unit as the source wrote it."""
    unit: str | None
    """UCUM code; None = not known."""
    unit_reason: Bilingual
    reason: Bilingual
    """Why this role and kind."""
    confidence: float
    """From 0 to 1, of role, kind and unit together."""
    status: MappingStatus


def propose_columns(
    columns: Sequence[SourceColumn],
    samples: Mapping[str, pa.Array],
    *,
    table_hint: str = "",
    long_tags: Mapping[str, pa.Array] | None = None,
) -> tuple[ColumnProposal, ...]:
    """Say what each column is.

    Args:
        columns: Columns as the reader found them.
        samples: Good values by column name; a column may be missing here.
        table_hint: Name of the dataset, such as ``검사성적서``; words of it settle what a column name leaves open.
        long_tags: Of a long table, values by tag; each tag gets a proposal of its own behind those of the columns.

    Returns:
        One proposal per column, then one per tag in the order given.
    """
    known = vocabulary()
    hint = {meaning.concept.id for meaning in known.read(table_hint).meanings}
    proposals = [_propose(column, samples.get(column.name), known, hint) for column in columns]
    for tag, values in (long_tags or {}).items():
        column = SourceColumn(source_name=tag, name=tag, type="number", unit_text=None)
        proposals.append(_propose(column, values, known, hint))
    return tuple(proposals)


@dataclass(frozen=True)
class _Values:
    """What the values of a column look like."""

    count: int = 0
    distinct: int = 0
    numeric: bool = False
    boolean: bool = False
    time: bool = False
    whole: bool = False
    low: float = 0.0
    high: float = 0.0
    rising: bool = False
    """Never falling and moving most of the time."""
    serial: bool = False
    """Whole numbers that go up by one."""
    words: frozenset[str] = frozenset()
    """The distinct texts in lower case, when there are few."""
    long_text: bool = False

    @property
    def two_states(self) -> bool:
        return self.boolean or (self.numeric and self.whole and self.distinct <= 2 and self.low >= 0 and self.high <= 1)


_FEW = 50
_MANY_ROWS = 20
_ENOUGH = 20_000
"""Values that are looked at; more would not change what they look like."""


def _look(values: pa.Array | None) -> _Values:
    if values is None or len(values) == 0:
        return _Values()
    good = values.drop_null().slice(0, _ENOUGH)
    if len(good) == 0:
        return _Values()
    if pa.types.is_temporal(good.type):
        return _Values(count=len(good), time=True)
    distinct = pc.count_distinct(good).as_py()
    if pa.types.is_boolean(good.type):
        return _Values(count=len(good), distinct=distinct, boolean=True)
    if pa.types.is_string(good.type) or pa.types.is_large_string(good.type):
        texts = pc.utf8_lower(pc.utf8_trim_whitespace(good))
        words = frozenset(pc.unique(texts).to_pylist()) if distinct <= _FEW else frozenset()
        blanks = pc.mean(pc.count_substring(texts, " ")).as_py()
        return _Values(count=len(good), distinct=distinct, words=words, long_text=blanks >= 1.0)
    numbers = np.asarray(good.cast(pa.float64(), safe=False))
    numbers = numbers[np.isfinite(numbers)]
    if numbers.size == 0:
        return _Values()
    steps = np.diff(numbers)
    return _Values(
        count=int(numbers.size),
        distinct=distinct,
        numeric=True,
        whole=bool(np.all(numbers == np.round(numbers))),
        low=float(numbers.min()),
        high=float(numbers.max()),
        rising=bool(numbers.size >= _MANY_ROWS and np.all(steps >= 0) and np.mean(steps > 0) > 0.5),
        serial=bool(numbers.size >= _MANY_ROWS and np.all(numbers == np.round(numbers)) and np.mean(steps == 1) > 0.9),
    )


@dataclass(frozen=True)
class _Belief:
    """A proposal while evidence is being weighed."""

    role: Role
    kind: Kind
    confidence: float
    reason: Bilingual
    concept: Concept | None = None
    ambiguous: bool = False
    """The name alone does not settle the kind; a unit does."""
    qualified: bool = False
    """Whether other words stand before the one that says what is held."""


_NOTHING = Bilingual("이름과 값만으로는 무엇인지 알 수 없어요.", "Neither name nor values say what it is.")


def _propose(column: SourceColumn, sample: pa.Array | None, known: Vocabulary, hint: set[str]) -> ColumnProposal:
    values = _look(sample)
    header = column.source_name.strip() or column.name
    name, header_unit = split_unit(header)
    unit_text = column.unit_text or header_unit
    words = _without_suffix(name, unit_text)
    reading = known.read(words)
    belief = _from_name(words, reading, values, known)
    token_unit = None
    if unit_text is None:
        token_unit = _unit_token(reading)
    unit = parse_unit(unit_text, belief.kind) if unit_text else parse_unit(token_unit) if token_unit else None
    belief = _weigh_unit(belief, unit)
    if belief.role is Role.COUNTER and unit is not None and belief.kind not in _RUNNING_TOTALS:
        # The "total" of a three-phase meter in kW is a sum over phases, not over time.
        belief = replace(belief, role=Role.ACTUAL)
    belief = _weigh_values(belief, unit, values, column)
    belief = _weigh_hint(belief, hint)
    belief, code, unit_reason = _unit(belief, unit, unit_text, token_unit, values)
    highest = 0.99 if belief.kind is not Kind.UNKNOWN else 0.5
    confidence = round(min(max(belief.confidence, 0.0), highest), 2)
    return ColumnProposal(
        name=column.name,
        role=belief.role,
        kind=belief.kind,
        unit_source=unit_text,
        unit=code,
        unit_reason=unit_reason,
        reason=belief.reason,
        confidence=confidence,
        status="proposed" if confidence >= THRESHOLD else "ask",
    )


def _without_suffix(name: str, unit_text: str | None) -> str:
    """Take the unit off a name such as ``Usage_kWh``; its letters are no words."""
    if unit_text and name.endswith(unit_text) and len(name) > len(unit_text) and not unit_text.casefold().startswith("ph"):
        return name[: -len(unit_text)].rstrip(" _-.([/")
    return name


# --- the name ---------------------------------------------------------------------------------------------------------------

_LOOP = re.compile(r"(?:^|[._\-/ :])([A-Za-z]{1,5})[-_ ]?(\d{1,6})[A-Za-z]?(?:[._\-]([A-Za-z]{1,6}))?$")
_FOLLOWING = frozenset("ICTRESYQDAHLVXGKZ")
# Codes that are first of all something else: analogue input, platinum resistor or pressure transmitter, stepping and so on.
_NOT_LOOPS = frozenset(
    [
        "AI",
        "AO",
        "DI",
        "DO",
        "PC",
        "MC",
        "CH",
        "NO",
        "ID",
        "LOT",
        "LINE",
        "SEQ",
        "DATA",
        "VAR",
        "COL",
        "TAG",
        "MTR",
        "INV",
        "VAL",
        "IN",
        "IS",
        "AS",
        "IT",
        "SET",
        "TEST",
        "STEP",
        "D",
    ]
)
_UNSURE_LOOPS = frozenset(
    ["PT", "AT", "ST", "VT", "DT", "ET", "MT", "AE", "AIT", "PI", "SI", "VI", "DI", "LI", "EI", "WI", "ZI"]
)
_LOOP_ROLES = {
    "PV": Role.ACTUAL, "MEAS": Role.ACTUAL, "SP": Role.SET_POINT, "SV": Role.SET_POINT, "CSP": Role.SET_POINT,
    "RSP": Role.SET_POINT, "HH": Role.LIMIT, "H": Role.LIMIT, "HI": Role.LIMIT, "L": Role.LIMIT, "LO": Role.LIMIT,
    "LL": Role.LIMIT, "PH": Role.LIMIT, "PL": Role.LIMIT,
}  # fmt: skip
_LOOP_OUTPUTS = frozenset(["OP", "MV", "OUT", "CV", "CO"])
_LOOP_STATES = frozenset(["MODE", "STS", "STAT", "ALM", "ALARM", "CAS", "AUT", "MAN"])

_WHOLE_WORD, _ABBREVIATION = 0.9, 0.62
_LOOP_CODE, _UNSURE_LOOP, _ONE_LETTER = 0.84, 0.68, 0.45


def _from_name(name: str, reading: Reading, values: _Values, known: Vocabulary) -> _Belief:
    head = _head(reading, values)
    if head is None or (not head.whole and head.concept.quantity):
        loop = _from_loop(name, known)
        if loop is not None and (head is None or loop.confidence > _ABBREVIATION):
            return loop
    if head is None:
        return _from_modifier(reading)
    concept = head.concept
    assert concept.kind is not None
    confidence = _WHOLE_WORD if head.whole else _ABBREVIATION
    role = concept.role or (Role.ACTUAL if concept.quantity else Role.UNKNOWN)
    modifiers = [meaning for meaning in reading.meanings if meaning is not head and meaning.concept.kind is None]
    kind = concept.kind
    if concept.quantity:
        role, kind = _modified(role, kind, modifiers)
    if any(place > head.place and len(reading.tokens[place]) > 2 for place in reading.unknown):
        confidence -= 0.14
    elif "of" in reading.tokens and any(reading.tokens[place + 1 : place + 2] == ("of",) for place in reading.unknown):
        # "LogOfArea" and "SumOfX" name what was computed, not what was measured.
        confidence -= 0.3
    elif len(reading.unknown) > 1:
        confidence -= 0.03
    if _current_means_present(head, reading):
        confidence = _ABBREVIATION
    reason = Bilingual(f"이름의 '{head.word}' 에서 알았어요.", f"The name says '{head.word}'.")
    return _Belief(role, kind, confidence, reason, concept, ambiguous=not head.whole, qualified=head.place > 0)


def _head(reading: Reading, values: _Values) -> Meaning | None:
    """Return the meaning that says what is held: the last one, as the languages of the vocabulary put the head last."""
    bearing = [meaning for meaning in reading.meanings if meaning.concept.kind is not None]
    whole = [meaning for meaning in bearing if meaning.whole]
    chosen = whole or bearing
    if not chosen:
        return None
    head = chosen[-1]
    quantities = [meaning for meaning in chosen if meaning.concept.quantity]
    if quantities and head.concept.id == "equipment":
        return quantities[-1]
    continuous = values.numeric and not values.whole
    if quantities and continuous and head.concept.kind in (Kind.CATEGORY, Kind.IDENTIFIER):
        return quantities[-1]
    if head.concept.id == "clock" and len(chosen) > 1 and quantities and values.numeric:
        return quantities[-1]
    if head.concept.id == "current" and len(quantities) > 1 and quantities[-2].concept.kind is not Kind.RATIO:
        # "temp_current" is the present temperature, "motor load current" is a current: both stay open.
        return quantities[-2] if quantities[-2].concept.id in ("temperature", "pressure", "flow", "level", "humidity") else head
    return head


def _current_means_present(head: Meaning, reading: Reading) -> bool:
    later = [meaning for meaning in reading.meanings if meaning.place > head.place]
    return any(meaning.concept.id == "current" for meaning in later)


_RUNNING_TOTALS = frozenset(
    {Kind.ELECTRIC_ENERGY, Kind.REACTIVE_ENERGY, Kind.VOLUME, Kind.MASS, Kind.COUNT, Kind.DURATION, Kind.LENGTH}
)


def _modified(role: Role, kind: Kind, modifiers: Sequence[Meaning]) -> tuple[Role, Kind]:
    said = {meaning.concept.id for meaning in modifiers}
    if "cumulative" in said:
        totals = {Kind.VOLUME_FLOW: Kind.VOLUME, Kind.MASS_FLOW: Kind.MASS, Kind.ACTIVE_POWER: Kind.ELECTRIC_ENERGY}
        kind = totals.get(kind, kind)
        if kind in _RUNNING_TOTALS and role is Role.ACTUAL:
            role = Role.COUNTER
    if "limit" in said:
        role = Role.LIMIT
    elif "set_point" in said:
        role = Role.SET_POINT
    return role, kind


def _from_modifier(reading: Reading) -> _Belief:
    for meaning in reading.meanings:
        if meaning.concept.id in ("set_point", "limit", "cumulative") and meaning.concept.role is not None and meaning.whole:
            reason = Bilingual(
                f"'{meaning.word}' 이라고 하지만 어떤 양인지는 알 수 없어요.",
                f"It says '{meaning.word}', but not of which quantity.",
            )
            return _Belief(meaning.concept.role, Kind.UNKNOWN, 0.5, reason, ambiguous=True)
    for meaning in reading.meanings:
        if meaning.concept.id == "output" and meaning.whole:
            reason = Bilingual(
                f"'{meaning.word}' 은 제어 출력일 수 있어요.", f"'{meaning.word}' may be the output of a controller."
            )
            return _Belief(Role.ACTUAL, Kind.RATIO, 0.6, reason, meaning.concept, ambiguous=True)
    return _Belief(Role.UNKNOWN, Kind.UNKNOWN, 0.2, _NOTHING, ambiguous=True)


def _from_loop(name: str, known: Vocabulary) -> _Belief | None:
    """Read an instrument tag such as ``TIC-101.PV``: first letter what is measured, following letters what is done with it."""
    match = _LOOP.search(name)
    if match is None:
        return None
    letters, suffix = match[1].upper(), (match[3] or "").upper()
    if len(letters) == 1 and len(match[2]) < 2:
        return None
    if letters in _NOT_LOOPS or letters[0] not in known.measured or not set(letters[1:]) <= _FOLLOWING:
        return None
    concept = known.concepts[known.measured[letters[0]]]
    assert concept.kind is not None
    kind, role = concept.kind, Role.ACTUAL
    confidence = (
        _ONE_LETTER if len(letters) == 1 or not match[1].isupper() else _UNSURE_LOOP if letters in _UNSURE_LOOPS else _LOOP_CODE
    )
    if letters[0] == "S":
        kind = Kind.ROTATIONAL_SPEED
    if len(letters) > 1 and suffix in _LOOP_ROLES | dict.fromkeys(_LOOP_OUTPUTS | _LOOP_STATES):
        confidence = max(confidence, 0.86)
    if len(letters) > 2 and letters[1] in "AS" and letters[-1] in "HL":
        role, kind = Role.STATE, Kind.STATE
    elif "Q" in letters[1:]:
        role, kind = Role.COUNTER, {Kind.ACTIVE_POWER: Kind.ELECTRIC_ENERGY, Kind.VOLUME_FLOW: Kind.VOLUME}.get(kind, kind)
    elif len(letters) > 1 and letters[-1] == "V":
        kind, confidence = Kind.RATIO, 0.6
    if suffix in _LOOP_ROLES:
        role = _LOOP_ROLES[suffix]
    elif suffix in _LOOP_OUTPUTS:
        kind, concept = Kind.RATIO, known.concepts["ratio"]
    elif suffix in _LOOP_STATES:
        role, kind = Role.STATE, Kind.STATE
    reason = Bilingual(
        f"계기 태그 {letters} 의 첫 글자가 {kind.value} 을 뜻해요(ISA-5.1).",
        f"The letters {letters} of an instrument tag stand for {kind.value} (ISA-5.1).",
    )
    return _Belief(role, kind, confidence, reason, concept, ambiguous=confidence < THRESHOLD)


# --- the unit ---------------------------------------------------------------------------------------------------------------

# Written without brackets these are units and nothing else, wherever they stand in a name.
_UNIT_TOKENS = frozenset(
    [
        "kwh",
        "mwh",
        "gwh",
        "kw",
        "kvarh",
        "kvar",
        "mvarh",
        "kva",
        "mva",
        "rpm",
        "hz",
        "khz",
        "mpa",
        "kpa",
        "hpa",
        "mbar",
        "psi",
        "psig",
        "lpm",
        "cmh",
        "cmm",
        "nm3",
        "degc",
        "degf",
        "ppm",
        "ppb",
        "mmaq",
        "mmh2o",
        "mmhg",
        "nlpm",
        "sccm",
        "lph",
        "kgf",
        "kcal",
        "um",
        "hrc",
        "hrb",
    ]
)


def _unit_token(reading: Reading) -> str | None:
    found = [token for token in reading.tokens if token in _UNIT_TOKENS]
    return found[-1] if found else None


def _weigh_unit(belief: _Belief, unit: Unit | None) -> _Belief:
    if unit is None:
        return belief
    if belief.kind in unit.kinds:
        # A mere abbreviation and a unit that agree are two independent witnesses.
        return replace(belief, confidence=1 - (1 - belief.confidence) * 0.25)
    spoken = Bilingual(f"단위 {unit.display} 로 정했어요.", f"The unit {unit.display} settles it.")
    if belief.concept is not None and belief.concept.id == "equipment":
        # "INVERTER_LINE.KW": the name says where, the unit says what.
        belief = replace(belief, role=Role.UNKNOWN, kind=Kind.UNKNOWN, concept=None)
    if belief.kind is Kind.UNKNOWN:
        general = len(unit.kinds) > 2 or unit.dimension in ("fraction", "occurrences")
        role = belief.role if belief.role is not Role.UNKNOWN else Role.ACTUAL
        return replace(belief, role=role, kind=unit.kinds[0], confidence=0.5 if general else 0.84, reason=spoken)
    also = belief.concept.also if belief.concept else ()
    shared = [kind for kind in also if kind in unit.kinds]
    totals = {Kind.VOLUME_FLOW: Kind.VOLUME, Kind.MASS_FLOW: Kind.MASS, Kind.VOLUME: Kind.MASS}
    if not shared and belief.role is Role.COUNTER and totals.get(belief.kind) in unit.kinds:
        shared = [totals[belief.kind]]
    if shared:
        return replace(belief, kind=shared[0], confidence=max(belief.confidence, 0.9), reason=spoken)
    if belief.concept is not None and not belief.concept.quantity:
        # "Status_A" is no current: a word that is no quantity outweighs letters that look like a unit.
        return replace(belief, confidence=belief.confidence - 0.15)
    if unit.kinds[0] is Kind.UNKNOWN:
        reason = Bilingual(
            f"이름은 {belief.kind.value} 인데 단위 {unit.display} 는 다른 양이에요.",
            f"The name says {belief.kind.value}, the unit {unit.display} belongs to another quantity.",
        )
        return replace(belief, kind=Kind.UNKNOWN, confidence=0.5, reason=reason)
    return replace(belief, kind=unit.kinds[0], confidence=0.85 if belief.ambiguous else 0.55, reason=spoken)


def _unit(
    belief: _Belief, unit: Unit | None, unit_text: str | None, token: str | None, values: _Values
) -> tuple[_Belief, str | None, Bilingual]:
    if unit is not None and belief.kind is Kind.ACCELERATION and unit.code == "g":
        unit = parse_unit("g", Kind.ACCELERATION)
    if unit is not None and unit_text is not None:
        reason = Bilingual(f"머리글에 {unit_text} 라고 적혀 있어요.", f"The header says {unit_text}.")
        return _plausible(belief, unit, values), unit.code, reason
    if unit is not None:
        reason = Bilingual(f"이름에 단위 {token} 가 들어 있어요.", f"The name holds the unit {token}.")
        return _plausible(belief, unit, values), unit.code, reason
    if belief.kind is Kind.ACIDITY:
        return belief, "[pH]", Bilingual("pH 는 그 자체가 단위예요.", "A pH is its own unit.")
    if unit_text is not None and belief.concept is not None and belief.concept.quantity:
        reason = Bilingual(f"'{unit_text}' 는 아는 단위가 아니에요.", f"'{unit_text}' is no unit that is known here.")
        return replace(belief, confidence=belief.confidence * 0.8), None, reason
    fraction = (
        belief.concept is not None and belief.concept.fraction and belief.kind in (Kind.RATIO, Kind.POWER_FACTOR, Kind.HUMIDITY)
    )
    if fraction and values.numeric and values.count >= _MANY_ROWS and belief.concept is not None:
        top = max(abs(values.low), abs(values.high))
        if top <= 1.0:
            if belief.kind is Kind.POWER_FACTOR:
                return belief, "1", Bilingual("값이 1 이하라서 분수로 보았어요.", "Values up to one look like a fraction.")
        elif 1.5 < top <= 100.0 and belief.concept.id != "load":
            return belief, "%", Bilingual("값이 100 이하라서 퍼센트로 보았어요.", "Values up to a hundred look like percent.")
    return belief, None, Bilingual("단위가 어디에도 적혀 있지 않아요.", "No unit is stated anywhere.")


def _plausible(belief: _Belief, unit: Unit, values: _Values) -> _Belief:
    """Doubt a unit in which the values could hardly be measured."""
    if not values.numeric or belief.concept is None:
        return belief
    low, high = belief.concept.low, belief.concept.high
    doubt = False
    if belief.kind is Kind.TEMPERATURE and belief.role is not Role.LIMIT and belief.concept.kind is Kind.TEMPERATURE:
        # Below liquid nitrogen or above tungsten's melting point another unit is likelier than such a process.
        celsius = (
            [convert(value, unit, "Cel") for value in (values.low, values.high)] if unit.dimension == "temperature" else []
        )
        spread = bool(celsius) and unit.code == "K" and values.high <= 60
        doubt = any(not -200 <= value <= 3500 for value in celsius) or spread
    elif belief.kind is Kind.POWER_FACTOR and unit.code == "1":
        doubt = max(abs(values.low), abs(values.high)) > 1.5
    elif (
        belief.kind is belief.concept.kind and low is not None and high is not None and belief.concept.unit in (None, unit.code)
    ):
        doubt = values.low < low or values.high > high
    if not doubt:
        return belief
    reason = Bilingual(
        f"값이 단위 {unit.display} 로 보기에는 범위를 벗어나요.", f"The values hardly fit the unit {unit.display}."
    )
    return replace(belief, confidence=min(belief.confidence, 0.6), reason=reason)


# --- the values -------------------------------------------------------------------------------------------------------------

_GOOD_OR_BAD = frozenset(
    [
        "ok",
        "ng",
        "pass",
        "fail",
        "passed",
        "failed",
        "good",
        "bad",
        "양품",
        "불량",
        "합격",
        "불합격",
        "적합",
        "부적합",
        "양호",
        "i.o.",
        "n.i.o.",
        "io",
        "nio",
        "accept",
        "reject",
        "accepted",
        "rejected",
        "defect",
        "정상",
        "이상",
        "o.k.",
        "n.g.",
        "gut",
        "schlecht",
        "재작업",
        "보류",
    ]
)
_PLAIN_VERDICTS = frozenset(
    ["ng", "fail", "failed", "bad", "불량", "불합격", "부적합", "n.i.o.", "nio", "reject", "rejected", "n.g.", "schlecht"]
)


def _weigh_values(belief: _Belief, unit: Unit | None, values: _Values, column: SourceColumn) -> _Belief:
    if column.type == "time" or values.time:
        if belief.kind is Kind.TIME:
            return replace(belief, confidence=0.97)
        reason = Bilingual("값이 날짜나 시각이에요.", "Its values are dates or times.")
        return replace(belief, role=Role.TIME, kind=Kind.TIME, confidence=0.93, reason=reason, concept=None)
    if values.count == 0:
        return replace(belief, confidence=belief.confidence * 0.92) if belief.confidence < 0.95 else belief
    verdicts = bool(values.words & _PLAIN_VERDICTS) and values.words <= _GOOD_OR_BAD
    if verdicts and belief.kind in (Kind.UNKNOWN, Kind.CATEGORY, Kind.STATE):
        reason = Bilingual("값이 양부 판정이에요.", "Its values are verdicts on good and bad.")
        return replace(
            belief, role=Role.TARGET_CANDIDATE, kind=Kind.CATEGORY, confidence=max(belief.confidence, 0.86), reason=reason
        )
    if belief.kind is Kind.UNKNOWN:
        return _from_values(belief, values)
    return _fits(belief, unit, values)


def _fits(belief: _Belief, unit: Unit | None, values: _Values) -> _Belief:
    """Let values confirm or doubt what the name says."""
    text = not values.numeric and not values.boolean
    kind = belief.kind
    doubtful = False
    if kind is Kind.TIME:
        # Seconds, milliseconds or microseconds since 1970 for the years 2000 to 2100.
        epoch = values.numeric and any(9.4e8 * scale <= values.low <= 4.2e9 * scale for scale in (1, 1e3, 1e6))
        compact = values.numeric and values.whole and 1.9e7 <= values.low <= 2.2e13
        if values.numeric and not epoch and not compact:
            qualified = belief.concept is not None and belief.concept.id == "clock" and belief.qualified
            if qualified and values.low >= 0:
                reason = Bilingual("시각이 아니라 걸린 시간의 길이예요.", "Its values are lengths of time, not instants.")
                return replace(belief, role=Role.ACTUAL, kind=Kind.DURATION, confidence=0.82, reason=reason)
            return replace(belief, confidence=0.4)
        return belief
    if kind is Kind.STATE:
        doubtful = values.numeric and not values.whole
    elif kind is Kind.CATEGORY:
        doubtful = values.numeric and not values.whole
        if belief.role is Role.TARGET_CANDIDATE and values.numeric:
            doubtful = not values.two_states and values.distinct > 10
    elif kind is Kind.IDENTIFIER:
        doubtful = values.numeric and not values.whole
        repeated = values.count >= _MANY_ROWS and values.distinct <= 0.2 * values.count
        if belief.role is Role.IDENTIFIER and repeated and not doubtful:
            # The number of a machine repeats in every row, that of an order perhaps too: a class or an identity.
            return replace(belief, confidence=min(belief.confidence, 0.75))
    elif kind is Kind.TEXT:
        doubtful = not text
    else:
        if text and values.words and values.distinct <= max(2, 0.2 * values.count) and values.count >= _MANY_ROWS:
            # "load" with the values light, medium and heavy is a class of loads.
            reason = Bilingual("값이 숫자가 아니라 몇 가지 구분이에요.", "Its values are a few classes, not numbers.")
            return replace(belief, role=Role.CATEGORY, kind=Kind.CATEGORY, confidence=0.82, reason=reason)
        doubtful = text or values.boolean
        if kind is Kind.COUNT and values.numeric:
            if not values.whole:
                return replace(belief, confidence=min(belief.confidence, 0.75))
            if values.low >= 0 and belief.confidence >= _ABBREVIATION:
                belief = replace(belief, confidence=max(belief.confidence, 0.82))
        totals = kind in _RUNNING_TOTALS and belief.role is Role.ACTUAL and belief.concept is not None
        if totals and values.rising and values.count >= 2 * _MANY_ROWS and values.low > 0:
            return replace(
                belief,
                role=Role.COUNTER,
                confidence=min(belief.confidence, 0.85),
                reason=Bilingual(
                    "값이 줄지 않고 늘기만 해서 적산값으로 보았어요.", "The values only rise, as a running total does."
                ),
            )
    if doubtful:
        reason = Bilingual("이름과 값이 서로 맞지 않아요.", "The name and the values do not agree.")
        return replace(belief, confidence=belief.confidence * 0.55, reason=reason)
    return belief


def _from_values(belief: _Belief, values: _Values) -> _Belief:
    """Say what can be said of a column whose name means nothing here."""
    if values.boolean:
        reason = Bilingual("값이 참/거짓이에요.", "Its values are true and false.")
        return replace(belief, role=Role.STATE, kind=Kind.STATE, confidence=0.7, reason=reason)
    if values.numeric:
        if values.serial:
            reason = Bilingual("값이 하나씩 늘어나는 번호예요.", "Its values count up by one.")
            return replace(belief, role=Role.IDENTIFIER, kind=Kind.IDENTIFIER, confidence=0.7, reason=reason)
        return belief
    if values.long_text and values.distinct > 0.3 * values.count:
        reason = Bilingual("값이 긴 글이에요.", "Its values are sentences.")
        return replace(belief, role=Role.TEXT, kind=Kind.TEXT, confidence=0.78, reason=reason)
    if values.count >= _MANY_ROWS and values.distinct == values.count:
        reason = Bilingual("값이 모두 서로 다른 글자예요.", "Every value is a different text.")
        return replace(belief, role=Role.IDENTIFIER, kind=Kind.IDENTIFIER, confidence=0.7, reason=reason)
    if values.distinct <= max(2, 0.2 * values.count):
        reason = Bilingual("몇 가지 글자 값이 되풀이돼요.", "A few texts repeat.")
        return replace(belief, role=Role.CATEGORY, kind=Kind.CATEGORY, confidence=0.72, reason=reason)
    return belief


def _weigh_hint(belief: _Belief, hint: set[str]) -> _Belief:
    """Let the name of the table settle a measured property of a laboratory sheet: it is a result, not a process value."""
    laboratory = {"judgement", "hardness"} & hint
    measured = belief.kind in (Kind.CONCENTRATION, Kind.DENSITY, Kind.LENGTH, Kind.THICKNESS, Kind.ACIDITY, Kind.CONDUCTIVITY)
    if laboratory and measured and belief.role is Role.ACTUAL:
        return replace(belief, role=Role.RESULT)
    return belief
