"""Whatever stops a change, the state before it stays readable, and the lake says the same as the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable

from madang.library import Library
from madang.library._commit import Faults
from tests.library.plant_files import open_library, write_meter

STEPS = ("announced", "files", "delta:records", "catalogue")


class Killed(BaseException):
    """The process died here."""


class DieAt(Faults):
    """Stops at one step, as a kill would: nothing that stands behind it runs."""

    def __init__(self, step: str) -> None:
        self.step = step

    def at(self, step: str) -> None:
        if step == self.step:
            raise Killed(step)


def rows(library: Library) -> int:
    return len(library.read("meter_01", reader="owner", purpose="show").table)


def delta_rows(root: Path) -> int:
    table = DeltaTable(str(root / "lake/tables/d000001/records"))
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(uri).num_rows for uri in table.file_uris())


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_append_leaves_the_version_before(tmp_path: Path, step: str) -> None:
    root = tmp_path / "ws"
    with open_library(root) as library:
        library.intake([write_meter(tmp_path / "meter_01.csv")])
    dying = open_library(root, DieAt(step))
    with pytest.raises(Killed):
        dying.intake([write_meter(tmp_path / "meter_02.csv", first=1000)])
    dying.close()
    with open_library(root) as library:
        assert (rows(library), delta_rows(root)) == (300, 300)
        report = library.intake([tmp_path / "meter_02.csv"])
        assert report.tables[0].version == 2
        assert (rows(library), delta_rows(root)) == (600, 600)


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_first_intake_leaves_nothing(tmp_path: Path, step: str) -> None:
    root = tmp_path / "ws"
    dying = open_library(root, DieAt(step))
    with pytest.raises(Killed):
        dying.intake([write_meter(tmp_path / "meter_01.csv")])
    dying.close()
    with open_library(root) as library:
        assert library.list() == {"datasets": []}
        assert library.intake([tmp_path / "meter_01.csv"]).tables[0].version == 1
        assert rows(library) == 300


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_correction_leaves_the_version_before(tmp_path: Path, step: str) -> None:
    root = tmp_path / "ws"
    with open_library(root) as library:
        library.intake([write_meter(tmp_path / "meter_01.csv")])
    dying = open_library(root, DieAt(step))
    with pytest.raises(Killed):
        dying.intake([write_meter(tmp_path / "meter_01.csv", records=299)])
    dying.close()
    with open_library(root) as library:
        assert (rows(library), delta_rows(root)) == (300, 300)
        library.intake([tmp_path / "meter_01.csv"])
        assert (rows(library), delta_rows(root)) == (299, 299)


@pytest.mark.parametrize("step", ["compact:file", "compact:delta", "compact:catalogue"])
def test_a_killed_compaction_loses_no_row(tmp_path: Path, step: str) -> None:
    root = tmp_path / "ws"
    with open_library(root) as library:
        library.intake([write_meter(tmp_path / "meter_01.csv")])
        library.intake([write_meter(tmp_path / "meter_02.csv", first=1000)])
    dying = open_library(root, DieAt(step))
    with pytest.raises(Killed):
        dying.compact("meter_01")
    dying.close()
    with open_library(root) as library:
        assert (rows(library), delta_rows(root)) == (600, 600)
        library.compact("meter_01")
        assert (rows(library), delta_rows(root)) == (600, 600)


def test_an_error_in_the_middle_is_withdrawn_at_once(tmp_path: Path) -> None:
    class Broken(Faults):
        def at(self, step: str) -> None:
            if step == "delta:records":
                raise OSError("no space left on device")

    root = tmp_path / "ws"
    with open_library(root) as library:
        library.intake([write_meter(tmp_path / "meter_01.csv")])
    with open_library(root, Broken()) as library:
        with pytest.raises(OSError, match="no space"):
            library.intake([write_meter(tmp_path / "meter_02.csv", first=1000)])
        assert (rows(library), delta_rows(root)) == (300, 300)
