"""Tables of databases: every entry is kept, the newest of a key counts, and nothing is lost when a table changes its shape."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest

from madang.connect import Rows
from madang.library import Library
from madang.library._commit import Faults
from tests.library.live.plant import T0, Clock, MemorySpool, opened

LOTS = "mes.dbo.lots"


def _rows(change: Literal["upsert", "delete", "snapshot"] = "upsert", key: tuple[str, ...] = ("lot",), **columns: Any) -> Rows:  # noqa: ANN401 (lists or Arrow arrays)
    return Rows(
        "dbo.lots", key, pa.record_batch({n: pa.array(v) if isinstance(v, list) else v for n, v in columns.items()}), T0, change
    )


def _taken(library: Library, *frames: Rows) -> list[dict[str, Any]]:
    spool, clock = MemorySpool(), Clock()
    intake = library.live(threads=1)
    intake.attach("mes", spool, None)
    for rows in frames:
        spool.append(rows)
        intake.step(clock.go(), force=True)
    intake.close()
    return _now(library)


def _now(library: Library) -> list[dict[str, Any]]:
    found = library.read(LOTS, reader="owner", purpose="test").table
    return [{k: v for k, v in row.items() if k[0] != "_"} for row in found.to_pylist()]


def test_the_newest_entry_of_a_key_counts_and_a_deleted_record_is_gone(tmp_path: Path) -> None:
    with opened(tmp_path / "w") as library:
        found = _taken(
            library, _rows(lot=["L1", "L2", "L3"], qty=[1, 2, 3]), _rows(lot=["L2"], qty=[20]), _rows("delete", lot=["L1"])
        )
        assert found == [{"lot": "L3", "qty": 3}, {"lot": "L2", "qty": 20}]


def test_a_record_that_was_deleted_and_comes_back_is_there(tmp_path: Path) -> None:
    with opened(tmp_path / "w") as library:
        found = _taken(library, _rows(lot=["L1"], qty=[1]), _rows("delete", lot=["L1"]), _rows(lot=["L1"], qty=[2]))
        assert found == [{"lot": "L1", "qty": 2}]


def test_a_snapshot_deletes_what_it_does_not_name(tmp_path: Path) -> None:
    with opened(tmp_path / "w") as library:
        found = _taken(library, _rows(lot=["L1", "L2", None], qty=[1, 2, 3]), _rows("snapshot", lot=["L2", None]))
        assert sorted(found, key=str) == [{"lot": "L2", "qty": 2}, {"lot": None, "qty": 3}]


def test_a_new_column_is_added_and_older_records_have_nothing_in_it(tmp_path: Path) -> None:
    with opened(tmp_path / "w") as library:
        found = _taken(library, _rows(lot=["L1"]), _rows(lot=["L2"], 등급=["A"]))
        assert found == [{"lot": "L1", "등급": None}, {"lot": "L2", "등급": "A"}]


def test_a_column_of_another_type_gets_a_column_of_its_own_and_a_finding(tmp_path: Path) -> None:
    with opened(tmp_path / "w") as library:
        found = _taken(library, _rows(lot=["L1", "L2"], qty=[1, 2]), _rows(lot=["L2"], qty=["two"]))
        assert found == [{"lot": "L1", "qty": 1, "qty__text": None}, {"lot": "L2", "qty": None, "qty__text": "two"}]
        card = library.card(LOTS)
        assert [(f["code"], f["column"], f["place"]) for f in card["findings"]] == [("type_change", "qty", "qty__text")]  # type: ignore[index, union-attr, call-overload]
        assert library.read(f"{LOTS}@{card['version']}", reader="owner", purpose="test").table.num_rows == 2


def test_a_key_that_changes_its_type_is_still_the_same_key(tmp_path: Path) -> None:
    with opened(tmp_path / "w") as library:
        found = _taken(library, _rows(lot=[1, 2], qty=[1, 2]), _rows(lot=["2"], qty=[20]))
        assert [row["qty"] for row in found] == [1, 20]


def test_exact_numbers_wall_clocks_and_odd_types_are_kept(tmp_path: Path) -> None:
    wall = pa.array([dt.datetime.fromisoformat("2026-05-04T09:00")], pa.timestamp("us"))
    with opened(tmp_path / "w") as library:
        rows = _rows(
            lot=["L1"],
            price=pa.array([Decimal("12345678901234567890.123")], pa.decimal128(38, 3)),
            at=wall,
            aware=pa.array([dt.datetime(2026, 5, 4, tzinfo=dt.UTC)], pa.timestamp("us", tz="UTC")),
            day=pa.array([dt.date(2026, 5, 4)]),
            clock=pa.array([dt.time(7, 30)]),
            blob=pa.array([b"\x00\xff"]),
            big=pa.array([2**64 - 1], pa.uint64()),
            parts=pa.array([["a", "b"]]),
            _seen=["mine"],
        )
        _taken(library, rows)
        found = library.read(LOTS, reader="owner", purpose="test", units="source").table.to_pylist()[0]
        assert found["price"] == Decimal("12345678901234567890.123")
        assert found["at"] == dt.datetime(2026, 5, 4, 0, 0, tzinfo=dt.UTC)
        assert (found["day"], found["clock"], found["blob"]) == (dt.date(2026, 5, 4), "07:30:00", b"\x00\xff")
        assert (found["big"], found["parts"], found["_seen_"]) == (Decimal(2**64 - 1), '["a", "b"]', "mine")


def test_a_table_is_listed_described_and_exported_as_any_dataset(tmp_path: Path) -> None:
    with opened(tmp_path / "w") as library:
        _taken(library, _rows(lot=["L1", "L2"], temp_C=[20.5, 21.5]))
        listed = library.list()["datasets"]
        assert [(d["dataset"], d["kind"], d["rows"]) for d in listed] == [(LOTS, "rows", 2)]  # type: ignore[index, union-attr, call-overload]
        library.export(LOTS, tmp_path / "out.csv")
        assert (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines() == ["lot,temp_C", "L1,20.5", "L2,21.5"]


@pytest.mark.parametrize("step", ["live:files", "live:locked", "live:committed", "live:released"])
def test_a_crash_neither_loses_nor_doubles_an_entry(tmp_path: Path, step: str) -> None:
    class At(Faults):
        armed = True

        def at(self, passed: str) -> None:
            if self.armed and passed == step:
                raise KeyboardInterrupt

    faults, spool, clock = At(), MemorySpool(), Clock()
    spool.append(_rows(lot=["L1"], qty=[1]))
    spool.append(_rows(lot=["L1"], qty=[2]))
    with opened(tmp_path / "w", clock, faults) as library:
        intake = library.live(threads=1)
        intake.attach("mes", spool, None)
        with pytest.raises(KeyboardInterrupt):
            intake.step(clock.go(), force=True)
        faults.armed = False
        again = library.live(threads=1)
        again.attach("mes", spool, None)
        again.step(clock.go(), force=True)
        assert _now(library) == [{"lot": "L1", "qty": 2}]
        assert library.card(LOTS)["entries"] == 2
        again.close()
