"""Units: every spelling of the whitelist, nothing outside it, and conversion checked against another tool."""

from __future__ import annotations

import doctest
import math
from typing import Any

import numpy as np
import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.errors import InputError
from madang.plant import (
    Kind,
    _line,
    _places,
    _units,
    affine,
    convert,
    known_spellings,
    known_units,
    parse_unit,
    split_unit,
    unit_of,
)

SPELLINGS = known_spellings()
UNITS = known_units()

# Spelling and code written by hand from the lists plants really use, apart from the table under test.
ON_THE_FLOOR = {
    "℃": "Cel", "°C": "Cel", "degC": "Cel", "deg C": "Cel", "도": "Cel", "℉": "[degF]", "deg R": "[degR]",
    "㎏/㎠": "kgf/cm2", "kg/cm²": "kgf/cm2", "kgf/cm^2": "kgf/cm2", "barg": "bar{gauge}", "psig": "[psi]{gauge}",
    "mmAq": "mm[H2O]", "㎥/h": "m3/h", "NM3/H": "m3{normal}/h", "LPM": "L/min", "l/min": "L/min", "cfm": "[cft_i]/min",
    "㎾": "kW", "KWH": "kW.h", "kVarh": "kvar.h", "KVARH": "kvar.h", "kVar": "kvar", "rpm": "/min", "RPM": "/min",
    "r/min": "/min", "N·m": "N.m", "Nm": "N.m", "nm": "nm", "NM": "N.m", "㎛": "um", "µm": "um", "분": "min", "시간": "h",
    "㎲/㎝": "uS/cm", "ℓ": "L", "EA": "{pcs}", "개": "{pcs}", "회": "{times}", "천원": "k[KRW]", "tCO2": "t{CO2}",
    "HRC": "[HRC]", "%RH": "%", "MPA": "MPa", "kPa": "kPa", "㎪": "kPa", "㎫": "MPa", "㎃": "mA", "㎸": "kV", "㎐": "Hz",
    "％": "%", "mg/Nm3": "mg/m3{normal}", "Ｎm3/h": "m3{normal}/h",
}  # fmt: skip


def test_every_module_example_holds() -> None:
    for module in (_units, _places, _line):
        result = doctest.testmod(module)
        assert result.failed == 0, module.__name__


@pytest.mark.parametrize(("text", "code"), ON_THE_FLOOR.items())
def test_a_spelling_of_the_floor_leads_to_its_code(text: str, code: str) -> None:
    unit = parse_unit(text)
    assert unit is not None
    assert unit.code == code


def test_every_listed_spelling_parses_with_and_without_blanks() -> None:
    wrong = [alias for alias, unit in SPELLINGS if parse_unit(alias) != unit or parse_unit(f"  {alias} ") != unit]
    assert len(SPELLINGS) > 500
    assert wrong == []


def test_every_code_leads_back_to_its_own_unit() -> None:
    for unit in UNITS:
        parsed = parse_unit(unit.code)
        assert parsed is not None
        assert parsed.code == unit.code
        assert math.isclose(parsed.factor, unit.factor)


def test_no_spelling_belongs_to_two_units() -> None:
    owners: dict[str, set[str]] = {}
    for unit, aliases in _units._TABLE:
        for alias in aliases:
            owners.setdefault(_units._plain(alias), set()).add(unit.code)
    assert {alias: codes for alias, codes in owners.items() if len(codes) > 1} == {}


@pytest.mark.parametrize(
    "junk", ["", " ", "abc", "kWhh", "상부", "OK", "mw", "k", "Light_Load", "2018-01-01", "x" * 500, "(kg)", "cm/kg"]
)
def test_what_is_no_spelling_is_no_unit(junk: str) -> None:
    assert parse_unit(junk) is None


@given(st.text(max_size=12))
def test_any_text_parses_to_a_listed_unit_or_to_none(text: str) -> None:
    unit = parse_unit(text)
    assert unit is None or unit in UNITS


def test_the_kind_of_a_column_decides_what_g_means() -> None:
    mass, acceleration = parse_unit("g", Kind.MASS), parse_unit("g", Kind.ACCELERATION)
    assert mass is not None and mass.code == "g"
    assert acceleration is not None and acceleration.code == "[g]"


def test_milliwatt_and_megawatt_are_never_guessed() -> None:
    assert unit_of("MW").factor == 1e9 * unit_of("mW").factor
    assert parse_unit("mw") is None


# Our code, then the same unit in pint's default registry: an outside tool for the factors.
IN_PINT = {
    "Cel": "degC", "[degF]": "degF", "K": "kelvin", "[degR]": "degR", "kPa": "kPa", "MPa": "MPa", "bar": "bar", "mbar": "mbar",
    "kgf/cm2": "kilogram_force/cm**2", "[psi]": "psi", "mm[Hg]": "mmHg", "Torr": "torr", "atm": "atm", "m3/h": "m**3/hour",
    "L/min": "liter/minute", "[cft_i]/min": "foot**3/minute", "[gal_us]/min": "gallon/minute", "kg/h": "kg/hour",
    "t/h": "metric_ton/hour", "mA": "mA", "kV": "kV", "W": "W", "MW": "MW", "W.h": "W*hour", "kW.h": "kW*hour", "MJ": "MJ",
    "kcal_IT": "1000*international_calorie", "N.m": "N*m", "kgf.m": "kilogram_force*m", "kN": "kN", "kgf": "kilogram_force",
    "um": "micrometer", "mm": "mm", "[in_i]": "inch", "[ft_i]": "foot", "L": "liter", "mL": "mL", "g": "g", "t": "metric_ton",
    "[lb_av]": "pound", "min": "minute", "h": "hour", "d": "day", "g/cm3": "g/cm**3", "mg/m3": "mg/m**3", "uS/cm": "uS/cm",
    "mm/s": "mm/s", "km/h": "km/hour", "[g]": "standard_gravity", "m/min": "m/minute", "GJ": "GJ", "hPa": "hPa", "mPa.s": "mPa*s",
}  # fmt: skip


@pytest.fixture(scope="module")
def registry() -> pint.UnitRegistry[Any]:
    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True)


@pytest.mark.parametrize(("code", "name"), IN_PINT.items())
def test_the_factor_to_the_si_unit_agrees_with_pint(registry: pint.UnitRegistry[Any], code: str, name: str) -> None:
    unit = unit_of(code)
    for value in (0.0, 1.0, 137.25):
        scale, _, rest = name.partition("*") if name[0].isdigit() else ("1", "", name)
        expected = registry.Quantity(value * float(scale), rest).to_base_units()
        grams = 1e-3 if "gram" in str(expected.units) and "kilogram" not in str(expected.units) else 1.0
        assert value * unit.factor + unit.offset == pytest.approx(expected.magnitude * grams, rel=1e-6, abs=1e-12)


SAME_DIMENSION = [
    (a.code, b.code)
    for a in UNITS
    for b in UNITS
    if a.dimension == b.dimension and a.reference == b.reference and unit_of(a.code) is a and unit_of(b.code) is b
]


@given(pair=st.sampled_from(SAME_DIMENSION), value=st.floats(-1e6, 1e6, allow_nan=False))
def test_there_and_back_gives_the_same_value(pair: tuple[str, str], value: float) -> None:
    there = convert(value, pair[0], pair[1])
    scale = abs(value) + abs(unit_of(pair[0]).offset / unit_of(pair[0]).factor) + 1.0
    assert convert(there, pair[1], pair[0]) == pytest.approx(value, abs=1e-9 * scale)


def test_a_band_of_temperatures_ignores_the_zero_point() -> None:
    assert convert(100.0, "Cel", "K") == pytest.approx(373.15)
    assert convert(100.0, unit_of("Cel").spread(), unit_of("K").spread()) == pytest.approx(100.0)
    with pytest.raises(InputError, match="spread"):
        convert(100.0, unit_of("Cel").spread(), unit_of("K"))


def test_an_array_is_converted_value_by_value_and_stays_as_it_was() -> None:
    values = np.array([0.0, np.nan, 100.0])
    result = convert(values, "Cel", "[degF]")
    assert result[0] == pytest.approx(32.0)
    assert np.isnan(result[1])
    assert result[2] == pytest.approx(212.0)
    assert values.tolist()[0] == 0.0


@pytest.mark.parametrize(
    ("source", "target"),
    [("kW", "kW.h"), ("bar{gauge}", "bar"), ("m3{normal}/h", "m3/h"), ("kW", "kvar"), ("g", "[g]"), ("%", "%{mol}")],
)
def test_different_things_do_not_convert_and_the_error_names_both(source: str, target: str) -> None:
    with pytest.raises(InputError) as caught:
        affine(source, target)
    assert caught.value.where == {"from": source, "to": target}
    assert caught.value.ko and caught.value.next_en


def test_an_unknown_code_says_what_to_write() -> None:
    with pytest.raises(InputError, match="furlong"):
        unit_of("furlong")


@pytest.mark.parametrize(
    ("header", "name", "unit"),
    [
        ("전력사용량(Wh)", "전력사용량", "Wh"),
        ("Air temperature [K]", "Air temperature", "K"),
        ("온도(℃)", "온도", "℃"),
        ("CO2(tCO2)", "CO2", "tCO2"),
        ("압력（kgf/㎠）", "압력", "kgf/㎠"),
        ("압력 (bar(g))", "압력", "bar(g)"),
        ("Temp_C", "Temp_C", "C"),
        ("Usage_kWh", "Usage_kWh", "kWh"),
        ("Pressure_bar", "Pressure_bar", "bar"),
        ("Lagging_Current_Reactive.Power_kVarh", "Lagging_Current_Reactive.Power_kVarh", "kVarh"),
        ("온도(상부)", "온도(상부)", None),
        ("zone (3)", "zone (3)", None),
        ("temp_min", "temp_min", None),
        ("Type_A", "Type_A", None),
        ("PF_LAG", "PF_LAG", None),
        ("KWH", "KWH", None),
        ("(kg)", "(kg)", None),
        ("", "", None),
    ],
)
def test_a_header_is_parted_into_name_and_unit(header: str, name: str, unit: str | None) -> None:
    assert split_unit(header) == (name, unit)


@given(st.text(max_size=60))
def test_parting_a_header_never_fails_and_never_invents_letters(header: str) -> None:
    name, unit = split_unit(header)
    assert name in header.strip() or name == header.strip()
    assert unit is None or (unit in header and parse_unit(unit) is not None)
