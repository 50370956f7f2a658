"""The line document: what a whole one gives, and that every contradiction names its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from madang.errors import InputError
from madang.plant import EquipmentPath, Interval, Kind, Role, check_line, read_line

WHOLE = """
schema = "line/1"

[line]
enterprise = "hanbit"
site = "pohang"
area = "firing"
line = "rhk1"
name_ko = "소성로 1호기"

[[equipment]]
id = "kiln"
name_ko = "소성로"

[[equipment]]
id = "mixer"

[[points]]
path = "kiln/zone3/temperature"
kind = "temperature"
unit = "℃"
tag = "TIC-103.PV"
aliases = ["로내온도3"]
range = [0, 1200]
control_limits = [735, 765]
specification_limits = [730, 770]
sampling = "1s"

[[points]]
path = "kiln/zone3/temperature_sp"
kind = "temperature"
unit = "Cel"
role = "set_point"
set_point_of = "kiln/zone3/temperature"

[[points]]
path = "mixer/vibration"
kind = "acceleration"
unit = "g"

[[products]]
id = "ncm811"
route = ["mixer", "kiln"]

[[recipes]]
id = "fire"
product = "ncm811"

[[recipes.phases]]
id = "soak"
equipment = "kiln"
duration = "10h"
set_points = { "kiln/zone3/temperature_sp" = 750 }

[[envelope]]
point = "kiln/zone3/temperature"
low = 20
high = 900
max_rate = 10

[[sources]]
id = "plc"
kind = "plc"
describes = ["kiln"]
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "line.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_line_document_is_read_with_units_as_codes(tmp_path: Path) -> None:
    line = read_line(_write(tmp_path, WHOLE))
    zone = line.point("tic-103.pv")
    assert zone is not None
    assert (zone.path, zone.kind, zone.unit, zone.role) == ("kiln/zone3/temperature", Kind.TEMPERATURE, "Cel", Role.ACTUAL)
    assert line.point("로내온도3") == zone
    assert line.points[2].unit == "[g]"
    assert str(line.path) == "hanbit/pohang/firing/rhk1"
    assert check_line(_write(tmp_path, WHOLE)) == ()


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("range = [0, 1200]", "range = [1200, 0]", "points[0].range", "exchange"),
        ('unit = "℃"', 'unit = "hot"', "points[0].unit", "not known"),
        ('unit = "℃"', 'unit = "kPa"', "points[0].unit", "no unit of temperature"),
        ("control_limits = [735, 765]", "control_limits = [735, 1765]", "points[0].control_limits", "outside its range"),
        ('path = "mixer/vibration"', 'path = "kiln/zone3/temperature"', "points", "2 times"),
        ('path = "mixer/vibration"', 'path = "press/vibration"', "points[2].path", "equipment"),
        ("= 750 }", "= 950 }", "recipes[0].phases[0].set_points", "outside 20 to 900"),
        ('route = ["mixer", "kiln"]', 'route = ["mixer", "dryer"]', "products[0].route", "dryer"),
        ('point = "kiln/zone3/temperature"', 'point = "kiln/zone9/temperature"', "envelope[0].point", "zone9"),
        ('sampling = "1s"', 'sampling = "often"', "points[0].sampling", "length of time"),
        ('tag = "TIC-103.PV"', 'tga = "TIC-103.PV"', "points[0].tga", "Unknown field"),
        ('enterprise = "hanbit"', "", "line.enterprise", "needed"),
        ("low = 20\nhigh = 900", "low = 900\nhigh = 20", "envelope[0]", "below"),
        ("high = 900", "high = 9000", "envelope[0].high", "outside the range"),
        ('set_point_of = "kiln/zone3/temperature"', 'set_point_of = "mixer/vibration"', "points[1].set_point_of", "same kind"),
        ("range = [0, 1200]", "range = [nan, 1200]", "points[0].range[0]", "finite"),
    ],
)
def test_a_contradiction_names_its_place_and_the_fix(tmp_path: Path, old: str, new: str, place: str, words: str) -> None:
    assert old in WHOLE
    path = _write(tmp_path, WHOLE.replace(old, new, 1))
    errors = check_line(path)
    assert any(error.where == place and words in error.message.en for error in errors), errors
    assert all(error.message.ko for error in errors)
    with pytest.raises(InputError) as caught:
        read_line(path)
    places = caught.value.where["places"]
    assert isinstance(places, list) and place in places


def test_an_alias_shared_by_two_points_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, WHOLE.replace('path = "mixer/vibration"', 'path = "mixer/vibration"\naliases = ["tic-103.pv"]'))
    assert [error.where for error in check_line(path)] == ["points[2]"]


@pytest.mark.parametrize("text", ["= broken", "", "points = 3", "[[points]]", 'schema = "line/1"\nequipment = "kiln"'])
def test_what_is_no_line_document_is_an_input_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError):
        read_line(_write(tmp_path, text))


def test_a_missing_folder_or_binary_file_is_an_input_error(tmp_path: Path) -> None:
    binary = tmp_path / "line.toml"
    binary.write_bytes(bytes(range(256)))
    for path in (tmp_path, tmp_path / "none.toml", binary):
        with pytest.raises(InputError):
            read_line(path)


def test_the_end_of_an_interval_is_not_in_it() -> None:
    start = datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))
    shift = Interval(start, start + timedelta(hours=8))
    assert shift.start == datetime(2026, 1, 1, tzinfo=UTC)
    assert start in shift
    assert shift.end not in shift
    following = Interval(shift.end, shift.end + timedelta(hours=8))
    assert shift.overlap(following) is None


def test_an_interval_refuses_times_without_zone_and_a_reversed_order() -> None:
    aware = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(InputError):
        Interval(datetime(2026, 1, 1), aware)  # noqa: DTZ001
    with pytest.raises(InputError):
        Interval(aware, aware - timedelta(seconds=1))


def test_an_equipment_path_has_one_to_five_names() -> None:
    assert EquipmentPath.parse("a/b/c/d/e").level == "unit"
    for text in ("", "a//b", "a/b/c/d/e/f"):
        with pytest.raises(InputError):
            EquipmentPath.parse(text)
