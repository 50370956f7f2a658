"""The one door: who reads what for which purpose is decided and recorded; what comes out is what was asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from madang.errors import InputError, RefusedError
from madang.library import Where
from tests.library.plant_files import DAY, open_library, write_meter


def test_the_owner_may_and_anyone_else_is_refused_with_the_clause_and_both_answers_are_recorded(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        allowed = library.read("meter", reader="owner", purpose="study", columns=["압력"]).decision
        with pytest.raises(RefusedError) as refused:
            library.read("meter", reader="거래처", purpose="study")
        assert (allowed.allow, allowed.clause, allowed.log_index) == (True, "owner_may", 0)
        assert (refused.value.where["clause"], refused.value.where["log_index"]) == ("owner_may", 1)
        log = library.decisions()
        assert [(e["index"], e["reader"], e["purpose"], e["allow"]) for e in log] == [
            (0, "owner", "study", True),
            (1, "거래처", "study", False),
        ]
        assert log[0]["columns"] == ["압력"]


def test_an_export_and_a_join_go_through_the_same_door(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        with pytest.raises(RefusedError):
            library.export("meter", tmp_path / "out.csv", reader="거래처")
        assert not (tmp_path / "out.csv").exists()
        assert library.decisions()[0]["purpose"] == "export"


def test_answers_to_many_readers_at_once_are_each_recorded_once(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])

        def read(number: int) -> int:
            return library.read("meter", reader="owner", purpose=f"reader {number}").decision.log_index

        with ThreadPoolExecutor(8) as pool:
            indexes = list(pool.map(read, range(64)))
        assert sorted(indexes) == list(range(64))
        assert [e["index"] for e in library.decisions()] == list(range(64))


def test_rows_sources_periods_and_columns_can_be_chosen(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "m_1.csv", first=1000)])
        library.intake([write_meter(tmp_path / "m_2.csv", first=2000)])

        def read(where: Where, columns: list[str] | None = None) -> list[dict[str, object]]:
            rows = library.read("m_1", reader="owner", purpose="show", columns=columns, where=where).table.to_pylist()
            return list(rows)

        assert [r["_row"] for r in read(Where(rows=(3, 5)))] == [3, 4, 5, 3, 4, 5]
        assert len(read(Where(sources=("m_2.csv",)))) == 300
        start = DAY + timedelta(minutes=2000)
        period = read(Where(time=(start, start + timedelta(minutes=2))))
        assert [r["시각"] for r in period] == [start, start + timedelta(minutes=1)]
        assert list(read(Where(rows=(1, 1)), ["상태", "압력"])[0]) == ["_part", "_row", "상태", "압력"]
        with pytest.raises(InputError, match="no column"):
            read(Where(), ["없는 열"])


def test_a_version_or_dataset_that_is_not_there_is_said_with_what_is(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        with pytest.raises(InputError) as error:
            library.read("motor", reader="owner", purpose="show")
        assert error.value.where["known"] == ["meter"]
        with pytest.raises(InputError, match="versions 1 to 1"):
            library.read("meter@7", reader="owner", purpose="show")


LONG = """time,tag,value
2026-01-01T00:02:00,온도,30.5
2026-01-01T00:00:00,온도,10.5
2026-01-01T00:00:00,압력,1
2026-01-01T00:01:00,압력,ERR
2026-01-01T00:02:00,압력,3
2026-01-01T00:02:00,압력,4
"""


def test_a_long_table_is_pivoted_by_time_the_last_record_of_an_instant_counts(tmp_path: Path) -> None:
    (tmp_path / "historian.csv").write_text(LONG, encoding="utf-8")
    with open_library(tmp_path / "ws") as library:
        library.intake([tmp_path / "historian.csv"])
        wide = library.read("historian", reader="owner", purpose="show").table
        assert wide["time"].to_pylist() == [datetime(2026, 1, 1, 0, m, tzinfo=UTC) for m in range(3)]
        assert wide["온도"].to_pylist() == [10.5, None, 30.5]
        assert wide["압력"].to_pylist() == [1.0, None, 4.0]
        assert wide["_row"].to_pylist() == [2, 4, 1]
        stored = library.read("historian", reader="owner", purpose="show", form="stored").table
        assert stored["tag"].to_pylist() == ["온도", "온도", "압력", "압력", "압력", "압력"]
        one = library.read("historian", reader="owner", purpose="show", columns=["압력"]).table
        assert one.schema.names == ["_part", "_row", "time", "압력"]


def test_statistics_are_of_good_values_and_leave_out_what_the_source_calls_uncertain(tmp_path: Path) -> None:
    text = "time,tag,value,quality\n" + "".join(
        f"2026-01-01T00:0{m}:00,{tag},{value},{quality}\n"
        for m, tag, value, quality in [(0, "a", 1, 192), (1, "a", 100, 64), (2, "a", 3, 192), (0, "b", 7, 192)]
    )
    (tmp_path / "historian.csv").write_text(text, encoding="utf-8")
    with open_library(tmp_path / "ws") as library:
        (table,) = library.intake([tmp_path / "historian.csv"]).tables
        stats = next(c.stats for c in table.columns if c.name == "a")
        assert stats is not None
        assert (stats.n, stats.sum, stats.max) == (2, 4.0, 3.0)
        assert library.read("historian", reader="owner", purpose="show").table["a"].to_pylist() == [1, 100, 3]


def test_a_long_table_has_one_card_per_tag_with_its_own_counts(tmp_path: Path) -> None:
    (tmp_path / "historian.csv").write_text(LONG, encoding="utf-8")
    with open_library(tmp_path / "ws") as library:
        (table,) = library.intake([tmp_path / "historian.csv"]).tables
        by_name = {c.name: c for c in table.columns}
        assert list(by_name) == ["time", "온도", "압력"]
        stats = by_name["압력"].stats
        assert stats is not None
        assert (by_name["압력"].bad, by_name["압력"].missing, stats.n, stats.sum) == (1, 0, 3, 8.0)
