"""Undo and redo, replay, and what people decide about columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from madang.errors import InputError
from tests.library.plant_files import open_library, write_meter


def test_an_undone_reading_step_is_read_without_it_and_the_older_version_stays(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv", change={(7, 2): "-5"})])
        (step,) = [s for s in _steps(library.card("meter")) if s["step"] == "negative_is_bad"]
        assert library.read("meter", reader="owner", purpose="show").table["압력"][7].as_py() is None
        done = library.undo(step["id"])
        assert (done["dataset"], done["version"]) == ("meter", 2)
        assert library.read("meter", reader="owner", purpose="show").table["압력"][7].as_py() == -5
        assert library.read("meter@1", reader="owner", purpose="show").table["압력"][7].as_py() is None
        with pytest.raises(InputError, match="already undone"):
            library.undo(step["id"])
        library.redo(step["id"])
        assert library.read("meter@3", reader="owner", purpose="show").table["압력"][7].as_py() is None


def _steps(card: dict[str, Any]) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = card["lineage"]["steps"]
    return steps


def test_a_whole_intake_can_be_taken_back_and_made_again(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter_1.csv", first=1000)])
        second = library.intake([write_meter(tmp_path / "meter_2.csv", first=2000)])
        library.undo(str(second.id))
        assert len(library.read("meter_1", reader="owner", purpose="show").table) == 300
        library.redo(str(second.id))
        assert len(library.read("meter_1", reader="owner", purpose="show").table) == 600
        assert len(library.read("meter_1@3", reader="owner", purpose="show").table) == 300


def test_taking_a_correction_back_brings_the_corrected_file_back(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        correction = library.intake([write_meter(tmp_path / "meter.csv", records=200)])
        library.undo(str(correction.id))
        assert len(library.read("meter", reader="owner", purpose="show").table) == 300


def test_after_taking_the_only_intake_back_the_file_can_come_in_again(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        first = library.intake([write_meter(tmp_path / "meter.csv")])
        library.undo(str(first.id))
        assert len(library.read("meter", reader="owner", purpose="show").table) == 0
        again = library.intake([tmp_path / "meter.csv"])
        assert (again.tables[0].dataset, again.tables[0].version, again.tables[0].added) == ("meter", 3, True)


def test_an_unknown_step_is_an_input_error(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library, pytest.raises(InputError, match="no step"):
        library.undo("u99")


def test_a_decision_about_a_column_holds_for_the_dataset_and_for_later_files_of_that_column(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        library.accept("meter", "압력", role="actual", kind="pressure", unit="kPa", author="김 기사")
        column = _column(library.card("meter"), "압력")
        assert (column["unit"], column["kind_of_quantity"], column["status"]) == ("kPa", "pressure", "accepted")
        assert "김 기사" in column["unit_reason_en"]
        other = write_meter(tmp_path / "다른 선.csv", first=9000, change={(9000, 3): "시험"})
        document: Any = library.intake([other]).document()
        (later,) = [c for c in document["tables"][0]["columns"] if c["name"] == "압력"]
        assert (later["unit"], later["status"]) == ("kPa", "accepted")


def test_a_meaning_that_changes_makes_a_version_and_a_mere_confirmation_does_not(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        first = library.accept("meter", "압력", role="actual", kind="pressure", unit="kPa")
        again = library.accept("meter", "압력")
        assert (first["version"], again["version"]) == (2, 2)
        before = _column(library.card("meter@1"), "압력")
        assert before["unit"] != "kPa"


def test_another_unit_of_the_same_kind_converts_the_numbers_and_export_in_source_units_gives_them_back(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        celsius = library.read("meter@1", reader="owner", purpose="show").table["로 온도"].to_pylist()
        library.accept("meter", "로 온도", role="actual", kind="temperature", unit="K")
        kelvin = library.read("meter", reader="owner", purpose="show").table["로 온도"].to_pylist()
        assert kelvin == pytest.approx([c + 273.15 for c in celsius])
        source = library.read("meter", reader="owner", purpose="show", units="source").table["로 온도"].to_pylist()
        assert source == pytest.approx(celsius)


def test_a_rejected_proposal_counts_as_unknown_and_is_asked_until_the_rejection_is_undone(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        proposed = _column(library.card("meter"), "로 온도")
        library.reject("meter", "로 온도")
        column = _column(library.card("meter"), "로 온도")
        assert (column["kind_of_quantity"], column["unit"], column["status"]) == ("unknown", None, "ask")
        assert "로 온도" in [w["name"] for w in library.map_review()]
        (step,) = [s for s in _steps(library.card("meter")) if s["kind"] == "mapping"]
        library.undo(step["id"])
        back = _column(library.card("meter"), "로 온도")
        assert (back["kind_of_quantity"], back["unit"], back["status"]) == (
            proposed["kind_of_quantity"],
            proposed["unit"],
            proposed["status"],
        )


def test_a_word_that_is_no_role_or_unit_is_refused_with_the_words_there_are(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        with pytest.raises(InputError) as refused:
            library.accept("meter", "압력", role="pressure gauge")
        assert "set_point" in refused.value.next_en
        with pytest.raises(InputError):
            library.accept("meter", "압력", unit="flurbs")
        with pytest.raises(InputError, match="no column"):
            library.accept("meter", "없는 열")


def _column(card: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [c for c in card["columns"] if c["name"] == name]
    return dict(found)


def test_replay_reads_quarantined_files_again_by_the_newest_template(tmp_path: Path) -> None:
    file = write_meter(tmp_path / "meter.csv")
    file.write_text(file.read_text(encoding="utf-8") + "short\n", encoding="utf-8")
    with open_library(tmp_path / "ws") as library:
        library.intake([file])
        done = library.replay("meter")
        assert done["version"] == 2
        assert len(library.quarantine("meter")) == 1
        library.intake([write_meter(tmp_path / "plain.csv", first=9000)])
        assert library.replay("plain")["version"] == 1


def test_an_intake_whose_file_came_in_again_is_not_made_again_so_that_no_record_counts_twice(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        file = write_meter(tmp_path / "meter.csv")
        first = library.intake([file])
        library.undo(str(first.id))
        library.intake([file])
        with pytest.raises(InputError) as refused:
            library.redo(str(first.id))
        assert refused.value.code == "already_there"
        assert len(library.read("meter", reader="owner", purpose="show").table) == 300


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"kind": "pressure"}, "unit_of_another_kind"),
        ({"kind": "pressure", "unit": "Cel"}, "unit_of_another_kind"),
        ({"kind": "pressure", "unit": "kPa"}, "unit_mismatch"),
    ],
)
def test_a_unit_that_does_not_measure_the_kind_is_refused_and_nothing_is_changed(
    tmp_path: Path, said: dict[str, str], code: str
) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        with pytest.raises(InputError) as refused:
            library.accept("meter", "로 온도", **said)
        assert refused.value.code == code
        assert _meaning(library.card("meter")) == ("temperature", "Cel")
        library.accept("meter", "로 온도", unit="K")
        assert library.read("meter", reader="owner", purpose="show").table["로 온도"][0].as_py() == pytest.approx(973.15)


def _meaning(card: dict[str, Any]) -> tuple[str, str | None]:
    (column,) = [c for c in card["columns"] if c["name"] == "로 온도"]
    return column["kind_of_quantity"], column["unit"]


def test_a_decision_taken_back_leaves_the_one_it_replaced(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        library.accept("meter", "로 온도", unit="K")
        library.accept("meter", "로 온도", unit="[degF]")
        last = [s for s in _steps(library.card("meter")) if s["kind"] == "mapping"][-1]
        library.undo(last["id"])
        assert _meaning(library.card("meter")) == ("temperature", "K")
        library.redo(last["id"])
        assert _meaning(library.card("meter")) == ("temperature", "[degF]")
