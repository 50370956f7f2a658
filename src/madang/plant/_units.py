"""Units of the plant floor: a whitelist of spellings over UCUM codes, and exact conversion between them.

Nothing is parsed freely: a text is either one of the spellings below or it is no unit. ``cfm`` is cubic feet per minute and
never a centi-femto-metre. Revolutions per minute are written ``/min`` (UCUM has no revolution); their kind of quantity,
rotational speed, tells them from other rates.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, overload

from madang.errors import InputError
from madang.plant._words import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PressureReference = Literal["", "gauge", "absolute"]


@dataclass(frozen=True)
class Unit:
    """One unit of measurement, tied to the coherent SI unit of its dimension by ``si = value * factor + offset``."""

    code: str
    """UCUM code, case sensitive. Where UCUM has no word (normal volume, money, people) a bracketed one of ours stands."""
    dimension: str
    """Units convert into each other when they share it; normal cubic metres and cubic metres do not."""
    kinds: tuple[Kind, ...]
    """Kinds of quantity that are given in this unit, the most usual first."""
    display: str
    """How a screen writes it."""
    factor: float
    offset: float = 0.0
    difference: bool = False
    """Whether values are spreads (a band of 5 Cel is 5 K wide, not 278 K)."""
    reference: PressureReference = ""
    """Of a pressure: above ambient, above vacuum, or not said."""

    def spread(self) -> Unit:
        """Return the same unit for differences of values, where the zero point plays no part."""
        return replace(self, offset=0.0, difference=True)


def _unit(
    code: str,
    dimension: str,
    factor: float,
    kinds: Kind | tuple[Kind, ...],
    display: str,
    aliases: str,
    *,
    offset: float = 0.0,
    reference: PressureReference = "",
) -> tuple[Unit, tuple[str, ...]]:
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    unit = Unit(code, dimension, kinds, display, factor, offset=offset, reference=reference)
    return unit, tuple(aliases.split())


_ATM = 101_325.0  # Pa, standard atmosphere (exact, 10th CGPM 1954)
_G = 9.80665  # m/s2, standard acceleration (exact, 3rd CGPM 1901)
_PSI = 0.45359237 * _G / 0.0254**2  # Pa, from the international pound and inch (exact, 1959)
_MMH2O = _G  # Pa, conventional water of 1000 kg/m3
_FOOT3 = 0.3048**3  # m3
_K = Kind
_FRACTION = (_K.RATIO, _K.HUMIDITY, _K.CONCENTRATION, _K.LEVEL, _K.POWER_FACTOR)

# Spellings are compared after `_plain`: NFKC, no blanks, no carets, one kind of dot. Factors lead to the coherent SI unit
# (BIPM SI brochure, 9th edition; NIST SP 811 for the others); `kcal` is the international table calorie's kilocalorie.
_TABLE: tuple[tuple[Unit, tuple[str, ...]], ...] = (
    _unit(
        "Cel",
        "temperature",
        1.0,
        _K.TEMPERATURE,
        "°C",
        "°C degC deg.C deg_C Cel celsius C 도 섭씨 'C oC ºC Grad grad °c ˚C",
        offset=273.15,
    ),
    _unit(
        "[degF]",
        "temperature",
        5 / 9,
        _K.TEMPERATURE,
        "°F",
        "°F degF deg_F F fahrenheit 화씨 [degF] oF ºF ˚F",
        offset=459.67 * 5 / 9,
    ),
    _unit("K", "temperature", 1.0, _K.TEMPERATURE, "K", "K kelvin degK deg_K °K 켈빈"),
    _unit("[degR]", "temperature", 5 / 9, _K.TEMPERATURE, "°R", "°R degR deg_R rankine [degR]"),
    _unit("Pa", "pressure", 1.0, _K.PRESSURE, "Pa", "Pa pascal 파스칼"),
    _unit("hPa", "pressure", 100.0, _K.PRESSURE, "hPa", "hPa"),
    _unit("kPa", "pressure", 1e3, _K.PRESSURE, "kPa", "kPa"),
    _unit("MPa", "pressure", 1e6, _K.PRESSURE, "MPa", "MPa MPA N/mm2"),
    _unit("mPa", "pressure", 1e-3, _K.PRESSURE, "mPa", "mPa"),
    _unit("GPa", "pressure", 1e9, _K.PRESSURE, "GPa", "GPa"),
    _unit("bar", "pressure", 1e5, _K.PRESSURE, "bar", "bar 바"),
    _unit("mbar", "pressure", 100.0, _K.PRESSURE, "mbar", "mbar"),
    _unit("kgf/cm2", "pressure", _G * 1e4, _K.PRESSURE, "kgf/cm²", "kgf/cm2 kg/cm2 kgf/㎠ kg/sq.cm at kgf/c㎡"),
    _unit("[psi]", "pressure", _PSI, _K.PRESSURE, "psi", "psi [psi] lbf/in2 lb/in2"),
    _unit("mm[H2O]", "pressure", _MMH2O, _K.PRESSURE, "mmH₂O", "mmH2O mmAq mmWS mmWC mm[H2O] mmWG kgf/m2"),
    _unit("mm[Hg]", "pressure", 133.322387415, _K.PRESSURE, "mmHg", "mmHg mm[Hg]"),
    _unit("Torr", "pressure", _ATM / 760, _K.PRESSURE, "Torr", "Torr 토르"),
    _unit("atm", "pressure", _ATM, _K.PRESSURE, "atm", "atm 기압"),
    _unit("bar{gauge}", "pressure", 1e5, _K.PRESSURE, "bar(g)", "barg bar(g) bar.g bar_g barü bar{gauge}", reference="gauge"),
    _unit("bar{absolute}", "pressure", 1e5, _K.PRESSURE, "bar(a)", "bara bar(a) bar_a bar{absolute}", reference="absolute"),
    _unit("mbar{gauge}", "pressure", 100.0, _K.PRESSURE, "mbar(g)", "mbarg mbar(g) mbar{gauge}", reference="gauge"),
    _unit("kPa{gauge}", "pressure", 1e3, _K.PRESSURE, "kPa(g)", "kPag kPa(g) kPaG kPa{gauge}", reference="gauge"),
    _unit(
        "kPa{absolute}", "pressure", 1e3, _K.PRESSURE, "kPa(a)", "kPaa kPa(a) kPa(abs) kPaA kPa{absolute}", reference="absolute"
    ),
    _unit("MPa{gauge}", "pressure", 1e6, _K.PRESSURE, "MPa(g)", "MPag MPa(g) MPaG MPa{gauge}", reference="gauge"),
    _unit("MPa{absolute}", "pressure", 1e6, _K.PRESSURE, "MPa(a)", "MPa(a) MPa(abs) MPaA MPa{absolute}", reference="absolute"),
    _unit(
        "kgf/cm2{gauge}",
        "pressure",
        _G * 1e4,
        _K.PRESSURE,
        "kgf/cm²(g)",
        "kgf/cm2g kg/cm2g kgf/cm2(g) kg/cm2(g) kgf/cm2{gauge}",
        reference="gauge",
    ),
    _unit("[psi]{gauge}", "pressure", _PSI, _K.PRESSURE, "psig", "psig psi(g) [psi]{gauge}", reference="gauge"),
    _unit("[psi]{absolute}", "pressure", _PSI, _K.PRESSURE, "psia", "psia psi(a) [psi]{absolute}", reference="absolute"),
    _unit("m3/h", "volume flow", 1 / 3600, _K.VOLUME_FLOW, "m³/h", "m3/h m3/hr m3/hour CMH m3.h-1 m3h-1 ㎥/시간 ㎥/시 cbm/h"),
    _unit("m3/min", "volume flow", 1 / 60, _K.VOLUME_FLOW, "m³/min", "m3/min CMM m3/분"),
    _unit("m3/s", "volume flow", 1.0, _K.VOLUME_FLOW, "m³/s", "m3/s m3/sec CMS"),
    _unit("m3/d", "volume flow", 1 / 86400, _K.VOLUME_FLOW, "m³/d", "m3/d m3/day m3/일 CMD"),
    _unit("L/min", "volume flow", 1e-3 / 60, _K.VOLUME_FLOW, "L/min", "L/min l/min LPM L/분 liter/min ltr/min"),
    _unit("L/h", "volume flow", 1e-3 / 3600, _K.VOLUME_FLOW, "L/h", "L/h l/h LPH L/hr l/hr L/시간"),
    _unit("L/s", "volume flow", 1e-3, _K.VOLUME_FLOW, "L/s", "L/s l/s L/sec LPS"),
    _unit("mL/min", "volume flow", 1e-6 / 60, _K.VOLUME_FLOW, "mL/min", "mL/min ml/min cc/min"),
    _unit("[cft_i]/min", "volume flow", _FOOT3 / 60, _K.VOLUME_FLOW, "ft³/min", "cfm ft3/min [cft_i]/min CFM cu.ft/min"),
    _unit("[gal_us]/min", "volume flow", 3.785411784e-3 / 60, _K.VOLUME_FLOW, "gal/min", "gpm GPM gal/min [gal_us]/min"),
    _unit(
        "m3{normal}/h",
        "normal volume flow",
        1 / 3600,
        _K.VOLUME_FLOW,
        "Nm³/h",
        "Nm3/h Nm3/hr Nm3/hour Nm3/시간 NCMH Sm3/h m3{normal}/h",
    ),
    _unit("m3{normal}/min", "normal volume flow", 1 / 60, _K.VOLUME_FLOW, "Nm³/min", "Nm3/min m3{normal}/min"),
    _unit(
        "L{normal}/min", "normal volume flow", 1e-3 / 60, _K.VOLUME_FLOW, "NL/min", "NL/min Nl/min NLPM SLPM slm L{normal}/min"
    ),
    _unit("mL{normal}/min", "normal volume flow", 1e-6 / 60, _K.VOLUME_FLOW, "sccm", "sccm SCCM mL{normal}/min"),
    _unit("kg/h", "mass flow", 1 / 3600, _K.MASS_FLOW, "kg/h", "kg/h kg/hr kg/hour kg/시간 kgh-1"),
    _unit("kg/min", "mass flow", 1 / 60, _K.MASS_FLOW, "kg/min", "kg/min kg/분"),
    _unit("kg/s", "mass flow", 1.0, _K.MASS_FLOW, "kg/s", "kg/s kg/sec"),
    _unit("g/min", "mass flow", 1e-3 / 60, _K.MASS_FLOW, "g/min", "g/min g/분"),
    _unit("g/s", "mass flow", 1e-3, _K.MASS_FLOW, "g/s", "g/s g/sec"),
    _unit("t/h", "mass flow", 1 / 3.6, _K.MASS_FLOW, "t/h", "t/h ton/h ton/hr t/hr TPH 톤/시간"),
    _unit("t/d", "mass flow", 1 / 86.4, _K.MASS_FLOW, "t/d", "t/d ton/day t/day TPD 톤/일"),
    _unit("A", "current", 1.0, _K.ELECTRIC_CURRENT, "A", "A amp amps ampere 암페어 Ampere A(rms) Arms"),
    _unit("mA", "current", 1e-3, _K.ELECTRIC_CURRENT, "mA", "mA"),
    _unit("uA", "current", 1e-6, _K.ELECTRIC_CURRENT, "µA", "uA μA"),
    _unit("kA", "current", 1e3, _K.ELECTRIC_CURRENT, "kA", "kA"),
    _unit("V", "voltage", 1.0, _K.VOLTAGE, "V", "V volt volts 볼트 Vdc Vac VDC VAC"),
    _unit("mV", "voltage", 1e-3, _K.VOLTAGE, "mV", "mV"),
    _unit("kV", "voltage", 1e3, _K.VOLTAGE, "kV", "kV"),
    _unit("A.h", "charge", 3600.0, _K.UNKNOWN, "Ah", "Ah A.h"),
    _unit("mA.h", "charge", 3.6, _K.UNKNOWN, "mAh", "mAh mA.h"),
    _unit("A/dm2", "current density", 100.0, _K.UNKNOWN, "A/dm²", "A/dm2 ASD"),
    _unit("mA/cm2", "current density", 10.0, _K.UNKNOWN, "mA/cm²", "mA/cm2"),
    _unit("kOhm", "resistance", 1e3, _K.UNKNOWN, "kΩ", "kOhm kohm kΩ"),
    _unit("MOhm", "resistance", 1e6, _K.UNKNOWN, "MΩ", "MOhm Mohm MΩ"),
    _unit("Ohm", "resistance", 1.0, _K.UNKNOWN, "Ω", "Ohm ohm Ω 옴"),
    _unit("W", "power", 1.0, _K.ACTIVE_POWER, "W", "W watt watts 와트 Watt"),
    _unit("mW", "power", 1e-3, _K.ACTIVE_POWER, "mW", "mW"),
    _unit("kW", "power", 1e3, _K.ACTIVE_POWER, "kW", "kW 킬로와트"),
    _unit("MW", "power", 1e6, _K.ACTIVE_POWER, "MW", "MW"),
    _unit("[HP]", "power", 745.6998715822702, _K.ACTIVE_POWER, "hp", "hp HP [HP] 마력"),
    _unit("kcal_IT/h", "power", 4186.8 / 3600, _K.ACTIVE_POWER, "kcal/h", "kcal/h kcal/hr kcal_IT/h"),
    _unit("W.h", "energy", 3600.0, _K.ELECTRIC_ENERGY, "Wh", "Wh W.h"),
    _unit("kW.h", "energy", 3.6e6, _K.ELECTRIC_ENERGY, "kWh", "kWh kW.h kWhr kW-h kilowatthour"),
    _unit("MW.h", "energy", 3.6e9, _K.ELECTRIC_ENERGY, "MWh", "MWh MW.h"),
    _unit("GW.h", "energy", 3.6e12, _K.ELECTRIC_ENERGY, "GWh", "GWh GW.h"),
    _unit("J", "energy", 1.0, _K.ELECTRIC_ENERGY, "J", "J joule 줄"),
    _unit("kJ", "energy", 1e3, _K.ELECTRIC_ENERGY, "kJ", "kJ"),
    _unit("MJ", "energy", 1e6, _K.ELECTRIC_ENERGY, "MJ", "MJ"),
    _unit("GJ", "energy", 1e9, _K.ELECTRIC_ENERGY, "GJ", "GJ"),
    _unit("TJ", "energy", 1e12, _K.ELECTRIC_ENERGY, "TJ", "TJ"),
    _unit("kcal_IT", "energy", 4186.8, _K.ELECTRIC_ENERGY, "kcal", "kcal kcal_IT"),
    _unit("var", "reactive power", 1.0, _K.REACTIVE_POWER, "var", "var VAr VAR"),
    _unit("kvar", "reactive power", 1e3, _K.REACTIVE_POWER, "kvar", "kvar kVar kVAr kVAR"),
    _unit("Mvar", "reactive power", 1e6, _K.REACTIVE_POWER, "Mvar", "Mvar MVAr MVAR"),
    _unit("var.h", "reactive energy", 3600.0, _K.REACTIVE_ENERGY, "varh", "varh var.h VArh VARh"),
    _unit("kvar.h", "reactive energy", 3.6e6, _K.REACTIVE_ENERGY, "kvarh", "kvarh kVarh kVArh kVARh kvar.h kVArhr"),
    _unit("Mvar.h", "reactive energy", 3.6e9, _K.REACTIVE_ENERGY, "Mvarh", "Mvarh MVArh Mvar.h"),
    _unit("V.A", "apparent power", 1.0, _K.APPARENT_POWER, "VA", "VA V.A"),
    _unit("kV.A", "apparent power", 1e3, _K.APPARENT_POWER, "kVA", "kVA kV.A"),
    _unit("MV.A", "apparent power", 1e6, _K.APPARENT_POWER, "MVA", "MVA MV.A"),
    _unit(
        "/min",
        "rate",
        1 / 60,
        (_K.ROTATIONAL_SPEED, _K.FREQUENCY),
        "r/min",
        "rpm RPM r/min rev/min 1/min /min min-1 U/min {rpm} 회/분 /분 r.p.m min^-1 {#}/min",
    ),
    _unit("/s", "rate", 1.0, (_K.FREQUENCY, _K.ROTATIONAL_SPEED), "1/s", "1/s /s s-1 r/s rps"),
    _unit("/h", "rate", 1 / 3600, (_K.FREQUENCY, _K.COUNT), "1/h", "1/h /h ea/h EA/hr 개/시간"),
    _unit("Hz", "rate", 1.0, (_K.FREQUENCY, _K.ROTATIONAL_SPEED), "Hz", "Hz hertz 헤르츠 cps"),
    _unit("kHz", "rate", 1e3, _K.FREQUENCY, "kHz", "kHz"),
    _unit("MHz", "rate", 1e6, _K.FREQUENCY, "MHz", "MHz"),
    _unit("N.m", "torque", 1.0, _K.TORQUE, "N·m", "N.m Nm NM N-m newtonmeter"),
    _unit("kN.m", "torque", 1e3, _K.TORQUE, "kN·m", "kN.m kNm"),
    _unit("mN.m", "torque", 1e-3, _K.TORQUE, "mN·m", "mN.m mNm"),
    _unit("kgf.m", "torque", _G, _K.TORQUE, "kgf·m", "kgf.m kgfm kg.m kgf-m"),
    _unit("kgf.cm", "torque", _G / 100, _K.TORQUE, "kgf·cm", "kgf.cm kg.cm kgf-cm"),
    _unit("N", "force", 1.0, _K.FORCE, "N", "N newton 뉴턴"),
    _unit("kN", "force", 1e3, _K.FORCE, "kN", "kN"),
    _unit("MN", "force", 1e6, _K.FORCE, "MN", "MN"),
    _unit("kgf", "force", _G, _K.FORCE, "kgf", "kgf kp"),
    _unit("t{force}", "force", 1e3 * _G, _K.FORCE, "tf", "tf tonf ton.f t{force}"),
    _unit("nm", "length", 1e-9, (_K.LENGTH, _K.THICKNESS), "nm", "nm ㎚"),
    _unit("um", "length", 1e-6, (_K.LENGTH, _K.THICKNESS), "µm", "um μm micron 미크론 미크롱 ㎛"),
    _unit("mm", "length", 1e-3, (_K.LENGTH, _K.THICKNESS, _K.LEVEL), "mm", "mm 밀리 밀리미터"),
    _unit("cm", "length", 1e-2, (_K.LENGTH, _K.LEVEL), "cm", "cm 센티"),
    _unit("m", "length", 1.0, (_K.LENGTH, _K.LEVEL), "m", "m meter metre 미터"),
    _unit("km", "length", 1e3, _K.LENGTH, "km", "km"),
    _unit("[in_i]", "length", 0.0254, (_K.LENGTH, _K.THICKNESS), "in", "inch in [in_i] 인치"),
    _unit("[ft_i]", "length", 0.3048, _K.LENGTH, "ft", "ft feet foot [ft_i] 피트"),
    _unit("mm2", "area", 1e-6, _K.AREA, "mm²", "mm2"),
    _unit("cm2", "area", 1e-4, _K.AREA, "cm²", "cm2"),
    _unit("m2", "area", 1.0, _K.AREA, "m²", "m2 sqm"),
    _unit("m3", "volume", 1.0, _K.VOLUME, "m³", "m3 cbm 루베 입방미터"),
    _unit("m3{normal}", "normal volume", 1.0, _K.VOLUME, "Nm³", "Nm3 Sm3 m3{normal}"),
    _unit("L", "volume", 1e-3, _K.VOLUME, "L", "L l liter litre 리터 ltr"),
    _unit("kL", "volume", 1.0, _K.VOLUME, "kL", "kL kl 킬로리터"),
    _unit("mL", "volume", 1e-6, _K.VOLUME, "mL", "mL ml cc cm3"),
    _unit("ug", "mass", 1e-9, _K.MASS, "µg", "ug μg"),
    _unit("mg", "mass", 1e-6, _K.MASS, "mg", "mg"),
    _unit("g", "mass", 1e-3, _K.MASS, "g", "g gram 그램"),
    _unit("kg", "mass", 1.0, _K.MASS, "kg", "kg 킬로그램 키로"),
    _unit("t", "mass", 1e3, _K.MASS, "t", "t ton tons tonne 톤 M/T"),
    _unit("[lb_av]", "mass", 0.45359237, _K.MASS, "lb", "lb lbs [lb_av] 파운드"),
    _unit("t{CO2}", "mass of carbon dioxide", 1e3, _K.MASS, "tCO₂", "tCO2 tCO2eq tCO2e ton.CO2 tonCO2 t-CO2 t{CO2} t_CO2"),
    _unit("kg{CO2}", "mass of carbon dioxide", 1.0, _K.MASS, "kgCO₂", "kgCO2 kgCO2eq kgCO2e kg-CO2 kg{CO2}"),
    _unit("ns", "time", 1e-9, _K.DURATION, "ns", "ns nsec"),
    _unit("us", "time", 1e-6, _K.DURATION, "µs", "us μs usec"),
    _unit("ms", "time", 1e-3, _K.DURATION, "ms", "ms msec 밀리초"),
    _unit("s", "time", 1.0, _K.DURATION, "s", "s sec secs second seconds 초 Sek"),
    _unit("min", "time", 60.0, _K.DURATION, "min", "min mins minute minutes 분"),
    _unit("h", "time", 3600.0, _K.DURATION, "h", "h hr hrs hour hours 시간 Std Hr"),
    _unit("d", "time", 86400.0, _K.DURATION, "d", "d day days 일 Tage"),
    _unit("%", "fraction", 0.01, _FRACTION, "%", "% pct percent 퍼센트 프로"),
    _unit("%", "fraction", 0.01, _K.HUMIDITY, "%", "%RH RH% %rh %rF %r.F."),
    _unit("1", "fraction", 1.0, (_K.RATIO, _K.POWER_FACTOR), "-", "1 [-] - pu p.u."),
    _unit("[ppth]", "fraction", 1e-3, (_K.RATIO, _K.CONCENTRATION), "‰", "‰ [ppth]"),
    _unit("[ppm]", "fraction", 1e-6, _K.CONCENTRATION, "ppm", "ppm [ppm] 피피엠 ppmv"),
    _unit("[ppb]", "fraction", 1e-9, _K.CONCENTRATION, "ppb", "ppb [ppb]"),
    _unit("%{mol}", "mole fraction", 0.01, _K.CONCENTRATION, "mol%", "mol% mol-% %mol %{mol} mole% at%"),
    _unit("%{mass}", "mass fraction", 0.01, _K.CONCENTRATION, "wt%", "wt% wt.% %wt w% mass% Gew% Gew.-% 중량% %{mass}"),
    _unit("%{vol}", "volume fraction", 0.01, _K.CONCENTRATION, "vol%", "vol% vol.% %vol v% Vol.-% 부피% %{vol}"),
    _unit("g/cm3", "density", 1e3, _K.DENSITY, "g/cm³", "g/cm3 g/cc g/ml g/mL"),
    _unit("kg/m3", "density", 1.0, _K.DENSITY, "kg/m³", "kg/m3"),
    _unit("g/L", "density", 1.0, (_K.CONCENTRATION, _K.DENSITY), "g/L", "g/L g/l"),
    _unit("mg/m3", "density", 1e-6, _K.CONCENTRATION, "mg/m³", "mg/m3"),
    _unit("ug/m3", "density", 1e-9, _K.CONCENTRATION, "µg/m³", "ug/m3 μg/m3"),
    _unit("mg/m3{normal}", "normal density", 1e-6, _K.CONCENTRATION, "mg/Nm³", "mg/Nm3 mg/Sm3 mg/m3{normal}"),
    _unit("mg/L", "density", 1e-3, _K.CONCENTRATION, "mg/L", "mg/L mg/l"),
    _unit("mol/L", "amount density", 1e3, _K.CONCENTRATION, "mol/L", "mol/L mol/l"),
    _unit("g/m2", "surface density", 1e-3, _K.DENSITY, "g/m²", "g/m2 gsm"),
    _unit("mg/cm2", "surface density", 1e-2, _K.DENSITY, "mg/cm²", "mg/cm2"),
    _unit("m2/g", "specific area", 1e3, _K.AREA, "m²/g", "m2/g"),
    _unit("S/m", "conductivity", 1.0, _K.CONDUCTIVITY, "S/m", "S/m"),
    _unit("S/cm", "conductivity", 100.0, _K.CONDUCTIVITY, "S/cm", "S/cm"),
    _unit("mS/cm", "conductivity", 0.1, _K.CONDUCTIVITY, "mS/cm", "mS/cm"),
    # Korean exports often write the glyph of microseconds for microsiemens; per centimetre it can be nothing else.
    _unit("uS/cm", "conductivity", 1e-4, _K.CONDUCTIVITY, "µS/cm", "uS/cm μS/cm ㎲/㎝ us/cm"),
    _unit("[pH]", "acidity", 1.0, _K.ACIDITY, "pH", "pH [pH]"),
    _unit("dB", "sound level", 1.0, _K.LEVEL, "dB", "dB dBA dB(A)"),
    _unit("um/s", "velocity", 1e-6, _K.VELOCITY, "µm/s", "um/s μm/s"),
    _unit("mm/s", "velocity", 1e-3, _K.VELOCITY, "mm/s", "mm/s mm/sec"),
    _unit("mm/min", "velocity", 1e-3 / 60, _K.VELOCITY, "mm/min", "mm/min mm/분"),
    _unit("cm/s", "velocity", 1e-2, _K.VELOCITY, "cm/s", "cm/s cm/sec"),
    _unit("m/s", "velocity", 1.0, _K.VELOCITY, "m/s", "m/s m/sec"),
    _unit("m/min", "velocity", 1 / 60, _K.VELOCITY, "m/min", "m/min mpm MPM m/분"),
    _unit("m/h", "velocity", 1 / 3600, _K.VELOCITY, "m/h", "m/h m/hr"),
    _unit("km/h", "velocity", 1 / 3.6, _K.VELOCITY, "km/h", "km/h kph"),
    _unit("m/s2", "acceleration", 1.0, _K.ACCELERATION, "m/s²", "m/s2 m/sec2 m/s/s ms-2"),
    _unit("mm/s2", "acceleration", 1e-3, _K.ACCELERATION, "mm/s²", "mm/s2"),
    _unit("[g]", "acceleration", _G, _K.ACCELERATION, "g", "[g] gn Grms gRMS g_rms G"),
    _unit(
        "{pcs}", "count", 1.0, _K.COUNT, "EA", "EA ea 개 pcs PCS pc piece pieces 매 장 대 본 Stk Stück PC {pcs} 개입 SET set"
    ),
    _unit("{times}", "occurrences", 1.0, _K.COUNT, "회", "회 times 횟수 shot shots 타 cycle cycles {times} 건"),
    _unit("{person}", "people", 1.0, _K.COUNT, "명", "명 인 {person}"),
    _unit("[KRW]", "money KRW", 1.0, _K.MONEY, "원", "원 KRW ₩ won [KRW]"),
    _unit("k[KRW]", "money KRW", 1e3, _K.MONEY, "천원", "천원 kKRW k[KRW]"),
    _unit("M[KRW]", "money KRW", 1e6, _K.MONEY, "백만원", "백만원 M[KRW] MKRW"),
    _unit("[USD]", "money USD", 1.0, _K.MONEY, "USD", "USD $ US$ 달러 [USD]"),
    _unit("[EUR]", "money EUR", 1.0, _K.MONEY, "EUR", "EUR € 유로 Euro [EUR]"),
    _unit("[KRW]/kW.h", "price of energy KRW", 1 / 3.6e6, _K.MONEY, "원/kWh", "원/kWh KRW/kWh [KRW]/kW.h"),
    _unit("[HRC]", "Rockwell C", 1.0, _K.HARDNESS, "HRC", "HRC HRc [HRC]"),
    _unit("[HRB]", "Rockwell B", 1.0, _K.HARDNESS, "HRB", "HRB [HRB]"),
    _unit("[HV]", "Vickers", 1.0, _K.HARDNESS, "HV", "HV Hv [HV]"),
    _unit("[HB]", "Brinell", 1.0, _K.HARDNESS, "HB", "HB HBW [HB]"),
    _unit("Pa.s", "viscosity", 1.0, _K.UNKNOWN, "Pa·s", "Pa.s Pas"),
    _unit("mPa.s", "viscosity", 1e-3, _K.UNKNOWN, "mPa·s", "mPa.s cP cPs mPas 센티포이즈"),
    _unit("deg", "angle", 0.017453292519943295, _K.UNKNOWN, "°", "deg ° degree degrees"),
    _unit("rad", "angle", 1.0, _K.UNKNOWN, "rad", "rad"),
    _unit("lx", "illuminance", 1.0, _K.UNKNOWN, "lx", "lx lux 룩스"),
    _unit("kW.h/t", "specific energy", 3.6e3, _K.RATIO, "kWh/t", "kWh/t kWh/ton kWh/톤"),
    _unit("kW.h/kg", "specific energy", 3.6e6, _K.RATIO, "kWh/kg", "kWh/kg"),
    _unit("Cel/min", "temperature rate", 1 / 60, _K.UNKNOWN, "°C/min", "°C/min degC/min K/min 도/분 Cel/min"),
    _unit("Cel/h", "temperature rate", 1 / 3600, _K.UNKNOWN, "°C/h", "°C/h °C/hr degC/h K/h Cel/h"),
)

_BY_CODE: dict[str, Unit] = {}
_EXACT: dict[str, Unit] = {}
_FOLDED: dict[str, set[str]] = {}
_FOLDED_UNIT: dict[str, Unit] = {}

_DOTS = str.maketrans(
    {"·": ".", "∙": ".", "⋅": ".", "・": ".", "ㆍ": ".", "•": ".", "*": ".", "×": ".", "µ": "μ", "º": "°", "˚": "°"}
)


def _plain(text: str) -> str:
    """Bring a spelling to the form that spellings are compared in."""
    text = unicodedata.normalize("NFKC", text.translate(_DOTS)).translate(_DOTS)
    text = re.sub(r"[\s^]+", "", text.replace("**", ""))
    return text.replace("⁄", "/").replace("∕", "/")


# Nobody measures in millipascal what is written in small letters; megapascal is meant.
_NEVER_FOLDED = frozenset({"mPa"})


def _index() -> None:
    for unit, aliases in _TABLE:
        _BY_CODE.setdefault(unit.code, unit)
        for alias in (unit.code, *aliases):
            plain = _plain(alias)
            _EXACT.setdefault(plain, unit)
            # A single letter means what it means only in its own case: K is kelvin, k is no unit.
            if len(plain) > 1 and alias not in _NEVER_FOLDED:
                _FOLDED.setdefault(plain.casefold(), set()).add(unit.code)
                _FOLDED_UNIT.setdefault(plain.casefold(), unit)


_index()


def known_units() -> tuple[Unit, ...]:
    """Return every unit of the whitelist, in table order."""
    return tuple(unit for unit, _ in _TABLE)


def known_spellings() -> tuple[tuple[str, Unit], ...]:
    """Return every spelling of the whitelist with its unit (before a kind of quantity decides between namesakes)."""
    return tuple((alias, _EXACT[_plain(alias)]) for _, aliases in _TABLE for alias in aliases)


def unit_of(code: str) -> Unit:
    """Return the unit of a UCUM code.

    Raises:
        InputError: The code is not in the whitelist.

    >>> unit_of("kW.h").display
    'kWh'
    """
    try:
        return _BY_CODE[code]
    except KeyError:
        raise InputError(
            "unknown_unit",
            ko=f"단위 코드 {code!r} 는 Madang 이 아는 단위가 아니에요.",
            en=f"Unit code {code!r} is not one that Madang knows.",
            next_ko="UCUM 코드(예: Cel, kPa, kW.h, m3/h)로 적어 주세요.",
            next_en="Write a UCUM code such as Cel, kPa, kW.h or m3/h.",
            where={"unit": code},
        ) from None


def parse_unit(text: str, kind: Kind | None = None) -> Unit | None:
    """Read a unit as people on the plant floor write it; None when it is no spelling of the whitelist.

    Args:
        text: The unit without brackets, in any Unicode form.
        kind: Kind of quantity of the column where it is known; it decides what ``g`` (mass or acceleration) means.

    >>> parse_unit("㎏/㎠").code
    'kgf/cm2'
    >>> parse_unit("NM3/H").code, parse_unit("RPM").code, parse_unit("cfm").code
    ('m3{normal}/h', '/min', '[cft_i]/min')
    >>> parse_unit("g", Kind.ACCELERATION).code, parse_unit("g").code
    ('[g]', 'g')
    >>> parse_unit("MW").code, parse_unit("mW").code, parse_unit("mw")
    ('MW', 'mW', None)
    """
    plain = _plain(text)
    if not plain or len(plain) > 24:
        return None
    if kind is Kind.ACCELERATION and plain in ("g", "G"):
        return _BY_CODE["[g]"]
    if kind is Kind.HUMIDITY and plain == "%":
        return _EXACT[_plain("%RH")]
    found = _EXACT.get(plain)
    if found is not None:
        return found
    folded = plain.casefold()
    # Only the case differs: right when one unit is spelt so (KPA), not when two are (mw is milliwatt or megawatt).
    if len(_FOLDED.get(folded, ())) == 1:
        return _FOLDED_UNIT[folded]
    return None


def affine(from_unit: Unit | str, to_unit: Unit | str) -> tuple[float, float]:
    """Return ``(a, b)`` such that ``target = a * source + b``.

    Raises:
        InputError: The units measure different things, or one is a gauge and the other an absolute pressure.

    >>> affine("W.h", "kW.h")
    (0.001, 0.0)
    """
    source = unit_of(from_unit) if isinstance(from_unit, str) else from_unit
    target = unit_of(to_unit) if isinstance(to_unit, str) else to_unit
    if source.dimension != target.dimension or source.reference != target.reference or source.difference != target.difference:
        raise _mismatch(source, target)
    if source.code == target.code:
        return 1.0, 0.0
    return source.factor / target.factor, (source.offset - target.offset) / target.factor


@overload
def convert(values: float, from_unit: Unit | str, to_unit: Unit | str) -> float: ...
@overload
def convert(values: NDArray[np.float64], from_unit: Unit | str, to_unit: Unit | str) -> NDArray[np.float64]: ...
def convert(values: float | NDArray[np.float64], from_unit: Unit | str, to_unit: Unit | str) -> float | NDArray[np.float64]:
    """Convert values between units of one dimension; NaN stays NaN.

    Spreads (bands, tolerances) are converted between `Unit.spread` units, where the zero point plays no part.

    Args:
        values: One value or an array of any shape, in `from_unit`.
        from_unit: Unit or UCUM code of the values.
        to_unit: Unit or UCUM code wanted.

    Raises:
        InputError: The units measure different things; the error names both.

    >>> round(convert(212.0, "[degF]", "Cel"), 9)
    100.0
    >>> round(convert(9.0, unit_of("[degF]").spread(), unit_of("K").spread()), 9)
    5.0
    """
    factor, offset = affine(from_unit, to_unit)
    if offset == 0.0:
        return values if factor == 1.0 else values * factor
    return values * factor + offset


def _mismatch(source: Unit, target: Unit) -> InputError:
    why_ko, why_en = (
        f"{source.dimension} 와 {target.dimension} 은 서로 다른 양이에요.",
        f"{source.dimension} is not {target.dimension}.",
    )
    if source.dimension == target.dimension:
        if source.reference != target.reference:
            why_ko = "게이지 압력과 절대 압력은 그 자리의 대기압을 알아야 바꿀 수 있어요."
            why_en = "Gauge and absolute pressure differ by the air pressure of the place, which is not known."
        else:
            why_ko, why_en = "값과 값의 차이는 서로 바꿀 수 없어요.", "A value and a spread of values are not the same thing."
    return InputError(
        "unit_mismatch",
        ko=f"{source.code} 를 {target.code} 로 바꿀 수 없어요. {why_ko}",
        en=f"{source.code} cannot be converted to {target.code}. {why_en}",
        next_ko="열의 단위를 확인하고 매핑에서 고쳐 주세요.",
        next_en="Check the unit of the column and correct it in the mapping.",
        where={"from": source.code, "to": target.code},
    )


_BRACKETED = re.compile(
    r"^(?P<name>.*?)\s*[\[(（［{〔【<](?P<unit>[^\[\](){}（）［］〔〕【】<>]{1,24}(?:\([a-zA-Z]{1,3}\))?)[\])）］}〕】>]\s*$",
    re.DOTALL,
)
# A Latin unit right behind Hangul: 중량kg, 온도℃.
_GLUED = re.compile(r"^(?P<name>.*[가-힣])(?P<unit>[A-Za-z%℃°㎏㎜㎛㎥][^가-힣_\s]{0,9})$", re.DOTALL)
_SEPARATOR = re.compile(r"[_\-. ]")

# A suffix that is also an ordinary ending (Type_A, temp_min, Zone_C, LOT_T) is a unit only behind a word it can measure.
_HINTS: dict[str, tuple[str, ...]] = {
    "temperature": ("temp", "tmp", "tic", "온도", "therm", "heat"),
    "current": ("curr", "amp", "전류", "strom"),
    "voltage": ("volt", "전압", "spannung"),
    "power": ("power", "전력", "pwr", "leistung", "load"),
    "time": (
        "time",
        "dura",
        "시간",
        "period",
        "elapsed",
        "delay",
        "dauer",
        "cycle",
        "wear",
        "runtime",
        "takt",
        "laufzeit",
        "soak",
        "dwell",
        "life",
    ),
    "length": (
        "length",
        "dist",
        "width",
        "height",
        "depth",
        "pos",
        "stroke",
        "길이",
        "폭",
        "높이",
        "거리",
        "두께",
        "thick",
        "level",
        "diam",
        "gap",
    ),
    "mass": ("mass", "weight", "wt", "중량", "무게", "gewicht", "투입량", "생산량"),
    "volume": ("vol", "용량", "부피", "water", "용수", "usage", "사용량"),
    "force": ("force", "tension", "장력", "load", "하중", "kraft", "thrust", "press"),
    "energy": ("energy", "heat", "에너지", "열량", "work"),
    "acceleration": ("vib", "acc", "진동", "가속"),
    "fraction": ("ratio", "rate", "비율"),
    "count": ("count", "qty", "quantity", "cnt", "수량", "prod", "out"),
    "volume flow": ("flow", "유량", "배수", "방류", "water"),
    "acidity": ("",),
    "angle": ("angle", "각도"),
    "occurrences": ("count", "cnt", "횟수", "no"),
}
_ORDINARY_ENDINGS = frozenset(
    [
        "min",
        "in",
        "at",
        "set",
        "ea",
        "pc",
        "pcs",
        "t",
        "ton",
        "d",
        "day",
        "h",
        "hr",
        "s",
        "sec",
        "m",
        "g",
        "l",
        "a",
        "v",
        "w",
        "k",
        "f",
        "c",
        "n",
        "j",
        "deg",
        "1",
        "-",
        "out",
        "mm",
        "us",
        "ms",
        "ns",
        "var",
        "pu",
        "va",
        "ft",
        "gn",
        "cycle",
        "cycles",
        "shot",
        "shots",
        "times",
        "cmd",
        "cms",
        "hb",
        "hv",
        "hp",
        "min.",
        "일",
        "분",
        "초",
        "인",
        "대",
        "본",
        "장",
        "타",
        "매",
        "도",
        "건",
        "명",
        "회",
        "시간",
        "개",
    ]
)


def split_unit(header: str) -> tuple[str, str | None]:
    """Part a column header into its name and the text of its unit, None when there is none.

    A unit in brackets is cut from the name. A unit behind the last ``_`` is told, but the name stays as it is, because people
    look for the name they know. Endings that are also ordinary words need a word before them that they can measure.

    >>> split_unit("전력사용량(Wh)"), split_unit("Air temperature [K]")
    (('전력사용량', 'Wh'), ('Air temperature', 'K'))
    >>> split_unit("Usage_kWh"), split_unit("Temp_C")
    (('Usage_kWh', 'kWh'), ('Temp_C', 'C'))
    >>> split_unit("temp_min"), split_unit("Type_A"), split_unit("온도(상부)")
    (('temp_min', None), ('Type_A', None), ('온도(상부)', None))
    """
    header = header.strip()
    bracketed = _BRACKETED.match(header)
    if (
        bracketed is not None
        and bracketed["name"].strip()
        and not bracketed["unit"].isdigit()
        and parse_unit(bracketed["unit"])
    ):
        return bracketed["name"].strip(), bracketed["unit"].strip()
    for separator in _SEPARATOR.finditer(header, 1):
        # The longest ending first, so that kgf.cm is not read as cm.
        ending = header[separator.end() :]
        unit = parse_unit(ending) if 0 < len(ending) <= 10 else None
        if unit is not None and _suffix_fits(header[: separator.start()], ending, unit):
            return header, ending
    glued = _GLUED.match(header)
    if glued is not None:
        unit = parse_unit(glued["unit"])
        if unit is not None and _suffix_fits(glued["name"], glued["unit"], unit):
            return header, glued["unit"]
    return header, None


def _suffix_fits(name: str, text: str, unit: Unit) -> bool:
    plain = _plain(text).casefold()
    if plain not in _ORDINARY_ENDINGS:
        return True
    if text.isdigit():
        return False
    lower = name.casefold()
    if plain == "g" and _contains(lower, _HINTS["acceleration"]):
        return True
    return _contains(lower, _HINTS.get(unit.dimension, ())) and not (plain == "min" and "temp" in lower)


def _contains(text: str, words: Iterable[str]) -> bool:
    return any(word in text for word in words)
