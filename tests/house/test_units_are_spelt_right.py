"""Units in documents and texts are written as SI symbols, one way everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MISSPELT = {
    r"(?<=\d )(Kwh|KWH|kwh|KWh)\b": "kWh",
    r"(?<=\d )(KW|Kw)\b": "kW",
    r"(?<=\d )(Kg|KG)\b": "kg",
    r"(?<=\d )(Mpa|MPA|mpa)\b": "MPa",
    r"(?<=\d )(sec|secs|Sec)\b": "s",
    r"(?<=\d )(degC|deg C|°c)\b": "℃",
    r"(?<=\d )(hrs|Hrs)\b": "h",
}


@pytest.mark.parametrize(
    "path",
    sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("texts/*.toml")]),
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_units_beside_numbers_are_written_one_way(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [(m.group(), right) for wrong, right in MISSPELT.items() for m in re.finditer(wrong, text)] == []
