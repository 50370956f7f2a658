"""The pack of the built-in line is data that agrees with the line."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path

import numpy as np
import pytest

import madang
from madang.errors import InputError
from madang.factory.twin import load_pack, lower_bound, pack_names, simulate_kiln
from madang.factory.twin._kiln import SET_POINTS, TARGET_CENTRE, TOLERANCE


def test_609_lots_are_the_fewest_that_show_ninety_percent_when_ninety_two_are_seen() -> None:
    # Wilson's bound with a fractional count, as the definition of quality states it.
    def bound(lots: int) -> float:
        z, p = 1.6448536269514722, 0.92
        half = z * np.sqrt(p * (1 - p) / lots + z * z / (4 * lots * lots))
        return float((p + z * z / (2 * lots) - half) / (1 + z * z / lots))

    assert bound(608) < 0.90 <= bound(609)
    assert lower_bound(560, 609) < 0.92
    assert load_pack("cathode_firing").quality.lots_needed == 609


def test_the_line_and_its_pack_name_the_same_tolerance_and_set_points() -> None:
    pack = load_pack("cathode_firing")
    assert (pack.quality.centre, pack.quality.tolerance) == (TARGET_CENTRE, TOLERANCE)
    wanted = {path: value for phase in pack.line.recipes[0].phases for path, value in phase.set_points.items()}
    assert [wanted[f"kiln/zone{z}/temperature_set"] for z in range(1, 9)] == SET_POINTS.tolist()


def test_every_tag_of_the_kiln_and_every_named_cause_is_a_point_of_the_line() -> None:
    line = load_pack("cathode_firing").line
    run = simulate_kiln(1, lots=120)
    missing = [t.name for t in run.tags if t.system != "fast" and line.point(t.name) is None]
    assert not missing
    for cause in run.truth.causes:
        assert all(line.point(column) or column == "레인" for column in cause.columns)


def test_readings_stay_inside_the_range_of_their_points() -> None:
    from madang.plant import parse_unit

    line = load_pack("cathode_firing").line
    run = simulate_kiln(1, lots=120)
    for tag in run.tags:
        point = line.point(tag.name)
        if point is None or point.range is None or point.unit is None or not tag.unit:
            continue
        unit = parse_unit(tag.unit, point.kind)
        if unit is not None and unit.code == point.unit:
            assert point.range[0] <= run.values[tag.name].min(), tag.name
            assert run.values[tag.name].max() <= point.range[1], tag.name


def test_the_share_leaves_lots_without_a_result_out() -> None:
    quality = load_pack("cathode_firing").quality
    told = quality.share(np.array([3300.0, 3700.0, 3701.0, np.nan]))
    assert (told.good, told.lots) == (2, 3)
    assert 0.0 < told.low < told.share
    with pytest.raises(InputError):
        quality.share(np.array([np.nan]))


def test_an_unknown_pack_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(InputError, match="cathode_firing"):
        load_pack("steel")


def test_a_pack_holds_no_program() -> None:
    for name in pack_names():
        folder = Path(madang.__file__).parent / "packs" / name
        assert not list(folder.rglob("*.py"))


def test_the_pack_is_silent_on_the_normal_recording_and_finds_exactly_the_expected_on_the_faulty_one() -> None:
    folder = Path(madang.__file__).parent / "packs" / "cathode_firing"
    expected = tomllib.loads((folder / "examples" / "expected.toml").read_text(encoding="utf-8"))
    line = load_pack("cathode_firing").line
    for recording in (expected["normal"], expected["faulty"]):
        with (folder / "examples" / recording["file"]).open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        outside = set()
        for header in rows[0]:
            point = line.point(header.split("(")[0])
            limit = next((x for x in line.envelope if point is not None and x.point == point.path), None)
            if point is None or limit is None:
                continue
            values = [float(row[header]) for row in rows]
            low = -np.inf if limit.low is None else limit.low
            high = np.inf if limit.high is None else limit.high
            if min(values) < low or max(values) > high:
                outside.add(point.path)
        assert outside == set(recording["outside_envelope"]), recording["file"]
