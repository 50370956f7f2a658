"""Units that a server gives as UNECE codes, in the spelling of the plant floor."""

from __future__ import annotations

from typing import Final

from asyncua import ua

_SPELLINGS: Final = {
    "CEL": "°C",
    "FAH": "°F",
    "KEL": "K",
    "P1": "%",
    "59": "ppm",
    "BAR": "bar",
    "MBR": "mbar",
    "PAL": "Pa",
    "A97": "hPa",
    "KPA": "kPa",
    "MPA": "MPa",
    "PS": "psi",
    "ATM": "atm",
    "HN": "mmHg",
    "AMP": "A",
    "4K": "mA",
    "VLT": "V",
    "2Z": "mV",
    "KVT": "kV",
    "WTT": "W",
    "KWT": "kW",
    "MAW": "MW",
    "D46": "VA",
    "KVA": "kVA",
    "WHR": "Wh",
    "KWH": "kWh",
    "MWH": "MWh",
    "JOU": "J",
    "KJO": "kJ",
    "HTZ": "Hz",
    "KHZ": "kHz",
    "OHM": "Ω",
    "MMT": "mm",
    "CMT": "cm",
    "MTR": "m",
    "4H": "µm",
    "KGM": "kg",
    "GRM": "g",
    "TNE": "t",
    "MGM": "mg",
    "LTR": "L",
    "MLT": "mL",
    "MTQ": "m3",
    "MQH": "m3/h",
    "E32": "L/h",
    "L2": "L/min",
    "KGS": "kg/s",
    "E93": "kg/h",
    "MTS": "m/s",
    "2X": "m/min",
    "SEC": "s",
    "MIN": "min",
    "HUR": "h",
    "C26": "ms",
    "RPM": "r/min",
    "RPS": "r/s",
    "NEW": "N",
    "B47": "kN",
    "NU": "N·m",
    "KMQ": "kg/m3",
    "GL": "g/L",
    "C62": "1",
}
"""Common codes of UNECE Recommendation 20."""


def unece_code(unit_id: int) -> str:
    """Return the UNECE code that a unit id spells.

    Source:
        OPC 10000-8, 5.6.3: the letters of the code, as bytes of the number.

    >>> unece_code(4408652)
    'CEL'
    """
    if unit_id <= 0:
        return ""
    return unit_id.to_bytes((unit_id.bit_length() + 7) // 8, "big").decode("ascii", "replace")


def unit_text(information: ua.EUInformation) -> str | None:
    """Return a unit as the server displays it, else by its UNECE code; None where it says neither."""
    shown = str(information.DisplayName.Text or "").strip() if information.DisplayName is not None else ""
    table = str(information.NamespaceUri or "").casefold()
    code = unece_code(int(information.UnitId or 0)) if not table or "cefact" in table or "unece" in table else ""
    return shown or _SPELLINGS.get(code) or code or None
