"""What an intake does to the library: versions, corrections, repeats, misfits, refusals."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from madang.errors import CheckFailed, InputError
from madang.library import IntakeReport, Library, Where
from tests.library.plant_files import NOON, open_library, write_meter


def codes(report: IntakeReport) -> list[str]:
    """Finding codes of an intake's only table."""
    (table,) = report.tables
    return [f.code for f in table.findings]


def snapshot(library: Library, version: str) -> bytes:
    """The exact Arrow bytes of a version."""
    import pyarrow as pa

    table = library.read(version, reader="owner", purpose="show").table
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def test_a_file_becomes_the_first_version_of_a_dataset_named_after_it(tmp_path: Path) -> None:
    with open_library(tmp_path / "공장 1") as library:
        report = library.intake([write_meter(tmp_path / "소성로 계량.csv")])
        document: Any = report.document()
        (table,) = document["tables"]
        assert (table["dataset"], table["version"]) == ("소성로 계량", 1)
        assert (table["rows_read"], table["rows_kept"]) == (300, 300)
        read = library.read("소성로 계량", reader="owner", purpose="show").table
        assert read["_row"].to_pylist() == list(range(1, 301))
        assert read["압력"].to_pylist() == [(m * 31) % 97 for m in range(300)]


def test_the_same_bytes_again_add_nothing(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        file = write_meter(tmp_path / "meter.csv")
        library.intake([file])
        again = library.intake([file])
        assert codes(again) == ["repeated_file"]
        assert (again.tables[0].version, again.id) == (1, None)
        assert len(library.read("meter", reader="owner", purpose="show").table) == 300


def test_a_zone_told_again_moves_every_instant_of_a_real_file(tmp_path: Path) -> None:
    file = tmp_path / "press.csv"
    file.write_text("".join(["time,force_kN\n", *(f"2026-04-01 {i // 60:02d}:{i % 60:02d},{i % 9}.5\n" for i in range(240))]))
    with Library.open(tmp_path / "ws", clock=lambda: NOON, zone="Asia/Seoul") as library:
        firsts = [
            (table.version, table.layout.zone_assumed, table.time_first.isoformat() if table.time_first else None)
            for zone in (None, "Europe/Berlin", "Asia/Seoul", "Asia/Seoul")
            for table in library.intake([file], zone=zone).tables
        ]
    assert firsts == [
        (1, True, "2026-03-31T15:00:00+00:00"),
        (2, False, "2026-03-31T22:00:00+00:00"),
        (3, False, "2026-03-31T15:00:00+00:00"),
        (3, False, "2026-03-31T15:00:00+00:00"),
    ]


def test_a_corrected_file_of_the_same_name_supersedes_and_the_older_version_keeps_its_bytes(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        before = snapshot(library, "meter@1")
        report = library.intake([write_meter(tmp_path / "meter.csv", change={(5, 1): "999.5"})])
        assert report.tables[0].version == 2
        assert library.read("meter", reader="owner", purpose="show").table["로 온도"][5].as_py() == 999.5
        assert len(library.read("meter@2", reader="owner", purpose="show").table) == 300
        assert snapshot(library, "meter@1") == before


def test_the_next_period_under_the_same_name_is_added_not_taken_for_a_correction(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "export.csv")])
        library.intake([write_meter(tmp_path / "export.csv", first=300)])
        assert len(library.read("export@2", reader="owner", purpose="show").table) == 600


def test_monthly_exports_are_parts_of_one_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "월별"
    folder.mkdir()
    for month in range(1, 4):
        write_meter(folder / f"meter_2026-{month:02d}.csv", first=month * 1000)
    with open_library(tmp_path / "ws") as library:
        report = library.intake([folder])
        assert {(t.dataset, t.version) for t in report.tables} == {("meter_2026-01", 1)}
        read = library.read("meter_2026-01", reader="owner", purpose="show")
        assert [p.source for p in read.parts] == [f"meter_2026-{m:02d}.csv" for m in (1, 2, 3)]
        one = library.read("meter_2026-01", reader="owner", purpose="show", where=Where(sources=("meter_2026-02.csv",)))
        assert len(one.table) == 300


def test_two_meters_of_the_same_period_are_two_datasets(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter1.csv")])
        report = library.intake([write_meter(tmp_path / "meter2.csv", change={(m, 1): str(m) for m in range(300)})])
        assert report.tables[0].dataset == "meter2"


def test_the_same_records_under_another_name_are_kept_and_flagged(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "run_a.csv")])
        report = library.intake([write_meter(tmp_path / "run_b.csv", first=0, change={(0, 3): "시험"})])
        assert "repeated_experiment" in codes(report)
        assert report.tables[0].added
        different = library.intake([write_meter(tmp_path / "other.csv", first=5000)])
        assert "repeated_experiment" not in codes(different)


def test_a_copy_under_another_name_adds_nothing_and_is_named_as_a_repeated_experiment(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        file = write_meter(tmp_path / "run_a.csv")
        library.intake([file])
        (tmp_path / "run_b.csv").write_bytes(file.read_bytes())
        report = library.intake([tmp_path / "run_b.csv"])
        assert codes(report) == ["repeated_file", "repeated_experiment"]
        assert len(library.read("run_a", reader="owner", purpose="show").table) == 300


def test_a_file_of_the_same_name_from_another_line_corrects_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "a" / "meter.csv")])
        other = write_meter(tmp_path / "b" / "meter.csv", change={(m, 1): str(m) for m in range(300)})
        assert library.intake([other]).tables[0].dataset == "meter-2"
        assert len(library.read("meter@1", reader="owner", purpose="show").table) == 300


def test_documents_in_a_folder_are_passed_over_and_said(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_meter(folder / "a.csv")
    (folder / "설명.md").write_text("# 설명, 표가 아님\n", encoding="utf-8")
    with open_library(tmp_path / "ws") as library:
        document: Any = library.intake([folder]).document()
        assert document["skipped"] == ["설명.md"]
        assert [t["source"] for t in document["tables"]] == ["a.csv"]


def test_a_renamed_column_is_said_and_strict_refuses_it_without_a_change(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter_01.csv")])
        renamed = write_meter(tmp_path / "meter_02.csv", first=1000, columns=("시각", "노 온도 [Cel]", "압력", "상태"))
        with pytest.raises(CheckFailed) as refused:
            library.intake([renamed], strict=True)
        assert refused.value.where["codes"] == ["renamed_column"]
        listed: Any = library.list()
        assert listed["datasets"][0]["version"] == 1
        report = library.intake([renamed])
        (finding,) = [f for f in report.tables[0].findings if f.code == "renamed_column"]
        assert (finding.facts["gone"], finding.facts["new"]) == (["로 온도"], ["노 온도"])


def test_a_changed_unit_is_said(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter_01.csv")])
        changed = write_meter(tmp_path / "meter_02.csv", first=1000, columns=("시각", "로 온도 [degF]", "압력", "상태"))
        (finding,) = [f for f in library.intake([changed]).tables[0].findings if f.code == "unit_change"]
        assert (finding.column, finding.facts["before"], finding.facts["now"]) == ("로 온도", "Cel", "degF")


def test_numbers_where_integers_were_widen_the_column_and_the_older_version_stays(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter_01.csv")])
        before = snapshot(library, "meter_01@1")
        library.intake([write_meter(tmp_path / "meter_02.csv", first=1000, change={(1000, 2): "12.5"})])
        read = library.read("meter_01", reader="owner", purpose="show").table
        assert str(read.schema.field("압력").type) == "double"
        assert read["압력"].to_pylist()[300] == 12.5
        assert snapshot(library, "meter_01@1") == before


def test_an_empty_column_of_one_month_does_not_stop_the_next(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter_01.csv", change={(m, 2): "" for m in range(300)})])
        report = library.intake([write_meter(tmp_path / "meter_02.csv", first=1000)])
        assert (report.tables[0].dataset, report.tables[0].version) == ("meter_01", 2)
        values = library.read("meter_01", reader="owner", purpose="show").table["압력"]
        assert values.null_count == 300
        assert values[300].as_py() == (1000 * 31) % 97


def test_an_unreadable_file_in_a_folder_is_reported_and_the_others_come_in(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_meter(folder / "a.csv")
    (folder / "b.bin").write_bytes(b"\x00\x01\x02")
    with open_library(tmp_path / "ws") as library:
        document: Any = library.intake([folder]).document()
        assert [t["source"] for t in document["tables"]] == ["a.csv"]
        assert [(e["code"], e["where"]["source"]) for e in document["errors"]] == [("not_a_table", "b.bin")]


def test_when_nothing_can_be_read_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / "b.bin").write_bytes(b"\x00\x01\x02")
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "a.csv")])
        for paths in ([tmp_path / "b.bin"], [tmp_path / "absent.csv"]):
            with pytest.raises(InputError):
                library.intake(paths)
        listed: Any = library.list()
        assert len(listed["datasets"]) == 1
        assert not (tmp_path / "ws" / "lake" / "staging").exists() or not any((tmp_path / "ws/lake/staging").iterdir())


def test_records_are_never_lost_and_wait_in_quarantine_with_their_reason(tmp_path: Path) -> None:
    file = write_meter(tmp_path / "meter.csv")
    file.write_text(file.read_text(encoding="utf-8") + "2026-01-02T00:00:00,1\n", encoding="utf-8")
    with open_library(tmp_path / "ws") as library:
        (table,) = library.intake([file]).tables
        assert (table.tally.read, table.tally.kept, table.tally.quarantined) == (301, 300, 1)
        (waiting,) = library.quarantine("meter")
        assert (waiting["source"], waiting["row"], waiting["text"]) == ("meter.csv", 301, "2026-01-02T00:00:00,1")


def test_the_original_bytes_are_kept(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        file = write_meter(tmp_path / "meter.csv")
        library.intake([file])
        (kept,) = library.originals("meter", tmp_path / "out")
        assert kept.name == "meter.csv"
        assert kept.read_bytes() == file.read_bytes()


def test_a_zone_given_later_reads_the_same_file_again(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        file = write_meter(tmp_path / "meter.csv")
        assert library.intake([file]).tables[0].layout.zone_assumed
        again = library.intake([file], zone="UTC")
        assert (again.tables[0].version, again.tables[0].layout.zone) == (2, "UTC")
        assert len(library.read("meter", reader="owner", purpose="show").table) == 300


def test_versions_read_the_same_a_day_later_after_a_move_and_a_compaction(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        for month in range(1, 5):
            library.intake([write_meter(tmp_path / f"meter_{month:02d}.csv", first=month * 1000)])
        library.intake([write_meter(tmp_path / "meter_02.csv", first=2000, change={(2000, 1): "1"})])
        names = [f"meter_01@{n}" for n in range(1, 6)]
        before = [snapshot(library, n) for n in names]
        assert library.compact("meter_01") == {"dataset": "meter_01", "version": 5, "files_before": 4, "files_after": 1}
        assert [snapshot(library, n) for n in names] == before
    (tmp_path / "ws").rename(tmp_path / "옮긴 곳")
    with open_library(tmp_path / "옮긴 곳", now=NOON + timedelta(days=1)) as library:
        assert [snapshot(library, n) for n in names] == before
        library.intake([write_meter(tmp_path / "meter_03.csv", first=3000, change={(3000, 1): "1"})])
        library.compact("meter_01")
        assert [snapshot(library, n) for n in names] == before


def test_a_dataset_can_be_named(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "a.csv")], dataset="계량")
        report = library.intake([write_meter(tmp_path / "zz.csv", first=900)], dataset="계량")
        assert (report.tables[0].dataset, report.tables[0].version) == ("계량", 2)


@pytest.mark.parametrize("name", ["", "  ", "..", "a/b", "meter@2", "a\nb", "가" * 121])
def test_a_name_that_could_not_be_asked_for_later_is_refused(tmp_path: Path, name: str) -> None:
    with open_library(tmp_path / "ws") as library:
        with pytest.raises(InputError) as refused:
            library.intake([write_meter(tmp_path / "meter.csv")], dataset=name)
        assert (refused.value.code, library.list()["datasets"]) == ("bad_dataset_name", [])


def test_a_file_named_by_a_number_is_known_by_its_folder_too(tmp_path: Path) -> None:
    (tmp_path / "valve1").mkdir()
    with open_library(tmp_path / "ws") as library:
        (table,) = library.intake([write_meter(tmp_path / "valve1" / "0.csv")]).tables
        assert table.dataset == "valve1-0"


def test_a_workspace_inside_the_folder_is_passed_over_and_said(tmp_path: Path) -> None:
    write_meter(tmp_path / "meter.csv")
    with open_library(tmp_path / "madang-workspace") as library:
        for _ in range(2):
            report = library.intake([tmp_path])
            assert [t.source for t in report.tables] == ["meter.csv"]
            assert report.skipped == ("madang-workspace/",)
        with pytest.raises(InputError) as refused:
            library.intake([tmp_path / "madang-workspace"])
        assert refused.value.code == "empty_folder"


def test_a_column_of_the_librarys_own_name_is_refused_and_the_other_files_come_in(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_meter(folder / "a.csv", columns=("시각", "_part"))
    write_meter(folder / "b.csv")
    with open_library(tmp_path / "ws") as library:
        report = library.intake([folder])
        assert ([e.code for e in report.errors], [t.source for t in report.tables]) == (["reserved_column"], ["b.csv"])
