"""The guardrails on public plant data: known leaks are dropped, and honest columns stay."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from madang.models._frame import Frame, Series
from madang.models._leaks import assign_availability, dropped_columns, find_leaks
from madang.plant import Kind


def _read(path: Path, separator: str = ",") -> Frame:
    with path.open(encoding="utf-8") as lines:
        header, *rows = csv.reader(lines, delimiter=separator)
    series: dict[str, Series] = {}
    for k, name in enumerate(header):
        cells = [row[k] for row in rows]
        try:
            series[name] = Series(name, np.array([float(c) if c not in ("", "NaN") else np.nan for c in cells]))
        except ValueError:
            levels = sorted(set(cells))
            place = {level: float(i) for i, level in enumerate(levels)}
            series[name] = Series(name, np.array([place[c] for c in cells]), tuple(levels))
    return Frame(series, np.zeros(len(rows), dtype=np.int64), np.arange(1, len(rows) + 1, dtype=np.int64))


def test_failure_flags_and_serial_numbers_are_dropped_and_readings_stay(shared_data: Path) -> None:
    frame = _read(shared_data / "ai4i2020" / "ai4i2020_visible.csv", "\t")
    found = find_leaks(frame, "Machine failure", "classification", horizon_rows=0, seed=0)
    assert dropped_columns(found) == {"TWF", "HDF", "PWF", "OSF", "RNF", "UDI", "Product ID"}
    assert all(f.evidence.ko and f.evidence.en for f in found)


def test_the_other_class_marks_are_copies_of_the_label_and_the_file_is_sorted(shared_data: Path) -> None:
    frame = _read(shared_data / "steel_plates_faults" / "SteelPlatesFaults_Clean.csv")
    labels = list(frame.series)[-7:]
    found = find_leaks(frame, labels[0], "classification", horizon_rows=0, seed=0)
    assert dropped_columns(found) == set(labels[1:])
    assert {f.code for f in found if f.column is None} == {"row_order"}


def test_readings_of_the_energy_meter_are_no_inputs_of_a_soft_sensor(shared_data: Path) -> None:
    frame = _read(shared_data / "steel_energy" / "Steel_industry_data_2018_01_09.csv").without("date")
    kinds = {n: Kind.REACTIVE_ENERGY for n in frame.series if "eactive" in n}
    kinds |= {n: Kind.POWER_FACTOR for n in frame.series if "Factor" in n} | {"Usage_kWh": Kind.ELECTRIC_ENERGY}
    known = Frame(
        {n: Series(n, s.values, s.categories, kind=kinds.get(n, Kind.UNKNOWN)) for n, s in frame.series.items()},
        frame.part,
        frame.row,
    )
    found = find_leaks(known, "Usage_kWh", "regression", horizon_rows=0, seed=0)
    assert {f.code for f in found if f.action == "dropped"} == {"consequence"}
    assert dropped_columns(found) == {*kinds, "CO2(tCO2)"} - {"Usage_kWh"}


def test_turbine_readings_are_no_leaks_however_well_they_explain(shared_data: Path) -> None:
    frame = _read(shared_data / "gas_turbine_emissions" / "gt_2011_2013.csv")
    for target in list(frame.series)[-3:]:
        assert find_leaks(frame, target, "regression", horizon_rows=0, seed=0) == ()


def test_a_given_availability_is_kept_and_reasons_are_told(shared_data: Path) -> None:
    frame = _read(shared_data / "gas_turbine_emissions" / "gt_2011_2013.csv")
    names = list(frame.series)
    marked = frame.with_series(Series(names[0], frame[names[0]].values, available="after_result"))
    done = assign_availability(marked, names[-1], "regression")
    assert done[names[0]].available == "after_result"
    assert done[names[-1]].available == "past_only"
    reasons = done.facts["availability"]
    assert isinstance(reasons, dict)
    assert set(reasons) == set(names) - {names[0]}
    assert names[0] in dropped_columns(find_leaks(done, names[-1], "regression", horizon_rows=0, seed=0))


def test_nothing_is_found_in_tables_too_small_to_tell() -> None:
    for rows in (0, 1, 5):
        y = np.arange(float(rows))
        frame = Frame(
            {"x": Series("x", y), "y": Series("y", y)}, np.zeros(rows, dtype=np.int64), np.arange(rows, dtype=np.int64)
        )
        assert find_leaks(frame, "y", "regression", horizon_rows=0, seed=0) == ()
